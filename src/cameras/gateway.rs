//! The cameras that tenants have, and who may watch them.

mod uses;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use self::wishes::{check_recording, check_wishes};
use crate::cameras::address::AddressPolicy;
use crate::cameras::believed::Believed;
use crate::cameras::captions::Captions;
use crate::cameras::engine::policy::{Lifetimes, Step};
use crate::cameras::engine::source::Source;
use crate::cameras::error::CameraError;
use crate::cameras::ingest::{Ingest, IngestParts, Stream};
use crate::cameras::metrics;
use crate::cameras::ports::{StreamLimits, WatchedSessions};
use crate::cameras::repository::{
    Camera, CameraRecordingRepository, CameraRepository, Put, RecordedSegment, RecordingPolicy,
    SessionQuery, StepAt, Stepped, StreamSession, StreamSessionRepository,
};
use crate::cameras::secrets::Secrets;
use crate::cameras::token::{Grant, PlaybackSecret};
use crate::clock::{Clock, UseClock, UseTime};
use crate::domain::camera::{CameraTransport, StreamSessionStatus};
use crate::domain::id::{CameraId, SessionKey, StreamSessionId, TenantId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::watched::Watched;
use crate::vault::KeyVault;

/// How often something that others change at the same time is tried.
const ATTEMPTS: u32 = 5;
/// Sessions that one sweep ends at once; it goes on until none is left.
const SWEPT_AT_ONCE: u32 = 200;
/// Tenants whose sessions are listed for a caller that names none. Raising it
/// makes such a list slower.
const TENANTS_LISTED_MAX: u32 = 1_000;
/// Sessions in one list. Raising it makes answers larger.
const SESSIONS_LISTED_MAX: u32 = 500;
/// How long sessions that are over can still be asked about.
const SESSIONS_KEPT: Duration = Duration::from_hours(24 * 7);

/// What the gateway is told about its surroundings.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Which addresses cameras may have.
    pub addresses: AddressPolicy,
    /// Most cameras of one tenant.
    pub cameras_max: u32,
    /// How long stream sessions live.
    pub lifetimes: Lifetimes,
}

/// What the gateway is made of.
pub struct GatewayParts {
    /// Where cameras are kept.
    pub cameras: Arc<dyn CameraRepository>,
    /// What is said in meetings, for whoever watches them or a camera that takes part in one; nothing
    /// when viewers may read none.
    pub captions: Option<Captions>,
    /// Where it is kept which cameras are recorded.
    pub recordings: Arc<dyn CameraRecordingRepository>,
    /// Where stream sessions are kept.
    pub sessions: Arc<dyn StreamSessionRepository>,
    /// Where tenants' keys are.
    pub keys: Arc<dyn KeyVault>,
    /// How many streams tenants may have.
    pub limits: Arc<dyn StreamLimits>,
    /// The sessions that may be watched.
    pub watched: Arc<dyn WatchedSessions>,
    /// What tokens are signed with.
    pub secret: PlaybackSecret,
    /// The time.
    pub clock: Clock,
    /// The time by which stream sessions run out.
    pub uses: UseClock,
}

/// A camera to be provisioned.
#[derive(Debug, Clone)]
pub struct NewCamera {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: CameraId,
    /// Its address, with credentials if it wants some.
    pub address: Secret<String>,
    /// How it is to send, in a word; `auto` when nothing is said.
    pub transport: Option<String>,
    /// The codec that its owner expects.
    pub codec_hint: Option<String>,
    /// What its owner wants made of it.
    pub target_profiles: Vec<String>,
    /// How it is to be recorded; as before when nothing is said.
    pub recording: Option<RecordingPolicy>,
}

/// What provisioning did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provisioned {
    /// The camera as it is now.
    pub camera: Camera,
    /// Whether it was not there before.
    pub created: bool,
    /// Whether anything about it is other than before.
    pub changed: bool,
}

