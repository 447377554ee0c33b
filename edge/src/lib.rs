//! The edge agent of Cabildo: captures a local camera with ffmpeg, opens a capture at the server,
//! publishes by WHIP, keeps on disk what can't be sent, and closes the capture. `docs/OPERATIONS.md`
//! describes its use.

mod agent;
mod backoff;
mod buffer;
mod captures;
mod clock;
mod credentials;
mod files;
mod fit;
mod fragments;
mod line;
mod media;
mod missing;
mod pool;
mod sending;
mod server;
mod source;
#[cfg(test)]
mod stand_in;
mod whip;

use std::io::IsTerminal as _;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use url::{Host, Url};

use crate::agent::{AgentError, Options, Outcome};
use crate::credentials::{Credentials, Given};
use crate::files::Root;
use crate::server::Server;
use crate::source::{Camera, SourceOptions};

/// Captures a local camera and publishes it into a capture of a server.
#[derive(Debug, Args)]
pub struct EdgeArgs {
    /// Address of the server: `https://…`, or `http://…` on this machine.
    #[arg(long, value_name = "URL", env = "CABILDO_EDGE_SERVER")]
    server: Url,
    /// Camera: a device of Video for Linux.
    #[arg(long, value_name = "DEVICE", default_value = "/dev/video0")]
    camera: PathBuf,
    /// Captures pictures and a tone that ffmpeg makes, in place of a camera.
    #[arg(long, conflicts_with_all = ["camera", "microphone"])]
    test_source: bool,
    /// Microphone: a device of ALSA. Without one a camera has no sound.
    #[arg(long, value_name = "DEVICE")]
    microphone: Option<String>,
    /// Width and height in pixels.
    #[arg(long, value_name = "WxH", default_value = "1280x720", value_parser = size)]
    size: (u32, u32),
    /// Pictures a second.
    #[arg(long, value_name = "N", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=60))]
    rate: u32,
    /// Kilobits a second of the pictures.
    #[arg(long, value_name = "N", default_value_t = 1_500, value_parser = clap::value_parser!(u32).range(100..=8_000))]
    kbps: u32,
    /// How long to capture, such as 45s, 10m or 2h; until it is told to stop when absent.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,
    /// How much longer it goes on after that.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    post_roll: Duration,
    /// How the box names itself: letters, digits, `-`, `_`, `.` and `:`. The name of the machine when
    /// absent.
    #[arg(long, value_name = "NAME", value_parser = name)]
    device: Option<String>,
    /// Directory of what can't be sent yet. One process captures into it.
    #[arg(long, value_name = "DIR", default_value = "./edge-data", env = "CABILDO_EDGE_DIR")]
    directory: PathBuf,
    /// Bytes of what can't be sent yet, such as 500M or 20G; then the oldest is given up.
    #[arg(long, value_name = "BYTES", default_value = "8G", value_parser = bytes)]
    buffer_limit: u64,
    /// Authorities that the server's certificate comes from, in PEM; those of the system when absent.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Certificate of a service that may use captures, in PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// UUID of the tenant that a service means.
    #[arg(long, value_name = "UUID")]
    tenant: Option<uuid::Uuid>,
    /// File with an access token, which is read again for each request. `CABILDO_EDGE_TOKEN` may hold
    /// one as well.
    #[arg(long, value_name = "FILE", conflicts_with = "cert")]
    token_file: Option<PathBuf>,
    /// Key that the token is bound to: P-256 as PKCS #8 in PEM.
    #[arg(long, value_name = "FILE")]
    dpop_key: Option<PathBuf>,
    /// The program that captures.
    #[arg(long, value_name = "PROGRAM", default_value = "ffmpeg")]
    ffmpeg: PathBuf,
}

/// Why the box does not capture.
#[derive(Debug)]
pub enum EdgeError {
    /// The server refuses for good.
    Refused(String),
    /// The capture is closed, and not all of it was captured or kept.
    Incomplete(String),
    /// The command is wrong.
    Usage(String),
    /// Something that is needed is missing, or does not work.
    Missing(String),
}

/// Writes logs to stderr from now on, with colours where that is a terminal.
pub fn start_logs() {
    let is_coloured = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = tracing_subscriber::fmt().with_writer(std::io::stderr).with_target(false);
    logs.with_ansi(is_coloured).init();
}

