//! Segments of a camera's stream, as HLS plays them (RFC 8216): pictures from one
//! key picture to a later one, in fragmented MP4. The last ones are kept in
//! memory.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::cameras::engine::pictures::Picture;
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::domain::time::Timestamp;
use crate::formats::codec::Setup;
use crate::formats::mp4::{self, Carries, Run, RunSample};

/// Segments that a playlist lists. Raising it lets players fall further behind.
pub const LISTED: usize = 6;
/// Segments that are kept: a player that read a playlist still finds what it
/// listed, and memory is used for each.
const KEPT_MAX: usize = 2 * LISTED;
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
/// How much longer than the target duration a segment may be: rounded, it is not.
const SLACK: i64 = TICKS_PER_S * 2 / 5;
/// Least time for which a picture is shown, in ticks.
const PICTURE_TICKS_MIN: i64 = 1;

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
    /// How long it plays, in ticks.
    pub ticks: u64,
    /// When its first picture came.
    pub at: Timestamp,
    /// Its bytes.
    pub data: Bytes,
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

/// The segments of one camera.
#[derive(Debug)]
pub struct Segments {
    prefix: String,
    setup: Option<Setup>,
    headers: VecDeque<(u64, Bytes)>,
    header: u64,
    next: u64,
    target_s: Option<u64>,
    kept: VecDeque<Segment>,
    kept_bytes: usize,
    breaks_gone: u64,
    /// Pictures of the segment that grows, and when the first of them came.
    growing: Vec<Arc<Picture>>,
    growing_bytes: usize,
    began: Timestamp,
    is_break: bool,
    fragments: u32,
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
            kept: VecDeque::new(),
            kept_bytes: 0,
            breaks_gone: 0,
            growing: Vec::new(),
            growing_bytes: 0,
            began: Timestamp::from_unix_us(0),
            is_break: false,
            fragments: 0,
        }
    }

    /// The next picture, which came at `at`. `true` when a segment was added.
    pub fn handle(&mut self, picture: impl Into<Arc<Picture>>, at: Timestamp) -> bool {
        let picture = picture.into();
        let before = self.next;
        let changed = picture.setup.is_some() && picture.setup != self.setup;
        if self.is_due(&picture, changed) {
            self.cut(picture.moment.decode);
        }
        if changed {
            self.change(picture.setup.as_ref());
        }
        if self.setup.is_some() && (self.has_begun() || picture.key) {
            if self.growing.is_empty() {
                self.began = at;
            }
            self.growing_bytes += picture.data.len();
            self.growing.push(picture);
        }
        self.next > before
    }

    /// The stream broke off. What it had is a segment, and the next one does not go
    /// on from it. `true` when a segment was added.
    pub fn handle_break(&mut self) -> bool {
        let before = self.next;
        if let Some(last) = self.growing.last() {
            self.cut(last.moment.decode + TICKS_PER_S / 25);
        }
        self.is_break = !self.kept.is_empty();
        // Whatever comes then begins with a key picture.
        self.growing.clear();
        self.next > before
    }

    /// The segments that a playlist lists, the oldest first.
    pub fn listed(&self) -> impl Iterator<Item = &Segment> {
        self.kept.iter().skip(self.kept.len().saturating_sub(LISTED))
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

    /// The file of a segment or header.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Bytes> {
        let rest = name.strip_prefix(&self.prefix)?.strip_prefix('-')?;
        if let Some(number) = rest.strip_suffix(".init.mp4") {
            let number: u64 = canonical(number)?;
            return self.headers.iter().find(|it| it.0 == number).map(|it| it.1.clone());
        }
        let number: u64 = canonical(rest.strip_suffix(".m4s")?)?;
        self.kept.iter().find(|it| it.number == number).map(|it| it.data.clone())
    }

    /// The name of a segment's file.
    #[must_use]
    pub fn name(&self, segment: &Segment) -> String {
        format!("{}-{}.m4s", self.prefix, segment.number)
    }

    /// The name of the file with a segment's header.
    #[must_use]
    pub fn header_name(&self, segment: &Segment) -> String {
        format!("{}-{}.init.mp4", self.prefix, segment.header)
    }

    /// What the stream looks like, once there is a segment.
    #[must_use]
    pub fn look(&self) -> Option<Look> {
        let setup = self.setup.as_ref()?;
        let bps = |it: &Segment| {
            (it.data.len() as u64).saturating_mul(8 * TICKS_PER_S.unsigned_abs()) / it.ticks.max(1)
        };
        let peak_bps = self.kept.iter().map(bps).max()?;
        Some(Look { codecs: mp4::avc_codecs(setup, false), size: setup.size, peak_bps })
    }

    const fn has_begun(&self) -> bool {
        !self.growing.is_empty() || (!self.kept_is_empty() && !self.is_break)
    }

    const fn kept_is_empty(&self) -> bool {
        self.kept_bytes == 0
    }

    fn target_ticks(&self) -> i64 {
        self.target_s.map_or(*TARGET_S.end(), u64::cast_signed) * TICKS_PER_S
    }

    fn is_due(&self, picture: &Picture, changed: bool) -> bool {
        let ends = self.growing.first().zip(self.growing.last());
        let Some((first, last)) = ends else { return false };
        let length = picture.moment.decode - first.moment.decode;
        // The next picture is expected as much later as this one; it must not be too late.
        let next = length + (picture.moment.decode - last.moment.decode);
        let too_long = length >= self.target_ticks()
            || next > self.target_ticks() + SLACK
            || self.growing_bytes >= SEGMENT_BYTES_MAX
            || self.growing.len() >= SEGMENT_PICTURES_MAX;
        changed || too_long || (picture.key && length >= SEGMENT_MIN)
    }

    /// Ends the segment that grows where the next picture is decoded. When that is
    /// much later, since pictures are missing between them, it is a break.
    fn cut(&mut self, end: i64) {
        let pictures = std::mem::take(&mut self.growing);
        self.growing_bytes = 0;
        let Some(first) = pictures.first() else { return };
        let (begin, begins_with_key) = (first.moment.decode, first.key);
        let last = pictures.last().map_or(begin, |picture| picture.moment.decode);
        let longest = self.target_ticks();
        let is_gap = end - begin > longest + SLACK;
        let end = if is_gap { (begin + longest).max(last + PICTURE_TICKS_MIN) } else { end };
        let ends: Vec<i64> =
            pictures.iter().skip(1).map(|picture| picture.moment.decode).chain([end]).collect();
        let samples = pictures.into_iter().zip(&ends).map(|(picture, end)| RunSample {
            ticks: ticks((*end - picture.moment.decode).max(PICTURE_TICKS_MIN)),
            offset: ticks(picture.moment.show - picture.moment.decode),
            key: picture.key,
            data: Arc::unwrap_or_clone(picture).data,
        });
        let run = Run { track: 1, at: begin.unsigned_abs(), samples: samples.collect() };
        self.fragments = self.fragments.wrapping_add(1);
        let mut data = Vec::new();
        // Only a fragment beyond 2 GiB can't be written.
        if mp4::fragment(self.fragments, &[run], &mut data).is_err() {
            self.is_break = true;
            return;
        }
        let length = (end - begin).max(PICTURE_TICKS_MIN).unsigned_abs();
        self.target_s.get_or_insert_with(|| target_of(length));
        self.kept_bytes += data.len();
        self.kept.push_back(Segment {
            number: self.next,
            header: self.header,
            is_break: std::mem::replace(&mut self.is_break, is_gap),
            begins_with_key,
            ticks: length,
            at: self.began,
            data: data.into(),
        });
        self.next += 1;
        self.forget();
    }

    fn forget(&mut self) {
        while self.kept.len() > KEPT_MAX
            || (self.kept_bytes > KEPT_BYTES_MAX && self.kept.len() > 1)
        {
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
        let carries = Carries::Avc { setup: setup.clone(), in_band: false };
        // Sets that no header can be made of leave the stream without a beginning.
        let Ok(header) = mp4::live_header(&[carries]) else {
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

fn ticks(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

/// A number as it is written, and in no other way.
fn canonical(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::playlist;
    use crate::cameras::engine::testing::{PPS, SPS};
    use crate::cameras::engine::timeline::Moment;

    fn setup(size: (u32, u32)) -> Setup {
        let (sps, pps) = (vec![SPS.to_vec()], vec![PPS.to_vec()]);
        Setup { size, sps, pps, private: Vec::new() }
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
        assert_eq!((playlist::media(&all), all.look()), (None, None));
        // Key pictures twice a second: every second one begins a segment.
        send(&mut all, 0, 101, 13, 1_000);
        let lengths: Vec<u64> = all.listed().map(|it| it.ticks / 3_600).collect();
        assert_eq!(lengths, [26, 26, 26]);
        assert!(all.listed().all(|it| it.begins_with_key && !it.is_break));
        assert_eq!(all.target_s(), Some(2));
        let text = playlist::media(&all).expect("a playlist");
        let wanted = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:100\n\
            #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"feed-0.init.mp4\"\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:00.000Z\n#EXTINF:1.040000,\nfeed-100.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01.040Z\n#EXTINF:1.040000,\nfeed-101.m4s\n\
            #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:02.080Z\n#EXTINF:1.040000,\nfeed-102.m4s\n";
        assert_eq!(text, wanted);
        let look = all.look().expect("it has a look");
        assert_eq!((look.codecs.as_str(), look.size), ("avc1.64001f", (1_280, 720)));
        let main = playlist::main(&look, "x/media.m3u8");
        assert!(
            main.contains("CODECS=\"avc1.64001f\",RESOLUTION=1280x720\nx/media.m3u8\n"),
            "{main}"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_by_number_and_by_bytes() {
        let mut all = segments();
        send(&mut all, 0, 25 * 60, 25, 100);
        assert_eq!(numbers(&all), (153..159).collect::<Vec<_>>());
        assert!(all.file("feed-146.m4s").is_none() && all.file("feed-147.m4s").is_some());
        // 20 MiB a second: each segment is cut when it is large, and few are kept.
        let mut large = segments();
        send(&mut large, 0, 25 * 20, 250, 800 << 10);
        assert!(large.kept_bytes <= KEPT_BYTES_MAX && large.listed().count() >= 2);
        assert!(large.kept.iter().all(|it| it.data.len() < SEGMENT_BYTES_MAX + (1 << 20)));
        let text = playlist::media(&large).expect("a playlist");
        assert!(!text.contains("INDEPENDENT"), "not every segment begins with a key picture");
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
        assert!(all.listed().all(|it| !it.is_break), "{:?}", playlist::media(&all));
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
        assert_eq!(found, [(25, false), (25, false), (50, false), (25, true)]);
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
        assert_eq!(breaks, [false, false, true, false], "{:?}", playlist::media(&all));
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
            "food-100.m4s",
            "../feed-100.m4s",
            "feed-99999999999999999999.m4s",
        ] {
            assert!(all.file(name).is_none(), "{name:?}");
        }
    }
}
