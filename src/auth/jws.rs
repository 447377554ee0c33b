#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Compact JWS (RFC 7515 §3.1) from unauthenticated callers: parsed strictly, and trusted only
//! after [`CompactJws::is_signed_by`].

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::json;

/// The supported signature algorithms (RFC 7518 §3, RFC 8037). `none` and the HMAC family have no
/// variant, so that no header can select them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// `EdDSA` on Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The algorithm with this registered name, if it is supported.
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "RS256" => Some(Self::Rs256),
            "EdDSA" => Some(Self::EdDsa),
            _ => None,
        }
    }
}

/// A public key, of the type that its algorithm requires.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    /// For ES256.
    P256(Box<VerifyingKey>),
    /// For RS256.
    Rsa(DecodingKey),
    /// For `EdDSA`.
    Ed25519(DecodingKey),
}

impl PublicKey {
    /// The only algorithm for which this key may be used, which prevents a header from choosing
    /// another one (RFC 8725 §3.1).
    pub(super) const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256(_) => Algorithm::Es256,
            Self::Rsa(_) => Algorithm::Rs256,
            Self::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// A P-256 key from the coordinates of its JWK; `None` when they are not a
    /// point of the curve.
    pub(super) fn from_p256_coordinates(x: &str, y: &str) -> Option<Self> {
        let mut point = [4_u8; 65];
        point[1..33].copy_from_slice(&decode_exactly::<32>(x)?);
        point[33..].copy_from_slice(&decode_exactly::<32>(y)?);
        VerifyingKey::from_sec1_bytes(&point).ok().map(|key| Self::P256(Box::new(key)))
    }

    /// Whether `signature` is a signature of `message` by this key.
    fn verifies(&self, message: &[u8], signature: &str) -> bool {
        let (key, algorithm) = match self {
            Self::P256(key) => {
                return decode_exactly::<64>(signature)
                    .and_then(|bytes| Signature::from_slice(&bytes).ok())
                    .is_some_and(|signature| key.verify(message, &signature).is_ok());
            }
            Self::Rsa(key) => (key, jsonwebtoken::Algorithm::RS256),
            Self::Ed25519(key) => (key, jsonwebtoken::Algorithm::EdDSA),
        };
        jsonwebtoken::crypto::verify(signature, message, key, algorithm).unwrap_or(false)
    }
}

/// The three parts of a compact JWS, decoded but not verified.
#[derive(Debug)]
pub(super) struct CompactJws<'a> {
    /// The protected header.
    pub(super) header: Map<String, Value>,
    /// The algorithm the header names.
    pub(super) algorithm: Algorithm,
    payload: Vec<u8>,
    signed: &'a [u8],
    signature: &'a str,
}

impl<'a> CompactJws<'a> {
    /// Parses a JWS of at most `length_max` bytes. `None` when it is malformed, names a key of its
    /// header twice (RFC 7515 §4) or an unsupported algorithm, or has a `crit` header, since no
    /// extension is supported (RFC 7515 §4.1.11).
    pub(super) fn parse(text: &'a str, length_max: usize) -> Option<Self> {
        if text.len() > length_max {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let Value::Object(header) = parsed(&decode(header)?)? else { return None };
        if header.contains_key("crit") {
            return None;
        }
        let algorithm = Algorithm::parse(header.get("alg")?.as_str()?)?;
        // A fourth part is refused too, since a dot is not base64url.
        let payload = decode(payload)?;
        decode(signature)?;
        Some(Self { header, algorithm, payload, signed: signed.as_bytes(), signature })
    }

    /// The claims in the payload; `None` when it is no such object, or names a key twice.
    pub(super) fn claims<T: DeserializeOwned>(&self) -> Option<T> {
        json::objects(parsed(&self.payload)?).ok()
    }

    /// As [`Self::claims`]; characters that are broken are replaced by U+FFFD.
    pub(super) fn mended_claims<T: DeserializeOwned>(&self) -> Option<T> {
        json::objects(json::parse(&json::mended(&self.payload)).ok()?).ok()
    }

    /// A header member that is a string; `None` when it is absent or not a string.
    pub(super) fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name)?.as_str()
    }

    /// Whether `key` made the signature, with the algorithm that the header names.
    pub(super) fn is_signed_by(&self, key: &PublicKey) -> bool {
        key.algorithm() == self.algorithm && key.verifies(self.signed, self.signature)
    }
}

