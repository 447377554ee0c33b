//! When the publisher of an encoding is asked for a key frame.
//!
//! A key frame that is wanted is asked for at once, unless a request is not yet answered, since its
//! answer serves everybody who has come until then. Whoever wants one after it began gets the next
//! one as soon as it has passed completely; whoever has just come begins with the last one, if it
//! began a moment ago (`newcomers`). Whoever has lost something may have asked before it got the last
//! one, so its request does not follow the one before so closely. Both the encoding and each of its
//! receivers have an allowance, so that neither many who join nor one who asks without end cost the
//! publisher more than a known number of key frames.

use super::ring::Packet;
use crate::domain::token_bucket::{Allowance, Rate};

/// Time in which one more request to an encoding becomes possible. Lowering it costs the publisher
/// bandwidth when many receivers join at once.
const INTERVAL_US: u64 = 250_000;
/// Requests to one encoding: so many may follow one another as fast as they are answered.
const RATE: Rate<u64> = Rate { burst: 4, interval: INTERVAL_US };
/// Requests of one receiver that are followed: so many at once, since a bad moment of its path loses
/// key frames too.
const RATE_OF_RECEIVER: Rate<u64> = Rate { burst: 3, interval: 2_000_000 };
/// An unanswered request is repeated no sooner than this, in case it was lost.
const REPEAT_US_MIN: u64 = 250_000;
/// An unanswered request is repeated no later than this.
const REPEAT_US_MAX: u64 = 1_000_000;
/// A key frame whose end has not come after this long counts as passed.
const PASSES_US_MAX: u64 = 250_000;
/// For how long whoever comes may begin with the last key frame.
const RECENT_US: u64 = 250_000;

/// What one receiver may still ask for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requests(Allowance<u64>);

impl Requests {
    /// Whether a request is followed that would cause a key frame.
    pub(super) fn take(&mut self, now_us: u64) -> bool {
        self.0.try_take(RATE_OF_RECEIVER, now_us)
    }
}

/// How much a key frame is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Want {
    /// Somebody has lost something.
    Repair,
    /// Somebody can't begin without it.
    Beginning,
}

/// The last key frame.
#[derive(Debug, Clone, Copy)]
struct Latest {
    /// Its first packet.
    first: u64,
    timestamp: u32,
    since_us: u64,
    has_passed: bool,
}

impl Latest {
    /// How far a timestamp is ahead of it, in ticks.
    const fn ahead(&self, timestamp: u32) -> i32 {
        timestamp.wrapping_sub(self.timestamp).cast_signed()
    }
}

/// The key frames of one encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyFrames {
    want: Option<Want>,
    /// When the first of the requests was sent that no key frame has answered yet.
    asked_us: Option<u64>,
    /// When the last request was sent.
    asked_last_us: Option<u64>,
    /// How long this publisher takes to answer, smoothed; zero until it has answered once.
    answer_us: u64,
    latest: Option<Latest>,
    allowance: Allowance<u64>,
}

impl KeyFrames {
    /// Somebody can do nothing without a key frame that begins from now on.
    pub(super) const fn want(&mut self) {
        self.want = Some(Want::Beginning);
    }

    /// Somebody has lost something that only a key frame repairs.
    pub(super) fn want_repair(&mut self) {
        self.want = self.want.max(Some(Want::Repair));
    }

    /// Whether a key frame is wanted that has not begun.
    pub(super) const fn is_wanted(&self) -> bool {
        self.want.is_some()
    }

    /// What was sent until now is not to be had any more, and what was asked for will not come.
    pub(super) const fn restart(&mut self) {
        self.asked_us = None;
        self.latest = None;
    }

    /// The first packet of the last key frame, if it began a moment ago.
    pub(super) fn recent(&self, now_us: u64) -> Option<u64> {
        let latest = self.latest.filter(|latest| latest.since_us + RECENT_US > now_us);
        latest.map(|latest| latest.first)
    }

    /// Notes a packet that passes; returns whether a key frame has passed with it and another one is
    /// wanted.
    pub(super) fn note(&mut self, packet: &Packet<'_>, now_us: u64) -> bool {
        if packet.key_frame_start {
            self.note_start((packet.extended, packet.timestamp), now_us);
        }
        let Some(latest) = self.latest.as_mut().filter(|it| !it.has_passed) else { return false };
        let ahead = latest.ahead(packet.timestamp);
        latest.has_passed = ahead > 0 || (ahead == 0 && packet.marker);
        latest.has_passed && self.want.is_some()
    }

    /// Notes that a key frame begins with the packet of this sequence number and timestamp.
    pub(super) fn note_start(&mut self, (first, timestamp): (u64, u32), now_us: u64) {
        self.want = None;
        if let Some(asked_us) = self.asked_us.take() {
            let took_us = now_us.saturating_sub(asked_us).min(REPEAT_US_MAX);
            self.answer_us = match self.answer_us {
                0 => took_us,
                before => (3 * before + took_us) / 4,
            };
        }
        let begins = Latest { first, timestamp, since_us: now_us, has_passed: false };
        // A decoder may start at several packets of one picture; what came late is no news.
        let is_new = |latest: Latest| latest.ahead(timestamp) > 0;
        if self.latest.is_none_or(is_new) {
            self.latest = Some(begins);
        }
    }

    /// Whether to send a request now.
    pub(super) fn take_request(&mut self, now_us: u64) -> bool {
        let is_over =
            |since_us: Option<u64>, for_us| since_us.is_none_or(|it| it + for_us <= now_us);
        let Some(want) = self.want else { return false };
        let passing = self.latest.filter(|latest| !latest.has_passed);
        let wait_us = match (self.asked_us, want) {
            (Some(_), _) => (2 * self.answer_us).clamp(REPEAT_US_MIN, REPEAT_US_MAX),
            (None, Want::Repair) => INTERVAL_US,
            (None, Want::Beginning) => 0,
        };
        let is_due = is_over(self.asked_last_us, wait_us)
            && is_over(passing.map(|it| it.since_us), PASSES_US_MAX)
            && self.allowance.try_take(RATE, now_us);
        if is_due {
            self.asked_us = self.asked_us.or(Some(now_us));
            self.asked_last_us = Some(now_us);
        }
        is_due
    }
}
