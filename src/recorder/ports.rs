//! The parts, options, counters and errors of a recorder.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::claims::{ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::store_error::StoreError;
use crate::recorder::disk::{SpoolDisk, SystemDisk};
use crate::recorder::log::RecorderLog;
use crate::recorder::repository::RecordingRepository;
use crate::sfu::SessionTaps;
use crate::vault::{KeyVault, Vault};

/// What a recorder is made of.
#[derive(Clone)]
pub struct RecorderParts {
    /// Where tracks are tapped.
    pub media: Arc<dyn SessionTaps>,
    /// Where segments go.
    pub vault: Arc<dyn Vault>,
    /// What wraps their keys.
    pub keys: Arc<dyn KeyVault>,
    /// The recordings in the database.
    pub repository: Arc<dyn RecordingRepository>,
    /// The logs of sessions.
    pub log: Arc<dyn RecorderLog>,
    /// Which sessions this instance records.
    pub claims: Claims,
    /// The time.
    pub clock: Clock,
}

/// How a recorder is started.
#[derive(Clone)]
pub struct RecorderOptions {
    /// Directory of segments on their way to the vault; one process at a time.
    pub spool: PathBuf,
    /// Bytes that have to stay free on its disk; below, nothing is taken and
    /// the gap is recorded.
    pub spool_free_bytes_min: u64,
    /// Bytes below which there are warnings.
    pub spool_free_bytes_warn: u64,
    /// First wait before something that failed is tried again, milliseconds.
    pub retry_ms_min: u64,
    /// Longest wait, milliseconds. Raising it delays what waits once the vault
    /// is back.
    pub retry_ms_max: u64,
    /// Longest time, in milliseconds, that [`shutdown`] waits for the disk.
    /// Raising it lets a slow disk take more of what is sealed, and makes a stop
    /// of the server take longer when the disk hangs.
    ///
    /// [`shutdown`]: crate::recorder::Recorder::shutdown
    pub shutdown_ms_max: u64,
    /// The file operations of the spool.
    pub disk: Arc<dyn SpoolDisk>,
}

impl RecorderOptions {
    /// A spool in `spool` on the machine's disk: 256 MiB stay free, warnings
    /// below 4 GiB, tries after 0.2 to 60 seconds, 10 seconds for a shutdown.
    #[must_use]
    pub fn new(spool: PathBuf) -> Self {
        Self {
            spool,
            spool_free_bytes_min: 256 << 20,
            spool_free_bytes_warn: 4 << 30,
            retry_ms_min: 200,
            retry_ms_max: 60_000,
            shutdown_ms_max: 10_000,
            disk: Arc::new(SystemDisk),
        }
    }
}

/// The recorder could not do it.
#[derive(Debug, thiserror::Error)]
pub enum RecorderError {
    /// The directory of the spool can't be used.
    #[error("the spool can't be used: {0}")]
    Spool(#[source] io::Error),
    /// Another process uses the directory.
    #[error("another process uses the spool")]
    SpoolInUse,
    /// A thread can't be started.
    #[error("the recorder can't start: {0}")]
    Start(#[source] io::Error),
    /// The recorder has been shut down.
    #[error("the recorder is stopped")]
    Stopped,
    /// The database can't be read now.
    #[error(transparent)]
    Repository(#[from] StoreError),
    /// Which sessions other instances record can't be read now.
    #[error(transparent)]
    Claims(#[from] ClaimError),
}

/// Counters and sizes of a recorder since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecorderStats {
    /// Tracks being recorded.
    pub tracks: u64,
    /// Batches of packets that wait for the recorder.
    pub batches_waiting: u64,
    /// Packets taken.
    pub packets: u64,
    /// Segments sealed.
    pub segments_sealed: u64,
    /// Milliseconds recorded, all tracks together.
    pub recorded_ms: u64,
    /// Segments that wait in the spool.
    pub spool_segments: u64,
    /// Their bytes.
    pub spool_bytes: u64,
    /// How long the oldest of them has waited.
    pub oldest_pending_ms: u64,
    /// Bytes free on the disk of the spool.
    pub spool_free_bytes: u64,
    /// Times that vault, log, key vault or repository failed.
    pub upload_failures: u64,
    /// Tracks that were set aside because the log refuses them.
    pub tracks_set_aside: u64,
    /// Gaps.
    pub gaps: u64,
    /// Packets that were lost because the recorder was busy.
    pub packets_lost: u64,
}
