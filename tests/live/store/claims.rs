//! Who does which background work, and that nobody else writes for it.

use std::collections::BTreeSet;
use std::time::Duration;

use cabildo::claims::repository::ClaimRepository;
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{InstanceId, RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::evidence::repository::{Append, EvidenceRepository, StoredEntry};
use cabildo::recorder::repository::{RecordedGap, RecordingRepository};
use cabildo::store::Store;
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    of_instances_that_come_at_once_one_gets_the_work,
    a_lease_that_ran_out_is_taken_over_with_a_larger_epoch,
    leases_are_renewed_and_given_back_by_their_owner_only,
    the_leases_of_an_instance_that_has_ended_end,
    work_of_others_is_listed_while_their_leases_run,
    an_owner_that_was_replaced_writes_nothing,
    once_work_is_taken_over_no_write_of_its_old_owner_follows,
    a_session_of_another_tenant_can_not_be_claimed,
);

const LONG: Duration = Duration::from_hours(1);

async fn take(
    store: &Store,
    session: &Session,
    instance: InstanceId,
    lease: Duration,
) -> Option<Fence> {
    let work = Work::Recording;
    let taken = store.take(session.key(), work, instance, lease).await;
    taken.expect("answered").map(|epoch| Fence { session: session.id, work, epoch })
}

fn gap(track: RecordedTrackId, from_ms: u64) -> RecordedGap {
    RecordedGap { track, from_ms, to_ms: from_ms + 1, reason: 1 }
}

async fn of_instances_that_come_at_once_one_gets_the_work(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let (store, session) = (fixture.stores[number % 2].clone(), session.clone());
        tasks.spawn(async move { take(&store, &session, InstanceId::generate(), LONG).await });
    }
    let owners: Vec<Fence> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(owners.len(), 1, "{owners:?}");
    // Another kind of work is another claim.
    let (tenant, id) = (session.tenant_id, session.id);
    let other = fixture.store().take(
        SessionKey::new(tenant, id),
        Work::Custody,
        InstanceId::generate(),
        LONG,
    );
    assert_eq!(other.await, Ok(Some(1)));
}

async fn a_lease_that_ran_out_is_taken_over_with_a_larger_epoch(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let [first, second] = &fixture.stores;
    let (early, late) = (InstanceId::generate(), InstanceId::generate());
    let lost = take(first, &session, early, Duration::ZERO).await.expect("free");
    let had = take(second, &session, late, LONG).await.expect("it ran out");
    assert!(had.epoch > lost.epoch);
    assert_eq!(take(first, &session, early, LONG).await, None);
    assert_eq!(first.renew(early, &[lost], LONG).await, Ok(vec![]));
    // Whoever has it may take it again: its own earlier writes are refused then.
    let again = take(second, &session, late, LONG).await.expect("its own");
    assert!(again.epoch > had.epoch);
}

async fn leases_are_renewed_and_given_back_by_their_owner_only(fixture: Fixture) {
    let store = fixture.store();
    let mine = fixture.session(TenantId::generate()).await;
    let ran_out = fixture.session(TenantId::generate()).await;
    let (me, other) = (InstanceId::generate(), InstanceId::generate());
    let held = take(store, &mine, me, LONG).await.expect("free");
    let late = take(store, &ran_out, me, Duration::ZERO).await.expect("free");
    // One that nobody has taken meanwhile is renewed although it ran out.
    let renewed: BTreeSet<Fence> =
        store.renew(me, &[held, late], LONG).await.expect("renewed").into_iter().collect();
    assert_eq!(renewed, BTreeSet::from([held, late]));
    assert_eq!(take(store, &ran_out, other, LONG).await, None);
    assert_eq!(store.renew(other, &[held], LONG).await, Ok(vec![]));
    let stale = Fence { epoch: held.epoch + 1, ..held };
    store.release(stale).await.expect("not its own: nothing");
    assert_eq!(take(store, &mine, other, LONG).await, None);
    store.release(held).await.expect("given back");
    assert_eq!(store.renew(me, &[held], LONG).await, Ok(vec![]), "it came back");
    assert!(take(store, &mine, other, LONG).await.is_some());
}

async fn the_leases_of_an_instance_that_has_ended_end(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let session = fixture.session(TenantId::generate()).await;
    let kept = fixture.session(session.tenant_id).await;
    let (ended, running, next) =
        (InstanceId::generate(), InstanceId::generate(), InstanceId::generate());
    take(first, &session, ended, LONG).await.expect("free");
    take(first, &kept, running, LONG).await.expect("free");
    second.end_instance(ended).await.expect("ended");
    assert!(take(second, &session, next, LONG).await.is_some());
    assert_eq!(take(second, &kept, next, LONG).await, None);
}

