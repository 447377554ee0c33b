//! The options of the database.

use crate::store::error::SetupError;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::sqlite::SqliteConnectOptions;

use crate::domain::secret::Secret;
use crate::domain::sqlite_url::sqlite_url;

/// Default number of connections of one instance. All instances together must stay below the
/// `max_connections` of the server.
pub const MAX_CONNECTIONS_DEFAULT: u32 = 16;
/// Default time to wait for a free connection; after that the request is answered with 503.
pub const ACQUIRE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// Default number of bytes that stay free on the disk of an SQLite file.
pub const FREE_BYTES_MIN_DEFAULT: u64 = 64 << 20;

/// What to do about migrations when the server starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConnect {
    /// Apply pending migrations. On PostgreSQL this needs a migration URL; without one, migrations
    /// are only checked.
    Migrate,
    /// Refuse to start when a migration is pending.
    Check,
}

/// How the server connects to the database.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// `sqlite:` or `postgres:` URL. On PostgreSQL its role must neither own
    /// the tables nor bypass row-level security.
    pub url: Secret<String>,
    /// URL of the role that owns the tables; PostgreSQL only.
    pub migration_url: Option<Secret<String>>,
    /// Most connections of this instance.
    pub max_connections: u32,
    /// Longest time to wait for a free connection.
    pub acquire_timeout: Duration,
    /// Bytes on the disk of an SQLite file that only logs and claimed background work may use; when
    /// less is free, everything else is refused. 0 reserves nothing.
    pub free_bytes_min: u64,
    /// What to do about migrations.
    pub on_connect: OnConnect,
}

/// How migrations connect to the database.
#[derive(Debug, Clone)]
pub struct MigrateOptions {
    /// URL of the role that owns the tables, or of the SQLite file.
    pub url: Secret<String>,
    /// The role with which the server connects, which is granted its privileges; `None` on SQLite.
    pub app_role: Option<String>,
}

/// The kinds of databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Engine {
    Sqlite,
    /// Exists as long as its only connection.
    SqliteMemory,
    Postgres,
}

impl StoreOptions {
    /// The default options, which apply migrations at start.
    #[must_use]
    pub fn new(url: Secret<String>) -> Self {
        Self {
            url,
            migration_url: None,
            max_connections: MAX_CONNECTIONS_DEFAULT,
            acquire_timeout: ACQUIRE_TIMEOUT_DEFAULT,
            free_bytes_min: FREE_BYTES_MIN_DEFAULT,
            on_connect: OnConnect::Migrate,
        }
    }

    /// The default options for an SQLite file, which is created if it does not exist.
    #[must_use]
    pub fn sqlite_file(path: &Path) -> Self {
        Self::new(Secret::new(sqlite_url(path)))
    }

    /// Whether the database is an SQLite file that does not exist, so that connecting makes it.
    #[must_use]
    pub fn is_absent_file(&self) -> bool {
        self.file().is_some_and(|file| !file.exists())
    }

    /// The file of an SQLite database.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        file_of(&self.url)
    }

    /// How to migrate this database: with its migration role, for the role in its own URL.
    pub fn migrate_options(&self) -> Result<MigrateOptions, SetupError> {
        let url = self.migration_url.clone().unwrap_or_else(|| self.url.clone());
        let app_role = match Engine::of(&self.url)? {
            Engine::Postgres => Some(role_of(&self.url)?),
            Engine::Sqlite | Engine::SqliteMemory => None,
        };
        Ok(MigrateOptions { url, app_role })
    }
}

impl Engine {
    pub(super) fn of(url: &Secret<String>) -> Result<Self, SetupError> {
        let url = url.expose();
        if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Self::Postgres)
        } else if url.starts_with("sqlite:") {
            let in_memory = url.contains(":memory:") || url.contains("mode=memory");
            Ok(if in_memory { Self::SqliteMemory } else { Self::Sqlite })
        } else {
            Err(SetupError::InvalidUrl)
        }
    }
}

/// The file of an SQLite database.
pub(super) fn file_of(url: &Secret<String>) -> Option<PathBuf> {
    let is_file = matches!(Engine::of(url), Ok(Engine::Sqlite));
    let file: Option<SqliteConnectOptions> = url.expose().parse().ok().filter(|_| is_file);
    file.map(|file| file.get_filename().to_owned())
}

fn role_of(url: &Secret<String>) -> Result<String, SetupError> {
    let options: PgConnectOptions = url.expose().parse().map_err(|_| SetupError::InvalidUrl)?;
    Ok(options.get_username().to_owned())
}
