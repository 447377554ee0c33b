//! Stream sessions on the database. A step locks its tenant, so that of steps at
//! once each is decided on what the one before left, and limits hold.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{Condition, ConnectionTrait, QueryResult};
use uuid::Uuid;

use super::directory::{self, SESSION};
use super::{chosen, moment, moment_if_any, of_tenant};
use crate::cameras::engine::policy::{Decision, Step, admit, decide};
use crate::cameras::repository::{
    SessionQuery, StepAt, Stepped, StreamSession, StreamSessionRepository,
};
use crate::domain::camera::StreamSessionStatus as Status;
use crate::domain::id::{CameraId, StreamSessionId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::word;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "stream_sessions";
const COLUMNS: [&str; 10] = [
    "tenant_id",
    "id",
    "camera_id",
    "status",
    "requested_at",
    "issued_at",
    "activated_at",
    "seen_at",
    "due_at",
    "ended_at",
];

#[async_trait]
impl StreamSessionRepository for Store {
    async fn issue_session(
        &self,
        session: &StreamSession,
        at: StepAt,
    ) -> Result<Stepped, StoreError> {
        Ok(issue(self, session, at).await?)
    }

    async fn step_session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
        step: Step,
        at: StepAt,
    ) -> Result<Stepped, StoreError> {
        Ok(step_stored(self, tenant, id, (step, at)).await?)
    }

    async fn touch_session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
        judged_at: Timestamp,
        noted: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        Ok(touch(self, (tenant, id), judged_at, noted).await?)
    }

    async fn session(
        &self,
        tenant: TenantId,
        id: StreamSessionId,
    ) -> Result<Option<StreamSession>, StoreError> {
        let query = SessionQuery { session: Some(id), limit: 1, ..SessionQuery::default() };
        Ok(list(self, tenant, &query).await?.pop())
    }

    async fn sessions(
        &self,
        tenant: TenantId,
        query: &SessionQuery,
    ) -> Result<Vec<StreamSession>, StoreError> {
        Ok(list(self, tenant, query).await?)
    }

    async fn tenant_of_session(&self, id: StreamSessionId) -> Result<Option<TenantId>, StoreError> {
        Ok(directory::tenant_of(self, SESSION, &id.to_string()).await?)
    }

    async fn tenants_with_sessions(
        &self,
        after: Option<TenantId>,
        limit: u32,
    ) -> Result<Vec<TenantId>, StoreError> {
        Ok(directory::tenants(self, SESSION, after, limit).await?)
    }

    async fn due_sessions(
        &self,
        tenant: Option<TenantId>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<(TenantId, StreamSessionId)>, StoreError> {
        let due = directory::due(self, SESSION, tenant, (now, limit)).await?;
        Ok(due.into_iter().map(|(of, id)| (of, StreamSessionId::from_uuid(id))).collect())
    }

    async fn forget_sessions(
        &self,
        tenant: TenantId,
        before: Timestamp,
    ) -> Result<u64, StoreError> {
        Ok(forget(self, tenant, before).await?)
    }
}

async fn issue(store: &Store, session: &StreamSession, at: StepAt) -> Result<Stepped, StoreError> {
    let tx = TenantTx::write(store, session.tenant).await?.marked(store).await?;
    tx.lock_tenant().await?;
    if let Err(denied) = admit(count_active(&tx, at.judged_at).await?, at.active_max) {
        tx.rollback().await?;
        return Ok(Stepped::Denied(denied));
    }
    insert(&tx, session).await?;
    let issued = step(&tx, session.id, Step::Issue, at).await?;
    tx.commit().await?;
    Ok(issued)
}

async fn step_stored(
    store: &Store,
    tenant: TenantId,
    id: StreamSessionId,
    (wanted, at): (Step, StepAt),
) -> Result<Stepped, StoreError> {
    let tx = match wanted {
        Step::Issue | Step::Activate => TenantTx::write(store, tenant).await?.marked(store).await?,
        // What ends something is done on a full disk too.
        Step::End | Step::Expire => {
            TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?
        }
    };
    tx.lock_tenant().await?;
    let stepped = step(&tx, id, wanted, at).await?;
    tx.commit().await?;
    Ok(stepped)
}

