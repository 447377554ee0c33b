//! The live room of a session: connects the speaking list, the media plane and the people who take
//! part.

pub mod action;
mod actor;
mod attending;
mod desk;
pub mod engine;
pub mod error;
pub mod event;
mod listed;
mod member;
mod metrics;
mod open_rooms;
pub mod ports;
pub mod quality;
mod refusals;
pub mod repository;
mod rooms;
mod transcript;

pub use desk::{Desk, DeskError, Presented};
pub use listed::Listed;
pub use member::{
    Acted, Entered, MediaAfterLoss, MemberHandle, Outbound, PendingAct, Request, Sink,
};
pub use metrics::describe_metrics;
pub use refusals::REFUSAL_INTERVAL;
pub use rooms::{ResumeRequest, Rooms, camera_user};
