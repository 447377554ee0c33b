//! Makes Opus of the AAC of a camera. No I/O and no clock.

use std::time::{Duration, Instant};

use bytes::Bytes;
use opus::{Application, Bitrate, Channels, Encoder};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _};
use symphonia_codec_aac::AacDecoder;
use symphonia_core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia_core::codecs::audio::{AudioCodecParameters, AudioDecoder as _, AudioDecoderOptions};
use symphonia_core::packet::PacketRef;
use symphonia_core::units;

use crate::formats::codec::{AacConfig, AacFrames};
use crate::formats::mp4::rescaled;

/// Ticks per second of Opus in RTP (RFC 7587 §4.1).
const OPUS_HZ: u32 = 48_000;
/// Ticks of a packet: 20 ms. Raising it saves headers and delays sound.
const PACKET_TICKS: i64 = 960;
/// Largest packet. At the rates below they have some 250 bytes.
const PACKET_BYTES_MAX: usize = 1_200;
/// Bits a second for each channel. Raising it costs bandwidth of every receiver.
const CHANNEL_BPS: i32 = 48_000;
/// How hard the encoder tries, of 10. Raising it costs processor time of every camera.
const COMPLEXITY: i32 = 5;
/// The object type of AAC with low complexity (ISO/IEC 14496-3 table 1.17), and samples of its
/// frames.
const LOW_COMPLEXITY: u8 = 2;
const FRAME_SAMPLES: u32 = 1_024;
/// The element that ends a frame (ISO/IEC 14496-3 table 4.85). The decoder repeats the frame before
/// one that has nothing else.
const END: u8 = 7;
/// The rates that are taken; those that Opus knows are not resampled (RFC 6716 §2.1.3).
const RATES_HZ: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
const RATES_OF_OPUS_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// Samples that are resampled at once. Raising it delays sound.
const RESAMPLED: usize = 512;
/// Frames that are missing in a row and become silence; with more the sound begins anew.
const MISSING_MAX: i64 = 10;
/// How much more sound than time goes by is decoded, in microseconds; what is more is dropped, as
/// a camera that sends so much would take the time of a whole processor.
const AHEAD_US_MAX: u64 = 2_000_000;

/// A packet of Opus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// When its sound began, in ticks of 48 kHz from where the camera's stamps count.
    pub ticks: i64,
    /// How long before the arrival of what was given last its sound began.
    pub ago: Duration,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// What became of frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// They were decoded.
    pub decoded: u64,
    /// They could not be decoded, or there was more of them than time went by.
    pub broken: u64,
}

/// Makes Opus of the AAC of one camera.
pub struct OpusFromAac {
    config: AacConfig,
    frames: AacFrames,
    decoder: AacDecoder,
    resampler: Option<Fft<f32>>,
    encoder: Encoder,
    encoder_hz: u32,
    /// By how much later sound comes out than it went in, in ticks of Opus.
    delay: i64,
    /// The stamp that the next frame is to have.
    next: Option<i64>,
    /// Samples that wait for the resampler, and those that wait for the encoder; of two channels in
    /// turn.
    raw: Vec<f32>,
    ready: Vec<f32>,
    /// When the first of those that wait for the encoder was, in ticks of Opus.
    ready_at: i64,
    /// How much sound may be decoded, in microseconds, and since when.
    credit_us: u64,
    credited_at: Option<Instant>,
    counts: Counts,
}

impl OpusFromAac {
    /// Whether sound of this form can be made Opus.
    #[must_use]
    pub fn takes(config: &AacConfig) -> bool {
        config.object_type == LOW_COMPLEXITY
            && config.frame_samples == FRAME_SAMPLES
            && RATES_HZ.contains(&config.rate_hz)
    }

