//! Stories about key frames: how soon whoever comes or has lost something gets one, and what that
//! costs the publisher.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cabildo::domain::media::MediaKind;
use cabildo::sfu::plane::{Command, Demand, Gate, PublicationSpec, SubscriptionId};
use rtc_rtcp::payload_feedbacks::full_intra_request::{FirEntry, FullIntraRequest};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_shared::marshal::Marshal;

use super::peers::{Fixture, Received, Stream, publication, subscription};
use super::{PUBLISHER, SUBSCRIBER, assert_continuous, picture_scene};

const FRAME_MS: u64 = 33;

/// A publisher of 30 pictures a second, which answers a request with its next picture.
struct Camera {
    stream: Stream,
    /// Packets of a key frame; other pictures have one.
    key_packets: usize,
    /// How long it takes to learn of a request.
    answers_after: Duration,
    answered: usize,
    clock_ms: u64,
    key_frames: Vec<Duration>,
}

impl Camera {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            key_packets: 3,
            answers_after: Duration::ZERO,
            answered: 0,
            clock_ms: 0,
            key_frames: Vec::new(),
        }
    }

    /// Lets a millisecond pass, in which a picture may be due.
    fn step(&mut self, fixture: &mut Fixture) {
        fixture.pass(1);
        self.clock_ms += 1;
        if self.clock_ms.is_multiple_of(FRAME_MS) {
            self.picture(fixture);
        }
    }

    fn run(&mut self, fixture: &mut Fixture, ms: u64) {
        (0..ms).for_each(|_| self.step(fixture));
    }

    /// Continues until the next picture has been sent.
    fn until_picture(&mut self, fixture: &mut Fixture) {
        self.run(fixture, FRAME_MS - self.clock_ms % FRAME_MS);
    }

    fn picture(&mut self, fixture: &mut Fixture) {
        let now = fixture.now - fixture.start;
        let requests = &fixture.peer(PUBLISHER).plis;
        let learnt = requests.iter().filter(|(_, at)| *at + self.answers_after <= now).count();
        let is_key = learnt > self.answered || self.key_frames.is_empty();
        self.answered = learnt;
        self.stream.timestamp = self.stream.timestamp.wrapping_add(3000);
        if !is_key {
            let payload = self.stream.vp8_payload(false, "delta");
            fixture.send(PUBLISHER, &mut self.stream, &payload, true);
            return;
        }
        self.key_frames.push(now);
        for part in 1..=self.key_packets {
            self.key_part(fixture, part);
        }
    }

    fn key_part(&mut self, fixture: &mut Fixture, part: usize) {
        let is_first = part == 1;
        if !is_first {
            self.stream.picture = self.stream.picture.wrapping_sub(1);
        }
        let mut payload = self.stream.vp8_payload(true, "key");
        if !is_first {
            payload[0] &= !0x10;
        }
        fixture.send(PUBLISHER, &mut self.stream, &payload, part == self.key_packets);
    }
}

fn scene() -> (Fixture, PublicationSpec, Camera) {
    let (fixture, spec, stream) = picture_scene();
    (fixture, spec, Camera::new(stream))
}

fn pli(number: u32) -> Vec<u8> {
    let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: 0xA000_0000 + number };
    pli.marshal().expect("fits").to_vec()
}

fn fir(number: u32, sequence_number: u8) -> Vec<u8> {
    let ssrc = 0xA000_0000 + number;
    let fir = vec![FirEntry { ssrc, sequence_number }];
    let fir = FullIntraRequest { sender_ssrc: 1, media_ssrc: ssrc, fir };
    fir.marshal().expect("fits").to_vec()
}

fn asked(fixture: &Fixture) -> usize {
    fixture.peer(PUBLISHER).plis.len()
}

fn subscribe(fixture: &mut Fixture, peer: u64, number: u32, spec: &PublicationSpec) {
    fixture.command(Command::AddSubscription(subscription(peer, number, spec)));
}

