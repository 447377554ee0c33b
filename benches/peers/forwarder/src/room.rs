//! The clients of a thread's rooms, and which section of a subscriber shows which section of a
//! publisher.

use std::time::Instant;

use str0m::Rtc;
use str0m::media::{MediaKind, Mid};
use str0m::rtp::{RtpPacket, RtpWrite, SeqNo};

use crate::Role;

/// A section of a publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// The publisher's number.
    pub publisher: usize,
    /// Its section.
    pub mid: Mid,
}

/// A section of a subscriber and what it shows.
struct Route {
    source: Source,
    mid: Mid,
    /// Rounds of sequence numbers that the source had begun before the first packet went this way:
    /// a new receiver begins with none.
    rounds_before: Option<u64>,
}

/// A client.
pub struct Client {
    /// Its transport.
    pub rtc: Rtc,
    /// Its room.
    pub room: usize,
    /// What it does there.
    pub role: Role,
    /// When its transport must be called next, while a timer is set for it.
    pub due: Option<Instant>,
    /// Its sections, in the order of its offer.
    pub sections: Vec<(Mid, MediaKind)>,
    routes: Vec<Route>,
}

impl Client {
    /// A client without routes.
    pub fn new(rtc: Rtc, room: usize, role: Role, sections: Vec<(Mid, MediaKind)>) -> Self {
        Self { rtc, room, role, due: None, sections, routes: Vec::new() }
    }

    /// Connects each section of a subscriber with the next source of its kind.
    pub fn connect(&mut self, sources: impl Iterator<Item = (Source, MediaKind)>) {
        let mut free = self.sections.clone();
        for (source, kind) in sources {
            if let Some(at) = free.iter().position(|(_, own)| *own == kind) {
                let (mid, _) = free.remove(at);
                self.routes.push(Route { source, mid, rounds_before: None });
            }
        }
    }

    /// The source that a section shows.
    pub fn source_of(&self, mid: Mid) -> Option<Source> {
        self.routes.iter().find(|route| route.mid == mid).map(|route| route.source)
    }

    /// All sources that this client is shown.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.routes.iter().map(|route| route.source)
    }

    /// Hands a packet of a source to the section that shows it; returns whether one does.
    pub fn forward(&mut self, source: Source, packet: &RtpPacket) -> bool {
        let Some(route) = self.routes.iter_mut().find(|route| route.source == source) else {
            return false;
        };
        let rounds = packet.seq_no.roc();
        let before = *route.rounds_before.get_or_insert(rounds);
        let sequence = (rounds.saturating_sub(before) << 16) | u64::from(packet.seq_no.as_u16());
        let is_video = self.sections.contains(&(route.mid, MediaKind::Video));
        let mut api = self.rtc.direct_api();
        let Some(stream) = api.stream_tx_by_mid(route.mid, None) else { return false };
        // All clients of the measurement offer the same payload types.
        let write = RtpWrite::new(
            packet.header.payload_type,
            SeqNo::from(sequence),
            packet.header.timestamp,
            packet.timestamp,
            packet.payload.clone(),
        );
        stream.write_rtp(
            write
                .marker(packet.header.marker)
                .ext_vals(packet.header.ext_vals.clone())
                .nackable(is_video),
        );
        true
    }
}
