//! Computes when each frame was captured, on the clock of the server.
//!
//! An RTP timestamp tells how much time passed between two packets of one source, on a clock that
//! begins at an arbitrary value. An **anchor** relates it to the wall clock: a number of
//! microseconds that is added to it. Since every anchor relates to the server's clock, the files of
//! one session share one time base:
//!
//! - Without sender reports, the anchor is the smallest difference between arrival and RTP
//!   timestamp in a window of a few tens of seconds: the packet with the least delay is the most
//!   exact, and windows follow a clock that drifts.
//! - A sender report (RFC 3550 §6.4.1) tells which time of the sender's wall clock an RTP timestamp
//!   stands for. All tracks of a person share that clock, and it includes the time that a picture
//!   spends in an encoder, so with reports audio and video are synchronous. The median over
//!   neighbouring reports removes their jitter. The sender's wall clock may be wrong; it is
//!   corrected by the smallest difference between the arrival of a report and its time.
//!
//! Anchors are valid for one **epoch** of a source. A new epoch begins with another SSRC (another
//! layer, a reconnection) and where RTP time and arrival differ by more than [`DISAGREEMENT_US`] (a
//! clock that stood still during a mute, or was set). During all other silence, such as while the
//! gate is closed, the RTP clock runs on and the epoch continues. Between two anchors the number is
//! interpolated; before the first anchor and after the last one it is constant.
//!
//! What a sender counts may be wrong: too fast, too slow, or not at all. Where the times by its
//! anchors are too far from when packets arrived, its timestamps are **doubted**, and what they
//! belong to was captured when it arrived, without the jitter of the network ([`Pace`]). Nothing is
//! captured later than [`AHEAD_MAX_US`] after it arrived.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::media::Codec;
use crate::formats::rtp::Header;
use crate::recorder::journal::{SENDER_REPORT_BYTES, SideEvent};

/// The largest difference between RTP time and arrival time that two successive packets may have.
const DISAGREEMENT_US: i64 = 3_000_000;
/// Packets over this much time give one anchor.
const WINDOW_US: u64 = 10_000_000;
/// Number of neighbouring windows on each side from which the smallest difference is taken.
const NEIGHBOURS: usize = 3;
/// Reports that follow sooner than this are ignored.
const REPORT_EVERY_US: i64 = 500_000;
/// A sender's clock that jumps by more than this was set.
const CLOCK_SET_US: i64 = 500_000;
/// Reports within this time on each side are used for the median.
const MEDIAN_SPAN_US: i64 = 20_000_000;
/// Reports within this time on each side are used for the smallest difference.
const SMALLEST_SPAN_US: i64 = 60_000_000;
/// Arrivals over this much time are compared with the anchors together. Raising it notices later
/// that a sender counts too fast.
const CHECK_US: u64 = 1_000_000;
/// By how much all packets over this time may have arrived later than they were captured. Without
/// reports the anchors themselves are arrivals, so only the delay of the network has changed; with
/// them, the whole delay of the network counts.
const LATE_MAX_US: i64 = 1_000_000;
const LATE_BY_REPORTS_MAX_US: i64 = 3_000_000;
/// By how much a single packet may have, sent once more or held back.
const LATE_PACKET_MAX_US: i64 = 5_000_000;
/// By how much a packet may arrive before its picture is shown: senders that reorder pictures say
/// when they are shown.
pub(super) const AHEAD_MAX_US: i64 = 500_000;
/// What is this near to doubted timestamps is doubted too: anchors depend on it.
const DOUBT_SPREADS_US: u64 = 35_000_000;
/// Longest time between two arrivals from which the usual one is learnt, and the largest difference
/// from it that is taken for jitter. A larger one is a pause.
const JITTER_MAX_US: i64 = 300_000;
/// Smallest distance of two that were sent one after the other.
const ORDER_US: i64 = 1_000;
/// Arrivals over which the usual time between two is averaged; a late one moves the times that follow
/// by this part of what it is late.
const AVERAGED: i64 = 32;
/// Most epochs of a track. At the limit the last one continues.
const EPOCHS_MAX: usize = 65_536;
/// Most ended sources that are remembered.
const RETIRED_MAX: usize = 1_024;

