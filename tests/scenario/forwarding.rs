//! Stories of the forwarder in virtual time: what passes, what does not, and
//! what a receiver sees of it.

mod bandwidth;
mod conditions;
mod feeds;
mod incoming;
mod key_frames;
mod peers;
mod strays;
mod surroundings;
mod taps;

use std::collections::BTreeSet;

use cabildo::domain::id::TrackId;
use cabildo::domain::media::{Codec, MediaKind};
use cabildo::sfu::plane::{
    Command, Demand, EncodingSpec, Format, Gate, MediaEvent, PublicationSpec, SubscriptionId,
};
use peers::{Fixture, Received, Stream, publication, subscription};
use rtc_rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc_rtcp::transport_feedbacks::transport_layer_nack::{
    TransportLayerNack, nack_pairs_from_sequence_numbers,
};
use rtc_shared::marshal::Marshal;

const PUBLISHER: u64 = 1;
const SUBSCRIBER: u64 = 2;

/// Sequence numbers that ascend by one, timestamps and picture ids that ascend.
#[track_caller]
fn assert_continuous(packets: &[Received], pictures: bool) {
    for pair in packets.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert_eq!(after.header.sequence, before.header.sequence.wrapping_add(1));
        let ahead = after.header.timestamp.wrapping_sub(before.header.timestamp);
        assert!((1..1 << 31).contains(&ahead), "the timestamp ran back");
        if pictures {
            let ids = [before, after].map(|it| it.vp8().picture_id().expect("numbered"));
            assert_eq!(ids[1], (ids[0] + 1) & 0x7FFF);
        }
    }
}

/// One publisher of a single encoding of pictures, one subscriber.
fn picture_scene() -> (Fixture, PublicationSpec, Stream) {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Video, "v");
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(1000, 96, "v");
    stream.rtx = Some((1001, 97));
    (fixture, spec, stream)
}

fn show(fixture: &mut Fixture, stream: &mut Stream, key: bool, text: &str) {
    stream.timestamp = stream.timestamp.wrapping_add(3000);
    let payload = stream.vp8_payload(key, text);
    fixture.send(PUBLISHER, stream, &payload, true);
    fixture.pass(33);
}

fn say(fixture: &mut Fixture, peer: u64, stream: &mut Stream, text: &str) {
    stream.timestamp = stream.timestamp.wrapping_add(960);
    fixture.send(peer, stream, text.as_bytes(), false);
    fixture.pass(20);
}

fn texts(packets: &[Received]) -> Vec<String> {
    packets.iter().map(|it| String::from_utf8_lossy(&it.payload).into_owned()).collect()
}

#[test]
fn sound_is_rewritten_for_its_receiver() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(500, 111, "a");
    stream.level = Some(0x80 | 0x1E);
    for word in ["uno", "dos", "tres"] {
        say(&mut fixture, PUBLISHER, &mut stream, word);
    }
    let heard = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(texts(&heard), ["uno", "dos", "tres"]);
    assert_continuous(&heard, false);
    for (number, packet) in (0_u8..).zip(&heard) {
        assert_eq!((packet.header.payload_type, packet.header.ssrc), (61, 0xA000_0001));
        let expected = [
            (peers::MID, vec![b's']),
            (peers::TRANSPORT_CC, vec![0, number]),
            (peers::LEVEL, vec![0x9E]),
        ];
        assert_eq!(packet.extensions, expected);
    }
    let started =
        MediaEvent::TrackStarted { room: fixture.room, track: spec.track, codec: Codec::Opus };
    assert_eq!(fixture.forwarder.poll_event(), Some(started));
}

#[test]
fn a_closed_gate_lets_nothing_pass_and_opens_without_a_trace() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(500, 111, "a");
    let gate = |gate| Command::SetGate { track: spec.track, gate };
    say(&mut fixture, PUBLISHER, &mut stream, "public");
    fixture.command(gate(Gate::Closed));
    for _ in 0..50 {
        say(&mut fixture, PUBLISHER, &mut stream, "secret");
    }
    assert_eq!(texts(&fixture.peer(SUBSCRIBER).rtp), ["public"]);
    fixture.command(gate(Gate::Open));
    say(&mut fixture, PUBLISHER, &mut stream, "public again");
    say(&mut fixture, PUBLISHER, &mut stream, "and more");
    let heard = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(texts(&heard), ["public", "public again", "and more"]);
    assert_continuous(&heard, false);
    let advanced = heard[1].header.timestamp.wrapping_sub(heard[0].header.timestamp);
    assert_eq!(advanced, 51 * 960, "time went on while it was closed");
    assert_eq!(fixture.forwarder.totals().dropped_gate, 50);
}

