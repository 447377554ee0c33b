//! The record: vault, keys, log, recorder and playable files, made from the
//! configuration and plugged into rooms, sessions and doors.

mod custody;
mod door;
mod lifecycle;
mod room;

use std::env::current_exe;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;

use self::lifecycle::RecordsObserver;
use self::room::{Recording, Witness};

use super::parts::public_origin;
use crate::claims::{BootClock, Claims, ClaimsParts, LeaseTimes};
use crate::clock::Clock;
use crate::config::{Config, VaultConfig};
use crate::custody::{Custody, CustodyParts, CustodyTask, Settlement, SettlementParts};
use crate::domain::id::InstanceId;
use crate::evidence::repository::Hash;
use crate::evidence::{Evidence, EvidenceKeys, EvidenceOptions, EvidenceParts, OperatorKey};
use crate::history::History;
use crate::playable::{
    Library, LibraryParts, PART_BYTES, Playables, PlayablesOptions, PlayablesParts,
};
use crate::recorder::{Recorder, RecorderOptions, RecorderParts};
use crate::room::Rooms;
use crate::room::ports::RoomPorts;
use crate::sfu::Sfu;
use crate::store::Store;
use crate::vault::{Directory, KeyVault, LocalKeyVault, S3, S3Options, S3Timeouts, Vault};

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;
/// Bytes of the executable in memory while it is hashed.
const HASHED_AT_ONCE: usize = 256 * 1024;

/// What the record stands on: also what commands beside a running server need.
pub struct Foundation {
    /// Where sealed objects live.
    pub vault: Arc<dyn Vault>,
    /// Where tenant keys live.
    pub keys: Arc<dyn KeyVault>,
    /// The log.
    pub evidence: Evidence,
    /// Which background work this process does.
    pub claims: Claims,
}

/// Opens vault and keys, and starts the log.
///
/// # Errors
/// When a directory can't be made or read, or the bucket's options are wrong.
pub fn open_foundation(
    config: &Config,
    store: &Store,
    clock: &Clock,
) -> anyhow::Result<Foundation> {
    let public_origin = public_origin(config);
    let directory = &config.record.keys.directory;
    let keys: Arc<dyn KeyVault> =
        Arc::new(LocalKeyVault::open(directory.join("tenants")).context("keys.directory")?);
    let signing = EvidenceKeys::open(&directory.join("evidence")).context("keys.directory")?;
    let operator = OperatorKey::open(&directory.join("operator")).context("keys.directory")?;
    let issuer = config.record.evidence.issuer.clone();
    let database = Arc::new(store.clone());
    let evidence = Evidence::start(
        EvidenceParts {
            repository: database.clone(),
            keys: keys.clone(),
            signing: Arc::new(signing),
            operator: Arc::new(operator),
            source: Arc::new(room::JournalSource::new(database)),
            clock: clock.clone(),
        },
        EvidenceOptions {
            issuer: issuer.unwrap_or_else(|| public_origin.to_owned()),
            origin: log_origin(public_origin),
            build_hash: build_hash(),
        },
    );
    let claims = Claims::start(ClaimsParts {
        repository: Arc::new(store.clone()),
        instance: InstanceId::generate(),
        clock: BootClock::system(),
        times: LeaseTimes::default(),
    });
    Ok(Foundation { vault: open_vault(config)?, keys, evidence, claims })
}

/// The name of the operator log: its address without a scheme.
fn log_origin(public_origin: &str) -> String {
    let host = public_origin.split_once("://").map_or(public_origin, |(_, host)| host);
    format!("{host}/evidence/log")
}

/// SHA-256 of the running executable; of its version where that can't be read.
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

fn open_vault(config: &Config) -> anyhow::Result<Arc<dyn Vault>> {
    Ok(match &config.record.vault {
        VaultConfig::Directory(path) => {
            Arc::new(Directory::open(path.clone()).context("vault.directory")?)
        }
        VaultConfig::S3(s3) => Arc::new(
            S3::new(&S3Options {
                endpoint: s3.endpoint.clone(),
                region: s3.region.clone(),
                bucket: s3.bucket.clone(),
                prefix: s3.prefix.trim_matches('/').to_owned(),
                path_style: s3.path_style,
                access_key_id: s3.access_key_id.clone(),
                secret_access_key: s3.secret_access_key.clone(),
                ca: s3.ca.clone(),
                object_lock_days: s3.object_lock_days,
                timeouts: S3Timeouts::default(),
            })
            .context("vault.s3")?,
        ),
    })
}

/// Bytes as text on the wire (RFC 4648 §5, without padding).
fn base64_text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Everything that records rooms, running.
pub(super) struct Record {
    settlement: Settlement,
    recorder: Recorder,
    custody: CustodyTask,
    claims: Claims,
    stopping: CancellationToken,
    store: Arc<Store>,
    evidence: Evidence,
    clock: Clock,
}

