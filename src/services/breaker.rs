#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The circuit breaker: a pure decision whether a service is asked at all. A
//! service that fails half of its calls is left alone for a while; then one call
//! tries whether it is back.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;

/// The outcomes that count: this many, the newest.
pub const BREAKER_WINDOW: usize = 20;
/// Fewest outcomes on which a service is judged. Raising it lets more calls wait
/// for their time-out before a dead service is left alone.
pub const BREAKER_CALLS_MIN: usize = 5;
/// How long a service is left alone. Raising it makes a recovery be noticed
/// later.
pub const BREAKER_OPEN_FOR: Duration = Duration::from_secs(30);
/// Age at which an outcome says nothing about the service any more.
const OUTCOME_VALID_FOR: Duration = Duration::from_mins(2);

named_values!(
    /// Whether a service is asked.
    BreakerState {
        /// It is.
        Closed => "closed",
        /// It is not, because it failed.
        Open => "open",
        /// One call tries whether it is back.
        HalfOpen => "half_open",
    }
);

/// The right to make one call. Its outcome is to be reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    /// How often the breaker had changed its state when it was given.
    generation: u64,
}

/// The answer to the question whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Allowed(Permit),
    /// It may not, for this long.
    Refused(Duration),
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    Closed,
    Open { since: Timestamp },
    HalfOpen { tried_at: Timestamp },
}

/// The breaker of one service.
#[derive(Debug, Clone)]
pub struct Breaker {
    mode: Mode,
    generation: u64,
    outcomes: VecDeque<(Timestamp, bool)>,
}

impl Default for Breaker {
    /// A breaker that knows nothing bad.
    fn default() -> Self {
        Self { mode: Mode::Closed, generation: 0, outcomes: VecDeque::new() }
    }
}

