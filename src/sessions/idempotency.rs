//! Requests that may come twice and must be carried out once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::id::{TenantId, UserId};
use crate::domain::participant::ServiceName;
use crate::domain::time::Timestamp;
use crate::sessions::repository::RepositoryError;

/// How long an answer is kept to be repeated. Afterwards its key is free. What
/// one caller can fill is this times the rate of writes it is allowed.
pub const KEPT: Duration = Duration::from_hours(24);
/// Age at which a claim that was never finished may be taken over: its process
/// is taken for dead. It has to be longer than any request may run.
pub const TAKEN_OVER_AFTER: Duration = Duration::from_mins(1);
/// Largest answer that is kept, in bytes of its body. A larger one frees its
/// key instead.
pub const ANSWER_BYTES_MAX: usize = 65_536;

/// The text is not an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 128 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// What a caller names one request with: 1 to 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Longest key taken, in bytes. Raising it widens a database index.
    pub const LENGTH_MAX: usize = 128;

    /// The key as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for IdempotencyKey {
    type Err = InvalidIdempotencyKey;

    fn from_str(text: &str) -> Result<Self, InvalidIdempotencyKey> {
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len());
        if fits && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidIdempotencyKey)
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}

/// Who made a request; two callers never share a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person or device.
    User(UserId),
    /// A service with a client certificate.
    Service(ServiceName),
}

/// A request that wants to be carried out once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tenant it is about.
    pub tenant: TenantId,
    /// Who made it.
    pub caller: Caller,
    /// What the caller names it with.
    pub key: IdempotencyKey,
    /// SHA-256 of its method, path and body.
    pub request_hash: [u8; 32],
}

/// An answer to be repeated to whoever asks the same again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// The headers worth repeating (`Location`, `ETag`), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// Right to finish or abandon a claim. It is void once another process has
/// taken the claim over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimToken(Uuid);

impl ClaimToken {
    /// A new right, random.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }

    /// The right as stores keep it.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Carry it out, then finish or abandon the claim.
    Fresh(ClaimToken),
    /// It was carried out; give this answer again.
    Replay(StoredAnswer),
    /// It is being carried out (`IDEMPOTENCY_KEY_IN_USE`).
    InUse,
    /// The key came with another request before (`IDEMPOTENCY_KEY_REUSED`).
    DifferentRequest,
}

/// Where claims and answers are kept, shared by all instances.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Claims a request, or says why not. Of concurrent calls with one key
    /// exactly one is [`Begin::Fresh`].
    async fn begin(&self, claim: &Claim, now: Timestamp) -> Result<Begin, RepositoryError>;

    /// Keeps the answer for [`KEPT`]. Does nothing when the claim was taken
    /// over; frees the key when the answer is larger than [`ANSWER_BYTES_MAX`].
    async fn finish(
        &self,
        claim: &Claim,
        token: ClaimToken,
        answer: &StoredAnswer,
        now: Timestamp,
    ) -> Result<(), RepositoryError>;

    /// Frees the key, because the request failed in a way that may pass. Does
    /// nothing when the claim was taken over.
    async fn abandon(&self, claim: &Claim, token: ClaimToken) -> Result<(), RepositoryError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bounded_visible_ascii() {
        let longest = "k".repeat(IdempotencyKey::LENGTH_MAX);
        assert!(longest.parse::<IdempotencyKey>().is_ok());
        for bad in ["", "a b", "ñ", "a\0", &"k".repeat(129)] {
            assert_eq!(bad.parse::<IdempotencyKey>(), Err(InvalidIdempotencyKey), "{bad:?}");
        }
    }
}
