//! Media tokens on the database.

use async_trait::async_trait;
use sea_orm::sea_query::{Condition, Expr, ExprTrait as _, Func, Order, Query, SelectStatement};
use sea_orm::{ConnectionTrait, QueryResult};
use uuid::Uuid;

use crate::auth::{
    LIFETIME_MAX, MediaToken, MediaTokenId, MediaTokenKind, MediaTokenRepository,
    MediaTokensUnavailable,
};
use crate::domain::id::{SessionId, SessionKey, TenantId, UserId};
use crate::domain::media::TrackSource;
use crate::domain::role::{Role, Roles};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::error::word;
use crate::store::tenant_tx::TenantTx;

const TABLE: &str = "media_tokens";
const COLUMNS: [&str; 10] = [
    "id",
    "session_id",
    "user_id",
    "name",
    "roles",
    "kind",
    "source",
    "created_at",
    "expires_at",
    "revoked_at",
];

impl From<StoreError> for MediaTokensUnavailable {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl MediaTokenRepository for Store {
    async fn insert(
        &self,
        token: &MediaToken,
        hash: [u8; 32],
        in_force_max: u32,
    ) -> Result<bool, MediaTokensUnavailable> {
        Ok(insert(self, token, hash, in_force_max).await?)
    }

    async fn find(
        &self,
        SessionKey { tenant, session }: SessionKey,
        hash: [u8; 32],
    ) -> Result<Option<MediaToken>, MediaTokensUnavailable> {
        let is_it = Condition::all()
            .add(Expr::col("session_id").eq(session.as_uuid()))
            .add(Expr::col("hash").eq(hash.to_vec()));
        Ok(select(self, tenant, is_it).await?.into_iter().next())
    }

    async fn read(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
    ) -> Result<Option<MediaToken>, MediaTokensUnavailable> {
        let is_it = Condition::all().add(Expr::col("id").eq(id.as_uuid()));
        Ok(select(self, tenant, is_it).await?.into_iter().next())
    }

    async fn list(
        &self,
        SessionKey { tenant, session }: SessionKey,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<Vec<MediaToken>, MediaTokensUnavailable> {
        let of_user = user.map(|user| Expr::col("user_id").eq(user.as_str()));
        let wanted = in_force(session, now).add_option(of_user);
        Ok(select(self, tenant, wanted).await?)
    }

    async fn renew(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
        given: ([u8; 32], Roles),
        now: Timestamp,
    ) -> Result<bool, MediaTokensUnavailable> {
        Ok(renew(self, tenant, id, (given, now)).await?)
    }

    async fn revoke(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
        now: Timestamp,
    ) -> Result<bool, MediaTokensUnavailable> {
        Ok(revoke(self, tenant, id, now).await?)
    }
}

/// Tokens of a session that are in force.
fn in_force(session: SessionId, now: Timestamp) -> Condition {
    Condition::all()
        .add(Expr::col("session_id").eq(session.as_uuid()))
        .add(Expr::col("revoked_at").is_null())
        .add(Expr::col("expires_at").gt(now.unix_us()))
}

async fn insert(
    store: &Store,
    token: &MediaToken,
    hash: [u8; 32],
    in_force_max: u32,
) -> Result<bool, StoreError> {
    let tx = TenantTx::write(store, token.tenant).await?.marked(store).await?;
    // Of two requests of one person the second counts what the first added.
    tx.lock_tenant().await?;
    // What ended more than a day ago is not asked for by any connection.
    let ended = token.created_at.before(LIFETIME_MAX);
    let forget = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("expires_at").lt(ended.unix_us()))
        .take();
    tx.connection().execute(&forget).await?;
    let count = Query::select()
        .expr_as(Func::count(Expr::col("id")), "in_force")
        .from(TABLE)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .cond_where(in_force(token.session, token.created_at))
        .and_where(Expr::col("user_id").eq(token.user.as_str()))
        .take();
    let row = tx.connection().query_one(&count).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get("", "in_force"))?;
    if count >= i64::from(in_force_max) {
        tx.rollback().await?;
        return Ok(false);
    }
    let add = Query::insert()
        .into_table(TABLE)
        .columns(["tenant_id", "hash"].into_iter().chain(COLUMNS))
        .values_panic([
            tx.tenant().as_uuid().into(),
            hash.to_vec().into(),
            token.id.as_uuid().into(),
            token.session.as_uuid().into(),
            token.user.as_str().into(),
            token.name.as_str().into(),
            words(token.roles).into(),
            token.kind.as_str().into(),
            token.source.map(TrackSource::as_str).into(),
            token.created_at.unix_us().into(),
            token.expires_at.unix_us().into(),
            token.revoked_at.map(Timestamp::unix_us).into(),
        ])
        .take();
    tx.connection().execute(&add).await?;
    tx.commit().await?;
    Ok(true)
}

