//! Begins logs and appends to them.

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query, SimpleExpr};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::events::SealedRecording;
use crate::evidence::Entry;
use crate::evidence::repository::{Append, StoredEvent, StoredHead};
use crate::store::connect::Store;
use crate::store::entities::{evidence_entry, evidence_event, evidence_head, evidence_log};
use crate::store::error::{number, stored};
use crate::store::outbox;
use crate::store::tenant_tx::TenantTx;
use crate::store::wrapped_keys::may_replace;

/// Rows inserted by one statement. SQLite binds at most 32,766 values, and no row here has more
/// than seven.
const ROWS_PER_INSERT_MAX: usize = 500;

/// Begins a log: `identity` is its identifier and its wrapped `K_events`.
pub(super) async fn create(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    identity: ([u8; 16], Vec<u8>),
    append: &Append,
) -> Result<(), StoreError> {
    if append.expected_size != 0 {
        return Err(StoreError::Conflict);
    }
    let size = size_after(append).ok_or(StoreError::Conflict)?;
    let tx = TenantTx::write(store, tenant).await?;
    if !insert_log(&tx, session, identity, (append, size)).await? {
        tx.rollback().await?;
        return Err(StoreError::Conflict);
    }
    insert_entries(&tx, session, append).await?;
    insert_events(&tx, session, &append.events).await?;
    if append.closed_seq.is_none() {
        open(&tx, session).await?;
    }
    tx.commit().await
}

/// Appends to a log, if it has the size that the append expects.
pub(super) async fn append(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    append: &Append,
) -> Result<(), StoreError> {
    let size = size_after(append).ok_or(StoreError::Conflict)?;
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    if !advance(&tx, session, append, size).await? {
        tx.rollback().await?;
        return Err(StoreError::Conflict);
    }
    insert_entries(&tx, session, append).await?;
    // Without the key the commitment can't be opened, so the text must not be stored after the
    // erasure either.
    if !append.events.is_empty() && has_events_key(&tx, session).await? {
        insert_events(&tx, session, &append.events).await?;
    }
    if append.closed_seq.is_some() && close(&tx, session).await? {
        tell_sealed(&tx, session, append, size).await?;
    }
    tx.commit().await
}

/// Tells other services that the recording is complete, unless nothing was recorded.
async fn tell_sealed(
    tx: &TenantTx,
    session: SessionId,
    append: &Append,
    log_entries: u64,
) -> Result<(), StoreError> {
    let counted = |table: &'static str, counted: [(SimpleExpr, &'static str); 2]| {
        let [first, second] = counted;
        Query::select()
            .expr_as(first.0, first.1)
            .expr_as(second.0, second.1)
            .from(table)
            .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
            .and_where(Expr::col("session_id").eq(session.as_uuid()))
            .take()
    };
    let rows = || Expr::col("session_id").count();
    let tracks = counted("recorded_tracks", [(rows(), "tracks"), (rows(), "rows")]);
    let tracks = tx.connection().query_one(&tracks).await?;
    let tracks: i64 = tracks.map_or(Ok(0), |row| row.try_get("", "tracks"))?;
    if tracks == 0 {
        return Ok(());
    }
    let size = Expr::cust("CAST(COALESCE(SUM(size), 0) AS BIGINT)");
    let segments = counted("recorded_segments", [(rows(), "segments"), (size, "bytes")]);
    let row = tx.connection().query_one(&segments).await?;
    let of_segments = |column: &str| row.as_ref().map_or(Ok(0), |row| row.try_get("", column));
    let sealed = SealedRecording {
        tracks: number(tracks, "tracks")?,
        segments: number(of_segments("segments")?, "segments")?,
        bytes: number(of_segments("bytes")?, "bytes")?,
        log_entries,
    };
    outbox::enter_sealed_recording(tx, session, &sealed, closed_at(append)).await
}

