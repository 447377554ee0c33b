//! Cameras, stream sessions and captures: limits and transitions under races,
//! and that tenants stay apart.

use std::time::Duration;

use cabildo::cameras::Capture;
use cabildo::cameras::engine::policy::{Denied, Step};
use cabildo::cameras::repository::{
    BridgeKey, BridgeRepository as _, Camera, CameraRecordingRepository as _, CameraRepository,
    CaptureFile, CaptureRepository, Filed, FilmsOf, Inserted, Probe, ProbeRepository, Publication,
    PublicationRepository, Put, RecordedSegment, RecordingPolicy, SealedSource, SessionQuery,
    SpentPublication, StepAt, Stepped, StreamRecord, StreamRepository, StreamSession,
    StreamSessionRepository, StreamStarted,
};
use cabildo::domain::camera::{
    CameraCodec, CameraHealth, CameraTransport, ProbeCause, StreamFault,
    StreamSessionStatus as Status, StreamStatus,
};
use cabildo::domain::id::{
    CameraId, CameraSecretId, CaptureId, PublicationId, SessionId, StreamId, StreamSessionId,
    TenantId,
};
use cabildo::domain::time::Timestamp;
use cabildo::store::Store;
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_camera_is_stored_by_revision_and_counted_under_races,
    a_removed_camera_takes_its_own_sessions_with_it_only,
    of_activations_at_once_one_activates,
    a_session_that_ran_out_takes_no_place_and_is_not_activated,
    of_ends_at_once_one_ends,
    activations_at_once_stay_within_the_limit_of_their_own_tenant,
    a_session_that_is_used_does_not_expire,
    a_clock_that_was_set_forward_ends_no_session_before_it_is_judged_by,
    a_session_that_ran_out_is_expired_by_whoever_looks_first,
    sessions_of_another_tenant_are_not_there,
    old_sessions_are_forgotten,
    a_capture_is_opened_and_closed_once,
    open_captures_are_limited_and_the_longest_closed_ones_are_forgotten,
    a_camera_that_is_due_is_taken_once_and_its_probes_go_with_it,
    a_removed_camera_is_to_be_in_no_room_any_more,
    of_publications_of_a_capture_the_newest_is_kept_and_old_ones_are_forgotten,
    what_is_recorded_of_a_camera_is_found_by_time_and_counted,
    of_starts_at_once_one_starts_and_limits_hold,
    a_stream_is_kept_by_one_and_stopped_once,
);

const MANY: u32 = 1_000;

fn later(seconds: u64) -> Timestamp {
    NOW.after(Duration::from_secs(seconds))
}

fn at(seconds: u64, active_max: u32) -> StepAt {
    let at = later(seconds);
    StepAt { at, due_at: later(seconds + 60), judged_at: at, active_max }
}

fn camera_id(name: &str) -> CameraId {
    name.parse().expect("an id")
}

fn camera(tenant: TenantId, name: &str, revision: u64) -> Camera {
    Camera {
        tenant,
        id: camera_id(name),
        source: SealedSource {
            id: CameraSecretId::generate(),
            wrapped_key: vec![1; 65],
            sealed: vec![2; 90],
            masked: "rtsp://***:***@cam.example/".to_owned(),
        },
        transport: CameraTransport::Udp,
        codec_hint: Some("h264".to_owned()),
        target_profiles: vec!["low".to_owned(), "high".to_owned()],
        revision,
        created_at: NOW,
        updated_at: NOW,
    }
}

fn session(tenant: TenantId, camera: &str) -> StreamSession {
    StreamSession {
        tenant,
        id: StreamSessionId::generate(),
        watched: camera_id(camera).into(),
        status: Status::Requested,
        requested_at: NOW,
        issued_at: None,
        activated_at: None,
        seen_at: None,
        due_at: later(60),
        ended_at: None,
    }
}

async fn issued(store: &Store, tenant: TenantId, camera: &str) -> StreamSessionId {
    let session = session(tenant, camera);
    let stepped = store.issue_session(&session, at(0, MANY)).await.expect("answered");
    assert!(matches!(stepped, Stepped::Done(_)), "{stepped:?}");
    session.id
}

async fn status_of(store: &Store, tenant: TenantId, id: StreamSessionId) -> Status {
    store.session(tenant, id).await.expect("answered").expect("there").status
}

/// One step of one session, by many at once on two stores.
async fn race(
    fixture: &Fixture,
    tenant: TenantId,
    id: StreamSessionId,
    step: Step,
) -> Vec<Stepped> {
    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let store = fixture.stores[number % 2].clone();
        tasks.spawn(async move { store.step_session(tenant, id, step, at(1, MANY)).await });
    }
    tasks.join_all().await.into_iter().map(|stepped| stepped.expect("answered")).collect()
}

