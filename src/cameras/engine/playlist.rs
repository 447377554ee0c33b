//! The playlists of a camera (RFC 8216, and RFC 8216bis for low latency).

use std::fmt::Write as _;

use crate::cameras::engine::growing::Part;
use crate::cameras::engine::segments::{Look, Segments};
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::domain::time::Timestamp;

/// The version that a header in a file of its own needs (§7).
const VERSION: u8 = 7;
/// The version that a playlist with old segments left out needs.
const VERSION_SKIPPING: u8 = 9;
/// How far from the end players are to stay, in parts and in target durations. Raising it gives
/// more delay and fewer interruptions.
const PARTS_HELD_BACK: u64 = 3;
const TARGETS_HELD_BACK: u64 = 3;
/// Target durations at the end of a playlist whose segments are never left out (§4.4.3.8), and
/// those whose parts are listed (§6.2.2).
const TARGETS_NOT_SKIPPED: u64 = 6;
const TARGETS_WITH_PARTS: u64 = 3;

/// Where the playlist with captions is.
#[derive(Debug, Clone, Copy)]
pub struct CaptionsAt<'a> {
    /// Its address.
    pub address: &'a str,
    /// The language, a BCP 47 tag, when it is known.
    pub language: Option<&'a str>,
}

/// The playlist that names the one with segments (§4.3.4), and the one with captions (§4.3.4.1).
/// Players read it once, so a token in its address may expire while somebody watches.
#[must_use]
pub fn main(look: &Look, address: &str, captions: Option<CaptionsAt<'_>>) -> String {
    let Look { codecs, size: (width, height), peak_bps } = look;
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n");
    if let Some(CaptionsAt { address, language }) = captions {
        let name = language.unwrap_or("CC");
        let language = language.map(|it| format!("LANGUAGE=\"{it}\",")).unwrap_or_default();
        push(
            &mut text,
            format_args!(
                "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"{name}\",{language}\
                 DEFAULT=NO,AUTOSELECT=YES,\
                 CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog\",\
                 URI=\"{address}\""
            ),
        );
    }
    let group = if captions.is_some() { ",SUBTITLES=\"captions\"" } else { "" };
    let bandwidth = peak_bps.max(&1);
    push(
        &mut text,
        format_args!(
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"{codecs}\",\
             RESOLUTION={width}x{height}{group}\n{address}"
        ),
    );
    text
}

/// What is listed of a segment.
#[derive(Clone, Copy)]
struct Entry<'segments> {
    number: u64,
    header: u64,
    is_break: bool,
    at: Timestamp,
    parts: &'segments [Part],
    /// How long it is, when it is whole.
    ticks: Option<u64>,
}

