//! VP8 (RFC 7741).

use bytes::Bytes;

use super::{Setup, Unit};

/// The frame of these payloads; `None` when it lacks its beginning.
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

/// Whether a frame starts here, and what follows the descriptor (§4.2).
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
    // S is set and the partition is the first.
    Some((first & 0x17 == 0x10, rest))
}

/// Width and height of a key frame (RFC 6386 §9.1).
fn key_frame_size(frame: &[u8]) -> Option<(u32, u32)> {
    let head: &[u8; 10] = frame.first_chunk()?;
    let is_key = head[0] & 1 == 0 && head[3..6] == [0x9D, 0x01, 0x2A];
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3FFF);
    is_key.then(|| (side(head[6], head[7]), side(head[8], head[9])))
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
}
