//! Access tokens: JWTs of the identity service (RFC 7519, RFC 8725, RFC 9068).

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

use crate::auth::CLOCK_LEEWAY;
use crate::auth::error::AuthError;
use crate::auth::jws::{CompactJws, decode_exactly};
use crate::auth::key_cache::KeyCache;
use crate::auth::key_source::KeySource;
use crate::domain::id::UserId;
use crate::domain::participant::Principal;
use crate::domain::role::{Role, Roles};
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;

/// Longest token accepted, in bytes. Providers write 200 groups into one.
const TOKEN_LENGTH_MAX: usize = 16 * 1024;
/// How far ahead the clock of the issuer may be. A token is good until its `exp` by this server's
/// clock, so it gains nothing by a later beginning.
const ISSUER_AHEAD_MAX: Duration = Duration::from_mins(5);
/// Age at which a token is refused whatever its `exp`. Bounds the effect of a mistake of the
/// issuer.
const TOKEN_AGE_MAX: Duration = Duration::from_hours(24);
/// Most audiences of a token.
const AUDIENCES_MAX: usize = 16;
/// Most role names of a token, known or not.
const ROLES_MAX: usize = 32;
/// Longest `jti` accepted, in bytes.
const TOKEN_ID_LENGTH_MAX: usize = 256;
/// Longest language tag, in bytes (RFC 5646 §4.4.1 recommends 35).
const LOCALE_LENGTH_MAX: usize = 35;

/// Checks access tokens.
pub(super) struct AccessTokenVerifier {
    issuer: String,
    audience: String,
    keys: KeyCache,
}

/// The contents of a token that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VerifiedToken {
    /// The person it was issued to.
    pub(super) principal: Principal,
    /// The RFC 7638 thumbprint of the key it is bound to, if it is bound to one.
    pub(super) thumbprint: Option<[u8; 32]>,
}

impl AccessTokenVerifier {
    /// Makes a verifier of tokens from `issuer` for `audience`.
    pub(super) fn new(issuer: String, audience: String, keys: Arc<dyn KeySource>) -> Self {
        Self { issuer, audience, keys: KeyCache::new(keys) }
    }

    /// Verifies `token` and returns its contents.
    pub(super) async fn verify(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<VerifiedToken, AuthError> {
        if token.len() > TOKEN_LENGTH_MAX {
            return Err(AuthError::TokenTooLong { max: TOKEN_LENGTH_MAX });
        }
        let jws = CompactJws::parse(token, TOKEN_LENGTH_MAX).ok_or(AuthError::TokenInvalid)?;
        if !has_token_type(&jws) {
            return Err(AuthError::TokenInvalid);
        }
        let key = self.keys.key_for(&jws, now).await?;
        if !jws.is_signed_by(&key) {
            return Err(AuthError::TokenInvalid);
        }
        // What is only displayed never refuses anybody, so a broken name is mended.
        let claims: Option<Claims> = jws.claims().or_else(|| jws.mended_claims());
        let claims = claims.ok_or(AuthError::TokenInvalid)?;
        claims.check(&self.issuer, &self.audience, now)
    }
}

/// Whether the `typ` of the token is that of access tokens, or missing. This refuses other JWTs
/// that the same issuer signs with the same keys (RFC 8725 §3.11).
fn has_token_type(jws: &CompactJws<'_>) -> bool {
    jws.header.get("typ").is_none_or(|value| {
        value.as_str().is_some_and(|name| {
            ["jwt", "at+jwt", "application/at+jwt"]
                .iter()
                .any(|taken| name.eq_ignore_ascii_case(taken))
        })
    })
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    sub: String,
    exp: Number,
    iat: Number,
    #[serde(default, deserialize_with = "given")]
    nbf: Option<Number>,
    jti: String,
    tenant_id: String,
    roles: Vec<Value>,
    #[serde(default, deserialize_with = "given")]
    cnf: Option<Confirmation>,
    #[serde(default, deserialize_with = "given")]
    session_id: Option<String>,
    /// Only shown to people, like `locale`: a malformed value does not make the token invalid.
    name: Option<Value>,
    locale: Option<Value>,
}

/// The value of a claim that restricts the token. With `null` or another type the token is
/// malformed: a restriction that can't be read is not the same as none (RFC 7800 §3.1 wants an object
/// for `cnf`, RFC 7519 §4.1.5 a number for `nbf`).
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Deserialize)]
struct Confirmation {
    jkt: String,
}

