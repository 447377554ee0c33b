//! Writes that change no data, to check the database.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use crate::domain::store_error::StoreError;
use crate::store::connect::Store;

/// The row with the id 1 is the probe; those with negative ids are marks of transactions.
pub(super) const TABLE: &str = "write_probes";

/// Has PostgreSQL sort a mebibyte in a temporary file on the disk of the database, in one transaction
/// that ends with the statement. A row that is changed in place needs no room, so that a full disk
/// would not be noticed by it.
const ALLOCATE: &str = "SET LOCAL work_mem = '64kB'; SET LOCAL temp_tablespaces = ''; \
    SELECT count(*) FROM (SELECT repeat('x', 8000) || n AS piece \
    FROM generate_series(1, 128) AS n ORDER BY piece OFFSET 0) AS pieces";

/// Writes the only row of the table, and waits until it is on disk. On PostgreSQL there must be room
/// for new rows too; the disk of SQLite has a reserve.
pub(super) async fn write(store: &Store) -> Result<(), StoreError> {
    if store.serves_several() {
        store.connection.execute_unprepared(ALLOCATE).await?;
    }
    let _writer = store.writer().await;
    write_in(&store.connection).await
}

/// As [`write()`], as part of the transaction of `connection`.
pub(super) async fn write_in(connection: &impl ConnectionTrait) -> Result<(), StoreError> {
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["id", "writes"])
        .values_panic([1.into(), 1.into()])
        .on_conflict(
            OnConflict::column("id")
                .value("writes", Expr::col((TABLE, "writes")).add(1))
                .to_owned(),
        )
        .take();
    connection.execute(&insert).await?;
    Ok(())
}
