//! How fast a bundle is verified: large objects, once only hashed, once opened
//! with disclosed keys as well. The bundle is on disk, warm in the page cache.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::path::Path;
use std::time::Instant;

use cabildo::verify::files::Directory;
use cabildo::verify::{Options, Verdict, verify_bundle};
use serde_json::json;

#[expect(dead_code, reason = "the tests need more of it than the bench")]
#[path = "../tests/scenario/verify/forge.rs"]
mod forge;

use forge::{Forge, Key, SESSION};

const SEGMENTS: u64 = 64;
/// Three packets a segment, each near the longest that a journal holds.
const PACKET_BYTES: usize = 65_000;
const ROUNDS: u32 = 5;

fn main() {
    let mut forge = Forge::new(SESSION, Key::new(3));
    forge.track(0);
    let payload = vec![7; PACKET_BYTES];
    for _ in 0..SEGMENTS {
        forge.segment(0, &payload, 0);
    }
    forge.close();
    forge.sign_head();
    let directory = std::env::temp_dir().join(format!("cabildo-bench-{}", std::process::id()));
    let files = forge.full();
    let bytes: usize = files.files.values().map(Vec::len).sum();
    for (name, contents) in &files.files {
        write(&directory.join(name), contents);
    }
    println!("a bundle of {SEGMENTS} segments, {} KiB", bytes / 1024);
    measure("hashed", &directory, bytes);
    let keys: Vec<_> = (0..SEGMENTS).map(|index| forge.segment_disclosure(0, index)).collect();
    let disclosed = json!({"v": 1, "events": [], "subjects": [], "segments": keys});
    write(&directory.join("disclosures.json"), disclosed.to_string().as_bytes());
    measure("hashed and opened", &directory, bytes);
    std::fs::remove_dir_all(&directory).expect("the bundle is ours");
}

fn write(path: &Path, contents: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    std::fs::write(path, contents).expect("written");
}

fn measure(what: &str, directory: &Path, bytes: usize) {
    let files = Directory::new(directory);
    let start = Instant::now();
    for _ in 0..ROUNDS {
        let report = verify_bundle(&files, &Options::default());
        assert_eq!(report.verdict, Verdict::Valid, "{report}");
    }
    let seconds = start.elapsed().as_secs_f64() / f64::from(ROUNDS);
    let megabytes = u32::try_from(bytes / 1_000_000).expect("fits");
    println!("{what}: {:.0} MB/s", f64::from(megabytes) / seconds);
}
