//! What proving costs: entries appended with their leaves and roots, heads
//! signed, receipts of inclusion and consistency made, in a log of a hundred
//! thousand entries. Compare ratios within one run; machines differ.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use cabildo::domain::time::Timestamp;
use cabildo::evidence::{
    Body, EventKind, EvidenceKeys, LogIdentity, Point, Tree, consistency_receipt,
    inclusion_receipt, leaf_hash, sign_head,
};

const ENTRIES: u64 = 100_000;
const MEASURED_FOR: Duration = Duration::from_secs(2);

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let keys = EvidenceKeys::open(directory.path()).expect("keys");
    let key = keys.active();
    let identity = LogIdentity {
        issuer: "https://notary.test".to_owned(),
        subject: "urn:uuid:0198c0de-0000-7000-8000-000000000001".to_owned(),
    };
    let at = Timestamp::from_unix_us(1_700_000_000_000_000);

    let mut tree = Tree::new();
    let started = Instant::now();
    for seq in 0..ENTRIES {
        let bytes = Body::Event { kind: EventKind::RoomEvent, commitment: [7; 32] }
            .encode(seq, 1_700_000_000_000);
        tree.append(leaf_hash(&bytes));
    }
    let took = started.elapsed();
    let per_entry_us = took.as_secs_f64() * 1e6 / 1e5;
    println!("encode and append one of 100,000 entries: {per_entry_us:.2} µs");

    let mut index = 0;
    let mut next = || {
        index = (index + 7_919) % (ENTRIES - 1);
        index
    };
    report("root at any size", || {
        black_box(tree.root(next() + 1));
    });
    let point = Point { size: ENTRIES, root: tree.root(ENTRIES).expect("there") };
    report("sign a head, COSE and JWS", || {
        black_box(sign_head(&identity, point, Point::none(), at, &key));
    });
    report("receipt of inclusion", || {
        black_box(inclusion_receipt(&tree, next(), ENTRIES, (&identity, at), &key));
    });
    report("receipt of consistency", || {
        black_box(consistency_receipt(&tree, next() + 1, ENTRIES, (&identity, at), &key));
    });
}

/// Repeats something, and prints how fast that was.
fn report(what: &str, mut once: impl FnMut()) {
    for _ in 0..20 {
        once();
    }
    let (started, mut times) = (Instant::now(), 0_u32);
    while started.elapsed() < MEASURED_FOR {
        once();
        times += 1;
    }
    let per_second = f64::from(times) / started.elapsed().as_secs_f64();
    println!("{what}: {per_second:.0} a second, {:.1} µs each", 1e6 / per_second);
}
