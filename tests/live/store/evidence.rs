//! Logs of sessions.

use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::evidence::EventKind;
use cabildo::evidence::repository::{
    Append, EvidenceRepository, StoredEntry, StoredEvent, StoredHead,
};
use cabildo::store::Store;
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_log_continues_where_it_stopped,
    a_log_is_begun_once,
    entries_that_do_not_continue_the_log_are_refused,
    of_concurrent_beginnings_one_is_stored,
    of_concurrent_appends_to_a_log_one_is_stored,
    another_tenant_reads_and_writes_no_log,
    heads_stay_as_they_were_signed,
    of_concurrent_heads_one_continues_the_chain,
    events_are_found_by_kind,
    destroying_the_events_key_deletes_the_texts,
    a_destroyed_or_newer_events_key_is_not_replaced,
    a_log_is_open_until_it_is_closed,
    a_long_log_fits_one_append,
    operator_leaves_have_neither_holes_nor_duplicates,
);

const KEY: [u8; 6] = [1, 0, 0, 0, 1, 7];

fn entry(seq: u64, salt: u8) -> StoredEntry {
    let bytes = [&seq.to_be_bytes()[..], &[salt]].concat();
    let leaf = Sha256::new().chain_update([0]).chain_update(&bytes).finalize().into();
    StoredEntry { seq, bytes, leaf }
}

