//! Segments of a camera's stream, as HLS plays them (RFC 8216): pictures from one
//! key picture to a later one, in fragmented MP4. Each is made of parts, which players
//! with low latency fetch while the segment grows. The last ones are kept in memory.

mod pieces;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use self::pieces::{KEPT_RECORDED, SEGMENT_RECORDED_MIN};
pub use self::pieces::{Piece, RecordedPart};
use crate::cameras::engine::growing::{Growing, Part};
use crate::cameras::engine::pictures::Picture;
use crate::cameras::engine::sound::{SoundFormat, SoundTrack};
use crate::cameras::engine::timeline::{TICKS_PER_S, end_of, is_clock_set};
use crate::domain::time::Timestamp;
use crate::formats::codec::Setup;
use crate::formats::mp4::{self, Carries};

/// Segments that a playlist lists: more seconds than a playlist that leaves out the old ones
/// has to have. Raising it lets players fall further behind.
pub const LISTED: usize = 16;
/// Segments that are kept: a player that read a playlist still finds what it
/// listed, and memory is used for each.
const KEPT_MAX: usize = LISTED + 6;
/// Bytes of all segments of a camera that are kept; at the limit the oldest go.
/// Raising it uses more memory for each camera that is watched.
const KEPT_BYTES_MAX: usize = 24 << 20;
/// Bytes of a segment; a larger one is cut although no key picture came.
const SEGMENT_BYTES_MAX: usize = 6 << 20;
/// Pictures of a segment; at the limit it is cut although no key picture came.
const SEGMENT_PICTURES_MAX: usize = 2_000;
/// A key picture that comes sooner begins no segment, in ticks. Raising it makes
/// fewer requests and more delay.
const SEGMENT_MIN: i64 = TICKS_PER_S;
/// Least and greatest target duration, in seconds. A camera whose key pictures are
/// further apart gets segments that do not begin with one.
const TARGET_S: std::ops::RangeInclusive<i64> = 2..=10;
/// Without a picture for so long, in ticks, there is a gap in a recording. Raising it shows the last
/// picture for longer.
const HOLE_RECORDED: i64 = 5 * TICKS_PER_S;
/// Target duration of a session, in seconds: as long as two groups of pictures.
const TARGET_SESSION_S: u64 = 4;
/// How much longer than the target duration a segment may be: rounded, it is not.
const SLACK: i64 = TICKS_PER_S * 2 / 5;
/// How long a part is to be at most, in ticks. Raising it makes fewer requests and more delay.
const PART_MAX: i64 = TICKS_PER_S * 2 / 5;
/// How much longer than its pictures a part may be, in tenths, as cameras' pictures do not come
/// evenly. A part must have 85 of a hundred of the target, so it can't be much.
const PART_SLACK_TENTHS: i64 = 1;
/// Times that no picture came for longer than a part, and a key picture then, that are taken
/// for pictures that were lost. A camera with more of them sends few pictures.
const HOLES_MAX: u32 = 3;

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Its number in the playlist.
    pub number: u64,
    /// The number of the header that it needs.
    pub header: u64,
    /// Whether it does not go on where the one before ended.
    pub is_break: bool,
    /// Whether it begins with a key picture.
    pub begins_with_key: bool,
    /// When its first picture is decoded, in ticks.
    pub begin: i64,
    /// How long it plays, in ticks.
    pub ticks: u64,
    /// When its first picture came.
    pub at: Timestamp,
    /// Its parts; none when it was not made for low latency.
    pub parts: Vec<Part>,
    /// Its bytes: those of its parts.
    pub data: Bytes,
}

/// The segment that grows, as far as players may fetch it.
#[derive(Debug, Clone, Copy)]
pub struct Growth<'segments> {
    /// Its number in the playlist.
    pub number: u64,
    /// The number of the header that it needs.
    pub header: u64,
    /// Whether it does not go on where the one before ended.
    pub is_break: bool,
    /// Whether it begins with a key picture.
    pub begins_with_key: bool,
    /// When its first picture came.
    pub at: Timestamp,
    /// Its parts so far.
    pub parts: &'segments [Part],
}

/// What a stream looks like to whoever chooses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The codecs (RFC 6381).
    pub codecs: String,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// The most bits per second of a segment that is kept.
    pub peak_bps: u64,
}

/// How long parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartTarget {
    /// It is not known how far apart pictures are.
    Unknown,
    /// At most so many ticks.
    Ticks(i64),
    /// Pictures are further apart than parts may be long, so there are none any more.
    GivenUp,
}

