//! Whose cameras, sessions and streams are, and when sessions run out: asked
//! before a tenant is known, so it holds nothing else.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};
use sea_orm::{Condition, ConnectionTrait};
use uuid::Uuid;

use super::chosen;
use crate::domain::id::{CameraId, TenantId};
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::StoreError;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "camera_directory";
pub(super) const CAMERA: &str = "camera";
pub(super) const SESSION: &str = "session";

/// Enters something, or changes when it is due.
pub(super) async fn enter(
    tx: &TenantTx,
    kind: &'static str,
    id: &str,
    due_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let conflict =
        OnConflict::columns(["kind", "id", "tenant_id"]).update_column("due_at").to_owned();
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["kind", "id", "tenant_id", "due_at"])
        .values_panic([
            kind.into(),
            id.into(),
            tx.tenant().as_uuid().into(),
            due_at.map(Timestamp::unix_us).into(),
        ])
        .on_conflict(conflict)
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}

/// Removes something.
pub(super) async fn leave(tx: &TenantTx, kind: &'static str, id: &str) -> Result<(), StoreError> {
    let delete = Query::delete()
        .from_table(TABLE)
        .cond_where(of_kind(kind))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    tx.connection().execute(&delete).await?;
    Ok(())
}

/// Whose something is. What servers name is of one tenant.
pub(super) async fn tenant_of(
    store: &Store,
    kind: &'static str,
    id: &str,
) -> Result<Option<TenantId>, StoreError> {
    let select = Query::select()
        .column("tenant_id")
        .from(TABLE)
        .cond_where(of_kind(kind))
        .and_where(Expr::col("id").eq(id))
        .take();
    let row = store.connection.query_one(&select).await?;
    let tenant = row.map(|row| row.try_get::<Uuid>("", "tenant_id")).transpose()?;
    Ok(tenant.map(TenantId::from_uuid))
}

/// Every camera of every tenant.
pub(super) async fn cameras(store: &Store) -> Result<Vec<(TenantId, CameraId)>, StoreError> {
    let select = Query::select()
        .columns(["tenant_id", "id"])
        .from(TABLE)
        .cond_where(of_kind(CAMERA))
        .order_by("tenant_id", Order::Asc)
        .order_by("id", Order::Asc)
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter()
        .map(|row| Ok((TenantId::from_uuid(row.try_get("", "tenant_id")?), chosen(row, "id")?)))
        .collect()
}

/// The tenants that have something of a kind.
pub(super) async fn tenants(
    store: &Store,
    kind: &'static str,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let select = Query::select()
        .column("tenant_id")
        .distinct()
        .from(TABLE)
        .cond_where(of_kind(kind))
        .limit(u64::from(limit))
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter().map(|row| Ok(TenantId::from_uuid(row.try_get("", "tenant_id")?))).collect()
}

/// What of a kind was due at `now`, the longest due first.
pub(super) async fn due(
    store: &Store,
    kind: &'static str,
    tenant: Option<TenantId>,
    (now, limit): (Timestamp, u32),
) -> Result<Vec<(TenantId, Uuid)>, StoreError> {
    let mut select = Query::select()
        .columns(["tenant_id", "id"])
        .from(TABLE)
        .cond_where(of_kind(kind))
        .and_where(Expr::col("due_at").lte(now.unix_us()))
        .order_by("due_at", Order::Asc)
        .limit(u64::from(limit))
        .take();
    if let Some(tenant) = tenant {
        select.and_where(Expr::col("tenant_id").eq(tenant.as_uuid()));
    }
    let rows = store.connection.query_all(&select).await?;
    rows.iter()
        .map(|row| Ok((TenantId::from_uuid(row.try_get("", "tenant_id")?), chosen(row, "id")?)))
        .collect()
}

fn of_kind(kind: &'static str) -> Condition {
    Condition::all().add(Expr::col("kind").eq(kind))
}
