//! Transactions on data that belong to no tenant.

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::OwnedMutexGuard;

use crate::domain::store_error::StoreError;
use crate::store::connect::Store;
use crate::store::tenant_tx::ON_DISK_AT_COMMIT;

/// A writing transaction without a tenant; one at a time for each lock. On PostgreSQL it sees no
/// tenant's rows. It is rolled back if it is dropped without a commit.
pub(super) struct SharedTx {
    /// Dropped before the guard, so that the next writer finds the file unlocked.
    transaction: DatabaseTransaction,
    _writer: Option<OwnedMutexGuard<()>>,
}

impl SharedTx {
    /// Begins a transaction, and waits until no other holds `lock`. On SQLite there is only one
    /// writer anyway.
    pub(super) async fn locked(store: &Store, lock: i64) -> Result<Self, StoreError> {
        let writer = match &store.writer {
            Some(writer) => Some(writer.clone().lock_owned().await),
            None => None,
        };
        let postgres = store.writer.is_none();
        let options = TransactionOptions {
            // Reads see everything that was committed before the lock was acquired.
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

    /// The connection for statements.
    pub(super) const fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Commits the transaction.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }
}
