//! Rooms with a real store and media plane: who reads slowly, a repository that
//! fails, and two processes that believe they have the same room.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::clock::Clock;
use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::{Modality, Session, SessionStatus};
use cabildo::domain::store_error::StoreError;
use cabildo::room::action::{Action, ChatAction, PeopleAction};
use cabildo::room::error::RoomError;
use cabildo::room::ports::{LossReason, RoomPorts};
use cabildo::room::repository::{RoomRepository, StoredChange, StoredRoom, ToldEvent};
use cabildo::room::{Entered, MediaAfterLoss, Outbound, ResumeRequest, Rooms};
use cabildo::sessions::{FixedLimits, NewSession, SessionRepository, SessionService};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::{Store, StoreOptions};
use serde_json::Value;
use tokio::sync::mpsc;

mod desk;
mod last_words;
mod opening;
mod outcomes;
mod told;

const PATIENCE: Duration = Duration::from_secs(30);

/// A repository that can be told to fail.
struct Fragile {
    store: Store,
    broken: AtomicBool,
    appends: AtomicUsize,
}

impl Fragile {
    fn check(&self) -> Result<(), StoreError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("told to".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl RoomRepository for Fragile {
    async fn load(&self, key: SessionKey) -> Result<Option<StoredRoom>, StoreError> {
        self.check()?;
        self.store.load(key).await
    }

    async fn append(
        &self,
        key: SessionKey,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError> {
        self.check()?;
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.store.append(key, change, events).await
    }

    async fn events_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.check()?;
        self.store.events_after(key, after, limit).await
    }

    async fn committed_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.check()?;
        self.store.committed_after(key, after, limit).await
    }
}

/// A database with one active session.
struct House {
    store: Store,
    tenant: TenantId,
    session: SessionId,
    _data: tempfile::TempDir,
}

impl House {
    async fn build() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut NewSession)) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
        let store = Store::connect(&options).await.expect("a store");
        let tenant = TenantId::generate();
        let session = start_session(&store, tenant, change).await;
        Self { store, tenant, session, _data: data }
    }

    /// One more active session of the tenant.
    async fn another_session(&self) -> SessionId {
        start_session(&self.store, self.tenant, |_| {}).await
    }

    /// The session as it is once it has been completed.
    async fn ended(&self) -> Session {
        let found =
            self.store.find(SessionKey::new(self.tenant, self.session)).await.expect("readable");
        Session { status: SessionStatus::Completed, ..found.expect("there") }
    }

    /// Another process that works on the same database.
    fn process(&self) -> (Rooms, Arc<Fragile>) {
        self.process_with(RoomPorts::default())
    }

    fn process_with(&self, ports: RoomPorts) -> (Rooms, Arc<Fragile>) {
        let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
        let repository =
            Fragile { store: self.store.clone(), broken: false.into(), appends: 0.into() };
        let repository = Arc::new(repository);
        let rooms = Rooms::new(
            Arc::new(self.store.clone()),
            repository.clone(),
            media.expect("a media plane"),
            Clock::system(),
            ports,
        );
        (rooms, repository)
    }

    fn principal(&self, name: &str) -> Principal {
        self.principal_as(name, Role::Moderator)
    }

    fn principal_as(&self, name: &str, role: Role) -> Principal {
        Principal {
            tenant_id: self.tenant,
            user_id: name.parse().expect("a user id"),
            roles: Roles::of(&[role]),
            name: name.to_owned(),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: Clock::system().now().after(Duration::from_hours(1)),
            judged_at: Clock::system().now(),
        }
    }

    async fn enter(&self, rooms: &Rooms, name: &str, queue: usize) -> (Entered, Inbox) {
        let (sink, outbound) = mpsc::channel(queue);
        let principal = self.principal(name);
        let entered = rooms.enter(principal, self.session, [1; 32], sink).await.expect("let in");
        (entered, Inbox::new(outbound))
    }
}

async fn start_session(
    store: &Store,
    tenant: TenantId,
    change: impl FnOnce(&mut NewSession),
) -> SessionId {
    let limits = Arc::new(FixedLimits::default());
    let sessions = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
    let now = Clock::system().now();
    let mut wanted = NewSession::new(tenant, AssemblyId::generate(), "Assembly", Modality::Mixed);
    change(&mut wanted);
    let session = sessions.create(wanted, now).await.expect("created").id;
    sessions.start(SessionKey::new(tenant, session), None, now).await.expect("started");
    session
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("done in time")
}

fn chat(text: &str) -> Action {
    ChatAction::Say { text: text.to_owned() }.into()
}

/// The queue of a connection, read event by event.
struct Inbox {
    outbound: mpsc::Receiver<Outbound>,
    /// Events that came together with one that was read.
    unread: VecDeque<Arc<str>>,
}

impl Inbox {
    fn new(outbound: mpsc::Receiver<Outbound>) -> Self {
        Self { outbound, unread: VecDeque::new() }
    }
}

