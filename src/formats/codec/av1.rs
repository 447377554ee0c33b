//! AV1 (RTP payload format for AV1, version 1.0). A file holds temporal units whose OBUs contain
//! their size, without temporal delimiters.

use bytes::Bytes;

use super::{Setup, Unit};
use crate::formats::bits::Bits;

const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// The sequence header that applies now.
#[derive(Debug, Default)]
pub(super) struct State {
    sequence: Option<(Vec<u8>, Sequence)>,
}

/// The fields of a sequence header that a file needs (AV1 §5.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a bit field")]
struct Sequence {
    profile: u8,
    still: bool,
    level: u8,
    tier: bool,
    high_bitdepth: bool,
    twelve_bit: bool,
    monochrome: bool,
    subsampling: (bool, bool),
    position: u8,
    size: (u32, u32),
}

impl State {
    /// The temporal unit in these payloads; `None` when a part is missing.
    pub(super) fn unit(&mut self, payloads: &[Bytes]) -> Option<Unit> {
        let mut data = Vec::new();
        let mut key = None;
        let mut has_sequence = false;
        for obu in obus(payloads)? {
            let (header, body) = split(&obu)?;
            let kind = header[0] >> 3 & 0x0F;
            match kind {
                TEMPORAL_DELIMITER | TILE_LIST | PADDING => continue,
                SEQUENCE_HEADER => {
                    let sequence = Sequence::parse(body)?;
                    let mut whole = Vec::new();
                    push(&mut whole, header, body);
                    self.sequence = Some((whole, sequence));
                    has_sequence = true;
                }
                FRAME | FRAME_HEADER if key.is_none() => {
                    let still = self.sequence.as_ref().is_some_and(|(_, seq)| seq.still);
                    key = Some(is_key_frame(body, still));
                }
                _ => {}
            }
            push(&mut data, header, body);
        }
        let key = has_sequence && key == Some(true);
        let setup = match (&self.sequence, key) {
            (Some((whole, sequence)), true) => Some(Setup {
                size: sequence.size,
                private: sequence.configuration(whole),
                ..Setup::default()
            }),
            _ => None,
        };
        Some(Unit { key, data, setup })
    }
}

/// Joins the OBU elements of packets into OBUs (§4.3 to §4.5).
fn obus(payloads: &[Bytes]) -> Option<Vec<Vec<u8>>> {
    let mut obus: Vec<Vec<u8>> = Vec::new();
    let mut continued = false;
    for payload in payloads {
        let (&aggregation, mut rest) = payload.split_first()?;
        let (joins_last, goes_on) = (aggregation & 0x80 != 0, aggregation & 0x40 != 0);
        if joins_last != continued {
            return None;
        }
        let count = usize::from(aggregation >> 4 & 3);
        let mut place = 0;
        while !rest.is_empty() {
            place += 1;
            // When the packet states the number of elements, the last one has no length.
            let element = if count != 0 && place == count {
                std::mem::take(&mut rest)
            } else {
                let (length, after) = leb128(rest)?;
                let (element, after) = after.split_at_checked(length)?;
                rest = after;
                element
            };
            if place == 1 && joins_last {
                obus.last_mut()?.extend_from_slice(element);
            } else {
                obus.push(element.to_vec());
            }
        }
        if count != 0 && place != count {
            return None;
        }
        continued = goes_on;
    }
    obus.retain(|obu| !obu.is_empty());
    (!continued).then_some(obus)
}

/// Splits an OBU, whose size field is optional, into header and body.
fn split(obu: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = *obu.first()?;
    let header_bytes = if first & 0x04 == 0 { 1 } else { 2 };
    let (header, mut body) = obu.split_at_checked(header_bytes)?;
    if first & 0x02 != 0 {
        let (length, after) = leb128(body)?;
        body = after.get(..length)?;
    }
    Some((header, body))
}

fn push(data: &mut Vec<u8>, header: &[u8], body: &[u8]) {
    let start = data.len();
    data.extend_from_slice(header);
    if let Some(first) = data.get_mut(start) {
        *first |= 0x02;
    }
    let mut length = body.len();
    while length > 0x7F {
        data.push(0x80 | low_bits(length));
        length >>= 7;
    }
    data.push(low_bits(length));
    data.extend_from_slice(body);
}

fn low_bits(number: usize) -> u8 {
    number.to_le_bytes()[0] & 0x7F
}

fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0_usize;
    for (place, &byte) in bytes.iter().enumerate().take(4) {
        number |= usize::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place + 1..)?));
        }
    }
    None
}

/// Whether a frame header begins a key frame that is shown (AV1 §5.9.2).
fn is_key_frame(body: &[u8], still: bool) -> bool {
    let Some(&first) = body.first() else { return false };
    // The bits are show_existing_frame, two bits of frame_type, show_frame.
    still || first & 0xF0 == 0x10
}

impl Sequence {
    fn parse(body: &[u8]) -> Option<Self> {
        let mut bits = Bits::new(body);
        let [profile, ..] = bits.number(3)?.to_le_bytes();
        bits.bit()?;
        let still = bits.bit()?;
        let (level, tier) =
            if still { (bits.number(5)?, false) } else { Self::operating_points(&mut bits)? };
        let (width_bits, height_bits) = (bits.number(4)? + 1, bits.number(4)? + 1);
        let size = (bits.number(width_bits)? + 1, bits.number(height_bits)? + 1);
        if !still && bits.bit()? {
            bits.number(7)?;
        }
        bits.number(3)?;
        if !still {
            Self::skip_tools(&mut bits)?;
        }
        bits.number(3)?;
        let [level, ..] = level.to_le_bytes();
        Self::colours(&mut bits, profile, still, level, tier, size)
    }

