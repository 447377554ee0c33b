#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Receives packets: counts them per stream, requests missing ones, restores them from RTX (RFC
//! 4588), assembles frames, and measures transit times by the stamps in them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::rtcp::{self, ReportBlock};
use super::rtp::{self, Packet, Vp8};
use super::sdp::{Direction, MID_URI, Section, TRANSPORT_CC_URI};
use super::twcc::Arrivals;
use crate::domain::media::MediaKind;

/// Streams of one transport; packets of further ones are counted as `strange`.
const STREAMS_MAX: usize = 1024;
/// Missing packets tracked per stream; a wider gap counts as lost at once.
const MISSING_MAX: usize = 1024;
/// Incomplete frames kept per stream; at the limit the oldest is given up.
const FRAMES_MAX: usize = 32;
/// Time from noticing a gap to requesting the packets, so that reordered packets are not requested.
const NACK_DELAY: Duration = Duration::from_millis(5);
/// Time between two requests for the same packet.
const NACK_INTERVAL: Duration = Duration::from_millis(40);
/// Time after which a missing packet counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Transit times kept until they are taken; further ones are dropped.
const DELAYS_MAX: usize = 65_536;
/// Time between two key-frame requests for the same stream.
const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

/// Counters of a section, or sums over several sections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Received {
    /// Distinct packets that arrived, directly or by RTX.
    pub packets: u64,
    /// Bytes of these packets after decryption.
    pub bytes: u64,
    /// Packets that never arrived.
    pub lost: u64,
    /// Packets among `packets` that arrived only by RTX.
    pub recovered: u64,
    /// Complete frames of video.
    pub frames: u64,
    /// Complete key frames of video.
    pub key_frames: u64,
    /// Packets requested again, counting repeated requests.
    pub nacked: u64,
    /// Key-frame requests sent.
    pub key_frames_requested: u64,
}

impl Received {
    /// Adds other counters to these.
    pub fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.lost += other.lost;
        self.recovered += other.recovered;
        self.frames += other.frames;
        self.key_frames += other.key_frames;
        self.nacked += other.nacked;
        self.key_frames_requested += other.key_frames_requested;
    }

    /// The counters since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(earlier.packets),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            lost: self.lost.saturating_sub(earlier.lost),
            recovered: self.recovered.saturating_sub(earlier.recovered),
            frames: self.frames.saturating_sub(earlier.frames),
            key_frames: self.key_frames.saturating_sub(earlier.key_frames),
            nacked: self.nacked.saturating_sub(earlier.nacked),
            key_frames_requested: self
                .key_frames_requested
                .saturating_sub(earlier.key_frames_requested),
        }
    }
}

/// The result of receiving a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    First { mid: String },
    KeyFrame { mid: String },
}

#[derive(Clone, Copy)]
enum Format {
    Primary { is_vp8: bool },
    Repair { of: u8 },
}

struct Missing {
    since: Instant,
    ask_at: Instant,
}

#[derive(Default)]
struct Frame {
    first: Option<u64>,
    last: Option<u64>,
    packets: u64,
    is_key: bool,
}

struct Stream {
    mid: String,
    kind: MediaKind,
    is_vp8: bool,
    repairable: bool,
    highest: u64,
    missing: BTreeMap<u64, Missing>,
    frames: BTreeMap<u32, Frame>,
    counts: Received,
    shown: bool,
    asked_key_frame: Option<Instant>,
    last_report: u32,
    last_report_at: Option<Instant>,
    reported: (u64, u64),
}

/// The receiving half of a transport.
pub(super) struct Receiver {
    pub(super) own_ssrc: u32,
    kinds: BTreeMap<String, MediaKind>,
    formats: BTreeMap<u8, Format>,
    mid_by_ssrc: BTreeMap<u32, String>,
    primary_by_repair: BTreeMap<u32, u32>,
    mid_extension: Option<u8>,
    transport_cc_extension: Option<u8>,
    transport_arrivals: Arrivals,
    feedback_about: u32,
    streams: BTreeMap<u32, Stream>,
    next_ask: Option<Instant>,
    /// Packets that belong to no section.
    pub(super) strange: u64,
    /// Transit times of stamped packets since they were last taken, in nanoseconds.
    pub(super) delays_ns: Vec<u64>,
}

