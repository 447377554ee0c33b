//! Cabildo: a meeting and moderation server for hybrid assemblies whose result
//! must hold up legally. The map of the house, one line a module, in floor
//! order; `docs/ARCHITECTURE.md` explains it and `tests/house.rs` checks it.

// Ground floor: the words of the field, the clock, the cipher, media formats,
// state that remembers its changes. No I/O, no async.
pub mod clock;
pub mod domain;
pub mod formats;
pub mod sealing;
pub mod tracked;

// First floor: stations. Each knows the ground floor and nothing beside it.
pub mod attendance;
pub mod auth;
pub mod claims;
pub mod events;
pub mod evidence;
pub mod floor;
pub mod sessions;
pub mod sfu;
pub mod vault;

// Second floor: where stations meet.
pub mod custody;
pub mod history;
pub mod playable;
pub mod recorder;
pub mod room;
pub mod store;

// Third floor: doors.
pub mod api;
pub mod moderation;

// Roof: the composition root, the commands, and what surrounds them.
pub mod app;
pub mod cli;
pub mod config;
pub mod telemetry;

// Beside the house: an independent client for load and tests, and an
// independent reader of the record.
pub mod load;
pub mod verify;
