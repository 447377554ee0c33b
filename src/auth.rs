//! Authenticates callers: access tokens of the identity service, proofs of possession (RFC 9449)
//! and client certificates become a [`Principal`] or a
//! [`ServiceName`](crate::domain::participant::ServiceName).
//!
//! The caller of this module passes header values. It must refuse a request with several
//! `Authorization` or several `DPoP` headers itself (RFC 9449 §4.3, check 1), with
//! [`AuthError::ProofInvalid`] or [`AuthError::CredentialsMissing`].

mod access_token;
pub mod client_cert;
pub mod dev_certificates;
pub mod dev_issuer;
mod dpop;
mod error;
mod jwks;
mod jws;
mod key_cache;
mod key_schedule;
mod key_source;
mod media_token;
mod nonce;
mod replay;
pub mod served_tls;

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq as _;

pub use crate::auth::error::{AuthError, Scheme};
pub use crate::auth::jwks::{KEYS_MAX, KeySet, KeySetInvalid};
pub use crate::auth::key_source::{
    HttpKeySource, HttpKeySourceOptions, KeySource, KeySourceError, PlainHttp,
};
pub use crate::auth::media_token::{
    LIFETIME_MAX, LIFETIME_MIN, MediaToken, MediaTokenId, MediaTokenKind, MediaTokenRefused,
    MediaTokenRepository, MediaTokenWanted, MediaTokens, MediaTokensUnavailable,
    TOKENS_PER_PERSON_MAX,
};
pub use crate::auth::nonce::{NonceKey, NonceKeyTooShort};
pub use crate::auth::replay::{InMemoryReplayCache, ReplayCache, ReplayCacheUnavailable};

use crate::auth::access_token::{AccessTokenVerifier, VerifiedToken};
use crate::auth::dpop::{CheckedProof, Expected};
use crate::domain::participant::Principal;
use crate::domain::time::Timestamp;

/// How far the clocks of issuers, clients and other instances may differ from ours. Raising it
/// lengthens the life of every token by as much.
pub const CLOCK_LEEWAY: Duration = Duration::from_secs(30);

/// The issuer that the authenticator trusts, and the audience it accepts.
#[derive(Debug, Clone)]
pub struct AuthOptions {
    /// The `iss` that access tokens must have, compared exactly.
    pub issuer: String,
    /// The `aud` that access tokens must have, alone or among others.
    pub audience: String,
    /// The secret from which server nonces are made; all instances share it.
    pub nonce_key: NonceKey,
}

/// The credentials of a request with a proof of possession, as in its headers.
#[derive(Debug, Clone, Copy)]
pub struct DpopRequest<'a> {
    /// The `Authorization` header.
    pub authorization: Option<&'a str>,
    /// The `DPoP` header.
    pub proof: Option<&'a str>,
    /// The method as it was received.
    pub method: &'a str,
    /// The absolute URL that the client used: the public base URL and the path received, never the
    /// `Host` header alone.
    pub url: &'a str,
}

/// What must show that a proof was made recently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// A nonce of this server: required for every write.
    Nonce,
    /// A nonce of this server, or a time within the last minute: enough for reads.
    NonceOrTime,
}

/// The credentials that a moderation socket sends in `authenticate` or `renew_token`.
#[derive(Debug, Clone, Copy)]
pub struct SocketCredentials<'a> {
    /// The access token, without a scheme.
    pub token: &'a str,
    /// The proof of possession.
    pub proof: &'a str,
    /// The nonce that this connection was given by [`Authenticator::socket_nonce`]. The caller must
    /// accept it only once.
    pub nonce: &'a str,
    /// The http or https URL of the channel; its query is ignored.
    pub url: &'a str,
}

/// Turns credentials into principals. One for the whole process, shared by reference.
pub struct Authenticator {
    tokens: AccessTokenVerifier,
    nonce_key: NonceKey,
    replay: Arc<dyn ReplayCache>,
}

impl Authenticator {
    /// Makes an authenticator that takes keys from `keys` and remembers used proofs in `replay`. It
    /// fetches keys at first use, within a tokio runtime.
    #[must_use]
    pub fn new(
        options: AuthOptions,
        keys: Arc<dyn KeySource>,
        replay: Arc<dyn ReplayCache>,
    ) -> Self {
        let tokens = AccessTokenVerifier::new(options.issuer, options.audience, keys);
        Self { tokens, nonce_key: options.nonce_key, replay }
    }

    /// Authenticates a read with `Authorization: Bearer`. A token that is bound to a key is refused
    /// (RFC 9449 §7.2): its holder has to prove possession of the key.
    pub async fn bearer(
        &self,
        authorization: Option<&str>,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        let token = credentials(authorization, Scheme::Bearer)?;
        let verified = self.tokens.verify(token, now).await?;
        if verified.thumbprint.is_some() {
            return Err(AuthError::TokenBound);
        }
        Ok(verified.principal)
    }

