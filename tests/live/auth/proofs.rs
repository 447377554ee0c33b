//! Proofs of possession: writes and the moderation socket.

use std::sync::Arc;

use async_trait::async_trait;
use cabildo::auth::{
    AuthError, Authenticator, DpopRequest, Freshness, InMemoryReplayCache, ReplayCache,
    ReplayCacheUnavailable, SocketCredentials,
};
use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::participant::Principal;
use cabildo::domain::time::Timestamp;
use serde_json::json;

use crate::auth::fixture::{
    Issuer, IssuerKey, NOW_S, Person, URL, at, authenticator, claims, proof_claims,
};

async fn write(
    authenticator: &Authenticator,
    token: &str,
    proof: Option<&str>,
    now: Timestamp,
) -> Result<Principal, AuthError> {
    request(authenticator, token, proof, Freshness::Nonce, now).await
}

async fn request(
    authenticator: &Authenticator,
    token: &str,
    proof: Option<&str>,
    freshness: Freshness,
    now: Timestamp,
) -> Result<Principal, AuthError> {
    let authorization = format!("DPoP {token}");
    let request =
        DpopRequest { authorization: Some(&authorization), proof, method: "POST", url: URL };
    authenticator.dpop(request, freshness, now).await
}

struct Scene {
    authenticator: Arc<Authenticator>,
    maria: Person,
    token: String,
    _issuer: Issuer,
}

async fn scene() -> Scene {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let maria = Person::new(7);
    Scene {
        authenticator: Arc::new(issuer.authenticator()),
        token: key.token(&maria),
        maria,
        _issuer: issuer,
    }
}

#[tokio::test]
async fn a_client_learns_the_nonce_and_then_writes() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let mut claims = proof_claims(&token, "one", "");
    claims.as_object_mut().expect("object").remove("nonce");
    let refused = write(&authenticator, &token, Some(&maria.prove(&claims)), at(0)).await;
    let error = refused.expect_err("no nonce yet");
    assert_eq!(error.code(), ErrorCode::DpopNonceRequired);
    let nonce = error.nonce().expect("a nonce to use").to_owned();
    // The refused proof used nothing up: the same id serves with the nonce.
    let proof = maria.proof(&token, "one", &nonce);
    let principal = write(&authenticator, &token, Some(&proof), at(0)).await.expect("valid");
    assert_eq!(principal.user_id.as_str(), "maria");
    let proof = maria.proof(&token, "two", &authenticator.fresh_nonce(at(0)));
    assert!(write(&authenticator, &token, Some(&proof), at(0)).await.is_ok());
}

#[tokio::test]
async fn old_foreign_and_socket_nonces_are_refused_with_a_fresh_one() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let old = authenticator.fresh_nonce(at(-600));
    for nonce in ["", "made-up", &old, &authenticator.socket_nonce()] {
        let proof = maria.proof(&token, "one", nonce);
        let refused = write(&authenticator, &token, Some(&proof), at(0)).await;
        let nonce = authenticator.fresh_nonce(at(0));
        assert_eq!(refused, Err(AuthError::NonceRequired { nonce }));
    }
}

#[tokio::test]
async fn instances_that_share_the_key_take_each_others_nonces() {
    let Scene { authenticator, maria, token, _issuer: issuer } = scene().await;
    let nonce = issuer.authenticator().fresh_nonce(at(0));
    let proof = maria.proof(&token, "one", &nonce);
    assert!(write(&authenticator, &token, Some(&proof), at(0)).await.is_ok());
}

#[tokio::test]
async fn a_proof_serves_once() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let nonce = authenticator.fresh_nonce(at(0));
    let proof = maria.proof(&token, "one", &nonce);
    assert!(write(&authenticator, &token, Some(&proof), at(0)).await.is_ok());
    let again = write(&authenticator, &token, Some(&proof), at(1)).await;
    assert_eq!(again, Err(AuthError::ProofReplayed));
    let mut claims = proof_claims(&token, "one", &nonce);
    claims["iat"] = json!(claims["iat"].as_i64().expect("seconds") + 1);
    let renewed = write(&authenticator, &token, Some(&maria.prove(&claims)), at(1)).await;
    assert_eq!(renewed, Err(AuthError::ProofReplayed), "the same id in a new proof");
    let other = maria.proof(&token, "two", &nonce);
    assert!(write(&authenticator, &token, Some(&other), at(1)).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_simultaneous_uses_one_passes() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let proof = maria.proof(&token, "one", &authenticator.fresh_nonce(at(0)));
    let uses: Vec<_> = (0..50)
        .map(|_| {
            let (authenticator, token, proof) =
                (Arc::clone(&authenticator), token.clone(), proof.clone());
            tokio::spawn(async move { write(&authenticator, &token, Some(&proof), at(0)).await })
        })
        .collect();
    let mut passed = 0;
    for each in uses {
        match each.await.expect("ran") {
            Ok(_) => passed += 1,
            Err(error) => assert_eq!(error, AuthError::ProofReplayed),
        }
    }
    assert_eq!(passed, 1);
}

