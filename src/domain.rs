//! The words of the field: what every other module speaks in. Nothing here
//! does I/O, is asynchronous, or serialises: doors and stores have their own
//! types and convert.

pub mod attendance;
pub mod backoff;
pub mod claim;
pub mod error_code;
pub mod floor;
pub mod id;
pub mod media;
pub mod network;
pub mod participant;
pub mod recording;
pub mod role;
pub mod secret;
pub mod service_route;
pub mod session;
pub mod shown_text;
pub mod time;
pub mod token_bucket;
pub(crate) mod words;
