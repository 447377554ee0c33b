//! Cameras in rooms: a camera that this server calls takes part like a device of the hall.
//! Its pictures in H.264 and its sound in Opus or G.711 go to members as they come, and its sound in
//! AAC as Opus where that is allowed; a camera that sends anything else is in the room and says why
//! it is not shown or heard.

pub mod engine;
mod metrics;
mod relay;
mod subtitles;
mod transcoding;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::engine::aac::OpusFromAac;
pub use self::metrics::describe_metrics;
use self::relay::{Over, Relay};
use self::subtitles::Subtitles;
use crate::cameras::engine::sound::SoundFormat;
use crate::cameras::repository::{BridgeKey, BridgeRepository};
use crate::cameras::{CameraError, Gateway, Stream};
use crate::clock::Clock;
use crate::domain::camera::{CameraCodec, StreamFault, StreamStatus};
use crate::domain::id::{CameraId, SessionId, SessionKey, TenantId, UserId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::formats::codec::AacConfig;
use crate::room::error::RoomError;
use crate::room::event::TranscriptionView;
use crate::room::{Rooms, camera_user};

/// Cameras that an instance has in rooms at once; further ones are refused. Raising it
/// uses more memory: up to a group of pictures for each.
const BRIDGES_MAX: usize = 128;
/// How long a camera that was not called before is waited for, so that whoever adds it
/// learns at once when its codec can't be shown. It comes in afterwards in any case.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(3);
/// Longest wait until a camera that is taken out has left its room.
const LEAVE_MAX: Duration = Duration::from_secs(5);
/// For how long an instance has a camera in a room without saying so again. A camera whose
/// instance is gone comes back after this time at the latest, where its room is open; raising it
/// lets that take longer.
const KEPT_FOR: Duration = Duration::from_secs(15);
/// How often it is said again, and how often cameras are looked for that nobody has.
const RENEW_EVERY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// A camera that nobody has for this long comes back into a room that no instance has taken up
/// again, or is forgotten with its session. Lowering it may open the room at two instances.
const ABANDONED_AFTER: Duration = Duration::from_mins(1);
/// Cameras that are taken at one look; the next ones are taken at the next.
const TAKEN_AT_ONCE: u32 = 64;
/// Messages of a room that wait for a camera; it reads them at once.
const OUTBOUND_MAX: usize = 512;

/// A camera in a room.
type Key = (TenantId, SessionId, CameraId);

/// Why a camera does not come into a room, or is not in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BridgeError {
    /// Something about the camera.
    #[error(transparent)]
    Camera(#[from] CameraError),
    /// Something about the room.
    #[error(transparent)]
    Room(#[from] RoomError),
    /// It sends pictures that a room can't show.
    #[error("{}", unsupported_text(*.0))]
    Unsupported(StreamFault),
    /// The camera is not in the room.
    #[error("the camera is not in the room")]
    NotInRoom,
}

const fn unsupported_text(fault: StreamFault) -> &'static str {
    match fault {
        StreamFault::UnsupportedBframes => {
            "the camera sends B-frames, which a room can't show; switch them off in the camera"
        }
        _ => "the camera sends a codec that a room can't show; set it to H.264",
    }
}

/// A camera that is in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridged {
    /// The user id under which it is there.
    pub user: UserId,
    /// Whether it was not there before.
    pub is_new: bool,
    /// Why nothing of it comes, as far as it is known.
    pub fault: Option<StreamFault>,
}

/// What becomes of the AAC of cameras in rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AacSound {
    /// It is left out, and the room is told.
    LeftOut,
    /// It becomes Opus, which takes time of the processor for each camera.
    Transcoded,
}

struct Inner {
    gateway: Gateway,
    rooms: Rooms,
    repository: Arc<dyn BridgeRepository>,
    clock: Clock,
    aac: AacSound,
    active: Mutex<BTreeMap<Key, Place>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug, Clone, Default)]
struct Place {
    /// It is to leave.
    stop: CancellationToken,
    /// It has come in.
    entered: CancellationToken,
    /// It has left.
    left: CancellationToken,
}

