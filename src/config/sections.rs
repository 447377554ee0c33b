//! The sections with their keys, defaults and limits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reader::Reader;
use super::turn::TurnConfig;
use super::{Config, Profile};
use crate::domain::id::TenantId;
use crate::domain::secret::Secret;
use crate::domain::service_route::ServiceRoute;
use crate::domain::sqlite_url::sqlite_url;

/// The public listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// The address at which it listens.
    pub bind: SocketAddr,
    /// A separate address for `/metrics`, if any.
    pub metrics_bind: Option<SocketAddr>,
    /// Origin by which clients reach it, without a trailing slash; `None` only
    /// in development, where it follows from the bound address.
    pub public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: BTreeSet<IpAddr>,
}

/// The internal listener: TLS with client certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InternalConfig {
    /// The address at which it listens.
    pub bind: SocketAddr,
    /// PEM file of the authorities whose client certificates are accepted.
    pub ca: PathBuf,
    /// PEM file of this server's certificate chain.
    pub cert: PathBuf,
    /// PEM file of the key of that certificate.
    pub key: PathBuf,
    /// Which identities (URI or DNS names in certificates) may call which routes.
    pub allow: BTreeMap<ServiceRoute, BTreeSet<String>>,
}

/// The media port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaConfig {
    /// The UDP address at which it listens.
    pub bind: SocketAddr,
    /// Addresses announced to clients; when empty, the bound address, or those of the machine if it
    /// is bound to a wildcard.
    pub candidates: Vec<SocketAddr>,
    /// Whether media may come over TCP as well, at the same address and port.
    pub tcp: bool,
    /// TURN; `None` when it is switched off.
    pub turn: Option<TurnConfig>,
    /// Number of threads that forward media.
    pub workers: usize,
    /// How much is sent to one receiver.
    pub bitrate: BitrateConfig,
}

/// How much media is sent to one receiver, in kilobits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BitrateConfig {
    /// What its path is first taken to carry.
    pub start: u32,
    /// What it is always taken to carry.
    pub min: u32,
    /// What it is never taken to carry more than.
    pub max: u32,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// `postgres://…` or `sqlite:…`.
    pub url: Secret<String>,
    /// The URL of the role that owns the tables, for migrations; `url` is used when `None`.
    pub migration_url: Option<Secret<String>>,
    /// Most simultaneous connections.
    pub max_connections: u32,
    /// MiB on the disk of an SQLite file that are reserved for work in progress.
    pub free_mib_min: u32,
}

/// The issuer of the accepted access tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityConfig {
    /// The `iss` that tokens must have.
    pub issuer: String,
    /// The `aud` that tokens must have.
    pub audience: String,
    /// URL of the issuer's public keys.
    pub jwks_url: String,
    /// Page to which people without a token are sent.
    pub login_url: Option<String>,
    /// How the web client signs people in at the issuer itself.
    pub sign_in: Option<SignInConfig>,
}

/// The web client as a client of an `OpenID` Connect provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignInConfig {
    /// As the provider knows the web client: public, without a secret.
    pub client_id: String,
    /// What it asks for.
    pub scope: String,
    /// What the tokens are for, as RFC 8707 has it.
    pub resource: Option<String>,
    /// Origins beside the issuer's at which the provider answers.
    pub origins: Vec<String>,
}

/// Proofs of possession.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DpopConfig {
    /// Key from which nonces are made, 32 bytes or more, shared by all instances; made at start
    /// when `None`.
    pub nonce_key: Option<Secret<Vec<u8>>>,
}

/// The limits of one tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantLimitsConfig {
    /// Active sessions.
    pub max_active_sessions: u32,
    /// People in one session.
    pub max_participants: u32,
    /// Bitrate received for all its sessions together, in kbit/s.
    pub max_bitrate_kbps: u32,
    /// Viewers of its cameras by playback token (`maxConcurrentStreams`).
    pub max_concurrent_streams: u32,
}

