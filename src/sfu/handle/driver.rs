//! The thread that owns the control engine. A handshake costs up to a millisecond of processor time
//! and must not delay the threads that serve requests. The thread is woken by requests, by
//! datagrams and events from the workers, and by its timer.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::clock::Clock;
use crate::domain::id::{SessionId, TrackId};
use crate::sfu::control::{Control, Output};
use crate::sfu::handle::request::{Reply, Request};
use crate::sfu::interface::{RoomMediaEvent, SfuError};
use crate::sfu::metrics;
use crate::sfu::plane::{Command, Gate, MediaEvent};
use crate::sfu::worker::{DatagramClass, FromWorker};

/// Entries taken from one queue before the other queues are looked at.
const BATCH: usize = 64;
/// Events that wait for rooms whose channel is full; beyond this number events are dropped and
/// counted.
const PENDING_EVENTS_MAX: usize = 16_384;
/// How often the time of day is read.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);
/// Time after which a full channel is tried again.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// The thread of a worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

pub(crate) type Applied = Pin<Box<dyn Future<Output = Result<(), Gone>> + Send>>;

/// The workers, as the control thread uses them. Commands to one worker, including gates, are
/// applied in the order given.
pub(crate) trait Workers: Send + 'static {
    fn count(&self) -> usize;
    fn send(&self, worker: usize, command: Command) -> Result<(), Gone>;
    /// Gives a gate; the future completes when the worker has applied it.
    fn set_gate(&self, worker: usize, track: TrackId, gate: Gate) -> Applied;
    /// Sends from the media port; when the socket buffer is full the datagram is dropped.
    fn transmit(&self, worker: usize, to: SocketAddr, bytes: &[u8]);
    fn hand_over(&self, worker: usize, from: SocketAddr, bytes: Vec<u8>);
    /// Closes the connection by which a client of TURN came, if it came by one.
    fn close(&self, client: SocketAddr);
    /// Stops the threads; the future completes when they have ended.
    fn shutdown(self) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The queues that the thread listens to.
pub(crate) struct Inputs {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) strays: mpsc::Receiver<FromWorker>,
    pub(crate) media: mpsc::Receiver<MediaEvent>,
}

struct Room {
    events: mpsc::Sender<RoomMediaEvent>,
    pending: VecDeque<RoomMediaEvent>,
}

pub(crate) struct Driver<W> {
    control: Control,
    workers: W,
    rooms: BTreeMap<SessionId, Room>,
    events_dropped: u64,
    clock: Clock,
    clock_read: Option<Instant>,
}

enum Wake {
    Requests(usize),
    Strays,
    Media,
    Timer,
}

impl<W: Workers> Driver<W> {
    pub(crate) fn new(control: Control, workers: W, clock: Clock) -> Self {
        let (rooms, clock_read) = (BTreeMap::new(), None);
        Self { control, workers, rooms, events_dropped: 0, clock, clock_read }
    }

    /// Tells the engine the time of day, which may have been set.
    fn read_clock(&mut self, now: Instant) {
        if self.clock_read.is_none_or(|at| now.saturating_duration_since(at) >= CLOCK_INTERVAL) {
            self.clock_read = Some(now);
            self.control.handle_wall_clock(self.clock.now(), now);
        }
    }

