//! Meetings at other providers in the database.

use async_trait::async_trait;
use sea_orm::sea_query::{
    Cond, Expr, ExprTrait as _, Func, OnConflict, Order, Query, SelectStatement, UpdateStatement,
};
use sea_orm::{ConnectionTrait as _, QueryResult};
use uuid::Uuid;

use crate::domain::claim::Fence;
use crate::domain::hex::hex;
use crate::domain::id::{SessionId, SessionKey, TenantId};
use crate::domain::session::Provider;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::meetings::{Call, Intent, MeetingRepository, MeetingRow, MeetingState, ORPHAN_AFTER};
use crate::store::connect::Store;
use crate::store::error::{number, word};
use crate::store::tenant_tx::TenantTx;

const MEETINGS: &str = "provider_meetings";
/// What a meeting is read from.
const COLUMNS: [&str; 10] = [
    "tenant_id",
    "session_id",
    "provider",
    "state",
    "external_id",
    "attempted_at",
    "call",
    "call_at",
    "created_at",
    "tries",
];

#[async_trait]
impl MeetingRepository for Store {
    async fn intend(&self, intent: &Intent) -> Result<MeetingRow, StoreError> {
        Ok(intend(self, intent).await?)
    }

    async fn of_session(&self, key: SessionKey) -> Result<Option<MeetingRow>, StoreError> {
        Ok(one(self, select().cond_where(is_of(key)).take()).await?)
    }

    async fn named(
        &self,
        provider: Provider,
        external_id: &str,
    ) -> Result<Option<MeetingRow>, StoreError> {
        let named = Cond::all()
            .add(Expr::col("provider").eq(provider.as_str()))
            .add(Expr::col("external_id").eq(external_id));
        Ok(one(self, select().cond_where(named).take()).await?)
    }

    async fn begin_anew(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        provider: Provider,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(update(self, fence, meeting, |row| {
            row.value("provider", provider.as_str())
                .value("state", MeetingState::Intended.as_str())
                .value("origin", None::<String>)
                .value("external_id", None::<String>)
                .value("attempted_at", None::<i64>)
                .value("call", Call::None.as_str())
                .value("call_at", i64::MIN)
                .value("created_at", now.unix_us())
                .value("due_at", now.after(ORPHAN_AFTER).unix_us())
                .value("tries", 0);
        })
        .await?)
    }

    async fn attempted(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        Ok(update(self, fence, meeting, |row| {
            row.value("attempted_at", at.map(Timestamp::unix_us));
        })
        .await?)
    }

    async fn made(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        external_id: &str,
        due_at: Timestamp,
    ) -> Result<(), StoreError> {
        Ok(update(self, fence, meeting, |row| {
            row.value("state", MeetingState::Made.as_str())
                .value("external_id", external_id)
                .value("attempted_at", None::<i64>)
                .value("call", Call::None.as_str())
                .value("call_at", i64::MIN)
                .value("due_at", due_at.unix_us())
                .value("tries", 0);
        })
        .await?)
    }

    async fn close(&self, key: SessionKey, now: Timestamp) -> Result<(), StoreError> {
        Ok(close(self, key, now).await?)
    }

    async fn closed(&self, fence: Fence, meeting: &MeetingRow) -> Result<(), StoreError> {
        Ok(update(self, fence, meeting, |row| {
            // Providers may give its name to another meeting.
            row.value("state", MeetingState::Closed.as_str())
                .value("origin", None::<String>)
                .value("external_id", None::<String>);
        })
        .await?)
    }

    async fn postpone(
        &self,
        fence: Fence,
        meeting: &MeetingRow,
        due_at: Timestamp,
        tries: u32,
    ) -> Result<(), StoreError> {
        // What was noted meanwhile made it due at once.
        Ok(update(self, fence, meeting, |row| {
            row.value("due_at", due_at.unix_us())
                .value("tries", i64::from(tries))
                .and_where(Expr::col("state").eq(meeting.state.as_str()))
                .and_where(Expr::col("call_at").eq(meeting.call_at.unix_us()));
        })
        .await?)
    }

