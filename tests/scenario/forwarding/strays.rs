//! Stories of peers whose flow has another port, and of which only media tells.

use std::net::SocketAddr;

use cabildo::domain::media::MediaKind;
use cabildo::sfu::engine::Handled;
use cabildo::sfu::plane::{Command, MediaEvent, TransportId};
use cabildo::sfu::transport::SILENT_AFTER;

use super::peers::{Fixture, Stream, address, publication, subscription};
use super::{PUBLISHER, SUBSCRIBER, say, texts};

/// Where nobody is.
const ELSEWHERE: u64 = 50;
/// Silence is looked for once a second.
const LOOKED_EVERY_MS: u64 = 1_000;
const CONTROL_SSRC: u32 = 0x0BAD_CAFE;

fn silent_ms() -> u64 {
    u64::try_from(SILENT_AFTER.as_millis()).expect("short") + LOOKED_EVERY_MS
}

/// Somebody speaks to somebody else, who reports once.
fn speech() -> (Fixture, Stream) {
    let mut fixture = Fixture::new();
    fixture.join(PUBLISHER);
    fixture.join(SUBSCRIBER);
    let spec = publication(&fixture, PUBLISHER, MediaKind::Audio, "a");
    fixture.command(Command::AddPublication(spec.clone()));
    fixture.command(Command::AddSubscription(subscription(SUBSCRIBER, 1, &spec)));
    let mut stream = Stream::new(500, 111, "a");
    say(&mut fixture, PUBLISHER, &mut stream, "before");
    fixture.send_rtcp(SUBSCRIBER, &report());
    fixture.pass(LOOKED_EVERY_MS);
    told(&mut fixture);
    (fixture, stream)
}

/// A receiver report without blocks.
fn report() -> Vec<u8> {
    let mut report = vec![0x80, 201, 0, 1];
    report.extend_from_slice(&CONTROL_SSRC.to_be_bytes());
    report
}

/// The transports that were told to be silent, and the addresses that were found.
struct Told {
    silent: Vec<(TransportId, Vec<u32>)>,
    found: Vec<(TransportId, SocketAddr)>,
}

fn told(fixture: &mut Fixture) -> Told {
    let (mut silent, mut found) = (Vec::new(), Vec::new());
    while let Some(event) = fixture.forwarder.poll_event() {
        match event {
            MediaEvent::Silent { transports } => silent.extend(transports),
            MediaEvent::HeardFrom { transport, from } => found.push((transport, from)),
            _ => {}
        }
    }
    Told { silent, found }
}

/// A word that comes from where nobody is.
fn say_from(fixture: &mut Fixture, from: u64, stream: &mut Stream, word: &str) -> Handled {
    let mut sealed = fixture.sealed(PUBLISHER, stream, word.as_bytes());
    fixture.forwarder.handle_datagram(address(from), &mut sealed, fixture.now)
}

#[test]
fn a_publisher_is_found_by_its_media_and_goes_on_there() {
    let (mut fixture, mut stream) = speech();
    fixture.pass(silent_ms());
    let Told { silent, found } = told(&mut fixture);
    assert_eq!(silent[0], (TransportId(PUBLISHER), vec![500]));
    assert_eq!(silent[1], (TransportId(SUBSCRIBER), vec![CONTROL_SSRC]));
    assert_eq!(found, []);
    assert_eq!(say_from(&mut fixture, ELSEWHERE, &mut stream, "here"), Handled::Media);
    let Told { found, .. } = told(&mut fixture);
    assert_eq!(found, [(TransportId(PUBLISHER), address(ELSEWHERE))]);
    // The control half decides to follow.
    fixture.peers.get_mut(&PUBLISHER).expect("known").address = address(ELSEWHERE);
    let (transport, remote) = (TransportId(PUBLISHER), address(ELSEWHERE));
    fixture.command(Command::MoveTransport { transport, remote });
    for word in ["I", "am"] {
        say(&mut fixture, PUBLISHER, &mut stream, word);
    }
    fixture.pass(LOOKED_EVERY_MS);
    assert_eq!(texts(&fixture.peer(SUBSCRIBER).rtp), ["before", "I", "am"]);
    // It is searched for no more: what comes from elsewhere now is left alone.
    told(&mut fixture);
    let handled = say_from(&mut fixture, ELSEWHERE + 1, &mut stream, "copied");
    assert_eq!((handled, told(&mut fixture).found), (Handled::UnknownAddress, vec![]));
}

