//! The claims on background work, in the database.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{
    Expr, ExprTrait as _, LockType, OnConflict, Query, ReturningClause, SimpleExpr,
};
use sea_orm::{Condition, ConnectionTrait, DbBackend};
use uuid::Uuid;

use crate::claims::repository::ClaimRepository;
use crate::domain::claim::{Fence, Work};
use crate::domain::id::{InstanceId, SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;
use crate::store::connect::Store;
use crate::store::error::{number, stored, word};
use crate::store::tenant_tx::TenantTx;

/// Claims on work on sessions, and on work that is of no session that is stored.
const TABLES: [&str; 2] = ["work_claims", "delivery_claims"];

/// Where claims on `work` are.
const fn table_of(work: Work) -> &'static str {
    let [of_sessions, of_none] = TABLES;
    match work {
        Work::Room | Work::Recording | Work::Playables | Work::Custody | Work::Governance => {
            of_sessions
        }
        Work::Meeting | Work::CameraRecording | Work::Delivery => of_none,
    }
}

#[async_trait]
impl ClaimRepository for Store {
    async fn take(
        &self,
        SessionKey { tenant, session }: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<Option<u64>, StoreError> {
        Ok(take(self, (tenant, session, work), instance, (lease, Taking::WhenFree)).await?)
    }

    async fn seize(
        &self,
        SessionKey { tenant, session }: SessionKey,
        work: Work,
        instance: InstanceId,
        lease: Duration,
    ) -> Result<u64, StoreError> {
        let how = (lease, Taking::FromWhoeverHasIt);
        let epoch = take(self, (tenant, session, work), instance, how).await?;
        epoch.ok_or(StoreError::Conflict)
    }

    async fn holder(&self, key: SessionKey, work: Work) -> Result<Option<InstanceId>, StoreError> {
        Ok(holder(self, key, work).await?)
    }

    async fn renew(
        &self,
        instance: InstanceId,
        claims: &[Fence],
        lease: Duration,
    ) -> Result<Vec<Fence>, StoreError> {
        Ok(renew(self, instance, claims, lease).await?)
    }

    async fn release(&self, claim: Fence) -> Result<(), StoreError> {
        Ok(end(self, table_of(claim.work), is_claim(claim)?).await?)
    }

    async fn end_instance(&self, instance: InstanceId) -> Result<(), StoreError> {
        let of_instance = Condition::all().add(Expr::col("instance").eq(instance.as_uuid()));
        for table in TABLES {
            end(self, table, of_instance.clone()).await?;
        }
        Ok(())
    }

    async fn taken_by_others(
        &self,
        work: Work,
        instance: InstanceId,
    ) -> Result<BTreeSet<SessionId>, StoreError> {
        Ok(taken_by_others(self, work, instance).await?)
    }
}

/// Whether a fence names the current owner. The claim can't change owners until the transaction
/// ends.
pub(super) async fn is_current(
    connection: &impl ConnectionTrait,
    fence: Fence,
) -> Result<bool, StoreError> {
    let select = Query::select()
        .column("epoch")
        .from(table_of(fence.work))
        .cond_where(of_work(fence))
        .lock(LockType::Share)
        .take();
    let Some(row) = connection.query_one(&select).await? else { return Ok(false) };
    Ok(number::<u64>(row.try_get("", "epoch")?, "epoch")? == fence.epoch)
}

/// Whether a claim that another instance has is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taking {
    WhenFree,
    FromWhoeverHasIt,
}

/// One statement, so that no other instance can take the claim between reading and writing.
async fn take(
    store: &Store,
    (tenant, session, work): (TenantId, SessionId, Work),
    instance: InstanceId,
    (lease, how): (Duration, Taking),
) -> Result<Option<u64>, StoreError> {
    let tx = TenantTx::write_from_reserve(store, tenant).await?;
    let now = || database_now(tx.connection().get_database_backend());
    let table = table_of(work);
    let column = |name: &'static str| Expr::col((table, name));
    let is_free = match how {
        Taking::WhenFree => Condition::any()
            .add(column("instance").eq(instance.as_uuid()))
            .add(column("leased_until").lte(now())),
        Taking::FromWhoeverHasIt => Condition::all(),
    };
    let conflict = OnConflict::columns(["session_id", "work"])
        .update_columns(["instance", "leased_until"])
        .value("epoch", column("epoch").add(1))
        // A session of another tenant violates the foreign key before this condition applies.
        .action_cond_where(
            Condition::all().add(column("tenant_id").eq(tenant.as_uuid())).add(is_free),
        )
        .to_owned();
    let insert = Query::insert()
        .into_table(table)
        .columns(["session_id", "work", "tenant_id", "instance", "epoch", "leased_until"])
        .values_panic([
            session.as_uuid().into(),
            work.as_str().into(),
            tenant.as_uuid().into(),
            instance.as_uuid().into(),
            1.into(),
            now().add(micros(lease)),
        ])
        .on_conflict(conflict)
        .returning(ReturningClause::Columns(vec!["epoch".into()]))
        .take();
    let row = tx.connection().query_one(&insert).await?;
    let epoch = row.map(|row| number(row.try_get("", "epoch")?, "epoch")).transpose()?;
    tx.commit().await?;
    Ok(epoch)
}