    /// Reads level and tier of the first operating point, and skips the others.
    fn operating_points(bits: &mut Bits<'_>) -> Option<(u32, bool)> {
        let mut has_decoder_model = false;
        let mut delay_bits = 0;
        if bits.bit()? {
            bits.number(32)?;
            bits.number(32)?;
            if bits.bit()? {
                bits.golomb()?;
            }
            has_decoder_model = bits.bit()?;
            if has_decoder_model {
                delay_bits = bits.number(5)? + 1;
                bits.number(32)?;
                bits.number(10)?;
            }
        }
        let has_display_delay = bits.bit()?;
        let points = bits.number(5)? + 1;
        let mut first = None;
        for _ in 0..points {
            bits.number(12)?;
            let level = bits.number(5)?;
            let tier = level > 7 && bits.bit()?;
            if has_decoder_model && bits.bit()? {
                bits.number(delay_bits)?;
                bits.number(delay_bits)?;
                bits.bit()?;
            }
            if has_display_delay && bits.bit()? {
                bits.number(4)?;
            }
            first.get_or_insert((level, tier));
        }
        first
    }

    fn skip_tools(bits: &mut Bits<'_>) -> Option<()> {
        bits.number(4)?;
        let order_hint = bits.bit()?;
        if order_hint {
            bits.number(2)?;
        }
        // Screen content tools: chosen per frame, or set for all frames.
        let screen_content = bits.bit()? || bits.bit()?;
        if screen_content && !bits.bit()? {
            bits.bit()?;
        }
        if order_hint {
            bits.number(3)?;
        }
        Some(())
    }

    fn colours(
        bits: &mut Bits<'_>,
        profile: u8,
        still: bool,
        level: u8,
        tier: bool,
        size: (u32, u32),
    ) -> Option<Self> {
        let high_bitdepth = bits.bit()?;
        let twelve_bit = profile == 2 && high_bitdepth && bits.bit()?;
        let monochrome = profile != 1 && bits.bit()?;
        let described = if bits.bit()? { bits.number(24)? } else { 0 };
        let mut subsampling = (true, true);
        let mut position = 0;
        if monochrome {
            bits.bit()?;
        } else if described == 0x01_0D_00 {
            subsampling = (false, false);
        } else {
            bits.bit()?;
            subsampling = match profile {
                0 => (true, true),
                1 => (false, false),
                _ if twelve_bit => {
                    let across = bits.bit()?;
                    (across, across && bits.bit()?)
                }
                _ => (true, false),
            };
            if subsampling == (true, true) {
                [position, ..] = bits.number(2)?.to_le_bytes();
            }
        }
        Some(Self {
            profile,
            still,
            level,
            tier,
            high_bitdepth,
            twelve_bit,
            monochrome,
            subsampling,
            position,
            size,
        })
    }

    /// The `av1C` record (AV1 in ISOBMFF §2.3.3).
    fn configuration(&self, sequence_obu: &[u8]) -> Vec<u8> {
        let flag = |value: bool, place: u8| u8::from(value) << place;
        let mut record = vec![
            0x81,
            self.profile << 5 | self.level,
            flag(self.tier, 7)
                | flag(self.high_bitdepth, 6)
                | flag(self.twelve_bit, 5)
                | flag(self.monochrome, 4)
                | flag(self.subsampling.0, 3)
                | flag(self.subsampling.1, 2)
                | self.position,
            0,
        ];
        record.extend_from_slice(sequence_obu);
        record
    }
}

/// Whether a payload begins a new coded video sequence (N of the aggregation header), or has a
/// sequence header as its first unit (AV1 RTP payload format §4.4).
pub(super) fn is_key_frame_start(payload: &[u8]) -> bool {
    const CONTINUES: u8 = 0x80;
    const NEW_SEQUENCE: u8 = 0x08;
    let Some((&aggregation, rest)) = payload.split_first() else { return false };
    if aggregation & CONTINUES != 0 {
        return false;
    }
    if aggregation & NEW_SEQUENCE != 0 {
        return true;
    }
    // A single element (W = 1) has no length before it; otherwise the length is LEB128.
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
    fn elements_join_across_packets_and_get_their_sizes() {
        // W = 2: a delimiter with a length, then the first half of a frame.
        let first = Bytes::from_static(&[0x60, 1, 0x10, 0x30, 0xA0, 1]);
        let second = Bytes::from_static(&[0x90, 2, 3]);
        let unit = State::default().unit(&[first.clone(), second.clone()]).expect("whole");
        assert_eq!(unit.data, [0x32, 4, 0xA0, 1, 2, 3]);
        assert!(!unit.key);
        assert!(State::default().unit(&[first]).is_none());
        assert!(State::default().unit(&[second]).is_none());
    }

    #[test]
    fn an_obu_that_says_its_size_already_keeps_one() {
        let payload = Bytes::from_static(&[0x10, 0x32, 2, 0xA0, 1]);
        let unit = State::default().unit(&[payload]).expect("whole");
        assert_eq!(unit.data, [0x32, 2, 0xA0, 1]);
    }

    #[test]
    fn av1_starts_at_a_new_sequence() {
        let starts = is_key_frame_start;
        assert!(starts(&[0x18, 0x32]));
        assert!(starts(&[0x10, 0x0A]), "a sequence header alone");
        assert!(starts(&[0x00, 0x81, 0x01, 0x0A]), "after a length of two bytes");
        assert!(!starts(&[0x10, 0x32]));
        assert!(!starts(&[0x98, 0x0A]), "the rest of an earlier unit");
    }
}
