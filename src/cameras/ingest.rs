//! Calls cameras and takes what they send: one task for each camera that somebody
//! wants, on each instance where they want it. Nobody waits for another camera.

mod call;
mod connection;
mod devices;
mod intake;
mod keeping;
mod mediator;
mod proof;
mod publishers;
mod stream;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::call::{Call, Ended};
pub use self::devices::{DeviceParts, Devices};
pub use self::intake::{Admitted, DevicePacket, Intake, IntakeParts, Taking};
pub(super) use self::keeping::TARGET_S;
pub use self::publishers::Publishers;
pub use self::stream::{Heard, Listening, Sound, Stream, StreamReport};
use crate::cameras::address::AddressPolicy;
use crate::cameras::engine::attempts::Due;
use crate::cameras::engine::pictures::Picture;
use crate::cameras::engine::preview::{PICTURE_BYTES_MAX, preview};
use crate::cameras::error::CameraError;
use crate::cameras::metrics;
use crate::cameras::repository::CameraRepository;
use crate::cameras::secrets::Secrets;
use crate::clock::Clock;
use crate::domain::camera::StreamFault;
use crate::domain::id::{CameraId, TenantId};

/// Cameras that an instance calls at once. At the limit further ones are refused
/// until one is not wanted any more. Raising it uses more memory: up to 24 MiB of
/// segments and a group of pictures of 8 MiB for each.
const STREAMS_MAX: usize = 256;
/// How long a camera is called for after somebody last wanted it.
const LINGER: Duration = Duration::from_secs(30);
/// Longest wait for the goodbyes of cameras when the server stops.
const GOODBYE_MAX: Duration = Duration::from_secs(2);

/// Pictures that are kept of cameras that are not called any more; at the limit none is added. With
/// pictures of 300 KiB they take 75 MiB. Raising it uses more memory.
const PICTURES_MAX: usize = 256;

/// Cameras of which it is remembered what was wrong when they were left; at the limit none is added, whose
/// next call shows no fault until it has ended. Raising it uses more memory, some 100 bytes for each.
const FAULTS_MAX: usize = 4_096;

/// A camera of a tenant.
type Key = (TenantId, CameraId);

/// What streams are made of.
pub(super) struct IngestParts {
    /// Where cameras are kept.
    pub(super) cameras: Arc<dyn CameraRepository>,
    /// Opens their addresses.
    pub(super) secrets: Secrets,
    /// Which addresses may be called.
    pub(super) addresses: AddressPolicy,
    /// The time.
    pub(super) clock: Clock,
}

struct Inner {
    parts: IngestParts,
    streams: Mutex<BTreeMap<Key, Entry>>,
    /// The last key pictures of cameras that are not called any more.
    pictures: Mutex<BTreeMap<Key, Arc<Picture>>>,
    /// What was wrong with cameras when they were left.
    faults: Mutex<BTreeMap<Key, StreamFault>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

struct Entry {
    stream: Arc<Stream>,
    stop: CancellationToken,
}

/// The streams of cameras. Cheap to clone.
#[derive(Clone)]
pub struct Ingest(Arc<Inner>);

impl Ingest {
    /// No camera is called yet.
    pub(super) fn new(parts: IngestParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            streams: Mutex::default(),
            pictures: Mutex::default(),
            faults: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The stream of a camera, which is called if it is not yet, and from now on
    /// for half a minute.
    ///
    /// # Errors
    /// [`CameraError::StreamLimit`] when as many are called as may be, and [`CameraError::Stopping`].
    pub fn want(&self, tenant: TenantId, camera: &CameraId) -> Result<Arc<Stream>, CameraError> {
        self.want_for(tenant, camera, LINGER)
    }

    /// The same for another time.
    pub(super) fn want_for(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        linger: Duration,
    ) -> Result<Arc<Stream>, CameraError> {
        let now = Instant::now().into_std();
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = streams.get(&(tenant, camera.clone()))
            && entry.stream.want(now + linger)
        {
            return Ok(entry.stream.clone());
        }
        if self.0.stop.is_cancelled() {
            return Err(CameraError::Stopping);
        }
        if streams.len() >= STREAMS_MAX {
            return Err(CameraError::StreamLimit(STREAMS_MAX));
        }
        let key = (tenant, camera.clone());
        let before = self.fault_before(tenant, camera);
        let stream = Arc::new(Stream::new(now, linger, self.0.parts.clock.now(), before));
        let stop = self.0.stop.child_token();
        let task = Task { ingest: self.clone(), key: key.clone(), stream: stream.clone() };
        streams.insert(key, Entry { stream: stream.clone(), stop: stop.clone() });
        metrics::running(streams.len());
        drop(streams);
        self.0.tasks.spawn(task.run(stop));
        Ok(stream)
    }

    /// The streams of the cameras that are called.
    #[must_use]
    pub fn streams(&self) -> Vec<(TenantId, Arc<Stream>)> {
        let streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.iter().map(|((tenant, _), entry)| (*tenant, entry.stream.clone())).collect()
    }

    /// The stream of a camera that is called.
    #[must_use]
    pub fn stream(&self, tenant: TenantId, camera: &CameraId) -> Option<Arc<Stream>> {
        let streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.get(&(tenant, camera.clone())).map(|entry| entry.stream.clone())
    }

    /// The newest whole picture of a camera, as a film of one picture; nothing when this instance
    /// has not called it, or it has shown none.
    #[must_use]
    pub fn preview(&self, tenant: TenantId, camera: &CameraId) -> Option<Vec<u8>> {
        let live = self.stream(tenant, camera).and_then(|stream| stream.key_picture());
        let kept = || {
            let pictures = self.0.pictures.lock().unwrap_or_else(PoisonError::into_inner);
            pictures.get(&(tenant, camera.clone())).cloned()
        };
        let picture = live.or_else(kept)?;
        preview(&picture)
    }

    /// What was wrong with a camera that is not called now when this instance left it; nothing when it
    /// showed pictures.
    #[must_use]
    pub fn fault_before(&self, tenant: TenantId, camera: &CameraId) -> Option<StreamFault> {
        let faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.get(&(tenant, camera.clone())).copied()
    }

    /// Notes what is wrong with a camera that is left.
    fn keep_fault(&self, key: &Key, fault: Option<StreamFault>) {
        let mut faults = self.0.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match fault {
            None => drop(faults.remove(key)),
            Some(fault) if faults.len() < FAULTS_MAX || faults.contains_key(key) => {
                faults.insert(key.clone(), fault);
            }
            Some(_) => {}
        }
    }

    /// Forgets what is known of a camera that is gone or was changed.
    fn forget_before(&self, key: &Key) {
        self.0.pictures.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
        self.keep_fault(key, None);
    }

    fn keep_picture(&self, key: &Key, stream: &Stream) {
        // One that is larger is not shown.
        let picture = stream.key_picture();
        let Some(picture) = picture.filter(|it| it.data.len() <= PICTURE_BYTES_MAX) else { return };
        let mut pictures = self.0.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        if pictures.len() < PICTURES_MAX || pictures.contains_key(key) {
            pictures.insert(key.clone(), picture);
        }
    }

    /// Ends a stream at once: the camera is gone.
    pub fn end(&self, tenant: TenantId, camera: &CameraId) {
        self.forget_before(&(tenant, camera.clone()));
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = streams.remove(&(tenant, camera.clone())) {
            entry.stream.close();
            entry.stop.cancel();
            metrics::running(streams.len());
        }
    }

    /// Calls a camera anew, since something about it was changed.
    pub fn renew(&self, tenant: TenantId, camera: &CameraId) {
        // It may be another camera at the same place by now.
        self.forget_before(&(tenant, camera.clone()));
        if let Some(stream) = self.stream(tenant, camera) {
            stream.renew();
        }
    }

    /// Ends all streams and waits until every camera was told, or for a short while.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(GOODBYE_MAX, self.0.tasks.wait()).await.is_err() {
            tracing::info!("some cameras did not take the goodbye");
        }
    }