impl PartTarget {
    /// The length of parts for pictures that are so far apart: as many whole pictures as fit,
    /// and one at least.
    fn of(apart: i64) -> Self {
        let apart = apart.max(1);
        let pictures = (PART_MAX / apart).max(1);
        let ticks = apart.saturating_mul(pictures);
        Self::Ticks(ticks.saturating_add(ticks * PART_SLACK_TENTHS / 10))
    }

    const fn ticks(self) -> Option<i64> {
        match self {
            Self::Ticks(ticks) => Some(ticks),
            Self::Unknown | Self::GivenUp => None,
        }
    }
}

/// The segments of one camera, or of one session.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Segments {
    prefix: String,
    setup: Option<Setup>,
    headers: VecDeque<(u64, Bytes)>,
    header: u64,
    next: u64,
    target_s: Option<u64>,
    part_target: PartTarget,
    /// Whether they are recorded: then they are long, and few are kept.
    is_recorded: bool,
    last_key: Option<i64>,
    holes: u32,
    kept: VecDeque<Segment>,
    kept_bytes: usize,
    breaks_gone: u64,
    growing: Growing,
    is_break: bool,
    sound: Option<SoundTrack>,
    /// Whether another sound needs another header.
    is_other_sound: bool,
    /// Whether nothing follows.
    has_ended: bool,
}

impl Segments {
    /// No segment yet. Names of files begin with `prefix`, which is another one each
    /// time, so that no cache confuses them; numbers begin at `first`, which is not
    /// below those of an earlier time.
    #[must_use]
    pub const fn new(prefix: String, first: u64) -> Self {
        Self {
            prefix,
            setup: None,
            headers: VecDeque::new(),
            header: 0,
            next: first,
            target_s: None,
            part_target: PartTarget::Unknown,
            is_recorded: false,
            last_key: None,
            holes: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            breaks_gone: 0,
            growing: Growing::new(0),
            is_break: false,
            sound: None,
            is_other_sound: false,
            has_ended: false,
        }
    }

    /// The same with a target duration that is known before.
    #[must_use]
    pub const fn with_target(prefix: String, first: u64, target_s: u64) -> Self {
        let mut segments = Self::new(prefix, first);
        segments.target_s = Some(target_s);
        segments
    }

    /// The same for pictures of which key pictures are asked for every two seconds. Whose pictures
    /// they are changes, and so does how far they are apart: so nothing is learnt from the first ones.
    #[must_use]
    pub const fn of_session(prefix: String, first: u64) -> Self {
        let mut segments = Self::with_target(prefix, first, TARGET_SESSION_S);
        segments.part_target = PartTarget::Ticks(PART_MAX);
        segments
    }

    /// The first segment that is kept from this number on, with the header that it needs.
    #[must_use]
    pub fn next_from(&self, number: u64) -> Option<(Segment, Bytes)> {
        let segment = self.kept.iter().find(|it| it.number >= number)?;
        let header = self.headers.iter().find(|it| it.0 == segment.header)?;
        Some((segment.clone(), header.1.clone()))
    }

    /// The camera was called anew and sends its sound in this form; none that files can hold
    /// when it is `None`.
    pub fn handle_new_source(&mut self, sound: Option<SoundFormat>) {
        match &mut self.sound {
            Some(track) if Some(track.format()) == sound.as_ref() => track.handle_new_source(),
            before => {
                self.is_other_sound |= before.is_some() || sound.is_some();
                *before = sound.map(SoundTrack::new);
            }
        }
    }

    /// A packet of the camera's sound that came at `now`, in ticks of the pictures' timeline.
    pub fn handle_sound(&mut self, stamp: i64, payload: &Bytes, lost: u64, now: i64) {
        if let Some(sound) = &mut self.sound {
            sound.handle(stamp, payload, lost, now);
        }
    }

    /// The form of the sound in the files; none when there is none.
    #[must_use]
    pub fn sound_format(&self) -> Option<&SoundFormat> {
        self.sound.as_ref().map(SoundTrack::format)
    }

