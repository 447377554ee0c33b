//! Runs many clients on few threads. Each client has its own UDP socket; datagrams are read and
//! written in batches, so that the load generator does not limit the measurement.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::client::{ClientEvent, MediaClient, Transmit};

const WAKE: Token = Token(usize::MAX);
/// Longest sleep, after which a thread checks whether it should stop.
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// Events of one client that wait to be read; further ones are dropped.
const EVENTS_MAX: usize = 1024;
/// Bytes that one system call reads into each of `READ_SLICES`: the largest GRO batch.
const SLICE_BYTES: usize = 65_536;
const READ_SLICES: usize = 8;
/// Bytes written by one system call at most: the largest UDP datagram minus its headers.
const RUN_BYTES_MAX: usize = 60_000;
/// Size requested for each socket's receive buffer; the system may allow less.
const SOCKET_BUFFER_BYTES: usize = 1 << 21;
/// Longest transit time that is measured exactly, in microseconds.
const DELAY_US_MAX: u64 = 60_000_000;

type Job = Box<dyn FnOnce(&mut MediaClient, Instant) + Send>;

enum Command {
    Add { id: usize, client: Box<MediaClient>, events: tokio::sync::mpsc::Sender<Timed> },
    Run { id: usize, job: Job },
    Remove { id: usize },
}

/// An event and the time at which it happened.
pub type Timed = (Instant, ClientEvent);

/// Deliberate loss of datagrams, in both directions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Share of datagrams dropped, 0 to 1.
    pub ratio: f64,
    /// Seed that makes the loss repeatable.
    pub seed: u64,
}

#[derive(Clone)]
struct Lane {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
}

impl Lane {
    fn send(&self, command: Command) -> bool {
        self.commands.send(command).is_ok() && self.waker.wake().is_ok()
    }
}

/// The threads that run clients. They end when the driver and all handles are dropped.
pub struct Driver {
    lanes: Vec<Lane>,
    next: AtomicUsize,
    delays_us: Arc<Mutex<Histogram<u64>>>,
}

/// A client on a thread of the driver; dropping the handle removes the client.
pub struct ClientHandle {
    lane: Lane,
    id: usize,
}

/// An empty histogram of microseconds; longer times count as the longest.
pub(super) fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, DELAY_US_MAX, 3)
        .unwrap_or_else(|_| unreachable!("the bounds are valid constants"));
    histogram.auto(false);
    histogram
}

impl Driver {
    /// Starts `threads` threads, at least one.
    pub fn start(threads: usize, loss: Option<Loss>) -> io::Result<Self> {
        let delays_us = Arc::new(Mutex::new(histogram()));
        let mut lanes = Vec::new();
        for index in 0..threads.max(1) {
            let poll = Poll::new()?;
            let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
            let (commands, inbox) = mpsc::channel();
            let mut thread = Thread {
                poll,
                inbox,
                entries: BTreeMap::new(),
                timers: BTreeSet::new(),
                delays_us: delays_us.clone(),
                loss: loss.map(|loss| {
                    (loss.ratio, StdRng::seed_from_u64(loss.seed.wrapping_add(index as u64)))
                }),
                buffer: vec![0; SLICE_BYTES * READ_SLICES],
                run: Vec::with_capacity(RUN_BYTES_MAX),
            };
            std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || thread.run())?;
            lanes.push(Lane { commands, waker });
        }
        Ok(Self { lanes, next: AtomicUsize::new(0), delays_us })
    }

    /// Adds a client; its events arrive at the receiver.
    #[must_use]
    pub fn add(&self, client: MediaClient) -> (ClientHandle, tokio::sync::mpsc::Receiver<Timed>) {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let lane = self.lanes[id % self.lanes.len()].clone();
        let (events, receiver) = tokio::sync::mpsc::channel(EVENTS_MAX);
        lane.send(Command::Add { id, client: Box::new(client), events });
        (ClientHandle { lane, id }, receiver)
    }

    /// Transit times of stamped packets since the last call, in microseconds.
    #[must_use]
    pub fn take_delays_us(&self) -> Histogram<u64> {
        let mut delays = self.delays_us.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *delays, histogram())
    }
}

impl ClientHandle {
    /// Calls a function with the client on its thread; `None` when the client was removed.
    pub async fn call<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut MediaClient, Instant) -> R + Send + 'static,
    ) -> Option<R> {
        let (answer, result) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move |client, now| drop(answer.send(job(client, now))));
        self.lane.send(Command::Run { id: self.id, job });
        result.await.ok()
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.lane.send(Command::Remove { id: self.id });
    }
}

struct Entry {
    client: Box<MediaClient>,
    events: tokio::sync::mpsc::Sender<Timed>,
    socket: Option<(UdpSocket, UdpSocketState)>,
    timer: Option<Instant>,
}

struct Thread {
    poll: Poll,
    inbox: mpsc::Receiver<Command>,
    entries: BTreeMap<usize, Entry>,
    timers: BTreeSet<(Instant, usize)>,
    delays_us: Arc<Mutex<Histogram<u64>>>,
    loss: Option<(f64, StdRng)>,
    buffer: Vec<u8>,
    run: Vec<u8>,
}