/// Parses JSON in which no object names a key twice.
fn parsed(bytes: &[u8]) -> Option<Value> {
    json::parse(std::str::from_utf8(bytes).ok()?).ok()
}

/// Decodes unpadded, canonical base64url (RFC 7515 §2).
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes unpadded, canonical base64url of exactly `N` bytes.
pub(super) fn decode_exactly<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// Encodes as unpadded base64url.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(header: &str) -> String {
        format!("{}.{}.{}", encode(header.as_bytes()), encode(b"{}"), encode(&[0; 64]))
    }

    #[test]
    fn only_the_three_algorithms_are_taken() {
        for name in ["ES256", "RS256", "EdDSA"] {
            let text = with_header(&format!(r#"{{"alg":"{name}"}}"#));
            assert!(CompactJws::parse(&text, 500).is_some(), "{name}");
        }
        for name in ["none", "None", "", "HS256", "HS512", "ES384", "PS256", "es256"] {
            let text = with_header(&format!(r#"{{"alg":"{name}"}}"#));
            assert!(CompactJws::parse(&text, 500).is_none(), "{name} was taken");
        }
    }

    #[test]
    fn what_is_not_a_compact_jws_is_refused() {
        let good = with_header(r#"{"alg":"ES256"}"#);
        assert!(CompactJws::parse(&good, good.len()).is_some());
        assert!(CompactJws::parse(&good, good.len() - 1).is_none(), "too long");
        for bad in [
            String::new(),
            ".".into(),
            "..".into(),
            format!("{good}.AA"),
            format!("{good}="),
            format!(" {good}"),
            with_header("[]"),
            with_header("{}"),
            with_header(r#"{"alg":1}"#),
            with_header(r#"{"alg":"none","alg":"ES256"}"#),
            with_header(r#"{"alg":"ES256","jwk":{"x":"a","x":"b"}}"#),
            with_header(r#"{"alg":"ES256","crit":["b64"],"b64":false}"#),
        ] {
            assert!(CompactJws::parse(&bad, 500).is_none(), "{bad} was taken");
        }
    }

    #[test]
    fn claims_that_can_be_read_in_two_ways_are_none() {
        let claims = |payload: &str| {
            let header = encode(br#"{"alg":"ES256"}"#);
            let text = format!("{header}.{}.{}", encode(payload.as_bytes()), encode(&[0; 64]));
            CompactJws::parse(&text, 500)?.claims::<Value>()
        };
        assert!(claims(r#"{"sub":"ana","a":{"b":1}}"#).is_some());
        for twice in [
            r#"{"sub":"ana","sub":"ben"}"#,
            r#"{"sub":"ana","s\u0075b":"ben"}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":[{"b":1,"b":2}]}"#,
        ] {
            assert!(claims(twice).is_none(), "{twice}");
        }
        assert!(claims("\u{feff}{}").is_none(), "a byte order mark");
    }

    #[test]
    fn a_key_verifies_nothing_that_names_another_algorithm() {
        use p256::ecdsa::signature::Signer as _;
        let secret = p256::ecdsa::SigningKey::from_slice(&[1; 32]).expect("below the order");
        let key = PublicKey::P256(Box::new(*secret.verifying_key()));
        for (name, verified) in [("ES256", true), ("RS256", false), ("EdDSA", false)] {
            let header = format!(r#"{{"alg":"{name}"}}"#);
            let message = format!("{}.{}", encode(header.as_bytes()), encode(b"{}"));
            let signature: Signature = secret.sign(message.as_bytes());
            let text = format!("{message}.{}", encode(&signature.to_bytes()));
            let jws = CompactJws::parse(&text, 500).expect("well formed");
            assert_eq!(jws.is_signed_by(&key), verified, "{name}");
        }
    }

    #[test]
    fn one_value_has_one_encoding() {
        assert_eq!(decode("AA").as_deref(), Some(&[0][..]));
        assert_eq!(decode("AB"), None, "bits beyond the last byte");
        assert_eq!(decode("AA=="), None, "padding");
        assert_eq!(decode("+/8"), None, "the other alphabet");
    }

    #[test]
    fn a_point_off_the_curve_is_no_key() {
        let one = encode(&[1; 32]);
        assert!(PublicKey::from_p256_coordinates(&one, &one).is_none());
        assert!(PublicKey::from_p256_coordinates("", "").is_none());
    }
}
