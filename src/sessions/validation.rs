//! Which values a session can have. Everything that is wrong is said at once.

use crate::domain::session::{Session, SessionStatus};
use crate::domain::time::Timestamp;
use crate::sessions::error::FieldProblem;
use crate::sessions::limits::TenantLimits;

/// Longest title, in characters. Raising it breaks the layout of lists.
pub const TITLE_CHARACTERS_MAX: usize = 200;
/// Longest language tag, in bytes (RFC 5646 §4.4.1).
pub const LANGUAGE_BYTES_MAX: usize = 35;
/// Longest a recording may be kept, in days: a hundred years.
pub const RETENTION_DAYS_MAX: u32 = 36_525;
/// Longest turn, in seconds: four hours.
pub const TURN_S_MAX: u32 = 14_400;

/// The last moment that has a text in RFC 3339: the end of the year 9999.
const SCHEDULE_MAX: Timestamp = Timestamp::from_unix_us(253_402_300_799_999_999);

/// Everything that is wrong with `wanted`. What it has in common with
/// `current` has been taken before and is not measured against limits again.
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
    say(
        "transcription.language",
        wanted.transcription.language.as_deref().and_then(language_problem),
    );
    let speaking = wanted.speaking;
    say("speaking.max_turn_s", bounds_problem(speaking.max_turn_s, TURN_S_MAX));
    say(
        "speaking.default_turn_s",
        bounds_problem(speaking.default_turn_s, TURN_S_MAX).or_else(|| {
            (speaking.default_turn_s > speaking.max_turn_s)
                .then(|| "must not be longer than speaking.max_turn_s".to_owned())
        }),
    );
    problems
}

/// The first member that differs and may not differ in the current state. A
/// room takes its rules over when it opens, and changes them only itself.
pub(crate) fn settled_member(current: &Session, wanted: &Session) -> Option<&'static str> {
    if current.status == SessionStatus::Scheduled {
        return None;
    }
    [
        ("change its modality", current.modality != wanted.modality),
        ("change its provider", current.provider != wanted.provider),
        ("change when it starts", current.scheduled_start_at != wanted.scheduled_start_at),
        ("change its moderation by a patch", current.moderation != wanted.moderation),
        ("change whether it is recorded", current.recording.enabled != wanted.recording.enabled),
        ("change its transcription", current.transcription != wanted.transcription),
        ("change its speaking policy", current.speaking != wanted.speaking),
    ]
    .into_iter()
    .find_map(|(member, differs)| differs.then_some(member))
}

fn title_problem(title: &str) -> Option<String> {
    if title.trim().is_empty() {
        return Some("must not be blank".to_owned());
    }
    // Counting stops early, so that a huge title costs no more than a long one.
    if title.chars().take(TITLE_CHARACTERS_MAX + 1).count() > TITLE_CHARACTERS_MAX {
        return Some(format!("must have at most {TITLE_CHARACTERS_MAX} characters"));
    }
    title
        .chars()
        .any(|character| character.is_control() || reorders_text(character))
        .then(|| "must not have control characters or characters that reorder the text".to_owned())
}

/// Bidirectional overrides and isolates, line and paragraph separators: a
/// title with them can pose as another.
const fn reorders_text(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn schedule_problem(moment: Option<Timestamp>) -> Option<String> {
    let moment = moment?;
    (moment < Timestamp::from_unix_us(0) || moment > SCHEDULE_MAX)
        .then(|| "must be between the years 1970 and 9999".to_owned())
}

fn bounds_problem(value: u32, max: u32) -> Option<String> {
    (value < 1 || value > max).then(|| format!("must be between 1 and {max}"))
}

/// The shape of a language tag (RFC 5646 §2.1): a language of two to eight
/// letters, then subtags of one to eight letters and digits.
fn language_problem(tag: &str) -> Option<String> {
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    let well_formed = tag.len() <= LANGUAGE_BYTES_MAX
        && (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(|subtag| {
            (1..=8).contains(&subtag.len())
                && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    (!well_formed).then(|| "must be a BCP 47 language tag".to_owned())
}
