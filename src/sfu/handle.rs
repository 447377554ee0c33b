//! The handle of the media plane: a cloneable sender into the control thread's
//! bounded queue, with a method for each request.

mod announce;
mod driver;
mod feed;
mod pool;
mod request;

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::TrackSource;
use crate::sfu::control::Control;
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::interface::{
    BitrateBudget, FeedSpec, PublishAnswer, RoomMediaEvent, SfuError, SfuOptions, SfuStats,
    TransportSide,
};
use crate::sfu::plane::{Demand, Gate};
use crate::sfu::tap::TapSink;
use crate::sfu::transport::Identity;
use crate::sfu::worker::{WorkerHandle, WorkerOptions, WorkerStats, start_workers};
use announce::announced;
use driver::{Driver, Inputs, Workers};
pub use feed::{Feed, FeedError};
use pool::Pool;
use request::{REQUESTS_MAX, Reply, Request};

/// What each worker's socket keeps, each way: a key frame to every receiver of
/// a hundred. The kernel may give less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// A handle of a running media plane. Clones speak to the same one; it ends
/// with [`Sfu::shutdown`] or with its last handle.
#[derive(Debug, Clone)]
pub struct Sfu {
    requests: mpsc::Sender<Request>,
    local_addr: SocketAddr,
    candidates: Arc<[SocketAddr]>,
    workers: Arc<[WorkerHandle]>,
}

impl Sfu {
    /// Starts the workers and the control thread. They end with
    /// [`Sfu::shutdown`] or with the last handle.
    ///
    /// # Errors
    /// [`SfuError::Bind`], [`SfuError::Unreachable`] and [`SfuError::Start`].
    pub fn start(options: SfuOptions) -> Result<Self, SfuError> {
        let processors = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let count = if options.workers == 0 { processors() } else { options.workers };
        let started = start_workers(&WorkerOptions {
            bind: options.bind,
            count,
            socket_buffer_bytes: SOCKET_BUFFER_BYTES,
        })
        .map_err(SfuError::Bind)?;
        let (local_addr, strays, media) =
            (started.local_address, started.datagrams, started.events);
        let workers = Arc::from(started.handles.clone());
        let pool = Pool::new(started.handles);
        let sfu = Self::launch(pool, local_addr, options.candidates, |requests| Inputs {
            requests,
            strays,
            media,
        })?;
        Ok(Self { workers, ..sfu })
    }