#[test]
fn a_receiver_is_found_by_its_reports() {
    let (mut fixture, _) = speech();
    fixture.pass(silent_ms());
    let peer = fixture.peers.get_mut(&SUBSCRIBER).expect("known");
    let sealed = peer.protect_rtcp(&report());
    let mut datagram = sealed.clone();
    let from = address(ELSEWHERE);
    let handled = fixture.forwarder.handle_datagram(from, &mut datagram, fixture.now);
    assert_eq!(handled, Handled::Media);
    assert_eq!(told(&mut fixture).found, [(TransportId(SUBSCRIBER), from)]);
    // A stranger who overheard it gets nothing by it.
    fixture.pass(LOOKED_EVERY_MS);
    let handled =
        fixture.forwarder.handle_datagram(address(ELSEWHERE + 1), &mut sealed.clone(), fixture.now);
    assert_eq!((handled, told(&mut fixture).found), (Handled::UnknownAddress, vec![]));
}

#[test]
fn nobody_is_searched_for_while_they_are_heard() {
    let (mut fixture, mut stream) = speech();
    for _ in 0..2 * silent_ms() / 20 {
        say(&mut fixture, PUBLISHER, &mut stream, "here");
    }
    let Told { silent, .. } = told(&mut fixture);
    assert!(silent.iter().all(|(transport, _)| *transport == TransportId(SUBSCRIBER)));
    // A copy that comes first is not taken, so the original is.
    let mut original = fixture.sealed(PUBLISHER, &mut stream, b"original");
    let mut copy = original.clone();
    let handled = fixture.forwarder.handle_datagram(address(ELSEWHERE), &mut copy, fixture.now);
    assert_eq!(handled, Handled::UnknownAddress);
    fixture.forwarder.handle_datagram(address(PUBLISHER), &mut original, fixture.now);
    fixture.exchange();
    assert_eq!(texts(&fixture.peer(SUBSCRIBER).rtp).last().map(String::as_str), Some("original"));
    assert_eq!(told(&mut fixture).found, []);
}

#[test]
fn strangers_find_nobody_and_cause_little_work() {
    let (mut fixture, mut stream) = speech();
    fixture.pass(silent_ms());
    told(&mut fixture);
    let sealed = fixture.sealed(PUBLISHER, &mut stream, b"forged");
    let events = fixture.forwarder.totals().events_lost;
    for at in 0..sealed.len() {
        let mut forged = sealed.clone();
        forged[at] ^= 0x40;
        fixture.forwarder.handle_datagram(address(ELSEWHERE), &mut forged, fixture.now);
    }
    assert_eq!(told(&mut fixture).found, []);
    // Whoever has the keys is told of ten times a second, however much they send.
    for _ in 0..1_000 {
        say_from(&mut fixture, ELSEWHERE, &mut stream, "here");
        fixture.pass(1);
    }
    let Told { found, .. } = told(&mut fixture);
    assert!((9..=11).contains(&found.len()), "{}", found.len());
    assert_eq!(fixture.forwarder.totals().events_lost, events);
    // Whoever has left is searched for no more.
    fixture.command(Command::RemoveTransport { transport: TransportId(PUBLISHER) });
    assert_eq!(say_from(&mut fixture, ELSEWHERE, &mut stream, "gone"), Handled::UnknownAddress);
}
