//! Acting on what governance tells: its messages one after the other, each until it
//! is done with or is a dead letter. No message stops those behind it, except while
//! the database is away.

use crate::domain::id::SessionKey;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::arrivals::{ArrivalRepository, VoteHeard};
use super::incoming::{GovernanceEvent, MESSAGE_BYTES_MAX, Told};
use super::metrics;
use crate::clock::Clock;
use crate::domain::arrival::Arrival;
use crate::domain::backoff::Backoff;
use crate::domain::error_code::ErrorCode;
use crate::domain::session::{Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::kafka::{Consumer, Incoming, Outgoing, Producer};
use crate::room::Rooms;
use crate::room::action::Vote;
use crate::room::error::RoomError;
use crate::sessions::{
    LIST_LIMIT_MAX, ListQuery, MeetingError, SessionError, SessionFilter, SessionService,
};

/// First wait before something is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(200);
/// Longest wait. Raising it makes events act later after an outage.
const RETRY_MAX: Duration = Duration::from_secs(30);
/// What the name of the topic of dead letters ends with.
pub const DEAD_LETTERS: &str = ".dlq";
/// How long it is known which events led to changes: longer than any topic keeps
/// messages, as far as that is set sensibly. Raising it raises the size of a table
/// with a row for each event and session.
const KNOWN_FOR: Duration = Duration::from_hours(90 * 24);
/// Between two times that older ones are forgotten.
const FORGOTTEN_EVERY: Duration = Duration::from_hours(1);

/// How often an event is tried in a room that does not take it although the database answers:
/// about four minutes. Raising it makes the events behind it wait longer for one room.
const ROOM_TRIES_MAX: u32 = 15;

/// How long the instance that has a room has to announce a vote, until it is asked again. Raising it
/// makes the events behind it wait longer while that instance is in trouble.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(3);
/// First and longest wait between two looks whether it has.
const LOOK_FIRST: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_millis(400);

/// What governance's events are acted on with.
pub struct EventsParts {
    /// Where they come from.
    pub consumer: Consumer,
    /// Where dead letters go.
    pub producer: Arc<Producer>,
    /// What has led to changes.
    pub arrivals: Arc<dyn ArrivalRepository>,
    /// The sessions.
    pub sessions: SessionService,
    /// Their rooms.
    pub rooms: Rooms,
    /// The time.
    pub clock: Clock,
}

/// The task that acts on what governance tells.
pub struct GovernanceEvents {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

impl GovernanceEvents {
    /// Starts it; to be called within a runtime.
    #[must_use]
    pub fn start(parts: EventsParts) -> Self {
        let stopping = CancellationToken::new();
        let run = Run { parts, stopping: stopping.clone() };
        Self { stopping, task: tokio::spawn(run.until_stopped()) }
    }

    /// Ends it. A message that is not done with is received again by the next one.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "acting on what governance tells has failed");
        }
    }
}

