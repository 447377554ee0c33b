//! A microphone, and the engine that hears it, in virtual time.

use std::time::Duration;

use cabildo::domain::id::{SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::sfu::tap::{TapItem, TapKind};
use cabildo::transcriber::engine::{Engine, Expected, HeardTrack, Output, Piece, Unheard};

use crate::speech::{LEVEL_ID, PACKET, PAYLOAD_TYPE, Sound, rtp};

/// When the stories begin, in microseconds.
pub(super) const BEGUN_US: u64 = 1_800_000_000_000_000;
/// Microseconds of a packet.
pub(super) const PACKET_US: u64 = 20_000;

fn spanish() -> Expected {
    Expected { language: Some("es".to_owned()), words: Some("Ñemby, Areguá".into()) }
}

pub(super) fn key() -> SessionKey {
    SessionKey::new(TenantId::generate(), SessionId::generate())
}

pub(super) fn microphone(user: &str) -> HeardTrack {
    HeardTrack {
        track: TrackId::generate(),
        user: user.parse().expect("a user"),
        source: TrackSource::Microphone,
        codec: Codec::Opus,
        language: None,
    }
}

/// One microphone and what the engine makes of it.
pub(super) struct Scene {
    pub(super) engine: Engine,
    pub(super) key: SessionKey,
    pub(super) track: TrackId,
    pub(super) now_us: u64,
    pub(super) sequence: u16,
    pub(super) timestamp: u32,
    /// Ticks that a packet is counted as.
    pub(super) ticks: u32,
    pub(super) pieces: Vec<Piece>,
    pub(super) unheard: Vec<Unheard>,
}

impl Scene {
    pub(super) fn new() -> Self {
        let (key, microphone) = (key(), microphone("ana"));
        let track = microphone.track;
        let mut engine = Engine::new();
        assert!(engine.open_session(key, spanish()));
        assert!(engine.add_track(key, microphone));
        let mut scene = Self {
            engine,
            key,
            track,
            now_us: BEGUN_US,
            sequence: 65_000,
            timestamp: u32::MAX - 48_000,
            ticks: 960,
            pieces: Vec::new(),
            unheard: Vec::new(),
        };
        scene.begin();
        scene
    }

    /// What a tap tells first.
    pub(super) fn begin(&mut self) {
        self.give(TapKind::Source { ssrc: 7, layer: 0 });
        self.give(TapKind::Codec { payload_type: PAYLOAD_TYPE, codec: Codec::Opus });
        self.give(TapKind::Levels { extension: LEVEL_ID });
    }

    pub(super) fn give(&mut self, kind: TapKind<'_>) {
        self.engine.handle_item(&TapItem { track: self.track, at_us: self.now_us, kind });
        self.take();
    }

    fn take(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Piece(piece) => self.pieces.push(piece),
                Output::Unheard(unheard) => self.unheard.push(unheard),
            }
        }
    }

    /// A packet of the microphone, which counts on.
    pub(super) fn next_packet(&mut self, sound: &Sound) -> Vec<u8> {
        let packet = rtp(self.sequence, self.timestamp, 7, sound);
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(self.ticks);
        packet
    }

    pub(super) fn packet(&mut self, bytes: &[u8]) {
        self.give(TapKind::Packet { bytes, key_frame_start: false });
    }

    /// Time passes, with the ticks of the driver.
    pub(super) fn pass(&mut self, us: u64) {
        self.now_us += us;
        self.engine.handle_timeout(self.now_us);
        self.take();
    }

    /// Every packet arrives, one after the other.
    pub(super) fn say(&mut self, sounds: &[Sound]) {
        self.say_but(sounds, |_| false);
    }

    /// Those packets arrive that are not lost.
    pub(super) fn say_but(&mut self, sounds: &[Sound], is_lost: impl Fn(usize) -> bool) {
        for (number, sound) in sounds.iter().enumerate() {
            let packet = self.next_packet(sound);
            if !is_lost(number) {
                self.packet(&packet);
            }
            self.pass(PACKET_US);
        }
    }

    /// From when until when each piece is, in seconds.
    pub(super) fn times(&self) -> Vec<(f64, f64)> {
        let of = |piece: &Piece| (seconds(piece.from.unix_us()), seconds(piece.to.unix_us()));
        self.pieces.iter().map(of).collect()
    }
}

/// Whether a packet of a random network is lost: `percent` of them, always the same ones.
pub(super) fn loses(percent: usize) -> impl Fn(usize) -> bool {
    move |number| (number * 7_919 + 13) % 101 * 100 < percent * 101
}

/// Samples of a packet, for others.
pub(super) const SAMPLES: usize = PACKET;

/// A time in seconds since the story began.
pub(super) fn seconds(us: i64) -> f64 {
    let since = us - i64::try_from(BEGUN_US).expect("fits");
    let seconds = Duration::from_micros(since.unsigned_abs()).as_secs_f64();
    if since < 0 { -seconds } else { seconds }
}
