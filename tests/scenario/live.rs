//! What viewers are shown: whose pictures, from when on, and when the card.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cabildo::domain::camera::Unseen;
use cabildo::domain::id::TrackId;
use cabildo::domain::media::Codec;
use cabildo::live::engine::taps::{TapChange, Taps, WAIT_FIRST, WAIT_MAX};
use cabildo::live::engine::{Chosen, KEY_PICTURE_MAX, SILENT_MAX, Shown, Stage};
use cabildo::sfu::tap::{TapBatch, TapItem, TapKind};

const VIDEO: u8 = 102;
const AUDIO: u8 = 111;
/// A key picture of one packet, and another picture.
const KEY: &[u8] = &[0x65, 0x88, 1];
const DELTA: &[u8] = &[0x41, 0x9A, 2];
const OPUS: &[u8] = &[0xFC, 1, 2, 3];
const STEP: Duration = Duration::from_millis(40);

/// A track as its tap tells it.
struct Track {
    id: TrackId,
    payload_type: u8,
    sequence: u16,
}

impl Track {
    fn new(payload_type: u8) -> Self {
        Self { id: TrackId::generate(), payload_type, sequence: 0 }
    }

    /// The tap begins: whatever comes before that of a codec is not known.
    fn begun(&self, codec: Codec) -> TapBatch {
        let kinds = [
            TapKind::Source { ssrc: 1, layer: 0 },
            TapKind::Codec { payload_type: self.payload_type, codec },
        ];
        self.batch(&kinds)
    }

    fn batch(&self, kinds: &[TapKind<'_>]) -> TapBatch {
        let item = |kind| TapItem { track: self.id, at_us: 1_000, kind };
        TapBatch::of(&kinds.iter().copied().map(item).collect::<Vec<_>>())
    }

    fn packet(&mut self, payload: &[u8]) -> TapBatch {
        self.sequence += 1;
        let mut bytes = vec![0x80, 0x80 | self.payload_type];
        bytes.extend(self.sequence.to_be_bytes());
        bytes.extend((u32::from(self.sequence) * 3_600).to_be_bytes());
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(payload);
        self.batch(&[TapKind::Packet { bytes: &bytes, key_frame_start: false }])
    }
}

/// A stage in virtual time, and what was shown, in short: `P` and the first byte of a packet of
/// pictures, `A` of sound, `/` and `|` where they come from somewhere else.
struct Viewers {
    stage: Stage,
    now: Instant,
}

impl Viewers {
    fn of(chosen: Chosen) -> Self {
        let now = Instant::now();
        Self { stage: Stage::new(chosen, now), now }
    }

    fn choose(&mut self, sound: Option<&Track>, pictures: Option<(&Track, Codec)>) {
        let pictures = pictures.map(|(track, codec)| (track.id, codec));
        self.stage.handle_chosen(chosen(sound, pictures), self.now);
    }

    fn tell(&mut self, batch: &TapBatch) {
        self.stage.handle_batch(batch, self.now);
    }

    /// Lets time go by.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.stage.poll_timeout() <= end {
            self.now = self.stage.poll_timeout().max(self.now);
            self.stage.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn shown(&mut self) -> Vec<Shown> {
        self.stage.poll()
    }