/// What is told next, as JSON; `None` when the room has let the socket go.
async fn told(inbox: &mut Inbox) -> Option<Value> {
    loop {
        if let Some(text) = inbox.unread.pop_front() {
            return Some(serde_json::from_str(&text).expect("JSON"));
        }
        match tokio::time::timeout(PATIENCE, inbox.outbound.recv()).await.expect("told in time")? {
            Outbound::Told(texts) => inbox.unread.extend(texts.iter().cloned()),
            Outbound::Closing => return None,
            _ => {}
        }
    }
}

async fn told_chat(outbound: &mut Inbox) -> String {
    loop {
        let event = told(outbound).await.expect("still there");
        if event["type"] == "chat" {
            return event["text"].as_str().expect("a text").to_owned();
        }
    }
}

#[tokio::test]
async fn a_slow_reader_is_let_go_and_loses_nothing() {
    let house = House::build().await;
    let (rooms, _) = house.process();
    let (slow, mut unread) = house.enter(&rooms, "slow", 4).await;
    let (quick, mut read) = house.enter(&rooms, "quick", 512).await;
    for line in 0..20 {
        quick.member.act(chat(&line.to_string())).await.expect("said");
    }
    for line in 0..20 {
        assert_eq!(told_chat(&mut read).await, line.to_string(), "others wait for nobody");
    }
    let mut seen = slow.view.seq;
    while let Some(event) = told(&mut unread).await {
        seen = event["seq"].as_u64().expect("a number");
    }
    assert!(seen < 20, "the queue held everything");
    slow.member.lost(LossReason::SlowOrSilent).await;
    let request = ResumeRequest {
        connection: slow.member.connection,
        secret: [1; 32],
        next: [2; 32],
        last_seq: seen,
        media: MediaAfterLoss::Kept,
        at: Clock::system().now(),
    };
    let (sink, _outbound) = mpsc::channel(512);
    let back = rooms.resume(house.session, house.tenant, request, sink).await.expect("resumed");
    let missed: Vec<Value> = back
        .missed
        .expect("few enough")
        .iter()
        .map(|text| serde_json::from_str(text).expect("JSON"))
        .collect();
    let seqs: Vec<u64> = missed.iter().filter_map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, (seen + 1..=back.view.seq).collect::<Vec<_>>(), "a hole");
    assert!(missed.iter().any(|event| event["text"] == "19"));
    rooms.shutdown().await;
}

/// Everybody is cut off and comes back at the same time, as after a fault of the network.
#[tokio::test]
async fn those_who_come_back_together_cost_one_transaction_and_no_event() {
    const PEOPLE: u8 = 40;
    let house = House::with(|session| session.max_participants = Some(u32::from(PEOPLE))).await;
    let (rooms, repository) = house.process();
    let mut held = Vec::new();
    for number in 0..PEOPLE {
        held.push(house.enter(&rooms, &format!("person-{number}"), 512).await);
    }
    let (first, _) = &held[0];
    first.member.act(chat("before the cut")).await.expect("said");
    let appends = |repository: &Fragile| repository.appends.load(Ordering::SeqCst);
    let before = appends(&repository);
    futures_util::future::join_all(
        held.iter().map(|(entered, _)| entered.member.lost(LossReason::SocketClosed)),
    )
    .await;
    let (mut sinks, mut resumes) = (Vec::new(), Vec::new());
    for (entered, _) in &held {
        let request = ResumeRequest {
            connection: entered.member.connection,
            secret: [1; 32],
            next: [2; 32],
            last_seq: entered.view.seq,
            media: MediaAfterLoss::Kept,
            at: Clock::system().now(),
        };
        let (sink, outbound) = mpsc::channel(512);
        sinks.push(outbound);
        resumes.push(rooms.resume(house.session, house.tenant, request, sink));
    }
    let back: Vec<Entered> = futures_util::future::join_all(resumes)
        .await
        .into_iter()
        .map(|resumed| resumed.expect("resumed"))
        .collect();
    // The losses are stored together, and so are the returns; how many of each had come when the
    // room looked is not in the hands of this test.
    assert!(appends(&repository) - before <= 4, "{} transactions", appends(&repository) - before);
    let seq = back[0].view.seq;
    for (entered, (before, _)) in back.iter().zip(&held) {
        assert_eq!(entered.view.seq, seq, "nobody was told of a return");
        assert_eq!(entered.view.crowd.participants.len(), usize::from(PEOPLE));
        let missed = entered.missed.as_ref().expect("few enough");
        let seqs: Vec<u64> = missed
            .iter()
            .filter_map(|text| serde_json::from_str::<Value>(text).expect("JSON")["seq"].as_u64())
            .collect();
        assert_eq!(seqs, (before.view.seq + 1..=seq).collect::<Vec<_>>(), "each missed others");
    }
    rooms.shutdown().await;
}