async fn a_camera_is_stored_by_revision_and_counted_under_races(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let hall = camera(tenant, "hall", 1);
    assert_eq!(first.put_camera(&hall, None, 3).await, Ok(Put::Done));
    assert_eq!(second.camera(tenant, &hall.id).await, Ok(Some(hall.clone())));
    assert_eq!(second.put_camera(&hall, None, 3).await, Ok(Put::Stale), "it is there");
    assert_eq!(second.put_camera(&hall, Some(9), 3).await, Ok(Put::Stale));
    let changed = Camera { codec_hint: None, revision: 2, ..camera(tenant, "hall", 1) };
    assert_eq!(second.put_camera(&changed, Some(1), 3).await, Ok(Put::Done));
    assert_eq!(first.cameras(tenant).await, Ok(vec![changed]));
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let store = fixture.stores[number % 2].clone();
        let camera = camera(tenant, &format!("cam-{number}"), 1);
        tasks.spawn(async move { store.put_camera(&camera, None, 3).await });
    }
    let done = tasks.join_all().await.into_iter().filter(|put| *put == Ok(Put::Done)).count();
    assert_eq!(done, 2, "three cameras, one of which was there");
    assert_eq!(first.put_camera(&camera(other, "hall", 1), None, 3).await, Ok(Put::Done));
    assert_eq!(first.cameras(other).await.expect("answered").len(), 1);
}

async fn a_removed_camera_takes_its_own_sessions_with_it_only(fixture: Fixture) {
    let store = fixture.store();
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    for (tenant, name) in [(tenant, "hall"), (tenant, "door"), (other, "hall")] {
        let put = store.put_camera(&camera(tenant, name, 1), None, 9).await;
        assert_eq!(put, Ok(Put::Done));
    }
    let own = issued(store, tenant, "hall").await;
    let beside = issued(store, tenant, "door").await;
    let foreign = issued(store, other, "hall").await;
    assert_eq!(store.remove_camera(tenant, &camera_id("hall"), later(1)).await, Ok(true));
    assert_eq!(store.remove_camera(tenant, &camera_id("hall"), later(2)).await, Ok(false));
    assert_eq!(status_of(store, tenant, own).await, Status::Ended);
    assert_eq!(status_of(store, tenant, beside).await, Status::Issued);
    assert_eq!(status_of(store, other, foreign).await, Status::Issued);
    assert!(store.camera(other, &camera_id("hall")).await.expect("answered").is_some());
    assert_eq!(store.cameras(tenant).await.expect("answered").len(), 1);
}

async fn of_activations_at_once_one_activates(fixture: Fixture) {
    let tenant = TenantId::generate();
    let id = issued(fixture.store(), tenant, "hall").await;
    let stepped = race(&fixture, tenant, id, Step::Activate).await;
    let done = stepped.iter().filter(|it| matches!(it, Stepped::Done(_))).count();
    let already = stepped.iter().filter(|it| matches!(it, Stepped::Already(_))).count();
    assert_eq!((done, already), (1, 11), "{stepped:?}");
    let session = fixture.store().session(tenant, id).await.expect("answered").expect("there");
    assert_eq!(session.status, Status::Active);
    assert_eq!((session.activated_at, session.due_at), (Some(later(1)), later(61)));
}

async fn a_session_that_ran_out_takes_no_place_and_is_not_activated(fixture: Fixture) {
    let store = fixture.store();
    let tenant = TenantId::generate();
    let id = issued(store, tenant, "hall").await;
    let stepped = store.step_session(tenant, id, Step::Activate, at(1, 1)).await;
    assert!(matches!(stepped, Ok(Stepped::Done(_))), "{stepped:?}");
    let more = store.issue_session(&session(tenant, "hall"), at(2, 1)).await;
    assert_eq!(more, Ok(Stepped::Denied(Denied::LimitReached)));
    // Its time is over at 61, and nothing has swept it.
    let more = store.issue_session(&session(tenant, "hall"), at(61, 1)).await;
    assert!(matches!(more, Ok(Stepped::Done(_))), "{more:?}");
    let again = store.step_session(tenant, id, Step::Activate, at(61, 1)).await;
    assert_eq!(again, Ok(Stepped::Refused(Status::Expired)));
    assert_eq!(status_of(store, tenant, id).await, Status::Expired);
}

async fn of_ends_at_once_one_ends(fixture: Fixture) {
    let tenant = TenantId::generate();
    let id = issued(fixture.store(), tenant, "hall").await;
    let stepped = race(&fixture, tenant, id, Step::End).await;
    let done = stepped.iter().filter(|it| matches!(it, Stepped::Done(_))).count();
    assert_eq!(done, 1, "{stepped:?}");
    assert!(!stepped.iter().any(|it| matches!(it, Stepped::Refused(_))), "{stepped:?}");
    let late = fixture.store().step_session(tenant, id, Step::Activate, at(2, MANY)).await;
    assert_eq!(late, Ok(Stepped::Refused(Status::Ended)));
}

