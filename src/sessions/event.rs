//! Events of a session. Each is stored in the transaction of the change that it is about; observers
//! in this process and readers of the outbox receive it.

use serde::{Deserialize, Serialize};

use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::named_values::named_values;
use crate::domain::quorum::AttendanceRules;
use crate::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SessionStatus,
    SpeakingPolicy, TranscriptionPolicy,
};
use crate::domain::time::Timestamp;
use crate::sessions::attendance_rules::{read_rules, rules_text};

named_values!(
    /// What happened to a session. The text is the type of the event; it ends with the version of
    /// its payload.
    SessionEventKind {
        /// It was created.
        Created => "session.created.v1",
        /// It became active.
        Started => "session.started.v1",
        /// Its title, times, limits or policies changed.
        Changed => "session.changed.v1",
        /// It was completed.
        Ended => "session.ended.v1",
        /// It was cancelled.
        Cancelled => "session.cancelled.v1",
    }
);

/// A change of a session, and the session after it. Its `version` counts the changes of the session
/// from 1, so it identifies the event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// What happened.
    pub kind: SessionEventKind,
    /// When.
    pub at: Timestamp,
    /// The session afterwards.
    pub session: Session,
}

impl SessionEvent {
    /// The event of a session that was just created.
    pub(crate) const fn created(session: Session) -> Self {
        Self { kind: SessionEventKind::Created, at: session.created_at, session }
    }

    /// The event of a session whose members changed, but not its state.
    pub(crate) const fn changed(session: Session, at: Timestamp) -> Self {
        Self { kind: SessionEventKind::Changed, at, session }
    }

    /// The event of a session that has just changed its state.
    pub(crate) fn in_state(session: Session, at: Timestamp) -> Self {
        let kind = match session.status {
            SessionStatus::Scheduled => SessionEventKind::Created,
            SessionStatus::Active => SessionEventKind::Started,
            SessionStatus::Completed => SessionEventKind::Ended,
            SessionStatus::Cancelled => SessionEventKind::Cancelled,
        };
        Self { kind, at, session }
    }

    /// The text in which the session is stored.
    #[must_use]
    pub fn payload(&self) -> String {
        serde_json::to_string(&Payload::of(&self.session)).unwrap_or_default()
    }

    /// Parses a stored event; `None` when it is malformed.
    #[must_use]
    pub fn read(kind: &str, at: Timestamp, payload: &str) -> Option<Self> {
        let payload: Payload = serde_json::from_str(payload).ok()?;
        Some(Self { kind: SessionEventKind::parse(kind)?, at, session: payload.into_session()? })
    }
}

/// Version 1 of the payload. Times are microseconds since 1970. Members that are added later need a
/// default, since older payloads lack them.
#[derive(Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
struct Payload {
    id: String,
    tenant_id: String,
    assembly_id: String,
    title: String,
    modality: String,
    provider: String,
    #[serde(default)]
    meeting_url: Option<String>,
    status: String,
    scheduled_start_at: Option<i64>,
    scheduled_end_at: Option<i64>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    max_participants: u32,
    moderation: String,
    #[serde(default)]
    media_policy: Option<String>,
    #[serde(default)]
    start_with_assembly: bool,
    #[serde(default)]
    live_viewing: bool,
    recording_enabled: bool,
    recording_retention_days: u32,
    transcription_enabled: bool,
    transcription_language: Option<String>,
    #[serde(default)]
    transcription_glossary: Vec<String>,
    default_turn_s: u32,
    max_turn_s: u32,
    auto_start: bool,
    #[serde(default = "passes")]
    points_of_order_pass_closed_list: bool,
    #[serde(default)]
    attendance: Option<String>,
    version: u64,
    created_at: i64,
}

/// What sessions did whose payload says nothing of it.
const fn passes() -> bool {
    true
}

impl Payload {
    fn of(session: &Session) -> Self {
        let us = |moment: Option<Timestamp>| moment.map(Timestamp::unix_us);
        Self {
            id: session.id.to_string(),
            tenant_id: session.tenant_id.to_string(),
            assembly_id: session.assembly_id.to_string(),
            title: session.title.clone(),
            modality: session.modality.to_string(),
            provider: session.provider.to_string(),
            meeting_url: session.meeting_url.clone(),
            status: session.status.to_string(),
            scheduled_start_at: us(session.scheduled_start_at),
            scheduled_end_at: us(session.scheduled_end_at),
            started_at: us(session.started_at),
            ended_at: us(session.ended_at),
            max_participants: session.max_participants,
            moderation: session.moderation.to_string(),
            media_policy: session.media_policy.map(|policy| policy.to_string()),
            start_with_assembly: session.start_with_assembly,
            live_viewing: session.live_viewing,
            recording_enabled: session.recording.enabled,
            recording_retention_days: session.recording.retention_days,
            transcription_enabled: session.transcription.enabled,
            transcription_language: session.transcription.language.clone(),
            transcription_glossary: session.transcription.glossary.clone(),
            default_turn_s: session.speaking.default_turn_s,
            max_turn_s: session.speaking.max_turn_s,
            auto_start: session.speaking.auto_start,
            points_of_order_pass_closed_list: session.speaking.points_of_order_pass_closed_list,
            attendance: Some(rules_text(&session.attendance)),
            version: session.version,
            created_at: session.created_at.unix_us(),
        }
    }

