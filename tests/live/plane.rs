//! The whole media plane on real sockets, from the descriptions to what
//! receivers count: several workers, sections that are used again, floods.

mod turn;

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime};

use cabildo::domain::id::{ConnectionId, SessionId, TenantId, TrackId};
use cabildo::domain::media::TrackSource;
use cabildo::formats::rtp::Header;
use cabildo::load::client::{
    ClientOptions, Identity, MediaClient, Profile, Received, TrackOptions,
};
use cabildo::load::driver::{ClientHandle, Driver};
use cabildo::sfu::feed;
use cabildo::sfu::plane::{Demand, Gates};
use cabildo::sfu::sdp::CodecConfig;
use cabildo::sfu::tap::{TapKind, TapSink};
use cabildo::sfu::{
    BitrateBudget, FeedError, FeedSpec, PublishAnswer, RoomMediaEvent, Sfu, SfuError, SfuOptions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Long enough for any machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two looks at what has come.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

static IDENTITY: LazyLock<Arc<Identity>> = LazyLock::new(|| {
    Identity::generate(&[Profile::Aes128CmHmacSha1_80, Profile::AeadAes128Gcm]).expect("identity")
});
static EPOCH: LazyLock<(Instant, Duration)> = LazyLock::new(|| {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    (Instant::now(), unix)
});

struct Plane {
    sfu: Sfu,
    driver: Driver,
    clients: u64,
}

struct Room {
    id: SessionId,
    events: mpsc::Receiver<RoomMediaEvent>,
}

/// Somebody with one transport.
struct Client {
    peer: ConnectionId,
    media: ClientHandle,
}

impl Plane {
    fn start(workers: usize) -> Self {
        let sfu = Sfu::start(SfuOptions { workers, ..SfuOptions::default() }).expect("started");
        Self { sfu, driver: Driver::start(1, None).expect("started"), clients: 0 }
    }

    async fn open(&self) -> Room {
        let id = SessionId::generate();
        let (sender, events) = mpsc::channel(256);
        let budget = BitrateBudget { tenant: TenantId::generate(), max_kbps: u32::MAX };
        self.sfu.open_room(id, budget, sender).await.expect("opened");
        Room { id, events }
    }

    async fn join(
        &mut self,
        room: &Room,
        make: impl FnOnce(ClientOptions) -> MediaClient,
    ) -> Client {
        self.clients += 1;
        let (epoch, epoch_unix) = *EPOCH;
        let identity = Arc::clone(&IDENTITY);
        let client = make(ClientOptions { identity, seed: self.clients, epoch, epoch_unix });
        let peer = ConnectionId::generate();
        self.sfu.join(room.id, peer, Gates::OPEN).await.expect("joined");
        // Events are not asked for: what is counted says the same.
        let (media, _) = self.driver.add(client);
        Client { peer, media }
    }

    /// A publisher of sound and of a picture in three encodings, and its tracks.
    async fn publisher(&mut self, room: &Room) -> (Client, Vec<TrackId>) {
        let camera = TrackOptions { encodings: 3, ..TrackOptions::camera() };
        let tracks = [TrackOptions::microphone(), camera];
        let client = self.join(room, |options| MediaClient::publisher(options, &tracks)).await;
        let offer = client.media.call(|media, _| media.offer()).await.expect("it lives");
        let answer = self.publish(room, &client, offer).await;
        (client, answer.tracks.iter().map(|it| it.track).collect())
    }

    async fn publish(&self, room: &Room, client: &Client, offer: String) -> PublishAnswer {
        let answer = self.sfu.publish(room.id, client.peer, offer, Vec::new()).await;
        let answer = answer.expect("published");
        let sdp = answer.sdp.clone();
        let taken = client.media.call(move |media, now| media.handle_answer(&sdp, now)).await;
        taken.expect("it lives").expect("a usable answer");
        answer
    }

    /// A receiver of these tracks.
    async fn receiver(&mut self, room: &mut Room, tracks: &[TrackId]) -> Client {
        let client = self.join(room, MediaClient::subscriber).await;
        self.subscribe(room, &client, tracks).await;
        client
    }

    async fn subscribe(&self, room: &mut Room, client: &Client, tracks: &[TrackId]) {
        for track in tracks {
            let demand = Demand::default();
            self.sfu.subscribe(room.id, client.peer, *track, demand).await.expect("subscribed");
        }
        // What is asked for one after the other may come in several offers.
        loop {
            let (sdp, offered) = room.offer_with(client.peer).await;
            let answer = client.media.call(move |media, now| media.handle_offer(&sdp, now)).await;
            let answer = answer.expect("it lives").expect("a usable offer");
            self.sfu.answer(room.id, client.peer, answer).await.expect("taken");
            if tracks.iter().all(|track| offered.contains(track)) {
                return;
            }
        }
    }
}

impl Room {
    /// The next offer to a peer, and the tracks in it.
    async fn offer_with(&mut self, wanted: ConnectionId) -> (String, Vec<TrackId>) {
        let next = async {
            loop {
                let event = self.events.recv().await.expect("the room is open");
                if let RoomMediaEvent::SubscriberOffer { peer, sdp, tracks } = event
                    && peer == wanted
                {
                    return (sdp, tracks.into_iter().map(|(_, track)| track).collect());
                }
            }
        };
        tokio::time::timeout(PATIENCE, next).await.expect("an offer")
    }
}

impl Client {
    async fn received(&self) -> Vec<Received> {
        let counts = self.media.call(|media, _| media.counts_by_section()).await;
        counts.expect("it lives").into_values().map(|(_, received)| received).collect()
    }

    /// Waits until so many more packets have come in so many sections.
    async fn hears(&self, sections: usize, packets: u64) {
        let before = self.received().await;
        let came = async {
            loop {
                let now = self.received().await;
                let grown = now.iter().enumerate().filter(|(at, now)| {
                    let before = before.get(*at).copied().unwrap_or_default();
                    now.since(&before).packets >= packets
                });
                if grown.count() >= sections {
                    return;
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, came).await.is_ok();
        assert!(in_time, "it hears too little: {before:?}, then {:?}", self.received().await);
    }
}

#[tokio::test]
async fn media_that_comes_to_another_worker_reaches_every_receiver() {
    let mut plane = Plane::start(2);
    let mut receivers = Vec::new();
    let mut rooms = Vec::new();
    let mut publishers = Vec::new();
    for _ in 0..4 {
        let mut room = plane.open().await;
        let (publisher, tracks) = plane.publisher(&room).await;
        for _ in 0..2 {
            receivers.push(plane.receiver(&mut room, &tracks).await);
        }
        publishers.push(publisher);
        rooms.push((room, tracks));
    }
    for receiver in &receivers {
        receiver.hears(2, 100).await;
    }
    // Twelve transports by chance on two sockets: some came to the wrong one, or another one will.
    let (room, tracks) = rooms.last_mut().expect("there are some");
    let workers = loop {
        let workers = plane.sfu.worker_stats().await;
        let mut totals = workers.iter().map(|(_, worker)| worker.forwarder.totals);
        if totals.any(|totals| totals.dropped_unknown_address > 0) {
            break workers;
        }
        assert!(receivers.len() < 40, "nothing was handed over");
        let receiver = plane.receiver(room, tracks).await;
        receiver.hears(2, 100).await;
        receivers.push(receiver);
    };
    let busy = workers.iter().filter(|(_, worker)| worker.forwarder.totals.packets_forwarded > 0);
    assert_eq!(busy.count(), 2, "both carry rooms");
    let dropped: u64 = workers.iter().map(|(_, worker)| worker.control_datagrams_dropped).sum();
    assert_eq!(dropped, 0, "bursts are handed over whole");
    plane.sfu.shutdown().await;
}

#[tokio::test]
async fn a_camera_that_is_turned_on_again_is_seen_again() {
    let mut plane = Plane::start(1);
    let mut room = plane.open().await;
    let (publisher, tracks) = plane.publisher(&room).await;
    let receiver = plane.receiver(&mut room, &tracks).await;
    receiver.hears(2, 10).await;
    let offer = publisher.media.call(|media, _| media.offer()).await.expect("it lives");
    let (sound, picture) = offer.split_at(offer.find("m=video").expect("a picture"));
    let stopped = format!("{sound}{}", picture.replace("a=sendonly", "a=inactive"));
    let answer = plane.sfu.publish(room.id, publisher.peer, stopped, Vec::new()).await;
    let answer = answer.expect("stopped");
    assert_eq!((answer.tracks.len(), answer.removed), (1, vec![tracks[1]]));
    let offer = publisher.media.call(|media, _| media.offer()).await.expect("it lives");
    let answer = plane.publish(&room, &publisher, offer).await;
    let again = answer.tracks.iter().find(|it| it.track != tracks[0]).expect("a picture");
    assert_ne!(again.track, tracks[1]);
    assert_eq!(again.layers, 3);
    plane.subscribe(&mut room, &receiver, &[again.track]).await;
    receiver.hears(2, 50).await;
    plane.sfu.shutdown().await;
}

#[tokio::test]
async fn a_track_that_the_process_feeds_reaches_a_receiver() {
    let mut plane = Plane::start(2);
    let mut room = plane.open().await;
    let camera = ConnectionId::generate();
    plane.sfu.join(room.id, camera, Gates::OPEN).await.expect("joined");
    let spec = FeedSpec { source: TrackSource::Camera, config: CodecConfig::Vp8, payload_type: 96 };
    let mut feed = plane.sfu.feed(room.id, camera, spec).await.expect("fed");
    let receiver = plane.receiver(&mut room, &[feed.track()]).await;
    assert_eq!(feed.push(&[0; feed::PACKET_BYTES_MAX + 1]), Err(FeedError::PacketTooLarge));
    let track = feed.track();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let feeding = tokio::spawn(async move {
        let mut sequence = 0_u16;
        let mut frames = tokio::time::interval(Duration::from_millis(5));
        while stopped.try_recv().is_err() {
            frames.tick().await;
            sequence = sequence.wrapping_add(1);
            let mut packet = vec![0x80, 0x80 | 0x60];
            packet.extend(sequence.to_be_bytes());
            packet.extend((u32::from(sequence) * 3_000).to_be_bytes());
            packet.extend(7_u32.to_be_bytes());
            // A whole key frame of VP8 in each packet.
            packet.extend([0x10, 0, 0, 0, 0x9D, 1, 0x2A, 64, 0, 48, 0]);
            feed.push(&packet).expect("taken");
            feed.flush().expect("taken");
        }
        feed
    });
    receiver.hears(1, 50).await;
    stop.send(()).expect("it still feeds");
    let feed = feeding.await.expect("it ends");
    assert_eq!(feed.track(), track);
    plane.sfu.end_feed(room.id, camera, track).await.expect("ended");
    let again = plane.sfu.end_feed(room.id, camera, track).await;
    assert!(matches!(again, Err(SfuError::TrackNotFound)));
    plane.sfu.shutdown().await;
}

/// What strangers send: garbage of every class, checks that name a transport
/// but do not know its password, and beginnings of handshakes.
fn nonsense(number: u32, ufrag: &str) -> Vec<u8> {
    let noise = number.wrapping_mul(0x9E37_79B9).to_be_bytes();
    match number % 5 {
        0 => {
            let user = format!("{ufrag}:nobody");
            let length = u16::try_from(user.len()).expect("short");
            let padded = user.len().next_multiple_of(4);
            let body = u16::try_from(4 + padded + 24).expect("short");
            let mut check = vec![0, 1];
            check.extend(body.to_be_bytes());
            check.extend([0x21, 0x12, 0xA4, 0x42]);
            check.extend([noise; 3].concat());
            check.extend([0, 6]);
            check.extend(length.to_be_bytes());
            check.extend(user.as_bytes());
            check.resize(20 + 4 + padded, 0);
            check.extend([0, 8, 0, 20]);
            check.extend([noise; 5].concat());
            check
        }
        1 => [&[22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1][..], &noise].concat(),
        2 => [&[0x80, 96][..], &noise.repeat(20)].concat(),
        3 => [&[0x80, 200, 0, 1][..], &noise.repeat(8)].concat(),
        _ => noise.repeat(10),
    }
}

#[tokio::test]
async fn a_flood_of_nonsense_is_not_answered_and_the_stream_goes_on() {
    const FLOOD: u32 = 20_000;
    const BURST: u32 = 50;
    let mut plane = Plane::start(2);
    let mut room = plane.open().await;
    let (publisher, tracks) = plane.publisher(&room).await;
    let receiver = plane.receiver(&mut room, &tracks).await;
    receiver.hears(2, 10).await;
    let before = plane.sfu.stats().await.expect("it lives");
    let offer = publisher.media.call(|media, _| media.offer()).await.expect("it lives");
    let answer = plane.publish(&room, &publisher, offer).await;
    let ufrag = answer.sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    let ufrag = ufrag.expect("credentials");

    let strangers: Vec<UdpSocket> =
        (0..8).map(|_| UdpSocket::bind(("127.0.0.1", 0)).expect("bound")).collect();
    let to: SocketAddr = plane.sfu.local_addr();
    for burst in 0..FLOOD / BURST {
        for number in 0..BURST {
            let bytes = nonsense(burst * BURST + number, ufrag);
            let stranger = &strangers[usize::try_from(number % 8).expect("small")];
            stranger.send_to(&bytes, to).expect("sent");
        }
        // Everybody gets its turn, as on a machine of its own.
        assert!(plane.sfu.stats().await.is_ok());
        receiver.received().await;
    }
    receiver.hears(2, 100).await;

    for stranger in &strangers {
        stranger.set_nonblocking(true).expect("set");
        let answered = stranger.recv_from(&mut [0; 1500]);
        assert!(answered.is_err(), "a stranger was answered: {answered:?}");
    }
    let after = plane.sfu.stats().await.expect("it lives");
    assert_eq!(after.transports, before.transports, "nothing was made or lost");
    assert_eq!(after.handshakes_failed, 0);
    assert!(after.datagrams_limited + after.datagrams_unroutable > before.datagrams_unroutable);
    let counts = receiver.received().await;
    let (packets, lost) =
        counts.iter().fold((0, 0), |sum, it| (sum.0 + it.packets, sum.1 + it.lost));
    assert!(lost * 20 <= packets, "{lost} lost of {packets}");
    plane.sfu.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn taps_get_what_real_publishers_send() {
    let mut plane = Plane::start(2);
    let room = plane.open().await;
    let (sink, batches) = TapSink::bounded(4_096);
    let nobodys = TrackId::generate();
    let refused = plane.sfu.tap(room.id, nobodys, sink.clone()).await;
    assert!(matches!(refused, Err(SfuError::TrackNotFound)));
    let refused = plane.sfu.tap(SessionId::generate(), nobodys, sink.clone()).await;
    assert!(matches!(refused, Err(SfuError::RoomNotFound)));
    let (publisher, tracks) = plane.publisher(&room).await;
    let other = plane.open().await;
    let refused = plane.sfu.tap(other.id, tracks[0], sink.clone()).await;
    assert!(matches!(refused, Err(SfuError::TrackNotFound)), "another room's");
    for track in &tracks {
        plane.sfu.tap(room.id, *track, sink.clone()).await.expect("tapped");
    }
    let unix = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let begun = unix();
    let (mut layers, mut packets, mut ended) = (Vec::new(), [0_u32; 2], 0);
    let deadline = Instant::now() + PATIENCE;
    let mut left = false;
    while ended < 2 {
        let batch = batches.recv_timeout(deadline - Instant::now()).expect("something comes");
        for item in batch.items() {
            let which = tracks.iter().position(|track| *track == item.track).expect("known");
            let at = Duration::from_micros(item.at_us);
            assert!(at + Duration::from_mins(1) > begun && at < unix() + Duration::from_mins(1));
            match item.kind {
                TapKind::Packet { bytes, .. } => {
                    assert!(Header::parse(bytes).is_some());
                    packets[which] += 1;
                }
                TapKind::Source { layer, .. } if which == 1 => layers.push(layer),
                TapKind::Ended => ended += 1,
                _ => {}
            }
        }
        let enough = packets.iter().all(|count| *count > 50) && layers.last() == Some(&2);
        if enough && !left {
            left = true;
            plane.sfu.untap(room.id, tracks[0], sink.clone()).await.expect("untapped");
            plane.sfu.leave(room.id, publisher.peer).await.expect("gone");
        }
    }
}

/// Carries the datagrams of one client in a connection to the media plane (RFC 4571), so that a
/// client of UDP is one of TCP to it.
struct Relay {
    /// Where the client finds the media plane.
    address: SocketAddr,
    carrying: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start(plane: SocketAddr) -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        let address = socket.local_addr().expect("an address");
        let stream = tokio::net::TcpStream::connect(plane).await.expect("connected");
        Self { address, carrying: tokio::spawn(carry(socket, stream)) }
    }

    /// A description of the media plane that names the relay as its only address.
    fn instead_of_plane(&self, sdp: &str) -> String {
        let lines = sdp.lines().filter(|line| !line.contains(" 1 tcp "));
        let renamed = lines.map(|line| match line.split_once(" udp ") {
            Some((before, after)) if before.starts_with("a=candidate:") => {
                let priority = after.split(' ').next().expect("a priority");
                let (ip, port) = (self.address.ip(), self.address.port());
                format!("{before} udp {priority} {ip} {port} typ host\r\n")
            }
            _ => format!("{line}\r\n"),
        });
        renamed.collect()
    }
}

async fn carry(socket: tokio::net::UdpSocket, stream: tokio::net::TcpStream) {
    let (mut reader, mut writer) = stream.into_split();
    let (mut datagram, mut client) = ([0; 2_000], None);
    let mut length = [0; 2];
    let mut have = 0;
    loop {
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                let Ok((bytes, from)) = received else { return };
                client = Some(from);
                let framed = u16::try_from(bytes).expect("short").to_be_bytes();
                if writer.write_all(&[&framed, &datagram[..bytes]].concat()).await.is_err() {
                    return;
                }
            }
            // Only this read may be given up in between; what it has read is kept.
            read = reader.read(&mut length[have..]) => {
                let Ok(1..) = read else { return };
                have += read.expect("some");
                if have < length.len() {
                    continue;
                }
                have = 0;
                let mut whole = vec![0; usize::from(u16::from_be_bytes(length))];
                if reader.read_exact(&mut whole).await.is_err() {
                    return;
                }
                if let Some(client) = client {
                    socket.send_to(&whole, client).await.ok();
                }
            }
        }
    }
}

#[tokio::test]
async fn media_over_tcp_reaches_receivers_over_udp_and_tcp_and_comes_from_them() {
    for workers in [1, 2] {
        let mut plane = Plane::start(workers);
        let mut room = plane.open().await;
        let relay = Relay::start(plane.sfu.local_addr()).await;
        let client = plane
            .join(&room, |options| MediaClient::publisher(options, &[TrackOptions::microphone()]))
            .await;
        let offer = client.media.call(|media, _| media.offer()).await.expect("it lives");
        let answer = plane.sfu.publish(room.id, client.peer, offer, Vec::new()).await;
        let answer = answer.expect("published");
        let sdp = relay.instead_of_plane(&answer.sdp);
        let taken = client.media.call(move |media, now| media.handle_answer(&sdp, now)).await;
        taken.expect("it lives").expect("a usable answer");

        let track = answer.tracks[0].track;
        let by_udp = plane.receiver(&mut room, &[track]).await;
        let other_relay = Relay::start(plane.sfu.local_addr()).await;
        let by_tcp = plane.join(&room, MediaClient::subscriber).await;
        let demand = Demand::default();
        plane.sfu.subscribe(room.id, by_tcp.peer, track, demand).await.expect("subscribed");
        let (sdp, _) = room.offer_with(by_tcp.peer).await;
        let sdp = other_relay.instead_of_plane(&sdp);
        let answer = by_tcp.media.call(move |media, now| media.handle_offer(&sdp, now)).await;
        let answer = answer.expect("it lives").expect("a usable offer");
        plane.sfu.answer(room.id, by_tcp.peer, answer).await.expect("taken");

        by_udp.hears(1, 50).await;
        by_tcp.hears(1, 50).await;
        relay.carrying.abort();
        other_relay.carrying.abort();
        plane.sfu.shutdown().await;
    }
}

/// Whether the other side has closed a connection, once it has.
async fn is_closed(stream: &mut tokio::net::TcpStream) -> bool {
    let mut rest = Vec::new();
    let reading = stream.read_to_end(&mut rest);
    tokio::time::timeout(PATIENCE, reading).await.is_ok_and(|_| rest.is_empty())
}

#[tokio::test]
async fn strangers_over_tcp_get_no_answer_and_are_closed() {
    let plane = Plane::start(1);
    let connect = || tokio::net::TcpStream::connect(plane.sfu.local_addr());
    // No framing: the first two bytes are a length that no datagram has.
    let mut http = connect().await.expect("connected");
    http.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    // A check of nobody, media of nobody, and silence.
    let mut check = vec![0, 20, 0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42];
    check.extend([7; 12]);
    let mut stranger = connect().await.expect("connected");
    stranger.write_all(&check).await.expect("sent");
    stranger.write_all(&[&[0, 40, 0x80, 111][..], &[0; 38]].concat()).await.expect("sent");
    let mut silent = connect().await.expect("connected");
    // A length, and then nothing of the datagram.
    let mut partial = connect().await.expect("connected");
    partial.write_all(&[4]).await.expect("sent");
    let closed = tokio::join!(
        is_closed(&mut http),
        is_closed(&mut stranger),
        is_closed(&mut silent),
        is_closed(&mut partial)
    );
    assert_eq!(closed, (true, true, true, true));
    plane.sfu.shutdown().await;
}
