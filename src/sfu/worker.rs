//! Worker threads: each owns a socket, a forwarder, and the rooms given to it. The sockets of all
//! workers share one port (`SO_REUSEPORT`). Datagrams that are not media of a transport that the
//! worker knows are handed to the control half.

mod options;
mod socket;
mod thread;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use mio::Waker;
use tokio::sync::{mpsc, oneshot, watch};

pub use options::WorkerOptions;

use super::engine::Stats;
use super::feed::FeedBatch;
use super::plane::{Command, Gate, MediaEvent};
use super::tcp::TcpConnections;
use super::turn::RelayTable;
use crate::domain::id::TrackId;
use thread::{Order, Worker};

/// Orders that may wait for one worker; at the limit a caller waits until the worker has taken
/// some.
const ORDERS_MAX: usize = 4096;
/// Datagrams that may wait for the control half; at the limit new ones are dropped and counted.
/// Clients repeat handshake datagrams.
const DATAGRAMS_MAX: usize = 2048;
/// Events that may wait for the control half; at the limit new ones are dropped and counted.
const EVENTS_MAX: usize = 4096;
/// Batches of feeds that may wait for one worker; at the limit new ones are dropped and the feed
/// gets an error. Raising it increases the delay after a busy moment.
const FEED_BATCHES_MAX: usize = 256;
/// Media that arrived over TCP and may wait for one worker; at the limit no more is read from the
/// connections.
const STREAMED_MAX: usize = 1024;
/// Number of workers at most; more than any machine has cores.
const WORKERS_MAX: usize = 256;

/// The worker has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the worker has ended")]
pub struct WorkerGone;

/// Why a worker did not take a batch of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedRefused {
    /// Too many batches wait already.
    Full,
    /// The worker has ended.
    Gone,
}

/// Why a worker hands a datagram to control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramClass {
    /// STUN or DTLS.
    Handshake,
    /// Media from an address that this worker does not know; another worker may know it.
    StrayMedia,
    /// No datagram: the connection of TCP from there has ended.
    Ended,
}

/// A datagram for control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromWorker {
    /// The worker at which it arrived.
    pub worker: usize,
    /// What it is.
    pub kind: DatagramClass,
    /// Where it came from.
    pub from: SocketAddr,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The counters of a worker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// The counters of its forwarder.
    pub forwarder: Stats,
    /// Processor time of its thread.
    pub cpu_time: Duration,
    /// System calls that sent a run of datagrams.
    pub runs_sent: u64,
    /// Runs of datagrams that were dropped because the socket was full.
    pub sends_blocked: u64,
    /// Runs of datagrams that could not be sent for another reason.
    pub sends_failed: u64,
    /// Datagrams dropped because the queue to the control half was full, and stray media beyond the
    /// number that is handed over.
    pub control_datagrams_dropped: u64,
    /// Events dropped because the queue to the control half was full.
    pub events_lost: u64,
}

/// All workers and their queues to the control half.
#[derive(Debug)]
pub struct Workers {
    /// One handle per worker, in order of their numbers.
    pub handles: Vec<WorkerHandle>,
    /// The address at which all of them listen.
    pub local_address: SocketAddr,
    /// Datagrams that they hand to the control half.
    pub datagrams: mpsc::Receiver<FromWorker>,
    /// Where connections of TCP add theirs.
    pub datagrams_in: mpsc::Sender<FromWorker>,
    /// Events about media.
    pub events: mpsc::Receiver<MediaEvent>,
}

/// Sends from the port of the workers without waiting.
#[derive(Debug, Clone)]
pub struct ReplySocket(Arc<UdpSocket>);

impl ReplySocket {
    /// Sends one datagram; fails with `WouldBlock` when the socket is full.
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.0.send_to(bytes, to)
    }
}

/// A handle of one worker. The worker ends when its last handle is dropped, or at `shutdown`.
#[derive(Debug, Clone)]
pub struct WorkerHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    orders: SyncSender<Order>,
    feeds: SyncSender<FeedBatch>,
    streamed: mpsc::Sender<(SocketAddr, Vec<u8>)>,
    waker: Waker,
    socket: Arc<UdpSocket>,
    /// Its sender is dropped when the thread ends.
    ended: watch::Receiver<()>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // If waking fails, the worker notices the order after its idle wait.
        self.waker.wake().ok();
    }
}

impl WorkerHandle {
    /// Gives a command. Commands of one caller are carried out in order.
    pub fn send(&self, command: Command) -> Result<(), WorkerGone> {
        self.order(Order::Do(command))
    }

