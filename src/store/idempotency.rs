//! Requests that may be repeated, in the database.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query, SimpleExpr};
use sea_orm::{Condition, ConnectionTrait, DeriveIden, QueryResult};
use uuid::Uuid;

use crate::domain::id::SessionId;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::{
    ANSWER_BYTES_MAX, Begin, Claim, ClaimToken, IdempotencyStore, KEPT, PlannedId, Repetition,
    StoredAnswer, TAKEN_OVER_AFTER,
};
use crate::store::connect::Store;
use crate::store::error::number;
use crate::store::tenant_tx::TenantTx;

/// One in this many claims also removes the expired claims of its tenant. This bounds the table
/// without a job that visits every tenant.
const CLAIMS_PER_PURGE: u8 = 32;

#[derive(Clone, Copy, DeriveIden)]
enum IdempotencyKeys {
    Table,
    TenantId,
    SessionId,
    Caller,
    Key,
    RequestHash,
    ClaimId,
    PlannedId,
    ClaimedAt,
    ExpiresAt,
    Status,
    Headers,
    Body,
}
use IdempotencyKeys as Column;

#[async_trait]
impl IdempotencyStore for Store {
    async fn begin(&self, claim: &Claim, now: Timestamp) -> Result<Begin, StoreError> {
        let token = ClaimToken::generate();
        if token.as_uuid().as_bytes()[0].is_multiple_of(CLAIMS_PER_PURGE) {
            purge(self, claim, now).await?;
        }
        Ok(begin(self, claim, token, now).await?)
    }

    async fn finish(
        &self,
        claim: &Claim,
        token: ClaimToken,
        answer: &StoredAnswer,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if answer.body.len() > ANSWER_BYTES_MAX {
            return self.abandon(claim, token).await;
        }
        Ok(finish(self, claim, token, answer, now).await?)
    }

    async fn abandon(&self, claim: &Claim, token: ClaimToken) -> Result<(), StoreError> {
        Ok(abandon(self, claim, token).await?)
    }
}

async fn begin(
    store: &Store,
    claim: &Claim,
    token: ClaimToken,
    now: Timestamp,
) -> Result<Begin, StoreError> {
    let tx = TenantTx::write(store, claim.tenant).await?.marked(store).await?;
    let expired = Query::delete()
        .from_table(Column::Table)
        .cond_where(is_claim(claim))
        .and_where(Expr::col(Column::ExpiresAt).lte(now.unix_us()))
        .take();
    tx.connection().execute(&expired).await?;
    let planned = PlannedId::generate();
    let begin = if insert(&tx, claim, (token, planned), now).await? {
        Begin::Fresh(token, planned)
    } else {
        existing(&tx, claim, token, now).await?
    };
    tx.commit().await?;
    Ok(begin)
}

/// Inserts a claim; waits for a concurrent claim of the same key to be committed or rolled back.
async fn insert(
    tx: &TenantTx,
    claim: &Claim,
    (token, planned): (ClaimToken, PlannedId),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let insert = Query::insert()
        .into_table(Column::Table)
        .columns([
            Column::TenantId,
            Column::SessionId,
            Column::Caller,
            Column::Key,
            Column::RequestHash,
            Column::ClaimId,
            Column::PlannedId,
            Column::ClaimedAt,
            Column::ExpiresAt,
        ])
        .values_panic([
            tx.tenant().as_uuid().into(),
            claim.session.map(|session| session.as_uuid()).into(),
            claim.caller.to_string().into(),
            claim.key.as_str().into(),
            claim.request_hash.to_vec().into(),
            token.as_uuid().into(),
            planned.as_uuid().into(),
            now.unix_us().into(),
            now.after(KEPT).unix_us().into(),
        ])
        .on_conflict(
            OnConflict::columns([Column::TenantId, Column::Caller, Column::Key])
                .do_nothing()
                .to_owned(),
        )
        .take();
    Ok(tx.connection().execute(&insert).await?.rows_affected() == 1)
}

/// The result for this request when a claim of its key exists.
async fn existing(
    tx: &TenantTx,
    claim: &Claim,
    token: ClaimToken,
    now: Timestamp,
) -> Result<Begin, StoreError> {
    let select = Query::select()
        .columns([
            Column::RequestHash,
            Column::ClaimId,
            Column::PlannedId,
            Column::ClaimedAt,
            Column::Status,
            Column::Headers,
            Column::Body,
        ])
        .from(Column::Table)
        .cond_where(is_claim(claim))
        .take();
    // It may have been removed since; the caller's next try finds that.
    let Some(row) = tx.connection().query_one(&select).await? else { return Ok(Begin::InUse) };
    if row.try_get::<Vec<u8>>("", "request_hash")? != claim.request_hash {
        return Ok(Begin::DifferentRequest);
    }
    let is_held = match (answer_of(&row)?, claim.repetition) {
        (Some(answer), Repetition::SameAnswer) => return Ok(Begin::Replay(answer)),
        (Some(_), Repetition::AnswerAnew) => false,
        (None, _) => true,
    };
    let claimed_at = Timestamp::from_unix_us(row.try_get("", "claimed_at")?);
    if is_held && now.since(claimed_at) < TAKEN_OVER_AFTER {
        return Ok(Begin::InUse);
    }
    let was_carried_out = row.try_get::<Option<i64>>("", "status")?.is_some();
    let holder = row.try_get::<Uuid>("", "claim_id")?;
    // Claims of an earlier version have none.
    let planned = row.try_get::<Option<Uuid>>("", "planned_id")?;
    let planned = planned.map_or_else(PlannedId::generate, PlannedId::from_uuid);
    let take_over = Query::update()
        .table(Column::Table)
        .value(Column::ClaimId, token.as_uuid())
        .value(Column::PlannedId, planned.as_uuid())
        .value(Column::ClaimedAt, now.unix_us())
        .value(Column::ExpiresAt, now.after(KEPT).unix_us())
        .value(Column::Body, None::<String>)
        .cond_where(is_claim(claim))
        .and_where(Expr::col(Column::ClaimId).eq(holder))
        .and_where(is_set(Column::Status, was_carried_out))
        .and_where(is_set(Column::Body, !is_held))
        .take();
    let won = tx.connection().execute(&take_over).await?.rows_affected() == 1;
    Ok(match (won, was_carried_out) {
        (false, _) => Begin::InUse,
        (true, false) => Begin::Fresh(token, planned),
        (true, true) => Begin::Again(token, planned),
    })
}

