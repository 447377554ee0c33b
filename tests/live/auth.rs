//! The station "who is calling", against an issuer on loopback.

mod certificates;
mod fixture;
mod proofs;
mod tokens;
