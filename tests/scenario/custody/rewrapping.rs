//! Rewrapping keys.

use cabildo::cameras::Capture;
use cabildo::cameras::repository::{
    Camera, CameraRepository, CaptureRepository as _, FilmsOf, Publication,
    PublicationRepository as _, SealedSource,
};
use cabildo::custody::repository::CustodyRepository;
use cabildo::custody::{CustodyError, Rewrapped};
use cabildo::domain::camera::CameraTransport;
use cabildo::domain::id::{CameraSecretId, PublicationId, SessionKey, TenantId};
use cabildo::domain::recording::PlayableState;
use cabildo::evidence::EventKind;
use cabildo::evidence::repository::EvidenceRepository;
use cabildo::recorder::repository::{Playable, RecordingRepository};
use cabildo::sealing::random_key;
use cabildo::vault::{KeyPurpose, KeyVaultError, wrapped_version};

use crate::custody::faulty::Life;
use crate::custody::fixture::{Fixture, Recorded};

/// Every wrapped key of a session with what it is for.
async fn wrapped(fixture: &Fixture, recorded: &Recorded) -> Vec<(KeyPurpose, Vec<u8>)> {
    let (tenant, id) = (recorded.tenant, recorded.id);
    let mut all = Vec::new();
    for track in fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read") {
        let purpose = KeyPurpose::Track(track.id, track.epoch);
        all.extend(track.wrapped_key.map(|wrapped| (purpose, wrapped)));
    }
    for file in fixture.store.playables(SessionKey::new(tenant, id)).await.expect("read") {
        all.extend(file.wrapped_key.map(|wrapped| (KeyPurpose::File(file.id), wrapped)));
    }
    let log = fixture.store.log(SessionKey::new(tenant, id)).await.expect("read").expect("a log");
    all.extend(log.events_key.map(|wrapped| (KeyPurpose::Events(id), wrapped)));
    all
}

/// The keys themselves.
async fn opened(fixture: &Fixture, recorded: &Recorded) -> Vec<[u8; 32]> {
    let mut keys = Vec::new();
    for (purpose, wrapped) in wrapped(fixture, recorded).await {
        let key = fixture.keys.unwrap(recorded.tenant, purpose, &wrapped).await.expect("unwrapped");
        keys.push(*key.expose());
    }
    keys
}

async fn versions(fixture: &Fixture, recorded: &Recorded) -> Vec<u32> {
    let all = wrapped(fixture, recorded).await;
    all.iter().map(|(_, wrapped)| wrapped_version(wrapped).expect("a version")).collect()
}

async fn notes(fixture: &Fixture, recorded: &Recorded) -> Vec<String> {
    let (tenant, id) = (recorded.tenant, recorded.id);
    let notes = fixture
        .store
        .events(SessionKey::new(tenant, id), &[EventKind::KeysRewrapped], 0, 99)
        .await
        .expect("read");
    notes.into_iter().map(|note| note.text).collect()
}

#[tokio::test]
async fn every_key_moves_to_the_newest_tenant_key() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let (first, second) = (fixture.recorded(tenant).await, fixture.recorded(tenant).await);
    let stranger = fixture.recorded(TenantId::generate()).await;
    let before = [opened(&fixture, &first).await, opened(&fixture, &second).await];
    let custody = fixture.custody();
    assert_eq!(custody.rotate(tenant).await.expect("rotated"), 2);
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::OldKeysInUse(10))), "{refused:?}");

    let done = custody.rewrap(tenant).await.expect("rewrapped");
    assert_eq!(done, Rewrapped { version: 2, keys: 10, sessions: 2, left: 0 });
    assert_eq!(versions(&fixture, &first).await, [2; 5]);
    assert_eq!(versions(&fixture, &stranger).await, [1; 5]);
    let again = custody.rewrap(tenant).await.expect("nothing to do");
    assert_eq!(again, Rewrapped { version: 2, keys: 0, sessions: 0, left: 0 });
    for recorded in [&first, &second] {
        assert_eq!(notes(&fixture, recorded).await, [r#"{"tenant_key_version":2}"#]);
    }
    assert_eq!(notes(&fixture, &stranger).await, [] as [&str; 0]);

    assert_eq!(custody.destroy_older(tenant).await.expect("destroyed"), [1]);
    assert_eq!([opened(&fixture, &first).await, opened(&fixture, &second).await], before);
    // Destroying what is destroyed, or the only one, does nothing.
    custody.destroy_older(tenant).await.expect("nothing to do");
    custody.destroy_older(stranger.tenant).await.expect("nothing to do");
    assert_eq!(opened(&fixture, &stranger).await.len(), 5);
}

#[tokio::test]
async fn a_tenant_of_which_nothing_is_stored_gets_no_key() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let custody = fixture.custody();
    let tenants = || std::fs::read_dir(fixture.out("keys")).expect("read").count();
    let before = tenants();
    // A session's id by mistake, and a digit that is wrong.
    let session: TenantId = recorded.id.to_string().parse().expect("a UUID");
    for tenant in [session, TenantId::generate()] {
        for refused in [
            custody.rotate(tenant).await.map(drop),
            custody.rewrap(tenant).await.map(drop),
            custody.destroy_older(tenant).await.map(drop),
        ] {
            let named =
                matches!(refused, Err(CustodyError::NoSuchTenant(named)) if named == tenant);
            assert!(named, "{refused:?}");
        }
    }
    assert_eq!(tenants(), before);
    assert_eq!(custody.rotate(recorded.tenant).await.expect("it is there"), 2);
}

