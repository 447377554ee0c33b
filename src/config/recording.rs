//! The sections about recordings and their proofs.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use super::Profile;
use super::reader::Reader;
use super::sections::is_http_url;
use crate::domain::secret::Secret;

/// Where sealed objects are stored.
#[derive(Debug, Clone)]
pub enum VaultConfig {
    /// In a local directory.
    Directory(PathBuf),
    /// In a bucket.
    S3(S3Config),
}

/// A bucket.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// URL of the service; the address of the region when absent.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// Prefix of the names of objects.
    pub prefix: String,
    /// Whether the bucket's name is in the path instead of in the host name.
    pub path_style: bool,
    /// Access key id of the credentials.
    pub access_key_id: String,
    /// Secret access key of the credentials.
    pub secret_access_key: Secret<String>,
    /// PEM file of authorities to trust beside the platform's.
    pub ca: Option<PathBuf>,
    /// Days for which objects are locked; not at all when absent.
    pub object_lock_days: Option<u32>,
}

/// Where keys are stored.
#[derive(Debug, Clone)]
pub struct KeysConfig {
    /// Directory of tenant keys, evidence keys and the operator log's key.
    pub directory: PathBuf,
}

/// The options of the recorder.
#[derive(Debug, Clone)]
pub struct RecorderConfig {
    /// Directory of segments on their way to the vault.
    pub spool: PathBuf,
    /// MiB that must stay free on its disk; when less is free, nothing is recorded.
    pub spool_free_mib_min: u32,
    /// MiB of free space below which there are warnings.
    pub spool_free_mib_warn: u32,
    /// The ffmpeg program; searched in PATH when absent.
    pub ffmpeg: Option<PathBuf>,
    /// Interval, in seconds, at which recordings whose retention time is over are erased.
    pub retention_interval_s: u32,
}

/// The options of logs and their proofs.
#[derive(Debug, Clone)]
pub struct EvidenceConfig {
    /// `iss` of heads and receipts; the public URL when absent.
    pub issuer: Option<String>,
}

/// The options of playing recordings.
#[derive(Debug, Clone)]
pub struct PlaybackConfig {
    /// How long the address of a recording is valid, in seconds.
    pub url_ttl_s: u32,
    /// The key that signs these addresses; made at start when absent.
    pub signing_key: Option<Secret<Vec<u8>>>,
}

/// All sections about recordings.
#[derive(Debug, Clone)]
pub struct RecordingConfig {
    /// Where sealed objects are stored.
    pub vault: VaultConfig,
    /// Where keys are stored.
    pub keys: KeysConfig,
    /// The recorder.
    pub recorder: RecorderConfig,
    /// The log and its proofs.
    pub evidence: EvidenceConfig,
    /// Playing recordings.
    pub playback: PlaybackConfig,
}

pub(super) fn read(reader: &mut Reader, profile: &Profile) -> RecordingConfig {
    RecordingConfig {
        vault: read_vault(reader, profile),
        keys: KeysConfig { directory: reader.path("keys.directory", below(profile, "keys")) },
        recorder: read_recorder(reader, profile),
        evidence: read_evidence(reader),
        playback: read_playback(reader),
    }
}

/// The path of a file or directory in the data directory of development.
fn below(profile: &Profile, name: &str) -> Option<PathBuf> {
    match profile {
        Profile::Production => None,
        Profile::Dev { data_dir } => Some(data_dir.join(name)),
    }
}

fn read_vault(reader: &mut Reader, profile: &Profile) -> VaultConfig {
    let kind = reader.text("vault.kind").unwrap_or_else(|| "directory".to_owned());
    let s3 = read_s3(reader, kind == "s3");
    // The key may be present although it is not used.
    let default = if kind == "s3" { Some(PathBuf::new()) } else { below(profile, "vault") };
    let directory = reader.path("vault.directory", default);
    match kind.as_str() {
        "s3" => VaultConfig::S3(s3),
        "directory" => VaultConfig::Directory(directory),
        _ => {
            reader.problem("vault.kind", "expected directory or s3");
            VaultConfig::Directory(directory)
        }
    }
}

/// Days of the longest lock: a hundred years.
const LOCK_DAYS_MAX: u32 = 36_500;