impl Thread {
    fn run(&mut self) {
        let mut events = Events::with_capacity(256);
        loop {
            let next = self.timers.first().map(|(due, _)| *due);
            let sleep = next.map_or(SLEEP_MAX, |due| due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, Some(sleep.min(SLEEP_MAX)))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the load driver stops");
                return;
            }
            for event in &events {
                if event.token() != WAKE {
                    self.read(event.token().0);
                }
            }
            if !self.take_commands() {
                return;
            }
            let now = Instant::now();
            while let Some(&(due, id)) = self.timers.first()
                && due <= now
            {
                if let Some(entry) = self.entries.get_mut(&id) {
                    entry.client.handle_timeout(now);
                }
                self.flush(id, now);
            }
        }
    }

    /// Carries out commands; returns whether further commands can arrive.
    fn take_commands(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Command::Add { id, client, events }) => {
                    self.entries.insert(id, Entry { client, events, socket: None, timer: None });
                }
                Ok(Command::Run { id, job }) => {
                    let now = Instant::now();
                    if let Some(entry) = self.entries.get_mut(&id) {
                        job(&mut entry.client, now);
                        entry.client.handle_timeout(now);
                    }
                    self.flush(id, now);
                }
                Ok(Command::Remove { id }) => self.remove(id),
                Err(mpsc::TryRecvError::Empty) => return true,
                Err(mpsc::TryRecvError::Disconnected) => return false,
            }
        }
    }

    fn remove(&mut self, id: usize) {
        let now = Instant::now();
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.client.close(now);
        }
        self.flush(id, now);
        if let Some(mut entry) = self.entries.remove(&id) {
            if let Some(timer) = entry.timer {
                self.timers.remove(&(timer, id));
            }
            if let Some((socket, _)) = &mut entry.socket
                && let Err(error) = self.poll.registry().deregister(socket)
            {
                tracing::debug!(%error, "a socket could not be deregistered");
            }
        }
    }

    fn read(&mut self, id: usize) {
        let Some(Entry { client, socket: Some((socket, state)), .. }) = self.entries.get_mut(&id)
        else {
            return;
        };
        let mut meta = [RecvMeta::default(); READ_SLICES];
        let mut now = Instant::now();
        loop {
            let mut chunks = self.buffer.chunks_mut(SLICE_BYTES);
            let mut slices: [IoSliceMut<'_>; READ_SLICES] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            // An error here means that a stopped server refused a datagram; ICE notices that
            // itself.
            let Ok(count) = state.recv(UdpSockRef::from(&*socket), &mut slices, &mut meta) else {
                break;
            };
            now = Instant::now();
            for (slice, meta) in slices.iter().zip(&meta[..count]) {
                for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                    if !is_lost(&mut self.loss) {
                        client.handle_datagram(datagram, now);
                    }
                }
            }
        }
        self.flush(id, now);
    }

    /// Sends the client's datagrams, forwards its events and sets its timer.
    fn flush(&mut self, id: usize, now: Instant) {
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if entry.socket.is_none()
            && let Some(&candidate) = entry.client.remote_candidates().first()
        {
            match open(&self.poll, id, candidate) {
                Ok(socket) => entry.socket = Some(socket),
                Err(error) => tracing::error!(%error, "a socket for a client can't be opened"),
            }
        }
        send(entry, &mut self.loss, &mut self.run);
        while let Some(event) = entry.client.poll_event() {
            if entry.events.try_send((now, event)).is_err() {
                tracing::debug!("an event that nobody reads is dropped");
            }
        }
        let delays = entry.client.take_delays_ns();
        if !delays.is_empty() {
            let mut histogram = self.delays_us.lock().unwrap_or_else(PoisonError::into_inner);
            for delay in delays {
                histogram.saturating_record((delay / 1_000).max(1));
            }
        }
        let timer = entry.client.poll_timeout();
        if timer != entry.timer {
            if let Some(before) = entry.timer {
                self.timers.remove(&(before, id));
            }
            self.timers.extend(timer.map(|due| (due, id)));
            entry.timer = timer;
        }
    }
}

fn is_lost(loss: &mut Option<(f64, StdRng)>) -> bool {
    loss.as_mut().is_some_and(|(ratio, random)| random.random_bool(ratio.clamp(0.0, 1.0)))
}

fn open(poll: &Poll, id: usize, candidate: SocketAddr) -> io::Result<(UdpSocket, UdpSocketState)> {
    let address: IpAddr = match candidate.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let mut socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES)?;
    poll.registry().register(&mut socket, Token(id), Interest::READABLE)?;
    Ok((socket, state))
}

/// Sends all datagrams; runs of equal size to one destination are sent in one call.
fn send(entry: &mut Entry, loss: &mut Option<(f64, StdRng)>, run: &mut Vec<u8>) {
    let Entry { client, socket, .. } = entry;
    let mut pending: Option<Transmit> = None;
    loop {
        let first = match pending.take().or_else(|| client.poll_transmit()) {
            Some(transmit) if is_lost(loss) => {
                drop(transmit);
                continue;
            }
            Some(transmit) => transmit,
            None => return,
        };
        // Without a socket nothing can be sent, and waiting would not help.
        let Some((socket, state)) = &*socket else { continue };
        run.clear();
        run.extend_from_slice(&first.payload);
        let size = first.payload.len();
        let mut segments = 1;
        while let Some(next) = client.poll_transmit() {
            let fits = next.to == first.to
                && next.payload.len() == size
                && segments < state.max_gso_segments()
                && run.len() + size <= RUN_BYTES_MAX;
            if !fits {
                pending = Some(next);
                break;
            }
            if !is_lost(loss) {
                run.extend_from_slice(&next.payload);
                segments += 1;
            }
        }
        let transmit = quinn_udp::Transmit {
            destination: first.to,
            ecn: None,
            contents: run,
            segment_size: (segments > 1).then_some(size),
            src_ip: None,
        };
        // A full socket buffer is treated as loss, as on any network.
        if let Err(error) = state.try_send(UdpSockRef::from(socket), &transmit) {
            tracing::debug!(%error, "datagrams could not be sent");
        }
    }
}