/// Why an event was not acted on.
enum Failure {
    /// It can't be, for this reason.
    Refused(&'static str),
    /// It may be later.
    Unavailable(String),
    /// One room does not take it now, for this reason.
    Stuck(&'static str),
}

/// The server is being shut down.
struct Stopped;

struct Run {
    parts: EventsParts,
    stopping: CancellationToken,
}

impl Run {
    async fn until_stopped(self) {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        let mut forgotten: Option<Instant> = None;
        loop {
            if forgotten.is_none_or(|at| at.elapsed() >= FORGOTTEN_EVERY) {
                self.forget().await;
                forgotten = Some(Instant::now());
            }
            let next = self.stopping.run_until_cancelled(self.parts.consumer.next()).await;
            let handled = match next {
                None => break,
                Some(Ok(message)) => {
                    backoff.reset();
                    let handled = self.handle(&message).await;
                    if handled.is_ok() {
                        self.parts.consumer.done(&message.place);
                    }
                    handled
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "what governance tells can't be received now");
                    self.wait(&mut backoff).await
                }
            };
            if handled.is_err() {
                break;
            }
        }
        self.parts.consumer.end().await;
    }

    /// Ends when a message is done with.
    async fn handle(&self, message: &Incoming) -> Result<(), Stopped> {
        let event = match GovernanceEvent::read(message) {
            Ok(event) => event,
            Err(unusable) => return self.bury(message, "unknown", unusable.as_str(), 1).await,
        };
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        for tries in 1.. {
            match self.act(&event).await {
                Ok(outcome) => {
                    metrics::told(event.what.kind(), outcome);
                    return Ok(());
                }
                Err(Failure::Refused(code)) => {
                    return self.bury(message, event.what.kind(), code, tries).await;
                }
                Err(Failure::Stuck(code)) if tries >= ROOM_TRIES_MAX => {
                    return self.bury(message, event.what.kind(), code, tries).await;
                }
                Err(Failure::Stuck(code)) => {
                    let kind = event.what.kind();
                    metrics::told(kind, "tried_again");
                    tracing::warn!(kind, code, "a room takes what governance told later");
                    self.wait(&mut backoff).await?;
                }
                Err(Failure::Unavailable(reason)) => {
                    let kind = event.what.kind();
                    metrics::told(kind, "tried_again");
                    tracing::warn!(kind, reason, "what governance told is acted on later");
                    self.wait(&mut backoff).await?;
                }
            }
        }
        Ok(())
    }

    /// Does what an event leads to, in each session that it is about.
    async fn act(&self, event: &GovernanceEvent) -> Result<&'static str, Failure> {
        let found = self.sessions_of(event).await?;
        if found.is_empty() {
            return Err(Failure::Refused(ErrorCode::SessionNotFound.as_str()));
        }
        let (mut done, mut refused, mut stuck) = (0_usize, None, None);
        let mut concerns = false;
        for session in found.iter().filter(|session| is_meant(event, session)) {
            concerns = true;
            let known = &self.parts.arrivals;
            let arrived =
                known.has_arrived(SessionKey::new(event.tenant, session.id), &event.arrival).await;
            if arrived.map_err(|error| Failure::Unavailable(error.to_string()))? {
                continue;
            }
            match self.act_on(event, session).await {
                Ok(()) => done += 1,
                Err(Failure::Refused(code)) => refused = Some(code),
                Err(Failure::Stuck(code)) => stuck = Some(code),
                Err(unavailable) => return Err(unavailable),
            }
        }
        // Sessions in which it was done are not tried again.
        if let Some(code) = stuck {
            return Err(Failure::Stuck(code));
        }
        match (refused, &event.what) {
            (Some(code), _) => Err(Failure::Refused(code)),
            // A vote is to be announced, and there is nobody to hear it.
            (None, Told::VoteStarted(_)) if !concerns => {
                Err(Failure::Refused(ErrorCode::SessionStateConflict.as_str()))
            }
            (None, _) => Ok(if done > 0 { "done" } else { "nothing_to_do" }),
        }
    }

    /// The sessions that an event may be about.
    async fn sessions_of(&self, event: &GovernanceEvent) -> Result<Vec<Session>, Failure> {
        let filter = SessionFilter {
            assembly_id: Some(event.assembly),
            only: event.session,
            ..SessionFilter::default()
        };
        let mut query = ListQuery { filter, limit: Some(LIST_LIMIT_MAX), cursor: None };
        let mut found = Vec::new();
        loop {
            let page = self.parts.sessions.list(event.tenant, &query).await;
            let page = page.map_err(|error| failure_of(&error))?;
            found.extend(page.sessions);
            match page.next_cursor {
                Some(cursor) => query.cursor = Some(cursor),
                None => return Ok(found),
            }
        }
    }

    async fn act_on(&self, event: &GovernanceEvent, session: &Session) -> Result<(), Failure> {
        let EventsParts { arrivals, sessions, clock, .. } = &self.parts;
        let (tenant, id, now) = (event.tenant, session.id, clock.now());
        let sessions = sessions.storing_by(arrivals.sessions_for(&event.arrival));
        let changed = match &event.what {
            Told::Activated => sessions.start(SessionKey::new(tenant, id), None, now).await,
            Told::Completed => sessions.end(SessionKey::new(tenant, id), None, now).await,
            Told::VoteStarted(vote) => {
                return self.announce(session.key(), (vote.clone(), event.arrival.clone())).await;
            }
        };
        match changed {
            // With a conflict somebody else was faster.
            Ok(_) | Err(SessionError::StateConflict { .. }) => Ok(()),
            Err(error) => Err(failure_of(&error)),
        }
    }

    /// Has a vote announced in the room of a session, by the instance that has it.
    async fn announce(
        &self,
        key: SessionKey,
        (vote, arrival): (Vote, Arrival),
    ) -> Result<(), Failure> {
        let EventsParts { arrivals, rooms, clock, .. } = &self.parts;
        match rooms.announce_vote(key, vote.clone(), arrival.clone()).await {
            Err(RoomError::Elsewhere) => {}
            told => return told.map_err(|error| failure_of_room(&error)),
        }
        let unavailable = |error: StoreError| Failure::Unavailable(error.to_string());
        let heard = VoteHeard { vote, arrival };
        arrivals.put_vote(key, &heard, clock.now()).await.map_err(unavailable)?;
        let asked = Instant::now();
        let mut backoff = Backoff::new(LOOK_FIRST, LOOK_MAX);
        while asked.elapsed() < ANNOUNCED_WITHIN {
            // What is not known to be announced when this ends comes again.
            self.wait(&mut backoff).await.map_err(|Stopped| elsewhere())?;
            if arrivals.has_arrived(key, &heard.arrival).await.map_err(unavailable)? {
                return Ok(());
            }
        }
        // By the next time that instance may have gone.
        Err(elsewhere())
    }

