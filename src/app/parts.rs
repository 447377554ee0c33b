//! Each part made from its section of the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use async_trait::async_trait;

use super::Addresses;
use super::metrics::Stations;
use super::record::{Record, open_foundation};
use super::rooms::RoomObserver;
use crate::api::{
    Api, ApiOptions, ApiParts, MetricsDoor, PlaybackKey, RateLimitOptions, Readiness,
};
use crate::auth::client_cert::{ServiceAllowList, ServiceIdentity, TlsFiles};
use crate::auth::dev_issuer::DevIssuer;
use crate::auth::{
    AuthOptions, Authenticator, HttpKeySource, HttpKeySourceOptions, KeySource, NonceKey,
    PlainHttp, ReplayCache, ReplayCacheUnavailable, dev_certificates,
};
use crate::clock::Clock;
use crate::config::{Config, TenantLimitsConfig};
use crate::domain::time::Timestamp;
use crate::events::OutboxUpkeep;
use crate::evidence::Evidence;
use crate::moderation::{ChannelLimits, ChannelOptions, routes};
use crate::room::Rooms;
use crate::room::ports::RoomPorts;
use crate::sessions::{FixedLimits, SessionObserver, SessionService, TenantLimits};
use crate::sfu::{Sfu, SfuOptions};
use crate::store::{OnConnect, Store, StoreOptions};
use crate::telemetry::metrics::TenantLabels;

/// What [`build`] goes by.
pub(super) struct Plan<'a> {
    pub(super) config: &'a Config,
    pub(super) addresses: Addresses,
    pub(super) dev_data_dir: Option<PathBuf>,
    pub(super) clock: Clock,
}

/// What the listeners serve.
pub(super) struct Built {
    pub(super) api: Api,
    pub(super) sessions: SessionService,
    pub(super) outbox: OutboxUpkeep,
    pub(super) rooms: Rooms,
    /// What records them.
    pub(super) record: Record,
    /// The logs of sessions, which commands and proofs need without rooms too.
    pub(super) evidence: Evidence,
    /// The moderation channel's route.
    pub(super) channel: axum::Router,
}

/// How the database is reached; also for commands beside a running server.
#[must_use]
pub fn store_options(config: &Config) -> StoreOptions {
    let mut options = StoreOptions::new(config.store.url.clone());
    options.migration_url.clone_from(&config.store.migration_url);
    options.max_connections = config.store.max_connections;
    options.free_bytes_min = u64::from(config.store.free_mib_min) << 20;
    options.on_connect = OnConnect::Migrate;
    options
}

/// The origin that heads of logs name. In development it has no port, so that
/// commands beside a server name the same.
#[must_use]
pub fn public_origin(config: &Config) -> &str {
    config.http.public_url.as_deref().unwrap_or("http://localhost")
}

/// How the media plane is started.
pub(super) fn media_options(config: &Config) -> SfuOptions {
    SfuOptions {
        bind: config.media.bind,
        candidates: config.media.candidates.clone(),
        workers: config.media.workers,
    }
}

/// The internal listener's files; in development they are made when missing.
pub(super) async fn tls_files(
    config: &Config,
    dev_data_dir: Option<&Path>,
    clock: &Clock,
) -> anyhow::Result<TlsFiles> {
    let internal = &config.internal;
    if let Some(data_dir) = dev_data_dir {
        let (directory, now) = (data_dir.join("certs"), clock.now());
        tokio::task::spawn_blocking(move || dev_certificates::ensure(&directory, now))
            .await?
            .context("the development certificates")?;
    }
    Ok(TlsFiles {
        client_authorities: internal.ca.clone(),
        certificate: internal.cert.clone(),
        key: internal.key.clone(),
    })
}

/// Makes the parts and plugs them together.
pub(super) async fn build(plan: Plan<'_>, store: &Store, media: &Sfu) -> anyhow::Result<Built> {
    let Plan { config, addresses, dev_data_dir, clock } = plan;
    let dev_issuer = match dev_data_dir {
        Some(data_dir) => Some(Arc::new(open_issuer(config, data_dir).await?)),
        None => None,
    };
    let authenticator = Arc::new(authenticator(config, dev_issuer.as_ref(), store)?);
    let database = Arc::new(store.clone());
    let limits = Arc::new(tenant_limits(config));
    let foundation = open_foundation(config, store, &clock)?;
    let record = Record::start(config, store, &foundation, media, &clock).await?;
    let ports = RoomPorts { limits: Some(limits.clone()), ..record.ports() };
    let (rooms_store, journal) = (database.clone(), database.clone());
    let rooms = Rooms::new(rooms_store, journal, media.clone(), clock.clone(), ports);
    let origins = public_origins(config, addresses.http, dev_issuer.is_some())?;
    // Rooms first: what they tell at their end is to be in the log.
    let observers: Vec<Arc<dyn SessionObserver>> =
        vec![Arc::new(RoomObserver::new(rooms.clone())), Arc::new(record.observer())];
    record.tell_heads(rooms.clone());
    record.recover().await?;
    let sessions = SessionService::new(database.clone(), limits, observers);
    sessions.start_telling(clock.clone());
    let outbox = OutboxUpkeep::start(database.clone(), clock.clone());
    let channel = routes(ChannelOptions {
        rooms: rooms.clone(),
        authenticator: Arc::clone(&authenticator),
        clock: clock.clone(),
        urls: origins.iter().map(|origin| format!("{origin}/moderation")).collect(),
        ice_servers: Vec::new(),
        limits: ChannelLimits::default(),
    });
    let api = Api::new(ApiParts {
        options: ApiOptions {
            public_origins: origins,
            trusted_proxies: config.http.trusted_proxies.clone(),
            rate_limits: rate_limits(config),
            login_url: config.identity.login_url.clone(),
            metrics: metrics_door(config),
        },
        sessions: sessions.clone(),
        directory: database.clone(),
        idempotency: database,
        clock,
        authenticator,
        services: allow_list(config)?,
        rooms: rooms.clone(),
        evidence: foundation.evidence.clone(),
        library: record.library(&foundation),
        history: record.history(),
        playback: playback_key(config),
        readiness: Arc::new(Dependencies { store: store.clone(), media: media.clone() }),
        metrics: Arc::new(Stations {
            media: media.clone(),
            rooms: rooms.clone(),
            evidence: foundation.evidence.clone(),
            recorder: record.recorder(),
        }),
        dev_issuer,
    });
    let evidence = foundation.evidence;
    Ok(Built { api, sessions, outbox, rooms, record, evidence, channel })
}

