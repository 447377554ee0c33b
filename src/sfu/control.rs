#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The control half: which peers are in which rooms, what they publish and receive, and over which
//! transports. Its inputs are datagrams, requests and the time; its outputs are datagrams, commands
//! for the workers and events for the rooms.

mod budget;
mod conditions;
mod feed;
mod limits;
mod priorities;
mod publish;
mod relay;
mod rooms;
mod strays;
mod subscribe;
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests;
mod whep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use uuid::Uuid;

use crate::domain::id::{ConnectionId, SessionId, TenantId, TrackId};
use crate::sfu::interface::{LostReason, RoomMediaEvent, SfuError, SfuStats, TransportSide};
use crate::sfu::plane::{Command, Gates, SubscriptionId, TransportId};
use crate::sfu::sdp::{LocalSide, Setup, TransportParameters};
use crate::sfu::transport::{
    Credentials, DatagramClass, Identity, RemoteParameters, Transport, TransportEvent, peek_ufrag,
};
use crate::sfu::turn::{TurnServer, seen_at};
use budget::Budgets;
use limits::HandshakeLimits;
use priorities::Importance;
use publish::{Publisher, Track};
use subscribe::Subscriber;
use whep::WhepReceiver;

/// Rooms that one process has open at most.
const ROOMS_MAX: usize = 4096;
/// Peers that one room has at most. Raising it makes the departure of a peer slower, since every
/// other peer of the room is visited.
const PEERS_PER_ROOM_MAX: usize = 2048;
/// Tracks that one peer publishes at most.
const TRACKS_PER_PEER_MAX: usize = 6;
/// Tracks that one peer is subscribed to at most.
const SUBSCRIPTIONS_PER_PEER_MAX: usize = 256;

/// The bit by which the SSRC of a stream's retransmissions differs from the SSRC of the stream.
const RTX_SOURCE: u32 = 1 << 31;

/// An action that the driver carries out for the engine.
#[derive(Debug)]
pub(crate) enum Output {
    /// Give a command to a worker.
    Command { worker: usize, command: Command },
    /// Send a datagram from a worker's socket.
    Transmit { worker: usize, to: SocketAddr, bytes: Vec<u8> },
    /// Give a worker a media datagram that arrived at the socket of another worker.
    HandOver { worker: usize, from: SocketAddr, bytes: Vec<u8> },
    /// Send an event to a room.
    Event { room: SessionId, event: RoomMediaEvent },
    /// A client's allocation of TURN has ended, and with it the connection by which it came, if it
    /// came by one.
    Close { client: SocketAddr },
    /// Report the bitrate that the rooms of a tenant receive to the metrics.
    TenantBitrate { tenant: TenantId, kbps: u32 },
}

struct Room {
    tenant: TenantId,
    worker: usize,
    peers: BTreeMap<ConnectionId, Peer>,
    featured_audio: Option<TrackId>,
    featured_video: Option<TrackId>,
    importance: Importance,
}

struct Peer {
    gates: Gates,
    publisher: Option<Publisher>,
    /// Tracks whose packets come from this process on behalf of this peer.
    feeds: Vec<Track>,
    receiver: Option<Receiver>,
}

/// The way in which a peer receives.
enum Receiver {
    /// This server makes the offers.
    Offered(Subscriber),
    /// The peer has made the offer (WHEP).
    Whep(WhepReceiver),
}

