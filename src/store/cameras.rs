//! Cameras, stream sessions and captures on the database.

mod bridges;
mod captures;
mod directory;
mod probes;
mod publications;
mod recordings;
mod sessions;
mod streams;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query, SelectStatement};
use sea_orm::{Condition, ConnectionTrait, QueryResult};
use uuid::Uuid;

use self::directory::CAMERA;
pub(super) use self::publications::{capture_keys, put_capture_key};
use crate::cameras::repository::{Camera, CameraRepository, Put, SealedSource};
use crate::domain::camera::CameraTransport;
use crate::domain::id::{CameraId, CameraSecretId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::{number, stored, word};
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "cameras";
const COLUMNS: [&str; 12] = [
    "tenant_id",
    "id",
    "secret_id",
    "wrapped_key",
    "sealed",
    "masked",
    "transport",
    "codec_hint",
    "target_profiles",
    "revision",
    "created_at",
    "updated_at",
];

#[async_trait]
impl CameraRepository for Store {
    async fn camera(&self, tenant: TenantId, id: &CameraId) -> Result<Option<Camera>, StoreError> {
        Ok(camera(self, tenant, id).await?)
    }

    async fn put_camera(
        &self,
        camera: &Camera,
        expected: Option<u64>,
        cameras_max: u32,
    ) -> Result<Put, StoreError> {
        Ok(put(self, camera, expected, cameras_max).await?)
    }

    async fn remove_camera(
        &self,
        tenant: TenantId,
        id: &CameraId,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(remove(self, tenant, id, at).await?)
    }

    async fn cameras(&self, tenant: TenantId) -> Result<Vec<Camera>, StoreError> {
        Ok(cameras(self, tenant).await?)
    }
}

/// The rows of the transaction's tenant.
fn of_tenant(tx: &TenantTx) -> Condition {
    Condition::all().add(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
}

fn is_camera(tx: &TenantTx, id: &CameraId) -> Condition {
    of_tenant(tx).add(Expr::col("id").eq(id.as_str()))
}

fn select(tx: &TenantTx) -> SelectStatement {
    Query::select().columns(COLUMNS).from(TABLE).cond_where(of_tenant(tx)).take()
}

async fn camera(
    store: &Store,
    tenant: TenantId,
    id: &CameraId,
) -> Result<Option<Camera>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = select(&tx).and_where(Expr::col("id").eq(id.as_str())).take();
    let row = tx.connection().query_one(&select).await?;
    tx.commit().await?;
    row.map(|row| camera_of(&row)).transpose()
}

async fn cameras(store: &Store, tenant: TenantId) -> Result<Vec<Camera>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = select(&tx).order_by("id", Order::Asc).take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().map(camera_of).collect()
}

async fn put(
    store: &Store,
    camera: &Camera,
    expected: Option<u64>,
    cameras_max: u32,
) -> Result<Put, StoreError> {
    let tx = TenantTx::write(store, camera.tenant).await?.marked(store).await?;
    // Whoever adds one counts after whoever came before.
    tx.lock_tenant().await?;
    let known = Query::select()
        .column("revision")
        .from(TABLE)
        .cond_where(is_camera(&tx, &camera.id))
        .take();
    let known = tx.connection().query_one(&known).await?;
    let known: Option<i64> = known.map(|row| row.try_get("", "revision")).transpose()?;
    if known != expected.map(stored).transpose()? {
        tx.rollback().await?;
        return Ok(Put::Stale);
    }
    if known.is_some() {
        let delete =
            Query::delete().from_table(TABLE).cond_where(is_camera(&tx, &camera.id)).take();
        tx.connection().execute(&delete).await?;
    } else {
        let count = Query::select()
            .expr_as(Expr::col("id").count(), "cameras")
            .from(TABLE)
            .cond_where(of_tenant(&tx))
            .take();
        let row = tx.connection().query_one(&count).await?;
        let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "cameras"))?;
        if count >= i64::from(cameras_max) {
            tx.rollback().await?;
            return Ok(Put::LimitReached);
        }
    }
    insert(&tx, camera).await?;
    directory::enter(&tx, CAMERA, camera.id.as_str(), Some(camera.updated_at)).await?;
    tx.commit().await?;
    Ok(Put::Done)
}

