//! The outbox in the database. `outbox` has a row for each transaction that stored events and says
//! where they are; the events stay in the tables in which they were stored.
//! `docs/adr/0005-one-outbox.md` gives the reasons.

mod parked;
mod read;

use async_trait::async_trait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Func, OnConflict, Order, Query};
use sea_orm::{ConnectionTrait, QueryResult, Statement};
use uuid::Uuid;

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::events::{
    Batch, Beginning, EventSource, Extent, Outbox, OutboxError, Position, READ_MAX, ReaderName,
    Scope, SealedRecording,
};
use crate::sessions::{ChangeId, SessionEvent};
use crate::store::connect::Store;
use crate::store::error::{number, stored, word};
use crate::store::recording_agenda;
use crate::store::shared_tx::SharedTx;
use crate::store::tenant_tx::TenantTx;

/// Advisory lock that allows one process at a time to assign positions or delete rows: "outbox" in
/// ASCII.
const OUTBOX_LOCK: i64 = 0x6f_75_74_62_6f_78;
/// Rows that get a position in one transaction. Raising it holds the lock longer.
const NUMBERED_AT_ONCE: u64 = 1_000;

const OUTBOX: &str = "outbox";
const STATE: &str = "outbox_state";
const READERS: &str = "outbox_readers";
const PARKED: &str = "outbox_parked";
const SESSION_EVENTS: &str = "session_events";
const RECORDING_EVENTS: &str = "recording_events";
pub(super) const VOTES_HEARD: &str = "votes_heard";

#[async_trait]
impl Outbox for Store {
    async fn after(&self, scope: Scope, after: Position, limit: u32) -> Result<Batch, OutboxError> {
        number_committed(self).await?;
        read::after(self, scope, after, limit.clamp(1, READ_MAX)).await
    }

    async fn extent(&self) -> Result<Extent, OutboxError> {
        number_committed(self).await?;
        let state = state(&self.connection).await?;
        Ok(Extent {
            oldest: Position::new(number(state.pruned, "pruned_through")?),
            newest: Position::new(number(state.last, "last_position")?),
        })
    }

    async fn is_erased(&self, key: SessionKey) -> Result<bool, OutboxError> {
        Ok(recording_agenda::is_erased(self, key).await?)
    }

    async fn register(
        &self,
        reader: &ReaderName,
        beginning: Beginning,
    ) -> Result<Position, OutboxError> {
        number_committed(self).await?;
        Ok(register(self, reader, beginning).await?)
    }

    async fn confirm(&self, reader: &ReaderName, up_to: Position) -> Result<(), OutboxError> {
        if confirm(self, reader, up_to).await? { Ok(()) } else { Err(OutboxError::UnknownReader) }
    }

    async fn parked(
        &self,
        reader: &ReaderName,
    ) -> Result<Vec<(SessionKey, Position)>, OutboxError> {
        Ok(parked::all(self, reader).await?)
    }

    async fn park(
        &self,
        reader: &ReaderName,
        session: SessionKey,
        up_to: Position,
    ) -> Result<(), OutboxError> {
        Ok(parked::park(self, reader, session, up_to).await?)
    }

    async fn unpark(&self, reader: &ReaderName, session: SessionKey) -> Result<(), OutboxError> {
        Ok(parked::unpark(self, reader, session).await?)
    }

    async fn forget_except(&self, prefix: &str, keep: &[ReaderName]) -> Result<(), OutboxError> {
        Ok(forget_except(self, prefix, keep).await?)
    }

    async fn prune(&self, kept_since: Timestamp, limit: u32) -> Result<u32, OutboxError> {
        // Rows are deleted by position, and there may be no reader that has assigned positions.
        number_committed(self).await?;
        Ok(prune(self, kept_since, limit).await?)
    }
}

/// A range of events of one source.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) source: EventSource,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) at: Timestamp,
}

