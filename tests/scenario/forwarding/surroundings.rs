//! What surrounds the streams: rooms, reports, what is heard, what is hostile,
//! and what is left when everybody is gone.

use std::time::Duration;

use cabildo::domain::id::SessionId;
use cabildo::domain::media::MediaKind;
use cabildo::sfu::engine::Sizes;
use cabildo::sfu::plane::{Command, Gate, MediaEvent, SubscriptionId, TransportId};
use rtc_rtcp::sender_report::SenderReport;
use rtc_shared::marshal::Marshal;

use super::peers::{self, Fixture, Received, Stream, publication, subscription};
use super::{PUBLISHER, SUBSCRIBER, picture_scene, say, show, texts};

#[test]
fn nothing_of_one_room_reaches_another() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    let elsewhere = SessionId::generate();
    fixture.join_room(SUBSCRIBER, elsewhere);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let wrong = |source| Command::SetSource { subscription: SubscriptionId(1), source };
    fixture.command(wrong(None));
    fixture.command(wrong(Some(spec.track)));
    // A publication that claims a room which its transport is not in.
    let mut lying = publication(&fixture, PUBLISHER, MediaKind::Audio, "b");
    lying.room = elsewhere;
    fixture.command(Command::AddPublication(lying.clone()));
    fixture.command(wrong(Some(lying.track)));
    let mut streams = [Stream::new(500, 111, "a"), Stream::new(600, 111, "b")];
    for _ in 0..5 {
        say(&mut fixture, PUBLISHER, &mut streams[0], "private");
        say(&mut fixture, PUBLISHER, &mut streams[1], "private");
    }
    assert!(fixture.peer(SUBSCRIBER).rtp.is_empty());
}

#[test]
fn the_order_in_which_things_are_named_does_not_matter() {
    let mut fixture = Fixture::new();
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    fixture.join(SUBSCRIBER);
    fixture.command(Command::AddPublication(spec));
    fixture.join(PUBLISHER);
    let mut stream = Stream::new(500, 111, "a");
    say(&mut fixture, PUBLISHER, &mut stream, "hola");
    assert_eq!(texts(&fixture.take_rtp(SUBSCRIBER)), ["hola"]);
}

#[test]
fn removing_transports_leaves_nothing_behind() {
    let (mut fixture, spec, mut stream) = picture_scene();
    let audio = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(audio));
    show(&mut fixture, &mut stream, true, "one");
    let moved = peers::address(9);
    fixture.peers.get_mut(&SUBSCRIBER).expect("known").address = moved;
    let transport = TransportId(SUBSCRIBER);
    fixture.command(Command::MoveTransport { transport, remote: moved });
    show(&mut fixture, &mut stream, false, "two");
    assert_eq!(fixture.peer(SUBSCRIBER).rtp.len(), 2, "it followed its peer");
    fixture.command(Command::RemoveTransport { transport: TransportId(PUBLISHER) });
    fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
    assert_eq!(fixture.forwarder.sizes().subscriptions, 1);
    fixture.command(Command::RemoveTransport { transport });
    assert_eq!(fixture.forwarder.sizes(), Sizes::default());
    assert_eq!(fixture.forwarder.poll_timeout(), None);
}

#[test]
fn publishers_hear_of_arrivals_and_loss_and_receivers_of_clocks() {
    let (mut fixture, _, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "key");
    let report = SenderReport {
        ssrc: 1000,
        ntp_time: 5 << 32,
        rtp_time: stream.timestamp,
        ..SenderReport::default()
    };
    let reported = fixture.now;
    fixture.send_rtcp(PUBLISHER, &report.marshal().expect("fits"));
    for _ in 0..60 {
        show(&mut fixture, &mut stream, false, "more");
    }
    let publisher = fixture.peer(PUBLISHER);
    let told: usize = publisher.arrivals.iter().map(|it| it.recv_deltas.len()).sum();
    assert!((58..=61).contains(&told), "{told} of 61 arrivals were told");
    let last = publisher.receiver_reports.last().expect("told every second");
    assert_eq!((last.reports[0].ssrc, last.reports[0].total_lost), (1000, 0));
    assert_eq!(last.reports[0].last_sender_report, 5 << 16);
    let subscriber = fixture.peer(SUBSCRIBER);
    let clock = subscriber.sender_reports.last().expect("told every second");
    assert_eq!(clock.ssrc, 0xA000_0001);
    // Wall clock and timestamp went on together since the publisher's report.
    let ticks = clock.rtp_time.wrapping_sub(subscriber.rtp[0].header.timestamp);
    let by_wall_clock = (clock.ntp_time.wrapping_sub(5 << 32) * 90_000) >> 32;
    assert!(u64::from(ticks).abs_diff(by_wall_clock) <= 90);
    assert!(Duration::from_millis(u64::from(ticks) / 90) <= fixture.now - reported);
    assert!(ticks > 80_000);
}

#[test]
fn only_open_tracks_are_heard() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    let mut stream = Stream::new(500, 111, "a");
    stream.level = Some(0x80 | 0x1E);
    let mut speakers = Vec::new();
    for step in 0..150 {
        if step == 50 {
            fixture.command(Command::SetGate { track: spec.track, gate: Gate::Closed });
        }
        say(&mut fixture, PUBLISHER, &mut stream, "…");
        while let Some(event) = fixture.forwarder.poll_event() {
            if let MediaEvent::ActiveSpeakers { speakers: told, .. } = event {
                speakers.push(told.len());
            }
        }
    }
    assert_eq!(speakers, [1, 0]);
}