    /// The next picture, which came at `at`. `true` when a segment or a part was added.
    pub fn handle(&mut self, picture: impl Into<Arc<Picture>>, at: Timestamp) -> bool {
        let picture = picture.into();
        let before = self.progress();
        let is_other = picture.setup != self.setup || self.is_other_sound;
        let changed = picture.setup.is_some() && is_other;
        if self.is_due(&picture, changed) {
            self.cut(picture.moment.decode);
        } else {
            self.end_part(picture.moment.decode);
        }
        if picture.key {
            self.last_key = Some(picture.moment.decode);
        }
        if changed {
            self.change(picture.setup.as_ref());
        }
        if self.setup.is_some() && (self.has_begun() || picture.key) {
            if self.growing.ends().is_none()
                && (self.is_break || self.kept.is_empty())
                && let Some(sound) = &mut self.sound
            {
                sound.handle_begin(picture.moment.decode);
            }
            if self.growing.ends().is_none() {
                self.is_break |= self.is_other_time(at);
            }
            self.growing.push(picture, at);
        }
        self.progress() != before
    }

    /// The stream broke off. What it had is a segment, and the next one does not go
    /// on from it. `true` when a segment was added.
    pub fn handle_break(&mut self) -> bool {
        let before = self.progress();
        if let Some((_, last)) = self.growing.ends() {
            let end = last + self.growing.last_ticks();
            if let Some(sound) = &mut self.sound {
                sound.handle_end(end);
            }
            self.cut(end);
        }
        // Whatever comes then begins with a key picture.
        self.is_break = !self.kept.is_empty();
        self.progress() != before
    }

    /// Nothing follows any more. `true` when a segment was added.
    pub fn handle_end(&mut self) -> bool {
        self.has_ended = true;
        self.handle_break()
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The segments that a playlist lists, the oldest first.
    #[must_use]
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.kept.iter().skip(self.kept.len().saturating_sub(LISTED))
    }

    /// Whether all that is listed begins with key pictures.
    #[must_use]
    pub fn begin_with_keys(&self) -> bool {
        let growth = self.growth();
        (growth.parts.is_empty() || growth.begins_with_key)
            && self.listed().all(|segment| segment.begins_with_key)
    }

    /// How many breaks lie before the first segment that is listed.
    #[must_use]
    pub fn breaks_before(&self) -> u64 {
        let unlisted = self.kept.len().saturating_sub(LISTED);
        let gone = self.kept.iter().take(unlisted).filter(|segment| segment.is_break).count();
        self.breaks_gone + gone as u64
    }

    /// The target duration in seconds, once there is a segment. It never changes.
    #[must_use]
    pub const fn target_s(&self) -> Option<u64> {
        self.target_s
    }

    /// How long parts are at most, in ticks, once there is a segment: it never changes. Nothing
    /// when there are no parts, as the camera sends few pictures.
    #[must_use]
    pub fn part_ticks(&self) -> Option<u64> {
        self.part_target.ticks().map(i64::unsigned_abs)
    }

