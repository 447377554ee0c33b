//! The database's tables, as migrations in the order in which they are applied.
//! A migration that has been released is never changed. The README beside this
//! crate says how tables change while two versions of the server run.

mod columns;
mod m0001_foundation;
mod m0002_session_directory;
mod m0003_evidence;
mod m0004_recordings;
mod m0005_work_claims;
mod m0006_erased_rooms;
mod m0007_write_probes;
mod m0008_outbox;
mod m0009_room_parts;
mod m0010_media_tokens;
mod m0011_governance_calls;
mod m0012_session_rules;
mod m0013_cameras;
mod m0014_delivery_claims;
mod m0015_attendance_rules;
mod m0016_camera_probes;
mod m0017_camera_streams;
mod m0018_arrivals;
mod m0019_recording_events;
mod m0020_provider_meetings;
mod m0021_camera_transport;
mod m0022_session_glossary;
mod m0023_planned_ids;
mod m0024_capture_files;
mod m0025_camera_recordings;
mod m0026_live_viewing;
mod m0027_playable_lacks;
mod m0028_votes_heard;
mod m0029_installation;
mod m0030_undeleted_objects;
mod m0031_keys_of_sessions;
mod m0032_known_time;
mod m0033_parked_sessions;
mod m0034_meeting_clocks;

use sea_orm::DbErr;
use sea_orm_migration::{MigrationTrait, MigratorTrait, SchemaManager};

/// Last part of the names of migrations that remove or rename something. A binary
/// that does not know such a migration refuses to work on the database; all other
/// migrations leave older binaries working.
pub const CONTRACT_SUFFIX: &str = "_contract";

/// The table that lists the applied migrations.
pub const MIGRATION_TABLE: &str = "seaql_migrations";

/// Every table except [`MIGRATION_TABLE`].
pub const TABLES: &[&str] = &[
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
    "work_claims",
    "write_probes",
    "session_events",
    "outbox",
    "outbox_state",
    "outbox_readers",
    "room_parts",
    "media_tokens",
    "governance_calls",
    "cameras",
    "stream_sessions",
    "capture_sessions",
    "camera_directory",
    "delivery_claims",
    "camera_probes",
    "camera_streams",
    "arrivals",
    "recording_events",
    "provider_meetings",
    "capture_publications",
    "capture_files",
    "camera_recordings",
    "votes_heard",
    "installation",
    "outbox_parked",
    "meeting_clocks",
];

/// What the server's role may do with each table on PostgreSQL. It can neither
/// change nor delete entries of a log. It can't change events of a room either,
/// and can delete them only once the session's recording is marked as erased
/// (`m0006_erased_rooms`); the texts of a log's events can be deleted, for
/// erasure.
pub const PRIVILEGES: &[(&str, &str)] = &[
    ("sessions", "SELECT, INSERT, UPDATE"),
    ("room_records", "SELECT, INSERT, UPDATE, DELETE"),
    ("room_events", "SELECT, INSERT, DELETE"),
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
    ("work_claims", "SELECT, INSERT, UPDATE"),
    ("write_probes", "SELECT, INSERT, UPDATE"),
    ("session_events", "SELECT, INSERT, DELETE"),
    ("outbox", "SELECT, INSERT, UPDATE, DELETE"),
    ("outbox_state", "SELECT, UPDATE"),
    ("outbox_readers", "SELECT, INSERT, UPDATE, DELETE"),
    ("room_parts", "SELECT, INSERT, UPDATE, DELETE"),
    ("media_tokens", "SELECT, INSERT, UPDATE, DELETE"),
    ("governance_calls", "SELECT, INSERT, UPDATE"),
    ("cameras", "SELECT, INSERT, UPDATE, DELETE"),
    ("stream_sessions", "SELECT, INSERT, UPDATE, DELETE"),
    ("capture_sessions", "SELECT, INSERT, UPDATE, DELETE"),
    ("camera_directory", "SELECT, INSERT, UPDATE, DELETE"),
    ("delivery_claims", "SELECT, INSERT, UPDATE"),
    ("camera_probes", "SELECT, INSERT, DELETE"),
    ("camera_streams", "SELECT, INSERT, UPDATE, DELETE"),
    ("arrivals", "SELECT, INSERT, DELETE"),
    ("recording_events", "SELECT, INSERT, DELETE"),
    ("provider_meetings", "SELECT, INSERT, UPDATE"),
    ("capture_publications", "SELECT, INSERT, UPDATE, DELETE"),
    ("capture_files", "SELECT, INSERT, DELETE"),
    ("camera_recordings", "SELECT, INSERT, UPDATE, DELETE"),
    ("votes_heard", "SELECT, INSERT, DELETE"),
    ("installation", "SELECT, INSERT, UPDATE"),
    ("outbox_parked", "SELECT, INSERT, UPDATE, DELETE"),
    ("meeting_clocks", "SELECT, INSERT, UPDATE, DELETE"),
    (MIGRATION_TABLE, "SELECT"),
];