async fn activations_at_once_stay_within_the_limit_of_their_own_tenant(fixture: Fixture) {
    let store = fixture.store();
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let mut tasks = JoinSet::new();
    for number in 0..10 {
        let store = fixture.stores[number % 2].clone();
        let id = issued(&store, tenant, "hall").await;
        tasks.spawn(async move { store.step_session(tenant, id, Step::Activate, at(1, 3)).await });
    }
    let stepped: Vec<Stepped> =
        tasks.join_all().await.into_iter().map(|it| it.expect("answered")).collect();
    let done = stepped.iter().filter(|it| matches!(it, Stepped::Done(_))).count();
    let denied = stepped.iter().filter(|it| **it == Stepped::Denied(Denied::LimitReached)).count();
    assert_eq!((done, denied), (3, 7), "{stepped:?}");
    let more = store.issue_session(&session(tenant, "hall"), at(1, 3)).await;
    assert_eq!(more, Ok(Stepped::Denied(Denied::LimitReached)));
    let none = store.issue_session(&session(other, "hall"), at(1, 0)).await;
    assert_eq!(none, Ok(Stepped::Denied(Denied::NotEntitled)));
    // Another tenant has its own.
    let id = issued(store, other, "hall").await;
    let theirs = store.step_session(other, id, Step::Activate, at(1, 1)).await;
    assert!(matches!(theirs, Ok(Stepped::Done(_))), "{theirs:?}");
    // One that ends makes room.
    let active = SessionQuery { status: Some(Status::Active), limit: 9, ..SessionQuery::default() };
    let ended = store.sessions(tenant, &active).await.expect("answered")[0].id;
    store.step_session(tenant, ended, Step::End, at(2, 0)).await.expect("answered");
    let more = store.issue_session(&session(tenant, "hall"), at(2, 3)).await;
    assert!(matches!(more, Ok(Stepped::Done(_))), "{more:?}");
}

async fn a_session_that_is_used_does_not_expire(fixture: Fixture) {
    let store = fixture.store();
    let tenant = TenantId::generate();
    let id = issued(store, tenant, "hall").await;
    assert_eq!(
        store.touch_session(tenant, id, later(1), (later(1), later(99))).await,
        Ok(false),
        "not active"
    );
    store.step_session(tenant, id, Step::Activate, at(0, 1)).await.expect("answered");
    let due = store.due_sessions(None, later(60), 10).await.expect("answered");
    assert_eq!(due, [(tenant, id)]);
    // Used after it was found due, and before it is ended for it.
    assert_eq!(store.touch_session(tenant, id, later(59), (later(59), later(119))).await, Ok(true));
    let refused = store.step_session(tenant, id, Step::Expire, at(60, 0)).await;
    assert_eq!(refused, Ok(Stepped::Refused(Status::Active)));
    assert_eq!(store.due_sessions(None, later(118), 10).await, Ok(vec![]));
    let expired = store.step_session(tenant, id, Step::Expire, at(119, 0)).await;
    assert!(matches!(expired, Ok(Stepped::Done(_))), "{expired:?}");
    assert_eq!(
        store.touch_session(tenant, id, later(120), (later(120), later(180))).await,
        Ok(false)
    );
    assert_eq!(store.due_sessions(None, later(999), 10).await, Ok(vec![]));
}

async fn a_clock_that_was_set_forward_ends_no_session_before_it_is_judged_by(fixture: Fixture) {
    let store = fixture.store();
    let (tenant, day) = (TenantId::generate(), 86_400);
    let of_now = |seconds, active_max| StepAt { judged_at: later(seconds), ..at(day, active_max) };
    let id = issued(store, tenant, "hall").await;
    let begun = store.step_session(tenant, id, Step::Activate, of_now(59, 1)).await;
    assert!(matches!(begun, Ok(Stepped::Done(_))), "{begun:?}");
    let noted = (later(day), later(day + 60));
    assert_eq!(store.touch_session(tenant, id, later(60), noted).await, Ok(true));
    let full = store.issue_session(&session(tenant, "hall"), of_now(60, 1)).await;
    assert!(matches!(full, Ok(Stepped::Denied(_))), "{full:?}");
    let refused = store.step_session(tenant, id, Step::Expire, of_now(60, 0)).await;
    assert_eq!(refused, Ok(Stepped::Refused(Status::Active)));
    assert_eq!(store.due_sessions(Some(tenant), later(day + 59), 10).await, Ok(vec![]));
    let expired = store.step_session(tenant, id, Step::Expire, of_now(day + 60, 0)).await;
    assert!(matches!(expired, Ok(Stepped::Done(_))), "{expired:?}");
}

async fn a_session_that_ran_out_is_expired_by_whoever_looks_first(fixture: Fixture) {
    let tenant = TenantId::generate();
    let id = issued(fixture.store(), tenant, "hall").await;
    // Nobody swept yet, and the token is too late.
    let refused = fixture.store().step_session(tenant, id, Step::Activate, at(60, 9)).await;
    assert_eq!(refused, Ok(Stepped::Refused(Status::Expired)));
    assert_eq!(status_of(fixture.store(), tenant, id).await, Status::Expired);
    let again = fixture.store().step_session(tenant, id, Step::Expire, at(61, 0)).await;
    assert!(matches!(again, Ok(Stepped::Already(_))), "{again:?}");
    let ended = fixture.store().step_session(tenant, id, Step::End, at(61, 0)).await;
    assert_eq!(ended, Ok(Stepped::Refused(Status::Expired)));
}

