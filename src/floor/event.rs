//! The events of the floor.

use std::time::Duration;

use crate::domain::floor::TurnEnd;

use super::list::Entry;
use super::turn::TurnView;

/// Remaining times at which a speaker is warned, longest first.
pub const WARNINGS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(10)];

/// A decision. Turns are as they are right after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorEvent {
    /// Somebody asked for the floor.
    RequestReceived(Entry),
    /// A request was approved, or a moderator put a person on the list. It waits now, unless its
    /// turn starts with the next events.
    SpeechApproved(Entry),
    /// A request was denied.
    SpeechDenied {
        /// The request, which is no longer on the list.
        entry: Entry,
        /// The reason that the moderator gave.
        reason: Option<String>,
    },
    /// A request was cancelled.
    SpeechCancelled {
        /// The request, which is no longer on the list.
        entry: Entry,
        /// Who cancelled it.
        by: Cancellation,
    },
    /// The waiting entries, their order, or whether the list accepts requests has changed, or the
    /// end of the session has cleared all entries.
    QueueUpdated,
    /// A turn started to run.
    TurnStarted(TurnView),
    /// The current turn was paused or interrupted, or became current again without running.
    TurnPaused {
        /// The turn.
        turn: TurnView,
        /// Why it does not run.
        cause: PauseCause,
    },
    /// A turn runs again, after a pause or after an interposed question.
    TurnResumed(TurnView),
    /// A turn has more time now.
    TurnExtended(TurnView),
    /// The remaining time of the current turn fell to one of [`WARNINGS`].
    TurnWarning {
        /// The turn; its remaining time may be less if the clock was read late.
        turn: TurnView,
        /// The warning.
        left: Duration,
    },
    /// A turn has ended; its time used is final.
    TurnEnded {
        /// The turn.
        turn: TurnView,
        /// Why it ended.
        reason: TurnEnd,
    },
}

/// Who cancelled a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// The person who had made it.
    Speaker,
    /// A moderator.
    Moderator,
    /// Nobody: the person who had made it was removed from the room.
    Removed,
}

/// Why a turn does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCause {
    /// A moderator paused it.
    Moderator,
    /// A question was interposed. The turn is stacked and runs again when the question has ended.
    Interposed,
    /// The interposed question has ended and the turn is current again, but a moderator had paused
    /// it before, so it stays paused.
    StillPaused,
}
