//! The server beside another media server, in one run: a forwarder of the same shape on str0m. Each
//! does the same work in turn, and the same clients load it. `make peers` builds what this needs.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]
#![expect(clippy::print_stderr, reason = "a bench tells on stderr how far it is")]

mod forwarder;
mod joined;
mod measure;
mod own;
mod process;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use cabildo::load::LoadError;
use clap::Parser;

use measure::{Case, MediaServer, Row};

/// Threads of the forwarder: one for each core.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[derive(Parser)]
struct Arguments {
    /// A release build of the server.
    #[arg(long)]
    cabildo: PathBuf,
    /// A release build of the forwarder on str0m.
    #[arg(long)]
    forwarder: PathBuf,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// A few clients and seconds, to see that everything works.
    #[arg(long)]
    short: bool,
}

/// The servers, in the order in which they are measured.
#[derive(Clone, Copy)]
enum Kind {
    Own,
    Forwarder,
}

impl Kind {
    fn name(self) -> String {
        match self {
            Self::Own => "Cabildo".to_owned(),
            Self::Forwarder => format!("str0m, {} threads", threads()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let kinds = [Kind::Own, Kind::Forwarder];
    let cases = if arguments.short { Case::SHORT } else { Case::ALL };
    let duration = Duration::from_secs(if arguments.short { 2 } else { arguments.seconds });
    println!("{}", table::conditions(duration)?);
    let mut is_complete = true;
    for case in cases {
        let mut rows: Vec<(String, Result<Row, LoadError>)> = Vec::new();
        for kind in kinds {
            eprintln!("{}: {case}", kind.name());
            let row = run(kind, &arguments, case, duration).await;
            is_complete &= row.as_ref().is_ok_and(Row::is_complete);
            rows.push((kind.name(), row));
        }
        println!("{}", table::case(case, &rows));
    }
    println!("load average at the end: {}", table::load_average()?);
    if is_complete { Ok(()) } else { Err("not everything could be measured".into()) }
}

/// Starts a server, measures it and ends it.
async fn run(
    kind: Kind,
    arguments: &Arguments,
    case: &Case,
    duration: Duration,
) -> Result<Row, LoadError> {
    let server: Box<dyn MediaServer> = match kind {
        Kind::Own => Box::new(own::Own::start(&arguments.cabildo, case).await?),
        Kind::Forwarder => {
            Box::new(forwarder::Forwarder::start(&arguments.forwarder, threads()).await?)
        }
    };
    measure::run(&*server, case, duration).await
}
