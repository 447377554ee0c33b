//! Migrations, and databases the server does not start on.

use std::time::Duration;

use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::domain::store_error::StoreError;
use cabildo::sessions::SessionRepository;
use cabildo::store::{OnConnect, SetupError, Store, StoreOptions};
use sea_orm::ConnectionTrait;

use crate::store::fixture::{Fixture, Kind, cases};

cases!(
    what_is_applied_is_not_applied_again,
    a_database_to_which_a_newer_binary_added_something_is_used,
    a_database_from_which_a_newer_binary_removed_something_is_refused,
    a_database_that_lacks_a_migration_is_refused,
    a_database_answers,
);

const ALL: [&str; 34] = [
    "m0001_foundation",
    "m0002_session_directory",
    "m0003_evidence",
    "m0004_recordings",
    "m0005_work_claims",
    "m0006_erased_rooms",
    "m0007_write_probes",
    "m0008_outbox",
    "m0009_room_parts",
    "m0010_media_tokens",
    "m0011_governance_calls",
    "m0012_session_rules",
    "m0013_cameras",
    "m0014_delivery_claims",
    "m0015_attendance_rules",
    "m0016_camera_probes",
    "m0017_camera_streams",
    "m0018_arrivals",
    "m0019_recording_events",
    "m0020_provider_meetings",
    "m0021_camera_transport",
    "m0022_session_glossary",
    "m0023_planned_ids",
    "m0024_capture_files",
    "m0025_camera_recordings",
    "m0026_live_viewing",
    "m0027_playable_lacks",
    "m0028_votes_heard",
    "m0029_installation",
    "m0030_undeleted_objects",
    "m0031_keys_of_sessions",
    "m0032_known_time",
    "m0033_parked_sessions",
    "m0034_meeting_clocks",
];

#[tokio::test]
async fn a_file_that_is_opened_for_reading_only_is_named() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("cabildo.db");
    Store::connect(&StoreOptions::sqlite_file(&file)).await.expect("connected");
    let url = format!("sqlite:{}?mode=ro", file.display());
    let refused = Store::connect(&StoreOptions::new(Secret::new(url))).await.err();
    let refused = refused.expect("nothing could be stored");
    assert!(
        matches!(&refused, SetupError::ReadOnly { file: named } if *named == file),
        "{refused}"
    );
}

#[tokio::test]
async fn whoever_asks_what_is_applied_makes_no_database() {
    let place = tempfile::tempdir().expect("a directory");
    let file = place.path().join("none/cabildo.db");
    let options = StoreOptions::sqlite_file(&file).migrate_options().expect("options");
    let status = Store::migration_status(&options).await.expect("a status");
    assert_eq!((status.applied.len(), status.pending.len()), (0, ALL.len()));
    assert!(!place.path().join("none").exists());
}

async fn what_is_applied_is_not_applied_again(fixture: Fixture) {
    let options = fixture.options.migrate_options().expect("options");
    let status = Store::migration_status(&options).await.expect("a status");
    assert_eq!(status.applied, ALL);
    assert_eq!((status.pending, status.unknown), (vec![], vec![]));
    assert_eq!(Store::migrate(&options).await.expect("migrated"), Vec::<String>::new());
}

/// As a rolling update does: the newer version migrates while the older one
/// still runs, and is started again.
async fn a_database_to_which_a_newer_binary_added_something_is_used(fixture: Fixture) {
    newer(&fixture, "m9999_future").await;
    let mut options = fixture.options.clone();
    for on_connect in [OnConnect::Migrate, OnConnect::Check] {
        options.on_connect = on_connect;
        let store = Store::connect(&options).await.expect("it starts");
        let found = store.find(SessionKey::new(TenantId::generate(), SessionId::generate())).await;
        assert!(matches!(found, Ok(None)), "{found:?}");
    }
    let options = options.migrate_options().expect("options");
    assert_eq!(Store::migrate(&options).await.expect("nothing to do"), Vec::<String>::new());
    let status = Store::migration_status(&options).await.expect("a status");
    assert_eq!(status.unknown, ["m9999_future"]);
}

async fn a_database_from_which_a_newer_binary_removed_something_is_refused(fixture: Fixture) {
    newer(&fixture, "m9998_future").await;
    newer(&fixture, "m9999_future_contract").await;
    let mut options = fixture.options.clone();
    for on_connect in [OnConnect::Migrate, OnConnect::Check] {
        options.on_connect = on_connect;
        match Store::connect(&options).await {
            Err(SetupError::NewerDatabase { unknown }) => {
                assert_eq!(unknown, ["m9999_future_contract"]);
            }
            other => panic!("{on_connect:?}: {:?}", other.err()),
        }
    }
}

/// A newer binary applied this migration.
async fn newer(fixture: &Fixture, name: &str) {
    let insert = format!("INSERT INTO seaql_migrations (version, applied_at) VALUES ('{name}', 1)");
    fixture.unrestricted.execute_unprepared(&insert).await.expect("inserted");
}

async fn a_database_that_lacks_a_migration_is_refused(fixture: Fixture) {
    let forget = "DELETE FROM seaql_migrations";
    fixture.unrestricted.execute_unprepared(forget).await.expect("deleted");
    let mut options = fixture.options.clone();
    options.on_connect = OnConnect::Check;
    match Store::connect(&options).await {
        Err(SetupError::PendingMigrations { pending }) => {
            assert_eq!(pending, ALL);
        }
        other => panic!("{:?}", other.err()),
    }
    // It fails, because the tables exist, and leaves nothing half done.
    let options = options.migrate_options().expect("options");
    assert!(Store::migrate(&options).await.is_err());
    let status = Store::migration_status(&options).await.expect("a status");
    assert_eq!(status.pending, ALL);
}

async fn a_database_answers(fixture: Fixture) {
    fixture.store().check_writable().await.expect("it answers");
}

/// Not a case of every database: it takes the cluster away.
pub(crate) async fn a_database_that_is_gone_is_unavailable(kind: &Kind) {
    let Kind::Postgres { cluster, .. } = kind else { panic!("only a cluster can go away") };
    let fixture = kind.fixture("last_case").await;
    let mut options = fixture.options.clone();
    options.acquire_timeout = Duration::from_millis(200);
    let store = Store::connect(&options).await.expect("it still answers");
    cluster.stop();
    assert!(matches!(store.check_writable().await, Err(StoreError::Unavailable(_))));
    let found = store.find(SessionKey::new(TenantId::generate(), SessionId::generate())).await;
    assert!(matches!(found, Err(StoreError::Unavailable(_))), "{found:?}");
}
