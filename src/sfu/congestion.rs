//! How much one path to a receiver carries, estimated by this side from what the receiver says of
//! the packets sent to it: Google Congestion Control (draft-ietf-rmcat-gcc-02) with what was added
//! to it since, among them a model of loss and probes. One per transport, without I/O: it is told
//! of packets and feedback, and asked for its estimate and for padding to send.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod acknowledged;
mod clocks;
mod delay;
mod history;
mod loss;
mod probe;
mod trend;

use super::rtcp::Arrivals;
use acknowledged::Acknowledged;
use clocks::Clocks;
use delay::DelayBased;
use history::{History, Lookup};
use loss::LossBased;
use probe::{Outcome, Prober};
use trend::{Trend, Usage};

/// Before anything is known, a round trip is taken to be this long.
const ROUND_TRIP_US: u64 = 200_000;
/// A receiver that agreed to tell of arrivals and has told of none for this long after the first
/// packet does not do so.
const NEVER_TOLD_US: u64 = 3_000_000;
/// After this long without word of arrivals, although packets were sent, the path is taken to carry
/// half as much, and again after every further such time.
const SILENCE_US: u64 = 1_000_000;
/// How long a measured throughput counts as shown.
const SHOWN_US: u64 = 5_000_000;
/// Feedback taken between two ticks. Browsers send at most one per packet that they get, and on
/// average ten a second; what is beyond it is a flood and is left out.
const FEEDBACK_PER_TICK: u32 = 32;
/// Time between two reports of loss that count, besides a round trip.
const REPORTED_US: u64 = 300_000;
/// Loss in 256ths from which a report of loss lowers the estimate (draft-ietf-rmcat-gcc-02 §6).
const LOSS_HIGH: u8 = 26;
/// Loss in 256ths up to which it may grow.
const LOSS_LOW: u8 = 5;
/// What it grows by with each report, or in each second between two when they are rarer: a receiver
/// that reports every five seconds, as RFC 3550 §6.2 has it, is not to wait for its pictures for
/// minutes.
const GROWTH: f64 = 1.08;
/// Most seconds that one report stands for.
const REPORT_STANDS_FOR_S: f64 = 5.0;

/// What an estimate begins with and stays between, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Before anything is known of the path.
    pub start_bps: u64,
    /// It is never lower.
    pub floor_bps: u64,
    /// It is never higher.
    pub ceiling_bps: u64,
}

/// What an estimate is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Nothing was told yet.
    Nothing,
    /// Transport-wide feedback on arrivals.
    Arrivals,
    /// The receiver's own estimate, or its reports of loss.
    Reports,
}

/// What was counted of feedback; only ever increases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Feedbacks on arrivals that were used.
    pub feedbacks: u64,
    /// Packets that arrived.
    pub arrived: u64,
    /// Packets that did not.
    pub lost: u64,
    /// Packets of which was told what can't be: never sent, arrived before they were sent or after
    /// they were told of. They count for nothing.
    pub implausible: u64,
    /// Feedbacks left out because too many came at once.
    pub flooded: u64,
    /// Probes that showed what they were to show.
    pub probes_met: u64,
    /// Probes that showed less, or nothing.
    pub probes_failed: u64,
    /// Times that growing delay lowered the estimate.
    pub overuses: u64,
}

/// The estimate of one path.
#[derive(Debug)]
pub struct Congestion {
    limits: Limits,
    source: Source,
    history: History,
    clocks: Clocks,
    acknowledged: Acknowledged,
    trend: Trend,
    delay: DelayBased,
    loss: LossBased,
    prober: Prober,
    /// What the receiver said that it can receive, if it did.
    told_bps: Option<f64>,
    reported_us: u64,
    /// Whether nothing was told for long, although packets were sent.
    is_silent: bool,
    /// Whether delay, loss, silence or the receiver has ever limited it.
    was_limited: bool,
    estimate_bps: f64,
    /// Time from sending a packet to the feedback about it, smoothed.
    round_trip_us: u64,
    /// The highest throughput shown lately, and in the interval before.
    shown: [f64; 2],
    shown_since_us: u64,
    reference_us: Option<i64>,
    first_sent_us: Option<u64>,
    last_sent_us: u64,
    last_feedback_us: u64,
    feedback_left: u32,
    counted: Counted,
}

