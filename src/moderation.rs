//! The browser's socket: handshake, resume, wire types, signalling.

pub mod wire;
