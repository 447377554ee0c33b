//! The forwarder: decrypts the packets of publishers, decides which receivers get each of them, and
//! writes every copy into the outbox of its receiver. Owned by one worker; the path of a packet
//! takes no lock, allocates nothing and reads no clock.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod allocation;
mod bandwidth;
mod conditions;
mod encoding;
mod feed;
mod feedback;
mod flow;
mod forward;
mod incoming;
mod key_frames;
mod loudness;
mod newcomers;
mod publication;
mod ring;
mod slots;
mod stats;
mod strays;
mod subscription;
mod tap;
mod template;
mod transport;
mod unseen;
mod wiring;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCryptoProvider;

pub use stats::{PublicationStats, Sizes, Stats, SubscriptionStats, Totals, TransportStats};
pub(super) use strays::source_of;

use super::congestion::Limits;
use super::plane::{Command, MediaEvent, SubscriptionId, TransportId};
use crate::domain::id::{SessionId, TrackId};
use crate::formats::rtp::{DatagramKind, classify};
use loudness::Room;
use publication::Publication;
use slots::Slots;
use subscription::Subscription;
use tap::Taps;
use transport::Transport;

/// Transports that one worker holds; further ones are refused and counted.
pub const TRANSPORTS_MAX: usize = 16_384;
/// Publications that one worker holds; further ones are refused and counted.
pub const PUBLICATIONS_MAX: usize = 16_384;
/// Subscriptions that one worker holds; further ones are refused and counted.
pub const SUBSCRIPTIONS_MAX: usize = 262_144;
/// Events that wait to be taken; at the limit the newest is dropped and counted.
pub const EVENTS_MAX: usize = 1024;
/// Interval of the tick that handles missing packets, key-frame requests and encodings that have
/// ended.
const TICK_US: u64 = 20_000;
/// Engine time starts here, so that differences never fall below zero.
const EPOCH_US: u64 = 1_000_000;

/// How a datagram was handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It was media of a known transport: forwarded, dropped, or taken as a sign of where the peer of
    /// a silent transport is now.
    Media,
    /// It is STUN or DTLS; the control half must handle it.
    Handshake,
    /// It is a packet in a message of TURN.
    Relay,
    /// It looks like media, but no transport has its address.
    UnknownAddress,
    /// It is neither media nor a handshake.
    Dropped,
}

/// Datagrams of one size for one peer, one after the other; the last may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transmit<'outbox> {
    /// Where they go.
    pub destination: SocketAddr,
    /// Their bytes.
    pub contents: &'outbox [u8],
    /// Bytes of every datagram except the last.
    pub segment_bytes: usize,
    /// Number of datagrams.
    pub datagrams: usize,
}

/// Forwards the media of the rooms that its worker owns.
pub struct Forwarder {
    epoch: Instant,
    crypto: Arc<dyn RTCCryptoProvider>,
    transports: Slots<Transport>,
    publications: Slots<Publication>,
    subscriptions: Slots<Subscription>,
    transport_slots: BTreeMap<TransportId, usize>,
    publication_slots: BTreeMap<TrackId, usize>,
    subscription_slots: BTreeMap<SubscriptionId, usize>,
    addresses: BTreeMap<SocketAddr, usize>,
    rooms: BTreeMap<SessionId, Room>,
    /// Silent transports by the SSRCs from which their peers send.
    sought: BTreeSet<(u32, usize)>,
    outbound: Outbound,
    events: VecDeque<MediaEvent>,
    generations: u64,
    schedule: feedback::Schedule,
    /// When incoming bitrates were last measured, in microseconds of engine time.
    measured_us: u64,
    /// The highest layer that may leave each limited room.
    layers_max: BTreeMap<SessionId, u8>,
    taps: Taps,
    totals: Totals,
    /// What the estimates of receivers begin with and stay between.
    limits: Limits,
    /// When more padding of the probes that are being sent is due.
    probes_due_us: Option<u64>,
    /// Buffers in which control packets are written, kept to be reused.
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    compound: Vec<u8>,
    claims: Vec<allocation::Claim>,
    sequences: Vec<u16>,
    stray: Vec<u8>,
}