impl Default for Limits {
    /// For cameras and screens over the networks that people have.
    fn default() -> Self {
        Self { start_bps: 1_000_000, floor_bps: 64_000, ceiling_bps: 20_000_000 }
    }
}

impl Congestion {
    /// Nothing is known yet. Memory for the packets that are under way is reserved here.
    #[must_use]
    pub fn new(limits: Limits, now_us: u64) -> Self {
        let start_bps = as_f64(limits.start_bps);
        Self {
            limits,
            source: Source::Nothing,
            history: History::new(),
            clocks: Clocks::default(),
            acknowledged: Acknowledged::default(),
            trend: Trend::default(),
            delay: DelayBased::new(start_bps, now_us),
            loss: LossBased::default(),
            prober: Prober::new(now_us),
            told_bps: None,
            reported_us: now_us,
            is_silent: false,
            was_limited: false,
            estimate_bps: start_bps,
            round_trip_us: ROUND_TRIP_US,
            shown: [0.0; 2],
            shown_since_us: now_us,
            reference_us: None,
            first_sent_us: None,
            last_sent_us: now_us,
            last_feedback_us: now_us,
            feedback_left: FEEDBACK_PER_TICK,
            counted: Counted::default(),
        }
    }

    /// A numbered packet is sent. Numbers must follow each other.
    pub fn handle_sent(&mut self, sequence: u16, bytes: usize, now_us: u64) {
        self.first_sent_us.get_or_insert(now_us);
        self.last_sent_us = now_us;
        let probe = self.prober.note_sent(bytes, now_us);
        self.history.record(sequence, bytes, probe, now_us);
    }

    /// Takes feedback on arrivals.
    pub fn handle_arrivals(&mut self, arrivals: &Arrivals<'_>, now_us: u64) {
        if self.feedback_left == 0 {
            self.counted.flooded += 1;
            return;
        }
        self.feedback_left -= 1;
        let reference_us = arrivals.reference_us(self.reference_us);
        let (mut round_trip_us, mut used) = (None, false);
        for packet in arrivals.packets() {
            let Some(at_us) = packet.at_us else {
                if let Some(bytes) = self.history.note_missing(packet.sequence) {
                    self.counted.lost += 1;
                    self.loss.note_lost(bytes);
                    used = true;
                }
                continue;
            };
            let sent = match self.history.take(packet.sequence, now_us) {
                Lookup::UnderWay(sent) => sent,
                Lookup::Known => continue,
                Lookup::NeverSent => {
                    self.counted.implausible += 1;
                    continue;
                }
            };
            let arrived_us = reference_us + at_us;
            if !self.clocks.believes(sent.at_us, arrived_us, now_us) {
                self.counted.implausible += 1;
                continue;
            }
            used = true;
            self.counted.arrived += 1;
            let trip_us = now_us.saturating_sub(sent.at_us);
            round_trip_us = Some(round_trip_us.map_or(trip_us, |it: u64| it.min(trip_us)));
            self.loss.note_arrived(&sent);
            self.acknowledged.note(&sent, arrived_us);
            self.trend.note(sent.at_us, arrived_us);
            self.prober.note_arrived(&sent, arrived_us);
        }
        if self.clocks.end_feedback() {
            // The receiver's clock was set, or another machine has its place.
            self.trend = Trend::default();
            self.acknowledged.restart();
        }
        if used {
            self.reference_us = Some(reference_us);
            self.counted.feedbacks += 1;
            self.last_feedback_us = now_us;
            self.source = Source::Arrivals;
            if std::mem::take(&mut self.is_silent) {
                self.loss.begin_anew();
                self.prober.begin_anew(now_us);
            }
            if let Some(trip_us) = round_trip_us {
                self.round_trip_us = (7 * self.round_trip_us + trip_us) / 8;
            }
            self.update(now_us);
        }
    }

