# The server with its web client, as a user without rights.

FROM node:20-bookworm-slim AS web-client
WORKDIR /build/web-client
COPY web-client/package.json web-client/package-lock.json web-client/.npmrc ./
RUN npm ci --no-fund --no-audit
COPY web-client ./
RUN npm run build

FROM rust:1.95-bookworm AS server
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock build.rs cabildo.example.yaml ./
COPY benches benches
COPY edge edge
COPY examples/platform examples/platform
COPY migrations migrations
COPY src src
COPY docs docs
COPY --from=web-client /build/web-client/dist web-client/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin cabildo \
    && cp target/release/cabildo /usr/local/bin/cabildo

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates wget ffmpeg fonts-dejavu-core libstdc++6 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/cabildo --create-home cabildo
COPY --from=server /usr/local/bin/cabildo /usr/local/bin/cabildo
USER cabildo
WORKDIR /var/lib/cabildo
VOLUME /var/lib/cabildo
EXPOSE 3014/tcp 3015/tcp 3478/udp 3478/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["wget", "--quiet", "--output-document=-", "http://127.0.0.1:3014/health/live"]
ENTRYPOINT ["cabildo"]
CMD ["serve", "--config", "/etc/cabildo/cabildo.yaml"]
