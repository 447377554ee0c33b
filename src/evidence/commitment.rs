//! Commitments, which the log contains in place of personal data. Without the salt a guess can't be
//! checked; with it, anybody can check it.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::id::UserId;
use crate::domain::media::TrackSource;
use crate::evidence::cbor::Writer;
use crate::evidence::repository::Hash;

/// The commitment to an event's text.
#[must_use]
pub fn event_commitment(salt: &[u8; 32], event: &str) -> Hash {
    commitment("ev1", salt, event)
}

/// The commitment to the subject (the person) of a track.
#[must_use]
pub fn subject_commitment(salt: &[u8; 32], subject: &str) -> Hash {
    commitment("sub1", salt, subject)
}

fn commitment(what: &str, salt: &[u8; 32], text: &str) -> Hash {
    let mut writer = Writer::default();
    writer.array(3).text(what).bytes(salt).text(text);
    Sha256::digest(writer.into_bytes()).into()
}

/// The text about the subject of a track to which its entry commits. Recording and disclosing must
/// produce the same text.
///
/// # Panics
/// Never: texts can always be written as JSON.
#[must_use]
pub fn subject_text(user: &UserId, name: &str, source: TrackSource) -> String {
    // Every log that exists commits to this order.
    #[derive(Serialize)]
    struct Subject<'a> {
        name: &'a str,
        source: &'a str,
        user_id: &'a str,
    }
    let subject = Subject { user_id: user.as_str(), name, source: source.as_str() };
    serde_json::to_string(&subject).expect("texts can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_is_the_hash_of_the_format() {
        let mut bytes = vec![0x83, 0x63];
        bytes.extend(b"ev1");
        bytes.extend([0x58, 0x20]);
        bytes.extend([5; 32]);
        bytes.extend([0x62]);
        bytes.extend(b"{}");
        let expected: Hash = Sha256::digest(&bytes).into();
        assert_eq!(event_commitment(&[5; 32], "{}"), expected);
        assert_ne!(event_commitment(&[6; 32], "{}"), expected, "another salt");
        assert_ne!(subject_commitment(&[5; 32], "{}"), expected, "another purpose");
    }

    #[test]
    fn a_subject_has_one_text() {
        let user: UserId = "maria".parse().expect("valid");
        assert_eq!(
            subject_text(&user, "María \"M\"", TrackSource::ScreenAudio),
            r#"{"name":"María \"M\"","source":"screen_audio","user_id":"maria"}"#
        );
    }
}