impl Receiver {
    pub(super) fn new(own_ssrc: u32) -> Self {
        Self {
            own_ssrc,
            kinds: BTreeMap::new(),
            formats: BTreeMap::new(),
            mid_by_ssrc: BTreeMap::new(),
            primary_by_repair: BTreeMap::new(),
            mid_extension: None,
            transport_cc_extension: None,
            transport_arrivals: Arrivals::default(),
            feedback_about: 0,
            streams: BTreeMap::new(),
            next_ask: None,
            strange: 0,
            delays_ns: Vec::new(),
        }
    }

    /// Sets the sections that the server sends.
    pub(super) fn describe(&mut self, sections: &[Section]) {
        for section in sections {
            if section.rejected || section.direction == Direction::Inactive {
                self.kinds.remove(&section.mid);
                continue;
            }
            self.kinds.insert(section.mid.clone(), section.kind);
            for codec in &section.codecs {
                let format = match codec.repairs {
                    Some(of) => Format::Repair { of },
                    None => Format::Primary { is_vp8: codec.is("VP8") },
                };
                self.formats.insert(codec.payload_type, format);
            }
            let repairs: BTreeSet<u32> = section.repair_pairs.iter().map(|pair| pair.1).collect();
            for &ssrc in section.ssrcs.iter().filter(|ssrc| !repairs.contains(ssrc)) {
                self.mid_by_ssrc.insert(ssrc, section.mid.clone());
            }
            for &(primary, repair) in &section.repair_pairs {
                self.primary_by_repair.insert(repair, primary);
            }
            let extension = |uri: &str| section.extensions.get(uri).copied();
            self.mid_extension = extension(MID_URI).or(self.mid_extension);
            self.transport_cc_extension =
                extension(TRANSPORT_CC_URI).or(self.transport_cc_extension);
        }
    }

    /// Takes a decrypted packet.
    pub(super) fn handle_packet(
        &mut self,
        bytes: &[u8],
        now: Instant,
        now_ns: u64,
        arrivals: &mut Vec<Arrival>,
    ) {
        let Some(packet) = Packet::parse(bytes) else {
            self.strange += 1;
            return;
        };
        let transport_sequence = self.transport_cc_extension.and_then(|id| packet.extension(id));
        if let Some(&[high, low]) = transport_sequence {
            let sequence = u16::from_be_bytes([high, low]);
            self.transport_arrivals.note(sequence, now, now_ns / 1_000);
            self.feedback_about = packet.ssrc;
        }
        match self.formats.get(&packet.payload_type) {
            Some(&Format::Primary { is_vp8 }) => {
                let mid = self.mid_extension.and_then(|id| packet.extension(id));
                let mid = mid.and_then(|mid| std::str::from_utf8(mid).ok());
                if !self.streams.contains_key(&packet.ssrc)
                    && !self.open(packet.ssrc, mid, is_vp8, &packet)
                {
                    self.strange += 1;
                    return;
                }
                if let Some(stream) = self.streams.get_mut(&packet.ssrc)
                    && stream.take(
                        packet.sequence,
                        &packet,
                        packet.payload,
                        Some(now),
                        bytes.len(),
                        arrivals,
                    )
                    && let Some(sent_ns) = stamp(stream.is_vp8, packet.payload)
                    && self.delays_ns.len() < DELAYS_MAX
                {
                    self.delays_ns.push(now_ns.saturating_sub(sent_ns));
                }
            }
            Some(&Format::Repair { of }) => {
                let primary = self.primary_by_repair.get(&packet.ssrc).copied();
                if let Some((head, payload)) = packet.payload.split_first_chunk::<2>()
                    && matches!(self.formats.get(&of), Some(Format::Primary { .. }))
                    && let Some(stream) = primary.and_then(|ssrc| self.streams.get_mut(&ssrc))
                {
                    let sequence = u16::from_be_bytes(*head);
                    stream.take(sequence, &packet, payload, None, bytes.len() - 2, arrivals);
                }
            }
            None => self.strange += 1,
        }
        self.schedule(packet.ssrc);
    }

    fn schedule(&mut self, ssrc: u32) {
        if let Some(stream) = self.streams.get(&ssrc)
            && let Some(missing) = stream.missing.values().next_back()
        {
            let due = missing.ask_at;
            self.next_ask = Some(self.next_ask.map_or(due, |next| next.min(due)));
        }
    }

