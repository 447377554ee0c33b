//! A row that is written to find out whether the database can be written to.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::number;
use crate::{Visibility, protect};

pub(crate) struct WriteProbes;

impl MigrationName for WriteProbes {
    fn name(&self) -> &'static str {
        "m0007_write_probes"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for WriteProbes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let probes = Table::create()
            .table("write_probes")
            .col(number("id").primary_key().take())
            .col(number("writes"))
            .take();
        manager.create_table(probes).await?;
        protect(manager, "write_probes", Visibility::Shared).await
    }
}