/// Takes a step, in a transaction that has locked its tenant.
async fn step(
    tx: &TenantTx,
    id: StreamSessionId,
    step: Step,
    at: StepAt,
) -> Result<Stepped, StoreError> {
    let Some(mut session) = find(tx, id).await? else { return Ok(Stepped::NotFound) };
    // One that has run out and was not swept yet is over all the same.
    if step == Step::Activate && !session.status.is_over() && session.due_at <= at.judged_at {
        return expire(tx, session, at.at).await;
    }
    match decide(session.status, step) {
        Decision::Already => return Ok(Stepped::Already(session)),
        Decision::Refuse => return Ok(Stepped::Refused(session.status)),
        Decision::Go => {}
    }
    match step {
        // One that was used since it was found due lives on.
        Step::Expire if session.due_at > at.judged_at => {
            return Ok(Stepped::Refused(session.status));
        }
        Step::Activate => {
            if let Err(denied) = admit(count_active(tx, at.judged_at).await?, at.active_max) {
                return Ok(Stepped::Denied(denied));
            }
        }
        Step::Issue | Step::End | Step::Expire => {}
    }
    session.status = step.target();
    match step {
        Step::Issue => session.issued_at = Some(at.at),
        Step::Activate => {
            session.activated_at = Some(at.at);
            session.seen_at = Some(at.at);
        }
        Step::End | Step::Expire => session.ended_at = Some(at.at),
    }
    if !session.status.is_over() {
        session.due_at = at.due_at;
    }
    update(tx, &session).await?;
    Ok(Stepped::Done(session))
}

async fn expire(
    tx: &TenantTx,
    mut session: StreamSession,
    at: Timestamp,
) -> Result<Stepped, StoreError> {
    session.status = Status::Expired;
    session.ended_at = Some(at);
    update(tx, &session).await?;
    Ok(Stepped::Refused(Status::Expired))
}

fn is_session(tx: &TenantTx, id: StreamSessionId) -> Condition {
    of_tenant(tx).add(Expr::col("id").eq(id.as_uuid()))
}

/// Active sessions of the transaction's tenant that have not run out.
async fn count_active(tx: &TenantTx, now: Timestamp) -> Result<u64, StoreError> {
    let select = Query::select()
        .expr_as(Expr::col("id").count(), "active")
        .from(TABLE)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("status").eq(Status::Active.as_str()))
        .and_where(Expr::col("due_at").gt(now.unix_us()))
        .take();
    let row = tx.connection().query_one(&select).await?;
    let active: i64 = row.map_or(Ok(0), |row| row.try_get("", "active"))?;
    Ok(u64::try_from(active).unwrap_or(0))
}

async fn find(tx: &TenantTx, id: StreamSessionId) -> Result<Option<StreamSession>, StoreError> {
    let select = Query::select().columns(COLUMNS).from(TABLE).cond_where(is_session(tx, id)).take();
    tx.connection().query_one(&select).await?.map(|row| session_of(&row)).transpose()
}

async fn list(
    store: &Store,
    tenant: TenantId,
    query: &SessionQuery,
) -> Result<Vec<StreamSession>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let mut select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(of_tenant(&tx))
        .order_by("requested_at", Order::Desc)
        .order_by("id", Order::Desc)
        .limit(u64::from(query.limit))
        .take();
    if let Some(watched) = &query.watched {
        select.and_where(Expr::col("camera_id").eq(watched.to_string()));
    }
    if let Some(status) = query.status {
        select.and_where(Expr::col("status").eq(status.as_str()));
    }
    if let Some(session) = query.session {
        select.and_where(Expr::col("id").eq(session.as_uuid()));
    }
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().map(session_of).collect()
}