    /// Runs until it is told to stop or its last handle is dropped.
    pub(crate) async fn run(mut self, mut inputs: Inputs) {
        let mut requests = Vec::with_capacity(BATCH);
        let mut strays = Vec::with_capacity(BATCH);
        let mut media = Vec::with_capacity(BATCH);
        let mut stopping = None;
        loop {
            let wake = tokio::select! {
                count = inputs.requests.recv_many(&mut requests, BATCH) => Wake::Requests(count),
                // The queue is closed when all workers have ended; requests still have to be
                // answered then.
                _ = inputs.strays.recv_many(&mut strays, BATCH), if !inputs.strays.is_closed()
                    => Wake::Strays,
                _ = inputs.media.recv_many(&mut media, BATCH), if !inputs.media.is_closed()
                    => Wake::Media,
                () = self.timer() => Wake::Timer,
            };
            let now = Instant::now();
            self.read_clock(now);
            match wake {
                Wake::Requests(0) => break,
                Wake::Requests(_) => {
                    for request in requests.drain(..) {
                        if let Request::Shutdown { reply } = request {
                            stopping = Some(reply);
                            break;
                        }
                        self.handle_request(request, now);
                    }
                }
                Wake::Strays => {
                    for stray in strays.drain(..) {
                        let FromWorker { worker, kind, from, bytes } = stray;
                        if kind == DatagramClass::Ended {
                            self.control.handle_ended(from);
                        } else {
                            self.control.handle_datagram(worker, from, bytes, now);
                        }
                        self.drain(now);
                    }
                }
                Wake::Media => {
                    for event in media.drain(..) {
                        self.control.handle_media_event(event, now);
                    }
                }
                Wake::Timer => self.control.handle_timeout(now),
            }
            if stopping.is_some() {
                break;
            }
            self.control.flush_offers(now);
            self.drain(now);
            self.retry();
        }
        self.stop().await;
        if let Some(reply) = stopping {
            answer(reply, Ok(()));
        }
    }

    async fn timer(&self) {
        if self.control.owes_offers() {
            return;
        }
        let retry = self.rooms.values().any(|room| !room.pending.is_empty());
        let retry_at = retry.then(|| Instant::now() + RETRY_AFTER);
        match [self.control.poll_timeout(), retry_at].into_iter().flatten().min() {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }

    async fn stop(mut self) {
        let now = Instant::now();
        for room in self.control.rooms() {
            // Can't fail, since the room is open.
            drop(self.control.close_room(room, now));
        }
        self.drain(now);
        self.workers.shutdown().await;
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each request, and nothing else")]
    fn handle_request(&mut self, request: Request, now: Instant) {
        match request {
            Request::OpenRoom { room, budget, events, reply } => {
                let opened = self.control.open_room(room, budget);
                if opened.is_ok() {
                    self.rooms.insert(room, Room { events, pending: VecDeque::new() });
                }
                answer(reply, opened);
            }
            Request::CloseRoom { room, reply } => {
                let closed = self.control.close_room(room, now);
                self.drain(now);
                self.rooms.remove(&room);
                answer(reply, closed);
            }
            Request::Join { room, peer, gates, reply } => {
                answer(reply, self.control.join(room, peer, gates));
            }
            Request::Leave { room, peer, reply } => {
                self.finish(reply, now, |control| control.leave(room, peer, now));
            }
            Request::SetGate { room, peer, kind, gate, reply } => {
                match self.control.set_gate(room, peer, kind, gate) {
                    Ok((worker, tracks)) => self.apply_gate(worker, &tracks, gate, reply),
                    Err(refused) => answer(reply, Err(refused)),
                }
            }
            Request::Publish { room, peer, offer, sources, reply } => {
                self.finish(reply, now, |it| it.publish(room, peer, &offer, &sources, now));
            }
            Request::Unpublish { room, peer, reply } => {
                self.finish(reply, now, |control| control.unpublish(room, peer, now));
            }
            Request::Feed { room, peer, spec, wanted, reply } => {
                self.finish(reply, now, |control| control.feed(room, peer, spec, wanted));
            }
            Request::EndFeed { room, peer, track, reply } => {
                self.finish(reply, now, |control| control.end_feed(room, peer, track));
            }
            Request::Subscribe { room, peer, track, demand, reply } => {
                self.finish(reply, now, |control| control.subscribe(room, peer, track, demand));
            }
            Request::Unsubscribe { room, peer, track, reply } => {
                self.finish(reply, now, |control| control.unsubscribe(room, peer, track));
            }
            Request::Answer { room, peer, sdp, reply } => {
                self.finish(reply, now, |control| control.answer(room, peer, &sdp, now));
            }
            Request::RestartSubscriberIce { room, peer, reply } => {
                self.finish(reply, now, |it| it.restart_subscriber_ice(room, peer));
            }
            Request::Whep { room, peer, offer, reply } => {
                self.finish(reply, now, |control| control.whep(room, peer, &offer, now));
            }
            Request::Feature { room, audio, video, reply } => {
                self.finish(reply, now, |control| control.feature(room, audio, video));
            }
            Request::Tap { room, track, sink, reply } => {
                self.finish(reply, now, |control| control.tap(room, track, sink));
            }
            Request::Untap { room, track, sink, reply } => {
                self.finish(reply, now, |control| control.untap(room, track, sink));
            }
            Request::RestartIce { room, peer, side, remote_ufrag, remote_pwd, reply } => {
                let remote = (remote_ufrag, remote_pwd.as_str());
                self.finish(reply, now, |it| it.restart_ice(room, peer, side, remote, now));
            }
            Request::Stats { reply } => {
                let mut stats = self.control.stats();
                stats.events_dropped = self.events_dropped;
                stats.turn = self.control.turn_stats();
                answer(reply, Ok(stats));
            }
            Request::Shutdown { reply } => answer(reply, Err(SfuError::Stopped)),
        }
    }

    /// Answers a request after the workers were given the commands that follow from it.
    fn finish<T>(
        &mut self,
        reply: Reply<T>,
        now: Instant,
        act: impl FnOnce(&mut Control) -> Result<T, SfuError>,
    ) {
        let done = act(&mut self.control);
        if matches!(done, Err(SfuError::BitrateLimit)) {
            metrics::publication_refused();
        }
        self.drain(now);
        answer(reply, done);
    }

    /// Answers once every track has the gate. The commands are queued before this returns, so that
    /// gates are applied in the order in which they were requested.
    fn apply_gate(&self, worker: usize, tracks: &[TrackId], gate: Gate, reply: Reply<()>) {
        let applied: Vec<Applied> =
            tracks.iter().map(|track| self.workers.set_gate(worker, *track, gate)).collect();
        tokio::spawn(async move {
            let mut done = Ok(());
            for one in applied {
                if one.await.is_err() {
                    done = Err(SfuError::Stopped);
                }
            }
            answer(reply, done);
        });
    }

    fn drain(&mut self, now: Instant) {
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Command { worker, command } => {
                    if self.workers.send(worker, command).is_err() {
                        self.control.handle_worker_gone(worker, now);
                    }
                }
                Output::Transmit { worker, to, bytes } => {
                    self.workers.transmit(worker, to, &bytes);
                }
                Output::HandOver { worker, from, bytes } => {
                    self.workers.hand_over(worker, from, bytes);
                }
                Output::Close { client } => self.workers.close(client),
                Output::Event { room, event } => self.tell(room, event),
                Output::TenantBitrate { tenant, kbps } => metrics::media_bitrate(tenant, kbps),
            }
        }
    }

