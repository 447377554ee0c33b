#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Sends synthetic media: Opus packets with an audio level, and VP8 frames with a valid descriptor,
//! both with the time of sending. Sent packets are kept for a while so that they can be resent.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand::Rng;

use super::rtcp;
use super::rtp::{self, Head};
use crate::domain::media::{MediaKind, TrackSource};

/// Packets kept of each encoding to answer NACKs; requests for older ones are ignored.
const HISTORY_MAX: usize = 1024;
/// Frames that are sent late after a late call; older ones are skipped.
const CATCH_UP_MAX: u32 = 5;
const OPUS_INTERVAL: Duration = Duration::from_millis(20);
const OPUS_CLOCK_HZ: u32 = 48_000;
const VIDEO_CLOCK_HZ: u32 = 90_000;
/// Header of a mono CELT frame of 20 ms at full bandwidth (RFC 6716 §3.1).
const OPUS_HEAD: u8 = 31 << 3;
/// How many times larger a key frame is than other frames.
const KEY_FRAME_FACTOR: usize = 4;
/// Seconds between 1900 and 1970 (RFC 3550 §4).
const NTP_OFFSET_S: u64 = 2_208_988_800;

/// The options of a track that the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrackOptions {
    /// The source that it declares.
    pub source: TrackSource,
    /// Bits per second of payload. For video, of the highest encoding; each lower one sends a third
    /// of the next higher one.
    pub bitrate_bps: u32,
    /// Frames per second, for video.
    pub frames_per_s: u32,
    /// Bytes of payload per video packet, at most.
    pub packet_bytes: usize,
    /// Number of encodings: 1 without simulcast, 2 or 3 with it.
    pub encodings: u8,
}

impl TrackOptions {
    /// A microphone: 50 packets of 80 bytes per second.
    #[must_use]
    pub const fn microphone() -> Self {
        let source = TrackSource::Microphone;
        Self { source, bitrate_bps: 32_000, frames_per_s: 50, packet_bytes: 80, encodings: 1 }
    }

    /// A camera with 1 Mbit/s at 30 frames per second in one encoding.
    #[must_use]
    pub const fn camera() -> Self {
        let source = TrackSource::Camera;
        Self { source, bitrate_bps: 1_000_000, frames_per_s: 30, packet_bytes: 1_100, encodings: 1 }
    }
}

/// A recorded Opus packet of 20 ms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The packet.
    pub payload: Vec<u8>,
    /// Its level in decibels below overload (RFC 6464).
    pub level_dbov: u8,
    /// Whether the words of a phrase end with it, which is told when it is sent.
    pub ends_phrase: bool,
}

/// The values that the answer has set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Negotiated {
    pub(super) payload_type: u8,
    pub(super) rtx_payload_type: Option<u8>,
    pub(super) mid: Option<u8>,
    pub(super) rid: Option<u8>,
    pub(super) repaired_rid: Option<u8>,
    pub(super) level: Option<u8>,
    pub(super) transport_cc: Option<u8>,
}

pub(super) struct Encoding {
    pub(super) rid: Option<String>,
    pub(super) ssrc: u32,
    pub(super) rtx_ssrc: u32,
    bitrate_bps: u32,
    dimensions: (u16, u16),
    sequence: u16,
    rtx_sequence: u16,
    timestamp_offset: u32,
    timestamp: u32,
    picture_id: u16,
    tl0: u8,
    key_due: bool,
    history: VecDeque<(u16, Vec<u8>)>,
    packets: u32,
    octets: u32,
}

/// A packet to send, and whether it is a retransmission.
pub(super) struct Outgoing {
    pub(super) bytes: Vec<u8>,
    pub(super) is_repeat: bool,
    /// Offset of the transport-wide sequence number, which the transport fills in.
    pub(super) transport_sequence_at: Option<usize>,
}

/// The extension is written first, so its value follows the fixed header, the header of the
/// extension block and its identifier.
const TRANSPORT_SEQUENCE_AT: usize = 12 + 4 + 1;

pub(super) struct Sender {
    pub(super) mid: String,
    pub(super) options: TrackOptions,
    pub(super) encodings: Vec<Encoding>,
    negotiated: Option<Negotiated>,
    next_at: Option<Instant>,
    frame: u32,
    /// RFC 6464 level in dB below overload.
    pub(super) level_dbov: u8,
    pub(super) paused: bool,
    /// Recorded packets that are sent next, instead of synthetic ones.
    pub(super) recorded: VecDeque<Recorded>,
    /// Whether recorded packets are sent over and over.
    pub(super) repeats: bool,
    /// Phrases that have ended and were not told yet.
    pub(super) phrases_ended: u32,
}

