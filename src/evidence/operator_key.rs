//! The Ed25519 key that signs the checkpoints of the operator log, which are C2SP signed-notes, and
//! the name in which it signs them.

use std::fmt;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

use crate::evidence::key_file::{self, KeyFileError};

/// Name of the file with the name of the log.
const ORIGIN_FILE: &str = "operator-log.origin";
/// Signature type of Ed25519 in notes.
const ED25519: u8 = 0x01;

/// The key of the operator log.
pub struct OperatorKey(SigningKey);

/// The name of the operator log whose key is in `directory`, its origin: the one that was stored
/// beside the key first. Stores `configured` when there is none. A checkpoint in another name is one
/// of another log, so the name must not change with the address of the server.
pub fn operator_origin(directory: &Path, configured: &str) -> Result<String, KeyFileError> {
    let path = directory.join(ORIGIN_FILE);
    if !path.exists() {
        key_file::make(directory, ORIGIN_FILE, &format!("{configured}\n"))?;
    }
    // Read even if it was just made: another process may have made it first.
    let text = key_file::read(&path)?;
    let name = text.strip_suffix('\n').unwrap_or(&text);
    let is_name = !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+');
    if is_name { Ok(name.to_owned()) } else { Err(KeyFileError::NotAName { path }) }
}

impl OperatorKey {
    /// Name of the file that it is in.
    pub const FILE: &str = "operator-log.pem";

    /// Reads the key in `directory`; makes it when there is none.
    pub fn open(directory: &Path) -> Result<Self, KeyFileError> {
        let path = directory.join(Self::FILE);
        let invalid = || KeyFileError::Invalid { path: path.clone() };
        if !path.exists() {
            let seed = zeroize::Zeroizing::new(rand::random::<[u8; 32]>());
            let pem = SigningKey::from_bytes(&seed)
                .to_pkcs8_pem(LineEnding::LF)
                .map_err(|_| invalid())?;
            key_file::make(directory, Self::FILE, &pem)?;
        }
        // Read even if it was just made: another process may have made it first.
        let pem = key_file::read(&path)?;
        SigningKey::from_pkcs8_pem(&pem).map(Self).map_err(|_| invalid())
    }

    /// `<name>+<8 hex>+<base64>`: the key with which verifiers are configured.
    #[must_use]
    pub fn verifier_key(&self, name: &str) -> String {
        let mut key = vec![ED25519];
        key.extend(self.0.verifying_key().as_bytes());
        let id = u32::from_be_bytes(self.id(name));
        format!("{name}+{id:08x}+{}", STANDARD.encode(key))
    }

    /// Makes a note of `text`, which must end with a newline, signed by `name`.
    #[must_use]
    pub fn sign_note(&self, name: &str, text: &str) -> String {
        let mut signature = self.id(name).to_vec();
        signature.extend(self.0.sign(text.as_bytes()).to_bytes());
        format!("{text}\n— {name} {}\n", STANDARD.encode(signature))
    }

    /// The first four bytes of SHA-256 over name, newline, type and key.
    fn id(&self, name: &str) -> [u8; 4] {
        let hash = Sha256::new()
            .chain_update(name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.0.verifying_key().as_bytes())
            .finalize();
        [hash[0], hash[1], hash[2], hash[3]]
    }
}

impl fmt::Debug for OperatorKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorKey")
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};

    use super::*;

    #[test]
    fn a_note_verifies_with_the_published_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let key = OperatorKey::open(directory.path()).expect("made");
        let verifier_key = key.verifier_key("cabildo.test/log");
        let note = key.sign_note("cabildo.test/log", "cabildo.test/log\n1\nabc=\n");
        assert_eq!(
            OperatorKey::open(directory.path()).expect("read").verifier_key("cabildo.test/log"),
            verifier_key
        );

        let mut parts = verifier_key.split('+');
        assert_eq!(parts.next(), Some("cabildo.test/log"));
        let id = parts.next().expect("an id");
        let public = STANDARD.decode(parts.collect::<Vec<_>>().join("+")).expect("base64");
        let (text, line) = note.split_once("\n\n").expect("a blank line");
        let signature = line.strip_prefix("— cabildo.test/log ").expect("its name");
        let signature = STANDARD.decode(signature.trim_end()).expect("base64");
        let id = u32::from_str_radix(id, 16).expect("eight hex digits");
        assert_eq!(signature[..4], id.to_be_bytes());
        assert_eq!(public[0], 1);
        let public = VerifyingKey::from_bytes(public[1..].try_into().expect("32 bytes"));
        let signature = Signature::from_slice(&signature[4..]).expect("64 bytes");
        let text = format!("{text}\n");
        public.expect("a point").verify(text.as_bytes(), &signature).expect("it verifies");
    }

    #[test]
    fn the_first_name_of_the_log_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let origin = |configured| operator_origin(directory.path(), configured);
        assert_eq!(origin("old.test/evidence/log").expect("stored"), "old.test/evidence/log");
        assert_eq!(origin("new.test/evidence/log").expect("read"), "old.test/evidence/log");
        for wrong in ["", "\n", "a b\n", "a+b\n", "a\nb\n"] {
            std::fs::write(directory.path().join(ORIGIN_FILE), wrong).expect("written");
            let refused = origin("new.test/evidence/log");
            assert!(matches!(refused, Err(KeyFileError::NotAName { .. })), "{wrong:?}");
        }
    }

    #[test]
    fn a_published_note_of_another_implementation_is_reproduced() {
        // The example in golang.org/x/mod/sumdb/note: the verifier key of PeterNeumann contains its
        // id, which depends only on name, type and key.
        let public =
            STANDARD.decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").expect("base64");
        let hash = Sha256::new()
            .chain_update("PeterNeumann")
            .chain_update(b"\n")
            .chain_update(&public)
            .finalize();
        assert_eq!(hash[..4], [0xc7, 0x4f, 0x20, 0xa3]);
    }
}
