//! Sessions: kept, listed, changed and limited.

use std::time::Duration;

use cabildo::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SessionStatus,
    SpeakingPolicy, TranscriptionPolicy,
};
use cabildo::domain::time::Timestamp;
use cabildo::sessions::{
    Activation, Change, ListQuery, SessionError, SessionEvent, SessionEventKind, SessionFilter,
    SessionPatch, SessionRepository,
};
use sea_orm::{ConnectionTrait, DbBackend};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases, new_session};

cases!(
    a_session_reads_back_as_it_was_stored,
    another_tenant_finds_and_changes_nothing,
    pages_are_newest_first_and_stable_under_inserts,
    filters_keep_what_they_name,
    of_concurrent_patches_of_one_version_one_is_stored,
    a_hundred_concurrent_starts_stop_at_the_limit,
    a_session_starts_once_and_its_end_frees_a_place,
    cancelling_survives_a_change_in_between,
);

/// A change that led to this session.
pub(crate) fn event_of(session: &Session) -> SessionEvent {
    SessionEvent { kind: SessionEventKind::Changed, at: NOW, session: session.clone() }
}

async fn a_session_reads_back_as_it_was_stored(fixture: Fixture) {
    let session = Session {
        id: SessionId::generate(),
        tenant_id: TenantId::generate(),
        assembly_id: AssemblyId::generate(),
        title: "Año 2027: ¿cuotas? '); DROP TABLE sessions; -- 🏛".to_owned(),
        modality: Modality::InPerson,
        provider: Provider::Zoom,
        meeting_url: Some("https://zoom.us/j/1".to_owned()),
        status: SessionStatus::Completed,
        scheduled_start_at: Some(Timestamp::from_unix_us(1)),
        scheduled_end_at: Some(Timestamp::from_unix_us(i64::MAX)),
        started_at: Some(Timestamp::from_unix_us(-1)),
        ended_at: Some(NOW),
        max_participants: u32::MAX,
        moderation: ModerationMode::Open,
        media_policy: Some(MediaPolicy::Floor),
        start_with_assembly: true,
        live_viewing: true,
        recording: RecordingPolicy { enabled: true, retention_days: 30 },
        transcription: TranscriptionPolicy {
            enabled: true,
            language: Some("es-CO".to_owned()),
            glossary: vec!["Ñemby \"'); --".to_owned(), "🏛".to_owned()],
        },
        speaking: SpeakingPolicy {
            default_turn_s: 60,
            max_turn_s: u32::MAX,
            auto_start: true,
            points_of_order_pass_closed_list: false,
        },
        attendance: cabildo::domain::quorum::AttendanceRules::default(),
        version: 7,
        created_at: NOW,
    };
    fixture.store().insert(&event_of(&session)).await.expect("stored");
    let found = fixture.stores[1].find(session.key()).await.expect("found");
    assert_eq!(found.as_ref(), Some(&session));

    let plain = fixture.session(session.tenant_id).await;
    let found = fixture.stores[1].find(plain.key()).await.expect("found");
    assert_eq!(found, Some(plain));
    assert!(fixture.store().insert(&event_of(&session)).await.is_err(), "one id was stored twice");
}

async fn another_tenant_finds_and_changes_nothing(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let stranger = TenantId::generate();
    let store = fixture.store();
    assert_eq!(store.find(SessionKey::new(stranger, session.id)).await, Ok(None));
    let all = SessionFilter::default();
    assert_eq!(store.list(stranger, &all, None, 200).await, Ok(vec![]));

    let stolen = Session { tenant_id: stranger, title: "mine now".to_owned(), ..session.clone() };
    assert_eq!(store.replace(&event_of(&stolen), session.version).await, Ok(false));
    assert_eq!(store.activate(&event_of(&stolen), session.version, 9).await, Ok(Activation::Stale));
    let [service, _] = fixture.services(9);
    let patch = SessionPatch { title: Change::Set("mine".to_owned()), ..SessionPatch::default() };
    assert_eq!(
        service.patch(SessionKey::new(stranger, session.id), 1, patch, NOW).await,
        Err(SessionError::NotFound)
    );
    assert_eq!(
        service.start(SessionKey::new(stranger, session.id), None, NOW).await,
        Err(SessionError::NotFound)
    );
    assert_eq!(store.find(session.key()).await, Ok(Some(session)));
}

