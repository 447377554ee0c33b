//! The station "who is calling", against an issuer on loopback.

mod certificates;
mod proofs;
mod support;
mod tokens;
