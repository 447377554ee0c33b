//! The log of each session: its state, entries, the texts of event entries, and signed
//! heads. Also, without a tenant: which logs are open, and the leaves of the operator log.
//! Times are microseconds since 1970.

use async_trait::async_trait;
use sea_orm::DbErr;
use sea_orm::sea_query::{Index, Table, TableCreateStatement};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager};

use crate::columns::{bytes, nullable, number, reference, session_reference, text, uuid};
use crate::{Visibility, protect};

pub(crate) struct Evidence;

impl MigrationName for Evidence {
    fn name(&self) -> &'static str {
        "m0003_evidence"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's own signature elides it")]
impl MigrationTrait for Evidence {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tables = [logs(), entries(), events(), heads(), open_logs(), operator_leaves()];
        for table in tables {
            manager.create_table(table).await?;
        }
        let newest = Index::create()
            .name("operator_leaves_by_session")
            .table("operator_leaves")
            .col("session_id")
            .col("leaf_index")
            .take();
        manager.create_index(newest).await?;
        for table in ["evidence_logs", "evidence_entries", "evidence_events", "evidence_heads"] {
            protect(manager, table, Visibility::Tenant).await?;
        }
        for table in ["open_logs", "operator_leaves"] {
            protect(manager, table, Visibility::Shared).await?;
        }
        Ok(())
    }
}

fn logs() -> TableCreateStatement {
    Table::create()
        .table("evidence_logs")
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(bytes("log_id"))
        .col(number("size"))
        .col(number("room_seq"))
        .col(number("last_event_seq"))
        .col(nullable(number("closed_seq")))
        .col(nullable(bytes("events_key")))
        .primary_key(Index::create().col("tenant_id").col("session_id"))
        .foreign_key(&mut session_reference("evidence_logs"))
        .take()
}

/// A table of what a log holds, by a number that counts within it.
fn of_log(table: &'static str, position: &'static str) -> TableCreateStatement {
    Table::create()
        .table(table)
        .col(uuid("tenant_id"))
        .col(uuid("session_id"))
        .col(number(position))
        .primary_key(Index::create().col("tenant_id").col("session_id").col(position))
        .foreign_key(&mut reference(
            table,
            "evidence_logs",
            [("tenant_id", "tenant_id"), ("session_id", "session_id")],
        ))
        .take()
}

fn entries() -> TableCreateStatement {
    of_log("evidence_entries", "seq").col(bytes("bytes")).col(bytes("leaf")).take()
}

fn events() -> TableCreateStatement {
    of_log("evidence_events", "seq").col(number("etype")).col(text("text")).take()
}

fn heads() -> TableCreateStatement {
    of_log("evidence_heads", "tree_size")
        .col(bytes("root"))
        .col(number("at"))
        .col(bytes("cose"))
        .col(text("jws"))
        .take()
}

/// Logs without a close entry, which a start looks for before it knows a tenant.
fn open_logs() -> TableCreateStatement {
    Table::create()
        .table("open_logs")
        .col(uuid("session_id").primary_key().take())
        .col(uuid("tenant_id"))
        .foreign_key(&mut session_reference("open_logs"))
        .take()
}

/// Heads are public, and so is the log of them.
fn operator_leaves() -> TableCreateStatement {
    Table::create()
        .table("operator_leaves")
        .col(number("leaf_index").primary_key().take())
        .col(uuid("session_id"))
        .col(number("tree_size"))
        .col(bytes("sha256").unique_key().take())
        .col(bytes("cose"))
        .take()
}
