//! What the clients make of services that are slow, wrong, down or malicious.

use std::time::Duration;

use cabildo::auth::client_cert::{TlsFiles, internal_server_config};
use cabildo::auth::dev_certificates;
use cabildo::clock::Clock;
use cabildo::domain::secret::Secret;
use cabildo::services::{
    BREAKER_CALLS_MIN, BREAKER_OPEN_FOR, BreakerState, ClientTls, GovernanceClient, ServiceError,
    ServiceSetupError, TRIES_MAX,
};

use super::fixture::{World, assembly, context, options, tenant, token};
use crate::platform::{Mood, Platform};

/// The kind of error that each service's client makes of a mood.
async fn kinds(world: &World) -> [&'static str; 3] {
    let said = world.identity.validate_contextual_token(&context(), &token(1)).await;
    let data = world.governance.event_data(tenant(), assembly()).await;
    let list = world.profiles.eligible(tenant(), assembly()).await;
    [
        said.expect_err("no answer").kind(),
        data.expect_err("no answer").kind(),
        list.expect_err("no answer").kind(),
    ]
}

#[tokio::test]
async fn every_failure_has_its_own_error() {
    for (mood, kind) in [
        (Mood::Failing(500), "status"),
        (Mood::Failing(404), "status"),
        (Mood::Redirecting("http://127.0.0.1:1/inside".to_owned()), "status"),
        (Mood::NotJson, "not_by_contract"),
        (Mood::WrongShape, "not_by_contract"),
        (Mood::Lying, "contradicts"),
        (Mood::Endless, "too_long"),
    ] {
        let world = World::new().await;
        for service in ["identity", "governance", "user_profiles"] {
            world.is(service, mood.clone());
        }
        assert_eq!(kinds(&world).await, [kind; 3], "{mood:?}");
    }
    assert_eq!(kinds(&World::gone()).await, ["unreachable"; 3]);
}

#[tokio::test]
async fn a_service_that_never_answers_is_waited_for_until_the_time_out() {
    let world = World::with_timeout(Duration::from_millis(200)).await;
    for service in ["identity", "governance", "user_profiles"] {
        world.is(service, Mood::Silent);
    }
    assert_eq!(kinds(&world).await, ["timed_out"; 3]);
}

#[tokio::test]
async fn only_what_is_safe_to_repeat_is_repeated() {
    let world = World::new().await;
    for service in ["identity", "governance"] {
        world.is(service, Mood::Failing(503));
    }
    world.identity.validate_contextual_token(&context(), &token(1)).await.expect_err("no answer");
    assert_eq!(world.calls(), 1, "a code may be used up by the first call");
    world.governance.event_data(tenant(), assembly()).await.expect_err("no answer");
    assert_eq!(world.calls(), 1 + TRIES_MAX as usize);
    world.is("governance", Mood::Failing(403));
    world.governance.event_data(tenant(), assembly()).await.expect_err("no answer");
    assert_eq!(world.calls(), 2 + TRIES_MAX as usize, "a refusal is an answer");
}

#[tokio::test]
async fn a_service_that_fails_is_left_alone_and_tried_again() {
    let world = World::new().await;
    world.is("identity", Mood::Failing(503));
    let ask = async || world.identity.validate_contextual_token(&context(), &token(1)).await;
    for _ in 0..BREAKER_CALLS_MIN {
        ask().await.expect_err("no answer");
    }
    assert_eq!(world.identity.state().breaker, BreakerState::Open);
    let calls = world.calls();
    let error = ask().await.expect_err("not asked");
    assert!(
        matches!(error, ServiceError::LeftAlone { retry_after, .. } if retry_after <= BREAKER_OPEN_FOR)
    );
    assert_eq!(world.calls(), calls, "no call was made");
    assert_eq!(world.tenancy.state().breaker, BreakerState::Closed, "others are asked");
    world.is("identity", Mood::Well);
    world.pass(BREAKER_OPEN_FOR);
    ask().await.expect("an answer");
    let state = world.identity.state();
    assert_eq!(state.breaker, BreakerState::Closed);
    assert!(state.answered_at > state.failed_at);
}

