//! A process that is killed at any moment loses at most the segment that is
//! open, and nothing is logged twice.

use cabildo::domain::id::SessionKey;
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::domain::media::Codec;
use cabildo::domain::recording::RecordingState;

use super::fakes::held;
use super::fixture::{Fixture, Stream, audit};

/// Records until the outside dies at its `dies_at`-th call or the meeting is
/// over; then starts again, as often as it takes, and audits.
async fn meeting(dies_at: &[u64], fails_every: u64, kills_after_packets: Option<usize>) {
    let mut fixture = Fixture::new().await;
    let outside = std::sync::Arc::clone(&fixture.outside);
    outside.fails_every.store(fails_every, Ordering::SeqCst);
    let mut streams = [Stream::new(Codec::Opus, 1), Stream::new(Codec::Vp8, 2)];
    streams[1].payload_bytes = 700;
    outside.dies_at.store(dies_at[0], Ordering::SeqCst);
    fixture
        .recorder()
        .set_state(SessionKey::new(fixture.tenant, fixture.session), RecordingState::Recording)
        .await;
    for stream in &streams {
        fixture.publish(stream).await;
    }
    let mut over = false;
    for step in 0..700 {
        for stream in &mut streams {
            fixture.send(stream, step % 60 == 0).await;
        }
        over = outside.is_dead() || kills_after_packets.is_some_and(|packets| step >= packets);
        if over {
            break;
        }
    }
    if !over {
        for stream in &streams {
            fixture.end(stream).await;
        }
        // It may die while it finishes.
        let recorder = fixture.recorder().clone();
        let (tenant, session) = (fixture.tenant, fixture.session);
        let finishing =
            tokio::spawn(async move { recorder.finish(SessionKey::new(tenant, session)).await });
        while !finishing.is_finished() && !outside.is_dead() {
            fixture.pass_ms(100);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        finishing.abort();
        finishing.await.ok();
    }
    for next in dies_at[1..].iter().chain(&[u64::MAX]) {
        fixture.kill().await;
        fixture.pass_ms(5_000);
        outside.dies_at.store(outside.calls().saturating_add(*next), Ordering::SeqCst);
        fixture.start().await;
        if *next == u64::MAX {
            fixture.finish().await;
        } else {
            while !outside.is_dead()
                && fixture
                    .recorder()
                    .pending_tracks(SessionKey::new(fixture.tenant, fixture.session))
                    > 0
            {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
    check(&fixture, &streams);
}

fn check(fixture: &Fixture, streams: &[Stream]) {
    assert!(fixture.spool_files().is_empty(), "{:?}", fixture.spool_files());
    let audited = audit(fixture);
    let tracks = held(&fixture.outside.tracks).clone();
    for track in &tracks {
        assert!(track.ended_at.is_some(), "every track has an end");
        let stream = streams.iter().find(|it| it.track == track.track).expect("known");
        let Some(audited) = audited.get(&track.id) else { continue };
        let found = audited.packets();
        // What is found is what was sent, from the first packet on; only the
        // end may be missing, and then a gap says so.
        assert!(stream.sent.starts_with(&found), "something is missing in the middle");
        let missing = stream.sent.len() - found.len();
        if missing > 0 {
            assert!(audited.gaps.iter().any(|gap| gap.2 == 3), "the loss is told");
        }
    }
    let objects = held(&fixture.outside.objects).len();
    let logged: usize = audited.values().map(|it| it.segments.len()).sum();
    assert_eq!(objects, logged, "what is in the vault is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_each_call_to_the_outside_nothing_acknowledged_is_lost() {
    for dies_at in 1..45 {
        meeting(&[dies_at], 0, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_while_it_recovers_it_still_comes_to_the_same() {
    let mut seed = 7_u64;
    let mut drawn = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for _ in 0..60 {
        let dies_at = [10 + drawn(40), drawn(8), drawn(8), drawn(8)];
        meeting(&dies_at, 0, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_of_the_meeting_it_loses_at_most_what_was_open() {
    let mut seed = 1_u64;
    for _ in 0..60 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let packets = usize::try_from((seed >> 33) % 600).expect("few");
        meeting(&[u64::MAX], 0, Some(packets)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail_before_and_after_they_are_done_change_nothing() {
    for every in 2..9 {
        meeting(&[u64::MAX], every, None).await;
        meeting(&[25, 6], every, None).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_that_vanished_from_the_spool_is_told_and_the_rest_kept() {
    let mut fixture = Fixture::new().await;
    let mut sound = Stream::new(Codec::Opus, 1);
    fixture
        .recorder()
        .set_state(SessionKey::new(fixture.tenant, fixture.session), RecordingState::Recording)
        .await;
    fixture.publish(&sound).await;
    fixture.outside.vault_is_away.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 650).await;
    fixture.until(|stats| stats.spool_segments == 3).await;
    fixture.kill().await;
    let mut directories = vec![fixture.spool_path()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("it is there") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                directories.push(path);
            } else if path.to_string_lossy().contains(".s.1.") {
                std::fs::remove_file(path).expect("removed");
            }
        }
    }
    fixture.outside.vault_is_away.store(false, Ordering::SeqCst);
    fixture.start().await;
    let tails = fixture.finish().await;
    assert_eq!(tails[0].last_index, 0, "the chain ends before the hole");
    let audited = audit(&fixture);
    let audited = audited.values().next().expect("one track");
    assert_eq!(audited.gaps.last().map(|gap| gap.2), Some(5));
    assert!(
        held(&fixture.outside.failures_told).iter().any(|text| text.contains("lacks segment 1"))
    );
    assert!(fixture.spool_files().iter().any(|name| name.contains(".s.2.")), "kept");
}
