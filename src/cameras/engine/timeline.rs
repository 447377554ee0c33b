//! The time of a camera's pictures. Stamps of cameras jump, repeat, run backwards
//! and begin anew; what is made of them must not. So each camera has a timeline of
//! its own, which begins at zero and only goes on.

use std::collections::VecDeque;

/// Ticks per second of the timeline.
pub const TICKS_PER_S: i64 = 90_000;
/// A stamp further from its neighbour than this is wrong, or begins a new count.
const JUMP_MAX: i64 = 5 * TICKS_PER_S;
/// Stamps in a row that agree with each other and not with those before: from this
/// many on they are a new count.
const NEW_COUNT: u32 = 3;
/// Longest time between two pictures from which the usual one is learnt.
const INTERVAL_MAX: i64 = TICKS_PER_S;
/// Time between two pictures until it is known: of 25 a second.
const INTERVAL_FIRST: i64 = TICKS_PER_S / 25;
/// Pictures that are looked back on to see how far they are out of order. H.264
/// keeps at most 16.
const REORDERED_MAX: usize = 16;
/// Pictures that are shown before an earlier one, within [`OBSERVED`], from which
/// on the camera has B-frames; fewer are taken for wrong stamps.
const REORDERED_MIN: u32 = 3;
/// Pictures over which those out of order are counted.
const OBSERVED: u32 = 100;

/// When a picture is decoded and when it is shown, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When it is decoded: later than the picture before.
    pub decode: i64,
    /// When it is shown: not before it is decoded.
    pub show: i64,
}

/// The timeline of one camera.
#[derive(Debug)]
pub struct Timeline {
    /// What is added to stamps; nothing before the first one.
    offset: Option<i64>,
    /// Of the last picture, as it was sent, on the timeline.
    last: i64,
    /// When it came, in ticks of the arrival clock.
    arrived: i64,
    interval: i64,
    strays: u32,
    stray: i64,
    faults: u64,
    order: Order,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            offset: None,
            last: 0,
            arrived: 0,
            interval: INTERVAL_FIRST,
            strays: 0,
            stray: 0,
            faults: 0,
            order: Order::default(),
        }
    }
}

impl Timeline {
    /// The camera was called again: its stamps begin anew, and time went on.
    pub fn handle_new_source(&mut self) {
        self.offset = None;
        self.strays = 0;
        // What was out of order before belongs to times before the break.
        self.order = Order { decoded: self.order.decoded, ..Order::default() };
    }

    /// Places a picture with this stamp that came at `arrived`, both in ticks.
    pub fn handle(&mut self, stamp: i64, arrived: i64) -> Moment {
        let placed = self.place(stamp, arrived);
        self.last = placed;
        self.arrived = arrived;
        let (moment, is_fault) = self.order.handle(placed);
        self.faults += u64::from(is_fault);
        moment
    }

    /// The time of the pictures when it is `arrived` by the arrival clock; nothing before the
    /// first one. A picture is whole when the next one begins.
    #[must_use]
    pub fn now(&self, arrived: i64) -> Option<i64> {
        let since = arrived.saturating_sub(self.arrived).max(0);
        let whole = self.last.saturating_add(self.interval);
        (!self.order.is_new()).then(|| whole.saturating_add(since))
    }

    /// Stamps that could not be.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.faults
    }

    /// Whether pictures are sent in another order than they are shown.
    #[must_use]
    pub const fn has_b_frames(&self) -> bool {
        self.order.depth > 0
    }

    fn place(&mut self, stamp: i64, arrived: i64) -> i64 {
        let Some(offset) = self.offset else {
            // After a break the timeline has gone on for as long as the break took.
            let since = arrived.saturating_sub(self.arrived).clamp(self.interval, i64::MAX / 4);
            let begin = if self.order.is_new() { 0 } else { self.last.saturating_add(since) };
            self.offset = Some(begin.saturating_sub(stamp));
            return begin;
        };
        let placed = stamp.saturating_add(offset);
        let step = placed.saturating_sub(self.last);
        if step.unsigned_abs() <= JUMP_MAX.unsigned_abs() {
            self.strays = 0;
            if (1..=INTERVAL_MAX).contains(&step) {
                self.interval = (self.interval * 7 + step) / 8;
            }
            return placed;
        }
        self.faults += 1;
        let apart = stamp.saturating_sub(self.stray).unsigned_abs();
        let agrees = self.strays > 0 && apart <= JUMP_MAX.unsigned_abs();
        self.strays = if agrees { self.strays + 1 } else { 1 };
        self.stray = stamp;
        let next = self.last.saturating_add(self.interval);
        if self.strays >= NEW_COUNT {
            self.strays = 0;
            self.offset = Some(next.saturating_sub(stamp));
        }
        next
    }
}

/// In which order pictures are decoded and shown. RTSP tells only when they are
/// shown, so when they are decoded is what their order allows.
#[derive(Debug, Default)]
struct Order {
    /// How many pictures may be decoded before one that is shown earlier.
    depth: usize,
    /// The last times of showing, as they came.
    recent: VecDeque<i64>,
    /// Times of showing that no picture was decoded at, the earliest first.
    open: Vec<i64>,
    decoded: Option<i64>,
    observed: u32,
    reordered: u32,
}

impl Order {
    const fn is_new(&self) -> bool {
        self.decoded.is_none()
    }

