//! Tree heads: the signed statements about a log, in COSE and as JWS.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ciborium::Value;
use coset::Header;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::time::Timestamp;
use crate::evidence::cbor::Writer;
use crate::evidence::cose::{self, LogIdentity, Signed};
use crate::evidence::keys::{EvidenceKey, EvidenceKeys};
use crate::evidence::repository::{Hash, StoredHead};

/// A size of a log and its root at that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Number of entries.
    pub size: u64,
    /// Root over these entries.
    pub root: Hash,
}

impl Point {
    /// Stands for the head before the first one.
    #[must_use]
    pub fn none() -> Self {
        Self { size: 0, root: crate::evidence::tree::empty_root() }
    }
}

/// Signs the head of a log at `point`; `previous` is the head before.
#[must_use]
pub fn sign_head(
    identity: &LogIdentity,
    point: Point,
    previous: Point,
    at: Timestamp,
    key: &EvidenceKey,
) -> StoredHead {
    let mut payload = Writer::default();
    payload.array(5).unsigned(1).unsigned(point.size).bytes(&point.root);
    payload.unsigned(previous.size).bytes(&previous.root);
    let about = (identity, point.size, at);
    let cose = cose::sign(Signed::Head, about, key, Header::default(), &payload.into_bytes());
    let jws = sign_jws(identity, point, previous, at, key, &cose);
    StoredHead { tree_size: point.size, root: point.root, at, cose, jws }
}

/// Signs the head again as a compact JWS (RFC 7515 §3.1), for tools without CBOR.
fn sign_jws(
    identity: &LogIdentity,
    point: Point,
    previous: Point,
    at: Timestamp,
    key: &EvidenceKey,
    cose: &[u8],
) -> String {
    #[derive(Serialize)]
    struct JwsHeader<'a> {
        alg: &'a str,
        typ: &'a str,
        kid: String,
    }
    #[derive(Serialize)]
    struct Claims<'a> {
        iss: &'a str,
        sub: &'a str,
        iat: i64,
        tree_size: u64,
        root: String,
        prev_tree_size: u64,
        prev_root: String,
        cose_sha256: String,
    }
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let header = JwsHeader { alg: "ES256", typ: "cabildo-head+jwt", kid: b64(key.kid()) };
    let claims = Claims {
        iss: &identity.issuer,
        sub: &identity.subject,
        iat: at.unix_s(),
        tree_size: point.size,
        root: b64(&point.root),
        prev_tree_size: previous.size,
        prev_root: b64(&previous.root),
        cose_sha256: b64(&Sha256::digest(cose)),
    };
    let header = serde_json::to_vec(&header).expect("texts can be written as JSON");
    let claims = serde_json::to_vec(&claims).expect("texts and integers can be written as JSON");
    let signed = format!("{}.{}", b64(&header), b64(&claims));
    let signature = key.sign(signed.as_bytes());
    format!("{signed}.{}", b64(&signature))
}

/// The contents of a stored head of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnHead {
    pub(super) kid: Hash,
    pub(super) issuer: String,
    pub(super) point: Point,
    pub(super) previous: Point,
}

/// Why a stored head was not signed by this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotOwn {
    /// It is not a head, or has another size or root.
    Malformed,
    /// The key that signed it is not in the key directory.
    KeyMissing,
    /// Its signature is wrong.
    Forged,
}

/// Parses a stored head and checks that a key of this installation signed it.
pub(super) fn read_own_head(head: &StoredHead, keys: &EvidenceKeys) -> Result<OwnHead, NotOwn> {
    let (message, kid, payload) = cose::read_own(&head.cose).ok_or(NotOwn::Malformed)?;
    let issuer = cose::issuer_of(&message).ok_or(NotOwn::Malformed)?;
    let own = parse(kid, issuer, &payload).ok_or(NotOwn::Malformed)?;
    let says = Point { size: head.tree_size, root: head.root };
    if own.point != says || cose::bound_tree_size(&message) != Some(head.tree_size) {
        return Err(NotOwn::Malformed);
    }
    let key = keys.find(&kid).ok_or(NotOwn::KeyMissing)?;
    let verify = |signature: &[u8], bytes: &[u8]| {
        key.verifies(bytes, signature).then_some(()).ok_or(NotOwn::Forged)
    };
    message.verify_signature(&[], verify)?;
    Ok(own)
}

