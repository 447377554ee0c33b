//! The recordings of cameras on the database. Which cameras are recorded is in `camera_recordings`,
//! their segments are files of publications.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query, SelectStatement};
use sea_orm::{Condition, ConnectionTrait, QueryResult};

use super::directory::{self, RECORDING};
use super::publications::{FILES, PUBLICATIONS, is_publication, of_camera, of_publication};
use super::{chosen, is_camera, moment, of_tenant};
use crate::cameras::repository::{
    CameraRecordingRepository, RecordedCamera, RecordedSegment, RecordingPolicy, SpentPublication,
};
use crate::domain::id::{CameraId, PublicationId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::{number, stored};
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "camera_recordings";
const COLUMNS: [&str; 5] = ["camera_id", "enabled", "max_age_s", "max_bytes", "bytes"];
const SEGMENT_COLUMNS: [&str; 7] =
    ["publication_id", "number", "header", "breaks", "ticks", "began_at", "bytes"];

#[async_trait]
impl CameraRecordingRepository for Store {
    async fn put_recording(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        policy: RecordingPolicy,
    ) -> Result<Option<bool>, StoreError> {
        Ok(put(self, tenant, camera, policy).await?)
    }

    async fn cameras_to_record(&self, limit: u32) -> Result<Vec<(TenantId, CameraId)>, StoreError> {
        let always = Timestamp::from_unix_us(0);
        Ok(directory::due(self, RECORDING, None, (always, limit)).await?)
    }

    async fn tenants_with_recordings(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        Ok(directory::tenants(self, RECORDING, after, limit).await?)
    }

    async fn recorded_cameras(
        &self,
        tenant: TenantId,
        camera: Option<&CameraId>,
    ) -> Result<Vec<RecordedCamera>, StoreError> {
        Ok(cameras(self, tenant, camera).await?)
    }

    async fn recorded_segments(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        span: (Timestamp, Timestamp),
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        Ok(segments(self, (tenant, camera), span, limit).await?)
    }

    async fn oldest_recorded(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        limit: u32,
    ) -> Result<Vec<RecordedSegment>, StoreError> {
        Ok(oldest(self, (tenant, camera), limit).await?)
    }

    async fn forget_recorded(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        segments: &[(PublicationId, u64)],
    ) -> Result<(), StoreError> {
        Ok(forget(self, (tenant, camera), segments).await?)
    }

    async fn spent_publications(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        before: Timestamp,
    ) -> Result<Vec<SpentPublication>, StoreError> {
        Ok(spent(self, (tenant, camera), before).await?)
    }

    async fn forget_publication(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        publication: PublicationId,
    ) -> Result<(), StoreError> {
        Ok(forget_publication(self, (tenant, camera), publication).await?)
    }
}

fn is_recording(tx: &TenantTx, camera: &CameraId) -> Condition {
    of_tenant(tx).add(Expr::col("camera_id").eq(camera.as_str()))
}

/// When a camera that is recorded is due in the directory: always; one that is not any more never.
fn due(is_enabled: bool) -> Option<Timestamp> {
    is_enabled.then_some(Timestamp::from_unix_us(0))
}

async fn put(
    store: &Store,
    tenant: TenantId,
    camera: &CameraId,
    policy: RecordingPolicy,
) -> Result<Option<bool>, StoreError> {
    let tx = TenantTx::write(store, tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    let known =
        Query::select().column("id").from("cameras").cond_where(is_camera(&tx, camera)).take();
    if tx.connection().query_one(&known).await?.is_none() {
        tx.rollback().await?;
        return Ok(None);
    }
    let before = find(&tx, camera).await?.map(|it| it.0);
    if before == Some(policy) || (before.is_none() && policy == RecordingPolicy::default()) {
        tx.rollback().await?;
        return Ok(Some(false));
    }
    let conflict = OnConflict::columns(["tenant_id", "camera_id"])
        .update_columns(["enabled", "max_age_s", "max_bytes"])
        .to_owned();
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["tenant_id", "camera_id", "enabled", "max_age_s", "max_bytes", "bytes"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            camera.as_str().into(),
            i64::from(policy.enabled).into(),
            policy.max_age_s.map(i64::from).into(),
            policy.max_bytes.map(stored).transpose()?.into(),
            0_i64.into(),
        ])
        .on_conflict(conflict)
        .take();
    tx.connection().execute(&insert).await?;
    directory::enter(&tx, RECORDING, camera.as_str(), due(policy.enabled)).await?;
    tx.commit().await?;
    Ok(Some(true))
}

/// What is wanted of a camera, and the bytes of its segments.
async fn find(
    tx: &TenantTx,
    camera: &CameraId,
) -> Result<Option<(RecordingPolicy, u64)>, StoreError> {
    let select =
        Query::select().columns(COLUMNS).from(TABLE).cond_where(is_recording(tx, camera)).take();
    let row = tx.connection().query_one(&select).await?;
    row.map(|row| policy_of(&row)).transpose()
}

fn policy_of(row: &QueryResult) -> Result<(RecordingPolicy, u64), StoreError> {
    let (enabled, bytes): (i64, i64) = (row.try_get("", "enabled")?, row.try_get("", "bytes")?);
    let age: Option<i64> = row.try_get("", "max_age_s")?;
    let most: Option<i64> = row.try_get("", "max_bytes")?;
    let policy = RecordingPolicy {
        enabled: enabled != 0,
        max_age_s: age.map(|age| number(age, "max_age_s")).transpose()?,
        max_bytes: most.map(|most| number(most, "max_bytes")).transpose()?,
    };
    Ok((policy, number(bytes, "bytes")?))
}

/// Ends the recording of a camera that is removed. What was recorded stays until its time is over.
pub(super) async fn end(tx: &TenantTx, camera: &CameraId) -> Result<(), StoreError> {
    let update = Query::update()
        .table(TABLE)
        .value("enabled", 0_i64)
        .cond_where(is_recording(tx, camera))
        .take();
    if tx.connection().execute(&update).await?.rows_affected() > 0 {
        directory::enter(tx, RECORDING, camera.as_str(), due(false)).await?;
        leave(tx, camera).await?;
    }
    Ok(())
}

/// Forgets a camera that is not recorded any more, when nothing of its recording is left.
async fn leave(tx: &TenantTx, camera: &CameraId) -> Result<(), StoreError> {
    let left =
        Query::select().column("id").from(PUBLICATIONS).cond_where(of_camera(tx, camera)).take();
    let is_enabled = find(tx, camera).await?.is_none_or(|(policy, _)| policy.enabled);
    if is_enabled || tx.connection().query_one(&left).await?.is_some() {
        return Ok(());
    }
    let delete = Query::delete().from_table(TABLE).cond_where(is_recording(tx, camera)).take();
    tx.connection().execute(&delete).await?;
    directory::leave(tx, RECORDING, camera.as_str()).await?;
    Ok(())
}

/// Counts bytes of a camera's segments.
pub(super) async fn add_bytes(
    tx: &TenantTx,
    camera: &CameraId,
    bytes: i64,
) -> Result<(), StoreError> {
    let update = Query::update()
        .table(TABLE)
        .value("bytes", Expr::col("bytes").add(bytes))
        .cond_where(is_recording(tx, camera))
        .take();
    tx.connection().execute(&update).await?;
    Ok(())
}

async fn cameras(
    store: &Store,
    tenant: TenantId,
    camera: Option<&CameraId>,
) -> Result<Vec<RecordedCamera>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let mut select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(of_tenant(&tx))
        .order_by("camera_id", Order::Asc)
        .take();
    if let Some(camera) = camera {
        select.and_where(Expr::col("camera_id").eq(camera.as_str()));
    }
    let mut found = Vec::new();
    for row in tx.connection().query_all(&select).await? {
        let camera: CameraId = chosen(&row, "camera_id")?;
        let (policy, bytes) = policy_of(&row)?;
        let row = tx.connection().query_one(&ordered(&tx, &camera, Order::Asc, 1)).await?;
        let since = row.map(|row| moment(&row, "began_at")).transpose()?;
        found.push(RecordedCamera { camera, policy, bytes, since });
    }
    tx.commit().await?;
    Ok(found)
}

