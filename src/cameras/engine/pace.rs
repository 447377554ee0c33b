//! How fast a camera's clock runs beside that of arrival. Packets come late and in bursts but do not
//! come early, so the pictures that were delayed the least tell it. What a clock drifts is made up for
//! in steps that nobody sees; one that is grossly wrong is not followed until it is right again.

use std::collections::VecDeque;

use crate::cameras::engine::timeline::{JUMP_MAX, TICKS_PER_S};
use crate::domain::camera::StreamFault;

/// Time and pictures of which the one that was delayed the least is looked at. Raising them finds
/// out later, and is misled by fewer delays.
const WINDOW: i64 = TICKS_PER_S;
const WINDOW_PICTURES: u32 = 4;
/// A time without pictures counts for a window up to so much: what was held up comes at once then.
const GAP_COUNTED: i64 = TICKS_PER_S / 2;
/// By how many thousandths a clock may be wrong and still be followed; from the second on it is
/// plain after two windows, and otherwise after three.
const WRONG_PERMILLE: i64 = 80;
const PLAIN_PERMILLE: i64 = 500;
const WRONG_WINDOWS: usize = 3;
const PLAIN_WINDOWS: usize = 2;
/// Windows in a row in which a wrong clock must be right until it is followed again.
const RIGHT_WINDOWS: u32 = 10;
/// Steps of at most so many ticks are none: a clock with so many of them in a row, for so long, stands
/// still.
const STILL: i64 = TICKS_PER_S / 1_000;
const STILL_STEPS: u32 = 4;
const STILL_FOR: i64 = TICKS_PER_S * 3 / 10;
/// How far the pictures may be from their arrival until that is made up for, and until it is not any
/// more. The first is more than pictures are delayed now and then.
const APART_MAX: i64 = TICKS_PER_S / 5;
const APART_MIN: i64 = TICKS_PER_S / 50;
/// Over which time it is made up for: of a clock that is followed, and of one that is not.
const MADE_UP_IN: i64 = 20 * TICKS_PER_S;
const MADE_UP_IN_WRONG: i64 = 4 * TICKS_PER_S;
/// By how many millionths a step is changed at most: less than parts may be longer than their pictures.
const CHANGE_PPM_MAX: i64 = 80_000;
/// How far pictures may ever be before their arrival, and behind it.
const BEFORE_MAX: i64 = 2 * TICKS_PER_S;
const BEHIND_MAX: i64 = JUMP_MAX;
/// Pictures over which the time between them is averaged.
const AVERAGED: i64 = 32;
/// How long a clock is looked at until it is said how much it drifts: one that is followed, and one
/// that is not; and after how long what was before is forgotten.
const DRIFT_AFTER: i64 = 30 * TICKS_PER_S;
const DRIFT_AFTER_WRONG: i64 = 2 * TICKS_PER_S;
const DRIFT_OVER: i64 = 300 * TICKS_PER_S;
const MILLION: i64 = 1_000_000;

/// A moment by the camera's clock, and by that of arrival.
#[derive(Debug, Clone, Copy)]
struct Both {
    told: i64,
    arrived: i64,
}

impl Both {
    const fn lead(self) -> i64 {
        self.told.saturating_sub(self.arrived)
    }

    /// How much further the camera's clock went than that of arrival since `before`.
    const fn gained(self, before: Self) -> i64 {
        self.lead().saturating_sub(before.lead())
    }

    const fn since(self, before: Self) -> i64 {
        self.arrived.saturating_sub(before.arrived)
    }

    /// By how many thousandths the clock ran too fast since `before`.
    fn wrong_permille(self, before: Self) -> i64 {
        // The two may lie side by side, each at an end of its window.
        self.gained(before).saturating_mul(1_000) / self.since(before).max(WINDOW)
    }
}

/// Pictures of a while.
#[derive(Debug, Clone, Copy)]
struct Window {
    lasted: i64,
    pictures: u32,
    /// The picture that was delayed the least.
    best: Both,
    /// How far pictures were placed before their arrival, of the one that was delayed the least.
    lead: i64,
}

