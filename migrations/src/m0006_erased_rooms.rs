//! The events of a room can be deleted once the recording of its session was erased, and
//! not before. On PostgreSQL a policy enforces that for every role.

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

pub(crate) struct ErasedRooms;

impl MigrationName for ErasedRooms {
    fn name(&self) -> &'static str {
        "m0006_erased_rooms"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for ErasedRooms {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        for table in ["room_events", "room_records"] {
            let sql = format!(
                "CREATE POLICY erased_only ON {table} AS RESTRICTIVE FOR DELETE USING (EXISTS (\
                 SELECT 1 FROM recording_agenda WHERE recording_agenda.session_id = \
                 {table}.session_id AND recording_agenda.erased_at IS NOT NULL))"
            );
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}