#[tokio::test]
async fn a_rewrapping_that_is_cut_short_anywhere_is_finished_by_the_next() {
    let mut steps = 0;
    loop {
        let fixture = Fixture::new().await;
        let recorded = fixture.recorded(TenantId::generate()).await;
        let tenant = recorded.tenant;
        let before = opened(&fixture, &recorded).await;
        fixture.custody().rotate(tenant).await.expect("rotated");
        let survived = fixture.mortal_custody(Life::of(steps)).rewrap(tenant).await.is_ok();
        assert_eq!(opened(&fixture, &recorded).await, before, "after {steps} steps");
        fixture.leases_run_out().await;
        let custody = fixture.custody();
        assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").left, 0);
        assert_eq!(versions(&fixture, &recorded).await, [2; 5], "after {steps} steps");
        assert_eq!(notes(&fixture, &recorded).await.len(), 1, "after {steps} steps");
        custody.destroy_older(tenant).await.expect("destroyed");
        assert_eq!(opened(&fixture, &recorded).await, before, "after {steps} steps");
        if survived {
            break;
        }
        steps += 1;
    }
    assert!(steps >= 14, "only {steps} steps were tried");
}

#[tokio::test]
async fn what_is_being_made_keeps_its_key_and_that_its_tenant_key() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let files = fixture.store.playables(SessionKey::new(tenant, id)).await.expect("read");
    let building = Playable { state: PlayableState::Building, ..files[0].clone() };
    fixture.store.put_playable(SessionKey::new(tenant, id), &building).await.expect("put");
    let custody = fixture.custody();
    custody.rotate(tenant).await.expect("rotated");
    let done = custody.rewrap(tenant).await.expect("rewrapped");
    assert_eq!((done.keys, done.left), (4, 1));
    fixture
        .store
        .put_playable(SessionKey::new(tenant, id), &building)
        .await
        .expect("its maker goes on");
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::Unfinished(session)) if session == id));
    fixture.store.put_playable(SessionKey::new(tenant, id), &files[0]).await.expect("it is ready");
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::OldKeysInUse(1))), "{refused:?}");
    assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").keys, 1);
    assert_eq!(custody.destroy_older(tenant).await.expect("destroyed"), [1]);
    assert_eq!(notes(&fixture, &recorded).await.len(), 1);
}

#[tokio::test]
async fn a_recording_that_goes_on_keeps_older_tenant_keys_alive() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recording(TenantId::generate()).await;
    let tenant = recorded.tenant;
    let custody = fixture.custody();
    custody.rotate(tenant).await.expect("rotated");
    custody.rewrap(tenant).await.expect("rewrapped");
    assert_eq!(versions(&fixture, &recorded).await, [2; 3]);
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::Unfinished(session)) if session == recorded.id));
}

#[tokio::test]
async fn an_interrupted_erasure_is_not_rewrapped_but_finished() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    // The claim, the note that objects are left, and the entry of the first track; then it dies.
    let mortal = fixture.mortal_custody(Life::of(6));
    let reason = cabildo::custody::ErasureReason::Requested;
    mortal.erase_session(SessionKey::new(tenant, id), reason).await.expect_err("died");
    fixture.leases_run_out().await;
    let custody = fixture.custody();
    custody.rotate(tenant).await.expect("rotated");
    custody.rewrap(tenant).await.expect("rewrapped");
    let tracks = fixture.store.tracks(SessionKey::new(tenant, id)).await.expect("read");
    assert_eq!(tracks[0].wrapped_key, None, "the log says that this key is gone");
    assert!(tracks[1].wrapped_key.is_some());
    assert_eq!(versions(&fixture, &recorded).await, [2; 4]);
}

