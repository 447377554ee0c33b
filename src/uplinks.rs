//! Edge devices that publish into their captures by WHIP: each has a transport of the media plane in
//! a room that only this module knows, and a tap takes its packets into the capture.

mod error;
mod offer;
mod packets;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::error::UplinkError;
pub use self::packets::Packets;
use crate::cameras::{Admitted, DevicePacket, Intake, Taking};
use crate::domain::id::{CaptureId, ConnectionId, SessionId, TenantId, TrackId};
use crate::domain::media::MediaKind;
use crate::domain::time::Timestamp;
use crate::sessions::TenantLimitsSource;
use crate::sfu::plane::Gates;
use crate::sfu::tap::{TapBatch, TapSink};
use crate::sfu::{
    BitrateBudget, PublishAnswer, PublishedTrack, RefusedSection, RoomMediaEvent, Sfu, SfuError,
    TransportSide,
};

/// Batches of packets that wait until they are taken. Raising it keeps more of a device in memory
/// before packets are lost: a batch has at most 64 KiB.
const BATCHES_MAX: usize = 32;
/// Packets in order that wait to be made pictures of.
const PACKETS_MAX: usize = 256;
/// Events of the media plane about one device that wait.
const EVENTS_MAX: usize = 16;

/// What uplinks are made of.
pub struct UplinkParts {
    /// The media plane.
    pub sfu: Sfu,
    /// Takes what devices publish.
    pub intake: Intake,
    /// How much media tenants may receive.
    pub limits: Arc<dyn TenantLimitsSource>,
}

struct Inner {
    parts: UplinkParts,
    active: Mutex<BTreeMap<String, Uplink>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A device that publishes.
struct Uplink {
    of: (TenantId, CaptureId),
    place: Place,
    entity_tag: String,
    stop: CancellationToken,
}

/// Where a device is in the media plane.
#[derive(Debug, Clone, Copy)]
struct Place {
    room: SessionId,
    peer: ConnectionId,
}

/// What a device is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The name of its resource, which nobody can guess.
    pub name: String,
    /// Names its ICE session, quotes included.
    pub entity_tag: String,
    /// The answer to its offer.
    pub answer: String,
    /// The sections that it wants to use and the server can't.
    pub refused: Vec<RefusedSection>,
}

/// The credentials of an ICE session that was restarted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarted {
    /// Names the new ICE session, quotes included.
    pub entity_tag: String,
    /// The name that checks use.
    pub ufrag: String,
    /// Their password.
    pub password: String,
}

/// The devices that publish by WHIP. Cheap to clone.
#[derive(Clone)]
pub struct Uplinks(Arc<Inner>);

