//! Cameras with their sealed addresses, who may watch them, and the captures of
//! edge devices. Beside them, shared: whose each session is, and when it runs
//! out. Columns that end in `_at` are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{bytes, nullable, number, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct Cameras;

impl MigrationName for Cameras {
    fn name(&self) -> &'static str {
        "m0013_cameras"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Cameras {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [cameras(), sessions(), captures(), directory()] {
            manager.create_table(table).await?;
        }
        let indexes = [
            ("stream_sessions_by_status", "stream_sessions", ["tenant_id", "status"]),
            ("camera_directory_by_due", "camera_directory", ["kind", "due_at"]),
        ];
        for (name, table, columns) in indexes {
            let mut index = Index::create().name(name).table(table).take();
            for column in columns {
                index.col(column);
            }
            manager.create_index(index).await?;
        }
        for table in ["cameras", "stream_sessions", "capture_sessions"] {
            protect(manager, table, Visibility::Tenant).await?;
        }
        protect(manager, "camera_directory", Visibility::Shared).await
    }
}

/// The address is sealed as a whole; `masked` is what may be shown of it.
fn cameras() -> TableCreateStatement {
    Table::create()
        .table("cameras")
        .col(uuid("tenant_id"))
        .col(text("id"))
        .col(uuid("secret_id"))
        .col(bytes("wrapped_key"))
        .col(bytes("sealed"))
        .col(text("masked"))
        .col(nullable(text("codec_hint")))
        .col(text("target_profiles"))
        .col(number("revision"))
        .col(number("created_at"))
        .col(number("updated_at"))
        .primary_key(Index::create().col("tenant_id").col("id"))
        .take()
}

fn sessions() -> TableCreateStatement {
    Table::create()
        .table("stream_sessions")
        .col(uuid("tenant_id"))
        .col(uuid("id"))
        .col(text("camera_id"))
        .col(text("status"))
        .col(number("requested_at"))
        .col(nullable(number("issued_at")))
        .col(nullable(number("activated_at")))
        .col(nullable(number("seen_at")))
        .col(number("due_at"))
        .col(nullable(number("ended_at")))
        .primary_key(Index::create().col("tenant_id").col("id"))
        .take()
}

fn captures() -> TableCreateStatement {
    Table::create()
        .table("capture_sessions")
        .col(uuid("tenant_id"))
        .col(text("id"))
        .col(text("device_id"))
        .col(text("stream_path"))
        .col(number("edge_started_at"))
        .col(nullable(number("edge_ended_at")))
        .col(nullable(text("playlist_url")))
        .col(number("opened_at"))
        .col(nullable(number("closed_at")))
        .primary_key(Index::create().col("tenant_id").col("id"))
        .take()
}

/// `kind` is `session`. `due_at` is when it runs out, and null when it is over.
fn directory() -> TableCreateStatement {
    Table::create()
        .table("camera_directory")
        .col(text("kind"))
        .col(text("id"))
        .col(uuid("tenant_id"))
        .col(nullable(number("due_at")))
        .primary_key(Index::create().col("kind").col("id").col("tenant_id"))
        .take()
}
