//! Whether delay grows: packets sent together are taken as groups, and a line is fitted to how
//! delay changes from group to group (draft-ietf-rmcat-gcc-02 §5.2 to §5.4, with a line instead of a
//! Kalman filter, as libwebrtc has had for years).

use std::collections::VecDeque;

use super::signed_f64;

/// Packets sent within this time are one group.
const GROUP_US: u64 = 5_000;
/// Packets that arrive this close together although they were sent further apart have waited for
/// each other somewhere, such as in a radio; they are one group.
const BURST_GAP_US: i64 = 5_000;
const BURST_US: i64 = 100_000;
/// Groups that the line is fitted to.
const GROUPS: usize = 20;
/// Weight of the accumulated delay so far when it is smoothed.
const SMOOTHING: f64 = 0.9;
/// The slope is multiplied with this and the number of groups, up to a limit, before it is compared.
const GAIN: f64 = 4.0;
const GROUPS_COUNTED_MAX: u32 = 60;
/// The threshold in milliseconds at first, and its bounds.
const THRESHOLD_MS: f64 = 12.5;
const THRESHOLD_MS_MIN: f64 = 6.0;
const THRESHOLD_MS_MAX: f64 = 600.0;
/// How fast the threshold follows upwards and downwards, per millisecond.
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A slope this far beyond the threshold does not move it.
const OUTLIER_MS: f64 = 15.0;
/// Delay must have grown for this long.
const OVERUSE_MS: f64 = 10.0;
/// A jump of arrival times beyond this has another cause than a queue.
const JUMP_US: i64 = 3_000_000;
/// So many groups that arrived before the one before them mean that the times are worth nothing.
const REORDERED_MAX: u32 = 3;

/// What delay says about the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// It carries what is sent.
    #[default]
    Normal,
    /// A queue is growing.
    Over,
    /// A queue is shrinking.
    Under,
}

#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "all of them are times in microseconds")]
struct Group {
    first_sent_us: u64,
    last_sent_us: u64,
    first_arrived_us: i64,
    last_arrived_us: i64,
}

#[derive(Debug)]
pub(super) struct Trend {
    current: Option<Group>,
    previous: Option<Group>,
    reordered: u32,
    /// Arrival in milliseconds after the first, and smoothed delay.
    line: VecDeque<(f64, f64)>,
    first_arrived_us: Option<i64>,
    accumulated_ms: f64,
    smoothed_ms: f64,
    groups: u32,
    previous_slope: f64,
    threshold_ms: f64,
    threshold_set_us: Option<i64>,
    growing_for_ms: Option<f64>,
    growing_groups: u32,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            current: None,
            previous: None,
            reordered: 0,
            line: VecDeque::with_capacity(GROUPS + 1),
            first_arrived_us: None,
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            groups: 0,
            previous_slope: 0.0,
            threshold_ms: THRESHOLD_MS,
            threshold_set_us: None,
            growing_for_ms: None,
            growing_groups: 0,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Whether a queue grows now.
    pub(super) fn is_growing(&self) -> bool {
        self.usage == Usage::Over
    }

    /// Takes a packet that has arrived, in the order of numbers.
    pub(super) fn note(&mut self, sent_us: u64, arrived_us: i64) {
        let alone = Group {
            first_sent_us: sent_us,
            last_sent_us: sent_us,
            first_arrived_us: arrived_us,
            last_arrived_us: arrived_us,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(alone);
            return;
        };
        if sent_us < current.first_sent_us {
            return;
        }
        if belongs(current, sent_us, arrived_us) {
            current.last_sent_us = current.last_sent_us.max(sent_us);
            current.last_arrived_us = current.last_arrived_us.max(arrived_us);
            return;
        }
        let complete = *current;
        self.current = Some(alone);
        if let Some(previous) = self.previous.replace(complete) {
            self.compare(&previous, &complete);
        }
    }

    fn compare(&mut self, previous: &Group, complete: &Group) {
        let sent_us = (complete.last_sent_us - previous.last_sent_us.min(complete.last_sent_us))
            .cast_signed();
        let arrived_us = complete.last_arrived_us - previous.last_arrived_us;
        if arrived_us < 0 {
            self.reordered += 1;
            if self.reordered >= REORDERED_MAX {
                self.restart();
            }
            return;
        }
        self.reordered = 0;
        if (arrived_us - sent_us).abs() > JUMP_US {
            self.restart();
            return;
        }
        self.fit(signed_f64(sent_us) / 1e3, signed_f64(arrived_us) / 1e3, complete.last_arrived_us);
    }

    /// Begins a new line; what was learnt of how much delay wavers is kept.
    pub(super) fn restart(&mut self) {
        let threshold_ms = self.threshold_ms;
        *self = Self { threshold_ms, ..Self::default() };
    }

