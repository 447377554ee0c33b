//! Tells observers of changes of sessions: right after a change, and again when a process died or
//! an observer failed before all were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::id::SessionId;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::ends::RoomEnds;
use crate::sessions::event::SessionEvent;
use crate::sessions::observer::{SessionObserver, tell};
use crate::sessions::repository::{ChangeId, SessionRepository};

/// How long a process has to tell of its own change before another process tells of it. Raising it
/// makes observers wait longer after a crash; lowering it lets two processes tell of one change
/// while observers are slow.
pub const TOLD_BY: Duration = Duration::from_mins(1);
/// Interval at which untold changes are looked for.
const RETELL_INTERVAL: Duration = Duration::from_secs(15);
/// Interval at which it is looked whether another instance, which had the room of a session that
/// is over, has told of the end, or has gone without. Raising it makes the end later then.
const LEFT_INTERVAL: Duration = Duration::from_secs(1);
/// Untold changes read at once.
const UNTOLD_AT_ONCE: u32 = 100;

/// Locks that make changes of one session happen one after the other in this process.
#[derive(Default)]
pub(super) struct SessionLocks(Mutex<BTreeMap<SessionId, Arc<tokio::sync::Mutex<()>>>>);

impl SessionLocks {
    /// Waits until no change of the session is being stored or told.
    pub(super) async fn hold(&self, session: SessionId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Locks that nobody holds or waits for are referenced only by this table.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(session).or_default())
        };
        lock.lock_owned().await
    }
}

/// The observers, and the store of which changes were told.
pub(super) struct Telling {
    pub(super) repository: Arc<dyn SessionRepository>,
    pub(super) observers: Vec<Arc<dyn SessionObserver>>,
    pub(super) locks: SessionLocks,
    /// With several instances, which of them ends a room.
    pub(super) ends: OnceLock<Arc<dyn RoomEnds>>,
    /// Ends of sessions that are another instance's to tell.
    pub(super) left: Mutex<Vec<ChangeId>>,
    pub(super) tasks: TaskTracker,
    pub(super) stopping: CancellationToken,
}

impl Telling {
    /// Tells all observers of a change, in order, and marks it as told. The caller must hold the
    /// lock of the session. The end of a session whose room another instance has is left to that
    /// one, which reads it in the outbox, for as long as it is there.
    pub(super) async fn tell(&self, event: &SessionEvent) {
        let ends = self.ends.get().filter(|_| event.session.status.is_over());
        let Some(ends) = ends else { return self.tell_here(event).await };
        match ends.take(event.session.key()).await {
            Ok(Some(taken)) => {
                self.tell_here(event).await;
                taken.release().await;
            }
            Ok(None) => self.leave(ChangeId::of(event)),
            Err(error) => {
                let session = event.session.id;
                tracing::warn!(%session, %error, "the end of a session is told later");
                self.leave(ChangeId::of(event));
            }
        }
    }

    fn leave(&self, change: ChangeId) {
        let mut left = self.left();
        if !left.contains(&change) {
            left.push(change);
        }
    }

    fn left(&self) -> MutexGuard<'_, Vec<ChangeId>> {
        // A panic of another holder can't leave the list half changed.
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn tell_here(&self, event: &SessionEvent) {
        let session = event.session.id;
        for observer in &self.observers {
            if let Err(error) = tell(&**observer, event).await {
                tracing::warn!(
                    %session,
                    kind = %event.kind,
                    %error,
                    "an observer failed, so the change is told again later"
                );
                return;
            }
        }
        if let Err(error) = self.repository.mark_told(ChangeId::of(event)).await {
            tracing::warn!(
                %session,
                kind = %event.kind,
                %error,
                "a change could not be marked as told, so it is told again later"
            );
        }
    }

    /// Tells of every change that happened more than [`TOLD_BY`] before `now` and was not told;
    /// returns how many.
    pub(super) async fn tell_untold(&self, now: Timestamp) -> Result<usize, StoreError> {
        let (mut told, mut seen) = (0, BTreeSet::new());
        loop {
            // Those that can't be told now do not keep later ones from being read.
            let limit =
                UNTOLD_AT_ONCE.saturating_add(u32::try_from(seen.len()).unwrap_or(u32::MAX));
            let mut changes = self.repository.untold(now.before(TOLD_BY), limit).await?;
            changes.retain(|change| seen.insert((change.session, change.version)));
            if changes.is_empty() {
                break;
            }
            for change in changes {
                match self.tell_change(change).await {
                    Ok(was_untold) => told += usize::from(was_untold),
                    Err(error) => {
                        let ChangeId { session, version, .. } = change;
                        tracing::warn!(%session, version, %error, "a change can't be read, and is told later");
                    }
                }
            }
        }
        Ok(told)
    }

    /// Tells of a change, unless it was told; returns whether it was not.
    pub(super) async fn tell_change(&self, change: ChangeId) -> Result<bool, StoreError> {
        let _held = self.locks.hold(change.session).await;
        // It may have been told meanwhile.
        let Some(event) = self.repository.untold_event(change).await? else { return Ok(false) };
        self.tell(&event).await;
        Ok(true)
    }

    /// Looks again at ends that were left to other instances.
    async fn tell_left(&self) {
        let left = std::mem::take(&mut *self.left());
        for change in left {
            if let Err(error) = self.tell_change(change).await {
                tracing::warn!(session = %change.session, %error, "the end of a session can't be read");
                self.leave(change);
            }
        }
    }

    /// Looks for untold changes until the server stops.
    pub(super) async fn retell(self: Arc<Self>, clock: Clock) {
        let mut rounds = tokio::time::interval(RETELL_INTERVAL);
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looks = tokio::time::interval(LEFT_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.stopping.cancelled() => return,
                _ = looks.tick() => {
                    self.tell_left().await;
                    continue;
                }
                _ = rounds.tick() => {}
            }
            if let Err(error) = self.tell_untold(clock.now()).await {
                tracing::warn!(%error, "untold changes of sessions can't be read");
            }
        }
    }
}
