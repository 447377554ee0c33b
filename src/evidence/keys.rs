//! The P-256 keys that sign heads and receipts. One is active; older ones are kept, because a log
//! that began with one needs it to hand over to the next.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::evidence::key_file::{self, KeyFileError, Made};
use crate::evidence::repository::Hash;

/// One evidence key.
pub struct EvidenceKey {
    signing: SigningKey,
    kid: Hash,
    spki: Vec<u8>,
}

impl EvidenceKey {
    fn new(signing: SigningKey, path: &Path) -> Result<Self, KeyFileError> {
        let spki = signing
            .verifying_key()
            .to_public_key_der()
            .map_err(|_| KeyFileError::Invalid { path: path.to_owned() })?
            .as_bytes()
            .to_vec();
        Ok(Self { kid: Sha256::digest(&spki).into(), signing, spki })
    }

    /// Its identifier: SHA-256 of the public key.
    #[must_use]
    pub const fn kid(&self) -> &Hash {
        &self.kid
    }

    /// The public key: a `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The ES256 signature of `message` (RFC 7518 §3.4), with the lower of the two valid values of
    /// `s`, so that nobody can derive a second signature from it.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: Signature = self.signing.sign(message);
        signature.normalize_s().to_bytes().into()
    }

    /// Whether `signature` is a signature of `message` by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key: &VerifyingKey = self.signing.verifying_key();
        Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify(message, &signature).is_ok())
    }

    /// Its element in the published list of keys.
    fn published(&self) -> Value {
        let point = self.signing.verifying_key().to_sec1_point(false);
        let coordinates = point.as_bytes().get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        json!({
            "kid": URL_SAFE_NO_PAD.encode(self.kid),
            "spki": URL_SAFE_NO_PAD.encode(&self.spki),
            "kty": "EC",
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
            "alg": "ES256",
            "use": "sig",
        })
    }
}

impl fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EvidenceKey({})", URL_SAFE_NO_PAD.encode(self.kid))
    }
}

/// The evidence keys of an installation: files `evidence-<number>.pem` in a directory that several
/// processes may share. The highest number is active.
#[derive(Debug)]
pub struct EvidenceKeys {
    directory: PathBuf,
    keys: RwLock<Vec<(u32, Arc<EvidenceKey>)>>,
}

impl EvidenceKeys {
    /// Reads the keys in `directory`; makes the first key when there is none.
    pub fn open(directory: &Path) -> Result<Self, KeyFileError> {
        let keys = Self { directory: directory.to_owned(), keys: RwLock::default() };
        fs::create_dir_all(directory).map_err(key_file::at(directory))?;
        keys.refresh()?;
        if keys.last().is_none() {
            // If another process makes the first file at the same time, its key is used.
            keys.make(1)?;
            keys.refresh()?;
        }
        if keys.last().is_none() {
            return Err(KeyFileError::Invalid { path: directory.to_owned() });
        }
        Ok(keys)
    }

    /// Whether `directory` has a file of such a key.
    #[must_use]
    pub fn are_in(directory: &Path) -> bool {
        let names = fs::read_dir(directory).into_iter().flatten().flatten();
        names.into_iter().any(|file| file.file_name().to_str().and_then(number_of).is_some())
    }

