//! What is known of recordings.

use std::time::Duration;

use cabildo::custody::repository::CustodyRepository;
use cabildo::domain::id::{PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::{Container, LackReason, PlayableState};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::recorder::repository::{
    Lack, Playable, PlayableOf, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use cabildo::room::repository::RoomRepository;
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};
use crate::store::isolation::tell;

cases!(
    tracks_are_added_once_and_end_once,
    a_track_that_moved_on_is_still_the_same,
    a_destroyed_or_newer_track_key_is_not_replaced,
    segments_are_added_once_and_found_by_index,
    gaps_are_added_once_and_sorted,
    playables_are_replaced_and_sorted,
    an_erased_playable_stays_erased,
    another_tenant_reads_and_writes_no_recording,
    what_is_unfinished_is_listed_until_it_ends,
    of_tracks_that_end_at_once_none_is_forgotten,
    what_is_due_is_listed_until_it_is_erased,
    an_erasure_forgets_people,
    sessions_of_a_tenant_come_in_order,
);

const CONFLICT: Result<(), StoreError> = Err(StoreError::Conflict);

fn wrapped(version: u8) -> Vec<u8> {
    vec![1, 0, 0, 0, version, 7]
}

fn track(seq: u64) -> RecordedTrack {
    RecordedTrack {
        id: RecordedTrackId::random(),
        track: TrackId::generate(),
        user: "maria".parse().expect("a user id"),
        name: "María Ñúñez".to_owned(),
        source: TrackSource::Camera,
        codec: Codec::Vp8,
        epoch: 1,
        wrapped_key: Some(wrapped(1)),
        seq,
        started_at: NOW,
        ended_at: None,
    }
}

pub(crate) fn segment(track: RecordedTrackId, index: u64) -> RecordedSegment {
    let from_ms = 1_800_000_000_000 + index * 4_000;
    RecordedSegment {
        track,
        index,
        size: 56 + index,
        sha256: [7; 32],
        from_ms,
        to_ms: from_ms + 3_980,
        flags: 1,
        seq: 3 + index,
    }
}

fn playable(of: PlayableOf) -> Playable {
    Playable {
        id: PlayableId::generate(),
        of,
        container: Container::Webm,
        media_type: r#"video/webm; codecs="vp8""#.to_owned(),
        state: PlayableState::Waiting,
        progress_permille: 0,
        wrapped_key: None,
        from_ms: 1_800_000_000_000,
        duration_ms: 0,
        parts: vec![],
        failure: None,
        lacks: Vec::new(),
        resume_at: None,
        updated_at: NOW,
    }
}

pub(crate) async fn session_with_track(fixture: &Fixture) -> (Session, RecordedTrack) {
    let session = fixture.session(TenantId::generate()).await;
    let track = track(2);
    let store = fixture.store();
    store.add_track(session.key(), &track).await.expect("added");
    (session, track)
}

async fn tracks_are_added_once_and_end_once(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    assert_eq!(store.tracks(SessionKey::new(tenant, id)).await.expect("read"), []);
    let [late, early] = [track(9), track(2)];
    for track in [&late, &early, &early] {
        store.add_track(SessionKey::new(tenant, id), track).await.expect("added");
    }
    assert_eq!(
        store.tracks(SessionKey::new(tenant, id)).await.expect("read"),
        [early.clone(), late.clone()]
    );
    let other = RecordedTrack { name: "somebody else".to_owned(), ..early.clone() };
    assert_eq!(store.add_track(SessionKey::new(tenant, id), &other).await, CONFLICT);
    let other = RecordedTrack { wrapped_key: Some(vec![1, 0, 0, 0, 1, 8]), ..early.clone() };
    assert_eq!(
        store.add_track(SessionKey::new(tenant, id), &other).await,
        CONFLICT,
        "another key was dropped"
    );

    let ended_at = NOW.after(Duration::from_mins(1));
    for at in [ended_at, ended_at.after(Duration::from_mins(1))] {
        store.end_track(SessionKey::new(tenant, id), early.id, at).await.expect("ended");
    }
    let ended = RecordedTrack { ended_at: Some(ended_at), ..early };
    assert_eq!(store.tracks(SessionKey::new(tenant, id)).await.expect("read"), [ended, late]);
    let nothing =
        store.end_track(SessionKey::new(tenant, id), RecordedTrackId::random(), NOW).await;
    assert_eq!(nothing, CONFLICT);
}

async fn a_track_that_moved_on_is_still_the_same(fixture: Fixture) {
    let (session, added) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    store.end_track(SessionKey::new(tenant, id), added.id, NOW).await.expect("ended");
    store
        .put_track_key(SessionKey::new(tenant, id), added.id, Some(wrapped(2)))
        .await
        .expect("rewrapped");
    store.add_track(SessionKey::new(tenant, id), &added).await.expect("added again");
    store.put_track_key(SessionKey::new(tenant, id), added.id, None).await.expect("destroyed");
    store.add_track(SessionKey::new(tenant, id), &added).await.expect("added again");
    let now = RecordedTrack { ended_at: Some(NOW), wrapped_key: None, ..added };
    assert_eq!(store.tracks(SessionKey::new(tenant, id)).await.expect("read"), [now]);
}

async fn a_destroyed_or_newer_track_key_is_not_replaced(fixture: Fixture) {
    let (session, added) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    store
        .put_track_key(SessionKey::new(tenant, id), added.id, Some(wrapped(3)))
        .await
        .expect("rewrapped");
    assert_eq!(
        store.put_track_key(SessionKey::new(tenant, id), added.id, Some(wrapped(2))).await,
        CONFLICT
    );
    for _ in 0..2 {
        store.put_track_key(SessionKey::new(tenant, id), added.id, None).await.expect("destroyed");
    }
    assert_eq!(
        store.put_track_key(SessionKey::new(tenant, id), added.id, Some(wrapped(4))).await,
        CONFLICT
    );
    let nothing =
        store.put_track_key(SessionKey::new(tenant, id), RecordedTrackId::random(), None).await;
    assert_eq!(nothing, CONFLICT);
    let tracks = store.tracks(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!(tracks, [RecordedTrack { wrapped_key: None, ..added }]);
}

async fn segments_are_added_once_and_found_by_index(fixture: Fixture) {
    let (session, track) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    assert_eq!(
        store.last_segment(SessionKey::new(tenant, id), track.id).await.expect("read"),
        None
    );
    let all: Vec<_> = (0..12).map(|index| segment(track.id, index)).collect();
    for segment in all.iter().chain(&all[3..5]) {
        store.add_segment(SessionKey::new(tenant, id), segment).await.expect("added");
    }
    let other = RecordedSegment { sha256: [8; 32], ..all[3].clone() };
    assert_eq!(store.add_segment(SessionKey::new(tenant, id), &other).await, CONFLICT);
    let found = async |from, limit| {
        store.segments(SessionKey::new(tenant, id), track.id, from, limit).await.expect("read")
    };
    assert_eq!(found(0, 99).await, all);
    assert_eq!(found(9, 2).await, all[9..11]);
    assert_eq!(found(12, 9).await, []);
    assert_eq!(found(u64::MAX, 9).await, []);
    let last = store.last_segment(SessionKey::new(tenant, id), track.id).await.expect("read");
    assert_eq!(last.as_ref(), all.last());
    let sealed = async || store.sealed_bytes(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!(sealed().await, all.iter().map(|segment| segment.size).sum::<u64>());
    let strange = SessionKey::new(TenantId::generate(), id);
    assert_eq!(store.sealed_bytes(strange).await.expect("read"), 0, "another tenant");
    store.put_track_key(SessionKey::new(tenant, id), track.id, None).await.expect("destroyed");
    assert_eq!(sealed().await, 0, "what was erased is not handed out");
    let nobodys = store
        .add_segment(SessionKey::new(tenant, id), &segment(RecordedTrackId::random(), 0))
        .await;
    assert!(matches!(nobodys, Err(StoreError::Refused(_))), "{nobodys:?}");
}

async fn gaps_are_added_once_and_sorted(fixture: Fixture) {
    let (session, track) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let gap = |from_ms, reason| RecordedGap { track: track.id, from_ms, to_ms: 900, reason };
    for gap in [gap(500, 4), gap(100, 1), gap(500, 4)] {
        store.add_gap(SessionKey::new(tenant, id), &gap).await.expect("added");
    }
    assert_eq!(
        store.gaps(SessionKey::new(tenant, id)).await.expect("read"),
        [gap(100, 1), gap(500, 4)]
    );
}

async fn playables_are_replaced_and_sorted(fixture: Fixture) {
    let (session, track) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let of_track = playable(PlayableOf::Track(track.id));
    let combined = playable(PlayableOf::Combined);
    for playable in [&of_track, &combined, &combined] {
        store.put_playable(SessionKey::new(tenant, id), playable).await.expect("put");
    }
    assert_eq!(
        store.playables(SessionKey::new(tenant, id)).await.expect("read"),
        [combined.clone(), of_track.clone()]
    );
    let ready = Playable {
        state: PlayableState::Ready,
        progress_permille: 1_000,
        wrapped_key: Some(wrapped(1)),
        duration_ms: 90_000,
        parts: vec![1 << 20, 77],
        lacks: LackReason::ALL
            .iter()
            .map(|reason| Lack { track: track.id, from_ms: 7, to_ms: 1 << 41, reason: *reason })
            .collect(),
        resume_at: Some("{}".to_owned()),
        updated_at: NOW.after(Duration::from_secs(1)),
        ..of_track
    };
    store.put_playable(SessionKey::new(tenant, id), &ready).await.expect("put");
    assert_eq!(
        store.playables(SessionKey::new(tenant, id)).await.expect("read"),
        [combined.clone(), ready.clone()]
    );
    let rewrapped = Playable { wrapped_key: Some(wrapped(2)), ..ready.clone() };
    store.put_playable(SessionKey::new(tenant, id), &rewrapped).await.expect("rewrapped");
    assert_eq!(
        store.put_playable(SessionKey::new(tenant, id), &ready).await,
        CONFLICT,
        "an older key came back"
    );
    assert_eq!(
        store.playables(SessionKey::new(tenant, id)).await.expect("read"),
        [combined, rewrapped]
    );
}

async fn an_erased_playable_stays_erased(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let building = Playable {
        state: PlayableState::Building,
        wrapped_key: Some(wrapped(1)),
        ..playable(PlayableOf::Combined)
    };
    store.put_playable(SessionKey::new(tenant, id), &building).await.expect("put");
    let erased = Playable { state: PlayableState::Erased, wrapped_key: None, ..building.clone() };
    for _ in 0..2 {
        store.put_playable(SessionKey::new(tenant, id), &erased).await.expect("erased");
    }
    assert_eq!(store.put_playable(SessionKey::new(tenant, id), &building).await, CONFLICT);
    let with_key = Playable { wrapped_key: Some(wrapped(9)), ..erased.clone() };
    assert_eq!(store.put_playable(SessionKey::new(tenant, id), &with_key).await, CONFLICT);
    assert_eq!(store.playables(SessionKey::new(tenant, id)).await.expect("read"), [erased]);
}

async fn another_tenant_reads_and_writes_no_recording(fixture: Fixture) {
    let (session, added) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let file = playable(PlayableOf::Combined);
    let gap = RecordedGap { track: added.id, from_ms: 1, to_ms: 2, reason: 1 };
    store.add_segment(SessionKey::new(tenant, id), &segment(added.id, 0)).await.expect("added");
    store.add_gap(SessionKey::new(tenant, id), &gap).await.expect("added");
    store.put_playable(SessionKey::new(tenant, id), &file).await.expect("put");
    store.put_retention(SessionKey::new(tenant, id), NOW).await.expect("put");

    let stranger = TenantId::generate();
    assert_eq!(store.tracks(SessionKey::new(stranger, id)).await.expect("read"), []);
    assert_eq!(
        store.segments(SessionKey::new(stranger, id), added.id, 0, 9).await.expect("read"),
        []
    );
    assert_eq!(
        store.last_segment(SessionKey::new(stranger, id), added.id).await.expect("read"),
        None
    );
    assert_eq!(store.gaps(SessionKey::new(stranger, id)).await.expect("read"), []);
    assert_eq!(store.playables(SessionKey::new(stranger, id)).await.expect("read"), []);
    assert_eq!(store.sessions_after(stranger, None, 9).await.expect("read"), []);
    assert_eq!(store.put_track_key(SessionKey::new(stranger, id), added.id, None).await, CONFLICT);
    for session in [id, SessionId::generate()] {
        let outcomes = [
            store.add_track(SessionKey::new(stranger, session), &added).await,
            store.end_track(SessionKey::new(stranger, session), added.id, NOW).await,
            store.add_segment(SessionKey::new(stranger, session), &segment(added.id, 1)).await,
            store.add_gap(SessionKey::new(stranger, session), &gap).await,
            store.put_playable(SessionKey::new(stranger, session), &file).await,
            store
                .put_retention(
                    SessionKey::new(stranger, session),
                    NOW.after(Duration::from_hours(1)),
                )
                .await,
            store.erased(SessionKey::new(stranger, session), NOW).await,
        ];
        for (number, outcome) in outcomes.into_iter().enumerate() {
            let refused = matches!(outcome, Err(StoreError::Refused(_)));
            assert!(refused, "write {number}: {outcome:?}");
        }
    }
    assert_eq!(store.tracks(SessionKey::new(tenant, id)).await.expect("read"), [added]);
    assert_eq!(store.unfinished().await.expect("read"), [SessionKey::new(tenant, id)]);
    assert_eq!(store.due_for_erasure(NOW, 9).await.expect("read"), [SessionKey::new(tenant, id)]);
    for (table, rows) in [
        ("recorded_tracks", 1),
        ("recorded_segments", 1),
        ("recorded_gaps", 1),
        ("playables", 1),
        ("recording_agenda", 1),
    ] {
        assert_eq!(fixture.count(table).await, rows, "{table}");
    }
}

async fn what_is_unfinished_is_listed_until_it_ends(fixture: Fixture) {
    let (session, first) = session_with_track(&fixture).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [store, other] = &fixture.stores;
    let second = track(5);
    store.add_track(SessionKey::new(tenant, id), &second).await.expect("added");
    assert_eq!(other.unfinished().await.expect("read"), [SessionKey::new(tenant, id)]);
    store.end_track(SessionKey::new(tenant, id), first.id, NOW).await.expect("ended");
    assert_eq!(other.unfinished().await.expect("read"), [SessionKey::new(tenant, id)]);
    store.end_track(SessionKey::new(tenant, id), second.id, NOW).await.expect("ended");
    assert_eq!(other.unfinished().await.expect("read"), []);

    let mut file = playable(PlayableOf::Combined);
    for (state, listed) in [
        (PlayableState::Waiting, true),
        (PlayableState::Building, true),
        (PlayableState::Ready, false),
        (PlayableState::Building, true),
        (PlayableState::Failed, false),
    ] {
        file.state = state;
        other.put_playable(SessionKey::new(tenant, id), &file).await.expect("put");
        let unfinished = store.unfinished().await.expect("read");
        assert_eq!(unfinished == [SessionKey::new(tenant, id)], listed, "{state}");
        assert_eq!(unfinished.is_empty(), !listed, "{state}");
    }
    let another = fixture.session(tenant).await;
    store.add_track(SessionKey::new(tenant, another.id), &track(2)).await.expect("added");
    file.state = PlayableState::Waiting;
    store.put_playable(SessionKey::new(tenant, id), &file).await.expect("put");
    let mut both = [SessionKey::new(tenant, id), another.key()];
    both.sort_unstable_by_key(|key| key.session);
    assert_eq!(store.unfinished().await.expect("read"), both);
}

async fn of_tracks_that_end_at_once_none_is_forgotten(fixture: Fixture) {
    for round in 0..6 {
        let session = fixture.session(TenantId::generate()).await;
        let (tenant, id) = (session.tenant_id, session.id);
        let tracks: Vec<_> = (0..8).map(|number| track(number + 2)).collect();
        for track in &tracks {
            fixture.store().add_track(SessionKey::new(tenant, id), track).await.expect("added");
        }
        let mut tasks = JoinSet::new();
        for (number, track) in tracks.into_iter().enumerate() {
            let store = fixture.stores[number % 2].clone();
            tasks.spawn(async move {
                store.end_track(SessionKey::new(tenant, id), track.id, NOW).await
            });
        }
        for outcome in tasks.join_all().await {
            outcome.expect("ended");
        }
        assert_eq!(fixture.store().unfinished().await.expect("read"), [], "round {round}");
    }
}

async fn what_is_due_is_listed_until_it_is_erased(fixture: Fixture) {
    let store = fixture.store();
    let mut all = Vec::new();
    for hours in [3, 1, 2] {
        let (session, _) = session_with_track(&fixture).await;
        let key = session.key();
        let erase_after = NOW.after(Duration::from_hours(hours));
        store.put_retention(key, erase_after).await.expect("put");
        all.push((hours, key));
    }
    all.sort_unstable_by_key(|(hours, _)| *hours);
    let ids: Vec<_> = all.iter().map(|(_, key)| *key).collect();
    let due = async |hours, limit| {
        let now = NOW.after(Duration::from_hours(hours));
        fixture.stores[1].due_for_erasure(now, limit).await.expect("read")
    };
    assert_eq!(due(0, 9).await, []);
    assert_eq!(due(2, 9).await, ids[..2]);
    assert_eq!(due(9, 9).await, ids);
    assert_eq!(due(9, 2).await, ids[..2]);
    // It is kept longer, or less long.
    let key = ids[0];
    let later = NOW.after(Duration::from_hours(20));
    store.put_retention(key, later).await.expect("put");
    assert_eq!(due(9, 9).await, ids[1..]);
    store.put_retention(key, NOW).await.expect("put");
    assert_eq!(due(9, 9).await, ids);
    for _ in 0..2 {
        store.erased(key, NOW).await.expect("noted, and once more");
        assert_eq!(due(9, 9).await, ids[1..]);
    }
    assert_eq!(store.unfinished().await.expect("read").len(), 3, "erasing ends no track");
}

async fn an_erasure_forgets_people(fixture: Fixture) {
    let (session, destroyed) = session_with_track(&fixture).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    let kept = track(7);
    store.add_track(SessionKey::new(tenant, id), &kept).await.expect("added");
    store.put_track_key(SessionKey::new(tenant, id), destroyed.id, None).await.expect("destroyed");
    store.erased(SessionKey::new(tenant, id), NOW).await.expect("noted");
    let tracks = store.tracks(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!((tracks[0].user.as_str(), tracks[0].name.as_str()), ("erased", ""));
    assert_eq!((tracks[0].id, tracks[0].seq), (destroyed.id, destroyed.seq));
    assert_eq!(tracks[1], kept, "a track with a key was forgotten");

    // What the rooms of other sessions told stays.
    let other = fixture.session(tenant).await;
    tell(store, &session).await;
    tell(store, &other).await;
    store.erased(SessionKey::new(tenant, id), NOW).await.expect("noted again");
    assert_eq!(store.events_after(SessionKey::new(tenant, id), 0, 9).await.expect("read"), []);
    assert_eq!(store.load(SessionKey::new(tenant, id)).await.expect("read"), None);
    assert_eq!(
        store.events_after(SessionKey::new(tenant, other.id), 0, 9).await.expect("read").len(),
        1
    );
    assert!(store.load(SessionKey::new(tenant, other.id)).await.expect("read").is_some());
}

async fn sessions_of_a_tenant_come_in_order(fixture: Fixture) {
    let tenant = TenantId::generate();
    fixture.session(TenantId::generate()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(fixture.session(tenant).await.id);
    }
    ids.sort_unstable();
    let store = fixture.store();
    let after =
        async |after, limit| store.sessions_after(tenant, after, limit).await.expect("read");
    assert_eq!(after(None, 2).await, ids[..2]);
    assert_eq!(after(Some(ids[1]), 9).await, ids[2..]);
    assert_eq!(after(Some(ids[4]), 9).await, []);
}