impl Sender {
    pub(super) fn new(mid: String, options: TrackOptions, random: &mut impl Rng) -> Self {
        let count = options.encodings.clamp(1, 3);
        let encodings = (0..count)
            .map(|index| {
                let below_top = u32::from(count - 1 - index);
                let shift = u16::try_from(below_top).unwrap_or(0);
                Encoding {
                    rid: (count > 1).then(|| ["q", "h", "f"][usize::from(index)].to_owned()),
                    ssrc: random.random_range(1..u32::MAX),
                    rtx_ssrc: random.random_range(1..u32::MAX),
                    bitrate_bps: options.bitrate_bps / 3_u32.pow(below_top),
                    dimensions: (1280 >> shift, 720 >> shift),
                    sequence: random.random_range(0..0x8000),
                    rtx_sequence: random.random_range(0..0x8000),
                    timestamp_offset: random.random(),
                    timestamp: 0,
                    picture_id: random.random_range(0..0x8000),
                    tl0: random.random(),
                    key_due: true,
                    history: VecDeque::new(),
                    packets: 0,
                    octets: 0,
                }
            })
            .collect();
        Self {
            mid,
            options,
            encodings,
            negotiated: None,
            next_at: None,
            frame: 0,
            level_dbov: 30,
            paused: false,
            recorded: VecDeque::new(),
            repeats: false,
            phrases_ended: 0,
        }
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.options.source.kind()
    }

    /// Stores the values that the answer has set; `None` when it refused the track.
    pub(super) fn negotiate(&mut self, negotiated: Option<Negotiated>) {
        self.negotiated = negotiated;
    }

    /// Starts sending, with a key frame.
    pub(super) fn start(&mut self, now: Instant) {
        self.next_at.get_or_insert(now);
    }

    /// Continues from `now` on, without sending the frames of a pause.
    pub(super) fn resume(&mut self, now: Instant) {
        self.next_at = self.next_at.map(|next| next.max(now));
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_at.filter(|_| self.negotiated.is_some() && !self.paused)
    }

    fn interval(&self) -> Duration {
        match self.kind() {
            MediaKind::Audio => OPUS_INTERVAL,
            MediaKind::Video => Duration::from_secs(1) / self.options.frames_per_s.max(1),
        }
    }

    /// Makes the frames that are due, with the time stamp `now_ns`.
    pub(super) fn handle_timeout(&mut self, now: Instant, now_ns: u64, out: &mut Vec<Outgoing>) {
        let (Some(negotiated), Some(mut due)) = (self.negotiated, self.poll_timeout()) else {
            return;
        };
        let interval = self.interval();
        let mut made = 0;
        while due <= now {
            if made == CATCH_UP_MAX {
                due = now + interval;
                break;
            }
            self.frame = self.frame.wrapping_add(1);
            match self.kind() {
                MediaKind::Audio => self.sound(&negotiated, now_ns, out),
                MediaKind::Video => self.picture(&negotiated, now_ns, out),
            }
            due += interval;
            made += 1;
        }
        self.next_at = Some(due);
    }

    fn sound(&mut self, negotiated: &Negotiated, now_ns: u64, out: &mut Vec<Outgoing>) {
        let recorded = self.next_recorded();
        let level = recorded.as_ref().map_or(self.level_dbov, |recorded| recorded.level_dbov);
        let payload = match recorded {
            Some(recorded) => recorded.payload,
            None => self.synthetic_sound(now_ns),
        };
        let level = [0x80 | level & 0x7F];
        let timestamp = self.frame.wrapping_mul(OPUS_CLOCK_HZ / 50);
        for encoding in &mut self.encodings {
            encoding.timestamp = encoding.timestamp_offset.wrapping_add(timestamp);
            encoding.send(&self.mid, negotiated, Some(&level), false, &payload, out);
        }
    }

    fn synthetic_sound(&self, now_ns: u64) -> Vec<u8> {
        let size = self.options.packet_bytes.max(1 + rtp::STAMP_BYTES);
        let mut payload = Vec::with_capacity(size);
        payload.push(OPUS_HEAD);
        rtp::write_stamp(&mut payload, now_ns);
        payload.resize(size, 0x55);
        payload
    }

    fn next_recorded(&mut self) -> Option<Recorded> {
        let next = self.recorded.pop_front()?;
        self.phrases_ended += u32::from(next.ends_phrase);
        if self.repeats {
            self.recorded.push_back(next.clone());
        }
        Some(next)
    }

    fn picture(&mut self, negotiated: &Negotiated, now_ns: u64, out: &mut Vec<Outgoing>) {
        let frames_per_s = self.options.frames_per_s.max(1);
        let timestamp = self.frame.wrapping_mul(VIDEO_CLOCK_HZ / frames_per_s);
        let packet_bytes = self.options.packet_bytes.clamp(64, 1_200);
        for encoding in &mut self.encodings {
            let key_frame = std::mem::take(&mut encoding.key_due);
            let bytes = usize::try_from(encoding.bitrate_bps / 8 / frames_per_s).unwrap_or(1_000);
            let bytes = if key_frame { bytes * KEY_FRAME_FACTOR } else { bytes };
            let count = bytes.div_ceil(packet_bytes).max(1);
            encoding.timestamp = encoding.timestamp_offset.wrapping_add(timestamp);
            encoding.picture_id = encoding.picture_id.wrapping_add(1) & 0x7FFF;
            encoding.tl0 = encoding.tl0.wrapping_add(1);
            for index in 0..count {
                let mut payload = Vec::with_capacity(packet_bytes);
                let starts = index == 0;
                rtp::write_vp8_descriptor(&mut payload, starts, encoding.picture_id, encoding.tl0);
                if starts {
                    rtp::write_vp8_frame_header(&mut payload, key_frame, encoding.dimensions);
                }
                rtp::write_stamp(&mut payload, now_ns);
                // Packets of equal size can be passed to the system in one call.
                payload.resize((bytes / count).clamp(payload.len(), packet_bytes), 0x55);
                encoding.send(&self.mid, negotiated, None, index + 1 == count, &payload, out);
            }
        }
    }

