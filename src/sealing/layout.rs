//! Offsets of plaintext bytes in a sealed object.

use std::ops::Range;

/// Plaintext bytes of each chunk except the last.
pub const CHUNK_PLAINTEXT_BYTES: usize = 16_384;
/// Authentication tag at the end of each chunk, in bytes.
pub const TAG_BYTES: usize = 16;
/// A full chunk, tag included, in bytes.
pub const CHUNK_BYTES: usize = CHUNK_PLAINTEXT_BYTES + TAG_BYTES;
/// Salt at the beginning of an object, in bytes.
pub const SALT_BYTES: usize = 24;
/// Salt and commitment before the first chunk, in bytes.
pub const HEADER_BYTES: usize = SALT_BYTES + 32;
/// Most chunks of an object (4 PiB), so that the chunk counter never reaches the part of the nonce
/// that distinguishes objects.
pub const CHUNKS_MAX: u64 = 1 << 38;

/// `HEADER_BYTES` in the width of file offsets.
const HEADER: u64 = HEADER_BYTES as u64;
const TAG: u64 = TAG_BYTES as u64;
const CHUNK: u64 = CHUNK_BYTES as u64;
const CHUNK_PLAINTEXT: u64 = CHUNK_PLAINTEXT_BYTES as u64;

/// Size of an object with this many bytes of plaintext.
#[must_use]
pub const fn sealed_bytes(plaintext: u64) -> u64 {
    let chunks = plaintext / CHUNK_PLAINTEXT + 1;
    (HEADER + chunks * TAG).saturating_add(plaintext)
}

/// Plaintext bytes in an object of `sealed` bytes; `None` when no object can have that size. An
/// object that ends between two chunks has been truncated.
#[must_use]
pub fn plaintext_bytes(sealed: u64) -> Option<u64> {
    let chunks = sealed.checked_sub(HEADER)?;
    let last = (chunks % CHUNK).checked_sub(TAG)?;
    let full = chunks / CHUNK;
    (full < CHUNKS_MAX).then(|| full * CHUNK_PLAINTEXT + last)
}

/// The number of the chunk that holds the plaintext byte at `offset`.
#[must_use]
pub const fn chunk_of(offset: u64) -> u64 {
    offset / CHUNK_PLAINTEXT
}

/// The bytes of an object that are needed to decrypt `plaintext`: whole chunks, the first being
/// [`chunk_of`] its start. The range may reach beyond the end of the object, whose last chunk is
/// short.
#[must_use]
pub fn chunks_of(plaintext: Range<u64>) -> Range<u64> {
    let first = chunk_of(plaintext.start).min(CHUNKS_MAX);
    let after =
        if plaintext.is_empty() { first } else { chunk_of(plaintext.end - 1).min(CHUNKS_MAX) + 1 };
    HEADER + first * CHUNK..HEADER + after * CHUNK
}
