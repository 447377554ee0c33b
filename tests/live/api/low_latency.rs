//! Cameras played with low latency: parts, playlists that are waited for, and who may not wait.
//! Sound and H.265 of cameras that share no code with this project, with ffprobe as the player.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use reqwest::Method;
use serde_json::{Value, json};

use super::playback::{Hall, names, probe, text};
use crate::api::server::{Answer, send};
use crate::rtsp_camera::Behaviour;

/// The name in the hint of a playlist, and the number and part in it.
fn hint(playlist: &str) -> (String, u64, u64) {
    let line =
        playlist.lines().find_map(|line| line.strip_prefix("#EXT-X-PRELOAD-HINT:TYPE=PART,URI="));
    let name = line.expect("a hint").trim_matches('"').to_owned();
    let numbers = name.split_once('-').expect("a prefix").1.strip_suffix(".m4s").expect("a part");
    let (segment, part) = numbers.split_once('.').expect("two numbers");
    let (segment, part) = (segment.parse().expect("a number"), part.parse().expect("a number"));
    (name, segment, part)
}

/// The names of the parts of each segment that is whole, with its name.
fn parts(playlist: &str) -> Vec<(String, Vec<String>)> {
    let (mut all, mut parts) = (Vec::new(), Vec::new());
    for line in playlist.lines() {
        if line.starts_with("#EXT-X-PART:") {
            let uri = line.split("URI=\"").nth(1).and_then(|rest| rest.split('"').next());
            parts.push(uri.expect("an address").to_owned());
        } else if !line.starts_with('#') {
            all.push((line.to_owned(), std::mem::take(&mut parts)));
        }
    }
    all
}

async fn file(hall: &Hall, path: &str) -> Vec<u8> {
    let answer = hall.server.request(Method::GET, path).send().await.expect("an answer");
    assert_eq!(answer.status(), 200, "{path}");
    answer.bytes().await.expect("bytes").to_vec()
}

fn ahead(hall: &Hall, seconds: i64) {
    hall.server.ahead_us.fetch_add(seconds * 1_000_000, Ordering::SeqCst);
}

#[tokio::test]
async fn a_part_comes_when_it_is_there_and_its_segment_is_made_of_it() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    let base = path.trim_end_matches("media.m3u8").to_owned();
    let playlist = hall.playlist_until(&path, |text| text.contains("#EXT-X-PART:")).await;
    for tag in ["CAN-BLOCK-RELOAD=YES", "PART-HOLD-BACK=", "CAN-SKIP-UNTIL=12.0", "PART-TARGET="] {
        assert!(playlist.contains(tag), "{tag}: {playlist}");
    }
    let (name, segment, part) = hint(&playlist);
    // Both are asked for before they are there.
    let reload = format!("{path}?_HLS_msn={segment}&_HLS_part={part}");
    let part_path = format!("{base}{name}");
    let (reloaded, bytes) = tokio::join!(hall.get(&reload), file(&hall, &part_path));
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    assert!(reloaded.text.contains(&format!("URI=\"{name}\"")), "{reloaded:?}");
    assert_eq!(&bytes[4..8], b"moof");
    let next = hall.get(&format!("{path}?_HLS_msn={}", segment + 1)).await;
    let whole = format!("-{}.m4s", segment + 1);
    assert!(names(&next.text).iter().any(|name| name.ends_with(&whole)), "{next:?}");
    let found = parts(&next.text).into_iter().rfind(|(_, parts)| parts.len() > 1);
    let (segment, parts) = found.expect("a segment of parts");
    let mut joined = Vec::new();
    for part in &parts {
        joined.extend(file(&hall, &format!("{base}{part}")).await);
    }
    assert_eq!(file(&hall, &format!("{base}{segment}")).await, joined);
    let skipping = format!("{path}?_HLS_skip=YES");
    let short = hall.playlist_until(&skipping, |text| text.contains("#EXT-X-SKIP:")).await;
    assert!(short.contains("#EXT-X-VERSION:9\n"), "{short}");
    hall.stop().await;
}

#[tokio::test]
async fn what_can_not_be_waited_for_is_refused() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    for query in [
        "_HLS_part=1",
        "_HLS_msn=x",
        "_HLS_msn=-1",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=18446744073709551615",
        "_HLS_msn=18446744073709551615&_HLS_part=18446744073709551615",
        "_HLS_msn=99999999999999999999999999",
    ] {
        let answer = hall.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.code(), "PLAYBACK_RELOAD_INVALID", "{query}: {answer:?}");
        assert_eq!(answer.status, 400);
    }
    let past = hall.get(&format!("{path}?_HLS_msn=1&_HLS_part=7&x=%FF")).await;
    assert_eq!(past.status, 200, "{past:?}");
    hall.stop().await;
}

/// A request for what does not come as long as the camera sends nothing.
async fn wait(hall: &Hall, path: &str) -> Answer {
    let (_, segment, _) = hint(&hall.get(path).await.text);
    hall.get(&format!("{path}?_HLS_msn={}", segment + 1)).await
}

