//! Commands beside the server: on data that is not there, that can't be used, or that is new.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::api::binary::{cabildo, serve};
use crate::small_disk::SmallDisk;

const TENANT: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const DISK_BYTES: u64 = 32 << 20;

/// The exit code, and everything that was said.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = command.output().expect("ran");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

fn on(data: &Path, words: &[&str]) -> Command {
    let mut command = cabildo();
    command.args(words).arg("--data-dir").arg(data);
    command
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let names = entries.map(|entry| entry.expect("read").file_name().into_string().expect("text"));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_database_that_can_not_be_written_to_is_named_at_once() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let data = tempfile::tempdir().expect("a directory");
    let file = disk.path().join("cabildo.sqlite");
    let url = format!("sqlite:{}", file.display());
    let (code, said) = run(on(data.path(), &["migrate", "up"]).env("CABILDO_STORE__URL", &url));
    assert_eq!(code, Some(0), "{said}");
    disk.make_read_only();
    for words in [
        &["serve", "--dev", "--http", "127.0.0.1:0", "--internal", "127.0.0.1:0"][..],
        &["migrate", "up"],
        &["migrate", "status"],
        &["doctor"],
        &["evidence", "rotate-keys", "--tenant", TENANT],
        &["evidence", "adopt", "--keys"],
    ] {
        let (code, said) = run(on(data.path(), words).env("CABILDO_STORE__URL", &url));
        assert_eq!(code, Some(2), "{words:?}: {said}");
        let named = format!("store.url: {} can't be written to: Read-only", file.display());
        assert!(said.contains(&named), "{words:?}: {said}");
    }
}

#[test]
fn commands_make_nothing_where_no_server_keeps_its_data() {
    let place = tempfile::tempdir().expect("a directory");
    let (typo, empty) = (place.path().join("typo"), place.path().join("empty"));
    std::fs::create_dir(&empty).expect("made");
    for data in [&typo, &empty] {
        for (words, code) in [
            (&["token", "--tenant", TENANT, "--user", "maria", "--role", "moderator"][..], 2),
            (&["evidence", "rotate-keys", "--tenant", TENANT], 2),
            (&["evidence", "erase", TENANT, "--reason", "requested"], 2),
            (&["evidence", "adopt", "--keys", "--vault"], 2),
            (&["evidence", "rotate-signing-key"], 2),
            (&["migrate", "status"], 1),
            (&["doctor"], 0),
        ] {
            let (ended, said) = run(&mut on(data, words));
            assert_eq!(ended, Some(code), "{words:?}: {said}");
            // A directory that is missing is a new one to the checks of the others.
            assert!(code != 2 || said.contains(&data.display().to_string()), "{words:?}: {said}");
            assert!(!typo.exists(), "{words:?} made {}", typo.display());
            assert_eq!(names_in(&empty), [] as [&str; 0], "{words:?}");
        }
    }
}

#[test]
fn what_is_named_wrongly_is_refused_and_nothing_is_made_of_it() {
    let data = tempfile::tempdir().expect("a directory");
    let (mut server, _) = serve(data.path(), "http=");
    server.kill().and_then(|()| server.wait()).expect("ended");
    let out = data.path().join("out").display().to_string();
    let moments = ["--from", "2026-11-21T18:30:00Z", "--to", "2026-11-21T19:30:00Z"];
    for words in [
        &["evidence", "rotate-keys", "--tenant", TENANT][..],
        &["evidence", "rotate-keys", "--tenant", TENANT, "--resume"],
        &["evidence", "rotate-keys", "--tenant", TENANT, "--destroy-older"],
        &["evidence", "export", TENANT, "--out", &out],
        &["evidence", "disclose", TENANT, "--seq", "1", "--out", &out],
        &[&["evidence", "clip", TENANT, "--out", &out], &moments[..]].concat(),
        &["evidence", "erase", TENANT, "--reason", "requested"],
        &["evidence", "erase", TENANT, "--track", TENANT, "--reason", "requested"],
    ] {
        let (code, said) = run(&mut on(data.path(), words));
        assert_eq!(code, Some(2), "{words:?}: {said}");
        assert!(said.contains(TENANT), "{words:?}: {said}");
    }
    assert!(!Path::new(&out).exists());
    assert!(!data.path().join("keys/tenants").join(TENANT).exists(), "it has a key");
}

#[test]
fn a_new_directory_can_be_migrated_before_the_first_start() {
    let place = tempfile::tempdir().expect("a directory");
    let data = place.path().join("new/data");
    let (code, said) = run(&mut on(&data, &["migrate", "up"]));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("applied m0001_foundation"), "{said}");
    let mode = std::fs::metadata(&data).expect("made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let (code, said) = run(&mut on(&data, &["migrate", "status"]));
    assert_eq!(code, Some(0), "{said}");
    let (mut server, _) = serve(&data, "http=");
    server.kill().and_then(|()| server.wait()).expect("ended");
}

#[test]
fn a_data_directory_may_have_characters_that_mean_something_in_a_url() {
    let place = tempfile::tempdir().expect("a directory");
    for name in ["50%25 ñ", "what?mode=memory", "#1", "a b&c"] {
        let (code, said) = run(&mut on(&place.path().join(name), &["migrate", "up"]));
        assert_eq!(code, Some(0), "{name}: {said}");
        let names = names_in(&place.path().join(name));
        assert_eq!(names, ["cabildo.sqlite"], "{name}");
    }
    assert_eq!(names_in(place.path()).len(), 4, "{:?}", names_in(place.path()));
}

#[test]
fn why_a_file_can_not_be_made_is_said_once() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let (code, said) = run(cabildo().args(["certs", "--out"]).arg(file.path()));
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(said.matches("File exists").count(), 1, "{said}");
}
