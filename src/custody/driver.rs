//! Regularly looks for recordings whose retention time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::custody::{Custody, CustodyError, ErasureReason};

/// Sessions read from the repository at once.
const DUE_PER_READ: u32 = 32;

/// The task that erases recordings when their retention time is over.
#[derive(Debug)]
pub struct CustodyTask {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl CustodyTask {
    /// Stops the task. An erasure that is in progress is continued after the next start.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that erases recordings has failed");
        }
    }
}

impl Custody {
    /// Erases recordings that are due now, and again every `interval`.
    #[must_use]
    pub fn start(&self, interval: Duration) -> CustodyTask {
        let stop = CancellationToken::new();
        let (custody, stopped) = (self.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(interval.max(Duration::from_secs(1)));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let rounds = async {
                loop {
                    ticks.tick().await;
                    if let Err(error) = custody.erase_due().await {
                        tracing::warn!(%error, "recordings that are due could not be looked up");
                    }
                }
            };
            stopped.run_until_cancelled(rounds).await;
        });
        CustodyTask { stop, task }
    }

    /// Erases every recording that is due now; returns how many. A recording that can't be erased
    /// now is tried again in the next round, and does not prevent the others from being erased.
    pub async fn erase_due(&self) -> Result<u64, CustodyError> {
        let mut left = BTreeSet::new();
        let mut erased = 0;
        loop {
            let now = self.parts.clock.now();
            let limit = DUE_PER_READ.saturating_add(u32::try_from(left.len()).unwrap_or(u32::MAX));
            let mut due = self.parts.recordings.due_for_erasure(now, limit).await?;
            due.retain(|key| !left.contains(&key.session));
            if due.is_empty() {
                return Ok(erased);
            }
            for key in due {
                match self.erase_session(key, ErasureReason::RetentionOver).await {
                    Ok(done) => {
                        erased += 1;
                        let (keys, locked) = (done.keys, done.locked);
                        tracing::info!(session = %key.session, keys, locked, "a recording was erased");
                    }
                    Err(error) => {
                        tracing::warn!(session = %key.session, %error, "a recording whose retention time is over could not be erased");
                        left.insert(key.session);
                    }
                }
            }
        }
    }
}