#[test]
fn what_was_said_behind_a_closed_gate_cannot_be_asked_for() {
    let (mut fixture, spec, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "public");
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
    for _ in 0..5 {
        show(&mut fixture, &mut stream, false, "secret");
    }
    let hidden = stream.clone();
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Open });
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), 1, "opening asks for a key frame");
    show(&mut fixture, &mut stream, false, "undecodable");
    show(&mut fixture, &mut stream, true, "public again");
    // The publisher repeats what it sent behind the gate.
    let mut late = hidden;
    late.sequence = late.sequence.wrapping_sub(3);
    let payload = late.vp8_payload(true, "secret");
    fixture.send(PUBLISHER, &mut late, &payload, true);
    let sequence = fixture.peer(SUBSCRIBER).rtp[0].header.sequence;
    let all: Vec<u16> = (0..40).map(|step| sequence.wrapping_sub(20).wrapping_add(step)).collect();
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 0xA000_0001,
        nacks: nack_pairs_from_sequence_numbers(&all),
    };
    fixture.send_rtcp(SUBSCRIBER, &nack.marshal().expect("fits"));
    fixture.pass(100);
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert!(seen.len() >= 3, "the last packet was sent again");
    for packet in &seen {
        assert!(!String::from_utf8_lossy(&packet.payload).contains("secret"));
    }
    assert_continuous(&seen[..2], true);
}

#[test]
fn a_late_joiner_gets_a_key_frame_at_once() {
    let (mut fixture, spec, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "key");
    fixture.pass(2000);
    fixture.join(3);
    let before = fixture.peer(PUBLISHER).plis.len();
    fixture.command(Command::AddSubscription(subscription(3, 2, &spec)));
    let plis = &fixture.peer(PUBLISHER).plis[before..];
    assert_eq!(plis, [(1000, fixture.now - fixture.start)]);
    show(&mut fixture, &mut stream, false, "undecodable");
    assert!(fixture.peer(3).rtp.is_empty());
    show(&mut fixture, &mut stream, true, "key");
    assert_eq!(fixture.peer(3).rtp.len(), 1);
    let waiting = fixture.peer(PUBLISHER).plis.len();
    fixture.pass(3000);
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), waiting, "nobody waits any more");
}

#[test]
fn many_who_ask_cause_one_request() {
    let (mut fixture, _, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "key");
    fixture.pass(1000);
    let before = fixture.peer(PUBLISHER).plis.len();
    let pli = PictureLossIndication { sender_ssrc: 1, media_ssrc: 0xA000_0001 };
    for _ in 0..100 {
        fixture.send_rtcp(SUBSCRIBER, &pli.marshal().expect("fits"));
    }
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), before + 1);
}

/// Two encodings, told apart by their rid alone.
fn simulcast_scene() -> (Fixture, PublicationSpec, [Stream; 2]) {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let mut spec = publication(&fixture, PUBLISHER, MediaKind::Video, "v");
    let encoding = |rid: &str| EncodingSpec { rid: Some(rid.to_owned()), ..Default::default() };
    spec.encodings = vec![encoding("l"), encoding("h")];
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut streams = [Stream::new(2000, 96, "v"), Stream::new(3000, 96, "v")];
    streams[0].rid = Some("l");
    streams[1].rid = Some("h");
    streams[1].picture = 9000;
    (fixture, spec, streams)
}

/// A key frame that says its size.
fn sized(stream: &mut Stream, (width, height): (u16, u16)) -> Vec<u8> {
    let mut payload = stream.vp8_payload(true, "");
    payload.extend_from_slice(&[0, 0, 0x9D, 1, 0x2A]);
    payload.extend_from_slice(&width.to_le_bytes());
    payload.extend_from_slice(&height.to_le_bytes());
    payload
}

