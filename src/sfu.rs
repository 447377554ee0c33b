//! The media plane: relays what people publish to whoever subscribes, and
//! nothing that the floor has not opened. A control half (signalling, ICE,
//! DTLS) and worker threads that forward; `plane` is the language between them.

mod control;
pub mod engine;
pub mod feed;
mod handle;
mod interface;
mod metrics;
pub mod plane;
pub mod rtcp;
pub mod sdp;
pub mod srtp;
pub mod tap;
pub mod transport;
pub mod worker;

pub use handle::{Feed, FeedError, Sfu};
pub use interface::{
    BitrateBudget, FeedSpec, LostReason, PublishAnswer, PublishedTrack, RoomMediaEvent, SfuError,
    SfuOptions, SfuStats, TransportSide,
};
pub use metrics::describe_metrics;
