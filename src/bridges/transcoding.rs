//! A thread that makes Opus of a camera's AAC: it takes too long for the threads of media and of
//! requests. It ends with the camera, and when it fails only this sound does.

use std::thread;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::engine::aac::{Made, OpusFromAac};
use super::metrics;
use crate::formats::codec::AacConfig;

/// Packets of a camera that wait for the thread, and packets of Opus that wait for its room: two seconds,
/// as much as is decoded at once when a busy machine lets the thread run again. At the limit new ones of
/// the camera are dropped. Raising it lets sound be later.
const WAITING_MAX: usize = 96;

/// A packet of the camera.
struct Packet {
    stamp: i64,
    payload: Bytes,
    came: Instant,
}

/// Sound in Opus.
#[derive(Debug)]
pub(super) struct Transcoded {
    /// When it began, in ticks of 48 kHz.
    pub(super) ticks: i64,
    /// The same by the clock of this machine.
    pub(super) at: Instant,
    /// The packet.
    pub(super) payload: Vec<u8>,
}

/// A camera whose sound is made Opus.
pub(super) struct Transcoding {
    packets: mpsc::Sender<Packet>,
    made: mpsc::Receiver<Transcoded>,
}

impl Transcoding {
    /// Nothing when sound of this form can't be made Opus, or there is no thread for it.
    pub(super) fn start(config: AacConfig) -> Option<Self> {
        let engine = OpusFromAac::new(config)?;
        let (packets, waiting) = mpsc::channel(WAITING_MAX);
        let (sink, made) = mpsc::channel(WAITING_MAX);
        let thread = thread::Builder::new().name("camera-sound".to_owned());
        let started = thread.spawn(move || run(engine, waiting, &sink));
        if let Err(error) = started {
            tracing::warn!(%error, "the sound of a camera has no thread");
            return None;
        }
        Some(Self { packets, made })
    }

    /// A packet of the camera, which came at this time.
    pub(super) fn push(&self, stamp: i64, payload: Bytes, came: Instant) {
        if self.packets.try_send(Packet { stamp, payload, came }).is_err() {
            metrics::sound_dropped();
        }
    }

    /// The next packet of Opus; nothing when the thread has ended.
    pub(super) async fn next(&mut self) -> Option<Transcoded> {
        self.made.recv().await
    }
}

fn run(
    mut engine: OpusFromAac,
    mut packets: mpsc::Receiver<Packet>,
    sink: &mpsc::Sender<Transcoded>,
) {
    while let Some(Packet { stamp, payload, came }) = packets.blocking_recv() {
        for Made { ticks, ago, payload } in engine.handle(stamp, &payload, came) {
            let at = came.checked_sub(ago).unwrap_or(came);
            if sink.blocking_send(Transcoded { ticks, at, payload }).is_err() {
                return;
            }
        }
        metrics::sound_made(engine.take_counts());
    }
}
