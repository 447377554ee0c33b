//! The decrypted payloads of the last packets of one encoding, shared by all its receivers for
//! retransmission.

use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::Vp8Descriptor;

/// Video packets kept, about two seconds at 2 Mbit/s. Raising it costs `PACKET_BYTES_MAX` per
/// packet and encoding.
const VIDEO_PACKETS: usize = 512;
/// Audio packets kept, about a second.
const AUDIO_PACKETS: usize = 64;
/// Longest payload kept; a longer one is forwarded and cannot be sent again.
pub(super) const PACKET_BYTES_MAX: usize = 1472;

/// A decrypted packet on its way from its publisher to its subscribers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'payload> {
    /// Its sequence number as its publisher counts, extended by the wraps.
    pub(super) extended: u64,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    pub(super) codec: Codec,
    /// Whether a decoder can start at this packet.
    pub(super) key_frame_start: bool,
    /// The byte of the RFC 6464 extension, when the packet had it.
    pub(super) level: Option<u8>,
    pub(super) vp8: Option<Vp8Descriptor>,
    pub(super) payload: &'payload [u8],
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    /// 0 when the entry is empty.
    extended: u64,
    length: Option<u16>,
    timestamp: u32,
    marker: bool,
    codec: Codec,
    level: Option<u8>,
    vp8: Option<Vp8Descriptor>,
}

const EMPTY: Kept = Kept {
    extended: 0,
    length: None,
    timestamp: 0,
    marker: false,
    codec: Codec::Opus,
    level: None,
    vp8: None,
};

/// A ring buffer that is allocated once; packets are copied into it.
#[derive(Debug)]
pub(super) struct Ring {
    bytes: Box<[u8]>,
    kept: Box<[Kept]>,
}

impl Ring {
    pub(super) fn new(kind: MediaKind) -> Self {
        let packets = match kind {
            MediaKind::Audio => AUDIO_PACKETS,
            MediaKind::Video => VIDEO_PACKETS,
        };
        Self {
            bytes: vec![0; packets * PACKET_BYTES_MAX].into_boxed_slice(),
            kept: vec![EMPTY; packets].into_boxed_slice(),
        }
    }

    /// Number of packets that it holds.
    pub(super) fn capacity(&self) -> u64 {
        self.kept.len() as u64
    }

    fn place(&self, extended: u64) -> usize {
        // Lossless: the remainder is smaller than the length, which is a `usize`.
        usize::try_from(extended % self.capacity()).unwrap_or(0)
    }

    /// Whether this packet came already, or was overwritten by a later one.
    pub(super) fn seen(&self, extended: u64) -> bool {
        self.kept[self.place(extended)].extended >= extended
    }

    pub(super) fn store(&mut self, packet: &Packet<'_>) {
        let place = self.place(packet.extended);
        let start = place * PACKET_BYTES_MAX;
        let room = self.bytes.get_mut(start..start + packet.payload.len());
        let length = match (room, u16::try_from(packet.payload.len())) {
            (Some(room), Ok(length)) if packet.payload.len() <= PACKET_BYTES_MAX => {
                room.copy_from_slice(packet.payload);
                Some(length)
            }
            _ => None,
        };
        self.kept[place] = Kept {
            extended: packet.extended,
            length,
            timestamp: packet.timestamp,
            marker: packet.marker,
            codec: packet.codec,
            level: packet.level,
            vp8: packet.vp8,
        };
    }

    pub(super) fn packet(&self, extended: u64) -> Option<Packet<'_>> {
        let place = self.place(extended);
        let kept = &self.kept[place];
        if extended == 0 || kept.extended != extended {
            return None;
        }
        let start = place * PACKET_BYTES_MAX;
        let payload = self.bytes.get(start..start + usize::from(kept.length?))?;
        Some(Packet {
            extended,
            timestamp: kept.timestamp,
            marker: kept.marker,
            codec: kept.codec,
            key_frame_start: false,
            level: kept.level,
            vp8: kept.vp8,
            payload,
        })
    }

    /// Removes all packets, so that none of them is ever sent again.
    pub(super) fn clear(&mut self) {
        self.kept.fill(EMPTY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(extended: u64, payload: &[u8]) -> Packet<'_> {
        Packet {
            extended,
            timestamp: 7,
            marker: true,
            codec: Codec::Vp8,
            key_frame_start: false,
            level: None,
            vp8: None,
            payload,
        }
    }

    #[test]
    fn the_last_packets_are_kept_and_older_ones_give_way() {
        let mut ring = Ring::new(MediaKind::Audio);
        let last = 1000 + ring.capacity();
        for extended in 1000..=last {
            ring.store(&packet(extended, &extended.to_be_bytes()));
        }
        assert!(ring.packet(1000).is_none());
        assert!(ring.seen(1000), "a later packet has overwritten it");
        let kept = ring.packet(1001).expect("the oldest kept");
        assert_eq!(kept.payload, 1001_u64.to_be_bytes());
        assert!(!ring.seen(last + 1));
        ring.clear();
        assert!(ring.packet(last).is_none());
    }

    #[test]
    fn what_is_too_long_is_seen_but_not_kept() {
        let mut ring = Ring::new(MediaKind::Audio);
        ring.store(&packet(70_000, &[1; PACKET_BYTES_MAX + 1]));
        assert!(ring.seen(70_000));
        assert!(ring.packet(70_000).is_none());
    }
}
