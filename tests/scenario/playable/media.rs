//! Real streams: encoded by ffmpeg, cut into RTP packets by packetisers of the
//! tests' own, and looked at by ffprobe and ffmpeg.

use std::path::Path;
use std::process::{Command, Stdio};

use cabildo::domain::media::Codec;
use cabildo::recorder::journal::{JournalWriter, SideEvent};

/// When recordings of the tests begin, microseconds since 1970.
pub(crate) const START_US: u64 = 1_700_000_000_000_000;
/// Most bytes of payload in a packet.
const PAYLOAD_MAX: usize = 1_100;

/// An encoded frame.
#[derive(Debug, Clone)]
pub(crate) struct Encoded {
    /// Microseconds after the beginning.
    pub(crate) at_us: u64,
    pub(crate) data: Vec<u8>,
}

/// Runs a program to its end and returns what it printed; it may not complain.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{program} has to be installed: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    let is_well = output.status.success() && said.trim().is_empty();
    assert!(is_well, "{program} {arguments:?}: {said}");
    output.stdout
}

/// Pictures whose brightness says the frame: `16 + 8 · (n mod 25)`.
fn clock_picture(size: &str, seconds: u32) -> String {
    format!(
        "color=c=black:s={size}:r=25:d={seconds},geq=lum='16+8*mod(N\\,25)':cb=128:cr=128,format=yuv420p"
    )
}

/// Pictures at 25 a second, a key frame each second.
pub(crate) fn video(codec: Codec, size: &str, seconds: u32) -> Vec<Encoded> {
    let source = clock_picture(size, seconds);
    encode_video(codec, &source)
}

/// Pictures of an ffmpeg source at 25 a second, a key frame each second.
pub(crate) fn encode_video(codec: Codec, source: &str) -> Vec<Encoded> {
    let mut arguments = vec!["-v", "error", "-f", "lavfi", "-i", source, "-g", "25"];
    arguments.extend(["-threads", "1"]);
    match codec {
        Codec::Vp8 => arguments.extend(
            "-c:v libvpx -b:v 800k -deadline realtime -cpu-used 8 -auto-alt-ref 0".split(' '),
        ),
        Codec::Vp9 => arguments.extend(
            "-c:v libvpx-vp9 -b:v 800k -deadline realtime -cpu-used 8 -lag-in-frames 0".split(' '),
        ),
        Codec::Av1 => arguments.extend(
            "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 800k -lag-in-frames 0".split(' '),
        ),
        Codec::H264 => arguments.extend(
            "-c:v libx264 -preset ultrafast -tune zerolatency -bf 0 -sc_threshold 0 -slices 1"
                .split(' '),
        ),
        Codec::Opus | Codec::Pcmu | Codec::Pcma => panic!("no pictures"),
    }
    if codec == Codec::H264 {
        arguments.extend(["-x264-params", "aud=1", "-f", "h264", "pipe:1"]);
        annex_b(&run("ffmpeg", &arguments))
    } else {
        arguments.extend(["-f", "ivf", "pipe:1"]);
        ivf(&run("ffmpeg", &arguments))
    }
}

/// Pictures of H.264 with B-frames, as [`video`] otherwise. Their times are when they are shown, and
/// they stand in the order in which they are sent.
pub(crate) fn reordered(size: &str, seconds: u32) -> Vec<Encoded> {
    let source = clock_picture(size, seconds);
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &source, "-g", "25", "-threads", "1"];
    let encoder = "-c:v libx264 -preset medium -bf 3 -sc_threshold 0 -slices 1 -x264-params \
                   aud=1:b-pyramid=none:b-adapt=0:open-gop=0 -f h264 pipe:1";
    let arguments: Vec<&str> = arguments.into_iter().chain(encoder.split_whitespace()).collect();
    let mut frames = annex_b(&run("ffmpeg", &arguments));
    // A picture that others do not refer to is shown before the one sent before that is.
    let is_b: Vec<bool> = frames
        .iter()
        .map(|frame| nal_units(&frame.data).iter().any(|unit| unit[0] & 0x7F == 1))
        .collect();
    for n in 0..frames.len() {
        let following = is_b[n + 1..].iter().take_while(|it| **it).count();
        let shown = if is_b[n] { n - 1 } else { n + following };
        frames[n].at_us = shown as u64 * 40_000;
    }
    assert!(is_b.iter().filter(|it| **it).count() > frames.len() / 3);
    frames
}

