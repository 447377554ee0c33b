//! Custody of recordings, on an embedded database, a directory of objects and a
//! directory of keys: what is erased, rewrapped and handed out, and what is left
//! when the process dies in between.

mod bundles;
mod deletions;
mod erasure;
mod faulty;
mod fixture;
mod issuers;
mod log;
mod rewrapping;
