//! What the clients make of right answers.

use std::collections::BTreeSet;
use std::time::Duration;

use cabildo::domain::id::AssemblyId;
use cabildo::domain::secret::Secret;
use cabildo::services::{
    BiometricKind, CodeChannel, ProofContext, Refusal, TENANCY_FAILED_FOR, TENANCY_FRESH_FOR,
    TenancyAnswer, TenantStatus, Validation,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::fixture::{World, assembly, code, context, owner, secret, tenant, token};
use crate::platform::Mood;

#[tokio::test]
async fn what_is_presented_is_valid_or_refused_with_its_reason() {
    let world = World::new().await;
    let identity = &world.identity;
    for (presented, expected) in [
        (token(1), Validation::Valid(owner())),
        (token(1), Validation::Refused(Refusal::Used)),
        (secret("expired"), Validation::Refused(Refusal::Expired)),
        (secret("qr:other:owner-1:1"), Validation::Refused(Refusal::WrongContext)),
        (secret("nonsense"), Validation::Refused(Refusal::Invalid)),
    ] {
        let said = identity.validate_contextual_token(&context(), &presented).await;
        assert_eq!(said.expect("an answer"), expected);
    }
    let face = Secret::new(b"face of owner-1".to_vec());
    let said = identity.validate_biometric(&context(), BiometricKind::Face, &face).await;
    assert_eq!(said.expect("an answer"), Validation::Valid(owner()));
    let said = identity.validate_code(&context(), CodeChannel::Sms, &code()).await;
    assert_eq!(said.expect("an answer"), Validation::Valid(owner()));
    let nobody = ProofContext { user_id: None, ..context() };
    let said = identity.validate_contextual_token(&nobody, &token(2)).await;
    assert_eq!(said.expect("an answer"), Validation::Valid(owner()), "whose it is, is found out");
}

#[tokio::test]
async fn the_eligible_list_is_read_over_all_its_pages_and_kept_for_a_minute() {
    let world = World::new().await;
    let list = world.profiles.eligible(tenant(), assembly()).await.expect("a list");
    assert_eq!(list.members.len(), 12);
    let ids: BTreeSet<_> = list.members.iter().map(|member| member.user_id.clone()).collect();
    assert_eq!(ids.len(), 12);
    let units = list.members.iter().flat_map(|member| &member.units);
    let all: u64 = units.map(|(_, weight)| weight.millionths()).sum();
    assert_eq!(all, 100_000_000, "the shares add up to 100");
    assert_eq!(list.delegations.len(), 1);
    assert_eq!(world.calls(), 3);
    world.profiles.eligible(tenant(), assembly()).await.expect("a list");
    assert_eq!(world.calls(), 3, "not asked again");
    world.pass(Duration::from_mins(1));
    world.profiles.eligible(tenant(), assembly()).await.expect("a list");
    assert_eq!(world.calls(), 6);
}

#[tokio::test]
async fn a_list_that_is_refused_is_a_fault_of_the_service_until_it_is_mended() {
    let world = World::new().await;
    world.is("user_profiles", Mood::Lying);
    let refused = world.profiles.eligible(tenant(), assembly()).await.expect_err("refused");
    assert_eq!(refused.kind(), "contradicts");
    assert!(!world.profiles.state().is_well(), "it answers, and what it says is not taken");
    let problem = world.profiles.state().problem.expect("a problem");
    assert!(problem.contains("not a list of this assembly"), "{problem}");
    world.is("user_profiles", Mood::Well);
    world.profiles.eligible(tenant(), assembly()).await.expect("a list");
    assert!(world.profiles.state().is_well());
    assert_eq!(world.profiles.state().problem, None);

    let another = AssemblyId::from_uuid(Uuid::from_u128(9));
    world.is("user_profiles", Mood::Lying);
    world.profiles.eligible(tenant(), another).await.expect_err("refused");
    assert!(!world.profiles.state().is_well());
    world.pass(Duration::from_mins(3));
    assert!(world.profiles.state().is_well(), "nobody has asked for that list for a while");
}

#[tokio::test]
async fn event_data_is_kept_byte_for_byte() {
    let world = World::new().await;
    let data = world.governance.event_data(tenant(), assembly()).await.expect("an answer");
    let call = world.platform.calls().pop().expect("a call");
    assert_eq!(data.json, call.answer);
    assert_eq!(data.sha256, <[u8; 32]>::from(Sha256::digest(&call.answer)));
}

#[tokio::test]
async fn what_tenancy_said_holds_while_it_fails() {
    let world = World::new().await;
    world.is("tenancy", Mood::Failing(404));
    assert_eq!(world.tenancy.limits(tenant()).await, TenancyAnswer::Unknown);
    assert_eq!(world.tenancy.status(tenant()).await, TenancyAnswer::Unknown);
    world.is("tenancy", Mood::Well);
    world.platform.set_tenant(&tenant().to_string(), json!({ "status": "suspended" }));
    assert_eq!(world.tenancy.status(tenant()).await, TenancyAnswer::Unknown, "left alone a while");
    world.pass(TENANCY_FAILED_FOR);
    let suspended = TenantStatus::Suspended;
    assert_eq!(world.tenancy.status(tenant()).await, TenancyAnswer::Fresh(suspended));
    let fresh = world.tenancy.limits(tenant()).await;
    assert!(matches!(fresh, TenancyAnswer::Fresh(limits) if limits.max_active_sessions == 20));
    let calls = world.calls();
    assert_eq!(world.tenancy.limits(tenant()).await, fresh);
    assert_eq!(world.calls(), calls, "not asked again");
    world.pass(TENANCY_FRESH_FOR);
    world.is("tenancy", Mood::NotJson);
    let old = fresh.known().map(TenancyAnswer::Old);
    assert_eq!(Some(world.tenancy.limits(tenant()).await), old, "rather than the defaults");
    world.pass(TENANCY_FAILED_FOR);
    world.is("tenancy", Mood::Lying);
    assert_eq!(world.tenancy.status(tenant()).await, TenancyAnswer::Old(suspended));
}

#[tokio::test]
async fn many_who_ask_about_a_tenant_at_once_are_one_call() {
    let world = World::new().await;
    world.is("tenancy", Mood::Slow(Duration::from_millis(50)));
    let asked = (0..50).map(|_| world.tenancy.limits(tenant()));
    let answers = futures_util::future::join_all(asked).await;
    assert!(answers.iter().all(|answer| matches!(answer, TenancyAnswer::Fresh(_))));
    assert_eq!(world.calls(), 1);
}

#[tokio::test]
async fn a_tenancy_that_hangs_is_not_waited_for_by_those_who_start_sessions() {
    let world = World::new().await;
    world.is("tenancy", Mood::Silent);
    // One call may take 30 s here, and is made three times.
    let answer = tokio::time::timeout(Duration::from_secs(20), world.tenancy.limits(tenant()));
    assert_eq!(answer.await.expect("soon"), TenancyAnswer::Unknown);
}
