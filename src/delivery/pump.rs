//! Hands events on to one place outside: reads them, and has each delivered
//! until it has arrived. One instance does it at a time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::cursor::Cursor;
use super::engine::{Afterwards, Engine, Failed, Patience, RetryTimes, WINDOW};
use super::event::PublicEvent;
use super::feed::{Feed, FeedError, Page};
use super::metrics;
use crate::claims::{Claim, ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::claim::Work;
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::events::{Beginning, Outbox, OutboxError, Position, ReaderName, Scope};

/// Between two tries to become the instance that does it, and after the outbox
/// could not be read.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Between two notes of how far it has come.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);
/// How long after it happened an event that is refused is tried for, where others are for ever. Until
/// then it and the later ones of its session are kept.
const REFUSED_GIVEN_UP_AFTER: Duration = Duration::from_hours(72);
/// How long what is on its way may still arrive when this instance stops. What has
/// not arrived then is told again by the next one.
const DRAINED_WITHIN: Duration = Duration::from_secs(3);

/// Why an event has not arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undelivered {
    /// For the log: without addresses, keys and contents.
    pub reason: String,
    /// How long the other side wants to be left alone.
    pub retry_after: Option<Duration>,
    /// Whether the other side works and does not accept this event, as far as it says.
    pub is_refused: bool,
}

/// Where events are handed on to.
#[async_trait]
pub trait Destination: Send + Sync {
    /// Ends when the event has arrived.
    async fn deliver(&self, event: &PublicEvent) -> Result<(), Undelivered>;

    /// This instance hands on no more for now, and another one may. What was on its
    /// way must not arrive after this.
    async fn stopped(&self) {}
}

/// What is handed on, and how.
#[derive(Debug, Clone)]
pub struct PumpOptions {
    /// What the position is kept under.
    pub name: ReaderName,
    /// Whose events.
    pub scope: Scope,
    /// Which types; all when empty.
    pub kinds: BTreeSet<String>,
    /// How long after it happened an event is tried for; for ever when absent, unless it is refused.
    pub given_up_after: Option<Duration>,
    /// How many events are on their way at once, each of another session. Raising
    /// it hands on faster, and burdens the other side more.
    pub in_flight_max: usize,
    /// How long is waited after failures.
    pub retry: RetryTimes,
}

/// What it works with.
#[derive(Clone)]
pub struct PumpParts {
    /// Where the position is kept.
    pub outbox: Arc<dyn Outbox>,
    /// Where events are read.
    pub feed: Feed,
    /// Which instance does it.
    pub claims: Claims,
    /// The time.
    pub clock: Clock,
    /// Where events go.
    pub destination: Arc<dyn Destination>,
}

/// The task that hands events on.
#[derive(Debug)]
pub struct Pump {
    stopping: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    refused: Arc<AtomicUsize>,
}

impl Pump {
    /// Starts it; to be called within a runtime.
    #[must_use]
    pub fn start(parts: PumpParts, options: PumpOptions) -> Self {
        let stopping = CancellationToken::new();
        let refused = Arc::default();
        let run = Run { parts, options, stopping: stopping.clone(), refused: Arc::clone(&refused) };
        Self { stopping, task: tokio::spawn(run.until_stopped()), refused }
    }

    /// In how many sessions the other side does not accept an event, for as long as this instance
    /// hands on.
    #[must_use]
    pub fn refused(&self) -> Arc<AtomicUsize> {
        self.refused.clone()
    }

    /// Ends it. What is on its way and does not arrive soon is told again by the next one.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "handing on events has failed");
        }
    }
}

/// What a claim on handing on events is kept under: claims are of sessions, so
/// this stands for one.
fn claimed_as(name: &ReaderName) -> SessionId {
    let hash = Sha256::digest(name.as_str());
    let (first, _) = hash.split_at(16);
    SessionId::from_uuid(Uuid::from_slice(first).unwrap_or_default())
}

/// What became of one try to hand on an event.
enum Tried {
    Arrived,
    Failed(Undelivered),
    /// It was erased, and was not sent.
    Erased,
    /// It can't be looked up whether it was erased, so it was not sent.
    Unsure(FeedError),
}

struct Run {
    parts: PumpParts,
    options: PumpOptions,
    stopping: CancellationToken,
    /// In how many sessions an event is not accepted.
    refused: Arc<AtomicUsize>,
}

