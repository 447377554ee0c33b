//! What is sent of a camera into a room: RTP packets with a clock and numbers of their
//! own, which go on whatever the camera does. No I/O and no clock.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod aac;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cameras::engine::group::Group;
use crate::cameras::engine::pictures::Picture;
use crate::domain::time::Timestamp;
use crate::formats::codec::opus_duration_us;
use crate::formats::rtp::FIXED_HEADER_BYTES;
use crate::sfu::rtcp::{SenderReport, write_sender_report};
use crate::sfu::sdp::{CodecConfig, H264Profile, PacketizationMode};

/// Largest payload of a packet, in bytes. With the headers of SRTP, UDP and IP it fits the
/// MTU of every path that browsers use. Raising it loses packets to fragmentation.
pub const PAYLOAD_BYTES_MAX: usize = 1_200;
/// Least time between two repetitions of the last group of pictures. Raising it lets
/// somebody who comes meanwhile wait for longer.
const REPEAT_EVERY: Duration = Duration::from_secs(1);
/// Bytes a second that repetitions may take in the long run: a large group is repeated more
/// rarely, so that receivers who lose packets and ask again do not lose more for it. Raising
/// it shows a camera with rare key pictures sooner to people who come shortly one after the
/// other.
const REPEATED_BYTES_PER_S: usize = 1024 * 1024;
/// Ticks per second of G.711, of which each is a byte (RFC 3551 §4.5.14).
const TELEPHONE_HZ: u32 = 8_000;
/// How far sound may be from its arrival, in milliseconds, until stamps that do not fit its packets
/// are not followed.
const APART_MS_MAX: i64 = 100;
/// The type of a fragment of a NAL unit, FU-A (RFC 6184 §5.8).
const FRAGMENT: u8 = 28;
/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// The clock and numbers of one track.
#[derive(Debug)]
pub struct Track {
    ssrc: u32,
    payload_type: u8,
    sequence: u16,
    base: u32,
    rate_hz: u32,
    /// The time of the last packet in ticks, and when it was sent.
    last: Option<(i64, Instant)>,
    packets: u32,
    octets: u32,
}

impl Track {
    /// A track of which nothing was sent. `drawn` is random.
    #[must_use]
    pub const fn new(payload_type: u8, rate_hz: u32, drawn: [u32; 3]) -> Self {
        let [ssrc, base, sequence] = drawn;
        let [_, _, high, low] = sequence.to_be_bytes();
        let sequence = u16::from_be_bytes([high, low]);
        Self { ssrc, payload_type, sequence, base, rate_hz, last: None, packets: 0, octets: 0 }
    }

