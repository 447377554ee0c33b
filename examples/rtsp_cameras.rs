//! RTSP cameras for trials and measurements, in one process.
//!
//! ```text
//! rtsp_cameras
//! ```
//!
//! Says `ready PORT SILENT`, two ports of loopback. Every path at the first one is a camera with
//! pictures of 320 x 180, 15 a second; the second one takes connections and never answers. It ends
//! with its input.

#[path = "../tests/support/rtsp_camera.rs"]
#[expect(dead_code, reason = "tests use what a trial does not")]
mod rtsp_camera;

use std::io::Write as _;

use anyhow::Context as _;
use rtsp_camera::{Behaviour, RtspCamera};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let plays = Behaviour::default();
    let silent = Behaviour { silent_at: Some("OPTIONS"), ..plays.clone() };
    let (camera, silent) = (RtspCamera::start(plays).await, RtspCamera::start(silent).await);
    let mut output = std::io::stdout();
    writeln!(output, "ready {} {}", camera.address.port(), silent.address.port())
        .and_then(|()| output.flush())
        .context("write a line")?;
    let ended = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    tokio::task::spawn_blocking(ended).await?.context("wait for the end of the input")?;
    Ok(())
}
