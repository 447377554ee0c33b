//! Transactions on what belongs to no tenant.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::OwnedMutexGuard;

use crate::store::connect::Store;
use crate::store::error::StoreError;
use crate::store::tenant_tx::ON_DISK_AT_COMMIT;

/// A transaction of no tenant that writes, one at a time for each lock. On
/// PostgreSQL it sees no tenant's rows. Dropped without commit, it is rolled
/// back.
pub(super) struct SharedTx {
    /// Dropped before the guard, so that the next writer finds the file free.
    transaction: DatabaseTransaction,
    _writer: Option<OwnedMutexGuard<()>>,
}

impl SharedTx {
    /// Begins one, and waits until no other holds `lock`. On SQLite the single
    /// writer is the lock.
    pub(super) async fn locked(store: &Store, lock: i64) -> Result<Self, StoreError> {
        let writer = match &store.writer {
            Some(writer) => Some(writer.clone().lock_owned().await),
            None => None,
        };
        let postgres = store.writer.is_none();
        let options = TransactionOptions {
            // What was committed before the lock was had is seen after it.
            isolation_level: postgres.then_some(IsolationLevel::ReadCommitted),
            sqlite_transaction_mode: (!postgres).then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = store.connection.begin_with_options(options).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                format!("SELECT pg_advisory_xact_lock($1), {ON_DISK_AT_COMMIT}"),
                [lock.into()],
            );
            transaction.query_one_raw(statement).await?;
        }
        Ok(Self { transaction, _writer: writer })
    }

    /// What statements run on.
    pub(super) const fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Makes everything done in it last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}
