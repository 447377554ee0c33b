//! A rate limit.

use std::time::{Duration, Instant};

/// A token bucket. No I/O: the caller provides the time. A time before an earlier one has no
/// effect.
#[derive(Debug, Clone, Copy)]
pub struct TokenBucket {
    tokens: f64,
    burst: f64,
    per_s: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// Makes a full bucket: `burst` tokens at once, then `per_s` per second.
    #[must_use]
    pub fn new(per_s: u32, burst: u32, now: Instant) -> Self {
        let burst = f64::from(burst);
        Self { tokens: burst, burst, per_s: f64::from(per_s), filled_at: now }
    }

    /// Whether a token is left; takes none.
    pub fn has_one(&mut self, now: Instant) -> bool {
        let passed_s = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.tokens = passed_s.mul_add(self.per_s, self.tokens).min(self.burst);
        self.filled_at = self.filled_at.max(now);
        self.tokens >= 1.0
    }

    /// Takes a token, or what is left of one.
    pub fn take(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// Takes a token if there is one; returns whether there was.
    pub fn try_take(&mut self, now: Instant) -> bool {
        let has_one = self.has_one(now);
        if has_one {
            self.take();
        }
        has_one
    }

    /// Whether at most `taken` tokens are missing, as of the last call with a time.
    #[must_use]
    pub fn has_given_at_most(&self, taken: u32) -> bool {
        self.tokens > self.burst - f64::from(taken)
    }

    /// Time since the last call with a time.
    #[must_use]
    pub fn unused_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.filled_at)
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
}