async fn sessions_of_another_tenant_are_not_there(fixture: Fixture) {
    let store = fixture.store();
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let id = issued(store, tenant, "hall").await;
    assert_eq!(store.session(other, id).await, Ok(None));
    for step in Step::ALL {
        let stepped = store.step_session(other, id, step, at(1, MANY)).await;
        assert_eq!(stepped, Ok(Stepped::NotFound), "{step:?}");
    }
    assert_eq!(store.touch_session(other, id, later(1), (later(1), later(2))).await, Ok(false));
    let everything = SessionQuery { limit: 9, ..SessionQuery::default() };
    assert_eq!(store.sessions(other, &everything).await, Ok(vec![]));
    assert_eq!(store.sessions(tenant, &everything).await.expect("answered").len(), 1);
    assert_eq!(store.tenant_of_session(id).await, Ok(Some(tenant)));
    assert_eq!(store.due_sessions(Some(other), later(999), 9).await, Ok(vec![]));
    assert_eq!(store.tenants_with_sessions(None, 9).await, Ok(vec![tenant]));
    assert_eq!(store.tenants_with_sessions(Some(tenant), 9).await, Ok(vec![]));
    assert_eq!(status_of(store, tenant, id).await, Status::Issued);
}

async fn old_sessions_are_forgotten(fixture: Fixture) {
    let store = fixture.store();
    let tenant = TenantId::generate();
    let (old, live) = (issued(store, tenant, "hall").await, issued(store, tenant, "hall").await);
    store.step_session(tenant, old, Step::End, at(5, 0)).await.expect("answered");
    assert_eq!(store.forget_sessions(tenant, later(5)).await, Ok(0));
    assert_eq!(store.forget_sessions(tenant, later(6)).await, Ok(1));
    assert_eq!(store.session(tenant, old).await, Ok(None));
    assert_eq!(store.tenant_of_session(old).await, Ok(None));
    assert_eq!(status_of(store, tenant, live).await, Status::Issued);
}

async fn a_capture_is_opened_and_closed_once(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let capture = |tenant, path: &str| Capture {
        tenant,
        id: "sess-7".parse().expect("an id"),
        device: "box-1".parse().expect("an id"),
        stream_path: path.to_owned(),
        edge_started_at: NOW,
        edge_ended_at: None,
        playlist_url: None,
        opened_at: later(1),
        closed_at: None,
        is_published: false,
    };
    let mine = capture(tenant, "/live/sess-7");
    assert_eq!(first.insert_capture(&mine, 1, MANY).await, Ok(Inserted::Done));
    let again = second.insert_capture(&capture(tenant, "/x"), 1, MANY).await;
    assert_eq!(again, Ok(Inserted::Known(mine.clone())));
    let foreign = second.insert_capture(&capture(other, "/y"), 1, MANY).await;
    assert_eq!(foreign, Ok(Inserted::Done), "another tenant has limits of its own");
    let closed = Capture {
        edge_ended_at: Some(later(9)),
        playlist_url: Some("https://media.example/sess-7.m3u8".to_owned()),
        closed_at: Some(later(10)),
        ..mine
    };
    let (one, two) = tokio::join!(first.close_capture(&closed), second.close_capture(&closed));
    assert_ne!(one.expect("answered"), two.expect("answered"), "one of both closed it");
    assert_eq!(first.capture(tenant, &closed.id).await, Ok(Some(closed.clone())));
    assert_eq!(first.captures(tenant, 5).await, Ok(vec![closed.clone()]));
    let theirs = first.capture(other, &closed.id).await.expect("answered").expect("there");
    assert_eq!(theirs.closed_at, None, "another tenant's capture was closed");
}

fn probe(tenant: TenantId, camera: &str, seconds: u64) -> Probe {
    Probe {
        tenant,
        camera: camera_id(camera),
        at: later(seconds),
        cause: ProbeCause::Due,
        status: StreamStatus::Error,
        health: CameraHealth::Offline,
        fault: Some(StreamFault::Unreachable),
        video: Some(CameraCodec::H264),
        audio: None,
        bitrate_bps: 1,
        frame_rate_milli: 2,
        latency_ms: Some(3),
        failures: 4,
    }
}