async fn finish(
    store: &Store,
    claim: &Claim,
    token: ClaimToken,
    answer: &StoredAnswer,
    now: Timestamp,
) -> Result<(), StoreError> {
    let headers = serde_json::to_string(&answer.headers)
        .map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let tx = TenantTx::write_from_reserve(store, claim.tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(Column::Table)
        .value(Column::Status, i64::from(answer.status))
        .value(Column::Headers, headers)
        .value(Column::Body, answer.body.as_str())
        .value(Column::ExpiresAt, now.after(KEPT).unix_us())
        .cond_where(is_claim(claim))
        .and_where(Expr::col(Column::ClaimId).eq(token.as_uuid()))
        .take();
    tx.connection().execute(&update).await?;
    tx.commit().await
}

async fn abandon(store: &Store, claim: &Claim, token: ClaimToken) -> Result<(), StoreError> {
    let tx = TenantTx::write_from_reserve(store, claim.tenant).await?.marked(store).await?;
    let delete = Query::delete()
        .from_table(Column::Table)
        .cond_where(is_claim(claim))
        .and_where(Expr::col(Column::ClaimId).eq(token.as_uuid()))
        .and_where(Expr::col(Column::Status).is_null())
        .take();
    tx.connection().execute(&delete).await?;
    let end_claim = Query::update()
        .table(Column::Table)
        .value(Column::Body, "")
        .cond_where(is_claim(claim))
        .and_where(Expr::col(Column::ClaimId).eq(token.as_uuid()))
        .and_where(Expr::col(Column::Body).is_null())
        .take();
    tx.connection().execute(&end_claim).await?;
    tx.commit().await
}

async fn purge(store: &Store, claim: &Claim, now: Timestamp) -> Result<(), StoreError> {
    let tx = TenantTx::write(store, claim.tenant).await?;
    // Without the lock, two removals in one tenant could wait for each other's rows (deadlock).
    tx.lock_tenant().await?;
    let delete = Query::delete()
        .from_table(Column::Table)
        .and_where(Expr::col(Column::TenantId).eq(tx.tenant().as_uuid()))
        .and_where(Expr::col(Column::ExpiresAt).lte(now.unix_us()))
        .take();
    tx.connection().execute(&delete).await?;
    tx.commit().await
}

/// Deletes the requests about a session, and the one that created it, with their answers. One that
/// is being carried out stores its answer nowhere then.
pub(super) async fn forget(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    // Without the lock, this and a removal of expired ones could wait for each other's rows.
    tx.lock_tenant().await?;
    let is_about = Condition::any()
        .add(Expr::col(Column::SessionId).eq(session.as_uuid()))
        .add(Expr::col(Column::PlannedId).eq(session.as_uuid()));
    let delete = Query::delete()
        .from_table(Column::Table)
        .and_where(Expr::col(Column::TenantId).eq(tx.tenant().as_uuid()))
        .cond_where(is_about)
        .take();
    tx.connection().execute(&delete).await?;
    Ok(())
}

fn is_set(column: Column, wanted: bool) -> SimpleExpr {
    let column = Expr::col(column);
    if wanted { column.is_not_null() } else { column.is_null() }
}

fn is_claim(claim: &Claim) -> Condition {
    Condition::all()
        .add(Expr::col(Column::TenantId).eq(claim.tenant.as_uuid()))
        .add(Expr::col(Column::Caller).eq(claim.caller.to_string()))
        .add(Expr::col(Column::Key).eq(claim.key.as_str()))
}

/// The answer, unless the request is being carried out, or answered anew: then it has no body.
fn answer_of(row: &QueryResult) -> Result<Option<StoredAnswer>, StoreError> {
    let Some(status) = row.try_get::<Option<i64>>("", "status")? else { return Ok(None) };
    let Some(body) = row.try_get("", "body")? else { return Ok(None) };
    let headers: String = row.try_get("", "headers")?;
    Ok(Some(StoredAnswer {
        status: number(status, "status")?,
        headers: serde_json::from_str(&headers)
            .map_err(|error| StoreError::Corrupt(error.to_string()))?,
        body,
    }))
}