    fn tell(&mut self, room: SessionId, event: RoomMediaEvent) {
        let Some(room) = self.rooms.get_mut(&room) else { return };
        let event = if room.pending.is_empty() {
            match room.events.try_send(event) {
                Ok(()) | Err(TrySendError::Closed(_)) => return,
                Err(TrySendError::Full(event)) => event,
            }
        } else {
            event
        };
        let droppable = matches!(
            event,
            RoomMediaEvent::ActiveSpeakers { .. }
                | RoomMediaEvent::TrackStarted { .. }
                | RoomMediaEvent::Conditions { .. }
        );
        if droppable || room.pending.len() >= PENDING_EVENTS_MAX {
            self.events_dropped += 1;
        } else {
            room.pending.push_back(event);
        }
    }

    fn retry(&mut self) {
        for room in self.rooms.values_mut() {
            while let Some(event) = room.pending.pop_front() {
                match room.events.try_send(event) {
                    Ok(()) => {}
                    Err(TrySendError::Full(event)) => {
                        room.pending.push_front(event);
                        break;
                    }
                    Err(TrySendError::Closed(_)) => room.pending.clear(),
                }
            }
        }
    }
}

/// Answers a request. The answer is dropped when the caller no longer waits.
fn answer<T>(reply: Reply<T>, done: Result<T, SfuError>) {
    drop(reply.send(done));
}