async fn a_camera_that_is_due_is_taken_once_and_its_probes_go_with_it(fixture: Fixture) {
    let (store, tenant, other) = (fixture.store(), TenantId::generate(), TenantId::generate());
    for tenant in [tenant, other] {
        store.put_camera(&camera(tenant, "hall", 1), None, MANY).await.expect("stored");
    }
    let due = async |seconds| {
        let due = store.due_cameras(later(seconds), MANY).await.expect("read");
        due.into_iter().filter(|(of, _)| [tenant, other].contains(of)).count()
    };
    assert_eq!(due(0).await, 2);
    let mut takers = JoinSet::new();
    for number in 0..6 {
        let store = fixture.stores[number % 2].clone();
        takers.spawn(async move {
            let id = camera_id("hall");
            store.take_camera(tenant, &id, later(0), later(60)).await.expect("taken")
        });
    }
    assert_eq!(takers.join_all().await.into_iter().filter(|taken| *taken).count(), 1);
    assert_eq!((due(0).await, due(60).await), (1, 2));
    for seconds in 1..=4 {
        let found = probe(tenant, "hall", seconds);
        assert!(store.put_probe(&found, later(100), 3).await.expect("stored"));
    }
    assert_eq!((due(60).await, due(100).await), (1, 2));
    let id = camera_id("hall");
    let kept = store.probes(tenant, &id, MANY).await.expect("read");
    let wanted: Vec<Probe> = [4, 3, 2].map(|seconds| probe(tenant, "hall", seconds)).into();
    assert_eq!(kept, wanted, "the newest three");
    assert_eq!(store.probes(tenant, &id, 1).await.expect("read").len(), 1);
    assert_eq!(store.probes(other, &id, MANY).await.expect("read"), []);
    assert!(store.remove_camera(tenant, &id, later(5)).await.expect("removed"));
    assert_eq!(store.probes(tenant, &id, MANY).await.expect("read"), []);
    assert!(!store.put_probe(&probe(tenant, "hall", 6), later(9), 3).await.expect("asked"));
    assert_eq!(due(1_000).await, 1, "the other tenant's");
}

fn stream(tenant: TenantId, camera: &str) -> StreamRecord {
    StreamRecord {
        tenant,
        id: StreamId::generate(),
        camera: camera_id(camera),
        masked: "rtsp://***:***@cam.example/".to_owned(),
        status: StreamStatus::Starting,
        started_at: NOW,
        stopped_at: None,
    }
}

async fn of_starts_at_once_one_starts_and_limits_hold(fixture: Fixture) {
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let race = async |streams: Vec<StreamRecord>, max: u32| {
        let mut tasks = JoinSet::new();
        for (number, stream) in streams.into_iter().enumerate() {
            let store = fixture.stores[number % 2].clone();
            tasks.spawn(async move { store.start_stream(&stream, later(15), max).await });
        }
        let started = tasks.join_all().await;
        let count = |wanted| started.iter().filter(|it| **it == Ok(wanted)).count();
        (
            count(StreamStarted::Done),
            started.iter().filter(|it| matches!(it, Ok(StreamStarted::CameraBusy(_)))).count(),
            count(StreamStarted::Denied(Denied::LimitReached)),
        )
    };
    let same = (0..12).map(|_| stream(tenant, "hall")).collect();
    assert_eq!(race(same, MANY).await, (1, 11, 0));
    let others = (0..6).map(|n| stream(tenant, &format!("cam-{n}"))).collect();
    assert_eq!(race(others, 3).await, (2, 0, 4), "one was active before");
    let store = fixture.store();
    let foreign = stream(other, "hall");
    let none = store.start_stream(&foreign, later(15), 0).await;
    assert_eq!(none, Ok(StreamStarted::Denied(Denied::NotEntitled)));
    assert_eq!(store.start_stream(&foreign, later(15), 1).await, Ok(StreamStarted::Done));
    assert_eq!(store.stream(other, foreign.id).await, Ok(Some(foreign.clone())));
    assert_eq!(store.stream(tenant, foreign.id).await, Ok(None));
    assert_eq!(store.stop_stream(tenant, foreign.id, later(1)).await, Ok(false));
    assert_eq!(store.tenant_of_stream(foreign.id).await, Ok(Some(other)));
}