#[test]
fn who_comes_soon_after_a_key_frame_begins_with_it() {
    let (mut fixture, spec, mut camera) = scene();
    camera.run(&mut fixture, 3000);
    fixture.send_rtcp(SUBSCRIBER, &pli(1));
    camera.until_picture(&mut fixture);
    camera.run(&mut fixture, 5 * FRAME_MS);
    let before = asked(&fixture);
    fixture.join(3);
    subscribe(&mut fixture, 3, 2, &spec);
    camera.run(&mut fixture, 9);
    assert!(fixture.peer(3).rtp.is_empty(), "its handshake may not be over yet");
    camera.run(&mut fixture, 22);
    let seen = fixture.take_rtp(3);
    let texts: Vec<String> = seen.iter().map(Received::text).collect();
    assert_eq!(texts[..3], ["key", "key", "key"]);
    assert!(texts.len() >= 8, "and with all that followed");
    camera.run(&mut fixture, 300);
    let all: Vec<Received> = seen.into_iter().chain(fixture.take_rtp(3)).collect();
    let follows = |it: &[Received]| it[1].header.sequence == it[0].header.sequence.wrapping_add(1);
    assert!(all.windows(2).all(follows));
    assert_continuous(&all[2..], true);
    assert_eq!(all.len(), 3 + 5 + 10, "no picture is left out");
    assert_eq!(asked(&fixture), before, "it costs the publisher nothing");
}

#[test]
fn who_comes_later_makes_the_publisher_send_one_at_once() {
    let (mut fixture, spec, mut camera) = scene();
    camera.run(&mut fixture, 3000);
    let before = asked(&fixture);
    fixture.join(3);
    subscribe(&mut fixture, 3, 2, &spec);
    assert_eq!(asked(&fixture), before + 1);
    camera.until_picture(&mut fixture);
    assert_eq!(fixture.peer(3).rtp.len(), 3);
}

#[test]
fn what_passed_before_a_gate_closed_is_nothing_to_begin_with() {
    let (mut fixture, spec, mut camera) = scene();
    camera.run(&mut fixture, 3000);
    fixture.send_rtcp(SUBSCRIBER, &pli(1));
    camera.until_picture(&mut fixture);
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
    fixture.join(3);
    subscribe(&mut fixture, 3, 2, &spec);
    camera.run(&mut fixture, 25);
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Open });
    let opened = fixture.now - fixture.start;
    camera.run(&mut fixture, 5);
    assert!(fixture.peer(3).rtp.is_empty());
    camera.run(&mut fixture, 60);
    assert!(camera.key_frames.last().is_some_and(|at| *at > opened), "a new one was asked for");
    assert_eq!(fixture.peer(3).rtp[0].text(), "key");
}

#[test]
fn who_comes_does_not_begin_with_a_key_frame_that_has_a_hole() {
    let (mut fixture, spec, mut camera) = scene();
    camera.run(&mut fixture, 3000);
    fixture.send_rtcp(SUBSCRIBER, &pli(1));
    camera.until_picture(&mut fixture);
    // A packet of the publisher gets lost, for good.
    camera.stream.sequence = camera.stream.sequence.wrapping_add(1);
    camera.run(&mut fixture, 2 * FRAME_MS);
    let before = asked(&fixture);
    fixture.join(3);
    subscribe(&mut fixture, 3, 2, &spec);
    assert_eq!(asked(&fixture), before + 1);
    camera.run(&mut fixture, FRAME_MS);
    assert_eq!(fixture.peer(3).rtp.len(), 3, "it begins with the next one");
}

#[test]
fn what_is_wanted_while_a_key_frame_passes_is_asked_for_when_it_has_passed() {
    let (mut fixture, _, mut camera) = scene();
    camera.key_packets = 4;
    camera.run(&mut fixture, 3000);
    fixture.send_rtcp(SUBSCRIBER, &pli(1));
    camera.stream.timestamp = camera.stream.timestamp.wrapping_add(3000);
    camera.key_part(&mut fixture, 1);
    let before = asked(&fixture);
    // Its receiver pauses, and wants to see again at once.
    for paused in [true, false] {
        let demand = Demand { paused, ..Demand::default() };
        fixture.command(Command::SetDemand { subscription: SubscriptionId(1), demand });
    }
    camera.key_part(&mut fixture, 2);
    fixture.pass(40);
    camera.key_part(&mut fixture, 3);
    assert_eq!(asked(&fixture), before, "the last one is still passing");
    camera.key_part(&mut fixture, 4);
    assert_eq!(asked(&fixture), before + 1);
}