#[test]
fn the_best_layer_is_the_one_with_the_largest_pictures_wherever_it_is_listed() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    let sizes = [(1280, 720), (320, 180)];
    for _ in 0..3 {
        for (stream, size) in streams.iter_mut().zip(sizes) {
            stream.timestamp = stream.timestamp.wrapping_add(3000);
            let payload = sized(stream, size);
            fixture.send(PUBLISHER, stream, &payload, true);
        }
        fixture.pass(33);
    }
    let size = |packet: &Received| {
        let payload = &packet.payload;
        let side = |at: usize| u16::from_le_bytes([payload[at], payload[at + 1]]);
        (side(payload.len() - 4), side(payload.len() - 2))
    };
    let seen: Vec<_> = fixture.take_rtp(SUBSCRIBER).iter().map(size).collect();
    assert_eq!(seen, [(1280, 720); 3], "the layer that is listed first");
    let demand = Demand { layer_max: 0, paused: false };
    fixture.command(Command::SetDemand { subscription: SubscriptionId(1), demand });
    for (stream, size) in streams.iter_mut().zip(sizes) {
        let payload = sized(stream, size);
        fixture.send(PUBLISHER, stream, &payload, true);
    }
    let seen: Vec<_> = fixture.take_rtp(SUBSCRIBER).iter().map(size).collect();
    assert_eq!(seen.last(), Some(&(320, 180)), "the lowest layer is the one with small pictures");
}

#[test]
fn a_layer_whose_first_key_frame_was_lost_is_asked_for_another_to_learn_its_size() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    let demand = Demand { layer_max: 0, paused: false };
    fixture.command(Command::SetDemand { subscription: SubscriptionId(1), demand });
    let sizes = [(320, 180), (1280, 720)];
    // A browser begins with little for the large pictures.
    let texts = ["the small pictures have much more at first", ""];
    let mut asked = 0;
    for step in 0..90 {
        let plis = fixture.peer(PUBLISHER).plis.clone();
        let (before, now) = plis.split_at(asked);
        asked = before.len() + now.len();
        for ((stream, size), text) in streams.iter_mut().zip(sizes).zip(texts) {
            stream.timestamp = stream.timestamp.wrapping_add(3000);
            let is_asked = now.iter().any(|(ssrc, _)| *ssrc == stream.ssrc);
            // The first key frame of the small ones is lost.
            let payload = if is_asked || (step == 0 && size.0 > 320) {
                sized(stream, size)
            } else {
                stream.vp8_payload(false, text)
            };
            fixture.send(PUBLISHER, stream, &payload, true);
        }
        fixture.pass(33);
    }
    let small = streams[0].ssrc;
    let plis = &fixture.peer(PUBLISHER).plis;
    assert!(plis.iter().any(|(ssrc, _)| *ssrc == small), "{plis:?}");
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.last().map(Received::text).as_deref(), Some(texts[0]));
    let stats = fixture.forwarder.stats();
    assert!(stats.subscriptions.iter().any(|(_, it)| it.layer == Some(0)));
}

#[test]
fn without_known_sizes_the_layer_with_the_higher_rate_is_the_better_one() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    let names = ["much more of everything in each picture, since it is large", "little"];
    for step in 0..60 {
        for (stream, name) in streams.iter_mut().zip(names) {
            stream.timestamp = stream.timestamp.wrapping_add(3000);
            let payload = stream.vp8_payload(step % 10 == 0, name);
            fixture.send(PUBLISHER, stream, &payload, true);
        }
        fixture.pass(33);
    }
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.last().map(Received::text).as_deref(), Some(names[0]));
}

