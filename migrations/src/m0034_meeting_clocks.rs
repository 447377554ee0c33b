//! What the clocks of machines showed last, so that open sessions keep their time in the next process.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, text};
use crate::{Visibility, protect};

pub(crate) struct MeetingClocks;

impl MigrationName for MeetingClocks {
    fn name(&self) -> &'static str {
        "m0034_meeting_clocks"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for MeetingClocks {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let clocks = Table::create()
            .table("meeting_clocks")
            .col(text("host").primary_key().take())
            .col(text("boot"))
            .col(number("wall_at"))
            .col(number("boot_us"))
            .col(number("ahead_us"))
            .take();
        manager.create_table(clocks).await?;
        protect(manager, "meeting_clocks", Visibility::Shared).await
    }
}
