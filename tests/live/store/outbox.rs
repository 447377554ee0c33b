//! The outbox, and what observers of sessions are told.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::events::{
    Beginning, EventSource, Outbox, OutboxError, OutboxEvent, Position, ReaderName, Scope,
    SealedRecording,
};
use cabildo::evidence::repository::{Append, EvidenceRepository};
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::room::repository::{RoomRepository, StoredChange, ToldEvent};
use cabildo::sessions::{
    Change, ChangeId, FixedLimits, NotTold, RoomEnds, SessionEvent, SessionEventKind,
    SessionObserver, SessionPatch, SessionRepository as _, SessionService, TOLD_BY, TakenEnd,
};
use cabildo::store::Store;
use tokio::task::JoinSet;

use crate::store::evidence::{append, begin};
use crate::store::fixture::{Fixture, NOW, cases, new_session};
use crate::store::recordings::{segment, session_with_track};

cases!(
    every_change_of_a_session_is_in_the_outbox,
    a_change_that_is_not_stored_leaves_no_event,
    a_tenant_reads_its_own_events,
    a_reader_misses_nothing_that_overlapping_writers_store,
    positions_never_change_and_go_on_after_pruning,
    nothing_is_deleted_before_every_reader_has_confirmed_it,
    what_a_parked_session_needs_is_not_deleted_and_is_read_by_itself,
    observers_are_told_of_each_change_in_order,
    what_a_dead_process_left_untold_is_told_by_the_next,
    an_observer_that_fails_is_told_again,
    an_end_is_told_by_the_instance_that_has_the_room,
    a_sealed_recording_is_told_with_the_end_of_its_log,
    events_of_many_rooms_are_read_together_in_their_order,
);

const READER: &str = "kafka";
/// Long after [`NOW`].
const LATER: Timestamp = Timestamp::from_unix_us(1_900_000_000_000_000);

fn reader() -> ReaderName {
    READER.parse().expect("a name")
}

/// Everything after a position, read a few transactions at a time.
async fn all_after(store: &Store, scope: Scope, mut after: Position) -> Vec<OutboxEvent> {
    let mut events = Vec::new();
    loop {
        let batch = store.after(scope, after, 3).await.expect("read");
        if batch.events.is_empty() {
            return events;
        }
        assert!(batch.next > after, "a reading with events goes on");
        after = batch.next;
        events.extend(batch.events);
    }
}

