//! Reads a log back from the store and checks it against its signed heads.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{LogEngine, Point};
use crate::evidence::EventKind;
use crate::evidence::entry::{Body, Entry};
use crate::evidence::error::EvidenceError;
use crate::evidence::repository::{LogRecord, StoredEntry};
use crate::evidence::tree::{LEAVES_MAX, Tree, leaf_hash};
use crate::sealing::EventsKey;

/// A log of which some entries were read.
#[derive(Debug)]
pub(in crate::evidence) struct Recollection(LogEngine);

impl Recollection {
    /// Begins with no entries.
    pub(in crate::evidence) fn new(record: &LogRecord, events_key: Option<EventsKey>) -> Self {
        Self(LogEngine {
            // Replaced when the genesis is read.
            version: 1,
            decisions: Vec::new(),
            tree: Tree::new(),
            events_key,
            room_seq: record.room_seq,
            last_event_seq: record.last_event_seq,
            closed_seq: record.closed_seq,
            tracks: BTreeMap::new(),
            erased: BTreeMap::new(),
            signers: Vec::new(),
            head: Point::none(),
            uncovered_since: None,
            pending: None,
        })
    }

    /// Number of entries read.
    pub(in crate::evidence) fn size(&self) -> u64 {
        self.0.size()
    }

    /// Takes the next entry. Its leaf hash is computed from its bytes, so that the root differs if
    /// the bytes are not those that were signed.
    pub(in crate::evidence) fn handle_entry(
        &mut self,
        stored: &StoredEntry,
    ) -> Result<(), EvidenceError> {
        let log = &mut self.0;
        let seq = log.size();
        if seq >= LEAVES_MAX {
            return Err(EvidenceError::Full);
        }
        let entry = Entry::read(&stored.bytes).filter(|it| it.seq == seq && stored.seq == seq);
        let entry = entry.ok_or(EvidenceError::Integrity("an entry is missing or unreadable"))?;
        match entry.body {
            Body::Genesis { kid, .. } => {
                log.version = entry.version;
                log.signers.push((seq, kid));
            }
            Body::Key { kid } => log.signers.push((seq, kid)),
            Body::Event { kind, .. } => {
                if kind == EventKind::RoomEvent {
                    log.decisions.push(seq);
                }
            }
            Body::Track { track, subject_commitment, .. } => {
                log.remember_track(track, seq, subject_commitment);
            }
            Body::Segment { track, sha256, .. } => log.remember_segment(track, seq, sha256),
            Body::Erasure { target_seq, .. } => {
                log.erased.entry(target_seq).or_insert(seq);
            }
            Body::Gap { .. } | Body::Rest { .. } | Body::Close { .. } => {}
        }
        log.tree.append(leaf_hash(&stored.bytes));
        Ok(())
    }

    /// The log, after all entries were read, if it agrees with `head`, the newest stored head.
    pub(in crate::evidence) fn finish(
        self,
        record: &LogRecord,
        head: Option<Point>,
        now: Instant,
    ) -> Result<LogEngine, EvidenceError> {
        let mut log = self.0;
        if log.size() != record.size || log.size() < 2 {
            return Err(EvidenceError::Integrity("entries are missing"));
        }
        if let Some(head) = head {
            match log.root(head.size) {
                None => {
                    return Err(EvidenceError::Integrity(
                        "a signed head covers more entries than are stored",
                    ));
                }
                Some(root) if root != head.root => {
                    return Err(EvidenceError::Integrity("a signed head has another root"));
                }
                Some(_) => log.head = head,
            }
        }
        if log.head.size < log.size() {
            log.uncovered_since = Some(now);
        }
        Ok(log)
    }
}
