//! Every parser that strangers reach, against its seeds and a bounded number of
//! mutations of them. The mutations are drawn from a fixed generator, so that a
//! failure repeats. `make fuzz` searches for longer.
//!
//! Seeds are in `fuzz/seeds/TARGET/`; an input that once failed goes there.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::package_root::package_root;

#[path = "../../fuzz/targets.rs"]
mod targets;

/// Longest input made, in bytes: several datagrams, or a long message.
const INPUT_BYTES_MAX: usize = 4096;

/// Where mutations come from: `SplitMix64` (Steele, Lea, Flood 2014).
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a length fits");
        usize::try_from(self.next() % bound).expect("below a length")
    }

    fn byte(&mut self) -> u8 {
        // Values at the edges of types and formats find more than random ones.
        const EDGES: [u8; 12] = [0, 1, 0x0F, 0x10, 0x7F, 0x80, 0xBE, 0xDE, 0xFE, 0xFF, b'"', b'\n'];
        if self.below(2) == 0 {
            EDGES[self.below(EDGES.len())]
        } else {
            self.next().to_le_bytes()[0]
        }
    }

    fn mutate(&mut self, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        for _ in 0..=self.below(4) {
            let at = self.below(input.len());
            match self.below(8) {
                0 | 1 if !input.is_empty() => input[at] = self.byte(),
                2 if !input.is_empty() => input[at] ^= 1 << self.below(8),
                3 => input.insert(at, self.byte()),
                4 if !input.is_empty() => drop(input.remove(at)),
                5 => input.truncate(at),
                6 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                7 if !input.is_empty() => {
                    let until = at + self.below(input.len() - at);
                    let copy = input[at..until].to_vec();
                    input.splice(at..at, copy);
                }
                _ => input.push(self.byte()),
            }
        }
        input.truncate(INPUT_BYTES_MAX);
    }
}

/// Seeds of a target; an input without any would be attacked blindly.
fn seeds_of(target: &str) -> Vec<Vec<u8>> {
    let directory = package_root().join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory entry is readable").path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.iter().map(|path| fs::read(path).expect("a seed is readable")).collect()
}

/// Runs one input and shows it when the target panics.
fn attack(target: &str, run: fn(&[u8]), input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(input)));
    assert!(outcome.is_ok(), "{target} panics on the bytes {input:02x?}");
}

fn fuzz(target: &str, run: fn(&[u8]), rounds: u32) {
    let seeds = seeds_of(target);
    for seed in &seeds {
        attack(target, run, seed);
    }
    // The long form of `make fuzz`: as long as asked, from another start.
    let seconds = std::env::var("CABILDO_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut generator = Generator(u64::from(rounds) ^ seconds.unwrap_or(0));
    let mut round = 0;
    while until.map_or(round < rounds, |until| Instant::now() < until) {
        let mut input = seeds[generator.below(seeds.len())].clone();
        generator.mutate(&mut input, &seeds);
        attack(target, run, &input);
        round += 1;
    }
}

/// One test a target, with as many rounds as take a few seconds unoptimised.
macro_rules! fuzz_tests {
    ($($target:ident: $rounds:literal,)+) => {
        $(
            #[test]
            fn $target() {
                fuzz(stringify!($target), targets::$target, $rounds);
            }
        )+

        #[test]
        fn every_target_has_seeds_and_a_cargo_fuzz_target() {
            let fuzz = package_root().join("fuzz");
            let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("readable");
            for target in [$(stringify!($target)),+] {
                assert!(!seeds_of(target).is_empty());
                assert!(fuzz.join("fuzz_targets").join(format!("{target}.rs")).is_file());
                assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            }
        }
    };
}

fuzz_tests! {
    moderation_frame: 200_000,
    rtp_packet: 300_000,
    rtcp_compound: 300_000,
    session_description: 20_000,
    transport_datagrams: 100_000,
    key_set: 100_000,
    access_token: 100_000,
    signed_token: 3_000,
    dpop_proof: 2_000,
    cbor_item: 300_000,
    evidence_head: 100_000,
    evidence_receipt: 100_000,
    evidence_entry: 100_000,
    audit_proof: 3_000,
    disclosures: 50_000,
    checkpoint: 50_000,
    segment_journal: 100_000,
    playback_token: 5_000,
    camera_address: 200_000,
    playlist_query: 200_000,
    rtsp_messages: 100_000,
    rtsp_publishing: 50_000,
    late_media: 50_000,
    framed_stream: 200_000,
    turn_messages: 100_000,
    attendance_list: 20_000,
}
