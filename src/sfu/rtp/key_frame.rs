//! Where a receiver can start decoding, codec by codec.

use super::Vp8Descriptor;
use crate::domain::media::Codec;

/// Aggregated units looked at in one packet; a packet with more holds nothing
/// that a decoder starts at among its first units anyway.
const AGGREGATED_UNITS_MAX: usize = 16;

/// Whether `payload` begins something that can be decoded without what came
/// before. Every packet of sound does.
#[must_use]
pub fn is_key_frame_start(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus => true,
        Codec::Vp8 => Vp8Descriptor::parse(payload).is_some_and(|it| it.key_frame_start),
        Codec::H264 => h264(payload),
        Codec::Vp9 => vp9(payload),
        Codec::Av1 => av1(payload),
    }
}

/// Sequence parameter sets precede an instantaneous decoder refresh; either
/// is where to start (RFC 6184 §5.2).
fn h264(payload: &[u8]) -> bool {
    const SLICE_IDR: u8 = 5;
    const PARAMETER_SET: u8 = 7;
    const STAP_A: u8 = 24;
    const FU_A: u8 = 28;
    let starts = |kind: u8| matches!(kind, SLICE_IDR | PARAMETER_SET);
    let Some((&first, mut rest)) = payload.split_first() else { return false };
    match first & 0x1F {
        STAP_A => {
            for _ in 0..AGGREGATED_UNITS_MAX {
                let Some((length, after)) = rest.split_first_chunk() else { return false };
                let length = usize::from(u16::from_be_bytes(*length));
                let Some((unit, after)) = after.split_at_checked(length) else { return false };
                if unit.first().is_some_and(|byte| starts(byte & 0x1F)) {
                    return true;
                }
                rest = after;
            }
            false
        }
        FU_A => rest.first().is_some_and(|header| header & 0x80 != 0 && starts(header & 0x1F)),
        kind => starts(kind),
    }
}

/// The beginning of a picture that refers to none, on the lowest spatial layer
/// when layers are told (RFC 9628 §4.2).
fn vp9(payload: &[u8]) -> bool {
    const PICTURE_ID: u8 = 0x80;
    const INTER_PICTURE: u8 = 0x40;
    const LAYERS: u8 = 0x20;
    const START: u8 = 0x08;
    let Some(&first) = payload.first() else { return false };
    if first & INTER_PICTURE != 0 || first & START == 0 {
        return false;
    }
    if first & LAYERS == 0 {
        return true;
    }
    let mut offset = 1;
    if first & PICTURE_ID != 0 {
        let Some(id) = payload.get(1) else { return false };
        offset += if id & 0x80 != 0 { 2 } else { 1 };
    }
    payload.get(offset).is_some_and(|layers| layers & 0x0E == 0)
}

/// A new coded video sequence (N of the aggregation header), or a sequence
/// header as the first unit (AV1 RTP payload format §4.4).
fn av1(payload: &[u8]) -> bool {
    const CONTINUES: u8 = 0x80;
    const NEW_SEQUENCE: u8 = 0x08;
    const SEQUENCE_HEADER: u8 = 1;
    let Some((&aggregation, rest)) = payload.split_first() else { return false };
    if aggregation & CONTINUES != 0 {
        return false;
    }
    if aggregation & NEW_SEQUENCE != 0 {
        return true;
    }
    // One element, W = 1, has no length before it; otherwise it is LEB128.
    let element = if (aggregation >> 4) & 3 == 1 {
        Some(rest)
    } else {
        rest.iter().position(|byte| byte & 0x80 == 0).and_then(|end| rest.get(end + 1..))
    };
    element
        .and_then(|unit| unit.first())
        .is_some_and(|header| (header >> 3) & 0x0F == SEQUENCE_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h264_starts_at_a_refresh_or_a_parameter_set() {
        let starts = |payload: &[u8]| is_key_frame_start(Codec::H264, payload);
        assert!(starts(&[0x65, 0]));
        assert!(starts(&[0x67, 0]));
        assert!(!starts(&[0x41, 0]));
        assert!(starts(&[24, 0, 1, 9, 0, 2, 0x67, 1]), "a parameter set in an aggregate");
        assert!(!starts(&[24, 0, 1, 9, 0, 9, 0x67]), "a unit that does not fit");
        assert!(starts(&[28, 0x85]), "the first fragment of a refresh");
        assert!(!starts(&[28, 0x05]), "a later fragment");
    }

    #[test]
    fn vp9_starts_at_a_picture_without_references_on_the_lowest_layer() {
        let starts = |payload: &[u8]| is_key_frame_start(Codec::Vp9, payload);
        assert!(starts(&[0x08]));
        assert!(!starts(&[0x48]), "an inter picture");
        assert!(!starts(&[0x00]), "not the beginning of a frame");
        assert!(starts(&[0xA8, 0x80, 1, 0x00]));
        assert!(!starts(&[0xA8, 0x80, 1, 0x02]), "a higher spatial layer");
    }

    #[test]
    fn av1_starts_at_a_new_sequence() {
        let starts = |payload: &[u8]| is_key_frame_start(Codec::Av1, payload);
        assert!(starts(&[0x18, 0x32]));
        assert!(starts(&[0x10, 0x0A]), "a sequence header alone");
        assert!(starts(&[0x00, 0x81, 0x01, 0x0A]), "after a length of two bytes");
        assert!(!starts(&[0x10, 0x32]));
        assert!(!starts(&[0x98, 0x0A]), "the rest of an earlier unit");
    }
}
