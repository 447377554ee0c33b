//! What decides about cameras without a clock, a socket or a store: the policy
//! of stream sessions, and the addresses of cameras.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod policy;
pub mod source;
