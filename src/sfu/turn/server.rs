//! The engine of TURN: who may have an allocation, how long it lasts, and which announced addresses
//! it reaches (RFC 8656 §§5 to 12; long-term credentials of RFC 8489 §9.2). Nothing is stored about
//! a client before it has shown credentials of somebody who is in a room now.

mod allocation;
mod authentication;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::{CryptoError, RTCCryptoProvider};
use rtc_stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
    ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN,
    ATTR_UNKNOWN_ATTRIBUTES, ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS,
};
use rtc_stun::message::{
    METHOD_ALLOCATE, METHOD_BINDING, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH,
    Message,
};

use super::access::{AccessKey, Holder};
use super::message::{self, CHANNELS, add_address, add_mapped, xor_address};
use super::nonce::Nonces;
use super::table::RelayTable;
use super::{NUMBER_MAX, PEERS_MAX, allocation_of, relayed_ip};
use crate::domain::id::{ConnectionId, SessionId};
use crate::domain::network::ClientNetwork;
use crate::domain::time::Timestamp;
use allocation::{Allocation, CHANNEL_LIFETIME, PERMISSION_LIFETIME};
use authentication::{Authenticated, Refused, unknown_attributes};

/// The realm of the credentials. It only has to be the same for client and server.
const REALM: &str = "cabildo";
/// How long an allocation lasts if the client does not ask for longer (RFC 8656 §3.2).
const LIFETIME_DEFAULT: Duration = Duration::from_mins(10);
/// Relayed ports; none of them is open on the machine.
const PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;
/// The number of UDP in REQUESTED-TRANSPORT.
const UDP: u8 = 17;

/// Most allocations at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quotas {
    /// Of one person. A browser makes one for each transport, server and network that it has.
    pub per_person: usize,
    /// Of one IPv4 address or IPv6 network, behind which there may be a hall.
    pub per_network: usize,
    /// In all. Each takes about a kilobyte.
    pub total: usize,
}

/// The options of the engine.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The key with which credentials are made.
    pub key: AccessKey,
    /// Most allocations at once.
    pub quotas: Quotas,
    /// How long an allocation lasts at most without a refresh.
    pub lifetime_max: Duration,
}

/// Counters of TURN.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TurnStats {
    /// Allocations now.
    pub allocations: u64,
    /// Allocations made.
    pub allocated: u64,
    /// Allocations refused because of a quota.
    pub quota_refused: u64,
    /// Requests refused because their credentials were missing, wrong, stale or over.
    pub unauthenticated: u64,
    /// Requests for peers other than the media port.
    pub peers_refused: u64,
    /// Packets from clients.
    pub packets_from_clients: u64,
    /// Packets to clients.
    pub packets_to_clients: u64,
    /// Packets that were dropped: without permission, or for another peer than the media port.
    pub packets_refused: u64,
}

/// What a request leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// The answer.
    pub reply: Option<Vec<u8>>,
    /// Whether the client has shown valid credentials.
    pub is_authentic: bool,
}

/// A refusal with its code.
type Outcome = Result<Option<Vec<u8>>, Refused>;

/// The server.
pub struct TurnServer {
    options: ServerOptions,
    crypto: Arc<dyn RTCCryptoProvider>,
    nonces: Nonces,
    table: Arc<RelayTable>,
    allocations: BTreeMap<u32, Allocation>,
    by_client: BTreeMap<SocketAddr, u32>,
    by_holder: BTreeMap<(SessionId, ConnectionId), BTreeSet<u32>>,
    persons: BTreeMap<[u8; 8], usize>,
    networks: BTreeMap<ClientNetwork, usize>,
    ports: BTreeSet<u16>,
    deadlines: BTreeSet<(Instant, u32)>,
    last: u32,
    /// Clients whose allocations have ended.
    ended: Vec<SocketAddr>,
    wall: (Timestamp, Instant),
    stats: TurnStats,
}

