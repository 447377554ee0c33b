//! Streams of cameras that clients started. Until when an instance keeps one is in
//! `camera_directory`, with the kind `stream`. Columns that end in `_at` are microseconds
//! since 1970; `masked` is the address without its credentials.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct CameraStreams;

impl MigrationName for CameraStreams {
    fn name(&self) -> &'static str {
        "m0017_camera_streams"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for CameraStreams {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let streams = Table::create()
            .table("camera_streams")
            .col(uuid("tenant_id"))
            .col(uuid("id"))
            .col(text("camera_id"))
            .col(text("masked"))
            .col(text("status"))
            .col(number("started_at"))
            .col(nullable(number("stopped_at")))
            .primary_key(Index::create().col("tenant_id").col("id"))
            .take();
        manager.create_table(streams).await?;
        protect(manager, "camera_streams", Visibility::Tenant).await
    }
}
