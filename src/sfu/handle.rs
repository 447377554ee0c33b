//! The handle of the media plane: a cloneable sender into the control thread's
//! bounded queue, with a method for each request.

mod announce;
mod driver;
mod feed;
mod pool;
mod request;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::{MediaKind, TrackSource};
use crate::sfu::control::Control;
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::interface::{
    BitrateBudget, FeedSpec, PublishAnswer, RoomMediaEvent, SfuError, SfuOptions, SfuStats,
    TransportSide, WhepAnswer,
};
use crate::sfu::plane::{Demand, Gate, Gates};
use crate::sfu::tap::TapSink;
use crate::sfu::tcp::{self, Door, Inbound, Listener, TcpConnections, TcpStats};
use crate::sfu::transport::Identity;
use crate::sfu::turn::{RelayTable, TurnAccess, TurnOptions, TurnServer};
use crate::sfu::worker::{WorkerHandle, WorkerOptions, WorkerStats, start_workers};
use announce::announced;
use driver::{Driver, Inputs, Workers};
pub use feed::{Feed, FeedError};
use pool::Pool;
use request::{REQUESTS_MAX, Reply, Request};

/// Bytes that the kernel buffers for each worker's socket, in each direction: enough for a key
/// frame to each of a hundred receivers. The kernel may allow less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// Free ports that are tried until one is free for both UDP and TCP.
const FREE_PORT_TRIES: usize = 16;