/// Transports with something to send, in the order in which they received it.
#[derive(Debug, Default)]
struct Outbound {
    slots: Vec<usize>,
    drained: usize,
}

impl Outbound {
    fn queue(&mut self, slot: usize, transport: &mut Transport) {
        if !transport.queued && transport.has_output() {
            transport.queued = true;
            self.slots.push(slot);
        }
    }
}

impl Forwarder {
    /// A forwarder without transports and tracks. Its time starts at `now`.
    #[must_use]
    pub fn new(crypto: Arc<dyn RTCCryptoProvider>, now: Instant) -> Self {
        Self {
            epoch: now,
            crypto,
            transports: Slots::default(),
            publications: Slots::default(),
            subscriptions: Slots::default(),
            transport_slots: BTreeMap::new(),
            publication_slots: BTreeMap::new(),
            subscription_slots: BTreeMap::new(),
            addresses: BTreeMap::new(),
            sought: BTreeSet::new(),
            rooms: BTreeMap::new(),
            outbound: Outbound::default(),
            events: VecDeque::with_capacity(EVENTS_MAX),
            generations: 0,
            schedule: feedback::Schedule::default(),
            measured_us: EPOCH_US,
            layers_max: BTreeMap::new(),
            taps: Taps::new(),
            totals: Totals::default(),
            limits: Limits::default(),
            probes_due_us: None,
            scratch: Scratch::default(),
        }
    }

    fn elapsed_us(&self, now: Instant) -> u64 {
        let elapsed = now.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(elapsed).unwrap_or(u64::MAX / 2) + EPOCH_US
    }