    fn open(&mut self, ssrc: u32, mid: Option<&str>, is_vp8: bool, packet: &Packet<'_>) -> bool {
        let declared = self.mid_by_ssrc.get(&ssrc).map(String::as_str);
        let Some((mid, &kind)) = declared.or(mid).and_then(|mid| self.kinds.get_key_value(mid))
        else {
            return false;
        };
        if self.streams.len() == STREAMS_MAX {
            return false;
        }
        let repairable = self.primary_by_repair.values().any(|&primary| primary == ssrc);
        let first = u64::from(packet.sequence) + (1 << 32);
        self.streams.insert(ssrc, Stream::new(mid.clone(), kind, is_vp8, repairable, first - 1));
        true
    }

    /// Stores the time of a sender report, for the next receiver report.
    pub(super) fn handle_sender_report(&mut self, ssrc: u32, middle: u32, now: Instant) {
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            (stream.last_report, stream.last_report_at) = (middle, Some(now));
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.next_ask, self.transport_arrivals.poll_timeout()].into_iter().flatten().min()
    }

    /// Requests missing packets, and counts late ones as lost.
    pub(super) fn handle_timeout(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let feedback =
            self.transport_arrivals.handle_timeout(now, self.own_ssrc, self.feedback_about);
        out.extend(feedback);
        if self.next_ask.is_none_or(|due| now < due) {
            return;
        }
        self.next_ask = None;
        for (&ssrc, stream) in &mut self.streams {
            let asked = stream.ask(now);
            if !asked.is_empty() {
                stream.counts.nacked += asked.len() as u64;
                out.push(rtcp::nack(self.own_ssrc, ssrc, &asked));
            }
            if stream.wants_key_frame(now) {
                out.push(rtcp::picture_loss(self.own_ssrc, ssrc));
            }
            let due = stream.missing.values().map(|missing| missing.ask_at).min();
            self.next_ask = [self.next_ask, due].into_iter().flatten().min();
        }
    }

    /// Writes reports on all streams; also requests key frames of streams that have had none.
    pub(super) fn reports(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let mut blocks = Vec::with_capacity(self.streams.len());
        for (&ssrc, stream) in &mut self.streams {
            blocks.push(stream.report(ssrc, now));
            if !stream.shown && stream.wants_key_frame(now) {
                out.push(rtcp::picture_loss(self.own_ssrc, ssrc));
            }
        }
        out.extend(rtcp::receiver_reports(self.own_ssrc, &blocks));
    }

    /// Writes a key-frame request for every video stream of a section.
    pub(super) fn request_key_frame(&mut self, mid: &str, out: &mut Vec<Vec<u8>>) {
        for (&ssrc, stream) in &mut self.streams {
            if stream.mid == mid && stream.kind == MediaKind::Video {
                stream.counts.key_frames_requested += 1;
                out.push(rtcp::picture_loss(self.own_ssrc, ssrc));
            }
        }
    }

    /// The counters of each section.
    pub(super) fn counts(&self) -> BTreeMap<String, (MediaKind, Received)> {
        let mut all: BTreeMap<String, (MediaKind, Received)> = BTreeMap::new();
        for stream in self.streams.values() {
            let entry = all.entry(stream.mid.clone()).or_insert((stream.kind, Received::default()));
            entry.1.add(&stream.counts);
        }
        all
    }
}

fn stamp(is_vp8: bool, payload: &[u8]) -> Option<u64> {
    let at = if is_vp8 { Vp8::parse(payload)?.head_bytes } else { 1 };
    rtp::read_stamp(payload.get(at..)?)
}

impl Stream {
    fn new(mid: String, kind: MediaKind, is_vp8: bool, repairable: bool, highest: u64) -> Self {
        Self {
            mid,
            kind,
            is_vp8,
            repairable,
            highest,
            missing: BTreeMap::new(),
            frames: BTreeMap::new(),
            counts: Received::default(),
            shown: !is_vp8,
            asked_key_frame: None,
            last_report: 0,
            last_report_at: None,
            reported: (0, 0),
        }
    }

    /// Counts a packet. `arrived` is its arrival time, or `None` for one that came by RTX, which
    /// only fills a gap. Returns whether it was new.
    fn take(
        &mut self,
        sequence: u16,
        packet: &Packet<'_>,
        payload: &[u8],
        arrived: Option<Instant>,
        bytes: usize,
        arrivals: &mut Vec<Arrival>,
    ) -> bool {
        let index = extend(self.highest, sequence);
        if let (Some(now), true) = (arrived, index > self.highest) {
            self.note_gap(index, now);
            self.highest = index;
        } else if self.missing.remove(&index).is_none() {
            return false;
        } else if arrived.is_none() {
            self.counts.recovered += 1;
        }
        if self.counts.packets == 0 {
            arrivals.push(Arrival::First { mid: self.mid.clone() });
        }
        self.counts.packets += 1;
        self.counts.bytes += bytes as u64;
        if self.is_vp8 {
            self.assemble(index, packet, payload, arrivals);
        }
        true
    }