/// The pace of one camera, since it was called.
#[derive(Debug)]
pub(super) struct Pace {
    /// The last picture by the camera's clock, and when it came.
    last: Both,
    window: Option<Window>,
    /// The best of the last windows.
    bests: VecDeque<Both>,
    /// How far pictures are to be before their arrival.
    aim: i64,
    is_aimed: bool,
    fault: Option<StreamFault>,
    rights: u32,
    stills: u32,
    still_since: i64,
    /// By how many millionths steps are changed.
    change_ppm: i64,
    /// Time from one picture to the next by arrival, and of how many pictures.
    every: i64,
    gaps: i64,
    /// From where it is measured how much the clock drifts, and from where it will be next.
    drift_from: Option<[Both; 2]>,
}

impl Pace {
    /// Pictures begin: the first one, which came at `arrived`, is placed at `begin`.
    pub(super) fn new(begin: i64, arrived: i64) -> Self {
        let first = Both { told: begin, arrived };
        Self {
            last: first,
            window: None,
            bests: VecDeque::new(),
            aim: first.lead(),
            is_aimed: false,
            fault: None,
            rights: 0,
            stills: 0,
            still_since: arrived,
            change_ppm: 0,
            every: 0,
            gaps: 0,
            drift_from: None,
        }
    }

    /// Why the camera's clock is not followed; nothing when it is.
    pub(super) const fn fault(&self) -> Option<StreamFault> {
        self.fault
    }

    /// By how many millionths the camera's clock is too fast, once that is known.
    pub(super) fn drift_ppm(&self) -> Option<i64> {
        let [from, _] = self.drift_from?;
        let last = *self.bests.back()?;
        let after = if self.fault.is_some() { DRIFT_AFTER_WRONG } else { DRIFT_AFTER };
        let since = last.since(from);
        (since >= after).then(|| last.gained(from).saturating_mul(MILLION) / since)
    }

    /// The next picture, which is `step` later than the one before by the camera's clock and came at
    /// `arrived`; that one was placed at `before`. Where it is placed, and whether that is not what
    /// the camera says.
    pub(super) fn handle(
        &mut self,
        (step, arrived): (i64, i64),
        before: i64,
        has_b_frames: bool,
    ) -> (i64, bool) {
        let gap = self.measure(step, arrived);
        let ahead = before.saturating_add(step).saturating_sub(arrived.saturating_add(self.aim));
        let own = match self.own_step(step, has_b_frames) {
            // Nobody sees a picture for longer because its clock runs ahead of its arrival.
            own if self.is_aimed && ahead > APART_MAX && !has_b_frames => {
                own.min(2 * self.every.max(gap))
            }
            own => own,
        };
        let change = own.saturating_mul(self.change_ppm) / MILLION;
        let placed = before.saturating_add(own).saturating_add(change);
        let most = if self.is_aimed { BEFORE_MAX } else { JUMP_MAX };
        let due = arrived.saturating_add(self.aim);
        let within = placed.clamp(due.saturating_sub(BEHIND_MAX), due.saturating_add(most));
        self.look(within);
        (within, self.fault.is_some() || own != step || within != placed)
    }

    /// Measures the next picture; how long after the one before it came.
    fn measure(&mut self, step: i64, arrived: i64) -> i64 {
        let gap = arrived.saturating_sub(self.last.arrived).clamp(0, JUMP_MAX);
        self.gaps = (self.gaps + 1).min(AVERAGED);
        self.every += (gap - self.every) / self.gaps;
        if step.saturating_abs() > STILL {
            self.stills = 0;
        } else {
            if self.stills == 0 {
                self.still_since = self.last.arrived;
            }
            self.stills = self.stills.saturating_add(1);
        }
        let told = self.last.told.saturating_add(step);
        self.last = Both { told, arrived };
        if let Some(window) = &mut self.window {
            window.lasted += gap.min(GAP_COUNTED);
        }
        if self.stands_still() && self.fault != Some(StreamFault::ClockStandsStill) {
            self.judge(Some(StreamFault::ClockStandsStill));
        }
        gap
    }

