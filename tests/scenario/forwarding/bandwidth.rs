//! Stories of receivers behind narrow paths: which layers they get, who is left out, and that sound
//! always goes.

use std::time::Duration;

use cabildo::domain::id::TrackId;
use cabildo::domain::media::MediaKind;
use cabildo::sfu::congestion::Limits;
use cabildo::sfu::plane::{Command, Demand, EncodingSpec, MediaEvent, Priority, SubscriptionId};
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_shared::marshal::Marshal;

use super::peers::{Bottleneck, Fixture, Stream, publication, subscription};

const RECEIVER: u64 = 2;
/// What each layer of a camera sends, in kbit/s.
const LAYERS_KBPS: [usize; 3] = [150, 500, 1_500];
const FRAME_MS: u64 = 33;
const KBPS: u64 = 1_000;

/// A camera with three layers, sending key frames when they are asked for.
struct Camera {
    peer: u64,
    track: TrackId,
    layers: Vec<Stream>,
    asked: usize,
}

impl Camera {
    fn joined(fixture: &mut Fixture, peer: u64, number: u32) -> Self {
        fixture.join(peer);
        let mut spec = publication(fixture, peer, MediaKind::Video, "v");
        let ssrc = |layer: u32| u32::try_from(peer).expect("small") * 100 + layer;
        spec.encodings = (0..3)
            .map(|layer| EncodingSpec {
                rid: Some(layer.to_string()),
                ssrc: Some(ssrc(layer)),
                rtx_ssrc: None,
            })
            .collect();
        fixture.command(Command::AddPublication(spec.clone()));
        fixture.command(Command::AddSubscription(subscription(RECEIVER, number, &spec)));
        let layers = (0..3).map(|layer| Stream::new(ssrc(layer), 96, "v")).collect();
        Self { peer, track: spec.track, layers, asked: 0 }
    }

    /// Sends one picture of each layer.
    fn show(&mut self, fixture: &mut Fixture) {
        let plis = fixture.peer(self.peer).plis.clone();
        let asked: Vec<u32> = plis[self.asked..].iter().map(|(ssrc, _)| *ssrc).collect();
        self.asked = plis.len();
        for (layer, kbps) in self.layers.iter_mut().zip(LAYERS_KBPS) {
            layer.timestamp = layer.timestamp.wrapping_add(2970);
            let is_key = asked.contains(&layer.ssrc);
            let frame_ms = usize::try_from(FRAME_MS).expect("small");
            let mut left = kbps * frame_ms / 8 * if is_key { 3 } else { 1 };
            let mut first = true;
            while left > 0 {
                let bytes = left.min(1_100);
                left -= bytes;
                let payload = layer.vp8_payload(is_key && first, &"x".repeat(bytes));
                fixture.send(self.peer, layer, &payload, left == 0);
                first = false;
            }
        }
    }
}

struct Scene {
    fixture: Fixture,
    cameras: Vec<Camera>,
    sound: Option<Stream>,
    left_out: Vec<TrackId>,
    /// How often the receiver was told of pictures that are left out.
    told: usize,
    /// What publishers were told about layers that nobody wants.
    unseen: Vec<(TrackId, Vec<String>)>,
}

impl Scene {
    fn new(cameras: u32, capacity_kbps: u64) -> Self {
        let mut fixture = Fixture::new();
        fixture.join(RECEIVER);
        fixture.bottlenecks.insert(RECEIVER, Bottleneck::new(capacity_kbps * KBPS));
        let cameras = (0..cameras)
            .map(|number| Camera::joined(&mut fixture, 10 + u64::from(number), 1 + number))
            .collect();
        Self { fixture, cameras, sound: None, left_out: Vec::new(), told: 0, unseen: Vec::new() }
    }

    fn with_sound(mut self) -> Self {
        self.fixture.join(9);
        let spec = publication(&self.fixture, 9, MediaKind::Audio, "a");
        self.fixture.command(Command::AddPublication(spec.clone()));
        self.fixture.command(Command::AddSubscription(subscription(RECEIVER, 50, &spec)));
        self.sound = Some(Stream::new(900, 111, "a"));
        self
    }

    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds * 1_000 / FRAME_MS {
            for camera in &mut self.cameras {
                camera.show(&mut self.fixture);
            }
            if let Some(sound) = &mut self.sound {
                sound.timestamp = sound.timestamp.wrapping_add(1584);
                self.fixture.send(9, sound, &[7; 120], false);
            }
            self.fixture.pass(FRAME_MS);
            while let Some(event) = self.fixture.forwarder.poll_event() {
                match event {
                    MediaEvent::LeftOut { tracks, .. } => {
                        self.left_out = tracks;
                        self.told += 1;
                    }
                    MediaEvent::Unseen { track, rids, .. } => self.unseen.push((track, rids)),
                    _ => {}
                }
            }
        }
        self.fixture.take_rtp(RECEIVER);
    }

    fn capacity(&mut self, kbps: u64) {
        self.path().capacity_bps = kbps * KBPS;
    }

    fn path(&mut self) -> &mut Bottleneck {
        self.fixture.bottlenecks.get_mut(&RECEIVER).expect("it has one")
    }

    fn layer(&self, number: u64) -> Option<u8> {
        let stats = self.fixture.forwarder.stats();
        let found = stats.subscriptions.iter().find(|(id, _)| *id == SubscriptionId(number));
        found.and_then(|(_, stats)| stats.layer)
    }

    /// Whether the receiver gets the best layer within 40 s.
    fn rises(&mut self) -> bool {
        (0..40).any(|_| {
            self.pass(1);
            self.layer(1) == Some(2)
        })
    }

    fn switches(&self) -> u64 {
        self.fixture.forwarder.totals().switches
    }
}

