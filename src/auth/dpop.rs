#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Proofs of possession (RFC 9449 §4): every check that needs no state. The parent module checks
//! nonces and replays.

use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use serde_json::{Map, Number, Value};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::auth::CLOCK_LEEWAY;
use crate::auth::access_token::numeric_date;
use crate::auth::jws::{Algorithm, CompactJws, PublicKey, decode_exactly};
use crate::domain::time::Timestamp;

/// Longest proof accepted, in bytes. A browser's proof has about 700.
const PROOF_LENGTH_MAX: usize = 4 * 1024;
/// Age at which a proof without a nonce of this server is refused. Raising it makes the replay
/// cache remember proofs longer. The time of such a proof may be ahead by [`CLOCK_LEEWAY`].
const WINDOW_WITHOUT_NONCE: Duration = Duration::from_mins(1);
/// How far the time of a proof with a fresh nonce may differ from ours. This accepts clients whose
/// clock or time zone is wrong.
const WINDOW_WITH_NONCE: Duration = Duration::from_hours(24);
/// Longest `jti` accepted, in bytes.
const PROOF_ID_LENGTH_MAX: usize = 256;
/// Longest `nonce` accepted, in bytes.
const NONCE_LENGTH_MAX: usize = 256;
/// Longest `htu` accepted, in bytes.
const URL_LENGTH_MAX: usize = 2 * 1024;
/// Members that only private and symmetric keys have (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// The values that a proof must match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// The access token it comes with.
    pub(super) token: &'a str,
    /// The thumbprint of the key to which that token is bound.
    pub(super) thumbprint: [u8; 32],
    /// The method of the request.
    pub(super) method: &'a str,
    /// The URL of the request.
    pub(super) url: &'a str,
}

/// A proof that passed every check that needs no state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckedProof {
    /// The server nonce that it contains, not checked yet.
    pub(super) nonce: Option<String>,
    /// The key under which the replay cache stores it.
    pub(super) replay_key: [u8; 32],
    /// When it was made, according to the client; within [`WINDOW_WITH_NONCE`].
    issued_at: Timestamp,
}

impl CheckedProof {
    /// Until when it is fresh without a nonce; `None` when it is not.
    pub(super) fn fresh_until(&self, now: Timestamp) -> Option<Timestamp> {
        // Clients cut off fractions of a second, so up to one second is added.
        let until = self.issued_at.after(WINDOW_WITHOUT_NONCE + Duration::from_secs(1));
        (self.issued_at <= now.after(CLOCK_LEEWAY) && now < until).then_some(until)
    }
}

#[derive(Deserialize)]
struct ProofClaims {
    jti: String,
    htm: String,
    htu: String,
    iat: Number,
    ath: String,
    nonce: Option<String>,
}

/// Checks `proof` (RFC 9449 §4.3, checks 2 to 12, except the nonce and the age that depends on it).
pub(super) fn check(proof: &str, expected: &Expected<'_>, now: Timestamp) -> Option<CheckedProof> {
    let jws = CompactJws::parse(proof, PROOF_LENGTH_MAX)?;
    let is_proof = jws.header_text("typ") == Some("dpop+jwt") && jws.algorithm == Algorithm::Es256;
    let (key, thumbprint) = proof_key(jws.header.get("jwk")?.as_object()?)?;
    let is_bound = bool::from(thumbprint.ct_eq(&expected.thumbprint));
    if !is_proof || !is_bound || !jws.is_signed_by(&key) {
        return None;
    }
    let claims: ProofClaims = jws.claims()?;
    let token_hash: [u8; 32] = Sha256::digest(expected.token).into();
    let is_about_this = claims.htm == expected.method
        && is_same_resource(&claims.htu, expected.url)
        && bool::from(decode_exactly::<32>(&claims.ath)?.ct_eq(&token_hash));
    let issued_at = numeric_date(&claims.iat)?;
    let in_a_day =
        issued_at <= now.after(WINDOW_WITH_NONCE) && now <= issued_at.after(WINDOW_WITH_NONCE);
    let fits = (1..=PROOF_ID_LENGTH_MAX).contains(&claims.jti.len())
        && claims.nonce.as_ref().is_none_or(|nonce| nonce.len() <= NONCE_LENGTH_MAX);
    (is_about_this && in_a_day && fits).then(|| CheckedProof {
        nonce: claims.nonce,
        replay_key: replay_key(&thumbprint, &claims.jti),
        issued_at,
    })
}

/// The public key of a proof and its thumbprint (RFC 7638).
fn proof_key(jwk: &Map<String, Value>) -> Option<(PublicKey, [u8; 32])> {
    if PRIVATE_MEMBERS.iter().any(|member| jwk.contains_key(*member)) {
        return None;
    }
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    if text("kty")? != "EC" || text("crv")? != "P-256" {
        return None;
    }
    let (x, y) = (text("x")?, text("y")?);
    let key = PublicKey::from_p256_coordinates(x, y)?;
    // Both coordinates are valid base64url here, so no escaping is needed.
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some((key, Sha256::digest(canonical).into()))
}

/// The `jti` is combined with the key, so that no client can use up the `jti` of another.
fn replay_key(thumbprint: &[u8; 32], proof_id: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"cabildo proof\0");
    hash.update(thumbprint);
    hash.update(proof_id);
    hash.finalize().into()
}

/// Whether two URLs are equal after normalisation by RFC 3986 §6.2.2 and §6.2.3, without query and
/// fragment (RFC 9449 §4.3, check 9).
fn is_same_resource(claimed: &str, actual: &str) -> bool {
    claimed.len() <= URL_LENGTH_MAX
        && normalised(claimed).is_some_and(|claimed| Some(claimed) == normalised(actual))
}

fn normalised(text: &str) -> Option<(Url, String)> {
    // The parser lowercases scheme and host, and removes default ports and dot segments.
    let mut url = Url::parse(text).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    if !matches!(url.scheme(), "http" | "https") || !is_plain {
        return None;
    }
    url.set_query(None);
    url.set_fragment(None);
    let path = normalised_path(url.path());
    url.set_path("");
    Some((url, path))
}

/// Writes percent-encodings in upper case, and decodes those that are not needed.
fn normalised_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.map(char::from) {
            Some(c) if c.is_ascii_alphanumeric() || "-._~".contains(c) => out.push(c),
            Some(_) => {
                out.push('%');
                out.push_str(&after[..2].to_ascii_uppercase());
            }
            None => out.push('%'),
        }
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    out + rest
}

#[cfg(test)]
mod tests;
