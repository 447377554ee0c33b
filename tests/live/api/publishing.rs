//! Devices that publish into their captures by RTSP: ffmpeg, and devices that do what none
//! should.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::domain::id::TenantId;
use md5::{Digest as _, Md5};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::api::server::{Answer, Server, send};

const H264: [&str; 2] = ["-c:v", "libx264"];
const H265: [&str; 4] = ["-c:v", "libx265", "-x265-params", "log-level=error"];

const KEYS: [(&str, &str); 1] = [("cameras.rtsp_bind", "127.0.0.1:0")];

/// A device with a capture that is open.
struct Device {
    path: String,
    username: String,
    password: String,
}

async fn open(server: &Server, id: &str) -> Device {
    let answer = opened(server, id).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let publish = &answer.json()["publish"];
    let port = server.app.addresses().rtsp.expect("a listener").port();
    assert_eq!(publish["rtsp_port"], port, "{answer:?}");
    let text = |name: &str| publish[name].as_str().expect("a text").to_owned();
    Device { path: text("rtsp_path"), username: text("username"), password: text("password") }
}

pub(super) async fn opened(server: &Server, id: &str) -> Answer {
    let body = json!({
        "sessionId": id, "deviceId": "box-1", "streamPath": format!("sess-{id}"),
        "edgeStartTs": "2026-01-01T10:00:00Z",
    });
    let request = server.govern(Method::POST, "/store/sessions").json(&body);
    send(request.header("x-tenant-id", server.tenant.to_string())).await
}

