//! Which installation a database belongs to, and what it knows of its stores.

use std::sync::Arc;

use cabildo::clock::{Host, NotedClock};
use cabildo::domain::id::TenantId;
use cabildo::domain::time::Timestamp;
use cabildo::vault::{
    Directory, Identified, IdentifiedVault, Installation as _, NotKnown, Place, WrongPlace,
};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, cases};

cases!(
    instances_that_come_at_once_get_one_identity,
    a_place_is_used_once_it_was_noted,
    a_session_is_data,
    clocks_are_known_by_their_machines,
    of_vaults_that_come_at_once_one_becomes_that_of_several_instances,
    of_key_directories_that_come_at_once_one_becomes_that_of_several_instances,
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

async fn clocks_are_known_by_their_machines(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let host = |name: &str, boot: &str| Host { name: name.to_owned(), boot: boot.to_owned() };
    let noted = |second: i64| NotedClock {
        wall: Timestamp::from_unix_us(second * 1_000_000),
        boot_us: 5,
        ahead_us: -second,
    };
    let found = async |name: &str, boot: &str| {
        let found = second.earlier_clock(&host(name, boot)).await.expect("a store");
        found.map(|it| (it.noted, it.is_same_boot))
    };
    assert_eq!(found("a", "1").await, None);
    for (name, boot, second) in [("a", "1", 90), ("a", "1", 100), ("b", "2", 200)] {
        first.note_clock(&host(name, boot), &noted(second)).await.expect("noted");
    }
    assert_eq!(found("a", "1").await, Some((noted(100), true)));
    assert_eq!(found("a", "3").await, Some((noted(100), false)), "it was started again");
    assert_eq!(found("c", "2").await, Some((noted(200), true)), "another container");
    assert_eq!(found("b", "1").await, Some((noted(100), true)), "the container got another's name");
    assert_eq!(found("c", "").await, None);
    // A machine that notes nothing for a month is forgotten.
    first.note_clock(&host("b", "2"), &noted(100 + 30 * 86_400)).await.expect("noted");
    assert!(found("a", "1").await.is_some());
    first.note_clock(&host("b", "2"), &noted(101 + 30 * 86_400)).await.expect("noted");
    assert_eq!(found("a", "1").await, None);
    assert_eq!(first.newest_of_open_sessions().await, Ok(None));
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

/// The installation, as instances see it that use the database by turns.
async fn installation(fixture: &Fixture, number: usize) -> Identified {
    let store = fixture.stores[number % 2].clone();
    Identified::new(store.identity().await.expect("an identity"), Arc::new(store))
}

/// How many of the places that came at once were taken, when each that was not has no marker.
fn taken(place: Place, outcomes: &[Result<(), NotKnown>]) -> usize {
    for outcome in outcomes {
        let unmarked = |error: &NotKnown| matches!(error, NotKnown::Wrong(WrongPlace::Unmarked { place: it, .. }) if *it == place);
        assert!(outcome.as_ref().err().is_none_or(unmarked), "{outcome:?}");
    }
    outcomes.iter().filter(|outcome| outcome.is_ok()).count()
}

/// How many of so many places may be taken while nothing is stored: SQLite is for one process, whose
/// configuration may still change.
fn may_be_taken(fixture: &Fixture, places: usize) -> usize {
    if fixture.store().serves_several() { 1 } else { places }
}

async fn of_vaults_that_come_at_once_one_becomes_that_of_several_instances(fixture: Fixture) {
    let root = tempfile::tempdir().expect("a directory");
    let mut vaults = Vec::new();
    for number in 0..8 {
        let vault = Directory::open(root.path().join(number.to_string())).expect("opened");
        let installation = installation(&fixture, number).await;
        vaults.push(Arc::new(IdentifiedVault::new(Arc::new(vault), installation)));
    }
    // The second time each looks again, as it does with every check.
    for _ in 0..2 {
        let mut tasks = JoinSet::new();
        for vault in vaults.clone() {
            tasks.spawn(async move { vault.verify().await });
        }
        let outcomes = tasks.join_all().await;
        let one = may_be_taken(&fixture, outcomes.len());
        assert_eq!(taken(Place::Vault, &outcomes), one, "{outcomes:?}");
    }
}

async fn of_key_directories_that_come_at_once_one_becomes_that_of_several_instances(
    fixture: Fixture,
) {
    let root = tempfile::tempdir().expect("a directory");
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        // Of those that have the same directory, none is refused.
        let directory = root.path().join((number % 4).to_string());
        let installation = installation(&fixture, number).await;
        tasks.spawn(async move { installation.verify_keys(&directory).await });
    }
    let outcomes = tasks.join_all().await;
    let two = 2 * may_be_taken(&fixture, 4);
    assert_eq!(taken(Place::Keys, &outcomes), two, "{outcomes:?}");
}
