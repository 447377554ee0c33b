//! The connection to a camera, and the ports that it sends to. The RTSP client reads from it
//! through a connection on loopback, so that what a camera sends is looked at first.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

use super::mediator::{Act, Mediator};
use crate::cameras::engine::rtsp::{Item, Reader};
use crate::cameras::engine::source::Source;
use crate::domain::camera::{CameraTransport, StreamFault};

/// Bytes that are read at once: the largest frame, or datagram.
const READ_BYTES: usize = 1 << 16;
/// Bytes of packets that may wait in the kernel: more than a large key picture, which cameras send
/// in one burst.
const PACKETS_WAITING_BYTES: usize = 1 << 20;
/// How often two ports beside each other are looked for.
const PORTS_TRIED: u32 = 32;
/// How long a camera may take over its goodbye. Raising it delays the next call of a camera that
/// never answers it.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// What makes the camera's network let datagrams through: a packet of RTP without contents.
const OPENER: [u8; 12] = [0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// A connection to a camera. When it is dropped, the camera is told goodbye.
pub(super) struct Connection {
    url: Url,
    fault: watch::Receiver<Option<StreamFault>>,
    _open: DropGuard,
}

impl Connection {
    /// Connects to a camera at an address that was judged. The task that looks after the
    /// connection is one of `tasks`.
    pub(super) async fn open(
        place: SocketAddr,
        source: &Source,
        transport: CameraTransport,
        tasks: &TaskTracker,
    ) -> Result<Self, StreamFault> {
        let camera = TcpStream::connect(place).await.map_err(|_| StreamFault::Unreachable)?;
        let unavailable = |error: io::Error| {
            tracing::warn!(%error, "a camera has no connection on loopback");
            StreamFault::Unreachable
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unavailable)?;
        let port = listener.local_addr().map_err(unavailable)?.port();
        let address = format!("rtsp://127.0.0.1:{port}/{:032x}", rand::random::<u128>());
        let url = Url::parse(&address).map_err(|_| StreamFault::Unreachable)?;
        let mediator = Mediator::new(source, source.at(place), url.to_string(), transport);
        let (told, fault) = watch::channel(None);
        let stop = CancellationToken::new();
        let (sockets, reports) = (Vec::new(), Vec::new());
        let answered = Reader::default();
        let task = Task { camera, mediator, sockets, reports, opened: None, answered };
        tasks.spawn(task.run(listener, stop.clone(), told));
        Ok(Self { url, fault, _open: stop.drop_guard() })
    }

    /// The address for the client.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// Why it has ended, as far as that is the camera's doing.
    pub(super) fn fault(&self) -> Option<StreamFault> {
        *self.fault.borrow()
    }
}

struct Task {
    camera: TcpStream,
    mediator: Mediator,
    /// What takes the packets of each stream that comes by UDP.
    sockets: Vec<UdpSocket>,
    /// What takes the reports about them, which nobody reads. A closed port would look to the
    /// camera like a client that is gone.
    reports: Vec<UdpSocket>,
    /// Ports that the camera was told of.
    opened: Option<(UdpSocket, UdpSocket)>,
    /// What the camera sent over the connection and was not handled yet.
    answered: Reader,
}

impl Task {
    async fn run(
        mut self,
        listener: TcpListener,
        stop: CancellationToken,
        told: watch::Sender<Option<StreamFault>>,
    ) {
        let mut client = None;
        let mediated = stop.run_until_cancelled(async {
            let (accepted, _) = listener.accept().await.map_err(|_| StreamFault::Unreachable)?;
            drop(listener);
            self.mediate(client.insert(accepted)).await
        });
        let ended = mediated.await;
        if let Some(Err(fault)) = ended {
            // Whoever finds the client's connection closed finds out why.
            told.send_replace(Some(fault));
        }
        drop(client);
        drop(tokio::time::timeout(GOODBYE_MAX, self.goodbye()).await);
    }

    /// Until the camera or the client ends it.
    async fn mediate(&mut self, client: &mut TcpStream) -> Result<(), StreamFault> {
        let began = Instant::now();
        let mut asked = Reader::default();
        let mut from_client = vec![0; READ_BYTES];
        let mut from_camera = vec![0; READ_BYTES];
        let mut datagram = vec![0; READ_BYTES];
        loop {
            tokio::select! {
                read = client.read(&mut from_client) => {
                    let Ok(1..) = read else { return Ok(()) };
                    asked.push(from_client.get(..read.unwrap_or(0)).unwrap_or_default());
                    while let Some(item) = asked.poll()? {
                        self.mediator.handle_client(item)?;
                    }
                }
                read = self.camera.read(&mut from_camera) => {
                    let Ok(1..) = read else { return Err(StreamFault::ConnectionClosed) };
                    self.answered.push(from_camera.get(..read.unwrap_or(0)).unwrap_or_default());
                    while let Some(item) = self.answered.poll()? {
                        self.mediator.handle_camera(item)?;
                    }
                }
                (stream, length) = receive(&self.sockets, &mut datagram) => {
                    let at_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
                    let datagram = datagram.get(..length).unwrap_or_default();
                    self.mediator.handle_datagram(stream, datagram, at_us);
                }
            }
            self.act(client).await?;
        }
    }

    async fn act(&mut self, client: &mut TcpStream) -> Result<(), StreamFault> {
        let mut for_client = Vec::new();
        loop {
            let acts = self.mediator.poll();
            if acts.is_empty() {
                break;
            }
            for act in acts {
                match act {
                    Act::ToClient(bytes) => for_client.extend(bytes),
                    Act::ToCamera(bytes) => {
                        let sent = self.camera.write_all(&bytes).await;
                        sent.map_err(|_| StreamFault::ConnectionClosed)?;
                    }
                    Act::OpenPorts => {
                        let own = self.camera.local_addr().map_err(|_| StreamFault::Unreachable)?;
                        let (port, opened) = open_ports(own.ip()).await.map_err(|error| {
                            tracing::warn!(%error, "a camera can't send: no ports can be opened");
                            StreamFault::Unreachable
                        })?;
                        self.opened = Some(opened);
                        self.mediator.handle_ports(port);
                    }
                    Act::Receive { from } => self.receive_from(from).await?,
                }
            }
        }
        // A client that reads slowly is waited for, so that no more is held than was read. That it
        // is gone is found when it is read from next.
        drop(client.write_all(&for_client).await);
        Ok(())
    }

    /// From now on takes what comes from this port of the camera, and from nowhere else: the kernel
    /// drops what is from elsewhere.
    async fn receive_from(&mut self, port: u16) -> Result<(), StreamFault> {
        let Some((packets, reports)) = self.opened.take() else { return Ok(()) };
        let camera = self.camera.peer_addr().map_err(|_| StreamFault::ConnectionClosed)?;
        let from = SocketAddr::new(camera.ip(), port);
        packets.connect(from).await.map_err(|_| StreamFault::Unreachable)?;
        discard_waiting(&packets);
        // It only opens a NAT or a firewall; where there is none, losing it does no harm.
        drop(packets.send(&OPENER).await);
        self.sockets.push(packets);
        self.reports.push(reports);
        Ok(())
    }

    async fn goodbye(&mut self) {
        let Some(bytes) = self.mediator.goodbye() else { return };
        if self.camera.write_all(&bytes).await.is_err() {
            return;
        }
        let mut read = vec![0; READ_BYTES];
        while let Ok(length @ 1..) = self.camera.read(&mut read).await {
            self.answered.push(read.get(..length).unwrap_or_default());
            loop {
                match self.answered.poll() {
                    Ok(Some(Item::Message(answer))) if self.mediator.is_goodbye(&answer) => return,
                    Err(_) => return,
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                }
            }
        }
    }
}

/// The next datagram that comes to one of the sockets: which one, and how long it is.
async fn receive(sockets: &[UdpSocket], buffer: &mut [u8]) -> (usize, usize) {
    poll_fn(|context| {
        for (number, socket) in sockets.iter().enumerate() {
            let mut read = ReadBuf::new(buffer);
            while let Poll::Ready(received) = socket.poll_recv(context, &mut read) {
                // An error is what a router says of a datagram of ours.
                if received.is_ok() {
                    return Poll::Ready((number, read.filled().len()));
                }
            }
        }
        Poll::Pending
    })
    .await
}

/// Discards what waits in a socket that was connected just now: it may be from anybody.
fn discard_waiting(socket: &UdpSocket) {
    let socket = SockRef::from(socket);
    let mut datagram = [MaybeUninit::uninit(); 1];
    loop {
        match socket.recv(&mut datagram) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // What is longer than the buffer is cut. An error is what a router says of a datagram
            // of ours.
            Ok(_) | Err(_) => {}
        }
    }
}

/// Two ports beside each other, of which the first is even (RFC 3550 §11).
async fn open_ports(ip: IpAddr) -> io::Result<(u16, (UdpSocket, UdpSocket))> {
    for _ in 0..PORTS_TRIED {
        let packets = UdpSocket::bind((ip, 0)).await?;
        let port = packets.local_addr()?.port();
        if port % 2 == 0
            && let Ok(reports) = UdpSocket::bind((ip, port + 1)).await
        {
            // The kernel may allow less; bursts of a picture are then lost more easily.
            SockRef::from(&packets).set_recv_buffer_size(PACKETS_WAITING_BYTES).ok();
            return Ok((port, (packets, reports)));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
