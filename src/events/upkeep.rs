//! Deleting what nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::events::Outbox;

/// How long events stay in the outbox at least, for readers that are not
/// registered and come back with a cursor. Raising it raises the size of the
/// outbox, whose rows of events of rooms are about 100 bytes a transaction.
pub const KEPT: Duration = Duration::from_hours(7 * 24);
/// Between two looks.
const INTERVAL: Duration = Duration::from_mins(10);
/// Transactions whose rows are deleted at once. Raising it lengthens the
/// deleting transaction.
const PRUNED_AT_ONCE: u32 = 500;

/// The task that deletes from the outbox.
#[derive(Debug)]
pub struct OutboxUpkeep {
    stopping: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl OutboxUpkeep {
    /// Starts it; to be called within a runtime.
    #[must_use]
    pub fn start(outbox: Arc<dyn Outbox>, clock: Clock) -> Self {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = tokio::spawn(async move {
            let mut rounds = tokio::time::interval(INTERVAL);
            rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    _ = rounds.tick() => prune(&*outbox, &clock).await,
                }
            }
        });
        Self { stopping, task }
    }

    /// Ends it, after what it is deleting.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the upkeep of the outbox has failed");
        }
    }
}

async fn prune(outbox: &dyn Outbox, clock: &Clock) {
    loop {
        match outbox.prune(clock.now().before(KEPT), PRUNED_AT_ONCE).await {
            Ok(pruned) if pruned < PRUNED_AT_ONCE => return,
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "the outbox can't be pruned now");
                return;
            }
        }
    }
}
