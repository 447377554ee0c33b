//! A stream to one receiver. Its sequence numbers stay continuous when its source changes, and each
//! can be traced back to the packet that was sent under it.

use crate::domain::id::TrackId;
use crate::domain::media::{Codec, MediaKind};
use crate::formats::rtp::{FIXED_HEADER_BYTES, extend_sequence, wire_sequence};
use crate::sfu::plane::{Demand, SubscriptionId, SubscriptionSpec, TransportId};
use crate::sfu::srtp::SEAL_BYTES_MAX;

use super::conditions::Reports;
use super::encoding::ticks;
use super::key_frames::Requests;
use super::ring::Packet;
use super::stats::SubscriptionStats;
use super::template::Template;
use super::transport::{DATAGRAM_BYTES, Transport};

/// Segments of earlier sources that are remembered to resend lost packets.
const PAST_SEGMENTS: usize = 6;
/// Packets whose retransmissions are counted; a power of two.
const RESENDS_TRACKED: usize = 256;
/// How often one packet is resent at most.
const RESENDS_PER_PACKET: u8 = 4;
/// Packets of one stream resent between two ticks. A receiver that requests more is on a path that
/// cannot carry them.
const RESENDS_PER_TICK: u16 = 64;

/// The payload types under which a codec is sent.
#[derive(Debug, Clone, Copy)]
struct Outgoing {
    payload_type: u8,
    rtx_payload_type: Option<u8>,
}

/// A range of outgoing sequence numbers that is filled from one stretch of one encoding.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// Slot of the publication. It may have been reused; `generation` shows that.
    pub(super) publication: usize,
    pub(super) encoding: u8,
    pub(super) generation: u64,
    clock: u64,
    codec: Codec,
    first_in: u64,
    first_out: u64,
    timestamp_offset: u32,
    picture_offset: u16,
    tl0_offset: u8,
}

/// The encoding that a packet comes from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) publication: usize,
    pub(super) encoding: u8,
    pub(super) generation: u64,
    pub(super) clock: u64,
}

/// A stream to one receiver.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: SubscriptionId,
    pub(super) transport_id: TransportId,
    /// Slot of its transport, once the handshake is complete.
    pub(super) transport: Option<usize>,
    /// The track that it should show.
    pub(super) wanted: Option<TrackId>,
    /// Slot of that track's publication, once it exists in the same room.
    pub(super) source: Option<usize>,
    pub(super) kind: MediaKind,
    pub(super) ssrc: u32,
    pub(super) demand: Demand,
    /// Whether nothing is sent because the path does not carry it.
    pub(super) is_left_out: bool,
    /// The highest layer that the path carries.
    pub(super) layer_allowed: u8,
    /// Whether it was ever given a share of what the path carries.
    pub(super) is_placed: bool,
    /// The encoding to switch to at its next key frame.
    pub(super) target: u8,
    pub(super) segment: Option<Segment>,
    pub(super) stats: SubscriptionStats,
    pub(super) reports: Reports,
    /// Its requests for key frames.
    pub(super) requests: Requests,
    rtx_ssrc: u32,
    outgoing: [Option<Outgoing>; Codec::ALL.len()],
    template: Template,
    past: [Option<Segment>; PAST_SEGMENTS],
    /// The sequence number before the first one.
    before_first: u64,
    /// The last sequence number used; the next segment begins after it.
    highest: u64,
    last_timestamp: u32,
    last_sent_us: Option<u64>,
    last_picture: u16,
    last_tl0: u8,
    rtx_index: u64,
    resends: Box<[(u16, u8); RESENDS_TRACKED]>,
    resends_left: u16,
    /// The tick to which that count belongs.
    resends_tick: u64,
}

