//! Calls to governance: planned once, due in order, counted, fenced.

use std::time::Duration;

use cabildo::claims::repository::ClaimRepository as _;
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{InstanceId, SessionKey, TenantId};
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::governance::{CallRepository as _, Failure, GovernanceCall, Step};
use cabildo::store::Store;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_call_is_planned_once_and_due_until_it_is_done,
    that_a_session_ended_waits_for_its_start,
    failures_and_refusals_are_counted_apart,
    whoever_was_replaced_notes_nothing,
);

const LONG: Duration = Duration::from_mins(1);

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

/// That a new session has started is to be told.
async fn call(fixture: &Fixture) -> GovernanceCall {
    let session = fixture.session(TenantId::generate()).await;
    GovernanceCall {
        tenant: session.tenant_id,
        session: session.id,
        assembly: session.assembly_id,
        step: Step::Started,
        at: NOW,
        tries: 0,
        refusals: 0,
    }
}

async fn claimed(store: &Store, call: &GovernanceCall, lease: Duration) -> Fence {
    let (work, instance) = (Work::Governance, InstanceId::generate());
    let taken = store.take(SessionKey::new(call.tenant, call.session), work, instance, lease).await;
    let epoch = taken.expect("answered").expect("free");
    Fence { session: call.session, work, epoch }
}

async fn a_call_is_planned_once_and_due_until_it_is_done(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let told = call(&fixture).await;
    first.plan(std::slice::from_ref(&told)).await.expect("planned");
    second.plan(std::slice::from_ref(&told)).await.expect("known already");
    assert_eq!(first.waiting().await, Ok(1));
    assert_eq!(second.due(NOW, 9).await, Ok(vec![told]));
    let fence = claimed(first, &told, LONG).await;
    first.done(fence, &told, later(1)).await.expect("noted");
    first.plan(std::slice::from_ref(&told)).await.expect("known, and done");
    assert_eq!(first.waiting().await, Ok(0));
    assert_eq!(first.due(later(99), 9).await, Ok(vec![]));
}

async fn that_a_session_ended_waits_for_its_start(fixture: Fixture) {
    let store = fixture.store();
    let started = call(&fixture).await;
    let ended = GovernanceCall { step: Step::Ended, ..started };
    store.plan(&[started, ended]).await.expect("planned");
    assert_eq!(store.due(later(1), 9).await, Ok(vec![started]));
    let fence = claimed(store, &started, LONG).await;
    store.done(fence, &started, later(1)).await.expect("noted");
    assert_eq!(store.due(later(1), 9).await, Ok(vec![ended]));
}

async fn failures_and_refusals_are_counted_apart(fixture: Fixture) {
    let store = fixture.store();
    let told = call(&fixture).await;
    store.plan(std::slice::from_ref(&told)).await.expect("planned");
    let fence = claimed(store, &told, LONG).await;
    for (failure, due) in [(Failure::NoAnswer, 5), (Failure::NoAnswer, 6), (Failure::Refused, 7)] {
        store.postpone(fence, &told, (failure, later(due))).await.expect("noted");
    }
    assert_eq!(store.due(later(6), 9).await, Ok(vec![]));
    let counted = GovernanceCall { tries: 3, refusals: 1, ..told };
    assert_eq!(store.due(later(7), 9).await, Ok(vec![counted]));
}

async fn whoever_was_replaced_notes_nothing(fixture: Fixture) {
    let store = fixture.store();
    let told = call(&fixture).await;
    store.plan(std::slice::from_ref(&told)).await.expect("planned");
    let old = claimed(store, &told, Duration::ZERO).await;
    claimed(store, &told, LONG).await;
    assert_eq!(store.done(old, &told, later(1)).await, Err(StoreError::Fenced));
    assert_eq!(store.waiting().await, Ok(1));
}
