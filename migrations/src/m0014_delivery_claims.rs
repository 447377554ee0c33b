//! Which instance hands events on to a place outside, and until when. It is the
//! same as `work_claims`, for work that is of no session.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct DeliveryClaims;

impl MigrationName for DeliveryClaims {
    fn name(&self) -> &'static str {
        "m0014_delivery_claims"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for DeliveryClaims {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let claims = Table::create()
            .table("delivery_claims")
            .col(uuid("session_id"))
            .col(text("work"))
            .col(uuid("tenant_id"))
            .col(uuid("instance"))
            .col(number("epoch"))
            .col(number("leased_until"))
            .primary_key(Index::create().col("session_id").col("work"))
            .take();
        manager.create_table(claims).await?;
        protect(manager, "delivery_claims", Visibility::Shared).await
    }
}
