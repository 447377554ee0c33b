//! Removes what was deleted from the files of SQLite. Deleted rows are overwritten in the database
//! (`secure_delete`), but its write-ahead log keeps older contents of the same pages.

use std::time::Duration;

use sea_orm::sqlx::{self, AssertSqlSafe, Row as _};

use crate::domain::store_error::StoreError;
use crate::store::connect::{SQLITE_BUSY_TIMEOUT, Store};

/// How often this waits for readers before the caller has to try again later.
const TRIES: u32 = 5;
/// How long it waits each time, while nobody can write.
const PATIENCE: Duration = Duration::from_millis(200);

/// Empties the write-ahead log. Fails while a reader, of another process too, needs it.
pub(super) async fn scrub(store: &Store) -> Result<(), StoreError> {
    if store.serves_several() {
        return Ok(());
    }
    let store = store.clone();
    // In a task of its own, which is not dropped before the connection is as it was.
    let emptied = tokio::spawn(async move {
        for _ in 0..TRIES {
            let _writer = store.writer().await;
            if empty(&store).await? {
                return Ok(true);
            }
        }
        Ok::<_, sqlx::Error>(false)
    });
    match emptied.await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => {
            let why = "a reader of the database keeps its write-ahead log in use";
            Err(StoreError::Unavailable(why.to_owned()))
        }
        Ok(Err(error)) => Err(StoreError::Unavailable(error.to_string())),
        Err(error) => Err(StoreError::Unavailable(error.to_string())),
    }
}

/// Whether the log is empty now.
async fn empty(store: &Store) -> Result<bool, sqlx::Error> {
    let mut connection = store.connection.get_sqlite_connection_pool().acquire().await?;
    let wait =
        |time: Duration| AssertSqlSafe(format!("PRAGMA busy_timeout = {}", time.as_millis()));
    sqlx::query(wait(PATIENCE)).execute(&mut *connection).await?;
    let outcome = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *connection).await;
    sqlx::query(wait(SQLITE_BUSY_TIMEOUT)).execute(&mut *connection).await?;
    Ok(outcome?.try_get::<i64, _>("busy")? == 0)
}
