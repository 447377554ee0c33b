#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The public keys of an issuer, parsed from its JWK set (RFC 7517).

use std::sync::Arc;

use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value};

use crate::auth::jws::{Algorithm, CompactJws, PublicKey, decode, decode_exactly};

/// Most keys of a set. An issuer that changes keys lists two or three; raising it lets a faulty
/// issuer cost more memory and time per refresh.
pub const KEYS_MAX: usize = 64;
/// Longest key id accepted, in bytes.
const KEY_ID_LENGTH_MAX: usize = 256;
/// Lengths of RSA moduli accepted, in bytes: 2048 bits is the least that RFC 7518 §3.3 allows; more
/// than 4096 bits makes each verification expensive.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
/// Longest RSA exponent accepted, in bytes; nearly all keys use 65537.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// Why a document is not a usable JWK set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetInvalid {
    /// It is not JSON, or has no `keys` array.
    #[error("not a JWK set")]
    Malformed,
    /// It has more than [`KEYS_MAX`] keys.
    #[error("more than {KEYS_MAX} keys")]
    TooManyKeys,
    /// It has no signature key for a supported algorithm.
    #[error("no usable signature key")]
    NoUsableKey,
}

/// The usable signature keys of an issuer. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct KeySet(Arc<[NamedKey]>);

#[derive(Debug)]
struct NamedKey {
    id: Option<String>,
    key: PublicKey,
}

/// The result of looking up the key that a token names.
pub(super) enum Found<'a> {
    /// The key that verifies the token.
    Key(&'a PublicKey),
    /// The set has no such key; a newer set may have it.
    Unknown,
    /// The token names no key and several keys fit, so a newer set would not help.
    Ambiguous,
}

impl KeySet {
    /// Parses a JWK set. Keys that are for other uses, of other types, too weak or malformed are
    /// ignored, as RFC 7517 §5 asks; of two keys with the same id and algorithm the first is used.
    pub fn parse(document: &[u8]) -> Result<Self, KeySetInvalid> {
        let document: Value =
            serde_json::from_slice(document).map_err(|_| KeySetInvalid::Malformed)?;
        let keys = document.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or(KeySetInvalid::Malformed)?;
        if keys.len() > KEYS_MAX {
            return Err(KeySetInvalid::TooManyKeys);
        }
        let usable: Arc<[NamedKey]> =
            keys.iter().filter_map(Value::as_object).filter_map(named_key).collect();
        if usable.is_empty() { Err(KeySetInvalid::NoUsableKey) } else { Ok(Self(usable)) }
    }

