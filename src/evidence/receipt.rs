//! Receipts: proofs in the form of RFC 9942 that an entry is in a tree, or that one tree continues
//! another.

use ciborium::Value;
use coset::HeaderBuilder;

use crate::domain::time::Timestamp;
use crate::evidence::cbor::Writer;
use crate::evidence::cose::{self, LogIdentity, Signed, VDP};
use crate::evidence::keys::EvidenceKey;
use crate::evidence::tree::Tree;

/// Labels of proofs within [`VDP`].
const INCLUSION: i64 = -1;
const CONSISTENCY: i64 = -2;

/// Makes a receipt that entry `index` is in the tree of the first `size` leaves; `None` when it is
/// not, and for a tree of one leaf, whose path is empty.
#[must_use]
pub fn inclusion_receipt(
    tree: &Tree,
    index: u64,
    size: u64,
    (identity, at): (&LogIdentity, Timestamp),
    key: &EvidenceKey,
) -> Option<Vec<u8>> {
    let path = tree.inclusion(index, size)?;
    receipt(INCLUSION, (size, index), size, &path, tree, (identity, at), key)
}

/// Makes a receipt that the tree of `size` leaves continues the tree of `first` leaves; `None`
/// unless 0 < `first` < `size`.
#[must_use]
pub fn consistency_receipt(
    tree: &Tree,
    first: u64,
    size: u64,
    (identity, at): (&LogIdentity, Timestamp),
    key: &EvidenceKey,
) -> Option<Vec<u8>> {
    let path = tree.consistency(first, size)?;
    receipt(CONSISTENCY, (first, size), size, &path, tree, (identity, at), key)
}

fn receipt(
    label: i64,
    numbers: (u64, u64),
    size: u64,
    path: &[[u8; 32]],
    tree: &Tree,
    (identity, at): (&LogIdentity, Timestamp),
    key: &EvidenceKey,
) -> Option<Vec<u8>> {
    if path.is_empty() {
        return None;
    }
    let root = tree.root(size)?;
    let mut proof = Writer::default();
    proof.array(3).unsigned(numbers.0).unsigned(numbers.1).array(path.len());
    for hash in path {
        proof.bytes(hash);
    }
    let proofs = Value::Array(vec![Value::Bytes(proof.into_bytes())]);
    let unprotected =
        HeaderBuilder::new().value(VDP, Value::Map(vec![(label.into(), proofs)])).build();
    Some(cose::sign(Signed::Receipt, (identity, size, at), key, unprotected, &root))
}
