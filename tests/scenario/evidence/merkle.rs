//! RFC 9162 §2.1 once more, as it is written there: recursive, and the
//! verification algorithms of §2.1.3.2 and §2.1.4.2. It shares nothing with the
//! tree it judges.

use sha2::{Digest as _, Sha256};

pub(crate) type Hash = [u8; 32];

pub(crate) fn leaf(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

fn node(left: &[u8], right: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// MTH (§2.1.1).
pub(crate) fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [only] => *only,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&root(left), &root(right))
        }
    }
}

/// PATH (§2.1.3.1).
pub(crate) fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if index < k {
        let mut path = path(index, left);
        path.push(root(right));
        path
    } else {
        let mut path = path(index - k, right);
        path.push(root(left));
        path
    }
}

/// PROOF (§2.1.4.1).
pub(crate) fn proof(first: usize, leaves: &[Hash]) -> Vec<Hash> {
    subproof(first, leaves, true)
}

fn subproof(first: usize, leaves: &[Hash], known: bool) -> Vec<Hash> {
    if first == leaves.len() {
        return if known { Vec::new() } else { vec![root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    if first <= k {
        let mut proof = subproof(first, left, known);
        proof.push(root(right));
        proof
    } else {
        let mut proof = subproof(first - k, right, false);
        proof.push(root(left));
        proof
    }
}

fn split(leaves: usize) -> usize {
    let mut k = 1;
    while k * 2 < leaves {
        k *= 2;
    }
    k
}

/// The root that an inclusion path leads to (§2.1.3.2).
pub(crate) fn root_of_path(index: u64, size: u64, leaf: Hash, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut function, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if function & 1 == 1 || function == last {
            hash = node(sibling, &hash);
            while function & 1 == 0 && function != 0 {
                function >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        function >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Whether a consistency proof connects two roots (§2.1.4.2).
pub(crate) fn is_consistent(first: u64, second: u64, roots: (Hash, Hash), proof: &[Hash]) -> bool {
    if first == 0 || first >= second || proof.is_empty() {
        return false;
    }
    let mut path = proof.to_vec();
    if first.is_power_of_two() {
        path.insert(0, roots.0);
    }
    let (mut function, mut last) = (first - 1, second - 1);
    while function & 1 == 1 {
        function >>= 1;
        last >>= 1;
    }
    let (mut one, mut two) = (path[0], path[0]);
    for hash in &path[1..] {
        if last == 0 {
            return false;
        }
        if function & 1 == 1 || function == last {
            one = node(hash, &one);
            two = node(hash, &two);
            while function & 1 == 0 && function != 0 {
                function >>= 1;
                last >>= 1;
            }
        } else {
            two = node(&two, hash);
        }
        function >>= 1;
        last >>= 1;
    }
    one == roots.0 && two == roots.1 && last == 0
}
