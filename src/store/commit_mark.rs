//! Finding out whether a transaction was committed when its COMMIT got no answer. Such a transaction
//! writes a row of its own, its mark, and whoever commits it looks at the row afterwards. So what was
//! answered with an error has not happened, and does not happen later either.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, OnConflict, Query};
use tokio_util::sync::CancellationToken;

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

/// Longest time that a look waits on PostgreSQL for a transaction that is not over.
const LOCK_TIME_MAX: &str = "SET LOCAL lock_timeout = '1s'";
/// Longest time of one look, so that one that gets no answer does not keep others from looking.
/// Longer than a statement may run.
const LOOK_TIME_MAX: Duration = Duration::from_secs(15);

/// The rows that one process uses in turn: as many as there are marked transactions at once. Those
/// that wait to be looked at hold no connection; no more begin while they are as many as there are
/// connections. The rows of a process that has ended stay, some dozens of bytes each.
pub(super) struct CommitMarks {
    /// Those whose transactions are over, the last one first; then those that rest, the oldest one
    /// first.
    rows: Mutex<VecDeque<Row>>,
    /// How many transactions there are of which it is not known whether they were committed.
    unresolved: AtomicUsize,
    /// So many of them that no more begin.
    unresolved_max: usize,
    /// Whoever looks holds this.
    turn: tokio::sync::Mutex<()>,
    /// Ends every wait to find out.
    stopping: CancellationToken,
}

impl CommitMarks {
    pub(super) fn new(unresolved_max: usize) -> Self {
        Self {
            rows: Mutex::default(),
            unresolved: AtomicUsize::new(0),
            unresolved_max,
            turn: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
        }
    }

    /// From now on nobody waits to find out: what became of a transaction whose COMMIT gets no answer
    /// stays unknown.
    pub(super) fn stop_waiting(&self) {
        self.stopping.cancel();
    }

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
    /// A mark that no other transaction has. There is none while too many transactions wait to be
    /// looked at.
    pub(super) fn take(store: &Store) -> Result<Self, StoreError> {
        if store.marks.unresolved.load(Ordering::Relaxed) >= store.marks.unresolved_max {
            let why = "what became of earlier changes is not known yet";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        let is_free = |row: &mut Row| row.rests_since.is_none_or(|since| since.elapsed() > REST);
        let free = store.marks.rows().pop_front_if(is_free);
        // The row of the probe and those of other processes have other numbers.
        let fresh = || Row { id: rand::random_range(i64::MIN..0), uses: 0, rests_since: None };
        let Row { id, uses, .. } = free.unwrap_or_else(fresh);
        Ok(Self { store: store.without_fence(), id, uses: uses + 1, is_over: false })
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

    /// Counts its transaction among those of which it is not known whether they were committed.
    pub(super) fn unresolved(self) -> Unresolved {
        self.store.marks.unresolved.fetch_add(1, Ordering::Relaxed);
        Unresolved(self)
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
        } else {
            // A transaction that still holds the row does not keep a connection busy for long.
            tx.connection().execute_unprepared(LOCK_TIME_MAX).await?;
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

/// The mark of a transaction whose COMMIT got no answer.
pub(super) struct Unresolved(CommitMark);

impl Unresolved {
    /// Finds out whether its transaction was committed, which then is so for ever, and waits for the
    /// database as long as that takes, or until the server stops. `error` is what its COMMIT failed
    /// with.
    pub(super) async fn resolve(
        mut self,
        tenant: TenantId,
        error: StoreError,
    ) -> Result<(), StoreError> {
        let stopping = self.0.store.marks.stopping.clone();
        let found = stopping.run_until_cancelled(self.look_until_known(tenant)).await;
        let Some(committed) = found else { return Err(StoreError::Unknown(error.to_string())) };
        self.0.is_over = true;
        if committed { Ok(()) } else { Err(error) }
    }

    /// One task looks at a time, so that many of them don't keep others from the database.
    async fn look_until_known(&self, tenant: TenantId) -> bool {
        loop {
            let _turn = self.0.store.marks.turn.lock().await;
            let look = Box::pin(self.0.is_committed(tenant));
            if let Ok(Ok(committed)) = tokio::time::timeout(LOOK_TIME_MAX, look).await {
                return committed;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

impl Drop for Unresolved {
    fn drop(&mut self) {
        self.0.store.marks.unresolved.fetch_sub(1, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::store::options::StoreOptions;

    fn failure() -> StoreError {
        StoreError::Unavailable("the answer got lost".to_owned())
    }

    async fn store() -> Store {
        let url = Secret::new("sqlite::memory:".to_owned());
        Store::connect(&StoreOptions::new(url)).await.expect("connected")
    }

    async fn committed(store: &Store) {
        let tx = TenantTx::write(store, TenantId::generate()).await.expect("begun");
        tx.marked(store).await.expect("marked").commit().await.expect("committed");
    }

    fn ids(store: &Store) -> Vec<i64> {
        store.marks.rows().iter().map(|row| row.id).collect()
    }

    #[tokio::test]
    async fn a_row_is_used_again_when_its_transaction_is_over_and_rests_otherwise() {
        let store = store().await;
        committed(&store).await;
        let first = ids(&store);
        committed(&store).await;
        assert_eq!(ids(&store), first, "a row that is free");
        let tx = TenantTx::write(&store, TenantId::generate()).await.expect("begun");
        drop(tx.marked(&store).await.expect("marked"));
        committed(&store).await;
        let both = ids(&store);
        assert_eq!(both.len(), 2, "a row of its own, since the first one rests");
        assert_eq!(both[1], first[0], "what rests is behind what is free");
        committed(&store).await;
        assert_eq!(ids(&store), both, "the row that is free");
    }

    #[tokio::test]
    async fn no_change_begins_while_an_earlier_one_is_not_known() {
        let store = store().await;
        let tenant = TenantId::generate();
        let earlier = CommitMark::take(&store).expect("a mark").unresolved();
        let tx = TenantTx::write(&store, tenant).await.expect("begun");
        let refused = tx.marked(&store).await.err();
        assert!(matches!(refused, Some(StoreError::Unavailable(_))), "{refused:?}");
        let outcome = earlier.resolve(tenant, failure()).await;
        assert_eq!(outcome, Err(failure()), "it was not committed");
        committed(&store).await;
    }

    #[tokio::test]
    async fn nobody_waits_for_an_outcome_once_the_server_stops() {
        let store = store().await;
        let tenant = TenantId::generate();
        let mark = CommitMark::take(&store).expect("a mark").unresolved();
        // Nobody can look while another transaction writes.
        let _writing = store.writer().await;
        let waiting = tokio::spawn(mark.resolve(tenant, failure()));
        store.stop_waiting();
        let outcome = waiting.await.expect("no panic");
        assert!(matches!(outcome, Err(StoreError::Unknown(_))), "{outcome:?}");
    }
}
