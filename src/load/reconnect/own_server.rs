//! A development server of the test's own, which it may kill and start again.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::load::LoadError;

/// A running development server on loopback. It ends, and its data goes, when this is dropped.
pub struct OwnServer {
    program: PathBuf,
    place: PathBuf,
    process: Child,
    http: String,
}

impl OwnServer {
    /// Starts `program serve --dev` on free ports, with a data directory of its own.
    pub async fn start(program: PathBuf) -> Result<Self, LoadError> {
        let place = std::env::temp_dir().join(format!("cabildo-load-{}", uuid::Uuid::new_v4()));
        std::fs::create_dir(&place)?;
        let (process, http) = serve(&program, &place, "127.0.0.1:0").await?;
        Ok(Self { program, place, process, http })
    }

    /// Base address of its public listener.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Kills it without a warning and starts it again on the same port, with the same data.
    pub async fn restart(&mut self) -> Result<(), LoadError> {
        self.process.kill()?;
        self.process.wait()?;
        (self.process, self.http) = serve(&self.program, &self.place, &self.http).await?;
        Ok(())
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody to tell.
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir_all(&self.place));
    }
}

/// Starts a server; returns it once it is ready, with the address of its public listener.
async fn serve(
    program: &PathBuf,
    place: &PathBuf,
    http: &str,
) -> Result<(Child, String), LoadError> {
    let mut process = Command::new(program)
        .args(["serve", "--dev", "--http", http, "--internal", "127.0.0.1:0"])
        .args(["--media", "127.0.0.1:0", "--data-dir"])
        .arg(place)
        .current_dir(place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let lines = process.stdout.take();
    let ready = tokio::task::spawn_blocking(move || lines.and_then(ready_address)).await;
    if let Ok(Some(address)) = ready {
        return Ok((process, address));
    }
    drop(process.kill());
    drop(process.wait());
    Err(LoadError::Unreachable("the server of the test did not become ready".to_owned()))
}

/// The address in the line that a server prints once it is ready.
fn ready_address(lines: ChildStdout) -> Option<String> {
    let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
    let ready = lines.find(|line| line.starts_with("ready "))?;
    let address = ready.split(' ').find_map(|part| part.strip_prefix("http="))?;
    Some(address.to_owned())
}
