//! Reads the outbox: first the rows, then the events to which they point, tenant by tenant.

use std::collections::BTreeMap;

use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, Select};

use super::{
    OUTBOX, RECORDING_EVENTS, ROW_COLUMNS, Row, SESSION_EVENTS, VOTES_HEARD, row_of, state,
};
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::events::{Batch, EventSource, OutboxError, OutboxEvent, Position, Scope};
use crate::store::connect::Store;
use crate::store::entities::room_event;
use crate::store::error::{from_position, number};
use crate::store::tenant_tx::TenantTx;

/// Spans of events that one statement reads. Each is four values, and SQLite nests at most 1,000
/// conditions.
const SPANS_PER_SELECT_MAX: usize = 100;

/// A stored event of any source.
pub(super) struct StoredEvent {
    pub(super) seq: i64,
    pub(super) at: Timestamp,
    pub(super) kind: String,
    pub(super) payload: String,
}

pub(super) async fn after(
    store: &Store,
    scope: Scope,
    after: Position,
    limit: u32,
) -> Result<Batch, OutboxError> {
    let (rows, last) = rows(store, scope, after, limit).await?;
    // Rows are deleted from the beginning, after their events. If the first row still exists
    // afterwards, all events were read.
    let batch = batch(store, after, &rows, last).await?;
    let pruned = state(&store.connection).await?.pruned;
    if from_position(after.number()) < pruned {
        let oldest = Position::new(number(pruned, "pruned_through")?);
        return Err(OutboxError::Expired { oldest });
    }
    Ok(batch)
}

/// The rows, and the last position that existed before they were read.
async fn rows(
    store: &Store,
    scope: Scope,
    after: Position,
    limit: u32,
) -> Result<(Vec<Row>, i64), StoreError> {
    let last = state(&store.connection).await?.last;
    let mut select = Query::select();
    select
        .columns(ROW_COLUMNS)
        .from(OUTBOX)
        .and_where(Expr::col("position").gt(from_position(after.number())))
        .and_where(Expr::col("position").lte(last))
        .order_by("position", Order::Asc)
        .limit(u64::from(limit));
    match scope {
        Scope::Everyone => {}
        Scope::Tenant(tenant) => {
            select.and_where(Expr::col("tenant_id").eq(tenant.as_uuid()));
        }
        Scope::Session(SessionKey { tenant, session }) => {
            select
                .and_where(Expr::col("tenant_id").eq(tenant.as_uuid()))
                .and_where(Expr::col("session_id").eq(session.as_uuid()));
        }
    }
    let rows = store.connection.query_all(&select).await?;
    Ok((rows.iter().map(row_of).collect::<Result<_, _>>()?, last))
}

async fn batch(
    store: &Store,
    after: Position,
    rows: &[Row],
    last: i64,
) -> Result<Batch, StoreError> {
    let mut events = Vec::new();
    // Successive rows of one tenant are read in one transaction.
    for rows in rows.chunk_by(|one, next| one.tenant == next.tenant) {
        let Some(first) = rows.first() else { continue };
        let tx = TenantTx::read(store, first.tenant).await?;
        let mut of_rooms = room_events(&tx, rows).await?;
        for row in rows {
            let found = match row.source {
                EventSource::Session => {
                    session_events(&tx, row.session, (row.first, row.last)).await?
                }
                EventSource::Recording => {
                    let span = (row.first, row.last);
                    numbered_events(&tx, (RECORDING_EVENTS, "seq"), row.session, span).await?
                }
                EventSource::Governance => {
                    let span = (row.first, row.last);
                    numbered_events(&tx, (VOTES_HEARD, "seq"), row.session, span).await?
                }
                EventSource::Room => (row.first..=row.last)
                    .filter_map(|seq| of_rooms.remove(&(row.session, seq)))
                    .collect(),
            };
            for event in found {
                events.push(OutboxEvent {
                    position: Position::new(number(row.position, "position")?),
                    tenant: row.tenant,
                    session: row.session,
                    source: row.source,
                    seq: number(event.seq, "seq")?,
                    at: event.at,
                    kind: event.kind,
                    payload: event.payload,
                });
            }
        }
        tx.commit().await?;
    }
    // If no rows were read, all positions up to `last` belong to other readers' events.
    let next = match rows.last() {
        Some(row) => Position::new(number(row.position, "position")?),
        None => after.max(Position::new(number(last, "last_position")?)),
    };
    Ok(Batch { events, next })
}

