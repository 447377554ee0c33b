//! One encoding of a publication: which packets came, which are missing, and what to request.

use std::ops::RangeInclusive;

use crate::domain::media::MediaKind;
use crate::formats::rtp::extend_sequence;
use crate::sfu::plane::{EncodingSpec, Gate, Tally};
use crate::sfu::rtcp::ReportBlock;

use super::flow::Flow;
use super::key_frames::KeyFrames;
use super::ring::Ring;

/// Missing packets that are tracked at once; beyond it the oldest are given up.
const MISSING_MAX: usize = 256;
/// A gap wider than this many packets is not requested again: a key frame is cheaper.
const GAP_MAX: u64 = 128;
/// How often a packet is requested before it is given up.
const REQUESTS_MAX: u8 = 8;
/// Time between two requests for one packet; about a round trip.
const REQUEST_INTERVAL_US: u64 = 60_000;
/// How long a missing packet may be late because of reordering before it is requested.
const REORDER_US: u64 = 5_000;
/// Packets since a key frame with which whoever comes may begin: they are sent all at once.
const RECENT_PACKETS_MAX: u64 = 96;
/// Key frames requested to learn the size of pictures. Some formats do not tell it.
const SIZE_REQUESTS_MAX: u8 = 3;
/// An encoding without a packet for this long has ended or is paused.
const ALIVE_US: u64 = 1_000_000;
/// An encoding without a packet for this long has no rate that could be compared.
const PAUSE_US: u64 = 300_000;
/// Where extended sequence numbers start, so that reordered packets before the
/// first one have positive numbers too.
const FIRST_CYCLE: u64 = 1 << 16;

/// Why a packet is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It came before, or it is too old.
    Duplicate,
    /// It is a retransmission of a stream from which no packet has come yet.
    Premature,
}

#[derive(Debug, Clone, Copy)]
struct Missing {
    extended: u64,
    since_us: u64,
    requested_us: u64,
    requests: u8,
}

/// The sender's NTP time and RTP timestamp at one instant, and when the report arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockReport {
    pub(super) ntp: u64,
    pub(super) timestamp: u32,
    pub(super) heard_us: u64,
}

impl ClockReport {
    /// Wall clock and timestamp extrapolated to `now_us`.
    pub(super) fn at(&self, now_us: u64, clock_rate_hz: u32) -> (u64, u32) {
        let elapsed_us = now_us.saturating_sub(self.heard_us);
        let ntp = self.ntp.wrapping_add(fixed_point_seconds(elapsed_us));
        (ntp, self.timestamp.wrapping_add(ticks(elapsed_us, clock_rate_hz)))
    }

    /// The sender's wall-clock time at which `timestamp` was sampled, in 32.32 fixed-point seconds.
    pub(super) fn wall_clock_of(&self, timestamp: u32, clock_rate_hz: u32) -> u64 {
        let behind = timestamp.wrapping_sub(self.timestamp).cast_signed();
        let seconds = (i64::from(behind) << 32) / i64::from(clock_rate_hz.max(1));
        self.ntp.wrapping_add_signed(seconds)
    }

    /// The timestamp of this encoding at an instant of the sender's wall clock.
    pub(super) fn timestamp_at(&self, ntp: u64, clock_rate_hz: u32) -> u32 {
        let ahead = i128::from(ntp.wrapping_sub(self.ntp).cast_signed());
        let ticks = (ahead * i128::from(clock_rate_hz)) >> 32;
        let [.., a, b, c, d] = ticks.to_be_bytes();
        self.timestamp.wrapping_add(u32::from_be_bytes([a, b, c, d]))
    }
}

/// Microseconds as 32.32 fixed point seconds.
fn fixed_point_seconds(us: u64) -> u64 {
    ((us / 1_000_000) << 32) | (((us % 1_000_000) << 32) / 1_000_000)
}

