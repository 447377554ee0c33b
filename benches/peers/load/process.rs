//! A server's process, and what it uses.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use cabildo::load::LoadError;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Time for a server to become ready.
const READY_TIMEOUT: Duration = Duration::from_secs(30);

/// A running process with a directory of its own. It ends, and the directory goes, when this is
/// dropped.
pub(crate) struct Process {
    child: Child,
    _place: TempDir,
}

impl Process {
    /// Starts a program in `place`; returns it with the first line of its output in which `ready`
    /// stands. What it prints afterwards is read and dropped, so that it never waits.
    pub(crate) async fn start(
        program: &Path,
        arguments: &[&OsStr],
        place: TempDir,
        ready: &'static str,
    ) -> Result<(Self, String), LoadError> {
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take();
        let process = Self { child, _place: place };
        let (sender, line) = oneshot::channel();
        std::thread::spawn(move || read(output, ready, sender));
        match tokio::time::timeout(READY_TIMEOUT, line).await {
            Ok(Ok(line)) => Ok((process, line)),
            _ => Err(LoadError::Unreachable(format!("{} is not ready", program.display()))),
        }
    }

    /// Processor time that it has used, in seconds.
    pub(crate) fn cpu_s(&self) -> Result<f64, LoadError> {
        const AGAINST: LoadError = LoadError::Contract("/proc/PID/stat was read wrongly");
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = text.rsplit_once(") ").ok_or(AGAINST)?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
        let ticks: u32 = ticks.sum::<Result<u32, _>>().map_err(|_| AGAINST)?;
        let per_second = u32::try_from(rustix::param::clock_ticks_per_second());
        Ok(f64::from(ticks) / f64::from(per_second.map_err(|_| AGAINST)?))
    }

    /// Memory that it has now, in KiB.
    pub(crate) fn memory_kib(&self) -> Result<f64, LoadError> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse().ok())
            .ok_or(LoadError::Contract("/proc/PID/status was read wrongly"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(output: Option<ChildStdout>, ready: &str, sender: oneshot::Sender<String>) {
    let lines = output.into_iter().flat_map(|output| BufReader::new(output).lines());
    let mut sender = Some(sender);
    for line in lines.map_while(Result::ok) {
        if line.contains(ready)
            && let Some(sender) = sender.take()
        {
            // The other side may have given up.
            drop(sender.send(line));
        }
    }
}