async fn renew(
    store: &Store,
    instance: InstanceId,
    claims: &[Fence],
    lease: Duration,
) -> Result<Vec<Fence>, StoreError> {
    let mut renewed = Vec::new();
    for table in TABLES {
        let mut named = Condition::any();
        for claim in claims.iter().filter(|claim| table_of(claim.work) == table) {
            named = named.add(is_claim(*claim)?);
        }
        if !named.is_empty() {
            renewed.extend(renew_in(store, table, instance, named, lease).await?);
        }
    }
    Ok(renewed)
}

async fn renew_in(
    store: &Store,
    table: &'static str,
    instance: InstanceId,
    named: Condition,
    lease: Duration,
) -> Result<Vec<Fence>, StoreError> {
    let backend = store.connection.get_database_backend();
    let update = Query::update()
        .table(table)
        .value("leased_until", database_now(backend).add(micros(lease)))
        .and_where(Expr::col("instance").eq(instance.as_uuid()))
        // A released claim stays free.
        .and_where(Expr::col("leased_until").gt(0))
        .cond_where(named)
        .returning(ReturningClause::Columns(vec![
            "session_id".into(),
            "work".into(),
            "epoch".into(),
        ]))
        .take();
    let _writer = store.writer().await;
    let rows = store.connection.query_all(&update).await?;
    rows.iter()
        .map(|row| {
            let work: String = row.try_get("", "work")?;
            Ok(Fence {
                session: SessionId::from_uuid(row.try_get("", "session_id")?),
                work: word(Work::parse(&work), "work")?,
                epoch: number(row.try_get("", "epoch")?, "epoch")?,
            })
        })
        .collect()
}

/// Ends the leases that match a condition.
async fn end(store: &Store, table: &'static str, of: Condition) -> Result<(), StoreError> {
    let update = Query::update().table(table).value("leased_until", 0).cond_where(of).take();
    let _writer = store.writer().await;
    store.connection.execute(&update).await?;
    Ok(())
}

async fn taken_by_others(
    store: &Store,
    work: Work,
    instance: InstanceId,
) -> Result<BTreeSet<SessionId>, StoreError> {
    let backend = store.connection.get_database_backend();
    let select = Query::select()
        .column("session_id")
        .from(table_of(work))
        .and_where(Expr::col("work").eq(work.as_str()))
        .and_where(Expr::col("instance").ne(instance.as_uuid()))
        .and_where(Expr::col("leased_until").gt(database_now(backend)))
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter()
        .map(|row| Ok(SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?)))
        .collect()
}

async fn holder(
    store: &Store,
    SessionKey { tenant, session }: SessionKey,
    work: Work,
) -> Result<Option<InstanceId>, StoreError> {
    let backend = store.connection.get_database_backend();
    let select = Query::select()
        .column("instance")
        .from(table_of(work))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .and_where(Expr::col("work").eq(work.as_str()))
        .and_where(Expr::col("tenant_id").eq(tenant.as_uuid()))
        .and_where(Expr::col("leased_until").gt(database_now(backend)))
        .take();
    let row = store.connection.query_one(&select).await?;
    row.map(|row| Ok(InstanceId::from_uuid(row.try_get::<Uuid>("", "instance")?))).transpose()
}

fn of_work(fence: Fence) -> Condition {
    Condition::all()
        .add(Expr::col("session_id").eq(fence.session.as_uuid()))
        .add(Expr::col("work").eq(fence.work.as_str()))
}

fn is_claim(fence: Fence) -> Result<Condition, StoreError> {
    Ok(of_work(fence).add(Expr::col("epoch").eq(stored(fence.epoch)?)))
}

/// The time of the database's clock, in microseconds since 1970.
fn database_now(backend: DbBackend) -> SimpleExpr {
    Expr::cust(match backend {
        DbBackend::Postgres => "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)",
    })
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}
