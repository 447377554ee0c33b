//! Leaves out the higher temporal layers of an encoding for one receiver: of every second picture, or
//! of three in four, nothing is sent. A picture is sent whole or not at all, and a layer begins again at
//! a picture from which on nothing is referred to that the receiver does not have.
//!
//! The receiver's sequence numbers have no gap for what is left out. Which packets those were is
//! remembered for a while, so that a packet that comes late, or is requested again, gets its own number.

use std::collections::VecDeque;

use super::ring::Packet;
use super::subscription::Segment;

/// Runs of packets left out that are remembered: more than two seconds of every second picture. What
/// is older is not sent again. Raising it costs 48 bytes for each receiver with a narrow path.
const RUNS_MAX: usize = 64;
/// How long a layer that would fit waits for a picture at which it can begin, before a key frame is
/// requested. Publishers send such pictures several times a second.
const WAITS_US_MAX: u64 = 2_000_000;

/// How a packet is sent under its number.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Pictures that were left out before it in its segment.
    pub(super) pictures: u16,
    /// Whether the packet itself is left out, and padding is sent in its place: it came late, and its
    /// number was kept for it.
    pub(super) is_filler: bool,
}

/// Packets that follow one another and were left out.
#[derive(Debug, Clone, Copy)]
struct Run {
    generation: u64,
    first_in: u64,
    last_in: u64,
    /// The outgoing number that follows them.
    out: u64,
    /// Packets and pictures left out in this segment, until the end of this run.
    removed: u64,
    pictures: u16,
}

impl Run {
    const fn is_of(&self, segment: &Segment) -> bool {
        self.generation == segment.generation && self.first_in >= segment.first_in
    }

    /// Packets left out in its segment before it.
    const fn removed_before(&self) -> u64 {
        self.removed - (self.last_in - self.first_in + 1)
    }
}

/// What is left out of a stream to one receiver.
#[derive(Debug)]
pub(super) struct Thinning {
    /// The highest temporal layer that the path carries of the layer that it carries.
    pub(super) allowed: u8,
    /// That of the encoding sent before, until the key frame of that layer comes.
    pub(super) meanwhile: u8,
    /// The highest temporal layer that is being sent.
    current: u8,
    /// The one before that was last raised, and the packet from which on the higher one is sent.
    earlier: u8,
    raised_in: u64,
    highest_in: u64,
    /// The picture of that packet, and whether it is left out.
    timestamp: u32,
    is_left_out: bool,
    /// Whether every allowed layer can begin after it.
    opens: bool,
    /// Packets and pictures left out in this segment.
    removed: u64,
    pictures: u16,
    runs: VecDeque<Run>,
    has_forgotten: bool,
    /// Since when a layer that is allowed is not sent.
    waits_since_us: Option<u64>,
    /// Of the packet that was last given a number.
    pub(super) last: Place,
    /// Packets left out that are not counted yet.
    pub(super) uncounted: u64,
}

impl Thinning {
    /// Begins in the middle of a stream of which everything was sent until `highest_in`.
    pub(super) fn new(highest_in: u64, timestamp: u32) -> Self {
        Self {
            allowed: u8::MAX,
            meanwhile: u8::MAX,
            current: u8::MAX,
            earlier: u8::MAX,
            raised_in: 0,
            highest_in,
            timestamp,
            is_left_out: false,
            opens: false,
            removed: 0,
            pictures: 0,
            runs: VecDeque::with_capacity(RUNS_MAX),
            has_forgotten: false,
            waits_since_us: None,
            last: Place::default(),
            uncounted: 0,
        }
    }

    /// Handles the key frame with which a segment begins.
    pub(super) fn begin(&mut self, packet: &Packet<'_>) {
        self.current = self.allowed;
        self.earlier = self.allowed;
        self.raised_in = 0;
        self.highest_in = packet.extended;
        self.timestamp = packet.timestamp;
        self.is_left_out = false;
        self.opens = false;
        self.removed = 0;
        self.pictures = 0;
        self.waits_since_us = None;
        self.last = Place::default();
    }

    /// The outgoing number of a packet of the current segment, or `None` when it is left out. `limit` is
    /// the highest temporal layer allowed; `may_fill` says whether padding may take a number.
    #[inline(never)]
    pub(super) fn number(
        &mut self,
        segment: &Segment,
        packet: &Packet<'_>,
        (limit, may_fill): (u8, bool),
    ) -> Option<u64> {
        let found = if packet.extended > self.highest_in {
            self.place_next(segment, packet, limit)
        } else {
            self.place_late(segment, packet)
        };
        let found = found.filter(|(_, place)| may_fill || !place.is_filler);
        self.uncounted += u64::from(found.is_none_or(|(_, place)| place.is_filler));
        let (index, place) = found?;
        self.last = place;
        Some(index)
    }

