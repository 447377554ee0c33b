//! Logs with a trace id, and metrics. Neither ever contains a token, a key, an address, a name or
//! speech.

pub mod metrics;
mod trace;

use std::io::IsTerminal as _;

use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

pub use trace::{TraceId, current_trace_id, traced};

use crate::config::{LogFormat, TelemetryConfig};

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The log filter is malformed.
    #[error("the log filter is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another recorder of metrics is installed in this process.
    #[error("metrics are already recorded elsewhere in this process")]
    Recorder,
}

/// Whether an event may be logged, whatever the operator's filter says. Below `info`, dependencies
/// log private data: headers with tokens, frames with speech, values of statements.
fn holds_nothing_private(metadata: &Metadata<'_>) -> bool {
    match metadata.target().split("::").next() {
        Some("cabildo") => true,
        // The client of cameras logs their addresses as warnings.
        Some("retina") => false,
        _ => *metadata.level() <= Level::INFO,
    }
}

/// Writes logs to stderr from now on. A second call in the same process has no effect.
pub fn start_logs(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let is_terminal = std::io::stderr().is_terminal();
    let human = match config.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => is_terminal,
    };
    let is_coloured =
        is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs = if human {
        logs.with_ansi(is_coloured).with_target(false).boxed()
    } else {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let subscriber = tracing_subscriber::registry().with(filter);
    let subscriber = subscriber.with(filter_fn(holds_nothing_private)).with(logs);
    if subscriber.try_init().is_err() {
        tracing::debug!("logs were set up before");
    }
    Ok(())
}
