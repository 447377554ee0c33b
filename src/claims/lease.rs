//! How long a claim may be relied on.

use std::time::Duration;

/// How long leases are and when they are renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long the database refuses others after a claim was taken or renewed. Raising it makes
    /// others wait longer for the work of an instance that was killed; lowering it lets a shorter
    /// outage of the database end a lease.
    pub length: Duration,
    /// How often leases are renewed.
    pub renew_every: Duration,
    /// How long before its end the owner stops relying on a lease.
    pub margin: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            length: Duration::from_secs(10),
            renew_every: Duration::from_millis(2_500),
            margin: Duration::from_secs(2),
        }
    }
}

/// The lease of one claim, from its owner's point of view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    relied_on_until: Duration,
}

impl Lease {
    /// The lease that was granted by the answer to a request sent at `sent_at`. It is counted from
    /// the time of the request, because the database may have granted it at any time between
    /// request and answer.
    #[must_use]
    pub fn begun(sent_at: Duration, times: &LeaseTimes) -> Self {
        Self { relied_on_until: sent_at + times.length.saturating_sub(times.margin) }
    }

    /// Whether the owner may rely on it.
    #[must_use]
    pub fn holds_at(&self, now: Duration) -> bool {
        now < self.relied_on_until
    }

    /// The one of two leases of a claim that ends later.
    #[must_use]
    pub fn or_later(self, other: Self) -> Self {
        Self { relied_on_until: self.relied_on_until.max(other.relied_on_until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: LeaseTimes = LeaseTimes {
        length: Duration::from_secs(10),
        renew_every: Duration::from_secs(2),
        margin: Duration::from_secs(3),
    };

    #[test]
    fn a_lease_is_counted_from_before_its_request_and_ends_before_its_end() {
        let lease = Lease::begun(Duration::from_secs(100), &TIMES);
        assert!(lease.holds_at(Duration::from_millis(106_999)));
        assert!(!lease.holds_at(Duration::from_secs(107)));
    }

    #[test]
    fn answers_that_come_out_of_order_shorten_nothing() {
        let early = Lease::begun(Duration::from_secs(100), &TIMES);
        let late = Lease::begun(Duration::from_secs(102), &TIMES);
        assert_eq!(late.or_later(early), late);
        assert_eq!(early.or_later(late), late);
    }
}
