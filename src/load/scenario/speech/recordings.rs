//! Recorded phrases as the packets of a microphone.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use opus::{Application, Bitrate, Channels, Encoder};

use crate::load::LoadError;
use crate::load::client::Recorded;

/// Samples of a packet of 20 ms at 48 kHz.
const PACKET: usize = 960;
/// Bytes before the samples of a file, up to this many of which are searched for them.
const HEADER_BYTES_MAX: usize = 4_096;
/// Bytes of the largest file: a minute and a half.
const FILE_BYTES_MAX: u64 = 10 << 20;
/// Most files; further ones are not read.
const FILES_MAX: usize = 100;
/// What is louder than this is a word, in units of a 16-bit sample.
const WORD_LEVEL: u16 = 600;
/// Packets of silence behind each phrase: one second, so that it is a piece of speech of its own.
const PAUSE_PACKETS: usize = 50;
/// Most bytes of a packet.
const PACKET_BYTES_MAX: usize = 1_500;

/// The samples of a phrase from its first word to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Phrase {
    samples: Vec<i16>,
}

impl Phrase {
    /// How long it is, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a phrase has few samples")]
        let samples = self.samples.len() as f64;
        samples / 48_000.0
    }
}

/// Reads the phrases of a language: the WAV files of a directory whose names begin with the
/// language and a hyphen, by name.
pub(super) fn read(directory: &Path, language: &str) -> Result<Vec<Phrase>, LoadError> {
    let shown = directory.display();
    let failed = |error: std::io::Error| LoadError::Recording(format!("{shown}: {error}"));
    let prefix = format!("{language}-");
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with(&prefix) && path.extension().is_some_and(|end| end == "wav") {
            files.push(path);
        }
    }
    files.sort();
    files.truncate(FILES_MAX);
    if files.is_empty() {
        return Err(LoadError::Recording(format!("{shown} has no file {prefix}….wav")));
    }
    files.iter().map(|file| read_file(file)).collect()
}

fn read_file(path: &Path) -> Result<Phrase, LoadError> {
    let wrong = |why: &str| LoadError::Recording(format!("{}: {why}", path.display()));
    let failed = |error: std::io::Error| wrong(&error.to_string());
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong("it is too large"));
    }
    phrase_of(&bytes).map_err(wrong)
}

/// The phrase of a WAV file of one channel of 16 bits at 48 kHz.
fn phrase_of(bytes: &[u8]) -> Result<Phrase, &'static str> {
    // The kind of samples, the number of channels and the rate, as the format chunk has them.
    let is_pcm = bytes.starts_with(b"RIFF")
        && bytes.get(20..28) == Some(&[1, 0, 1, 0, 0x80, 0xBB, 0, 0][..])
        && bytes.get(34..36) == Some(&[16, 0][..]);
    if !is_pcm {
        return Err("it is not WAV with one channel of 16 bits at 48 kHz");
    }
    let head = &bytes[..bytes.len().min(HEADER_BYTES_MAX)];
    let data = head.windows(4).position(|name| name == b"data").ok_or("it has no samples")?;
    let samples = bytes.get(data + 8..).unwrap_or_default().chunks_exact(2);
    let samples: Vec<i16> = samples.map(|it| i16::from_le_bytes([it[0], it[1]])).collect();
    let is_word = |sample: &i16| sample.unsigned_abs() > WORD_LEVEL;
    let begin = samples.iter().position(is_word).ok_or("it has no words")?;
    let end = samples.iter().rposition(is_word).ok_or("it has no words")?;
    Ok(Phrase { samples: samples[begin..=end].to_vec() })
}

/// The packets of a microphone that says these phrases, with a pause behind each, after a pause of
/// `delay` packets.
pub(super) fn packets<'a>(
    phrases: impl Iterator<Item = &'a Phrase>,
    delay: usize,
) -> Result<Vec<Recorded>, LoadError> {
    let failed = |error: opus::Error| LoadError::Recording(error.to_string());
    let mut encoder = Encoder::new(48_000, Channels::Mono, Application::Voip).map_err(failed)?;
    encoder.set_bitrate(Bitrate::Bits(24_000)).map_err(failed)?;
    encoder.set_inband_fec(true).map_err(failed)?;
    encoder.set_packet_loss_perc(10).map_err(failed)?;
    let mut packets = Vec::new();
    let mut encode = |samples: &[i16], ends_phrase: bool| {
        let payload = encoder.encode_vec(samples, PACKET_BYTES_MAX).map_err(failed)?;
        packets.push(Recorded { payload, level_dbov: level_dbov(samples), ends_phrase });
        Ok::<(), LoadError>(())
    };
    let silence = [0; PACKET];
    for _ in 0..delay {
        encode(&silence, false)?;
    }
    for phrase in phrases {
        let count = phrase.samples.len().div_ceil(PACKET);
        for (at, samples) in phrase.samples.chunks(PACKET).enumerate() {
            let mut packet = silence;
            packet[..samples.len()].copy_from_slice(samples);
            encode(&packet, at + 1 == count)?;
        }
        for _ in 0..PAUSE_PACKETS {
            encode(&silence, false)?;
        }
    }
    Ok(packets)
}

/// The level of samples in decibels below overload (RFC 6464).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "the number of samples is small and the level is clamped"
)]
fn level_dbov(samples: &[i16]) -> u8 {
    let square = |sample: &i16| f64::from(*sample) * f64::from(*sample);
    let power = samples.iter().map(square).sum::<f64>() / samples.len().max(1) as f64;
    (-10.0 * (power.max(1e-9) / (32_768.0 * 32_768.0)).log10()).clamp(0.0, 127.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these samples.
    fn wav(samples: &[i16]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        file.extend_from_slice(&[1, 0, 1, 0, 0x80, 0xBB, 0, 0, 0, 0x77, 1, 0, 2, 0, 16, 0]);
        file.extend_from_slice(b"data\0\0\0\0");
        file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        file
    }

    #[test]
    fn a_phrase_is_what_lies_between_its_first_word_and_its_last() {
        let samples =
            [vec![3; 500], vec![9_000; 1_000], vec![0; 700], vec![-9_000; 1_000], vec![0; 500]]
                .concat();
        let phrase = phrase_of(&wav(&samples)).unwrap();
        assert_eq!(phrase.samples.len(), 2_700);
        let packets = packets([&phrase, &phrase].into_iter(), 7).unwrap();
        assert_eq!(packets.len(), 7 + 2 * (3 + PAUSE_PACKETS));
        let ends: Vec<usize> = (0..packets.len()).filter(|at| packets[*at].ends_phrase).collect();
        assert_eq!(ends, [9, 9 + 3 + PAUSE_PACKETS]);
        assert!(packets[8].level_dbov < 30, "{}", packets[8].level_dbov);
        assert_eq!(packets[0].level_dbov, 127);
    }

    #[test]
    fn other_files_are_refused() {
        let good = wav(&[9_000; 10]);
        let mut stereo = good.clone();
        stereo[22] = 2;
        for (why, bytes) in [
            ("it is not WAV", &b"OggS"[..]),
            ("it is not WAV", &stereo),
            ("it is not WAV", &good[..30]),
            ("it has no samples", &good[..36]),
            ("it has no words", &wav(&[5; 5_000])),
            ("it has no words", &wav(&[])),
        ] {
            let error = phrase_of(bytes).expect_err(why);
            assert!(error.starts_with(why), "{error}");
        }
        let none = read(Path::new("/nowhere"), "es").expect_err("no directory");
        assert!(matches!(none, LoadError::Recording(_)), "{none}");
    }
}
