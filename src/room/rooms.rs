//! The rooms of this process: opened when somebody comes, closed when their
//! session is over or nobody has been there for a while.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::claims::{Claim, Holder};
use crate::clock::Clock;
use crate::domain::claim::Work;
use crate::domain::id::{CameraId, ConnectionId, SessionId, SessionKey, TenantId, UserId};
use crate::domain::participant::{ParticipantKind, Principal};
use crate::domain::role::{Role, Roles};
use crate::domain::session::{Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::domain::transcript::TranscriptChunk;
use crate::room::actor::{RoomActor, RoomParts};
use crate::room::attending::take_list;
use crate::room::engine::{ConnectionKind, Recorder, ResumeHash, RoomEngine, attendance_of};
use crate::room::error::RoomError;
use crate::room::member::{
    Admitted, Entered, Entering, Input, MediaAfterLoss, MemberHandle, Reply, Resuming, RoomHandle,
    Sink,
};
use crate::room::open_rooms::{OpenRoom, OpenRooms};
use crate::room::ports::{EvidenceHead, Refusal, RoomPorts};
use crate::room::refusals::Refusals;
use crate::room::repository::RoomRepository;
use crate::sessions::SessionRepository;
use crate::sfu::{BitrateBudget, Sfu};

/// Most inputs that wait for one room; when the queue is full, callers wait for a limited time.
/// Raising it makes a busy room answer later.
const INPUTS_MAX: usize = 1_024;
/// Most media events that wait for one room; at the limit the media plane drops events that may be
/// dropped.
const MEDIA_EVENTS_MAX: usize = 1_024;
/// Longest time that the end of a session waits for its listeners. Each has a shorter limit of its
/// own, at which it tells what it gives up; this one is for a listener that has a fault. Raising it
/// makes the end of a session later then.
const LISTENERS_MAX: Duration = Duration::from_secs(20);

/// The rooms of this process. Clones share them.
#[derive(Clone)]
pub struct Rooms {
    pub(super) parts: Arc<Parts>,
    open: Arc<OpenRooms>,
}

pub(super) struct Parts {
    pub(super) sessions: Arc<dyn SessionRepository>,
    pub(super) repository: Arc<dyn RoomRepository>,
    media: Sfu,
    pub(super) clock: Clock,
    pub(super) ports: RoomPorts,
    pub(super) refusals: Mutex<Refusals>,
    /// How far the clock of the machine is ahead of that of the rooms.
    clock_ahead_ms: AtomicI64,
}

impl Rooms {
    /// Makes a set of rooms of which none is open.
    #[must_use]
    pub fn new(
        sessions: Arc<dyn SessionRepository>,
        repository: Arc<dyn RoomRepository>,
        media: Sfu,
        clock: Clock,
        ports: RoomPorts,
    ) -> Self {
        let (refusals, clock_ahead_ms) = (Mutex::default(), AtomicI64::new(0));
        let shared = Parts { sessions, repository, media, clock, ports, refusals, clock_ahead_ms };
        Self { parts: Arc::new(shared), open: Arc::default() }
    }

    /// Admits a principal to the room of an active session through the moderation channel. Messages
    /// for the connection are sent to `sink`.
    ///
    /// # Errors
    /// [`RoomError::SessionNotFound`] (also for another tenant's session and for a token that is
    /// bound to another session), [`RoomError::SessionNotActive`], [`RoomError::SessionOver`],
    /// and refusals of the room.
    pub async fn enter(
        &self,
        principal: Principal,
        session: SessionId,
        resume: ResumeHash,
        sink: Sink,
    ) -> Result<Entered, RoomError> {
        let kind = ConnectionKind::Channel;
        self.admit(principal, session, |principal| Entering {
            participant: ParticipantKind::Person,
            principal,
            kind,
            sink: Some(sink.clone()),
            resume,
        })
        .await
    }

    /// Whether the room of a session is open in this process.
    pub async fn is_open(&self, session: SessionId) -> bool {
        self.open.find_opened(session).await.is_some()
    }

    /// Admits a camera that this server calls, as a device of the hall: it is shown, and heard
    /// where the hall is. Messages for it are sent to `sink`.
    ///
    /// # Errors
    /// Those of [`Self::enter`].
    pub async fn enter_camera(
        &self,
        SessionKey { tenant, session }: SessionKey,
        camera: &CameraId,
        sink: Sink,
    ) -> Result<Entered, RoomError> {
        let user_id = camera_user(camera).ok_or(RoomError::Forbidden)?;
        // It has no token, and is never resumed.
        let now = self.parts.clock.now();
        let principal = Principal {
            tenant_id: tenant,
            user_id,
            roles: Roles::of(&[Role::Hall]),
            name: camera.to_string(),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: now,
            judged_at: now,
        };
        let (kind, resume) = (ConnectionKind::MediaOnly, [0; 32]);
        self.admit(principal, session, |principal| Entering {
            participant: ParticipantKind::Camera,
            principal,
            kind,
            sink: Some(sink.clone()),
            resume,
        })
        .await
    }

    /// Admits a principal with media only (WHIP, WHEP).
    ///
    /// # Errors
    /// Those of [`Self::enter`].
    pub async fn enter_by_media(
        &self,
        principal: Principal,
        session: SessionId,
    ) -> Result<Entered, RoomError> {
        let (kind, resume) = (ConnectionKind::MediaOnly, [0; 32]);
        let participant = ParticipantKind::Person;
        self.admit(principal, session, |principal| Entering {
            participant,
            principal,
            kind,
            sink: None,
            resume,
        })
        .await
    }

    /// Resumes a connection that was lost, or that an older socket still has.
    ///
    /// # Errors
    /// [`RoomError::NothingToResume`], and those of [`Self::enter`] about the session.
    pub async fn resume(
        &self,
        session: SessionId,
        tenant: TenantId,
        resuming: ResumeRequest,
        sink: Sink,
    ) -> Result<Entered, RoomError> {
        let handle = self.room(SessionKey::new(tenant, session)).await?;
        let ResumeRequest { connection, secret, next, last_seq, media, at } = resuming;
        let resuming = Resuming { connection, secret, next, last_seq, media, at, sink };
        let admitted = handle.ask(|reply| Input::Resume(resuming, reply)).await?;
        Ok(entered(session, handle, admitted))
    }

    /// Tells a room that its session was changed.
    pub async fn session_changed(&self, session: &Session) {
        self.tell(session.id, Input::SessionChanged(Box::new(session.clone()))).await;
    }

    /// Ends the room of a session that has ended or was cancelled. Its listeners first tell what was
    /// said in it. When this succeeds, the last events of the room are in its
    /// repository.
    ///
    /// # Errors
    /// [`RoomError::StoreUnavailable`] when they could not be stored; to be tried again.
    pub async fn session_over(&self, session: &Session) -> Result<(), RoomError> {
        if let Some(room) = self.open.find_opened(session.id).await {
            self.hear_out(session, &room.handle).await;
        }
        if let Some(room) = self.open.remove(session.id).await {
            let (told, answer) = oneshot::channel();
            let over = Input::SessionOver { reason: session.status.as_str(), told };
            if room.handle.inputs.send(over).await.is_ok() {
                // A room that stops without an answer sends nothing more.
                drop(answer.await);
            }
        }
        // Also what a room that was open could not store.
        Box::pin(self.end_unopened(session)).await
    }

    /// Closes every microphone of a room, and waits until what was said has become text.
    async fn hear_out(&self, session: &Session, room: &RoomHandle) {
        let listeners = &self.parts.ports.listeners;
        if !session.transcription.enabled || listeners.is_empty() {
            return;
        }
        let (told, answer) = oneshot::channel();
        if room.inputs.send(Input::SessionEnding { told }).await.is_err() || answer.await.is_err() {
            return;
        }
        let key = session.key();
        let heard = async {
            for listener in listeners {
                listener.session_ending(key).await;
            }
        };
        if tokio::time::timeout(LISTENERS_MAX, heard).await.is_err() {
            tracing::error!(session = %session.id, "a listener did not tell what it had of a session");
        }
    }

    /// Tells the members of a session's room, if it is open here, that a head of the session's log
    /// was signed. Never waits: if the room's queue is full it misses this head, and the next one
    /// covers the same entries.
    pub fn evidence_head(&self, session: SessionId, head: EvidenceHead) {
        if let Some(room) = self.open.find(session) {
            // A room whose queue is full misses this head and gets the next one.
            let _missed = room.handle.inputs.try_send(Input::EvidenceHead(Arc::new(head)));
        }
    }

    /// The text so far of what is being said in a room, which is shown while it is open here,
    /// whoever says it has the floor, and the room is not busy. Never waits.
    pub fn spoken_so_far(&self, key: SessionKey, chunk: TranscriptChunk) {
        let Some(room) = self.open.find(key.session) else { return };
        let inputs = &room.handle.inputs;
        if inputs.capacity() * 2 >= inputs.max_capacity() {
            // The next text has this one in it.
            let _missed = inputs.try_send(Input::SpokenSoFar(chunk));
        }
    }

    /// Tells the members of every room how far the clock of the machine is ahead of that of the
    /// rooms because it was set, unless they know; those of a room that is not open once it opens. To be
    /// repeated while it is not 0, since a room whose queue is full misses it.
    pub fn clock_ahead(&self, ms: i64) {
        self.parts.clock_ahead_ms.store(ms, Ordering::Release);
        for room in self.open.all() {
            // A room whose queue is full is told the next time.
            let _missed = room.handle.inputs.try_send(Input::ClockAhead { ms });
        }
    }

    /// Closes all rooms without ending their sessions: their decisions are stored, and members
    /// resume with the next process.
    pub async fn shutdown(&self) {
        for room in self.open.close() {
            let (stopped, answer) = oneshot::channel();
            if room.handle.inputs.send(Input::Stop(stopped)).await.is_ok() {
                // Without an answer the room has ended by itself.
                drop(answer.await);
            }
        }
    }

    /// Number of open rooms.
    #[must_use]
    pub fn count(&self) -> usize {
        self.open.count()
    }

    async fn tell(&self, session: SessionId, input: Input) {
        if let Some(room) = self.open.find_opened(session).await {
            // If the room ends before it reads this, no member is left to be told.
            drop(room.handle.inputs.send(input).await);
        }
    }

    async fn admit(
        &self,
        principal: Principal,
        session: SessionId,
        make: impl Fn(Principal) -> Entering,
    ) -> Result<Entered, RoomError> {
        if principal.session_id.is_some_and(|bound| bound != session) {
            return Err(RoomError::SessionNotFound);
        }
        let tenant = principal.tenant_id;
        let mut refused = RoomError::Unreachable;
        // A room may close because it is empty after it was found and before it is asked; the
        // second try opens a new one.
        for _ in 0..2 {
            let key = SessionKey::new(tenant, session);
            let entering = make(principal.clone());
            let handle = match entering.kind {
                ConnectionKind::Channel => self.room(key).await?,
                // Whoever comes without a channel takes no room from those who are in it.
                ConnectionKind::MediaOnly => self.room_unless_elsewhere(key).await?,
            };
            if entering.kind == ConnectionKind::MediaOnly && handle.is_without_media {
                return Err(RoomError::ProviderUnsupported);
            }
            let ask = |reply: Reply<Admitted>| Input::Enter(entering, reply);
            match handle.ask(ask).await {
                Ok(admitted) => return Ok(entered(session, handle, admitted)),
                Err(RoomError::Unreachable) => refused = RoomError::Unreachable,
                Err(error) => {
                    refused = error;
                    break;
                }
            }
        }
        self.tell_refused(SessionKey::new(tenant, session), &principal.user_id, &refused).await;
        Err(refused)
    }

    /// Enters in the log that a person could not enter an active session.
    async fn tell_refused(&self, key: SessionKey, user: &UserId, refused: &RoomError) {
        let Some(log) = &self.parts.ports.log else { return };
        let (code, now) = (refused.code(), self.parts.clock.now());
        let is_new = {
            let refusals = self.parts.refusals.lock();
            // A panic of another holder can't leave the table in an inconsistent state.
            let mut refusals = refusals.unwrap_or_else(PoisonError::into_inner);
            refusals.admit(key.session, user, code, now)
        };
        if is_new {
            let refusal = Refusal { user: Some(user.clone()), code };
            log.refused(key, refusal).await;
        }
    }

    /// The room of a session, which is opened if necessary. Another tenant's session is answered
    /// like one that does not exist.
    pub(super) async fn room(&self, key: SessionKey) -> Result<RoomHandle, RoomError> {
        let SessionKey { tenant, session } = key;
        let room = self.open.find_or_open(session, self.open_session(key)).await?;
        if room.tenant == tenant { Ok(room.handle) } else { Err(RoomError::SessionNotFound) }
    }

    /// As [`Self::room`], unless another instance has the room: opening it here would end it there.
    pub(super) async fn room_unless_elsewhere(
        &self,
        key: SessionKey,
    ) -> Result<RoomHandle, RoomError> {
        if let Some(claims) = &self.parts.ports.claims
            && self.open.find_opened(key.session).await.is_none()
        {
            let holder = claims.holder(key, Work::Room).await;
            if holder.map_err(|error| unreadable(key, &error))? == Holder::Another {
                return Err(RoomError::Elsewhere);
            }
        }
        Box::pin(self.room(key)).await
    }

    /// Notes that this instance has a room from now on, whichever had it before.
    async fn claim(&self, key: SessionKey) -> Result<Option<Claim>, RoomError> {
        let Some(claims) = &self.parts.ports.claims else { return Ok(None) };
        let claim = claims.seize(key, Work::Room).await;
        claim.map(Some).map_err(|error| unreadable(key, &error))
    }

    /// Reads a session and opens its room. This runs while the session's opening is locked. So if a
    /// session ends meanwhile, either it is read as ended, or its room is found and closed.
    async fn open_session(&self, key: SessionKey) -> Result<OpenRoom, RoomError> {
        let found = self.active(key).await?;
        let Some(claim) = self.claim(key).await? else {
            let handle = self.open_room(&found, None).await?;
            return Ok(OpenRoom { tenant: key.tenant, handle });
        };
        // Another instance may have ended the session before it could see that the room is here.
        let opened = match self.active(key).await {
            Ok(found) => self.open_room(&found, Some(claim.clone())).await,
            Err(error) => Err(error),
        };
        // A room that was opened has it too.
        claim.release().await;
        Ok(OpenRoom { tenant: key.tenant, handle: opened? })
    }

    async fn active(&self, key: SessionKey) -> Result<Session, RoomError> {
        let found = self.parts.sessions.find(key).await;
        let found = found.map_err(|error| unreadable(key, &error))?;
        let found = found.ok_or(RoomError::SessionNotFound)?;
        match found.status {
            SessionStatus::Active => Ok(found),
            SessionStatus::Scheduled => Err(RoomError::SessionNotActive),
            SessionStatus::Completed | SessionStatus::Cancelled => Err(RoomError::SessionOver),
        }
    }

    fn parts_of(&self, session: &Session) -> RoomParts {
        let Parts { repository, media, clock, ports, .. } = &*self.parts;
        RoomParts {
            key: session.key(),
            repository: repository.clone(),
            media: (!session.provider.is_external()).then(|| media.clone()),
            clock: clock.clone(),
            ports: ports.clone(),
        }
    }

    /// Ends what a session that is over has left of a room that is not open here:
    /// whoever was registered in the hall leaves with it.
    async fn end_unopened(&self, session: &Session) -> Result<(), RoomError> {
        let (tenant, id) = (session.tenant_id, session.id);
        let stored =
            self.parts.repository.load(SessionKey::new(tenant, id)).await.map_err(|error| {
                tracing::error!(session = %id, %error, "a room could not be read");
                RoomError::StoreUnavailable
            })?;
        let now = self.parts.clock.now();
        let engine = if let Some(stored) = stored {
            let attended = attendance_of(&stored, session.attendance);
            if !attended.is_ok_and(|it| it.is_some_and(|attendance| !attendance.is_over())) {
                return Ok(());
            }
            RoomEngine::from_stored(session.into(), self.recorder(session), stored, now)
        } else if session.started_at.is_some() {
            // Nobody came. The list of those who attended says when it ended all the same.
            Ok(RoomEngine::new(session.into(), Recorder::Absent, now))
        } else {
            return Ok(());
        };
        match engine {
            Ok(engine) => {
                let actor = RoomActor::new(self.parts_of(session), engine);
                actor.end_unopened(session.status.as_str()).await
            }
            Err(error) => {
                // Trying again would not help.
                tracing::error!(session = %id, %error, "a room can't be ended");
                Ok(())
            }
        }
    }

    /// Nobody records what another provider carries.
    fn recorder(&self, session: &Session) -> Recorder {
        let is_storeder =
            !session.provider.is_external() && self.parts.ports.has(ParticipantKind::Recorder);
        if is_storeder { Recorder::Present } else { Recorder::Absent }
    }

    async fn budget(&self, tenant: TenantId) -> BitrateBudget {
        let max_kbps = match &self.parts.ports.limits {
            Some(limits) => limits.limits(tenant).await.max_bitrate_kbps,
            None => u32::MAX,
        };
        BitrateBudget { tenant, max_kbps }
    }

    async fn open_room(
        &self,
        session: &Session,
        claim: Option<Claim>,
    ) -> Result<RoomHandle, RoomError> {
        let Parts { repository, media, clock, ports, .. } = &*self.parts;
        let recorder = self.recorder(session);
        let now = clock.now();
        let stored = repository.load(session.key()).await.map_err(|error| {
            tracing::error!(session = %session.id, %error, "a room could not be read");
            RoomError::StoreUnavailable
        })?;
        let roll_known = |engine: &RoomEngine| engine.attendance().roll().is_some();
        let engine = match stored {
            None => RoomEngine::new(session.into(), recorder, now),
            Some(stored) => RoomEngine::from_stored(session.into(), recorder, stored, now)
                .map_err(|error| {
                    tracing::error!(session = %session.id, %error, "a room can't be continued");
                    RoomError::Unreachable
                })?,
        };
        let (media_events, media_inputs) = mpsc::channel(MEDIA_EVENTS_MAX);
        if !session.provider.is_external() {
            let budget = self.budget(session.tenant_id).await;
            let opened = media.open_room(session.id, budget, media_events.clone()).await;
            opened.map_err(|error| RoomError::Media {
                code: error.code(),
                message: error.to_string(),
            })?;
        }
        let (inputs, queue) = mpsc::channel(INPUTS_MAX);
        // The queue is empty. The room may have been told of another time by an earlier process.
        let ms = self.parts.clock_ahead_ms.load(Ordering::Acquire);
        let _sent = inputs.try_send(Input::ClockAhead { ms });
        let is_without_media = session.provider.is_external();
        let room = RoomHandle { inputs, assembly: session.assembly_id, is_without_media };
        if let Some(source) = ports.eligible.clone().filter(|_| !roll_known(&engine)) {
            tokio::spawn(take_list(source, session.key(), room.clone()));
        }
        let actor = RoomActor::new(self.parts_of(session), engine);
        let session = Box::new(session.clone());
        if session.provider.is_external() {
            tokio::spawn(async move {
                // Nothing is sent by it, and its end would end the room.
                let _open = media_events;
                actor.run(session, claim, (queue, media_inputs)).await;
            });
        } else {
            drop(media_events);
            tokio::spawn(actor.run(session, claim, (queue, media_inputs)));
        }
        Ok(room)
    }
}

fn unreadable(key: SessionKey, error: &StoreError) -> RoomError {
    tracing::error!(session = %key.session, %error, "a session could not be read");
    RoomError::StoreUnavailable
}

/// The user id under which a camera is in rooms.
#[must_use]
pub fn camera_user(camera: &CameraId) -> Option<UserId> {
    format!("{}camera:{}", UserId::RESERVED_PREFIX, camera.as_str()).parse().ok()
}

/// The request of a client to resume a connection.
#[derive(Debug, Clone, Copy)]
pub struct ResumeRequest {
    /// The connection.
    pub connection: ConnectionId,
    /// SHA-256 of the client's secret.
    pub secret: ResumeHash,
    /// SHA-256 of the secret that the client is given now.
    pub next: ResumeHash,
    /// `seq` of the last event that the client received.
    pub last_seq: u64,
    /// Whether the client still has its transports.
    pub media: MediaAfterLoss,
    /// The time of the clock by which tokens are judged.
    pub at: Timestamp,
}

fn entered(session: SessionId, room: RoomHandle, admitted: Admitted) -> Entered {
    let Admitted { connection, socket, user, expires_at, left, view, .. } = admitted;
    let Admitted { evidence, transcription, missed, media_gone, .. } = admitted;
    let member = MemberHandle { session, connection, socket, room };
    Entered { member, user, expires_at, left, view, evidence, transcription, missed, media_gone }
}
