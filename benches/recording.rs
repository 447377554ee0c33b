//! What recording costs beside the tap: 200 tracks of 2 Mbit/s of pictures and
//! 200 of 40 kbit/s of sound, journalled, sealed and hashed in one thread. Also
//! what a recording is larger than its packets. Compare ratios within one run;
//! machines differ.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]

use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::RecordingState;
use cabildo::recorder::RoomTrack;
use cabildo::recorder::engine::{Engine, Output, Randomness};
use cabildo::sealing::{SALT_BYTES, TrackKey, random_key, random_salt};
use cabildo::sfu::tap::{TapItem, TapKind};

const TRACKS: usize = 200;
const SPAN_MS: u64 = 20_000;

struct SystemRandomness;

impl Randomness for SystemRandomness {
    fn track_id(&mut self) -> RecordedTrackId {
        RecordedTrackId::random()
    }

    fn key(&mut self) -> TrackKey {
        TrackKey::new(random_key())
    }

    fn salt(&mut self) -> [u8; SALT_BYTES] {
        random_salt()
    }
}

/// Processor time of this thread: a busy machine does not lengthen it.
fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).expect("not negative");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("below a second"))
}

/// Resident memory of this process.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = text.split(' ').nth(1).expect("resident");
    let page = u64::try_from(rustix::param::page_size()).expect("small");
    pages.parse::<u64>().expect("a number") * page
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

struct Measured {
    us_per_packet: f64,
    core_permille: f64,
    overhead_permille: f64,
    kib_per_track: f64,
}

fn run(codec: Codec, packet_bytes: usize, every_us: u64) -> Measured {
    let (tenant, session) = (TenantId::generate(), SessionId::generate());
    let mut engine = Engine::new();
    engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 0);
    let tracks: Vec<TrackId> = (0..TRACKS).map(|_| TrackId::generate()).collect();
    let before_bytes = resident_bytes();
    for track in &tracks {
        let source = TrackSource::Camera;
        let user = "u".parse().expect("valid");
        engine.add_track(
            SessionKey::new(tenant, session),
            RoomTrack { track: *track, user, name: "U".to_owned(), source, codec },
        );
    }
    let mut random = SystemRandomness;
    let mut packet = vec![0x5A; packet_bytes];
    packet[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    let (mut raw, mut sealed, mut packets) = (0, 0, 0_u64);
    let begun = thread_cpu_time();
    let mut now_us = 0;
    while now_us < SPAN_MS * 1_000 {
        let [.., high, low] = packets.to_be_bytes();
        packet[2..4].copy_from_slice(&[high, low]);
        for track in &tracks {
            let mut give = |kind| {
                engine.handle_item(&TapItem { track: *track, at_us: now_us, kind }, &mut random);
            };
            if now_us == 0 {
                give(TapKind::Source { ssrc: 1, layer: 0 });
                give(TapKind::Codec { payload_type: 96, codec });
            }
            let key_frame_start = codec == Codec::Opus || (packets / 200).is_multiple_of(600);
            give(TapKind::Packet { bytes: &packet, key_frame_start });
            raw += packet.len() as u64;
            packets += 1;
            while let Some(output) = engine.poll_output() {
                if let Output::Sealed { bytes, .. } = output {
                    sealed += bytes.len() as u64;
                }
            }
        }
        now_us += every_us;
    }
    let resident = resident_bytes().saturating_sub(before_bytes);
    engine.stop(SPAN_MS);
    while let Some(output) = engine.poll_output() {
        if let Output::Sealed { bytes, .. } = output {
            sealed += bytes.len() as u64;
        }
    }
    let took = thread_cpu_time().saturating_sub(begun);
    Measured {
        us_per_packet: took.as_secs_f64() * 1e6 / ratio(packets, 1),
        core_permille: took.as_secs_f64() * 1e6 / ratio(SPAN_MS, 1),
        overhead_permille: ratio(sealed.saturating_sub(raw), raw) * 1e3,
        kib_per_track: ratio(resident, 1_024 * TRACKS as u64),
    }
}

fn main() {
    println!("{TRACKS} tracks, {} s of each", SPAN_MS / 1_000);
    // Headers of 24 bytes, extensions included.
    let cases = [
        ("pictures, 2 Mbit/s", Codec::Vp8, 1_200, 4_800),
        ("sound, 40 kbit/s", Codec::Opus, 124, 20_000),
    ];
    for (name, codec, packet_bytes, every_us) in cases {
        let it = run(codec, packet_bytes, every_us);
        println!(
            "{name:<20} {:.3} µs a packet, {:.1} ‰ of a core, {:.1} ‰ over the packets, \
             {:.1} KiB a track",
            it.us_per_packet, it.core_permille, it.overhead_permille, it.kib_per_track
        );
    }
}