async fn work_of_others_is_listed_while_their_leases_run(fixture: Fixture) {
    let store = fixture.store();
    let mine = fixture.session(TenantId::generate()).await;
    let theirs = fixture.session(TenantId::generate()).await;
    let ran_out = fixture.session(TenantId::generate()).await;
    let (me, other) = (InstanceId::generate(), InstanceId::generate());
    take(store, &mine, me, LONG).await.expect("free");
    take(store, &theirs, other, LONG).await.expect("free");
    take(store, &ran_out, other, Duration::ZERO).await.expect("free");
    let listed = store.taken_by_others(Work::Recording, me).await;
    assert_eq!(listed, Ok(BTreeSet::from([theirs.id])));
    assert_eq!(store.taken_by_others(Work::Playables, me).await, Ok(BTreeSet::new()));
}

async fn an_owner_that_was_replaced_writes_nothing(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let lost = take(store, &session, InstanceId::generate(), Duration::ZERO).await.expect("free");
    let had = take(store, &session, InstanceId::generate(), LONG).await.expect("it ran out");
    let (old, new) = (store.with_fence(lost), store.with_fence(had));
    let track = RecordedTrackId::random();
    assert_eq!(
        old.add_gap(SessionKey::new(tenant, id), &gap(track, 1)).await,
        Err(StoreError::Fenced)
    );
    assert_eq!(old.put_retention(SessionKey::new(tenant, id), NOW).await, Err(StoreError::Fenced));
    assert_eq!(old.erased(SessionKey::new(tenant, id), NOW).await, Err(StoreError::Fenced));
    let entry = StoredEntry { seq: 0, bytes: vec![1], leaf: [0; 32] };
    let append = Append {
        expected_size: 0,
        entries: vec![entry],
        events: vec![],
        room_seq: 0,
        last_event_seq: 0,
        closed_seq: None,
    };
    let created = old.create(SessionKey::new(tenant, id), [9; 16], vec![1], append.clone()).await;
    assert_eq!(created, Err(StoreError::Fenced));
    let missing = Fence { session: SessionId::generate(), ..had };
    let nobody =
        store.with_fence(missing).add_gap(SessionKey::new(tenant, id), &gap(track, 1)).await;
    assert_eq!(nobody, Err(StoreError::Fenced), "a claim that nobody took let through");
    assert_eq!(store.gaps(SessionKey::new(tenant, id)).await.expect("read"), []);
    assert_eq!(store.log(SessionKey::new(tenant, id)).await.expect("read"), None);

    new.add_gap(SessionKey::new(tenant, id), &gap(track, 1)).await.expect("the owner writes");
    new.create(SessionKey::new(tenant, id), [9; 16], vec![1], append)
        .await
        .expect("the owner writes");
    let closing = Append {
        expected_size: 1,
        entries: vec![],
        events: vec![],
        room_seq: 0,
        last_event_seq: 0,
        closed_seq: Some(0),
    };
    let closed = EvidenceRepository::append(&old, SessionKey::new(tenant, id), closing).await;
    assert_eq!(closed, Err(StoreError::Fenced));
    let log = store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!(log.closed_seq, None, "an old owner closed the log");
    // Reading needs no claim.
    assert_eq!(old.gaps(SessionKey::new(tenant, id)).await.expect("read").len(), 1);
}

async fn once_work_is_taken_over_no_write_of_its_old_owner_follows(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [first, second] = &fixture.stores;
    let track = RecordedTrackId::random();
    for round in 0..20_u64 {
        let instance = InstanceId::generate();
        let lost = take(first, &session, instance, Duration::ZERO).await.expect("free");
        let old = first.with_fence(lost);
        let writing = tokio::spawn(async move {
            let mut written = round << 32;
            while old.add_gap(SessionKey::new(tenant, id), &gap(track, written)).await.is_ok() {
                written += 1;
            }
        });
        // Some rounds take over at once, others while it writes.
        for _ in 0..round % 4 {
            first.gaps(SessionKey::new(tenant, id)).await.expect("read");
        }
        take(second, &session, InstanceId::generate(), Duration::ZERO).await.expect("it ran out");
        let after = second.gaps(SessionKey::new(tenant, id)).await.expect("read");
        writing.await.expect("it ended");
        let later = second.gaps(SessionKey::new(tenant, id)).await.expect("read");
        assert_eq!(later, after, "round {round}: the old owner wrote after the new one came");
    }
}

async fn a_session_of_another_tenant_can_not_be_claimed(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let store = fixture.store();
    let stranger = TenantId::generate();
    let claim = store.take(
        SessionKey::new(stranger, session.id),
        Work::Custody,
        InstanceId::generate(),
        LONG,
    );
    assert!(matches!(claim.await, Err(StoreError::Refused(_))));
    let (tenant, id) = (session.tenant_id, session.id);
    store
        .take(SessionKey::new(tenant, id), Work::Custody, InstanceId::generate(), Duration::ZERO)
        .await
        .expect("taken");
    let claim =
        store.take(SessionKey::new(stranger, id), Work::Custody, InstanceId::generate(), LONG);
    assert!(!matches!(claim.await, Ok(Some(_))), "it ran out, and a stranger took it");
}
