//! Which session a request with an idempotency key was about, so that its answer is deleted when the
//! session's recording is erased. Requests of an earlier version have none, and are gone after a day.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(crate) struct KeysOfSessions;

impl MigrationName for KeysOfSessions {
    fn name(&self) -> &'static str {
        "m0031_keys_of_sessions"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for KeysOfSessions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("session_id").uuid().null().take();
        let table = Table::alter().table("idempotency_keys").add_column(column).take();
        manager.alter_table(table).await?;
        let by_session = Index::create()
            .name("idempotency_keys_by_session")
            .table("idempotency_keys")
            .col("tenant_id")
            .col("session_id")
            .take();
        manager.create_index(by_session).await
    }
}