impl Subscription {
    pub(super) fn new(spec: &SubscriptionSpec) -> Self {
        let mut outgoing = [None; Codec::ALL.len()];
        for format in &spec.formats {
            let place = &mut outgoing[format.codec as usize];
            if place.is_none() {
                *place = Some(Outgoing {
                    payload_type: format.payload_type & 0x7F,
                    rtx_payload_type: format.rtx_payload_type.map(|it| it & 0x7F),
                });
            }
        }
        // A packet that is resent unchanged must be identical to the last byte, or its nonce would
        // protect two different texts; a transport-wide sequence number would differ.
        let numbered = spec.kind == MediaKind::Audio
            || outgoing.iter().flatten().all(|it| it.rtx_payload_type.is_some());
        // In the lower half of the range, so that no receiver mistakes the first numbers for
        // the end of a cycle (RFC 3711 §3.3.1).
        let before_first = u64::from(spec.ssrc & 0x3FFF) + 1;
        Self {
            id: spec.subscription,
            transport_id: spec.transport,
            transport: None,
            wanted: spec.source,
            source: None,
            kind: spec.kind,
            ssrc: spec.ssrc,
            demand: spec.demand,
            is_left_out: false,
            layer_allowed: u8::MAX,
            is_placed: false,
            target: 0,
            segment: None,
            stats: SubscriptionStats::default(),
            reports: Reports::default(),
            requests: Requests::default(),
            rtx_ssrc: spec.rtx_ssrc,
            outgoing,
            template: Template::new(&spec.mid, spec.extensions, spec.kind, numbered),
            past: [None; PAST_SEGMENTS],
            before_first,
            highest: before_first,
            last_timestamp: 0,
            last_sent_us: None,
            last_picture: 0,
            last_tl0: 0,
            rtx_index: 1,
            resends: Box::new([(0, 0); RESENDS_TRACKED]),
            resends_left: RESENDS_PER_TICK,
            resends_tick: 0,
        }
    }

    /// Whether it waits for a key frame of the encoding `target`.
    pub(super) fn awaits_key_frame(&self, generation_of_target: u64) -> bool {
        self.kind == MediaKind::Video
            && !self.is_paused()
            && self.segment.is_none_or(|segment| segment.generation != generation_of_target)
    }

    /// Whether nothing was ever sent.
    pub(super) const fn is_new(&self) -> bool {
        self.last_sent_us.is_none()
    }

    /// Whether nothing is sent, by the wish of the receiver or for want of room.
    const fn is_paused(&self) -> bool {
        self.demand.paused || self.is_left_out
    }

    /// It takes no share for now; when it does again, it is as if it were new.
    pub(super) const fn claim_nothing(&mut self) {
        self.is_left_out = false;
        self.is_placed = false;
    }

    /// Sequence numbers under which nothing was sent, since it did not come from the publisher.
    pub(super) const fn numbers_unsent(&self) -> u64 {
        (self.highest - self.before_first).saturating_sub(self.stats.packets_out)
    }

    /// The SSRCs that it sends from: packets and retransmissions.
    pub(super) const fn sources(&self) -> [u32; 2] {
        [self.ssrc, self.rtx_ssrc]
    }

