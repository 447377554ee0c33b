//! Media that a device could not send when it was made, and sends later: a small container, and the
//! segments that are made of it by what makes those of a device that sends at once.
//!
//! The container is `CBLM`, a byte 1, the time to which its stamps refer in microseconds since 1970 by
//! the device's clock (8 bytes), and records: a kind (1 byte), a stamp (4 bytes), the length of what
//! follows (4 bytes) and so many bytes. Numbers are big-endian. Kinds are 1: a NAL unit of H.264 that
//! others of the same picture follow; 2: the last one of a picture; 3: a packet of Opus. Stamps count
//! 90,000 a second for pictures and 48,000 for sound.

use bytes::Bytes;

use crate::cameras::engine::pictures::{Pictures, VideoPacket};
use crate::cameras::engine::segments::{Segment, Segments};
use crate::cameras::engine::sound::SoundFormat;
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::domain::camera::CameraCodec;
use crate::domain::time::Timestamp;

const MAGIC: &[u8] = b"CBLM\x01";
/// Bytes of a container. Raising it lets a device use more memory for each request.
pub const BYTES_MAX: usize = 4 << 20;
/// Records of a container: two minutes of pictures with several units each, and sound. Raising it
/// lets tiny records use more memory.
const RECORDS_MAX: usize = 50_000;
/// The last stamp, in seconds. Raising it makes more segments of one container.
const SECONDS_MAX: i64 = 120;
/// The last microsecond of the year 9999.
const BASE_US_MAX: i64 = 253_402_300_799_999_999;
const SOUND_TICKS_PER_S: i64 = 48_000;
/// A delimiter (H.264 §7.3.2.4): the picture before it is whole.
const DELIMITER: &[u8] = &[0x09, 0xF0];

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Record {
    /// A NAL unit.
    Unit { stamp: i64, ends: bool, data: Bytes },
    /// A packet of sound.
    Sound { stamp: i64, data: Bytes },
}

/// What is wrong with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LateInvalid {
    /// It does not begin as one.
    #[error("expected CBLM, version 1, and a time from 1970 to 9999")]
    Head,
    /// A record is cut off.
    #[error("a record is cut off")]
    Cut,
    /// A record is of no kind that is known, empty, or too late, or there are too many.
    #[error("a record is empty, of no known kind, too late, or one too many")]
    Record,
    /// There is no picture in it.
    #[error("there is no picture in it")]
    Empty,
}

/// What a container holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    base: Timestamp,
    records: Vec<Record>,
}

