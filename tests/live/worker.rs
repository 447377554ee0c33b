//! A worker on real sockets: media from one peer to another, everything else
//! to control, and a gate that is shut when it says so.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use cabildo::clock::Clock;
use cabildo::domain::id::{SessionId, TrackId};
use cabildo::domain::media::{Codec, MediaKind};
use cabildo::domain::secret::Secret;
use cabildo::formats::rtp::Header;
use cabildo::sfu::congestion::Limits;
use cabildo::sfu::plane::{
    Command, Demand, EncodingSpec, ExtensionIds, Format, Gate, MasterKey, MediaEvent,
    PublicationOrigin, PublicationSpec, SrtpKeys, SrtpProfile, SubscriptionId, SubscriptionSpec,
    TransportId,
};
use cabildo::sfu::srtp::Srtp;
use cabildo::sfu::worker::{DatagramClass, WorkerGone, WorkerOptions, Workers, start_workers};

/// Long enough for any machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);

fn started(count: usize) -> Workers {
    let bind = SocketAddr::from(([127, 0, 0, 1], 0));
    let clock = Clock::system();
    let options = WorkerOptions {
        bind,
        count,
        socket_buffer_bytes: 1 << 20,
        bitrate: Limits::default(),
        clock,
    };
    start_workers(&options, &std::sync::Arc::default(), &std::sync::Arc::default())
        .expect("started")
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("bound");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket
}

fn keys(peer: u8) -> SrtpKeys {
    let master =
        |side| MasterKey { key: Secret::new(vec![side; 16]), salt: Secret::new(vec![peer; 12]) };
    SrtpKeys { profile: SrtpProfile::AeadAes128Gcm, local: master(1), remote: master(2) }
}

/// The other end of an association.
fn other_end(peer: u8) -> Srtp {
    let SrtpKeys { profile, local, remote } = keys(peer);
    let provider = rtc_crypto::default_provider().expect("ring is built in");
    Srtp::new(&SrtpKeys { profile, local: remote, remote: local }, provider.crypto())
        .expect("keys fit")
}

#[tokio::test]
async fn what_is_not_media_goes_to_control_which_answers_from_the_same_port() {
    let mut workers = started(2);
    let peer = socket();
    let ours = peer.local_addr().expect("bound");
    for (bytes, kind) in [
        (&[0_u8, 1, 0, 0][..], DatagramClass::Handshake),
        (&[22, 254, 253], DatagramClass::Handshake),
        (&[0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0], DatagramClass::StrayMedia),
    ] {
        peer.send_to(bytes, workers.local_address).expect("sent");
        let given = tokio::time::timeout(PATIENCE, workers.datagrams.recv());
        let given = given.await.expect("in time").expect("workers live");
        assert_eq!((given.kind, given.from, &given.bytes[..]), (kind, ours, bytes));
    }
    let mut buffer = [0; 16];
    for handle in &workers.handles {
        handle.reply_socket().send_to(b"answer", ours).expect("sent");
        let (length, from) = peer.recv_from(&mut buffer).expect("answered");
        assert_eq!((&buffer[..length], from), (&b"answer"[..], workers.local_address));
    }
}

#[tokio::test]
async fn a_worker_that_was_ended_says_so() {
    let workers = started(1);
    let worker = &workers.handles[0];
    assert!(worker.stats().await.is_ok());
    worker.shutdown().expect("it lives");
    worker.ended().await;
    assert_eq!(worker.stats().await.err(), Some(WorkerGone));
}

#[tokio::test]
async fn media_passes_while_the_gate_is_open() {
    let mut workers = started(1);
    let worker = workers.handles[0].clone();
    let (publisher, subscriber) = (socket(), socket());
    let (room, track) = (SessionId::generate(), TrackId::generate());
    let formats = vec![Format { payload_type: 111, codec: Codec::Opus, rtx_payload_type: None }];
    for (peer, socket) in [(1, &publisher), (2, &subscriber)] {
        let transport = TransportId(u64::from(peer));
        let remote = socket.local_addr().expect("bound");
        worker
            .send(Command::AddTransport { transport, room, keys: keys(peer), remote })
            .expect("it lives");
    }
    let publication = PublicationSpec {
        track,
        room,
        origin: PublicationOrigin::Transport(TransportId(1)),
        kind: MediaKind::Audio,
        mid: "0".to_owned(),
        formats: formats.clone(),
        encodings: vec![EncodingSpec { ssrc: Some(7), ..EncodingSpec::default() }],
        extensions: ExtensionIds::default(),
        gate: Gate::Open,
    };
    worker.send(Command::AddPublication(publication)).expect("it lives");
    let subscription = SubscriptionSpec {
        subscription: SubscriptionId(1),
        transport: TransportId(2),
        kind: MediaKind::Audio,
        source: Some(track),
        mid: "0".to_owned(),
        formats,
        ssrc: 8,
        rtx_ssrc: 9,
        extensions: ExtensionIds::default(),
        demand: Demand::default(),
    };
    worker.send(Command::AddSubscription(subscription)).expect("it lives");
    worker.set_gate_and_wait(track, Gate::Closed).await.expect("it lives");

    let mut sealing = other_end(1);
    let mut say = |sequence: u8, text: &[u8]| {
        let mut packet = vec![0x80, 111, 0, sequence, 0, 0, 0, sequence, 0, 0, 0, 7];
        packet.extend_from_slice(text);
        sealing.seal_rtp(&mut packet, 0, 12, 7, u64::from(sequence)).expect("sealed");
        publisher.send_to(&packet, workers.local_address).expect("sent");
    };
    say(1, b"secret");
    while worker.stats().await.expect("it lives").forwarder.totals.dropped_gate == 0 {}
    worker.set_gate_and_wait(track, Gate::Open).await.expect("it lives");
    say(2, b"public");

    let mut buffer = [0; 1500];
    let (length, from) = subscriber.recv_from(&mut buffer).expect("forwarded");
    assert_eq!(from, workers.local_address);
    let packet = &mut buffer[..length];
    let header = Header::parse(packet).expect("well formed");
    let end = other_end(2).open_rtp(packet, &header).expect("authentic");
    assert_eq!((header.ssrc, &packet[header.length..end]), (8, &b"public"[..]));
    let started = MediaEvent::TrackStarted { room, track, codec: Codec::Opus };
    while workers.events.recv().await.expect("it lives") != started {}
}
