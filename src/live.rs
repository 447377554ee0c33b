//! Sessions that are watched live by people who are not in them: the picture and the sound that a
//! receiver of one picture is given, as a stream that plays as that of a camera does (HLS). It is
//! made while somebody watches, of packets that taps of the media plane give, and ends with the
//! session.

mod driver;
pub mod engine;
mod listening;
mod metrics;
pub mod ports;
mod rooms;

pub use self::driver::{Live, LiveOptions, LiveParts, STREAMS_MAX};
pub use self::listening::words_of;
pub use self::metrics::describe_metrics;
