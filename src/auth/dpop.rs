#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Proofs of possession (RFC 9449 §4): everything that can be checked without
//! state. Nonce and replay are the façade's.

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

/// Longest proof taken, in bytes. A proof by a browser has about 700.
const PROOF_LENGTH_MAX: usize = 4 * 1024;
/// Age at which a proof is refused when no nonce of this server shows that it is
/// fresh. Raising it lengthens what the replay cache remembers. Such a proof may
/// come from the future by [`CLOCK_LEEWAY`].
const WINDOW_WITHOUT_NONCE: Duration = Duration::from_mins(1);
/// How far the time of a proof with a fresh nonce may lie from ours: a client
/// whose clock is wrong, or whose time zone is, is let in.
const WINDOW_WITH_NONCE: Duration = Duration::from_hours(24);
/// Longest `jti` of a proof, in bytes.
const PROOF_ID_LENGTH_MAX: usize = 256;
/// Longest `nonce` of a proof, in bytes.
const NONCE_LENGTH_MAX: usize = 256;
/// Longest `htu` of a proof, in bytes.
const URL_LENGTH_MAX: usize = 2 * 1024;
/// Members that only private and symmetric keys have (RFC 7518 §6).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// What a proof must be about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// The access token it comes with.
    pub(super) token: &'a str,
    /// The thumbprint that token is bound to.
    pub(super) thumbprint: [u8; 32],
    /// The method of the request.
    pub(super) method: &'a str,
    /// The URL of the request.
    pub(super) url: &'a str,
}

/// A proof that is right in itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CheckedProof {
    /// The server nonce it carries, not yet judged.
    pub(super) nonce: Option<String>,
    /// What names it in the replay cache.
    pub(super) replay_key: [u8; 32],
    /// When it says it was made; within [`WINDOW_WITH_NONCE`].
    issued_at: Timestamp,
}

impl CheckedProof {
    /// Whether it is fresh without a nonce, and until when it would be.
    pub(super) fn fresh_until(&self, now: Timestamp) -> Option<Timestamp> {
        // The second itself is cut off by the client: it counts as part of the age.
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

/// Checks `proof` (RFC 9449 §4.3, checks 2 to 12, without the nonce and what
/// follows from it for its age).
pub(super) fn check(proof: &str, expected: &Expected<'_>, now: Timestamp) -> Option<CheckedProof> {
    let jws = CompactJws::parse(proof, PROOF_LENGTH_MAX)?;
    let is_proof = jws.header_text("typ") == Some("dpop+jwt") && jws.algorithm == Algorithm::Es256;
    let (key, thumbprint) = proof_key(jws.header.get("jwk")?.as_object()?)?;
    let is_bound = bool::from(thumbprint.ct_eq(&expected.thumbprint));
    if !is_proof || !is_bound || !jws.is_signed_by(&key) {
        return None;
    }
    let claims: ProofClaims = serde_json::from_slice(&jws.payload).ok()?;
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
    // Both coordinates are base64url by now, so nothing needs escaping.
    let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
    Some((key, Sha256::digest(canonical).into()))
}

/// A `jti` is unique for its key only: nobody can use up another's.
fn replay_key(thumbprint: &[u8; 32], proof_id: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"cabildo proof\0");
    hash.update(thumbprint);
    hash.update(proof_id);
    hash.finalize().into()
}

/// Whether two URLs name the same resource once normalised as RFC 3986 §6.2.2
/// and §6.2.3 say, query and fragment left out (RFC 9449 §4.3, check 9).
fn is_same_resource(claimed: &str, actual: &str) -> bool {
    claimed.len() <= URL_LENGTH_MAX
        && normalised(claimed).is_some_and(|claimed| Some(claimed) == normalised(actual))
}

fn normalised(text: &str) -> Option<(Url, String)> {
    // The parser lowers scheme and host, drops default ports and dot segments.
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

/// Percent-encodings in upper case, and none where none is needed.
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
