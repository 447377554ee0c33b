//! VP8 (RFC 7741).

use bytes::Bytes;

use super::{Setup, Unit};

/// The frame in these payloads; `None` when its beginning is missing.
pub(super) fn unit(payloads: &[Bytes]) -> Option<Unit> {
    let mut data = Vec::new();
    for (place, payload) in payloads.iter().enumerate() {
        let (starts, body) = split(payload)?;
        if starts != (place == 0) {
            return None;
        }
        data.extend_from_slice(body);
    }
    let setup = key_frame_size(&data).map(|size| Setup { size, ..Setup::default() });
    Some(Unit { key: setup.is_some(), data, setup })
}

/// Whether a frame starts in this payload, and the bytes after the descriptor (§4.2).
fn split(payload: &[u8]) -> Option<(bool, &[u8])> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x80 != 0 {
        let (&extensions, after) = rest.split_first()?;
        rest = after;
        if extensions & 0x80 != 0 {
            let wide = rest.first()? & 0x80 != 0;
            rest = rest.get(if wide { 2.. } else { 1.. })?;
        }
        if extensions & 0x40 != 0 {
            rest = rest.get(1..)?;
        }
        if extensions & 0x30 != 0 {
            rest = rest.get(1..)?;
        }
    }
    // The S bit is set and the partition index is 0.
    Some((first & 0x17 == 0x10, rest))
}

/// Width and height, when a key frame begins in this payload.
pub(super) fn picture_size(payload: &[u8]) -> Option<(u32, u32)> {
    let (starts, frame) = split(payload)?;
    key_frame_size(frame).filter(|_| starts)
}

/// Width and height of a key frame (RFC 6386 §9.1).
fn key_frame_size(frame: &[u8]) -> Option<(u32, u32)> {
    let head: &[u8; 10] = frame.first_chunk()?;
    let is_key = head[0] & 1 == 0 && head[3..6] == [0x9D, 0x01, 0x2A];
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    is_key.then(|| (side(head[6], head[7]), side(head[8], head[9])))
}

/// Offsets of the numbers in a payload descriptor that a receiver expects to be continuous.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Whether the packet begins a key frame.
    pub key_frame_start: bool,
    picture_id: Option<PictureId>,
    tl0_picture_index: Option<(u8, u8)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PictureId {
    offset: u8,
    long: bool,
    value: u16,
}

impl Vp8Descriptor {
    /// Parses the descriptor at the beginning of `payload`.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut descriptor = Self::default();
        let mut offset: u8 = 1;
        if first & 0x80 != 0 {
            let fields = *payload.get(1)?;
            offset = 2;
            if fields & 0x80 != 0 {
                let high = *payload.get(2)?;
                let long = high & 0x80 != 0;
                let value = if long {
                    u16::from_be_bytes([high & 0x7F, *payload.get(3)?])
                } else {
                    u16::from(high)
                };
                descriptor.picture_id = Some(PictureId { offset, long, value });
                offset += if long { 2 } else { 1 };
            }
            if fields & 0x40 != 0 {
                descriptor.tl0_picture_index = Some((offset, *payload.get(usize::from(offset))?));
                offset += 1;
            }
            if fields & 0x30 != 0 {
                offset += 1;
            }
        }
        // The start of the first partition, and the inverse key frame bit of the frame header (RFC
        // 6386 §9.1).
        let header = payload.get(usize::from(offset));
        descriptor.key_frame_start =
            first & 0x17 == 0x10 && header.is_some_and(|byte| byte & 1 == 0);
        Some(descriptor)
    }

    /// The picture id, 7 or 15 bits wide.
    #[must_use]
    pub fn picture_id(&self) -> Option<u16> {
        self.picture_id.map(|id| id.value)
    }

    /// The index of base-layer pictures (TL0PICIDX).
    #[must_use]
    pub fn tl0_picture_index(&self) -> Option<u8> {
        self.tl0_picture_index.map(|(_, value)| value)
    }

    /// Adds to both numbers in `payload`, a copy of the payload that was parsed.
    pub fn shift(&self, payload: &mut [u8], picture_id: u16, tl0_picture_index: u8) {
        if let Some(id) = self.picture_id {
            let value = id.value.wrapping_add(picture_id);
            let [high, low] = value.to_be_bytes();
            let offset = usize::from(id.offset);
            if id.long {
                if let Some(bytes) = payload.get_mut(offset..offset + 2) {
                    bytes.copy_from_slice(&[high | 0x80, low]);
                }
            } else if let Some(byte) = payload.get_mut(offset) {
                *byte = low & 0x7F;
            }
        }
        if let Some((offset, value)) = self.tl0_picture_index
            && let Some(byte) = payload.get_mut(usize::from(offset))
        {
            *byte = value.wrapping_add(tl0_picture_index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_of_all_lengths_are_left_out() {
        let frame = [0, 0, 0, 0x9D, 1, 0x2A, 0x40, 0x01, 0xF0, 0x40];
        let descriptors: [&[u8]; 4] =
            [&[0x10], &[0x90, 0x80, 0x05], &[0x90, 0x80, 0x85, 0x01], &[0x90, 0xF0, 5, 6, 7]];
        for descriptor in descriptors {
            let first = Bytes::from([descriptor, &frame].concat());
            let second = Bytes::from_static(&[0x00, 7, 8]);
            let unit = unit(&[first, second]).expect("whole");
            assert!(unit.key);
            assert_eq!(unit.setup.expect("says its size").size, (320, 240));
            assert_eq!(unit.data, [&frame[..], &[7, 8]].concat());
        }
        assert!(unit(&[Bytes::from_static(&[0x00, 7, 8])]).is_none());
    }

    /// X and S set; I, L and T present, long picture id 0x1234, index 9.
    const LONG: [u8; 7] = [0x90, 0xE0, 0x92, 0x34, 9, 0x20, 0x00];

    #[test]
    fn a_long_descriptor_is_read_and_shifted() {
        let descriptor = Vp8Descriptor::parse(&LONG).expect("well formed");
        assert!(descriptor.key_frame_start);
        assert_eq!(descriptor.picture_id(), Some(0x1234));
        assert_eq!(descriptor.tl0_picture_index(), Some(9));
        let mut copy = LONG;
        descriptor.shift(&mut copy, 0x7FFF, 255);
        assert_eq!(copy, [0x90, 0xE0, 0x92, 0x33, 8, 0x20, 0x00]);
    }

    #[test]
    fn a_short_picture_id_wraps_at_seven_bits() {
        let payload = [0x90, 0x80, 0x7F, 0x01];
        let descriptor = Vp8Descriptor::parse(&payload).expect("well formed");
        assert!(!descriptor.key_frame_start);
        let mut copy = payload;
        descriptor.shift(&mut copy, 1, 0);
        assert_eq!(copy[2], 0);
    }

    #[test]
    fn only_the_first_packet_of_a_key_frame_starts_it() {
        let start = |payload: &[u8]| Vp8Descriptor::parse(payload).map(|d| d.key_frame_start);
        assert_eq!(start(&[0x10, 0x00]), Some(true));
        assert_eq!(start(&[0x10, 0x01]), Some(false), "an inter frame");
        assert_eq!(start(&[0x00, 0x00]), Some(false), "the middle of a frame");
        assert_eq!(start(&[0x11, 0x00]), Some(false), "the start of another partition");
        assert_eq!(start(&[0x80]), None);
    }
}
