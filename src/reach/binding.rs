//! Connectivity checks (RFC 8445 §7): a request with the credentials of an answer, and its response.

use rand::Rng as _;
use rtc_stun::attributes::{ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USERNAME};
use rtc_stun::error_code::ErrorCodeAttribute;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, Getter as _, Message, Setter as _,
    TransactionId, is_stun_message,
};

/// Priority of a peer-reflexive candidate (RFC 8445 §5.1.2.1).
const PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;

/// User fragments of both sides and the password of the server's.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) own_ufrag: String,
    pub(super) ufrag: String,
    pub(super) password: String,
}

/// A request that may be sent more than once.
pub(super) struct Check<'a> {
    credentials: &'a Credentials,
    transaction: [u8; 12],
    /// The request.
    pub(super) bytes: Vec<u8>,
}

/// What a datagram says about a check.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The server answered with the right credentials.
    Answered,
    /// The server refused it with this code.
    Refused(u16),
    /// It is no response to this check.
    Other,
}

impl<'a> Check<'a> {
    /// `None` when the cryptography of this machine can't be used. It nominates nothing, so that no
    /// path is chosen by a test.
    pub(super) fn new(credentials: &'a Credentials) -> Option<Self> {
        let provider = rtc_crypto::default_provider().ok()?;
        let mut random = rand::rng();
        let transaction: [u8; 12] = random.random();
        let mut message = Message::new();
        message.set_type(BINDING_REQUEST);
        message.transaction_id = TransactionId(transaction);
        message.write_header();
        let username = format!("{}:{}", credentials.ufrag, credentials.own_ufrag);
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        message.add(ATTR_ICE_CONTROLLING, &random.random::<u64>().to_be_bytes());
        let password = credentials.password.as_bytes();
        MessageIntegrity::new_raw_integrity_with_provider(password, provider.crypto())
            .add_to(&mut message)
            .ok()?;
        FINGERPRINT.add_to(&mut message).ok()?;
        Some(Self { credentials, transaction, bytes: message.raw })
    }

    /// Reads a datagram. Only a response whose integrity is right counts as an answer.
    pub(super) fn read(&self, datagram: &[u8]) -> Reply {
        let mut message = Message::new();
        if !is_stun_message(datagram)
            || message.unmarshal_binary(datagram).is_err()
            || message.transaction_id.0 != self.transaction
        {
            return Reply::Other;
        }
        if message.typ == BINDING_ERROR {
            let mut code = ErrorCodeAttribute::default();
            return match code.get_from(&message) {
                Ok(()) => Reply::Refused(code.code.0),
                Err(_) => Reply::Other,
            };
        }
        let Ok(provider) = rtc_crypto::default_provider() else { return Reply::Other };
        let password = self.credentials.password.as_bytes();
        let is_right = message.typ == BINDING_SUCCESS
            && FINGERPRINT.check(&message).is_ok()
            && MessageIntegrity::check(&mut message, password, provider.crypto()).is_ok();
        if is_right { Reply::Answered } else { Reply::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(check: &Check<'_>, password: &str) -> Vec<u8> {
        let provider = rtc_crypto::default_provider().unwrap();
        let mut message = Message::new();
        message.set_type(BINDING_SUCCESS);
        message.transaction_id = TransactionId(check.transaction);
        message.write_header();
        MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), provider.crypto())
            .add_to(&mut message)
            .unwrap();
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    }

    #[test]
    fn only_a_server_that_knows_the_password_answers_a_check() {
        let credentials = Credentials {
            own_ufrag: "mine".to_owned(),
            ufrag: "its".to_owned(),
            password: "a password of the server".to_owned(),
        };
        let check = Check::new(&credentials).unwrap();
        assert_eq!(check.read(&answer(&check, &credentials.password)), Reply::Answered);
        assert_eq!(check.read(&answer(&check, "another")), Reply::Other);
        let other = Check::new(&credentials).unwrap();
        assert_eq!(check.read(&answer(&other, &credentials.password)), Reply::Other);
        assert_eq!(check.read(b"nonsense"), Reply::Other);
    }
}