impl TurnServer {
    /// Makes a server. `nonce_key` comes from a secure generator; `wall` is the time at `now`.
    ///
    /// # Errors
    /// [`CryptoError`] when there is no cryptography.
    pub fn new(
        options: ServerOptions,
        table: Arc<RelayTable>,
        nonce_key: [u8; 32],
        (wall, now): (Timestamp, Instant),
    ) -> Result<Self, CryptoError> {
        Ok(Self {
            options,
            crypto: rtc_crypto::default_provider()?,
            nonces: Nonces::new(nonce_key, now),
            table,
            allocations: BTreeMap::new(),
            by_client: BTreeMap::new(),
            by_holder: BTreeMap::new(),
            persons: BTreeMap::new(),
            networks: BTreeMap::new(),
            ports: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            last: 0,
            ended: Vec::new(),
            wall: (wall, now),
            stats: TurnStats::default(),
        })
    }

    /// Takes the time of day, by which credentials end.
    pub(in crate::sfu) const fn handle_wall_clock(&mut self, wall: Timestamp, now: Instant) {
        self.wall = (wall, now);
    }

    /// Whether a client has an allocation.
    pub(in crate::sfu) fn knows(&self, client: SocketAddr) -> bool {
        self.by_client.contains_key(&client)
    }

    /// The client behind the allocation for which an address stands.
    pub(in crate::sfu) fn client_at(&self, relayed: SocketAddr) -> Option<SocketAddr> {
        let (number, _) = allocation_of(relayed)?;
        self.allocations.get(&number).map(|it| it.client)
    }

    /// Takes a request of STUN or TURN. `is_member` says whether a connection is in the room of a
    /// session now.
    pub fn handle_request(
        &mut self,
        client: SocketAddr,
        bytes: &[u8],
        is_member: impl FnOnce(SessionId, ConnectionId) -> bool,
        now: Instant,
    ) -> Handled {
        let Some(request) = authentication::decode(bytes) else { return Handled::default() };
        if request.typ.method == METHOD_BINDING {
            let reply = message::success(&request, |it| add_mapped(it, client), None);
            return Handled { reply, is_authentic: false };
        }
        match self.authenticate(client, &request, is_member, now) {
            Ok(authenticated) => {
                let crypto = Arc::clone(&self.crypto);
                let integrity = Some((&authenticated.key[..], crypto.crypto()));
                let outcome = self.carry_out(client, &request, &authenticated, now);
                let reply = outcome.unwrap_or_else(|refused| {
                    self.count(&refused);
                    let unknown = &refused.unknown;
                    message::refusal(
                        &request,
                        refused.code,
                        |reply| {
                            if !unknown.is_empty() {
                                reply.add(ATTR_UNKNOWN_ATTRIBUTES, unknown);
                            }
                            Some(())
                        },
                        integrity,
                    )
                });
                Handled { reply, is_authentic: true }
            }
            Err(refused) => {
                self.stats.unauthenticated += 1;
                let nonce = self.nonces.issue(client, now);
                let challenge = |reply: &mut Message| {
                    if matches!(refused.code, Refused::UNAUTHORIZED | Refused::STALE_NONCE) {
                        reply.add(ATTR_REALM, REALM.as_bytes());
                        reply.add(ATTR_NONCE, nonce.as_bytes());
                    }
                    Some(())
                };
                let reply = message::refusal(&request, refused.code, challenge, None);
                Handled { reply, is_authentic: false }
            }
        }
    }

    const fn count(&mut self, refused: &Refused) {
        match refused.code {
            Refused::FORBIDDEN => self.stats.peers_refused += 1,
            Refused::QUOTA | Refused::CAPACITY => self.stats.quota_refused += 1,
            _ => {}
        }
    }

    fn carry_out(
        &mut self,
        client: SocketAddr,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let unknown = unknown_attributes(request);
        if !unknown.is_empty() {
            return Err(Refused { code: Refused::UNKNOWN_ATTRIBUTE, unknown });
        }
        let number = self.by_client.get(&client).copied();
        if request.typ.method == METHOD_ALLOCATE {
            return match number {
                None => self.allocate(client, request, authenticated, now),
                Some(number) => self.allocated_before(number, request, authenticated, now),
            };
        }
        let mismatch = Refused::new(Refused::MISMATCH);
        let number = number.ok_or(mismatch)?;
        let allocation = self.allocations.get(&number);
        if allocation.is_none_or(|it| it.username != authenticated.username) {
            return Err(Refused::new(Refused::WRONG_CREDENTIALS));
        }
        match request.typ.method {
            METHOD_REFRESH => self.refresh(number, request, authenticated, now),
            METHOD_CREATE_PERMISSION => self.permit(number, request, authenticated, now),
            METHOD_CHANNEL_BIND => self.bind(number, request, authenticated, now),
            _ => Err(Refused::new(Refused::BAD_REQUEST)),
        }
    }

