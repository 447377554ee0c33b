//! What is recorded, and how it is cut.

use cabildo::domain::id::SessionKey;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::domain::media::Codec;
use cabildo::domain::recording::RecordingState;
use cabildo::recorder::journal::SideEvent;
use cabildo::sfu::tap::TapKind;

use super::fakes::held;
use super::fixture::{Audited, Fixture, Stream, audit, recording};

const KEY_FRAME: u32 = 1;
const LAST: u32 = 2;
const STOPPED: u32 = 4;
const LOST: u32 = 8;

fn only(fixture: &Fixture) -> Audited {
    let mut audited: Vec<Audited> = audit(fixture).into_values().collect();
    assert_eq!(audited.len(), 1);
    audited.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_what_is_found() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut picture = Stream::new(Codec::Vp8, 2);
    picture.payload_bytes = 1_200;
    let fixture = recording(&[&sound, &picture]).await;
    for step in 0..500 {
        fixture.send(&mut sound, true).await;
        fixture.send(&mut picture, step % 60 == 0).await;
    }
    fixture.end(&sound).await;
    fixture.end(&picture).await;
    let tails = fixture.finish().await;
    let audited = audit(&fixture);
    assert_eq!(tails.len(), 2);
    let mut sent = [sound.sent, picture.sent];
    sent.sort_unstable();
    let mut found: Vec<_> = audited.values().map(Audited::packets).collect();
    found.sort_unstable();
    assert!(sent == found.as_slice(), "not exactly what was sent");
    for (tail, (track, audited)) in tails.iter().zip(&audited) {
        let last = audited.segments.last().expect("it has some");
        assert_eq!(audited.segments[0].flags & KEY_FRAME, KEY_FRAME);
        assert_eq!((tail.track, tail.last_index), (*track, last.index));
        assert_eq!(last.flags & LAST, LAST);
        assert!(audited.gaps.is_empty());
        for segment in &audited.segments {
            assert!(matches!(segment.sides[0], SideEvent::Source { .. }), "it stands alone");
            assert!(matches!(segment.sides[1], SideEvent::Codec { payload_type: 96, .. }));
        }
        // 65,400 was before the wrap: numbers go on over it.
        let first = audited.segments[0].rtp.0;
        assert_eq!((first, last.rtp.1), (65_401, 65_401 + 499));
    }
    assert!(fixture.spool_files().is_empty());
    let stats = fixture.recorder().stats();
    assert_eq!((stats.tracks, stats.packets, stats.spool_segments), (0, 1_000, 0));
    assert!(stats.recorded_ms > 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_track_is_sealed_though_nothing_comes() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.send_many(&mut sound, 10).await;
    fixture.offer(sound.track, &[TapKind::GateClosed]).await;
    fixture.until(|stats| stats.packets == 10).await;
    fixture.pass_ms(4_600);
    fixture.until(|stats| stats.segments_sealed == 1).await;
    fixture.pass_ms(60_000);
    fixture.offer(sound.track, &[TapKind::GateOpened]).await;
    fixture.send_many(&mut sound, 10).await;
    fixture.end(&sound).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert_eq!(audited.packets(), sound.sent);
    assert_eq!(audited.segments[0].sides.last(), Some(&SideEvent::GateClosed));
    assert_eq!(audited.segments[1].sides[2], SideEvent::GateOpened);
    assert_eq!(audited.segments.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_a_gap_and_a_stop_an_end() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.send_many(&mut sound, 100).await;
    fixture.until(|stats| stats.packets == 100).await;
    let (tenant, session) = (fixture.tenant, fixture.session);
    let paused_ms = fixture.now_ms();
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Paused).await;
    assert!(held(&fixture.outside.sinks).is_empty(), "nothing is taken");
    fixture.pass_ms(30_000);
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Recording).await;
    fixture.until(|stats| stats.gaps == 1).await;
    let resumed_ms = fixture.now_ms();
    fixture.end(&sound).await;
    sound.tap_again();
    fixture.send_many(&mut sound, 100).await;
    fixture.until(|stats| stats.packets == 200).await;
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Stopped).await;
    fixture.until(|stats| stats.tracks == 0).await;
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Recording).await;
    fixture.end(&sound).await;
    sound.tap_again();
    fixture.send_many(&mut sound, 100).await;
    fixture.end(&sound).await;
    fixture.recorder().remove_track(SessionKey::new(tenant, session), sound.track).await;
    fixture.finish().await;
    let audited = audit(&fixture);
    assert_eq!(audited.len(), 2, "after a stop it is another track");
    let (first, second): (Vec<_>, Vec<_>) =
        audited.into_values().partition(|it| !it.gaps.is_empty());
    assert_eq!(first[0].gaps, [(paused_ms - 20, resumed_ms, 4)]);
    assert_eq!([first[0].packets(), second[0].packets()].concat(), sound.sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_codec_or_source_is_another_track_and_another_layer_another_segment() {
    let mut picture = Stream::new(Codec::Vp8, 1);
    let fixture = recording(&[&picture]).await;
    fixture.send_many(&mut picture, 20).await;
    (picture.ssrc, picture.layer, picture.sequence) = (2, 1, 500);
    fixture.send_many(&mut picture, 20).await;
    (picture.ssrc, picture.layer) = (1, 0);
    fixture.send_many(&mut picture, 20).await;
    let switched = picture.sent.len();
    picture.ssrc = 9;
    fixture.send_many(&mut picture, 20).await;
    let restarted = picture.sent.len();
    picture.codec = Codec::H264;
    fixture.send_many(&mut picture, 20).await;
    fixture.end(&picture).await;
    fixture.finish().await;
    let mut audited: Vec<Audited> = audit(&fixture).into_values().collect();
    audited.sort_unstable_by_key(|it| it.segments[0].ms.0);
    let packets: Vec<_> = audited.iter().map(Audited::packets).collect();
    let expected =
        [&picture.sent[..switched], &picture.sent[switched..restarted], &picture.sent[restarted..]];
    assert_eq!(packets, expected);
    let sources: Vec<SideEvent> = audited[0].segments.iter().map(|it| it.sides[0]).collect();
    let source = |ssrc, layer| SideEvent::Source { ssrc, layer };
    assert_eq!(sources, [source(1, 0), source(2, 1), source(1, 0)]);
    let firsts: Vec<u64> = audited[0].segments.iter().map(|it| it.rtp.0 >> 16).collect();
    assert_eq!(firsts, [0, 1, 2], "a source that changes starts a new cycle");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_taps_lost_is_a_gap() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.send_many(&mut sound, 10).await;
    let last_ms = fixture.now_ms() - 20;
    fixture.pass_ms(1_000);
    fixture.offer(sound.track, &[TapKind::Lost(51)]).await;
    let again_ms = fixture.now_ms();
    fixture.send_many(&mut sound, 10).await;
    fixture.end(&sound).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert_eq!(audited.gaps, [(last_ms, again_ms, 1)]);
    assert_eq!(audited.segments[0].flags & LOST, LOST);
    assert!(audited.segments[0].sides.contains(&SideEvent::Lost(51)));
    assert_eq!(fixture.recorder().stats().packets_lost, 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_loses_nothing_but_what_finds_no_room() {
    let mut sound = Stream::new(Codec::Opus, 1);
    sound.payload_bytes = 1_000;
    let fixture = recording(&[&sound]).await;
    fixture.disk.hangs.store(true, Ordering::SeqCst);
    let sink = held(&fixture.outside.sinks).get(&sound.track).cloned().expect("tapped");
    // A meeting goes on: whoever offers is never kept waiting. Each segment
    // takes a place in the lane that hangs, until there is none.
    let mut refused = 0;
    let mut lost = 0;
    for _ in 0..40_000 {
        let before = sound.sent.len();
        let mut kinds = Vec::new();
        if lost > 0 {
            kinds.push(TapKind::Lost(lost));
        }
        kinds.push(TapKind::Source { ssrc: 1, layer: 0 });
        kinds.push(TapKind::Codec { payload_type: 96, codec: Codec::Opus });
        sound.sequence = sound.sequence.wrapping_add(1);
        let [high, low] = sound.sequence.to_be_bytes();
        let packet = vec![0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1, low];
        kinds.push(TapKind::Packet { bytes: &packet, key_frame_start: true });
        let at_us = fixture.now_ms() * 1_000;
        let track = sound.track;
        let items: Vec<_> = kinds
            .iter()
            .map(|kind| cabildo::sfu::tap::TapItem { track, at_us, kind: *kind })
            .collect();
        if sink.offer(cabildo::sfu::tap::TapBatch::of(&items)).is_ok() {
            lost = 0;
            sound.sent.push(packet);
        } else {
            refused += 1;
            lost += 1;
            if refused > 100 {
                break;
            }
        }
        assert!(sound.sent.len() <= before + 1);
        fixture.pass_ms(4_000);
        tokio::task::yield_now().await;
    }
    assert!(refused > 100, "there is a limit to what waits");
    fixture.disk.hangs.store(false, Ordering::SeqCst);
    fixture.until(|stats| stats.packets == sound.sent.len() as u64).await;
    fixture.offer(sound.track, &[TapKind::Lost(lost)]).await;
    fixture.end(&sound).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert_eq!(audited.packets(), sound.sent);
    assert!(audited.gaps.iter().any(|(_, _, reason)| *reason == 1));
    assert_eq!(fixture.recorder().stats().packets_lost, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_gap_that_ends_when_there_is_room() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.send_many(&mut sound, 50).await;
    fixture.until(|stats| stats.packets == 50).await;
    fixture.disk.free_bytes.store(1 << 20, Ordering::SeqCst);
    fixture.until(|stats| stats.spool_free_bytes == 1 << 20 && stats.segments_sealed == 1).await;
    let before = sound.sent.len();
    fixture.send_many(&mut sound, 50).await;
    fixture.until(|stats| stats.packets == 100).await;
    sound.sent.truncate(before);
    fixture.disk.free_bytes.store(1 << 40, Ordering::SeqCst);
    fixture.until(|stats| stats.spool_free_bytes == 1 << 40).await;
    fixture.send_many(&mut sound, 50).await;
    fixture.end(&sound).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert_eq!(audited.packets(), sound.sent);
    assert_eq!(audited.gaps.len(), 1);
    assert_eq!(audited.gaps[0].2, 2);
    let told = held(&fixture.outside.failures_told).join("\n");
    assert!(told.contains("full") && told.contains("room again"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_refuses_in_the_middle_gives_up_one_segment_and_says_so() {
    let mut picture = Stream::new(Codec::Vp8, 1);
    picture.payload_bytes = 1_200;
    let fixture = recording(&[&picture]).await;
    fixture.send_many(&mut picture, 100).await;
    fixture.until(|stats| stats.packets == 100).await;
    let whole = usize::try_from(fixture.recorder().stats().segments_sealed).expect("few");
    fixture.disk.writes_fail.store(true, Ordering::SeqCst);
    fixture.send_many(&mut picture, 40).await;
    fixture.until(|stats| stats.packets == 140).await;
    fixture.disk.writes_fail.store(false, Ordering::SeqCst);
    // The disk is looked at again once a second.
    let mut last = picture.clone();
    last.sent.clear();
    while fixture.recorder().stats().gaps == 0 {
        fixture.send(&mut last, true).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.send_many(&mut last, 10).await;
    fixture.end(&last).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert!(audited.gaps.iter().all(|gap| gap.2 == 2), "{:?}", audited.gaps);
    let packets = audited.packets();
    let sent = [picture.sent, last.sent].concat();
    assert!(packets.iter().all(|packet| sent.contains(packet)));
    assert!(packets.ends_with(&sent[sent.len() - 10..]), "it goes on");
    assert!(audited.segments.len() > whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_that_is_away_for_long_gets_everything_once_it_is_back() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.outside.vault_is_away.store(true, Ordering::SeqCst);
    // An hour, in which each packet is a segment.
    for _ in 0..600 {
        fixture.send(&mut sound, true).await;
        fixture.pass_ms(6_000);
    }
    fixture.until(|stats| stats.spool_segments >= 599 && stats.upload_failures > 10).await;
    assert!(held(&fixture.outside.objects).is_empty());
    let stats = fixture.recorder().stats();
    assert!(stats.oldest_pending_ms > 3_500_000, "{}", stats.oldest_pending_ms);
    assert!(!held(&fixture.outside.failures_told).is_empty());
    fixture.outside.vault_is_away.store(false, Ordering::SeqCst);
    fixture.end(&sound).await;
    fixture.finish().await;
    let audited = only(&fixture);
    assert_eq!(audited.packets(), sound.sent);
    assert_eq!(audited.segments.len(), 600);
    assert!(fixture.spool_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_taken_is_loud_and_keeps_the_copy() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    fixture.outside.vault_conflicts.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 250).await;
    fixture.until(|stats| stats.upload_failures > 3).await;
    let told = held(&fixture.outside.failures_told).join("\n");
    assert!(told.contains("another object has that name"), "{told}");
    assert!(fixture.spool_files().iter().any(|name| name.contains(".s.0.")));
    assert!(
        fixture.recorder().pending_tracks(SessionKey::new(fixture.tenant, fixture.session)) > 0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_track_that_the_log_refuses_is_set_aside_and_brought_by_the_next_start() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut fixture = recording(&[&sound]).await;
    *held(&fixture.outside.log_refuses_from) = Some(1);
    fixture.send_many(&mut sound, 450).await;
    fixture.until(|stats| stats.tracks_set_aside == 1).await;
    fixture.disk.hangs.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 150).await;
    fixture.end(&sound).await;
    // It ends although the log takes nothing more, but not before the spool has all of it.
    {
        let mut finishing = std::pin::pin!(fixture.finish());
        let early = tokio::time::timeout(Duration::from_millis(500), finishing.as_mut()).await;
        assert!(early.is_err(), "it has ended while the disk hangs");
        fixture.disk.hangs.store(false, Ordering::SeqCst);
        finishing.await;
    }
    let told = held(&fixture.outside.failures_told).join("\n");
    assert!(told.contains("a track is set aside"), "{told}");
    assert!(
        fixture.spool_files().iter().any(|name| name.contains(".s.1.")),
        "nothing is thrown away"
    );
    fixture.kill().await;
    *held(&fixture.outside.log_refuses_from) = None;
    fixture.start().await;
    fixture.until(|stats| stats.spool_segments == 0).await;
    fixture.finish().await;
    assert_eq!(only(&fixture).packets(), sound.sent);
    assert!(fixture.spool_files().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_whole_before_its_key_is_kept() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut fixture = recording(&[&sound]).await;
    fixture.outside.keys_are_away.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 450).await;
    fixture.until(|stats| stats.segments_sealed >= 2).await;
    let files = fixture.spool_files();
    assert!(files.iter().all(|name| name.contains(".part")), "{files:?}");
    // Killed now, nothing of it could ever be opened, and nothing claims to be.
    fixture.kill().await;
    fixture.start().await;
    assert!(fixture.finish().await.is_empty());
    assert!(fixture.spool_files().is_empty());
    fixture.outside.keys_are_away.store(false, Ordering::SeqCst);
    let mut again = Stream::new(Codec::Opus, 2);
    fixture.outside.keys_are_away.store(true, Ordering::SeqCst);
    fixture
        .recorder()
        .set_state(SessionKey::new(fixture.tenant, fixture.session), RecordingState::Recording)
        .await;
    fixture.publish(&again).await;
    fixture.send_many(&mut again, 450).await;
    fixture.outside.keys_are_away.store(false, Ordering::SeqCst);
    fixture.end(&again).await;
    assert_eq!(fixture.finish().await.len(), 1);
    assert_eq!(only(&fixture).packets(), again.sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_shut_down_leaves_what_the_next_one_brings() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut fixture = recording(&[&sound]).await;
    fixture.outside.vault_is_away.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 450).await;
    fixture.until(|stats| stats.packets == 450).await;
    fixture.until(|stats| stats.spool_segments == 2).await;
    let stopped_ms = fixture.now_ms();
    fixture.recorder().shutdown().await;
    fixture.kill().await;
    assert_eq!(fixture.spool_files().len(), 3);
    fixture.outside.vault_is_away.store(false, Ordering::SeqCst);
    fixture.pass_ms(600_000);
    let started_ms = fixture.now_ms();
    fixture.start().await;
    while fixture.recorder().pending_tracks(SessionKey::new(fixture.tenant, fixture.session)) > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(fixture.finish().await.len(), 1);
    let audited = only(&fixture);
    assert_eq!(audited.packets(), sound.sent);
    let flags: Vec<u32> = audited.segments.iter().map(|it| it.flags & STOPPED).collect();
    assert_eq!(flags, [0, 0, STOPPED]);
    assert_eq!(audited.gaps, [(stopped_ms - 20, started_ms, 3)]);
    let ended = held(&fixture.outside.tracks)[0].ended_at.expect("it has an end");
    assert_eq!(u64::try_from(ended.unix_ms()), Ok(stopped_ms - 20));
    assert_eq!(fixture.finish().await.len(), 1, "it can be asked again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tracks_of_one_session_end_together() {
    let mut streams: Vec<Stream> = (0..100).map(|ssrc| Stream::new(Codec::Opus, ssrc)).collect();
    let fixture = recording(&streams.iter().collect::<Vec<_>>()).await;
    for _ in 0..20 {
        for stream in &mut streams {
            fixture.send(stream, true).await;
        }
    }
    // Nobody says that taps have ended: the time they have for it ends.
    assert_eq!(fixture.finish().await.len(), 100);
    let found: usize = audit(&fixture).values().map(|it| it.packets().len()).sum();
    assert_eq!(found, 2_000);
}