impl Claims {
    /// The contents of the token, if it is for this server, valid now and complete.
    fn check(
        self,
        issuer: &str,
        audience: &str,
        now: Timestamp,
    ) -> Result<VerifiedToken, AuthError> {
        let invalid = AuthError::TokenInvalid;
        if self.iss != issuer || !self.aud.includes(audience) {
            return Err(invalid);
        }
        let expires_at = self.check_times(now)?;
        let thumbprint = self
            .cnf
            .as_ref()
            .map(|cnf| decode_exactly::<32>(&cnf.jkt).ok_or(AuthError::TokenInvalid))
            .transpose()?;
        if !(1..=TOKEN_ID_LENGTH_MAX).contains(&self.jti.len()) || self.roles.len() > ROLES_MAX {
            return Err(invalid);
        }
        let user_id: UserId = self.sub.parse().map_err(|_| AuthError::TokenInvalid)?;
        // Two subjects whose broken characters were replaced could be the same.
        if user_id.is_reserved() || user_id.as_str().contains(char::REPLACEMENT_CHARACTER) {
            return Err(invalid);
        }
        let name = self.name.as_ref().and_then(Value::as_str);
        let name = name.and_then(|name| ShownText::Name.cleaned(name));
        let session_id = self.session_id.map(|text| text.parse()).transpose();
        let principal = Principal {
            tenant_id: self.tenant_id.parse().map_err(|_| AuthError::TokenInvalid)?,
            user_id,
            roles: known_roles(&self.roles)?,
            name: name.or_else(|| ShownText::Name.cleaned(&self.sub)).ok_or(invalid)?,
            locale: self.locale.as_ref().and_then(Value::as_str).and_then(language_tag),
            session_id: session_id.map_err(|_| AuthError::TokenInvalid)?,
            key_thumbprint: self.cnf.map(|cnf| cnf.jkt),
            expires_at,
            judged_at: now,
        };
        if principal.roles.is_empty() {
            Err(AuthError::Forbidden)
        } else {
            Ok(VerifiedToken { principal, thumbprint })
        }
    }

    /// When the token expires, if it is valid now.
    fn check_times(&self, now: Timestamp) -> Result<Timestamp, AuthError> {
        let moment = |date: &Number| numeric_date(date).ok_or(AuthError::TokenInvalid);
        let (expires_at, issued_at) = (moment(&self.exp)?, moment(&self.iat)?);
        let latest = now.after(ISSUER_AHEAD_MAX);
        if issued_at > latest || expires_at < issued_at {
            return Err(AuthError::TokenInvalid);
        }
        if let Some(not_before) = &self.nbf
            && moment(not_before)? > latest
        {
            return Err(AuthError::TokenInvalid);
        }
        let expires_at = expires_at.min(issued_at.after(TOKEN_AGE_MAX));
        if now.before(CLOCK_LEEWAY) >= expires_at {
            Err(AuthError::TokenExpired)
        } else {
            Ok(expires_at)
        }
    }
}

impl Audience {
    fn includes(&self, audience: &str) -> bool {
        match self {
            Self::One(only) => only == audience,
            Self::Several(list) => {
                list.len() <= AUDIENCES_MAX && list.iter().any(|one| one == audience)
            }
        }
    }
}

/// Unknown roles belong to other services and are ignored.
fn known_roles(names: &[Value]) -> Result<Roles, AuthError> {
    let mut roles = Vec::with_capacity(names.len());
    for name in names {
        roles.extend(Role::parse(name.as_str().ok_or(AuthError::TokenInvalid)?));
    }
    Ok(Roles::of(&roles))
}

/// Converts a `NumericDate` (RFC 7519 §2) between 1970 and 9999; fractions are cut off.
pub(super) fn numeric_date(date: &Number) -> Option<Timestamp> {
    /// 9999-12-31T23:59:59Z.
    const LAST_S: i64 = 253_402_300_799;
    let seconds = date.as_i64().or_else(|| {
        let seconds = date.as_f64()?;
        #[expect(clippy::cast_precision_loss, reason = "below 2^53 every integer is exact")]
        let is_in_range = (0.0..=LAST_S as f64).contains(&seconds);
        #[expect(clippy::cast_possible_truncation, reason = "fractions are cut off on purpose")]
        is_in_range.then_some(seconds as i64)
    })?;
    (0..=LAST_S).contains(&seconds).then(|| Timestamp::from_unix_us(seconds * 1_000_000))
}