/// Of those who ask together, one is refused and the others are let in.
#[tokio::test]
async fn a_refusal_of_one_changes_nothing_for_those_who_ask_with_them() {
    let house = House::build().await;
    let (rooms, _) = house.process();
    let (ana, _outbound) = house.enter(&rooms, "ana", 512).await;
    let (bea, _outbound) = house.enter(&rooms, "bea", 512).await;
    let request = |entered: &Entered, secret: u8, last_seq: u64| ResumeRequest {
        connection: entered.member.connection,
        secret: [secret; 32],
        next: [2; 32],
        last_seq,
        media: MediaAfterLoss::Kept,
        at: Clock::system().now(),
    };
    let seq = bea.view.seq;
    let resume = |request: ResumeRequest| {
        let (sink, outbound) = mpsc::channel(512);
        let resumed = rooms.resume(house.session, house.tenant, request, sink);
        async move { (resumed.await.map(drop), outbound) }
    };
    let (wrong, future, right) = tokio::join!(
        resume(request(&ana, 9, seq)),
        resume(request(&ana, 1, seq + 1_000)),
        resume(request(&bea, 1, seq)),
    );
    assert_eq!(wrong.0, Err(RoomError::NothingToResume), "a wrong secret");
    assert_eq!(future.0, Err(RoomError::NothingToResume), "events that there are not");
    assert_eq!(right.0, Ok(()));
    let (again, _outbound) = Box::pin(resume(request(&ana, 1, seq))).await;
    assert_eq!(again, Ok(()), "the refusals changed nothing");
    rooms.shutdown().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_decided_and_what_happened_is_told_later() {
    let house = House::build().await;
    let (rooms, repository) = house.process();
    let (ana, mut outbound) = house.enter(&rooms, "ana", 512).await;
    let (bea, _bea_outbound) = house.enter(&rooms, "bea", 512).await;
    ana.member.act(chat("before")).await.expect("said");
    assert_eq!(told_chat(&mut outbound).await, "before");
    repository.broken.store(true, Ordering::SeqCst);
    let mute = PeopleAction::Mute("bea".parse().expect("a user id"));
    let refused = ana.member.act(mute).await.expect_err("not kept");
    assert_eq!(refused, RoomError::StoreUnavailable);
    assert_eq!(refused.code(), ErrorCode::DependencyUnavailable);
    // A connection is lost whether that can be kept or not.
    bea.member.lost(LossReason::SocketClosed).await;
    assert!(ana.member.act(chat("still broken")).await.is_err());
    repository.broken.store(false, Ordering::SeqCst);
    let event = told(&mut outbound).await.expect("still there");
    assert_eq!((&event["type"], &event["user_id"]), (&"participant_updated".into(), &"bea".into()));
    assert_eq!((&event["connections"], &event["muted"]), (&0.into(), &false.into()));
    ana.member.act(chat("after")).await.expect("said");
    assert_eq!(told_chat(&mut outbound).await, "after", "what was refused is never told");
    rooms.shutdown().await;
}

#[tokio::test]
async fn of_two_processes_that_have_a_room_one_gives_way() {
    let house = House::build().await;
    let ((first, _), (second, _)) = (house.process(), house.process());
    let (ana, mut ana_outbound) = house.enter(&first, "ana", 512).await;
    let (bea, _bea_outbound) = house.enter(&second, "bea", 512).await;
    bea.member.act(chat("here")).await.expect("the second goes on");
    let refused = ana.member.act(chat("and here")).await.expect_err("the first is behind");
    assert_eq!(refused, RoomError::StoreUnavailable);
    while told(&mut ana_outbound).await.is_some() {}
    // Whoever comes again finds the room as the other process left it.
    let (again, _outbound) = house.enter(&first, "ana", 512).await;
    assert!(again.view.seq > bea.view.seq);
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_principal_of_another_tenant_finds_no_session() {
    let house = House::build().await;
    let (rooms, _) = house.process();
    let (_ana, _outbound) = house.enter(&rooms, "ana", 512).await;
    let stranger = Principal { tenant_id: TenantId::generate(), ..house.principal("ana") };
    let (sink, _outbound) = mpsc::channel(8);
    let refused = rooms.enter(stranger, house.session, [1; 32], sink).await.expect_err("refused");
    assert_eq!(refused, RoomError::SessionNotFound);
    let elsewhere = TenantId::generate();
    let request = ResumeRequest {
        connection: cabildo::domain::id::ConnectionId::generate(),
        secret: [1; 32],
        next: [2; 32],
        last_seq: 0,
        media: MediaAfterLoss::Kept,
        at: Clock::system().now(),
    };
    let (sink, _outbound) = mpsc::channel(8);
    let refused = rooms.resume(house.session, elsewhere, request, sink).await.expect_err("refused");
    assert_eq!(refused, RoomError::SessionNotFound);
    rooms.shutdown().await;
}