    /// Ends the current segment; the next packet must be one that a decoder can start at.
    pub(super) fn end_segment(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.past.rotate_right(1);
            self.past[0] = Some(segment);
        }
        self.stats.layer = None;
    }

    pub(super) fn understands(&self, codec: Codec) -> bool {
        self.outgoing[codec as usize].is_some()
    }

    /// The outgoing sequence number of a packet, or `None` when it is not sent. `aligned` is its
    /// timestamp on the clock of the segment before, when both encodings have sent a sender report.
    pub(super) fn number(
        &mut self,
        origin: Origin,
        packet: &Packet<'_>,
        aligned: impl FnOnce(&Segment) -> Option<u32>,
        now_us: u64,
    ) -> Option<u64> {
        if self.is_paused() {
            return None;
        }
        if let Some(segment) = &self.segment
            && segment.generation == origin.generation
            && segment.codec == packet.codec
        {
            let ahead = packet.extended.checked_sub(segment.first_in)?;
            return Some(segment.first_out + ahead);
        }
        if origin.encoding != self.target || !packet.key_frame_start {
            return None;
        }
        self.start_segment(origin, packet, aligned, now_us);
        Some(self.highest + 1)
    }

    fn start_segment(
        &mut self,
        origin: Origin,
        packet: &Packet<'_>,
        aligned: impl FnOnce(&Segment) -> Option<u32>,
        now_us: u64,
    ) {
        let before = self.segment.or(self.past[0]);
        self.end_segment();
        let picture = packet.vp8.and_then(|it| it.picture_id()).unwrap_or(0);
        let tl0 = packet.vp8.and_then(|it| it.tl0_picture_index()).unwrap_or(0);
        let timestamp = self.next_timestamp(before, origin, packet, aligned, now_us);
        self.segment = Some(Segment {
            publication: origin.publication,
            encoding: origin.encoding,
            generation: origin.generation,
            clock: origin.clock,
            codec: packet.codec,
            first_in: packet.extended,
            first_out: self.highest + 1,
            timestamp_offset: timestamp.wrapping_sub(packet.timestamp),
            picture_offset: self.last_picture.wrapping_add(1).wrapping_sub(picture),
            tl0_offset: self.last_tl0.wrapping_add(1).wrapping_sub(tl0),
        });
        self.stats.switches += u64::from(before.is_some());
        self.stats.layer = Some(origin.encoding);
    }

    /// The first timestamp of a new segment. The elapsed time is taken from the publisher's clock
    /// if it is known, and from ours otherwise.
    fn next_timestamp(
        &self,
        before: Option<Segment>,
        origin: Origin,
        packet: &Packet<'_>,
        aligned: impl FnOnce(&Segment) -> Option<u32>,
        now_us: u64,
    ) -> u32 {
        let (Some(before), Some(last_sent_us)) = (before, self.last_sent_us) else {
            return packet.timestamp;
        };
        let rate_hz = packet.codec.clock_rate_hz();
        let elapsed = ticks(now_us.saturating_sub(last_sent_us), rate_hz);
        let told = if before.clock == origin.clock {
            Some(packet.timestamp.wrapping_add(before.timestamp_offset))
        } else {
            aligned(&before).map(|it| it.wrapping_add(before.timestamp_offset))
        };
        // A publisher's clock that runs backwards, or far from ours, is ignored.
        let believable = |it: &u32| {
            let ahead = it.wrapping_sub(self.last_timestamp);
            ahead > 0 && ahead < elapsed.saturating_add(2 * rate_hz)
        };
        told.filter(believable).unwrap_or_else(|| self.last_timestamp.wrapping_add(elapsed.max(1)))
    }

    /// Writes, seals and queues a packet under the sequence number that it was given.
    pub(super) fn forward(
        &mut self,
        transport: &mut Transport,
        packet: &Packet<'_>,
        index: u64,
        now_us: u64,
    ) -> bool {
        let Some(segment) = self.segment else { return false };
        let Some(outgoing) = self.outgoing[packet.codec as usize] else { return false };
        if index > self.highest {
            self.highest = index;
            self.last_timestamp = packet.timestamp.wrapping_add(segment.timestamp_offset);
            self.last_sent_us = Some(now_us);
            if let Some(vp8) = &packet.vp8 {
                let picture = vp8.picture_id().unwrap_or(0);
                let tl0 = vp8.tl0_picture_index().unwrap_or(0);
                self.last_picture = picture.wrapping_add(segment.picture_offset) & 0x7FFF;
                self.last_tl0 = tl0.wrapping_add(segment.tl0_offset);
            }
        }
        let stream = Stream { ssrc: self.ssrc, payload_type: outgoing.payload_type, index };
        let sent = write(&self.template, transport, &stream, &segment, (packet, None), now_us);
        if sent {
            self.stats.packets_out += 1;
            self.stats.payload_bytes_out += packet.payload.len() as u64;
        }
        sent
    }

    /// The segment in which `sequence` was sent, and the packet's sequence numbers going out and
    /// coming in. `None` when it may not be resent.
    pub(super) fn find_sent(&mut self, sequence: u16, tick: u64) -> Option<(Segment, u64, u64)> {
        if self.resends_tick != tick {
            self.resends_tick = tick;
            self.resends_left = RESENDS_PER_TICK;
        }
        let index = extend_sequence(self.highest, sequence);
        if index > self.highest || self.is_paused() || self.resends_left == 0 {
            return None;
        }
        let mut end = u64::MAX;
        let mut found = None;
        for segment in self.segment.iter().chain(self.past.iter().flatten()) {
            if (segment.first_out..end).contains(&index) {
                found = Some(*segment);
                break;
            }
            end = segment.first_out;
        }
        let segment = found?;
        let tracked = &mut self.resends[usize::from(sequence) % RESENDS_TRACKED];
        if tracked.0 != sequence {
            *tracked = (sequence, 0);
        }
        if tracked.1 >= RESENDS_PER_PACKET {
            return None;
        }
        tracked.1 += 1;
        Some((segment, index, segment.first_in + (index - segment.first_out)))
    }

    /// Resends a packet: as an RTX retransmission where the receiver has a format for it, unchanged
    /// otherwise.
    pub(super) fn resend(
        &mut self,
        transport: &mut Transport,
        segment: &Segment,
        packet: &Packet<'_>,
        (index, now_us): (u64, u64),
    ) -> bool {
        let Some(outgoing) = self.outgoing[packet.codec as usize] else { return false };
        self.resends_left = self.resends_left.saturating_sub(1);
        let sent = match outgoing.rtx_payload_type {
            Some(payload_type) => {
                self.rtx_index += 1;
                let stream = Stream { ssrc: self.rtx_ssrc, payload_type, index: self.rtx_index };
                let original = Some(wire_sequence(index));
                write(&self.template, transport, &stream, segment, (packet, original), now_us)
            }
            None if self.template.repeats_exactly() => {
                let payload_type = outgoing.payload_type;
                let stream = Stream { ssrc: self.ssrc, payload_type, index };
                write(&self.template, transport, &stream, segment, (packet, None), now_us)
            }
            None => false,
        };
        self.stats.packets_resent += u64::from(sent);
        sent
    }

    /// Whether it can carry padding: as retransmissions of nothing, which receivers count and drop
    /// (RFC 4588 §4, RFC 3550 §5.1).
    pub(super) fn may_pad(&self) -> bool {
        self.kind == MediaKind::Video
            && !self.template.repeats_exactly()
            && self.outgoing.iter().flatten().any(|it| it.rtx_payload_type.is_some())
    }

    /// Sends about `bytes` as padding, in datagrams that are as long as padding can make them;
    /// returns how many.
    pub(super) fn pad(&mut self, transport: &mut Transport, bytes: usize, now_us: u64) -> u64 {
        let rtx = self.outgoing.iter().flatten().find_map(|it| it.rtx_payload_type);
        let Some(payload_type) = rtx else { return 0 };
        let header_bytes = FIXED_HEADER_BYTES + self.template.len();
        let around = header_bytes + SEAL_BYTES_MAX + DATAGRAM_BYTES;
        let (mut left, mut sent) = (bytes, 0);
        while left > 0 {
            let padding = left.saturating_sub(around).clamp(1, usize::from(u8::MAX));
            left = left.saturating_sub(around + padding);
            self.rtx_index += 1;
            let stream = Stream { ssrc: self.rtx_ssrc, payload_type, index: self.rtx_index };
            let (timestamp, template) = (self.last_timestamp, &self.template);
            let number = transport.next_transport_sequence;
            let was_sent = transport.send_rtp(header_bytes + padding, |out| {
                stream.write_header(out, template, timestamp, 0x20);
                template.write(out, number, None);
                out.resize(out.len() + padding - 1, 0);
                out.push(u8::try_from(padding).unwrap_or(u8::MAX));
                (header_bytes, stream.ssrc, stream.index)
            });
            if !was_sent {
                break;
            }
            transport.note_numbered(now_us);
            sent += 1;
        }
        sent
    }

    /// The outgoing timestamp for a timestamp of the source, while `generation` is being sent.
    pub(super) fn outgoing_timestamp(&self, generation: u64, timestamp: u32) -> Option<u32> {
        let segment = self.segment.filter(|segment| segment.generation == generation)?;
        Some(timestamp.wrapping_add(segment.timestamp_offset))
    }
}