    /// The time after the last packet that is nearest to `ticks`.
    fn after_last(&self, ticks: i64) -> i64 {
        self.last.map_or(ticks, |(last, _)| ticks.max(last.saturating_add(1)))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "stamps of RTP wrap (RFC 3550 §5.1)"
    )]
    const fn stamp(&self, ticks: i64) -> u32 {
        self.base.wrapping_add(ticks as u32)
    }

    /// What is to be added to a camera's stamps so that this one is now: the time has gone
    /// on by as long as nothing came. Before the first packet it is nothing.
    fn offset_for(&self, stamp: i64, now: Instant) -> i64 {
        let Some((last, at)) = self.last else { return 0 };
        let us = now.saturating_duration_since(at).as_micros();
        let since = us * u128::from(self.rate_hz) / 1_000_000;
        last.saturating_add(i64::try_from(since).unwrap_or(0)).saturating_sub(stamp)
    }

    /// Writes a packet to `out` and gives it to `send`.
    fn packet(
        &mut self,
        (ticks, marker): (i64, bool),
        parts: &[&[u8]],
        out: &mut Vec<u8>,
        send: &mut impl FnMut(&[u8]),
    ) {
        out.clear();
        let stamp = self.stamp(ticks);
        out.extend_from_slice(&[0x80, u8::from(marker) << 7 | self.payload_type]);
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&stamp.to_be_bytes());
        out.extend_from_slice(&self.ssrc.to_be_bytes());
        for part in parts {
            out.extend_from_slice(part);
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.packets = self.packets.wrapping_add(1);
        let octets = u32::try_from(out.len() - FIXED_HEADER_BYTES).unwrap_or(0);
        self.octets = self.octets.wrapping_add(octets);
        send(out);
    }

    /// The sender report at `now`, of which `wall` is the wall clock; none before the first
    /// packet. The time of packets is that of their arrival, since cameras' own clocks are
    /// not to be relied on.
    #[must_use]
    pub fn report(&self, now: Instant, wall: Timestamp) -> Option<Vec<u8>> {
        let (last, at) = self.last?;
        let since = now.saturating_duration_since(at).as_micros() * u128::from(self.rate_hz);
        let since = i64::try_from(since / 1_000_000).unwrap_or(0);
        let us = u64::try_from(wall.unix_us()).unwrap_or(0);
        let seconds = us / 1_000_000 + NTP_TO_UNIX_S;
        let fraction = ((us % 1_000_000) << 32) / 1_000_000;
        let mut out = Vec::new();
        write_sender_report(
            &mut out,
            &SenderReport {
                ssrc: self.ssrc,
                ntp: (seconds << 32) | fraction,
                timestamp: self.stamp(last.saturating_add(since)),
                packets: self.packets,
                payload_bytes: self.octets,
            },
        );
        Some(out)
    }
}

/// The pictures of a camera on their way into a room.
#[derive(Debug)]
pub struct Pictures {
    track: Track,
    group: Group,
    /// What is added to the times of the camera's pictures; nothing after a break, since
    /// a camera that is called anew begins with another time.
    offset: Option<i64>,
    /// Something is missing: nothing is sent until the next key picture.
    broken: bool,
    /// Somebody needs a key picture.
    wished: bool,
    /// When the group may be repeated again.
    repeat_from: Option<Instant>,
    out: Vec<u8>,
}

impl Pictures {
    /// Pictures of which the first one that is sent is a key picture.
    #[must_use]
    pub fn new(track: Track) -> Self {
        let group = Group::default();
        Self {
            track,
            group,
            offset: None,
            broken: true,
            wished: false,
            repeat_from: None,
            out: Vec::new(),
        }
    }

    /// Sends the next picture.
    pub fn handle(&mut self, picture: &Arc<Picture>, now: Instant, mut send: impl FnMut(&[u8])) {
        self.take(picture);
        if !self.broken {
            let show = picture.moment.show;
            let track = &self.track;
            let offset = *self.offset.get_or_insert_with(|| track.offset_for(show, now));
            let ticks = self.track.after_last(show.saturating_add(offset));
            self.send(picture, ticks, now, &mut send);
            // A key picture is what was wished for.
            self.wished &= !picture.key;
            self.repeat(now, &mut send);
        }
    }

    /// Sends a picture that came before the camera did into the room: later ones need it, and
    /// it takes no time.
    pub fn handle_past(
        &mut self,
        picture: &Arc<Picture>,
        now: Instant,
        mut send: impl FnMut(&[u8]),
    ) {
        self.take(picture);
        if !self.broken {
            let ticks = self.track.after_last(self.track.offset_for(0, now));
            self.offset = Some(ticks.saturating_sub(picture.moment.show));
            self.send(picture, ticks, now, &mut send);
        }
    }

    fn take(&mut self, picture: &Arc<Picture>) {
        self.group.handle(picture);
        if picture.key {
            self.broken = false;
        }
    }

    /// Somebody needs a key picture: the last group is sent once more, in as good as no
    /// time, so that it ends at the picture that everybody else sees.
    pub fn handle_wish(&mut self, now: Instant, mut send: impl FnMut(&[u8])) {
        // Of a group with one picture that one was sent just now.
        self.wished = self.group.pictures().len() > 1;
        self.repeat(now, &mut send);
    }

