//! `WebM` (RFC 9559): clusters in order of time. The header contains values that are known only at
//! the end (duration, cues, largest picture), so it is written last although it comes first in the
//! file.

use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::{Setup, opus_duration_us};
use crate::formats::ebml::{element, float, head, nested, unsigned, wide};
use crate::formats::sample::{Chunk, Finished, KeyPoint, KeyPoints, Sample, last_frame_us};

const EBML: u32 = 0x1A45_DFA3;
const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114D_9B74;
const INFO: u32 = 0x1549_A966;
const TRACKS: u32 = 0x1654_AE6B;
const CUES: u32 = 0x1C53_BB6B;
const CLUSTER: u32 = 0x1F43_B675;
const SIMPLE_BLOCK: u32 = 0xA3;

/// Nanoseconds per tick of the file: a millisecond.
const TICK_NS: u64 = 1_000_000;
/// How much Opus must be decoded before the output is correct, in nanoseconds.
const SEEK_PRE_ROLL_NS: u64 = 80_000_000;

/// Writes a file with one track.
#[derive(Debug)]
pub struct WebmWriter {
    codec: Codec,
    setup: Setup,
    chunk: Chunk,
    keys: KeyPoints,
    /// Bytes written after the header.
    written: u64,
    end_us: u64,
}

impl WebmWriter {
    /// Begins a file of one track with this codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            setup: Setup::default(),
            chunk: Chunk::default(),
            keys: KeyPoints::default(),
            written: 0,
            end_us: 0,
        }
    }

    /// Stores the setup of a key frame. The file has the largest picture size and the first
    /// configuration.
    pub fn handle_setup(&mut self, setup: Setup) {
        let area = |size: (u32, u32)| u64::from(size.0) * u64::from(size.1);
        if area(setup.size) > area(self.setup.size) {
            self.setup.size = setup.size;
        }
        if self.setup.private.is_empty() {
            self.setup.private = setup.private;
        }
    }

    /// Takes the next frame; appends the clusters that are complete to `out`.
    pub fn write(&mut self, sample: Sample, out: &mut Vec<u8>) {
        if self.chunk.is_full_for(&sample, self.codec.kind()) {
            self.end_chunk(out);
        }
        let length_us = match self.codec.kind() {
            MediaKind::Audio => u64::from(opus_duration_us(&sample.data)),
            MediaKind::Video => last_frame_us(self.codec),
        };
        self.end_us = self.end_us.max(sample.at_us + length_us);
        self.chunk.push(sample);
    }

    /// Ends the file: appends the last cluster to `out` and returns the header.
    pub fn finish(mut self, out: &mut Vec<u8>) -> Finished {
        self.end_chunk(out);
        let media_type = media_type(self.codec, &self.setup);
        Finished { header: self.header(), duration_us: self.end_us, media_type }
    }

    fn end_chunk(&mut self, out: &mut Vec<u8>) {
        let samples = std::mem::take(&mut self.chunk).samples;
        let Some(first) = samples.first() else { return };
        if first.key {
            self.keys.push(KeyPoint { at_us: first.at_us, offset: self.written });
        }
        let start_ms = first.at_us / 1_000;
        let mut body = Vec::new();
        unsigned(&mut body, 0xE7, start_ms);
        for sample in &samples {
            let after_ms = i16::try_from(sample.at_us / 1_000 - start_ms).unwrap_or(i16::MAX);
            head(&mut body, SIMPLE_BLOCK, 4 + sample.data.len() as u64);
            body.push(0x81);
            body.extend(after_ms.to_be_bytes());
            body.push(if sample.key { 0x80 } else { 0 });
            body.extend_from_slice(&sample.data);
        }
        let before = out.len();
        element(out, CLUSTER, &body);
        self.written += (out.len() - before) as u64;
    }

    fn header(&self) -> Vec<u8> {
        let mut info = Vec::new();
        nested(&mut info, INFO, |out| {
            unsigned(out, 0x002A_D7B1, TICK_NS);
            let ms = u32::try_from(self.end_us.div_ceil(1_000)).unwrap_or(u32::MAX);
            float(out, 0x4489, f64::from(ms));
            element(out, 0x4D80, b"cabildo");
            element(out, 0x5741, b"cabildo");
        });
        let mut tracks = Vec::new();
        nested(&mut tracks, TRACKS, |out| nested(out, 0xAE, |out| self.track(out)));
        // All sizes are fixed, so a first pass determines the offsets.
        let seek_bytes = seek_head([0; 3]).len() as u64;
        let info_at = seek_bytes;
        let tracks_at = info_at + info.len() as u64;
        let cues_at = tracks_at + tracks.len() as u64;
        let clusters_at = cues_at + self.cues(0).len() as u64;
        let mut header = Vec::new();
        nested(&mut header, EBML, |out| {
            unsigned(out, 0x4286, 1);
            unsigned(out, 0x42F7, 1);
            unsigned(out, 0x42F2, 4);
            unsigned(out, 0x42F3, 8);
            element(out, 0x4282, b"webm");
            unsigned(out, 0x4287, 4);
            unsigned(out, 0x4285, 2);
        });
        head(&mut header, SEGMENT, clusters_at + self.written);
        header.extend(seek_head([info_at, tracks_at, cues_at]));
        header.extend(info);
        header.extend(tracks);
        header.extend(self.cues(clusters_at));
        header
    }

    fn track(&self, out: &mut Vec<u8>) {
        let is_video = self.codec.kind() == MediaKind::Video;
        unsigned(out, 0xD7, 1);
        unsigned(out, 0x73C5, 1);
        unsigned(out, 0x83, if is_video { 1 } else { 2 });
        unsigned(out, 0x9C, 0);
        element(out, 0x0022_B59C, b"und");
        element(out, 0x86, codec_id(self.codec).as_bytes());
        if is_video {
            if self.codec == Codec::Av1 {
                element(out, 0x63A2, &self.setup.private);
            }
            nested(out, 0xE0, |out| {
                unsigned(out, 0xB0, self.setup.size.0.max(1).into());
                unsigned(out, 0xBA, self.setup.size.1.max(1).into());
            });
        } else {
            element(out, 0x63A2, &opus_head());
            unsigned(out, 0x56BB, SEEK_PRE_ROLL_NS);
            nested(out, 0xE1, |out| {
                float(out, 0xB5, 48_000.0);
                unsigned(out, 0x9F, 2);
            });
        }
    }

    fn cues(&self, clusters_at: u64) -> Vec<u8> {
        let mut cues = Vec::new();
        nested(&mut cues, CUES, |out| {
            for key in &self.keys.points {
                nested(out, 0xBB, |out| {
                    unsigned(out, 0xB3, key.at_us / 1_000);
                    nested(out, 0xB7, |out| {
                        unsigned(out, 0xF7, 1);
                        wide(out, 0xF1, clusters_at + key.offset);
                    });
                });
            }
        });
        cues
    }
}

