//! Events from outside that led to changes of sessions.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use crate::domain::arrival::Arrival;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::governance::ArrivalRepository;
use crate::sessions::SessionRepository;
use crate::store::connect::Store;
use crate::store::tenant_tx::TenantTx;

const ARRIVALS: &str = "arrivals";

#[async_trait]
impl ArrivalRepository for Store {
    async fn has_arrived(&self, key: SessionKey, arrival: &Arrival) -> Result<bool, StoreError> {
        Ok(has_arrived(self, key, arrival).await?)
    }

    fn sessions_for(&self, arrival: &Arrival) -> Arc<dyn SessionRepository> {
        Arc::new(self.with_arrival(arrival))
    }

    async fn forget_before(&self, before: Timestamp) -> Result<(), StoreError> {
        Ok(forget_before(self, before).await?)
    }
}

/// Notes that an event has led to a change of a session, in the transaction of the change; fails
/// when it had led to one before.
pub(super) async fn enter(
    tx: &TenantTx,
    session: SessionId,
    arrival: &Arrival,
    at: Timestamp,
) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table(ARRIVALS)
        .columns(["tenant_id", "session_id", "source", "event_id", "at"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            arrival.source.as_str().into(),
            arrival.id.as_str().into(),
            at.unix_us().into(),
        ])
        .on_conflict(
            OnConflict::columns(["tenant_id", "session_id", "source", "event_id"])
                .do_nothing()
                .to_owned(),
        )
        .take();
    if tx.connection().execute(&insert).await?.rows_affected() == 1 {
        return Ok(());
    }
    // The caller looks again, and finds it.
    Err(StoreError::Unavailable("this event has led to a change before".to_owned()))
}

async fn has_arrived(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    arrival: &Arrival,
) -> Result<bool, StoreError> {
    let select = Query::select()
        .column("at")
        .from(ARRIVALS)
        .and_where(Expr::col("tenant_id").eq(tenant.as_uuid()))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("source").eq(arrival.source.as_str()))
        .and_where(Expr::col("event_id").eq(arrival.id.as_str()))
        .take();
    Ok(store.connection.query_one(&select).await?.is_some())
}

async fn forget_before(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    let delete =
        Query::delete().from_table(ARRIVALS).and_where(Expr::col("at").lt(before.unix_us())).take();
    let _writer = store.writer().await;
    store.connection.execute(&delete).await?;
    Ok(())
}
