//! H.265 (RFC 7798): single NAL units, aggregation packets and fragmentation units, as cameras send
//! them. A file holds each NAL unit after its length in four bytes; the parameter sets are in its
//! header only, as players of `hvc1` expect.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{PARAMETER_SETS_MAX, SET_BYTES_MAX, Setup, Unit, push_unit, without_emulation};
use crate::formats::bits::Bits;

const VPS: u8 = 32;
const SPS: u8 = 33;
const PPS: u8 = 34;
const DELIMITER: u8 = 35;
const FILLER: u8 = 38;
const AGGREGATE: u8 = 48;
const FRAGMENT: u8 = 49;
/// Bytes of the header of a NAL unit.
const HEADER_BYTES: usize = 2;
/// Largest width and height that are believed.
const SIDE_MAX: u32 = 16_384;

/// The parameter sets that apply now, by their number.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    vps: BTreeMap<u32, Vec<u8>>,
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
        let Some(first) = units.iter().find(|unit| is_slice(kind(unit))) else {
            return Some(Unit { key: false, data: Vec::new(), setup: None });
        };
        // `first_slice_segment_in_pic_flag` (§7.3.6.1).
        if first.get(HEADER_BYTES)? & 0x80 == 0 {
            return None;
        }
        let key = is_key(kind(first));
        let setup = if key { Some(self.setup()?) } else { None };
        let mut data = Vec::new();
        for unit in &units {
            if !matches!(kind(unit), VPS | SPS | PPS | DELIMITER | FILLER) {
                push_unit(&mut data, unit);
            }
        }
        Some(Unit { key, data, setup })
    }

    fn learn(&mut self, unit: &[u8]) {
        let body = |unit: &[u8]| unit.get(HEADER_BYTES..).map(without_emulation);
        let (sets, number) = match kind(unit) {
            VPS => (&mut self.vps, body(unit).and_then(|body| Bits::new(&body).number(4))),
            SPS => (&mut self.sps, SequenceSet::read(unit).map(|set| set.number)),
            PPS => (&mut self.pps, body(unit).and_then(|body| Bits::new(&body).golomb())),
            _ => return,
        };
        let Some(number) = number.filter(|_| unit.len() <= SET_BYTES_MAX) else { return };
        if sets.len() < PARAMETER_SETS_MAX || sets.contains_key(&number) {
            sets.insert(number, unit.to_vec());
        }
    }

    fn setup(&self) -> Option<Setup> {
        let [vps, sps, pps] = [&self.vps, &self.sps, &self.pps]
            .map(|sets| sets.values().cloned().collect::<Vec<_>>());
        let size = SequenceSet::read(sps.first()?)?.size;
        (!vps.is_empty() && !pps.is_empty()).then_some(Setup {
            size,
            vps,
            sps,
            pps,
            private: Vec::new(),
        })
    }
}

/// What the header of a file tells of a sequence parameter set (§7.3.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceSet {
    number: u32,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// `general_profile_space`, 0 to 3.
    pub space: u8,
    /// `general_tier_flag`.
    pub is_high_tier: bool,
    /// `general_profile_idc`.
    pub profile: u8,
    /// `general_profile_compatibility_flag`s, the first one in the highest bit.
    pub compatibility: [u8; 4],
    /// The flags of constraints after them.
    pub constraints: [u8; 6],
    /// `general_level_idc`.
    pub level: u8,
    /// `chroma_format_idc`.
    pub chroma: u8,
    /// `bit_depth_luma_minus8`.
    pub luma_depth_minus8: u8,
    /// `bit_depth_chroma_minus8`.
    pub chroma_depth_minus8: u8,
    /// How many temporal layers there are.
    pub layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub is_nested: bool,
}