    /// Authenticates a request with `Authorization: DPoP` and a proof (RFC 9449 §4.3 and §7.1). A
    /// proof with a fresh nonce may have a time that is wrong by up to a day. A proof without one
    /// is accepted for a read when it was made within the last minute; otherwise, and for every
    /// write, the answer is [`AuthError::NonceRequired`], provided everything else about the proof
    /// is right.
    pub async fn dpop(
        &self,
        request: DpopRequest<'_>,
        freshness: Freshness,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        let token = match credentials(request.authorization, Scheme::Dpop) {
            Ok(token) => token,
            Err(missing) => {
                // A bound token with the Bearer scheme is refused with an error that says so.
                let refused = self.bearer(request.authorization, now).await.err();
                let bound = refused.filter(|error| *error == AuthError::TokenBound);
                return Err(bound.unwrap_or(missing));
            }
        };
        let proof = request.proof.ok_or(AuthError::ProofInvalid)?;
        let verified = self.tokens.verify(token, now).await?;
        let expected = expected(token, &verified, request.method, request.url)?;
        let checked = dpop::check(proof, &expected, now).ok_or(AuthError::ProofInvalid)?;
        let until = match (checked.nonce.as_deref(), freshness) {
            (Some(nonce), _) => self.nonce_key.fresh_until(nonce, now),
            (None, Freshness::NonceOrTime) => checked.fresh_until(now),
            (None, Freshness::Nonce) => None,
        };
        let until =
            until.ok_or_else(|| AuthError::NonceRequired { nonce: self.fresh_nonce(now) })?;
        self.use_once(&checked, until, now).await?;
        Ok(verified.principal)
    }

    /// Makes a unique nonce for `hello` or `token_expiring`. It does not expire by itself: the
    /// caller keeps it for its connection, passes it to [`Authenticator::socket`] once, and forgets
    /// it.
    #[must_use]
    pub fn socket_nonce(&self) -> String {
        self.nonce_key.for_socket(rand::random())
    }

    /// Authenticates a moderation socket, when it is opened and when its token is renewed.
    pub async fn socket(
        &self,
        credentials: SocketCredentials<'_>,
        now: Timestamp,
    ) -> Result<Principal, AuthError> {
        let verified = self.tokens.verify(credentials.token, now).await?;
        let expected = expected(credentials.token, &verified, "GET", credentials.url)?;
        let checked =
            dpop::check(credentials.proof, &expected, now).ok_or(AuthError::ProofInvalid)?;
        let same_nonce = checked
            .nonce
            .as_ref()
            .is_some_and(|nonce| bool::from(nonce.as_bytes().ct_eq(credentials.nonce.as_bytes())));
        if !same_nonce || !self.nonce_key.is_for_socket(credentials.nonce) {
            return Err(AuthError::ProofInvalid);
        }
        // The nonce of the connection is accepted once, so the proof can't be used again there; it
        // is remembered as long as a proof without a nonce would be.
        let until = now.after(SOCKET_PROOF_REMEMBERED);
        self.use_once(&checked, until, now).await?;
        Ok(verified.principal)
    }

    /// Makes the nonce for the `DPoP-Nonce` header. It is sent with [`AuthError::NonceRequired`],
    /// and with successes so that clients rarely need an extra request.
    #[must_use]
    pub fn fresh_nonce(&self, now: Timestamp) -> String {
        self.nonce_key.for_requests(now)
    }

    /// Marks a proof as used. This is the last check, so that only holders of valid tokens and keys
    /// can write to the cache.
    async fn use_once(
        &self,
        proof: &CheckedProof,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), AuthError> {
        match self.replay.insert_if_absent(proof.replay_key, until, now).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(AuthError::ProofReplayed),
            Err(ReplayCacheUnavailable) => {
                Err(AuthError::Unavailable { retry_after_s: REPLAY_RETRY_AFTER_S })
            }
        }
    }
}

/// How long the proof that opened a socket is remembered.
const SOCKET_PROOF_REMEMBERED: Duration = Duration::from_mins(2);
/// How many seconds clients are told to wait when the replay cache does not answer.
const REPLAY_RETRY_AFTER_S: u32 = 5;

impl std::fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}

fn expected<'a>(
    token: &'a str,
    verified: &VerifiedToken,
    method: &'a str,
    url: &'a str,
) -> Result<Expected<'a>, AuthError> {
    // Without a key to which the token is bound, a proof shows nothing.
    let thumbprint = verified.thumbprint.ok_or(AuthError::TokenInvalid)?;
    Ok(Expected { token, thumbprint, method, url })
}

/// The credentials of an `Authorization` header with this scheme (RFC 9110 §11.4: the scheme is
/// case-insensitive and followed by one or more spaces).
fn credentials(authorization: Option<&str>, scheme: Scheme) -> Result<&str, AuthError> {
    let (name, token) = authorization
        .and_then(|value| value.split_once(' '))
        .ok_or(AuthError::CredentialsMissing)?;
    let token = token.trim_matches(' ');
    if !name.eq_ignore_ascii_case(scheme.as_str()) || token.is_empty() {
        return Err(AuthError::CredentialsMissing);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_must_be_the_routes() {
        assert_eq!(credentials(Some("Bearer a.b.c"), Scheme::Bearer), Ok("a.b.c"));
        assert_eq!(credentials(Some("dpop  a.b.c"), Scheme::Dpop), Ok("a.b.c"));
        for (header, scheme) in [
            (None, Scheme::Bearer),
            (Some(""), Scheme::Bearer),
            (Some("Bearer"), Scheme::Bearer),
            (Some("Bearer "), Scheme::Bearer),
            (Some("a.b.c"), Scheme::Bearer),
            (Some("DPoP a.b.c"), Scheme::Bearer),
            (Some("Bearer a.b.c"), Scheme::Dpop),
            (Some("Basic a.b.c"), Scheme::Dpop),
        ] {
            assert_eq!(
                credentials(header, scheme),
                Err(AuthError::CredentialsMissing),
                "{header:?}"
            );
        }
    }
}