/// The limits of a single tenant: those that are given win over all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "they are named as the keys are")]
pub struct TenantLimitsOverride {
    /// Active sessions.
    pub max_active_sessions: Option<u32>,
    /// People in one session.
    pub max_participants: Option<u32>,
    /// Bitrate received for all its sessions together, in kbit/s.
    pub max_bitrate_kbps: Option<u32>,
    /// Viewers of its cameras by playback token.
    pub max_concurrent_streams: Option<u32>,
}

impl TenantLimitsOverride {
    /// These limits, and the `others` where none is given.
    #[must_use]
    pub fn over(self, others: TenantLimitsConfig) -> TenantLimitsConfig {
        TenantLimitsConfig {
            max_active_sessions: self.max_active_sessions.unwrap_or(others.max_active_sessions),
            max_participants: self.max_participants.unwrap_or(others.max_participants),
            max_bitrate_kbps: self.max_bitrate_kbps.unwrap_or(others.max_bitrate_kbps),
            max_concurrent_streams: self
                .max_concurrent_streams
                .unwrap_or(others.max_concurrent_streams),
        }
    }
}

/// The limits of tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantsConfig {
    /// For tenants of which nothing else is known.
    pub default: TenantLimitsConfig,
    /// For single tenants.
    pub overrides: BTreeMap<TenantId, TenantLimitsOverride>,
}

impl TenantsConfig {
    /// The limits of one tenant, of which the tenancy service says `stated`, if it says any.
    #[must_use]
    pub fn of(&self, tenant: TenantId, stated: Option<TenantLimitsConfig>) -> TenantLimitsConfig {
        let own = self.overrides.get(&tenant).copied().unwrap_or_default();
        own.over(stated.unwrap_or(self.default))
    }
}

/// Rate limits and other limits of the interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitsConfig {
    /// Requests per second from one address, counted before authentication; ten times as many may
    /// come at once.
    pub requests_per_address_per_s: u32,
    /// Writes per minute by one person.
    pub writes_per_user_per_min: u32,
    /// Writes per minute by all people of one tenant together.
    pub writes_per_tenant_per_min: u32,
    /// Seconds between the signal to stop and the end of the process.
    pub shutdown_grace_s: u32,
}

/// The format of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Human,
    /// Text on a terminal, JSON elsewhere.
    Auto,
}

/// The options of logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// What is logged, as `tracing_subscriber::EnvFilter` reads it.
    pub filter: String,
    /// The format of logs.
    pub format: LogFormat,
    /// Whether metrics have labels for tenants.
    pub tenant_labels: bool,
}

/// Identity of the governance service in certificates made for development.
const DEV_GOVERNANCE: &str = "spiffe://cabildo.dev/governance";

/// Reads every section. What has errors, all of which the reader has, is empty or as by default.
pub(super) fn read(reader: &mut Reader, profile: &Profile) -> Config {
    let http = read_http(reader, profile);
    let internal = read_internal(reader, profile);
    let media = read_media(reader, profile);
    let store = read_store(reader, profile);
    let identity = read_identity(reader, profile);
    let dpop = read_dpop(reader);
    let tenants = read_tenants(reader);
    let services = super::services::read(reader);
    let limits = read_limits(reader, profile);
    let recording = super::recording::read(reader, profile);
    let cameras = super::cameras::read(reader, profile);
    let events = super::events::read(reader);
    let kafka = super::kafka::read(reader);
    let providers = super::providers::read(reader);
    let transcription = super::transcription::read(reader);
    let telemetry = read_telemetry(reader, profile);
    Config {
        http,
        internal,
        media,
        store,
        identity,
        dpop,
        tenants,
        services,
        limits,
        recording,
        cameras,
        events,
        kafka,
        providers,
        transcription,
        telemetry,
    }
}

fn bind(reader: &mut Reader, key: &str, port: u16, profile: &Profile) -> SocketAddr {
    let ip = match profile {
        Profile::Production => Ipv4Addr::UNSPECIFIED,
        Profile::Dev { .. } => Ipv4Addr::LOCALHOST,
    };
    let default = SocketAddr::from((ip, port));
    reader.parsed(key, "an address and port, like 0.0.0.0:3014").unwrap_or(default)
}

