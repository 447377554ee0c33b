//! Streams that clients start and stop: the camera is called until then, whether anybody
//! watches it or not, and after a restart by whichever instance is there.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cameras::engine::source::Source;
use crate::cameras::error::CameraError;
use crate::cameras::gateway::{Gateway, NewCamera};
use crate::cameras::ingest::Stream;
use crate::cameras::metrics;
use crate::cameras::repository::{StreamRecord, StreamRepository, StreamStarted};
use crate::domain::camera::StreamStatus;
use crate::domain::id::{CameraId, StreamId, TenantId};
use crate::domain::time::Timestamp;

/// How long an instance keeps a stream without saying so again. Raising it leaves the
/// streams of an instance that is gone alone for longer.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// How often that is said again. Far shorter than `KEPT_FOR`.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether a stream still is to be, and where it stands.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// For how long a camera is wanted at a time. Raising it keeps calls up for longer after
/// the stop.
const WANTED_FOR: Duration = Duration::from_secs(4);
/// Streams that are taken over at once. More are taken at the next look.
const TAKEN_AT_ONCE: u32 = 64;
/// How long streams that were stopped can still be asked about.
const KEPT_AFTER_STOP: Duration = Duration::from_hours(24 * 7);
/// Tenants whose old streams are forgotten at once; it goes on until none is left.
const TENANTS_AT_ONCE: u32 = 1_000;

/// What its keeper said of a stream last.
struct Said {
    /// Where it stands; stopped when nothing was said yet.
    status: StreamStatus,
    at: Instant,
    kept_until: Timestamp,
}