/// The SSRC and numbers under which a packet is sent.
struct Stream {
    ssrc: u32,
    payload_type: u8,
    index: u64,
}

impl Stream {
    /// Writes the fixed part of a header; `flags` are further bits of its first byte.
    fn write_header(&self, out: &mut Vec<u8>, template: &Template, timestamp: u32, flags: u8) {
        let mut header = [0; FIXED_HEADER_BYTES];
        header[0] = 0x80 | flags | if template.len() > 0 { 0x10 } else { 0 };
        header[1] = self.payload_type;
        header[2..4].copy_from_slice(&wire_sequence(self.index).to_be_bytes());
        header[4..8].copy_from_slice(&timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        out.extend_from_slice(&header);
    }
}

/// Writes a packet into the outbox of its receiver. `original` is the sequence number that a
/// retransmission repairs (RFC 4588 §4).
fn write(
    template: &Template,
    transport: &mut Transport,
    stream: &Stream,
    segment: &Segment,
    (packet, original): (&Packet<'_>, Option<u16>),
    now_us: u64,
) -> bool {
    let header_bytes = FIXED_HEADER_BYTES + template.len();
    let length = header_bytes + 2 + packet.payload.len();
    let transport_sequence = transport.next_transport_sequence;
    let timestamp = packet.timestamp.wrapping_add(segment.timestamp_offset);
    let sent = transport.send_rtp(length, |out| {
        let start = out.len();
        stream.write_header(out, template, timestamp, 0);
        out[start + 1] |= if packet.marker { 0x80 } else { 0 };
        template.write(out, transport_sequence, packet.level);
        if let Some(original) = original {
            out.extend_from_slice(&original.to_be_bytes());
        }
        let payload_start = out.len();
        out.extend_from_slice(packet.payload);
        if let Some(vp8) = &packet.vp8 {
            vp8.shift(&mut out[payload_start..], segment.picture_offset, segment.tl0_offset);
        }
        (header_bytes, stream.ssrc, stream.index)
    });
    if sent && !template.repeats_exactly() {
        transport.note_numbered(now_us);
    }
    sent
}