/// The cameras that are in rooms of this instance. Cheap to clone.
#[derive(Clone)]
pub struct Bridges(Arc<Inner>);

impl Bridges {
    /// No camera is in a room yet.
    #[must_use]
    pub fn new(
        gateway: Gateway,
        rooms: Rooms,
        repository: Arc<dyn BridgeRepository>,
        clock: Clock,
        aac: AacSound,
    ) -> Self {
        Self(Arc::new(Inner {
            gateway,
            rooms,
            repository,
            clock,
            aac,
            active: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Brings a camera into the room of an active session. One that is there stays.
    ///
    /// # Errors
    /// What is wrong with the camera or the room; [`BridgeError::Unsupported`],
    /// [`BridgeError::NotInRoom`] when it is taken out while it comes in, and
    /// [`CameraError::Stopping`] when the server stops meanwhile.
    pub async fn add(
        &self,
        session_key: SessionKey,
        camera: &CameraId,
    ) -> Result<Bridged, BridgeError> {
        let SessionKey { tenant, session } = session_key;
        let gateway = &self.0.gateway;
        gateway.camera(tenant, camera).await?;
        let user = camera_user(camera).ok_or(RoomError::Forbidden)?;
        let key = (tenant, session, camera.clone());
        let reserved = loop {
            let place = match self.reserve(key.clone())? {
                Ok(reserved) => break reserved,
                Err(place) => place,
            };
            tokio::select! {
                biased;
                // It did not come in, or has left: as if it had never been.
                () = place.left.cancelled() => {}
                () = place.entered.cancelled() => {
                    let stream = gateway.ingest().stream(tenant, camera);
                    let fault = stream.and_then(|stream| fault_of(&stream, self.0.aac));
                    return Ok(Bridged { user, is_new: false, fault });
                }
            }
        };
        let stream = gateway.ingest().want(tenant, camera)?;
        // A camera that shows nothing in time comes in as it is.
        let seen = tokio::time::timeout(FIRST_PICTURE_MAX, stream.seen_or_failed());
        if reserved.place.stop.run_until_cancelled(seen).await.is_none() {
            // It was taken out meanwhile, or nothing comes in any more.
            let is_over = self.0.stop.is_cancelled();
            let stopping = is_over.then_some(CameraError::Stopping.into());
            return Err(stopping.unwrap_or(BridgeError::NotInRoom));
        }
        let fault = fault_of(&stream, self.0.aac);
        if let Some(fault) = fault.filter(|fault| is_unsupported(*fault)) {
            return Err(BridgeError::Unsupported(fault));
        }
        let kept_until = gateway.now().after(KEPT_FOR);
        let bridge = BridgeKey { tenant, session, camera: camera.clone() };
        self.0.repository.put_bridge(&bridge, kept_until).await.map_err(CameraError::from)?;
        if let Err(error) = self.enter(&bridge, reserved, kept_until).await {
            self.forget(&bridge).await;
            return Err(error.into());
        }
        Ok(Bridged { user, is_new: true, fault })
    }

    /// Brings cameras back whose instance is gone, for as long as the server runs.
    pub async fn run(self) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.0.stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Err(error) = self.take_over().await {
                tracing::warn!(%error, "cameras of rooms could not be looked for");
            }
        }
    }

    async fn take_over(&self) -> Result<(), StoreError> {
        let (gateway, repository) = (&self.0.gateway, &self.0.repository);
        let long_ago = gateway.now().before(ABANDONED_AFTER);
        let abandoned = repository.unkept_bridges(long_ago, TAKEN_AT_ONCE).await?;
        for bridge in repository.unkept_bridges(gateway.now(), TAKEN_AT_ONCE).await? {
            // A room that is opened here may be open at another instance, to which people come
            // back, and it would be closed there.
            if !abandoned.contains(&bridge) && !self.0.rooms.is_open(bridge.session).await {
                continue;
            }
            let key = (bridge.tenant, bridge.session, bridge.camera.clone());
            // One that has a place is just coming in or leaving.
            let Ok(Ok(reserved)) = self.reserve(key) else { continue };
            let now = gateway.now();
            let kept_until = now.after(KEPT_FOR);
            if !repository.take_bridge(&bridge, now, kept_until).await? {
                continue;
            }
            let bridges = self.clone();
            self.0.tasks.spawn(async move {
                if let Err(error) = bridges.enter(&bridge, reserved, kept_until).await {
                    tracing::info!(tenant = %bridge.tenant, %error, "a camera did not come back into its room");
                    if is_final(&error) {
                        bridges.forget(&bridge).await;
                    }
                }
            });
        }
        Ok(())
    }

    /// Brings a camera into its room, where it stays by a task of its own.
    async fn enter(
        &self,
        bridge: &BridgeKey,
        reserved: Reserved,
        kept_until: Timestamp,
    ) -> Result<(), RoomError> {
        let session_key = SessionKey { tenant: bridge.tenant, session: bridge.session };
        let (sink, outbound) = mpsc::channel(OUTBOUND_MAX);
        let entered = self.0.rooms.enter_camera(session_key, &bridge.camera, sink).await?;
        reserved.place.entered.cancel();
        let camera = (bridge.tenant, bridge.camera.clone());
        let captions = self.captions_of(&camera, &entered.transcription);
        let (gateway, clock) = (self.0.gateway.clone(), self.0.clock.clone());
        let relay = Relay::new(gateway, clock, camera, self.0.aac);
        let (bridges, bridge) = (self.clone(), bridge.clone());
        self.0.tasks.spawn(async move {
            let mut kept_until = kept_until;
            let leave = reserved.place.stop.child_token();
            let kept = async {
                bridges.keep(&bridge, &mut kept_until).await;
                leave.cancel();
                std::future::pending().await
            };
            let over = tokio::select! {
                over = relay.run(entered.member, outbound, captions, leave.clone()) => over,
                over = kept => over,
            };
            let was_taken_out =
                reserved.place.stop.is_cancelled() && !bridges.0.stop.is_cancelled();
            match over {
                Over::CameraGone | Over::SentOut => bridges.forget(&bridge).await,
                // It may have been taken out before it was noted that it came in.
                Over::Stopped if was_taken_out => bridges.forget(&bridge).await,
                // Another instance or the next process may bring it in, unless one has it by now.
                Over::RoomGone | Over::Stopped => bridges.let_go(&bridge, kept_until).await,
            }
            drop(reserved);
        });
        Ok(())
    }

    /// The captions of a camera in a room in which what is said becomes text.
    fn captions_of(
        &self,
        camera: &(TenantId, CameraId),
        transcription: &TranscriptionView,
    ) -> Option<Subtitles> {
        let captions = self.0.gateway.captions().filter(|_| transcription.state == "on")?;
        let (tenant, id) = camera.clone();
        let captioning = captions.begin((tenant, id.into()), transcription.language.clone());
        Some(Subtitles::new(self.0.gateway.clone(), captioning))
    }

    /// Says again and again that this instance has a camera, until another one has it or it is
    /// not to be in its room any more, or it can't be said for too long.
    async fn keep(&self, bridge: &BridgeKey, kept_until: &mut Timestamp) {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let until = self.0.gateway.now().after(KEPT_FOR);
            match self.0.repository.keep_bridge(bridge, (*kept_until, until)).await {
                Ok(true) => *kept_until = until,
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(tenant = %bridge.tenant, %error, "a camera is kept without saying so");
                    // Another instance may have it from now on.
                    if self.0.gateway.now() >= *kept_until {
                        return;
                    }
                }
            }
        }
    }

