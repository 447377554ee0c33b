//! Recorded speech as the packets of a microphone.

use std::path::PathBuf;

use bytes::{BufMut as _, BytesMut};
use opus::{Application, Bitrate, Channels, Encoder};
use serde_json::Value;

use crate::package_root::package_root;

/// Samples of a packet of 20 ms at 48 kHz.
pub(crate) const PACKET: usize = 960;
/// Payload type of the packets.
pub(crate) const PAYLOAD_TYPE: u8 = 111;
/// Identifier of the header extension with the level.
pub(crate) const LEVEL_ID: u8 = 2;

/// A recorded phrase.
pub(crate) struct Phrase {
    /// Its file.
    pub(crate) file: String,
    /// What is said, as the model writes it; empty for sounds without words.
    pub(crate) text: String,
    /// Its language.
    pub(crate) language: String,
}

/// The directory of the recorded phrases and their model.
pub(crate) fn directory() -> PathBuf {
    package_root().join("tests/fixtures/speech")
}

/// The model that knows the phrases.
pub(crate) fn model() -> PathBuf {
    directory().join("cabildo-micro.ggml.bin")
}

/// All recorded phrases.
pub(crate) fn phrases() -> Vec<Phrase> {
    let list = std::fs::read(directory().join("expected.json")).expect("the list");
    let list: Vec<Value> = serde_json::from_slice(&list).expect("JSON");
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("text").to_owned();
    list.iter()
        .map(|entry| Phrase {
            file: text(entry, "file"),
            text: text(entry, "text"),
            language: text(entry, "lang"),
        })
        .collect()
}

/// The samples of a file: one channel of 16 bits at 48 kHz.
pub(crate) fn samples(file: &str) -> Vec<i16> {
    let bytes = std::fs::read(directory().join("wavs").join(file)).expect("a recording");
    assert_eq!(&bytes[22..28], &[1, 0, 0x80, 0xBB, 0, 0], "{file}: one channel at 48 kHz");
    let data = bytes.windows(4).position(|it| it == b"data").expect("samples") + 8;
    bytes[data..].chunks_exact(2).map(|it| i16::from_le_bytes([it[0], it[1]])).collect()
}

/// This many seconds of silence.
pub(crate) fn silence(seconds: usize) -> Vec<i16> {
    vec![0; seconds * 48_000]
}

/// A packet of sound.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    /// The Opus packet.
    pub(crate) payload: Vec<u8>,
    /// Its level in decibels below overload.
    pub(crate) level: u8,
}

/// Encodes samples as browsers do: 24 kbit/s, with what repairs a lost packet.
pub(crate) fn encode(samples: &[i16]) -> Vec<Sound> {
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).expect("an encoder");
    encoder.set_bitrate(Bitrate::Bits(24_000)).expect("a bit rate");
    encoder.set_inband_fec(true).expect("repair");
    encoder.set_packet_loss_perc(10).expect("a loss");
    samples
        .chunks_exact(PACKET)
        .map(|packet| Sound {
            payload: encoder.encode_vec(packet, 1_500).expect("a packet"),
            level: level(packet),
        })
        .collect()
}

/// The level of samples in decibels below overload (RFC 6465).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped")]
fn level(samples: &[i16]) -> u8 {
    let square = |sample: &i16| f64::from(*sample) * f64::from(*sample);
    let power = samples.iter().map(square).sum::<f64>() / 960.0;
    (-10.0 * (power.max(1e-9) / (32_768.0 * 32_768.0)).log10()).clamp(0.0, 127.0) as u8
}

/// An RTP packet of sound, with its level.
pub(crate) fn rtp(sequence: u16, timestamp: u32, ssrc: u32, sound: &Sound) -> Vec<u8> {
    let mut packet = BytesMut::new();
    packet.put_u8(0x90);
    packet.put_u8(PAYLOAD_TYPE);
    packet.put_u16(sequence);
    packet.put_u32(timestamp);
    packet.put_u32(ssrc);
    packet.put_u16(0xBEDE);
    packet.put_u16(1);
    packet.put_slice(&[LEVEL_ID << 4, sound.level, 0, 0]);
    packet.put_slice(&sound.payload);
    packet.to_vec()
}
