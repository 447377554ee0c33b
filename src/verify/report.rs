//! The report of a verification: for people (`Display`) and for programs (JSON with stable names).

use std::fmt;

use serde::Serialize;

/// Most problems that a report lists; further ones are only counted.
pub const PROBLEMS_MAX: usize = 100;
/// Most tracks and erasures that a report lists; further ones are only counted.
pub const FACTS_MAX: usize = 1_000;
/// Most lines about what was not checked; further ones are left out.
const NOT_CHECKED_MAX: usize = 100;

/// The kind of a problem (docs/EVIDENCE.md, "What a verifier says").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// The input does not have the form that the format defines.
    Malformed,
    /// It is CBOR or JSON, but not in the only accepted form.
    NotCanonical,
    /// It is larger than a limit of this verifier.
    TooLarge,
    /// A key is not on a trusted list.
    UnknownKey,
    /// A signature is not valid.
    SignatureInvalid,
    /// The headers of a signature are not exactly those of the format.
    HeaderInvalid,
    /// A root is not the root of these entries.
    RootMismatch,
    /// An inclusion receipt does not lead to a signed root.
    ReceiptInvalid,
    /// A consistency receipt does not lead from one signed root to the other.
    ConsistencyInvalid,
    /// Two different histories of one log were signed.
    ForkedLog,
    /// The end of the log is missing.
    TruncatedLog,
    /// Entries are in an order that is not allowed.
    SequenceInvalid,
    /// Something belongs to another session or log.
    WrongSession,
    /// A link to an earlier head or segment is wrong.
    ChainBroken,
    /// An object that an entry names is missing.
    ObjectMissing,
    /// An object differs from its entry.
    ObjectChanged,
    /// No entry names an object.
    ObjectUnknown,
    /// The log leaves out a segment.
    SegmentMissing,
    /// A key is not the right one.
    WrongKey,
    /// A chunk can't be decrypted.
    DecryptionFailed,
    /// A disclosure does not match its commitment.
    DisclosureInvalid,
    /// The log is not closed.
    NotClosed,
    /// An erasure names something that can't be erased.
    ErasureInvalid,
    /// The place in the operator log is not valid.
    OperatorLogInvalid,
    /// No entry accounts for some time of a track.
    TimeUnaccounted,
    /// A list of attendance says something else than the log.
    ListMismatch,
}

impl Code {
    /// Whether the problem is that something needed is missing, rather than wrong.
    const fn is_absence(self) -> bool {
        matches!(self, Self::NotClosed | Self::ObjectMissing)
    }

    /// The code as written in documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "MALFORMED",
            Self::NotCanonical => "NOT_CANONICAL",
            Self::TooLarge => "TOO_LARGE",
            Self::UnknownKey => "UNKNOWN_KEY",
            Self::SignatureInvalid => "SIGNATURE_INVALID",
            Self::HeaderInvalid => "HEADER_INVALID",
            Self::RootMismatch => "ROOT_MISMATCH",
            Self::ReceiptInvalid => "RECEIPT_INVALID",
            Self::ConsistencyInvalid => "CONSISTENCY_INVALID",
            Self::ForkedLog => "FORKED_LOG",
            Self::TruncatedLog => "TRUNCATED_LOG",
            Self::SequenceInvalid => "SEQUENCE_INVALID",
            Self::WrongSession => "WRONG_SESSION",
            Self::ChainBroken => "CHAIN_BROKEN",
            Self::ObjectMissing => "OBJECT_MISSING",
            Self::ObjectChanged => "OBJECT_CHANGED",
            Self::ObjectUnknown => "OBJECT_UNKNOWN",
            Self::SegmentMissing => "SEGMENT_MISSING",
            Self::WrongKey => "WRONG_KEY",
            Self::DecryptionFailed => "DECRYPTION_FAILED",
            Self::DisclosureInvalid => "DISCLOSURE_INVALID",
            Self::NotClosed => "NOT_CLOSED",
            Self::ErasureInvalid => "ERASURE_INVALID",
            Self::OperatorLogInvalid => "OPERATOR_LOG_INVALID",
            Self::TimeUnaccounted => "TIME_UNACCOUNTED",
            Self::ListMismatch => "LIST_MISMATCH",
        }
    }
}

