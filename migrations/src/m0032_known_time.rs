//! The last time by which an instance judged how old things are, so that one that starts with a clock
//! far ahead of it notices.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number};

pub(crate) struct KnownTime;

impl MigrationName for KnownTime {
    fn name(&self) -> &'static str {
        "m0032_known_time"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for KnownTime {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut change = Table::alter().table("installation").take();
        change.add_column(nullable(number("known_at")));
        manager.alter_table(change).await
    }
}
