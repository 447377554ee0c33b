//! What is recorded of a camera: which spans of time are there, and the playlist that plays one
//! (RFC 8216). Playlists of captures are written in the same way. Segments are found by when their first picture came, by this server's clock.

use std::fmt::Write as _;

use crate::cameras::engine::playlist::Seconds;
use crate::cameras::engine::timeline::{self, TICKS_PER_S, is_clock_set};
use crate::cameras::repository::RecordedSegment;
use crate::domain::id::PublicationId;
use crate::domain::time::Timestamp;

/// The version that a header in a file of its own needs (RFC 8216 §7).
const VERSION: u8 = 7;

/// A span of time that is recorded without a gap. Spans overlap when the clock was set back between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When its first picture came.
    pub from: Timestamp,
    /// When its last picture ended.
    pub until: Timestamp,
    /// Bytes of its segments.
    pub bytes: u64,
}

/// What is recorded without a gap in a span of time, of these segments.
#[must_use]
pub fn spans(segments: &[RecordedSegment], (from, until): (Timestamp, Timestamp)) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut before: Option<RecordedSegment> = None;
    for segment in whole(segments, (from, until)) {
        let goes_on = before.is_some_and(|before| !is_break(&before, &segment));
        before = Some(segment);
        let end = end_of(&segment).min(until);
        if let Some(span) = spans.last_mut().filter(|_| goes_on) {
            span.until = span.until.max(end);
            span.bytes += segment.bytes;
        } else {
            let from = segment.at.max(from);
            spans.push(Span { from, until: end, bytes: segment.bytes });
        }
    }
    spans
}

/// The playlist of a span of time; nothing when nothing is recorded in it. Its files are below
/// `place`.
#[must_use]
pub fn playlist(
    segments: &[RecordedSegment],
    span: (Timestamp, Timestamp),
    place: &str,
) -> Option<String> {
    let segments: Vec<RecordedSegment> = whole(segments, span).collect();
    let longest = segments.iter().map(|it| it.ticks).max()?;
    let target_s = (longest + TICKS_PER_S.unsigned_abs() / 2) / TICKS_PER_S.unsigned_abs();
    let mut text = head(target_s.max(1), 0);
    text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n");
    let mut before = None;
    let listed = segments.into_iter().map(|it| Listed {
        is_break: before.replace(it).is_some_and(|before| is_break(&before, &it)),
        publication: it.publication,
        number: it.number,
        header: it.header,
        ticks: it.ticks,
        at: it.at,
    });
    list(&mut text, listed, place);
    text.push_str("#EXT-X-ENDLIST\n");
    Some(text)
}

/// The beginning of a playlist.
pub(in crate::cameras) fn head(target_s: u64, sequence: u64) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-MEDIA-SEQUENCE:{sequence}\n"
    )
}

/// A segment in a playlist.
pub(in crate::cameras) struct Listed {
    /// Of which publication.
    pub(in crate::cameras) publication: PublicationId,
    /// Its file.
    pub(in crate::cameras) number: u64,
    /// The number of its header.
    pub(in crate::cameras) header: u64,
    /// Whether it does not go on where the one before ended.
    pub(in crate::cameras) is_break: bool,
    /// How long it plays, in ticks.
    pub(in crate::cameras) ticks: u64,
    /// When it began.
    pub(in crate::cameras) at: Timestamp,
}

/// Adds segments to a playlist (RFC 8216 §4.3.2), whose files are below `place`.
pub(in crate::cameras) fn list(
    text: &mut String,
    segments: impl IntoIterator<Item = Listed>,
    place: &str,
) {
    let mut push = |line: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        writeln!(text, "{line}").ok();
    };
    let mut header = None;
    for segment in segments {
        if segment.is_break {
            push(format_args!("#EXT-X-DISCONTINUITY"));
        }
        let needed = (segment.publication, segment.header);
        if header != Some(needed) {
            header = Some(needed);
            push(format_args!("#EXT-X-MAP:URI=\"{place}{}\"", name(needed, "mp4")));
        }
        push(format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", segment.at));
        push(format_args!("#EXTINF:{},", Seconds(segment.ticks)));
        push(format_args!("{place}{}", name((segment.publication, segment.number), "m4s")));
    }
}

/// The name of a file.
#[must_use]
pub fn name((publication, number): (PublicationId, u64), kind: &str) -> String {
    format!("{publication}.{number}.{kind}")
}

/// What the name of a file means.
#[must_use]
pub fn parsed(name: &str) -> Option<(PublicationId, u64)> {
    let (publication, rest) = name.split_once('.')?;
    let (number, kind) = rest.split_once('.')?;
    let (publication, number) = (publication.parse().ok()?, number.parse().ok()?);
    let is_own = matches!(kind, "mp4" | "m4s") && self::name((publication, number), kind) == name;
    is_own.then_some((publication, number))
}

/// Segments that reach into a span of time, without those that lie within another: two instances
/// may have recorded the same moment.
fn whole(
    segments: &[RecordedSegment],
    (from, until): (Timestamp, Timestamp),
) -> impl Iterator<Item = RecordedSegment> {
    let mut covered: Option<(PublicationId, Timestamp)> = None;
    let reaches_in = |it: &&RecordedSegment| it.at < until && end_of(it) > from;
    let all = in_order(segments.iter().filter(reaches_in).copied().collect());
    all.into_iter().filter(move |segment| {
        // What one recorded does not lie within itself, even if the camera's clock is fast.
        let (own, end) = (segment.publication, end_of(segment));
        let is_within = covered.is_some_and(|(other, until)| other != own && end <= until);
        if covered.is_none_or(|(_, until)| end > until) {
            covered = Some((own, end));
        }
        !is_within
    })
}

