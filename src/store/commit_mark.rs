//! Finding out whether a transaction was committed when its COMMIT got no answer. Such a transaction
//! writes a row of its own, its mark, and whoever commits it looks at the row afterwards. So what was
//! answered with an error has not happened, and does not happen later either.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, OnConflict, Query};

use crate::domain::id::TenantId;
use crate::domain::store_error::StoreError;
use crate::store::connect::Store;
use crate::store::probe::{self, TABLE};
use crate::store::tenant_tx::TenantTx;

/// Pause between two tries to find out. Raising it makes callers wait longer once the database is back.
const PAUSE: Duration = Duration::from_millis(200);

/// The rows that one process uses in turn: as many as there ever are transactions at once, which the
/// size of the pool bounds; while the database is away no others begin. Those of a process that has
/// ended stay, some dozens of bytes each.
#[derive(Default)]
pub(super) struct CommitMarks(Mutex<Vec<Row>>);

struct Row {
    id: i64,
    /// How often it was used.
    uses: i64,
}

/// The mark of one transaction. Its row is used again once this is dropped; who uses it next waits
/// for a transaction that is not over yet.
pub(super) struct CommitMark {
    store: Store,
    row: Row,
}

impl CommitMark {
    /// A mark that no other transaction has.
    pub(super) fn take(store: &Store) -> Self {
        let free = store.marks.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Row { id, uses } = free.unwrap_or_else(|| {
            // The row of the probe and those of other processes have other numbers.
            Row { id: rand::random_range(i64::MIN..0), uses: 0 }
        });
        Self { store: store.without_fence(), row: Row { id, uses: uses + 1 } }
    }

    /// Writes it in the transaction that it is for.
    pub(super) async fn write(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        let mark = Query::insert()
            .into_table(TABLE)
            .columns(["id", "writes"])
            .values_panic([self.row.id.into(), self.row.uses.into()])
            .on_conflict(OnConflict::column("id").update_column("writes").to_owned())
            .take();
        connection.execute(&mark).await?;
        Ok(())
    }

    /// Finds out whether its transaction was committed, which then is so for ever, and waits for the
    /// database as long as that takes. `error` is what its COMMIT failed with.
    pub(super) async fn resolve(
        self,
        tenant: TenantId,
        error: StoreError,
    ) -> Result<(), StoreError> {
        loop {
            match self.is_committed(tenant).await {
                Ok(true) => return Ok(()),
                Ok(false) => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    /// Looks at the row in a transaction that waits for the one that was marked: on PostgreSQL it
    /// may still be committing for a connection that was cut.
    async fn is_committed(&self, tenant: TenantId) -> Result<bool, StoreError> {
        let tx = TenantTx::write_from_reserve(&self.store, tenant).await?;
        if self.store.writer.is_some() {
            // A commit whose sync failed stays in SQLite's write-ahead log behind its end, and would
            // be valid after a crash. This one is written over it; the look alone changes no page,
            // and nothing would be written.
            probe::write_in(tx.connection()).await?;
        }
        let look = Query::insert()
            .into_table(TABLE)
            .columns(["id", "writes"])
            .values_panic([self.row.id.into(), 0_i64.into()])
            .on_conflict(
                OnConflict::column("id").value("writes", Expr::col((TABLE, "writes"))).to_owned(),
            )
            .returning_col("writes")
            .take();
        let row = tx.connection().query_one(&look).await?;
        let uses: i64 = row.map_or(Ok(0), |row| row.try_get("", "writes"))?;
        tx.commit_unsettled().await?;
        Ok(uses == self.row.uses)
    }
}

impl Drop for CommitMark {
    fn drop(&mut self) {
        let Row { id, uses } = self.row;
        let marks: &Arc<CommitMarks> = &self.store.marks;
        marks.0.lock().unwrap_or_else(PoisonError::into_inner).push(Row { id, uses });
    }
}
