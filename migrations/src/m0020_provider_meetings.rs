//! Meetings at other providers: which session has which, and what was found of
//! it. Instances look for what is due, and webhooks name meetings, before a tenant
//! is known, so this holds ids, states and times, and no address of a meeting; that
//! is with the session. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct ProviderMeetings;

impl MigrationName for ProviderMeetings {
    fn name(&self) -> &'static str {
        "m0020_provider_meetings"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for ProviderMeetings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(meetings()).await?;
        let index =
            |name: &'static str| Index::create().name(name).table("provider_meetings").take();
        let indexes = [
            index("provider_meetings_by_due").col("state").col("due_at").take(),
            index("provider_meetings_by_origin").col("tenant_id").col("origin").unique().take(),
            index("provider_meetings_by_name").col("provider").col("external_id").unique().take(),
        ];
        for index in indexes {
            manager.create_index(index).await?;
        }
        protect(manager, "provider_meetings", Visibility::Shared).await?;
        let mut change = Table::alter().table("sessions").take();
        change.add_column(nullable(text("meeting_url")));
        manager.alter_table(change).await
    }
}

/// A row for each meeting that was ever wanted. It is written before the provider is
/// called, and so before its session, which is stored once the meeting is made.
/// `origin` is a hash of the request that wants it, `attempted_at` the moment of a
/// call whose outcome is not known, `call` whether people are in the meeting and
/// `call_at` since when.
fn meetings() -> TableCreateStatement {
    Table::create()
        .table("provider_meetings")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(text("provider"))
        .col(text("state"))
        .col(nullable(text("origin")))
        .col(nullable(text("external_id")))
        .col(nullable(number("attempted_at")))
        .col(text("call"))
        .col(number("call_at"))
        .col(number("created_at"))
        .col(number("due_at"))
        .col(number("tries"))
        .primary_key(Index::create().col("tenant_id").col("session_id"))
        .take()
}
