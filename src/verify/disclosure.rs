//! Disclosures (docs/EVIDENCE.md, "Bundle"): texts of events and subjects with their salts, and
//! keys of segments.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::entry::TrackId;
use super::files::without_mark;
use super::keys::fixed_b64;
use super::proof::uuid;
use super::report::{Code, Finding};
use super::tree::Hash;

/// Largest file of disclosures accepted, in bytes: a day's transcript and keys.
pub const DISCLOSURES_BYTES_MAX: u64 = 64 << 20;

/// The kind of text that a commitment is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    Event,
    Subject,
}

/// A text and the salt of its commitment.
#[derive(Debug, Clone)]
pub(super) struct Opening {
    pub(super) salt: Hash,
    pub(super) text: String,
}

/// The key of a segment.
#[derive(Debug, Clone)]
pub(super) struct SegmentKey {
    pub(super) epoch: u64,
    pub(super) key: Hash,
}

/// All disclosures, by the entry or segment to which they belong. Each is removed when it is
/// checked.
#[derive(Debug, Clone, Default)]
pub struct Disclosures {
    pub(super) events: BTreeMap<u64, Opening>,
    pub(super) subjects: BTreeMap<u64, Opening>,
    pub(super) segments: BTreeMap<(TrackId, u64), SegmentKey>,
}

#[derive(Deserialize)]
struct DisclosuresJson {
    v: u64,
    events: Vec<EventJson>,
    subjects: Vec<SubjectJson>,
    segments: Vec<SegmentJson>,
}

#[derive(Deserialize)]
struct EventJson {
    seq: u64,
    salt: String,
    event: String,
}

#[derive(Deserialize)]
struct SubjectJson {
    seq: u64,
    salt: String,
    subject: String,
}

#[derive(Deserialize)]
struct SegmentJson {
    track: String,
    index: u64,
    epoch: u64,
    key: String,
}

fn malformed(why: impl std::fmt::Display) -> Finding {
    Finding::new(Code::Malformed, format!("disclosures: {why}"))
}

impl Disclosures {
    /// Parses a file of disclosures.
    pub fn parse(document: &[u8]) -> Result<Self, Finding> {
        let json: DisclosuresJson =
            serde_json::from_slice(without_mark(document)).map_err(malformed)?;
        if json.v != 1 {
            return Err(malformed("another version"));
        }
        let mut all = Self::default();
        let opening = |salt: &str, text: String| {
            let salt = fixed_b64(salt).ok_or_else(|| malformed("a salt is not 32 bytes"))?;
            Ok::<_, Finding>(Opening { salt, text })
        };
        let mut is_twice = false;
        for EventJson { seq, salt, event } in json.events {
            is_twice |= all.events.insert(seq, opening(&salt, event)?).is_some();
        }
        for SubjectJson { seq, salt, subject } in json.subjects {
            is_twice |= all.subjects.insert(seq, opening(&salt, subject)?).is_some();
        }
        for SegmentJson { track, index, epoch, key } in json.segments {
            let track = uuid(&track).ok_or_else(|| malformed("a track is not a UUID"))?;
            let key = fixed_b64(&key).ok_or_else(|| malformed("a key is not 32 bytes"))?;
            is_twice |= all.segments.insert((track, index), SegmentKey { epoch, key }).is_some();
        }
        if is_twice { Err(malformed("one entry or segment is disclosed twice")) } else { Ok(all) }
    }
}

impl Opening {
    /// Checks that `commit` is the commitment to this text: SHA-256 of the deterministic CBOR of
    /// `[label, salt, text]`.
    pub(super) fn check(&self, label: Label, commit: &Hash) -> Result<(), Finding> {
        let mut hash = Sha256::new();
        hash.update([0x83]);
        hash.update(match label {
            Label::Event => &b"\x63ev1"[..],
            Label::Subject => b"\x64sub1",
        });
        hash.update([0x58, 0x20]);
        hash.update(self.salt);
        let length = self.text.len().to_be_bytes();
        match self.text.len() {
            0..=0x17 => hash.update([0x60 | length[7]]),
            0x18..=0xFF => hash.update([0x78, length[7]]),
            0x100..=0xFFFF => hash.update([0x79, length[6], length[7]]),
            _ => {
                hash.update([0x7A]);
                hash.update(&length[4..]);
            }
        }
        hash.update(&self.text);
        if Hash::from(hash.finalize()) == *commit {
            Ok(())
        } else {
            Err(Finding::new(
                Code::DisclosureInvalid,
                "the text and its salt do not match the commitment in the log",
            ))
        }
    }
}
