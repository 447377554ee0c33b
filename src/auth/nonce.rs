#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Server nonces without server state (RFC 9449 §8 and §9): a nonce is a time slot and its HMAC, so
//! that every instance with the same key accepts it.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::auth::CLOCK_LEEWAY;
use crate::auth::jws::{decode_exactly, encode};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// Length of a time slot. A nonce is accepted in its slot and the next one; raising it lets proofs
/// be made further in advance.
const SLOT: Duration = Duration::from_mins(2);
/// Bytes of the HMAC in a nonce.
const TAG_BYTES: usize = 16;
/// Random bytes in a nonce for one socket.
pub(super) const UNIQUE_BYTES: usize = 16;
/// Shortest key accepted, in bytes.
const KEY_BYTES_MIN: usize = 32;

/// The nonce key is shorter than 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the nonce key must have at least {KEY_BYTES_MIN} bytes")]
pub struct NonceKeyTooShort;

/// The secret from which nonces are made; all instances of an installation share it.
#[derive(Debug, Clone)]
pub struct NonceKey(Secret<Vec<u8>>);

impl NonceKey {
    /// Makes a key from at least 32 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, NonceKeyTooShort> {
        let bytes = Secret::new(bytes);
        if bytes.expose().len() < KEY_BYTES_MIN { Err(NonceKeyTooShort) } else { Ok(Self(bytes)) }
    }

    /// Makes a random key, for an installation of one instance. Nonces from before a restart are
    /// refused afterwards, which costs each client one more request.
    #[must_use]
    pub fn random() -> Self {
        Self(Secret::new(rand::random::<[u8; KEY_BYTES_MIN]>().to_vec()))
    }

    /// The nonce of the current slot for requests.
    pub(super) fn for_requests(&self, now: Timestamp) -> String {
        let slot = slot_of(now).to_be_bytes();
        encode(&[&slot[..], &self.tag(b"request", &slot)].concat())
    }

    /// Until when `nonce` is accepted, if it is a request nonce of this slot or the one before. A
    /// nonce of the next slot is accepted within the clock leeway, for instances whose clocks
    /// differ.
    pub(super) fn fresh_until(&self, nonce: &str, now: Timestamp) -> Option<Timestamp> {
        let bytes = decode_exactly::<{ 8 + TAG_BYTES }>(nonce)?;
        let (slot, tag) = bytes.split_at(8);
        let genuine = self.tag(b"request", slot).ct_eq(tag);
        let slot = slot.iter().fold(0_i64, |value, byte| value << 8 | i64::from(*byte));
        let current = slot_of(now) - 1..=slot_of(now.after(CLOCK_LEEWAY));
        let ends_s = slot.checked_add(2)?.checked_mul(SLOT.as_secs().cast_signed())?;
        let ends = Timestamp::from_unix_us(ends_s.checked_mul(1_000_000)?);
        (bool::from(genuine) && current.contains(&slot)).then_some(ends)
    }

    /// A nonce for one socket; unique if `unique` is.
    pub(super) fn for_socket(&self, unique: [u8; UNIQUE_BYTES]) -> String {
        encode(&[&unique[..], &self.tag(b"socket", &unique)].concat())
    }

    /// Whether `nonce` was made by [`NonceKey::for_socket`].
    pub(super) fn is_for_socket(&self, nonce: &str) -> bool {
        decode_exactly::<{ UNIQUE_BYTES + TAG_BYTES }>(nonce).is_some_and(|bytes| {
            let (unique, tag) = bytes.split_at(UNIQUE_BYTES);
            self.tag(b"socket", unique).ct_eq(tag).into()
        })
    }

    /// The HMAC of a nonce. It covers the purpose, so that a nonce for one purpose is not accepted
    /// for the other.
    fn tag(&self, purpose: &[u8], message: &[u8]) -> [u8; TAG_BYTES] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("a key of any length fits");
        mac.update(b"cabildo nonce ");
        mac.update(purpose);
        mac.update(b"\0");
        mac.update(message);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_BYTES]);
        tag
    }
}

fn slot_of(moment: Timestamp) -> i64 {
    moment.unix_s().div_euclid(SLOT.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> NonceKey {
        NonceKey::new(vec![byte; 32]).expect("long enough")
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_us(seconds * 1_000_000)
    }

    #[test]
    fn a_nonce_serves_for_its_slot_and_the_next() {
        let nonce = key(1).for_requests(at(1_200));
        for (seconds, taken) in
            [(1_169, false), (1_170, true), (1_200, true), (1_439, true), (1_440, false)]
        {
            assert_eq!(key(1).fresh_until(&nonce, at(seconds)).is_some(), taken, "{seconds} s");
        }
    }

    #[test]
    fn instances_share_nonces_by_sharing_the_key() {
        let nonce = key(1).for_requests(at(1_200));
        assert!(key(1).fresh_until(&nonce, at(1_200)).is_some());
        assert!(key(2).fresh_until(&nonce, at(1_200)).is_none());
        assert_eq!(NonceKey::new(vec![1; 31]).err(), Some(NonceKeyTooShort));
    }

    #[test]
    fn a_nonce_serves_one_purpose() {
        let key = key(1);
        let socket = key.for_socket([7; 16]);
        assert!(key.is_for_socket(&socket));
        assert!(key.fresh_until(&socket, at(0)).is_none());
        assert!(!key.is_for_socket(&key.for_requests(at(1_200))));
        assert_ne!(socket, key.for_socket([8; 16]));
    }

    #[test]
    fn altered_nonces_are_refused() {
        let nonce = key(1).for_requests(at(1_200));
        for position in 0..nonce.len() {
            let mut altered = nonce.clone().into_bytes();
            altered[position] = if altered[position] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).expect("ASCII");
            assert!(key(1).fresh_until(&altered, at(1_200)).is_none(), "{altered}");
        }
        assert!(key(1).fresh_until("", at(1_200)).is_none());
    }
}
