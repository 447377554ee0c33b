//! The edge agent as a program of its own. Exit codes: 0 the capture is closed, 1 the server refuses or
//! a part of the capture is missing, 2 wrong usage, 3 something is missing.

use std::io::Write as _;
use std::process::ExitCode;

use cabildo_edge::{EdgeArgs, EdgeError, run, start_logs};
use clap::Parser;

/// Captures a local camera and publishes it into a capture of a Cabildo server.
#[derive(Debug, Parser)]
#[command(name = "cabildo-edge", version)]
struct Cli {
    #[command(flatten)]
    arguments: EdgeArgs,
}

fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return ExitCode::from(3);
    }
    let cli = Cli::parse();
    start_logs();
    let (text, code) = match run(cli.arguments) {
        Ok(text) => (text, 0),
        Err(EdgeError::Refused(text) | EdgeError::Incomplete(text)) => (text, 1),
        Err(EdgeError::Usage(text)) => (text, 2),
        Err(EdgeError::Missing(text)) => (text, 3),
    };
    // Nobody may read it.
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::from(code)
}
