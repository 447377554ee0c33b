//! A cache of the trees of logs and of values computed from them, for making proofs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::domain::id::SessionKey;
use crate::evidence::cose::LogIdentity;
use crate::evidence::keys::EvidenceKey;
use crate::evidence::public_proof::{ProofEntry, ProofOperator};
use crate::evidence::repository::{LogRecord, StoredHead};
use crate::evidence::tree::Tree;

/// Leaves of all cached trees together; at least one tree is kept. Raising it raises memory, 64
/// bytes per leaf.
const READER_LEAVES_MAX: u64 = 1 << 20;
/// Most cached trees.
const READERS_MAX: usize = 256;

/// The common part of all proofs of a log for one head.
pub(super) struct Basis {
    pub(super) read_at: Instant,
    /// Number of heads of the log that this process had signed before this was read.
    pub(super) generation: u64,
    pub(super) record: LogRecord,
    pub(super) head: StoredHead,
    /// The issuer and subject of that head.
    pub(super) identity: LogIdentity,
    pub(super) key: Arc<EvidenceKey>,
    pub(super) operator: Option<ProofOperator>,
}

/// The cached tree of one log, and receipts made from it.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) tree: Tree,
    pub(super) basis: Option<Arc<Basis>>,
    /// Size of the head to which `entries` and `consistency` belong.
    pub(super) size: u64,
    pub(super) entries: BTreeMap<u64, ProofEntry>,
    /// Receipts of consistency by the smaller size.
    pub(super) consistency: BTreeMap<u64, String>,
}

/// The cached trees.
#[derive(Default)]
pub(super) struct Readers(Mutex<ReaderTable>);

#[derive(Default)]
struct ReaderTable {
    uses: u64,
    readers: BTreeMap<SessionKey, KeptReader>,
}

#[derive(Default)]
struct KeptReader {
    used: u64,
    leaves: u64,
    /// Number of heads that this process has signed since the reader was cached.
    generation: u64,
    reader: Arc<tokio::sync::Mutex<Reader>>,
}

impl Readers {
    /// The cached tree of a log, and how many heads were signed since it was cached.
    pub(super) fn reader(&self, key: SessionKey) -> (Arc<tokio::sync::Mutex<Reader>>, u64) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.uses += 1;
        let used = table.uses;
        let kept = table.readers.entry(key).or_default();
        kept.used = used;
        let found = (Arc::clone(&kept.reader), kept.generation);
        table.make_room();
        found
    }

    /// Stores how large a tree has become.
    pub(super) fn grown(&self, key: SessionKey, leaves: u64) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = table.readers.get_mut(&key) {
            kept.leaves = leaves;
        }
        table.make_room();
    }

    /// Reports that a head was signed; the next proof uses it.
    pub(super) fn head_signed(&self, key: SessionKey) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = table.readers.get_mut(&key) {
            kept.generation += 1;
        }
    }

    /// Removes the cached tree of a log.
    pub(super) fn forget(&self, key: SessionKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).readers.remove(&key);
    }
}

impl ReaderTable {
    /// Removes the trees that were not used for the longest time, until the limits are met.
    fn make_room(&mut self) {
        loop {
            let total: u64 = self.readers.values().map(|kept| kept.leaves).sum();
            let fits = total <= READER_LEAVES_MAX && self.readers.len() <= READERS_MAX;
            if fits || self.readers.len() == 1 {
                return;
            }
            let oldest = self.readers.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { return };
            self.readers.remove(&oldest);
        }
    }
}
