//! The repositories on a database: PostgreSQL, where row-level security separates tenants, or
//! built-in SQLite. The entity types are used only in this module.
//! `docs/adr/0001-tenant-transactions.md` gives the reasons for the design.

mod arrivals;
mod cameras;
mod claims;
mod commit_mark;
mod connect;
mod custody;
mod directory;
mod entities;
mod error;
mod evidence;
mod governance;
mod idempotency;
mod installation;
mod media_tokens;
mod meeting_clocks;
mod meetings;
mod migrate;
mod operator_log;
mod options;
mod outbox;
mod probe;
mod recording_agenda;
mod recordings;
mod replay_cache;
mod reserve;
mod roles;
mod rooms;
mod scrub;
mod sessions;
mod shared_tx;
mod tenant_tx;
mod wrapped_keys;

pub use connect::Store;
pub use error::SetupError;
pub use migrate::MigrationStatus;
pub use options::{
    ACQUIRE_TIMEOUT_DEFAULT, FREE_BYTES_MIN_DEFAULT, MAX_CONNECTIONS_DEFAULT, MigrateOptions,
    OnConnect, StoreOptions,
};
pub use replay_cache::ReplayCache;

#[cfg(test)]
mod isolation_tests;
