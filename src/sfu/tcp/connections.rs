//! The connections there are, and what waits to be written to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::streams::Framing;
use super::{address_of, connection_of};
use crate::domain::network::ClientNetwork;

/// Connections at most; at the limit new ones are closed at once, unless one that has shown no
/// credentials gives way. Each takes a file descriptor. Browsers that are told of TURN over TCP hold one
/// for each transport and network, whether or not they use it.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections at most that have shown no credentials yet: at the limit the oldest gives way to the
/// new one, so that silent ones keep nobody out.
const UNPROVEN_MAX: usize = 256;
/// Those of one network; at the limit its oldest gives way to its new one, so that silent ones of an
/// office keep nobody else there out. Enough for an office whose people all come at the same moment,
/// since each proves itself with its first message.
const UNPROVEN_PER_NETWORK_MAX: usize = 32;
/// Bytes that may wait for one peer; what does not fit is dropped and counted, as when a socket of
/// UDP is full. About a second of a large picture: raising it delays what a slow peer gets.
const QUEUED_BYTES_MAX: usize = 512 * 1024;
/// Messages that may wait for one peer.
const QUEUED_MESSAGES_MAX: usize = 1_024;
/// How the answer begins that gives a client of TURN its allocation.
const ALLOCATED: [u8; 2] = [0x01, 0x03];
/// No worker sends to the connection yet.
const NO_WORKER: usize = usize::MAX;

/// Counters of media over TCP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TcpStats {
    /// Connections now.
    pub connections: u64,
    /// Connections that were closed at once, or gave way, because there were too many.
    pub refused: u64,
    /// Runs of datagrams that were dropped because a peer read too slowly.
    pub dropped: u64,
}

/// A connection, as whoever sends to it sees it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) address: SocketAddr,
    network: ClientNetwork,
    outgoing: mpsc::Sender<Vec<u8>>,
    queued_bytes: AtomicUsize,
    /// Known once the peer has sent the first bytes.
    framing: OnceLock<Framing>,
    /// Whether it has shown credentials: the control half answers only checks of those who have, and
    /// those clients of TURN get an allocation.
    is_proven: AtomicBool,
    /// How often something was sent to it.
    sent: AtomicU64,
    worker: AtomicUsize,
    /// Another connection was given its place.
    pub(super) closed: CancellationToken,
    /// Its allocation of TURN has ended: what is queued is still written.
    pub(super) ended: CancellationToken,
}

impl Connection {
    /// The worker that has the transport of this connection.
    pub(super) fn worker(&self) -> Option<usize> {
        Some(self.worker.load(Ordering::Relaxed)).filter(|worker| *worker != NO_WORKER)
    }

    /// Sets the framing, which does not change any more.
    pub(super) fn set_framing(&self, framing: Framing) {
        self.framing.get_or_init(|| framing);
    }

    /// Whether the peer is a client of TURN.
    pub(super) fn is_turn(&self) -> bool {
        self.framing.get() == Some(&Framing::Turn)
    }

    pub(super) fn is_proven(&self) -> bool {
        self.is_proven.load(Ordering::Relaxed)
    }

