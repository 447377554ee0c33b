//! The description of a new session, and the defaults for what it leaves out.

use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::quorum::AttendanceRules;
use crate::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SessionStatus,
    SpeakingPolicy, TranscriptionPolicy,
};
use crate::domain::time::Timestamp;
use crate::sessions::change::{
    AttendancePatch, Change, RecordingPatch, SpeakingPatch, TranscriptionPatch, apply_attendance,
    apply_recording, apply_speaking, apply_transcription,
};
use crate::sessions::limits::TenantLimits;
use crate::sessions::validation::shown_title;

/// Default of the most people of a session; the tenant's limit when that is lower.
pub const MAX_PARTICIPANTS_DEFAULT: u32 = 300;
/// Default number of days that a recording is kept: decisions are usually disputed within a year.
pub const RETENTION_DAYS_DEFAULT: u32 = 365;
/// Default time of a turn, in seconds.
pub const DEFAULT_TURN_S: u32 = 180;
/// Default of the longest time to which a turn may be extended, in seconds.
pub const MAX_TURN_S_DEFAULT: u32 = 600;

pub(crate) const PROVIDER_DEFAULT: Provider = Provider::Webrtc;
pub(crate) const MODERATION_DEFAULT: ModerationMode = ModerationMode::Moderated;

pub(crate) fn max_participants_default(limits: &TenantLimits) -> u32 {
    MAX_PARTICIPANTS_DEFAULT.min(limits.max_participants_per_session)
}

/// Recording is off unless the creator turns it on.
pub(crate) const fn recording_default() -> RecordingPolicy {
    RecordingPolicy { enabled: false, retention_days: RETENTION_DAYS_DEFAULT }
}

pub(crate) const fn transcription_default() -> TranscriptionPolicy {
    TranscriptionPolicy { enabled: false, language: None, glossary: Vec::new() }
}

pub(crate) const fn speaking_default() -> SpeakingPolicy {
    SpeakingPolicy {
        default_turn_s: DEFAULT_TURN_S,
        max_turn_s: MAX_TURN_S_DEFAULT,
        auto_start: false,
        points_of_order_pass_closed_list: true,
    }
}

/// A session to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSession {
    /// The tenant to which it will belong.
    pub tenant_id: TenantId,
    /// The assembly it belongs to.
    pub assembly_id: AssemblyId,
    /// Title for people.
    pub title: String,
    /// Where its people are.
    pub modality: Modality,
    /// Who carries its media; this server when `None`.
    pub provider: Option<Provider>,
    /// When it should start.
    pub scheduled_start_at: Option<Timestamp>,
    /// When it should end.
    pub scheduled_end_at: Option<Timestamp>,
    /// Most people at once; [`MAX_PARTICIPANTS_DEFAULT`] when `None`.
    pub max_participants: Option<u32>,
    /// Whether the speaking list decides who is heard; it does when `None`.
    pub moderation: Option<ModerationMode>,
    /// Whose cameras and screens are shown; follows the moderation when `None`.
    pub media_policy: Option<MediaPolicy>,
    /// Whether it starts when its assembly does; it does not when `None`.
    pub start_with_assembly: Option<bool>,
    /// Whether it may be watched live without being in it; it may not when `None`.
    pub live_viewing: Option<bool>,
    /// Changes to the default: no recording, kept [`RETENTION_DAYS_DEFAULT`] days.
    pub recording: RecordingPatch,
    /// Changes to the default: no transcription.
    pub transcription: TranscriptionPatch,
    /// Changes to the default: turns of [`DEFAULT_TURN_S`] that may be extended to
    /// [`MAX_TURN_S_DEFAULT`] and are started by a moderator. A default that contradicts a given
    /// value is adjusted.
    pub speaking: SpeakingPatch,
    /// What differs from the rules that [`AttendanceRules`] has by default.
    pub attendance: AttendancePatch,
}

impl NewSession {
    /// A session with the defaults for everything else.
    #[must_use]
    pub fn new(
        tenant_id: TenantId,
        assembly_id: AssemblyId,
        title: &str,
        modality: Modality,
    ) -> Self {
        Self {
            tenant_id,
            assembly_id,
            title: title.to_owned(),
            modality,
            provider: None,
            scheduled_start_at: None,
            scheduled_end_at: None,
            max_participants: None,
            moderation: None,
            media_policy: None,
            start_with_assembly: None,
            live_viewing: None,
            recording: RecordingPatch::default(),
            transcription: TranscriptionPatch::default(),
            speaking: SpeakingPatch::default(),
            attendance: AttendancePatch::default(),
        }
    }

    /// The session, not validated yet.
    pub(crate) fn into_session(
        self,
        id: SessionId,
        limits: &TenantLimits,
        now: Timestamp,
    ) -> Session {
        let mut session = Session {
            id,
            tenant_id: self.tenant_id,
            assembly_id: self.assembly_id,
            title: shown_title(&self.title),
            modality: self.modality,
            provider: self.provider.unwrap_or(PROVIDER_DEFAULT),
            meeting_url: None,
            status: SessionStatus::Scheduled,
            scheduled_start_at: self.scheduled_start_at,
            scheduled_end_at: self.scheduled_end_at,
            started_at: None,
            ended_at: None,
            max_participants: self
                .max_participants
                .unwrap_or_else(|| max_participants_default(limits)),
            moderation: self.moderation.unwrap_or(MODERATION_DEFAULT),
            media_policy: self.media_policy,
            start_with_assembly: self.start_with_assembly.unwrap_or(false),
            live_viewing: self.live_viewing.unwrap_or(false),
            recording: recording_default(),
            transcription: transcription_default(),
            speaking: speaking_beside(&self.speaking),
            attendance: AttendanceRules::default(),
            version: 1,
            created_at: now,
        };
        apply_recording(Change::Set(self.recording), &mut session.recording);
        apply_transcription(Change::Set(self.transcription), &mut session.transcription);
        apply_speaking(Change::Set(self.speaking), &mut session.speaking);
        apply_attendance(Change::Set(self.attendance), &mut session.attendance);
        session
    }
}

/// The defaults, adjusted where they contradict the given values.
fn speaking_beside(said: &SpeakingPatch) -> SpeakingPolicy {
    let mut policy = speaking_default();
    if let Change::Set(max_turn_s) = said.max_turn_s {
        policy.default_turn_s = policy.default_turn_s.min(max_turn_s);
    } else if let Change::Set(default_turn_s) = said.default_turn_s {
        policy.max_turn_s = policy.max_turn_s.max(default_turn_s);
    }
    policy
}
