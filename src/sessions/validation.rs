//! Checks the values of a session and reports all problems at once.

use crate::domain::language::LanguageTag;
use crate::domain::quorum::{Comparison, QuorumRule};
use crate::domain::session::{Session, SessionStatus};
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::sessions::error::FieldProblem;
use crate::sessions::limits::TenantLimits;

/// Most words of a glossary. An engine is given as many of the first as it takes; raising it makes
/// every session larger.
const GLOSSARY_TERMS_MAX: usize = 100;
/// Longest word of a glossary, in bytes.
const GLOSSARY_TERM_BYTES_MAX: usize = 100;
/// Longest time that a recording may be kept, in days: a hundred years.
pub const RETENTION_DAYS_MAX: u32 = 36_525;
/// Longest turn, in seconds: four hours.
pub const TURN_S_MAX: u32 = 14_400;
/// Most units of others that rules may let one person represent.
const DELEGATED_UNITS_MAX: u16 = 1_000;

/// The last moment that RFC 3339 can express: the end of the year 9999.
const SCHEDULE_MAX: Timestamp = Timestamp::from_unix_us(253_402_300_799_999_999);

/// Everything that is wrong with `wanted`. Values that are equal in `current` were accepted before
/// and are not compared with limits again.
pub(crate) fn problems_of(
    wanted: &Session,
    current: Option<&Session>,
    limits: &TenantLimits,
) -> Vec<FieldProblem> {
    let mut problems = Vec::new();
    let mut say = |field: &'static str, problem: Option<String>| {
        problems.extend(problem.map(|problem| FieldProblem::new(field, problem)));
    };
    say("title", title_problem(&wanted.title));
    say("scheduled_start_at", schedule_problem(wanted.scheduled_start_at));
    say(
        "scheduled_end_at",
        schedule_problem(wanted.scheduled_end_at).or_else(|| {
            let (start, end) = (wanted.scheduled_start_at?, wanted.scheduled_end_at?);
            (end <= start).then(|| "must be later than scheduled_start_at".to_owned())
        }),
    );
    if current.is_none_or(|current| current.max_participants != wanted.max_participants) {
        let max = limits.max_participants_per_session;
        say("max_participants", bounds_problem(wanted.max_participants, max));
    }
    let retention_days = wanted.recording.retention_days;
    say("recording.retention_days", bounds_problem(retention_days, RETENTION_DAYS_MAX));
    let moved = current.filter(|current| current.meeting_url.is_some());
    let moved = moved.is_some_and(|current| current.provider != wanted.provider);
    let made = "can't change any more: the session has a meeting at its provider";
    say("provider", moved.then(|| made.to_owned()));
    let out_of_reach = |enabled: bool| {
        let problem = "must be false: sound and picture are at the provider, out of our reach";
        (enabled && wanted.provider.is_external()).then(|| problem.to_owned())
    };
    say("recording.enabled", out_of_reach(wanted.recording.enabled));
    say("transcription.enabled", out_of_reach(wanted.transcription.enabled));
    say("live_viewing", out_of_reach(wanted.live_viewing));
    say(
        "transcription.language",
        wanted.transcription.language.as_deref().and_then(language_problem),
    );
    say("transcription.glossary", glossary_problem(&wanted.transcription.glossary));
    let speaking = wanted.speaking;
    say("speaking.max_turn_s", bounds_problem(speaking.max_turn_s, TURN_S_MAX));
    say(
        "speaking.default_turn_s",
        bounds_problem(speaking.default_turn_s, TURN_S_MAX).or_else(|| {
            (speaking.default_turn_s > speaking.max_turn_s)
                .then(|| "must not be longer than speaking.max_turn_s".to_owned())
        }),
    );
    let delegated = wanted.attendance.delegated_units_max;
    say(
        "attendance.delegated_units_max",
        (delegated > DELEGATED_UNITS_MAX).then(|| format!("must be at most {DELEGATED_UNITS_MAX}")),
    );
    let quorum = wanted.attendance.quorum;
    say("attendance.quorum.first_call", unreachable_problem(Some(quorum.first)));
    say("attendance.quorum.second_call", unreachable_problem(quorum.second));
    problems
}

