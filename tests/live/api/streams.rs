//! Streams that are started and stopped by call, of a small camera.

use std::time::Duration;

use cabildo::domain::id::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};
use crate::rtsp_camera::{Behaviour, Login, RtspCamera};

async fn start(server: &Server, camera: &str, url: &str) -> Answer {
    let body = json!({"camera_id": camera, "source_url": url});
    let request = server.govern(Method::POST, "/api/streams/start").json(&body);
    send(request.header("x-tenant-id", server.tenant.to_string())).await
}

async fn read(server: &Server, stream: &Value) -> Value {
    let path = format!("/api/streams/{}", id(stream));
    let answer = send(server.govern(Method::GET, &path)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn id(stream: &Value) -> &str {
    stream["id"].as_str().expect("an id")
}

/// Waits until the stream stands as wanted, and fails after a while.
async fn until(server: &Server, stream: &Value, status: &str) -> Value {
    for _ in 0..1_200 {
        let found = read(server, stream).await;
        if found["status"] == status {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not {status}: {:?}", read(server, stream).await)
}

#[tokio::test]
async fn a_stream_runs_until_it_is_stopped_and_goes_on_after_a_restart() {
    let keys = [("cameras.probe_interval_s", "0")];
    let server = Server::start_with(&keys).await;
    let camera =
        RtspCamera::start(Behaviour { login: Login::Digest, ..Behaviour::default() }).await;
    let started = start(&server, "hall", &camera.url()).await;
    assert_eq!(started.status, 201, "{started:?}");
    let stream = started.json();
    assert_eq!((&stream["camera_id"], &stream["status"]), (&json!("hall"), &json!("STARTING")));
    assert!(stream["source_url"].as_str().is_some_and(|it| it.starts_with("rtsp://***:***@")));
    assert!(stream["stopped_at"].is_null() && stream["started_at"].is_string());
    until(&server, &stream, "RUNNING").await;
    let again = start(&server, "hall", &camera.url()).await;
    assert_eq!((again.status, again.code().as_str()), (409, "STREAM_ALREADY_ACTIVE"));
    assert_eq!(again.json()["details"]["id"], stream["id"], "whoever lost the answer can stop it");
    // Another process goes on with it.
    let server = server.restart_with(&keys).await;
    until(&server, &stream, "RUNNING").await;
    let health = format!("/gateway/health/{}/hall", server.tenant);
    let health = send(server.govern(Method::GET, &health)).await.json();
    assert_eq!(health["status"], "RUNNING", "the row is not only what was before");
    let stop = format!("/api/streams/{}/stop", id(&stream));
    for _ in 0..2 {
        let stopped = send(server.govern(Method::POST, &stop)).await;
        assert_eq!((stopped.status, stopped.text.as_str()), (204, ""));
    }
    let stopped = read(&server, &stream).await;
    assert_eq!(stopped["status"], "STOPPED");
    assert!(stopped["stopped_at"].is_string(), "{stopped}");
    let next = start(&server, "hall", &camera.url()).await;
    assert_eq!(next.status, 201, "{next:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn a_stream_of_a_camera_that_is_not_there_is_in_error() {
    let server = Server::start().await;
    let stream = start(&server, "hall", "rtsp://127.0.0.1:9/live").await.json();
    until(&server, &stream, "ERROR").await;
    let body = json!({"tenantId": server.tenant.to_string(), "cameraId": "hall"});
    let gone = send(server.govern(Method::POST, "/gateway/deprovision").json(&body)).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    assert_eq!(read(&server, &stream).await["status"], "STOPPED");
    server.app.stop().await;
}

#[tokio::test]
async fn what_can_not_be_started_is_refused_with_its_code_and_leaves_nothing() {
    let server = Server::start_with(&[("tenants.default.max_concurrent_streams", "1")]).await;
    for (url, code) in [
        ("http://127.0.0.1/", "CAMERA_SOURCE_INVALID"),
        ("rtsp://10.0.0.1/live", "CAMERA_SOURCE_REFUSED"),
    ] {
        let answer = start(&server, "hall", url).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{answer:?}");
    }
    let bad = start(&server, "../hall", "rtsp://127.0.0.1:9/live").await;
    assert_eq!(bad.status, 400, "{bad:?}");
    let stream = start(&server, "hall", "rtsp://127.0.0.1:9/live").await;
    assert_eq!(stream.status, 201, "a refused start took no place: {stream:?}");
    let full = start(&server, "door", "rtsp://127.0.0.1:9/live").await;
    assert_eq!((full.status, full.code().as_str()), (409, "STREAM_LIMIT_REACHED"));
    let stream = stream.json();
    let stranger = Person::of(&server, TenantId::generate(), "operator", None).await;
    let path = format!("/api/streams/{}", id(&stream));
    let hidden = stranger.read(&server, Method::GET, &path).await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "STREAM_NOT_FOUND"));
    let stop = format!("{path}/stop");
    let hidden = stranger.write(&server, Method::POST, &stop, |it| it).await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "STREAM_NOT_FOUND"));
    let person = Person::with_role(&server, "participant").await;
    assert_eq!(person.write(&server, Method::POST, &stop, |it| it).await.code(), "FORBIDDEN");
    let none = send(server.govern(Method::GET, "/api/streams/nothing")).await;
    assert_eq!((none.status, none.code().as_str()), (404, "STREAM_NOT_FOUND"));
    let own = Person::with_role(&server, "operator").await;
    assert_eq!(own.write(&server, Method::POST, &stop, |it| it).await.status, 204);
    server.app.stop().await;
    let closed = Server::start_with(&[("tenants.default.max_concurrent_streams", "0")]).await;
    let denied = start(&closed, "hall", "rtsp://127.0.0.1:9/live").await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "STREAM_NOT_ENTITLED"));
    closed.app.stop().await;
}
