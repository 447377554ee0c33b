//! Devices that publish into their captures by WHIP: aiortc, and callers that do what none should.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::Ordering;

use cabildo::domain::id::TenantId;
use cabildo::domain::time::Timestamp;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::api::publishing::{
    close, get, is_on_disk, opened, playlist, playlist_url, probed, segments,
};
use crate::api::server::{Answer, Server, send};

const SDP: &str = "application/sdp";

/// aiortc, in a process of its own.
struct Sender {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    offer: String,
}

impl Sender {
    fn start() -> Self {
        let cache = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
        let venv = std::env::var_os("CABILDO_VENV").map(PathBuf::from);
        let venv = venv.unwrap_or_else(|| cache().join("cabildo/venv"));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/sender.py");
        let mut child = Command::new(venv.join("bin/python"))
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("aiortc runs: scripts/install test");
        let stdin = child.stdin.take().expect("piped");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut sender = Self { child, stdin, stdout, offer: String::new() };
        let told = sender.told();
        told["sdp"].as_str().expect("an offer").clone_into(&mut sender.offer);
        sender
    }

    /// What it tells next.
    fn told(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Gives it the answer; it is connected then.
    fn begin(&mut self, answer: &str) {
        let line = json!({ "sdp": answer }).to_string();
        writeln!(self.stdin, "{line}").expect("written");
        while self.told()["state"] != "connected" {}
    }

    /// Takes its picture and sound away without a word.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("waited");
    }
}

fn of_tenant(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.govern(method, path).header("x-tenant-id", server.tenant.to_string())
}

async fn publish(server: &Server, id: &str, offer: &str) -> Answer {
    let request = of_tenant(server, Method::POST, &format!("/store/sessions/{id}/whip"));
    send(request.header("content-type", SDP).body(offer.to_owned())).await
}

#[tokio::test]
async fn what_is_published_by_whip_plays_while_it_is_and_afterwards() {
    let server = Server::start().await;
    assert_eq!(opened(&server, "7").await.status, 201);
    let mut sender = Sender::start();
    let answer = publish(&server, "7", &sender.offer).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let location = answer.header("location").to_owned();
    assert!(location.starts_with("/store/sessions/7/whip/"), "{answer:?}");
    assert_eq!(answer.header("accept-patch"), "application/trickle-ice-sdpfrag");
    let (_, video) = answer.text.split_once("m=video").expect("a section of pictures");
    assert!(video.contains("H264/90000") && !video.contains("VP8"), "{video}");
    sender.begin(&answer.text);
    let path = playlist_url(&server, "7").await;
    let live = playlist(&server, &path, |text| segments(text) >= 2).await;
    assert!(live.contains("#EXT-X-TARGETDURATION:4\n") && !live.contains("ENDLIST"), "{live}");
    assert_eq!(probed(&server, &path).await.0, ["h264", "opus"]);

    // Somebody publishes, and the resource is there for its tenant only.
    let second = publish(&server, "7", &sender.offer).await;
    assert_eq!((second.status, second.code()), (409, "CAPTURE_SESSION_CONFLICT".to_owned()));
    let fragment = "application/trickle-ice-sdpfrag";
    let patch = |location: &str, tag: &str, body: &'static str| {
        let request = of_tenant(&server, Method::PATCH, location);
        send(request.header("content-type", fragment).header("if-match", tag).body(body))
    };
    let tag = answer.header("etag");
    assert_eq!(patch(&location, tag, "a=end-of-candidates\r\n").await.status, 204);
    assert_eq!(patch(&location, "\"other\"", "").await.code(), "SDP_INVALID");
    let other = patch(&location, "\"other\"", "a=end-of-candidates\r\n").await;
    assert_eq!(other.code(), "VERSION_CONFLICT");
    let elsewhere = location.replace("/7/", "/8/");
    assert_eq!(patch(&elsewhere, tag, "").await.code(), "MEDIA_RESOURCE_NOT_FOUND");
    let stranger = server.govern(Method::DELETE, &location);
    let stranger = send(stranger.header("x-tenant-id", TenantId::generate().to_string())).await;
    assert_eq!((stranger.status, stranger.code()), (404, "MEDIA_RESOURCE_NOT_FOUND".to_owned()));
    let restarted =
        patch(&location, "*", "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n");
    let restarted = restarted.await;
    assert!(restarted.status == 200 && restarted.text.contains("a=ice-pwd:"), "{restarted:?}");
    let conflict = of_tenant(&server, Method::DELETE, &location).header("if-match", tag);
    assert_eq!(send(conflict).await.code(), "VERSION_CONFLICT", "the old session's tag is gone");
    let ended = send(of_tenant(&server, Method::DELETE, &location)).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    let again = send(of_tenant(&server, Method::DELETE, &location)).await;
    assert_eq!(again.code(), "MEDIA_RESOURCE_NOT_FOUND");
    sender.kill();

    playlist(&server, &path, |text| segments(text) >= 3).await;
    close(&server, "7").await;
    server.ahead_us.fetch_add(31_000_000, Ordering::SeqCst);
    let ended = playlist(&server, &path, |text| text.ends_with("#EXT-X-ENDLIST\n")).await;
    assert!(segments(&ended) >= 3, "what came before the end is not there: {ended}");
    assert!(probed(&server, &path).await.1 >= 3.0);
    assert!(!is_on_disk(server.data_dir(), b"mdat"), "media is on the disk in clear");
    let late = publish(&server, "7", "v=0\r\n").await;
    assert_eq!(late.code(), "SDP_INVALID");
    server.app.stop().await;
}

