#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Makes packets of a capture, or of a stream of a session, of what the taps of its tracks tell: those of the right codec, in
//! their order, with stamps that do not wrap.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::cameras::DevicePacket;
use crate::cameras::engine::pictures::VideoPacket;
use crate::domain::id::TrackId;
use crate::domain::media::{Codec, MediaKind};
use crate::formats::order::{InOrder, Order, Ordered};
use crate::formats::rtp::Packet;
use crate::sfu::tap::{TapBatch, TapKind};

/// One track.
#[derive(Debug)]
struct Track {
    kind: MediaKind,
    /// The source that it has now.
    ssrc: Option<u32>,
    /// Payload types of packets that can be kept.
    formats: BTreeSet<u8>,
    order: Order,
    /// How an order of this track begins.
    begin: fn() -> Order,
    /// The last stamp, extended by its wraps.
    stamp: Option<i64>,
    /// Whether packets before the next one did not come.
    is_lost: bool,
    has_ended: bool,
}

/// The packets of one device, or of some tracks of a room.
#[derive(Debug)]
pub struct Packets {
    tracks: BTreeMap<TrackId, Track>,
    out: Vec<DevicePacket>,
}

impl Packets {
    /// Of these tracks, which are shown while they come.
    #[must_use]
    pub fn of(tracks: &[(TrackId, MediaKind)]) -> Self {
        Self::in_order(tracks, Order::retransmitted)
    }

    /// Of these tracks, which are kept: what is missing is waited for as long as it may still come.
    pub(super) fn kept(tracks: &[(TrackId, MediaKind)]) -> Self {
        Self::in_order(tracks, Order::kept)
    }

    fn in_order(tracks: &[(TrackId, MediaKind)], begin: fn() -> Order) -> Self {
        let track = |kind| Track {
            kind,
            ssrc: None,
            formats: BTreeSet::new(),
            order: begin(),
            begin,
            stamp: None,
            is_lost: false,
            has_ended: false,
        };
        let tracks = tracks.iter().map(|(id, kind)| (*id, track(*kind))).collect();
        Self { tracks, out: Vec::new() }
    }

    /// Whether there is a track of sound.
    pub(super) fn has_sound(&self) -> bool {
        self.tracks.values().any(|track| track.kind == MediaKind::Audio)
    }

    /// Whether the pictures have ended.
    pub(super) fn has_ended(&self) -> bool {
        let mut pictures = self.tracks.values().filter(|it| it.kind == MediaKind::Video);
        pictures.all(|track| track.has_ended)
    }

    /// What a tap tells.
    pub fn handle(&mut self, batch: &TapBatch) {
        for item in batch.items() {
            let Some(track) = self.tracks.get_mut(&item.track) else { continue };
            match item.kind {
                TapKind::Packet { bytes, .. } => track.handle_packet(bytes, item.at_us),
                TapKind::Source { ssrc, .. } if track.ssrc != Some(ssrc) => {
                    track.order.flush();
                    track.drain(&mut self.out);
                    track.is_lost = track.ssrc.replace(ssrc).is_some();
                    track.order = (track.begin)();
                    track.formats.clear();
                }
                TapKind::Codec { payload_type, codec } => {
                    if codec == wanted(track.kind) {
                        track.formats.insert(payload_type);
                    } else {
                        track.formats.remove(&payload_type);
                    }
                }
                TapKind::Lost(_) => {
                    track.order.flush();
                    track.drain(&mut self.out);
                    track.is_lost = true;
                }
                TapKind::Ended => track.has_ended = true,
                TapKind::Source { .. }
                | TapKind::SenderReport(_)
                | TapKind::Levels { .. }
                | TapKind::GateClosed
                | TapKind::GateOpened
                | TapKind::KeyFrameRequested => {}
            }
            track.drain(&mut self.out);
        }
    }

    /// The device has ended: nothing is waited for any more.
    pub fn flush(&mut self) {
        for track in self.tracks.values_mut() {
            track.order.flush();
            track.drain(&mut self.out);
        }
    }

    /// Takes the packets that are in order.
    pub fn poll(&mut self) -> Vec<DevicePacket> {
        std::mem::take(&mut self.out)
    }
}

impl Track {
    fn handle_packet(&mut self, bytes: &[u8], at_us: u64) {
        let Some(Packet { header, payload }) = Packet::parse(bytes) else { return };
        if !self.formats.contains(&header.payload_type) {
            return;
        }
        // A packet without contents is padding of the sender's, and counts in the order.
        let ticks = self.extended(header.timestamp);
        let payload = Bytes::copy_from_slice(payload);
        let packet = Ordered { ticks, marker: header.marker, payload };
        self.order.handle_packet(at_us, header.sequence, packet);
    }

    /// A stamp, extended by its wraps.
    fn extended(&mut self, stamp: u32) -> i64 {
        let before = *self.stamp.get_or_insert_with(|| i64::from(stamp));
        let [b0, b1, b2, b3, ..] = before.to_le_bytes();
        let step = stamp.wrapping_sub(u32::from_le_bytes([b0, b1, b2, b3])).cast_signed();
        let ticks = before.saturating_add(i64::from(step));
        self.stamp = Some(ticks);
        ticks
    }

