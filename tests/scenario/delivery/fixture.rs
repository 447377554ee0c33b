//! An outbox in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::delivery::{EventStreams, Feed, Origin, StreamTimes, Tail};
use cabildo::domain::id::SessionKey;
use cabildo::domain::time::Timestamp;
use cabildo::events::{
    Batch, Beginning, EventSource, Extent, Outbox, OutboxError, OutboxEvent, Position, ReaderName,
    Scope,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// An outbox in memory, with one reader.
#[derive(Default)]
pub(crate) struct Memory {
    transactions: Mutex<Vec<Vec<OutboxEvent>>>,
    confirmed: tokio::sync::watch::Sender<Position>,
    erased: Mutex<BTreeSet<SessionKey>>,
    parked: tokio::sync::watch::Sender<BTreeMap<SessionKey, Position>>,
}

impl Memory {
    /// Commits a transaction of a room of which each event approves a request.
    pub(crate) fn approve(&self, SessionKey { tenant, session }: SessionKey, seqs: &[u64]) {
        let mut transactions = self.transactions.lock().expect("no panic");
        let position = Position::new(u64::try_from(transactions.len()).expect("small") + 1);
        let event = |seq: &u64| OutboxEvent {
            position,
            tenant,
            session,
            source: EventSource::Room,
            seq: *seq,
            at: Timestamp::from_unix_us(1_800_000_000_000_000),
            kind: "speech_approved".to_owned(),
            payload: format!(
                r#"{{"seq":{seq},"at":"2027-01-15T08:00:00Z","type":"speech_approved","request_id":"r{seq}","user_id":"ana"}}"#
            ),
        };
        transactions.push(seqs.iter().map(event).collect());
    }

    /// Erases what the room of a session told. Readers have it in memory already.
    pub(crate) fn erase(&self, key: SessionKey) {
        self.erased.lock().expect("no panic").insert(key);
    }

    /// The sessions that are handed on by themselves, and how far.
    pub(crate) fn parked_now(&self) -> BTreeMap<SessionKey, Position> {
        self.parked.borrow().clone()
    }

    /// Ends when the one session that is handed on by itself stands there, or there is none.
    pub(crate) async fn until_parked_at(&self, position: Option<Position>) {
        let mut parked = self.parked.subscribe();
        let reached = parked.wait_for(|parked| parked.values().next().copied() == position);
        let reached = tokio::time::timeout(PATIENCE, reached).await.expect("in time");
        reached.expect("the outbox is there");
    }

    /// Ends when everything up to `position` was confirmed.
    pub(crate) async fn until_confirmed(&self, position: u64) {
        let mut confirmed = self.confirmed.subscribe();
        let reached = confirmed.wait_for(|confirmed| confirmed.number() >= position);
        let reached = tokio::time::timeout(PATIENCE, reached).await.expect("confirmed in time");
        reached.expect("the outbox is there");
    }
}

#[async_trait]
impl Outbox for Memory {
    async fn after(&self, scope: Scope, after: Position, limit: u32) -> Result<Batch, OutboxError> {
        let transactions = self.transactions.lock().expect("no panic");
        let visible = |events: &&Vec<OutboxEvent>| match scope {
            Scope::Everyone => true,
            Scope::Tenant(tenant) => events.iter().all(|event| event.tenant == tenant),
            Scope::Session(key) => events.iter().all(|event| event.session == key.session),
        };
        let read: Vec<_> = transactions
            .iter()
            .filter(|events| events.iter().any(|event| event.position > after))
            .filter(visible)
            .take(usize::try_from(limit).expect("small"))
            .flatten()
            .cloned()
            .collect();
        let newest = Position::new(u64::try_from(transactions.len()).expect("small"));
        let next = read.last().map_or_else(|| after.max(newest), |event| event.position);
        Ok(Batch { events: read, next })
    }

    async fn extent(&self) -> Result<Extent, OutboxError> {
        let newest = self.transactions.lock().expect("no panic").len();
        let newest = Position::new(u64::try_from(newest).expect("small"));
        Ok(Extent { oldest: Position::default(), newest })
    }

    async fn is_erased(&self, key: SessionKey) -> Result<bool, OutboxError> {
        Ok(self.erased.lock().expect("no panic").contains(&key))
    }

    async fn register(&self, _: &ReaderName, _: Beginning) -> Result<Position, OutboxError> {
        Ok(*self.confirmed.borrow())
    }

    async fn confirm(&self, _: &ReaderName, up_to: Position) -> Result<(), OutboxError> {
        self.confirmed.send_modify(|confirmed| *confirmed = up_to.max(*confirmed));
        Ok(())
    }

    async fn parked(&self, _: &ReaderName) -> Result<Vec<(SessionKey, Position)>, OutboxError> {
        Ok(self.parked_now().into_iter().collect())
    }

    async fn park(
        &self,
        _: &ReaderName,
        session: SessionKey,
        up_to: Position,
    ) -> Result<(), OutboxError> {
        self.parked.send_modify(|parked| {
            parked.insert(session, up_to);
        });
        Ok(())
    }

    async fn unpark(&self, _: &ReaderName, session: SessionKey) -> Result<(), OutboxError> {
        self.parked.send_modify(|parked| {
            parked.remove(&session);
        });
        Ok(())
    }

    async fn forget_except(&self, _: &str, _: &[ReaderName]) -> Result<(), OutboxError> {
        Ok(())
    }

    async fn prune(&self, _: Timestamp, _: u32) -> Result<u32, OutboxError> {
        Ok(0)
    }
}

/// The public events of an outbox.
pub(crate) fn feed(outbox: Arc<Memory>) -> Feed {
    let tail = Tail::start(outbox.clone());
    Feed::new(outbox, Origin::new("https://cabildo.example"), tail)
}

pub(crate) fn streams(outbox: Arc<Memory>, times: StreamTimes) -> EventStreams {
    EventStreams::new(feed(outbox), times)
}