    /// Nothing when sound of this form can't be made Opus.
    #[must_use]
    pub fn new(config: AacConfig) -> Option<Self> {
        if !Self::takes(&config) {
            return None;
        }
        let (rate_hz, is_mono) = (config.rate_hz, config.channels == 1);
        let channels = if is_mono { Channels::Mono } else { Channels::Stereo };
        let mut delay = 0;
        let mut resampler = None;
        let mut encoder_hz = rate_hz;
        if !RATES_OF_OPUS_HZ.contains(&rate_hz) {
            encoder_hz = OPUS_HZ;
            let (from, to) = (usize::try_from(rate_hz).ok()?, usize::try_from(OPUS_HZ).ok()?);
            let count = usize::from(config.channels);
            let made = Fft::new(from, to, RESAMPLED, count, FixedSync::Input).ok()?;
            delay += i64::try_from(made.output_delay()).ok()?;
            resampler = Some(made);
        }
        let mut encoder = Encoder::new(encoder_hz, channels, Application::Audio).ok()?;
        encoder.set_bitrate(Bitrate::Bits(CHANNEL_BPS * i32::from(config.channels))).ok()?;
        encoder.set_complexity(COMPLEXITY).ok()?;
        let lookahead = i64::from(encoder.get_lookahead().ok()?);
        delay += rescaled(lookahead, encoder_hz.into(), OPUS_HZ.into());
        Some(Self {
            frames: AacFrames::default(),
            decoder: decoder(&config)?,
            resampler,
            encoder,
            encoder_hz,
            delay,
            next: None,
            raw: Vec::new(),
            ready: Vec::new(),
            ready_at: 0,
            credit_us: AHEAD_US_MAX,
            credited_at: None,
            counts: Counts::default(),
            config,
        })
    }

    /// What became of frames since this was asked last.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// The packets that are whole with this one of the camera, which came at `now`.
    pub fn handle(&mut self, stamp: i64, payload: &Bytes, now: Instant) -> Vec<Made> {
        let since = self
            .credited_at
            .replace(now)
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let since_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        self.credit_us = self.credit_us.saturating_add(since_us).min(AHEAD_US_MAX);
        let mut made = Vec::new();
        for (stamp, frame) in self.frames.handle(stamp, payload, FRAME_SAMPLES) {
            self.frame(stamp, &frame, &mut made);
        }
        // The end of what is known was when it came.
        let end = self.next.map_or(0, |next| self.ticks(next));
        for packet in &mut made {
            let ticks = u64::try_from(end.saturating_sub(packet.ticks)).unwrap_or(0);
            packet.ago = Duration::from_micros(ticks.saturating_mul(1_000) / 48);
        }
        made
    }

    fn frame(&mut self, stamp: i64, frame: &[u8], made: &mut Vec<Made>) {
        let samples = i64::from(FRAME_SAMPLES);
        let missing = self.next.map(|next| stamp.saturating_sub(next));
        let missing = match missing {
            // Stamps are rounded, and those of some cameras drift.
            Some(missing) if missing.saturating_abs() <= samples / 2 => 0,
            Some(missing) if (0..=MISSING_MAX * samples).contains(&missing) => missing,
            _ => {
                self.begin(stamp);
                0
            }
        };
        let length_us = (missing + samples).unsigned_abs() * 1_000_000;
        let length_us = length_us / u64::from(self.config.rate_hz);
        if length_us > self.credit_us {
            self.counts.broken += 1;
            return;
        }
        self.credit_us -= length_us;
        self.hear(&self.silence(missing), made);
        let sound = if let Some(sound) = self.decode(frame) {
            self.counts.decoded += 1;
            sound
        } else {
            self.counts.broken += 1;
            self.silence(samples)
        };
        self.hear(&sound, made);
        let next = self.next.unwrap_or(stamp).saturating_add(missing);
        self.next = Some(next.saturating_add(samples));
    }

    /// The sound does not go on where it ended.
    fn begin(&mut self, stamp: i64) {
        self.next = Some(stamp);
        self.raw.clear();
        self.ready.clear();
        self.ready_at = self.ticks(stamp).saturating_sub(self.delay);
        if let Some(resampler) = &mut self.resampler {
            resampler.reset();
        }
    }

    fn ticks(&self, stamp: i64) -> i64 {
        rescaled(stamp, self.config.rate_hz.into(), OPUS_HZ.into())
    }