async fn pages_are_newest_first_and_stable_under_inserts(fixture: Fixture) {
    let tenant = TenantId::generate();
    let [service, _] = fixture.services(1);
    // Moments repeat, so that the order rests on ids too.
    let mut expected = Vec::new();
    for number in 0..7 {
        let now = NOW.after(Duration::from_secs(number / 3));
        expected.push(service.create(new_session(tenant), now).await.expect("created"));
    }
    expected.sort_by_key(|session| std::cmp::Reverse((session.created_at, session.id)));

    let mut query = ListQuery { limit: Some(3), ..ListQuery::default() };
    let mut listed = Vec::new();
    loop {
        let page = service.list(tenant, &query).await.expect("a page");
        assert!(page.sessions.len() <= 3);
        listed.extend(page.sessions);
        // Something new never moves what is still to come.
        let later = NOW.after(Duration::from_hours(1));
        service.create(new_session(tenant), later).await.expect("created");
        let Some(cursor) = page.next_cursor else { break };
        query.cursor = Some(cursor);
    }
    assert_eq!(listed, expected);

    for (limit, cursor) in [(Some(0), None), (Some(201), None), (None, Some("x".to_owned()))] {
        let query = ListQuery { limit, cursor, ..ListQuery::default() };
        let refused = service.list(tenant, &query).await;
        assert!(matches!(refused, Err(SessionError::Invalid(_))), "{query:?} was taken");
    }
}

