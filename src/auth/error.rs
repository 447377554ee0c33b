//! The errors of authentication.

use crate::domain::error_code::ErrorCode;

/// The authorisation scheme that a route requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `Authorization: Bearer` (RFC 6750), for reads.
    Bearer,
    /// `Authorization: DPoP` (RFC 9449), for writes.
    Dpop,
}

impl Scheme {
    /// The name of the scheme in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
        }
    }
}

/// Why a caller was refused. It contains no details of a token or proof beyond its code, so that it
/// does not help an attacker to forge one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There are no credentials, or they have another scheme than the route requires.
    #[error("credentials are missing")]
    CredentialsMissing,
    /// The access token is malformed, not signed by the issuer, or for another audience.
    #[error("the access token is invalid")]
    TokenInvalid,
    /// The access token has more bytes than are read.
    #[error("the access token is too long: more than {max} bytes")]
    TokenTooLong {
        /// The most bytes that a token may have.
        max: usize,
    },
    /// The access token has expired, or was issued too long ago.
    #[error("the access token has expired")]
    TokenExpired,
    /// The access token is bound to a key, so it can't be used as a bearer token.
    #[error("the access token is bound to a key and needs a proof of it")]
    TokenBound,
    /// The proof of possession is missing or wrong.
    #[error("the proof of possession is invalid")]
    ProofInvalid,
    /// The proof was used before.
    #[error("the proof of possession was used before")]
    ProofReplayed,
    /// The proof needs this nonce, to be sent in `DPoP-Nonce`.
    #[error("the proof of possession needs a nonce")]
    NonceRequired {
        /// The nonce to use.
        nonce: String,
    },
    /// There is no client certificate that names a service.
    #[error("a client certificate is required")]
    ClientCertificateRequired,
    /// The caller is authenticated but not allowed to do this.
    #[error("the caller may not do this")]
    Forbidden,
    /// The issuer's keys or the replay cache are not available, so nothing was decided.
    #[error("the caller cannot be authenticated at the moment")]
    Unavailable {
        /// Seconds after which the client should try again.
        retry_after_s: u32,
    },
}

impl AuthError {
    /// The stable code of this refusal.
    #[must_use]
    pub const fn code(&self) -> ErrorCode {
        match self {
            Self::CredentialsMissing => ErrorCode::CredentialsMissing,
            Self::TokenInvalid | Self::TokenTooLong { .. } => ErrorCode::TokenInvalid,
            Self::TokenExpired => ErrorCode::TokenExpired,
            Self::TokenBound => ErrorCode::TokenBound,
            Self::ProofInvalid => ErrorCode::DpopProofInvalid,
            Self::ProofReplayed => ErrorCode::DpopProofReplayed,
            Self::NonceRequired { .. } => ErrorCode::DpopNonceRequired,
            Self::ClientCertificateRequired => ErrorCode::ClientCertificateRequired,
            Self::Forbidden => ErrorCode::Forbidden,
            Self::Unavailable { .. } => ErrorCode::DependencyUnavailable,
        }
    }

    /// The value of `DPoP-Nonce` to send with the answer.
    #[must_use]
    pub fn nonce(&self) -> Option<&str> {
        match self {
            Self::NonceRequired { nonce } => Some(nonce),
            _ => None,
        }
    }

    /// The value of `Retry-After` to send with the answer, in seconds.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Unavailable { retry_after_s } => Some(*retry_after_s),
            _ => None,
        }
    }

    /// The value of `WWW-Authenticate` for the answer of a route that requires `scheme` (RFC 6750
    /// §3, RFC 9449 §7.1 and §9). Every 401 has one, except those for a missing client certificate.
    #[must_use]
    pub const fn challenge(&self, scheme: Scheme) -> Option<&'static str> {
        match (self, scheme) {
            (Self::CredentialsMissing, Scheme::Bearer) => Some("Bearer"),
            (Self::CredentialsMissing, Scheme::Dpop) => Some(r#"DPoP algs="ES256""#),
            (
                Self::TokenInvalid | Self::TokenTooLong { .. } | Self::TokenExpired,
                Scheme::Bearer,
            ) => Some(r#"Bearer error="invalid_token""#),
            (Self::TokenBound, _)
            | (Self::TokenInvalid | Self::TokenTooLong { .. } | Self::TokenExpired, Scheme::Dpop) => {
                Some(r#"DPoP error="invalid_token", algs="ES256""#)
            }
            (Self::ProofInvalid | Self::ProofReplayed, _) => {
                Some(r#"DPoP error="invalid_dpop_proof", algs="ES256""#)
            }
            (Self::NonceRequired { .. }, _) => Some(r#"DPoP error="use_dpop_nonce", algs="ES256""#),
            (Self::ClientCertificateRequired | Self::Forbidden | Self::Unavailable { .. }, _) => {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_401_for_a_person_carries_a_challenge() {
        for scheme in [Scheme::Bearer, Scheme::Dpop] {
            for error in [
                AuthError::CredentialsMissing,
                AuthError::TokenInvalid,
                AuthError::TokenTooLong { max: 9 },
                AuthError::TokenExpired,
                AuthError::TokenBound,
                AuthError::ProofInvalid,
                AuthError::ProofReplayed,
                AuthError::NonceRequired { nonce: "n".into() },
            ] {
                assert!(error.challenge(scheme).is_some(), "{error:?}");
                assert_eq!(error.nonce().is_some(), error.code() == ErrorCode::DpopNonceRequired);
            }
            assert_eq!(AuthError::Forbidden.challenge(scheme), None);
        }
        assert_eq!(AuthError::Unavailable { retry_after_s: 3 }.retry_after_s(), Some(3));
    }
}
