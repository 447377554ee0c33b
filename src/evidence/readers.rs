//! Trees of logs, kept in memory for proofs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::id::{SessionId, TenantId};
use crate::evidence::tree::Tree;

/// Trees kept for proofs, at most this many leaves together but always one.
/// Raising it raises memory, 64 bytes a leaf.
const READER_LEAVES_MAX: u64 = 1 << 20;
/// Most trees kept for proofs, however small.
const READERS_MAX: usize = 256;
/// The tree of one log as proofs need it, and receipts made of it.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) tree: Tree,
    /// Size of the head that `receipts` are about.
    pub(super) size: u64,
    pub(super) receipts: BTreeMap<u64, Vec<u8>>,
}

/// Trees that were read for proofs lately.
#[derive(Default)]
pub(super) struct Readers(Mutex<ReaderTable>);

#[derive(Default)]
struct ReaderTable {
    uses: u64,
    readers: BTreeMap<(TenantId, SessionId), KeptReader>,
}

#[derive(Default)]
struct KeptReader {
    used: u64,
    leaves: u64,
    reader: Arc<tokio::sync::Mutex<Reader>>,
}

impl Readers {
    /// The reader of a log; others make room for it.
    pub(super) fn reader(
        &self,
        key: (TenantId, SessionId),
        leaves: u64,
    ) -> Arc<tokio::sync::Mutex<Reader>> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.uses += 1;
        let used = table.uses;
        let kept = table.readers.entry(key).or_default();
        kept.used = used;
        kept.leaves = leaves;
        let reader = Arc::clone(&kept.reader);
        loop {
            let total: u64 = table.readers.values().map(|kept| kept.leaves).sum();
            let fits = total <= READER_LEAVES_MAX && table.readers.len() <= READERS_MAX;
            if fits || table.readers.len() == 1 {
                return reader;
            }
            let oldest = table.readers.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { return reader };
            table.readers.remove(&oldest);
        }
    }

    /// Drops the reader of a log.
    pub(super) fn forget(&self, key: (TenantId, SessionId)) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).readers.remove(&key);
    }
}