    fn update(&mut self, now_us: u64) {
        let acknowledged_bps = self.acknowledged.bps();
        // A probe may fill the path for a moment, which is no reason to send less.
        let usage = match self.trend.usage() {
            Usage::Over if self.prober.is_under_way() => Usage::Under,
            usage => usage,
        };
        let estimate = (self.estimate_bps, self.round_trip_us);
        if self.delay.update(usage, acknowledged_bps, estimate, now_us) {
            self.counted.overuses += 1;
            self.was_limited = true;
            // What was shown before the path became narrower shows nothing any more.
            self.shown = [acknowledged_bps.unwrap_or(0.0); 2];
        }
        match self.prober.take_outcome(self.round_trip_us, now_us) {
            Some(Outcome::Met(bps)) => {
                self.counted.probes_met += 1;
                self.delay.raise(bps);
                self.loss.begin_anew();
                self.note_shown(bps, now_us);
            }
            Some(Outcome::Fell { shown_bps }) => {
                self.counted.probes_failed += 1;
                // The queue that it has made is not one that grows.
                self.trend.restart();
                if let Some(bps) = shown_bps {
                    self.delay.raise(bps);
                }
            }
            None => {}
        }
        if let Some(bps) = acknowledged_bps {
            self.note_shown(bps, now_us);
        }
        let loss_bps = self.loss.update(self.delay.bps(), acknowledged_bps);
        self.was_limited |= loss_bps.is_some();
        let told_bps = self.told_bps.unwrap_or(f64::MAX);
        self.set_estimate(self.delay.bps().min(loss_bps.unwrap_or(f64::MAX)).min(told_bps));
    }

    fn set_estimate(&mut self, bps: f64) {
        let (floor, ceiling) = (as_f64(self.limits.floor_bps), as_f64(self.limits.ceiling_bps));
        self.estimate_bps = bps.min(ceiling).max(floor);
        self.delay.clamp(floor, ceiling);
    }

    fn note_shown(&mut self, bps: f64, now_us: u64) {
        if now_us.saturating_sub(self.shown_since_us) > SHOWN_US {
            self.shown = [0.0, self.shown[0]];
            self.shown_since_us = now_us;
        }
        self.shown[0] = self.shown[0].max(bps);
    }

    /// Takes what the receiver believes that it can receive. Absurd values are as good as the limits.
    pub fn handle_receiver_estimate(&mut self, bps: u64) {
        let bps = as_f64(bps.clamp(self.limits.floor_bps, self.limits.ceiling_bps));
        self.told_bps = Some(bps);
        self.was_limited = true;
        if self.source == Source::Arrivals {
            self.set_estimate(self.estimate_bps.min(bps));
        } else {
            self.source = Source::Reports;
            self.set_estimate(bps);
        }
    }

    /// Takes a report of loss, in 256ths, while `sent_bps` is sent. It only counts while no arrivals
    /// and no estimate are told. Without loss it limits nothing.
    pub fn handle_loss(&mut self, fraction_lost: u8, sent_bps: u64, now_us: u64) {
        if self.source == Source::Arrivals || self.told_bps.is_some() {
            return;
        }
        if self.source == Source::Nothing {
            self.source = Source::Reports;
            self.set_estimate(as_f64(self.limits.ceiling_bps));
        } else if now_us.saturating_sub(self.reported_us) < self.round_trip_us + REPORTED_US {
            return;
        }
        let waited_s = as_f64(now_us.saturating_sub(self.reported_us)) / 1e6;
        self.reported_us = now_us;
        if fraction_lost > LOSS_HIGH {
            let sent_bps = as_f64(sent_bps.max(self.limits.floor_bps)).min(self.estimate_bps);
            self.was_limited = true;
            self.set_estimate(sent_bps * (1.0 - f64::from(fraction_lost) / 512.0));
        } else if fraction_lost <= LOSS_LOW {
            let growth = GROWTH.powf(waited_s.clamp(1.0, REPORT_STANDS_FOR_S));
            self.set_estimate(self.estimate_bps * growth + 1_000.0);
        }
    }