/// Every migration, oldest first.
#[derive(Debug)]
pub struct Migrations;

impl MigratorTrait for Migrations {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_foundation::Foundation),
            Box::new(m0002_session_directory::SessionDirectory),
            Box::new(m0003_evidence::Evidence),
            Box::new(m0004_recordings::Recordings),
            Box::new(m0005_work_claims::WorkClaims),
            Box::new(m0006_erased_rooms::ErasedRooms),
            Box::new(m0007_write_probes::WriteProbes),
            Box::new(m0008_outbox::Outbox),
            Box::new(m0009_room_parts::RoomParts),
            Box::new(m0010_media_tokens::MediaTokens),
            Box::new(m0011_governance_calls::GovernanceCalls),
            Box::new(m0012_session_rules::SessionRules),
            Box::new(m0013_cameras::Cameras),
            Box::new(m0014_delivery_claims::DeliveryClaims),
            Box::new(m0015_attendance_rules::AttendanceRules),
            Box::new(m0016_camera_probes::CameraProbes),
            Box::new(m0017_camera_streams::CameraStreams),
            Box::new(m0018_arrivals::Arrivals),
            Box::new(m0019_recording_events::RecordingEvents),
            Box::new(m0020_provider_meetings::ProviderMeetings),
            Box::new(m0021_camera_transport::CameraTransport),
            Box::new(m0022_session_glossary::SessionGlossary),
            Box::new(m0023_planned_ids::PlannedIds),
            Box::new(m0024_capture_files::CaptureFiles),
            Box::new(m0025_camera_recordings::CameraRecordings),
            Box::new(m0026_live_viewing::LiveViewing),
            Box::new(m0027_playable_lacks::PlayableLacks),
            Box::new(m0028_votes_heard::VotesHeard),
            Box::new(m0029_installation::Installation),
            Box::new(m0030_undeleted_objects::UndeletedObjects),
            Box::new(m0031_keys_of_sessions::KeysOfSessions),
            Box::new(m0032_known_time::KnownTime),
            Box::new(m0033_parked_sessions::ParkedSessions),
            Box::new(m0034_meeting_clocks::MeetingClocks),
        ]
    }
}

/// Which transactions see the rows of a table on PostgreSQL.
enum Visibility {
    /// The tenant in `tenant_id`, inside a transaction of that tenant.
    Tenant,
    /// Every transaction; the table contains no data of a tenant.
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sea_orm_migration::MigratorTrait as _;

    use super::{CONTRACT_SUFFIX, Migrations, PRIVILEGES, TABLES};

    /// What takes something away from a version that still runs.
    const REMOVALS: [&str; 7] = [
        "drop_table",
        "drop_column",
        "drop_foreign_key",
        "rename_table",
        "rename_column",
        "DROP ",
        "RENAME ",
    ];

    fn names() -> Vec<String> {
        Migrations::migrations().iter().map(|migration| migration.name().to_owned()).collect()
    }

    #[test]
    fn migrations_are_numbered_in_the_order_in_which_they_are_applied() {
        for (at, name) in names().iter().enumerate() {
            assert!(name.starts_with(&format!("m{:04}_", at + 1)), "{name} is number {}", at + 1);
        }
    }

    #[test]
    fn only_migrations_that_are_named_so_remove_something() {
        // Read when the test runs: clones of the project share compiled tests.
        let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it");
        let directory = Path::new(&package).join("src");
        for name in names() {
            let path = directory.join(format!("{name}.rs"));
            let source = fs::read_to_string(&path).expect("a migration is a file of its name");
            let up = source.split("async fn down").next().unwrap_or_default();
            let removes = REMOVALS.iter().any(|word| up.contains(word));
            assert!(
                !removes || name.ends_with(CONTRACT_SUFFIX),
                "{name} removes or renames something; see migrations/README.md"
            );
        }
    }

    #[test]
    fn every_table_has_its_privileges() {
        for table in TABLES {
            assert!(PRIVILEGES.iter().any(|(name, _)| name == table), "{table}");
        }
    }
}
