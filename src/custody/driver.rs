//! Regularly looks for recordings whose retention time is over.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::custody::{Custody, CustodyError, Erased, ErasureReason};
use crate::domain::id::SessionId;

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
    /// Objects are deleted after every key that is due was destroyed, those too that were not
    /// deleted before.
    pub async fn erase_due(&self) -> Result<u64, CustodyError> {
        let erased = self.destroy_due().await?;
        self.delete_due().await?;
        Ok(erased)
    }

    async fn destroy_due(&self) -> Result<u64, CustodyError> {
        let mut left = BTreeSet::new();
        let mut erased = 0;
        loop {
            let now = self.parts.ages.now();
            let limit = beyond(&left);
            let mut due = self.parts.recordings.due_for_erasure(now, limit).await?;
            due.retain(|key| !left.contains(&key.session));
            if due.is_empty() {
                return Ok(erased);
            }
            for key in due {
                match self.destroy_session(key, ErasureReason::RetentionOver).await {
                    Ok(keys) => {
                        erased += 1;
                        tracing::info!(session = %key.session, keys, "a recording was erased");
                    }
                    Err(error) => {
                        tracing::warn!(session = %key.session, %error, "a recording whose retention time is over could not be erased");
                        left.insert(key.session);
                    }
                }
            }
        }
    }

    /// Deletes the objects of destroyed keys of every session that is due.
    async fn delete_due(&self) -> Result<(), CustodyError> {
        let mut seen = BTreeSet::new();
        loop {
            let now = self.parts.clock.now();
            let mut due = self.parts.sessions.due_for_deletion(now, beyond(&seen)).await?;
            due.retain(|key| seen.insert(key.session));
            if due.is_empty() {
                return Ok(());
            }
            for key in due {
                let session = key.session;
                match self.delete_erased(key).await {
                    Ok(Erased { objects, locked, waiting, failure, .. }) => {
                        if let Some(error) = failure {
                            tracing::warn!(%session, waiting, %error, "objects of an erased recording could not be deleted yet");
                        }
                        tracing::info!(%session, objects, locked, waiting, "objects of an erased recording were deleted");
                    }
                    // Whoever is erasing it deletes them.
                    Err(CustodyError::Claimed) => {}
                    Err(error) => {
                        tracing::warn!(%session, %error, "objects of an erased recording could not be deleted yet");
                    }
                }
            }
        }
    }
}

/// How many sessions to read, of which those that are known are left out.
fn beyond(known: &BTreeSet<SessionId>) -> u32 {
    DUE_PER_READ.saturating_add(u32::try_from(known.len()).unwrap_or(u32::MAX))
}
