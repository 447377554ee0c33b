//! The loop of one worker thread.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use tokio::sync::{mpsc, oneshot};

use super::socket;
use super::{DatagramClass, FromWorker, WorkerOptions, WorkerStats};
use crate::clock::Clock;
use crate::domain::id::TrackId;
use crate::sfu::engine::{Forwarder, Handled, Transmit};
use crate::sfu::feed::FeedBatch;
use crate::sfu::plane::{Command, Gate, MediaEvent};
use crate::sfu::tcp::TcpConnections;
use crate::sfu::turn::{RelayTable, is_relayed};

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);
/// Buffers that one system call reads into.
const RECEIVE_BUFFERS: usize = 8;
/// Bytes of each buffer; the kernel may join several datagrams in one (GRO).
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// Read system calls before orders and sending are handled.
const RECEIVES_PER_TURN: usize = 16;
/// Orders carried out before media is handled.
const ORDERS_PER_TURN: usize = 512;
/// Batches of feeds forwarded before other work is handled.
const FEED_BATCHES_PER_TURN: usize = 32;
/// Packets from TCP taken before other work is handled.
const STREAMED_PER_TURN: usize = 256;
/// Output waits this long for more to the same peers, so that more of it is sent in one system
/// call; the most delay that forwarding adds.
const GATHER: Duration = Duration::from_millis(1);
/// Bytes sent with one system call at most.
const RUN_BYTES_MAX: usize = 60_000;
/// Longest time that an idle worker waits before it looks for work again.
const IDLE: Duration = Duration::from_secs(1);
/// Stray datagrams that all workers together hand to the control half in one interval. Raising it
/// lets a flood displace handshakes; lowering it loses bursts of key frames that the kernel has
/// given to the wrong worker.
const STRAYS_PER_INTERVAL: u32 = 2048;
/// Stray datagrams that each worker may hand over at least, however many workers there are.
const STRAYS_PER_WORKER_MIN: u32 = 64;
const STRAY_INTERVAL: Duration = Duration::from_millis(20);
/// How often the wall clock, from which the items of taps get their times, is read again, since it
/// may have been set.
const WALL_CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// A message from a handle to its worker.
#[derive(Debug)]
pub(super) enum Order {
    Do(Command),
    Gate { track: TrackId, gate: Gate, applied: oneshot::Sender<()> },
    HandOver { from: SocketAddr, bytes: Vec<u8> },
    Count(oneshot::Sender<Box<WorkerStats>>),
    End,
}

/// The queues of a worker, as its thread holds them.
pub(super) struct Queues {
    pub(super) orders: Receiver<Order>,
    pub(super) feeds: Receiver<FeedBatch>,
    pub(super) streamed: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    pub(super) tcp: Arc<TcpConnections>,
    pub(super) relay: Arc<RelayTable>,
    pub(super) datagrams: mpsc::Sender<FromWorker>,
    pub(super) events: mpsc::Sender<MediaEvent>,
}

/// One worker before its thread is started.
pub(super) struct Worker {
    number: usize,
    workers: usize,
    poll: Poll,
    /// Kept so that it stays registered with the poll; the same socket as `socket`.
    _registered: mio::net::UdpSocket,
    socket: Arc<UdpSocket>,
    udp: UdpSocketState,
    queues: Queues,
    forwarder: Forwarder,
    /// It was told to end.
    is_over: bool,
    buffers: Vec<u8>,
    gathering_since: Option<Instant>,
    strays: u32,
    strays_since: Instant,
    counted: WorkerStats,
    clock: Clock,
    wall_clock_read: Instant,
}

impl Worker {
    pub(super) fn new(
        number: usize,
        socket: Arc<UdpSocket>,
        queues: Queues,
        workers: usize,
        options: &WorkerOptions,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let udp = socket::udp_state(&socket)?;
        let mut registered = mio::net::UdpSocket::from_std(socket.try_clone()?);
        poll.registry().register(&mut registered, SOCKET, Interest::READABLE)?;
        let crypto = rtc_crypto::default_provider().map_err(io::Error::other)?;
        let now = Instant::now();
        let clock = options.clock.clone();
        let mut forwarder = Forwarder::new(crypto, now).limited(options.bitrate);
        forwarder.handle_wall_clock(clock.now(), now);
        let worker = Self {
            number,
            workers,
            poll,
            _registered: registered,
            socket,
            udp,
            queues,
            forwarder,
            is_over: false,
            buffers: vec![0; RECEIVE_BUFFERS * RECEIVE_BUFFER_BYTES],
            gathering_since: None,
            strays: 0,
            strays_since: now,
            counted: WorkerStats::default(),
            clock,
            wall_clock_read: now,
        };
        Ok((worker, waker))
    }