#[tokio::test]
async fn a_device_that_is_gone_is_replaced_and_what_it_sent_is_kept() {
    let server = Server::start().await;
    opened(&server, "7").await;
    let mut first = Sender::start();
    let answer = publish(&server, "7", &first.offer).await;
    first.begin(&answer.text);
    let path = playlist_url(&server, "7").await;
    playlist(&server, &path, |text| segments(text) >= 1).await;
    first.kill();
    let mut second = Sender::start();
    let mut answer = publish(&server, "7", &second.offer).await;
    while answer.status == 409 {
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        answer = publish(&server, "7", &second.offer).await;
    }
    assert_eq!(answer.status, 201, "{answer:?}");
    second.begin(&answer.text);
    // The last that the first one sent may still be filed meanwhile.
    let breaks = |text: &str| text.matches("#EXT-X-DISCONTINUITY\n").count();
    let both = playlist(&server, &path, |text| breaks(text) > 0).await;
    assert_eq!(breaks(&both), 1, "{both}");
    second.kill();
    server.app.stop().await;
}

#[tokio::test]
async fn what_can_not_be_kept_is_refused_with_its_code() {
    let server = Server::start().await;
    opened(&server, "7").await;
    opened(&server, "8").await;
    close(&server, "8").await;
    let sender = Sender::start();
    let offer = sender.offer.clone();
    sender.kill();
    let (head, video) = offer.split_once("m=video").expect("a section of pictures");
    let twice = format!("{offer}m=video{}", video.replace("a=mid:1", "a=mid:2"));
    let twice = twice.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 2");
    for (id, offer, status, code) in [
        ("8", offer.as_str(), 409, "CAPTURE_SESSION_CONFLICT"),
        ("none", offer.as_str(), 404, "CAPTURE_SESSION_NOT_FOUND"),
        ("..%2f7", offer.as_str(), 404, "CAPTURE_SESSION_NOT_FOUND"),
        ("7", "", 422, "SDP_INVALID"),
        ("7", "v=0", 422, "SDP_INVALID"),
        ("7", head, 422, "SDP_INVALID"),
        ("7", offer.replace("H264", "H265").as_str(), 422, "SDP_INVALID"),
        ("7", twice.as_str(), 422, "SDP_INVALID"),
    ] {
        let refused = publish(&server, id, offer).await;
        let short: String = offer.chars().take(40).collect();
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{id} {short}");
    }
    let path = "/store/sessions/7/whip";
    let other = server.govern(Method::POST, path).header("content-type", SDP).body(offer.clone());
    let other = send(other.header("x-tenant-id", TenantId::generate().to_string())).await;
    assert_eq!(other.code(), "CAPTURE_SESSION_NOT_FOUND", "another tenant's capture was found");
    // What was refused leaves no place taken.
    let answer = publish(&server, "7", &offer).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let options = send(server.request(Method::OPTIONS, path)).await;
    assert_eq!((options.status, options.header("accept-post")), (204, SDP));
    server.app.stop().await;
}

