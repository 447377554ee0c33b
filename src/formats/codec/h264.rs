//! H.264 (RFC 6184): single NAL units, STAP-A and FU-A, as browsers send them. A file holds each
//! NAL unit after its length in four bytes, and the parameter sets with each key frame.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{PARAMETER_SETS_MAX, SET_BYTES_MAX, Setup, Unit, push_unit, without_emulation};
use crate::formats::bits::Bits;

const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;
const DELIMITER: u8 = 9;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;
/// NAL units of one aggregation packet that are examined for a key frame; a key frame begins among
/// the first ones.
const AGGREGATED_UNITS_MAX: usize = 16;
/// The parameter sets that apply now, by their number.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    sps: BTreeMap<u32, Vec<u8>>,
    pps: BTreeMap<u32, Vec<u8>>,
}

impl Parameters {
    /// The picture in these payloads, empty when they contain only parameter sets; `None` when a
    /// part is missing.
    pub(super) fn unit(&mut self, payloads: &[Bytes]) -> Option<Unit> {
        let units = nal_units(payloads)?;
        for unit in &units {
            self.learn(unit);
        }
        let is_slice = |unit: &&Vec<u8>| matches!(kind(unit), 1..=IDR);
        let Some(first) = units.iter().find(is_slice) else {
            return Some(Unit { key: false, data: Vec::new(), setup: None });
        };
        // The first slice of a picture has first_mb_in_slice 0, whose code is one bit.
        if first.get(1)? & 0x80 == 0 {
            return None;
        }
        let key = kind(first) == IDR;
        let mut data = Vec::new();
        let setup = if key { Some(self.setup()?) } else { None };
        if let Some(setup) = &setup {
            for set in setup.sps.iter().chain(&setup.pps) {
                push_unit(&mut data, set);
            }
        }
        for unit in &units {
            // Some cameras send the sets of the next key frame with the time of the picture before it.
            if !matches!(kind(unit), DELIMITER | SPS | PPS) {
                push_unit(&mut data, unit);
            }
        }
        Some(Unit { key, data, setup })
    }

    fn learn(&mut self, unit: &[u8]) {
        let (sets, number) = match kind(unit) {
            SPS => (&mut self.sps, sps_number(unit)),
            PPS => (&mut self.pps, unit.get(1..).and_then(|body| Bits::new(body).golomb())),
            _ => return,
        };
        let Some(number) = number.filter(|_| unit.len() <= SET_BYTES_MAX) else { return };
        if sets.len() < PARAMETER_SETS_MAX || sets.contains_key(&number) {
            sets.insert(number, unit.to_vec());
        }
    }

    fn setup(&self) -> Option<Setup> {
        let sps: Vec<_> = self.sps.values().cloned().collect();
        let pps: Vec<_> = self.pps.values().cloned().collect();
        let size = picture_size(sps.first()?)?;
        (!pps.is_empty()).then_some(Setup { size, sps, pps, ..Setup::default() })
    }
}

fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(0, |first| first & 0x1F)
}

/// Extracts the NAL units of these payloads (§5.6 to §5.8).
fn nal_units(payloads: &[Bytes]) -> Option<Vec<Vec<u8>>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut fragmented = false;
    for payload in payloads {
        let (&first, body) = payload.split_first()?;
        if fragmented && first & 0x1F != FU_A {
            return None;
        }
        match first & 0x1F {
            1..=23 => units.push(payload.to_vec()),
            STAP_A => {
                let mut rest = body;
                while !rest.is_empty() {
                    let (length, after) = rest.split_first_chunk()?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    let (unit, after) = after.split_at_checked(length)?;
                    if !unit.is_empty() {
                        units.push(unit.to_vec());
                    }
                    rest = after;
                }
            }
            FU_A => {
                let (&header, part) = body.split_first()?;
                let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
                if starts == fragmented {
                    return None;
                }
                if starts {
                    units.push(vec![first & 0xE0 | header & 0x1F]);
                }
                units.last_mut()?.extend_from_slice(part);
                fragmented = !ends;
            }
            _ => return None,
        }
    }
    (!fragmented).then_some(units)
}

/// Width and height in the sequence parameter set of this payload, if it has one.
pub(super) fn picture_size_in(payload: &[u8]) -> Option<(u32, u32)> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x1F != STAP_A {
        return picture_size(payload).filter(|_| kind(payload) == SPS);
    }
    for _ in 0..AGGREGATED_UNITS_MAX {
        let (length, after) = rest.split_first_chunk()?;
        let (unit, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        if kind(unit) == SPS {
            return picture_size(unit);
        }
        rest = after;
    }
    None
}

fn sps_number(unit: &[u8]) -> Option<u32> {
    Bits::new(unit.get(4..)?).golomb()
}

