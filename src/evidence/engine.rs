#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The engine of one log: which entries it accepts, in which order, and when a head is due. It does
//! no I/O: accepted entries become an [`Append`], which counts once the driver says that it was
//! stored. When storing fails, the driver drops the engine and recalls the log from the store.

mod recall;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::domain::id::RecordedTrackId;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::evidence::commitment::{event_commitment, subject_commitment};
use crate::evidence::entry::{Body, VERSION};
use crate::evidence::error::EvidenceError;
use crate::evidence::head::Point;
use crate::evidence::media::{MediaEntry, Rest, TrackTail};
use crate::evidence::repository::{Append, Hash, StoredEntry, StoredEvent};
use crate::evidence::tree::{LEAVES_MAX, Tree, leaf_hash};
use crate::sealing::EventsKey;

pub(super) use recall::Recollection;

/// Longest time that an entry waits for a head, as promised in the genesis.
pub const HEAD_INTERVAL_MS: u64 = 2_000;
/// How long an entry waits for further entries before a head is signed. The rest of
/// [`HEAD_INTERVAL_MS`] is left for storing the head.
const HEAD_DELAY: Duration = Duration::from_secs(1);
/// Entries reserved for the end of the log, which a full log must still accept.
const RESERVE: u64 = 4_096;
/// Most tracks of a log. Raising it raises memory, about 100 bytes per track.
const TRACKS_MAX: usize = 1 << 16;
/// Longest text of an event, in bytes. Raising it raises the largest row and the memory of waiting
/// requests. Decisions of the room are not limited by it.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The contents of the first entries of a log.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub(super) log_id: [u8; 16],
    pub(super) kid: Hash,
    pub(super) build_hash: Hash,
    pub(super) policy: String,
    pub(super) events_key: EventsKey,
}

/// A head that must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueHead {
    pub(super) point: Point,
    pub(super) previous: Point,
    /// Identifier of the key that must sign it.
    pub(super) kid: Hash,
}

/// What the engine keeps of a track.
#[derive(Debug, Clone, Copy)]
struct Track {
    seq: u64,
    subject_commitment: Hash,
    /// Number of segments, and `seq` and hash of the last one.
    segments: u64,
    last: Option<(u64, Hash)>,
}

/// The engine of one log.
#[derive(Debug)]
pub(super) struct LogEngine {
    /// Version of the format of its entries.
    version: u64,
    tree: Tree,
    events_key: Option<EventsKey>,
    room_seq: u64,
    /// `seq` of each decision of the room; decision *n* of the room is element *n*, counted from 1.
    decisions: Vec<u64>,
    last_event_seq: u64,
    closed_seq: Option<u64>,
    tracks: BTreeMap<RecordedTrackId, Track>,
    /// `seq` of the erasure entry of each target.
    erased: BTreeMap<u64, u64>,
    /// `seq` of the genesis and key entries, with the key that signs after each.
    signers: Vec<(u64, Hash)>,
    head: Point,
    uncovered_since: Option<Instant>,
    pending: Option<Append>,
}

impl LogEngine {
    /// Begins a log; its first entries are pending.
    pub(super) fn begin(beginning: Beginning, at: Timestamp) -> Result<Self, EvidenceError> {
        let mut log = Self {
            version: VERSION,
            decisions: Vec::new(),
            tree: Tree::new(),
            events_key: Some(beginning.events_key),
            room_seq: 0,
            last_event_seq: 0,
            closed_seq: None,
            tracks: BTreeMap::new(),
            erased: BTreeMap::new(),
            signers: vec![(0, beginning.kid)],
            head: Point::none(),
            uncovered_since: None,
            pending: None,
        };
        let genesis = Body::Genesis {
            log_id: beginning.log_id,
            kid: beginning.kid,
            policy_hash: Sha256::digest(&beginning.policy).into(),
            head_interval_ms: HEAD_INTERVAL_MS,
            build_hash: beginning.build_hash,
        };
        log.add(&genesis, at);
        log.handle_event(EventKind::Policy, beginning.policy, at)?;
        Ok(log)
    }