/// A session with its token.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The session.
    pub session: StreamSession,
    /// Its token.
    pub token: String,
    /// Until when the token can be exchanged.
    pub expires_at: Timestamp,
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default)]
pub struct SessionFilter {
    /// Of this tenant; of all when `None`.
    pub tenant: Option<TenantId>,
    /// Of this camera or session.
    pub watched: Option<Watched>,
    /// In this state.
    pub status: Option<StreamSessionStatus>,
    /// This one.
    pub session: Option<StreamSessionId>,
}

struct Inner {
    options: GatewayOptions,
    parts: GatewayParts,
    secrets: Secrets,
    ingest: Ingest,
    believed: Believed,
}

/// The cameras and their viewers. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

impl Gateway {
    /// The gateway over its parts.
    #[must_use]
    pub fn new(options: GatewayOptions, parts: GatewayParts) -> Self {
        let secrets = Secrets::new(parts.keys.clone());
        let ingest = Ingest::new(IngestParts {
            cameras: parts.cameras.clone(),
            secrets: secrets.clone(),
            addresses: options.addresses.clone(),
            clock: parts.clock.clone(),
        });
        let believed = Believed::new(options.lifetimes.idle);
        Self(Arc::new(Inner { options, parts, secrets, ingest, believed }))
    }

    /// Makes a camera known, or changes what is known of it. The same again
    /// changes nothing.
    ///
    /// # Errors
    /// What is wrong with it; [`CameraError::CameraLimit`].
    pub async fn provision(&self, new: NewCamera) -> Result<Provisioned, CameraError> {
        let (tenant, recording) = (new.tenant, new.recording);
        recording.map_or(Ok(()), check_recording)?;
        if matches!(new.id.as_str().parse(), Ok(Watched::Session(_))) {
            let problem = "session: and the id of a session name a session, and no camera";
            return Err(CameraError::Unusable { field: "cameraId", problem });
        }
        let mut provisioned = self.provision_camera(new).await?;
        if let Some(policy) = recording {
            // Somebody else may have removed it meanwhile.
            let camera = &provisioned.camera.id;
            provisioned.changed |= self.set_recording(tenant, camera, policy).await?;
        }
        Ok(provisioned)
    }

    /// Has a camera recorded outside sessions, or not; whether that is other than before.
    ///
    /// # Errors
    /// [`CameraError::CameraNotFound`] and [`CameraError::Unusable`].
    pub async fn set_recording(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        policy: RecordingPolicy,
    ) -> Result<bool, CameraError> {
        check_recording(policy)?;
        let changed = self.0.parts.recordings.put_recording(tenant, camera, policy).await?;
        changed.ok_or(CameraError::CameraNotFound)
    }

    async fn provision_camera(&self, new: NewCamera) -> Result<Provisioned, CameraError> {
        let source = Source::parse(new.address.expose())?;
        let transport = check_wishes(&new)?;
        match self.0.options.addresses.resolve(&source).await {
            // A camera that is not there yet may be provisioned; its address is
            // judged whenever it is called.
            Ok(_) | Err(CameraError::HostNotFound) => {}
            Err(error) => return Err(error),
        }
        for _ in 0..ATTEMPTS {
            let known = self.0.parts.cameras.camera(new.tenant, &new.id).await?;
            if let Some(camera) = &known
                && camera.transport == transport
                && self.is_same(camera, &new, &source).await?
            {
                return Ok(Provisioned { camera: camera.clone(), created: false, changed: false });
            }
            let camera = self.next(known.as_ref(), &new, (&source, transport)).await?;
            let (expected, most) =
                (known.as_ref().map(|camera| camera.revision), self.0.options.cameras_max);
            match self.0.parts.cameras.put_camera(&camera, expected, most).await? {
                Put::Done => {
                    self.0.ingest.renew(camera.tenant, &camera.id);
                    return Ok(Provisioned { camera, created: known.is_none(), changed: true });
                }
                Put::LimitReached => return Err(CameraError::CameraLimit(most)),
                Put::Stale => {}
            }
        }
        Err(CameraError::Contended)
    }

