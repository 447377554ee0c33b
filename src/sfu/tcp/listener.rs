//! Accepts connections, and reads and writes them, on a thread of its own.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connections::{Connection, TcpConnections};
use super::streams::StreamReader;
use crate::domain::token_bucket::TokenBucket;
use crate::formats::rtp::{DatagramKind, classify};
use crate::sfu::turn::{RelayTable, TlsSource};
use crate::sfu::worker::{DatagramClass, FromWorker, WorkerHandle};

/// Connections that the kernel has accepted and this thread has not taken.
const BACKLOG: i32 = 128;
/// How long a connection may take until it was answered, which needs a valid check.
const PROOF_TIME: Duration = Duration::from_secs(10);
/// A connection to which nothing was sent for this long is closed: its peer sends no checks any
/// more, or its transport has ended. Longer than consent lasts.
const IDLE_MAX: Duration = Duration::from_secs(35);
/// The same for a client of TURN: longer than the longest lifetime of an allocation, within which it
/// has to be refreshed, and that is answered.
const TURN_IDLE_MAX: Duration = Duration::from_secs(3_700);
/// How long the rest of a datagram may take.
const PARTIAL_MAX: Duration = Duration::from_secs(10);
/// How long a peer may take to read what one write gives it.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// Pause after a connection could not be accepted, which mostly means that there are no descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Bytes read with one system call.
const READ_BYTES: usize = 16 * 1024;
/// Bytes that the kernel buffers towards each peer. More would delay what a slow peer gets.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Checks and handshake datagrams of one connection, per second and at once; more are dropped.
const HANDSHAKES_PER_S: u32 = 50;
const HANDSHAKES_BURST: u32 = 100;

/// Where what arrives is given to.
pub(in crate::sfu) struct Inbound {
    /// The control half: STUN and DTLS, and media of which no worker is known yet.
    pub(in crate::sfu) datagrams: mpsc::Sender<FromWorker>,
    /// The workers, by their numbers.
    pub(in crate::sfu) workers: Vec<WorkerHandle>,
    /// The allocations of clients of TURN.
    pub(in crate::sfu) relay: Arc<RelayTable>,
}

/// A socket that connections come to.
pub(in crate::sfu) struct Door {
    pub(in crate::sfu) socket: TcpListener,
    /// Where its connections are of TLS: their configuration.
    pub(in crate::sfu) tls: Option<TlsSource>,
}

/// A listening socket. Without `SO_REUSEPORT`, so that two servers never share one.
pub(in crate::sfu) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted server takes the port while connections of the earlier one linger.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Inherited by accepted connections; the kernel may allow less.
    socket.set_send_buffer_size(SEND_BUFFER_BYTES).ok();
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The listener of media over TCP.
pub(in crate::sfu) struct Listener {
    connections: Arc<TcpConnections>,
    inbound: Inbound,
}

