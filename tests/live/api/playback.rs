//! Cameras that are called, and players that watch them: a real server, a small RTSP
//! camera that behaves as it is told, and ffprobe as a player.

use std::time::Duration;

use cabildo::domain::id::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};
use crate::rtsp_camera::{Behaviour, FRAMES_PER_S, GOP, Login, RtspCamera};

/// A server with a camera, and what a viewer of it has.
pub(super) struct Hall {
    pub(super) server: Server,
    pub(super) camera: RtspCamera,
}

impl Hall {
    /// Its cameras are looked after only when asked, so that nothing calls them but
    /// whoever is told of.
    pub(super) async fn with(behaviour: Behaviour) -> Self {
        let keys = [("cameras.probe_interval_s", "0")];
        let hall = Self {
            server: Server::start_with(&keys).await,
            camera: RtspCamera::start(behaviour).await,
        };
        hall.provision(&hall.camera.url()).await;
        hall
    }

    pub(super) async fn provision(&self, url: &str) {
        self.provision_by(url, "auto").await;
    }

    /// The same for a camera that is to send in this way.
    pub(super) async fn provision_by(&self, url: &str, transport: &str) {
        let mut body = self.named("hall");
        body["rtspUrl"] = json!(url);
        body["transport"] = json!(transport);
        let request = self.server.govern(Method::POST, "/gateway/provision").json(&body);
        let answer = send(request).await;
        assert!(answer.status < 300, "{answer:?}");
    }

    fn named(&self, camera: &str) -> Value {
        json!({"tenantId": self.server.tenant.to_string(), "cameraId": camera})
    }

