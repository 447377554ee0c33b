//! Cameras of tenants: which there are and how they are reached, what they send,
//! who may watch them and how it is played to them, their recordings, and the captures of edge devices. Addresses are sealed with the
//! tenant's key, and shown without their credentials.

mod address;
mod archive;
mod believed;
mod captions;
mod captures;
pub mod engine;
mod error;
mod gateway;
mod ingest;
mod metrics;
mod playback;
mod ports;
mod probes;
mod recordings;
mod replay;
pub mod repository;
mod secrets;
mod streams;
mod token;
mod waiting;

pub use address::AddressPolicy;
pub use archive::{Archive, ArchiveOptions, ArchiveParts};
pub use captions::{Captioning, Captions, Words};
pub use captures::{
    Capture, CaptureClosing, CaptureStore, CaptureStoreParts, NewCapture, PublishLogin,
};
pub use error::CameraError;
pub use gateway::{
    Gateway, GatewayOptions, GatewayParts, Issued, NewCamera, Provisioned, SessionFilter,
};
pub use ingest::{
    Admitted, DevicePacket, DeviceParts, Devices, Heard, Ingest, Intake, IntakeParts, Listening,
    Publishers, Sound, Stream, StreamReport, Taking,
};
pub use metrics::describe_metrics;
pub use playback::{Playback, PlaybackError, PlaybackState};
pub use ports::{StreamLimits, WatchedSessions};
pub use probes::Probes;
pub use recordings::{Recorded, Recordings, RecordingsOptions, RecordingsParts};
pub use replay::Replay;
pub use streams::StreamControl;
pub use token::{Grant, PlaybackSecret, TokenRefused};