/// Adds events to the outbox, in the transaction that stores them. Must be called after the row of
/// the session or room was locked, so that the rows of one source are in the order in which they
/// are committed.
pub(super) async fn enter(tx: &TenantTx, session: SessionId, span: Span) -> Result<(), StoreError> {
    // Only changes of sessions have observers in this process.
    let told = span.source != EventSource::Session;
    let insert = Query::insert()
        .into_table(OUTBOX)
        .columns(["tenant_id", "session_id", "source", "first_seq", "last_seq", "at", "told"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            span.source.as_str().into(),
            stored(span.first)?.into(),
            stored(span.last)?.into(),
            span.at.unix_us().into(),
            told.into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}

/// Stores the event of a session's change, in the transaction of the change.
pub(super) async fn enter_session_event(
    tx: &TenantTx,
    event: &SessionEvent,
) -> Result<(), StoreError> {
    let (session, version) = (event.session.id, event.session.version);
    let insert = Query::insert()
        .into_table(SESSION_EVENTS)
        .columns(["tenant_id", "session_id", "version", "at", "kind", "payload"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            stored(version)?.into(),
            event.at.unix_us().into(),
            event.kind.as_str().into(),
            event.payload().into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    let span = Span { source: EventSource::Session, first: version, last: version, at: event.at };
    enter(tx, session, span).await
}

/// Stores that a recording was sealed, in the transaction that closes its log. It is the only event
/// of a recording.
pub(super) async fn enter_sealed_recording(
    tx: &TenantTx,
    session: SessionId,
    sealed: &SealedRecording,
    at: Timestamp,
) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table(RECORDING_EVENTS)
        .columns(["tenant_id", "session_id", "seq", "at", "kind", "payload"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            1.into(),
            at.unix_us().into(),
            SealedRecording::KIND.into(),
            serde_json::to_string(sealed).unwrap_or_default().into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    enter(tx, session, Span { source: EventSource::Recording, first: 1, last: 1, at }).await
}

/// Assigns positions to committed rows that have none. Only committed rows are visible here, and
/// the lock excludes other processes, so no row ever gets a position smaller than one that a reader
/// was given.
async fn number_committed(store: &Store) -> Result<(), StoreError> {
    let unnumbered = Query::select()
        .column("id")
        .from(OUTBOX)
        .and_where(Expr::col("position").is_null())
        .limit(1)
        .take();
    while store.connection.query_one(&unnumbered).await?.is_some() {
        let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
        let last = state(tx.connection()).await?.last;
        let number = Statement::from_sql_and_values(
            tx.connection().get_database_backend(),
            "UPDATE outbox SET position = numbered.position FROM (SELECT id AS numbered_id, \
             $1 + row_number() OVER (ORDER BY id) AS position FROM outbox \
             WHERE position IS NULL ORDER BY id LIMIT $2) AS numbered \
             WHERE outbox.id = numbered.numbered_id",
            [last.into(), stored(NUMBERED_AT_ONCE)?.into()],
        );
        let numbered = tx.connection().execute_raw(number).await?.rows_affected();
        let update = Query::update()
            .table(STATE)
            .value("last_position", last.saturating_add(stored(numbered)?))
            .take();
        tx.connection().execute(&update).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// The only row of `outbox_state`.
struct State {
    /// The last position that was assigned.
    last: i64,
    /// The last position whose row was deleted.
    pruned: i64,
}

async fn state(connection: &impl ConnectionTrait) -> Result<State, StoreError> {
    let select = Query::select().columns(["last_position", "pruned_through"]).from(STATE).take();
    let row = connection.query_one(&select).await?;
    let row = row.ok_or_else(|| StoreError::Corrupt("outbox_state has no row".to_owned()))?;
    Ok(State {
        last: row.try_get("", "last_position")?,
        pruned: row.try_get("", "pruned_through")?,
    })
}

async fn register(
    store: &Store,
    reader: &ReaderName,
    beginning: Beginning,
) -> Result<Position, StoreError> {
    // Under the lock, so that nothing is deleted before the reader is stored.
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let state = state(tx.connection()).await?;
    let position = match beginning {
        Beginning::Oldest => state.pruned,
        Beginning::Newest => state.last,
    };
    let insert = Query::insert()
        .into_table(READERS)
        .columns(["name", "position"])
        .values_panic([reader.as_str().into(), position.into()])
        .on_conflict(OnConflict::column("name").do_nothing().to_owned())
        .take();
    tx.connection().execute(&insert).await?;
    let select = Query::select()
        .column("position")
        .from(READERS)
        .and_where(Expr::col("name").eq(reader.as_str()))
        .take();
    let row = tx.connection().query_one(&select).await?;
    let row =
        row.ok_or_else(|| StoreError::Corrupt("a reader of the outbox is missing".to_owned()))?;
    let position = number(row.try_get("", "position")?, "position")?;
    tx.commit().await?;
    Ok(Position::new(position))
}

async fn confirm(store: &Store, reader: &ReaderName, up_to: Position) -> Result<bool, StoreError> {
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let known = Query::select()
        .column("position")
        .from(READERS)
        .and_where(Expr::col("name").eq(reader.as_str()))
        .take();
    if tx.connection().query_one(&known).await?.is_none() {
        return Ok(false);
    }
    // Rows without a position were not read by anybody.
    let up_to = Ord::min(stored(up_to.number())?, state(tx.connection()).await?.last);
    let update = Query::update()
        .table(READERS)
        .value("position", up_to)
        .and_where(Expr::col("name").eq(reader.as_str()))
        .and_where(Expr::col("position").lt(up_to))
        .take();
    tx.connection().execute(&update).await?;
    tx.commit().await?;
    Ok(true)
}

async fn forget_except(store: &Store, prefix: &str, keep: &[ReaderName]) -> Result<(), StoreError> {
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let select = Query::select().column("name").from(READERS).take();
    for row in tx.connection().query_all(&select).await? {
        let name: String = row.try_get("", "name")?;
        if name.starts_with(prefix) && keep.iter().all(|kept| kept.as_str() != name) {
            for (table, column) in [(PARKED, "reader"), (READERS, "name")] {
                let delete = Query::delete()
                    .from_table(table)
                    .and_where(Expr::col(column).eq(name.as_str()))
                    .take();
                tx.connection().execute(&delete).await?;
            }
        }
    }
    tx.commit().await
}

/// A row of the outbox.
#[derive(Debug, Clone, Copy)]
struct Row {
    position: i64,
    tenant: TenantId,
    session: SessionId,
    source: EventSource,
    first: i64,
    last: i64,
}

const ROW_COLUMNS: [&str; 6] =
    ["position", "tenant_id", "session_id", "source", "first_seq", "last_seq"];

fn row_of(row: &QueryResult) -> Result<Row, StoreError> {
    let source: String = row.try_get("", "source")?;
    Ok(Row {
        position: row.try_get("", "position")?,
        tenant: TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?),
        session: SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?),
        source: word(EventSource::parse(&source), "source")?,
        first: row.try_get("", "first_seq")?,
        last: row.try_get("", "last_seq")?,
    })
}

/// Deletes rows from the beginning, so that the rest has no gap. The events of sessions and of
/// recordings are deleted first, in one transaction per tenant. If the process dies in between, the remaining rows point
/// to deleted events and are removed next time.
async fn prune(store: &Store, kept_since: Timestamp, limit: u32) -> Result<u32, StoreError> {
    let rows = prunable(store, kept_since, limit).await?;
    let Some(last) = rows.last() else { return Ok(0) };
    for row in &rows {
        let (table, number) = match row.source {
            EventSource::Session => (SESSION_EVENTS, "version"),
            EventSource::Recording => (RECORDING_EVENTS, "seq"),
            EventSource::Governance => (VOTES_HEARD, "seq"),
            // They are events of the room.
            EventSource::Room => continue,
        };
        let tx = TenantTx::write(store, row.tenant).await?;
        let delete = Query::delete()
            .from_table(table)
            .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
            .and_where(Expr::col("session_id").eq(row.session.as_uuid()))
            .and_where(Expr::col(number).between(row.first, row.last))
            .take();
        tx.connection().execute(&delete).await?;
        tx.commit().await?;
    }
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let delete = Query::delete()
        .from_table(OUTBOX)
        .and_where(Expr::col("position").lte(last.position))
        .take();
    tx.connection().execute(&delete).await?;
    let update = Query::update()
        .table(STATE)
        .value("pruned_through", last.position)
        .and_where(Expr::col("pruned_through").lt(last.position))
        .take();
    tx.connection().execute(&update).await?;
    tx.commit().await?;
    Ok(u32::try_from(rows.len()).unwrap_or(u32::MAX))
}

async fn prunable(
    store: &Store,
    kept_since: Timestamp,
    limit: u32,
) -> Result<Vec<Row>, StoreError> {
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let needed = |row: &QueryResult| row.try_get::<Option<i64>>("", "needed");
    let mut unread = i64::MAX;
    for table in [READERS, PARKED] {
        let first =
            Query::select().expr_as(Func::min(Expr::col("position")), "needed").from(table).take();
        let first = tx.connection().query_one(&first).await?;
        let first = first.as_ref().map(needed).transpose()?.flatten();
        unread = Ord::min(unread, first.unwrap_or(i64::MAX));
    }
    // A row that was not told to observers, or is too recent, is kept together with all rows after
    // it.
    let young = Query::select()
        .expr_as(Func::min(Expr::col("position")), "needed")
        .from(OUTBOX)
        .and_where(Expr::col("told").eq(false).or(Expr::col("at").gte(kept_since.unix_us())))
        .take();
    let young = tx.connection().query_one(&young).await?;
    let young = young.as_ref().map(needed).transpose()?.flatten();
    let select = Query::select()
        .columns(ROW_COLUMNS)
        .from(OUTBOX)
        .and_where(Expr::col("position").is_not_null())
        .and_where(Expr::col("position").lte(unread))
        .and_where(Expr::col("position").lt(young.unwrap_or(i64::MAX)))
        .order_by("position", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = tx.connection().query_all(&select).await?;
    rows.iter().map(row_of).collect()
}

/// Changes of sessions before `before` that were not marked as told to all observers, oldest first.
pub(super) async fn untold(
    store: &Store,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<ChangeId>, StoreError> {
    let select = Query::select()
        .columns(["tenant_id", "session_id", "last_seq"])
        .from(OUTBOX)
        .and_where(Expr::col("told").eq(false))
        .and_where(Expr::col("at").lt(before.unix_us()))
        .order_by("id", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = store.connection.query_all(&select).await?;
    let change = |row: &QueryResult| {
        Ok(ChangeId {
            tenant: TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?),
            session: SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?),
            version: number(row.try_get("", "last_seq")?, "last_seq")?,
        })
    };
    rows.iter().map(change).collect()
}

/// The condition that finds the row of a change.
fn is_of(change: ChangeId) -> Result<Condition, StoreError> {
    Ok(Condition::all()
        .add(Expr::col("session_id").eq(change.session.as_uuid()))
        .add(Expr::col("tenant_id").eq(change.tenant.as_uuid()))
        .add(Expr::col("source").eq(EventSource::Session.as_str()))
        .add(Expr::col("last_seq").eq(stored(change.version)?)))
}

pub(super) async fn untold_event(
    store: &Store,
    change: ChangeId,
) -> Result<Option<SessionEvent>, StoreError> {
    let tx = TenantTx::read(store, change.tenant).await?;
    let select = Query::select()
        .column("id")
        .from(OUTBOX)
        .cond_where(is_of(change)?)
        .and_where(Expr::col("told").eq(false))
        .take();
    let waits = tx.connection().query_one(&select).await?.is_some();
    let version = stored(change.version)?;
    let found = read::session_events(&tx, change.session, (version, version)).await?;
    tx.commit().await?;
    let Some(found) = found.into_iter().next().filter(|_| waits) else { return Ok(None) };
    word(SessionEvent::read(&found.kind, found.at, &found.payload), "payload").map(Some)
}

pub(super) async fn mark_told(store: &Store, change: ChangeId) -> Result<(), StoreError> {
    let tx = TenantTx::write(store, change.tenant).await?;
    let update =
        Query::update().table(OUTBOX).value("told", true).cond_where(is_of(change)?).take();
    tx.connection().execute(&update).await?;
    tx.commit().await
}
