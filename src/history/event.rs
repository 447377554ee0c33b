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
        /// Its number in the session.
        seq: u64,
        /// When it happened.
        at: Timestamp,
        /// The event.
        event: Event,
        /// The decision that it follows from, when it can be taken back.
        action_id: Option<String>,
    },
    /// A part of the transcript.
    Spoken(SpokenText),
    /// A moderator corrected a text of the transcript after the session.
    Corrected(TextCorrected),
    /// A vote was announced.
    Vote(VoteAnnounced),
    /// Somebody was refused at the door of the room.
    JoinRefused(JoinRefused),
    /// Somebody lost a part of their connection.
    ConnectionLost(ConnectionLost),
    /// The connection of somebody was not good for a while.
    ConnectionBad(ConnectionBad),
    /// Something was written down of attendance.
    Attendance(AttendanceNoted),
}

/// Somebody was refused at the door of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinRefused {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub user: String,
    /// The code of the refusal.
    pub code: String,
}

/// Somebody lost a part of their connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionLost {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub user: String,
    /// Which part.
    pub part: String,
    /// Why.
    pub reason: String,
}

/// The connection of somebody was not good for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionBad {
    /// When that began.
    pub at: Timestamp,
    /// When it was over.
    pub until: Timestamp,
    /// Whose.
    pub user: String,
    /// How bad it was at worst.
    pub level: String,
    /// What that was due to.
    pub cause: Option<String>,
    /// The number of the cause.
    pub value: Option<u32>,
}

/// What was written down of attendance beside what members were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttendanceNoted {
    /// What somebody presented was not taken.
    Refused {
        /// When.
        at: Timestamp,
        /// Who.
        user: String,
        /// How they tried.
        method: String,
        /// Why it was not taken.
        reason: String,
    },
    /// Something else, which members were told of or which is about nobody.
    Other,
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

/// A moderator corrected a text of the transcript after the session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TextCorrected {
    /// When, RFC 3339.
    pub at: String,
    /// The number of the text's event in the session.
    pub of: u64,
    /// What was said.
    pub text: String,
    /// The moderator.
    pub by: String,
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

#[derive(Deserialize)]
struct NotedFields {
    r#type: String,
    at: String,
    user_id: Option<String>,
    code: Option<String>,
    part: Option<String>,
    reason: Option<String>,
    method: Option<String>,
}

#[derive(Deserialize)]
struct BadFields {
    at: String,
    until: String,
    user_id: String,
    level: String,
    cause: Option<String>,
    value: Option<u32>,
}

impl LogEvent {
    /// Parses the text of an event; `None` when it does not have the form of its kind, or when no
    /// history shows this kind.
    #[must_use]
    pub fn read(kind: EventKind, text: &str) -> Option<Self> {
        match kind {
            EventKind::RoomEvent => {
                let told: Told = serde_json::from_str(text).ok()?;
                let at = Timestamp::parse_rfc3339(&told.at)?;
                let Told { seq, event, action_id, .. } = told;
                Some(Self::Room { seq, at, event, action_id })
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
            EventKind::JoinRefused => {
                let fields: NotedFields = serde_json::from_str(text).ok()?;
                let at = Timestamp::parse_rfc3339(&fields.at)?;
                let (user, code) = (fields.user_id?, fields.code?);
                Some(Self::JoinRefused(JoinRefused { at, user, code }))
            }
            EventKind::ConnectionLost => {
                let fields: NotedFields = serde_json::from_str(text).ok()?;
                let at = Timestamp::parse_rfc3339(&fields.at)?;
                let (user, part, reason) = (fields.user_id?, fields.part?, fields.reason?);
                Some(Self::ConnectionLost(ConnectionLost { at, user, part, reason }))
            }
            EventKind::ConnectionBad => {
                let BadFields { at, until, user_id: user, level, cause, value } =
                    serde_json::from_str(text).ok()?;
                let at = Timestamp::parse_rfc3339(&at)?;
                let until = Timestamp::parse_rfc3339(&until)?;
                Some(Self::ConnectionBad(ConnectionBad { at, until, user, level, cause, value }))
            }
            EventKind::Attendance => {
                let fields: NotedFields = serde_json::from_str(text).ok()?;
                if fields.r#type != "validation_refused" {
                    return Some(Self::Attendance(AttendanceNoted::Other));
                }
                let at = Timestamp::parse_rfc3339(&fields.at)?;
                let (user, method) = (fields.user_id?, fields.method?);
                let reason = fields.reason?;
                Some(Self::Attendance(AttendanceNoted::Refused { at, user, method, reason }))
            }
            EventKind::Correction => {
                let fields: TextCorrected = serde_json::from_str(text).ok()?;
                Timestamp::parse_rfc3339(&fields.at)?;
                Some(Self::Corrected(fields))
            }
            EventKind::Policy
            | EventKind::SessionState
            | EventKind::Failure
            | EventKind::RecordingAccess
            | EventKind::Disclosure
            | EventKind::KeysRewrapped
            | EventKind::GovernanceData
            | EventKind::Minutes => None,
        }
    }
}
