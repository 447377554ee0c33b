//! Statements without a condition on the tenant, on PostgreSQL: row-level security must limit them.
//! The tests in `tests/live/store` cover the repositories.

#[path = "../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "other tests restart the cluster and choose where it is")]
mod postgres;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
};

use crate::domain::id::{
    AssemblyId, PlayableId, RecordedTrackId, SessionId, SessionKey, TenantId, TrackId,
};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::recording::{Container, PlayableState};
use crate::domain::secret::Secret;
use crate::domain::session::{Modality, Session};
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::evidence::repository::{
    Append, EvidenceRepository, StoredEntry, StoredEvent, StoredHead,
};
use crate::recorder::repository::{
    Playable, PlayableOf, RecordedGap, RecordedSegment, RecordedTrack, RecordingRepository,
};
use crate::room::repository::{RoomRepository, StoredChange, ToldEvent};
use crate::sessions::{
    Begin, Caller, Claim, FixedLimits, IdempotencyStore, NewSession, Repetition, SessionService,
};
use crate::store::entities::{room_event, room_record, session};
use crate::store::tenant_tx::TenantTx;
use crate::store::{Store, StoreOptions};
use postgres::{APP, Cluster, OWNER};

const NOW: Timestamp = Timestamp::from_unix_us(1_800_000_000_000_000);

/// A store whose pool has one connection, which all tenants share.
async fn store_on(cluster: &Cluster) -> Store {
    let superuser = cluster.url("postgres", "postgres");
    let superuser = sea_orm::Database::connect(superuser).await.expect("the cluster answers");
    for create in [
        format!("CREATE ROLE {OWNER} LOGIN CREATEROLE"),
        format!("CREATE DATABASE cabildo OWNER {OWNER}"),
    ] {
        superuser.execute_unprepared(&create).await.expect("created");
    }
    let mut options = StoreOptions::new(Secret::new(cluster.url(APP, "cabildo")));
    options.migration_url = Some(Secret::new(cluster.url(OWNER, "cabildo")));
    options.max_connections = 1;
    Store::connect(&options).await.expect("connected")
}

/// Makes a tenant with a row in every table that has tenants.
async fn tenant_with_everything(store: &Store) -> Session {
    let tenant_id = TenantId::generate();
    let limits = std::sync::Arc::new(FixedLimits::default());
    let service = SessionService::new(std::sync::Arc::new(store.clone()), limits, Vec::new());
    let new_session = NewSession::new(
        tenant_id,
        AssemblyId::generate(),
        "Secret until the assembly",
        Modality::Virtual,
    );
    let session = service.create(new_session, NOW).await.expect("created");
    let parts = vec![("muted/ana".to_owned(), Some("true".to_owned()))];
    let record = StoredChange { seq: 1, state: Some("{}".to_owned()), parts, arrival: None };
    let event = ToldEvent { seq: 1, at: NOW, kind: "chat".to_owned(), payload: "{}".to_owned() };
    RoomRepository::append(store, SessionKey::new(tenant_id, session.id), &record, &[event])
        .await
        .expect("appended");
    let claim = Claim {
        tenant: tenant_id,
        session: Some(session.id),
        caller: Caller::User("maria".parse().expect("a user id")),
        key: "k".parse().expect("a key"),
        request_hash: [0; 32],
        repetition: Repetition::SameAnswer,
    };
    assert!(matches!(store.begin(&claim, NOW).await, Ok(Begin::Fresh(..))));
    record_everything(store, &session).await;
    session
}

