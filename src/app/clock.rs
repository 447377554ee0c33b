//! Watches whether the clock of the machine is set while the server runs.

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::SteadyClock;
use crate::room::Rooms;

const AHEAD: &str = "cabildo_clock_ahead_seconds";
/// How often the clocks are compared. Raising it tells rooms later.
const INTERVAL: Duration = Duration::from_secs(1);
/// Microseconds in a second, for the metric.
const US_PER_S: f64 = 1_000_000.0;

/// Describes the metric of the comparison.
pub(super) fn describe_metrics() {
    metrics::describe_gauge!(
        AHEAD,
        "By how much the clock of the machine was set, as long as open rooms keep their time."
    );
}

/// The task that compares the clocks.
pub(super) struct ClockWatch {
    clock: SteadyClock,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Tells whether the clock of the machine was set.
pub(super) struct ClockState(SteadyClock);

impl ClockState {
    /// What operators should know about the clock; `None` when it was not set.
    pub(super) fn problem(&self) -> Option<String> {
        let ahead_s = self.0.ahead_us() / 1_000_000;
        (ahead_s != 0).then(|| {
            format!(
                "the clock was set by {ahead_s} s; open sessions keep their time until all of them \
                 have ended"
            )
        })
    }
}

impl ClockWatch {
    /// Starts comparing the clocks, and telling rooms when the clock of the machine was set. Once no
    /// room is open, the clock of meetings takes on the time of the machine.
    pub(super) fn start(clock: SteadyClock, rooms: Rooms) -> Self {
        let stop = CancellationToken::new();
        let (stopped, watched) = (stop.clone(), clock.clone());
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(compare_for_ever(watched, rooms)).await;
        });
        Self { clock, stop, task }
    }

    pub(super) fn state(&self) -> ClockState {
        ClockState(self.clock.clone())
    }

    /// Stops the task.
    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that compares the clocks has failed");
        }
    }
}

async fn compare_for_ever(clock: SteadyClock, rooms: Rooms) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_us = 0;
    loop {
        ticks.tick().await;
        let mut ahead_us = clock.ahead_us();
        if ahead_us != told_us {
            let by_ms = (ahead_us - told_us) / 1_000;
            tracing::error!(
                by_ms,
                "the clock of this machine was set; open sessions keep their time"
            );
        }
        if ahead_us != 0 || told_us != 0 {
            if rooms.count() == 0 {
                clock.follow();
                ahead_us = 0;
                tracing::info!(
                    "no session is open, so the server takes on the time of the machine"
                );
            } else {
                rooms.clock_ahead(ahead_us / 1_000);
            }
        }
        told_us = ahead_us;
        #[expect(clippy::cast_precision_loss, reason = "a metric; seconds are enough")]
        metrics::gauge!(AHEAD).set(ahead_us as f64 / US_PER_S);
    }
}