fn event(seq: u64, kind: EventKind) -> StoredEvent {
    StoredEvent { seq, kind, text: format!(r#"{{"text":"¡Sí! {seq}"}}"#) }
}

/// Entries from `from` on, each of them an event of kind 3.
pub(crate) fn append(from: u64, count: u64) -> Append {
    let range = from..from + count;
    Append {
        expected_size: from,
        entries: range.clone().map(|seq| entry(seq, 0)).collect(),
        events: range.map(|seq| event(seq, EventKind::RoomEvent)).collect(),
        room_seq: from + count,
        last_event_seq: (from + count).saturating_sub(1),
        closed_seq: None,
    }
}

fn head(tree_size: u64, root: u8) -> StoredHead {
    let jws = format!("{tree_size}.{root}");
    StoredHead { tree_size, root: [root; 32], at: NOW, cose: vec![0xd2, root], jws }
}

pub(crate) async fn begin(store: &Store, session: &Session, count: u64) {
    let (tenant, id) = (session.tenant_id, session.id);
    store
        .create(SessionKey::new(tenant, id), [9; 16], KEY.to_vec(), append(0, count))
        .await
        .expect("begun");
}

async fn session_with_log(fixture: &Fixture, count: u64) -> Session {
    let session = fixture.session(TenantId::generate()).await;
    begin(fixture.store(), &session, count).await;
    session
}

async fn a_log_continues_where_it_stopped(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [first, second] = &fixture.stores;
    assert_eq!(first.log(SessionKey::new(tenant, id)).await.expect("read"), None);
    begin(first, &session, 2).await;
    EvidenceRepository::append(second, SessionKey::new(tenant, id), append(2, 3))
        .await
        .expect("continued");
    // Only the position in the room's events moves on.
    let none = Append { room_seq: 40, last_event_seq: 4, ..append(5, 0) };
    EvidenceRepository::append(first, SessionKey::new(tenant, id), none)
        .await
        .expect("nothing is fine too");

    let log = second.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!((log.log_id, log.size, log.room_seq), ([9; 16], 5, 40));
    assert_eq!((log.last_event_seq, log.closed_seq), (4, None));
    assert_eq!(log.events_key, Some(KEY.to_vec()));
    let all: Vec<_> = (0..5).map(|seq| entry(seq, 0)).collect();
    assert_eq!(first.entries(SessionKey::new(tenant, id), 0, 9).await.expect("read"), all);
    assert_eq!(first.entries(SessionKey::new(tenant, id), 1, 2).await.expect("read"), all[1..3]);
    assert_eq!(first.entries(SessionKey::new(tenant, id), 5, 9).await.expect("read"), []);
    assert_eq!(first.entries(SessionKey::new(tenant, id), u64::MAX, 9).await.expect("read"), []);
    let leaves: Vec<_> = all.iter().map(|entry| entry.leaf).collect();
    assert_eq!(first.leaves(SessionKey::new(tenant, id), 0).await.expect("read"), leaves);
    assert_eq!(first.leaves(SessionKey::new(tenant, id), 3).await.expect("read"), leaves[3..]);
}

async fn a_log_is_begun_once(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let again = store.create(SessionKey::new(tenant, id), [8; 16], vec![8], append(0, 4)).await;
    assert_eq!(again, Err(StoreError::Conflict));
    let log = store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!((log.log_id, log.size), ([9; 16], 2));
    let other = fixture.session(tenant).await;
    let late =
        store.create(SessionKey::new(tenant, other.id), [8; 16], vec![8], append(1, 2)).await;
    assert_eq!(late, Err(StoreError::Conflict), "it began in the middle");
    assert_eq!(store.log(SessionKey::new(tenant, other.id)).await.expect("read"), None);
}

async fn entries_that_do_not_continue_the_log_are_refused(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let with = |expected_size, seqs: &[u64]| Append {
        entries: seqs.iter().map(|seq| entry(*seq, 1)).collect(),
        events: vec![],
        ..append(expected_size, 0)
    };
    for (name, append) in [
        ("from the beginning", with(0, &[0, 1])),
        ("one back", with(1, &[1])),
        ("too far on", with(3, &[3])),
        ("a hole before", with(2, &[3])),
        ("a hole within", with(2, &[2, 4])),
        ("out of order", with(2, &[3, 2])),
        ("twice", with(2, &[2, 2])),
        ("nothing, elsewhere", with(9, &[])),
        ("beyond counting", with(u64::MAX, &[u64::MAX, 0])),
    ] {
        let outcome = EvidenceRepository::append(store, SessionKey::new(tenant, id), append).await;
        assert_eq!(outcome, Err(StoreError::Conflict), "{name}");
    }
    assert_eq!(
        store.log(SessionKey::new(tenant, id)).await.expect("read").map(|log| log.size),
        Some(2)
    );
    assert_eq!(fixture.count("evidence_entries").await, 2);
}

async fn of_concurrent_beginnings_one_is_stored(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let mut tasks = JoinSet::new();
    for writer in 0..12_u8 {
        let store = fixture.stores[usize::from(writer % 2)].clone();
        tasks.spawn(async move {
            let outcome = store
                .create(SessionKey::new(tenant, id), [writer; 16], KEY.to_vec(), append(0, 2))
                .await;
            outcome.map(|()| [writer; 16])
        });
    }
    let (begun, refused): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(Result::is_ok);
    let [Ok(log_id)] = &begun[..] else { panic!("{begun:?}") };
    assert!(refused.iter().all(|outcome| *outcome == Err(StoreError::Conflict)));
    let log = fixture.store().log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!((log.log_id, log.size), (*log_id, 2));
    assert_eq!(fixture.count("evidence_entries").await, 2);
    assert_eq!(fixture.count("open_logs").await, 1);
}

async fn of_concurrent_appends_to_a_log_one_is_stored(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (tenant, id) = (session.tenant_id, session.id);
    for size in [2_u64, 3] {
        let mut tasks = JoinSet::new();
        for writer in 0..20_u8 {
            let store = fixture.stores[usize::from(writer % 2)].clone();
            let mine = entry(size, writer);
            let append = Append { entries: vec![mine.clone()], ..append(size, 1) };
            tasks.spawn(async move {
                let outcome =
                    EvidenceRepository::append(&store, SessionKey::new(tenant, id), append).await;
                outcome.map(|()| mine)
            });
        }
        let (stored, refused): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(Result::is_ok);
        let [Ok(winner)] = &stored[..] else { panic!("{stored:?}") };
        assert!(refused.iter().all(|outcome| *outcome == Err(StoreError::Conflict)));
        let entries =
            fixture.store().entries(SessionKey::new(tenant, id), size, 9).await.expect("read");
        assert_eq!(entries, std::slice::from_ref(winner), "two writers forked the log");
    }
    assert_eq!(fixture.count("evidence_entries").await, 4);
    assert_eq!(fixture.count("evidence_events").await, 4);
}

async fn another_tenant_reads_and_writes_no_log(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    store.put_head(SessionKey::new(tenant, id), 0, &head(2, 1)).await.expect("put");
    let stranger = TenantId::generate();
    assert_eq!(store.log(SessionKey::new(stranger, id)).await.expect("read"), None);
    assert_eq!(
        store.leaves(SessionKey::new(stranger, id), 0).await.expect("read"),
        [] as [[u8; 32]; 0]
    );
    assert_eq!(store.entries(SessionKey::new(stranger, id), 0, 9).await.expect("read"), []);
    assert_eq!(store.heads(SessionKey::new(stranger, id), 0, 9).await.expect("read"), []);
    assert_eq!(store.latest_head(SessionKey::new(stranger, id)).await.expect("read"), None);
    assert_eq!(store.events(SessionKey::new(stranger, id), &[], 0, 9).await.expect("read"), []);
    let outcome =
        EvidenceRepository::append(store, SessionKey::new(stranger, id), append(2, 1)).await;
    assert_eq!(outcome, Err(StoreError::Conflict));
    let outcome = store.put_events_key(SessionKey::new(stranger, id), None).await;
    assert_eq!(outcome, Err(StoreError::Conflict));
    for session in [id, SessionId::generate()] {
        let outcome =
            store.create(SessionKey::new(stranger, session), [1; 16], vec![], append(0, 2)).await;
        assert!(matches!(outcome, Err(StoreError::Refused(_))), "{outcome:?}");
        let outcome = store.put_head(SessionKey::new(stranger, session), 0, &head(2, 2)).await;
        assert_eq!(outcome, Err(StoreError::Conflict));
    }
    let log = store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!((log.size, log.events_key), (2, Some(KEY.to_vec())));
    assert_eq!(store.unclosed().await.expect("read"), [SessionKey::new(tenant, id)]);
    assert_eq!(store.events(SessionKey::new(tenant, id), &[], 0, 9).await.expect("read").len(), 2);
}

async fn heads_stay_as_they_were_signed(fixture: Fixture) {
    let session = session_with_log(&fixture, 4).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    assert_eq!(store.latest_head(SessionKey::new(tenant, id)).await.expect("read"), None);
    for (previous, head) in [(0, head(2, 2)), (2, head(3, 3)), (3, head(4, 4))] {
        store.put_head(SessionKey::new(tenant, id), previous, &head).await.expect("put");
    }
    // Signed anew: ECDSA need not sign twice alike, but the root is the same.
    let again = StoredHead { cose: vec![1, 2, 3], jws: "other".to_owned(), ..head(3, 3) };
    store.put_head(SessionKey::new(tenant, id), 2, &again).await.expect("the first one stays");
    for (name, previous, head) in [
        ("another root", 2, head(3, 9)),
        ("another root of the largest", 3, head(4, 9)),
        ("after one that is not the largest", 3, head(5, 5)),
        ("after one that is not there", 5, head(6, 6)),
        ("a second first", 0, head(9, 9)),
        ("smaller than the one before", 4, head(1, 1)),
    ] {
        let outcome = store.put_head(SessionKey::new(tenant, id), previous, &head).await;
        assert_eq!(outcome, Err(StoreError::Conflict), "{name}");
    }
    let all = [head(2, 2), head(3, 3), head(4, 4)];
    assert_eq!(store.heads(SessionKey::new(tenant, id), 0, 9).await.expect("read"), all);
    assert_eq!(store.heads(SessionKey::new(tenant, id), 3, 1).await.expect("read"), all[1..2]);
    assert_eq!(
        store.latest_head(SessionKey::new(tenant, id)).await.expect("read"),
        Some(head(4, 4))
    );
}

async fn of_concurrent_heads_one_continues_the_chain(fixture: Fixture) {
    let session = session_with_log(&fixture, 9).await;
    let (tenant, id) = (session.tenant_id, session.id);
    for (previous, sizes) in [(0, 2..5), (4, 5..8)] {
        let mut tasks = JoinSet::new();
        for (number, size) in sizes.clone().cycle().take(12).enumerate() {
            let store = fixture.stores[number % 2].clone();
            tasks.spawn(async move {
                // The largest of the first round is the one before the second.
                let size = if previous == 0 { 4 } else { size };
                let root = u8::try_from(number).expect("small");
                let head = head(size, root);
                store.put_head(SessionKey::new(tenant, id), previous, &head).await.map(|()| head)
            });
        }
        let (stored, refused): (Vec<_>, Vec<_>) =
            tasks.join_all().await.into_iter().partition(Result::is_ok);
        let [Ok(winner)] = &stored[..] else { panic!("{stored:?}") };
        assert!(refused.iter().all(|outcome| *outcome == Err(StoreError::Conflict)));
        let latest = fixture.store().latest_head(SessionKey::new(tenant, id)).await.expect("read");
        assert_eq!(latest.as_ref(), Some(winner));
    }
    assert_eq!(fixture.count("evidence_heads").await, 2);
}

async fn events_are_found_by_kind(fixture: Fixture) {
    use EventKind::{Attendance, Disclosure, Transcript, Vote};

    let session = session_with_log(&fixture, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let kinds =
        [event(2, Attendance), event(3, Transcript), event(4, Attendance), event(5, Disclosure)];
    let mixed = Append { events: kinds.to_vec(), ..append(2, 4) };
    EvidenceRepository::append(store, SessionKey::new(tenant, id), mixed).await.expect("appended");
    let found = async |etypes: &[EventKind], from, limit| {
        store.events(SessionKey::new(tenant, id), etypes, from, limit).await.expect("read")
    };
    assert_eq!(found(&[Attendance], 0, 9).await, [event(2, Attendance), event(4, Attendance)]);
    assert_eq!(
        found(&[Attendance, Disclosure], 3, 9).await,
        [event(4, Attendance), event(5, Disclosure)]
    );
    assert_eq!(found(&[Attendance, Disclosure], 0, 1).await, [event(2, Attendance)]);
    assert_eq!(found(&[Vote], 0, 9).await, []);
    assert_eq!(found(&[], 0, 99).await.len(), 6);
}

async fn destroying_the_events_key_deletes_the_texts(fixture: Fixture) {
    let session = session_with_log(&fixture, 3).await;
    let other = fixture.session(session.tenant_id).await;
    begin(fixture.store(), &other, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    for _ in 0..2 {
        store
            .put_events_key(SessionKey::new(tenant, id), None)
            .await
            .expect("destroyed, and once more");
        let log = store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
        assert_eq!((log.size, log.events_key), (3, None));
        assert_eq!(store.events(SessionKey::new(tenant, id), &[], 0, 9).await.expect("read"), []);
    }
    assert_eq!(store.entries(SessionKey::new(tenant, id), 0, 9).await.expect("read").len(), 3);
    // Whoever was about to append when the key went leaves no text behind.
    EvidenceRepository::append(store, SessionKey::new(tenant, id), append(3, 1))
        .await
        .expect("appended");
    assert_eq!(store.entries(SessionKey::new(tenant, id), 0, 9).await.expect("read").len(), 4);
    assert_eq!(store.events(SessionKey::new(tenant, id), &[], 0, 9).await.expect("read"), []);
    assert_eq!(
        store.events(SessionKey::new(tenant, other.id), &[], 0, 9).await.expect("read").len(),
        2
    );
}

async fn a_destroyed_or_newer_events_key_is_not_replaced(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let wrapped = |version| vec![1, 0, 0, 0, version, 7];
    store.put_events_key(SessionKey::new(tenant, id), Some(wrapped(3))).await.expect("rewrapped");
    let older = store.put_events_key(SessionKey::new(tenant, id), Some(wrapped(2))).await;
    assert_eq!(older, Err(StoreError::Conflict));
    let log = store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    assert_eq!(log.events_key, Some(wrapped(3)));
    assert_eq!(store.events(SessionKey::new(tenant, id), &[], 0, 9).await.expect("read").len(), 2);
    store.put_events_key(SessionKey::new(tenant, id), None).await.expect("destroyed");
    let back = store.put_events_key(SessionKey::new(tenant, id), Some(wrapped(4))).await;
    assert_eq!(back, Err(StoreError::Conflict));
    let missing = store
        .put_events_key(SessionKey::new(tenant, SessionId::generate()), Some(wrapped(4)))
        .await;
    assert_eq!(missing, Err(StoreError::Conflict));
}

async fn a_log_is_open_until_it_is_closed(fixture: Fixture) {
    let store = fixture.store();
    let mut open = Vec::new();
    for _ in 0..3 {
        let session = session_with_log(&fixture, 2).await;
        open.push(session.key());
    }
    open.sort_by_key(|key| key.session);
    assert_eq!(fixture.stores[1].unclosed().await.expect("read"), open);
    let key = open.remove(1);
    let close = Append { closed_seq: Some(2), ..append(2, 1) };
    // What fails closes nothing.
    let stale = Append { closed_seq: Some(1), ..append(1, 1) };
    let stale = EvidenceRepository::append(store, key, stale).await;
    assert_eq!(stale, Err(StoreError::Conflict));
    assert_eq!(store.unclosed().await.expect("read").len(), 3);
    EvidenceRepository::append(store, key, close).await.expect("closed");
    assert_eq!(store.unclosed().await.expect("read"), open);
    let after = Append { closed_seq: Some(2), ..append(3, 1) };
    EvidenceRepository::append(store, key, after).await.expect("an erasure follows");
    let log = store.log(key).await.expect("read").expect("a log");
    assert_eq!((log.size, log.closed_seq), (4, Some(2)));
    assert_eq!(store.unclosed().await.expect("read"), open);
}

async fn a_long_log_fits_one_append(fixture: Fixture) {
    let session = session_with_log(&fixture, 2).await;
    let (key, store) = (session.key(), fixture.store());
    let long = append(2, 7_000);
    EvidenceRepository::append(store, key, long.clone()).await.expect("appended");
    assert_eq!(store.entries(key, 2, 9_999).await.expect("read"), long.entries);
    assert_eq!(store.events(key, &[], 2, 9_999).await.expect("read"), long.events);
    assert_eq!(store.leaves(key, 0).await.expect("read").len(), 7_002);
}

async fn operator_leaves_have_neither_holes_nor_duplicates(fixture: Fixture) {
    let store = fixture.store();
    assert_eq!(store.operator_size().await.expect("read"), 0);
    let sessions = [SessionId::generate(), SessionId::generate()];
    assert_eq!(store.operator_leaf_of(sessions[0]).await.expect("read"), None);
    let mut tasks = JoinSet::new();
    // Each leaf comes twice, through both stores.
    for number in 0..40_u8 {
        let store = fixture.stores[usize::from(number % 2)].clone();
        let leaf = number / 2;
        let session = sessions[usize::from(leaf % 2)];
        tasks.spawn(async move {
            let size = u64::from(leaf) + 2;
            let index = store.append_operator_leaf(session, size, &[leaf; 200]).await;
            (index.expect("appended"), leaf)
        });
    }
    let mut given = tasks.join_all().await;
    given.sort_unstable();
    given.dedup();
    let indexes: Vec<_> = given.iter().map(|(index, _)| *index).collect();
    assert_eq!(indexes, (0..20).collect::<Vec<_>>());
    assert_eq!(store.operator_size().await.expect("read"), 20);
    let leaves = store.operator_leaves(0, 99).await.expect("read");
    let expected: Vec<_> = given.iter().map(|(_, leaf)| vec![*leaf; 200]).collect();
    assert_eq!(leaves, expected);
    assert_eq!(store.operator_leaves(18, 99).await.expect("read"), leaves[18..]);
    assert_eq!(store.operator_leaves(3, 2).await.expect("read"), leaves[3..5]);
    assert_eq!(store.operator_leaves(u64::MAX, 2).await.expect("read"), [] as [Vec<u8>; 0]);
    for (which, session) in sessions.into_iter().enumerate() {
        let newest = given.iter().rev().find(|(_, leaf)| usize::from(leaf % 2) == which);
        let (index, leaf) = newest.expect("a leaf");
        let found = store.operator_leaf_of(session).await.expect("read");
        assert_eq!(found, Some((*index, vec![*leaf; 200])));
    }
}
