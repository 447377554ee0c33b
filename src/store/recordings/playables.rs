//! Playable files and their wrapped keys.

use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, IntoActiveModel as _, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{Written, finish};
use crate::domain::id::{PlayableId, RecordedTrackId, SessionKey};
use crate::domain::recording::{Container, LackReason, PlayableState};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::recorder::repository::{Lack, Playable, PlayableOf};
use crate::store::connect::Store;
use crate::store::entities::playable::{Column, Entity, Model};
use crate::store::error::{number, stored, word};
use crate::store::recording_agenda;
use crate::store::tenant_tx::TenantTx;
use crate::store::wrapped_keys::may_replace;

/// Inserts a file or replaces its row. An erased file stays erased, even if the process that makes
/// it writes another state.
pub(super) async fn put(
    store: &Store,
    key: SessionKey,
    playable: &Playable,
) -> Result<Written, StoreError> {
    let SessionKey { tenant, session } = key;
    let row = row_of(key, playable)?;
    let tx = TenantTx::write(store, tenant).await?;
    // Changes to files of this session are made one after the other.
    recording_agenda::hold(&tx, session).await?;
    let there = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Id.eq(row.id))
        .lock_exclusive()
        .one(tx.connection())
        .await?;
    let written = match there {
        None => {
            let row = row.into_active_model().reset_all();
            Entity::insert(row).exec_without_returning(tx.connection()).await?;
            Written::Done
        }
        Some(there) if !may_follow(&there, &row) => Written::Refused,
        Some(there) if there == row => Written::Done,
        Some(_) => {
            let (tenant, session, id) = (row.tenant_id, row.session_id, row.id);
            Entity::update_many()
                .set(row.into_active_model().reset_all())
                .filter(Column::TenantId.eq(tenant))
                .filter(Column::SessionId.eq(session))
                .filter(Column::Id.eq(id))
                .exec(tx.connection())
                .await?;
            Written::Done
        }
    };
    recording_agenda::refresh(&tx, session).await?;
    finish(tx, written).await
}

fn may_follow(there: &Model, row: &Model) -> bool {
    let erased = PlayableState::Erased.as_str();
    if there.state == erased {
        return row.state == erased && row.wrapped_key.is_none();
    }
    // A waiting file has no key yet, which must not be confused with a destroyed key.
    there.wrapped_key.is_none()
        || may_replace(there.wrapped_key.as_deref(), row.wrapped_key.as_deref())
}

pub(super) async fn list(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Vec<Playable>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .order_by_asc(Column::Id)
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    let mut playables = rows.into_iter().map(playable_of).collect::<Result<Vec<_>, _>>()?;
    // Sorted here, since the databases order rows differently without ORDER BY.
    playables.sort_by_key(|playable| (playable.of, playable.id));
    Ok(playables)
}

fn row_of(
    SessionKey { tenant, session }: SessionKey,
    playable: &Playable,
) -> Result<Model, StoreError> {
    let of_track = match playable.of {
        PlayableOf::Combined => None,
        PlayableOf::Track(track) => Some(track.as_uuid()),
    };
    let parts = serde_json::to_string(&playable.parts)
        .map_err(|error| StoreError::Corrupt(format!("parts: {error}")))?;
    Ok(Model {
        tenant_id: tenant.as_uuid(),
        session_id: session.as_uuid(),
        id: playable.id.as_uuid(),
        of_track,
        container: playable.container.as_str().to_owned(),
        media_type: playable.media_type.clone(),
        state: playable.state.as_str().to_owned(),
        progress_permille: playable.progress_permille.into(),
        wrapped_key: playable.wrapped_key.clone(),
        from_ms: stored(playable.from_ms)?,
        duration_ms: stored(playable.duration_ms)?,
        parts,
        failure: playable.failure.clone(),
        resume_at: playable.resume_at.clone(),
        lacks: lacks_text(&playable.lacks)?,
        updated_at: playable.updated_at.unix_us(),
    })
}

/// What a file does without, as it is stored: track, begin, end, reason.
type StoredLack = (uuid::Uuid, u64, u64, String);

fn lacks_text(lacks: &[Lack]) -> Result<Option<String>, StoreError> {
    if lacks.is_empty() {
        return Ok(None);
    }
    let stored = |lack: &Lack| -> StoredLack {
        (lack.track.as_uuid(), lack.from_ms, lack.to_ms, lack.reason.as_str().to_owned())
    };
    let stored: Vec<_> = lacks.iter().map(stored).collect();
    let text = serde_json::to_string(&stored);
    text.map(Some).map_err(|error| StoreError::Corrupt(format!("lacks: {error}")))
}

fn lacks_of(text: &str) -> Result<Vec<Lack>, StoreError> {
    let stored: Vec<StoredLack> = serde_json::from_str(text)
        .map_err(|error| StoreError::Corrupt(format!("lacks: {error}")))?;
    let lack = |(track, from_ms, to_ms, reason): StoredLack| {
        let reason = word(LackReason::parse(&reason), "reason")?;
        Ok(Lack { track: RecordedTrackId::from_uuid(track), from_ms, to_ms, reason })
    };
    stored.into_iter().map(lack).collect()
}

fn playable_of(row: Model) -> Result<Playable, StoreError> {
    let of_track = |track| PlayableOf::Track(RecordedTrackId::from_uuid(track));
    Ok(Playable {
        id: PlayableId::from_uuid(row.id),
        of: row.of_track.map_or(PlayableOf::Combined, of_track),
        container: word(Container::parse(&row.container), "container")?,
        media_type: row.media_type,
        state: word(PlayableState::parse(&row.state), "state")?,
        progress_permille: number(row.progress_permille, "progress_permille")?,
        wrapped_key: row.wrapped_key,
        from_ms: number(row.from_ms, "from_ms")?,
        duration_ms: number(row.duration_ms, "duration_ms")?,
        parts: serde_json::from_str(&row.parts)
            .map_err(|error| StoreError::Corrupt(format!("parts: {error}")))?,
        failure: row.failure,
        resume_at: row.resume_at,
        lacks: row.lacks.as_deref().map_or(Ok(Vec::new()), lacks_of)?,
        updated_at: Timestamp::from_unix_us(row.updated_at),
    })
}
