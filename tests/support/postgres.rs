//! A PostgreSQL cluster that lives as long as its guard.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

/// The role that migrates and owns the tables.
pub(crate) const OWNER: &str = "cabildo_owner";
/// The role the server connects as.
pub(crate) const APP: &str = "cabildo_app";
/// Live tests of JavaScript, which run at the same time, take theirs below (tests/live/ports.mjs).
const PORT_MIN: u32 = 22_000;

/// How a cluster ends before it is started again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    InOrder,
    Crash,
}

/// A running cluster with the role [`OWNER`]; stopped and removed when dropped,
/// on a panic too.
pub(crate) struct Cluster {
    directory: PathBuf,
    port: u16,
    _temporary: Option<TempDir>,
}

impl Cluster {
    /// Starts one on a free port of the loopback interface.
    pub(crate) fn start() -> Self {
        let temporary = TempDir::new().expect("a directory for the cluster");
        Self::start_at(temporary.path().to_owned(), Some(temporary))
    }

    /// Starts one that keeps everything in `directory`.
    pub(crate) fn start_in(directory: PathBuf) -> Self {
        Self::start_at(directory, None)
    }

    fn start_at(directory: PathBuf, temporary: Option<TempDir>) -> Self {
        let mut complaint = String::new();
        // Somebody else may take the port between our finding it free and the
        // cluster's binding it.
        for _ in 0..5 {
            let port = steady_port();
            let output = script(&[
                "start",
                path_of(&directory),
                &port.to_string(),
                &std::process::id().to_string(),
            ]);
            if output.status.success() {
                return Self { directory, port, _temporary: temporary };
            }
            complaint = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() != Some(3), "{complaint}");
        }
        panic!("the PostgreSQL cluster did not start: {complaint}");
    }

    /// Where a role finds a database.
    pub(crate) fn url(&self, role: &str, database: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{database}", self.port)
    }

    /// Restarts the cluster: connections break, and it answers again when this returns.
    pub(crate) fn restart(&self, ending: Ending) {
        let mode = match ending {
            Ending::InOrder => "fast",
            Ending::Crash => "immediate",
        };
        expect(&["restart", path_of(&self.directory), mode]);
    }

    /// Starts the cluster again if it has ended.
    pub(crate) fn revive(&self) {
        expect(&["revive", path_of(&self.directory)]);
    }

    /// Stops the cluster before its guard is dropped; connections break.
    pub(crate) fn stop(&self) {
        script(&["stop", path_of(&self.directory)]);
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.stop();
    }
}

fn expect(arguments: &[&str]) {
    let output = script(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A free port that the system gives to no connection and to nobody who asks for any port, or somebody
/// might have it when the cluster has ended and is to start again.
fn steady_port() -> u16 {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    let given = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .expect("Linux says which ports it gives");
    let first_given = given.split_whitespace().next().and_then(|port| port.parse::<u32>().ok());
    let places = first_given.expect("a port") - PORT_MIN;
    loop {
        // Tests that run at the same time begin at different places.
        let tried = TRIED.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(31).wrapping_add(tried) % places;
        let port = u16::try_from(PORT_MIN + place).expect("below the ports that are given");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn path_of(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn script(arguments: &[&str]) -> Output {
    // Read when the test runs: clones of the project share compiled tests.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
    Command::new("bash")
        .arg(Path::new(&package).join("tests/support/pgtmp.sh"))
        .args(arguments)
        .output()
        .expect("bash runs tests/support/pgtmp.sh")
}
