//! Clocks. Drivers and interfaces read them and pass the time to engines.

mod age;
mod kept;
#[cfg(test)]
mod machine;
mod used;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::domain::time::Timestamp;

pub use self::age::AgeClock;
pub use self::kept::{Earlier, Host, NotedClock, QUIET_MAX};
pub use self::used::{UseClock, UseTime};

/// The source of the time for drivers and interfaces.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let span = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix_us(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
        }))
    }

    /// A clock that calls `read`, for tests in virtual time.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Time since the machine was started. It continues while the machine or this process is suspended,
/// so that a process that resumes finds that its leases ran out.
#[derive(Clone)]
pub struct BootClock(Arc<dyn Fn() -> Duration + Send + Sync>);

impl BootClock {
    /// The clock of the machine: `CLOCK_BOOTTIME` on Linux.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            #[cfg(target_os = "linux")]
            let clock = rustix::time::ClockId::Boottime;
            #[cfg(not(target_os = "linux"))]
            let clock = rustix::time::ClockId::Monotonic;
            let time = rustix::time::clock_gettime(clock);
            Duration::new(
                u64::try_from(time.tv_sec).unwrap_or_default(),
                u32::try_from(time.tv_nsec).unwrap_or_default(),
            )
        }))
    }

    /// A clock that calls `read`, for tests in virtual time.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time since the start of the machine.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.0)()
    }
}

impl fmt::Debug for BootClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BootClock")
    }
}

/// Differences that are followed at once. Clocks that are kept by NTP are corrected by less, so only
/// a clock that is set counts as a step.
const STEP_MIN_US: i64 = 1_000_000;

/// The time of the machine's clock as if nobody had set it: when the wall clock is set forward or
/// back by a second or more, this one continues as before, until [`Self::follow`]. Time spans of
/// meetings are counted by it. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct SteadyClock(Arc<Steady>);

#[derive(Debug)]
struct Steady {
    wall: Clock,
    boot: BootClock,
    reading: Mutex<Reading>,
}

/// What both clocks showed last.
#[derive(Debug)]
struct Reading {
    wall_us: i64,
    boot: Duration,
    /// By how much the wall clock was set forward in all, in microseconds; negative when back.
    ahead_us: i64,
}

impl SteadyClock {
    /// Starts with the time of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Clock::system(), BootClock::system())
    }

    /// Starts with the time of `wall` and counts by `boot`.
    #[must_use]
    pub fn new(wall: Clock, boot: BootClock) -> Self {
        let reading = Reading { wall_us: wall.now().unix_us(), boot: boot.now(), ahead_us: 0 };
        Self(Arc::new(Steady { wall, boot, reading: Mutex::new(reading) }))
    }

    /// This clock, as parts take it.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let steady = Arc::clone(&self.0);
        Clock::from_fn(move || {
            steady.read(|reading| Timestamp::from_unix_us(reading.wall_us - reading.ahead_us))
        })
    }

    /// The clock that may be set.
    #[must_use]
    pub fn wall(&self) -> Clock {
        self.0.wall.clone()
    }

    /// The clock by which it counts.
    fn boot(&self) -> BootClock {
        self.0.boot.clone()
    }

    /// By how many microseconds the wall clock is ahead of this one because it was set; negative
    /// when it was set back.
    #[must_use]
    pub fn ahead_us(&self) -> i64 {
        self.0.read(|reading| reading.ahead_us)
    }

    /// Takes on the time of the wall clock, however it was set.
    pub fn follow(&self) {
        self.0.read(|reading| reading.ahead_us = 0);
    }
}

impl Steady {
    /// Reads both clocks and passes what they showed to `then`.
    fn read<T>(&self, then: impl FnOnce(&mut Reading) -> T) -> T {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (wall_us, boot) = (self.wall.now().unix_us(), self.boot.now());
        let elapsed = boot.saturating_sub(reading.boot).as_micros();
        let elapsed_us = i64::try_from(elapsed).unwrap_or(i64::MAX);
        let expected_us = reading.wall_us.saturating_add(elapsed_us);
        let by_us = wall_us.saturating_sub(expected_us);
        if by_us.saturating_abs() >= STEP_MIN_US {
            reading.ahead_us = reading.ahead_us.saturating_add(by_us);
        }
        reading.wall_us = wall_us;
        reading.boot = boot;
        then(&mut reading)
    }
}

#[cfg(test)]
mod tests {
    use super::machine::Machine;
    use super::*;

    fn now_us(clock: &SteadyClock) -> i64 {
        clock.clock().now().unix_us()
    }

    #[test]
    fn a_clock_that_is_set_changes_no_time_span() {
        for by_us in [300_000_000, -300_000_000, 1_000_000, -1_000_000] {
            let machine = Machine::new(1_000_000_000);
            let clock = machine.clock();
            machine.pass(10_000);
            machine.set(by_us);
            assert_eq!(now_us(&clock), 1_000_010_000, "{by_us}");
            machine.pass(20_000);
            assert_eq!(now_us(&clock), 1_000_030_000, "{by_us}");
            assert_eq!(clock.ahead_us(), by_us);
            assert_eq!(clock.wall().now().unix_us(), 1_000_030_000 + by_us);
        }
    }

    #[test]
    fn steps_add_up_until_they_are_followed() {
        let machine = Machine::new(1_000_000_000);
        let clock = machine.clock();
        machine.set(5_000_000);
        assert_eq!(clock.ahead_us(), 5_000_000);
        machine.set(-2_000_000);
        assert_eq!(clock.ahead_us(), 3_000_000);
        clock.follow();
        assert_eq!((clock.ahead_us(), now_us(&clock)), (0, 1_003_000_000));
    }

    #[test]
    fn small_corrections_are_followed() {
        let machine = Machine::new(1_000_000_000);
        let clock = machine.clock();
        machine.set(999_999);
        assert_eq!(now_us(&clock), 1_000_999_999);
        machine.set(-600_000);
        assert_eq!((now_us(&clock), clock.ahead_us()), (1_000_399_999, 0));
    }

    #[test]
    fn the_clock_of_the_machine_does_not_go_backwards() {
        let clock = BootClock::system();
        let before = clock.now();
        assert!(clock.now() >= before && before > Duration::ZERO);
    }
}
