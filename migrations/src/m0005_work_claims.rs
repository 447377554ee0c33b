//! Which instance does which background work, and until when. Instances read this before
//! they know a tenant, so it contains instances and times, but no data of the work.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{number, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct WorkClaims;

impl MigrationName for WorkClaims {
    fn name(&self) -> &'static str {
        "m0005_work_claims"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for WorkClaims {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(claims()).await?;
        let by_instance = Index::create()
            .name("work_claims_by_instance")
            .table("work_claims")
            .col("instance")
            .take();
        manager.create_index(by_instance).await?;
        protect(manager, "work_claims", Visibility::Shared).await
    }
}

/// A row for each kind of work of a session that was ever taken. `epoch` counts
/// its owners; `leased_until` is microseconds since 1970 by the database's
/// clock, and 0 once the work was given back.
fn claims() -> TableCreateStatement {
    Table::create()
        .table("work_claims")
        .col(uuid("session_id"))
        .col(text("work"))
        .col(uuid("tenant_id"))
        .col(uuid("instance"))
        .col(number("epoch"))
        .col(number("leased_until"))
        .primary_key(Index::create().col("session_id").col("work"))
        .foreign_key(&mut session_reference("work_claims"))
        .take()
}
