//! Pictures of a camera: its packets put together, on its timeline.

use bytes::Bytes;

use crate::cameras::engine::timeline::{Moment, TICKS_PER_S, Timeline};
use crate::domain::camera::CameraCodec;
use crate::domain::media::Codec;
use crate::formats::codec::{Depacketiser, Setup, begins_hevc_picture, is_hevc_set};
use crate::formats::order::{InOrder, Ordered};

/// A packet of a camera, in the order in which it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoPacket {
    /// Its stamp, extended by the wraps.
    pub ticks: i64,
    /// Whether it says that it is the last one of its picture.
    pub marker: bool,
    /// How many packets before it did not come.
    pub lost: u64,
    /// Its payload.
    pub payload: Bytes,
}

/// A picture in the form in which files hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// When it is decoded and shown.
    pub moment: Moment,
    /// Whether it can be decoded without others.
    pub key: bool,
    /// Its bytes.
    pub data: Vec<u8>,
    /// With a key picture, what a decoder must know before.
    pub setup: Option<Setup>,
}

/// Puts the pictures of one camera together. Its mark of the last packet is not
/// relied on: a picture ends where the next one begins.
#[derive(Debug)]
pub struct Pictures {
    codec: CameraCodec,
    depacketiser: Depacketiser,
    timeline: Timeline,
    /// Parameter sets of the session description, until the first packet.
    announced: Vec<Bytes>,
    /// The stamp of the last packet, how many pictures before had the same one, and
    /// whether one has begun.
    stamp: Option<i64>,
    later: i64,
    has_picture: bool,
}

impl Default for Pictures {
    fn default() -> Self {
        Self {
            codec: CameraCodec::H264,
            depacketiser: depacketiser(CameraCodec::H264),
            timeline: Timeline::default(),
            announced: Vec::new(),
            stamp: None,
            later: 0,
            has_picture: false,
        }
    }
}

impl Pictures {
    /// The camera was called again and sends pictures of this codec. `sets` are the parameter
    /// sets that it announced; those that it sends replace them.
    pub fn handle_new_source(&mut self, codec: CameraCodec, mut sets: Vec<Bytes>) {
        sets.retain(|set| match codec {
            CameraCodec::H265 => is_hevc_set(set),
            // Sequence and picture parameter sets (H.264 table 7-1).
            _ => set.first().is_some_and(|first| matches!(first & 0x1F, 7 | 8)),
        });
        self.codec = codec;
        self.depacketiser = depacketiser(codec);
        self.timeline.handle_new_source();
        self.announced = sets;
    }

    /// Takes a packet that came `arrived_us` after the beginning; returns the
    /// pictures that are whole.
    pub fn handle(&mut self, packet: VideoPacket, arrived_us: u64) -> Vec<Picture> {
        for set in std::mem::take(&mut self.announced) {
            let ticks = packet.ticks.saturating_sub(1);
            self.depacketiser.handle(InOrder::Packet(Ordered {
                ticks,
                marker: true,
                payload: set,
            }));
        }
        if packet.lost > 0 {
            self.depacketiser.handle(InOrder::Lost);
        }
        let VideoPacket { ticks, marker, payload, .. } = packet;
        let ticks = self.told_apart(ticks, &payload);
        self.depacketiser.handle(InOrder::Packet(Ordered { ticks, marker, payload }));
        let arrived = ticks_of(arrived_us);
        let frames = self.depacketiser.poll();
        frames
            .into_iter()
            .map(|frame| Picture {
                moment: self.timeline.handle(frame.ticks, arrived),
                key: frame.key,
                data: frame.data,
                setup: frame.setup,
            })
            .collect()
    }

    /// The stamp of a packet. A picture with the stamp of the one before gets the next tick.
    fn told_apart(&mut self, ticks: i64, payload: &[u8]) -> i64 {
        if self.stamp != Some(ticks) {
            (self.stamp, self.later, self.has_picture) = (Some(ticks), 0, false);
        }
        let begins = match self.codec {
            CameraCodec::H265 => begins_hevc_picture(payload),
            _ => begins_picture(payload),
        };
        if begins {
            self.later += i64::from(self.has_picture);
            self.has_picture = true;
        }
        ticks.saturating_add(self.later)
    }

