//! The transcriber: makes text of what is said while the meeting runs. It listens to tracks behind
//! their gates, as the recorder does, so what nobody hears is not written down. Its engine finds
//! pieces of speech, workers of lower priority recognise them, and a sink is given text and gaps.

pub mod engine;
mod handle;
mod measure;
mod metrics;
mod pool;
mod ports;
pub mod speech;
mod thread;

pub use handle::Transcriber;
pub use measure::{Measured, measure};
pub use metrics::describe_metrics;
pub use ports::{
    Patience, Sink, TranscriberError, TranscriberOptions, TranscriberParts, TranscriberStats,
    workers_by_default,
};