/// The position of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Epoch of its source, from 0.
    pub epoch: usize,
    /// RTP timestamp, extended by the wraps.
    pub ticks: i64,
    /// Whether it is in another epoch than the packet before.
    pub new_epoch: bool,
    /// Whether it is from another source than the packet before.
    pub new_source: bool,
}

/// Follows the sources of one track. The same records always give the same result.
#[derive(Debug)]
pub(super) struct Sources {
    codec: Codec,
    rate: i64,
    current: Option<Current>,
    retired: BTreeSet<u32>,
    payload_types: BTreeMap<u8, Codec>,
    epochs: usize,
    /// Whether the next packet is from another source.
    changed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Current {
    ssrc: u32,
    timestamp: u32,
    ticks: i64,
    at_us: u64,
    /// Whether no packet of it has come yet.
    fresh: bool,
}

impl Sources {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            rate: i64::from(codec.clock_rate_hz()),
            current: None,
            retired: BTreeSet::new(),
            payload_types: BTreeMap::new(),
            epochs: 0,
            changed: false,
        }
    }

    /// Takes an event about the source.
    pub(super) fn handle_side(&mut self, event: SideEvent) {
        match event {
            SideEvent::Source { ssrc, .. } => {
                if self.current.is_none_or(|current| current.ssrc != ssrc) {
                    self.change_to(ssrc);
                }
            }
            SideEvent::Codec { payload_type, codec } => {
                self.payload_types.insert(payload_type, codec);
            }
            SideEvent::GateClosed
            | SideEvent::GateOpened
            | SideEvent::KeyFrameRequested
            | SideEvent::Lost(_) => {}
        }
    }

    /// The position of a packet that arrived at `at_us`; `None` when it belongs to an ended source
    /// or another codec.
    pub(super) fn handle_packet(&mut self, at_us: u64, packet: &Header) -> Option<Place> {
        let codec = self.payload_types.get(&packet.payload_type);
        if !self.payload_types.is_empty() && codec != Some(&self.codec) {
            return None;
        }
        if self.current.is_none_or(|current| current.ssrc != packet.ssrc) {
            if self.retired.contains(&packet.ssrc) {
                return None;
            }
            self.change_to(packet.ssrc);
        }
        let mut current = self.current?;
        let mut new_epoch = current.fresh;
        if current.fresh {
            current.ticks = i64::from(packet.timestamp);
        } else {
            let step = packet.timestamp.wrapping_sub(current.timestamp).cast_signed();
            current.ticks += i64::from(step);
            let passed_us = at_us.cast_signed() - current.at_us.cast_signed();
            let disagreement_us = passed_us - us_of(i64::from(step), self.rate);
            new_epoch = disagreement_us.abs() > DISAGREEMENT_US;
        }
        if new_epoch && self.epochs < EPOCHS_MAX {
            self.epochs += 1;
        }
        current.fresh = false;
        current.timestamp = packet.timestamp;
        current.at_us = at_us;
        self.current = Some(current);
        let new_source = std::mem::take(&mut self.changed);
        Some(Place { epoch: self.epochs - 1, ticks: current.ticks, new_epoch, new_source })
    }

    /// The RTP time of a sender report, with its epoch; `None` when it is from another source or
    /// implausible.
    fn handle_report(&self, at_us: u64, ssrc: u32, timestamp: u32) -> Option<(usize, i64)> {
        let current = self.current.filter(|current| current.ssrc == ssrc && !current.fresh)?;
        let step = i64::from(timestamp.wrapping_sub(current.timestamp).cast_signed());
        let passed_us = at_us.cast_signed() - current.at_us.cast_signed();
        let is_right = (passed_us - us_of(step, self.rate)).abs() <= DISAGREEMENT_US;
        is_right.then(|| (self.epochs - 1, current.ticks + step))
    }

    fn change_to(&mut self, ssrc: u32) {
        if let Some(past) = self.current {
            if self.retired.len() >= RETIRED_MAX {
                self.retired.pop_first();
            }
            self.retired.insert(past.ssrc);
        }
        self.retired.remove(&ssrc);
        self.current = Some(Current { ssrc, timestamp: 0, ticks: 0, at_us: 0, fresh: true });
        self.changed = true;
    }
}

fn us_of(ticks: i64, rate: i64) -> i64 {
    let us = i128::from(ticks) * 1_000_000 / i128::from(rate);
    i64::try_from(us).unwrap_or(if us < 0 { i64::MIN / 4 } else { i64::MAX / 4 })
}