    fn silence(&self, samples: i64) -> Vec<f32> {
        vec![0.0; usize::try_from(samples).unwrap_or(0) * usize::from(self.config.channels)]
    }

    /// The samples of a frame; none when it is broken.
    fn decode(&mut self, frame: &[u8]) -> Option<Vec<f32>> {
        let packet = PacketRef::new(0, units::Timestamp::ZERO, units::Duration::ZERO, frame);
        let mut samples: Vec<f32> = Vec::new();
        let has_sound = frame.first().is_some_and(|first| first >> 5 != END);
        if has_sound && let Ok(sound) = self.decoder.decode_ref(&packet) {
            sound.copy_to_vec_interleaved(&mut samples);
        }
        let wanted = FRAME_SAMPLES as usize * usize::from(self.config.channels);
        if samples.len() == wanted && samples.iter().all(|sample| sample.is_finite()) {
            for sample in &mut samples {
                *sample = sample.clamp(-1.0, 1.0);
            }
            return Some(samples);
        }
        // What a broken frame has left in the decoder would spoil the next ones.
        if let Some(decoder) = decoder(&self.config) {
            self.decoder = decoder;
        }
        None
    }

    fn hear(&mut self, samples: &[f32], made: &mut Vec<Made>) {
        let channels = usize::from(self.config.channels);
        match &mut self.resampler {
            None => self.ready.extend_from_slice(samples),
            Some(resampler) => {
                self.raw.extend_from_slice(samples);
                let mut used = 0;
                while let count = resampler.input_frames_next()
                    && let Some(chunk) = self.raw.get(used..used + count * channels)
                {
                    used += count * channels;
                    let Ok(input) = InterleavedSlice::new(chunk, channels, count) else { break };
                    if let Ok(output) = resampler.process(&input, None) {
                        self.ready.extend(output.take_data());
                    }
                }
                self.raw.drain(..used);
            }
        }
        self.encode(made);
    }

    fn encode(&mut self, made: &mut Vec<Made>) {
        let samples = self.encoder_hz as usize / 50 * usize::from(self.config.channels);
        let whole = self.ready.len() / samples * samples;
        for packet in self.ready.drain(..whole).as_slice().chunks_exact(samples) {
            if let Ok(payload) = self.encoder.encode_vec_float(packet, PACKET_BYTES_MAX) {
                made.push(Made { ticks: self.ready_at, ago: Duration::ZERO, payload });
            }
            self.ready_at = self.ready_at.saturating_add(PACKET_TICKS);
        }
    }
}

fn decoder(config: &AacConfig) -> Option<AacDecoder> {
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_AAC).with_extra_data(config.bytes.clone().into());
    AacDecoder::try_new(&parameters, &AudioDecoderOptions::default()).ok()
}

#[cfg(test)]
mod tests {
    use opus::Decoder;
    use proptest::prelude::*;

    use super::*;

    /// A recording of a tone that begins after 400 ms, and the one frame that its encoder puts
    /// before it: its configuration, and its frames.
    fn recording(file: &[u8]) -> (AacConfig, Vec<Bytes>) {
        let [_, _, b2, b3, ..] = file else { panic!("no header") };
        let (rate, channels) = (b2 >> 2 & 15, (b2 & 1) << 2 | b3 >> 6);
        let config = [2 << 3 | rate >> 1, (rate & 1) << 7 | channels << 3];
        let mut frames = Vec::new();
        let mut rest = file;
        while let [_, _, _, b3, b4, b5, _, ..] = rest {
            let length = usize::from(b3 & 3) << 11 | usize::from(*b4) << 3 | usize::from(b5 >> 5);
            let (frame, after) = rest.split_at(length);
            frames.push(Bytes::copy_from_slice(&frame[7..]));
            rest = after;
        }
        (AacConfig::read(&config).expect("low complexity"), frames)
    }