/// The first member that differs but may not change in the current state. A room takes its rules
/// from the session when it opens, and afterwards only the room itself changes them.
pub(crate) fn fixed_member(current: &Session, wanted: &Session) -> Option<&'static str> {
    if current.status == SessionStatus::Scheduled {
        return None;
    }
    [
        ("change its modality", current.modality != wanted.modality),
        ("change its provider", current.provider != wanted.provider),
        ("change when it starts", current.scheduled_start_at != wanted.scheduled_start_at),
        (
            "change whether it starts with its assembly",
            current.start_with_assembly != wanted.start_with_assembly,
        ),
        ("change its moderation by a patch", current.moderation != wanted.moderation),
        ("change whether it is recorded", current.recording.enabled != wanted.recording.enabled),
        ("change its transcription", current.transcription != wanted.transcription),
        ("change its speaking policy", current.speaking != wanted.speaking),
        ("change its rules of attendance", current.attendance != wanted.attendance),
    ]
    .into_iter()
    .find_map(|(member, differs)| differs.then_some(member))
}

/// Titles are cleaned and cut before they come here, so only one that shows nothing is wrong.
fn title_problem(title: &str) -> Option<String> {
    title.is_empty().then(|| "must show something".to_owned())
}

/// A title as it is kept and shown; empty when nothing of it can be seen.
pub(crate) fn shown_title(title: &str) -> String {
    ShownText::Title.cleaned(title).unwrap_or_default()
}

/// The words of a glossary as they are kept: cleaned, without those that show nothing, and none
/// twice. One more than is allowed is kept, so that too many are noticed.
pub(crate) fn shown_glossary(terms: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    for term in terms {
        let Some(term) = ShownText::Name.cleaned(&term) else { continue };
        if kept.len() <= GLOSSARY_TERMS_MAX && !kept.contains(&term) {
            kept.push(term);
        }
    }
    kept
}

fn glossary_problem(terms: &[String]) -> Option<String> {
    if terms.len() > GLOSSARY_TERMS_MAX {
        return Some(format!("must have at most {GLOSSARY_TERMS_MAX} words"));
    }
    let is_long = terms.iter().any(|term| term.len() > GLOSSARY_TERM_BYTES_MAX);
    is_long.then(|| format!("each word must have at most {GLOSSARY_TERM_BYTES_MAX} bytes"))
}

fn schedule_problem(moment: Option<Timestamp>) -> Option<String> {
    let moment = moment?;
    (moment < Timestamp::from_unix_us(0) || moment > SCHEDULE_MAX)
        .then(|| "must be between the years 1970 and 9999".to_owned())
}

/// A quorum of more than everybody is never reached.
fn unreachable_problem(rule: Option<QuorumRule>) -> Option<String> {
    let unreachable =
        rule.is_some_and(|rule| rule.comparison == Comparison::MoreThan && rule.has_whole());
    unreachable.then(|| "more than a whole can't be reached; at_least can".to_owned())
}

fn bounds_problem(value: u32, max: u32) -> Option<String> {
    (value < 1 || value > max).then(|| format!("must be between 1 and {max}"))
}

