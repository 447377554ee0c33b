//! Passes on what one camera sends, into one room.

use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::engine::{Pictures, Sounds, Track, config_of};
use super::subtitles::Subtitles;
use super::transcoding::{Transcoded, Transcoding};
use super::{AacSound, fault_of, is_unsupported, taken_aac};
use crate::cameras::engine::pictures::Picture;
use crate::cameras::{CameraError, Gateway, Heard, Listening, Sound, Stream};
use crate::clock::Clock;
use crate::domain::camera::{CameraCodec, StreamFault};
use crate::domain::id::{CameraId, TenantId};
use crate::domain::media::TrackSource;
use crate::room::engine::Goodbye;
use crate::room::{MemberHandle, Outbound};
use crate::sfu::sdp::CodecConfig;
use crate::sfu::{Feed, FeedError, FeedSpec};

use std::sync::Arc;

/// How often it is said that the camera is wanted, looked how it does, and told what time it
/// is by its clock.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Packets that are given to the media plane at once. More overflow the sockets of receivers,
/// and what is lost then has to be sent again.
const BURST_PACKETS: usize = 32;
/// Wait between two such bursts. Raising it delays large pictures and groups that are
/// repeated.
const BURST_EVERY: Duration = Duration::from_millis(2);

/// A track of the camera in the room.
struct Fed<T> {
    feed: Feed,
    config: CodecConfig,
    engine: T,
}

/// What one camera sends, on its way into one room.
pub(super) struct Relay {
    gateway: Gateway,
    clock: Clock,
    camera: (TenantId, CameraId),
    pictures: Option<Fed<Pictures>>,
    sounds: Option<Fed<Sounds>>,
    aac: AacSound,
    /// What makes Opus of its sound, and when it was started last.
    transcoding: Option<Transcoding>,
    transcoding_at: Option<Instant>,
    /// When the room was last asked to take sound.
    sound_asked_at: Option<Instant>,
    /// What the room was told last.
    fault: Option<StreamFault>,
    /// The profile of the pictures is one that a room can't show.
    has_strange_profile: bool,
}

/// When a picture came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Age {
    /// Before the camera was brought in.
    Past,
    /// Just now.
    Now,
}

/// Why a camera leaves its room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// There is no such camera any more.
    CameraGone,
    /// The media plane or the room takes nothing any more.
    RoomGone,
    /// It is to be there no more: it was sent out, or the session is over.
    SentOut,
    /// It is to leave.
    Stopped,
}

impl Relay {
    pub(super) const fn new(
        gateway: Gateway,
        clock: Clock,
        camera: (TenantId, CameraId),
        aac: AacSound,
    ) -> Self {
        Self {
            gateway,
            clock,
            camera,
            pictures: None,
            sounds: None,
            aac,
            transcoding: None,
            transcoding_at: None,
            sound_asked_at: None,
            fault: None,
            has_strange_profile: false,
        }
    }

    /// Runs until the camera is to leave, its room lets it go, or it is gone.
    pub(super) async fn run(
        mut self,
        member: MemberHandle,
        mut outbound: mpsc::Receiver<Outbound>,
        captions: Option<Subtitles>,
        stop: CancellationToken,
    ) -> Over {
        let over = tokio::select! {
            // Why the room let it go is known better than that its media ended.
            biased;
            () = stop.cancelled() => Over::Stopped,
            over = let_go(&mut outbound, captions.as_ref()) => over,
            over = self.relay(&member) => over,
        };
        if over == Over::CameraGone {
            tracing::info!(tenant = %self.camera.0, "a camera in a room is gone");
        }
        member.leave().await;
        over
    }

