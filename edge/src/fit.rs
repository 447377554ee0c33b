//! Whether what the camera makes fits the line, as an engine: when it does not, the encoder is slowed
//! down in halves, and where that is not enough what is made is not sent live any more. When it has
//! fitted for a while the encoder goes faster again, in steps.

use std::time::{Duration, Instant};

/// What is sent is late by so much when the line carries less than the pictures. Raising it notices
/// that later, and lets live pictures be later.
const LATE: Duration = Duration::from_secs(3);
/// It must be late for so long before the encoder is slowed down.
const LATE_FOR: Duration = Duration::from_secs(3);
/// How long a slower encoder has until it is slowed down once more, unless what is sent becomes less
/// late meanwhile.
const SETTLES_IN: Duration = Duration::from_secs(12);
/// What is sent later than this is not sent live any more. Raising it lets live pictures be later.
const TOO_LATE: Duration = Duration::from_secs(15);
/// Kilobits a second that pictures are not made worse than.
pub(crate) const SLOWEST_KBPS: u32 = 250;
/// Kilobits a second of sound, and of heads of packets in per cent.
const SOUND_KBPS: u32 = 50;
const HEADS_PERCENT: u32 = 8;
/// How long what is made must have fitted until the encoder goes faster; twice as long each time that
/// this was too fast within the time after it, up to the longest.
const QUIET: (Duration, Duration) = (Duration::from_mins(1), Duration::from_mins(15));
const TRIED_FOR: Duration = Duration::from_secs(45);

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// The encoder makes so many kilobits a second from now on.
    Encode(u32),
    /// What is made is not sent live any more.
    EndLive,
}

/// What fits.
#[derive(Debug)]
pub(crate) struct Fit {
    wanted: u32,
    kbps: u32,
    late_since: Option<Instant>,
    /// When the encoder was slowed down, and how late what was sent was then.
    slowed: Option<(Instant, Duration)>,
    /// When the encoder was last made faster.
    tried: Option<Instant>,
    quiet_since: Instant,
    quiet: Duration,
    /// What the line carried last, when that was known, in bits a second.
    carries: Option<f64>,
}

impl Fit {
    /// For an encoder that is to make so many kilobits a second.
    pub(crate) const fn new(wanted: u32, now: Instant) -> Self {
        Self {
            wanted,
            kbps: wanted,
            late_since: None,
            slowed: None,
            tried: None,
            quiet_since: now,
            quiet: QUIET.0,
            carries: None,
        }
    }

    /// What goes over the line in a second, in bits.
    pub(crate) const fn wanted_bits(&self) -> u64 {
        line_kbps(self.wanted) as u64 * 1_000
    }

    /// It is sent live from now on.
    pub(crate) const fn handle_begin(&mut self, now: Instant) {
        self.late_since = None;
        self.slowed = None;
        self.quiet_since = now;
    }

    /// Something was sent that was made so long before. `carries` is what the line carries in bits a
    /// second, when that is known.
    pub(crate) fn handle(
        &mut self,
        late: Duration,
        carries: Option<f64>,
        now: Instant,
    ) -> Option<Act> {
        self.carries = carries.or(self.carries);
        if late >= TOO_LATE {
            return Some(Act::EndLive);
        }
        if late < LATE {
            self.late_since = None;
            return self.faster(now);
        }
        self.quiet_since = now;
        let since = *self.late_since.get_or_insert(now);
        let settles = self.slowed.is_some_and(|(at, before)| {
            late < before || now.saturating_duration_since(at) < SETTLES_IN
        });
        let is_slowest = self.kbps <= SLOWEST_KBPS;
        if settles || is_slowest || now.saturating_duration_since(since) < LATE_FOR {
            return None;
        }
        self.slowed = Some((now, late));
        Some(Act::Encode(self.slower(now)))
    }

    /// What was sent live did not come in time: slower pictures may, if there are any.
    pub(crate) fn handle_too_slow(&mut self, now: Instant) -> Option<u32> {
        (self.kbps > SLOWEST_KBPS).then(|| self.slower(now))
    }

    fn slower(&mut self, now: Instant) -> u32 {
        if self.tried.take().is_some_and(|at| now.saturating_duration_since(at) < TRIED_FOR) {
            self.quiet = (self.quiet * 2).min(QUIET.1);
        }
        self.kbps = halved(self.kbps);
        while self.kbps > SLOWEST_KBPS
            && self.carries.is_some_and(|it| f64::from(line_kbps(self.kbps)) * 1_000.0 > it)
        {
            self.kbps = halved(self.kbps);
        }
        self.kbps
    }

    fn faster(&mut self, now: Instant) -> Option<Act> {
        let quiet = now.saturating_duration_since(self.quiet_since);
        if self.kbps >= self.wanted || quiet < self.quiet {
            return None;
        }
        self.kbps = (self.kbps + self.kbps / 2).min(self.wanted);
        self.tried = Some(now);
        self.quiet_since = now;
        self.slowed = None;
        Some(Act::Encode(self.kbps))
    }
}

