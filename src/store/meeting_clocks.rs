//! What the clocks of machines showed last, and the times of sessions that are open.

use std::time::Duration;

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _, Func, OnConflict, Query};
use sea_orm::{ConnectionTrait, QueryResult};

use crate::clock::{Earlier, Host, NotedClock};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;

const TABLE: &str = "meeting_clocks";
/// For how long what a machine noted is kept once it notes nothing more. It concerns sessions that were open then.
const KEPT: Duration = Duration::from_hours(30 * 24);

impl Store {
    /// Notes what the clocks of a machine show.
    pub async fn note_clock(&self, host: &Host, noted: &NotedClock) -> Result<(), StoreError> {
        let insert = Query::insert()
            .into_table(TABLE)
            .columns(["host", "boot", "wall_at", "boot_us", "ahead_us"])
            .values_panic([
                host.name.as_str().into(),
                host.boot.as_str().into(),
                noted.wall.unix_us().into(),
                noted.boot_us.into(),
                noted.ahead_us.into(),
            ])
            .on_conflict(
                OnConflict::column("host")
                    .update_columns(["boot", "wall_at", "boot_us", "ahead_us"])
                    .to_owned(),
            )
            .take();
        let old = Query::delete()
            .from_table(TABLE)
            .and_where(Expr::col("wall_at").lt(noted.wall.before(KEPT).unix_us()))
            .take();
        let _writer = self.writer().await;
        self.connection.execute(&insert).await?;
        self.connection.execute(&old).await?;
        Ok(())
    }

    /// What an earlier process on this machine noted of its clocks. One under another name, as containers
    /// have it, counts when the machine was not started again.
    pub async fn earlier_clock(&self, host: &Host) -> Result<Option<Earlier>, StoreError> {
        let select = Query::select()
            .columns(["host", "boot", "wall_at", "boot_us", "ahead_us"])
            .from(TABLE)
            .take();
        let rows = self.connection.query_all(&select).await?;
        let found = rows.iter().map(|row| earlier(row, host)).collect::<Result<Vec<_>, _>>()?;
        let rank = |it: &Earlier| (it.is_same_boot, it.noted.wall);
        Ok(found.into_iter().flatten().max_by_key(rank))
    }

    /// The last time that a session has whose log is open; `None` when there is no such session.
    pub async fn newest_of_open_sessions(&self) -> Result<Option<Timestamp>, StoreError> {
        let open = Query::select().column("session_id").from("open_logs").take();
        let select = Query::select()
            .expr_as(Func::max(Expr::col("at")), Alias::new("newest"))
            .from("outbox")
            .and_where(Expr::col("session_id").in_subquery(open))
            .take();
        let row = self.connection.query_one(&select).await?;
        let newest_us = row.map(|row| row.try_get::<Option<i64>>("", "newest")).transpose()?;
        Ok(newest_us.flatten().map(Timestamp::from_unix_us))
    }
}

/// What a row says, if it is of this machine.
fn earlier(row: &QueryResult, host: &Host) -> Result<Option<Earlier>, StoreError> {
    let (name, boot): (String, String) = (row.try_get("", "host")?, row.try_get("", "boot")?);
    let is_same_boot = !boot.is_empty() && boot == host.boot;
    let noted = NotedClock {
        wall: Timestamp::from_unix_us(row.try_get("", "wall_at")?),
        boot_us: row.try_get("", "boot_us")?,
        ahead_us: row.try_get("", "ahead_us")?,
    };
    Ok((is_same_boot || name == host.name).then_some(Earlier { noted, is_same_boot }))
}
