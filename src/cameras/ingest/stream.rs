//! What a camera that is called sends, or a session shows, shared by its task and whoever watches it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, broadcast, watch};

use crate::cameras::engine::attempts::{Attempts, Due};
use crate::cameras::engine::group::Group;
use crate::cameras::engine::pictures::{Picture, Pictures, VideoPacket};
use crate::cameras::engine::playlist;
use crate::cameras::engine::segments::{Look, Piece, Segments};
use crate::cameras::engine::sound::SoundFormat;
use crate::cameras::engine::statistics::{Report, Statistics, health};
use crate::domain::camera::{CameraCodec, CameraHealth, StreamFault, StreamStatus, Unseen};
use crate::domain::time::Timestamp;

/// What is known of a camera's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamReport {
    /// Where it stands.
    pub status: StreamStatus,
    /// How well the camera does.
    pub health: CameraHealth,
    /// Why it does not run, or when it does, why it shows no picture or what is wrong with its clock.
    pub fault: Option<StreamFault>,
    /// The codec of its pictures.
    pub video: Option<CameraCodec>,
    /// The codec of its sound.
    pub audio: Option<CameraCodec>,
    /// Why its sound is not played beside the pictures.
    pub audio_fault: Option<StreamFault>,
    /// Time from the last call to the first packet.
    pub latency: Option<Duration>,
    /// What its packets tell.
    pub packets: Report,
}

/// Pictures and packets of sound that wait for one listener. One that is slower loses the
/// oldest and is told so. Raising it keeps more pictures in memory for it.
const HEARD_MAX: usize = 1_024;

/// What a camera sent.
#[derive(Debug, Clone)]
pub enum Heard {
    /// A picture.
    Picture(Arc<Picture>),
    /// A packet of sound.
    Sound(Sound),
    /// What comes next does not go on where this ended.
    Break,
}

/// A packet of a camera's sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sound {
    /// Its codec.
    pub codec: CameraCodec,
    /// Its stamp, extended by the wraps.
    pub ticks: i64,
    /// Its payload.
    pub payload: Bytes,
}

/// Listens to a stream.
#[derive(Debug)]
pub struct Listening {
    /// The pictures since the newest key picture.
    pub group: Vec<Arc<Picture>>,
    /// What comes after them.
    pub heard: broadcast::Receiver<Heard>,
}

/// The stream of one camera, or of one session.
#[derive(Debug)]
pub struct Stream {
    state: Mutex<State>,
    heard: broadcast::Sender<Heard>,
    /// How many segments, parts and breaks there were; closed streams count no more.
    progress: watch::Sender<u64>,
    renewed: Notify,
}

#[derive(Debug)]
struct State {
    began: Instant,
    attempts: Attempts,
    statistics: Statistics,
    pictures: Pictures,
    segments: Segments,
    /// Those of its recording, while it is recorded.
    recorded: Option<Segments>,
    /// The playlists of these segments, whole and without old ones, once somebody has asked.
    playlists: [Option<Bytes>; 2],
    group: Group,
    video: Option<CameraCodec>,
    audio: Option<CameraCodec>,
    called_at: Instant,
    latency: Option<Duration>,
    /// Whether a key picture came since the camera was called.
    is_seen: bool,
    wanted_until: Instant,
    is_closed: bool,
    /// Why a session shows no picture of anybody.
    unseen: Option<Unseen>,
}

impl Stream {
    /// The stream of a camera of which that was wrong when it was left.
    pub(super) fn new(
        now: Instant,
        linger: Duration,
        wall: Timestamp,
        before: Option<StreamFault>,
    ) -> Self {
        let (prefix, first) = names(wall);
        let stream = Self::with(Segments::new(prefix, first), now, linger);
        stream.lock().attempts = Attempts::after(before);
        stream
    }

    /// What a session shows, whose pictures are H.264 and whose sound is Opus. It is wanted for
    /// `linger` from now on.
    #[must_use]
    pub fn of_session(now: Instant, linger: Duration, wall: Timestamp) -> Self {
        let (prefix, first) = names(wall);
        let stream = Self::with(Segments::of_session(prefix, first), now, linger);
        stream.handle_call(now);
        stream.handle_other_sound();
        stream
    }

