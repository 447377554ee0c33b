//! Used proofs of possession, shared by all instances (RFC 9449 §11.1).

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict, Query};
use sea_orm::{ConnectionTrait, DeriveIden};

use crate::auth::{self, ReplayCacheUnavailable};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;

/// How often an instance removes expired proofs. Proofs live for minutes, so the table contains
/// about what all instances accept in this time.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Clone, Copy, DeriveIden)]
enum DpopProofs {
    Table,
    KeyHash,
    ExpiresAt,
}

/// Remembers used proofs until they expire. They have no tenant, since this is asked before the
/// token was verified.
#[derive(Clone)]
pub struct ReplayCache {
    store: Store,
}

impl ReplayCache {
    pub(super) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Stores a proof until `expires_at`; returns `false` when it is stored already. Of concurrent
    /// calls, in any instance, exactly one returns `true`.
    pub async fn insert_if_absent(
        &self,
        key_hash: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.sweep_when_due(now).await?;
        // One statement, so that no other instance writes between reading and writing. An expired
        // proof counts as not stored.
        let insert = Query::insert()
            .into_table(DpopProofs::Table)
            .columns([DpopProofs::KeyHash, DpopProofs::ExpiresAt])
            .values_panic([key_hash.to_vec().into(), expires_at.unix_us().into()])
            .on_conflict(
                OnConflict::column(DpopProofs::KeyHash)
                    .update_column(DpopProofs::ExpiresAt)
                    .action_and_where(
                        Expr::col((DpopProofs::Table, DpopProofs::ExpiresAt)).lte(now.unix_us()),
                    )
                    .to_owned(),
            )
            .take();
        let _writer = self.store.writer().await;
        Ok(self.store.connection.execute(&insert).await?.rows_affected() == 1)
    }

    async fn sweep_when_due(&self, now: Timestamp) -> Result<(), StoreError> {
        let swept_at = self.store.swept_at_us.load(Ordering::Relaxed);
        if now.since(Timestamp::from_unix_us(swept_at)) < SWEEP_INTERVAL {
            return Ok(());
        }
        let mine = self.store.swept_at_us.compare_exchange(
            swept_at,
            now.unix_us(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if mine.is_ok() {
            let delete = Query::delete()
                .from_table(DpopProofs::Table)
                .and_where(Expr::col(DpopProofs::ExpiresAt).lte(now.unix_us()))
                .take();
            let _writer = self.store.writer().await;
            self.store.connection.execute(&delete).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl auth::ReplayCache for ReplayCache {
    async fn insert_if_absent(
        &self,
        key: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ReplayCacheUnavailable> {
        self.insert_if_absent(key, expires_at, now).await.map_err(|error| {
            tracing::error!(%error, "used proofs can't be stored");
            ReplayCacheUnavailable
        })
    }
}