    /// Finds the key that a token's header names (`kid`, and the type of key by `alg`). A token
    /// without `kid` is accepted only when exactly one key fits.
    pub(super) fn find(&self, jws: &CompactJws<'_>) -> Found<'_> {
        let wanted = match jws.header.get("kid") {
            None => {
                return match &*self.0 {
                    [only] if only.key.algorithm() == jws.algorithm => Found::Key(&only.key),
                    _ => Found::Ambiguous,
                };
            }
            Some(Value::String(id)) if id.len() <= KEY_ID_LENGTH_MAX => id,
            Some(_) => return Found::Ambiguous,
        };
        let mut same_id =
            self.0.iter().filter(|named| named.id.as_ref() == Some(wanted)).peekable();
        if same_id.peek().is_none() {
            return Found::Unknown;
        }
        // A known id with another algorithm is an attack, not a new key.
        same_id
            .find(|named| named.key.algorithm() == jws.algorithm)
            .map_or(Found::Ambiguous, |named| Found::Key(&named.key))
    }
}

fn named_key(jwk: &Map<String, Value>) -> Option<NamedKey> {
    let id = match jwk.get("kid") {
        None => None,
        Some(id) => Some(id.as_str().filter(|id| id.len() <= KEY_ID_LENGTH_MAX)?.to_owned()),
    };
    if !is_for_signatures(jwk) {
        return None;
    }
    let key = public_key(jwk)?;
    let algorithm_fits = match jwk.get("alg") {
        None => true,
        Some(name) => name.as_str().and_then(Algorithm::parse) == Some(key.algorithm()),
    };
    algorithm_fits.then_some(NamedKey { id, key })
}

/// Whether the key is declared for signatures, or for no particular use (RFC 7517 §4.2 and §4.3;
/// both members are optional).
fn is_for_signatures(jwk: &Map<String, Value>) -> bool {
    let use_fits = jwk.get("use").is_none_or(|value| value == "sig");
    let operations_fit = jwk.get("key_ops").is_none_or(|operations| {
        operations.as_array().is_some_and(|list| list.iter().any(|value| value == "verify"))
    });
    use_fits && operations_fit
}

fn public_key(jwk: &Map<String, Value>) -> Option<PublicKey> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    match (text("kty")?, text("crv")) {
        ("EC", Some("P-256")) => PublicKey::from_p256_coordinates(text("x")?, text("y")?),
        ("OKP", Some("Ed25519")) => {
            decode_exactly::<32>(text("x")?)?;
            DecodingKey::from_ed_components(text("x")?).ok().map(PublicKey::Ed25519)
        }
        ("RSA", _) => {
            let (modulus, exponent) = (decode(text("n")?)?, decode(text("e")?)?);
            let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
            let fits = RSA_MODULUS_BYTES.contains(&(modulus.len() - zeros))
                && (1..=RSA_EXPONENT_BYTES_MAX).contains(&exponent.len());
            let key = DecodingKey::from_rsa_raw_components(&modulus, &exponent);
            fits.then_some(PublicKey::Rsa(key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::jws::encode;

    /// A point of P-256: the public key of RFC 7515 appendix A.3.
    fn p256(id: &str) -> Value {
        json!({
            "kty": "EC", "crv": "P-256", "kid": id, "use": "sig", "alg": "ES256",
            "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        })
    }

    fn parse(keys: &Value) -> Result<KeySet, KeySetInvalid> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    fn with(name: &str, value: Value) -> Value {
        let mut jwk = p256("a");
        jwk[name] = value;
        jwk
    }

    #[test]
    fn keys_that_cannot_verify_a_token_are_left_out() {
        let short = encode(&[255; 255]);
        for unusable in [
            json!("text"),
            with("use", json!("enc")),
            with("key_ops", json!(["sign"])),
            with("alg", json!("RS256")),
            with("alg", json!("HS256")),
            with("kid", json!(7)),
            with("kty", json!("oct")),
            with("crv", json!("P-384")),
            with("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1")),
            json!({"kty": "oct", "k": "AAAA", "kid": "a"}),
            json!({"kty": "RSA", "n": short, "e": "AQAB", "kid": "a"}),
            json!({"kty": "RSA", "n": encode(&[255; 513]), "e": "AQAB", "kid": "a"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "a"}),
            json!({"kty": "OKP", "crv": "X25519", "x": encode(&[1; 32]), "kid": "a"}),
        ] {
            assert_eq!(parse(&json!([unusable])).err(), Some(KeySetInvalid::NoUsableKey));
            assert_eq!(parse(&json!([unusable, p256("b")])).expect("one usable").0.len(), 1);
        }
    }

    #[test]
    fn documents_that_are_no_key_set_are_refused() {
        assert_eq!(KeySet::parse(b"<html>").err(), Some(KeySetInvalid::Malformed));
        assert_eq!(KeySet::parse(b"{}").err(), Some(KeySetInvalid::Malformed));
        assert_eq!(parse(&json!([])).err(), Some(KeySetInvalid::NoUsableKey));
        let many = vec![p256("a"); KEYS_MAX + 1];
        assert_eq!(parse(&json!(many)).err(), Some(KeySetInvalid::TooManyKeys));
    }

    #[test]
    fn a_token_names_its_key_when_there_are_several() {
        let token = |header: Value| {
            format!("{}.{}.{}", encode(header.to_string().as_bytes()), encode(b"{}"), encode(b""))
        };
        let find = |set: &KeySet, header: Value| {
            let text = token(header);
            let jws = CompactJws::parse(&text, 1_000).expect("well formed");
            match set.find(&jws) {
                Found::Key(_) => "key",
                Found::Unknown => "unknown",
                Found::Ambiguous => "ambiguous",
            }
        };
        let one = parse(&json!([p256("a")])).expect("usable");
        let two = parse(&json!([p256("a"), p256("b")])).expect("usable");
        assert_eq!(find(&one, json!({"alg": "ES256"})), "key");
        assert_eq!(find(&two, json!({"alg": "ES256"})), "ambiguous");
        assert_eq!(find(&two, json!({"alg": "ES256", "kid": "b"})), "key");
        assert_eq!(find(&two, json!({"alg": "ES256", "kid": "c"})), "unknown");
        assert_eq!(find(&two, json!({"alg": "RS256", "kid": "b"})), "ambiguous");
        assert_eq!(find(&one, json!({"alg": "RS256"})), "ambiguous");
        assert_eq!(find(&one, json!({"alg": "ES256", "kid": 1})), "ambiguous");
        assert_eq!(find(&one, json!({"alg": "ES256", "kid": "x".repeat(257)})), "ambiguous");
    }
}