#[tokio::test]
async fn a_stolen_token_is_of_no_use_for_writing() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let nonce = authenticator.fresh_nonce(at(0));
    let mallory = Person::new(66).proof(&token, "one", &nonce);
    let outcome = write(&authenticator, &token, Some(&mallory), at(0)).await;
    assert_eq!(outcome, Err(AuthError::ProofInvalid));
    assert_eq!(write(&authenticator, &token, None, at(0)).await, Err(AuthError::ProofInvalid));
    // Nor does the scheme for reads open a write.
    let authorization = format!("Bearer {token}");
    let proof = maria.proof(&token, "one", &nonce);
    let request = DpopRequest {
        authorization: Some(&authorization),
        proof: Some(&proof),
        method: "POST",
        url: URL,
    };
    let outcome = authenticator.dpop(request, Freshness::Nonce, at(0)).await;
    assert_eq!(outcome, Err(AuthError::TokenBound));
}

#[tokio::test]
async fn a_token_with_a_key_is_no_bearer_token() {
    let Scene { authenticator, maria, token, _issuer } = scene().await;
    let authorization = format!("Bearer {token}");
    let outcome = authenticator.bearer(Some(&authorization), at(0)).await;
    assert_eq!(outcome, Err(AuthError::TokenBound));
    // And one without a key is nothing else.
    let mut unbound = claims(&maria);
    unbound.as_object_mut().expect("object").remove("cnf");
    let key = IssuerKey::p256("ec", 1);
    let unbound = key.sign(&key.header(), &unbound);
    let authorization = format!("Bearer {unbound}");
    assert!(authenticator.bearer(Some(&authorization), at(0)).await.is_ok());
    let proof = maria.proof(&unbound, "one", &authenticator.fresh_nonce(at(0)));
    let outcome = write(&authenticator, &unbound, Some(&proof), at(0)).await;
    assert_eq!(outcome, Err(AuthError::TokenInvalid));
    let channel = "https://cabildo.example/moderation";
    let nonce = authenticator.socket_nonce();
    let credentials =
        SocketCredentials { token: &unbound, proof: &proof, nonce: &nonce, url: channel };
    assert_eq!(authenticator.socket(credentials, at(0)).await, Err(AuthError::TokenInvalid));
}

#[tokio::test]
async fn a_fresh_nonce_stands_in_for_a_right_clock() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let nonce = authenticator.fresh_nonce(at(0));
    let dated = |id: &str, iat: f64| {
        let mut claims = proof_claims(&token, id, &nonce);
        claims["iat"] = json!(iat);
        maria.prove(&claims)
    };
    #[expect(clippy::cast_precision_loss, reason = "a date of this century")]
    let now = NOW_S as f64;
    for (id, iat) in [("a", now - 86_000.0), ("b", now + 86_000.0), ("c", now + 0.25)] {
        let outcome = write(&authenticator, &token, Some(&dated(id, iat)), at(0)).await;
        assert!(outcome.is_ok(), "{id}: {outcome:?}");
        // However far away its date is, it serves once while its nonce does.
        for later in [1, 60, 119] {
            let again = write(&authenticator, &token, Some(&dated(id, iat)), at(later)).await;
            assert_eq!(again, Err(AuthError::ProofReplayed), "{id} after {later} s");
        }
    }
    for iat in [now - 87_000.0, now + 87_000.0] {
        let outcome = write(&authenticator, &token, Some(&dated("d", iat)), at(0)).await;
        assert_eq!(outcome, Err(AuthError::ProofInvalid), "{iat}");
    }
    let stale = write(&authenticator, &token, Some(&dated("e", now)), at(600)).await;
    assert!(matches!(stale, Err(AuthError::NonceRequired { .. })), "{stale:?}");
}

