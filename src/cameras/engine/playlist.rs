//! The playlists of a camera (RFC 8216).

use std::fmt::Write as _;

use crate::cameras::engine::segments::{Look, Segments};
use crate::cameras::engine::timeline::TICKS_PER_S;

/// The version that a header in a file of its own needs (§7).
const VERSION: u8 = 7;

/// The playlist that names the one with segments (§4.3.4). Players read it once,
/// so a token in its address may expire while somebody watches.
#[must_use]
pub fn main(look: &Look, address: &str) -> String {
    let Look { codecs, size: (width, height), peak_bps } = look;
    format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n\
         #EXT-X-STREAM-INF:BANDWIDTH={},CODECS=\"{codecs}\",RESOLUTION={width}x{height}\n{address}\n",
        peak_bps.max(&1)
    )
}

/// The playlist with segments (§4.3.3); nothing when there is none yet.
#[must_use]
pub fn media(segments: &Segments) -> Option<String> {
    let target_s = segments.target_s()?;
    let first = segments.listed().next()?;
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:{VERSION}\n#EXT-X-TARGETDURATION:{target_s}\n\
         #EXT-X-MEDIA-SEQUENCE:{}\n",
        first.number
    );
    let breaks = segments.breaks_before();
    if breaks > 0 {
        push(&mut text, format_args!("#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}"));
    }
    if segments.listed().all(|segment| segment.begins_with_key) {
        text.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
    }
    let mut header = None;
    for segment in segments.listed() {
        if segment.is_break {
            text.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if header != Some(segment.header) {
            header = Some(segment.header);
            push(&mut text, format_args!("#EXT-X-MAP:URI=\"{}\"", segments.header_name(segment)));
        }
        push(&mut text, format_args!("#EXT-X-PROGRAM-DATE-TIME:{}", segment.at));
        let us = segment.ticks.saturating_mul(1_000_000) / TICKS_PER_S.unsigned_abs();
        push(&mut text, format_args!("#EXTINF:{}.{:06},", us / 1_000_000, us % 1_000_000));
        text.push_str(&segments.name(segment));
        text.push('\n');
    }
    Some(text)
}

fn push(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a string does not fail.
    let written = text.write_fmt(line);
    debug_assert!(written.is_ok(), "a string takes everything");
    text.push('\n');
}
