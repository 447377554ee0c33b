//! The cipher of one object: its key, nonces and commitment.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use zeroize::Zeroizing;

use crate::sealing::keys::expand;
use crate::sealing::{CHUNKS_MAX, ContentKey, Context, SALT_BYTES, TAG_BYTES};

/// Prefix of the input of the key derivation, before the salt and the context.
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";
const NONCE_BYTES: usize = 12;

/// Encrypts and decrypts the chunks of one object.
pub(super) struct ChunkCipher {
    aead: Aes256Gcm,
    nonce_base: [u8; NONCE_BYTES],
    pub(super) commitment: [u8; 32],
}

impl ChunkCipher {
    pub(super) fn new(key: &ContentKey, context: &Context, salt: &[u8; SALT_BYTES]) -> Self {
        let mut output = Zeroizing::new([0; 32 + NONCE_BYTES + 32]);
        expand(key.secret(), &[LABEL, salt, &context.to_cbor()], &mut *output);
        let mut nonce_base = [0; NONCE_BYTES];
        let mut commitment = [0; 32];
        let (aead_key, rest) = output.split_at(32);
        nonce_base.copy_from_slice(&rest[..NONCE_BYTES]);
        commitment.copy_from_slice(&rest[NONCE_BYTES..]);
        let aead = Aes256Gcm::new_from_slice(aead_key).expect("32 bytes");
        Self { aead, nonce_base, commitment }
    }

    /// Encrypts the chunk numbered `index` and appends it to `out`.
    pub(super) fn seal(&self, index: u64, plaintext: &[u8], out: &mut Vec<u8>) {
        assert!(index < CHUNKS_MAX, "an object has at most 2^38 chunks");
        let start = out.len();
        // Reserved first: growing the buffer later could leave a copy of the plaintext in memory.
        out.reserve(plaintext.len() + TAG_BYTES);
        out.extend_from_slice(plaintext);
        let chunk = (&mut out[start..]).into();
        let tag = self.aead.encrypt_inout_detached(&self.nonce(index).into(), &[], chunk);
        out.extend_from_slice(&tag.expect("a chunk is far shorter than GCM allows"));
    }

    /// Appends the plaintext of a chunk to `out`; `None`, with `out` unchanged, when the chunk is
    /// not authentic.
    pub(super) fn open(&self, index: u64, chunk: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (ciphertext, tag) = chunk.split_last_chunk::<TAG_BYTES>()?;
        let start = out.len();
        out.extend_from_slice(ciphertext);
        let inside = (&mut out[start..]).into();
        let nonce = self.nonce(index).into();
        let opened = self.aead.decrypt_inout_detached(&nonce, &[], inside, tag.into());
        if opened.is_err() {
            out.truncate(start);
        }
        opened.ok()
    }

    fn nonce(&self, index: u64) -> [u8; NONCE_BYTES] {
        let mut nonce = self.nonce_base;
        for (byte, counter) in nonce[NONCE_BYTES - 8..].iter_mut().zip(index.to_be_bytes()) {
            *byte ^= counter;
        }
        nonce
    }
}
