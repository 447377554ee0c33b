//! Changes of sessions that other instances made, for the rooms and the streams that are open here:
//! they are read in the outbox, which all instances share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::base::Base;
use super::delivery::Delivery;
use super::live::LiveViewing;
use super::rooms::LiveRooms;
use super::sessions::Sessions;
use crate::delivery::{Tail, TailWaiter};
use crate::domain::id::SessionKey;
use crate::events::{EventSource, Outbox, OutboxError, OutboxEvent, Position, READ_MAX, Scope};
use crate::sessions::{SessionEventKind, SessionObserver, SessionService};

/// How soon the outbox is read again after it could not be.
const RETRY: Duration = Duration::from_secs(1);

/// What follows the changes of other instances.
pub(super) struct Elsewhere {
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<Option<()>>>,
}

/// Who is told of changes, and by whom.
struct Follower {
    outbox: Arc<dyn Outbox>,
    sessions: SessionService,
    observers: [Arc<dyn SessionObserver>; 2],
}

impl Elsewhere {
    /// Follows them when there may be other instances: only PostgreSQL serves several.
    pub(super) fn start(
        base: &Base,
        delivery: &Delivery,
        sessions: &Sessions,
        rooms: &LiveRooms,
        live: &LiveViewing,
    ) -> Self {
        let stop = CancellationToken::new();
        let follower = Follower {
            outbox: Arc::new(base.store.clone()),
            sessions: sessions.service.clone(),
            observers: [rooms.observer(), live.observer()],
        };
        let following = follower.run(delivery.tail().clone());
        let task = base
            .store
            .serves_several()
            .then(|| tokio::spawn(stop.clone().run_until_cancelled_owned(following)));
        Self { stop, task }
    }

    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            // It has nothing to tell when it ends.
            drop(task.await);
        }
    }
}

impl Follower {
    async fn run(self, tail: Tail) {
        let mut waiter = tail.waiter();
        loop {
            match self.follow(&mut waiter).await {
                Ok(()) => return,
                // Whoever is watched or is in a room meanwhile is told of later changes.
                Err(error) => tracing::warn!(%error, "changes of other instances can't be read"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Follows what is stored from now on, until nobody looks for it any more.
    async fn follow(&self, waiter: &mut TailWaiter) -> Result<(), OutboxError> {
        let mut place = self.outbox.extent().await?.newest;
        loop {
            waiter.mark();
            let read = self.outbox.after(Scope::Everyone, place, READ_MAX).await?;
            let is_more = read.next > place;
            place = Position::max(place, read.next);
            for event in read.events {
                self.handle(&event).await;
            }
            if !is_more && waiter.more().await.is_err() {
                return Ok(());
            }
        }
    }

    /// Changes that this instance made come here as well, and change nothing any more.
    async fn handle(&self, event: &OutboxEvent) {
        let is_change = event.source == EventSource::Session
            && event.kind == SessionEventKind::Changed.as_str();
        if !is_change {
            return;
        }
        let key = SessionKey::new(event.tenant, event.session);
        for observer in &self.observers {
            if let Err(error) = self.sessions.tell_one(key, &**observer).await {
                tracing::warn!(session = %event.session, %error, "a change can't be followed");
            }
        }
    }
}
