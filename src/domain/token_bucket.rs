//! Rate limits.

use std::time::{Duration, Instant};

/// A moment of whichever clock the caller counts by.
pub(crate) trait Moment: Copy + Ord {
    /// A time between two moments.
    type Span: Copy;

    /// The moment after so many such times.
    #[must_use]
    fn after(self, span: Self::Span, times: u32) -> Self;
}

impl Moment for Instant {
    type Span = Duration;

    fn after(self, span: Duration, times: u32) -> Self {
        self + span * times
    }
}

/// Microseconds since some beginning.
impl Moment for u64 {
    type Span = Self;

    fn after(self, span: Self, times: u32) -> Self {
        self + span * Self::from(times)
    }
}

/// How often something may happen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate<S> {
    /// So often at once.
    pub(crate) burst: u32,
    /// Once more after each such time.
    pub(crate) interval: S,
}

/// What is left of a rate that is kept elsewhere: all of it at first. No I/O: the caller provides the
/// time.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowance<T> {
    /// When all that was taken will have been given back.
    whole_at: T,
}

impl<T: Moment> Allowance<T> {
    /// Whether one is left; takes none.
    fn has_one(self, rate: Rate<T::Span>, now: T) -> bool {
        self.with_one_less(rate, now) <= now.after(rate.interval, rate.burst)
    }

    /// Takes one if there is one; returns whether there was.
    pub(crate) fn try_take(&mut self, rate: Rate<T::Span>, now: T) -> bool {
        let has_one = self.has_one(rate, now);
        if has_one {
            self.whole_at = self.with_one_less(rate, now);
        }
        has_one
    }

    fn with_one_less(self, rate: Rate<T::Span>, now: T) -> T {
        self.whole_at.max(now).after(rate.interval, 1)
    }
}

/// A token bucket, which knows its rate. A time before an earlier one has no effect.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    rate: Rate<Duration>,
    left: Allowance<Instant>,
    asked_at: Instant,
}

impl TokenBucket {
    /// Makes a full bucket: `burst` tokens at once, then `per_s` per second, at least one.
    #[must_use]
    pub fn new(per_s: u32, burst: u32, now: Instant) -> Self {
        let rate = Rate { burst, interval: Duration::from_secs(1) / per_s.max(1) };
        Self { rate, left: Allowance { whole_at: now }, asked_at: now }
    }

    /// Whether a token is left; takes none.
    pub fn has_one(&mut self, now: Instant) -> bool {
        self.asked_at = self.asked_at.max(now);
        self.left.has_one(self.rate, self.asked_at)
    }

    /// Takes a token, or what is left of one.
    pub fn take(&mut self) {
        let empty = self.asked_at.after(self.rate.interval, self.rate.burst);
        self.left.whole_at = self.left.with_one_less(self.rate, self.asked_at).min(empty);
    }

    /// Takes a token if there is one; returns whether there was.
    pub fn try_take(&mut self, now: Instant) -> bool {
        self.asked_at = self.asked_at.max(now);
        self.left.try_take(self.rate, self.asked_at)
    }

    /// Whether at most `taken` tokens are missing, as of the last call with a time.
    #[must_use]
    pub fn has_given_at_most(&self, taken: u32) -> bool {
        self.left.whole_at < self.asked_at.after(self.rate.interval, taken)
    }

    /// Time since the last call with a time.
    #[must_use]
    pub fn unused_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.asked_at)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = TokenBucket::new(2, 3, start);
        assert_eq!((0..5).filter(|_| bucket.try_take(start)).count(), 3);
        assert!(!bucket.has_given_at_most(2) && bucket.has_given_at_most(4));
        assert!(!bucket.try_take(at(499)));
        assert!(bucket.try_take(at(500)));
        assert!(!bucket.try_take(at(500)));
        assert_eq!(
            (0..9).filter(|_| bucket.try_take(at(60_000))).count(),
            3,
            "not more than it holds"
        );
        assert!(!bucket.try_take(at(59_000)), "a clock that goes back brings nothing");
        assert!(bucket.has_one(at(60_500)) && bucket.has_one(at(60_500)));
        assert_eq!(bucket.unused_for(at(61_000)), Duration::from_millis(500));
        for _ in 0..5 {
            bucket.take();
        }
        assert!(bucket.try_take(at(61_000)), "there is no debt");
    }

    #[test]
    fn an_allowance_counts_by_any_clock_and_is_no_larger_than_a_moment() {
        let rate = Rate { burst: 2, interval: 1_000 };
        let mut left = Allowance::<u64>::default();
        let mut take = |now_us| left.try_take(rate, now_us);
        assert_eq!(
            [0, 0, 0, 999, 1_000, 1_000].map(&mut take),
            [true, true, false, false, true, false]
        );
        assert_eq!([9_000, 9_000, 9_000].map(&mut take), [true, true, false]);
        assert_eq!(size_of::<Allowance<u64>>(), size_of::<u64>());
    }
}
