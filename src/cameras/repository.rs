//! Where cameras, stream sessions and captures are kept.

mod publications;
mod recordings;

use async_trait::async_trait;

pub use self::publications::{
    CaptureFile, CaptureSegment, Filed, FilmsOf, OldFiles, Publication, PublicationRepository,
};
pub use self::recordings::{
    CameraRecordingRepository, RecordedCamera, RecordedSegment, RecordingPolicy, SpentPublication,
};
use crate::cameras::captures::Capture;
use crate::cameras::engine::policy::{Denied, Step};
use crate::domain::camera::{
    CameraCodec, CameraHealth, CameraTransport, ProbeCause, StreamFault, StreamSessionStatus,
    StreamStatus,
};
use crate::domain::id::{
    CameraId, CameraSecretId, CaptureId, SessionId, StreamId, StreamSessionId, TenantId,
};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::domain::watched::Watched;

/// An address as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSource {
    /// This sealing.
    pub id: CameraSecretId,
    /// Its key, wrapped by the tenant's.
    pub wrapped_key: Vec<u8>,
    /// The address with its credentials, sealed.
    pub sealed: Vec<u8>,
    /// The address as it may be shown.
    pub masked: String,
}

/// A camera of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Camera {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: CameraId,
    /// How it is reached.
    pub source: SealedSource,
    /// How it is to send.
    pub transport: CameraTransport,
    /// The codec that its owner expects, if any.
    pub codec_hint: Option<String>,
    /// What its owner wants made of it.
    pub target_profiles: Vec<String>,
    /// Counts its changes, from 1.
    pub revision: u64,
    /// When it was first provisioned.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// One viewer's right to watch a camera or a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSession {
    /// Whose camera or session.
    pub tenant: TenantId,
    /// This stream session.
    pub id: StreamSessionId,
    /// What may be watched.
    pub watched: Watched,
    /// Where it stands.
    pub status: StreamSessionStatus,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When its token was handed out.
    pub issued_at: Option<Timestamp>,
    /// When it became active.
    pub activated_at: Option<Timestamp>,
    /// When it was last used.
    pub seen_at: Option<Timestamp>,
    /// When it runs out, unless it is used before.
    pub due_at: Timestamp,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

/// How a camera is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is stored.
    Done,
    /// Somebody else changed it meanwhile: nothing is stored.
    Stale,
    /// The tenant has as many cameras as it may.
    LimitReached,
}

/// What came of a step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stepped {
    /// It was done; the session as it is now.
    Done(StreamSession),
    /// It was there already.
    Already(StreamSession),
    /// The step does not lead on from this state.
    Refused(StreamSessionStatus),
    /// The tenant may have no further active stream.
    Denied(Denied),
    /// No such session.
    NotFound,
}

/// When a step is done and until when the session then lives, and how many
/// active streams the tenant may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepAt {
    /// When.
    pub at: Timestamp,
    /// When the session then runs out.
    pub due_at: Timestamp,
    /// The time by which it is judged whether sessions have run out: as `at`, unless the clock was set
    /// forward a moment ago.
    pub judged_at: Timestamp,
    /// Most active streams of the tenant; only activation asks.
    pub active_max: u32,
}

/// Which sessions of a tenant are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SessionQuery {
    /// Of this camera or session.
    pub watched: Option<Watched>,
    /// In this state.
    pub status: Option<StreamSessionStatus>,
    /// This one.
    pub session: Option<StreamSessionId>,
    /// At most so many, the newest first.
    pub limit: u32,
}

/// The cameras of all tenants.
#[async_trait]
pub trait CameraRepository: Send + Sync {
    /// A camera.
    async fn camera(&self, tenant: TenantId, id: &CameraId) -> Result<Option<Camera>, StoreError>;

    /// Stores a camera: a new one when `expected` is `None`, else in place of the
    /// one with that revision.
    async fn put_camera(
        &self,
        camera: &Camera,
        expected: Option<u64>,
        cameras_max: u32,
    ) -> Result<Put, StoreError>;

