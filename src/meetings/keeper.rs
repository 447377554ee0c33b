//! Keeps sessions and their meetings in step: a meeting whose session is over is
//! closed, one that was deleted under an active session is made anew, and a session whose
//! meeting is over for a while is ended.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::claims::{Claim, ClaimError};
use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::claim::Work;
use crate::domain::session::{Modality, Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::meetings::maker::Meetings;
use crate::meetings::metrics;
use crate::meetings::provider::VideoProvider;
use crate::meetings::repository::{Call, MeetingRow, MeetingState};
use crate::services::{CallState, ServiceError};
use crate::sessions::{MeetingError, NotTold, SessionError, SessionObserver, SessionService};

/// How often meetings that are due are looked for. Raising it lets meetings end later
/// after their sessions.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often the provider is asked whether people are in the meeting of an active
/// session. A hundred sessions ask less than four times a second, which every quota
/// allows.
pub const POLL_EVERY: Duration = Duration::from_secs(30);
/// How long a meeting waits for its session to be stored, by the request that wanted
/// it coming again, before it is closed.
pub const ORPHAN_AFTER: Duration = Duration::from_hours(1);
/// How long a meeting that was made anew is left alone before it is, at the earliest, made anew
/// again.
const ANEW_EVERY: Duration = Duration::from_mins(5);
/// How often a session that has not started is looked at.
const SCHEDULED_EVERY: Duration = Duration::from_mins(5);
/// Longest wait before something that failed is tried the second time; it doubles
/// from try to try.
const RETRY_FIRST: Duration = Duration::from_secs(2);
/// Longest wait between two tries.
pub const RETRY_MAX: Duration = Duration::from_mins(5);
/// Refusals after which a meeting that can't be closed is given up: within about half
/// an hour. What fails otherwise is never given up.
pub const GONE_TRIES_MAX: u32 = 12;
/// Most meetings that are read at once. Raising it raises the memory of a backlog.
const READ_AT_ONCE: u32 = 64;
/// Most meetings that providers are asked about at once.
const ASKED_AT_ONCE: usize = 8;

/// Whether a session ends with its meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeetingEnds {
    /// Once nobody was in the meeting for this long.
    EndSessionAfter(Duration),
    /// Governance alone ends it.
    Nothing,
}

/// What meetings are kept in step with.
pub struct KeeperParts {
    /// The meetings.
    pub meetings: Meetings,
    /// The sessions.
    pub sessions: SessionService,
    /// Whether sessions end with their meetings.
    pub ends: MeetingEnds,
    /// The time.
    pub clock: Clock,
    /// Wakes the keeper.
    pub wake: Arc<Notify>,
}

/// The task that keeps meetings.
pub struct MeetingKeeper {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// When a meeting is looked at next.
enum Next {
    /// Never: it is closed.
    Closed,
    /// It is to be closed now.
    Close,
    /// After this time.
    In(Duration),
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Provider(#[from] ServiceError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error(transparent)]
    Meeting(#[from] MeetingError),
}

impl MeetingKeeper {
    /// Starts it; to be called within a runtime.
    #[must_use]
    pub fn start(parts: KeeperParts) -> Self {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let woken = async {
                    tokio::select! {
                        _ = ticks.tick() => {}
                        () = parts.wake.notified() => {}
                    }
                };
                if stopped.run_until_cancelled(woken).await.is_none()
                    || stopped.run_until_cancelled(parts.look()).await.is_none()
                {
                    return;
                }
            }
        });
        Self { stopping, task }
    }

    /// Ends it. What it is doing is done again by the next process.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that keeps meetings has failed");
        }
    }
}

impl KeeperParts {
    async fn look(&self) {
        let looked = async {
            let due = self.meetings.repository.due(self.clock.now(), READ_AT_ONCE).await?;
            futures_util::stream::iter(due)
                .for_each_concurrent(ASKED_AT_ONCE, |meeting| self.keep(meeting))
                .await;
            metrics::open(self.meetings.repository.open().await?);
            Ok::<_, StoreError>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!(%error, "meetings can't be read");
        }
    }

    /// Looks at one meeting, if this instance may.
    async fn keep(&self, meeting: MeetingRow) {
        let session = meeting.key.session;
        let claim = match self.meetings.claims.take(meeting.key, Work::Meeting).await {
            Ok(claim) => claim,
            Err(ClaimError::Taken) => return,
            Err(error) => {
                tracing::warn!(%session, %error, "a meeting is looked at later");
                return;
            }
        };
        if let Err(error) = self.keep_under(&claim, &meeting).await {
            tracing::warn!(%session, %error, "a meeting could not be stored");
        }
        claim.release().await;
    }

