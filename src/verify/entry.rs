//! Parses one entry of a log (docs/EVIDENCE.md, "Entries"), independently of the entries around it.

use super::cbor::{self, Value};
use super::cose::of_cbor;
use super::report::{Code, Finding};
use super::sealed;
use super::tree::Hash;

/// Longest entry accepted, in bytes: enough for the close of 10,000 tracks.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// The last millisecond of the year 9999.
const TIME_MS_MAX: u64 = 253_402_300_799_999;
const TEXT_BYTES_MAX: usize = 64;

/// The identifier of a track.
pub(super) type TrackId = [u8; 16];

/// One entry of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Version of the format of its log, 1 or 2.
    pub version: u64,
    /// Its index in the log, which is its leaf index.
    pub seq: u64,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: u64,
    /// Its contents.
    pub body: Body,
}

/// The contents of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The log begins.
    Genesis {
        /// Identifier of the log.
        log: [u8; 16],
        /// Identifier of the first key.
        kid: Hash,
        /// Hash of the text of the policy.
        policy_hash: Hash,
    },
    /// A track starts to be recorded.
    Track {
        /// Its identifier.
        track: [u8; 16],
        /// `audio` or `video`.
        media: String,
        /// Name of its codec.
        codec: String,
        /// Commitment to the person whose track it is.
        subject_commit: Hash,
    },
    /// A segment was stored.
    Segment(Box<Segment>),
    /// Something happened.
    Event {
        /// Event type.
        etype: u64,
        /// Commitment to the text of the event.
        commit: Hash,
    },
    /// For a span of time nothing of a track was recorded.
    Gap {
        /// The track.
        track: [u8; 16],
        /// Start, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
    },
    /// For a span of time a recorded track had no packets.
    Rest {
        /// The track.
        track: [u8; 16],
        /// Start, in milliseconds since 1970.
        from_ms: u64,
        /// End, in milliseconds since 1970.
        to_ms: u64,
        /// Why there were none.
        state: Rest,
    },
    /// A key was destroyed.
    Erasure {
        /// Index of the track entry, or 0 for the key of the events.
        target: u64,
        /// Number of the reason.
        reason: u64,
    },
    /// The evidence key changes.
    Key {
        /// Identifier of the new key.
        kid: Hash,
    },
    /// The log ends.
    Close {
        /// Each track with the index and the hash of its last segment.
        tails: Vec<([u8; 16], u64, Hash)>,
        /// Index of the last event before.
        last_event: u64,
        /// Number of the reason.
        reason: u64,
    },
}

/// Why a recorded track had no packets for a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// The gate was closed, by the floor or a mute.
    Gated {
        /// Index of the decision that closed it.
        event: Option<u64>,
    },
    /// The source sent nothing.
    Silent,
}

/// The contents of a segment entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The track.
    pub track: [u8; 16],
    /// Index of the segment in its track, from 0.
    pub index: u64,
    /// Hash of the segment before it in the track.
    pub previous: Option<Hash>,
    /// Size of the object in bytes.
    pub size: u64,
    /// Hash of the object.
    pub hash: Hash,
    /// The object's commitment to its key.
    pub key_commit: Hash,
    /// First and last RTP sequence number, extended to 64 bits.
    pub rtp: [u64; 2],
    /// Start and end, in milliseconds since 1970.
    pub time_ms: [u64; 2],
    /// Bits; bit 2 marks the last segment of the track.
    pub flags: u64,
}

/// The text for the reason for which a key was destroyed.
pub(super) const fn erasure_reason(reason: u64) -> &'static str {
    match reason {
        1 => "the retention time is over",
        2 => "a person asked",
        _ => "a court or authority ordered it",
    }
}

/// The text for the reason for which a log was closed.
pub(super) const fn close_reason(reason: u64) -> &'static str {
    match reason {
        1 => "the session ended",
        2 => "it was cancelled",
        _ => "closed after an interruption",
    }
}

fn malformed(why: &str) -> Finding {
    Finding::new(Code::Malformed, why)
}

impl Entry {
    /// Parses an entry that consists of all of `bytes`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Finding> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(Finding::new(Code::TooLarge, "the entry has too many bytes"));
        }
        Self::from_value(&cbor::read(bytes).map_err(of_cbor)?)
    }

    pub(super) fn from_value(value: &Value<'_>) -> Result<Self, Finding> {
        let shape = || malformed("the entry is not [1 or 2, kind, seq, t-ms, body]");
        let [version, kind, seq, at_ms, body] = value.tuple().ok_or_else(shape)?;
        let (Some(version @ 1..=2), Some(kind), Some(seq), Some(at_ms)) =
            (version.uint(), kind.uint(), seq.uint(), time(at_ms))
        else {
            return Err(shape());
        };
        let items = body.array().ok_or_else(shape)?;
        let body = match kind {
            0 => genesis(items),
            1 => track(items),
            2 => segment(items).map(|segment| Body::Segment(Box::new(segment))),
            3 => event(items),
            4 => gap(items),
            5 => erasure(items),
            6 => key(items),
            7 => close(items),
            8 if version >= 2 => rest(items),
            _ => return Err(malformed("the entry has an unknown kind")),
        };
        let wrong = || malformed(&format!("the body does not fit kind {kind}"));
        Ok(Self { version, seq, at_ms, body: body.ok_or_else(wrong)? })
    }
}