async fn open_issuer(config: &Config, data_dir: PathBuf) -> anyhow::Result<DevIssuer> {
    let (issuer, audience) = (config.identity.issuer.clone(), config.identity.audience.clone());
    tokio::task::spawn_blocking(move || DevIssuer::open(&data_dir, issuer, audience))
        .await?
        .context("the development issuer")
}

fn authenticator(
    config: &Config,
    dev_issuer: Option<&Arc<DevIssuer>>,
    store: &Store,
) -> anyhow::Result<Authenticator> {
    let nonce_key = match &config.dpop.nonce_key {
        Some(key) => NonceKey::new(key.expose().clone()).context("dpop.nonce_key")?,
        None => NonceKey::random(),
    };
    let options = AuthOptions {
        issuer: config.identity.issuer.clone(),
        audience: config.identity.audience.clone(),
        nonce_key,
    };
    let keys: Arc<dyn KeySource> = if let Some(issuer) = dev_issuer {
        issuer.clone()
    } else {
        Arc::new(
            HttpKeySource::new(&HttpKeySourceOptions {
                url: config.identity.jwks_url.clone(),
                headers: vec![
                    ("X-Service-ID".to_owned(), "cabildo".to_owned()),
                    ("X-Internal-Service".to_owned(), "true".to_owned()),
                ],
                plain_http: PlainHttp::LoopbackOnly,
            })
            .context("identity.jwks_url")?,
        )
    };
    let replay = Arc::new(SharedReplayCache(store.replay_cache()));
    Ok(Authenticator::new(options, keys, replay))
}

/// The store's memory of used proofs, as the callers' station wants it.
struct SharedReplayCache(crate::store::ReplayCache);

#[async_trait]
impl ReplayCache for SharedReplayCache {
    async fn insert_if_absent(
        &self,
        key: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ReplayCacheUnavailable> {
        self.0.insert_if_absent(key, expires_at, now).await.map_err(|error| {
            tracing::error!(%error, "used proofs can't be remembered");
            ReplayCacheUnavailable
        })
    }
}

/// What has to answer before this instance takes calls.
struct Dependencies {
    store: Store,
    media: Sfu,
}

#[async_trait]
impl Readiness for Dependencies {
    async fn check(&self) -> Vec<(&'static str, bool)> {
        vec![
            ("database", self.store.check_writable().await.is_ok()),
            ("media", self.media.stats().await.is_ok()),
        ]
    }
}

fn limits_of(config: TenantLimitsConfig) -> TenantLimits {
    TenantLimits {
        max_active_sessions: config.max_active_sessions,
        max_participants_per_session: config.max_participants,
        max_bitrate_kbps: config.max_bitrate_kbps,
    }
}

fn tenant_limits(config: &Config) -> FixedLimits {
    let overrides = &config.tenants.overrides;
    let by_tenant: BTreeMap<_, _> =
        overrides.iter().map(|(tenant, limits)| (*tenant, limits_of(*limits))).collect();
    FixedLimits { default: limits_of(config.tenants.default), by_tenant }
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
    let playback = &config.record.playback;
    let valid_for = Duration::from_secs(playback.url_ttl_s.into());
    match &playback.signing_key {
        Some(key) => PlaybackKey::new(key.clone(), valid_for),
        None => PlaybackKey::random(valid_for),
    }
}

pub(super) const fn tenant_labels(config: &Config) -> TenantLabels {
    if config.telemetry.tenant_labels { TenantLabels::Ids } else { TenantLabels::Hidden }
}

fn metrics_door(config: &Config) -> MetricsDoor {
    if config.http.metrics_bind.is_some() { MetricsDoor::Elsewhere } else { MetricsDoor::Public }
}

fn allow_list(config: &Config) -> anyhow::Result<ServiceAllowList> {
    let mut list = ServiceAllowList::new();
    for (route, names) in &config.internal.allow {
        for name in names {
            let identity = ServiceIdentity::parse(name)
                .ok_or_else(|| anyhow!("internal.allow.{}: not an identity", route.key()))?;
            list.allow(route.key(), identity);
        }
    }
    Ok(list)
}

/// The origins by which clients may name this server. In development both
/// spellings of loopback are right.
fn public_origins(config: &Config, http: SocketAddr, dev: bool) -> anyhow::Result<Vec<String>> {
    let mut origins: Vec<String> = config.http.public_url.iter().cloned().collect();
    if dev {
        let port = http.port();
        origins.push(format!("http://localhost:{port}"));
        origins.push(format!("http://127.0.0.1:{port}"));
        if !http.ip().is_unspecified() {
            origins.push(format!("http://{http}"));
        }
    }
    if origins.is_empty() { Err(anyhow!("http.public_url must be given")) } else { Ok(origins) }
}