    async fn call_is(
        &self,
        meeting: &MeetingRow,
        call: Call,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(call_is(self, meeting, call, at).await?)
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<MeetingRow>, StoreError> {
        Ok(due(self, now, limit).await?)
    }

    async fn open(&self) -> Result<u64, StoreError> {
        Ok(open(self).await?)
    }
}

fn select() -> SelectStatement {
    Query::select().columns(COLUMNS).from(MEETINGS).take()
}

fn is_of(key: SessionKey) -> Cond {
    Cond::all()
        .add(Expr::col("tenant_id").eq(key.tenant.as_uuid()))
        .add(Expr::col("session_id").eq(key.session.as_uuid()))
}

async fn one(store: &Store, select: SelectStatement) -> Result<Option<MeetingRow>, StoreError> {
    let row = store.connection.query_one(&select).await?;
    row.as_ref().map(meeting_of).transpose()
}

async fn intend(store: &Store, intent: &Intent) -> Result<MeetingRow, StoreError> {
    let Intent { key: SessionKey { tenant, session }, provider, origin, at } = intent;
    let origin = origin.map(|origin| hex(&origin));
    let tx = TenantTx::write(store, *tenant).await?;
    let insert = Query::insert()
        .into_table(MEETINGS)
        .columns([
            "tenant_id",
            "session_id",
            "provider",
            "state",
            "origin",
            "call",
            "call_at",
            "created_at",
            "due_at",
            "tries",
        ])
        .values_panic([
            tenant.as_uuid().into(),
            session.as_uuid().into(),
            provider.as_str().into(),
            MeetingState::Intended.as_str().into(),
            origin.clone().into(),
            Call::None.as_str().into(),
            i64::MIN.into(),
            at.unix_us().into(),
            at.after(ORPHAN_AFTER).unix_us().into(),
            0.into(),
        ])
        // Of the session, or of the same request.
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .take();
    tx.connection().execute(&insert).await?;
    let mut found = Cond::any().add(Expr::col("session_id").eq(session.as_uuid()));
    if let Some(origin) = origin {
        found = found.add(Expr::col("origin").eq(origin));
    }
    let select =
        select().and_where(Expr::col("tenant_id").eq(tenant.as_uuid())).cond_where(found).take();
    let row = tx.connection().query_one(&select).await?;
    tx.commit().await?;
    let meeting = row.as_ref().map(meeting_of).transpose()?;
    meeting.ok_or_else(|| StoreError::Unavailable("a meeting was not stored".to_owned()))
}

/// Changes a meeting's row, unless the claim was taken over.
async fn update(
    store: &Store,
    fence: Fence,
    meeting: &MeetingRow,
    change: impl FnOnce(&mut UpdateStatement),
) -> Result<(), StoreError> {
    let tx = TenantTx::write(&store.with_fence(fence), meeting.key.tenant).await?;
    let mut update = Query::update().table(MEETINGS).cond_where(is_of(meeting.key)).take();
    change(&mut update);
    tx.connection().execute(&update).await?;
    tx.commit().await
}

async fn close(store: &Store, key: SessionKey, now: Timestamp) -> Result<(), StoreError> {
    // For what is acknowledged already, so the reserve of the disk may be used.
    let tx = TenantTx::write_from_reserve(store, key.tenant).await?;
    let update = Query::update()
        .table(MEETINGS)
        .value("state", MeetingState::Closing.as_str())
        .value("origin", None::<String>)
        .value("due_at", now.unix_us())
        .value("tries", 0)
        .cond_where(is_of(key))
        .and_where(Expr::col("state").eq(MeetingState::Made.as_str()))
        .take();
    tx.connection().execute(&update).await?;
    tx.commit().await
}

async fn call_is(
    store: &Store,
    meeting: &MeetingRow,
    call: Call,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let tx = TenantTx::write_from_reserve(store, meeting.key.tenant).await?;
    let update = Query::update()
        .table(MEETINGS)
        .value("call", call.as_str())
        .value("call_at", at.unix_us())
        // At once, by whichever clock: `at` is of the provider's.
        .value("due_at", 0)
        .cond_where(is_of(meeting.key))
        .and_where(Expr::col("state").eq(MeetingState::Made.as_str()))
        .and_where(Expr::col("call").ne(call.as_str()))
        .and_where(Expr::col("call_at").lte(at.unix_us()))
        .take();
    let noted = tx.connection().execute(&update).await?.rows_affected() == 1;
    tx.commit().await?;
    Ok(noted)
}

async fn due(store: &Store, now: Timestamp, limit: u32) -> Result<Vec<MeetingRow>, StoreError> {
    let select = select()
        .and_where(Expr::col("state").ne(MeetingState::Closed.as_str()))
        .and_where(Expr::col("due_at").lte(now.unix_us()))
        .order_by("due_at", Order::Asc)
        .limit(u64::from(limit))
        .take();
    let rows = store.connection.query_all(&select).await?;
    rows.iter().map(meeting_of).collect()
}

fn meeting_of(row: &QueryResult) -> Result<MeetingRow, StoreError> {
    let text = |column: &str| row.try_get::<String>("", column);
    Ok(MeetingRow {
        key: SessionKey::new(
            TenantId::from_uuid(row.try_get::<Uuid>("", "tenant_id")?),
            SessionId::from_uuid(row.try_get::<Uuid>("", "session_id")?),
        ),
        provider: word(Provider::parse(&text("provider")?), "provider")?,
        state: word(MeetingState::parse(&text("state")?), "state")?,
        external_id: row.try_get("", "external_id")?,
        attempted_at: row.try_get::<Option<i64>>("", "attempted_at")?.map(Timestamp::from_unix_us),
        call: word(Call::parse(&text("call")?), "call")?,
        call_at: Timestamp::from_unix_us(row.try_get("", "call_at")?),
        created_at: Timestamp::from_unix_us(row.try_get("", "created_at")?),
        tries: number(row.try_get("", "tries")?, "tries")?,
    })
}

async fn open(store: &Store) -> Result<u64, StoreError> {
    let select = Query::select()
        .expr_as(Func::count(Expr::col("session_id")), "open")
        .from(MEETINGS)
        .and_where(
            Expr::col("state").is_in([MeetingState::Made.as_str(), MeetingState::Closing.as_str()]),
        )
        .take();
    let row = store.connection.query_one(&select).await?;
    let open = row.map(|row| row.try_get("", "open")).transpose()?;
    number(open.unwrap_or(0), "open")
}
