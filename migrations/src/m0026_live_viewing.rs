//! Whether sessions may be watched live by people who are not in them. The column `camera_id` of
//! `stream_sessions` has `session~` and the id of a session when that is what is watched; no camera
//! has such an id.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::flag;

pub(crate) struct LiveViewing;

impl MigrationName for LiveViewing {
    fn name(&self) -> &'static str {
        "m0026_live_viewing"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for LiveViewing {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let live_viewing: ColumnDef = flag("live_viewing").default(false).take();
        let mut change = Table::alter().table("sessions").take();
        change.add_column(live_viewing);
        manager.alter_table(change).await
    }
}
