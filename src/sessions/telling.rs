//! Telling observers what becomes of sessions: right after a change, and again
//! what a process that died, or an observer that failed, left untold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::id::SessionId;
use crate::domain::time::Timestamp;
use crate::sessions::event::SessionEvent;
use crate::sessions::observer::{SessionObserver, tell};
use crate::sessions::repository::{ChangeId, RepositoryError, SessionRepository};

/// How long a process that made a change has to tell of it before another tells.
/// Raising it makes observers wait longer after a crash; lowering it lets two
/// processes tell of one change while observers are slow.
pub const TOLD_BY: Duration = Duration::from_mins(1);
/// Between two looks for what was left untold.
const RETELL_INTERVAL: Duration = Duration::from_secs(15);
/// Untold changes read at once.
const UNTOLD_AT_ONCE: u32 = 100;

/// Changes of one session one after the other, within this process.
#[derive(Default)]
pub(super) struct SessionLocks(Mutex<BTreeMap<SessionId, Arc<tokio::sync::Mutex<()>>>>);

impl SessionLocks {
    /// Waits until no change of the session is being stored or told.
    pub(super) async fn hold(&self, session: SessionId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks that nobody holds or waits for are only in this table.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(session).or_default())
        };
        lock.lock_owned().await
    }
}

/// Who is told, and what is known of who was.
pub(super) struct Telling {
    pub(super) repository: Arc<dyn SessionRepository>,
    pub(super) observers: Vec<Arc<dyn SessionObserver>>,
    pub(super) locks: SessionLocks,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Telling {
    /// Tells everybody of a change, in the order of the observers, and notes that
    /// they were told. To be called while the session is held.
    pub(super) async fn tell(&self, event: &SessionEvent) {
        let session = event.session.id;
        for observer in &self.observers {
            if let Err(error) = tell(&**observer, event).await {
                tracing::warn!(%session, kind = %event.kind, %error, "to be told again later");
                return;
            }
        }
        if let Err(error) = self.repository.mark_told(ChangeId::of(event)).await {
            tracing::warn!(%session, kind = %event.kind, %error, "told, and to be told again");
        }
    }

    /// Tells of every change that happened before `now` less [`TOLD_BY`] and was
    /// left untold; of how many.
    pub(super) async fn tell_untold(&self, now: Timestamp) -> Result<usize, RepositoryError> {
        let mut told = 0;
        let changes = self.repository.untold(now.before(TOLD_BY), UNTOLD_AT_ONCE).await?;
        for change in changes {
            let _held = self.locks.hold(change.session).await;
            // It may have been told meanwhile.
            if let Some(event) = self.repository.untold_event(change).await? {
                self.tell(&event).await;
                told += 1;
            }
        }
        Ok(told)
    }

    /// Looks for what was left untold until the server stops.
    pub(super) async fn retell(self: Arc<Self>, clock: Clock) {
        let mut rounds = tokio::time::interval(RETELL_INTERVAL);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.tell_untold(clock.now()).await {
                tracing::warn!(%error, "changes of sessions that were left untold can't be read");
            }
        }
    }
}
