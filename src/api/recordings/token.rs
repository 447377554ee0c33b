//! Signed playback addresses: `<grant>.<HMAC-SHA256>`, both base64url.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::id::{PlayableId, SessionId, TenantId, UserId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// Longest token accepted, in bytes. Most of it is the user id.
const TOKEN_BYTES_MAX: usize = 4_096;
/// Part of every signed text, so that a signature for another purpose is not valid here.
const DOMAIN: &[u8] = b"cabildo recording address v1\0";

/// What a person may read until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) tenant: TenantId,
    pub(super) session: SessionId,
    /// The file; `None` for the time line.
    pub(super) file: Option<PlayableId>,
    /// The person to whom the address was given.
    pub(super) user: UserId,
    pub(super) expires_at: Timestamp,
}

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenRefused {
    #[error("this is not the address of a recording")]
    Format,
    #[error("the address was changed")]
    Signature,
    #[error("the address has expired; request a new one")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    t: String,
    s: String,
    f: Option<String>,
    u: String,
    e: i64,
}

/// The key that signs playback addresses.
#[derive(Debug, Clone)]
pub struct PlaybackKey {
    key: Secret<Vec<u8>>,
    valid_for: Duration,
}

impl PlaybackKey {
    /// Makes a key from 32 bytes or more; addresses are valid for `valid_for`.
    #[must_use]
    pub const fn new(key: Secret<Vec<u8>>, valid_for: Duration) -> Self {
        Self { key, valid_for }
    }

    /// Makes a random key for this process.
    #[must_use]
    pub fn random(valid_for: Duration) -> Self {
        let key: [u8; 32] = rand::random();
        Self::new(Secret::new(key.to_vec()), valid_for)
    }

    pub(super) const fn valid_for(&self) -> Duration {
        self.valid_for
    }

    pub(super) fn sign(&self, grant: &Grant) -> String {
        let claims = Claims {
            t: grant.tenant.to_string(),
            s: grant.session.to_string(),
            f: grant.file.map(|file| file.to_string()),
            u: grant.user.as_str().to_owned(),
            e: grant.expires_at.unix_us(),
        };
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&claims).unwrap_or_default());
        let signature = URL_SAFE_NO_PAD.encode(self.mac(&claims).finalize().into_bytes());
        format!("{claims}.{signature}")
    }

    pub(super) fn open(&self, token: &str, now: Timestamp) -> Result<Grant, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::Format);
        }
        let (claims, signature) = token.split_once('.').ok_or(TokenRefused::Format)?;
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| TokenRefused::Format)?;
        self.mac(claims).verify_slice(&signature).map_err(|_| TokenRefused::Signature)?;
        let format = |_| TokenRefused::Format;
        let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| TokenRefused::Format)?;
        let claims: Claims = serde_json::from_slice(&claims).map_err(|_| TokenRefused::Format)?;
        let grant = Grant {
            tenant: claims.t.parse().map_err(format)?,
            session: claims.s.parse().map_err(format)?,
            file: claims.f.map(|file| file.parse()).transpose().map_err(format)?,
            user: claims.u.parse().map_err(format)?,
            expires_at: Timestamp::from_unix_us(claims.e),
        };
        if grant.expires_at <= now { Err(TokenRefused::Expired) } else { Ok(grant) }
    }

    fn mac(&self, claims: &str) -> Hmac<Sha256> {
        // HMAC accepts keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose())
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&<_>::default()));
        mac.update(DOMAIN);
        mac.update(claims.as_bytes());
        mac
    }
}

/// A hash that identifies an address without containing it.
pub(super) fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(file: Option<PlayableId>) -> Grant {
        Grant {
            tenant: TenantId::generate(),
            session: SessionId::generate(),
            file,
            user: "ana".parse().expect("a user"),
            expires_at: Timestamp::from_unix_us(1_000_000),
        }
    }

    const BEFORE: Timestamp = Timestamp::from_unix_us(999_999);
    const AFTER: Timestamp = Timestamp::from_unix_us(1_000_000);

    #[test]
    fn an_address_opens_until_it_expires() {
        let key = PlaybackKey::random(Duration::from_mins(1));
        for grant in [grant(None), grant(Some(PlayableId::generate()))] {
            let token = key.sign(&grant);
            assert_eq!(key.open(&token, BEFORE), Ok(grant));
            assert_eq!(key.open(&token, AFTER), Err(TokenRefused::Expired));
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let key = PlaybackKey::random(Duration::from_mins(1));
        let token = key.sign(&grant(Some(PlayableId::generate())));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            let refused = key.open(&changed, BEFORE);
            assert!(
                matches!(refused, Err(TokenRefused::Signature | TokenRefused::Format)),
                "character {at}"
            );
        }
        let other = PlaybackKey::random(Duration::from_mins(1));
        assert_eq!(other.open(&token, BEFORE), Err(TokenRefused::Signature));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let key = PlaybackKey::random(Duration::from_mins(1));
        for token in ["", ".", "a.b", "a", &"A".repeat(5_000)] {
            assert!(key.open(token, BEFORE).is_err(), "{token}");
        }
    }
}
