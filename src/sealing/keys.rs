//! Keys, and what is derived from them. Each is its own type, so that one can't
//! be passed for another.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use rand::rngs::OsRng;
use rand::{Rng as _, TryRngCore as _};
use sha2::{Sha256, Sha512};
use zeroize::Zeroizing;

use crate::domain::id::RecordedTrackId;
use crate::domain::secret::Secret;
use crate::sealing::SALT_BYTES;

/// `K_track`: the key of one recorded track and epoch.
#[derive(Debug, Clone)]
pub struct TrackKey(Secret<[u8; 32]>);

impl TrackKey {
    /// Takes the bytes of the key.
    #[must_use]
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// `K_seg` of the segment with this index: it opens that segment and says
    /// nothing about the others.
    #[must_use]
    pub fn segment_key(&self, index: u64) -> ContentKey {
        let mut key = Secret::new([0; 32]);
        expand(&self.0, &[b"seg", &index.to_be_bytes()], key.expose_mut());
        ContentKey(key)
    }

    /// The bytes of the key, to be wrapped.
    #[must_use]
    pub const fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0
    }
}

/// `K_seg` or `K_file`: what an object is sealed with.
#[derive(Debug, Clone)]
pub struct ContentKey(Secret<[u8; 32]>);

impl ContentKey {
    /// Takes the bytes of the key.
    #[must_use]
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// The bytes of the key, to be wrapped or disclosed.
    #[must_use]
    pub const fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0
    }
}

/// `K_events`: what the salts of a log are derived from.
#[derive(Debug, Clone)]
pub struct EventsKey(Secret<[u8; 32]>);

impl EventsKey {
    /// Takes the bytes of the key.
    #[must_use]
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// The salt of the event whose entry is at `seq`.
    #[must_use]
    pub fn event_salt(&self, seq: u64) -> [u8; 32] {
        self.salt(b"event", &seq.to_be_bytes())
    }

    /// The salt of the subject of a recorded track.
    #[must_use]
    pub fn subject_salt(&self, track: &RecordedTrackId) -> [u8; 32] {
        self.salt(b"subject", track.as_uuid().as_bytes())
    }

    /// The bytes of the key, to be wrapped.
    #[must_use]
    pub const fn secret(&self) -> &Secret<[u8; 32]> {
        &self.0
    }

    fn salt(&self, what: &[u8], which: &[u8]) -> [u8; 32] {
        let mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("a key of any length fits");
        mac.chain_update(what).chain_update(which).finalize().into_bytes().into()
    }
}

/// HKDF-Expand with SHA-512 (RFC 5869 §2.3).
pub(super) fn expand(key: &Secret<[u8; 32]>, info: &[&[u8]], output: &mut [u8]) {
    // HMAC fills its key up with zeros, so this is the same key; the library
    // wants one as long as the hash.
    let mut key_padded = Zeroizing::new([0; 64]);
    key_padded[..32].copy_from_slice(key.expose());
    let hkdf = Hkdf::<Sha512>::from_prk(&*key_padded).expect("as long as the hash");
    hkdf.expand_multi_info(info, output).expect("far below 255 hashes");
}

/// A new key, from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn random_key() -> Secret<[u8; 32]> {
    Secret::new(OsRng.unwrap_err().random())
}

/// A new salt, from the operating system.
///
/// # Panics
/// When the operating system has no randomness to give.
#[must_use]
pub fn random_salt() -> [u8; SALT_BYTES] {
    OsRng.unwrap_err().random()
}