/// Segments of a camera by time.
fn ordered(tx: &TenantTx, camera: &CameraId, order: Order, limit: u32) -> SelectStatement {
    Query::select()
        .columns(SEGMENT_COLUMNS)
        .from(FILES)
        .cond_where(of_camera(tx, camera))
        .and_where(Expr::col("header").is_not_null())
        .order_by("began_at", order)
        .limit(u64::from(limit))
        .take()
}

fn segment_of(row: &QueryResult) -> Result<RecordedSegment, StoreError> {
    let column = |name: &'static str| number(row.try_get("", name)?, name);
    let breaks: Option<i64> = row.try_get("", "breaks")?;
    Ok(RecordedSegment {
        publication: PublicationId::from_uuid(row.try_get("", "publication_id")?),
        number: column("number")?,
        header: column("header")?,
        is_break: breaks.is_some_and(|breaks| breaks > 0),
        ticks: column("ticks")?,
        at: moment(row, "began_at")?,
        bytes: column("bytes")?,
    })
}

async fn segments(
    store: &Store,
    (tenant, camera): (TenantId, &CameraId),
    (from, until): (Timestamp, Timestamp),
    limit: u32,
) -> Result<Vec<RecordedSegment>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let began_at = || Expr::col("began_at");
    let before =
        ordered(&tx, camera, Order::Desc, 1).and_where(began_at().lt(from.unix_us())).take();
    let within = ordered(&tx, camera, Order::Asc, limit)
        .and_where(began_at().gte(from.unix_us()))
        .and_where(began_at().lt(until.unix_us()))
        .take();
    let mut rows = tx.connection().query_all(&before).await?;
    rows.extend(tx.connection().query_all(&within).await?);
    tx.commit().await?;
    rows.iter().map(segment_of).collect()
}

