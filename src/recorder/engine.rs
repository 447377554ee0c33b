//! The engine of the recorder. It turns the items of taps into recorded tracks,
//! sealed segments, gaps and rests. It seals while it takes and holds one chunk
//! of plaintext per track. Its driver writes files, stores keys and appends to
//! the log.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod segment;
mod track;

use std::collections::{BTreeMap, VecDeque};

use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId, UserId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::recording::RecordingState;
use crate::evidence::media::Rest;
use crate::sealing::{SALT_BYTES, TrackKey};
use crate::sfu::tap::{TapItem, TapKind};
use track::Track;

/// Longest segment, milliseconds from its first record to its last.
pub const SEGMENT_MS_MAX: u64 = 4_000;
/// A video segment that is at least this old, in milliseconds, ends before the
/// next key frame.
const SEGMENT_MS_MIN: u64 = 2_000;
/// How long after a segment's time is over, in milliseconds, items that a tap has
/// not delivered yet are waited for.
const SEGMENT_GRACE_MS: u64 = 500;
/// From this time between two records on the log says why nothing came.
const SILENCE_MS_MIN: u64 = 1_000;
/// Closings of a gate between two records that are told one by one. At the limit
/// the last one is told to last until the next record.
const CLOSINGS_MAX: usize = 64;
/// How long the end of a removed track's tap is waited for, in milliseconds. After
/// that the track ends without it.
const LEAVING_MS_MAX: u64 = 1_000;
/// Tracks at the same time. Further tracks are refused and not recorded.
pub const TRACKS_MAX: usize = 16_384;

/// The first epoch of a track's key.
pub const FIRST_EPOCH: u32 = 1;

/// Flag of a segment: it starts with a key frame.
pub const FLAG_KEY_FRAME: u32 = 1;
/// Flag of a segment: it is the track's last.
pub const FLAG_LAST: u32 = 2;
/// Flag of a segment: it was sealed early because the server stopped.
pub const FLAG_STOPPED: u32 = 4;
/// Flag of a segment: packets were lost inside.
pub const FLAG_LOST: u32 = 8;

/// Why there is a gap, with the numbers of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GapReason {
    /// The recorder could not follow.
    Overload,
    /// The disk was full.
    DiskFull,
    /// The server was down.
    Down,
    /// The recording was paused.
    Paused,
}

impl GapReason {
    /// Its number in entries.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Overload => 1,
            Self::DiskFull => 2,
            Self::Down => 3,
            Self::Paused => 4,
        }
    }
}

/// A track of a room, as it is told to the recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomTrack {
    /// Its identity in the room.
    pub track: TrackId,
    /// The user who published it.
    pub user: UserId,
    /// The user's name.
    pub name: String,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it is expected to carry.
    pub codec: Codec,
}

/// Where an engine gets randomness from.
pub trait Randomness {
    /// A new identity.
    fn track_id(&mut self) -> RecordedTrackId;
    /// A new key.
    fn key(&mut self) -> TrackKey;
    /// A new salt.
    fn salt(&mut self) -> [u8; SALT_BYTES];
}

/// A recorded track that begins.
#[derive(Debug, Clone)]
pub struct Opened {
    /// The tenant of the session.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// The track in the room.
    pub track: RoomTrack,
    /// The codec that its packets have.
    pub codec: Codec,
    /// Its identity in log and vault.
    pub recorded: RecordedTrackId,
    /// `K_track`, which is not stored anywhere yet.
    pub key: TrackKey,
    /// When its first packet came, milliseconds since 1970.
    pub at_ms: u64,
}

/// What is known of a segment that was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentMeta {
    /// From 0, without holes.
    pub index: u64,
    /// Bytes of the object.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: [u8; 32],
    /// First and last extended sequence number.
    pub rtp: (u64, u64),
    /// When the first and last record came, milliseconds since 1970.
    pub ms: (u64, u64),
    /// As in the format.
    pub flags: u32,
}