#[test]
fn a_second_source_in_a_section_is_left_out_until_the_first_is_silent() {
    for kind in [MediaKind::Video, MediaKind::Audio] {
        let mut fixture = Fixture::new();
        fixture.join(PUBLISHER);
        fixture.join(SUBSCRIBER);
        let spec = publication(&fixture, PUBLISHER, kind, "s");
        fixture.command(Command::AddPublication(spec.clone()));
        fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
        let payload_type = spec.formats[0].payload_type;
        let mut first = Stream::new(2000, payload_type, "s");
        let mut second = Stream::new(3000, payload_type, "s");
        let send = |fixture: &mut Fixture, stream: &mut Stream, name: &str| {
            stream.timestamp = stream.timestamp.wrapping_add(1800);
            let payload = match kind {
                MediaKind::Video => stream.vp8_payload(true, name),
                MediaKind::Audio => format!("......{name}").into_bytes(),
            };
            fixture.send(PUBLISHER, stream, &payload, true);
            fixture.pass(10);
        };
        for _ in 0..50 {
            send(&mut fixture, &mut first, "first");
            send(&mut fixture, &mut second, "second");
        }
        let seen = fixture.take_rtp(SUBSCRIBER);
        let names: Vec<String> = seen.iter().map(Received::text).collect();
        assert_eq!(names, vec!["first"; 50], "{kind}");
        assert_continuous(&seen, kind == MediaKind::Video);
        fixture.pass(1_100);
        for _ in 0..3 {
            send(&mut fixture, &mut second, "second");
        }
        let seen = fixture.take_rtp(SUBSCRIBER);
        let names: Vec<String> = seen.iter().map(Received::text).collect();
        assert_eq!(names, vec!["second"; 3], "{kind}");
    }
}

fn show_both(fixture: &mut Fixture, streams: &mut [Stream; 2], keys: [bool; 2]) {
    for (stream, (key, name)) in streams.iter_mut().zip(keys.into_iter().zip(["low", "high"])) {
        stream.timestamp = stream.timestamp.wrapping_add(3000);
        let payload = stream.vp8_payload(key, name);
        fixture.send(PUBLISHER, stream, &payload, true);
    }
    fixture.pass(33);
}

#[test]
fn layers_switch_at_key_frames_and_leave_no_seam() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    show_both(&mut fixture, &mut streams, [true, false]);
    for _ in 0..3 {
        show_both(&mut fixture, &mut streams, [false, false]);
    }
    assert!(fixture.peer(PUBLISHER).plis.iter().any(|(ssrc, _)| *ssrc == 3000));
    for _ in 0..3 {
        show_both(&mut fixture, &mut streams, [false, true]);
    }
    let demand = Demand { layer_max: 0, paused: false };
    fixture.command(Command::SetDemand { subscription: SubscriptionId(1), demand });
    show_both(&mut fixture, &mut streams, [false, false]);
    show_both(&mut fixture, &mut streams, [true, false]);
    show_both(&mut fixture, &mut streams, [false, false]);
    let seen = fixture.take_rtp(SUBSCRIBER);
    let names: Vec<String> = seen.iter().map(Received::text).collect();
    let (low, high) = ("low".to_owned(), "high".to_owned());
    let expected = [vec![low.clone(); 5], vec![high; 4], vec![low; 2]].concat();
    // The key frame of the better layer follows the last of the lower one
    // that was sent with it.
    assert_eq!(names, expected);
    assert_continuous(&seen, true);
}

#[test]
fn sources_that_go_on_in_a_section_that_is_used_again_need_not_say_who_they_are() {
    let (mut fixture, mut spec, mut streams) = simulcast_scene();
    show_both(&mut fixture, &mut streams, [true, true]);
    fixture.command(Command::RemovePublication { track: spec.track });
    fixture.take_rtp(SUBSCRIBER);
    show_both(&mut fixture, &mut streams, [true, true]);
    assert!(fixture.take_rtp(SUBSCRIBER).is_empty(), "nothing is published");

    // As browsers do once they were heard.
    for stream in &mut streams {
        (stream.mid, stream.rid) = ("", None);
    }
    let other = publication(&fixture, PUBLISHER, MediaKind::Video, "w");
    fixture.command(Command::AddPublication(other.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 2, &other)));
    spec.track = TrackId::generate();
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 3, &spec)));
    for _ in 0..3 {
        show_both(&mut fixture, &mut streams, [true, true]);
    }
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert!(seen.iter().any(|it| it.text() == "low") && seen.iter().any(|it| it.text() == "high"));
    assert!(seen.iter().all(|it| it.header.ssrc == 0xA000_0003), "only in its own section");
    assert!(fixture.peer(PUBLISHER).plis.iter().any(|(ssrc, _)| [2000, 3000].contains(ssrc)));
}

