//! A write that changes no data, to check the database.

use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use crate::domain::store_error::StoreError;
use crate::store::connect::Store;

/// The row with the id 1 is the probe; those with negative ids are marks of transactions.
pub(super) const TABLE: &str = "write_probes";

/// Writes the only row of the table, and waits until it is on disk.
pub(super) async fn write(store: &Store) -> Result<(), StoreError> {
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
