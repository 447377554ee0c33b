//! Limits the connections that are not authenticated yet, per network and in total. At the limit,
//! the oldest connection that has sent nothing is closed, of the network that has the most such
//! connections among those that lie together and have the most. So whoever fills the table with
//! silent connections loses their own, not those of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::domain::network::{ClientNetwork, Surroundings};

/// How many connections may be in their handshake at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlaceLimits {
    /// Per network.
    pub(super) per_network: usize,
    /// In total.
    pub(super) total: usize,
}

/// The table of places. Clones share it.
#[derive(Clone)]
pub(super) struct Places(Arc<Mutex<Table>>);

/// A place in the table, which is freed when dropped.
pub(super) struct Place {
    places: Places,
    network: ClientNetwork,
    number: u64,
}

struct Table {
    limits: PlaceLimits,
    next: u64,
    taken: usize,
    networks: BTreeMap<ClientNetwork, Holder>,
    /// Networks by their number of silent connections.
    most_silent: BTreeSet<(usize, ClientNetwork)>,
    /// Silent connections of networks that lie together.
    silent_around: BTreeMap<Surroundings, usize>,
    /// The same by number.
    most_silent_around: BTreeSet<(usize, Surroundings)>,
}

/// The connections of one network.
#[derive(Default)]
struct Holder {
    /// Connections that have sent nothing, oldest first, and the channel to close them.
    silent: BTreeMap<u64, oneshot::Sender<()>>,
    /// Connections whose first message is being handled.
    spoken: BTreeSet<u64>,
}

impl Places {
    pub(super) fn new(limits: PlaceLimits) -> Self {
        Self(Arc::new(Mutex::new(Table {
            limits,
            next: 0,
            taken: 0,
            networks: BTreeMap::new(),
            most_silent: BTreeSet::new(),
            silent_around: BTreeMap::new(),
            most_silent_around: BTreeSet::new(),
        })))
    }

    /// Takes a place. The receiver completes when the place was given to another connection. `None`
    /// when every place belongs to a connection that has sent its first message.
    pub(super) fn take(&self, network: ClientNetwork) -> Option<(Place, oneshot::Receiver<()>)> {
        let (give_way, gave_way) = oneshot::channel();
        let number = self.table().take(network, give_way)?;
        Some((Place { places: self.clone(), network, number }, gave_way))
    }

    /// No code that holds the lock panics.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Marks that the connection has sent its first message, after which it can't lose its place.
    /// Returns `false` when it has lost it already.
    pub(super) fn speak(&self) -> bool {
        self.places.table().speak(self.network, self.number)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().give_back(self.network, self.number);
    }
}

impl Table {
    fn take(&mut self, network: ClientNetwork, give_way: oneshot::Sender<()>) -> Option<u64> {
        let own = self.networks.get(&network).map_or(0, Holder::len);
        if own >= self.limits.per_network {
            self.evict_from(network)?;
        } else if self.taken >= self.limits.total {
            let (_, around) = *self.most_silent_around.last()?;
            let is_there = |(_, network): &&(_, ClientNetwork)| network.surroundings() == around;
            let (_, most_silent) = *self.most_silent.iter().rev().find(is_there)?;
            self.evict_from(most_silent)?;
        }
        let number = self.next;
        self.next += 1;
        self.taken += 1;
        self.change(network, |holder| holder.silent.insert(number, give_way));
        Some(number)
    }

    fn evict_from(&mut self, network: ClientNetwork) -> Option<()> {
        let (_, oldest) = self.change(network, |holder| holder.silent.pop_first())?;
        self.taken -= 1;
        // The connection may have ended at the same moment.
        oldest.send(()).ok();
        Some(())
    }

    fn speak(&mut self, network: ClientNetwork, number: u64) -> bool {
        self.change(network, |holder| {
            let was_silent = holder.silent.remove(&number).is_some();
            if was_silent {
                holder.spoken.insert(number);
            }
            was_silent
        })
    }

    fn give_back(&mut self, network: ClientNetwork, number: u64) {
        let held = self.change(network, |holder| {
            holder.silent.remove(&number).is_some() || holder.spoken.remove(&number)
        });
        self.taken -= usize::from(held);
    }

    /// Changes the entry of a network and keeps the order by silent connections.
    fn change<T>(&mut self, network: ClientNetwork, change: impl FnOnce(&mut Holder) -> T) -> T {
        let holder = self.networks.entry(network).or_default();
        let before = holder.silent.len();
        let changed = change(holder);
        let (after, is_empty) = (holder.silent.len(), holder.len() == 0);
        if before != after {
            self.most_silent.remove(&(before, network));
            if after > 0 {
                self.most_silent.insert((after, network));
            }
            self.count_around(network.surroundings(), before, after);
        }
        if is_empty {
            self.networks.remove(&network);
        }
        changed
    }

    /// A network of these surroundings had so many silent connections before, and has so many now.
    fn count_around(&mut self, around: Surroundings, before: usize, after: usize) {
        let all_before = self.silent_around.remove(&around).unwrap_or_default();
        self.most_silent_around.remove(&(all_before, around));
        let all = (all_before + after).saturating_sub(before);
        if all > 0 {
            self.silent_around.insert(around, all);
            self.most_silent_around.insert((all, around));
        }
    }
}

