//! Cameras that are recorded outside sessions: what is there afterwards, whatever happened
//! meanwhile to the camera, the vault, the disk and the process.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, SystemTime};

use cabildo::domain::id::TenantId;
use cabildo::domain::time::Timestamp;
use reqwest::{Certificate, Client, Identity, Method};
use serde_json::{Value, json};

use crate::api::binary;
use crate::api::person::Person;
use crate::api::playback::{probe, text};
use crate::api::publishing::is_on_disk;
use crate::api::server::{Answer, Server, provider, send};
use crate::rtsp_camera::{Behaviour, RtspCamera};

/// Looks before something must have happened: a minute and a half.
const LOOKS: u32 = 900;
const LOOK_EVERY: Duration = Duration::from_millis(100);

async fn post(server: &Server, path: &str, body: &Value) -> Answer {
    send(server.govern(Method::POST, path).json(body)).await
}

fn named(server: &Server) -> Value {
    json!({"tenantId": server.tenant.to_string(), "cameraId": "hall"})
}

async fn provision(server: &Server, camera: &RtspCamera, recording: Value) -> Answer {
    let mut body = named(server);
    body["rtspUrl"] = json!(camera.url());
    body["recording"] = recording;
    post(server, "/gateway/provision", &body).await
}

async fn of_hall(server: &Server, method: Method, query: &str) -> Answer {
    let path = format!("/gateway/cameras/hall/recordings{query}");
    let request = server.govern(method, &path).header("x-tenant-id", server.tenant.to_string());
    send(request).await
}

