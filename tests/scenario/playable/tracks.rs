//! Journals of one track become a file that decodes, frame by frame, at the
//! right times.

use std::path::PathBuf;

use bytes::Bytes;
use cabildo::domain::media::Codec;
use cabildo::playable::{PlayableError, TrackFile, TrackSurvey};
use cabildo::recorder::journal::{JournalWriter, SENDER_REPORT_BYTES, SideEvent};
use tempfile::TempDir;

use crate::playable::media::{
    Encoded, START_US, Sent, Source, brightness, clock_light, journals, loudness, packets,
    reordered, run, sound, telephone_tone, tone, video,
};

/// Makes the file of these journals.
fn build(codec: Codec, journals: &[Vec<u8>]) -> Result<(TrackFile, Vec<u8>), PlayableError> {
    let mut survey = TrackSurvey::new(codec);
    for journal in journals {
        survey.handle_segment(journal)?;
    }
    let mut writer = survey.writer();
    let mut body = Vec::new();
    for journal in journals {
        writer.handle_segment(&Bytes::copy_from_slice(journal), &mut body)?;
    }
    let file = writer.finish(&mut body)?;
    let whole = [file.header.clone(), body].concat();
    Ok((file, whole))
}

/// Makes the file and writes it where ffmpeg can see it.
fn file(codec: Codec, sent: &[Sent]) -> (TempDir, PathBuf, TrackFile) {
    let (file, bytes) = build(codec, &journals(codec, sent)).expect("can be made");
    let directory = tempfile::tempdir().expect("a directory");
    let name = if codec == Codec::H264 { "file.mp4" } else { "file.webm" };
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).expect("written");
    // Every file is accepted without a word.
    let said = run("ffprobe", &["-v", "warning", "-show_streams", path.to_str().expect("UTF-8")]);
    assert!(!said.is_empty());
    (directory, path, file)
}