async fn say(store: &Store, session: &Session, first: u64, last: u64) {
    let event = |seq| ToldEvent {
        seq,
        at: NOW,
        kind: "chat".to_owned(),
        payload: format!(r#"{{"seq":{seq}}}"#),
    };
    let state = Some("{}".to_owned());
    let record = StoredChange { seq: last, state, ..StoredChange::default() };
    let events: Vec<_> = (first..=last).map(event).collect();
    let kept = RoomRepository::append(store, session.key(), &record, &events).await;
    kept.expect("kept");
}

async fn every_change_of_a_session_is_in_the_outbox(fixture: Fixture) {
    use EventSource::{Room, Session};

    let [service, _] = fixture.services(5);
    let session = service.create(new_session(TenantId::generate()), NOW).await.expect("created");
    let (tenant, id) = (session.tenant_id, session.id);
    let patch = SessionPatch { title: Change::Set("Otra".to_owned()), ..SessionPatch::default() };
    service.patch(SessionKey::new(tenant, id), 1, patch, NOW).await.expect("changed");
    service
        .patch(SessionKey::new(tenant, id), 2, SessionPatch::default(), NOW)
        .await
        .expect("nothing changes");
    service.start(SessionKey::new(tenant, id), None, NOW).await.expect("started");
    say(fixture.store(), &session, 1, 3).await;
    say(fixture.store(), &session, 4, 4).await;
    service.end(SessionKey::new(tenant, id), None, LATER).await.expect("ended");
    let other = service.create(new_session(tenant), NOW).await.expect("created");
    service.cancel(SessionKey::new(tenant, other.id), None, NOW).await.expect("cancelled");

    let events = all_after(&fixture.stores[1], Scope::Everyone, Position::default()).await;
    let of = |session: SessionId| {
        let of_session = events.iter().filter(move |event| event.session == session);
        of_session.map(|event| (event.source, event.seq, event.kind.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(
        of(id),
        [
            (Session, 1, "session.created.v1"),
            (Session, 2, "session.changed.v1"),
            (Session, 3, "session.started.v1"),
            (Room, 1, "chat"),
            (Room, 2, "chat"),
            (Room, 3, "chat"),
            (Room, 4, "chat"),
            (Session, 4, "session.ended.v1"),
        ]
    );
    assert_eq!(
        of(other.id),
        [(Session, 1, "session.created.v1"), (Session, 2, "session.cancelled.v1")]
    );
    let changed = events.iter().find(|event| event.kind == "session.changed.v1").expect("there");
    let read = SessionEvent::read(&changed.kind, changed.at, &changed.payload).expect("readable");
    assert_eq!((read.kind, read.session.title.as_str()), (SessionEventKind::Changed, "Otra"));
}

async fn a_sealed_recording_is_told_with_the_end_of_its_log(fixture: Fixture) {
    let (session, track) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    for index in 0..3 {
        store
            .add_segment(SessionKey::new(tenant, id), &segment(track.id, index))
            .await
            .expect("added");
    }
    let silent = fixture.session(tenant).await;
    for session in [&session, &silent] {
        begin(store, session, 2).await;
    }
    let of_recordings = async |session: SessionId| {
        let events = all_after(store, Scope::Everyone, Position::default()).await;
        let is_told = |event: &OutboxEvent| {
            event.session == session && event.source == EventSource::Recording
        };
        events.into_iter().filter(is_told).collect::<Vec<_>>()
    };
    // A writer that comes late closes nothing, and tells nothing.
    let late = Append { closed_seq: Some(1), ..append(1, 1) };
    EvidenceRepository::append(store, SessionKey::new(tenant, id), late)
        .await
        .expect_err("it was not the newest");
    assert_eq!(of_recordings(id).await, []);
    for session in [id, silent.id] {
        let closing = Append { closed_seq: Some(2), ..append(2, 1) };
        EvidenceRepository::append(store, SessionKey::new(tenant, session), closing)
            .await
            .expect("closed");
    }
    // What may follow in a closed log is told nobody.
    let after = Append { closed_seq: Some(2), ..append(3, 1) };
    EvidenceRepository::append(store, SessionKey::new(tenant, id), after).await.expect("appended");
    let told = of_recordings(id).await;
    let [told] = &told[..] else { panic!("told {} times", told.len()) };
    assert_eq!((told.kind.as_str(), told.seq), ("recording.sealed.v1", 1));
    let sealed: SealedRecording = serde_json::from_str(&told.payload).expect("readable");
    let expected = SealedRecording { tracks: 1, segments: 3, bytes: 56 + 57 + 58, log_entries: 3 };
    assert_eq!(sealed, expected);
    assert_eq!(of_recordings(silent.id).await, [], "nothing of it was recorded");

    let everything = store.prune(LATER, 99).await.expect("pruned");
    assert!(everything > 0);
    assert_eq!(fixture.count("recording_events").await, 0, "it goes with its row");
}

async fn events_of_many_rooms_are_read_together_in_their_order(fixture: Fixture) {
    let (store, tenant) = (fixture.store(), TenantId::generate());
    let mut sessions = Vec::new();
    for _ in 0..5 {
        sessions.push(fixture.session(tenant).await);
    }
    let before = store.extent().await.expect("read").newest;
    for round in 0..4 {
        for session in &sessions {
            say(store, session, round * 2 + 1, round * 2 + 2).await;
        }
    }
    let batch = store.after(Scope::Tenant(tenant), before, 99).await.expect("read");
    let read: Vec<_> = batch.events.iter().map(|event| (event.session, event.seq)).collect();
    let mut expected = Vec::new();
    for round in 0..4 {
        for session in &sessions {
            expected.extend([(session.id, round * 2 + 1), (session.id, round * 2 + 2)]);
        }
    }
    assert_eq!(read, expected);
}

async fn a_change_that_is_not_stored_leaves_no_event(fixture: Fixture) {
    let [service, _] = fixture.services(0);
    let session = service.create(new_session(TenantId::generate()), NOW).await.expect("created");
    let (tenant, id) = (session.tenant_id, session.id);
    service.start(SessionKey::new(tenant, id), None, NOW).await.expect_err("the limit is reached");
    service.end(SessionKey::new(tenant, id), None, NOW).await.expect_err("it is not active");
    service.cancel(SessionKey::new(tenant, id), Some(9), NOW).await.expect_err("another version");
    assert_eq!(fixture.count("session_events").await, 1);
    assert_eq!(fixture.count("outbox").await, 1);
}

async fn a_tenant_reads_its_own_events(fixture: Fixture) {
    let one = fixture.session(TenantId::generate()).await;
    let other = fixture.session(TenantId::generate()).await;
    say(fixture.store(), &other, 1, 2).await;
    let own = Scope::Tenant(one.tenant_id);
    let events = all_after(fixture.store(), own, Position::default()).await;
    assert!(events.iter().all(|event| event.tenant == one.tenant_id));
    assert_eq!(events.len(), 1);
    let end = fixture.store().after(own, events[0].position, 9).await.expect("read");
    assert_eq!(end.next.number(), 3, "what is not its own is passed over");
}

/// Writers through two stores overlap, and one transaction is held open while
/// others commit; a reader reads all the time.
async fn a_reader_misses_nothing_that_overlapping_writers_store(fixture: Fixture) {
    const WRITERS: u64 = 8;
    const EVENTS: u64 = 15;
    let tenant = TenantId::generate();
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let session = fixture.session(tenant).await;
        let store = fixture.stores[usize::from(number % 2 == 0)].clone();
        writers.spawn(async move {
            for seq in 1..=EVENTS {
                say(&store, &session, seq, seq).await;
            }
        });
    }
    let reader = fixture.store().clone();
    let reading = tokio::spawn(async move {
        let mut read = Vec::new();
        let mut after = Position::default();
        while u64::try_from(read.len()).expect("few") < WRITERS * (EVENTS + 1) {
            let batch = reader.after(Scope::Everyone, after, 2).await.expect("read");
            after = batch.next;
            read.extend(batch.events);
            tokio::task::yield_now().await;
        }
        read
    });
    writers.join_all().await;
    let read = tokio::time::timeout(Duration::from_mins(1), reading).await;
    let read = read.expect("every event is read in the end").expect("read");
    let again = all_after(&fixture.stores[1], Scope::Everyone, Position::default()).await;
    assert_eq!(read, again, "who reads while others write reads what who comes later reads");
    let mut seqs = std::collections::BTreeMap::<SessionId, Vec<u64>>::default();
    for event in read.iter().filter(|event| event.source == EventSource::Room) {
        seqs.entry(event.session).or_default().push(event.seq);
    }
    assert!(seqs.values().all(|seqs| seqs.iter().copied().eq(1..=EVENTS)), "{seqs:?}");
}

async fn positions_never_change_and_go_on_after_pruning(fixture: Fixture) {
    let store = fixture.store();
    let session = fixture.session(TenantId::generate()).await;
    say(store, &session, 1, 1).await;
    let before = all_after(store, Scope::Everyone, Position::default()).await;
    assert_eq!(before.iter().map(|it| it.position.number()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(store.prune(LATER, 10).await, Ok(2));
    assert_eq!(fixture.count("outbox").await, 0);
    assert_eq!(fixture.count("session_events").await, 0);
    assert_eq!(fixture.count("room_events").await, 1, "a room's events are the room's");
    say(store, &session, 2, 2).await;
    let oldest = Position::new(2);
    assert_eq!(
        store.after(Scope::Everyone, Position::new(1), 9).await,
        Err(OutboxError::Expired { oldest })
    );
    let rest = all_after(store, Scope::Everyone, oldest).await;
    assert_eq!(rest.iter().map(|it| (it.position.number(), it.seq)).collect::<Vec<_>>(), [(3, 2)]);
}

async fn what_a_parked_session_needs_is_not_deleted_and_is_read_by_itself(fixture: Fixture) {
    let [store, other] = &fixture.stores;
    let start = store.register(&reader(), Beginning::Newest).await.expect("registered");
    let tenant = TenantId::generate();
    let (parked, beside) = (fixture.session(tenant).await, fixture.session(tenant).await);
    for seq in 1..=3 {
        say(store, &parked, seq, seq).await;
        say(store, &beside, seq, seq).await;
    }
    let all = all_after(store, Scope::Everyone, start).await;
    let of_parked: Vec<_> =
        all.iter().filter(|event| event.session == parked.id).cloned().collect();
    assert_eq!((all.len(), of_parked.len()), (8, 4));
    let scope = Scope::Session(parked.key());
    assert_eq!(all_after(other, scope, start).await, of_parked);
    assert_eq!(all_after(other, scope, of_parked[1].position).await, of_parked[2..]);
    let up_to = of_parked[0].position;
    store.park(&reader(), parked.key(), up_to).await.expect("parked");
    assert_eq!(other.parked(&reader()).await, Ok(vec![(parked.key(), up_to)]));
    store.confirm(&reader(), Position::new(8)).await.expect("confirmed");
    assert_eq!(store.prune(LATER, 10).await, Ok(1), "what the parked session has had");
    let up_to = of_parked[2].position;
    other.park(&reader(), parked.key(), up_to).await.expect("further");
    let between = up_to.number() - of_parked[0].position.number();
    assert_eq!(store.prune(LATER, 10).await, Ok(u32::try_from(between).expect("few")));
    other.unpark(&reader(), parked.key()).await.expect("with the others");
    assert_eq!(store.parked(&reader()).await, Ok(Vec::new()));
    store.park(&reader(), parked.key(), up_to).await.expect("again");
    store.forget_except("kafka", &[]).await.expect("forgotten");
    assert_eq!(store.parked(&reader()).await, Ok(Vec::new()), "it goes with its reader");
    assert!(store.prune(LATER, 10).await.expect("pruned") > 0);
}

async fn nothing_is_deleted_before_every_reader_has_confirmed_it(fixture: Fixture) {
    let [store, other] = &fixture.stores;
    assert_eq!(store.confirm(&reader(), Position::new(1)).await, Err(OutboxError::UnknownReader));
    let start = store.register(&reader(), Beginning::Newest).await.expect("registered");
    assert_eq!(start, Position::default());
    let session = fixture.session(TenantId::generate()).await;
    say(store, &session, 1, 1).await;
    let events = all_after(store, Scope::Everyone, start).await;
    assert_eq!(events.len(), 2);
    assert_eq!(store.prune(LATER, 10).await, Ok(0), "the reader has confirmed nothing");
    other.confirm(&reader(), Position::new(1)).await.expect("confirmed");
    assert_eq!(store.prune(NOW, 10).await, Ok(0), "it is too young");
    assert_eq!(store.prune(LATER, 10).await, Ok(1));
    other.confirm(&reader(), Position::default()).await.expect("going back has no effect");
    other.confirm(&reader(), Position::new(99)).await.expect("as far as there is");
    let known = store.register(&reader(), Beginning::Oldest).await.expect("known");
    assert_eq!(known, Position::new(2), "nobody confirms what is not there");
    assert_eq!(store.prune(LATER, 10).await, Ok(1));
    let late: ReaderName = "late".parse().expect("a name");
    let begins = store.register(&late, Beginning::Oldest).await.expect("registered");
    assert_eq!(begins, Position::new(2));
}

/// Writes down what it is told, and fails as often as it is asked to.
#[derive(Default)]
struct Listener {
    heard: Mutex<Vec<(&'static str, u64)>>,
    failures: Mutex<u32>,
}

impl Listener {
    fn heard(&self) -> Vec<(&'static str, u64)> {
        self.heard.lock().expect("not poisoned").clone()
    }

    fn hear(&self, what: &'static str, session: &Session) -> Result<(), NotTold> {
        let mut failures = self.failures.lock().expect("not poisoned");
        if *failures > 0 {
            *failures -= 1;
            return Err(NotTold("not now".to_owned()));
        }
        self.heard.lock().expect("not poisoned").push((what, session.version));
        Ok(())
    }
}

#[async_trait]
impl SessionObserver for Listener {
    async fn session_started(&self, session: &Session) -> Result<(), NotTold> {
        self.hear("started", session)
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.hear("changed", session)
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        self.hear("ended", session)
    }
}

fn observed(store: &Store) -> (SessionService, Arc<Listener>) {
    let listener = Arc::new(Listener::default());
    let limits = Arc::new(FixedLimits::default());
    let service = SessionService::new(Arc::new(store.clone()), limits, vec![listener.clone()]);
    (service, listener)
}

async fn observers_are_told_of_each_change_in_order(fixture: Fixture) {
    let (service, listener) = observed(fixture.store());
    let session = service.create(new_session(TenantId::generate()), NOW).await.expect("created");
    let (tenant, id) = (session.tenant_id, session.id);
    let patch = |title: &str| SessionPatch {
        title: Change::Set(title.to_owned()),
        ..SessionPatch::default()
    };
    service.patch(SessionKey::new(tenant, id), 1, patch("a"), NOW).await.expect("changed");
    service.start(SessionKey::new(tenant, id), None, NOW).await.expect("started");
    service.patch(SessionKey::new(tenant, id), 3, patch("b"), NOW).await.expect("changed");
    service.end(SessionKey::new(tenant, id), None, NOW).await.expect("ended");
    assert_eq!(listener.heard(), [("changed", 2), ("started", 3), ("changed", 4), ("ended", 5)]);
    // Whoever gives up waiting has no influence on what is told.
    let other = service.create(new_session(tenant), NOW).await.expect("created");
    let given_up = service.start(SessionKey::new(tenant, other.id), None, NOW);
    drop(tokio::time::timeout(Duration::ZERO, given_up).await);
    service.shutdown().await;
    let started = fixture
        .store()
        .find(SessionKey::new(tenant, other.id))
        .await
        .expect("read")
        .expect("there");
    let told = listener.heard().len() == 5;
    assert_eq!(told, started.started_at.is_some(), "what is stored is told");
    assert_eq!(service.tell_untold(LATER).await.expect("read"), 0);
}

async fn what_a_dead_process_left_untold_is_told_by_the_next(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let session = fixture.session(TenantId::generate()).await;
    // The process dies right after the commit.
    let mut started = session.clone();
    started.status = cabildo::domain::session::SessionStatus::Active;
    started.started_at = Some(NOW);
    started.version = 2;
    let event = SessionEvent { kind: SessionEventKind::Started, at: NOW, session: started };
    assert!(first.replace(&event, 1).await.expect("stored"));

    let (service, listener) = observed(second);
    let too_early = service.tell_untold(NOW.after(TOLD_BY)).await.expect("read");
    assert_eq!((too_early, listener.heard()), (0, vec![]), "the first process may be telling it");
    let after = NOW.after(TOLD_BY + Duration::from_secs(1));
    assert_eq!(service.tell_untold(after).await.expect("read"), 1);
    assert_eq!(listener.heard(), [("started", 2)]);
    assert_eq!(service.tell_untold(after).await.expect("read"), 0, "it is told once");
    // What was not told is not deleted either.
    assert_eq!(first.prune(LATER, 10).await, Ok(2));
}

async fn an_observer_that_fails_is_told_again(fixture: Fixture) {
    let (service, listener) = observed(fixture.store());
    let session = service.create(new_session(TenantId::generate()), NOW).await.expect("created");
    *listener.failures.lock().expect("not poisoned") = 2;
    let (tenant, id) = (session.tenant_id, session.id);
    service.start(SessionKey::new(tenant, id), None, NOW).await.expect("started all the same");
    all_after(fixture.store(), Scope::Everyone, Position::default()).await;
    assert_eq!(fixture.store().prune(LATER, 10).await, Ok(1), "the untold change stays");
    assert_eq!(service.tell_untold(LATER).await.expect("read"), 1);
    assert_eq!(listener.heard(), []);
    assert_eq!(service.tell_untold(LATER).await.expect("read"), 1);
    assert_eq!(listener.heard(), [("started", 2)]);
    assert_eq!(service.tell_untold(LATER).await.expect("read"), 0);
}

/// Whether another instance has every room.
#[derive(Default)]
struct Ends {
    are_elsewhere: Mutex<bool>,
}

struct Taken;

#[async_trait]
impl RoomEnds for Ends {
    async fn take(&self, _key: SessionKey) -> Result<Option<Box<dyn TakenEnd>>, StoreError> {
        let are_elsewhere = *self.are_elsewhere.lock().expect("not poisoned");
        Ok((!are_elsewhere).then(|| Box::new(Taken) as Box<dyn TakenEnd>))
    }
}

#[async_trait]
impl TakenEnd for Taken {
    async fn release(self: Box<Self>) {}
}

async fn an_end_is_told_by_the_instance_that_has_the_room(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let (asked, listener) = observed(first);
    let ends = Arc::new(Ends::default());
    let asked = asked.ending_by(ends.clone());
    let (owner, listener_there) = observed(second);
    let owner = owner.ending_by(Arc::new(Ends::default()));
    let tenant = TenantId::generate();
    let started = async || {
        let session = asked.create(new_session(tenant), NOW).await.expect("created");
        asked.start(session.key(), None, NOW).await.expect("started")
    };
    let (one, other) = (started().await, started().await);
    *ends.are_elsewhere.lock().expect("not poisoned") = true;
    let ended = asked.end(one.key(), None, NOW).await.expect("ended");
    let cancelled = asked.cancel(other.key(), None, NOW).await.expect("cancelled");
    assert_eq!(listener.heard(), [("started", 2), ("started", 2)], "it has not the rooms");
    let change_of =
        |session: &Session| ChangeId { tenant, session: session.id, version: session.version };
    owner.session_over(change_of(&ended)).await.expect("read");
    assert_eq!(listener_there.heard(), [("ended", 3)]);
    // The other instance has gone before it told the second end.
    *ends.are_elsewhere.lock().expect("not poisoned") = false;
    for session in [&ended, &cancelled, &cancelled] {
        asked.session_over(change_of(session)).await.expect("read");
    }
    assert_eq!(listener.heard(), [("started", 2), ("started", 2), ("ended", 3)]);
    owner.session_over(change_of(&cancelled)).await.expect("read");
    assert_eq!(listener_there.heard(), [("ended", 3)], "each is told once");
}