/// A tone in packets of 20 ms.
pub(crate) fn tone(hertz: u32, seconds: u32) -> Vec<Encoded> {
    let source = format!("sine=frequency={hertz}:sample_rate=48000:duration={seconds}");
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &source, "-c:a", "libopus", "-b:a"];
    let arguments = [&arguments[..], &["64k", "-f", "ogg", "pipe:1"]].concat();
    // The first two packets of Ogg Opus are headers.
    ogg(&run("ffmpeg", &arguments))
        .into_iter()
        .skip(2)
        .zip(0..)
        .map(|(data, n)| Encoded { at_us: n * 20_000, data })
        .collect()
}

/// A tone as telephones have it, in packets of 20 ms.
pub(crate) fn telephone_tone(codec: Codec, hertz: u32, seconds: u32) -> Vec<Encoded> {
    let source = format!("sine=frequency={hertz}:sample_rate=8000:duration={seconds}");
    let format = if codec == Codec::Pcma { "alaw" } else { "mulaw" };
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &source, "-f", format, "pipe:1"];
    run("ffmpeg", &arguments)
        .chunks(160)
        .zip(0..)
        .map(|(data, n)| Encoded { at_us: n * 20_000, data: data.to_vec() })
        .collect()
}

fn ivf(file: &[u8]) -> Vec<Encoded> {
    let mut frames = Vec::new();
    let mut rest = &file[32..];
    while rest.len() >= 12 {
        let size = u32::from_le_bytes(rest[..4].try_into().expect("four bytes")) as usize;
        let data = rest[12..12 + size].to_vec();
        frames.push(Encoded { at_us: frames.len() as u64 * 40_000, data });
        rest = &rest[12 + size..];
    }
    frames
}

fn annex_b(stream: &[u8]) -> Vec<Encoded> {
    let mut frames: Vec<Encoded> = Vec::new();
    for unit in nal_units(stream) {
        if unit[0] & 0x1F == 9 {
            frames.push(Encoded { at_us: frames.len() as u64 * 40_000, data: Vec::new() });
        }
        let frame = frames.last_mut().expect("begins with a delimiter");
        frame.data.extend([0, 0, 0, 1]);
        frame.data.extend(unit);
    }
    frames
}

fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(3))
        .filter(|at| stream[*at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).map(|next| next - usize::from(stream[next - 1] == 0));
    let ends: Vec<usize> = ends.chain([stream.len()]).collect();
    starts.iter().zip(ends).map(|(start, end)| &stream[start + 3..end]).collect()
}

