//! Turns RTP payloads into frames in the form that container files hold. A frame that lacks a
//! packet is dropped; no input makes it panic.

mod aac;
mod av1;
mod g711;
mod h264;
mod hevc;
mod opus;
mod vp8;
mod vp9;

use bytes::Bytes;

use crate::domain::media::{Codec, MediaKind};
use crate::formats::order::{InOrder, Ordered};

pub use aac::{AacConfig, AacFrames};
pub use g711::g711_samples;
pub use hevc::SequenceSet as HevcSequenceSet;
pub use opus::duration_us as opus_duration_us;
pub use vp8::Vp8Descriptor;

/// Largest frame, in bytes. A larger one is dropped.
const FRAME_BYTES_MAX: usize = 4 << 20;
/// Most packets of one frame. A frame with more is dropped.
const FRAME_PACKETS_MAX: usize = 8_192;
/// Most parameter sets of one kind that H.264 can name (§7.4.2).
const PARAMETER_SETS_MAX: usize = 32;

/// Largest parameter set that is kept, in bytes; real ones have less than a hundred. A larger one is
/// ignored. Raising it uses more memory: as many as above are kept of each kind for each track.
const SET_BYTES_MAX: usize = 4_096;

/// What a decoder must know before the first frame, and what the header of a file contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Setup {
    /// Width and height in pixels; zero for audio.
    pub size: (u32, u32),
    /// H.265: the video parameter sets; none for other codecs.
    pub vps: Vec<Vec<u8>>,
    /// H.264 and H.265: the sequence parameter sets.
    pub sps: Vec<Vec<u8>>,
    /// H.264 and H.265: the picture parameter sets.
    pub pps: Vec<Vec<u8>>,
    /// AV1: the configuration record. VP9: the profile, in one byte.
    pub private: Vec<u8>,
}

/// Whether `payload` begins a frame that can be decoded without earlier frames. True for every
/// audio packet.
#[must_use]
pub fn is_key_frame_start(codec: Codec, payload: &[u8]) -> bool {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => true,
        Codec::Vp8 => Vp8Descriptor::parse(payload).is_some_and(|it| it.key_frame_start),
        Codec::H264 => h264::is_key_frame_start(payload),
        Codec::Vp9 => vp9::is_key_frame_start(payload),
        Codec::Av1 => av1::is_key_frame_start(payload),
    }
}

/// Width and height in pixels of the pictures from here on, when this payload begins a key frame and
/// tells them. `None` for AV1, whose sequence header is not read here.
#[must_use]
pub fn picture_size(codec: Codec, payload: &[u8]) -> Option<(u32, u32)> {
    match codec {
        Codec::Vp8 => vp8::picture_size(payload),
        Codec::Vp9 => vp9::picture_size(payload),
        Codec::H264 => h264::picture_size_in(payload),
        Codec::Opus | Codec::Pcmu | Codec::Pcma | Codec::Av1 => None,
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its RTP time in ticks, extended by the wraps.
    pub ticks: i64,
    /// Whether it can be decoded without the frames before it.
    pub key: bool,
    /// Its bytes in the form that a container holds.
    pub data: Vec<u8>,
    /// The setup of the decoder, when this frame contains it.
    pub setup: Option<Setup>,
}

/// What a codec makes from the payloads with one RTP timestamp.
struct Unit {
    key: bool,
    data: Vec<u8>,
    setup: Option<Setup>,
}

/// What payloads are read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A codec that is forwarded.
    Media(Codec),
    /// H.265, which cameras send.
    Hevc,
}

/// Whether a payload of H.265 has the beginning of a picture: its first slice (RFC 7798 §4.4).
#[must_use]
pub fn begins_hevc_picture(payload: &[u8]) -> bool {
    hevc::begins_picture(payload)
}

/// Whether a NAL unit of H.265 is a parameter set.
#[must_use]
pub fn is_hevc_set(unit: &[u8]) -> bool {
    hevc::is_set(unit)
}