async fn a_stream_is_kept_by_one_and_stopped_once(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let tenant = TenantId::generate();
    let hall = camera(tenant, "hall", 1);
    assert_eq!(first.put_camera(&hall, None, 3).await, Ok(Put::Done));
    let (one, beside) = (stream(tenant, "hall"), stream(tenant, "door"));
    for stream in [&one, &beside] {
        let started = first.start_stream(stream, later(15), 9).await;
        assert_eq!(started, Ok(StreamStarted::Done));
    }
    assert_eq!(second.unkept_streams(later(14), 9).await, Ok(vec![]));
    assert_eq!(second.unkept_streams(later(15), 9).await.expect("answered").len(), 2);
    let (a, b) = tokio::join!(
        first.take_stream(tenant, one.id, later(15), later(30)),
        second.take_stream(tenant, one.id, later(15), later(30)),
    );
    assert_ne!(a.expect("answered"), b.expect("answered"), "one of both took it");
    let stale = (later(15), later(40));
    let kept = first.keep_stream(tenant, one.id, StreamStatus::Running, stale).await;
    assert_eq!(kept, Ok(false), "whoever kept it before learns that it was taken");
    let kept = (later(30), later(40));
    let kept = second.keep_stream(tenant, one.id, StreamStatus::Running, kept).await;
    assert_eq!(kept, Ok(true));
    let found = first.stream(tenant, one.id).await.expect("answered").expect("there");
    assert_eq!((found.status, found.stopped_at), (StreamStatus::Running, None));
    let (a, b) = tokio::join!(
        first.stop_stream(tenant, one.id, later(41)),
        second.stop_stream(tenant, one.id, later(42)),
    );
    assert_eq!((a, b), (Ok(true), Ok(true)), "a stop may come twice");
    let stopped = first.stream(tenant, one.id).await.expect("answered").expect("there");
    assert_eq!(stopped.status, StreamStatus::Stopped);
    let first_stop = stopped.stopped_at;
    assert_eq!(first.stop_stream(tenant, one.id, later(50)).await, Ok(true));
    let again = first.stream(tenant, one.id).await.expect("answered").expect("there");
    assert_eq!(again.stopped_at, first_stop, "the first stop counts");
    let late =
        first.keep_stream(tenant, one.id, StreamStatus::Running, (later(40), later(60))).await;
    assert_eq!(late, Ok(false), "whoever kept it learns of the stop");
    assert_eq!(
        second.unkept_streams(later(999), 9).await,
        Ok(vec![(tenant, beside.id)]),
        "one that is stopped is taken by nobody"
    );
    // A camera that goes takes its stream along, and no other one.
    let next = stream(tenant, "hall");
    assert_eq!(first.start_stream(&next, later(60), 9).await, Ok(StreamStarted::Done));
    assert_eq!(second.remove_camera(tenant, &hall.id, later(61)).await, Ok(true));
    let status =
        async |id| first.stream(tenant, id).await.expect("answered").expect("there").status;
    assert_eq!(status(next.id).await, StreamStatus::Stopped);
    assert_eq!(status(beside.id).await, StreamStatus::Starting);
    assert_eq!(first.forget_streams(tenant, later(62)).await, Ok(2));
    assert_eq!(first.stream(tenant, next.id).await, Ok(None));
    assert_eq!(first.tenant_of_stream(next.id).await, Ok(None));
    assert_eq!(first.tenants_with_streams(None, 9).await, Ok(vec![tenant]));
}

async fn open_captures_are_limited_and_the_longest_closed_ones_are_forgotten(fixture: Fixture) {
    let (store, tenant) = (fixture.store(), TenantId::generate());
    let capture = |number: u64| Capture {
        tenant,
        id: format!("sess-{number}").parse().expect("an id"),
        device: "box-1".parse().expect("an id"),
        stream_path: "/live".to_owned(),
        edge_started_at: NOW,
        edge_ended_at: None,
        playlist_url: None,
        opened_at: later(number),
        closed_at: None,
        is_published: false,
    };
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let store = fixture.stores[usize::try_from(number % 2).expect("small")].clone();
        let capture = capture(number);
        tasks.spawn(async move { store.insert_capture(&capture, 3, MANY).await });
    }
    let done = tasks.join_all().await;
    let limited = done.iter().filter(|it| **it == Ok(Inserted::LimitReached)).count();
    assert_eq!((done.iter().filter(|it| **it == Ok(Inserted::Done)).count(), limited), (3, 5));
    for open in store.captures(tenant, MANY).await.expect("read") {
        let at = open.opened_at.after(Duration::from_secs(100));
        let closed = Capture { closed_at: Some(at), edge_ended_at: Some(at), ..open };
        assert_eq!(store.close_capture(&closed).await, Ok(true));
    }
    let before = store.captures(tenant, MANY).await.expect("read");
    assert_eq!(store.insert_capture(&capture(50), 3, 2).await, Ok(Inserted::Done));
    let after = store.captures(tenant, MANY).await.expect("read");
    assert_eq!(after.len(), 2, "{after:?}");
    assert_eq!(after[0], capture(50), "the open one stays");
    assert_eq!(after[1], before[0], "of the closed ones that which was closed last");
}

fn publication(tenant: TenantId, capture: &CaptureId, seconds: u64) -> Publication {
    Publication {
        tenant,
        id: PublicationId::generate(),
        of: FilmsOf::Capture(capture.clone()),
        wrapped_key: vec![1; 65],
        began_at: later(seconds),
    }
}

fn capture_file(number: u64, header: Option<u64>, seconds: u64) -> CaptureFile {
    CaptureFile { number, header, is_break: false, ticks: 360_000, at: later(seconds), bytes: 100 }
}

