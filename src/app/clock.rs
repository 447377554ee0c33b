//! Watches whether the clock of the machine is set while the server runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::base::Base;
use crate::clock::{AgeClock, Host, QUIET_MAX, SteadyClock};
use crate::room::Rooms;
use crate::store::Store;

const AHEAD: &str = "cabildo_clock_ahead_seconds";
/// How often the clocks are compared. Raising it tells rooms later.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often the time is stored. Raising it lets a process that starts with a wrong clock believe it
/// by as much more.
const NOTED_EVERY: Duration = Duration::from_mins(10);
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
    clocks: Clocks,
    noted: Arc<Noted>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The clocks that are compared with that of the machine.
#[derive(Clone)]
struct Clocks {
    meetings: SteadyClock,
    ages: AgeClock,
}

/// Tells whether the clock of the machine was set.
pub(super) struct ClockState(Clocks);

impl ClockState {
    /// What operators should know about the clock; `None` when it was not set.
    pub(super) fn problem(&self) -> Option<String> {
        let ahead_s = self.0.meetings.ahead_us() / 1_000_000;
        let of_meetings = (ahead_s != 0).then(|| {
            format!(
                "the clock was set by {ahead_s} s; open sessions keep their time until all of them \
                 have ended"
            )
        });
        let of_ages = self.0.ages.doubted().map(|by| {
            format!(
                "the clock was set forward by {} s, or is that far ahead of the last time that is \
                 known; what is kept for a time is deleted by the time as it was, until the new one \
                 has stood for a day, or six hours after a start",
                by.as_secs()
            )
        });
        let problems: Vec<String> = of_meetings.into_iter().chain(of_ages).collect();
        (!problems.is_empty()).then(|| problems.join("; "))
    }
}

impl ClockWatch {
    /// Starts comparing the clocks, and telling rooms when the clock of the machine was set. Once no
    /// room is open, the clock of meetings takes on the time of the machine.
    pub(super) fn start(base: &Base, rooms: Rooms) -> Self {
        let clocks = Clocks { meetings: base.steady.clone(), ages: base.ages.clone() };
        let stop = CancellationToken::new();
        let noted = Arc::new(Noted { store: base.store.clone(), host: base.host.clone() });
        let (stopped, watched, notes) = (stop.clone(), clocks.clone(), noted.clone());
        let task = tokio::spawn(async move {
            let comparing = compare_for_ever(watched.meetings.clone(), rooms, notes.clone());
            let noting = note_for_ever(watched, notes);
            let both = async { tokio::join!(comparing, noting) };
            stopped.run_until_cancelled(both).await;
        });
        Self { clocks, noted, stop, task }
    }

    pub(super) fn state(&self) -> ClockState {
        ClockState(self.clocks.clone())
    }

    /// Stops the task, and keeps the time for the next process.
    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that compares the clocks has failed");
        }
        self.noted.note(&self.clocks).await;
    }
}

/// Where the clocks are kept for the next process.
struct Noted {
    store: Store,
    host: Host,
}

impl Noted {
    async fn note(&self, clocks: &Clocks) {
        if let Err(error) = self.store.note_time(clocks.ages.now()).await {
            tracing::warn!(%error, "the time could not be stored");
        }
        self.note_meetings(&clocks.meetings).await;
    }

    async fn note_meetings(&self, clock: &SteadyClock) {
        if let Err(error) = self.store.note_clock(&self.host, &clock.noted()).await {
            tracing::warn!(%error, "the time of meetings could not be stored");
        }
    }

    /// Whether a session is open that has to keep its time, here or elsewhere.
    async fn is_time_kept(&self, clock: &SteadyClock) -> bool {
        match self.store.newest_of_open_sessions().await {
            Ok(newest) => newest.is_some_and(|at| clock.clock().now().since(at) <= QUIET_MAX),
            Err(error) => {
                tracing::debug!(%error, "it is not known whether a session is open");
                true
            }
        }
    }
}

async fn compare_for_ever(clock: SteadyClock, rooms: Rooms, noted: Arc<Noted>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_us = 0;
    loop {
        ticks.tick().await;
        let mut ahead_us = clock.ahead_us();
        let was_set = ahead_us != told_us;
        if was_set {
            let by_ms = (ahead_us - told_us) / 1_000;
            tracing::error!(
                by_ms,
                "the clock of this machine was set; open sessions keep their time"
            );
        }
        if ahead_us != 0 && rooms.count() == 0 && !noted.is_time_kept(&clock).await {
            clock.follow();
            ahead_us = 0;
            tracing::info!("no session is open, so the server takes on the time of the machine");
        }
        if ahead_us != 0 || told_us != 0 {
            rooms.clock_ahead(ahead_us / 1_000);
        }
        if was_set || ahead_us != told_us {
            noted.note_meetings(&clock).await;
        }
        told_us = ahead_us;
        #[expect(clippy::cast_precision_loss, reason = "a metric; seconds are enough")]
        metrics::gauge!(AHEAD).set(ahead_us as f64 / US_PER_S);
    }
}

/// Keeps the clocks for the next process, and says when the machine's is not believed.
async fn note_for_ever(clocks: Clocks, noted: Arc<Noted>) {
    let mut ticks = tokio::time::interval(NOTED_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(by) = clocks.ages.doubted() {
            tracing::error!(
                ahead_s = by.as_secs(),
                "the clock of this machine is further ahead than is believed; until it has stood for \
                 a while, what is kept for a time is deleted by the time as it was"
            );
        }
        noted.note(&clocks).await;
    }
}
