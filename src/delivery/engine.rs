//! Which event is handed on next: those of one session one after the other,
//! those of several beside each other, and what fails again later. Pure; `now` is
//! the time since the reader began.
//!
//! A session that does not go on, and whose events leave hardly room for those of others or keep the
//! reader from confirming what it has handed on, is parked: it is read by itself, a few events at a
//! time, until it has caught up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use super::event::PublicEvent;
use super::feed::Placed;
use crate::domain::backoff::Backoff;
use crate::domain::id::{SessionId, SessionKey};
use crate::events::Position;

/// Events that were read and not handed on, beyond which no more are read.
/// Raising it raises the memory of a reader whose other side is down, a few KiB
/// each.
pub(super) const WINDOW: usize = 1_000;
/// As many of them from which on sessions are parked that hold the others up.
const CROWDED: usize = WINDOW / 2;
/// Places between the first event that was not handed on and the last one that was read, from which on
/// the session of the first is parked. After a restart as many events are handed on again.
const FAR: u64 = 1_000;
/// Parked sessions, beyond which no more are parked and the others wait.
const PARKED_MAX: usize = 1_000;
/// Events of a parked session in memory, with the rest of their transaction.
const KEPT_WHEN_PARKED: usize = 10;
/// For how long nothing was read, for want of room, until the session with the most events is parked
/// although none has failed.
const HELD_UP: Duration = Duration::from_secs(2);
/// Events of a session that is parked for that.
const MANY: usize = 50;
/// Sessions that failed, without a success in between, after which nothing is tried for a while.
const FAILURES_BEFORE_PAUSE: usize = 10;

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

/// An event that waits.
struct Waiting {
    /// Its place in the order of reading; none for what was read for its session alone.
    number: Option<u64>,
    at: Position,
    event: PublicEvent,
}

/// How the first event of a session has failed.
struct Failure {
    /// Whether it was refused at least once.
    is_refused: bool,
    /// How many events had arrived then.
    delivered: u64,
}

/// A session that is read by itself.
struct Parked {
    /// Everything of it up to here was read.
    read: Position,
    /// Everything of it up to here is noted as handed on.
    noted: Position,
}

/// The events of one session that wait.
struct Lane {
    key: SessionKey,
    waiting: VecDeque<Waiting>,
    is_busy: bool,
    not_before: Duration,
    backoff: Backoff,
    failure: Option<Failure>,
    parked: Option<Parked>,
}

impl Lane {
    fn new(key: SessionKey, times: RetryTimes) -> Self {
        Self {
            key,
            waiting: VecDeque::new(),
            is_busy: false,
            not_before: Duration::ZERO,
            backoff: Backoff::new(times.first, times.max),
            failure: None,
            parked: None,
        }
    }

    /// Everything of a parked session up to here was handed on.
    fn done(&self, parked: &Parked) -> Position {
        self.waiting.front().map_or(parked.read, |first| before(first.at))
    }

    /// Takes no more than a few events, and notes from where on the others are to be read.
    fn shorten(&mut self) {
        let Some(parked) = &mut self.parked else { return };
        if let Some(last) = self.waiting.get(KEPT_WHEN_PARKED - 1).map(|last| last.at) {
            self.waiting.retain(|waiting| waiting.at <= last);
            parked.read = parked.read.min(last);
        }
    }

    /// Where a parked session stands when nothing of it waits.
    fn drained(&self) -> Option<&Parked> {
        self.parked.as_ref().filter(|_| self.waiting.is_empty() && !self.is_busy)
    }
}

/// The last place before this one.
const fn before(position: Position) -> Position {
    Position::new(position.number().saturating_sub(1))
}

/// Why an event was not handed on, and what may be done about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Failed {
    /// It is tried again no sooner than after this.
    pub(super) wait: Option<Duration>,
    /// Whether it may be given up.
    pub(super) patience: Patience,
    /// The other side works, and does not accept this event.
    pub(super) is_refused: bool,
}

