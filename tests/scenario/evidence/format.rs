//! Heads and receipts read by hand: `ciborium` for the bytes, `p256` for the
//! signature, and nothing of the writer.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::domain::time::Timestamp;
use cabildo::evidence::{
    EvidenceKey, EvidenceKeys, LogIdentity, Point, Tree, consistency_receipt, inclusion_receipt,
    sign_head,
};
use ciborium::Value;
use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use p256::pkcs8::DecodePublicKey as _;
use sha2::{Digest as _, Sha256};

use crate::evidence::merkle;

/// A COSE_Sign1 taken apart by hand.
pub(crate) struct Message {
    pub(crate) protected: Vec<u8>,
    pub(crate) unprotected: Value,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) signature: Vec<u8>,
}

impl Message {
    pub(crate) fn read(bytes: &[u8]) -> Self {
        let value: Value = ciborium::from_reader(bytes).expect("CBOR");
        let mut again = Vec::new();
        ciborium::into_writer(&value, &mut again).expect("writable");
        assert_eq!(again, bytes, "not the shortest form");
        let Value::Tag(18, inside) = value else { panic!("not tagged 18") };
        let parts = inside.into_array().expect("an array");
        let [protected, unprotected, payload, signature] =
            <[Value; 4]>::try_from(parts).expect("four parts");
        Self {
            protected: protected.into_bytes().expect("bytes"),
            unprotected,
            payload: payload.into_bytes().ok(),
            signature: signature.into_bytes().expect("bytes"),
        }
    }

    /// The protected headers by label, in the order they stand.
    pub(crate) fn headers(&self) -> Vec<(Value, Value)> {
        let headers: Value = ciborium::from_reader(self.protected.as_slice()).expect("CBOR");
        headers.into_map().expect("a map")
    }

    pub(crate) fn claims(&self) -> Vec<(Value, Value)> {
        let claims = self.headers().into_iter().find(|(label, _)| *label == 15.into());
        claims.expect("claims").1.into_map().expect("a map")
    }

    pub(crate) fn kid(&self) -> Vec<u8> {
        let kid = self.headers().into_iter().find(|(label, _)| *label == 4.into());
        kid.expect("a kid").1.into_bytes().expect("bytes")
    }

    /// Checks the signature over `payload` (RFC 9052 §4.4), which is low.
    pub(crate) fn is_signed(&self, spki: &[u8], payload: &[u8]) -> bool {
        let structure = Value::Array(vec![
            "Signature1".into(),
            Value::Bytes(self.protected.clone()),
            Value::Bytes(Vec::new()),
            Value::Bytes(payload.to_vec()),
        ]);
        let mut bytes = Vec::new();
        ciborium::into_writer(&structure, &mut bytes).expect("writable");
        let signature = Signature::from_slice(&self.signature).expect("a signature");
        assert_eq!(signature.normalize_s(), signature, "a high S");
        let key = VerifyingKey::from_public_key_der(spki).expect("a key");
        key.verify(&bytes, &signature).is_ok()
    }

    /// The proof of a receipt under `label`: two numbers and the hashes.
    pub(crate) fn proof(&self, label: i64) -> (u64, u64, Vec<merkle::Hash>) {
        let outer = self.unprotected.as_map().expect("a map");
        let [(vdp, proofs)] = outer.as_slice() else { panic!("more than one header") };
        assert_eq!(*vdp, 396.into());
        let [(kind, list)] = proofs.as_map().expect("a map").as_slice() else { panic!("proofs") };
        assert_eq!(*kind, label.into());
        let [wrapped] = list.as_array().expect("an array").as_slice() else { panic!("one proof") };
        let proof: Value =
            ciborium::from_reader(wrapped.as_bytes().expect("bytes").as_slice()).expect("CBOR");
        let [one, two, hashes] = proof.as_array().expect("an array").as_slice() else {
            panic!("three parts")
        };
        let hashes = hashes.as_array().expect("an array").iter();
        let hash = |value: &Value| {
            merkle::Hash::try_from(value.as_bytes().expect("bytes").as_slice()).expect("32 bytes")
        };
        (number(one), number(two), hashes.map(hash).collect())
    }
}

pub(crate) fn number(value: &Value) -> u64 {
    u64::try_from(value.as_integer().expect("an integer")).expect("not negative")
}

fn claims(size: u64) -> Vec<(Value, Value)> {
    vec![
        (1.into(), "https://notary.test".into()),
        (2.into(), "urn:uuid:0198c0de-0000-7000-8000-000000000001".into()),
        (6.into(), 1_700_000_000.into()),
        ("tree_size".into(), size.into()),
    ]
}

fn headers(key: &EvidenceKey, size: u64, kind: &str) -> Vec<(Value, Value)> {
    vec![
        (1.into(), (-7).into()),
        (4.into(), Value::Bytes(key.kid().to_vec())),
        (15.into(), Value::Map(claims(size))),
        (16.into(), format!("application/vnd.cabildo.{kind}+cose").into()),
    ]
}

fn identity() -> LogIdentity {
    LogIdentity {
        issuer: "https://notary.test".to_owned(),
        subject: "urn:uuid:0198c0de-0000-7000-8000-000000000001".to_owned(),
    }
}

fn at() -> Timestamp {
    Timestamp::from_unix_us(1_700_000_000_999_999)
}

fn keys() -> (tempfile::TempDir, EvidenceKeys) {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = EvidenceKeys::open(directory.path()).expect("opened");
    (directory, keys)
}

fn leaves(count: u64) -> Vec<merkle::Hash> {
    (0..count).map(|number| merkle::leaf(&number.to_be_bytes())).collect()
}

