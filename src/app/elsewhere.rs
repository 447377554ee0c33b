//! Changes of sessions that other instances made, and votes that they heard of, for the rooms and the
//! streams that are open here: they are read in the outbox, which all instances share.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::base::Base;
use super::delivery::Delivery;
use super::live::LiveViewing;
use super::rooms::LiveRooms;
use super::sessions::Sessions;
use crate::delivery::{Tail, TailWaiter};
use crate::domain::id::SessionKey;
use crate::events::{EventSource, Outbox, OutboxError, OutboxEvent, Position, READ_MAX, Scope};
use crate::governance::{ArrivalRepository, VoteHeard};
use crate::room::Rooms;
use crate::sessions::{ChangeId, SessionEventKind, SessionObserver, SessionService};

/// How soon the outbox is read again after it could not be.
const RETRY: Duration = Duration::from_secs(1);

/// What follows the changes of other instances.
pub(super) struct Elsewhere {
    stop: CancellationToken,
    tasks: TaskTracker,
    task: Option<tokio::task::JoinHandle<Option<()>>>,
}

/// Who is told of changes, and by whom.
#[derive(Clone)]
struct Follower {
    outbox: Arc<dyn Outbox>,
    arrivals: Arc<dyn ArrivalRepository>,
    sessions: SessionService,
    rooms: Rooms,
    of_rooms: Arc<dyn SessionObserver>,
    live: Arc<dyn SessionObserver>,
    /// What takes longer, so that other sessions need not wait.
    tasks: TaskTracker,
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
        let tasks = TaskTracker::new();
        let follower = Follower {
            outbox: Arc::new(base.store.clone()),
            arrivals: Arc::new(base.store.clone()),
            sessions: sessions.service.clone(),
            rooms: rooms.rooms.clone(),
            of_rooms: rooms.observer(),
            live: live.observer(),
            tasks: tasks.clone(),
        };
        let following = follower.run(delivery.tail().clone());
        let task = base
            .store
            .serves_several()
            .then(|| tokio::spawn(stop.clone().run_until_cancelled_owned(following)));
        Self { stop, tasks, task }
    }

    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            // It has nothing to tell when it ends.
            drop(task.await);
        }
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Follower {
    /// Follows what is stored from now on, until nobody looks for it any more.
    async fn run(self, tail: Tail) {
        let mut waiter = tail.waiter();
        let mut place = None;
        while let Err(error) = self.follow(&mut waiter, &mut place).await {
            tracing::warn!(%error, "changes of other instances can't be read");
            if let OutboxError::Expired { oldest } = error {
                place = Some(oldest);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// `place` is where it goes on after a failure.
    async fn follow(
        &self,
        waiter: &mut TailWaiter,
        place: &mut Option<Position>,
    ) -> Result<(), OutboxError> {
        let mut next = match *place {
            Some(place) => place,
            None => self.outbox.extent().await?.newest,
        };
        loop {
            *place = Some(next);
            waiter.mark();
            let read = self.outbox.after(Scope::Everyone, next, READ_MAX).await?;
            let is_more = read.next > next;
            next = Position::max(next, read.next);
            for event in read.events {
                self.handle(event).await;
            }
            if !is_more && waiter.more().await.is_err() {
                return Ok(());
            }
        }
    }

    /// What this instance has done itself comes here as well, and leads to nothing any more.
    async fn handle(&self, event: OutboxEvent) {
        let key = SessionKey::new(event.tenant, event.session);
        match event.source {
            EventSource::Session if event.kind == SessionEventKind::Changed.as_str() => {
                self.tell(key, &*self.of_rooms).await;
                self.tell(key, &*self.live).await;
            }
            EventSource::Session if is_end(&event.kind) => {
                let change =
                    ChangeId { tenant: event.tenant, session: event.session, version: event.seq };
                let follower = self.clone();
                self.tasks.spawn(async move { follower.session_over(key, change).await });
            }
            EventSource::Governance => {
                let follower = self.clone();
                self.tasks.spawn(async move { follower.vote_heard(key, &event).await });
            }
            EventSource::Session | EventSource::Room | EventSource::Recording => {}
        }
    }

    async fn tell(&self, key: SessionKey, observer: &dyn SessionObserver) {
        if let Err(error) = self.sessions.tell_one(key, observer).await {
            tracing::warn!(session = %key.session, %error, "a change can't be followed");
        }
    }

    /// A session is over: the instance that has its room tells all who have to know, and any when
    /// none has.
    async fn session_over(&self, key: SessionKey, change: ChangeId) {
        if let Err(error) = self.sessions.session_over(change).await {
            tracing::warn!(session = %key.session, %error, "the end of a session can't be followed");
        }
        // A room that is open here and in another instance is told by that one, and this one ends.
        if self.rooms.is_open(key.session).await {
            self.tell(key, &*self.of_rooms).await;
        }
        self.tell(key, &*self.live).await;
    }

    /// Another instance heard of a vote in a session whose room may be open here.
    async fn vote_heard(&self, key: SessionKey, event: &OutboxEvent) {
        if !self.rooms.is_open(key.session).await {
            return;
        }
        let Some(VoteHeard { vote, arrival }) = VoteHeard::read(&event.payload) else {
            tracing::error!(session = %key.session, seq = event.seq, "a vote can't be read");
            return;
        };
        match self.arrivals.has_arrived(key, &arrival).await {
            Ok(true) => {}
            Ok(false) => {
                if let Err(error) = self.rooms.announce_vote(key, vote, arrival).await {
                    // The instance that heard of it asks again.
                    tracing::warn!(session = %key.session, %error, "a vote was not announced");
                }
            }
            Err(error) => {
                tracing::warn!(session = %key.session, %error, "a vote can't be looked up");
            }
        }
    }
}

fn is_end(kind: &str) -> bool {
    [SessionEventKind::Ended, SessionEventKind::Cancelled].iter().any(|end| end.as_str() == kind)
}
