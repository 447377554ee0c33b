//! Which installation the database belongs to, and which of its stores have something that is needed.

use async_trait::async_trait;
use sea_orm::ConnectionTrait;
use sea_orm::sea_query::{Cond, Expr, ExprTrait as _, Query};
use uuid::Uuid;

use crate::domain::id::InstallationId;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::shared_tx::SharedTx;
use crate::vault::{Installation, Place, PlaceClaim};

/// Advisory lock that allows one process at a time to give the identity or a marker: "identity" in ASCII.
const IDENTITY_LOCK: i64 = 0x69_64_65_6e_74_69_74_79;
/// Advisory lock that allows one process at a time to compare its places: "places" in ASCII.
const PLACES_LOCK: i64 = 0x70_6c_61_63_65_73;
const TABLE: &str = "installation";
/// The id of the only row.
const ONLY: i64 = 1;
/// Tables without a tenant whose rows lead to keys or recordings.
const LEADING: [&str; 4] =
    ["session_directory", "camera_directory", "recording_agenda", "operator_leaves"];

#[async_trait]
impl Installation for Store {
    async fn known_identity(&self) -> Result<Option<InstallationId>, StoreError> {
        identity(&self.connection).await
    }

    async fn identity(&self) -> Result<InstallationId, StoreError> {
        if let Some(known) = identity(&self.connection).await? {
            return Ok(known);
        }
        let tx = SharedTx::locked(self, IDENTITY_LOCK).await?;
        // Another process may have given one before it let go of the lock.
        if let Some(known) = identity(tx.connection()).await? {
            return Ok(known);
        }
        let new = InstallationId::generate();
        let insert = Query::insert()
            .into_table(TABLE)
            .columns(["id", "identity", "vault_used", "keys_used"])
            .values_panic([ONLY.into(), new.as_uuid().into(), false.into(), false.into()])
            .take();
        tx.connection().execute(&insert).await?;
        tx.commit().await?;
        Ok(new)
    }

    async fn is_used(&self, place: Place) -> Result<bool, StoreError> {
        is_used(&self.connection, place).await
    }

    async fn note_used(&self, place: Place) -> Result<(), StoreError> {
        if self.is_used(place).await? {
            return Ok(());
        }
        let _writer = self.writer().await;
        use_from_now(&self.connection, place).await
    }

    async fn has_data(&self) -> Result<bool, StoreError> {
        for table in LEADING {
            let select = Query::select().expr(Expr::val(1)).from(table).limit(1).take();
            if self.connection.query_one(&select).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn claim(&self, place: Place) -> Result<Option<Box<dyn PlaceClaim>>, StoreError> {
        let tx = SharedTx::locked(self, IDENTITY_LOCK).await?;
        if is_used(tx.connection(), place).await? {
            return Ok(None);
        }
        Ok(Some(if self.serves_several() {
            Box::new(Shared { tx, place })
        } else {
            Box::new(Alone { store: self.clone(), place })
        }))
    }

    async fn wait_for_turn(&self) -> Result<Box<dyn Send>, StoreError> {
        // The lock takes one connection while what is done under it takes others.
        Ok(if self.serves_several() {
            Box::new(SharedTx::locked(self, PLACES_LOCK).await?)
        } else {
            Box::new(())
        })
    }

    async fn note_marked(&self, place: Place) -> Result<(), StoreError> {
        if self.serves_several() || self.has_data().await? {
            self.note_used(place).await?;
        }
        Ok(())
    }

    async fn note_found(&self, place: Place) -> Result<(), StoreError> {
        if self.serves_several() { self.note_used(place).await } else { Ok(()) }
    }
}

/// A claim among several instances: the lock, until it is committed that the place is used.
struct Shared {
    tx: SharedTx,
    place: Place,
}

#[async_trait]
impl PlaceClaim for Shared {
    async fn marked(self: Box<Self>) -> Result<(), StoreError> {
        use_from_now(self.tx.connection(), self.place).await?;
        self.tx.commit().await
    }
}

/// A claim of the only process that may use the database.
struct Alone {
    store: Store,
    place: Place,
}

#[async_trait]
impl PlaceClaim for Alone {
    async fn marked(self: Box<Self>) -> Result<(), StoreError> {
        self.store.note_marked(self.place).await
    }
}

async fn is_used(connection: &impl ConnectionTrait, place: Place) -> Result<bool, StoreError> {
    let select = Query::select()
        .column(column_of(place))
        .from(TABLE)
        .and_where(Expr::col("id").eq(ONLY))
        .take();
    let row = connection.query_one(&select).await?;
    Ok(row.map(|row| row.try_get("", column_of(place))).transpose()?.unwrap_or(false))
}

async fn use_from_now(connection: &impl ConnectionTrait, place: Place) -> Result<(), StoreError> {
    let update = Query::update()
        .table(TABLE)
        .value(column_of(place), true)
        .and_where(Expr::col("id").eq(ONLY))
        .take();
    connection.execute(&update).await?;
    Ok(())
}

const fn column_of(place: Place) -> &'static str {
    match place {
        Place::Vault => "vault_used",
        Place::Keys => "keys_used",
    }
}

async fn identity(connection: &impl ConnectionTrait) -> Result<Option<InstallationId>, StoreError> {
    let select =
        Query::select().column("identity").from(TABLE).and_where(Expr::col("id").eq(ONLY)).take();
    let row = connection.query_one(&select).await?;
    let identity = row.map(|row| row.try_get::<Uuid>("", "identity")).transpose()?;
    Ok(identity.map(InstallationId::from_uuid))
}

impl Store {
    /// The last time by which an instance judged how old things are.
    pub async fn known_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let select = Query::select()
            .column("known_at")
            .from(TABLE)
            .and_where(Expr::col("id").eq(ONLY))
            .take();
        let row = self.connection.query_one(&select).await?;
        let known_us = row.map(|row| row.try_get::<Option<i64>>("", "known_at")).transpose()?;
        Ok(known_us.flatten().map(Timestamp::from_unix_us))
    }

    /// Notes the time by which this instance judges how old things are, unless a later one is known.
    pub async fn note_time(&self, at: Timestamp) -> Result<(), StoreError> {
        let is_older = Expr::col("known_at").lt(at.unix_us());
        let update = Query::update()
            .table(TABLE)
            .value("known_at", at.unix_us())
            .and_where(Expr::col("id").eq(ONLY))
            .cond_where(Cond::any().add(Expr::col("known_at").is_null()).add(is_older))
            .take();
        let _writer = self.writer().await;
        self.connection.execute(&update).await?;
        Ok(())
    }
}