    /// Grows with everything that is sent to it.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Reports that bytes were written that [`TcpConnections::send`] had queued.
    pub(super) fn written(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[derive(Debug, Default)]
struct Table {
    connections: BTreeMap<u32, Arc<Connection>>,
    last: u32,
}

/// All connections. Whoever sends to an address asks it first.
#[derive(Debug, Default)]
pub struct TcpConnections {
    table: RwLock<Table>,
    refused: AtomicU64,
    dropped: AtomicU64,
}

impl TcpConnections {
    /// Sends a run of datagrams of `segment_bytes` each, of which the last may be shorter, if `to`
    /// is the address of a connection; returns whether it is. Never waits.
    pub fn send(&self, to: SocketAddr, run: &[u8], segment_bytes: usize) -> bool {
        let Some(number) = connection_of(to) else { return false };
        let connection = self.read().connections.get(&number).cloned();
        // One that has ended is noticed when the peer sends no checks any more.
        let Some(connection) = connection else { return true };
        let framing = *connection.framing.get().unwrap_or(&Framing::Ice);
        // Anybody is told that credentials are missing, so that proves nothing.
        if framing == Framing::Ice || run.starts_with(&ALLOCATED) {
            connection.is_proven.store(true, Ordering::Relaxed);
        }
        connection.sent.fetch_add(1, Ordering::Relaxed);
        let mut stream = Vec::with_capacity(run.len() + 64);
        for datagram in run.chunks(segment_bytes.max(1)) {
            framing.append(datagram, &mut stream);
        }
        let bytes = stream.len();
        let queued = connection.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        if queued + bytes > QUEUED_BYTES_MAX || connection.outgoing.try_send(stream).is_err() {
            connection.written(bytes);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// Ends a connection, if this is the address of one.
    pub(in crate::sfu) fn close(&self, address: SocketAddr) {
        let connection = connection_of(address);
        if let Some(connection) =
            connection.and_then(|it| self.read().connections.get(&it).cloned())
        {
            connection.ended.cancel();
        }
    }

    /// Tells which worker has the transport that sends to this address, if it is the address of a
    /// connection, so that its media is given to that worker.
    pub fn belongs_to(&self, address: SocketAddr, worker: usize) {
        let Some(number) = connection_of(address) else { return };
        if let Some(connection) = self.read().connections.get(&number) {
            connection.worker.store(worker, Ordering::Relaxed);
        }
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> TcpStats {
        let connections = self.read().connections.len();
        TcpStats {
            connections: u64::try_from(connections).unwrap_or(u64::MAX),
            refused: self.refused.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }

    /// Adds a connection, or refuses it because there are too many; gives what is to be written.
    pub(super) fn admit(
        &self,
        peer: SocketAddr,
    ) -> Option<(Arc<Connection>, mpsc::Receiver<Vec<u8>>)> {
        let network = ClientNetwork::of(peer.ip());
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let unproven: BTreeSet<u32> = table
            .connections
            .iter()
            .filter(|(_, connection)| !connection.is_proven())
            .map(|(number, _)| *number)
            .collect();
        let is_of_network = |number: &&u32| {
            table.connections.get(number).is_some_and(|connection| connection.network == network)
        };
        let of_network: Vec<u32> = unproven.iter().filter(is_of_network).copied().collect();
        let is_full = table.connections.len() >= CONNECTIONS_MAX;
        let oldest = unproven.first().copied();
        if is_full && oldest.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let gives_way = if of_network.len() >= UNPROVEN_PER_NETWORK_MAX {
            of_network.first().copied()
        } else {
            oldest.filter(|_| is_full || unproven.len() >= UNPROVEN_MAX)
        };
        if let Some(silent) = gives_way.and_then(|number| table.connections.remove(&number)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            silent.closed.cancel();
        }
        // Numbers are given again after four thousand million connections.
        table.last = table.last.wrapping_add(1).max(1);
        let number = table.last;
        let (outgoing, queued) = mpsc::channel(QUEUED_MESSAGES_MAX);
        let connection = Arc::new(Connection {
            address: address_of(peer, number),
            network,
            outgoing,
            framing: OnceLock::new(),
            queued_bytes: AtomicUsize::new(0),
            is_proven: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            worker: AtomicUsize::new(NO_WORKER),
            closed: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        table.connections.insert(number, Arc::clone(&connection));
        Some((connection, queued))
    }

    /// Removes a connection that has ended.
    pub(super) fn remove(&self, connection: &Connection) {
        let Some(number) = connection_of(connection.address) else { return };
        self.table.write().unwrap_or_else(PoisonError::into_inner).connections.remove(&number);
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(host: usize, port: u16) -> SocketAddr {
        let [_, _, _, _, _, _, high, low] = host.to_be_bytes();
        SocketAddr::from(([10, 0, high, low], port))
    }

    #[test]
    fn silent_connections_of_one_network_are_bounded_and_keep_nobody_out() {
        let all = TcpConnections::default();
        let (other, _queued) = all.admit(from(2, 5)).expect("another network");
        let held: Vec<_> = (0..UNPROVEN_PER_NETWORK_MAX)
            .map(|_| all.admit(from(1, 5)).expect("a place"))
            .collect();
        // Who was answered does not count any more.
        assert!(all.send(held[0].0.address, b"answer", 6));
        let late = all.admit(from(1, 7)).expect("a place");
        assert!(held.iter().all(|(held, _)| !held.closed.is_cancelled()));
        let later = all.admit(from(1, 8)).expect("a place");
        let closed = held.iter().filter(|(held, _)| held.closed.is_cancelled()).count();
        assert_eq!((closed, held[1].0.closed.is_cancelled()), (1, true), "the oldest silent one");
        assert_eq!((all.stats().connections, all.stats().refused), (34, 1));
        assert!(!other.closed.is_cancelled() && !late.0.closed.is_cancelled());
        drop(later);
    }

    #[test]
    fn the_oldest_silent_connection_gives_way_to_a_new_one() {
        let all = TcpConnections::default();
        let (first, _first) = all.admit(from(0, 5)).expect("a place");
        let (second, _second) = all.admit(from(1, 5)).expect("a place");
        assert!(all.send(first.address, b"answer", 6));
        let held: Vec<_> =
            (2..=UNPROVEN_MAX).map(|host| all.admit(from(host, 5)).expect("a place")).collect();
        assert!(!second.closed.is_cancelled());
        let last = all.admit(from(9_999, 5)).expect("a place");
        assert!(second.closed.is_cancelled());
        assert!(!first.closed.is_cancelled(), "it has shown its credentials");
        drop((held, last));
    }

    #[test]
    fn who_reads_too_slowly_loses_what_does_not_fit() {
        let all = TcpConnections::default();
        let (slow, mut queued) = all.admit(from(0, 5)).expect("a place");
        let run = vec![0; 60_000];
        for _ in 0..20 {
            assert!(all.send(slow.address, &run, 1_200));
        }
        let fit = QUEUED_BYTES_MAX / (60_000 + 50 * 2);
        assert_eq!(all.stats().dropped, 20 - u64::try_from(fit).expect("few"));
        let first = queued.try_recv().expect("queued");
        assert_eq!(first.len(), 60_000 + 50 * 2);
        slow.written(first.len());
        assert!(all.send(slow.address, b"fits again", 10));
        assert_eq!(all.stats().dropped, 20 - u64::try_from(fit).expect("few"));
    }

    #[test]
    fn addresses_of_udp_are_left_to_udp() {
        let all = TcpConnections::default();
        assert!(!all.send(from(1, 5), b"a datagram", 10));
    }
}
