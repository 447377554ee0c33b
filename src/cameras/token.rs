//! Playback tokens: `<payload>.<HMAC-SHA256>`, both base64url. The payload is
//! JSON: `{"v":1,"tid":…,"cid":…,"sid":…,"exp":…}`, times in seconds since 1970; `cid` is a camera, or
//! `session:` and the id of a session.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::domain::id::{CaptureId, StreamSessionId, TenantId};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::domain::watched::Watched;

/// Longest token that is looked at, in bytes; a camera id takes the most of it.
const TOKEN_BYTES_MAX: usize = 1_024;
/// Bytes of an HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;
/// The version of the payload.
const VERSION: u8 = 1;
/// Bound into every signature, so that the secret's other uses can't make one.
const DOMAIN: &[u8] = b"cabildo playback token v1\0";
/// The same for playback sessions, which are made of tokens.
const SESSION_DOMAIN: &[u8] = b"cabildo playback session v1\0";

/// The same for the addresses of captures, and for the keys that devices publish with.
const CAPTURE_DOMAIN: &[u8] = b"cabildo capture address v1\0";
const PUBLISH_DOMAIN: &[u8] = b"cabildo publish key v1\0";

/// Whose capture an address plays, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CaptureGrant {
    /// Whose capture.
    pub(super) tenant: TenantId,
    /// Which.
    pub(super) capture: CaptureId,
    /// Until when it plays.
    pub(super) expires_at: Timestamp,
}

/// Who may watch what until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Whose camera or session.
    pub tenant: TenantId,
    /// What may be watched.
    pub watched: Watched,
    /// The stream session that the token belongs to.
    pub session: StreamSessionId,
    /// Until when the token can be exchanged.
    pub expires_at: Timestamp,
}

/// Why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// It is not two parts of base64url, the second 32 bytes long.
    #[error("this is no playback token")]
    Format,
    /// It was changed, or is of another server.
    #[error("the token was changed")]
    Signature,
    /// Its contents are none of ours.
    #[error("the contents of the token can't be read")]
    Payload,
    /// It is too old.
    #[error("the token is too old; ask for a new session")]
    Expired,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    v: u8,
    tid: String,
    cid: String,
    sid: String,
    exp: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapturePayload {
    v: u8,
    tid: String,
    cap: String,
    exp: i64,
}

/// What playback tokens are signed with.
#[derive(Debug, Clone)]
pub struct PlaybackSecret(Secret<Vec<u8>>);

impl PlaybackSecret {
    /// A secret of 32 bytes or more.
    #[must_use]
    pub const fn new(secret: Secret<Vec<u8>>) -> Self {
        Self(secret)
    }

    /// The token of a grant. Its time of expiry is cut to whole seconds.
    #[must_use]
    pub fn sign(&self, grant: &Grant) -> String {
        self.sign_in(DOMAIN, grant)
    }

    /// The playback session of a grant, which stands in addresses.
    pub(super) fn sign_session(&self, grant: &Grant) -> String {
        self.sign_in(SESSION_DOMAIN, grant)
    }

    /// What a playback session grants. The time of one that `is_counted` is not judged by the clock, which
    /// may have been set.
    pub(super) fn open_session(
        &self,
        text: &str,
        now: Timestamp,
        is_counted: impl FnOnce(StreamSessionId) -> bool,
    ) -> Result<Grant, TokenRefused> {
        let grant = self.read_in(SESSION_DOMAIN, text)?;
        let is_over = grant.expires_at <= now && !is_counted(grant.session);
        if is_over { Err(TokenRefused::Expired) } else { Ok(grant) }
    }

    /// What stands in the address of a capture.
    pub(super) fn sign_capture(&self, grant: &CaptureGrant) -> String {
        let payload = CapturePayload {
            v: VERSION,
            tid: grant.tenant.to_string(),
            cap: grant.capture.to_string(),
            exp: grant.expires_at.unix_s(),
        };
        self.signed(CAPTURE_DOMAIN, &serde_json::to_vec(&payload).unwrap_or_default())
    }

    /// What the address of a capture grants.
    pub(super) fn open_capture(
        &self,
        text: &str,
        now: Timestamp,
    ) -> Result<CaptureGrant, TokenRefused> {
        let grant = self.verified(CAPTURE_DOMAIN, text).map(|bytes| read_capture(&bytes))?;
        let grant = grant.ok_or(TokenRefused::Payload)?;
        if grant.expires_at <= now { Err(TokenRefused::Expired) } else { Ok(grant) }
    }

    /// The key with which a device publishes into a capture that was opened then. It is made of
    /// these, so that it is stored nowhere.
    pub(super) fn publish_key(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
        opened_at: Timestamp,
    ) -> Secret<String> {
        let of = format!("{tenant}/{}/{capture}", opened_at.unix_us());
        Secret::new(URL_SAFE_NO_PAD.encode(self.mac(PUBLISH_DOMAIN, &of).finalize().into_bytes()))
    }

    fn sign_in(&self, domain: &[u8], grant: &Grant) -> String {
        let payload = Payload {
            v: VERSION,
            tid: grant.tenant.to_string(),
            cid: grant.watched.to_string(),
            sid: grant.session.to_string(),
            exp: grant.expires_at.unix_s(),
        };
        self.signed(domain, &serde_json::to_vec(&payload).unwrap_or_default())
    }

    fn signed(&self, domain: &[u8], payload: &[u8]) -> String {
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = self.mac(domain, &payload).finalize().into_bytes();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        format!("{payload}.{signature}")
    }