impl Record {
    /// Starts the recorder, the maker of playable files and custody.
    ///
    /// # Errors
    /// When the spool can't be used, or the store can't be read.
    pub(super) async fn start(
        config: &Config,
        store: &Store,
        foundation: &Foundation,
        media: &Sfu,
        clock: &Clock,
    ) -> anyhow::Result<Self> {
        let recorder = start_recorder(config, store, foundation, media, clock).await?;
        let playables = start_playables(config, store, foundation, clock);
        let (evidence, clock) = (foundation.evidence.clone(), clock.clone());
        let custody = custody_of(store, foundation, &clock);
        let interval = Duration::from_secs(config.record.recorder.retention_interval_s.into());
        let database = Arc::new(store.clone());
        let settlement = Settlement::new(SettlementParts {
            sessions: database.clone(),
            logs: database.clone(),
            recordings: database,
            evidence: evidence.clone(),
            recorder: recorder.clone(),
            playables,
            claims: foundation.claims.clone(),
            clock: clock.clone(),
        });
        let (store, claims) = (Arc::new(store.clone()), foundation.claims.clone());
        let (custody, stopping) = (custody.start(interval), CancellationToken::new());
        Ok(Self { settlement, recorder, custody, claims, stopping, store, evidence, clock })
    }

    /// What rooms are given.
    pub(super) fn ports(&self) -> RoomPorts {
        let witness = Witness::new(self.evidence.clone(), self.clock.clone());
        RoomPorts {
            listeners: vec![Arc::new(Recording::new(self.recorder.clone()))],
            witness: Some(Arc::new(witness)),
            limits: None,
        }
    }

    pub(super) fn observer(&self) -> RecordsObserver {
        RecordsObserver::new(self.settlement.clone())
    }

    /// The playable files of its recordings.
    pub(super) fn library(&self, foundation: &Foundation) -> Library {
        Library::new(LibraryParts {
            repository: self.store.clone(),
            vault: foundation.vault.clone(),
            keys: foundation.keys.clone(),
            recorder: self.recorder.clone(),
        })
    }

    /// What happened when in its sessions.
    pub(super) fn history(&self) -> History {
        History::new(self.store.clone(), self.store.clone())
    }

    pub(super) fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Tells rooms of every head that is signed.
    pub(super) fn tell_heads(&self, rooms: Rooms) {
        let stopped = self.stopping.clone();
        let telling = lifecycle::tell_heads(self.evidence.clone(), rooms);
        tokio::spawn(async move { stopped.run_until_cancelled(telling).await });
    }

    /// Takes up what an earlier process left.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) async fn recover(&self) -> anyhow::Result<()> {
        Ok(self.settlement.start().await?)
    }

    /// Seals what is open and lets go of what waits.
    pub(super) async fn shutdown(self) {
        self.custody.shutdown().await;
        self.settlement.shutdown().await;
        self.stopping.cancel();
        self.claims.shutdown().await;
    }
}

/// A recorder on that foundation.
async fn start_recorder(
    config: &Config,
    store: &Store,
    foundation: &Foundation,
    media: &Sfu,
    clock: &Clock,
) -> anyhow::Result<Recorder> {
    let recorder = &config.record.recorder;
    let mut options = RecorderOptions::new(recorder.spool.clone());
    options.spool_free_bytes_min = u64::from(recorder.spool_free_mib_min) * MIB;
    options.spool_free_bytes_warn = u64::from(recorder.spool_free_mib_warn) * MIB;
    let log = room::MediaLog::new(foundation.evidence.clone(), store.clone(), clock.clone());
    let parts = RecorderParts {
        media: Arc::new(media.clone()),
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        repository: Arc::new(store.clone()),
        log: Arc::new(log),
        claims: foundation.claims.clone(),
        clock: clock.clone(),
    };
    Recorder::start(parts, options).await.context("recorder.spool")
}

/// The maker of playable files on that foundation.
fn start_playables(
    config: &Config,
    store: &Store,
    foundation: &Foundation,
    clock: &Clock,
) -> Playables {
    let recorder = &config.record.recorder;
    let ffmpeg = recorder.ffmpeg.clone().or_else(|| on_path("ffmpeg"));
    if ffmpeg.is_none() {
        tracing::warn!("without ffmpeg there are no combined recordings, only those of tracks");
    }
    let store = Arc::new(store.clone());
    let parts = PlayablesParts {
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        repository: store.clone(),
        timeline: Arc::new(door::StoredTimeline::new(History::new(store.clone(), store))),
        claims: foundation.claims.clone(),
        clock: clock.clone(),
    };
    let scratch = recorder.spool.join("scratch");
    Playables::start(parts, PlayablesOptions { ffmpeg, scratch, part_bytes: PART_BYTES })
}

/// A program, as the shell would find it.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Erasure, rewrapping and bundles on that foundation; also for commands
/// beside a running server.
#[must_use]
pub fn custody_of(store: &Store, foundation: &Foundation, clock: &Clock) -> Custody {
    let store = Arc::new(store.clone());
    let log = custody::LogDoor::new(foundation.evidence.clone(), store.clone());
    Custody::new(CustodyParts {
        evidence: store.clone(),
        recordings: store.clone(),
        claims: foundation.claims.clone(),
        sessions: store,
        vault: foundation.vault.clone(),
        keys: foundation.keys.clone(),
        log: Arc::new(log),
        clock: clock.clone(),
    })
}