#[test]
fn a_request_that_crosses_the_key_frame_it_asks_for_does_not_cost_another_at_once() {
    let (mut fixture, spec, mut camera) = scene();
    for number in 2..22 {
        fixture.join(u64::from(number) + 1);
        subscribe(&mut fixture, u64::from(number) + 1, number, &spec);
    }
    camera.run(&mut fixture, 3000);
    let before = asked(&fixture);
    // All of them have lost the same, and say so within 200 ms.
    for number in 2..22 {
        fixture.send_rtcp(u64::from(number) + 1, &pli(number));
        camera.run(&mut fixture, 10);
    }
    camera.run(&mut fixture, 1000);
    assert_eq!(asked(&fixture) - before, 2);
}

#[test]
fn a_publisher_that_takes_long_to_answer_is_not_asked_again_meanwhile() {
    let (mut fixture, _, mut camera) = scene();
    camera.answers_after = Duration::from_millis(400);
    camera.run(&mut fixture, 2000);
    let mut costs = Vec::new();
    for _ in 0..6 {
        let before = asked(&fixture);
        fixture.send_rtcp(SUBSCRIBER, &pli(1));
        camera.run(&mut fixture, 6000);
        costs.push(asked(&fixture) - before);
    }
    assert_eq!(costs[1..], [1; 5], "once it is known how long it takes: {costs:?}");
}

#[test]
fn one_who_asks_without_end_costs_little_and_takes_nothing_from_others() {
    let (mut fixture, spec, mut camera) = scene();
    fixture.join(3);
    subscribe(&mut fixture, 3, 2, &spec);
    camera.run(&mut fixture, 3000);
    let before = asked(&fixture);
    let mut waits = Vec::new();
    for step in 0..20_000_u64 {
        if step.is_multiple_of(10) {
            let sequence = u8::try_from(step / 10 % 256).expect("small");
            let request = if step.is_multiple_of(20) { pli(1) } else { fir(1, sequence) };
            fixture.send_rtcp(SUBSCRIBER, &request);
        }
        // The other one loses something every five seconds.
        if step % 5000 == 1777 {
            let (began, now) = (camera.key_frames.len(), fixture.now);
            fixture.send_rtcp(3, &pli(2));
            camera.until_picture(&mut fixture);
            assert!(camera.key_frames.len() > began, "it waited longer than for a picture");
            waits.push(fixture.now - now);
        }
        camera.step(&mut fixture);
    }
    assert_eq!(waits.len(), 4);
    let cost = asked(&fixture) - before;
    assert!((8..=3 + 10 + 4).contains(&cost), "{cost} key frames in 20 s");
    assert!(fixture.forwarder.totals().key_frame_requests_ignored > 1000);
}

#[test]
fn many_who_ask_without_end_cost_four_key_frames_a_second() {
    let (mut fixture, spec, mut camera) = scene();
    for number in 2..100 {
        fixture.join(u64::from(number) + 1);
        subscribe(&mut fixture, u64::from(number) + 1, number, &spec);
    }
    camera.run(&mut fixture, 3000);
    let before = asked(&fixture);
    for step in 0..10_000_u32 {
        // Each of them every 100 ms.
        let number = step % 100 + 1;
        if number < 100 {
            fixture.send_rtcp(u64::from(number) + 1, &pli(number));
        }
        camera.step(&mut fixture);
    }
    let cost = asked(&fixture) - before;
    assert!((30..=4 + 40).contains(&cost), "{cost} key frames in 10 s");
}