    /// Removes a camera and ends its sessions; whether it was there.
    async fn remove_camera(
        &self,
        tenant: TenantId,
        id: &CameraId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// The cameras of a tenant, by id.
    async fn cameras(&self, tenant: TenantId) -> Result<Vec<Camera>, StoreError>;
}

/// The stream sessions of all tenants. Of steps that are asked for at once each
/// is decided on what the one before left.
#[async_trait]
pub trait StreamSessionRepository: Send + Sync {
    /// Stores a session that was requested and takes its first step, unless the
    /// tenant has `active_max` active ones.
    async fn issue_session(
        &self,
        session: &StreamSession,
        at: StepAt,
    ) -> Result<Stepped, StoreError>;

    /// Takes a step.
    async fn step_session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
        step: Step,
        at: StepAt,
    ) -> Result<Stepped, StoreError>;

    /// Notes that an active session was used; `false` when it is not active, or has run out by
    /// `judged_at`.
    async fn touch_session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
        judged_at: Timestamp,
        (seen_at, due_at): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError>;

    /// A session.
    async fn session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
    ) -> Result<Option<StreamSession>, StoreError>;

    /// Sessions of a tenant, the newest first.
    async fn sessions(
        &self,
        tenant: TenantId,
        query: &SessionQuery,
    ) -> Result<Vec<StreamSession>, StoreError>;

    /// Whose a session is.
    async fn tenant_of_session(&self, id: StreamSessionId) -> Result<Option<TenantId>, StoreError>;

    /// Tenants that have sessions, by id, from the one behind `after` on.
    async fn tenants_with_sessions(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;

    /// Sessions whose time was over at `now`, of one tenant or of all.
    async fn due_sessions(
        &self,
        tenant: Option<TenantId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, StreamSessionId)>, StoreError>;

    /// Forgets sessions that were over before `before`; how many.
    async fn forget_sessions(&self, tenant: TenantId, before: Timestamp)
    -> Result<u64, StoreError>;
}

/// A stream of a camera that a client started: the camera is called until it is
/// stopped, whether anybody watches it or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRecord {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub id: StreamId,
    /// Of which camera.
    pub camera: CameraId,
    /// The address that it was started with, as it may be shown.
    pub masked: String,
    /// Where it stands, as the instance that keeps it last saw.
    pub status: StreamStatus,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it was stopped.
    pub stopped_at: Option<Timestamp>,
}

/// What came of storing a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamStarted {
    /// It is stored.
    Done,
    /// Its camera has an active one.
    CameraBusy(StreamId),
    /// The tenant may have no further active one.
    Denied(Denied),
}

/// The streams that clients started. One instance keeps each active one: it takes it for
/// a while and renews that, so that another one goes on when it is gone.
#[async_trait]
pub trait StreamRepository: Send + Sync {
    /// Stores a stream that is kept until `kept_until`, unless its camera has an active
    /// one or the tenant has `active_max` of them.
    async fn start_stream(
        &self,
        stream: &StreamRecord,
        kept_until: Timestamp,
        active_max: u32,
    ) -> Result<StreamStarted, StoreError>;

    /// Stops a stream, which may be stopped already. `false` when there is none.
    async fn stop_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        at: Timestamp,
    ) -> Result<bool, StoreError>;

    /// A stream.
    async fn stream(
        &self,
        tenant: TenantId,
        id: StreamId,
    ) -> Result<Option<StreamRecord>, StoreError>;

    /// Whose a stream is.
    async fn tenant_of_stream(&self, id: StreamId) -> Result<Option<TenantId>, StoreError>;

    /// Active streams of all tenants that no instance keeps at `now`.
    async fn unkept_streams(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, StreamId)>, StoreError>;

    /// Takes a stream that is not kept at `now` until `until`; `false` when somebody else
    /// was first.
    async fn take_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores where an active stream stands, and that it is kept until the second of both
    /// times; `false` when it is not active any more, or is not kept until the first of
    /// them, so that somebody else has it.
    async fn keep_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        status: StreamStatus,
        kept: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError>;

    /// Forgets the streams that were stopped before `before`; how many.
    async fn forget_streams(&self, tenant: TenantId, before: Timestamp) -> Result<u64, StoreError>;

    /// Tenants that have streams, by id, from the one behind `after` on.
    async fn tenants_with_streams(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError>;
}

