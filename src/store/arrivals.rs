//! Events from outside that led to changes of sessions.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, LockType, OnConflict, Query};

use crate::domain::arrival::Arrival;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::events::EventSource;
use crate::governance::{ArrivalRepository, VoteHeard};
use crate::sessions::SessionRepository;
use crate::store::connect::Store;
use crate::store::error::{number, stored};
use crate::store::outbox::{self, Span, VOTES_HEARD};
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

    async fn put_vote(
        &self,
        key: SessionKey,
        heard: &VoteHeard,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(put_vote(self, key, heard, at).await?)
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

async fn put_vote(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    heard: &VoteHeard,
    at: Timestamp,
) -> Result<(), StoreError> {
    let tx = TenantTx::write(store, tenant).await?;
    // Votes of one session are numbered one after the other.
    let locked = Query::select()
        .column("id")
        .from("sessions")
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("id").eq(session.as_uuid()))
        .lock(LockType::Update)
        .take();
    tx.connection().query_one(&locked).await?;
    let newest = Query::select()
        .expr_as(Func::max(Expr::col("seq")), "newest")
        .from(VOTES_HEARD)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .take();
    let newest = tx.connection().query_one(&newest).await?;
    let newest = newest.map(|row| row.try_get::<Option<i64>>("", "newest")).transpose()?.flatten();
    let seq = number::<u64>(newest.unwrap_or_default(), "seq")?.saturating_add(1);
    let insert = Query::insert()
        .into_table(VOTES_HEARD)
        .columns(["tenant_id", "session_id", "seq", "at", "kind", "payload"])
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.as_uuid().into(),
            stored(seq)?.into(),
            at.unix_us().into(),
            "vote.started.v1".into(),
            heard.payload().into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    let source = EventSource::Governance;
    outbox::enter(&tx, session, Span { source, first: seq, last: seq, at }).await?;
    tx.commit().await
}

/// Deletes the votes that were stored of a session whose recording is erased.
pub(super) async fn forget_votes(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let delete = Query::delete()
        .from_table(VOTES_HEARD)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .take();
    tx.connection().execute(&delete).await?;
    Ok(())
}

async fn forget_before(store: &Store, before: Timestamp) -> Result<(), StoreError> {
    let delete =
        Query::delete().from_table(ARRIVALS).and_where(Expr::col("at").lt(before.unix_us())).take();
    let _writer = store.writer().await;
    store.connection.execute(&delete).await?;
    Ok(())
}