/// Collects packets, in order, into frames.
#[derive(Debug)]
pub struct Depacketiser {
    format: Format,
    parameters: h264::Parameters,
    hevc: hevc::Parameters,
    av1: av1::State,
    /// Payloads collected for the current RTP timestamp.
    payloads: Vec<Bytes>,
    bytes: usize,
    ticks: i64,
    last_marker: bool,
    /// Whether a packet of the current RTP timestamp is missing.
    torn: bool,
    /// Whether a frame that later ones refer to is missing.
    broken: bool,
    out: Vec<Frame>,
}

impl Depacketiser {
    /// Begins a track. Video begins with a key frame.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self::of(Format::Media(codec))
    }

    /// Begins a track of H.265.
    #[must_use]
    pub fn hevc() -> Self {
        Self::of(Format::Hevc)
    }

    fn of(format: Format) -> Self {
        Self {
            format,
            parameters: h264::Parameters::default(),
            hevc: hevc::Parameters::default(),
            av1: av1::State::default(),
            payloads: Vec::new(),
            bytes: 0,
            ticks: 0,
            last_marker: false,
            torn: false,
            broken: true,
            out: Vec::new(),
        }
    }

    /// Takes the next packet, or the report that packets are missing.
    pub fn handle(&mut self, item: InOrder) {
        match item {
            InOrder::Packet(packet) => self.handle_packet(packet),
            InOrder::Lost => self.handle_loss(),
        }
    }

    /// Handles a change of source: the frame being collected is ended, and video begins with a key
    /// frame again.
    pub fn handle_new_source(&mut self) {
        self.handle_loss();
        self.torn = false;
    }

    /// Ends the stream: the frame being collected is ended.
    pub fn finish(&mut self) {
        self.end_unit(self.last_marker);
    }

    /// Takes the complete frames.
    pub fn poll(&mut self) -> Vec<Frame> {
        std::mem::take(&mut self.out)
    }

    fn handle_packet(&mut self, packet: Ordered) {
        if packet.payload.is_empty() {
            return;
        }
        if matches!(self.format, Format::Media(codec) if codec.kind() == MediaKind::Audio) {
            let data = packet.payload.to_vec();
            self.out.push(Frame { ticks: packet.ticks, key: true, data, setup: None });
            return;
        }
        if !self.payloads.is_empty() && packet.ticks != self.ticks {
            self.end_unit(true);
        }
        if self.payloads.is_empty() {
            self.ticks = packet.ticks;
        }
        self.last_marker = packet.marker;
        self.bytes += packet.payload.len();
        if self.bytes > FRAME_BYTES_MAX || self.payloads.len() >= FRAME_PACKETS_MAX {
            self.torn = true;
            self.payloads.truncate(1);
        } else {
            self.payloads.push(packet.payload);
        }
    }

    fn handle_loss(&mut self) {
        // A marker bit says that the frame before the loss was complete.
        self.end_unit(self.last_marker);
        self.broken = true;
    }

    fn end_unit(&mut self, whole: bool) {
        let payloads = std::mem::take(&mut self.payloads);
        let torn = std::mem::take(&mut self.torn) || !whole;
        self.bytes = 0;
        self.last_marker = false;
        if payloads.is_empty() {
            return;
        }
        let unit = if torn { None } else { self.unit(&payloads) };
        match unit {
            Some(unit) if unit.data.is_empty() => {}
            Some(unit) if unit.key || !self.broken => {
                self.broken = false;
                let (key, data, setup) = (unit.key, unit.data, unit.setup);
                self.out.push(Frame { ticks: self.ticks, key, data, setup });
            }
            Some(_) => {}
            None => self.broken = true,
        }
    }

    fn unit(&mut self, payloads: &[Bytes]) -> Option<Unit> {
        match self.format {
            Format::Media(Codec::Opus | Codec::Pcmu | Codec::Pcma) => None,
            Format::Media(Codec::Vp8) => vp8::unit(payloads),
            Format::Media(Codec::Vp9) => vp9::unit(payloads),
            Format::Media(Codec::H264) => self.parameters.unit(payloads),
            Format::Media(Codec::Av1) => self.av1.unit(payloads),
            Format::Hevc => self.hevc.unit(payloads),
        }
    }
}