    /// Notices that a probe is complete or lost. To be called while one is being sent.
    pub fn handle_time(&mut self, now_us: u64) {
        self.prober.note_time(self.round_trip_us, now_us);
    }

    /// Notices silence. To be called several times a second.
    pub fn handle_tick(&mut self, now_us: u64) {
        self.feedback_left = FEEDBACK_PER_TICK;
        if self.source != Source::Arrivals {
            return;
        }
        let silent_us = SILENCE_US.max(3 * self.round_trip_us);
        let waits = self.last_sent_us > self.last_feedback_us;
        if waits && now_us.saturating_sub(self.last_feedback_us) > silent_us {
            self.last_feedback_us = now_us;
            self.is_silent = true;
            self.was_limited = true;
            self.shown = [0.0; 2];
            self.delay.lower(self.estimate_bps / 2.0, now_us);
            self.set_estimate(self.estimate_bps / 2.0);
        }
    }

    /// What the path carries. `None` when nothing tells.
    #[must_use]
    pub fn estimate_bps(&self, now_us: u64) -> Option<u64> {
        let waited_us = self.first_sent_us.map_or(0, |first_us| now_us.saturating_sub(first_us));
        let is_known = self.source != Source::Nothing || waited_us < NEVER_TOLD_US;
        is_known.then(|| as_u64(self.estimate_bps))
    }

    /// The highest throughput that has been shown in the last seconds: what arrived, or a probe. Until
    /// the path has shown a limit it is trusted with what an estimate begins with; and when only
    /// reports tell, their estimate has to do.
    #[must_use]
    pub fn shown_bps(&self) -> u64 {
        if self.source != Source::Arrivals {
            return as_u64(self.estimate_bps);
        }
        let trusted = if self.was_limited { 0.0 } else { as_f64(self.limits.start_bps) };
        as_u64(self.shown[0].max(self.shown[1]).max(trusted).min(self.estimate_bps))
    }

    /// Whether the path, or the receiver, has ever shown a limit. Until then an estimate is only as
    /// low as it is because nothing more was tried.
    #[must_use]
    pub const fn was_limited(&self) -> bool {
        self.was_limited
    }

    /// Whether nothing was told for long, although packets were sent.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        self.is_silent
    }

    /// Share of packets lost lately, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss.recent()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counted(&self) -> &Counted {
        &self.counted
    }

    /// Says how much the path would have to carry for more to be sent, or that nothing more is wanted;
    /// then nothing is probed.
    pub fn want(&mut self, bps: Option<u64>) {
        self.prober.want(bps.map(as_f64));
    }

    /// How many bytes of padding to send now for a probe.
    pub fn padding_due(&mut self, now_us: u64) -> usize {
        let may_begin =
            self.source == Source::Arrivals && !self.is_silent && !self.trend.is_growing();
        if !may_begin && !self.prober.is_sending() {
            return 0;
        }
        let ceiling_bps = as_f64(self.limits.ceiling_bps);
        self.prober.padding_due(self.estimate_bps, ceiling_bps, now_us)
    }

    /// Whether padding will be due soon.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.prober.is_sending()
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates and times are far below 2^52")]
const fn as_f64(value: u64) -> f64 {
    value as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are positive and bounded; the conversion saturates"
)]
const fn as_u64(value: f64) -> u64 {
    value as u64
}

#[expect(clippy::cast_precision_loss, reason = "differences of times are far below 2^52")]
const fn signed_f64(value: i64) -> f64 {
    value as f64
}
