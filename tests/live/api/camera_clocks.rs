//! Cameras whose clocks are wrong: they are shown and recorded at the pace at which their pictures
//! come, and whoever looks after them is told.

use std::time::Duration;

use cabildo::domain::time::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::playback::text;
use crate::api::server::{Server, send};
use crate::rtsp_camera::{Behaviour, RtspCamera};

/// Looks before something must have happened: a minute and a half.
const LOOKS: u32 = 900;
const LOOK_EVERY: Duration = Duration::from_millis(100);

async fn get(server: &Server, path: &str) -> Value {
    let request = server.govern(Method::GET, path);
    let answer = send(request.header("x-tenant-id", server.tenant.to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

async fn until(server: &Server, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        last = get(server, path).await;
        if is_so(&last) {
            return last;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("{path}: {last}")
}

fn faults(health: &Value) -> u64 {
    health["timeFaults"].as_u64().expect("a number")
}

/// Whether a second passes in which every picture has a time that is right: none has that comes in
/// a burst after the machine stood still.
async fn has_right_second(server: &Server, path: &str) -> bool {
    let mut before = faults(&get(server, path).await);
    for _ in 0..LOOKS / 10 {
        tokio::time::sleep(LOOK_EVERY * 10).await;
        let now = faults(&get(server, path).await);
        if now == before {
            return true;
        }
        before = now;
    }
    false
}

async fn token(server: &Server, camera: &str) -> String {
    let body = json!({"tenantId": server.tenant.to_string(), "cameraId": camera});
    let issued = send(server.govern(Method::POST, "/gateway/sessions").json(&body)).await;
    assert_eq!(issued.status, 201, "{issued:?}");
    text(&issued.json()["token"]).to_owned()
}

/// When the segments of what is recorded began, in seconds of the wall clock, and how long they last.
async fn segments(server: &Server, camera: &str, token: &str, since: &str) -> Vec<(f64, f64)> {
    let path = format!(
        "/gateway/playback/{}/{camera}/recorded.m3u8?token={token}&from={since}",
        server.tenant
    );
    let playlist = send(server.request(Method::GET, &path)).await;
    assert_eq!(playlist.status, 200, "{playlist:?}");
    let values = |name: &str| -> Vec<String> {
        let lines = playlist.text.lines().filter_map(|line| line.strip_prefix(name));
        lines.map(|value| value.trim_end_matches(',').to_owned()).collect()
    };
    let began = values("#EXT-X-PROGRAM-DATE-TIME:").into_iter().map(|it| {
        let moment = Timestamp::parse_rfc3339(&it).expect("a moment");
        moment.since(Timestamp::parse_rfc3339(since).expect("a moment")).as_secs_f64()
    });
    let lasts = values("#EXTINF:").into_iter().map(|it| it.parse().expect("a number"));
    began.zip(lasts).collect()
}

#[tokio::test]
async fn a_camera_with_a_wrong_clock_is_recorded_at_its_pace_and_that_is_told() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let mut cameras = Vec::new();
    for (name, clock_permille, fault) in [
        ("right", 1_000, Value::Null),
        ("still", 0, json!("clock_stands_still")),
        ("slow", 700, json!("clock_drifts")),
        ("fast", 10_000, json!("clock_drifts")),
    ] {
        let camera = RtspCamera::start(Behaviour { clock_permille, ..Behaviour::default() }).await;
        let body = json!({
            "tenantId": server.tenant.to_string(), "cameraId": name, "rtspUrl": camera.url(),
            "recording": {"enabled": true},
        });
        let answer = send(server.govern(Method::POST, "/gateway/provision").json(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        cameras.push((name, fault, camera));
    }
    for (name, fault, camera) in &cameras {
        let path = format!("/gateway/health/{}/{name}", server.tenant);
        let is_right = *name == "right";
        let wanted = if is_right { "online" } else { "degraded" };
        // Before it has sent for a while, nobody knows how it is.
        let is_told = |it: &Value| {
            it["status"] == "RUNNING" && it["fault"] == *fault && it["health"] == wanted
        };
        let health = until(&server, &path, is_told).await;
        if is_right {
            assert!(has_right_second(&server, &path).await, "{health}");
        } else {
            assert!(faults(&health) > 0, "{health}");
        }
        let path = format!("/gateway/cameras/{name}/recordings");
        let recorded = until(&server, &path, |it| {
            it["spans"].as_array().is_some_and(|spans| spans.len() == 1)
                && it["recording"]["since"].is_string()
        });
        let since = text(&recorded.await["recording"]["since"]).to_owned();
        let token = token(&server, name).await;
        let mut segments = Vec::new();
        // What is wrong with a clock is known after some seconds, and then made up for. On a machine
        // that stands still meanwhile, a segment begins too late.
        let keeps_pace = |two: &[(f64, f64)]| {
            let (took, lasts) = (two[1].0 - two[0].0, two[0].1);
            (lasts / took - 1.0).abs() < 0.12
        };
        let mut is_right_now = false;
        for _ in 0..LOOKS {
            segments = self::segments(&server, name, &token, &since).await;
            is_right_now = segments.windows(2).skip(2).any(keeps_pace);
            if is_right_now {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        assert!(is_right_now, "{name}: {segments:?}");
        // It is right again.
        camera.behave(|it| it.clock_permille = 1_000);
    }
    for (name, ..) in &cameras {
        let path = format!("/gateway/health/{}/{name}", server.tenant);
        let health = until(&server, &path, |it| it["fault"].is_null()).await;
        assert_eq!((&health["status"], &health["health"]), (&json!("RUNNING"), &json!("online")));
    }
    let path = format!("/gateway/health/{}/right", server.tenant);
    let is_small = |it: &Value| it["clockDriftPpm"].as_i64().is_some_and(|it| it.abs() < 20_000);
    until(&server, &path, is_small).await;
    server.app.stop().await;
}
