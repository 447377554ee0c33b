//! VP9 (RFC 9628). The layers with one RTP timestamp become one superframe, the form in which files
//! and decoders take them (VP9 bitstream, annex B).

use bytes::Bytes;

use super::{Setup, Unit};
use crate::formats::bits::Bits;

/// Most frames that a superframe index can list.
const SUPERFRAME_MAX: usize = 8;

/// The frame in these payloads; `None` when a part is missing.
pub(super) fn unit(payloads: &[Bytes]) -> Option<Unit> {
    let mut layers: Vec<Vec<u8>> = Vec::new();
    let mut open = false;
    for payload in payloads {
        let (descriptor, body) = Descriptor::split(payload)?;
        if descriptor.begins == open {
            return None;
        }
        if descriptor.begins {
            layers.push(Vec::new());
        }
        layers.last_mut()?.extend_from_slice(body);
        open = !descriptor.ends;
    }
    if open || layers.len() > SUPERFRAME_MAX {
        return None;
    }
    let setup = key_frame(layers.first()?).map(|(profile, first_size)| {
        // The size of the largest layer is the size of the picture.
        let size = layers.iter().filter_map(|layer| Some(key_frame(layer)?.1)).max();
        Setup { size: size.unwrap_or(first_size), private: vec![profile], ..Setup::default() }
    });
    Some(Unit { key: setup.is_some(), data: superframe(layers), setup })
}

#[derive(Debug, Clone, Copy)]
struct Descriptor {
    begins: bool,
    ends: bool,
}

impl Descriptor {
    /// Parses the descriptor; returns it and the bytes after it (§4.2).
    fn split(payload: &[u8]) -> Option<(Self, &[u8])> {
        let (&first, mut rest) = payload.split_first()?;
        let has = |bit: u8| first & bit != 0;
        let (picture_id, predicted, layers, flexible) =
            (has(0x80), has(0x40), has(0x20), has(0x10));
        if picture_id {
            let wide = rest.first()? & 0x80 != 0;
            rest = rest.get(if wide { 2.. } else { 1.. })?;
        }
        if layers {
            rest = rest.get(if flexible { 1.. } else { 2.. })?;
        }
        if flexible && predicted {
            // Up to three references, each of which says whether another follows.
            for _ in 0..3 {
                let (&reference, after) = rest.split_first()?;
                rest = after;
                if reference & 1 == 0 {
                    break;
                }
            }
        }
        if has(0x02) {
            rest = skip_scalability(rest)?;
        }
        Some((Self { begins: has(0x08), ends: has(0x04) }, rest))
    }
}

/// Skips the scalability structure; returns the bytes after it (§4.2.1).
fn skip_scalability(bytes: &[u8]) -> Option<&[u8]> {
    let (&first, mut rest) = bytes.split_first()?;
    if first & 0x10 != 0 {
        rest = rest.get(4 * (usize::from(first >> 5) + 1)..)?;
    }
    if first & 0x08 != 0 {
        let (&pictures, after) = rest.split_first()?;
        rest = after;
        for _ in 0..pictures {
            let (&picture, after) = rest.split_first()?;
            rest = after.get(usize::from(picture >> 2 & 3)..)?;
        }
    }
    Some(rest)
}

fn superframe(mut layers: Vec<Vec<u8>>) -> Vec<u8> {
    if layers.len() == 1 {
        return layers.pop().unwrap_or_default();
    }
    // Three bits hold the number of frames minus one, two bits the bytes per size minus one.
    let marker = 0xC0 | 3 << 3 | u8::try_from(layers.len() - 1).unwrap_or(7);
    let mut index = vec![marker];
    for layer in &layers {
        let size = u32::try_from(layer.len()).unwrap_or(u32::MAX);
        index.extend(size.to_le_bytes());
    }
    index.push(marker);
    let mut data = layers.concat();
    data.extend(index);
    data
}

