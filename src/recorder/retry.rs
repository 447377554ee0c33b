//! How long to wait before the next try.

use std::time::Duration;

/// Waits that double from try to try, each drawn from its upper half so that
/// many who wait for one thing do not come at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Backoff {
    min_ms: u64,
    max_ms: u64,
    tries: u32,
}

impl Backoff {
    pub(super) const fn new(min_ms: u64, max_ms: u64) -> Self {
        Self { min_ms, max_ms, tries: 0 }
    }

    /// The next wait; `drawn` is uniform in 0 to 1,000.
    pub(super) fn next(&mut self, drawn: u64) -> Duration {
        let doubled = self.min_ms.saturating_mul(1 << self.tries.min(32));
        self.tries = self.tries.saturating_add(1);
        let whole_ms = doubled.clamp(1, self.max_ms.max(1));
        Duration::from_millis(whole_ms - whole_ms.saturating_mul(drawn.min(1_000)) / 2_000)
    }

    /// Tries that have failed.
    pub(super) const fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_spread() {
        let mut backoff = Backoff::new(100, 60_000);
        let waits: Vec<u128> = (0..14).map(|_| backoff.next(0).as_millis()).collect();
        assert_eq!(waits[..5], [100, 200, 400, 800, 1_600]);
        assert_eq!(waits[10..], [60_000; 4]);
        assert_eq!(backoff.next(1_000).as_millis(), 30_000);
        for _ in 0..1_000_000 {
            backoff.next(500);
        }
        assert_eq!(backoff.next(500).as_millis(), 45_000, "for days");
    }
}
