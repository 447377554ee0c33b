//! Creates and changes sessions.

use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::session::{Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::change::SessionPatch;
use crate::sessions::ends::RoomEnds;
use crate::sessions::error::{FieldProblem, SessionError};
use crate::sessions::event::SessionEvent;
use crate::sessions::limits::{TenantLimits, TenantLimitsSource};
use crate::sessions::listing::{
    LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, ListQuery, SessionPage, SessionPosition,
};
use crate::sessions::meetings::{Meeting, MeetingError, MeetingMaker};
use crate::sessions::metrics;
use crate::sessions::new_session::NewSession;
use crate::sessions::observer::{SessionObserver, tell_as_it_is};
use crate::sessions::repository::{Activation, ChangeId, SessionRepository};
use crate::sessions::telling::{SessionLocks, Telling};
use crate::sessions::validation::{fixed_member, problems_of};

/// How often a change without an expected version is tried again after another process changed the
/// session in between. Five changes of one session within a few milliseconds are a defect
/// elsewhere, so more tries would not help.
const TRIES_MAX: u32 = 5;

/// Creates, reads and changes sessions, and tells observers of every change. Cheap to clone.
///
/// Callers must be authorised already. Every operation concerns one tenant and finds no session of
/// another.
#[derive(Clone)]
pub struct SessionService {
    repository: Arc<dyn SessionRepository>,
    limits: Arc<dyn TenantLimitsSource>,
    meetings: Option<Arc<dyn MeetingMaker>>,
    telling: Arc<Telling>,
}

/// A step in the life of a session.
#[derive(Clone)]
struct Step {
    next: SessionStatus,
    /// What is wanted, as a verb phrase.
    wanted: &'static str,
    storing: Storing,
    /// The address of its meeting, when it was made for this step.
    meeting_url: Option<String>,
}

impl Step {
    const fn new(next: SessionStatus, wanted: &'static str, storing: Storing) -> Self {
        Self { next, wanted, storing, meeting_url: None }
    }
}

/// How a changed session is stored.
#[derive(Clone, Copy)]
enum Storing {
    Replace,
    /// Only if the tenant has fewer than this many active sessions.
    Activate(u32),
}

impl SessionService {
    /// Makes a service with a repository and a source of limits. `observers` are told of every
    /// change, in this order. Must be used within a runtime.
    #[must_use]
    pub fn new(
        repository: Arc<dyn SessionRepository>,
        limits: Arc<dyn TenantLimitsSource>,
        observers: Vec<Arc<dyn SessionObserver>>,
    ) -> Self {
        let telling = Arc::new(Telling {
            repository: Arc::clone(&repository),
            observers,
            locks: SessionLocks::default(),
            ends: OnceLock::new(),
            left: Mutex::default(),
            tasks: TaskTracker::new(),
            stopping: CancellationToken::new(),
        });
        Self { repository, limits, meetings: None, telling }
    }

    /// The same service, which has meetings of sessions at other providers made by `meetings`.
    /// Without it there are no such sessions.
    #[must_use]
    pub fn making_by(self, meetings: Arc<dyn MeetingMaker>) -> Self {
        Self { meetings: Some(meetings), ..self }
    }

    /// The same service, whose changes are stored by another repository of the same
    /// sessions.
    #[must_use]
    pub fn storing_by(&self, repository: Arc<dyn SessionRepository>) -> Self {
        Self { repository, ..self.clone() }
    }

    /// The same service of one of several instances: the end of a session is told by the one that
    /// has its room, as `ends` says. To be set once.
    #[must_use]
    pub fn ending_by(self, ends: Arc<dyn RoomEnds>) -> Self {
        // A second one would be ignored, since changes may have been told by the first.
        let _set = self.telling.ends.set(ends);
        self
    }

    /// Another instance may have stored this end of a session: it is told here unless it was told,
    /// or another instance has the room.
    ///
    /// # Errors
    /// When the change can't be read.
    pub async fn session_over(&self, change: ChangeId) -> Result<(), SessionError> {
        let telling = Arc::clone(&self.telling);
        // In a task of its own, since whoever asks may stop waiting.
        let task = self.telling.tasks.spawn(async move { telling.tell_change(change).await });
        let told = task.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        told?;
        Ok(())
    }

    /// Starts telling observers of changes that were stored but not told, by this process or by one
    /// that died, until [`Self::shutdown`].
    pub fn start_telling(&self, clock: Clock) {
        self.telling.tasks.spawn(Arc::clone(&self.telling).retell(clock));
    }

    /// Tells observers of changes that were not told for [`TOLD_BY`](super::TOLD_BY); returns how
    /// many.
    pub async fn tell_untold(&self, now: Timestamp) -> Result<usize, SessionError> {
        Ok(self.telling.tell_untold(now).await?)
    }

    /// Tells one observer of a session as it is stored now, since another process may have changed it,
    /// after what is being told of it here. One that there is no more is told to nobody.
    ///
    /// # Errors
    /// When the session can't be read.
    pub async fn tell_one(
        &self,
        key: SessionKey,
        observer: &dyn SessionObserver,
    ) -> Result<(), SessionError> {
        let _held = self.telling.locks.hold(key.session).await;
        if let Some(session) = self.repository.find(key).await?
            && let Err(error) = tell_as_it_is(observer, &session).await
        {
            tracing::warn!(session = %key.session, %error, "an observer was not told of a change");
        }
        Ok(())
    }

    /// Stops telling, after the changes that are being told.
    pub async fn shutdown(&self) {
        self.telling.stopping.cancel();
        self.telling.tasks.close();
        self.telling.tasks.wait().await;
    }

    /// The current limits of a tenant, for admitting participants and media.
    pub async fn limits(&self, tenant: TenantId) -> TenantLimits {
        self.limits.limits(tenant).await
    }

    async fn check_not_suspended(&self, tenant: TenantId) -> Result<(), SessionError> {
        if self.limits.is_suspended(tenant).await {
            return Err(SessionError::TenantSuspended);
        }
        Ok(())
    }

    /// Creates a scheduled session at version 1.
    ///
    /// # Errors
    /// Those of [`Self::create_once`].
    pub async fn create(
        &self,
        new_session: NewSession,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        self.create_as(new_session, (SessionId::generate(), None), now).await
    }

    /// Creates a scheduled session at version 1. When another provider carries its media, its
    /// meeting there is made first; if that fails, there is no session. `id` is the session's: if it
    /// exists, an earlier try of the request has created it, and it is the answer. `origin` is a hash
    /// of the request: the same request again goes on with the meeting that it had begun to make.
    ///
    /// # Errors
    /// [`SessionError::Invalid`], [`SessionError::TenantSuspended`], [`SessionError::Meeting`].
    pub async fn create_once(
        &self,
        new_session: NewSession,
        (id, origin): (SessionId, Option<[u8; 32]>),
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        if let Some(stored) =
            self.repository.find(SessionKey::new(new_session.tenant_id, id)).await?
        {
            return Ok(stored);
        }
        self.create_as(new_session, (id, origin), now).await
    }

    async fn create_as(
        &self,
        new_session: NewSession,
        (id, origin): (SessionId, Option<[u8; 32]>),
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        self.check_not_suspended(new_session.tenant_id).await?;
        let limits = self.limits.limits(new_session.tenant_id).await;
        let mut session = new_session.into_session(id, &limits, now);
        let problems = problems_of(&session, None, &limits);
        if !problems.is_empty() {
            return Err(SessionError::Invalid(problems));
        }
        if session.provider.is_external() {
            let meeting = self.made_meeting(&session, origin, now).await?;
            if meeting.session != session.id {
                session.id = meeting.session;
                // The earlier request may have been interrupted after it had stored the session.
                if let Some(stored) = self.repository.find(session.key()).await? {
                    return Ok(stored);
                }
            }
            session.meeting_url = Some(meeting.url);
        }
        self.committed(session.id, move |this| async move {
            let event = SessionEvent::created(session);
            if let Err(error) = this.repository.insert(&event).await {
                // An earlier try of the same request may have been committed meanwhile.
                let stored = this.repository.find(event.session.key()).await;
                return stored.ok().flatten().ok_or_else(|| error.into());
            }
            this.telling.tell(&event).await;
            Ok(event.session)
        })
        .await
    }

    /// The session.
    pub async fn find(&self, key: SessionKey) -> Result<Session, SessionError> {
        self.repository.find(key).await?.ok_or(SessionError::NotFound)
    }

    /// A page of sessions, newest first.
    pub async fn list(
        &self,
        tenant: TenantId,
        query: &ListQuery,
    ) -> Result<SessionPage, SessionError> {
        let (after, limit) = page_of(query)?;
        // One more than requested shows whether there is a next page.
        let mut sessions =
            self.repository.list(tenant, &query.filter, after, limit.saturating_add(1)).await?;
        let kept = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = sessions.len() > kept;
        sessions.truncate(kept);
        let last = sessions.last().filter(|_| more);
        let next_cursor = last.map(|session| SessionPosition::of(session).to_cursor());
        Ok(SessionPage { sessions, next_cursor })
    }

    /// Changes the values in `patch`, if the session has the version `expected`. A patch that
    /// changes nothing leaves the version as it is.
    ///
    /// Once a session is active, only its title, its planned end, its number of people and the
    /// retention of its recording can change. Once it has ended or was cancelled, nothing can.
    pub async fn patch(
        &self,
        key: SessionKey,
        expected: u64,
        patch: SessionPatch,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let SessionKey { tenant, session: id } = key;
        self.committed(id, move |this| async move {
            let current = this.find(key).await?;
            let limits = this.limits.limits(tenant).await;
            let mut wanted = patched(&current, expected, patch, &limits)?;
            if wanted == current {
                return Ok(current);
            }
            if wanted.provider.is_external() && wanted.meeting_url.is_none() {
                wanted.meeting_url = Some(this.made_meeting(&wanted, None, now).await?.url);
            }
            let event = SessionEvent::changed(wanted, now);
            if this.repository.replace(&event, expected).await? {
                this.telling.tell(&event).await;
                return Ok(event.session);
            }
            let current = this.find(key).await?.version;
            Err(SessionError::VersionConflict { current })
        })
        .await
    }

    /// Starts a scheduled session, if the tenant may have one more active.
    pub async fn start(
        &self,
        key: SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let began = Instant::now();
        self.check_not_suspended(key.tenant).await?;
        let active_max = self.limits.limits(key.tenant).await.max_active_sessions;
        let storing = Storing::Activate(active_max);
        let mut change = Step::new(SessionStatus::Active, "be started", storing);
        let wanted = self.find(key).await?;
        if wanted.provider.is_external() && wanted.status == SessionStatus::Scheduled {
            // Somebody may have deleted it there since it was made.
            match self.made_meeting(&wanted, None, now).await {
                Ok(meeting) => change.meeting_url = Some(meeting.url),
                Err(error) if wanted.meeting_url.is_some() => {
                    tracing::warn!(session = %key.session, %error, "it is not known whether the meeting exists");
                }
                Err(error) => return Err(error),
            }
        }
        let session = self.change_state(key, expected, change, now).await?;
        metrics::session_started(key.tenant, session.modality, began.elapsed());
        Ok(session)
    }

    /// Notes another link of the meeting that carries an active session, and tells of it.
    pub async fn move_meeting(
        &self,
        key: SessionKey,
        url: &str,
        now: Timestamp,
    ) -> Result<(), SessionError> {
        let url = Some(url.to_owned());
        let moved = self.committed(key.session, move |this| async move {
            for _ in 0..TRIES_MAX {
                let current = this.find(key).await?;
                if current.meeting_url == url || current.status != SessionStatus::Active {
                    return Ok(current);
                }
                let expected = current.version;
                let version = expected.saturating_add(1);
                let moved = Session { meeting_url: url.clone(), version, ..current };
                let event = SessionEvent::changed(moved, now);
                if this.repository.replace(&event, expected).await? {
                    this.telling.tell(&event).await;
                    return Ok(event.session);
                }
            }
            Err(SessionError::VersionConflict { current: this.find(key).await?.version })
        });
        moved.await.map(|_| ())
    }

    /// Cancels a session that has not ended.
    pub async fn cancel(
        &self,
        key: SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let change = Step::new(SessionStatus::Cancelled, "be cancelled", Storing::Replace);
        self.change_state(key, expected, change, now).await
    }

    /// Completes an active session.
    pub async fn end(
        &self,
        key: SessionKey,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let change = Step::new(SessionStatus::Completed, "be ended", Storing::Replace);
        self.change_state(key, expected, change, now).await
    }

    /// The meeting of a session at its provider, made now if there is none.
    async fn made_meeting(
        &self,
        session: &Session,
        origin: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Meeting, SessionError> {
        let maker = self.meetings.clone();
        let maker = maker.ok_or(MeetingError::NotConfigured(session.provider))?;
        let session = session.clone();
        // In a task of its own, so that what is made is noted even if the caller does not wait.
        let task = self.telling.tasks.spawn(async move { maker.make(&session, origin, now).await });
        let made = task.await.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(made?)
    }

    /// Runs a change of a session in a task of its own, so that observers are told of a stored
    /// change even if the caller does not wait for it. Changes of one session run one after the
    /// other.
    async fn committed<F>(
        &self,
        session: SessionId,
        change: impl FnOnce(Self) -> F,
    ) -> Result<Session, SessionError>
    where
        F: Future<Output = Result<Session, SessionError>> + Send + 'static,
    {
        let change = change(self.clone());
        let telling = Arc::clone(&self.telling);
        let task = self.telling.tasks.spawn(async move {
            let _held = telling.locks.hold(session).await;
            change.await
        });
        task.await.unwrap_or_else(|error| {
            // The task panicked or the runtime ends: it is not known whether the change was stored.
            Err(StoreError::Unavailable(error.to_string()).into())
        })
    }

    /// Reads, decides and stores unless the session changed in between; in that case tries again a
    /// few times, unless the caller has given the expected version.
    async fn change_state(
        &self,
        key: SessionKey,
        expected: Option<u64>,
        change: Step,
        now: Timestamp,
    ) -> Result<Session, SessionError> {
        let SessionKey { session: id, .. } = key;
        self.committed(id, move |this| async move {
            let event = this.store_state(key, expected, change, now).await?;
            this.telling.tell(&event).await;
            Ok(event.session)
        })
        .await
    }

    async fn store_state(
        &self,
        key: SessionKey,
        expected: Option<u64>,
        change: Step,
        now: Timestamp,
    ) -> Result<SessionEvent, SessionError> {
        let Step { next, wanted, storing, meeting_url } = change;
        let mut current = self.find(key).await?;
        for _ in 0..TRIES_MAX {
            if expected.is_some_and(|expected| expected != current.version) {
                break;
            }
            if !current.status.may_become(next) {
                return Err(SessionError::StateConflict { status: current.status, wanted });
            }
            let mut session = in_state(&current, next, now);
            if meeting_url.is_some() {
                session.meeting_url.clone_from(&meeting_url);
            }
            let changed = SessionEvent::in_state(session, now);
            let outcome = match storing {
                Storing::Activate(active_max) => {
                    self.repository.activate(&changed, current.version, active_max).await?
                }
                Storing::Replace => {
                    if self.repository.replace(&changed, current.version).await? {
                        Activation::Done
                    } else {
                        Activation::Stale
                    }
                }
            };
            match (outcome, storing) {
                (Activation::Done, _) => return Ok(changed),
                (Activation::LimitReached, Storing::Activate(limit)) => {
                    return Err(SessionError::LimitReached { limit });
                }
                (Activation::LimitReached | Activation::Stale, _) => {
                    current = self.find(key).await?;
                }
            }
        }
        Err(SessionError::VersionConflict { current: current.version })
    }
}

/// The session after `patch`, or why it is not allowed.
fn patched(
    current: &Session,
    expected: u64,
    patch: SessionPatch,
    limits: &TenantLimits,
) -> Result<Session, SessionError> {
    if current.version != expected {
        return Err(SessionError::VersionConflict { current: current.version });
    }
    if current.status.is_over() {
        return Err(SessionError::StateConflict { status: current.status, wanted: "be changed" });
    }
    let (mut wanted, mut problems) = patch.applied_to(current, limits);
    problems.extend(problems_of(&wanted, Some(current), limits));
    if !problems.is_empty() {
        return Err(SessionError::Invalid(problems));
    }
    if let Some(wanted) = fixed_member(current, &wanted) {
        return Err(SessionError::StateConflict { status: current.status, wanted });
    }
    if wanted != *current {
        wanted.version = current.version.saturating_add(1);
    }
    Ok(wanted)
}

/// The session in its next state. If the clock went backwards, it still does not end before it
/// started.
fn in_state(current: &Session, next: SessionStatus, now: Timestamp) -> Session {
    let mut changed = current.clone();
    changed.status = next;
    changed.version = current.version.saturating_add(1);
    if next == SessionStatus::Active {
        changed.started_at = Some(now.max(current.created_at));
    }
    if next.is_over() {
        changed.ended_at = Some(now.max(current.started_at.unwrap_or(current.created_at)));
    }
    changed
}

/// Where a page begins and how long it is, or everything that is wrong with the request.
fn page_of(query: &ListQuery) -> Result<(Option<SessionPosition>, u32), SessionError> {
    let mut problems = Vec::new();
    let limit = query.limit.unwrap_or(LIST_LIMIT_DEFAULT);
    if !(1..=LIST_LIMIT_MAX).contains(&limit) {
        let problem = format!("must be between 1 and {LIST_LIMIT_MAX}");
        problems.push(FieldProblem::new("limit", problem));
    }
    let after = query.cursor.as_deref().and_then(SessionPosition::from_cursor);
    if query.cursor.is_some() && after.is_none() {
        problems.push(FieldProblem::new("cursor", "is not one that this server gave"));
    }
    if let (Some(from), Some(to)) = (query.filter.from, query.filter.to)
        && to <= from
    {
        problems.push(FieldProblem::new("to", "must be later than from"));
    }
    if problems.is_empty() { Ok((after, limit)) } else { Err(SessionError::Invalid(problems)) }
}
