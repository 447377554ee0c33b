//! What became of a request when the database is slow or goes away: it was done
//! or it was not, and whoever asked hears which.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use async_trait::async_trait;
use cabildo::clock::Clock;
use cabildo::domain::id::SessionKey;
use cabildo::domain::store_error::StoreError;
use cabildo::room::action::{Action, ChatAction, PeopleAction};
use cabildo::room::error::RoomError;
use cabildo::room::ports::RoomPorts;
use cabildo::room::repository::{RoomRepository, StoredChange, StoredRoom, ToldEvent};
use cabildo::room::{Acted, Request, Rooms};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::Store;
use tokio::sync::Semaphore;

use super::{House, told, told_chat};

/// The database works.
const WORKS: u8 = 0;
/// It goes away while it stores, and has stored.
const STORES_AND_GOES: u8 = 1;
/// It goes away while it stores, and has not stored.
pub(super) const GOES: u8 = 2;

/// A repository whose database goes away when it is told to, once, and which can be
/// held up.
pub(super) struct Unsure {
    store: Store,
    pub(super) next: AtomicU8,
    held: Semaphore,
}

#[async_trait]
impl RoomRepository for Unsure {
    async fn load(&self, key: SessionKey) -> Result<Option<StoredRoom>, StoreError> {
        self.store.load(key).await
    }

    async fn append(
        &self,
        key: SessionKey,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError> {
        let _turn = self.held.acquire().await.expect("never closed");
        let next = self.next.swap(WORKS, Ordering::SeqCst);
        if next != GOES {
            self.store.append(key, change, events).await?;
        }
        if next == WORKS { Ok(()) } else { Err(StoreError::Unknown("gone".to_owned())) }
    }

    async fn events_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.store.events_after(key, after, limit).await
    }

    async fn committed_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.store.committed_after(key, after, limit).await
    }
}

pub(super) fn process(house: &House) -> (Rooms, Arc<Unsure>) {
    let next = AtomicU8::new(WORKS);
    let held = Semaphore::new(1);
    let repository = Arc::new(Unsure { store: house.store.clone(), next, held });
    let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
    let rooms = Rooms::new(
        Arc::new(house.store.clone()),
        repository.clone(),
        media.expect("a media plane"),
        Clock::system(),
        RoomPorts::default(),
    );
    (rooms, repository)
}

fn say(text: &str, id: Option<&str>) -> Request {
    let action = Action::from(ChatAction::Say { text: text.to_owned() });
    Request { action, seen: None, id: id.map(str::to_owned) }
}

#[tokio::test]
async fn a_request_that_is_not_decided_in_time_is_pending_and_its_repetition_is_the_same() {
    let house = House::build().await;
    let (rooms, repository) = process(&house);
    let (ana, mut outbound) = house.enter(&rooms, "ana", 512).await;
    let holding = repository.held.acquire().await.expect("never closed");
    let Acted::Pending(first) = ana.member.begin(say("once", Some("1"))).await else {
        panic!("nothing was stored yet")
    };
    let Acted::Pending(again) = ana.member.begin(say("once", Some("1"))).await else {
        panic!("nothing was stored yet")
    };
    let Acted::Pending(other) = ana.member.begin(say("twice", Some("2"))).await else {
        panic!("nothing was stored yet")
    };
    drop(holding);
    for outcome in [first, again, other] {
        outcome.outcome().await.expect("done in the end");
    }
    assert!(matches!(ana.member.begin(say("once", Some("1"))).await, Acted::Done(Ok(_))));
    // Another message, or one without a name, is another request.
    for (text, id) in [("another", Some("1")), ("once", None), ("last", Some("3"))] {
        assert!(matches!(ana.member.begin(say(text, id)).await, Acted::Done(Ok(_))));
    }
    for expected in ["once", "twice", "another", "once", "last"] {
        assert_eq!(told_chat(&mut outbound).await, expected);
    }
    rooms.shutdown().await;
}

#[tokio::test]
async fn a_commit_that_may_have_happened_is_looked_for() {
    let house = House::build().await;
    let (rooms, repository) = process(&house);
    let (ana, mut outbound) = house.enter(&rooms, "ana", 512).await;
    let (_bea, _bea_outbound) = house.enter(&rooms, "bea", 512).await;
    repository.next.store(STORES_AND_GOES, Ordering::SeqCst);
    ana.member.act(ChatAction::Say { text: "stored".to_owned() }).await.expect("it was stored");
    assert_eq!(told_chat(&mut outbound).await, "stored");

    repository.next.store(GOES, Ordering::SeqCst);
    let mute = PeopleAction::Mute("bea".parse().expect("a user id"));
    let refused = ana.member.act(mute.clone()).await.expect_err("it was not stored");
    assert_eq!(refused, RoomError::StoreUnavailable);
    ana.member.act(ChatAction::Say { text: "after".to_owned() }).await.expect("said");
    let event = told(&mut outbound).await.expect("still there");
    assert_eq!(event["text"], "after", "what was refused has not happened: {event}");

    // A change without an event is simply stored again.
    ana.member.act(mute).await.expect("muted");
    ana.member.act(PeopleAction::Remove("bea".parse().expect("a user id"))).await.expect("removed");
    repository.next.store(STORES_AND_GOES, Ordering::SeqCst);
    let admit = PeopleAction::Admit("bea".parse().expect("a user id"));
    ana.member.act(admit).await.expect("admitted");
    house.enter(&rooms, "bea", 512).await;
    rooms.shutdown().await;
}
