//! Takes what devices publish into their captures as packets that somebody else has received.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::keeping::{BEGIN_TIME_MAX, SILENT_MAX, TARGET_S, record};
use super::publishers::{Claimed, Heard, Publishers, Refused};
use super::stream::Stream;
use crate::cameras::archive::{Archive, Filing, NotKept, OfSegment};
use crate::cameras::captures::CaptureStore;
use crate::cameras::engine::late::Late;
use crate::cameras::engine::pictures::VideoPacket;
use crate::cameras::engine::segments::Segment;
use crate::cameras::engine::sound::SoundFormat;
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::cameras::error::CameraError;
use crate::cameras::metrics;
use crate::cameras::repository::FilmsOf;
use crate::clock::Clock;
use crate::domain::camera::{CameraCodec, StreamFault};
use crate::domain::id::{CaptureId, TenantId};
use crate::domain::time::Timestamp;

/// How far a device's clock may be wrong about what it sends later. Raising it lets devices keep
/// what lies in the future.
const AHEAD_MAX: Duration = Duration::from_secs(5);
/// A segment that ends so soon after the end of what is kept is kept already: the time of what
/// comes live is that of its arrival. Raising it loses more of what was cut off.
const SAME: Duration = Duration::from_millis(500);

/// A packet of a device, in the order in which it was sent.
#[derive(Debug)]
pub enum DevicePacket {
    /// Of its pictures, in H.264.
    Pictures(VideoPacket),
    /// Of its sound, in Opus.
    Sound {
        /// Its stamp, extended by the wraps.
        ticks: i64,
        /// How many packets before it did not come.
        lost: u64,
        /// Its payload.
        payload: Bytes,
    },
}

/// What an intake is made of.
pub struct IntakeParts {
    /// The captures.
    pub captures: CaptureStore,
    /// Where what is published is kept.
    pub archive: Archive,
    /// Who publishes, also in other ways.
    pub publishers: Publishers,
    /// The time.
    pub clock: Clock,
}

/// Takes what devices publish. Cheap to clone.
#[derive(Clone)]
pub struct Intake(Arc<IntakeParts>);

impl Intake {
    /// An intake over its parts.
    #[must_use]
    pub fn new(parts: IntakeParts) -> Self {
        Self(Arc::new(parts))
    }

    /// Lets a device publish into an open capture. One that published before and is silent ends,
    /// and what it sent is kept before this returns, or not any more.
    ///
    /// # Errors
    /// [`CameraError::CaptureNotFound`], [`CameraError::CaptureConflict`] when it is closed or the
    /// device publishes already, [`CameraError::PublisherLimit`].
    pub async fn admit(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
    ) -> Result<Admitted, CameraError> {
        let known = self.0.captures.find(tenant, capture).await?;
        if known.closed_at.is_some() {
            return Err(CameraError::CaptureConflict("the capture is closed"));
        }
        let heard = Heard::new(Instant::now());
        let claimed = self.0.publishers.claim((tenant, capture.clone()), heard);
        let mut claimed = claimed.map_err(|refused| match refused {
            Refused::Busy => {
                CameraError::CaptureConflict("the device publishes on another connection")
            }
            Refused::NoRoom => CameraError::PublisherLimit,
        })?;
        claimed.settled().await;
        let (intake, capture) = (self.clone(), capture.clone());
        Ok(Admitted { intake, tenant, capture, claimed, began_at: known.edge_started_at })
    }

    /// Until when the media of a capture is kept, by this server's clock.
    ///
    /// # Errors
    /// When that can't be read.
    pub async fn kept_until(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
    ) -> Result<Option<Timestamp>, CameraError> {
        let newest = self.0.archive.segments(tenant, capture, 1).await?;
        Ok(newest.last().map(|it| it.at.after(length(it.ticks))))
    }

    /// Keeps what a device could not send when it was made, behind what is kept. What is kept
    /// already is left out, so the same may be sent again. `ahead_us` is how far this server's clock
    /// is ahead of the device's. Until when media is kept then.
    ///
    /// # Errors
    /// Those of [`Self::admit`], [`CameraError::Unusable`] when it lies before the capture or in the
    /// future, [`CameraError::CapturesFull`], and when it can't be kept now.
    pub async fn append(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
        late: Late,
        ahead_us: i64,
    ) -> Result<Option<Timestamp>, CameraError> {
        let admitted = self.admit(tenant, capture).await?;
        let (begins, ends) = late.span();
        let here = Timestamp::from_unix_us(ends.unix_us().saturating_add(ahead_us));
        if begins < admitted.began_at.before(AHEAD_MAX) {
            let problem = "it begins before the capture";
            return Err(CameraError::Unusable { field: "media", problem });
        }
        if here > self.0.clock.now().after(AHEAD_MAX) {
            let problem = "it lies in the future";
            return Err(CameraError::Unusable { field: "media", problem });
        }
        let kept_until = self.kept_until(tenant, capture).await?;
        let is_new = |it: &Segment| {
            let end = it.at.after(length(it.ticks));
            kept_until.is_none_or(|until| end > until.after(SAME))
        };
        let made = tokio::task::spawn_blocking(move || late.segments(TARGET_S, ahead_us)).await;
        let made = made.map_err(|_| CameraError::Vault("the work was interrupted".to_owned()))?;
        let new = made.into_iter().filter(|(segment, _)| is_new(segment));
        let new: Vec<(Segment, Bytes)> = new.collect();
        if !new.is_empty() {
            let Taking { claimed, filing, .. } = admitted.begin().await?;
            keep_all(filing, &new).await.map_err(refusal)?;
            drop(claimed);
            metrics::published("late");
        }
        self.kept_until(tenant, capture).await
    }
}

