//! Probes: for a moment more is sent than there is, to see whether it arrives as fast. Only done
//! when more would be sent if there were room.

use super::history::Sent;
use super::signed_f64;

/// A probe is sent for this long. Longer probes measure better and are felt by others on the path.
const SENT_FOR_US: u64 = 20_000;
/// A probe of fewer packets measures nothing.
const PACKETS_MIN: u32 = 4;
/// It tries this multiple of what is wanted, and at most this multiple of the estimate, so that a
/// narrow path is not filled for long.
const BEYOND_WANTED: f64 = 1.15;
const BEYOND_ESTIMATE: f64 = 2.0;
/// So much is tried in any case, or a path that was narrow for a while would never be measured.
const TRIED_BPS_MIN: f64 = 300_000.0;
/// Time to the first probe, and after one that met its target.
const SOON_US: u64 = 250_000;
/// Time after one that failed; doubled with each further one, up to the longest.
const AGAIN_US: u64 = 2_000_000;
const AGAIN_US_MAX: u64 = 10_000_000;
/// A probe for less than this part of what failed need not wait longer.
const LESS: f64 = 0.75;
/// Part of the packets that must have arrived.
const ARRIVED_MIN: f64 = 0.8;
/// A probe that arrives more slowly than this part of the rate it was sent at has filled the path.
const FILLED: f64 = 0.9;
/// Part of its rate of arrival that the path is then taken to carry.
const CARRIED: f64 = 0.95;
/// Part of the target from which a probe has met it.
const MET: f64 = 0.85;

/// What a probe has shown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Outcome {
    /// The path carries about what was tried, in bits per second.
    Met(f64),
    /// It does not; what it carries, if that could be measured.
    Fell { shown_bps: Option<f64> },
}

#[derive(Debug, Clone, Copy)]
enum State {
    Idle { next_us: u64 },
    Sending { target_bps: f64, since_us: u64 },
    Waiting { target_bps: f64, until_us: u64 },
    Done { target_bps: f64, outcome: Outcome },
}

#[derive(Debug, Clone, Copy, Default)]
struct Cluster {
    packets: u32,
    bytes: u64,
    last_sent_us: u64,
    first_sent_us: u64,
    /// Bytes sent before the moment of the last packet.
    bytes_before_last: u64,
    arrived: u32,
    arrived_bytes: u64,
    first_arrived_us: Option<i64>,
    last_arrived_us: i64,
}

#[derive(Debug)]
pub(super) struct Prober {
    wanted_bps: Option<f64>,
    state: State,
    number: u8,
    cluster: Cluster,
    again_us: u64,
    /// The target of the probe that failed last, and when it was given up.
    failed: Option<(f64, u64)>,
}

impl Prober {
    pub(super) fn new(now_us: u64) -> Self {
        Self {
            wanted_bps: None,
            state: State::Idle { next_us: now_us + SOON_US },
            number: 0,
            cluster: Cluster::default(),
            again_us: AGAIN_US,
            failed: None,
        }
    }

    /// The path is another one, as far as is known: what failed before says nothing.
    pub(super) const fn begin_anew(&mut self, now_us: u64) {
        self.again_us = AGAIN_US;
        self.failed = None;
        self.state = State::Idle { next_us: now_us + SOON_US };
    }

    pub(super) const fn want(&mut self, bps: Option<f64>) {
        self.wanted_bps = bps;
    }

    /// Whether a probe is being sent, or what it shows is not known yet.
    pub(super) const fn is_under_way(&self) -> bool {
        matches!(self.state, State::Sending { .. } | State::Waiting { .. })
    }

    pub(super) const fn is_sending(&self) -> bool {
        matches!(self.state, State::Sending { .. })
    }

    /// Returns the number of the probe that a packet belongs to, 0 for none.
    pub(super) fn note_sent(&mut self, bytes: usize, now_us: u64) -> u8 {
        let State::Sending { .. } = self.state else { return 0 };
        let cluster = &mut self.cluster;
        if cluster.packets == 0 {
            cluster.first_sent_us = now_us;
        }
        if cluster.last_sent_us != now_us {
            cluster.bytes_before_last = cluster.bytes;
            cluster.last_sent_us = now_us;
        }
        cluster.packets += 1;
        cluster.bytes += bytes as u64;
        self.number
    }

