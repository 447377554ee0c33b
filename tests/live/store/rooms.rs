//! The stored events and state of rooms.

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::store_error::StoreError;
use cabildo::room::repository::{RoomRepository, StoredChange, StoredRoom, ToldEvent};
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_room_continues_where_it_stopped,
    events_that_do_not_continue_the_record_are_refused,
    of_concurrent_appends_one_is_stored,
    another_tenant_reads_and_writes_nothing,
    a_long_silence_fits_one_append,
    a_change_writes_the_parts_that_it_names_and_no_others,
    a_room_of_thousands_fits_one_change,
    what_is_still_being_stored_is_waited_for,
);

fn event(seq: u64) -> ToldEvent {
    let kind = "chat".to_owned();
    ToldEvent { seq, at: NOW, kind, payload: format!(r#"{{"seq":{seq},"text":"¡Sí!"}}"#) }
}

/// A change of the whole state, with no parts.
fn change(seq: u64, state: &str) -> StoredChange {
    StoredChange { seq, state: Some(state.to_owned()), parts: Vec::new(), arrival: None }
}

fn record(seq: u64, state: &str) -> StoredRoom {
    StoredRoom { seq, state: state.to_owned(), parts: BTreeMap::new() }
}

/// A change of parts alone.
fn parts(seq: u64, parts: &[(&str, Option<&str>)]) -> StoredChange {
    let parts =
        parts.iter().map(|(part, value)| ((*part).to_owned(), value.map(str::to_owned))).collect();
    StoredChange { seq, state: None, parts, arrival: None }
}

async fn a_room_continues_where_it_stopped(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [first, second] = &fixture.stores;
    assert_eq!(first.load(SessionKey::new(tenant, id)).await.expect("loaded"), None);
    first
        .append(SessionKey::new(tenant, id), &change(0, "empty"), &[])
        .await
        .expect("a state without events");
    first.append(SessionKey::new(tenant, id), &change(0, "still"), &[]).await.expect("another one");
    first
        .append(SessionKey::new(tenant, id), &change(2, "two"), &[event(1), event(2)])
        .await
        .expect("two");
    second
        .append(SessionKey::new(tenant, id), &change(3, "three"), &[event(3)])
        .await
        .expect("one more");
    second
        .append(SessionKey::new(tenant, id), &change(3, "changed"), &[])
        .await
        .expect("only the state");

    assert_eq!(
        first.load(SessionKey::new(tenant, id)).await.expect("loaded"),
        Some(record(3, "changed"))
    );
    let after = async |seq, limit| {
        first.events_after(SessionKey::new(tenant, id), seq, limit).await.expect("read")
    };
    assert_eq!(after(0, 10).await, [event(1), event(2), event(3)]);
    assert_eq!(after(1, 1).await, [event(2)]);
    assert_eq!(after(3, 10).await, []);
    assert_eq!(after(u64::MAX, 10).await, []);
}

async fn events_that_do_not_continue_the_record_are_refused(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let stored = record(2, "stored");
    store
        .append(SessionKey::new(tenant, id), &change(2, "stored"), &[event(1), event(2)])
        .await
        .expect("stored");
    for (name, change, events) in [
        ("stale", change(2, "x"), vec![event(1), event(2)]),
        ("from the beginning", change(1, "x"), vec![event(1)]),
        ("a hole before", change(4, "x"), vec![event(4)]),
        ("a hole within", change(5, "x"), vec![event(3), event(5)]),
        ("an end elsewhere", change(4, "x"), vec![event(3)]),
        ("out of order", change(4, "x"), vec![event(4), event(3)]),
        ("more events than seq", change(1, "x"), vec![event(0), event(1)]),
        ("a state of the future", change(9, "x"), vec![]),
        ("a state of the past", change(0, "x"), vec![]),
    ] {
        let outcome = store.append(SessionKey::new(tenant, id), &change, &events).await;
        assert!(matches!(outcome, Err(StoreError::Conflict)), "{name}: {outcome:?}");
    }
    assert_eq!(store.load(SessionKey::new(tenant, id)).await.expect("loaded"), Some(stored));
    assert_eq!(store.events_after(SessionKey::new(tenant, id), 0, 9).await.expect("read").len(), 2);
}

async fn of_concurrent_appends_one_is_stored(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    // Once with no record yet, once with one.
    for seq in 1..=2_u64 {
        let mut tasks = JoinSet::new();
        for writer in 0..20 {
            let store = fixture.stores[writer % 2].clone();
            let state = format!("writer {writer}");
            tasks.spawn(async move {
                let outcome = store
                    .append(SessionKey::new(tenant, id), &change(seq, &state), &[event(seq)])
                    .await;
                outcome.map(|()| state)
            });
        }
        let (stored, refused): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(Result::is_ok);
        let [Ok(state)] = &stored[..] else { panic!("{stored:?}") };
        assert!(refused.iter().all(|outcome| matches!(outcome, Err(StoreError::Conflict))));
        let loaded = fixture.store().load(SessionKey::new(tenant, id)).await.expect("loaded");
        assert_eq!(loaded, Some(record(seq, state)));
    }
    assert_eq!(fixture.count("room_events").await, 2);
}

async fn another_tenant_reads_and_writes_nothing(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    store
        .append(SessionKey::new(tenant, id), &change(1, "mine"), &[event(1)])
        .await
        .expect("stored");
    let stranger = TenantId::generate();
    assert_eq!(store.load(SessionKey::new(stranger, id)).await.expect("loaded"), None);
    assert_eq!(store.events_after(SessionKey::new(stranger, id), 0, 9).await.expect("read"), []);
    let outcome =
        store.append(SessionKey::new(stranger, id), &change(2, "theirs"), &[event(2)]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    let outcome =
        store.append(SessionKey::new(stranger, id), &change(1, "theirs"), &[event(1)]).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    let nowhere = SessionId::generate();
    let outcome =
        store.append(SessionKey::new(tenant, nowhere), &change(1, "nowhere"), &[event(1)]).await;
    assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
    assert_eq!(
        store.load(SessionKey::new(tenant, id)).await.expect("loaded"),
        Some(record(1, "mine"))
    );
    assert_eq!(fixture.count("room_records").await, 1);
}

async fn a_long_silence_fits_one_append(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let events: Vec<_> = (1..=1_234).map(event).collect();
    store.append(SessionKey::new(tenant, id), &change(1_234, "s"), &events).await.expect("stored");
    assert_eq!(
        store.events_after(SessionKey::new(tenant, id), 0, 2_000).await.expect("read"),
        events
    );
}

async fn a_change_writes_the_parts_that_it_names_and_no_others(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [first, second] = &fixture.stores;
    first
        .append(SessionKey::new(tenant, id), &change(0, "v"), &[])
        .await
        .expect("the first change");
    let three = [("a", Some("1")), ("b", Some("2")), ("c", Some("3"))];
    first
        .append(SessionKey::new(tenant, id), &parts(1, &three), &[event(1)])
        .await
        .expect("three parts");
    let two = [("b", Some("22")), ("c", None), ("d", None)];
    second
        .append(SessionKey::new(tenant, id), &parts(1, &two), &[])
        .await
        .expect("without an event");
    let stale = first.append(SessionKey::new(tenant, id), &parts(1, &three), &[event(1)]).await;
    assert!(matches!(stale, Err(StoreError::Conflict)), "{stale:?}");

    let loaded = first.load(SessionKey::new(tenant, id)).await.expect("loaded").expect("there");
    assert_eq!((loaded.seq, loaded.state.as_str()), (1, "v"));
    let expected = [("a", "1"), ("b", "22")];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(part, value)| (part.to_owned(), value.to_owned())).collect();
    assert_eq!(loaded.parts, expected, "what was refused has changed nothing");

    let stranger = TenantId::generate();
    let outcome = first.append(SessionKey::new(stranger, id), &parts(1, &[("a", None)]), &[]).await;
    assert!(matches!(outcome, Err(StoreError::Conflict)), "{outcome:?}");
    assert_eq!(fixture.count("room_parts").await, 2);
}

async fn a_room_of_thousands_fits_one_change(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let named: Vec<String> = (0..2_345).map(|number| format!("part/{number:05}")).collect();
    let all: Vec<_> = named.iter().map(|name| (name.clone(), Some("x".to_owned()))).collect();
    let first = StoredChange { seq: 0, state: Some("v".to_owned()), parts: all, arrival: None };
    store.append(SessionKey::new(tenant, id), &first, &[]).await.expect("stored");
    assert_eq!(
        store.load(SessionKey::new(tenant, id)).await.expect("loaded").expect("there").parts.len(),
        2_345
    );
    let gone = named.into_iter().map(|name| (name, None)).collect();
    let change = StoredChange { seq: 0, state: None, parts: gone, arrival: None };
    store.append(SessionKey::new(tenant, id), &change, &[]).await.expect("deleted");
    assert!(
        store
            .load(SessionKey::new(tenant, id))
            .await
            .expect("loaded")
            .expect("there")
            .parts
            .is_empty()
    );
}

/// A connection that was cut at its COMMIT may still be served.
async fn what_is_still_being_stored_is_waited_for(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store().clone());
    store
        .append(SessionKey::new(tenant, id), &change(1, "one"), &[event(1)])
        .await
        .expect("stored");
    assert_eq!(
        store.committed_after(SessionKey::new(tenant, id), 0, 9).await.expect("read"),
        [event(1)]
    );
    let other = fixture.unrestricted.begin().await.expect("begun");
    let backend = other.get_database_backend();
    let advance = "UPDATE room_records SET seq = 2 WHERE session_id = $1";
    let advance = Statement::from_sql_and_values(backend, advance, [id.as_uuid().into()]);
    other.execute_raw(advance).await.expect("advanced");
    let insert = "INSERT INTO room_events (tenant_id, session_id, seq, at, kind, payload) \
                  VALUES ($1, $2, $3, $4, $5, $6)";
    let ToldEvent { at, kind, payload, .. } = event(2);
    let values = [
        tenant.as_uuid().into(),
        id.as_uuid().into(),
        2_i64.into(),
        at.unix_us().into(),
        kind.into(),
        payload.into(),
    ];
    let insert = Statement::from_sql_and_values(backend, insert, values);
    other.execute_raw(insert).await.expect("inserted");
    let looking = store.clone();
    let mut look =
        tokio::spawn(
            async move { looking.committed_after(SessionKey::new(tenant, id), 1, 9).await },
        );
    let early = tokio::time::timeout(Duration::from_millis(200), &mut look).await;
    assert!(early.is_err(), "it did not wait: {early:?}");
    other.commit().await.expect("committed");
    assert_eq!(look.await.expect("it ends").expect("read"), [event(2)]);
    // Looking changes nothing, also where a room has stored nothing yet.
    let fresh = fixture.session(TenantId::generate()).await;
    let found = store.committed_after(fresh.key(), 0, 9).await.expect("read");
    assert_eq!(found, []);
    assert_eq!(store.load(fresh.key()).await.expect("loaded"), None);
    assert_eq!(
        store.load(SessionKey::new(tenant, id)).await.expect("loaded"),
        Some(record(2, "one"))
    );
}