    fn note_gap(&mut self, index: u64, now: Instant) {
        let gap = index - self.highest - 1;
        let room = (MISSING_MAX - self.missing.len().min(MISSING_MAX)) as u64;
        if gap > room {
            self.counts.lost += gap;
            return;
        }
        let ask_at = now + if self.repairable { NACK_DELAY } else { LOST_AFTER };
        for absent in self.highest + 1..index {
            self.missing.insert(absent, Missing { since: now, ask_at });
        }
    }

    fn ask(&mut self, now: Instant) -> BTreeSet<u16> {
        let before = self.missing.len();
        self.missing.retain(|_, missing| now.duration_since(missing.since) < LOST_AFTER);
        let lost = (before - self.missing.len()) as u64;
        self.counts.lost += lost;
        if lost > 0 && self.is_vp8 {
            self.shown = false;
        }
        let mut asked = BTreeSet::new();
        for (&index, missing) in &mut self.missing {
            if missing.ask_at <= now {
                asked.insert(wire_sequence(index));
                missing.ask_at = now + NACK_INTERVAL;
            }
        }
        if self.repairable { asked } else { BTreeSet::new() }
    }

    fn wants_key_frame(&mut self, now: Instant) -> bool {
        let wait =
            self.asked_key_frame.is_some_and(|at| now.duration_since(at) < KEY_FRAME_INTERVAL);
        if self.shown || wait {
            return false;
        }
        self.asked_key_frame = Some(now);
        self.counts.key_frames_requested += 1;
        true
    }

    fn assemble(
        &mut self,
        index: u64,
        packet: &Packet<'_>,
        payload: &[u8],
        arrivals: &mut Vec<Arrival>,
    ) {
        let Some(vp8) = Vp8::parse(payload) else { return };
        let frame = self.frames.entry(packet.timestamp).or_default();
        frame.packets += 1;
        if vp8.starts_frame {
            (frame.first, frame.is_key) = (Some(index), vp8.key_frame);
        }
        if packet.marker {
            frame.last = Some(index);
        }
        if let (Some(first), Some(last)) = (frame.first, frame.last)
            && first + frame.packets == last + 1
        {
            self.counts.frames += 1;
            if frame.is_key {
                self.counts.key_frames += 1;
                self.shown = true;
                arrivals.push(Arrival::KeyFrame { mid: self.mid.clone() });
            }
            self.frames.remove(&packet.timestamp);
        }
        if self.frames.len() > FRAMES_MAX {
            // The first by timestamp, which is the oldest except when timestamps wrap.
            self.frames.pop_first();
        }
    }

    fn report(&mut self, ssrc: u32, now: Instant) -> ReportBlock {
        let (packets, lost) = (self.counts.packets, self.counts.lost);
        let (new_packets, new_lost) = (packets - self.reported.0, lost - self.reported.1);
        self.reported = (packets, lost);
        let fraction = new_lost * 256 / (new_packets + new_lost).max(1);
        let since = self.last_report_at.map_or(Duration::ZERO, |at| now.duration_since(at));
        let units = since.as_micros() * 65_536 / 1_000_000;
        ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: u32::try_from(lost).unwrap_or(u32::MAX),
            highest_sequence: u32::try_from(self.highest & 0xFFFF_FFFF).unwrap_or(0),
            jitter: 0,
            last_report: self.last_report,
            delay: u32::try_from(units).unwrap_or(u32::MAX),
        }
    }
}

fn wire_sequence(index: u64) -> u16 {
    u16::try_from(index & 0xFFFF).unwrap_or(0)
}

/// Extends a sequence number to 64 bits, as near as possible to the highest one seen.
fn extend(highest: u64, sequence: u16) -> u64 {
    let ahead = sequence.wrapping_sub(wire_sequence(highest));
    if ahead < 0x8000 {
        highest + u64::from(ahead)
    } else {
        highest.saturating_sub(u64::from(ahead.wrapping_neg()))
    }
}
