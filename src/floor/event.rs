//! What the floor tells.

use std::time::Duration;

use crate::domain::floor::TurnEnd;

use super::list::Entry;
use super::turn::TurnView;

/// Time left at which a speaker is warned, longest first.
pub const WARNINGS: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(10)];

/// Something was decided. Turns are shown as they are right after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FloorEvent {
    /// Somebody asked for the floor.
    RequestReceived(Entry),
    /// A request was approved, or a moderator put somebody on the list. It
    /// waits now, unless its turn starts with the next events.
    SpeechApproved(Entry),
    /// A request was denied.
    SpeechDenied {
        /// The request; it is gone from the list.
        entry: Entry,
        /// What the moderator said about it.
        reason: Option<String>,
    },
    /// A request was taken back.
    SpeechCancelled {
        /// The request; it is gone from the list.
        entry: Entry,
        /// By whom.
        by: Cancellation,
    },
    /// The entries that wait, their order, or whether the list takes requests
    /// has changed, or the end of the session has cleared all entries.
    QueueUpdated,
    /// A turn began to run.
    TurnStarted(TurnView),
    /// The current turn does not run any more, or is current again without
    /// running.
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
    /// The time left of the current turn fell to one of [`WARNINGS`].
    TurnWarning {
        /// The turn; its time left may be less when the clock was read late.
        turn: TurnView,
        /// Which warning this is.
        left: Duration,
    },
    /// A turn is over; its time used is final.
    TurnEnded {
        /// The turn.
        turn: TurnView,
        /// Why it ended.
        reason: TurnEnd,
    },
}

/// Who took a request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancellation {
    /// The one who had asked.
    Speaker,
    /// A moderator.
    Moderator,
    /// Nobody: the one who had asked was removed from the room.
    Removed,
}

/// Why a turn does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PauseCause {
    /// A moderator paused it.
    Moderator,
    /// A question was interposed. The turn is stacked and runs again when the
    /// question ends.
    Interposed,
    /// The interposed question is over and the turn is current again, but a
    /// moderator had paused it before, and so it stays.
    StillPaused,
}
