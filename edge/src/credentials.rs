//! What the box proves who it is with. Secrets come from files or the environment.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::DecodePrivateKey as _;
use rand::Rng as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The tenant of the examples, which development uses when none is named.
const EXAMPLE_TENANT: &str = "0190a1b2-0000-7000-8000-000000000001";

/// What the box proves who it is with.
pub(crate) enum Credentials {
    /// A client certificate of a service, which names the tenant that it means.
    Service {
        /// Certificate and key in PEM.
        identity: Vec<u8>,
        /// The tenant; the server's own choice without one.
        tenant: Option<String>,
    },
    /// An access token that is bound to a key. It is read again for each request, so whoever
    /// writes it may renew it.
    Token {
        /// Where it comes from.
        token: TokenSource,
        /// The key.
        key: Key,
    },
    /// Development issues tokens to anybody.
    Development {
        /// The tenant.
        tenant: String,
        /// The key that they are bound to.
        key: Key,
    },
}

/// Where a token comes from.
pub(crate) enum TokenSource {
    /// A file.
    File(PathBuf),
    /// The environment.
    Fixed(String),
}

impl TokenSource {
    /// The token as it is now.
    ///
    /// # Errors
    /// When it can't be read.
    pub(crate) fn read(&self) -> std::io::Result<String> {
        match self {
            Self::File(path) => Ok(fs::read_to_string(path)?.trim().to_owned()),
            Self::Fixed(token) => Ok(token.clone()),
        }
    }
}

/// What is known of credentials.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// The tenant.
    pub(crate) tenant: Option<String>,
    /// A certificate and its key.
    pub(crate) certificate: Option<(PathBuf, PathBuf)>,
    /// A file with an access token.
    pub(crate) token_file: Option<PathBuf>,
    /// An access token.
    pub(crate) token: Option<String>,
    /// The file with the key that the token is bound to.
    pub(crate) key_file: Option<PathBuf>,
}

/// What is wrong with credentials.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsError {
    /// A file can't be used.
    #[error("{0}: {1}")]
    File(String, String),
    /// Some are missing.
    #[error("{0}")]
    Missing(&'static str),
}

impl Credentials {
    /// Those that were given; `is_local` says that the server is on this machine.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn new(given: Given, is_local: bool) -> Result<Self, CredentialsError> {
        let Given { tenant, certificate, token_file, token, key_file } = given;
        if let Some((certificate, key)) = certificate {
            let mut identity = read(&certificate)?;
            identity.push(b'\n');
            identity.extend(read(&key)?);
            return Ok(Self::Service { identity, tenant });
        }
        let token = token_file.map(TokenSource::File).or(token.map(TokenSource::Fixed));
        match (token, key_file) {
            (Some(token), Some(path)) => {
                let key = Key::read(&path)?;
                Ok(Self::Token { token, key })
            }
            (Some(_), None) => Err(CredentialsError::Missing(
                "a token needs the key that it is bound to: --dpop-key",
            )),
            (None, _) if is_local => {
                let tenant = tenant.unwrap_or_else(|| EXAMPLE_TENANT.to_owned());
                Ok(Self::Development { tenant, key: Key::generate()? })
            }
            (None, _) => Err(CredentialsError::Missing(
                "the box needs --cert and --key, or --token-file and --dpop-key",
            )),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CredentialsError> {
    fs::read(path)
        .map_err(|error| CredentialsError::File(path.display().to_string(), error.to_string()))
}

/// A P-256 key and its public half as a JSON Web Key.
pub(crate) struct Key {
    signing: SigningKey,
    public: Value,
    thumbprint: String,
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    fn generate() -> Result<Self, CredentialsError> {
        let secret: [u8; 32] = rand::rng().random();
        let failed = |error: p256::ecdsa::Error| {
            CredentialsError::File("a new key".to_owned(), error.to_string())
        };
        Ok(Self::of(SigningKey::from_slice(&secret).map_err(failed)?))
    }

    fn read(path: &Path) -> Result<Self, CredentialsError> {
        let wrong = || {
            let problem = "expected a P-256 key as PKCS #8 in PEM";
            CredentialsError::File(path.display().to_string(), problem.to_owned())
        };
        let text = String::from_utf8(read(path)?).map_err(|_| wrong())?;
        Ok(Self::of(SigningKey::from_pkcs8_pem(&text).map_err(|_| wrong())?))
    }

    fn of(signing: SigningKey) -> Self {
        let point = signing.verifying_key().to_sec1_point(false);
        let coordinates = point.as_bytes().get(1..).unwrap_or_default();
        let (x, y) = coordinates.split_at(coordinates.len() / 2);
        let (x, y) = (encode(x), encode(y));
        // RFC 7638 §3.2: required members only, in the order of their names.
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = encode(Sha256::digest(canonical));
        let public = json!({"kty": "EC", "crv": "P-256", "x": x, "y": y});
        Self { signing, public, thumbprint }
    }

    /// The thumbprint that the access token has in `cnf.jkt` (RFC 9449 §6.1).
    #[must_use]
    pub(crate) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// Makes a proof for one request (RFC 9449 §4.2), `issued_s` seconds after 1970.
    #[must_use]
    pub(crate) fn proof(
        &self,
        method: &str,
        url: &str,
        token: &str,
        nonce: Option<&str>,
        issued_s: i64,
    ) -> String {
        let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.public});
        let mut claims = json!({
            "jti": uuid::Uuid::new_v4().to_string(),
            "htm": method,
            "htu": url,
            "iat": issued_s,
            "ath": encode(Sha256::digest(token)),
        });
        if let (Some(nonce), Some(claims)) = (nonce, claims.as_object_mut()) {
            claims.insert("nonce".to_owned(), nonce.into());
        }
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let signature: Signature = self.signing.sign(signed.as_bytes());
        format!("{signed}.{}", encode(signature.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use p256::ecdsa::signature::Verifier as _;

    use super::*;

    #[test]
    fn a_proof_verifies_with_the_key_it_names() {
        let key = Key::generate().expect("a key");
        let proof = key.proof("POST", "http://localhost/store/sessions", "token", Some("n"), 7);
        let (signed, signature) = proof.rsplit_once('.').expect("three parts");
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).expect("base64url");
        let claims = signed.split_once('.').expect("two parts").1;
        let claims: Value = serde_json::from_slice(&decode(claims)).expect("JSON");
        assert_eq!((&claims["htm"], &claims["nonce"]), (&json!("POST"), &json!("n")));
        assert_eq!(claims["iat"], 7);
        // SHA-256 of "token", base64url.
        assert_eq!(claims["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A");
        let signature = Signature::from_slice(&decode(signature)).expect("a signature");
        key.signing.verifying_key().verify(signed.as_bytes(), &signature).expect("verified");
    }

    #[test]
    fn what_is_missing_is_said() {
        let given =
            |token: Option<&str>| Given { token: token.map(str::to_owned), ..Given::default() };
        assert!(Credentials::new(given(None), false).is_err());
        assert!(Credentials::new(given(Some("t")), true).is_err(), "a token without its key");
        let development = Credentials::new(given(None), true).expect("it needs none");
        assert!(
            matches!(development, Credentials::Development { tenant, .. } if tenant == EXAMPLE_TENANT)
        );
    }
}
