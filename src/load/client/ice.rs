#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The controlling side of ICE (RFC 8445) with one ICE-lite peer: checks that nominate, and consent
//! checks (RFC 7675) once one was answered.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rand::Rng;
use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{
    ATTR_ICE_CONTROLLING, ATTR_PRIORITY, ATTR_USE_CANDIDATE, ATTR_USERNAME,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_REQUEST, BINDING_SUCCESS, Message, Setter, TransactionId, is_stun_message,
};

/// Time between the first checks; doubles with each check that is not answered.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Longest time between checks that are not answered.
const CHECK_INTERVAL_MAX: Duration = Duration::from_millis(500);
/// Time between checks of a peer that answers, varied by a fifth (RFC 7675 §5.1).
const CONSENT_INTERVAL: Duration = Duration::from_secs(4);
/// Time without an answer after which the transport is lost (RFC 7675 §5.1).
const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Sent checks whose answer is accepted; at the limit the oldest is removed.
const PENDING_MAX: usize = 16;
/// Type preference of a peer-reflexive candidate (RFC 8445 §5.1.2.1).
const PRIORITY: u32 = 110 << 24 | 65_535 << 8 | 255;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// User fragment and password of one side.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) ufrag: String,
    pub(super) password: String,
}

impl Credentials {
    pub(super) fn random(random: &mut impl Rng) -> Self {
        let mut text = |length: usize| -> String {
            (0..length).map(|_| char::from(ALPHABET[random.random_range(0..64)])).collect()
        };
        Self { ufrag: text(8), password: text(24) }
    }
}

struct Pending {
    transaction: [u8; 12],
    to: SocketAddr,
}

/// The state of the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IceState {
    /// No check has been answered yet.
    Checking,
    /// The nominated address answers.
    Connected(SocketAddr),
    /// The peer no longer answers.
    Lost,
}

/// The client's side of ICE for one transport.
pub(super) struct Ice {
    pub(super) local: Credentials,
    remote: Option<Credentials>,
    candidates: Vec<SocketAddr>,
    turn: usize,
    pending: VecDeque<Pending>,
    next_check: Option<Instant>,
    interval: Duration,
    heard: Option<Instant>,
    state: IceState,
    tie_breaker: u64,
}

impl Ice {
    pub(super) fn new(random: &mut impl Rng) -> Self {
        Self {
            local: Credentials::random(random),
            remote: None,
            candidates: Vec::new(),
            turn: 0,
            pending: VecDeque::new(),
            next_check: None,
            interval: CHECK_INTERVAL_MIN,
            heard: None,
            state: IceState::Checking,
            tie_breaker: random.random(),
        }
    }

    pub(super) fn state(&self) -> IceState {
        self.state
    }

    pub(super) fn candidates(&self) -> &[SocketAddr] {
        &self.candidates
    }

    /// Whether these differ from the peer's current credentials.
    pub(super) fn is_restart(&self, remote: &Credentials) -> bool {
        self.remote.as_ref().is_some_and(|known| known != remote)
    }

    /// Draws new credentials; the address in use stays until another one answers.
    pub(super) fn restart(&mut self, random: &mut impl Rng) {
        self.local = Credentials::random(random);
    }

