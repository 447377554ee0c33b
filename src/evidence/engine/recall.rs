//! A log recalled from the store, checked against what was signed of it.

use std::collections::BTreeMap;
use std::time::Instant;

use super::{LogEngine, Point};
use crate::evidence::EventKind;
use crate::evidence::entry::{Body, Entry};
use crate::evidence::error::EvidenceError;
use crate::evidence::repository::{LogRecord, StoredEntry};
use crate::evidence::tree::{LEAVES_MAX, Tree, leaf_hash};
use crate::sealing::EventsKey;

/// A log of which some entries were recalled.
#[derive(Debug)]
pub(in crate::evidence) struct Recollection(LogEngine);

impl Recollection {
    /// Nothing recalled yet.
    pub(in crate::evidence) fn new(record: &LogRecord, events_key: Option<EventsKey>) -> Self {
        Self(LogEngine {
            // Until the genesis says it.
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

    /// Entries recalled.
    pub(in crate::evidence) fn size(&self) -> u64 {
        self.0.size()
    }

    /// The next entry. Its leaf is computed from its bytes: what was signed is
    /// what is read, or the roots differ.
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

    /// The log, all of whose entries were recalled, if `head`, the newest that
    /// was stored, is one of it.
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
                None => return Err(EvidenceError::Integrity("a signed head is larger")),
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