impl Listener {
    /// Starts the thread. It ends, and all connections with it, when the guard is dropped.
    pub(in crate::sfu) fn start(
        doors: Vec<Door>,
        connections: Arc<TcpConnections>,
        inbound: Inbound,
    ) -> io::Result<DropGuard> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let listener = Arc::new(Self { connections, inbound });
        std::thread::Builder::new().name("media-tcp".to_owned()).spawn(move || {
            runtime.block_on(async move {
                for door in doors {
                    tokio::spawn(Arc::clone(&listener).accept(door));
                }
                ended.cancelled().await;
            });
        })?;
        Ok(guard)
    }

    async fn accept(self: Arc<Self>, door: Door) {
        let socket = match tokio::net::TcpListener::from_std(door.socket) {
            Ok(socket) => socket,
            Err(error) => {
                tracing::error!(%error, "media over TCP can't be listened to");
                return;
            }
        };
        loop {
            match socket.accept().await {
                Ok((stream, peer)) => {
                    if let Some((connection, queued)) = self.connections.admit(peer) {
                        let tls = door.tls.clone();
                        tokio::spawn(Arc::clone(&self).serve(stream, tls, connection, queued));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection for media could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a connection until it ends.
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        tls: Option<TlsSource>,
        connection: Arc<Connection>,
        queued: mpsc::Receiver<Vec<u8>>,
    ) {
        // Without it small packets wait for others; if it fails they come later.
        stream.set_nodelay(true).ok();
        let keepalive = TcpKeepalive::new().with_time(IDLE_MAX);
        socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive).ok();
        let Some(tls) = tls else {
            let (reader, writer) = stream.into_split();
            return self.carry(reader, writer, StreamReader::default(), connection, queued).await;
        };
        let handshake = Box::pin(timeout(PROOF_TIME, TlsAcceptor::from(tls()).accept(stream)));
        let accepted = tokio::select! {
            () = connection.closed.cancelled() => None,
            accepted = handshake => accepted.ok().and_then(Result::ok),
        };
        let Some(stream) = accepted else {
            self.connections.remove(&connection);
            tracing::debug!("a connection for media did not complete its TLS handshake");
            return;
        };
        let (reader, writer) = tokio::io::split(stream);
        self.carry(reader, writer, StreamReader::of_turn(), connection, queued).await;
    }

    /// Reads and writes a connection until it ends.
    async fn carry(
        &self,
        reader: impl AsyncRead + Unpin,
        writer: impl AsyncWrite + Unpin,
        frames: StreamReader,
        connection: Arc<Connection>,
        queued: mpsc::Receiver<Vec<u8>>,
    ) {
        let why = tokio::select! {
            () = connection.closed.cancelled() => "another one was given its place",
            why = self.read(reader, frames, &connection) => why,
            why = write(writer, &connection, queued) => why,
            why = watch(&connection) => why,
        };
        self.connections.remove(&connection);
        if connection.is_turn() {
            let (kind, from) = (DatagramClass::Ended, connection.address);
            let ended = FromWorker { worker: 0, kind, from, bytes: Vec::new() };
            // When the control half has ended, so have all allocations.
            self.inbound.datagrams.send(ended).await.ok();
        }
        tracing::debug!(why, proven = connection.is_proven(), "a connection for media has ended");
    }

    async fn read(
        &self,
        mut reader: impl AsyncRead + Unpin,
        mut frames: StreamReader,
        connection: &Connection,
    ) -> &'static str {
        let mut buffer = vec![0; READ_BYTES];
        let mut handshakes = TokenBucket::new(HANDSHAKES_PER_S, HANDSHAKES_BURST, Instant::now());
        let mut arrived = Vec::new();
        loop {
            let reading = reader.read(&mut buffer);
            let read = if frames.is_partial() {
                match timeout(PARTIAL_MAX, reading).await {
                    Ok(read) => read,
                    Err(_) => return "the rest of a datagram did not come",
                }
            } else {
                reading.await
            };
            let bytes = match read {
                Ok(0) => return "the peer closed it",
                Ok(bytes) => bytes,
                Err(_) => return "it broke",
            };
            let filled = buffer.get(..bytes).unwrap_or_default();
            let framed = frames.handle_bytes(filled, |datagram| arrived.push(datagram.to_vec()));
            if let Some(framing) = frames.framing() {
                connection.set_framing(framing);
            }
            for datagram in arrived.drain(..) {
                self.deliver(connection, datagram, &mut handshakes).await;
            }
            if framed.is_err() {
                return "it is not framed as it should be";
            }
        }
    }

    /// Gives a datagram to where it belongs. Waits while its worker is busy, so that the peer is
    /// slowed down instead of the worker.
    async fn deliver(
        &self,
        connection: &Connection,
        mut bytes: Vec<u8>,
        handshakes: &mut TokenBucket,
    ) {
        let (mut from, mut worker) = (connection.address, connection.worker());
        if let Some(routed) = self.inbound.relay.unwrap(from, &bytes) {
            bytes.truncate(routed.packet.end);
            bytes.drain(..routed.packet.start);
            (from, worker) = (routed.from, routed.worker);
        } else if classify(&bytes) == DatagramKind::Relay {
            return;
        }
        let kind = if matches!(classify(&bytes), DatagramKind::Rtp | DatagramKind::Rtcp) {
            let worker = worker.and_then(|worker| self.inbound.workers.get(worker));
            if let Some(worker) = worker {
                // A worker that has ended is noticed by the control half.
                worker.stream(from, bytes).await.ok();
                return;
            }
            DatagramClass::StrayMedia
        } else {
            DatagramClass::Handshake
        };
        if handshakes.try_take(Instant::now()) {
            let datagram = FromWorker { worker: 0, kind, from, bytes };
            // When the control half is busy it is lost, as a datagram might be.
            self.inbound.datagrams.try_send(datagram).ok();
        }
    }
}

async fn write(
    mut writer: impl AsyncWrite + Unpin,
    connection: &Connection,
    mut queued: mpsc::Receiver<Vec<u8>>,
) -> &'static str {
    loop {
        let bytes = tokio::select! {
            biased;
            bytes = queued.recv() => bytes,
            () = connection.ended.cancelled() => return "its allocation has ended",
        };
        let Some(bytes) = bytes else { return "nothing more is sent to it" };
        let write = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match timeout(WRITE_MAX, write).await {
            Ok(Ok(())) => connection.written(bytes.len()),
            Ok(Err(_)) => return "it broke",
            Err(_) => return "the peer does not read",
        }
    }
}

/// Ends a connection that nothing is sent to.
async fn watch(connection: &Connection) -> &'static str {
    tokio::time::sleep(PROOF_TIME).await;
    if !connection.is_proven() {
        return "it showed no credentials in time";
    }
    let mut sent = connection.sent();
    // A client of TURN may keep an allocation that it does not use, and ends with that.
    let idle_max = if connection.is_turn() { TURN_IDLE_MAX } else { IDLE_MAX };
    loop {
        tokio::time::sleep(idle_max).await;
        if connection.sent() == sent {
            return "nothing is sent to it any more";
        }
        sent = connection.sent();
    }
}