impl Holder {
    fn len(&self) -> usize {
        self.silent.len() + self.spoken.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn network(number: u32) -> ClientNetwork {
        ClientNetwork::of(number.to_be_bytes().into())
    }

    fn places(per_network: usize, total: usize) -> Places {
        Places::new(PlaceLimits { per_network, total })
    }

    #[test]
    fn the_oldest_silent_connection_of_a_full_network_gives_way() {
        let places = places(2, 100);
        let (_first, mut first_gone) = places.take(network(1)).expect("room");
        let (second, mut second_gone) = places.take(network(1)).expect("room");
        assert!(second.speak());
        let (third, mut third_gone) = places.take(network(1)).expect("the first gives way");
        assert!(first_gone.try_recv().is_ok());
        assert!(second_gone.try_recv().is_err() && third_gone.try_recv().is_err());
        assert!(third.speak());
        assert!(places.take(network(1)).is_none(), "both have spoken");
        drop(second);
        assert!(places.take(network(1)).is_some());
    }

    #[test]
    fn a_connection_that_gave_way_speaks_no_more_and_frees_nothing() {
        let places = places(1, 100);
        let (first, _) = places.take(network(1)).expect("room");
        let (_second, _gone) = places.take(network(1)).expect("the first gives way");
        assert!(!first.speak());
        drop(first);
        assert_eq!(places.table().taken, 1);
    }

    #[test]
    fn a_full_table_takes_from_whoever_holds_the_most_silence() {
        let places = places(8, 10);
        let many: Vec<_> = (0..8).map(|_| places.take(network(1)).expect("room")).collect();
        let (_one, mut one_gone) = places.take(network(2)).expect("room");
        let (_two, mut two_gone) = places.take(network(3)).expect("room");
        let _late = places.take(network(4)).expect("one of the many gives way");
        assert!(one_gone.try_recv().is_err() && two_gone.try_recv().is_err());
        let gone: Vec<bool> =
            many.into_iter().map(|(_, mut gone)| gone.try_recv().is_ok()).collect();
        assert_eq!(gone.iter().filter(|gone| **gone).count(), 1);
        assert!(gone[0], "the oldest");
    }

    #[test]
    fn addresses_that_lie_together_lose_their_own_silence() {
        let places = places(8, 10);
        let neighbour = |number: u32| network(0x0a00_0000 + number);
        // The honest one has as many as each of the others, and came first.
        let (_honest, mut gone) = places.take(network(0x0b00_0000)).expect("room");
        let taken = (0..100).map(|number| places.take(neighbour(number)));
        let taken: Vec<_> = taken.map(|place| place.expect("one of them gives way")).collect();
        assert!(gone.try_recv().is_err(), "somebody who lies elsewhere had to give way");
        drop(taken);
    }

    #[test]
    fn what_is_given_back_leaves_nothing_behind() {
        let places = places(4, 16);
        let held: Vec<_> = (0..40).filter_map(|number| places.take(network(number % 5))).collect();
        held.iter().step_by(3).for_each(|(place, _)| {
            place.speak();
        });
        assert_eq!(places.table().taken, 16);
        drop(held);
        let table = places.table();
        assert_eq!((table.taken, table.networks.len(), table.most_silent.len()), (0, 0, 0));
        assert_eq!((table.silent_around.len(), table.most_silent_around.len()), (0, 0));
    }

    /// The behaviour of one client in the simulation, in milliseconds.
    struct Client {
        speaks_at: u64,
        ends_at: u64,
        is_honest: bool,
        place: Place,
        gave_way: oneshot::Receiver<()>,
    }

    /// Eight hostile networks open as many silent connections as their rate limit allows; honest
    /// people log in from addresses of their own and from a hall behind one address. Returns the
    /// share of honest logins that succeeded.
    fn honest_share(seconds: u64, hostile: u32) -> f64 {
        const STEP_MS: u64 = 5;
        const HANDSHAKE_MS: u64 = 5_000;
        let places = places(256, 1_024);
        let mut clients: VecDeque<Client> = VecDeque::new();
        let (mut tried, mut done) = (0_u32, 0_u32);
        for now in (0..seconds * 1_000).step_by(5) {
            let mut arrivals: Vec<(ClientNetwork, bool)> = Vec::new();
            // 200 requests per second from each address.
            arrivals.extend((0..hostile).map(|number| (network(number), false)));
            if now.is_multiple_of(20) {
                let own_address = u32::try_from(now / 20).expect("short") + 1_000;
                arrivals.push((network(own_address), true));
                arrivals.push((network(500), true));
            }
            for (from, is_honest) in arrivals {
                tried += u32::from(is_honest);
                let Some((place, gave_way)) = places.take(from) else { continue };
                // An honest client answers within a slow round trip, and is admitted after one of
                // the database.
                let speaks_at = now + if is_honest { 300 } else { HANDSHAKE_MS };
                let ends_at = speaks_at + if is_honest { 50 } else { 0 };
                clients.push_back(Client { speaks_at, ends_at, is_honest, place, gave_way });
            }
            clients.retain_mut(|client| {
                if client.gave_way.try_recv().is_ok() {
                    return false;
                }
                if client.is_honest && now >= client.speaks_at {
                    client.place.speak();
                }
                let ends = now + STEP_MS >= client.ends_at;
                done += u32::from(ends && client.is_honest);
                !ends
            });
        }
        // Connections that are unfinished at the end are not counted.
        let unfinished = clients.iter().filter(|client| client.is_honest).count();
        f64::from(done) / (f64::from(tried) - f64::from(u32::try_from(unfinished).expect("few")))
    }

    #[test]
    fn eight_hostile_addresses_leave_honest_logins_through() {
        assert!(
            (honest_share(20, 0) - 1.0).abs() < f64::EPSILON,
            "without an attack all logins succeed"
        );
        let share = honest_share(20, 8);
        assert!(share > 0.99, "{share} of the honest logins got through");
    }
}