/// What the driver is to do. Items of one track are numbered in the order in
/// which they are to be logged.
#[derive(Debug, Clone)]
pub enum Output {
    /// Store its key and append its entry to the log, before any of its segments
    /// is complete.
    Opened(Box<Opened>),
    /// A segment begins.
    Begun {
        /// Of which track.
        recorded: RecordedTrackId,
        /// Its number among the track's items.
        item: u64,
    },
    /// Bytes of the segment that was begun last.
    Sealed {
        /// Of which track.
        recorded: RecordedTrackId,
        /// They follow the bytes before.
        bytes: Vec<u8>,
    },
    /// The segment that was begun last is whole.
    Finished {
        /// Of which track.
        recorded: RecordedTrackId,
        /// What to log.
        segment: SegmentMeta,
    },
    /// The segment that was begun last will not be finished.
    Abandoned {
        /// Of which track.
        recorded: RecordedTrackId,
    },
    /// Nothing was recorded.
    Gap {
        /// Of which track.
        recorded: RecordedTrackId,
        /// Its number among the track's items.
        item: u64,
        /// From when until when, milliseconds since 1970.
        ms: (u64, u64),
        /// Why.
        reason: GapReason,
    },
    /// Nothing came, though the track was recorded.
    Rest {
        /// Of which track.
        recorded: RecordedTrackId,
        /// Its number among the track's items.
        item: u64,
        /// From when until when, milliseconds since 1970.
        ms: (u64, u64),
        /// Why.
        rest: Rest,
    },
    /// The track has ended.
    Ended {
        /// Of which track.
        recorded: RecordedTrackId,
        /// Its number among the track's items.
        item: u64,
        /// When its last record came, milliseconds since 1970.
        at_ms: u64,
        /// Number of its segments.
        segments: u64,
    },
}

/// Whether segments can be written to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// They can.
    Open,
    /// Too little of it is free, or writing fails.
    Full,
}

/// Decides what is recorded, and how it is cut.
pub struct Engine {
    tracks: BTreeMap<TrackId, Track>,
    states: BTreeMap<SessionKey, RecordingState>,
    /// The latest decision of each room that changes gates.
    decisions: BTreeMap<SessionKey, u64>,
    disk: Disk,
    effects: Effects,
}

/// The outputs of the engine, and the buffer of plaintext that is sealed next.
struct Effects {
    outputs: VecDeque<Output>,
    journal: Vec<u8>,
    /// Counters.
    counts: Counts,
}