/// Whether a URL names a host and nothing else: the path and host of an object are made of it.
fn is_origin(text: &str) -> bool {
    is_http_url(text)
        && Url::parse(text).is_ok_and(|url| {
            let is_plain = url.username().is_empty() && url.password().is_none();
            is_plain && url.path() == "/" && url.query().is_none() && url.fragment().is_none()
        })
}

/// Whether some S3 server has buckets of this name; older ones take more names than newer ones.
fn is_bucket(name: &str) -> bool {
    let is_taken = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (3..=255).contains(&name.len())
        && name.chars().all(is_taken)
        && !name.contains("..")
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn read_s3(reader: &mut Reader, used: bool) -> S3Config {
    let needed = |reader: &mut Reader, key: &str| {
        if used { reader.required(key, None) } else { reader.text(key).unwrap_or_default() }
    };
    let endpoint = reader.text("vault.s3.endpoint");
    if endpoint.as_deref().is_some_and(|url| !is_origin(url)) {
        let expected = "expected an http or https URL of a host, without credentials and path";
        reader.problem("vault.s3.endpoint", expected);
    }
    let region = reader.text("vault.s3.region").unwrap_or_else(|| "us-east-1".to_owned());
    let bucket = needed(reader, "vault.s3.bucket");
    if !bucket.is_empty() && !is_bucket(&bucket) {
        reader.problem("vault.s3.bucket", "expected 3 to 255 of a-z, A-Z, 0-9, dots, - and _");
    }
    let prefix = reader.text("vault.s3.prefix").unwrap_or_default();
    let path_style = reader.parsed("vault.s3.path_style", "true or false");
    let access_key_id = needed(reader, "vault.s3.access_key_id");
    let secret = reader.secret("vault.s3.secret_access_key");
    if used && secret.is_none() && !reader.has_problem("vault.s3.secret_access_key") {
        reader.problem("vault.s3.secret_access_key", "must be given");
    }
    let lock = reader.number_u32("vault.s3.object_lock_days", 0, 0..=LOCK_DAYS_MAX);
    S3Config {
        endpoint,
        region,
        bucket,
        prefix,
        path_style: path_style.unwrap_or(true),
        access_key_id,
        secret_access_key: secret.unwrap_or_else(|| Secret::new(String::new())),
        ca: reader.text("vault.s3.ca").map(PathBuf::from),
        object_lock_days: (lock > 0).then_some(lock),
    }
}

fn read_recorder(reader: &mut Reader, profile: &Profile) -> RecorderConfig {
    let spool = reader.path("recorder.spool", below(profile, "spool"));
    let least = reader.number_u32("recorder.spool_free_mib_min", 256, 1..=1_048_576);
    let warn = reader.number_u32("recorder.spool_free_mib_warn", 4_096, 1..=10_485_760);
    if warn < least {
        reader.problem("recorder.spool_free_mib_warn", "must not be below spool_free_mib_min");
    }
    RecorderConfig {
        spool,
        spool_free_mib_min: least,
        spool_free_mib_warn: warn,
        ffmpeg: reader.text("recorder.ffmpeg").map(PathBuf::from),
        retention_interval_s: reader.number_u32("recorder.retention_interval_s", 3_600, 1..=86_400),
    }
}

fn read_evidence(reader: &mut Reader) -> EvidenceConfig {
    let issuer = reader.text("evidence.issuer");
    if issuer.as_deref().is_some_and(|url| !is_http_url(url)) {
        reader.problem("evidence.issuer", "expected an http or https URL");
    }
    EvidenceConfig { issuer }
}

fn read_playback(reader: &mut Reader) -> PlaybackConfig {
    /// Shortest key, in bytes: as strong as the MAC that is made with it.
    const KEY_BYTES_MIN: usize = 32;
    let url_ttl_s = reader.number_u32("playback.url_ttl_s", 900, 30..=86_400);
    let signing_key = reader.secret("playback.signing_key").and_then(|text| {
        match STANDARD.decode(text.expose().trim()) {
            Ok(bytes) if bytes.len() >= KEY_BYTES_MIN => Some(Secret::new(bytes)),
            _ => {
                let expected = "expected base64 of 32 random bytes or more";
                reader.problem("playback.signing_key", expected);
                None
            }
        }
    });
    PlaybackConfig { url_ttl_s, signing_key }
}
