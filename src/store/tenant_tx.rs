//! The only way to a transaction on tenants' data.

use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseTransaction, DbBackend, IsolationLevel,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use tokio::sync::OwnedMutexGuard;

use crate::domain::id::TenantId;
use crate::store::claims;
use crate::store::connect::Store;
use crate::store::error::StoreError;

/// Makes a commit wait for the disk on PostgreSQL, should the role or the
/// database have been told otherwise. Stronger settings stay.
pub(super) const ON_DISK_AT_COMMIT: &str = "CASE WHEN current_setting('synchronous_commit') = \
     'off' THEN set_config('synchronous_commit', 'on', true) END";

/// A transaction of one tenant. On PostgreSQL every statement in it sees and
/// may write only that tenant's rows; on SQLite the repositories' own filters
/// do that. Dropped without commit, it is rolled back.
pub(super) struct TenantTx {
    /// Dropped before the guard, so that the next writer finds the file free.
    transaction: DatabaseTransaction,
    tenant: TenantId,
    _writer: Option<OwnedMutexGuard<()>>,
}

impl TenantTx {
    /// A transaction that only reads.
    pub(super) async fn read(store: &Store, tenant: TenantId) -> Result<Self, StoreError> {
        Self::begin(store, tenant, AccessMode::ReadOnly).await
    }

    /// A transaction that writes. On SQLite it is the only one. When the store
    /// has a fence, the work has its owner until the transaction ends, or
    /// [`StoreError::Fenced`]; without one it is new work, which is refused when
    /// the disk is nearly full.
    pub(super) async fn write(store: &Store, tenant: TenantId) -> Result<Self, StoreError> {
        if store.fence.is_none() {
            store.check_reserve()?;
        }
        Self::write_from_reserve(store, tenant).await
    }

    /// As [`Self::write`], for what brings acknowledged work to its end: it may
    /// use the disk to the last.
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
            // `true`: until the end of the transaction, so that the pool can't
            // carry it over to another tenant.
            let statement = Statement::from_sql_and_values(
                DbBackend::Postgres,
                format!("SELECT set_config('app.tenant_id', $1, true), {ON_DISK_AT_COMMIT}"),
                [tenant.to_string().into()],
            );
            transaction.query_one_raw(statement).await?;
        }
        Ok(Self { transaction, tenant, _writer: writer })
    }

    /// Whose transaction it is; repositories filter by it on every database.
    pub(super) const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// What statements run on.
    pub(super) const fn connection(&self) -> &DatabaseTransaction {
        &self.transaction
    }

    /// Waits until no other transaction holds the tenant. SQLite's single
    /// writer already has it.
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

    /// Makes everything done in it last.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        Ok(self.transaction.commit().await?)
    }

    /// Undoes everything done in it.
    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        Ok(self.transaction.rollback().await?)
    }
}

fn options_of(store: &Store, access: AccessMode) -> TransactionOptions {
    if store.writer.is_none() {
        return TransactionOptions {
            // Each statement sees what was committed before it, which is what
            // counting after a lock needs.
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

/// Both halves of the tenant's UUID folded into the 64 bits of an advisory
/// lock. Two tenants that share a key only wait for each other.
fn lock_key(tenant: TenantId) -> i64 {
    let (high, low) = tenant.as_uuid().as_u64_pair();
    (high ^ low).cast_signed()
}
