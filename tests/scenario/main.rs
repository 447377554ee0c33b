//! Scenarios: engines and stations in virtual time, over simulated networks and
//! against stores and vaults that fail on demand. One binary, so that the
//! library is linked once.

mod attendance;
mod attending;
mod breaker;
#[path = "../support/brokers.rs"]
mod brokers;
mod cameras;
#[path = "../support/claims.rs"]
mod claims;
mod congestion;
mod custody;
mod delivery;
mod documents;
mod evidence;
mod floor;
mod forwarding;
mod fuzz_seeds;
mod governance;
mod interop;
mod live;
#[path = "../support/package_root.rs"]
mod package_root;
mod playable;
mod recorder;
mod room;
#[path = "../support/speech.rs"]
mod speech;
mod transcriber;
mod transport;
mod verify;
mod wire_types;
