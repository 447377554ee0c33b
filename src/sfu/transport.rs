#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! One ICE/DTLS/SRTP association, the side of this server: an ICE-lite
//! responder and a DTLS 1.2 server over one address. It answers checks, makes
//! the keys and follows its peer; the media goes elsewhere.

mod dtls;
mod guard;
mod ice;
mod identity;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::sfu::interface::LostReason;
use crate::sfu::plane::SrtpKeys;
use dtls::{Dtls, DtlsOutcome};
pub use guard::{BYTES_MAX, DATAGRAMS_MAX, RECORDS_MAX};
use ice::IceLite;
pub use ice::{
    CONSENT, COPY_WITHIN, Credentials, PATHS_MAX, SILENT_AFTER, is_pwd, is_ufrag, peek_ufrag,
};
pub use identity::{Fingerprint, Identity, IdentityError};

/// How long a transport may take from when it was made until it is connected.
/// People grant their microphone before it is made. Raising it keeps abandoned
/// transports longer.
pub const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// What a datagram is, by its first byte (RFC 7983 §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatagramClass {
    /// A connectivity check.
    Stun,
    /// A DTLS record.
    Dtls,
    /// SRTP or SRTCP.
    Media,
    /// Nothing this server speaks.
    Other,
}

impl DatagramClass {
    /// The class of a datagram.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes.first() {
            Some(0..=3) => Self::Stun,
            Some(20..=63) => Self::Dtls,
            Some(128..=191) => Self::Media,
            _ => Self::Other,
        }
    }
}

/// What the peer's session description says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteParameters {
    /// Its ICE user fragment.
    pub ufrag: String,
    /// SHA-256 fingerprints, one of which its certificate must have.
    pub fingerprints: Vec<Fingerprint>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub to: SocketAddr,
    /// What.
    pub bytes: Vec<u8>,
}

/// What a transport tells its owner.
#[derive(Debug)]
pub enum TransportEvent {
    /// The handshake is complete and its peer is who was signalled.
    Connected {
        /// The keys of its media.
        keys: SrtpKeys,
        /// Where its peer is.
        remote: SocketAddr,
    },
    /// The peer is at another address: it has nominated it, or is silent where it
    /// was. Only after `Connected`.
    Moved {
        /// Where its peer is now.
        remote: SocketAddr,
    },
    /// An address is not this transport's any more.
    PathForgotten(SocketAddr),
    /// A user fragment is not this transport's any more.
    UfragRetired(String),
    /// The transport has ended and does nothing any more.
    Lost(LostReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Over,
}

/// One association.
#[derive(Debug)]
pub struct Transport {
    identity: Arc<Identity>,
    ice: IceLite,
    dtls: Dtls,
    phase: Phase,
    /// Where the handshake comes from since an address was nominated last.
    heard_from: Option<SocketAddr>,
    fingerprints: Vec<Fingerprint>,
    created_at: Instant,
    transmits: VecDeque<Transmit>,
    events: VecDeque<TransportEvent>,
}

impl Transport {
    /// A transport that waits for its peer, with the credentials it is known by.
    #[must_use]
    pub fn new(identity: Arc<Identity>, local: Credentials, now: Instant) -> Self {
        Self {
            ice: IceLite::new(local),
            dtls: Dtls::new(Arc::clone(&identity)),
            identity,
            phase: Phase::Connecting,
            heard_from: None,
            fingerprints: Vec::new(),
            created_at: now,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// The credentials of the current generation.
    #[must_use]
    pub const fn local(&self) -> &Credentials {
        self.ice.local()
    }

    /// Every user fragment by which checks may come now.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.local_ufrags()
    }

    /// The peer's user fragment, once known.
    #[must_use]
    pub fn remote_ufrag(&self) -> Option<&str> {
        self.ice.remote_ufrag()
    }

    /// Addresses that authenticated checks have come from; at most [`PATHS_MAX`].
    pub fn paths(&self) -> impl Iterator<Item = SocketAddr> {
        self.ice.paths()
    }

    /// Whether an authenticated check has come from there.
    #[must_use]
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.ice.knows(address)
    }

    /// Whether keys have been made.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether a handshake has begun; before that nothing costly has happened.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.dtls.has_begun()
    }

    /// Takes what the peer's description says. Keys are made only now when the
    /// handshake was faster. A certificate that is known does not change.
    pub fn set_remote(&mut self, remote: RemoteParameters) {
        self.ice.set_remote_ufrag(remote.ufrag);
        if self.fingerprints.is_empty() {
            self.fingerprints = remote.fingerprints;
        }
        self.release_keys();
    }

