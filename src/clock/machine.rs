//! A machine whose clocks a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::clock::{BootClock, Clock, SteadyClock};
use crate::domain::time::Timestamp;

/// Both clocks of a machine.
pub(super) struct Machine {
    wall_us: Arc<AtomicI64>,
    boot_us: Arc<AtomicI64>,
}

impl Machine {
    /// A machine that was just started, with this time.
    pub(super) fn new(wall_us: i64) -> Self {
        let at = |us| Arc::new(AtomicI64::new(us));
        Self { wall_us: at(wall_us), boot_us: at(5) }
    }

    /// A clock that starts now.
    pub(super) fn clock(&self) -> SteadyClock {
        let (wall, boot) = (self.wall_us.clone(), self.boot_us.clone());
        SteadyClock::new(
            Clock::from_fn(move || Timestamp::from_unix_us(wall.load(Ordering::SeqCst))),
            BootClock::from_fn(move || {
                Duration::from_micros(boot.load(Ordering::SeqCst).unsigned_abs())
            }),
        )
    }

    /// Time passes.
    pub(super) fn pass(&self, us: i64) {
        self.wall_us.fetch_add(us, Ordering::SeqCst);
        self.boot_us.fetch_add(us, Ordering::SeqCst);
    }

    /// Somebody sets the clock.
    pub(super) fn set(&self, by_us: i64) {
        self.wall_us.fetch_add(by_us, Ordering::SeqCst);
    }

    /// What the clock shows.
    pub(super) fn wall_us(&self) -> i64 {
        self.wall_us.load(Ordering::SeqCst)
    }
}
