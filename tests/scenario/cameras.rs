//! The playlists of cameras, read as players read them.

mod reader;

use bytes::Bytes;
use cabildo::cameras::engine::pictures::Picture;
use cabildo::cameras::engine::playlist;
use cabildo::cameras::engine::reload::{Directives, Place, ReloadInvalid, is_there};
use cabildo::cameras::engine::segments::Segments;
use cabildo::cameras::engine::sound::SoundFormat;
use cabildo::cameras::engine::timeline::Moment;
use cabildo::domain::time::Timestamp;
use cabildo::formats::codec::Setup;
use mp4_atom::{Decode as _, Moof};
use proptest::prelude::*;

use reader::{Player, Playlist};

/// Parameter sets of H.264 for 1280 × 720 pictures of the high profile.
const SPS: &[u8] = &[
    103, 100, 0, 31, 172, 217, 128, 80, 5, 187, 1, 106, 2, 2, 2, 128, 0, 0, 3, 0, 128, 0, 0, 30, 7,
    140, 24, 205,
];
const PPS: &[u8] = &[104, 233, 123, 44, 139];

fn setup(size: (u32, u32)) -> Setup {
    Setup { size, sps: vec![SPS.to_vec()], pps: vec![PPS.to_vec()], ..Setup::default() }
}

/// A camera, its segments, and a player that reads every change of the playlist.
struct Scene {
    segments: Segments,
    /// When the next picture is decoded, in ticks.
    now: i64,
    pictures: i64,
    size: (u32, u32),
    whole: Player,
    saving: Player,
    saved: usize,
    news: usize,
}

impl Scene {
    fn new() -> Self {
        Self {
            segments: Segments::new("feed".to_owned(), 100),
            now: 0,
            pictures: 0,
            size: (1_280, 720),
            whole: Player::default(),
            saving: Player::default(),
            saved: 0,
            news: 0,
        }
    }

    /// A picture that is shown for so many ticks.
    fn picture(&mut self, ticks: i64, key: bool) {
        let picture = Picture {
            moment: Moment { decode: self.now, show: self.now },
            key,
            data: vec![u8::try_from(self.pictures % 251).expect("small"); 200],
            setup: key.then(|| setup(self.size)),
        };
        let at = Timestamp::from_unix_us(self.now * 100 / 9);
        let news = self.segments.handle(picture, at);
        self.now += ticks;
        self.pictures += 1;
        if news {
            self.read();
        }
    }

    /// So many pictures, a key picture first and then each `gop`.
    fn pictures(&mut self, count: i64, ticks: i64, gop: i64) {
        for n in 0..count {
            self.picture(ticks, n % gop == 0);
        }
    }

    /// Both players read what is there now, and know the same afterwards.
    fn read(&mut self) {
        let Some(text) = playlist::media(&self.segments, false) else { return };
        self.news += 1;
        let short = playlist::media(&self.segments, true).expect("the same");
        self.saved += Playlist::read(&short).skipped;
        let saving = self.saving.reload(&short).clone();
        let whole = self.whole.reload(&text).clone();
        // Parts that are too old are not listed again, and whoever read them still knows them.
        let ends = |of: &Playlist| -> Vec<_> {
            of.segments.iter().map(|it| (it.number, it.us, it.uri.clone())).collect()
        };
        assert_eq!(ends(&saving), ends(&whole));
        assert_eq!(saving.hint, whole.hint);
        for segment in &whole.segments {
            let parts: Vec<u8> = segment.parts.iter().flat_map(|it| self.file(&it.uri)).collect();
            match &segment.uri {
                Some(uri) if !segment.parts.is_empty() => assert_eq!(parts, self.file(uri)),
                Some(uri) => assert!(!self.file(uri).is_empty()),
                None => assert!(!parts.is_empty()),
            }
            assert!(self.segments.file(&segment.map).is_some());
        }
        let (segment, part) = whole.next();
        if let Some(hint) = &whole.hint {
            assert_eq!(*hint, format!("feed-{segment}.{part}.m4s"));
            assert!(self.segments.is_hinted(hint) && self.segments.file(hint).is_none());
        }
    }

    fn file(&self, name: &str) -> Vec<u8> {
        self.segments.file(name).unwrap_or_else(|| panic!("{name} is listed")).to_vec()
    }

    fn playlist(&self) -> &Playlist {
        self.whole.read.as_ref().expect("a playlist")
    }

    fn there(&self, segment: u64, part: Option<u64>) -> Result<bool, ReloadInvalid> {
        is_there(&self.segments, Place { segment, part })
    }
}