    fn into_session(self) -> Option<Session> {
        let moment = |us: Option<i64>| us.map(Timestamp::from_unix_us);
        Some(Session {
            id: self.id.parse::<SessionId>().ok()?,
            tenant_id: self.tenant_id.parse::<TenantId>().ok()?,
            assembly_id: self.assembly_id.parse::<AssemblyId>().ok()?,
            title: self.title,
            modality: Modality::parse(&self.modality)?,
            provider: Provider::parse(&self.provider)?,
            meeting_url: self.meeting_url,
            status: SessionStatus::parse(&self.status)?,
            scheduled_start_at: moment(self.scheduled_start_at),
            scheduled_end_at: moment(self.scheduled_end_at),
            started_at: moment(self.started_at),
            ended_at: moment(self.ended_at),
            max_participants: self.max_participants,
            moderation: ModerationMode::parse(&self.moderation)?,
            media_policy: match self.media_policy {
                Some(policy) => Some(MediaPolicy::parse(&policy)?),
                None => None,
            },
            start_with_assembly: self.start_with_assembly,
            live_viewing: self.live_viewing,
            recording: RecordingPolicy {
                enabled: self.recording_enabled,
                retention_days: self.recording_retention_days,
            },
            transcription: TranscriptionPolicy {
                enabled: self.transcription_enabled,
                language: self.transcription_language,
                glossary: self.transcription_glossary,
            },
            speaking: SpeakingPolicy {
                default_turn_s: self.default_turn_s,
                max_turn_s: self.max_turn_s,
                auto_start: self.auto_start,
                points_of_order_pass_closed_list: self.points_of_order_pass_closed_list,
            },
            attendance: match self.attendance {
                Some(text) => read_rules(&text)?,
                None => AttendanceRules::default(),
            },
            version: self.version,
            created_at: Timestamp::from_unix_us(self.created_at),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        Session {
            id: SessionId::generate(),
            tenant_id: TenantId::generate(),
            assembly_id: AssemblyId::generate(),
            title: "¿Cuotas? \"2027\"".to_owned(),
            modality: Modality::Mixed,
            provider: Provider::Zoom,
            meeting_url: Some("https://zoom.us/j/1".to_owned()),
            status: SessionStatus::Active,
            scheduled_start_at: Some(Timestamp::from_unix_us(-1)),
            scheduled_end_at: None,
            started_at: Some(Timestamp::from_unix_us(1_800_000_000_123_456)),
            ended_at: None,
            max_participants: 7,
            moderation: ModerationMode::Open,
            media_policy: Some(MediaPolicy::Floor),
            start_with_assembly: true,
            live_viewing: true,
            recording: RecordingPolicy { enabled: true, retention_days: 9 },
            transcription: TranscriptionPolicy {
                enabled: true,
                language: Some("es".to_owned()),
                glossary: vec!["Ñemby".to_owned()],
            },
            speaking: SpeakingPolicy {
                default_turn_s: 60,
                max_turn_s: 90,
                auto_start: true,
                points_of_order_pass_closed_list: false,
            },
            attendance: AttendanceRules { delegated_units_max: 9, ..AttendanceRules::default() },
            version: 3,
            created_at: Timestamp::from_unix_us(5),
        }
    }

    #[test]
    fn an_event_reads_back_as_it_was_kept() {
        for kind in SessionEventKind::ALL {
            let at = Timestamp::from_unix_us(7);
            let event = SessionEvent { kind: *kind, at, session: session() };
            let read = SessionEvent::read(kind.as_str(), at, &event.payload());
            assert_eq!(read, Some(event));
        }
        let payload = SessionEvent::created(session()).payload();
        let at = Timestamp::from_unix_us(7);
        assert_eq!(SessionEvent::read("session.created.v2", at, &payload), None);
        assert_eq!(SessionEvent::read("session.created.v1", at, "{}"), None);
    }
}
