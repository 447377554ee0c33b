//! The common part of heads and receipts: `COSE_Sign1` (RFC 9052 §4.2) with exactly the headers in
//! `docs/EVIDENCE.md`.

use ciborium::Value;
use coset::{
    CborSerializable as _, CoseSign1, CoseSign1Builder, Header, HeaderBuilder, Label,
    TaggedCborSerializable as _, iana,
};

use crate::domain::time::Timestamp;
use crate::evidence::keys::EvidenceKey;
use crate::evidence::repository::Hash;

/// CWT claims (RFC 9597).
const CWT_CLAIMS: i64 = 15;
/// Type (RFC 9596).
const TYPE: i64 = 16;
/// Verifiable data structure (RFC 9942), and its value for RFC 9162.
const VDS: i64 = 395;
const RFC9162_SHA256: i64 = 1;
/// Verifiable data proofs (RFC 9942).
pub(super) const VDP: i64 = 396;

/// Identifies the log that a head or receipt is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogIdentity {
    /// The issuer.
    pub issuer: String,
    /// The log: `urn:uuid:<session>` or `urn:cabildo:operator-log`.
    pub subject: String,
}

/// The payload that is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    Head,
    Receipt,
}

/// Signs `payload`, which is included in a head and detached in a receipt. `unprotected` is the
/// header that is not signed.
pub(super) fn sign(
    what: Signed,
    (identity, tree_size, at): (&LogIdentity, u64, Timestamp),
    key: &EvidenceKey,
    unprotected: Header,
    payload: &[u8],
) -> Vec<u8> {
    // Labels in the order of their encodings, which makes the map deterministic.
    let mut headers = HeaderBuilder::new()
        .algorithm(iana::Algorithm::ES256)
        .key_id(key.kid().to_vec())
        .value(CWT_CLAIMS, claims(identity, tree_size, at));
    headers = match what {
        Signed::Head => headers.value(TYPE, "application/vnd.cabildo.head+cose".into()),
        Signed::Receipt => headers
            .value(TYPE, "application/vnd.cabildo.receipt+cose".into())
            .value(VDS, RFC9162_SHA256.into()),
    };
    let message = CoseSign1Builder::new().protected(headers.build()).unprotected(unprotected);
    let sign = |bytes: &[u8]| key.sign(bytes).to_vec();
    let message = match what {
        Signed::Head => message.payload(payload.to_vec()).create_signature(&[], sign),
        Signed::Receipt => message.create_detached_signature(payload, &[], sign),
    };
    message.build().to_tagged_vec().expect("no header occurs twice and all values are CBOR")
}

fn claims(identity: &LogIdentity, tree_size: u64, at: Timestamp) -> Value {
    Value::Map(vec![
        (1.into(), identity.issuer.as_str().into()),
        (2.into(), identity.subject.as_str().into()),
        (6.into(), at.unix_s().into()),
        ("tree_size".into(), tree_size.into()),
    ])
}

/// Parses a stored head of this installation: the message, the id of the signing key, and the
/// payload. `None` when the bytes are no such message.
pub(super) fn read_own(cose: &[u8]) -> Option<(CoseSign1, Hash, Vec<Value>)> {
    let message = CoseSign1::from_tagged_slice(cose).ok()?;
    let kid = message.protected.header.key_id.as_slice().try_into().ok()?;
    let payload = Value::from_slice(message.payload.as_deref()?).ok()?.into_array().ok()?;
    Some((message, kid, payload))
}

/// The signed `tree_size` claim of a message.
pub(super) fn bound_tree_size(message: &CoseSign1) -> Option<u64> {
    u64::try_from(claim(message, &"tree_size".into())?.as_integer()?).ok()
}

/// The signed `iss` claim of a message.
pub(super) fn issuer_of(message: &CoseSign1) -> Option<&str> {
    claim(message, &1.into())?.as_text()
}

fn claim<'a>(message: &'a CoseSign1, name: &Value) -> Option<&'a Value> {
    let claims = message.protected.header.rest.iter().find_map(|(label, value)| {
        (*label == Label::Int(CWT_CLAIMS)).then(|| value.as_map()).flatten()
    })?;
    claims.iter().find(|(claim, _)| claim == name).map(|(_, value)| value)
}
