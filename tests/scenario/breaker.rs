//! What the circuit breaker does about a service that fails a share of its calls for a while,
//! measured in virtual time: how many calls reach it, when it is left alone, and how soon its
//! recovery is noticed. `cargo nextest run --test scenario -E 'test(breaker)' --no-capture` prints
//! the figures.

use std::time::Duration;

use cabildo::domain::time::Timestamp;
use cabildo::services::{Admission, BREAKER_OPEN_FOR, BREAKER_WINDOW, Breaker, BreakerState};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// Runs with each share of errors.
const RUNS: u64 = 200;
/// Calls come this often, each answered at once: 20 a second.
const CALL_EVERY: Duration = Duration::from_millis(50);
/// How long the service fails, and how long it is then well.
const FAILS_FOR: Duration = Duration::from_mins(10);
const WELL_FOR: Duration = Duration::from_mins(2);

/// What one run came to.
struct Run {
    /// Calls until it was left alone for the first time; all of them if it never was.
    calls_until_open: usize,
    /// Share of the calls that reached the service while it failed.
    passed: f64,
    /// How long after its recovery every call was let through; `None` if that never was.
    closed_after: Option<Duration>,
}

fn run(seed: u64, errors: f64) -> Run {
    let mut random = StdRng::seed_from_u64(seed);
    let mut breaker = Breaker::default();
    let begin = Timestamp::from_unix_us(1_700_000_000_000_000);
    let (mut calls, mut passed, mut opened) = (0_u32, 0_u32, None);
    let mut closed_after = None;
    let mut elapsed = Duration::ZERO;
    while elapsed < FAILS_FOR + WELL_FOR {
        let now = begin.after(elapsed);
        let fails = elapsed < FAILS_FOR;
        let admission = breaker.admit(now);
        if let Admission::Allowed(permit) = admission {
            breaker.handle_outcome(permit, !(fails && random.random_bool(errors)), now);
        }
        if fails {
            calls += 1;
            passed += u32::from(matches!(admission, Admission::Allowed(_)));
            if breaker.state() == BreakerState::Open {
                opened.get_or_insert(passed as usize);
            }
        } else if breaker.state() == BreakerState::Closed {
            closed_after.get_or_insert(elapsed.checked_sub(FAILS_FOR).expect("it is over"));
        }
        elapsed += CALL_EVERY;
    }
    Run {
        calls_until_open: opened.unwrap_or(passed as usize),
        passed: f64::from(passed) / f64::from(calls),
        closed_after,
    }
}

/// What all runs with a share of errors came to.
struct Figures {
    calls_until_open: [usize; 2],
    passed: f64,
    closed_after_max: Duration,
}

#[expect(clippy::cast_precision_loss, reason = "there are few runs")]
fn figures(errors: f64) -> Figures {
    let runs: Vec<Run> = (0..RUNS).map(|seed| run(seed, errors)).collect();
    let mut calls: Vec<usize> = runs.iter().map(|run| run.calls_until_open).collect();
    calls.sort_unstable();
    let closed = runs.iter().map(|run| run.closed_after.expect("it closes once all is well"));
    Figures {
        calls_until_open: [calls[calls.len() / 2], calls[calls.len() - 1]],
        passed: runs.iter().map(|run| run.passed).sum::<f64>() / runs.len() as f64,
        closed_after_max: closed.max().expect("there were runs"),
    }
}

#[expect(clippy::print_stderr, reason = "what was measured belongs to the test's output")]
fn tell(errors: f64, figures: &Figures) {
    let Figures { calls_until_open: [median, most], passed, closed_after_max } = figures;
    eprintln!(
        "{:3.0} % errors: {median} calls until it is left alone (median; at most {most}), {:.1} % \
         of the calls reach it, all of them again {:.2} s after its recovery at the latest",
        errors * 100.0,
        passed * 100.0,
        closed_after_max.as_secs_f64(),
    );
}

#[test]
fn a_service_that_fails_half_of_its_calls_is_left_alone_and_found_again() {
    for errors in [0.0, 0.05, 0.1, 0.25, 0.4, 0.5, 0.6, 1.0] {
        let figures = figures(errors);
        tell(errors, &figures);
        let [median, most] = figures.calls_until_open;
        // A trial comes when the time is over, so with the first call after it.
        assert!(figures.closed_after_max <= BREAKER_OPEN_FOR + CALL_EVERY, "{errors}");
        if errors == 0.0 {
            assert!((figures.passed - 1.0).abs() < f64::EPSILON, "it was left alone while well");
        }
        if errors >= 0.5 {
            assert!(
                median <= BREAKER_WINDOW / 2,
                "{errors}: {median} calls until it is left alone"
            );
            assert!(most <= 5 * BREAKER_WINDOW, "{errors}: {most} calls until it is left alone");
            assert!(figures.passed < 0.03, "{errors}: {} of the calls pass", figures.passed);
        }
    }
}
