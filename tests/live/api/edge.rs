//! `cabildo edge` with its test source, against a server that is there, is away for a while, or
//! begins later.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::domain::time::Timestamp;
use reqwest::Method;
use serde_json::Value;

use crate::api::publishing::{get, playlist, playlist_url, probed, segments};
use crate::api::server::{Server, send};

/// A box with a small picture, in a process of its own.
struct Edge {
    child: Child,
    place: tempfile::TempDir,
}

impl Edge {
    fn start(server: &str, tenant: &str, words: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a directory");
        let child = Self::spawn(place.path(), server, tenant, words);
        Self { child, place }
    }

    fn spawn(place: &Path, server: &str, tenant: &str, words: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_cabildo"))
            .args(["edge", "--server", server, "--tenant", tenant, "--test-source"])
            .args(["--device", "box-1", "--size", "320x240", "--kbps", "300", "--directory"])
            .arg(place)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("started")
    }

    fn tell(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("told");
    }

    /// Its exit code, and the directory.
    async fn ended(self) -> (Option<i32>, tempfile::TempDir) {
        let Self { mut child, place } = self;
        let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("joined");
        (status.expect("waited").code(), place)
    }
}

/// The one capture of the tenant, once it is there.
async fn capture(server: &Server) -> Value {
    for _ in 0..1_200 {
        let request = server.govern(Method::GET, "/store/sessions");
        let answer = send(request.header("x-tenant-id", server.tenant.to_string())).await;
        let sessions = answer.json()["sessions"].as_array().expect("a list").clone();
        if let [one] = sessions.as_slice() {
            return one.clone();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("there is no capture")
}

fn id(capture: &Value) -> String {
    capture["session_id"].as_str().expect("an id").to_owned()
}

fn seconds(capture: &Value, name: &str) -> f64 {
    let text = capture[name].as_str().expect("a moment");
    seconds_of(text)
}

#[expect(clippy::cast_precision_loss, reason = "microseconds since 1970 have fewer than 53 bits")]
fn seconds_of(text: &str) -> f64 {
    Timestamp::parse_rfc3339(text).expect("a moment").unix_us() as f64 / 1e6
}

/// When each segment of a playlist begins and ends.
fn spans(playlist: &str) -> Vec<(f64, f64)> {
    let (mut begins, mut spans) = (0.0, Vec::new());
    for line in playlist.lines() {
        if let Some(moment) = line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
            begins = seconds_of(moment);
        } else if let Some(length) = line.strip_prefix("#EXTINF:") {
            let length: f64 = length.trim_end_matches(',').parse().expect("a number");
            spans.push((begins, begins + length));
        }
    }
    spans
}

/// The largest time in a playlist for which there is no media, in seconds.
fn largest_hole(spans: &[(f64, f64)]) -> f64 {
    let (mut until, mut largest) = (spans.first().expect("segments").0, 0.0_f64);
    for (begins, ends) in spans {
        largest = largest.max(begins - until);
        until = until.max(*ends);
    }
    largest
}

/// How much of what was captured from the first segment to the last is in none, in seconds.
fn lost(spans: &[(f64, f64)]) -> f64 {
    let (first, last) = (spans.first().expect("segments"), spans.last().expect("segments"));
    let played: f64 = spans.iter().map(|(begins, ends)| ends - begins).sum();
    last.1 - first.0 - played
}

async fn whole(server: &Server, capture: &Value) -> String {
    let path = playlist_url(server, &id(capture)).await;
    server.ahead_us.fetch_add(31_000_000, Ordering::SeqCst);
    playlist(server, &path, |text| text.ends_with("#EXT-X-ENDLIST\n")).await
}

#[tokio::test]
async fn a_box_captures_publishes_and_closes_after_its_post_roll() {
    let server = Server::start().await;
    let words = ["--duration", "8s", "--post-roll", "2s"];
    let edge = Edge::start(&server.http, &server.tenant.to_string(), &words);
    let open = capture(&server).await;
    let path = playlist_url(&server, &id(&open)).await;
    let live = playlist(&server, &path, |text| segments(text) >= 1).await;
    assert!(!live.contains("ENDLIST"), "{live}");
    assert_eq!(probed(&server, &path).await.0, ["h264", "opus"]);
    let (code, place) = edge.ended().await;
    assert_eq!(code, Some(0));
    let closed = capture(&server).await;
    assert_eq!((&closed["status"], &closed["device_id"]), (&"closed".into(), &"box-1".into()));
    let lasted = seconds(&closed, "edge_end_ts") - seconds(&closed, "edge_start_ts");
    assert!((10.0..12.0).contains(&lasted), "{lasted} s");
    let ended = whole(&server, &closed).await;
    let spans = spans(&ended);
    assert!(largest_hole(&spans) < 0.7, "{ended}");
    // How long the camera takes until it makes its first picture is nobody's promise.
    let played: f64 = spans.iter().map(|(begins, ends)| ends - begins).sum();
    assert!(played < 12.0 && lost(&spans) < 0.5, "{played} s: {ended}");
    assert!(probed(&server, &path).await.1 >= played - 0.5);
    let left = std::fs::read_dir(place.path()).expect("a directory").count();
    assert_eq!(left, 0, "the box keeps what the server has");
    server.app.stop().await;
}

#[tokio::test]
async fn what_a_box_could_not_send_while_the_server_was_away_is_there_afterwards() {
    let server = Server::start().await;
    let edge = Edge::start(&server.http, &server.tenant.to_string(), &[]);
    let open = capture(&server).await;
    let path = playlist_url(&server, &id(&open)).await;
    playlist(&server, &path, |text| segments(text) >= 2).await;
    let away = tokio::time::sleep(Duration::from_secs(7));
    let server = Box::pin(server.restart_after(away)).await;
    let before = segments(&get(&server, &path).await.text);
    // What was kept by the box is there, and it publishes again.
    let again = playlist(&server, &path, |text| segments(text) >= before + 6).await;
    assert!(again.contains("#EXT-X-DISCONTINUITY\n"), "{again}");
    edge.tell(rustix::process::Signal::TERM);
    assert_eq!(edge.ended().await.0, Some(0));
    let closed = capture(&server).await;
    assert_eq!(closed["status"], "closed");
    let ended = whole(&server, &closed).await;
    let spans = spans(&ended);
    // The first segment after a connection is made has the time at which it came.
    assert!(largest_hole(&spans) < 4.0, "media is missing: {ended}");
    let lost = lost(&spans);
    assert!(lost < 0.5, "{lost} s are lost: {ended}");
    server.app.stop().await;
}

#[tokio::test]
async fn what_does_not_fit_into_the_buffer_is_missing_and_the_rest_has_its_times() {
    let server = Server::start().await;
    let (url, tenant) = (server.http.clone(), server.tenant.to_string());
    let mut edge = None;
    let away = async {
        edge = Some(Edge::start(&url, &tenant, &["--buffer-limit", "1", "--duration", "18s"]));
        tokio::time::sleep(Duration::from_secs(10)).await;
    };
    let server = Box::pin(server.restart_after(away)).await;
    let (code, _) = edge.expect("it was started").ended().await;
    assert_eq!(code, Some(1), "a part of it is missing");
    let closed = capture(&server).await;
    let spans = spans(&whole(&server, &closed).await);
    let missing = spans.first().expect("segments").0 - seconds(&closed, "edge_start_ts");
    assert!(missing > 4.0, "there is media from {missing} s on, which did not fit");
    let left_out = seconds(&closed, "edge_end_ts") - spans.last().expect("segments").1;
    assert!(left_out < 3.0, "the last {left_out} s are missing");
    server.app.stop().await;
}

#[tokio::test]
async fn a_box_that_is_killed_goes_on_with_its_capture_when_it_is_started_again() {
    let server = Server::start().await;
    let tenant = server.tenant.to_string();
    let edge = Edge::start(&server.http, &tenant, &[]);
    let open = capture(&server).await;
    let path = playlist_url(&server, &id(&open)).await;
    playlist(&server, &path, |text| segments(text) >= 1).await;
    edge.tell(rustix::process::Signal::KILL);
    let (_, place) = edge.ended().await;
    let child = Edge::spawn(place.path(), &server.http, &tenant, &["--duration", "14s"]);
    let (code, _) = Edge { child, place }.ended().await;
    assert_eq!(code, Some(0));
    let closed = capture(&server).await;
    assert_eq!(id(&closed), id(&open), "it made another capture");
    assert_eq!(closed["status"], "closed");
    server.app.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_said_with_its_exit_code() {
    let server = Server::start().await;
    let tenant = server.tenant.to_string();
    for (words, code) in [
        (["--ffmpeg", "/nowhere/ffmpeg"].as_slice(), 3),
        (&["--ffmpeg", "/bin/false"], 3),
        (&["--duration", "soon"], 2),
        (&["--cert", "/nowhere/cert.pem", "--key", "/nowhere/key.pem"], 2),
        (&["--token-file", "/nowhere/token"], 2),
    ] {
        let (ended, _) = Edge::start(&server.http, &tenant, words).ended().await;
        assert_eq!(ended, Some(code), "{words:?}");
    }
    let (ended, _) = Edge::start("http://192.0.2.1:3014", &tenant, &[]).ended().await;
    assert_eq!(ended, Some(2), "a server elsewhere without encryption");
    server.app.stop().await;
}
