//! Words that are likely to be said in a session, for the engine that recognises speech.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, text};

pub(crate) struct SessionGlossary;

impl MigrationName for SessionGlossary {
    fn name(&self) -> &'static str {
        "m0022_session_glossary"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for SessionGlossary {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut change = Table::alter().table("sessions").take();
        change.add_column(nullable(text("transcription_glossary")));
        manager.alter_table(change).await
    }
}