/// When the log was closed, as the entry that closes it says.
fn closed_at(append: &Append) -> Timestamp {
    let closing = append.entries.iter().find(|entry| Some(entry.seq) == append.closed_seq);
    let t_ms = closing.and_then(|entry| Entry::read(&entry.bytes)).map_or(0, |entry| entry.t_ms);
    Timestamp::from_unix_us(i64::try_from(t_ms).unwrap_or(i64::MAX).saturating_mul(1_000))
}

/// The size of the log afterwards, or `None` when the new entries have a gap or do not continue the
/// log.
fn size_after(append: &Append) -> Option<u64> {
    let count = u64::try_from(append.entries.len()).ok()?;
    let size = append.expected_size.checked_add(count)?;
    let continuous = append.entries.iter().zip(append.expected_size..);
    continuous.into_iter().all(|(entry, seq)| entry.seq == seq).then_some(size)
}

fn closed(append: &Append) -> Result<Option<i64>, StoreError> {
    append.closed_seq.map(stored).transpose()
}

async fn insert_log(
    tx: &TenantTx,
    session: SessionId,
    (log_id, events_key): ([u8; 16], Vec<u8>),
    (append, size): (&Append, u64),
) -> Result<bool, StoreError> {
    use evidence_log::{Column, Entity};
    let insert = Query::insert()
        .into_table(Entity)
        .columns([
            Column::TenantId,
            Column::SessionId,
            Column::LogId,
            Column::Size,
            Column::RoomSeq,
            Column::LastEventSeq,
            Column::ClosedSeq,
            Column::EventsKey,
        ])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            log_id.to_vec().into(),
            stored(size)?.into(),
            stored(append.room_seq)?.into(),
            stored(append.last_event_seq)?.into(),
            closed(append)?.into(),
            events_key.into(),
        ])
        .on_conflict(
            OnConflict::columns([Column::TenantId, Column::SessionId]).do_nothing().to_owned(),
        )
        .take();
    Ok(tx.connection().execute(&insert).await?.rows_affected() == 1)
}

/// Sets the new size of the log, if it has the expected size. Its row stays locked until the
/// transaction ends, so that of two writers that expect the same size the second one finds another
/// size.
async fn advance(
    tx: &TenantTx,
    session: SessionId,
    append: &Append,
    size: u64,
) -> Result<bool, StoreError> {
    use evidence_log::{ActiveModel, Column, Entity};
    let changes = ActiveModel {
        size: Set(stored(size)?),
        room_seq: Set(stored(append.room_seq)?),
        last_event_seq: Set(stored(append.last_event_seq)?),
        closed_seq: Set(closed(append)?),
        ..Default::default()
    };
    let moved = Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Size.eq(stored(append.expected_size)?))
        .exec(tx.connection())
        .await?;
    Ok(moved.rows_affected == 1)
}

