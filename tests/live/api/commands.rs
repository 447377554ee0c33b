//! Commands beside the server: on data that can't be used.

use std::path::Path;
use std::process::Command;

use crate::api::binary::cabildo;
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