async fn filters_keep_what_they_name(fixture: Fixture) {
    let tenant = TenantId::generate();
    let [service, _] = fixture.services(1);
    let hour = Duration::from_hours(1);
    let unplanned = service.create(new_session(tenant), NOW).await.expect("created");
    let mut planned = new_session(tenant);
    planned.modality = Modality::Virtual;
    planned.scheduled_start_at = Some(NOW.after(hour));
    let planned = service.create(planned, NOW.after(hour * 5)).await.expect("created");
    let active =
        service.start(SessionKey::new(tenant, unplanned.id), None, NOW).await.expect("started");

    let listed = async |filter: SessionFilter| {
        let query = ListQuery { filter, ..ListQuery::default() };
        let page = service.list(tenant, &query).await.expect("a page");
        page.sessions.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    let all = SessionFilter::default;
    assert_eq!(listed(all()).await, [planned.id, active.id]);
    let status = Some(SessionStatus::Active);
    assert_eq!(listed(SessionFilter { status, ..all() }).await, [active.id]);
    let modality = Some(Modality::Virtual);
    assert_eq!(listed(SessionFilter { modality, ..all() }).await, [planned.id]);
    let assembly_id = Some(active.assembly_id);
    assert_eq!(listed(SessionFilter { assembly_id, ..all() }).await, [active.id]);
    let only = Some(planned.id);
    assert_eq!(listed(SessionFilter { only, ..all() }).await, [planned.id]);
    assert_eq!(listed(SessionFilter { only, status, ..all() }).await, []);
    // A plan counts before the creation, and `to` is not included.
    let (from, to) = (Some(NOW), Some(NOW.after(hour)));
    assert_eq!(listed(SessionFilter { from, to, ..all() }).await, [active.id]);
    let (from, to) = (Some(NOW.after(hour)), Some(NOW.after(hour * 2)));
    assert_eq!(listed(SessionFilter { from, to, ..all() }).await, [planned.id]);
}

async fn of_concurrent_patches_of_one_version_one_is_stored(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let services = fixture.services(1);
    let mut tasks = JoinSet::new();
    for number in 0..20 {
        let service = services[number % 2].clone();
        let (tenant, id) = (session.tenant_id, session.id);
        tasks.spawn(async move {
            let title = Change::Set(format!("title {number}"));
            service
                .patch(
                    SessionKey::new(tenant, id),
                    1,
                    SessionPatch { title, ..SessionPatch::default() },
                    NOW,
                )
                .await
        });
    }
    let mut stored = Vec::new();
    for outcome in tasks.join_all().await {
        match outcome {
            Ok(session) => stored.push(session),
            Err(error) => assert_eq!(error, SessionError::VersionConflict { current: 2 }),
        }
    }
    assert_eq!(stored.len(), 1, "{stored:?}");
    let found = fixture.store().find(session.key()).await.expect("found");
    assert_eq!(found.as_ref(), stored.first());
}

async fn a_hundred_concurrent_starts_stop_at_the_limit(fixture: Fixture) {
    const LIMIT: u32 = 7;
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let services = fixture.services(LIMIT);
    // Another tenant's active sessions don't count.
    let elsewhere = fixture.session(other).await;
    services[0].start(SessionKey::new(other, elsewhere.id), None, NOW).await.expect("started");
    let mut sessions = Vec::new();
    for _ in 0..100 {
        sessions.push(fixture.session(tenant).await.id);
    }
    widen_the_race(&fixture).await;
    let mut tasks = JoinSet::new();
    for (number, id) in sessions.into_iter().enumerate() {
        let service = services[number % 2].clone();
        tasks.spawn(async move { service.start(SessionKey::new(tenant, id), None, NOW).await });
    }
    let (started, refused): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(Result::is_ok);
    for outcome in &refused {
        assert_eq!(outcome, &Err(SessionError::LimitReached { limit: LIMIT }));
    }
    assert_eq!((started.len(), refused.len()), (7, 93));
    let status = Some(SessionStatus::Active);
    let filter = SessionFilter { status, ..SessionFilter::default() };
    let active = fixture.store().list(tenant, &filter, None, 200).await.expect("listed");
    assert_eq!(active.len(), 7);
}

/// Lets `PostgreSQL` linger between a session's becoming active and its being
/// counted, so that starts which don't wait for each other would overlap.
async fn widen_the_race(fixture: &Fixture) {
    if fixture.unrestricted.get_database_backend() != DbBackend::Postgres {
        return;
    }
    let linger = "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN PERFORM pg_sleep(0.005); RETURN NULL; END $$; \
         CREATE TRIGGER linger AFTER UPDATE ON sessions FOR EACH ROW EXECUTE FUNCTION linger()";
    fixture.unrestricted.execute_unprepared(linger).await.expect("a trigger");
}

async fn a_session_starts_once_and_its_end_frees_a_place(fixture: Fixture) {
    let tenant = TenantId::generate();
    let (first, second) = (fixture.session(tenant).await, fixture.session(tenant).await);
    let services = fixture.services(1);
    let mut tasks = JoinSet::new();
    for number in 0..10 {
        let service = services[number % 2].clone();
        tasks.spawn(
            async move { service.start(SessionKey::new(tenant, first.id), None, NOW).await },
        );
    }
    let (started, refused): (Vec<_>, Vec<_>) =
        tasks.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(started.len(), 1);
    for outcome in refused {
        // At its limit or not, what is wrong is that it has been started.
        let wanted = "be started";
        let status = SessionStatus::Active;
        assert_eq!(outcome, Err(SessionError::StateConflict { status, wanted }));
    }

    let service = &services[0];
    let full = service.start(SessionKey::new(tenant, second.id), None, NOW).await;
    assert_eq!(full, Err(SessionError::LimitReached { limit: 1 }));
    let stale = service.end(SessionKey::new(tenant, first.id), Some(1), NOW).await;
    assert_eq!(stale, Err(SessionError::VersionConflict { current: 2 }));
    let ended_at = NOW.after(Duration::from_mins(90));
    let ended =
        service.end(SessionKey::new(tenant, first.id), Some(2), ended_at).await.expect("ended");
    assert_eq!((ended.status, ended.version), (SessionStatus::Completed, 3));
    assert_eq!((ended.started_at, ended.ended_at), (Some(NOW), Some(ended_at)));
    service
        .start(SessionKey::new(tenant, second.id), Some(1), NOW)
        .await
        .expect("there is room again");

    let status = SessionStatus::Completed;
    for (outcome, wanted) in [
        (service.end(SessionKey::new(tenant, first.id), None, NOW).await, "be ended"),
        (service.cancel(SessionKey::new(tenant, first.id), None, NOW).await, "be cancelled"),
        (service.start(SessionKey::new(tenant, first.id), None, NOW).await, "be started"),
        (
            service.patch(SessionKey::new(tenant, first.id), 3, SessionPatch::default(), NOW).await,
            "be changed",
        ),
    ] {
        assert_eq!(outcome, Err(SessionError::StateConflict { status, wanted }));
    }
}

async fn cancelling_survives_a_change_in_between(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let [first, second] = fixture.services(1);
    let title = Change::Set("renamed".to_owned());
    let patch = SessionPatch { title, ..SessionPatch::default() };
    // Whichever comes first, the cancellation is stored once and stays; a
    // rename that comes too late is told so.
    let (cancelled, renamed) = tokio::join!(
        first.cancel(SessionKey::new(tenant, id), None, NOW),
        second.patch(SessionKey::new(tenant, id), 1, patch, NOW)
    );
    let cancelled = cancelled.expect("cancelled");
    match renamed {
        Ok(renamed) => assert_eq!((renamed.version, cancelled.version), (2, 3)),
        Err(SessionError::VersionConflict { current }) => assert_eq!(current, 2),
        Err(other) => assert_eq!(
            other,
            SessionError::StateConflict { status: SessionStatus::Cancelled, wanted: "be changed" }
        ),
    }
    let found = first.find(SessionKey::new(tenant, id)).await.expect("found");
    assert_eq!(found, cancelled);
    assert_eq!((found.status, found.ended_at), (SessionStatus::Cancelled, Some(NOW)));
}
