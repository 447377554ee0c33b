//! The rate limit of one connection. Each message above it is refused; a client whose refusals
//! outnumber what is let through by far is shown out, however fast or slowly it sends.

use tokio::time::Instant;

use crate::domain::token_bucket::TokenBucket;
use crate::moderation::door::ChannelLimits;

/// How many messages one connection may send, and how many more were refused than let through.
#[derive(Debug)]
pub(super) struct MessageRate {
    bucket: TokenBucket,
    refused: u32,
    refusals_max: u32,
}

impl MessageRate {
    pub(super) fn new(limits: ChannelLimits, now: Instant) -> Self {
        let ChannelLimits { messages_per_s, messages_burst, refusals_max, .. } = limits;
        let bucket = TokenBucket::new(messages_per_s, messages_burst, now.into_std());
        Self { bucket, refused: 0, refusals_max }
    }

    /// Whether one more message may be handled now.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let admitted = self.bucket.try_take(now.into_std());
        self.refused =
            if admitted { self.refused.saturating_sub(1) } else { self.refused.saturating_add(1) };
        admitted
    }

    /// Whether the client continues to send although many more messages were refused than let through.
    pub(super) const fn is_hopeless(&self) -> bool {
        self.refused > self.refusals_max
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

    #[test]
    fn sending_at_ten_times_the_rate_is_hopeless_and_sending_a_little_too_much_is_not() {
        let start = Instant::now();
        let limits = ChannelLimits::default();
        let hopeless_after = |messages_per_s: u32| {
            let mut rate = MessageRate::new(limits, start);
            let interval = Duration::from_secs(1) / messages_per_s;
            (1..=messages_per_s * 60).find(|sent| {
                rate.admit(start + interval * *sent);
                rate.is_hopeless()
            })
        };
        let fast = hopeless_after(limits.messages_per_s * 10).expect("shown out");
        assert!(fast < 600, "after {fast} messages");
        assert_eq!(hopeless_after(limits.messages_per_s + 5), None);
    }
}
