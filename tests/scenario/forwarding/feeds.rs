//! Stories of tracks whose packets come from the process itself.

use cabildo::domain::id::TrackId;
use cabildo::domain::media::{Codec, MediaKind};
use cabildo::sfu::engine::Handled;
use cabildo::sfu::feed::KeyFrameSignal;
use cabildo::sfu::plane::{
    Command, ExtensionIds, Format, Gate, MediaEvent, PublicationOrigin, PublicationSpec,
};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::sender_report::SenderReport;
use rtc_shared::marshal::Marshal;

use super::peers::{Fixture, Received, Stream, publication, subscription};
use super::taps::{take, tap, words};
use super::{PUBLISHER, SUBSCRIBER, assert_continuous, texts};

fn feed(fixture: &Fixture, kind: MediaKind) -> (PublicationSpec, KeyFrameSignal) {
    let wanted = KeyFrameSignal::default();
    let spec = PublicationSpec {
        origin: PublicationOrigin::Process(wanted.clone()),
        extensions: ExtensionIds::default(),
        ..publication(fixture, PUBLISHER, kind, "")
    };
    (spec, wanted)
}

/// A subscriber of a feed.
fn scene(kind: MediaKind) -> (Fixture, PublicationSpec, KeyFrameSignal) {
    let mut fixture = Fixture::new();
    fixture.join(SUBSCRIBER);
    let (spec, wanted) = feed(&fixture, kind);
    // Whoever waits for a feed gets it, too.
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    fixture.command(Command::AddPublication(spec.clone()));
    (fixture, spec, wanted)
}

fn give(fixture: &mut Fixture, track: TrackId, packet: &[u8]) -> Handled {
    let handled = fixture.forwarder.handle_fed_packet(track, packet, fixture.now);
    fixture.exchange();
    handled
}

fn say(fixture: &mut Fixture, track: TrackId, stream: &mut Stream, text: &str) {
    stream.timestamp = stream.timestamp.wrapping_add(960);
    let packet = stream.packet(text.as_bytes(), false, 0);
    assert_eq!(give(fixture, track, &packet), Handled::Media);
    fixture.pass(20);
}

fn show(fixture: &mut Fixture, track: TrackId, stream: &mut Stream, key: bool, text: &str) {
    stream.timestamp = stream.timestamp.wrapping_add(3000);
    let payload = stream.vp8_payload(key, text);
    let packet = stream.packet(&payload, true, 0);
    assert_eq!(give(fixture, track, &packet), Handled::Media);
    fixture.pass(33);
}

#[test]
fn a_feed_is_forwarded_gated_tapped_and_counted_like_a_peer() {
    let (mut fixture, spec, _) = scene(MediaKind::Audio);
    let (_sink, batches) = tap(&mut fixture, spec.track);
    let gate = |gate| Command::SetGate { track: spec.track, gate };
    let mut stream = Stream::new(500, 111, "");
    say(&mut fixture, spec.track, &mut stream, "public");
    fixture.command(gate(Gate::Closed));
    for _ in 0..5 {
        say(&mut fixture, spec.track, &mut stream, "secret");
    }
    fixture.command(gate(Gate::Open));
    let report = SenderReport { ssrc: 500, ntp_time: 7 << 32, ..SenderReport::default() };
    let report = report.marshal().expect("fits");
    assert_eq!(give(&mut fixture, spec.track, &report), Handled::Media);
    say(&mut fixture, spec.track, &mut stream, "public again");
    give(&mut fixture, spec.track, &report);
    fixture.command(Command::RemovePublication { track: spec.track });

    let heard = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(texts(&heard), ["public", "public again"]);
    assert_continuous(&heard, false);
    assert_eq!((heard[0].header.payload_type, heard[0].header.ssrc), (61, 0xA000_0001));
    let items = take(&mut fixture, &batches);
    let expected = [
        "(source 500 0)",
        "(opus)",
        "public",
        "(GateClosed)",
        "(GateOpened)",
        "(report)",
        "public again",
        "(report)",
        "(Ended)",
    ];
    assert_eq!(words(&items), expected);
    let started =
        MediaEvent::TrackStarted { room: fixture.room, track: spec.track, codec: Codec::Opus };
    assert_eq!(fixture.forwarder.poll_event(), Some(started));
    let totals = fixture.forwarder.totals();
    assert_eq!((totals.packets_in, totals.packets_forwarded, totals.dropped_gate), (7, 2, 5));
    assert_eq!(fixture.forwarder.sizes().publications, 0);
}

#[test]
fn a_receiver_of_a_feed_learns_the_senders_clock() {
    let (mut fixture, spec, _) = scene(MediaKind::Audio);
    let mut stream = Stream::new(500, 111, "");
    say(&mut fixture, spec.track, &mut stream, "word");
    let report = SenderReport { ssrc: 500, ntp_time: 7 << 32, ..SenderReport::default() };
    give(&mut fixture, spec.track, &report.marshal().expect("fits"));
    fixture.pass(1_100);
    let told = &fixture.peer(SUBSCRIBER).sender_reports;
    assert!(told.iter().any(|it| it.ssrc == 0xA000_0001 && it.ntp_time >> 32 >= 7), "{told:?}");
}