    /// What a device publishes, in segments that last at most so long. They are numbered from 0.
    pub(super) fn of_device(now: Instant, target_s: u64) -> Self {
        Self::with(Segments::with_target(String::new(), 0, target_s), now, Duration::ZERO)
    }

    fn with(segments: Segments, now: Instant, linger: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                began: now,
                attempts: Attempts::default(),
                statistics: Statistics::new(now),
                pictures: Pictures::default(),
                segments,
                recorded: None,
                playlists: [None, None],
                group: Group::default(),
                video: None,
                audio: None,
                called_at: now,
                latency: None,
                is_seen: false,
                wanted_until: now + linger,
                is_closed: false,
                unseen: None,
            }),
            heard: broadcast::Sender::new(HEARD_MAX),
            progress: watch::Sender::new(0),
            renewed: Notify::new(),
        }
    }

    /// What is known of it.
    #[must_use]
    pub fn report(&self, now: Instant) -> StreamReport {
        let state = self.lock();
        let (packets, status) = (state.statistics.report(now), state.attempts.status());
        let is_running = status == StreamStatus::Running;
        let of_clock = packets.times.clock_fault.filter(|_| is_running);
        let fault = state.attempts.fault(now);
        let health = match health(status, &packets) {
            CameraHealth::Online if fault.is_some() => CameraHealth::Degraded,
            health => health,
        };
        StreamReport {
            status,
            health,
            fault: fault.or(of_clock),
            video: state.video,
            audio: state.audio,
            audio_fault: (state.audio.is_some() && state.segments.sound_format().is_none())
                .then_some(StreamFault::CodecUnsupported),
            latency: state.latency,
            packets,
        }
    }

    /// Why nothing of it can be shown now.
    pub(super) fn fault(&self, now: Instant) -> Option<StreamFault> {
        self.lock().attempts.fault(now)
    }

    /// Listens to what the camera sends from now on, and what came since its newest key
    /// picture.
    #[must_use]
    pub fn listen(&self) -> Listening {
        let state = self.lock();
        Listening { group: state.group.pictures().to_vec(), heard: self.heard.subscribe() }
    }

    /// The form of the camera's sound, when files can hold it.
    #[must_use]
    pub fn sound_format(&self) -> Option<SoundFormat> {
        self.lock().segments.sound_format().cloned()
    }

    /// The newest key picture.
    pub(super) fn key_picture(&self) -> Option<Arc<Picture>> {
        self.lock().group.pictures().first().cloned()
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// The playlist with segments, if there is one: without old ones with `skip`.
    #[must_use]
    pub fn playlist(&self, skip: bool) -> Option<Bytes> {
        let mut state = self.lock();
        let state = &mut *state;
        let [whole, skipping] = &mut state.playlists;
        let kept = if skip { skipping } else { whole };
        if kept.is_none() {
            *kept = playlist::media(&state.segments, skip).map(Bytes::from);
        }
        kept.clone()
    }

    /// What `look` finds in the segments now.
    #[must_use]
    pub fn find<T>(&self, look: impl Fn(&Segments) -> Option<T>) -> Option<T> {
        look(&self.lock().segments)
    }

    /// Waits until `look` finds something in the segments; nothing when the stream has ended.
    pub async fn until<T>(&self, look: impl Fn(&Segments) -> Option<T>) -> Option<T> {
        self.wait(|state| look(&state.segments)).await
    }

    /// Begins to make segments for a recording, from the next key picture on.
    pub(in crate::cameras) fn record(&self) {
        let mut state = self.lock();
        let mut recorded = Segments::to_record();
        recorded.handle_new_source(state.segments.sound_format().cloned());
        state.recorded = Some(recorded);
    }

    /// Waits for what follows in the recording; nothing when the stream has ended.
    pub(in crate::cameras) async fn recorded(&self, taken: (u64, usize)) -> Option<Piece> {
        self.wait(|state| state.recorded.as_ref().and_then(|it| it.recorded(taken))).await
    }

    /// Ends the recording; what was not taken of it.
    pub(in crate::cameras) fn end_recording(&self) -> Option<Segments> {
        let mut recorded = self.lock().recorded.take()?;
        recorded.handle_break();
        Some(recorded)
    }

    async fn wait<T>(&self, look: impl Fn(&State) -> Option<T>) -> Option<T> {
        let mut progress = self.progress.subscribe();
        loop {
            progress.borrow_and_update();
            {
                let state = self.lock();
                if let Some(found) = look(&state) {
                    return Some(found);
                }
                if state.is_closed {
                    return None;
                }
            }
            if progress.changed().await.is_err() {
                return None;
            }
        }
    }

    /// What it looks like, once there is a segment.
    #[must_use]
    pub fn look(&self) -> Option<Look> {
        self.lock().segments.look()
    }

    /// Waits until the camera has shown a key picture, or failed.
    pub async fn seen_or_failed(&self) {
        let mut progress = self.progress.subscribe();
        loop {
            progress.borrow_and_update();
            {
                let state = self.lock();
                let is_seen = state.is_seen && state.attempts.status() == StreamStatus::Running;
                if is_seen || state.is_closed || state.attempts.has_failed() {
                    return;
                }
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Waits until there is a segment; `false` when it ended or failed before.
    pub async fn ready(&self) -> bool {
        let mut progress = self.progress.subscribe();
        loop {
            progress.borrow_and_update();
            {
                let state = self.lock();
                if state.segments.look().is_some() {
                    return true;
                }
                if state.is_closed || state.attempts.has_failed() {
                    return false;
                }
            }
            if progress.changed().await.is_err() {
                return false;
            }
        }
    }

    /// Somebody wants it until then; `false` when it has ended.
    pub fn want(&self, until: Instant) -> bool {
        let mut state = self.lock();
        state.wanted_until = state.wanted_until.max(until);
        !state.is_closed
    }

    /// Until nobody has wanted it for a while.
    pub async fn unwanted(&self) {
        loop {
            let until = self.lock().wanted_until;
            tokio::time::sleep_until(until.into()).await;
            let mut state = self.lock();
            if state.wanted_until <= until {
                // Whoever wants it from now on gets another one.
                state.is_closed = true;
                return;
            }
        }
    }

    pub(super) fn renew(&self) {
        self.renewed.notify_one();
    }

    /// Until something about the camera was changed.
    pub(super) async fn renewed(&self) {
        self.renewed.notified().await;
    }

    /// It has ended for good: nobody waits for anything of it any more.
    pub fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.attempts.handle_stop();
        drop(state);
        self.proceed();
    }

    pub(super) fn handle_call(&self, now: Instant) {
        let mut state = self.lock();
        state.attempts.handle_call(now);
        state.called_at = now;
        state.is_seen = false;
    }

    /// The camera plays in these codecs. It announced these parameter sets, and its sound in this
    /// form if files can hold it.
    pub(super) fn handle_playing(
        &self,
        video: CameraCodec,
        audio: Option<CameraCodec>,
        (sets, sound): (Vec<Bytes>, Option<SoundFormat>),
    ) {
        let mut state = self.lock();
        state.video = Some(video);
        state.audio = audio;
        state.latency = None;
        state.pictures.handle_new_source(video, sets);
        if let Some(recorded) = &mut state.recorded {
            recorded.handle_new_source(sound.clone());
        }
        state.segments.handle_new_source(sound);
    }

    /// Pictures in H.264 come from somewhere else from the next packet on, which begins a key picture.
    /// What there is does not go on there.
    pub fn handle_other_pictures(&self) {
        let mut state = self.lock();
        self.breaks(&mut state);
        state.video = Some(CameraCodec::H264);
        state.pictures.handle_new_source(CameraCodec::H264, Vec::new());
        drop(state);
        self.proceed();
    }

    /// Sound in the same form comes from somewhere else from the next packet on.
    pub fn handle_other_sound(&self) {
        let mut state = self.lock();
        state.audio = Some(CameraCodec::Opus);
        state.segments.handle_new_source(Some(SoundFormat::Opus));
    }

    /// Why a session shows no picture of anybody from now on; nothing when it shows one.
    pub fn handle_unseen(&self, unseen: Option<Unseen>) {
        self.lock().unseen = unseen;
    }

    /// Why a session shows no picture of anybody now.
    #[must_use]
    pub fn unseen(&self) -> Option<Unseen> {
        self.lock().unseen
    }

    /// Nothing follows any more; what there is can be played for as long as somebody wants it.
    pub fn handle_end(&self) {
        let mut state = self.lock();
        state.segments.handle_end();
        state.playlists = [None, None];
        drop(state);
        self.proceed();
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.lock().segments.has_ended()
    }

    /// A packet of the camera's pictures.
    pub fn handle_video(&self, packet: VideoPacket, now: Instant, at: Timestamp) {
        let mut state = self.lock();
        let state = &mut *state;
        state.heard(packet.payload.len(), packet.lost, now);
        let arrived = now.saturating_duration_since(state.began).as_micros();
        let mut is_news = false;
        for picture in state.pictures.handle(packet, u64::try_from(arrived).unwrap_or(u64::MAX)) {
            state.attempts.handle_picture(now);
            state.statistics.handle_picture(picture.key, now, at);
            is_news |= picture.key && !state.is_seen;
            state.is_seen |= picture.key;
            let picture = Arc::new(picture);
            state.group.handle(&picture);
            // Nobody may listen.
            drop(self.heard.send(Heard::Picture(picture.clone())));
            if let Some(recorded) = &mut state.recorded {
                is_news |= recorded.handle(picture.clone(), at);
            }
            if state.segments.handle(picture, at) {
                is_news = true;
                state.playlists = [None, None];
            }
        }
        state.statistics.handle_times(state.pictures.timeline().times());
        if is_news {
            self.proceed();
        }
    }

    /// A packet of the camera's sound.
    pub fn handle_audio(&self, (ticks, payload): (i64, Bytes), lost: u64, now: Instant) {
        let mut state = self.lock();
        state.heard(payload.len(), lost, now);
        let arrived = now.saturating_duration_since(state.began).as_micros();
        if let Some(now) = state.pictures.now(u64::try_from(arrived).unwrap_or(u64::MAX)) {
            state.segments.handle_sound(ticks, &payload, lost, now);
            if let Some(recorded) = &mut state.recorded {
                recorded.handle_sound(ticks, &payload, lost, now);
            }
        }
        if let Some(codec) = state.audio {
            // Nobody may listen.
            drop(self.heard.send(Heard::Sound(Sound { codec, ticks, payload })));
        }
    }

    /// What comes next does not go on where this ended.
    pub(super) fn handle_break(&self) {
        let mut state = self.lock();
        self.breaks(&mut state);
        drop(state);
        self.proceed();
    }

    pub(super) fn handle_fault(&self, fault: StreamFault, now: Instant, drawn: u8) {
        let mut state = self.lock();
        state.attempts.handle_fault(fault, now, drawn);
        self.breaks(&mut state);
        drop(state);
        self.proceed();
    }

    pub(super) fn handle_timeout(&self, now: Instant) -> Option<Due> {
        self.lock().attempts.handle_timeout(now)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.lock().attempts.poll_timeout()
    }

    fn breaks(&self, state: &mut State) {
        state.segments.handle_break();
        if let Some(recorded) = &mut state.recorded {
            recorded.handle_break();
        }
        state.playlists = [None, None];
        state.group.handle_break();
        // Nobody may listen.
        drop(self.heard.send(Heard::Break));
    }

    fn proceed(&self) {
        self.progress.send_modify(|progress| *progress += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn heard(&mut self, bytes: usize, lost: u64, now: Instant) {
        self.attempts.handle_packet(now);
        self.statistics.handle_packet(bytes, lost, now);
        if self.latency.is_none() {
            self.latency = Some(now.saturating_duration_since(self.called_at));
        }
    }
}

/// What names of files begin with, which is another one each time, and the number of the first
/// segment: at most one is made in a second, so a later stream begins at a higher number.
fn names(wall: Timestamp) -> (String, u64) {
    let prefix = format!("{:08x}", rand::random::<u32>());
    (prefix, u64::try_from(wall.unix_s()).unwrap_or(0))
}