fn seek_head(places: [u64; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    nested(&mut out, SEEK_HEAD, |out| {
        for (id, place) in [INFO, TRACKS, CUES].into_iter().zip(places) {
            nested(out, 0x4DBB, |out| {
                element(out, 0x53AB, &id.to_be_bytes());
                wide(out, 0x53AC, place);
            });
        }
    });
    out
}

/// Sound is always Opus: no browser plays G.711 in a file, so files have it as Opus.
const fn codec_id(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => "A_OPUS",
        Codec::Vp8 => "V_VP8",
        Codec::Vp9 => "V_VP9",
        Codec::Av1 => "V_AV1",
        Codec::H264 => "V_MPEG4/ISO/AVC",
    }
}

/// The Opus identification header (RFC 7845 §5.1): two channels, as RTP declares for all Opus (RFC
/// 7587 §4.1), and no pre-skip.
fn opus_head() -> [u8; 19] {
    let mut opus = *b"OpusHead\x01\x02\0\0\0\0\0\0\0\0\0";
    opus[12..16].copy_from_slice(&48_000_u32.to_le_bytes());
    opus
}

fn media_type(codec: Codec, setup: &Setup) -> String {
    let codecs = match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => return "audio/webm; codecs=\"opus\"".to_owned(),
        Codec::Vp8 => "vp8".to_owned(),
        Codec::Vp9 => match setup.private.first() {
            None | Some(0) => "vp9".to_owned(),
            Some(profile) => {
                format!("vp09.{profile:02}.10.{}", if *profile < 2 { "08" } else { "10" })
            }
        },
        Codec::Av1 => av1_codecs(&setup.private),
        Codec::H264 => "avc1".to_owned(),
    };
    format!("video/webm; codecs=\"{codecs}\"")
}

/// The codec string for a configuration record (AV1 in ISOBMFF §5).
fn av1_codecs(record: &[u8]) -> String {
    let [_, profile_level, flags, ..] = *record else { return "av01.0.08M.08".to_owned() };
    let tier = if flags & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match flags >> 5 & 3 {
        2 => 10,
        3 => 12,
        _ => 8,
    };
    format!("av01.{}.{:02}{tier}.{depth:02}", profile_level >> 5, profile_level & 0x1F)
}