/// Carries out the command, and says what became of it.
///
/// # Errors
/// Why not.
pub fn run(arguments: EdgeArgs) -> Result<String, EdgeError> {
    let missing = |error: std::io::Error| EdgeError::Missing(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(missing)?.block_on(Box::pin(carry_out(arguments)))
}

async fn carry_out(arguments: EdgeArgs) -> Result<String, EdgeError> {
    let usage = |text: String| EdgeError::Usage(text);
    let is_local = is_loopback(&arguments.server);
    match arguments.server.scheme() {
        "https" => {}
        "http" if is_local => {}
        "http" => {
            return Err(usage("--server: http is for this machine only; use https".to_owned()));
        }
        _ => return Err(usage("--server: expected https://…".to_owned())),
    }
    let credentials = Credentials::new(
        Given {
            tenant: arguments.tenant.map(|tenant| tenant.to_string()),
            certificate: arguments.cert.clone().zip(arguments.key.clone()),
            token_file: arguments.token_file.clone(),
            token: std::env::var("CABILDO_EDGE_TOKEN").ok().filter(|it| !it.is_empty()),
            key_file: arguments.dpop_key.clone(),
        },
        is_local && arguments.server.scheme() == "http",
    );
    let credentials = credentials.map_err(|error| usage(error.to_string()))?;
    let ca = arguments.ca.as_ref().map(std::fs::read).transpose();
    let ca = ca.map_err(|error| usage(format!("--ca: {error}")))?;
    let server =
        Server::new(arguments.server.clone(), credentials, ca.as_deref()).map_err(usage)?;
    let root = Root::open(&arguments.directory).map_err(|error| {
        EdgeError::Missing(format!("{}: {error}", arguments.directory.display()))
    })?;
    let options = options(arguments)?;
    let stop = stopped().map_err(|error| EdgeError::Missing(error.to_string()))?;
    match agent::run(options, &server, root, stop).await {
        Ok(Outcome::Closed(session)) => Ok(format!("capture {session} is closed")),
        Ok(Outcome::Incomplete(session, missing)) => {
            Err(EdgeError::Incomplete(format!("capture {session} is closed, but {missing}")))
        }
        Ok(Outcome::Waiting(session, bytes)) => Err(EdgeError::Missing(format!(
            "capture {session} is not closed yet: {bytes} bytes wait, and the next start sends them"
        ))),
        Err(
            error @ (AgentError::Refused(_) | AgentError::Closed(_) | AgentError::SetAside { .. }),
        ) => Err(EdgeError::Refused(error.to_string())),
        Err(error @ (AgentError::Source(_) | AgentError::Task(_))) => {
            Err(EdgeError::Missing(error.to_string()))
        }
    }
}

fn options(arguments: EdgeArgs) -> Result<Options, EdgeError> {
    let camera =
        if arguments.test_source { Camera::Test } else { Camera::Device(arguments.camera) };
    if let Camera::Device(path) = &camera
        && !path.exists()
    {
        let text = format!("{}: no such camera; --test-source needs none", path.display());
        return Err(EdgeError::Missing(text));
    }
    let own = || {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let kept = name.chars().filter(|it| is_of_name(*it)).take(NAME_MAX).collect::<String>();
        if kept.is_empty() { "edge".to_owned() } else { kept }
    };
    Ok(Options {
        source: SourceOptions {
            ffmpeg: arguments.ffmpeg,
            camera,
            microphone: arguments.microphone,
            size: arguments.size,
            rate: arguments.rate,
            kbps: arguments.kbps,
        },
        device: arguments.device.unwrap_or_else(own),
        duration: arguments.duration,
        post_roll: arguments.post_roll,
        buffer_limit: arguments.buffer_limit,
    })
}

/// Until the process is told to end.
fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => Ipv4Addr::is_loopback(&address),
        Some(Host::Ipv6(address)) => Ipv6Addr::is_loopback(&address),
        None => false,
    }
}

/// Longest name of a box: with what is added it names a capture.
const NAME_MAX: usize = 64;

fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | ':')
}

fn name(text: &str) -> Result<String, &'static str> {
    let is_one = (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_of_name);
    if is_one {
        Ok(text.to_owned())
    } else {
        Err("expected 1 to 64 letters, digits, -, _, . and :")
    }
}

fn size(text: &str) -> Result<(u32, u32), &'static str> {
    let parsed = text.split_once('x').and_then(|(width, height)| {
        Some((width.parse::<u32>().ok()?, height.parse::<u32>().ok()?))
    });
    parsed
        .filter(|(width, height)| {
            [width, height].into_iter().all(|it| (16..=3_840).contains(it) && it % 2 == 0)
        })
        .ok_or("expected two even numbers from 16 to 3840, such as 1280x720")
}

/// A number and what follows it.
fn number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|it: char| !it.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = number(text).and_then(|(number, unit)| {
        let factor = match unit {
            "" | "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        number.checked_mul(factor).filter(|it| *it <= 366 * 86_400)
    });
    seconds.map(Duration::from_secs).ok_or("expected a time up to a year, such as 45s, 10m or 2h")
}

fn bytes(text: &str) -> Result<u64, &'static str> {
    let bytes = number(text).and_then(|(number, unit)| {
        let shift = match unit {
            "" => 0,
            "K" => 10,
            "M" => 20,
            "G" => 30,
            _ => return None,
        };
        number.checked_mul(1 << shift)
    });
    bytes.ok_or("expected a number of bytes, such as 500M or 20G")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_and_nonsense_is_refused() {
        assert_eq!(duration("45s"), Ok(Duration::from_secs(45)));
        assert_eq!(duration("2h"), Ok(Duration::from_hours(2)));
        for wrong in ["", "s", "-1s", "1d", "1.5s", "99999999999999999999s", "999999999h"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(bytes("20G"), Ok(20 << 30));
        assert!(bytes("99999999999G").is_err() && bytes("1T").is_err());
        assert_eq!(size("1280x720"), Ok((1_280, 720)));
        for wrong in ["", "1280", "0x0", "1281x720", "99999x720", "1280x720x2"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(name("hall-1").is_ok() && name("a/b").is_err() && name("").is_err());
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_encryption() {
        for (url, local) in [
            ("http://localhost:3014", true),
            ("http://127.0.0.1:3014", true),
            ("http://[::1]:3014", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).expect("an address")), local, "{url}");
        }
    }
}