fn ogg(file: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut packet = Vec::new();
    let mut rest = file;
    while rest.len() >= 27 {
        let segments = usize::from(rest[26]);
        let (lacing, mut body) = rest[27..].split_at(segments);
        for &length in lacing {
            packet.extend(&body[..usize::from(length)]);
            body = &body[usize::from(length)..];
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        rest = body;
    }
    packets
}

/// The payloads of one frame.
pub(crate) fn payloads(codec: Codec, frame: &[u8], number: usize) -> Vec<Vec<u8>> {
    match codec {
        Codec::Opus | Codec::Pcmu | Codec::Pcma => vec![frame.to_vec()],
        Codec::Vp8 => vp8_payloads(frame, number),
        Codec::Vp9 => vp9_payloads(frame, number),
        Codec::H264 => h264_payloads(frame),
        Codec::Av1 => av1_payloads(frame),
    }
}

fn vp8_payloads(frame: &[u8], number: usize) -> Vec<Vec<u8>> {
    let id = u16::try_from(number % 32_768).expect("small") | 0x8000;
    let [high, low] = id.to_be_bytes();
    let descriptor = |first: u8| vec![0x80 | first, 0x80, high, low];
    let pieces = frame.chunks(PAYLOAD_MAX).enumerate();
    pieces
        .map(|(n, piece)| [descriptor(if n == 0 { 0x10 } else { 0 }), piece.to_vec()].concat())
        .collect()
}

fn vp9_payloads(frame: &[u8], number: usize) -> Vec<Vec<u8>> {
    let id = u8::try_from(number % 128).expect("small");
    let count = frame.len().div_ceil(PAYLOAD_MAX);
    let pieces = frame.chunks(PAYLOAD_MAX).enumerate();
    pieces
        .map(|(n, piece)| {
            let begins = if n == 0 { 0x08 } else { 0 };
            let ends = if n + 1 == count { 0x04 } else { 0 };
            [vec![0x80 | begins | ends, id], piece.to_vec()].concat()
        })
        .collect()
}

fn h264_payloads(frame: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut sets = vec![24];
    for unit in nal_units(frame) {
        match unit[0] & 0x1F {
            7 | 8 => {
                sets.extend(u16::try_from(unit.len()).expect("short").to_be_bytes());
                sets.extend(unit);
            }
            9 | 6 => {}
            _ if unit.len() <= PAYLOAD_MAX => payloads.push(unit.to_vec()),
            _ => {
                let count = (unit.len() - 1).div_ceil(PAYLOAD_MAX);
                for (n, piece) in unit[1..].chunks(PAYLOAD_MAX).enumerate() {
                    let starts = if n == 0 { 0x80 } else { 0 };
                    let ends = if n + 1 == count { 0x40 } else { 0 };
                    let head = vec![unit[0] & 0xE0 | 0x1C, starts | ends | unit[0] & 0x1F];
                    payloads.push([head, piece.to_vec()].concat());
                }
            }
        }
    }
    if sets.len() > 1 {
        payloads.insert(0, sets);
    }
    payloads
}

/// OBUs of a temporal unit without their size fields, one after another, each
/// cut where a packet is full; W is 1.
fn av1_payloads(unit: &[u8]) -> Vec<Vec<u8>> {
    let mut payloads = Vec::new();
    let mut rest = unit;
    let mut is_key = false;
    while !rest.is_empty() {
        let header_bytes = if rest[0] & 0x04 == 0 { 1 } else { 2 };
        let (mut length, mut at, mut shift) = (0_usize, header_bytes, 0);
        loop {
            length |= usize::from(rest[at] & 0x7F) << shift;
            shift += 7;
            at += 1;
            if rest[at - 1] & 0x80 == 0 {
                break;
            }
        }
        let kind = rest[0] >> 3 & 0x0F;
        is_key |= kind == 1;
        let mut obu = rest[..header_bytes].to_vec();
        obu[0] &= !0x02;
        obu.extend(&rest[at..at + length]);
        rest = &rest[at + length..];
        if kind == 2 {
            continue;
        }
        let count = obu.len().div_ceil(PAYLOAD_MAX);
        for (n, piece) in obu.chunks(PAYLOAD_MAX).enumerate() {
            let continues = if n == 0 { 0 } else { 0x80 };
            let goes_on = if n + 1 == count { 0 } else { 0x40 };
            let first = if is_key && payloads.is_empty() { 0x08 } else { 0 };
            payloads.push([vec![continues | goes_on | 0x10 | first], piece.to_vec()].concat());
        }
    }
    payloads
}

/// A packet on its way to the recorder.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// When it came, microseconds after [`START_US`].
    pub(crate) at_us: u64,
    pub(crate) packet: Vec<u8>,
}

/// One source of RTP.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    pub(crate) timestamp: u32,
    frames: usize,
}

impl Source {
    pub(crate) fn new(codec: Codec, ssrc: u32) -> Self {
        // Close to where both wrap.
        Self { codec, ssrc, sequence: 65_500, timestamp: 4_294_900_000, frames: 0 }
    }

    /// Sends frames; their times count from `from_us` after [`START_US`].
    pub(crate) fn send(&mut self, frames: &[Encoded], from_us: u64) -> Vec<Sent> {
        let mut sent = Vec::new();
        for frame in frames {
            let at_us = from_us + frame.at_us;
            let payloads = payloads(self.codec, &frame.data, self.frames);
            self.frames += 1;
            let count = payloads.len();
            for (n, payload) in payloads.into_iter().enumerate() {
                let packet = self.packet(at_us, n + 1 == count, &payload);
                sent.push(Sent { at_us: at_us + n as u64 * 200, packet });
            }
        }
        sent
    }

    /// RTP time of a moment after [`START_US`].
    pub(crate) fn timestamp_at(&self, at_us: u64) -> u32 {
        let ticks = at_us * u64::from(self.codec.clock_rate_hz()) / 1_000_000;
        self.timestamp.wrapping_add(u32::try_from(ticks % (1 << 32)).expect("32 bits"))
    }

