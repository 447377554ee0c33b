//! Cabildo: a meeting and moderation server for hybrid assemblies whose result must hold up
//! legally. This file lists every module in the order of the layers ("floors") that
//! `docs/ARCHITECTURE.md` explains and `tests/house.rs` checks.

// Ground floor: the types of the domain, the clock, the cipher, media formats, documents to print,
// and values that track their changes. No I/O, no async.
pub mod clock;
pub mod documents;
pub mod domain;
pub mod formats;
pub mod sealing;
pub mod tracked;

// First floor: modules called stations, which import the ground floor and no other station.
pub mod attendance;
pub mod auth;
pub mod cameras;
pub mod claims;
pub mod events;
pub mod evidence;
pub mod floor;
pub mod kafka;
pub mod services;
pub mod sessions;
pub mod sfu;
pub mod vault;

// Second floor: modules that combine stations.
pub mod custody;
pub mod delivery;
pub mod governance;
pub mod history;
pub mod meetings;
pub mod playable;
pub mod recorder;
pub mod room;
pub mod store;
pub mod transcriber;

// Third floor: the interfaces that clients use.
pub mod api;
pub mod bridges;
pub mod live;
pub mod moderation;
pub mod uplinks;

// Roof: the composition root, the commands, and what they need.
pub mod app;
pub mod cli;
pub mod config;
pub mod telemetry;

// Beside the floors: an independent client for load tests and tests, the tests of a server from
// outside, and an independent verifier of recordings.
pub mod load;
pub mod reach;
pub mod verify;
