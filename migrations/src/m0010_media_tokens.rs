//! Media tokens: what each is for, and the hash of its text. Columns that end in
//! `_at` are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{bytes, nullable, number, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct MediaTokens;

impl MigrationName for MediaTokens {
    fn name(&self) -> &'static str {
        "m0010_media_tokens"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for MediaTokens {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(media_tokens()).await?;
        let by_session = Index::create()
            .name("media_tokens_by_session")
            .table("media_tokens")
            .col("tenant_id")
            .col("session_id")
            .col("created_at")
            .take();
        manager.create_index(by_session).await?;
        protect(manager, "media_tokens", Visibility::Tenant).await
    }
}

fn media_tokens() -> TableCreateStatement {
    Table::create()
        .table("media_tokens")
        .col(uuid("tenant_id"))
        .col(uuid("id"))
        .col(uuid("session_id"))
        .col(bytes("hash").unique_key().take())
        .col(text("user_id"))
        .col(text("name"))
        .col(text("roles"))
        .col(text("kind"))
        .col(nullable(text("source")))
        .col(number("created_at"))
        .col(number("expires_at"))
        .col(nullable(number("revoked_at")))
        .primary_key(Index::create().col("tenant_id").col("id"))
        .foreign_key(&mut session_reference("media_tokens"))
        .take()
}
