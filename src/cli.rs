//! The command line. Exit codes: 0 success, 1 the answer is negative or a check failed, 2 wrong
//! usage, 3 a dependency is missing.

mod doctor;
mod edge;
mod evidence;
mod load_test;
mod output;
mod serve;
mod store;
mod token;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use crate::api;
use crate::auth::dev_certificates;
use crate::clock::Clock;

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// The answer is negative or a check failed.
    False(String),
    /// The command or the configuration is wrong.
    Usage(String),
    /// Something the command needs is missing or does not work.
    Missing(anyhow::Error),
}

impl Failure {
    const fn exit_code(&self) -> u8 {
        match self {
            Self::False(_) => 1,
            Self::Usage(_) => 2,
            Self::Missing(_) => 3,
        }
    }

    /// What is said of it.
    fn text(&self) -> String {
        match self {
            Self::False(message) | Self::Usage(message) => message.clone(),
            Self::Missing(error) => whole_text(error),
        }
    }
}

/// What is said of an error and its causes, each of which is said once: some errors have the text of
/// their cause in their own.
fn whole_text(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.ends_with(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Missing(error)
    }
}

/// Meeting and moderation server for hybrid assemblies whose result must hold
/// up legally.
#[derive(Debug, Parser)]
#[command(name = "cabildo", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Where the configuration and the data are.
#[derive(Debug, Clone, clap::Args)]
struct Place {
    /// YAML file with the configuration; see cabildo.example.yaml.
    #[arg(long, value_name = "FILE", env = "CABILDO_CONFIG")]
    config: Option<PathBuf>,
    /// Directory in which development keeps its database, keys and certificates.
    #[arg(long, value_name = "DIR", default_value = "./data", env = "CABILDO_DATA_DIR")]
    data_dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    Serve(serve::Arguments),
    /// Applies migrations to the database, or lists them.
    Migrate(store::Arguments),
    /// Makes certificates for development: an authority, one for the governance service and one for
    /// the server.
    Certs {
        /// Directory to which they are written.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Issues an access token of the development issuer in the data directory.
    Token(token::Arguments),
    /// Checks the configuration, whether the vault and the keys are those of the database's installation, and
    /// what transcription needs: the model, and how many people can
    /// speak at the same time on this machine. With --from: whether a server is reached from here.
    Doctor(doctor::Arguments),
    /// Captures a local camera and publishes it into a capture of a server.
    Edge(Box<cabildo_edge::EdgeArgs>),
    /// Exports, discloses, erases and rewraps recordings.
    Evidence(evidence::Arguments),
    /// Measures a running server with real DTLS-SRTP clients.
    LoadTest(load_test::LoadTestArgs),
    /// Verifies a bundle or proof of a recording, without the server that made it.
    Verify(verify::Arguments),
    /// Prints the OpenAPI description of the REST API.
    Openapi,
    /// Prints completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Runs the command line `arguments`, whose first element is the name of the program.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let printed = error.print();
            if error.use_stderr() {
                return ExitCode::from(2);
            }
            output::note(printed);
            return ended_with(ExitCode::SUCCESS);
        }
    };
    keep_files_private();
    match carry_out(cli.command) {
        Ok(code) => ended_with(code),
        Err(failure) => {
            output::complain(&failure.text());
            ExitCode::from(failure.exit_code())
        }
    }
}

/// The exit code of a command that has done its work and ends with `code`, if all that it says could
/// be printed.
fn ended_with(code: ExitCode) -> ExitCode {
    let Some(error) = output::lost() else { return code };
    output::complain(&format!("not everything was printed: {error}"));
    if code == ExitCode::SUCCESS { ExitCode::from(3) } else { code }
}

/// Makes new files of this process accessible only to its own user: databases, keys, recordings.
fn keep_files_private() {
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn carry_out(command: Command) -> Result<ExitCode, Failure> {
    let done = match command {
        Command::Serve(arguments) => serve::run(arguments),
        Command::Migrate(arguments) => store::run(&arguments),
        Command::Certs { out } => {
            let files = dev_certificates::ensure(&out, Clock::system().now())
                .map_err(anyhow::Error::from)?;
            output::print(&files.authority.display().to_string());
            Ok(())
        }
        Command::Token(arguments) => token::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Evidence(arguments) => return evidence::run(arguments),
        Command::Edge(arguments) => edge::run(*arguments),
        Command::LoadTest(arguments) => {
            return Ok(runtime()?.block_on(Box::pin(load_test::run(arguments))));
        }
        Command::Verify(arguments) => return verify::run(&arguments),
        Command::Openapi => {
            let text = api::document().to_pretty_json().map_err(anyhow::Error::from)?;
            output::print(&text);
            Ok(())
        }
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cabildo", &mut text);
            output::print(String::from_utf8_lossy(&text).trim_end());
            Ok(())
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// Makes a runtime for asynchronous commands.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::Missing(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_cause_is_said_once() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let refused = dev_certificates::ensure(file.path(), Clock::system().now());
        let failure = Failure::Missing(refused.expect_err("no directory").into());
        let said = failure.text();
        assert_eq!(said.matches("os error").count(), 1, "{said}");
        let cause = std::io::Error::other("the disk is away");
        let wrapped = anyhow::Error::from(cause).context("the store").context("the start");
        assert_eq!(Failure::Missing(wrapped).text(), "the start: the store: the disk is away");
    }

    #[test]
    fn what_is_no_command_is_a_usage_error() {
        for arguments in [&["cabildo"][..], &["cabildo", "fly"], &["cabildo", "certs"]] {
            let error = Cli::try_parse_from(arguments).expect_err("not a command");
            assert!(error.use_stderr());
        }
    }
}
