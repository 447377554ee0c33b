//! The tenant of each session.

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ConnectionTrait, DeriveIden};
use uuid::Uuid;

use crate::domain::id::{SessionId, TenantId};
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::sessions::SessionDirectory;
use crate::store::connect::Store;
use crate::store::tenant_tx::TenantTx;

#[derive(Clone, Copy, DeriveIden)]
enum Directory {
    #[sea_orm(iden = "session_directory")]
    Table,
    SessionId,
    TenantId,
}

#[async_trait]
impl SessionDirectory for Store {
    async fn tenant_of(&self, session: SessionId) -> Result<Option<TenantId>, StoreError> {
        Ok(tenant_of(self, session).await?)
    }
}

async fn tenant_of(store: &Store, session: SessionId) -> Result<Option<TenantId>, StoreError> {
    let select = Query::select()
        .column(Directory::TenantId)
        .from(Directory::Table)
        .and_where(Expr::col(Directory::SessionId).eq(session.as_uuid()))
        .take();
    let row = store.connection.query_one(&select).await?;
    let tenant = row.map(|row| row.try_get::<Uuid>("", "tenant_id")).transpose()?;
    Ok(tenant.map(TenantId::from_uuid))
}

/// Adds a session to the directory, in the transaction that stores it.
pub(super) async fn enter(tx: &TenantTx, session: &Session) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table(Directory::Table)
        .columns([Directory::SessionId, Directory::TenantId])
        .values_panic([session.id.as_uuid().into(), session.tenant_id.as_uuid().into()])
        .take();
    tx.connection().execute(&insert).await?;
    Ok(())
}
