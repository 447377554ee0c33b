//! The time by which it is judged whether something was kept for long enough to be deleted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{BootClock, Clock, SteadyClock};
use crate::domain::time::Timestamp;

/// By how much a clock may be set forward at once and is still believed. Clocks that are kept by NTP
/// are corrected by less. Raising it lets a wrong clock delete what is that much too young.
const BELIEVED: Duration = Duration::from_mins(1);
/// For how long a clock that was set forward must stand before things grow old by it. Raising it keeps
/// what should be deleted for longer; lowering it leaves operators less time to set it right.
const STANDS_AFTER: Duration = Duration::from_hours(24);
/// For how long it must stand when the process starts with it: that the machine was switched off
/// explains it as well. Shorter than a day, so that it is believed where servers are started again each night.
const STANDS_AT_START: Duration = Duration::from_hours(6);
/// How far the clock may be ahead of the last known time when the process starts, and is believed: a
/// machine may be switched off over a long weekend.
const AWAY: Duration = Duration::from_hours(4 * 24);

/// The earlier of the machine's time and the time as if nobody had set the clock forward. What is
/// deleted for its age is lost for good, so it grows old by this one: it takes on a time that the clock was
/// set to once that has stood for a day (six hours when the process starts with it), and at once when the
/// clock is set back. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct AgeClock(Arc<Ages>);

/// A clock that may be set, and the time as if nobody had set it forward by much.
#[derive(Debug)]
pub(super) struct Ages {
    wall: Clock,
    boot: BootClock,
    /// By how much it may be set forward at once and is still believed.
    believed: Duration,
    /// For how long one that was set forward by more must stand before it is believed.
    stands_after: Duration,
    reading: Mutex<Reading>,
}

/// What an [`Ages`] shows.
pub(super) struct Shown {
    /// The time that is believed.
    pub(super) believed_us: i64,
    /// That of the clock that may be set.
    pub(super) wall_us: i64,
    /// The time since the start of the machine.
    pub(super) boot: Duration,
}

/// What both clocks showed last. Offsets are the wall clock's lead over the time since the start of
/// the machine, in microseconds.
#[derive(Debug)]
struct Reading {
    /// The one that is believed.
    offset_us: i64,
    /// The one to which the clock was set forward, and when it is believed, by the time since the
    /// start of the machine.
    doubted: Option<(i64, Duration)>,
}

impl AgeClock {
    /// Starts with the time of the machine, unless that is far ahead of `known`, which is the last time
    /// that this one showed in an earlier process.
    #[must_use]
    pub fn new(steady: &SteadyClock, known: Option<Timestamp>) -> Self {
        let ages = Ages::new((steady.wall(), steady.boot()), BELIEVED, STANDS_AFTER);
        let shown = ages.read();
        let known_us = known.map(Timestamp::unix_us);
        let is_far = |known_us: &i64| shown.wall_us.saturating_sub(*known_us) > us_of(AWAY);
        if let Some(known_us) = known_us.filter(is_far) {
            let boot_us = us_of(shown.boot);
            *ages.lock() = Reading {
                offset_us: known_us.saturating_sub(boot_us),
                doubted: Some((
                    shown.wall_us.saturating_sub(boot_us),
                    shown.boot.saturating_add(STANDS_AT_START),
                )),
            };
        }
        Self(Arc::new(ages))
    }

    /// The time by which things grow old.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_unix_us(self.0.read().believed_us)
    }

    /// This clock, as parts take it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let ages = Arc::clone(&self.0);
        Clock::from_fn(move || Timestamp::from_unix_us(ages.read().believed_us))
    }

    /// By how much the machine's clock is ahead of this one, since it is not believed yet; `None` when
    /// it is.
    #[must_use]
    pub fn doubted(&self) -> Option<Duration> {
        let shown = self.0.read();
        let ahead_us = shown.wall_us.saturating_sub(shown.believed_us);
        (ahead_us > 0).then(|| Duration::from_micros(ahead_us.unsigned_abs()))
    }
}

impl Ages {
    /// Believes the first clock as it is now, and counts by the other one.
    pub(super) fn new(
        (wall, boot): (Clock, BootClock),
        believed: Duration,
        stands_after: Duration,
    ) -> Self {
        // Read one after the other, as in `read`.
        let wall_us = wall.now().unix_us();
        let offset_us = wall_us.saturating_sub(us_of(boot.now()));
        let reading = Mutex::new(Reading { offset_us, doubted: None });
        Self { wall, boot, believed, stands_after, reading }
    }

