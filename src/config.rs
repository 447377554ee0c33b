//! The configuration: one YAML file, and environment variables for each key, validated as a whole.
//! Only `app` and `cli` read it; every other module is given options.

mod cameras;
mod events;
mod kafka;
mod providers;
mod reader;
mod recording;
mod sections;
mod services;
mod source;
mod transcription;
mod turn;

use std::path::PathBuf;

pub use cameras::CamerasConfig;
pub use events::{EventsConfig, WebhookConfig};
pub use kafka::KafkaConfig;
pub use providers::{GoogleKeyFile, GoogleMeetConfig, ProvidersConfig, ZoomConfig};
pub use recording::{
    EvidenceConfig, KeysConfig, PlaybackConfig, RecorderConfig, RecordingConfig, S3Config,
    VaultConfig,
};
pub use sections::{
    DpopConfig, HttpConfig, IdentityConfig, InternalConfig, LimitsConfig, LogFormat, MediaConfig,
    StoreConfig, TelemetryConfig, TenantLimitsConfig, TenantsConfig,
};
pub use services::{ServiceConfig, ServiceTlsConfig, ServicesConfig};
pub use source::Source;
pub use transcription::{
    GoogleSpeechConfig, RemoteSpeechConfig, SpeechServiceConfig, TranscriptionConfig, WHISPER,
};
pub use turn::{TurnConfig, TurnTlsConfig};

/// Where defaults come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Profile {
    /// Keys without a safe default must be given.
    Production,
    /// Every key has a default: files in this data directory, listeners on loopback.
    Dev {
        /// Directory of the database, the issuer's key and the certificates.
        data_dir: PathBuf,
    },
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The public listener.
    pub http: HttpConfig,
    /// The internal listener, for services.
    pub internal: InternalConfig,
    /// The media port.
    pub media: MediaConfig,
    /// The database.
    pub store: StoreConfig,
    /// The issuer of the accepted access tokens.
    pub identity: IdentityConfig,
    /// Proofs of possession.
    pub dpop: DpopConfig,
    /// The limits of tenants.
    pub tenants: TenantsConfig,
    /// The platform's other services.
    pub services: ServicesConfig,
    /// Rate limits and other limits of the interfaces.
    pub limits: LimitsConfig,
    /// Recordings and their proof.
    pub recording: RecordingConfig,
    /// Cameras.
    pub cameras: CamerasConfig,
    /// What other services are told.
    pub events: EventsConfig,
    /// Kafka, when there are brokers.
    pub kafka: Option<KafkaConfig>,
    /// Other providers of meetings.
    pub providers: ProvidersConfig,
    /// Making text of what is said.
    pub transcription: TranscriptionConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
}

/// One error in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The key, as in the file: `section.key`; empty for the file itself.
    pub key: String,
    /// The error, never with the value of a secret.
    pub message: String,
}

/// All errors in the configuration, by key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the configuration has {} problem(s):", self.0.len())?;
        for Problem { key, message } in &self.0 {
            if key.is_empty() {
                write!(f, "\n  {message}")?;
            } else {
                write!(f, "\n  {key}: {message}")?;
            }
        }
        Ok(())
    }
}

impl Config {
    /// Reads and validates everything in `source`; returns all errors at once. Of a file that can't
    /// be read, only that is an error.
    pub fn read(source: Source, profile: &Profile) -> Result<Self, ConfigError> {
        Self::read_and_examine(source, profile, |_| Vec::new())
    }

