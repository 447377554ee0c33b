//! The time by which it is judged whether something is still used.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SteadyClock;
use crate::clock::age::Ages;
use crate::domain::time::Timestamp;

/// By how much a clock may be set forward at once and is still believed: more would end what is used all the
/// time. Clocks that are kept by NTP are corrected by less.
const BELIEVED: Duration = Duration::from_secs(1);

/// The clock of what ends when it is not used. When the clock of meetings is set forward (it takes on the time
/// of the machine while no session is open), things end by the time as if it had not been for as long as they last
/// without being used: meanwhile whoever uses them notes so by the new time. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct UseClock(Arc<Ages>);

/// What it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UseTime {
    /// The time of the clock of meetings: what is noted.
    pub now: Timestamp,
    /// The time by which it is judged whether something has ended.
    pub judged: Timestamp,
    /// The time since the start of the machine, which nobody sets.
    pub counted: Duration,
}

impl UseClock {
    /// Starts with the time of the clock of meetings, for what lasts so long without being used.
    #[must_use]
    pub fn new(steady: &SteadyClock, lasts: Duration) -> Self {
        Self(Arc::new(Ages::new((steady.clock(), steady.boot()), BELIEVED, lasts)))
    }

    /// What it shows now.
    #[must_use]
    pub fn read(&self) -> UseTime {
        let shown = self.0.read();
        UseTime {
            now: Timestamp::from_unix_us(shown.wall_us),
            judged: Timestamp::from_unix_us(shown.believed_us),
            counted: shown.boot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::machine::Machine;

    const S: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * S;
    const START: i64 = 100_000 * HOUR;

    /// What is shown and judged, after the start.
    fn read(clock: &UseClock) -> (i64, i64) {
        let time = clock.read();
        (time.now.unix_us() - START, time.judged.unix_us() - START)
    }

    #[test]
    fn what_is_used_has_as_long_as_it_lasts_to_note_so_by_a_clock_that_was_set_forward() {
        let machine = Machine::new(START);
        let steady = machine.clock();
        let clock = UseClock::new(&steady, Duration::from_mins(1));
        machine.set(HOUR);
        assert_eq!(read(&clock), (0, 0), "as long as a session is open, its time goes on");
        steady.follow();
        let before = clock.read();
        assert_eq!(read(&clock), (HOUR, 0));
        machine.pass(59 * S);
        assert_eq!(read(&clock), (HOUR + 59 * S, 59 * S));
        machine.pass(S);
        assert_eq!(read(&clock), (HOUR + 60 * S, HOUR + 60 * S));
        assert_eq!(clock.read().counted, before.counted + Duration::from_mins(1));
    }

    #[test]
    fn a_clock_that_is_set_forward_anew_is_doubted_anew() {
        let machine = Machine::new(START);
        let steady = machine.clock();
        let clock = UseClock::new(&steady, Duration::from_mins(1));
        for seconds in [0, 50] {
            machine.pass(seconds * S);
            machine.set(2 * S);
            assert_eq!(steady.ahead_us(), 2 * S);
            steady.follow();
            let (now, judged) = read(&clock);
            assert_ne!(now, judged, "{seconds}");
        }
        machine.pass(59 * S);
        assert_eq!(read(&clock), (113 * S, 109 * S));
        machine.pass(S);
        assert_eq!(read(&clock), (114 * S, 114 * S));
    }

    #[test]
    fn a_clock_that_is_set_back_or_corrected_a_little_is_followed_at_once() {
        let machine = Machine::new(START);
        let steady = machine.clock();
        let clock = UseClock::new(&steady, Duration::from_mins(1));
        for by_us in [S / 2, -HOUR, -5 * S] {
            machine.set(by_us);
            assert_eq!(steady.ahead_us(), if by_us.abs() < S { 0 } else { by_us });
            steady.follow();
            let (now, judged) = read(&clock);
            assert_eq!(now, judged, "{by_us}");
        }
    }
}
