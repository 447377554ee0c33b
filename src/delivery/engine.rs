//! Which event is handed on next: those of one session one after the other,
//! those of several beside each other, and what fails again later. Pure; `now` is
//! the time since the reader began.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use super::event::PublicEvent;
use super::feed::Placed;
use crate::domain::backoff::Backoff;
use crate::domain::id::SessionId;
use crate::events::Position;

/// Events that were read and not handed on, beyond which no more are read.
/// Raising it raises the memory of a reader whose other side is down, a few KiB
/// each. When they all wait for one session, those of others wait too.
pub(super) const WINDOW: usize = 1_000;
/// Failures in a row, without a success, after which nothing is tried for a while.
const FAILURES_BEFORE_PAUSE: u32 = 10;

/// How long is waited after failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryTimes {
    /// After the first failure of an event; twice as long after each further one.
    pub first: Duration,
    /// At most.
    pub max: Duration,
    /// For how long nothing at all is tried after many failures in a row.
    pub pause: Duration,
}

impl Default for RetryTimes {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(2),
            max: Duration::from_mins(10),
            pause: Duration::from_mins(5),
        }
    }
}

/// The events of one session that wait.
struct Lane {
    waiting: VecDeque<(u64, PublicEvent)>,
    is_busy: bool,
    not_before: Duration,
    backoff: Backoff,
}

/// What became of an event that could not be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It is tried again.
    Again,
    /// It is not, and the next one of its session is.
    GivenUp,
}

/// Whether an event may be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is tried again.
    Left,
    /// It has been tried for long enough.
    Over,
}

pub(super) struct Engine {
    times: RetryTimes,
    in_flight_max: usize,
    lanes: BTreeMap<SessionId, Lane>,
    /// Where events stand that were not handed on, by the order of reading.
    unfinished: BTreeMap<u64, Position>,
    next_number: u64,
    read: Position,
    /// The session that was served last, so that each gets its turn.
    served: Option<SessionId>,
    in_flight: usize,
    failures: u32,
    paused_until: Duration,
}

impl Engine {
    /// `in_flight_max` events are on their way at once, each of another session.
    pub(super) const fn new(read: Position, times: RetryTimes, in_flight_max: usize) -> Self {
        Self {
            times,
            in_flight_max,
            lanes: BTreeMap::new(),
            unfinished: BTreeMap::new(),
            next_number: 0,
            read,
            served: None,
            in_flight: 0,
            failures: 0,
            paused_until: Duration::ZERO,
        }
    }

    /// Takes what was read, up to and including `read`.
    pub(super) fn handle_page(&mut self, events: Vec<Placed>, read: Position) {
        for Placed { cursor, event } in events {
            let number = self.next_number;
            self.next_number += 1;
            self.unfinished.insert(number, cursor.position());
            let backoff = Backoff::new(self.times.first, self.times.max);
            let lane = self.lanes.entry(event.session).or_insert_with(|| Lane {
                waiting: VecDeque::new(),
                is_busy: false,
                not_before: Duration::ZERO,
                backoff,
            });
            lane.waiting.push_back((number, event));
        }
        self.read = read.max(self.read);
    }

    /// How many events wait or are on their way.
    pub(super) fn len(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether nothing is tried for now, or only one to see whether it works again.
    pub(super) const fn is_paused(&self) -> bool {
        self.failures >= FAILURES_BEFORE_PAUSE
    }

    /// Everything up to here was handed on or given up.
    pub(super) fn confirmed(&self) -> Position {
        let first = self.unfinished.first_key_value();
        first.map_or(self.read, |(_, at)| Position::new(at.number().saturating_sub(1)))
    }

    /// An event that is to be handed on now.
    pub(super) fn poll_delivery(&mut self, now: Duration) -> Option<PublicEvent> {
        let most = if self.is_paused() { 1 } else { self.in_flight_max };
        if self.in_flight >= most || now < self.paused_until {
            return None;
        }
        let from = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.lanes.range((from, Bound::Unbounded));
        let mut lanes = later.chain(self.lanes.iter());
        let is_due = |lane: &Lane| !lane.is_busy && lane.not_before <= now;
        let session = lanes.find(|(_, lane)| is_due(lane)).map(|(session, _)| *session)?;
        let lane = self.lanes.get_mut(&session)?;
        lane.is_busy = true;
        self.served = Some(session);
        self.in_flight += 1;
        lane.waiting.front().map(|(_, event)| event.clone())
    }

    /// When [`Self::poll_delivery`] may have another one, if nothing else happens.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let idle = self.lanes.values().filter(|lane| !lane.is_busy);
        idle.map(|lane| lane.not_before.max(self.paused_until)).min()
    }

    /// The event of this session that was on its way has arrived.
    pub(super) fn handle_delivered(&mut self, session: SessionId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.failures = 0;
        self.paused_until = Duration::ZERO;
        self.next_of(session);
    }

