//! Decrypts objects, whole or chunk by chunk.

use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::sealing::cipher::ChunkCipher;
use crate::sealing::{
    CHUNK_BYTES, CHUNKS_MAX, ContentKey, Context, HEADER_BYTES, SALT_BYTES, TAG_BYTES,
    plaintext_bytes,
};

/// Why an object can't be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It was sealed with another key or for another context, or its header was changed.
    #[error("the object was sealed with another key or for another place")]
    WrongKey,
    /// The chunk with this number was changed, or belongs elsewhere.
    #[error("chunk {0} is not authentic")]
    NotAuthentic(u64),
    /// It does not end with a short chunk.
    #[error("the object has been cut")]
    Truncated,
    /// A chunk can't have that size or number.
    #[error("that can't be chunk {0}")]
    NoSuchChunk(u64),
}

/// Decrypts one object.
pub struct Opener(ChunkCipher);

impl Opener {
    /// Checks that the object with this header was sealed with this key and for this context.
    pub fn new(
        key: &ContentKey,
        context: &Context,
        header: &[u8; HEADER_BYTES],
    ) -> Result<Self, OpenError> {
        let (salt, commitment) =
            header.split_first_chunk::<SALT_BYTES>().ok_or(OpenError::Truncated)?;
        let cipher = ChunkCipher::new(key, context, salt);
        let is_ours: bool = cipher.commitment.ct_eq(commitment).into();
        if is_ours { Ok(Self(cipher)) } else { Err(OpenError::WrongKey) }
    }

    /// Appends the plaintext of the chunk with this number to `out`; nothing when it fails. A chunk
    /// shorter than [`CHUNK_BYTES`] is authentic only as the last of the object.
    pub fn open_chunk(&self, index: u64, chunk: &[u8], out: &mut Vec<u8>) -> Result<(), OpenError> {
        let fits = (TAG_BYTES..=CHUNK_BYTES).contains(&chunk.len());
        if !fits || index >= CHUNKS_MAX {
            return Err(OpenError::NoSuchChunk(index));
        }
        self.0.open(index, chunk, out).ok_or(OpenError::NotAuthentic(index))
    }

    /// Decrypts a whole object.
    pub fn open(key: &ContentKey, context: &Context, object: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (header, chunks) =
            object.split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Truncated)?;
        let opener = Self::new(key, context, header)?;
        // Only an object that ends with a short chunk has a valid size.
        let inside = u64::try_from(object.len()).ok().and_then(plaintext_bytes);
        let inside = inside.and_then(|inside| usize::try_from(inside).ok());
        let mut plaintext = Vec::with_capacity(inside.ok_or(OpenError::Truncated)?);
        for (index, chunk) in (0..).zip(chunks.chunks(CHUNK_BYTES)) {
            opener.open_chunk(index, chunk, &mut plaintext).inspect_err(|_| plaintext.zeroize())?;
        }
        Ok(plaintext)
    }
}