    /// Reads both clocks.
    pub(super) fn read(&self) -> Shown {
        let mut reading = self.lock();
        let (wall_us, boot) = (self.wall.now().unix_us(), self.boot.now());
        let boot_us = us_of(boot);
        let offset_us = wall_us.saturating_sub(boot_us);
        let by_us = offset_us.saturating_sub(reading.offset_us);
        if by_us <= us_of(self.believed) {
            *reading = Reading { offset_us, doubted: None };
        } else {
            let is_same = |doubted_us: i64| {
                offset_us.saturating_sub(doubted_us).saturating_abs() <= us_of(self.believed)
            };
            match reading.doubted {
                Some((doubted_us, believed_at)) if is_same(doubted_us) => {
                    if boot >= believed_at {
                        *reading = Reading { offset_us, doubted: None };
                    }
                }
                _ => reading.doubted = Some((offset_us, boot.saturating_add(self.stands_after))),
            }
        }
        Shown { believed_us: boot_us.saturating_add(reading.offset_us), wall_us, boot }
    }

    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn us_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::machine::Machine;

    const HOUR_US: i64 = 3_600_000_000;

    /// A machine that was just started.
    fn started() -> Machine {
        Machine::new(1_000 * HOUR_US)
    }

    fn clock_of(machine: &Machine, known_us: Option<i64>) -> AgeClock {
        AgeClock::new(&machine.clock(), known_us.map(Timestamp::from_unix_us))
    }

    fn now_us(clock: &AgeClock) -> i64 {
        clock.now().unix_us()
    }

    #[test]
    fn nothing_grows_old_by_a_clock_that_was_set_forward_until_it_has_stood_for_a_day() {
        let machine = started();
        let clock = clock_of(&machine, None);
        machine.pass(HOUR_US);
        machine.set(720 * HOUR_US);
        assert_eq!(now_us(&clock), 1_001 * HOUR_US);
        assert_eq!(clock.doubted(), Some(Duration::from_hours(720)));
        machine.pass(23 * HOUR_US);
        assert_eq!(now_us(&clock), 1_024 * HOUR_US, "time goes on meanwhile");
        machine.pass(HOUR_US);
        assert_eq!((now_us(&clock), clock.doubted()), (machine.wall_us(), None));
    }

    #[test]
    fn a_clock_that_is_set_right_again_changed_nothing() {
        let machine = started();
        let clock = clock_of(&machine, None);
        machine.set(2 * HOUR_US);
        assert_eq!(now_us(&clock), 1_000 * HOUR_US);
        machine.pass(23 * HOUR_US);
        machine.set(-2 * HOUR_US);
        assert_eq!((now_us(&clock), clock.doubted()), (machine.wall_us(), None));
        machine.pass(2 * HOUR_US);
        assert_eq!(now_us(&clock), machine.wall_us());
    }

    #[test]
    fn a_clock_that_is_set_anew_has_to_stand_anew() {
        let machine = started();
        let clock = clock_of(&machine, None);
        machine.set(2 * HOUR_US);
        assert_eq!(now_us(&clock), 1_000 * HOUR_US);
        machine.pass(20 * HOUR_US);
        machine.set(HOUR_US);
        assert_eq!(now_us(&clock), 1_020 * HOUR_US);
        machine.pass(20 * HOUR_US);
        assert_eq!(now_us(&clock), 1_040 * HOUR_US);
        machine.pass(4 * HOUR_US);
        assert_eq!(now_us(&clock), machine.wall_us());
    }

    #[test]
    fn a_clock_that_is_set_back_or_corrected_a_little_is_believed_at_once() {
        let machine = started();
        let clock = clock_of(&machine, None);
        for by_us in [-500 * HOUR_US, 60_000_000, -1] {
            machine.set(by_us);
            assert_eq!((now_us(&clock), clock.doubted()), (machine.wall_us(), None), "{by_us}");
        }
    }

    #[test]
    fn a_process_that_starts_far_ahead_of_what_is_known_does_not_believe_it_either() {
        let machine = started();
        for (known_us, is_believed) in [
            (None, true),
            (Some(machine.wall_us() + HOUR_US), true),
            (Some(machine.wall_us() - 96 * HOUR_US), true),
            (Some(machine.wall_us() - 97 * HOUR_US), false),
        ] {
            let clock = clock_of(&machine, known_us);
            assert_eq!(clock.doubted().is_none(), is_believed, "{known_us:?}");
            if let Some(known_us) = known_us.filter(|_| !is_believed) {
                assert_eq!(now_us(&clock), known_us);
                machine.pass(6 * HOUR_US - 1);
                assert!(clock.doubted().is_some());
                machine.pass(1);
                assert_eq!(now_us(&clock), machine.wall_us(), "it stood for six hours");
            }
        }
    }
}
