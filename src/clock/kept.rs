//! The clock of meetings across processes: what one noted, and how the next one goes on from it.

use std::time::Duration;

use crate::clock::{STEP_MIN_US, SteadyClock};
use crate::domain::time::Timestamp;

/// For how long nothing may have happened in an open session for which the clock of meetings keeps its
/// time: one that was forgotten must not keep a wrong time for ever. Raising it keeps the time for longer after
/// a step; lowering it lets the time of a session change that goes on after a pause of days.
pub const QUIET_MAX: Duration = Duration::from_hours(7 * 24);

/// Where a process runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name of the machine.
    pub name: String,
    /// Identifies the start of the machine from which the time since its start is counted; empty where that
    /// is not known.
    pub boot: String,
}

impl Host {
    /// The machine on which this process runs.
    #[must_use]
    pub fn own() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        // Without it, what an earlier process noted counts as from before the machine was started.
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { name, boot: boot.trim().to_owned() }
    }
}

/// What the clocks of a machine showed, for the next process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedClock {
    /// The wall clock.
    pub wall: Timestamp,
    /// The time since the start of the machine, in microseconds.
    pub boot_us: i64,
    /// By how much the wall clock was ahead of the clock of meetings, in microseconds; negative when it
    /// was behind.
    pub ahead_us: i64,
}

/// How an earlier process left the clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Earlier {
    /// What it noted.
    pub noted: NotedClock,
    /// Whether the machine has not been started again since.
    pub is_same_boot: bool,
}

impl SteadyClock {
    /// What both clocks show, for the next process.
    #[must_use]
    pub fn noted(&self) -> NotedClock {
        self.0.read(|reading| NotedClock {
            wall: Timestamp::from_unix_us(reading.wall_us),
            boot_us: us_of(reading.boot),
            ahead_us: reading.ahead_us,
        })
    }

    /// Goes on with the time that sessions have which an earlier process had and that are still open;
    /// `newest` is the last time that any of them has. Without one the time is that of the machine.
    pub fn go_on(&self, earlier: Option<Earlier>, newest: Option<Timestamp>) {
        let now = self.noted();
        let ahead_us = newest.map_or(0, |newest| ahead_us(&now, earlier, newest));
        self.0.read(|reading| reading.ahead_us = ahead_us);
    }
}

/// By how much the wall clock is ahead of the time of the sessions that are open.
///
/// As long as the machine was not started again, it is known: the clock that counts from its start tells by how much the
/// wall clock was set meanwhile. Afterwards it may have been set right or not. Then that of two times is right
/// which is not before `newest`, and the nearer one of both if they aren't.
fn ahead_us(now: &NotedClock, earlier: Option<Earlier>, newest: Timestamp) -> i64 {
    let gap_us = |ahead_us: i64| {
        now.wall.unix_us().saturating_sub(ahead_us).saturating_sub(newest.unix_us())
    };
    // Clocks of several machines are not quite the same.
    let is_possible = |ahead_us: i64| gap_us(ahead_us) > -STEP_MIN_US;
    let counted_us = earlier.map_or(0, |earlier| {
        let since_us = if earlier.is_same_boot { set_us(&earlier.noted, now) } else { 0 };
        earlier.noted.ahead_us.saturating_add(since_us)
    });
    let is_known = earlier.is_some_and(|earlier| earlier.is_same_boot);
    let found_us = if is_known && is_possible(counted_us) {
        Some(counted_us)
    } else {
        [0, counted_us]
            .into_iter()
            .filter(|ahead_us| is_possible(*ahead_us))
            .min_by_key(|ahead_us| gap_us(*ahead_us))
    };
    // No time that is known is right: the wall clock is behind what happened already.
    let found_us = found_us.unwrap_or_else(|| gap_us(0));
    if gap_us(found_us) > us_of(QUIET_MAX) { 0 } else { found_us }
}

/// By how much the wall clock was set between two readings since the same start of the machine.
fn set_us(before: &NotedClock, now: &NotedClock) -> i64 {
    let offset_us = |it: &NotedClock| it.wall.unix_us().saturating_sub(it.boot_us);
    let by_us = offset_us(now).saturating_sub(offset_us(before));
    if by_us.saturating_abs() >= STEP_MIN_US { by_us } else { 0 }
}

