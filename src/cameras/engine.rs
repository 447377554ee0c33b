//! What decides about cameras without a clock, a socket or a store: the policy
//! of stream sessions, the addresses of cameras, when a camera is called and what
//! is thought of it, what is made of its pictures, and how what is recorded plays.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod attempts;
pub mod group;
pub mod growing;
pub mod late;
mod pace;
pub mod pictures;
pub mod playlist;
pub mod policy;
pub mod preview;
pub mod probing;
pub mod publishing;
pub mod recorded;
pub mod reload;
pub mod rtsp;
pub mod segments;
pub mod sound;
pub mod source;
pub mod statistics;
pub mod subtitles;
pub mod timeline;

#[cfg(test)]
pub(in crate::cameras) mod testing;
