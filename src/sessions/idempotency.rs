//! Requests that may be repeated but must be carried out only once.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::participant::ServiceName;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;

/// How long an answer is kept for repetitions. Afterwards its key is free. The rate limit for
/// writes times this bounds what one caller can store.
pub const KEPT: Duration = Duration::from_hours(24);
/// Age at which an unfinished claim may be taken over, since its process has probably died. A request
/// of which it is not known what became of it may be older: its own process refuses a repetition as
/// long as it carries it out, but another instance may then carry it out again, with the same
/// [`PlannedId`].
pub const TAKEN_OVER_AFTER: Duration = Duration::from_mins(1);
/// Largest answer that is kept, in bytes of its body. A larger one frees its key instead.
pub const ANSWER_BYTES_MAX: usize = 65_536;

/// The text is not an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to 128 visible ASCII characters")]
pub struct InvalidIdempotencyKey;

/// The name that a caller gives to one request: 1 to 128 visible ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Longest key accepted, in bytes. Raising it makes a database index larger.
    pub const LENGTH_MAX: usize = 128;

    /// The key as received.
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

/// As a text, in which a person and a service of the same name differ.
impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(user) => write!(f, "user:{}", user.as_str()),
            Self::Service(service) => write!(f, "service:{}", service.0),
        }
    }
}

/// What a request is answered with that comes again after it was carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repetition {
    /// The same answer, which is stored.
    SameAnswer,
    /// An answer that is made again, of what the request made before: there is a secret in it, so it is
    /// stored nowhere.
    AnswerAnew,
}

/// A request that must be carried out only once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The tenant it is about.
    pub tenant: TenantId,
    /// The session it is about, with whose recording its answer is erased.
    pub session: Option<SessionId>,
    /// Who made it.
    pub caller: Caller,
    /// The caller's name for it.
    pub key: IdempotencyKey,
    /// SHA-256 of its method, path and body.
    pub request_hash: [u8; 32],
    /// What it is answered with when it comes again.
    pub repetition: Repetition,
}

/// An answer that is kept for repetitions of the request; empty when each has to be answered anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// The headers to repeat (`Location`, `ETag`), names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// The right to finish or abandon a claim. It is void once another process has taken the claim
/// over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimToken(Uuid);

impl ClaimToken {
    /// Makes a random token.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::new_v4())
    }

    /// The token in its stored form.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// The id of what a request creates, if it creates something. All repetitions of the request have the
/// same one, so that what was created before a failure is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedId(Uuid);

impl PlannedId {
    /// Makes a new time-ordered identifier (`UUIDv7`, RFC 9562 §5.7).
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id in its stored form.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID itself.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

/// What to do with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Carry it out, then finish or abandon the claim.
    Fresh(ClaimToken, PlannedId),
    /// It was carried out before; answer it anew, then finish or abandon the claim.
    Again(ClaimToken, PlannedId),
    /// It was carried out before; return this answer.
    Replay(StoredAnswer),
    /// It is being carried out (`IDEMPOTENCY_KEY_IN_USE`).
    InUse,
    /// The key came with another request before (`IDEMPOTENCY_KEY_REUSED`).
    DifferentRequest,
}

/// The store of claims and answers, shared by all instances.
#[async_trait]
pub trait IdempotencyStore: Send + Sync {
    /// Claims a request, or returns why it must not be carried out. Of concurrent calls with one
    /// key, exactly one is [`Begin::Fresh`] or [`Begin::Again`].
    async fn begin(&self, claim: &Claim, now: Timestamp) -> Result<Begin, StoreError>;

    /// Stores the answer for [`KEPT`]. Does nothing when the claim was taken over; frees the key
    /// when the answer is larger than [`ANSWER_BYTES_MAX`].
    async fn finish(
        &self,
        claim: &Claim,
        token: ClaimToken,
        answer: &StoredAnswer,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Frees the key, because the request failed for a reason that may be temporary. Of a request that
    /// was carried out before it ends only the claim. Does nothing when the claim was taken over.
    async fn abandon(&self, claim: &Claim, token: ClaimToken) -> Result<(), StoreError>;
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