    pub(super) fn run(mut self) {
        let mut ready = Events::with_capacity(8);
        let mut more = true;
        loop {
            let wait = if more { Duration::ZERO } else { self.wait(Instant::now()) };
            if let Err(error) = self.poll.poll(&mut ready, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(
                    %error,
                    worker = self.number,
                    "a media worker cannot wait for its socket and stops"
                );
                return;
            }
            let more_orders = self.take_orders() == ORDERS_PER_TURN;
            let more_fed = self.take_fed();
            let more_streamed = self.take_streamed();
            let more_datagrams = self.receive();
            more = more_orders || more_fed || more_streamed || more_datagrams;
            let now = Instant::now();
            self.forwarder.handle_timeout(now);
            self.read_wall_clock(now);
            self.offer_taps();
            self.send_when_gathered(now);
            self.tell();
            if self.is_over {
                self.send();
                return;
            }
        }
    }

    /// How long the thread may wait when nothing arrives.
    fn wait(&self, now: Instant) -> Duration {
        let timeout = self.forwarder.poll_timeout();
        let gathered = self.gathering_since.map(|since| since + GATHER);
        let next = timeout.into_iter().chain(gathered).min();
        next.map_or(IDLE, |next| next.saturating_duration_since(now).min(IDLE))
    }

    /// Carries out orders, [`ORDERS_PER_TURN`] at most; returns how many.
    fn take_orders(&mut self) -> usize {
        for taken in 0..ORDERS_PER_TURN {
            match self.queues.orders.try_recv() {
                Ok(Order::Do(command)) => {
                    if let Command::AddTransport { remote, .. }
                    | Command::MoveTransport { remote, .. } = &command
                    {
                        self.queues.tcp.belongs_to(*remote, self.number);
                        self.queues.relay.belongs_to(*remote, self.number);
                    }
                    self.forwarder.handle_command(command, Instant::now());
                }
                Ok(Order::Gate { track, gate, applied }) => {
                    let command = Command::SetGate { track, gate };
                    self.forwarder.handle_command(command, Instant::now());
                    // Packets that passed the gate before must be sent before the answer.
                    self.send();
                    applied.send(()).ok();
                }
                Ok(Order::HandOver { from, mut bytes }) => {
                    self.forwarder.handle_datagram(from, &mut bytes, Instant::now());
                }
                Ok(Order::Count(reply)) => {
                    reply.send(Box::new(self.count())).ok();
                }
                Err(TryRecvError::Empty) => return taken,
                Ok(Order::End) | Err(TryRecvError::Disconnected) => {
                    self.is_over = true;
                    return taken;
                }
            }
        }
        ORDERS_PER_TURN
    }

    /// Forwards batches of feeds; returns whether more wait.
    fn take_fed(&mut self) -> bool {
        for _ in 0..FEED_BATCHES_PER_TURN {
            let Ok(batch) = self.queues.feeds.try_recv() else { return false };
            let now = Instant::now();
            for packet in batch.packets() {
                self.forwarder.handle_fed_packet(batch.track(), packet, now);
            }
            self.offer_taps();
        }
        true
    }

    /// Handles media that arrived over TCP; returns whether more waits.
    fn take_streamed(&mut self) -> bool {
        for _ in 0..STREAMED_PER_TURN {
            let Ok((from, mut bytes)) = self.queues.streamed.try_recv() else { return false };
            let now = Instant::now();
            let handled = self.forwarder.handle_datagram(from, &mut bytes, now);
            // Its transport may have moved to another worker a moment ago.
            if handled == Handled::UnknownAddress {
                self.hand_to_control(DatagramClass::StrayMedia, from, bytes);
            }
            self.offer_taps();
        }
        true
    }

    fn hand_to_control(&mut self, kind: DatagramClass, from: SocketAddr, bytes: Vec<u8>) {
        let datagram = FromWorker { worker: self.number, kind, from, bytes };
        if self.queues.datagrams.try_send(datagram).is_err() {
            self.counted.control_datagrams_dropped += 1;
        }
    }

