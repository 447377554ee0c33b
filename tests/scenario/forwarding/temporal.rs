//! Stories of receivers whose paths carry only some of the pictures of an encoding: they see every
//! second one, without a break, and nothing is missing for them.

use std::collections::{BTreeMap, BTreeSet};

use cabildo::domain::media::{Codec, MediaKind};
use cabildo::formats::codec::Outline;
use cabildo::sfu::plane::{
    Command, EncodingSpec, Format, MediaEvent, PublicationSpec, Shortage, TransportId,
};
use rtc_rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc_shared::marshal::Marshal;

use super::peers::{Bottleneck, Fixture, Received, Stream, publication, subscription};
use super::taps::{Item, take, tap};

const RECEIVER: u64 = 2;
const FRAME_MS: u64 = 33;
/// What a camera sends; with headers, 520 kbit/s.
const KBPS: usize = 480;
const PART_BYTES: usize = 1_000;
/// The temporal layer of each picture, and whether it refers to the lowest one only, as Chromium sends
/// them with two and with three layers.
const TWO: &[(u8, bool)] = &[
    (0, false),
    (1, true),
    (0, false),
    (1, false),
    (0, false),
    (1, false),
    (0, false),
    (1, false),
];
const THREE: &[(u8, bool)] =
    &[(0, false), (2, true), (1, true), (2, false), (0, false), (2, false), (1, false), (2, false)];

/// A picture that was sent.
#[derive(Debug, Clone, Copy)]
struct Picture {
    layer: u8,
    is_sync: bool,
    is_key: bool,
}

/// A camera with temporal layers, which sends key frames when it is asked for them.
struct Camera {
    peer: u64,
    spec: PublicationSpec,
    stream: Stream,
    pattern: &'static [(u8, bool)],
    codec: Codec,
    since_key: usize,
    lowest: u8,
    sent: Vec<Picture>,
    asked: usize,
    kbps: usize,
}

impl Camera {
    fn joined(fixture: &mut Fixture, number: u32, pattern: &'static [(u8, bool)]) -> Self {
        Self::with_codec(fixture, number, pattern, Codec::Vp8)
    }

    fn with_codec(
        fixture: &mut Fixture,
        number: u32,
        pattern: &'static [(u8, bool)],
        codec: Codec,
    ) -> Self {
        let peer = 10 + u64::from(number);
        fixture.join(peer);
        let mut spec = publication(fixture, peer, MediaKind::Video, "v");
        spec.formats = vec![Format { payload_type: 96, codec, rtx_payload_type: Some(97) }];
        fixture.command(Command::AddPublication(spec.clone()));
        fixture.command(Command::AddSubscription(subscription(RECEIVER, number, &spec)));
        let mut stream = Stream::new(1000 + 10 * number, 96, "v");
        stream.rtx = Some((1001 + 10 * number, 97));
        Self {
            peer,
            spec,
            stream,
            pattern,
            codec,
            since_key: 0,
            lowest: 200,
            sent: Vec::new(),
            asked: 0,
            kbps: KBPS,
        }
    }

    /// Sends one picture, in several packets.
    fn show(&mut self, fixture: &mut Fixture) {
        let plis = fixture.peer(self.peer).plis.len();
        let is_key = self.sent.is_empty() || plis > self.asked;
        self.asked = plis;
        if is_key {
            self.since_key = 0;
        }
        let (layer, is_sync) = self.pattern[self.since_key % self.pattern.len()];
        self.since_key += 1;
        self.lowest = self.lowest.wrapping_add(u8::from(layer == 0));
        self.stream.picture = self.stream.picture.wrapping_add(1) & 0x7FFF;
        self.stream.timestamp = self.stream.timestamp.wrapping_add(2970);
        let number = u32::try_from(self.sent.len()).expect("not that many");
        let picture = Picture { layer, is_sync, is_key };
        self.sent.push(picture);
        let frame_ms = usize::try_from(FRAME_MS).expect("small");
        let parts = (self.kbps * frame_ms / 8).div_ceil(PART_BYTES) * if is_key { 3 } else { 1 };
        for part in 1..=parts {
            let mut payload = match self.codec {
                Codec::Vp9 => self.vp9(picture, part, parts),
                _ => self.vp8(picture, part),
            };
            payload.extend_from_slice(&number.to_be_bytes());
            payload.resize(PART_BYTES, 7);
            fixture.send(self.peer, &mut self.stream, &payload, part == parts);
        }
    }

