//! The open connections of a listener, and the choice of the one that is closed to make room for a
//! new one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use crate::domain::network::ClientNetwork;

/// The limits of a listener's connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// In total. Each needs one descriptor and up to 64 KiB for the head of a request.
    pub connections: usize,
    /// Per IPv4 address or IPv6 network of 64 bits.
    pub per_network: usize,
    /// Addresses to which the limit per network does not apply: proxies, which open connections for
    /// many clients.
    pub proxies: BTreeSet<IpAddr>,
}

/// The open connections of one listener.
#[derive(Debug)]
pub(super) struct Table {
    limits: Limits,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    next_id: u64,
    /// By id; ids ascend, so the oldest connection comes first.
    connections: BTreeMap<u64, Entry>,
    networks: BTreeMap<ClientNetwork, usize>,
}

#[derive(Debug)]
struct Entry {
    network: ClientNetwork,
    activity: Arc<Activity>,
    close: CancellationToken,
}

/// The place of one connection in the table, which is freed when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    table: Arc<Table>,
    id: u64,
    /// Cancelled when the connection must be closed for another one.
    pub(super) close: CancellationToken,
}

impl Table {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    /// Takes a place for a connection from `peer`. When its network or the table is full, a silent
    /// connection is closed; `None` when there is none.
    pub(super) fn admit(self: &Arc<Self>, peer: IpAddr, activity: &Arc<Activity>) -> Option<Place> {
        let network = ClientNetwork::of(peer);
        let mut open = self.lock();
        let is_limited = !self.limits.proxies.contains(&peer.to_canonical());
        let of_network = open.networks.get(&network).copied().unwrap_or_default();
        if is_limited && of_network >= self.limits.per_network && !open.close_oldest_of(network) {
            return None;
        }
        if open.connections.len() >= self.limits.connections && !open.make_room() {
            return None;
        }
        let id = open.next_id;
        open.next_id += 1;
        let close = CancellationToken::new();
        let entry = Entry { network, activity: Arc::clone(activity), close: close.clone() };
        open.connections.insert(id, entry);
        *open.networks.entry(network).or_default() += 1;
        Some(Place { table: Arc::clone(self), id, close })
    }

    /// Closes one silent connection, if there is one.
    pub(super) fn make_room(&self) -> bool {
        self.lock().make_room()
    }

    /// Number of open connections.
    pub(super) fn len(&self) -> usize {
        self.lock().connections.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Closes the oldest silent connection of the network that has the most of them, so that a
    /// client that opens many loses its own first.
    fn make_room(&mut self) -> bool {
        let mut silent: BTreeMap<ClientNetwork, usize> = BTreeMap::new();
        for entry in self.connections.values().filter(|entry| entry.activity.is_silent()) {
            *silent.entry(entry.network).or_default() += 1;
        }
        let loudest = silent.into_iter().max_by_key(|(_, connections)| *connections);
        loudest.is_some_and(|(network, _)| self.close_oldest_of(network))
    }

    fn close_oldest_of(&mut self, network: ClientNetwork) -> bool {
        let is_silent = |entry: &Entry| entry.network == network && entry.activity.is_silent();
        let oldest = self.connections.iter().find(|(_, entry)| is_silent(entry));
        let Some(id) = oldest.map(|(id, _)| *id) else { return false };
        if let Some(entry) = self.remove(id) {
            entry.close.cancel();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<Entry> {
        let entry = self.connections.remove(&id)?;
        if let Some(connections) = self.networks.get_mut(&entry.network) {
            *connections -= 1;
            if *connections == 0 {
                self.networks.remove(&entry.network);
            }
        }
        Some(entry)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.lock().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(connections: usize, per_network: usize) -> Arc<Table> {
        let proxies = BTreeSet::from([IpAddr::from([10, 0, 0, 1])]);
        Arc::new(Table::new(Limits { connections, per_network, proxies }))
    }

    fn silent() -> Arc<Activity> {
        Arc::new(Activity::new())
    }

    fn busy() -> Arc<Activity> {
        let activity = silent();
        activity.request_began();
        activity
    }

    const LOUD: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const QUIET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[tokio::test]
    async fn a_full_table_closes_the_oldest_silent_connection_of_whoever_has_most() {
        let table = table(5, 5);
        let mut quiet = vec![table.admit(QUIET, &silent()).expect("a place")];
        let loud: Vec<_> = (0..4).map(|_| table.admit(LOUD, &silent()).expect("room")).collect();
        for closed in 0..3 {
            quiet.push(table.admit(QUIET, &busy()).expect("room is made"));
            assert_eq!(table.len(), 5);
            for (at, place) in loud.iter().enumerate() {
                assert_eq!(place.close.is_cancelled(), at <= closed, "{at} of {closed}");
            }
        }
        assert!(!quiet[0].close.is_cancelled(), "the only silent one of its network");
    }

    #[tokio::test]
    async fn connections_with_requests_that_move_do_not_give_way() {
        let table = table(2, 2);
        let held = [table.admit(LOUD, &busy()), table.admit(LOUD, &busy())];
        assert!(table.admit(QUIET, &silent()).is_none());
        drop(held);
        assert_eq!(table.len(), 0);
        assert!(table.admit(QUIET, &silent()).is_some());
    }

    #[tokio::test]
    async fn a_network_has_its_own_limit_and_a_proxy_has_none() {
        let table = table(10, 2);
        let held: Vec<_> = (0..2).map(|_| table.admit(LOUD, &busy())).collect();
        assert!(table.admit(LOUD, &silent()).is_none());
        assert!(table.admit(QUIET, &silent()).is_some());
        let proxied: Vec<_> =
            (0..8).map(|_| table.admit(IpAddr::from([10, 0, 0, 1]), &busy())).collect();
        assert!(proxied.iter().all(Option::is_some));
        drop(held);
    }
}
