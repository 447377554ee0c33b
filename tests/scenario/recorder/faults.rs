//! Each file operation of the spool in turn is late or fails. Whatever happens
//! the recording ends, no item is logged twice, and every packet that was sent
//! is found or its time is in a gap.

use cabildo::domain::id::SessionKey;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cabildo::domain::media::Codec;
use cabildo::domain::recording::RecordingState;

use super::disk::{Operation, Plan, Trouble};
use super::fixture::{Fixture, Stream, check_accounts, recording};

/// Operations of one kind that a meeting may have at most.
const OPERATIONS_MAX: u64 = 400;

/// Ten seconds with two tracks, a pause, and a third track that begins when
/// the first one has ended.
async fn meeting(plan: Option<Plan>) -> bool {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut picture = Stream::new(Codec::Vp8, 2);
    picture.payload_bytes = 1_100;
    let mut late = Stream::new(Codec::Opus, 3);
    let fixture = recording(&[&sound, &picture]).await;
    if let Some(plan) = plan {
        fixture.disk.expect(plan);
    }
    for step in 0..40 {
        fixture.send(&mut sound, true).await;
        fixture.send(&mut picture, step % 20 == 0).await;
        fixture.pass_ms(80);
    }
    let (tenant, session) = (fixture.tenant, fixture.session);
    fixture.end(&sound).await;
    fixture.recorder().remove_track(SessionKey::new(tenant, session), sound.track).await;
    fixture.publish(&late).await;
    fixture.caught_up().await;
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Paused).await;
    fixture.pass_ms(3_000);
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Recording).await;
    for stream in [&mut picture, &mut late] {
        stream.tap_again();
    }
    for step in 0..20 {
        fixture.send(&mut picture, step % 20 == 0).await;
        fixture.send(&mut late, true).await;
        fixture.pass_ms(80);
    }
    fixture.end(&picture).await;
    fixture.end(&late).await;
    let finished = tokio::time::timeout(Duration::from_mins(1), fixture.finish()).await;
    assert!(finished.is_ok(), "it never ends: {plan:?}");
    assert_eq!(fixture.recorder().pending_tracks(SessionKey::new(tenant, session)), 0);
    check_accounts(&fixture, &[sound, picture, late], &format!("{plan:?}"));
    fixture.disk.had_trouble()
}