pub(super) async fn close(server: &Server, id: &str) {
    let path = format!("/store/sessions/{id}/close");
    let body = json!({"edgeEndTs": "2026-01-01T11:00:00Z"});
    let request = server.govern(Method::POST, &path).json(&body);
    let answer = send(request.header("x-tenant-id", server.tenant.to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

pub(super) async fn shown(server: &Server, id: &str) -> Value {
    let request = server.govern(Method::GET, &format!("/store/sessions/{id}"));
    let answer = send(request.header("x-tenant-id", server.tenant.to_string())).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

/// The address where a capture plays, once there is one.
pub(super) async fn playlist_url(server: &Server, id: &str) -> String {
    for _ in 0..1_200 {
        if let Some(url) = shown(server, id).await["playlist_url"].as_str() {
            return url.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the capture plays nowhere")
}

pub(super) async fn get(server: &Server, path: &str) -> Answer {
    send(server.request(Method::GET, path)).await
}

/// The playlist once it is as wanted.
pub(super) async fn playlist(server: &Server, path: &str, is_so: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    for _ in 0..1_200 {
        last = get(server, path).await.text;
        if is_so(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("not so: {last}")
}

pub(super) fn segments(playlist: &str) -> usize {
    playlist.lines().filter(|line| line.starts_with("#EXTINF")).count()
}

impl Device {
    fn url(&self, server: &Server) -> String {
        let place = server.app.addresses().rtsp.expect("a listener");
        format!("rtsp://{}:{}@{place}{}", self.username, self.password, self.path)
    }

    /// ffmpeg, which sends a picture that moves and a tone at the speed at which they play. It tries
    /// UDP first.
    fn film(&self, server: &Server, pictures: &[&str], sound: &str) -> Child {
        let url = self.url(server);
        let film = "testsrc=size=320x240:rate=25,format=yuv420p";
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-re", "-f", "lavfi", "-i", film]);
        ffmpeg.args(["-re", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]);
        ffmpeg.args(pictures).args(["-preset", "ultrafast", "-tune", "zerolatency", "-g", "25"]);
        ffmpeg.args(["-c:a", sound, "-ac", "2", "-t", "240", "-f", "rtsp", &url]);
        ffmpeg.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::inherit());
        ffmpeg.spawn().expect("ffmpeg runs")
    }
}

/// Ends ffmpeg as a person does who types `q`: it says goodbye.
async fn end(mut film: Child) {
    use std::io::Write as _;
    film.stdin.take().expect("piped").write_all(b"q").expect("written");
    let ended = tokio::task::spawn_blocking(move || film.wait()).await.expect("joined");
    assert!(ended.expect("waited").success());
}

/// What ffprobe says of a playlist: codecs of the streams, and how long it plays.
pub(super) async fn probed(server: &Server, path: &str) -> (Vec<String>, f64) {
    let url = format!("{}{path}", server.http);
    let probe = tokio::task::spawn_blocking(move || {
        let mut probe = Command::new("ffprobe");
        probe.args(["-v", "error", "-of", "json", "-show_entries"]);
        probe.args(["stream=codec_name:format=duration", &url]);
        probe.output()
    });
    let output = probe.await.expect("joined").expect("ffprobe runs");
    let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let streams = found["streams"].as_array().expect("streams").iter();
    let codecs = streams.map(|it| it["codec_name"].as_str().expect("a name").to_owned()).collect();
    let duration = found["format"]["duration"].as_str().and_then(|it| it.parse().ok());
    (codecs, duration.unwrap_or(0.0))
}

/// Whether a file below a directory holds these bytes.
pub(super) fn is_on_disk(directory: &std::path::Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(directory).expect("a directory").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return is_on_disk(&path, wanted);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(wanted.len()).any(|window| window == wanted)
    })
}

#[tokio::test]
async fn what_ffmpeg_publishes_plays_while_it_does_and_after_the_end() {
    let server = Server::start_with(&KEYS).await;
    for (id, codec, pictures, sound) in [
        ("7", "h264", &H264[..], "aac"),
        ("sess-8", "h264", &H264, "libopus"),
        // Its parameter sets are in the description alone.
        ("9", "hevc", &H265, "aac"),
    ] {
        let device = open(&server, id).await;
        assert!(shown(&server, id).await["playlist_url"].is_null());
        let film = device.film(&server, pictures, sound);
        let path = playlist_url(&server, id).await;
        let live = playlist(&server, &path, |text| segments(text) >= 3).await;
        assert!(live.contains("#EXT-X-TARGETDURATION:4\n") && !live.contains("ENDLIST"), "{live}");
        let expected = [codec, sound.trim_start_matches("lib")];
        assert_eq!(probed(&server, &path).await.0, expected);
        end(film).await;
        close(&server, id).await;
        // Its last segments may be filed for half a minute.
        server.ahead_us.fetch_add(31_000_000, Ordering::SeqCst);
        let ended = playlist(&server, &path, |text| text.ends_with("#EXT-X-ENDLIST\n")).await;
        assert!(segments(&ended) >= 3 && !ended.contains("#EXT-X-DISCONTINUITY"), "{ended}");
        let (codecs, duration) = probed(&server, &path).await;
        assert_eq!(codecs, expected);
        assert!(duration >= 3.0, "{duration} s");
        assert!(!is_on_disk(server.data_dir(), device.password.as_bytes()));
    }
    assert!(!is_on_disk(server.data_dir(), b"mdat"), "media is on the disk in clear");
    // Another process plays it too.
    let server = server.restart().await;
    let path = playlist_url(&server, "7").await;
    let ended = get(&server, &path).await.text;
    let file = ended.lines().find(|line| line.contains(".m4s")).expect("a segment");
    let of = |name: &str| path.replace("index.m3u8", name);
    assert_eq!(get(&server, &of(file)).await.status, 200);
    // Nobody plays it without its address, or another with it.
    for (wrong, code) in [
        (path.replace("/7/", "/sess-8/"), "PLAYBACK_TOKEN_SCOPE_MISMATCH"),
        (
            path.replace(&server.tenant.to_string(), &TenantId::generate().to_string()),
            "PLAYBACK_TOKEN_SCOPE_MISMATCH",
        ),
        (path.replace("/index", "x/index"), "PLAYBACK_TOKEN_FORMAT_INVALID"),
        (of("%2e%2e%2f%2e%2e%2fetc%2fpasswd"), "PLAYBACK_SEGMENT_NOT_FOUND"),
        (of(&file.replace(".m4s", ".mp4x")), "PLAYBACK_SEGMENT_NOT_FOUND"),
    ] {
        let refused = get(&server, &wrong).await;
        assert_eq!(refused.code(), code, "{wrong}: {refused:?}");
    }
    // After its time is over it is deleted from the disk as well.
    let objects = server.data_dir().to_owned();
    let files = || files_named(&objects, "captures");
    assert!(files() > 0, "nothing is in the vault");
    let month = 31 * 86_400 * 1_000_000;
    server.ahead_us.fetch_add(month, Ordering::SeqCst);
    let keys = [("cameras.sweep_interval_s", "1")];
    let server = server.restart_with(&keys).await;
    for _ in 0..1_200 {
        if files() == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(files(), 0, "old captures are kept");
    assert!(shown(&server, "7").await["playlist_url"].is_null());
    server.app.stop().await;
}

/// The files below directories of this name.
fn files_named(directory: &std::path::Path, name: &str) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let count = |path: std::path::PathBuf| match path.file_name() {
        _ if !path.is_dir() => 0,
        Some(own) if own == name => all_files(&path),
        _ => files_named(&path, name),
    };
    paths.map(count).sum()
}

fn all_files(directory: &std::path::Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.map(|path| if path.is_dir() { all_files(&path) } else { 1 }).sum()
}

/// A device by hand.
struct Raw {
    socket: TcpStream,
    base: String,
    cseq: u32,
    nonce: String,
}

/// A description of H.264 without parameter sets, and of a tone.
const DESCRIPTION: &str = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n\
     m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:streamid=0\r\n";

impl Raw {
    async fn to(server: &Server, path: &str) -> Self {
        let place = server.app.addresses().rtsp.expect("a listener");
        let socket = TcpStream::connect(place).await.expect("connected");
        let base = format!("rtsp://{place}{path}");
        Self { socket, base, cseq: 0, nonce: String::new() }
    }

    /// The status of the answer to a request, and its head; nothing when it was closed.
    async fn ask(&mut self, method: &str, uri: &str, rest: &str) -> Option<(u16, String)> {
        self.cseq += 1;
        let request = format!("{method} {uri} RTSP/1.0\r\nCSeq: {}\r\n{rest}", self.cseq);
        self.socket.write_all(request.as_bytes()).await.ok()?;
        self.answer().await
    }

    async fn answer(&mut self) -> Option<(u16, String)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            let read = self.socket.read(&mut byte);
            let read = tokio::time::timeout(Duration::from_mins(1), read).await;
            match read.expect("answered or closed in time") {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(head).expect("text");
        let status = head.get(9..12).and_then(|it| it.parse().ok()).expect("a status");
        if let Some((_, nonce)) = head.split_once("nonce=\"") {
            nonce.split('"').next().expect("an end").clone_into(&mut self.nonce);
        }
        Some((status, head))
    }

    fn proof(&self, user: &str, password: &str, uri: &str) -> String {
        let hash = |text: String| -> String {
            format!("{:032x}", u128::from_be_bytes(Md5::digest(text.as_bytes()).into()))
        };
        let (who, what) =
            (hash(format!("{user}:cabildo:{password}")), hash(format!("ANNOUNCE:{uri}")));
        let response = hash(format!("{who}:{}:{what}", self.nonce));
        format!(
            "Authorization: Digest username=\"{user}\", realm=\"cabildo\", nonce=\"{}\", \
             uri=\"{uri}\", response=\"{response}\"\r\n",
            self.nonce
        )
    }

    /// Announces without a proof and then with one.
    async fn announce(&mut self, user: &str, password: &str) -> Option<u16> {
        let base = self.base.clone();
        let length = DESCRIPTION.len();
        let body = format!(
            "Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{DESCRIPTION}"
        );
        let (status, _) = self.ask("ANNOUNCE", &base, &body).await?;
        assert_eq!(status, 401);
        let proof = self.proof(user, password, &base);
        self.ask("ANNOUNCE", &base, &format!("{proof}{body}")).await.map(|it| it.0)
    }

    async fn set_up(&mut self, transport: &str) -> Option<(u16, String)> {
        let uri = format!("{}/streamid=0", self.base);
        self.ask("SETUP", &uri, &format!("Transport: {transport}\r\n\r\n")).await
    }

    async fn record(&mut self) -> Option<u16> {
        let base = self.base.clone();
        self.ask("RECORD", &base, "\r\n").await.map(|it| it.0)
    }

    /// Publishes up to the point where packets may be sent.
    async fn begin(&mut self, device: &Device) -> Option<u16> {
        assert_eq!(self.announce(&device.username, &device.password).await, Some(200));
        let set_up = self.set_up("RTP/AVP/TCP;unicast;interleaved=0-1;mode=record").await;
        assert_eq!(set_up.expect("answered").0, 200);
        self.record().await
    }

    /// Sends a packet that has nothing to show.
    async fn packet(&mut self, number: u16) -> bool {
        let [high, low] = number.to_be_bytes();
        let mut frame = vec![b'$', 0, 0, 14, 0x80, 96, high, low];
        frame.extend([0, 0, high, low, 0, 0, 0, 9, 0x09, 0xF0]);
        self.socket.write_all(&frame).await.is_ok()
    }

    async fn is_closed(&mut self) -> bool {
        self.answer().await.is_none()
    }
}

#[tokio::test]
async fn who_has_no_key_of_an_open_capture_publishes_nothing_and_learns_nothing() {
    let server = Server::start_with(&KEYS).await;
    let (own, other) = (open(&server, "7").await, open(&server, "8").await);
    let closed = open(&server, "9").await;
    close(&server, "9").await;
    let again = opened(&server, "7").await.json();
    assert_eq!(again["publish"]["password"], own.password.as_str(), "who asks again hears it too");
    let late = opened(&server, "9").await.json();
    assert!(late["publish"].is_null(), "{late}");
    let stranger = TenantId::generate().to_string();
    let (user, password) = (own.username.as_str(), own.password.as_str());
    for (path, user, password) in [
        ("/sess-7", user, "wrong"),
        ("/sess-7", user, other.password.as_str()),
        ("/sess-7", stranger.as_str(), password),
        ("/sess-7", "nobody", password),
        ("/sess-8", user, password),
        ("/sess-9", user, closed.password.as_str()),
        ("/sess-none", user, password),
        ("/7", user, password),
        ("/../sess-7", user, password),
        ("/", user, password),
    ] {
        let mut device = Raw::to(&server, path).await;
        assert_eq!(device.announce(user, password).await, Some(401), "{path} {user}");
        // A third wrong proof ends the connection.
        let base = device.base.clone();
        let last = device.ask("ANNOUNCE", &base, "\r\n").await;
        assert_eq!(last.expect("answered").0, 401);
        assert!(device.is_closed().await);
    }
    // A proof is for one connection and one address.
    let mut first = Raw::to(&server, "/sess-7").await;
    assert_eq!(first.announce(user, password).await, Some(200));
    let mut second = Raw::to(&server, "/sess-7").await;
    let proof = first.proof(user, password, &first.base);
    let base = second.base.clone();
    let replayed = second.ask("ANNOUNCE", &base, &format!("{proof}\r\n")).await;
    assert_eq!(replayed.expect("answered").0, 401);
    let elsewhere = second.proof(user, password, &format!("{base}/other"));
    let replayed = second.ask("ANNOUNCE", &base, &format!("{elsewhere}\r\n")).await;
    assert_eq!(replayed.expect("answered").0, 401);
    for device in ["7", "8", "9"] {
        assert!(shown(&server, device).await["playlist_url"].is_null());
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_device_that_does_not_do_as_it_should_is_refused_or_let_go() {
    let server = Server::start_with(&KEYS).await;
    let own = open(&server, "7").await;
    let mut device = Raw::to(&server, &own.path).await;
    let (base, path) = (device.base.clone(), own.path.as_str());
    let (status, head) = device.ask("OPTIONS", "*", "\r\n").await.expect("answered");
    assert!(status == 200 && head.contains("public: OPTIONS, ANNOUNCE, SETUP, RECORD"), "{head}");
    for (method, status) in
        [("DESCRIBE", 501), ("PLAY", 501), ("SETUP", 455), ("RECORD", 455), ("GET_PARAMETER", 455)]
    {
        let answer = device.ask(method, &base, "\r\n").await.expect("answered");
        assert_eq!(answer.0, status, "{method}");
    }
    assert_eq!(device.announce(&own.username, &own.password).await, Some(200));
    let (status, _) = device.ask("ANNOUNCE", &base, "\r\n").await.expect("answered");
    assert_eq!(status, 455, "twice");
    for udp in ["RTP/AVP/UDP;unicast;client_port=5000-5001;mode=record", "RTP/AVP;multicast", ""] {
        assert_eq!(device.set_up(udp).await.expect("answered").0, 461, "{udp}");
    }
    assert_eq!(device.record().await, Some(455), "nothing is set up");
    // A channel that has no second one is replaced by another.
    let (status, head) =
        device.set_up("RTP/AVP/TCP;unicast;interleaved=255-256").await.expect("answered");
    assert!(status == 200 && head.contains("interleaved=0-1"), "{head}");
    assert_eq!(device.set_up("RTP/AVP/TCP;interleaved=2-3").await.expect("answered").0, 403);
    assert_eq!(device.record().await, Some(200));
    assert_eq!(device.ask("GET_PARAMETER", &base, "\r\n").await.expect("answered").0, 200);
    assert_eq!(device.ask("TEARDOWN", &base, "\r\n").await.expect("answered").0, 200);
    assert!(device.is_closed().await);

    let of_sound = |codec: &str| {
        format!(
            "{DESCRIPTION}m=audio 0 RTP/AVP 97\r\na=rtpmap:97 {codec}\r\na=control:streamid=1\r\n"
        )
    };
    for text in [
        DESCRIPTION.replace("H264", "JPEG"),
        of_sound("PCMU/8000"),
        of_sound("G722/8000"),
        of_sound("mpeg4-generic/48000/2"),
    ] {
        let mut device = Raw::to(&server, path).await;
        let base = device.base.clone();
        device.ask("ANNOUNCE", &base, "\r\n").await.expect("answered");
        let proof = device.proof(&own.username, &own.password, &base);
        let empty = device.ask("ANNOUNCE", &base, &format!("{proof}\r\n")).await.expect("answered");
        assert_eq!(empty.0, 415, "{}", empty.1);
        let length = text.len();
        let rest = format!(
            "{proof}Content-Type: application/sdp\r\nContent-Length: {length}\r\n\r\n{text}"
        );
        assert_eq!(device.ask("ANNOUNCE", &base, &rest).await.expect("answered").0, 200);
        device.set_up("RTP/AVP/TCP;unicast;interleaved=0-1").await.expect("answered");
        assert_eq!(device.record().await, Some(415), "nobody can play it: {text}");
        assert!(device.is_closed().await);
    }

    for sent in [
        format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX: {}", "x".repeat(20_000)),
        "ANNOUNCE * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 4000000000\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
    ] {
        let mut device = Raw::to(&server, path).await;
        device.socket.write_all(sent.as_bytes()).await.expect("written");
        assert!(device.is_closed().await, "{}", sent.len());
    }
    let mut device = Raw::to(&server, path).await;
    device.socket.write_all(b"OPTIONS * RTSP/1.0\r\n\r\n").await.expect("written");
    assert_eq!(device.answer().await.expect("answered").0, 400, "without a number");
    assert!(device.is_closed().await);
    server.app.stop().await;
}

#[tokio::test]
async fn a_capture_has_one_publisher_and_a_silent_one_is_replaced() {
    let server = Server::start_with(&KEYS).await;
    let own = open(&server, "7").await;
    let mut first = Raw::to(&server, &own.path).await;
    assert_eq!(first.begin(&own).await, Some(200));
    let mut second = Raw::to(&server, &own.path).await;
    let sending = async {
        for number in 1.. {
            assert!(first.packet(number).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let refused = tokio::select! {
        refused = second.begin(&own) => refused,
        () = sending => None,
    };
    assert_eq!(refused, Some(455), "somebody publishes");
    assert!(second.is_closed().await);
    // The first one says nothing more.
    let mut outcome = None;
    for _ in 0..240 {
        let mut third = Raw::to(&server, &own.path).await;
        outcome = third.begin(&own).await;
        if outcome == Some(200) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(outcome, Some(200), "a silent publisher keeps its place");
    assert!(first.is_closed().await, "two publish");
    server.app.stop().await;
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_none_without_the_key_in_the_configuration() {
    let server = Server::start_with(&KEYS).await;
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut device = Raw::to(&server, "/sess-7").await;
        assert_eq!(device.ask("OPTIONS", "*", "\r\n").await.expect("answered").0, 200);
        held.push(device);
    }
    let mut more = Raw::to(&server, "/sess-7").await;
    assert!(more.ask("OPTIONS", "*", "\r\n").await.is_none(), "one too many");
    drop(held);
    server.app.stop().await;
    let server = Server::start().await;
    assert_eq!(server.app.addresses().rtsp, None);
    assert!(opened(&server, "7").await.json()["publish"].is_null());
    server.app.stop().await;
}
