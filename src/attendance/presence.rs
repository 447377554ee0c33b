//! One person's presence: what holds it open, and the intervals it made.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::domain::attendance::{AttendanceMethod, LeaveCause, Place, UnitId};
use crate::domain::id::{ActionId, ConnectionId};
use crate::domain::time::Timestamp;

/// Most intervals of a person kept one by one in memory. Beyond it the oldest is
/// kept only as part of a sum; every interval was told as events.
pub const INTERVALS_PER_PERSON_MAX: usize = 64;
/// Most connections of a person that hold their presence open. One beyond it
/// does not prolong the presence.
pub const CONNECTIONS_PER_PERSON_MAX: usize = 64;

/// A span of being present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// From when.
    pub from: Timestamp,
    /// How it was known.
    pub method: AttendanceMethod,
    /// Where, when it began.
    pub place: Place,
    /// Until when, and why; `None` while it lasts.
    pub ended: Option<(Timestamp, LeaveCause)>,
}

/// Intervals that are only kept as a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EarlierIntervals {
    /// How many.
    pub count: u32,
    /// How long together.
    pub total: Duration,
}

/// What the registration desk decided about somebody, while it can be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskDecision {
    /// Names the decision, so that no other one is taken back.
    pub id: ActionId,
    /// What was decided.
    pub what: Decided,
}

/// A decision of the registration desk, with what taking it back needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decided {
    /// They were registered in the hall.
    Registered {
        /// Whether they were not in the hall before.
        entered: bool,
        /// Units that were delegated to them with it, and still are.
        delegated: BTreeSet<UnitId>,
    },
    /// They were marked as left.
    MarkedLeft {
        /// How they were known to be in the hall.
        hall: Option<AttendanceMethod>,
        /// How they had proved that they take part remotely.
        remote: Option<AttendanceMethod>,
    },
}

/// Everything known of one person's presence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// Their name when they were seen last, for people; empty when nobody said it.
    pub name: String,
    /// How they are known to be in the hall, while they are.
    pub hall: Option<AttendanceMethod>,
    /// How they proved that they take part remotely. It holds for the session,
    /// across connections, until they are marked as left.
    pub remote: Option<AttendanceMethod>,
    /// A moderator marked them as left; being connected does not count until
    /// they prove their presence anew or join again.
    pub dismissed: bool,
    /// What the registration desk decided last, unless they have proved something else since.
    pub decision: Option<DeskDecision>,
    /// Their connections to the room.
    pub connections: BTreeSet<ConnectionId>,
    /// Intervals, the oldest first. Only the last may last on.
    pub intervals: VecDeque<Interval>,
    /// Intervals before those.
    pub earlier: EarlierIntervals,
}

impl Person {
    /// Whether they are present.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.intervals.back().is_some_and(|last| last.ended.is_none())
    }

    /// How long they have been present up to `now`, all intervals together.
    #[must_use]
    pub fn total(&self, now: Timestamp) -> Duration {
        let spans = self
            .intervals
            .iter()
            .map(|interval| interval.ended.map_or(now, |(until, _)| until).since(interval.from));
        spans.fold(self.earlier.total, Duration::saturating_add)
    }

    /// Their presence was proved at this place, so that what rests on it can't be taken back.
    pub(super) fn forget_decision(&mut self, place: Place) {
        let stands = |decision: &DeskDecision| {
            place == Place::Remote && matches!(decision.what, Decided::Registered { .. })
        };
        self.decision = self.decision.take().filter(stands);
    }

    /// Whether the decision that can be taken back delegated this unit.
    pub(super) fn was_delegated(&self, unit: &UnitId) -> bool {
        self.decision.as_ref().is_some_and(|decision| match &decision.what {
            Decided::Registered { delegated, .. } => delegated.contains(unit),
            Decided::MarkedLeft { .. } => false,
        })
    }

    /// The delegation of this unit has ended, so that it is not taken back.
    pub(super) fn forget_delegation(&mut self, unit: &UnitId) {
        if let Some(DeskDecision { what: Decided::Registered { delegated, .. }, .. }) =
            &mut self.decision
        {
            delegated.remove(unit);
        }
    }

    /// How their presence is known and where, when anything holds it open.
    /// `channel_suffices` says that a connection is proof enough.
    pub(super) fn held_open(&self, channel_suffices: bool) -> Option<(AttendanceMethod, Place)> {
        if let Some(method) = self.hall {
            return Some((method, Place::Hall));
        }
        if self.connections.is_empty() {
            return None;
        }
        let by_channel = channel_suffices && !self.dismissed;
        let method = self.remote.or(by_channel.then_some(AttendanceMethod::Channel));
        method.map(|method| (method, Place::Remote))
    }

    pub(super) fn open(&mut self, (method, place): (AttendanceMethod, Place), now: Timestamp) {
        if self.intervals.len() >= INTERVALS_PER_PERSON_MAX
            && let Some(oldest) = self.intervals.pop_front()
        {
            let span = oldest.ended.map_or(Duration::ZERO, |(until, _)| until.since(oldest.from));
            self.earlier.count = self.earlier.count.saturating_add(1);
            self.earlier.total = self.earlier.total.saturating_add(span);
        }
        self.intervals.push_back(Interval { from: now, method, place, ended: None });
    }

    /// Ends the interval that lasts, and says what it was.
    pub(super) fn close(&mut self, cause: LeaveCause, now: Timestamp) -> Option<Interval> {
        let last = self.intervals.back_mut().filter(|last| last.ended.is_none())?;
        last.ended = Some((now, cause));
        Some(*last)
    }
}