/// Width and height in pixels (H.264 §7.3.2.1.1).
fn picture_size(sps: &[u8]) -> Option<(u32, u32)> {
    let body = without_emulation(sps.get(1..)?);
    let profile = *body.first()?;
    let mut bits = Bits::new(body.get(3..)?);
    bits.golomb()?;
    let mut chroma = 1;
    if matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135) {
        chroma = bits.golomb()?;
        if chroma == 3 {
            bits.bit()?;
        }
        bits.golomb()?;
        bits.golomb()?;
        bits.bit()?;
        if bits.bit()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.bit()? {
                    skip_scaling_list(&mut bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    bits.golomb()?;
    match bits.golomb()? {
        0 => {
            bits.golomb()?;
        }
        1 => {
            bits.bit()?;
            bits.signed_golomb()?;
            bits.signed_golomb()?;
            for _ in 0..bits.golomb()?.min(255) {
                bits.signed_golomb()?;
            }
        }
        _ => {}
    }
    bits.golomb()?;
    bits.bit()?;
    let width = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let map_units = bits.golomb()?.checked_add(1)?.checked_mul(16)?;
    let frame_only = bits.bit()?;
    if !frame_only {
        bits.bit()?;
    }
    let height = map_units.checked_mul(if frame_only { 1 } else { 2 })?;
    bits.bit()?;
    let (mut crop_x, mut crop_y) = (0_u32, 0_u32);
    if bits.bit()? {
        let (left, right) = (bits.golomb()?, bits.golomb()?);
        let (top, bottom) = (bits.golomb()?, bits.golomb()?);
        let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
        let unit_y = if chroma == 1 { 2 } else { 1 } * if frame_only { 1 } else { 2 };
        crop_x = left.checked_add(right)?.checked_mul(unit_x)?;
        crop_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
    }
    let size = (width.checked_sub(crop_x)?, height.checked_sub(crop_y)?);
    ((1..=16_384).contains(&size.0) && (1..=16_384).contains(&size.1)).then_some(size)
}

fn skip_scaling_list(bits: &mut Bits<'_>, entries: u32) -> Option<()> {
    let (mut last, mut next) = (8_i32, 8_i32);
    for _ in 0..entries {
        if next != 0 {
            next = last.checked_add(bits.signed_golomb()?)?.checked_add(256)? % 256;
        }
        last = if next == 0 { last } else { next };
    }
    Some(())
}

/// Whether a decoder can start at this payload: it has a sequence parameter set, which precedes an
/// instantaneous decoder refresh, or the refresh itself (RFC 6184 §5.2).
pub(super) fn is_key_frame_start(payload: &[u8]) -> bool {
    let starts = |kind: u8| matches!(kind, IDR | SPS);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a 1280×720 High stream.
    const SPS_720: &[u8] = &[
        103, 100, 0, 31, 172, 217, 128, 80, 5, 187, 1, 106, 2, 2, 2, 128, 0, 0, 3, 0, 128, 0, 0,
        30, 7, 140, 24, 205,
    ];
    const PPS_1: &[u8] = &[104, 233, 123, 44, 139];

    #[test]
    fn the_size_is_read_from_the_parameter_set_wherever_it_is() {
        assert_eq!(picture_size_in(SPS_720), Some((1280, 720)));
        assert_eq!(picture_size_in(&stap(&[&[9, 16], SPS_720, PPS_1])), Some((1280, 720)));
        assert_eq!(picture_size_in(&stap(&[PPS_1])), None);
        assert_eq!(picture_size_in(PPS_1), None);
    }

    fn stap(units: &[&[u8]]) -> Bytes {
        let mut payload = vec![STAP_A];
        for unit in units {
            payload.extend(u16::try_from(unit.len()).expect("short").to_be_bytes());
            payload.extend_from_slice(unit);
        }
        Bytes::from(payload)
    }

    #[test]
    fn parameter_sets_go_before_every_key_frame() {
        let mut parameters = Parameters::default();
        // There are no parameter sets yet, so nothing can be decoded.
        assert!(parameters.unit(&[Bytes::from_static(&[0x65, 0x88, 1])]).is_none());
        let sets = parameters.unit(&[stap(&[SPS_720, PPS_1])]).expect("whole");
        assert!(sets.data.is_empty());
        let unit = parameters.unit(&[Bytes::from_static(&[0x65, 0x88, 1])]).expect("whole");
        let setup = unit.setup.expect("a key frame");
        assert_eq!(setup.size, (1280, 720));
        let mut wanted = Vec::new();
        push_unit(&mut wanted, SPS_720);
        push_unit(&mut wanted, PPS_1);
        push_unit(&mut wanted, &[0x65, 0x88, 1]);
        assert_eq!(unit.data, wanted);
    }

    #[test]
    fn fragments_join_and_missing_ones_are_told() {
        let mut parameters = Parameters::default();
        let fragments: Vec<Bytes> = [[0x7C, 0x81, 0x88], [0x7C, 0x01, 2], [0x7C, 0x41, 3]]
            .iter()
            .map(|part| Bytes::copy_from_slice(part))
            .collect();
        let unit = parameters.unit(&fragments).expect("whole");
        assert_eq!(unit.data, [0, 0, 0, 4, 0x61, 0x88, 2, 3]);
        assert!(!unit.key);
        assert!(parameters.unit(&fragments[..2]).is_none());
        assert!(parameters.unit(&fragments[1..]).is_none());
        // Not the first slice of its picture.
        assert!(parameters.unit(&[Bytes::from_static(&[0x61, 0x40])]).is_none());
    }

    #[test]
    fn a_lying_length_is_no_picture() {
        let mut parameters = Parameters::default();
        assert!(parameters.unit(&[Bytes::from_static(&[STAP_A, 0, 9, 1])]).is_none());
    }

    #[test]
    fn h264_starts_at_a_refresh_or_a_parameter_set() {
        let starts = is_key_frame_start;
        assert!(starts(&[0x65, 0]));
        assert!(starts(&[0x67, 0]));
        assert!(!starts(&[0x41, 0]));
        assert!(starts(&[24, 0, 1, 9, 0, 2, 0x67, 1]), "a parameter set in an aggregate");
        assert!(!starts(&[24, 0, 1, 9, 0, 9, 0x67]), "a unit that does not fit");
        assert!(starts(&[28, 0x85]), "the first fragment of a refresh");
        assert!(!starts(&[28, 0x05]), "a later fragment");
    }

    #[test]
    fn a_parameter_set_that_is_too_large_is_not_kept() {
        let mut parameters = Parameters::default();
        parameters.unit(&[Bytes::from([PPS_1, &[1; SET_BYTES_MAX]].concat())]);
        assert!(parameters.pps.is_empty());
    }
}