/// Reads the journals once to compute the anchors.
#[derive(Debug)]
pub(super) struct Survey {
    sources: Sources,
    epochs: Vec<Observed>,
}

/// The values observed in one epoch.
#[derive(Debug, Default)]
struct Observed {
    /// End of the current window of arrival times.
    window_end_us: u64,
    /// For each window: RTP time, and the smallest difference of arrival and RTP time.
    smallest: Vec<(i64, i64)>,
    reports: Vec<Report>,
    checks: Vec<Check>,
}

/// What arrived over [`CHECK_US`]: RTP time, and difference of arrival and RTP time.
#[derive(Debug, Clone, Copy)]
struct Check {
    from_us: u64,
    until_us: u64,
    least: (i64, i64),
    most: (i64, i64),
}

#[derive(Debug, Clone, Copy)]
struct Report {
    ticks: i64,
    at_us: i64,
    /// The sender's clock minus RTP time.
    sender_us: i64,
    /// Arrival minus the sender's clock.
    delay_us: i64,
}

impl Survey {
    pub(super) fn new(codec: Codec) -> Self {
        Self { sources: Sources::new(codec), epochs: Vec::new() }
    }

    pub(super) fn handle_side(&mut self, event: SideEvent) {
        self.sources.handle_side(event);
    }

    pub(super) fn handle_packet(&mut self, at_us: u64, packet: &Header) {
        let Some(place) = self.sources.handle_packet(at_us, packet) else { return };
        if self.epochs.len() <= place.epoch {
            self.epochs.resize_with(place.epoch + 1, Observed::default);
        }
        let rate = self.sources.rate;
        let Some(epoch) = self.epochs.get_mut(place.epoch) else { return };
        let anchor = (place.ticks, at_us.cast_signed() - us_of(place.ticks, rate));
        epoch.check(at_us, anchor);
        match epoch.smallest.last_mut() {
            Some(smallest) if at_us < epoch.window_end_us => {
                if anchor.1 < smallest.1 {
                    *smallest = anchor;
                }
            }
            _ => {
                epoch.window_end_us = at_us.saturating_add(WINDOW_US);
                epoch.smallest.push(anchor);
            }
        }
    }

    pub(super) fn handle_report(&mut self, at_us: u64, report: &[u8; SENDER_REPORT_BYTES]) {
        let word = |at: usize| {
            report
                .get(at..)
                .and_then(|rest| rest.first_chunk())
                .map_or(0, |b| u32::from_be_bytes(*b))
        };
        let (ssrc, seconds, fraction, timestamp) = (word(4), word(8), word(12), word(16));
        let Some((epoch, ticks)) = self.sources.handle_report(at_us, ssrc, timestamp) else {
            return;
        };
        let rate = self.sources.rate;
        let Some(epoch) = self.epochs.get_mut(epoch) else { return };
        let at_us = at_us.cast_signed();
        if epoch.reports.last().is_some_and(|last| at_us - last.at_us < REPORT_EVERY_US) {
            return;
        }
        let ntp_us = i64::from(seconds) * 1_000_000 + ((i64::from(fraction) * 1_000_000) >> 32);
        let (sender_us, delay_us) = (ntp_us - us_of(ticks, rate), at_us - ntp_us);
        epoch.reports.push(Report { ticks, at_us, sender_us, delay_us });
    }

    /// Computes the anchors.
    pub(super) fn finish(self) -> Moments {
        let rate = self.sources.rate;
        let (mut anchors, mut doubted) = (Vec::new(), Vec::new());
        for mut epoch in self.epochs {
            let checks = std::mem::take(&mut epoch.checks);
            let has_reports = !epoch.reports.is_empty();
            let found = epoch.anchors();
            doubted.push(doubts(&checks, &found, has_reports));
            anchors.push(found);
        }
        Moments { rate, anchors, doubted }
    }
}

impl Observed {
    fn check(&mut self, at_us: u64, anchor: (i64, i64)) {
        match self.checks.last_mut() {
            Some(check) if at_us < check.from_us.saturating_add(CHECK_US) => {
                check.until_us = check.until_us.max(at_us);
                if anchor.1 < check.least.1 {
                    check.least = anchor;
                }
                if anchor.1 > check.most.1 {
                    check.most = anchor;
                }
            }
            _ => self.checks.push(Check {
                from_us: at_us,
                until_us: at_us,
                least: anchor,
                most: anchor,
            }),
        }
    }