    /// Reads keys that another process has added.
    pub fn refresh(&self) -> Result<(), KeyFileError> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.directory).map_err(key_file::at(&self.directory))? {
            let file = file.map_err(key_file::at(&self.directory))?;
            if let Some(number) = file.file_name().to_str().and_then(number_of) {
                found.push((number, file.path()));
            }
        }
        found.sort();
        for (number, path) in found {
            if self.read(|keys| keys.binary_search_by_key(&number, |(known, _)| *known).is_ok()) {
                continue;
            }
            let signing = SigningKey::from_pkcs8_pem(&key_file::read(&path)?)
                .map_err(|_| KeyFileError::Invalid { path: path.clone() })?;
            let key = Arc::new(EvidenceKey::new(signing, &path)?);
            let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
            if let Err(place) = keys.binary_search_by_key(&number, |(known, _)| *known) {
                keys.insert(place, (number, key));
            }
        }
        Ok(())
    }

    /// Makes a new key, which is active from now on.
    pub fn rotate(&self) -> Result<(), KeyFileError> {
        loop {
            self.refresh()?;
            let next = self.last().map_or(1, |(number, _)| number.saturating_add(1));
            let made = self.make(next)?;
            self.refresh()?;
            if made == Made::New {
                return Ok(());
            }
        }
    }

    /// The key that signs now.
    ///
    /// # Panics
    /// Never: [`Self::open`] refuses a directory without a key, and no key is ever removed from
    /// memory.
    #[must_use]
    pub fn active(&self) -> Arc<EvidenceKey> {
        self.last().expect("there is a key since it was opened").1
    }

    /// The key with this identifier, active or older.
    #[must_use]
    pub fn find(&self, kid: &Hash) -> Option<Arc<EvidenceKey>> {
        self.read(|keys| keys.iter().find(|(_, key)| key.kid() == kid).map(|(_, key)| key.clone()))
    }

    /// Every key, oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<EvidenceKey>> {
        self.read(|keys| keys.iter().map(|(_, key)| Arc::clone(key)).collect())
    }

    /// Every public key, oldest first, as in the published list.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        self.all().iter().map(|key| key.published()).collect()
    }

    fn make(&self, number: u32) -> Result<Made, KeyFileError> {
        let name = format!("evidence-{number:08}.pem");
        let pem = random_key()
            .to_pkcs8_pem(LineEnding::LF)
            .map_err(|_| KeyFileError::Invalid { path: self.directory.join(&name) })?;
        key_file::make(&self.directory, &name, &pem)
    }

    fn last(&self) -> Option<(u32, Arc<EvidenceKey>)> {
        self.read(|keys| keys.last().cloned())
    }

    fn read<T>(&self, look: impl FnOnce(&Vec<(u32, Arc<EvidenceKey>)>) -> T) -> T {
        look(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The number in the file name `evidence-<8 digits>.pem`.
fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_prefix("evidence-")?.strip_suffix(".pem")?;
    let all_digits = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().ok()).flatten()
}

/// Draws random bytes until they are a valid key. They are not when they are zero or above the
/// order of the curve, which has a probability of 2^-32.
fn random_key() -> SigningKey {
    loop {
        let bytes = zeroize::Zeroizing::new(rand::random::<[u8; 32]>());
        if let Ok(key) = SigningKey::from_slice(&*bytes) {
            return key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gets_a_key_and_keeps_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = EvidenceKeys::open(directory.path()).expect("opened");
        let again = EvidenceKeys::open(directory.path()).expect("opened");
        assert_eq!(first.active().kid(), again.active().kid());
        assert_eq!(first.published(), again.published());
    }

    #[test]
    fn processes_that_start_together_agree_on_the_first_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let kids: Vec<Hash> = std::thread::scope(|scope| {
            let open = || *EvidenceKeys::open(directory.path()).expect("opened").active().kid();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(kids.iter().all(|kid| *kid == kids[0]), "{kids:?}");
    }

    #[test]
    fn another_process_sees_a_new_key_when_it_looks() {
        let directory = tempfile::tempdir().expect("a directory");
        let here = EvidenceKeys::open(directory.path()).expect("opened");
        let there = EvidenceKeys::open(directory.path()).expect("opened");
        let old = *here.active().kid();
        here.rotate().expect("rotated");
        assert_ne!(*here.active().kid(), old);
        assert_eq!(*there.active().kid(), old);
        there.refresh().expect("read");
        assert_eq!(there.active().kid(), here.active().kid());
        assert!(there.find(&old).is_some(), "older keys stay");
        there.rotate().expect("rotated");
        assert_eq!(there.published().len(), 3);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_others_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join("tenants.json"), "{}").expect("written");
        fs::write(directory.path().join(".draft-1"), "half").expect("written");
        EvidenceKeys::open(directory.path()).expect("not its files");
        fs::write(directory.path().join("evidence-00000002.pem"), "rubbish").expect("written");
        let refused = EvidenceKeys::open(directory.path()).expect_err("refused");
        assert!(matches!(refused, KeyFileError::Invalid { .. }), "{refused}");
    }

    #[test]
    fn signatures_have_a_low_s_and_verify() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = EvidenceKeys::open(directory.path()).expect("opened");
        let key = keys.active();
        for number in 0..32_u8 {
            let bytes = key.sign(&[number]);
            let signature = Signature::from_slice(&bytes).expect("a signature");
            assert_eq!(signature.normalize_s(), signature, "{number}");
            assert!(key.verifies(&[number], &bytes));
            assert!(!key.verifies(&[number + 1], &bytes));
        }
    }
}
