//! What is done to recordings once their session is over: they are settled,
//! that is, brought to their end in vault and log; they are erased when their time
//! has come or a person asks for it, their keys are rewrapped when the
//! tenant's key is rotated, and proofs of them are exported as bundles.
//!
//! Every step can be repeated: what a step has done is seen in the log, the
//! repositories and the vault, so that work that was cut short anywhere is
//! continued by beginning again.

mod bundle;
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
use crate::domain::id::{RecordedTrackId, SessionId};
use crate::evidence::repository::{EvidenceRepository, EvidenceStoreError};
use crate::recorder::repository::{RecordingRepository, RecordingStoreError};
use crate::vault::{KeyVault, KeyVaultError, Vault, VaultError};

pub use bundle::{CLIP_SEGMENTS_MAX, ClipWanted, Exported};
pub use disclosure::DISCLOSED_MAX;
pub use driver::CustodyTask;
pub use erasure::{Erased, ErasureReason};
pub use evidence_log::EvidenceLog;
pub use log::{CustodyLog, CustodyLogError};
pub use rewrapping::Rewrapped;
pub use settling::{Settlement, SettlementError, SettlementParts, policy_of};

use repository::CustodyRepository;

/// What custody works with.
#[derive(Clone)]
pub struct CustodyParts {
    /// Where logs are.
    pub evidence: Arc<dyn EvidenceRepository>,
    /// Where recordings are known.
    pub recordings: Arc<dyn RecordingRepository>,
    /// Which recordings this process works on.
    pub claims: Claims,
    /// Which sessions there are.
    pub sessions: Arc<dyn CustodyRepository>,
    /// Where sealed objects are.
    pub vault: Arc<dyn Vault>,
    /// Where tenant keys are.
    pub keys: Arc<dyn KeyVault>,
    /// Who writes logs and proves them.
    pub log: Arc<dyn CustodyLog>,
    /// The time.
    pub clock: Clock,
}

/// Custody of recordings. Cheap to clone.
#[derive(Clone)]
pub struct Custody {
    parts: Arc<CustodyParts>,
}

impl Custody {
    /// Custody by these parts.
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

/// Why custody did not do what it was asked. What it had done by then stays
/// done and is not done twice.
#[derive(Debug, thiserror::Error)]
pub enum CustodyError {
    /// The session has no log.
    #[error("the session has no log")]
    NoLog,
    /// The session has no such track.
    #[error("the session has no recorded track {0}")]
    NoSuchTrack(RecordedTrackId),
    /// The log has no such entry, or one that can't be disclosed.
    #[error("entry {seq}: {problem}")]
    NotDisclosable {
        /// The entry.
        seq: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Its log is not closed yet.
    #[error("the session is still being recorded; end it first")]
    StillRecorded,
    /// Another instance or command is erasing it or rewrapping its keys.
    #[error("another instance or command is working on the recording; try again later")]
    Claimed,
    /// Who works on it could not be asked.
    #[error(transparent)]
    Claims(ClaimError),
    /// What was asked for was erased.
    #[error("it was erased")]
    Erased,
    /// Too much was asked for at once.
    #[error("{what}: at most {max}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// Most of it.
        max: usize,
    },
    /// Nothing was recorded of what was asked for.
    #[error("nothing was recorded between these times")]
    Nothing,
    /// Keys are still wrapped by older tenant keys.
    #[error("{0} keys are still wrapped by older tenant keys; rewrap them first")]
    OldKeysInUse(u64),
    /// A session of the tenant is being recorded.
    #[error("session {0} is still being recorded or made playable")]
    Unfinished(SessionId),
    /// The log says something else than what is kept beside it.
    #[error("the record disagrees with its log: {0}")]
    Disagrees(String),
    /// Where a bundle was to be written there is something.
    #[error("{} exists and is not empty", .0.display())]
    OutputNotEmpty(PathBuf),
    /// A file could not be written.
    #[error("{}: {source}", .path.display())]
    Output {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log could not be read.
    #[error(transparent)]
    Evidence(#[from] EvidenceStoreError),
    /// What is known of recordings could not be read or written.
    #[error(transparent)]
    Recordings(#[from] RecordingStoreError),
    /// The vault could not do it.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The key vault could not do it.
    #[error(transparent)]
    Keys(#[from] KeyVaultError),
    /// The log could not be written or proven.
    #[error(transparent)]
    Log(#[from] CustodyLogError),
}

impl From<ClaimError> for CustodyError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Taken | ClaimError::Lost => Self::Claimed,
            ClaimError::Unavailable(_) => Self::Claims(error),
        }
    }
}
