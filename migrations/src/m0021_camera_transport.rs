//! How a camera is to send its packets. Cameras that are known by now, and those that an
//! earlier version adds, send over their connection, as they did.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::text;

pub(crate) struct CameraTransport;

impl MigrationName for CameraTransport {
    fn name(&self) -> &'static str {
        "m0021_camera_transport"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for CameraTransport {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("transport").default("tcp").take();
        manager.alter_table(Table::alter().table("cameras").add_column(column).take()).await
    }
}
