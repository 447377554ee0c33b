//! Changes to a session with the meaning of a merge patch (RFC 7386 §2): an absent member keeps its
//! value, `null` clears it, any other value sets it.

use crate::domain::quorum::{Admission, AttendanceRules, Comparison, QuorumRule, Share};
use crate::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SpeakingPolicy,
    TranscriptionPolicy,
};
use crate::domain::time::Timestamp;
use crate::sessions::error::FieldProblem;
use crate::sessions::limits::TenantLimits;
use crate::sessions::new_session::{
    MODERATION_DEFAULT, PROVIDER_DEFAULT, max_participants_default, recording_default,
    speaking_default, transcription_default,
};
use crate::sessions::validation::{shown_glossary, shown_title};

/// The change of one value by a patch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// The member is absent.
    #[default]
    Keep,
    /// The member is `null`: no value, or the default where there has to be one.
    Clear,
    /// The member has a value.
    Set(T),
}

impl<T> Change<T> {
    /// The change for an optional setting of a new session: `None` keeps the default.
    #[must_use]
    pub fn from_option(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    fn apply(self, target: &mut T, default: T) {
        match self {
            Self::Keep => {}
            Self::Clear => *target = default,
            Self::Set(value) => *target = value,
        }
    }

    fn apply_optional(self, target: &mut Option<T>) {
        match self {
            Self::Keep => {}
            Self::Clear => *target = None,
            Self::Set(value) => *target = Some(value),
        }
    }

    /// For a value that can't be cleared.
    fn apply_required(self, target: &mut T, field: &'static str, problems: &mut Vec<FieldProblem>) {
        match self {
            Self::Keep => {}
            Self::Clear => problems.push(FieldProblem::new(field, "is required")),
            Self::Set(value) => *target = value,
        }
    }
}

/// Changes to a recording policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordingPatch {
    /// Whether tracks are recorded.
    pub enabled: Change<bool>,
    /// Days that a recording is kept after the session has ended.
    pub retention_days: Change<u32>,
}

/// Changes to a transcription policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TranscriptionPatch {
    /// Whether speech is transcribed.
    pub enabled: Change<bool>,
    /// BCP 47 language of the session.
    pub language: Change<String>,
    /// Words that are likely to be said. They are cleaned; none is kept twice.
    pub glossary: Change<Vec<String>>,
}

/// Changes to a speaking policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpeakingPatch {
    /// Default time of a turn, in seconds.
    pub default_turn_s: Change<u32>,
    /// Longest a turn may be extended to, in seconds.
    pub max_turn_s: Change<u32>,
    /// Whether an approved request starts at once when nobody holds the floor.
    pub auto_start: Change<bool>,
    /// Whether points of order and interposed questions are taken while the list
    /// is closed.
    pub points_of_order_pass_closed_list: Change<bool>,
}

/// Changes to what one call needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QuorumRulePatch {
    /// Share of the members; cleared, their number does not matter.
    pub heads: Change<Share>,
    /// Share of the weight; cleared, weight does not matter.
    pub weight: Change<Share>,
    /// How both are compared.
    pub comparison: Change<Comparison>,
}

/// Changes to the rules of attendance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AttendancePatch {
    /// What makes a connected person present.
    pub admission: Change<Admission>,
    /// Most units of others that one person may represent.
    pub delegated_units_max: Change<u16>,
    /// What the first call needs.
    pub first_call: Change<QuorumRulePatch>,
    /// What the second call needs; cleared, there is none.
    pub second_call: Change<QuorumRulePatch>,
}

/// Changes to a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionPatch {
    /// Title for people.
    pub title: Change<String>,
    /// Where its people are.
    pub modality: Change<Modality>,
    /// Who carries its media.
    pub provider: Change<Provider>,
    /// When it should start.
    pub scheduled_start_at: Change<Timestamp>,
    /// When it should end.
    pub scheduled_end_at: Change<Timestamp>,
    /// Most people at once.
    pub max_participants: Change<u32>,
    /// Whether the floor decides who is heard.
    pub moderation: Change<ModerationMode>,
    /// Whose cameras and screens are shown.
    pub media_policy: Change<MediaPolicy>,
    /// Whether it starts when its assembly does.
    pub start_with_assembly: Change<bool>,
    /// Whether it may be watched live without being in it.
    pub live_viewing: Change<bool>,
    /// Recording policy, member by member.
    pub recording: Change<RecordingPatch>,
    /// Transcription policy, member by member.
    pub transcription: Change<TranscriptionPatch>,
    /// Speaking policy, member by member.
    pub speaking: Change<SpeakingPatch>,
    /// Rules of attendance, member by member.
    pub attendance: Change<AttendancePatch>,
}

