//! Taps: what a subscription that ends in the process gets of a track.

use std::collections::BTreeSet;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use cabildo::domain::id::TrackId;
use cabildo::domain::media::{Codec, MediaKind};
use cabildo::domain::time::Timestamp;
use cabildo::formats::rtp::Header;
use cabildo::sfu::engine::Sizes;
use cabildo::sfu::plane::{Command, Format, Gate, TransportId};
use cabildo::sfu::tap::{TapBatch, TapKind, TapSink};
use rtc_rtcp::sender_report::SenderReport;
use rtc_shared::marshal::Marshal;

use super::peers::{Fixture, Stream, publication, subscription};
use super::{PUBLISHER, SUBSCRIBER, picture_scene, say, show, show_both, simulcast_scene};

/// An item that outlives its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Packet(Vec<u8>, bool),
    Report(Vec<u8>),
    Other(TapKind<'static>),
}

impl Item {
    fn of(kind: TapKind<'_>) -> Self {
        Self::Other(match kind {
            TapKind::Packet { bytes, key_frame_start } => {
                return Self::Packet(bytes.to_vec(), key_frame_start);
            }
            TapKind::SenderReport(bytes) => return Self::Report(bytes.to_vec()),
            TapKind::Source { ssrc, layer } => TapKind::Source { ssrc, layer },
            TapKind::Codec { payload_type, codec } => TapKind::Codec { payload_type, codec },
            TapKind::Levels { extension } => TapKind::Levels { extension },
            TapKind::GateClosed => TapKind::GateClosed,
            TapKind::GateOpened => TapKind::GateOpened,
            TapKind::KeyFrameRequested => TapKind::KeyFrameRequested,
            TapKind::Lost(packets) => TapKind::Lost(packets),
            TapKind::Ended => TapKind::Ended,
        })
    }

    /// A word for it, as stories are told.
    fn word(&self) -> String {
        match self {
            Self::Packet(bytes, _) => {
                let header = Header::parse(bytes).expect("well formed");
                let payload = &bytes[header.length..];
                let text = payload.strip_prefix(&[0x90]).map_or(payload, |_| &payload[6..]);
                String::from_utf8_lossy(text).into_owned()
            }
            Self::Report(_) => "(report)".to_owned(),
            Self::Other(TapKind::Source { ssrc, layer }) => format!("(source {ssrc} {layer})"),
            Self::Other(TapKind::Codec { codec, .. }) => format!("({})", codec.as_str()),
            Self::Other(TapKind::Levels { extension }) => format!("(levels {extension})"),
            Self::Other(TapKind::Lost(packets)) => format!("(lost {packets})"),
            Self::Other(other) => format!("({other:?})"),
        }
    }
}

/// Offers what is ready, as a worker does; what is refused goes back.
fn offer(fixture: &mut Fixture) {
    while let Some((sink, batch)) = fixture.forwarder.poll_tap() {
        if let Err(batch) = sink.offer(batch) {
            fixture.forwarder.handle_tap_refused(&sink, &batch);
        }
    }
}

pub(super) fn take(
    fixture: &mut Fixture,
    batches: &Receiver<TapBatch>,
) -> Vec<(TrackId, u64, Item)> {
    fixture.pass(20);
    offer(fixture);
    let mut items = Vec::new();
    while let Ok(batch) = batches.try_recv() {
        items.extend(batch.items().map(|it| (it.track, it.at_us, Item::of(it.kind))));
    }
    items
}

pub(super) fn words(items: &[(TrackId, u64, Item)]) -> Vec<String> {
    items.iter().map(|(_, _, item)| item.word()).collect()
}

pub(super) fn tap(fixture: &mut Fixture, track: TrackId) -> (TapSink, Receiver<TapBatch>) {
    let (sink, batches) = TapSink::bounded(64);
    fixture.command(Command::AddTap { track, sink: sink.clone() });
    (sink, batches)
}