/// Microseconds as ticks of a clock, wrapping as RTP timestamps do.
pub(super) fn ticks(us: u64, clock_rate_hz: u32) -> u32 {
    let ticks = us.wrapping_mul(u64::from(clock_rate_hz)) / 1_000_000;
    let [.., a, b, c, d] = ticks.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The values that receiver reports are computed from (RFC 3550 appendix A.3, A.8).
#[derive(Debug, Clone, Copy, Default)]
struct Receipt {
    first: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    transit: Option<u32>,
    /// Sixteen times the jitter.
    jitter_scaled: u32,
}

/// How much comes of an encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    /// Bytes of payload since the last measurement.
    pub(super) bytes: u64,
    /// Bytes of payload between the last two measurements, if packets came all the time; else zero.
    measured: u64,
    /// Whether packets have come all the time since the last measurement.
    came_throughout: bool,
}

/// Whether the sizes of all encodings of a track are known. Only then they are compared, so that the
/// order has no circles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sizes {
    Known,
    Unknown,
}

/// One encoding.
#[derive(Debug)]
pub(super) struct Encoding {
    pub(super) rid: Option<String>,
    pub(super) ssrc: Option<u32>,
    pub(super) rtx_ssrc: Option<u32>,
    pub(super) ring: Ring,
    /// Identifies this stretch of the encoding for the life of the worker. It changes when the
    /// sequence numbers start over and when the gate opens again.
    pub(super) generation: u64,
    /// Identifies the clock of its source; changes only when the source does.
    pub(super) clock: u64,
    /// Whether packets are coming.
    pub(super) alive: bool,
    pub(super) report: Option<ClockReport>,
    pub(super) key_frames: KeyFrames,
    /// Width times height of its pictures, once a key frame has told.
    pub(super) pixels: Option<u64>,
    /// How often a key frame was requested because the size is not known.
    size_requests: u8,
    pub(super) rate: Rate,
    /// How much is sent of it.
    pub(super) flow: Flow,
    /// Whether a packet was given up since this was last read.
    pub(super) given_up: bool,
    highest: Option<u64>,
    /// Packets with lower extended sequence numbers were sent before the gate opened.
    floor: u64,
    missing: Vec<Missing>,
    last_packet_us: u64,
    receipt: Receipt,
    /// What came since it was last taken.
    tally: Tally,
}

impl Encoding {
    pub(super) fn new(spec: &EncodingSpec, kind: MediaKind, generation: u64) -> Self {
        Self {
            rid: spec.rid.clone(),
            ssrc: spec.ssrc,
            rtx_ssrc: spec.rtx_ssrc,
            ring: Ring::new(kind),
            generation,
            clock: generation,
            alive: false,
            report: None,
            key_frames: KeyFrames::default(),
            pixels: None,
            size_requests: 0,
            rate: Rate::default(),
            flow: Flow::default(),
            given_up: false,
            highest: None,
            floor: 0,
            missing: Vec::with_capacity(MISSING_MAX),
            last_packet_us: 0,
            receipt: Receipt::default(),
            tally: Tally::default(),
        }
    }

    /// Handles a change of source: another SSRC carries this encoding from now on.
    pub(super) fn restart(&mut self, generation: u64) {
        self.ring.clear();
        self.missing.clear();
        self.generation = generation;
        self.clock = generation;
        self.report = None;
        self.pixels = None;
        self.highest = None;
        self.floor = 0;
        self.receipt = Receipt::default();
        self.key_frames.restart();
        self.flow.restart();
    }

    /// Whether its source sends now. A section has one source at a time: another SSRC is taken only
    /// when the one before is silent.
    pub(super) fn is_heard(&self, now_us: u64) -> bool {
        self.highest.is_some() && self.last_packet_us + ALIVE_US > now_us
    }

    /// Takes what came since the last measurement as its rate. Of an encoding that began, ended or
    /// paused meanwhile nothing can be said.
    pub(super) fn measure(&mut self, now_us: u64) {
        let comes = self.highest.is_some() && self.last_packet_us + PAUSE_US > now_us;
        let measured = if self.rate.came_throughout && comes { self.rate.bytes } else { 0 };
        self.rate = Rate { bytes: 0, measured, came_throughout: comes };
    }