    /// The segment that grows, which is the next one.
    #[must_use]
    pub fn growth(&self) -> Growth<'_> {
        Growth {
            number: self.next,
            header: self.header,
            is_break: self.is_break,
            begins_with_key: self.growing.begins_with_key(),
            at: self.growing.began(),
            parts: if self.part_ticks().is_some() { self.growing.parts() } else { &[] },
        }
    }

    /// The file of a segment, a part or a header.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Bytes> {
        match self.named(name)? {
            Named::Header(number) => {
                self.headers.iter().find(|it| it.0 == number).map(|it| it.1.clone())
            }
            Named::Segment(number) => {
                self.kept.iter().find(|it| it.number == number).map(|it| it.data.clone())
            }
            Named::Part(number, part) => {
                let part = usize::try_from(part).ok()?;
                let parts = if number == self.next {
                    self.growth().parts
                } else {
                    &self.kept.iter().find(|it| it.number == number)?.parts
                };
                parts.get(part).map(|part| part.data.clone())
            }
        }
    }

    /// Whether a name is that of the part that is made now: players ask for it before it is
    /// there.
    #[must_use]
    pub fn is_hinted(&self, name: &str) -> bool {
        let Some(Named::Part(number, part)) = self.named(name) else { return false };
        self.part_ticks().is_some()
            && !self.has_ended
            && number == self.next
            && part == self.growing.parts().len() as u64
    }

    /// The name of a segment's file.
    #[must_use]
    pub fn name(&self, number: u64) -> String {
        format!("{}-{number}.m4s", self.prefix)
    }

    /// The name of a part's file.
    #[must_use]
    pub fn part_name(&self, number: u64, part: usize) -> String {
        format!("{}-{number}.{part}.m4s", self.prefix)
    }

    /// The name of the file with the header of this number.
    #[must_use]
    pub fn header_name(&self, header: u64) -> String {
        format!("{}-{header}.init.mp4", self.prefix)
    }

    /// The name of the file with the captions of a segment.
    #[must_use]
    pub fn captions_name(&self, number: u64) -> String {
        format!("{}-{number}.vtt", self.prefix)
    }

    /// The segment whose captions are in the file of this name.
    #[must_use]
    pub fn captioned(&self, name: &str) -> Option<&Segment> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        let number = canonical(rest.strip_suffix(".vtt")?)?;
        self.kept.iter().find(|it| it.number == number)
    }

    /// What the stream looks like, once there is a segment.
    #[must_use]
    pub fn look(&self) -> Option<Look> {
        let setup = self.setup.as_ref()?;
        let bps = |it: &Segment| {
            (it.data.len() as u64).saturating_mul(8 * TICKS_PER_S.unsigned_abs()) / it.ticks.max(1)
        };
        let peak_bps = self.kept.iter().map(bps).max()?;
        let mut codecs = mp4::video_codecs(setup);
        if let Some(sound) = &self.sound {
            codecs.push(',');
            codecs.push_str(&sound.format().codecs());
        }
        Some(Look { codecs, size: setup.size, peak_bps })
    }

    fn named(&self, name: &str) -> Option<Named> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        if let Some(number) = rest.strip_suffix(".init.mp4") {
            return canonical(number).map(Named::Header);
        }
        let rest = rest.strip_suffix(".m4s")?;
        match rest.split_once('.') {
            None => canonical(rest).map(Named::Segment),
            Some((number, part)) => Some(Named::Part(canonical(number)?, canonical(part)?)),
        }
    }

    /// Changes with each segment and part.
    fn progress(&self) -> (u64, usize) {
        (self.next, self.growing.parts().len())
    }

    fn has_begun(&self) -> bool {
        self.growing.ends().is_some() || (!self.kept.is_empty() && !self.is_break)
    }

    /// Whether a segment that begins at `at` has another time than the end of the one before, although
    /// its pictures may go on: a playlist has no dates that jump without a break (RFC 8216 §4.3.2.6).
    fn is_other_time(&self, at: Timestamp) -> bool {
        self.kept.back().is_some_and(|it| is_clock_set(end_of(it.at, it.ticks), at))
    }

    fn target_ticks(&self) -> i64 {
        self.target_s.map_or(*TARGET_S.end(), u64::cast_signed) * TICKS_PER_S
    }

    fn is_due(&self, picture: &Picture, changed: bool) -> bool {
        let Some((begin, last)) = self.growing.ends() else { return false };
        let length = picture.moment.decode - begin;
        // The next picture is expected as much later as this one; it must not be too late.
        let next = length + (picture.moment.decode - last);
        let too_long = length >= self.target_ticks()
            || next > self.target_ticks() + SLACK
            || self.growing.bytes() >= SEGMENT_BYTES_MAX
            || self.growing.pictures() >= SEGMENT_PICTURES_MAX;
        let after_hole = picture.key && self.is_hole(picture.moment.decode);
        // The group that begins with it is expected to last as long as the one before.
        let group = self.last_key.map_or(0, |before| picture.moment.decode - before);
        let least = if self.is_recorded { SEGMENT_RECORDED_MIN } else { SEGMENT_MIN };
        let is_long = length >= least || (self.is_recorded && length + group > self.target_ticks());
        changed || too_long || after_hole || (picture.key && is_long)
    }

    /// Whether the last picture would be shown for longer than a part may last if it were shown
    /// until then.
    fn is_hole(&self, end: i64) -> bool {
        let ends = self.growing.ends();
        let longest = if self.is_recorded { Some(HOLE_RECORDED) } else { self.part_target.ticks() };
        longest.zip(ends).is_some_and(|(target, (_, last))| end - last > target)
    }

    /// Ends the part that grows before a picture that is decoded at `end`, if it would become
    /// too long with it.
    fn end_part(&mut self, end: i64) {
        if !self.is_recorded && self.is_hole(end) {
            // No key picture follows, so it is no loss: pictures come so rarely now.
            self.part_target = PartTarget::GivenUp;
        }
        if let Some(target) = self.part_target.ticks() {
            self.growing.handle_next(end, target, self.sound.as_mut());
        }
    }

    /// Ends the segment that grows where the next picture is decoded. When that is
    /// much later, since pictures are missing between them, it is a break.
    fn cut(&mut self, end: i64) {
        let Some((begin, last)) = self.growing.ends() else { return };
        let longest = self.target_ticks();
        let is_hole = self.is_hole(end);
        let is_gap = is_hole || end - begin > longest + SLACK;
        let target = self.part_target.ticks();
        let end = match target {
            Some(target) if is_hole => last + self.growing.last_ticks().min(target),
            _ if is_gap => (begin + longest).max(last + 1),
            _ => end,
        };
        self.growing.handle_end(end, target, self.sound.as_mut());
        let made = self.growing.take();
        let (apart, begins_with_key, at) = (made.apart(end), made.begins_with_key(), made.began());
        let (parts, data) = made.into_files();
        let ticks = (end - begin).max(1).unsigned_abs();
        self.kept_bytes += data.len();
        self.kept.push_back(Segment {
            number: self.next,
            header: self.header,
            is_break: std::mem::replace(&mut self.is_break, is_gap),
            begins_with_key,
            begin,
            ticks,
            at,
            parts: if target.is_some() { parts } else { Vec::new() },
            data,
        });
        self.next += 1;
        if self.target_s.is_none() {
            self.target_s = Some(target_of(ticks));
            self.part_target = PartTarget::of(apart);
        }
        self.holes += u32::from(is_hole);
        if !self.is_recorded && self.holes > HOLES_MAX {
            self.part_target = PartTarget::GivenUp;
        }
        self.forget();
    }

    fn forget(&mut self) {
        let most = if self.is_recorded { KEPT_RECORDED } else { KEPT_MAX };
        while self.kept.len() > most || (self.kept_bytes > KEPT_BYTES_MAX && self.kept.len() > 1) {
            let Some(gone) = self.kept.pop_front() else { break };
            self.kept_bytes -= gone.data.len();
            self.breaks_gone += u64::from(gone.is_break);
        }
        let used = self.kept.front().map_or(self.header, |segment| segment.header);
        self.headers.retain(|(number, _)| *number >= used);
    }

    /// Other parameter sets: another header, and a break.
    fn change(&mut self, setup: Option<&Setup>) {
        let Some(setup) = setup else { return };
        let carries = if setup.vps.is_empty() {
            Carries::Avc { setup: setup.clone(), in_band: false }
        } else {
            Carries::Hevc(setup.clone())
        };
        // Sets that no header can be made of leave the stream without a beginning.
        let sound = self.sound.as_ref().map(|sound| sound.format().carries());
        let carries: Vec<Carries> = [carries].into_iter().chain(sound).collect();
        self.is_other_sound = false;
        let Ok(header) = mp4::live_header(&carries) else {
            self.setup = None;
            return;
        };
        let is_first = self.setup.is_none() && self.headers.is_empty();
        self.header += u64::from(!is_first);
        self.is_break |= !self.kept.is_empty();
        self.headers.push_back((self.header, header.into()));
        while self.headers.len() > KEPT_MAX + 1 {
            self.headers.pop_front();
        }
        self.setup = Some(setup.clone());
    }
}

