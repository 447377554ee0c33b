//! Requests that may come twice.

use std::time::Duration;

use cabildo::domain::id::{SessionId, TenantId};
use cabildo::domain::participant::ServiceName;
use cabildo::recorder::repository::RecordingRepository as _;
use cabildo::sessions::{
    ANSWER_BYTES_MAX, Begin, Caller, Claim, ClaimToken, IdempotencyStore, KEPT, PlannedId,
    Repetition, StoredAnswer, TAKEN_OVER_AFTER,
};
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, NOW, cases, new_session};

cases!(
    an_answer_is_repeated_until_it_expires,
    a_key_belongs_to_one_caller_of_one_tenant,
    a_claim_that_was_abandoned_is_free,
    a_claim_of_a_dead_process_is_taken_over,
    of_concurrent_claims_one_is_fresh,
    of_concurrent_repetitions_one_is_answered_anew,
    a_repetition_that_is_refused_frees_no_key,
    an_answer_too_large_to_keep_frees_its_key,
    expired_answers_are_removed,
    answers_about_a_session_are_erased_with_it,
);

fn claim(tenant: TenantId, caller: &str, key: &str) -> Claim {
    Claim {
        tenant,
        session: None,
        caller: Caller::User(caller.parse().expect("a user id")),
        key: key.parse().expect("a key"),
        request_hash: [7; 32],
        repetition: Repetition::SameAnswer,
    }
}

fn answer() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        headers: vec![
            ("location".to_owned(), "/api/v1/sessions/1".to_owned()),
            ("etag".to_owned(), "\"1\"".to_owned()),
        ],
        body: r#"{"title":"¿Qué?"}"#.to_owned(),
    }
}

async fn fresh(store: &impl IdempotencyStore, claim: &Claim) -> ClaimToken {
    match store.begin(claim, NOW).await.expect("begun") {
        Begin::Fresh(token, _) => token,
        other => panic!("not fresh: {other:?}"),
    }
}

async fn an_answer_is_repeated_until_it_expires(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let claim = claim(TenantId::generate(), "maria", "create-1");
    let different = Claim { request_hash: [8; 32], ..claim.clone() };
    let token = fresh(first, &claim).await;
    assert_eq!(second.begin(&claim, NOW).await, Ok(Begin::InUse));
    assert_eq!(second.begin(&different, NOW).await, Ok(Begin::DifferentRequest));
    first.finish(&claim, token, &answer(), NOW).await.expect("finished");

    let last = NOW.after(KEPT).before(Duration::from_micros(1));
    for now in [NOW, last] {
        assert_eq!(second.begin(&claim, now).await, Ok(Begin::Replay(answer())));
        assert_eq!(second.begin(&different, now).await, Ok(Begin::DifferentRequest));
    }
    assert!(matches!(second.begin(&different, NOW.after(KEPT)).await, Ok(Begin::Fresh(..))));
}

async fn a_key_belongs_to_one_caller_of_one_tenant(fixture: Fixture) {
    let tenant = TenantId::generate();
    let claim_of_maria = claim(tenant, "maria", "k");
    let token = fresh(fixture.store(), &claim_of_maria).await;
    fixture.store().finish(&claim_of_maria, token, &answer(), NOW).await.expect("finished");
    fresh(fixture.store(), &claim(tenant, "pedro", "k")).await;
    fresh(fixture.store(), &claim(TenantId::generate(), "maria", "k")).await;
    let service = Caller::Service(ServiceName("maria".to_owned()));
    fresh(fixture.store(), &Claim { caller: service, ..claim_of_maria }).await;
}

async fn a_claim_that_was_abandoned_is_free(fixture: Fixture) {
    let claim = claim(TenantId::generate(), "maria", "k");
    let token = fresh(fixture.store(), &claim).await;
    fixture.store().abandon(&claim, token).await.expect("abandoned");
    let token = fresh(&fixture.stores[1], &claim).await;
    fixture.store().finish(&claim, token, &answer(), NOW).await.expect("finished");
    // What has been answered can't be taken back.
    fixture.store().abandon(&claim, token).await.expect("nothing to do");
    assert_eq!(fixture.store().begin(&claim, NOW).await, Ok(Begin::Replay(answer())));
}

async fn a_claim_of_a_dead_process_is_taken_over(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let claim = claim(TenantId::generate(), "maria", "k");
    let Ok(Begin::Fresh(dead, planned)) = first.begin(&claim, NOW).await else {
        panic!("it is not fresh");
    };
    let almost = NOW.after(TAKEN_OVER_AFTER).before(Duration::from_micros(1));
    assert_eq!(second.begin(&claim, almost).await, Ok(Begin::InUse));
    let later = NOW.after(TAKEN_OVER_AFTER);
    let Ok(Begin::Fresh(alive, planned_before)) = second.begin(&claim, later).await else {
        panic!("it was not taken over");
    };
    // What the dead process may have created has the id that the next one is given.
    assert_eq!(planned_before, planned);
    // The process was only slow; what it says no longer counts.
    let late = StoredAnswer { status: 500, ..answer() };
    first.finish(&claim, dead, &late, later).await.expect("ignored");
    first.abandon(&claim, dead).await.expect("ignored");
    assert_eq!(first.begin(&claim, later).await, Ok(Begin::InUse));
    second.finish(&claim, alive, &answer(), later).await.expect("finished");
    assert_eq!(first.begin(&claim, later).await, Ok(Begin::Replay(answer())));
    // A key that is used again later is another request.
    let Ok(Begin::Fresh(_, another)) = first.begin(&claim, later.after(KEPT)).await else {
        panic!("the key is not free");
    };
    assert_ne!(another, planned);
}

