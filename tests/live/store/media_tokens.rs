//! Media tokens: kept as hashes, found by session, counted by person, revoked.

use std::sync::Arc;
use std::time::Duration;

use cabildo::auth::{
    AuthError, LIFETIME_MAX, MediaToken, MediaTokenId, MediaTokenKind, MediaTokenRefused,
    MediaTokenRepository as _, MediaTokenWanted, MediaTokens, TOKENS_PER_PERSON_MAX,
};
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::media::TrackSource;
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::Session;

use crate::store::fixture::{Fixture, NOW, cases};

cases!(
    a_token_is_kept_as_a_hash_and_found_by_its_text,
    a_token_is_for_one_session_and_direction,
    a_token_ends_and_is_revoked,
    a_token_that_is_wanted_again_has_another_text,
    a_person_has_so_many,
    another_tenant_sees_none,
);

const HOUR: Duration = Duration::from_hours(1);

fn person(session: &Session, user: &str, role: Role) -> Principal {
    Principal {
        tenant_id: session.tenant_id,
        user_id: user.parse().expect("a user id"),
        roles: Roles::of(&[role]),
        name: "María".to_owned(),
        locale: None,
        session_id: None,
        key_thumbprint: None,
        expires_at: NOW.after(HOUR),
        judged_at: NOW,
    }
}

fn wanted(session: &Session, kind: MediaTokenKind) -> MediaTokenWanted {
    let source = (kind == MediaTokenKind::Whip).then_some(TrackSource::Screen);
    MediaTokenWanted {
        id: MediaTokenId::from_uuid(uuid::Uuid::now_v7()),
        session: session.id,
        kind,
        source,
        lifetime: HOUR,
        speak_without_turn: false,
    }
}

fn tokens(fixture: &Fixture) -> MediaTokens {
    MediaTokens::new(Arc::new(fixture.store().clone()))
}

async fn issue(tokens: &MediaTokens, session: &Session, user: &str) -> (MediaToken, String) {
    let person = person(session, user, Role::Moderator);
    let issued = tokens.issue(&person, wanted(session, MediaTokenKind::Whip), NOW).await;
    let (token, text) = issued.expect("issued");
    (token, text.expose().clone())
}

async fn a_token_is_kept_as_a_hash_and_found_by_its_text(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let of = session.key();
    let (token, text) = issue(&tokens(&fixture), &session, "maria").await;
    let there = MediaTokens::new(Arc::new(fixture.stores[1].clone()));
    let found = there.check(of, MediaTokenKind::Whip, &text, NOW).await.expect("in force");
    assert_eq!(found, token);
    assert_eq!((found.source, found.expires_at), (Some(TrackSource::Screen), NOW.after(HOUR)));
    // A moderator's rights were not asked for.
    assert_eq!(found.principal(NOW).roles, Roles::of(&[Role::Participant]));
    assert_eq!(found.principal(NOW).session_id, Some(session.id));
    let mut altered = text.clone().into_bytes();
    altered[10] = if altered[10] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).expect("ASCII");
    for text in [altered.as_str(), "cbm_", "a.b.c", ""] {
        let outcome = there.check(of, MediaTokenKind::Whip, text, NOW).await;
        assert_eq!(outcome, Err(AuthError::TokenInvalid), "{text}");
    }
}

async fn a_token_is_for_one_session_and_direction(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let other = fixture.session(session.tenant_id).await;
    let tokens = tokens(&fixture);
    let (_, text) = issue(&tokens, &session, "maria").await;
    let elsewhere = other.key();
    let outcome = tokens.check(elsewhere, MediaTokenKind::Whip, &text, NOW).await;
    assert_eq!(outcome, Err(AuthError::TokenInvalid));
    let here = session.key();
    let outcome = tokens.check(here, MediaTokenKind::Whep, &text, NOW).await;
    assert_eq!(outcome, Err(AuthError::Forbidden));
    let observer = person(&session, "observer", Role::Observer);
    let outcome = tokens.issue(&observer, wanted(&session, MediaTokenKind::Whip), NOW).await;
    assert_eq!(outcome.err(), Some(MediaTokenRefused::Forbidden));
    assert!(tokens.issue(&observer, wanted(&session, MediaTokenKind::Whep), NOW).await.is_ok());
}