/// Default address of metrics in production. They reveal who uses the server how much and when, so
/// they are served on loopback only.
const METRICS_BIND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

fn read_http(reader: &mut Reader, profile: &Profile) -> HttpConfig {
    let public_url = reader.text("http.public_url").map(|url| url.trim_end_matches('/').to_owned());
    match &public_url {
        Some(url) if !is_origin(url) => {
            reader.problem("http.public_url", "expected an origin, like https://cabildo.example");
        }
        None if *profile == Profile::Production => {
            reader.problem("http.public_url", "must be given");
        }
        _ => {}
    }
    HttpConfig {
        bind: bind(reader, "http.bind", 3014, profile),
        metrics_bind: reader
            .parsed("http.metrics_bind", "an address and port")
            .or_else(|| (*profile == Profile::Production).then_some(METRICS_BIND)),
        public_url,
        trusted_proxies: reader.list("http.trusted_proxies", "IP addresses").into_iter().collect(),
    }
}

/// Whether a text is `http(s)://host[:port]` and nothing else.
fn is_origin(text: &str) -> bool {
    let Ok(uri) = text.parse::<http::Uri>() else { return false };
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    scheme
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.path() == "/"
        && uri.query().is_none()
        && !text.contains('@')
}

pub(super) fn is_http_url(text: &str) -> bool {
    text.parse::<http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some())
}

fn read_internal(reader: &mut Reader, profile: &Profile) -> InternalConfig {
    let default = |name: &str| match profile {
        Profile::Production => None,
        Profile::Dev { data_dir } => Some(data_dir.join("certs").join(name)),
    };
    let mut allow = BTreeMap::new();
    for route in ServiceRoute::ALL {
        let key = format!("internal.allow.{}", route.key());
        let mut names: BTreeSet<String> =
            reader.list(&key, "identities of services").into_iter().collect();
        if names.is_empty() && matches!(profile, Profile::Dev { .. }) {
            names.insert(DEV_GOVERNANCE.to_owned());
        }
        allow.insert(*route, names);
    }
    InternalConfig {
        bind: bind(reader, "internal.bind", 3015, profile),
        ca: reader.path("internal.ca", default("ca.pem")),
        cert: reader.path("internal.cert", default("server.pem")),
        key: reader.path("internal.key", default("server.key")),
        allow,
    }
}

/// Most forwarding threads; more than any machine has that was tested.
const WORKERS_MAX: u64 = 256;

fn read_media(reader: &mut Reader, profile: &Profile) -> MediaConfig {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = reader.number(
        "media.workers",
        u64::try_from(cores).unwrap_or(1).min(WORKERS_MAX),
        1..=WORKERS_MAX,
    );
    MediaConfig {
        bind: bind(reader, "media.bind", 3478, profile),
        candidates: candidates(reader),
        tcp: reader.parsed("media.tcp", "true or false").unwrap_or(true),
        turn: super::turn::read(reader),
        workers: usize::try_from(workers).unwrap_or(1),
        bitrate: read_bitrate(reader),
    }
}

fn read_bitrate(reader: &mut Reader) -> BitrateConfig {
    let bitrate = BitrateConfig {
        start: reader.number_u32("media.bitrate.start_kbps", 1_000, 50..=100_000),
        min: reader.number_u32("media.bitrate.min_kbps", 64, 30..=10_000),
        max: reader.number_u32("media.bitrate.max_kbps", 20_000, 50..=1_000_000),
    };
    if !(bitrate.min..=bitrate.max).contains(&bitrate.start) {
        reader.problem("media.bitrate.start_kbps", "must lie between min_kbps and max_kbps");
    }
    bitrate
}

/// The addresses to announce, each once. None of them may be one that no client can reach.
fn candidates(reader: &mut Reader) -> Vec<SocketAddr> {
    let key = "media.candidates";
    let mut announced: Vec<SocketAddr> = Vec::new();
    for candidate in reader.list::<SocketAddr>(key, "addresses and ports") {
        let useless = candidate.port() == 0
            || match candidate.ip().to_canonical() {
                IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
                IpAddr::V6(ip) => {
                    ip.is_unspecified() || ip.is_multicast() || ip.is_unicast_link_local()
                }
            };
        if useless {
            reader.problem(key, format_args!("no client can reach {candidate}"));
        } else if !announced.contains(&candidate) {
            announced.push(candidate);
        }
    }
    announced
}

