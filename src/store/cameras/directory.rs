//! Whose sessions and streams are, when sessions run out, until when streams and cameras in
//! rooms are kept, and when cameras are looked after: asked before a tenant is known, so it holds nothing else.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query};
use sea_orm::{Condition, ConnectionTrait};
use uuid::Uuid;

use super::chosen;
use crate::domain::id::TenantId;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "camera_directory";
pub(super) const SESSION: &str = "session";
pub(super) const CAMERA: &str = "camera";
pub(super) const STREAM: &str = "stream";
pub(super) const BRIDGE: &str = "bridge";
pub(super) const CAPTURE: &str = "capture";
pub(super) const RECORDING: &str = "recording";

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

/// Makes something that is due at `before` due at `until`; whether it was.
pub(super) async fn renew(
    tx: &TenantTx,
    kind: &'static str,
    id: &str,
    (before, until): (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let update = Query::update()
        .table(TABLE)
        .value("due_at", until.unix_us())
        .cond_where(of_kind(kind))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("due_at").eq(before.unix_us()))
        .take();
    Ok(tx.connection().execute(&update).await?.rows_affected() > 0)
}

/// Removes something; whether it was there.
pub(super) async fn leave(tx: &TenantTx, kind: &'static str, id: &str) -> Result<bool, StoreError> {
    let delete = Query::delete()
        .from_table(TABLE)
        .cond_where(of_kind(kind))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    Ok(tx.connection().execute(&delete).await?.rows_affected() > 0)
}

/// What the tenant has of a kind.
pub(super) async fn names(tx: &TenantTx, kind: &'static str) -> Result<Vec<String>, StoreError> {
    let select = Query::select()
        .column("id")
        .from(TABLE)
        .cond_where(of_kind(kind))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    rows.iter().map(|row| Ok(row.try_get("", "id")?)).collect()
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

/// The tenants that have something of a kind, by id, from the one behind `after` on.
pub(super) async fn tenants(
    store: &Store,
    kind: &'static str,
    after: Option<TenantId>,
    limit: u32,
) -> Result<Vec<TenantId>, StoreError> {
    let mut select = Query::select()
        .column("tenant_id")
        .distinct()
        .from(TABLE)
        .cond_where(of_kind(kind))
        .order_by("tenant_id", Order::Asc)
        .limit(u64::from(limit))
        .take();
    if let Some(after) = after {
        select.and_where(Expr::col("tenant_id").gt(after.as_uuid()));
    }
    let rows = store.connection.query_all(&select).await?;
    rows.iter().map(|row| Ok(TenantId::from_uuid(row.try_get("", "tenant_id")?))).collect()
}

/// What of a kind was due at `now`, the longest due first.
pub(super) async fn due<T: std::str::FromStr>(
    store: &Store,
    kind: &'static str,
    tenant: Option<TenantId>,
    (now, limit): (Timestamp, u32),
) -> Result<Vec<(TenantId, T)>, StoreError> {
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

/// Makes something that is due at `now` due later; whether it was.
pub(super) async fn postpone(
    store: &Store,
    kind: &'static str,
    (tenant, id): (TenantId, &str),
    (now, until): (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let tx = TenantTx::write(store, tenant).await?;
    let update = Query::update()
        .table(TABLE)
        .value("due_at", until.unix_us())
        .cond_where(of_kind(kind))
        .and_where(Expr::col("id").eq(id))
        .and_where(Expr::col("tenant_id").eq(tenant.as_uuid()))
        .and_where(Expr::col("due_at").lte(now.unix_us()))
        .take();
    let postponed = tx.connection().execute(&update).await?.rows_affected() > 0;
    tx.commit().await?;
    Ok(postponed)
}

fn of_kind(kind: &'static str) -> Condition {
    Condition::all().add(Expr::col("kind").eq(kind))
}
