//! The combined file: who has the floor is seen, everybody is heard.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cabildo::domain::id::{RecordedTrackId, SessionKey};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::{Container, LackReason, PlayableState};
use cabildo::playable::{FloorTurn, MeetingTimeline, PlayableError};
use cabildo::recorder::repository::PlayableOf;
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::vault::ObjectName;
use tempfile::TempDir;

use crate::playable::files::harm;
use crate::playable::fixture::{Fixture, Trouble};
use crate::playable::media::{Encoded, Source, encode_video, loudness, packets, run, sound, tone};

const START_MS: u64 = 1_700_000_000_000;

/// Red, green and blue in the middle of a picture at this time.
fn colour(file: &Path, at_s: &str) -> [u8; 3] {
    pixel(file, at_s, 640, 300)
}

fn pixel(file: &Path, at_s: &str, x: u32, y: u32) -> [u8; 3] {
    let path = file.to_str().expect("UTF-8");
    let crop = format!("crop=2:2:{x}:{y},scale=1:1");
    let arguments = ["-v", "error", "-ss", at_s, "-i", path, "-frames:v", "1", "-vf", &crop];
    let output = ["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"];
    let bytes = run("ffmpeg", &[&arguments[..], &output].concat());
    bytes.try_into().expect("one pixel")
}

fn is_red([r, g, b]: [u8; 3]) -> bool {
    r > 180 && g < 70 && b < 70
}

fn is_blue([r, g, b]: [u8; 3]) -> bool {
    b > 180 && r < 70 && g < 70
}

/// Ana is red and sounds at 440 Hz from the beginning; Bea is blue, sounds at
/// 1 kHz and comes two seconds later. Ana speaks first, then Bea.
async fn meeting() -> Fixture {
    let fixture = Fixture::new();
    let red = encode_video(Codec::Vp8, "color=c=red:s=640x360:r=25:d=10");
    let blue = encode_video(Codec::H264, "color=c=blue:s=320x180:r=25:d=8");
    let sent = Source::new(Codec::Vp8, 1).send(&red, 0);
    fixture.record("ana", TrackSource::Camera, Codec::Vp8, &sent).await;
    let sent = Source::new(Codec::H264, 2).send(&blue, 2_000_000);
    fixture.record("bea", TrackSource::Camera, Codec::H264, &sent).await;
    let sent = Source::new(Codec::Opus, 3).send(&tone(440, 4), 0);
    fixture.record("ana", TrackSource::Microphone, Codec::Opus, &sent).await;
    let sent = Source::new(Codec::Opus, 4).send(&tone(1_000, 5), 5_000_000);
    fixture.record("bea", TrackSource::Microphone, Codec::Opus, &sent).await;
    let turn = |user: &str, name: &str, from_ms, to_ms| FloorTurn {
        user: user.parse().expect("valid"),
        name: name.to_owned(),
        from_ms: START_MS + from_ms,
        to_ms: START_MS + to_ms,
    };
    let turns = vec![
        turn("ana", "Ana O'Brien: [x]; \\ , %{pts}", 0, 4_480),
        turn("bea", "Bea", 4_480, 8_320),
    ];
    *fixture.timeline.0.lock().expect("sound") = MeetingTimeline { turns, speakers: Vec::new() };
    fixture
}

/// Three seconds of pictures whose key frames say 16383 × 16383 pixels (RFC 6386 §9.1).
fn too_large() -> Vec<Encoded> {
    let mut pictures = encode_video(Codec::Vp8, "color=c=green:s=640x360:r=25:d=3");
    for picture in pictures.iter_mut().filter(|picture| picture.data[0] & 1 == 0) {
        picture.data[6..10].copy_from_slice(&[0xFF, 0x3F, 0xFF, 0x3F]);
    }
    pictures
}

/// Makes a picture unreadable, and leaves what its packets and its file are told by.
fn spoil(codec: Codec, data: &mut [u8]) {
    match codec {
        Codec::H264 => spoil_slices(data),
        Codec::Av1 => spoil_frames(data),
        _ => data.iter_mut().skip(10).for_each(|byte| *byte = 0xFF),
    }
}