impl SequenceSet {
    /// Reads a NAL unit; `None` when it is no such set.
    #[must_use]
    pub fn read(unit: &[u8]) -> Option<Self> {
        if kind(unit) != SPS || unit.len() > SET_BYTES_MAX {
            return None;
        }
        let body = without_emulation(unit.get(HEADER_BYTES..)?);
        let mut bits = Bits::new(&body);
        bits.number(4)?;
        let sub_layers = bits.number(3)?;
        let is_nested = bits.bit()?;
        let general = General::read(&mut bits)?;
        skip_sub_layers(&mut bits, sub_layers)?;
        let number = bits.golomb()?;
        let chroma = bits.golomb()?;
        if chroma == 3 {
            bits.bit()?;
        }
        let (width, height) = (bits.golomb()?, bits.golomb()?);
        let (mut cut_x, mut cut_y) = (0_u32, 0_u32);
        if bits.bit()? {
            let (left, right) = (bits.golomb()?, bits.golomb()?);
            let (top, bottom) = (bits.golomb()?, bits.golomb()?);
            let unit_x = if matches!(chroma, 1 | 2) { 2 } else { 1 };
            let unit_y = if chroma == 1 { 2 } else { 1 };
            cut_x = left.checked_add(right)?.checked_mul(unit_x)?;
            cut_y = top.checked_add(bottom)?.checked_mul(unit_y)?;
        }
        let (luma, chroma_depth) = (bits.golomb()?, bits.golomb()?);
        let size = (width.checked_sub(cut_x)?, height.checked_sub(cut_y)?);
        let sides = 1..=SIDE_MAX;
        let is_sound = sides.contains(&size.0)
            && sides.contains(&size.1)
            && chroma <= 3
            && luma <= 8
            && chroma_depth <= 8
            && number < 16;
        is_sound.then_some(())?;
        Some(Self {
            number,
            size,
            space: general.space,
            is_high_tier: general.is_high_tier,
            profile: general.profile,
            compatibility: general.compatibility,
            constraints: general.constraints,
            level: general.level,
            chroma: u8::try_from(chroma).ok()?,
            luma_depth_minus8: u8::try_from(luma).ok()?,
            chroma_depth_minus8: u8::try_from(chroma_depth).ok()?,
            layers: u8::try_from(sub_layers).ok()? + 1,
            is_nested,
        })
    }

    /// The codec string (ISO/IEC 14496-15 annex E).
    #[must_use]
    pub fn codecs(&self) -> String {
        let space = ["", "A", "B", "C"].get(usize::from(self.space)).copied().unwrap_or_default();
        let compatibility = u32::from_be_bytes(self.compatibility).reverse_bits();
        let tier = if self.is_high_tier { 'H' } else { 'L' };
        let base = format!("hvc1.{space}{}.{compatibility:X}.{tier}{}", self.profile, self.level);
        let told = self.constraints.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let constraints = self.constraints.iter().take(told).map(|byte| format!("{byte:X}"));
        std::iter::once(base).chain(constraints).collect::<Vec<_>>().join(".")
    }
}

/// The general part of `profile_tier_level` (§7.3.3).
struct General {
    space: u8,
    is_high_tier: bool,
    profile: u8,
    compatibility: [u8; 4],
    constraints: [u8; 6],
    level: u8,
}

impl General {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let space = u8::try_from(bits.number(2)?).ok()?;
        let is_high_tier = bits.bit()?;
        let profile = u8::try_from(bits.number(5)?).ok()?;
        let compatibility = bits.number(32)?.to_be_bytes();
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = u8::try_from(bits.number(8)?).ok()?;
        }
        let level = u8::try_from(bits.number(8)?).ok()?;
        Some(Self { space, is_high_tier, profile, compatibility, constraints, level })
    }
}

/// Passes over what `profile_tier_level` says of each temporal layer but the last.
fn skip_sub_layers(bits: &mut Bits<'_>, sub_layers: u32) -> Option<()> {
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.bit()?, bits.bit()?));
    }
    if sub_layers > 0 {
        bits.number(2 * (8 - sub_layers))?;
    }
    for (has_profile, has_level) in present {
        if has_profile {
            for _ in 0..11 {
                bits.number(8)?;
            }
        }
        if has_level {
            bits.number(8)?;
        }
    }
    Some(())
}

/// The type of a NAL unit; one that can't be for an empty one.
fn kind(unit: &[u8]) -> u8 {
    unit.first().map_or(u8::MAX, |first| first >> 1 & 0x3F)
}