fn parse(kid: Hash, issuer: &str, payload: &[Value]) -> Option<OwnHead> {
    let [version, size, root, previous_size, previous_root] = payload else { return None };
    let number = |value: &Value| u64::try_from(value.as_integer()?).ok();
    let hash = |value: &Value| Hash::try_from(value.as_bytes()?.as_slice()).ok();
    (number(version)? == 1).then_some(())?;
    Some(OwnHead {
        kid,
        issuer: issuer.to_owned(),
        point: Point { size: number(size)?, root: hash(root)? },
        previous: Point { size: number(previous_size)?, root: hash(previous_root)? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> LogIdentity {
        LogIdentity { issuer: "https://a.test".to_owned(), subject: "urn:uuid:x".to_owned() }
    }

    #[test]
    fn a_head_of_our_own_is_recognised() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = EvidenceKeys::open(directory.path()).expect("opened");
        let point = Point { size: 300, root: [3; 32] };
        let at = Timestamp::from_unix_us(1_700_000_000_900_000);
        let head = sign_head(&identity(), point, Point::none(), at, &keys.active());
        let own = read_own_head(&head, &keys).expect("our own");
        let (kid, issuer) = (*keys.active().kid(), identity().issuer);
        assert_eq!(own, OwnHead { kid, issuer, point, previous: Point::none() });

        let mut other_size = head.clone();
        other_size.tree_size = 301;
        assert_eq!(read_own_head(&other_size, &keys), Err(NotOwn::Malformed));
        let mut forged = head.clone();
        *forged.cose.last_mut().expect("bytes") ^= 1;
        assert_eq!(read_own_head(&forged, &keys), Err(NotOwn::Forged));
        let elsewhere = tempfile::tempdir().expect("a directory");
        let others = EvidenceKeys::open(elsewhere.path()).expect("opened");
        assert_eq!(read_own_head(&head, &others), Err(NotOwn::KeyMissing));
    }

    #[test]
    fn the_protected_headers_are_the_bytes_of_the_format() {
        let directory = tempfile::tempdir().expect("a directory");
        let keys = EvidenceKeys::open(directory.path()).expect("opened");
        let point = Point { size: 2, root: [3; 32] };
        let at = Timestamp::from_unix_us(1_700_000_000_900_000);
        let head = sign_head(&identity(), point, Point::none(), at, &keys.active());
        let mut protected = vec![0xa4, 0x01, 0x26, 0x04, 0x58, 0x20];
        protected.extend(keys.active().kid());
        protected.extend([0x0f, 0xa4, 0x01, 0x6e]);
        protected.extend(b"https://a.test");
        protected.extend([0x02, 0x6a]);
        protected.extend(b"urn:uuid:x");
        protected.extend([0x06, 0x1a, 0x65, 0x53, 0xf1, 0x00, 0x69]);
        protected.extend(b"tree_size");
        protected.extend([0x02, 0x10, 0x78, 0x21]);
        protected.extend(b"application/vnd.cabildo.head+cose");
        let mut start = vec![0xd2, 0x84, 0x58, u8::try_from(protected.len()).expect("short")];
        start.extend(&protected);
        start.extend([0xa0, 0x58, 0x48, 0x85, 0x01, 0x02, 0x58, 0x20]);
        start.extend([3; 32]);
        start.extend([0x00, 0x58, 0x20]);
        start.extend(Point::none().root);
        start.extend([0x58, 0x40]);
        assert_eq!(head.cose[..head.cose.len() - 64], start);
    }
}
