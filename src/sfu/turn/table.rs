//! What the threads that carry packets know of allocations. They only look it up; the engine changes
//! it. Packets that do not go through an allocation never come here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use super::message::{Destination, append_channel_data, append_data, relayed_of};
use super::{PEERS_MAX, address_of, allocation_of};

/// No worker sends through the allocation yet.
const NO_WORKER: usize = usize::MAX;

/// An allocation, as packets need it.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub(super) number: u32,
    pub(super) client: SocketAddr,
    pub(super) port: u16,
    /// Whether packets may pass, for each announced address.
    pub(super) permitted: [bool; PEERS_MAX],
    /// The channel that stands for each announced address.
    pub(super) channels: [Option<u16>; PEERS_MAX],
}

#[derive(Debug)]
struct Entry {
    route: Route,
    worker: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Table {
    by_client: BTreeMap<SocketAddr, Arc<Entry>>,
    by_number: BTreeMap<u32, Arc<Entry>>,
}

/// A packet that a client sent through its allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The address that stands for the allocation.
    pub from: SocketAddr,
    /// Which bytes of the message are the packet.
    pub packet: Range<usize>,
    /// The worker that has its transport, once known.
    pub worker: Option<usize>,
}

/// Packets on their way to a client behind an allocation.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::sfu) struct Wrapped {
    /// The client.
    pub(in crate::sfu) to: SocketAddr,
    /// Messages of equal size, of which the last may be shorter.
    pub(in crate::sfu) contents: Vec<u8>,
    /// Bytes of each message but the last.
    pub(in crate::sfu) segment_bytes: usize,
}

/// Packets counted since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct RelayedCounts {
    pub(super) from_clients: u64,
    pub(super) to_clients: u64,
    pub(super) refused: u64,
}

/// All allocations, for whoever carries packets.
#[derive(Debug, Default)]
pub struct RelayTable {
    candidates: OnceLock<Vec<SocketAddr>>,
    table: RwLock<Table>,
    from_clients: AtomicU64,
    to_clients: AtomicU64,
    refused: AtomicU64,
}

impl RelayTable {
    /// Sets the announced addresses, before there is an allocation. Only they are ever peers.
    pub fn announce(&self, candidates: &[SocketAddr]) {
        self.candidates.get_or_init(|| candidates.iter().take(PEERS_MAX).copied().collect());
    }

    /// The announced addresses that can be reached through allocations.
    pub(super) fn candidates(&self) -> &[SocketAddr] {
        self.candidates.get().map_or(&[], Vec::as_slice)
    }

    /// Takes a packet out of the message of a client; `None` if the message is none that carries
    /// one, or if it may not pass.
    pub fn unwrap(&self, client: SocketAddr, bytes: &[u8]) -> Option<Routed> {
        let relayed = relayed_of(bytes)?;
        let routed = self.route(client, &relayed.to).and_then(|(entry, peer)| {
            let Route { number, port, permitted, .. } = &entry.route;
            let worker = Some(entry.worker.load(Ordering::Relaxed)).filter(|it| *it != NO_WORKER);
            permitted[peer].then(|| Routed {
                from: address_of(client.ip(), *port, *number, peer),
                packet: relayed.packet,
                worker,
            })
        });
        let counter = if routed.is_some() { &self.from_clients } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        routed
    }

    fn route(&self, client: SocketAddr, to: &Destination) -> Option<(Arc<Entry>, usize)> {
        let entry = self.read().by_client.get(&client).cloned()?;
        let peer = match to {
            Destination::Channel(number) => {
                entry.route.channels.iter().position(|it| it.as_ref() == Some(number))
            }
            Destination::Peer(address) => self.candidates().iter().position(|it| it == address),
        }?;
        Some((entry, peer))
    }

    /// Puts a run of packets of `segment_bytes` each, of which the last may be shorter, into
    /// messages to the client behind an allocation. `None` if the allocation has ended.
    pub(in crate::sfu) fn wrap(
        &self,
        to: SocketAddr,
        run: &[u8],
        segment_bytes: usize,
    ) -> Option<Wrapped> {
        let (number, peer) = allocation_of(to)?;
        let entry = self.read().by_number.get(&number).cloned()?;
        let Route { client, permitted, channels, .. } = &entry.route;
        if !*permitted.get(peer)? {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let address = *self.candidates().get(peer)?;
        let mut contents = Vec::with_capacity(run.len() + run.len() / 16 + 64);
        let (mut first, mut packets) = (0, 0);
        for packet in run.chunks(segment_bytes.max(1)) {
            let sent = self.to_clients.fetch_add(1, Ordering::Relaxed);
            match channels[peer] {
                Some(channel) => append_channel_data(channel, packet, &mut contents),
                None => append_data(address, sent, packet, &mut contents),
            }
            packets += 1;
            if packets == 1 {
                first = contents.len();
            }
        }
        Some(Wrapped { to: *client, contents, segment_bytes: first })
    }

    /// Tells which worker has the transport that sends to this address, if it stands for an
    /// allocation.
    pub(in crate::sfu) fn belongs_to(&self, address: SocketAddr, worker: usize) {
        let Some((number, _)) = allocation_of(address) else { return };
        if let Some(entry) = self.read().by_number.get(&number) {
            entry.worker.store(worker, Ordering::Relaxed);
        }
    }

    /// Adds an allocation, or changes one.
    pub(super) fn set(&self, route: Route) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let known = table.by_number.get(&route.number).map(|it| Arc::clone(&it.worker));
        let worker = known.unwrap_or_else(|| Arc::new(AtomicUsize::new(NO_WORKER)));
        let entry = Arc::new(Entry { route, worker });
        table.by_client.insert(entry.route.client, Arc::clone(&entry));
        table.by_number.insert(entry.route.number, entry);
    }

    /// Removes an allocation.
    pub(super) fn remove(&self, number: u32) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.by_number.remove(&number) {
            table.by_client.remove(&entry.route.client);
        }
    }

    pub(super) fn counts(&self) -> RelayedCounts {
        RelayedCounts {
            from_clients: self.from_clients.load(Ordering::Relaxed),
            to_clients: self.to_clients.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}
