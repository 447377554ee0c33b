//! The interfaces for clients: REST, the moderation channel, and the listeners that serve them.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use super::cameras::Cameras;
use super::certificates::Certificates;
use super::clock::ClockState;
use super::delivery::{Delivery, Refusals};
use super::foundation::{Foundation, custody_of};
use super::identity::Identity;
use super::media::Media;
use super::meetings::{ProviderClients, ProviderMeetings};
use super::recording::Recording;
use super::rooms::LiveRooms;
use super::services::Services;
use super::sessions::Sessions;
use super::telemetry::Readings;
use super::transcriber::{Transcription, TranscriptionHealth};
use crate::api::listener::{self, Limits, Serving};
use crate::api::{
    Api, ApiOptions, ApiParts, Listener, MetricsDoor, MetricsSource, Part, PlaybackKey,
    RateLimitOptions, Readiness, SignIn, router,
};
use crate::auth::MediaTokens;
use crate::auth::served_tls::ServedTls;
use crate::config::Config;
use crate::evidence::Evidence;
use crate::moderation::{ChannelLimits, ChannelOptions, routes};
use crate::recorder::Recorder;
use crate::services::ServiceState;
use crate::sfu::Sfu;
use crate::store::Store;
use crate::vault::{DamagedObjects, VaultState};

/// The sockets of the listeners. They are bound before anything else is started, since in
/// development the public URL depends on the port.
pub(super) struct Sockets {
    http: TcpListener,
    internal: TcpListener,
    metrics: Option<TcpListener>,
    rtsp: Option<TcpListener>,
}

impl Sockets {
    pub(super) fn bind(config: &Config) -> anyhow::Result<Self> {
        let metrics = config.http.metrics_bind.map(|addr| bind(addr, "http.metrics_bind"));
        let rtsp = config.cameras.rtsp_bind.map(|addr| bind(addr, "cameras.rtsp_bind"));
        Ok(Self {
            http: bind(config.http.bind, "http.bind")?,
            internal: bind(config.internal.bind, "internal.bind")?,
            metrics: metrics.transpose()?,
            rtsp: rtsp.transpose()?,
        })
    }

    pub(super) fn http(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.http.local_addr()?)
    }

    pub(super) fn internal(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.internal.local_addr()?)
    }

    pub(super) fn metrics(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self.metrics.as_ref().map(TcpListener::local_addr).transpose()?)
    }

    pub(super) fn rtsp(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self.rtsp.as_ref().map(TcpListener::local_addr).transpose()?)
    }

    /// The listener for devices that publish by RTSP, for whoever serves it.
    pub(super) fn take_rtsp(&mut self) -> Option<TcpListener> {
        self.rtsp.take()
    }
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("{key}: {address} can't be bound"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// The parts that the interfaces use.
pub(super) struct Behind<'a> {
    pub(super) identity: Identity,
    pub(super) foundation: &'a Foundation,
    pub(super) media: &'a Media,
    pub(super) rooms: &'a LiveRooms,
    pub(super) recording: &'a Recording,
    pub(super) transcription: &'a Transcription,
    pub(super) sessions: &'a Sessions,
    pub(super) services: &'a Services,
    pub(super) providers: &'a ProviderMeetings,
    pub(super) cameras: &'a Cameras,
    pub(super) delivery: &'a Delivery,
    pub(super) clock: ClockState,
}

/// The running listeners.
pub(super) struct Doors {
    servings: Vec<Serving>,
    grace: Duration,
}