/// Has each operation of a kind meet trouble in a meeting of its own, until a
/// meeting has fewer of them.
async fn each(operations: &[Operation], trouble: Trouble, times: u64) {
    for operation in operations {
        let mut nth = 1;
        while meeting(Some(Plan { operation: *operation, nth, times, trouble })).await {
            // The first ones one by one, later ones are of the same kind.
            nth += if nth < 6 { 1 } else { nth / 2 };
            assert!(nth < OPERATIONS_MAX, "{operation:?} never ends");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_meeting_without_faults_is_found_whole() {
    meeting(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_are_late_change_nothing() {
    each(&Operation::ALL, Trouble::Late, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_return_late_change_nothing() {
    each(&Operation::ALL, Trouble::ReturnsLate, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_fail_lose_nothing_undeclared() {
    each(&Operation::ALL, Trouble::FailsBefore(io::ErrorKind::Other), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_fail_three_times_lose_nothing_undeclared() {
    each(&Operation::ALL, Trouble::FailsBefore(io::ErrorKind::StorageFull), 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_are_done_and_fail_lose_nothing_undeclared() {
    each(&Operation::ALL, Trouble::FailsAfter(io::ErrorKind::Other), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_vanish_are_declared_as_a_gap() {
    let of_files = [Operation::Rename, Operation::ReadStart, Operation::Read];
    each(&of_files, Trouble::FailsBefore(io::ErrorKind::NotFound), 1).await;
    each(&[Operation::Rename], Trouble::FailsAfter(io::ErrorKind::NotFound), 1).await;
}

/// The uploader logs and removes an item while the operation that gave it its
/// name, or made the name durable, has not returned.
async fn taken_away(pattern: &'static str, during: Operation, fails: bool) {
    let mut sound = Stream::new(Codec::Opus, 1);
    let fixture = recording(&[&sound]).await;
    let outside = Arc::clone(&fixture.outside);
    // The uploader is busy with the first segment and looks at the spool again
    // after it.
    outside.vault_is_away.store(true, Ordering::SeqCst);
    let (renamed, held_up) = (AtomicBool::new(false), AtomicBool::new(false));
    let spool = fixture.spool_path();
    fixture.disk.after_each(move |operation, path| {
        let is_it = path.to_string_lossy().contains(pattern);
        if operation == Operation::Rename && is_it {
            renamed.store(true, Ordering::SeqCst);
        }
        let is_next = operation == during && renamed.load(Ordering::SeqCst);
        if !is_next || held_up.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        outside.vault_is_away.store(false, Ordering::SeqCst);
        while super::fixture::files(&spool).iter().any(|name| name.contains(pattern)) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if fails { Err(io::ErrorKind::Other.into()) } else { Ok(()) }
    });
    fixture.send_many(&mut sound, 450).await;
    fixture.caught_up().await;
    let (tenant, session) = (fixture.tenant, fixture.session);
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Paused).await;
    fixture.pass_ms(1_000);
    fixture.recorder().set_state(SessionKey::new(tenant, session), RecordingState::Recording).await;
    fixture.end(&sound).await;
    sound.tap_again();
    fixture.send_many(&mut sound, 10).await;
    fixture.end(&sound).await;
    let (recorder, stream) = (fixture.recorder().clone(), sound.track);
    recorder.remove_track(SessionKey::new(tenant, session), stream).await;
    let finished = tokio::time::timeout(Duration::from_mins(1), fixture.finish()).await;
    assert!(finished.is_ok(), "it never ends: {pattern} {during:?} {fails}");
    let context = format!("{pattern} {during:?} {fails}");
    check_accounts(&fixture, &[sound], &context);
    assert!(fixture.spool_files().is_empty(), "{context}: {:?}", fixture.spool_files());
    assert_eq!(fixture.recorder().stats().spool_segments, 0, "{context}");
    assert_eq!(fixture.recorder().stats().spool_bytes, 0, "{context}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_item_that_is_logged_before_its_rename_returns_is_logged_once() {
    for pattern in [".s.1.", ".g.", ".e."] {
        for (during, fails) in [
            (Operation::Rename, false),
            (Operation::SyncDirectory, false),
            (Operation::SyncDirectory, true),
        ] {
            taken_away(pattern, during, fails).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_a_disk_that_hangs() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut fixture = Fixture::with_shutdown_ms(100).await;
    fixture.record(&[&sound]).await;
    fixture.send_many(&mut sound, 100).await;
    fixture.caught_up().await;
    fixture.disk.hangs.store(true, Ordering::SeqCst);
    fixture.send_many(&mut sound, 450).await;
    fixture.caught_up().await;
    fixture.recorder().shutdown().await;
    let (tenant, session) = (fixture.tenant, fixture.session);
    assert!(
        fixture.recorder().finish(SessionKey::new(tenant, session)).await.is_err(),
        "it is stopped"
    );
    fixture.disk.hangs.store(false, Ordering::SeqCst);
    fixture.kill().await;
    fixture.pass_ms(5_000);
    fixture.start().await;
    fixture.finish().await;
    check_accounts(&fixture, &[sound], "shut down");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_lane_does_not_hold_up_a_shutdown() {
    let mut sound = Stream::new(Codec::Opus, 1);
    let mut fixture = Fixture::with_shutdown_ms(100).await;
    fixture.record(&[&sound]).await;
    fixture.disk.hangs.store(true, Ordering::SeqCst);
    // Each packet is a segment; the lane is full and the sealing thread waits.
    for _ in 0..90 {
        fixture.pass_ms(5_000);
        if fixture.recorder().stats().batches_waiting > 2 {
            break;
        }
        fixture.send(&mut sound, true).await;
    }
    fixture.recorder().shutdown().await;
    fixture.disk.hangs.store(false, Ordering::SeqCst);
    fixture.kill().await;
    fixture.start().await;
    fixture.finish().await;
    check_accounts(&fixture, &[sound], "shut down with a full lane");
}