#[test]
fn the_lower_layer_takes_over_when_the_better_one_ends() {
    let (mut fixture, _, mut streams) = simulcast_scene();
    show_both(&mut fixture, &mut streams, [true, true]);
    show_both(&mut fixture, &mut streams, [true, true]);
    let before = fixture.peer(PUBLISHER).plis.len();
    for _ in 0..60 {
        show(&mut fixture, &mut streams[0], false, "low");
    }
    assert!(fixture.peer(PUBLISHER).plis[before..].iter().any(|(ssrc, _)| *ssrc == 2000));
    show(&mut fixture, &mut streams[0], true, "low");
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.last().map(Received::text).as_deref(), Some("low"));
    assert_continuous(&seen, true);
}

#[test]
fn a_pause_sends_nothing_and_leaves_no_hole() {
    let (mut fixture, _, mut stream) = picture_scene();
    let demand = |paused| Command::SetDemand {
        subscription: SubscriptionId(1),
        demand: Demand { paused, ..Demand::default() },
    };
    show(&mut fixture, &mut stream, true, "before");
    fixture.command(demand(true));
    show(&mut fixture, &mut stream, true, "meanwhile");
    fixture.command(demand(false));
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), 1);
    show(&mut fixture, &mut stream, true, "after");
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.iter().map(Received::text).collect::<Vec<_>>(), ["before", "after"]);
    assert_continuous(&seen, true);
}

#[test]
fn a_lost_packet_comes_again_as_a_retransmission_a_bounded_number_of_times() {
    let (mut fixture, _, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "one");
    show(&mut fixture, &mut stream, false, "two");
    let original = fixture.take_rtp(SUBSCRIBER)[1].clone();
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 0xA000_0001,
        nacks: nack_pairs_from_sequence_numbers(&[original.header.sequence]),
    };
    for _ in 0..50 {
        fixture.send_rtcp(SUBSCRIBER, &nack.marshal().expect("fits"));
        fixture.pass(20);
    }
    let resent = fixture.take_rtp(SUBSCRIBER);
    assert!((1..=8).contains(&resent.len()), "{} times", resent.len());
    for packet in &resent {
        assert_eq!((packet.header.payload_type, packet.header.ssrc), (47, 0xB000_0001));
        assert_eq!(packet.header.timestamp, original.header.timestamp);
        assert_eq!(packet.payload[..2], original.header.sequence.to_be_bytes());
        assert_eq!(packet.payload[2..], original.payload);
    }
}

#[test]
fn without_a_retransmission_format_a_packet_is_repeated_byte_for_byte() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let mut spec = publication(&fixture, PUBLISHER, MediaKind::Video, "v");
    spec.formats[0].rtx_payload_type = None;
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(1000, 96, "v");
    show(&mut fixture, &mut stream, true, "one");
    show(&mut fixture, &mut stream, false, "two");
    let first = fixture.take_rtp(SUBSCRIBER)[0].clone();
    let nack = TransportLayerNack {
        sender_ssrc: 1,
        media_ssrc: 0xA000_0001,
        nacks: nack_pairs_from_sequence_numbers(&[first.header.sequence]),
    };
    fixture.send_rtcp(SUBSCRIBER, &nack.marshal().expect("fits"));
    let again = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(again.len(), 1);
    assert_eq!((again[0].header, &again[0].payload), (first.header, &first.payload));
    assert_eq!(again[0].extensions, first.extensions);
}

