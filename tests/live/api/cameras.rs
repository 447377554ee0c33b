//! `/gateway` and `/store` by HTTP clients: what is done once, what is refused
//! and how, and that nobody sees or uses what is another tenant's.

use std::sync::atomic::Ordering;

use cabildo::domain::id::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};
use crate::rtsp_camera::{Behaviour, RtspCamera};

const PASSWORD: &str = "correct-horse-battery";

fn source() -> String {
    format!("rtsp://viewer:{PASSWORD}@127.0.0.1:8554/live?token={PASSWORD}")
}

fn of(tenant: TenantId, camera: &str) -> Value {
    json!({"tenantId": tenant.to_string(), "cameraId": camera})
}

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    send(server.govern(Method::POST, path).json(body)).await
}

async fn provision(server: &Server, tenant: TenantId, camera: &str, url: &str) -> Answer {
    let mut body = of(tenant, camera);
    body["rtspUrl"] = json!(url);
    post(server, "/gateway/provision", &body).await
}

/// A session of a camera that is there.
async fn issue(server: &Server, tenant: TenantId, camera: &str) -> Value {
    let answer = post(server, "/gateway/sessions", &of(tenant, camera)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn step(server: &Server, session: &Value, step: &str) -> Answer {
    let sid = session["sid"].as_str().expect("an id");
    send(server.govern(Method::POST, &format!("/gateway/sessions/{sid}/{step}"))).await
}

/// Whether a file of the server's data holds a text.
fn is_on_disk(directory: &std::path::Path, text: &str) -> bool {
    std::fs::read_dir(directory).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}

#[tokio::test]
async fn a_camera_is_provisioned_once_and_its_credentials_are_shown_nowhere() {
    let server = Server::start().await;
    let first = provision(&server, server.tenant, "hall", &source()).await;
    assert_eq!(first.status, 201, "{first:?}");
    let camera = first.json();
    assert_eq!(camera["rtspUrl"], "rtsp://***:***@127.0.0.1:8554/live?token=***");
    assert_eq!((&camera["changed"], &camera["revision"]), (&json!(true), &json!(1)));
    let again = provision(&server, server.tenant, "hall", &source()).await;
    assert_eq!(again.status, 200, "{again:?}");
    assert_eq!((&again.json()["changed"], &again.json()["revision"]), (&json!(false), &json!(1)));
    // Another password is a change although both look alike.
    let other = source().replace("viewer:correct", "viewer:wrong");
    let changed = provision(&server, server.tenant, "hall", &other).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_eq!(
        (&changed.json()["changed"], &changed.json()["revision"]),
        (&json!(true), &json!(2))
    );
    assert_eq!(changed.json()["createdAt"], camera["createdAt"]);
    for answer in [&first, &again, &changed] {
        assert!(!answer.text.contains("horse"), "{answer:?}");
    }
    assert!(is_on_disk(server.data_dir(), "rtsp://***:***@"), "the wrong files were read");
    assert!(!is_on_disk(server.data_dir(), PASSWORD), "a password is on the disk");
    let gone = post(&server, "/gateway/deprovision", &of(server.tenant, "hall")).await;
    assert_eq!((gone.status, &gone.json()["removed"]), (200, &json!(true)));
    let gone = post(&server, "/gateway/deprovision", &of(server.tenant, "hall")).await;
    assert_eq!((gone.status, &gone.json()["removed"]), (200, &json!(false)));
    server.app.stop().await;
}

#[tokio::test]
async fn addresses_and_wishes_that_can_not_be_are_refused_with_their_code() {
    let server = Server::start_with(&[("cameras.max_per_tenant", "1")]).await;
    for (url, code) in [
        ("http://127.0.0.1/", "CAMERA_SOURCE_INVALID"),
        ("rtsp://", "CAMERA_SOURCE_INVALID"),
        ("rtsp://cam/\r\nX: y", "CAMERA_SOURCE_INVALID"),
        ("rtsp://10.0.0.1/live", "CAMERA_SOURCE_REFUSED"),
        ("rtsp://169.254.169.254/latest", "CAMERA_SOURCE_REFUSED"),
        ("rtsp://[::ffff:192.168.1.1]/live", "CAMERA_SOURCE_REFUSED"),
        ("rtsp://0.0.0.0/", "CAMERA_SOURCE_REFUSED"),
        // Names of numbers that resolvers read as addresses.
        ("rtsp://167772161/", "CAMERA_SOURCE_REFUSED"),
    ] {
        let answer = provision(&server, server.tenant, "hall", url).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code), "{url}: {answer:?}");
    }
    for (member, value, status) in [
        ("transport", json!("multicast"), 422),
        ("codecHint", json!("mjpeg"), 422),
        ("targetProfiles", json!(["a", "b", "c", "d", "e", "f", "g", "h", "i"]), 422),
        ("targetProfiles", json!(["a,b"]), 422),
        ("cameraId", json!("../hall"), 400),
        ("tenantId", json!("nobody"), 400),
        ("colour", json!("red"), 400),
    ] {
        let mut body = of(server.tenant, "hall");
        body["rtspUrl"] = json!(source());
        body[member] = value;
        let answer = post(&server, "/gateway/provision", &body).await;
        assert_eq!(answer.status, status, "{member}: {answer:?}");
    }
    assert_eq!(provision(&server, server.tenant, "one", &source()).await.status, 201);
    let full = provision(&server, server.tenant, "two", &source()).await;
    assert_eq!((full.status, full.code().as_str()), (409, "CAMERA_LIMIT_REACHED"));
    let none = post(&server, "/gateway/sessions", &of(server.tenant, "two")).await;
    assert_eq!((none.status, none.code().as_str()), (404, "CAMERA_NOT_FOUND"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_stream_session_goes_its_way_once() {
    let server = Server::start().await;
    provision(&server, server.tenant, "hall", &source()).await;
    let session = issue(&server, server.tenant, "hall").await;
    assert_eq!(session["status"], "issued");
    let token = session["token"].as_str().expect("a token");
    assert_eq!(token.split('.').count(), 2, "{token}");
    for _ in 0..2 {
        let active = step(&server, &session, "activate").await;
        assert_eq!((active.status, &active.json()["status"]), (200, &json!("active")));
        assert!(active.json().get("token").is_none(), "{active:?}");
    }
    let query = format!(
        "/gateway/sessions?tenantId={}&cameraId=hall&status=active&sid={}",
        server.tenant,
        session["sid"].as_str().expect("an id")
    );
    let listed = send(server.govern(Method::GET, &query)).await;
    assert_eq!(listed.json()["sessions"].as_array().map(Vec::len), Some(1), "{listed:?}");
    for _ in 0..2 {
        let ended = step(&server, &session, "end").await;
        assert_eq!((ended.status, &ended.json()["status"]), (200, &json!("ended")));
    }
    let late = step(&server, &session, "activate").await;
    assert_eq!((late.status, late.code().as_str()), (409, "SESSION_TRANSITION_INVALID"));
    assert_eq!(late.json()["details"]["status"], "ended");
    for sid in ["01890a5d-ac96-774b-bcce-b302099a8057", "nothing", "..%2f.."] {
        let path = format!("/gateway/sessions/{sid}/end");
        let answer = send(server.govern(Method::POST, &path)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "STREAM_SESSION_NOT_FOUND"));
    }
    server.app.stop().await;
}

#[tokio::test]
async fn what_is_not_used_expires_by_call_and_makes_room() {
    let server = Server::start_with(&[
        ("tenants.default.max_concurrent_streams", "1"),
        ("cameras.idle_ttl_s", "30"),
        ("cameras.token_ttl_s", "100"),
        // By call alone.
        ("cameras.sweep_interval_s", "3600"),
    ])
    .await;
    provision(&server, server.tenant, "hall", &source()).await;
    let (one, two) =
        (issue(&server, server.tenant, "hall").await, issue(&server, server.tenant, "hall").await);
    assert_eq!(step(&server, &one, "activate").await.status, 200);
    let full = step(&server, &two, "activate").await;
    assert_eq!((full.status, full.code().as_str()), (409, "STREAM_LIMIT_REACHED"));
    assert_eq!(full.json()["details"]["maxConcurrentStreams"], 1);
    let full = post(&server, "/gateway/sessions", &of(server.tenant, "hall")).await;
    assert_eq!((full.status, full.code().as_str()), (409, "STREAM_LIMIT_REACHED"));
    let sweep = async || {
        let answer = send(server.govern(Method::POST, "/gateway/sessions/sweep")).await;
        answer.json()["expired"].as_u64().expect("a number")
    };
    assert_eq!(sweep().await, 0);
    server.ahead_us.store(31_000_000, Ordering::SeqCst);
    assert_eq!(sweep().await, 1);
    assert_eq!(step(&server, &one, "activate").await.code(), "SESSION_TRANSITION_INVALID");
    assert_eq!(step(&server, &two, "activate").await.status, 200, "its token is still good");
    server.ahead_us.store(200_000_000, Ordering::SeqCst);
    assert_eq!(sweep().await, 1);
    server.app.stop().await;
}

#[tokio::test]
async fn a_tenant_without_streams_is_told_so() {
    let server = Server::start_with(&[("tenants.default.max_concurrent_streams", "0")]).await;
    provision(&server, server.tenant, "hall", &source()).await;
    let denied = post(&server, "/gateway/sessions", &of(server.tenant, "hall")).await;
    assert_eq!((denied.status, denied.code().as_str()), (403, "STREAM_NOT_ENTITLED"));
    server.app.stop().await;
}

#[tokio::test]
async fn an_operator_touches_only_cameras_of_the_own_tenant() {
    let server = Server::start().await;
    provision(&server, server.tenant, "hall", &source()).await;
    let session = issue(&server, server.tenant, "hall").await;
    let own = Person::with_role(&server, "operator").await;
    let other = Person::of(&server, TenantId::generate(), "operator", None).await;
    let end = format!("/gateway/sessions/{}/end", session["sid"].as_str().expect("an id"));
    let body = of(server.tenant, "hall");
    for path in ["/gateway/sessions", "/gateway/deprovision"] {
        let answer = other.write(&server, Method::POST, path, |it| it.json(&body)).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "CAMERA_NOT_FOUND"), "{path}");
    }
    let activate = end.replace("/end", "/activate");
    for path in [&end, &activate] {
        let answer = other.write(&server, Method::POST, path, |it| it).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "STREAM_SESSION_NOT_FOUND"));
    }
    let mut camera = of(server.tenant, "door");
    camera["rtspUrl"] = json!(source());
    let answer =
        other.write(&server, Method::POST, "/gateway/provision", |it| it.json(&camera)).await;
    assert_eq!(answer.code(), "CAMERA_NOT_FOUND", "{answer:?}");
    let foreign = format!("/gateway/sessions?tenantId={}", server.tenant);
    assert_eq!(other.read(&server, Method::GET, &foreign).await.code(), "CAMERA_NOT_FOUND");
    let count = |answer: Answer| answer.json()["sessions"].as_array().map(Vec::len);
    let list = "/gateway/sessions";
    assert_eq!(count(other.read(&server, Method::GET, list).await), Some(0));
    assert_eq!(count(own.read(&server, Method::GET, list).await), Some(1));
    let answer = own.write(&server, Method::POST, &end, |it| it).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn cameras_are_listed_with_pictures_for_operators_of_their_tenant_only() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let camera = RtspCamera::start(Behaviour::default()).await;
    assert_eq!(provision(&server, server.tenant, "hall", &camera.url()).await.status, 201);
    let operator = Person::with_role(&server, "operator").await;
    let get = async |path: &str, person: &Person| {
        send(person.prove(server.request(Method::GET, path))).await
    };
    let (list, preview) = ("/gateway/cameras", "/gateway/cameras/hall/preview");
    let listed = get(list, &operator).await;
    assert_eq!(listed.status, 200, "{listed:?}");
    let listed = listed.json();
    let first = &listed["cameras"][0];
    assert_eq!((&first["cameraId"], &first["viewers"]), (&json!("hall"), &json!(0)), "{listed}");
    assert_eq!(
        (&first["health"]["status"], &first["transport"]),
        (&json!("STOPPED"), &json!("auto"))
    );
    assert!(!listed.to_string().contains("secret"), "{listed}");
    assert_eq!(get(preview, &operator).await.status, 204, "it was never called");
    let sync = server.govern(Method::POST, "/gateway/cameras/hall/sync-health");
    let synced = send(sync.header("X-Tenant-ID", server.tenant.to_string())).await;
    assert_eq!(synced.status, 200, "{synced:?}");
    let film = operator.prove(server.request(Method::GET, preview)).send().await.expect("sent");
    assert_eq!(
        (film.status().as_u16(), &film.headers()["content-type"]),
        (200, &"video/mp4".parse().expect("a value"))
    );
    let film = film.bytes().await.expect("bytes");
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, &film).expect("written");
    let probed = std::process::Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-count_frames",
            "-show_entries",
            "stream=width,height,nb_read_frames",
        ])
        .args(["-of", "csv=p=0"])
        .arg(file.path())
        .output()
        .expect("ffprobe");
    let complaints = String::from_utf8_lossy(&probed.stderr);
    assert_eq!(String::from_utf8_lossy(&probed.stdout).trim(), "320,180,1", "{complaints}");
    assert!(complaints.is_empty(), "{complaints}");
    for role in ["participant", "moderator", "observer", "hall"] {
        let person = Person::with_role(&server, role).await;
        for path in [list, preview] {
            let refused = get(path, &person).await;
            assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{role}");
        }
    }
    let other = TenantId::generate().to_string();
    let foreign = server.govern(Method::GET, preview).header("X-Tenant-ID", other.as_str());
    let foreign = send(foreign).await;
    assert_eq!((foreign.status, foreign.code().as_str()), (404, "CAMERA_NOT_FOUND"));
    let none = send(server.govern(Method::GET, list).header("X-Tenant-ID", other.as_str())).await;
    assert_eq!(none.json()["cameras"], json!([]));
    server.app.stop().await;
}