async fn insert_entries(
    tx: &TenantTx,
    session: SessionId,
    append: &Append,
) -> Result<(), StoreError> {
    use evidence_entry::{ActiveModel, Entity};
    for chunk in append.entries.chunks(ROWS_PER_INSERT_MAX) {
        let rows = chunk
            .iter()
            .map(|entry| {
                Ok(ActiveModel {
                    tenant_id: Set(tx.tenant().as_uuid()),
                    session_id: Set(session.as_uuid()),
                    seq: Set(stored(entry.seq)?),
                    bytes: Set(entry.bytes.clone()),
                    leaf: Set(entry.leaf.to_vec()),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Entity::insert_many(rows).exec_without_returning(tx.connection()).await?;
    }
    Ok(())
}

async fn insert_events(
    tx: &TenantTx,
    session: SessionId,
    events: &[StoredEvent],
) -> Result<(), StoreError> {
    use evidence_event::{ActiveModel, Entity};
    for chunk in events.chunks(ROWS_PER_INSERT_MAX) {
        let rows = chunk
            .iter()
            .map(|event| {
                Ok(ActiveModel {
                    tenant_id: Set(tx.tenant().as_uuid()),
                    session_id: Set(session.as_uuid()),
                    seq: Set(stored(event.seq)?),
                    etype: Set(event.kind.number().into()),
                    text: Set(event.text.clone()),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Entity::insert_many(rows).exec_without_returning(tx.connection()).await?;
    }
    Ok(())
}

async fn has_events_key(tx: &TenantTx, session: SessionId) -> Result<bool, StoreError> {
    Ok(log_row(tx, session).await?.is_some_and(|log| log.events_key.is_some()))
}

async fn open(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table("open_logs")
        .columns(["session_id", "tenant_id"])
        .values_panic([session.as_uuid().into(), tx.tenant().as_uuid().into()])
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}

/// Notes that a log is closed; whether it was open.
async fn close(tx: &TenantTx, session: SessionId) -> Result<bool, StoreError> {
    let delete = Query::delete()
        .from_table("open_logs")
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .take();
    Ok(tx.connection().execute(&delete).await?.rows_affected() > 0)
}

pub(super) async fn put_events_key(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    wrapped: Option<Vec<u8>>,
) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    let erases = wrapped.is_none();
    if !replace_events_key(&tx, session, wrapped).await? {
        tx.rollback().await?;
        return Err(StoreError::Conflict);
    }
    if erases {
        use evidence_event::{Column, Entity};
        Entity::delete_many()
            .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
            .filter(Column::SessionId.eq(session.as_uuid()))
            .exec(tx.connection())
            .await
            .map_err(StoreError::from)?;
    }
    tx.commit().await
}

/// Replaces the key; returns `false` when it was destroyed or wrapped with a newer tenant key.
async fn replace_events_key(
    tx: &TenantTx,
    session: SessionId,
    wrapped: Option<Vec<u8>>,
) -> Result<bool, StoreError> {
    use evidence_log::{ActiveModel, Column, Entity};
    let found = log_row(tx, session).await?;
    let Some(log) = found else { return Ok(false) };
    if !may_replace(log.events_key.as_deref(), wrapped.as_deref()) {
        return Ok(false);
    }
    let changes = ActiveModel { events_key: Set(wrapped), ..Default::default() };
    Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .exec(tx.connection())
        .await?;
    Ok(true)
}

pub(super) async fn put_head(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    previous_size: u64,
    head: &StoredHead,
) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    if insert_head(&tx, session, previous_size, head).await? {
        tx.commit().await
    } else {
        tx.rollback().await?;
        Err(StoreError::Conflict)
    }
}

/// Inserts a head, unless it exists; returns `false` when it does not continue the chain of heads.
/// The row of the log stays locked, so that of two heads that continue the same one the second
/// finds the first.
async fn insert_head(
    tx: &TenantTx,
    session: SessionId,
    previous_size: u64,
    head: &StoredHead,
) -> Result<bool, StoreError> {
    use evidence_head::{ActiveModel, Column, Entity};
    if log_row(tx, session).await?.is_none() {
        return Ok(false);
    }
    let heads = || {
        Entity::find()
            .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
            .filter(Column::SessionId.eq(session.as_uuid()))
    };
    let of_size = Column::TreeSize.eq(stored(head.tree_size)?);
    if let Some(there) = heads().filter(of_size).one(tx.connection()).await? {
        return Ok(there.root == head.root);
    }
    let largest = heads().order_by_desc(Column::TreeSize).limit(1).one(tx.connection()).await?;
    let largest = largest.map_or(0, |largest| largest.tree_size);
    if largest != stored(previous_size)? || head.tree_size <= previous_size {
        return Ok(false);
    }
    let row = ActiveModel {
        tenant_id: Set(tx.tenant().as_uuid()),
        session_id: Set(session.as_uuid()),
        tree_size: Set(stored(head.tree_size)?),
        root: Set(head.root.to_vec()),
        at: Set(head.at.unix_us()),
        cose: Set(head.cose.clone()),
        jws: Set(head.jws.clone()),
    };
    Entity::insert(row).exec_without_returning(tx.connection()).await?;
    Ok(true)
}

/// The row of the log, locked until the transaction ends.
async fn log_row(
    tx: &TenantTx,
    session: SessionId,
) -> Result<Option<evidence_log::Model>, StoreError> {
    use evidence_log::{Column, Entity};
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .lock_exclusive()
        .one(tx.connection())
        .await?;
    Ok(row)
}