    /// Whether it asks for clearly less than what failed, so that it needs not wait as long.
    fn asks_for_less(&self, target_bps: f64, now_us: u64) -> bool {
        self.failed.is_some_and(|(failed_bps, at_us)| {
            target_bps < LESS * failed_bps && now_us >= at_us + AGAIN_US
        })
    }

    pub(super) fn padding_due(
        &mut self,
        estimate_bps: f64,
        ceiling_bps: f64,
        now_us: u64,
    ) -> usize {
        if let State::Idle { next_us } = self.state
            && let Some(wanted_bps) = self.wanted_bps
            && let target_bps = (wanted_bps * BEYOND_WANTED)
                .min((estimate_bps * BEYOND_ESTIMATE).max(TRIED_BPS_MIN))
                .min(ceiling_bps * BEYOND_WANTED)
            && (next_us <= now_us || self.asks_for_less(target_bps, now_us))
        {
            self.number = self.number.checked_add(1).unwrap_or(1);
            self.cluster = Cluster::default();
            self.state = State::Sending { target_bps, since_us: now_us };
        }
        let State::Sending { target_bps, since_us } = self.state else { return 0 };
        let elapsed_us = now_us.saturating_sub(since_us);
        // The packets of each moment are sent at its beginning, so one moment more is sent.
        let wanted = target_bps / 8e6 * super::as_f64(elapsed_us.min(SENT_FOR_US) + 5_000);
        let due = super::as_u64(wanted).saturating_sub(self.cluster.bytes);
        usize::try_from(due).unwrap_or(0)
    }

    /// Ends the sending of a probe that is complete, and the waiting for one that is lost.
    pub(super) fn note_time(&mut self, round_trip_us: u64, now_us: u64) {
        match self.state {
            State::Sending { target_bps, since_us } if now_us > since_us + SENT_FOR_US => {
                let until_us = now_us + 2 * round_trip_us + 300_000;
                self.state = State::Waiting { target_bps, until_us };
            }
            State::Waiting { target_bps, until_us } if now_us > until_us => {
                let outcome = Outcome::Fell { shown_bps: None };
                self.state = State::Done { target_bps, outcome };
            }
            _ => {}
        }
    }

    pub(super) fn note_arrived(&mut self, sent: &Sent, arrived_us: i64) {
        if sent.probe == 0 || sent.probe != self.number {
            return;
        }
        let cluster = &mut self.cluster;
        cluster.arrived += 1;
        if cluster.first_arrived_us.is_some() {
            cluster.arrived_bytes += u64::from(sent.bytes);
            cluster.last_arrived_us = cluster.last_arrived_us.max(arrived_us);
        } else {
            // What came first is where the measuring starts.
            cluster.first_arrived_us = Some(arrived_us);
            cluster.last_arrived_us = arrived_us;
        }
    }

    /// What a probe has shown, once that is known. After that the next one is due some time later.
    pub(super) fn take_outcome(&mut self, round_trip_us: u64, now_us: u64) -> Option<Outcome> {
        if let State::Waiting { target_bps, .. } = self.state
            && f64::from(self.cluster.arrived) >= ARRIVED_MIN * f64::from(self.cluster.packets)
        {
            let outcome = self.cluster.outcome(target_bps);
            self.state = State::Done { target_bps, outcome };
        }
        let State::Done { target_bps, outcome } = self.state else { return None };
        let wait_us = match outcome {
            Outcome::Met(_) => {
                self.again_us = AGAIN_US;
                self.failed = None;
                SOON_US.max(round_trip_us)
            }
            Outcome::Fell { .. } => {
                self.failed = Some((target_bps, now_us));
                let wait_us = self.again_us;
                self.again_us = (2 * self.again_us).min(AGAIN_US_MAX);
                wait_us
            }
        };
        self.state = State::Idle { next_us: now_us + wait_us };
        Some(outcome)
    }
}

