//! Transactions on tenants' data; there is no other way to access them.

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::OwnedMutexGuard;

use crate::domain::id::TenantId;
use crate::domain::store_error::StoreError;
use crate::store::claims;
use crate::store::commit_mark::CommitMark;
use crate::store::connect::Store;

/// SQL that makes a commit wait for the disk on PostgreSQL, even if the role or the database is
/// configured otherwise. Stronger settings are kept.
pub(super) const ON_DISK_AT_COMMIT: &str = "CASE WHEN current_setting('synchronous_commit') = \
     'off' THEN set_config('synchronous_commit', 'on', true) END";

/// A transaction of one tenant. On PostgreSQL every statement in it sees and writes only that
/// tenant's rows; on SQLite the repositories' own conditions ensure that. It is rolled back if it
/// is dropped without a commit.
pub(super) struct TenantTx {
    /// Dropped before the guard, so that the next writer finds the file unlocked.
    transaction: DatabaseTransaction,
    tenant: TenantId,
    writer: Option<OwnedMutexGuard<()>>,
    mark: Option<CommitMark>,
}

impl TenantTx {
    /// Begins a transaction that only reads.
    pub(super) async fn read(store: &Store, tenant: TenantId) -> Result<Self, StoreError> {
        Self::begin(store, tenant, AccessMode::ReadOnly).await
    }

    /// Begins a transaction that writes. On SQLite it is the only one. If the store has a fence,
    /// the claim keeps its owner until the transaction ends, or this fails with
    /// [`StoreError::Fenced`]. Without a fence this is new work, which is refused when the disk is
    /// nearly full.
    pub(super) async fn write(store: &Store, tenant: TenantId) -> Result<Self, StoreError> {
        if store.fence.is_none() {
            store.check_reserve()?;
        }
        Self::write_from_reserve(store, tenant).await
    }

    /// As [`Self::write`], for completing acknowledged work: it may use the reserved disk space.
    pub(super) async fn write_from_reserve(
        store: &Store,
        tenant: TenantId,
    ) -> Result<Self, StoreError> {
        let tx = Self::begin(store, tenant, AccessMode::ReadWrite).await?;
        if let Some(fence) = store.fence
            && !claims::is_current(tx.connection(), fence).await?
        {
            tx.rollback().await?;
            return Err(StoreError::Fenced);
        }
        Ok(tx)
    }

    async fn begin(
        store: &Store,
        tenant: TenantId,
        access: AccessMode,
    ) -> Result<Self, StoreError> {
        let writer = match (&store.writer, access) {
            (Some(writer), AccessMode::ReadWrite) => Some(writer.clone().lock_owned().await),
            _ => None,
        };
        let transaction = store.connection.begin_with_options(options_of(store, access)).await?;
        if transaction.get_database_backend() == DbBackend::Postgres {
            // `true`: valid until the end of the transaction, so that the pool can't carry it over
            // to another tenant.
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                format!("SELECT set_config('app.tenant_id', $1, true), {ON_DISK_AT_COMMIT}"),
                [tenant.to_string().into()],
            );
            transaction.query_one_raw(statement).await?;
        }
        Ok(Self { transaction, tenant, writer, mark: None })
    }

    /// Marks the transaction, so that [`Self::commit`] fails only if nothing was changed: for changes
    /// whose failure is told to somebody who may ask again. Whoever repeats the same change by
    /// themselves needs no mark.
    pub(super) async fn marked(mut self, store: &Store) -> Result<Self, StoreError> {
        let mark = CommitMark::take(store)?;
        mark.write(&self.transaction).await?;
        self.mark = Some(mark);
        Ok(self)
    }

    /// The tenant of the transaction; repositories use it in conditions on every database.
    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// The connection for statements.
    pub(super) const fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Waits until no other transaction holds the lock of the tenant. On SQLite there is only one
    /// writer anyway.
    pub(super) async fn lock_tenant(&self) -> Result<(), StoreError> {
        if self.transaction.get_database_backend() == DbBackend::Postgres {
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                "SELECT pg_advisory_xact_lock($1)",
                [lock_key(self.tenant).into()],
            );
            self.transaction.query_one_raw(statement).await?;
        }
        Ok(())
    }

    /// Commits the transaction. When it is marked and no answer comes, this finds out whether it was
    /// committed.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        let Self { transaction, tenant, writer, mark } = self;
        let Err(error) = transaction.commit().await else {
            mark.into_iter().for_each(CommitMark::give_back);
            return Ok(());
        };
        // Counted before the next writer begins.
        let mark = mark.map(CommitMark::unresolved);
        drop(writer);
        match mark {
            Some(mark) => Box::pin(mark.resolve(tenant, error.into())).await,
            None => Err(error.into()),
        }
    }

    /// Commits the transaction. Whether that was done is not known when this fails.
    pub(super) async fn commit_unsettled(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    /// Rolls the transaction back.
    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.transaction.rollback().await?;
        self.mark.into_iter().for_each(CommitMark::give_back);
        Ok(())
    }
}

fn options_of(store: &Store, access: AccessMode) -> TransactionOptions {
    if store.writer.is_none() {
        return TransactionOptions {
            // Each statement sees what was committed before it, which counting after a lock
            // requires.
            isolation_level: Some(IsolationLevel::ReadCommitted),
            access_mode: Some(access),
            sqlite_transaction_mode: None,
        };
    }
    let mode = match access {
        AccessMode::ReadOnly => SqliteTransactionMode::Deferred,
        AccessMode::ReadWrite => SqliteTransactionMode::Immediate,
    };
    TransactionOptions { sqlite_transaction_mode: Some(mode), ..TransactionOptions::default() }
}

/// Folds both halves of the tenant's UUID into the 64 bits of an advisory lock. Two tenants with
/// the same key only wait for each other.
fn lock_key(tenant: TenantId) -> i64 {
    let (high, low) = tenant.as_uuid().as_u64_pair();
    (high ^ low).cast_signed()
}