#[test]
fn a_tap_gets_what_passes_the_gate_as_it_came_and_nothing_else() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    let wall = Timestamp::from_unix_us(1_700_000_000_000_000);
    fixture.forwarder.handle_wall_clock(wall, fixture.now);
    let begun = fixture.now;
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    let (sink, batches) = tap(&mut fixture, spec.track);
    let mut stream = Stream::new(500, 111, "a");
    let gate = |gate| Command::SetGate { track: spec.track, gate };
    say(&mut fixture, PUBLISHER, &mut stream, "public");
    fixture.command(gate(Gate::Closed));
    for _ in 0..5 {
        say(&mut fixture, PUBLISHER, &mut stream, "secret");
    }
    let report = SenderReport { ssrc: 500, ..SenderReport::default() };
    fixture.send_rtcp(PUBLISHER, &report.marshal().expect("fits"));
    fixture.command(gate(Gate::Open));
    let said_at = fixture.now - begun;
    say(&mut fixture, PUBLISHER, &mut stream, "public again");
    fixture.send_rtcp(PUBLISHER, &report.marshal().expect("fits"));
    fixture.command(Command::RemoveTap { track: spec.track, sink });
    say(&mut fixture, PUBLISHER, &mut stream, "not for the tap");
    let items = take(&mut fixture, &batches);
    let expected = [
        "(source 500 0)",
        "(opus)",
        "(levels 5)",
        "public",
        "(GateClosed)",
        "(GateOpened)",
        "public again",
        "(report)",
        "(Ended)",
    ];
    assert_eq!(words(&items), expected);
    assert!(items.iter().all(|(track, _, _)| *track == spec.track));
    let at_us = items[6].1 - 1_700_000_000_000_000;
    assert_eq!(Duration::from_micros(at_us), said_at);
    let Item::Packet(bytes, true) = &items[6].2 else { panic!("a packet of sound") };
    let header = Header::parse(bytes).expect("well formed");
    assert_eq!((header.payload_type, header.ssrc), (111, 500));
    assert_eq!(header.extensions(bytes).count(), 2, "its extensions are kept");
    let Item::Report(bytes) = &items[7].2 else { panic!("a report") };
    assert_eq!(bytes[..8], [0x80, 200, 0, 6, 0, 0, 1, 0xF4]);
}

#[test]
fn a_tap_begins_with_a_key_frame_request_behind_a_gate_that_is_closed() {
    let (mut fixture, spec, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "before");
    fixture.pass(1_000);
    let before = fixture.peer(PUBLISHER).plis.len();
    let (_, batches) = tap(&mut fixture, spec.track);
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), before + 1);
    show(&mut fixture, &mut stream, false, "undecodable");
    show(&mut fixture, &mut stream, true, "key");
    let told = words(&take(&mut fixture, &batches));
    let expected = ["(KeyFrameRequested)", "(source 1000 0)", "(vp8)", "undecodable", "key"];
    assert_eq!(told, expected);
    fixture.pass(300);
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
    let (_, late) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "secret");
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Open });
    let told = words(&take(&mut fixture, &late));
    assert_eq!(told, ["(GateClosed)", "(GateOpened)", "(KeyFrameRequested)"]);
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), before + 2);
}

#[test]
fn a_tap_falls_back_when_the_best_encoding_ends_and_returns_at_a_key_frame() {
    let (mut fixture, spec, mut streams) = simulcast_scene();
    let (_, batches) = tap(&mut fixture, spec.track);
    show_both(&mut fixture, &mut streams, [true, false]);
    show_both(&mut fixture, &mut streams, [false, true]);
    show_both(&mut fixture, &mut streams, [false, false]);
    let told: Vec<String> = words(&take(&mut fixture, &batches))
        .into_iter()
        .filter(|word| word != "(KeyFrameRequested)")
        .collect();
    let expected = ["(source 2000 0)", "(vp8)", "low", "low", "(source 3000 1)", "(vp8)"];
    assert_eq!(told[..6], expected);
    assert_eq!(told[6..], ["high", "high"]);
    for _ in 0..40 {
        show(&mut fixture, &mut streams[0], false, "low");
    }
    let told = words(&take(&mut fixture, &batches));
    let switch = told.iter().position(|word| word == "(source 2000 0)").expect("it fell back");
    assert!(told[..switch].iter().all(|word| word == "(KeyFrameRequested)"), "{told:?}");
    assert!(told[switch..].iter().filter(|word| *word == "low").count() > 5);
    show_both(&mut fixture, &mut streams, [false, false]);
    show_both(&mut fixture, &mut streams, [false, true]);
    show_both(&mut fixture, &mut streams, [false, false]);
    let told: Vec<String> = words(&take(&mut fixture, &batches))
        .into_iter()
        .filter(|word| word != "(KeyFrameRequested)")
        .collect();
    assert_eq!(told, ["low", "low", "(source 3000 1)", "(vp8)", "high", "high"]);
}

#[test]
fn retransmissions_are_undone_and_nothing_comes_twice() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (_, batches) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "key");
    fixture.loss_per_mille = 50;
    let mut sequences = BTreeSet::new();
    let mut texts = BTreeSet::new();
    let mut timestamps = BTreeSet::new();
    for step in 0..600 {
        show(&mut fixture, &mut stream, false, &format!("{step}"));
        for (_, _, item) in take(&mut fixture, &batches) {
            if let Item::Packet(bytes, _) = &item {
                let header = Header::parse(bytes).expect("well formed");
                assert_eq!((header.ssrc, header.payload_type), (1000, 96));
                assert!(sequences.insert(header.sequence), "{} came twice", header.sequence);
                timestamps.insert(header.timestamp);
                texts.insert(item.word());
            }
        }
    }
    let missing = (0..560).filter(|step| !texts.contains(&step.to_string())).count();
    assert!(missing <= 1, "{missing} of 560 stayed lost");
    assert_eq!(timestamps.len(), sequences.len(), "each has its own timestamp");
    assert!(fixture.forwarder.totals().packets_recovered > 10);
}

