//! The stored events of rooms in the database.

use async_trait::async_trait;
use sea_orm::sea_query::{OnConflict, Query};
use sea_orm::{
    ActiveValue::NotSet, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect,
};

use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::events::EventSource;
use crate::evidence::{RoomEvent, RoomEventSource};
use crate::room::repository::{RoomRepository, StoredChange, StoredRoom, ToldEvent};
use crate::store::arrivals;
use crate::store::connect::Store;
use crate::store::entities::{room_event, room_part, room_record};
use crate::store::error::{number, stored};
use crate::store::outbox::{self, Span};
use crate::store::probe;
use crate::store::tenant_tx::TenantTx;

/// Events inserted by one statement. SQLite binds at most 32,766 values.
const EVENTS_PER_INSERT_MAX: usize = 500;
/// Parts of a room's state written or deleted by one statement, for the same reason.
const PARTS_PER_STATEMENT_MAX: usize = 500;

/// The stored events of rooms, as read by the evidence module.
#[async_trait]
impl RoomEventSource for Store {
    async fn room_events(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RoomEvent>, String> {
        let events = self.events_after(key, after, limit).await;
        let events = events.map_err(|error| error.to_string())?;
        Ok(events
            .into_iter()
            .map(|event| RoomEvent { seq: event.seq, text: event.payload })
            .collect())
    }
}

#[async_trait]
impl RoomRepository for Store {
    async fn load(&self, key: SessionKey) -> Result<Option<StoredRoom>, StoreError> {
        Ok(load(self, key).await?)
    }

    async fn append(
        &self,
        SessionKey { tenant, session }: SessionKey,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError> {
        let Some(base) = base_of(change, events) else { return Err(StoreError::Conflict) };
        let tx = TenantTx::write(self, tenant).await?;
        if advance(&tx, session, change, base).await? {
            store_parts(&tx, session, &change.parts).await?;
            insert_events(&tx, session, events).await?;
            enter_in_outbox(&tx, session, events).await?;
            if let (Some(arrival), Some(last)) = (&change.arrival, events.last()) {
                arrivals::enter(&tx, session, arrival, last.at).await?;
            }
            tx.commit().await.map_err(|error| StoreError::Unknown(error.to_string()))
        } else {
            tx.rollback().await?;
            Err(StoreError::Conflict)
        }
    }

    async fn events_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        Ok(events_after(self, key, after, limit).await?)
    }

    async fn committed_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        Ok(committed_after(self, key, after, limit).await?)
    }
}

/// The `seq` that the stored state must have, or `None` when the events have a gap or do not end
/// where the change says.
fn base_of(change: &StoredChange, events: &[ToldEvent]) -> Option<u64> {
    let count = u64::try_from(events.len()).ok()?;
    let base = change.seq.checked_sub(count)?;
    let continuous = events.iter().zip(base + 1..).all(|(event, seq)| event.seq == seq);
    continuous.then_some(base)
}

/// Sets the new `seq` of the state, if it has the `seq` `base`. The row stays locked until the
/// transaction ends, so that of two writers with the same base the second one finds another `seq`.
async fn advance(
    tx: &TenantTx,
    session: SessionId,
    change: &StoredChange,
    base: u64,
) -> Result<bool, StoreError> {
    use room_record::{ActiveModel, Column, Entity};
    let state = change.state.clone().map_or(NotSet, Set);
    let changes = ActiveModel { seq: Set(stored(change.seq)?), state, ..Default::default() };
    let moved = Entity::update_many()
        .set(changes)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Seq.eq(stored(base)?))
        .exec(tx.connection())
        .await?;
    if moved.rows_affected == 1 || base > 0 {
        return Ok(moved.rows_affected == 1);
    }
    let first = Query::insert()
        .into_table(Entity)
        .columns([Column::TenantId, Column::SessionId, Column::Seq, Column::State])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            stored(change.seq)?.into(),
            change.state.as_deref().unwrap_or_default().into(),
        ])
        .on_conflict(
            OnConflict::columns([Column::TenantId, Column::SessionId]).do_nothing().to_owned(),
        )
        .take();
    Ok(tx.connection().execute(&first).await?.rows_affected() == 1)
}

/// Writes and deletes parts of the state.
async fn store_parts(
    tx: &TenantTx,
    session: SessionId,
    parts: &[(String, Option<String>)],
) -> Result<(), StoreError> {
    use room_part::{ActiveModel, Column, Entity};
    let written: Vec<_> = parts
        .iter()
        .filter_map(|(part, value)| {
            Some(ActiveModel {
                tenant_id: Set(tx.tenant().as_uuid()),
                session_id: Set(session.as_uuid()),
                part: Set(part.clone()),
                value: Set(value.clone()?),
            })
        })
        .collect();
    for chunk in written.chunks(PARTS_PER_STATEMENT_MAX) {
        let replace = OnConflict::columns([Column::TenantId, Column::SessionId, Column::Part])
            .update_column(Column::Value)
            .to_owned();
        Entity::insert_many(chunk.to_vec())
            .on_conflict(replace)
            .exec_without_returning(tx.connection())
            .await?;
    }
    let gone: Vec<&str> =
        parts.iter().filter(|(_, value)| value.is_none()).map(|(part, _)| part.as_str()).collect();
    for chunk in gone.chunks(PARTS_PER_STATEMENT_MAX) {
        Entity::delete_many()
            .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
            .filter(Column::SessionId.eq(session.as_uuid()))
            .filter(Column::Part.is_in(chunk.iter().copied()))
            .exec(tx.connection())
            .await?;
    }
    Ok(())
}

