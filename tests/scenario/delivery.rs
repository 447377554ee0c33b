//! Events as other services are told them.

mod fixture;
mod kafka;
mod mapping;
mod schema;
mod streams;
mod webhooks;
