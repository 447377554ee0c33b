//! Records cameras outside sessions, whether somebody watches them or not: one task for each camera
//! that is to be recorded, on the instance that has its claim. Segments grow in the spool, sealed,
//! a second at a time; whole ones go to the archive, from where they play.

mod filing;
mod keeping;
mod retention;
mod spool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{MissedTickBehavior, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use self::keeping::Keeping;
use self::spool::{Name, Spool};
use crate::cameras::archive::Archive;
use crate::cameras::engine::recorded::{Span, spans};
use crate::cameras::error::CameraError;
use crate::cameras::gateway::Gateway;
use crate::cameras::metrics;
use crate::cameras::repository::{CameraRecordingRepository, RecordedCamera};
use crate::claims::{ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::claim::Work;
use crate::domain::id::{CameraId, SessionId, SessionKey, TenantId};
use crate::domain::time::Timestamp;
use crate::recorder::SpoolDisk;

/// How often it is looked which cameras are to be recorded. Raising it begins and ends recordings
/// later.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Cameras that are recorded by all instances; further ones are not. Raising it makes each look
/// slower.
const RECORDED_MAX: u32 = 10_000;
/// How often what is too old or too much is deleted.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long whole segments may take to reach the vault when the server stops. What does not is in
/// the spool, and reaches it after the next start.
const FINISH_MAX: Duration = Duration::from_secs(2);
/// Segments of which spans are made for one answer. Raising it makes answers slower: these are a day.
const LISTED_MAX: u32 = 10_000;

/// What the recording of cameras is told about its surroundings.
#[derive(Debug, Clone)]
pub struct RecordingsOptions {
    /// Where segments are that grow, or wait for the vault.
    pub spool: PathBuf,
    /// Bytes that stay free on its disk; with less nothing is recorded.
    pub free_bytes_min: u64,
    /// How long recordings are kept at most.
    pub age_max: Duration,
    /// Bytes of a tenant's recordings that are kept at most.
    pub bytes_max: u64,
}

/// What the recording of cameras is made of.
pub struct RecordingsParts {
    /// The cameras.
    pub gateway: Gateway,
    /// Where whole segments are kept.
    pub archive: Archive,
    /// Where it is kept which cameras are recorded.
    pub repository: Arc<dyn CameraRecordingRepository>,
    /// Which instance records which camera.
    pub claims: Claims,
    /// The disk of the spool.
    pub disk: Arc<dyn SpoolDisk>,
    /// The time by which it is judged what was kept for long enough.
    pub ages: Clock,
}

/// What is recorded of a camera in a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The camera; nothing when it was never recorded, or nothing of it is left.
    pub camera: Option<RecordedCamera>,
    /// What is there without a gap, the oldest first.
    pub spans: Vec<Span>,
    /// From when on there may be more in the span of time, which was too long for one answer.
    pub next: Option<Timestamp>,
}

struct Inner {
    options: RecordingsOptions,
    parts: RecordingsParts,
    spool: Arc<Spool>,
    /// What another process left in the spool.
    left: Vec<Name>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The recordings of cameras. Cheap to clone.
#[derive(Clone)]
pub struct Recordings(Arc<Inner>);

/// A camera that this instance records, or tries to.
struct Running {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Recordings {
    /// Recordings over their parts. Nothing is recorded before [`Self::run`].
    ///
    /// # Errors
    /// When the spool can't be used.
    pub fn open(options: RecordingsOptions, parts: RecordingsParts) -> std::io::Result<Self> {
        let spool = Spool::open(parts.disk.clone(), &options.spool, options.free_bytes_min)?;
        let left = spool.waiting()?;
        Ok(Self(Arc::new(Inner {
            options,
            parts,
            spool: Arc::new(spool),
            left,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })))
    }

    /// Records the cameras that are to be, until [`Self::shutdown`].
    pub async fn run(self) {
        self.0.tasks.spawn(Box::pin(self.clone().file_left()));
        self.0.tasks.spawn(Box::pin(self.clone().sweep_again_and_again()));
        let mut running = BTreeMap::new();
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.0.stop.run_until_cancelled(ticks.tick()).await.is_some() {
            // While the database is away the recordings that run go on.
            match self.look(&mut running).await {
                Ok(()) => metrics::recorded_cameras(running.len()),
                Err(error) => tracing::warn!(%error, "it is not known which cameras to record"),
            }
        }
    }

    /// Ends all recordings and waits until their segments are in the vault, or for a short while.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if timeout(FINISH_MAX, self.0.tasks.wait()).await.is_err() {
            tracing::info!("segments of cameras stay in the spool until the next start");
        }
    }

