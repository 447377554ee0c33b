//! The log of a session: its format against published vectors and foreign
//! decoders, and its life against a store that fails, hangs and forgets.

mod crashes;
mod fixture;
mod format;
mod issuers;
mod life;
mod merkle;
mod store;
mod tree;
