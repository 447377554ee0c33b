//! Cameras of tenants: which there are and how they are reached, who may watch
//! them, and the captures of edge devices. Addresses are sealed with the
//! tenant's key, and shown without their credentials.

mod address;
mod captures;
pub mod engine;
mod error;
mod gateway;
mod metrics;
mod ports;
pub mod repository;
mod secrets;
mod token;

pub use address::AddressPolicy;
pub use captures::{Capture, CaptureClosing, CaptureStore, NewCapture};
pub use error::{CameraError, CameraStoreError};
pub use gateway::{
    Gateway, GatewayOptions, GatewayParts, Issued, NewCamera, Provisioned, SessionFilter,
};
pub use metrics::describe_metrics;
pub use ports::StreamLimits;
pub use token::{Grant, PlaybackSecret, TokenRefused};
