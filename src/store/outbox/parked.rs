//! Sessions that a reader hands on by themselves.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use uuid::Uuid;

use super::{OUTBOX_LOCK, PARKED};
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::events::{Position, ReaderName};
use crate::store::connect::Store;
use crate::store::error::{number, stored};
use crate::store::shared_tx::SharedTx;

pub(super) async fn all(
    store: &Store,
    reader: &ReaderName,
) -> Result<Vec<(SessionKey, Position)>, StoreError> {
    let select = Query::select()
        .columns(["tenant_id", "session_id", "position"])
        .from(PARKED)
        .and_where(Expr::col("reader").eq(reader.as_str()))
        .take();
    let rows = store.connection.query_all(&select).await?;
    let parked = rows.iter().map(|row| {
        let tenant = TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?);
        let session = SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?);
        let position = number(row.try_get("", "position")?, "position")?;
        Ok((SessionKey::new(tenant, session), Position::new(position)))
    });
    parked.collect()
}

/// Under the lock of the outbox, so that nothing is deleted that the session still needs.
pub(super) async fn park(
    store: &Store,
    reader: &ReaderName,
    SessionKey { tenant, session }: SessionKey,
    up_to: Position,
) -> Result<(), StoreError> {
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let insert = Query::insert()
        .into_table(PARKED)
        .columns(["reader", "tenant_id", "session_id", "position"])
        .values_panic([
            reader.as_str().into(),
            tenant.as_uuid().into(),
            session.as_uuid().into(),
            stored(up_to.number())?.into(),
        ])
        .on_conflict(
            OnConflict::columns(["reader", "session_id"]).update_column("position").to_owned(),
        )
        .take();
    tx.connection().execute(&insert).await?;
    tx.commit().await
}

pub(super) async fn unpark(
    store: &Store,
    reader: &ReaderName,
    session: SessionKey,
) -> Result<(), StoreError> {
    let tx = SharedTx::locked(store, OUTBOX_LOCK).await?;
    let delete = Query::delete()
        .from_table(PARKED)
        .and_where(Expr::col("reader").eq(reader.as_str()))
        .and_where(Expr::col("session_id").eq(session.session.as_uuid()))
        .take();
    tx.connection().execute(&delete).await?;
    tx.commit().await
}