#[test]
fn loss_that_is_not_repaired_asks_for_a_key_frame() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (_, batches) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "key");
    stream.rtx = None;
    let told = words(&take(&mut fixture, &batches));
    assert_eq!(told.last().map(String::as_str), Some("key"));
    let before = fixture.peer(PUBLISHER).plis.len();
    // Nobody can repair what was never sent.
    stream.sequence = stream.sequence.wrapping_add(1);
    for _ in 0..30 {
        show(&mut fixture, &mut stream, false, "more");
    }
    assert!(fixture.peer(PUBLISHER).plis.len() > before);
    let told = words(&take(&mut fixture, &batches));
    assert!(told.contains(&"(KeyFrameRequested)".to_owned()));
}

#[test]
fn pictures_that_go_on_without_a_key_frame_have_one_asked_for_now_and_then() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (_, batches) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "key");
    let before = fixture.peer(PUBLISHER).plis.len();
    let began = fixture.now;
    while fixture.peer(PUBLISHER).plis.len() == before {
        show(&mut fixture, &mut stream, false, "more");
        take(&mut fixture, &batches);
        assert!(fixture.now - began < Duration::from_secs(25), "nobody asked");
    }
    assert!(fixture.now - began >= Duration::from_secs(20), "asked too early");
    show(&mut fixture, &mut stream, true, "key");
    let asked = fixture.peer(PUBLISHER).plis.len();
    for _ in 0..100 {
        show(&mut fixture, &mut stream, false, "more");
    }
    take(&mut fixture, &batches);
    assert_eq!(fixture.peer(PUBLISHER).plis.len(), asked, "once is enough");
}

#[test]
fn a_codec_that_changes_is_told() {
    let (mut fixture, mut spec, mut stream) = picture_scene();
    fixture.command(Command::RemovePublication { track: spec.track });
    spec.track = TrackId::generate();
    spec.formats.push(Format { payload_type: 102, codec: Codec::H264, rtx_payload_type: None });
    fixture.command(Command::AddPublication(spec.clone()));
    let (_, batches) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "vp8");
    stream.payload_type = 102;
    fixture.send(PUBLISHER, &mut stream, &[0x67, b'!'], true);
    let mut told = take(&mut fixture, &batches);
    told.retain(|(_, _, item)| *item != Item::Other(TapKind::KeyFrameRequested));
    let codec = |payload_type, codec| Item::Other(TapKind::Codec { payload_type, codec });
    assert_eq!(told[1].2, codec(96, Codec::Vp8));
    assert_eq!(told[3].2, codec(102, Codec::H264));
    assert!(matches!(told[4].2, Item::Packet(_, true)));
    assert_eq!(told.len(), 5);
}

#[test]
fn a_slow_tap_never_slows_forwarding_and_is_told_what_it_missed() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (sink, batches) = TapSink::bounded(1);
    fixture.command(Command::AddTap { track: spec.track, sink: sink.clone() });
    let mut shown = 0;
    for step in 0..100 {
        show(&mut fixture, &mut stream, step == 0, &"x".repeat(1_000));
        offer(&mut fixture);
        shown += 1;
    }
    assert_eq!(fixture.take_rtp(SUBSCRIBER).len(), shown, "every packet was forwarded");
    let taken = batches.try_recv().expect("the first batch had room");
    let in_it = |batch: &TapBatch| {
        batch.items().filter(|it| matches!(it.kind, TapKind::Packet { .. })).count()
    };
    let first = in_it(&taken);
    drop(taken);
    let before = fixture.peer(PUBLISHER).plis.len();
    fixture.pass(300);
    take(&mut fixture, &batches);
    assert!(fixture.peer(PUBLISHER).plis.len() > before, "pictures need a key frame to go on");
    show(&mut fixture, &mut stream, true, "again");
    let items = take(&mut fixture, &batches);
    let told: Vec<String> =
        words(&items).into_iter().filter(|word| word != "(KeyFrameRequested)").collect();
    let lost = format!("(lost {})", shown - first);
    assert_eq!(told, [lost.as_str(), "(source 1000 0)", "(vp8)", "again"]);
    let totals = fixture.forwarder.totals();
    assert_eq!(usize::try_from(totals.tap_packets_lost), Ok(shown - first));
    // Its end is told however long it takes.
    show(&mut fixture, &mut stream, false, "taken");
    offer(&mut fixture);
    show(&mut fixture, &mut stream, false, "missed");
    offer(&mut fixture);
    fixture.command(Command::RemoveTap { track: spec.track, sink });
    for _ in 0..5 {
        fixture.pass(20);
        offer(&mut fixture);
    }
    assert_eq!(in_it(&batches.try_recv().expect("it had room")), 1);
    assert_eq!(words(&take(&mut fixture, &batches)), ["(lost 1)", "(Ended)"]);
    assert!(fixture.forwarder.poll_tap().is_none());
}

