//! The time of a camera's pictures. Stamps of cameras jump, repeat, run backwards
//! and begin anew; what is made of them must not. So each camera has a timeline of
//! its own, which begins at zero, only goes on, and goes on as fast as pictures come.

use std::collections::VecDeque;
use std::time::Duration;

use crate::cameras::engine::pace::Pace;
use crate::cameras::engine::statistics::Times;
use crate::domain::time::Timestamp;

/// Ticks per second of the timeline.
pub const TICKS_PER_S: i64 = 90_000;
/// A segment whose time is further than this from the end of the one before is not where that ended:
/// this server's clock was set. Networks hold pictures up for seconds, so raising it hides steps and
/// lowering it takes slow networks for them.
const CLOCK_SET_MIN: Duration = Duration::from_secs(10);
/// A stamp further from its neighbour than this, and than the time in which nothing came, is wrong, or
/// begins a new count.
pub(super) const JUMP_MAX: i64 = 5 * TICKS_PER_S;
/// So is one that is earlier than its neighbour by more than pictures may be out of order.
const BACK_MAX: i64 = TICKS_PER_S;
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
    /// Of the last picture, as it was sent, by the camera's clock, and on the timeline.
    told: i64,
    last: i64,
    /// When it came, in ticks of the arrival clock.
    arrived: i64,
    interval: i64,
    strays: u32,
    stray: i64,
    faults: u64,
    pace: Pace,
    order: Order,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            offset: None,
            told: 0,
            last: 0,
            arrived: 0,
            interval: INTERVAL_FIRST,
            strays: 0,
            stray: 0,
            faults: 0,
            pace: Pace::new(0, 0),
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
        let arrived = arrived.max(self.arrived);
        let goes_on = self.offset.is_some();
        let placed = self.place(stamp, arrived);
        let step = placed.saturating_sub(self.last);
        if goes_on && (1..=INTERVAL_MAX).contains(&step) {
            self.interval = (self.interval * 7 + step) / 8;
        }
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

    /// What is known of the times of its pictures.
    #[must_use]
    pub fn times(&self) -> Times {
        Times {
            faults: self.faults,
            clock_fault: self.pace.fault(),
            clock_drift_ppm: self.pace.drift_ppm(),
            has_b_frames: self.has_b_frames(),
        }
    }

    /// Whether pictures are sent in another order than they are shown.
    const fn has_b_frames(&self) -> bool {
        self.order.depth > 0
    }

    fn place(&mut self, stamp: i64, arrived: i64) -> i64 {
        let since = arrived.saturating_sub(self.arrived);
        let Some(offset) = self.offset else {
            // After a break the timeline has gone on for as long as the break took.
            let since = since.clamp(self.interval, i64::MAX / 4);
            let begin = if self.order.is_new() { 0 } else { self.last.saturating_add(since) };
            self.offset = Some(begin.saturating_sub(stamp));
            self.told = begin;
            self.pace = Pace::new(begin, arrived);
            return begin;
        };
        let told = self.told(stamp, offset, since);
        let step = told.saturating_sub(self.told);
        self.told = told;
        let has_b_frames = self.has_b_frames();
        let (placed, is_fault) = self.pace.handle((step, arrived), self.last, has_b_frames);
        self.faults += u64::from(is_fault);
        placed
    }

    /// The time of a picture by the camera's clock, without what is wrong in single stamps. It came
    /// `since` after the one before.
    fn told(&mut self, stamp: i64, offset: i64, since: i64) -> i64 {
        let told = stamp.saturating_add(offset);
        let step = told.saturating_sub(self.told);
        if (-BACK_MAX..=JUMP_MAX.saturating_add(since)).contains(&step) {
            self.strays = 0;
            return told;
        }
        self.faults += 1;
        let apart = stamp.saturating_sub(self.stray).unsigned_abs();
        let agrees = self.strays > 0 && apart <= JUMP_MAX.unsigned_abs();
        self.strays = if agrees { self.strays + 1 } else { 1 };
        self.stray = stamp;
        // It may be the first one after a while in which nothing came.
        let step = if since > INTERVAL_MAX { since } else { self.interval };
        let next = self.told.saturating_add(step);
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

/// When what began then and plays for so many ticks ends.
pub(in crate::cameras) fn end_of(began: Timestamp, ticks: u64) -> Timestamp {
    let us = ticks.saturating_mul(1_000_000) / TICKS_PER_S.unsigned_abs();
    began.after(Duration::from_micros(us))
}

/// Whether this server's clock was set, forward or back, between the end of a segment and the
/// beginning of the next one.
pub(in crate::cameras) fn is_clock_set(end: Timestamp, next: Timestamp) -> bool {
    next.since(end).max(end.since(next)) >= CLOCK_SET_MIN
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::camera::StreamFault;

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
        assert_eq!(timeline.times().faults, 3, "three pictures until the new count was believed");
    }

    #[test]
    fn equal_and_slightly_early_stamps_go_on_by_a_tick_and_are_no_b_frames() {
        let (moments, timeline) = run(&[0, 3_600, 3_600, 3_600, 7_200, 7_100, 10_800]);
        let shown: Vec<i64> = moments.iter().map(|moment| moment.show).collect();
        assert_eq!(shown, [0, 3_600, 3_601, 3_602, 7_200, 7_201, 10_800]);
        assert!(!timeline.has_b_frames());
        assert!(moments.iter().all(|moment| moment.show == moment.decode));
        assert_eq!(timeline.times().faults, 3);
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

    /// What a camera's clock tells at a time, both in seconds.
    type Told<'told> = &'told dyn Fn(f64) -> f64;
    /// When what is sent at a time comes, if it does.
    type Arrives<'arrives> = &'arrives dyn Fn(f64) -> Option<f64>;

    /// A camera of so many pictures a second, for so many seconds, whose clock tells `told` at a
    /// time in seconds; pictures are delayed by up to so many milliseconds, as `seed` has it.
    struct Clocked<'told> {
        fps: i64,
        seconds: i64,
        delay_ms: u64,
        seed: u64,
        told: Told<'told>,
    }

    /// What became of a picture, in ticks: when it was sent and came, and when it is shown.
    struct Came {
        sent: i64,
        arrived: i64,
        show: i64,
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test times")]
    fn ticks(seconds: f64) -> i64 {
        (seconds * TICKS_PER_S as f64).round() as i64
    }

    #[expect(clippy::cast_precision_loss, reason = "test times are short")]
    fn seconds(ticks: i64) -> f64 {
        ticks as f64 / TICKS_PER_S as f64
    }

    impl Clocked<'_> {
        fn run(&self) -> (Vec<Came>, Timeline) {
            let (mut timeline, mut came) = (Timeline::default(), Vec::new());
            let (mut drawn, mut arrived) = (self.seed, 0);
            for n in 0..self.fps * self.seconds {
                let sent = n * TICKS_PER_S / self.fps;
                drawn = drawn.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let delay = (drawn >> 33) % (self.delay_ms * 90 + 1);
                // What is held up holds up what follows it.
                arrived = arrived.max(sent + delay.cast_signed());
                let moment = timeline.handle(ticks((self.told)(seconds(sent))), arrived);
                came.push(Came { sent, arrived, show: moment.show });
            }
            (came, timeline)
        }
    }

    /// How far pictures are from where they belong at the worst, from the second `from` on.
    fn apart(came: &[Came], from: i64) -> f64 {
        let late = came.iter().filter(|it| it.sent >= from * TICKS_PER_S);
        seconds(late.map(|it| (it.show - it.arrived).abs()).max().expect("pictures"))
    }

    /// The least and the greatest time between two pictures, from the second `from` on.
    fn steps(came: &[Came], from: i64) -> (i64, i64) {
        let late = came.windows(2).filter(|two| two[0].sent >= from * TICKS_PER_S);
        let steps: Vec<i64> = late.map(|two| two[1].show - two[0].show).collect();
        (*steps.iter().min().expect("pictures"), *steps.iter().max().expect("pictures"))
    }

    #[test]
    fn a_clock_that_is_right_is_followed_to_the_tick_however_late_pictures_come() {
        for seed in 0..20 {
            for fps in [5, 15, 25] {
                let told = |s: f64| 7_777.0 + s;
                let (came, timeline) =
                    Clocked { fps, seconds: 600, delay_ms: 100, seed, told: &told }.run();
                let first = came[0].sent;
                assert!(came.iter().all(|it| it.show == it.sent - first), "{fps} {seed}");
                assert_eq!((timeline.times().faults, timeline.times().clock_fault), (0, None));
                let drift = timeline.times().clock_drift_ppm.expect("ten minutes are enough");
                assert!(drift.abs() < 500, "{drift} ppm");
            }
        }
    }

    #[test]
    fn an_hour_of_a_clock_that_drifts_is_an_hour_without_a_visible_step() {
        for (ppm, within) in [(200.0, 0.3), (-200.0, 0.3), (10_000.0, 0.4), (-30_000.0, 0.9)] {
            let told = |s: f64| s * (1.0 + ppm / 1e6);
            let (came, timeline) =
                Clocked { fps: 25, seconds: 3_600, delay_ms: 20, seed: 1, told: &told }.run();
            let apart = apart(&came, 0);
            assert!(apart < within, "{ppm} ppm: {apart} s");
            let (least, most) = steps(&came, 0);
            assert!(least > 3_300 && most < 3_900, "{ppm} ppm: steps of {least} to {most}");
            assert_eq!((timeline.times().faults, timeline.times().clock_fault), (0, None));
            let drift = timeline.times().clock_drift_ppm.expect("an hour is enough");
            assert!((f64::from(i32::try_from(drift).expect("small")) - ppm).abs() < 200.0);
        }
    }

    #[test]
    fn a_clock_that_is_grossly_wrong_is_not_followed_and_that_is_told() {
        let drifts = Some(StreamFault::ClockDrifts);
        let still = Some(StreamFault::ClockStandsStill);
        let cases: [(&str, Told<'_>, _, i64); 7] = [
            ("frozen after 4 s", &|s| s.min(4.0), still, -1_000_000),
            ("frozen from the beginning", &|_| 9.0, still, -1_000_000),
            ("a tenth", &|s| s * 0.1, drifts, -900_000),
            ("0.7", &|s| s * 0.7, drifts, -300_000),
            ("ten times", &|s| s * 10.0, drifts, 9_000_000),
            ("ten times after 9 s", &|s| s + (s - 9.0).max(0.0) * 9.0, drifts, 9_000_000),
            ("twice backwards", &|s| s * -2.0, drifts, -3_000_000),
        ];
        for (what, told, fault, ppm) in cases {
            for (fps, delay_ms) in [(15, 0), (15, 60), (2, 0), (30, 10)] {
                let (came, timeline) = Clocked { fps, seconds: 240, delay_ms, seed: 7, told }.run();
                let what = format!("{what}, {fps} pictures a second, {delay_ms} ms");
                assert_eq!(timeline.times().clock_fault, fault, "{what}");
                assert!(timeline.times().faults > 60, "{what}: {}", timeline.times().faults);
                let drift = timeline.times().clock_drift_ppm.expect("measured");
                assert!((drift - ppm).abs() < 100_000 + ppm.abs() / 10, "{what}: {drift} ppm");
                // Two minutes of pictures are two minutes, with steps as they come.
                let last = came.last().expect("pictures");
                let then = came.iter().find(|it| it.sent >= 120 * TICKS_PER_S).expect("pictures");
                let (shown, took) = (last.show - then.show, last.sent - then.sent);
                assert!((seconds(shown - took)).abs() < 0.3, "{what}: {shown} of {took}");
                let (least, most) = steps(&came, 120);
                let usual = TICKS_PER_S / fps;
                assert!(
                    least > usual * 8 / 10 && most < usual * 12 / 10,
                    "{what}: {least}, {most}"
                );
            }
        }
    }

    #[test]
    fn a_clock_that_is_right_again_is_followed_again() {
        let told = |s: f64| if s < 30.0 { s } else { (s - 20.0).max(30.0) };
        let camera = Clocked { fps: 15, seconds: 45, delay_ms: 10, seed: 3, told: &told };
        assert_eq!(camera.run().1.times().clock_fault, Some(StreamFault::ClockStandsStill));
        let (came, timeline) = Clocked { seconds: 180, ..camera }.run();
        assert_eq!(timeline.times().clock_fault, None);
        assert!(apart(&came, 150) < 0.3);
        let last = came.len() - 1;
        assert_eq!(came[last].show - came[last - 1].show, TICKS_PER_S / 15);
    }

    /// The pictures of 15 a second of a clock that is right, which come when `arrives` says.
    fn arriving(arrives: impl Fn(f64) -> Option<f64>) -> (Vec<Came>, Timeline) {
        let (mut timeline, mut came) = (Timeline::default(), Vec::new());
        for sent in (0..15 * 120).map(|n| n * TICKS_PER_S / 15) {
            let Some(arrived) = arrives(seconds(sent)).map(ticks) else { continue };
            let show = timeline.handle(sent, arrived).show;
            came.push(Came { sent, arrived, show });
        }
        (came, timeline)
    }

    #[test]
    fn what_is_held_up_or_sent_at_once_or_lost_for_a_while_is_no_drift() {
        let held_up = |s: f64| Some(if (20.0..23.0).contains(&s) { 23.0 } else { s });
        let bunched = |s: f64| Some((s * 4.0).ceil() / 4.0);
        let at_once_in_the_beginning = |s: f64| Some(s.max(3.0) - 3.0);
        let lost = |s: f64| (!(20.0..24.0).contains(&s)).then_some(s);
        let lost_for_longer = |s: f64| (!(20.0..27.0).contains(&s)).then_some(s);
        let cases: [(&str, Arrives<'_>); 5] = [
            ("held up for 3 s", &held_up),
            ("four bunches a second", &bunched),
            ("3 s at once", &at_once_in_the_beginning),
            ("lost for 4 s", &lost),
            ("lost for 7 s", &lost_for_longer),
        ];
        for (what, arrives) in cases {
            let (came, timeline) = arriving(arrives);
            assert!(came.iter().all(|it| it.show == it.sent), "{what}");
            assert_eq!(
                (timeline.times().faults, timeline.times().clock_fault),
                (0, None),
                "{what}"
            );
        }
        // From now on everything comes 0.9 s later: it is shown later, little by little.
        let (came, timeline) = arriving(|s| Some(if s < 20.0 { s } else { s + 0.9 }));
        assert_eq!((timeline.times().faults, timeline.times().clock_fault), (0, None));
        assert!(apart(&came, 100) < 0.2);
        let (least, most) = steps(&came, 0);
        assert!(least >= 6_000 && most < 6_500, "{least} {most}");
    }

    #[test]
    fn a_clock_that_is_set_by_hours_or_counts_to_its_end_goes_on() {
        let wrapped = f64::from(u32::MAX) / 90_000.0;
        let cases: [(&str, Told<'_>); 5] = [
            ("11 hours on", &|s| if s < 30.0 { s } else { s + 40_000.0 }),
            ("an hour back", &|s| if s < 30.0 { s } else { s - 3_600.0 }),
            ("3 s back", &|s| if s < 30.0 { s } else { s - 3.0 }),
            ("extended beyond 32 bits", &|s| s + wrapped - 30.0),
            ("of 32 bits", &|s| if s < 30.0 { s + wrapped - 30.0 } else { s - 30.0 }),
        ];
        for (what, told) in cases {
            let (came, timeline) =
                Clocked { fps: 15, seconds: 90, delay_ms: 40, seed: 5, told }.run();
            assert_eq!(timeline.times().clock_fault, None, "{what}");
            assert!(timeline.times().faults <= 3, "{what}: {}", timeline.times().faults);
            assert!(came.iter().all(|it| (it.show - it.sent).abs() < 30), "{what}");
        }
    }

    #[test]
    fn b_frames_of_a_slow_clock_stay_in_order() {
        let mut timeline = Timeline::default();
        let mut shown = Vec::new();
        for n in 0..25 * 120_i64 {
            // P B B: shown 3 1 2 6 4 5.
            let number = n + [2, -1, -1][usize::try_from(n % 3).expect("small")];
            let moment = timeline.handle(number * 3_600 * 7 / 10, n * 3_600);
            shown.push((number, moment.show));
        }
        assert!(timeline.has_b_frames());
        assert_eq!(timeline.times().clock_fault, Some(StreamFault::ClockDrifts));
        shown.drain(..25 * 60);
        shown.sort_unstable();
        for two in shown.windows(2) {
            let step = two[1].1 - two[0].1;
            assert!((2_900..4_300).contains(&step), "{step} after {}", two[0].0);
        }
        let (first, last) = (shown[0], shown[shown.len() - 1]);
        let lasted = (last.1 - first.1) - (last.0 - first.0) * 3_600;
        assert!(lasted.abs() < 27_000, "{lasted} ticks");
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
