//! Files in the vault: made in the background, continued after a kill, read by
//! range.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use cabildo::domain::id::{RecordedTrackId, SessionKey};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::PlayableState;
use cabildo::playable::{PlayableError, READ_BYTES_MAX};
use cabildo::recorder::repository::PlayableOf;
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::sealing::OpenError;
use cabildo::vault::{ObjectName, VaultError};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::playable::fixture::{Fixture, Trouble, read};
use crate::playable::media::{Encoded, Source, brightness, tone, video};

/// Frames that are large rather than beautiful: 210 kB in 35 key frames.
fn large_frames() -> Vec<Encoded> {
    let frame = |n: u64| {
        let mut data = vec![0x10, 0, 0, 0x9D, 0x01, 0x2A, 0x40, 0x01, 0xF0, 0x00];
        let mut state = n + 1;
        data.extend(
            std::iter::repeat_with(|| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state.to_be_bytes()[0]
            })
            .take(6_000),
        );
        Encoded { at_us: n * 40_000, data }
    };
    (0..35).map(frame).collect()
}

async fn large_fixture() -> (Fixture, RecordedTrackId) {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Vp8, 1).send(&large_frames(), 0);
    let track = fixture.record("ana", TrackSource::Camera, Codec::Vp8, &sent).await;
    (fixture, track)
}

#[tokio::test]
async fn a_track_becomes_a_file_that_plays() {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Vp8, 1).send(&video(Codec::Vp8, "320x240", 3), 0);
    let track = fixture.record("ana", TrackSource::Camera, Codec::Vp8, &sent).await;
    fixture.make(None).await;
    let playable = fixture.playable(PlayableOf::Track(track)).await;
    assert_eq!(playable.state, PlayableState::Ready, "{:?}", playable.failure);
    assert_eq!((playable.progress_permille, playable.failure), (1_000, None));
    assert_eq!(playable.from_ms, 1_700_000_000_000);
    assert!(playable.duration_ms.abs_diff(3_000) <= 2, "{}", playable.duration_ms);
    assert_eq!(playable.media_type, "video/webm; codecs=\"vp8\"");
    let bytes = fixture.bytes(PlayableOf::Track(track)).await;
    assert_eq!(bytes.len() as u64, playable.parts.iter().sum::<u64>());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file.webm");
    std::fs::write(&path, bytes).expect("written");
    assert_eq!(brightness(&path).len(), 75);
}

#[tokio::test]
async fn without_the_program_the_combined_file_says_why_it_is_not_there() {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Opus, 1).send(&tone(440, 1), 0);
    let track = fixture.record("ana", TrackSource::Microphone, Codec::Opus, &sent).await;
    fixture.make(None).await;
    let combined = fixture.playable(PlayableOf::Combined).await;
    assert_eq!(combined.state, PlayableState::Failed);
    assert!(combined.failure.expect("a reason").contains("ffmpeg"));
    let alone = fixture.playable(PlayableOf::Track(track)).await;
    assert_eq!(alone.state, PlayableState::Ready);
    let opened = fixture.reader(PlayableOf::Combined).await.map(|_| ());
    assert_eq!(opened, Err(PlayableError::NotReady));
}

#[tokio::test]
async fn any_range_is_the_same_as_in_the_whole() {
    let (fixture, track) = large_fixture().await;
    fixture.make(None).await;
    let playable = fixture.playable(PlayableOf::Track(track)).await;
    assert_eq!(playable.parts.len(), 5, "{:?}", playable.parts);
    let whole = fixture.bytes(PlayableOf::Track(track)).await;
    let reader = fixture.reader(PlayableOf::Track(track)).await.expect("opens");
    let size = reader.size();
    assert_eq!(size, whole.len() as u64);
    let header = playable.parts[0];
    let second = header + playable.parts[1];
    let places = [
        0,
        1,
        header - 1,
        header,
        header + 1,
        header + 16_383,
        header + 16_384,
        header + 16_385,
        second - 1,
        second,
        second + 1,
        second + 30_000,
        size - 1,
        size,
        size + 5,
    ];
    for from in places {
        for to in places {
            let bytes = read(&reader, from..to).await.expect("reads");
            let place = |at: u64| usize::try_from(at.min(size)).expect("small");
            let wanted = whole.get(place(from)..place(to)).unwrap_or_default();
            assert!(bytes == wanted, "{from}..{to}");
        }
    }
}

