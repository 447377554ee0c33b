#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Decides when the issuer is asked for its keys again. No I/O. All times are counted from the
//! start of the last attempt, so that an attempt that never ends counts too.

use std::time::Duration;

use crate::domain::backoff::Backoff;
use crate::domain::time::Timestamp;

/// Age at which keys are fetched again in the background, while the old ones are still used.
/// Lowering it asks the issuer more often.
pub(super) const FRESH_FOR: Duration = Duration::from_mins(5);
/// Age at which callers wait for new keys: how long a key that the issuer has withdrawn is
/// accepted, provided the issuer answers.
pub(super) const WAIT_AFTER: Duration = Duration::from_hours(1);
/// Least time between two attempts, whatever key ids unauthenticated callers send. Raising it makes
/// tokens with a new key wait longer.
pub(super) const ATTEMPT_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// First pause after a failure; doubled after each further failure.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// Longest pause between attempts while the issuer fails, and so the longest delay until its return
/// is noticed.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Whether the caller's key is in the cached set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The key is in the set.
    Known,
    /// There is no set yet, or it lacks the key.
    Missing,
}

/// What a caller should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Use the set as it is.
    Serve,
    /// Use the set as it is and start a fetch in the background.
    ServeAndFetch,
    /// Fetch, wait for the result, then use the set.
    Fetch,
    /// Refuse: the issuer must not be asked now and there is no set to use.
    Refuse,
}

/// The state from which the decision is made.
#[derive(Debug, Clone)]
pub(super) struct KeySchedule {
    fetched_at: Option<Timestamp>,
    attempted_at: Option<Timestamp>,
    backoff: Backoff,
    pause: Duration,
}

impl Default for KeySchedule {
    fn default() -> Self {
        Self {
            fetched_at: None,
            attempted_at: None,
            backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_MAX),
            pause: Duration::ZERO,
        }
    }
}

impl KeySchedule {
    /// Decides what a caller with this need should do.
    pub(super) fn decide(&self, need: Need, now: Timestamp) -> Decision {
        let may_fetch = elapsed(self.attempted_at, now).is_none_or(|span| span >= self.pause);
        let age = elapsed(self.fetched_at, now);
        match (need, may_fetch) {
            (Need::Missing, true) => Decision::Fetch,
            (Need::Missing, false) => Decision::Refuse,
            (Need::Known, false) => Decision::Serve,
            (Need::Known, true) => match age {
                Some(age) if age < FRESH_FOR => Decision::Serve,
                Some(age) if age < WAIT_AFTER => Decision::ServeAndFetch,
                _ => Decision::Fetch,
            },
        }
    }

    /// Whether the last attempt failed. If so, a missing key does not mean that the token is
    /// invalid.
    pub(super) const fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    /// Time until the next attempt is allowed.
    pub(super) fn retry_in(&self, now: Timestamp) -> Duration {
        elapsed(self.attempted_at, now)
            .map_or(Duration::ZERO, |span| self.pause.saturating_sub(span))
    }

    /// Records that an attempt starts.
    pub(super) fn handle_attempt(&mut self, now: Timestamp) {
        self.attempted_at = Some(now);
        self.pause = ATTEMPT_INTERVAL_MIN;
    }

    /// Records that the attempt started at `started_at` has brought keys.
    pub(super) fn handle_success(&mut self, started_at: Timestamp) {
        self.fetched_at = Some(started_at);
        self.backoff.reset();
        self.pause = ATTEMPT_INTERVAL_MIN;
    }

    /// Records that the attempt failed. `drawn` is a uniform random byte that shortens the pause by
    /// up to half, so that instances that failed together do not retry together.
    pub(super) fn handle_failure(&mut self, drawn: u8) {
        self.pause = self.backoff.next(drawn);
    }
}

/// Time since `moment`; `None` when there is no moment or it is in the future, since the clock was
/// set back. Otherwise callers would wait until the clock has caught up.
fn elapsed(moment: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    moment.filter(|moment| *moment <= now).map(|moment| now.since(moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_us(1_700_000_000_000_000).after(Duration::from_secs(seconds))
    }

    fn fetched_at_zero() -> KeySchedule {
        let mut schedule = KeySchedule::default();
        schedule.handle_attempt(at(0));
        schedule.handle_success(at(0));
        schedule
    }

    #[test]
    fn keys_are_fetched_on_first_use_and_then_by_age() {
        assert_eq!(KeySchedule::default().decide(Need::Missing, at(0)), Decision::Fetch);
        let schedule = fetched_at_zero();
        for (seconds, decision) in [
            (1, Decision::Serve),
            (299, Decision::Serve),
            (300, Decision::ServeAndFetch),
            (3_599, Decision::ServeAndFetch),
            (3_600, Decision::Fetch),
        ] {
            assert_eq!(schedule.decide(Need::Known, at(seconds)), decision, "{seconds} s");
        }
    }

    #[test]
    fn unknown_keys_cannot_hammer_the_issuer() {
        let mut schedule = KeySchedule::default();
        let mut attempts = 0;
        for second in 0..600 {
            if schedule.decide(Need::Missing, at(second)) == Decision::Fetch {
                attempts += 1;
                schedule.handle_attempt(at(second));
                schedule.handle_success(at(second));
            }
        }
        assert_eq!(attempts, 60);
    }

    #[test]
    fn an_attempt_that_never_returns_counts() {
        let mut schedule = KeySchedule::default();
        schedule.handle_attempt(at(0));
        assert_eq!(schedule.decide(Need::Missing, at(9)), Decision::Refuse);
        assert_eq!(schedule.decide(Need::Missing, at(10)), Decision::Fetch);
    }

    #[test]
    fn failures_back_off_to_a_minute_and_known_keys_keep_serving() {
        for jitter in [0, 128, 255] {
            let mut schedule = fetched_at_zero();
            let (mut attempts, mut last) = (0, 0);
            for second in 4_000..4_600 {
                match schedule.decide(Need::Known, at(second)) {
                    Decision::Serve => {}
                    Decision::Fetch => {
                        assert!(second - last <= 60 || attempts == 0);
                        attempts += 1;
                        last = second;
                        schedule.handle_attempt(at(second));
                        schedule.handle_failure(jitter);
                    }
                    other => panic!("{other:?} at {second} s"),
                }
            }
            assert!((12..=26).contains(&attempts), "{attempts} attempts with jitter {jitter}");
            assert!(schedule.is_failing());
            schedule.handle_success(at(4_600));
            assert!(!schedule.is_failing());
        }
    }

    #[test]
    fn jitter_spreads_over_half_of_the_pause() {
        let pause = |jitter| {
            let mut schedule = KeySchedule::default();
            schedule.handle_attempt(at(0));
            schedule.handle_failure(jitter);
            schedule.retry_in(at(0))
        };
        assert_eq!(pause(0), Duration::from_secs(2));
        assert_eq!(pause(255), Duration::from_secs(1));
    }

    #[test]
    fn a_clock_set_back_does_not_stop_refreshing() {
        let mut schedule = KeySchedule::default();
        schedule.handle_attempt(at(10_000));
        schedule.handle_success(at(10_000));
        assert_eq!(schedule.decide(Need::Missing, at(0)), Decision::Fetch);
        schedule.handle_attempt(at(0));
        assert_eq!(schedule.decide(Need::Missing, at(1)), Decision::Refuse);
    }
}