async fn select(
    store: &Store,
    tenant: TenantId,
    wanted: Condition,
) -> Result<Vec<MediaToken>, StoreError> {
    let tx = TenantTx::read(store, tenant).await?;
    let select: SelectStatement = Query::select()
        .columns(COLUMNS)
        .from(TABLE)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .cond_where(wanted)
        .order_by("created_at", Order::Asc)
        .order_by("id", Order::Asc)
        .take();
    let rows = tx.connection().query_all(&select).await?;
    tx.commit().await?;
    rows.iter().map(|row| token_of(tenant, row)).collect()
}

async fn renew(
    store: &Store,
    tenant: TenantId,
    id: MediaTokenId,
    ((hash, roles), now): (([u8; 32], Roles), Timestamp),
) -> Result<bool, StoreError> {
    let tx = TenantTx::write(store, tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(TABLE)
        .value("hash", hash.to_vec())
        .value("roles", words(roles))
        .cond_where(is_in_force(&tx, id, now))
        .take();
    let renewed = tx.connection().execute(&update).await?.rows_affected() == 1;
    tx.commit().await?;
    Ok(renewed)
}

/// The token of this name, if it is in force.
fn is_in_force(tx: &TenantTx, id: MediaTokenId, now: Timestamp) -> Condition {
    Condition::all()
        .add(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .add(Expr::col("id").eq(id.as_uuid()))
        .add(Expr::col("revoked_at").is_null())
        .add(Expr::col("expires_at").gt(now.unix_us()))
}

fn words(roles: Roles) -> String {
    let roles: Vec<&str> = roles.iter().map(Role::as_str).collect();
    roles.join(" ")
}

async fn revoke(
    store: &Store,
    tenant: TenantId,
    id: MediaTokenId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // What ends something is done on a full disk too.
    let tx = TenantTx::write_from_reserve(store, tenant).await?.marked(store).await?;
    let update = Query::update()
        .table(TABLE)
        .value("revoked_at", now.unix_us())
        .cond_where(is_in_force(&tx, id, now))
        .take();
    let revoked = tx.connection().execute(&update).await?.rows_affected() == 1;
    tx.commit().await?;
    Ok(revoked)
}

fn token_of(tenant: TenantId, row: &QueryResult) -> Result<MediaToken, StoreError> {
    let text = |column: &str| row.try_get::<String>("", column);
    let moment = |column: &str| row.try_get::<i64>("", column).map(Timestamp::from_unix_us);
    let roles: Option<Vec<Role>> = text("roles")?.split_whitespace().map(Role::parse).collect();
    let source: Option<String> = row.try_get("", "source")?;
    let revoked_at: Option<i64> = row.try_get("", "revoked_at")?;
    Ok(MediaToken {
        id: MediaTokenId::from_uuid(row.try_get::<Uuid>("", "id")?),
        tenant,
        session: SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?),
        user: word(text("user_id")?.parse().ok(), "user_id")?,
        name: text("name")?,
        roles: Roles::of(&word(roles, "roles")?),
        kind: word(MediaTokenKind::parse(&text("kind")?), "kind")?,
        source: source.map(|it| word(TrackSource::parse(&it), "source")).transpose()?,
        created_at: moment("created_at")?,
        expires_at: moment("expires_at")?,
        revoked_at: revoked_at.map(Timestamp::from_unix_us),
    })
}

/// Deletes the tokens of a session, which name people.
pub(super) async fn forget(tx: &TenantTx, session: SessionId) -> Result<(), StoreError> {
    let delete = Query::delete()
        .from_table(TABLE)
        .and_where(Expr::col("tenant_id").eq(tx.tenant().as_uuid()))
        .and_where(Expr::col("session_id").eq(session.as_uuid()))
        .take();
    tx.connection().execute(&delete).await?;
    Ok(())
}