#[test]
fn the_path_of_a_packet_does_not_allocate() {
    let (mut fixture, spec, mut stream) = picture_scene();
    for number in 2..12 {
        fixture.join(u64::from(number) + 1);
        let subscription = subscription(u64::from(number) + 1, number, &spec);
        fixture.command(Command::AddSubscription(subscription));
    }
    show(&mut fixture, &mut stream, true, "warm");
    let mut packets: Vec<Vec<u8>> = (0..100)
        .map(|step| {
            let payload = stream.vp8_payload(step % 10 == 0, &"x".repeat(1100));
            fixture.sealed(PUBLISHER, &mut stream, &payload)
        })
        .collect();
    let (address, now) = (fixture.peer(PUBLISHER).address, fixture.now);
    let before = fixture.forwarder.totals().packets_forwarded;
    let mut runs = 0;
    let allocations = allocation_counter::measure(|| {
        for burst in packets.chunks_mut(10) {
            for packet in burst {
                fixture.forwarder.handle_datagram(address, packet, now);
            }
            while fixture.forwarder.poll_transmit(64, 60_000).is_some() {
                runs += 1;
            }
        }
    });
    assert_eq!(fixture.forwarder.totals().packets_forwarded - before, 1100);
    assert_eq!(runs, 110, "ten packets of one size to one peer are one run");
    assert_eq!(allocations.count_total, 0);
}

#[test]
fn a_room_that_everybody_left_is_told_silent_and_forgotten() {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec));
    let mut stream = Stream::new(500, 111, "a");
    stream.level = Some(0x80 | 0x1E);
    for _ in 0..30 {
        say(&mut fixture, PUBLISHER, &mut stream, "…");
    }
    fixture.command(Command::RemoveTransport { transport: TransportId(PUBLISHER) });
    fixture.pass(1000);
    let mut last = None;
    while let Some(event) = fixture.forwarder.poll_event() {
        last = Some(event);
    }
    let silent = MediaEvent::ActiveSpeakers { room: fixture.room, speakers: Vec::new() };
    assert_eq!(last, Some(silent));
    assert_eq!(fixture.forwarder.sizes(), Sizes::default());
    assert_eq!(fixture.forwarder.poll_timeout(), None);
}

#[test]
fn hostile_datagrams_are_met_with_silence() {
    let (mut fixture, _, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "key");
    fixture.take_rtp(SUBSCRIBER);
    let address = fixture.peer(PUBLISHER).address;
    let mut noise: u32 = 1;
    for length in 0..3000_usize {
        let mut garbage: Vec<u8> = (0..length % 200)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise.to_be_bytes()[0]
            })
            .collect();
        if let Some(first) = garbage.first_mut() {
            *first = 0x80 | (*first & 0x3F);
        }
        fixture.forwarder.handle_datagram(address, &mut garbage, fixture.now);
    }
    // Authentic, but lying about itself.
    let mut header = vec![0x80, 96, 0, 1, 0, 0, 0, 0];
    header.extend_from_slice(&1000_u32.to_be_bytes());
    for (first, tail) in [
        (0xA0_u8, vec![255]),
        (0xA0, vec![0]),
        (0x80, vec![]),
        (0x90, vec![0xBE, 0xDE, 0, 1, 0x1F, 1, 1, 1]),
        (0x90, vec![0x10, 0x00, 0, 1, 5, 255, 0, 0, 0x90, 0xFF]),
    ] {
        let mut packet = header.clone();
        packet[0] = first;
        packet[2..4].copy_from_slice(&stream.sequence.wrapping_add(1).to_be_bytes());
        packet.extend_from_slice(&tail);
        stream.sequence = stream.sequence.wrapping_add(1);
        fixture.protect_a_lie(PUBLISHER, packet);
    }
    // A report that asks for everything there is, many times.
    let mut bomb = Vec::new();
    for _ in 0..30 {
        bomb.extend_from_slice(&[0x81, 205, 0, 12, 0, 0, 0, 1, 0xA0, 0, 0, 1]);
        for pair in 0..10_u16 {
            bomb.extend_from_slice(&(pair * 17).to_be_bytes());
            bomb.extend_from_slice(&[0xFF, 0xFF]);
        }
    }
    fixture.send_rtcp(SUBSCRIBER, &bomb);
    assert!(fixture.take_rtp(SUBSCRIBER).len() <= 64);
    show(&mut fixture, &mut stream, true, "still here");
    let seen = fixture.take_rtp(SUBSCRIBER);
    assert_eq!(seen.last().map(Received::text).as_deref(), Some("still here"));
    assert!(fixture.now - fixture.start < Duration::from_mins(1));
}

#[test]
fn a_source_is_never_sent_from_twice_under_one_key() {
    let (mut fixture, spec, mut stream) = picture_scene();
    show(&mut fixture, &mut stream, true, "one");
    fixture.command(Command::RemoveSubscription { subscription: SubscriptionId(1) });
    let mut again = subscription(SUBSCRIBER, 2, &spec);
    again.ssrc = 0xA000_0001;
    fixture.command(Command::AddSubscription(again));
    show(&mut fixture, &mut stream, true, "two");
    assert_eq!(fixture.take_rtp(SUBSCRIBER).len(), 1);
    assert_eq!(fixture.forwarder.totals().commands_refused, 1);
}