    async fn keep_under(&self, claim: &Claim, meeting: &MeetingRow) -> Result<(), StoreError> {
        let repository = &self.meetings.repository;
        // Read again, since another instance may have looked at it meanwhile.
        let Some(meeting) = repository.of_session(meeting.key).await? else {
            return Ok(());
        };
        let (session, fence) = (meeting.key.session, claim.fence());
        let (next, tries) = match self.next(claim, &meeting).await {
            Ok(next) => (next, 0),
            Err(error) => {
                let tries = meeting.tries.saturating_add(1);
                // Of whoever is not let in, everything is refused, until the operator sees to it.
                let is_refused = matches!(
                    &error,
                    KeepError::Provider(refused) if refused.nothing_was_done()
                        && matches!(refused, ServiceError::Refused { .. })
                        && !refused.is_limit()
                        && !refused.refuses_us()
                );
                let wait = wait_after(&meeting, &error);
                if is_refused && meeting.state != MeetingState::Made && tries >= GONE_TRIES_MAX {
                    tracing::error!(%session, %error, "a meeting can't be closed and is given up");
                    (Next::Closed, tries)
                } else {
                    tracing::warn!(%session, %error, ?wait, "a meeting is looked at again");
                    (Next::In(wait), tries)
                }
            }
        };
        match next {
            Next::Closed => repository.closed(fence, &meeting).await,
            Next::Close => {
                repository.close(meeting.key, self.clock.now()).await?;
                self.wake.notify_one();
                Ok(())
            }
            Next::In(wait) => {
                repository.postpone(fence, &meeting, self.clock.now().after(wait), tries).await
            }
        }
    }

    /// Does what a meeting needs now.
    async fn next(&self, claim: &Claim, meeting: &MeetingRow) -> Result<Next, KeepError> {
        let Some(client) = self.meetings.provider(meeting.provider) else {
            // Its account was taken out of the configuration.
            return Ok(Next::In(RETRY_MAX));
        };
        match meeting.state {
            MeetingState::Closed => Ok(Next::Closed),
            MeetingState::Closing => {
                if let Some(external_id) = &meeting.external_id {
                    client.close(external_id).await?;
                }
                Ok(Next::Closed)
            }
            MeetingState::Intended => self.give_up(claim, client, meeting).await,
            MeetingState::Made => self.keep_made(claim, client, meeting).await,
        }
    }

    /// Closes a meeting for which nobody came back, if it was made after all.
    async fn give_up(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        meeting: &MeetingRow,
    ) -> Result<Next, KeepError> {
        let waits_until = meeting.created_at.after(ORPHAN_AFTER);
        let now = self.clock.now();
        if waits_until > now {
            return Ok(Next::In(waits_until.since(now)));
        }
        if meeting.attempted_at.is_none() {
            return Ok(Next::Closed);
        }
        let Some(found) = client.find_by_session(meeting.key.session).await? else {
            return Ok(Next::Closed);
        };
        let repository = &self.meetings.repository;
        repository.made(claim.fence(), meeting, &found.external_id, now).await?;
        Ok(Next::Close)
    }

    async fn keep_made(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        meeting: &MeetingRow,
    ) -> Result<Next, KeepError> {
        let now = self.clock.now();
        let session = match self.sessions.find(meeting.key).await {
            Ok(session) => session,
            Err(SessionError::NotFound) => {
                let waits_until = meeting.created_at.after(ORPHAN_AFTER);
                let waits = waits_until > now;
                return Ok(if waits { Next::In(waits_until.since(now)) } else { Next::Close });
            }
            Err(error) => return Err(error.into()),
        };
        match session.status {
            SessionStatus::Completed | SessionStatus::Cancelled => Ok(Next::Close),
            SessionStatus::Active if session.provider == meeting.provider => {
                self.keep_active(claim, client, (meeting, &session)).await
            }
            // One that stayed with another provider does not end with this meeting.
            SessionStatus::Scheduled | SessionStatus::Active => Ok(Next::In(SCHEDULED_EVERY)),
        }
    }

