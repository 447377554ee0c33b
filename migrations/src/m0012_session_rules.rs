//! Rules of sessions: whose pictures are shown, and what passes a closed list.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{flag, nullable, text};

pub(crate) struct SessionRules;

impl MigrationName for SessionRules {
    fn name(&self) -> &'static str {
        "m0012_session_rules"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for SessionRules {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let passes: ColumnDef = flag("points_of_order_pass_closed_list").default(true).take();
        // SQLite adds one column at a time.
        for column in [nullable(text("media_policy")), passes] {
            let mut change = Table::alter().table("sessions").take();
            change.add_column(column);
            manager.alter_table(change).await?;
        }
        Ok(())
    }
}
