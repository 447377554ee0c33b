//! Credentials of TURN that last a short time. The username says until when and for whom, and the
//! password is a MAC of it, so that nothing is stored until a client has shown both.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::domain::id::{ConnectionId, SessionId, TenantId, UserId};
use crate::domain::secret::Secret;

/// Bytes of the tag that stands for a person. Two people with the same one share a quota.
const PERSON_BYTES: usize = 8;
/// Bytes of what a username names: session, connection, person.
const HOLDER_BYTES: usize = 16 + 16 + PERSON_BYTES;

/// For whom credentials were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    /// The session.
    pub(super) session: SessionId,
    /// The connection in the room of the session.
    pub(super) connection: ConnectionId,
    /// Stands for the person in the tenant.
    pub(super) person: [u8; PERSON_BYTES],
}

impl Holder {
    /// The connection that it is.
    pub(super) const fn owner(&self) -> (SessionId, ConnectionId) {
        (self.session, self.connection)
    }
}

/// The key with which credentials are made and checked.
#[derive(Debug, Clone)]
pub struct AccessKey(Secret<Vec<u8>>);

impl AccessKey {
    /// Takes a secret of 32 bytes or more.
    #[must_use]
    pub const fn new(secret: Secret<Vec<u8>>) -> Self {
        Self(secret)
    }

    /// The holder of credentials for a connection of a person.
    pub(super) fn holder(
        &self,
        session: SessionId,
        connection: ConnectionId,
        tenant: TenantId,
        user: &UserId,
    ) -> Holder {
        let tag = self.tag(b"person", &[tenant.as_uuid().as_bytes(), user.as_str().as_bytes()]);
        let mut person = [0; PERSON_BYTES];
        person.copy_from_slice(&tag[..PERSON_BYTES]);
        Holder { session, connection, person }
    }

    /// Makes a username and a password that new allocations may be made with until then.
    pub(super) fn issue(&self, holder: &Holder, expires_unix_s: i64) -> (String, Secret<String>) {
        let mut named = [0; HOLDER_BYTES];
        named[..16].copy_from_slice(holder.session.as_uuid().as_bytes());
        named[16..32].copy_from_slice(holder.connection.as_uuid().as_bytes());
        named[32..].copy_from_slice(&holder.person);
        let username = format!("{expires_unix_s}:{}", URL_SAFE_NO_PAD.encode(named));
        let password = self.password(&username);
        (username, password)
    }

    /// The password that belongs to a username.
    pub(super) fn password(&self, username: &str) -> Secret<String> {
        Secret::new(STANDARD_NO_PAD.encode(self.tag(b"password", &[username.as_bytes()])))
    }

    fn tag(&self, purpose: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 §2)")]
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("a key of any length fits");
        mac.update(b"cabildo turn ");
        mac.update(purpose);
        for part in parts {
            mac.update(b"\0");
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// What a username says: for whom it is, and until when in seconds of Unix time. Believed only once
/// the password was shown.
pub(super) fn parse(username: &str) -> Option<(Holder, i64)> {
    let (expires, named) = username.split_once(':')?;
    let expires = expires.parse().ok()?;
    let mut bytes = [0; HOLDER_BYTES];
    let length = URL_SAFE_NO_PAD.decode_slice(named, &mut bytes).ok()?;
    if length != HOLDER_BYTES {
        return None;
    }
    let uuid = |bytes: &[u8]| Uuid::from_slice(bytes).ok();
    let mut person = [0; PERSON_BYTES];
    person.copy_from_slice(&bytes[32..]);
    let holder = Holder {
        session: SessionId::from_uuid(uuid(&bytes[..16])?),
        connection: ConnectionId::from_uuid(uuid(&bytes[16..32])?),
        person,
    };
    Some((holder, expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_name_their_holder_and_no_other_key_makes_them() {
        let (key, other) =
            (AccessKey::new(Secret::new(vec![1; 32])), AccessKey::new(Secret::new(vec![2; 32])));
        let (session, connection) = (SessionId::generate(), ConnectionId::generate());
        let tenant = TenantId::generate();
        let user: UserId = "ana".parse().expect("a user");
        let holder = key.holder(session, connection, tenant, &user);
        let (username, password) = key.issue(&holder, 1_700_000_000);
        assert_eq!(parse(&username), Some((holder, 1_700_000_000)));
        assert_eq!(key.password(&username), password);
        assert_ne!(other.password(&username), password);
        assert_ne!(key.holder(session, connection, TenantId::generate(), &user), holder);
        let elsewhere = username.replacen('1', "2", 1);
        assert_ne!(key.password(&elsewhere), password, "the end is covered");
    }

    #[test]
    fn texts_that_are_no_usernames_name_nobody() {
        for text in ["", ":", "12:", "12:AAAA", "x:AAAA", "99999999999999999999:AAAA", "12:é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&format!("1:{}", "A".repeat(400))), None);
    }
}
