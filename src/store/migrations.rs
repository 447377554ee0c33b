//! The forms the database has had, in order. A migration that has been
//! released is never changed.

mod columns;
mod m0001_foundation;
mod m0002_session_directory;
mod m0003_evidence;
mod m0004_recordings;

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

/// Where applied migrations are kept.
pub(super) const MIGRATION_TABLE: &str = "seaql_migrations";

/// Every table, the migrations' own aside.
pub(super) const TABLES: &[&str] = &[
    "sessions",
    "room_records",
    "room_events",
    "idempotency_keys",
    "dpop_proofs",
    "session_directory",
    "evidence_logs",
    "evidence_entries",
    "evidence_events",
    "evidence_heads",
    "open_logs",
    "operator_leaves",
    "recorded_tracks",
    "recorded_segments",
    "recorded_gaps",
    "playables",
    "recording_agenda",
];

/// What the server's role may do with each table. What it has told a room's
/// members it can't take back, nor what it has written into a log: of a log only
/// the texts of events can go.
pub(super) const PRIVILEGES: &[(&str, &str)] = &[
    ("sessions", "SELECT, INSERT, UPDATE"),
    ("room_records", "SELECT, INSERT, UPDATE"),
    ("room_events", "SELECT, INSERT"),
    ("idempotency_keys", "SELECT, INSERT, UPDATE, DELETE"),
    ("dpop_proofs", "SELECT, INSERT, UPDATE, DELETE"),
    ("session_directory", "SELECT, INSERT"),
    ("evidence_logs", "SELECT, INSERT, UPDATE"),
    ("evidence_entries", "SELECT, INSERT"),
    ("evidence_events", "SELECT, INSERT, DELETE"),
    ("evidence_heads", "SELECT, INSERT"),
    ("open_logs", "SELECT, INSERT, DELETE"),
    ("operator_leaves", "SELECT, INSERT"),
    ("recorded_tracks", "SELECT, INSERT, UPDATE"),
    ("recorded_segments", "SELECT, INSERT"),
    ("recorded_gaps", "SELECT, INSERT"),
    ("playables", "SELECT, INSERT, UPDATE"),
    ("recording_agenda", "SELECT, INSERT, UPDATE"),
    (MIGRATION_TABLE, "SELECT"),
];

/// All migrations.
pub(super) struct Migrations;

impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_foundation::Foundation),
            Box::new(m0002_session_directory::SessionDirectory),
            Box::new(m0003_evidence::Evidence),
            Box::new(m0004_recordings::Recordings),
        ]
    }
}

/// Who may see the rows of a table on PostgreSQL.
enum Visibility {
    /// The tenant in `tenant_id`, inside a transaction of that tenant.
    Tenant,
    /// Every transaction; the table holds nothing of a tenant.
    Shared,
}

/// Forces row-level security on a table, for its owner too. Without a tenant
/// the setting is empty on a reused connection and missing on a new one; both
/// compare as null, so that nothing is seen.
async fn protect(
    manager: &SchemaManager<'_>,
    table: &str,
    visibility: Visibility,
) -> Result<(), DbErr> {
    use sea_orm::ConnectionTrait as _;

    if manager.get_database_backend() != sea_orm::DbBackend::Postgres {
        return Ok(());
    }
    let (policy, condition) = match visibility {
        Visibility::Tenant => {
            ("tenant", "tenant_id = NULLIF(current_setting('app.tenant_id', true), '')::uuid")
        }
        Visibility::Shared => ("shared", "true"),
    };
    let sql = format!(
        "ALTER TABLE {table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
         CREATE POLICY {policy} ON {table} USING ({condition}) WITH CHECK ({condition})"
    );
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}