#[test]
fn loss_on_both_legs_is_recovered() {
    let (mut fixture, _, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "key");
    fixture.loss_per_mille = 50;
    let mut complete = BTreeSet::new();
    let mut highest = None;
    for step in 0..600 {
        show(&mut fixture, &mut stream, false, &format!("{step}"));
        let mut newest = highest;
        for packet in fixture.take_rtp(SUBSCRIBER) {
            let (sequence, text) = if packet.header.ssrc == 0xB000_0001 {
                let original = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
                (original, packet.payload[8..].to_vec())
            } else {
                newest = newest.max(Some(packet.header.sequence));
                (packet.header.sequence, packet.payload[6..].to_vec())
            };
            complete.insert((sequence, String::from_utf8(text).expect("text")));
        }
        // The receiver asks for what it misses of the last forty.
        if let Some(newest) = newest {
            let has = |sequence: u16| complete.iter().any(|(it, _)| *it == sequence);
            let lost: Vec<u16> =
                (newest.saturating_sub(40).max(4)..newest).filter(|it| !has(*it)).collect();
            if !lost.is_empty() {
                let nacks = nack_pairs_from_sequence_numbers(&lost);
                let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: 0xA000_0001, nacks };
                fixture.send_rtcp(SUBSCRIBER, &nack.marshal().expect("fits"));
            }
        }
        highest = newest;
    }
    let shown: BTreeSet<usize> =
        complete.iter().filter_map(|(_, text)| text.parse().ok()).collect();
    let missing = (0..560).filter(|step| !shown.contains(step)).count();
    assert!(missing <= 1, "{missing} of 560 stayed lost");
    assert!(fixture.forwarder.totals().packets_recovered > 10);
    assert!(fixture.forwarder.totals().packets_resent > 10);
}

#[test]
fn a_slot_follows_the_floor_from_one_source_to_another() {
    let mut fixture = Fixture::new();
    for peer in [PUBLISHER, SUBSCRIBER, 3] {
        fixture.join(peer);
    }
    let first = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    let second = publication(&fixture, 3, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(first.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &first)));
    fixture.command(Command::AddPublication(second.clone()));
    let mut streams = [Stream::new(500, 111, "a"), Stream::new(600, 111, "a")];
    let slot = |source| Command::SetSource { subscription: SubscriptionId(1), source };
    for (turn, source) in
        [Some(first.track), Some(second.track), None, Some(first.track)].into_iter().enumerate()
    {
        fixture.command(slot(source));
        for _ in 0..3 {
            say(&mut fixture, PUBLISHER, &mut streams[0], &format!("first {turn}"));
            say(&mut fixture, 3, &mut streams[1], &format!("second {turn}"));
        }
    }
    let heard = fixture.take_rtp(SUBSCRIBER);
    let expected = [vec!["first 0"; 3], vec!["second 1"; 3], vec!["first 3"; 3]].concat();
    assert_eq!(texts(&heard), expected);
    assert_continuous(&heard, false);
}

#[test]
fn a_change_of_codec_needs_a_format_for_it() {
    let h264 = |payload_type| Format { payload_type, codec: Codec::H264, rtx_payload_type: None };
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    fixture.join(3);
    let mut spec = publication(&fixture, PUBLISHER, MediaKind::Video, "v");
    spec.formats.push(h264(102));
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut only_vp8 = subscription(3, 2, &spec);
    only_vp8.formats.truncate(1);
    fixture.command(Command::AddSubscription(only_vp8));
    let mut stream = Stream::new(1000, 96, "v");
    show(&mut fixture, &mut stream, true, "vp8");
    stream.payload_type = 102;
    for payload in [&[0x41, 1][..], &[0x67, 1], &[0x65, 1]] {
        stream.timestamp = stream.timestamp.wrapping_add(3000);
        fixture.send(PUBLISHER, &mut stream, payload, true);
        fixture.pass(33);
    }
    let only_vp8 = &fixture.peer(3).rtp;
    assert_eq!(only_vp8.len(), 1);
    stream.payload_type = 96;
    show(&mut fixture, &mut stream, false, "undecodable");
    show(&mut fixture, &mut stream, true, "vp8 again");
    assert_eq!(fixture.peer(3).rtp.len(), 2);
    assert_continuous(&fixture.peer(3).rtp, true);
    let seen = fixture.take_rtp(SUBSCRIBER);
    let types: Vec<u8> = seen.iter().map(|it| it.header.payload_type).collect();
    assert_eq!(types, [46, 52, 52, 46], "it starts at the parameter set");
    assert_continuous(&seen, false);
    assert_eq!(fixture.forwarder.totals().dropped_format, 3);
}
