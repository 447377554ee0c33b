//! A track that a peer publishes: the meaning of its payload types, its encodings, and its
//! subscribers.

use crate::domain::id::{SessionId, TrackId};
use crate::domain::media::{Codec, MediaKind};
use crate::formats::rtp::Header;
use crate::sfu::plane::{
    ExtensionIds, Gate, Priority, PublicationOrigin, PublicationSpec, TransportId,
};

use super::encoding::{Encoding, Sizes};
use super::loudness::LevelMeter;
use super::stats::PublicationStats;
use super::tap::Tap;
use super::unseen::Unseen;

/// Encodings that one track may have.
pub(super) const ENCODINGS_MAX: usize = 3;
/// Payload types that one track may declare.
const FORMATS_MAX: usize = 32;

/// What a payload type carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PayloadMeaning {
    pub(super) codec: Codec,
    pub(super) repair: bool,
    /// The payload type itself or, for retransmissions, the payload type that they repair.
    pub(super) primary: u8,
}

/// A published track.
#[derive(Debug)]
pub(super) struct Publication {
    pub(super) track: TrackId,
    pub(super) room: SessionId,
    pub(super) origin: PublicationOrigin,
    /// Slot of its transport, once the handshake is complete; `None` for a feed.
    pub(super) transport: Option<usize>,
    pub(super) kind: MediaKind,
    pub(super) gate: Gate,
    pub(super) extensions: ExtensionIds,
    /// In the order of its description.
    pub(super) encodings: Vec<Encoding>,
    /// Positions of the encodings, from the lowest quality to the highest: first as described, then
    /// as measured.
    ranking: Vec<u8>,
    /// Slots of the subscriptions that receive it.
    pub(super) subscribers: Vec<usize>,
    /// Whether some of them have just come and can begin with what was sent a moment ago.
    pub(super) has_newcomers: bool,
    pub(super) taps: Vec<Tap>,
    pub(super) started: bool,
    pub(super) level: LevelMeter,
    pub(super) stats: PublicationStats,
    pub(super) mid: String,
    /// Highest encoding that any receiver gets.
    pub(super) layer_max: u8,
    /// How important its pictures are where a path can't carry all.
    pub(super) priority: Priority,
    /// Which encodings its publisher knows that nobody wants.
    pub(super) unseen: Unseen,
    /// Total bytes of payload at the last measurement.
    pub(super) measured_bytes: u64,
    meanings: Vec<(u8, PayloadMeaning)>,
    /// Whether lost packets can be requested again.
    pub(super) repairable: bool,
}

impl Publication {
    pub(super) fn new(spec: &PublicationSpec, mut generation: impl FnMut() -> u64) -> Self {
        let mut meanings = Vec::new();
        for format in spec.formats.iter().take(FORMATS_MAX) {
            let meaning = |repair| PayloadMeaning {
                codec: format.codec,
                repair,
                primary: format.payload_type & 0x7F,
            };
            meanings.push((format.payload_type, meaning(false)));
            if let Some(payload_type) = format.rtx_payload_type {
                meanings.push((payload_type, meaning(true)));
            }
        }
        let encodings = spec.encodings.iter().take(ENCODINGS_MAX);
        let ranking = (0_u8..).zip(encodings.clone()).map(|(at, _)| at).collect();
        let has_rtx = spec.formats.iter().any(|format| format.rtx_payload_type.is_some());
        Self {
            track: spec.track,
            room: spec.room,
            origin: spec.origin.clone(),
            transport: None,
            kind: spec.kind,
            gate: spec.gate,
            extensions: spec.extensions,
            ranking,
            encodings: encodings.map(|it| Encoding::new(it, spec.kind, generation())).collect(),
            subscribers: Vec::new(),
            has_newcomers: false,
            taps: Vec::new(),
            started: false,
            level: LevelMeter::default(),
            stats: PublicationStats::default(),
            mid: spec.mid.clone(),
            layer_max: u8::MAX,
            priority: Priority::Rest,
            unseen: Unseen::default(),
            measured_bytes: 0,
            meanings,
            repairable: spec.kind == MediaKind::Video || has_rtx,
        }
    }

    /// Whether packets can arrive: it is a feed, or its transport is connected.
    pub(super) const fn is_complete(&self) -> bool {
        match self.origin {
            PublicationOrigin::Transport(_) => self.transport.is_some(),
            PublicationOrigin::Process(_) => true,
        }
    }

    /// Whether its packets come over this transport.
    pub(super) fn is_of(&self, id: TransportId) -> bool {
        matches!(self.origin, PublicationOrigin::Transport(of) if of == id)
    }

    /// Ticks per second of its stamps, which all of its formats share.
    pub(super) fn clock_rate_hz(&self) -> u32 {
        self.meanings.first().map_or(90_000, |(_, meaning)| meaning.codec.clock_rate_hz())
    }

