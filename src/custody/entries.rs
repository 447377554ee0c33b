//! Reads entries of the log for custody: erased keys, gaps and rests of tracks, and single entries.

use std::collections::BTreeSet;

use crate::custody::{Custody, CustodyError};
use crate::domain::id::SessionKey;
use crate::evidence::{Body, Entry, kind_number};

/// Entries read at once.
const ENTRIES_PER_READ: u32 = 1_000;
/// Number of the kind of event entries (`docs/EVIDENCE.md` §Entries).
pub(super) const EVENT: u64 = 3;
/// Number of the kind of gap entries (`docs/EVIDENCE.md` §Entries).
pub(super) const GAP: u64 = 4;
/// Number of the kind of rest entries.
pub(super) const REST: u64 = 8;
/// Number of the kind of erasure entries.
const ERASURE: u64 = 5;

impl Custody {
    /// The targets of all erasures in a log.
    pub(super) async fn erased_targets(
        &self,
        key: SessionKey,
    ) -> Result<BTreeSet<u64>, CustodyError> {
        let found = self.entries_of_kind(key, ERASURE).await?;
        let target = |entry: Entry| match entry.body {
            Body::Erasure { target_seq, .. } => Some(target_seq),
            _ => None,
        };
        Ok(found.into_iter().filter_map(target).collect())
    }

    /// Every entry whose kind has this number. For kinds that have few entries, such as erasures
    /// and gaps.
    pub(super) async fn entries_of_kind(
        &self,
        key: SessionKey,
        kind: u64,
    ) -> Result<Vec<Entry>, CustodyError> {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let entries = self.parts.evidence.entries(key, from, ENTRIES_PER_READ).await?;
            let Some(last) = entries.last() else { return Ok(found) };
            from = last.seq + 1;
            let of_kind = entries.iter().filter(|it| kind_number(&it.bytes) == Some(kind));
            found.extend(of_kind.filter_map(|entry| Entry::read(&entry.bytes)));
        }
    }

    /// The entry at `seq`.
    pub(super) async fn entry(
        &self,
        key: SessionKey,
        seq: u64,
    ) -> Result<Option<Entry>, CustodyError> {
        let entries = self.parts.evidence.entries(key, seq, 1).await?;
        let entry = entries.first().and_then(|entry| Entry::read(&entry.bytes));
        Ok(entry.filter(|entry| entry.seq == seq))
    }
}