fn near(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

const VIDEO: [Codec; 4] = [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1];

#[test]
fn every_frame_of_every_codec_is_there_at_its_time() {
    for codec in VIDEO {
        let frames = video(codec, "320x240", 6);
        let sent = Source::new(codec, 1).send(&frames, 0);
        let (_directory, path, file) = file(codec, &sent);
        assert!(
            file.from_us.abs_diff(START_US.cast_signed()) <= 1_000,
            "{codec}: {}",
            file.from_us
        );
        assert!(file.duration_us.abs_diff(6_000_000) <= 2_000, "{codec}: {}", file.duration_us);
        let packets = packets(&path);
        assert_eq!(packets.len(), 150, "{codec}");
        let seen = brightness(&path);
        assert_eq!(seen.len(), 150, "{codec}");
        for (n, (at, light)) in seen.into_iter().enumerate() {
            let wanted = f64::from(u32::try_from(n).expect("small")) * 0.04;
            assert!(near(at, wanted, 0.002), "{codec} {n}: {at}");
            assert!(near(light, clock_light(n), 4.0), "{codec} {n}: {light}");
        }
    }
}

#[test]
fn pictures_with_b_frames_are_shown_when_their_sender_says() {
    let frames = reordered("320x240", 6);
    let mut source = Source::new(Codec::H264, 1);
    let mut sent = Vec::new();
    for (frame, n) in frames.iter().zip(0_u64..) {
        for (mut packet, part) in source.send(std::slice::from_ref(frame), 0).into_iter().zip(0..) {
            // It comes when it is sent, and not when it is shown.
            packet.at_us = n * 40_000 + part * 200;
            sent.push(packet);
        }
    }
    let (_directory, path, file) = file(Codec::H264, &sent);
    assert!(file.duration_us.abs_diff(6_000_000) <= 45_000, "{}", file.duration_us);
    let mut shown: Vec<f64> = packets(&path).into_iter().map(|(at, _)| at).collect();
    assert_eq!(shown.len(), frames.len());
    assert!(!shown.is_sorted(), "they are sent in another order");
    shown.sort_by(f64::total_cmp);
    for pair in shown.windows(2) {
        assert!(near(pair[1] - pair[0], 0.04, 0.002), "{pair:?}");
    }
    let seen = brightness(&path);
    assert_eq!(seen.len(), frames.len());
    // Where a picture is shown before it is decoded, ffmpeg shows all of them later by as much.
    let first = seen[0].0;
    assert!((0.0..=0.045).contains(&first), "{first}");
    for (n, (at, light)) in seen.into_iter().enumerate() {
        let wanted = first + f64::from(u32::try_from(n).expect("small")) * 0.04;
        assert!(near(light, clock_light(n), 4.0), "{n}: {light}");
        assert!(near(at, wanted, 0.003), "{n}: {at}");
    }
}

#[test]
fn sound_of_telephones_is_heard_in_a_file_that_browsers_play() {
    for codec in [Codec::Pcmu, Codec::Pcma] {
        let sent = Source::new(codec, 1).send(&telephone_tone(codec, 440, 3), 0);
        let (_directory, path, file) = file(codec, &sent);
        assert_eq!(file.media_type, "audio/webm; codecs=\"opus\"", "{codec}");
        assert!(file.duration_us.abs_diff(3_000_000) <= 2_000, "{codec}: {}", file.duration_us);
        let heard = sound(&path);
        for at_s in [0.5, 1.5, 2.5] {
            assert!(loudness(&heard, at_s, 440.0) > 0.05, "{codec} at {at_s}");
            assert!(loudness(&heard, at_s, 1_500.0) < 0.01, "{codec} at {at_s}");
        }
    }
}

#[test]
fn media_types_name_the_codec() {
    let of = |codec| {
        let sent = if codec == Codec::Opus {
            Source::new(codec, 1).send(&tone(440, 1), 0)
        } else {
            Source::new(codec, 1).send(&video(codec, "320x240", 1), 0)
        };
        file(codec, &sent).2.media_type
    };
    assert_eq!(of(Codec::Opus), "audio/webm; codecs=\"opus\"");
    assert_eq!(of(Codec::Vp8), "video/webm; codecs=\"vp8\"");
    assert_eq!(of(Codec::Vp9), "video/webm; codecs=\"vp9\"");
    assert!(of(Codec::Av1).starts_with("video/webm; codecs=\"av01.0.0"), "{}", of(Codec::Av1));
    assert!(of(Codec::H264).starts_with("video/mp4; codecs=\"avc1.42c0"), "{}", of(Codec::H264));
}

#[test]
fn packets_that_come_late_twice_or_as_padding_change_nothing() {
    for codec in VIDEO {
        let frames = video(codec, "320x240", 3);
        let mut source = Source::new(codec, 1);
        let clean = source.send(&frames, 0);
        let mut rough = clean.clone();
        // One in seven is retransmitted 60 ms later, one in eleven comes twice.
        for (n, sent) in rough.iter_mut().enumerate() {
            if n % 7 == 3 {
                sent.at_us += 60_000;
            }
        }
        let twice: Vec<Sent> = rough.iter().step_by(11).cloned().collect();
        rough.extend(twice);
        rough.sort_by_key(|sent| sent.at_us);
        let (_, a) = build(codec, &journals(codec, &clean)).expect("can be made");
        let (_, b) = build(codec, &journals(codec, &rough)).expect("can be made");
        assert!(a == b, "{codec}");
    }
}

#[test]
fn padding_takes_a_number_and_no_place() {
    let frames = video(Codec::Vp8, "320x240", 2);
    let mut source = Source::new(Codec::Vp8, 1);
    let mut sent = source.send(&frames[..25], 0);
    for n in 0..5 {
        let mut padding = source.packet(960_000, false, &[0, 0, 0, 4]);
        padding[0] |= 0x20;
        sent.push(Sent { at_us: 970_000 + n, packet: padding });
    }
    sent.extend(source.send(&frames[25..], 0));
    let (_directory, path, _) = file(Codec::Vp8, &sent);
    assert_eq!(brightness(&path).len(), 50);
}

#[test]
fn after_a_loss_nothing_is_shown_until_the_next_key_frame() {
    for codec in VIDEO {
        let frames = video(codec, "320x240", 4);
        let mut source = Source::new(codec, 1);
        let mut sent = source.send(&frames, 0);
        // All of frame 35 is lost; the next key frame is frame 50.
        sent.retain(|sent| !(1_400_000..1_440_000).contains(&sent.at_us));
        let (_directory, path, _) = file(codec, &sent);
        let seen = brightness(&path);
        let shown: Vec<usize> = (0..35).chain(50..100).collect();
        assert_eq!(seen.len(), shown.len(), "{codec}");
        for ((at, light), n) in seen.into_iter().zip(shown) {
            let wanted = f64::from(u32::try_from(n).expect("small")) * 0.04;
            assert!(near(at, wanted, 0.002), "{codec} {n}: {at}");
            assert!(near(light, clock_light(n), 4.0), "{codec} {n}: {light}");
        }
    }
}

#[test]
fn another_layer_plays_on_in_the_same_file_at_its_time() {
    for codec in VIDEO {
        let small = video(codec, "320x240", 2);
        let large: Vec<Encoded> = video(codec, "640x480", 2);
        let mut sent = Source::new(codec, 1).send(&small, 0);
        let mut second = Source::new(codec, 2);
        second.timestamp = 77;
        sent.extend(second.send(&large, 2_000_000));
        // Nothing in between, then the encoder starts anew, muted for a minute.
        let mut third = Source::new(codec, 3);
        third.sequence = 5;
        sent.extend(third.send(&small, 64_000_000));
        let (_directory, path, file) = file(codec, &sent);
        assert!(file.duration_us.abs_diff(66_000_000) <= 2_000, "{codec}: {}", file.duration_us);
        let seen = brightness(&path);
        assert_eq!(seen.len(), 150, "{codec}");
        for (n, (at, light)) in seen.into_iter().enumerate() {
            let pause = if n < 100 { 0.0 } else { 60.0 };
            let wanted = f64::from(u32::try_from(n).expect("small")) * 0.04 + pause;
            assert!(near(at, wanted, 0.003), "{codec} {n}: {at}");
            assert!(near(light, clock_light(n), 4.0), "{codec} {n}: {light}");
        }
    }
}

#[test]
fn sound_keeps_its_time_across_a_gap() {
    let mut source = Source::new(Codec::Opus, 1);
    let mut sent = source.send(&tone(440, 2), 0);
    // The floor closes the gate for three seconds; the clock runs on.
    source.sequence += 150;
    sent.extend(source.send(&tone(1_000, 2), 5_000_000));
    let (_directory, path, file) = file(Codec::Opus, &sent);
    assert!(file.duration_us.abs_diff(7_000_000) <= 30_000, "{}", file.duration_us);
    let sound = sound(&path);
    for tenth in [2, 5, 10, 15, 18] {
        let at = f64::from(tenth) / 10.0;
        assert!(loudness(&sound, at, 440.0) > 0.08, "{at}");
        assert!(loudness(&sound, at, 1_000.0) < 0.01, "{at}");
        assert!(loudness(&sound, at + 5.0, 1_000.0) > 0.08, "{at}");
        assert!(loudness(&sound, at + 5.0, 440.0) < 0.01, "{at}");
    }
    for tenth in [22, 30, 40, 48] {
        let at = f64::from(tenth) / 10.0;
        assert!(loudness(&sound, at, 440.0) < 0.005, "{at}");
        assert!(loudness(&sound, at, 1_000.0) < 0.005, "{at}");
    }
}

/// The timestamp of a frame.
type Stamp = fn(u32) -> u32;

/// As sent, with these timestamps for the frames.
fn stamped(mut sent: Vec<Sent>, stamp: impl Fn(u32) -> u32) -> Vec<Sent> {
    let mut before = None;
    let mut frames = 0;
    for Sent { packet, .. } in &mut sent {
        let was: [u8; 4] = packet[4..8].try_into().expect("four bytes");
        frames += u32::from(before.is_some_and(|before| before != was));
        before = Some(was);
        packet[4..8].copy_from_slice(&stamp(frames).to_be_bytes());
    }
    sent
}

#[test]
fn a_sender_that_counts_wrongly_has_its_frames_when_they_arrived() {
    let sound_frames = tone(440, 6);
    let wrong: [(&str, Stamp); 6] = [
        ("50 times as fast", |n| n.wrapping_mul(48_000)),
        ("twice as fast", |n| n.wrapping_mul(1_920).wrapping_add(4_294_900_000)),
        ("six times as slow", |n| n * 160),
        ("stands still", |_| 7),
        ("backwards", |n| 7_u32.wrapping_sub(n * 960)),
        ("anything", |n| n.wrapping_mul(2_654_435_761)),
    ];
    for (name, stamp) in wrong {
        let sent = stamped(Source::new(Codec::Opus, 1).send(&sound_frames, 0), stamp);
        let (_directory, path, file) = file(Codec::Opus, &sent);
        assert!(
            file.from_us.abs_diff(START_US.cast_signed()) <= 20_000,
            "{name}: {}",
            file.from_us
        );
        assert!(file.duration_us.abs_diff(6_000_000) <= 60_000, "{name}: {}", file.duration_us);
        let times: Vec<f64> = packets(&path).into_iter().map(|(at, _)| at).collect();
        assert_eq!(times.len(), sound_frames.len(), "{name}");
        for (n, at) in times.into_iter().enumerate() {
            let wanted = f64::from(u32::try_from(n).expect("small")) * 0.02;
            assert!(near(at, wanted, 0.03), "{name} {n}: {at}");
        }
    }
    let wrong: [(&str, Stamp); 4] = [
        ("50 times as fast", |n| n.wrapping_mul(180_000)),
        ("three times as slow", |n| n * 1_200),
        ("stands still", |_| 7),
        ("anything", |n| n.wrapping_mul(2_654_435_761)),
    ];
    for codec in VIDEO {
        let frames = video(codec, "320x240", 6);
        for (name, stamp) in wrong {
            let sent = stamped(Source::new(codec, 1).send(&frames, 0), stamp);
            let (_directory, path, file) = file(codec, &sent);
            assert!(
                file.duration_us.abs_diff(6_000_000) <= 100_000,
                "{codec} {name}: {}",
                file.duration_us
            );
            let seen = brightness(&path);
            assert_eq!(seen.len(), frames.len(), "{codec} {name}");
            for (n, (at, light)) in seen.into_iter().enumerate() {
                let wanted = f64::from(u32::try_from(n).expect("small")) * 0.04;
                assert!(near(at, wanted, 0.05), "{codec} {name} {n}: {at}");
                assert!(near(light, clock_light(n), 4.0), "{codec} {name} {n}: {light}");
            }
        }
    }
}

#[test]
fn reports_that_lie_move_no_frame_behind_its_arrival() {
    let sent = Source::new(Codec::Opus, 1).send(&tone(440, 6), 0);
    let mut journal = Vec::new();
    let mut writer = JournalWriter::begin(START_US, &mut journal);
    let codec = SideEvent::Codec { payload_type: 96, codec: Codec::Opus };
    writer.side(START_US, codec, &mut journal);
    for (n, Sent { at_us, packet }) in (0_u32..).zip(&sent) {
        let at_us = START_US + at_us;
        writer.rtp(at_us, packet, &mut journal).expect("a packet");
        if n.is_multiple_of(50) {
            // What was captured now is said to be captured in two seconds.
            let stamp = u32::from_be_bytes(packet[4..8].try_into().expect("four bytes"));
            let ntp_s = u32::try_from(at_us / 1_000_000).expect("32 bits");
            let mut report = [0; SENDER_REPORT_BYTES];
            report[..4].copy_from_slice(&[0x80, 200, 0, 6]);
            report[4..8].copy_from_slice(&packet[8..12]);
            report[8..12].copy_from_slice(&ntp_s.to_be_bytes());
            report[16..20].copy_from_slice(&stamp.wrapping_sub(96_000).to_be_bytes());
            writer.sender_report(at_us, &report, &mut journal).expect("a report");
        }
    }
    let (file, _) = build(Codec::Opus, &[journal]).expect("can be made");
    assert!(file.from_us.abs_diff(START_US.cast_signed()) <= 20_000, "{}", file.from_us);
    assert!(file.duration_us.abs_diff(6_000_000) <= 60_000, "{}", file.duration_us);
}

#[test]
fn a_player_jumps_to_the_key_frame_before() {
    for codec in VIDEO {
        let frames = video(codec, "320x240", 10);
        let sent = Source::new(codec, 1).send(&frames, 0);
        let (directory, path, _) = file(codec, &sent);
        let path = path.to_str().expect("UTF-8");
        let one = directory.path().join("one.png");
        let one = one.to_str().expect("UTF-8");
        run("ffmpeg", &["-v", "error", "-y", "-ss", "7.36", "-i", path, "-frames:v", "1", one]);
        let seen = brightness(std::path::Path::new(one));
        assert!(near(seen[0].1, clock_light(184), 5.0), "{codec}: {seen:?}");
        // It does so by the index, without reading from the beginning.
        let read = ["-v", "error", "-read_intervals", "7%+#1", "-show_entries", "packet=pts_time"];
        let said = run("ffprobe", &[&read[..], &["-of", "csv=p=0", path]].concat());
        let said = String::from_utf8(said).expect("text");
        assert!(near(said.trim().parse().expect("a number"), 7.0, 0.002), "{codec}: {said}");
    }
}

#[test]
fn a_track_without_a_key_frame_has_no_file() {
    let frames = video(Codec::Vp8, "320x240", 1);
    let sent = Source::new(Codec::Vp8, 1).send(&frames[1..], 0);
    let made = build(Codec::Vp8, &journals(Codec::Vp8, &sent));
    assert_eq!(made.map(|_| ()), Err(PlayableError::Nothing));
}
