//! What a combined file does without: which track, from when to when, and why.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, text};

pub(crate) struct PlayableLacks;

impl MigrationName for PlayableLacks {
    fn name(&self) -> &'static str {
        "m0027_playable_lacks"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for PlayableLacks {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut change = Table::alter().table("playables").take();
        change.add_column(nullable(text("lacks")));
        manager.alter_table(change).await
    }
}
