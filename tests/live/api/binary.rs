//! The binary itself: what it prints, refuses and leaves behind.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::json;

pub(super) fn cabildo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cabildo"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The binary on `data` once it is ready, and what follows `name` in the line that says so.
pub(super) fn serve(data: &Path, name: &str) -> (Child, String) {
    let mut server = cabildo()
        .args(["serve", "--dev", "--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
        .args(["--media", "127.0.0.1:0", "--data-dir"])
        .arg(data)
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let address = line.split_whitespace().find_map(|word| word.strip_prefix(name));
    (server, address.expect("ready").to_owned())
}

#[test]
fn development_needs_nothing_says_where_it_listens_and_ends_when_told() {
    let data = tempfile::tempdir().expect("a directory");
    let mut server = cabildo()
        .args(["serve", "--dev", "--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
        .args(["--media", "127.0.0.1:0", "--data-dir"])
        .arg(data.path())
        .spawn()
        .expect("started");
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().expect("piped"));
    stdout.read_line(&mut line).expect("a line");
    let mut words = line.split_whitespace();
    assert_eq!(words.next(), Some("ready"), "{line}");
    let address = |prefix: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(prefix));
        word.unwrap_or_else(|| panic!("{prefix} is not in {line}")).to_owned()
    };
    let media: std::net::SocketAddr = address("media=").parse().expect("an address");
    assert_ne!(media.port(), 0);
    for prefix in ["http=", "internal="] {
        let address: std::net::SocketAddr = address(prefix).parse().expect("an address");
        assert_ne!(address.port(), 0);
        std::net::TcpStream::connect(address).expect("it serves");
    }
    for file in ["ca.pem", "governance.pem", "governance.key", "server.pem", "server.key"] {
        assert!(data.path().join("certs").join(file).exists(), "{file} is missing");
    }
    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    let status = server.wait().expect("ended");
    assert_eq!(status.code(), Some(0));
    let (mut rest, mut log) = (String::new(), String::new());
    stdout.read_to_string(&mut rest).expect("text");
    assert_eq!(rest, "", "one line and no more");
    server.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
    assert!(log.contains("NOT SECURE"), "{log}");
}

#[test]
fn development_does_not_listen_beyond_loopback_unless_told_twice() {
    let data = tempfile::tempdir().expect("a directory");
    let serve = |arguments: &[&str]| {
        let output = cabildo()
            .args(["serve", "--dev", "--http", "0.0.0.0:0", "--data-dir"])
            .arg(data.path())
            .args(arguments)
            .output()
            .expect("ran");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = serve(&[]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("http.bind") && text.contains("--dev-allow-remote"), "{text}");
    assert_eq!(serve(&["--dev-allow-remote"]).0, Some(2));
    assert_eq!(serve(&["--yes-dev-is-insecure"]).0, Some(2));
}

#[test]
fn what_is_wrong_with_the_configuration_is_listed_at_once() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "http: {bind: nowhere}\nmedia: {colour: red}\n").expect("written");
    let output = cabildo().args(["serve", "--config"]).arg(file.path()).output().expect("ran");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    for key in ["http.bind", "media.colour", "store.url", "identity.issuer"] {
        assert!(text.contains(key), "{key} is not in {text}");
    }
}

#[test]
fn the_database_is_migrated_and_says_so() {
    let data = tempfile::tempdir().expect("a directory");
    let migrate = |what: &str| {
        let output =
            cabildo().args(["migrate", what, "--data-dir"]).arg(data.path()).output().expect("ran");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = migrate("status");
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("pending m0001_foundation"), "{text}");
    assert_eq!(migrate("up").0, Some(0));
    let (code, text) = migrate("status");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("applied m0001_foundation"), "{text}");
}

#[test]
fn commands_print_what_they_are_asked_for() {
    let data = tempfile::tempdir().expect("a directory");
    let run = |arguments: &[&str]| {
        let output = cabildo().args(arguments).current_dir(data.path()).output().expect("ran");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, text) = run(&["openapi"]);
    assert_eq!(code, Some(0));
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert!(run(&["completions", "bash"]).1.contains("complete"));
    assert_eq!(run(&["certs", "--out", "made"]).0, Some(0));
    assert!(data.path().join("made/governance.key").exists());
    let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
    let token = ["token", "--tenant", tenant, "--user", "maria", "--role", "moderator"];
    let jkt = "0".repeat(43);
    let (mut server, _) = serve(&data.path().join("data"), "http=");
    server.kill().and_then(|()| server.wait()).expect("ended");
    let (code, text) = run(&[&token[..], &["--jkt", &jkt]].concat());
    assert_eq!((code, text.trim().split('.').count()), (Some(0), 3), "{text}");
    assert_eq!(run(&[&token[..], &["--jkt", "short"]].concat()).0, Some(2));
    assert_eq!(run(&["fly"]).0, Some(2));
}