    fn anchors(self) -> Vec<(i64, i64)> {
        let mut anchors: Vec<(i64, i64)> = if self.reports.is_empty() {
            let smallest = &self.smallest;
            let around = |at: usize| {
                let range =
                    at.saturating_sub(NEIGHBOURS)..(at + NEIGHBOURS + 1).min(smallest.len());
                smallest.get(range).unwrap_or_default().iter().map(|anchor| anchor.1).min()
            };
            (0..smallest.len()).filter_map(|at| Some((smallest[at].0, around(at)?))).collect()
        } else {
            let set = |a: &Report, b: &Report| (b.sender_us - a.sender_us).abs() <= CLOCK_SET_US;
            self.reports.chunk_by(set).flat_map(anchors_of_reports).collect()
        };
        anchors.sort_unstable();
        anchors.dedup_by_key(|anchor| anchor.0);
        anchors
    }
}

/// From when to when timestamps are doubted, in order of arrival and apart.
fn doubts(checks: &[Check], anchors: &[(i64, i64)], has_reports: bool) -> Vec<(u64, u64)> {
    let late_max_us = if has_reports { LATE_BY_REPORTS_MAX_US } else { LATE_MAX_US };
    let late_us =
        |(ticks, offset_us): (i64, i64)| offset_us.saturating_sub(interpolated(anchors, ticks));
    let mut doubted: Vec<(u64, u64)> = Vec::new();
    for check in checks {
        let least_us = late_us(check.least);
        let is_right = (-AHEAD_MAX_US..=late_max_us).contains(&least_us)
            && late_us(check.most) <= LATE_PACKET_MAX_US;
        if is_right {
            continue;
        }
        let from_us = check.from_us.saturating_sub(DOUBT_SPREADS_US);
        let until_us = check.until_us.saturating_add(DOUBT_SPREADS_US);
        match doubted.last_mut() {
            Some(before) if from_us <= before.1 => before.1 = before.1.max(until_us),
            _ => doubted.push((from_us, until_us)),
        }
    }
    doubted
}

/// Microseconds to add to this RTP time.
fn interpolated(anchors: &[(i64, i64)], ticks: i64) -> i64 {
    let after = anchors.partition_point(|anchor| anchor.0 <= ticks);
    let next = anchors.get(after);
    match (after.checked_sub(1).and_then(|at| anchors.get(at)), next) {
        (Some(before), Some(next)) => {
            let span = i128::from(next.0 - before.0).max(1);
            let part = i128::from(next.1 - before.1) * i128::from(ticks - before.0) / span;
            before.1 + i64::try_from(part).unwrap_or(0)
        }
        (Some(only), None) | (None, Some(only)) => only.1,
        (None, None) => 0,
    }
}

/// One anchor per report of a sender whose clock was not set between them.
fn anchors_of_reports(reports: &[Report]) -> Vec<(i64, i64)> {
    let near = |report: &Report, span_us: i64| {
        let first = reports.partition_point(|other| other.at_us < report.at_us - span_us);
        let after = reports.partition_point(|other| other.at_us <= report.at_us + span_us);
        reports.get(first..after).unwrap_or_default()
    };
    let anchor = |report: &Report| {
        let mut sender: Vec<i64> =
            near(report, MEDIAN_SPAN_US).iter().map(|other| other.sender_us).collect();
        sender.sort_unstable();
        let median = *sender.get(sender.len() / 2)?;
        let smallest = near(report, SMALLEST_SPAN_US).iter().map(|other| other.delay_us).min()?;
        Some((report.ticks, median + smallest))
    };
    reports.iter().filter_map(anchor).collect()
}

/// Tells when a packet was captured.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    rate: i64,
    /// For each epoch, in order of RTP time: RTP time, and microseconds to add.
    anchors: Vec<Vec<(i64, i64)>>,
    /// For each epoch, from when to when what arrived is doubted.
    doubted: Vec<Vec<(u64, u64)>>,
}

impl Moments {
    /// Time of capture in microseconds since 1970 on the server's clock, by the timestamp.
    pub(super) fn captured_us(&self, epoch: usize, ticks: i64) -> i64 {
        let anchors = self.anchors.get(epoch).map_or(&[][..], Vec::as_slice);
        us_of(ticks, self.rate).saturating_add(interpolated(anchors, ticks))
    }