fn read_store(reader: &mut Reader, profile: &Profile) -> StoreConfig {
    let url = database_url(reader, "store.url");
    let migration_url = database_url(reader, "store.migration_url");
    let max_connections = reader.number_u32("store.max_connections", 16, 2..=1_000);
    let free_mib_min = reader.number_u32("store.free_mib_min", 64, 0..=1_048_576);
    let url = match (url, profile) {
        (Some(url), _) => url,
        (None, Profile::Dev { data_dir }) => {
            let file = data_dir.join("cabildo.sqlite");
            Secret::new(format!("{}?mode=rwc", sqlite_url(&file)))
        }
        (None, Profile::Production) => {
            if !reader.has_problem("store.url") {
                reader.problem("store.url", "must be given");
            }
            Secret::new(String::new())
        }
    };
    StoreConfig { url, migration_url, max_connections, free_mib_min }
}

fn database_url(reader: &mut Reader, key: &str) -> Option<Secret<String>> {
    let url = reader.secret(key)?;
    let known = ["postgres://", "postgresql://", "sqlite:"];
    if !known.iter().any(|scheme| url.expose().starts_with(scheme)) {
        reader.problem(key, "expected a URL that starts with postgres:// or sqlite:");
    }
    Some(url)
}

fn read_identity(reader: &mut Reader, profile: &Profile) -> IdentityConfig {
    // In development the built-in issuer is used, whose keys need no URL.
    let dev = matches!(profile, Profile::Dev { .. });
    let default = |text| dev.then_some(text);
    let config = IdentityConfig {
        issuer: reader.required("identity.issuer", default("https://issuer.cabildo.dev")),
        audience: reader.required("identity.audience", default("cabildo")),
        jwks_url: reader.required("identity.jwks_url", default("http://127.0.0.1/dev/jwks.json")),
        login_url: reader.text("identity.login_url"),
        sign_in: read_sign_in(reader),
    };
    let signs_in = config.sign_in.is_some();
    let urls = [
        ("identity.jwks_url", Some(&config.jwks_url)),
        ("identity.login_url", config.login_url.as_ref()),
        // Browsers find the provider below it (OpenID Connect Discovery 1.0 §4).
        ("identity.issuer", Some(&config.issuer).filter(|_| signs_in)),
    ];
    for (key, url) in urls {
        if let Some(url) = url.filter(|url| !url.is_empty())
            && !is_http_url(url)
        {
            reader.problem(key, "expected an http or https URL");
        }
    }
    config
}

fn read_sign_in(reader: &mut Reader) -> Option<SignInConfig> {
    let client_id = reader.text("identity.client_id");
    let scope = reader.text("identity.scope");
    let resource = reader.text("identity.resource");
    let origins: Vec<String> = reader.list("identity.origins", "origins");
    if origins.iter().any(|origin| !is_origin(origin)) {
        reader.problem("identity.origins", "expected origins, like https://login.example");
    }
    Some(SignInConfig {
        client_id: client_id?,
        scope: scope.unwrap_or_else(|| "openid profile offline_access".to_owned()),
        resource,
        origins,
    })
}

fn read_dpop(reader: &mut Reader) -> DpopConfig {
    /// Shortest key, in bytes: as strong as the MAC that is made with it.
    const KEY_BYTES_MIN: usize = 32;
    let nonce_key = reader.secret("dpop.nonce_key").and_then(|text| {
        match STANDARD.decode(text.expose().trim()) {
            Ok(bytes) if bytes.len() >= KEY_BYTES_MIN => Some(Secret::new(bytes)),
            _ => {
                reader.problem("dpop.nonce_key", "expected base64 of 32 random bytes or more");
                None
            }
        }
    });
    DpopConfig { nonce_key }
}