    /// A stream session with its token.
    pub(super) async fn issue(&self) -> Value {
        let body = self.named("hall");
        let answer = send(self.server.govern(Method::POST, "/gateway/sessions").json(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    }

    fn path(&self, file: &str) -> String {
        format!("/gateway/playback/{}/hall/{file}", self.server.tenant)
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        send(self.server.request(Method::GET, path)).await
    }

    /// The first playlist, which is there soon.
    pub(super) async fn main(&self, session: &Value) -> Answer {
        let path = self.path(&format!("index.m3u8?token={}", text(&session["token"])));
        for _ in 0..40 {
            let answer = self.get(&path).await;
            if answer.code() != "PLAYBACK_STREAM_NOT_READY" {
                return answer;
            }
            assert_eq!(answer.header("retry-after"), "1", "{answer:?}");
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        panic!("nothing to play: {:?}", self.health().await)
    }

    /// What is answered for the first playlist, whether it is there or not.
    pub(super) async fn main_at_once(&self, session: &Value) -> Answer {
        self.get(&self.path(&format!("index.m3u8?token={}", text(&session["token"])))).await
    }

    /// Starts a stream of another camera.
    pub(super) async fn start_stream(&self, camera: &str, url: &str) {
        let body = json!({"camera_id": camera, "source_url": url});
        let request = self.server.govern(Method::POST, "/api/streams/start");
        let request = request.header("X-Tenant-ID", self.server.tenant.to_string());
        let answer = send(request.json(&body)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }

    /// The address of the playlist with segments.
    pub(super) async fn watch(&self, session: &Value) -> String {
        let main = self.main(session).await;
        assert_eq!(main.status, 200, "{main:?}");
        let last = main.text.lines().last().expect("an address");
        self.path(last)
    }

    pub(super) async fn health(&self) -> Value {
        let path = format!("/gateway/health/{}/hall", self.server.tenant);
        let answer = send(self.server.govern(Method::GET, &path)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Has the camera looked after; what was found.
    pub(super) async fn look_after(&self) -> Value {
        let found = sync(&self.server, "hall", self.server.tenant).await;
        assert_eq!(found.status, 200, "{found:?}");
        found.json()
    }

    /// Waits until the health is as wanted, and fails after a while.
    pub(super) async fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..1_200 {
            let health = self.health().await;
            if is_so(&health) {
                return health;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{what}: {:?}", self.health().await)
    }

    /// Waits until the playlist is as wanted, and fails after a while.
    pub(super) async fn playlist_until(&self, path: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut last = None;
        for _ in 0..1_200 {
            let answer = self.get(path).await;
            if answer.status == 200 && is_so(&answer.text) {
                return answer.text;
            }
            last = Some(answer);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{last:?} {:?}", self.health().await)
    }

    /// Plays the first seconds with ffprobe.
    async fn probe(&self, path: &str, seconds: u32) -> Value {
        probe(format!("{}{path}", self.server.http), seconds).await
    }

    pub(super) async fn deprovision(&self) {
        let body = self.named("hall");
        let request = self.server.govern(Method::POST, "/gateway/deprovision").json(&body);
        assert_eq!(send(request).await.status, 200);
    }

    pub(super) async fn stop(self) {
        self.server.app.stop().await;
    }
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// What ffprobe says about the first seconds of a stream, read by HTTP.
pub(super) async fn probe(url: String, seconds: u32) -> Value {
    let probed = tokio::task::spawn_blocking(move || {
        let span = format!("%+{seconds}");
        std::process::Command::new("ffprobe")
            .args(["-v", "error", "-read_intervals", &span, "-count_frames"])
            .args(["-show_entries", "stream=codec_name,width,height,nb_read_frames"])
            .args(["-show_entries", "packet=pts,dts", "-of", "json", &url])
            .output()
            .expect("ffprobe")
    });
    let output = tokio::time::timeout(Duration::from_mins(1), probed).await;
    let output = output.expect("in time").expect("it ran");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn frames(probed: &Value) -> u32 {
    text(&probed["streams"][0]["nb_read_frames"]).parse().expect("a number")
}

pub(super) fn names(playlist: &str) -> Vec<String> {
    playlist.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

pub(super) fn headers(playlist: &str) -> Vec<String> {
    let address =
        |line: &str| Some(line.strip_prefix("#EXT-X-MAP:URI=\"")?.trim_end_matches('"').to_owned());
    playlist.lines().filter_map(address).collect()
}

#[tokio::test]
async fn a_player_plays_five_seconds_of_a_camera_and_what_it_gets_may_be_kept() {
    let hall = Hall::with(Behaviour { login: Login::Digest, ..Behaviour::default() }).await;
    assert_eq!(hall.health().await["status"], "STOPPED");
    let session = hall.issue().await;
    let main = hall.main(&session).await;
    assert_eq!(main.status, 200, "{main:?}");
    assert_eq!(main.header("content-type"), "application/vnd.apple.mpegurl");
    assert_eq!(main.header("cache-control"), "no-store");
    assert_eq!(main.header("access-control-allow-origin"), "*");
    assert!(main.text.contains("RESOLUTION=320x180") && main.text.contains("avc1.42"), "{main:?}");
    let path = hall.watch(&session).await;
    let playlist = hall.playlist_until(&path, |text| names(text).len() >= 3).await;
    for tag in ["#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", "#EXT-X-INDEPENDENT-SEGMENTS"] {
        assert!(playlist.contains(tag), "{tag}: {playlist}");
    }
    let base = path.trim_end_matches("media.m3u8").to_owned();
    let name = &names(&playlist)[1];
    let segment = hall.server.request(Method::GET, &format!("{base}{name}")).send().await;
    let segment = segment.expect("an answer");
    assert_eq!(segment.headers()["content-type"], "video/mp4");
    assert!(segment.headers()["cache-control"].to_str().is_ok_and(|it| it.starts_with("private")));
    let whole = segment.bytes().await.expect("bytes");
    let part = hall.server.request(Method::GET, &format!("{base}{name}"));
    let part = part.header("Range", "bytes=4-7").send().await.expect("an answer");
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], format!("bytes 4-7/{}", whole.len()).as_str());
    assert_eq!(&part.bytes().await.expect("bytes")[..], b"moof");
    let beyond = hall.server.request(Method::GET, &format!("{base}{name}"));
    let beyond = send(beyond.header("Range", "bytes=99999999-")).await;
    assert_eq!((beyond.status, beyond.code().as_str()), (416, "RANGE_NOT_SATISFIABLE"));

    let probed = hall.probe(&path, 5).await;
    let video = &probed["streams"][0];
    assert_eq!((&video["codec_name"], &video["width"]), (&json!("h264"), &json!(320)));
    assert!(frames(&probed) >= 5 * FRAMES_PER_S - 1, "{probed}");
    let health = hall.health().await;
    assert_eq!((&health["status"], &health["health"]), (&json!("RUNNING"), &json!("online")));
    assert_eq!((&health["codec"], &health["audioCodec"]), (&json!("h264"), &json!("pcmu")));
    assert_eq!(health["gopPictures"], GOP);
    assert_eq!((&health["packetsLost"], &health["timeFaults"]), (&json!(0), &json!(0)));
    assert!(health["lastKeyFrameAt"].is_string() && health["latencyMs"].is_u64(), "{health}");
    assert_eq!(hall.camera.requests().iter().filter(|it| *it == "PLAY").count(), 1);
    hall.stop().await;
}

#[tokio::test]
async fn who_has_no_right_to_a_camera_gets_nothing_and_is_told_why() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let token = text(&session["token"]).to_owned();
    let (payload, signature) = token.split_once('.').expect("two parts");
    let foreign = TenantId::generate();
    let of = |tenant: &str, camera: &str, query: &str| {
        format!("/gateway/playback/{tenant}/{camera}/index.m3u8{query}")
    };
    let own = hall.server.tenant.to_string();
    let with_token = format!("?token={token}");
    for (path, status, code) in [
        (of(&own, "hall", ""), 401, "PLAYBACK_TOKEN_MISSING"),
        (of(&own, "hall", "?token="), 401, "PLAYBACK_TOKEN_MISSING"),
        (of(&own, "hall", "?token=nonsense"), 401, "PLAYBACK_TOKEN_FORMAT_INVALID"),
        (
            of(&own, "hall", &format!("?token={payload}A.{signature}")),
            401,
            "PLAYBACK_TOKEN_SIGNATURE_INVALID",
        ),
        (of(&own, "other", &with_token), 403, "PLAYBACK_TOKEN_SCOPE_MISMATCH"),
        (of(&foreign.to_string(), "hall", &with_token), 403, "PLAYBACK_TOKEN_SCOPE_MISMATCH"),
        (of("nobody", "hall", &with_token), 404, "PLAYBACK_STREAM_NOT_FOUND"),
        (of(&own, "%2e%2e%2fhall", &with_token), 404, "PLAYBACK_STREAM_NOT_FOUND"),
        (of(&own, "hall", &format!("{with_token}&more=1")), 400, "MALFORMED_REQUEST"),
    ] {
        let answer = hall.get(&path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "pages must see why");
    }
    assert!(hall.camera.requests().is_empty(), "a stranger had the camera called");

    let path = hall.watch(&session).await;
    let playback = path.split('/').nth_back(1).expect("a session").to_owned();
    for (path, status, code) in [
        (path.replace(&own, &foreign.to_string()), 403, "PLAYBACK_TOKEN_SCOPE_MISMATCH"),
        (path.replace("/hall/", "/other/"), 403, "PLAYBACK_TOKEN_SCOPE_MISMATCH"),
        // A token is no playback session, and the other way round.
        (path.replace(&playback, &token), 401, "PLAYBACK_TOKEN_SIGNATURE_INVALID"),
        (of(&own, "hall", &format!("?token={playback}")), 401, "PLAYBACK_TOKEN_SIGNATURE_INVALID"),
        (path.replace("media.m3u8", "other.m3u8"), 404, "PLAYBACK_MANIFEST_NOT_FOUND"),
        (path.replace("media.m3u8", "0.m4s"), 404, "PLAYBACK_SEGMENT_NOT_FOUND"),
        (path.replace("media.m3u8", "..%2f..%2fetc%2fpasswd"), 404, "PLAYBACK_SEGMENT_NOT_FOUND"),
    ] {
        let answer = hall.get(&path).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}: {answer:?}");
    }
    let allowed = send(hall.server.request(Method::OPTIONS, &path)).await;
    assert_eq!((allowed.status, allowed.header("access-control-allow-headers")), (204, "Range"));
    hall.stop().await;
}

#[tokio::test]
async fn a_session_that_is_watched_does_not_run_out_and_one_that_is_over_shows_nothing() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    let ahead = |seconds: i64| {
        hall.server.ahead_us.fetch_add(seconds * 1_000_000, std::sync::atomic::Ordering::SeqCst);
    };
    // The token itself expires after five minutes; whoever began goes on.
    for _ in 0..10 {
        ahead(50);
        assert_eq!(hall.get(&path).await.status, 200);
    }
    let first = hall.path(&format!("index.m3u8?token={}", text(&session["token"])));
    assert_eq!(hall.get(&first).await.code(), "PLAYBACK_TOKEN_EXPIRED");
    ahead(61);
    let late = hall.get(&path).await;
    assert_eq!((late.status, late.code().as_str()), (410, "PLAYBACK_SESSION_CLOSED"));

    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    let sid = text(&session["sid"]);
    let ended =
        send(hall.server.govern(Method::POST, &format!("/gateway/sessions/{sid}/end"))).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    // Nothing more is served here, although it was believed in just before.
    let over = hall.get(&path).await;
    assert_eq!((over.status, over.code().as_str()), (410, "PLAYBACK_SESSION_CLOSED"));
    let again = hall.path(&format!("index.m3u8?token={}", text(&session["token"])));
    assert_eq!(hall.get(&again).await.code(), "PLAYBACK_SESSION_CLOSED");
    hall.stop().await;
}

#[tokio::test]
async fn a_camera_that_breaks_off_is_called_again_and_its_playlist_goes_on() {
    let hall = Hall::with(Behaviour { login: Login::Digest, ..Behaviour::default() }).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    hall.camera.hang_up();
    // Each connection has a nonce of its own; the new one is asked for anew.
    hall.camera.asked("PLAY", 2).await;
    let playlist = hall.playlist_until(&path, |text| text.contains("#EXT-X-DISCONTINUITY\n")).await;
    assert_eq!(headers(&playlist).len(), 1, "the header is the same: {playlist}");
    hall.until("it runs again", |health| health["status"] == "RUNNING").await;
    // Once the break is out of the window its count goes on.
    let counted = |text: &str| text.contains("#EXT-X-DISCONTINUITY-SEQUENCE:1");
    let later = hall.playlist_until(&path, counted).await;
    assert!(!later.contains("#EXT-X-DISCONTINUITY\n"), "{later}");
    assert!(frames(&hall.probe(&path, 2).await) > 20);
    hall.stop().await;
}

#[tokio::test]
async fn another_picture_size_is_a_break_with_a_header_of_its_own() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    let base = path.trim_end_matches("media.m3u8");
    let before = hall.get(&path).await.text;
    let header = format!("{base}{}", headers(&before)[0]);
    let bytes = hall.server.request(Method::GET, &header).send().await.expect("an answer");
    let bytes = bytes.bytes().await.expect("bytes");
    hall.camera.behave(|it| it.film = 1);
    let changed = |text: &str| headers(text).len() == 2 && text.contains("#EXT-X-DISCONTINUITY\n");
    let playlist = hall.playlist_until(&path, changed).await;
    let again = hall.server.request(Method::GET, &header).send().await.expect("an answer");
    assert_eq!(again.bytes().await.expect("bytes"), bytes, "a header was changed in place");
    assert_ne!(headers(&playlist)[0], headers(&playlist)[1]);
    let main = hall.main(&session).await;
    assert!(main.text.contains("RESOLUTION=160x120"), "{main:?}");
    assert_eq!(hall.health().await["status"], "RUNNING");
    hall.stop().await;
}

#[tokio::test]
async fn cameras_that_announce_send_or_mark_badly_are_played_nevertheless() {
    for behaviour in [
        Behaviour { announces_sets: false, login: Login::Basic, ..Behaviour::default() },
        Behaviour { sends_sets: false, ..Behaviour::default() },
        Behaviour { marks_everything: true, ..Behaviour::default() },
        Behaviour { film: 2, ..Behaviour::default() },
    ] {
        let has_b_frames = behaviour.film == 2;
        let hall = Hall::with(behaviour.clone()).await;
        let session = hall.issue().await;
        let path = hall.watch(&session).await;
        let probed = hall.probe(&path, 3).await;
        assert!(frames(&probed) >= 3 * FRAMES_PER_S - 4, "{behaviour:?}: {probed}");
        let decoded: Vec<i64> = probed["packets"]
            .as_array()
            .expect("packets")
            .iter()
            .map(|packet| packet["dts"].as_i64().expect("a time"))
            .collect();
        assert!(decoded.is_sorted_by(|one, next| one < next), "{behaviour:?}: {decoded:?}");
        let health = hall.health().await;
        assert_eq!(health["hasBFrames"], has_b_frames, "{health}");
        hall.stop().await;
    }
}

#[tokio::test]
async fn a_camera_that_can_not_be_watched_says_why_and_delays_nobody() {
    let hall = Hall::with(Behaviour::default()).await;
    let nonsense = "m=video\r\n\0\0v=".to_owned();
    let picture = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 26\r\na=control:x\r\n";
    let sound =
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\na=control:x\r\n";
    for (fault, behaviour) in [
        (
            "credentials_refused",
            Behaviour { refuses: Some(("DESCRIBE", 401)), ..Behaviour::default() },
        ),
        (
            "stream_not_found",
            Behaviour { refuses: Some(("DESCRIBE", 404)), ..Behaviour::default() },
        ),
        // A redirect into the operator's network is not followed.
        ("request_refused", Behaviour { refuses: Some(("DESCRIBE", 302)), ..Behaviour::default() }),
        ("protocol_violated", Behaviour { description: Some(nonsense), ..Behaviour::default() }),
        (
            "codec_unsupported",
            Behaviour { description: Some(picture.to_owned()), ..Behaviour::default() },
        ),
        (
            "pictures_missing",
            Behaviour { description: Some(sound.to_owned()), ..Behaviour::default() },
        ),
        ("request_refused", Behaviour { refuses: Some(("PLAY", 401)), ..Behaviour::default() }),
    ] {
        // Another address makes the camera be called anew, whatever it was waiting for.
        let camera = RtspCamera::start(behaviour).await;
        hall.provision(&camera.url()).await;
        let session = hall.issue().await;
        let answer = hall.main_at_once(&session).await;
        assert_eq!((answer.status, answer.code().as_str()), (503, "PLAYBACK_STREAM_NOT_READY"));
        let health = hall.until(fault, |health| health["fault"] == fault).await;
        assert_eq!((&health["status"], &health["health"]), (&json!("ERROR"), &json!("offline")));
    }
    // The camera that works is called at once.
    hall.provision(&hall.camera.url()).await;
    let session = hall.issue().await;
    assert_eq!(hall.main(&session).await.status, 200);
    hall.stop().await;
}

#[tokio::test]
async fn a_camera_that_refuses_its_sound_shows_its_pictures() {
    let refuses = Some(("SETUP sound", 461));
    let hall = Hall::with(Behaviour { refuses, ..Behaviour::default() }).await;
    let session = hall.issue().await;
    assert_eq!(hall.main(&session).await.status, 200);
    let health = hall.health().await;
    assert_eq!((&health["status"], &health["audioCodec"]), (&json!("RUNNING"), &Value::Null));
    hall.stop().await;
}

#[tokio::test]
async fn every_camera_is_told_goodbye_before_the_server_ends() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    assert_eq!(hall.main(&session).await.status, 200);
    let Hall { server, camera, .. } = hall;
    server.app.stop().await;
    // The camera may read it later than the server ends.
    camera.asked("TEARDOWN", 1).await;
}

#[tokio::test]
async fn a_camera_that_is_gone_is_told_goodbye_at_once_and_shown_no_more() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    hall.deprovision().await;
    hall.camera.asked("TEARDOWN", 1).await;
    hall.server.ahead_us.fetch_add(2_000_000, std::sync::atomic::Ordering::SeqCst);
    let gone = hall.get(&path).await;
    assert_eq!((gone.status, gone.code().as_str()), (410, "PLAYBACK_SESSION_CLOSED"));
    let health = format!("/gateway/health/{}/hall", hall.server.tenant);
    let unknown = send(hall.server.govern(Method::GET, &health)).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "CAMERA_NOT_FOUND"));
    hall.stop().await;
}

async fn provision(server: &Server, camera: &str, url: &str) {
    let body = json!({"tenantId": server.tenant.to_string(), "cameraId": camera, "rtspUrl": url});
    let answer = send(server.govern(Method::POST, "/gateway/provision").json(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

async fn sync(server: &Server, camera: &str, tenant: TenantId) -> Answer {
    let path = format!("/gateway/cameras/{camera}/sync-health");
    let request = server.govern(Method::POST, &path);
    send(request.header("X-Tenant-ID", tenant.to_string())).await
}

#[tokio::test]
async fn a_camera_is_looked_after_when_asked_and_what_was_found_stays_known() {
    let hall = Hall::with(Behaviour { login: Login::Basic, ..Behaviour::default() }).await;
    let server = &hall.server;
    let found = sync(server, "hall", server.tenant).await;
    assert_eq!(found.status, 200, "{found:?}");
    let found = found.json();
    assert_eq!((&found["health"], &found["status"]), (&json!("online"), &json!("RUNNING")));
    assert!(found["bitrateBps"].as_u64() > Some(0), "{found}");
    assert_eq!((&found["lastProbeHealth"], &found["failures"]), (&json!("online"), &json!(0)));
    for (camera, tenant, status, code) in [
        ("other", server.tenant, 404, "CAMERA_NOT_FOUND"),
        ("hall", TenantId::generate(), 404, "CAMERA_NOT_FOUND"),
        ("..%2fhall", server.tenant, 404, "CAMERA_NOT_FOUND"),
    ] {
        let answer = sync(server, camera, tenant).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    }
    let path = "/gateway/cameras/hall/sync-health";
    let nobody = send(server.request(Method::POST, path)).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "CREDENTIALS_MISSING"));
    for (role, status) in [("participant", 403), ("operator", 200)] {
        let person = Person::with_role(server, role).await;
        let answer = person.write(server, Method::POST, path, |request| request).await;
        assert_eq!(answer.status, status, "{role}: {answer:?}");
    }
    let metrics = send(server.govern(Method::GET, "/gateway/metrics")).await;
    assert!(metrics.text.contains("cabildo_camera_streams"), "{metrics:?}");
    assert!(!metrics.text.contains("cabildo_http_requests_total"), "not only cameras: {metrics:?}");
    let all = send(server.govern(Method::GET, "/gateway/health")).await.json();
    assert_eq!(
        (&all["status"], &all["streams"], &all["online"]),
        (&json!("ok"), &json!(1), &json!(1))
    );
    hall.camera.behave(|it| it.refuses = Some(("DESCRIBE", 404)));
    hall.camera.hang_up();
    hall.until("it is gone", |health| health["fault"] == "stream_not_found").await;
    for failures in 1..=2 {
        let lost = sync(server, "hall", server.tenant).await.json();
        assert_eq!(
            (&lost["lastProbeHealth"], &lost["failures"]),
            (&json!("offline"), &json!(failures))
        );
    }
    hall.stop().await;
}

#[tokio::test]
async fn cameras_are_looked_after_by_themselves_and_dead_ones_delay_nobody() {
    // More than are looked after at once.
    const DEAD: usize = 40;
    let server = Server::start_with(&[("cameras.probe_interval_s", "1")]).await;
    let dead = RtspCamera::start(Behaviour { silent_at: Some("DESCRIBE"), ..Behaviour::default() });
    let (dead, first, second) = (
        dead.await,
        RtspCamera::start(Behaviour::default()).await,
        RtspCamera::start(Behaviour::default()).await,
    );
    for number in 0..DEAD {
        provision(&server, &format!("dead-{number}"), &dead.url()).await;
    }
    dead.asked("DESCRIBE", 16).await;
    provision(&server, "first", &first.url()).await;
    provision(&server, "second", &second.url()).await;
    let health = async |camera: &str| {
        let path = format!("/gateway/health/{}/{camera}", server.tenant);
        send(server.govern(Method::GET, &path)).await.json()
    };
    let probed = |health: &Value| health["lastProbeAt"].as_str().map(str::to_owned);
    let mut online = None;
    for camera in ["first", "second"] {
        let mut tries = 0;
        let mut found = health(camera).await;
        while found["lastProbeHealth"] != "online" {
            tries += 1;
            assert!(tries < 1_200, "{camera}: {found}");
            tokio::time::sleep(Duration::from_millis(25)).await;
            found = health(camera).await;
        }
        online = online.max(probed(&found));
    }
    // However late that is asked on a busy machine.
    let mut given_up = 0;
    for number in 0..DEAD {
        let found = probed(&health(&format!("dead-{number}")).await);
        given_up += usize::from(found.is_some() && found < online);
    }
    assert!(given_up <= 16, "{given_up} were waited for first");
    server.app.stop().await;
}