/// Width and height, when a key frame begins in this payload: of its lowest layer.
pub(super) fn picture_size(payload: &[u8]) -> Option<(u32, u32)> {
    let (descriptor, frame) = Descriptor::split(payload)?;
    key_frame(frame).filter(|_| descriptor.begins).map(|(_, size)| size)
}

/// Profile and size of a key frame (VP9 bitstream §6.2 and §7.2).
fn key_frame(frame: &[u8]) -> Option<(u8, (u32, u32))> {
    let mut bits = Bits::new(frame);
    if bits.number(2)? != 2 {
        return None;
    }
    let low = u8::from(bits.bit()?);
    let profile = u8::from(bits.bit()?) << 1 | low;
    if profile == 3 {
        bits.bit()?;
    }
    let (shows_existing, is_inter) = (bits.bit()?, bits.bit()?);
    if shows_existing || is_inter {
        return None;
    }
    bits.number(2)?;
    if bits.number(24)? != 0x0049_8342 {
        return None;
    }
    if profile >= 2 {
        bits.bit()?;
    }
    let is_rgb = bits.number(3)? == 7;
    if !is_rgb {
        bits.bit()?;
    }
    if profile == 1 || profile == 3 {
        bits.number(if is_rgb { 1 } else { 3 })?;
    }
    let width = bits.number(16)? + 1;
    let height = bits.number(16)? + 1;
    Some((profile, (width, height)))
}

/// Whether a payload begins a picture that refers to no other, on the lowest spatial layer when the
/// descriptor has layer indices (RFC 9628 §4.2).
pub(super) fn is_key_frame_start(payload: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = &[0x82, 0x49, 0x83, 0x42, 0x00, 0x27, 0xF0, 0x1D, 0xF0, 0x00];

    fn payload(descriptor: &[u8], body: &[u8]) -> Bytes {
        Bytes::from([descriptor, body].concat())
    }

    #[test]
    fn a_key_frame_says_its_size() {
        assert_eq!(key_frame(KEY), Some((0, (640, 480))));
        assert_eq!(key_frame(&[0x86, 0, 0, 0]), None);
    }

    #[test]
    fn descriptors_with_all_they_can_hold_are_left_out() {
        // Picture id, layers, flexible, two references; scalability structure.
        let long = [0xFE, 0x85, 0x01, 0x02, 0x03, 0x04, 0x18, 2, 128, 1, 224, 1, 0x04, 9];
        let unit = unit(&[payload(&long, KEY)]).expect("whole");
        assert_eq!((unit.key, unit.data), (true, KEY.to_vec()));
    }

    #[test]
    fn layers_become_a_superframe() {
        let payloads = [payload(&[0x08], KEY), payload(&[0x04], b"ab"), payload(&[0x0C], b"xyz")];
        let unit = unit(&payloads).expect("whole");
        let size = u8::try_from(KEY.len() + 2).expect("short");
        let index = [0xD9, size, 0, 0, 0, 3, 0, 0, 0, 0xD9];
        assert_eq!(unit.data, [KEY, b"abxyz", &index].concat());
    }

    #[test]
    fn a_layer_without_beginning_or_end_is_no_frame() {
        assert!(unit(&[payload(&[0x04], KEY)]).is_none());
        assert!(unit(&[payload(&[0x08], KEY)]).is_none());
        assert!(unit(&[payload(&[0x08], KEY), payload(&[0x08], KEY)]).is_none());
    }

    #[test]
    fn vp9_starts_at_a_picture_without_references_on_the_lowest_layer() {
        let starts = is_key_frame_start;
        assert!(starts(&[0x08]));
        assert!(!starts(&[0x48]), "an inter picture");
        assert!(!starts(&[0x00]), "not the beginning of a frame");
        assert!(starts(&[0xA8, 0x80, 1, 0x00]));
        assert!(!starts(&[0xA8, 0x80, 1, 0x02]), "a higher spatial layer");
    }
}