/// The playlist with segments (§4.3.3); nothing when there is none yet. With `skip` old segments
/// are left out when there are some, and nothing is in the window that does not go on: players
/// have been seen to stop at that.
#[must_use]
pub fn media(segments: &Segments, skip: bool) -> Option<String> {
    let target_s = segments.target_s()?;
    let entries = entries(segments, target_s);
    let first = entries.first()?.number;
    let has_break = entries.iter().any(|entry| entry.is_break);
    let skipped = if skip && !has_break { skippable(&entries, target_s) } else { 0 };
    let version = if skipped > 0 { VERSION_SKIPPING } else { VERSION };
    let mut text = format!("#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target_s}\n");
    control(segments, target_s, &mut text);
    push(&mut text, format_args!("#EXT-X-MEDIA-SEQUENCE:{first}"));
    let breaks = segments.breaks_before();
    if breaks > 0 {
        push(&mut text, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}"));
    }
    if segments.begin_with_keys() {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    if skipped > 0 {
        push(&mut text, format_args!("#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}"));
    }
    let mut header = None;
    for entry in entries.iter().skip(skipped) {
        if entry.is_break {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if header != Some(entry.header) {
            header = Some(entry.header);
            let name = segments.header_name(entry.header);
            push(&mut text, format_args!("#EXT-X-MAP:URI=\"{name}\""));
        }
        list(segments, entry, &mut text);
    }
    if segments.has_ended() {
        text.push_str("#EXT-X-ENDLIST\n");
    } else if segments.part_ticks().is_some() {
        let growth = segments.growth();
        let next = segments.part_name(growth.number, growth.parts.len());
        push(&mut text, format_args!("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{next}\""));
    }
    Some(text)
}

/// What the playlist lists, the oldest first: segments, with parts where they are near the end,
/// and the segment that grows.
fn entries(segments: &Segments, target_s: u64) -> Vec<Entry<'_>> {
    let growth = segments.growth();
    let grown: u64 = growth.parts.iter().map(|part| part.ticks).sum();
    let with_parts = TARGETS_WITH_PARTS * target_s * TICKS_PER_S.unsigned_abs();
    let mut after = grown;
    let mut entries = Vec::new();
    if !growth.parts.is_empty() {
        let (number, header, is_break) = (growth.number, growth.header, growth.is_break);
        let (at, parts) = (growth.at, growth.parts);
        entries.push(Entry { number, header, is_break, at, parts, ticks: None });
    }
    for segment in segments.listed().rev() {
        let is_near = after < with_parts && segments.part_ticks().is_some();
        entries.push(Entry {
            number: segment.number,
            header: segment.header,
            is_break: segment.is_break,
            at: segment.at,
            parts: if is_near { &segment.parts } else { &[] },
            ticks: Some(segment.ticks),
        });
        after += segment.ticks;
    }
    entries.reverse();
    entries
}

/// How many of the oldest segments may be left out.
fn skippable(entries: &[Entry<'_>], target_s: u64) -> usize {
    let kept = TARGETS_NOT_SKIPPED * target_s * TICKS_PER_S.unsigned_abs();
    let length = |entry: &Entry<'_>| {
        entry.ticks.unwrap_or_else(|| entry.parts.iter().map(|part| part.ticks).sum())
    };
    let mut left: u64 = entries.iter().map(length).sum();
    let is_old = |entry: &&Entry<'_>| {
        left -= length(entry);
        // Its end is further from that of the playlist.
        left > kept
    };
    entries.iter().take_while(is_old).count()
}

/// What players may do (§4.4.3.7, §4.4.3.8).
fn control(segments: &Segments, target_s: u64, text: &mut String) {
    let held_back = TARGETS_HELD_BACK * target_s;
    let not_skipped = TARGETS_NOT_SKIPPED * target_s;
    let parts = segments.part_ticks();
    let held = parts
        .map(|ticks| format!("PART-HOLD-BACK={},", Seconds(ticks.saturating_mul(PARTS_HELD_BACK))));
    push(
        text,
        format_args!(
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,{}HOLD-BACK={held_back}.0,CAN-SKIP-UNTIL={not_skipped}.0",
            held.unwrap_or_default()
        ),
    );
    if let Some(ticks) = parts {
        push(text, format_args!("#EXT-X-PART-INF:PART-TARGET={}", Seconds(ticks)));
    }
}

/// A segment with its parts, and its address when it is whole.
fn list(segments: &Segments, entry: &Entry<'_>, text: &mut String) {
    push(text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", entry.at));
    for (number, part) in entry.parts.iter().enumerate() {
        let (length, name) = (Seconds(part.ticks), segments.part_name(entry.number, number));
        let independent = if part.has_key { ",INDEPENDENT=YES" } else { "" };
        push(text, format_args!("#EXT-X-PART:DURATION={length},URI=\"{name}\"{independent}"));
    }
    if let Some(ticks) = entry.ticks {
        push(text, format_args!("#EXTINF:{},", Seconds(ticks)));
        push(text, format_args!("{}", segments.name(entry.number)));
    }
}

/// Ticks as decimal seconds.
pub(in crate::cameras) struct Seconds(pub(in crate::cameras) u64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let us = self.0.saturating_mul(1_000_000) / TICKS_PER_S.unsigned_abs();
        write!(f, "{}.{:06}", us / 1_000_000, us % 1_000_000)
    }
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok(), "a string takes everything");
    text.push('\n');
}