    /// Sends the last group once more, when that is wished for and due.
    fn repeat(&mut self, now: Instant, send: &mut impl FnMut(&[u8])) {
        let is_due = self.repeat_from.is_none_or(|from| from <= now);
        if self.broken || !self.wished || !is_due || self.group.pictures().len() < 2 {
            return;
        }
        self.wished = false;
        let bytes: usize = self.group.pictures().iter().map(|it| it.data.len()).sum();
        let seconds = u64::try_from(bytes / REPEATED_BYTES_PER_S).unwrap_or(u64::MAX);
        self.repeat_from = Some(now + REPEAT_EVERY.max(Duration::from_secs(seconds)));
        for picture in self.group.pictures().to_vec() {
            let ticks = self.track.after_last(i64::MIN);
            self.send(&picture, ticks, now, send);
        }
    }

    /// What comes next does not go on where this ended.
    pub fn handle_break(&mut self) {
        self.group.handle_break();
        self.offset = None;
        self.broken = true;
        self.wished = false;
    }

    /// As [`Track::report`].
    #[must_use]
    pub fn report(&self, now: Instant, wall: Timestamp) -> Option<Vec<u8>> {
        self.track.report(now, wall)
    }

    fn send(&mut self, picture: &Picture, ticks: i64, now: Instant, send: &mut impl FnMut(&[u8])) {
        let units: Vec<&[u8]> = units(&picture.data).collect();
        let last = units.len().saturating_sub(1);
        for (number, unit) in units.into_iter().enumerate() {
            self.send_unit(unit, (ticks, number == last), send);
        }
        self.track.last = Some((ticks, now));
    }

    /// Sends a NAL unit in one packet, or in fragments.
    fn send_unit(
        &mut self,
        unit: &[u8],
        (ticks, is_last): (i64, bool),
        send: &mut impl FnMut(&[u8]),
    ) {
        let Some((&first, rest)) = unit.split_first() else { return };
        if unit.len() <= PAYLOAD_BYTES_MAX {
            self.track.packet((ticks, is_last), &[unit], &mut self.out, send);
            return;
        }
        let mut fragments = rest.chunks(PAYLOAD_BYTES_MAX - 2).peekable();
        let mut start = 0x80;
        while let Some(fragment) = fragments.next() {
            let is_end = fragments.peek().is_none();
            let end = if is_end { 0x40 } else { 0 };
            let head = [first & 0xE0 | FRAGMENT, start | end | first & 0x1F];
            let at = (ticks, is_last && is_end);
            self.track.packet(at, &[&head, fragment], &mut self.out, send);
            start = 0;
        }
    }
}

/// The NAL units of a picture, each of which stands behind its length.
fn units(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (unit, rest) = rest.split_at_checked(length)?;
        data = rest;
        Some(unit)
    })
}

/// The format of a key picture, as receivers are offered it; none when a room can't show it.
#[must_use]
pub fn config_of(picture: &Picture) -> Option<CodecConfig> {
    // H.265 has video parameter sets too.
    let setup = picture.setup.as_ref().filter(|setup| setup.vps.is_empty())?;
    let sps = setup.sps.first()?;
    let [_, profile, constraints, ..] = sps.as_slice() else { return None };
    let profile = match (profile, constraints & 0x40 != 0) {
        (66, true) => H264Profile::ConstrainedBaseline,
        (66, false) => H264Profile::Baseline,
        (77, _) => H264Profile::Main,
        (100, _) => H264Profile::High,
        _ => return None,
    };
    Some(CodecConfig::H264 { profile, mode: PacketizationMode::NonInterleaved })
}