/// What an engine counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Segments sealed.
    pub segments: u64,
    /// Milliseconds between their first and last records.
    pub recorded_ms: u64,
    /// Gaps.
    pub gaps: u64,
    /// Packets that taps lost.
    pub packets_lost: u64,
    /// Packets taken.
    pub packets: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// An engine without tracks.
    #[must_use]
    pub fn new() -> Self {
        let effects = Effects {
            outputs: VecDeque::new(),
            journal: Vec::with_capacity(2_048),
            counts: Counts::default(),
        };
        let (tracks, states, decisions) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { tracks, states, decisions, disk: Disk::Open, effects }
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.effects.outputs.pop_front()
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.effects.counts
    }

    /// Tracks that are being recorded.
    #[must_use]
    pub fn recorded(&self) -> usize {
        self.tracks.values().filter(|track| track.is_recorded()).count()
    }

    /// A track was published. `false` if there are [`TRACKS_MAX`] already: then it
    /// is not recorded.
    pub fn add_track(&mut self, key: SessionKey, track: RoomTrack) -> bool {
        if self.tracks.len() >= TRACKS_MAX && !self.tracks.contains_key(&track.track) {
            return false;
        }
        let state = self.state(key);
        self.tracks.entry(track.track).or_insert_with(|| Track::new(key, track, state));
        true
    }

    /// A track was removed. Items that its tap still delivers are recorded.
    pub fn remove_track(&mut self, track: TrackId, now_ms: u64) {
        if let Some(found) = self.tracks.get_mut(&track) {
            found.leave(now_ms + LEAVING_MS_MAX);
        }
        self.forget_idle(now_ms);
    }

    /// Changes the state of a session's recording.
    pub fn set_state(&mut self, key: SessionKey, state: RecordingState, now_ms: u64) {
        self.states.insert(key, state);
        let Self { tracks, effects, .. } = self;
        for track in tracks.values_mut().filter(|it| it.is_of(key)) {
            track.set_state(state, now_ms, effects);
        }
    }

    /// A decision of a room with this number changes gates from here on.
    pub fn set_decision(&mut self, key: SessionKey, decision: u64) {
        self.decisions.insert(key, decision);
    }

    /// A session is over: each of its tracks ends when its tap has ended.
    pub fn finish(&mut self, key: SessionKey, now_ms: u64) {
        self.states.remove(&key);
        self.decisions.remove(&key);
        for track in self.tracks.values_mut().filter(|it| it.is_of(key)) {
            track.leave(now_ms + LEAVING_MS_MAX);
        }
        self.forget_idle(now_ms);
    }

    /// Whether a track of a session has not ended.
    #[must_use]
    pub fn is_busy(&self, key: SessionKey) -> bool {
        self.tracks.values().any(|track| track.is_of(key))
    }

    /// Handles an item of a tap.
    pub fn handle_item(&mut self, item: &TapItem<'_>, random: &mut dyn Randomness) {
        let Self { tracks, effects, disk, decisions, .. } = self;
        let Some(track) = tracks.get_mut(&item.track) else { return };
        if item.kind == TapKind::GateClosed {
            track.set_decision(decisions);
        }
        track.handle(item, *disk, random, effects);
        if track.is_over() {
            tracks.remove(&item.track);
        }
    }

    /// Ends segments whose time is over, and tracks that were taken away.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        for track in self.tracks.values_mut() {
            track.handle_timeout(now_ms, &mut self.effects);
        }
        self.forget_idle(now_ms);
    }

    /// The disk is full, or has room again. When it gets full, open segments end
    /// and gaps begin.
    pub fn handle_disk(&mut self, disk: Disk, now_ms: u64) {
        if std::mem::replace(&mut self.disk, disk) != disk && disk == Disk::Full {
            for track in self.tracks.values_mut() {
                track.close_for(GapReason::DiskFull, now_ms, &mut self.effects);
            }
        }
    }

    /// The disk did not take a segment. If it is still open it is given up and
    /// becomes part of a gap. If it is sealed already nothing changes: the driver
    /// has to write it.
    pub fn handle_write_failed(&mut self, recorded: RecordedTrackId, item: u64, now_ms: u64) {
        let Self { tracks, effects, .. } = self;
        if let Some(track) = tracks.values_mut().find(|it| it.is_recorded_as(recorded)) {
            track.abandon(item, now_ms, effects);
        }
    }

    /// Ends what is recorded under an identity: the driver has lost something of
    /// it. What the track sends from here on is recorded under another one.
    pub fn end_recorded(&mut self, recorded: RecordedTrackId, now_ms: u64) {
        let Self { tracks, effects, .. } = self;
        if let Some(track) = tracks.values_mut().find(|it| it.is_recorded_as(recorded)) {
            track.end(now_ms, effects);
        }
    }

    /// The server stops: open segments are sealed as they are. Tracks do not end:
    /// the next start ends them and declares the gap.
    pub fn stop(&mut self, now_ms: u64) {
        for track in self.tracks.values_mut() {
            track.stop(now_ms, &mut self.effects);
        }
        self.tracks.clear();
    }

    fn state(&self, key: SessionKey) -> RecordingState {
        self.states.get(&key).copied().unwrap_or(RecordingState::Stopped)
    }

    fn forget_idle(&mut self, now_ms: u64) {
        let Self { tracks, effects, .. } = self;
        tracks.retain(|_, track| {
            track.end_if_left(now_ms, effects);
            !track.is_over()
        });
    }
}
