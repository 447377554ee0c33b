//! The header extensions of a stream, laid out once; per packet only the values that differ are
//! written.

use crate::domain::media::MediaKind;
use crate::formats::rtp::{ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use crate::sfu::plane::ExtensionIds;

/// Space for a `mid` of 32 bytes and the two numbers, in the one-byte or two-byte form.
const BLOCK_BYTES_MAX: usize = 64;
/// Longest `mid` written; a longer one is left out, since the SSRC identifies the section too.
const MID_BYTES_MAX: usize = 32;
/// Highest identifier, and longest value, of the one-byte form.
const ONE_BYTE_ID_MAX: u8 = 14;
const ONE_BYTE_VALUE_MAX: usize = 16;

/// A header extension block with places for the values that differ between packets.
#[derive(Debug, Clone)]
pub(super) struct Template {
    bytes: [u8; BLOCK_BYTES_MAX],
    length: usize,
    transport_sequence_at: Option<usize>,
    /// Offsets at which the element of the audio level and its value begin.
    level_at: Option<(usize, usize)>,
}

impl Template {
    /// `numbered` says whether packets carry transport-wide sequence numbers.
    pub(super) fn new(mid: &str, ids: ExtensionIds, kind: MediaKind, numbered: bool) -> Self {
        let mid = mid.as_bytes();
        let mid_id = ids.mid.filter(|id| *id > 0 && (1..=MID_BYTES_MAX).contains(&mid.len()));
        let transport_cc = ids.transport_cc.filter(|id| *id > 0 && numbered);
        let level = ids.audio_level.filter(|id| *id > 0 && kind == MediaKind::Audio);
        let two_byte =
            [mid_id, transport_cc, level].iter().flatten().any(|&id| id > ONE_BYTE_ID_MAX)
                || (mid_id.is_some() && mid.len() > ONE_BYTE_VALUE_MAX);
        let mut block = Block { bytes: [0; BLOCK_BYTES_MAX], length: 4, two_byte };
        if let Some(id) = mid_id {
            block.push(id, mid);
        }
        let transport_sequence_at = transport_cc.map(|id| block.push(id, &[0, 0]));
        let level_at = level.map(|id| (block.length, block.push(id, &[0])));
        let Block { mut bytes, length, .. } = block;
        if length == 4 {
            return Self { bytes, length: 0, transport_sequence_at, level_at };
        }
        let length = length.next_multiple_of(4);
        let profile = if two_byte { TWO_BYTE_PROFILE } else { ONE_BYTE_PROFILE };
        bytes[..2].copy_from_slice(&profile.to_be_bytes());
        let words = u16::try_from(length / 4 - 1).unwrap_or(0);
        bytes[2..4].copy_from_slice(&words.to_be_bytes());
        Self { bytes, length, transport_sequence_at, level_at }
    }

    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Whether writing the same packet twice gives the same bytes.
    pub(super) const fn repeats_exactly(&self) -> bool {
        self.transport_sequence_at.is_none()
    }

    /// Appends the block for one packet. Without a level, its element becomes padding.
    pub(super) fn write(&self, out: &mut Vec<u8>, transport_sequence: u16, level: Option<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes[..self.length]);
        let block = &mut out[start..];
        if let Some(at) = self.transport_sequence_at {
            block[at..at + 2].copy_from_slice(&transport_sequence.to_be_bytes());
        }
        match (self.level_at, level) {
            (Some((_, value)), Some(level)) => block[value] = level,
            (Some((element, value)), None) => block[element..=value].fill(0),
            (None, _) => {}
        }
    }
}

struct Block {
    bytes: [u8; BLOCK_BYTES_MAX],
    length: usize,
    two_byte: bool,
}

impl Block {
    /// Appends an element; returns the offset of its value.
    fn push(&mut self, id: u8, value: &[u8]) -> usize {
        let length = u8::try_from(value.len()).unwrap_or(0);
        if self.two_byte {
            self.bytes[self.length] = id;
            self.bytes[self.length + 1] = length;
            self.length += 2;
        } else {
            self.bytes[self.length] = id << 4 | (length - 1);
            self.length += 1;
        }
        let at = self.length;
        self.bytes[at..at + value.len()].copy_from_slice(value);
        self.length += value.len();
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::rtp::Header;

    fn written(template: &Template, level: Option<u8>) -> Vec<(u8, Vec<u8>)> {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        template.write(&mut packet, 0x0102, level);
        let header = Header::parse(&packet).expect("well formed");
        assert_eq!(header.length, packet.len());
        header.extensions(&packet).map(|(id, value)| (id, value.to_vec())).collect()
    }

    #[test]
    fn elements_read_back_in_either_form() {
        for (mid_id, mid) in [(1, "0"), (1, "a-long-section-name"), (20, "0")] {
            let ids = ExtensionIds {
                mid: Some(mid_id),
                transport_cc: Some(3),
                audio_level: Some(2),
                ..ExtensionIds::default()
            };
            let template = Template::new(mid, ids, MediaKind::Audio, true);
            let numbers = (3, vec![1, 2]);
            let name = (mid_id, mid.as_bytes().to_vec());
            let all = [name.clone(), numbers.clone(), (2, vec![0x85])];
            assert_eq!(written(&template, Some(0x85)), all);
            assert_eq!(written(&template, None), [name, numbers]);
        }
    }

    #[test]
    fn nothing_negotiated_is_no_block() {
        let template = Template::new("0", ExtensionIds::default(), MediaKind::Video, true);
        assert_eq!(template.len(), 0);
    }
}
