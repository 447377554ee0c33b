//! The rate that loss allows. Loss on a radio does not depend on what is sent, loss in a full queue
//! does. So the last observations are explained by a capacity and a loss that is always there, and
//! the capacity that explains them best is taken, as libwebrtc does since its second loss-based
//! estimator.

use std::collections::VecDeque;

use super::history::Sent;

/// Time that one observation covers at least, and packets in it.
const OBSERVED_US: u64 = 250_000;
const OBSERVED_PACKETS: u32 = 20;
/// Observations that are explained.
const OBSERVATIONS: usize = 20;
/// Weight of an observation relative to the one after it.
const AGEING: f64 = 0.9;
/// What a capacity is preferred for being higher.
const PREFERENCE_PER_KBPS: f64 = 0.000_2;
const PREFERENCE_PER_LOG_KBPS: f64 = 0.02;
/// From this much loss lower capacities are preferred instead.
const LOSS_MUCH: f64 = 0.25;
/// Loss that may always be there, besides a part that falls with the capacity.
const ALWAYS_LOST_MAX: f64 = 0.05;
const ALWAYS_LOST_BPS: f64 = 75_000.0;
/// Loss up to which nothing is limited.
const HARMLESS: f64 = 0.02;
const GROWTH: f64 = 1.03;
/// Newest observations whose loss bounds the rate whatever explains it.
const BOUNDING: usize = 3;

#[derive(Debug, Clone, Copy, Default)]
struct Observation {
    packets: u32,
    lost: u32,
    bytes: u64,
    first_sent_us: Option<u64>,
    last_sent_us: u64,
}

impl Observation {
    fn sent_bps(&self) -> f64 {
        let span_us = self.last_sent_us.saturating_sub(self.first_sent_us.unwrap_or(0)).max(1);
        super::as_f64(self.bytes * 8) * 1e6 / super::as_f64(span_us)
    }
}

#[derive(Debug, Default)]
pub(super) struct LossBased {
    current: Observation,
    observations: VecDeque<Observation>,
    bps: Option<f64>,
    /// The share that is lost whatever is sent.
    always: f64,
}

impl LossBased {
    pub(super) fn note_arrived(&mut self, sent: &Sent) {
        if sent.was_missing {
            // It came after it was given up, so nothing was lost.
            self.current.lost = self.current.lost.saturating_sub(1);
            return;
        }
        self.current.packets += 1;
        self.current.bytes += u64::from(sent.bytes);
        self.current.first_sent_us.get_or_insert(sent.at_us);
        self.current.last_sent_us = self.current.last_sent_us.max(sent.at_us);
    }

    pub(super) fn note_lost(&mut self, bytes: u32) {
        self.current.packets += 1;
        self.current.lost += 1;
        self.current.bytes += u64::from(bytes);
    }

    /// The share of packets lost in what is looked at.
    pub(super) fn recent(&self) -> f64 {
        self.of_last(OBSERVATIONS / 2)
    }

    fn of_last(&self, observations: usize) -> f64 {
        let (lost, packets) = self
            .observations
            .iter()
            .rev()
            .take(observations)
            .fold((0, 0), |(lost, packets), it| (lost + it.lost, packets + it.packets));
        f64::from(lost) / f64::from(packets.max(1))
    }

    /// A probe has shown that the path carries more, or the path is another one: what was seen
    /// before explains nothing any more.
    pub(super) fn begin_anew(&mut self) {
        self.observations.clear();
        self.current = Observation::default();
        self.bps = None;
    }

    /// The rate that loss allows; `None` when there is no loss to speak of.
    pub(super) fn update(&mut self, delay_bps: f64, arrived_bps: Option<f64>) -> Option<f64> {
        let current = &self.current;
        let span_us = current.last_sent_us - current.first_sent_us.unwrap_or(current.last_sent_us);
        if span_us >= OBSERVED_US && current.packets >= OBSERVED_PACKETS {
            if self.observations.len() >= OBSERVATIONS {
                self.observations.pop_front();
            }
            self.observations.push_back(std::mem::take(&mut self.current));
            self.bps = self.explained(delay_bps, arrived_bps);
        }
        self.bps
    }

    fn explained(&mut self, delay_bps: f64, arrived_bps: Option<f64>) -> Option<f64> {
        let loss = self.recent();
        let was = self.bps.unwrap_or(delay_bps).min(delay_bps);
        if loss <= HARMLESS && self.bps.is_none_or(|bps| bps >= delay_bps) {
            self.always = self.always.min(loss);
            return None;
        }
        let arrived = arrived_bps.filter(|bps| *bps < was);
        let candidates =
            [Some(was * GROWTH), Some(was), Some(was * 0.95), Some(was * 0.85), arrived];
        let mut best = (f64::NEG_INFINITY, was, self.always);
        for bps in candidates.into_iter().flatten() {
            let always = self.always_lost(bps);
            let merit = self.merit(bps, always, loss);
            if merit > best.0 {
                best = (merit, bps, always);
            }
        }
        self.always = best.2;
        // Much loss bounds the rate whatever explains it, so that what is left of the path is left
        // to others too.
        let excess = self.of_last(BOUNDING) - ALWAYS_LOST_MAX;
        let most = if excess > 0.0 { ALWAYS_LOST_BPS / excess } else { f64::MAX };
        Some(best.1.min(most.max(was * 0.85)))
    }