    fn drain(&mut self, into: &mut Vec<DevicePacket>) {
        for item in self.order.poll() {
            match item {
                InOrder::Lost => self.is_lost = true,
                InOrder::Packet(Ordered { payload, .. }) if payload.is_empty() => {}
                InOrder::Packet(Ordered { ticks, marker, payload }) => {
                    let lost = u64::from(std::mem::take(&mut self.is_lost));
                    into.push(match self.kind {
                        MediaKind::Video => {
                            DevicePacket::Pictures(VideoPacket { ticks, marker, lost, payload })
                        }
                        MediaKind::Audio => DevicePacket::Sound { ticks, lost, payload },
                    });
                }
            }
        }
    }
}

/// What is kept of tracks of this kind.
const fn wanted(kind: MediaKind) -> Codec {
    match kind {
        MediaKind::Audio => Codec::Opus,
        MediaKind::Video => Codec::H264,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sfu::tap::TapItem;

    fn id(number: u8) -> TrackId {
        TrackId::from_uuid(uuid::Uuid::from_bytes([number; 16]))
    }

    fn rtp(payload_type: u8, sequence: u16, stamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, payload_type];
        packet.extend(sequence.to_be_bytes());
        packet.extend(stamp.to_be_bytes());
        packet.extend([0, 0, 0, 1]);
        packet.extend(payload);
        packet
    }

    fn told(packets: &mut Packets, items: &[(u8, TapKind<'_>)]) -> Vec<(u8, i64, u64)> {
        let items: Vec<TapItem<'_>> = items
            .iter()
            .map(|(track, kind)| TapItem { track: id(*track), at_us: 1_000, kind: *kind })
            .collect();
        packets.handle(&TapBatch::of(&items));
        let shown = |packet| match packet {
            DevicePacket::Pictures(it) => (it.payload[0], it.ticks, it.lost),
            DevicePacket::Sound { ticks, lost, payload } => (payload[0], ticks, lost),
        };
        packets.poll().into_iter().map(shown).collect()
    }

    fn packet(bytes: &[u8]) -> TapKind<'_> {
        TapKind::Packet { bytes, key_frame_start: false }
    }

    fn begun() -> Packets {
        let mut packets = Packets::of(&[(id(1), MediaKind::Video), (id(2), MediaKind::Audio)]);
        let items = [
            (1, TapKind::Source { ssrc: 1, layer: 0 }),
            (1, TapKind::Codec { payload_type: 96, codec: Codec::H264 }),
            (1, TapKind::Codec { payload_type: 97, codec: Codec::Vp8 }),
            (2, TapKind::Source { ssrc: 2, layer: 0 }),
            (2, TapKind::Codec { payload_type: 111, codec: Codec::Opus }),
        ];
        assert_eq!(told(&mut packets, &items), []);
        packets
    }

    #[test]
    fn packets_come_in_order_with_stamps_that_do_not_wrap() {
        let mut packets = begun();
        assert!(packets.has_sound());
        let (first, third, second) =
            (rtp(96, 65_535, u32::MAX - 10, b"a"), rtp(96, 1, 20, b"c"), rtp(96, 0, 5, b"b"));
        let base = i64::from(u32::MAX - 10);
        assert_eq!(told(&mut packets, &[(1, packet(&first))]), [(b'a', base, 0)]);
        assert_eq!(told(&mut packets, &[(1, packet(&third))]), [], "one is missing");
        let both = [(b'b', base + 16, 0), (b'c', base + 31, 0)];
        assert_eq!(told(&mut packets, &[(1, packet(&second))]), both);
        let sound = rtp(111, 7, 960, b"s");
        assert_eq!(told(&mut packets, &[(2, packet(&sound))]), [(b's', 960, 0)]);
    }

    #[test]
    fn what_is_missing_is_told_with_the_next_packet_and_what_is_strange_is_left_out() {
        let mut packets = begun();
        let of_vp8 = rtp(97, 1, 0, b"v");
        let (first, third) = (rtp(96, 1, 0, b"a"), rtp(96, 3, 2, b"c"));
        let items = [(1, packet(&of_vp8)), (9, packet(&first)), (1, packet(b"\x80"))];
        assert_eq!(told(&mut packets, &items), []);
        told(&mut packets, &[(1, packet(&first)), (1, packet(&third))]);
        packets.flush();
        assert_eq!(told(&mut packets, &[]), [(b'c', 2, 1)]);
        let fourth = rtp(96, 4, 3, b"d");
        let items = [(1, TapKind::Lost(7)), (1, packet(&fourth))];
        assert_eq!(told(&mut packets, &items), [(b'd', 3, 1)]);
        assert!(!packets.has_ended());
        told(&mut packets, &[(2, TapKind::Ended)]);
        assert!(!packets.has_ended(), "only the sound has");
        told(&mut packets, &[(1, TapKind::Ended)]);
        assert!(packets.has_ended());
    }
}