    fn count(&self) -> WorkerStats {
        let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let cpu_time = Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or(0),
            u32::try_from(cpu.tv_nsec).unwrap_or(0),
        );
        WorkerStats { forwarder: self.forwarder.stats(), cpu_time, ..self.counted.clone() }
    }

    /// Reads datagrams; returns whether more may wait.
    fn receive(&mut self) -> bool {
        for _ in 0..RECEIVES_PER_TURN {
            let mut chunks = self.buffers.chunks_mut(RECEIVE_BUFFER_BYTES);
            let mut slices: [IoSliceMut<'_>; RECEIVE_BUFFERS] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let mut about = [RecvMeta::default(); RECEIVE_BUFFERS];
            let received = self.udp.recv(UdpSockRef::from(&*self.socket), &mut slices, &mut about);
            // Any other error concerns one datagram, and occurs again if it persists.
            let Ok(received) = received else { return false };
            let now = Instant::now();
            for (buffer, about) in about[..received].iter().enumerate() {
                let mut start = buffer * RECEIVE_BUFFER_BYTES;
                let end = start + about.len.min(RECEIVE_BUFFER_BYTES);
                while start < end {
                    let stop = end.min(start + about.stride.max(1));
                    self.take_datagram(about.addr, start, stop, now);
                    start = stop;
                }
            }
            self.offer_taps();
        }
        true
    }

    fn take_datagram(&mut self, from: SocketAddr, start: usize, end: usize, now: Instant) {
        let Some(datagram) = self.buffers.get_mut(start..end) else { return };
        let mut handled = self.forwarder.handle_datagram(from, datagram, now);
        // Its transport may have been added since this turn began: orders are older than what
        // comes because of them.
        if handled == Handled::UnknownAddress && self.take_orders() > 0 {
            let Some(datagram) = self.buffers.get_mut(start..end) else { return };
            handled = self.forwarder.handle_datagram(from, datagram, now);
        }
        let kind = match handled {
            Handled::Media | Handled::Dropped => return,
            Handled::Relay => return self.take_relayed(from, start, end, now),
            Handled::Handshake => DatagramClass::Handshake,
            Handled::UnknownAddress => DatagramClass::StrayMedia,
        };
        if kind == DatagramClass::StrayMedia && !self.may_hand_stray(now) {
            self.counted.control_datagrams_dropped += 1;
            return;
        }
        let bytes = self.buffers.get(start..end).unwrap_or_default().to_vec();
        self.hand_to_control(kind, from, bytes);
    }

    /// Takes what a client sends through its allocation of TURN.
    fn take_relayed(&mut self, from: SocketAddr, start: usize, end: usize, now: Instant) {
        let message = self.buffers.get(start..end).unwrap_or_default();
        if let Some(routed) = self.queues.relay.unwrap(from, message) {
            let Range { start: first, end: last } = routed.packet;
            self.take_datagram(routed.from, start + first, start + last, now);
        }
    }

    fn may_hand_stray(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.strays_since) >= STRAY_INTERVAL {
            (self.strays, self.strays_since) = (0, now);
        }
        self.strays += 1;
        let share = STRAYS_PER_INTERVAL / u32::try_from(self.workers).unwrap_or(u32::MAX).max(1);
        self.workers > 1 && self.strays <= share.max(STRAYS_PER_WORKER_MIN)
    }

    fn send_when_gathered(&mut self, now: Instant) {
        if !self.forwarder.has_output() {
            return;
        }
        let since = *self.gathering_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= GATHER {
            self.send();
        }
    }

    /// Sends everything that waits. Datagrams that the socket has no room for are dropped.
    fn send(&mut self) {
        self.gathering_since = None;
        let segments_max = self.udp.max_gso_segments();
        while let Some(run) = self.forwarder.poll_transmit(segments_max, RUN_BYTES_MAX) {
            let Transmit { destination, contents, segment_bytes, datagrams } = run;
            let wrapped;
            let (destination, contents, segment_bytes) = if is_relayed(destination) {
                let Some(found) = self.queues.relay.wrap(destination, contents, segment_bytes)
                else {
                    continue;
                };
                wrapped = found;
                (wrapped.to, wrapped.contents.as_slice(), wrapped.segment_bytes)
            } else {
                (destination, contents, segment_bytes)
            };
            if self.queues.tcp.send(destination, contents, segment_bytes) {
                self.counted.runs_sent += 1;
                continue;
            }
            let transmit = quinn_udp::Transmit {
                destination,
                ecn: None,
                contents,
                segment_size: (datagrams > 1).then_some(segment_bytes),
                src_ip: None,
            };
            match socket::send((&self.udp, &self.socket), &transmit) {
                Ok(()) => self.counted.runs_sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.counted.sends_blocked += 1;
                }
                Err(_) => self.counted.sends_failed += 1,
            }
        }
    }

    fn read_wall_clock(&mut self, now: Instant) {
        if now.saturating_duration_since(self.wall_clock_read) >= WALL_CLOCK_INTERVAL {
            self.wall_clock_read = now;
            self.forwarder.handle_wall_clock(self.clock.now(), now);
        }
    }

    fn offer_taps(&mut self) {
        while let Some((sink, batch)) = self.forwarder.poll_tap() {
            if let Err(batch) = sink.offer(batch) {
                self.forwarder.handle_tap_refused(&sink, &batch);
            }
        }
    }

    fn tell(&mut self) {
        while let Some(event) = self.forwarder.poll_event() {
            if self.queues.events.try_send(event).is_err() {
                self.counted.events_lost += 1;
            }
        }
    }
}
