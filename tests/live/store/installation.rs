//! Which installation a database belongs to, and what it knows of its stores.

use cabildo::domain::id::TenantId;
use cabildo::vault::{Installation as _, Place};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, cases};

cases!(
    instances_that_come_at_once_get_one_identity,
    a_place_is_used_once_it_was_noted,
    a_session_is_data,
);

async fn instances_that_come_at_once_get_one_identity(fixture: Fixture) {
    assert_eq!(fixture.store().known_identity().await, Ok(None));
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = fixture.stores[number % 2].clone();
        tasks.spawn(async move { store.identity().await.expect("an identity") });
    }
    let given = tasks.join_all().await;
    assert!(given.iter().all(|identity| *identity == given[0]), "{given:?}");
    assert_eq!(fixture.stores[1].known_identity().await, Ok(Some(given[0])));
    assert_eq!(fixture.count("installation").await, 1);
}

async fn a_place_is_used_once_it_was_noted(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    first.identity().await.expect("an identity");
    assert_eq!(second.is_used(Place::Vault).await, Ok(false));
    for store in &fixture.stores {
        store.note_used(Place::Vault).await.expect("noted");
    }
    assert_eq!(second.is_used(Place::Vault).await, Ok(true));
    assert_eq!(second.is_used(Place::Keys).await, Ok(false));
    first.note_used(Place::Keys).await.expect("noted");
    assert_eq!(second.is_used(Place::Keys).await, Ok(true));
}

async fn a_session_is_data(fixture: Fixture) {
    assert_eq!(fixture.store().has_data().await, Ok(false));
    fixture.session(TenantId::generate()).await;
    assert_eq!(fixture.stores[1].has_data().await, Ok(true));
}
