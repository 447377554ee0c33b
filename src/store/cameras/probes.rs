//! Looks after cameras on the database: which are due, and what was found.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{Condition, ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::directory::{self, CAMERA};
use super::{chosen, is_camera, moment};
use crate::cameras::repository::{Probe, ProbeRepository};
use crate::domain::camera::{CameraCodec, CameraHealth, ProbeCause, StreamFault, StreamStatus};
use crate::domain::id::{CameraId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::{number, stored, word};
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "camera_probes";
const COLUMNS: [&str; 13] = [
    "tenant_id",
    "camera_id",
    "probed_at",
    "cause",
    "status",
    "health",
    "fault",
    "video",
    "audio",
    "bitrate_bps",
    "frame_rate_milli",
    "latency_ms",
    "failures",
];

#[async_trait]
impl ProbeRepository for Store {
    async fn due_cameras(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, CameraId)>, StoreError> {
        Ok(directory::due(self, CAMERA, None, (now, limit)).await?)
    }

    async fn take_camera(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(directory::postpone(self, CAMERA, (tenant, camera.as_str()), (now, until)).await?)
    }

    async fn put_probe(
        &self,
        probe: &Probe,
        next_at: Timestamp,
        kept: u32,
    ) -> Result<bool, StoreError> {
        Ok(put(self, probe, next_at, kept).await?)
    }

    async fn probes(
        &self,
        tenant: TenantId,
        camera: &CameraId,
        limit: u32,
    ) -> Result<Vec<Probe>, StoreError> {
        Ok(probes(self, tenant, camera, limit).await?)
    }
}

async fn put(
    store: &Store,
    probe: &Probe,
    next_at: Timestamp,
    kept: u32,
) -> Result<bool, StoreError> {
    let tx = TenantTx::write(store, probe.tenant).await?;
    // A camera that is removed meanwhile takes all that was found with it.
    tx.lock_tenant().await?;
    let known = Query::select()
        .column("id")
        .from(super::TABLE)
        .cond_where(is_camera(&tx, &probe.camera))
        .take();
    if tx.connection().query_one(&known).await?.is_none() {
        tx.rollback().await?;
        return Ok(false);
    }
    // Of two looks at the same moment the later one counts.
    let same = of_camera(&tx, &probe.camera).add(Expr::col("probed_at").eq(probe.at.unix_us()));
    let delete = Query::delete().from_table(TABLE).cond_where(same).take();
    tx.connection().execute(&delete).await?;
    let latency: Option<i64> = probe.latency_ms.map(stored).transpose()?;
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            tx.tenant().as_uuid().into(),
            probe.camera.as_str().into(),
            probe.at.unix_us().into(),
            probe.cause.as_str().into(),
            probe.status.as_str().into(),
            probe.health.as_str().into(),
            probe.fault.map(StreamFault::as_str).into(),
            probe.video.map(CameraCodec::as_str).into(),
            probe.audio.map(CameraCodec::as_str).into(),
            stored(probe.bitrate_bps)?.into(),
            stored(probe.frame_rate_milli)?.into(),
            latency.into(),
            i64::from(probe.failures).into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    forget_older(&tx, &probe.camera, kept).await?;
    directory::enter(&tx, CAMERA, probe.camera.as_str(), Some(next_at)).await?;
    tx.commit().await?;
    Ok(true)
}

/// Forgets all but the newest.
async fn forget_older(tx: &TenantTx, camera: &CameraId, kept: u32) -> Result<(), StoreError> {
    let first_gone = Query::select()
        .column("probed_at")
        .from(TABLE)
        .cond_where(of_camera(tx, camera))
        .order_by("probed_at", Order::Desc)
        .offset(u64::from(kept))
        .limit(1)
        .take();
    let Some(row) = tx.connection().query_one(&first_gone).await? else { return Ok(()) };
    let at: i64 = row.try_get("", "probed_at")?;
    let gone = of_camera(tx, camera).add(Expr::col("probed_at").lte(at));
    let delete = Query::delete().from_table(TABLE).cond_where(gone).take();
    tx.connection().execute(&delete).await?;
    Ok(())
}

/// Forgets everything about a camera that is removed.
pub(super) async fn forget_all(tx: &TenantTx, camera: &CameraId) -> Result<(), StoreError> {
    let delete = Query::delete().from_table(TABLE).cond_where(of_camera(tx, camera)).take();
    tx.connection().execute(&delete).await?;
    Ok(())
}

async fn probes(
    store: &Store,
    tenant: TenantId,
    camera: &CameraId,
    limit: u32,
) -> Result<Vec<Probe>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(of_camera(&tx, camera))
        .order_by("probed_at", Order::Desc)
        .limit(u64::from(limit))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().map(probe_of).collect()
}

fn of_camera(tx: &TenantTx, camera: &CameraId) -> Condition {
    Condition::all()
        .add(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .add(Expr::col("camera_id").eq(camera.as_str()))
}

fn probe_of(row: &QueryResult) -> Result<Probe, StoreError> {
    let optional = |column: &str| row.try_get::<Option<String>>("", column);
    let codec = |column: &str| {
        let text = optional(column)?;
        text.map(|text| word(CameraCodec::parse(&text), "codec")).transpose()
    };
    let fault = optional("fault")?;
    let text = |column: &str| row.try_get::<String>("", column);
    let latency: Option<i64> = row.try_get("", "latency_ms")?;
    let failures: u32 = number(row.try_get("", "failures")?, "failures")?;
    Ok(Probe {
        tenant: TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?),
        camera: chosen(row, "camera_id")?,
        at: moment(row, "probed_at")?,
        cause: word(ProbeCause::parse(&text("cause")?), "cause")?,
        status: word(StreamStatus::parse(&text("status")?), "status")?,
        health: word(CameraHealth::parse(&text("health")?), "health")?,
        fault: fault.map(|text| word(StreamFault::parse(&text), "fault")).transpose()?,
        video: codec("video")?,
        audio: codec("audio")?,
        bitrate_bps: number(row.try_get("", "bitrate_bps")?, "bitrate_bps")?,
        frame_rate_milli: number(row.try_get("", "frame_rate_milli")?, "frame_rate_milli")?,
        latency_ms: latency.map(|ms| number(ms, "latency_ms")).transpose()?,
        failures,
    })
}
