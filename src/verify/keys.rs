//! Public keys: the list of evidence keys that a verifier trusts, and the
//! operator log's key.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::Deserialize;

use super::files::without_mark;
use super::report::{Code, Finding};
use super::tree::{Hash, sha256};

/// Largest list of keys accepted, in bytes: thousands of keys.
pub(super) const KEYS_BYTES_MAX: u64 = 1 << 20;

/// The bytes before an uncompressed P-256 point in a `SubjectPublicKeyInfo` (RFC 5480 §2, RFC
/// 5758).
const SPKI_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01, 0x06, 0x08, 0x2A,
    0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Evidence keys by their key identifier (`kid`).
#[derive(Debug, Clone, Default)]
pub(super) struct KeyRing {
    keys: BTreeMap<Hash, VerifyingKey>,
}

impl KeyRing {
    /// Adds a key in the form that proofs use: both texts are base64url.
    pub(super) fn add(&mut self, kid: &str, spki: &str) -> Result<(), Finding> {
        let malformed = |what: &str| Finding::new(Code::Malformed, format!("a key's {what}"));
        let kid =
            fixed_b64::<32>(kid).ok_or_else(|| malformed("kid is not 32 bytes in base64url"))?;
        let spki = b64(spki).ok_or_else(|| malformed("spki is not base64url"))?;
        if sha256(&spki) != kid {
            return Err(malformed("kid is not the hash of spki"));
        }
        let point = spki.strip_prefix(&SPKI_PREFIX).filter(|point| point.first() == Some(&4));
        let key = point.and_then(|point| VerifyingKey::from_sec1_bytes(point).ok());
        self.keys.insert(kid, key.ok_or_else(|| malformed("spki is not a P-256 key"))?);
        Ok(())
    }

    pub(super) fn contains(&self, kid: &Hash) -> bool {
        self.keys.contains_key(kid)
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Checks an ES256 signature over `message`, whose `s` must be the lower of the two valid
    /// values (RFC 9053 §2.1).
    pub(super) fn check(&self, kid: &Hash, message: &[u8], sig: &[u8]) -> Result<(), Finding> {
        let Some(key) = self.keys.get(kid) else {
            let text = format!("no trusted key has the kid {}", URL_SAFE_NO_PAD.encode(kid));
            return Err(Finding::new(Code::UnknownKey, text));
        };
        let invalid = |why: &str| Finding::new(Code::SignatureInvalid, why);
        let signature = Signature::from_slice(sig)
            .map_err(|_| invalid("the signature is not an ES256 signature"))?;
        // For every signature a second one is valid; only the one with the lower `s` is accepted.
        if signature.normalize_s() != signature {
            return Err(invalid("the signature has the higher of two valid values of s"));
        }
        key.verify(message, &signature).map_err(|_| invalid("the signature does not hold"))
    }
}

/// The key that signs the checkpoints of the operator log.
#[derive(Debug, Clone)]
pub(super) struct OperatorKey {
    pub(super) origin: String,
    /// First bytes of the hash of name and key (C2SP signed-note).
    pub(super) key_hash: [u8; 4],
    pub(super) key: ed25519_dalek::VerifyingKey,
}

/// A list of keys, in the form that is published and that bundles contain.
#[derive(Debug, Clone)]
pub(super) struct KeyList {
    /// The issuers whose logs these keys sign.
    pub(super) issuers: Vec<String>,
    pub(super) ring: KeyRing,
    pub(super) operator: Option<OperatorKey>,
}

#[derive(Deserialize)]
struct KeyListJson {
    v: u64,
    iss: String,
    issuers: Option<Vec<String>>,
    keys: Vec<KeyJson>,
    #[serde(deserialize_with = "Option::deserialize")]
    operator: Option<OperatorJson>,
}

#[derive(Deserialize)]
struct KeyJson {
    kid: String,
    spki: String,
    kty: String,
    crv: String,
    x: String,
    y: String,
    alg: String,
    #[serde(rename = "use")]
    purpose: String,
}

#[derive(Deserialize)]
struct OperatorJson {
    origin: String,
    vkey: String,
}

impl KeyList {
    pub(super) fn parse(document: &[u8]) -> Result<Self, Finding> {
        let malformed = |why: String| Finding::new(Code::Malformed, format!("list of keys: {why}"));
        let json: KeyListJson = serde_json::from_slice(without_mark(document))
            .map_err(|error| malformed(error.to_string()))?;
        if json.v != 1 {
            return Err(malformed("another version".into()));
        }
        let issuers = json.issuers.unwrap_or_else(|| vec![json.iss.clone()]);
        if !issuers.contains(&json.iss) {
            return Err(malformed("its own issuer is not among the issuers".into()));
        }
        let mut ring = KeyRing::default();
        for key in &json.keys {
            let words = [&key.kty, &key.crv, &key.alg, &key.purpose];
            if words != ["EC", "P-256", "ES256", "sig"] {
                return Err(malformed("a key that is not for ES256".into()));
            }
            ring.add(&key.kid, &key.spki)?;
            let point = [&key.x, &key.y].map(|text| fixed_b64::<32>(text));
            let spki = b64(&key.spki).unwrap_or_default();
            let same = match point {
                [Some(x), Some(y)] => spki.get(27..) == Some(&[x, y].concat()[..]),
                _ => false,
            };
            if !same {
                return Err(malformed("x and y of a key differ from its spki".into()));
            }
        }
        if ring.len() != json.keys.len() {
            return Err(malformed("a key is listed twice".into()));
        }
        let operator = match json.operator {
            Some(operator) => Some(operator_key(&operator).ok_or_else(|| {
                Finding::new(Code::Malformed, "list of keys: the operator's vkey is malformed")
            })?),
            None => None,
        };
        Ok(Self { issuers, ring, operator })
    }
}

/// Parses a C2SP signed-note key: `<name>+<hash>+<base64 of 0x01 ‖ key>`. A name contains no plus.
fn operator_key(json: &OperatorJson) -> Option<OperatorKey> {
    let rest = json.vkey.strip_prefix(json.origin.as_str())?.strip_prefix('+')?;
    let (hash_text, key_text) = rest.split_once('+')?;
    let encoded = STANDARD.decode(key_text).ok()?;
    let key: [u8; 32] = encoded.strip_prefix(&[1])?.try_into().ok()?;
    let hash = sha256(&[json.origin.as_bytes(), b"\n", &encoded].concat());
    let key_hash = [hash[0], hash[1], hash[2], hash[3]];
    let is_named = !json.origin.is_empty()
        && !json.origin.contains(|letter: char| letter == '+' || letter.is_whitespace());
    if !is_named || hash_text != format!("{:08x}", u32::from_be_bytes(key_hash)) {
        return None;
    }
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).ok()?;
    Some(OperatorKey { origin: json.origin.clone(), key_hash, key })
}

/// Decodes base64url without padding; accepts only the canonical form.
pub(super) fn b64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes base64url of `N` bytes as [`b64`] does.
pub(super) fn fixed_b64<const N: usize>(text: &str) -> Option<[u8; N]> {
    b64(text)?.try_into().ok()
}