/// What is recorded, once it is as wanted.
async fn recorded(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    for _ in 0..LOOKS {
        let answer = of_hall(server, Method::GET, "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        last = answer.json();
        if is_so(&last) {
            return last;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("{what}: {last}")
}

fn spans(recorded: &Value) -> &[Value] {
    recorded["spans"].as_array().expect("spans")
}

fn moment(value: &Value) -> Timestamp {
    Timestamp::parse_rfc3339(text(value)).expect("a moment")
}

async fn set(server: &Server, tenant: TenantId, recording: &Value) -> Answer {
    let request = server.govern(Method::PUT, "/gateway/cameras/hall/recording");
    send(request.header("x-tenant-id", tenant.to_string()).json(recording)).await
}

async fn token(server: &Server) -> String {
    let answer = post(server, "/gateway/sessions", &named(server)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.json()["token"]).to_owned()
}

async fn play(server: &Server, query: &str) -> Answer {
    let path = format!("/gateway/playback/{}/hall/recorded.m3u8?{query}", server.tenant);
    send(server.request(Method::GET, &path)).await
}

#[tokio::test]
async fn a_recorded_camera_is_listed_played_and_deleted_by_time_and_only_by_its_tenant() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let camera = RtspCamera::start(Behaviour::default()).await;
    let answer = provision(&server, &camera, json!({"enabled": true, "maxAgeHours": 48})).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let recording = &answer.json()["recording"];
    let wanted = json!({
        "enabled": true, "maxAgeHours": 48, "maxBytes": null, "bytes": 0, "since": null,
    });
    assert_eq!(*recording, wanted);
    let again = provision(&server, &camera, json!({"enabled": true, "maxAgeHours": 48})).await;
    assert_eq!((again.status, &again.json()["changed"]), (200, &json!(false)), "{again:?}");
    let nothing = play(
        &server,
        &format!(
            "token={}&from=2001-01-01T00:00:00Z&to=2001-01-01T01:00:00Z",
            token(&server).await
        ),
    )
    .await;
    assert_eq!((nothing.status, nothing.code().as_str()), (404, "PLAYBACK_MANIFEST_NOT_FOUND"));
    // Nobody watches it, and it is recorded all the same.
    let found = recorded(&server, "two segments", |it| {
        it["recording"]["bytes"].as_u64() > Some(0)
            && spans(it).first().is_some_and(|span| {
                moment(&span["to"]).since(moment(&span["from"])) > Duration::from_secs(9)
            })
    });
    let found = found.await;
    assert_eq!(spans(&found).len(), 1, "{found}");
    let listed = send(
        server
            .govern(Method::GET, "/gateway/cameras")
            .header("x-tenant-id", server.tenant.to_string()),
    )
    .await;
    assert_eq!(listed.json()["cameras"][0]["recording"]["since"], found["recording"]["since"]);
    let captures = server.data_dir().join("vault").join(server.tenant.to_string()).join("captures");
    assert!(captures.is_dir(), "the wrong files are read");
    for directory in ["vault", "spool"] {
        assert!(!is_on_disk(&server.data_dir().join(directory), b"moof"), "it is not sealed");
    }
    plays(&server, text(&found["recording"]["since"])).await;
    refuses(&server).await;
    // What was recorded outlives the camera, and is deleted when somebody asks for it.
    let gone = post(&server, "/gateway/deprovision", &named(&server)).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    let kept = recorded(&server, "it is not recorded", |it| it["recording"]["enabled"] == false);
    plays(&server, text(&kept.await["recording"]["since"])).await;
    let mut left = Value::Null;
    for _ in 0..LOOKS {
        let deleted = of_hall(&server, Method::DELETE, "").await;
        assert!(matches!(deleted.status, 200 | 404), "{deleted:?}");
        // The segment that grew when the camera went may come after that.
        let after = of_hall(&server, Method::GET, "").await;
        if after.code() == "CAMERA_NOT_FOUND" && !has_files(&captures) {
            return server.app.stop().await;
        }
        left = json!(after.text);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("something is left: {left}")
}

/// Whether a directory is there and has files, however deep.
fn has_files(directory: &Path) -> bool {
    let Ok(mut entries) = std::fs::read_dir(directory) else { return false };
    entries.any(|entry| {
        let path = entry.expect("an entry").path();
        path.is_file() || has_files(&path)
    })
}

/// Plays what is recorded with ffprobe.
async fn plays(server: &Server, since: &str) {
    let query = format!("token={}&from={since}", token(server).await);
    let playlist = play(server, &query).await;
    assert_eq!(playlist.status, 200, "{playlist:?}");
    assert!(playlist.text.contains("#EXT-X-PLAYLIST-TYPE:VOD"), "{playlist:?}");
    assert!(playlist.text.contains(&format!("#EXT-X-PROGRAM-DATE-TIME:{since}")), "{playlist:?}");
    let path =
        format!("{}/gateway/playback/{}/hall/recorded.m3u8?{query}", server.http, server.tenant);
    let probed = probe(path, 4).await;
    assert_eq!(probed["streams"][0]["codec_name"], "h264", "{probed}");
    let frames: u32 = text(&probed["streams"][0]["nb_read_frames"]).parse().expect("a number");
    assert!(frames > 30, "{frames}");
}

/// Everything that is no right to play, list or delete.
async fn refuses(server: &Server) {
    let own = token(server).await;
    for (query, status, code) in [
        ("from=2026-01-01T00:00:00Z".to_owned(), 401, "PLAYBACK_TOKEN_MISSING"),
        (format!("token={own}"), 400, "MALFORMED_REQUEST"),
        (format!("token={own}&from=yesterday"), 400, "MALFORMED_REQUEST"),
        (format!("token={own}x&from=2026-01-01T00:00:00Z"), 401, "PLAYBACK_TOKEN_FORMAT_INVALID"),
        (
            format!("token={own}&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z"),
            422,
            "UNPROCESSABLE_REQUEST",
        ),
        (
            format!("token={own}&from=2026-01-01T00:00:00Z&to=2026-01-03T00:00:00Z"),
            422,
            "UNPROCESSABLE_REQUEST",
        ),
    ] {
        let answer = play(server, &query).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}: {answer:?}");
    }
    let other = format!(
        "/gateway/playback/{}/other/recorded.m3u8?token={own}&from=2026-01-01T00:00:00Z",
        server.tenant
    );
    let answer = send(server.request(Method::GET, &other)).await;
    assert_eq!(answer.code(), "PLAYBACK_TOKEN_SCOPE_MISMATCH", "{answer:?}");
    for query in ["?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?from=x", "?colour=red"] {
        for method in [Method::GET, Method::DELETE] {
            let answer = of_hall(server, method, query).await;
            assert!(matches!(answer.status, 400 | 422), "{query}: {answer:?}");
        }
    }
    // Nobody else's operator, and nobody who is none.
    let theirs = TenantId::generate();
    for method in [Method::GET, Method::DELETE] {
        let path = "/gateway/cameras/hall/recordings";
        let request = server.govern(method.clone(), path).header("x-tenant-id", theirs.to_string());
        let answer = send(request).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "CAMERA_NOT_FOUND"));
        let person = Person::with_role(server, "participant").await;
        let answer = person.write(server, method.clone(), path, |it| it).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        let operator = Person::with_role(server, "operator").await;
        if method == Method::GET {
            assert_eq!(operator.read(server, method, path).await.status, 200);
        }
    }
    let answer = set(server, theirs, &json!({"enabled": false})).await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "CAMERA_NOT_FOUND"));
    let mut body = named(server);
    for (member, value) in [("maxAgeHours", 0_u64), ("maxBytes", 0), ("maxBytes", u64::MAX)] {
        body["rtspUrl"] = json!("rtsp://127.0.0.1:9/live");
        body["recording"] = json!({"enabled": true, member: value});
        let answer = post(server, "/gateway/provision", &body).await;
        assert_eq!(answer.status, 422, "{member} {value}: {answer:?}");
    }
}

