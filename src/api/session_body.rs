//! Sessions in JSON: as they are returned, created and changed.

use std::convert::identity;

use axum::http::HeaderValue;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attendance_rules::{AttendanceBody, AttendancePatchBody, NewAttendanceBody};
use super::json_forms::{
    Id, MediaPolicy, Member, Modality, ModerationMode, Moment, Provider, SessionStatus,
};
use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::session as domain;
use crate::sessions::{
    Change, NewSession, RecordingPatch, SessionPatch, SpeakingPatch, TranscriptionPatch,
};

/// A governed meeting.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Session)]
pub(super) struct SessionBody {
    /// Identifier, `UUIDv7`.
    #[schema(value_type = String, format = Uuid)]
    id: Id<SessionId>,
    /// The tenant it belongs to.
    #[schema(value_type = String, format = Uuid)]
    tenant_id: Id<TenantId>,
    /// The assembly it belongs to.
    #[schema(value_type = String, format = Uuid)]
    assembly_id: Id<AssemblyId>,
    /// Title shown to people.
    title: String,
    /// Where its people are.
    modality: Modality,
    /// Who carries its media.
    provider: Provider,
    /// Its state.
    status: SessionStatus,
    /// When it should start.
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_start_at: Option<Moment>,
    /// When it should end.
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_end_at: Option<Moment>,
    /// When it was started.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Moment>,
    /// When it was completed or cancelled.
    #[schema(value_type = Option<String>, format = DateTime)]
    ended_at: Option<Moment>,
    /// Most people at once.
    max_participants: u32,
    /// Whether the speaking list decides who is heard.
    moderation: ModerationMode,
    /// Whose cameras and screens are shown while the session is moderated as
    /// `moderation` says.
    media_policy: MediaPolicy,
    /// Whether it starts when the governance service says that its assembly has.
    start_with_assembly: bool,
    /// Whether whoever has a stream token for it may watch it live (HLS), without being in it.
    live_viewing: bool,
    /// Recording policy.
    recording: RecordingBody,
    /// Transcription policy.
    transcription: TranscriptionBody,
    /// Speaking policy.
    speaking: SpeakingBody,
    /// Rules of attendance.
    attendance: AttendanceBody,
    /// Address of the page where people join: their attendance and the speaking list are there,
    /// whoever carries the media.
    join_url: String,
    /// The meeting that carries the media; `null` when this server does.
    #[schema(value_type = Option<MeetingBody>)]
    meeting: Option<MeetingBody>,
    /// Number of changes; `If-Match` is compared with it.
    version: u64,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Moment,
}

/// A meeting at another provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Meeting)]
struct MeetingBody {
    /// Where people join it.
    join_url: String,
}

/// Whether a session is recorded and for how long the recording is kept.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Recording)]
struct RecordingBody {
    enabled: bool,
    retention_days: u32,
}

/// Whether and in which language a session is transcribed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transcription)]
struct TranscriptionBody {
    enabled: bool,
    /// BCP 47 language tag.
    language: Option<String>,
    /// Names and other words that are likely to be said, the most important first: what recognises
    /// speech spells them so.
    glossary: Vec<String>,
}

/// How turns are given.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Speaking)]
struct SpeakingBody {
    /// Default time of a turn, in seconds.
    default_turn_s: u32,
    /// Longest time to which a turn may be extended, in seconds.
    max_turn_s: u32,
    /// Whether an approved request starts at once when nobody holds the floor.
    auto_start: bool,
    /// Whether points of order and interposed questions are taken while the list
    /// is closed.
    points_of_order_pass_closed_list: bool,
}

impl SessionBody {
    /// Converts a session to its JSON form.
    pub(super) fn new(session: &domain::Session, join_url: String) -> Self {
        Self {
            id: Id(session.id),
            tenant_id: Id(session.tenant_id),
            assembly_id: Id(session.assembly_id),
            title: session.title.clone(),
            modality: session.modality.into(),
            provider: session.provider.into(),
            status: session.status.into(),
            scheduled_start_at: session.scheduled_start_at.map(Moment),
            scheduled_end_at: session.scheduled_end_at.map(Moment),
            started_at: session.started_at.map(Moment),
            ended_at: session.ended_at.map(Moment),
            max_participants: session.max_participants,
            moderation: session.moderation.into(),
            media_policy: session
                .media_policy
                .unwrap_or(domain::MediaPolicy::default_of(session.moderation))
                .into(),
            start_with_assembly: session.start_with_assembly,
            live_viewing: session.live_viewing,
            recording: RecordingBody {
                enabled: session.recording.enabled,
                retention_days: session.recording.retention_days,
            },
            transcription: TranscriptionBody {
                enabled: session.transcription.enabled,
                language: session.transcription.language.clone(),
                glossary: session.transcription.glossary.clone(),
            },
            speaking: SpeakingBody {
                default_turn_s: session.speaking.default_turn_s,
                max_turn_s: session.speaking.max_turn_s,
                auto_start: session.speaking.auto_start,
                points_of_order_pass_closed_list: session.speaking.points_of_order_pass_closed_list,
            },
            attendance: (&session.attendance).into(),
            join_url,
            meeting: session.meeting_url.clone().map(|join_url| MeetingBody { join_url }),
            version: session.version,
            created_at: Moment(session.created_at),
        }
    }
}

