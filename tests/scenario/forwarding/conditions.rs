//! Stories of what is measured of paths: whose loss it is, how long packets take, and what is lacking.

use cabildo::domain::media::MediaKind;
use cabildo::sfu::plane::{
    Command, Demand, Gate, MediaEvent, PathConditions, Shortage, SubscriptionId, Tally, TransportId,
};
use rtc_rtcp::receiver_report::ReceiverReport;
use rtc_rtcp::reception_report::ReceptionReport;
use rtc_rtcp::sender_report::SenderReport;
use rtc_shared::marshal::Marshal;

use super::peers::{Bottleneck, Fixture, Stream, publication, subscription};
use super::{PUBLISHER, SUBSCRIBER, picture_scene, say, show};

/// The SSRC under which the subscriber gets the sound.
const RECEIVED: u32 = 0xA000_0001;

/// What was told of a peer since this was last called.
fn told(fixture: &mut Fixture, peer: u64) -> Vec<PathConditions> {
    let mut told = Vec::new();
    while let Some(event) = fixture.forwarder.poll_event() {
        if let MediaEvent::Conditions { transports } = event {
            let of_peer = transports.iter().filter(|(id, _)| *id == TransportId(peer));
            told.extend(of_peer.map(|(_, conditions)| *conditions));
        }
    }
    told
}

fn sum(told: &[PathConditions], of: fn(&PathConditions) -> Tally) -> Tally {
    let mut sum = Tally::default();
    for one in told {
        sum.add(of(one));
    }
    sum
}

/// A publisher of sound, and a subscriber that counts what it misses.
struct Sound {
    fixture: Fixture,
    stream: Stream,
    first: Option<u32>,
    highest: u32,
    received: u32,
    /// Of the packets that reach the subscriber, it does not get every so manieth.
    drops_every: Option<u32>,
    came: u32,
}

impl Sound {
    fn new() -> Self {
        let mut fixture = Fixture::new();
        fixture.join(PUBLISHER);
        fixture.join(SUBSCRIBER);
        let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
        fixture.command(Command::AddPublication(spec.clone()));
        fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
        let stream = Stream::new(500, 111, "a");
        Self { fixture, stream, first: None, highest: 0, received: 0, drops_every: None, came: 0 }
    }

    /// Says fifty packets, of which every so manieth is lost on its way to the server.
    fn second(&mut self, lost_every: Option<u32>) {
        for number in 1..=50_u32 {
            if lost_every.is_some_and(|every| number.is_multiple_of(every)) {
                self.stream.sequence = self.stream.sequence.wrapping_add(1);
                self.stream.timestamp = self.stream.timestamp.wrapping_add(960);
                self.fixture.pass(20);
            } else {
                say(&mut self.fixture, PUBLISHER, &mut self.stream, "x");
            }
        }
        for packet in self.fixture.take_rtp(SUBSCRIBER) {
            self.came += 1;
            if self.drops_every.is_some_and(|every| self.came.is_multiple_of(every)) {
                continue;
            }
            let sequence = u32::from(packet.header.sequence);
            self.first.get_or_insert(sequence);
            self.highest = sequence;
            self.received += 1;
        }
    }

    /// The subscriber reports, as RFC 3550 has it count.
    fn report(&mut self, jitter: u32, named: Option<(u32, u32)>) {
        let expected = self.highest + 1 - self.first.expect("something came");
        let (last_sender_report, delay) = named.unwrap_or_default();
        let block = ReceptionReport {
            ssrc: RECEIVED,
            fraction_lost: 0,
            total_lost: expected - self.received,
            last_sequence_number: self.highest,
            jitter,
            last_sender_report,
            delay,
        };
        let report = ReceiverReport { ssrc: 9, reports: vec![block], ..Default::default() };
        let compound = report.marshal().expect("fits");
        self.fixture.send_rtcp(SUBSCRIBER, &compound);
    }
}

#[test]
fn what_is_lost_on_its_way_here_is_the_loss_of_whoever_sends_it() {
    let mut sound = Sound::new();
    sound.second(None);
    sound.report(0, None);
    sound.fixture.pass(1_100);
    told(&mut sound.fixture, PUBLISHER);
    for _ in 0..5 {
        sound.second(Some(10));
        sound.report(0, None);
    }
    sound.fixture.pass(1_100);
    let mut events = Vec::new();
    while let Some(event) = sound.fixture.forwarder.poll_event() {
        if let MediaEvent::Conditions { transports } = event {
            events.extend(transports);
        }
    }
    let of = |peer| -> Vec<PathConditions> {
        let of_peer = events.iter().filter(|(id, _)| *id == TransportId(peer));
        of_peer.map(|(_, conditions)| *conditions).collect()
    };
    let sent = sum(&of(PUBLISHER), |it| it.sound_from_peer);
    assert!((245..=255).contains(&sent.expected), "{sent:?}");
    let lost = sent.expected - sent.arrived;
    assert!((24..=26).contains(&lost), "every tenth: {sent:?}");
    let received = sum(&of(SUBSCRIBER), |it| it.to_peer);
    assert!(received.expected >= 200, "{received:?}");
    assert!(received.arrived >= received.expected, "its own path loses nothing: {received:?}");
}