    /// It has not; it is tried again no sooner than after `wait`.
    pub(super) fn handle_failed(
        &mut self,
        session: SessionId,
        now: Duration,
        wait: Option<Duration>,
        patience: Patience,
        drawn: u8,
    ) -> Afterwards {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.failures = self.failures.saturating_add(1);
        if self.is_paused() {
            self.paused_until = now + self.times.pause;
        }
        if patience == Patience::Over {
            self.next_of(session);
            return Afterwards::GivenUp;
        }
        if let Some(lane) = self.lanes.get_mut(&session) {
            lane.is_busy = false;
            let wait = wait.unwrap_or_default().min(self.times.max);
            lane.not_before = now + lane.backoff.next(drawn).max(wait);
        }
        Afterwards::Again
    }

    /// It is not to be handed on any more.
    pub(super) fn handle_dropped(&mut self, session: SessionId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.next_of(session);
    }

    fn next_of(&mut self, session: SessionId) {
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        if let Some((number, _)) = lane.waiting.pop_front() {
            self.unfinished.remove(&number);
        }
        lane.is_busy = false;
        lane.not_before = Duration::ZERO;
        lane.backoff.reset();
        if lane.waiting.is_empty() {
            self.lanes.remove(&session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Cursor, Origin, Payload, payloads};
    use crate::domain::id::TenantId;
    use crate::domain::time::Timestamp;

    fn placed(position: u64, session: SessionId, id: &str) -> Placed {
        let approved = payloads::SpeechApproved::default();
        let event = PublicEvent {
            id: id.to_owned(),
            origin: Origin::new("test"),
            tenant: TenantId::generate(),
            session,
            at: Timestamp::from_unix_us(0),
            payload: Payload::SpeechApproved(approved),
        };
        Placed { cursor: Cursor::after(Position::new(position)), event }
    }

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_session_whose_event_fails_waits_and_others_go_on() {
        let (one, two) = (SessionId::generate(), SessionId::generate());
        let mut engine = Engine::new(Position::new(10), RetryTimes::default(), 8);
        engine.handle_page(
            vec![placed(11, one, "a"), placed(12, one, "b"), placed(13, two, "c")],
            Position::new(14),
        );
        let id = |event: Option<PublicEvent>| event.map(|event| event.id);
        let mut first = [id(engine.poll_delivery(NOW)), id(engine.poll_delivery(NOW))];
        first.sort();
        assert_eq!(first, [Some("a".to_owned()), Some("c".to_owned())]);
        assert_eq!(id(engine.poll_delivery(NOW)), None, "one at a time of each session");
        engine.handle_delivered(two);
        assert_eq!(engine.confirmed(), Position::new(10));
        let after = engine.handle_failed(one, NOW, None, Patience::Left, 0);
        assert_eq!(
            (after, engine.poll_timeout()),
            (Afterwards::Again, Some(Duration::from_secs(2)))
        );
        assert_eq!(id(engine.poll_delivery(Duration::from_secs(1))), None);
        assert_eq!(id(engine.poll_delivery(Duration::from_secs(2))), Some("a".to_owned()));
        engine.handle_delivered(one);
        assert_eq!(engine.confirmed(), Position::new(11));
        assert_eq!(id(engine.poll_delivery(Duration::from_secs(2))), Some("b".to_owned()));
        engine.handle_delivered(one);
        assert_eq!((engine.confirmed(), engine.len()), (Position::new(14), 0));
    }

    #[test]
    fn after_many_failures_in_a_row_one_is_tried_now_and_then() {
        let mut engine = Engine::new(Position::default(), RetryTimes::default(), 8);
        let sessions: Vec<_> = (0..20).map(|_| SessionId::generate()).collect();
        let page = sessions.iter().map(|session| placed(1, *session, "x")).collect();
        engine.handle_page(page, Position::new(1));
        for _ in 0..FAILURES_BEFORE_PAUSE {
            let event = engine.poll_delivery(NOW).expect("tried");
            engine.handle_failed(event.session, NOW, None, Patience::Left, 0);
        }
        assert!(engine.is_paused());
        assert_eq!(engine.poll_delivery(Duration::from_secs(299)), None);
        let again = Duration::from_mins(5);
        let probe = engine.poll_delivery(again).expect("one is tried");
        assert_eq!(engine.poll_delivery(again), None, "only one");
        engine.handle_failed(probe.session, again, None, Patience::Left, 0);
        assert_eq!(engine.poll_delivery(again), None, "paused again");
        let later = Duration::from_mins(10);
        let probe = engine.poll_delivery(later).expect("one is tried");
        engine.handle_delivered(probe.session);
        assert!(!engine.is_paused() && engine.poll_delivery(later).is_some());
    }

    #[test]
    fn what_was_tried_for_long_enough_makes_room_for_the_next() {
        let session = SessionId::generate();
        let mut engine = Engine::new(Position::default(), RetryTimes::default(), 8);
        engine
            .handle_page(vec![placed(1, session, "a"), placed(2, session, "b")], Position::new(2));
        engine.poll_delivery(NOW).expect("tried");
        let after = engine.handle_failed(session, NOW, None, Patience::Over, 0);
        assert_eq!(after, Afterwards::GivenUp);
        assert_eq!(engine.poll_delivery(NOW).expect("the next").id, "b");
        assert_eq!(engine.confirmed(), Position::new(1));
    }
}