#[tokio::test]
async fn a_range_reads_what_it_needs_and_holds_little() {
    let (fixture, track) = large_fixture().await;
    fixture.make(None).await;
    let reader = fixture.reader(PlayableOf::Track(track)).await.expect("opens");
    fixture.vault.bytes_read.store(0, Ordering::Relaxed);
    read(&reader, 100_000..100_010).await.expect("reads");
    let read_bytes = fixture.vault.bytes_read.load(Ordering::Relaxed);
    assert!(read_bytes < 2 * 16_400 + 56, "{read_bytes}");
    let mut pieces = std::pin::pin!(reader.read(0..reader.size()));
    while let Some(piece) = pieces.next().await {
        assert!(piece.expect("reads").len() as u64 <= READ_BYTES_MAX);
    }
}

#[tokio::test]
async fn a_changed_cut_or_swapped_part_ends_the_stream_before_it() {
    let (fixture, track) = large_fixture().await;
    fixture.make(None).await;
    let of = PlayableOf::Track(track);
    let playable = fixture.playable(of).await;
    let whole = fixture.bytes(of).await;
    let name = |part| {
        let name =
            ObjectName::part(SessionKey::new(fixture.tenant, fixture.session), playable.id, part);
        name.as_str().to_owned()
    };
    let original = fixture.vault.objects.lock().expect("sound").clone();
    let part = original[&name(1)].clone();
    let mut changed = part.to_vec();
    changed[56 + 2 * 16_400 + 7] ^= 1;
    let cut = part.slice(..part.len() - 1);
    let cut_between = part.slice(..56 + 3 * 16_400);
    let swapped = original[&name(2)].clone();
    let mut header = part.to_vec();
    header[30] ^= 1;
    let cases = [
        (Bytes::from(changed), OpenError::NotAuthentic(2)),
        (cut, OpenError::Truncated),
        (cut_between, OpenError::Truncated),
        (swapped, OpenError::WrongKey),
        (Bytes::from(header), OpenError::WrongKey),
    ];
    for (object, wanted) in cases {
        fixture.vault.objects.lock().expect("sound").insert(name(1), object);
        let reader = fixture.reader(of).await.expect("opens");
        let mut pieces = std::pin::pin!(reader.read(0..reader.size()));
        let mut seen = Vec::new();
        let error = loop {
            match pieces.next().await.expect("an error before the end") {
                Ok(piece) => seen.extend_from_slice(&piece),
                Err(error) => break error,
            }
        };
        assert_eq!(error, PlayableError::Open(wanted));
        assert!(whole.starts_with(&seen));
        assert!(seen.len() as u64 <= playable.parts[0] + playable.parts[1]);
        assert!(pieces.next().await.is_none());
    }
    fixture.vault.objects.lock().expect("sound").remove(&name(1));
    let reader = fixture.reader(of).await.expect("opens");
    let lost = read(&reader, 0..reader.size()).await;
    assert_eq!(lost, Err(PlayableError::Vault(VaultError::NotFound)));
}

#[tokio::test]
async fn killed_at_any_part_it_continues_and_keeps_what_is_stored() {
    // Four parts and the header: five puts.
    for put in 1..=5 {
        for trouble in [Trouble::HangBefore(put), Trouble::HangAfter(put)] {
            let (fixture, track) = large_fixture().await;
            let of = PlayableOf::Track(track);
            fixture.vault.expect_trouble(Some(trouble));
            let playables = fixture.playables(None);
            fixture.request(&playables).await;
            fixture.vault.hanging.notified().await;
            // Nothing is waited for: the task is dropped where it is.
            drop(playables);
            tokio::task::yield_now().await;
            let stored = fixture.playable(of).await;
            assert_eq!(stored.state, PlayableState::Building, "{trouble:?}");
            assert_eq!(stored.parts.len() as u64, put, "{trouble:?}");
            let before = fixture.vault.objects.lock().expect("sound").clone();

            let playables = fixture.playables(None);
            playables.idle().await;
            playables.shutdown().await;
            let ready = fixture.playable(of).await;
            assert_eq!(ready.state, PlayableState::Ready, "{trouble:?}: {:?}", ready.failure);
            assert_eq!((ready.id, ready.parts.len()), (stored.id, 5));
            assert_eq!(ready.parts[1..stored.parts.len()], stored.parts[1..]);
            let after = fixture.vault.objects.lock().expect("sound").clone();
            for (name, object) in before {
                assert!(after[&name] == object, "{trouble:?}: {name} was made again");
            }
            let whole = fixture.bytes(of).await;
            assert_eq!(whole.len() as u64, ready.parts.iter().sum::<u64>());
            // The same recording without a kill.
            let (calm, calm_track) = large_fixture().await;
            calm.make(None).await;
            assert!(calm.bytes(PlayableOf::Track(calm_track)).await == whole, "{trouble:?}");
        }
    }
}

