//! Recorded tracks and their wrapped keys.

use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel as _,
    QueryFilter, QueryOrder, QuerySelect,
};

use super::{Written, finish};
use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TrackId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::recorder::repository::RecordedTrack;
use crate::store::connect::Store;
use crate::store::entities::recorded_track::{ActiveModel, Column, Entity, Model};
use crate::store::error::{number, stored, word};
use crate::store::recording_agenda;
use crate::store::tenant_tx::TenantTx;
use crate::store::wrapped_keys::may_replace;

/// Replaces the name of the person of a track whose recording was erased.
const FORGOTTEN: &str = "erased";

pub(super) async fn add(
    store: &Store,
    session_key: SessionKey,
    track: &RecordedTrack,
) -> Result<Written, StoreError> {
    let SessionKey { tenant, session } = session_key;
    let tx = TenantTx::write(store, tenant).await?;
    recording_agenda::hold(&tx, session).await?;
    let row = row_of(session_key, track)?;
    let key = [Column::TenantId, Column::SessionId, Column::Id];
    let inserted = Entity::insert(row.clone().into_active_model().reset_all())
        .on_conflict(OnConflict::columns(key).do_nothing().to_owned())
        .exec_without_returning(tx.connection())
        .await?;
    let written = if inserted == 1 {
        recording_agenda::refresh(&tx, session).await?;
        Written::Done
    } else {
        let there = find(&tx, session, track.id).await?;
        let same = there.is_some_and(|there| is_same(&row, &there));
        if same { Written::Done } else { Written::Refused }
    };
    finish(tx, written).await
}

/// Whether the stored row `there` is a later state of `row`: it may have ended since, and its key
/// may have been rewrapped or destroyed.
fn is_same(row: &Model, there: &Model) -> bool {
    let key = row.wrapped_key.as_deref();
    let key_moved_on = may_replace(key, there.wrapped_key.as_deref())
        && !may_replace(there.wrapped_key.as_deref(), key);
    if key != there.wrapped_key.as_deref() && !key_moved_on {
        return false;
    }
    let as_added = Model {
        wrapped_key: row.wrapped_key.clone(),
        ended_at: if row.ended_at.is_none() { None } else { there.ended_at },
        ..there.clone()
    };
    as_added == *row
}

pub(super) async fn end(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    track: RecordedTrackId,
    at: Timestamp,
) -> Result<Written, StoreError> {
    let tx = TenantTx::write(store, tenant).await?;
    recording_agenda::hold(&tx, session).await?;
    let changes = ActiveModel { ended_at: Set(Some(at.unix_us())), ..Default::default() };
    let ended = Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Id.eq(track.as_uuid()))
        .filter(Column::EndedAt.is_null())
        .exec(tx.connection())
        .await?;
    // A track that has ended already keeps its end.
    let is_there = ended.rows_affected == 1 || find(&tx, session, track).await?.is_some();
    recording_agenda::refresh(&tx, session).await?;
    finish(tx, if is_there { Written::Done } else { Written::Refused }).await
}

pub(super) async fn put_key(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    track: RecordedTrackId,
    wrapped: Option<Vec<u8>>,
) -> Result<Written, StoreError> {
    let tx = TenantTx::write(store, tenant).await?;
    let written = replace_key(&tx, session, track, wrapped).await?;
    finish(tx, written).await
}

async fn replace_key(
    tx: &TenantTx,
    session: SessionId,
    track: RecordedTrackId,
    wrapped: Option<Vec<u8>>,
) -> Result<Written, StoreError> {
    let Some(there) = find(tx, session, track).await? else { return Ok(Written::Refused) };
    if !may_replace(there.wrapped_key.as_deref(), wrapped.as_deref()) {
        return Ok(Written::Refused);
    }
    let changes = ActiveModel { wrapped_key: Set(wrapped), ..Default::default() };
    Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Id.eq(track.as_uuid()))
        .exec(tx.connection())
        .await?;
    Ok(Written::Done)
}

/// The row of a track, locked until the transaction ends.
async fn find(
    tx: &TenantTx,
    session: SessionId,
    track: RecordedTrackId,
) -> Result<Option<Model>, StoreError> {
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Id.eq(track.as_uuid()))
        .lock_exclusive()
        .one(tx.connection())
        .await?;
    Ok(row)
}

pub(super) async fn list(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Vec<RecordedTrack>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .order_by_asc(Column::Seq)
        .order_by_asc(Column::Id)
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    rows.into_iter().map(track_of).collect()
}

/// Removes the names of the people whose tracks have no key any more.
pub(super) async fn forget_people(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let changes = ActiveModel {
        user_id: Set(FORGOTTEN.to_owned()),
        name: Set(String::new()),
        ..Default::default()
    };
    Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::WrappedKey.is_null())
        .exec(tx.connection())
        .await?;
    Ok(())
}

fn row_of(
    SessionKey { tenant, session }: SessionKey,
    track: &RecordedTrack,
) -> Result<Model, StoreError> {
    Ok(Model {
        tenant_id: tenant.as_uuid(),
        session_id: session.as_uuid(),
        id: track.id.as_uuid(),
        track_id: track.track.as_uuid(),
        user_id: track.user.as_str().to_owned(),
        name: track.name.clone(),
        source: track.source.as_str().to_owned(),
        codec: track.codec.as_str().to_owned(),
        epoch: track.epoch.into(),
        wrapped_key: track.wrapped_key.clone(),
        seq: stored(track.seq)?,
        started_at: track.started_at.unix_us(),
        ended_at: track.ended_at.map(Timestamp::unix_us),
    })
}

fn track_of(row: Model) -> Result<RecordedTrack, StoreError> {
    Ok(RecordedTrack {
        id: RecordedTrackId::from_uuid(row.id),
        track: TrackId::from_uuid(row.track_id),
        user: word(row.user_id.parse().ok(), "user_id")?,
        name: row.name,
        source: word(TrackSource::parse(&row.source), "source")?,
        codec: word(Codec::parse(&row.codec), "codec")?,
        epoch: number(row.epoch, "epoch")?,
        wrapped_key: row.wrapped_key,
        seq: number(row.seq, "seq")?,
        started_at: Timestamp::from_unix_us(row.started_at),
        ended_at: row.ended_at.map(Timestamp::from_unix_us),
    })
}