/// Makes a log and a recording of the session.
async fn record_everything(store: &Store, session: &Session) {
    let (tenant, id) = (session.tenant_id, session.id);
    let append = Append {
        expected_size: 0,
        entries: vec![StoredEntry { seq: 0, bytes: vec![1], leaf: [1; 32] }],
        events: vec![StoredEvent {
            seq: 0,
            kind: EventKind::RoomEvent,
            text: "said in confidence".to_owned(),
        }],
        room_seq: 0,
        last_event_seq: 0,
        closed_seq: None,
    };
    store.create(SessionKey::new(tenant, id), [1; 16], vec![1], append).await.expect("begun");
    let head =
        StoredHead { tree_size: 1, root: [1; 32], at: NOW, cose: vec![1], jws: String::new() };
    store.put_head(SessionKey::new(tenant, id), 0, &head).await.expect("put");
    let track = RecordedTrack {
        id: RecordedTrackId::random(),
        track: TrackId::generate(),
        user: "maria".parse().expect("a user id"),
        name: "María".to_owned(),
        source: TrackSource::Microphone,
        codec: Codec::Opus,
        epoch: 1,
        wrapped_key: Some(vec![1]),
        seq: 0,
        started_at: NOW,
        ended_at: None,
    };
    store.add_track(SessionKey::new(tenant, id), &track).await.expect("added");
    let segment = RecordedSegment {
        track: track.id,
        index: 0,
        size: 1,
        sha256: [1; 32],
        from_ms: 0,
        to_ms: 1,
        flags: 0,
        seq: 1,
    };
    store.add_segment(SessionKey::new(tenant, id), &segment).await.expect("added");
    let gap = RecordedGap { track: track.id, from_ms: 0, to_ms: 1, reason: 1 };
    store.add_gap(SessionKey::new(tenant, id), &gap).await.expect("added");
    let playable = Playable {
        id: PlayableId::generate(),
        of: PlayableOf::Combined,
        container: Container::Webm,
        media_type: String::new(),
        state: PlayableState::Waiting,
        progress_permille: 0,
        wrapped_key: Some(vec![1]),
        from_ms: 0,
        duration_ms: 0,
        parts: vec![],
        failure: None,
        lacks: Vec::new(),
        resume_at: None,
        updated_at: NOW,
    };
    store.put_playable(SessionKey::new(tenant, id), &playable).await.expect("put");
}

/// Tables of logs and recordings that have tenants.
const RECORD_TABLES: [&str; 8] = [
    "evidence_logs",
    "evidence_entries",
    "evidence_events",
    "evidence_heads",
    "recorded_tracks",
    "recorded_segments",
    "recorded_gaps",
    "playables",
];

/// No statement on these tables reaches rows of another tenant, whether it names all rows or
/// another tenant's.
async fn the_record_leaks_nothing(store: &Store, mine: &Session, theirs: &Session) {
    for table in RECORD_TABLES {
        let tx = TenantTx::read(store, mine.tenant_id).await.expect("begun");
        let all = format!("SELECT tenant_id, session_id FROM {table}");
        let statement = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, all);
        let rows = tx.connection().query_all_raw(statement).await.expect("read");
        assert_eq!(rows.len(), 1, "{table} shows another tenant's rows");
        let session: uuid::Uuid = rows[0].try_get("", "session_id").expect("a session");
        assert_eq!(session, mine.id.as_uuid(), "{table}");
    }
    for (table, change) in [
        ("evidence_logs", "UPDATE evidence_logs SET size = 9"),
        ("evidence_events", "DELETE FROM evidence_events"),
        ("recorded_tracks", "UPDATE recorded_tracks SET wrapped_key = NULL"),
        ("playables", "UPDATE playables SET wrapped_key = NULL"),
    ] {
        let tx = TenantTx::write(store, mine.tenant_id).await.expect("begun");
        let changed = tx.connection().execute_unprepared(change).await.expect("changed");
        assert_eq!(changed.rows_affected(), 1, "{table}: another's row was changed");
    }
    let given = "UPDATE recorded_tracks SET tenant_id = $1";
    let tx = TenantTx::write(store, mine.tenant_id).await.expect("begun");
    let statement = sea_orm::Statement::from_sql_and_values(
        sea_orm::DbBackend::Postgres,
        given,
        [theirs.tenant_id.as_uuid().into()],
    );
    let given = tx.connection().execute_raw(statement).await;
    assert_refused(given.map(|_| ()), "giving a track to another tenant");
}

async fn reads_leak_nothing(store: &Store, mine: &Session, theirs: &Session) {
    let tx = TenantTx::read(store, mine.tenant_id).await.expect("begun");
    let seen = session::Entity::find().all(tx.connection()).await.expect("read");
    assert_eq!(seen.iter().map(|row| row.id).collect::<Vec<_>>(), [mine.id.as_uuid()]);
    let by_id = session::Entity::find_by_id(theirs.id.as_uuid()).one(tx.connection()).await;
    assert_eq!(by_id.expect("read"), None);
    assert_eq!(session::Entity::find().count(tx.connection()).await.expect("read"), 1);
    let records = room_record::Entity::find().all(tx.connection()).await.expect("read");
    assert!(records.iter().all(|row| row.tenant_id == mine.tenant_id.as_uuid()));
    let events = room_event::Entity::find().all(tx.connection()).await.expect("read");
    assert!(events.iter().all(|row| row.tenant_id == mine.tenant_id.as_uuid()));
    assert_eq!((records.len(), events.len()), (1, 1));
    let keys = "SELECT tenant_id FROM idempotency_keys";
    let keys = sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, keys);
    assert_eq!(tx.connection().query_all_raw(keys).await.expect("read").len(), 1);
}