async fn of_publications_of_a_capture_the_newest_is_kept_and_old_ones_are_forgotten(
    fixture: Fixture,
) {
    let [first, second] = &fixture.stores;
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let id: CaptureId = "sess-7".parse().expect("an id");
    let capture = |tenant| Capture {
        tenant,
        id: id.clone(),
        device: "box-1".parse().expect("an id"),
        stream_path: "/sess-7".to_owned(),
        edge_started_at: NOW,
        edge_ended_at: None,
        playlist_url: None,
        opened_at: NOW,
        closed_at: None,
        is_published: false,
    };
    let one = publication(tenant, &id, 1);
    assert_eq!(first.add_publication(&one, 500).await, Ok(Filed::Closed), "there is no capture");
    for tenant in [tenant, other] {
        first.insert_capture(&capture(tenant), 9, 9).await.expect("stored");
    }
    let add = async |store: &Store, of: &Publication, file: CaptureFile, most: Option<u64>| {
        store.add_file(of, &file, later(90), most).await
    };
    assert_eq!(first.add_publication(&one, 500).await, Ok(Filed::Done));
    assert_eq!(add(first, &one, capture_file(0, None, 1), None).await, Ok(Filed::Done));
    assert!(!first.capture(tenant, &id).await.expect("read").expect("there").is_published);
    assert_eq!(add(first, &one, capture_file(1, Some(0), 1), None).await, Ok(Filed::Done));
    // Another instance has the device now, whose clock is behind.
    let two = publication(tenant, &id, 0);
    assert_eq!(second.add_publication(&two, 500).await, Ok(Filed::Done));
    assert_eq!(add(first, &one, capture_file(2, Some(0), 5), None).await, Ok(Filed::Replaced));
    assert_eq!(add(second, &two, capture_file(0, None, 6), None).await, Ok(Filed::Done));
    assert_eq!(add(second, &two, capture_file(1, Some(0), 6), Some(999)).await, Ok(Filed::Done));
    assert_eq!(add(second, &two, capture_file(2, Some(0), 9), Some(400)).await, Ok(Filed::Full));
    let full = publication(tenant, &id, 9);
    assert_eq!(first.add_publication(&full, 400).await, Ok(Filed::Full));
    let theirs = publication(other, &id, 9);
    assert_eq!(first.add_publication(&theirs, 400).await, Ok(Filed::Done), "has room of its own");
    let segments = first.capture_segments(tenant, &id, 9).await.expect("read");
    let places: Vec<_> =
        segments.iter().map(|it| (it.publication, it.sequence, it.breaks)).collect();
    assert_eq!(places, [(one.id, 0, 0), (two.id, 1, 1)]);
    assert!(first.capture(tenant, &id).await.expect("read").expect("there").is_published);
    assert!(!first.capture(other, &id).await.expect("read").expect("there").is_published);
    assert_eq!(first.publication(other, one.id).await, Ok(None));
    // What was sent before the end may come soon after it.
    let closed =
        Capture { closed_at: Some(later(100)), edge_ended_at: Some(later(100)), ..capture(tenant) };
    assert_eq!(first.close_capture(&closed).await, Ok(true));
    assert_eq!(add(second, &two, capture_file(2, Some(0), 9), None).await, Ok(Filed::Done));
    let late = capture_file(3, Some(0), 9);
    assert_eq!(second.add_file(&two, &late, later(100), None).await, Ok(Filed::Closed));
    let old = async |of: &Publication, seconds| {
        let old = first.old_files(tenant, of.id, later(seconds), 9).await.expect("read");
        (old.numbers, old.is_all)
    };
    let due = async |seconds| {
        let due = first.old_publications(later(seconds), 9).await.expect("read");
        due.iter().filter(|it| it.0 == tenant).map(|it| it.1).collect::<Vec<_>>()
    };
    assert_eq!(old(&two, 7).await, (vec![1], false), "the header is needed");
    first.forget_files(tenant, two.id, &[1]).await.expect("forgotten");
    assert_eq!(due(7).await, [one.id], "what is left of the other is younger");
    assert_eq!(old(&one, 7).await, (vec![0, 1], true));
    first.forget_files(tenant, one.id, &[0, 1]).await.expect("forgotten");
    assert_eq!(first.publication(tenant, one.id).await, Ok(None));
    assert!(due(7).await.is_empty());
    assert_eq!(first.capture_segments(tenant, &id, 9).await.expect("read").len(), 1);
}

