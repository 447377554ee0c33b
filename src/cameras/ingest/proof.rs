//! The proof of a camera's credentials, as cameras read it: a little of what RFC 7616 allows is
//! understood by none of them.

use http_auth::digest::Algorithm;
use http_auth::{PasswordClient, PasswordParams};

/// What stands before a user name in characters beyond ASCII (RFC 8187 §3.2).
const EXTENDED_NAME: &str = "username*=UTF-8''";

/// The value of `Authorization`; `None` when the challenge can't be met.
pub(super) fn proof(login: &mut PasswordClient, params: &PasswordParams<'_>) -> Option<String> {
    let mut proof = login.respond(params).ok()?;
    let PasswordClient::Digest(digest) = login else { return Some(proof) };
    // A camera that is not told the algorithm takes MD5 for it (RFC 7616 §3.4).
    if !proof.contains("algorithm=") {
        match digest.algorithm() {
            Algorithm::Sha256 => proof.push_str(", algorithm=SHA-256"),
            Algorithm::Sha512Trunc256 => proof.push_str(", algorithm=SHA-512-256"),
            _ => {}
        }
    }
    if let Some((before, after)) = proof.split_once(EXTENDED_NAME) {
        let after = after.find(',').and_then(|end| after.get(end..)).unwrap_or_default();
        let name = params.username.replace('\\', "\\\\").replace('"', "\\\"");
        proof = format!("{before}username=\"{name}\"{after}");
    }
    Some(proof)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proved(username: &str, challenges: &str) -> String {
        let mut login =
            PasswordClient::builder().challenges(challenges).build().expect("a challenge");
        let params = PasswordParams {
            username,
            password: "secret",
            uri: "rtsp://cam/live",
            method: "DESCRIBE",
            body: Some(&[]),
        };
        proof(&mut login, &params).expect("a proof")
    }

    #[test]
    fn the_algorithm_is_named_unless_it_is_the_one_that_is_taken_without() {
        let both = r#"Digest realm="a", nonce="n", algorithm=SHA-256, Digest realm="a", nonce="n", algorithm=MD5"#;
        assert!(proved("root", both).ends_with(", algorithm=SHA-256"));
        let longer = r#"Digest realm="a", nonce="n", algorithm=SHA-512-256"#;
        assert!(proved("root", longer).ends_with(", algorithm=SHA-512-256"));
        let old = proved("root", r#"Digest realm="a", nonce="n""#);
        assert!(!old.contains("algorithm"), "{old}");
        let new = proved("root", r#"Digest realm="a", nonce="n", qop="auth", algorithm=SHA-256"#);
        assert_eq!(new.matches("algorithm=").count(), 1, "{new}");
        assert_eq!(proved("root", r#"Basic realm="a""#), "Basic cm9vdDpzZWNyZXQ=");
    }

    #[test]
    fn a_name_beyond_ascii_stands_as_it_is() {
        let challenge = r#"Digest realm="a", nonce="n""#;
        let proof = proved("usér \"x\\", challenge);
        let begin = r#"Digest username="usér \"x\\", realm="a", uri="rtsp://cam/live""#;
        assert!(proof.starts_with(begin), "{proof}");
        assert!(proved("root", challenge).starts_with(r#"Digest username="root","#));
    }
}