    /// Accepts an event; returns its `seq`.
    pub(super) fn handle_event(
        &mut self,
        kind: EventKind,
        text: String,
        at: Timestamp,
    ) -> Result<u64, EvidenceError> {
        if kind.may_follow_close() {
            self.has_room()?;
        } else {
            self.is_open_with_room()?;
        }
        let seq = self.size();
        let salt = self.events_key.as_ref().ok_or(EvidenceError::Erased)?.event_salt(seq);
        let commitment = event_commitment(&salt, &text);
        self.add(&Body::Event { kind, commitment }, at);
        self.last_event_seq = seq;
        self.pending().events.push(StoredEvent { seq, kind, text });
        Ok(seq)
    }

    /// Accepts a decision of the room, whose number there is `room_seq`. A decision that is in the
    /// log already is skipped.
    pub(super) fn handle_decision(
        &mut self,
        room_seq: u64,
        text: String,
        at: Timestamp,
    ) -> Result<(), EvidenceError> {
        if room_seq > self.room_seq {
            let seq = self.handle_event(EventKind::RoomEvent, text, at)?;
            self.room_seq = room_seq;
            self.decisions.push(seq);
        }
        Ok(())
    }

    /// Accepts a track, segment, gap or rest; returns its `seq`. If the last entry of its track is
    /// equal, it is not added again, so that a caller that did not get an answer may repeat the
    /// request.
    pub(super) fn handle_media(
        &mut self,
        entry: MediaEntry,
        at: Timestamp,
    ) -> Result<u64, EvidenceError> {
        match entry {
            MediaEntry::Track { track, codec, subject } => {
                let key = self.events_key.as_ref().ok_or(EvidenceError::Erased)?;
                let commitment = subject_commitment(&key.subject_salt(&track), &subject);
                if let Some(known) = self.tracks.get(&track) {
                    let same = known.subject_commitment == commitment;
                    return if same { Ok(known.seq) } else { Err(EvidenceError::TrackConflict) };
                }
                self.is_open_with_room()?;
                if self.tracks.len() >= TRACKS_MAX {
                    return Err(EvidenceError::Full);
                }
                let seq =
                    self.add(&Body::Track { track, codec, subject_commitment: commitment }, at);
                self.remember_track(track, seq, commitment);
                Ok(seq)
            }
            MediaEntry::Segment {
                track,
                index,
                previous,
                size,
                sha256,
                key_commitment,
                rtp,
                ms,
                flags,
            } => {
                let known = self.tracks.get(&track).ok_or(EvidenceError::TrackUnknown)?;
                if let Some((seq, hash)) = known.last
                    && index + 1 == known.segments
                    && hash == sha256
                {
                    return Ok(seq);
                }
                let continues =
                    index == known.segments && previous == known.last.map(|(_, hash)| hash);
                if !continues {
                    return Err(EvidenceError::OutOfOrder { taken: known.segments });
                }
                self.is_open_with_room()?;
                let body = Body::Segment {
                    track,
                    index,
                    previous,
                    size,
                    sha256,
                    key_commitment,
                    rtp,
                    ms,
                    flags,
                };
                let seq = self.add(&body, at);
                self.remember_segment(track, seq, sha256);
                Ok(seq)
            }
            MediaEntry::Gap { track, from_ms, to_ms, reason } => {
                self.tracks.get(&track).ok_or(EvidenceError::TrackUnknown)?;
                self.is_open_with_room()?;
                Ok(self.add(&Body::Gap { track, from_ms, to_ms, reason }, at))
            }
            MediaEntry::Rest { track, from_ms, to_ms, rest } => {
                self.handle_rest(track, (from_ms, to_ms), rest, at)
            }
        }
    }

    fn handle_rest(
        &mut self,
        track: RecordedTrackId,
        (from_ms, to_ms): (u64, u64),
        rest: Rest,
        at: Timestamp,
    ) -> Result<u64, EvidenceError> {
        let known = self.tracks.get(&track).ok_or(EvidenceError::TrackUnknown)?;
        if self.version < 2 {
            return Ok(known.seq);
        }
        self.is_open_with_room()?;
        let (gated, event) = match rest {
            Rest::Silent => (false, None),
            Rest::Gated { decision } => (true, decision.and_then(|it| self.decision(it))),
        };
        Ok(self.add(&Body::Rest { track, from_ms, to_ms, gated, event }, at))
    }