    async fn relay(&mut self, member: &MemberHandle) -> Over {
        loop {
            let (tenant, camera) = &self.camera;
            if self.gateway.camera(*tenant, camera).await == Err(CameraError::CameraNotFound) {
                return Over::CameraGone;
            }
            match self.gateway.ingest().want(*tenant, camera) {
                Ok(stream) => {
                    if let Err(over) = self.follow(member, &stream).await {
                        return over;
                    }
                }
                Err(_) => self.say(member, Some(StreamFault::Unreachable)).await,
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Passes a stream on, until it ends.
    async fn follow(&mut self, member: &MemberHandle, stream: &Arc<Stream>) -> Result<(), Over> {
        let Listening { group, mut heard } = stream.listen();
        for picture in &group {
            self.picture(member, picture, Age::Past).await?;
        }
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = heard.recv() => match heard {
                    Ok(Heard::Picture(picture)) => self.picture(member, &picture, Age::Now).await?,
                    Ok(Heard::Sound(sound)) if sound.codec == CameraCodec::Aac => {
                        self.transcode(stream, sound);
                    }
                    Ok(Heard::Sound(sound)) => self.sound(member, &sound).await?,
                    Ok(Heard::Break) => self.handle_new_call(),
                    Err(RecvError::Lagged(_)) => self.handle_break(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                made = next_made(&mut self.transcoding) => match made {
                    Some(made) => self.made(member, &made).await?,
                    // It is started again with a later packet.
                    None => self.transcoding = None,
                },
                _ = looks.tick() => {
                    let (tenant, camera) = &self.camera;
                    let wanted = self.gateway.ingest().want(*tenant, camera);
                    if !wanted.is_ok_and(|wanted| Arc::ptr_eq(&wanted, stream)) {
                        self.handle_new_call();
                        return Ok(());
                    }
                    let strange = self.has_strange_profile.then_some(StreamFault::CodecUnsupported);
                    // Pictures that can't be shown matter more than sound.
                    let fault = match fault_of(stream, self.aac) {
                        None | Some(StreamFault::SoundUnsupported) if strange.is_some() => strange,
                        fault => fault,
                    };
                    self.say(member, fault).await;
                    self.report()?;
                }
            }
        }
    }

    /// Tells the room why nothing comes, when that has changed.
    async fn say(&mut self, member: &MemberHandle, fault: Option<StreamFault>) {
        if self.fault != fault {
            self.fault = fault;
            if fault.is_some_and(is_unsupported)
                && let Some(fed) = self.pictures.take()
            {
                // Nobody waits for a picture that does not come.
                drop(member.end_feed(fed.feed.track()).await);
            }
            member.report_fault(fault).await;
        }
    }

    async fn picture(
        &mut self,
        member: &MemberHandle,
        picture: &Arc<Picture>,
        age: Age,
    ) -> Result<(), Over> {
        if self.fault == Some(StreamFault::UnsupportedBframes) {
            return Ok(());
        }
        if picture.key {
            let Some(config) = config_of(picture) else {
                self.has_strange_profile = true;
                // What follows needs this picture.
                self.handle_break();
                return Ok(());
            };
            self.has_strange_profile = false;
            if self.pictures.as_ref().is_none_or(|fed| fed.config != config) {
                if let Some(before) = self.pictures.take() {
                    // A format that receivers were not offered is another track.
                    drop(member.end_feed(before.feed.track()).await);
                }
                let fed = feed(member, TrackSource::Camera, config).await?;
                self.pictures =
                    fed.map(|(feed, track)| Fed { feed, config, engine: Pictures::new(track) });
            }
        }
        let now = Instant::now().into_std();
        let Some(Fed { feed, engine, .. }) = &mut self.pictures else { return Ok(()) };
        let mut packets: Vec<Vec<u8>> = Vec::new();
        match age {
            Age::Past => engine.handle_past(picture, now, |packet| packets.push(packet.to_vec())),
            Age::Now => engine.handle(picture, now, |packet| packets.push(packet.to_vec())),
        }
        if feed.take_key_frame_request() {
            engine.handle_wish(now, |packet| packets.push(packet.to_vec()));
        }
        let mut dropped = false;
        for (number, burst) in packets.chunks(BURST_PACKETS).enumerate() {
            if number > 0 {
                tokio::time::sleep(BURST_EVERY).await;
            }
            let mut given = Given::new(feed);
            for packet in burst {
                given.push(packet);
            }
            dropped |= given.finish()?;
        }
        if dropped {
            engine.handle_break();
        }
        Ok(())
    }

    async fn sound(&mut self, member: &MemberHandle, sound: &Sound) -> Result<(), Over> {
        let Some(config) = sound_config(sound.codec) else { return Ok(()) };
        let now = Instant::now().into_std();
        self.feed_sound(member, config, (sound.ticks, &sound.payload, now)).await
    }

    /// Sound in Opus that was made of the camera's.
    async fn made(&mut self, member: &MemberHandle, made: &Transcoded) -> Result<(), Over> {
        let sound = (made.ticks, made.payload.as_slice(), made.at);
        self.feed_sound(member, CodecConfig::Opus, sound).await
    }

    /// Has Opus made of the camera's sound, where that is allowed and possible.
    fn transcode(&mut self, stream: &Stream, sound: Sound) {
        let may_start = self.transcoding_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if self.transcoding.is_none() && may_start {
            self.transcoding_at = Some(Instant::now());
            self.transcoding = taken_aac(stream, self.aac).and_then(Transcoding::start);
        }
        if let Some(transcoding) = &self.transcoding {
            transcoding.push(sound.ticks, sound.payload, Instant::now().into_std());
        }
    }

    /// Passes on sound in a format that the room takes, with its stamp and the time that it is of.
    async fn feed_sound(
        &mut self,
        member: &MemberHandle,
        config: CodecConfig,
        (ticks, payload, at): (i64, &[u8], std::time::Instant),
    ) -> Result<(), Over> {
        if let Some(before) = self.sounds.take_if(|fed| fed.config != config) {
            // A format that receivers were not offered is another track.
            drop(member.end_feed(before.feed.track()).await);
        }
        if self.sounds.is_none() {
            if self.sound_asked_at.is_some_and(|at| at.elapsed() < LOOK_EVERY) {
                return Ok(());
            }
            self.sound_asked_at = Some(Instant::now());
            let fed = feed(member, TrackSource::Microphone, config).await?;
            self.sounds = fed.map(|(feed, track)| Fed { feed, config, engine: Sounds::new(track) });
        }
        let Some(Fed { feed, engine, .. }) = &mut self.sounds else { return Ok(()) };
        let mut given = Given::new(feed);
        engine.handle(ticks, payload, at, |packet| given.push(packet));
        // A packet of sound that is dropped is like one that was lost.
        given.finish().map(drop)
    }

    /// The camera is called anew, and may send its sound in another form.
    fn handle_new_call(&mut self) {
        self.handle_break();
        self.transcoding = None;
        self.transcoding_at = None;
    }

    fn handle_break(&mut self) {
        if let Some(fed) = &mut self.pictures {
            fed.engine.handle_break();
        }
        if let Some(fed) = &mut self.sounds {
            fed.engine.handle_break();
        }
    }

    /// Tells what time it is by the clocks of both tracks, so that receivers play them
    /// together.
    fn report(&mut self) -> Result<(), Over> {
        let (now, wall) = (Instant::now().into_std(), self.clock.now());
        let pictures = self.pictures.as_mut();
        let pictures = pictures.map(|fed| (&mut fed.feed, fed.engine.report(now, wall)));
        let sounds = self.sounds.as_mut();
        let sounds = sounds.map(|fed| (&mut fed.feed, fed.engine.report(now, wall)));
        for (feed, report) in pictures.into_iter().chain(sounds) {
            let mut given = Given::new(feed);
            if let Some(report) = report {
                given.push(&report);
            }
            given.finish()?;
        }
        Ok(())
    }
}

/// The next sound in Opus; nothing once there is no more. While there is nothing that makes it, this
/// waits.
async fn next_made(transcoding: &mut Option<Transcoding>) -> Option<Transcoded> {
    match transcoding {
        Some(transcoding) => transcoding.next().await,
        None => std::future::pending().await,
    }
}

/// The format of a camera's sound in a room; none when a room does not take it.
const fn sound_config(codec: CameraCodec) -> Option<CodecConfig> {
    match codec {
        CameraCodec::Opus => Some(CodecConfig::Opus),
        CameraCodec::Pcmu => Some(CodecConfig::Pcmu),
        CameraCodec::Pcma => Some(CodecConfig::Pcma),
        CameraCodec::Aac | CameraCodec::H264 | CameraCodec::H265 => None,
    }
}

/// Publishes a track; nothing when the room does not take it now.
async fn feed(
    member: &MemberHandle,
    source: TrackSource,
    config: CodecConfig,
) -> Result<Option<(Feed, Track)>, Over> {
    let (payload_type, _) = config.payload_types();
    match member.feed(FeedSpec { source, config, payload_type }).await {
        Ok(feed) => {
            let drawn = [rand::random(), rand::random(), rand::random()];
            Ok(Some((feed, Track::new(payload_type, config.codec().clock_rate_hz(), drawn))))
        }
        Err(error) => {
            tracing::warn!(%error, "a room does not take the track of a camera");
            if member.is_gone().await { Err(Over::RoomGone) } else { Ok(None) }
        }
    }
}

/// Packets that are given to the media plane together.
struct Given<'feed> {
    feed: &'feed mut Feed,
    error: Option<FeedError>,
}

impl<'feed> Given<'feed> {
    const fn new(feed: &'feed mut Feed) -> Self {
        Self { feed, error: None }
    }

    fn push(&mut self, packet: &[u8]) {
        self.error = self.feed.push(packet).err().or(self.error);
    }

    /// Whether some of the packets were dropped.
    fn finish(self) -> Result<bool, Over> {
        let error = self.feed.flush().err().or(self.error);
        match error {
            None => Ok(false),
            Some(FeedError::Busy(_) | FeedError::PacketTooLarge) => Ok(true),
            Some(FeedError::Stopped) => Err(Over::RoomGone),
        }
    }
}

/// Until the room lets the connection go. What it tells meanwhile may become captions.
async fn let_go(outbound: &mut mpsc::Receiver<Outbound>, captions: Option<&Subtitles>) -> Over {
    loop {
        match outbound.recv().await {
            Some(Outbound::Goodbye(Goodbye::Removed | Goodbye::SessionOver)) => {
                return Over::SentOut;
            }
            None | Some(Outbound::Goodbye(_) | Outbound::Replaced | Outbound::Closing) => {
                return Over::RoomGone;
            }
            Some(Outbound::Told(texts)) => {
                if let Some(captions) = captions {
                    texts.iter().for_each(|text| captions.handle(text));
                }
            }
            Some(_) => {}
        }
    }
}