/// Starts the workers, and listens to TCP at the same address and port if it is wanted.
fn open(
    options: &WorkerOptions,
    with_tcp: bool,
    connections: &Arc<TcpConnections>,
    relay: &Arc<RelayTable>,
) -> io::Result<(crate::sfu::worker::Workers, Option<TcpListener>)> {
    let mut tries = FREE_PORT_TRIES;
    loop {
        tries -= 1;
        let started = start_workers(options, connections, relay)?;
        if !with_tcp {
            return Ok((started, None));
        }
        match tcp::bind(started.local_address) {
            Ok(socket) => return Ok((started, Some(socket))),
            // The workers end with their handles.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if options.bind.port() != 0 || tries == 0 {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// Opens the socket of TURN over TLS, if there is to be one; returns its address as well.
fn open_tls(turn: Option<&TurnOptions>) -> Result<Option<(Door, SocketAddr)>, SfuError> {
    let Some(tls) = turn.and_then(|turn| turn.tls.as_ref()) else { return Ok(None) };
    let socket = tcp::bind(tls.bind).map_err(SfuError::BindTurn)?;
    let address = socket.local_addr().map_err(SfuError::BindTurn)?;
    Ok(Some((Door { socket, tls: Some(Arc::clone(&tls.config)) }, address)))
}

/// A handle of a running media plane. Clones refer to the same media plane, which ends with
/// [`Sfu::shutdown`] or when the last handle is dropped.
#[derive(Debug, Clone)]
pub struct Sfu {
    requests: mpsc::Sender<Request>,
    local_addr: SocketAddr,
    candidates: Arc<[SocketAddr]>,
    workers: Arc<[WorkerHandle]>,
    tcp: Arc<TcpConnections>,
    turn: Option<TurnAccess>,
}

/// What the control thread is started with.
struct Foundation {
    candidates: Arc<[SocketAddr]>,
    tcp: bool,
    turn: Option<TurnOptions>,
    /// Where TURN over TLS listens, if it does.
    turn_tls: Option<SocketAddr>,
    relay: Arc<RelayTable>,
    clock: Clock,
}

impl Foundation {
    /// Makes the engine of the control half.
    fn control(&self, workers: usize, now: Instant) -> Result<Control, SfuError> {
        let start = |error: &dyn std::fmt::Display| SfuError::Start(error.to_string());
        let identity = Arc::new(Identity::generate().map_err(|error| start(&error))?);
        let reached_at = (Arc::clone(&self.candidates), self.tcp);
        let control = Control::new(identity, reached_at, workers, rand::random(), now);
        let Some(turn) = &self.turn else { return Ok(control) };
        let relay = Arc::clone(&self.relay);
        let wall = (self.clock.now(), now);
        let server = TurnServer::new(turn.server(), relay, rand::random(), wall);
        Ok(control.with_turn(server.map_err(|error| start(&error))?))
    }

    /// What makes credentials of TURN.
    fn access(&self) -> Option<TurnAccess> {
        let options = self.turn.as_ref()?;
        let reached_at = (&*self.candidates, self.tcp);
        TurnAccess::new(options, self.clock.clone(), reached_at, self.turn_tls)
    }
}

impl Sfu {
    /// Starts the workers and the control thread. They end with [`Sfu::shutdown`] or when the last
    /// handle is dropped.
    ///
    /// # Errors
    /// [`SfuError::Bind`], [`SfuError::Unreachable`] and [`SfuError::Start`].
    pub fn start(options: SfuOptions) -> Result<Self, SfuError> {
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = if options.workers == 0 { processors() } else { options.workers };
        let worker_options = WorkerOptions {
            bind: options.bind,
            count,
            socket_buffer_bytes: SOCKET_BUFFER_BYTES,
            bitrate: options.bitrate,
            clock: options.clock.clone(),
        };
        let (tcp, relay) = (Arc::new(TcpConnections::default()), Arc::new(RelayTable::default()));
        let (started, socket) =
            open(&worker_options, options.tcp, &tcp, &relay).map_err(SfuError::Bind)?;
        let candidates: Arc<[SocketAddr]> =
            announced(started.local_address, options.candidates)?.into();
        relay.announce(&candidates);
        let workers: Arc<[WorkerHandle]> = Arc::from(started.handles.clone());
        let inbound = Inbound {
            datagrams: started.datagrams_in,
            workers: started.handles.clone(),
            relay: Arc::clone(&relay),
        };
        let by_tls = open_tls(options.turn.as_ref())?;
        let turn_tls = by_tls.as_ref().map(|(_, address)| *address);
        let doors: Vec<Door> = socket
            .map(|socket| Door { socket, tls: None })
            .into_iter()
            .chain(by_tls.map(|(door, _)| door))
            .collect();
        let listener = (!doors.is_empty())
            .then(|| Listener::start(doors, Arc::clone(&tcp), inbound))
            .transpose()
            .map_err(|error| SfuError::Start(error.to_string()))?;
        let (local_addr, strays, media) =
            (started.local_address, started.datagrams, started.events);
        let pool = Pool::new(started.handles, Arc::clone(&tcp), Arc::clone(&relay), listener);
        let (turn, clock) = (options.turn, options.clock);
        let foundation = Foundation { candidates, tcp: options.tcp, turn, turn_tls, relay, clock };
        let sfu = Self::launch(pool, local_addr, foundation, |requests| Inputs {
            requests,
            strays,
            media,
        })?;
        Ok(Self { workers, tcp, ..sfu })
    }

    /// Starts the control thread for workers that are running.
    fn launch<W: Workers>(
        workers: W,
        local_addr: SocketAddr,
        foundation: Foundation,
        inputs: impl FnOnce(mpsc::Receiver<Request>) -> Inputs,
    ) -> Result<Self, SfuError> {
        let start = |error: &dyn std::fmt::Display| SfuError::Start(error.to_string());
        let control = foundation.control(workers.count(), Instant::now())?;
        let turn = foundation.access();
        let Foundation { candidates, clock, .. } = foundation;
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let inputs = inputs(receiver);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| start(&error))?;
        std::thread::Builder::new()
            .name("sfu-control".to_owned())
            .spawn(move || runtime.block_on(Driver::new(control, workers, clock).run(inputs)))
            .map_err(|error| start(&error))?;
        let (workers, tcp) = Default::default();
        Ok(Self { requests, local_addr, candidates, workers, tcp, turn })
    }

    /// What makes credentials of TURN; `None` when it is not served, or at no address that clients
    /// could be told.
    #[must_use]
    pub const fn turn(&self) -> Option<&TurnAccess> {
        self.turn.as_ref()
    }

    /// The counters of media over TCP.
    #[must_use]
    pub(super) fn tcp_stats(&self) -> TcpStats {
        self.tcp.stats()
    }

    /// The address at which all media arrives.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The addresses that session descriptions announce.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Opens a room; events about its media are sent to `events`. The `budget` given last for a
    /// tenant applies to all of its rooms.
    ///
    /// # Errors
    /// [`SfuError::RoomExists`], [`SfuError::RoomLimit`], [`SfuError::Stopped`].
    pub async fn open_room(
        &self,
        room: SessionId,
        budget: BitrateBudget,
        events: mpsc::Sender<RoomMediaEvent>,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::OpenRoom { room, budget, events, reply }).await
    }

    /// Closes a room and ends everything in it; its transports send DTLS `close_notify`.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::Stopped`].
    pub async fn close_room(&self, room: SessionId) -> Result<(), SfuError> {
        self.request(|reply| Request::CloseRoom { room, reply }).await
    }

    /// Adds a peer to a room. `gates` are the gates of all that it
    /// will publish.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerExists`], [`SfuError::PeerLimit`],
    /// [`SfuError::Stopped`].
    pub async fn join(
        &self,
        room: SessionId,
        peer: ConnectionId,
        gates: Gates,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Join { room, peer, gates, reply }).await
    }

    /// Removes a peer and all its media from a room.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerNotFound`], [`SfuError::Stopped`].
    pub async fn leave(&self, room: SessionId, peer: ConnectionId) -> Result<(), SfuError> {
        self.request(|reply| Request::Leave { room, peer, reply }).await
    }

    /// Opens or closes every track of a peer that carries `kind`, present and
    /// future. Returns once the worker has applied it: after closing, no packet of
    /// these tracks that comes later reaches anybody.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerNotFound`], [`SfuError::Stopped`].
    pub async fn set_gate(
        &self,
        room: SessionId,
        peer: ConnectionId,
        kind: MediaKind,
        gate: Gate,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::SetGate { room, peer, kind, gate, reply }).await
    }

    /// Takes a publisher's offer: the first makes its transport, later ones renegotiate it. An
    /// offer with another certificate and other ICE credentials comes from a new peer connection
    /// and replaces the transport: the tracks of the old one are [`PublishAnswer::removed`].
    /// `sources` says which section (by `mid`) is which source; for the other sections, the first
    /// audio is a microphone, the first video a camera, the second audio and video a shared screen.
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`], [`SfuError::SignallingState`] (the certificate changed without the
    /// ICE credentials), [`SfuError::TrackLimit`], [`SfuError::BitrateLimit`] (another video track)
    /// and the errors of [`Sfu::leave`]. In each case nothing has changed.
    pub async fn publish(
        &self,
        room: SessionId,
        peer: ConnectionId,
        offer: String,
        sources: Vec<(String, TrackSource)>,
    ) -> Result<PublishAnswer, SfuError> {
        self.request(|reply| Request::Publish { room, peer, offer, sources, reply }).await
    }

    /// Ends a peer's publish transport and its tracks. Does nothing when there is none.
    ///
    /// # Errors
    /// The errors of [`Sfu::leave`].
    pub async fn unpublish(&self, room: SessionId, peer: ConnectionId) -> Result<(), SfuError> {
        self.request(|reply| Request::Unpublish { room, peer, reply }).await
    }

    /// Lets a peer publish a track whose packets come from this process. It has a gate, taps,
    /// subscribers and counters like any other track.
    ///
    /// # Errors
    /// [`SfuError::FeedInvalid`], [`SfuError::TrackLimit`], [`SfuError::BitrateLimit`] and the
    /// errors of [`Sfu::leave`].
    pub async fn feed(
        &self,
        room: SessionId,
        peer: ConnectionId,
        spec: FeedSpec,
    ) -> Result<Feed, SfuError> {
        let wanted = KeyFrameSignal::default();
        let asked = wanted.clone();
        let (track, worker) =
            self.request(|reply| Request::Feed { room, peer, spec, wanted: asked, reply }).await?;
        let worker = self.workers.get(worker).cloned().ok_or(SfuError::Stopped)?;
        Ok(Feed::new(track, worker, wanted))
    }

    /// Ends a feed. A feed also ends when its peer leaves.
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`] when the peer has no such feed, and the errors of
    /// [`Sfu::leave`].
    pub async fn end_feed(
        &self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::EndFeed { room, peer, track, reply }).await
    }

    /// Subscribes a peer to a track, or changes the layer it wants or whether it is paused. A new
    /// subscription causes [`RoomMediaEvent::SubscriberOffer`].
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`], [`SfuError::TrackLimit`], [`SfuError::SignallingState`] (a WHEP
    /// receiver can't subscribe) and the errors of [`Sfu::leave`].
    pub async fn subscribe(
        &self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
        demand: Demand,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Subscribe { room, peer, track, demand, reply }).await
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`] when the peer is not subscribed to it, and the errors of
    /// [`Sfu::leave`].
    pub async fn unsubscribe(
        &self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Unsubscribe { room, peer, track, reply }).await
    }

    /// Takes a receiver's answer to the offer that it was sent. An answer with another certificate
    /// comes from a new peer connection: the transport ends, and a new one is offered with
    /// everything that the receiver is subscribed to.
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`] and [`SfuError::SignallingState`] (no offer waits for an answer, or
    /// the answer is a repetition); an open offer stays open. Also the errors of [`Sfu::leave`].
    pub async fn answer(
        &self,
        room: SessionId,
        peer: ConnectionId,
        sdp: String,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Answer { room, peer, sdp, reply }).await
    }

    /// Sends a receiver an offer with new ICE credentials, because its network has changed. While
    /// an offer is open, this happens after it was answered.
    ///
    /// # Errors
    /// [`SfuError::TransportNotFound`], and the errors of [`Sfu::leave`].
    pub async fn restart_subscriber_ice(
        &self,
        room: SessionId,
        peer: ConnectionId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::RestartSubscriberIce { room, peer, reply }).await
    }

    /// Takes the offer of a WHEP receiver and answers it: at most one audio and one video slot,
    /// which show the tracks set with [`Sfu::feature`].
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`], [`SfuError::SignallingState`] (the peer has a receiving transport
    /// already), and the errors of [`Sfu::leave`].
    pub async fn whep(
        &self,
        room: SessionId,
        peer: ConnectionId,
        offer: String,
    ) -> Result<WhepAnswer, SfuError> {
        self.request(|reply| Request::Whep { room, peer, offer, reply }).await
    }

    /// Sets the tracks that the slots of a room's WHEP receivers show, present and future.
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`] (also for a track of the other kind),
    /// [`SfuError::RoomNotFound`], [`SfuError::Stopped`].
    pub async fn feature(
        &self,
        room: SessionId,
        audio: Option<TrackId>,
        video: Option<TrackId>,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Feature { room, audio, video, reply }).await
    }

    /// Restarts ICE without a session description (WHIP and WHEP `PATCH`,
    /// RFC 9725 §4.3.2): takes the peer's new credentials, returns this server's.
    ///
    /// # Errors
    /// [`SfuError::TransportNotFound`], [`SfuError::SdpInvalid`] for credentials that RFC 8839 §5.4
    /// does not allow, and the errors of [`Sfu::leave`].
    pub async fn restart_ice(
        &self,
        room: SessionId,
        peer: ConnectionId,
        side: TransportSide,
        remote_ufrag: String,
        remote_pwd: String,
    ) -> Result<(String, String), SfuError> {
        self.request(|reply| Request::RestartIce {
            room,
            peer,
            side,
            remote_ufrag,
            remote_pwd,
            reply,
        })
        .await
    }

    /// Adds a tap: `sink` gets what passes the gate of a track from now on, which is the packets of
    /// the best encoding with packets, as they arrived, and changes of the track's state. A sink
    /// without room loses the items and is told how many. When the track ends, the sink gets an
    /// item that says so. A tap of this track with this sink that exists already is kept.
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`], [`SfuError::RoomNotFound`], [`SfuError::Stopped`].
    pub async fn tap(
        &self,
        room: SessionId,
        track: TrackId,
        sink: TapSink,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Tap { room, track, sink, reply }).await
    }

    /// Ends a tap; the sink is told once it has received everything that came before.
    ///
    /// # Errors
    /// The errors of [`Sfu::tap`]; a track that has ended has told its sinks.
    pub async fn untap(
        &self,
        room: SessionId,
        track: TrackId,
        sink: TapSink,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Untap { room, track, sink, reply }).await
    }

    /// The counters of the control half and the number of open rooms, peers and tracks.
    ///
    /// # Errors
    /// [`SfuError::Stopped`].
    pub async fn stats(&self) -> Result<SfuStats, SfuError> {
        self.request(|reply| Request::Stats { reply }).await
    }

    /// The counters of each worker, with its number; workers that have ended are left out.
    pub async fn worker_stats(&self) -> Vec<(usize, WorkerStats)> {
        let mut counted = Vec::with_capacity(self.workers.len());
        for (index, worker) in self.workers.iter().enumerate() {
            if let Ok(stats) = worker.stats().await {
                counted.push((index, stats));
            }
        }
        counted
    }

    /// Closes every room and stops the threads; they have ended when this returns.
    pub async fn shutdown(&self) {
        // An error means that it is stopped already.
        drop(self.request(|reply| Request::Shutdown { reply }).await);
    }

    async fn request<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T, SfuError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(make(reply)).await.map_err(|_| SfuError::Stopped)?;
        answer.await.map_err(|_| SfuError::Stopped)?
    }
}
