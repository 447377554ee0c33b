#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! This server's side of one ICE/DTLS/SRTP association: an ICE-lite responder and DTLS 1.2 at one
//! address. It answers connectivity checks, makes the keys and follows its peer to new
//! addresses; media is handled by the workers.

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

/// Time that a transport has from its creation until it is connected. People grant access to their
/// microphone before it is made. Raising it keeps abandoned transports longer.
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
    /// A protocol that this server does not speak.
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

/// The values of the peer's session description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteParameters {
    /// Its ICE user fragment.
    pub ufrag: String,
    /// Fingerprints; the peer's certificate must have one of them.
    pub fingerprints: Vec<Fingerprint>,
}

/// A datagram to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transmit {
    /// Its destination.
    pub to: SocketAddr,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// An event that a transport reports to its owner.
#[derive(Debug)]
pub enum TransportEvent {
    /// The handshake is complete, and the peer's certificate is the one in its session description.
    Connected {
        /// The keys of its media.
        keys: SrtpKeys,
        /// The address of its peer.
        remote: SocketAddr,
    },
    /// The peer is at another address, because it nominated that or was silent at the old one.
    /// Comes only after `Connected`.
    Moved {
        /// The new address of its peer.
        remote: SocketAddr,
    },
    /// An address no longer belongs to this transport.
    PathForgotten(SocketAddr),
    /// A user fragment no longer belongs to this transport.
    UfragRetired(String),
    /// The transport has ended.
    Lost(LostReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Connecting,
    Connected,
    Over,
}

/// The state of one association.
#[derive(Debug)]
pub struct Transport {
    identity: Arc<Identity>,
    ice: IceLite,
    dtls: Dtls,
    phase: Phase,
    /// The address from which handshake datagrams came since an address was last nominated.
    heard_from: Option<SocketAddr>,
    fingerprints: Vec<Fingerprint>,
    created_at: Instant,
    transmits: VecDeque<Transmit>,
    events: VecDeque<TransportEvent>,
}

impl Transport {
    /// Makes a transport that waits for its peer, with this server's credentials.
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

    /// Every user fragment that checks may name now.
    pub fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        self.ice.local_ufrags()
    }

    /// The peer's user fragment, once known.
    #[must_use]
    pub fn remote_ufrag(&self) -> Option<&str> {
        self.ice.remote_ufrag()
    }

    /// Addresses from which authenticated checks or media have come; at most [`PATHS_MAX`].
    pub fn paths(&self) -> impl Iterator<Item = SocketAddr> {
        self.ice.paths()
    }

    /// Whether an authenticated check, or media, has come from this address.
    #[must_use]
    pub fn knows(&self, address: SocketAddr) -> bool {
        self.ice.knows(address)
    }

    /// Whether the handshake is complete and keys exist.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// How long neither an authenticated check nor media has come.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Duration {
        self.ice.silent_for(now).unwrap_or_default()
    }

    /// The address to which media goes, once there is one.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.ice.selected()
    }

    /// Whether a handshake has begun; before that the transport has cost little.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.dtls.has_begun()
    }

    /// Stores the values of the peer's session description. If the handshake completed earlier, the
    /// keys are made now. A fingerprint that is known does not change.
    pub fn set_remote(&mut self, remote: RemoteParameters) {
        self.ice.set_remote_ufrag(remote.ufrag);
        if self.fingerprints.is_empty() {
            self.fingerprints = remote.fingerprints;
        }
        self.release_keys();
    }

    /// Makes this side the DTLS client, for a peer whose description says that it is the server
    /// (`a=setup:passive`). The handshake begins once ICE has selected an address. Does nothing once
    /// a handshake has begun.
    pub fn become_dtls_client(&mut self) {
        self.dtls.become_client();
    }

    /// Whether this side is the DTLS client.
    #[must_use]
    pub fn is_dtls_client(&self) -> bool {
        self.dtls.is_client()
    }

    /// Starts another ICE generation; DTLS and its keys stay. `remote_ufrag` is `None` until the
    /// peer's answer has come.
    pub fn restart_ice(&mut self, local: Credentials, remote_ufrag: Option<String>) {
        if let Some(retired) = self.ice.restart(local, remote_ufrag) {
            self.events.push_back(TransportEvent::UfragRetired(retired));
        }
    }

    /// Takes a datagram. A malformed or unauthenticated datagram changes nothing.
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

    /// Takes a connectivity check; returns whether it was authentic.
    pub fn handle_check(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> bool {
        self.handle_check_from(from, from, bytes, now)
    }

    /// Takes a connectivity check of a peer that is told that it was seen at another address than
    /// the one by which it is known here; returns whether it was authentic.
    pub(super) fn handle_check_from(
        &mut self,
        from: SocketAddr,
        seen_at: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> bool {
        if self.phase == Phase::Over {
            return false;
        }
        let crypto = self.identity.provider().crypto();
        let checked = self.ice.handle_check((from, seen_at), bytes, now, crypto);
        self.transmits.extend(checked.reply.map(|bytes| Transmit { to: from, bytes }));
        self.events.extend(checked.forgotten.map(TransportEvent::PathForgotten));
        self.events.extend(checked.retired.map(TransportEvent::UfragRetired));
        self.follow(checked.selected);
        self.begin_as_client(now);
        checked.authentic
    }

    fn begin_as_client(&mut self, now: Instant) {
        let due = self.dtls.is_client() && !self.dtls.has_begun();
        if due && self.phase == Phase::Connecting && self.ice.selected().is_some() {
            let outcome = self.dtls.begin(now);
            self.collect();
            if outcome == DtlsOutcome::Failed {
                self.lose(LostReason::HandshakeFailed);
            }
        }
    }

    /// Reports that the worker received authenticated media from this peer, which keeps the
    /// transport alive as a check does.
    pub fn handle_media(&mut self, now: Instant) {
        if self.phase == Phase::Connected {
            self.ice.handle_media(now);
        }
    }

    /// Reports that the worker received authenticated media of this peer from another address than
    /// the one that it sends to. Some clients send no checks once they are connected, so when a
    /// router gives their flow another port, nothing else tells of it.
    pub fn handle_media_from(&mut self, from: SocketAddr, now: Instant) {
        if self.phase == Phase::Connected {
            let heard = self.ice.handle_media_from(from, now);
            self.events.extend(heard.forgotten.map(TransportEvent::PathForgotten));
            self.follow(heard.selected);
        }
    }

    /// Sends to the address that ICE has selected, when it has changed.
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

    /// Does what is due at this time.
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

    /// When [`Self::handle_timeout`] must be called next.
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

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TransportEvent> {
        self.events.pop_front()
    }

    /// Ends the association and tells the peer (`close_notify`). Reports no event.
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

    /// Handshake datagrams are answered to the address that they came from, unless an address was
    /// nominated since; after the handshake they go where media goes.
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