/// Parameter sets and the kinds of frames stay; the rest of frames (OBUs of types 3 and 6) does not.
fn spoil_frames(data: &mut [u8]) {
    let mut at = 0;
    while at < data.len() {
        let kind = data[at] >> 3 & 0xF;
        let (mut size, mut shift) = (0, 0);
        at += 1;
        loop {
            let byte = data[at];
            at += 1;
            size |= usize::from(byte & 0x7F) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        if kind == 3 || kind == 6 {
            data[at + 2..at + size].fill(0xFF);
        }
        at += size;
    }
}

/// Parameter sets stay; slices name one that was never sent.
fn spoil_slices(data: &mut [u8]) {
    let starts: Vec<usize> = data
        .windows(4)
        .enumerate()
        .filter(|(_, bytes)| bytes[..3] == [0, 0, 1] && matches!(bytes[3] & 0x1F, 1..=5))
        .map(|(at, _)| at + 4)
        .collect();
    for start in starts {
        // First macroblock 0 and the type of slice, then a number of a parameter set that no
        // stream has.
        let kind = if data[start - 1] & 0x1F == 5 { 0x88 } else { 0x98 };
        for (place, byte) in data.iter_mut().skip(start).enumerate() {
            *byte = [if place == 0 { kind } else { 0 }, 0x20][place % 2];
        }
    }
}

async fn written(fixture: &Fixture) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("combined.mp4");
    std::fs::write(&path, fixture.bytes(PlayableOf::Combined).await).expect("written");
    (directory, path)
}

#[tokio::test]
async fn who_has_the_floor_is_seen_and_everybody_is_heard() {
    let fixture = meeting().await;
    fixture.make(Some("ffmpeg")).await;
    let playable = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    assert_eq!((playable.container, playable.failure), (Container::Mp4, None));
    assert_eq!(playable.media_type, "video/mp4; codecs=\"avc1.4d401f,mp4a.40.2\"");
    assert_eq!(playable.from_ms, START_MS);
    let (_directory, path) = written(&fixture).await;
    let times = packets(&path);
    // 10 s, up to the next step of 640 ms.
    assert_eq!(times.len(), 16 * 16);
    for (n, (at, _)) in times.iter().enumerate() {
        let wanted = f64::from(u32::try_from(n).expect("small")) * 0.04;
        assert!((at - wanted).abs() < 0.002, "{n}: {at}");
    }
    for at in ["0.2", "2.5", "4.3"] {
        assert!(is_red(colour(&path, at)), "{at}: {:?}", colour(&path, at));
    }
    for at in ["4.6", "6.0", "8.2"] {
        assert!(is_blue(colour(&path, at)), "{at}: {:?}", colour(&path, at));
    }
    // Nobody has the floor: side by side.
    assert!(is_red(pixel(&path, "9.0", 320, 360)));
    assert!(is_blue(pixel(&path, "9.0", 960, 360)));
    // The name of who has the floor is written where it belongs.
    let is_dark = |pixel: [u8; 3]| pixel[0] < 140;
    assert!(is_dark(pixel(&path, "2.5", 28, 668)), "{:?}", pixel(&path, "2.5", 28, 668));
    assert!(!is_dark(pixel(&path, "2.5", 28, 500)));
    let sound = sound(&path);
    for tenth in [1, 5, 6, 12, 19, 20, 31, 38] {
        let at = f64::from(tenth) / 10.0;
        assert!(loudness(&sound, at, 440.0) > 0.08, "{at}: {}", loudness(&sound, at, 440.0));
        assert!(loudness(&sound, at, 1_000.0) < 0.01, "{at}");
    }
    for tenth in [51, 60, 63, 64, 70, 83, 90, 98] {
        let at = f64::from(tenth) / 10.0;
        assert!(loudness(&sound, at, 1_000.0) > 0.08, "{at}: {}", loudness(&sound, at, 1_000.0));
        assert!(loudness(&sound, at, 440.0) < 0.01, "{at}");
    }
    assert!(loudness(&sound, 4.4, 440.0) < 0.01);
}