    fn allocate(
        &mut self,
        client: SocketAddr,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let is_v4 = self.expect_possible(request)?;
        let holder = authenticated.holder;
        self.expect_quota(client, &holder)?;
        let lifetime = self.lifetime_of(request)?;
        let lifetime = lifetime.max(LIFETIME_DEFAULT.min(self.options.lifetime_max));
        let port = self.free_port().ok_or(Refused::new(Refused::CAPACITY))?;
        let number = self.last;
        let allocation = Allocation {
            number,
            client,
            holder,
            username: authenticated.username.clone(),
            transaction: request.transaction_id,
            port,
            is_v4,
            ends_at: now + lifetime,
            due_at: now + lifetime,
            permissions: [None; PEERS_MAX],
            channels: [None; PEERS_MAX],
        };
        self.table.set(allocation.route());
        self.ports.insert(port);
        self.by_client.insert(client, number);
        self.by_holder.entry(holder.owner()).or_default().insert(number);
        *self.persons.entry(holder.person).or_default() += 1;
        *self.networks.entry(ClientNetwork::of(client.ip())).or_default() += 1;
        self.deadlines.insert((allocation.due_at, number));
        self.allocations.insert(number, allocation);
        self.stats.allocated += 1;
        Ok(self.tell_allocation(number, request, authenticated, now))
    }

    /// The same request again is answered again; another one by the same client is not possible.
    fn allocated_before(
        &self,
        number: u32,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let is_repeated = self.allocations.get(&number).is_some_and(|it| {
            it.transaction == request.transaction_id && it.username == authenticated.username
        });
        if !is_repeated {
            return Err(Refused::new(Refused::MISMATCH));
        }
        Ok(self.tell_allocation(number, request, authenticated, now))
    }

    fn tell_allocation(
        &self,
        number: u32,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let allocation = self.allocations.get(&number)?;
        let ip = relayed_ip(self.table.candidates(), allocation.is_v4)?;
        let relayed = SocketAddr::new(ip, allocation.port);
        let left = allocation.ends_at.saturating_duration_since(now);
        let attributes = |reply: &mut Message| {
            add_address(reply, ATTR_XOR_RELAYED_ADDRESS, relayed)?;
            add_mapped(reply, allocation.client)?;
            add_lifetime(reply, left);
            Some(())
        };
        message::success(request, attributes, Some((&authenticated.key, self.crypto.crypto())))
    }

    /// Whether the allocation that is asked for is one that this server makes; returns whether it is
    /// one of IPv4.
    fn expect_possible(&self, request: &Message) -> Result<bool, Refused> {
        let transport = request.get(ATTR_REQUESTED_TRANSPORT).ok();
        match transport.as_deref() {
            Some([UDP, _, _, _]) => {}
            Some([_, _, _, _]) => return Err(Refused::new(Refused::TRANSPORT)),
            _ => return Err(Refused::new(Refused::BAD_REQUEST)),
        }
        // There are no ports to reserve.
        if request.contains(ATTR_EVEN_PORT) || request.contains(ATTR_RESERVATION_TOKEN) {
            return Err(Refused::new(Refused::CAPACITY));
        }
        let family = request.get(ATTR_REQUESTED_ADDRESS_FAMILY).ok();
        let is_v4 = match family.as_deref() {
            None | Some([1, _, _, _]) => true,
            Some([2, _, _, _]) => false,
            Some(_) => return Err(Refused::new(Refused::FAMILY)),
        };
        let relayed = relayed_ip(self.table.candidates(), is_v4);
        relayed.map(|_| is_v4).ok_or(Refused::new(Refused::FAMILY))
    }

    fn expect_quota(&self, client: SocketAddr, holder: &Holder) -> Result<(), Refused> {
        let Quotas { per_person, per_network, total } = self.options.quotas;
        let of_person = self.persons.get(&holder.person).copied().unwrap_or(0);
        let network = ClientNetwork::of(client.ip());
        let of_network = self.networks.get(&network).copied().unwrap_or(0);
        if of_person >= per_person || of_network >= per_network {
            return Err(Refused::new(Refused::QUOTA));
        }
        if self.allocations.len() >= total {
            return Err(Refused::new(Refused::CAPACITY));
        }
        Ok(())
    }