async fn insert_events(
    tx: &TenantTx,
    session: SessionId,
    events: &[ToldEvent],
) -> Result<(), StoreError> {
    use room_event::{ActiveModel, Entity};
    for chunk in events.chunks(EVENTS_PER_INSERT_MAX) {
        let rows = chunk
            .iter()
            .map(|event| {
                Ok(ActiveModel {
                    tenant_id: Set(tx.tenant().as_uuid()),
                    session_id: Set(session.as_uuid()),
                    seq: Set(stored(event.seq)?),
                    at: Set(event.at.unix_us()),
                    kind: Set(event.kind.clone()),
                    payload: Set(event.payload.clone()),
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        Entity::insert_many(rows).exec_without_returning(tx.connection()).await?;
    }
    Ok(())
}

/// Adds the events to the outbox. The row of the room is locked here.
async fn enter_in_outbox(
    tx: &TenantTx,
    session: SessionId,
    events: &[ToldEvent],
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
    let source = EventSource::Room;
    let span = Span { source, first: first.seq, last: last.seq, at: last.at };
    outbox::enter(tx, session, span).await
}

async fn load(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Option<StoredRoom>, StoreError> {
    use room_record::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .one(tx.connection())
        .await?;
    let Some(row) = row else {
        tx.commit().await?;
        return Ok(None);
    };
    let parts = room_part::Entity::find()
        .filter(room_part::Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(room_part::Column::SessionId.eq(session.as_uuid()))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    let parts = parts.into_iter().map(|row| (row.part, row.value)).collect();
    Ok(Some(StoredRoom { seq: number(row.seq, "seq")?, state: row.state, parts }))
}

async fn events_after(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    after: u64,
    limit: u32,
) -> Result<Vec<ToldEvent>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let events = read_events(&tx, session, after, limit).await?;
    tx.commit().await?;
    Ok(events)
}

/// Reads events in a transaction that writes.
async fn committed_after(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    after: u64,
    limit: u32,
) -> Result<Vec<ToldEvent>, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    if store.writer.is_some() {
        // A commit whose sync failed stays in SQLite's write-ahead log behind its end, and would be
        // valid after a crash. The next transaction that is committed is written over it.
        probe::write_in(tx.connection()).await?;
        let events = read_events(&tx, session, after, limit).await?;
        tx.commit().await?;
        return Ok(events);
    }
    // On PostgreSQL the server may still be committing for a connection that was cut. It holds the
    // room's row until it has ended; a row that it is still inserting keeps another one from being
    // inserted.
    wait_for_row(&tx, session).await?;
    let events = read_events(&tx, session, after, limit).await?;
    tx.rollback().await?;
    Ok(events)
}

/// Waits until no other transaction writes the row of the room. Leaves changes behind that must be
/// rolled back.
async fn wait_for_row(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    use room_record::{Column, Entity};
    let untouched = Query::insert()
        .into_table(Entity)
        .columns([Column::TenantId, Column::SessionId, Column::Seq, Column::State])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            0_i64.into(),
            "".into(),
        ])
        .on_conflict(
            OnConflict::columns([Column::TenantId, Column::SessionId])
                .update_column(Column::Seq)
                .to_owned(),
        )
        .take();
    tx.connection().execute(&untouched).await?;
    Ok(())
}

async fn read_events(
    tx: &TenantTx,
    session: SessionId,
    after: u64,
    limit: u32,
) -> Result<Vec<ToldEvent>, StoreError> {
    use room_event::{Column, Entity};
    // No stored event has a larger `seq` than a stored number can have.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Seq.gt(after))
        .order_by_asc(Column::Seq)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ToldEvent {
                seq: number(row.seq, "seq")?,
                at: Timestamp::from_unix_us(row.at),
                kind: row.kind,
                payload: row.payload,
            })
        })
        .collect()
}

/// Deletes the events and the state of a room, which contain names, notes and messages of people.
/// The commitments in the log can still be proved. Must be called after the session's recording was
/// marked as erased, since PostgreSQL refuses to delete these rows before.
pub(super) async fn forget(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    room_event::Entity::delete_many()
        .filter(room_event::Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(room_event::Column::SessionId.eq(session.as_uuid()))
        .exec(tx.connection())
        .await?;
    room_part::Entity::delete_many()
        .filter(room_part::Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(room_part::Column::SessionId.eq(session.as_uuid()))
        .exec(tx.connection())
        .await?;
    room_record::Entity::delete_many()
        .filter(room_record::Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(room_record::Column::SessionId.eq(session.as_uuid()))
        .exec(tx.connection())
        .await?;
    Ok(())
}