    pub(super) fn meaning(&self, payload_type: u8) -> Option<PayloadMeaning> {
        self.meanings.iter().find(|(it, _)| *it == payload_type).map(|(_, meaning)| *meaning)
    }

    /// Which encoding an authenticated packet of an undeclared SSRC belongs to, by the `mid` and
    /// `rid` in its header extensions (RFC 9143 §9, RFC 8852 §3.1). `alone` says that no other
    /// section could claim it.
    pub(super) fn encoding_of(&self, packet: &[u8], header: &Header, alone: Alone) -> Option<u8> {
        let meaning = self.meaning(header.payload_type)?;
        let (mut mid, mut rid, mut repaired_rid) = (None, None, None);
        for (id, value) in header.extensions(packet) {
            if Some(id) == self.extensions.mid {
                mid = Some(value);
            } else if Some(id) == self.extensions.rid {
                rid = Some(value);
            } else if Some(id) == self.extensions.repaired_rid {
                repaired_rid = Some(value);
            }
        }
        match mid {
            Some(mid) if mid != self.mid.as_bytes() => return None,
            None if alone == Alone::No => return None,
            _ => {}
        }
        let named = if meaning.repair { repaired_rid } else { rid };
        let at = self.encodings.iter().position(|encoding| match (&encoding.rid, named) {
            (Some(rid), Some(named)) => rid.as_bytes() == named,
            (None, _) => self.encodings.len() == 1,
            (Some(_), None) => false,
        })?;
        u8::try_from(at).ok()
    }

    /// The encoding to send to a receiver that wants at most the layer `layer_max`, counted from the
    /// lowest quality: the best one with packets up to that, or else the lowest one above. `current`
    /// is kept while no encoding has packets.
    pub(super) fn best_layer(&self, layer_max: u8, current: u8) -> u8 {
        let is_alive = |at: u8| self.encodings.get(usize::from(at)).is_some_and(|it| it.alive);
        let alive = || (0_u8..).zip(&self.ranking).filter(|(_, at)| is_alive(**at));
        let layer_max = layer_max.min(self.layer_max);
        let wanted = alive().filter(|(layer, _)| *layer <= layer_max).last();
        wanted.or_else(|| alive().next()).map_or(current, |(_, at)| *at)
    }

    /// The layers that have packets, up to the layer `layer_max`, from the lowest quality up; or else
    /// the lowest one above.
    pub(super) fn layers_up_to(&self, layer_max: u8) -> impl Iterator<Item = (u8, &Encoding)> {
        let layer_max = layer_max.min(self.layer_max);
        let alive = || {
            let encodings = (0_u8..).zip(&self.ranking);
            encodings
                .filter_map(|(layer, at)| Some((layer, self.encodings.get(usize::from(*at))?)))
                .filter(|(_, encoding)| encoding.alive)
        };
        let within = alive().filter(move |(layer, _)| *layer <= layer_max);
        let above = alive().next().filter(move |(layer, _)| *layer > layer_max);
        within.chain(above)
    }

    /// The names of its `count` best encodings, the best one first.
    pub(super) fn rids_from_the_best(&self, count: usize) -> Vec<String> {
        let best = self.ranking.iter().rev().take(count);
        best.filter_map(|&at| self.encodings.get(usize::from(at))?.rid.clone()).collect()
    }

    /// Stores the size of the pictures of an encoding; returns whether the ranking has changed.
    pub(super) fn note_size(&mut self, encoding: u8, (width, height): (u32, u32)) -> bool {
        let pixels = Some(u64::from(width) * u64::from(height));
        let Some(encoding) = self.encodings.get_mut(usize::from(encoding)) else { return false };
        std::mem::replace(&mut encoding.pixels, pixels) != pixels && self.rank()
    }

    /// Measures the rates of the encodings; returns whether the ranking has changed.
    pub(super) fn measure_rates(&mut self, now_us: u64) -> bool {
        if self.encodings.len() < 2 {
            return false;
        }
        for encoding in &mut self.encodings {
            encoding.measure(now_us);
            if self.gate == Gate::Open {
                encoding.request_size();
            }
        }
        self.rank()
    }

    /// Exchanges neighbours in the ranking that are known to be in the wrong order. What is not known
    /// keeps its order.
    fn rank(&mut self) -> bool {
        let known = self.encodings.iter().all(|it| it.pixels.is_some());
        let sizes = if known { Sizes::Known } else { Sizes::Unknown };
        let mut changed = false;
        for _ in 1..self.ranking.len() {
            for at in 1..self.ranking.len() {
                let [lower, higher] = [self.ranking[at - 1], self.ranking[at]].map(usize::from);
                if self.encodings[lower].is_better_than(&self.encodings[higher], sizes) {
                    self.ranking.swap(at - 1, at);
                    changed = true;
                }
            }
        }
        changed
    }
}

/// Whether a publication is the only one of its transport that uses a payload type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    Yes,
    No,
}
