//! The signed, append-only log of a session, with every decision and every sealed segment;
//! `docs/EVIDENCE.md` defines the format. Storage is accessed through traits.

mod cbor;
mod commitment;
mod cose;
mod engine;
mod entry;
mod error;
mod event_kind;
mod handle;
mod head;
mod key_file;
mod keys;
pub mod media;
mod metrics;
mod operator;
mod operator_key;
mod ports;
mod proof;
mod public_proof;
mod readers;
mod receipt;
pub mod repository;
mod requests;
mod scribe;
mod scribes;
mod shared;
mod tree;

pub use commitment::{event_commitment, subject_commitment, subject_text};
pub use cose::LogIdentity;
pub use engine::{HEAD_INTERVAL_MS, TEXT_BYTES_MAX};
pub use entry::{Body, Entry, kind_number};
pub use error::EvidenceError;
pub use event_kind::EventKind;
pub use handle::{Evidence, EvidenceParts};
pub use head::{Point, sign_head};
pub use key_file::KeyFileError;
pub use keys::{EvidenceKey, EvidenceKeys};
pub use metrics::describe_metrics;
pub use operator::TilePath;
pub use operator_key::{OperatorKey, operator_origin};
pub use ports::{EvidenceOptions, HeadNotice, RoomEvent, RoomEventSource, SHUTDOWN_MAX};
pub use public_proof::{
    EventDisclosure, LogStatus, PROOF_SEQS_MAX, ProofEntry, ProofHead, ProofKey, ProofOperator,
    ProofQuery, PublicProof, SubjectDisclosure,
};
pub use receipt::{consistency_receipt, inclusion_receipt};
pub use requests::WAITING_MAX;
pub use tree::{LEAVES_MAX, Tree, empty_root, leaf_hash};