    fn stands_still(&self) -> bool {
        let lasted = self.last.arrived.saturating_sub(self.still_since);
        self.stills >= STILL_STEPS && lasted >= STILL_FOR
    }

    /// The step that is made of the camera's, before it is changed towards the arrival.
    fn own_step(&self, step: i64, has_b_frames: bool) -> i64 {
        match self.fault {
            None => step,
            // Pictures that come in another order than they are shown can only be told apart by
            // their stamps.
            Some(StreamFault::ClockDrifts) if has_b_frames => {
                let (Some(from), Some(to)) = (self.bests.front(), self.bests.back()) else {
                    return self.every;
                };
                match to.told.saturating_sub(from.told) {
                    told @ 1.. => step.saturating_mul(to.since(*from)) / told,
                    _ => self.every,
                }
            }
            Some(_) => self.every,
        }
    }

    /// Looks at the last picture, which was placed at `placed`.
    fn look(&mut self, placed: i64) {
        let (best, lead) = (self.last, placed.saturating_sub(self.last.arrived));
        let new = Window { lasted: 0, pictures: 0, best, lead };
        let window = self.window.get_or_insert(new);
        window.pictures += 1;
        window.lead = window.lead.max(lead);
        if best.lead() > window.best.lead() {
            window.best = best;
        }
        if window.lasted >= WINDOW && window.pictures >= WINDOW_PICTURES {
            let window = *window;
            self.window = None;
            self.handle_window(window);
        }
    }

    fn handle_window(&mut self, window: Window) {
        if !self.is_aimed {
            // What a camera sends at once in the beginning came before: that is no drift.
            self.aim = window.lead;
            self.is_aimed = true;
        }
        if self.bests.len() > WRONG_WINDOWS {
            self.bests.pop_front();
        }
        self.bests.push_back(window.best);
        self.handle_drift(window.best);
        let wrongs: Vec<i64> = self
            .bests
            .iter()
            .zip(self.bests.iter().skip(1))
            .map(|(before, next)| next.wrong_permille(*before))
            .collect();
        let are = |count: usize, least: i64| {
            let newest = wrongs.len().checked_sub(count).and_then(|from| wrongs.get(from..));
            newest.is_some_and(|all| {
                all.iter().all(|it| *it > least) || all.iter().all(|it| *it < -least)
            })
        };
        let is_right = wrongs.last().is_some_and(|it| it.abs() <= WRONG_PERMILLE);
        self.rights = if is_right { self.rights + 1 } else { 0 };
        if are(WRONG_WINDOWS, WRONG_PERMILLE) || are(PLAIN_WINDOWS, PLAIN_PERMILLE) {
            if !self.stands_still() && self.fault != Some(StreamFault::ClockDrifts) {
                self.judge(Some(StreamFault::ClockDrifts));
            }
        } else if self.fault.is_some() && self.rights >= RIGHT_WINDOWS {
            self.judge(None);
        }
        self.make_up_for(window.lead.saturating_sub(self.aim));
    }

    fn judge(&mut self, fault: Option<StreamFault>) {
        self.fault = fault;
        self.rights = 0;
        // What the clock did before says nothing about what it does now.
        self.drift_from = None;
    }

    fn handle_drift(&mut self, best: Both) {
        let [from, next] = self.drift_from.get_or_insert([best; 2]);
        if best.since(*next) >= DRIFT_OVER {
            *from = std::mem::replace(next, best);
        }
    }

    /// Changes steps so that pictures that are so far apart from their arrival come nearer to it.
    fn make_up_for(&mut self, apart: i64) {
        let is_far = apart.saturating_abs() > APART_MAX;
        let is_near = apart.saturating_abs() < APART_MIN;
        if is_near || (self.change_ppm == 0 && !is_far) {
            self.change_ppm = 0;
            return;
        }
        let over = if self.fault.is_some() { MADE_UP_IN_WRONG } else { MADE_UP_IN };
        let change = apart.saturating_mul(MILLION) / over;
        self.change_ppm = -change.clamp(-CHANGE_PPM_MAX, CHANGE_PPM_MAX);
    }
}