/// Everything below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.push(path);
    }
    found
}

#[tokio::test]
async fn files_are_private_and_logs_hold_no_tokens_whatever_is_asked_of_them() {
    let parent = tempfile::tempdir().expect("a directory");
    let data = parent.path().join("data");
    std::fs::create_dir(&data).expect("made");
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .expect("opened to all");
    let mut server = Command::new("sh")
        .args(["-c", "umask 000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_cabildo")])
        .args(["serve", "--dev", "--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"])
        .args(["--media", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .env("CABILDO_TELEMETRY__FILTER", "trace")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut stderr = server.stderr.take().expect("piped");
    let log = std::thread::spawn(move || {
        let mut log = String::new();
        stderr.read_to_string(&mut log).expect("text");
        log
    });
    let mut line = String::new();
    BufReader::new(server.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    let http = line.split_whitespace().find_map(|word| word.strip_prefix("http=")).expect("ready");

    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::new();
    let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
    let body = json!({
        "tenant_id": tenant, "user_id": "maria-of-the-log", "name": "Maria Quintana",
        "roles": ["moderator"], "jkt": "A".repeat(43),
    });
    let issued = client.post(format!("http://{http}/dev/token")).json(&body).send().await;
    let issued: serde_json::Value = issued.expect("answered").json().await.expect("JSON");
    let token = issued["access_token"].as_str().expect("a token").to_owned();
    let title = "An assembly that no log names";
    let created = json!({
        "tenant_id": tenant, "assembly_id": tenant, "title": title, "modality": "mixed",
    });
    let created = client.post(format!("http://{http}/dev/sessions")).json(&created).send().await;
    assert_eq!(created.expect("answered").status(), 201);
    let list = format!("http://{http}/api/v1/sessions");
    client.get(list).bearer_auth(&token).send().await.expect("answered");

    let pid = rustix::process::Pid::from_child(&server);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    assert_eq!(server.wait().expect("ended").code(), Some(0));
    let log = log.join().expect("read");
    assert!(log.contains("request answered"), "{log}");
    for secret in [token.rsplit('.').next().expect("a signature"), title, "Maria Quintana"] {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
    for path in files_below(&data).into_iter().chain([data]) {
        let mode = std::fs::symlink_metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {:o}", path.display(), mode);
    }
}

#[test]
fn what_can_not_be_printed_is_an_error_and_what_nobody_reads_is_none() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("it is there");
    for arguments in [&["openapi"][..], &["completions", "bash"], &["--help"]] {
        let output = cabildo().args(arguments).stdout(full()).output().expect("run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(said.contains("not everything was printed"), "{arguments:?}: {said}");
        let mut unread = cabildo().args(arguments).spawn().expect("started");
        drop(unread.stdout.take());
        assert!(unread.wait().expect("ended").success(), "{arguments:?}");
    }
}

#[test]
fn what_is_no_terminal_is_told_without_colours() {
    for arguments in [&["--help"][..], &["fly"], &["serve", "--http"]] {
        let output = cabildo().args(arguments).output().expect("run");
        let said = [output.stdout, output.stderr].concat();
        assert!(!said.is_empty() && !said.contains(&b'\x1b'), "{arguments:?}");
    }
}

#[test]
fn logs_that_no_terminal_shows_have_no_colours() {
    let place = tempfile::tempdir().expect("a directory");
    let tenant = "01890a5d-ac96-774b-bcce-b302099a8057";
    let edge = ["edge", "--server", "http://127.0.0.1:1", "--tenant", tenant, "--test-source"];
    let addresses = ["--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"];
    let serve = [&["serve", "--dev", "--media", "127.0.0.1:0"][..], &addresses].concat();
    for (words, directory) in [(&edge[..], "--directory"), (&serve, "--data-dir")] {
        let mut process = cabildo()
            .args(words)
            .arg(directory)
            .arg(place.path().join(words[0]))
            .env("CABILDO_TELEMETRY__FORMAT", "human")
            .spawn()
            .expect("started");
        let mut log = BufReader::new(process.stderr.take().expect("piped")).lines();
        let logged = log.find_map(|line| line.ok().filter(|line| line.contains("INFO")));
        process.kill().and_then(|()| process.wait()).expect("ended");
        let logged = logged.expect("it logs something");
        assert!(!logged.contains('\x1b'), "{words:?}: {logged:?}");
    }
}