    /// What was shown without the card's pictures.
    fn told(&mut self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for shown in self.shown() {
            told.push(match shown {
                Shown::OtherPictures => "/".to_owned(),
                Shown::OtherSound => "|".to_owned(),
                Shown::Unseen(None) => "seen".to_owned(),
                Shown::Unseen(Some(cause)) => cause.as_str().to_owned(),
                Shown::Pictures(packet) if packet.payload.len() == 3 => {
                    format!("P{:x}", packet.payload[0])
                }
                Shown::Pictures(_) => "card".to_owned(),
                Shown::Sound { .. } => "A".to_owned(),
            });
        }
        told.dedup();
        told
    }
}

fn chosen(sound: Option<&Track>, pictures: Option<(TrackId, Codec)>) -> Chosen {
    Chosen { sound: sound.map(|track| track.id), pictures }
}

#[test]
fn whoever_has_the_floor_is_shown_from_a_key_picture_on() {
    let (mut ana, mut voice) = (Track::new(VIDEO), Track::new(AUDIO));
    let mut viewers = Viewers::of(chosen(Some(&voice), Some((ana.id, Codec::H264))));
    assert_eq!(viewers.stage.taps().len(), 2);
    viewers.tell(&ana.begun(Codec::H264));
    viewers.tell(&voice.begun(Codec::Opus));
    let (delta, sound) = (ana.packet(DELTA), voice.packet(OPUS));
    viewers.tell(&delta);
    viewers.tell(&sound);
    assert_eq!(viewers.told(), ["A"], "pictures begin with a key picture");
    let (key, delta) = (ana.packet(KEY), ana.packet(DELTA));
    viewers.tell(&key);
    viewers.tell(&delta);
    assert_eq!(viewers.told(), ["/", "P65", "P41"]);

    // Berta takes the floor: Ana is seen until there is a key picture of Berta.
    let (mut berta, hers) = (Track::new(VIDEO), Track::new(AUDIO));
    viewers.choose(Some(&hers), Some((&berta, Codec::H264)));
    assert_eq!(viewers.stage.taps().len(), 3);
    viewers.tell(&berta.begun(Codec::H264));
    let (old, early, late) = (ana.packet(DELTA), berta.packet(DELTA), voice.packet(OPUS));
    for batch in [&old, &early, &late] {
        viewers.tell(batch);
    }
    assert_eq!(viewers.told(), ["|", "P41"], "Ana's sound has ended");
    let (key, old) = (berta.packet(KEY), ana.packet(DELTA));
    viewers.tell(&key);
    viewers.tell(&old);
    assert_eq!(viewers.told(), ["/", "P65"], "Ana is seen beside Berta");
    assert!(!viewers.stage.taps().contains(&ana.id));
}

#[test]
fn who_is_muted_is_not_seen_any_more_and_comes_back_with_a_key_picture() {
    let mut ana = Track::new(VIDEO);
    let mut viewers = Viewers::of(chosen(None, Some((ana.id, Codec::H264))));
    viewers.tell(&ana.begun(Codec::H264));
    let key = ana.packet(KEY);
    viewers.tell(&key);
    assert_eq!(viewers.told(), ["/", "P65"]);
    viewers.tell(&ana.batch(&[TapKind::GateClosed]));
    assert_eq!(viewers.told(), ["pictures_stopped", "/", "card"], "at once");
    viewers.wait(Duration::from_secs(2));
    assert_eq!(viewers.told(), ["card"]);
    viewers.tell(&ana.batch(&[TapKind::GateOpened]));
    let delta = ana.packet(DELTA);
    viewers.tell(&delta);
    assert!(!viewers.told().contains(&"P41".to_owned()), "half a picture");
    let key = ana.packet(KEY);
    viewers.tell(&key);
    assert_eq!(viewers.told(), ["seen", "/", "P65"]);

    // Her track ends, as she is sent out.
    viewers.tell(&ana.batch(&[TapKind::Ended]));
    viewers.choose(None, None);
    assert_eq!(viewers.told(), ["pictures_stopped", "/", "card", "nobody"]);
    assert_eq!(viewers.stage.taps().len(), 0);
}

#[test]
fn nobody_waits_long_for_a_picture_and_silence_is_the_card() {
    let mut ana = Track::new(VIDEO);
    let mut viewers = Viewers::of(chosen(None, Some((ana.id, Codec::H264))));
    viewers.wait(KEY_PICTURE_MAX.saturating_sub(STEP));
    assert!(viewers.told().is_empty());
    viewers.wait(STEP);
    assert_eq!(viewers.told(), ["pictures_stopped", "/", "card"]);
    viewers.tell(&ana.begun(Codec::H264));
    let key = ana.packet(KEY);
    viewers.tell(&key);
    assert_eq!(viewers.told(), ["seen", "/", "P65"]);
    viewers.wait(SILENT_MAX.saturating_sub(STEP));
    let delta = ana.packet(DELTA);
    viewers.tell(&delta);
    assert_eq!(viewers.told(), ["P41"], "a screen that stands still is sent rarely");
    // The next one is waited for no longer than for a first picture, when nothing comes of Ana.
    viewers.choose(None, Some((&Track::new(VIDEO), Codec::H264)));
    viewers.wait(KEY_PICTURE_MAX);
    assert_eq!(viewers.told(), ["pictures_stopped", "/", "card"]);
}

#[test]
fn a_codec_that_files_do_not_hold_is_the_card_with_the_cause_and_sound_goes_on() {
    let (mut ana, mut voice) = (Track::new(VIDEO), Track::new(AUDIO));
    let mut viewers = Viewers::of(chosen(Some(&voice), Some((ana.id, Codec::Vp8))));
    viewers.wait(Duration::ZERO);
    assert_eq!(viewers.told(), [Unseen::CodecUnsupported.as_str(), "/", "card"], "at once");
    assert_eq!(viewers.stage.taps().len(), 1, "pictures of no use are not tapped");
    viewers.tell(&voice.begun(Codec::Opus));
    let sound = voice.packet(OPUS);
    viewers.tell(&sound);
    assert_eq!(viewers.told(), ["A"]);
    // The first packets show that it is another codec after all.
    viewers.choose(Some(&voice), Some((&ana, Codec::H264)));
    viewers.tell(&ana.begun(Codec::H264));
    let key = ana.packet(KEY);
    viewers.tell(&key);
    assert_eq!(viewers.told(), ["pictures_stopped", "seen", "/", "P65"]);
    viewers.choose(Some(&voice), Some((&Track::new(VIDEO), Codec::Av1)));
    assert_eq!(viewers.told(), ["codec_unsupported", "/", "card"], "Ana is seen for somebody else");
}

#[test]
fn the_card_keeps_the_time() {
    let mut viewers = Viewers::of(Chosen::default());
    viewers.wait(Duration::from_secs(10));
    let pictures = viewers.shown().into_iter().filter_map(|shown| match shown {
        Shown::Pictures(packet) if packet.marker => Some(packet.ticks),
        _ => None,
    });
    let ticks: Vec<i64> = pictures.collect();
    assert_eq!((ticks.len(), ticks[100]), (101, 900_000));
}

#[test]
fn a_tap_that_the_media_plane_refuses_is_tried_again_after_growing_waits() {
    let (ana, voice) = (Track::new(VIDEO), Track::new(AUDIO));
    let both = BTreeSet::from([ana.id, voice.id]);
    let (mut taps, mut now) = (Taps::default(), Instant::now());
    let mut begun = taps.handle_wanted(&both, now);
    begun.sort_by_key(|change| *change == TapChange::Tap(voice.id));
    assert_eq!(begun, [TapChange::Tap(ana.id), TapChange::Tap(voice.id)]);
    assert_eq!((taps.handle_wanted(&both, now).len(), taps.poll_timeout()), (0, None));

    // There is no place for her pictures; her sound is not touched by that.
    taps.handle_batch(&voice.begun(Codec::Opus), 0, now);
    let mut waits = Vec::new();
    for _ in 0..8 {
        taps.handle_batch(&ana.batch(&[TapKind::Ended]), 0, now);
        // A second word of the same refusal does not put it off.
        taps.handle_refused(ana.id, 0, now);
        let due = taps.poll_timeout().expect("it is tried again");
        let early = due.checked_sub(Duration::from_millis(1)).expect("after the beginning");
        assert_eq!(taps.handle_wanted(&both, early), [], "not sooner");
        waits.push(due - now);
        now = due;
        assert_eq!(taps.handle_wanted(&both, now), [TapChange::Tap(ana.id)]);
        assert_eq!(taps.poll_timeout(), None);
    }
    assert_eq!(waits[..3], [WAIT_FIRST, WAIT_FIRST * 2, WAIT_FIRST * 4]);
    assert_eq!(waits[6..], [WAIT_MAX; 2]);

    // Once it has told something, a later refusal counts as the first one.
    taps.handle_batch(&ana.begun(Codec::H264), 0, now);
    taps.handle_batch(&ana.batch(&[TapKind::Ended]), 0, now);
    assert_eq!(taps.poll_timeout(), Some(now + WAIT_FIRST));
    // Whoever is not chosen any more is not tried again, and has no tap to end.
    let rest = BTreeSet::from([voice.id]);
    assert_eq!((taps.handle_wanted(&rest, now), taps.poll_timeout()), (Vec::new(), None));
    taps.handle_batch(&ana.batch(&[TapKind::Ended]), 0, now);
    assert_eq!(taps.poll_timeout(), None, "the end of a tap that nobody wants");
    assert_eq!(taps.handle_wanted(&BTreeSet::new(), now), [TapChange::Untap(voice.id)]);
}
