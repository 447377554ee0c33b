//! Opening rooms while the database is slow for one session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::clock::Clock;
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::room::Rooms;
use cabildo::room::error::RoomError;
use cabildo::room::ports::{EvidenceHead, RoomPorts};
use cabildo::sessions::{
    Activation, ChangeId, SessionEvent, SessionFilter, SessionPosition, SessionRepository,
};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::Store;
use tokio::sync::{Notify, Semaphore, mpsc};

use super::{House, chat, in_time, told_chat};

/// A repository that does not answer for one session until it is let.
struct Slow {
    store: Store,
    session: SessionId,
    /// Reads of the slow session that have begun.
    begun: AtomicUsize,
    reading: Notify,
    answers: Semaphore,
}

#[async_trait]
impl SessionRepository for Slow {
    async fn insert(&self, event: &SessionEvent) -> Result<(), StoreError> {
        self.store.insert(event).await
    }

    async fn find(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        let SessionKey { session: id, .. } = key;
        let found = self.store.find(key).await;
        if id == self.session {
            self.begun.fetch_add(1, Ordering::SeqCst);
            self.reading.notify_one();
            self.answers.acquire().await.expect("never closed").forget();
        }
        found
    }

    async fn list(
        &self,
        tenant: TenantId,
        filter: &SessionFilter,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        self.store.list(tenant, filter, after, limit).await
    }

    async fn replace(&self, event: &SessionEvent, expected: u64) -> Result<bool, StoreError> {
        self.store.replace(event, expected).await
    }

    async fn activate(
        &self,
        event: &SessionEvent,
        expected: u64,
        active_max: u32,
    ) -> Result<Activation, StoreError> {
        self.store.activate(event, expected, active_max).await
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<ChangeId>, StoreError> {
        self.store.untold(before, limit).await
    }

    async fn untold_event(&self, change: ChangeId) -> Result<Option<SessionEvent>, StoreError> {
        self.store.untold_event(change).await
    }

    async fn mark_told(&self, change: ChangeId) -> Result<(), StoreError> {
        self.store.mark_told(change).await
    }
}

fn process(house: &House, session: SessionId) -> (Rooms, Arc<Slow>) {
    let slow = Arc::new(Slow {
        store: house.store.clone(),
        session,
        begun: AtomicUsize::new(0),
        reading: Notify::new(),
        answers: Semaphore::new(0),
    });
    let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
    let rooms = Rooms::new(
        slow.clone(),
        Arc::new(house.store.clone()),
        media.expect("a media plane"),
        Clock::system(),
        RoomPorts::default(),
    );
    (rooms, slow)
}

#[tokio::test]
async fn a_slow_read_of_one_session_delays_no_other_room() {
    let house = House::build().await;
    let slow_session = house.another_session().await;
    let (rooms, slow) = process(&house, slow_session);
    // Two people wait for the slow session; one of them opens it for both.
    let waiting: Vec<_> = ["bea", "carlos"]
        .into_iter()
        .map(|name| {
            let (rooms, principal) = (rooms.clone(), house.principal(name));
            let (sink, outbound) = mpsc::channel(512);
            let enter = async move {
                (rooms.enter(principal, slow_session, [1; 32], sink).await, outbound)
            };
            tokio::spawn(enter)
        })
        .collect();
    in_time(slow.reading.notified()).await;

    let (ana, mut outbound) = in_time(Box::pin(house.enter(&rooms, "ana", 512))).await;
    in_time(ana.member.act(chat("on time"))).await.expect("said");
    assert_eq!(told_chat(&mut outbound).await, "on time");
    let head = EvidenceHead {
        tree_size: 1,
        root: String::new(),
        cose: String::new(),
        at: Clock::system().now(),
    };
    rooms.evidence_head(slow_session, head.clone());
    rooms.evidence_head(house.session, head);
    assert_eq!(rooms.count(), 1, "the metrics do not wait either");
    let ended = house.ended().await;
    in_time(rooms.session_over(&ended)).await.expect("ended");

    slow.answers.add_permits(1);
    for entered in waiting {
        let (entered, _outbound) = in_time(entered).await.expect("ran");
        entered.expect("let in once the database answers");
    }
    assert_eq!(slow.begun.load(Ordering::SeqCst), 1, "one reads for all");
    rooms.shutdown().await;
}

#[tokio::test]
async fn a_session_that_ends_while_its_room_opens_closes_that_room() {
    let house = House::build().await;
    let (rooms, slow) = process(&house, house.session);
    let (sink, mut outbound) = mpsc::channel(512);
    let (entering, principal) = (rooms.clone(), house.principal("ana"));
    let session = house.session;
    let entering =
        tokio::spawn(async move { entering.enter(principal, session, [1; 32], sink).await });
    in_time(slow.reading.notified()).await;
    // The session was read as active before it ended.
    let ended = house.ended().await;
    let over = rooms.session_over(&ended);
    let let_go = async {
        // One to open the room, one to see whether its end was stored.
        slow.answers.add_permits(2);
    };
    let (over, ()) = in_time(async { tokio::join!(over, let_go) }).await;
    over.expect("ended");
    match in_time(entering).await.expect("ran") {
        // Let in before the end was told, and told of it.
        Ok(_entered) => while outbound.recv().await.is_some() {},
        Err(refused) => assert_eq!(refused, RoomError::Unreachable),
    }
    assert_eq!(rooms.count(), 0);
    rooms.shutdown().await;
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_a_room_that_is_being_opened() {
    let house = House::build().await;
    let (rooms, slow) = process(&house, house.session);
    let (sink, _outbound) = mpsc::channel(512);
    let (entering, principal) = (rooms.clone(), house.principal("ana"));
    let session = house.session;
    let entering =
        tokio::spawn(async move { entering.enter(principal, session, [1; 32], sink).await });
    in_time(slow.reading.notified()).await;
    tokio::time::timeout(Duration::from_secs(10), rooms.shutdown()).await.expect("does not wait");
    slow.answers.add_permits(2);
    let refused = in_time(entering).await.expect("ran").expect_err("the server has stopped");
    assert_eq!(refused, RoomError::Unreachable);
    assert_eq!(rooms.count(), 0);
}

#[tokio::test]
async fn sessions_that_do_not_exist_leave_nothing_behind() {
    let house = House::build().await;
    let nowhere = SessionId::generate();
    let (rooms, slow) = process(&house, nowhere);
    slow.answers.add_permits(100);
    for _ in 0..100 {
        let (sink, _outbound) = mpsc::channel(8);
        let refused = rooms.enter(house.principal("ana"), nowhere, [1; 32], sink).await;
        assert_eq!(refused.expect_err("refused"), RoomError::SessionNotFound);
    }
    assert_eq!(rooms.count(), 0);
    rooms.shutdown().await;
}
