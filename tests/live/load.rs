//! `cabildo load-test` against `cabildo serve --dev`: both real binaries, on
//! loopback, with real DTLS-SRTP.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

struct Serving {
    process: Child,
    http: String,
    _data: TempDir,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.process.kill().expect("as the test needs it");
        self.process.wait().expect("as the test needs it");
    }
}

fn serve() -> Serving {
    serve_with(&[])
}

fn serve_with(environment: &[(&str, &str)]) -> Serving {
    let data = TempDir::new().expect("as the test needs it");
    let mut process = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .envs(environment.iter().copied())
        .args(["serve", "--dev", "--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
        .args(["--media", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("as the test needs it");
    let mut lines = BufReader::new(process.stdout.take().expect("as the test needs it")).lines();
    let ready = lines.find_map(|line| {
        line.expect("as the test needs it").strip_prefix("ready ").map(str::to_owned)
    });
    let ready = ready.expect("the server is ready");
    let http = ready
        .split(' ')
        .find_map(|part| part.strip_prefix("http="))
        .expect("as the test needs it")
        .to_owned();
    Serving { process, http: format!("http://{http}"), _data: data }
}

fn load_test(serving: &Serving, arguments: &str) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .args(["load-test", "--json", "--seed", "5", "--url", &serving.http])
        .args(arguments.split(' '))
        .output()
        .expect("as the test needs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

#[test]
fn a_room_on_loopback_loses_nothing() {
    let serving = serve();
    let report = load_test(&serving, "--rooms 1 --publishers 2 --subscribers 3 --duration 3s");
    for field in [
        "forwarded_packets_per_s",
        "received_packets_per_s",
        "loss_ratio",
        "join_ms_p50",
        "join_ms_p95",
        "join_ms_p99",
        "forward_delay_ms_p50",
        "forward_delay_ms_p99",
        "server_cpu_us_per_forwarded_packet",
    ] {
        assert!(report.get(field).is_some(), "{field}: {report}");
    }
    assert_eq!(report["errors"], serde_json::json!({}), "{report}");
    assert_eq!(report["loss_ratio"], 0.0, "{report}");
    assert_eq!(report["joined_subscribers"], 3, "{report}");
    assert!(report["join_ms_p50"].as_f64().expect("as the test needs it") > 0.0, "{report}");
    // Two publishers of more than 150 packets a second, to three subscribers.
    assert!(
        report["received_packets_per_s"].as_f64().expect("as the test needs it") > 600.0,
        "{report}"
    );
}

#[test]
fn the_server_s_cost_is_measured() {
    let serving = serve();
    let report = load_test(&serving, "--publishers 1 --subscribers 2 --duration 2s");
    assert!(
        report["server_cpu_us_per_forwarded_packet"].as_f64().expect("as the test needs it") > 0.0,
        "{report}"
    );
    assert!(
        report["forwarded_packets_per_s"].as_f64().expect("as the test needs it") > 0.0,
        "{report}"
    );
}

#[test]
fn retransmission_recovers_most_of_what_is_lost() {
    let serving = serve();
    let report = load_test(&serving, "--publishers 1 --subscribers 3 --duration 3s --loss 5%");
    assert!(report["recovered_packets"].as_u64().expect("as the test needs it") > 0, "{report}");
    assert!(report["video_loss_ratio"].as_f64().expect("as the test needs it") < 0.02, "{report}");
    assert!(
        report["loss_ratio"].as_f64().expect("as the test needs it") > 0.0,
        "sound is not repaired: {report}"
    );
}

#[test]
fn a_server_that_is_gone_is_a_missing_dependency() {
    let output = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .args(["load-test", "--url", "http://127.0.0.1:9", "--duration", "1s"])
        .output()
        .expect("as the test needs it");
    assert_eq!(output.status.code(), Some(3));
}

#[cfg(feature = "whisper")]
#[test]
fn transcription_is_measured_beside_the_media() {
    let model = crate::speech::model().display().to_string();
    let serving = serve_with(&[("CABILDO_TRANSCRIPTION__MODEL", &model)]);
    let recordings = crate::speech::directory().join("wavs").display().to_string();
    let report = load_test(
        &serving,
        &format!(
            "--speakers 2 --publishers 1 --subscribers 2 --video-kbps 100 --duration 6s \
             --recordings {recordings}"
        ),
    );
    assert_eq!(report["errors"], serde_json::json!({}), "{report}");
    let count = |name: &str| report[name].as_u64().expect("a number");
    assert!(count("phrases_with_text") > 0, "{report}");
    assert_eq!(count("so_far_texts") > 0, report["so_far_latency_ms_p99"].is_number(), "{report}");
    assert_eq!(count("phrases_lost"), 0, "each has text, or the server says that it has none");
    for field in ["latency_ms_p50", "latency_ms_p95", "latency_ms_p99", "real_time_factor"] {
        assert!(report[field].as_f64().is_some_and(|value| value > 0.0), "{field}: {report}");
    }
    for half in ["without", "with"] {
        let cost = &report[half];
        for field in ["forward_delay_ms_p99", "server_cpu_cores", "server_memory_bytes"] {
            assert!(cost[field].as_f64().is_some_and(|value| value > 0.0), "{field}: {report}");
        }
        assert!(cost["received_packets_per_s"].as_f64().expect("a number") > 50.0, "{report}");
    }
}

#[test]
fn a_server_that_does_not_transcribe_is_told_apart_from_a_slow_one() {
    let serving = serve();
    let output = Command::new(env!("CARGO_BIN_EXE_cabildo"))
        .args(["load-test", "--url", &serving.http, "--speakers", "1", "--duration", "1s"])
        .args(["--publishers", "1", "--subscribers", "1", "--recordings"])
        .arg(crate::speech::directory().join("wavs"))
        .output()
        .expect("as the test needs it");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("it does not transcribe"), "{said}");
}

/// A few people only: what it costs is measured by `scripts/load-test --reconnect`.
#[test]
fn everybody_comes_back_after_a_restart_and_after_a_cut() {
    let serving = serve();
    for server in [None, Some(&serving.http)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
        command.args(["load-test", "--json", "--reconnect", "12"]);
        if let Some(url) = server {
            command.args(["--url", url]);
        }
        let output = command.output().expect("as the test needs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
        assert_eq!(report["server_restarted"], server.is_none(), "{report}");
        assert_eq!((&report["came_back"], &report["missing_events"]), (&12.into(), &0.into()));
        assert_eq!(report["errors"], serde_json::json!({}), "{report}");
        for field in ["welcome_ms_p50", "welcome_ms_p95", "welcome_ms_p99", "moderator_welcome_ms"]
        {
            assert!(report[field].as_f64().is_some(), "{field}: {report}");
        }
    }
}
