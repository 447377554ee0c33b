#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! One turn and its time.

use std::time::Duration;

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{RequestId, TurnId, UserId};
use crate::domain::time::Timestamp;

use super::event::WARNINGS;
use super::list::{Entry, Microphone};

/// Longest turn that any policy can allow. It does not bound the time used.
pub const TURN_LIMIT_MAX: Duration = Duration::from_hours(24);
/// Most turns that wait for interposed questions to end; another question is refused. More nested
/// questions would be hard to follow for an assembly.
pub const STACKED_TURNS_MAX: usize = 4;

/// The floor, given to one speaker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The turn.
    pub turn_id: TurnId,
    /// The request from which it was started.
    pub request_id: RequestId,
    /// The speaker.
    pub user_id: UserId,
    /// Name shown to people.
    pub name: String,
    /// The kind of request.
    pub kind: SpeechKind,
    /// The speaker's position on the matter.
    pub stance: Option<Stance>,
    /// The microphone through which the speaker is heard.
    pub microphone: Microphone,
    /// When it started.
    pub started_at: Timestamp,
    /// Time that it was given, including extensions; whole microseconds.
    pub limit: Duration,
    /// Time counted so far; whole microseconds. A running turn has also used the time since
    /// [`TurnClock::Running`].
    pub used: Duration,
    /// Whether its time runs.
    pub clock: TurnClock,
}

/// Whether the time of a turn runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnClock {
    /// It runs.
    Running {
        /// Time used is counted up to this moment.
        counted_until: Timestamp,
    },
    /// A moderator paused it.
    Paused,
    /// It ran when a question was interposed, and will run again.
    Interrupted,
}

/// A turn at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnView {
    /// The turn.
    pub turn_id: TurnId,
    /// The request from which it was started.
    pub request_id: RequestId,
    /// The speaker.
    pub user_id: UserId,
    /// Name shown to people.
    pub name: String,
    /// The kind of request.
    pub kind: SpeechKind,
    /// The speaker's position on the matter.
    pub stance: Option<Stance>,
    /// The microphone through which the speaker is heard.
    pub microphone: Microphone,
    /// When it started.
    pub started_at: Timestamp,
    /// Time that it was given, including extensions.
    pub limit: Duration,
    /// Time used, exact to the microsecond.
    pub used: Duration,
    /// Whether its time runs, and so whether the speaker must be heard.
    pub running: bool,
}

impl TurnView {
    /// Remaining time in microseconds; negative when the speaker has used more than the limit.
    #[must_use]
    pub fn left_us(&self) -> i64 {
        let us = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        us(self.limit).saturating_sub(us(self.used))
    }
}

impl Turn {
    /// Makes a turn that starts to run.
    pub(super) fn start(entry: Entry, turn_id: TurnId, limit: Duration, now: Timestamp) -> Self {
        Self {
            turn_id,
            request_id: entry.request_id,
            user_id: entry.user_id,
            name: entry.name,
            kind: entry.kind,
            stance: entry.stance,
            microphone: entry.microphone,
            started_at: now,
            limit,
            used: Duration::ZERO,
            clock: TurnClock::Running { counted_until: now },
        }
    }

    pub(super) const fn is_running(&self) -> bool {
        matches!(self.clock, TurnClock::Running { .. })
    }

    /// Time used at `now`. Counted time stays counted when the clock goes backwards.
    fn used_at(&self, now: Timestamp) -> Duration {
        match self.clock {
            TurnClock::Running { counted_until } => {
                self.used.saturating_add(now.since(counted_until))
            }
            TurnClock::Paused | TurnClock::Interrupted => self.used,
        }
    }

    pub(super) fn view(&self, now: Timestamp) -> TurnView {
        TurnView {
            turn_id: self.turn_id,
            request_id: self.request_id,
            user_id: self.user_id.clone(),
            name: self.name.clone(),
            kind: self.kind,
            stance: self.stance,
            microphone: self.microphone,
            started_at: self.started_at,
            limit: self.limit,
            used: self.used_at(now),
            running: self.is_running(),
        }
    }

    /// Counts the time up to `now`; returns the warnings that become due, longest first. If the
    /// clock went backwards, counting continues from the new time. A warning is due when the
    /// remaining time was above it and no longer is, so it is due again if an extension lifts the
    /// turn above it.
    pub(super) fn count(&mut self, now: Timestamp) -> impl Iterator<Item = Duration> + use<> {
        let before = self.used;
        self.used = self.used_at(now);
        if let TurnClock::Running { counted_until } = &mut self.clock {
            *counted_until = now;
        }
        let (after, limit) = (self.used, self.limit);
        WARNINGS.into_iter().filter(move |left| {
            limit.saturating_sub(before) > *left && limit.saturating_sub(after) <= *left
        })
    }

    /// When the next warning is due, while the turn runs and a warning is left.
    pub(super) fn next_warning(&self) -> Option<Timestamp> {
        let TurnClock::Running { counted_until } = self.clock else {
            return None;
        };
        let left = self.limit.saturating_sub(self.used);
        let next = WARNINGS.into_iter().find(|warning| left > *warning)?;
        Some(counted_until.after(left.saturating_sub(next)))
    }
}

/// `span` cut to whole microseconds, the resolution of timestamps.
pub(super) fn whole_us(span: Duration) -> Duration {
    span.saturating_sub(Duration::from_nanos(u64::from(span.subsec_nanos() % 1_000)))
}
