//! Events as other services are told them.

mod fixture;
mod schema;
mod streams;
mod webhooks;
