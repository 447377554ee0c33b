//! Reads logs.

use sea_orm::sea_query::{Order, Query};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::evidence::EventKind;
use crate::evidence::repository::{Hash, LogRecord, StoredEntry, StoredEvent, StoredHead};
use crate::store::connect::Store;
use crate::store::entities::{evidence_entry, evidence_event, evidence_head, evidence_log};
use crate::store::error::{fixed, from_position, number, word};
use crate::store::tenant_tx::TenantTx;

pub(super) async fn log(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Option<LogRecord>, StoreError> {
    use evidence_log::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .one(tx.connection())
        .await?;
    tx.commit().await?;
    let record = |row: evidence_log::Model| {
        Ok(LogRecord {
            log_id: fixed(&row.log_id, "log_id")?,
            size: number(row.size, "size")?,
            room_seq: number(row.room_seq, "room_seq")?,
            last_event_seq: number(row.last_event_seq, "last_event_seq")?,
            closed_seq: row.closed_seq.map(|seq| number(seq, "closed_seq")).transpose()?,
            events_key: row.events_key,
        })
    };
    row.map(record).transpose()
}

pub(super) async fn leaves(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    from: u64,
) -> Result<Vec<Hash>, StoreError> {
    use evidence_entry::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let leaves: Vec<Vec<u8>> = Entity::find()
        .select_only()
        .column(Column::Leaf)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Seq.gte(from_position(from)))
        .order_by_asc(Column::Seq)
        .into_tuple()
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    leaves.iter().map(|leaf| fixed(leaf, "leaf")).collect()
}

pub(super) async fn entries(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredEntry>, StoreError> {
    use evidence_entry::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Seq.gte(from_position(from)))
        .order_by_asc(Column::Seq)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    let entry = |row: evidence_entry::Model| {
        let leaf = fixed(&row.leaf, "leaf")?;
        Ok(StoredEntry { seq: number(row.seq, "seq")?, bytes: row.bytes, leaf })
    };
    rows.into_iter().map(entry).collect()
}

pub(super) async fn heads(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredHead>, StoreError> {
    use evidence_head::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::TreeSize.gte(from_position(from)))
        .order_by_asc(Column::TreeSize)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    rows.into_iter().map(head_of).collect()
}

pub(super) async fn latest_head(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
) -> Result<Option<StoredHead>, StoreError> {
    use evidence_head::{Column, Entity};
    let tx = TenantTx::read(store, tenant).await?;
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .order_by_desc(Column::TreeSize)
        .limit(1)
        .one(tx.connection())
        .await?;
    tx.commit().await?;
    row.map(head_of).transpose()
}

fn head_of(row: evidence_head::Model) -> Result<StoredHead, StoreError> {
    Ok(StoredHead {
        tree_size: number(row.tree_size, "tree_size")?,
        root: fixed(&row.root, "root")?,
        at: Timestamp::from_unix_us(row.at),
        cose: row.cose,
        jws: row.jws,
    })
}

pub(super) async fn events(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    kinds: &[EventKind],
    from: u64,
    limit: u32,
) -> Result<Vec<StoredEvent>, StoreError> {
    use evidence_event::{Column, Entity};
    let wanted = (!kinds.is_empty())
        .then(|| Column::Etype.is_in(kinds.iter().map(|kind| i64::from(kind.number()))));
    let tx = TenantTx::read(store, tenant).await?;
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::SessionId.eq(session.as_uuid()))
        .filter(Column::Seq.gte(from_position(from)))
        .filter(Condition::all().add_option(wanted))
        .order_by_asc(Column::Seq)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    let event = |row: evidence_event::Model| {
        let kind = EventKind::from_number(number(row.etype, "etype")?);
        let kind = word(kind, "etype")?;
        Ok(StoredEvent { seq: number(row.seq, "seq")?, kind, text: row.text })
    };
    rows.into_iter().map(event).collect()
}

/// Asked without a tenant, like the directory of sessions, so it reads a table that has no
/// row-level security.
pub(super) async fn unclosed(store: &Store) -> Result<Vec<SessionKey>, StoreError> {
    let select = Query::select()
        .columns(["tenant_id", "session_id"])
        .from("open_logs")
        .order_by("session_id", Order::Asc)
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter()
        .map(|row| {
            let tenant: Uuid = row.try_get("", "tenant_id")?;
            let session: Uuid = row.try_get("", "session_id")?;
            Ok(SessionKey::new(TenantId::from_uuid(tenant), SessionId::from_uuid(session)))
        })
        .collect()
}