async fn a_token_ends_and_is_revoked(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let tokens = tokens(&fixture);
    let check = async |text: &str, at| {
        tokens
            .check(SessionKey::new(tenant, id), MediaTokenKind::Whip, text, at)
            .await
            .map(|token| token.id)
    };
    let (first, text) = issue(&tokens, &session, "maria").await;
    assert_eq!(check(&text, NOW.after(HOUR)).await, Err(AuthError::TokenExpired));
    let (second, other) = issue(&tokens, &session, "maria").await;
    let store = fixture.store();
    assert_eq!(store.revoke(TenantId::generate(), first.id, NOW).await, Ok(false));
    assert_eq!(store.revoke(tenant, first.id, NOW).await, Ok(true));
    assert_eq!(store.revoke(tenant, first.id, NOW).await, Ok(false), "it is revoked once");
    assert_eq!(check(&text, NOW).await, Err(AuthError::TokenExpired));
    assert_eq!(check(&other, NOW).await, Ok(second.id));
    // Whoever opened something with it is still recognised.
    let recalled = tokens.recall(SessionKey::new(tenant, id), &text).await.expect("read");
    assert_eq!(recalled.map(|token| token.id), Some(first.id));
    let listed = store.list(SessionKey::new(tenant, id), None, NOW).await.expect("read");
    assert_eq!(listed, [second]);
}

async fn a_token_that_is_wanted_again_has_another_text(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (maria, chair) =
        (person(&session, "maria", Role::Participant), person(&session, "maria", Role::Moderator));
    let (tokens, of) = (tokens(&fixture), session.key());
    let same =
        MediaTokenWanted { speak_without_turn: true, ..wanted(&session, MediaTokenKind::Whip) };
    let (first, before) = tokens.issue(&chair, same, NOW).await.expect("issued");
    let there = MediaTokens::new(Arc::new(fixture.stores[1].clone()));
    let later = NOW.after(HOUR / 2);
    let (again, text) = there.issue(&maria, same, later).await.expect("renewed");
    let roles = Roles::of(&[Role::Participant]);
    assert_eq!(again, MediaToken { roles, ..first.clone() }, "it ends when it did");
    let check = async |text: &str| tokens.check(of, MediaTokenKind::Whip, text, later).await;
    assert_eq!(check(before.expose()).await, Err(AuthError::TokenInvalid));
    assert_eq!(check(text.expose()).await, Ok(again));
    assert_eq!(fixture.count("media_tokens").await, 1);
    // What has ended or was revoked is not given back, and another tenant's is another token.
    let ended = tokens.issue(&maria, same, NOW.after(HOUR)).await;
    assert_eq!(ended.err(), Some(MediaTokenRefused::Over));
    let store = fixture.store();
    let (hash, strange) = ([7; 32], TenantId::generate());
    assert_eq!(store.renew(strange, first.id, (hash, roles), later).await, Ok(false));
    assert_eq!(store.revoke(session.tenant_id, first.id, later).await, Ok(true));
    let revoked = tokens.issue(&maria, same, later).await;
    assert_eq!(revoked.err(), Some(MediaTokenRefused::Over));
}

async fn a_person_has_so_many(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let tokens = tokens(&fixture);
    for _ in 0..TOKENS_PER_PERSON_MAX {
        issue(&tokens, &session, "maria").await;
    }
    let maria = person(&session, "maria", Role::Participant);
    let one_more = || wanted(&session, MediaTokenKind::Whep);
    let outcome = tokens.issue(&maria, one_more(), NOW).await;
    assert_eq!(outcome.err(), Some(MediaTokenRefused::TooMany));
    issue(&tokens, &session, "ana").await;
    assert!(tokens.issue(&maria, one_more(), NOW.after(HOUR)).await.is_ok(), "the others ended");
    // What ended long ago is forgotten.
    let later = NOW.after(LIFETIME_MAX * 3);
    assert!(tokens.issue(&maria, one_more(), later).await.is_ok());
    assert_eq!(fixture.count("media_tokens").await, 1);
}

async fn another_tenant_sees_none(fixture: Fixture) {
    let session = fixture.session(TenantId::generate()).await;
    let (token, text) = issue(&tokens(&fixture), &session, "maria").await;
    let stranger = TenantId::generate();
    let store = fixture.store();
    assert_eq!(store.read(stranger, token.id).await, Ok(None));
    assert_eq!(store.list(SessionKey::new(stranger, session.id), None, NOW).await, Ok(vec![]));
    let outcome = tokens(&fixture).recall(SessionKey::new(stranger, session.id), &text).await;
    assert_eq!(outcome, Ok(None));
    let nowhere = SessionKey::new(session.tenant_id, SessionId::generate());
    assert_eq!(tokens(&fixture).recall(nowhere, &text).await, Ok(None));
}