impl Cluster {
    fn outcome(&self, target_bps: f64) -> Outcome {
        let nothing = Outcome::Fell { shown_bps: None };
        let sent_us = self.last_sent_us.saturating_sub(self.first_sent_us).cast_signed();
        let arrived_us = self.last_arrived_us - self.first_arrived_us.unwrap_or(0);
        if self.packets < PACKETS_MIN || sent_us <= 0 {
            return nothing;
        }
        let sent_bps = super::as_f64(self.bytes_before_last * 8) * 1e6 / signed_f64(sent_us);
        let arrived_bps =
            super::as_f64(self.arrived_bytes * 8) * 1e6 / signed_f64(arrived_us.max(1));
        let shown_bps =
            if arrived_bps < FILLED * sent_bps { CARRIED * arrived_bps } else { sent_bps };
        if shown_bps >= MET * target_bps {
            Outcome::Met(shown_bps)
        } else {
            Outcome::Fell { shown_bps: Some(shown_bps) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a probe over a path of this capacity.
    fn probed(wanted_bps: f64, estimate_bps: f64, capacity_bps: f64) -> (Prober, Option<Outcome>) {
        let mut prober = Prober::new(0);
        prober.want(Some(wanted_bps));
        let (mut now_us, mut free_us) = (SOON_US, 0.0_f64);
        let mut sent = Vec::new();
        loop {
            let mut due = prober.padding_due(estimate_bps, 1e9, now_us);
            while due > 0 {
                let number = prober.note_sent(300, now_us);
                sent.push((number, now_us));
                due = due.saturating_sub(300);
            }
            if !prober.is_sending() {
                break;
            }
            now_us += 5_000;
            prober.note_time(50_000, now_us);
        }
        for (probe, at_us) in sent {
            free_us = free_us.max(super::super::as_f64(at_us)) + 2400.0 * 1e6 / capacity_bps;
            let packet = Sent { at_us, bytes: 300, probe, was_missing: false };
            prober.note_arrived(&packet, super::super::as_u64(free_us).cast_signed() + 30_000);
        }
        let outcome = prober.take_outcome(50_000, now_us + 100_000);
        (prober, outcome)
    }

    #[test]
    fn room_is_shown_and_so_is_its_end() {
        let (_, wide) = probed(1e6, 800_000.0, 1e7);
        assert!(matches!(wide, Some(Outcome::Met(bps)) if (1e6..1.4e6).contains(&bps)), "{wide:?}");
        let (_, narrow) = probed(1.5e6, 1e6, 7e5);
        let Some(Outcome::Fell { shown_bps: Some(bps) }) = narrow else { panic!("{narrow:?}") };
        assert!((5.5e5..7e5).contains(&bps), "{bps}");
    }

    #[test]
    fn what_failed_is_tried_again_more_and_more_rarely() {
        let (mut prober, _) = probed(1.5e6, 1e6, 5e5);
        let mut waits = Vec::new();
        let mut now_us = 10_000_000;
        for _ in 0..8 {
            while prober.padding_due(1e6, 1e9, now_us) == 0 {
                now_us += 100_000;
            }
            let since_us = now_us;
            now_us += 25_000;
            prober.note_time(50_000, now_us);
            now_us += 1_000_000;
            prober.note_time(50_000, now_us);
            assert_eq!(
                prober.take_outcome(50_000, now_us),
                Some(Outcome::Fell { shown_bps: None })
            );
            waits.push(since_us);
        }
        let apart: Vec<u64> =
            waits.windows(2).map(|pair| (pair[1] - pair[0]) / 1_000_000).collect();
        assert!(apart.is_sorted() && apart.last().is_some_and(|last| *last <= 12), "{apart:?}");
    }

    #[test]
    fn nothing_is_sent_when_nothing_more_is_wanted() {
        let mut prober = Prober::new(0);
        assert_eq!(prober.padding_due(1e6, 1e9, 60_000_000), 0);
    }
}
