//! The throughput of what has arrived.

use super::history::Sent;
use super::signed_f64;

/// Time over which the throughput is first measured, and later.
const FIRST_WINDOW_US: i64 = 400_000;
const WINDOW_US: i64 = 150_000;
/// A pause of this length says nothing about the path; measuring starts again.
const PAUSE_US: i64 = 2_000_000;
/// Weight of a new measurement.
const WEIGHT: f64 = 0.4;

#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    bps: Option<f64>,
    window: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    first_arrived_us: i64,
    last_arrived_us: i64,
    first_sent_us: u64,
    last_sent_us: u64,
    /// Of the packets after the first.
    bytes: u64,
}

impl Window {
    const fn starting(sent_us: u64, arrived_us: i64) -> Self {
        Self {
            first_arrived_us: arrived_us,
            last_arrived_us: arrived_us,
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            bytes: 0,
        }
    }
}

impl Acknowledged {
    pub(super) const fn bps(&self) -> Option<f64> {
        self.bps
    }

    /// The times of arrival so far mean nothing any more.
    pub(super) const fn restart(&mut self) {
        self.window = None;
    }

    pub(super) fn note(&mut self, sent: &Sent, arrived_us: i64) {
        let Some(window) = &mut self.window else {
            self.window = Some(Window::starting(sent.at_us, arrived_us));
            return;
        };
        if arrived_us - window.last_arrived_us > PAUSE_US {
            *window = Window::starting(sent.at_us, arrived_us);
            return;
        }
        window.bytes += u64::from(sent.bytes);
        window.last_arrived_us = window.last_arrived_us.max(arrived_us);
        window.last_sent_us = window.last_sent_us.max(sent.at_us);
        let length_us = if self.bps.is_some() { WINDOW_US } else { FIRST_WINDOW_US };
        let arrival_us = window.last_arrived_us - window.first_arrived_us;
        // The times of arrival are what the receiver says. Whatever it says, no more has arrived in
        // any time than was sent in it.
        let sending_us = window.last_sent_us.saturating_sub(window.first_sent_us).cast_signed();
        let span_us = arrival_us.max(sending_us);
        if span_us >= length_us && arrival_us * 4 >= length_us {
            let measured = super::as_f64(window.bytes * 8) * 1e6 / signed_f64(span_us);
            let bps = self.bps.map_or(measured, |bps| bps + WEIGHT * (measured - bps));
            self.bps = Some(bps);
            *window = Window::starting(window.last_sent_us, window.last_arrived_us);
        } else if span_us >= 4 * length_us {
            // Much was sent, and is told to have arrived in no time.
            *window = Window::starting(window.last_sent_us, window.last_arrived_us);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(at_us: u64) -> Sent {
        Sent { at_us, bytes: 1250, probe: 0, was_missing: false }
    }

    #[test]
    fn the_throughput_is_that_of_arrivals() {
        let mut acknowledged = Acknowledged::default();
        for step in 0..200_u64 {
            // Sent at 2 Mbit/s, arriving at 1 Mbit/s.
            acknowledged.note(&sent(step * 5_000), (step * 10_000).cast_signed());
        }
        let bps = acknowledged.bps().expect("measured");
        assert!((bps - 1e6).abs() < 2e4, "{bps}");
    }

    #[test]
    fn arrivals_that_are_told_too_close_together_gain_nothing() {
        let mut acknowledged = Acknowledged::default();
        for step in 0..400_u64 {
            acknowledged.note(&sent(step * 10_000), (step * 5_000).cast_signed());
        }
        let bps = acknowledged.bps().expect("measured");
        assert!((bps - 1e6).abs() < 2e4, "{bps}");
    }
}