/// A problem whose place is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Finding {
    /// Its kind.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
}

impl Finding {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The problem at a place.
    pub(super) fn at(self, place: Place) -> Problem {
        Problem { code: self.code, message: self.message, place }
    }
}

/// The place of a problem, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Place {
    /// Index of the entry, or of the first of several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The last of several entries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq_last: Option<u64>,
    /// The track, as a hyphenated UUID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub track: Option<String>,
    /// Index of the segment in its track.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub segment: Option<u64>,
    /// Start, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_ms: Option<u64>,
    /// End, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_ms: Option<u64>,
    /// The tree size of a head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<u64>,
}

impl Place {
    pub(super) fn seq(seq: u64) -> Self {
        Self { seq: Some(seq), ..Self::default() }
    }

    pub(super) fn head(size: u64) -> Self {
        Self { head: Some(size), ..Self::default() }
    }
}

/// A problem and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Its kind.
    pub code: Code,
    /// A sentence for people.
    pub message: String,
    /// Its place.
    #[serde(flatten)]
    pub place: Place,
}

/// The conclusion of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything asked for was checked and is valid.
    Valid,
    /// Something is wrong.
    Invalid,
    /// Nothing is wrong, but something needed is missing or can't be read.
    Incomplete,
}

/// A kind of check, and how often it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was checked.
    pub what: &'static str,
    /// How many.
    pub count: u64,
}

/// A recorded track according to its log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct TrackFacts {
    /// Hyphenated UUID.
    pub track: String,
    /// `audio` or `video`.
    pub media: String,
    /// Name of the codec.
    pub codec: String,
    /// Number of segments in the log.
    pub segments: u64,
    /// Recorded time: the sum over its segments, in milliseconds.
    pub recorded_ms: u64,
    /// Start of the first segment, in milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// End of the last segment, in milliseconds since 1970.
    pub to_ms: Option<u64>,
    /// Number of gaps in the log.
    pub gaps: u64,
    /// Sum of the gaps, in milliseconds.
    pub gap_ms: u64,
    /// Time in which its gate was closed by the floor or a mute, in milliseconds.
    pub gated_ms: u64,
    /// Time in which its source sent nothing, in milliseconds.
    pub silent_ms: u64,
    /// Time for which no entry accounts, in milliseconds; `None` when the version of the log does
    /// not require it.
    pub unaccounted_ms: Option<u64>,
    /// Index of the entry that says that its key was destroyed.
    pub erased_by: Option<u64>,
}

/// A destroyed key according to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErasureFacts {
    /// Index of the entry.
    pub seq: u64,
    /// Index of the track entry whose key was destroyed, or 0 for the salts of the events.
    pub target: u64,
    /// The reason, as a text.
    pub reason: &'static str,
}

/// The close of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CloseFacts {
    /// Index of the close entry.
    pub seq: u64,
    /// The reason, as a text.
    pub reason: &'static str,
}

/// What the log says, after verification.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Facts {
    /// The session, as a hyphenated UUID.
    pub session: Option<String>,
    /// The log's identifier, a hyphenated UUID.
    pub log: Option<String>,
    /// The issuer of the proof.
    pub issuer: Option<String>,
    /// `live`, `closed` or `interrupted`, according to the proof.
    pub status: Option<String>,
    /// Tree size of the newest head.
    pub tree_size: Option<u64>,
    /// Number of entries read.
    pub entries: u64,
    /// Number of heads read.
    pub heads: u64,
    /// Time of the first entry, in milliseconds since 1970.
    pub from_ms: Option<u64>,
    /// Time of the last entry, in milliseconds since 1970.
    pub to_ms: Option<u64>,
    /// Tracks, at most [`FACTS_MAX`].
    pub tracks: Vec<TrackFacts>,
    /// Number of tracks not listed.
    pub tracks_more: u64,
    /// Number of gaps of all tracks.
    pub gaps: u64,
    /// Destroyed keys, at most [`FACTS_MAX`].
    pub erasures: Vec<ErasureFacts>,
    /// Number of destroyed keys not listed.
    pub erasures_more: u64,
    /// The close of the log, if it is closed.
    pub closed: Option<CloseFacts>,
}

