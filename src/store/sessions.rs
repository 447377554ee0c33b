//! Sessions in the database.

use async_trait::async_trait;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::session::{Session, SessionStatus};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::{
    Activation, ChangeId, SessionEvent, SessionFilter, SessionPosition, SessionRepository,
};
use crate::store::arrivals;
use crate::store::connect::Store;
use crate::store::directory;
use crate::store::entities::session::{Column, Entity, Model, changes_of, row_of, session_of};
use crate::store::error::stored;
use crate::store::outbox;
use crate::store::tenant_tx::TenantTx;

#[async_trait]
impl SessionRepository for Store {
    async fn insert(&self, event: &SessionEvent) -> Result<(), StoreError> {
        Ok(insert(self, event).await?)
    }

    async fn find(&self, key: SessionKey) -> Result<Option<Session>, StoreError> {
        Ok(find(self, key).await?)
    }

    async fn list(
        &self,
        tenant: TenantId,
        filter: &SessionFilter,
        after: Option<SessionPosition>,
        limit: u32,
    ) -> Result<Vec<Session>, StoreError> {
        Ok(list(self, tenant, filter, after, limit).await?)
    }

    async fn replace(&self, event: &SessionEvent, expected: u64) -> Result<bool, StoreError> {
        Ok(replace(self, event, expected).await?)
    }

    async fn activate(
        &self,
        event: &SessionEvent,
        expected: u64,
        active_max: u32,
    ) -> Result<Activation, StoreError> {
        Ok(activate(self, event, expected, active_max).await?)
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<ChangeId>, StoreError> {
        Ok(outbox::untold(self, before, limit).await?)
    }

    async fn untold_event(&self, change: ChangeId) -> Result<Option<SessionEvent>, StoreError> {
        Ok(outbox::untold_event(self, change).await?)
    }

    async fn mark_told(&self, change: ChangeId) -> Result<(), StoreError> {
        Ok(outbox::mark_told(self, change).await?)
    }
}

async fn insert(store: &Store, event: &SessionEvent) -> Result<(), StoreError> {
    let session = &event.session;
    let tx = TenantTx::write(store, session.tenant_id).await?.marked(store).await?;
    Entity::insert(row_of(session)?).exec_without_returning(tx.connection()).await?;
    directory::enter(&tx, session).await?;
    outbox::enter_session_event(&tx, event).await?;
    tx.commit().await
}

async fn find(
    store: &Store,
    SessionKey { tenant, session: id }: SessionKey,
) -> Result<Option<Session>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let row = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::Id.eq(id.as_uuid()))
        .one(tx.connection())
        .await?;
    tx.commit().await?;
    row.map(session_of).transpose()
}

async fn list(
    store: &Store,
    tenant: TenantId,
    filter: &SessionFilter,
    after: Option<SessionPosition>,
    limit: u32,
) -> Result<Vec<Session>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let rows: Vec<Model> = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(condition_of(filter, after))
        .order_by_desc(Column::CreatedAt)
        .order_by_desc(Column::Id)
        .limit(u64::from(limit))
        .all(tx.connection())
        .await?;
    tx.commit().await?;
    rows.into_iter().map(session_of).collect()
}

fn condition_of(filter: &SessionFilter, after: Option<SessionPosition>) -> Condition {
    Condition::all()
        .add_option(filter.status.map(|status| Column::Status.eq(status.as_str())))
        .add_option(filter.modality.map(|modality| Column::Modality.eq(modality.as_str())))
        .add_option(filter.assembly_id.map(|id| Column::AssemblyId.eq(id.as_uuid())))
        .add_option(filter.only.map(|id| Column::Id.eq(id.as_uuid())))
        .add_option(filter.from.map(|from| planned(|column| column.gte(from.unix_us()))))
        .add_option(filter.to.map(|to| planned(|column| column.lt(to.unix_us()))))
        .add_option(after.map(comes_after))
}

/// A condition on the planned start of a session, or on its creation when it has none.
fn planned(holds: impl Fn(Column) -> sea_orm::sea_query::SimpleExpr) -> Condition {
    let unplanned =
        Condition::all().add(Column::ScheduledStartAt.is_null()).add(holds(Column::CreatedAt));
    Condition::any().add(holds(Column::ScheduledStartAt)).add(unplanned)
}

fn comes_after(position: SessionPosition) -> Condition {
    let created_at = position.created_at.unix_us();
    let same_moment = Condition::all()
        .add(Column::CreatedAt.eq(created_at))
        .add(Column::Id.lt(position.id.as_uuid()));
    Condition::any().add(Column::CreatedAt.lt(created_at)).add(same_moment)
}

async fn replace(store: &Store, event: &SessionEvent, expected: u64) -> Result<bool, StoreError> {
    let tx = TenantTx::write(store, event.session.tenant_id).await?.marked(store).await?;
    let replaced = replace_in(store, &tx, event, expected).await?;
    tx.commit().await?;
    Ok(replaced)
}

async fn activate(
    store: &Store,
    event: &SessionEvent,
    expected: u64,
    active_max: u32,
) -> Result<Activation, StoreError> {
    let tx = TenantTx::write(store, event.session.tenant_id).await?.marked(store).await?;
    // The lock makes concurrent activations for this tenant count one after the other.
    tx.lock_tenant().await?;
    if !replace_in(store, &tx, event, expected).await? {
        tx.rollback().await?;
        return Ok(Activation::Stale);
    }
    let active = Entity::find()
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::Status.eq(SessionStatus::Active.as_str()))
        .count(tx.connection())
        .await?;
    if active > u64::from(active_max) {
        tx.rollback().await?;
        return Ok(Activation::LimitReached);
    }
    tx.commit().await?;
    Ok(Activation::Done)
}

/// Replaces the session, which locks its row until the transaction ends, and stores the event of
/// the change, and what from outside has led to it.
async fn replace_in(
    store: &Store,
    tx: &TenantTx,
    event: &SessionEvent,
    expected: u64,
) -> Result<bool, StoreError> {
    let session = &event.session;
    let result = Entity::update_many()
        .set(changes_of(session)?)
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::Id.eq(session.id.as_uuid()))
        .filter(Column::Version.eq(stored(expected)?))
        .exec(tx.connection())
        .await?;
    if result.rows_affected != 1 {
        return Ok(false);
    }
    if let Some(arrival) = &store.arrival {
        arrivals::enter(tx, session.id, arrival, event.at).await?;
    }
    outbox::enter_session_event(tx, event).await?;
    Ok(true)
}

/// Deletes the words that were likely to be said in a session, names among them.
pub(super) async fn forget_glossary(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    Entity::update_many()
        .col_expr(Column::TranscriptionGlossary, Expr::value(Option::<String>::None))
        .filter(Column::TenantId.eq(tx.tenant().as_uuid()))
        .filter(Column::Id.eq(session.as_uuid()))
        .exec(tx.connection())
        .await?;
    Ok(())
}