/// The sound of a camera on its way into a room.
#[derive(Debug)]
pub struct Sounds {
    track: Track,
    /// What is added to the camera's stamps; nothing after a break.
    offset: Option<i64>,
    /// The time of the packet that was placed by its arrival, in ticks, and when it came.
    placed: Option<(i64, Instant)>,
    out: Vec<u8>,
}

impl Sounds {
    /// Sound of which nothing was sent.
    #[must_use]
    pub const fn new(track: Track) -> Self {
        Self { track, offset: None, placed: None, out: Vec::new() }
    }

    /// Sends a packet with this stamp of the camera, whose time is `now`.
    pub fn handle(
        &mut self,
        stamp: i64,
        payload: &[u8],
        now: Instant,
        mut send: impl FnMut(&[u8]),
    ) {
        if payload.is_empty() || payload.len() > PAYLOAD_BYTES_MAX {
            return;
        }
        let track = &self.track;
        let is_placed = self.offset.is_some();
        let offset = *self.offset.get_or_insert_with(|| track.offset_for(stamp, now));
        let ticks = stamp.saturating_add(offset);
        let far = i64::from(self.track.rate_hz) * 5;
        let is_far = |(last, _): (i64, Instant)| ticks.abs_diff(last) > far.unsigned_abs();
        // A packet that was just placed by its arrival is where it belongs, however long none came.
        if is_placed && self.track.last.is_some_and(is_far) {
            // The camera began to count anew; its next packet is placed by its arrival.
            self.offset = None;
            return;
        }
        if !is_placed {
            self.placed = Some((ticks, now));
        }
        let followed = self.followed(ticks, payload, now);
        self.offset = Some(offset.saturating_add(followed.saturating_sub(ticks)));
        let ticks = self.track.after_last(followed);
        self.track.packet((ticks, false), &[payload], &mut self.out, &mut send);
        self.track.last = Some((ticks, now));
    }

    /// The time of a packet whose stamp is at `ticks`. A clock that is grossly wrong would play
    /// packets over each other, or leave holes between them: then each follows the one before.
    fn followed(&self, ticks: i64, payload: &[u8], now: Instant) -> i64 {
        let (Some((last, _)), Some((from, at))) = (self.track.last, self.placed) else {
            return ticks;
        };
        let rate_hz = i64::from(self.track.rate_hz);
        let length = if self.track.rate_hz == TELEPHONE_HZ {
            i64::try_from(payload.len()).unwrap_or(0)
        } else {
            i64::from(opus_duration_us(payload)) * rate_hz / 1_000_000
        };
        let us = i64::try_from(now.saturating_duration_since(at).as_micros()).unwrap_or(0);
        let due = from.saturating_add(us.saturating_mul(rate_hz) / 1_000_000);
        let (apart, step) = (ticks.saturating_sub(due), ticks.saturating_sub(last));
        let far = rate_hz * APART_MS_MAX / 1_000;
        let overlaps = apart < -far && step < length - length / 4;
        let leaves_hole = apart > far && step > length + length / 4;
        if length > 0 && (overlaps || leaves_hole) { last.saturating_add(length) } else { ticks }
    }

    /// What comes next does not go on where this ended.
    pub const fn handle_break(&mut self) {
        self.offset = None;
    }