    /// `seq` of the entry of a decision of the room.
    fn decision(&self, room_seq: u64) -> Option<u64> {
        let at = usize::try_from(room_seq.checked_sub(1)?).ok()?;
        self.decisions.get(at).copied()
    }

    /// Closes the log. The caller states the last segments of tracks; the request is refused when
    /// the log lacks one of them, since it would be cut off.
    pub(super) fn handle_close(
        &mut self,
        tails: &[TrackTail],
        reason: u32,
        at: Timestamp,
    ) -> Result<(), EvidenceError> {
        if self.closed_seq.is_some() {
            return Ok(());
        }
        self.has_room()?;
        for tail in tails {
            let known = self.tracks.get(&tail.track).ok_or(EvidenceError::TrackUnknown)?;
            let taken = known.segments;
            let is_last = tail.last_index.checked_add(1) == Some(taken);
            let other_hash = known.last.is_none_or(|(_, hash)| hash != tail.tail);
            if tail.last_index >= taken || (is_last && other_hash) {
                return Err(EvidenceError::OutOfOrder { taken });
            }
        }
        // In order of the bytes of the ids, as in the map.
        let tails = self.tracks.iter().filter_map(|(track, known)| {
            let (_, tail) = known.last?;
            Some(TrackTail { track: *track, last_index: known.segments - 1, tail })
        });
        let body =
            Body::Close { tails: tails.collect(), last_event_seq: self.last_event_seq, reason };
        let seq = self.add(&body, at);
        self.closed_seq = Some(seq);
        Ok(())
    }

    /// Enters the erasure of a track's key, or with target 0 of `K_events`; returns the `seq` of
    /// the entry, or of an earlier one with the same target.
    pub(super) fn handle_erasure(
        &mut self,
        target_seq: u64,
        reason: u32,
        wrapped_key_hash: Hash,
        at: Timestamp,
    ) -> Result<u64, EvidenceError> {
        if let Some(seq) = self.erased.get(&target_seq) {
            return Ok(*seq);
        }
        let is_target = target_seq == 0 || self.tracks.values().any(|it| it.seq == target_seq);
        if !is_target {
            return Err(EvidenceError::EntryNotFound(target_seq));
        }
        self.has_room()?;
        let seq = self.add(&Body::Erasure { target_seq, reason, wrapped_key_hash }, at);
        self.erased.insert(target_seq, seq);
        Ok(seq)
    }

    /// `K_events` was destroyed: from now on no event can be added.
    pub(super) fn handle_events_key_destroyed(&mut self) {
        self.events_key = None;
    }

    /// `kid` is the active key of the installation. If it differs from the key of this log, a key
    /// entry is added; then no other entry may be added until [`Self::needs_handover`] is false.
    pub(super) fn handle_active_key(&mut self, kid: Hash, at: Timestamp) {
        let latest = self.signers.last().map(|(_, kid)| *kid);
        if latest != Some(kid) && !self.needs_handover() && self.has_room().is_ok() {
            let seq = self.add(&Body::Key { kid }, at);
            self.signers.push((seq, kid));
        }
    }

    /// Whether the last entry changes the key and no head covers it. The old key must sign a head
    /// that covers it before the log may grow.
    pub(super) fn needs_handover(&self) -> bool {
        let last = self.signers.last().map_or(0, |(seq, _)| *seq);
        last > 0 && self.head.size <= last
    }

    /// The entries to store. They count once [`Self::handle_stored`] was called; until then this
    /// returns the same entries.
    pub(super) fn poll_append(&mut self) -> Option<&Append> {
        if let Some(append) = &mut self.pending {
            append.room_seq = self.room_seq;
            append.last_event_seq = self.last_event_seq;
            append.closed_seq = self.closed_seq;
        }
        self.pending.as_ref()
    }

    /// Marks the pending entries as stored.
    pub(super) fn handle_stored(&mut self, now: Instant) -> Option<Append> {
        let stored = self.pending.take()?;
        self.uncovered_since.get_or_insert(now);
        Some(stored)
    }

