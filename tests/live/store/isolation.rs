//! What only PostgreSQL does: row-level security under a role that can't
//! escape it. `src/store/isolation_tests.rs` tests forgotten filters.

use cabildo::domain::id::{SessionKey, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::domain::session::Session;
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::room::repository::{RoomRepository, StoredChange, ToldEvent};
use cabildo::store::{SetupError, Store};
use sea_orm::{ConnectionTrait, Database, DbBackend, Statement};

use crate::store::fixture::{Fixture, NOW, cases};
use crate::store::postgres::OWNER;

cases!(
    every_table_is_protected,
    without_a_tenant_nothing_is_seen,
    the_server_may_not_take_back_what_it_told,
    roles_that_escape_are_refused,
    an_unprotected_table_is_refused,
    a_role_name_that_needs_escaping_is_refused,
    a_role_that_cannot_be_created_is_named,
);

async fn every_table_is_protected(fixture: Fixture) {
    let sql = "SELECT c.relname::text AS name, c.relrowsecurity AND c.relforcerowsecurity \
         AND EXISTS (SELECT 1 FROM pg_policy p WHERE p.polrelid = c.oid) AS protected \
         FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace";
    let statement = Statement::from_string(DbBackend::Postgres, sql);
    let rows = fixture.unrestricted.query_all_raw(statement).await.expect("tables");
    assert!(rows.len() >= 17, "only {} tables", rows.len());
    for row in rows {
        let name: String = row.try_get("", "name").expect("a name");
        assert!(row.try_get::<bool>("", "protected").expect("an answer"), "{name} is open");
    }
}

async fn without_a_tenant_nothing_is_seen(fixture: Fixture) {
    fixture.session(TenantId::generate()).await;
    let url = fixture.options.url.expose().as_str();
    for url in [url, fixture.options.migration_url.as_ref().expect("a URL").expose()] {
        let mut connect = sea_orm::ConnectOptions::new(url);
        connect.max_connections(1);
        let connection = Database::connect(connect).await.expect("it answers");
        let count = async || {
            let sql = "SELECT count(*) AS rows FROM sessions";
            let statement = Statement::from_string(DbBackend::Postgres, sql);
            let row = connection.query_one_raw(statement).await.expect("the count");
            row.expect("a row").try_get::<i64>("", "rows").expect("a number")
        };
        assert_eq!(count().await, 0, "on a new connection");
        // A transaction of a tenant leaves an empty setting behind.
        let set =
            "BEGIN; SELECT set_config('app.tenant_id', gen_random_uuid()::text, true); COMMIT";
        connection.execute_unprepared(set).await.expect("set");
        assert_eq!(count().await, 0, "on a reused connection");
    }
    assert_eq!(fixture.count("sessions").await, 1);
}

async fn the_server_may_not_take_back_what_it_told(fixture: Fixture) {
    let server = Database::connect(fixture.options.url.expose()).await.expect("it answers");
    for forbidden in [
        "UPDATE room_events SET payload = ''",
        "TRUNCATE room_events",
        "DELETE FROM sessions",
        "DELETE FROM evidence_entries",
        "UPDATE evidence_entries SET bytes = ''",
        "UPDATE evidence_events SET text = ''",
        "DELETE FROM evidence_heads",
        "UPDATE evidence_heads SET root = ''",
        "DELETE FROM evidence_logs",
        "DELETE FROM operator_leaves",
        "UPDATE operator_leaves SET cose = ''",
        "UPDATE recorded_segments SET sha256 = ''",
        "DELETE FROM recorded_segments",
        "DELETE FROM recorded_tracks",
        "DELETE FROM playables",
        "DELETE FROM seaql_migrations",
        "ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY",
        "DROP TABLE room_events",
    ] {
        assert!(server.execute_unprepared(forbidden).await.is_err(), "{forbidden} was allowed");
    }
    // What a room told can be deleted, but only once the recording was erased.
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, store) = (session.tenant_id, session.id, fixture.store());
    tell(store, &session).await;
    let delete = format!(
        "BEGIN; SELECT set_config('app.tenant_id', '{tenant}', true); \
         DELETE FROM room_events; DELETE FROM room_records; COMMIT"
    );
    server.execute_unprepared(&delete).await.expect("nothing is seen to be deleted");
    assert_eq!(fixture.count("room_events").await, 1, "the server took back what it told");
    assert_eq!(fixture.count("room_records").await, 1);
    store.erased(SessionKey::new(tenant, id), NOW).await.expect("erased");
    assert_eq!(fixture.count("room_events").await, 0);
    assert_eq!(fixture.count("room_records").await, 0);
}

