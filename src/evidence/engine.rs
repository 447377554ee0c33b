#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! One log: what it takes, in which order, and when a head is due. It does no
//! I/O: what it takes becomes an [`Append`], which counts once the driver says
//! that it was stored. A driver that could not store drops the engine and
//! recalls the log from the store.

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

/// How long an entry waits for a head at most, as the genesis promises.
pub const HEAD_INTERVAL_MS: u64 = 2_000;
/// How long an entry waits for others before a head is signed. The rest of
/// [`HEAD_INTERVAL_MS`] is for the store to take the head.
const HEAD_DELAY: Duration = Duration::from_secs(1);
/// Entries kept free for what a full log still has to take: its end.
const RESERVE: u64 = 4_096;
/// Most tracks of a log. Raising it raises memory, about 100 bytes a track.
const TRACKS_MAX: usize = 1 << 16;
/// Longest text that is noted, in bytes. Raising it raises the largest row and
/// what waits in memory. Decisions of the room are as long as they are.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;

/// What a log begins with.
#[derive(Debug, Clone)]
pub(super) struct Beginning {
    pub(super) log_id: [u8; 16],
    pub(super) kid: Hash,
    pub(super) build_hash: Hash,
    pub(super) policy: String,
    pub(super) events_key: EventsKey,
}

/// A head that is to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueHead {
    pub(super) point: Point,
    pub(super) previous: Point,
    /// Who has to sign it.
    pub(super) kid: Hash,
}

/// What a log remembers of a track.
#[derive(Debug, Clone, Copy)]
struct Track {
    seq: u64,
    subject_commitment: Hash,
    /// Segments it has, and `seq` and hash of the last.
    segments: u64,
    last: Option<(u64, Hash)>,
}

/// The log.
#[derive(Debug)]
pub(super) struct LogEngine {
    /// Version of its entries.
    version: u64,
    tree: Tree,
    events_key: Option<EventsKey>,
    room_seq: u64,
    /// `seq` of each decision of the room. Decision *n* of the room is the *n*-th.
    decisions: Vec<u64>,
    last_event_seq: u64,
    closed_seq: Option<u64>,
    tracks: BTreeMap<RecordedTrackId, Track>,
    /// `seq` of the erasure of each target.
    erased: BTreeMap<u64, u64>,
    /// `seq` of genesis and key entries, with who signs after each.
    signers: Vec<(u64, Hash)>,
    head: Point,
    uncovered_since: Option<Instant>,
    pending: Option<Append>,
}

impl LogEngine {
    /// A log that begins; its first entries are pending.
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

    /// An event; its `seq`.
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

    /// A decision of the room, number `room_seq` there. One that is in the log
    /// already is left out.
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

    /// A track, segment or gap; its `seq`. What is in the log already as the
    /// last of its track, equal, is not added again, so that a caller whose
    /// answer was lost may repeat it.
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
        }
    }

    /// `seq` of the entry of a decision of the room.
    fn decision(&self, room_seq: u64) -> Option<u64> {
        let at = usize::try_from(room_seq.checked_sub(1)?).ok()?;
        self.decisions.get(at).copied()
    }

    /// The end. Whoever closes says what they took the tails to be; a tail that
    /// the log does not have yet would be cut off, and is refused.
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
        // In order of bytes, as the map is.
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

    /// The erasure of a track's key, or with target 0 of `K_events`; its `seq`,
    /// or that of the one before with the same target.
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

    /// `K_events` was destroyed: no event can be added from here on.
    pub(super) fn handle_events_key_destroyed(&mut self) {
        self.events_key = None;
    }

    /// `kid` is the installation's active key. Appends the change when it is
    /// another than this log's; then nothing else may be taken before
    /// [`Self::needs_handover`] is over.
    pub(super) fn handle_active_key(&mut self, kid: Hash, at: Timestamp) {
        let latest = self.signers.last().map(|(_, kid)| *kid);
        if latest != Some(kid) && !self.needs_handover() && self.has_room().is_ok() {
            let seq = self.add(&Body::Key { kid }, at);
            self.signers.push((seq, kid));
        }
    }

    /// Whether the last entry changes the key and no head covers it: it has to
    /// be covered, by the old key, before the log grows.
    pub(super) fn needs_handover(&self) -> bool {
        let last = self.signers.last().map_or(0, |(seq, _)| *seq);
        last > 0 && self.head.size <= last
    }

    /// What has to be stored before anything of it counts. The same until
    /// [`Self::handle_stored`].
    pub(super) fn poll_append(&mut self) -> Option<&Append> {
        if let Some(append) = &mut self.pending {
            append.room_seq = self.room_seq;
            append.last_event_seq = self.last_event_seq;
            append.closed_seq = self.closed_seq;
        }
        self.pending.as_ref()
    }

    /// The pending entries were stored.
    pub(super) fn handle_stored(&mut self, now: Instant) -> Option<Append> {
        let stored = self.pending.take()?;
        self.uncovered_since.get_or_insert(now);
        Some(stored)
    }

    /// When a head is due, if one is.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let since = self.uncovered_since?;
        let closing = self.closed_seq.is_some_and(|closed| closed >= self.head.size);
        let at_once = self.needs_handover() || closing;
        Some(if at_once { since } else { since + HEAD_DELAY })
    }

    /// The head that is due by `now`.
    pub(super) fn poll_head(&self, now: Instant) -> Option<DueHead> {
        (self.poll_timeout()? <= now).then(|| self.next_head()).flatten()
    }

    /// The head of everything stored; `None` when there is one or the log has
    /// just begun to be stored.
    pub(super) fn next_head(&self) -> Option<DueHead> {
        let size = self.size();
        if self.pending.is_some() || size <= self.head.size || size < 2 {
            return None;
        }
        let point = Point { size, root: self.tree.root(size)? };
        Some(DueHead { point, previous: self.head, kid: self.signer(size)? })
    }

    /// The head of `point` was stored.
    pub(super) fn handle_head_stored(&mut self, point: Point) {
        self.head = point;
        if point.size >= self.size() {
            self.uncovered_since = None;
        }
    }

    /// Entries, the pending ones included.
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    /// How far the room's decisions are in the log.
    pub(super) const fn room_seq(&self) -> u64 {
        self.room_seq
    }

    /// Whether the log is closed.
    pub(super) const fn is_closed(&self) -> bool {
        self.closed_seq.is_some()
    }

    /// Whether `K_events` is erased in the log, but still here.
    pub(super) fn has_events_key_to_destroy(&self) -> bool {
        self.events_key.is_some() && self.erased.contains_key(&0)
    }

    /// The newest head.
    pub(super) const fn head(&self) -> Point {
        self.head
    }

    /// The root at a size it had.
    pub(super) fn root(&self, size: u64) -> Option<Hash> {
        self.tree.root(size)
    }

    /// Entries that are pending.
    pub(super) fn pending_entries(&self) -> usize {
        self.pending.as_ref().map_or(0, |append| append.entries.len())
    }

    /// Who signs the head of `size`: the head that covers a key entry is the
    /// old key's, and of exactly that entry's size.
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
