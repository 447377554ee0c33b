//! Events from outside: what each leads to in a session is stored with its name,
//! once.

use cabildo::domain::arrival::Arrival;
use cabildo::domain::id::{SessionKey, TenantId};
use cabildo::domain::session::{Session, SessionStatus};
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::governance::ArrivalRepository as _;
use cabildo::room::repository::{RoomRepository as _, StoredChange, ToldEvent};
use cabildo::sessions::SessionRepository as _;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    an_event_changes_a_session_once,
    an_event_changes_a_room_once,
    what_is_not_stored_has_not_arrived,
    old_events_are_forgotten,
);

fn arrival(id: &str) -> Arrival {
    Arrival { source: "https://governance.example".to_owned(), id: id.to_owned() }
}

async fn an_event_changes_a_session_once(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let [first, second] = fixture.services(9);
    let (tenant, id) = (session.tenant_id, session.id);
    let (one, two) = (&fixture.stores[0], &fixture.stores[1]);
    let told = arrival("1");
    assert_eq!(two.has_arrived(SessionKey::new(tenant, id), &told).await, Ok(false));
    let started = first
        .storing_by(one.sessions_for(&told))
        .start(SessionKey::new(tenant, id), None, NOW)
        .await;
    assert_eq!(started.expect("started").status, SessionStatus::Active);
    assert_eq!(two.has_arrived(SessionKey::new(tenant, id), &told).await, Ok(true));
    // The same event can change nothing more in it, whatever it would do.
    let again = second
        .storing_by(two.sessions_for(&told))
        .end(SessionKey::new(tenant, id), None, NOW)
        .await;
    again.expect_err("it has arrived before");
    assert_eq!(
        first.find(SessionKey::new(tenant, id)).await.expect("there").status,
        SessionStatus::Active
    );
    assert_eq!(fixture.count("session_events").await, 2, "created and started");
    let other = fixture.session(tenant).await;
    let other = second
        .storing_by(two.sessions_for(&told))
        .start(SessionKey::new(tenant, other.id), None, NOW)
        .await;
    other.expect("what it leads to in another session is something else");
    let ended = second
        .storing_by(two.sessions_for(&arrival("2")))
        .end(SessionKey::new(tenant, id), None, NOW)
        .await;
    ended.expect("another event");
}

/// What a room stores because of an event.
fn said(seq: u64, arrival: Arrival) -> (StoredChange, Vec<ToldEvent>) {
    let state = Some("{}".to_owned());
    let change = StoredChange { seq, state, parts: Vec::new(), arrival: Some(arrival) };
    let (kind, payload) = ("vote_announced".to_owned(), "{}".to_owned());
    (change, vec![ToldEvent { seq, at: NOW, kind, payload }])
}

async fn an_event_changes_a_room_once(fixture: Fixture) {
    let session: Session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let (change, events) = said(1, arrival("1"));
    store.append(SessionKey::new(tenant, id), &change, &events).await.expect("stored");
    assert_eq!(store.has_arrived(SessionKey::new(tenant, id), &arrival("1")).await, Ok(true));
    let (change, events) = said(2, arrival("1"));
    let again = fixture.stores[1].append(SessionKey::new(tenant, id), &change, &events).await;
    assert!(matches!(again, Err(StoreError::Unavailable(_))), "{again:?}");
    assert_eq!(fixture.count("room_events").await, 1);
    let (change, events) = said(2, arrival("2"));
    store.append(SessionKey::new(tenant, id), &change, &events).await.expect("another event");
}

async fn what_is_not_stored_has_not_arrived(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let [service, _] = fixture.services(0);
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let told = arrival("1");
    let refused = service
        .storing_by(store.sessions_for(&told))
        .start(SessionKey::new(tenant, id), None, NOW)
        .await;
    refused.expect_err("the limit is reached");
    assert_eq!(store.has_arrived(SessionKey::new(tenant, id), &told).await, Ok(false));
    // A change of a version that is gone is not stored either.
    let found = store.find(SessionKey::new(tenant, id)).await.expect("read").expect("there");
    let event = crate::store::sessions::event_of(&found);
    let stale: Result<bool, StoreError> = store.sessions_for(&told).replace(&event, 99).await;
    assert_eq!(stale, Ok(false));
    assert_eq!(store.has_arrived(SessionKey::new(tenant, id), &told).await, Ok(false));
}

async fn old_events_are_forgotten(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let (change, events) = said(1, arrival("1"));
    store.append(SessionKey::new(tenant, id), &change, &events).await.expect("stored");
    store.forget_before(NOW).await.expect("forgotten");
    assert_eq!(
        store.has_arrived(SessionKey::new(tenant, id), &arrival("1")).await,
        Ok(true),
        "it is not older"
    );
    let later = Timestamp::from_unix_us(NOW.unix_us() + 1);
    store.forget_before(later).await.expect("forgotten");
    assert_eq!(store.has_arrived(SessionKey::new(tenant, id), &arrival("1")).await, Ok(false));
}
