//! `cabildo load-test`: real DTLS-SRTP clients against a running server.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rand::Rng;

use crate::load::LoadError;
use crate::load::report::Report;
use crate::load::scenario::{self, Governance, Plan};
use crate::load::signalling::Server;

/// Measures a running server with real DTLS-SRTP clients.
#[derive(Debug, Args)]
pub(super) struct LoadTestArgs {
    /// Public address of the server, such as <http://127.0.0.1:3014>.
    #[arg(long)]
    pub(super) url: String,
    /// Number of sessions.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) rooms: u32,
    /// Publishers of audio and video in each room.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) publishers: u32,
    /// Subscribers in each room, who receive every track.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) subscribers: u32,
    /// How long to measure once everybody has joined: 500ms, 30s, 2m.
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub(super) duration: Duration,
    /// Share of datagrams that each client drops in each direction: 2%.
    #[arg(long, default_value = "0%", value_parser = share)]
    pub(super) loss: f64,
    /// Bitrate of each camera in kbit/s.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(30..=50_000))]
    pub(super) video_kbps: u32,
    /// Threads that run the clients.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) threads: u16,
    /// Seed that makes losses and media repeatable.
    #[arg(long)]
    pub(super) seed: Option<u64>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Internal address of the server, to create sessions as a service; without it they are created
    /// with the development routes.
    #[arg(long, requires_all = ["ca", "cert", "key"])]
    pub(super) internal_url: Option<String>,
    /// Certificate authority of the internal listener, PEM.
    #[arg(long, requires = "internal_url")]
    pub(super) ca: Option<PathBuf>,
    /// Client certificate, PEM.
    #[arg(long, requires = "internal_url")]
    pub(super) cert: Option<PathBuf>,
    /// Key of the client certificate, PEM.
    #[arg(long, requires = "internal_url")]
    pub(super) key: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 =
        number.parse().map_err(|_| "expected a whole number and a unit, such as 30s".to_owned())?;
    let factor_ms = match unit {
        "ms" => 1,
        "s" | "" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("the unit must be ms, s, m or h".to_owned()),
    };
    let milliseconds = number.checked_mul(factor_ms).filter(|ms| (100..=86_400_000).contains(ms));
    milliseconds
        .map(Duration::from_millis)
        .ok_or_else(|| "must be between 100ms and 24h".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text);
    let percent: f64 =
        number.parse().map_err(|_| "expected a percentage, such as 2%".to_owned())?;
    if (0.0..=50.0).contains(&percent) {
        Ok(percent / 100.0)
    } else {
        Err("must be between 0% and 50%".to_owned())
    }
}

/// Runs the test and prints its results. Ends with 0; with 1 when nothing was received or the
/// server refused; with 3 when the server can't be reached.
pub(super) async fn run(args: LoadTestArgs) -> ExitCode {
    let json = args.json;
    match measure(args).await {
        Ok(report) => {
            let received = report.received_packets_per_s > 0.0;
            if show(&report, json).is_err() || !received {
                return ExitCode::from(1);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            // An error of writing to stderr can't be reported.
            drop(writeln!(std::io::stderr(), "cabildo load-test: {error}"));
            match error {
                LoadError::Unreachable(_) | LoadError::System(_) => ExitCode::from(3),
                _ => ExitCode::from(1),
            }
        }
    }
}

fn show(report: &Report, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    if json { writeln!(out, "{}", serde_json::to_string(report)?) } else { write!(out, "{report}") }
}

async fn measure(args: LoadTestArgs) -> Result<Report, LoadError> {
    let server = Server::new(&args.url)?;
    let governance = governance(&args).await?;
    let plan = Plan {
        rooms: args.rooms,
        publishers: args.publishers,
        subscribers: args.subscribers,
        duration: args.duration,
        loss_ratio: args.loss,
        video_bitrate_bps: args.video_kbps * 1_000,
        threads: usize::from(args.threads),
        seed: args.seed.unwrap_or_else(|| rand::rng().random()),
    };
    scenario::run(server, governance, plan).await
}

async fn governance(args: &LoadTestArgs) -> Result<Governance, LoadError> {
    let (Some(url), Some(ca), Some(cert), Some(key)) =
        (&args.internal_url, &args.ca, &args.cert, &args.key)
    else {
        return Ok(Governance::Development);
    };
    let failed = |error: reqwest::Error| LoadError::Cryptography(error.to_string());
    let authority = reqwest::Certificate::from_pem(&tokio::fs::read(ca).await?).map_err(failed)?;
    let mut both = tokio::fs::read(cert).await?;
    both.extend(tokio::fs::read(key).await?);
    let http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .identity(reqwest::Identity::from_pem(&both).map_err(failed)?)
        .timeout(Duration::from_secs(15))
        .build()
        .map_err(failed)?;
    Ok(Governance::Service { url: url.trim_end_matches('/').to_owned(), http })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: LoadTestArgs,
    }

    fn parse(line: &str) -> Result<LoadTestArgs, clap::Error> {
        Command::try_parse_from(line.split_whitespace()).map(|command| command.args)
    }

    #[test]
    fn the_line_of_the_contract_is_understood() {
        let args = parse(
            "x --url http://127.0.0.1:1 --rooms 2 --publishers 3 --subscribers 4 --duration 30s \
             --loss 2% --json",
        )
        .unwrap();
        assert_eq!((args.rooms, args.publishers, args.subscribers), (2, 3, 4));
        assert_eq!(args.duration, Duration::from_secs(30));
        assert!((args.loss - 0.02).abs() < 1e-9 && args.json);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            "x",
            "x --url u --duration 3y",
            "x --url u --duration 99999999999999999999s",
            "x --url u --duration 18446744073709551615h",
            "x --url u --loss 120%",
            "x --url u --loss NaN",
            "x --url u --rooms 0",
            "x --url u --internal-url https://localhost",
            "x --url u --cert c.pem",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_ends_with_three() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let args = parse(&format!("x --url http://{address} --duration 1s")).unwrap();
        let result = measure(args).await;
        assert!(matches!(result, Err(LoadError::Unreachable(_))), "{result:?}");
    }
}