#[tokio::test]
async fn a_screen_fills_the_picture_and_its_speaker_is_small() {
    let fixture = Fixture::new();
    let red = encode_video(Codec::Vp8, "color=c=red:s=640x360:r=25:d=3");
    let sent = Source::new(Codec::Vp8, 1).send(&red, 0);
    fixture.record("ana", TrackSource::Camera, Codec::Vp8, &sent).await;
    let mut blue = encode_video(Codec::Vp9, "color=c=blue:s=1280x720:r=25:d=3");
    // A screen on which nothing moves says something once.
    blue.truncate(1);
    let mut last = blue[0].clone();
    last.at_us = 1_900_000;
    blue.push(last);
    let sent = Source::new(Codec::Vp9, 2).send(&blue, 0);
    fixture.record("ana", TrackSource::Screen, Codec::Vp9, &sent).await;
    let user: cabildo::domain::id::UserId = "ana".parse().expect("valid");
    let (from_ms, to_ms) = (START_MS, START_MS + 3_000);
    fixture.timeline.0.lock().expect("sound").turns =
        vec![FloorTurn { user, name: String::new(), from_ms, to_ms }];
    fixture.make(Some("ffmpeg")).await;
    let playable = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    let (_directory, path) = written(&fixture).await;
    assert!(is_blue(colour(&path, "1.5")), "{:?}", colour(&path, "1.5"));
    let small = pixel(&path, "1.5", 1_100, 600);
    assert!(is_red(small), "{small:?}");
    assert!(is_red(colour(&path, "2.6")), "{:?}", colour(&path, "2.6"));
}

#[tokio::test]
async fn sound_that_begins_just_after_a_scene_is_not_part_of_it() {
    let fixture = meeting().await;
    // The second scene begins after 4.48 s; this sound says that it was there before.
    let sent = Source::new(Codec::Opus, 5).send(&tone(2_000, 1), 4_500_000);
    let late = fixture.record("carla", TrackSource::Microphone, Codec::Opus, &sent).await;
    for segment in fixture.repository.segments.lock().expect("sound").iter_mut() {
        segment.from_ms -= if segment.track == late { 300 } else { 0 };
    }
    fixture.make(Some("ffmpeg")).await;
    let playable = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    let (_directory, path) = written(&fixture).await;
    let sound = sound(&path);
    assert!(loudness(&sound, 4.3, 2_000.0) < 0.01);
    assert!(loudness(&sound, 5.2, 2_000.0) > 0.08, "{}", loudness(&sound, 5.2, 2_000.0));
}

#[tokio::test]
async fn tracks_that_can_not_be_decoded_are_left_out() {
    let fixture = meeting().await;
    let garbage = too_large();
    let sent = Source::new(Codec::Vp8, 5).send(&garbage, 0);
    let camera = fixture.record("mallory", TrackSource::Camera, Codec::Vp8, &sent).await;
    let sent = Source::new(Codec::Vp8, 6).send(&garbage, 5_000_000);
    let screen = fixture.record("bea", TrackSource::Screen, Codec::Vp8, &sent).await;
    let mut noise = tone(440, 3);
    for packet in &mut noise {
        // Opus packets of many frames whose lengths do not fit.
        packet.data = vec![0xFF; 2];
    }
    let sent = Source::new(Codec::Opus, 7).send(&noise, 0);
    let microphone = fixture.record("mallory", TrackSource::Microphone, Codec::Opus, &sent).await;
    // Nobody has the floor until Bea's turn: side by side.
    fixture.timeline.0.lock().expect("sound").turns.remove(0);
    fixture.make(Some("ffmpeg")).await;
    for track in [camera, screen, microphone] {
        let playable = fixture.playable(PlayableOf::Track(track)).await;
        assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    }
    let playable = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    let (_directory, path) = written(&fixture).await;
    assert_eq!(packets(&path).len(), 16 * 16);
    assert!(is_red(colour(&path, "1.0")), "{:?}", colour(&path, "1.0"));
    assert!(is_blue(colour(&path, "6.0")), "{:?}", colour(&path, "6.0"));
    let sound = sound(&path);
    assert!(loudness(&sound, 1.0, 440.0) > 0.08, "{}", loudness(&sound, 1.0, 440.0));
    assert!(loudness(&sound, 6.0, 1_000.0) > 0.08, "{}", loudness(&sound, 6.0, 1_000.0));
    // It says what it lacks: nothing but these, no longer than they were there.
    let lacking: BTreeSet<RecordedTrackId> = playable.lacks.iter().map(|it| it.track).collect();
    assert_eq!(lacking, BTreeSet::from([camera, screen, microphone]));
    for lack in &playable.lacks {
        assert_eq!(lack.reason, LackReason::Undecodable);
        let begin = START_MS + if lack.track == screen { 5_000 } else { 0 };
        assert!(lack.from_ms >= begin && lack.from_ms < begin + 700, "{lack:?}");
        assert!(lack.to_ms > begin + 2_300 && lack.to_ms <= begin + 3_700, "{lack:?}");
    }
}

