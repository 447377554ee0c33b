//! The clients of the platform's services, against a stand-in on loopback that is
//! well, slow, wrong, down or malicious; and both against the contracts.

mod answers;
mod contracts;
mod failures;
mod fixture;
mod google_speech;
mod meetings;
mod providers;
mod remote_speech;
mod schema;