    fn recordings() -> Vec<(AacConfig, Vec<Bytes>)> {
        [
            &include_bytes!("../../../tests/fixtures/sound/mono_8.aac")[..],
            include_bytes!("../../../tests/fixtures/sound/mono_16.aac"),
            include_bytes!("../../../tests/fixtures/sound/mono_22.aac"),
            include_bytes!("../../../tests/fixtures/sound/stereo_44.aac"),
            include_bytes!("../../../tests/fixtures/sound/stereo_48.aac"),
        ]
        .map(recording)
        .to_vec()
    }

    /// A frame as cameras send it (RFC 3640 §3.3.6).
    fn packet(frame: &[u8]) -> Bytes {
        let length = u16::try_from(frame.len() << 3).expect("short").to_be_bytes();
        Bytes::from([&[0, 16], &length[..], frame].concat())
    }

    #[expect(clippy::disallowed_methods, reason = "any moment will do; time is counted from it")]
    fn start() -> Instant {
        Instant::now()
    }

    /// Every frame at its time, but those that are lost. Tells the packets, and when each came.
    fn carry(
        engine: &mut OpusFromAac,
        (config, frames): &(AacConfig, Vec<Bytes>),
        is_lost: impl Fn(usize) -> bool,
    ) -> Vec<(Made, Duration)> {
        let begun = start();
        let mut made = Vec::new();
        for (number, frame) in frames.iter().enumerate().filter(|(n, _)| !is_lost(*n)) {
            let stamp = i64::try_from(number * 1_024).expect("small");
            let us = u64::try_from((number + 1) * 1_024_000_000).expect("small");
            let at = Duration::from_nanos(us / u64::from(config.rate_hz) * 1_000);
            let packets = engine.handle(stamp + 5_000, &packet(frame), begun + at);
            made.extend(packets.into_iter().map(|packet| (packet, at)));
        }
        made
    }

    /// The samples at 48 kHz, one channel, and the time of the first one in ticks.
    fn heard(made: &[(Made, Duration)]) -> (i64, Vec<f32>) {
        let mut decoder = Decoder::new(48_000, Channels::Mono).expect("a decoder");
        let mut samples = Vec::new();
        let first = made[0].0.ticks;
        for (number, (packet, _)) in (0..).zip(made) {
            assert_eq!(packet.ticks, first + number * PACKET_TICKS, "no packet is missing");
            let mut sound = [0.0; 960];
            let count = decoder.decode_float(&packet.payload, &mut sound, false).expect("Opus");
            assert_eq!(count, 960);
            samples.extend_from_slice(&sound[..count]);
        }
        (first, samples)
    }

    #[test]
    fn a_tone_is_heard_at_its_time_and_pitch_at_every_rate() {
        for recording in recordings() {
            let rate = recording.0.rate_hz;
            let mut engine = OpusFromAac::new(recording.0.clone()).expect("it is taken");
            let made = carry(&mut engine, &recording, |_| false);
            let (first, samples) = heard(&made);
            let loud = samples.iter().position(|it| it.abs() > 0.1).expect("a tone");
            let begun = first + i64::try_from(loud).expect("small");
            let wanted = rescaled(5_000 + 1_024, rate.into(), 48_000) + 48_000 * 2 / 5;
            assert!(begun.abs_diff(wanted) < 48 * 10, "{rate}: {begun}, not {wanted}");
            // How often it goes up through nothing in 400 ms.
            let tone = &samples[loud + 2_400..loud + 2_400 + 19_200];
            let waves = tone.windows(2).filter(|it| it[0] < 0.0 && it[1] >= 0.0).count();
            assert!((174..=178).contains(&waves), "{rate}: {waves} waves");
            let loudest = tone.iter().fold(0.0_f32, |most, it| most.max(it.abs()));
            assert!((0.3..0.85).contains(&loudest), "{rate}: {loudest}");
            let frames = recording.1.len() as u64;
            assert_eq!(engine.take_counts(), Counts { decoded: frames, broken: 0 });
        }
    }

