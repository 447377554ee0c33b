//! Governed meetings: their life cycle, limits and policies. Storage is accessed through traits;
//! the time is always an argument.

mod attendance_rules;
mod change;
mod directory;
mod ends;
mod error;
mod event;
mod idempotency;
mod limits;
mod listing;
mod meetings;
mod metrics;
mod new_session;
mod observer;
mod repository;
mod service;
mod telling;
mod validation;

pub use attendance_rules::{read_rules, rules_text};
pub use change::{
    AttendancePatch, Change, QuorumRulePatch, RecordingPatch, SessionPatch, SpeakingPatch,
    TranscriptionPatch,
};
pub use directory::SessionDirectory;
pub use ends::{RoomEnds, TakenEnd};
pub use error::{FieldProblem, SessionError};
pub use event::{SessionEvent, SessionEventKind};
pub use idempotency::{
    ANSWER_BYTES_MAX, Begin, Caller, Claim, ClaimToken, IdempotencyKey, IdempotencyStore,
    InvalidIdempotencyKey, KEPT, PlannedId, Repetition, StoredAnswer, TAKEN_OVER_AFTER,
};
pub use limits::{FixedLimits, TenantLimits, TenantLimitsSource};
pub use listing::{
    LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX, ListQuery, SessionFilter, SessionPage, SessionPosition,
};
pub use meetings::{Meeting, MeetingError, MeetingMaker};
pub use metrics::describe_metrics;
pub use new_session::{
    DEFAULT_TURN_S, MAX_PARTICIPANTS_DEFAULT, MAX_TURN_S_DEFAULT, NewSession,
    RETENTION_DAYS_DEFAULT,
};
pub use observer::{NotTold, SessionObserver};
pub use repository::{Activation, ChangeId, SessionRepository};
pub use service::SessionService;
pub use telling::TOLD_BY;
pub use validation::{RETENTION_DAYS_MAX, TURN_S_MAX};
