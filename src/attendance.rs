//! Attendance: who is present, since when, by what proof, whom they represent,
//! and whether that is a quorum. One [`Attendance`] per session, pure: time is
//! handed in, what follows from a command is polled.
//!
//! A person counts once, however many devices they use. A unit counts once,
//! whether its member or the member's delegate is present.

mod changes;
mod engine;
mod error;
mod event;
mod left_out;
pub mod ports;
mod presence;
mod proof;
mod quorum;
mod rate;
mod roll;
mod snapshot;

pub use changes::AttendancePart;
pub use engine::{Attendance, DELEGATIONS_MAX, PEOPLE_MAX, PRESENTED_MAX};
pub use error::AttendanceError;
pub use event::AttendanceEvent;
pub use left_out::{LeftOut, LeftOutReason};
pub use presence::{
    CONNECTIONS_PER_PERSON_MAX, Decided, DeskDecision, EarlierIntervals, INTERVALS_PER_PERSON_MAX,
    Interval, Person,
};
pub use proof::{CoarseLocation, Consent, PresentedHash, Proof};
pub use quorum::{QUORUM_HISTORY_MAX, QuorumChange, QuorumView, Tally};
pub use rate::{
    RATE_WINDOW, TENANTS_COUNTED_MAX, VALIDATIONS_PER_PERSON_MAX, VALIDATIONS_PER_TENANT_MAX,
    ValidationLimiter,
};
pub use roll::{MEMBERS_MAX, Member, Roll, RollInvalid, UNITS_MAX};
pub use snapshot::AttendanceSnapshot;

pub use crate::domain::quorum::{
    Admission, AttendanceRules, Comparison, QuorumRule, QuorumRules, Share,
};