#[test]
fn parts_have_their_length_and_are_listed_near_the_end_only() {
    for (ticks, gop) in
        [(3_600, 25), (3_000, 60), (6_000, 15), (18_000, 5), (90_000, 1), (7_200, 100)]
    {
        let mut scene = Scene::new();
        scene.pictures(90_000 / ticks * 60, ticks, gop);
        let playlist = scene.playlist();
        let target = playlist.part_target_us.expect("parts");
        assert!(playlist.near_the_end().all(|segment| !segment.parts.is_empty()), "{playlist:?}");
        assert!(playlist.segments[0].parts.is_empty(), "old segments need no parts: {playlist:?}");
        for segment in &playlist.segments {
            let before_last = segment.parts.len().saturating_sub(1);
            for part in segment.parts.iter().take(before_last) {
                assert!(part.us * 100 >= target * 85, "{ticks} ticks: {part:?} of {target}");
            }
            if let Some(first) = segment.parts.first() {
                assert_eq!(first.independent, playlist.independent, "{segment:?}");
            }
        }
        assert!((300_000..=1_100_000).contains(&target), "{ticks} ticks: {target}");
        assert!(scene.saved > 0 || gop == 100, "nothing was ever left out");
    }
}

#[test]
fn a_player_is_told_of_a_part_as_soon_as_it_is_there() {
    let mut scene = Scene::new();
    scene.pictures(25 * 4 + 1, 3_600, 25);
    let (segment, part) = scene.playlist().next();
    let news = scene.news;
    assert_eq!(scene.there(segment, Some(part)), Ok(false));
    scene.pictures(13, 3_600, 50);
    assert!(scene.news > news);
    assert_eq!(scene.there(segment, Some(part)), Ok(true));
    assert_eq!(scene.there(segment, None), Ok(false), "the segment is not whole");
    // A part beyond its segment is the first one of the next.
    assert_eq!(scene.there(segment, Some(part + 4)), Ok(false));
    scene.pictures(26, 3_600, 25);
    assert_eq!(scene.there(segment, Some(part + 4)), Ok(true));
    assert_eq!(scene.there(segment, None), Ok(true));
    assert_eq!(scene.there(0, Some(99)), Ok(true), "long past");
}

#[test]
fn what_is_too_far_ahead_is_refused() {
    let mut scene = Scene::new();
    scene.pictures(25 * 4 + 1, 3_600, 25);
    let (growing, part) = scene.playlist().next();
    assert_eq!(scene.there(growing + 1, None), Ok(false));
    assert_eq!(scene.there(growing + 1, Some(0)), Ok(false));
    for (segment, part) in [
        (growing + 2, None),
        (growing + 2, Some(0)),
        (u64::MAX, Some(u64::MAX)),
        (growing, Some(part + 20)),
        (growing + 1, Some(u64::MAX)),
    ] {
        assert_eq!(scene.there(segment, part), Err(ReloadInvalid::TooFar), "{segment} {part:?}");
    }
}

#[test]
fn a_discontinuity_in_the_window_makes_every_answer_a_whole_playlist() {
    let mut scene = Scene::new();
    scene.pictures(25 * 30, 3_600, 25);
    let short = |scene: &Scene| {
        let text = playlist::media(&scene.segments, true).expect("a playlist");
        Playlist::read(&text).skipped
    };
    assert!(short(&scene) > 0);
    scene.size = (640, 360);
    scene.pictures(26, 3_600, 25);
    assert_eq!(short(&scene), 0);
    let maps: Vec<&str> = scene.playlist().segments.iter().map(|it| it.map.as_str()).collect();
    assert_eq!((maps.first(), maps.last()), (Some(&"feed-0.init.mp4"), Some(&"feed-1.init.mp4")));
    let at_break = scene.playlist().segments.iter().filter(|it| it.is_break).count();
    assert_eq!(at_break, 1);
    scene.pictures(25 * 30, 3_600, 25);
    assert!(short(&scene) > 0, "the break is out of the window");
    assert_eq!(scene.playlist().breaks, 1);
}

#[test]
fn a_camera_that_breaks_off_goes_on_with_parts_behind_a_discontinuity() {
    let mut scene = Scene::new();
    scene.pictures(25 * 6 + 9, 3_600, 25);
    scene.segments.handle_break();
    scene.read();
    scene.now += 10 * 90_000;
    scene.pictures(5, 3_600, 25);
    scene.pictures(40, 3_600, 25);
    let playlist = scene.playlist();
    assert_eq!(playlist.segments.iter().filter(|it| it.is_break).count(), 1);
    assert!(playlist.segments.last().is_some_and(|it| !it.parts.is_empty()));
}

#[test]
fn pictures_that_are_lost_once_are_a_break_and_a_camera_with_few_pictures_has_no_parts() {
    let mut scene = Scene::new();
    scene.pictures(25 * 6, 3_600, 25);
    scene.now += 60_000;
    scene.pictures(25 * 6, 3_600, 25);
    assert_eq!(scene.playlist().segments.iter().filter(|it| it.is_break).count(), 1);
    assert!(scene.playlist().part_target_us.is_some());
    // At night it sends a picture each second.
    scene.pictures(60, 90_000, 30);
    assert_eq!((scene.playlist().part_target_us, &scene.playlist().hint), (None, &None));
    assert!(scene.playlist().segments.iter().all(|it| it.parts.is_empty()));
    let (next, _) = scene.playlist().next();
    assert_eq!(scene.there(next, Some(0)), Ok(false));
    scene.pictures(31, 90_000, 30);
    assert_eq!(scene.there(next, Some(0)), Ok(true), "who waited for a part gets the segment");
}