impl Late {
    /// Reads a container.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(container: &Bytes) -> Result<Self, LateInvalid> {
        let rest = container.strip_prefix(MAGIC).ok_or(LateInvalid::Head)?;
        let (base, mut rest) = rest.split_first_chunk().ok_or(LateInvalid::Head)?;
        let base_us = i64::from_be_bytes(*base);
        if !(0..=BASE_US_MAX).contains(&base_us) {
            return Err(LateInvalid::Head);
        }
        let mut records = Vec::new();
        while let Some((&kind, after)) = rest.split_first() {
            let (stamp, after) = after.split_first_chunk().ok_or(LateInvalid::Cut)?;
            let (length, after) = after.split_first_chunk().ok_or(LateInvalid::Cut)?;
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            let (data, after) = after.split_at_checked(length).ok_or(LateInvalid::Cut)?;
            rest = after;
            let stamp = i64::from(u32::from_be_bytes(*stamp));
            let per_s = if kind == 3 { SOUND_TICKS_PER_S } else { TICKS_PER_S };
            if data.is_empty() || stamp > SECONDS_MAX * per_s || records.len() == RECORDS_MAX {
                return Err(LateInvalid::Record);
            }
            let data = container.slice_ref(data);
            records.push(match kind {
                1 | 2 => Record::Unit { stamp, ends: kind == 2, data },
                3 => Record::Sound { stamp, data },
                _ => return Err(LateInvalid::Record),
            });
        }
        if !records.iter().any(|it| matches!(it, Record::Unit { .. })) {
            return Err(LateInvalid::Empty);
        }
        Ok(Self { base: Timestamp::from_unix_us(base_us), records })
    }

    /// When it begins and when it ends, by the device's clock.
    #[must_use]
    pub fn span(&self) -> (Timestamp, Timestamp) {
        let us = self.records.iter().map(Record::us);
        let (first, last) =
            us.fold((i64::MAX, 0), |(first, last), us| (first.min(us), last.max(us)));
        (self.at(first, 0), self.at(last, 0))
    }

    fn at(&self, us: i64, ahead_us: i64) -> Timestamp {
        let us = self.base.unix_us().saturating_add(us).saturating_add(ahead_us);
        Timestamp::from_unix_us(us)
    }

    /// Its segments with the headers that they need, which last at most so long; `ahead_us` is how
    /// far the clock of their times is ahead of the device's.
    #[must_use]
    pub fn segments(self, target_s: u64, ahead_us: i64) -> Vec<(Segment, Bytes)> {
        let mut pictures = Pictures::default();
        pictures.handle_new_source(CameraCodec::H264, Vec::new());
        let mut segments = Segments::with_target(String::new(), 0, target_s);
        let has_sound = self.records.iter().any(|it| matches!(it, Record::Sound { .. }));
        segments.handle_new_source(has_sound.then_some(SoundFormat::Opus));
        let (mut made, mut before) = (Vec::new(), 0);
        let end = self.records.iter().filter_map(Record::picture_stamp).max().unwrap_or(0);
        let last = Record::Unit { stamp: end + 1, ends: true, data: DELIMITER.into() };
        for record in self.records.iter().chain([&last]) {
            // It is as if each record had come when it was made.
            let arrived_us = record.us().unsigned_abs();
            match record {
                Record::Unit { stamp, ends, data } => {
                    let packet = VideoPacket {
                        ticks: *stamp,
                        marker: *ends,
                        lost: 0,
                        payload: data.clone(),
                    };
                    // A picture is whole once the next one begins.
                    let at = self.at(std::mem::replace(&mut before, record.us()), ahead_us);
                    for picture in pictures.handle(packet, arrived_us) {
                        segments.handle(picture, at);
                    }
                }
                Record::Sound { stamp, data } => {
                    if let Some(now) = pictures.now(arrived_us) {
                        segments.handle_sound(*stamp, data, 0, now);
                    }
                }
            }
            take(&segments, &mut made);
        }
        segments.handle_break();
        take(&segments, &mut made);
        made
    }
}

impl Record {
    /// When it was made, in microseconds after the beginning.
    const fn us(&self) -> i64 {
        match self {
            Self::Unit { stamp, .. } => *stamp * 1_000_000 / TICKS_PER_S,
            Self::Sound { stamp, .. } => *stamp * 1_000_000 / SOUND_TICKS_PER_S,
        }
    }

    const fn picture_stamp(&self) -> Option<i64> {
        match self {
            Self::Unit { stamp, .. } => Some(*stamp),
            Self::Sound { .. } => None,
        }
    }
}

