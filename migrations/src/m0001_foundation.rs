//! Sessions, the journal of their rooms, keys of requests that may come twice,
//! and used proofs of possession. Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::sea_query::{
    ColumnDef, Expr, ExprTrait as _, ForeignKey, ForeignKeyCreateStatement, Index, Table,
    TableCreateStatement,
};
use sea_orm::{DbErr, DeriveIden};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::{Visibility, protect};

pub(crate) struct Foundation;

impl MigrationName for Foundation {
    fn name(&self) -> &'static str {
        "m0001_foundation"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Foundation {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(sessions()).await?;
        create_session_indexes(manager).await?;
        manager.create_table(room_records()).await?;
        manager.create_table(room_events()).await?;
        manager.create_table(idempotency_keys()).await?;
        manager.create_table(dpop_proofs()).await?;
        create_expiry_indexes(manager).await?;
        for table in ["sessions", "room_records", "room_events", "idempotency_keys"] {
            protect(manager, table, Visibility::Tenant).await?;
        }
        protect(manager, "dpop_proofs", Visibility::Shared).await
    }
}

#[derive(Clone, Copy, DeriveIden)]
enum Sessions {
    Table,
    Id,
    TenantId,
    AssemblyId,
    Title,
    Modality,
    Provider,
    Status,
    ScheduledStartAt,
    ScheduledEndAt,
    StartedAt,
    EndedAt,
    MaxParticipants,
    Moderation,
    RecordingEnabled,
    RecordingRetentionDays,
    TranscriptionEnabled,
    TranscriptionLanguage,
    DefaultTurnS,
    MaxTurnS,
    AutoStart,
    Version,
    CreatedAt,
}

#[derive(DeriveIden)]
enum RoomRecords {
    Table,
    TenantId,
    SessionId,
    Seq,
    State,
}

#[derive(DeriveIden)]
enum RoomEvents {
    Table,
    TenantId,
    SessionId,
    Seq,
    At,
    Kind,
    Payload,
}

#[derive(DeriveIden)]
enum IdempotencyKeys {
    Table,
    TenantId,
    Caller,
    Key,
    RequestHash,
    ClaimId,
    ClaimedAt,
    ExpiresAt,
    Status,
    Headers,
    Body,
}

#[derive(DeriveIden)]
enum DpopProofs {
    Table,
    KeyHash,
    ExpiresAt,
}

fn sessions() -> TableCreateStatement {
    use Sessions as Column;
    Table::create()
        .table(Column::Table)
        .col(ColumnDef::new(Column::Id).uuid().not_null().primary_key())
        .col(ColumnDef::new(Column::TenantId).uuid().not_null())
        .col(ColumnDef::new(Column::AssemblyId).uuid().not_null())
        .col(ColumnDef::new(Column::Title).text().not_null())
        .col(word(Column::Modality, &["virtual", "in_person", "mixed"]))
        .col(word(Column::Provider, &["webrtc", "google_meet", "zoom"]))
        .col(word(Column::Status, &["scheduled", "active", "completed", "cancelled"]))
        .col(ColumnDef::new(Column::ScheduledStartAt).big_integer())
        .col(ColumnDef::new(Column::ScheduledEndAt).big_integer())
        .col(ColumnDef::new(Column::StartedAt).big_integer())
        .col(ColumnDef::new(Column::EndedAt).big_integer())
        .col(ColumnDef::new(Column::MaxParticipants).big_integer().not_null())
        .col(word(Column::Moderation, &["open", "moderated"]))
        .col(ColumnDef::new(Column::RecordingEnabled).boolean().not_null())
        .col(ColumnDef::new(Column::RecordingRetentionDays).big_integer().not_null())
        .col(ColumnDef::new(Column::TranscriptionEnabled).boolean().not_null())
        .col(ColumnDef::new(Column::TranscriptionLanguage).text())
        .col(ColumnDef::new(Column::DefaultTurnS).big_integer().not_null())
        .col(ColumnDef::new(Column::MaxTurnS).big_integer().not_null())
        .col(ColumnDef::new(Column::AutoStart).boolean().not_null())
        .col(ColumnDef::new(Column::Version).big_integer().not_null())
        .col(ColumnDef::new(Column::CreatedAt).big_integer().not_null())
        .take()
}

