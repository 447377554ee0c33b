//! What the governance service is to be told and asked, and what was done.
//! Instances look for due calls before they know a tenant, so this holds ids and
//! times, and nothing of what is said. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct GovernanceCalls;

impl MigrationName for GovernanceCalls {
    fn name(&self) -> &'static str {
        "m0011_governance_calls"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for GovernanceCalls {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(calls()).await?;
        let by_due = Index::create()
            .name("governance_calls_by_due")
            .table("governance_calls")
            .col("done_at")
            .col("due_at")
            .take();
        manager.create_index(by_due).await?;
        protect(manager, "governance_calls", Visibility::Shared).await
    }
}

/// A row for each call of a session, kept once it is done, so that the same
/// event read again adds nothing. `at` is when the session started or ended.
fn calls() -> TableCreateStatement {
    Table::create()
        .table("governance_calls")
        .col(uuid("session_id"))
        .col(text("step"))
        .col(uuid("tenant_id"))
        .col(uuid("assembly_id"))
        .col(number("at"))
        .col(number("due_at"))
        .col(number("tries"))
        .col(number("refusals"))
        .col(nullable(number("done_at")))
        .primary_key(Index::create().col("session_id").col("step"))
        .take()
}
