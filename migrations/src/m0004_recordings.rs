//! Recordings: tracks with their wrapped keys, segments, gaps and playable files. Also,
//! without a tenant: which recordings have unfinished work, and until when each is kept.
//! Columns that end in `_at` or `_after` are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{bytes, flag, nullable, number, reference, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct Recordings;

impl MigrationName for Recordings {
    fn name(&self) -> &'static str {
        "m0004_recordings"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Recordings {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [tracks(), segments(), gaps(), playables(), agenda()] {
            manager.create_table(table).await?;
        }
        let due = Index::create()
            .name("recording_agenda_by_erasure")
            .table("recording_agenda")
            .col("erase_after")
            .take();
        manager.create_index(due).await?;
        for table in ["recorded_tracks", "recorded_segments", "recorded_gaps", "playables"] {
            protect(manager, table, Visibility::Tenant).await?;
        }
        protect(manager, "recording_agenda", Visibility::Shared).await
    }
}

fn tracks() -> TableCreateStatement {
    Table::create()
        .table("recorded_tracks")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(uuid("id"))
        .col(uuid("track_id"))
        .col(text("user_id"))
        .col(text("name"))
        .col(text("source"))
        .col(text("codec"))
        .col(number("epoch"))
        .col(nullable(bytes("wrapped_key")))
        .col(number("seq"))
        .col(number("started_at"))
        .col(nullable(number("ended_at")))
        .primary_key(Index::create().col("tenant_id").col("session_id").col("id"))
        .foreign_key(&mut session_reference("recorded_tracks"))
        .take()
}

fn segments() -> TableCreateStatement {
    Table::create()
        .table("recorded_segments")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(uuid("track"))
        .col(number("index"))
        .col(number("size"))
        .col(bytes("sha256"))
        .col(number("from_ms"))
        .col(number("to_ms"))
        .col(number("flags"))
        .col(number("seq"))
        .primary_key(Index::create().col("tenant_id").col("session_id").col("track").col("index"))
        .foreign_key(&mut reference(
            "recorded_segments",
            "recorded_tracks",
            [("tenant_id", "tenant_id"), ("session_id", "session_id"), ("track", "id")],
        ))
        .take()
}

fn gaps() -> TableCreateStatement {
    Table::create()
        .table("recorded_gaps")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(uuid("track"))
        .col(number("from_ms"))
        .col(number("to_ms"))
        .col(number("reason"))
        .primary_key(
            Index::create()
                .col("tenant_id")
                .col("session_id")
                .col("track")
                .col("from_ms")
                .col("to_ms")
                .col("reason"),
        )
        .foreign_key(&mut session_reference("recorded_gaps"))
        .take()
}

fn playables() -> TableCreateStatement {
    Table::create()
        .table("playables")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(uuid("id"))
        .col(nullable(uuid("of_track")))
        .col(text("container"))
        .col(text("media_type"))
        .col(text("state"))
        .col(number("progress_permille"))
        .col(nullable(bytes("wrapped_key")))
        .col(number("from_ms"))
        .col(number("duration_ms"))
        .col(text("parts"))
        .col(nullable(text("failure")))
        .col(nullable(text("resume_at")))
        .col(number("updated_at"))
        .primary_key(Index::create().col("tenant_id").col("session_id").col("id"))
        .foreign_key(&mut session_reference("playables"))
        .take()
}

/// One row a session. `claimed_by` erases or exports it until `claimed_until`.
fn agenda() -> TableCreateStatement {
    Table::create()
        .table("recording_agenda")
        .col(uuid("session_id").primary_key().take())
        .col(uuid("tenant_id"))
        .col(flag("unfinished"))
        .col(nullable(number("erase_after")))
        .col(nullable(number("erased_at")))
        .col(nullable(uuid("claimed_by")))
        .col(nullable(number("claimed_until")))
        .foreign_key(&mut session_reference("recording_agenda"))
        .take()
}