/// The first also lets other tables refer to a session of their own tenant.
async fn create_session_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    use Sessions as Column;
    let index = |name: &str| Index::create().name(name).table(Column::Table).take();
    let by_id = index("sessions_by_tenant").unique().col(Column::TenantId).col(Column::Id).take();
    let by_creation = index("sessions_by_creation")
        .col(Column::TenantId)
        .col(Column::CreatedAt)
        .col(Column::Id)
        .take();
    let by_status = index("sessions_by_status").col(Column::TenantId).col(Column::Status).take();
    manager.create_index(by_id).await?;
    manager.create_index(by_creation).await?;
    manager.create_index(by_status).await
}

fn room_records() -> TableCreateStatement {
    use RoomRecords as Column;
    Table::create()
        .table(Column::Table)
        .col(ColumnDef::new(Column::TenantId).uuid().not_null())
        .col(ColumnDef::new(Column::SessionId).uuid().not_null())
        .col(ColumnDef::new(Column::Seq).big_integer().not_null())
        .col(ColumnDef::new(Column::State).text().not_null())
        .primary_key(Index::create().col(Column::TenantId).col(Column::SessionId))
        .foreign_key(&mut of_session(Column::Table, Column::TenantId, Column::SessionId))
        .take()
}

fn room_events() -> TableCreateStatement {
    use RoomEvents as Column;
    Table::create()
        .table(Column::Table)
        .col(ColumnDef::new(Column::TenantId).uuid().not_null())
        .col(ColumnDef::new(Column::SessionId).uuid().not_null())
        .col(ColumnDef::new(Column::Seq).big_integer().not_null())
        .col(ColumnDef::new(Column::At).big_integer().not_null())
        .col(ColumnDef::new(Column::Kind).text().not_null())
        .col(ColumnDef::new(Column::Payload).text().not_null())
        .primary_key(Index::create().col(Column::TenantId).col(Column::SessionId).col(Column::Seq))
        .foreign_key(&mut of_session(Column::Table, Column::TenantId, Column::SessionId))
        .take()
}

fn idempotency_keys() -> TableCreateStatement {
    use IdempotencyKeys as Column;
    Table::create()
        .table(Column::Table)
        .col(ColumnDef::new(Column::TenantId).uuid().not_null())
        .col(ColumnDef::new(Column::Caller).text().not_null())
        .col(ColumnDef::new(Column::Key).text().not_null())
        .col(ColumnDef::new(Column::RequestHash).binary_len(32).not_null())
        .col(ColumnDef::new(Column::ClaimId).uuid().not_null())
        .col(ColumnDef::new(Column::ClaimedAt).big_integer().not_null())
        .col(ColumnDef::new(Column::ExpiresAt).big_integer().not_null())
        .col(ColumnDef::new(Column::Status).big_integer())
        .col(ColumnDef::new(Column::Headers).text())
        .col(ColumnDef::new(Column::Body).text())
        .primary_key(Index::create().col(Column::TenantId).col(Column::Caller).col(Column::Key))
        .take()
}

fn dpop_proofs() -> TableCreateStatement {
    use DpopProofs as Column;
    Table::create()
        .table(Column::Table)
        .col(ColumnDef::new(Column::KeyHash).binary_len(32).not_null().primary_key())
        .col(ColumnDef::new(Column::ExpiresAt).big_integer().not_null())
        .take()
}

async fn create_expiry_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let keys = Index::create()
        .name("idempotency_keys_by_expiry")
        .table(IdempotencyKeys::Table)
        .col(IdempotencyKeys::TenantId)
        .col(IdempotencyKeys::ExpiresAt)
        .take();
    let proofs = Index::create()
        .name("dpop_proofs_by_expiry")
        .table(DpopProofs::Table)
        .col(DpopProofs::ExpiresAt)
        .take();
    manager.create_index(keys).await?;
    manager.create_index(proofs).await
}

/// A column with one of a few values. The values are written out here, because a later
/// change of the domain types must not change an applied migration.
fn word(column: Sessions, words: &[&str]) -> ColumnDef {
    let check = Expr::col(column).is_in(words.iter().copied());
    ColumnDef::new(column).text().not_null().check(check).take()
}

fn of_session<T>(table: T, tenant: T, session: T) -> ForeignKeyCreateStatement
where
    T: sea_orm::Iden + 'static,
{
    ForeignKey::create()
        .from_tbl(table)
        .from_col(tenant)
        .from_col(session)
        .to(Sessions::Table, (Sessions::TenantId, Sessions::Id))
        .take()
}
