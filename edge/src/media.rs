//! Media of the box: pictures and packets of sound with their times, groups of pictures, and the
//! container in which they are kept and sent later (`application/vnd.cabildo.late`).

use bytes::Bytes;

const MAGIC: &[u8] = b"CBLM\x01";
/// Ticks of a second.
pub(crate) const PICTURE_HZ: i64 = 90_000;
/// Ticks of a second.
pub(crate) const SOUND_HZ: i64 = 48_000;
/// A NAL unit that others of the same picture follow, the last one, and a packet of sound.
const UNIT: u8 = 1;
const LAST_UNIT: u8 = 2;
const SOUND: u8 = 3;
/// Bytes of a record before its data.
const RECORD_HEAD: usize = 9;

/// What a camera made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// A picture in H.264.
    Picture {
        /// When, in microseconds since 1970 by the box's clock.
        at_us: i64,
        /// Whether it can be decoded without others.
        key: bool,
        /// Its NAL units; with a key picture the parameter sets come first.
        units: Vec<Bytes>,
    },
    /// A packet of Opus.
    Sound {
        /// When, likewise.
        at_us: i64,
        /// The packet.
        data: Bytes,
    },
}

impl Made {
    /// When it was made.
    #[must_use]
    pub(crate) const fn at_us(&self) -> i64 {
        match self {
            Self::Picture { at_us, .. } | Self::Sound { at_us, .. } => *at_us,
        }
    }

    /// Bytes of its media.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Picture { units, .. } => units.iter().map(|it| it.len() + RECORD_HEAD).sum(),
            Self::Sound { data, .. } => data.len() + RECORD_HEAD,
        }
    }

    /// Whether it is a key picture.
    #[must_use]
    pub(crate) const fn is_key(&self) -> bool {
        matches!(self, Self::Picture { key: true, .. })
    }
}

/// Pictures from one key picture to the next, with their sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// What it is made of, which is not empty.
    pub(crate) made: Vec<Made>,
    /// When the next one begins, in microseconds since 1970 by the box's clock.
    pub(crate) ends_us: i64,
}

impl Group {
    /// When it begins.
    #[must_use]
    pub(crate) fn begins_us(&self) -> i64 {
        self.made.first().map_or(self.ends_us, Made::at_us)
    }

    /// Bytes of its media.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.made.iter().map(Made::bytes).sum()
    }
}

/// Makes groups of what comes.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    made: Vec<Made>,
    bytes: usize,
}

/// A group that has more bytes ends without a key picture. Raising it lets containers of one group
/// become larger than servers take.
pub(crate) const GROUP_BYTES_MAX: usize = 3 << 20;

impl Grouping {
    /// What comes next; the group that ends with it.
    pub(crate) fn handle(&mut self, made: Made) -> Option<Group> {
        let at_us = made.at_us();
        let is_full = self.bytes + made.bytes() > GROUP_BYTES_MAX;
        let ended = if made.is_key() || is_full { self.take(at_us) } else { None };
        // What comes before the first key picture can't be shown.
        if !self.made.is_empty() || made.is_key() {
            self.bytes += made.bytes();
            self.made.push(made);
        }
        ended
    }

    /// The group that has not ended, which ends with what came last.
    pub(crate) fn finish(&mut self) -> Option<Group> {
        let last = self.made.last()?.at_us();
        self.take(last)
    }

    /// What the group that has not ended is made of.
    #[must_use]
    pub(crate) fn growing(&self) -> &[Made] {
        &self.made
    }

    fn take(&mut self, ends_us: i64) -> Option<Group> {
        self.bytes = 0;
        let made = std::mem::take(&mut self.made);
        (!made.is_empty()).then_some(Group { made, ends_us })
    }
}

/// A group, or several, as they are kept and sent.
#[must_use]
pub(crate) fn container(group: &Group) -> Vec<u8> {
    let base_us = group.made.iter().map(Made::at_us).min().unwrap_or(group.ends_us);
    let mut bytes = Vec::with_capacity(MAGIC.len() + 8 + group.bytes());
    bytes.extend(MAGIC);
    bytes.extend(base_us.to_be_bytes());
    let mut push = |kind: u8, at_us: i64, hz: i64, data: &[u8]| {
        let ticks = ticks(at_us - base_us, hz);
        bytes.push(kind);
        bytes.extend(u32::try_from(ticks).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend(data);
    };
    for made in &group.made {
        match made {
            Made::Picture { at_us, units, .. } => {
                for (number, unit) in units.iter().enumerate() {
                    let kind = if number + 1 == units.len() { LAST_UNIT } else { UNIT };
                    push(kind, *at_us, PICTURE_HZ, unit);
                }
            }
            Made::Sound { at_us, data } => push(SOUND, *at_us, SOUND_HZ, data),
        }
    }
    bytes
}

/// So many microseconds in ticks, rounded.
#[must_use]
pub(crate) fn ticks(us: i64, hz: i64) -> i64 {
    let scaled = i128::from(us) * i128::from(hz);
    let half = if scaled < 0 { -500_000 } else { 500_000 };
    i64::try_from((scaled + half) / 1_000_000).unwrap_or(i64::MAX)
}

/// A container, as far as it has to be understood to be joined with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The time to which its stamps refer.
    pub(crate) base_us: i64,
    /// Its records.
    records: Vec<u8>,
}

