//! What players ask of a playlist beside the playlist itself: to be answered when something
//! new is in it, or only with what is new (RFC 8216bis §6.2.5).

use url::form_urlencoded;

use crate::cameras::engine::segments::Segments;
use crate::cameras::engine::timeline::TICKS_PER_S;

/// Longest query that is read, in bytes. Directives have less than a hundred.
const QUERY_BYTES_MAX: usize = 2_048;
/// Segments beyond the newest one that may be waited for (§6.2.5.2).
const SEGMENTS_AHEAD_MAX: u64 = 2;
/// Time beyond the newest part that may be waited for, in ticks: the advance part limit.
const PARTS_AHEAD_TICKS: u64 = 3 * TICKS_PER_S.unsigned_abs();
/// How many target durations a request waits at most (§6.2.5.2).
pub const TARGETS_WAITED: u32 = 3;

/// What a query of a playlist is refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReloadInvalid {
    /// It is too long, or has a directive twice.
    #[error("the query of the playlist can't be read")]
    Query,
    /// Its numbers are none.
    #[error("_HLS_msn and _HLS_part are whole numbers")]
    Number,
    /// There is a part without its segment.
    #[error("_HLS_part needs _HLS_msn")]
    PartWithoutSegment,
    /// Nobody knows when that will be.
    #[error("what is waited for is too far ahead of the playlist")]
    TooFar,
}

/// A place in a playlist that does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The number of the segment.
    pub segment: u64,
    /// The part of it; the whole segment when `None`.
    pub part: Option<u64>,
}

/// The directives of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Directives {
    /// What is to be in the playlist; whatever there is when `None`.
    pub until: Option<Place>,
    /// Whether old segments may be left out.
    pub skip: bool,
}

impl Directives {
    /// Reads the query of an address. What is not about playlists is left to others.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(query: &str) -> Result<Self, ReloadInvalid> {
        if query.len() > QUERY_BYTES_MAX {
            return Err(ReloadInvalid::Query);
        }
        let (mut segment, mut part, mut skip) = (None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let seen = match name.as_ref() {
                "_HLS_msn" => segment.replace(number(&value)?).is_some(),
                "_HLS_part" => part.replace(number(&value)?).is_some(),
                // `v2` also asks for other things to be left out, which are not here.
                "_HLS_skip" => skip.replace(matches!(value.as_ref(), "YES" | "v2")).is_some(),
                _ => false,
            };
            if seen {
                return Err(ReloadInvalid::Query);
            }
        }
        let until = match (segment, part) {
            (Some(segment), part) => Some(Place { segment, part }),
            (None, Some(_)) => return Err(ReloadInvalid::PartWithoutSegment),
            (None, None) => None,
        };
        Ok(Self { until, skip: skip.unwrap_or(false) })
    }
}

/// A number as RFC 8216 §4.2 writes it.
fn number(text: &str) -> Result<u64, ReloadInvalid> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| text.parse().ok()).flatten();
    number.ok_or(ReloadInvalid::Number)
}

/// Whether a place is in the playlist by now, or never will be.
///
/// # Errors
/// [`ReloadInvalid::TooFar`].
pub fn is_there(segments: &Segments, place: Place) -> Result<bool, ReloadInvalid> {
    let growth = segments.growth();
    if place.segment < growth.number || segments.has_ended() {
        return Ok(true);
    }
    let ahead = place.segment - growth.number;
    // The newest segment that is whole is the one before the one that grows.
    if ahead >= SEGMENTS_AHEAD_MAX {
        return Err(ReloadInvalid::TooFar);
    }
    // Without parts the segment itself is what is waited for.
    let Some((part, ticks)) = place.part.zip(segments.part_ticks()) else { return Ok(false) };
    let there = growth.parts.len() as u64;
    if ahead == 0 && part < there {
        return Ok(true);
    }
    // A part beyond the end of its segment is the first one of the next (§6.2.5.2), so how far
    // it is ahead is judged, and then it is waited for until the segment is whole.
    let parts_ahead = if ahead == 0 { part - there } else { part };
    if parts_ahead > PARTS_AHEAD_TICKS.div_ceil(ticks.max(1)) {
        return Err(ReloadInvalid::TooFar);
    }
    Ok(false)
}
