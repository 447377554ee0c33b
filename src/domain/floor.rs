//! Types of the speaking list.

use crate::domain::named_values::named_values;

named_values!(
    /// The kind of a speech request. The speaking list is ordered by kind, from the last of these
    /// values to the first; requests of equal kind are ordered by arrival.
    SpeechKind {
        /// To speak on the matter.
        Normal => "normal",
        /// To raise a point of order.
        PointOfOrder => "point_of_order",
        /// To intervene in reply, ahead of the list.
        Intervention => "intervention",
        /// To put a question to the speaker, whose turn waits meanwhile.
        InterposedQuestion => "interposed_question",
    }
);
named_values!(
    /// The speaker's position on the matter.
    Stance {
        /// For it.
        Pro => "pro",
        /// Against it.
        Contra => "contra",
        /// Neither.
        Neutral => "neutral",
    }
);
named_values!(
    /// Why a turn ended.
    TurnEnd {
        /// The speaker gave the floor back.
        EndedBySpeaker => "ended_by_speaker",
        /// A moderator took the floor back.
        Stopped => "stopped",
        /// Another turn was started.
        Replaced => "replaced",
        /// The speaker was removed from the room.
        Removed => "removed",
        /// A moderator took back what had started it.
        Undone => "undone",
        /// The session ended.
        SessionEnded => "session_ended",
    }
);