    /// The time of the pictures when it is `arrived_us` after the beginning; nothing before
    /// the first one.
    #[must_use]
    pub fn now(&self, arrived_us: u64) -> Option<i64> {
        self.timeline.now(ticks_of(arrived_us))
    }

    /// Its timeline.
    #[must_use]
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }
}

fn depacketiser(codec: CameraCodec) -> Depacketiser {
    match codec {
        CameraCodec::H265 => Depacketiser::hevc(),
        _ => Depacketiser::new(Codec::H264),
    }
}

/// Whether a payload of H.264 has the beginning of a picture: a slice whose first
/// macroblock is number 0 (RFC 6184 §5.2, H.264 §7.3.3).
fn begins_picture(payload: &[u8]) -> bool {
    let begins = |kind: u8, body: Option<&u8>| {
        matches!(kind & 0x1F, 1 | 2 | 5) && body.is_some_and(|byte| byte & 0x80 != 0)
    };
    let Some((&first, mut rest)) = payload.split_first() else { return false };
    match first & 0x1F {
        24 => {
            while let Some((length, after)) = rest.split_first_chunk() {
                let length = usize::from(u16::from_be_bytes(*length));
                let Some((unit, after)) = after.split_at_checked(length) else { return false };
                if unit.first().is_some_and(|kind| begins(*kind, unit.get(1))) {
                    return true;
                }
                rest = after;
            }
            false
        }
        28 => rest.first().is_some_and(|it| it & 0x80 != 0 && begins(*it, rest.get(1))),
        kind => begins(kind, rest.first()),
    }
}

