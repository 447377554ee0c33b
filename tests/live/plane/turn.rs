//! Media through TURN, and what a client of TURN can't do.

use cabildo::domain::id::UserId;
use cabildo::domain::secret::Secret;
use cabildo::sfu::turn::{Quotas, RelayServer, TurnOptions, TurnStats};
use tokio::io::{AsyncRead, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;

use super::*;
use crate::turn_client::TurnClient;

const CHANNEL: u16 = 0x4001;

fn turn_plane(workers: usize) -> Plane {
    let turn = TurnOptions {
        secret: Secret::new(vec![7; 32]),
        credentials_ttl: Duration::from_mins(10),
        lifetime_max: Duration::from_mins(10),
        quotas: Quotas { per_person: 8, per_network: 8, total: 8 },
        udp: Vec::new(),
        tls: None,
    };
    let options = SfuOptions { workers, turn: Some(turn), ..SfuOptions::default() };
    let sfu = Sfu::start(options).expect("started");
    Plane { sfu, driver: Driver::start(1, None).expect("started"), clients: 0 }
}

impl Plane {
    fn credentials(&self, room: &Room, peer: ConnectionId) -> RelayServer {
        let user: UserId = "ana".parse().expect("a user");
        let turn = self.sfu.turn().expect("it is served");
        turn.issue(room.id, peer, TenantId::from_uuid(uuid::Uuid::nil()), &user)
    }

    async fn turn_stats(&self) -> TurnStats {
        self.sfu.stats().await.expect("it runs").turn
    }
}

/// How a client of TURN is connected.
enum Way {
    Datagrams(tokio::net::UdpSocket),
    Stream(ReadHalf<Box<dyn Both>>, WriteHalf<Box<dyn Both>>),
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

impl Way {
    async fn by_udp(plane: &Plane) -> Self {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(plane.sfu.local_addr()).await.expect("connected");
        Self::Datagrams(socket)
    }

    fn by_stream(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (reader, writer) = tokio::io::split(Box::new(stream) as Box<dyn Both>);
        Self::Stream(reader, writer)
    }

    async fn by_tcp(plane: &Plane) -> Self {
        Self::by_stream(TcpStream::connect(plane.sfu.local_addr()).await.expect("connected"))
    }

    async fn send(&mut self, message: &[u8]) {
        match self {
            Self::Datagrams(socket) => {
                socket.send(message).await.expect("sent");
            }
            Self::Stream(_, writer) => {
                let padding = message.len().next_multiple_of(4) - message.len();
                let padded = [message, &[0; 3][..padding]].concat();
                writer.write_all(&padded).await.expect("sent");
                writer.flush().await.expect("sent");
            }
        }
    }

    /// The next message; `None` when the connection has ended.
    async fn receive(&mut self) -> Option<Vec<u8>> {
        match self {
            Self::Datagrams(socket) => {
                let mut buffer = vec![0; 2_000];
                let length = socket.recv(&mut buffer).await.ok()?;
                buffer.truncate(length);
                Some(buffer)
            }
            Self::Stream(reader, _) => {
                let mut message = vec![0; 4];
                reader.read_exact(&mut message).await.ok()?;
                let stated = usize::from(u16::from_be_bytes([message[2], message[3]]));
                let rest = if message[0] < 0x40 { 16 + stated } else { stated };
                message.resize(4 + rest.next_multiple_of(4), 0);
                reader.read_exact(&mut message[4..]).await.ok()?;
                message.truncate(4 + rest);
                Some(message)
            }
        }
    }

    /// Sends a request and returns the code of its answer, 0 for success.
    async fn ask(&mut self, client: &mut TurnClient, request: &[u8]) -> u16 {
        self.send(request).await;
        let answer = tokio::time::timeout(PATIENCE, self.receive()).await.expect("in time");
        client.handle_answer(&answer.expect("an answer"))
    }

    /// Makes an allocation.
    async fn allocate(&mut self, client: &mut TurnClient) -> u16 {
        let request = client.allocate();
        let code = self.ask(client, &request).await;
        assert_eq!(code, 401, "a stranger is asked for credentials");
        let request = client.allocate();
        self.ask(client, &request).await
    }
}

/// Carries the datagrams of one client through a relay, so that a client of UDP is one behind TURN.
async fn relay(plane: &Plane, mut way: Way, server: &RelayServer) -> Relay {
    let media = plane.sfu.local_addr();
    let mut client = TurnClient::new(server);
    assert_eq!(way.allocate(&mut client).await, 0);
    let socket = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let address = socket.local_addr().expect("an address");
    let carrying = tokio::spawn(async move {
        let (mut datagram, mut local, mut sent) = ([0; 2_000], None, 0);
        loop {
            tokio::select! {
                received = socket.recv_from(&mut datagram) => {
                    let Ok((bytes, from)) = received else { return };
                    local = Some(from);
                    let packet = &datagram[..bytes];
                    sent += 1;
                    // First by indications, then by a channel.
                    match sent {
                        1 => { let request = client.permit(media); way.send(&request).await; }
                        20 => { let request = client.bind(CHANNEL, media); way.send(&request).await; }
                        _ => {}
                    }
                    if sent < 25 {
                        let message = client.send(media, packet);
                        way.send(&message).await;
                    } else {
                        let length = u16::try_from(bytes).expect("short").to_be_bytes();
                        way.send(&[&CHANNEL.to_be_bytes(), &length[..], packet].concat()).await;
                    }
                }
                message = way.receive() => {
                    let Some(message) = message else { return };
                    let packet = packet_in(&message);
                    if let (Some(packet), Some(local)) = (packet, local) {
                        socket.send_to(packet, local).await.ok();
                    }
                }
            }
        }
    });
    Relay { address, carrying }
}

/// The packet in channel data or a Data indication.
fn packet_in(message: &[u8]) -> Option<&[u8]> {
    if message[0] >= 0x40 {
        assert_eq!(message[..2], CHANNEL.to_be_bytes());
        return Some(&message[4..]);
    }
    if message[..2] != [0, 0x17] {
        return None;
    }
    // Of this server the data comes last, after an address of IPv4.
    let data = &message[20 + 12..];
    let length = usize::from(u16::from_be_bytes([data[2], data[3]]));
    Some(&data[4..4 + length])
}

#[tokio::test]
async fn media_is_relayed_to_and_from_clients_of_turn() {
    for workers in [1, 2] {
        let mut plane = turn_plane(workers);
        let mut room = plane.open().await;
        let client = plane
            .join(&room, |options| MediaClient::publisher(options, &[TrackOptions::microphone()]))
            .await;
        let way = Way::by_udp(&plane).await;
        let by_udp = relay(&plane, way, &plane.credentials(&room, client.peer)).await;
        let offer = client.media.call(|media, _| media.offer()).await.expect("it lives");
        let answer = plane.sfu.publish(room.id, client.peer, offer, Vec::new()).await;
        let answer = answer.expect("published");
        let sdp = by_udp.instead_of_plane(&answer.sdp);
        let taken = client.media.call(move |media, now| media.handle_answer(&sdp, now)).await;
        taken.expect("it lives").expect("a usable answer");

        let track = answer.tracks[0].track;
        let direct = plane.receiver(&mut room, &[track]).await;
        let behind = plane.join(&room, MediaClient::subscriber).await;
        let way = Way::by_tcp(&plane).await;
        let by_tcp = relay(&plane, way, &plane.credentials(&room, behind.peer)).await;
        let demand = Demand::default();
        plane.sfu.subscribe(room.id, behind.peer, track, demand).await.expect("subscribed");
        let (sdp, _) = room.offer_with(behind.peer).await;
        let sdp = by_tcp.instead_of_plane(&sdp);
        let answer = behind.media.call(move |media, now| media.handle_offer(&sdp, now)).await;
        let answer = answer.expect("it lives").expect("a usable offer");
        plane.sfu.answer(room.id, behind.peer, answer).await.expect("taken");

        direct.hears(1, 50).await;
        behind.hears(1, 50).await;
        let stats = plane.turn_stats().await;
        assert_eq!(stats.allocations, 2);
        assert!(stats.packets_from_clients >= 50 && stats.packets_to_clients >= 50, "{stats:?}");
        by_udp.carrying.abort();
        by_tcp.carrying.abort();
        plane.sfu.shutdown().await;
    }
}

#[tokio::test]
async fn a_relay_reaches_nothing_but_media() {
    let mut plane = turn_plane(1);
    let room = plane.open().await;
    let peer = plane.join(&room, MediaClient::subscriber).await.peer;
    let mut client = TurnClient::new(&plane.credentials(&room, peer));
    let mut way = Way::by_udp(&plane).await;
    assert_eq!(way.allocate(&mut client).await, 0);
    let victim = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    victim.set_nonblocking(true).expect("a socket");
    let service = victim.local_addr().expect("an address");
    let elsewhere = SocketAddr::from(([192, 0, 2, 1], plane.sfu.local_addr().port()));

    for other in [service, elsewhere] {
        let request = client.bind(CHANNEL, other);
        assert_eq!(way.ask(&mut client, &request).await, 403, "{other}");
    }
    let request = client.permit(elsewhere);
    assert_eq!(way.ask(&mut client, &request).await, 403);
    // Permissions are for addresses (RFC 8656 §9.1), and this one is also that of the media port.
    let request = client.permit(service);
    assert_eq!(way.ask(&mut client, &request).await, 0);
    let message = client.send(service, b"a packet");
    way.send(&message).await;
    // This comes after it by the same way.
    let request = client.refresh(600);
    assert_eq!(way.ask(&mut client, &request).await, 0);
    let mut buffer = [0; 100];
    let received = victim.recv(&mut buffer).map_err(|error| error.kind());
    assert_eq!(received, Err(std::io::ErrorKind::WouldBlock));
    let stats = plane.turn_stats().await;
    assert_eq!((stats.peers_refused, stats.packets_refused), (3, 1));
    plane.sfu.shutdown().await;
}

#[tokio::test]
async fn a_relay_ends_with_the_connection_of_its_person() {
    let mut plane = turn_plane(1);
    let room = plane.open().await;
    let peer = plane.join(&room, MediaClient::subscriber).await.peer;
    let server = plane.credentials(&room, peer);
    let (mut one, mut other) = (TurnClient::new(&server), TurnClient::new(&server));
    let (mut udp, mut tcp) = (Way::by_udp(&plane).await, Way::by_tcp(&plane).await);
    assert_eq!(udp.allocate(&mut one).await, 0);
    assert_eq!(tcp.allocate(&mut other).await, 0);
    assert_eq!(plane.turn_stats().await.allocations, 2);
    plane.sfu.leave(room.id, peer).await.expect("it was there");
    assert_eq!(plane.turn_stats().await.allocations, 0);
    let ended = tokio::time::timeout(PATIENCE, tcp.receive()).await.expect("in time");
    assert_eq!(ended, None, "the connection is closed");
    let request = one.refresh(600);
    assert_eq!(udp.ask(&mut one, &request).await, 401);
    // Another room of which the credentials are not.
    let elsewhere = plane.open().await;
    let mut stranger = TurnClient::new(&plane.credentials(&elsewhere, peer));
    assert_eq!(udp.allocate(&mut stranger).await, 401);
    plane.sfu.shutdown().await;
}

#[tokio::test]
async fn an_allocation_ends_with_its_connection_of_tcp() {
    let mut plane = turn_plane(1);
    let room = plane.open().await;
    let peer = plane.join(&room, MediaClient::subscriber).await.peer;
    let server = plane.credentials(&room, peer);
    // A telephone that changes its network again and again, more often than its quota allows.
    for _ in 0..20 {
        let (mut client, mut tcp) = (TurnClient::new(&server), Way::by_tcp(&plane).await);
        assert_eq!(tcp.allocate(&mut client).await, 0);
        drop(tcp);
        tokio::time::timeout(PATIENCE, async {
            while plane.turn_stats().await.allocations > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("in time");
    }
    plane.sfu.shutdown().await;
}

#[tokio::test]
async fn strangers_of_turn_over_tcp_are_told_why_and_closed() {
    let plane = turn_plane(1);
    let nobody = plane.credentials(&plane.open().await, ConnectionId::generate());
    let mut client = TurnClient::new(&nobody);
    let mut stranger = Way::by_tcp(&plane).await;
    assert_eq!(stranger.allocate(&mut client).await, 401);
    // A byte of a message, and then nothing more.
    let mut slow = TcpStream::connect(plane.sfu.local_addr()).await.expect("connected");
    slow.write_all(&client.allocate()[..3]).await.expect("sent");
    let mut garbage = TcpStream::connect(plane.sfu.local_addr()).await.expect("connected");
    garbage.write_all(&[0, 3, 0, 7, 1, 2, 3]).await.expect("sent");
    let (ended, slow, garbage) = tokio::join!(
        tokio::time::timeout(PATIENCE, stranger.receive()),
        is_closed(&mut slow),
        is_closed(&mut garbage)
    );
    assert_eq!((ended.expect("in time"), slow, garbage), (None, true, true));
    assert_eq!(plane.turn_stats().await.allocations, 0);
    plane.sfu.shutdown().await;
}
