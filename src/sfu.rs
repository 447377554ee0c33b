//! The media plane: relays the tracks that peers publish to the peers that subscribe to them, and
//! drops the packets of tracks whose gate is closed. It has a control half (signalling, ICE, DTLS)
//! and worker threads that forward packets; `plane` holds the messages between the two.

pub mod congestion;
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
pub mod tcp;
mod track_taps;
pub mod transport;
pub mod turn;
pub mod worker;

pub use handle::{Feed, FeedError, Sfu};
pub use interface::{
    BitrateBudget, FeedSpec, LostReason, PathReport, PublishAnswer, PublishedTrack, RoomMediaEvent,
    SfuError, SfuOptions, SfuStats, TransportSide, WhepAnswer,
};
pub use metrics::describe_metrics;
pub use sdp::RefusedSection;
pub use track_taps::SessionTaps;