impl Doors {
    pub(super) fn start(base: &Base, sockets: Sockets, behind: Behind<'_>) -> anyhow::Result<Self> {
        let tls = ServedTls::read(behind.identity.tls.clone()).context("internal")?;
        let channel = channel(base, &behind);
        let api = api(base, behind);
        let shares = listener::raise_limit();
        let limits = |connections: usize, per_network: usize, per_surroundings: usize| Limits {
            connections,
            per_network: per_network.max(1),
            per_surroundings: per_surroundings.max(1),
            proxies: base.config.http.trusted_proxies.clone(),
        };
        let public = router(&api, Listener::Public, channel.clone());
        let services = router(&api, Listener::Internal, channel);
        // Half of them for one network, three quarters for many that lie together.
        let for_public = limits(shares.public, shares.public / 2, shares.public / 4 * 3);
        let for_services = limits(shares.internal, shares.internal, shares.internal);
        let mut servings = vec![
            listener::serve_plain("public", sockets.http, public, for_public)?,
            listener::serve_tls(
                "internal",
                sockets.internal,
                services,
                for_services,
                Arc::new(tls),
            )?,
        ];
        if let Some(metrics) = sockets.metrics {
            let routes = router(&api, Listener::Metrics, axum::Router::new());
            let for_metrics = limits(shares.metrics, shares.metrics, shares.metrics);
            servings.push(listener::serve_plain("metrics", metrics, routes, for_metrics)?);
        }
        let grace = Duration::from_secs(base.config.limits.shutdown_grace_s.into());
        Ok(Self { servings, grace })
    }

    /// Accepts no more connections, and lets requests in progress finish.
    pub(super) fn drain(&self) {
        for serving in &self.servings {
            serving.drain(self.grace);
        }
    }

    /// Waits until the last connection has ended.
    pub(super) async fn shutdown(self) {
        for serving in self.servings {
            serving.finished().await;
        }
    }
}

/// Makes the route of the moderation channel.
fn channel(base: &Base, behind: &Behind<'_>) -> axum::Router {
    routes(ChannelOptions {
        rooms: behind.rooms.rooms.clone(),
        authenticator: Arc::clone(&behind.identity.authenticator),
        clock: base.clock.clone(),
        wall: base.wall.clone(),
        urls: behind.identity.origins.iter().map(|origin| format!("{origin}/moderation")).collect(),
        turn: behind.media.turn(),
        limits: ChannelLimits::default(),
    })
}

/// What updates its metrics when they are scraped.
fn readings(behind: &Behind<'_>) -> Vec<Arc<dyn MetricsSource>> {
    let mut readings = vec![
        behind.rooms.readings(),
        behind.media.readings(),
        behind.foundation.readings(),
        behind.recording.readings(),
        behind.services.readings(),
        behind.providers.clients.readings(),
    ];
    readings.extend(behind.transcription.readings());
    readings
}

fn api(base: &Base, behind: Behind<'_>) -> Api {
    let readings = readings(&behind);
    let Behind {
        identity,
        foundation,
        media,
        rooms,
        recording,
        transcription,
        sessions,
        services,
        providers,
        cameras,
        delivery,
        clock,
    } = behind;
    let (config, store) = (&base.config, Arc::new(base.store.clone()));
    Api::new(ApiParts {
        options: options(config, identity.origins),
        sessions: sessions.service.clone(),
        directory: store.clone(),
        idempotency: store.clone(),
        clock: base.clock.clone(),
        wall: base.wall.clone(),
        authenticator: identity.authenticator,
        media_tokens: MediaTokens::new(store),
        turn: media.turn(),
        services: identity.services,
        rooms: rooms.rooms.clone(),
        desk: rooms.desk.clone(),
        evidence: foundation.evidence.clone(),
        library: recording.library.clone(),
        custody: custody_of(&base.store, foundation, (&base.clock, base.ages.clock())),
        history: recording.history.clone(),
        zoom_webhook: providers.zoom_webhook(base),
        cameras: cameras.gateway.clone(),
        camera_probes: cameras.probes.clone(),
        bridges: cameras.bridges.clone(),
        streams: cameras.streams.clone(),
        camera_playback: cameras.playback.clone(),
        camera_recordings: cameras.recordings.clone(),
        captures: cameras.captures.clone(),
        capture_playback: cameras.replay.clone(),
        intake: cameras.intake.clone(),
        uplinks: cameras.uplinks.clone(),
        service_tenant: config.cameras.service_tenant,
        events: delivery.streams.clone(),
        playback: playback_key(config),
        readiness: Arc::new(Dependencies {
            store: base.store.clone(),
            media: media.sfu.clone(),
            vault: recording.vault(),
            damaged: foundation.damaged.clone(),
            clock,
            certificates: identity.certificates,
            services: services.clone(),
            providers: providers.clients.clone(),
            kafka_is_well: delivery.kafka_is_well(),
            refusals: delivery.refusals(),
            evidence: foundation.evidence.clone(),
            recorder: recording.recorder(),
            transcription: transcription.health(),
        }),
        metrics: Arc::new(Readings(readings)),
        dev_issuer: identity.dev_issuer,
    })
}