impl Uplinks {
    /// No device publishes yet.
    #[must_use]
    pub fn new(parts: UplinkParts) -> Self {
        Self(Arc::new(Inner {
            parts,
            active: Mutex::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// Takes the offer of a device. `stamps_from` is when the stamps of its pictures were 0, by this
    /// server's clock; without it pictures have the time at which they come.
    ///
    /// # Errors
    /// Those of [`Intake::admit`], and those of the media plane about the offer.
    pub async fn open(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
        offer: &str,
        stamps_from: Option<Timestamp>,
    ) -> Result<Opened, UplinkError> {
        let offer = offer::restricted(offer).map_err(SfuError::SdpInvalid)?;
        if self.0.stop.is_cancelled() {
            return Err(SfuError::Stopped.into());
        }
        let admitted = self.0.parts.intake.admit(tenant, capture).await?;
        let max_kbps = self.0.parts.limits.limits(tenant).await.max_bitrate_kbps;
        let place = Place { room: SessionId::generate(), peer: ConnectionId::generate() };
        let (events, told) = mpsc::channel(EVENTS_MAX);
        let budget = BitrateBudget { tenant, max_kbps };
        self.0.parts.sfu.open_room(place.room, budget, events).await?;
        let opened = self.open_in(place, offer, (admitted, stamps_from)).await;
        let (answer, flow) = match opened {
            Ok(opened) => opened,
            Err(refused) => {
                self.close(place).await;
                return Err(refused);
            }
        };
        let (name, entity_tag) = (random::<24>(), format!("\"{}\"", random::<9>()));
        let stop = self.0.stop.child_token();
        let of = (tenant, capture.clone());
        let uplink = Uplink { of, place, entity_tag: entity_tag.clone(), stop: stop.clone() };
        self.lock().insert(name.clone(), uplink);
        let (uplinks, own) = (self.clone(), name.clone());
        self.0.tasks.spawn(async move {
            flow.run((told, place.peer), stop).await;
            uplinks.lock().remove(&own);
            uplinks.close(place).await;
        });
        let PublishAnswer { sdp: answer, refused, .. } = answer;
        Ok(Opened { name, entity_tag, answer, refused })
    }

    async fn open_in(
        &self,
        Place { room, peer }: Place,
        offer: String,
        (admitted, stamps_from): (Admitted, Option<Timestamp>),
    ) -> Result<(PublishAnswer, Flow), UplinkError> {
        let sfu = &self.0.parts.sfu;
        sfu.join(room, peer, Gates::OPEN).await?;
        let answer = sfu.publish(room, peer, offer, Vec::new()).await?;
        let packets = Packets::kept(&kinds(&answer.tracks)?);
        let (sender, batches) = mpsc::channel(BATCHES_MAX);
        let sink = TapSink::new(move |batch| {
            sender.try_send(batch).map_err(mpsc::error::TrySendError::into_inner)
        });
        for track in &answer.tracks {
            sfu.tap(room, track.track, sink.clone()).await?;
        }
        let taking = admitted.begin(stamps_from).await?;
        Ok((answer, Flow { batches, packets, taking }))
    }

    /// Restarts the ICE session of a device.
    ///
    /// # Errors
    /// [`UplinkError::NotFound`], and those of the media plane about the credentials.
    pub async fn restart(
        &self,
        of: (TenantId, &CaptureId),
        name: &str,
        (ufrag, password): (String, String),
    ) -> Result<Restarted, UplinkError> {
        let Place { room, peer } = self.find(of, name, |it| it.place)?;
        let side = TransportSide::Publish;
        let sfu = &self.0.parts.sfu;
        let (ufrag, password) = sfu.restart_ice(room, peer, side, ufrag, password).await?;
        let entity_tag = format!("\"{}\"", random::<9>());
        self.find(of, name, |it| it.entity_tag.clone_from(&entity_tag))?;
        Ok(Restarted { entity_tag, ufrag, password })
    }

    /// The name of the ICE session of a device.
    ///
    /// # Errors
    /// [`UplinkError::NotFound`].
    pub fn entity_tag(
        &self,
        of: (TenantId, &CaptureId),
        name: &str,
    ) -> Result<String, UplinkError> {
        self.find(of, name, |it| it.entity_tag.clone())
    }

    /// Ends what a device publishes; what came is kept.
    ///
    /// # Errors
    /// [`UplinkError::NotFound`].
    pub fn end(&self, of: (TenantId, &CaptureId), name: &str) -> Result<(), UplinkError> {
        self.find(of, name, |it| it.stop.cancel())?;
        self.lock().remove(name);
        Ok(())
    }

    /// Ends all, and waits until what came is kept, or for a while.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    fn find<T>(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
        name: &str,
        look: impl FnOnce(&mut Uplink) -> T,
    ) -> Result<T, UplinkError> {
        let mut active = self.lock();
        let uplink = active.get_mut(name);
        let uplink = uplink.filter(|it| it.of.0 == tenant && it.of.1 == *capture);
        uplink.map(look).ok_or(UplinkError::NotFound)
    }

    async fn close(&self, Place { room, .. }: Place) {
        // A media plane that has stopped has closed it.
        drop(self.0.parts.sfu.close_room(room).await);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Uplink>> {
        self.0.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tracks that a capture is made of: one of pictures, and at most one of sound.
fn kinds(tracks: &[PublishedTrack]) -> Result<Vec<(TrackId, MediaKind)>, SfuError> {
    let count = |kind| tracks.iter().filter(|it| it.kind == kind).count();
    if count(MediaKind::Video) != 1 || count(MediaKind::Audio) > 1 {
        let problem = "a capture has one track of pictures and at most one of sound";
        return Err(SfuError::SdpInvalid(problem));
    }
    Ok(tracks.iter().map(|it| (it.track, it.kind)).collect())
}

fn random<const BYTES: usize>() -> String {
    let bytes: [u8; BYTES] = std::array::from_fn(|_| rand::random());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What a device sends, on its way into its capture.
struct Flow {
    batches: mpsc::Receiver<TapBatch>,
    packets: Packets,
    taking: Taking,
}

impl Flow {
    /// Runs until the device or its transport ends, or it is to stop.
    async fn run(
        self,
        (told, peer): (mpsc::Receiver<RoomMediaEvent>, ConnectionId),
        stop: CancellationToken,
    ) {
        let Self { batches, packets, taking } = self;
        let (sender, receiver) = mpsc::channel(PACKETS_MAX);
        let has_sound = packets.has_sound();
        let pass = async {
            let over = async {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = lost(told, peer) => {}
                }
            };
            pass(batches, packets, sender, over).await;
        };
        // Once nothing is passed on any more, what came is kept.
        tokio::join!(pass, taking.run(has_sound, receiver));
    }
}

/// Passes packets on in their order, until there are no more, nobody takes them or it is over.
async fn pass(
    mut batches: mpsc::Receiver<TapBatch>,
    mut packets: Packets,
    sender: mpsc::Sender<DevicePacket>,
    over: impl Future<Output = ()>,
) {
    let mut over = std::pin::pin!(over);
    loop {
        let batch = tokio::select! {
            batch = batches.recv() => batch,
            () = sender.closed() => return,
            () = &mut over => {
                batches.close();
                break;
            }
        };
        let Some(batch) = batch else { break };
        packets.handle(&batch);
        if !send(&mut packets, &sender).await || packets.has_ended() {
            break;
        }
    }
    while let Ok(batch) = batches.try_recv() {
        packets.handle(&batch);
    }
    packets.flush();
    send(&mut packets, &sender).await;
}

/// `false` when nobody takes them any more.
async fn send(packets: &mut Packets, sender: &mpsc::Sender<DevicePacket>) -> bool {
    for packet in packets.poll() {
        if sender.send(packet).await.is_err() {
            return false;
        }
    }
    true
}

/// Until the transport of a device has ended.
async fn lost(mut told: mpsc::Receiver<RoomMediaEvent>, device: ConnectionId) {
    while let Some(event) = told.recv().await {
        if matches!(event, RoomMediaEvent::TransportLost { peer, .. } if peer == device) {
            return;
        }
    }
}
