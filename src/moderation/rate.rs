//! How fast one connection may speak.

use tokio::time::Instant;

use crate::moderation::door::ChannelLimits;

/// A token bucket, and a count of how often it was found empty in a row.
#[derive(Debug)]
pub(super) struct MessageRate {
    limits: ChannelLimits,
    allowance: f64,
    refilled_at: Instant,
    refused: u32,
}

impl MessageRate {
    pub(super) fn new(limits: ChannelLimits, now: Instant) -> Self {
        Self { allowance: f64::from(limits.messages_burst), limits, refilled_at: now, refused: 0 }
    }

    /// Whether one more message may be handled now.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let passed = now.duration_since(self.refilled_at).as_secs_f64();
        self.refilled_at = now;
        let refilled = self.allowance + passed * f64::from(self.limits.messages_per_s);
        self.allowance = refilled.min(f64::from(self.limits.messages_burst));
        if self.allowance >= 1.0 {
            self.allowance -= 1.0;
            self.refused = 0;
            true
        } else {
            self.refused = self.refused.saturating_add(1);
            false
        }
    }

    /// Whether the client goes on sending although it is refused.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.refused > self.limits.refusals_max
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_then_the_rate_holds_and_persistence_is_hopeless() {
        let start = Instant::now();
        let limits = ChannelLimits {
            messages_per_s: 2,
            messages_burst: 3,
            refusals_max: 2,
            ..ChannelLimits::default()
        };
        let mut rate = MessageRate::new(limits, start);
        let passed = (0..5).filter(|_| rate.admit(start)).count();
        assert_eq!(passed, 3);
        assert!(!rate.is_hopeless());
        assert!(!rate.admit(start));
        assert!(rate.is_hopeless());
        assert!(rate.admit(start + Duration::from_millis(600)));
        assert!(!rate.is_hopeless());
    }
}