fn us_of(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::machine::Machine;

    const S: i64 = 1_000_000;
    const HOUR: i64 = 3_600 * S;
    const START: i64 = 100_000 * HOUR;

    /// A process whose clock was set by `set_us` while a session ran, ten minutes after it began. The
    /// machine, what the process noted, and the last time that the session has.
    fn stopped(set_us: i64) -> (Machine, NotedClock, Timestamp) {
        let machine = Machine::new(START);
        let clock = machine.clock();
        machine.pass(600 * S);
        machine.set(set_us);
        machine.pass(10 * S);
        let newest = clock.clock().now();
        assert_eq!(newest.unix_us(), START + 610 * S);
        (machine, clock.noted(), newest)
    }

    /// The time of the sessions, after their start, once the next process has started.
    fn next(machine: &Machine, noted: NotedClock, is_same_boot: bool, newest: Timestamp) -> i64 {
        let clock = machine.clock();
        clock.go_on(Some(Earlier { noted, is_same_boot }), Some(newest));
        clock.clock().now().unix_us() - START
    }

    #[test]
    fn sessions_keep_their_time_in_the_next_process() {
        for set_us in [300 * S, -300 * S, 0, 24 * HOUR, -24 * HOUR] {
            for is_same_boot in [true, false] {
                let (machine, noted, newest) = stopped(set_us);
                machine.pass(20 * S);
                let now_us = next(&machine, noted, is_same_boot, newest);
                assert_eq!(now_us, 630 * S, "{set_us}, {is_same_boot}");
            }
        }
    }

    #[test]
    fn a_clock_that_is_set_while_no_process_runs_is_noticed_until_the_machine_is_started_again() {
        for (set_us, then_us) in [(300, -300), (-300, 300), (300, 40), (0, 300), (0, -300)] {
            let (machine, noted, newest) = stopped(set_us * S);
            machine.pass(20 * S);
            machine.set(then_us * S);
            machine.pass(5 * S);
            assert_eq!(next(&machine, noted, true, newest), 635 * S, "{set_us}, {then_us}");
        }
    }

    #[test]
    fn after_the_machine_was_started_a_clock_that_was_set_right_is_right() {
        for set_us in [300 * S, -300 * S] {
            let (machine, noted, newest) = stopped(set_us);
            machine.pass(20 * S);
            machine.set(-set_us);
            assert_eq!(next(&machine, noted, false, newest), 630 * S, "{set_us}");
        }
    }

    #[test]
    fn a_machine_that_was_off_for_a_night_keeps_the_time_that_it_noted() {
        let (machine, noted, newest) = stopped(300 * S);
        machine.pass(12 * HOUR);
        assert_eq!(next(&machine, noted, false, newest), 610 * S + 12 * HOUR);
    }

    #[test]
    fn sessions_never_go_back_in_time() {
        let (machine, noted, newest) = stopped(0);
        machine.set(-2 * HOUR);
        assert_eq!(next(&machine, noted, false, newest), 610 * S);
        // Nothing was noted, as by a machine that is new.
        let clock = machine.clock();
        clock.go_on(None, Some(newest));
        assert_eq!((clock.clock().now(), clock.ahead_us()), (newest, -2 * HOUR));
        // What another machine told a moment before by its own clock is no step.
        machine.set(2 * HOUR - S / 2);
        let clock = machine.clock();
        clock.go_on(None, Some(newest));
        assert_eq!(clock.ahead_us(), 0);
    }

    #[test]
    fn without_an_open_session_the_time_is_that_of_the_machine() {
        let (machine, noted, newest) = stopped(300 * S);
        let clock = machine.clock();
        let earlier = Earlier { noted, is_same_boot: true };
        clock.go_on(Some(earlier), None);
        assert_eq!(clock.ahead_us(), 0);
        // Nor for one that was forgotten.
        machine.pass(us_of(QUIET_MAX));
        clock.go_on(Some(earlier), Some(newest));
        assert_eq!(clock.ahead_us(), 300 * S);
        machine.pass(1);
        clock.go_on(Some(earlier), Some(newest));
        assert_eq!(clock.ahead_us(), 0);
    }

    #[test]
    fn a_host_has_a_name() {
        assert!(!Host::own().name.is_empty());
        assert_eq!(Host::own(), Host::own());
    }
}
