//! The types of the domain that all other modules use. Nothing here does I/O, is asynchronous, or
//! serialises: interfaces and stores have types of their own and convert.

pub mod arrival;
pub mod attendance;
pub mod backoff;
pub mod camera;
pub mod claim;
pub mod eligible_list;
pub mod error_code;
pub mod floor;
pub mod hex;
pub mod id;
pub mod json;
pub mod kafka;
pub mod language;
pub mod media;
pub(crate) mod named_values;
pub mod network;
pub mod participant;
pub mod quality;
pub mod quorum;
pub mod recording;
pub mod role;
pub mod secret;
pub mod service_route;
pub mod session;
pub mod shown_text;
pub mod sqlite_url;
pub mod store_error;
pub mod time;
pub mod token_bucket;
pub mod transcript;
pub mod watched;