    fn place_next(
        &mut self,
        segment: &Segment,
        packet: &Packet<'_>,
        limit: u8,
    ) -> Option<(u64, Place)> {
        let goes_on = packet.timestamp == self.timestamp;
        if !goes_on {
            self.decide(packet, limit);
        }
        let before = std::mem::replace(&mut self.highest_in, packet.extended);
        if self.is_left_out {
            self.leave_out(segment, (before, packet.extended), goes_on);
            return None;
        }
        let index = segment.first_out + (packet.extended - segment.first_in) - self.removed;
        Some((index, Place { pictures: self.pictures, is_filler: false }))
    }

    /// Decides about the picture that begins.
    fn decide(&mut self, packet: &Packet<'_>, limit: u8) {
        self.timestamp = packet.timestamp;
        self.is_left_out = false;
        let opens = std::mem::take(&mut self.opens);
        if packet.key_frame_start {
            self.send_up_to(limit, packet.extended);
            return;
        }
        let Some(layer) = packet.temporal else { return };
        if limit < self.current {
            self.current = limit;
        } else if opens {
            self.send_up_to(limit, packet.extended);
        } else if layer.is_sync
            && layer.id <= limit
            && Some(layer.id) == self.current.checked_add(1)
        {
            self.send_up_to(layer.id, packet.extended);
        }
        self.is_left_out = layer.id > self.current;
        self.opens = layer.opens_higher && !self.is_left_out;
    }

    const fn send_up_to(&mut self, layer: u8, from: u64) {
        if layer > self.current {
            self.earlier = self.current;
            self.raised_in = from;
        }
        self.current = layer;
    }

    /// Notes that a packet is left out: of a new picture, or one that `goes_on`.
    fn leave_out(&mut self, segment: &Segment, (before, at): (u64, u64), goes_on: bool) {
        self.pictures = self.pictures.wrapping_add(u16::from(!goes_on));
        // What is missing in the middle of a picture belongs to it.
        let follows = goes_on || before + 1 == at;
        if let Some(run) = self.runs.back_mut()
            && run.is_of(segment)
            && run.last_in == before
            && follows
        {
            self.removed += at - before;
            (run.last_in, run.removed, run.pictures) = (at, self.removed, self.pictures);
            return;
        }
        if self.runs.len() == RUNS_MAX {
            self.runs.pop_front();
            self.has_forgotten = true;
        }
        let out = segment.first_out + (at - segment.first_in) - self.removed;
        self.removed += 1;
        self.runs.push_back(Run {
            generation: segment.generation,
            first_in: at,
            last_in: at,
            out,
            removed: self.removed,
            pictures: self.pictures,
        });
    }

    fn place_late(&self, segment: &Segment, packet: &Packet<'_>) -> Option<(u64, Place)> {
        let ahead = packet.extended.checked_sub(segment.first_in)?;
        let of_it = || self.runs.iter().rev().take_while(|run| run.is_of(segment));
        let (removed, pictures) = match of_it().find(|run| run.first_in <= packet.extended) {
            Some(run) if packet.extended <= run.last_in => return None,
            Some(run) => (run.removed, run.pictures),
            None if of_it().last().is_some_and(|oldest| oldest.removed_before() > 0) => {
                return None;
            }
            None => (0, 0),
        };
        let index = segment.first_out + ahead - removed;
        Some((index, Place { pictures, is_filler: self.leaves_out(packet) }))
    }

    /// Whether a packet that came already was of a layer that was left out then.
    pub(super) fn leaves_out(&self, packet: &Packet<'_>) -> bool {
        let sent = if packet.extended < self.raised_in { self.earlier } else { self.current };
        packet.temporal.is_some_and(|layer| layer.id > sent)
    }

    /// Packets and pictures left out of a segment before the packet with this outgoing number; `None`
    /// when that is not known any more.
    pub(super) fn left_out_before(&self, segment: &Segment, index: u64) -> Option<(u64, u16)> {
        match self.runs.iter().rev().find(|run| run.out <= index) {
            Some(run) if run.is_of(segment) => Some((run.removed, run.pictures)),
            None if self.has_forgotten => None,
            _ => Some((0, 0)),
        }
    }

    /// Whether the layer `wanted`, which is there and allowed, has had no picture to begin at for long.
    pub(super) fn waits_too_long(&mut self, wanted: u8, now_us: u64) -> bool {
        if self.current >= wanted {
            self.waits_since_us = None;
            return false;
        }
        let since_us = *self.waits_since_us.get_or_insert(now_us);
        let is_long = now_us >= since_us + WAITS_US_MAX;
        if is_long {
            self.waits_since_us = Some(now_us);
        }
        is_long
    }
}