fn take(segments: &Segments, into: &mut Vec<(Segment, Bytes)>) {
    let next = |made: &[(Segment, Bytes)]| made.last().map_or(0, |(last, _)| last.number + 1);
    while let Some(segment) = segments.next_from(next(into)) {
        into.push(segment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::testing::{PPS, SPS};

    const BASE_US: i64 = 1_700_000_000_000_000;
    const KEY: &[u8] = &[0x65, 0x88, 1];
    const DELTA: &[u8] = &[0x61, 0x88, 3];
    /// A frame of 20 ms of Opus.
    const FRAME: &[u8] = &[0xFC, 1, 2, 3];

    fn head() -> Vec<u8> {
        [MAGIC, BASE_US.to_be_bytes().as_slice()].concat()
    }

    fn push(into: &mut Vec<u8>, kind: u8, stamp: u32, data: &[u8]) {
        into.push(kind);
        into.extend(stamp.to_be_bytes());
        into.extend(u32::try_from(data.len()).expect("short").to_be_bytes());
        into.extend(data);
    }

    /// So many seconds of 25 pictures each, of which the first is a key picture every two seconds.
    fn film(seconds: u32, sound: bool) -> Bytes {
        let mut film = head();
        for number in 0..seconds * 25 {
            let stamp = number * 3_600;
            if number % 50 == 0 {
                push(&mut film, 1, stamp, SPS);
                push(&mut film, 1, stamp, PPS);
            }
            push(&mut film, 2, stamp, if number % 50 == 0 { KEY } else { DELTA });
            if sound {
                push(&mut film, 3, number * 1_920, FRAME);
                push(&mut film, 3, number * 1_920 + 960, FRAME);
            }
        }
        film.into()
    }

    #[test]
    fn what_comes_late_is_cut_where_it_would_have_been_and_has_its_own_times() {
        for sound in [false, true] {
            let late = Late::read(&film(60, sound)).expect("well formed");
            let (began, ended) = late.span();
            assert_eq!(began.unix_us(), BASE_US);
            assert!((59_900_000..60_000_000).contains(&(ended.unix_us() - BASE_US)));
            let ahead_us = -3_600_000_000;
            let segments = late.segments(4, ahead_us);
            assert_eq!(segments.len(), 30, "more than are kept of a stream at once");
            for (number, (segment, header)) in (0_i64..).zip(&segments) {
                let at = BASE_US + ahead_us + number * 2_000_000;
                assert_eq!(segment.at.unix_us(), at, "{number}");
                assert!((179_000..=180_000).contains(&segment.ticks), "{}", segment.ticks);
                assert!(segment.begins_with_key && !segment.is_break);
                let opus = header.windows(4).any(|bytes| bytes == b"Opus");
                assert_eq!(opus, sound);
            }
            let all: u64 = segments.iter().map(|(segment, _)| segment.ticks).sum();
            assert!(all >= 60 * 90_000 - 3_600, "the last picture is left out: {all}");
        }
    }

    #[test]
    fn what_begins_without_a_key_picture_begins_with_the_next_one() {
        let mut film = head();
        for number in 0..50 {
            if number == 25 {
                push(&mut film, 1, number * 3_600, SPS);
                push(&mut film, 1, number * 3_600, PPS);
                push(&mut film, 2, number * 3_600, KEY);
            } else {
                push(&mut film, 2, number * 3_600, DELTA);
            }
        }
        let segments = Late::read(&film.into()).expect("well formed").segments(4, 0);
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0].0.at.unix_us(), BASE_US + 1_000_000);
    }

    #[test]
    fn what_is_no_container_is_refused() {
        let good = film(1, true);
        for end in 0..good.len() {
            let cut = good.slice(..end);
            match Late::read(&cut) {
                Err(_) => {}
                // It ends between two records.
                Ok(late) => drop(late.segments(4, 0)),
            }
        }
        let with = |kind, stamp, data: &[u8]| {
            let mut container = head();
            push(&mut container, kind, stamp, data);
            Late::read(&container.into())
        };
        assert_eq!(Late::read(&head().into()), Err(LateInvalid::Empty));
        assert_eq!(with(3, 0, FRAME), Err(LateInvalid::Empty));
        assert_eq!(with(0, 0, KEY), Err(LateInvalid::Record));
        assert_eq!(with(4, 0, KEY), Err(LateInvalid::Record));
        assert_eq!(with(2, 0, b""), Err(LateInvalid::Record));
        assert_eq!(with(2, 121 * 90_000, KEY), Err(LateInvalid::Record));
        assert_eq!(with(3, 121 * 48_000, FRAME), Err(LateInvalid::Record));
        assert_eq!(Late::read(&Bytes::from_static(b"CBLM\x02")), Err(LateInvalid::Head));
        let far = [MAGIC, &i64::MAX.to_be_bytes()].concat();
        assert_eq!(Late::read(&far.into()), Err(LateInvalid::Head));
        let mut many = head();
        for _ in 0..=RECORDS_MAX {
            push(&mut many, 2, 0, b"x");
        }
        assert_eq!(Late::read(&many.into()), Err(LateInvalid::Record));
        let mut long = head();
        long.extend([2, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1]);
        assert_eq!(Late::read(&long.into()), Err(LateInvalid::Cut));
    }
}