/// The language tag (RFC 5646) of a locale. POSIX locales (`es_CO`, `en_US.UTF-8`, `de@euro`) lose
/// their encoding and modifier; `None` when the text names no language.
fn language_tag(locale: &str) -> Option<String> {
    let tag = locale.split(['.', '@']).next().unwrap_or_default().trim().replace('_', "-");
    let is_tag = (2..=LOCALE_LENGTH_MAX).contains(&tag.len())
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    let names_a_language = tag.split('-').next().is_some_and(|language| {
        language.len() >= 2 && language.bytes().all(|byte| byte.is_ascii_alphabetic())
    });
    (is_tag && names_a_language && !tag.eq_ignore_ascii_case("posix")).then_some(tag)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::json;

    const NOW_S: i64 = 1_700_000_000;

    fn claims() -> Value {
        json!({
            "iss": "https://identity.example", "aud": "cabildo", "sub": "maria",
            "iat": NOW_S - 60, "exp": NOW_S + 600, "jti": "one",
            "tenant_id": "0190a1b2-0000-7000-8000-000000000001",
            "roles": ["participant"], "cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
        })
    }

    fn check(claims: &Value) -> Result<VerifiedToken, AuthError> {
        let claims: Claims = json::objects(claims.clone()).map_err(|_| AuthError::TokenInvalid)?;
        let now = Timestamp::from_unix_us(NOW_S * 1_000_000);
        claims.check("https://identity.example", "cabildo", now)
    }

    fn with(name: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[name] = value;
        claims
    }

    #[test]
    fn a_whole_token_says_who_it_is_for() {
        let mut claims = claims();
        claims["name"] = json!("María Gómez");
        claims["locale"] = json!("es-CO");
        claims["session_id"] = json!("0190a1b2-0000-7000-8000-000000000002");
        claims["roles"] = json!(["accountant", "moderator", "participant"]);
        claims["aud"] = json!(["billing", "cabildo"]);
        claims["department"] = json!({"unknown": "claims are fine"});
        let principal = check(&claims).expect("valid").principal;
        assert_eq!(principal.user_id.as_str(), "maria");
        assert_eq!(principal.name, "María Gómez");
        assert_eq!(principal.locale.as_deref(), Some("es-CO"));
        assert_eq!(principal.roles, Roles::of(&[Role::Participant, Role::Moderator]));
        assert_eq!(principal.expires_at.unix_s(), NOW_S + 600);
        assert!(principal.session_id.is_some());
    }

    #[test]
    fn a_token_without_a_name_has_the_user_id_for_one() {
        assert_eq!(check(&claims()).expect("valid").principal.name, "maria");
    }

    #[test]
    fn claims_for_display_refuse_nobody() {
        for (name, shown) in [
            (json!(""), "maria"),
            (json!("  "), "maria"),
            (json!(7), "maria"),
            (json!(null), "maria"),
            (json!("a\nb"), "a b"),
            (json!("a\u{202e}b"), "ab"),
            (json!("\u{200b}"), "maria"),
        ] {
            let principal = check(&with("name", name.clone())).expect("taken").principal;
            assert_eq!(principal.name, shown, "{name}");
        }
        let long = check(&with("name", json!("x".repeat(5_000)))).expect("taken").principal.name;
        assert_eq!(long.chars().count(), 100);
        for (locale, tag) in [
            ("es-CO", Some("es-CO")),
            ("es_CO", Some("es-CO")),
            ("en_US.UTF-8", Some("en-US")),
            ("de_DE@euro", Some("de-DE")),
            ("zh-Hant-TW", Some("zh-Hant-TW")),
            ("", None),
            ("C", None),
            ("POSIX", None),
            ("??", None),
            ("e", None),
        ] {
            let principal = check(&with("locale", json!(locale))).expect("taken").principal;
            assert_eq!(principal.locale.as_deref(), tag, "{locale}");
        }
        assert_eq!(check(&with("locale", json!([]))).expect("taken").principal.locale, None);
    }

    #[test]
    fn a_subject_is_any_text_of_openid_connect() {
        for sub in [
            "auth0|5f7c8ec7c33c6c004bbafe82",
            "a b",
            "{urn:x}",
            "josé@x.example",
            "马丽",
            &"x".repeat(255),
            &"é".repeat(255),
        ] {
            let principal = check(&with("sub", json!(sub))).expect("taken").principal;
            assert_eq!(principal.user_id.as_str(), sub);
        }
    }

    #[test]
    fn a_token_without_a_key_is_bound_to_none() {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove("cnf");
        let token = check(&claims).expect("valid");
        assert_eq!((token.thumbprint, token.principal.key_thumbprint), (None, None));
        assert!(check(&self::claims()).expect("valid").thumbprint.is_some());
    }

    #[test]
    fn every_claim_is_checked() {
        for (name, bad) in [
            ("iss", json!("https://identity.example/")),
            ("iss", json!(["https://identity.example"])),
            ("aud", json!("Cabildo")),
            ("aud", json!([])),
            ("aud", json!(vec!["cabildo"; AUDIENCES_MAX + 1])),
            ("sub", json!("")),
            ("sub", json!("a\u{0}b")),
            ("sub", json!("x".repeat(256))),
            ("sub", json!("ana\u{fffd}")),
            ("sub", json!("cabildo\u{200b}:recorder")),
            ("sub", json!("cabildo:recorder")),
            ("sub", json!("Cabildo:Recorder")),
            ("sub", json!("cabildo:")),
            ("sub", json!(7)),
            ("exp", json!("1700000600")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("exp", json!(NOW_S - 61)),
            ("iat", json!(NOW_S + 301)),
            ("iat", json!(null)),
            ("nbf", json!(NOW_S + 301)),
            ("nbf", json!("soon")),
            ("nbf", json!(null)),
            ("jti", json!("")),
            ("jti", json!("x".repeat(257))),
            ("tenant_id", json!("acme")),
            ("tenant_id", json!("0190A1B2000070008000000000000001")),
            ("roles", json!("moderator")),
            ("roles", json!([1])),
            ("roles", json!(vec!["participant"; ROLES_MAX + 1])),
            ("cnf", json!({})),
            ("cnf", json!(null)),
            ("cnf", json!("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")),
            ("cnf", json!([])),
            ("cnf", json!(["0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"])),
            ("cnf", json!({"jkt": null})),
            ("cnf", json!({"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"})),
            ("cnf", json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4"})),
            ("session_id", json!("7")),
            ("session_id", json!(null)),
        ] {
            let outcome = check(&with(name, bad.clone()));
            assert_eq!(outcome, Err(AuthError::TokenInvalid), "{name}: {bad}");
        }
        let required = ["iss", "aud", "sub", "exp", "iat", "jti", "tenant_id", "roles"];
        for name in required {
            let mut claims = claims();
            claims.as_object_mut().expect("an object").remove(name);
            assert_eq!(check(&claims), Err(AuthError::TokenInvalid), "without {name}");
        }
    }

    #[test]
    fn clocks_may_differ_by_the_leeway() {
        assert!(check(&with("exp", json!(NOW_S - 29))).is_ok());
        assert_eq!(check(&with("exp", json!(NOW_S - 30))), Err(AuthError::TokenExpired));
        assert!(check(&with("iat", json!(NOW_S + 300))).is_ok());
        assert!(check(&with("nbf", json!(NOW_S + 300))).is_ok());
        assert!(check(&with("exp", json!(f64::from(1_700_000_600) + 0.5))).is_ok());
    }

    #[test]
    fn no_token_lives_longer_than_a_day() {
        let mut claims = with("exp", json!(NOW_S + 90 * 86_400));
        claims["iat"] = json!(NOW_S - 86_399);
        let principal = check(&claims).expect("still in its day").principal;
        assert_eq!(principal.expires_at.unix_s(), NOW_S + 1);
        claims["iat"] = json!(NOW_S - 86_400 - 30);
        assert_eq!(check(&claims), Err(AuthError::TokenExpired));
    }

    #[test]
    fn a_token_needs_a_role_that_we_know() {
        assert_eq!(check(&with("roles", json!([]))), Err(AuthError::Forbidden));
        assert_eq!(check(&with("roles", json!(["accountant"]))), Err(AuthError::Forbidden));
    }
}