fn read_tenants(reader: &mut Reader) -> TenantsConfig {
    let built_in = TenantLimitsConfig {
        max_active_sessions: 20,
        max_participants: 1_000,
        max_bitrate_kbps: 500_000,
        max_concurrent_streams: 50,
    };
    let default = read_tenant_limits(reader, "tenants.default").over(built_in);
    let mut overrides = BTreeMap::new();
    for name in reader.names_below("tenants.overrides") {
        let prefix = format!("tenants.overrides.{name}");
        let limits = read_tenant_limits(reader, &prefix);
        match name.parse() {
            Ok(tenant) => {
                overrides.insert(tenant, limits);
            }
            Err(_) => reader.problem(&prefix, "expected the UUID of a tenant"),
        }
    }
    TenantsConfig { default, overrides }
}

fn read_tenant_limits(reader: &mut Reader, prefix: &str) -> TenantLimitsOverride {
    let mut number = |name: &str, range| {
        let key = format!("{prefix}.{name}");
        reader.is_given(&key).then(|| reader.number_u32(&key, 0, range))
    };
    TenantLimitsOverride {
        max_active_sessions: number("max_active_sessions", 1..=100_000),
        max_participants: number("max_participants", 1..=100_000),
        max_bitrate_kbps: number("max_bitrate_kbps", 1..=u32::MAX),
        // None at all says that the tenant has not paid for it.
        max_concurrent_streams: number("max_concurrent_streams", 0..=100_000),
    }
}

fn read_limits(reader: &mut Reader, profile: &Profile) -> LimitsConfig {
    // All people of a hall may arrive behind one address within seconds, each fetching a dozen
    // files. In development all clients, including load tests, have one address.
    let (address, user, tenant) = match profile {
        Profile::Production => (200, 60, 600),
        Profile::Dev { .. } => (5_000, 600, 60_000),
    };
    let mut number =
        |name: &str, default, most| reader.number_u32(&format!("limits.{name}"), default, 1..=most);
    LimitsConfig {
        requests_per_address_per_s: number("requests_per_address_per_s", address, 1_000_000),
        writes_per_user_per_min: number("writes_per_user_per_min", user, 1_000_000),
        writes_per_tenant_per_min: number("writes_per_tenant_per_min", tenant, 10_000_000),
        shutdown_grace_s: number("shutdown_grace_s", 10, 600),
    }
}

/// Default log filter. The DTLS crate logs a warning for each extension that it does not know,
/// several times per handshake.
const LOG_FILTER: &str = "info,rtc_dtls=error";

/// Checks a filter of what is logged.
fn check_filter(filter: &str) -> Result<(), &'static str> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |word: &str| {
        LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word))
            || word.parse().is_ok_and(|level: u8| level <= 5)
    };
    let mut words = filter.split(',').map(str::trim);
    let is_cut = words.clone().any(|word| word.ends_with('='));
    if is_cut || tracing_subscriber::EnvFilter::try_new(filter).is_err() {
        return Err("expected a filter, like info,cabildo=debug");
    }
    // A filter without such a word logs nothing of what it does not name. A misspelt level is taken
    // for a name, and would silence everything.
    if words.clone().all(|word| word.contains(['=', '['])) || words.any(is_level) {
        return Ok(());
    }
    Err("expected a level for what has no level of its own: error, warn, info, debug, trace or off")
}

fn read_telemetry(reader: &mut Reader, profile: &Profile) -> TelemetryConfig {
    let filter = reader.text("telemetry.filter").unwrap_or_else(|| LOG_FILTER.to_owned());
    if let Err(problem) = check_filter(&filter) {
        reader.problem("telemetry.filter", problem);
    }
    let format = match reader.text("telemetry.format").as_deref() {
        Some("json") => LogFormat::Json,
        Some("human") => LogFormat::Human,
        None if *profile == Profile::Production => LogFormat::Json,
        Some("auto") | None => LogFormat::Auto,
        Some(_) => {
            reader.problem("telemetry.format", "expected json, human or auto");
            LogFormat::Json
        }
    };
    let tenant_labels = reader.parsed("telemetry.tenant_labels", "true or false");
    TelemetryConfig { filter, format, tenant_labels: tenant_labels.unwrap_or(false) }
}