    /// Takes the next number, whose port no allocation has.
    fn free_port(&mut self) -> Option<u16> {
        for _ in PORTS {
            self.last = if self.last >= NUMBER_MAX { 1 } else { self.last + 1 };
            let span = u32::from(PORTS.end() - PORTS.start()) + 1;
            let port = PORTS.start() + u16::try_from(self.last % span).unwrap_or(0);
            if !self.ports.contains(&port) && !self.allocations.contains_key(&self.last) {
                return Some(port);
            }
        }
        None
    }

    /// The lifetime that is asked for, if it is, within what is allowed.
    fn lifetime_of(&self, request: &Message) -> Result<Duration, Refused> {
        let Ok(value) = request.get(ATTR_LIFETIME) else {
            return Ok(LIFETIME_DEFAULT.min(self.options.lifetime_max));
        };
        let seconds = <[u8; 4]>::try_from(value).map_err(|_| Refused::new(Refused::BAD_REQUEST))?;
        let wanted = Duration::from_secs(u32::from_be_bytes(seconds).into());
        Ok(wanted.min(self.options.lifetime_max))
    }

    fn refresh(
        &mut self,
        number: u32,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let family = request.get(ATTR_REQUESTED_ADDRESS_FAMILY).ok();
        let is_v4 = self.allocations.get(&number).is_some_and(|it| it.is_v4);
        let wanted = if is_v4 { 1 } else { 2 };
        if family.is_some_and(|family| family.first() != Some(&wanted)) {
            return Err(Refused::new(Refused::PEER_FAMILY));
        }
        let mut lifetime = self.lifetime_of(request)?;
        if lifetime.is_zero() {
            self.remove(number);
        } else {
            lifetime = lifetime.max(LIFETIME_DEFAULT.min(self.options.lifetime_max));
            self.change(number, |allocation| allocation.ends_at = now + lifetime);
        }
        let attributes = |reply: &mut Message| {
            add_lifetime(reply, lifetime);
            Some(())
        };
        let integrity = Some((&authenticated.key[..], self.crypto.crypto()));
        Ok(message::success(request, attributes, integrity))
    }

    /// Carries out `CreatePermission`, for addresses of this media plane, whatever their port.
    fn permit(
        &mut self,
        number: u32,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let mut granted = [false; PEERS_MAX];
        let mut named = 0;
        let attributes = request.attributes.0.iter();
        for attribute in attributes.filter(|it| it.typ == ATTR_XOR_PEER_ADDRESS) {
            let address = xor_address(&attribute.value, &request.raw);
            let address = address.ok_or(Refused::new(Refused::BAD_REQUEST))?;
            self.expect_family(number, address)?;
            let candidates = self.table.candidates().iter().enumerate();
            let mut is_peer = false;
            for (peer, _) in candidates.filter(|(_, it)| it.ip().to_canonical() == address.ip()) {
                (is_peer, granted[peer]) = (true, true);
            }
            if !is_peer {
                return Err(Refused::new(Refused::FORBIDDEN));
            }
            named += 1;
        }
        if named == 0 {
            return Err(Refused::new(Refused::BAD_REQUEST));
        }
        self.change(number, |allocation| {
            let permissions = allocation.permissions.iter_mut().zip(granted);
            for (permission, _) in permissions.filter(|(_, granted)| *granted) {
                *permission = Some(now + PERMISSION_LIFETIME);
            }
        });
        let integrity = Some((&authenticated.key[..], self.crypto.crypto()));
        Ok(message::success(request, |_| Some(()), integrity))
    }