    /// The cameras of a tenant that are recorded, or were.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn cameras(&self, tenant: TenantId) -> Result<Vec<RecordedCamera>, CameraError> {
        Ok(self.0.parts.repository.recorded_cameras(tenant, None).await?)
    }

    /// A camera that is recorded, or was.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn camera(
        &self,
        tenant: TenantId,
        camera: &CameraId,
    ) -> Result<Option<RecordedCamera>, CameraError> {
        let found = self.0.parts.repository.recorded_cameras(tenant, Some(camera)).await?;
        Ok(found.into_iter().next())
    }

    /// What is recorded of a camera from the one time to the other.
    ///
    /// # Errors
    /// [`CameraError::Unusable`] when the span ends before it begins, and
    /// [`CameraError::CameraNotFound`] when the camera is not known and nothing of it is left.
    pub async fn list(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<Recorded, CameraError> {
        check_span((from, until))?;
        let found = self.camera(tenant, camera).await?;
        if found.is_none() {
            self.0.parts.gateway.camera(tenant, camera).await?;
        }
        let repository = &self.0.parts.repository;
        let segments =
            repository.recorded_segments(tenant, camera, (from, until), LISTED_MAX).await?;
        let is_cut = segments.len() >= usize::try_from(LISTED_MAX).unwrap_or(usize::MAX);
        let next = segments.last().filter(|_| is_cut).map(|last| last.at);
        let until = next.unwrap_or(until);
        Ok(Recorded { camera: found, spans: spans(&segments, (from, until)), next })
    }

    /// Deletes what began in a span of time and is in the vault; how many segments.
    ///
    /// # Errors
    /// Those of [`Self::list`]; what was deleted stays so.
    pub async fn erase(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        (from, until): (Timestamp, Timestamp),
    ) -> Result<u64, CameraError> {
        check_span((from, until))?;
        if self.camera(tenant, camera).await?.is_none() {
            self.0.parts.gateway.camera(tenant, camera).await?;
        }
        self.erase_span((tenant, camera), (from, until)).await
    }

    /// Begins what is to be recorded and is not, and ends what is not to be any more.
    async fn look(
        &self,
        running: &mut BTreeMap<(TenantId, CameraId), Running>,
    ) -> Result<(), CameraError> {
        let parts = &self.0.parts;
        let wanted = parts.repository.cameras_to_record(RECORDED_MAX).await?;
        let others = parts.claims.taken_by_others(Work::CameraRecording).await?;
        running.retain(|key, it| {
            if !wanted.contains(key) {
                it.stop.cancel();
            }
            !it.task.is_finished()
        });
        for key in wanted {
            let session = claimed_as(&key);
            if running.contains_key(&key) || others.contains(&session) {
                continue;
            }
            let nobodys = TenantId::from_uuid(Uuid::nil());
            let claimed = SessionKey::new(nobodys, session);
            let claim = match parts.claims.take(claimed, Work::CameraRecording).await {
                Ok(claim) => claim,
                Err(ClaimError::Taken | ClaimError::Lost) => continue,
                Err(ClaimError::Store(error)) => return Err(error.into()),
            };
            let stop = self.0.stop.child_token();
            let keeping = Keeping::new(self.clone(), key.clone(), claim);
            let task = self.0.tasks.spawn(Box::pin(keeping.run(stop.clone())));
            running.insert(key, Running { stop, task });
        }
        Ok(())
    }

    async fn sweep_again_and_again(self) {
        let mut ticks = tokio::time::interval(SWEEP_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sweeping = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.sweep().await {
                    tracing::warn!(%error, "old recordings of cameras could not be deleted");
                }
            }
        };
        // It may end between any two objects: the rest is deleted the next time.
        self.0.stop.run_until_cancelled(sweeping).await;
    }
}

fn check_span((from, until): (Timestamp, Timestamp)) -> Result<(), CameraError> {
    if from < until {
        return Ok(());
    }
    Err(CameraError::Unusable { field: "to", problem: "a span of time ends after it begins" })
}

/// What a claim on recording a camera is kept under: claims are of sessions, so this stands for one.
fn claimed_as((tenant, camera): &(TenantId, CameraId)) -> SessionId {
    let hash = Sha256::digest(format!("{tenant}/{camera}"));
    let (first, _) = hash.split_at(16);
    SessionId::from_uuid(Uuid::from_slice(first).unwrap_or_default())
}
