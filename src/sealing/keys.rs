//! Keys, and the values derived from them. Each kind has its own type, so that one can't be passed
//! for another.

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
    /// Makes the key from its bytes.
    #[must_use]
    pub const fn new(secret: Secret<[u8; 32]>) -> Self {
        Self(secret)
    }

    /// `K_seg` of the segment with this index. It decrypts that segment and reveals nothing about
    /// the others.
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

/// `K_seg` or `K_file`: the key with which one object is sealed.
#[derive(Debug, Clone)]
pub struct ContentKey(Secret<[u8; 32]>);

impl ContentKey {
    /// Makes the key from its bytes.
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

/// `K_events`: the key from which the salts of a log are derived.
#[derive(Debug, Clone)]
pub struct EventsKey(Secret<[u8; 32]>);

impl EventsKey {
    /// Makes the key from its bytes.
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
    // HMAC pads its key with zeros, so this is the same key; the library requires one as long as
    // the hash.
    let mut key_padded = Zeroizing::new([0; 64]);
    key_padded[..32].copy_from_slice(key.expose());
    let hkdf = Hkdf::<Sha512>::from_prk(&*key_padded).expect("the key is as long as the hash");
    hkdf.expand_multi_info(info, output).expect("far below 255 hashes");
}

/// Makes a new key with randomness of the operating system.
///
/// # Panics
/// When the operating system provides no randomness.
#[must_use]
pub fn random_key() -> Secret<[u8; 32]> {
    Secret::new(OsRng.unwrap_err().random())
}

/// Makes a new salt with randomness of the operating system.
///
/// # Panics
/// When the operating system provides no randomness.
#[must_use]
pub fn random_salt() -> [u8; SALT_BYTES] {
    OsRng.unwrap_err().random()
}
