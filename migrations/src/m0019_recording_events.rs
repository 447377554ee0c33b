//! Events of recordings, to which rows of the outbox point as they do to those of
//! sessions and rooms. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct RecordingEvents;

impl MigrationName for RecordingEvents {
    fn name(&self) -> &'static str {
        "m0019_recording_events"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for RecordingEvents {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let events = Table::create()
            .table("recording_events")
            .col(uuid("tenant_id"))
            .col(uuid("session_id"))
            .col(number("seq"))
            .col(number("at"))
            .col(text("kind"))
            .col(text("payload"))
            .primary_key(Index::create().col("tenant_id").col("session_id").col("seq"))
            .foreign_key(&mut session_reference("recording_events"))
            .take();
        manager.create_table(events).await?;
        protect(manager, "recording_events", Visibility::Tenant).await
    }
}