#[test]
fn a_sink_that_nobody_empties_holds_a_bounded_amount() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (_, _batches) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "key");
    // The worker does not even offer.
    for _ in 0..6_000 {
        let payload = stream.vp8_payload(false, &"x".repeat(1_100));
        fixture.send(PUBLISHER, &mut stream, &payload, true);
    }
    let mut bytes = 0;
    while let Some((_, batch)) = fixture.forwarder.poll_tap() {
        bytes += batch.bytes();
    }
    assert!(bytes <= 64 * 64 * 1024, "{bytes}");
    assert!(fixture.forwarder.totals().tap_packets_lost > 1_000);
}

#[test]
fn the_end_of_a_publication_ends_its_taps_and_leaves_nothing_behind() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let (sink, batches) = tap(&mut fixture, spec.track);
    let (_, other) = tap(&mut fixture, spec.track);
    show(&mut fixture, &mut stream, true, "one");
    fixture.command(Command::AddTap { track: spec.track, sink });
    assert_eq!(fixture.forwarder.totals().commands_refused, 1, "it taps already");
    fixture.command(Command::RemoveTransport { transport: TransportId(PUBLISHER) });
    fixture.command(Command::RemoveTransport { transport: TransportId(SUBSCRIBER) });
    for batches in [batches, other] {
        let told = words(&take(&mut fixture, &batches));
        assert_eq!(told.last().map(String::as_str), Some("(Ended)"));
        assert!(told.contains(&"one".to_owned()));
    }
    assert_eq!(fixture.forwarder.sizes(), Sizes::default());
    assert_eq!(fixture.forwarder.poll_timeout(), None);
}

#[test]
fn a_tap_that_is_refused_is_told_as_ended_and_may_be_made_once_another_is_gone() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let taps: Vec<_> = (0..4).map(|_| tap(&mut fixture, spec.track)).collect();
    let sizes = fixture.forwarder.sizes();
    let (sink, batches) = tap(&mut fixture, spec.track);
    assert_eq!(words(&take(&mut fixture, &batches)), ["(Ended)"]);
    assert_eq!(fixture.forwarder.totals().commands_refused, 1);
    assert_eq!(fixture.forwarder.sizes(), sizes, "it leaves nothing behind");
    show(&mut fixture, &mut stream, true, "not hers");
    assert!(take(&mut fixture, &batches).is_empty());
    let gone = taps[0].0.clone();
    fixture.command(Command::RemoveTap { track: spec.track, sink: gone });
    fixture.command(Command::AddTap { track: spec.track, sink });
    show(&mut fixture, &mut stream, true, "hers");
    assert!(words(&take(&mut fixture, &batches)).contains(&"hers".to_owned()));
}

#[test]
fn tapping_does_not_allocate_once_it_runs() {
    let (mut fixture, spec, mut stream) = picture_scene();
    for number in 2..5 {
        fixture.join(u64::from(number) + 1);
        let subscription = subscription(u64::from(number) + 1, number, &spec);
        fixture.command(Command::AddSubscription(subscription));
    }
    let (_, batches) = tap(&mut fixture, spec.track);
    let mut packets: Vec<Vec<u8>> = (0..1_000)
        .map(|step| {
            let payload = stream.vp8_payload(step % 10 == 0, &"x".repeat(1_100));
            fixture.sealed(PUBLISHER, &mut stream, &payload)
        })
        .collect();
    let (address, now) = (fixture.peer(PUBLISHER).address, fixture.now);
    let mut tapped = 0;
    let mut run = |packets: &mut [Vec<u8>]| {
        for packet in packets {
            fixture.forwarder.handle_datagram(address, packet, now);
            while fixture.forwarder.poll_transmit(64, 60_000).is_some() {}
            while let Some((sink, batch)) = fixture.forwarder.poll_tap() {
                sink.offer(batch).expect("it has room");
            }
            while let Ok(batch) = batches.try_recv() {
                tapped += batch.items().count();
            }
        }
    };
    let (warm, measured) = packets.split_at_mut(500);
    run(warm);
    let allocations = allocation_counter::measure(|| run(measured));
    assert_eq!(allocations.count_total, 0);
    assert!(tapped > 900);
}
