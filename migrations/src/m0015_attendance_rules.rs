//! The rules of attendance of a session, as JSON. Without them the defaults hold.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::Table;
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{nullable, text};

pub(crate) struct AttendanceRules;

impl MigrationName for AttendanceRules {
    fn name(&self) -> &'static str {
        "m0015_attendance_rules"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for AttendanceRules {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let rules =
            Table::alter().table("sessions").add_column(nullable(text("attendance"))).take();
        manager.alter_table(rules).await
    }
}