const fn is_slice(kind: u8) -> bool {
    kind < VPS
}

/// Whether a picture of this type can be decoded without others: the types of intra random access
/// points (table 7-1).
const fn is_key(kind: u8) -> bool {
    matches!(kind, 16..=23)
}

/// Whether a payload has the beginning of a picture.
pub(super) fn begins_picture(payload: &[u8]) -> bool {
    let begins =
        |kind: u8, slice: Option<&u8>| is_slice(kind) && slice.is_some_and(|it| it & 0x80 != 0);
    let Some(mut rest) = payload.get(HEADER_BYTES..) else { return false };
    match kind(payload) {
        AGGREGATE => {
            while let Some((length, after)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_be_bytes(*length));
                let Some((unit, after)) = after.split_at_checked(length) else { return false };
                if begins(kind(unit), unit.get(HEADER_BYTES)) {
                    return true;
                }
                rest = after;
            }
            false
        }
        FRAGMENT => rest
            .first()
            .is_some_and(|header| header & 0x80 != 0 && begins(header & 0x3F, rest.get(1))),
        kind => begins(kind, rest.first()),
    }
}

/// Whether this is a parameter set.
pub(super) fn is_set(unit: &[u8]) -> bool {
    matches!(kind(unit), VPS | SPS | PPS)
}

