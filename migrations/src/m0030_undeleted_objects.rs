//! How many objects of erased recordings the vault keeps for now, and when deleting them is tried
//! again.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number};

pub(crate) struct UndeletedObjects;

impl MigrationName for UndeletedObjects {
    fn name(&self) -> &'static str {
        "m0030_undeleted_objects"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for UndeletedObjects {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let undeleted: ColumnDef = number("undeleted").default(0).take();
        // SQLite adds one column at a time.
        for column in [nullable(number("delete_after")), undeleted] {
            let mut change = Table::alter().table("recording_agenda").take();
            manager.alter_table(change.add_column(column).take()).await?;
        }
        let due = Index::create()
            .name("recording_agenda_by_deletion")
            .table("recording_agenda")
            .col("delete_after")
            .take();
        manager.create_index(due).await
    }
}