    /// As [`Track::report`].
    #[must_use]
    pub fn report(&self, now: Instant, wall: Timestamp) -> Option<Vec<u8>> {
        self.track.report(now, wall)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::cameras::engine::timeline::Moment;
    use crate::domain::media::Codec;
    use crate::formats::codec::{Depacketiser, Setup};
    use crate::formats::order::{InOrder, Ordered};
    use crate::formats::rtp::Header;

    const SPS: &[u8] = &[
        103, 100, 0, 31, 172, 217, 128, 80, 5, 187, 1, 106, 2, 2, 2, 128, 0, 0, 3, 0, 128, 0, 0,
        30, 7, 140, 24, 205,
    ];
    const PPS: &[u8] = &[104, 233, 123, 44, 139];

    #[expect(clippy::disallowed_methods, reason = "any moment will do; time is counted from it")]
    fn start() -> Instant {
        Instant::now()
    }

    /// A picture with a slice of this many bytes.
    fn picture(number: i64, key: bool, bytes: usize) -> Arc<Picture> {
        let mut slice = vec![0x80 | u8::try_from(number % 64).expect("small"); bytes];
        slice[0] = if key { 0x65 } else { 0x41 };
        let units: &[&[u8]] = if key { &[SPS, PPS, &slice] } else { &[&slice] };
        let mut data = Vec::new();
        for unit in units {
            data.extend(u32::try_from(unit.len()).expect("small").to_be_bytes());
            data.extend_from_slice(unit);
        }
        let setup = key.then(|| Setup {
            size: (1280, 720),
            sps: vec![SPS.to_vec()],
            pps: vec![PPS.to_vec()],
            ..Setup::default()
        });
        let show = number * 3_600;
        Arc::new(Picture { moment: Moment { decode: show, show }, key, data, setup })
    }

    fn track(rate_hz: u32) -> Track {
        Track::new(102, rate_hz, [7, u32::MAX - 5_000, 65_534])
    }

    /// What a receiver makes of packets: their stamps since the first one, and the data of
    /// each frame. Checks that numbers go on one by one.
    fn received(packets: &[Vec<u8>]) -> Vec<(u32, bool, Vec<u8>)> {
        let mut depacketiser = Depacketiser::new(Codec::H264);
        let first = Header::parse(&packets[0]).expect("a header");
        for (number, packet) in (0..).zip(packets) {
            assert!(packet.len() <= PAYLOAD_BYTES_MAX + FIXED_HEADER_BYTES);
            let header = Header::parse(packet).expect("a header");
            assert_eq!(header.sequence, first.sequence.wrapping_add(number));
            assert_eq!((header.ssrc, header.payload_type), (7, 102));
            let ticks = i64::from(header.timestamp.wrapping_sub(first.timestamp));
            let payload = Bytes::copy_from_slice(&packet[header.length..]);
            let marker = header.marker;
            depacketiser.handle(InOrder::Packet(Ordered { ticks, marker, payload }));
        }
        depacketiser.finish();
        let frames = depacketiser.poll();
        frames
            .into_iter()
            .map(|it| (u32::try_from(it.ticks).expect("small"), it.key, it.data))
            .collect()
    }

    #[test]
    fn pictures_arrive_whole_with_one_stamp_and_one_marker_each() {
        let mut pictures = Pictures::new(track(90_000));
        let (now, mut packets) = (start(), Vec::new());
        pictures.handle(&picture(0, false, 100), now, |_| panic!("nobody could decode it"));
        let sent = [picture(1, true, 5_000), picture(2, false, 1_200), picture(3, false, 1_201)];
        for picture in &sent {
            pictures.handle(picture, now, |packet| packets.push(packet.to_vec()));
        }
        let markers = packets.iter().filter(|it| Header::parse(it).expect("one").marker).count();
        assert_eq!(markers, 3, "one for each picture");
        let frames = received(&packets);
        assert_eq!(frames.len(), 3);
        for ((number, frame), picture) in (0_u32..).zip(&frames).zip(&sent) {
            assert_eq!((frame.0, frame.1), (number * 3_600, picture.key));
            assert_eq!(frame.2, picture.data, "picture {number}");
        }
    }

    #[test]
    fn what_was_before_a_camera_came_takes_no_time() {
        let mut pictures = Pictures::new(track(90_000));
        let (now, mut packets) = (start(), Vec::new());
        for number in 100..110 {
            let past = picture(number, number == 100, 300);
            pictures.handle_past(&past, now, |packet| packets.push(packet.to_vec()));
        }
        for number in 110..112 {
            let later = now + Duration::from_millis(40);
            let next = picture(number, false, 300);
            pictures.handle(&next, later, |packet| packets.push(packet.to_vec()));
        }
        let stamps: Vec<u32> = received(&packets).iter().map(|frame| frame.0).collect();
        let wanted: Vec<u32> = (0..10).chain([9 + 3_600, 9 + 7_200]).collect();
        assert_eq!(stamps, wanted);
    }

    #[test]
    fn slices_of_one_picture_have_one_stamp_and_one_marker() {
        let mut whole = Picture::clone(&picture(0, true, 1_500));
        for first in [0x65_u8, 0x65] {
            // A slice that does not begin at the first macroblock.
            let mut slice = vec![0x40; 1_300];
            slice[0] = first;
            whole.data.extend(u32::try_from(slice.len()).expect("small").to_be_bytes());
            whole.data.extend(slice);
        }
        let mut pictures = Pictures::new(track(90_000));
        let (now, mut packets) = (start(), Vec::new());
        pictures.handle(&Arc::new(whole.clone()), now, |packet| packets.push(packet.to_vec()));
        let headers: Vec<Header> =
            packets.iter().map(|it| Header::parse(it).expect("a header")).collect();
        let last = headers.len() - 1;
        assert!(headers.iter().enumerate().all(|(n, it)| it.marker == (n == last)));
        assert!(headers.iter().all(|it| it.timestamp == headers[0].timestamp));
        let frames = received(&packets);
        assert_eq!((frames.len(), &frames[0].2), (1, &whole.data));
    }

    #[test]
    fn who_comes_in_the_middle_of_a_group_gets_it_from_its_key_picture_at_once() {
        let mut pictures = Pictures::new(track(90_000));
        let now = start();
        for number in 0..50 {
            pictures.handle(&picture(number, number == 0, 300), now, |_| {});
        }
        let mut packets = Vec::new();
        pictures.handle_wish(now, |packet| packets.push(packet.to_vec()));
        pictures.handle(&picture(50, false, 300), now, |packet| packets.push(packet.to_vec()));
        let frames = received(&packets);
        assert_eq!(frames.len(), 51);
        assert!(frames[0].1 && frames[1..].iter().all(|frame| !frame.1));
        let repeated: Vec<u32> = frames[..50].iter().map(|frame| frame.0).collect();
        assert_eq!(repeated, (0..50).collect::<Vec<_>>(), "no time goes by");
        assert_eq!(frames[50].0, 3_599, "the next picture comes when it is due");
        // Wishes of a crowd wait for a while and are one.
        let (soon, later) = (now + REPEAT_EVERY / 2, now + REPEAT_EVERY);
        pictures.handle_wish(soon, |_| panic!("too soon"));
        pictures.handle_wish(soon, |_| panic!("too soon"));
        let mut packets = Vec::new();
        pictures.handle(&picture(51, false, 300), later, |packet| packets.push(packet.to_vec()));
        assert_eq!(packets.len(), 1 + 54, "the picture, and the group with its sets");
        let mut packets = Vec::new();
        pictures.handle(&picture(52, false, 300), later, |packet| packets.push(packet.to_vec()));
        assert_eq!(packets.len(), 1);
        // What was broken off is not repeated.
        pictures.handle_break();
        pictures.handle_wish(now + REPEAT_EVERY * 2, |_| panic!("it is over"));
        pictures.handle(&picture(60, false, 300), now, |_| panic!("nothing to begin with"));
    }

    #[test]
    fn a_camera_that_is_called_anew_goes_on_where_time_is_by_now() {
        let mut pictures = Pictures::new(track(90_000));
        let (now, mut stamps) = (start(), Vec::new());
        let mut show = |pictures: &mut Pictures, picture: &Arc<Picture>, ms: u64| {
            let mut last = 0;
            pictures.handle(picture, now + Duration::from_millis(ms), |packet| {
                let header = Header::parse(packet).expect("a header");
                last = header.timestamp.wrapping_sub(u32::MAX - 5_000);
            });
            stamps.push(last);
        };
        show(&mut pictures, &picture(1_000, true, 50), 0);
        show(&mut pictures, &picture(1_001, false, 50), 40);
        pictures.handle_break();
        // Its time begins at nothing again, ten seconds later.
        show(&mut pictures, &picture(0, true, 50), 10_040);
        show(&mut pictures, &picture(1, false, 50), 10_080);
        let first = 1_000 * 3_600;
        let wanted = [first, first + 3_600, first + 903_600, first + 907_200];
        assert_eq!(stamps, wanted);
    }

    #[test]
    fn sound_goes_on_over_a_break_by_as_long_as_it_took() {
        let mut sounds = Sounds::new(track(48_000));
        let (now, mut stamps) = (start(), Vec::new());
        let mut hear = |sounds: &mut Sounds, stamp: i64, ms: u64| {
            sounds.handle(stamp, b"opus", now + Duration::from_millis(ms), |packet| {
                let header = Header::parse(packet).expect("a header");
                stamps.push(header.timestamp.wrapping_sub(u32::MAX - 5_000) - 900_000);
            });
        };
        hear(&mut sounds, 900_000, 0);
        hear(&mut sounds, 900_960, 20);
        hear(&mut sounds, 900_960, 21);
        sounds.handle_break();
        hear(&mut sounds, 5, 1_021);
        // A count that begins anew without a break costs one packet.
        hear(&mut sounds, 9_000_000, 1_041);
        hear(&mut sounds, 9_000_960, 1_061);
        // However long the break was.
        sounds.handle_break();
        hear(&mut sounds, 7, 11_061);
        hear(&mut sounds, 967, 11_081);
        assert_eq!(stamps, [0, 960, 961, 48_961, 50_881, 530_881, 531_841]);
        let report = sounds.report(now + Duration::from_millis(11_081), Timestamp::from_unix_us(0));
        assert!(report.is_some_and(|it| it[1] == 200 && it.len() == 28));
    }

    #[test]
    fn sound_whose_clock_is_grossly_wrong_goes_on_as_it_comes() {
        for permille in [0, 100, 700, 1_000, 10_000] {
            let mut sounds = Sounds::new(track(8_000));
            let (now, mut stamps) = (start(), Vec::new());
            for n in 0..1_000_i64 {
                // All of a second comes at once, as over a connection that is held up.
                let at = now + Duration::from_secs(n.unsigned_abs() / 50 + 1);
                sounds.handle(n * 160 * permille / 1_000, &[0xFF; 160], at, |packet| {
                    stamps.push(Header::parse(packet).expect("a header").timestamp);
                });
            }
            assert_eq!(stamps.len(), 1_000, "{permille}");
            let last = i64::from(stamps[999].wrapping_sub(stamps[0]));
            assert!((last - 999 * 160).abs() < 16_000, "{permille}: {last}");
            let steps = stamps.windows(2).map(|two| two[1].wrapping_sub(two[0]));
            let odd = steps.filter(|step| *step != 160).count();
            assert!(odd <= if permille == 1_000 { 0 } else { 300 }, "{permille}: {odd}");
        }
    }

    #[test]
    fn the_format_of_a_camera_is_that_of_its_parameter_sets() {
        let key = picture(0, true, 10);
        let high = CodecConfig::H264 {
            profile: H264Profile::High,
            mode: PacketizationMode::NonInterleaved,
        };
        assert_eq!(config_of(&key), Some(high));
        assert_eq!(config_of(&picture(0, false, 10)), None);
        let mut other = Picture::clone(&key);
        if let Some(setup) = &mut other.setup {
            setup.sps[0][1] = 244;
        }
        assert_eq!(config_of(&other), None, "4:4:4 is shown by no browser");
    }
}
