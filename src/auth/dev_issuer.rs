//! The identity issuer of `--dev`: signs access tokens for every caller. Its tokens go through the
//! same verifier as those of a real issuer.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::auth::error::Scheme;
use crate::auth::jwks::KeySet;
use crate::auth::jws::{decode_exactly, encode};
use crate::auth::key_source::{KeySource, KeySourceError};
use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::role::{Role, Roles};
use crate::domain::time::Timestamp;

/// Life of a token, in seconds: long enough for an evening's work, short enough that token renewal
/// occurs during development.
pub const TOKEN_LIFETIME_S: u32 = 60 * 60;
/// Name of the key's file in the data directory.
const KEY_FILE: &str = "dev-issuer.key";

/// Why the issuer can't be opened or refuses to issue a token.
#[derive(Debug, thiserror::Error)]
pub enum DevIssuerError {
    /// The key's file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The key's file does not hold a P-256 key in PKCS #8 PEM.
    #[error("{} does not hold a P-256 private key", path.display())]
    KeyInvalid {
        /// The file.
        path: PathBuf,
    },
    /// The requested key thumbprint is malformed (RFC 7638, SHA-256).
    #[error("the key thumbprint is not 32 bytes in base64url")]
    ThumbprintInvalid,
    /// The requested subject is the id of a part of the server.
    #[error("user ids that begin with `cabildo:` are reserved for the server")]
    SubjectReserved,
}

/// The contents of a requested token.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Tenant of the token.
    pub tenant_id: TenantId,
    /// Subject of the token.
    pub user_id: UserId,
    /// Name of the subject, shown to people.
    pub name: Option<String>,
    /// Roles of the subject.
    pub roles: Roles,
    /// The only session for which it is valid; `None` for all.
    pub session_id: Option<SessionId>,
    /// Thumbprint of the key to which it is bound, in base64url (RFC 7638). Without one it is a
    /// bearer token, which allows only reads.
    pub jkt: Option<String>,
}

/// An issued token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token.
    pub access_token: String,
    /// The scheme with which it is used: `DPoP` when it is bound to a key, else `Bearer`.
    pub token_type: &'static str,
    /// How long it is valid, in seconds.
    pub expires_in_s: u32,
}

/// The issuer of `--dev`.
pub struct DevIssuer {
    issuer: String,
    audience: String,
    key: SigningKey,
    key_id: String,
    jwks: Value,
}

impl DevIssuer {
    /// Opens the issuer whose key is kept in `data_dir`; makes the key, readable only by its owner,
    /// at first use. Blocks on files.
    pub fn open(
        data_dir: &Path,
        issuer: impl Into<String>,
        audience: impl Into<String>,
    ) -> Result<Self, DevIssuerError> {
        let path = data_dir.join(KEY_FILE);
        let key = match fs::read_to_string(&path) {
            Ok(pem) => {
                SigningKey::from_pkcs8_pem(&pem).map_err(|_| DevIssuerError::KeyInvalid { path })?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create_key(&path).map_err(|source| DevIssuerError::File { path, source })?
            }
            Err(source) => return Err(DevIssuerError::File { path, source }),
        };
        Ok(Self::with_key(key, issuer.into(), audience.into()))
    }

    /// Whether no issuer was ever opened in `data_dir`.
    #[must_use]
    pub fn is_absent(data_dir: &Path) -> bool {
        matches!(data_dir.join(KEY_FILE).try_exists(), Ok(false))
    }

    fn with_key(key: SigningKey, issuer: String, audience: String) -> Self {
        let point = key.verifying_key().to_sec1_point(false);
        let bytes = point.as_bytes();
        let (x, y) = (encode(&bytes[1..33]), encode(&bytes[33..]));
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let key_id = encode(&Sha256::digest(canonical));
        let jwks = json!({"keys": [{
            "kty": "EC", "crv": "P-256", "x": x, "y": y,
            "use": "sig", "alg": "ES256", "kid": key_id,
        }]});
        Self { issuer, audience, key, key_id, jwks }
    }

    /// The public key, as a JWK set.
    #[must_use]
    pub const fn jwks(&self) -> &Value {
        &self.jwks
    }

    /// Issues a token that is valid from `now`, without checking who asks.
    pub fn issue(
        &self,
        request: &TokenRequest,
        now: Timestamp,
    ) -> Result<IssuedToken, DevIssuerError> {
        if let Some(jkt) = &request.jkt {
            decode_exactly::<32>(jkt).ok_or(DevIssuerError::ThumbprintInvalid)?;
        }
        if request.user_id.is_reserved() {
            return Err(DevIssuerError::SubjectReserved);
        }
        let roles: Vec<_> = request.roles.iter().map(Role::as_str).collect();
        let mut claims = json!({
            "iss": self.issuer, "aud": self.audience, "sub": request.user_id.as_str(),
            "iat": now.unix_s(), "exp": now.unix_s() + i64::from(TOKEN_LIFETIME_S),
            "jti": Uuid::new_v4(), "tenant_id": request.tenant_id.as_uuid(),
            "roles": roles,
        });
        if let Some(jkt) = &request.jkt {
            claims["cnf"] = json!({"jkt": jkt});
        }
        if let Some(name) = &request.name {
            claims["name"] = json!(name);
        }
        if let Some(session_id) = &request.session_id {
            claims["session_id"] = json!(session_id.as_uuid());
        }
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": self.key_id});
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        let signature: Signature = self.key.sign(signed.as_bytes());
        let access_token = format!("{signed}.{}", encode(&signature.to_bytes()));
        let scheme = if request.jkt.is_some() { Scheme::Dpop } else { Scheme::Bearer };
        let token_type = scheme.as_str();
        Ok(IssuedToken { access_token, token_type, expires_in_s: TOKEN_LIFETIME_S })
    }
}

/// Draws random bytes until they are a valid key. They are not when they are zero or above the
/// order of the curve, which has a probability of 2^-32.
fn random_key() -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_slice(&rand::random::<[u8; 32]>()) {
            return key;
        }
    }
}

fn create_key(path: &Path) -> io::Result<SigningKey> {
    let key = random_key();
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    Ok(key)
}

impl std::fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevIssuer").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

#[async_trait]
impl KeySource for DevIssuer {
    async fn fetch(&self) -> Result<KeySet, KeySourceError> {
        Ok(KeySet::parse(self.jwks.to_string().as_bytes())?)
    }
}