#[tokio::test]
async fn what_another_version_stored_is_made_anew() {
    let (fixture, track) = large_fixture().await;
    let of = PlayableOf::Track(track);
    fixture.vault.expect_trouble(Some(Trouble::HangBefore(3)));
    let playables = fixture.playables(None);
    fixture.request(&playables).await;
    fixture.vault.hanging.notified().await;
    drop(playables);
    tokio::task::yield_now().await;
    let mut stored = fixture.playable(of).await;
    stored.resume_at = Some("something else".to_owned());
    fixture
        .repository
        .put_playable(SessionKey::new(fixture.tenant, fixture.session), &stored)
        .await
        .expect("kept");
    let playables = fixture.playables(None);
    playables.idle().await;
    playables.shutdown().await;
    let (calm, calm_track) = large_fixture().await;
    calm.make(None).await;
    assert!(fixture.bytes(of).await == calm.bytes(PlayableOf::Track(calm_track)).await);
}

#[tokio::test]
async fn a_failure_is_told_and_not_tried_for_ever() {
    let (fixture, track) = large_fixture().await;
    let of = PlayableOf::Track(track);
    fixture.vault.expect_trouble(Some(Trouble::Refuse(2)));
    fixture.make(None).await;
    let failed = fixture.playable(of).await;
    assert_eq!(failed.state, PlayableState::Failed);
    assert_eq!(failed.failure.as_deref(), Some("the vault refuses: no"));
    fixture.make(None).await;
    assert_eq!(fixture.playable(of).await, failed);
}

#[tokio::test]
async fn what_passes_is_waited_for() {
    let (fixture, track) = large_fixture().await;
    fixture.vault.expect_trouble(Some(Trouble::Unavailable(2)));
    fixture.make(None).await;
    let ready = fixture.playable(PlayableOf::Track(track)).await;
    assert_eq!(ready.state, PlayableState::Ready, "{:?}", ready.failure);
}

#[tokio::test]
async fn a_segment_that_is_lost_is_a_gap_and_is_told() {
    let fixture = Fixture::new();
    let sent = Source::new(Codec::Vp8, 1).send(&video(Codec::Vp8, "320x240", 12), 0);
    let track = fixture.record("ana", TrackSource::Camera, Codec::Vp8, &sent).await;
    let lost = ObjectName::segment(SessionKey::new(fixture.tenant, fixture.session), track, 1);
    fixture.vault.objects.lock().expect("sound").remove(lost.as_str());
    fixture.make(None).await;
    let playable = fixture.playable(PlayableOf::Track(track)).await;
    assert_eq!(playable.state, PlayableState::Ready);
    assert_eq!(playable.failure.as_deref(), Some("1 segments are missing or were changed"));
    assert!(fixture.damaged.is_noted(&lost), "operators are told");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file.webm");
    std::fs::write(&path, fixture.bytes(PlayableOf::Track(track)).await).expect("written");
    let times: Vec<f64> = brightness(&path).into_iter().map(|(at, _)| at).collect();
    assert!(times.iter().all(|at| *at < 4.05 || *at > 8.9), "{times:?}");
    assert!(times.iter().any(|at| *at > 11.9));
}

/// Harms an object: takes it away, cuts it, or changes its first encrypted bytes.
pub(crate) fn harm(fixture: &Fixture, name: &ObjectName, how: &str) {
    let mut objects = fixture.vault.objects.lock().expect("sound");
    let object = objects.remove(name.as_str()).expect("an object");
    let harmed = match how {
        "missing" => return,
        "cut" => object.slice(..object.len() / 2),
        _ => {
            let mut bytes = object.to_vec();
            bytes[200] ^= 1;
            Bytes::from(bytes)
        }
    };
    objects.insert(name.as_str().to_owned(), harmed);
}

