# The commands of the project. Each installs what it needs, prints nothing about that
# when nothing is missing, and can be run again. `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run build edge test lint wire-types openapi bench proto-baseline load-test peers measure-cameras measure-viewers attack contract kill-loop disk-loop network-matrix fuzz check-readme clean

# The build cache lives outside the clone; see scripts/environment.
run: ## start everything on embedded defaults; ARGS="…" go to `cabildo serve`
	@scripts/run $(ARGS)

build: ## build the release binary; its path is the last line
	@scripts/install run
	@scripts/build

edge: ## build the agent of small boxes, static; its path is the last line
	@scripts/build-edge

test: ## run every test; ARGS="…" go to nextest
	@scripts/test $(ARGS)

lint: ## formatting, clippy, rustdoc, shell, web client
	@scripts/lint

wire-types: ## write the TypeScript types of the moderation channel
	@bash -c 'source scripts/environment; CABILDO_WRITE_WIRE_TYPES=1 cargo test --quiet --locked --test scenario wire_types::'

proto-baseline: ## publish what was added to the payloads of events in proto/
	@bash -c 'source scripts/environment; CABILDO_WRITE_PROTO_BASELINE=1 cargo test --quiet --locked --test scenario delivery::schema::'

openapi: ## write docs/openapi.json
	@bash -c 'source scripts/environment; CABILDO_WRITE_OPENAPI=1 cargo test --quiet --locked --test live api::description::'

bench: ## run the benchmarks
	@bash -c 'source scripts/environment; cargo bench --locked $(ARGS)'

load-test: ## rooms of real WebRTC clients against a release server
	@scripts/load-test $(ARGS)

peers: ## the server beside a forwarder on str0m, in one table; ARGS="--short" is quick
	@scripts/peers $(ARGS)

measure-cameras: ## what cameras in rooms and viewers of HLS cost a release server
	@scripts/measure-cameras

measure-viewers: ## what a thousand viewers of a session by HLS cost a release server
	@scripts/measure-viewers

attack: ## the long forms of all attacks; ARGS="…" are minutes for the parsers
	@scripts/attack $(ARGS)

contract: ## call every route of the OpenAPI description with valid and invalid requests
	@scripts/contract $(ARGS)

kill-loop: ## kill a recording server KILLS times (default 30) at random moments
	@scripts/kill-loop $(KILLS)

network-matrix: ## watch a browser over every kind of network
	@scripts/network-matrix

disk-loop: ## fill the disk of the database ROUNDS times (default 300), and 30 times during a meeting
	@scripts/disk-loop $(ROUNDS)

fuzz: ## fuzz every parser of untrusted input, SECONDS each (default 300)
	@scripts/fuzz $(ARGS)

check-readme: ## run the commands of the README against a fresh server
	@scripts/check-readme

clean: ## remove what was built here and in the cache
	@bash -c 'source scripts/environment; rm -rf "$$CARGO_TARGET_DIR" web-client/dist web-client/node_modules'

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22