impl Receiver {
    const fn transport(&self) -> Option<TransportId> {
        match self {
            Self::Offered(subscriber) => subscriber.transport,
            Self::Whep(receiver) => Some(receiver.transport),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Owner {
    room: SessionId,
    peer: ConnectionId,
    side: TransportSide,
}

struct Association {
    transport: Transport,
    owner: Owner,
    worker: usize,
    /// The deadline under which the timer table lists this transport.
    due_at: Option<Instant>,
    /// Whether the DTLS handshake has completed.
    was_connected: bool,
    /// SSRCs by which its worker searches for it; empty while it is not silent.
    sought_by: Vec<u32>,
    session_id: u64,
    version: u64,
}

impl Association {
    /// Takes what the first description of the peer says.
    fn set_remote(&mut self, remote: TransportParameters) {
        if remote.setup == Setup::Passive {
            self.transport.become_dtls_client();
        }
        let TransportParameters { ufrag, fingerprints, .. } = remote;
        self.transport.set_remote(RemoteParameters { ufrag, fingerprints });
    }

    /// The DTLS role of this side.
    fn setup(&self) -> Setup {
        if self.transport.is_dtls_client() { Setup::Active } else { Setup::Passive }
    }
}

struct WorkerLoad {
    transports: usize,
    rooms: usize,
    gone: bool,
}

/// The engine of the control half.
pub(crate) struct Control {
    identity: Arc<Identity>,
    candidates: Arc<[SocketAddr]>,
    /// Whether the candidates are reached by TCP as well.
    tcp: bool,
    random: StdRng,
    rooms: BTreeMap<SessionId, Room>,
    associations: BTreeMap<TransportId, Association>,
    by_ufrag: BTreeMap<String, TransportId>,
    by_address: BTreeMap<SocketAddr, TransportId>,
    /// Transports of which nothing comes, by the SSRCs of their peers.
    silent: BTreeSet<(u32, TransportId)>,
    timers: BTreeSet<(Instant, TransportId)>,
    publishers: BTreeMap<TrackId, (SessionId, ConnectionId)>,
    /// Receivers that must be sent an offer.
    owed: BTreeSet<(SessionId, ConnectionId)>,
    /// The receiver that was sent an offer last; the next round starts after it.
    offered_last: (SessionId, ConnectionId),
    workers: Vec<WorkerLoad>,
    limits: HandshakeLimits,
    /// Of answers to requests of TURN without valid credentials.
    challenges: HandshakeLimits,
    turn: Option<TurnServer>,
    budgets: Budgets,
    next_transport: u64,
    next_subscription: u64,
    /// The SSRC given to the latest stream.
    last_source: u32,
    outputs: VecDeque<Output>,
    stats: SfuStats,
}

impl Control {
    /// Makes an engine for this many workers; `seed` comes from a secure generator.
    pub(crate) fn new(
        identity: Arc<Identity>,
        (candidates, tcp): (Arc<[SocketAddr]>, bool),
        workers: usize,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let load = || WorkerLoad { transports: 0, rooms: 0, gone: false };
        let mut random = StdRng::from_seed(seed);
        let last_source = random.next_u32();
        Self {
            identity,
            candidates,
            tcp,
            random,
            rooms: BTreeMap::new(),
            associations: BTreeMap::new(),
            by_ufrag: BTreeMap::new(),
            by_address: BTreeMap::new(),
            silent: BTreeSet::new(),
            timers: BTreeSet::new(),
            publishers: BTreeMap::new(),
            owed: BTreeSet::new(),
            offered_last: (SessionId::from_uuid(Uuid::nil()), ConnectionId::from_uuid(Uuid::nil())),
            workers: std::iter::repeat_with(load).take(workers).collect(),
            limits: HandshakeLimits::new(now),
            challenges: HandshakeLimits::new(now),
            turn: None,
            budgets: Budgets::default(),
            next_transport: 1,
            next_subscription: 1,
            last_source,
            outputs: VecDeque::new(),
            stats: SfuStats::default(),
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called next.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        let turn = self.turn.as_ref().and_then(TurnServer::poll_timeout);
        self.timers.first().map(|(at, _)| *at).into_iter().chain(turn).min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(association) = self.associations.get_mut(&id) {
                association.due_at = None;
                association.transport.handle_timeout(now);
            }
            self.poll_transport(id, now);
        }
        if let Some(turn) = &mut self.turn {
            turn.handle_timeout(now);
            self.poll_turn();
        }
    }

    /// Takes a datagram that a worker can't handle: STUN, DTLS, or media from an address that
    /// belongs to no transport of that worker.
    pub(crate) fn handle_datagram(
        &mut self,
        worker: usize,
        from: SocketAddr,
        bytes: Vec<u8>,
        now: Instant,
    ) {
        match DatagramClass::of(&bytes) {
            DatagramClass::Stun => self.handle_check(worker, from, &bytes, now),
            DatagramClass::Dtls => self.handle_record(from, &bytes, now),
            DatagramClass::Media => self.handle_stray(worker, from, bytes),
            DatagramClass::Other => self.stats.datagrams_unroutable += 1,
        }
    }

    /// The user fragment decides, not the address: when a peer rejoins from the same address, its
    /// checks belong to another transport.
    fn handle_check(&mut self, worker: usize, from: SocketAddr, bytes: &[u8], now: Instant) {
        let ufrag = peek_ufrag(bytes);
        let id = ufrag.and_then(|ufrag| self.by_ufrag.get(ufrag)).copied();
        let Some((id, association)) = id.and_then(|id| Some((id, self.associations.get_mut(&id)?)))
        else {
            if ufrag.is_some() || !self.handle_turn_request(worker, from, bytes, now) {
                self.stats.datagrams_unroutable += 1;
            }
            return;
        };
        if !association.transport.knows(from) && !self.limits.admits_check(from.ip(), now) {
            self.stats.datagrams_limited += 1;
            return;
        }
        let seen_at = seen_at(from, &self.candidates);
        if association.transport.handle_check_from(from, seen_at, bytes, now) {
            if association.transport.knows(from) {
                self.by_address.insert(from, id);
            }
        } else {
            self.limits.charge_check(from.ip(), now);
        }
        self.poll_transport(id, now);
    }

    fn handle_record(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        let id = self.by_address.get(&from).copied();
        let Some((id, association)) = id.and_then(|id| Some((id, self.associations.get_mut(&id)?)))
        else {
            self.stats.datagrams_unroutable += 1;
            return;
        };
        if !association.transport.has_begun() && !self.limits.admits_handshake(from.ip(), now) {
            self.stats.datagrams_limited += 1;
            return;
        }
        association.transport.handle_datagram(from, bytes, now);
        self.poll_transport(id, now);
    }

    /// Media counts as a sign of life, whether or not the peer also sends connectivity checks.
    fn handle_heard(&mut self, transports: &[TransportId], now: Instant) {
        for id in transports {
            // The transport may have ended since the worker reported it.
            if let Some(association) = self.associations.get_mut(id) {
                association.transport.handle_media(now);
                let sought_by = std::mem::take(&mut association.sought_by);
                self.end_search(*id, &sought_by);
                self.poll_transport(*id, now);
            }
        }
    }

    /// The thread of a worker has ended: the transports that it carried are lost, and its rooms
    /// continue on another worker.
    pub(crate) fn handle_worker_gone(&mut self, worker: usize, now: Instant) {
        let Some(load) = self.workers.get_mut(worker).filter(|load| !load.gone) else { return };
        load.gone = true;
        load.rooms = 0;
        let replacement = self.least_loaded();
        let mut moved = Vec::new();
        for (id, room) in self.rooms.iter_mut().filter(|(_, room)| room.worker == worker) {
            room.worker = replacement;
            self.workers[replacement].rooms += 1;
            moved.push(*id);
        }
        let lost: Vec<TransportId> = self
            .associations
            .iter()
            .filter(|(_, association)| association.worker == worker)
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.lose_transport(id, LostReason::ServerFault, now);
        }
        self.lose_feeds(&moved);
        for room in moved {
            self.move_budget(room);
        }
    }

    pub(crate) fn stats(&self) -> SfuStats {
        let peers = || self.rooms.values().flat_map(|room| room.peers.values());
        let streams = |peer: &Peer| match &peer.receiver {
            Some(Receiver::Offered(subscriber)) => subscriber.streams(),
            Some(Receiver::Whep(receiver)) => receiver.slots.len(),
            None => 0,
        };
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        SfuStats {
            rooms: count(self.rooms.len()),
            peers: count(peers().count()),
            transports: count(self.associations.len()),
            tracks: count(self.publishers.len()),
            subscriptions: count(peers().map(streams).sum()),
            ..self.stats
        }
    }

    fn add_transport(&mut self, owner: Owner, now: Instant) -> TransportId {
        let id = TransportId(self.next_transport);
        self.next_transport += 1;
        let credentials = self.new_credentials();
        self.by_ufrag.insert(credentials.ufrag.clone(), id);
        let worker = self.rooms.get(&owner.room).map_or(0, |room| room.worker);
        self.workers[worker].transports += 1;
        // RFC 8866 §5.2 leaves 63 bits; browsers accept no larger number.
        let session_id = self.random.next_u64() >> 2;
        let transport = Transport::new(Arc::clone(&self.identity), credentials, now);
        let association = Association {
            transport,
            owner,
            worker,
            due_at: None,
            was_connected: false,
            sought_by: Vec::new(),
            session_id,
            version: 0,
        };
        self.associations.insert(id, association);
        self.poll_transport(id, now);
        id
    }

    /// Makes credentials whose user fragment no other transport has.
    fn new_credentials(&mut self) -> Credentials {
        loop {
            let mut random = [0; 32];
            self.random.fill_bytes(&mut random);
            let credentials = Credentials::from_random(random);
            if !self.by_ufrag.contains_key(&credentials.ufrag) {
                return credentials;
            }
        }
    }

    fn restart_transport(&mut self, id: TransportId, remote_ufrag: Option<String>, now: Instant) {
        let credentials = self.new_credentials();
        if let Some(association) = self.associations.get_mut(&id) {
            self.by_ufrag.insert(credentials.ufrag.clone(), id);
            association.transport.restart_ice(credentials, remote_ufrag);
        }
        self.poll_transport(id, now);
    }

    fn is_connected(&self, id: TransportId) -> bool {
        self.associations.get(&id).is_some_and(|it| it.transport.is_connected())
    }

    /// Writes a session description of a transport and increments its version.
    fn describe(
        &mut self,
        id: TransportId,
        write: impl FnOnce(LocalSide<'_>) -> String,
    ) -> Result<String, SfuError> {
        let association = self.associations.get_mut(&id).ok_or(SfuError::TransportNotFound)?;
        association.version += 1;
        Ok(write(LocalSide {
            credentials: association.transport.local(),
            fingerprint: self.identity.fingerprint(),
            candidates: &self.candidates,
            setup: association.setup(),
            tcp: self.tcp,
            session_id: association.session_id,
            version: association.version,
        }))
    }

    /// Carries out what a transport asks for (datagrams, events, its next deadline) after it was
    /// called.
    fn poll_transport(&mut self, id: TransportId, now: Instant) {
        let mut lost = None;
        let Some(association) = self.associations.get_mut(&id) else { return };
        let worker = association.worker;
        let mut connected = false;
        while let Some(event) = association.transport.poll_event() {
            match event {
                TransportEvent::Connected { keys, remote } => {
                    connected = true;
                    association.was_connected = true;
                    let room = association.owner.room;
                    let command = Command::AddTransport { transport: id, room, keys, remote };
                    self.outputs.push_back(Output::Command { worker, command });
                }
                TransportEvent::Moved { remote } => {
                    let command = Command::MoveTransport { transport: id, remote };
                    self.outputs.push_back(Output::Command { worker, command });
                }
                TransportEvent::PathForgotten(address) => {
                    if self.by_address.get(&address) == Some(&id) {
                        self.by_address.remove(&address);
                    }
                }
                TransportEvent::UfragRetired(ufrag) => {
                    self.by_ufrag.remove(&ufrag);
                }
                TransportEvent::Lost(reason) => lost = Some(reason),
            }
        }
        // After the commands: a peer that has the last flight of the handshake sends media at once,
        // and the worker must have its keys by then.
        while let Some(transmit) = association.transport.poll_transmit() {
            let (to, bytes) = (transmit.to, transmit.bytes);
            self.outputs.push_back(Output::Transmit { worker, to, bytes });
        }
        let due_at = association.transport.poll_timeout();
        if due_at != association.due_at {
            if let Some(stale) = std::mem::replace(&mut association.due_at, due_at) {
                self.timers.remove(&(stale, id));
            }
            self.timers.extend(due_at.map(|at| (at, id)));
        }
        if connected {
            self.stats.handshakes_completed += 1;
            self.handle_connected(id);
        }
        if let Some(reason) = lost {
            self.lose_transport(id, reason, now);
        }
    }

    fn handle_connected(&mut self, id: TransportId) {
        let Some(Owner { room, peer, side }) = self.associations.get(&id).map(|it| it.owner) else {
            return;
        };
        self.outputs.push_back(Output::Event {
            room,
            event: RoomMediaEvent::TransportConnected { peer, side },
        });
        if side == TransportSide::Subscribe {
            self.announce_streams(room, peer);
        }
    }

    /// Removes a transport and sends its peer a DTLS `close_notify`.
    fn remove_transport(&mut self, id: TransportId, now: Instant) {
        let Some(mut association) = self.associations.remove(&id) else { return };
        self.end_search(id, &association.sought_by);
        let worker = association.worker;
        association.transport.close(now);
        while let Some(transmit) = association.transport.poll_transmit() {
            let (to, bytes) = (transmit.to, transmit.bytes);
            self.outputs.push_back(Output::Transmit { worker, to, bytes });
        }
        for ufrag in association.transport.local_ufrags() {
            self.by_ufrag.remove(ufrag);
        }
        for address in association.transport.paths() {
            if self.by_address.get(&address) == Some(&id) {
                self.by_address.remove(&address);
            }
        }
        if let Some(due_at) = association.due_at {
            self.timers.remove(&(due_at, id));
        }
        self.workers[worker].transports = self.workers[worker].transports.saturating_sub(1);
        let command = Command::RemoveTransport { transport: id };
        self.outputs.push_back(Output::Command { worker, command });
    }

    /// Handles a transport that has ended by itself: its tracks or subscriptions end too.
    fn lose_transport(&mut self, id: TransportId, reason: LostReason, now: Instant) {
        let Some(association) = self.associations.get(&id) else { return };
        let Owner { room, peer, side } = association.owner;
        if !association.was_connected && reason != LostReason::ServerFault {
            self.stats.handshakes_failed += 1;
        }
        match side {
            TransportSide::Publish => self.drop_publisher(room, peer, now),
            TransportSide::Subscribe => self.drop_receiver(room, peer, now),
        }
        self.outputs.push_back(Output::Event {
            room,
            event: RoomMediaEvent::TransportLost { peer, side, reason },
        });
    }

    fn least_loaded(&self) -> usize {
        let load = |index: &usize| {
            let worker = &self.workers[*index];
            (worker.gone, worker.transports, worker.rooms)
        };
        (0..self.workers.len()).min_by_key(load).unwrap_or(0)
    }

    fn command(&mut self, room: SessionId, command: Command) {
        let worker = self.rooms.get(&room).map_or(0, |room| room.worker);
        self.outputs.push_back(Output::Command { worker, command });
    }

    fn peer(&self, room: SessionId, peer: ConnectionId) -> Result<&Peer, SfuError> {
        let room = self.rooms.get(&room).ok_or(SfuError::RoomNotFound)?;
        room.peers.get(&peer).ok_or(SfuError::PeerNotFound)
    }

    fn peer_mut(&mut self, room: SessionId, peer: ConnectionId) -> Result<&mut Peer, SfuError> {
        let room = self.rooms.get_mut(&room).ok_or(SfuError::RoomNotFound)?;
        room.peers.get_mut(&peer).ok_or(SfuError::PeerNotFound)
    }

    fn new_subscription(&mut self) -> (SubscriptionId, u32, u32) {
        let id = SubscriptionId(self.next_subscription);
        self.next_subscription += 1;
        // Receivers tell streams apart by SSRC, and a worker refuses an SSRC that it has used for
        // the same receiver before. Counting up from a random start repeats none within two
        // thousand million streams.
        self.last_source = (self.last_source.wrapping_add(1) & !RTX_SOURCE).max(1);
        (id, self.last_source, self.last_source | RTX_SOURCE)
    }
}