    /// As [`Self::read`], with everything that `examine` finds wrong with what was read. Of a key whose value
    /// can't be what it should, only that is an error.
    pub fn read_and_examine(
        source: Source,
        profile: &Profile,
        examine: impl FnOnce(&Self) -> Vec<Problem>,
    ) -> Result<Self, ConfigError> {
        if let Some(problems) = source.unread() {
            return Err(ConfigError(problems.to_vec()));
        }
        let mut reader = reader::Reader::new(source);
        let config = sections::read(&mut reader, profile);
        let mut examined = examine(&config);
        examined.retain(|problem| !reader.has_problem(&problem.key));
        for Problem { key, message } in examined {
            reader.problem(&key, message);
        }
        let problems = reader.finish();
        if problems.is_empty() { Ok(config) } else { Err(ConfigError(problems)) }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;
    use crate::domain::id::TenantId;
    use crate::domain::service_route::ServiceRoute;

    const EXAMPLE: &str = include_str!("../cabildo.example.yaml");

    fn production(yaml: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let env = env.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let mut source = Source::default();
        source.add_yaml(yaml);
        source.add_environment(env);
        Config::read(source, &Profile::Production)
    }

    fn keys_of(error: &ConfigError) -> Vec<&str> {
        error.0.iter().map(|problem| problem.key.as_str()).collect()
    }

    /// Keys that are commented out are written without a space: `#key: value`.
    fn uncommented() -> String {
        EXAMPLE
            .lines()
            .map(|line| match line.trim_start().strip_prefix('#') {
                Some(rest) if rest.starts_with(|first: char| first.is_ascii_alphanumeric()) => {
                    format!("{}{rest}", &line[..line.len() - rest.len() - 1])
                }
                _ => line.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_example_is_a_valid_configuration() {
        let config = production(EXAMPLE, &[]).expect("as it stands");
        assert_eq!(config.http.bind.port(), 3014);
        assert_eq!(config.internal.bind.port(), 3015);
        assert_eq!(config.media.bind.port(), 3478);
        production(&uncommented(), &[]).expect("with every key");
    }

    #[test]
    fn addresses_and_buckets_that_no_server_has_are_named() {
        let wrong = [
            ("CABILDO_VAULT__KIND", "s3"),
            ("CABILDO_VAULT__S3__ACCESS_KEY_ID", "key"),
            ("CABILDO_VAULT__S3__SECRET_ACCESS_KEY", "secret"),
            ("CABILDO_VAULT__S3__BUCKET", "../año"),
            ("CABILDO_VAULT__S3__ENDPOINT", "http://u:p@127.0.0.1:1"),
            ("CABILDO_EVENTS__WEBHOOKS__X__TENANT_ID", "0190a1b2-0000-7000-8000-000000000001"),
            ("CABILDO_EVENTS__WEBHOOKS__X__URL", "https://u:p@hooks.example/h"),
            (
                "CABILDO_EVENTS__WEBHOOKS__X__SECRET",
                "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            ),
        ];
        let error = production(EXAMPLE, &wrong).expect_err("three problems");
        let mut keys = keys_of(&error);
        keys.sort_unstable();
        assert_eq!(keys, ["events.webhooks.x.url", "vault.s3.bucket", "vault.s3.endpoint"]);
        let right = [("CABILDO_VAULT__S3__BUCKET", "cabildo.test-1"), wrong[0], wrong[1], wrong[2]];
        production(EXAMPLE, &right).expect("a bucket");
    }

    #[test]
    fn filters_of_what_is_logged_can_not_silence_everything_by_a_slip() {
        for wrong in ["inof", "warning", "cabildo:debug", "inof,cabildo=debug", "info=", "7"] {
            let error = production(EXAMPLE, &[("CABILDO_TELEMETRY__FILTER", wrong)]);
            assert_eq!(keys_of(&error.expect_err(wrong)), ["telemetry.filter"], "{wrong}");
        }
        for right in
            ["info", "WARN", "off", "3", "info,cabildo=debug", "cabildo=trace", "warn,sqlx"]
        {
            production(EXAMPLE, &[("CABILDO_TELEMETRY__FILTER", right)]).expect(right);
        }
    }

    #[test]
    fn turn_over_tls_without_an_address_is_no_setting_without_effect() {
        let rest = [
            ("CABILDO_MEDIA__TURN__TLS_CERT", "/nowhere/turn.pem"),
            ("CABILDO_MEDIA__TURN__TLS_HOST", "turn.example"),
            ("CABILDO_MEDIA__TURN__TLS_KEY", "/nowhere/turn.key"),
            ("CABILDO_MEDIA__TURN__TLS_PORT", "443"),
        ];
        let error = production(EXAMPLE, &rest).expect_err("no address");
        let keys = ["tls_cert", "tls_host", "tls_key", "tls_port"];
        assert_eq!(keys_of(&error), keys.map(|key| format!("media.turn.{key}")));
        for [one] in rest.map(|key| [key]) {
            production(EXAMPLE, &[one]).expect_err(one.0);
        }
        let bind = |address| ("CABILDO_MEDIA__TURN__TLS_BIND", address);
        let [cert, host, key, port] = rest;
        let error = production(EXAMPLE, &[bind("nowhere"), cert, host, key, port]);
        assert_eq!(keys_of(&error.expect_err("no address")), ["media.turn.tls_bind"]);
        production(EXAMPLE, &[bind("127.0.0.1:443"), cert, host, key, port]).expect("all of it");
    }

    #[test]
    fn variables_that_are_not_text_are_problems() {
        let mut source = Source::default();
        source.add_yaml(EXAMPLE);
        let value = OsString::from_vec(b"0.0.0.0:\xff".to_vec());
        source.add_environment([(OsString::from("CABILDO_HTTP__BIND"), value)].into_iter());
        let error = Config::read(source, &Profile::Production).expect_err("not text");
        assert_eq!(keys_of(&error), ["http.bind"]);
    }

    #[test]
    fn the_example_names_every_key() {
        let mut source = Source::default();
        source.add_yaml(&uncommented());
        let given = source.keys();
        let mut reader = reader::Reader::new(source);
        sections::read(&mut reader, &Profile::Production);
        assert!(!reader.has_problem(""));
        for key in reader.asked() {
            let base = key.strip_suffix("_file").unwrap_or(key);
            assert!(given.iter().any(|given| given == base), "{key} is missing");
        }
    }

    #[test]
    fn every_problem_is_listed_at_once_with_its_key() {
        let error = production(
            "http: {bind: nowhere, public_url: 'ftp://x', colour: red}\nmedia: {workers: 9999, bitrate: {start_kbps: 60, max_kbps: 50}}\n",
            &[("CABILDO_STORE__MAX_CONNECTIONS", "many"), ("CABILDO_NOTHING__AT_ALL", "1")],
        )
        .expect_err("nothing of this is right");
        let keys = keys_of(&error);
        for key in [
            "http.bind",
            "http.colour",
            "http.public_url",
            "identity.audience",
            "identity.issuer",
            "identity.jwks_url",
            "internal.ca",
            "internal.cert",
            "internal.key",
            "media.bitrate.start_kbps",
            "media.workers",
            "nothing.at_all",
            "store.max_connections",
            "keys.directory",
            "recorder.spool",
            "store.url",
            "vault.directory",
        ] {
            assert!(keys.contains(&key), "{key} is not listed in {keys:?}");
        }
        assert!(error.to_string().contains("http.colour: unknown key"));
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = production(
            EXAMPLE,
            &[
                ("CABILDO_HTTP__BIND", "127.0.0.1:9000"),
                ("CABILDO_HTTP__TRUSTED_PROXIES", "10.0.0.1, 10.0.0.2"),
                ("CABILDO_INTERNAL__ALLOW__END_SESSION", "spiffe://x/governance"),
            ],
        )
        .expect("valid");
        assert_eq!(config.http.bind.port(), 9000);
        assert_eq!(config.http.trusted_proxies.len(), 2);
        let allowed = &config.internal.allow[&ServiceRoute::EndSession];
        assert_eq!(allowed.iter().collect::<Vec<_>>(), ["spiffe://x/governance"]);
    }

    #[test]
    fn a_secret_may_come_from_a_file_and_never_prints() {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), "postgres://u:hunter2@db/cabildo\n").expect("written");
        let path = file.path().to_str().expect("utf-8");
        let without_url = EXAMPLE.replace("\n  url:", "\n  #url:");
        let config =
            production(&without_url, &[("CABILDO_STORE__URL_FILE", path)]).expect("from the file");
        assert_eq!(config.store.url.expose(), "postgres://u:hunter2@db/cabildo");
        assert!(!format!("{config:?}").contains("hunter2"));

        let error = production(EXAMPLE, &[("CABILDO_STORE__URL_FILE", path)]).expect_err("twice");
        assert_eq!(keys_of(&error), ["store.url"]);
        let error = production(&without_url, &[("CABILDO_STORE__URL_FILE", "/nowhere/at/all")])
            .expect_err("no such file");
        assert_eq!(keys_of(&error), ["store.url_file"]);
        assert!(error.to_string().contains("/nowhere/at/all"), "{error}");
    }

    #[test]
    fn a_secret_in_a_file_that_is_empty_is_refused_by_key_and_file() {
        let mut source = Source::default();
        source.add_yaml(&uncommented());
        let mut reader = reader::Reader::new(source);
        sections::read(&mut reader, &Profile::Production);
        assert!(!reader.has_problem(""));
        let files: Vec<_> = reader.asked().filter_map(|key| key.strip_suffix("_file")).collect();
        assert!(files.contains(&"providers.zoom.client_secret"), "{files:?}");
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        let path = file.path().to_str().expect("utf-8");
        for key in files {
            for blank in ["", "\n", " \t\r\n\n"] {
                std::fs::write(file.path(), blank).expect("written");
                let mut source = Source::default();
                source.add_yaml(&uncommented());
                source.remove(key);
                source.set(&format!("{key}_file"), path.to_owned());
                let error = Config::read(source, &Profile::Production).expect_err(key);
                let said = format!("{key}_file: names {path}, which is empty");
                assert!(error.to_string().contains(&said), "{key}: {error}");
            }
        }
    }

    #[test]
    fn of_a_file_that_is_no_yaml_only_that_is_said() {
        for yaml in
            ["http:\n\tbind: x", "http: {}\nhttp: {}\n", "- a list", "a: 99999999999999999999x: 1"]
        {
            let mut source = Source::default();
            source.add_yaml(yaml);
            let error = Config::read(source, &Profile::Production).expect_err(yaml);
            assert_eq!(keys_of(&error), [""], "{error}");
        }
    }

    #[test]
    fn a_tenant_may_have_limits_of_its_own() {
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
        let yaml = format!("{EXAMPLE}\n");
        let name =
            "CABILDO_TENANTS__OVERRIDES__01890A5D_AC96_774B_BCCE_B302099A8057__MAX_ACTIVE_SESSIONS";
        let config = production(&yaml, &[(name, "3")]).expect("valid");
        let tenant = tenant.parse().expect("uuid");
        let limits = config.tenants.of(tenant, None);
        let default = config.tenants.default;
        assert_eq!(limits, TenantLimitsConfig { max_active_sessions: 3, ..default });
        let stated = TenantLimitsConfig {
            max_active_sessions: 7,
            max_participants: 40,
            max_bitrate_kbps: 9_000,
            max_concurrent_streams: 0,
        };
        let limits = config.tenants.of(tenant, Some(stated));
        assert_eq!(limits, TenantLimitsConfig { max_active_sessions: 3, ..stated });
        assert_eq!(config.tenants.of(TenantId::generate(), Some(stated)), stated);
        assert_eq!(config.tenants.of(TenantId::generate(), None), default);
        let none = production(&yaml, &[(name, "0")]).expect_err("fewer than one");
        let key = "tenants.overrides.01890a5d-ac96-774b-bcce-b302099a8057.max_active_sessions";
        assert_eq!(keys_of(&none), [key]);
    }

    #[test]
    fn an_account_of_a_provider_is_whole_and_its_secrets_go_over_tls() {
        let problems = |lines: &str| {
            let yaml = format!("{EXAMPLE}\nproviders: {{{lines}}}\n");
            production(&yaml.replace("\nproviders:\n", "\nproviders_before:\n"), &[])
                .expect_err("not valid")
                .0
                .into_iter()
                .map(|problem| problem.key)
                .filter(|key| key.starts_with("providers."))
                .collect::<Vec<_>>()
        };
        let zoom = "account_id: a, client_id: b, client_secret: c, host_user: d";
        assert_eq!(problems("zoom: {account_id: a, client_id: b}").len(), 2);
        assert_eq!(problems("zoom: {webhook_secret: a}").len(), 4);
        let plain = format!("zoom: {{{zoom}, api_url: 'http://zoom.example'}}");
        assert_eq!(problems(&plain), ["providers.zoom.api_url"]);
        assert_eq!(problems("google_meet: {subject: a@b}"), ["providers.google_meet.credentials"]);
        let no_key = "google_meet: {subject: a@b, credentials: '{}'}";
        assert_eq!(problems(no_key), ["providers.google_meet.credentials"]);
        assert_eq!(problems("end_after_s: 86401"), ["providers.end_after_s"]);
        let access = "google_meet: {access: EVERYBODY}";
        assert!(problems(access).contains(&"providers.google_meet.access".to_owned()));
    }

    #[test]
    fn an_engine_for_speech_is_one_that_is_given_and_so_is_that_of_a_tenant() {
        let read = |lines: &str| {
            let yaml = format!("{EXAMPLE}\ntranscription: {{{lines}}}\n");
            production(&yaml.replace("\ntranscription:\n", "\ntranscription_before:\n"), &[])
        };
        let problems = |lines: &str| {
            let error = read(lines).expect_err("the section before is none");
            let keys = error.0.into_iter().map(|problem| problem.key);
            keys.filter(|key| key.starts_with("transcription.")).collect::<Vec<_>>()
        };
        let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
        let city = "engines: {city: {url: 'https://speech.example'}}";
        assert_eq!(problems(&format!("{city}, tenants: {{{tenant}: city}}")), Vec::<String>::new());
        assert_eq!(problems(&format!("{city}, engine: city")), Vec::<String>::new());
        assert_eq!(problems(&format!("{city}, engine: town")), ["transcription.engine"]);
        assert_eq!(problems("engine: whisper"), ["transcription.model"]);
        assert_eq!(problems("engine: openai"), ["transcription.openai.url"]);
        let of_tenant = format!("transcription.tenants.{tenant}");
        assert_eq!(problems(&format!("tenants: {{{tenant}: town}}")), [of_tenant]);
        assert_eq!(problems("tenants: {me: none}"), ["transcription.tenants.me"]);
        assert_eq!(problems("engines: {city: {model: m}}"), ["transcription.engines.city.url"]);
        let url = "url: 'https://speech.example'";
        assert_eq!(
            problems(&format!("engines: {{none: {{{url}}}}}")),
            ["transcription.engines.none"]
        );
        let login = "engines: {city: {url: 'https://a:b@speech.example'}}";
        assert_eq!(problems(login), ["transcription.engines.city.url"]);
        let kind = format!("engines: {{city: {{kind: other, {url}}}}}");
        let members = ["kind", "url"].map(|it| format!("transcription.engines.city.{it}"));
        assert_eq!(problems(&kind), members);
    }

    #[test]
    fn an_engine_of_google_has_a_project_and_the_key_of_an_account() {
        let read = |lines: &str| {
            let engine = format!("{{city: {{kind: google, {lines}}}}}");
            let mut source = Source::default();
            source.add_yaml(&format!("transcription: {{engine: city, engines: {engine}}}"));
            let mut reader = reader::Reader::new(source);
            let config = transcription::read(&mut reader);
            let keys: Vec<String> = reader.finish().into_iter().map(|it| it.key).collect();
            (config, keys)
        };
        let key = |uri: &str| {
            let key = serde_json::json!({
                "client_email": "a@b", "private_key": "hunter2", "token_uri": uri,
            });
            format!("credentials: '{key}'")
        };
        let safe = key("https://oauth2.example/token");
        let (config, keys) = read(&format!("project: land, location: eu, {safe}"));
        assert_eq!(keys, Vec::<String>::new());
        let remote = &config.remotes["city"];
        let SpeechServiceConfig::Google(google) = &remote.service else { panic!("{remote:?}") };
        assert_eq!(google.url, "https://eu-speech.googleapis.com");
        assert_eq!(google.recognizer, "projects/land/locations/eu/recognizers/_");
        assert_eq!(google.token_url, "https://oauth2.example/token");
        assert!(google.recognises_language && remote.fallback);
        assert!(!format!("{config:?}").contains("hunter2"));
        let (config, _) = read(&format!("project: land, {safe}, fallback: false"));
        let SpeechServiceConfig::Google(google) = &config.remotes["city"].service else { panic!() };
        assert_eq!(google.url, "https://speech.googleapis.com");
        let city = |member: &str| vec![format!("transcription.engines.city.{member}")];
        for (lines, member) in [
            (safe.clone(), "project"),
            ("project: land".to_owned(), "credentials"),
            ("project: land, credentials: '{}'".to_owned(), "credentials"),
            (format!("project: land, {}", key("http://oauth2.example/token")), "credentials"),
            (format!("project: 'a/b', {safe}"), "project"),
            (format!("project: land, location: 'x/y', {safe}"), "location"),
            (format!("project: land, recognizer: '../x', {safe}"), "recognizer"),
            (format!("project: land, url: 'http://speech.example', {safe}"), "url"),
            (format!("project: land, key: sk, {safe}"), "key"),
        ] {
            let (_, mut keys) = read(&lines);
            keys.retain(|key| key != "transcription.engine");
            assert_eq!(keys, city(member), "{lines}");
        }
    }

    #[test]
    fn a_login_to_kafka_is_whole_and_says_how_it_is_protected() {
        let problems = |lines: &str| {
            let yaml = format!("{EXAMPLE}\nkafka: {{brokers: [k:9092], {lines}}}\n");
            production(&yaml.replace("\nkafka:\n", "\nkafka_before:\n"), &[])
                .map_or_else(|error| error.0, |_| Vec::new())
                .into_iter()
                .map(|problem| problem.key)
                .filter(|key| key.starts_with("kafka."))
                .collect::<Vec<_>>()
        };
        assert_eq!(problems("topic: events"), Vec::<String>::new());
        assert_eq!(problems("username: a, password: b"), ["kafka.security"]);
        assert_eq!(problems("security: sasl_ssl"), ["kafka.username"]);
        assert_eq!(problems("security: tls"), ["kafka.security"]);
        assert_eq!(problems("ca: /x"), ["kafka.security"]);
        assert_eq!(problems("security: ssl, cert: /x"), ["kafka.cert"]);
        assert_eq!(problems("topic: 'a b'"), ["kafka.topic"]);
        let login = "security: sasl_plaintext, mechanism: PLAIN, username: a, password: b";
        assert_eq!(problems(login), Vec::<String>::new());
    }

    #[test]
    fn a_bucket_needs_its_names_and_its_secret() {
        let only = "vault: {kind: s3}";
        let yaml = EXAMPLE.replace("vault:\n", "vault_before:\n");
        let error = production(&format!("{yaml}\n{only}\n"), &[]).expect_err("incomplete");
        let keys = keys_of(&error);
        for key in ["vault.s3.bucket", "vault.s3.access_key_id", "vault.s3.secret_access_key"] {
            assert!(keys.contains(&key), "{key} is not listed in {keys:?}");
        }
        let bucket = [
            ("CABILDO_VAULT__KIND", "s3"),
            ("CABILDO_VAULT__S3__BUCKET", "assemblies"),
            ("CABILDO_VAULT__S3__ACCESS_KEY_ID", "cabildo"),
            ("CABILDO_VAULT__S3__SECRET_ACCESS_KEY", "hunter2"),
        ];
        let config = production(EXAMPLE, &bucket).expect("complete");
        assert!(
            matches!(&config.recording.vault, VaultConfig::S3(s3) if s3.bucket == "assemblies")
        );
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn services_are_called_over_tls_and_governance_with_a_certificate() {
        let config = production(EXAMPLE, &[]).expect("valid");
        assert_eq!(config.services.identity, None, "a service without an address is not asked");
        let given = |name: &str, value: &str| {
            let name = format!("CABILDO_SERVICES__{name}");
            production(EXAMPLE, &[(&name, value)]).map(|config| config.services)
        };
        let problems = |name: &str, value: &str| {
            let error = given(name, value).expect_err("a problem");
            error.0.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        let services = given("IDENTITY__URL", "https://identity.example/v").expect("valid");
        assert!(services.identity.is_some_and(|service| service.tls.is_none()));
        for url in ["http://tenancy.example", "https://me@tenancy.example", "ftp://127.0.0.1", "x"]
        {
            assert_eq!(problems("TENANCY__URL", url), ["services.tenancy.url"], "{url}");
        }
        assert!(given("USER_PROFILES__URL", "http://127.0.0.1:3020").is_ok());
        let url = "https://governance.example";
        assert_eq!(problems("GOVERNANCE__URL", url), ["services.governance.cert"]);
        assert_eq!(problems("GOVERNANCE__CERT", "/a.pem"), ["services.governance.cert"]);
    }

    #[test]
    fn what_is_not_yaml_is_one_problem() {
        let error = production("{", &[]).expect_err("not YAML");
        assert_eq!(error.0[0].key, "");
        assert!(production("- a list", &[]).is_err());
    }

    #[test]
    fn metrics_stay_on_the_machine_and_name_no_tenant_unless_asked() {
        let config = production(EXAMPLE, &[]).expect("valid");
        assert!(config.http.metrics_bind.is_some_and(|bind| bind.ip().is_loopback()));
        assert!(!config.telemetry.tenant_labels);
        let asked = [
            ("CABILDO_HTTP__METRICS_BIND", "10.0.0.1:9464"),
            ("CABILDO_TELEMETRY__TENANT_LABELS", "true"),
        ];
        let config = production(EXAMPLE, &asked).expect("valid");
        assert_eq!(config.http.metrics_bind, "10.0.0.1:9464".parse().ok());
        assert!(config.telemetry.tenant_labels);
    }

    #[test]
    fn development_needs_nothing() {
        let profile = Profile::Dev { data_dir: "/tmp/somewhere".into() };
        let config = Config::read(Source::default(), &profile).expect("defaults");
        assert!(config.http.bind.ip().is_loopback());
        assert!(config.internal.bind.ip().is_loopback());
        assert!(config.media.bind.ip().is_loopback());
        assert!(config.store.url.expose().starts_with("sqlite:"));
        assert!(config.recording.recorder.spool.starts_with("/tmp/somewhere"));
        assert!(config.internal.allow.values().all(|allowed| !allowed.is_empty()));
    }
}
