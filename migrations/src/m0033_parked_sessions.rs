//! Sessions whose events a reader of the outbox hands on by themselves, because one of them was not
//! accepted and the others do not wait for it; and an index that finds the events of one session in order.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct ParkedSessions;

impl MigrationName for ParkedSessions {
    fn name(&self) -> &'static str {
        "m0033_parked_sessions"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for ParkedSessions {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("outbox_parked")
            .col(text("reader"))
            .col(uuid("tenant_id"))
            .col(uuid("session_id"))
            .col(number("position"))
            .primary_key(Index::create().col("reader").col("session_id"))
            .take();
        manager.create_table(table).await?;
        let in_order = Index::create()
            .name("outbox_of_session_in_order")
            .table("outbox")
            .col("session_id")
            .col("position")
            .take();
        manager.create_index(in_order).await?;
        protect(manager, "outbox_parked", Visibility::Shared).await
    }
}
