//! The moderation channel: the WebSocket of browsers, with handshake, resumption, message types and
//! media signalling. See `docs/MODERATION.md`.

mod connection;
pub mod describe;
mod door;
mod member;
mod metrics;
pub mod parse;
mod places;
mod rate;
mod resume_token;
mod welcome;
pub mod wire;

pub use door::{ChannelLimits, ChannelOptions, SUBPROTOCOL, routes};
pub use metrics::describe_metrics;
