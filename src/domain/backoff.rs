//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// Waiting times that double from failure to failure up to a limit. Each is drawn from the upper
/// half, so that many clients do not retry at the same time. No I/O: the caller provides the random
/// number and waits.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// Makes a backoff from `first` up to `max`.
    #[must_use]
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, failures: 0 }
    }

    /// Counts a failure; returns how long to wait. `drawn` is a uniform random byte.
    pub fn next(&mut self, drawn: u8) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let whole = doubled.min(self.max);
        whole.saturating_sub((whole / 2).saturating_mul(u32::from(drawn)) / u32::from(u8::MAX))
    }

    /// Counts a success: the next failure waits as after the first one.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Number of failures in a row.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread_over_their_upper_half() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_mins(1));
        let waits: Vec<u128> = (0..14).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(waits[..5], [100, 200, 400, 800, 1_600]);
        assert_eq!(waits[10..], [60_000; 4]);
        assert_eq!(backoff.next(u8::MAX), Duration::from_secs(30));
        for _ in 0..1_000_000 {
            backoff.next(0);
        }
        assert_eq!(backoff.next(51), Duration::from_secs(54), "after days of failures");
        assert_eq!(backoff.failures(), 1_000_016);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.next(0)), (0, Duration::from_millis(100)));
    }

    #[test]
    fn no_waits_are_too_long_to_be_counted() {
        let mut backoff = Backoff::new(Duration::from_secs(u64::MAX / 2), Duration::MAX);
        for _ in 0..3 {
            assert!(backoff.next(u8::MAX) > Duration::ZERO);
        }
    }
}