/// Segments in the order in which they play: what was recorded without a gap stays together, and is
/// where it began. After the clock was set back, two such runs have the same times.
fn in_order(mut segments: Vec<RecordedSegment>) -> Vec<RecordedSegment> {
    segments.sort_by_key(|it| (it.publication, it.number));
    let mut before: Option<(Timestamp, RecordedSegment)> = None;
    let in_run = |it: RecordedSegment| {
        let run = before.filter(|(_, before)| !is_break(before, &it)).map_or(it.at, |(run, _)| run);
        before = Some((run, it));
        (run, it)
    };
    let mut all: Vec<(Timestamp, RecordedSegment)> = segments.into_iter().map(in_run).collect();
    all.sort_by_key(|(run, it)| (*run, it.publication, it.number));
    all.into_iter().map(|(_, it)| it).collect()
}

/// Whether there is a gap between two segments, or their times say so as the clock was set.
fn is_break(before: &RecordedSegment, next: &RecordedSegment) -> bool {
    next.is_break
        || before.publication != next.publication
        || before.number >= next.number
        || is_clock_set(end_of(before), next.at)
}

fn end_of(segment: &RecordedSegment) -> Timestamp {
    timeline::end_of(segment.at, segment.ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(publication: PublicationId, number: u64, second: i64) -> RecordedSegment {
        RecordedSegment {
            publication,
            number,
            header: 0,
            is_break: false,
            ticks: 8 * 90_000,
            at: at(second),
            bytes: 100,
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_unix_us(second * 1_000_000)
    }

    fn found(segments: &[RecordedSegment], span: (i64, i64)) -> Vec<(i64, i64, u64)> {
        let spans = spans(segments, (at(span.0), at(span.1)));
        spans.iter().map(|it| (it.from.unix_s(), it.until.unix_s(), it.bytes)).collect()
    }

    #[test]
    fn spans_end_where_something_is_missing_and_nowhere_else() {
        let (one, two) = (PublicationId::generate(), PublicationId::generate());
        // The camera's clock is slow: eight seconds of its pictures take nine.
        let mut all = vec![segment(one, 1, 0), segment(one, 3, 9), segment(one, 5, 18)];
        assert_eq!(found(&all, (-5, 100)), [(0, 26, 300)]);
        all.push(RecordedSegment { is_break: true, ..segment(one, 7, 40) });
        all.push(segment(two, 1, 48));
        assert_eq!(found(&all, (-5, 100)), [(0, 26, 300), (40, 48, 100), (48, 56, 100)]);
        assert_eq!(found(&all, (4, 50)), [(4, 26, 300), (40, 48, 100), (48, 50, 100)]);
        assert_eq!(found(&all, (27, 40)), []);
        assert_eq!(found(&all, (56, 90)), []);
    }

    #[test]
    fn a_moment_that_two_instances_recorded_is_there_once() {
        let (one, two) = (PublicationId::generate(), PublicationId::generate());
        let short = RecordedSegment { ticks: 3 * 90_000, ..segment(two, 1, 2) };
        let all = [segment(one, 1, 0), short, segment(two, 3, 5)];
        assert_eq!(found(&all, (0, 100)), [(0, 8, 100), (5, 13, 100)]);
        let fast = RecordedSegment { publication: one, is_break: true, ..short };
        assert_eq!(found(&[segment(one, 1, 0), fast], (0, 100)), [(0, 8, 100), (2, 5, 100)]);
    }

    #[test]
    fn a_clock_that_was_set_ends_a_span_and_mixes_nothing() {
        let one = PublicationId::generate();
        // Set forward by two hours.
        let all = [segment(one, 1, 0), segment(one, 3, 8), segment(one, 5, 7_216)];
        assert_eq!(found(&all, (0, 9_000)), [(0, 16, 200), (7_216, 7_224, 100)]);
        // Set back by 20 s, and what the store gives is ordered by time.
        let all = [
            segment(one, 1, 0),
            segment(one, 7, 4),
            segment(one, 3, 8),
            segment(one, 9, 12),
            segment(one, 5, 16),
            segment(one, 11, 20),
        ];
        assert_eq!(found(&all, (0, 100)), [(0, 24, 300), (4, 28, 300)]);
        let text = playlist(&all, (at(0), at(100)), "").expect("recorded");
        let played: Vec<&str> = text
            .lines()
            .filter(|it| it.contains(".m4s") || it.ends_with("DISCONTINUITY"))
            .collect();
        let file = |number| name((one, number), "m4s");
        let break_ = "#EXT-X-DISCONTINUITY".to_owned();
        assert_eq!(played, [file(1), file(3), file(5), break_, file(7), file(9), file(11)]);
    }

    #[test]
    fn a_playlist_plays_a_span_and_marks_its_gaps() {
        let (one, two) = (PublicationId::generate(), PublicationId::generate());
        let all = [segment(one, 1, 0), segment(one, 3, 8), segment(two, 1, 60)];
        let text = playlist(&all, (at(9), at(70)), "grant/").expect("recorded");
        let wanted = format!(
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MAP:URI=\"grant/{one}.0.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:08.000Z\n#EXTINF:8.000000,\n\
             grant/{one}.3.m4s\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"grant/{two}.0.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:01:00.000Z\n#EXTINF:8.000000,\n\
             grant/{two}.1.m4s\n#EXT-X-ENDLIST\n"
        );
        assert_eq!(text, wanted);
        assert_eq!(playlist(&all, (at(20), at(60)), "grant/"), None);
    }
}