impl Kept {
    /// Reads a container; nothing when it is none, or is cut off.
    #[must_use]
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (base, records) = rest.split_first_chunk()?;
        let mut rest = records;
        while !rest.is_empty() {
            rest = record(rest)?.rest;
        }
        Some(Self { base_us: i64::from_be_bytes(*base), records: records.to_vec() })
    }

    /// These, which follow each other, as one container.
    #[must_use]
    pub(crate) fn joined(all: &[Self]) -> Vec<u8> {
        let base_us = all.first().map_or(0, |it| it.base_us);
        let mut bytes = MAGIC.to_vec();
        bytes.extend(base_us.to_be_bytes());
        for kept in all {
            let later_us = kept.base_us - base_us;
            let mut rest = kept.records.as_slice();
            while let Some(found) = record(rest) {
                let hz = if found.kind == SOUND { SOUND_HZ } else { PICTURE_HZ };
                let stamp = i64::from(found.stamp).saturating_add(ticks(later_us, hz));
                bytes.push(found.kind);
                bytes.extend(u32::try_from(stamp).unwrap_or(u32::MAX).to_be_bytes());
                bytes.extend(found.length.to_be_bytes());
                bytes.extend(found.data);
                rest = found.rest;
            }
        }
        bytes
    }
}

struct Record<'bytes> {
    kind: u8,
    stamp: u32,
    length: u32,
    data: &'bytes [u8],
    rest: &'bytes [u8],
}

fn record(bytes: &[u8]) -> Option<Record<'_>> {
    let (&kind, rest) = bytes.split_first()?;
    let (stamp, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (stamp, length) = (u32::from_be_bytes(*stamp), u32::from_be_bytes(*length));
    let (data, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some(Record { kind, stamp, length, data, rest })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// When the pictures of a container were made, to 11 microseconds.
    pub(crate) fn pictures_us(container: &[u8]) -> Vec<i64> {
        let kept = Kept::read(container).expect("a container");
        let (mut rest, mut found) = (kept.records.as_slice(), Vec::new());
        while let Some(next) = record(rest) {
            if next.kind == LAST_UNIT {
                found.push(kept.base_us + i64::from(next.stamp) * 1_000_000 / PICTURE_HZ);
            }
            rest = next.rest;
        }
        found
    }

    /// A picture, and a packet of sound with it.
    pub(crate) fn picture(at_us: i64, key: bool) -> [Made; 2] {
        let units = if key {
            vec![Bytes::from_static(&[0x67, 1]), Bytes::from_static(&[0x65])]
        } else {
            vec![Bytes::from_static(&[0x61])]
        };
        [Made::Picture { at_us, key, units }, Made::Sound { at_us, data: Bytes::from_static(&[7]) }]
    }

    /// A group of two seconds that begins then.
    pub(crate) fn group(begins_us: i64) -> Group {
        let made = (0..50).flat_map(|it| picture(begins_us + it * 40_000, it == 0)).collect();
        Group { made, ends_us: begins_us + 2_000_000 }
    }

    #[test]
    fn groups_begin_with_key_pictures_and_end_where_the_next_one_begins() {
        let mut grouping = Grouping::default();
        let mut groups = Vec::new();
        for number in 0..130 {
            for made in picture(number * 40_000, number % 50 == 10) {
                groups.extend(grouping.handle(made));
            }
        }
        let spans: Vec<_> = groups.iter().map(|it| (it.begins_us(), it.ends_us)).collect();
        assert_eq!(spans, [(400_000, 2_400_000), (2_400_000, 4_400_000)]);
        assert_eq!(grouping.growing().len(), 2 * 20);
        let rest = grouping.finish().expect("pictures are left");
        assert_eq!((rest.begins_us(), rest.ends_us), (4_400_000, 129 * 40_000));
        assert_eq!(grouping.finish(), None);
    }

    #[test]
    fn a_group_has_an_end_although_no_key_picture_comes() {
        let mut grouping = Grouping::default();
        let large =
            |at_us, key| Made::Picture { at_us, key, units: vec![Bytes::from(vec![0; 1 << 20])] };
        assert_eq!(grouping.handle(large(0, true)), None);
        assert_eq!(grouping.handle(large(1, false)), None);
        let ended = grouping.handle(large(2, false)).expect("it is full");
        assert_eq!(ended.made.len(), 2);
    }

    #[test]
    fn containers_that_are_joined_have_the_times_of_each() {
        let (first, second) = (group(1_700_000_000_000_000), group(1_700_000_002_000_000));
        let kept: Vec<Kept> = [&first, &second]
            .map(|group| Kept::read(&container(group)).expect("well formed"))
            .into();
        let both = Group { made: [first.made, second.made].concat(), ends_us: 0 };
        assert_eq!(Kept::joined(&kept), container(&both));
        let whole = container(&both);
        assert_eq!(Kept::read(&whole[..whole.len() - 1]), None, "it is cut off");
        assert_eq!(Kept::read(b"CBLM\x02"), None);
    }

    #[test]
    fn ticks_are_rounded() {
        assert_eq!((ticks(33_333, PICTURE_HZ), ticks(20_000, SOUND_HZ)), (3_000, 960));
        assert_eq!(ticks(-40_000, PICTURE_HZ), -3_600);
    }
}
