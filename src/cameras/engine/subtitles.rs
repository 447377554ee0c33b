//! Captions as HLS has them (RFC 8216 §3.5): a playlist with one file of `WebVTT` for each segment
//! of the pictures, of the same number and length.

use std::fmt::Write as _;

use crate::cameras::engine::playlist::Seconds;
use crate::cameras::engine::segments::{Segment, Segments};
use crate::domain::time::Timestamp;

/// The local time of a file's segment, in milliseconds: an hour. A text may have been said before
/// its segment began, and there are no times below zero.
const LOCAL_MS: i64 = 3_600_000;
/// Bits of a timestamp of MPEG-2 (RFC 8216 §3.5), which counts ticks of 90 kHz.
const MPEGTS_BITS: u32 = 33;

/// A text that somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caption {
    /// Its number in the meeting.
    pub seq: u64,
    /// When it was begun to be said.
    pub from: Timestamp,
    /// Until when it is shown.
    pub until: Timestamp,
    /// The words.
    pub text: String,
}

/// The playlist; nothing when there is no segment yet.
#[must_use]
pub fn playlist(segments: &Segments) -> Option<String> {
    let target_s = segments.target_s()?;
    let first = segments.listed().next()?.number;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n#EXT-X-MEDIA-SEQUENCE:{first}\n"
    );
    let breaks = segments.breaks_before();
    if breaks > 0 {
        push(&mut text, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}"));
    }
    for segment in segments.listed() {
        if segment.is_break {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        push(&mut text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", segment.at));
        push(&mut text, format_args!("#EXTINF:{},", Seconds(segment.ticks)));
        push(&mut text, format_args!("{}", segments.captions_name(segment.number)));
    }
    if segments.has_ended() {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    Some(text)
}

/// The file of a segment with the texts that became known while it grew.
#[must_use]
pub fn file(segment: &Segment, captions: &[Caption]) -> String {
    let ticks = segment.begin.unsigned_abs() & ((1 << MPEGTS_BITS) - 1);
    let mut text = String::from("WEBVTT\n");
    push(&mut text, format_args!("X-TIMESTAMP-MAP=MPEGTS:{ticks},LOCAL:{}", Local(LOCAL_MS)));
    for caption in captions {
        let (from, until) = (local(segment, caption.from), local(segment, caption.until));
        push(&mut text, format_args!("\n{} --> {}", Local(from), Local(until)));
        push(&mut text, format_args!("{}", Escaped(&caption.text)));
    }
    text
}

/// A moment in the local time of a segment's file, in milliseconds.
fn local(segment: &Segment, moment: Timestamp) -> i64 {
    let after_ms = moment.unix_us().saturating_sub(segment.at.unix_us()) / 1_000;
    LOCAL_MS.saturating_add(after_ms).max(0)
}

/// Milliseconds as `WebVTT` has them.
struct Local(i64);

impl std::fmt::Display for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (ms, s) = (self.0 % 1_000, self.0 / 1_000);
        write!(f, "{:02}:{:02}:{:02}.{ms:03}", s / 3_600, s / 60 % 60, s % 60)
    }
}

/// Words in which nothing is a tag, and no line begins or ends a text.
struct Escaped<'a>(&'a str);

impl std::fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, word) in self.0.split_whitespace().enumerate() {
            if number > 0 {
                f.write_char(' ')?;
            }
            for letter in word.chars().filter(|letter| !letter.is_control()) {
                match letter {
                    '&' => f.write_str("&amp;")?,
                    '<' => f.write_str("&lt;")?,
                    '>' => f.write_str("&gt;")?,
                    letter => f.write_char(letter)?,
                }
            }
        }
        Ok(())
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok(), "a string takes everything");
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_us(1_700_000_000_000_000 + ms * 1_000)
    }

    fn segment(begin: i64) -> Segment {
        Segment {
            number: 7,
            header: 0,
            is_break: false,
            begins_with_key: true,
            begin,
            ticks: 180_000,
            at: at(0),
            parts: Vec::new(),
            data: Bytes::new(),
        }
    }

    fn caption(from_ms: i64, until_ms: i64, text: &str) -> Caption {
        Caption { seq: 1, from: at(from_ms), until: at(until_ms), text: text.to_owned() }
    }

    #[test]
    fn texts_have_the_time_at_which_they_were_said() {
        let captions = [
            caption(-2_500, 1_250, "hay quórum"),
            caption(500, 3_600_000, "<b>a & b-->c</b>\n\nx"),
        ];
        assert_eq!(
            file(&segment(900_000), &captions),
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:01:00:00.000\n\
             \n00:59:57.500 --> 01:00:01.250\nhay quórum\n\
             \n01:00:00.500 --> 02:00:00.000\n&lt;b&gt;a &amp; b--&gt;c&lt;/b&gt; x\n"
        );
    }

    #[test]
    fn long_streams_and_old_texts_have_times_that_can_be_written() {
        let text = file(&segment((1 << 33) + 5), &[caption(-9_000_000, 0, "sí")]);
        assert!(text.contains("MPEGTS:5,"), "{text}");
        assert!(text.contains("\n00:00:00.000 --> 01:00:00.000\nsí\n"), "{text}");
        assert!(file(&segment(0), &[]).ends_with("LOCAL:01:00:00.000\n"));
    }
}