    /// Requests a key frame if the size of its pictures is not known although they come: the first one
    /// was lost, and while nobody gets this encoding nobody else requests one.
    pub(super) fn request_size(&mut self) {
        if self.alive && self.pixels.is_none() && self.size_requests < SIZE_REQUESTS_MAX {
            self.size_requests += 1;
            self.key_frames.want();
        }
    }

    /// Whether it is known to be of higher quality than another encoding of its track: its pictures
    /// are larger or, where sizes are not compared or equal, it has a clearly higher rate.
    pub(super) fn is_better_than(&self, other: &Self, sizes: Sizes) -> bool {
        if sizes == Sizes::Known && self.pixels != other.pixels {
            return self.pixels > other.pixels;
        }
        let (ours, theirs) = (self.rate.measured, other.rate.measured);
        theirs > 0 && ours > theirs + theirs / 2
    }

    /// Called when the gate closes: forgets the packets that came.
    pub(super) fn close(&mut self) {
        self.ring.clear();
        self.key_frames.restart();
        self.missing.clear();
    }

    /// Called when the gate opens: only packets sent from now on pass.
    pub(super) fn open(&mut self, generation: u64) {
        self.close();
        self.generation = generation;
        self.floor = self.highest.map_or(0, |highest| highest + 1);
    }

    /// Places a packet in the order of its source. While the gate is closed, missing packets are
    /// not tracked.
    pub(super) fn place(
        &mut self,
        sequence: u16,
        gate: Gate,
        repair: bool,
        now_us: u64,
    ) -> Result<u64, Refusal> {
        let open = gate == Gate::Open;
        self.rate.came_throughout &= self.last_packet_us + PAUSE_US > now_us;
        self.last_packet_us = now_us;
        let Some(highest) = self.highest else {
            if repair {
                return Err(Refusal::Premature);
            }
            let extended = FIRST_CYCLE + u64::from(sequence);
            self.highest = Some(extended);
            self.receipt.first = extended;
            self.receipt.received = 1;
            self.tally.add(Tally { expected: 1, arrived: 1 });
            return Ok(extended);
        };
        let extended = extend_sequence(highest, sequence);
        let mut expected = 0;
        if extended > highest {
            self.highest = Some(extended);
            expected = u32::try_from(extended - highest).unwrap_or(u32::MAX);
            if open {
                self.note_gap(highest + 1, extended, now_us);
            }
        } else {
            let too_old = extended + self.ring.capacity() <= highest;
            if extended < self.floor || too_old || (open && self.ring.seen(extended)) {
                return Err(Refusal::Duplicate);
            }
            self.missing.retain(|missing| missing.extended != extended);
        }
        if !repair {
            self.receipt.received += 1;
        }
        // Behind a closed gate nothing is requested again, and what is sent again may have come before.
        self.tally.add(Tally { expected, arrived: u32::from(open || !repair) });
        Ok(extended)
    }

    /// What came since this was last called.
    pub(super) const fn take_tally(&mut self) -> Tally {
        std::mem::replace(&mut self.tally, Tally { expected: 0, arrived: 0 })
    }

    fn note_gap(&mut self, from: u64, until: u64, now_us: u64) {
        if until - from > GAP_MAX {
            self.missing.clear();
            self.key_frames.want();
            return;
        }
        let wanted = usize::try_from(until - from).unwrap_or(MISSING_MAX);
        let surplus = (self.missing.len() + wanted).saturating_sub(MISSING_MAX);
        self.given_up |= surplus > 0;
        self.missing.drain(..surplus.min(self.missing.len()));
        self.missing.extend((from..until).map(|extended| Missing {
            extended,
            since_us: now_us,
            requested_us: 0,
            requests: 0,
        }));
    }