    /// Asks whether people are in the meeting of an active session.
    async fn keep_active(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        (meeting, session): (&MeetingRow, &Session),
    ) -> Result<Next, KeepError> {
        let Some(external_id) = &meeting.external_id else { return Ok(Next::In(POLL_EVERY)) };
        let state = client.call_state(external_id).await?;
        let now = self.clock.now();
        if state == CallState::Gone {
            return self.make_anew(claim, client, (meeting, session)).await;
        }
        let (call, at) = match state {
            CallState::Running => (Call::Running, now),
            CallState::Over(at) => (Call::Ended, at.min(now)),
            // Zoom does not say whether somebody was there before.
            CallState::Idle if meeting.call == Call::None => (Call::None, meeting.call_at),
            CallState::Idle if meeting.call == Call::Ended => (Call::Ended, meeting.call_at),
            CallState::Idle | CallState::Gone => (Call::Ended, now),
        };
        // What a webhook said meanwhile is newer.
        if call != meeting.call
            && self.meetings.repository.call_is(meeting, call, at.max(meeting.call_at)).await?
        {
            metrics::call("poll", call.as_str());
        }
        let MeetingEnds::EndSessionAfter(grace) = self.ends else {
            return Ok(Next::In(POLL_EVERY));
        };
        // What ended before the session began is no end of the session.
        let began = session.started_at.unwrap_or(session.created_at);
        // In a hall an assembly goes on without anybody in the meeting.
        let has_hall = session.modality != Modality::Virtual;
        if has_hall || call != Call::Ended || at < began {
            return Ok(Next::In(POLL_EVERY));
        }
        let ends_at = at.after(grace);
        if ends_at > now {
            return Ok(Next::In(ends_at.since(now).min(POLL_EVERY)));
        }
        tracing::info!(session = %session.id, "a session ends, since nobody is in its meeting");
        match self.sessions.end(session.key(), None, now).await {
            Ok(_) | Err(SessionError::StateConflict { .. }) => Ok(Next::Close),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the meeting of an active session anew, since somebody deleted it at the provider, which
    /// is no sign that its people have left: those who are here are told the new link.
    async fn make_anew(
        &self,
        claim: &Claim,
        client: &dyn VideoProvider,
        (meeting, session): (&MeetingRow, &Session),
    ) -> Result<Next, KeepError> {
        let id = session.id;
        tracing::error!(session = %id, "the meeting was deleted at its provider; another one is made");
        metrics::call("poll", "gone");
        let now = self.clock.now();
        let asked = (session, meeting.clone());
        let made = self.meetings.make_under(claim, client, asked, now).await?;
        self.sessions.move_meeting(session.key(), &made.url, now).await?;
        Ok(Next::In(ANEW_EVERY))
    }
}

/// How long a meeting waits after something failed. A provider that wants to be left alone is, but
/// whether people are in a meeting is asked again after minutes: the limit may be of something else, and a
/// session would stay active for as long.
fn wait_after(meeting: &MeetingRow, error: &KeepError) -> Duration {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    // Beyond ten doublings the wait is the longest.
    for _ in 0..meeting.tries.min(10) {
        backoff.next(0);
    }
    let wait = backoff.next(rand::random());
    match error {
        KeepError::Provider(
            refused @ (ServiceError::Refused { retry_after: Some(_), .. }
            | ServiceError::LeftAlone { .. }),
        ) => {
            let wanted = refused.retry_after();
            let is_looked_at = meeting.state == MeetingState::Made;
            wait.max(if is_looked_at { wanted.min(RETRY_MAX) } else { wanted })
        }
        _ => wait,
    }
}

/// Has the meetings of sessions that are over closed.
struct MeetingObserver {
    meetings: Meetings,
    clock: Clock,
    wake: Arc<Notify>,
}

#[async_trait]
impl SessionObserver for MeetingObserver {
    async fn session_started(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    async fn session_changed(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        if !session.provider.is_external() {
            return Ok(());
        }
        let now = self.clock.now();
        let closed = self.meetings.repository.close(session.key(), now).await;
        closed.map_err(|error| NotTold(error.to_string()))?;
        self.wake.notify_one();
        Ok(())
    }
}

impl Meetings {
    /// An observer that has the meetings of sessions that are over closed, by the keeper
    /// that `wake` wakes.
    #[must_use]
    pub fn observer(&self, clock: Clock, wake: Arc<Notify>) -> Arc<dyn SessionObserver> {
        Arc::new(MeetingObserver { meetings: self.clone(), clock, wake })
    }
}
