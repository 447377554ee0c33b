//! Vault, keys, logs and claims, which recording and the commands of `cabildo evidence` both use.

use std::env::current_exe;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::storage::open_own;
use crate::api::MetricsSource;
use crate::claims::{Claims, ClaimsParts, LeaseTimes};
use crate::clock::{BootClock, Clock};
use crate::config::Config;
use crate::custody::{self, Custody, CustodyParts};
use crate::domain::id::InstanceId;
use crate::evidence::repository::Hash;
use crate::evidence::{
    Evidence, EvidenceKeys, EvidenceOptions, EvidenceParts, OperatorKey, operator_origin,
};
use crate::store::Store;
use crate::vault::{
    DamagedObjects, IdentifiedKeys, KeyVault, LocalKeyVault, PutFailures, Vault, WatchedVault,
};

/// Bytes of the executable that are read at once while it is hashed.
const HASHED_AT_ONCE: usize = 256 * 1024;

/// Vault, keys, logs and claims; also used by commands that run without a server.
pub struct Foundation {
    /// Storage of sealed objects.
    pub vault: Arc<dyn Vault>,
    /// The failures to store something in it.
    pub put_failures: PutFailures,
    /// Its objects that were found missing or changed.
    pub damaged: DamagedObjects,
    /// The keys of tenants.
    pub keys: Arc<dyn KeyVault>,
    /// The logs of sessions.
    pub evidence: Evidence,
    /// The claims of this process on background work.
    pub claims: Claims,
}

impl Foundation {
    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.evidence.clone())
    }

    /// Releases the claims and stops writing logs.
    pub(super) async fn shutdown(self) {
        self.claims.shutdown().await;
        self.evidence.shutdown().await;
    }
}

#[async_trait]
impl MetricsSource for Evidence {
    async fn report(&self) {
        self.report_metrics();
    }
}

/// Opens vault and keys, and starts the log.
///
/// # Errors
/// When a directory can't be made or read, the bucket's options are wrong, or the vault or the keys are not
/// those of the database's installation.
pub async fn open_foundation(
    config: &Config,
    store: &Store,
    clock: &Clock,
) -> anyhow::Result<Foundation> {
    let directory = &config.recording.keys.directory;
    // Before anything is made or opened in a directory that may be another.
    let stored = open_own(config, store).await?;
    let keys = LocalKeyVault::open(directory.join("tenants")).context("keys.directory")?;
    let keys: Arc<dyn KeyVault> =
        Arc::new(IdentifiedKeys::new(Arc::new(keys), Arc::new(store.clone())));
    let public_origin = public_origin(config);
    let signing = EvidenceKeys::open(&directory.join("evidence")).context("keys.directory")?;
    let operator_directory = directory.join("operator");
    let operator = OperatorKey::open(&operator_directory).context("keys.directory")?;
    let origin = operator_origin(&operator_directory, &log_origin(public_origin));
    let origin = origin.context("keys.directory")?;
    let issuer = config.recording.evidence.issuer.clone();
    let database = Arc::new(store.clone());
    let evidence = Evidence::start(
        EvidenceParts {
            repository: database.clone(),
            keys: keys.clone(),
            signing: Arc::new(signing),
            operator: Arc::new(operator),
            source: database,
            clock: clock.clone(),
        },
        EvidenceOptions {
            issuer: issuer.unwrap_or_else(|| public_origin.to_owned()),
            origin,
            build_hash: build_hash(),
        },
    );
    let claims = Claims::start(ClaimsParts {
        repository: Arc::new(store.clone()),
        instance: InstanceId::generate(),
        clock: BootClock::system(),
        times: LeaseTimes::default(),
    });
    let put_failures = PutFailures::default();
    let vault = Arc::new(WatchedVault::new(stored, put_failures.clone()));
    let damaged = DamagedObjects::default();
    Ok(Foundation { vault, put_failures, damaged, keys, evidence, claims })
}

/// The origin of an operator log that begins now: the public origin without its scheme.
fn log_origin(public_origin: &str) -> String {
    let host = public_origin.split_once("://").map_or(public_origin, |(_, host)| host);
    format!("{host}/evidence/log")
}

/// SHA-256 of the running executable, or of its version if the executable can't be read.
fn build_hash() -> Hash {
    hash_of_executable().unwrap_or_else(|_| Sha256::digest(env!("CARGO_PKG_VERSION")).into())
}

fn hash_of_executable() -> std::io::Result<Hash> {
    let mut executable = BufReader::with_capacity(HASHED_AT_ONCE, File::open(current_exe()?)?);
    let mut hash = Sha256::new();
    loop {
        let read = executable.fill_buf()?;
        if read.is_empty() {
            return Ok(hash.finalize().into());
        }
        hash.update(read);
        let length = read.len();
        executable.consume(length);
    }
}

/// The origin that is the issuer in heads of logs that begin now. In development it has no port, so that commands
/// use the same issuer as the server.
pub(super) fn public_origin(config: &Config) -> &str {
    config.http.public_url.as_deref().unwrap_or("http://localhost")
}

/// Makes a custody with these parts, for erasure, rewrapping and bundles; also used by commands
/// that run without a server.
#[must_use]
pub fn custody_of(
    store: &Store,
    foundation: &Foundation,
    (clock, ages): (&Clock, Clock),
) -> Custody {
    let store = Arc::new(store.clone());
    let log = custody::EvidenceLog::new(foundation.evidence.clone(), store.clone());
    Custody::new(CustodyParts {
        evidence: store.clone(),
        recordings: store.clone(),
        claims: foundation.claims.clone(),
        sessions: store,
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        log: Arc::new(log),
        clock: clock.clone(),
        ages,
        damaged: foundation.damaged.clone(),
    })
}
