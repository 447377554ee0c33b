//! Segments and gaps of recorded tracks.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait as _,
};

use super::{Written, finish};
use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::recorder::repository::{RecordedGap, RecordedSegment};
use crate::store::connect::Store;
use crate::store::entities::{recorded_gap, recorded_segment, recorded_track};
use crate::store::error::{fixed, from_position, number, stored};
use crate::store::tenant_tx::TenantTx;

pub(super) async fn add(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    segment: &RecordedSegment,
) -> Result<Written, StoreError> {
    use recorded_segment::{Column, Entity, Model};
    let tx = TenantTx::write(store, tenant).await?;
    let row = Model {
        tenant_id: tenant.as_uuid(),
        session_id: session.as_uuid(),
        track: segment.track.as_uuid(),
        index: stored(segment.index)?,
        size: stored(segment.size)?,
        sha256: segment.sha256.to_vec(),
        from_ms: stored(segment.from_ms)?,
        to_ms: stored(segment.to_ms)?,
        flags: segment.flags.into(),
        seq: stored(segment.seq)?,
    };
    let key = [Column::TenantId, Column::SessionId, Column::Track, Column::Index];
    let inserted = Entity::insert(row.clone().into_active_model().reset_all())
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(tx.connection())
        .await?;
    let written = if inserted == 1 {
        Written::Done
    } else {
        let there = Entity::find()
            .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
            .filter(Column::SessionId.eq(session.as_uuid()))
            .filter(Column::Track.eq(row.track))
            .filter(Column::Index.eq(row.index))
            .one(tx.connection())
            .await?;
        if there == Some(row) { Written::Done } else { Written::Refused }
    };
    finish(tx, written).await
}

pub(super) async fn list(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    track: RecordedTrackId,
    from: u64,
    limit: u32,
) -> Result<Vec<RecordedSegment>, StoreError> {
    use recorded_segment::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Track.eq(track.as_uuid()))
        .filter(Column::Index.gte(from_position(from)))
        .order_by_asc(Column::Index)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    rows.iter().map(segment_of).collect()
}

pub(super) async fn sealed_bytes(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<u64, StoreError> {
    use recorded_segment::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let kept = recorded_track::Entity::find()
        .select_only()
        .column(recorded_track::Column::Id)
        .filter(recorded_track::Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(recorded_track::Column::SessionId.eq(session.as_uuid()))
        .filter(recorded_track::Column::WrappedKey.is_not_null());
    let bytes: Option<i64> = Entity::find()
        .select_only()
        .expr(Expr::cust("CAST(COALESCE(SUM(size), 0) AS BIGINT)"))
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Track.in_subquery(kept.into_query()))
        .into_tuple()
        .one(tx.connection())
        .await?;
    tx.commit().await?;
    number(bytes.unwrap_or_default(), "size")
}

pub(super) async fn last(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    track: RecordedTrackId,
) -> Result<Option<RecordedSegment>, StoreError> {
    use recorded_segment::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Track.eq(track.as_uuid()))
        .order_by_desc(Column::Index)
        .limit(1)
        .one(tx.connection())
        .await?;
    tx.commit().await?;
    row.as_ref().map(segment_of).transpose()
}

fn segment_of(row: &recorded_segment::Model) -> Result<RecordedSegment, StoreError> {
    Ok(RecordedSegment {
        track: RecordedTrackId::from_uuid(row.track),
        index: number(row.index, "index")?,
        size: number(row.size, "size")?,
        sha256: fixed(&row.sha256, "sha256")?,
        from_ms: number(row.from_ms, "from_ms")?,
        to_ms: number(row.to_ms, "to_ms")?,
        flags: number(row.flags, "flags")?,
        seq: number(row.seq, "seq")?,
    })
}

/// Inserts a gap. All columns are its key, so an existing row is equal.
pub(super) async fn add_gap(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    gap: &RecordedGap,
) -> Result<(), StoreError> {
    use recorded_gap::{Column, Entity, Model};
    let tx = TenantTx::write(store, tenant).await?;
    let row = Model {
        tenant_id: tenant.as_uuid(),
        session_id: session.as_uuid(),
        track: gap.track.as_uuid(),
        from_ms: stored(gap.from_ms)?,
        to_ms: stored(gap.to_ms)?,
        reason: gap.reason.into(),
    };
    let key = [
        Column::TenantId,
        Column::SessionId,
        Column::Track,
        Column::FromMs,
        Column::ToMs,
        Column::Reason,
    ];
    Entity::insert(row.into_active_model().reset_all())
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(tx.connection())
        .await?;
    tx.commit().await
}

pub(super) async fn gaps(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Vec<RecordedGap>, StoreError> {
    use recorded_gap::{Column, Entity, Model};
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .order_by_asc(Column::Track)
        .order_by_asc(Column::FromMs)
        .order_by_asc(Column::ToMs)
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    let gap = |row: Model| {
        Ok(RecordedGap {
            track: RecordedTrackId::from_uuid(row.track),
            from_ms: number(row.from_ms, "from_ms")?,
            to_ms: number(row.to_ms, "to_ms")?,
            reason: number(row.reason, "reason")?,
        })
    };
    rows.into_iter().map(gap).collect()
}