    /// Resends the requested packets that are still kept.
    pub(super) fn repeat(&mut self, ssrc: u32, sequences: &[u16], out: &mut Vec<Outgoing>) {
        let Some(negotiated) = self.negotiated else { return };
        let mid = &self.mid;
        if let Some(encoding) = self.encodings.iter_mut().find(|encoding| encoding.ssrc == ssrc) {
            for &sequence in sequences {
                encoding.repeat(mid, &negotiated, sequence, out);
            }
        }
    }

    /// If the SSRC belongs to this sender, makes its next frame a key frame; returns whether it
    /// does.
    pub(super) fn request_key_frame(&mut self, ssrc: u32) -> bool {
        let found = self.encodings.iter_mut().find(|encoding| encoding.ssrc == ssrc);
        found.map(|encoding| encoding.key_due = true).is_some()
    }

    /// A sender report for each encoding that has sent anything.
    pub(super) fn reports(&self, unix: Duration) -> Vec<Vec<u8>> {
        let fraction = u64::from(unix.subsec_nanos()) * (1 << 32) / 1_000_000_000;
        let ntp = (unix.as_secs() + NTP_OFFSET_S) << 32 | fraction;
        let sent = self.encodings.iter().filter(|encoding| encoding.packets > 0);
        sent.map(|e| rtcp::sender_report(e.ssrc, ntp, e.timestamp, e.packets, e.octets)).collect()
    }
}

impl Encoding {
    fn send(
        &mut self,
        mid: &str,
        negotiated: &Negotiated,
        level: Option<&[u8]>,
        marker: bool,
        payload: &[u8],
        out: &mut Vec<Outgoing>,
    ) {
        let head = Head {
            marker,
            payload_type: negotiated.payload_type,
            sequence: self.sequence,
            timestamp: self.timestamp,
            ssrc: self.ssrc,
        };
        self.sequence = self.sequence.wrapping_add(1);
        let mut extensions: Vec<(u8, &[u8])> = Vec::with_capacity(4);
        extensions.extend(negotiated.transport_cc.map(|id| (id, &[0, 0][..])));
        extensions.extend(negotiated.mid.map(|id| (id, mid.as_bytes())));
        extensions
            .extend(negotiated.rid.zip(self.rid.as_ref()).map(|(id, rid)| (id, rid.as_bytes())));
        extensions.extend(negotiated.level.zip(level));
        let bytes = rtp::write(&head, &extensions, payload);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(u32::try_from(payload.len()).unwrap_or(0));
        if negotiated.rtx_payload_type.is_some() {
            if self.history.len() == HISTORY_MAX {
                self.history.pop_front();
            }
            self.history.push_back((head.sequence, bytes.clone()));
        }
        let transport_sequence_at = negotiated.transport_cc.map(|_| TRANSPORT_SEQUENCE_AT);
        out.push(Outgoing { bytes, is_repeat: false, transport_sequence_at });
    }

    fn repeat(
        &mut self,
        mid: &str,
        negotiated: &Negotiated,
        sequence: u16,
        out: &mut Vec<Outgoing>,
    ) {
        let Some(payload_type) = negotiated.rtx_payload_type else { return };
        let kept = self.history.iter().rev().find(|(kept, _)| *kept == sequence);
        let Some(packet) = kept.and_then(|(_, bytes)| rtp::Packet::parse(bytes)) else { return };
        let head = Head {
            marker: packet.marker,
            payload_type,
            sequence: self.rtx_sequence,
            timestamp: packet.timestamp,
            ssrc: self.rtx_ssrc,
        };
        self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        let mut extensions: Vec<(u8, &[u8])> = Vec::with_capacity(3);
        extensions.extend(negotiated.transport_cc.map(|id| (id, &[0, 0][..])));
        extensions.extend(negotiated.mid.map(|id| (id, mid.as_bytes())));
        let repaired = negotiated.repaired_rid.zip(self.rid.as_ref());
        extensions.extend(repaired.map(|(id, rid)| (id, rid.as_bytes())));
        let mut payload = sequence.to_be_bytes().to_vec();
        payload.extend_from_slice(packet.payload);
        let bytes = rtp::write(&head, &extensions, &payload);
        let transport_sequence_at = negotiated.transport_cc.map(|_| TRANSPORT_SEQUENCE_AT);
        out.push(Outgoing { bytes, is_repeat: true, transport_sequence_at });
    }
}
