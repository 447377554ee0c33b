//! Captures of edge devices on the database.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};
use sea_orm::{Condition, ConnectionTrait, QueryResult};

use super::{chosen, moment, moment_if_any, of_tenant};
use crate::cameras::Capture;
use crate::cameras::repository::{CaptureRepository, Inserted};
use crate::domain::id::{CaptureId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "capture_sessions";
const PUBLICATIONS: &str = "capture_publications";
const FILES: &str = "capture_files";
const COLUMNS: [&str; 9] = [
    "tenant_id",
    "id",
    "device_id",
    "stream_path",
    "edge_started_at",
    "edge_ended_at",
    "playlist_url",
    "opened_at",
    "closed_at",
];

#[async_trait]
impl CaptureRepository for Store {
    async fn insert_capture(
        &self,
        capture: &Capture,
        open_max: u32,
        kept_max: u32,
    ) -> Result<Inserted, StoreError> {
        Ok(insert(self, capture, open_max, kept_max).await?)
    }

    async fn close_capture(&self, capture: &Capture) -> Result<bool, StoreError> {
        Ok(close(self, capture).await?)
    }

    async fn capture(
        &self,
        tenant: TenantId,
        id: &CaptureId,
    ) -> Result<Option<Capture>, StoreError> {
        Ok(find(self, tenant, id).await?)
    }

    async fn captures(&self, tenant: TenantId, limit: u32) -> Result<Vec<Capture>, StoreError> {
        Ok(list(self, tenant, limit).await?)
    }
}

fn is_capture(tx: &TenantTx, id: &CaptureId) -> Condition {
    of_tenant(tx).add(Expr::col("id").eq(id.as_str()))
}

async fn insert(
    store: &Store,
    capture: &Capture,
    open_max: u32,
    kept_max: u32,
) -> Result<Inserted, StoreError> {
    let us = |moment: Option<Timestamp>| moment.map(Timestamp::unix_us);
    let tx = TenantTx::write(store, capture.tenant).await?.marked(store).await?;
    // Whoever opens one counts after whoever came before.
    tx.lock_tenant().await?;
    let row = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            tx.tenant().as_uuid().into(),
            capture.id.as_str().into(),
            capture.device.as_str().into(),
            capture.stream_path.as_str().into(),
            capture.edge_started_at.unix_us().into(),
            us(capture.edge_ended_at).into(),
            capture.playlist_url.clone().into(),
            capture.opened_at.unix_us().into(),
            us(capture.closed_at).into(),
        ])
        .on_conflict(OnConflict::columns(["tenant_id", "id"]).do_nothing().to_owned())
        .take();
    let inserted = tx.connection().execute(&row).await?.rows_affected() == 1;
    if !inserted {
        tx.rollback().await?;
        let known = find(store, capture.tenant, &capture.id).await?;
        // One that was forgotten just now is stored like any other.
        return match known {
            Some(known) => Ok(Inserted::Known(known)),
            None => Box::pin(insert(store, capture, open_max, kept_max)).await,
        };
    }
    let open = of_tenant(&tx).add(Expr::col("closed_at").is_null());
    if count(&tx, open).await? > i64::from(open_max) {
        tx.rollback().await?;
        return Ok(Inserted::LimitReached);
    }
    // What is published into captures has a limit of its own.
    let bare = of_tenant(&tx).add(Expr::col("id").not_in_subquery(published(&tx)));
    let surplus = count(&tx, bare).await? - i64::from(kept_max);
    if surplus > 0 && forget_closed(&tx, surplus.unsigned_abs()).await? < surplus.unsigned_abs() {
        tx.rollback().await?;
        return Ok(Inserted::LimitReached);
    }
    tx.commit().await?;
    Ok(Inserted::Done)
}

async fn count(tx: &TenantTx, of: Condition) -> Result<i64, StoreError> {
    let count = Query::select()
        .expr_as(Expr::col("id").count(), "captures")
        .from(TABLE)
        .cond_where(of)
        .take();
    let row = tx.connection().query_one(&count).await?;
    Ok(row.map_or(Ok(0), |row| row.try_get("", "captures"))?)
}

/// The captures of a tenant into which something was published.
fn published(tx: &TenantTx) -> SelectStatement {
    Query::select().column("capture_id").from(PUBLICATIONS).cond_where(of_tenant(tx)).take()
}

/// Forgets those that were closed the longest ago and of which nothing is kept; how many.
async fn forget_closed(tx: &TenantTx, number: u64) -> Result<u64, StoreError> {
    let oldest = Query::select()
        .column("id")
        .from(TABLE)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("closed_at").is_not_null())
        .and_where(Expr::col("id").not_in_subquery(published(tx)))
        .order_by("closed_at", Order::Asc)
        .limit(number)
        .take();
    let mut forgotten = 0;
    for row in tx.connection().query_all(&oldest).await? {
        let id: CaptureId = chosen(&row, "id")?;
        let delete = Query::delete().from_table(TABLE).cond_where(is_capture(tx, &id)).take();
        forgotten += tx.connection().execute(&delete).await?.rows_affected();
    }
    Ok(forgotten)
}

async fn close(store: &Store, capture: &Capture) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, capture.tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(TABLE)
        .value("edge_ended_at", capture.edge_ended_at.map(Timestamp::unix_us))
        .value("playlist_url", capture.playlist_url.clone())
        .value("closed_at", capture.closed_at.map(Timestamp::unix_us))
        .cond_where(is_capture(&tx, &capture.id))
        .and_where(Expr::col("closed_at").is_null())
        .take();
    let closed = tx.connection().execute(&update).await?.rows_affected() == 1;
    tx.commit().await?;
    Ok(closed)
}

async fn find(
    store: &Store,
    tenant: TenantId,
    id: &CaptureId,
) -> Result<Option<Capture>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = select(&tx).and_where(Expr::col("id").eq(id.as_str())).take();
    let row = tx.connection().query_one(&select).await?;
    tx.commit().await?;
    row.map(|row| capture_of(&row)).transpose()
}

async fn list(store: &Store, tenant: TenantId, limit: u32) -> Result<Vec<Capture>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = select(&tx)
        .order_by("opened_at", Order::Desc)
        .order_by("id", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().map(capture_of).collect()
}

/// The captures of a tenant, with the number of the last segment that plays each.
fn select(tx: &TenantTx) -> SelectStatement {
    let last = Query::select()
        .expr(Expr::col("sequence").max())
        .from(FILES)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("capture_id").equals((TABLE, "id")))
        .take();
    Query::select()
        .columns(COLUMNS)
        .expr_as(last, "last_sequence")
        .from(TABLE)
        .cond_where(of_tenant(tx))
        .take()
}

fn capture_of(row: &QueryResult) -> Result<Capture, StoreError> {
    Ok(Capture {
        tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
        id: chosen(row, "id")?,
        device: chosen(row, "device_id")?,
        stream_path: row.try_get("", "stream_path")?,
        edge_started_at: moment(row, "edge_started_at")?,
        edge_ended_at: moment_if_any(row, "edge_ended_at")?,
        playlist_url: row.try_get("", "playlist_url")?,
        opened_at: moment(row, "opened_at")?,
        closed_at: moment_if_any(row, "closed_at")?,
        is_published: row.try_get::<Option<i64>>("", "last_sequence")?.is_some(),
    })
}
