//! Streams of sessions that are watched: from the first viewer to the last, or to the end of the
//! session, with taps that have no media plane.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::cameras::engine::segments::Segments;
use cabildo::cameras::{CameraError, Stream, WatchedSessions as _};
use cabildo::clock::Clock;
use cabildo::domain::camera::Unseen;
use cabildo::domain::id::{AssemblyId, SessionId, SessionKey, TenantId, TrackId, UserId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::session::{Modality, Session, SessionStatus};
use cabildo::domain::store_error::StoreError;
use cabildo::domain::time::Timestamp;
use cabildo::live::ports::KnownSessions;
use cabildo::live::{Live, LiveOptions, LiveParts, STREAMS_MAX};
use cabildo::room::engine::Featured;
use cabildo::room::ports::{RoomTrack, TrackListener as _};
use cabildo::sessions::{NewSession, SessionObserver as _};
use cabildo::sfu::tap::{TapBatch, TapItem, TapKind, TapSink};
use cabildo::sfu::{SessionTaps, SfuError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// Short, as these stories take the time that they tell of, and longer than a busy machine keeps a
/// viewer or the making of all streams waiting.
const LINGER: Duration = Duration::from_secs(4);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest that something which is to happen may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// A second of H.264 at ten pictures a second.
const FILM: &[u8] = include_bytes!("../../src/live/engine/card.h264");

/// The taps of a media plane that has none, and how many it refuses before that.
#[derive(Default)]
struct Tapped(Mutex<BTreeMap<TrackId, TapSink>>, Mutex<usize>);

impl Tapped {
    fn sink(&self, track: TrackId) -> Option<TapSink> {
        self.0.lock().expect("not poisoned").get(&track).cloned()
    }
}

#[async_trait]
impl SessionTaps for Tapped {
    async fn tap(&self, _: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        let left = {
            let mut refusals = self.1.lock().expect("not poisoned");
            let left = *refusals;
            *refusals = left.saturating_sub(1);
            left
        };
        if left > 1 {
            return Err(SfuError::Stopped);
        }
        if left == 1 {
            // A worker refuses later than the media plane answers.
            let ended = TapItem { track, at_us: 1_000, kind: TapKind::Ended };
            sink.offer(TapBatch::of(&[ended])).expect("there is room");
            return Ok(());
        }
        self.0.lock().expect("not poisoned").insert(track, sink);
        Ok(())
    }

    async fn untap(&self, _: SessionKey, track: TrackId, _: TapSink) -> Result<(), SfuError> {
        self.0.lock().expect("not poisoned").remove(&track);
        Ok(())
    }
}

#[derive(Default)]
struct Stored(Mutex<BTreeMap<SessionKey, Session>>);

#[async_trait]
impl KnownSessions for Stored {
    async fn known(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        Ok(self.0.lock().expect("not poisoned").get(&key).cloned())
    }
}

struct World {
    live: Live,
    taps: Arc<Tapped>,
    stored: Arc<Stored>,
    tenant: TenantId,
}

impl World {
    fn new() -> Self {
        let (taps, stored) = (Arc::<Tapped>::default(), Arc::<Stored>::default());
        let began = Instant::now();
        let clock = Clock::from_fn(move || {
            Timestamp::from_unix_us(1_800_000_000_000_000).after(began.elapsed())
        });
        let parts =
            LiveParts { taps: taps.clone(), sessions: stored.clone(), captions: None, clock };
        let live = Live::new(LiveOptions { linger: LINGER, look_every: LOOK_EVERY }, parts);
        Self { live, taps, stored, tenant: TenantId::generate() }
    }

    /// An active session that may be watched.
    fn session(&self) -> Session {
        let title = "Ordinary assembly";
        let new = NewSession::new(self.tenant, AssemblyId::generate(), title, Modality::Virtual);
        let session = Session {
            id: SessionId::generate(),
            status: SessionStatus::Active,
            live_viewing: true,
            ..of(&new)
        };
        self.store(&session);
        session
    }

    fn store(&self, session: &Session) {
        let mut stored = self.stored.0.lock().expect("not poisoned");
        stored.insert(session.key(), session.clone());
    }

    async fn want(&self, session: &Session) -> Arc<Stream> {
        self.live.want(session.key()).await.expect("it may be watched")
    }

    /// Somebody who watches a session until what is returned is dropped.
    fn viewer(&self, session: &Session) -> JoinSet<()> {
        let (live, key) = (self.live.clone(), session.key());
        let mut viewer = JoinSet::new();
        viewer.spawn(async move {
            while live.want(key).await.is_ok() {
                sleep(LINGER / 8).await;
            }
        });
        viewer
    }

    async fn publish(&self, key: SessionKey, track: TrackId, codec: Codec) {
        let user: UserId = "ana".parse().expect("an id");
        let (name, source) = ("Ana".to_owned(), TrackSource::Camera);
        let published = RoomTrack { track, user, name, source, codec, language: None };
        self.live.track_published(key, published).await;
    }
}

/// The session that is made of what was asked for.
fn of(new: &NewSession) -> Session {
    use cabildo::domain::quorum::AttendanceRules;
    use cabildo::domain::session::{
        ModerationMode, Provider, RecordingPolicy, SpeakingPolicy, TranscriptionPolicy,
    };
    Session {
        id: SessionId::generate(),
        tenant_id: new.tenant_id,
        assembly_id: new.assembly_id,
        title: new.title.clone(),
        modality: new.modality,
        provider: Provider::Webrtc,
        meeting_url: None,
        status: SessionStatus::Scheduled,
        scheduled_start_at: None,
        scheduled_end_at: None,
        started_at: None,
        ended_at: None,
        max_participants: 10,
        moderation: ModerationMode::Moderated,
        media_policy: None,
        start_with_assembly: false,
        live_viewing: false,
        recording: RecordingPolicy { enabled: false, retention_days: 1 },
        transcription: TranscriptionPolicy { enabled: false, language: None, glossary: Vec::new() },
        speaking: SpeakingPolicy {
            default_turn_s: 60,
            max_turn_s: 60,
            auto_start: false,
            points_of_order_pass_closed_list: true,
        },
        attendance: AttendanceRules::default(),
        version: 1,
        created_at: Timestamp::from_unix_us(0),
    }
}

fn text(stream: &Stream) -> String {
    let playlist = stream.playlist(false).expect("there are segments");
    String::from_utf8(playlist.to_vec()).expect("text")
}

async fn has_segments(stream: &Stream, count: usize) {
    let found = stream.until(|it: &Segments| (it.listed().count() >= count).then_some(())).await;
    assert_eq!(found, Some(()), "the stream has ended");
}

/// Waits until something is so, and fails after a while.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let holds = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("{what}"));
}

/// The units of a byte stream of H.264.
fn units() -> Vec<Vec<u8>> {
    let mut units = vec![Vec::new()];
    let mut rest = FILM;
    while let Some((first, after)) = rest.split_first() {
        if rest.starts_with(&[0, 0, 0, 1]) || rest.starts_with(&[0, 0, 1]) {
            rest = &rest[if rest[2] == 0 { 4 } else { 3 }..];
            units.push(Vec::new());
        } else {
            units.last_mut().expect("there is one").push(*first);
            rest = after;
        }
    }
    units.split_off(1)
}

/// Sends so many pictures of the film to the tap of a track, ten a second.
async fn send(sink: &TapSink, track: TrackId, pictures: u32) {
    let units = units();
    let (mut sequence, mut sent) = (0_u16, 0_u32);
    let codec = TapKind::Codec { payload_type: 102, codec: Codec::H264 };
    let offer = |kinds: &[TapKind<'_>]| {
        let item = |kind| TapItem { track, at_us: 1_000, kind };
        let items: Vec<TapItem<'_>> = kinds.iter().copied().map(item).collect();
        sink.offer(TapBatch::of(&items)).expect("there is room");
    };
    offer(&[TapKind::Source { ssrc: 7, layer: 0 }, codec]);
    while sent < pictures {
        for unit in &units {
            let is_picture = matches!(unit[0] & 0x1F, 1 | 5);
            let mut bytes = vec![0x80, if is_picture { 0xE6 } else { 0x66 }];
            bytes.extend(sequence.to_be_bytes());
            bytes.extend((sent * 9_000).to_be_bytes());
            bytes.extend([0, 0, 0, 7]);
            bytes.extend(unit);
            offer(&[TapKind::Packet { bytes: &bytes, key_frame_start: false }]);
            sequence += 1;
            if is_picture {
                sent += 1;
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

#[tokio::test]
async fn a_stream_shows_the_card_until_somebody_is_seen_and_plays_to_the_end_of_the_session() {
    let world = World::new();
    let session = world.session();
    let stream = world.want(&session).await;
    let _viewer = world.viewer(&session);
    has_segments(&stream, 1).await;
    assert_eq!(stream.unseen(), Some(Unseen::Nobody));
    let look = stream.look().expect("there are segments");
    assert_eq!((look.size, look.codecs.ends_with(",opus")), ((640, 360), true));
    let first = text(&stream);
    assert!(
        first.contains("#EXT-X-TARGETDURATION:4\n") && first.contains("PART-TARGET"),
        "{first}"
    );

    let (key, track) = (session.key(), TrackId::generate());
    world.live.featured(key, Featured { audio: None, video: Some(track) }).await;
    world.publish(key, track, Codec::H264).await;
    until("her track is not tapped", || world.taps.sink(track).is_some()).await;
    send(&world.taps.sink(track).expect("tapped"), track, 30).await;
    until("nobody is seen", || stream.unseen().is_none()).await;
    let is_shown = |text: &str| text.matches("#EXT-X-DISCONTINUITY\n").count() == 1;
    until("she is not listed", || is_shown(&text(&stream))).await;
    assert!(!text(&stream).contains("ENDLIST"));

    // She is sent out: nobody is tapped any more.
    world.live.track_unpublished(key, track).await;
    until("her track is tapped", || world.taps.sink(track).is_none()).await;
    until("she is seen", || stream.unseen() == Some(Unseen::Nobody)).await;

    let over = Session { status: SessionStatus::Completed, ..session.clone() };
    world.store(&over);
    world.live.session_ended(&over).await.expect("told");
    let ended = stream.until(|it: &Segments| it.has_ended().then_some(())).await;
    assert_eq!(ended, Some(()));
    let last = text(&stream);
    assert!(last.ends_with("#EXT-X-ENDLIST\n") && !last.contains("PRELOAD-HINT"), "{last}");
    // Whoever is behind plays it to its end, and then there is none.
    assert!(Arc::ptr_eq(&world.want(&session).await, &stream));
    until("it goes on", || stream.is_closed()).await;
    assert_eq!(world.live.want(key).await.err(), Some(CameraError::WatchedOver));
    world.live.shutdown().await;
}

#[tokio::test]
async fn whoever_could_not_be_tapped_at_first_is_seen_all_the_same() {
    let world = World::new();
    let session = world.session();
    let (key, track) = (session.key(), TrackId::generate());
    *world.taps.1.lock().expect("not poisoned") = 2;
    world.live.featured(key, Featured { audio: None, video: Some(track) }).await;
    world.publish(key, track, Codec::H264).await;
    let stream = world.want(&session).await;
    let _viewer = world.viewer(&session);
    until("it is not tried again", || world.taps.sink(track).is_some()).await;
    let sink = world.taps.sink(track).expect("tapped");
    let mut sending = JoinSet::new();
    sending.spawn(async move { send(&sink, track, 200).await });
    let is_seen = || stream.unseen().is_none() && stream.look().is_some();
    until("nobody is seen", is_seen).await;
    world.live.shutdown().await;
}

#[tokio::test]
async fn nothing_is_made_while_nobody_watches() {
    let world = World::new();
    let session = world.session();
    let (key, track) = (session.key(), TrackId::generate());
    world.live.featured(key, Featured { audio: Some(track), video: None }).await;
    world.publish(key, track, Codec::Opus).await;
    assert!(world.taps.sink(track).is_none(), "a session is tapped that nobody watches");
    let stream = world.want(&session).await;
    let wanted_at = Instant::now();
    until("its sound is not tapped", || world.taps.sink(track).is_some()).await;
    assert!(Arc::ptr_eq(&world.want(&session).await, &stream), "one stream for all");
    until("it goes on for nobody", || stream.is_closed()).await;
    assert!(wanted_at.elapsed() >= LINGER, "it ended while somebody watched");
    assert!(world.taps.sink(track).is_none());
    let next = world.want(&session).await;
    assert!(!Arc::ptr_eq(&next, &stream));
    world.live.shutdown().await;
    assert!(next.is_closed());
    assert_eq!(world.live.want(key).await.err(), Some(CameraError::Stopping));
}

#[tokio::test]
async fn only_what_may_be_watched_is() {
    let world = World::new();
    let session = world.session();
    let stream = world.want(&session).await;
    let stranger = SessionKey::new(TenantId::generate(), session.id);
    assert_eq!(world.live.check(stranger).await, Err(CameraError::WatchedNotFound));
    assert_eq!(world.live.want(stranger).await.err(), Some(CameraError::WatchedNotFound));
    let scheduled = Session { status: SessionStatus::Scheduled, ..world.session() };
    world.store(&scheduled);
    assert_eq!(world.live.check(scheduled.key()).await, Ok(()), "tokens are handed out before");
    assert_eq!(world.live.want(scheduled.key()).await.err(), Some(CameraError::WatchedNotBegun));

    // Another instance switches it off: that is found out soon.
    let off = Session { live_viewing: false, ..session.clone() };
    world.store(&off);
    let ended = stream.until(|it: &Segments| it.has_ended().then_some(()));
    assert_eq!(timeout(PATIENCE, ended).await, Ok(Some(())));
    assert_eq!(world.live.check(session.key()).await, Err(CameraError::WatchingOff));

    // Switched on again after the end, it is another stream; this room tells that it is off.
    world.store(&session);
    until("it goes on", || stream.is_closed()).await;
    let again = world.want(&session).await;
    world.live.session_told(&off).await;
    until("it is watched all the same", || again.has_ended()).await;
    world.live.shutdown().await;
}

#[tokio::test]
async fn there_are_only_so_many_streams_and_one_that_ends_leaves_its_place() {
    let world = World::new();
    let first = world.want(&world.session()).await;
    for _ in 1..STREAMS_MAX {
        world.want(&world.session()).await;
    }
    let other = world.session();
    let full = world.live.want(other.key()).await.err();
    assert_eq!(full, Some(CameraError::StreamLimit(STREAMS_MAX)));
    until("it goes on for nobody", || first.is_closed()).await;
    until("there is no place", || matches!(now_or_never(&world, &other), Some(Ok(_)))).await;
    world.live.shutdown().await;
}

/// What is answered at once.
fn now_or_never(world: &World, session: &Session) -> Option<Result<Arc<Stream>, CameraError>> {
    use futures_util::FutureExt as _;
    world.live.want(session.key()).now_or_never()
}