    async fn let_go(&self, bridge: &BridgeKey, kept_until: Timestamp) {
        let kept = (kept_until, self.0.gateway.now());
        if let Err(error) = self.0.repository.keep_bridge(bridge, kept).await {
            tracing::warn!(tenant = %bridge.tenant, %error, "a camera is left without saying so");
        }
    }

    async fn forget(&self, bridge: &BridgeKey) {
        if let Err(error) = self.0.repository.remove_bridge(bridge).await {
            tracing::warn!(tenant = %bridge.tenant, %error, "a camera of a room is not forgotten yet");
        }
    }

    /// Takes a camera out of a room.
    ///
    /// # Errors
    /// [`BridgeError::NotInRoom`].
    pub async fn remove(
        &self,
        SessionKey { tenant, session }: SessionKey,
        camera: &CameraId,
    ) -> Result<(), BridgeError> {
        let bridge = BridgeKey { tenant, session, camera: camera.clone() };
        let noted = self.0.repository.remove_bridge(&bridge).await.map_err(CameraError::from)?;
        let key = (tenant, session, camera.clone());
        let place = self.lock().get(&key).cloned();
        let Some(place) = place else {
            // The instance that has it finds that it is not to.
            return if noted { Ok(()) } else { Err(BridgeError::NotInRoom) };
        };
        place.stop.cancel();
        // It leaves in any case.
        drop(tokio::time::timeout(LEAVE_MAX, place.left.cancelled()).await);
        Ok(())
    }

