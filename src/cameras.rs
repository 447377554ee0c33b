//! Cameras of tenants: which there are and how they are reached, what they send,
//! who may watch them and how it is played to them, and the captures of edge devices. Addresses are sealed with the
//! tenant's key, and shown without their credentials.

mod address;
mod captures;
pub mod engine;
mod error;
mod gateway;
mod ingest;
mod metrics;
mod playback;
mod ports;
mod probes;
pub mod repository;
mod secrets;
mod streams;
mod token;
mod waiting;

pub use address::AddressPolicy;
pub use captures::{Capture, CaptureClosing, CaptureStore, NewCapture};
pub use error::CameraError;
pub use gateway::{
    Gateway, GatewayOptions, GatewayParts, Issued, NewCamera, Provisioned, SessionFilter,
};
pub use ingest::{Heard, Ingest, Listening, Sound, Stream, StreamReport};
pub use metrics::describe_metrics;
pub use playback::{Playback, PlaybackError};
pub use ports::StreamLimits;
pub use probes::Probes;
pub use streams::StreamControl;
pub use token::{Grant, PlaybackSecret, TokenRefused};
