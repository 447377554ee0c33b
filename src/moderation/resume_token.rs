//! The token with which a client resumes a lost connection: its identity and a secret, of which the
//! room keeps only the hash.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::id::{ConnectionId, TenantId};
use crate::room::engine::ResumeHash;

const SECRET_BYTES: usize = 32;
const TOKEN_BYTES: usize = 16 + 16 + SECRET_BYTES;

/// A parsed resume token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ResumeToken {
    pub(super) tenant: TenantId,
    pub(super) connection: ConnectionId,
    /// The hash that the room compares.
    pub(super) hash: ResumeHash,
}

/// A new secret.
pub(super) struct ResumeSecret([u8; SECRET_BYTES]);

impl ResumeSecret {
    pub(super) fn draw() -> Self {
        Self(rand::random())
    }

    /// The hash, which the room keeps.
    pub(super) fn hash(&self) -> ResumeHash {
        Sha256::digest(self.0).into()
    }

    /// The token, which the client keeps.
    pub(super) fn token(&self, tenant: TenantId, connection: ConnectionId) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[..16].copy_from_slice(tenant.as_uuid().as_bytes());
        bytes[16..32].copy_from_slice(connection.as_uuid().as_bytes());
        bytes[32..].copy_from_slice(&self.0);
        URL_SAFE_NO_PAD.encode(bytes)
    }
}

impl ResumeToken {
    /// Parses a token; `None` when it is malformed.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; TOKEN_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
        if length != TOKEN_BYTES {
            return None;
        }
        let uuid = |part: &[u8]| Uuid::from_slice(part).ok();
        Some(Self {
            tenant: TenantId::from_uuid(uuid(&bytes[..16])?),
            connection: ConnectionId::from_uuid(uuid(&bytes[16..32])?),
            hash: Sha256::digest(&bytes[32..]).into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_connection_and_hashes_to_what_the_room_keeps() {
        let (tenant, connection) = (TenantId::generate(), ConnectionId::generate());
        let secret = ResumeSecret::draw();
        let token = secret.token(tenant, connection);
        let hash = secret.hash();
        assert_eq!(ResumeToken::parse(&token), Some(ResumeToken { tenant, connection, hash }));
        for bad in ["", "x", &token[1..], &format!("{token}A"), &"é".repeat(43)] {
            assert_eq!(ResumeToken::parse(bad), None, "{bad:?}");
        }
    }
}