    /// Takes all cameras out of their rooms.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// A place for a camera in a room, or the one that it has.
    fn reserve(&self, key: Key) -> Result<Result<Reserved, Place>, CameraError> {
        let mut active = self.lock();
        if let Some(place) = active.get(&key) {
            return Ok(Err(place.clone()));
        }
        if self.0.stop.is_cancelled() {
            return Err(CameraError::Stopping);
        }
        if active.len() >= BRIDGES_MAX {
            return Err(CameraError::StreamLimit(BRIDGES_MAX));
        }
        let place = Place { stop: self.0.stop.child_token(), ..Place::default() };
        active.insert(key.clone(), place.clone());
        Ok(Ok(Reserved { bridges: self.clone(), key, place }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, Place>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a camera in a room, until it is dropped.
struct Reserved {
    bridges: Bridges,
    key: Key,
    place: Place,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.bridges.lock().remove(&self.key);
        self.place.left.cancel();
    }
}

/// Whether a camera that does not come into its room never will.
const fn is_final(error: &RoomError) -> bool {
    matches!(
        error,
        RoomError::SessionNotFound
            | RoomError::SessionNotActive
            | RoomError::SessionOver
            | RoomError::ProviderUnsupported
    )
}

const fn is_unsupported(fault: StreamFault) -> bool {
    matches!(fault, StreamFault::CodecUnsupported | StreamFault::UnsupportedBframes)
}

/// Why nothing of a camera can be shown in a room now, or it can't be heard there; nothing while
/// it is called for the first time.
fn fault_of(stream: &Stream, aac: AacSound) -> Option<StreamFault> {
    let report = stream.report(Instant::now().into_std());
    match report.status {
        StreamStatus::Running if report.video == Some(CameraCodec::H265) => {
            Some(StreamFault::CodecUnsupported)
        }
        StreamStatus::Running if report.packets.times.has_b_frames => {
            Some(StreamFault::UnsupportedBframes)
        }
        StreamStatus::Running if report.fault == Some(StreamFault::PicturesMissing) => report.fault,
        StreamStatus::Running
            if report.audio == Some(CameraCodec::Aac) && taken_aac(stream, aac).is_none() =>
        {
            Some(StreamFault::SoundUnsupported)
        }
        StreamStatus::Running | StreamStatus::Starting | StreamStatus::Stopped => None,
        StreamStatus::Error => report.fault,
    }
}

/// The form of the AAC of a camera, when it is made Opus.
fn taken_aac(stream: &Stream, aac: AacSound) -> Option<AacConfig> {
    match stream.sound_format()? {
        SoundFormat::Aac(config) if aac == AacSound::Transcoded => {
            OpusFromAac::takes(&config).then_some(config)
        }
        SoundFormat::Aac(_) | SoundFormat::Opus => None,
    }
}
