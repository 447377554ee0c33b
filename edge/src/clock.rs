//! The clock of the box: it begins where the wall clock was, and only goes on from there, whatever
//! the wall clock is set to. It survives the end of the process, and a start of the machine.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// After a start of the machine the wall clock is believed when it says that no more time than this
/// has passed since. Raising it believes clocks that were set wrong.
const OFF_US_MAX: i64 = 30 * 86_400 * 1_000_000;
/// How much later it is at least after a start of the machine, when the wall clock is not believed.
const STARTED_US: i64 = 1_000_000;

/// Where the clock was once: what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Anchor {
    /// Which run of the machine.
    pub(crate) boot: String,
    /// Time since the machine was started, in microseconds.
    pub(crate) since_boot_us: i64,
    /// What the clock showed then, in microseconds since 1970.
    pub(crate) shown_us: i64,
}

/// What the machine's clocks show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Which run of the machine.
    pub(crate) boot: String,
    /// Time since it was started, in microseconds.
    pub(crate) since_boot_us: i64,
    /// The wall clock, in microseconds since 1970.
    pub(crate) wall_us: i64,
}

impl Reading {
    /// What they show now.
    #[must_use]
    pub(crate) fn now() -> Self {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            boot: boot.trim().to_owned(),
            since_boot_us: since_boot_us(),
            wall_us: i64::try_from(wall.as_micros()).unwrap_or(i64::MAX),
        }
    }
}

fn since_boot_us() -> i64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec.saturating_mul(1_000_000).saturating_add(time.tv_nsec / 1_000)
}

/// The clock of the box. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct EdgeClock(Anchor);

impl EdgeClock {
    /// Begins at the wall clock.
    #[must_use]
    pub(crate) fn begin(reading: Reading) -> Self {
        let Reading { boot, since_boot_us, wall_us } = reading;
        Self(Anchor { boot, since_boot_us, shown_us: wall_us })
    }

    /// Whether it is known how long after the anchor this clock shows what it shows: the machine was
    /// not started since, or its wall clock is believed.
    #[must_use]
    pub(crate) fn follows(&self, anchor: &Anchor, reading: &Reading) -> bool {
        let is_same = self.0.boot == anchor.boot && !anchor.boot.is_empty();
        // It was set by the wall clock, which goes on beside it.
        is_same || (self.at(reading.since_boot_us) - reading.wall_us).abs() < STARTED_US
    }

    /// Goes on from where it was, and from `last_us`, which is the last time that is known.
    #[must_use]
    pub(crate) fn resume(anchor: Anchor, last_us: i64, reading: Reading) -> Self {
        let Reading { boot, since_boot_us, wall_us } = reading;
        if anchor.boot == boot && !boot.is_empty() {
            return Self(anchor);
        }
        let last_us = last_us.max(anchor.shown_us);
        let is_likely = (last_us..last_us.saturating_add(OFF_US_MAX)).contains(&wall_us);
        let shown_us = if is_likely { wall_us } else { last_us + STARTED_US };
        Self(Anchor { boot, since_boot_us, shown_us })
    }

    /// What is kept of it.
    #[must_use]
    pub(crate) const fn anchor(&self) -> &Anchor {
        &self.0
    }

    /// What it shows now, in microseconds since 1970.
    #[must_use]
    pub(crate) fn now_us(&self) -> i64 {
        self.at(since_boot_us())
    }

    fn at(&self, since_boot_us: i64) -> i64 {
        self.0.shown_us.saturating_add(since_boot_us.saturating_sub(self.0.since_boot_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn reading(boot: &str, since_boot_us: i64, wall_us: i64) -> Reading {
        Reading { boot: boot.to_owned(), since_boot_us, wall_us }
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_nothing() {
        let clock = EdgeClock::begin(reading("a", 10 * S, 1_000 * S));
        assert_eq!(clock.at(15 * S), 1_005 * S);
        let again = EdgeClock::resume(clock.anchor().clone(), 0, reading("a", 20 * S, 99_000 * S));
        assert_eq!(again.at(25 * S), 1_015 * S, "the process was started again");
    }

    #[test]
    fn after_a_start_of_the_machine_the_wall_clock_counts_when_it_may_be_right() {
        let clock = EdgeClock::begin(reading("a", 10 * S, 1_000 * S));
        let resumed = |wall_us| {
            let anchor = clock.anchor().clone();
            EdgeClock::resume(anchor, 1_500 * S, reading("b", 3 * S, wall_us)).at(3 * S)
        };
        assert_eq!(resumed(2_000 * S), 2_000 * S);
        assert_eq!(resumed(0), 1_501 * S, "it has no battery and began at 1970 again");
        assert_eq!(
            resumed(1_700_000_000 * S),
            1_501 * S,
            "it was at 1970 before and was set since"
        );
    }
}
