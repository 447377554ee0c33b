//! What sealing a recording costs: packets of 1,200 bytes into objects of one
//! megabyte, encrypted and hashed as the recorder does it, on one core; opening
//! such objects; and hashing alone, to tell the parts apart. Compare ratios
//! within one run; machines differ.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use cabildo::domain::id::{RecordedTrackId, SessionId};
use cabildo::domain::secret::Secret;
use cabildo::sealing::{Context, Opener, Sealer, TrackKey};
use sha2::{Digest as _, Sha256};

const PACKET_BYTES: usize = 1_200;
/// Four seconds of two megabits.
const OBJECT_BYTES: usize = 1_000_000;
const MEASURED_FOR: Duration = Duration::from_secs(2);

fn main() {
    let track_key = TrackKey::new(Secret::new([7; 32]));
    let (session, track) = (SessionId::generate(), RecordedTrackId::random());
    let context = |index| Context::Segment { session, track, index, epoch: 1 };
    let (packet, piece) = (vec![0x5A; PACKET_BYTES], vec![0x5A; 65_536]);
    let mut object = Vec::with_capacity(2 * OBJECT_BYTES);

    let mut index = 0;
    let mut seal = |piece: &[u8]| {
        object.clear();
        index += 1;
        let key = track_key.segment_key(index);
        let mut sealer = Sealer::new(&key, &context(index), [1; 24], &mut object);
        for _ in 0..OBJECT_BYTES / piece.len() {
            sealer.write(piece, &mut object);
        }
        black_box(sealer.finish(&mut object));
    };
    report("seal and hash, packets of 1,200 bytes", || seal(&packet));
    report("seal and hash, pieces of 64 KiB", || seal(&piece));

    let key = track_key.segment_key(0);
    let mut object = Vec::new();
    let mut sealer = Sealer::new(&key, &context(0), [1; 24], &mut object);
    sealer.write(&vec![0x5A; OBJECT_BYTES], &mut object);
    sealer.finish(&mut object);
    report("open, whole objects", || {
        black_box(Opener::open(&key, &context(0), &object).expect("authentic"));
    });
    report("hash alone", || {
        black_box(Sha256::digest(&object));
    });
}

/// Repeats what handles one object, and prints how fast that was.
fn report(what: &str, mut one_object: impl FnMut()) {
    for _ in 0..20 {
        one_object();
    }
    let (started, mut objects) = (Instant::now(), 0_u32);
    while started.elapsed() < MEASURED_FOR {
        one_object();
        objects += 1;
    }
    let took_s = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a million")]
    let bytes = f64::from(objects) * OBJECT_BYTES as f64;
    println!("{what:<40} {:>6.2} GB/s", bytes / took_s / 1e9);
}