#[test]
fn a_key_frame_is_asked_for_when_a_receiver_needs_one() {
    let (mut fixture, spec, wanted) = scene(MediaKind::Video);
    let mut stream = Stream::new(1000, 96, "");
    show(&mut fixture, spec.track, &mut stream, false, "undecodable");
    assert!(wanted.take(), "it joined between key frames");
    assert!(!wanted.take(), "once");
    show(&mut fixture, spec.track, &mut stream, true, "picture");
    show(&mut fixture, spec.track, &mut stream, false, "next");
    fixture.pass(1_000);
    assert!(!wanted.take());
    let request = PictureLossIndication { sender_ssrc: 1, media_ssrc: 0xA000_0001 };
    fixture.send_rtcp(SUBSCRIBER, &request.marshal().expect("fits"));
    assert!(wanted.take(), "the receiver asked");
    let seen: Vec<String> = fixture.take_rtp(SUBSCRIBER).iter().map(Received::text).collect();
    assert_eq!(seen, ["picture", "next"]);
    assert_eq!(fixture.forwarder.totals().key_frame_requests_sent, 2);
}

#[test]
fn a_camera_that_restarts_goes_on_from_its_next_key_frame() {
    let (mut fixture, spec, wanted) = scene(MediaKind::Video);
    let mut before = Stream::new(1000, 96, "");
    show(&mut fixture, spec.track, &mut before, true, "first");
    show(&mut fixture, spec.track, &mut before, false, "second");
    assert!(wanted.take(), "asked for when it began");
    let mut after = Stream::new(9000, 96, "");
    show(&mut fixture, spec.track, &mut after, false, "undecodable");
    fixture.pass(300);
    assert!(wanted.take());
    show(&mut fixture, spec.track, &mut after, true, "third");
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.iter().map(Received::text).collect::<Vec<_>>(), ["first", "second", "third"]);
    assert_continuous(&seen, true);
}

#[test]
fn what_a_feed_lost_is_given_up_and_a_key_frame_wanted() {
    let (mut fixture, spec, wanted) = scene(MediaKind::Video);
    let (_sink, _batches) = tap(&mut fixture, spec.track);
    let mut stream = Stream::new(1000, 96, "");
    show(&mut fixture, spec.track, &mut stream, true, "first");
    assert!(wanted.take(), "asked for when it began");
    stream.sequence = stream.sequence.wrapping_add(3);
    show(&mut fixture, spec.track, &mut stream, false, "after a gap");
    fixture.pass(2_000);
    assert!(wanted.take(), "the tap can't go on without one");
    assert_eq!(fixture.forwarder.totals().nacks_sent, 0, "there is nobody to ask");
}

#[test]
fn what_is_no_packet_of_a_feed_is_dropped_and_counted() {
    let (mut fixture, spec, _) = scene(MediaKind::Audio);
    let mut stream = Stream::new(500, 111, "");
    let packet = stream.packet(b"word", false, 0);
    assert_eq!(give(&mut fixture, TrackId::generate(), &packet), Handled::Dropped);
    assert_eq!(give(&mut fixture, spec.track, &[22, 254, 253]), Handled::Dropped);
    assert_eq!(give(&mut fixture, spec.track, &[]), Handled::Dropped);
    give(&mut fixture, spec.track, &packet[..13]);
    stream.payload_type = 99;
    give(&mut fixture, spec.track, &stream.packet(b"other codec", false, 0));
    // A track of a peer takes nothing from the process.
    fixture.join(PUBLISHER);
    let peers_own = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(peers_own.clone()));
    assert_eq!(give(&mut fixture, peers_own.track, &packet), Handled::Dropped);
    let totals = fixture.forwarder.totals();
    assert_eq!(totals.dropped_unknown_source, 3);
    assert_eq!((totals.dropped_other, totals.dropped_malformed), (2, 1));
    assert!(fixture.peer(SUBSCRIBER).rtp.is_empty());
}

#[test]
fn a_feed_has_one_encoding_and_stays_in_its_room() {
    let mut fixture = Fixture::new();
    let (mut spec, _) = feed(&fixture, MediaKind::Video);
    spec.encodings.push(spec.encodings[0].clone());
    fixture.command(Command::AddPublication(spec.clone()));
    assert_eq!(fixture.forwarder.totals().commands_refused, 1);
    spec.encodings.truncate(1);
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.join_room(SUBSCRIBER, cabildo::domain::id::SessionId::generate());
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(1000, 96, "");
    show(&mut fixture, spec.track, &mut stream, true, "not theirs");
    assert!(fixture.peer(SUBSCRIBER).rtp.is_empty());
}

#[test]
fn a_feed_may_have_any_format_that_its_receivers_understand() {
    let mut fixture = Fixture::new();
    fixture.join(SUBSCRIBER);
    let (mut spec, _) = feed(&fixture, MediaKind::Video);
    spec.formats = vec![Format { payload_type: 96, codec: Codec::H264, rtx_payload_type: None }];
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(1000, 96, "");
    for payload in [&[0x41, 1][..], &[0x67, 1], &[0x65, 1]] {
        give(&mut fixture, spec.track, &stream.packet(payload, true, 0));
    }
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.iter().map(|it| it.payload[0]).collect::<Vec<_>>(), [0x67, 0x65]);
}