/// The target duration for a stream whose first segment is so long.
fn target_of(ticks: u64) -> u64 {
    let seconds = ticks.div_ceil(TICKS_PER_S.unsigned_abs());
    seconds.clamp(TARGET_S.start().unsigned_abs(), TARGET_S.end().unsigned_abs())
}

/// What the name of a file means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Header(u64),
    Segment(u64),
    Part(u64, u64),
}

/// A number as it is written, and in no other way.
fn canonical(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::testing::{PPS, SPS};
    use crate::cameras::engine::timeline::Moment;
    use crate::cameras::engine::{playlist, subtitles};

    fn setup(size: (u32, u32)) -> Setup {
        let (sps, pps) = (vec![SPS.to_vec()], vec![PPS.to_vec()]);
        Setup { size, sps, pps, ..Setup::default() }
    }

    /// A picture at this number of frames of 40 ms.
    fn picture(n: i64, key: bool, bytes: usize, size: (u32, u32)) -> Picture {
        let at = n * 3_600;
        Picture {
            moment: Moment { decode: at, show: at },
            key,
            data: vec![7; bytes],
            setup: key.then(|| setup(size)),
        }
    }

    fn at(n: i64) -> Timestamp {
        Timestamp::from_unix_us(n * 40_000)
    }

    /// `frames` frames with a key picture each `gop`, from number `from` on.
    fn send(segments: &mut Segments, from: i64, frames: i64, gop: i64, bytes: usize) {
        for n in from..from + frames {
            let key = (n - from) % gop == 0;
            segments.handle(picture(n, key, bytes, (1_280, 720)), at(n));
        }
    }

    fn segments() -> Segments {
        Segments::new("feed".to_owned(), 100)
    }

    fn numbers(segments: &Segments) -> Vec<u64> {
        segments.listed().map(|segment| segment.number).collect()
    }

    #[test]
    fn segments_begin_with_key_pictures_and_last_a_second_or_more() {
        let mut all = segments();
        assert_eq!((playlist::media(&all, false), all.look()), (None, None));
        // Key pictures twice a second: every second one begins a segment.
        send(&mut all, 0, 101, 13, 1_000);
        let lengths: Vec<u64> = all.listed().map(|it| it.ticks / 3_600).collect();
        assert_eq!(lengths, [26, 26, 26]);
        assert!(all.listed().all(|it| it.begins_with_key && !it.is_break));
        assert_eq!(all.target_s(), Some(2));
        let text = playlist::media(&all, false).expect("a playlist");
        for wanted in [
            "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:\
             CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.320000,HOLD-BACK=6.0,CAN-SKIP-UNTIL=12.0\n\
             #EXT-X-PART-INF:PART-TARGET=0.440000\n#EXT-X-MEDIA-SEQUENCE:100\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"feed-0.init.mp4\"\n\
             #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:1.040000,\nfeed-100.m4s\n",
            "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:02.080Z\n\
             #EXT-X-PART:DURATION=0.440000,URI=\"feed-102.0.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.440000,URI=\"feed-102.1.m4s\",INDEPENDENT=YES\n\
             #EXT-X-PART:DURATION=0.160000,URI=\"feed-102.2.m4s\"\n\
             #EXTINF:1.040000,\nfeed-102.m4s\n",
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
        let look = all.look().expect("it has a look");
        assert_eq!((look.codecs.as_str(), look.size), ("avc1.64001f", (1_280, 720)));
        let main = playlist::main(&look, "x/media.m3u8", None);
        assert!(
            main.contains("CODECS=\"avc1.64001f\",RESOLUTION=1280x720\nx/media.m3u8\n"),
            "{main}"
        );
        assert!(!main.contains("SUBTITLES"), "{main}");
        let captions = playlist::CaptionsAt { address: "x/c.m3u8", language: Some("es-PY") };
        let main = playlist::main(&look, "x/media.m3u8", Some(captions));
        let wanted = "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"captions\",NAME=\"es-PY\",\
            LANGUAGE=\"es-PY\",DEFAULT=NO,AUTOSELECT=YES,\
            CHARACTERISTICS=\"public.accessibility.transcribes-spoken-dialog\",URI=\"x/c.m3u8\"\n";
        assert!(main.contains(wanted), "{main}");
        assert!(main.contains(",SUBTITLES=\"captions\"\nx/media.m3u8\n"), "{main}");
        let text = subtitles::playlist(&all).expect("a playlist");
        let wanted = "#EXT-X-MEDIA-SEQUENCE:100\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:1.040000,\nfeed-100.vtt\n";
        assert!(text.contains(wanted) && text.ends_with("feed-102.vtt\n"), "{text}");
        let begins =
            ["feed-100.vtt", "feed-101.vtt"].map(|it| all.captioned(it).map(|it| it.begin));
        assert_eq!(begins, [Some(0), Some(93_600)]);
        for name in ["feed-103.vtt", "feed-0100.vtt", "feed-100.m4s", "other-100.vtt", "100.vtt"] {
            assert_eq!(all.captioned(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let mut all = segments();
        send(&mut all, 0, 25 * 60, 25, 100);
        assert_eq!(numbers(&all), (143..159).collect::<Vec<_>>());
        assert!(all.file("feed-136.m4s").is_none() && all.file("feed-137.m4s").is_some());
        // 20 MiB a second: each segment is cut when it is large, and few are kept.
        let mut large = segments();
        send(&mut large, 0, 25 * 20, 250, 800 << 10);
        assert!(large.kept_bytes <= KEPT_BYTES_MAX && large.listed().count() >= 2);
        assert!(large.kept.iter().all(|it| it.data.len() < SEGMENT_BYTES_MAX + (1 << 20)));
        let text = playlist::media(&large, false).expect("a playlist");
        assert!(
            !text.contains("INDEPENDENT-SEGMENTS"),
            "not every segment begins with a key picture"
        );
    }

    #[test]
    fn the_target_duration_never_changes_and_no_segment_is_longer() {
        let mut all = segments();
        send(&mut all, 0, 25 * 3 + 1, 75, 100);
        assert_eq!(all.target_s(), Some(3));
        send(&mut all, 76, 25 * 60, 10_000, 100);
        assert_eq!(all.target_s(), Some(3));
        assert!(all.listed().all(|it| it.ticks <= 3 * 90_000), "{:?}", all.listed().last());
        let mut endless = segments();
        send(&mut endless, 0, 25 * 60, 10_000, 100);
        assert_eq!(endless.target_s(), Some(10), "no key picture, and segments all the same");
    }

    #[test]
    fn a_camera_with_one_picture_a_second_loses_none() {
        let mut all = segments();
        send(&mut all, 0, 51, 50, 100);
        assert_eq!(all.target_s(), Some(2));
        // A picture each 0.99 seconds, and a key picture after twenty of them.
        for n in 0..40 {
            let at_tick = 51 * 3_600 + n * 89_100;
            let moment = Moment { decode: at_tick, show: at_tick };
            let picture = Picture { moment, ..picture(0, n % 20 == 0, 100, (1_280, 720)) };
            all.handle(picture, Timestamp::from_unix_us(at_tick * 100 / 9));
        }
        assert!(all.listed().all(|it| !it.is_break), "{:?}", playlist::media(&all, false));
    }

    #[test]
    fn missing_pictures_are_a_break_and_make_no_segment_longer() {
        let mut all = segments();
        send(&mut all, 0, 51, 25, 100);
        // Four seconds later, and not with a key picture.
        for n in 150..160 {
            all.handle(picture(n, false, 100, (1_280, 720)), at(n));
        }
        send(&mut all, 160, 26, 25, 100);
        let found: Vec<(u64, bool)> =
            all.listed().map(|it| (it.ticks / 3_600, it.is_break)).collect();
        assert_eq!(found, [(25, false), (25, false), (1, false), (25, true)]);
    }

    #[test]
    fn a_clock_that_is_set_is_a_break_from_the_first_part_on_and_no_picture_is_lost() {
        for (by, is_break) in
            [(90_000, true), (-90_000, true), (250, true), (-250, true), (200, false)]
        {
            let mut all = segments();
            send(&mut all, 0, 51, 25, 100);
            // The pictures go on, 40 ms apart.
            for n in 51..90 {
                all.handle(picture(n, n == 75, 100, (1_280, 720)), at(n + by));
            }
            let growth = all.growth();
            assert_eq!((growth.number, growth.is_break), (103, is_break), "{by}");
            assert!(!growth.parts.is_empty());
            for n in 90..152 {
                all.handle(picture(n, n % 25 == 0, 100, (1_280, 720)), at(n + by));
            }
            let found: Vec<(u64, bool)> =
                all.listed().map(|it| (it.ticks / 3_600, it.is_break)).collect();
            let wanted =
                [(25, false), (25, false), (25, false), (25, is_break), (25, false), (25, false)];
            assert_eq!(found, wanted, "{by}");
            let dated = "#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:";
            let texts = [playlist::media(&all, true), subtitles::playlist(&all)];
            for text in texts.map(|it| it.expect("a playlist")) {
                assert_eq!(text.contains(dated), is_break, "{by}: {text}");
            }
        }
    }

    #[test]
    fn other_parameter_sets_are_a_break_with_a_new_header_and_no_old_one_changes() {
        let mut all = segments();
        send(&mut all, 0, 26, 25, 100);
        let first = all.file("feed-0.init.mp4").expect("a header");
        for n in 26..80 {
            all.handle(picture(n, n % 26 == 0, 100, (640, 360)), at(n));
        }
        assert_eq!(all.file("feed-0.init.mp4").as_ref(), Some(&first));
        assert_ne!(all.file("feed-1.init.mp4").expect("another"), first);
        let breaks: Vec<bool> = all.listed().map(|it| it.is_break).collect();
        // The single picture of the new group was a segment of the old sets.
        assert_eq!(breaks, [false, false, true, false], "{:?}", playlist::media(&all, false));
        send(&mut all, 80, 25 * 30, 25, 100);
        assert!(all.file("feed-0.init.mp4").is_none(), "a header that nothing needs is kept");
        assert_eq!(all.breaks_before(), 2, "the sets were changed back");
    }

    #[test]
    fn after_a_break_the_next_segment_begins_with_a_key_picture() {
        let mut all = segments();
        assert!(!all.handle_break());
        send(&mut all, 0, 30, 25, 100);
        assert!(all.handle_break(), "what was there is a segment");
        for n in 100..110 {
            all.handle(picture(n, false, 100, (1_280, 720)), at(n));
        }
        send(&mut all, 110, 51, 25, 100);
        let found: Vec<(u64, bool, bool)> =
            all.listed().map(|it| (it.number, it.is_break, it.begins_with_key)).collect();
        let wanted =
            [(100, false, true), (101, false, true), (102, true, true), (103, false, true)];
        assert_eq!(found, wanted);
    }

    /// The parts of a recording: of which segment, when its segment began, and how long it is.
    fn taken(all: &Segments, taken: &mut (u64, usize)) -> Vec<(u64, bool, u64)> {
        let mut parts = Vec::new();
        while let Some(piece) = all.recorded(*taken) {
            match piece {
                Piece::End(segment) => *taken = (segment + 1, 0),
                Piece::Part(part) => {
                    *taken = (part.segment, part.place + 1);
                    parts.push((part.segment, part.is_break, part.ticks));
                }
            }
        }
        parts
    }

    #[test]
    fn a_recording_has_parts_of_a_second_from_the_beginning_and_long_segments() {
        for (gop, length) in [(25, 8), (50, 8), (150, 6), (100, 8), (10_000, 10)] {
            let (mut all, mut place, mut parts) = (Segments::to_record(), (0, 0), Vec::new());
            for n in 0..25 * 60 {
                all.handle(picture(n, n % gop == 0, 100, (1_280, 720)), at(n));
                let new = taken(&all, &mut place);
                assert!(new.len() <= 2, "parts come one after the other");
                parts.extend(new);
            }
            assert!(parts.iter().all(|it| !it.1 && it.2 <= 90_000), "{parts:?}");
            let of = |segment| parts.iter().filter(move |it| it.0 == segment).map(|it| it.2);
            for segment in 0..place.0 {
                assert_eq!(of(segment).sum::<u64>(), length * 90_000, "{gop} pictures");
            }
            let missing = 60 * 90_000 - parts.iter().map(|it| it.2).sum::<u64>();
            assert!(missing <= 90_000, "{missing} ticks are not on the disk");
        }
    }

    #[test]
    fn a_recording_of_few_pictures_has_no_gaps_and_one_of_missing_pictures_has() {
        let (mut all, mut place) = (Segments::to_record(), (0, 0));
        // A picture each 1.2 seconds, and a key picture after ten of them.
        for n in 0..40 {
            all.handle(picture(n * 30, n % 10 == 0, 100, (1_280, 720)), at(n * 30));
            let new = taken(&all, &mut place);
            assert!(new.iter().all(|it| !it.1), "{new:?}");
        }
        all.handle(picture(40 * 30 + 200, true, 100, (1_280, 720)), at(40 * 30 + 200));
        assert!(all.handle_break());
        let after = taken(&all, &mut place);
        assert!(after.last().expect("a part").1, "eight seconds are missing: {after:?}");
        // Whoever is slow is told by the numbers that something is gone.
        send(&mut all, 2_000, 25 * 60, 25, 100);
        let Some(Piece::Part(part)) = all.recorded(place) else { panic!("nothing") };
        assert!(part.segment > place.0 + 1 && part.place == 0);
    }

    #[test]
    fn names_that_were_not_given_name_nothing() {
        let mut all = segments();
        send(&mut all, 0, 60, 25, 100);
        assert!(all.file("feed-100.m4s").is_some() && all.file("feed-0.init.mp4").is_some());
        for name in [
            "",
            "feed",
            "feed-",
            "feed-.m4s",
            "feed-0100.m4s",
            "feed-+100.m4s",
            "feed-100.m4s ",
            "feed-100.init.mp4",
            "feed-101.00.m4s",
            "feed-101.9.m4s",
            "feed-100.0.m4s",
            "feed-101.0.0.m4s",
            "food-100.m4s",
            "../feed-100.m4s",
            "feed-99999999999999999999.m4s",
        ] {
            assert!(all.file(name).is_none(), "{name:?}");
        }
    }
}