    fn bind(
        &mut self,
        number: u32,
        request: &Message,
        authenticated: &Authenticated,
        now: Instant,
    ) -> Outcome {
        let bad = || Refused::new(Refused::BAD_REQUEST);
        let channel = request.get(ATTR_CHANNEL_NUMBER).ok();
        let channel = channel.as_deref().and_then(|it| it.first_chunk::<2>());
        let channel = channel.map(|it| u16::from_be_bytes(*it)).ok_or_else(bad)?;
        if !CHANNELS.contains(&channel) {
            return Err(bad());
        }
        let address = request.get(ATTR_XOR_PEER_ADDRESS).ok();
        let address = address.and_then(|it| xor_address(&it, &request.raw)).ok_or_else(bad)?;
        self.expect_family(number, address)?;
        let peer = self.table.candidates().iter().position(|it| *it == address);
        let peer = peer.ok_or(Refused::new(Refused::FORBIDDEN))?;
        let allocation = self.allocations.get(&number).ok_or_else(bad)?;
        let has = |(bound, _): &(u16, Instant)| *bound == channel;
        let of_channel = allocation.channels.iter().position(|it| it.as_ref().is_some_and(has));
        let of_peer = allocation.channels[peer].map(|(bound, _)| bound);
        // A channel stays with its peer, and a peer with its channel (RFC 8656 §12.2).
        if of_channel.is_some_and(|it| it != peer) || of_peer.is_some_and(|it| it != channel) {
            return Err(bad());
        }
        self.change(number, |allocation| {
            allocation.channels[peer] = Some((channel, now + CHANNEL_LIFETIME));
            allocation.permissions[peer] = Some(now + PERMISSION_LIFETIME);
        });
        let integrity = Some((&authenticated.key[..], self.crypto.crypto()));
        Ok(message::success(request, |_| Some(()), integrity))
    }

    fn expect_family(&self, number: u32, peer: SocketAddr) -> Result<(), Refused> {
        let fits = self.allocations.get(&number).is_some_and(|it| it.is_v4 == peer.is_ipv4());
        if fits { Ok(()) } else { Err(Refused::new(Refused::PEER_FAMILY)) }
    }

    /// Changes an allocation, and what packets and the timer know of it.
    fn change(&mut self, number: u32, change: impl FnOnce(&mut Allocation)) {
        let Some(allocation) = self.allocations.get_mut(&number) else { return };
        change(allocation);
        let due_at = allocation.next_end();
        let before = std::mem::replace(&mut allocation.due_at, due_at);
        self.deadlines.remove(&(before, number));
        self.deadlines.insert((due_at, number));
        self.table.set(allocation.route());
    }

    fn remove(&mut self, number: u32) {
        let Some(allocation) = self.allocations.remove(&number) else { return };
        let Allocation { client, holder, port, due_at, .. } = allocation;
        self.table.remove(number);
        self.ports.remove(&port);
        self.by_client.remove(&client);
        self.deadlines.remove(&(due_at, number));
        if let Some(numbers) = self.by_holder.get_mut(&holder.owner()) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_holder.remove(&holder.owner());
            }
        }
        one_less(&mut self.persons, &holder.person);
        one_less(&mut self.networks, &ClientNetwork::of(client.ip()));
        self.ended.push(client);
    }

    /// Ends every allocation of a connection that has left its room.
    pub(in crate::sfu) fn handle_left(&mut self, session: SessionId, connection: ConnectionId) {
        for number in self.by_holder.get(&(session, connection)).cloned().unwrap_or_default() {
            self.remove(number);
        }
    }

    /// Ends the allocation of a client that is gone, if it has one.
    pub(in crate::sfu) fn handle_gone(&mut self, client: SocketAddr) {
        if let Some(number) = self.by_client.get(&client) {
            self.remove(*number);
        }
    }

    /// Ends what has lasted its time.
    pub(in crate::sfu) fn handle_timeout(&mut self, now: Instant) {
        while let Some((due_at, number)) = self.deadlines.first().copied()
            && due_at <= now
        {
            if self.allocations.get(&number).is_none_or(|it| it.ends_at <= now) {
                self.deadlines.remove(&(due_at, number));
                self.remove(number);
            } else {
                self.change(number, |allocation| allocation.forget_ended(now));
            }
        }
    }

    /// When [`Self::handle_timeout`] must be called next.
    pub(in crate::sfu) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// A client whose allocation has ended.
    pub(in crate::sfu) fn poll_ended(&mut self) -> Option<SocketAddr> {
        self.ended.pop()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> TurnStats {
        let counts = self.table.counts();
        TurnStats {
            allocations: u64::try_from(self.allocations.len()).unwrap_or(u64::MAX),
            packets_from_clients: counts.from_clients,
            packets_to_clients: counts.to_clients,
            packets_refused: counts.refused,
            ..self.stats
        }
    }
}

fn one_less<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn add_lifetime(reply: &mut Message, lifetime: Duration) {
    let seconds = u32::try_from(lifetime.as_secs()).unwrap_or(u32::MAX);
    reply.add(ATTR_LIFETIME, &seconds.to_be_bytes());
}
