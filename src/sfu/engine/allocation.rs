//! How the estimate of a path is shared among the streams to its receiver. Sound always goes. Then
//! everybody is to be seen, then the most important ones well: whoever has the floor, shared screens,
//! whoever speaks, the rest. What does not fit goes down at once; what would fit goes up after the path
//! has shown the room for it. When not even the lowest layers fit, the least important are left out.

use crate::domain::id::TrackId;
use crate::domain::media::MediaKind;
use crate::sfu::plane::{Gate, MediaEvent, Priority};

use super::Forwarder;
use super::publication::{ENCODINGS_MAX, Publication};
use super::slots::Slots;
use super::subscription::Subscription;

/// Time between two allocations.
pub(super) const INTERVAL_US: u64 = 60_000;
/// Part of an estimate by which what is sent already may exceed it, in hundredths: rates of encodings
/// waver, and so do estimates.
const SLACK_PERCENT: u64 = 10;
/// Part by which the path must have shown more than is needed before anything goes up.
const HEADROOM_PERCENT: u64 = 10;
/// Time from the last change downwards to the next one upwards.
const HOLD_US: u64 = 2_000_000;
/// Time after something went up on a path that has shown a limit until it is probed for more: the key
/// frame with which it begins is a burst of its own.
const SETTLE_US: u64 = 2_000_000;
/// It doubles up to this, when what went up came down again soon.
const HOLD_US_MAX: u64 = 32_000_000;
/// Estimates dip after a key frame, and come back. For this long a track keeps its lowest layer although
/// it doesn't fit, unless it would take twice as much as there is.
const PATIENCE_US: u64 = 1_500_000;
/// How soon that is. Who has not come down for this long starts over.
const SOON_US: u64 = 15_000_000;

/// What one path is given, and when it may be given more.
#[derive(Debug, Clone, Default)]
pub(super) struct Allocated {
    raised_us: Option<u64>,
    lowered_us: Option<u64>,
    hold_us: u64,
    /// Since when not all lowest layers fit.
    short_us: Option<u64>,
    /// Whether the receiver was last told that pictures are left out.
    told: bool,
}

/// The layers of a track that its receiver could be sent, from the lowest up.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    layers: [u8; ENCODINGS_MAX],
    /// What each takes; `None` until it was measured.
    bps: [Option<u64>; ENCODINGS_MAX],
    length: usize,
}

/// A stream of pictures that wants a share.
#[derive(Debug)]
pub(super) struct Claim {
    at: usize,
    rank: (std::cmp::Reverse<Priority>, u64),
    ladder: Ladder,
    /// The step of its ladder that it has now; `None` while it is left out.
    had: Option<usize>,
    /// Whether it was never given anything, so that nothing has to be shown for it.
    is_new: bool,
    /// The step that it gets.
    gets: Option<usize>,
}

/// The sum of all, and what is still left.
#[expect(clippy::struct_excessive_bools, reason = "each is a condition of its own")]
struct Budget {
    left: u64,
    slack: u64,
    /// What all that is given takes.
    used: u64,
    /// What may be used once something goes up.
    shown: u64,
    may_rise: bool,
    /// Whether what is left out may be seen again.
    may_return: bool,
    /// Whether the path has ever shown a limit.
    is_limited: bool,
    /// Whether lowest layers have not fitted for long enough to leave some out.
    may_leave_out: bool,
    /// Whether not all lowest layers fit.
    is_short: bool,
    /// What the path would have to carry for the next step upwards.
    wanted: Option<u64>,
}

impl Budget {
    fn holds(&self, bps: u64) -> bool {
        bps <= self.left + self.slack
    }

    /// Whether there is room for something that takes this much more. If not, it is noted as wanted.
    /// Neither, while nothing may go up (`is_allowed`).
    fn rises(&mut self, more: u64, is_allowed: bool) -> bool {
        let needed = percent(self.used + more, 100 + HEADROOM_PERCENT);
        if !is_allowed {
            return false;
        }
        if more <= self.left && needed <= self.shown {
            return true;
        }
        self.wanted = Some(self.wanted.map_or(needed, |wanted| wanted.min(needed)));
        false
    }

    /// Whether something that is sent goes on although it may not fit.
    fn keeps(&mut self, bps: u64) -> bool {
        let fits = self.holds(bps);
        self.is_short |= !fits;
        fits || (!self.may_leave_out && bps <= 2 * (self.left + self.slack))
    }

    const fn take(&mut self, bps: u64) {
        self.left = self.left.saturating_sub(bps);
        self.used += bps;
    }
}

const fn percent(of: u64, percent: u64) -> u64 {
    of.saturating_mul(percent) / 100
}

