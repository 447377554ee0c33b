//! `AEAD_AES_128_GCM` for SRTP (RFC 7714 §8), in place.

use rtc_crypto::{AeadAlgorithm, AeadCipher, BlockCipherAlgorithm, RTCCrypto};
use zeroize::Zeroizing;

use super::SrtpError;
use crate::sfu::plane::MasterKey;

const TAG_BYTES: usize = 16;
const KEY_BYTES: usize = 16;
const SALT_BYTES: usize = 12;
/// Key derivation labels (RFC 3711 §4.3.2).
const LABEL_ENCRYPTION: u8 = 0;
const LABEL_SALT: u8 = 2;

/// Session key and salt of one direction.
pub struct GcmSession {
    cipher: Box<dyn AeadCipher>,
    salt: [u8; SALT_BYTES],
}

impl GcmSession {
    /// Derives the session keys from a master key (RFC 7714 §11).
    pub fn derive(master: &MasterKey, crypto: &dyn RTCCrypto) -> Result<Self, SrtpError> {
        let (key, salt) = (master.key.expose(), master.salt.expose());
        if key.len() != KEY_BYTES || salt.len() != SALT_BYTES {
            return Err(SrtpError::WrongKeys);
        }
        let derive = |label: u8| {
            let mut block = Zeroizing::new([0_u8; KEY_BYTES]);
            block[..SALT_BYTES].copy_from_slice(salt);
            block[7] ^= label;
            crypto
                .block_encrypt(BlockCipherAlgorithm::Aes128, key, block.as_mut_slice())
                .map_err(|_| SrtpError::WrongKeys)?;
            Ok::<_, SrtpError>(block)
        };
        let session_key = derive(LABEL_ENCRYPTION)?;
        let derived_salt = derive(LABEL_SALT)?;
        let mut session_salt = [0; SALT_BYTES];
        session_salt.copy_from_slice(&derived_salt[..SALT_BYTES]);
        Self::from_session(&session_key, session_salt, crypto)
    }

    /// Makes a session from session keys that were derived already.
    fn from_session(
        key: &[u8; KEY_BYTES],
        salt: [u8; SALT_BYTES],
        crypto: &dyn RTCCrypto,
    ) -> Result<Self, SrtpError> {
        let cipher =
            crypto.new_aead(AeadAlgorithm::Aes128Gcm, key).map_err(|_| SrtpError::WrongKeys)?;
        Ok(Self { cipher, salt })
    }

    /// Decrypts `packet` in place; returns the offset at which its plaintext ends.
    pub fn open(
        &mut self,
        packet: &mut [u8],
        header_bytes: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let end = packet.len().checked_sub(TAG_BYTES).ok_or(SrtpError::Malformed)?;
        if end < header_bytes {
            return Err(SrtpError::Malformed);
        }
        let nonce = self.nonce(ssrc, index);
        let (body, tag) = packet.split_at_mut(end);
        let (header, payload) = body.split_at_mut(header_bytes);
        self.cipher
            .open_in_place(&nonce, header, payload, tag)
            .map_err(|_| SrtpError::NotAuthentic)?;
        Ok(end)
    }

    /// Encrypts `buffer` in place from `start` on and appends the tag.
    pub fn seal(
        &mut self,
        buffer: &mut Vec<u8>,
        start: usize,
        header_bytes: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let nonce = self.nonce(ssrc, index);
        buffer.extend_from_slice(&[0; TAG_BYTES]);
        let end = buffer.len() - TAG_BYTES;
        let (body, tag) = buffer.split_at_mut(end);
        let packet = body.get_mut(start..).ok_or(SrtpError::Malformed)?;
        let (header, payload) =
            packet.split_at_mut_checked(header_bytes).ok_or(SrtpError::Malformed)?;
        self.cipher.seal_in_place(&nonce, header, payload, tag).map_err(|_| SrtpError::Malformed)
    }

    /// The nonce: two zero bytes, the SSRC and the 48-bit index, combined by XOR with the salt (RFC 7714
    /// §8.1).
    fn nonce(&self, ssrc: u32, index: u64) -> [u8; SALT_BYTES] {
        let mut nonce = [0; SALT_BYTES];
        nonce[2..6].copy_from_slice(&ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// The test vectors of RFC 7714 §16.1.1 and §16.1.2.
    #[test]
    fn the_published_packet_is_sealed_and_opened() {
        let plain = bytes(
            "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 \
             69736120 696e2070 61727465 73207472 6573",
        );
        let sealed = bytes(
            "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 \
             0d294e6f 42a5f47a 51c7d19b 36de3adf 8833 899d7f27 beb16a91 52cf765e e4390cce",
        );
        let mut key = [0; 16];
        key.copy_from_slice(&bytes("000102030405060708090a0b0c0d0e0f"));
        let mut salt = [0; 12];
        salt.copy_from_slice(b"Quid pro quo");
        let provider = rtc_crypto::default_provider().expect("ring is built in");
        let mut session =
            GcmSession::from_session(&key, salt, provider.crypto()).expect("keys fit");

        let mut buffer = plain.clone();
        session.seal(&mut buffer, 0, 12, 0x5501_A0B2, 0xF17B).expect("sealed");
        assert_eq!(buffer, sealed);
        let end = session.open(&mut buffer, 12, 0x5501_A0B2, 0xF17B).expect("authentic");
        assert_eq!(buffer[..end], plain);
    }
}
