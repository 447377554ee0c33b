//! What was found whenever a camera was looked after, which is also the record of
//! every look. Columns that end in `_at` are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::sea_query::{Index, Table};
use sea_orm::{ConnectionTrait as _, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct CameraProbes;

impl MigrationName for CameraProbes {
    fn name(&self) -> &'static str {
        "m0016_camera_probes"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for CameraProbes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let probes = Table::create()
            .table("camera_probes")
            .col(uuid("tenant_id"))
            .col(text("camera_id"))
            .col(number("probed_at"))
            .col(text("cause"))
            .col(text("status"))
            .col(text("health"))
            .col(nullable(text("fault")))
            .col(nullable(text("video")))
            .col(nullable(text("audio")))
            .col(number("bitrate_bps"))
            .col(number("frame_rate_milli"))
            .col(nullable(number("latency_ms")))
            .col(number("failures"))
            .primary_key(Index::create().col("tenant_id").col("camera_id").col("probed_at"))
            .take();
        manager.create_table(probes).await?;
        // Cameras that are known by now are due at once. On PostgreSQL row-level security
        // is lifted for the copy.
        let copy = "INSERT INTO camera_directory (kind, id, tenant_id, due_at) \
                    SELECT 'camera', id, tenant_id, updated_at FROM cameras";
        let connection = manager.get_connection();
        if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
            connection
                .execute_unprepared("ALTER TABLE cameras NO FORCE ROW LEVEL SECURITY")
                .await?;
            connection.execute_unprepared(copy).await?;
            connection.execute_unprepared("ALTER TABLE cameras FORCE ROW LEVEL SECURITY").await?;
        } else {
            connection.execute_unprepared(copy).await?;
        }
        protect(manager, "camera_probes", Visibility::Tenant).await
    }
}