    /// Takes the values of the peer's description. New credentials start new checks.
    pub(super) fn start(&mut self, remote: Credentials, candidates: Vec<SocketAddr>, now: Instant) {
        if self.remote.as_ref() == Some(&remote) {
            return;
        }
        self.remote = Some(remote);
        self.candidates = candidates;
        self.pending.clear();
        self.interval = CHECK_INTERVAL_MIN;
        self.next_check = Some(now);
        self.heard = Some(now);
        if self.state == IceState::Lost {
            self.state = IceState::Checking;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_check
    }

    /// The next check, if one is due.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        random: &mut impl Rng,
        crypto: &dyn RTCCrypto,
    ) -> Option<(SocketAddr, Vec<u8>)> {
        if self.next_check.is_none_or(|due| now < due) {
            return None;
        }
        if self.heard.is_some_and(|heard| now.duration_since(heard) > CONSENT_TIMEOUT) {
            self.state = IceState::Lost;
            self.next_check = None;
            return None;
        }
        let to = match self.state {
            IceState::Connected(address) if self.candidates.contains(&address) => address,
            _ => {
                self.turn += 1;
                *self.candidates.get((self.turn - 1) % self.candidates.len().max(1))?
            }
        };
        self.next_check = Some(now + self.interval);
        self.interval = (self.interval * 2).min(CHECK_INTERVAL_MAX);
        let transaction: [u8; 12] = random.random();
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { transaction, to });
        Some((to, self.request(transaction, crypto)?))
    }

    fn request(&self, transaction: [u8; 12], crypto: &dyn RTCCrypto) -> Option<Vec<u8>> {
        let remote = self.remote.as_ref()?;
        let mut message = Message::new();
        message.set_type(BINDING_REQUEST);
        message.transaction_id = TransactionId(transaction);
        message.write_header();
        let username = format!("{}:{}", remote.ufrag, self.local.ufrag);
        message.add(ATTR_USERNAME, username.as_bytes());
        message.add(ATTR_PRIORITY, &PRIORITY.to_be_bytes());
        message.add(ATTR_ICE_CONTROLLING, &self.tie_breaker.to_be_bytes());
        message.add(ATTR_USE_CANDIDATE, &[]);
        MessageIntegrity::new_raw_integrity_with_provider(remote.password.as_bytes(), crypto)
            .add_to(&mut message)
            .ok()?;
        FINGERPRINT.add_to(&mut message).ok()?;
        Some(message.raw)
    }

    /// Takes a STUN message. Only authenticated answers to this client's checks are used.
    pub(super) fn handle_datagram(
        &mut self,
        bytes: &[u8],
        now: Instant,
        random: &mut impl Rng,
        crypto: &dyn RTCCrypto,
    ) {
        let Some(remote) = &self.remote else { return };
        if !is_stun_message(bytes) {
            return;
        }
        let mut message = Message::new();
        if message.unmarshal_binary(bytes).is_err() || message.typ != BINDING_SUCCESS {
            return;
        }
        let known = self.pending.iter().position(|p| p.transaction == message.transaction_id.0);
        let Some(known) = known else { return };
        if FINGERPRINT.check(&message).is_err()
            || MessageIntegrity::check(&mut message, remote.password.as_bytes(), crypto).is_err()
        {
            return;
        }
        let Some(pending) = self.pending.remove(known) else { return };
        self.pending.clear();
        self.state = IceState::Connected(pending.to);
        self.heard = Some(now);
        self.interval = CHECK_INTERVAL_MAX;
        self.next_check = Some(now + CONSENT_INTERVAL.mul_f64(random.random_range(0.8..1.2)));
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn answer(request: &[u8], password: &str, crypto: &dyn RTCCrypto) -> Vec<u8> {
        let mut asked = Message::new();
        asked.unmarshal_binary(request).unwrap();
        MessageIntegrity::check(&mut asked, password.as_bytes(), crypto).unwrap();
        let mut message = Message::new();
        message.set_type(BINDING_SUCCESS);
        message.transaction_id = asked.transaction_id;
        message.write_header();
        MessageIntegrity::new_raw_integrity_with_provider(password.as_bytes(), crypto)
            .add_to(&mut message)
            .unwrap();
        FINGERPRINT.add_to(&mut message).unwrap();
        message.raw
    }

    fn started(now: Instant) -> (Ice, StdRng, Credentials) {
        let mut random = StdRng::seed_from_u64(1);
        let mut ice = Ice::new(&mut random);
        let remote = Credentials::random(&mut random);
        ice.start(remote.clone(), vec!["127.0.0.1:9".parse().unwrap()], now);
        (ice, random, remote)
    }

    #[test]
    fn checks_repeat_until_answered_and_then_keep_consent() {
        let provider = rtc_crypto::default_provider().unwrap();
        let now = Instant::now();
        let (mut ice, mut random, remote) = started(now);
        let (to, first) = ice.handle_timeout(now, &mut random, provider.crypto()).unwrap();
        let due = ice.poll_timeout().unwrap();
        assert_eq!(due - now, CHECK_INTERVAL_MIN);
        let (_, second) = ice.handle_timeout(due, &mut random, provider.crypto()).unwrap();
        assert_ne!(first, second, "each check has its own transaction id");
        let reply = answer(&first, &remote.password, provider.crypto());
        ice.handle_datagram(&reply, due, &mut random, provider.crypto());
        assert_eq!(ice.state(), IceState::Connected(to));
        let consent = ice.poll_timeout().unwrap() - due;
        assert!(consent >= Duration::from_millis(3_200) && consent <= Duration::from_millis(4_800));
    }

    #[test]
    fn forged_answers_and_silence_do_not_connect() {
        let provider = rtc_crypto::default_provider().unwrap();
        let start = Instant::now();
        let (mut ice, mut random, remote) = started(start);
        let (_, check) = ice.handle_timeout(start, &mut random, provider.crypto()).unwrap();
        let mut forged = answer(&check, &remote.password, provider.crypto());
        forged[30] ^= 1;
        ice.handle_datagram(&forged, start, &mut random, provider.crypto());
        assert_eq!(ice.state(), IceState::Checking);
        while let Some(due) = ice.poll_timeout() {
            ice.handle_timeout(due, &mut random, provider.crypto());
            assert!(due - start < CONSENT_TIMEOUT * 2);
        }
        assert_eq!(ice.state(), IceState::Lost);
    }
}