    /// Forgets a camera and ends its sessions and its recording; whether there was one. What was
    /// recorded of it is kept until its time is over.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn deprovision(
        &self,
        tenant: TenantId,
        camera: &CameraId,
    ) -> Result<bool, CameraError> {
        let now = self.0.parts.clock.now();
        let removed = self.0.parts.cameras.remove_camera(tenant, camera, now).await?;
        self.0.ingest.end(tenant, camera);
        Ok(removed)
    }

    /// The captions of cameras and sessions; nothing when viewers may read none.
    #[must_use]
    pub fn captions(&self) -> Option<&Captions> {
        self.0.parts.captions.as_ref()
    }

    /// The streams of its cameras.
    #[must_use]
    pub fn ingest(&self) -> &Ingest {
        &self.0.ingest
    }

    /// A camera.
    ///
    /// # Errors
    /// [`CameraError::CameraNotFound`].
    pub async fn camera(&self, tenant: TenantId, camera: &CameraId) -> Result<Camera, CameraError> {
        let found = self.0.parts.cameras.camera(tenant, camera).await?;
        found.ok_or(CameraError::CameraNotFound)
    }

    /// The cameras of a tenant, by id.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cameras(&self, tenant: TenantId) -> Result<Vec<Camera>, CameraError> {
        Ok(self.0.parts.cameras.cameras(tenant).await?)
    }

    /// Gives somebody the right to watch a camera or a session: a stream session with this id and its
    /// token. When it was given before, because the answer was lost, the answer is the same session and
    /// the same token.
    ///
    /// # Errors
    /// [`CameraError::CameraNotFound`], those of [`WatchedSessions::check`], and
    /// [`CameraError::Denied`]; [`CameraError::Transition`] when it was given before and is over.
    pub async fn issue(
        &self,
        tenant: TenantId,
        watched: &Watched,
        id: StreamSessionId,
    ) -> Result<Issued, CameraError> {
        if let Some(given) = self.0.parts.sessions.session(tenant, id).await? {
            return self.issued_before(given);
        }
        match watched {
            Watched::Camera(camera) => match self.camera(tenant, camera).await {
                // What was recorded of a camera may be watched as long as it is kept.
                Err(CameraError::CameraNotFound) if self.is_recorded(tenant, camera).await? => {}
                found => drop(found?),
            },
            Watched::Session(session) => {
                self.0.parts.watched.check(SessionKey::new(tenant, *session)).await?;
            }
        }
        let max = self.active_max(tenant).await;
        let UseTime { now, judged: judged_at, .. } = self.use_time();
        let expires_at = self.0.options.lifetimes.issued_until(now);
        let session = StreamSession {
            tenant,
            id,
            watched: watched.clone(),
            status: StreamSessionStatus::Requested,
            requested_at: now,
            issued_at: None,
            activated_at: None,
            seen_at: None,
            due_at: expires_at,
            ended_at: None,
        };
        let at = StepAt { at: now, due_at: expires_at, judged_at, active_max: max };
        let stepped = self.0.parts.sessions.issue_session(&session, at).await?;
        Ok(self.with_token(done(stepped, (tenant, Step::Issue), max)?, expires_at))
    }

    /// A session that was given before, with the token that it was given with.
    fn issued_before(&self, session: StreamSession) -> Result<Issued, CameraError> {
        let issued_at = session.issued_at.unwrap_or(session.requested_at);
        let expires_at = self.0.options.lifetimes.issued_until(issued_at);
        if session.status.is_over() {
            return Err(CameraError::Transition(session.status));
        }
        if expires_at <= self.use_time().judged {
            return Err(CameraError::Transition(StreamSessionStatus::Expired));
        }
        Ok(self.with_token(session, expires_at))
    }

    fn with_token(&self, session: StreamSession, expires_at: Timestamp) -> Issued {
        let (tenant, watched) = (session.tenant, session.watched.clone());
        let grant = Grant { tenant, watched, session: session.id, expires_at };
        let token = self.0.parts.secret.sign(&grant);
        Issued { session, token, expires_at }
    }

    /// Begins watching. A session that is active stays so.
    ///
    /// # Errors
    /// [`CameraError::SessionNotFound`], [`CameraError::Transition`] and
    /// [`CameraError::Denied`].
    pub async fn activate(
        &self,
        tenant: TenantId,
        session: StreamSessionId,
    ) -> Result<StreamSession, CameraError> {
        let max = self.active_max(tenant).await;
        let UseTime { now, judged: judged_at, .. } = self.use_time();
        let due_at = self.0.options.lifetimes.active_until(now, now);
        let at = StepAt { at: now, due_at, judged_at, active_max: max };
        let sessions = &self.0.parts.sessions;
        let stepped = sessions.step_session(tenant, session, Step::Activate, at).await?;
        done(stepped, (tenant, Step::Activate), max)
    }

    /// Ends a session. One that was ended stays so.
    ///
    /// # Errors
    /// [`CameraError::SessionNotFound`] and [`CameraError::Transition`].
    pub async fn end(
        &self,
        tenant: TenantId,
        session: StreamSessionId,
    ) -> Result<StreamSession, CameraError> {
        let now = self.0.parts.clock.now();
        let at = StepAt { at: now, due_at: now, judged_at: now, active_max: 0 };
        let stepped = self.0.parts.sessions.step_session(tenant, session, Step::End, at).await?;
        self.0.believed.forget(session);
        done(stepped, (tenant, Step::End), 0)
    }

    /// Sessions, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
    ) -> Result<Vec<StreamSession>, CameraError> {
        let sessions = &self.0.parts.sessions;
        let tenants = match (filter.tenant, filter.session) {
            (Some(tenant), _) => vec![tenant],
            (None, Some(session)) => {
                sessions.tenant_of_session(session).await?.into_iter().collect()
            }
            (None, None) => sessions.tenants_with_sessions(None, TENANTS_LISTED_MAX).await?,
        };
        let query = SessionQuery {
            watched: filter.watched.clone(),
            status: filter.status,
            session: filter.session,
            limit: SESSIONS_LISTED_MAX,
        };
        let mut found = Vec::new();
        for tenant in tenants {
            found.extend(sessions.sessions(tenant, &query).await?);
        }
        found.sort_by_key(|session| std::cmp::Reverse((session.requested_at, session.id)));
        found.truncate(usize::try_from(SESSIONS_LISTED_MAX).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Whose a session is.
    ///
    /// # Errors
    /// [`CameraError::SessionNotFound`].
    pub async fn tenant_of(&self, session: StreamSessionId) -> Result<TenantId, CameraError> {
        let found = self.0.parts.sessions.tenant_of_session(session).await?;
        found.ok_or(CameraError::SessionNotFound)
    }

    /// Ends sessions whose time is over, of one tenant or of all; how many.
    ///
    /// # Errors
    /// When the store does not answer; what was ended stays so.
    pub async fn sweep(&self, tenant: Option<TenantId>) -> Result<u64, CameraError> {
        let sessions = &self.0.parts.sessions;
        let UseTime { now, judged: judged_at, .. } = self.use_time();
        let at = StepAt { at: now, due_at: now, judged_at, active_max: 0 };
        let mut expired = 0;
        loop {
            let due = sessions.due_sessions(tenant, judged_at, SWEPT_AT_ONCE).await?;
            let (found, before) = (due.len(), expired);
            for (tenant, session) in due {
                let stepped = sessions.step_session(tenant, session, Step::Expire, at).await?;
                // Whoever used or ended it meanwhile was first.
                if matches!(stepped, Stepped::Done(_)) {
                    self.0.believed.forget(session);
                    metrics::stepped(tenant, Step::Expire);
                    expired += 1;
                }
            }
            if found < usize::try_from(SWEPT_AT_ONCE).unwrap_or(usize::MAX) || expired == before {
                return Ok(expired);
            }
        }
    }

    /// Forgets sessions that have been over for long; how many.
    ///
    /// # Errors
    /// When the store does not answer; what was forgotten stays so.
    pub async fn forget_old(&self) -> Result<u64, CameraError> {
        let before = self.0.parts.clock.now().before(SESSIONS_KEPT);
        let sessions = &self.0.parts.sessions;
        let (mut forgotten, mut after) = (0, None);
        loop {
            let tenants = sessions.tenants_with_sessions(after, TENANTS_LISTED_MAX).await?;
            let Some(last) = tenants.last().copied() else { return Ok(forgotten) };
            for tenant in tenants {
                forgotten += sessions.forget_sessions(tenant, before).await?;
            }
            after = Some(last);
        }
    }

    /// Which sessions were found active lately.
    pub(super) fn believed(&self) -> &Believed {
        &self.0.believed
    }

    /// The stream of what somebody watches, from now on for a while.
    pub(super) async fn want(
        &self,
        tenant: TenantId,
        watched: &Watched,
    ) -> Result<Arc<Stream>, CameraError> {
        match watched {
            Watched::Camera(camera) => self.0.ingest.want(tenant, camera),
            Watched::Session(session) => {
                self.0.parts.watched.want(SessionKey::new(tenant, *session)).await
            }
        }
    }

    pub(super) fn secret(&self) -> &PlaybackSecret {
        &self.0.parts.secret
    }

    pub(super) fn lifetimes(&self) -> Lifetimes {
        self.0.options.lifetimes
    }

    /// The time, as all instances have it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.0.parts.clock.now()
    }

    pub(super) async fn active_max(&self, tenant: TenantId) -> u32 {
        self.0.parts.limits.max_concurrent_streams(tenant).await
    }

    /// What is recorded of a camera: segments that began in a span of time, and the one before.
    pub(super) async fn recorded(
        &self,
        (tenant, camera): (TenantId, &CameraId),
        span: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, CameraError> {
        Ok(self.0.parts.recordings.recorded_segments(tenant, camera, span, limit).await?)
    }

    async fn is_recorded(&self, tenant: TenantId, camera: &CameraId) -> Result<bool, CameraError> {
        let found = self.0.parts.recordings.recorded_cameras(tenant, Some(camera)).await?;
        Ok(found.iter().any(|it| it.since.is_some()))
    }

    /// Whether nothing about a camera is other than it is to be. One whose
    /// address can't be opened any more is.
    async fn is_same(
        &self,
        camera: &Camera,
        new: &NewCamera,
        source: &Source,
    ) -> Result<bool, CameraError> {
        if camera.codec_hint != new.codec_hint || camera.target_profiles != new.target_profiles {
            return Ok(false);
        }
        match self.0.secrets.open(camera.tenant, &camera.source).await {
            Ok(known) => Ok(known == *source),
            Err(CameraError::SecretLost) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn next(
        &self,
        known: Option<&Camera>,
        new: &NewCamera,
        (source, transport): (&Source, CameraTransport),
    ) -> Result<Camera, CameraError> {
        let now = self.0.parts.clock.now();
        Ok(Camera {
            tenant: new.tenant,
            id: new.id.clone(),
            source: self.0.secrets.seal(new.tenant, source).await?,
            transport,
            codec_hint: new.codec_hint.clone(),
            target_profiles: new.target_profiles.clone(),
            revision: known.map_or(1, |camera| camera.revision.saturating_add(1)),
            created_at: known.map_or(now, |camera| camera.created_at),
            updated_at: now,
        })
    }
}

fn done(
    stepped: Stepped,
    (tenant, step): (TenantId, Step),
    max: u32,
) -> Result<StreamSession, CameraError> {
    match stepped {
        Stepped::Done(session) => {
            metrics::stepped(tenant, step);
            Ok(session)
        }
        Stepped::Already(session) => Ok(session),
        Stepped::Refused(status) => Err(CameraError::Transition(status)),
        Stepped::Denied(denied) => {
            let error = CameraError::Denied { denied, max };
            metrics::refused(tenant, error.code());
            Err(error)
        }
        Stepped::NotFound => Err(CameraError::SessionNotFound),
    }
}