async fn oldest(
    store: &Store,
    (tenant, camera): (TenantId, &CameraId),
    limit: u32,
) -> Result<Vec<RecordedSegment>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let rows = tx.connection().query_all(&ordered(&tx, camera, Order::Asc, limit)).await?;
    tx.commit().await?;
    rows.iter().map(segment_of).collect()
}

async fn forget(
    store: &Store,
    (tenant, camera): (TenantId, &CameraId),
    segments: &[(PublicationId, u64)],
) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    tx.lock_tenant().await?;
    let mut gone = 0_i64;
    for (publication, number) in segments {
        let is_it = || {
            let number = Expr::col("number").eq(stored(*number)?);
            Ok::<_, StoreError>(of_publication(&tx, *publication).add(number))
        };
        let select = Query::select().column("bytes").from(FILES).cond_where(is_it()?).take();
        // Somebody else may have been first.
        let Some(row) = tx.connection().query_one(&select).await? else { continue };
        let bytes: i64 = row.try_get("", "bytes")?;
        let delete = Query::delete().from_table(FILES).cond_where(is_it()?).take();
        tx.connection().execute(&delete).await?;
        gone += bytes;
    }
    add_bytes(&tx, camera, -gone).await?;
    tx.commit().await?;
    Ok(())
}

async fn spent(
    store: &Store,
    (tenant, camera): (TenantId, &CameraId),
    before: Timestamp,
) -> Result<Vec<SpentPublication>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let is_enabled = find(&tx, camera).await?.is_some_and(|(policy, _)| policy.enabled);
    let publications = || {
        Query::select().column("id").from(PUBLICATIONS).cond_where(of_camera(&tx, camera)).take()
    };
    let id =
        |row: &QueryResult| Ok::<_, StoreError>(PublicationId::from_uuid(row.try_get("", "id")?));
    let newest = publications().order_by("began_at", Order::Desc).limit(1).take();
    let newest = tx.connection().query_one(&newest).await?.as_ref().map(id).transpose()?;
    let segment = Query::select()
        .column("number")
        .from(FILES)
        .cond_where(of_tenant(&tx))
        .and_where(Expr::col("publication_id").equals((PUBLICATIONS, "id")))
        .and_where(Expr::col("header").is_not_null())
        .take();
    let select = publications()
        .and_where(Expr::col("began_at").lt(before.unix_us()))
        .and_where(Expr::exists(segment).not())
        .take();
    let mut spent = Vec::new();
    for row in tx.connection().query_all(&select).await? {
        let id = id(&row)?;
        if is_enabled && newest == Some(id) {
            continue;
        }
        let headers =
            Query::select().column("number").from(FILES).cond_where(of_publication(&tx, id)).take();
        let rows = tx.connection().query_all(&headers).await?;
        let headers = rows.iter().map(|row| number(row.try_get("", "number")?, "number"));
        spent.push(SpentPublication { id, headers: headers.collect::<Result<_, StoreError>>()? });
    }
    tx.commit().await?;
    Ok(spent)
}

async fn forget_publication(
    store: &Store,
    (tenant, camera): (TenantId, &CameraId),
    publication: PublicationId,
) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    tx.lock_tenant().await?;
    let segment = Query::select()
        .column("number")
        .from(FILES)
        .cond_where(of_publication(&tx, publication))
        .and_where(Expr::col("header").is_not_null())
        .limit(1)
        .take();
    // One that got a segment meanwhile is not spent.
    if tx.connection().query_one(&segment).await?.is_some() {
        tx.rollback().await?;
        return Ok(());
    }
    for (table, rows) in [
        (FILES, of_publication(&tx, publication)),
        (PUBLICATIONS, is_publication(&tx, publication)),
    ] {
        let delete = Query::delete().from_table(table).cond_where(rows).take();
        tx.connection().execute(&delete).await?;
    }
    leave(&tx, camera).await?;
    tx.commit().await?;
    Ok(())
}