/// The entity tag of a version: `"7"`.
pub(super) fn etag(version: u64) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// A page of sessions.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SessionPage)]
pub(super) struct SessionPageBody {
    /// Newest first.
    pub(super) items: Vec<SessionBody>,
    /// Cursor of the next page; `null` on the last one.
    pub(super) next_cursor: Option<String>,
}

/// A session to be created.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSession, example = json!({
    "tenant_id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "assembly_id": "01890a5d-ac96-774b-bcce-b302099a8058",
    "title": "Ordinary general assembly",
    "modality": "mixed",
    "scheduled_start_at": "2026-03-01T18:00:00Z",
    "recording": {"enabled": true, "retention_days": 3650},
    "speaking": {"default_turn_s": 180, "max_turn_s": 600, "auto_start": false},
    "attendance": {"quorum": {"first_call": {"weight": "1/2"}, "second_call": {"weight": "1/4"}}}
}))]
pub(super) struct NewSessionBody {
    #[schema(value_type = String, format = Uuid)]
    pub(super) tenant_id: Id<TenantId>,
    #[schema(value_type = String, format = Uuid)]
    assembly_id: Id<AssemblyId>,
    /// Kept without what hides or reorders, and cut after 200 characters as readers count them.
    #[schema(min_length = 1)]
    title: String,
    modality: Modality,
    /// `webrtc` when absent.
    provider: Option<Provider>,
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_start_at: Option<Moment>,
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_end_at: Option<Moment>,
    /// 300 when absent, or the tenant's limit when that is lower.
    max_participants: Option<u32>,
    /// `moderated` when absent.
    moderation: Option<ModerationMode>,
    /// When absent `floor` while the session is moderated and `all` while it is
    /// open.
    media_policy: Option<MediaPolicy>,
    /// Whether `assembly.activated.v1` of its assembly starts it; not when absent.
    start_with_assembly: Option<bool>,
    /// Whether whoever has a stream token for it may watch it live (HLS); not when absent.
    live_viewing: Option<bool>,
    /// Not recorded when absent.
    recording: Option<NewRecordingBody>,
    /// Not transcribed when absent.
    transcription: Option<NewTranscriptionBody>,
    /// Turns of 180 s that may be extended to 600 s when absent.
    speaking: Option<NewSpeakingBody>,
    /// Who is connected is present, and more than half of the weight is a quorum,
    /// when absent.
    attendance: Option<NewAttendanceBody>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRecording)]
struct NewRecordingBody {
    enabled: Option<bool>,
    retention_days: Option<u32>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTranscription)]
struct NewTranscriptionBody {
    enabled: Option<bool>,
    language: Option<String>,
    /// Names and other words that are likely to be said, the most important first: at most 100 of
    /// 100 bytes.
    glossary: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewSpeaking)]
struct NewSpeakingBody {
    default_turn_s: Option<u32>,
    max_turn_s: Option<u32>,
    auto_start: Option<bool>,
    /// `true` when absent.
    points_of_order_pass_closed_list: Option<bool>,
}