/// What was found when a camera was looked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Whose camera.
    pub tenant: TenantId,
    /// Which camera.
    pub camera: CameraId,
    /// When.
    pub at: Timestamp,
    /// Why it was looked after.
    pub cause: ProbeCause,
    /// Where its stream stood.
    pub status: StreamStatus,
    /// How well it did.
    pub health: CameraHealth,
    /// Why nothing came.
    pub fault: Option<StreamFault>,
    /// The codec of its pictures.
    pub video: Option<CameraCodec>,
    /// The codec of its sound.
    pub audio: Option<CameraCodec>,
    /// Bits per second.
    pub bitrate_bps: u64,
    /// Pictures per second, in thousandths.
    pub frame_rate_milli: u64,
    /// Milliseconds from the call to the first packet.
    pub latency_ms: Option<u64>,
    /// How many looks in a row found nothing, this one among them.
    pub failures: u32,
}

/// What was found of cameras, and when they are looked after next. A camera is due
/// from when it was provisioned or changed.
#[async_trait]
pub trait ProbeRepository: Send + Sync {
    /// Cameras of all tenants that are due, the longest due first.
    async fn due_cameras(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, CameraId)>, StoreError>;

    /// Takes a camera that is due: it is not until `until`. `false` when somebody
    /// else was first.
    async fn take_camera(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Stores what was found, and when the camera is due next; of each camera the
    /// newest `kept` are kept. `false` when there is no such camera any more.
    async fn put_probe(
        &self,
        probe: &Probe,
        next_at: Timestamp,
        kept: u32,
    ) -> Result<bool, StoreError>;

    /// What was found of a camera, the newest first.
    async fn probes(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        limit: u32,
    ) -> Result<Vec<Probe>, StoreError>;
}

/// What came of storing a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is stored.
    Done,
    /// There is one of its id.
    Known(Capture),
    /// The tenant has as many open ones as it may.
    LimitReached,
}

/// The captures of edge devices.
#[async_trait]
pub trait CaptureRepository: Send + Sync {
    /// Stores a capture, unless there is one of its id or the tenant has `open_max`
    /// open ones. Of the tenant's captures `kept_max` are kept: those that were closed
    /// the longest ago are forgotten.
    async fn insert_capture(
        &self,
        capture: &Capture,
        open_max: u32,
        kept_max: u32,
    ) -> Result<Inserted, StoreError>;

    /// Stores the end of a capture that is open; whether it was.
    async fn close_capture(&self, capture: &Capture) -> Result<bool, StoreError>;

    /// A capture.
    async fn capture(
        &self,
        tenant: TenantId,
        id: &CaptureId,
    ) -> Result<Option<Capture>, StoreError>;

    /// The captures of a tenant, the newest first.
    async fn captures(&self, tenant: TenantId, limit: u32) -> Result<Vec<Capture>, StoreError>;
}

/// A camera in the room of a session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BridgeKey {
    /// Whose.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// The camera.
    pub camera: CameraId,
}

/// The cameras that are to be in rooms. One instance has each: it takes it for a while and
/// renews that, so that another one, or the next process, brings it in when it is gone.
#[async_trait]
pub trait BridgeRepository: Send + Sync {
    /// Notes a camera, which this instance keeps in its room until `kept_until`.
    async fn put_bridge(&self, bridge: &BridgeKey, kept_until: Timestamp)
    -> Result<(), StoreError>;

    /// Forgets a camera; whether it was noted.
    async fn remove_bridge(&self, bridge: &BridgeKey) -> Result<bool, StoreError>;

    /// Cameras that nobody keeps in their rooms at `now`.
    async fn unkept_bridges(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<BridgeKey>, StoreError>;

    /// Takes a camera that nobody keeps at `now`, until `until`; whether this instance has it.
    async fn take_bridge(
        &self,
        bridge: &BridgeKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Keeps a camera for longer, from the one time to the other; `false` when somebody else has
    /// it, or it is not to be in the room any more.
    async fn keep_bridge(
        &self,
        bridge: &BridgeKey,
        kept: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError>;
}
