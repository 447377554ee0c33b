//! Access tokens and the keys behind them.

use std::sync::Arc;

use axum::http::StatusCode;
use cabildo::auth::{AuthError, Authenticator, DpopRequest, Freshness, InMemoryReplayCache};
use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::time::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::auth::fixture::{
    Answer, Issuer, IssuerKey, NOW_S, Person, URL, at, authenticator, claims, encode, message,
    proof_claims,
};
use crate::nobody::nobody;

/// Reads with a token of María's and a proof of her key.
async fn read(
    authenticator: &Authenticator,
    token: &str,
    now: Timestamp,
) -> Result<Principal, AuthError> {
    let mut claims = proof_claims(token, &uuid::Uuid::new_v4().to_string(), "");
    claims["iat"] = json!(now.unix_s());
    claims.as_object_mut().expect("object").remove("nonce");
    let authorization = format!("DPoP {token}");
    let request = DpopRequest {
        authorization: Some(&authorization),
        proof: Some(&Person::new(7).prove(&claims)),
        method: "POST",
        url: URL,
    };
    authenticator.dpop(request, Freshness::NonceOrTime, now).await
}

#[tokio::test]
async fn tokens_of_all_three_algorithms_are_taken() {
    let keys = [IssuerKey::p256("ec", 1), IssuerKey::rsa(), IssuerKey::ed25519("ed")];
    let issuer = Issuer::serving(&[&keys[0], &keys[1], &keys[2]]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    for key in &keys {
        let principal = read(&authenticator, &key.token(&maria), at(0)).await.expect("valid");
        assert_eq!(principal.user_id.as_str(), "maria");
        assert_eq!(principal.roles, Roles::of(&[Role::Moderator]));
        assert_eq!(principal.key_thumbprint, Some(maria.thumbprint()));
        assert_eq!(principal.expires_at, at(40_000));
    }
    assert_eq!(issuer.fetches(), 1, "one document serves all");
    assert_eq!(issuer.service_ids(), ["cabildo"]);
}

#[tokio::test]
async fn a_header_cannot_choose_how_it_is_verified() {
    let (ec, rsa, ed) = (IssuerKey::p256("ec", 1), IssuerKey::rsa(), IssuerKey::ed25519("ed"));
    let issuer = Issuer::serving(&[&ec, &rsa, &ed]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    let claims = claims(&maria);
    let mut forgeries = Vec::new();
    for key in [&ec, &rsa, &ed] {
        let id = &key.jwk["kid"];
        // The public key as the secret of an HMAC, in every form it is published in.
        for secret in ["x", "y", "n"].iter().filter_map(|name| key.jwk[name].as_str()) {
            let message = message(&json!({"alg": "HS256", "kid": id}), &claims);
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
            mac.update(message.as_bytes());
            forgeries.push(format!("{message}.{}", encode(&mac.finalize().into_bytes())));
        }
        for none in ["none", "None", "NONE", ""] {
            forgeries.push(format!("{}.", message(&json!({"alg": none, "kid": id}), &claims)));
        }
        for algorithm in ["ES256", "RS256", "EdDSA", "ES384", "PS256"] {
            for other in [&ec, &rsa, &ed] {
                if key.header()["alg"] != algorithm || other.jwk["kid"] != *id {
                    let header = json!({"alg": algorithm, "kid": other.jwk["kid"]});
                    forgeries.push(key.sign(&header, &claims));
                }
            }
        }
        forgeries.push(format!("{}.", message(&key.header(), &claims)));
        forgeries.push(format!("{}.{}", message(&key.header(), &claims), encode(&[0; 64])));
    }
    // A key in the header itself is not a key we trust.
    let mallory = IssuerKey::p256("ec", 66);
    let mut header = mallory.header();
    header["jwk"] = mallory.jwk.clone();
    forgeries.push(mallory.sign(&header, &claims));
    // Another kind of JWT from the same issuer, with the same key.
    let mut header = ec.header();
    header["typ"] = json!("dpop+jwt");
    forgeries.push(ec.sign(&header, &claims));
    header["typ"] = json!("at+jwt");
    header["crit"] = json!(["exp"]);
    forgeries.push(ec.sign(&header, &claims));
    header.as_object_mut().expect("object").remove("crit");
    header.as_object_mut().expect("object").remove("kid");
    forgeries.push(ec.sign(&header, &claims));
    assert!(forgeries.len() > 40);
    for forgery in forgeries {
        let outcome = read(&authenticator, &forgery, at(0)).await;
        assert_eq!(outcome, Err(AuthError::TokenInvalid), "{forgery}");
    }
    // Of a token that is too long nothing is read; whoever issued it is told why.
    let padded = json!({"alg": "ES256", "kid": "ec", "pad": "x".repeat(16 * 1024)});
    let refused = read(&authenticator, &ec.sign(&padded, &claims), at(0)).await.expect_err("long");
    assert_eq!(refused.code(), ErrorCode::TokenInvalid);
    assert_eq!(refused.to_string(), "the access token is too long: more than 16384 bytes");
    assert!(read(&authenticator, &ec.token(&maria), at(0)).await.is_ok());
}

#[tokio::test]
async fn tokens_out_of_force_or_for_others_are_refused() {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    for (name, value, error) in [
        ("exp", json!(NOW_S - 31), AuthError::TokenExpired),
        ("iat", json!(NOW_S - 90_000), AuthError::TokenExpired),
        ("nbf", json!(NOW_S + 301), AuthError::TokenInvalid),
        ("iat", json!(NOW_S + 301), AuthError::TokenInvalid),
        ("iss", json!("https://other.example"), AuthError::TokenInvalid),
        ("aud", json!(["billing"]), AuthError::TokenInvalid),
        ("cnf", Value::Null, AuthError::TokenInvalid),
        ("roles", json!(["janitor"]), AuthError::Forbidden),
    ] {
        let mut claims = claims(&maria);
        claims[name] = value;
        let token = key.sign(&key.header(), &claims);
        assert_eq!(read(&authenticator, &token, at(0)).await, Err(error), "{name}");
    }
}

#[tokio::test]
async fn a_rotated_key_is_found_and_the_old_one_goes() {
    let (old, new) = (IssuerKey::p256("old", 1), IssuerKey::p256("new", 2));
    let issuer = Issuer::serving(&[&old]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    assert!(read(&authenticator, &old.token(&maria), at(0)).await.is_ok());
    issuer.keys(&[&new]);
    assert!(read(&authenticator, &new.token(&maria), at(11)).await.is_ok());
    assert_eq!(issuer.fetches(), 2);
    let outcome = read(&authenticator, &old.token(&maria), at(12)).await;
    assert_eq!(outcome, Err(AuthError::TokenInvalid));
}

#[tokio::test]
async fn a_withdrawn_key_is_taken_for_an_hour_at_most() {
    let (old, new) = (IssuerKey::p256("old", 1), IssuerKey::p256("new", 2));
    let issuer = Issuer::serving(&[&old]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    assert!(read(&authenticator, &old.token(&maria), at(0)).await.is_ok());
    issuer.keys(&[&new]);
    let outcome = read(&authenticator, &old.token(&maria), at(3_600)).await;
    assert_eq!(outcome, Err(AuthError::TokenInvalid));
}

#[tokio::test]
async fn a_storm_of_unknown_keys_does_not_reach_the_issuer() {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let (authenticator, maria) = (Arc::new(issuer.authenticator()), Person::new(7));
    assert!(read(&authenticator, &key.token(&maria), at(0)).await.is_ok());
    let storm: Vec<_> = (0..300)
        .map(|number| {
            let mut header = key.header();
            header["kid"] = json!(format!("random-{number}"));
            let token = key.sign(&header, &claims(&maria));
            let authenticator = Arc::clone(&authenticator);
            tokio::spawn(async move { read(&authenticator, &token, at(20)).await })
        })
        .collect();
    for stranger in storm {
        assert_eq!(stranger.await.expect("ran"), Err(AuthError::TokenInvalid));
    }
    assert_eq!(issuer.fetches(), 2, "the first, and one for the whole storm");
    assert!(read(&authenticator, &key.token(&maria), at(20)).await.is_ok());
}

#[tokio::test]
async fn first_callers_share_one_fetch() {
    let key = IssuerKey::p256("ec", 1);
    let issuer = Issuer::serving(&[&key]).await;
    let (authenticator, token) = (Arc::new(issuer.authenticator()), key.token(&Person::new(7)));
    let callers: Vec<_> = (0..50)
        .map(|_| {
            let (authenticator, token) = (Arc::clone(&authenticator), token.clone());
            tokio::spawn(async move { read(&authenticator, &token, at(0)).await })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.expect("ran").is_ok());
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn known_keys_serve_while_the_issuer_is_broken() {
    let (key, new) = (IssuerKey::p256("ec", 1), IssuerKey::p256("new", 2));
    let issuer = Issuer::serving(&[&key]).await;
    let (authenticator, maria) = (issuer.authenticator(), Person::new(7));
    let token = key.token(&maria);
    assert!(read(&authenticator, &token, at(0)).await.is_ok());
    // Each of these would be a key set with the new key, were it not for its flaw.
    let keys = json!({"keys": [new.jwk]}).to_string().into_bytes();
    let mut huge = keys.clone();
    huge.resize(256 * 1024 + 1, b' ');
    let too_many = json!({"keys": vec![new.jwk.clone(); 65]}).to_string().into_bytes();
    let elsewhere = Issuer::serving(&[&new]).await;
    let mut now_s = 4_000;
    for answer in [
        Answer::Raw(StatusCode::INTERNAL_SERVER_ERROR, keys.clone()),
        Answer::Raw(StatusCode::CREATED, keys),
        Answer::Raw(StatusCode::OK, b"<html>maintenance</html>".to_vec()),
        Answer::Raw(StatusCode::OK, b"{\"keys\":[]}".to_vec()),
        Answer::Raw(StatusCode::OK, huge),
        Answer::Raw(StatusCode::OK, too_many),
        Answer::Redirect(elsewhere.url.clone()),
    ] {
        let before = issuer.fetches();
        issuer.answer(answer);
        now_s += 120;
        assert!(read(&authenticator, &token, at(now_s)).await.is_ok());
        assert_eq!(issuer.fetches(), before + 1);
        // Nobody can say whether this key exists: that is no verdict on the token.
        let outcome = read(&authenticator, &new.token(&maria), at(now_s)).await;
        assert!(matches!(outcome, Err(AuthError::Unavailable { retry_after_s: 1..=61 })));
    }
    assert_eq!(elsewhere.fetches(), 0, "redirects are not followed");
    issuer.keys(&[&key, &new]);
    assert!(read(&authenticator, &new.token(&maria), at(now_s + 120)).await.is_ok());
}

#[tokio::test]
async fn without_any_key_nothing_is_decided() {
    let (_nobody, address) = nobody();
    let url = format!("http://{address}/jwks.json");
    let authenticator = authenticator(&url, Arc::new(InMemoryReplayCache::default()));
    let token = IssuerKey::p256("ec", 1).token(&Person::new(7));
    for seconds in 0..3 {
        let outcome = read(&authenticator, &token, at(seconds)).await;
        assert!(matches!(outcome, Err(AuthError::Unavailable { .. })), "{outcome:?}");
    }
    // What is no token at all is refused without asking anybody.
    assert_eq!(read(&authenticator, "a.b.c", at(3)).await, Err(AuthError::TokenInvalid));
}

#[test]
fn no_altered_token_passes() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let key = IssuerKey::p256("ec", 1);
    let issuer = runtime.block_on(Issuer::serving(&[&key]));
    let (authenticator, token) = (issuer.authenticator(), key.token(&Person::new(7)));
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let alteration = (0..token.len(), any::<char>(), any::<bool>());
    let outcome = TestRunner::new(config).run(&alteration, |(position, letter, insert)| {
        let mut altered: Vec<char> = token.chars().collect();
        if insert {
            altered.insert(position, letter);
        } else {
            altered[position] = letter;
        }
        let altered: String = altered.into_iter().collect();
        prop_assume!(altered != token && altered.trim_matches(' ') != token);
        let outcome = runtime.block_on(read(&authenticator, &altered, at(0)));
        prop_assert!(outcome.is_err(), "{altered}");
        Ok(())
    });
    outcome.expect("no altered token passes");
    assert!(runtime.block_on(read(&authenticator, &token, at(0))).is_ok());
}
