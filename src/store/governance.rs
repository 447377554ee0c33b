//! The calls to governance on the database.

use async_trait::async_trait;
use sea_orm::sea_query::{
    Alias, Cond, Expr, ExprTrait as _, Func, OnConflict, Order, Query, UpdateStatement,
};
use sea_orm::{ConnectionTrait as _, QueryResult};
use uuid::Uuid;

use crate::domain::claim::Fence;
use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::governance::{CallRepository, Failure, GovernanceCall, Step};
use crate::store::connect::Store;
use crate::store::error::{number, word};
use crate::store::tenant_tx::TenantTx;

const CALLS: &str = "governance_calls";
/// What a call is read from.
const COLUMNS: [&str; 7] =
    ["session_id", "step", "tenant_id", "assembly_id", "at", "tries", "refusals"];

#[async_trait]
impl CallRepository for Store {
    async fn plan(&self, calls: &[GovernanceCall]) -> Result<(), StoreError> {
        Ok(plan(self, calls).await?)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<GovernanceCall>, StoreError> {
        Ok(due(self, now, limit).await?)
    }

    async fn done(
        &self,
        fence: Fence,
        call: &GovernanceCall,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(update(self, fence, call, |row| {
            row.value("done_at", at.unix_us());
        })
        .await?)
    }

    async fn postpone(
        &self,
        fence: Fence,
        call: &GovernanceCall,
        (failure, due_at): (Failure, Timestamp),
    ) -> Result<(), StoreError> {
        let refused = i64::from(failure == Failure::Refused);
        let postponed = |row: &mut UpdateStatement| {
            row.value("due_at", due_at.unix_us())
                .value("refusals", Expr::col("refusals").add(refused));
        };
        Ok(update(self, fence, call, postponed).await?)
    }

    async fn waiting(&self) -> Result<u64, StoreError> {
        Ok(waiting(self).await?)
    }
}

async fn plan(store: &Store, calls: &[GovernanceCall]) -> Result<(), StoreError> {
    let mut insert = Query::insert()
        .into_table(CALLS)
        .columns(COLUMNS.into_iter().chain(["due_at"]))
        .on_conflict(OnConflict::columns(["session_id", "step"]).do_nothing().to_owned())
        .take();
    for call in calls {
        insert.values_panic([
            call.session.as_uuid().into(),
            call.step.as_str().into(),
            call.tenant.as_uuid().into(),
            call.assembly.as_uuid().into(),
            call.at.unix_us().into(),
            i64::from(call.tries).into(),
            i64::from(call.refusals).into(),
            call.at.unix_us().into(),
        ]);
    }
    let _writer = store.writer().await;
    store.connection.execute(&insert).await?;
    Ok(())
}

async fn due(store: &Store, now: Timestamp, limit: u32) -> Result<Vec<GovernanceCall>, StoreError> {
    let earlier = |column: &'static str| Expr::col((Alias::new("earlier"), column));
    let start_is_untold = Query::select()
        .column((Alias::new("earlier"), "session_id"))
        .from_as(CALLS, Alias::new("earlier"))
        .and_where(earlier("session_id").equals((CALLS, "session_id")))
        .and_where(earlier("step").eq(Step::Started.as_str()))
        .and_where(earlier("done_at").is_null())
        .take();
    let select = Query::select()
        .columns(COLUMNS)
        .from(CALLS)
        .and_where(Expr::col((CALLS, "done_at")).is_null())
        .and_where(Expr::col((CALLS, "due_at")).lte(now.unix_us()))
        .cond_where(
            Cond::any()
                .add(Expr::col((CALLS, "step")).ne(Step::Ended.as_str()))
                .add(Expr::exists(start_is_untold).not()),
        )
        .order_by((CALLS, "due_at"), Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter().map(call_of).collect()
}

fn call_of(row: &QueryResult) -> Result<GovernanceCall, StoreError> {
    let step: String = row.try_get("", "step")?;
    Ok(GovernanceCall {
        tenant: TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?),
        session: SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?),
        assembly: AssemblyId::from_uuid(row.try_get::<Uuid>("", "assembly_id")?),
        step: word(Step::parse(&step), "step")?,
        at: Timestamp::from_unix_us(row.try_get("", "at")?),
        tries: number(row.try_get("", "tries")?, "tries")?,
        refusals: number(row.try_get("", "refusals")?, "refusals")?,
    })
}

/// Counts a try and changes the call's row, unless the claim was taken over.
async fn update(
    store: &Store,
    fence: Fence,
    call: &GovernanceCall,
    change: impl FnOnce(&mut UpdateStatement),
) -> Result<(), StoreError> {
    let tx = TenantTx::write(&store.with_fence(fence), call.tenant).await?;
    let mut update = Query::update()
        .table(CALLS)
        .value("tries", Expr::col("tries").add(1))
        .and_where(Expr::col("session_id").eq(call.session.as_uuid()))
        .and_where(Expr::col("step").eq(call.step.as_str()))
        .take();
    change(&mut update);
    tx.connection().execute(&update).await?;
    tx.commit().await
}

async fn waiting(store: &Store) -> Result<u64, StoreError> {
    let select = Query::select()
        .expr_as(Func::count(Expr::col("session_id")), "waiting")
        .from(CALLS)
        .and_where(Expr::col("done_at").is_null())
        .take();
    let row = store.connection.query_one(&select).await?;
    let waiting = row.map(|row| row.try_get("", "waiting")).transpose()?;
    number(waiting.unwrap_or(0), "waiting")
}
