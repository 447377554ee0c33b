//! Error responses in the OpenAPI description. A route lists its codes once; the statuses follow
//! from them.

use std::collections::BTreeMap;

use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use super::error::status_of;
use crate::domain::error_code::ErrorCode as Code;

/// For every route: a malformed path or query, and too many requests.
const ANY: &[Code] = &[Code::MalformedRequest, Code::RateLimited];
/// For routes that require an access token.
pub(super) const READER: &[Code] = &[
    Code::CredentialsMissing,
    Code::TokenInvalid,
    Code::TokenExpired,
    Code::TokenBound,
    Code::DpopProofInvalid,
    Code::DpopProofReplayed,
    Code::DpopNonceRequired,
    Code::Forbidden,
    Code::DependencyUnavailable,
];
/// For routes that require an access token with a proof of possession.
pub(super) const WRITER: &[Code] = READER;
/// For routes of services.
pub(super) const SERVICE: &[Code] =
    &[Code::ClientCertificateRequired, Code::Forbidden, Code::DependencyUnavailable];
/// For routes with a body.
pub(super) const BODY: &[Code] = &[Code::PayloadTooLarge, Code::UnsupportedMediaType];
/// For routes that accept an `Idempotency-Key`.
pub(super) const REPEATABLE: &[Code] = &[Code::IdempotencyKeyInUse, Code::IdempotencyKeyReused];
/// For routes of signed addresses.
pub(super) const PLAYBACK: &[Code] = &[
    Code::PlaybackTokenFormatInvalid,
    Code::PlaybackTokenSignatureInvalid,
    Code::PlaybackTokenExpired,
    Code::RecordingNotFound,
    Code::RecordingErased,
    Code::DependencyUnavailable,
];

/// Declares the error responses of a route as a type that is listed among its responses.
macro_rules! refusals {
    ($name:ident: $($codes:expr),+ $(,)?) => {
        enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<
                String,
                utoipa::openapi::RefOr<utoipa::openapi::Response>,
            > {
                $crate::api::refusals::described(&[$($codes),+])
            }
        }
    };
}
pub(super) use refusals;

/// The responses for these codes, one per status.
pub(super) fn described(groups: &[&[Code]]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in std::iter::once(&ANY).chain(groups).copied().flatten() {
        let codes = by_status.entry(status_of(*code).as_u16()).or_default();
        if !codes.contains(&code.as_str()) {
            codes.push(code.as_str());
        }
    }
    let response = |codes: &[&str]| {
        let body = Content::new(Some(Ref::from_schema_name("Error")));
        ResponseBuilder::new().description(codes.join(", ")).content("application/json", body)
    };
    by_status
        .into_iter()
        .map(|(status, codes)| (status.to_string(), response(&codes).build().into()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_one_status_are_one_response() {
        let responses = described(&[WRITER, BODY, &[Code::Forbidden]]);
        let statuses: Vec<_> = responses.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["400", "401", "403", "413", "415", "429", "503"]);
        let RefOr::T(forbidden) = &responses["403"] else { panic!("a reference") };
        assert_eq!(forbidden.description, "FORBIDDEN");
    }
}
