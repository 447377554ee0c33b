//! A row of `sessions`, and its conversions from and to the domain type.

use sea_orm::entity::prelude::*;
use sea_orm::{ActiveValue::Set, IntoActiveModel};

use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::quorum::AttendanceRules;
use crate::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SessionStatus,
    SpeakingPolicy, TranscriptionPolicy,
};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::{read_rules, rules_text};
use crate::store::error::{number, stored, word};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sessions")]
#[expect(clippy::struct_excessive_bools, reason = "each is a column of its own")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub assembly_id: Uuid,
    pub title: String,
    pub modality: String,
    pub provider: String,
    pub meeting_url: Option<String>,
    pub status: String,
    pub scheduled_start_at: Option<i64>,
    pub scheduled_end_at: Option<i64>,
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    pub max_participants: i64,
    pub moderation: String,
    pub media_policy: Option<String>,
    pub start_with_assembly: bool,
    pub live_viewing: bool,
    pub recording_enabled: bool,
    pub recording_retention_days: i64,
    pub transcription_enabled: bool,
    pub transcription_language: Option<String>,
    /// A JSON list of texts; absent in rows of versions that had none.
    pub transcription_glossary: Option<String>,
    pub default_turn_s: i64,
    pub max_turn_s: i64,
    pub auto_start: bool,
    pub points_of_order_pass_closed_list: bool,
    pub attendance: Option<String>,
    pub version: i64,
    pub created_at: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

/// All columns of the row for a session.
pub(in crate::store) fn row_of(session: &Session) -> Result<ActiveModel, StoreError> {
    let us = |moment: Option<Timestamp>| moment.map(Timestamp::unix_us);
    let model = Model {
        id: session.id.as_uuid(),
        tenant_id: session.tenant_id.as_uuid(),
        assembly_id: session.assembly_id.as_uuid(),
        title: session.title.clone(),
        modality: session.modality.as_str().to_owned(),
        provider: session.provider.as_str().to_owned(),
        meeting_url: session.meeting_url.clone(),
        status: session.status.as_str().to_owned(),
        scheduled_start_at: us(session.scheduled_start_at),
        scheduled_end_at: us(session.scheduled_end_at),
        started_at: us(session.started_at),
        ended_at: us(session.ended_at),
        max_participants: session.max_participants.into(),
        moderation: session.moderation.as_str().to_owned(),
        media_policy: session.media_policy.map(|policy| policy.as_str().to_owned()),
        start_with_assembly: session.start_with_assembly,
        live_viewing: session.live_viewing,
        recording_enabled: session.recording.enabled,
        recording_retention_days: session.recording.retention_days.into(),
        transcription_enabled: session.transcription.enabled,
        transcription_language: session.transcription.language.clone(),
        transcription_glossary: Some(
            serde_json::Value::from(session.transcription.glossary.clone()).to_string(),
        ),
        default_turn_s: session.speaking.default_turn_s.into(),
        max_turn_s: session.speaking.max_turn_s.into(),
        auto_start: session.speaking.auto_start,
        points_of_order_pass_closed_list: session.speaking.points_of_order_pass_closed_list,
        attendance: Some(rules_text(&session.attendance)),
        version: stored(session.version)?,
        created_at: session.created_at.unix_us(),
    };
    Ok(model.into_active_model().reset_all())
}

/// Only the columns that can change.
pub(in crate::store) fn changes_of(session: &Session) -> Result<ActiveModel, StoreError> {
    use sea_orm::ActiveValue::NotSet;
    Ok(ActiveModel {
        id: NotSet,
        tenant_id: NotSet,
        assembly_id: NotSet,
        created_at: NotSet,
        version: Set(stored(session.version)?),
        ..row_of(session)?
    })
}

/// The session in a row.
pub(in crate::store) fn session_of(row: Model) -> Result<Session, StoreError> {
    let moment = |us: Option<i64>| us.map(Timestamp::from_unix_us);
    Ok(Session {
        id: SessionId::from_uuid(row.id),
        tenant_id: TenantId::from_uuid(row.tenant_id),
        assembly_id: AssemblyId::from_uuid(row.assembly_id),
        title: row.title,
        modality: word(Modality::parse(&row.modality), "modality")?,
        provider: word(Provider::parse(&row.provider), "provider")?,
        meeting_url: row.meeting_url,
        status: word(SessionStatus::parse(&row.status), "status")?,
        scheduled_start_at: moment(row.scheduled_start_at),
        scheduled_end_at: moment(row.scheduled_end_at),
        started_at: moment(row.started_at),
        ended_at: moment(row.ended_at),
        max_participants: number(row.max_participants, "max_participants")?,
        moderation: word(ModerationMode::parse(&row.moderation), "moderation")?,
        media_policy: row
            .media_policy
            .map(|policy| word(MediaPolicy::parse(&policy), "media_policy"))
            .transpose()?,
        start_with_assembly: row.start_with_assembly,
        live_viewing: row.live_viewing,
        recording: RecordingPolicy {
            enabled: row.recording_enabled,
            retention_days: number(row.recording_retention_days, "recording_retention_days")?,
        },
        transcription: TranscriptionPolicy {
            enabled: row.transcription_enabled,
            language: row.transcription_language,
            glossary: match &row.transcription_glossary {
                Some(text) => word(serde_json::from_str(text).ok(), "transcription_glossary")?,
                None => Vec::new(),
            },
        },
        speaking: SpeakingPolicy {
            default_turn_s: number(row.default_turn_s, "default_turn_s")?,
            max_turn_s: number(row.max_turn_s, "max_turn_s")?,
            auto_start: row.auto_start,
            points_of_order_pass_closed_list: row.points_of_order_pass_closed_list,
        },
        attendance: match &row.attendance {
            Some(text) => word(read_rules(text), "attendance")?,
            None => AttendanceRules::default(),
        },
        version: number(row.version, "version")?,
        created_at: Timestamp::from_unix_us(row.created_at),
    })
}