    pub(crate) fn packet(&mut self, at_us: u64, marker: bool, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 0x60 | if marker { 0x80 } else { 0 }];
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp_at(at_us).to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        self.sequence = self.sequence.wrapping_add(1);
        packet
    }
}

/// The journals of a track, segments of four seconds.
pub(crate) fn journals(codec: Codec, sent: &[Sent]) -> Vec<Vec<u8>> {
    let mut journals = Vec::new();
    let mut open: Option<(JournalWriter, Vec<u8>, u32)> = None;
    for Sent { at_us, packet } in sent {
        let at_us = START_US + at_us;
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().expect("four bytes"));
        let is_over = |journal: &JournalWriter| at_us - journal.base_us() > 4_000_000;
        if let Some((writer, journal, last)) = open.take() {
            if is_over(&writer) || last != ssrc {
                journals.push(journal);
            } else {
                open = Some((writer, journal, last));
            }
        }
        let (writer, journal, _) = open.get_or_insert_with(|| {
            let mut journal = Vec::new();
            let mut writer = JournalWriter::begin(at_us, &mut journal);
            writer.side(at_us, SideEvent::Codec { payload_type: 96, codec }, &mut journal);
            writer.side(at_us, SideEvent::Source { ssrc, layer: 0 }, &mut journal);
            (writer, journal, ssrc)
        });
        writer.rtp(at_us, packet, journal).expect("a packet");
    }
    journals.extend(open.map(|open| open.1));
    journals
}

/// Seconds of each packet of a file's only or first stream, and whether it is
/// a key frame.
pub(crate) fn packets(file: &Path) -> Vec<(f64, bool)> {
    let path = file.to_str().expect("UTF-8");
    let arguments =
        ["-v", "error", "-select_streams", "0", "-show_entries", "packet=pts_time,flags"];
    let arguments = [&arguments[..], &["-of", "csv=p=0", path]].concat();
    let said = String::from_utf8(run("ffprobe", &arguments)).expect("text");
    said.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (time, flags) = line.split_once(',').expect("two fields");
            (time.parse().expect("a number"), flags.starts_with('K'))
        })
        .collect()
}

/// Seconds and mean brightness of each picture that decodes. Fails on any
/// error that the decoder tells.
pub(crate) fn brightness(file: &Path) -> Vec<(f64, f64)> {
    let path = file.to_str().expect("UTF-8");
    let filter = format!("movie={path},scale=32:32,signalstats");
    let arguments = ["-v", "error", "-f", "lavfi", "-i", &filter, "-show_entries"];
    let entries = "frame=pts_time:frame_tags=lavfi.signalstats.YAVG";
    let arguments = [&arguments[..], &[entries, "-of", "csv=p=0"]].concat();
    let said = String::from_utf8(run("ffprobe", &arguments)).expect("text");
    said.lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (time, light) = line.split_once(',').expect("two fields");
            (time.parse().expect("a number"), light.parse().expect("a number"))
        })
        .collect()
}

/// The brightness that says frame `n`.
pub(crate) fn clock_light(n: usize) -> f64 {
    f64::from(u32::try_from(16 + 8 * (n % 25)).expect("small"))
}

/// The sound of a file from `from_s` on, mono, 8,000 samples a second, with
/// silence where there is none.
pub(crate) fn sound(file: &Path) -> Vec<f64> {
    let path = file.to_str().expect("UTF-8");
    let arguments = ["-v", "error", "-i", path, "-vn", "-af", "aresample=async=1:first_pts=0"];
    let arguments =
        [&arguments[..], &["-ac", "1", "-ar", "8000", "-f", "s16le", "pipe:1"]].concat();
    let bytes = run("ffmpeg", &arguments);
    bytes
        .chunks_exact(2)
        .map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_768.0)
        .collect()
}

/// How much of a tone is in 100 ms of sound (Goertzel), about its amplitude.
pub(crate) fn loudness(sound: &[f64], at_s: f64, hertz: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in time")]
    let start = (at_s * 8_000.0) as usize;
    let window = sound.get(start..start + 800).unwrap_or_default();
    let coefficient = 2.0 * (std::f64::consts::TAU * hertz / 8_000.0).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in window {
        let next = sample + coefficient * last - before;
        before = last;
        last = next;
    }
    (last * last + before * before - coefficient * last * before).max(0.0).sqrt() / 400.0
}