impl Forwarder {
    /// Shares what each path carries among the streams to its receiver.
    pub(super) fn allocate(&mut self, now_us: u64) {
        for slot in 0..self.transports.reach() {
            let Some(transport) = self.transports.at(slot) else { continue };
            let Some(path) = &transport.path else { continue };
            match path.congestion.estimate_bps(now_us) {
                Some(bps) => self.share(slot, bps, now_us),
                None => self.give_all(slot, now_us),
            }
        }
    }

    fn share(&mut self, slot: usize, bps: u64, now_us: u64) {
        let mut claims = std::mem::take(&mut self.scratch.claims);
        claims.clear();
        let mut budget = self.budget(slot, bps, now_us);
        let Self { transports, subscriptions, publications, .. } = self;
        let streams = transports.at(slot).map(|transport| transport.subscriptions.as_slice());
        for &at in streams.unwrap_or_default() {
            let Some(subscription) = subscriptions.at_mut(at) else { continue };
            match claim(subscription, publications) {
                Some(claim) => claims.push(Claim { at, ..claim }),
                None => subscription.claim_nothing(),
            }
        }
        claims.sort_by_key(|claim| claim.rank);
        for claim in &mut claims {
            claim.see(&mut budget);
        }
        for claim in &mut claims {
            claim.see_well(&mut budget);
        }
        self.carry_out(slot, &claims, &budget, now_us);
        self.scratch.claims = claims;
    }

    fn budget(&self, slot: usize, bps: u64, now_us: u64) -> Budget {
        let mut sound = 0;
        let mut budget = Budget {
            left: bps,
            slack: percent(bps, SLACK_PERCENT),
            used: 0,
            shown: bps,
            may_rise: true,
            may_return: true,
            is_limited: true,
            may_leave_out: true,
            is_short: false,
            wanted: None,
        };
        let Some(transport) = self.transports.at(slot) else { return budget };
        for subscription in
            transport.subscriptions.iter().filter_map(|&it| self.subscriptions.at(it))
        {
            if subscription.kind == MediaKind::Audio
                && let Some(publication) =
                    subscription.source.and_then(|it| self.publications.at(it))
                && publication.gate == Gate::Open
            {
                let encoding = publication.encodings.first();
                sound += encoding.and_then(|encoding| encoding.flow.bps()).unwrap_or(0);
            }
        }
        if let Some(path) = &transport.path {
            budget.shown = path.congestion.shown_bps();
            budget.is_limited = path.congestion.was_limited();
            budget.may_rise = path.allocated.may_rise(budget.is_limited, now_us);
            budget.may_return = path.allocated.may_return(now_us);
            budget.may_leave_out = path.allocated.may_leave_out(now_us);
        }
        budget.take(sound);
        budget
    }

    fn carry_out(&mut self, slot: usize, claims: &[Claim], budget: &Budget, now_us: u64) {
        let (mut rose, mut fell, mut changed) = (false, false, false);
        for claim in claims {
            rose |= !claim.is_new && claim.gets > claim.had;
            fell |= claim.gets < claim.had;
            let Some(subscription) = self.subscriptions.at_mut(claim.at) else { continue };
            let layer = claim.gets.map(|step| claim.ladder.layers[step]);
            let was_left_out = subscription.is_left_out;
            let allowed_before = subscription.layer_allowed;
            subscription.is_left_out = layer.is_none();
            subscription.is_placed = true;
            if let Some(layer) = layer {
                subscription.layer_allowed = layer;
            } else {
                subscription.end_segment();
            }
            changed |= was_left_out != subscription.is_left_out;
            if was_left_out != subscription.is_left_out
                || allowed_before != subscription.layer_allowed
            {
                self.retarget(claim.at, now_us);
            }
        }
        let Some(transport) = self.transports.at_mut(slot) else { return };
        let Some(path) = &mut transport.path else { return };
        path.congestion.want(budget.wanted);
        // What goes down before the path has shown a limit was never measured.
        // While a path is cut nothing is told of it: what goes down then need not wait afterwards.
        let fell = fell && budget.is_limited && !path.congestion.is_silent();
        path.allocated.note(rose, fell, now_us);
        path.allocated.short_us =
            budget.is_short.then_some(path.allocated.short_us.unwrap_or(now_us));
        let left_out = claims.iter().any(|claim| claim.gets.is_none());
        if changed || left_out != path.allocated.told {
            path.allocated.told = left_out;
            self.tell_left_out(slot);
        }
    }

    /// Lets all streams of a path have what they ask for.
    fn give_all(&mut self, slot: usize, now_us: u64) {
        let mut position = 0;
        while let Some(&at) = self.transports.at(slot).and_then(|it| it.subscriptions.get(position))
        {
            position += 1;
            let Some(subscription) = self.subscriptions.at_mut(at) else { continue };
            let was_left_out = std::mem::take(&mut subscription.is_left_out);
            let allowed = std::mem::replace(&mut subscription.layer_allowed, u8::MAX);
            if was_left_out || allowed != u8::MAX {
                self.retarget(at, now_us);
            }
        }
        if let Some(transport) = self.transports.at_mut(slot)
            && let Some(path) = &mut transport.path
            && std::mem::take(&mut path.allocated.told)
        {
            self.tell_left_out(slot);
        }
    }