/// What became of an event that could not be handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Afterwards {
    /// It is tried again.
    Again,
    /// It is tried again, and was refused for the first time.
    Refused,
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
    read_at: Duration,
    /// The session that was served last, so that each gets its turn.
    served: Option<SessionId>,
    in_flight: usize,
    /// Sessions that have failed since the last success, other than by a refusal.
    failing: BTreeSet<SessionId>,
    /// How many events have arrived.
    delivered: u64,
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
            read_at: Duration::ZERO,
            served: None,
            in_flight: 0,
            failing: BTreeSet::new(),
            delivered: 0,
            paused_until: Duration::ZERO,
        }
    }

    /// Takes in a session that an earlier process has parked, and handed on up to `done`.
    pub(super) fn add_parked(&mut self, key: SessionKey, done: Position) {
        let parked = Some(Parked { read: done, noted: done });
        self.lanes.insert(key.session, Lane { parked, ..Lane::new(key, self.times) });
    }

    /// Takes what was read, up to and including `read`.
    pub(super) fn handle_page(&mut self, events: Vec<Placed>, read: Position, now: Duration) {
        for Placed { cursor, event } in events {
            let key = SessionKey::new(event.tenant, event.session);
            let times = self.times;
            let lane = self.lanes.entry(event.session).or_insert_with(|| Lane::new(key, times));
            // What is parked is read by itself.
            if lane.parked.is_some() {
                continue;
            }
            let number = self.next_number;
            self.next_number += 1;
            let at = cursor.position();
            self.unfinished.insert(number, at);
            lane.waiting.push_back(Waiting { number: Some(number), at, event });
        }
        self.read = read.max(self.read);
        self.read_at = now;
    }

    /// A session that is to be parked, and up to where it was handed on.
    pub(super) fn poll_parking(&self, now: Duration) -> Option<(SessionKey, Position)> {
        let is_crowded = self.unfinished.len() >= CROWDED;
        let behind = self.read.number().saturating_sub(self.confirmed().number());
        if !is_crowded && behind < FAR || self.parked() >= PARKED_MAX {
            return None;
        }
        let mut lanes = self.lanes.values();
        let lane = if is_crowded {
            lanes.filter(|lane| self.holds_up(lane, now)).max_by_key(|lane| lane.waiting.len())?
        } else {
            let first = *self.unfinished.first_key_value()?.1;
            lanes.find(|lane| {
                lane.waiting.front().is_some_and(|waiting| waiting.at == first)
                    && self.holds_up(lane, now)
            })?
        };
        Some((lane.key, before(lane.waiting.front()?.at)))
    }

    fn parked(&self) -> usize {
        self.lanes.values().filter(|lane| lane.parked.is_some()).count()
    }

    /// Whether a session does not go on while others could.
    fn holds_up(&self, lane: &Lane, now: Duration) -> bool {
        if lane.parked.is_some() {
            return false;
        }
        // While the other side is down everything fails, and waits for it.
        let has_failed_alone = lane.failure.as_ref().is_some_and(|failure| {
            failure.is_refused
                || self.delivered > failure.delivered
                || lane.waiting.len() >= CROWDED
        });
        let is_held_up = self.len() >= WINDOW && now.saturating_sub(self.read_at) >= HELD_UP;
        has_failed_alone || (is_held_up && !self.is_paused() && lane.waiting.len() >= MANY)
    }

    /// It is noted that this session is parked, and up to where it was handed on.
    pub(super) fn handle_parked(&mut self, session: SessionId, noted: Position) {
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        for waiting in &mut lane.waiting {
            if let Some(number) = waiting.number.take() {
                self.unfinished.remove(&number);
            }
        }
        lane.parked = Some(Parked { read: self.read, noted });
        lane.shorten();
    }

    /// A parked session of which nothing waits any more, and up to where it was read: more of it is
    /// to be read.
    pub(super) fn poll_refill(&self) -> Option<(SessionKey, Position)> {
        self.lanes.values().find_map(|lane| {
            let parked = lane.drained()?;
            (parked.read < self.read).then_some((lane.key, parked.read))
        })
    }

    /// Takes what was read of a parked session, up to and including `read`.
    pub(super) fn handle_refill(
        &mut self,
        session: SessionId,
        events: Vec<Placed>,
        read: Position,
    ) {
        let most = self.read;
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        let Some(parked) = &mut lane.parked else { return };
        // The rest is read again, by itself or with the others.
        let events = events.into_iter().filter(|placed| placed.cursor.position() <= most);
        lane.waiting.extend(events.map(|Placed { cursor, event }| Waiting {
            number: None,
            at: cursor.position(),
            event,
        }));
        parked.read = read.min(most).max(parked.read);
        lane.shorten();
    }

    /// A parked session that has caught up, and is to be handed on with the others again.
    pub(super) fn poll_unparking(&self) -> Option<SessionKey> {
        let mut lanes = self.lanes.values();
        let lane =
            lanes.find(|lane| lane.drained().is_some_and(|parked| parked.read >= self.read))?;
        Some(lane.key)
    }

    /// It is noted that this session is not parked any more.
    pub(super) fn handle_unparked(&mut self, session: SessionId) {
        self.lanes.remove(&session);
    }

    /// Parked sessions that were handed on further than is noted, and up to where.
    pub(super) fn parked_progress(&self) -> Vec<(SessionKey, Position)> {
        let progress = self.lanes.values().filter_map(|lane| {
            let parked = lane.parked.as_ref()?;
            let done = lane.done(parked);
            (done > parked.noted).then_some((lane.key, done))
        });
        progress.collect()
    }

    /// It is noted up to where a parked session was handed on.
    pub(super) fn handle_noted(&mut self, session: SessionId, noted: Position) {
        if let Some(lane) = self.lanes.get_mut(&session)
            && let Some(parked) = &mut lane.parked
        {
            parked.noted = noted;
        }
    }

    /// Sessions of which an event was refused, so that the later ones wait.
    pub(super) fn refused(&self) -> usize {
        let is_refused =
            |lane: &&Lane| lane.failure.as_ref().is_some_and(|failure| failure.is_refused);
        self.lanes.values().filter(is_refused).count()
    }

    /// How many events wait or are on their way.
    pub(super) fn len(&self) -> usize {
        self.unfinished.len()
    }

    /// Whether nothing is tried for now, or only one to see whether it works again.
    pub(super) fn is_paused(&self) -> bool {
        self.failing.len() >= FAILURES_BEFORE_PAUSE
    }

    /// Everything up to here was handed on or given up.
    pub(super) fn confirmed(&self) -> Position {
        let first = self.unfinished.first_key_value();
        first.map_or(self.read, |(_, at)| before(*at))
    }

    /// An event that is to be handed on now.
    pub(super) fn poll_delivery(&mut self, now: Duration) -> Option<PublicEvent> {
        let most = if self.is_paused() { 1 } else { self.in_flight_max };
        if self.in_flight >= most || now < self.paused_until {
            return None;
        }
        let from = self.served.map_or(Bound::Unbounded, Bound::Excluded);
        let in_turn = || self.lanes.range((from, Bound::Unbounded)).chain(self.lanes.iter());
        let is_due =
            |lane: &Lane| !lane.is_busy && !lane.waiting.is_empty() && lane.not_before <= now;
        // While one at a time is tried, those that have failed leave the others their turn.
        let untried = |lane: &Lane| is_due(lane) && lane.failure.is_none();
        let untried = in_turn().find(|(_, lane)| self.is_paused() && untried(lane));
        let due = untried.or_else(|| in_turn().find(|(_, lane)| is_due(lane)));
        let session = due.map(|(session, _)| *session)?;
        let lane = self.lanes.get_mut(&session)?;
        lane.is_busy = true;
        self.served = Some(session);
        self.in_flight += 1;
        lane.waiting.front().map(|waiting| waiting.event.clone())
    }

    /// When [`Self::poll_delivery`] may have another one, if nothing else happens.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        let idle = self.lanes.values().filter(|lane| !lane.is_busy && !lane.waiting.is_empty());
        idle.map(|lane| lane.not_before.max(self.paused_until)).min()
    }

    /// The event of this session that was on its way has arrived.
    pub(super) fn handle_delivered(&mut self, session: SessionId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.delivered += 1;
        self.has_answered();
        self.next_of(session);
    }

    /// The other side works.
    fn has_answered(&mut self) {
        self.failing.clear();
        self.paused_until = Duration::ZERO;
    }

    /// It has not.
    pub(super) fn handle_failed(
        &mut self,
        session: SessionId,
        now: Duration,
        Failed { wait, patience, is_refused }: Failed,
        drawn: u8,
    ) -> Afterwards {
        self.in_flight = self.in_flight.saturating_sub(1);
        if is_refused {
            self.has_answered();
        } else {
            self.failing.insert(session);
        }
        if self.is_paused() {
            self.paused_until = now + self.times.pause;
        }
        if patience == Patience::Over {
            self.next_of(session);
            return Afterwards::GivenUp;
        }
        let Some(lane) = self.lanes.get_mut(&session) else { return Afterwards::Again };
        lane.is_busy = false;
        let wait = wait.unwrap_or_default().min(self.times.max);
        lane.not_before = now + lane.backoff.next(drawn).max(wait);
        let first = Failure { is_refused: false, delivered: self.delivered };
        let failure = lane.failure.get_or_insert(first);
        let is_new = is_refused && !failure.is_refused;
        failure.is_refused |= is_refused;
        if is_new { Afterwards::Refused } else { Afterwards::Again }
    }

    /// It is not to be handed on any more.
    pub(super) fn handle_dropped(&mut self, session: SessionId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.next_of(session);
    }

    fn next_of(&mut self, session: SessionId) {
        let Some(lane) = self.lanes.get_mut(&session) else { return };
        if let Some(Waiting { number: Some(number), .. }) = lane.waiting.pop_front() {
            self.unfinished.remove(&number);
        }
        lane.is_busy = false;
        lane.not_before = Duration::ZERO;
        lane.backoff.reset();
        lane.failure = None;
        if lane.waiting.is_empty() && lane.parked.is_none() {
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
    const DOWN: Failed = Failed { wait: None, patience: Patience::Left, is_refused: false };
    const REFUSED: Failed = Failed { is_refused: true, ..DOWN };

    #[test]
    fn a_session_whose_event_fails_waits_and_others_go_on() {
        let (one, two) = (SessionId::generate(), SessionId::generate());
        let mut engine = Engine::new(Position::new(10), RetryTimes::default(), 8);
        engine.handle_page(
            vec![placed(11, one, "a"), placed(12, one, "b"), placed(13, two, "c")],
            Position::new(14),
            NOW,
        );
        let id = |event: Option<PublicEvent>| event.map(|event| event.id);
        let mut first = [id(engine.poll_delivery(NOW)), id(engine.poll_delivery(NOW))];
        first.sort();
        assert_eq!(first, [Some("a".to_owned()), Some("c".to_owned())]);
        assert_eq!(id(engine.poll_delivery(NOW)), None, "one at a time of each session");
        engine.handle_delivered(two);
        assert_eq!(engine.confirmed(), Position::new(10));
        let after = engine.handle_failed(one, NOW, DOWN, 0);
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
        engine.handle_page(page, Position::new(1), NOW);
        for _ in 0..FAILURES_BEFORE_PAUSE {
            let event = engine.poll_delivery(NOW).expect("tried");
            engine.handle_failed(event.session, NOW, DOWN, 0);
        }
        assert!(engine.is_paused());
        assert_eq!(engine.poll_delivery(Duration::from_secs(299)), None);
        let again = Duration::from_mins(5);
        let probe = engine.poll_delivery(again).expect("one is tried");
        assert_eq!(engine.poll_delivery(again), None, "only one");
        engine.handle_failed(probe.session, again, DOWN, 0);
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
        engine.handle_page(
            vec![placed(1, session, "a"), placed(2, session, "b")],
            Position::new(2),
            NOW,
        );
        engine.poll_delivery(NOW).expect("tried");
        let after =
            engine.handle_failed(session, NOW, Failed { patience: Patience::Over, ..DOWN }, 0);
        assert_eq!(after, Afterwards::GivenUp);
        assert_eq!(engine.poll_delivery(NOW).expect("the next").id, "b");
        assert_eq!(engine.confirmed(), Position::new(1));
    }

    /// A reader that was told of `many` events of one session, of which the first was tried.
    fn crowded(many: u64, failed: Failed) -> (Engine, SessionKey) {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let mut engine = Engine::new(Position::default(), RetryTimes::default(), 8);
        let page = (1..=many).map(|at| placed_in(at, key)).collect();
        engine.handle_page(page, Position::new(many), NOW);
        engine.poll_delivery(NOW).expect("tried");
        engine.handle_failed(key.session, NOW, failed, 0);
        (engine, key)
    }

    fn placed_in(position: u64, key: SessionKey) -> Placed {
        let Placed { cursor, event } = placed(position, key.session, &position.to_string());
        Placed { cursor, event: PublicEvent { tenant: key.tenant, ..event } }
    }

    #[test]
    fn a_session_that_leaves_no_room_for_others_is_parked_until_it_has_caught_up() {
        let (mut engine, key) = crowded(600, REFUSED);
        let other = SessionKey::new(key.tenant, SessionId::generate());
        assert!(!engine.is_paused(), "whoever refuses an event is there");
        assert_eq!(
            (engine.refused(), engine.poll_parking(NOW)),
            (1, Some((key, Position::default())))
        );
        engine.handle_parked(key.session, Position::default());
        assert_eq!(
            (engine.len(), engine.confirmed(), engine.poll_parking(NOW)),
            (0, Position::new(600), None)
        );
        // The others go on, and what is new of it waits outside.
        engine.handle_page(
            vec![placed_in(601, key), placed_in(602, other)],
            Position::new(602),
            NOW,
        );
        let event = engine.poll_delivery(NOW).expect("of the other");
        assert_eq!(event.session, other.session);
        engine.handle_delivered(other.session);
        assert_eq!(engine.confirmed(), Position::new(602));
        // Once it is accepted, everything of it follows in order, and is noted as it goes.
        let mut now = Duration::from_secs(2);
        let mut arrived = Vec::new();
        loop {
            if let Some(event) = engine.poll_delivery(now) {
                arrived.push(event.id.parse::<u64>().expect("a number"));
                engine.handle_delivered(event.session);
                continue;
            }
            if let Some((refilled, from)) = engine.poll_refill() {
                assert_eq!(refilled, key);
                assert_eq!(engine.parked_progress(), [(key, from)]);
                engine.handle_noted(key.session, from);
                let page = (1..=700).filter(|at| *at > from.number() && *at != 602).take(100);
                let page: Vec<_> = page.map(|at| placed_in(at, key)).collect();
                let read = page.last().expect("more").cursor.position();
                engine.handle_refill(key.session, page, read);
                continue;
            }
            break;
        }
        assert_eq!(arrived, (1..=601).collect::<Vec<_>>());
        assert_eq!((engine.refused(), engine.poll_unparking()), (0, Some(key)));
        engine.handle_unparked(key.session);
        engine.handle_page(vec![placed_in(603, key)], Position::new(603), now);
        now += Duration::from_secs(1);
        assert_eq!(engine.poll_delivery(now).expect("with the others").id, "603");
    }

    #[test]
    fn sessions_wait_for_one_another_while_the_other_side_is_down() {
        let (mut engine, key) = crowded(100, DOWN);
        let others: Vec<_> = (0..900)
            .map(|number| {
                placed_in(101 + number, SessionKey::new(key.tenant, SessionId::generate()))
            })
            .collect();
        let one = others[0].event.session;
        engine.handle_page(others, Position::new(1_000), NOW);
        assert_eq!(engine.poll_parking(NOW), None);
        // It is there, and one session has failed for itself.
        engine.poll_delivery(NOW).expect("of another");
        engine.handle_delivered(one);
        assert_eq!(engine.poll_parking(NOW), Some((key, Position::default())));
        // One that alone leaves hardly any room is parked whatever the reason is.
        assert!(crowded(500, DOWN).0.poll_parking(NOW).is_some());
        assert_eq!(crowded(499, REFUSED).0.poll_parking(NOW), None);
    }

    #[test]
    fn a_session_that_is_answered_slowly_is_parked_while_its_event_is_on_its_way() {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let mut engine = Engine::new(Position::default(), RetryTimes::default(), 8);
        let page = (1..=1_000).map(|at| placed_in(at, key)).collect();
        engine.handle_page(page, Position::new(1_000), NOW);
        assert_eq!(engine.poll_delivery(NOW).expect("the first").id, "1");
        let (soon, later) = (Duration::from_millis(1_999), Duration::from_secs(2));
        assert_eq!(engine.poll_parking(soon), None);
        assert_eq!(engine.poll_parking(later), Some((key, Position::default())));
        engine.handle_parked(key.session, Position::default());
        let other = SessionKey::new(key.tenant, SessionId::generate());
        engine.handle_page(vec![placed_in(1_001, other)], Position::new(1_001), later);
        assert_eq!(engine.poll_delivery(later).expect("of the other").id, "1001");
        engine.handle_delivered(other.session);
        assert_eq!((engine.poll_delivery(later), engine.parked_progress()), (None, Vec::new()));
        engine.handle_delivered(key.session);
        assert_eq!(engine.poll_delivery(later).expect("its next").id, "2");
        assert_eq!(engine.parked_progress(), [(key, Position::new(1))]);
        assert_eq!(engine.refused(), 0);
    }

    #[test]
    fn a_session_that_keeps_the_reader_from_confirming_is_parked_however_few_events_wait() {
        let (mut engine, key) = crowded(1, REFUSED);
        engine.handle_page(Vec::new(), Position::new(999), NOW);
        assert_eq!((engine.poll_parking(NOW), engine.confirmed()), (None, Position::default()));
        engine.handle_page(Vec::new(), Position::new(1_000), NOW);
        assert_eq!(engine.poll_parking(NOW), Some((key, Position::default())));
        engine.handle_parked(key.session, Position::default());
        assert_eq!((engine.confirmed(), engine.refused()), (Position::new(1_000), 1));
        // A healthy one, and one that fails with all others, are not.
        let (mut engine, _) = crowded(1, DOWN);
        engine.handle_page(Vec::new(), Position::new(5_000), NOW);
        assert_eq!(engine.poll_parking(NOW), None);
    }

    #[test]
    fn a_refusal_is_told_once_and_one_session_that_fails_pauses_no_other() {
        let (mut engine, key) = crowded(2, DOWN);
        let mut now = NOW;
        for _ in 0..2 * FAILURES_BEFORE_PAUSE {
            now += Duration::from_hours(1);
            engine.poll_delivery(now).expect("tried again");
            assert_eq!(engine.handle_failed(key.session, now, DOWN, 0), Afterwards::Again);
        }
        assert!(!engine.is_paused());
        for expected in [Afterwards::Refused, Afterwards::Again] {
            now += Duration::from_hours(1);
            engine.poll_delivery(now).expect("tried again");
            assert_eq!(engine.handle_failed(key.session, now, REFUSED, 0), expected);
        }
        assert_eq!(engine.refused(), 1);
        now += Duration::from_hours(1);
        engine.poll_delivery(now).expect("tried again");
        engine.handle_failed(key.session, now, Failed { patience: Patience::Over, ..REFUSED }, 0);
        assert_eq!(engine.refused(), 0, "the next one was not tried");
    }

    #[test]
    fn what_an_earlier_process_has_parked_goes_on_where_it_stood() {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let mut engine = Engine::new(Position::new(90), RetryTimes::default(), 8);
        engine.add_parked(key, Position::new(10));
        assert_eq!(engine.poll_refill(), Some((key, Position::new(10))));
        engine.handle_refill(
            key.session,
            vec![placed_in(11, key), placed_in(95, key)],
            Position::new(95),
        );
        assert_eq!(engine.poll_delivery(NOW).expect("the first").id, "11");
        engine.handle_delivered(key.session);
        assert_eq!(engine.poll_delivery(NOW), None, "what the others have not read");
        assert_eq!(engine.poll_unparking(), Some(key));
    }
}
