//! The id of what a request with an idempotency key creates, chosen when the key is first used, so
//! that a repetition after a failure finds what was created. Claims of an earlier version have none.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(crate) struct PlannedIds;

impl MigrationName for PlannedIds {
    fn name(&self) -> &'static str {
        "m0023_planned_ids"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for PlannedIds {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("planned_id").uuid().null().take();
        let table = Table::alter().table("idempotency_keys").add_column(column).take();
        manager.alter_table(table).await
    }
}
