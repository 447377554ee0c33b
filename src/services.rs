//! Clients of the platform's other services: identity, governance, tenancy and
//! user profiles; and of the providers of meetings, Google Meet and Zoom. Each call has a time-out, is repeated only when that is safe,
//! and goes through the circuit breaker of its service. What a service answers is
//! bounded, checked against its contract in `contracts/`, and held against the
//! question: an answer about somebody else is an error, not an answer.

mod body;
mod breaker;
mod cache;
mod client;
mod error;
mod google_account;
mod google_meet;
mod governance;
mod identity;
mod meeting;
mod metrics;
mod refusal;
mod tenancy;
mod user_profiles;
mod zoom;

pub use breaker::{
    Admission, BREAKER_CALLS_MIN, BREAKER_OPEN_FOR, BREAKER_WINDOW, Breaker, BreakerState, Permit,
};
pub use client::{
    ANSWER_BYTES_MAX, ClientTls, PlainHttp, RemoteService, ServiceOptions, ServiceState, TRIES_MAX,
};
pub use error::{ServiceError, ServiceSetupError};
pub use google_account::{GoogleAccount, GoogleAccountOptions};
pub use google_meet::{GOOGLE_MEET_SCOPE, GoogleMeetAccess, GoogleMeetClient, GoogleMeetOptions};
pub use governance::{EventData, GovernanceClient, SessionEnded, SessionStarted};
pub use identity::{BiometricKind, CodeChannel, IdentityClient, ProofContext, Refusal, Validation};
pub use meeting::{CallState, CreateError, MeetingAtProvider, WantedMeeting};
pub use metrics::describe_metrics;
pub use tenancy::{
    StreamingLimits, TENANCY_FAILED_FOR, TENANCY_FRESH_FOR, TENANCY_WAIT_MAX, TenancyAnswer,
    TenancyClient, TenantStatus,
};
pub use user_profiles::{
    ELIGIBLE_FRESH_FOR, ELIGIBLE_MEMBERS_MAX, ELIGIBLE_PAGES_MAX, EligibleDelegation, EligibleList,
    EligibleMember, UserProfilesClient,
};
pub use zoom::{ZoomClient, ZoomOptions};