/// Has the room of a session tell something.
pub(crate) async fn tell(store: &Store, session: &Session) {
    let event = ToldEvent {
        seq: 1,
        at: NOW,
        kind: "chat".to_owned(),
        payload: r#"{"type":"chat","name":"María Ñúñez","text":"a secret"}"#.to_owned(),
    };
    let parts = vec![("member/maria".to_owned(), Some(r#"{"name":"María Ñúñez"}"#.to_owned()))];
    let record = StoredChange { seq: 1, state: Some("{}".to_owned()), parts, arrival: None };
    let told = RoomRepository::append(store, session.key(), &record, &[event]).await;
    told.expect("told");
}

async fn roles_that_escape_are_refused(fixture: Fixture) {
    let database = fixture.superuser_url.rsplit_once('/').expect("a path").1.to_owned();
    let roles = format!(
        "CREATE ROLE bypassing LOGIN BYPASSRLS; \
         CREATE ROLE becomes_owner LOGIN; GRANT {OWNER} TO becomes_owner; \
         CREATE ROLE becomes_bypassing LOGIN NOINHERIT; GRANT bypassing TO becomes_bypassing; \
         GRANT SELECT ON ALL TABLES IN SCHEMA public TO bypassing, becomes_bypassing"
    );
    fixture.unrestricted.execute_unprepared(&roles).await.expect("roles");
    let host = fixture.superuser_url.strip_prefix("postgres://postgres@").expect("a superuser URL");
    for role in ["postgres", OWNER, "bypassing", "becomes_owner", "becomes_bypassing"] {
        let mut options = fixture.options.clone();
        options.url = Secret::new(format!("postgres://{role}@{host}"));
        options.migration_url = None;
        match Store::connect(&options).await {
            Err(SetupError::RoleTooPowerful { role: named, .. }) => assert_eq!(named, role),
            other => panic!("{role} on {database}: {:?}", other.err()),
        }
    }
}

async fn an_unprotected_table_is_refused(fixture: Fixture) {
    let open = "ALTER TABLE room_events NO FORCE ROW LEVEL SECURITY";
    fixture.unrestricted.execute_unprepared(open).await.expect("opened");
    match Store::connect(&fixture.options).await {
        Err(SetupError::Unprotected { tables }) => assert_eq!(tables, ["room_events"]),
        other => panic!("{:?}", other.err()),
    }
}

async fn a_role_name_that_needs_escaping_is_refused(fixture: Fixture) {
    let mut options = fixture.options.migrate_options().expect("options");
    for role in ["", "1role", "a\"; DROP TABLE sessions; --", "a-b", &"r".repeat(64)] {
        options.app_role = Some(role.to_owned());
        let outcome = Store::migrate(&options).await;
        assert!(matches!(outcome, Err(SetupError::RoleNameInvalid { .. })), "{role:?}");
    }
}

async fn a_role_that_cannot_be_created_is_named(fixture: Fixture) {
    let mut options = fixture.options.migrate_options().expect("options");
    options.app_role = Some("nobody_yet".to_owned());
    let forbid = format!("ALTER ROLE {OWNER} NOCREATEROLE");
    fixture.unrestricted.execute_unprepared(&forbid).await.expect("altered");
    let refused = Store::migrate(&options).await;
    let allow = format!("ALTER ROLE {OWNER} CREATEROLE");
    fixture.unrestricted.execute_unprepared(&allow).await.expect("altered");
    match refused {
        Err(SetupError::RoleMissing { role }) => assert_eq!(role, "nobody_yet"),
        other => panic!("{other:?}"),
    }
    Store::migrate(&options).await.expect("now it may");
}
