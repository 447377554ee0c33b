//! Votes that an instance heard of which has not the room of their session, for the instance that
//! has it, which finds them by the outbox. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct VotesHeard;

impl MigrationName for VotesHeard {
    fn name(&self) -> &'static str {
        "m0028_votes_heard"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for VotesHeard {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let votes = Table::create()
            .table("votes_heard")
            .col(uuid("tenant_id"))
            .col(uuid("session_id"))
            .col(number("seq"))
            .col(number("at"))
            .col(text("kind"))
            .col(text("payload"))
            .primary_key(Index::create().col("tenant_id").col("session_id").col("seq"))
            .foreign_key(&mut session_reference("votes_heard"))
            .take();
        manager.create_table(votes).await?;
        protect(manager, "votes_heard", Visibility::Tenant).await
    }
}
