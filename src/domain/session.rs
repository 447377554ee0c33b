//! A governed meeting and its policy.

use crate::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use crate::domain::named_values::named_values;
use crate::domain::quorum::AttendanceRules;
use crate::domain::time::Timestamp;

named_values!(
    /// Where the people of a session are.
    Modality {
        /// Everybody joins from a browser.
        Virtual => "virtual",
        /// Everybody is in the hall.
        InPerson => "in_person",
        /// Some are in the hall, others join from a browser.
        Mixed => "mixed",
    }
);
named_values!(
    /// Who carries the media of a session.
    Provider {
        /// This server.
        Webrtc => "webrtc",
        /// A Google Meet conference.
        GoogleMeet => "google_meet",
        /// A Zoom meeting.
        Zoom => "zoom",
    }
);
named_values!(
    /// The state of a session. `scheduled → active → completed`, or `cancelled`
    /// from either of the first two.
    SessionStatus {
        /// Announced; nobody can join.
        Scheduled => "scheduled",
        /// Running; people join and leave.
        Active => "active",
        /// Ended by the governance service.
        Completed => "completed",
        /// Called off.
        Cancelled => "cancelled",
    }
);
named_values!(
    /// Whether the speaking list decides who is heard.
    ModerationMode {
        /// Everyone is heard unless muted.
        Open => "open",
        /// Only the holder of a running turn, and moderators, are heard.
        Moderated => "moderated",
    }
);
named_values!(
    /// Whose cameras and screens are shown.
    MediaPolicy {
        /// Those of the holder of the floor, of moderators and of the hall.
        Floor => "floor",
        /// Everybody's.
        All => "all",
    }
);

impl Provider {
    /// Whether another service than this server carries the media.
    #[must_use]
    pub const fn is_external(self) -> bool {
        !matches!(self, Self::Webrtc)
    }
}

impl MediaPolicy {
    /// The policy of a session that does not say one: pictures follow the floor
    /// where sound does.
    #[must_use]
    pub const fn default_of(moderation: ModerationMode) -> Self {
        match moderation {
            ModerationMode::Open => Self::All,
            ModerationMode::Moderated => Self::Floor,
        }
    }
}

impl SessionStatus {
    /// Whether a session in this state may still change.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled)
    }

    /// Whether `next` may follow this state.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            (Self::Scheduled, Self::Active | Self::Cancelled)
                | (Self::Active, Self::Completed | Self::Cancelled)
        )
    }
}

/// Whether a session is recorded and for how long the recording is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingPolicy {
    /// Whether tracks are recorded.
    pub enabled: bool,
    /// Days that a recording is kept after the session has ended.
    pub retention_days: u32,
}

/// Whether and in which language a session is transcribed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptionPolicy {
    /// Whether speech is transcribed.
    pub enabled: bool,
    /// BCP 47 language of the session, when it has one.
    pub language: Option<String>,
    /// Names and other words that are likely to be said, the most important first.
    pub glossary: Vec<String>,
}

/// How turns are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakingPolicy {
    /// Default time of a turn, in seconds.
    pub default_turn_s: u32,
    /// Longest a turn may be extended to, in seconds.
    pub max_turn_s: u32,
    /// Whether an approved request starts at once when nobody holds the floor.
    pub auto_start: bool,
    /// Whether points of order and interposed questions are taken while the list
    /// is closed.
    pub points_of_order_pass_closed_list: bool,
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Identifier, `UUIDv7`.
    pub id: SessionId,
    /// The tenant it belongs to.
    pub tenant_id: TenantId,
    /// The assembly it belongs to.
    pub assembly_id: AssemblyId,
    /// Title for people, 1 to 200 characters.
    pub title: String,
    /// Where its people are.
    pub modality: Modality,
    /// Who carries its media.
    pub provider: Provider,
    /// Where people join its meeting at the provider; `None` when this server carries the media.
    pub meeting_url: Option<String>,
    /// Its state.
    pub status: SessionStatus,
    /// When it should start.
    pub scheduled_start_at: Option<Timestamp>,
    /// When it should end.
    pub scheduled_end_at: Option<Timestamp>,
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it was completed or cancelled.
    pub ended_at: Option<Timestamp>,
    /// Most people at once.
    pub max_participants: u32,
    /// Whether the speaking list decides who is heard.
    pub moderation: ModerationMode,
    /// Whose cameras and screens are shown; `None` follows the moderation
    /// ([`MediaPolicy::default_of`]), also when a moderator changes that.
    pub media_policy: Option<MediaPolicy>,
    /// Whether it starts when the governance service says that its assembly has.
    pub start_with_assembly: bool,
    /// Whether whoever has a token for it may watch it live, without being in it.
    pub live_viewing: bool,
    /// Recording policy.
    pub recording: RecordingPolicy,
    /// Transcription policy.
    pub transcription: TranscriptionPolicy,
    /// Speaking policy.
    pub speaking: SpeakingPolicy,
    /// What makes people present, and what a quorum needs.
    pub attendance: AttendanceRules,
    /// Number of changes; `If-Match` is compared with it.
    pub version: u64,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Session {
    /// Names the session together with its tenant.
    #[must_use]
    pub const fn key(&self) -> SessionKey {
        SessionKey::new(self.tenant_id, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back() {
        for status in SessionStatus::ALL {
            assert_eq!(SessionStatus::parse(status.as_str()), Some(*status));
        }
        assert_eq!(Modality::parse("Virtual"), None);
    }

    #[test]
    fn a_session_that_is_over_never_changes_state() {
        for from in SessionStatus::ALL {
            for to in SessionStatus::ALL {
                if from.is_over() {
                    assert!(!from.may_become(*to), "{from} became {to}");
                }
            }
        }
    }
}