#[test]
fn the_layer_that_fits_is_sent_and_stays() {
    for (kbps, layer) in [(300, 0), (900, 1), (4_000, 2)] {
        let mut scene = Scene::new(1, kbps).with_sound();
        scene.pass(15);
        assert_eq!(scene.layer(1), Some(layer), "{kbps} kbit/s");
        let switches = scene.switches();
        scene.path().waited_us_max = 0;
        scene.pass(30);
        assert_eq!(scene.layer(1), Some(layer), "{kbps} kbit/s");
        let switched = scene.switches() - switches;
        assert!(switched <= 2, "{kbps} kbit/s: {switched} switches in half a minute");
        let waited_us = scene.path().waited_us_max;
        assert!(waited_us < 150_000, "{kbps} kbit/s: {waited_us}");
        assert_eq!(scene.left_out, []);
    }
}

#[test]
fn on_a_wide_path_the_best_layer_comes_within_two_seconds() {
    let mut scene = Scene::new(1, 10_000).with_sound();
    scene.pass(2);
    assert_eq!(scene.layer(1), Some(2));
}

#[test]
fn a_path_that_narrows_gets_less_at_once_and_more_again_within_seconds() {
    let mut scene = Scene::new(1, 4_000).with_sound();
    scene.pass(10);
    assert_eq!(scene.layer(1), Some(2));
    scene.capacity(400);
    scene.pass(3);
    assert_eq!(scene.layer(1), Some(0));
    scene.capacity(4_000);
    scene.pass(12);
    assert_eq!(scene.layer(1), Some(2));
}

#[test]
fn whoever_has_the_floor_is_seen_best_and_the_least_important_are_left_out_first() {
    let mut scene = Scene::new(6, 1_000).with_sound();
    let floor = scene.cameras[4].track;
    scene.fixture.command(Command::SetPriority { track: floor, priority: Priority::Floor });
    scene.pass(25);
    assert_eq!(scene.layer(5), Some(0));
    let out = scene.left_out.clone();
    assert!(!out.is_empty() && !out.contains(&floor), "{out:?}");
    let seen = scene.cameras.len() - out.len();
    assert!((2..=5).contains(&seen), "{seen} are seen of a megabit");
    // The floor goes to somebody who is left out.
    let next = scene.cameras.iter().position(|it| out.contains(&it.track)).expect("one");
    let track = scene.cameras[next].track;
    scene.fixture.command(Command::SetPriority { track: floor, priority: Priority::Rest });
    scene.fixture.command(Command::SetPriority { track, priority: Priority::Floor });
    scene.pass(3);
    let number = u64::try_from(next).expect("small") + 1;
    assert_eq!(scene.layer(number), Some(0));
    assert!(!scene.left_out.contains(&track));
}

#[test]
fn when_nothing_fits_sound_goes_on_alone_and_pictures_come_back_by_themselves() {
    let mut scene = Scene::new(1, 2_500).with_sound();
    scene.pass(8);
    scene.capacity(110);
    scene.pass(10);
    assert_eq!(scene.left_out, [scene.cameras[0].track]);
    assert_eq!(scene.layer(1), None);
    let before = scene.fixture.forwarder.stats();
    scene.path().waited_us_max = 0;
    scene.pass(10);
    let sound = |stats: &cabildo::sfu::engine::Stats| {
        let found = stats.subscriptions.iter().find(|(id, _)| *id == SubscriptionId(50));
        found.map_or(0, |(_, stats)| stats.packets_out)
    };
    let heard = sound(&scene.fixture.forwarder.stats()) - sound(&before);
    assert_eq!(heard, 10_000 / FRAME_MS, "every packet of sound is sent");
    let waited_us = scene.path().waited_us_max;
    assert!(waited_us < 150_000, "{waited_us}");
    scene.capacity(2_500);
    scene.pass(40);
    assert_eq!(scene.left_out, []);
    assert!(scene.layer(1).is_some());
    assert!(scene.told <= 4, "told {} times", scene.told);
}

#[test]
fn probes_are_sent_only_while_more_is_wanted() {
    let mut scene = Scene::new(1, 10_000).with_sound();
    scene.pass(10);
    assert_eq!(scene.layer(1), Some(2));
    let padding = scene.fixture.forwarder.totals().padding_sent;
    assert!(padding > 0, "room was shown before the best layer was sent");
    scene.pass(30);
    assert_eq!(scene.fixture.forwarder.totals().padding_sent, padding);
}

