//! The leaves of the operator log. They have no tenant, since heads are public.

use sea_orm::sea_query::{Expr, ExprTrait as _, Order, Query};
use sea_orm::{ConnectionTrait, QueryResult};
use sha2::{Digest as _, Sha256};

use crate::domain::id::SessionId;
use crate::domain::store_error::StoreError;
use crate::store::connect::Store;
use crate::store::error::{from_position, number, stored};
use crate::store::shared_tx::SharedTx;

/// Advisory lock that allows one process at a time to add a leaf: "operator" in ASCII.
const OPERATOR_LOCK: i64 = 0x6f_70_65_72_61_74_6f_72;
const TABLE: &str = "operator_leaves";

/// Adds a leaf unless it exists; returns its index. The lock excludes other writers between
/// counting and writing, and leaves are never deleted, so indexes have neither gaps nor duplicates.
pub(super) async fn append(
    store: &Store,
    session: SessionId,
    tree_size: u64,
    cose: &[u8],
) -> Result<u64, StoreError> {
    let sha256 = Sha256::digest(cose).to_vec();
    let tx = SharedTx::locked(store, OPERATOR_LOCK).await?;
    let there = Query::select()
        .column("leaf_index")
        .from(TABLE)
        .and_where(Expr::col("sha256").eq(sha256.clone()))
        .take();
    if let Some(row) = tx.connection().query_one(&there).await? {
        return number(row.try_get("", "leaf_index")?, "leaf_index");
    }
    let index = size(tx.connection()).await?;
    let insert = Query::insert()
        .into_table(TABLE)
        .columns(["leaf_index", "session_id", "tree_size", "sha256", "cose"])
        .values_panic([
            stored(index)?.into(),
            session.as_uuid().into(),
            stored(tree_size)?.into(),
            sha256.into(),
            cose.to_vec().into(),
        ])
        .take();
    tx.connection().execute(&insert).await?;
    tx.commit().await?;
    Ok(index)
}

/// Number of leaves.
pub(super) async fn size(connection: &impl ConnectionTrait) -> Result<u64, StoreError> {
    let last = Query::select()
        .column("leaf_index")
        .from(TABLE)
        .order_by("leaf_index", Order::Desc)
        .limit(1)
        .take();
    match connection.query_one(&last).await? {
        Some(row) => Ok(number::<u64>(row.try_get("", "leaf_index")?, "leaf_index")? + 1),
        None => Ok(0),
    }
}

pub(super) async fn leaves(
    store: &Store,
    from: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let select = Query::select()
        .column("cose")
        .from(TABLE)
        .and_where(Expr::col("leaf_index").gte(from_position(from)))
        .order_by("leaf_index", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter().map(cose_of).collect()
}

pub(super) async fn leaf_of(
    store: &Store,
    session: SessionId,
) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
    let select = Query::select()
        .columns(["leaf_index", "cose"])
        .from(TABLE)
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .order_by("leaf_index", Order::Desc)
        .limit(1)
        .take();
    let Some(row) = store.connection.query_one(&select).await? else { return Ok(None) };
    Ok(Some((number(row.try_get("", "leaf_index")?, "leaf_index")?, cose_of(&row)?)))
}

fn cose_of(row: &QueryResult) -> Result<Vec<u8>, StoreError> {
    Ok(row.try_get("", "cose")?)
}