    /// Whether the timestamps of what arrived at `at_us` are doubted.
    pub(super) fn is_doubted(&self, epoch: usize, at_us: u64) -> bool {
        let doubted = self.doubted.get(epoch).map_or(&[][..], Vec::as_slice);
        let place = doubted.partition_point(|range| range.1 < at_us);
        doubted.get(place).is_some_and(|range| range.0 <= at_us)
    }
}

/// Tells when something was captured by when it arrived: at even distances, as long as it arrives at
/// about those. Whatever was on its way for the shortest time tells best.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// When the last one arrived, and was captured.
    last: Option<(i64, i64)>,
    interval_us: i64,
    /// From how many arrivals that was learnt, up to [`AVERAGED`].
    learnt: i64,
}

impl Pace {
    /// Time of capture of the next one, which arrived at `at_us`.
    pub(super) fn captured_us(&mut self, at_us: i64) -> i64 {
        let mut captured_us = at_us;
        if let Some((arrived_us, before_us)) = self.last {
            let step_us = at_us.saturating_sub(arrived_us);
            if step_us.abs() <= JITTER_MAX_US {
                self.learnt = (self.learnt + 1).min(AVERAGED);
                self.interval_us += (step_us - self.interval_us) / self.learnt;
            }
            let expected_us = before_us.saturating_add(self.interval_us);
            let late_us = at_us.saturating_sub(expected_us);
            if late_us.abs() <= JITTER_MAX_US {
                captured_us = at_us.min(expected_us + late_us / self.learnt.max(1));
            }
            // What was sent later was captured later, also when it overtook what was sent before.
            let next_us = before_us.saturating_add(ORDER_US);
            captured_us = captured_us.max(next_us.min(at_us.saturating_add(AHEAD_MAX_US)));
        }
        self.last = Some((at_us, captured_us));
        captured_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_US: u64 = 1_700_000_000_000_000;

    fn packet(ssrc: u32, timestamp: u32) -> Header {
        packet_of(96, ssrc, timestamp)
    }

    fn packet_of(payload_type: u8, ssrc: u32, timestamp: u32) -> Header {
        let fixed = [&[0x80, payload_type, 0, 0][..], &timestamp.to_be_bytes()].concat();
        Header::parse(&[&fixed[..], &ssrc.to_be_bytes()].concat()).expect("a whole header")
    }

    fn report(ssrc: u32, ntp_us: u64, timestamp: u32) -> [u8; SENDER_REPORT_BYTES] {
        let mut report = [0; SENDER_REPORT_BYTES];
        report[..4].copy_from_slice(&[0x80, 200, 0, 6]);
        report[4..8].copy_from_slice(&ssrc.to_be_bytes());
        let ntp = ((ntp_us / 1_000_000) << 32) | (((ntp_us % 1_000_000) << 32) / 1_000_000);
        report[8..16].copy_from_slice(&ntp.to_be_bytes());
        report[16..20].copy_from_slice(&timestamp.to_be_bytes());
        report
    }

    /// Delay of packet `n` on its way, microseconds: 5 to 40 ms.
    fn delay_us(n: u64) -> u64 {
        5_000 + n * 7_919 % 35_000
    }

    #[test]
    fn the_packet_with_the_least_delay_is_the_anchor() {
        let mut survey = Survey::new(Codec::Vp8);
        let mut sources = Sources::new(Codec::Vp8);
        let mut places = Vec::new();
        for n in 0..3_000_u64 {
            let timestamp =
                4_294_900_000_u32.wrapping_add(u32::try_from(n * 3_000).expect("small"));
            let at_us = START_US + n * 100_000 / 3 + delay_us(n);
            survey.handle_packet(at_us, &packet(1, timestamp));
            places.push(sources.handle_packet(at_us, &packet(1, timestamp)).expect("taken"));
        }
        let moments = survey.finish();
        for (n, place) in (0_i64..).zip(places) {
            let off_us = moments.captured_us(place.epoch, place.ticks)
                - START_US.cast_signed()
                - n * 100_000 / 3;
            assert!((4_900..5_700).contains(&off_us), "{n}: {off_us}");
        }
    }

    #[test]
    fn reports_bring_sound_and_picture_in_step() {
        // The sender's clock is an hour slow; video spends 80 ms in the encoder.
        let sender_us = START_US - 3_600_000_000;
        let captured = |codec: Codec, encoder_us: u64, ssrc: u32| {
            let rate = u64::from(codec.clock_rate_hz());
            let timestamp =
                |us: u64| u32::try_from(us * rate / 1_000_000).expect("small") + 77 * ssrc;
            let mut survey = Survey::new(codec);
            for n in 0..3_000_u64 {
                let at_us = n * 20_000;
                survey.handle_packet(
                    START_US + at_us + encoder_us + delay_us(n),
                    &packet(ssrc, timestamp(at_us)),
                );
                if n % 50 == 3 {
                    let said = report(ssrc, sender_us + at_us, timestamp(at_us));
                    survey.handle_report(START_US + at_us + delay_us(n * u64::from(ssrc)), &said);
                }
            }
            survey.finish().captured_us(0, i64::from(timestamp(30_000_000)))
        };
        let sound_us = captured(Codec::Opus, 0, 3);
        let picture_us = captured(Codec::Vp8, 80_000, 7);
        assert!((sound_us - picture_us).abs() < 5_000, "{}", sound_us - picture_us);
        let true_us = START_US.cast_signed() + 30_000_000;
        assert!((sound_us - true_us).abs() < 12_000, "{}", sound_us - true_us);
    }

    #[test]
    fn a_clock_that_is_set_does_not_move_the_track() {
        let mut survey = Survey::new(Codec::Opus);
        for n in 0..6_000_u64 {
            let at_us = n * 20_000;
            let timestamp = u32::try_from(at_us * 48 / 1_000).expect("small");
            survey.handle_packet(START_US + at_us + 5_000, &packet(1, timestamp));
            if n % 50 == 0 {
                // After a minute the sender's clock is set forward an hour.
                let set_us = if n < 3_000 { 0 } else { 3_600_000_000 };
                let said = report(1, START_US + at_us + set_us, timestamp);
                survey.handle_report(START_US + at_us + 5_000, &said);
            }
        }
        let moments = survey.finish();
        for second in 0..120_i64 {
            let off_us = moments.captured_us(0, second * 48_000)
                - START_US.cast_signed()
                - second * 1_000_000;
            assert!((off_us - 5_000).abs() < 100, "{second}: {off_us}");
        }
    }

    #[test]
    fn a_pause_goes_on_and_a_stopped_clock_begins_anew() {
        let mut sources = Sources::new(Codec::Opus);
        let mut place = |at_s: u64, ssrc, timestamp| {
            sources.handle_packet(START_US + at_s * 1_000_000, &packet(ssrc, timestamp))
        };
        let first = place(0, 1, 0).expect("taken");
        assert!(first.new_epoch && first.new_source);
        // Muted for a minute while the clock ran on.
        let second = place(60, 1, 60 * 48_000).expect("taken");
        assert_eq!((second.epoch, second.new_epoch), (0, false));
        // Muted for a minute while the clock stood still.
        let third = place(120, 1, 60 * 48_000 + 960).expect("taken");
        assert_eq!((third.epoch, third.new_epoch, third.new_source), (1, true, false));
        // Another layer; remaining packets of the one before are dropped.
        let fourth = place(121, 2, 5).expect("taken");
        assert_eq!((fourth.epoch, fourth.new_source), (2, true));
        assert_eq!(place(121, 1, 60 * 48_000 + 1_920), None);
    }

    /// The timestamp of a packet.
    type Count = fn(u64) -> u64;

    /// The survey of packets of sound every 20 ms for so many seconds that arrive `delay_us` late, and
    /// whose timestamps are `ticks`. With reports, their clock is right.
    fn counted(
        seconds: u64,
        has_reports: bool,
        delay_us: impl Fn(u64) -> u64,
        ticks: impl Fn(u64) -> u64,
    ) -> (Vec<(u64, Place)>, Moments) {
        let mut survey = Survey::new(Codec::Opus);
        let mut sources = Sources::new(Codec::Opus);
        let mut places = Vec::new();
        for n in 0..seconds * 50 {
            let at_us = START_US + n * 20_000 + delay_us(n);
            let timestamp = u32::try_from(ticks(n) % (1 << 32)).expect("32 bits");
            survey.handle_packet(at_us, &packet(1, timestamp));
            places
                .push((at_us, sources.handle_packet(at_us, &packet(1, timestamp)).expect("taken")));
            if has_reports && n % 50 == 25 {
                let said = report(1, START_US + n * 20_000, timestamp);
                survey.handle_report(at_us, &said);
            }
        }
        (places, survey.finish())
    }

    #[test]
    fn timestamps_that_count_wrongly_are_doubted() {
        let rates: [(&str, Count); 6] = [
            ("a second in 20 ms", |n| n * 48_000),
            ("twice as fast", |n| n * 1_920),
            ("44,100 a second", |n| n * 882),
            ("8,000 a second", |n| n * 160),
            ("stands still", |_| 5),
            ("backwards", |n| 4_000_000_000 - n * 960),
        ];
        for (name, ticks) in rates {
            for has_reports in [false, true] {
                let (places, moments) = counted(40, has_reports, delay_us, ticks);
                for (at_us, place) in places {
                    let captured_us = moments.captured_us(place.epoch, place.ticks);
                    let is_near = captured_us.abs_diff(at_us.cast_signed()) <= 3_000_000;
                    let is_doubted = moments.is_doubted(place.epoch, at_us);
                    assert!(is_near || is_doubted, "{name} {has_reports}: {captured_us} {at_us}");
                }
            }
        }
    }

    #[test]
    fn right_timestamps_are_not_doubted_whatever_the_network_does() {
        // 200 ms of jitter, one packet in thirty sent once more, a network that holds all back for
        // two seconds, and a clock that is 200 millionths fast.
        let delay = |n: u64| {
            let again_us = if n.is_multiple_of(30) { 600_000 } else { 0 };
            let held_us = (1_000_u64..1_100).contains(&n).then(|| (1_100 - n) * 20_000);
            held_us.unwrap_or(n * 7_919 % 200_000 + again_us)
        };
        for has_reports in [false, true] {
            let (places, moments) = counted(90, has_reports, delay, |n| n * 960 + n / 5);
            for (at_us, place) in places {
                assert_eq!(place.epoch, 0);
                assert!(!moments.is_doubted(place.epoch, at_us), "{has_reports} {at_us}");
            }
        }
        // Speech with pauses in which nothing is sent.
        let pauses = |n: u64| (n / 50) * 7_000_000;
        let (places, moments) = counted(90, false, pauses, |n| n * 960 + (n / 50) * 336_000);
        for (at_us, place) in places {
            assert!(!moments.is_doubted(place.epoch, at_us), "{at_us}");
        }
    }

    #[test]
    fn what_is_doubted_goes_on_evenly_and_in_order() {
        let mut pace = Pace::default();
        let mut before_us = 0;
        for n in 0..3_000_u64 {
            let at_us = (n * 40_000 + n * 7_919 % 60_000).cast_signed();
            let captured_us = pace.captured_us(at_us);
            assert!(captured_us <= at_us + 20_000 && at_us <= captured_us + JITTER_MAX_US, "{n}");
            assert!(n == 0 || captured_us > before_us, "{n}");
            if n > 500 {
                let step_us = captured_us - before_us;
                assert!((25_000..47_000).contains(&step_us), "{n}: {step_us}");
            }
            before_us = captured_us;
        }
        // Nobody speaks for a while.
        assert_eq!(pace.captured_us(200_000_000), 200_000_000);
        // However much comes at once, it is near to when it comes.
        let last_us = (0..10_000).map(|_| pace.captured_us(200_000_000)).last();
        assert_eq!(last_us, Some(200_000_000 + AHEAD_MAX_US));
    }

    #[test]
    fn what_the_recorder_says_of_the_source_holds() {
        let mut sources = Sources::new(Codec::Vp8);
        sources.handle_side(SideEvent::Codec { payload_type: 96, codec: Codec::Vp8 });
        sources.handle_side(SideEvent::Source { ssrc: 1, layer: 0 });
        assert!(sources.handle_packet(START_US, &packet(1, 0)).is_some());
        sources.handle_side(SideEvent::Source { ssrc: 2, layer: 1 });
        assert!(sources.handle_packet(START_US, &packet(1, 0)).is_none());
        sources.handle_side(SideEvent::Source { ssrc: 1, layer: 0 });
        assert!(sources.handle_packet(START_US, &packet(1, 0)).is_some());
        let other = packet_of(97, 1, 0);
        assert!(sources.handle_packet(START_US, &other).is_none());
    }
}