    fn fit(&mut self, sent_ms: f64, arrived_ms: f64, arrived_us: i64) {
        let first_us = *self.first_arrived_us.get_or_insert(arrived_us);
        self.groups = self.groups.saturating_add(1);
        self.accumulated_ms += arrived_ms - sent_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        if self.line.len() >= GROUPS {
            self.line.pop_front();
        }
        self.line.push_back((signed_f64(arrived_us - first_us) / 1e3, self.smoothed_ms));
        let slope = if self.line.len() >= GROUPS {
            slope(&self.line).unwrap_or(self.previous_slope)
        } else {
            self.previous_slope
        };
        self.judge(slope, sent_ms, arrived_us);
    }

    fn judge(&mut self, slope: f64, sent_ms: f64, arrived_us: i64) {
        if self.groups < 2 {
            return;
        }
        let compared = f64::from(self.groups.min(GROUPS_COUNTED_MAX)) * slope * GAIN;
        if compared > self.threshold_ms {
            let growing_ms = self.growing_for_ms.map_or(sent_ms / 2.0, |for_ms| for_ms + sent_ms);
            self.growing_for_ms = Some(growing_ms);
            self.growing_groups += 1;
            if growing_ms > OVERUSE_MS && self.growing_groups > 1 && slope >= self.previous_slope {
                self.growing_for_ms = Some(0.0);
                self.growing_groups = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.growing_for_ms = None;
            self.growing_groups = 0;
            self.usage = if compared < -self.threshold_ms { Usage::Under } else { Usage::Normal };
        }
        self.previous_slope = slope;
        self.adapt(compared, arrived_us);
    }

    /// The threshold follows the slope slowly, so that flows beside this one, which fill the queue
    /// themselves, do not make it give way altogether.
    fn adapt(&mut self, compared: f64, arrived_us: i64) {
        let elapsed_us = self.threshold_set_us.map_or(0, |set_us| arrived_us - set_us);
        self.threshold_set_us = Some(arrived_us);
        if compared.abs() > self.threshold_ms + OUTLIER_MS {
            return;
        }
        let rate = if compared.abs() < self.threshold_ms { THRESHOLD_DOWN } else { THRESHOLD_UP };
        let elapsed_ms = signed_f64(elapsed_us.clamp(0, 100_000)) / 1e3;
        let moved = self.threshold_ms + rate * (compared.abs() - self.threshold_ms) * elapsed_ms;
        self.threshold_ms = moved.clamp(THRESHOLD_MS_MIN, THRESHOLD_MS_MAX);
    }
}

fn belongs(group: &Group, sent_us: u64, arrived_us: i64) -> bool {
    if sent_us - group.first_sent_us <= GROUP_US {
        return true;
    }
    let gap_us = arrived_us - group.last_arrived_us;
    let apart_us = sent_us.saturating_sub(group.last_sent_us).cast_signed();
    gap_us - apart_us < 0
        && gap_us <= BURST_GAP_US
        && arrived_us - group.first_arrived_us < BURST_US
}

/// The slope of the line with the least squares; `None` when all points are at one time.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = f64::from(u32::try_from(points.len()).unwrap_or(u32::MAX));
    let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut above, mut below) = (0.0, 0.0);
    for (x, y) in points {
        above += (x - mean_x) * (y - mean_y);
        below += (x - mean_x) * (x - mean_x);
    }
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups 20 ms apart, each delayed by what `delay_us` says.
    fn after(groups: u64, delay_us: impl Fn(u64) -> i64) -> Trend {
        let mut trend = Trend::default();
        for group in 0..groups {
            let sent_us = group * 20_000;
            for packet in 0..3 {
                trend.note(sent_us, sent_us.cast_signed() + delay_us(group) + packet * 100);
            }
        }
        trend
    }

    #[test]
    fn a_growing_queue_is_seen_within_half_a_second_and_a_steady_one_is_not() {
        assert_eq!(after(60, |_| 80_000).usage(), Usage::Normal);
        let grows = |group: u64| group.saturating_sub(25).cast_signed() * 5_000;
        assert_eq!(after(25, grows).usage(), Usage::Normal);
        let overused = (26..50).find(|groups| after(*groups, grows).is_growing());
        assert!(overused.is_some_and(|groups| groups <= 48), "{overused:?}");
    }

    #[test]
    fn a_queue_that_empties_is_seen_too() {
        let shrinks = |group: u64| 400_000 - group.cast_signed() * 5_000;
        assert_eq!(after(60, shrinks).usage(), Usage::Under);
    }

    #[test]
    fn jitter_that_does_not_grow_is_no_queue() {
        let noise = |group: u64| (group.wrapping_mul(2_654_435_761) % 8_000).cast_signed();
        let overused = (30..400).filter(|groups| after(*groups, noise).is_growing()).count();
        assert_eq!(overused, 0);
    }

    #[test]
    fn a_clock_that_jumps_begins_anew() {
        let mut trend = after(60, |group| group.cast_signed() * 3_000);
        trend.note(2_000_000, 50_000_000);
        trend.note(2_020_000, 50_020_000);
        trend.note(2_040_000, 50_040_000);
        assert_eq!(trend.usage(), Usage::Normal);
    }
}
