//! The end of the outbox, looked for by one task for all who wait there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::metrics;
use crate::events::{Outbox, Position};

/// Between two looks while somebody waits: the most by which readers hear of an
/// event late. Raising it saves a small query each time.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);

/// The end of the outbox. Clones look at the same one.
#[derive(Clone)]
pub struct Tail {
    newest: Arc<watch::Sender<Position>>,
    stopping: CancellationToken,
}

impl Tail {
    /// Starts looking; to be called within a runtime.
    #[must_use]
    pub fn start(outbox: Arc<dyn Outbox>) -> Self {
        let newest = Arc::new(watch::Sender::new(Position::default()));
        let stopping = CancellationToken::new();
        let looking = look(outbox, Arc::clone(&newest));
        tokio::spawn(stopping.clone().run_until_cancelled_owned(looking));
        Self { newest, stopping }
    }

    /// Somebody who waits for events.
    #[must_use]
    pub fn waiter(&self) -> TailWaiter {
        TailWaiter { newest: self.newest.subscribe(), stopping: self.stopping.clone() }
    }

    /// Stops looking; those who wait are told.
    pub fn shutdown(&self) {
        self.stopping.cancel();
    }
}

/// Somebody who waits for events.
pub struct TailWaiter {
    newest: watch::Receiver<Position>,
    stopping: CancellationToken,
}

/// Nobody looks for events any more, since the server is being shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

impl TailWaiter {
    /// To be called before the outbox is read: [`Self::more`] then ends for
    /// whatever is committed after that.
    pub fn mark(&mut self) {
        self.newest.mark_unchanged();
    }

    /// The last place there was when somebody looked.
    pub(super) fn newest(&self) -> Position {
        *self.newest.borrow()
    }

    /// Ends when there may be more than there was at the last [`Self::mark`].
    ///
    /// # Errors
    /// When the server is being shut down.
    pub async fn more(&mut self) -> Result<(), Stopped> {
        tokio::select! {
            changed = self.newest.changed() => changed.map_err(|_| Stopped),
            () = self.stopping.cancelled() => Err(Stopped),
        }
    }
}

async fn look(outbox: Arc<dyn Outbox>, newest: Arc<watch::Sender<Position>>) {
    let mut ticks = tokio::time::interval(LOOK_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_failing = false;
    loop {
        ticks.tick().await;
        if newest.receiver_count() == 0 {
            continue;
        }
        match outbox.extent().await {
            Ok(extent) => {
                is_failing = false;
                metrics::newest(extent.newest);
                newest.send_if_modified(|last| {
                    let is_more = extent.newest > *last;
                    *last = extent.newest.max(*last);
                    is_more
                });
            }
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(%error, "the outbox can't be looked at now");
            }
            Err(_) => {}
        }
    }
}
