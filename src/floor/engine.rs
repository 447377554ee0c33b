#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The engine: takes commands and the time, and produces events.

use std::collections::VecDeque;
use std::time::Duration;

use crate::domain::floor::{SpeechKind, TurnEnd};
use crate::domain::id::{RequestId, TurnId, UserId};
use crate::domain::session::SpeakingPolicy;
use crate::domain::time::Timestamp;
use crate::tracked::{Tracked, TrackedMap};

use super::error::FloorError;
use super::event::{Cancellation, FloorEvent, PauseCause, WARNINGS};
use super::list::{
    Entry, Microphone, NewRequest, Position, QueueState, REASON_LENGTH_MAX, SpeakingList,
    longer_than,
};
use super::turn::{STACKED_TURNS_MAX, TURN_LIMIT_MAX, Turn, TurnClock, TurnView, whole_us};

/// Most people whose turns are counted. Further people can speak too, but count as having had no
/// turn.
pub const PEOPLE_COUNTED_MAX: usize = 10_000;
/// Most events that one command adds: every warning, a cancelled request of
/// every kind, the changed list, and twice every turn: when a decision is taken
/// back, some end and others go on. Who drains
/// [`Floor::poll_event`] after each command never finds more.
pub const EVENTS_PER_COMMAND_MAX: usize =
    WARNINGS.len() + SpeechKind::ALL.len() + 1 + 2 * (STACKED_TURNS_MAX + 1);

/// How turns are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FloorPolicy {
    /// Default time of a turn.
    pub default_turn: Duration,
    /// Longest a turn may be, extensions included.
    pub max_turn: Duration,
    /// Whether an approved request starts at once when nobody holds the floor.
    pub auto_start: bool,
    /// Whether points of order and interposed questions are taken while the list
    /// is closed.
    pub points_of_order_pass_closed_list: bool,
}

impl From<SpeakingPolicy> for FloorPolicy {
    fn from(policy: SpeakingPolicy) -> Self {
        Self {
            default_turn: Duration::from_secs(policy.default_turn_s.into()),
            max_turn: Duration::from_secs(policy.max_turn_s.into()),
            auto_start: policy.auto_start,
            points_of_order_pass_closed_list: policy.points_of_order_pass_closed_list,
        }
    }
}

impl FloorPolicy {
    /// The policy in the form that the engine keeps: whole microseconds, `max_turn` at most
    /// [`TURN_LIMIT_MAX`], `default_turn` at most `max_turn`.
    pub(super) fn bounded(self) -> Self {
        let max_turn = whole_us(self.max_turn.min(TURN_LIMIT_MAX));
        Self { max_turn, default_turn: whole_us(self.default_turn).min(max_turn), ..self }
    }
}

/// Who cancels a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Canceller<'a> {
    /// A person, who can cancel only their own requests.
    Speaker(&'a UserId),
    /// A moderator, who can cancel any request.
    Moderator,
}

/// The speaking list and the turns of one session.
///
/// A command either succeeds, and then [`poll_event`](Self::poll_event) returns what followed, or
/// fails and changes nothing. A command that takes `now` first counts the time of the running turn
/// and adds the warnings that are due.
#[derive(Debug, Clone)]
pub struct Floor {
    pub(super) policy: FloorPolicy,
    pub(super) queue: Tracked<QueueState>,
    pub(super) list: SpeakingList,
    pub(super) turns: Tracked<Turns>,
    /// Counts the events about turns. A running turn changes as time passes, but its stored form
    /// stays valid until the next such event.
    pub(super) turns_told: Tracked<u64>,
    pub(super) turns_started: TrackedMap<UserId, u32>,
    pub(super) events: VecDeque<FloorEvent>,
}

/// All turns that have not ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Turns {
    pub(super) current: Option<Turn>,
    /// Turns that wait for interposed questions to end; the one interrupted first comes first.
    /// Empty when there is no current turn.
    pub(super) stacked: Vec<Turn>,
}

impl Turns {
    /// All of them, the current one last.
    pub(super) fn all(&self) -> impl Iterator<Item = &Turn> {
        self.stacked.iter().chain(&self.current)
    }
}

impl PartialEq for Floor {
    fn eq(&self, other: &Self) -> bool {
        self.policy == other.policy
            && self.queue == other.queue
            && self.list == other.list
            && self.turns == other.turns
            && self.turns_started == other.turns_started
            && self.events == other.events
    }
}