    /// Puts a message aside with the reason, so that those behind it go on.
    async fn bury(
        &self,
        message: &Incoming,
        kind: &'static str,
        code: &str,
        tries: u32,
    ) -> Result<(), Stopped> {
        let place = &message.place;
        let topic = format!("{}{DEAD_LETTERS}", place.topic);
        let (tries, partition) = (tries.to_string(), place.partition.to_string());
        let offset = place.offset.to_string();
        // Brokers refuse what is very large, so only the beginning of its content is kept.
        let fits = message.size() <= MESSAGE_BYTES_MAX;
        let said = message.headers.iter().filter(|_| fits);
        let said = said.map(|(key, value)| (key.as_str(), value.as_slice()));
        let ours: [(&str, &[u8]); 5] = [
            ("x-error", code.as_bytes()),
            ("x-attempts", tries.as_bytes()),
            ("x-origin-topic", place.topic.as_bytes()),
            ("x-origin-partition", partition.as_bytes()),
            ("x-origin-offset", offset.as_bytes()),
        ];
        let headers: Vec<(&str, &[u8])> = said.chain(ours).collect();
        let letter = Outgoing {
            topic: &topic,
            key: if fits { message.key.as_slice() } else { &[] },
            value: message.value.get(..MESSAGE_BYTES_MAX).unwrap_or(&message.value),
            headers: &headers,
            at_ms: None,
        };
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
        loop {
            // What is on its way when this ends may arrive twice.
            let sending = self.parts.producer.send(letter);
            let sent = self.stopping.run_until_cancelled(sending).await.ok_or(Stopped)?;
            let Err(error) = sent else { break };
            tracing::warn!(%error, "a dead letter can't be sent now");
            self.wait(&mut backoff).await?;
        }
        metrics::told(kind, "dead_letter");
        let (partition, offset) = (place.partition, place.offset);
        tracing::warn!(code, partition, offset, "a message of governance is a dead letter");
        Ok(())
    }

    async fn forget(&self) {
        let before = self.parts.clock.now().before(KNOWN_FOR);
        if let Err(error) = self.parts.arrivals.forget_before(before).await {
            tracing::warn!(%error, "old events of governance can't be forgotten now");
        }
    }

    async fn wait(&self, backoff: &mut Backoff) -> Result<(), Stopped> {
        let wait = tokio::time::sleep(backoff.next(rand::random()));
        self.stopping.run_until_cancelled(wait).await.ok_or(Stopped)
    }
}

/// Whether an event leads to something in a session.
fn is_meant(event: &GovernanceEvent, session: &Session) -> bool {
    match event.what {
        Told::Activated => {
            session.status == SessionStatus::Scheduled && session.start_with_assembly
        }
        Told::Completed | Told::VoteStarted(_) => session.status == SessionStatus::Active,
    }
}

const fn elsewhere() -> Failure {
    Failure::Stuck(ErrorCode::RoomElsewhere.as_str())
}

fn failure_of(error: &SessionError) -> Failure {
    match error {
        SessionError::Repository(_) | SessionError::VersionConflict { .. } => {
            Failure::Unavailable(error.to_string())
        }
        SessionError::Meeting(MeetingError::NotConfigured(_))
        | SessionError::NotFound
        | SessionError::Invalid(_)
        | SessionError::StateConflict { .. }
        | SessionError::LimitReached { .. }
        | SessionError::TenantSuspended => Failure::Refused(error.code().as_str()),
        // One provider is no reason to keep others waiting.
        SessionError::Meeting(_) => Failure::Stuck(error.code().as_str()),
    }
}

fn failure_of_room(error: &RoomError) -> Failure {
    match error {
        RoomError::SessionNotFound
        | RoomError::SessionNotActive
        | RoomError::SessionOver
        | RoomError::ProviderUnsupported
        | RoomError::Unprocessable(_) => Failure::Refused(error.code().as_str()),
        RoomError::StoreUnavailable | RoomError::OutcomeUnknown => {
            Failure::Unavailable(error.to_string())
        }
        _ => Failure::Stuck(error.code().as_str()),
    }
}