fn time(value: &Value<'_>) -> Option<u64> {
    value.uint().filter(|ms| *ms <= TIME_MS_MAX)
}

fn one_of(value: &Value<'_>, last: u64) -> Option<u64> {
    value.uint().filter(|number| (1..=last).contains(number))
}

fn genesis(items: &[Value<'_>]) -> Option<Body> {
    let [log, kid, policy_hash, interval, build] = items else { return None };
    interval.uint()?;
    build.fixed::<32>()?;
    let policy_hash = policy_hash.fixed()?;
    Some(Body::Genesis { log: log.fixed()?, kid: kid.fixed()?, policy_hash })
}

fn track(items: &[Value<'_>]) -> Option<Body> {
    let [track, media, codec, clock_rate, subject_commit] = items else { return None };
    clock_rate.uint().filter(|rate| (1..=u64::from(u32::MAX)).contains(rate))?;
    let media = media.text().filter(|text| ["audio", "video"].contains(text))?;
    let codec = codec.text().filter(|text| (1..=TEXT_BYTES_MAX).contains(&text.len()))?;
    Some(Body::Track {
        track: track.fixed()?,
        media: media.to_owned(),
        codec: codec.to_owned(),
        subject_commit: subject_commit.fixed()?,
    })
}

fn segment(items: &[Value<'_>]) -> Option<Segment> {
    let [track, index, previous, suite, size, hash, key_commit, rtp, time_ms, flags] = items else {
        return None;
    };
    let previous = match previous {
        Value::Null => None,
        other => Some(other.fixed()?),
    };
    let index = index.uint()?;
    let [first, last] = rtp.tuple()?;
    let rtp = [first.uint()?, last.uint()?];
    let [from, to] = time_ms.tuple()?;
    let time_ms = [time(from)?, time(to)?];
    let is_ordered = rtp[0] <= rtp[1] && time_ms[0] <= time_ms[1];
    let is_first = index == 0;
    if suite.uint()? != 1 || !is_ordered || is_first != previous.is_none() {
        return None;
    }
    Some(Segment {
        track: track.fixed()?,
        index,
        previous,
        size: size.uint().filter(|size| sealed::is_object_size(*size))?,
        hash: hash.fixed()?,
        key_commit: key_commit.fixed()?,
        rtp,
        time_ms,
        flags: flags.uint().filter(|flags| *flags < 16)?,
    })
}

fn event(items: &[Value<'_>]) -> Option<Body> {
    let [etype, commit] = items else { return None };
    let etype = etype.uint().filter(|etype| *etype > 0)?;
    Some(Body::Event { etype, commit: commit.fixed()? })
}

fn gap(items: &[Value<'_>]) -> Option<Body> {
    let [track, from, to, reason] = items else { return None };
    one_of(reason, 5)?;
    let (from_ms, to_ms) = (time(from)?, time(to)?);
    (from_ms <= to_ms).then_some(Body::Gap { track: track.fixed()?, from_ms, to_ms })
}

fn rest(items: &[Value<'_>]) -> Option<Body> {
    let [track, from, to, state, event] = items else { return None };
    let event = match event {
        Value::Null => None,
        other => Some(other.uint()?),
    };
    let state = match (one_of(state, 2)?, event) {
        (1, event) => Rest::Gated { event },
        (_, None) => Rest::Silent,
        (_, Some(_)) => return None,
    };
    let (from_ms, to_ms) = (time(from)?, time(to)?);
    (from_ms <= to_ms).then_some(Body::Rest { track: track.fixed()?, from_ms, to_ms, state })
}

fn erasure(items: &[Value<'_>]) -> Option<Body> {
    let [target, reason, wrapped] = items else { return None };
    wrapped.fixed::<32>()?;
    Some(Body::Erasure { target: target.uint()?, reason: one_of(reason, 3)? })
}

fn key(items: &[Value<'_>]) -> Option<Body> {
    let [kid] = items else { return None };
    Some(Body::Key { kid: kid.fixed()? })
}

fn close(items: &[Value<'_>]) -> Option<Body> {
    let [tails, last_event, reason] = items else { return None };
    let mut listed: Vec<(TrackId, u64, Hash)> = Vec::new();
    for tail in tails.array()? {
        let [track, last, hash] = tail.tuple()?;
        let track = track.fixed()?;
        if listed.last().is_some_and(|(before, ..)| *before >= track) {
            return None;
        }
        listed.push((track, last.uint()?, hash.fixed()?));
    }
    let (last_event, reason) = (last_event.uint()?, one_of(reason, 3)?);
    Some(Body::Close { tails: listed, last_event, reason })
}
