//! A write that changes no data, to check the database.

use sea_orm::ConnectionTrait as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};

use crate::store::connect::Store;
use crate::store::error::StoreError;

const TABLE: &str = "write_probes";

/// Writes the only row of the table, and waits until it is on disk.
pub(super) async fn write(store: &Store) -> Result<(), StoreError> {
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
    let _writer = store.writer().await;
    store.connection.execute(&insert).await?;
    Ok(())
}