/// Microseconds in ticks.
fn ticks_of(us: u64) -> i64 {
    let ticks = u128::from(us) * u128::from(TICKS_PER_S.unsigned_abs()) / 1_000_000;
    i64::try_from(ticks).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::segments::Segments;
    use crate::cameras::engine::testing::{PPS, SPS};
    use crate::domain::time::Timestamp;

    /// A key picture, its second slice, and another picture.
    const KEY: &[u8] = &[0x65, 0x88, 1];
    const KEY_MORE: &[u8] = &[0x65, 0x48, 2];
    const DELTA: &[u8] = &[0x61, 0x88, 3];

    fn packet(ticks: i64, marker: bool, payload: &'static [u8]) -> VideoPacket {
        VideoPacket { ticks, marker, lost: 0, payload: Bytes::from_static(payload) }
    }

    fn run(sets: &[&'static [u8]], packets: Vec<VideoPacket>) -> Vec<Picture> {
        let mut pictures = Pictures::default();
        pictures.handle_new_source(
            CameraCodec::H264,
            sets.iter().map(|set| Bytes::from_static(set)).collect(),
        );
        let packets = (0..).zip(packets);
        packets.flat_map(|(n, packet)| pictures.handle(packet, n * 40_000)).collect()
    }

    #[test]
    fn slices_with_a_mark_each_are_one_picture() {
        let pictures = run(
            &[],
            vec![
                packet(9_000, true, SPS),
                packet(9_000, true, PPS),
                packet(9_000, true, KEY),
                packet(9_000, true, KEY_MORE),
                packet(12_600, true, DELTA),
                packet(16_200, true, DELTA),
            ],
        );
        assert_eq!(pictures.len(), 2, "{pictures:?}");
        assert!(pictures[0].key && pictures[0].data.ends_with(&[0, 0, 0, 3, 0x65, 0x48, 2]));
        assert_eq!(pictures[0].setup.as_ref().map(|setup| setup.size), Some((1_280, 720)));
        assert_eq!(pictures[1].moment.show - pictures[0].moment.show, 3_600);
    }

    #[test]
    fn pictures_with_one_stamp_are_told_apart() {
        let packets = vec![
            packet(0, true, KEY),
            packet(0, true, KEY_MORE),
            packet(0, true, DELTA),
            packet(0, true, DELTA),
            packet(3_600, true, DELTA),
        ];
        let pictures = run(&[SPS, PPS], packets);
        let shown: Vec<i64> = pictures.iter().map(|it| it.moment.show).collect();
        assert_eq!(shown.len(), 3, "{pictures:?}");
        assert!(shown.is_sorted_by(|one, next| one < next), "{shown:?}");
    }

    #[test]
    fn sets_with_the_stamp_of_the_picture_before_belong_to_the_next_one() {
        let pictures = run(
            &[SPS, PPS],
            vec![
                packet(0, true, KEY),
                packet(3_600, true, DELTA),
                packet(3_600, true, SPS),
                packet(3_600, true, PPS),
                packet(7_200, true, KEY),
                packet(10_800, true, DELTA),
            ],
        );
        assert_eq!(pictures.iter().map(|it| it.key).collect::<Vec<_>>(), [true, false, true]);
        let held: usize = pictures[1].data.windows(SPS.len()).filter(|bytes| *bytes == SPS).count();
        assert_eq!(held, 0, "the picture before has sets that are not its own");
        assert!(pictures[2].setup.is_some());
    }

    #[test]
    fn sets_that_are_only_announced_are_used_and_nonsense_among_them_is_not() {
        let packets = || vec![packet(0, true, KEY), packet(3_600, true, DELTA)];
        assert_eq!(run(&[SPS, PPS], packets()).len(), 1);
        assert_eq!(run(&[], packets()).len(), 0, "nothing can be decoded without sets");
        assert_eq!(run(&[&[0xFF, 1], SPS, &[], PPS], packets()).len(), 1);
    }

    #[test]
    fn a_camera_whose_clock_is_wrong_is_played_and_recorded_as_its_pictures_come() {
        let frozen = |s: i64| s.min(4 * TICKS_PER_S);
        let slow = |s: i64| s * 7 / 10;
        let very_slow = |s: i64| s / 10;
        let fast = |s: i64| s * 10;
        let fine = |s: i64| s + s / 5_000;
        let clocks: [(&str, &dyn Fn(i64) -> i64); 5] = [
            ("frozen", &frozen),
            ("slow", &slow),
            ("very slow", &very_slow),
            ("fast", &fast),
            ("200 ppm fast", &fine),
        ];
        for (what, told) in clocks {
            let mut pictures = Pictures::default();
            let sets = [SPS, PPS].map(Bytes::from_static).to_vec();
            pictures.handle_new_source(CameraCodec::H264, sets);
            let (mut live, mut recorded) =
                (Segments::new("live".to_owned(), 0), Segments::to_record());
            for n in 0..15 * 120_i64 {
                let payload = if n % 15 == 0 { KEY } else { DELTA };
                let arrived_us = n.unsigned_abs() * 1_000_000 / 15;
                let packet = packet(told(n * 6_000), true, payload);
                for picture in pictures.handle(packet, arrived_us) {
                    let picture = std::sync::Arc::new(picture);
                    let at = Timestamp::from_unix_us(arrived_us.cast_signed());
                    live.handle(picture.clone(), at);
                    recorded.handle(picture, at);
                }
            }
            assert!(live.part_ticks().is_some_and(|it| it <= 70_000), "{what}: its parts");
            for (segments, most) in [(&live, 2), (&recorded, 10)] {
                let kept: Vec<_> = segments.listed().collect();
                assert!(kept.len() >= 2, "{what}: {} segments", kept.len());
                for two in kept.windows(2) {
                    let took = two[1].at.unix_us() - two[0].at.unix_us();
                    let lasts = two[0].ticks.cast_signed() * 100 / 9;
                    assert!((lasts - took).abs() < took / 10, "{what}: {lasts} of {took} µs");
                    assert!(lasts < most * 1_100_000, "{what}: a segment of {lasts} µs");
                    assert!(!two[1].is_break && two[1].begins_with_key, "{what}");
                }
            }
        }
    }

    #[test]
    fn after_a_loss_pictures_begin_with_a_key_picture() {
        let mut lossy = packet(3_600, true, DELTA);
        lossy.lost = 2;
        let packets =
            vec![packet(0, true, KEY), lossy, packet(7_200, true, KEY), packet(9_999, true, DELTA)];
        let pictures = run(&[SPS, PPS], packets);
        assert_eq!(pictures.iter().map(|it| it.key).collect::<Vec<_>>(), [true, true]);
    }
}
