//! Connects to the database, with the checks that must succeed before the server starts.

use crate::store::error::SetupError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use sea_orm::sqlx::error::DatabaseError;
use sea_orm::sqlx::pool::PoolOptions;
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::sqlx::{self, AssertSqlSafe, Connection as _, SqliteConnection};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbErr, RuntimeErr};
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};

use crate::domain::arrival::Arrival;
use crate::domain::claim::Fence;
use crate::domain::secret::Secret;
use crate::domain::store_error::StoreError;
use crate::store::commit_mark::CommitMarks;
use crate::store::migrate::{self, MigrationStatus};
use crate::store::options::{Engine, MigrateOptions, OnConnect, StoreOptions, file_of};
use crate::store::probe;
use crate::store::replay_cache::ReplayCache;
use crate::store::reserve::DiskReserve;
use crate::store::roles;

/// Longest time that an SQLite write waits for a write of another process.
pub(super) const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before opening a busy file is tried again.
const SQLITE_CONNECT_PAUSE: Duration = Duration::from_millis(20);
/// How often opening a busy file is tried: for ten seconds, as long as a write waits.
const SQLITE_CONNECT_TRIES: u32 = 500;
/// Longest time of a write that only checks whether the database can be written to.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time that one statement may run on PostgreSQL, including waiting for locks.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that PostgreSQL waits for the next statement of a transaction, whose locks others wait
/// for: the connection may have been cut without its notice.
const IDLE_IN_TRANSACTION_MAX: Duration = Duration::from_secs(30);

/// The database of one instance. Cheap to clone; implements the repository traits of the stations.
#[derive(Clone)]
pub struct Store {
    pub(super) connection: DatabaseConnection,
    /// SQLite allows one writer at a time: writers of this process wait here in order, instead of
    /// polling for the lock of the file.
    pub(super) writer: Option<Arc<Mutex<()>>>,
    /// When expired proofs were last removed, in microseconds since 1970.
    pub(super) swept_at_us: Arc<AtomicI64>,
    /// Disk space that is reserved for work that was begun.
    reserve: Option<Arc<DiskReserve>>,
    /// Rows by which it is found out whether a transaction was committed.
    pub(super) marks: Arc<CommitMarks>,
    /// The claim that every transaction that writes tenants' data names.
    pub(super) fence: Option<Fence>,
    /// The event from outside that changes of sessions are noted with.
    pub(super) arrival: Option<Arc<Arrival>>,
}

impl Store {
    /// Whether other processes may use the same database: SQLite is for one.
    #[must_use]
    pub const fn serves_several(&self) -> bool {
        self.writer.is_none()
    }

    /// Connects, applies or checks migrations, and refuses a database that would not separate
    /// tenants.
    pub async fn connect(options: &StoreOptions) -> Result<Self, SetupError> {
        let engine = Engine::of(&options.url)?;
        let may_migrate = engine != Engine::Postgres || options.migration_url.is_some();
        if options.on_connect == OnConnect::Migrate && may_migrate && engine != Engine::SqliteMemory
        {
            migrate::up(&options.migrate_options()?).await?;
        }
        let connection = open(&options.url, engine, |connect| {
            connect
                .max_connections(options.max_connections.max(1))
                .acquire_timeout(options.acquire_timeout)
                .statement_timeout(STATEMENT_TIMEOUT)
                .map_sqlx_postgres_opts(|postgres| {
                    let idle_ms = IDLE_IN_TRANSACTION_MAX.as_millis().to_string();
                    postgres.options([("idle_in_transaction_session_timeout", idle_ms)])
                });
        })
        .await?;
        if engine == Engine::SqliteMemory {
            migrate::up_through(&connection, None).await?;
        }
        migrate::status_through(&connection).await?.require_current()?;
        if engine == Engine::Postgres {
            roles::check(&connection).await?;
        }
        let connections =
            if engine == Engine::Postgres { options.max_connections.max(1) } else { 1 };
        let writer = (engine != Engine::Postgres).then(|| Arc::new(Mutex::new(())));
        Ok(Self {
            connection,
            writer,
            swept_at_us: Arc::new(AtomicI64::new(0)),
            reserve: DiskReserve::of(options, engine)?.map(Arc::new),
            marks: Arc::new(CommitMarks::new(usize::try_from(connections).unwrap_or(usize::MAX))),
            fence: None,
            arrival: None,
        })
    }