impl SessionPatch {
    /// The session after the patch, not validated yet, and the members that were cleared but may
    /// not be.
    pub(crate) fn applied_to(
        mut self,
        session: &Session,
        limits: &TenantLimits,
    ) -> (Session, Vec<FieldProblem>) {
        let mut wanted = session.clone();
        let mut problems = Vec::new();
        if let Change::Set(title) = &mut self.title {
            *title = shown_title(title);
        }
        self.title.apply_required(&mut wanted.title, "title", &mut problems);
        self.modality.apply_required(&mut wanted.modality, "modality", &mut problems);
        self.provider.apply(&mut wanted.provider, PROVIDER_DEFAULT);
        self.scheduled_start_at.apply_optional(&mut wanted.scheduled_start_at);
        self.scheduled_end_at.apply_optional(&mut wanted.scheduled_end_at);
        self.max_participants.apply(&mut wanted.max_participants, max_participants_default(limits));
        self.moderation.apply(&mut wanted.moderation, MODERATION_DEFAULT);
        self.media_policy.apply_optional(&mut wanted.media_policy);
        self.start_with_assembly.apply(&mut wanted.start_with_assembly, false);
        self.live_viewing.apply(&mut wanted.live_viewing, false);
        apply_recording(self.recording, &mut wanted.recording);
        apply_transcription(self.transcription, &mut wanted.transcription);
        apply_speaking(self.speaking, &mut wanted.speaking);
        apply_attendance(self.attendance, &mut wanted.attendance);
        (wanted, problems)
    }
}

pub(crate) fn apply_recording(change: Change<RecordingPatch>, policy: &mut RecordingPolicy) {
    match change {
        Change::Keep => {}
        Change::Clear => *policy = recording_default(),
        Change::Set(patch) => {
            let default = recording_default();
            patch.enabled.apply(&mut policy.enabled, default.enabled);
            patch.retention_days.apply(&mut policy.retention_days, default.retention_days);
        }
    }
}

pub(crate) fn apply_transcription(
    change: Change<TranscriptionPatch>,
    policy: &mut TranscriptionPolicy,
) {
    match change {
        Change::Keep => {}
        Change::Clear => *policy = transcription_default(),
        Change::Set(patch) => {
            patch.enabled.apply(&mut policy.enabled, transcription_default().enabled);
            patch.language.apply_optional(&mut policy.language);
            let default = transcription_default().glossary;
            patch.glossary.apply(&mut policy.glossary, default);
            policy.glossary = shown_glossary(std::mem::take(&mut policy.glossary));
        }
    }
}

pub(crate) fn apply_speaking(change: Change<SpeakingPatch>, policy: &mut SpeakingPolicy) {
    match change {
        Change::Keep => {}
        Change::Clear => *policy = speaking_default(),
        Change::Set(patch) => {
            let default = speaking_default();
            patch.default_turn_s.apply(&mut policy.default_turn_s, default.default_turn_s);
            patch.max_turn_s.apply(&mut policy.max_turn_s, default.max_turn_s);
            patch.auto_start.apply(&mut policy.auto_start, default.auto_start);
            patch.points_of_order_pass_closed_list.apply(
                &mut policy.points_of_order_pass_closed_list,
                default.points_of_order_pass_closed_list,
            );
        }
    }
}

pub(crate) fn apply_attendance(change: Change<AttendancePatch>, rules: &mut AttendanceRules) {
    let default = AttendanceRules::default();
    let patch = match change {
        Change::Keep => return,
        Change::Clear => {
            *rules = default;
            return;
        }
        Change::Set(patch) => patch,
    };
    patch.admission.apply(&mut rules.admission, default.admission);
    patch.delegated_units_max.apply(&mut rules.delegated_units_max, default.delegated_units_max);
    match patch.first_call {
        Change::Keep => {}
        Change::Clear => rules.quorum.first = default.quorum.first,
        Change::Set(rule) => apply_rule(rule, &mut rules.quorum.first),
    }
    match patch.second_call {
        Change::Keep => {}
        Change::Clear => rules.quorum.second = None,
        Change::Set(rule) => {
            let any = QuorumRule { heads: None, weight: None, ..default.quorum.first };
            apply_rule(rule, rules.quorum.second.get_or_insert(any));
        }
    }
}

