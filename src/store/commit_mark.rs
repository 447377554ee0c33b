//! Finding out whether a transaction was committed when its COMMIT got no answer. Such a transaction
//! writes a row of its own, its mark, and whoever commits it looks at the row afterwards. So what was
//! answered with an error has not happened, and does not happen later either.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, OnConflict, Query};

use crate::domain::id::TenantId;
use crate::domain::store_error::StoreError;
use crate::store::connect::Store;
use crate::store::probe::{self, TABLE};
use crate::store::tenant_tx::TenantTx;

/// Pause between two tries to find out. Raising it makes callers wait longer once the database is back.
const PAUSE: Duration = Duration::from_millis(200);

/// How long the row of a transaction that was given up is not used again. Longer than a server keeps
/// a transaction of a connection that was cut, which whoever uses the row next would wait for.
const REST: Duration = Duration::from_mins(1);

/// The rows that one process uses in turn. Those of a process that has ended stay, some dozens of
/// bytes each.
#[derive(Default)]
pub(super) struct CommitMarks {
    /// Those whose transactions are over, the last one first; then those that rest, the oldest one
    /// first.
    rows: Mutex<VecDeque<Row>>,
}

impl CommitMarks {
    fn rows(&self) -> MutexGuard<'_, VecDeque<Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Row {
    id: i64,
    /// How often it was used.
    uses: i64,
    /// Since when it rests.
    rests_since: Option<Instant>,
}

/// The mark of one transaction. Its row rests once this is dropped, since the transaction may not be
/// over.
pub(super) struct CommitMark {
    store: Store,
    id: i64,
    /// How often the row was used, with this time.
    uses: i64,
    /// Whether the transaction is surely over.
    is_over: bool,
}

impl CommitMark {
    /// A mark that no other transaction has.
    pub(super) fn take(store: &Store) -> Self {
        let is_free = |row: &mut Row| row.rests_since.is_none_or(|since| since.elapsed() > REST);
        let free = store.marks.rows().pop_front_if(is_free);
        // The row of the probe and those of other processes have other numbers.
        let fresh = || Row { id: rand::random_range(i64::MIN..0), uses: 0, rests_since: None };
        let Row { id, uses, .. } = free.unwrap_or_else(fresh);
        Self { store: store.without_fence(), id, uses: uses + 1, is_over: false }
    }

    /// Lets the row be used again at once, because the transaction is over.
    pub(super) fn give_back(mut self) {
        self.is_over = true;
    }

    /// Writes it in the transaction that it is for.
    pub(super) async fn write(&self, connection: &impl ConnectionTrait) -> Result<(), StoreError> {
        let mark = Query::insert()
            .into_table(TABLE)
            .columns(["id", "writes"])
            .values_panic([self.id.into(), self.uses.into()])
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
        let committed = loop {
            match self.is_committed(tenant).await {
                Ok(committed) => break committed,
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        self.give_back();
        if committed { Ok(()) } else { Err(error) }
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
            .values_panic([self.id.into(), 0_i64.into()])
            .on_conflict(
                OnConflict::column("id").value("writes", Expr::col((TABLE, "writes"))).to_owned(),
            )
            .returning_col("writes")
            .take();
        let row = tx.connection().query_one(&look).await?;
        let uses: i64 = row.map_or(Ok(0), |row| row.try_get("", "writes"))?;
        tx.commit_unsettled().await?;
        Ok(uses == self.uses)
    }
}

impl Drop for CommitMark {
    fn drop(&mut self) {
        let rests_since = (!self.is_over).then(Instant::now);
        let row = Row { id: self.id, uses: self.uses, rests_since };
        let mut rows = self.store.marks.rows();
        if self.is_over {
            rows.push_front(row);
        } else {
            rows.push_back(row);
        }
    }
}