#[tokio::test]
async fn a_key_that_nothing_unwraps_is_counted_and_keeps_nothing_else_back() {
    let fixture = Fixture::new().await;
    let recorded = fixture.recorded(TenantId::generate()).await;
    let (tenant, id) = (recorded.tenant, recorded.id);
    let mut lost = wrapped(&fixture, &recorded).await[0].1.clone();
    let last = lost.len() - 1;
    lost[last] ^= 1;
    let track = recorded.tracks[0];
    fixture
        .store
        .put_track_key(SessionKey::new(tenant, id), track, Some(lost.clone()))
        .await
        .expect("spoilt");
    let refused = fixture.keys.unwrap(tenant, KeyPurpose::Track(track, 1), &lost).await;
    assert_eq!(refused.err(), Some(KeyVaultError::NotAuthentic));
    let custody = fixture.custody();
    custody.rotate(tenant).await.expect("rotated");
    let done = custody.rewrap(tenant).await.expect("rewrapped");
    assert_eq!((done.keys, done.left), (4, 1));
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::OldKeysInUse(1))), "{refused:?}");
}

#[tokio::test]
async fn keys_of_cameras_are_rewrapped_before_older_tenant_keys_can_be_destroyed() {
    let fixture = Fixture::new().await;
    let tenant = TenantId::generate();
    let (secret, key) = (CameraSecretId::generate(), random_key());
    let purpose = KeyPurpose::Camera(secret);
    let wrapped_key = fixture.keys.wrap(tenant, purpose, &key).await.expect("wrapped");
    let now = fixture.now();
    let camera = Camera {
        tenant,
        id: "hall".parse().expect("an id"),
        source: SealedSource {
            id: secret,
            wrapped_key,
            sealed: vec![7; 90],
            masked: "rtsp://cam.example/".to_owned(),
        },
        transport: CameraTransport::Auto,
        codec_hint: None,
        target_profiles: Vec::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    fixture.store.put_camera(&camera, None, 9).await.expect("stored");
    let custody = fixture.custody();
    assert_eq!(custody.rotate(tenant).await.expect("rotated"), 2);
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::OldKeysInUse(1))), "{refused:?}");
    assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").keys, 1);
    assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").keys, 0, "again");
    assert_eq!(custody.destroy_older(tenant).await.expect("destroyed"), [1]);
    let stored = fixture.store.camera_keys(tenant).await.expect("read");
    let [(id, wrapped)] = &stored[..] else { panic!("one key: {stored:?}") };
    assert_eq!((*id, wrapped_version(wrapped)), (secret, Some(2)));
    assert_eq!(fixture.keys.unwrap(tenant, purpose, wrapped).await, Ok(key));
}

#[tokio::test]
async fn keys_of_captures_are_rewrapped_before_older_tenant_keys_can_be_destroyed() {
    let fixture = Fixture::new().await;
    let (tenant, now) = (TenantId::generate(), fixture.now());
    let capture = Capture {
        tenant,
        id: "sess-7".parse().expect("an id"),
        device: "box-1".parse().expect("an id"),
        stream_path: "/sess-7".to_owned(),
        edge_started_at: now,
        edge_ended_at: None,
        playlist_url: None,
        opened_at: now,
        closed_at: None,
        is_published: false,
    };
    fixture.store.insert_capture(&capture, 9, 9).await.expect("stored");
    let (id, key) = (PublicationId::generate(), random_key());
    let purpose = KeyPurpose::Capture(id);
    let wrapped_key = fixture.keys.wrap(tenant, purpose, &key).await.expect("wrapped");
    let of = FilmsOf::Capture(capture.id);
    let publication = Publication { tenant, id, of, wrapped_key, began_at: now };
    fixture.store.add_publication(&publication, 1).await.expect("stored");
    let custody = fixture.custody();
    assert_eq!(custody.rotate(tenant).await.expect("rotated"), 2);
    let refused = custody.destroy_older(tenant).await;
    assert!(matches!(refused, Err(CustodyError::OldKeysInUse(1))), "{refused:?}");
    assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").keys, 1);
    assert_eq!(custody.rewrap(tenant).await.expect("rewrapped").keys, 0, "again");
    assert_eq!(custody.destroy_older(tenant).await.expect("destroyed"), [1]);
    let stored = fixture.store.publication(tenant, id).await.expect("read").expect("there");
    assert_eq!(wrapped_version(&stored.wrapped_key), Some(2));
    assert_eq!(fixture.keys.unwrap(tenant, purpose, &stored.wrapped_key).await, Ok(key));
}