    /// Carries out a command of the control half. A command that names something unknown is
    /// ignored.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        let now_us = self.elapsed_us(now);
        match command {
            Command::AddTransport { transport, room, keys, remote } => {
                self.add_transport(transport, room, &keys, remote, now_us);
            }
            Command::MoveTransport { transport, remote } => self.move_transport(transport, remote),
            Command::RemoveTransport { transport } => self.remove_transport(transport, now_us),
            Command::AddPublication(spec) => self.add_publication(&spec, now_us),
            Command::RemovePublication { track } => self.remove_publication(track, now_us),
            Command::SetGate { track, gate } => self.set_gate(track, gate, now_us),
            Command::SetLayerMax { room, layer_max } => {
                self.set_layer_max(room, layer_max, now_us);
            }
            Command::SetPriority { track, priority } => {
                let at = self.publication_slots.get(&track).copied();
                if let Some(publication) = at.and_then(|at| self.publications.at_mut(at)) {
                    publication.priority = priority;
                }
            }
            Command::AddSubscription(spec) => self.add_subscription(&spec, now_us),
            Command::SetDemand { subscription, demand } => {
                self.set_demand(subscription, demand, now_us);
            }
            Command::SetSource { subscription, source } => {
                self.set_source(subscription, source, now_us);
            }
            Command::RemoveSubscription { subscription } => {
                self.remove_subscription(subscription);
            }
            Command::AddTap { track, sink } => self.add_tap(track, &sink, now_us),
            Command::RemoveTap { track, sink } => self.remove_tap(track, &sink, now_us),
        }
        self.schedule.start(now_us, self.is_busy());
    }

    /// Takes a datagram and decrypts it in place. The work is bounded and nothing panics, whatever
    /// it contains.
    pub fn handle_datagram(
        &mut self,
        from: SocketAddr,
        datagram: &mut [u8],
        now: Instant,
    ) -> Handled {
        let kind = classify(datagram);
        match kind {
            DatagramKind::Handshake => return Handled::Handshake,
            DatagramKind::Relay => return Handled::Relay,
            DatagramKind::Other => {
                self.totals.dropped_other += 1;
                return Handled::Dropped;
            }
            DatagramKind::Rtp | DatagramKind::Rtcp => {}
        }
        let now_us = self.elapsed_us(now);
        let Some(&slot) = self.addresses.get(&from) else {
            return self.handle_stray(from, datagram, kind, now_us);
        };
        if kind == DatagramKind::Rtp {
            self.handle_rtp(slot, datagram, now_us);
        } else {
            self.handle_rtcp(slot, datagram, now_us);
        }
        Handled::Media
    }

    /// When `handle_timeout` must be called next; `None` while there is nothing to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due_us = self.schedule.due_us().into_iter().chain(self.probes_due_us).min()?;
        Some(self.epoch + Duration::from_micros(due_us.saturating_sub(EPOCH_US)))
    }

    /// Does the regular work that is due: feedback to publishers, reports to subscribers, requests
    /// for packets and key frames, and active speakers.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now_us = self.elapsed_us(now);
        if self.probes_due_us.is_some_and(|due_us| due_us <= now_us) {
            self.send_probes(now_us);
        }
        if self.schedule.due_us().is_some_and(|due_us| due_us <= now_us) {
            self.tick(now_us);
            self.schedule.start(now_us, self.is_busy());
        }
    }

    /// Whether ticks are needed. After the last track has ended they still are, until the room was
    /// told that nobody speaks and each tap that its track ended.
    fn is_busy(&self) -> bool {
        let carries = !self.transport_slots.is_empty() || !self.publication_slots.is_empty();
        carries || !self.rooms.is_empty() || self.taps.is_owing()
    }

    /// The next run of datagrams to send; call it until it returns `None`.
    pub fn poll_transmit(
        &mut self,
        datagrams_max: usize,
        bytes_max: usize,
    ) -> Option<Transmit<'_>> {
        let (slot, run) = loop {
            let Some(&slot) = self.outbound.slots.get(self.outbound.drained) else {
                self.outbound.slots.clear();
                self.outbound.drained = 0;
                return None;
            };
            if let Some(transport) = self.transports.at_mut(slot) {
                if let Some(run) = transport.take_run(datagrams_max, bytes_max) {
                    break (slot, run);
                }
                transport.clear_output();
                transport.queued = false;
            }
            self.outbound.drained += 1;
        };
        let transport = self.transports.at(slot)?;
        Some(Transmit {
            destination: transport.remote,
            contents: transport.run_bytes(run),
            segment_bytes: run.segment_bytes,
            datagrams: run.datagrams,
        })
    }

    /// Whether `poll_transmit` would return something.
    #[must_use]
    pub fn has_output(&self) -> bool {
        self.outbound.drained < self.outbound.slots.len()
    }

    /// The next event for the control half.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    fn tell(&mut self, event: MediaEvent) {
        if self.events.len() < EVENTS_MAX {
            self.events.push_back(event);
        } else {
            self.totals.events_lost += 1;
        }
    }

    /// The counters of the whole worker, without computing anything.
    #[must_use]
    pub const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// All counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            totals: self.totals,
            transports: self.transports.iter().map(|(_, it)| (it.id, it.stats)).collect(),
            publications: self.publications.iter().map(|(_, it)| (it.track, it.stats)).collect(),
            subscriptions: self.subscriptions.iter().map(|(_, it)| (it.id, it.stats)).collect(),
        }
    }

    /// How many entries each table has.
    #[must_use]
    pub fn sizes(&self) -> Sizes {
        Sizes {
            transports: self.transports.len().max(self.transport_slots.len()),
            addresses: self.addresses.len(),
            publications: self.publications.len().max(self.publication_slots.len()),
            subscriptions: self.subscriptions.len().max(self.subscription_slots.len()),
            rooms: self.rooms.len(),
        }
    }
}
