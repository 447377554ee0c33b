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
/// comes live may be that of its arrival. Raising it loses more of what was cut off.
const SAME: Duration = Duration::from_millis(200);

/// How long before it comes a picture may have been made, as its device tells. Raising it lets a
/// device keep what is further back.
const BEHIND_MAX: Duration = Duration::from_mins(1);

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
            let Taking { claimed, filing, .. } = admitted.begin(None).await?;
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
    /// `stamps_from` is when the stamps of its pictures were 0, by this server's clock; without it
    /// pictures have the time at which they come.
    ///
    /// # Errors
    /// [`CameraError::CaptureConflict`] when the capture is closed by now,
    /// [`CameraError::CapturesFull`], and when it can't be kept.
    pub async fn begin(self, stamps_from: Option<Timestamp>) -> Result<Taking, CameraError> {
        let Self { intake, tenant, capture, claimed, .. } = self;
        let filing =
            intake.0.archive.begin(tenant, FilmsOf::Capture(capture)).await.map_err(refusal)?;
        Ok(Taking { intake, tenant, claimed, filing, stamps_from })
    }
}

/// A device that publishes.
pub struct Taking {
    intake: Intake,
    tenant: TenantId,
    claimed: Claimed,
    filing: Filing,
    stamps_from: Option<Timestamp>,
}

impl Taking {
    /// Keeps these packets until there are no more, none comes for a while, or another device
    /// takes the place of this one. `has_sound` when it said that there is sound.
    pub async fn run(self, has_sound: bool, packets: mpsc::Receiver<DevicePacket>) {
        let Self { intake, tenant, claimed, filing, stamps_from } = self;
        let now = Instant::now().into_std();
        // What comes late is as if it had come when it was made.
        let began = now.checked_sub(BEHIND_MAX).filter(|_| stamps_from.is_some()).unwrap_or(now);
        let stream = Stream::of_device(began, TARGET_S);
        stream.handle_call(now);
        let sound = has_sound.then_some((CameraCodec::Opus, SoundFormat::Opus));
        let (codec, format) = sound.unzip();
        stream.handle_playing(CameraCodec::H264, codec, (Vec::new(), format));
        let made = Made { stamps_from, ..Made::default() };
        let played = take(packets, &stream, &claimed.heard, (&intake.0.clock, made));
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
    (clock, mut made): (&Clock, Made),
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
                let (at, ago) = made.handle(packet.ticks, clock.now());
                stream.handle_video(packet, before(now, ago), at);
            }
            DevicePacket::Sound { ticks, lost, payload } => {
                stream.handle_audio((ticks, payload), lost, before(now, made.ago));
            }
        }
    }
}

fn before(now: Instant, ago: Duration) -> std::time::Instant {
    let now = now.into_std();
    now.checked_sub(ago).unwrap_or(now)
}

/// When the pictures of a device were made.
#[derive(Debug, Default)]
struct Made {
    /// When their stamps were 0, if the device tells.
    stamps_from: Option<Timestamp>,
    /// When the picture was made that the last packet was of.
    last: Option<Timestamp>,
    /// How long before it came that was.
    ago: Duration,
}

impl Made {
    /// A packet of a picture comes: when the picture that is whole now was made, which is the one of
    /// the packet before, and how long ago that of this packet was made.
    fn handle(&mut self, ticks: i64, now: Timestamp) -> (Timestamp, Duration) {
        let Some(from) = self.stamps_from else { return (now, Duration::ZERO) };
        let made = from.after(length(u64::try_from(ticks).unwrap_or(0)));
        let made = made.clamp(now.before(BEHIND_MAX), now);
        self.ago = now.since(made);
        (self.last.replace(made).unwrap_or(made), self.ago)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::testing::{PPS, SPS};

    const NOW: Timestamp = Timestamp::from_unix_us(1_700_000_000_000_000);

    fn picture(ticks: i64, payload: &'static [u8]) -> DevicePacket {
        let payload = Bytes::from_static(payload);
        DevicePacket::Pictures(VideoPacket { ticks, marker: true, lost: 0, payload })
    }

    /// Seven seconds of pictures that come all at once: when their segments began, and what they last
    /// together, in ticks.
    async fn kept(stamps_from: Option<Timestamp>) -> (Vec<i64>, u64) {
        let (sender, packets) = mpsc::channel(1_024);
        for number in 0..=175 {
            let (ticks, is_key) = (9_000 + number * 3_600, number % 50 == 0);
            let units: &[&'static [u8]] =
                if is_key { &[SPS, PPS, &[0x65, 0x88, 1]] } else { &[&[0x61, 0x88, 3]] };
            for unit in units {
                sender.send(picture(ticks, unit)).await.expect("it is taken");
            }
        }
        drop(sender);
        let now = Instant::now().into_std();
        let stream = Stream::of_device(now.checked_sub(BEHIND_MAX).expect("a moment"), TARGET_S);
        stream.handle_call(now);
        stream.handle_playing(CameraCodec::H264, None, (Vec::new(), None));
        let clock = Clock::from_fn(|| NOW);
        let made = Made { stamps_from, ..Made::default() };
        take(packets, &stream, &Heard::new(Instant::now()), (&clock, made)).await;
        stream.handle_break();
        let (mut begins, mut ticks) = (Vec::new(), 0);
        while let Some((segment, _)) = stream.find(|it| it.next_from(begins.len() as u64)) {
            begins.push(segment.at.unix_us() - NOW.unix_us());
            ticks += segment.ticks;
        }
        (begins, ticks)
    }

    #[tokio::test]
    async fn pictures_that_come_late_have_the_time_at_which_they_were_made() {
        let from = NOW.before(Duration::from_millis(9_100));
        let (begins, ticks) = kept(Some(from)).await;
        assert_eq!(begins.first(), Some(&-9_000_000), "{begins:?}");
        assert!(begins.windows(2).all(|it| it[1] - it[0] == 2_000_000), "{begins:?}");
        assert_eq!(ticks, 7 * 90_000, "nothing is stretched");
        let (begins, _) = kept(None).await;
        assert!(begins.iter().all(|it| *it == 0), "nothing is told: {begins:?}");
    }

    #[test]
    fn no_picture_is_from_the_future_or_long_ago() {
        let made = |from: Timestamp| {
            let mut made = Made { stamps_from: Some(from), ..Made::default() };
            made.handle(90_000, NOW).0.unix_us() - NOW.unix_us()
        };
        assert_eq!(made(NOW), 0);
        assert_eq!(made(NOW.before(Duration::from_secs(3))), -2_000_000);
        assert_eq!(made(NOW.before(Duration::from_hours(3))), -60_000_000);
    }
}