async fn insert(tx: &TenantTx, camera: &Camera) -> Result<(), StoreError> {
    let profiles = camera.target_profiles.join(",");
    let source = &camera.source;
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            tx.tenant().as_uuid().into(),
            camera.id.as_str().into(),
            source.id.as_uuid().into(),
            source.wrapped_key.clone().into(),
            source.sealed.clone().into(),
            source.masked.as_str().into(),
            camera.transport.as_str().into(),
            camera.codec_hint.clone().into(),
            profiles.into(),
            stored(camera.revision)?.into(),
            camera.created_at.unix_us().into(),
            camera.updated_at.unix_us().into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}

async fn remove(
    store: &Store,
    tenant: TenantId,
    id: &CameraId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    let delete = Query::delete().from_table(TABLE).cond_where(is_camera(&tx, id)).take();
    let removed = tx.connection().execute(&delete).await?.rows_affected() > 0;
    sessions::end_all(&tx, id, at).await?;
    streams::stop_all(&tx, id, at).await?;
    probes::forget_all(&tx, id).await?;
    bridges::forget_all(&tx, id).await?;
    recordings::end(&tx, id).await?;
    directory::leave(&tx, CAMERA, id.as_str()).await?;
    tx.commit().await?;
    Ok(removed)
}

/// The wrapped keys of the addresses of a tenant's cameras.
pub(super) async fn wrapped_keys(
    store: &Store,
    tenant: TenantId,
) -> Result<Vec<(CameraSecretId, Vec<u8>)>, StoreError> {
    let cameras = cameras(store, tenant).await?;
    let sources = cameras.into_iter().map(|camera| camera.source);
    Ok(sources.map(|source| (source.id, source.wrapped_key)).collect())
}

/// Replaces the wrapping of a key, unless its address was sealed anew.
pub(super) async fn put_wrapped_key(
    store: &Store,
    tenant: TenantId,
    secret: CameraSecretId,
    wrapped: &[u8],
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(TABLE)
        .value("wrapped_key", wrapped.to_vec())
        .cond_where(of_tenant(&tx))
        .and_where(Expr::col("secret_id").eq(secret.as_uuid()))
        .take();
    let replaced = tx.connection().execute(&update).await?.rows_affected() > 0;
    tx.commit().await?;
    Ok(replaced)
}

fn camera_of(row: &QueryResult) -> Result<Camera, StoreError> {
    let profiles: String = row.try_get("", "target_profiles")?;
    let transport: String = row.try_get("", "transport")?;
    let split = profiles.split(',').filter(|name| !name.is_empty());
    Ok(Camera {
        tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
        id: chosen(row, "id")?,
        source: SealedSource {
            id: CameraSecretId::from_uuid(row.try_get::<Uuid>("", "secret_id")?),
            wrapped_key: row.try_get("", "wrapped_key")?,
            sealed: row.try_get("", "sealed")?,
            masked: row.try_get("", "masked")?,
        },
        transport: word(CameraTransport::parse(&transport), "transport")?,
        codec_hint: row.try_get("", "codec_hint")?,
        target_profiles: split.map(str::to_owned).collect(),
        revision: number(row.try_get("", "revision")?, "revision")?,
        created_at: moment(row, "created_at")?,
        updated_at: moment(row, "updated_at")?,
    })
}

/// An identifier that a client chose.
fn chosen<T: std::str::FromStr>(row: &QueryResult, column: &str) -> Result<T, StoreError> {
    let text: String = row.try_get("", column)?;
    text.parse().map_err(|_| StoreError::Corrupt(format!("{column} holds no identifier")))
}

fn moment(row: &QueryResult, column: &str) -> Result<Timestamp, StoreError> {
    Ok(Timestamp::from_unix_us(row.try_get("", column)?))
}

fn moment_if_any(row: &QueryResult, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let us: Option<i64> = row.try_get("", column)?;
    Ok(us.map(Timestamp::from_unix_us))
}