async fn what_is_recorded_of_a_camera_is_found_by_time_and_counted(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let (tenant, other, id) = (TenantId::generate(), TenantId::generate(), camera_id("hall"));
    let wanted = RecordingPolicy { enabled: true, max_age_s: Some(60), max_bytes: None };
    let put = async |store: &Store, tenant, wanted| store.put_recording(tenant, &id, wanted).await;
    assert_eq!(put(first, tenant, wanted).await, Ok(None), "there is no such camera");
    for tenant in [tenant, other] {
        first.put_camera(&camera(tenant, "hall", 1), None, 9).await.expect("stored");
    }
    let off = RecordingPolicy::default();
    assert_eq!(put(first, tenant, off).await, Ok(Some(false)), "it never was");
    assert_eq!(put(first, tenant, wanted).await, Ok(Some(true)));
    assert_eq!(put(second, tenant, wanted).await, Ok(Some(false)));
    let to_record = first.cameras_to_record(99).await.expect("read");
    assert!(to_record.contains(&(tenant, id.clone())) && !to_record.contains(&(other, id.clone())));
    // A capture of the same name is something else.
    let film = |tenant, seconds| Publication {
        of: FilmsOf::Camera(id.clone()),
        ..publication(tenant, &"hall".parse().expect("an id"), seconds)
    };
    let (one, two) = (film(tenant, 1), film(tenant, 2));
    for publication in [&one, &two] {
        assert_eq!(first.add_publication(publication, 0).await, Ok(Filed::Done));
        assert_eq!(
            first.publication(tenant, publication.id).await.map(|it| it.map(|it| it.of)),
            Ok(Some(publication.of.clone()))
        );
    }
    assert_eq!(first.publication(other, one.id).await, Ok(None));
    let add =
        async |of: &Publication, file: CaptureFile| second.add_file(of, &file, NOW, Some(0)).await;
    assert_eq!(add(&one, capture_file(0, None, 1)).await, Ok(Filed::Done));
    for (of, number, seconds) in [(&one, 1, 10), (&two, 1, 30), (&one, 3, 20), (&one, 3, 20)] {
        let file = CaptureFile { is_break: number == 3, ..capture_file(number, Some(0), seconds) };
        assert_eq!(add(of, file).await, Ok(Filed::Done), "an older publication too, and again");
    }
    assert_eq!(add(&film(tenant, 3), capture_file(1, Some(0), 9)).await, Ok(Filed::Replaced));
    let found = async |from, until, limit| {
        let span = (later(from), later(until));
        let found = first.recorded_segments(tenant, &id, span, limit).await.expect("read");
        found.iter().map(|it: &RecordedSegment| (it.at, it.is_break)).collect::<Vec<_>>()
    };
    let all = [(later(10), false), (later(20), true), (later(30), false)];
    assert_eq!(found(0, 90, 9).await, all);
    assert_eq!(found(15, 30, 9).await, all[..2], "the one before may reach into it");
    assert_eq!(found(0, 90, 2).await, all[..2]);
    let shown = async |tenant| first.recorded_cameras(tenant, None).await.expect("read");
    let known = shown(tenant).await;
    assert_eq!((known.len(), known[0].bytes, known[0].since), (1, 300, Some(later(10))));
    assert_eq!(known[0].policy, wanted);
    assert!(shown(other).await.is_empty());
    // What captures have does not count, and the other way round.
    let old = first.old_publications(later(99), 9).await.expect("read");
    assert!(old.iter().all(|it| it.0 != tenant));
    what_is_spent_is_forgotten(&fixture.stores, (tenant, &id), [one.id, two.id]).await;
}

/// Of two publications of a camera that is recorded the first has two segments and the newest one.
async fn what_is_spent_is_forgotten(
    [first, second]: &[Store; 2],
    (tenant, id): (TenantId, &CameraId),
    [one, two]: [PublicationId; 2],
) {
    let shown = async || first.recorded_cameras(tenant, None).await.expect("read");
    let spent_before =
        async |at| first.spent_publications(tenant, id, later(at)).await.expect("read");
    let spent = async || spent_before(99).await;
    assert!(spent().await.is_empty());
    let gone = [(one, 1), (one, 3), (one, 3)];
    second.forget_recorded(tenant, id, &gone).await.expect("forgotten");
    assert_eq!(spent().await, [SpentPublication { id: one, headers: vec![0] }]);
    assert_eq!(spent_before(1).await, [], "a segment may be on its way to one that has just begun");
    first.forget_publication(tenant, id, two).await.expect("it has a segment, and stays");
    first.forget_publication(tenant, id, one).await.expect("forgotten");
    assert_eq!((shown().await[0].bytes, spent().await), (100, vec![]));
    second.forget_recorded(tenant, id, &[(two, 1)]).await.expect("forgotten");
    assert!(spent().await.is_empty(), "the newest one gets more");
    assert_eq!(first.remove_camera(tenant, id, NOW).await, Ok(true));
    assert!(!first.cameras_to_record(99).await.expect("read").contains(&(tenant, id.clone())));
    assert!(!shown().await[0].policy.enabled);
    assert_eq!(spent().await, [SpentPublication { id: two, headers: vec![] }]);
    first.forget_publication(tenant, id, two).await.expect("forgotten");
    assert!(shown().await.is_empty(), "nothing of it is left");
    assert!(!first.tenants_with_recordings(None, 99).await.expect("read").contains(&tenant));
}

async fn a_removed_camera_is_to_be_in_no_room_any_more(fixture: Fixture) {
    let (store, tenant, other) = (fixture.store(), TenantId::generate(), TenantId::generate());
    let bridge = |tenant, camera: &str| BridgeKey {
        tenant,
        session: SessionId::generate(),
        camera: camera_id(camera),
    };
    let stay = [bridge(tenant, "hall-2"), bridge(tenant, "l"), bridge(other, "hall")];
    let gone = [bridge(tenant, "hall"), bridge(tenant, "hall")];
    for bridge in stay.iter().chain(&gone) {
        store.put_bridge(bridge, later(1)).await.expect("noted");
    }
    store.put_camera(&camera(tenant, "hall", 1), None, MANY).await.expect("stored");
    assert_eq!(store.remove_camera(tenant, &camera_id("hall"), later(2)).await, Ok(true));
    let noted = store.unkept_bridges(later(9), MANY).await.expect("read");
    assert!(stay.iter().all(|it| noted.contains(it)), "{noted:?}");
    assert!(!gone.iter().any(|it| noted.contains(it)), "{noted:?}");
}