    /// Opens or closes the gate of a track; once this returns, no further packet passes a gate that
    /// was closed.
    pub async fn set_gate_and_wait(&self, track: TrackId, gate: Gate) -> Result<(), WorkerGone> {
        let (applied, done) = oneshot::channel();
        self.order(Order::Gate { track, gate, applied })?;
        done.await.map_err(|_| WorkerGone)
    }

    /// Gives the worker media that arrived at another worker. Dropped when the worker is too busy.
    pub fn hand_over(&self, from: SocketAddr, bytes: Vec<u8>) -> Result<(), WorkerGone> {
        match self.0.orders.try_send(Order::HandOver { from, bytes }) {
            Ok(()) => self.0.waker.wake().map_err(|_| WorkerGone),
            Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(WorkerGone),
        }
    }

    /// Gives packets of a feed, without waiting. They are forwarded after the commands given
    /// before.
    pub fn feed(&self, batch: FeedBatch) -> Result<(), FeedRefused> {
        match self.0.feeds.try_send(batch) {
            Ok(()) => self.0.waker.wake().map_err(|_| FeedRefused::Gone),
            Err(TrySendError::Full(_)) => Err(FeedRefused::Full),
            Err(TrySendError::Disconnected(_)) => Err(FeedRefused::Gone),
        }
    }

    /// Gives the worker media that arrived over TCP; waits while too much of it waits already.
    pub async fn stream(&self, from: SocketAddr, bytes: Vec<u8>) -> Result<(), WorkerGone> {
        self.0.streamed.send((from, bytes)).await.map_err(|_| WorkerGone)?;
        self.0.waker.wake().map_err(|_| WorkerGone)
    }

    /// Asks for the worker's counters.
    pub async fn stats(&self) -> Result<WorkerStats, WorkerGone> {
        let (reply, stats) = oneshot::channel();
        self.order(Order::Count(reply))?;
        stats.await.map(|stats| *stats).map_err(|_| WorkerGone)
    }

    /// Ends the worker; datagrams that wait to be sent are sent first.
    pub fn shutdown(&self) -> Result<(), WorkerGone> {
        self.order(Order::End)
    }

    /// Waits until the thread of the worker has ended.
    pub async fn ended(&self) {
        // Nothing is ever sent.
        self.0.ended.clone().changed().await.ok();
    }

    /// A socket that sends from the worker's port.
    #[must_use]
    pub fn reply_socket(&self) -> ReplySocket {
        ReplySocket(Arc::clone(&self.0.socket))
    }

    fn order(&self, order: Order) -> Result<(), WorkerGone> {
        self.0.orders.send(order).map_err(|_| WorkerGone)?;
        self.0.waker.wake().map_err(|_| WorkerGone)
    }
}

/// Starts worker threads on one port. Port 0 takes any free port. What they send to addresses of
/// `tcp` goes there, and to clients of `relay` it goes in messages of TURN.
pub fn start_workers(
    options: &WorkerOptions,
    tcp: &Arc<TcpConnections>,
    relay: &Arc<RelayTable>,
) -> io::Result<Workers> {
    let (datagrams_out, datagrams) = mpsc::channel(DATAGRAMS_MAX);
    let (events_out, events) = mpsc::channel(EVENTS_MAX);
    let count = options.count.clamp(1, WORKERS_MAX);
    let mut local_address = options.bind;
    let mut handles = Vec::with_capacity(count);
    for worker in 0..count {
        let socket = socket::bind(local_address, options.socket_buffer_bytes)?;
        local_address = socket.local_addr()?;
        let socket = Arc::new(socket);
        let (orders, orders_in) = sync_channel(ORDERS_MAX);
        let (feeds, feeds_in) = sync_channel(FEED_BATCHES_MAX);
        let (streamed, streamed_in) = mpsc::channel(STREAMED_MAX);
        let (worker_thread, waker) = Worker::new(
            worker,
            Arc::clone(&socket),
            thread::Queues {
                orders: orders_in,
                feeds: feeds_in,
                streamed: streamed_in,
                tcp: Arc::clone(tcp),
                relay: Arc::clone(relay),
                datagrams: datagrams_out.clone(),
                events: events_out.clone(),
            },
            count,
            options,
        )?;
        let (ended_to, ended) = watch::channel(());
        std::thread::Builder::new().name(format!("media-{worker}")).spawn(move || {
            worker_thread.run();
            drop(ended_to);
        })?;
        let shared = Shared { orders, feeds, streamed, waker, socket, ended };
        handles.push(WorkerHandle(Arc::new(shared)));
    }
    Ok(Workers { handles, local_address, datagrams, datagrams_in: datagrams_out, events })
}