    /// Starts the control thread over workers that run.
    fn launch<W: Workers>(
        workers: W,
        local_addr: SocketAddr,
        candidates: Vec<SocketAddr>,
        inputs: impl FnOnce(mpsc::Receiver<Request>) -> Inputs,
    ) -> Result<Self, SfuError> {
        let start = |error: &dyn std::fmt::Display| SfuError::Start(error.to_string());
        let identity = Arc::new(Identity::generate().map_err(|error| start(&error))?);
        let candidates: Arc<[SocketAddr]> = announced(local_addr, candidates)?.into();
        let seed = rand::random();
        let control =
            Control::new(identity, Arc::clone(&candidates), workers.count(), seed, Instant::now());
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let inputs = inputs(receiver);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| start(&error))?;
        std::thread::Builder::new()
            .name("sfu-control".to_owned())
            .spawn(move || runtime.block_on(Driver::new(control, workers).run(inputs)))
            .map_err(|error| start(&error))?;
        Ok(Self { requests, local_addr, candidates, workers: Arc::default() })
    }

    /// The UDP address of all media.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The addresses that session descriptions name.
    #[must_use]
    pub fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Opens a room; what happens to its media goes to `events`. The latest
    /// `budget` of a tenant holds for all of its rooms.
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

    /// Closes a room and everything in it; its transports are told.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::Stopped`].
    pub async fn close_room(&self, room: SessionId) -> Result<(), SfuError> {
        self.request(|reply| Request::CloseRoom { room, reply }).await
    }

    /// Lets a peer into a room. `audio` gates every sound it will publish.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerExists`], [`SfuError::PeerLimit`],
    /// [`SfuError::Stopped`].
    pub async fn join(
        &self,
        room: SessionId,
        peer: ConnectionId,
        audio: Gate,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Join { room, peer, audio, reply }).await
    }

    /// Takes a peer and all its media out of a room.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerNotFound`], [`SfuError::Stopped`].
    pub async fn leave(&self, room: SessionId, peer: ConnectionId) -> Result<(), SfuError> {
        self.request(|reply| Request::Leave { room, peer, reply }).await
    }

    /// Opens or closes every audio track of a peer, present and future.
    /// Returns once the worker has applied it: after closing, no packet of the
    /// peer's sound that comes later reaches anybody.
    ///
    /// # Errors
    /// [`SfuError::RoomNotFound`], [`SfuError::PeerNotFound`], [`SfuError::Stopped`].
    pub async fn set_audio_gate(
        &self,
        room: SessionId,
        peer: ConnectionId,
        gate: Gate,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::SetAudioGate { room, peer, gate, reply }).await
    }

    /// Takes a publisher's offer: the first makes its transport, later ones
    /// renegotiate it. One with another certificate and other ICE credentials
    /// is of a new peer connection and replaces the transport: the tracks of
    /// the old one are [`PublishAnswer::removed`]. `sources` says which section (by `mid`) is what; for the
    /// rest, the first audio is a microphone, the first video a camera, the
    /// second audio and video a shared screen.
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`], [`SfuError::SignallingState`] (a changed
    /// certificate alone), [`SfuError::TrackLimit`], [`SfuError::BitrateLimit`]
    /// (further pictures) and what [`Sfu::leave`] names;
    /// nothing has changed then.
    pub async fn publish(
        &self,
        room: SessionId,
        peer: ConnectionId,
        offer: String,
        sources: Vec<(String, TrackSource)>,
    ) -> Result<PublishAnswer, SfuError> {
        self.request(|reply| Request::Publish { room, peer, offer, sources, reply }).await
    }

    /// Ends a peer's publish transport and its tracks. Without one, nothing happens.
    ///
    /// # Errors
    /// As [`Sfu::leave`].
    pub async fn unpublish(&self, room: SessionId, peer: ConnectionId) -> Result<(), SfuError> {
        self.request(|reply| Request::Unpublish { room, peer, reply }).await
    }

    /// Lets a peer publish a track whose packets come from this process. It is
    /// gated, tapped, subscribed to and counted like any other.
    ///
    /// # Errors
    /// [`SfuError::FeedInvalid`], [`SfuError::TrackLimit`],
    /// [`SfuError::BitrateLimit`] and what
    /// [`Sfu::leave`] names.
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

    /// Ends a track that is fed. It also ends when its peer leaves.
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`] when the peer feeds no such track, and what
    /// [`Sfu::leave`] names.
    pub async fn end_feed(
        &self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::EndFeed { room, peer, track, reply }).await
    }

    /// Subscribes a peer to a track, or changes what it wants of it. A new
    /// subscription causes [`RoomMediaEvent::SubscriberOffer`].
    ///
    /// # Errors
    /// [`SfuError::TrackNotFound`], [`SfuError::TrackLimit`],
    /// [`SfuError::SignallingState`] (a WHEP receiver) and what [`Sfu::leave`] names.
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
    /// [`SfuError::TrackNotFound`] when the peer is not subscribed to it, and
    /// what [`Sfu::leave`] names.
    pub async fn unsubscribe(
        &self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Unsubscribe { room, peer, track, reply }).await
    }

    /// Takes a receiver's answer to the offer it was given. One with another
    /// certificate is of a new peer connection: the transport ends, and another
    /// is offered for everything that the receiver is subscribed to.
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`] and [`SfuError::SignallingState`] (no offer is
    /// open, or it is an answer that came before); an offer that is open stays
    /// so. And what [`Sfu::leave`] names.
    pub async fn answer(
        &self,
        room: SessionId,
        peer: ConnectionId,
        sdp: String,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Answer { room, peer, sdp, reply }).await
    }

    /// Offers a receiver new ICE credentials, since its network has changed;
    /// while an offer is open, once that was answered.
    ///
    /// # Errors
    /// [`SfuError::TransportNotFound`], and what [`Sfu::leave`] names.
    pub async fn restart_subscriber_ice(
        &self,
        room: SessionId,
        peer: ConnectionId,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::RestartSubscriberIce { room, peer, reply }).await
    }

    /// Takes the offer of a receiver that offers (WHEP) and answers it: at most
    /// one audio and one video slot, which show what [`Sfu::feature`] says.
    ///
    /// # Errors
    /// [`SfuError::SdpInvalid`], [`SfuError::SignallingState`] (the peer
    /// receives already), and what [`Sfu::leave`] names.
    pub async fn whep(
        &self,
        room: SessionId,
        peer: ConnectionId,
        offer: String,
    ) -> Result<String, SfuError> {
        self.request(|reply| Request::Whep { room, peer, offer, reply }).await
    }

    /// Says what the slots of a room's WHEP receivers show, present and future.
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
    /// [`SfuError::TransportNotFound`], [`SfuError::SdpInvalid`] for
    /// credentials that RFC 8839 §5.4 does not allow, and what [`Sfu::leave`] names.
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

    /// Gives `sink` what passes the gate of a track from here on: the packets
    /// of its best encoding that comes, as they came, and what happens to it.
    /// A sink without room misses what it is offered and is told how much. A
    /// track that ends says so. What taps a track already stays as it is.
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

    /// Ends a tap; the sink is told once it has everything that came before.
    ///
    /// # Errors
    /// As [`Sfu::tap`]; a track that is gone has told its sinks.
    pub async fn untap(
        &self,
        room: SessionId,
        track: TrackId,
        sink: TapSink,
    ) -> Result<(), SfuError> {
        self.request(|reply| Request::Untap { room, track, sink, reply }).await
    }

    /// Counters and sizes.
    ///
    /// # Errors
    /// [`SfuError::Stopped`].
    pub async fn stats(&self) -> Result<SfuStats, SfuError> {
        self.request(|reply| Request::Stats { reply }).await
    }

    /// What each worker counted, in their order; one that has ended is left out.
    pub async fn worker_stats(&self) -> Vec<(usize, WorkerStats)> {
        let mut counted = Vec::with_capacity(self.workers.len());
        for (index, worker) in self.workers.iter().enumerate() {
            if let Ok(stats) = worker.stats().await {
                counted.push((index, stats));
            }
        }
        counted
    }

    /// Closes every room and stops the threads; when this returns they have ended.
    pub async fn shutdown(&self) {
        // An error says that it is stopped already.
        drop(self.request(|reply| Request::Shutdown { reply }).await);
    }

    async fn request<T>(&self, make: impl FnOnce(Reply<T>) -> Request) -> Result<T, SfuError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(make(reply)).await.map_err(|_| SfuError::Stopped)?;
        answer.await.map_err(|_| SfuError::Stopped)?
    }
}
