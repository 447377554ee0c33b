//! The only row says which installation the database belongs to, and whether the vault and the directory of
//! keys have something that is needed, so that each must have the marker of the installation.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{flag, number, uuid};
use crate::{Visibility, protect};

pub(crate) struct Installation;

impl MigrationName for Installation {
    fn name(&self) -> &'static str {
        "m0029_installation"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Installation {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let installation = Table::create()
            .table("installation")
            .col(number("id").primary_key().take())
            .col(uuid("identity"))
            .col(flag("vault_used"))
            .col(flag("keys_used"))
            .take();
        manager.create_table(installation).await?;
        protect(manager, "installation", Visibility::Shared).await
    }
}
