#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What follows from a call, for the driver to carry out.

use crate::domain::id::{ConnectionId, TrackId};
use crate::domain::language::LanguageTag;
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::domain::recording::RecordingState;
use crate::domain::time::Timestamp;
use crate::room::event::{Event, Told};
use crate::room::ports::{AttendanceNote, RoomTrack};
use crate::sfu::plane::Gate;

/// A track as the media plane announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrack {
    /// Its id.
    pub track: TrackId,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries.
    pub codec: Codec,
    /// How many encodings it has.
    pub layers: u8,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// Its member left or its access token expired.
    Left,
    /// It was lost and did not come back in time.
    Disconnected,
    /// A newer connection of its member took its place.
    Replaced,
    /// A moderator sent its member out.
    Removed,
    /// The session is over.
    SessionOver,
}

impl Goodbye {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::SessionOver => "session_over",
        }
    }
}

/// What WHEP receivers of the room are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Featured {
    /// Whose sound.
    pub audio: Option<TrackId>,
    /// Whose picture.
    pub video: Option<TrackId>,
}

/// What listeners must learn of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackChange {
    /// It is there, or carries something else than before.
    Published(RoomTrack),
    /// Another language is spoken on it; `None` for that of the session.
    Language(TrackId, Option<LanguageTag>),
    /// It is gone.
    Unpublished(TrackId),
}

/// A gate that changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateChange {
    /// Whose.
    pub connection: ConnectionId,
    /// Which of its gates, by what its tracks carry.
    pub kind: MediaKind,
    /// How it is from here on.
    pub gate: Gate,
}

/// What follows from a call, in the order in which to carry it out: gates
/// first, so that nothing is told before it holds.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Gates that change.
    pub gates: Vec<GateChange>,
    /// Connections that end; their media ends with them.
    pub goodbyes: Vec<(ConnectionId, Goodbye)>,
    /// What WHEP receivers are shown, when it changes.
    pub featured: Option<Featured>,
    /// What the recorder does from here on. `paused` and `stopped` are applied
    /// before what follows, `recording` after everything.
    pub recording: Option<RecordingState>,
    /// Events for everybody and when they were decided, to be kept before they
    /// are told.
    pub told: Vec<(Told, Timestamp)>,
    /// Tracks that come, change and go, for listeners.
    pub tracks: Vec<TrackChange>,
    /// What is to be written down of attendance, once it is stored.
    pub notes: Vec<AttendanceNote>,
}

impl Outputs {
    /// Whether somebody would be recorded who has not been told yet.
    #[must_use]
    pub(super) fn records_before_telling(&self) -> bool {
        let untold =
            |(told, _): &(Told, Timestamp)| matches!(told.event, Event::RecordingState { .. });
        self.recording == Some(RecordingState::Recording) && self.told.iter().any(untold)
    }
}
