//! Decrypts sealed objects: C2SP chunked encryption with AES-256-GCM and SHA-512 (docs/EVIDENCE.md,
//! "Sealed objects"), chunk by chunk.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use hkdf::Hkdf;
use sha2::Sha512;

use super::tree::Hash;

/// Bytes before the first chunk: salt and commitment.
pub(super) const HEADER_BYTES: usize = 56;
/// Bytes of a chunk that is not the last one, including the tag.
pub(super) const CHUNK_BYTES: usize = 16_400;
const TAG_BYTES: usize = 16;
const LABEL: &[u8] = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0";

/// The position of a segment, for which its object is sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct SegmentPlace {
    pub(super) session: [u8; 16],
    pub(super) track: [u8; 16],
    pub(super) index: u64,
    pub(super) epoch: u64,
}

impl SegmentPlace {
    /// The context: deterministic CBOR of `[1, session, track, index, epoch]`.
    fn context(&self) -> Vec<u8> {
        let mut bytes = vec![0x85, 0x01, 0x50];
        bytes.extend(self.session);
        bytes.push(0x50);
        bytes.extend(self.track);
        push_uint(&mut bytes, self.index);
        push_uint(&mut bytes, self.epoch);
        bytes
    }
}

fn push_uint(bytes: &mut Vec<u8>, number: u64) {
    let wide = number.to_be_bytes();
    let (first, width) = match number {
        0..=0x17 => {
            bytes.push(wide[7]);
            return;
        }
        0x18..=0xFF => (0x18, 1),
        0x100..=0xFFFF => (0x19, 2),
        0x1_0000..=0xFFFF_FFFF => (0x1A, 4),
        _ => (0x1B, 8),
    };
    bytes.push(first);
    bytes.extend(&wide[8 - width..]);
}

/// Whether an object can have this size: a header, whole chunks, and a last chunk that is shorter
/// than a whole one and contains its tag.
pub(super) const fn is_object_size(size: u64) -> bool {
    let header = HEADER_BYTES as u64;
    size >= header && (size - header) % (CHUNK_BYTES as u64) >= TAG_BYTES as u64
}

/// Decrypts the chunks of one object in order.
pub(super) struct Opener {
    cipher: Aes256Gcm,
    base_nonce: [u8; 12],
    chunk: u64,
}

impl Opener {
    /// Derives the key of the object whose first 56 bytes are `header`. `None` when the object does
    /// not commit to `key`.
    pub(super) fn new(
        key: &Hash,
        place: &SegmentPlace,
        header: &[u8; HEADER_BYTES],
    ) -> Option<Self> {
        let (salt, commitment) = header.split_at(24);
        // HMAC pads a short key with zeros, so the padded key is the same key.
        let mut padded = [0; 64];
        padded[..32].copy_from_slice(key);
        let context = place.context();
        let mut derived = [0; 76];
        let expander = Hkdf::<Sha512>::from_prk(&padded).ok()?;
        expander.expand_multi_info(&[LABEL, salt, &context], &mut derived).ok()?;
        if derived[44..] != *commitment {
            return None;
        }
        let cipher = Aes256Gcm::new_from_slice(&derived[..32]).ok()?;
        let mut base_nonce = [0; 12];
        base_nonce.copy_from_slice(&derived[32..44]);
        Some(Self { cipher, base_nonce, chunk: 0 })
    }

    /// Decrypts the next chunk in place; returns its plaintext. The error is the number of the
    /// chunk.
    pub(super) fn open<'a>(&mut self, chunk: &'a mut [u8]) -> Result<&'a [u8], u64> {
        let number = self.chunk;
        self.chunk += 1;
        let mut nonce = self.base_nonce;
        for (byte, counter) in nonce[4..].iter_mut().zip(number.to_be_bytes()) {
            *byte ^= counter;
        }
        let length = chunk.len().checked_sub(TAG_BYTES).ok_or(number)?;
        let (text, tag) = chunk.split_at_mut(length);
        let tag: [u8; TAG_BYTES] = (&*tag).try_into().map_err(|_| number)?;
        let opened = self.cipher.decrypt_inout_detached(
            &nonce.into(),
            &[],
            (&mut *text).into(),
            &tag.into(),
        );
        if opened.is_ok() { Ok(text) } else { Err(number) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_objects() {
        for (size, can_be) in [
            (0, false),
            (55, false),
            (56, false),
            (71, false),
            (72, true),
            (56 + 16_399, true),
            (56 + 16_400, false),
            (56 + 16_415, false),
            (56 + 16_416, true),
        ] {
            assert_eq!(is_object_size(size), can_be, "{size}");
        }
    }

    #[test]
    fn contexts_are_deterministic_cbor() {
        for number in [0, 23, 24, 255, 256, 65_535, 65_536, 1 << 32, u64::MAX] {
            let place =
                SegmentPlace { session: [1; 16], track: [2; 16], index: number, epoch: number };
            let context = place.context();
            let read = crate::verify::cbor::read(&context).unwrap();
            let [kind, session, track, index, epoch] = read.tuple().unwrap();
            assert_eq!((kind.uint(), index.uint(), epoch.uint()), {
                (Some(1), Some(number), Some(number))
            });
            assert_eq!((session.fixed(), track.fixed()), (Some([1; 16]), Some([2; 16])));
        }
    }
}