async fn of_concurrent_claims_one_is_fresh(fixture: Fixture) {
    let tenant = TenantId::generate();
    // A new key, and one whose holder is dead.
    let taken_over = claim(tenant, "maria", "dead");
    fresh(fixture.store(), &taken_over).await;
    for claim in [claim(tenant, "maria", "new"), taken_over] {
        let mut tasks = JoinSet::new();
        for number in 0..30 {
            let (store, claim) = (fixture.stores[number % 2].clone(), claim.clone());
            tasks.spawn(async move { store.begin(&claim, NOW.after(TAKEN_OVER_AFTER)).await });
        }
        let outcomes = tasks.join_all().await;
        let fresh = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Begin::Fresh(..))));
        assert_eq!(fresh.count(), 1, "{outcomes:?}");
        let in_use = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Begin::InUse)));
        assert_eq!(in_use.count(), 29, "{outcomes:?}");
    }
}

/// A request that was carried out and whose answer has a secret.
async fn issued(store: &impl IdempotencyStore) -> (Claim, PlannedId) {
    let claim = Claim {
        repetition: Repetition::AnswerAnew,
        ..claim(TenantId::generate(), "maria", "issue")
    };
    let Ok(Begin::Fresh(token, planned)) = store.begin(&claim, NOW).await else {
        panic!("it is not fresh");
    };
    let nothing = StoredAnswer { status: 201, headers: Vec::new(), body: String::new() };
    store.finish(&claim, token, &nothing, NOW).await.expect("finished");
    (claim, planned)
}

async fn of_concurrent_repetitions_one_is_answered_anew(fixture: Fixture) {
    let (claim, planned) = issued(fixture.store()).await;
    let mut now = NOW;
    // Those of one that was answered, and those of one whose process died while it answered it anew.
    for _ in 0..2 {
        let mut tasks = JoinSet::new();
        for number in 0..30 {
            let (store, claim) = (fixture.stores[number % 2].clone(), claim.clone());
            tasks.spawn(async move { store.begin(&claim, now).await });
        }
        let outcomes = tasks.join_all().await;
        let is_again =
            |it: &&Result<Begin, _>| matches!(it, Ok(Begin::Again(_, id)) if *id == planned);
        assert_eq!(outcomes.iter().filter(is_again).count(), 1, "{outcomes:?}");
        let in_use = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Begin::InUse)));
        assert_eq!(in_use.count(), 29, "{outcomes:?}");
        now = now.after(TAKEN_OVER_AFTER);
    }
}

async fn a_repetition_that_is_refused_frees_no_key(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let (claim, planned) = issued(first).await;
    for store in [second, first] {
        let Ok(Begin::Again(token, found)) = store.begin(&claim, NOW).await else {
            panic!("it is not answered anew");
        };
        assert_eq!(found, planned);
        store.abandon(&claim, token).await.expect("abandoned");
    }
}

async fn an_answer_too_large_to_keep_frees_its_key(fixture: Fixture) {
    let claim = claim(TenantId::generate(), "maria", "k");
    let token = fresh(fixture.store(), &claim).await;
    let large = StoredAnswer { body: "x".repeat(ANSWER_BYTES_MAX + 1), ..answer() };
    fixture.store().finish(&claim, token, &large, NOW).await.expect("freed");
    fresh(fixture.store(), &claim).await;
}

async fn expired_answers_are_removed(fixture: Fixture) {
    let tenant = TenantId::generate();
    for number in 0..40 {
        fresh(fixture.store(), &claim(tenant, "maria", &format!("old-{number}"))).await;
    }
    // Claims remove what has expired now and then; that none of a thousand does
    // has a probability of 10⁻¹⁴.
    let later = NOW.after(KEPT);
    for number in 0..1_000 {
        let claim = claim(tenant, "pedro", &format!("new-{number}"));
        fixture.store().begin(&claim, later).await.expect("begun");
        if fixture.count("idempotency_keys").await <= number + 1 {
            return;
        }
    }
    panic!("forty expired keys are still there");
}

async fn answers_about_a_session_are_erased_with_it(fixture: Fixture) {
    let [first, second] = &fixture.stores;
    let tenant = TenantId::generate();
    let about =
        |session: Option<SessionId>, key: &str| Claim { session, ..claim(tenant, "maria", key) };
    // The request that created the session has its id as the planned one.
    let created = about(None, "create");
    let Ok(Begin::Fresh(token, planned)) = first.begin(&created, NOW).await else {
        panic!("not fresh")
    };
    first.finish(&created, token, &answer(), NOW).await.expect("finished");
    let id = SessionId::from_uuid(planned.as_uuid());
    let [service, _] = fixture.services(1);
    let wanted = new_session(tenant);
    let session = service.create_once(wanted, (id, None), NOW).await.expect("created");
    let other = fixture.session(tenant).await;
    let erased = about(Some(session.id), "register");
    let kept = [about(Some(other.id), "other"), about(None, "none")];
    for claim in [&erased].into_iter().chain(&kept) {
        let token = fresh(first, claim).await;
        first.finish(claim, token, &answer(), NOW).await.expect("finished");
    }
    let unfinished = about(Some(session.id), "unfinished");
    let late = fresh(first, &unfinished).await;
    first.erased(session.key(), NOW).await.expect("erased");
    first.finish(&unfinished, late, &answer(), NOW).await.expect("stored nowhere");
    for claim in [&created, &erased, &unfinished] {
        fresh(second, claim).await;
    }
    for claim in &kept {
        assert_eq!(second.begin(claim, NOW).await, Ok(Begin::Replay(answer())));
    }
}