fn language_problem(tag: &str) -> Option<String> {
    tag.parse::<LanguageTag>().is_err().then(|| "must be a BCP 47 language tag".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{AssemblyId, SessionId, TenantId};
    use crate::domain::quorum::Share;
    use crate::domain::session::{Modality, ModerationMode};
    use crate::sessions::new_session::NewSession;

    const LIMITS: TenantLimits = TenantLimits {
        max_active_sessions: 1,
        max_participants_per_session: 100,
        max_bitrate_kbps: 1,
    };

    fn session() -> Session {
        let new_session = NewSession::new(
            TenantId::generate(),
            AssemblyId::generate(),
            "Ordinary assembly",
            Modality::Mixed,
        );
        new_session.into_session(SessionId::generate(), &LIMITS, Timestamp::from_unix_us(0))
    }

    fn fields_of(problems: &[FieldProblem]) -> Vec<&'static str> {
        problems.iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_defaults_are_valid_under_a_low_limit() {
        let session = session();
        assert_eq!(session.max_participants, 100);
        assert_eq!(problems_of(&session, None, &LIMITS), []);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let mut wrong = session();
        wrong.title = String::new();
        wrong.scheduled_start_at = Some(Timestamp::from_unix_us(-1));
        wrong.scheduled_end_at = Some(Timestamp::from_unix_us(i64::MAX));
        wrong.max_participants = 101;
        wrong.recording.retention_days = 0;
        wrong.transcription.language = Some("español".to_owned());
        wrong.transcription.glossary = vec!["Ñ".repeat(51)];
        wrong.speaking.max_turn_s = TURN_S_MAX + 1;
        wrong.speaking.default_turn_s = 0;
        wrong.attendance.delegated_units_max = DELEGATED_UNITS_MAX + 1;
        let whole = Share::new(2, 2);
        wrong.attendance.quorum.first.heads = whole;
        wrong.attendance.quorum.second = Some(wrong.attendance.quorum.first);
        let problems = problems_of(&wrong, None, &LIMITS);
        assert_eq!(
            fields_of(&problems),
            [
                "title",
                "scheduled_start_at",
                "scheduled_end_at",
                "max_participants",
                "recording.retention_days",
                "transcription.language",
                "transcription.glossary",
                "speaking.max_turn_s",
                "speaking.default_turn_s",
                "attendance.delegated_units_max",
                "attendance.quorum.first_call",
                "attendance.quorum.second_call",
            ]
        );
    }

    #[test]
    fn a_glossary_has_each_word_once_and_a_limit() {
        let words =
            |words: &[&str]| shown_glossary(words.iter().map(|&it| it.to_owned()).collect());
        assert_eq!(
            words(&[" Ñemby\n", "Ñemby", "\u{202e}", "calle\tPalma"]),
            ["Ñemby", "calle Palma"]
        );
        let many = |count: usize| shown_glossary((0..count).map(|it| it.to_string()).collect());
        assert_eq!(glossary_problem(&many(GLOSSARY_TERMS_MAX)), None);
        for count in [GLOSSARY_TERMS_MAX + 1, 10_000] {
            assert_eq!(many(count).len(), GLOSSARY_TERMS_MAX + 1);
            assert!(glossary_problem(&many(count)).is_some());
        }
        assert_eq!(glossary_problem(&words(&[&"ñ".repeat(50)])), None);
        assert!(glossary_problem(&words(&[&"ñ".repeat(51)])).is_some());
    }

    #[test]
    fn a_title_is_one_line_that_shows_what_it_says() {
        for (given, kept) in [
            ("Asamblea Nº 12 — «Torres del Río»", "Asamblea Nº 12 — «Torres del Río»"),
            (" a\nb\0 ", "a b"),
            ("a\u{202e}b", "ab"),
            ("a\u{2067}b", "a\u{2067}b\u{2069}"),
            (" \t \u{200b}", ""),
        ] {
            assert_eq!(shown_title(given), kept, "{given:?}");
            assert_eq!(title_problem(kept).is_some(), kept.is_empty(), "{given:?}");
        }
        assert_eq!(shown_title(&"ñ".repeat(201)), format!("{}…", "ñ".repeat(199)));
    }

    #[test]
    fn bounds_are_included_and_an_end_comes_after_its_start() {
        let mut session = session();
        let moment = Timestamp::from_unix_us(5);
        session.scheduled_start_at = Some(moment);
        session.scheduled_end_at = Some(moment);
        assert_eq!(fields_of(&problems_of(&session, None, &LIMITS)), ["scheduled_end_at"]);
        session.scheduled_end_at = Some(Timestamp::from_unix_us(6));
        session.max_participants = 1;
        session.recording.retention_days = RETENTION_DAYS_MAX;
        session.speaking.default_turn_s = TURN_S_MAX;
        session.speaking.max_turn_s = TURN_S_MAX;
        assert_eq!(problems_of(&session, None, &LIMITS), []);
        session.speaking.max_turn_s = TURN_S_MAX - 1;
        assert_eq!(fields_of(&problems_of(&session, None, &LIMITS)), ["speaking.default_turn_s"]);
    }

    #[test]
    fn a_limit_that_was_lowered_does_not_forbid_other_changes() {
        let mut current = session();
        current.max_participants = 5_000;
        let mut wanted = current.clone();
        wanted.title = "Another".to_owned();
        assert_eq!(problems_of(&wanted, Some(&current), &LIMITS), []);
        wanted.max_participants = 4_999;
        let problems = problems_of(&wanted, Some(&current), &LIMITS);
        assert_eq!(fields_of(&problems), ["max_participants"]);
    }

    #[test]
    fn only_some_members_change_while_a_session_runs() {
        let mut current = session();
        current.status = SessionStatus::Active;
        let mut wanted = current.clone();
        wanted.title = "Another".to_owned();
        wanted.scheduled_end_at = Some(Timestamp::from_unix_us(9));
        wanted.max_participants = 3;
        wanted.recording.retention_days = 9;
        assert_eq!(fixed_member(&current, &wanted), None);
        wanted.moderation = ModerationMode::Open;
        assert_eq!(fixed_member(&current, &wanted), Some("change its moderation by a patch"));
        current.status = SessionStatus::Scheduled;
        assert_eq!(fixed_member(&current, &wanted), None);
    }
}