    /// Forgets a stream that ended by itself.
    fn forget(&self, key: &Key, stream: &Arc<Stream>) {
        let mut streams = self.0.streams.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.stream, stream)) {
            streams.remove(key);
            metrics::running(streams.len());
        }
    }
}

/// The task of one camera.
struct Task {
    ingest: Ingest,
    key: Key,
    stream: Arc<Stream>,
}

impl Task {
    async fn run(self, stop: CancellationToken) {
        let call = Call::new(&self.ingest.0.parts, self.key.clone(), &self.stream);
        tokio::select! {
            // There is no such camera any more.
            () = self.calls(&call) => self.ingest.forget_before(&self.key),
            () = stop.cancelled() => {}
            () = self.stream.unwanted() => {
                self.ingest.keep_picture(&self.key, &self.stream);
                let fault = self.stream.fault(Instant::now().into_std());
                self.ingest.keep_fault(&self.key, fault);
            }
        }
        self.stream.close();
        self.ingest.forget(&self.key, &self.stream);
        call.goodbye().await;
    }

    /// Calls the camera again and again, until it is gone.
    async fn calls(&self, call: &Call<'_>) {
        loop {
            self.stream.handle_call(Instant::now().into_std());
            let ended = tokio::select! {
                ended = call.carry_out() => ended,
                fault = self.given_up() => Ended::Fault(fault),
            };
            match ended {
                Ended::Gone => return,
                Ended::Changed => self.stream.handle_break(),
                Ended::Fault(fault) => {
                    let now = Instant::now().into_std();
                    self.stream.handle_fault(fault, now, rand::random());
                    metrics::fault(self.key.0, fault);
                    tracing::info!(tenant = %self.key.0, %fault, "the stream of a camera ended");
                    self.called_again().await;
                }
            }
        }
    }

    /// Until the call is to be given up.
    async fn given_up(&self) -> StreamFault {
        loop {
            if let Some(Due::GiveUp(fault)) = self.due().await {
                return fault;
            }
        }
    }

    /// Until the camera is to be called again.
    async fn called_again(&self) {
        let is_due = async { while self.due().await != Some(Due::Call) {} };
        tokio::select! {
            () = is_due => {}
            () = self.stream.renewed() => {}
        }
    }

    /// What is due when something next may be.
    async fn due(&self) -> Option<Due> {
        match self.stream.poll_timeout() {
            None => std::future::pending().await,
            Some(at) => {
                tokio::time::sleep_until(at.into()).await;
                self.stream.handle_timeout(Instant::now().into_std())
            }
        }
    }
}
