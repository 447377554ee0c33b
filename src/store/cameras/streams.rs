//! Streams that clients started, on the database. A start locks its tenant, so that of
//! starts at once each is decided on what the one before left.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{Condition, ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::directory::{self, STREAM};
use super::{chosen, moment, moment_if_any, of_tenant};
use crate::cameras::engine::policy::admit;
use crate::cameras::repository::{StreamRecord, StreamRepository, StreamStarted};
use crate::domain::camera::StreamStatus;
use crate::domain::id::{CameraId, StreamId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::word;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "camera_streams";
const COLUMNS: [&str; 7] =
    ["tenant_id", "id", "camera_id", "masked", "status", "started_at", "stopped_at"];

#[async_trait]
impl StreamRepository for Store {
    async fn start_stream(
        &self,
        stream: &StreamRecord,
        kept_until: Timestamp,
        active_max: u32,
    ) -> Result<StreamStarted, StoreError> {
        Ok(start(self, stream, kept_until, active_max).await?)
    }

    async fn stop_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(stop(self, tenant, id, at).await?)
    }

    async fn stream(
        &self,
        tenant: TenantId,
        id: StreamId,
    ) -> Result<Option<StreamRecord>, StoreError> {
        Ok(find(self, tenant, id).await?)
    }

    async fn tenant_of_stream(&self, id: StreamId) -> Result<Option<TenantId>, StoreError> {
        Ok(directory::tenant_of(self, STREAM, &id.to_string()).await?)
    }

    async fn unkept_streams(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, StreamId)>, StoreError> {
        Ok(directory::due(self, STREAM, None, (now, limit)).await?)
    }

    async fn take_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(directory::postpone(self, STREAM, (tenant, &id.to_string()), (now, until)).await?)
    }

    async fn keep_stream(
        &self,
        tenant: TenantId,
        id: StreamId,
        status: StreamStatus,
        kept: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        Ok(keep(self, tenant, id, status, kept).await?)
    }

    async fn forget_streams(&self, tenant: TenantId, before: Timestamp) -> Result<u64, StoreError> {
        Ok(forget(self, tenant, before).await?)
    }

    async fn tenants_with_streams(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        Ok(directory::tenants(self, STREAM, after, limit).await?)
    }
}

fn is_stream(tx: &TenantTx, id: StreamId) -> Condition {
    of_tenant(tx).add(Expr::col("id").eq(id.as_uuid()))
}

fn is_active(tx: &TenantTx) -> Condition {
    of_tenant(tx).add(Expr::col("stopped_at").is_null())
}

async fn start(
    store: &Store,
    stream: &StreamRecord,
    kept_until: Timestamp,
    active_max: u32,
) -> Result<StreamStarted, StoreError> {
    let tx = TenantTx::write(store, stream.tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    let select = Query::select().columns(COLUMNS).from(TABLE).cond_where(is_active(&tx)).take();
    let rows = tx.connection().query_all(&select).await?;
    let active: Vec<StreamRecord> = rows.iter().map(stream_of).collect::<Result<_, _>>()?;
    if let Some(before) = active.iter().find(|before| before.camera == stream.camera) {
        tx.rollback().await?;
        return Ok(StreamStarted::CameraBusy(before.id));
    }
    if let Err(denied) = admit(u64::try_from(active.len()).unwrap_or(u64::MAX), active_max) {
        tx.rollback().await?;
        return Ok(StreamStarted::Denied(denied));
    }
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            tx.tenant().as_uuid().into(),
            stream.id.as_uuid().into(),
            stream.camera.as_str().into(),
            stream.masked.as_str().into(),
            stream.status.as_str().into(),
            stream.started_at.unix_us().into(),
            stream.stopped_at.map(Timestamp::unix_us).into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    directory::enter(&tx, STREAM, &stream.id.to_string(), Some(kept_until)).await?;
    tx.commit().await?;
    Ok(StreamStarted::Done)
}

async fn stop(
    store: &Store,
    tenant: TenantId,
    id: StreamId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    let select = Query::select().column("id").from(TABLE).cond_where(is_stream(&tx, id)).take();
    if tx.connection().query_one(&select).await?.is_none() {
        tx.rollback().await?;
        return Ok(false);
    }
    let update = Query::update()
        .table(TABLE)
        .value("status", StreamStatus::Stopped.as_str())
        .value("stopped_at", at.unix_us())
        .cond_where(is_stream(&tx, id))
        .and_where(Expr::col("stopped_at").is_null())
        .take();
    tx.connection().execute(&update).await?;
    directory::enter(&tx, STREAM, &id.to_string(), None).await?;
    tx.commit().await?;
    Ok(true)
}

/// Stops every stream of a camera.
pub(super) async fn stop_all(
    tx: &TenantTx,
    camera: &CameraId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let of_camera = || is_active(tx).add(Expr::col("camera_id").eq(camera.as_str()));
    let select = Query::select().column("id").from(TABLE).cond_where(of_camera()).take();
    for row in tx.connection().query_all(&select).await? {
        let id: Uuid = row.try_get("", "id")?;
        directory::enter(tx, STREAM, &id.to_string(), None).await?;
    }
    let update = Query::update()
        .table(TABLE)
        .value("status", StreamStatus::Stopped.as_str())
        .value("stopped_at", at.unix_us())
        .cond_where(of_camera())
        .take();
    tx.connection().execute(&update).await?;
    Ok(())
}

async fn find(
    store: &Store,
    tenant: TenantId,
    id: StreamId,
) -> Result<Option<StreamRecord>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = Query::select().columns(COLUMNS).from(TABLE).cond_where(is_stream(&tx, id)).take();
    let row = tx.connection().query_one(&select).await?;
    tx.commit().await?;
    row.map(|row| stream_of(&row)).transpose()
}

async fn keep(
    store: &Store,
    tenant: TenantId,
    id: StreamId,
    status: StreamStatus,
    kept: (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    tx.lock_tenant().await?;
    let update = Query::update()
        .table(TABLE)
        .value("status", status.as_str())
        .cond_where(is_stream(&tx, id))
        .and_where(Expr::col("stopped_at").is_null())
        .take();
    let is_active = tx.connection().execute(&update).await?.rows_affected() > 0;
    if !is_active || !directory::renew(&tx, STREAM, &id.to_string(), kept).await? {
        tx.rollback().await?;
        return Ok(false);
    }
    tx.commit().await?;
    Ok(true)
}

async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<u64, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    let old = || of_tenant(&tx).add(Expr::col("stopped_at").lt(before.unix_us()));
    let select = Query::select().column("id").from(TABLE).cond_where(old()).take();
    for row in tx.connection().query_all(&select).await? {
        let id: Uuid = row.try_get("", "id")?;
        directory::leave(&tx, STREAM, &id.to_string()).await?;
    }
    let delete = Query::delete().from_table(TABLE).cond_where(old()).take();
    let forgotten = tx.connection().execute(&delete).await?.rows_affected();
    tx.commit().await?;
    Ok(forgotten)
}

fn stream_of(row: &QueryResult) -> Result<StreamRecord, StoreError> {
    let status: String = row.try_get("", "status")?;
    Ok(StreamRecord {
        tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
        id: StreamId::from_uuid(row.try_get("", "id")?),
        camera: chosen(row, "camera_id")?,
        masked: row.try_get("", "masked")?,
        status: word(StreamStatus::parse(&status), "status")?,
        started_at: moment(row, "started_at")?,
        stopped_at: moment_if_any(row, "stopped_at")?,
    })
}
