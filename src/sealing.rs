//! The cipher of sealed objects and the keys derived for it: C2SP chunked-encryption with
//! AES-256-GCM and SHA-512, specified in `docs/EVIDENCE.md`. No clock and no I/O; only `random_key`
//! and `random_salt` use randomness.

mod cipher;
mod context;
mod keys;
mod layout;
mod opener;
mod sealer;

pub use context::Context;
pub use keys::{ContentKey, EventsKey, TrackKey, random_key, random_salt};
pub use layout::{
    CHUNK_BYTES, CHUNK_PLAINTEXT_BYTES, CHUNKS_MAX, HEADER_BYTES, SALT_BYTES, TAG_BYTES, chunk_of,
    chunks_of, plaintext_bytes, sealed_bytes,
};
pub use opener::{OpenError, Opener};
pub use sealer::{Sealed, Sealer};

#[cfg(test)]
mod tests;
