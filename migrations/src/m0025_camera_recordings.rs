//! Cameras that are recorded outside sessions: what their tenants want of it. `bytes` counts the
//! bytes of the objects of a camera's segments. The files themselves are rows of
//! `capture_publications` and `capture_files`, whose `capture_id` is `camera/` and the camera's id,
//! which is the id of no capture; their `sequence` is empty, as they are read by `began_at`.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct CameraRecordings;

impl MigrationName for CameraRecordings {
    fn name(&self) -> &'static str {
        "m0025_camera_recordings"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for CameraRecordings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("camera_recordings")
            .col(uuid("tenant_id"))
            .col(text("camera_id"))
            .col(number("enabled"))
            .col(nullable(number("max_age_s")))
            .col(nullable(number("max_bytes")))
            .col(number("bytes"))
            .primary_key(Index::create().col("tenant_id").col("camera_id"))
            .take();
        manager.create_table(table).await?;
        let by_time = Index::create()
            .name("capture_files_by_time")
            .table("capture_files")
            .col("tenant_id")
            .col("capture_id")
            .col("began_at")
            .take();
        manager.create_index(by_time).await?;
        protect(manager, "camera_recordings", Visibility::Tenant).await
    }
}
