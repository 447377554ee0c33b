//! The recorder: takes every track that it is told to, seals it in segments
//! while the meeting runs, and brings them to the vault and into the log.

mod core;
mod disk;
pub mod engine;
mod evidence_log;
mod handle;
pub mod journal;
mod log;
mod metrics;
mod owner;
mod ports;
mod recover;
pub mod repository;
mod spool;
mod sync;
mod thread;
mod upload;

pub use disk::{DirectoryEntry, SpoolDisk, SystemDisk};
pub use engine::RoomTrack;
pub use evidence_log::EvidenceLog;
pub use handle::Recorder;
pub use log::{RecorderLog, RecorderLogError};
pub use metrics::describe_metrics;
pub use ports::{RecorderError, RecorderOptions, RecorderParts, RecorderStats};
