//! Events from outside that led to a change of a session, written in the
//! transaction of the change, so that it is made once; and whether a session starts
//! with its assembly. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{flag, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct Arrivals;

impl MigrationName for Arrivals {
    fn name(&self) -> &'static str {
        "m0018_arrivals"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Arrivals {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let arrivals = Table::create()
            .table("arrivals")
            .col(uuid("tenant_id"))
            .col(uuid("session_id"))
            .col(text("source"))
            .col(text("event_id"))
            .col(number("at"))
            .primary_key(
                Index::create().col("tenant_id").col("session_id").col("source").col("event_id"),
            )
            .take();
        manager.create_table(arrivals).await?;
        let by_age = Index::create().name("arrivals_by_age").table("arrivals").col("at").take();
        manager.create_index(by_age).await?;
        // Names of events and ids, which are deleted by age for all tenants at once.
        protect(manager, "arrivals", Visibility::Shared).await?;
        let starts: ColumnDef = flag("start_with_assembly").default(false).take();
        let mut change = Table::alter().table("sessions").take();
        change.add_column(starts);
        manager.alter_table(change).await
    }
}
