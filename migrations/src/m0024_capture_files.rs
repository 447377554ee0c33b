//! What edge devices published into their captures: the files that play it, which are objects of
//! the vault. `sequence` counts the segments of a capture and `breaks` those that do not go on
//! where the one before ended; a row without `header` is a header itself, and has neither. Each
//! publication has a row of `camera_directory` of the kind `capture`, which is due when its oldest
//! segment began. Columns that end in `_at` are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{bytes, nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct CaptureFiles;

impl MigrationName for CaptureFiles {
    fn name(&self) -> &'static str {
        "m0024_capture_files"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for CaptureFiles {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(publications()).await?;
        manager.create_table(files()).await?;
        let by_capture = Index::create()
            .name("capture_publications_by_capture")
            .table("capture_publications")
            .col("tenant_id")
            .col("capture_id")
            .take();
        manager.create_index(by_capture).await?;
        let by_sequence = Index::create()
            .name("capture_files_by_sequence")
            .table("capture_files")
            .col("tenant_id")
            .col("capture_id")
            .col("sequence")
            .take();
        manager.create_index(by_sequence).await?;
        for table in ["capture_publications", "capture_files"] {
            protect(manager, table, Visibility::Tenant).await?;
        }
        Ok(())
    }
}

fn publications() -> TableCreateStatement {
    Table::create()
        .table("capture_publications")
        .col(uuid("tenant_id"))
        .col(uuid("id"))
        .col(text("capture_id"))
        .col(bytes("wrapped_key"))
        .col(number("began_at"))
        .primary_key(Index::create().col("tenant_id").col("id"))
        .take()
}

fn files() -> TableCreateStatement {
    Table::create()
        .table("capture_files")
        .col(uuid("tenant_id"))
        .col(uuid("publication_id"))
        .col(number("number"))
        .col(text("capture_id"))
        .col(nullable(number("header")))
        .col(nullable(number("sequence")))
        .col(nullable(number("breaks")))
        .col(number("ticks"))
        .col(number("began_at"))
        .col(number("bytes"))
        .primary_key(Index::create().col("tenant_id").col("publication_id").col("number"))
        .take()
}
