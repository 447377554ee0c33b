//! What the server tells its operator: logs with a trace id, and metrics.
//! Neither ever holds a token, a key, an address, a name or speech.

pub mod metrics;
mod trace;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

pub use trace::{TraceId, current_trace_id, traced};

use crate::config::{LogFormat, TelemetryConfig};

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error("the log filter is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Metrics are recorded by something else in this process.
    #[error("metrics are already recorded elsewhere in this process")]
    Recorder,
}

/// Writes logs to stderr from here on. Another call in the same process leaves
/// the first one's choice.
pub fn start_logs(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.filter)?;
    let human = match config.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if human {
        logs.with_target(false).try_init()
    } else {
        logs.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    };
    if started.is_err() {
        tracing::debug!("logs were set up before");
    }
    Ok(())
}
