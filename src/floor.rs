//! The speaking list and its turns: who asked to speak, who waits, who has the floor and for how
//! long. One list per session, for people in the hall and for people who join from a browser. No
//! I/O: the caller passes time and identifiers and polls the resulting events. `docs/MODERATION.md`
//! has the rules.

mod changes;
mod engine;
mod error;
mod event;
mod list;
mod snapshot;
mod turn;
mod undo;

pub use changes::FloorPart;
pub use engine::{Canceller, EVENTS_PER_COMMAND_MAX, Floor, FloorPolicy, PEOPLE_COUNTED_MAX};
pub use error::FloorError;
pub use event::{Cancellation, FloorEvent, PauseCause, WARNINGS};
pub use list::{
    ARRIVALS_MAX, ENTRIES_MAX, Entry, Microphone, NAME_LENGTH_MAX, NOTE_LENGTH_MAX, NewRequest,
    QueueState, REASON_LENGTH_MAX,
};
pub use snapshot::FloorSnapshot;
pub use turn::{STACKED_TURNS_MAX, TURN_LIMIT_MAX, Turn, TurnClock, TurnView};
pub use undo::FloorMemory;