    /// Starts another ICE generation; DTLS and its keys stay. The peer's new
    /// user fragment is `None` until its answer has come.
    pub fn restart_ice(&mut self, local: Credentials, remote_ufrag: Option<String>) {
        if let Some(retired) = self.ice.restart(local, remote_ufrag) {
            self.events.push_back(TransportEvent::UfragRetired(retired));
        }
    }

    /// Takes a datagram. Garbage, and what does not authenticate, changes nothing.
    pub fn handle_datagram(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        match DatagramClass::of(bytes) {
            _ if self.phase == Phase::Over => {}
            DatagramClass::Stun => {
                self.handle_check(from, bytes, now);
            }
            DatagramClass::Dtls if self.ice.knows(from) => self.handle_record(from, bytes, now),
            DatagramClass::Dtls | DatagramClass::Media | DatagramClass::Other => {}
        }
    }

    /// Takes a connectivity check; whether it authenticated.
    pub fn handle_check(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> bool {
        if self.phase == Phase::Over {
            return false;
        }
        let crypto = self.identity.provider().crypto();
        let checked = self.ice.handle_check(from, bytes, now, crypto);
        self.transmits.extend(checked.reply.map(|bytes| Transmit { to: from, bytes }));
        self.events.extend(checked.forgotten.map(TransportEvent::PathForgotten));
        self.events.extend(checked.retired.map(TransportEvent::UfragRetired));
        self.follow(checked.selected);
        checked.authentic
    }

    /// The worker has taken authenticated media from this peer since it said so
    /// last: a sign of life, like a check.
    pub fn handle_media(&mut self, now: Instant) {
        if self.phase == Phase::Connected {
            self.ice.handle_media(now);
        }
    }

    /// Goes where ICE says, when that has changed.
    fn follow(&mut self, selected: Option<SocketAddr>) {
        let Some(remote) = selected else { return };
        match self.phase {
            Phase::Connecting => self.heard_from = None,
            Phase::Connected => self.events.push_back(TransportEvent::Moved { remote }),
            Phase::Over => {}
        }
    }

    fn handle_record(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) {
        self.heard_from = Some(from);
        let outcome = self.dtls.handle_datagram(bytes, now);
        self.collect();
        match outcome {
            DtlsOutcome::Pending => {}
            DtlsOutcome::Completed => self.release_keys(),
            DtlsOutcome::ClosedByPeer => self.lose(LostReason::ClosedByPeer),
            DtlsOutcome::Failed => self.lose(LostReason::HandshakeFailed),
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.phase == Phase::Over {
            return;
        }
        if self.ice.consent_until().is_some_and(|until| until <= now) {
            return self.lose(LostReason::ConsentExpired);
        }
        if self.phase == Phase::Connecting && self.created_at + CONNECT_WITHIN <= now {
            return self.lose(LostReason::NeverConnected);
        }
        let selected = self.ice.handle_timeout(now);
        self.follow(selected);
        self.dtls.handle_timeout(now);
        self.collect();
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let connect_until =
            (self.phase == Phase::Connecting).then(|| self.created_at + CONNECT_WITHIN);
        [connect_until, self.ice.poll_timeout(), self.dtls.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
            .filter(|_| self.phase != Phase::Over)
    }

    /// A datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// Ends the association and tells the peer (`close_notify`). No event.
    pub fn close(&mut self, now: Instant) {
        if self.phase != Phase::Over {
            self.dtls.close(now);
            self.collect();
            self.phase = Phase::Over;
        }
    }

    fn release_keys(&mut self) {
        let answered = !self.fingerprints.is_empty();
        if self.phase != Phase::Connecting || !self.dtls.is_complete() || !answered {
            return;
        }
        let Some(remote) = self.reply_to() else { return };
        match self.dtls.keys(&self.fingerprints) {
            Ok(keys) => {
                self.phase = Phase::Connected;
                self.ice.select_proven(remote);
                self.events.push_back(TransportEvent::Connected { keys, remote });
            }
            Err(_) => self.lose(LostReason::HandshakeFailed),
        }
    }

    fn collect(&mut self) {
        while let Some(bytes) = self.dtls.poll_transmit() {
            let to = self.reply_to();
            self.transmits.extend(to.map(|to| Transmit { to, bytes: bytes.to_vec() }));
        }
    }

    /// Handshakes are answered the way they came, unless an address was nominated
    /// since; afterwards they go where media goes.
    fn reply_to(&self) -> Option<SocketAddr> {
        match self.phase {
            Phase::Connecting => self.heard_from.or(self.ice.selected()),
            Phase::Connected | Phase::Over => self.ice.selected().or(self.heard_from),
        }
    }

    fn lose(&mut self, reason: LostReason) {
        self.phase = Phase::Over;
        self.events.push_back(TransportEvent::Lost(reason));
    }
}