#[test]
fn directives_are_read_as_they_are_written_and_in_no_other_way() {
    let read = |query: &str| Directives::parse(query);
    let until = |segment, part| Some(Place { segment, part });
    assert_eq!(read(""), Ok(Directives { until: None, skip: false }));
    assert_eq!(read("_HLS_msn=7"), Ok(Directives { until: until(7, None), skip: false }));
    let both = Ok(Directives { until: until(7, Some(3)), skip: true });
    assert_eq!(read("_HLS_msn=7&_HLS_part=3&_HLS_skip=YES"), both);
    assert_eq!(read("x=1&_HLS_skip=v2&_HLS_part=3&_HLS_report=9&_HLS_msn=7"), both);
    assert_eq!(read("_HLS_skip=NO"), Ok(Directives::default()));
    for (query, error) in [
        ("_HLS_part=3", ReloadInvalid::PartWithoutSegment),
        ("_HLS_msn=", ReloadInvalid::Number),
        ("_HLS_msn=-1", ReloadInvalid::Number),
        ("_HLS_msn=%2B1", ReloadInvalid::Number),
        ("_HLS_msn=1.5", ReloadInvalid::Number),
        ("_HLS_msn=99999999999999999999999", ReloadInvalid::Number),
        ("_HLS_msn=1&_HLS_part=x", ReloadInvalid::Number),
        ("_HLS_msn=1&_HLS_msn=1", ReloadInvalid::Query),
        (&"x".repeat(3_000), ReloadInvalid::Query),
    ] {
        assert_eq!(read(query), Err(error), "{query}");
    }
}

proptest! {
    /// Whatever times pictures have, and whichever are key pictures: every playlist keeps to
    /// the rules, and both players know the same.
    #[test]
    fn every_playlist_keeps_to_the_rules(
        pictures in prop::collection::vec((1_i64..60_000, 0_u8..20), 50..400),
        breaks in prop::collection::vec(0_usize..400, 0..4),
    ) {
        let mut scene = Scene::new();
        for (n, (ticks, kind)) in pictures.into_iter().enumerate() {
            if breaks.contains(&n) {
                scene.segments.handle_break();
                scene.read();
            }
            scene.picture(ticks, n == 0 || kind == 0);
        }
    }
}

/// What a fragment has of a track: when it begins, and how long its samples are together.
fn run_of(fragment: &[u8], track: u32) -> Option<(u64, u64)> {
    let moof = Moof::decode(&mut &fragment[..]).expect("a fragment");
    let traf = moof.traf.iter().find(|traf| traf.tfhd.track_id == track)?;
    let begin = traf.tfdt.as_ref().expect("a time").base_media_decode_time;
    let samples = traf.trun.iter().flat_map(|trun| trun.samples.iter());
    Some((begin, samples.map(|sample| u64::from(sample.duration.expect("a length"))).sum()))
}

#[test]
fn sound_is_beside_the_pictures_without_a_hole_whenever_it_comes() {
    let mut scene = Scene::new();
    scene.segments.handle_new_source(Some(SoundFormat::Opus));
    let frame = Bytes::from_static(&[0xFC, 1, 2, 3]);
    for n in 0..25 * 20 {
        scene.picture(3_600, n % 25 == 0);
        // It begins after three seconds, and stops for two.
        if n > 75 && !(200..250).contains(&n) {
            for half in 0..2 {
                let stamp = 5_000 + n * 1_920 + half * 960;
                scene.segments.handle_sound(stamp, &frame, 0, scene.now + half * 1_800);
            }
        }
    }
    let look = scene.segments.look().expect("a look");
    assert_eq!(look.codecs, "avc1.64001f,opus");
    let mut next = None;
    for segment in scene.playlist().segments.iter().filter(|it| !it.parts.is_empty()) {
        for part in &segment.parts {
            let bytes = scene.file(&part.uri);
            let (pictures, length) = run_of(&bytes, 1).expect("pictures");
            if let Some((sound, samples)) = run_of(&bytes, 2) {
                assert!(next.is_none_or(|next| next == sound), "{sound} after {next:?}");
                next = Some(sound + samples);
                // In the same half second as the pictures.
                let behind = (pictures + length) * 8 / 15;
                assert!(behind.abs_diff(sound + samples) <= 24_000 + 1_920, "{behind} {next:?}");
            }
        }
    }
    assert!(next.is_some());
    // Another sound needs another header, and is a break.
    scene.segments.handle_break();
    scene.segments.handle_new_source(None);
    scene.pictures(60, 3_600, 25);
    let last = scene.playlist().segments.last().expect("a segment").map.clone();
    assert_eq!((last.as_str(), scene.playlist().breaks), ("feed-1.init.mp4", 0));
    assert!(scene.playlist().segments.iter().any(|segment| segment.is_break));
    assert_eq!(scene.segments.look().expect("a look").codecs, "avc1.64001f");
}