    /// The moment of a picture that is shown at `show`, and whether that was changed.
    fn handle(&mut self, show: i64) -> (Moment, bool) {
        self.observe(show);
        let at = self.open.partition_point(|open| *open <= show);
        self.open.insert(at, show);
        // Until as many are open as may be out of order, time begins a little earlier.
        let wanted = if self.open.len() > self.depth {
            self.open.remove(0)
        } else {
            self.decoded.map_or(show, |last| last + 1)
        };
        let decode = self.decoded.map_or(wanted, |last| wanted.max(last.saturating_add(1)));
        self.decoded = Some(decode);
        let shown = show.max(decode);
        (Moment { decode, show: shown }, shown != show)
    }

    fn observe(&mut self, show: i64) {
        self.observed += 1;
        if self.observed > OBSERVED {
            self.observed = 0;
            self.reordered = 0;
        }
        let is_near = |recent: &&i64| **recent > show && **recent - show <= INTERVAL_MAX;
        let before = self.recent.iter().filter(is_near).count();
        if before > 0 {
            self.reordered = self.reordered.saturating_add(1);
            if self.reordered >= REORDERED_MIN || self.depth > 0 {
                self.depth = self.depth.max(before);
            }
        }
        self.recent.push_back(show);
        if self.recent.len() > REORDERED_MAX {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The moments of pictures that come 40 ms apart with these stamps.
    fn run(stamps: &[i64]) -> (Vec<Moment>, Timeline) {
        let mut timeline = Timeline::default();
        let moments =
            (0_i64..).zip(stamps).map(|(n, stamp)| timeline.handle(*stamp, n * 3_600)).collect();
        (moments, timeline)
    }

    fn shown(stamps: &[i64]) -> Vec<i64> {
        run(stamps).0.iter().map(|moment| moment.show).collect()
    }

    #[test]
    fn a_timeline_begins_at_zero_wherever_the_camera_begins() {
        assert_eq!(shown(&[7_000_000_000, 7_000_003_600, 7_000_007_200]), [0, 3_600, 7_200]);
        assert_eq!(shown(&[-5, 3_595]), [0, 3_600]);
    }

    #[test]
    fn one_wrong_stamp_is_put_behind_the_picture_before() {
        for wrong in [-9_800 * TICKS_PER_S, 37_600 * TICKS_PER_S] {
            let moments = shown(&[0, 3_600, 7_200 + wrong, 10_800, 14_400]);
            assert_eq!(moments, [0, 3_600, 7_200, 10_800, 14_400]);
        }
    }

    #[test]
    fn a_count_that_begins_anew_is_joined_on() {
        let base = 900_000_000;
        let stamps = [base, base + 3_600, 0, 3_600, 7_200, 10_800, 14_400];
        let (moments, timeline) = run(&stamps);
        let shown: Vec<i64> = moments.iter().map(|moment| moment.show).collect();
        assert_eq!(shown, [0, 3_600, 7_200, 10_800, 14_400, 18_000, 21_600]);
        assert_eq!(timeline.faults(), 3, "three pictures until the new count was believed");
    }

    #[test]
    fn equal_and_slightly_early_stamps_go_on_by_a_tick_and_are_no_b_frames() {
        let (moments, timeline) = run(&[0, 3_600, 3_600, 3_600, 7_200, 7_100, 10_800]);
        let shown: Vec<i64> = moments.iter().map(|moment| moment.show).collect();
        assert_eq!(shown, [0, 3_600, 3_601, 3_602, 7_200, 7_201, 10_800]);
        assert!(!timeline.has_b_frames());
        assert!(moments.iter().all(|moment| moment.show == moment.decode));
        assert_eq!(timeline.faults(), 3);
    }

    #[test]
    fn after_a_break_time_has_gone_on_as_long_as_it_took() {
        let mut timeline = Timeline::default();
        timeline.handle(500, 0);
        timeline.handle(4_100, 3_600);
        timeline.handle_new_source();
        let first = timeline.handle(77, 3_600 + 10 * TICKS_PER_S);
        assert_eq!(first.show, 3_600 + 10 * TICKS_PER_S);
        assert_eq!(timeline.handle(77 + 3_600, 0).show, first.show + 3_600);
    }

    #[test]
    fn b_frames_are_decoded_in_order_and_shown_at_their_time() {
        // I P B B P B B: shown 0 3 1 2 6 4 5, as x264 sends them.
        let frame = 3_600;
        let order: Vec<i64> = [0]
            .into_iter()
            .chain((0..20).flat_map(|n| [n * 3 + 3, n * 3 + 1, n * 3 + 2]))
            .collect();
        let stamps: Vec<i64> = order.iter().map(|n| n * frame).collect();
        let (moments, timeline) = run(&stamps);
        assert!(timeline.has_b_frames());
        // Once they are known for what they are, every picture is shown when it is to be.
        for (moment, stamp) in moments.iter().zip(&stamps).skip(12) {
            assert_eq!(moment.show, *stamp);
            assert!(moment.decode <= moment.show);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_stamped_decoding_goes_on_and_showing_is_not_before(
            stamps in prop::collection::vec(any::<i64>(), 0..60),
            near in prop::collection::vec(-200_000_i64..200_000, 0..60),
        ) {
            let mut timeline = Timeline::default();
            let mut last = -1;
            for (n, stamp) in (0_i64..).zip(stamps.into_iter().chain(near)) {
                if n % 17 == 16 {
                    timeline.handle_new_source();
                }
                let moment = timeline.handle(stamp, n * 3_600);
                prop_assert!(moment.decode > last, "{moment:?} after {last}");
                prop_assert!(moment.show >= moment.decode);
                last = moment.decode;
            }
            prop_assert!(timeline.order.open.len() <= REORDERED_MAX + 1);
        }
    }
}