fn apply_rule(patch: QuorumRulePatch, rule: &mut QuorumRule) {
    patch.heads.apply_optional(&mut rule.heads);
    patch.weight.apply_optional(&mut rule.weight);
    let default = if rule.has_whole() { Comparison::AtLeast } else { Comparison::MoreThan };
    patch.comparison.apply(&mut rule.comparison, default);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{AssemblyId, SessionId, TenantId};
    use crate::sessions::new_session::{
        DEFAULT_TURN_S, MAX_TURN_S_DEFAULT, NewSession, RETENTION_DAYS_DEFAULT,
    };

    fn session(speaking: SpeakingPatch) -> Session {
        let new_session = NewSession {
            tenant_id: TenantId::generate(),
            assembly_id: AssemblyId::generate(),
            title: "Ordinary assembly".to_owned(),
            modality: Modality::Virtual,
            provider: Some(Provider::Zoom),
            scheduled_start_at: Some(Timestamp::from_unix_us(1)),
            scheduled_end_at: Some(Timestamp::from_unix_us(2)),
            max_participants: Some(7),
            moderation: Some(ModerationMode::Open),
            media_policy: Some(MediaPolicy::Floor),
            start_with_assembly: Some(true),
            live_viewing: Some(true),
            recording: RecordingPatch {
                enabled: Change::Set(true),
                retention_days: Change::Set(9),
            },
            transcription: TranscriptionPatch {
                enabled: Change::Set(true),
                language: Change::Set("es".to_owned()),
                glossary: Change::Set(vec![" Ñemby".to_owned(), "Ñemby".to_owned()]),
            },
            speaking,
            attendance: AttendancePatch::default(),
        };
        let now = Timestamp::from_unix_us(0);
        new_session.into_session(SessionId::generate(), &TenantLimits::default(), now)
    }

    fn patched(patch: SessionPatch) -> (Session, Session, Vec<FieldProblem>) {
        let current = session(SpeakingPatch::default());
        let (wanted, problems) = patch.applied_to(&current, &TenantLimits::default());
        (current, wanted, problems)
    }

    #[test]
    fn what_is_absent_is_kept() {
        let (current, wanted, problems) = patched(SessionPatch::default());
        assert_eq!((current, problems), (wanted, vec![]));
    }

    #[test]
    fn null_clears_or_restores_the_default() {
        let (current, wanted, problems) = patched(SessionPatch {
            provider: Change::Clear,
            scheduled_start_at: Change::Clear,
            scheduled_end_at: Change::Clear,
            max_participants: Change::Clear,
            moderation: Change::Clear,
            start_with_assembly: Change::Clear,
            live_viewing: Change::Clear,
            recording: Change::Clear,
            transcription: Change::Clear,
            ..SessionPatch::default()
        });
        let expected = Session {
            provider: Provider::Webrtc,
            meeting_url: None,
            scheduled_start_at: None,
            scheduled_end_at: None,
            max_participants: 300,
            moderation: ModerationMode::Moderated,
            start_with_assembly: false,
            live_viewing: false,
            recording: recording_default(),
            transcription: transcription_default(),
            ..current
        };
        assert_eq!((wanted, problems), (expected, vec![]));
    }

    #[test]
    fn what_has_no_default_cannot_be_cleared() {
        let patch =
            SessionPatch { title: Change::Clear, modality: Change::Clear, ..Default::default() };
        let (current, wanted, problems) = patched(patch);
        assert_eq!(current, wanted);
        assert_eq!(problems.iter().map(|it| it.field).collect::<Vec<_>>(), ["title", "modality"]);
    }

    #[test]
    fn members_of_a_policy_change_one_by_one() {
        let (current, wanted, problems) = patched(SessionPatch {
            recording: Change::Set(RecordingPatch {
                retention_days: Change::Clear,
                ..RecordingPatch::default()
            }),
            transcription: Change::Set(TranscriptionPatch {
                language: Change::Clear,
                ..TranscriptionPatch::default()
            }),
            speaking: Change::Set(SpeakingPatch {
                auto_start: Change::Set(true),
                ..SpeakingPatch::default()
            }),
            ..SessionPatch::default()
        });
        assert_eq!(problems, []);
        let recording =
            RecordingPolicy { retention_days: RETENTION_DAYS_DEFAULT, ..current.recording };
        let transcription = TranscriptionPolicy {
            enabled: true,
            language: None,
            glossary: vec!["Ñemby".to_owned()],
        };
        let speaking = SpeakingPolicy { auto_start: true, ..current.speaking };
        assert_eq!(wanted, Session { recording, transcription, speaking, ..current });
    }

    #[test]
    fn a_quorum_changes_share_by_share() {
        let half = Share::HALF;
        let rules = |patch| {
            let mut rules = AttendanceRules::default();
            apply_attendance(Change::Set(patch), &mut rules);
            rules.quorum
        };
        let first_call = Change::Set(QuorumRulePatch {
            heads: Change::Set(half),
            weight: Change::Clear,
            comparison: Change::Set(Comparison::AtLeast),
        });
        let changed = rules(AttendancePatch { first_call, ..AttendancePatch::default() });
        let wanted =
            QuorumRule { heads: Some(half), weight: None, comparison: Comparison::AtLeast };
        assert_eq!((changed.first, changed.second.is_some()), (wanted, true));
        let none = AttendancePatch { second_call: Change::Clear, ..AttendancePatch::default() };
        assert_eq!(rules(none).second, None);
        let mut cleared = AttendanceRules { delegated_units_max: 9, ..AttendanceRules::default() };
        apply_attendance(Change::Clear, &mut cleared);
        assert_eq!(cleared, AttendanceRules::default());
    }

    #[test]
    fn a_default_gives_way_to_what_a_creator_says() {
        let speaking = |default_turn_s, max_turn_s| {
            let patch = SpeakingPatch { default_turn_s, max_turn_s, ..SpeakingPatch::default() };
            let policy = session(patch).speaking;
            (policy.default_turn_s, policy.max_turn_s)
        };
        assert_eq!(speaking(Change::Keep, Change::Keep), (DEFAULT_TURN_S, MAX_TURN_S_DEFAULT));
        assert_eq!(speaking(Change::Keep, Change::Set(60)), (60, 60));
        assert_eq!(speaking(Change::Set(900), Change::Keep), (900, 900));
        assert_eq!(speaking(Change::Set(90), Change::Set(60)), (90, 60));
    }
}