    /// Jitter of arrivals (RFC 3550 §6.4.1).
    pub(super) fn note_arrival(&mut self, timestamp: u32, now_us: u64, clock_rate_hz: u32) {
        let transit = ticks(now_us, clock_rate_hz).wrapping_sub(timestamp);
        let receipt = &mut self.receipt;
        if let Some(before) = receipt.transit {
            let difference = transit.wrapping_sub(before).cast_signed().unsigned_abs();
            // A timestamp that jumps by a second or more is a restart, not jitter.
            if difference < clock_rate_hz {
                let decay = (receipt.jitter_scaled + 8) >> 4;
                receipt.jitter_scaled =
                    receipt.jitter_scaled + difference - decay.min(receipt.jitter_scaled);
            }
        }
        receipt.transit = Some(transit);
    }

    /// How unevenly late its packets come, in ticks.
    pub(super) const fn jitter(&self) -> u32 {
        self.receipt.jitter_scaled >> 4
    }

    /// Whether packets are missing or a key frame is wanted.
    pub(super) fn has_requests(&self) -> bool {
        !self.missing.is_empty()
    }

    /// Appends the sequence numbers to request now, and gives up packets that were requested too
    /// often.
    pub(super) fn take_requests(&mut self, now_us: u64, into: &mut Vec<u16>) {
        let oldest = self.highest.unwrap_or(0).saturating_sub(self.ring.capacity());
        let before = self.missing.len();
        self.missing.retain(|it| it.requests < REQUESTS_MAX && it.extended > oldest);
        self.given_up |= self.missing.len() < before;
        for missing in &mut self.missing {
            let due = match missing.requests {
                0 => missing.since_us + REORDER_US,
                _ => missing.requested_us + REQUEST_INTERVAL_US,
            };
            if due <= now_us {
                missing.requests += 1;
                missing.requested_us = now_us;
                into.push(crate::formats::rtp::wire_sequence(missing.extended));
            }
        }
    }

    /// Everything since the last key frame, if that is little, complete and from a moment ago: with
    /// it a decoder can begin.
    pub(super) fn recent(&self, now_us: u64) -> Option<RangeInclusive<u64>> {
        let (first, last) = (self.key_frames.recent(now_us)?, self.highest?);
        let is_little = last < first + RECENT_PACKETS_MAX;
        let is_complete = || (first..=last).all(|it| self.ring.packet(it).is_some());
        (is_little && is_complete()).then_some(first..=last)
    }

    /// The source to send a key-frame request to now, if one is due.
    pub(super) fn take_key_frame_request(&mut self, now_us: u64) -> Option<u32> {
        let ssrc = self.ssrc?;
        self.key_frames.take_request(now_us).then_some(ssrc)
    }

    /// Updates whether packets are coming; returns `true` when that has changed.
    pub(super) fn update_alive(&mut self, now_us: u64) -> bool {
        let alive = self.is_heard(now_us);
        if !alive {
            self.flow.restart();
        }
        std::mem::replace(&mut self.alive, alive) != alive
    }

