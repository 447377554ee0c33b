//! Parsed events of a log.

use serde::Deserialize;

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::room::event::{Event, Told};

/// An event of a log that a history can parse.
#[derive(Debug, Clone, PartialEq)]
pub enum LogEvent {
    /// An event of the room, as its members received it.
    Room {
        /// When it happened.
        at: Timestamp,
        /// The event.
        event: Event,
    },
    /// A part of the transcript.
    Spoken(SpokenText),
    /// A vote was announced.
    Vote(VoteAnnounced),
}

/// A part of the transcript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpokenText {
    /// When it began.
    pub from: Timestamp,
    /// When it ended, if that is known.
    pub to: Option<Timestamp>,
    /// Who spoke.
    pub user: Option<UserId>,
    /// The text that was spoken.
    pub text: Option<String>,
}

/// A vote was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoteAnnounced {
    /// When.
    pub at: Timestamp,
    /// The title of the vote.
    pub title: Option<String>,
}

#[derive(Deserialize)]
struct SpokenFields {
    at: String,
    from: Option<String>,
    to: Option<String>,
    participant: Option<String>,
    text: Option<String>,
}

#[derive(Deserialize)]
struct VoteFields {
    at: String,
    title: Option<String>,
    text: Option<String>,
}

impl LogEvent {
    /// Parses the text of an event; `None` when it does not have the form of its kind, or when no
    /// history shows this kind.
    #[must_use]
    pub fn read(kind: EventKind, text: &str) -> Option<Self> {
        match kind {
            EventKind::RoomEvent => {
                let told: Told = serde_json::from_str(text).ok()?;
                Some(Self::Room { at: Timestamp::parse_rfc3339(&told.at)?, event: told.event })
            }
            EventKind::Transcript => {
                let fields: SpokenFields = serde_json::from_str(text).ok()?;
                let moment = |text: Option<&str>| text.and_then(Timestamp::parse_rfc3339);
                let at = Timestamp::parse_rfc3339(&fields.at)?;
                Some(Self::Spoken(SpokenText {
                    from: moment(fields.from.as_deref()).unwrap_or(at),
                    to: moment(fields.to.as_deref()),
                    user: fields.participant.and_then(|user| user.parse().ok()),
                    text: fields.text,
                }))
            }
            EventKind::Vote => {
                let fields: VoteFields = serde_json::from_str(text).ok()?;
                let at = Timestamp::parse_rfc3339(&fields.at)?;
                Some(Self::Vote(VoteAnnounced { at, title: fields.title.or(fields.text) }))
            }
            EventKind::Policy
            | EventKind::SessionState
            | EventKind::JoinRefused
            | EventKind::ConnectionLost
            | EventKind::Failure
            | EventKind::Attendance
            | EventKind::RecordingAccess
            | EventKind::Disclosure
            | EventKind::KeysRewrapped
            | EventKind::GovernanceData => None,
        }
    }
}