#[tokio::test]
async fn a_file_that_the_vault_lost_is_made_anew() {
    for (how, part, is_noticed_first) in
        [("missing", 4, true), ("cut", 4, true), ("changed", 0, true), ("changed", 4, false)]
    {
        let (fixture, track) = large_fixture().await;
        let (of, key) =
            (PlayableOf::Track(track), SessionKey::new(fixture.tenant, fixture.session));
        fixture.make(None).await;
        let (file, whole) = (fixture.playable(of).await, fixture.bytes(of).await);
        let name = ObjectName::part(key, file.id, part);
        harm(&fixture, &name, how);
        let playables = fixture.playables(None);
        playables.idle().await;
        let read = async |range| {
            let pieces = playables.reading().read(key, &file, range).await?;
            let pieces: Vec<Bytes> = pieces.try_collect().await?;
            Ok::<_, PlayableError>(pieces.concat())
        };
        if part > 0 {
            assert_eq!(read(0..100).await.map(|it| it.len()), Ok(100), "{how}: that is there");
            assert_eq!(fixture.damaged.problem(), None);
        }
        let begun = playables.reading().read(key, &file, 0..whole.len() as u64).await;
        assert_eq!(begun.is_err(), is_noticed_first, "{how} {part}");
        if let Ok(pieces) = begun {
            let ended: Result<Vec<Bytes>, _> = pieces.try_collect().await;
            assert_eq!(ended, Err(PlayableError::NotReady));
        }
        assert!(fixture.damaged.is_noted(&name), "{how} {part}: operators are told");
        assert_eq!(fixture.playable(of).await.state, PlayableState::Waiting, "{how} {part}");
        playables.idle().await;
        let anew = fixture.playable(of).await;
        assert_eq!((anew.id, anew.state), (file.id, PlayableState::Ready), "{:?}", anew.failure);
        assert!(fixture.bytes(of).await == whole, "{how} {part}");
        assert_eq!(fixture.damaged.problem(), None, "{how} {part}");
        playables.shutdown().await;
    }
}

#[tokio::test]
async fn a_damaged_file_that_was_erased_is_not_made_anew() {
    let (fixture, track) = large_fixture().await;
    let (of, key) = (PlayableOf::Track(track), SessionKey::new(fixture.tenant, fixture.session));
    fixture.make(None).await;
    let file = fixture.playable(of).await;
    harm(&fixture, &ObjectName::part(key, file.id, 1), "missing");
    *fixture.repository.erased.lock().expect("sound") = true;
    let playables = fixture.playables(None);
    playables.idle().await;
    let read = playables.reading().read(key, &file, 0..file.parts.iter().sum()).await;
    assert_eq!(read.map(|_| ()), Err(PlayableError::NotReady));
    playables.idle().await;
    assert_eq!(fixture.playable(of).await, file);
    assert_eq!(fixture.damaged.problem(), None);
    playables.shutdown().await;
}

#[tokio::test]
async fn what_is_erased_meanwhile_is_left_alone() {
    let (fixture, track) = large_fixture().await;
    fixture.vault.expect_trouble(Some(Trouble::HangBefore(2)));
    let playables = fixture.playables(None);
    fixture.request(&playables).await;
    fixture.vault.hanging.notified().await;
    // What hangs for ever is dropped.
    playables.shutdown().await;
    let of = PlayableOf::Track(track);
    let before = fixture.playable(of).await;
    // Erased behind the back of another start: it gives up at once.
    *fixture.repository.erased.lock().expect("sound") = true;
    let playables = fixture.playables(None);
    playables.idle().await;
    playables.shutdown().await;
    assert_eq!(fixture.playable(of).await, before);
}

#[tokio::test]
async fn while_the_repository_is_read_something_is_pending() {
    let (fixture, track) = large_fixture().await;
    let of = PlayableOf::Track(track);
    fixture.vault.expect_trouble(Some(Trouble::HangBefore(2)));
    let playables = fixture.playables(None);
    fixture.request(&playables).await;
    fixture.vault.hanging.notified().await;
    drop(playables);
    tokio::task::yield_now().await;
    let half_made = fixture.playable(of).await;
    assert_eq!(half_made.state, PlayableState::Building);

    fixture.repository.is_slow.store(true, Ordering::SeqCst);
    let playables = fixture.playables(None);
    fixture.repository.asked.notified().await;
    // Something may be pending, though nothing is known to be.
    let settled = tokio::select! {
        biased;
        () = playables.idle() => true,
        () = tokio::task::yield_now() => false,
    };
    assert!(!settled, "the repository was not read yet");
    fixture.repository.answers.notify_one();
    playables.idle().await;
    playables.shutdown().await;
    assert_eq!(fixture.playable(of).await.state, PlayableState::Ready);
}