    /// When the next head is due, if one is.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.uncovered_since?;
        let closing = self.closed_seq.is_some_and(|closed| closed >= self.head.size);
        let at_once = self.needs_handover() || closing;
        Some(if at_once { since } else { since + HEAD_DELAY })
    }

    /// The head that is due at `now`, if one is.
    pub(super) fn poll_head(&self, now: Instant) -> Option<DueHead> {
        (self.poll_timeout()? <= now).then(|| self.next_head()).flatten()
    }

    /// The head over all entries; `None` while entries are pending, when it was signed already, and
    /// for a log of one entry, of which RFC 9942 can express no proofs.
    pub(super) fn next_head(&self) -> Option<DueHead> {
        let size = self.size();
        if self.pending.is_some() || size <= self.head.size || size < 2 {
            return None;
        }
        let point = Point { size, root: self.tree.root(size)? };
        Some(DueHead { point, previous: self.head, kid: self.signer(size)? })
    }

    /// Marks the head of `point` as stored.
    pub(super) fn handle_head_stored(&mut self, point: Point) {
        self.head = point;
        if point.size >= self.size() {
            self.uncovered_since = None;
        }
    }

    /// Number of entries, including pending ones.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Number of the last decision of the room that is in the log.
    pub(super) const fn room_seq(&self) -> u64 {
        self.room_seq
    }

    /// Whether the log is closed.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed_seq.is_some()
    }

    /// Whether the erasure of `K_events` is in the log but the key still exists.
    pub(super) fn has_events_key_to_destroy(&self) -> bool {
        self.events_key.is_some() && self.erased.contains_key(&0)
    }

    /// The newest head.
    pub(super) const fn head(&self) -> Point {
        self.head
    }

    /// The root at an earlier or the current size.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        self.tree.root(size)
    }

    /// Number of pending entries.
    pub(super) fn pending_entries(&self) -> usize {
        self.pending.as_ref().map_or(0, |append| append.entries.len())
    }

    /// Identifier of the key that signs the head of `size`. A key entry must be covered by a head
    /// of the old key with exactly the size that ends with it.
    fn signer(&self, size: u64) -> Option<Hash> {
        let before = self.signers.iter().rev().find(|(seq, _)| seq + 1 < size);
        before.map(|(_, kid)| *kid)
    }

    fn add(&mut self, body: &Body, at: Timestamp) -> u64 {
        let seq = self.size();
        let at_ms = u64::try_from(at.unix_ms()).unwrap_or(0);
        let bytes = body.encode_as(self.version, seq, at_ms);
        let leaf = leaf_hash(&bytes);
        self.pending().entries.push(StoredEntry { seq, bytes, leaf });
        self.tree.append(leaf);
        seq
    }

    fn pending(&mut self) -> &mut Append {
        let expected_size = self.tree.size();
        self.pending.get_or_insert_with(|| Append {
            expected_size,
            entries: Vec::new(),
            events: Vec::new(),
            room_seq: 0,
            last_event_seq: 0,
            closed_seq: None,
        })
    }

    fn is_open_with_room(&self) -> Result<(), EvidenceError> {
        if self.is_closed() {
            return Err(EvidenceError::Closed);
        }
        if self.size() >= LEAVES_MAX - RESERVE {
            return Err(EvidenceError::Full);
        }
        Ok(())
    }

    fn has_room(&self) -> Result<(), EvidenceError> {
        if self.size() >= LEAVES_MAX { Err(EvidenceError::Full) } else { Ok(()) }
    }

    fn remember_track(&mut self, track: RecordedTrackId, seq: u64, subject_commitment: Hash) {
        let known = Track { seq, subject_commitment, segments: 0, last: None };
        self.tracks.insert(track, known);
    }

    fn remember_segment(&mut self, track: RecordedTrackId, seq: u64, sha256: Hash) {
        if let Some(known) = self.tracks.get_mut(&track) {
            known.segments += 1;
            known.last = Some((seq, sha256));
        }
    }
}

#[cfg(test)]
mod tests;