/// Appends a NAL unit after its length, as files hold it.
fn push_unit(data: &mut Vec<u8>, unit: &[u8]) {
    data.extend(u32::try_from(unit.len()).unwrap_or(u32::MAX).to_be_bytes());
    data.extend_from_slice(unit);
}

/// Removes the emulation prevention bytes (H.264 §7.4.1.1, H.265 §7.4.2.1).
fn without_emulation(bytes: &[u8]) -> Vec<u8> {
    let mut meant = Vec::with_capacity(bytes.len());
    let mut zeros = 0;
    for &byte in bytes {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        meant.push(byte);
    }
    meant
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(ticks: i64, marker: bool, payload: &[u8]) -> InOrder {
        InOrder::Packet(Ordered { ticks, marker, payload: Bytes::copy_from_slice(payload) })
    }

    const KEY: &[u8] = &[0x10, 0, 0, 0, 0x9D, 1, 0x2A, 64, 0, 48, 0];
    const DELTA: &[u8] = &[0x10, 1, 0, 0];

    #[test]
    fn after_a_loss_nothing_is_written_until_a_key_frame() {
        let mut video = Depacketiser::new(Codec::Vp8);
        video.handle(packet(0, true, DELTA));
        video.handle(packet(1, true, KEY));
        video.handle(packet(2, true, DELTA));
        video.handle(InOrder::Lost);
        video.handle(packet(4, true, DELTA));
        video.handle(packet(5, true, KEY));
        video.handle(packet(6, false, DELTA));
        video.handle(InOrder::Lost);
        video.handle(packet(7, true, KEY));
        video.finish();
        let times: Vec<_> = video.poll().iter().map(|frame| (frame.ticks, frame.key)).collect();
        assert_eq!(times, [(1, true), (2, false), (5, true), (7, true)]);
    }

    #[test]
    fn a_frame_without_its_beginning_is_none() {
        let mut video = Depacketiser::new(Codec::Vp8);
        video.handle(packet(1, true, KEY));
        video.handle(InOrder::Lost);
        // A continuation: the S bit is not set.
        video.handle(packet(2, true, &[0, 0, 0, 0, 0x9D, 1, 0x2A, 64, 0, 48, 0]));
        video.finish();
        assert_eq!(video.poll().len(), 1);
    }

    #[test]
    fn a_new_source_needs_a_key_frame() {
        let mut video = Depacketiser::new(Codec::Vp8);
        video.handle(packet(1, true, KEY));
        video.handle_new_source();
        video.handle(packet(1, true, DELTA));
        video.handle(packet(9, true, KEY));
        video.finish();
        assert_eq!(video.poll().iter().map(|frame| frame.ticks).collect::<Vec<_>>(), [1, 9]);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_panics(
            codec in 0_usize..5,
            payloads in prop::collection::vec(
                (0_i64..4, any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..24),
        ) {
            let mut depacketiser = Depacketiser::new(Codec::ALL[codec]);
            for (ticks, marker, payload) in payloads {
                depacketiser.handle(packet(ticks, marker, &payload));
            }
            depacketiser.finish();
            for frame in depacketiser.poll() {
                prop_assert!(!frame.data.is_empty());
            }
        }

        #[test]
        fn no_payload_panics_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for codec in Codec::ALL {
                std::hint::black_box(is_key_frame_start(*codec, &bytes));
                std::hint::black_box(picture_size(*codec, &bytes));
            }
            if let Some(descriptor) = Vp8Descriptor::parse(&bytes) {
                let mut copy = bytes.clone();
                descriptor.shift(&mut copy, 1, 1);
                prop_assert_eq!(copy.len(), bytes.len());
            }
        }
    }
}