    /// How much is always lost if the capacity is `bps`: where the derivative of the likelihood is
    /// zero, found by a few steps of Newton's method.
    fn always_lost(&self, bps: f64) -> f64 {
        let most = (ALWAYS_LOST_MAX + ALWAYS_LOST_BPS / bps.max(1.0)).min(0.9);
        let mut always = self.always.clamp(1e-4, most);
        for _ in 0..3 {
            let (mut first, mut second, mut weight) = (0.0, 0.0, 1.0);
            for it in self.observations.iter().rev() {
                let share = (1.0 - bps / it.sent_bps().max(1.0)).max(0.0);
                let loss = (always + (1.0 - always) * share).clamp(1e-6, 1.0 - 1e-6);
                let slope = 1.0 - share;
                let (lost, kept) = (f64::from(it.lost), f64::from(it.packets - it.lost));
                first += weight * slope * (lost / loss - kept / (1.0 - loss));
                second -= weight
                    * slope
                    * slope
                    * (lost / (loss * loss) + kept / ((1.0 - loss) * (1.0 - loss)));
                weight *= AGEING;
            }
            if second >= 0.0 {
                break;
            }
            always = (always - 0.75 * first / second).clamp(1e-4, most);
        }
        always
    }

    /// How well a capacity and a loss that is always there explain what was seen, and how much the
    /// capacity is preferred.
    fn merit(&self, bps: f64, always: f64, loss: f64) -> f64 {
        let kbps = bps / 1e3;
        let bias = PREFERENCE_PER_KBPS * kbps + PREFERENCE_PER_LOG_KBPS * (1.0 + kbps).ln();
        let bias = bias * (LOSS_MUCH - loss) / ((LOSS_MUCH - loss).abs() + 0.02);
        let (mut merit, mut weight) = (0.0, 1.0);
        for it in self.observations.iter().rev() {
            let share = (1.0 - bps / it.sent_bps().max(1.0)).max(0.0);
            let expected = (always + (1.0 - always) * share).clamp(1e-6, 1.0 - 1e-6);
            let (lost, kept) = (f64::from(it.lost), f64::from(it.packets - it.lost));
            let likelihood = lost * expected.ln() + kept * (1.0 - expected).ln();
            merit += weight * (likelihood + bias * f64::from(it.packets));
            weight *= AGEING;
        }
        merit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends at what is allowed for `seconds` of virtual time, losing what `lost` says.
    fn run(loss: &mut LossBased, seconds: u64, lost: impl Fn(f64, u64) -> bool) -> f64 {
        let (delay_bps, mut now_us, mut allowed, mut count) = (2e6, 0_u64, 2e6_f64, 0_u64);
        while now_us < seconds * 1_000_000 {
            now_us += super::super::as_u64(1200.0 * 8.0 * 1e6 / allowed);
            count += 1;
            if lost(allowed, count) {
                loss.note_lost(1200);
            } else {
                let sent = Sent { at_us: now_us, bytes: 1200, probe: 0, was_missing: false };
                loss.note_arrived(&sent);
            }
            let arrived = allowed * (1.0 - loss.recent());
            allowed = loss.update(delay_bps, Some(arrived)).unwrap_or(delay_bps);
            allowed = allowed.clamp(50_000.0, delay_bps);
        }
        allowed
    }

    /// A share that looks random and is the same in every run.
    fn chance(count: u64) -> f64 {
        let mixed = count.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (count << 7);
        super::super::as_f64(mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) / f64::from(1 << 24)
    }

    #[test]
    fn loss_that_does_not_depend_on_the_rate_costs_little() {
        for (share, least) in [(0.02, 1.4e6), (0.05, 1e6), (0.1, 0.6e6), (0.2, 0.3e6)] {
            let mut loss = LossBased::default();
            let bps = run(&mut loss, 30, |_, count| chance(count) < share);
            assert!(bps > least, "{share}: {bps}");
        }
    }

    #[test]
    fn a_path_that_drops_what_is_too_much_is_found_out() {
        let mut loss = LossBased::default();
        let bps = run(&mut loss, 20, |bps, count| chance(count) < 1.0 - 1e6 / bps);
        assert!((0.7e6..1.15e6).contains(&bps), "{bps}");
    }

    #[test]
    fn without_loss_nothing_is_limited() {
        let mut loss = LossBased::default();
        run(&mut loss, 5, |_, _| false);
        assert_eq!(loss.update(2e6, Some(2e6)), None);
    }
}
