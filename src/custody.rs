//! What is done with a recording once its session is over. It is settled: its last segments are
//! stored and its log is closed. It is erased when its retention time is over or a person asks for
//! it. Its keys are rewrapped when the tenant's key has been rotated. Proofs of it are exported as
//! bundles.
//!
//! Every step can be repeated: the log, the repositories and the vault show what a step has done,
//! so work that was interrupted is continued by starting it again.

mod archive;
mod bundle;
mod bundle_files;
mod claim;
mod disclosure;
mod driver;
mod entries;
mod erasure;
mod evidence_log;
mod log;
mod objects;
mod output;
pub mod repository;
mod rewrapping;
mod settling;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::claims::{ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::id::{RecordedTrackId, SessionId, TenantId};
use crate::domain::store_error::StoreError;
use crate::evidence::repository::EvidenceRepository;
use crate::recorder::repository::RecordingRepository;
use crate::vault::{DamagedObjects, KeyVault, KeyVaultError, Vault, VaultError};

pub use archive::{Archive, ArchiveStream};
pub use bundle::{Bundle, BundleWanted, CLIP_SEGMENTS_MAX, ClipWanted, Exported};
pub use disclosure::{DISCLOSED_MAX, Texts};
pub use driver::CustodyTask;
pub use erasure::{Erased, ErasureReason};
pub use evidence_log::EvidenceLog;
pub use log::{CustodyLog, CustodyLogError};
pub use rewrapping::Rewrapped;
pub use settling::{Settlement, SettlementError, SettlementParts, policy_of};

use repository::CustodyRepository;

/// The other parts that custody uses.
#[derive(Clone)]
pub struct CustodyParts {
    /// Logs of sessions.
    pub evidence: Arc<dyn EvidenceRepository>,
    /// Tracks, segments and files of sessions.
    pub recordings: Arc<dyn RecordingRepository>,
    /// The claims by which this process owns work on recordings.
    pub claims: Claims,
    /// The sessions of tenants.
    pub sessions: Arc<dyn CustodyRepository>,
    /// Where sealed objects are stored.
    pub vault: Arc<dyn Vault>,
    /// Where tenant keys are kept.
    pub keys: Arc<dyn KeyVault>,
    /// Writes logs and makes proofs.
    pub log: Arc<dyn CustodyLog>,
    /// The wall clock.
    pub clock: Clock,
    /// The time by which it is judged whether a retention is over.
    pub ages: Clock,
    /// Told of objects that are not as the log says.
    pub damaged: DamagedObjects,
}

/// Custody of recordings. Cloning is cheap.
#[derive(Clone)]
pub struct Custody {
    parts: Arc<CustodyParts>,
}

impl Custody {
    /// Makes a custody that uses these parts.
    #[must_use]
    pub fn new(parts: CustodyParts) -> Self {
        Self { parts: Arc::new(parts) }
    }
}

impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custody")
    }
}

/// Why custody failed or refused. Steps that were completed before stay completed and are not
/// repeated.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The session has no log.
    #[error("the session has no log")]
    NoLog,
    /// Nothing of the tenant is stored.
    #[error("nothing of tenant {0} is stored: it has no sessions, cameras or captures here")]
    NoSuchTenant(TenantId),
    /// The session has no such track.
    #[error("the session has no recorded track {0}")]
    NoSuchTrack(RecordedTrackId),
    /// The log has no such entry, or its contents can't be disclosed.
    #[error("entry {seq}: {problem}")]
    NotDisclosable {
        /// The entry.
        seq: u64,
        /// The reason.
        problem: &'static str,
    },
    /// The log of the session is not closed yet.
    #[error("the session is still being recorded; end it first")]
    StillRecorded,
    /// The session has no log yet, since it has not begun.
    #[error(
        "the session is not over: nothing of it can be erased before it has ended or was cancelled"
    )]
    NotOver,
    /// Another instance or command is erasing the recording or rewrapping its keys.
    #[error("another instance or command is working on the recording; try again later")]
    Claimed,
    /// The claim on the work could not be read or taken.
    #[error(transparent)]
    Claims(ClaimError),
    /// The requested part of the recording was erased.
    #[error("it was erased")]
    Erased,
    /// The request names too many items.
    #[error("{what}: at most {max}")]
    TooMany {
        /// The kind of items.
        what: &'static str,
        /// Most items allowed.
        max: usize,
    },
    /// Nothing was recorded in the requested time.
    #[error("nothing was recorded between these times")]
    Nothing,
    /// Some keys are still wrapped with older tenant keys.
    #[error("{0} keys are still wrapped by older tenant keys; rewrap them first")]
    OldKeysInUse(u64),
    /// A session of the tenant is being recorded, or its files are being made.
    #[error("session {0} is still being recorded or made playable")]
    Unfinished(SessionId),
    /// The database or the vault contradicts the log.
    #[error("the record disagrees with its log: {0}")]
    Disagrees(String),
    /// The output path exists and is not an empty directory.
    #[error("{} exists and is not empty", .0.display())]
    OutputNotEmpty(PathBuf),
    /// The output path of a single file exists.
    #[error("{} exists already", .0.display())]
    OutputExists(PathBuf),
    /// A file could not be written.
    #[error("{}: {source}", .path.display())]
    Output {
        /// The path.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// Whoever wanted the bundle has gone, or takes nothing of it any more.
    #[error("the bundle is not taken any more")]
    Abandoned,
    /// The log or the recordings could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key vault failed.
    #[error(transparent)]
    Keys(#[from] KeyVaultError),
    /// The log could not be written, or no proof could be made.
    #[error(transparent)]
    Log(#[from] CustodyLogError),
}

impl From<ClaimError> for CustodyError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken | ClaimError::Lost => Self::Claimed,
            ClaimError::Store(_) => Self::Claims(error),
        }
    }
}
