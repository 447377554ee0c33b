//! Which recordings of all tenants have unfinished work. This is asked at start and by the task
//! that erases, before a tenant is known; so the table contains sessions and times, but nothing
//! about the recordings themselves.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::custody::repository::Undeleted;
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::recording::PlayableState;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::entities::{playable, recorded_track};
use crate::store::error::{number, stored};
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "recording_agenda";

/// Locks the row of the session until the transaction ends; inserts it if it does not exist. Of two
/// transactions that end the last two tracks, the second one sees the changes of the first, so the
/// final state is correct.
pub(super) async fn hold(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["session_id", "tenant_id", "unfinished"])
        .values_panic([session.as_uuid().into(), tx.tenant().as_uuid().into(), false.into()])
        // A session of another tenant violates the foreign key here.
        .on_conflict(OnConflict::column("session_id").update_column("tenant_id").to_owned())
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}

/// Stores whether the session has unfinished work. Must be called after [`hold`].
pub(super) async fn refresh(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let unfinished = has_open_track(tx, session).await? || has_open_playable(tx, session).await?;
    let update = Query::update()
        .table(TABLE)
        .value("unfinished", unfinished)
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    tx.connection().execute(&update).await?;
    Ok(())
}

async fn has_open_track(tx: &TenantTx, session: SessionId) -> Result<bool, StoreError> {
    use recorded_track::{Column, Entity};
    let open = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::EndedAt.is_null())
        .limit(1)
        .one(tx.connection())
        .await?;
    Ok(open.is_some())
}

async fn has_open_playable(tx: &TenantTx, session: SessionId) -> Result<bool, StoreError> {
    use playable::{Column, Entity};
    let open = [PlayableState::Waiting, PlayableState::Building];
    let open = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::State.is_in(open.map(PlayableState::as_str)))
        .limit(1)
        .one(tx.connection())
        .await?;
    Ok(open.is_some())
}

pub(super) async fn unfinished(store: &Store) -> Result<Vec<SessionKey>, StoreError> {
    let select = of_sessions()
        .and_where(Expr::col("unfinished").eq(true))
        .order_by("session_id", Order::Asc)
        .take();
    sessions(store, &select).await
}

pub(super) async fn put_retention(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    erase_after: Timestamp,
) -> Result<(), StoreError> {
    let tx = TenantTx::write(store, tenant).await?;
    hold(&tx, session).await?;
    let update = Query::update()
        .table(TABLE)
        .value("erase_after", erase_after.unix_us())
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    tx.connection().execute(&update).await?;
    tx.commit().await
}

pub(super) async fn due(
    store: &Store,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<SessionKey>, StoreError> {
    let select = of_sessions()
        .and_where(Expr::col("erase_after").lte(now.unix_us()))
        .and_where(Expr::col("erased_at").is_null())
        .order_by("erase_after", Order::Asc)
        .order_by("session_id", Order::Asc)
        .limit(u64::from(limit))
        .take();
    sessions(store, &select).await
}

/// Whether the recording of a session was erased.
pub(super) async fn is_erased(store: &Store, key: SessionKey) -> Result<bool, StoreError> {
    let select = Query::select()
        .column("erased_at")
        .from(TABLE)
        .and_where(Expr::col("session_id").eq(key.session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(key.tenant.as_uuid()))
        .take();
    match store.connection.query_one(&select).await? {
        Some(row) => Ok(row.try_get::<Option<i64>>("", "erased_at")?.is_some()),
        None => Ok(false),
    }
}

/// Stores what is left in the vault of keys that were destroyed.
pub(super) async fn put_undeleted(
    tx: &TenantTx,
    session: SessionId,
    undeleted: Option<Undeleted>,
) -> Result<(), StoreError> {
    hold(tx, session).await?;
    let update = Query::update()
        .table(TABLE)
        .value("delete_after", undeleted.map(|left| left.again_at.unix_us()))
        .value("undeleted", stored(undeleted.map_or(0, |left| left.objects))?)
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    tx.connection().execute(&update).await?;
    Ok(())
}

/// How many objects of destroyed keys of a session are left.
pub(super) async fn undeleted(store: &Store, key: SessionKey) -> Result<u64, StoreError> {
    let select = Query::select()
        .column("undeleted")
        .from(TABLE)
        .and_where(Expr::col("session_id").eq(key.session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(key.tenant.as_uuid()))
        .take();
    match store.connection.query_one(&select).await? {
        Some(row) => number(row.try_get("", "undeleted")?, "undeleted"),
        None => Ok(0),
    }
}

/// Sessions with objects to delete by `now`.
pub(super) async fn due_for_deletion(
    store: &Store,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<SessionKey>, StoreError> {
    let select = of_sessions()
        .and_where(Expr::col("delete_after").lte(now.unix_us()))
        .order_by("delete_after", Order::Asc)
        .order_by("session_id", Order::Asc)
        .limit(u64::from(limit))
        .take();
    sessions(store, &select).await
}

/// Stores the time of an erasure; the first one is kept. Objects are to be deleted from now on.
pub(super) async fn erased(
    tx: &TenantTx,
    session: SessionId,
    at: Timestamp,
) -> Result<(), StoreError> {
    put_undeleted(tx, session, Some(Undeleted { objects: 0, again_at: at })).await?;
    let update = Query::update()
        .table(TABLE)
        .value("erased_at", at.unix_us())
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("erased_at").is_null())
        .take();
    tx.connection().execute(&update).await?;
    Ok(())
}

fn of_sessions() -> SelectStatement {
    Query::select().columns(["tenant_id", "session_id"]).from(TABLE).take()
}

async fn sessions(store: &Store, select: &SelectStatement) -> Result<Vec<SessionKey>, StoreError> {
    let rows = store.connection.query_all(select).await?;
    rows.iter()
        .map(|row| {
            let tenant: Uuid = row.try_get("", "tenant_id")?;
            let session: Uuid = row.try_get("", "session_id")?;
            Ok(SessionKey::new(TenantId::from_uuid(tenant), SessionId::from_uuid(session)))
        })
        .collect()
}
