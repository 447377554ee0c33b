//! The media plane: relays what people publish to whoever subscribes, and
//! nothing that the floor has not opened. A control half (signalling, ICE,
//! DTLS) and worker threads that forward; `plane` is the language between them.

pub mod engine;
pub mod plane;
pub mod rtcp;
pub mod rtp;
pub mod srtp;
pub mod worker;
mod control;
mod handle;
pub mod plane;
pub mod sdp;
pub mod transport;

pub use handle::{
    LostReason, PublishAnswer, PublishedTrack, RoomMediaEvent, Sfu, SfuError, SfuOptions, SfuStats,
    TransportSide,
};