#[test]
fn a_receiver_that_tells_nothing_gets_what_it_asked_for() {
    let mut scene = Scene::new(1, 10_000);
    scene.fixture.bottlenecks.clear();
    scene.pass(8);
    assert_eq!(scene.layer(1), Some(2));
    assert_eq!(scene.left_out, []);
}

#[test]
fn a_receiver_that_only_tells_its_own_estimate_is_believed() {
    let mut scene = Scene::new(1, 10_000);
    scene.fixture.bottlenecks.clear();
    scene.pass(5);
    let told = |bitrate: f32| {
        let estimate = ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate, ssrcs: vec![1] };
        estimate.marshal().expect("fits").to_vec()
    };
    scene.fixture.send_rtcp(RECEIVER, &told(700_000.0));
    scene.pass(4);
    assert_eq!(scene.layer(1), Some(1));
    scene.fixture.send_rtcp(RECEIVER, &told(f32::MAX));
    scene.pass(4);
    assert_eq!(scene.layer(1), Some(2));
}

#[test]
fn feedback_that_lies_is_counted_and_floods_are_left_out() {
    let mut scene = Scene::new(1, 10_000).with_sound();
    scene.pass(5);
    let before = *scene.fixture.forwarder.totals();
    // Of packets that will be sent in a while.
    let mut lie = vec![0x8F, 205, 0, 6, 0, 0, 0, 1, 0, 0, 0, 1];
    lie.extend_from_slice(&20_000_u16.to_be_bytes());
    lie.extend_from_slice(&[0, 4, 0, 0, 9, 0, 0x20, 4, 1, 1, 1, 1, 0, 0]);
    for _ in 0..5_000 {
        scene.fixture.send_rtcp(RECEIVER, &lie);
    }
    let cut = [0x8F, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 9];
    scene.fixture.send_rtcp(RECEIVER, &cut);
    let totals = *scene.fixture.forwarder.totals();
    assert_eq!(totals.feedback_implausible - before.feedback_implausible, 4 * 32);
    assert_eq!(totals.feedback_flooded - before.feedback_flooded, 5_000 - 32);
    assert_eq!(totals.feedback_unreadable - before.feedback_unreadable, 1);
    scene.pass(5);
    assert_eq!(scene.layer(1), Some(2), "it harms nobody");
}

#[test]
fn no_receiver_is_sent_more_than_the_configuration_allows() {
    let mut scene = Scene::new(1, 10_000);
    let limits = Limits { start_bps: 300_000, floor_bps: 64_000, ceiling_bps: 800_000 };
    let provider = rtc_crypto::default_provider().expect("ring is built in");
    let forwarder = cabildo::sfu::engine::Forwarder::new(provider, scene.fixture.now);
    scene.fixture = Fixture::with(forwarder.limited(limits));
    scene.fixture.join(RECEIVER);
    scene.fixture.bottlenecks.insert(RECEIVER, Bottleneck::new(10_000 * KBPS));
    scene.cameras = vec![Camera::joined(&mut scene.fixture, 10, 1)];
    scene.pass(20);
    assert_eq!(scene.layer(1), Some(1));
    assert!(scene.fixture.now - scene.fixture.start < Duration::from_mins(1));
}

#[test]
fn what_was_cut_is_seen_again_soon_whatever_was_before() {
    let mut scene = Scene::new(1, 10_000).with_sound();
    scene.pass(10);
    // The best picture comes and goes a few times.
    for _ in 0..3 {
        scene.capacity(400);
        scene.pass(5);
        scene.capacity(10_000);
        assert!(scene.rises());
    }
    for seconds in [2, 6, 12] {
        scene.path().is_cut = true;
        scene.pass(seconds);
        scene.path().is_cut = false;
        scene.pass(2);
        assert!(scene.left_out.is_empty(), "after a cut of {seconds} s");
        assert!(scene.layer(1).is_some(), "after a cut of {seconds} s");
        assert!(scene.rises(), "after a cut of {seconds} s");
    }
}

#[test]
fn a_publisher_is_told_of_layers_that_nobody_wants_and_at_once_when_somebody_does() {
    let mut scene = Scene::new(1, 10_000);
    let track = scene.cameras[0].track;
    let wants = |layer_max, paused| Command::SetDemand {
        subscription: SubscriptionId(1),
        demand: Demand { layer_max, paused },
    };
    scene.pass(7);
    assert_eq!(scene.unseen, [], "the receiver wants the best");
    scene.fixture.command(wants(0, false));
    scene.pass(4);
    assert_eq!(scene.unseen, [], "not yet for long");
    scene.pass(2);
    assert_eq!(scene.unseen, [(track, vec!["2".to_owned(), "1".to_owned()])]);
    scene.fixture.command(wants(1, false));
    scene.pass(1);
    assert_eq!(scene.unseen[1..], [(track, vec!["2".to_owned()])]);
    scene.fixture.command(wants(u8::MAX, false));
    scene.pass(1);
    assert_eq!(scene.unseen[2..], [(track, vec![])]);
    scene.fixture.command(wants(u8::MAX, true));
    scene.pass(7);
    assert_eq!(scene.unseen[3..], [(track, vec!["2".to_owned(), "1".to_owned()])]);
}
