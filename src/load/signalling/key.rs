//! Makes proofs of possession (RFC 9449 §4.2) with a key of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use rand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::load::LoadError;

/// A P-256 key and its public half as a JSON Web Key.
#[derive(Clone)]
pub struct Key {
    signing: SigningKey,
    public: Value,
    thumbprint: String,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    /// Makes a new key.
    pub fn generate() -> Result<Self, LoadError> {
        let secret: [u8; 32] = rand::rng().random();
        let signing = SigningKey::from_slice(&secret)
            .map_err(|error| LoadError::Cryptography(error.to_string()))?;
        let point = signing.verifying_key().to_sec1_point(false);
        let [_, coordinates @ ..] = point.as_bytes() else {
            return Err(LoadError::Cryptography("the key has no public point".to_owned()));
        };
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (encode(x), encode(y));
        // RFC 7638 §3.2: required members only, in the order of their names.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = encode(Sha256::digest(canonical));
        let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        Ok(Self { signing, public, thumbprint })
    }

    /// The thumbprint that the access token has in `cnf.jkt` (RFC 9449 §6.1).
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Makes a proof for one request.
    #[must_use]
    pub fn proof(&self, method: &str, url: &str, token: &str, nonce: Option<&str>) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public});
        let issued = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4().to_string(),
            "htm": method,
            "htu": url,
            "iat": issued,
            "ath": encode(Sha256::digest(token)),
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature: Signature = self.signing.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::VerifyingKey;
    use p256::ecdsa::signature::Verifier;

    use super::*;

    fn decode(text: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap()
    }

    #[test]
    fn a_proof_verifies_with_the_key_it_names() {
        let key = Key::generate().unwrap();
        let proof = key.proof("GET", "http://localhost/moderation", "token", Some("n"));
        let (signed, signature) = proof.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let (header, claims) = (decode(header), decode(claims));
        assert_eq!((&header["alg"], &header["typ"]), (&json!("ES256"), &json!("dpop+jwt")));
        assert_eq!((&claims["htm"], &claims["nonce"]), (&json!("GET"), &json!("n")));
        // SHA-256 of "token", base64url.
        assert_eq!(claims["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
        let coordinate =
            |name: &str| URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().unwrap()).unwrap();
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let signature = Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        VerifyingKey::from_sec1_bytes(&point)
            .unwrap()
            .verify(signed.as_bytes(), &signature)
            .unwrap();
    }
}