    /// The block of the next receiver report.
    pub(super) fn report_block(&mut self, now_us: u64) -> Option<ReportBlock> {
        let (ssrc, highest) = (self.ssrc?, self.highest?);
        let receipt = &mut self.receipt;
        let expected = highest - receipt.first.min(highest) + 1;
        let expected_since = expected.saturating_sub(receipt.expected_before);
        let received_since = receipt.received - receipt.received_before;
        let lost_since = expected_since.saturating_sub(received_since);
        receipt.expected_before = expected;
        receipt.received_before = receipt.received;
        let fraction = (lost_since * 256).checked_div(expected_since).unwrap_or(0).min(255);
        let lost = expected.saturating_sub(receipt.received);
        let (last_report, since_last_report) = self.report.map_or((0, 0), |report| {
            let [_, _, a, b, c, d, ..] = report.ntp.to_be_bytes();
            let delay = fixed_point_seconds(now_us.saturating_sub(report.heard_us)) >> 16;
            (u32::from_be_bytes([a, b, c, d]), u32::try_from(delay).unwrap_or(u32::MAX))
        });
        let [.., a, b, c, d] = (highest - FIRST_CYCLE).to_be_bytes();
        Some(ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(255),
            lost_total: u32::try_from(lost).unwrap_or(u32::MAX),
            highest_sequence: u32::from_be_bytes([a, b, c, d]),
            jitter: self.jitter(),
            last_report,
            since_last_report,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding() -> Encoding {
        let spec = EncodingSpec { ssrc: Some(5), ..EncodingSpec::default() };
        Encoding::new(&spec, MediaKind::Video, 1)
    }

    fn requests(encoding: &mut Encoding, now_us: u64) -> Vec<u16> {
        let mut wanted = Vec::new();
        encoding.take_requests(now_us, &mut wanted);
        wanted
    }

    #[test]
    fn missing_packets_are_asked_for_a_bounded_number_of_times() {
        let mut encoding = encoding();
        encoding.place(65_534, Gate::Open, false, 0).expect("first");
        encoding.place(2, Gate::Open, false, 0).expect("later");
        assert_eq!(
            requests(&mut encoding, 0),
            [0_u16; 0],
            "reordered packets get some time to arrive"
        );
        assert_eq!(requests(&mut encoding, 10_000), [65_535, 0, 1]);
        assert_eq!(requests(&mut encoding, 20_000), [0_u16; 0]);
        encoding.place(0, Gate::Open, true, 30_000).expect("repaired");
        assert_eq!(requests(&mut encoding, 80_000), [65_535, 1]);
        for step in 2..20 {
            requests(&mut encoding, step * 80_000);
        }
        assert!(!encoding.has_requests());
    }

    #[test]
    fn a_wide_gap_wants_a_key_frame_instead() {
        let mut encoding = encoding();
        encoding.place(0, Gate::Open, false, 0).expect("first");
        encoding.place(1000, Gate::Open, false, 0).expect("later");
        assert!(!encoding.has_requests());
        assert_eq!(encoding.take_key_frame_request(1_000_000), Some(5));
        assert_eq!(encoding.take_key_frame_request(1_200_000), None, "throttled");
        assert_eq!(encoding.take_key_frame_request(1_250_000), Some(5), "still wanted");
    }

    #[test]
    fn what_was_sent_while_closed_does_not_pass_after_opening() {
        let mut encoding = encoding();
        encoding.place(10, Gate::Closed, false, 0).expect("counted");
        encoding.place(20, Gate::Closed, false, 0).expect("counted");
        encoding.open(2);
        assert_eq!(encoding.place(15, Gate::Open, false, 1), Err(Refusal::Duplicate));
        assert_eq!(encoding.place(16, Gate::Open, true, 1), Err(Refusal::Duplicate));
        assert!(encoding.place(21, Gate::Open, false, 2).is_ok());
        assert!(!encoding.has_requests(), "packets from before are not requested");
    }

    #[test]
    fn a_receiver_report_counts_loss_and_delay() {
        let mut encoding = encoding();
        for sequence in [0, 1, 3] {
            encoding.place(sequence, Gate::Open, false, 0).expect("new");
        }
        encoding.report =
            Some(ClockReport { ntp: 0x1122_3344_5566_7788, timestamp: 0, heard_us: 0 });
        let block = encoding.report_block(500_000).expect("it has a source");
        assert_eq!((block.fraction_lost, block.lost_total, block.highest_sequence), (64, 1, 3));
        assert_eq!((block.last_report, block.since_last_report), (0x3344_5566, 32_768));
        let next = encoding.report_block(600_000).expect("it has a source");
        assert_eq!((next.fraction_lost, next.lost_total), (0, 1));
    }

    #[test]
    fn two_clocks_of_one_sender_are_translated_into_each_other() {
        let low = ClockReport { ntp: 100 << 32, timestamp: 1_000, heard_us: 0 };
        let high = ClockReport { ntp: (100 << 32) + (1 << 31), timestamp: 500_000, heard_us: 0 };
        let wall = low.wall_clock_of(1_000 + 90_000, 90_000);
        assert_eq!(wall, 101 << 32);
        assert_eq!(high.timestamp_at(wall, 90_000), 545_000);
        assert_eq!(high.timestamp_at(100 << 32, 90_000), 455_000);
    }
}
