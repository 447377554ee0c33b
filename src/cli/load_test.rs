//! `cabildo load-test`: real DTLS-SRTP clients against a running server.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use rand::Rng;

use super::output;
use crate::load::LoadError;
use crate::load::reconnect::{self, OwnServer, ReconnectReport};
use crate::load::report::Report;
use crate::load::scenario::speech::{self, SpeechPlan};
use crate::load::scenario::{self, Governance, Plan};
use crate::load::signalling::Server;
use crate::load::speech_report::SpeechReport;

/// Measures a running server with real DTLS-SRTP clients.
#[derive(Debug, Args)]
pub(super) struct LoadTestArgs {
    // Documentation would have to mark the address as a link.
    #[arg(
        long,
        required_unless_present = "reconnect",
        help = "Public address of the server, such as http://127.0.0.1:3014"
    )]
    pub(super) url: Option<String>,
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
    /// Measures transcription, with this many people in each room who say recorded phrases;
    /// publishers send video only. Everything is measured without transcription first.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(super) speakers: Option<u32>,
    /// Language of what is said, as the names of the recordings begin.
    #[arg(long, default_value = "es", requires = "speakers", value_parser = language)]
    pub(super) language: String,
    /// Directory of the recordings: WAV files of one phrase each, 16 bits, one channel, 48 kHz,
    /// called after their language, such as es-hello.wav.
    #[arg(long, default_value = "tests/fixtures/speech/wavs", requires = "speakers")]
    pub(super) recordings: PathBuf,
    /// Measures how fast this many people come back: with --url all their connections are reset at
    /// once; without it a development server is started, killed and started again.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000),
        conflicts_with_all = ["rooms", "publishers", "subscribers", "duration", "loss",
            "video_kbps", "threads", "seed", "speakers"])]
    pub(super) reconnect: Option<u32>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    pub(super) json: bool,
    /// Internal address of the server, to create sessions as a service; without it they are created
    /// with the development routes.
    #[arg(long, requires_all = ["url", "ca", "cert", "key"])]
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

fn language(text: &str) -> Result<String, String> {
    let is_language =
        (2..=3).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_lowercase());
    if is_language {
        Ok(text.to_owned())
    } else {
        Err("expected a language, such as es".to_owned())
    }
}

/// What was measured.
#[derive(Debug)]
enum Measured {
    Media(Report),
    Speech(SpeechReport),
    Return(ReconnectReport),
}

impl Measured {
    /// Whether what was to be measured happened.
    fn is_something(&self) -> bool {
        match self {
            Self::Media(report) => report.received_packets_per_s > 0.0,
            Self::Speech(report) => report.phrases_with_text > 0,
            Self::Return(report) => report.is_complete(),
        }
    }
}

/// Runs the test and prints its results. Ends with 0; with 1 when nothing was received, not
/// everybody came back or the server refused; with 2 when an address is none; with 3 when the
/// server can't be reached, or a file can't be used.
pub(super) async fn run(args: LoadTestArgs) -> ExitCode {
    let json = args.json;
    match Box::pin(measure(args)).await {
        Ok(measured) => {
            output::note(show(&measured, json));
            if measured.is_something() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            output::complain(&format!("cabildo load-test: {error}"));
            ExitCode::from(exit_code(&error))
        }
    }
}

const fn exit_code(error: &LoadError) -> u8 {
    match error {
        LoadError::Address(_) => 2,
        LoadError::Unreachable(_) | LoadError::System(_) | LoadError::Recording(_) => 3,
        _ => 1,
    }
}

fn show(measured: &Measured, json: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout();
    match measured {
        Measured::Media(report) if json => writeln!(out, "{}", serde_json::to_string(report)?),
        Measured::Media(report) => write!(out, "{report}"),
        Measured::Speech(report) if json => writeln!(out, "{}", serde_json::to_string(report)?),
        Measured::Speech(report) => write!(out, "{report}"),
        Measured::Return(report) if json => writeln!(out, "{}", serde_json::to_string(report)?),
        Measured::Return(report) => write!(out, "{report}"),
    }
}

async fn measure(args: LoadTestArgs) -> Result<Measured, LoadError> {
    if let Some(people) = args.reconnect {
        return measure_return(&args, people).await;
    }
    let server = Server::new(args.url.as_deref().unwrap_or_default())?;
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
    let Some(speakers) = args.speakers else {
        return Ok(Measured::Media(Box::pin(scenario::run(server, governance, plan)).await?));
    };
    let speech = SpeechPlan { speakers, language: args.language, recordings: args.recordings };
    Ok(Measured::Speech(Box::pin(speech::run(server, governance, plan, speech)).await?))
}

