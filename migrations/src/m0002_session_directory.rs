//! The tenant of each session. Services name a session but no tenant, so this table is
//! read before the tenant of the transaction is known; it contains nothing else about a
//! session.

use async_trait::async_trait;
use sea_orm::sea_query::{ColumnDef, Table};
use sea_orm::{ConnectionTrait as _, DbErr, DeriveIden};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::{Visibility, protect};

pub(crate) struct SessionDirectory;

impl MigrationName for SessionDirectory {
    fn name(&self) -> &'static str {
        "m0002_session_directory"
    }
}

#[derive(DeriveIden)]
enum Directory {
    #[sea_orm(iden = "session_directory")]
    Table,
    SessionId,
    TenantId,
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for SessionDirectory {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(Directory::Table)
            .col(ColumnDef::new(Directory::SessionId).uuid().not_null().primary_key())
            .col(ColumnDef::new(Directory::TenantId).uuid().not_null())
            .take();
        manager.create_table(table).await?;
        // A database that has sessions by now shows them all to its owner on
        // SQLite only; on PostgreSQL row-level security is lifted for the copy.
        let copy = "INSERT INTO session_directory (session_id, tenant_id) \
                    SELECT id, tenant_id FROM sessions";
        let connection = manager.get_connection();
        if manager.get_database_backend() == sea_orm::DbBackend::Postgres {
            connection
                .execute_unprepared("ALTER TABLE sessions NO FORCE ROW LEVEL SECURITY")
                .await?;
            connection.execute_unprepared(copy).await?;
            connection.execute_unprepared("ALTER TABLE sessions FORCE ROW LEVEL SECURITY").await?;
        } else {
            connection.execute_unprepared(copy).await?;
        }
        protect(manager, "session_directory", Visibility::Shared).await
    }
}