#[tokio::test]
async fn a_token_for_one_session_does_not_reach_what_is_of_the_tenant() {
    let server = Server::start().await;
    let id = server.create().await;
    let bound = Person::of(&server, server.tenant, "operator", Some(&id)).await;
    for path in ["/gateway/sessions", "/store/sessions", "/api/v1/events"] {
        let refused = bound.read(&server, Method::GET, path).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{path}");
    }
    let body = of(server.tenant, "hall");
    let refused =
        bound.write(&server, Method::POST, "/gateway/sessions", |it| it.json(&body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_capture_is_opened_listed_and_closed_once() {
    let server = Server::start().await;
    let tenant = server.tenant.to_string();
    let opening = json!({
        "sessionId": "sess-7", "deviceId": "box-1", "streamPath": "rtsp://edge:8554/sess-7",
        "edgeStartTs": 1_767_261_600_000_i64,
    });
    let open = async |body: &Value| {
        let request = server.govern(Method::POST, "/store/sessions").json(body);
        send(request.header("x-tenant-id", &tenant)).await
    };
    let first = open(&opening).await;
    assert_eq!(first.status, 201, "{first:?}");
    assert_eq!(first.json()["edge_start_ts"], "2026-01-01T10:00:00.000Z");
    assert_eq!(open(&opening).await.json(), first.json());
    let nobody = server.govern(Method::GET, "/store/sessions").header("x-tenant-id", "nobody");
    assert_eq!(send(nobody).await.status, 400);
    let mut other = opening.clone();
    other["deviceId"] = json!("box-2");
    assert_eq!(open(&other).await.code(), "CAPTURE_SESSION_CONFLICT");
    for (member, value, status) in [
        ("streamPath", json!("../../etc"), 422),
        ("sessionId", json!("a/b"), 400),
        ("edgeStartTs", json!("yesterday"), 400),
        ("edgeStartTs", json!(i64::MAX), 400),
    ] {
        let mut bad = opening.clone();
        bad[member] = value;
        assert_eq!(open(&bad).await.status, status, "{member}");
    }
    let close = async |id: &str, body: Value| {
        let path = format!("/store/sessions/{id}/close");
        let request = server.govern(Method::POST, &path).json(&body);
        send(request.header("x-tenant-id", &tenant)).await
    };
    let before = close("sess-7", json!({"edgeEndTs": "2026-01-01T09:00:00Z"})).await;
    assert_eq!(before.code(), "UNPROCESSABLE_REQUEST");
    let ending = json!({
        "edgeEndTs": "2026-01-01T11:00:00Z", "playlistUrl": "https://media.example/sess-7.m3u8",
    });
    for _ in 0..2 {
        let closed = close("sess-7", ending.clone()).await;
        assert_eq!((closed.status, &closed.json()["status"]), (200, &json!("closed")));
        assert_eq!(closed.json()["playlist_url"], "https://media.example/sess-7.m3u8");
    }
    let again = close("sess-7", json!({"edgeEndTs": "2026-01-01T12:00:00Z"})).await;
    assert_eq!((again.status, again.code().as_str()), (409, "CAPTURE_SESSION_CONFLICT"));
    assert_eq!(close("sess-8", ending).await.code(), "CAPTURE_SESSION_NOT_FOUND");

    let operator = Person::with_role(&server, "operator").await;
    let listed = operator.read(&server, Method::GET, "/store/sessions?limit=5").await;
    assert_eq!(listed.json()["sessions"][0]["session_id"], "sess-7", "{listed:?}");
    let shown = operator.read(&server, Method::GET, "/store/sessions/sess-7").await;
    assert_eq!(shown.json()["device_id"], "box-1");
    let refused = operator.read(&server, Method::GET, "/store/sessions?limit=0").await;
    assert_eq!(refused.code(), "UNPROCESSABLE_REQUEST");
    let stranger = Person::of(&server, TenantId::generate(), "operator", None).await;
    let hidden = stranger.read(&server, Method::GET, "/store/sessions/sess-7").await;
    assert_eq!((hidden.status, hidden.code().as_str()), (404, "CAPTURE_SESSION_NOT_FOUND"));
    server.app.stop().await;
}