/// Extracts the NAL units of these payloads (§4.4).
fn nal_units(payloads: &[Bytes]) -> Option<Vec<Vec<u8>>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut fragmented = false;
    for payload in payloads {
        let (&[first, second], body) = payload.split_first_chunk()?;
        let kind = kind(payload);
        if fragmented && kind != FRAGMENT {
            return None;
        }
        match kind {
            AGGREGATE => {
                let mut rest = body;
                while !rest.is_empty() {
                    let (length, after) = rest.split_first_chunk()?;
                    let length = usize::from(u16::from_be_bytes(*length));
                    let (unit, after) = after.split_at_checked(length)?;
                    if unit.len() > HEADER_BYTES {
                        units.push(unit.to_vec());
                    }
                    rest = after;
                }
            }
            FRAGMENT => {
                let (&header, part) = body.split_first()?;
                let (starts, ends) = (header & 0x80 != 0, header & 0x40 != 0);
                if starts == fragmented {
                    return None;
                }
                if starts {
                    units.push(vec![first & 0x81 | (header & 0x3F) << 1, second]);
                }
                units.last_mut()?.extend_from_slice(part);
                fragmented = !ends;
            }
            0..AGGREGATE => units.push(payload.to_vec()),
            _ => return None,
        }
    }
    (!fragmented).then_some(units)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::codec::Depacketiser;
    use crate::formats::order::{InOrder, Ordered};

    /// Parameter sets of x265 for 320 × 180 pictures of the main profile.
    const VPS_1: &[u8] =
        &[64, 1, 12, 1, 255, 255, 1, 96, 0, 0, 3, 0, 144, 0, 0, 3, 0, 0, 3, 0, 60, 149, 148, 9];
    const SPS_1: &[u8] = &[
        66, 1, 1, 1, 96, 0, 0, 3, 0, 144, 0, 0, 3, 0, 0, 3, 0, 60, 160, 10, 8, 12, 31, 62, 89, 89,
        82, 147, 11, 192, 90, 2, 0, 0, 3, 0, 2, 0, 0, 3, 0, 30, 16,
    ];
    const PPS_1: &[u8] = &[68, 1, 192, 115, 193, 137];
    /// The beginnings of a key picture, of its second slice, and of another picture.
    const KEY: &[u8] = &[40, 1, 172, 100];
    const KEY_MORE: &[u8] = &[40, 1, 44, 100];
    const DELTA: &[u8] = &[2, 1, 208, 33];

    fn run(packets: &[(i64, &[u8])]) -> Vec<(bool, Vec<u8>, Option<Setup>)> {
        let mut depacketiser = Depacketiser::hevc();
        for (ticks, payload) in packets {
            let payload = Bytes::copy_from_slice(payload);
            depacketiser.handle(InOrder::Packet(Ordered { ticks: *ticks, marker: true, payload }));
        }
        depacketiser.finish();
        depacketiser.poll().into_iter().map(|it| (it.key, it.data, it.setup)).collect()
    }

    #[test]
    fn a_sequence_set_tells_size_profile_and_codec() {
        let set = SequenceSet::read(SPS_1).expect("a set");
        assert_eq!((set.size, set.chroma, set.luma_depth_minus8), ((320, 180), 1, 0));
        assert_eq!(set.codecs(), "hvc1.1.6.L60.90");
        for end in 0..20 {
            assert_eq!(SequenceSet::read(&SPS_1[..end]), None, "{end} bytes");
        }
        assert_eq!(SequenceSet::read(VPS_1), None);
    }

    #[test]
    fn pictures_are_put_together_and_their_sets_are_apart_from_them() {
        let aggregate = [&[96, 1, 0, 24][..], VPS_1, &[0, 43], SPS_1, &[0, 6], PPS_1].concat();
        let first = [&[98, 1, 0x80 | 0x14][..], &KEY[2..]].concat();
        let last = [&[98, 1, 0x40 | 0x14][..], &[7, 8]].concat();
        let pictures = run(&[
            (0, &aggregate),
            (0, &first),
            (0, &last),
            (0, KEY_MORE),
            (1, DELTA),
            // Another kind of packet, which nobody sends: the picture is torn.
            (2, &[100, 1, 0]),
            (3, DELTA),
        ]);
        assert_eq!(pictures.len(), 2, "{pictures:?}");
        let (key, data, setup) = &pictures[0];
        let wanted = [&[0, 0, 0, 6][..], KEY, &[7, 8], &[0, 0, 0, 4], KEY_MORE].concat();
        assert_eq!((*key, data), (true, &wanted));
        let setup = setup.as_ref().expect("a setup");
        assert_eq!(setup.size, (320, 180));
        let sets = (&setup.vps[0][..], &setup.sps[0][..], &setup.pps[0][..]);
        assert_eq!(sets, (VPS_1, SPS_1, PPS_1));
        assert!(!pictures[1].0);
    }

    #[test]
    fn without_sets_or_a_first_slice_there_is_no_picture() {
        assert!(run(&[(0, KEY)]).is_empty());
        assert!(run(&[(0, VPS_1), (0, SPS_1), (0, KEY)]).is_empty());
        assert!(run(&[(0, VPS_1), (0, SPS_1), (0, PPS_1), (0, KEY_MORE)]).is_empty());
        assert_eq!(run(&[(0, VPS_1), (0, SPS_1), (0, PPS_1), (0, KEY)]).len(), 1);
    }

    #[test]
    fn a_picture_begins_with_its_first_slice() {
        assert!(begins_picture(KEY) && begins_picture(DELTA) && !begins_picture(KEY_MORE));
        assert!(!begins_picture(SPS_1) && !begins_picture(&[]) && !begins_picture(&[98, 1]));
        assert!(begins_picture(&[98, 1, 0x80 | 0x14, 172]) && !begins_picture(&[98, 1, 20, 172]));
        let aggregate = [&[96, 1, 0, 6][..], PPS_1, &[0, 4], KEY].concat();
        assert!(begins_picture(&aggregate) && !begins_picture(&aggregate[..12]));
    }

    proptest! {
        #[test]
        fn no_packet_of_h265_panics(
            payloads in prop::collection::vec((0_i64..4, prop::collection::vec(any::<u8>(), 0..80)), 0..24),
        ) {
            let packets: Vec<(i64, &[u8])> =
                payloads.iter().map(|(ticks, payload)| (*ticks, payload.as_slice())).collect();
            for (_, data, _) in run(&packets) {
                prop_assert!(!data.is_empty());
            }
            for (_, payload) in packets {
                std::hint::black_box(begins_picture(payload));
                std::hint::black_box(SequenceSet::read(&[SPS_1, payload].concat()));
            }
        }
    }
}
