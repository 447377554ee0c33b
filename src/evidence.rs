//! The signed, append-only log of a session: every decision and every sealed
//! segment, as `docs/EVIDENCE.md` writes it down. What is stored comes and goes
//! through traits.

mod cbor;
mod commitment;
mod cose;
mod entry;
mod head;
mod key_file;
mod keys;
pub mod media;
mod operator_key;
mod receipt;
pub mod repository;
mod tree;

pub use commitment::{event_commitment, subject_commitment, subject_text};
pub use cose::LogIdentity;
pub use entry::Body;
pub use head::{Point, sign_head};
pub use key_file::KeyFileError;
pub use keys::{EvidenceKey, EvidenceKeys};
pub use operator_key::OperatorKey;
pub use receipt::{consistency_receipt, inclusion_receipt};
pub use tree::{LEAVES_MAX, Tree, empty_root, leaf_hash};
