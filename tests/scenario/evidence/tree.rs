use cabildo::evidence::{Tree, empty_root, leaf_hash};
use proptest::prelude::*;

use crate::evidence::merkle;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("ASCII"), 16).expect("hex digits")
        })
        .collect()
}

/// The eight inputs of the reference tree of Certificate Transparency
/// (google/certificate-transparency, `merkletree/merkle_tree_test.cc`).
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

/// The roots of its first one to eight inputs, from the same file.
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

fn reference() -> Tree {
    let mut tree = Tree::new();
    for input in INPUTS {
        tree.append(leaf_hash(&hex(input)));
    }
    tree
}

#[test]
fn the_reference_tree_has_its_published_roots() {
    let tree = reference();
    assert_eq!(
        empty_root().to_vec(),
        hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    for (size, root) in (1..).zip(ROOTS) {
        assert_eq!(tree.root(size).expect("it is that large").to_vec(), hex(root), "size {size}");
    }
}

#[test]
fn the_reference_tree_has_its_published_proofs() {
    let tree = reference();
    let inclusion = |index, size| tree.inclusion(index, size).expect("it is there");
    let expected = [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ];
    assert_eq!(inclusion(0, 8), expected.map(merkle_hash));
    let expected = [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ];
    assert_eq!(inclusion(5, 8), expected.map(merkle_hash));
    assert_eq!(
        tree.consistency(2, 5).expect("there"),
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ]
        .map(merkle_hash)
    );
    assert_eq!(
        tree.consistency(6, 8).expect("there"),
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ]
        .map(merkle_hash)
    );
}

fn merkle_hash(text: &str) -> merkle::Hash {
    hex(text).try_into().expect("32 bytes")
}

#[test]
fn every_proof_of_small_trees_is_that_of_the_definition() {
    let leaves: Vec<_> = (0..70_u8).map(|number| merkle::leaf(&[number])).collect();
    let tree = Tree::from_leaves(&leaves);
    for size in 1..=leaves.len() {
        let first = &leaves[..size];
        assert_eq!(tree.root(size as u64), Some(merkle::root(first)), "size {size}");
        for index in 0..size {
            let path = tree.inclusion(index as u64, size as u64).expect("there");
            assert_eq!(path, merkle::path(index, first), "leaf {index} of {size}");
        }
        for earlier in 1..size {
            let proof = tree.consistency(earlier as u64, size as u64).expect("there");
            assert_eq!(proof, merkle::proof(earlier, first), "{earlier} to {size}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proofs_of_large_trees_verify(size in 2_u64..3_000, a in any::<u64>(), b in any::<u64>()) {
        let leaves: Vec<_> = (0..size).map(|number| merkle::leaf(&number.to_be_bytes())).collect();
        let tree = Tree::from_leaves(&leaves);
        let root = tree.root(size).expect("there");
        let index = a % size;
        let path = tree.inclusion(index, size).expect("there");
        let leaf = leaves[usize::try_from(index).expect("small")];
        prop_assert_eq!(merkle::root_of_path(index, size, leaf, &path), Some(root));
        let first = 1 + b % (size - 1);
        let proof = tree.consistency(first, size).expect("there");
        let roots = (tree.root(first).expect("there"), root);
        prop_assert!(merkle::is_consistent(first, size, roots, &proof));
        let other = (merkle::leaf(b"other"), root);
        prop_assert!(!merkle::is_consistent(first, size, other, &proof));
    }
}
