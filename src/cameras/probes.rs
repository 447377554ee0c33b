//! Looks after all cameras, whether somebody watches them or not: each is called
//! for a moment, what is found is stored, and nobody waits for another one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cameras::engine::probing::{failures, next_after};
use crate::cameras::error::CameraError;
use crate::cameras::gateway::Gateway;
use crate::cameras::ingest::Stream;
use crate::cameras::repository::{Probe, ProbeRepository};
use crate::domain::camera::{CameraHealth, ProbeCause, StreamStatus};
use crate::domain::id::{CameraId, TenantId};

/// Cameras that one instance begins to look after within `PLACE_FOR`. Raising it opens more
/// connections and finds out sooner.
const AT_ONCE: usize = 16;
/// How long a look keeps another one from beginning: longer than that of a camera that answers.
/// One that answers nothing is waited for without a place, so that many of them delay nobody; as a
/// look ends after `PROBE_TIME_MAX`, at most four times `AT_ONCE` go on together.
const PLACE_FOR: Duration = Duration::from_secs(3);
/// Longest look at a camera.
const PROBE_TIME_MAX: Duration = Duration::from_secs(12);
/// For how long a camera is wanted at a time while it is looked at. Raising it keeps
/// calls up for longer after the look.
const WANTED_FOR: Duration = Duration::from_secs(3);
/// How long a camera that was not called before is measured: rates are those of whole
/// seconds. Shorter than `WANTED_FOR`.
const MEASURED_FOR: Duration = Duration::from_secs(2);
/// How long a camera that an instance took is left to it: longer than any look.
const TAKEN_FOR: Duration = Duration::from_mins(1);
/// How often it is looked which cameras are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What was found that is kept of each camera. Raising it makes the table larger.
const KEPT: u32 = 100;

struct Inner {
    gateway: Gateway,
    repository: Arc<dyn ProbeRepository>,
    every: Option<Duration>,
    places: Arc<Semaphore>,
}

/// Looks after cameras. Cheap to clone.
#[derive(Clone)]
pub struct Probes(Arc<Inner>);

impl Probes {
    /// Looks after the cameras of `gateway`, each `every` so often; only when asked
    /// with `None`.
    #[must_use]
    pub fn new(
        gateway: Gateway,
        repository: Arc<dyn ProbeRepository>,
        every: Option<Duration>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self(Arc::new(Inner { gateway, repository, every, places }))
    }

    /// Looks after all cameras that are due, until it is stopped.
    pub async fn run(self, stop: CancellationToken) {
        let Some(every) = self.0.every else { return };
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let looks = TaskTracker::new();
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(error) = self.begin_due(every, &stop, &looks).await {
                tracing::warn!(%error, "cameras could not be looked after");
            }
        }
        looks.close();
        looks.wait().await;
    }

    /// The last that was found of a camera, the newest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn last(
        &self,
        tenant: TenantId,
        camera: &CameraId,
    ) -> Result<Option<Probe>, CameraError> {
        Ok(self.0.repository.probes(tenant, camera, 1).await?.pop())
    }

    /// Looks after a camera now, because somebody asks for it.
    ///
    /// # Errors
    /// [`CameraError::CameraNotFound`] and [`CameraError::StreamLimit`].
    pub async fn probe(&self, tenant: TenantId, camera: &CameraId) -> Result<Probe, CameraError> {
        self.look(tenant, camera, ProbeCause::Asked).await
    }

    /// Begins to look after cameras that are due, as many as there are places for.
    async fn begin_due(
        &self,
        every: Duration,
        stop: &CancellationToken,
        looks: &TaskTracker,
    ) -> Result<(), CameraError> {
        let free = u32::try_from(self.0.places.available_permits()).unwrap_or(u32::MAX);
        if free == 0 {
            return Ok(());
        }
        let now = self.0.gateway.now();
        for (tenant, camera) in self.0.repository.due_cameras(now, free).await? {
            let Ok(place) = self.0.places.clone().try_acquire_owned() else { break };
            let until = now.after(TAKEN_FOR.max(every));
            // Whoever was first looks after it.
            if !self.0.repository.take_camera(tenant, &camera, now, until).await? {
                continue;
            }
            let (probes, stop) = (self.clone(), stop.clone());
            looks.spawn(async move {
                let look = leaving(place, probes.look(tenant, &camera, ProbeCause::Due));
                if let Some(Err(error)) = stop.run_until_cancelled(look).await
                    && error != CameraError::CameraNotFound
                {
                    tracing::warn!(%tenant, %error, "a camera could not be looked after");
                }
            });
        }
        Ok(())
    }

    async fn look(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        cause: ProbeCause,
    ) -> Result<Probe, CameraError> {
        let gateway = &self.0.gateway;
        gateway.camera(tenant, camera).await?;
        let before = self.last(tenant, camera).await?;
        let stream = self.looked_at(tenant, camera).await?;
        let mut report = stream.report(Instant::now().into_std());
        if report.status == StreamStatus::Running && report.packets.bitrate_bps == 0 {
            tokio::time::sleep(MEASURED_FOR).await;
            report = stream.report(Instant::now().into_std());
        }
        let now = gateway.now();
        let failures = failures(before.map_or(0, |probe| probe.failures), report.health);
        let probe = Probe {
            tenant,
            camera: camera.clone(),
            at: now,
            cause,
            status: report.status,
            health: report.health,
            fault: report.fault,
            video: report.video,
            audio: report.audio,
            bitrate_bps: report.packets.bitrate_bps,
            frame_rate_milli: report.packets.frame_rate_milli,
            latency_ms: report
                .latency
                .map(|latency| u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)),
            failures,
        };
        let every = self.0.every.unwrap_or(TAKEN_FOR);
        let next_at = now.after(next_after(every, failures, rand::random()));
        if !self.0.repository.put_probe(&probe, next_at, KEPT).await? {
            return Err(CameraError::CameraNotFound);
        }
        if probe.health != CameraHealth::Online {
            tracing::info!(%tenant, health = %probe.health, "a camera was looked after");
        }
        Ok(probe)
    }

    /// The stream of a camera that has shown a key picture, failed, or had its time. It
    /// is wanted for a moment at a time, so that it is left soon after the look.
    async fn looked_at(
        &self,
        tenant: TenantId,
        camera: &CameraId,
    ) -> Result<Arc<Stream>, CameraError> {
        let began = Instant::now();
        loop {
            let stream = self.0.gateway.ingest().want_for(tenant, camera, 2 * WANTED_FOR)?;
            let seen = tokio::time::timeout(WANTED_FOR, stream.seen_or_failed()).await;
            // A camera that shows nothing in time is reported as it is.
            if seen.is_ok() || began.elapsed() >= PROBE_TIME_MAX {
                return Ok(stream);
            }
        }
    }
}

/// Carries out a look, and gives its place away when it ends or has had it for long enough.
async fn leaving<T>(place: OwnedSemaphorePermit, look: impl Future<Output = T>) -> T {
    let mut look = pin!(look);
    if let Ok(found) = tokio::time::timeout(PLACE_FOR, look.as_mut()).await {
        return found;
    }
    drop(place);
    look.await
}
