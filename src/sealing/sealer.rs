//! Encrypts an object while its plaintext arrives.

use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::sealing::cipher::ChunkCipher;
use crate::sealing::{CHUNK_PLAINTEXT_BYTES, ContentKey, Context, SALT_BYTES, sealed_bytes};

/// Encrypts one object. It holds at most one chunk of plaintext, which it wipes afterwards, and
/// hashes what it writes. If it is dropped without [`Self::finish`], the object is incomplete and
/// can't be decrypted as a whole.
pub struct Sealer {
    cipher: ChunkCipher,
    /// Plaintext of an incomplete chunk. The buffer never grows, so that no copy stays in memory.
    waiting: Zeroizing<Vec<u8>>,
    chunks: u64,
    plaintext_bytes: u64,
    hash: Sha256,
}

/// The properties of a sealed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed {
    /// Size of the whole object in bytes.
    pub size: u64,
    /// Hash of the whole object.
    pub sha256: [u8; 32],
    /// The commitment of the object to its key: bytes 24 to 56.
    pub commitment: [u8; 32],
}

impl Sealer {
    /// Begins an object by appending its header to `out`. A salt must not be used twice with one
    /// key.
    #[must_use]
    pub fn new(
        key: &ContentKey,
        context: &Context,
        salt: [u8; SALT_BYTES],
        out: &mut Vec<u8>,
    ) -> Self {
        let cipher = ChunkCipher::new(key, context, &salt);
        out.extend_from_slice(&salt);
        out.extend_from_slice(&cipher.commitment);
        let hash = Sha256::new().chain_update(salt).chain_update(cipher.commitment);
        let waiting = Zeroizing::new(Vec::with_capacity(CHUNK_PLAINTEXT_BYTES));
        Self { cipher, waiting, chunks: 0, plaintext_bytes: 0, hash }
    }

    /// Takes plaintext and appends each complete chunk to `out`.
    ///
    /// # Panics
    /// When the object would exceed 4 PiB.
    pub fn write(&mut self, mut plaintext: &[u8], out: &mut Vec<u8>) {
        self.plaintext_bytes += plaintext.len() as u64;
        while !plaintext.is_empty() {
            let room = CHUNK_PLAINTEXT_BYTES - self.waiting.len();
            if plaintext.len() < room {
                self.waiting.extend_from_slice(plaintext);
                return;
            }
            let (now, later) = plaintext.split_at(room);
            plaintext = later;
            if self.waiting.is_empty() {
                self.seal(now, out);
            } else {
                self.waiting.extend_from_slice(now);
                self.seal_waiting(out);
            }
        }
    }

    /// Ends the object with its last, short chunk.
    ///
    /// # Panics
    /// When the object would exceed 4 PiB.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Sealed {
        self.seal_waiting(out);
        Sealed {
            size: sealed_bytes(self.plaintext_bytes),
            sha256: self.hash.finalize().into(),
            commitment: self.cipher.commitment,
        }
    }

    /// Plaintext taken so far, in bytes.
    #[must_use]
    pub const fn plaintext_bytes(&self) -> u64 {
        self.plaintext_bytes
    }

    fn seal_waiting(&mut self, out: &mut Vec<u8>) {
        let mut waiting = std::mem::take(&mut self.waiting);
        self.seal(&waiting, out);
        waiting.clear();
        self.waiting = waiting;
    }

    fn seal(&mut self, plaintext: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        self.cipher.seal(self.chunks, plaintext, out);
        self.hash.update(&out[start..]);
        self.chunks += 1;
    }
}