/// Keeps these segments.
async fn keep_all(mut filing: Filing, segments: &[(Segment, Bytes)]) -> Result<(), NotKept> {
    let mut header = None;
    for (segment, contents) in segments {
        let needed = match header {
            Some((number, file)) if number == segment.header => file,
            _ => {
                let sealed = filing.seal(contents, None);
                header.insert((segment.header, filing.keep(&sealed).await?)).1
            }
        };
        let Segment { is_break, ticks, at, .. } = *segment;
        let of = OfSegment { header: needed, is_break, ticks, at };
        let sealed = filing.seal(&segment.data, Some(of));
        filing.keep(&sealed).await?;
    }
    Ok(())
}

fn refusal(error: NotKept) -> CameraError {
    match error {
        NotKept::Closed => CameraError::CaptureConflict("the capture is closed"),
        NotKept::Replaced => {
            CameraError::CaptureConflict("the device publishes on another connection")
        }
        NotKept::Full => CameraError::CapturesFull,
        NotKept::Failed(error) => error,
    }
}

/// So many ticks of pictures.
fn length(ticks: u64) -> Duration {
    Duration::from_micros(ticks.saturating_mul(1_000_000) / TICKS_PER_S.unsigned_abs())
}

/// A device that may publish and has not begun.
pub struct Admitted {
    intake: Intake,
    tenant: TenantId,
    capture: CaptureId,
    claimed: Claimed,
    /// When the capture began, by the device's clock.
    began_at: Timestamp,
}

impl Admitted {
    /// Begins to keep what it publishes, which is from now on what its capture is made of.
    ///
    /// # Errors
    /// [`CameraError::CaptureConflict`] when the capture is closed by now,
    /// [`CameraError::CapturesFull`], and when it can't be kept.
    pub async fn begin(self) -> Result<Taking, CameraError> {
        let Self { intake, tenant, capture, claimed, .. } = self;
        let filing =
            intake.0.archive.begin(tenant, FilmsOf::Capture(capture)).await.map_err(refusal)?;
        Ok(Taking { intake, tenant, claimed, filing })
    }
}

/// A device that publishes.
pub struct Taking {
    intake: Intake,
    tenant: TenantId,
    claimed: Claimed,
    filing: Filing,
}

impl Taking {
    /// Keeps these packets until there are no more, none comes for a while, or another device
    /// takes the place of this one. `has_sound` when it said that there is sound.
    pub async fn run(self, has_sound: bool, packets: mpsc::Receiver<DevicePacket>) {
        let Self { intake, tenant, claimed, filing } = self;
        let now = Instant::now().into_std();
        let stream = Stream::of_device(now, TARGET_S);
        stream.handle_call(now);
        let sound = has_sound.then_some((CameraCodec::Opus, SoundFormat::Opus));
        let (codec, format) = sound.unzip();
        stream.handle_playing(CameraCodec::H264, codec, (Vec::new(), format));
        let played = take(packets, &stream, &claimed.heard, &intake.0.clock);
        let over = record(filing, &stream, played, &claimed.stop).await;
        metrics::published(over.as_str());
        tracing::info!(%tenant, ended = over.as_str(), "a device has stopped publishing");
    }
}

/// Takes the packets of a device, until there are no more.
async fn take(
    mut packets: mpsc::Receiver<DevicePacket>,
    stream: &Stream,
    heard: &Heard,
    clock: &Clock,
) -> StreamFault {
    let mut patience = BEGIN_TIME_MAX;
    loop {
        let packet = match timeout(patience, packets.recv()).await {
            Ok(Some(packet)) => packet,
            Ok(None) => return StreamFault::ConnectionClosed,
            Err(_) => return StreamFault::PacketsStopped,
        };
        patience = SILENT_MAX;
        let now = Instant::now();
        heard.set(now);
        match packet {
            DevicePacket::Pictures(packet) => {
                stream.handle_video(packet, now.into_std(), clock.now());
            }
            DevicePacket::Sound { ticks, lost, payload } => {
                stream.handle_audio((ticks, payload), lost, now.into_std());
            }
        }
    }
}