impl Floor {
    /// Makes an open, empty list. Turns are limited to [`TURN_LIMIT_MAX`] whatever the policy says,
    /// and the default turn to the longest one.
    #[must_use]
    pub fn new(policy: FloorPolicy) -> Self {
        Self {
            policy: policy.bounded(),
            queue: Tracked::new(QueueState::Open),
            list: SpeakingList::default(),
            turns: Tracked::default(),
            turns_told: Tracked::default(),
            turns_started: TrackedMap::default(),
            events: VecDeque::new(),
        }
    }

    /// Sets another policy. A turn that is longer than it allows keeps its limit and can't be
    /// extended.
    pub fn set_policy(&mut self, policy: FloorPolicy) {
        self.policy = policy.bounded();
    }

    /// The next event, in order.
    pub fn poll_event(&mut self) -> Option<FloorEvent> {
        self.events.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.turns.current.as_ref()?.next_warning()
    }

    /// Adds the warnings that are due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.count(now);
    }

    /// Opens the list for requests or closes it; existing entries stay.
    pub fn set_queue(&mut self, state: QueueState) {
        if *self.queue != state {
            *self.queue.edit() = state;
            self.events.push_back(FloorEvent::QueueUpdated);
        }
    }

    /// A person asks to speak.
    ///
    /// # Errors
    /// `QueueClosed`, `NoteTooLong`, `IdInUse`, `AlreadyWaiting`, `QueueFull`.
    pub fn handle_request_speech(
        &mut self,
        request: NewRequest,
        now: Timestamp,
    ) -> Result<(), FloorError> {
        let passes = self.policy.points_of_order_pass_closed_list
            && matches!(request.kind, SpeechKind::PointOfOrder | SpeechKind::InterposedQuestion);
        if *self.queue == QueueState::Closed && !passes {
            return Err(FloorError::QueueClosed);
        }
        self.check_request(&request)?;
        self.count(now);
        let entry = self.list.arrive(request, Microphone::Own, now);
        self.list.requested.insert(entry.arrival, entry.clone());
        self.events.push_back(FloorEvent::RequestReceived(entry));
        Ok(())
    }

    /// A moderator puts a person on the list, approved, even while it is closed.
    ///
    /// # Errors
    /// `NoteTooLong`, `IdInUse`, `AlreadyWaiting`, `QueueFull`.
    pub fn add_speaker(
        &mut self,
        request: NewRequest,
        microphone: Microphone,
        now: Timestamp,
    ) -> Result<(), FloorError> {
        self.check_request(&request)?;
        self.count(now);
        let mut entry = self.list.arrive(request, microphone, now);
        entry.approved_at = Some(now);
        self.events.push_back(FloorEvent::SpeechApproved(entry.clone()));
        self.list.wait(entry);
        self.events.push_back(FloorEvent::QueueUpdated);
        Ok(())
    }

    /// A request is cancelled, whether it was approved or not.
    ///
    /// # Errors
    /// `RequestNotFound`, also when the caller may not cancel it.
    pub fn handle_cancel_speech(
        &mut self,
        request_id: RequestId,
        by: Canceller<'_>,
    ) -> Result<(), FloorError> {
        let (position, entry) = self.list.find(request_id)?;
        let by = match by {
            Canceller::Moderator => Cancellation::Moderator,
            Canceller::Speaker(user) if *user == entry.user_id => Cancellation::Speaker,
            Canceller::Speaker(_) => return Err(FloorError::RequestNotFound),
        };
        let entry = self.list.remove(position).ok_or(FloorError::RequestNotFound)?;
        self.events.push_back(FloorEvent::SpeechCancelled { entry, by });
        if matches!(position, Position::Waiting(_)) {
            self.events.push_back(FloorEvent::QueueUpdated);
        }
        Ok(())
    }

    /// A moderator approves a request: it waits from now on, or, when the policy says so and nobody
    /// has the floor, its turn starts under `turn_id`, even when others wait already.
    ///
    /// # Errors
    /// `RequestNotFound`; `RequestStateConflict` when it was approved before;
    /// `IdInUse` for a turn that starts.
    pub fn approve(
        &mut self,
        request_id: RequestId,
        turn_id: TurnId,
        now: Timestamp,
    ) -> Result<(), FloorError> {
        let position = self.list.find_requested(request_id)?;
        let starts = self.policy.auto_start && self.turns.current.is_none();
        if starts {
            self.check_turn_id(turn_id)?;
        }
        self.count(now);
        let mut entry = self.list.remove(position).ok_or(FloorError::RequestNotFound)?;
        entry.approved_at = Some(now);
        self.events.push_back(FloorEvent::SpeechApproved(entry.clone()));
        if starts {
            self.begin(entry, turn_id, self.policy.default_turn, now);
        } else {
            self.list.wait(entry);
            self.events.push_back(FloorEvent::QueueUpdated);
        }
        Ok(())
    }

    /// A moderator denies a request.
    ///
    /// # Errors
    /// `RequestNotFound`; `RequestStateConflict` when it was approved before;
    /// `ReasonTooLong`.
    pub fn deny(
        &mut self,
        request_id: RequestId,
        reason: Option<String>,
    ) -> Result<(), FloorError> {
        let position = self.list.find_requested(request_id)?;
        if reason.as_deref().is_some_and(|reason| longer_than(reason, REASON_LENGTH_MAX)) {
            return Err(FloorError::ReasonTooLong);
        }
        let entry = self.list.remove(position).ok_or(FloorError::RequestNotFound)?;
        self.events.push_back(FloorEvent::SpeechDenied { entry, reason });
        Ok(())
    }

    /// A moderator sets the order of the waiting entries. Later entries are placed after the last
    /// one that precedes them by the rule.
    ///
    /// # Errors
    /// `OrderInvalid` unless `order` names each entry that waits exactly once.
    pub fn handle_reorder(&mut self, order: &[RequestId]) -> Result<(), FloorError> {
        if self.list.reorder(order)? {
            self.events.push_back(FloorEvent::QueueUpdated);
        }
        Ok(())
    }

    /// A moderator gives the floor to a waiting entry, or to the next one. An interposed question
    /// interrupts the current turn and stacks it; any other turn ends the current turn and all
    /// stacked ones.
    ///
    /// # Errors
    /// `RequestNotFound`, `RequestStateConflict` when it is not approved yet,
    /// `QueueEmpty`, `NoDuration`, `TurnLimitReached`, `IdInUse`, `StackFull`.
    pub fn start_turn(
        &mut self,
        request: Option<RequestId>,
        turn_id: TurnId,
        limit: Option<Duration>,
        now: Timestamp,
    ) -> Result<(), FloorError> {
        let (position, entry) = match request {
            Some(request_id) => self.list.find_waiting(request_id)?,
            None => self.list.next().ok_or(FloorError::QueueEmpty)?,
        };
        let kind = entry.kind;
        let limit = self.checked_limit(limit)?;
        self.check_turn_id(turn_id)?;
        let interposed = kind == SpeechKind::InterposedQuestion && self.turns.current.is_some();
        if interposed && self.turns.stacked.len() >= STACKED_TURNS_MAX {
            return Err(FloorError::StackFull);
        }
        self.count(now);
        if interposed {
            self.interrupt(now);
        } else {
            self.end_all(TurnEnd::Replaced, now);
        }
        let entry = self.list.remove(position).ok_or(FloorError::RequestNotFound)?;
        self.events.push_back(FloorEvent::QueueUpdated);
        self.begin(entry, turn_id, limit, now);
        Ok(())
    }

    /// A moderator pauses the current turn; its holder must not be heard meanwhile.
    ///
    /// # Errors
    /// `NoTurn`; `TurnStateConflict` when it is paused already.
    pub fn pause_turn(&mut self, now: Timestamp) -> Result<(), FloorError> {
        if !self.turns.current.as_ref().ok_or(FloorError::NoTurn)?.is_running() {
            return Err(FloorError::TurnStateConflict);
        }
        self.count(now);
        if let Some(turn) = &mut self.turns.edit().current {
            turn.clock = TurnClock::Paused;
            let turn = turn.view(now);
            self.tell_turn(FloorEvent::TurnPaused { turn, cause: PauseCause::Moderator });
        }
        Ok(())
    }

    /// A moderator resumes the current turn.
    ///
    /// # Errors
    /// `NoTurn`; `TurnStateConflict` when it runs already.
    pub fn resume_turn(&mut self, now: Timestamp) -> Result<(), FloorError> {
        if self.turns.current.as_ref().ok_or(FloorError::NoTurn)?.is_running() {
            return Err(FloorError::TurnStateConflict);
        }
        if let Some(turn) = &mut self.turns.edit().current {
            turn.clock = TurnClock::Running { counted_until: now };
            let turn = turn.view(now);
            self.tell_turn(FloorEvent::TurnResumed(turn));
        }
        Ok(())
    }

    /// A moderator gives the current turn, running or paused, more time.
    ///
    /// # Errors
    /// `NoTurn`, `NoDuration`, `TurnLimitReached`.
    pub fn extend_turn(&mut self, by: Duration, now: Timestamp) -> Result<(), FloorError> {
        let turn = self.turns.current.as_ref().ok_or(FloorError::NoTurn)?;
        let by = whole_us(by);
        if by.is_zero() {
            return Err(FloorError::NoDuration);
        }
        let limit = turn.limit.saturating_add(by);
        if limit > self.policy.max_turn {
            return Err(FloorError::TurnLimitReached);
        }
        self.count(now);
        if let Some(turn) = &mut self.turns.edit().current {
            turn.limit = limit;
            let turn = turn.view(now);
            self.tell_turn(FloorEvent::TurnExtended(turn));
        }
        Ok(())
    }

    /// A moderator ends the current turn; an interrupted turn continues.
    ///
    /// # Errors
    /// `NoTurn`.
    pub fn stop_turn(&mut self, now: Timestamp) -> Result<(), FloorError> {
        if self.turns.current.is_none() {
            return Err(FloorError::NoTurn);
        }
        self.count(now);
        self.end_current(TurnEnd::Stopped, now);
        Ok(())
    }

    /// The speaker ends the current turn; an interrupted turn continues.
    ///
    /// # Errors
    /// `NotYourTurn` unless `by` holds the current turn, running or paused.
    pub fn end_speech(&mut self, by: &UserId, now: Timestamp) -> Result<(), FloorError> {
        if self.turns.current.as_ref().is_none_or(|turn| turn.user_id != *by) {
            return Err(FloorError::NotYourTurn);
        }
        self.count(now);
        self.end_current(TurnEnd::EndedBySpeaker, now);
        Ok(())
    }

    /// A person was removed from the room: their requests are cancelled and their turns end,
    /// including stacked ones. Leaving or losing the connection is not a removal.
    pub fn handle_removed(&mut self, user: &UserId, now: Timestamp) {
        self.count(now);
        let waiting_before = self.list.waiting.len();
        for entries in [&mut self.list.requested, &mut self.list.waiting] {
            let theirs = entries.iter().filter(|(_, entry)| entry.user_id == *user);
            let theirs: Vec<u64> = theirs.map(|(key, _)| *key).collect();
            for entry in theirs.into_iter().filter_map(|key| entries.remove(&key)) {
                let by = Cancellation::Removed;
                self.events.push_back(FloorEvent::SpeechCancelled { entry, by });
            }
        }
        if self.list.waiting.len() != waiting_before {
            self.events.push_back(FloorEvent::QueueUpdated);
        }
        let theirs = |turn: &mut Turn| turn.user_id == *user;
        let ended_turns: Vec<Turn> = self.turns.edit().stacked.extract_if(.., theirs).collect();
        for turn in ended_turns {
            self.tell_turn(ended(turn, TurnEnd::Removed, now));
        }
        if self.turns.current.as_ref().is_some_and(|turn| turn.user_id == *user) {
            self.end_current(TurnEnd::Removed, now);
        }
    }

    /// The session has ended: every turn ends and the list is cleared.
    pub fn handle_session_end(&mut self, now: Timestamp) {
        self.count(now);
        self.end_all(TurnEnd::SessionEnded, now);
        if self.list.entries().next().is_some() {
            self.list.requested.clear();
            self.list.waiting.clear();
            self.events.push_back(FloorEvent::QueueUpdated);
        }
    }

    /// Approved entries in the order in which they get the floor.
    pub fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.list.waiting.values()
    }

    /// Entries that nobody has decided yet, by arrival.
    pub fn requested(&self) -> impl Iterator<Item = &Entry> {
        self.list.requested.values()
    }

    /// The turn that has the floor.
    #[must_use]
    pub fn current_turn(&self, now: Timestamp) -> Option<TurnView> {
        self.turns.current.as_ref().map(|turn| turn.view(now))
    }

    /// Turns that interposed questions interrupted; the next one to continue comes last.
    pub fn stacked_turns(&self, now: Timestamp) -> impl Iterator<Item = TurnView> {
        self.turns.stacked.iter().map(move |turn| turn.view(now))
    }

    /// Who must be heard now, and through which microphone: the holder of the running turn.
    #[must_use]
    pub fn speaker(&self) -> Option<(&UserId, Microphone)> {
        let turn = self.turns.current.as_ref().filter(|turn| turn.is_running())?;
        Some((&turn.user_id, turn.microphone))
    }

    /// Whether the list accepts requests.
    #[must_use]
    pub fn is_queue_open(&self) -> bool {
        *self.queue == QueueState::Open
    }

    /// How many turns of `user` have started, the current one included.
    #[must_use]
    pub fn turns_started(&self, user: &UserId) -> u32 {
        self.turns_started.get(user).copied().unwrap_or(0)
    }

    fn check_request(&self, request: &NewRequest) -> Result<(), FloorError> {
        if self.turns().any(|turn| turn.request_id == request.id) {
            return Err(FloorError::IdInUse);
        }
        self.list.check(request)
    }

    fn check_turn_id(&self, turn_id: TurnId) -> Result<(), FloorError> {
        if self.turns().any(|turn| turn.turn_id == turn_id) {
            return Err(FloorError::IdInUse);
        }
        Ok(())
    }

    fn checked_limit(&self, limit: Option<Duration>) -> Result<Duration, FloorError> {
        let Some(limit) = limit.map(whole_us) else {
            return Ok(self.policy.default_turn);
        };
        if limit.is_zero() {
            return Err(FloorError::NoDuration);
        }
        if limit > self.policy.max_turn {
            return Err(FloorError::TurnLimitReached);
        }
        Ok(limit)
    }

    fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.turns.all()
    }

    /// Counts the time of the running turn up to `now`.
    pub(super) fn count(&mut self, now: Timestamp) {
        if self.turns.current.is_none() {
            return;
        }
        let Some(turn) = &mut self.turns.edit().current else { return };
        let warnings = turn.count(now);
        let turn = turn.view(now);
        for left in warnings {
            self.tell_turn(FloorEvent::TurnWarning { turn: turn.clone(), left });
        }
    }

    /// Makes an entry the current turn; there must be none.
    fn begin(&mut self, entry: Entry, turn_id: TurnId, limit: Duration, now: Timestamp) {
        let people = self.turns_started.len();
        if people < PEOPLE_COUNTED_MAX || self.turns_started.contains_key(&entry.user_id) {
            let count = self.turns_started(&entry.user_id).saturating_add(1);
            self.turns_started.insert(entry.user_id.clone(), count);
        }
        let turn = Turn::start(entry, turn_id, limit, now);
        self.tell_turn(FloorEvent::TurnStarted(turn.view(now)));
        self.turns.edit().current = Some(turn);
    }

    /// Stacks the current turn for an interposed question.
    fn interrupt(&mut self, now: Timestamp) {
        let Some(mut turn) = self.turns.edit().current.take() else { return };
        if turn.is_running() {
            turn.clock = TurnClock::Interrupted;
            let view = turn.view(now);
            let cause = PauseCause::Interposed;
            self.tell_turn(FloorEvent::TurnPaused { turn: view, cause });
        }
        self.turns.edit().stacked.push(turn);
    }

    /// Ends the current turn and makes the last stacked one current again.
    fn end_current(&mut self, reason: TurnEnd, now: Timestamp) {
        let Some(turn) = self.turns.edit().current.take() else { return };
        self.tell_turn(ended(turn, reason, now));
        let Some(mut turn) = self.turns.edit().stacked.pop() else { return };
        self.tell_turn(if turn.clock == TurnClock::Interrupted {
            turn.clock = TurnClock::Running { counted_until: now };
            FloorEvent::TurnResumed(turn.view(now))
        } else {
            FloorEvent::TurnPaused { turn: turn.view(now), cause: PauseCause::StillPaused }
        });
        self.turns.edit().current = Some(turn);
    }

    /// Ends the current turn and every stacked one, the last interrupted first.
    fn end_all(&mut self, reason: TurnEnd, now: Timestamp) {
        if self.turns.current.is_none() {
            return;
        }
        let Turns { current, stacked } = std::mem::take(self.turns.edit());
        for turn in current.into_iter().chain(stacked.into_iter().rev()) {
            self.tell_turn(ended(turn, reason, now));
        }
    }

    pub(super) fn tell_turn(&mut self, event: FloorEvent) {
        *self.turns_told.edit() += 1;
        self.events.push_back(event);
    }
}

/// The event of a turn that ended, whose time was counted up to `now`.
pub(super) fn ended(mut turn: Turn, reason: TurnEnd, now: Timestamp) -> FloorEvent {
    turn.clock = TurnClock::Paused;
    FloorEvent::TurnEnded { turn: turn.view(now), reason }
}
