//! What custody has to know of entries: which keys were logged as erased, when
//! nothing was taken of a track, and of what kind an entry is.

use std::collections::BTreeSet;

use ciborium::Value;

use crate::custody::{Custody, CustodyError};
use crate::domain::id::{RecordedTrackId, SessionId, TenantId};

/// Entries read at once.
const ENTRIES_PER_READ: u32 = 1_000;

/// An entry, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Track { track: RecordedTrackId },
    Segment { track: RecordedTrackId, index: u64 },
    Event { commitment: [u8; 32] },
    Gap { track: RecordedTrackId, from_ms: u64, to_ms: u64 },
    Erasure { target_seq: u64 },
    Other,
}

/// What an entry is; `None` when it is not an entry.
pub(super) fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let Ok(Value::Array(entry)) = ciborium::from_reader::<Value, _>(bytes) else { return None };
    let [_, kind, _, _, Value::Array(body)] = &entry[..] else { return None };
    Some(match (unsigned(kind)?, &body[..]) {
        (1, [track, ..]) => Kind::Track { track: track_of(track)? },
        (2, [track, index, ..]) => {
            Kind::Segment { track: track_of(track)?, index: unsigned(index)? }
        }
        (3, [_, commitment]) => {
            Kind::Event { commitment: commitment.as_bytes()?.as_slice().try_into().ok()? }
        }
        (4, [track, from, to, _]) => {
            Kind::Gap { track: track_of(track)?, from_ms: unsigned(from)?, to_ms: unsigned(to)? }
        }
        (5, [target, ..]) => Kind::Erasure { target_seq: unsigned(target)? },
        _ => Kind::Other,
    })
}

/// Whether an entry begins like one of this kind: version 1 and the kind are
/// one byte each, behind the head of an array of five.
fn begins_like(bytes: &[u8], kind: u8) -> bool {
    bytes.starts_with(&[0x85, 0x01, kind])
}

fn unsigned(value: &Value) -> Option<u64> {
    u64::try_from(value.as_integer()?).ok()
}

fn track_of(value: &Value) -> Option<RecordedTrackId> {
    let uuid = uuid::Uuid::from_slice(value.as_bytes()?).ok()?;
    Some(RecordedTrackId::from_uuid(uuid))
}

impl Custody {
    /// The targets of all erasures in a log.
    pub(super) async fn erased_targets(
        &self,
        tenant: TenantId,
        session: SessionId,
    ) -> Result<BTreeSet<u64>, CustodyError> {
        let mut targets = BTreeSet::new();
        let found = self.entries_of_kind(tenant, session, 5).await?;
        targets.extend(found.into_iter().filter_map(|(_, kind)| match kind {
            Kind::Erasure { target_seq } => Some(target_seq),
            _ => None,
        }));
        Ok(targets)
    }

    /// Every entry of one kind, with its `seq`. Meant for kinds of which there
    /// are few: erasures and gaps.
    pub(super) async fn entries_of_kind(
        &self,
        tenant: TenantId,
        session: SessionId,
        kind: u8,
    ) -> Result<Vec<(u64, Kind)>, CustodyError> {
        let mut found = Vec::new();
        let mut from = 0;
        loop {
            let entries =
                self.parts.evidence.entries(tenant, session, from, ENTRIES_PER_READ).await?;
            let Some(last) = entries.last() else { return Ok(found) };
            from = last.seq + 1;
            for entry in entries.iter().filter(|entry| begins_like(&entry.bytes, kind)) {
                if let Some(kind) = kind_of(&entry.bytes) {
                    found.push((entry.seq, kind));
                }
            }
        }
    }

    /// What the entry at `seq` is.
    pub(super) async fn entry_kind(
        &self,
        tenant: TenantId,
        session: SessionId,
        seq: u64,
    ) -> Result<Option<Kind>, CustodyError> {
        let entries = self.parts.evidence.entries(tenant, session, seq, 1).await?;
        let entry = entries.first().filter(|entry| entry.seq == seq);
        Ok(entry.and_then(|entry| kind_of(&entry.bytes)))
    }
}