async fn insert(tx: &TenantTx, session: &StreamSession) -> Result<(), StoreError> {
    let us = |moment: Option<Timestamp>| moment.map(Timestamp::unix_us);
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(COLUMNS)
        .values_panic([
            tx.tenant().as_uuid().into(),
            session.id.as_uuid().into(),
            session.watched.to_string().into(),
            session.status.as_str().into(),
            session.requested_at.unix_us().into(),
            us(session.issued_at).into(),
            us(session.activated_at).into(),
            us(session.seen_at).into(),
            session.due_at.unix_us().into(),
            us(session.ended_at).into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    directory::enter(tx, SESSION, &session.id.to_string(), Some(session.due_at)).await
}

async fn update(tx: &TenantTx, session: &StreamSession) -> Result<(), StoreError> {
    let us = |moment: Option<Timestamp>| moment.map(Timestamp::unix_us);
    let update = Query::update()
        .table(TABLE)
        .value("status", session.status.as_str())
        .value("issued_at", us(session.issued_at))
        .value("activated_at", us(session.activated_at))
        .value("seen_at", us(session.seen_at))
        .value("due_at", session.due_at.unix_us())
        .value("ended_at", us(session.ended_at))
        .cond_where(is_session(tx, session.id))
        .take();
    tx.connection().execute(&update).await?;
    let due_at = (!session.status.is_over()).then_some(session.due_at);
    directory::enter(tx, SESSION, &session.id.to_string(), due_at).await
}

async fn touch(
    store: &Store,
    (tenant, id): (TenantId, StreamSessionId),
    judged_at: Timestamp,
    (seen_at, due_at): (Timestamp, Timestamp),
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    tx.lock_tenant().await?;
    let found = find(&tx, id).await?.filter(|session| session.status == Status::Active);
    let Some(mut session) = found.filter(|session| session.due_at > judged_at) else {
        tx.rollback().await?;
        return Ok(false);
    };
    session.seen_at = Some(seen_at);
    session.due_at = due_at;
    update(&tx, &session).await?;
    tx.commit().await?;
    Ok(true)
}

/// Ends every session of a camera.
pub(super) async fn end_all(
    tx: &TenantTx,
    camera: &CameraId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let live = Step::End.sources().iter().map(|status| status.as_str());
    let select = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .cond_where(of_tenant(tx))
        .and_where(Expr::col("camera_id").eq(camera.as_str()))
        .and_where(Expr::col("status").is_in(live))
        .take();
    for row in tx.connection().query_all(&select).await? {
        let mut session = session_of(&row)?;
        session.status = Status::Ended;
        session.ended_at = Some(at);
        update(tx, &session).await?;
    }
    Ok(())
}

async fn forget(store: &Store, tenant: TenantId, before: Timestamp) -> Result<u64, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    let old = || of_tenant(&tx).add(Expr::col("ended_at").lt(before.unix_us()));
    let select = Query::select().column("id").from(TABLE).cond_where(old()).take();
    for row in tx.connection().query_all(&select).await? {
        let id: Uuid = row.try_get("", "id")?;
        directory::leave(&tx, SESSION, &id.to_string()).await?;
    }
    let delete = Query::delete().from_table(TABLE).cond_where(old()).take();
    let forgotten = tx.connection().execute(&delete).await?.rows_affected();
    tx.commit().await?;
    Ok(forgotten)
}

fn session_of(row: &QueryResult) -> Result<StreamSession, StoreError> {
    let status: String = row.try_get("", "status")?;
    Ok(StreamSession {
        tenant: TenantId::from_uuid(row.try_get("", "tenant_id")?),
        id: StreamSessionId::from_uuid(row.try_get("", "id")?),
        watched: chosen(row, "camera_id")?,
        status: word(Status::parse(&status), "status")?,
        requested_at: moment(row, "requested_at")?,
        issued_at: moment_if_any(row, "issued_at")?,
        activated_at: moment_if_any(row, "activated_at")?,
        seen_at: moment_if_any(row, "seen_at")?,
        due_at: moment(row, "due_at")?,
        ended_at: moment_if_any(row, "ended_at")?,
    })
}
