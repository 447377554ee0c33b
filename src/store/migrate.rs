//! Applies migrations.

use crate::store::error::SetupError;
use std::collections::BTreeSet;

use cabildo_migrations::{CONTRACT_SUFFIX, MIGRATION_TABLE, Migrations};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;

use crate::store::connect::open;
use crate::store::options::{Engine, MigrateOptions};
use crate::store::roles;

/// Advisory lock that allows one process at a time to migrate: "cabildo" in ASCII.
const MIGRATION_LOCK: i64 = 0x63_61_62_69_6c_64_6f;

/// Which migrations are applied, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Applied and known to this binary.
    pub applied: Vec<String>,
    /// Known to this binary but not applied.
    pub pending: Vec<String>,
    /// Applied by a newer binary.
    pub unknown: Vec<String>,
}

impl MigrationStatus {
    pub(super) fn of(applied: &BTreeSet<String>) -> Self {
        let known: Vec<String> =
            Migrations::migrations().iter().map(|migration| migration.name().to_owned()).collect();
        let unknown = applied.iter().filter(|name| !known.contains(name)).cloned().collect();
        let (applied, pending) = known.into_iter().partition(|name| applied.contains(name));
        Self { applied, pending, unknown }
    }

    /// Refuses a database from which a newer binary removed something that this binary may need.
    /// Additions by a newer binary are no problem.
    fn require_compatible(&self) -> Result<(), SetupError> {
        let removals = self.unknown.iter().filter(|name| name.ends_with(CONTRACT_SUFFIX));
        let unknown: Vec<String> = removals.cloned().collect();
        if unknown.is_empty() { Ok(()) } else { Err(SetupError::NewerDatabase { unknown }) }
    }

    /// Refuses a database that this binary can't use as it is.
    pub(super) fn require_current(&self) -> Result<(), SetupError> {
        self.require_compatible()?;
        if self.pending.is_empty() {
            Ok(())
        } else {
            Err(SetupError::PendingMigrations { pending: self.pending.clone() })
        }
    }
}

/// Applies pending migrations on a connection of its own.
pub(super) async fn up(options: &MigrateOptions) -> Result<Vec<String>, SetupError> {
    let connection = open(&options.url, Engine::of(&options.url)?, |connect| {
        connect.max_connections(1);
    })
    .await?;
    let applied = up_through(&connection, options.app_role.as_deref()).await;
    connection.close().await?;
    applied
}

/// Applies pending migrations in one transaction, so that a failure changes nothing, and grants
/// privileges to the server's role.
pub(super) async fn up_through(
    connection: &DatabaseConnection,
    app_role: Option<&str>,
) -> Result<Vec<String>, SetupError> {
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let transaction = connection
        .begin_with_options(TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        })
        .await?;
    if postgres {
        let lock = Statement::from_sql_and_values(
            DbBackend::Postgres,
            "SELECT pg_advisory_xact_lock($1)",
            [MIGRATION_LOCK.into()],
        );
        transaction.query_one_raw(lock).await?;
    }
    let before = status_through(&transaction).await?;
    if !before.unknown.is_empty() {
        // A newer binary migrated this database and granted the privileges that its tables need;
        // granting those of this binary would revoke some.
        before.require_current()?;
        return Ok(Vec::new());
    }
    Migrations::up(&transaction, None).await?;
    if postgres {
        roles::protect_migration_table(&transaction).await?;
        if let Some(role) = app_role {
            roles::grant(&transaction, role).await?;
        }
    }
    transaction.commit().await?;
    Ok(before.pending)
}

/// Which migrations are applied; only reads.
pub(super) async fn status_through(
    connection: &impl ConnectionTrait,
) -> Result<MigrationStatus, SetupError> {
    let backend = connection.get_database_backend();
    let exists = match backend {
        DbBackend::Postgres => {
            "SELECT 1 FROM pg_class WHERE relname = $1 \
             AND relnamespace = current_schema()::regnamespace"
        }
        _ => "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = $1",
    };
    let exists = Statement::from_sql_and_values(backend, exists, [MIGRATION_TABLE.into()]);
    if connection.query_one_raw(exists).await?.is_none() {
        return Ok(MigrationStatus::of(&BTreeSet::new()));
    }
    let sql = format!("SELECT version FROM {MIGRATION_TABLE}");
    let rows = connection.query_all_raw(Statement::from_string(backend, sql)).await?;
    let applied = rows.iter().map(|row| row.try_get("", "version")).collect::<Result<_, _>>()?;
    Ok(MigrationStatus::of(&applied))
}