#[tokio::test]
async fn a_camera_that_breaks_off_leaves_a_gap_and_a_vault_that_is_away_none() {
    let keys = [("cameras.probe_interval_s", "0")];
    let server = Server::start_with(&keys).await;
    let camera = RtspCamera::start(Behaviour::default()).await;
    provision(&server, &camera, json!({"enabled": true})).await;
    let has = |spans: usize| move |it: &Value| self::spans(it).len() >= spans;
    recorded(&server, "a segment", has(1)).await;
    // The vault is away while segments are made; they wait in the spool.
    let (vault, away) = (server.data_dir().join("vault"), server.data_dir().join("away"));
    std::fs::rename(&vault, &away).expect("renamed");
    std::fs::write(&vault, b"no directory").expect("written");
    let spool = server.data_dir().join("spool/cameras");
    let waiting = || std::fs::read_dir(&spool).expect("a spool").count();
    for _ in 0..LOOKS {
        if waiting() >= 3 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(waiting() >= 3, "segments wait in the spool");
    std::fs::remove_file(&vault).expect("removed");
    std::fs::rename(&away, &vault).expect("renamed");
    let found = recorded(&server, "the spool is empty", |_| waiting() <= 1).await;
    assert_eq!(spans(&found).len(), 1, "nothing was lost: {found}");
    camera.hang_up();
    let found = recorded(&server, "a gap", has(2)).await;
    let ended = moment(&spans(&found)[0]["to"]);
    assert!(moment(&spans(&found)[1]["from"]) > ended, "{found}");
    let since = text(&found["recording"]["since"]).to_owned();
    let query = format!("token={}&from={since}", token(&server).await);
    let playlist = play(&server, &query).await;
    assert!(playlist.text.contains("#EXT-X-DISCONTINUITY\n"), "{playlist:?}");
    // The disk of the spool is away: what is not recorded then is a gap, and it goes on by itself.
    let gone = server.data_dir().join("spool/gone");
    std::fs::rename(&spool, &gone).expect("renamed");
    std::fs::write(&spool, b"no directory").expect("written");
    let failed = "cabildo_camera_recording_failures_total{what=\"disk\"}";
    let mut has_failed = false;
    for _ in 0..LOOKS {
        let metrics = send(server.govern(Method::GET, "/gateway/metrics")).await;
        has_failed = metrics.text.contains(failed);
        if has_failed {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(has_failed, "it is not told");
    std::fs::remove_file(&spool).expect("removed");
    std::fs::rename(&gone, &spool).expect("renamed");
    recorded(&server, "another gap", has(3)).await;
    // Where too much is kept, the oldest goes first.
    let bytes = recorded(&server, "bytes", has(3)).await["recording"]["bytes"].as_u64();
    let most = bytes.expect("a number") / 2;
    let answer = set(&server, server.tenant, &json!({"enabled": true, "maxBytes": most})).await;
    assert_eq!((answer.status, &answer.json()["maxBytes"]), (200, &json!(most)), "{answer:?}");
    // It is looked at the beginning, and once a minute.
    let server = Box::pin(server.restart_with(&keys)).await;
    let later = recorded(&server, "the oldest is gone", |it| {
        it["recording"]["since"].as_str().is_some_and(|now| now > since.as_str())
    });
    assert!(later.await["recording"]["enabled"] == true);
    server.app.stop().await;
}

/// The binary, which can be killed.
struct Serving {
    process: Child,
    internal: String,
    client: Client,
}

impl Serving {
    fn start(data: &Path) -> Self {
        let (process, address) = binary::serve(data, "internal=");
        let (_, port) = address.rsplit_once(':').expect("a port");
        let read = |name: &str| std::fs::read(data.join("certs").join(name)).expect("a file");
        let authority = Certificate::from_pem(&read("ca.pem")).expect("a certificate");
        let identity = [read("governance.pem"), read("governance.key")].concat();
        let identity = Identity::from_pem(&identity).expect("an identity");
        let client = Client::builder().tls_certs_only([authority]).identity(identity).build();
        let internal = format!("https://localhost:{port}");
        Self { process, internal, client: client.expect("a client") }
    }

    async fn call(&self, method: Method, path: &str, tenant: &str, body: &Value) -> Answer {
        let url = format!("{}{path}", self.internal);
        send(self.client.request(method, url).header("x-tenant-id", tenant).json(body)).await
    }

    async fn spans(&self, tenant: &str) -> Vec<Value> {
        let path = "/gateway/cameras/hall/recordings";
        let request = self.client.get(format!("{}{path}", self.internal));
        let answer = send(request.header("x-tenant-id", tenant)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["spans"].as_array().expect("spans").clone()
    }

    fn kill(mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("waited");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may be gone already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Bytes of the segments in a spool.
fn spooled(data: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(data.join("spool/cameras")) else { return 0 };
    entries.filter_map(|it| Some(it.ok()?.metadata().ok()?.len())).sum()
}

#[tokio::test]
async fn a_process_that_is_killed_loses_about_a_second_of_a_recording() {
    provider();
    let data = tempfile::tempdir().expect("a directory");
    let tenant = TenantId::generate().to_string();
    let camera = RtspCamera::start(Behaviour::default()).await;
    let serving = Serving::start(data.path());
    let body = json!({
        "tenantId": tenant, "cameraId": "hall", "rtspUrl": camera.url(),
        "recording": {"enabled": true},
    });
    let answer = serving.call(Method::POST, "/gateway/provision", &tenant, &body).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    // One segment is in the vault, and a second one has grown for some seconds.
    let (mut grown, mut before) = (0, 0);
    for _ in 0..LOOKS {
        let now = spooled(data.path());
        if !serving.spans(&tenant).await.is_empty() && now > before {
            grown += 1;
        }
        before = now;
        if grown >= 4 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert!(grown >= 4, "a segment grows a second at a time");
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let killed = Timestamp::from_unix_us(i64::try_from(since.as_micros()).expect("fits"));
    serving.kill();
    assert!(spooled(data.path()) > 0, "a segment has grown");
    let serving = Serving::start(data.path());
    let mut spans = Vec::new();
    for _ in 0..LOOKS {
        spans = serving.spans(&tenant).await;
        if spans.len() >= 2 {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    assert_eq!(spans.len(), 2, "what was spooled and what came after the restart: {spans:?}");
    let lost = killed.since(moment(&spans[0]["to"]));
    // A part has a second; a busy machine may be late with it. Without parts, the four seconds that
    // have grown would be lost.
    assert!(lost < Duration::from_secs(4), "{lost:?} is lost: {spans:?}");
    assert!(moment(&spans[1]["from"]) > killed, "{spans:?}");
}