    /// Applies every pending migration, all or none, and returns their names.
    pub async fn migrate(options: &MigrateOptions) -> Result<Vec<String>, SetupError> {
        migrate::up(options).await
    }

    /// Which migrations are applied, pending and unknown. Changes nothing: all are pending of an
    /// SQLite file that does not exist.
    pub async fn migration_status(options: &MigrateOptions) -> Result<MigrationStatus, SetupError> {
        if file_of(&options.url).is_some_and(|file| !file.exists()) {
            return Ok(MigrationStatus::of(&BTreeSet::new()));
        }
        let connection = open(&options.url, Engine::of(&options.url)?, |connect| {
            connect.max_connections(1);
        })
        .await?;
        let status = migrate::status_through(&connection).await;
        connection.close().await?;
        status
    }

    /// Checks whether the database can be written to now.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        self.check_reserve()?;
        let late = || StoreError::Unavailable("a write was not answered in time".to_owned());
        tokio::time::timeout(CHECK_TIMEOUT, probe::write(self)).await.map_err(|_| late())?
    }

    /// Refuses new work when the free disk space is needed for work that was begun.
    pub(super) fn check_reserve(&self) -> Result<(), StoreError> {
        self.reserve.as_ref().map_or(Ok(()), |reserve| reserve.check())
    }

    /// Lets nobody wait any longer to find out what became of a change while the database is away:
    /// such a change fails with [`StoreError::Unknown`]. Done first when the server stops.
    pub fn stop_waiting(&self) {
        self.marks.stop_waiting();
    }

    /// Closes every connection, waiting for those in use.
    pub async fn close(self) -> Result<(), StoreError> {
        Ok(self.connection.close().await?)
    }

    /// The lock to write, which SQLite gives to one writer at a time; `None` on PostgreSQL, which
    /// needs none.
    pub(super) async fn writer(&self) -> Option<OwnedMutexGuard<()>> {
        match &self.writer {
            Some(writer) => Some(writer.clone().lock_owned().await),
            None => None,
        }
    }

    /// The same database for the owner of a claim: every write names its epoch, and is refused once
    /// the work has another owner.
    #[must_use]
    pub fn with_fence(&self, fence: Fence) -> Self {
        Self { fence: Some(fence), ..self.clone() }
    }

    /// The same database for looking at what became of a transaction, which changes nothing.
    pub(super) fn without_fence(&self) -> Self {
        Self { fence: None, ..self.clone() }
    }

    /// The same database for what an event from outside leads to: every change of a session is
    /// stored with the name of the event, and refused when that has led to one before.
    pub(super) fn with_arrival(&self, arrival: &Arrival) -> Self {
        Self { arrival: Some(Arc::new(arrival.clone())), ..self.clone() }
    }

    /// The store of used proofs of possession, shared by all instances.
    #[must_use]
    pub fn replay_cache(&self) -> ReplayCache {
        ReplayCache::new(self.clone())
    }
}

