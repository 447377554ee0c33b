//! The state of rooms by parts, so that a decision writes what it changed.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct RoomParts;

impl MigrationName for RoomParts {
    fn name(&self) -> &'static str {
        "m0009_room_parts"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for RoomParts {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let parts = Table::create()
            .table("room_parts")
            .col(uuid("tenant_id"))
            .col(uuid("session_id"))
            .col(text("part"))
            .col(text("value"))
            .primary_key(Index::create().col("tenant_id").col("session_id").col("part"))
            .foreign_key(&mut session_reference("room_parts"))
            .take();
        manager.create_table(parts).await?;
        protect(manager, "room_parts", Visibility::Tenant).await
    }
}