#[test]
fn a_receiver_that_loses_key_frames_again_and_again_is_answered_each_time_at_once() {
    let (mut fixture, _, mut camera) = scene();
    camera.run(&mut fixture, 3000);
    for _ in 0..4 {
        // Its picture is broken, and so are the next two key frames: as browsers do, it asks again
        // after 300 ms.
        for _ in 0..3 {
            let began = camera.key_frames.len();
            fixture.send_rtcp(SUBSCRIBER, &pli(1));
            camera.until_picture(&mut fixture);
            assert_eq!(camera.key_frames.len(), began + 1);
            camera.run(&mut fixture, 300 - FRAME_MS);
        }
        camera.run(&mut fixture, 6000);
    }
    assert_eq!(fixture.forwarder.totals().key_frame_requests_ignored, 0);
}

#[test]
fn a_storm_of_joins_waits_for_nobody_and_costs_a_bounded_number_of_key_frames() {
    const PEERS: u64 = 20;
    const JOINS: u32 = 500;
    let (mut fixture, spec, mut camera) = scene();
    for peer in 0..PEERS {
        fixture.join(100 + peer);
    }
    camera.run(&mut fixture, 2000);
    let before = asked(&fixture);
    let mut came: BTreeMap<u32, Duration> = BTreeMap::new();
    let mut began: BTreeMap<u32, Duration> = BTreeMap::new();
    for number in 2..JOINS + 2 {
        let peer = 100 + u64::from(number) % PEERS;
        subscribe(&mut fixture, peer, number, &spec);
        came.insert(0xA000_0000 + number, fixture.now - fixture.start);
        for _ in 0..20 {
            camera.step(&mut fixture);
            let now = fixture.now - fixture.start;
            for peer in 0..PEERS {
                for packet in fixture.take_rtp(100 + peer) {
                    began.entry(packet.header.ssrc).or_insert(now);
                }
            }
        }
    }
    camera.run(&mut fixture, 100);
    for peer in 0..PEERS {
        for packet in fixture.take_rtp(100 + peer) {
            began.entry(packet.header.ssrc).or_insert(fixture.now - fixture.start);
        }
    }
    let mut waits: Vec<Duration> =
        came.iter().map(|(ssrc, at)| began[ssrc].saturating_sub(*at)).collect();
    waits.sort();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    assert!(at(50) <= Duration::from_millis(25), "the median is {:?}", at(50));
    assert!(at(99) <= Duration::from_millis(60), "the 99th percentile is {:?}", at(99));
    let cost = asked(&fixture) - before;
    assert!((20..=44).contains(&cost), "{cost} key frames in 10 s");
}

#[test]
fn a_storm_that_no_past_can_serve_costs_a_bounded_number_of_key_frames() {
    let (mut fixture, spec, mut camera) = scene();
    // So large that whoever comes is not sent it again.
    camera.key_packets = 120;
    camera.run(&mut fixture, 2000);
    let before = asked(&fixture);
    let mut number = 1;
    for _ in 0..100 {
        number += 1;
        subscribe(&mut fixture, SUBSCRIBER, number, &spec);
        camera.run(&mut fixture, 20);
    }
    camera.run(&mut fixture, 300);
    let cost = asked(&fixture) - before;
    assert!((8..=4 + 10).contains(&cost), "{cost} key frames in 2.3 s");
    let sources: BTreeSet<u32> =
        fixture.peer(SUBSCRIBER).rtp.iter().map(|it| it.header.ssrc).collect();
    assert_eq!(sources.len(), 101, "everybody got one");
}

#[test]
fn sound_is_never_asked_for_key_frames() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    subscribe(&mut fixture, SUBSCRIBER, 1, &spec);
    let mut stream = Stream::new(500, 111, "a");
    for _ in 0..20 {
        super::say(&mut fixture, PUBLISHER, &mut stream, "hola");
        fixture.send_rtcp(SUBSCRIBER, &pli(1));
    }
    assert_eq!(asked(&fixture), 0);
    assert_eq!(fixture.peer(SUBSCRIBER).rtp.len(), 20);
}