#[tokio::test]
async fn answers_that_make_no_sense_open_the_breaker_and_refusals_do_not() {
    let world = World::new().await;
    world.is("identity", Mood::Lying);
    for _ in 0..BREAKER_CALLS_MIN {
        world
            .identity
            .validate_contextual_token(&context(), &token(1))
            .await
            .expect_err("no answer");
    }
    assert_eq!(world.identity.state().breaker, BreakerState::Open);
    world.is("governance", Mood::Failing(404));
    for _ in 0..2 * BREAKER_CALLS_MIN {
        world.governance.event_data(tenant(), assembly()).await.expect_err("no answer");
    }
    assert_eq!(world.governance.state().breaker, BreakerState::Closed);
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let world = World::new().await;
    world.profiles.eligible(tenant(), assembly()).await.expect("a list");
    world.pass(Duration::from_mins(2));
    world.is("user_profiles", Mood::Failing(500));
    world.profiles.eligible(tenant(), assembly()).await.expect_err("an old list is no quorum");
}

#[test]
fn an_error_repeats_nothing_of_an_answer() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let world = World::new().await;
        world.is("identity", Mood::NotJson);
        let error = world.identity.validate_contextual_token(&context(), &token(1)).await;
        let text = error.expect_err("no answer").to_string();
        assert_eq!(
            text,
            "the answer of the identity service is not what its contract says: it is not JSON"
        );
    });
}

#[tokio::test]
async fn governance_is_called_with_our_certificate_and_only_trusted_by_its_own() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let directory = tempfile::tempdir().expect("a directory");
    let foreign = tempfile::tempdir().expect("a directory");
    let clock = Clock::system();
    let files = dev_certificates::ensure(directory.path(), clock.now()).expect("written");
    let others = dev_certificates::ensure(foreign.path(), clock.now()).expect("written");
    let tls = internal_server_config(&TlsFiles {
        client_authorities: files.authority.clone(),
        certificate: files.server.clone(),
        key: files.server_key.clone(),
    });
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    listener.set_nonblocking(true).expect("not blocking");
    let port = listener.local_addr().expect("bound").port();
    let tls =
        axum_server::tls_rustls::RustlsConfig::from_config(std::sync::Arc::new(tls.expect("TLS")));
    let router = Platform::default().router();
    let server = axum_server::from_tcp_rustls(listener, tls).expect("a server");
    tokio::spawn(server.serve(router.into_make_service()));
    let read = |path: &std::path::Path| std::fs::read(path).expect("there");
    let pair = |certificate: &std::path::Path, key: &std::path::Path| {
        let mut pem = read(certificate);
        pem.extend(read(key));
        Secret::new(pem)
    };
    let ask = async |tls: Option<ClientTls>| {
        let mut options = options(&format!("https://localhost:{port}"), Duration::from_secs(30));
        options.tls = tls;
        let client = GovernanceClient::new(&options, Clock::system()).expect("a client");
        client.event_data(tenant(), assembly()).await.map_err(|error| error.kind())
    };
    let ours = pair(&files.governance, &files.governance_key);
    let tls = |authorities: &std::path::Path, identity: &Secret<Vec<u8>>| {
        Some(ClientTls { authorities: read(authorities), identity: identity.clone() })
    };
    assert!(ask(tls(&files.authority, &ours)).await.is_ok());
    assert_eq!(ask(tls(&others.authority, &ours)).await.err(), Some("unreachable"));
    let theirs = pair(&others.governance, &others.governance_key);
    assert_eq!(ask(tls(&files.authority, &theirs)).await.err(), Some("unreachable"));
    assert_eq!(ask(None).await.err(), Some("unreachable"));
    let mut options = options("https://localhost:1", Duration::from_secs(1));
    options.tls =
        Some(ClientTls { authorities: read(&files.authority), identity: Secret::new(vec![1]) });
    let refused = GovernanceClient::new(&options, Clock::system()).err();
    assert!(matches!(refused, Some(ServiceSetupError::CertificatesInvalid(..))));
}