#[test]
fn what_is_lost_on_its_way_to_a_receiver_is_its_loss_alone() {
    let mut sound = Sound::new();
    sound.second(None);
    sound.report(0, None);
    sound.drops_every = Some(5);
    sound.fixture.pass(1_100);
    told(&mut sound.fixture, SUBSCRIBER);
    for _ in 0..5 {
        sound.second(Some(10));
        sound.report(0, None);
    }
    sound.fixture.pass(1_100);
    let received = sum(&told(&mut sound.fixture, SUBSCRIBER), |it| it.to_peer);
    // 225 were sent to it, of which it got four in five.
    assert!((215..=230).contains(&received.expected), "{received:?}");
    let lost = received.expected - received.arrived;
    assert!((40..=50).contains(&lost), "{received:?}");
}

#[test]
fn pictures_that_are_sent_again_are_not_lost() {
    let (mut fixture, spec, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "first");
    told(&mut fixture, PUBLISHER);
    fixture.loss_per_mille = 100;
    for _ in 0..300 {
        show(&mut fixture, &mut stream, false, "next");
    }
    fixture.loss_per_mille = 0;
    fixture.pass(1_500);
    let repaired = sum(&told(&mut fixture, PUBLISHER), |it| it.pictures_from_peer);
    assert!(repaired.expected >= 290, "{repaired:?}");
    let missing = repaired.expected.saturating_sub(repaired.arrived);
    assert!(missing * 100 < repaired.expected, "less than one in a hundred: {repaired:?}");

    // Behind a closed gate nothing is requested again, so what the network loses shows.
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
    fixture.loss_per_mille = 100;
    for _ in 0..300 {
        show(&mut fixture, &mut stream, false, "next");
    }
    fixture.loss_per_mille = 0;
    fixture.pass(1_500);
    let lost = sum(&told(&mut fixture, PUBLISHER), |it| it.pictures_from_peer);
    let missing = lost.expected.saturating_sub(lost.arrived);
    assert!((15..=50).contains(&missing), "about thirty of {lost:?}");
}

#[test]
fn the_delay_and_how_uneven_it_is_are_told() {
    let mut sound = Sound::new();
    let clock = SenderReport { ssrc: 500, ntp_time: 1_u64 << 40, ..Default::default() };
    sound.second(None);
    let compound = clock.marshal().expect("fits");
    sound.fixture.send_rtcp(PUBLISHER, &compound);
    while sound.fixture.peer(SUBSCRIBER).sender_reports.is_empty() {
        sound.fixture.pass(1);
    }
    let [_, _, a, b, c, d, ..] =
        sound.fixture.peer(SUBSCRIBER).sender_reports[0].ntp_time.to_be_bytes();
    let named = u32::from_be_bytes([a, b, c, d]);
    told(&mut sound.fixture, SUBSCRIBER);
    sound.fixture.pass(300);
    // It was held for 120 of these 300 ms. 4800 ticks of 48 kHz are a tenth of a second.
    sound.report(4_800, Some((named, 65_536 * 120 / 1_000)));
    sound.fixture.pass(1_000);
    let told = told(&mut sound.fixture, SUBSCRIBER);
    let trips: Vec<u32> = told.iter().filter_map(|it| it.round_trip_ms).collect();
    assert!(matches!(trips[..], [179..=181]), "{trips:?}");
    let jitter: Vec<u32> = told.iter().filter_map(|it| it.to_peer_jitter_ms).collect();
    assert!(matches!(jitter[..], [95..=100]), "{jitter:?}");
}

#[test]
fn a_narrow_path_is_told_with_what_it_carries() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    fixture.bottlenecks.insert(SUBSCRIBER, Bottleneck::new(150_000));
    let spec = publication(&fixture, PUBLISHER, MediaKind::Video, "v");
    fixture.command(Command::AddPublication(spec.clone()));
    let wanted = subscription(SUBSCRIBER, 1, &spec);
    fixture.command(Command::AddSubscription(wanted));
    let mut stream = Stream::new(1000, 96, "v");
    stream.rtx = Some((1001, 97));
    let text = "x".repeat(1_000);
    // Half a megabit a second, where 150 kbit/s pass.
    let pass = |fixture: &mut Fixture, stream: &mut Stream, seconds: u32| {
        for frame in 0..seconds * 30 {
            for part in 0..2 {
                let payload = stream.vp8_payload(frame % 30 == 0 && part == 0, &text);
                fixture.send(PUBLISHER, stream, &payload, part == 1);
            }
            stream.timestamp = stream.timestamp.wrapping_add(3_000);
            fixture.pass(33);
        }
    };
    pass(&mut fixture, &mut stream, 15);
    let narrow = told(&mut fixture, SUBSCRIBER);
    let short = narrow.iter().rev().find(|it| it.shortage == Shortage::Pictures);
    let kbps = short.expect("it is left out").estimate_kbps.expect("it showed a limit");
    assert!(kbps < 300, "{kbps}");

    let demand = Demand { paused: true, ..Default::default() };
    fixture.command(Command::SetDemand { subscription: SubscriptionId(1), demand });
    pass(&mut fixture, &mut stream, 2);
    let paused = told(&mut fixture, SUBSCRIBER);
    assert_eq!(
        paused.last().map(|it| it.shortage),
        Some(Shortage::Nothing),
        "nothing is asked for"
    );
}
