//! The rate that delay allows: it grows while delay does not, and falls below what arrives when it
//! does (draft-ietf-rmcat-gcc-02 §5.5, with libwebrtc's estimate of the capacity).

use super::trend::Usage;

/// Part of what arrives that remains after a queue has grown.
const DECREASE: f64 = 0.85;
/// Growth per second while the capacity is unknown.
const GROWTH_PER_S: f64 = 1.08;
/// The rate does not grow beyond this multiple of what arrives, since more was never tried.
const BEYOND_ARRIVED: f64 = 1.5;
const BEYOND_ARRIVED_BPS: f64 = 10_000.0;
/// Near the capacity it grows by about one packet per response time, which is a round trip and this.
const RESPONSE_US: u64 = 100_000;
const PACKET_BITS: f64 = 1200.0 * 8.0;
const GROWTH_BPS_PER_S_MIN: f64 = 4_000.0;
/// Weight of a new measurement of the capacity.
const CAPACITY_WEIGHT: f64 = 0.05;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
    Decrease,
}

/// What arrived when queues grew, which is what the path carries.
#[derive(Debug, Clone, Copy)]
struct Capacity {
    kbps: f64,
    /// Relative to the estimate.
    variance: f64,
}

impl Capacity {
    const fn new(kbps: f64) -> Self {
        Self { kbps, variance: 0.4 }
    }

    fn deviation_kbps(&self) -> f64 {
        (self.variance * self.kbps).sqrt()
    }

    fn take(&mut self, kbps: f64) {
        self.kbps += CAPACITY_WEIGHT * (kbps - self.kbps);
        let error = kbps - self.kbps;
        let relative = error * error / self.kbps.max(1.0);
        self.variance =
            ((1.0 - CAPACITY_WEIGHT) * self.variance + CAPACITY_WEIGHT * relative).clamp(0.4, 2.5);
    }
}

#[derive(Debug)]
pub(super) struct DelayBased {
    bps: f64,
    state: State,
    capacity: Option<Capacity>,
    changed_us: u64,
    decreased_us: Option<u64>,
}

impl DelayBased {
    pub(super) const fn new(start_bps: f64, now_us: u64) -> Self {
        Self {
            bps: start_bps,
            state: State::Hold,
            capacity: None,
            changed_us: now_us,
            decreased_us: None,
        }
    }

    pub(super) const fn bps(&self) -> f64 {
        self.bps
    }

    pub(super) const fn clamp(&mut self, floor: f64, ceiling: f64) {
        self.bps = self.bps.clamp(floor, ceiling);
    }

    /// A probe has shown that the path carries more.
    pub(super) const fn raise(&mut self, bps: f64) {
        self.bps = self.bps.max(bps);
    }

    /// Lowers it for another reason than delay.
    pub(super) fn lower(&mut self, bps: f64, now_us: u64) {
        self.bps = self.bps.min(bps);
        self.changed_us = now_us;
    }

    /// Takes what delay says; returns whether the rate was lowered. `estimate_bps` is what is sent
    /// at, which other causes may have lowered.
    pub(super) fn update(
        &mut self,
        usage: Usage,
        arrived_bps: Option<f64>,
        (estimate_bps, round_trip_us): (f64, u64),
        now_us: u64,
    ) -> bool {
        self.state = match (usage, self.state) {
            (Usage::Normal, State::Hold) => {
                self.changed_us = now_us;
                State::Increase
            }
            (Usage::Normal, state) => state,
            (Usage::Over, _) => State::Decrease,
            (Usage::Under, _) => State::Hold,
        };
        match self.state {
            State::Hold => false,
            State::Increase => {
                self.increase(arrived_bps, round_trip_us, now_us);
                false
            }
            State::Decrease => self.decrease(arrived_bps, estimate_bps, round_trip_us, now_us),
        }
    }

    fn increase(&mut self, arrived_bps: Option<f64>, round_trip_us: u64, now_us: u64) {
        let elapsed_s = super::as_f64(now_us.saturating_sub(self.changed_us)).min(1e6) / 1e6;
        self.changed_us = now_us;
        let Some(arrived_bps) = arrived_bps else { return };
        if let Some(capacity) = &self.capacity
            && arrived_bps / 1e3 > capacity.kbps + 3.0 * capacity.deviation_kbps()
        {
            self.capacity = None;
        }
        let most_bps = BEYOND_ARRIVED * arrived_bps + BEYOND_ARRIVED_BPS;
        if self.bps >= most_bps {
            return;
        }
        let grown_bps = if self.capacity.is_some() {
            let response_s = super::as_f64(round_trip_us + RESPONSE_US) / 1e6;
            let per_s = (PACKET_BITS / response_s).max(GROWTH_BPS_PER_S_MIN);
            self.bps + per_s * elapsed_s
        } else {
            (self.bps * GROWTH_PER_S.powf(elapsed_s)).max(self.bps + 1_000.0 * elapsed_s)
        };
        self.bps = grown_bps.min(most_bps);
    }

    fn decrease(
        &mut self,
        arrived_bps: Option<f64>,
        estimate_bps: f64,
        round_trip_us: u64,
        now_us: u64,
    ) -> bool {
        self.state = State::Hold;
        // What was lowered a moment ago can't have had an effect yet, unless far less arrives.
        let wait_us = round_trip_us.clamp(10_000, 200_000);
        let is_recent = self.decreased_us.is_some_and(|at_us| now_us < at_us + wait_us);
        let halved = arrived_bps.is_some_and(|bps| bps < estimate_bps / 2.0);
        if is_recent && !halved {
            return false;
        }
        let arrived_bps = arrived_bps.unwrap_or(estimate_bps);
        let mut lowered_bps = DECREASE * arrived_bps;
        if lowered_bps > self.bps
            && let Some(capacity) = &self.capacity
        {
            lowered_bps = DECREASE * capacity.kbps * 1e3;
        }
        let was_lowered = lowered_bps < self.bps;
        self.bps = self.bps.min(lowered_bps);
        let kbps = arrived_bps / 1e3;
        match &mut self.capacity {
            Some(capacity) if kbps >= capacity.kbps - 3.0 * capacity.deviation_kbps() => {
                capacity.take(kbps);
            }
            capacity => *capacity = Some(Capacity::new(kbps)),
        }
        self.changed_us = now_us;
        self.decreased_us = Some(now_us);
        was_lowered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_delay_does_not_and_never_far_beyond_what_arrives() {
        let mut delay = DelayBased::new(500_000.0, 0);
        for step in 1..300 {
            delay.update(Usage::Normal, Some(600_000.0), (delay.bps(), 50_000), step * 100_000);
        }
        assert!((delay.bps() - 910_000.0).abs() < 1.0, "{}", delay.bps());
    }

    #[test]
    fn it_falls_below_what_arrives_and_then_grows_slowly() {
        let mut delay = DelayBased::new(2e6, 0);
        assert!(delay.update(Usage::Over, Some(1e6), (2e6, 50_000), 100_000));
        assert!((delay.bps() - 850_000.0).abs() < 1.0);
        assert!(!delay.update(Usage::Over, Some(1e6), (850_000.0, 50_000), 110_000));
        for step in 0..11 {
            delay.update(Usage::Normal, Some(1e6), (delay.bps(), 50_000), 200_000 + step * 100_000);
        }
        let grown = delay.bps() - 850_000.0;
        assert!((40_000.0..90_000.0).contains(&grown), "{grown} in a second");
    }
}