    /// What a token grants.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn open(&self, token: &str, now: Timestamp) -> Result<Grant, TokenRefused> {
        let grant = self.read_in(DOMAIN, token)?;
        if grant.expires_at <= now { Err(TokenRefused::Expired) } else { Ok(grant) }
    }

    fn read_in(&self, domain: &[u8], token: &str) -> Result<Grant, TokenRefused> {
        let grant = self.verified(domain, token).map(|bytes| read(&bytes))?;
        grant.ok_or(TokenRefused::Payload)
    }

    /// The payload of a token that was signed here.
    fn verified(&self, domain: &[u8], token: &str) -> Result<Vec<u8>, TokenRefused> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefused::Format);
        }
        let (payload, signature) = token.split_once('.').ok_or(TokenRefused::Format)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefused::Format);
        let (bytes, signature) = (decode(payload)?, decode(signature)?);
        if bytes.is_empty() || signature.len() != SIGNATURE_BYTES {
            return Err(TokenRefused::Format);
        }
        self.mac(domain, payload).verify_slice(&signature).map_err(|_| TokenRefused::Signature)?;
        Ok(bytes)
    }

    fn mac(&self, domain: &[u8], payload: &str) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose())
            .unwrap_or_else(|_| Hmac::<Sha256>::new(&<_>::default()));
        mac.update(domain);
        mac.update(payload.as_bytes());
        mac
    }
}

fn read(payload: &[u8]) -> Option<Grant> {
    let payload: Payload = serde_json::from_slice(payload).ok()?;
    let expires_us = payload.exp.checked_mul(1_000_000)?;
    (payload.v == VERSION).then_some(())?;
    Some(Grant {
        tenant: payload.tid.parse().ok()?,
        watched: payload.cid.parse().ok()?,
        session: payload.sid.parse().ok()?,
        expires_at: Timestamp::from_unix_us(expires_us),
    })
}

fn read_capture(payload: &[u8]) -> Option<CaptureGrant> {
    let payload: CapturePayload = serde_json::from_slice(payload).ok()?;
    let expires_us = payload.exp.checked_mul(1_000_000)?;
    (payload.v == VERSION).then_some(())?;
    Some(CaptureGrant {
        tenant: payload.tid.parse().ok()?,
        capture: payload.cap.parse().ok()?,
        expires_at: Timestamp::from_unix_us(expires_us),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> PlaybackSecret {
        PlaybackSecret::new(Secret::new(vec![byte; 32]))
    }

    fn grant() -> Grant {
        Grant {
            tenant: TenantId::generate(),
            watched: "hall-1".parse().expect("an id"),
            session: StreamSessionId::generate(),
            expires_at: Timestamp::from_unix_us(100_000_000),
        }
    }

    const BEFORE: Timestamp = Timestamp::from_unix_us(99_999_999);
    const AFTER: Timestamp = Timestamp::from_unix_us(100_000_000);

    #[test]
    fn a_playback_token_opens_until_it_expires() {
        let grant = grant();
        let token = secret(1).sign(&grant);
        assert_eq!(secret(1).open(&token, BEFORE), Ok(grant));
        assert_eq!(secret(1).open(&token, AFTER), Err(TokenRefused::Expired));
        assert_eq!(secret(2).open(&token, BEFORE), Err(TokenRefused::Signature));
    }

    #[test]
    fn a_token_is_no_playback_session_and_a_session_no_token() {
        let (secret, grant) = (secret(1), grant());
        let (token, session) = (secret.sign(&grant), secret.sign_session(&grant));
        let open = |text, now| secret.open_session(text, now, |_| false);
        assert_eq!(open(&session, BEFORE), Ok(grant.clone()));
        assert_eq!(open(&token, BEFORE), Err(TokenRefused::Signature));
        assert_eq!(secret.open(&session, BEFORE), Err(TokenRefused::Signature));
        assert_eq!(open(&session, AFTER), Err(TokenRefused::Expired));
        let id = grant.session;
        assert_eq!(secret.open_session(&session, AFTER, |it| it == id), Ok(grant));
    }

    #[test]
    fn every_changed_character_of_a_playback_token_is_noticed() {
        let token = secret(1).sign(&grant());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("ASCII");
            let refused = secret(1).open(&changed, BEFORE);
            assert!(
                matches!(refused, Err(TokenRefused::Signature | TokenRefused::Format)),
                "character {at}: {refused:?}"
            );
        }
    }

    #[test]
    fn what_is_no_playback_token_is_refused_by_its_first_fault() {
        let secret = secret(1);
        let valid = secret.sign(&grant());
        let (payload, signature) = valid.split_once('.').expect("two parts");
        for token in [
            "",
            ".",
            "a",
            "a.b",
            payload,
            &format!("{payload}."),
            &format!(".{signature}"),
            &format!("{payload}.{}", &signature[..20]),
            &format!("{valid}.x"),
            &"A".repeat(5_000),
        ] {
            assert_eq!(secret.open(token, BEFORE), Err(TokenRefused::Format), "{token}");
        }
        for payload in [
            &b"{}"[..],
            b"null",
            b"\xFF",
            br#"{"v":2,"tid":"a","cid":"b","sid":"c","exp":1}"#,
            br#"{"v":1,"tid":"a","cid":"b","sid":"c","exp":1,"x":2}"#,
        ] {
            let token = secret.signed(DOMAIN, payload);
            assert_eq!(secret.open(&token, BEFORE), Err(TokenRefused::Payload));
        }
        // A time that can't be is no panic.
        let whole = String::from_utf8(URL_SAFE_NO_PAD.decode(payload).expect("base64"));
        let whole = whole.expect("text").replace("\"exp\":100", &format!("\"exp\":{}", i64::MAX));
        let token = secret.signed(DOMAIN, whole.as_bytes());
        assert_eq!(secret.open(&token, BEFORE), Err(TokenRefused::Payload));
    }
}
