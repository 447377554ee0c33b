//! What edge devices published and cameras sent, on the database: which files of the vault play a
//! capture, and the recording of a camera.

use async_trait::async_trait;
use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Order, Query};
use sea_orm::{Condition, ConnectionTrait, QueryResult};

use super::directory::{self, CAPTURE};
use super::{moment, of_tenant, recordings};
use crate::cameras::repository::{
    CaptureFile, CaptureSegment, Filed, FilmsOf, OldFiles, Publication, PublicationRepository,
};
use crate::domain::id::{CameraId, CaptureId, PublicationId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::{number, stored};
use crate::store::tenant_tx::TenantTx;

pub(super) const PUBLICATIONS: &str = "capture_publications";
pub(super) const FILES: &str = "capture_files";
const CAPTURES: &str = "capture_sessions";
/// What the stored names of cameras begin with; no capture is named so.
const CAMERAS: &str = "camera/";
const SEGMENT_COLUMNS: [&str; 7] =
    ["publication_id", "number", "header", "sequence", "breaks", "ticks", "began_at"];

#[async_trait]
impl PublicationRepository for Store {
    async fn add_publication(
        &self,
        publication: &Publication,
        bytes_max: u64,
    ) -> Result<Filed, StoreError> {
        Ok(add_publication(self, publication, bytes_max).await?)
    }

    async fn add_file(
        &self,
        publication: &Publication,
        file: &CaptureFile,
        closed_after: Timestamp,
        bytes_max: Option<u64>,
    ) -> Result<Filed, StoreError> {
        Ok(add_file(self, publication, file, (closed_after, bytes_max)).await?)
    }

    async fn publication(
        &self,
        tenant: TenantId,
        id: PublicationId,
    ) -> Result<Option<Publication>, StoreError> {
        Ok(publication(self, tenant, id).await?)
    }

    async fn capture_segments(
        &self,
        tenant: TenantId,
        capture: &CaptureId,
        limit: u32,
    ) -> Result<Vec<CaptureSegment>, StoreError> {
        Ok(segments(self, tenant, capture, limit).await?)
    }

    async fn old_publications(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, PublicationId)>, StoreError> {
        Ok(directory::due(self, CAPTURE, None, (before, limit)).await?)
    }

    async fn old_files(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        before: Timestamp,
        limit: u32,
    ) -> Result<OldFiles, StoreError> {
        Ok(old_files(self, (tenant, publication), before, limit).await?)
    }

    async fn forget_files(
        &self,
        tenant: TenantId,
        publication: PublicationId,
        numbers: &[u64],
    ) -> Result<(), StoreError> {
        Ok(forget_files(self, (tenant, publication), numbers).await?)
    }
}

pub(super) fn is_publication(tx: &TenantTx, id: PublicationId) -> Condition {
    of_tenant(tx).add(Expr::col("id").eq(id.as_uuid()))
}

pub(super) fn of_publication(tx: &TenantTx, id: PublicationId) -> Condition {
    of_tenant(tx).add(Expr::col("publication_id").eq(id.as_uuid()))
}

fn of_capture(tx: &TenantTx, capture: &CaptureId) -> Condition {
    of_tenant(tx).add(Expr::col("capture_id").eq(capture.as_str()))
}

/// The rows of a camera's recording.
pub(super) fn of_camera(tx: &TenantTx, camera: &CameraId) -> Condition {
    let name = named(&FilmsOf::Camera(camera.clone()));
    of_tenant(tx).add(Expr::col("capture_id").eq(name))
}

/// How what has films is named in the tables.
fn named(of: &FilmsOf) -> String {
    match of {
        FilmsOf::Capture(capture) => capture.to_string(),
        FilmsOf::Camera(camera) => format!("{CAMERAS}{camera}"),
    }
}

fn of_name(name: &str) -> Result<FilmsOf, StoreError> {
    let wrong = || StoreError::Corrupt("capture_id holds no identifier".to_owned());
    match name.strip_prefix(CAMERAS) {
        Some(camera) => camera.parse().map(FilmsOf::Camera).map_err(|_| wrong()),
        None => name.parse().map(FilmsOf::Capture).map_err(|_| wrong()),
    }
}

async fn add_publication(
    store: &Store,
    publication: &Publication,
    bytes_max: u64,
) -> Result<Filed, StoreError> {
    let tx = TenantTx::write(store, publication.tenant).await?.marked(store).await?;
    // Whoever publishes comes after whoever published before.
    tx.lock_tenant().await?;
    let refused = match &publication.of {
        FilmsOf::Capture(capture) if !is_open(&tx, capture, None).await? => Some(Filed::Closed),
        FilmsOf::Capture(_) if bytes(&tx).await? >= bytes_max => Some(Filed::Full),
        FilmsOf::Camera(_) | FilmsOf::Capture(_) => None,
    };
    if let Some(refused) = refused {
        tx.rollback().await?;
        return Ok(refused);
    }
    // The newest one is the newest whatever the clocks of instances say.
    let newest = newest(&tx, &publication.of).await?;
    let began_at =
        std::cmp::max(newest.map_or(0, |newest| newest + 1), publication.began_at.unix_us());
    let insert = Query::insert()
        .into_table(PUBLICATIONS)
        .columns(["tenant_id", "id", "capture_id", "wrapped_key", "began_at"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            publication.id.as_uuid().into(),
            named(&publication.of).into(),
            publication.wrapped_key.clone().into(),
            began_at.into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    if let FilmsOf::Capture(_) = &publication.of {
        let id = publication.id.to_string();
        directory::enter(&tx, CAPTURE, &id, Some(publication.began_at)).await?;
    }
    tx.commit().await?;
    Ok(Filed::Done)
}

/// Whether a capture is open, or was closed after `closed_after`.
async fn is_open(
    tx: &TenantTx,
    capture: &CaptureId,
    closed_after: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let closed = Expr::col("closed_at");
    let mut open = Condition::any().add(closed.clone().is_null());
    if let Some(after) = closed_after {
        open = open.add(closed.gt(after.unix_us()));
    }
    let select = Query::select()
        .column("id")
        .from(CAPTURES)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("id").eq(capture.as_str()))
        .cond_where(open)
        .take();
    Ok(tx.connection().query_one(&select).await?.is_some())
}

/// When the newest publication of a capture or camera began.
async fn newest(tx: &TenantTx, of: &FilmsOf) -> Result<Option<i64>, StoreError> {
    let select = Query::select()
        .expr_as(Expr::col("began_at").max(), "newest")
        .from(PUBLICATIONS)
        .cond_where(of_tenant(tx).add(Expr::col("capture_id").eq(named(of))))
        .take();
    let row = tx.connection().query_one(&select).await?;
    Ok(row.map_or(Ok(None), |row| row.try_get("", "newest"))?)
}

/// The bytes of the files of the tenant's captures.
async fn bytes(tx: &TenantTx) -> Result<u64, StoreError> {
    // PostgreSQL adds integers up to a number of any size.
    let sum = Expr::col("bytes").sum().cast_as(Alias::new("bigint"));
    let select = Query::select()
        .expr_as(sum, "bytes")
        .from(FILES)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("capture_id").not_like(format!("{CAMERAS}%")))
        .take();
    let row = tx.connection().query_one(&select).await?;
    let sum: Option<i64> = row.map_or(Ok(None), |row| row.try_get("", "bytes"))?;
    number(sum.unwrap_or(0), "bytes")
}

async fn add_file(
    store: &Store,
    publication: &Publication,
    file: &CaptureFile,
    (closed_after, bytes_max): (Timestamp, Option<u64>),
) -> Result<Filed, StoreError> {
    // What was published is kept as long as there is a place for it.
    let tx = TenantTx::write_from_reserve(store, publication.tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    let own = began_at(&tx, publication.id).await?;
    let refused = match &publication.of {
        FilmsOf::Camera(_) if own.is_none() => Some(Filed::Replaced),
        FilmsOf::Camera(_) if is_filed(&tx, publication.id, file.number).await? => {
            Some(Filed::Done)
        }
        FilmsOf::Camera(_) => None,
        FilmsOf::Capture(capture) => {
            let until = (closed_after, bytes_max);
            refusal(&tx, (capture, &publication.of), own, until).await?
        }
    };
    if let Some(refused) = refused {
        tx.rollback().await?;
        return Ok(refused);
    }
    let (sequence, breaks) = match (&publication.of, file.header) {
        (_, None) => (None, None),
        (FilmsOf::Camera(camera), Some(_)) => {
            recordings::add_bytes(&tx, camera, stored(file.bytes)?).await?;
            (None, Some(i64::from(file.is_break)))
        }
        (FilmsOf::Capture(capture), Some(_)) => {
            let is_break = file.is_break;
            let (sequence, breaks) = next_place(&tx, (capture, publication.id), is_break).await?;
            (Some(sequence), Some(breaks))
        }
    };
    let insert = Query::insert()
        .into_table(FILES)
        .columns([
            "tenant_id",
            "publication_id",
            "number",
            "capture_id",
            "header",
            "sequence",
            "breaks",
            "ticks",
            "began_at",
            "bytes",
        ])
        .values_panic([
            tx.tenant().as_uuid().into(),
            publication.id.as_uuid().into(),
            stored(file.number)?.into(),
            named(&publication.of).into(),
            file.header.map(stored).transpose()?.into(),
            sequence.into(),
            breaks.into(),
            stored(file.ticks)?.into(),
            file.at.unix_us().into(),
            stored(file.bytes)?.into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    tx.commit().await?;
    Ok(Filed::Done)
}

/// Why a file of a capture is not stored.
async fn refusal(
    tx: &TenantTx,
    (capture, of): (&CaptureId, &FilmsOf),
    own: Option<i64>,
    (closed_after, bytes_max): (Timestamp, Option<u64>),
) -> Result<Option<Filed>, StoreError> {
    Ok(if !is_open(tx, capture, Some(closed_after)).await? {
        Some(Filed::Closed)
    } else if own.is_none() || newest(tx, of).await? != own {
        Some(Filed::Replaced)
    } else if let Some(bytes_max) = bytes_max
        && bytes(tx).await? >= bytes_max
    {
        Some(Filed::Full)
    } else {
        None
    })
}

/// Whether a file is stored already.
async fn is_filed(tx: &TenantTx, id: PublicationId, number: u64) -> Result<bool, StoreError> {
    let select = Query::select()
        .column("number")
        .from(FILES)
        .cond_where(of_publication(tx, id))
        .and_where(Expr::col("number").eq(stored(number)?))
        .take();
    Ok(tx.connection().query_one(&select).await?.is_some())
}

async fn began_at(tx: &TenantTx, id: PublicationId) -> Result<Option<i64>, StoreError> {
    let select = Query::select()
        .column("began_at")
        .from(PUBLICATIONS)
        .cond_where(is_publication(tx, id))
        .take();
    let row = tx.connection().query_one(&select).await?;
    Ok(row.map(|row| row.try_get("", "began_at")).transpose()?)
}

/// Sequence and breaks of the next segment of a capture.
async fn next_place(
    tx: &TenantTx,
    (capture, publication): (&CaptureId, PublicationId),
    is_break: bool,
) -> Result<(i64, i64), StoreError> {
    let select = Query::select()
        .columns(["publication_id", "sequence", "breaks"])
        .from(FILES)
        .cond_where(of_capture(tx, capture))
        .and_where(Expr::col("sequence").is_not_null())
        .order_by("sequence", Order::Desc)
        .limit(1)
        .take();
    let Some(row) = tx.connection().query_one(&select).await? else { return Ok((0, 0)) };
    let before = PublicationId::from_uuid(row.try_get("", "publication_id")?);
    let (sequence, breaks): (i64, i64) = (row.try_get("", "sequence")?, row.try_get("", "breaks")?);
    let breaks_here = is_break || before != publication;
    Ok((sequence + 1, breaks + i64::from(breaks_here)))
}

async fn publication(
    store: &Store,
    tenant: TenantId,
    id: PublicationId,
) -> Result<Option<Publication>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = Query::select()
        .columns(["capture_id", "wrapped_key", "began_at"])
        .from(PUBLICATIONS)
        .cond_where(is_publication(&tx, id))
        .take();
    let row = tx.connection().query_one(&select).await?;
    tx.commit().await?;
    let of = |row: QueryResult| {
        Ok(Publication {
            tenant,
            id,
            of: of_name(&row.try_get::<String>("", "capture_id")?)?,
            wrapped_key: row.try_get("", "wrapped_key")?,
            began_at: moment(&row, "began_at")?,
        })
    };
    row.map(of).transpose()
}

async fn segments(
    store: &Store,
    tenant: TenantId,
    capture: &CaptureId,
    limit: u32,
) -> Result<Vec<CaptureSegment>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = Query::select()
        .columns(SEGMENT_COLUMNS)
        .from(FILES)
        .cond_where(of_capture(&tx, capture))
        .and_where(Expr::col("sequence").is_not_null())
        .order_by("sequence", Order::Desc)
        .limit(u64::from(limit))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().rev().map(segment_of).collect()
}

fn segment_of(row: &QueryResult) -> Result<CaptureSegment, StoreError> {
    let column = |name: &'static str| number(row.try_get("", name)?, name);
    Ok(CaptureSegment {
        publication: PublicationId::from_uuid(row.try_get("", "publication_id")?),
        number: column("number")?,
        header: column("header")?,
        sequence: column("sequence")?,
        breaks: column("breaks")?,
        ticks: column("ticks")?,
        at: moment(row, "began_at")?,
    })
}

async fn old_files(
    store: &Store,
    (tenant, publication): (TenantId, PublicationId),
    before: Timestamp,
    limit: u32,
) -> Result<OldFiles, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let is_old = Expr::col("began_at").lt(before.unix_us());
    let segments = of_publication(&tx, publication).add(Expr::col("header").is_not_null());
    let mut select = Query::select()
        .column("number")
        .from(FILES)
        .order_by("number", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let young = Query::select()
        .column("number")
        .from(FILES)
        .cond_where(segments.clone())
        .and_where(Expr::col("began_at").gte(before.unix_us()))
        .limit(1)
        .take();
    let has_young = tx.connection().query_one(&young).await?.is_some();
    // A header is needed as long as a segment is there.
    select.cond_where(if has_young {
        segments.add(is_old)
    } else {
        of_publication(&tx, publication).add(is_old)
    });
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    let numbers = rows.iter().map(|row| number(row.try_get("", "number")?, "number"));
    Ok(OldFiles { numbers: numbers.collect::<Result<_, StoreError>>()?, is_all: !has_young })
}

async fn forget_files(
    store: &Store,
    (tenant, publication): (TenantId, PublicationId),
    numbers: &[u64],
) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    tx.lock_tenant().await?;
    let numbers = numbers.iter().map(|it| stored(*it)).collect::<Result<Vec<i64>, _>>()?;
    let delete = Query::delete()
        .from_table(FILES)
        .cond_where(of_publication(&tx, publication))
        .and_where(Expr::col("number").is_in(numbers))
        .take();
    tx.connection().execute(&delete).await?;
    let oldest = Query::select()
        .expr_as(Expr::col("began_at").min(), "oldest")
        .from(FILES)
        .cond_where(of_publication(&tx, publication))
        .and_where(Expr::col("header").is_not_null())
        .take();
    let row = tx.connection().query_one(&oldest).await?;
    let oldest: Option<i64> = row.map_or(Ok(None), |row| row.try_get("", "oldest"))?;
    let id = publication.to_string();
    if let Some(oldest) = oldest {
        let due_at = Some(Timestamp::from_unix_us(oldest));
        directory::enter(&tx, CAPTURE, &id, due_at).await?;
    } else {
        for (table, rows) in [
            (FILES, of_publication(&tx, publication)),
            (PUBLICATIONS, is_publication(&tx, publication)),
        ] {
            let delete = Query::delete().from_table(table).cond_where(rows).take();
            tx.connection().execute(&delete).await?;
        }
        directory::leave(&tx, CAPTURE, &id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The wrapped keys of a tenant's publications.
pub(in crate::store) async fn capture_keys(
    store: &Store,
    tenant: TenantId,
) -> Result<Vec<(PublicationId, Vec<u8>)>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select = Query::select()
        .columns(["id", "wrapped_key"])
        .from(PUBLICATIONS)
        .cond_where(of_tenant(&tx))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    let of = |row: &QueryResult| {
        Ok((PublicationId::from_uuid(row.try_get("", "id")?), row.try_get("", "wrapped_key")?))
    };
    rows.iter().map(of).collect()
}

/// Replaces the wrapping of a publication's key; `false` when it is gone.
pub(in crate::store) async fn put_capture_key(
    store: &Store,
    tenant: TenantId,
    publication: PublicationId,
    wrapped: &[u8],
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(PUBLICATIONS)
        .value("wrapped_key", wrapped.to_vec())
        .cond_where(is_publication(&tx, publication))
        .take();
    let replaced = tx.connection().execute(&update).await?.rows_affected() > 0;
    tx.commit().await?;
    Ok(replaced)
}