/// The picture data of these codecs, made unreadable behind the headers by which files name them.
#[tokio::test]
async fn broken_pictures_of_every_codec_are_left_out_and_told() {
    for codec in [Codec::H264, Codec::Vp9, Codec::Av1] {
        let fixture = meeting().await;
        fixture.timeline.0.lock().expect("sound").turns.clear();
        let mut pictures = encode_video(codec, "color=c=green:s=640x360:r=25:d=3");
        for picture in &mut pictures {
            spoil(codec, &mut picture.data);
        }
        let sent = Source::new(codec, 5).send(&pictures, 0);
        let broken = fixture.record("mallory", TrackSource::Camera, codec, &sent).await;
        fixture.make(Some("ffmpeg")).await;
        let track = fixture.playable(PlayableOf::Track(broken)).await;
        assert_eq!(track.state, PlayableState::Ready, "{codec:?}: {:?}", track.failure);
        let combined = fixture.playable(PlayableOf::Combined).await;
        assert_eq!(combined.state, PlayableState::Ready, "{codec:?}: {:?}", combined.failure);
        let lacking: BTreeSet<_> = combined.lacks.iter().map(|it| (it.track, it.reason)).collect();
        let expected = BTreeSet::from([(broken, LackReason::Undecodable)]);
        assert_eq!(lacking, expected, "{codec:?}");
        let (_directory, path) = written(&fixture).await;
        assert!(is_red(colour(&path, "1.0")), "{codec:?}: {:?}", colour(&path, "1.0"));
    }
}

/// A program that runs ffmpeg, except that each of the first `times` runs that only look whether
/// a track can be decoded ends as `ending` says.
fn interrupted_ffmpeg(directory: &Path, times: u32, ending: &str) -> String {
    let (program, count) = (directory.join("ffmpeg"), directory.join("count"));
    let count = count.display();
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *framecrc*)\n  n=$(cat {count} 2>/dev/null || echo 0)\n  \
         echo $((n + 1)) >{count}; if [ \"$n\" -lt {times} ]; then {ending}; fi ;;\nesac\n\
         exec ffmpeg \"$@\"\n"
    );
    std::fs::write(&program, text).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("set");
    program.to_str().expect("UTF-8").to_owned()
}

#[tokio::test]
async fn tracks_that_are_decoded_are_not_looked_at_again() {
    let fixture = meeting().await;
    let directory = tempfile::tempdir().expect("a directory");
    fixture.make(Some(&interrupted_ffmpeg(directory.path(), 0, ":"))).await;
    let combined = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(combined.state, PlayableState::Ready, "{:?}", combined.failure);
    assert_eq!(combined.lacks, []);
    assert!(!directory.path().join("count").exists());
}

#[tokio::test]
async fn a_good_track_is_not_left_out_because_the_program_was_interrupted() {
    for ending in ["kill -KILL $$", "echo 'Cannot allocate memory' >&2; exit 1"] {
        let fixture = meeting().await;
        fixture.timeline.0.lock().expect("sound").turns.clear();
        let sent = Source::new(Codec::Vp8, 5).send(&too_large(), 0);
        let broken = fixture.record("mallory", TrackSource::Camera, Codec::Vp8, &sent).await;
        let directory = tempfile::tempdir().expect("a directory");
        fixture.make(Some(&interrupted_ffmpeg(directory.path(), 1, ending))).await;
        let count = std::fs::read_to_string(directory.path().join("count")).expect("interrupted");
        assert!(count.trim().parse::<u32>().expect("a number") > 1, "tried again");
        let combined = fixture.playable(PlayableOf::Combined).await;
        assert_eq!(combined.state, PlayableState::Ready, "{ending}: {:?}", combined.failure);
        assert!(
            combined.lacks.iter().all(|it| it.track == broken),
            "{ending}: {:?}",
            combined.lacks
        );
        assert!(!combined.lacks.is_empty(), "{ending}");
        let (_directory, path) = written(&fixture).await;
        assert!(is_red(colour(&path, "1.0")), "{ending}: {:?}", colour(&path, "1.0"));
    }
}