#[tokio::test]
async fn a_read_needs_no_nonce_within_a_minute() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let without_nonce = |id: &str, iat: i64| {
        let mut claims = proof_claims(&token, id, "");
        claims["iat"] = json!(iat);
        claims.as_object_mut().expect("object").remove("nonce");
        maria.prove(&claims)
    };
    let read = async |proof: String| {
        request(&authenticator, &token, Some(&proof), Freshness::NonceOrTime, at(0)).await
    };
    assert!(read(without_nonce("a", NOW_S - 60)).await.is_ok());
    assert_eq!(read(without_nonce("a", NOW_S - 60)).await, Err(AuthError::ProofReplayed));
    for iat in [NOW_S - 61, NOW_S + 31] {
        let outcome = read(without_nonce("b", iat)).await;
        assert!(matches!(outcome, Err(AuthError::NonceRequired { .. })), "{outcome:?}");
    }
    // A write needs one whatever its date.
    let outcome = write(&authenticator, &token, Some(&without_nonce("c", NOW_S)), at(0)).await;
    assert!(matches!(outcome, Err(AuthError::NonceRequired { .. })), "{outcome:?}");
    // A nonce that is not ours is not passed over.
    let foreign = maria.proof(&token, "d", "made-up");
    let outcome = read(foreign).await;
    assert!(matches!(outcome, Err(AuthError::NonceRequired { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_proof_is_for_one_method_and_one_resource() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let authorization = format!("DPoP {token}");
    let proof = maria.proof(&token, "one", &authenticator.fresh_nonce(at(0)));
    for (method, url) in
        [("PATCH", URL), ("POST", "https://cabildo.example/api/v1/sessions/7/cancel")]
    {
        let request =
            DpopRequest { authorization: Some(&authorization), proof: Some(&proof), method, url };
        let outcome = authenticator.dpop(request, Freshness::Nonce, at(0)).await;
        assert_eq!(outcome, Err(AuthError::ProofInvalid));
    }
    assert!(write(&authenticator, &token, Some(&proof), at(0)).await.is_ok());
}

/// Counts what it is asked and never answers well.
#[derive(Default)]
struct BrokenCache(std::sync::atomic::AtomicUsize);

#[async_trait]
impl ReplayCache for BrokenCache {
    async fn insert_if_absent(
        &self,
        _: [u8; 32],
        _: Timestamp,
        _: Timestamp,
    ) -> Result<bool, ReplayCacheUnavailable> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Err(ReplayCacheUnavailable)
    }
}

#[tokio::test]
async fn nothing_is_written_while_replays_cannot_be_told() {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let cache = Arc::new(BrokenCache::default());
    let authenticator = authenticator(&issuer.url, Arc::clone(&cache) as Arc<dyn ReplayCache>);
    let maria = Person::new(7);
    let token = key.token(&maria);
    let nonce = authenticator.fresh_nonce(at(0));
    let asked = || cache.0.load(std::sync::atomic::Ordering::SeqCst);
    // Only what is otherwise right gets as far as the cache.
    for proof in [Person::new(8).proof(&token, "one", &nonce), maria.proof(&token, "one", "old")] {
        assert!(write(&authenticator, &token, Some(&proof), at(0)).await.is_err());
    }
    assert_eq!(asked(), 0);
    let proof = maria.proof(&token, "one", &nonce);
    let error = write(&authenticator, &token, Some(&proof), at(0)).await.expect_err("closed");
    assert_eq!(error.code(), ErrorCode::DependencyUnavailable);
    assert!(error.retry_after_s().is_some());
    assert_eq!(asked(), 1);
}

#[tokio::test]
async fn a_socket_opens_with_the_nonce_of_its_own_hello() {
    let Scene { authenticator, maria, token, .. } = scene().await;
    let channel = "https://cabildo.example/moderation";
    let (hello, other_hello) = (authenticator.socket_nonce(), authenticator.socket_nonce());
    assert_ne!(hello, other_hello);
    let proof = |id: &str, nonce: &str, method: &str| {
        let mut claims = proof_claims(&token, id, nonce);
        claims["htm"] = json!(method);
        claims["htu"] = json!(channel);
        maria.prove(&claims)
    };
    let url = "https://cabildo.example/moderation?session_id=7";
    let open = async |proof: &str, nonce: &str| {
        let credentials = SocketCredentials { token: &token, proof, nonce, url };
        authenticator.socket(credentials, at(0)).await
    };
    let request_nonce = authenticator.fresh_nonce(at(0));
    for (what, proof, nonce) in [
        ("another connection's nonce", proof("a", &other_hello, "GET"), hello.as_str()),
        ("a request's nonce", proof("a", &request_nonce, "GET"), hello.as_str()),
        ("a nonce that is not ours", proof("a", "made-up", "GET"), "made-up"),
        ("no nonce", proof("a", "", "GET"), ""),
        ("another method", proof("a", &hello, "POST"), hello.as_str()),
        ("another resource", maria.proof(&token, "a", &hello), hello.as_str()),
    ] {
        assert_eq!(open(&proof, nonce).await, Err(AuthError::ProofInvalid), "{what}");
    }
    let right = proof("a", &hello, "GET");
    assert_eq!(open(&right, &hello).await.expect("valid").user_id.as_str(), "maria");
    assert_eq!(open(&right, &hello).await, Err(AuthError::ProofReplayed));
}

#[tokio::test]
async fn a_full_replay_cache_closes_rather_than_forgets() {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let one = std::num::NonZeroUsize::MIN;
    let cache = Arc::new(InMemoryReplayCache::with_capacity(one));
    let authenticator = authenticator(&issuer.url, cache);
    let maria = Person::new(7);
    let token = key.token(&maria);
    let nonce = authenticator.fresh_nonce(at(0));
    let first = maria.proof(&token, "one", &nonce);
    assert!(write(&authenticator, &token, Some(&first), at(0)).await.is_ok());
    let second = maria.proof(&token, "two", &nonce);
    let refused = write(&authenticator, &token, Some(&second), at(0)).await;
    assert!(matches!(refused, Err(AuthError::Unavailable { .. })));
    let replayed = write(&authenticator, &token, Some(&first), at(0)).await;
    assert_eq!(replayed, Err(AuthError::ProofReplayed));
}
