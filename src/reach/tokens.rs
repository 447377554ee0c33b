//! What a token is, read without its key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// How every media token begins.
const MEDIA_PREFIX: &str = "cbm_";

/// A token by its form.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// For one session and one direction.
    Media,
    /// Of a person, and bound to no key.
    Access {
        /// The session that it names.
        session: Option<String>,
    },
    /// Of a person, and useless without their key.
    Bound,
    /// Something else.
    Unknown,
}

impl Token {
    pub(super) fn of(text: &str) -> Self {
        if text.starts_with(MEDIA_PREFIX) {
            return Self::Media;
        }
        let mut parts = text.split('.');
        let (Some(_), Some(claims), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::Unknown;
        };
        let claims = URL_SAFE_NO_PAD.decode(claims).ok();
        let claims = claims.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let Some(claims) = claims.filter(Value::is_object) else { return Self::Unknown };
        if claims["cnf"]["jkt"].is_string() {
            return Self::Bound;
        }
        Self::Access { session: claims["session_id"].as_str().map(str::to_owned) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_told_apart_by_their_form() {
        let access = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
        let session = Some("s".to_owned());
        assert_eq!(Token::of("cbm_abc"), Token::Media);
        let named = Token::Access { session };
        assert_eq!(Token::of(&access(r#"{"session_id":"s"}"#)), named);
        assert_eq!(Token::of(&access("{}")), Token::Access { session: None });
        assert_eq!(Token::of(&access(r#"{"cnf":{"jkt":"k"}}"#)), Token::Bound);
        for text in ["", "a.b", "a.b.c.d", "a.!.c", "e30.W10.c2ln", "secret"] {
            assert_eq!(Token::of(text), Token::Unknown, "{text}");
        }
    }
}