#[tokio::test]
async fn killed_between_scenes_it_continues_with_the_next() {
    let fixture = meeting().await;
    fixture.make(None).await;
    // Four single files are ready; the combined one is tried anew.
    let mut combined = fixture.playable(PlayableOf::Combined).await;
    combined.state = PlayableState::Waiting;
    combined.failure = None;
    fixture
        .repository
        .put_playable(SessionKey::new(fixture.tenant, fixture.session), &combined)
        .await
        .expect("kept");
    // The parts of the second scene are not there yet.
    fixture.vault.expect_trouble(Some(Trouble::HangAfter(3)));
    let playables = fixture.playables(Some("ffmpeg"));
    fixture.vault.hanging.notified().await;
    drop(playables);
    tokio::task::yield_now().await;
    let stored = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(stored.state, PlayableState::Building);
    let before = fixture.vault.objects.lock().expect("sound").clone();
    let playables = fixture.playables(Some("ffmpeg"));
    playables.idle().await;
    playables.shutdown().await;
    let ready = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(ready.state, PlayableState::Ready, "{:?}", ready.failure);
    let after = fixture.vault.objects.lock().expect("sound").clone();
    for part in 1..stored.parts.len() as u64 {
        let name =
            ObjectName::part(SessionKey::new(fixture.tenant, fixture.session), ready.id, part);
        assert!(before[name.as_str()] == after[name.as_str()], "{part} was made again");
    }
    let (_directory, path) = written(&fixture).await;
    assert_eq!(packets(&path).len(), 16 * 16);
    assert!(is_red(colour(&path, "1.0")));
    assert!(is_blue(colour(&path, "6.0")));
}

#[tokio::test]
async fn a_program_that_is_none_is_told() {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Opus, 1).send(&tone(440, 1), 0);
    let track: RecordedTrackId =
        fixture.record("ana", TrackSource::Microphone, Codec::Opus, &sent).await;
    fixture.make(Some("/nowhere/ffmpeg")).await;
    let combined = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(combined.state, PlayableState::Failed);
    assert!(combined.failure.expect("a reason").starts_with("ffmpeg can't be started"));
    assert_eq!(fixture.playable(PlayableOf::Track(track)).await.state, PlayableState::Ready);
}

#[tokio::test]
async fn a_combined_file_that_was_lost_with_one_of_a_track_is_made_anew_of_the_segments() {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Opus, 1).send(&tone(440, 2), 0);
    let track = fixture.record("ana", TrackSource::Microphone, Codec::Opus, &sent).await;
    let sent = Source::new(Codec::Opus, 2).send(&tone(1_000, 2), 0);
    let other = fixture.record("bea", TrackSource::Microphone, Codec::Opus, &sent).await;
    let key = SessionKey::new(fixture.tenant, fixture.session);
    fixture.make(Some("ffmpeg")).await;
    let combined = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(combined.state, PlayableState::Ready, "{:?}", combined.failure);
    let of_track = fixture.playable(PlayableOf::Track(track)).await;
    let of_other = fixture.playable(PlayableOf::Track(other)).await;
    let whole = fixture.bytes(PlayableOf::Track(track)).await;
    harm(&fixture, &ObjectName::part(key, combined.id, 1), "cut");
    harm(&fixture, &ObjectName::part(key, of_track.id, 1), "changed");
    let playables = fixture.playables(Some("ffmpeg"));
    playables.idle().await;
    let size = combined.parts.iter().sum();
    let read = playables.reading().read(key, &combined, 0..size).await;
    assert_eq!(read.map(|_| ()), Err(PlayableError::NotReady));
    playables.idle().await;
    playables.shutdown().await;
    assert_eq!(fixture.damaged.problem(), None);
    let anew = fixture.playable(PlayableOf::Combined).await;
    assert_eq!((anew.id, anew.state), (combined.id, PlayableState::Ready), "{:?}", anew.failure);
    assert_eq!((anew.duration_ms, anew.lacks), (combined.duration_ms, vec![]));
    assert!(!fixture.bytes(PlayableOf::Combined).await.is_empty());
    assert!(fixture.bytes(PlayableOf::Track(track)).await == whole);
    assert_eq!(fixture.playable(PlayableOf::Track(other)).await, of_other, "what is whole stays");
}