impl Run {
    async fn until_stopped(self) {
        let (reader, session) = (&self.options.name, claimed_as(&self.options.name));
        let nobodys = TenantId::from_uuid(Uuid::nil());
        while !self.stopping.is_cancelled() {
            match self.parts.claims.take(SessionKey::new(nobodys, session), Work::Delivery).await {
                Ok(claim) => {
                    if let Err(error) = self.while_claimed(&claim).await {
                        tracing::warn!(%reader, %error, "events are not handed on now");
                    }
                    self.parts.destination.stopped().await;
                    self.tell_refused(0);
                    claim.release().await;
                }
                Err(ClaimError::Taken | ClaimError::Lost) => {}
                Err(error @ ClaimError::Store(_)) => {
                    tracing::warn!(%reader, %error, "events are not handed on now");
                }
            }
            self.stopping.run_until_cancelled(tokio::time::sleep(TRY_AGAIN)).await;
        }
    }

    /// Hands on until another instance does, or this one is shut down.
    async fn while_claimed(&self, claim: &Claim) -> Result<(), OutboxError> {
        let Self { parts, options, stopping, .. } = self;
        let began = Instant::now();
        let mut noted = parts.outbox.register(&options.name, Beginning::Newest).await?;
        let mut engine = Engine::new(noted, options.retry, options.in_flight_max);
        for (session, done) in parts.outbox.parked(&options.name).await? {
            engine.add_parked(session, done);
        }
        let mut cursor = Cursor::after(noted);
        let mut on_their_way = FuturesUnordered::new();
        let mut tail = parts.feed.waiter();
        let mut has_more = true;
        let mut ticks = tokio::time::interval(NOTE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while claim.holds() && !stopping.is_cancelled() {
            if has_more && engine.len() < WINDOW {
                tail.mark();
                let next = self.read(&mut engine, cursor, began).await?;
                has_more = next != cursor;
                cursor = next;
                continue;
            }
            if self.park(&mut engine, began.elapsed()).await? {
                continue;
            }
            while let Some(event) = engine.poll_delivery(began.elapsed()) {
                on_their_way.push(async move {
                    let outcome = self.deliver(&event).await;
                    (event, outcome)
                });
            }
            let due = engine.poll_timeout().map(|due| began + due);
            let is_due = tokio::time::sleep_until(due.unwrap_or(began));
            tokio::select! {
                () = stopping.cancelled() => {}
                Some((event, outcome)) = on_their_way.next() => {
                    self.handle(&mut engine, &event, outcome, began.elapsed());
                }
                more = tail.more(), if !has_more => if more.is_err() { break } else { has_more = true },
                () = is_due, if due.is_some_and(|due| due > Instant::now()) => {}
                _ = ticks.tick() => self.note(&mut engine, &mut noted, tail.newest()).await?,
            }
        }
        if claim.holds() {
            let draining = async {
                while let Some((event, outcome)) = on_their_way.next().await {
                    self.handle(&mut engine, &event, outcome, began.elapsed());
                }
            };
            // What is late is told again.
            let _late = tokio::time::timeout(DRAINED_WITHIN, draining).await;
        }
        self.note(&mut engine, &mut noted, tail.newest()).await
    }

    /// Parks a session that holds up the others, reads on in one that is parked, or ends that.
    /// Yields whether there was anything to do.
    async fn park(&self, engine: &mut Engine, now: Duration) -> Result<bool, OutboxError> {
        let Self { parts, options, .. } = self;
        let reader = &options.name;
        if let Some((key, done)) = engine.poll_parking(now) {
            parts.outbox.park(reader, key, done).await?;
            tracing::warn!(%reader, session = %key.session, "a session does not go on, and its events are read by themselves");
            engine.handle_parked(key.session, done);
        } else if let Some((key, read)) = engine.poll_refill() {
            let page = self.page(Scope::Session(key), Cursor::after(read)).await?;
            engine.handle_refill(key.session, page.events, page.next.position());
        } else if let Some(key) = engine.poll_unparking() {
            parts.outbox.unpark(reader, key).await?;
            engine.handle_unparked(key.session);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    async fn read(
        &self,
        engine: &mut Engine,
        cursor: Cursor,
        began: Instant,
    ) -> Result<Cursor, OutboxError> {
        let page = self.page(self.options.scope, cursor).await?;
        engine.handle_page(page.events, page.next.position(), began.elapsed());
        Ok(page.next)
    }

    /// What is to be handed on of what comes after a cursor.
    async fn page(&self, scope: Scope, cursor: Cursor) -> Result<Page, OutboxError> {
        let mut page = match self.parts.feed.after(scope, cursor).await {
            Ok(page) => page,
            Err(FeedError::Outbox(OutboxError::Expired { oldest })) => {
                let reader = &self.options.name;
                tracing::error!(%reader, "events were deleted before they were handed on");
                return Ok(Page { events: Vec::new(), next: Cursor::after(oldest) });
            }
            Err(FeedError::Outbox(error)) => return Err(error),
            Err(error @ FeedError::Ahead) => {
                return Err(StoreError::Unavailable(error.to_string()).into());
            }
        };
        if !self.options.kinds.is_empty() {
            page.events.retain(|placed| self.options.kinds.contains(placed.event.kind()));
        }
        Ok(page)
    }

    /// Tries to hand on an event, unless it was erased since it was read, which may be days ago.
    async fn deliver(&self, event: &PublicEvent) -> Tried {
        match self.parts.feed.is_still_told(event).await {
            Ok(true) => match self.parts.destination.deliver(event).await {
                Ok(()) => Tried::Arrived,
                Err(error) => Tried::Failed(error),
            },
            Ok(false) => Tried::Erased,
            Err(error) => Tried::Unsure(error),
        }
    }

    fn handle(&self, engine: &mut Engine, event: &PublicEvent, outcome: Tried, now: Duration) {
        let reader = self.options.name.as_str();
        let age = self.parts.clock.now().since(event.at);
        let is_late = |most: Duration| age >= most;
        let (error, is_over) = match outcome {
            Tried::Arrived => {
                metrics::delivered(reader, age);
                return engine.handle_delivered(event.session);
            }
            Tried::Erased => {
                tracing::debug!(reader, event = event.id, "erased before it was delivered");
                return engine.handle_dropped(event.session);
            }
            Tried::Failed(error) => {
                let is_over = self.options.given_up_after.is_some_and(is_late)
                    || (error.is_refused && is_late(REFUSED_GIVEN_UP_AFTER));
                (error, is_over)
            }
            Tried::Unsure(error) => {
                let reason = error.to_string();
                (Undelivered { reason, retry_after: None, is_refused: false }, false)
            }
        };
        let patience = if is_over { Patience::Over } else { Patience::Left };
        metrics::not_delivered(reader);
        let Undelivered { retry_after: wait, is_refused, .. } = error;
        let failed = Failed { wait, patience, is_refused };
        let (id, session) = (&event.id, event.session);
        match engine.handle_failed(session, now, failed, rand::random()) {
            Afterwards::Again => tracing::debug!(reader, event = id, %error, "not delivered"),
            Afterwards::Refused => {
                let kind = event.kind();
                tracing::warn!(reader, %session, event = id, kind, %error, "an event is refused, and the later ones of its session wait");
            }
            Afterwards::GivenUp => {
                metrics::given_up(reader);
                tracing::error!(reader, %session, event = id, %error, "an event is not tried any more");
            }
        }
    }

    /// Tells in how many sessions an event is not accepted.
    fn tell_refused(&self, sessions: usize) {
        metrics::refused(self.options.name.as_str(), sessions);
        self.refused.store(sessions, Ordering::Relaxed);
    }

    /// Notes how far it has come, if that is further than before.
    async fn note(
        &self,
        engine: &mut Engine,
        noted: &mut Position,
        newest: Position,
    ) -> Result<(), OutboxError> {
        let reader = self.options.name.as_str();
        let confirmed = engine.confirmed();
        metrics::reader_state(reader, confirmed, newest, engine.is_paused());
        self.tell_refused(engine.refused());
        for (key, done) in engine.parked_progress() {
            self.parts.outbox.park(&self.options.name, key, done).await?;
            engine.handle_noted(key.session, done);
        }
        if confirmed > *noted {
            self.parts.outbox.confirm(&self.options.name, confirmed).await?;
            *noted = confirmed;
        }
        Ok(())
    }
}