#[test]
fn a_head_verifies_by_hand() {
    let (_directory, keys) = keys();
    let key = keys.active();
    let leaves = leaves(14);
    let point = Point { size: 14, root: merkle::root(&leaves) };
    let previous = Point { size: 9, root: merkle::root(&leaves[..9]) };
    let head = sign_head(&identity(), point, previous, at(), &key);
    assert_eq!((head.tree_size, head.root), (14, point.root));

    let message = Message::read(&head.cose);
    assert_eq!(message.headers(), headers(&key, 14, "head"));
    assert_eq!(message.unprotected, Value::Map(Vec::new()));
    let payload = message.payload.clone().expect("not detached");
    assert!(message.is_signed(key.spki(), &payload));
    let payload: Value = ciborium::from_reader(payload.as_slice()).expect("CBOR");
    let expected = [
        1.into(),
        14.into(),
        Value::Bytes(point.root.to_vec()),
        9.into(),
        Value::Bytes(previous.root.to_vec()),
    ];
    assert_eq!(payload.as_array().expect("an array").as_slice(), expected);
    let kid: merkle::Hash = Sha256::digest(key.spki()).into();
    assert_eq!(*key.kid(), kid);
}

#[test]
fn the_first_head_names_the_empty_tree_before_it() {
    let (_directory, keys) = keys();
    let point = Point { size: 2, root: merkle::root(&leaves(2)) };
    let head = sign_head(&identity(), point, Point::none(), at(), &keys.active());
    let payload = Message::read(&head.cose).payload.expect("not detached");
    let payload: Value = ciborium::from_reader(payload.as_slice()).expect("CBOR");
    let payload = payload.into_array().expect("an array");
    assert_eq!(payload[3], 0.into());
    assert_eq!(payload[4], Value::Bytes(Sha256::digest(b"").to_vec()));
}

#[test]
fn a_head_repeats_itself_as_a_jws() {
    let (_directory, keys) = keys();
    let key = keys.active();
    let point = Point { size: 14, root: [3; 32] };
    let previous = Point { size: 9, root: [4; 32] };
    let head = sign_head(&identity(), point, previous, at(), &key);
    let parts: Vec<&str> = head.jws.split('.').collect();
    let [header, claims, signature] = parts.as_slice() else { panic!("not compact") };
    let b64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let json = |part: &str| -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
    };
    assert_eq!(
        json(header),
        serde_json::json!({"alg": "ES256", "typ": "cabildo-head+jwt", "kid": b64(key.kid())})
    );
    assert_eq!(
        json(claims),
        serde_json::json!({
            "iss": "https://notary.test",
            "sub": "urn:uuid:0198c0de-0000-7000-8000-000000000001",
            "iat": 1_700_000_000,
            "tree_size": 14, "root": b64(&[3; 32]),
            "prev_tree_size": 9, "prev_root": b64(&[4; 32]),
            "cose_sha256": b64(&Sha256::digest(&head.cose)),
        })
    );
    let signature =
        Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).expect("base64url")).expect("one");
    let public = VerifyingKey::from_public_key_der(key.spki()).expect("a key");
    public.verify(format!("{header}.{claims}").as_bytes(), &signature).expect("it verifies");
}

#[test]
fn an_inclusion_receipt_verifies_by_hand() {
    let (_directory, keys) = keys();
    let key = keys.active();
    let leaves = leaves(14);
    let tree = Tree::from_leaves(&leaves);
    for index in 0..14_u64 {
        let receipt = inclusion_receipt(&tree, index, 14, (&identity(), at()), &key).expect("made");
        let message = Message::read(&receipt);
        let mut expected = headers(&key, 14, "receipt");
        expected.push((395.into(), 1.into()));
        assert_eq!(message.headers(), expected);
        assert!(message.payload.is_none());
        let (size, proven, path) = message.proof(-1);
        assert_eq!((size, proven), (14, index));
        let leaf = leaves[usize::try_from(index).expect("small")];
        let root = merkle::root_of_path(index, size, leaf, &path).expect("a path");
        assert!(message.is_signed(key.spki(), &root), "leaf {index}");
        assert_eq!(root, merkle::root(&leaves));
    }
}

#[test]
fn a_consistency_receipt_verifies_by_hand() {
    let (_directory, keys) = keys();
    let key = keys.active();
    let leaves = leaves(14);
    let tree = Tree::from_leaves(&leaves);
    for first in 1..14_u64 {
        let receipt =
            consistency_receipt(&tree, first, 14, (&identity(), at()), &key).expect("made");
        let message = Message::read(&receipt);
        let (one, two, proof) = message.proof(-2);
        assert_eq!((one, two), (first, 14));
        let root = merkle::root(&leaves);
        assert!(message.is_signed(key.spki(), &root));
        let before = merkle::root(&leaves[..usize::try_from(first).expect("small")]);
        assert!(merkle::is_consistent(first, 14, (before, root), &proof), "from {first}");
    }
}

#[test]
fn a_receipt_that_proves_nothing_is_not_issued() {
    let (_directory, keys) = keys();
    let key = keys.active();
    let tree = Tree::from_leaves(&leaves(14));
    let about = identity();
    assert!(inclusion_receipt(&tree, 0, 1, (&about, at()), &key).is_none(), "one leaf");
    assert!(inclusion_receipt(&tree, 14, 14, (&about, at()), &key).is_none());
    for (first, size) in [(0, 14), (14, 14), (14, 13), (1, 15)] {
        let receipt = consistency_receipt(&tree, first, size, (&about, at()), &key);
        assert!(receipt.is_none(), "{first} to {size}");
    }
}