    /// Reports which tracks a receiver gets no pictures of for want of room.
    fn tell_left_out(&mut self, slot: usize) {
        let Some(transport) = self.transports.at(slot) else { return };
        let streams = transport.subscriptions.iter().filter_map(|&it| self.subscriptions.at(it));
        let left_out: Vec<TrackId> = streams
            .filter(|it| it.is_left_out && it.source.is_some())
            .filter_map(|it| it.wanted)
            .collect();
        let event = MediaEvent::LeftOut { transport: transport.id, tracks: left_out };
        self.tell(event);
    }
}

impl Allocated {
    fn may_rise(&self, is_limited: bool, now_us: u64) -> bool {
        let hold_us = self.hold_us.max(HOLD_US);
        let settles = |raised_us| is_limited && now_us < raised_us + SETTLE_US;
        !self.raised_us.is_some_and(settles)
            && self.lowered_us.is_none_or(|lowered_us| now_us >= lowered_us + hold_us)
    }

    /// Whether the lowest layer of what was left out may be sent again. Unlike higher layers it waits
    /// for the shortest time only, however often it had to be left out again.
    fn may_return(&self, now_us: u64) -> bool {
        self.lowered_us.is_none_or(|lowered_us| now_us >= lowered_us + HOLD_US)
    }

    fn may_leave_out(&self, now_us: u64) -> bool {
        self.short_us.is_some_and(|short_us| now_us >= short_us + PATIENCE_US)
    }

    fn note(&mut self, rose: bool, fell: bool, now_us: u64) {
        if fell {
            // Several steps down without one up between them are one fall, and double the time once.
            let goes_on = self.lowered_us.is_some() && self.lowered_us > self.raised_us;
            let soon = self.raised_us.is_some_and(|raised_us| now_us < raised_us + SOON_US);
            if !goes_on {
                self.hold_us =
                    if soon { (2 * self.hold_us.max(HOLD_US)).min(HOLD_US_MAX) } else { HOLD_US };
            }
            self.lowered_us = Some(now_us);
        } else if rose {
            self.raised_us = Some(now_us);
        }
    }
}

/// What a stream could be sent; `None` when it is not to be sent anything.
fn claim(subscription: &Subscription, publications: &Slots<Publication>) -> Option<Claim> {
    if subscription.kind != MediaKind::Video || subscription.demand.paused {
        return None;
    }
    let publication = publications.at(subscription.source?)?;
    if publication.gate == Gate::Closed {
        return None;
    }
    let mut ladder = Ladder { layers: [0; ENCODINGS_MAX], bps: [None; ENCODINGS_MAX], length: 0 };
    for (layer, encoding) in publication.layers_up_to(subscription.demand.layer_max) {
        ladder.layers[ladder.length] = layer;
        ladder.bps[ladder.length] = encoding.flow.bps();
        ladder.length += 1;
    }
    if ladder.length == 0 {
        return None;
    }
    let steps = &ladder.layers[..ladder.length];
    let had = steps.iter().rposition(|layer| *layer <= subscription.layer_allowed);
    let is_new = !subscription.is_placed;
    Some(Claim {
        at: 0,
        rank: (std::cmp::Reverse(publication.priority), subscription.id.0),
        ladder,
        had: if is_new || subscription.is_left_out { None } else { Some(had.unwrap_or(0)) },
        is_new,
        gets: None,
    })
}

impl Claim {
    /// Takes the lowest step, if there is room. Before the path has shown any limit, there is.
    fn see(&mut self, budget: &mut Budget) {
        let bps = self.ladder.bps[0].unwrap_or(0);
        let fits = match self.had {
            Some(_) => budget.keeps(bps),
            None if self.is_new => budget.holds(bps),
            None => budget.rises(bps, budget.may_return),
        };
        if fits || !budget.is_limited {
            self.gets = Some(0);
            budget.take(bps);
        }
    }

    /// Takes as many further steps as there is room for.
    fn see_well(&mut self, budget: &mut Budget) {
        let Some(mut step) = self.gets else { return };
        while step + 1 < self.ladder.length {
            let below = self.ladder.bps[step].unwrap_or(0);
            let had = self.had.is_some_and(|had| step < had);
            let (fits, more) = match self.ladder.bps[step + 1].map(|it| it.saturating_sub(below)) {
                Some(more) if had => (budget.holds(more), more),
                Some(more) => (budget.rises(more, budget.may_rise), more),
                // It has just begun, and will have been measured in a moment.
                None => (had || !budget.is_limited, 0),
            };
            if !fits {
                break;
            }
            step += 1;
            budget.take(more);
        }
        self.gets = Some(step);
    }
}