#[tokio::test]
async fn a_viewer_waits_with_few_requests_and_each_ends_with_its_session() {
    let hall = Hall::with(Behaviour::default()).await;
    let session = hall.issue().await;
    let path = hall.watch(&session).await;
    hall.playlist_until(&path, |text| text.contains("#EXT-X-PART:")).await;
    hall.camera.behave(|it| it.plays = false);
    let mut all: FuturesUnordered<_> = (0..30).map(|_| wait(&hall, &path)).collect();
    for _ in 0..22 {
        let refused = all.next().await.expect("an answer");
        let code = refused.code();
        assert_eq!((refused.status, code.as_str()), (429, "PLAYBACK_WAIT_LIMIT_REACHED"));
        assert_eq!(refused.header("retry-after"), "1");
    }
    // Others are not kept from it.
    let other = hall.watch(&hall.issue().await).await;
    let sid = text(&session["sid"]);
    let (late, ()) = tokio::join!(wait(&hall, &other), async {
        let path = format!("/gateway/sessions/{sid}/end");
        let end = send(hall.server.govern(Method::POST, &path)).await;
        assert_eq!(end.status, 200, "{end:?}");
        ahead(&hall, 2);
        while let Some(ended) = all.next().await {
            assert_eq!((ended.status, ended.code().as_str()), (410, "PLAYBACK_SESSION_CLOSED"));
        }
    });
    assert_eq!((late.status, late.code().as_str()), (503, "PLAYBACK_STREAM_NOT_READY"));
    assert_eq!(late.header("retry-after"), "1");
    let (_, segment, _) = hint(&hall.get(&other).await.text);
    let reload = format!("{other}?_HLS_msn={}", segment + 1);
    let (gone, ()) = tokio::join!(hall.get(&reload), async {
        hall.deprovision().await;
        ahead(&hall, 2);
    });
    assert_eq!(gone.status, 410, "{gone:?}");
    drop(all);
    hall.stop().await;
}

/// A server of gst-rtsp-server, until it is dropped.
pub(super) struct Foreign {
    child: Child,
    pub(super) port: u16,
}

impl Foreign {
    pub(super) fn start() -> Self {
        let script = crate::package_root::package_root().join("tests/support/gst_camera.py");
        let mut child = Command::new("/usr/bin/python3")
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python");
        let output = child.stdout.take().expect("its output");
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)
            .expect("a line");
        Self { child, port: line.trim().parse().expect("a port") }
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a playlist lists with its newest header.
fn newest(playlist: &str) -> &str {
    playlist.rsplit("#EXT-X-MAP:").next().expect("a header")
}

/// The name of its newest header.
fn header_in(playlist: &str) -> &str {
    newest(playlist).split('"').nth(1).expect("a name")
}

/// What ffprobe says of a header and the fragments after it.
fn probe_file(bytes: &[u8]) -> Value {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(bytes).expect("written");
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "json"])
        .arg(file.path())
        .output()
        .expect("ffprobe");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn codecs(probed: &Value) -> Vec<String> {
    let streams = probed["streams"].as_array().expect("streams");
    let mut codecs: Vec<String> =
        streams.iter().map(|stream| text(&stream["codec_name"]).to_owned()).collect();
    codecs.sort();
    codecs
}

#[tokio::test]
async fn sound_and_h265_of_foreign_cameras_are_played_or_it_is_said_why_not() {
    let foreign = tokio::task::spawn_blocking(Foreign::start).await.expect("it started");
    let hall = Hall::with(Behaviour::default()).await;
    let mut before = String::new();
    for (camera, told, wanted, fault) in [
        ("aac", ",mp4a.40.2\"", vec!["aac", "h264"], Value::Null),
        ("often", ",opus\"", vec!["h264", "opus"], Value::Null),
        ("hevc", "\"hvc1.1.6.", vec!["aac", "hevc"], Value::Null),
        ("pcmu", "CODECS=\"avc1.42", vec!["h264"], json!("codec_unsupported")),
    ] {
        hall.provision(&format!("rtsp://127.0.0.1:{}/{camera}", foreign.port)).await;
        let session = hall.issue().await;
        // The camera before may still be shown.
        let mut tries = 0;
        while !hall.main(&session).await.text.contains(told) {
            tries += 1;
            assert!(tries < 300, "{camera}: {:?}", hall.main(&session).await);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let path = hall.watch(&session).await;
        let base = path.trim_end_matches("media.m3u8").to_owned();
        let is_whole = |playlist: &str| {
            let whole = parts(newest(playlist));
            header_in(playlist) != before
                && whole.iter().filter(|(_, parts)| parts.len() > 1).count() >= 4
        };
        let playlist = hall.playlist_until(&path, is_whole).await;
        let header = header_in(&playlist);
        let mut bytes = file(&hall, &format!("{base}{header}")).await;
        before = header.to_owned();
        let (_, last) = parts(newest(&playlist)).pop().expect("a segment");
        for part in &last {
            bytes.extend(file(&hall, &format!("{base}{part}")).await);
        }
        let probed = tokio::task::spawn_blocking(move || probe_file(&bytes)).await.expect("it ran");
        assert_eq!(codecs(&probed), wanted, "{camera}: parts");
        let probed = probe(format!("{}{path}", hall.server.http), 3).await;
        assert_eq!(codecs(&probed), wanted, "{camera}: the stream");
        let health = hall.health().await;
        assert_eq!(health["audioFault"], fault, "{health}");
        assert_eq!(health["health"], "online", "{health}");
    }
    hall.stop().await;
}