/// The result of verifying a bundle or a proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The conclusion.
    pub verdict: Verdict,
    /// What was checked and is valid.
    pub checked: Vec<Check>,
    /// What was not checked, and why.
    pub not_checked: Vec<String>,
    /// The problems, at most [`PROBLEMS_MAX`].
    pub problems: Vec<Problem>,
    /// Number of problems not listed.
    pub problems_more: u64,
    /// What the log says.
    pub facts: Facts,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            verdict: Verdict::Valid,
            checked: Vec::new(),
            not_checked: Vec::new(),
            problems: Vec::new(),
            problems_more: 0,
            facts: Facts::default(),
        }
    }
}

impl Report {
    /// Whether a problem of this kind was found.
    #[must_use]
    pub fn has(&self, code: Code) -> bool {
        self.problems.iter().any(|problem| problem.code == code)
    }

    /// Adds the results of another report, for proofs that are checked one by one.
    pub fn add(&mut self, other: Self) {
        for check in other.checked {
            self.count(check.what, check.count);
        }
        for line in other.not_checked {
            self.leaves(line);
        }
        for problem in other.problems {
            self.finds(problem);
        }
        self.problems_more += other.problems_more;
        self.verdict = match (self.verdict, other.verdict) {
            (Verdict::Invalid, _) | (_, Verdict::Invalid) => Verdict::Invalid,
            (Verdict::Incomplete, _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
            (Verdict::Valid, Verdict::Valid) => Verdict::Valid,
        };
    }

    /// Adds checks that succeeded.
    pub(super) fn count(&mut self, what: &'static str, times: u64) {
        if times == 0 {
            return;
        }
        match self.checked.iter_mut().find(|check| check.what == what) {
            Some(check) => check.count += times,
            None => self.checked.push(Check { what, count: times }),
        }
    }

    /// Adds a problem.
    pub(super) fn finds(&mut self, problem: Problem) {
        if !problem.code.is_absence() {
            self.verdict = Verdict::Invalid;
        } else if self.verdict == Verdict::Valid {
            self.verdict = Verdict::Incomplete;
        }
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.problems_more += 1;
        }
    }

    /// Notes something that was not asked for and not checked.
    pub(super) fn leaves(&mut self, line: impl Into<String>) {
        let line = line.into();
        if self.not_checked.len() < NOT_CHECKED_MAX && !self.not_checked.contains(&line) {
            self.not_checked.push(line);
        }
    }

    /// Notes something that was asked for and could not be checked.
    pub fn lacks(&mut self, line: impl Into<String>) {
        if self.verdict == Verdict::Valid {
            self.verdict = Verdict::Incomplete;
        }
        self.leaves(line);
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match (self.seq, self.seq_last) {
            (Some(first), Some(last)) if last != first => {
                parts.push(format!("entries {first} to {last}"));
            }
            (Some(seq), _) => parts.push(format!("entry {seq}")),
            (None, _) => {}
        }
        parts.extend(self.head.map(|size| format!("head of size {size}")));
        parts.extend(self.track.as_ref().map(|track| format!("track {track}")));
        parts.extend(self.segment.map(|index| format!("segment {index}")));
        if let (Some(from), Some(to)) = (self.from_ms, self.to_ms) {
            parts.push(format!("{} to {}", Moment(from), Moment(to)));
        }
        write!(out, "{}", parts.join(", "))
    }
}

/// Milliseconds since 1970, printed as a time in UTC.
struct Moment(u64);

impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, of_day_ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        // Converts days to a date in the proleptic Gregorian calendar, with years that start in
        // March so that the leap day is the last day of its year.
        let shifted = days + 719_468;
        let (era, of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (second, ms) = (of_day_ms / 1_000, of_day_ms % 1_000);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        write!(out, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// A duration in milliseconds, printed in hours, minutes and seconds.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (second, ms) = (self.0 / 1_000, self.0 % 1_000);
        write!(out, "{}:{:02}:{:02}.{ms:03}", second / 3_600, second / 60 % 60, second % 60)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{}",
            match self.verdict {
                Verdict::Valid => "VALID: everything asked for was checked and is correct.",
                Verdict::Invalid => "INVALID: something is wrong.",
                Verdict::Incomplete =>
                    "INCOMPLETE: nothing is wrong, but something needed is missing.",
            }
        )?;
        write!(out, "{}", self.facts)?;
        for check in &self.checked {
            writeln!(out, "  checked      {}: {}", check.what, check.count)?;
        }
        for problem in &self.problems {
            let place = problem.place.to_string();
            let place = if place.is_empty() { place } else { format!(" [{place}]") };
            let Problem { code, message, .. } = problem;
            writeln!(out, "  problem      {}{place}: {message}", code.as_str())?;
        }
        if self.problems_more > 0 {
            writeln!(out, "  problem      and {} more", self.problems_more)?;
        }
        for line in &self.not_checked {
            writeln!(out, "  not checked  {line}")?;
        }
        writeln!(
            out,
            "A valid proof shows that a recording is complete and unchanged since capture, not that \
             what was said is true."
        )
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(session) = &self.session {
            writeln!(out, "  session      {session}")?;
        }
        if let Some(log) = &self.log {
            writeln!(out, "  log          {log}")?;
        }
        if let Some(issuer) = &self.issuer {
            writeln!(out, "  issuer       {}", Shown(issuer))?;
        }
        if let Some(size) = self.tree_size {
            writeln!(out, "  entries      {} read, {size} under the newest head", self.entries)?;
        }
        if let (Some(from), Some(to)) = (self.from_ms, self.to_ms) {
            writeln!(out, "  time         {} to {}", Moment(from), Moment(to))?;
        }
        for track in &self.tracks {
            let TrackFacts { media, codec, segments, .. } = track;
            write!(out, "  track        {} {media} {}: ", track.track, Shown(codec))?;
            write!(out, "{segments} segments, {}", Span(track.recorded_ms))?;
            if track.gaps > 0 {
                write!(out, ", {} gaps of {}", track.gaps, Span(track.gap_ms))?;
            }
            if track.gated_ms > 0 {
                write!(out, ", {} closed by the floor", Span(track.gated_ms))?;
            }
            if track.silent_ms > 0 {
                write!(out, ", {} silent", Span(track.silent_ms))?;
            }
            if let Some(ms @ 1..) = track.unaccounted_ms {
                write!(out, ", {} unaccounted for", Span(ms))?;
            }
            if let Some(seq) = track.erased_by {
                write!(out, ", key destroyed (entry {seq})")?;
            }
            writeln!(out)?;
        }
        if self.tracks_more > 0 {
            writeln!(out, "  track        and {} more", self.tracks_more)?;
        }
        for ErasureFacts { seq, target, reason } in &self.erasures {
            let whose = if *target == 0 {
                "the events' salts".to_owned()
            } else {
                format!("the track of entry {target}")
            };
            writeln!(out, "  erasure      entry {seq}: the key of {whose}: {reason}")?;
        }
        match &self.closed {
            Some(CloseFacts { seq, reason }) => {
                writeln!(out, "  closed       entry {seq}: {reason}")
            }
            None => Ok(()),
        }
    }
}

/// Prints text of the input without characters that could control a terminal.
struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().take(200).try_for_each(|letter| {
            write!(out, "{}", if letter.is_control() { '\u{FFFD}' } else { letter })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_shown_in_utc() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_123, "2000-02-29T00:00:00.123Z"),
            (1_735_689_599_999, "2024-12-31T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Moment(ms).to_string(), text);
        }
    }

    #[test]
    fn the_list_of_problems_is_bounded_and_the_rest_is_counted() {
        let mut report = Report::default();
        for seq in 0..1_000 {
            let finding = Finding::new(Code::ObjectMissing, "gone");
            report.finds(finding.at(Place::seq(seq)));
        }
        assert_eq!(report.problems.len(), PROBLEMS_MAX);
        assert_eq!(report.problems_more, 900);
        assert_eq!(report.verdict, Verdict::Incomplete);
        report.finds(Finding::new(Code::ForkedLog, "two").at(Place::default()));
        assert_eq!(report.verdict, Verdict::Invalid);
    }

    #[test]
    fn words_and_json_name_the_same_codes() {
        for code in [Code::Malformed, Code::OperatorLogInvalid, Code::ObjectChanged] {
            assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        }
    }
}