struct Inner {
    gateway: Gateway,
    repository: Arc<dyn StreamRepository>,
    /// Something was stopped here.
    stopped: Notify,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The streams of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct StreamControl(Arc<Inner>);

impl StreamControl {
    /// Streams of the cameras of `gateway`. What was active before goes on with
    /// [`Self::run`].
    #[must_use]
    pub fn new(gateway: Gateway, repository: Arc<dyn StreamRepository>) -> Self {
        Self(Arc::new(Inner {
            gateway,
            repository,
            stopped: Notify::new(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Starts the stream of a camera, which is provisioned with this address. A stream that has this
    /// id already is the one that was started, and no other one is.
    ///
    /// # Errors
    /// Why the address is refused; [`CameraError::StreamActive`] and
    /// [`CameraError::Denied`].
    pub async fn start(
        &self,
        (tenant, id): (TenantId, StreamId),
        camera: CameraId,
        source: Source,
    ) -> Result<StreamRecord, CameraError> {
        let gateway = &self.0.gateway;
        if let Some(started) = self.0.repository.stream(tenant, id).await? {
            if started.stopped_at.is_none() {
                // It may have been interrupted before the camera was provisioned.
                self.provision(tenant, camera, &source).await?;
            }
            return Ok(started);
        }
        let (now, max) = (gateway.now(), gateway.active_max(tenant).await);
        let stream = StreamRecord {
            tenant,
            id,
            camera: camera.clone(),
            masked: source.masked(),
            status: StreamStatus::Starting,
            started_at: now,
            stopped_at: None,
        };
        let kept_until = now.after(KEPT_FOR);
        match self.0.repository.start_stream(&stream, kept_until, max).await? {
            StreamStarted::Done => {}
            StreamStarted::CameraBusy(id) => return Err(CameraError::StreamActive(id)),
            StreamStarted::Denied(denied) => {
                let error = CameraError::Denied { denied, max };
                metrics::refused(tenant, error.code());
                return Err(error);
            }
        }
        // The camera has its place now, so nobody else changes its address by a start.
        if let Err(error) = self.provision(tenant, camera, &source).await {
            self.0.repository.stop_stream(tenant, stream.id, gateway.now()).await?;
            return Err(error);
        }
        self.spawn(tenant, stream.id, kept_until);
        Ok(stream)
    }

    /// Stops a stream. One that was stopped stays so.
    ///
    /// # Errors
    /// [`CameraError::StreamNotFound`].
    pub async fn stop(&self, tenant: TenantId, id: StreamId) -> Result<(), CameraError> {
        if !self.0.repository.stop_stream(tenant, id, self.0.gateway.now()).await? {
            return Err(CameraError::StreamNotFound);
        }
        self.0.stopped.notify_waiters();
        Ok(())
    }

    /// A stream.
    ///
    /// # Errors
    /// [`CameraError::StreamNotFound`].
    pub async fn find(&self, tenant: TenantId, id: StreamId) -> Result<StreamRecord, CameraError> {
        self.0.repository.stream(tenant, id).await?.ok_or(CameraError::StreamNotFound)
    }

    /// Whose a stream is.
    ///
    /// # Errors
    /// [`CameraError::StreamNotFound`].
    pub async fn tenant_of(&self, id: StreamId) -> Result<TenantId, CameraError> {
        self.0.repository.tenant_of_stream(id).await?.ok_or(CameraError::StreamNotFound)
    }

    /// Forgets streams that were stopped long ago; how many.
    ///
    /// # Errors
    /// When the store does not answer; what was forgotten stays so.
    pub async fn forget_old(&self) -> Result<u64, CameraError> {
        let before = self.0.gateway.now().before(KEPT_AFTER_STOP);
        let repository = &self.0.repository;
        let (mut forgotten, mut after) = (0, None);
        loop {
            let tenants = repository.tenants_with_streams(after, TENANTS_AT_ONCE).await?;
            let Some(last) = tenants.last().copied() else { return Ok(forgotten) };
            for tenant in tenants {
                forgotten += repository.forget_streams(tenant, before).await?;
            }
            after = Some(last);
        }
    }

    /// Takes over the active streams that no instance keeps, until [`Self::shutdown`].
    pub async fn run(self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.0.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.take_over().await {
                tracing::warn!(%error, "streams could not be taken over");
            }
        }
    }

    /// Leaves the streams to other instances, or to the next one.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn take_over(&self) -> Result<(), CameraError> {
        let (gateway, repository) = (&self.0.gateway, &self.0.repository);
        for (tenant, id) in repository.unkept_streams(gateway.now(), TAKEN_AT_ONCE).await? {
            let now = gateway.now();
            let until = now.after(KEPT_FOR);
            if repository.take_stream(tenant, id, now, until).await? {
                self.spawn(tenant, id, until);
            }
        }
        Ok(())
    }

    fn spawn(&self, tenant: TenantId, id: StreamId, kept_until: Timestamp) {
        let (control, stop) = (self.clone(), self.0.stop.clone());
        let mut said = Said { status: StreamStatus::Stopped, at: Instant::now(), kept_until };
        self.0.tasks.spawn(async move {
            if stop.run_until_cancelled(control.keep(tenant, id, &mut said)).await.is_none() {
                // Whoever looks next may take it.
                let (repository, now) = (&control.0.repository, control.0.gateway.now());
                let (status, kept) = (StreamStatus::Starting, (said.kept_until, now));
                let left = repository.keep_stream(tenant, id, status, kept).await;
                if let Err(error) = left {
                    tracing::warn!(%tenant, %error, "a stream is left without saying so");
                }
            }
        });
    }

    /// Keeps a stream until it is stopped, or until another instance has it.
    async fn keep(&self, tenant: TenantId, id: StreamId, said: &mut Said) {
        loop {
            let stopped = self.0.stopped.notified();
            match self.look(tenant, id, said).await {
                Ok(None) => return,
                Ok(Some(stream)) => {
                    let is_starting = said.status == StreamStatus::Starting;
                    let shown = async {
                        if is_starting {
                            stream.seen_or_failed().await;
                        } else {
                            std::future::pending::<()>().await;
                        }
                    };
                    tokio::select! {
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                        () = stopped => {}
                        () = shown => {}
                    }
                }
                Err(error) => {
                    tracing::warn!(%tenant, %error, "a stream could not be looked after");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }

    /// Wants the camera of a stream and says where it stands; nothing when it is not to
    /// be any more.
    async fn look(
        &self,
        tenant: TenantId,
        id: StreamId,
        said: &mut Said,
    ) -> Result<Option<Arc<Stream>>, CameraError> {
        let (gateway, repository) = (&self.0.gateway, &self.0.repository);
        let found = repository.stream(tenant, id).await?.filter(|it| it.stopped_at.is_none());
        let Some(record) = found else { return Ok(None) };
        // A start may have been interrupted before the camera was provisioned. A camera that is
        // removed later stops its streams in the same transaction.
        if said.status == StreamStatus::Stopped
            && gateway.camera(tenant, &record.camera).await == Err(CameraError::CameraNotFound)
        {
            repository.stop_stream(tenant, id, gateway.now()).await?;
            return Ok(None);
        }
        let wanted = gateway.ingest().want_for(tenant, &record.camera, WANTED_FOR);
        let now = Instant::now();
        let status = match &wanted {
            Ok(stream) => match stream.report(now.into_std()).status {
                StreamStatus::Stopped => StreamStatus::Starting,
                status => status,
            },
            Err(_) => StreamStatus::Error,
        };
        if said.status != status || now.saturating_duration_since(said.at) >= RENEW_EVERY {
            let kept_until = gateway.now().after(KEPT_FOR);
            let kept = (said.kept_until, kept_until);
            if !repository.keep_stream(tenant, id, status, kept).await? {
                return Ok(None);
            }
            *said = Said { status, at: now, kept_until };
        }
        wanted.map(Some)
    }

    /// Provisions the camera with the address, and leaves what else is known of it.
    async fn provision(
        &self,
        tenant: TenantId,
        id: CameraId,
        source: &Source,
    ) -> Result<(), CameraError> {
        let known = match self.0.gateway.camera(tenant, &id).await {
            Ok(camera) => Some(camera),
            Err(CameraError::CameraNotFound) => None,
            Err(error) => return Err(error),
        };
        let transport = known.as_ref().map(|camera| camera.transport.as_str().to_owned());
        let (codec_hint, target_profiles) =
            known.map(|camera| (camera.codec_hint, camera.target_profiles)).unwrap_or_default();
        let (recording, address) = (None, source.whole().clone());
        let new =
            NewCamera { tenant, id, address, transport, codec_hint, target_profiles, recording };
        self.0.gateway.provision(new).await.map(drop)
    }
}
