//! The Merkle tree of a log (RFC 9162 §2.1), grown leaf by leaf.

use sha2::{Digest as _, Sha256};

use crate::evidence::repository::Hash;

/// Most leaves of a tree. A day with two hundred tracks has slightly more. Raising it raises
/// memory: a full tree of 2^22 leaves takes 256 MiB.
pub const LEAVES_MAX: u64 = 1 << 22;

/// The hash of an entry as a leaf (RFC 9162 §2.1.1).
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new_with_prefix([0x00]).chain_update(entry).finalize().into()
}

fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([0x01]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves: SHA-256 of the empty string.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// A tree that keeps the hash of every complete subtree, at most 64 bytes per leaf. Computing a
/// root or proof takes a number of hashes that is logarithmic in the size.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// `levels[k][i]` is the root of leaves `i·2^k` to `(i+1)·2^k`.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Makes a tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a tree of these leaf hashes.
    #[must_use]
    pub fn from_leaves(leaves: &[Hash]) -> Self {
        let mut tree = Self::new();
        for leaf in leaves {
            tree.append(*leaf);
        }
        tree
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Adds a leaf hash and every subtree that it completes.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            nodes.push(hash);
            let [.., left, right] = nodes.as_slice() else { return };
            if !nodes.len().is_multiple_of(2) {
                return;
            }
            hash = node_hash(left, right);
        }
    }

    /// The root of the first `size` leaves; `None` when there are fewer.
    #[must_use]
    pub fn root(&self, size: u64) -> Option<Hash> {
        (size <= self.size()).then(|| self.range(0, size))
    }

    /// The leaf hash at `index`.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.node(0, index)
    }

    /// The root of the complete subtree number `index` of 2^`level` leaves;
    /// `None` when it is not complete.
    #[must_use]
    pub fn node(&self, level: usize, index: u64) -> Option<Hash> {
        self.levels.get(level)?.get(usize::try_from(index).ok()?).copied()
    }

    /// The inclusion path of leaf `index` in the tree of `size` leaves, deepest
    /// sibling first (RFC 9162 §2.1.3.1); `None` when there is no such leaf or
    /// no such tree.
    #[must_use]
    pub fn inclusion(&self, index: u64, size: u64) -> Option<Vec<Hash>> {
        if index >= size || size > self.size() {
            return None;
        }
        let mut path = Vec::new();
        let (mut start, mut end) = (0, size);
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// The consistency proof between the trees of `first` and `second` leaves (RFC 9162 §2.1.4.1);
    /// `None` unless 0 < `first` < `second` and there are that many leaves.
    #[must_use]
    pub fn consistency(&self, first: u64, second: u64) -> Option<Vec<Hash>> {
        if first == 0 || first >= second || second > self.size() {
            return None;
        }
        let mut path = Vec::new();
        let (mut start, mut end) = (0, second);
        while first < end {
            let middle = start + split(end - start);
            if first <= middle {
                path.push(self.range(middle, end));
                end = middle;
            } else {
                path.push(self.range(start, middle));
                start = middle;
            }
        }
        // A subtree that starts at 0 is the whole smaller tree, whose root the verifier knows.
        if start != 0 {
            path.push(self.range(start, end));
        }
        path.reverse();
        Some(path)
    }

    /// The root of the leaves from `start` to `end`, which must exist; `start` must be where a
    /// subtree of that many leaves begins.
    fn range(&self, start: u64, end: u64) -> Hash {
        let (mut position, mut complete) = (start, Vec::new());
        while position < end {
            // The largest complete subtree that fits into the rest.
            let level = (end - position).ilog2();
            complete.push(self.levels[level as usize][to_index(position >> level)]);
            position += 1 << level;
        }
        let joined = complete.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
        joined.unwrap_or_else(empty_root)
    }
}

/// The largest power of two smaller than `leaves`, which must be at least two.
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}

fn to_index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_that_cannot_be_is_not_made() {
        let tree = Tree::from_leaves(&[leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]);
        assert_eq!(tree.size(), 3);
        assert_eq!(tree.root(0), Some(empty_root()));
        assert!(tree.root(4).is_none());
        assert!(tree.inclusion(3, 3).is_none());
        assert!(tree.inclusion(0, 4).is_none());
        assert_eq!(tree.inclusion(0, 1), Some(Vec::new()));
        for (first, second) in [(0, 3), (3, 3), (3, 2), (2, 4)] {
            assert!(tree.consistency(first, second).is_none(), "{first} to {second}");
        }
    }

    #[test]
    fn only_complete_subtrees_have_nodes() {
        let tree = Tree::from_leaves(&[leaf_hash(b"a"), leaf_hash(b"b"), leaf_hash(b"c")]);
        assert_eq!(tree.node(1, 0), tree.root(2));
        assert!(tree.node(1, 1).is_none());
        assert!(tree.node(2, 0).is_none());
        assert_eq!(tree.leaf(2), Some(leaf_hash(b"c")));
    }
}