fn options(config: &Config, public_origins: Vec<String>) -> ApiOptions {
    ApiOptions {
        public_origins,
        trusted_proxies: config.http.trusted_proxies.clone(),
        rate_limits: rate_limits(config),
        login_url: config.identity.login_url.clone(),
        sign_in: sign_in(config),
        metrics: metrics_door(config),
    }
}

/// The dependencies that must answer before this instance accepts requests, and
/// the parts and services that need not.
struct Dependencies {
    store: Store,
    media: Sfu,
    vault: VaultState,
    damaged: DamagedObjects,
    clock: ClockState,
    certificates: Certificates,
    services: Services,
    providers: ProviderClients,
    kafka_is_well: Option<Box<dyn Fn() -> bool + Send + Sync>>,
    refusals: Refusals,
    evidence: Evidence,
    recorder: Recorder,
    transcription: TranscriptionHealth,
}

impl Dependencies {
    /// How all the services that are asked are doing.
    fn asked(&self) -> Vec<ServiceState> {
        let mut states = self.services.states();
        states.extend(self.providers.states());
        states
    }
}

#[async_trait]
impl Readiness for Dependencies {
    async fn check(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("database", self.store.check_writable().await.is_ok()),
            ("media", self.media.stats().await.is_ok()),
        ]
    }

    fn parts(&self) -> Vec<Part> {
        let vault = self.vault.problem().map(|error| error.to_string());
        let vault = vault.or_else(|| self.damaged.problem());
        let mut parts = vec![
            Part { name: "vault", problem: vault },
            Part { name: "clock", problem: self.clock.problem() },
            Part { name: "certificates", problem: self.certificates.problem() },
        ];
        parts.extend(self.transcription.part());
        let problem = self.refusals.problem();
        parts.extend(problem.map(|problem| Part { name: "events", problem: Some(problem) }));
        parts.extend(self.asked().into_iter().filter_map(|state| {
            state
                .problem
                .map(|problem| Part { name: state.service.as_str(), problem: Some(problem) })
        }));
        parts
    }

    fn services(&self) -> Vec<(&'static str, bool)> {
        let states = self.asked().into_iter();
        let services = states.map(|state| (state.service.as_str(), state.is_well()));
        let kafka = self.kafka_is_well.iter().map(|is_well| ("kafka", is_well()));
        let own = [
            ("evidence_log", self.evidence.is_well()),
            ("recorder", self.recorder.stats().tracks_set_aside == 0),
        ];
        services.chain(kafka).chain(own).collect()
    }
}

/// How the web client signs people in at the issuer.
fn sign_in(config: &Config) -> Option<SignIn> {
    let own = config.identity.sign_in.clone()?;
    Some(SignIn {
        issuer: config.identity.issuer.clone(),
        client_id: own.client_id,
        scope: own.scope,
        audience: config.identity.audience.clone(),
        resource: own.resource,
        origins: own.origins,
    })
}

fn rate_limits(config: &Config) -> RateLimitOptions {
    let limits = &config.limits;
    // The configuration refuses zero.
    let positive = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    RateLimitOptions {
        requests_per_address_per_s: positive(limits.requests_per_address_per_s),
        writes_per_user_per_min: positive(limits.writes_per_user_per_min),
        writes_per_tenant_per_min: positive(limits.writes_per_tenant_per_min),
    }
}

fn playback_key(config: &Config) -> PlaybackKey {
    let playback = &config.recording.playback;
    let valid_for = Duration::from_secs(playback.url_ttl_s.into());
    match &playback.signing_key {
        Some(key) => PlaybackKey::new(key.clone(), valid_for),
        None => PlaybackKey::random(valid_for),
    }
}

fn metrics_door(config: &Config) -> MetricsDoor {
    if config.http.metrics_bind.is_some() { MetricsDoor::Elsewhere } else { MetricsDoor::Public }
}