impl From<NewSessionBody> for NewSession {
    fn from(body: NewSessionBody) -> Self {
        let recording = body.recording.unwrap_or_default();
        let transcription = body.transcription.unwrap_or_default();
        let speaking = body.speaking.unwrap_or_default();
        Self {
            tenant_id: body.tenant_id.0,
            assembly_id: body.assembly_id.0,
            title: body.title,
            modality: body.modality.into(),
            provider: body.provider.map(Into::into),
            scheduled_start_at: body.scheduled_start_at.map(|moment| moment.0),
            scheduled_end_at: body.scheduled_end_at.map(|moment| moment.0),
            max_participants: body.max_participants,
            moderation: body.moderation.map(Into::into),
            media_policy: body.media_policy.map(Into::into),
            start_with_assembly: body.start_with_assembly,
            live_viewing: body.live_viewing,
            recording: RecordingPatch {
                enabled: Change::from_option(recording.enabled),
                retention_days: Change::from_option(recording.retention_days),
            },
            transcription: TranscriptionPatch {
                enabled: Change::from_option(transcription.enabled),
                language: Change::from_option(transcription.language),
                glossary: Change::from_option(transcription.glossary),
            },
            speaking: SpeakingPatch {
                default_turn_s: Change::from_option(speaking.default_turn_s),
                max_turn_s: Change::from_option(speaking.max_turn_s),
                auto_start: Change::from_option(speaking.auto_start),
                points_of_order_pass_closed_list: Change::from_option(
                    speaking.points_of_order_pass_closed_list,
                ),
            },
            attendance: body.attendance.unwrap_or_default().into(),
        }
    }
}

/// Changes to a session, as a merge patch (RFC 7396): absent members keep their value, `null`
/// restores the default.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SessionPatch, example = json!({"title": "Extraordinary assembly", "speaking": {"default_turn_s": 120}}))]
pub(super) struct SessionPatchBody {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    title: Member<String>,
    #[serde(default)]
    #[schema(value_type = Option<Modality>)]
    modality: Member<Modality>,
    #[serde(default)]
    #[schema(value_type = Option<Provider>)]
    provider: Member<Provider>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_start_at: Member<Moment>,
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    scheduled_end_at: Member<Moment>,
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    max_participants: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<ModerationMode>)]
    moderation: Member<ModerationMode>,
    #[serde(default)]
    #[schema(value_type = Option<MediaPolicy>)]
    media_policy: Member<MediaPolicy>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    start_with_assembly: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    live_viewing: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<RecordingPatchBody>)]
    recording: Member<RecordingPatchBody>,
    #[serde(default)]
    #[schema(value_type = Option<TranscriptionPatchBody>)]
    transcription: Member<TranscriptionPatchBody>,
    #[serde(default)]
    #[schema(value_type = Option<SpeakingPatchBody>)]
    speaking: Member<SpeakingPatchBody>,
    #[serde(default)]
    #[schema(value_type = Option<AttendancePatchBody>)]
    attendance: Member<AttendancePatchBody>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RecordingPatch)]
struct RecordingPatchBody {
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    retention_days: Member<u32>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TranscriptionPatch)]
struct TranscriptionPatchBody {
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    enabled: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    language: Member<String>,
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>)]
    glossary: Member<Vec<String>>,
}

#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SpeakingPatch)]
struct SpeakingPatchBody {
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    default_turn_s: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    max_turn_s: Member<u32>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    auto_start: Member<bool>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    points_of_order_pass_closed_list: Member<bool>,
}

/// The change of a member, with its value converted.
pub(super) fn change<T, U>(member: Member<T>, convert: impl FnOnce(T) -> U) -> Change<U> {
    match member {
        Member::Absent => Change::Keep,
        Member::Null => Change::Clear,
        Member::Value(value) => Change::Set(convert(value)),
    }
}

impl From<SessionPatchBody> for SessionPatch {
    fn from(body: SessionPatchBody) -> Self {
        Self {
            title: change(body.title, identity),
            modality: change(body.modality, Into::into),
            provider: change(body.provider, Into::into),
            scheduled_start_at: change(body.scheduled_start_at, |moment| moment.0),
            scheduled_end_at: change(body.scheduled_end_at, |moment| moment.0),
            max_participants: change(body.max_participants, identity),
            moderation: change(body.moderation, Into::into),
            media_policy: change(body.media_policy, Into::into),
            start_with_assembly: change(body.start_with_assembly, identity),
            live_viewing: change(body.live_viewing, identity),
            recording: change(body.recording, |recording| RecordingPatch {
                enabled: change(recording.enabled, identity),
                retention_days: change(recording.retention_days, identity),
            }),
            transcription: change(body.transcription, |transcription| TranscriptionPatch {
                enabled: change(transcription.enabled, identity),
                language: change(transcription.language, identity),
                glossary: change(transcription.glossary, identity),
            }),
            speaking: change(body.speaking, |speaking| SpeakingPatch {
                default_turn_s: change(speaking.default_turn_s, identity),
                max_turn_s: change(speaking.max_turn_s, identity),
                auto_start: change(speaking.auto_start, identity),
                points_of_order_pass_closed_list: change(
                    speaking.points_of_order_pass_closed_list,
                    identity,
                ),
            }),
            attendance: change(body.attendance, Into::into),
        }
    }
}