pub(super) async fn session_events(
    tx: &TenantTx,
    session: SessionId,
    span: (i64, i64),
) -> Result<Vec<StoredEvent>, StoreError> {
    numbered_events(tx, (SESSION_EVENTS, "version"), session, span).await
}

/// The events of a session in a table, whose column `number` is between two values.
async fn numbered_events(
    tx: &TenantTx,
    (table, number): (&'static str, &'static str),
    session: SessionId,
    (first, last): (i64, i64),
) -> Result<Vec<StoredEvent>, StoreError> {
    let select = Query::select()
        .columns([number, "at", "kind", "payload"])
        .from(table)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col(number).between(first, last))
        .order_by(number, Order::Asc)
        .take();
    let rows = tx.connection().query_all(&select).await?;
    rows.iter()
        .map(|row| {
            Ok(StoredEvent {
                seq: row.try_get("", number)?,
                at: Timestamp::from_unix_us(row.try_get("", "at")?),
                kind: row.try_get("", "kind")?,
                payload: row.try_get("", "payload")?,
            })
        })
        .collect()
}

/// The events of rooms to which these rows point, by session and `seq`. A few statements read them
/// all, since a busy server stores them faster than one statement for each row could read them.
async fn room_events(
    tx: &TenantTx,
    rows: &[Row],
) -> Result<BTreeMap<(SessionId, i64), StoredEvent>, StoreError> {
    let mut spans: Vec<(SessionId, i64, i64)> = rows
        .iter()
        .filter(|row| row.source == EventSource::Room)
        .map(|row| (row.session, row.first, row.last))
        .collect();
    spans.sort_unstable();
    // Spans of one session that follow each other become one.
    spans.dedup_by(|next, span| {
        let follows = next.0 == span.0 && next.1 <= span.2.saturating_add(1);
        if follows {
            span.2 = Ord::max(span.2, next.2);
        }
        follows
    });
    let mut events = BTreeMap::new();
    for spans in spans.chunks(SPANS_PER_SELECT_MAX) {
        let found = of_spans(tx.tenant(), spans).all(tx.connection()).await?;
        for row in found {
            let event = StoredEvent {
                seq: row.seq,
                at: Timestamp::from_unix_us(row.at),
                kind: row.kind,
                payload: row.payload,
            };
            events.insert((SessionId::from_uuid(row.session_id), row.seq), event);
        }
    }
    Ok(events)
}

/// The events of rooms of a tenant in these spans: session, first and last `seq`.
///
/// The tenant is named within each span only. SQLite would otherwise read all events of the tenant.
fn of_spans(tenant: TenantId, spans: &[(SessionId, i64, i64)]) -> Select<room_event::Entity> {
    use room_event::{Column, Entity};
    let of_span = |(session, first, last): &(SessionId, i64, i64)| {
        Condition::all()
            .add(Column::TenantId.eq(tenant.as_uuid()))
            .add(Column::SessionId.eq(session.as_uuid()))
            .add(Column::Seq.between(*first, *last))
    };
    Entity::find().filter(spans.iter().map(of_span).fold(Condition::any(), Condition::add))
}

#[cfg(test)]
mod tests {
    use sea_orm::QueryTrait as _;

    use super::*;
    use crate::domain::secret::Secret;
    use crate::store::options::StoreOptions;

    #[tokio::test]
    async fn events_are_read_by_session_however_many_a_tenant_has() {
        let url = Secret::new("sqlite::memory:".to_owned());
        let store = Store::connect(&StoreOptions::new(url)).await.expect("connected");
        let backend = store.connection.get_database_backend();
        for count in [1, 2, SPANS_PER_SELECT_MAX] {
            let spans: Vec<_> = (0..count).map(|_| (SessionId::generate(), 1, 9)).collect();
            let mut explain = of_spans(TenantId::generate(), &spans).build(backend);
            explain.sql.insert_str(0, "EXPLAIN QUERY PLAN ");
            let plan = store.connection.query_all_raw(explain).await.expect("a plan");
            let steps: Vec<String> =
                plan.iter().map(|row| row.try_get("", "detail").expect("a step")).collect();
            let searches = steps.iter().filter(|step| step.contains("session_id=? AND seq>?"));
            assert_eq!(searches.count(), count, "{steps:?}");
        }
    }
}