    fn vp8(&self, picture: Picture, part: usize) -> Vec<u8> {
        let [high, low] = self.stream.picture.to_be_bytes();
        let start = if part == 1 { 0x10 } else { 0 };
        let layer = picture.layer << 6 | u8::from(picture.is_sync) << 5;
        vec![0x80 | start, 0xE0, high | 0x80, low, self.lowest, layer, u8::from(!picture.is_key)]
    }

    /// Two spatial layers: the last part is the higher one. A picture that refers to the lowest layer
    /// only, and all of the lowest one, are such after which higher ones may begin.
    fn vp9(&self, picture: Picture, part: usize, parts: usize) -> Vec<u8> {
        let [high, low] = self.stream.picture.to_be_bytes();
        let spatial = u8::from(part == parts);
        let begins = part == 1 || part == parts;
        let ends = part >= parts - 1;
        let first = 0xA0
            | if picture.is_key { 0 } else { 0x40 }
            | if begins { 0x08 } else { 0 }
            | if ends { 0x04 } else { 0 };
        let opens = u8::from(self.since_key % self.pattern.len() == 1);
        let layer = picture.layer << 5 | opens << 4 | spatial << 1 | spatial;
        vec![first, high | 0x80, low, layer, self.lowest, 0x5A, 0x5A]
    }
}

/// What a packet carries: the number of its picture.
fn number_of(packet: &Received) -> usize {
    let bytes = packet.payload[7..11].try_into().expect("four bytes");
    usize::try_from(u32::from_be_bytes(bytes)).expect("small")
}

/// The pictures of packets, which must have no gap. Every one of them must be complete and refer to none
/// that was left out since the first of them.
#[track_caller]
fn decoded(packets: &[Received], sent: &[Picture]) -> Vec<usize> {
    let mut pictures: Vec<usize> = Vec::new();
    let mut ended = true;
    for (at, packet) in packets.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).map(|at| &packets[at]) {
            let next = before.header.sequence.wrapping_add(1);
            assert_eq!(packet.header.sequence, next, "a gap before picture {}", number_of(packet));
        }
        let number = number_of(packet);
        if ended {
            pictures.push(number);
        }
        assert_eq!(pictures.last(), Some(&number), "a picture was cut off");
        ended = packet.header.marker;
    }
    let mut got = BTreeSet::new();
    for &number in &pictures {
        let picture = sent[number];
        let is_there = |layer: u8| {
            let before = sent[..number].iter().rposition(|it| it.layer == layer || it.is_key);
            before.is_none_or(|before| before < pictures[0] || got.contains(&before))
        };
        let refers_to = if picture.is_sync { 0 } else { picture.layer };
        let is_decodable = picture.is_key || (0..=refers_to).all(is_there);
        assert!(is_decodable, "{picture:?} {number} refers to what is not there");
        got.insert(number);
    }
    pictures
}

/// Picture ids that ascend by one.
#[track_caller]
fn assert_numbered(packets: &[Received]) {
    for pair in packets.windows(2) {
        let ids = [&pair[0], &pair[1]].map(|it| it.vp8().picture_id().expect("numbered"));
        let step = u16::from(number_of(&pair[0]) != number_of(&pair[1]));
        assert_eq!(ids[1], (ids[0] + step) & 0x7FFF, "picture {}", number_of(&pair[1]));
    }
}

/// The numbers of the pictures in these packets.
fn shown(packets: &[Received]) -> Vec<usize> {
    packets.iter().map(number_of).collect::<BTreeSet<_>>().into_iter().collect()
}

struct Scene {
    fixture: Fixture,
    cameras: Vec<Camera>,
    left_out: usize,
    /// What the receiver was last told to lack.
    shortage: Shortage,
}

impl Scene {
    fn new(cameras: u32, pattern: &'static [(u8, bool)]) -> Self {
        let mut fixture = Fixture::new();
        fixture.join(RECEIVER);
        let cameras = (1..=cameras).map(|number| Camera::joined(&mut fixture, number, pattern));
        let cameras = cameras.collect();
        Self { fixture, cameras, left_out: 0, shortage: Shortage::Nothing }
    }

    fn behind(mut self, kbps: u64) -> Self {
        self.fixture.bottlenecks.insert(RECEIVER, Bottleneck::new(kbps * 1_000));
        self
    }