    #[test]
    fn it_is_said_how_old_sound_is_when_it_comes() {
        for recording in recordings() {
            let rate = recording.0.rate_hz;
            let mut engine = OpusFromAac::new(recording.0.clone()).expect("it is taken");
            let zero = rescaled(5_000, rate.into(), 48_000);
            for (packet, at) in carry(&mut engine, &recording, |_| false) {
                let came = i64::try_from(at.as_micros() * 48 / 1_000).expect("small");
                let ago = i64::try_from(packet.ago.as_micros() * 48 / 1_000).expect("small");
                let begun = packet.ticks - zero;
                assert!((came - ago - begun).abs() <= 96, "{rate}: {came} {ago} {begun}");
            }
        }
    }

    #[test]
    fn lost_and_broken_frames_are_silence_and_what_follows_stays_at_its_time() {
        let mut recording = recordings().pop().expect("one");
        let mut engine = OpusFromAac::new(recording.0.clone()).expect("it is taken");
        // A frame that is nothing, and one that was cut.
        recording.1[10] = Bytes::from_static(&[0xFF; 40]);
        recording.1[40] = recording.1[40].slice(..20);
        let made = carry(&mut engine, &recording, |number| number == 30 || number == 31);
        let (first, samples) = heard(&made);
        let loud = samples.iter().position(|it| it.abs() > 0.1).expect("a tone");
        let begun = first + i64::try_from(loud).expect("small");
        assert!(begun.abs_diff(5_000 + 1_024 + 19_200) < 480, "{begun}");
        assert_eq!(engine.take_counts().broken, 2);
        let wanted = (recording.1.len() * 1_024) / 960 - 1;
        assert!(made.len().abs_diff(wanted) <= 1, "{} packets", made.len());
    }

    #[test]
    fn a_count_that_begins_anew_and_a_flood_are_survived() {
        let recording = recordings().pop().expect("one");
        let mut engine = OpusFromAac::new(recording.0.clone()).expect("it is taken");
        let now = start();
        let frame = packet(&recording.1[20]);
        for stamp in [0, i64::MAX, i64::MIN, 9_000_000, 0, -5, 4_000] {
            for made in engine.handle(stamp, &frame, now) {
                assert!(made.payload.len() <= PACKET_BYTES_MAX);
            }
        }
        engine.take_counts();
        for number in 0..10_000 {
            engine.handle(number * 1_024, &frame, now);
        }
        let counts = engine.take_counts();
        assert!(counts.decoded <= 94, "two seconds at most: {counts:?}");
        assert_eq!(counts.decoded + counts.broken, 10_000);
        // Once time has gone by, it is heard again.
        let made = engine.handle(0, &frame, now + Duration::from_secs(1));
        assert!(made.len() <= 2 && engine.take_counts().decoded == 1);
    }

    #[test]
    fn forms_that_can_not_be_made_opus_are_refused() {
        let of = |bytes: &[u8]| AacConfig::read(bytes).is_some_and(|it| OpusFromAac::takes(&it));
        assert!(of(&[0x11, 0x90]) && of(&[0x14, 0x08]));
        // With an added band, with frames of 960 samples, with 96 kHz, and a rate of its own.
        for config in [&[0x2B, 0x11, 0x88, 0][..], &[0x11, 0x94], &[0x10, 0x10]] {
            assert!(!of(config), "{config:02x?}");
        }
        let config = AacConfig { rate_hz: 47_999, ..AacConfig::stereo_48_khz() };
        assert!(OpusFromAac::new(config).is_none());
    }

    proptest! {
        #[test]
        fn no_frame_of_a_camera_panics(
            which in 0_usize..5,
            number in 0_usize..8,
            changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..20),
            junk in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let (config, frames) = recordings().swap_remove(which);
            let mut engine = OpusFromAac::new(config).expect("it is taken");
            let mut frame = frames[number].to_vec();
            for (at, value) in changes {
                let at = at % frame.len();
                frame[at] = value;
            }
            let now = start();
            engine.handle(0, &packet(&frame), now);
            engine.handle(1_024, &packet(&junk), now);
            engine.handle(2_048, &packet(&frames[number]), now);
            prop_assert!(engine.take_counts().decoded >= 1);
        }
    }
}
