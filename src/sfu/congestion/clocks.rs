//! Whether told arrivals can be true. The clocks of both sides differ by an unknown amount, but a
//! packet neither arrives before it was sent nor after it was told to have arrived. Each packet so
//! narrows the difference of the clocks, and one that does not fit is not believed.

/// Clocks of computers drift apart by less than this, in microseconds per second.
const DRIFT_US_PER_S: i64 = 500;
/// Times are told in steps of 250 µs, and threads are not woken at once.
const SLACK_US: i64 = 20_000;
/// After so many feedbacks of which nothing could be believed, the receiver's clock was set. Then it
/// is learnt anew.
const DOUBTED_MAX: u32 = 8;

#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The receiver's clock is ahead of ours by at least and at most this, as known at a time.
    known: Option<Known>,
    believed: bool,
    doubted: bool,
    /// Feedbacks one after the other of which nothing was believed.
    in_doubt: u32,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "all of them are times in microseconds")]
struct Known {
    least_us: i64,
    most_us: i64,
    at_us: u64,
}

impl Clocks {
    /// Whether a packet sent at `sent_us` can have arrived at `arrived_us` of the receiver's clock,
    /// now that this was told.
    pub(super) fn believes(&mut self, sent_us: u64, arrived_us: i64, now_us: u64) -> bool {
        let most_us = arrived_us.saturating_sub(sent_us.cast_signed());
        let least_us = arrived_us.saturating_sub(now_us.cast_signed());
        let Some(known) = &mut self.known else {
            self.known = Some(Known { least_us, most_us, at_us: now_us });
            self.believed = true;
            return true;
        };
        let elapsed_us = now_us.saturating_sub(known.at_us).cast_signed();
        let drift_us = elapsed_us / 1_000 * DRIFT_US_PER_S / 1_000;
        if drift_us > 0 {
            known.least_us -= drift_us;
            known.most_us += drift_us;
            known.at_us = now_us;
        }
        let believes = most_us + SLACK_US >= known.least_us && least_us <= known.most_us + SLACK_US;
        if believes {
            self.believed = true;
            known.least_us = known.least_us.max(least_us.min(known.most_us));
            known.most_us = known.most_us.min(most_us.max(known.least_us));
        } else {
            self.doubted = true;
        }
        believes
    }

    /// Called after each feedback; returns whether the clocks were so often in doubt that they are
    /// learnt anew.
    pub(super) fn end_feedback(&mut self) -> bool {
        let (believed, doubted) =
            (std::mem::take(&mut self.believed), std::mem::take(&mut self.doubted));
        self.in_doubt = match (believed, doubted) {
            (true, _) => 0,
            (false, true) => self.in_doubt + 1,
            (false, false) => self.in_doubt,
        };
        let anew = self.in_doubt >= DOUBTED_MAX;
        if anew {
            *self = Self::default();
        }
        anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AHEAD_US: i64 = 77_000_000;

    fn told(clocks: &mut Clocks, sent_us: u64, trip_us: (i64, u64)) -> bool {
        let (forth, back) = trip_us;
        let arrived = AHEAD_US + sent_us.cast_signed() + forth;
        let now_us = (sent_us.cast_signed() + forth).cast_unsigned() + back;
        clocks.believes(sent_us, arrived, now_us)
    }

    #[test]
    fn what_happens_on_a_path_is_believed_and_what_cannot_is_not() {
        let mut clocks = Clocks::default();
        for step in 0..100_u64 {
            let queue = i64::try_from(step % 10).expect("small") * 30_000;
            assert!(told(&mut clocks, step * 50_000, (40_000 + queue, 90_000)), "{step}");
            assert!(!clocks.end_feedback());
        }
        let now_us = 6_000_000;
        let early = AHEAD_US + 5_900_000 - 300_000;
        assert!(!clocks.believes(5_900_000, early, now_us), "before it was sent");
        let late = AHEAD_US + 6_000_000 + 300_000;
        assert!(!clocks.believes(5_900_000, late, now_us), "after it was told");
    }

    #[test]
    fn a_clock_that_was_set_is_learnt_anew_after_a_while() {
        let mut clocks = Clocks::default();
        assert!(told(&mut clocks, 1_000_000, (40_000, 40_000)));
        clocks.end_feedback();
        let set = -5_000_000_000;
        for step in 1..DOUBTED_MAX {
            let sent_us = 1_000_000 + u64::from(step) * 100_000;
            assert!(!clocks.believes(sent_us, set, sent_us + 100_000));
            assert!(!clocks.end_feedback());
        }
        assert!(!clocks.believes(3_000_000, set, 3_100_000));
        assert!(clocks.end_feedback());
        assert!(clocks.believes(3_000_000, set, 3_100_000));
    }
}