/// A write without the tenant, or with another one, in a transaction of its own.
async fn writes_reach_nothing(store: &Store, mine: &Session, theirs: &Session) {
    let begin = || TenantTx::write(store, mine.tenant_id);

    let tx = begin().await.expect("begun");
    let title = Set("taken over".to_owned());
    let all = session::Entity::update_many()
        .set(session::ActiveModel { title, ..Default::default() })
        .exec(tx.connection())
        .await
        .expect("updated");
    assert_eq!(all.rows_affected, 1, "an update without a filter changed others' rows");
    drop(tx);

    let tx = begin().await.expect("begun");
    let one = session::Entity::update_many()
        .set(session::ActiveModel { auto_start: Set(true), ..Default::default() })
        .filter(session::Column::Id.eq(theirs.id.as_uuid()))
        .exec(tx.connection())
        .await
        .expect("updated");
    assert_eq!(one.rows_affected, 0, "an update by id changed another tenant's row");
    drop(tx);

    let tx = begin().await.expect("begun");
    let given_away = session::Entity::update_many()
        .set(session::ActiveModel {
            tenant_id: Set(theirs.tenant_id.as_uuid()),
            ..Default::default()
        })
        .exec(tx.connection())
        .await;
    assert_refused(given_away.map(|_| ()), "giving a row to another tenant");
    drop(tx);

    let tx = begin().await.expect("begun");
    let forged = Session { id: SessionId::generate(), ..theirs.clone() };
    let row = session::row_of(&forged).expect("a row");
    let inserted = session::Entity::insert(row).exec_without_returning(tx.connection()).await;
    assert_refused(inserted.map(|_| ()), "inserting for another tenant");
    drop(tx);

    let tx = begin().await.expect("begun");
    let event = room_event::ActiveModel {
        tenant_id: Set(theirs.tenant_id.as_uuid()),
        session_id: Set(theirs.id.as_uuid()),
        seq: Set(2),
        at: Set(0),
        kind: Set("chat".to_owned()),
        payload: Set("{}".to_owned()),
    };
    let inserted = room_event::Entity::insert(event).exec_without_returning(tx.connection()).await;
    assert_refused(inserted.map(|_| ()), "speaking in another tenant's room");
}

fn assert_refused(outcome: Result<(), DbErr>, what: &str) {
    let error = outcome.expect_err(what).to_string();
    assert!(error.contains("row-level security"), "{what} failed for another reason: {error}");
}

#[tokio::test]
async fn a_forgotten_filter_leaks_and_changes_nothing() {
    let cluster = Cluster::start();
    let store = store_on(&cluster).await;
    let (first, second) =
        (tenant_with_everything(&store).await, tenant_with_everything(&store).await);
    for (mine, theirs) in [(&first, &second), (&second, &first)] {
        reads_leak_nothing(&store, mine, theirs).await;
        writes_reach_nothing(&store, mine, theirs).await;
        the_record_leaks_nothing(&store, mine, theirs).await;
    }
    // Between transactions, the connection that both tenants used sees no rows.
    let rows = session::Entity::find().all(&store.connection).await.expect("read");
    assert_eq!(rows, []);
    store.close().await.expect("closed");
}

#[tokio::test]
async fn what_is_not_committed_is_undone() {
    let store = Store::connect(&StoreOptions::new(Secret::new("sqlite::memory:".to_owned())))
        .await
        .expect("connected");
    let session = tenant_with_everything(&store).await;
    let tx = TenantTx::write(&store, session.tenant_id).await.expect("begun");
    let title = Set("lost".to_owned());
    let updated = session::Entity::update_many()
        .set(session::ActiveModel { title, ..Default::default() })
        .exec(tx.connection())
        .await
        .expect("updated");
    assert_eq!(updated.rows_affected, 1);
    drop(tx);
    // The next writer neither waits for the dropped transaction nor sees its changes.
    let tx = TenantTx::write(&store, session.tenant_id).await.expect("begun");
    let found = session::Entity::find().one(tx.connection()).await.expect("read");
    assert_eq!(found.map(|row| row.title), Some(session.title));
}