impl Breaker {
    /// Whether a call may be made now.
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        let since = match self.mode {
            Mode::Closed => return Admission::Allowed(self.permit()),
            // A trial that was never reported counts as one that failed.
            Mode::Open { since } | Mode::HalfOpen { tried_at: since } => since,
        };
        // After the clock was set back, the moment may seem to lie ahead.
        let waited = if since > now { BREAKER_OPEN_FOR } else { now.since(since) };
        if waited < BREAKER_OPEN_FOR {
            return Admission::Refused(BREAKER_OPEN_FOR.saturating_sub(waited));
        }
        self.turn(Mode::HalfOpen { tried_at: now });
        Admission::Allowed(self.permit())
    }

    /// The call of `permit` was answered, or failed for a reason that lies with
    /// the service. Outcomes of calls from before the last change are old news.
    pub fn handle_outcome(&mut self, permit: Permit, succeeded: bool, now: Timestamp) {
        if permit.generation != self.generation {
            return;
        }
        match self.mode {
            Mode::Open { .. } => {}
            Mode::HalfOpen { .. } if succeeded => self.turn(Mode::Closed),
            Mode::HalfOpen { .. } => self.turn(Mode::Open { since: now }),
            Mode::Closed => {
                self.outcomes.retain(|(at, _)| *at <= now && now.since(*at) < OUTCOME_VALID_FOR);
                if self.outcomes.len() >= BREAKER_WINDOW {
                    self.outcomes.pop_front();
                }
                self.outcomes.push_back((now, succeeded));
                let failed = self.outcomes.iter().filter(|(_, succeeded)| !succeeded).count();
                let judged = self.outcomes.len() >= BREAKER_CALLS_MIN;
                if judged && failed * 2 >= self.outcomes.len() {
                    self.turn(Mode::Open { since: now });
                }
            }
        }
    }

    /// Its state, as the last call left it.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.mode {
            Mode::Closed => BreakerState::Closed,
            Mode::Open { .. } => BreakerState::Open,
            Mode::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    const fn permit(&self) -> Permit {
        Permit { generation: self.generation }
    }

    fn turn(&mut self, mode: Mode) {
        self.mode = mode;
        self.generation = self.generation.wrapping_add(1);
        self.outcomes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_us(1_700_000_000_000_000).after(Duration::from_millis(ms))
    }

    fn permit(breaker: &mut Breaker, now: Timestamp) -> Permit {
        match breaker.admit(now) {
            Admission::Allowed(permit) => permit,
            Admission::Refused(wait) => panic!("refused for {wait:?}"),
        }
    }

    fn call(breaker: &mut Breaker, succeeded: bool, now: Timestamp) {
        let permit = permit(breaker, now);
        breaker.handle_outcome(permit, succeeded, now);
    }

    fn open(breaker: &mut Breaker, now: Timestamp) {
        for _ in 0..BREAKER_CALLS_MIN {
            call(breaker, false, now);
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn it_opens_at_half_of_the_calls_and_not_below() {
        let mut breaker = Breaker::default();
        for number in 0..1_000 {
            call(&mut breaker, number % 20 < 11, at(number));
            // Of any 20 calls in a row 9 fail, but runs of failures are judged too.
            if breaker.state() == BreakerState::Open {
                break;
            }
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "45 % of errors");
        let mut breaker = Breaker::default();
        let mut calls = 0;
        while breaker.state() == BreakerState::Closed {
            call(&mut breaker, calls % 2 == 0, at(calls));
            calls += 1;
        }
        assert!(calls <= 6, "50 % of errors opened it after {calls} calls");
    }

    #[test]
    fn a_few_calls_are_no_judgement() {
        let mut breaker = Breaker::default();
        for number in 1..BREAKER_CALLS_MIN {
            call(&mut breaker, false, at(number as u64));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(&mut breaker, true, at(200_000));
        call(&mut breaker, false, at(200_001));
        assert_eq!(breaker.state(), BreakerState::Closed, "old failures are forgotten");
    }

    #[test]
    fn after_thirty_seconds_one_call_tries_whether_the_service_is_back() {
        let mut breaker = Breaker::default();
        open(&mut breaker, at(0));
        assert_eq!(breaker.admit(at(0)), Admission::Refused(Duration::from_secs(30)));
        assert_eq!(breaker.admit(at(29_999)), Admission::Refused(Duration::from_millis(1)));
        let trial = permit(&mut breaker, at(30_000));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(matches!(breaker.admit(at(30_001)), Admission::Refused(_)), "one at a time");
        breaker.handle_outcome(trial, false, at(31_000));
        assert_eq!(breaker.admit(at(31_000)), Admission::Refused(Duration::from_secs(30)));
        let trial = permit(&mut breaker, at(61_000));
        breaker.handle_outcome(trial, true, at(61_500));
        assert_eq!(breaker.state(), BreakerState::Closed);
        call(&mut breaker, false, at(61_501));
        assert_eq!(breaker.state(), BreakerState::Closed, "it is judged anew");
    }

    #[test]
    fn a_trial_that_is_never_reported_gives_way_to_another() {
        let mut breaker = Breaker::default();
        open(&mut breaker, at(0));
        let lost = permit(&mut breaker, at(30_000));
        let trial = permit(&mut breaker, at(60_000));
        breaker.handle_outcome(lost, true, at(60_001));
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "the lost one is old news");
        breaker.handle_outcome(trial, true, at(60_002));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn calls_from_before_it_opened_say_nothing() {
        let mut breaker = Breaker::default();
        let slow = permit(&mut breaker, at(0));
        open(&mut breaker, at(1));
        breaker.handle_outcome(slow, true, at(2));
        assert_eq!(breaker.state(), BreakerState::Open);
        let trial = permit(&mut breaker, at(40_000));
        breaker.handle_outcome(slow, false, at(40_001));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.handle_outcome(trial, true, at(40_002));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let mut breaker = Breaker::default();
        open(&mut breaker, at(3_600_000));
        permit(&mut breaker, at(0));
    }
}