    fn step(&mut self) {
        for camera in &mut self.cameras {
            camera.show(&mut self.fixture);
        }
        self.fixture.pass(FRAME_MS);
        while let Some(event) = self.fixture.forwarder.poll_event() {
            match event {
                MediaEvent::LeftOut { tracks, .. } => self.left_out = tracks.len(),
                MediaEvent::Conditions { transports } => {
                    let of_receiver =
                        transports.iter().find(|(id, _)| *id == TransportId(RECEIVER));
                    self.shortage = of_receiver.map_or(Shortage::Nothing, |(_, it)| it.shortage);
                }
                _ => {}
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        (0..seconds * 1_000 / FRAME_MS).for_each(|_| self.step());
    }

    /// Passes this time; returns what the receiver got in it of a camera.
    fn watch(&mut self, seconds: u64) -> Vec<Received> {
        self.fixture.take_rtp(RECEIVER);
        self.pass(seconds);
        self.fixture.take_rtp(RECEIVER)
    }

    /// The receiver tells that its path carries this much.
    fn tell(&mut self, kbps: f32) {
        let bitrate = kbps * 1_000.0;
        let estimate = ReceiverEstimatedMaximumBitrate { sender_ssrc: 1, bitrate, ssrcs: vec![1] };
        let compound = estimate.marshal().expect("fits").to_vec();
        self.fixture.send_rtcp(RECEIVER, &compound);
    }

    fn thinned(&self) -> u64 {
        self.fixture.forwarder.totals().packets_thinned
    }
}

/// Which part of the pictures was seen, in hundredths, and the longest time without one, in pictures.
fn seen(pictures: &[usize]) -> (usize, usize) {
    let (first, last) = (pictures[0], pictures[pictures.len() - 1]);
    let longest = pictures.windows(2).map(|pair| pair[1] - pair[0]).max();
    (100 * pictures.len() / (last - first + 1), longest.unwrap_or(0))
}

/// Of one source, and neither padding nor retransmissions.
fn of_camera(packets: Vec<Received>, number: u32) -> Vec<Received> {
    let ssrc = 0xA000_0000 + number;
    packets.into_iter().filter(|it| it.header.ssrc == ssrc && it.payload.len() > 20).collect()
}

#[test]
fn a_path_of_six_tenths_shows_every_second_picture_without_a_freeze() {
    for pattern in [TWO, THREE] {
        let mut scene = Scene::new(1, pattern).behind(520 * 6 / 10);
        scene.pass(15);
        let thinned = scene.thinned();
        let packets = of_camera(scene.watch(30), 1);
        assert_numbered(&packets);
        let pictures = decoded(&packets, &scene.cameras[0].sent);
        let (part, longest) = seen(&pictures);
        assert!((45..=56).contains(&part), "{part} %");
        assert!(longest <= 4, "{longest} pictures without one");
        assert!(scene.thinned() > thinned);
        assert_eq!((scene.left_out, scene.shortage), (0, Shortage::Size));
    }
}

#[test]
fn of_the_lowest_layer_few_pictures_are_better_than_none() {
    let mut scene = Scene::new(2, THREE).behind(600);
    scene.pass(25);
    assert_eq!(scene.left_out, 0, "each takes 520 kbit/s whole, and 260 and 130 in parts");
    let packets = scene.watch(20);
    for (number, camera) in (1..).zip(&scene.cameras) {
        let packets = of_camera(packets.clone(), number);
        assert_numbered(&packets);
        let (part, longest) = seen(&decoded(&packets, &camera.sent));
        assert!((24..=56).contains(&part), "{part} %");
        assert!(longest <= 6, "{longest} pictures without one");
    }
}

#[test]
fn pictures_come_and_go_at_pictures_that_refer_to_nothing_that_was_left_out() {
    for (pattern, codec) in [(THREE, Codec::Vp8), (TWO, Codec::Vp8), (THREE, Codec::Vp9)] {
        let mut scene = Scene::new(0, pattern);
        let camera = Camera::with_codec(&mut scene.fixture, 1, pattern, codec);
        scene.cameras.push(camera);
        let mut all = of_camera(scene.watch(3), 1);
        let asked = scene.cameras[0].asked;
        let few = if pattern == TWO { 45..=56 } else { 24..=30 };
        // Estimates that hold different numbers of temporal layers, one after the other.
        for (kbps, parts) in [
            (if pattern == TWO { 330.0 } else { 190.0 }, few.clone()),
            (900.0, 99..=100),
            (380.0, 45..=56),
            (900.0, 99..=100),
            (if pattern == TWO { 330.0 } else { 190.0 }, few),
            (380.0, 45..=56),
        ] {
            for _ in 0..12 {
                scene.tell(kbps);
                all.extend(of_camera(scene.watch(1), 1));
            }
            let settled = of_camera(scene.watch(2), 1);
            let (part, _) = seen(&shown(&settled));
            assert!(parts.contains(&part), "{codec:?} at {kbps} kbit/s: {part} %");
            all.extend(settled);
        }
        if codec == Codec::Vp8 {
            assert_numbered(&all);
        }
        decoded(&all, &scene.cameras[0].sent);
        assert_eq!(scene.cameras[0].asked, asked, "no key frame was needed");
    }
}

#[test]
fn a_better_layer_with_every_second_picture_comes_before_the_next_one_whole() {
    let mut fixture = Fixture::new();
    fixture.join(RECEIVER);
    let mut low = Camera::joined(&mut fixture, 1, THREE);
    let high = low.stream.ssrc + 5;
    // A second encoding beside the first.
    fixture.command(Command::RemovePublication { track: low.spec.track });
    let encoding = |rid: &str, ssrc| EncodingSpec {
        rid: Some(rid.to_owned()),
        ssrc: Some(ssrc),
        rtx_ssrc: None,
    };
    low.spec.encodings = vec![encoding("l", low.stream.ssrc), encoding("h", high)];
    fixture.command(Command::AddPublication(low.spec.clone()));
    low.kbps = 150;
    let peer = low.peer;
    let mut stream = Stream::new(high, 96, "v");
    let (mut lowest, mut number, mut answered) = (0_u8, 0_usize, 0);
    let mut scene = Scene { fixture, cameras: vec![low], left_out: 0, shortage: Shortage::Nothing };
    let (steps, settled) = (25_000 / FRAME_MS, 15_000 / FRAME_MS);
    for (kbps, part) in [(2_000, 98..=101), (450, 45..=56)] {
        match scene.fixture.bottlenecks.get_mut(&RECEIVER) {
            Some(path) => path.capacity_bps = kbps * 1_000,
            None => scene = scene.behind(kbps),
        }
        for step in 0..steps {
            let asked = scene.fixture.peer(peer).plis.iter().filter(|it| it.0 == high).count();
            let is_key = number == 0 || asked > answered;
            answered = asked;
            number = if is_key { 0 } else { number };
            let (layer, is_sync) = THREE[number % THREE.len()];
            number += 1;
            lowest = lowest.wrapping_add(u8::from(layer == 0));
            stream.picture = stream.picture.wrapping_add(1) & 0x7FFF;
            stream.timestamp = stream.timestamp.wrapping_add(2970);
            let [up, down] = stream.picture.to_be_bytes();
            for part in 0..3 {
                let start = if part == 0 { 0x90 } else { 0x80 };
                let of = layer << 6 | u8::from(is_sync) << 5;
                let mut payload = vec![start, 0xE0, up | 0x80, down, lowest, of, u8::from(!is_key)];
                payload.resize(900, 9);
                scene.fixture.send(peer, &mut stream, &payload, part == 2);
            }
            if step == settled {
                scene.fixture.take_rtp(RECEIVER);
            }
            scene.step();
        }
        let large = scene.fixture.take_rtp(RECEIVER);
        let large = large.iter().filter(|it| it.payload.len() == 900);
        let shown: BTreeSet<u32> = large.map(|it| it.header.timestamp).collect();
        let count = u64::try_from(shown.len()).expect("small") * 100 / (steps - settled);
        assert!(part.contains(&count), "{count} % at {kbps} kbit/s");
        let stats = scene.fixture.forwarder.stats();
        assert_eq!(stats.subscriptions[0].1.layer, Some(1), "at {kbps} kbit/s");
    }
    assert!(scene.thinned() > 0);
}

#[test]
fn on_a_wide_path_nothing_is_left_out() {
    let mut scene = Scene::new(1, THREE).behind(5_000);
    scene.pass(2);
    let packets = of_camera(scene.watch(10), 1);
    assert_eq!(seen(&shown(&packets)).0, 100);
    assert_eq!((scene.thinned(), scene.shortage), (0, Shortage::Nothing));
}

#[test]
fn without_a_picture_to_begin_at_a_key_frame_is_requested_once() {
    /// Higher pictures refer to one another all the time.
    const BOUND: &[(u8, bool)] = &[(0, false), (1, false)];
    let mut scene = Scene::new(1, BOUND);
    scene.pass(3);
    scene.tell(350.0);
    scene.pass(3);
    let packets = of_camera(scene.watch(3), 1);
    assert!(seen(&shown(&packets)).0 <= 52);
    let asked = scene.cameras[0].asked;
    scene.tell(2_000.0);
    scene.pass(12);
    assert_eq!(scene.cameras[0].asked, asked + 1);
    let packets = of_camera(scene.watch(3), 1);
    assert_eq!(seen(&shown(&packets)).0, 100);
}

/// Pictures are in the order of their numbers, and each has one id that no other has.
#[track_caller]
fn assert_one_id_each(got: &BTreeMap<u16, Vec<u8>>, first: u16) {
    let mut ids: BTreeMap<usize, u16> = BTreeMap::new();
    let media = got.iter().filter(|(_, payload)| payload.len() == PART_BYTES);
    let mut media: Vec<(&u16, &Vec<u8>)> = media.collect();
    media.sort_by_key(|(at, _)| at.wrapping_sub(first));
    let mut last = 0;
    for (sequence, payload) in media {
        let outline = Outline::of(Codec::Vp8, payload);
        let id = outline.vp8.and_then(|it| it.picture_id()).expect("numbered");
        let bytes = payload[7..11].try_into().expect("four bytes");
        let number = usize::try_from(u32::from_be_bytes(bytes)).expect("small");
        assert!(number >= last, "{sequence} is out of order");
        last = number;
        assert_eq!(*ids.entry(number).or_insert(id), id, "a picture has one id");
    }
    let distinct: BTreeSet<u16> = ids.values().copied().collect();
    assert_eq!(distinct.len(), ids.len(), "two pictures have one id");
}

#[test]
fn with_losses_each_number_is_sent_once_and_resent_as_it_was_and_taps_get_everything() {
    let mut scene = Scene::new(1, THREE);
    let track = scene.cameras[0].spec.track;
    let (_sink, batches) = tap(&mut scene.fixture, track);
    let mut tapped = BTreeSet::new();
    scene.pass(3);
    scene.tell(380.0);
    scene.pass(1);
    scene.fixture.take_rtp(RECEIVER);
    scene.fixture.loss_per_mille = 40;
    let mut got: BTreeMap<u16, Vec<u8>> = BTreeMap::new();
    let mut order: Vec<u16> = Vec::new();
    let mut fillers = 0;
    let begun = scene.cameras[0].stream.sequence;
    let mut listen = |fixture: &mut Fixture| {
        for (_, _, item) in take(fixture, &batches) {
            if let Item::Packet(bytes, _) = item {
                tapped.insert(u16::from_be_bytes([bytes[2], bytes[3]]));
            }
        }
    };
    for _ in 0..600 {
        scene.step();
        listen(&mut scene.fixture);
        for packet in scene.fixture.take_rtp(RECEIVER) {
            let (sequence, payload) = if packet.header.ssrc == 0xA000_0001 {
                (packet.header.sequence, packet.payload)
            } else if packet.payload.len() > PART_BYTES {
                let [high, low] = [packet.payload[0], packet.payload[1]];
                (u16::from_be_bytes([high, low]), packet.payload[2..].to_vec())
            } else {
                continue;
            };
            fillers += usize::from(payload.len() < 20);
            let before = got.insert(sequence, payload.clone());
            assert!(before.is_none_or(|before| before == payload), "{sequence} was two packets");
            order.push(sequence);
        }
        let highest = *order.iter().max_by_key(|it| it.wrapping_sub(order[0])).expect("some");
        let missing: Vec<u16> = (1..200)
            .map(|back| highest.wrapping_sub(back))
            .filter(|it| it.wrapping_sub(order[0]) < 0x7FFF && !got.contains_key(it))
            .collect();
        if !missing.is_empty() {
            let nacks = nack_pairs_from_sequence_numbers(&missing);
            let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: 0xA000_0001, nacks };
            scene.fixture.send_rtcp(RECEIVER, &nack.marshal().expect("fits"));
        }
    }
    scene.fixture.loss_per_mille = 0;
    scene.fixture.pass(1_000);
    listen(&mut scene.fixture);
    assert!(fillers > 0, "what came late of pictures that were left out became padding");
    assert_one_id_each(&got, order[0].wrapping_sub(100));
    let sent = scene.cameras[0].stream.sequence.wrapping_sub(begun);
    let of_then = tapped.iter().filter(|it| (1..=sent).contains(&it.wrapping_sub(begun))).count();
    assert!(of_then * 100 >= usize::from(sent) * 99, "{of_then} of {sent} were tapped");
}