async fn measure_return(args: &LoadTestArgs, people: u32) -> Result<Measured, LoadError> {
    let own = match &args.url {
        Some(_) => None,
        None => Some(OwnServer::start(std::env::current_exe()?).await?),
    };
    let url = args.url.clone().or_else(|| own.as_ref().map(OwnServer::url)).unwrap_or_default();
    let governance = governance(args).await?;
    let report = reconnect::run(Server::new(&url)?, governance, people, own);
    Ok(Measured::Return(Box::pin(report).await?))
}

async fn governance(args: &LoadTestArgs) -> Result<Governance, LoadError> {
    let (Some(url), Some(ca), Some(cert), Some(key)) =
        (&args.internal_url, &args.ca, &args.cert, &args.key)
    else {
        return Ok(Governance::Development);
    };
    let failed = |error: reqwest::Error| LoadError::Cryptography(error.to_string());
    if !reqwest::Url::parse(url).is_ok_and(|url| url.scheme() == "https") {
        let expected =
            "expected the address of an internal listener, such as https://localhost:3015";
        return Err(LoadError::Address(format!("--internal-url: {expected}")));
    }
    let authority = reqwest::Certificate::from_pem(&read(ca).await?).map_err(failed)?;
    let mut both = read(cert).await?;
    both.extend(read(key).await?);
    let http = reqwest::Client::builder()
        .tls_certs_only([authority])
        .identity(reqwest::Identity::from_pem(&both).map_err(failed)?)
        .timeout(Duration::from_secs(15))
        .build()
        .map_err(failed)?;
    Ok(Governance::Service { url: url.trim_end_matches('/').to_owned(), http })
}

async fn read(file: &Path) -> Result<Vec<u8>, LoadError> {
    let named = |error: std::io::Error| {
        std::io::Error::new(error.kind(), format!("{}: {error}", file.display()))
    };
    Ok(tokio::fs::read(file).await.map_err(named)?)
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
            "x --url u --speakers 0",
            "x --url u --language es",
            "x --url u --recordings .",
            "x --url u --speakers 1 --language ../es",
            "x --reconnect 0",
            "x --reconnect 3 --rooms 2",
            "x --reconnect 3 --internal-url https://localhost --ca a --cert c --key k",
        ] {
            let error = parse(wrong).expect_err(wrong);
            assert_eq!(error.exit_code(), 2, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_ends_with_three() {
        // It is bound to a port, which nobody else gets meanwhile, and doesn't listen.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let args = parse(&format!("x --url http://{address} --duration 1s")).unwrap();
        let result = measure(args).await;
        assert!(matches!(result, Err(LoadError::Unreachable(_))), "{result:?}");
        assert_eq!(result.as_ref().map_err(exit_code).err(), Some(3));
    }

    #[tokio::test]
    async fn what_is_given_wrongly_is_told_from_what_is_missing() {
        let service = "--internal-url https://localhost:1 --ca /none/ca --cert c --key k";
        let unserved = "--internal-url localhost --ca /none/ca --cert c --key k";
        for (line, code, said) in [
            ("x --url nope".to_owned(), 2, "--url: expected"),
            ("x --url https://127.0.0.1:1".to_owned(), 2, "--url: expected"),
            ("x --reconnect 1 --url nope".to_owned(), 2, "--url: expected"),
            (format!("x --url http://127.0.0.1:1 {unserved}"), 2, "--internal-url: expected"),
            (format!("x --url http://127.0.0.1:1 {service}"), 3, "/none/ca: "),
        ] {
            let error = measure(parse(&line).unwrap()).await.expect_err(&line);
            assert!(error.to_string().contains(said), "{line}: {error}");
            assert_eq!(exit_code(&error), code, "{line}: {error}");
        }
        assert_eq!(exit_code(&LoadError::Recording("/nonexist".to_owned())), 3);
    }

    #[test]
    fn the_help_has_addresses_as_they_are_typed() {
        let help = <Command as clap::CommandFactory>::command().render_long_help().to_string();
        assert!(
            help.contains("such as http://127.0.0.1:3014") && !help.contains("<http"),
            "{help}"
        );
    }
}
