//! The open connections of a listener, and the choice of the one that is closed to make room for a
//! new one.

use std::collections::btree_map::Entry as Count;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::activity::Activity;
use crate::domain::network::{ClientNetwork, Surroundings};

/// The limits of a listener's connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// In total. Each needs one descriptor and up to 64 KiB for the head of a request.
    pub connections: usize,
    /// Per IPv4 address or IPv6 network of 64 bits.
    pub per_network: usize,
    /// Per 256 IPv4 addresses or IPv6 network of 48 bits, so that whoever has many addresses that
    /// lie together leaves places to others.
    pub per_surroundings: usize,
    /// Addresses to which the limits per network and surroundings do not apply: proxies, which open connections for
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
    surroundings: BTreeMap<Surroundings, usize>,
}

#[derive(Debug)]
struct Entry {
    network: ClientNetwork,
    /// Whether it counts against the limit of its surroundings; those of proxies do not.
    is_limited: bool,
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
        let around = network.surroundings();
        let of_surroundings = open.surroundings.get(&around).copied().unwrap_or_default();
        if is_limited
            && of_surroundings >= self.limits.per_surroundings
            && !open.close_oldest_around(around)
        {
            return None;
        }
        if open.connections.len() >= self.limits.connections && !open.make_room() {
            return None;
        }
        let id = open.next_id;
        open.next_id += 1;
        let close = CancellationToken::new();
        let activity = Arc::clone(activity);
        let entry = Entry { network, is_limited, activity, close: close.clone() };
        open.connections.insert(id, entry);
        *open.networks.entry(network).or_default() += 1;
        if is_limited {
            *open.surroundings.entry(around).or_default() += 1;
        }
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
    /// Closes a silent connection of the surroundings that have the most of them, so that a client
    /// that opens many loses its own first.
    fn make_room(&mut self) -> bool {
        let loudest = self.loudest(|network| Some(network.surroundings()));
        loudest.is_some_and(|around| self.close_oldest_around(around))
    }

    /// As [`Self::make_room`], among the networks of these surroundings.
    fn close_oldest_around(&mut self, around: Surroundings) -> bool {
        let loudest = self.loudest(|network| (network.surroundings() == around).then_some(network));
        loudest.is_some_and(|network| self.close_oldest_of(network))
    }

    /// Whoever has the most silent connections.
    fn loudest<K: Ord>(&self, whose: impl Fn(ClientNetwork) -> Option<K>) -> Option<K> {
        let mut silent: BTreeMap<K, usize> = BTreeMap::new();
        for entry in self.connections.values().filter(|entry| entry.activity.is_silent()) {
            if let Some(key) = whose(entry.network) {
                *silent.entry(key).or_default() += 1;
            }
        }
        let loudest = silent.into_iter().max_by_key(|(_, connections)| *connections);
        loudest.map(|(key, _)| key)
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
        give_back(&mut self.networks, entry.network);
        if entry.is_limited {
            give_back(&mut self.surroundings, entry.network.surroundings());
        }
        Some(entry)
    }
}

/// Counts one connection less.
fn give_back<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Count::Occupied(mut count) = counts.entry(key) {
        *count.get_mut() -= 1;
        if *count.get() == 0 {
            count.remove();
        }
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
        let per_surroundings = connections;
        Arc::new(Table::new(Limits { connections, per_network, per_surroundings, proxies }))
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
    const QUIET: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 2));

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
    async fn addresses_that_lie_together_leave_places_to_others() {
        let limits = Limits {
            connections: 8,
            per_network: 4,
            per_surroundings: 6,
            proxies: BTreeSet::new(),
        };
        let table = Arc::new(Table::new(limits));
        let neighbour = |number| IpAddr::from([192, 0, 2, number]);
        let held: Vec<_> = (0..6).map(|at| table.admit(neighbour(at), &busy())).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(table.admit(neighbour(7), &silent()).is_none(), "none of them is silent");
        assert!(table.admit(QUIET, &busy()).is_some(), "two places are left to others");
        drop(held);
        // One silent connection of each of many addresses is more than one of a single address.
        let quiet = table.admit(QUIET, &silent()).expect("a place");
        let many: Vec<_> = (0..40).filter_map(|at| table.admit(neighbour(at), &silent())).collect();
        assert_eq!(many.len(), 40, "each takes the place of another one of them");
        assert!(!quiet.close.is_cancelled(), "an address of its own keeps its place");
        assert_eq!(many.iter().filter(|place| !place.close.is_cancelled()).count(), 6);
    }

    #[tokio::test]
    async fn a_network_has_its_own_limit_and_a_proxy_has_none() {
        let proxies = BTreeSet::from([IpAddr::from([10, 0, 0, 1])]);
        let limits = Limits { connections: 20, per_network: 2, per_surroundings: 6, proxies };
        let table = Arc::new(Table::new(limits));
        let held: Vec<_> = (0..2).map(|_| table.admit(LOUD, &busy())).collect();
        assert!(table.admit(LOUD, &silent()).is_none());
        assert!(table.admit(QUIET, &silent()).is_some());
        let proxied: Vec<_> =
            (0..8).map(|_| table.admit(IpAddr::from([10, 0, 0, 1]), &busy())).collect();
        assert!(proxied.iter().all(Option::is_some));
        let beside = table.admit(IpAddr::from([10, 0, 0, 2]), &busy());
        assert!(beside.is_some(), "a proxy takes no places of the addresses beside it");
        drop(held);
    }
}