const fn halved(kbps: u32) -> u32 {
    let half = kbps / 2;
    if half > SLOWEST_KBPS {
        half
    } else if kbps < SLOWEST_KBPS {
        kbps
    } else {
        SLOWEST_KBPS
    }
}

/// What goes over the line of pictures of so many kilobits a second, with their sound.
const fn line_kbps(kbps: u32) -> u32 {
    (kbps + SOUND_KBPS) * (100 + HEADS_PERCENT) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    /// A camera and a line of so many kilobits a second, over seconds: what is done when.
    fn run(
        fit: &mut Fit,
        began: Instant,
        seconds: u32,
        line: impl Fn(u32) -> u32,
    ) -> Vec<(u32, Act)> {
        let (mut late_ms, mut kbps, mut acts) = (0_i64, fit.kbps, Vec::new());
        for second in 0..seconds {
            let (made, carried) = (i64::from(line_kbps(kbps)), i64::from(line(second)));
            // A second of pictures takes so much longer or shorter than a second to be sent.
            late_ms = (late_ms + 1_000 - 1_000 * carried / made).max(0);
            let is_full = carried < made || late_ms > 0;
            let carries = is_full.then(|| f64::from(line(second)) * 1_000.0);
            let late = Duration::from_millis(late_ms.unsigned_abs());
            if let Some(act) = fit.handle(late, carries, began + S * second) {
                acts.push((second, act));
                match act {
                    Act::Encode(to) => kbps = to,
                    Act::EndLive => return acts,
                }
            }
        }
        acts
    }

    fn begin(wanted: u32) -> (Fit, Instant) {
        let now = tokio::time::Instant::now().into_std();
        (Fit::new(wanted, now), now)
    }

    #[test]
    fn a_line_that_carries_all_changes_nothing() {
        let (mut fit, now) = begin(2_000);
        assert_eq!(run(&mut fit, now, 3_600, |_| 2_300), []);
    }

    #[test]
    fn pictures_are_halved_until_they_fit_and_grow_when_that_was_so_for_a_while() {
        let (mut fit, now) = begin(2_000);
        // The line becomes good again after a minute.
        let acts = run(&mut fit, now, 600, |second| if second < 60 { 900 } else { 3_000 });
        let kbps: Vec<Act> = acts.iter().map(|(_, act)| *act).collect();
        let expected = [500, 750, 1_125, 1_687, 2_000].map(Act::Encode);
        assert_eq!(kbps, expected, "{acts:?}");
        assert!((3..=10).contains(&acts[0].0), "{acts:?}");
        assert!(acts[1].0 >= 60 && acts.windows(2).all(|it| it[1].0 - it[0].0 >= 60), "{acts:?}");
    }

    #[test]
    fn what_is_too_fast_again_and_again_is_tried_ever_less_often() {
        let (mut fit, now) = begin(2_000);
        let acts = run(&mut fit, now, 3_600, |_| 1_250);
        let faster = acts
            .windows(2)
            .filter(|it| matches!((it[0].1, it[1].1), (Act::Encode(a), Act::Encode(b)) if b > a));
        let waits: Vec<u32> = faster.map(|it| it[1].0 - it[0].0).collect();
        assert!(waits.is_sorted_by(|before, after| after + 5 >= *before), "{acts:?}");
        assert!(waits[0] < 100 && waits.last().is_some_and(|it| *it >= 890), "{acts:?}");
        assert!(!acts.iter().any(|(_, act)| *act == Act::EndLive), "{acts:?}");
    }

    #[test]
    fn what_does_not_come_in_time_is_tried_slower_before_it_is_not_sent_live() {
        let (mut fit, now) = begin(2_000);
        assert_eq!(fit.handle(Duration::from_secs(20), Some(1_300_000.0), now), Some(Act::EndLive));
        let slower: Vec<Option<u32>> = (0..4).map(|_| fit.handle_too_slow(now)).collect();
        assert_eq!(slower, [Some(1_000), Some(500), Some(SLOWEST_KBPS), None]);
    }

    #[test]
    fn live_ends_where_the_slowest_pictures_do_not_fit() {
        let (mut fit, now) = begin(2_000);
        let acts = run(&mut fit, now, 600, |_| 150);
        assert_eq!(acts.first().map(|it| it.1), Some(Act::Encode(SLOWEST_KBPS)), "{acts:?}");
        assert_eq!(acts.last().map(|it| it.1), Some(Act::EndLive), "{acts:?}");
        let (mut small, now) = begin(100);
        let acts = run(&mut small, now, 600, |_| 100);
        assert_eq!(acts.iter().map(|it| it.1).collect::<Vec<_>>(), [Act::EndLive], "{acts:?}");
    }
}
