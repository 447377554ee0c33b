//! How cameras send, and what they do to a connection: by UDP, with answers that never end, and
//! without answers.

use std::time::Duration;

use super::low_latency::Foreign;
use super::playback::{Hall, names};
use crate::rtsp_camera::{Behaviour, Login, RtspCamera};

#[tokio::test]
async fn a_camera_that_sends_by_udp_alone_is_played_unless_it_is_to_use_tcp() {
    let foreign = tokio::task::spawn_blocking(Foreign::start).await.expect("it started");
    let hall = Hall::with(Behaviour::default()).await;
    let url = |path: &str| format!("rtsp://127.0.0.1:{}/{path}", foreign.port);
    hall.provision_by(&url("udp"), "tcp").await;
    let session = hall.issue().await;
    let refused = hall.main_at_once(&session).await;
    assert_eq!(refused.code(), "PLAYBACK_STREAM_NOT_READY");
    hall.until("refused", |health| health["fault"] == "transport_refused").await;
    for (path, transport) in [("udp", "auto"), ("often", "udp"), ("udp", "udp")] {
        hall.provision_by(&url(path), transport).await;
        let session = hall.issue().await;
        let watched = hall.watch(&session).await;
        let before = names(&hall.playlist_until(&watched, |_| true).await).len();
        let goes_on = |playlist: &str| names(playlist).len() >= (before + 2).min(16);
        let playlist = hall.playlist_until(&watched, goes_on).await;
        assert!(playlist.contains("#EXT-X-PART:"), "{path} {transport}: {playlist}");
        let is_well = |health: &serde_json::Value| health["status"] == "RUNNING";
        let health = hall.until("running", is_well).await;
        assert_eq!(
            (&health["codec"], &health["audioCodec"], &health["health"]),
            (&"h264".into(), &"opus".into(), &"online".into()),
            "{path} {transport}: {health}"
        );
    }
    hall.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_camera_is_told_until_it_is_there() {
    let hall = Hall::with(Behaviour::default()).await;
    hall.camera.behave(|it| it.refuses = Some(("DESCRIBE", 401)));
    let found = hall.look_after().await;
    assert_eq!(found["fault"], "credentials_refused", "{found}");
    let left = hall.until("left", |health| health["status"] == "STOPPED").await;
    assert_eq!(left["fault"], "credentials_refused", "{left}");
    // It is called again, and does not answer.
    hall.camera.behave(|it| (it.refuses, it.silent_at) = (None, Some("DESCRIBE")));
    let session = hall.issue().await;
    let starting = hall.until("called", |health| health["status"] == "STARTING");
    let (_, starting) = tokio::join!(hall.main_at_once(&session), starting);
    assert_eq!(starting["fault"], "credentials_refused", "{starting}");
    hall.camera.behave(|it| it.silent_at = None);
    let running = hall.until("there", |health| health["status"] == "RUNNING").await;
    assert_eq!(running["fault"], serde_json::Value::Null, "{running}");
    hall.stop().await;
}

#[tokio::test]
async fn a_camera_whose_pictures_can_not_be_read_says_so() {
    let hidden = Behaviour { announces_sets: false, sends_sets: false, ..Behaviour::default() };
    let hall = Hall::with(hidden).await;
    let found = hall.look_after().await;
    assert_eq!(
        (&found["status"], &found["health"], &found["fault"]),
        (&"RUNNING".into(), &"degraded".into(), &"pictures_missing".into()),
        "{found}"
    );
    let left = hall.until("left", |health| health["status"] == "STOPPED").await;
    assert_eq!(left["fault"], "pictures_missing", "{left}");
    hall.camera.behave(|it| it.sends_sets = true);
    let found = hall.look_after().await;
    assert_eq!((&found["health"], &found["fault"]), (&"online".into(), &serde_json::Value::Null));
    hall.stop().await;
}

#[tokio::test]
async fn answers_that_never_end_or_never_come_end_the_call_and_fill_no_memory() {
    const OK: &str = "RTSP/1.0 200 OK\r\n";
    const GIANT: &str = "RTSP/1.0 200 OK\r\nContent-Length: 4000000000\r\n\r\n";
    let lies = |at, first, endless| Behaviour {
        lies_at: Some((at, first, endless)),
        ..Behaviour::default()
    };
    let hall = Hall::with(Behaviour::default()).await;
    for (fault, behaviour) in [
        ("message_too_large", lies("DESCRIBE", OK, "x")),
        ("message_too_large", lies("DESCRIBE", OK, "X-Header: value\r\n")),
        ("message_too_large", lies("DESCRIBE", GIANT, "a=control:x\r\n")),
        ("message_too_large", lies("SETUP", GIANT, "\0")),
        ("message_too_large", lies("PLAY", "RTSP/1.0 200 ", "OK")),
        ("protocol_violated", lies("SETUP", "\0\0\r\n\r\n", "\0")),
        // Frames on channels that were not set up are left out; the answer never comes.
        ("answer_timed_out", lies("DESCRIBE", "", "$\x09\0\x08RTSP/1.0")),
        ("answer_timed_out", Behaviour { silent_at: Some("DESCRIBE"), ..Behaviour::default() }),
    ] {
        let camera = RtspCamera::start(behaviour.clone()).await;
        hall.provision(&camera.url()).await;
        let session = hall.issue().await;
        hall.main_at_once(&session).await;
        hall.until(fault, |health| health["fault"] == fault).await;
        if fault == "message_too_large" {
            // What the sockets hold, and no more.
            let taken = camera.lied_bytes();
            assert!(taken < 16 << 20, "{behaviour:?}: {taken} bytes were taken");
        }
    }
    hall.stop().await;
}

#[tokio::test]
async fn a_camera_that_never_answers_keepalives_or_wants_a_new_proof_is_shown_on() {
    for behaviour in [
        Behaviour { silent_at: Some("OPTIONS"), ..Behaviour::default() },
        Behaviour { login: Login::Digest, renews_nonce: true, ..Behaviour::default() },
        Behaviour { refuses: Some(("OPTIONS", 501)), ..Behaviour::default() },
    ] {
        let hall = Hall::with(Behaviour { session_s: 2, ..behaviour.clone() }).await;
        let session = hall.issue().await;
        let path = hall.watch(&session).await;
        hall.camera.asked("OPTIONS", 4).await;
        let playlist = hall.playlist_until(&path, |_| true).await;
        assert!(!playlist.contains("#EXT-X-DISCONTINUITY\n"), "{behaviour:?}: {playlist}");
        let played = hall.camera.requests().iter().filter(|it| *it == "PLAY").count();
        assert_eq!(played, 1, "{behaviour:?}: {:?}", hall.camera.requests());
        let health = hall.health().await;
        assert_eq!(health["status"], "RUNNING", "{behaviour:?}: {health}");
        hall.stop().await;
    }
}

#[tokio::test]
async fn many_lying_cameras_delay_nobody() {
    let hall = Hall::with(Behaviour::default()).await;
    let liar = RtspCamera::start(Behaviour {
        lies_at: Some(("DESCRIBE", "", "$\x09\x20\x20")),
        ..Behaviour::default()
    })
    .await;
    for n in 0..8 {
        hall.start_stream(&format!("liar-{n}"), &liar.url()).await;
    }
    liar.asked("DESCRIBE", 8).await;
    let session = hall.issue().await;
    let begun = std::time::Instant::now();
    assert_eq!(hall.main(&session).await.status, 200);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
    hall.stop().await;
}
