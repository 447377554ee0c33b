#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! When the issuer is asked for its keys again: a pure decision. Everything
//! is counted from the start of the last attempt, so that an attempt that
//! never comes back counts as one.

use std::time::Duration;

use crate::domain::backoff::Backoff;
use crate::domain::time::Timestamp;

/// Age at which keys are fetched again beside serving with them. Lowering it
/// asks the issuer more often.
pub(super) const FRESH_FOR: Duration = Duration::from_mins(5);
/// Age at which callers wait for the refresh: how long a key that the issuer
/// has withdrawn can still be taken, while the issuer answers.
pub(super) const WAIT_AFTER: Duration = Duration::from_hours(1);
/// Least time between two attempts, whatever key ids unauthenticated callers send. Raising it makes
/// tokens of a new key wait longer.
pub(super) const ATTEMPT_INTERVAL_MIN: Duration = Duration::from_secs(10);
/// First pause after a failure; doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_secs(2);
/// Longest pause between attempts while the issuer fails: how late we may
/// notice that it is back.
const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// What the caller needs a key for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// The key is in the set.
    Known,
    /// There is no set yet, or it lacks the key.
    Missing,
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// Use the set as it is.
    Serve,
    /// Use the set as it is and start a fetch beside.
    ServeAndFetch,
    /// Fetch, wait for the outcome, then use what there is.
    Fetch,
    /// Do not ask the issuer now; there is no set to use either.
    Refuse,
}

/// The state behind the decision.
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
    /// Decides what a caller with this need does.
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

    /// Whether the last attempt failed, so that a missing key says nothing
    /// about the token that names it.
    pub(super) const fn is_failing(&self) -> bool {
        self.backoff.failures() > 0
    }

    /// Time until the next attempt is allowed.
    pub(super) fn retry_in(&self, now: Timestamp) -> Duration {
        elapsed(self.attempted_at, now)
            .map_or(Duration::ZERO, |span| self.pause.saturating_sub(span))
    }

    /// An attempt starts.
    pub(super) fn handle_attempt(&mut self, now: Timestamp) {
        self.attempted_at = Some(now);
        self.pause = ATTEMPT_INTERVAL_MIN;
    }

    /// The attempt started at `started_at` brought keys.
    pub(super) fn handle_success(&mut self, started_at: Timestamp) {
        self.fetched_at = Some(started_at);
        self.backoff.reset();
        self.pause = ATTEMPT_INTERVAL_MIN;
    }

    /// The attempt failed. `drawn` is random over its whole range and spreads
    /// instances that failed together over half of the pause.
    pub(super) fn handle_failure(&mut self, drawn: u8) {
        self.pause = self.backoff.next(drawn);
    }
}

/// Time since `moment`; `None` when there was none, or when the clock was set
/// back since, so that nothing waits for it to catch up.
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