/// Opens a connection pool. Statements are never logged, since they contain names and titles.
pub(super) async fn open(
    url: &Secret<String>,
    engine: Engine,
    adjust: impl FnOnce(&mut ConnectOptions),
) -> Result<DatabaseConnection, SetupError> {
    let mut connect = ConnectOptions::new(url.expose());
    connect.sqlx_logging(false).record_stmt_in_spans(false);
    connect.set_application_name("cabildo");
    adjust(&mut connect);
    if engine == Engine::SqliteMemory {
        connect.max_connections(1);
    }
    let refused = Arc::new(Notify::new());
    if engine != Engine::Postgres {
        let refused = Arc::clone(&refused);
        connect.map_sqlx_sqlite_pool_opts(move |pool| {
            let refused = Arc::clone(&refused);
            close_after_open_transactions(pool).after_connect(move |connection, _| {
                let refused = Arc::clone(&refused);
                Box::pin(async move {
                    let outcome = refuse_reader(connection).await;
                    if outcome.as_ref().is_err_and(is_read_only) {
                        refused.notify_one();
                    }
                    outcome
                })
            })
        });
        // One connection always stays open: without any, a database in memory is lost, and one on
        // disk must be recovered by the next connection.
        connect.min_connections(1).idle_timeout(None).max_lifetime(None);
        connect.map_sqlx_sqlite_opts(|sqlite| {
            sqlite
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                // A decision that was acknowledged must survive a power failure.
                .synchronous(SqliteSynchronous::Full)
                .foreign_keys(true)
                // What was erased is overwritten.
                .pragma("secure_delete", "ON")
                .busy_timeout(SQLITE_BUSY_TIMEOUT)
        });
    }
    if engine == Engine::Postgres {
        connect.map_sqlx_postgres_pool_opts(close_after_open_transactions);
    }
    // Boxed, because the futures of the drivers are large and every caller would contain them.
    let opened = Box::pin(connect_patiently(connect));
    tokio::select! {
        opened = opened => opened,
        // The pool would try again until its time is over, and then say only that it is.
        () = refused.notified() => {
            Err(SetupError::ReadOnly { file: file_of(url).unwrap_or_default() })
        }
    }
}

/// Closes every connection that returns to its pool with a transaction that is neither committed
/// nor rolled back. A COMMIT or ROLLBACK that fails leaves one: SQLite rolls back by itself when
/// the disk is full, and then refuses the ROLLBACK that follows. Later transactions on this
/// connection would only be savepoints, and their changes would be lost.
fn close_after_open_transactions<DB: sqlx::Database>(pool: PoolOptions<DB>) -> PoolOptions<DB> {
    pool.after_release(|connection, _| {
        Box::pin(async move {
            // Sends a ROLLBACK that was only queued so far.
            connection.ping().await?;
            Ok(!connection.is_in_transaction())
        })
    })
}

/// Fails on a connection that can only read. SQLite opens a file for reading that it can't open for
/// writing: the database, the write-ahead log or its index. Such a connection would refuse writes
/// long after the disk works again.
///
/// Begins a transaction that writes, in which nothing is done, and does not wait for other writers:
/// whether the connection can write is looked at before the lock. Other errors, such as that of a
/// disk that is full, say nothing about the connection.
async fn refuse_reader(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let patience_ms = SQLITE_BUSY_TIMEOUT.as_millis();
    sqlx::query("PRAGMA busy_timeout = 0").execute(&mut *connection).await?;
    let outcome = sqlx::query("PRAGMA incremental_vacuum(1)").execute(&mut *connection).await;
    let patience = format!("PRAGMA busy_timeout = {patience_ms}");
    sqlx::query(AssertSqlSafe(patience)).execute(connection).await?;
    match outcome {
        Err(error) if is_read_only(&error) => Err(error),
        _ => Ok(()),
    }
}

/// SQLite does not wait when two processes turn on the write-ahead log of a new file, or when one
/// opens it while the last one closes it; so this waits.
async fn connect_patiently(connect: ConnectOptions) -> Result<DatabaseConnection, SetupError> {
    for _ in 1..SQLITE_CONNECT_TRIES {
        match Database::connect(connect.clone()).await {
            Err(error) if is_busy(&error) => tokio::time::sleep(SQLITE_CONNECT_PAUSE).await,
            outcome => return Ok(outcome?),
        }
    }
    Ok(Database::connect(connect).await?)
}

/// Whether the result of SQLite is `SQLITE_BUSY`.
fn is_busy(error: &DbErr) -> bool {
    let DbErr::Conn(RuntimeErr::SqlxError(error)) = error else { return false };
    sqlite_result(error) == Some(5)
}

/// Whether the result of SQLite is `SQLITE_READONLY`.
fn is_read_only(error: &sqlx::Error) -> bool {
    sqlite_result(error) == Some(8)
}

/// The primary result code of SQLite, which is the low byte of its extended codes.
fn sqlite_result(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(DatabaseError::code)?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}