/// So many seconds of nothing but key pictures from `begins_us` on, as a device sends them later.
fn late(begins_us: i64, seconds: u32) -> Vec<u8> {
    /// Parameter sets and a key picture of 1280 by 720 pixels; nobody decodes it here.
    const UNITS: [&[u8]; 3] = [
        &[
            103, 100, 0, 31, 172, 217, 128, 80, 5, 187, 1, 106, 2, 2, 2, 128, 0, 0, 3, 0, 128, 0,
            0, 30, 7, 140, 24, 205,
        ],
        &[104, 233, 123, 44, 139],
        &[0x65, 0x88, 0x84, 0x0A],
    ];
    let mut bytes = b"CBLM\x01".to_vec();
    bytes.extend(begins_us.to_be_bytes());
    for second in 0..seconds {
        for (number, unit) in UNITS.iter().enumerate() {
            bytes.push(if number == 2 { 2 } else { 1 });
            bytes.extend((second * 90_000).to_be_bytes());
            bytes.extend(u32::try_from(unit.len()).expect("short").to_be_bytes());
            bytes.extend(*unit);
        }
    }
    bytes
}

#[tokio::test]
async fn late_media_is_kept_once_behind_what_is_there() {
    let server = Server::start().await;
    let opened = opened(&server, "7").await;
    let shown = opened.json();
    assert!(shown["media_until"].is_null(), "{shown}");
    // It began at 2026-01-01T10:00:00Z by a clock that is behind.
    let begins_us = 1_767_261_600_000_000_i64;
    let now = Timestamp::parse_rfc3339(opened.header("cabildo-time"));
    let now_us = now.expect("a moment").unix_us();
    // What began a minute ago.
    let ahead_ms = (now_us - 60_000_000 - begins_us) / 1_000;
    let append = |from: i64, seconds: u32, ahead_ms: i64| {
        let path = format!("/store/sessions/7/media?ahead_ms={ahead_ms}");
        let request = of_tenant(&server, Method::POST, &path);
        let body = late(begins_us + from * 1_000_000, seconds);
        send(request.header("content-type", "application/vnd.cabildo.late").body(body))
    };
    let first = append(0, 10, ahead_ms).await;
    assert_eq!(first.status, 200, "{first:?}");
    let path = playlist_url(&server, "7").await;
    let listed = get(&server, &path).await.text;
    let ten = segments(&listed);
    assert!(ten >= 3, "{listed}");
    // The same again, and what overlaps with it.
    assert_eq!(append(0, 10, ahead_ms).await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    assert_eq!(segments(&get(&server, &path).await.text), ten, "it is there twice");
    assert_eq!(append(30, 10, ahead_ms).await.status, 200);
    let both = playlist(&server, &path, |text| segments(text) > ten).await;
    assert_eq!(both.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{both}");
    for (from, ahead, code) in [
        (0, ahead_ms + 120_000, "UNPROCESSABLE_REQUEST"),
        (-60, ahead_ms, "UNPROCESSABLE_REQUEST"),
        (0, i64::MAX, "MALFORMED_REQUEST"),
        (0, i64::MIN, "MALFORMED_REQUEST"),
    ] {
        let refused = append(from, 10, ahead).await;
        assert_eq!(refused.code(), code, "{from} {ahead}: {refused:?}");
    }
    let post = |path: &str, kind: &str, body: Vec<u8>| {
        send(of_tenant(&server, Method::POST, path).header("content-type", kind).body(body))
    };
    let kind = "application/vnd.cabildo.late";
    let path = "/store/sessions/7/media?ahead_ms=0";
    assert_eq!(post(path, kind, b"CBLM".to_vec()).await.code(), "UNPROCESSABLE_REQUEST");
    assert_eq!(post(path, kind, vec![0; 5 << 20]).await.code(), "PAYLOAD_TOO_LARGE");
    assert_eq!(post(path, "video/mp4", Vec::new()).await.code(), "UNSUPPORTED_MEDIA_TYPE");
    let without = post("/store/sessions/7/media", kind, Vec::new()).await;
    assert_eq!(without.code(), "MALFORMED_REQUEST", "{without:?}");
    close(&server, "7").await;
    assert_eq!(append(50, 5, ahead_ms).await.code(), "CAPTURE_SESSION_CONFLICT");
    server.app.stop().await;
}
