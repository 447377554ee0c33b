//! The Merkle tree of RFC 9162 §2.1: the roots of growing prefixes, and the verification of both
//! kinds of proof.

use sha2::{Digest as _, Sha256};

/// A SHA-256 hash.
pub(super) type Hash = [u8; 32];

/// The hash of some bytes.
#[must_use]
pub(super) fn sha256(bytes: &[u8]) -> Hash {
    Sha256::digest(bytes).into()
}

/// The hash of a leaf: SHA-256(0x00 ‖ entry).
#[must_use]
pub(super) fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The roots of the complete subtrees on the right edge of a growing tree, largest first. They are
/// sufficient to add further leaves.
#[derive(Debug, Clone, Default)]
pub(super) struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Number of leaves.
    #[must_use]
    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    /// Adds the hash of a leaf.
    pub(super) fn add(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // For each low bit set there is a complete subtree of the same height to the left.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root over all leaves so far; the hash of the empty string when there are none.
    #[must_use]
    pub(super) fn root(&self) -> Hash {
        let folded = self.peaks.iter().rev().copied().reduce(|right, left| node(&left, &right));
        folded.unwrap_or_else(|| sha256(&[]))
    }
}

/// The root that an inclusion path gives (RFC 9162 §2.1.3.2); `None` when the path does not fit
/// this index in a tree of this size.
#[must_use]
pub(super) fn root_of_inclusion(leaf: Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            hash = node(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// The two roots that a consistency path gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ConsistentRoots {
    /// Root of the smaller tree.
    pub(super) first: Hash,
    /// Root of the larger tree.
    pub(super) second: Hash,
}

/// Follows a consistency path (RFC 9162 §2.1.4.2) from `first` to `second`. When `first` is a power
/// of two the path starts from `first_root`, which the caller must know; otherwise the path
/// contains it. `None` when the path does not fit these sizes, or `first_root` is needed and not
/// known.
#[must_use]
pub(super) fn roots_of_consistency(
    first: u64,
    second: u64,
    first_root: Option<Hash>,
    path: &[Hash],
) -> Option<ConsistentRoots> {
    if first == 0 || first >= second || path.is_empty() {
        return None;
    }
    let (start, rest) = if first.is_power_of_two() {
        (first_root?, path)
    } else {
        let (start, rest) = path.split_first()?;
        (*start, rest)
    };
    let (mut place, mut last) = (first - 1, second - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let mut roots = ConsistentRoots { first: start, second: start };
    for hash in rest {
        if last == 0 {
            return None;
        }
        if place & 1 == 1 || place == last {
            roots.first = node(hash, &roots.first);
            roots.second = node(hash, &roots.second);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            roots.second = node(&roots.second, hash);
        }
        place >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Root and paths as RFC 9162 §2.1.1 to §2.1.4.1 define them.
    fn root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => sha256(&[]),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(split(leaves.len()));
                node(&root(left), &root(right))
            }
        }
    }

    fn split(size: usize) -> usize {
        size.next_power_of_two() / 2
    }

    fn path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
        if leaves.len() == 1 {
            return Vec::new();
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut inner, sibling) = if index < left.len() {
            (path(index, left), root(right))
        } else {
            (path(index - left.len(), right), root(left))
        };
        inner.push(sibling);
        inner
    }

    fn consistency(first: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if first == leaves.len() {
            return if whole { Vec::new() } else { vec![root(leaves)] };
        }
        let (left, right) = leaves.split_at(split(leaves.len()));
        let (mut inner, sibling) = if first <= left.len() {
            (consistency(first, left, whole), root(right))
        } else {
            (consistency(first - left.len(), right, false), root(left))
        };
        inner.push(sibling);
        inner
    }

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|number| leaf(&[number])).collect()
    }

    #[test]
    fn roots_grow_as_defined() {
        let all = leaves(70);
        let mut frontier = Frontier::default();
        assert_eq!(frontier.root(), sha256(&[]));
        for (count, leaf) in all.iter().enumerate() {
            frontier.add(*leaf);
            assert_eq!(frontier.root(), root(&all[..=count]), "{count}");
        }
        assert_eq!(frontier.size(), 70);
    }

    #[test]
    fn inclusion_holds_for_one_place_and_size() {
        for size in 1..=33 {
            let all = leaves(size);
            let whole = root(&all);
            for index in 0..usize::from(size) {
                let proof = path(index, &all);
                let (at, n) = (index as u64, u64::from(size));
                assert_eq!(root_of_inclusion(all[index], at, n, &proof), Some(whole));
                assert_ne!(root_of_inclusion(leaf(b"x"), at, n, &proof), Some(whole));
                assert_eq!(root_of_inclusion(all[index], n, n, &proof), None);
                let mut long = proof.clone();
                long.push(whole);
                assert_eq!(root_of_inclusion(all[index], at, n, &long), None);
                if !proof.is_empty() {
                    let short = &proof[1..];
                    assert_ne!(root_of_inclusion(all[index], at, n, short), Some(whole));
                }
            }
        }
    }

    #[test]
    fn consistency_holds_between_two_sizes() {
        for size in 2..=33_u8 {
            let all = leaves(size);
            for first in 1..usize::from(size) {
                let proof = consistency(first, &all, true);
                let (m, n) = (first as u64, u64::from(size));
                let first_root = root(&all[..first]);
                let roots = roots_of_consistency(m, n, Some(first_root), &proof);
                let expected = ConsistentRoots { first: first_root, second: root(&all) };
                assert_eq!(roots, Some(expected), "{m} to {n}");
                let other = roots_of_consistency(m, n, Some([0; 32]), &proof);
                assert!(m.is_power_of_two() == (other != Some(expected)));
                let mut long = proof.clone();
                long.push(first_root);
                assert_eq!(roots_of_consistency(m, n, Some(first_root), &long), None);
                assert_eq!(roots_of_consistency(n, n, Some(first_root), &proof), None);
                assert_eq!(roots_of_consistency(0, n, Some(first_root), &proof), None);
            }
        }
    }
}
