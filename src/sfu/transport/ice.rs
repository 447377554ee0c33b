//! The ICE-lite side of a transport (RFC 8445 §2.5): answers authenticated connectivity checks,
//! selects the address to send to, and notices when consent has ended. Checks that are not
//! authentic get no answer, so that nothing is reflected to a forged address.
//!
//! The selected address is the one nominated last, with two deviations from the standard that real
//! networks require. When the selected address falls silent while the peer sends checks or media from
//! another one, that one is selected without a nomination: a router has given the flow another port,
//! and clients that nominate only once never nominate the new one. And when the same check arrives from two
//! addresses, it was copied on the way: it does not move media away from an address in use, since
//! the peer may not be reachable at the other.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{
    ATTR_FINGERPRINT, ATTR_ICE_CONTROLLED, ATTR_MESSAGE_INTEGRITY, ATTR_USE_CANDIDATE,
    ATTR_USERNAME,
};
use rtc_stun::error_code::CODE_ROLE_CONFLICT;
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    BINDING_ERROR, BINDING_REQUEST, BINDING_SUCCESS, MAGIC_COOKIE, MESSAGE_HEADER_SIZE, Message,
    Setter, TransactionId,
};
use rtc_stun::xoraddr::XorMappedAddress;

use crate::domain::secret::Secret;

/// How long a transport lives without an authenticated check (RFC 7675 §5.1) or authenticated
/// media; some clients send no checks once they are connected.
pub const CONSENT: Duration = Duration::from_secs(30);

/// An address from which nothing came for this long is silent: the longest time between two checks
/// of a peer that follows RFC 7675 §5.1. Lowering it moves the media of peers that only pause;
/// raising it lengthens the interruption when an address has changed.
pub const SILENT_AFTER: Duration = Duration::from_secs(6);

/// How long a nomination away from an address in use is delayed to see whether the same check
/// arrives from another address. Raising it delays every change of network by as much.
pub const COPY_WITHIN: Duration = Duration::from_millis(200);

/// Latest checks that are remembered to recognise copies.
const RECENT_CHECKS_MAX: usize = 16;

/// Addresses of one peer that are remembered; at the limit the one that was silent longest is
/// removed, but never the selected one. Raising it lets one peer fill the routing table.
pub const PATHS_MAX: usize = 8;

/// Largest check answered, in bytes. Browsers stay under 200.
const CHECK_BYTES_MAX: usize = 548;

/// The credentials of one side of ICE (RFC 8839 §5.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User fragment.
    pub ufrag: String,
    /// Password.
    pub pwd: Secret<String>,
}

impl Credentials {
    /// Makes credentials of 48 and 144 bits from 32 bytes of a secure generator.
    #[must_use]
    pub fn from_random(random: [u8; 32]) -> Self {
        const CHARACTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text: String =
            random.iter().map(|byte| char::from(CHARACTERS[usize::from(byte & 63)])).collect();
        let (ufrag, pwd) = text.split_at(8);
        Self { ufrag: ufrag.to_owned(), pwd: Secret::new(pwd.to_owned()) }
    }
}

/// Whether a text is a well-formed user fragment.
#[must_use]
pub fn is_ufrag(text: &str) -> bool {
    (4..=256).contains(&text.len()) && is_ice_text(text)
}

/// Whether a text is a well-formed password.
#[must_use]
pub fn is_pwd(text: &str) -> bool {
    (22..=256).contains(&text.len()) && is_ice_text(text)
}

fn is_ice_text(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
}

/// The local user fragment that a check names, read before authentication to find its transport.
/// `None` when the datagram is no check.
#[must_use]
pub fn peek_ufrag(bytes: &[u8]) -> Option<&str> {
    let header = bytes.first_chunk::<MESSAGE_HEADER_SIZE>()?;
    if bytes.len() > CHECK_BYTES_MAX
        || header[..2] != [0, 1]
        || header[4..8] != MAGIC_COOKIE.to_be_bytes()
    {
        return None;
    }
    let mut rest = &bytes[MESSAGE_HEADER_SIZE..];
    while let Some((head, body)) = rest.split_first_chunk::<4>() {
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = body.get(..length)?;
        if u16::from_be_bytes([head[0], head[1]]) == ATTR_USERNAME.0 {
            return std::str::from_utf8(value).ok()?.split_once(':').map(|(local, _)| local);
        }
        rest = body.get(length.next_multiple_of(4)..)?;
    }
    None
}

#[derive(Debug)]
struct Path {
    address: SocketAddr,
    /// When an authenticated datagram last came from there.
    heard_at: Instant,
}

/// A nomination that is delayed to see whether its check was copied.
#[derive(Debug)]
struct Pending {
    address: SocketAddr,
    transaction: TransactionId,
    due: Instant,
}

/// The result of handling a datagram.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    /// The answer to send to where the check came from.
    pub reply: Option<Vec<u8>>,
    /// Whether it was authentic.
    pub authentic: bool,
    /// The newly selected address, when it has changed.
    pub selected: Option<SocketAddr>,
    /// An address that was removed to make room for another.
    pub forgotten: Option<SocketAddr>,
    /// User fragment of the generation before an ICE restart, when that has ended.
    pub retired: Option<String>,
}

/// The ICE state of one transport.
#[derive(Debug)]
pub(super) struct IceLite {
    local: Credentials,
    /// The generation before a restart, accepted until the new one nominates.
    previous: Option<Credentials>,
    /// `None` until the peer's session description has come.
    remote_ufrag: Option<String>,
    paths: Vec<Path>,
    /// The address to send to.
    selected: Option<SocketAddr>,
    pending: Option<Pending>,
    /// The latest checks, and the address from which each came first.
    recent: VecDeque<(TransactionId, SocketAddr)>,
    heard_at: Option<Instant>,
}

impl IceLite {
    pub(super) const fn new(local: Credentials) -> Self {
        Self {
            local,
            previous: None,
            remote_ufrag: None,
            paths: Vec::new(),
            selected: None,
            pending: None,
            recent: VecDeque::new(),
            heard_at: None,
        }
    }

    pub(super) const fn local(&self) -> &Credentials {
        &self.local
    }

    pub(super) fn remote_ufrag(&self) -> Option<&str> {
        self.remote_ufrag.as_deref()
    }

    pub(super) fn set_remote_ufrag(&mut self, ufrag: String) {
        self.remote_ufrag = Some(ufrag);
    }

    /// Starts a new generation (RFC 8445 §9). If there were two already, returns the user fragment
    /// of the one that is no longer accepted.
    pub(super) fn restart(
        &mut self,
        local: Credentials,
        remote_ufrag: Option<String>,
    ) -> Option<String> {
        self.remote_ufrag = remote_ufrag;
        let replaced = std::mem::replace(&mut self.local, local);
        self.previous.replace(replaced).map(|credentials| credentials.ufrag)
    }

    /// Every user fragment accepted now.
    pub(super) fn local_ufrags(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.local).chain(&self.previous).map(|it| it.ufrag.as_str())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = SocketAddr> {
        self.paths.iter().map(|path| path.address)
    }

    pub(super) fn knows(&self, address: SocketAddr) -> bool {
        self.paths.iter().any(|path| path.address == address)
    }

    pub(super) const fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Selects the address with which the handshake was completed, since replies have reached it.
    pub(super) fn select_proven(&mut self, address: SocketAddr) {
        if self.knows(address) {
            self.selected = Some(address);
            self.pending = None;
        }
    }

    /// Reports that authenticated media came from the selected address.
    pub(super) fn handle_media(&mut self, now: Instant) {
        self.heard_at = Some(now);
        if let Some(address) = self.selected {
            self.note_heard(address, now);
        }
    }

    /// Reports that authenticated media came from another address than the selected one.
    pub(super) fn handle_media_from(&mut self, from: SocketAddr, now: Instant) -> Checked {
        self.heard_at = Some(now);
        let forgotten = self.remember(from, now);
        let selected = self.leave_silent(now);
        Checked { authentic: true, selected, forgotten, ..Checked::default() }
    }

    /// Does what is due; returns the selected address when it has changed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<SocketAddr> {
        if let Some(pending) = self.pending.take_if(|pending| pending.due <= now) {
            return self.select(pending.address);
        }
        self.leave_silent(now)
    }

    /// When [`Self::handle_timeout`] must be called next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let pending = self.pending.as_ref().map(|pending| pending.due);
        let silent_at = self.successor().map(|(silent_at, _)| silent_at);
        [self.consent_until(), pending, silent_at].into_iter().flatten().min()
    }

    /// How long nothing authenticated has come; `None` before anything has.
    pub(super) fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.heard_at.map(|at| now.saturating_duration_since(at))
    }

    /// When consent ends unless another check comes.
    pub(super) fn consent_until(&self) -> Option<Instant> {
        self.heard_at.map(|at| at + CONSENT)
    }

    pub(super) fn handle_check(
        &mut self,
        (from, seen_at): (SocketAddr, SocketAddr),
        bytes: &[u8],
        now: Instant,
        crypto: &dyn RTCCrypto,
    ) -> Checked {
        let Some((mut message, local, remote)) = decode(bytes) else { return Checked::default() };
        let current = local == self.local.ufrag;
        let previous = self.previous.as_ref().filter(|previous| previous.ufrag == local);
        let Some(pwd) = current.then_some(&self.local).or(previous).map(|it| it.pwd.expose())
        else {
            return Checked::default();
        };
        if MessageIntegrity::check(&mut message, pwd.as_bytes(), crypto).is_err() {
            return Checked::default();
        }
        // Our offer may not be answered yet; until then our password is sufficient proof.
        if current && self.remote_ufrag.as_ref().is_some_and(|known| *known != remote) {
            return Checked::default();
        }
        let reply = answer(&message, seen_at, pwd, crypto);
        if message.contains(ATTR_ICE_CONTROLLED) {
            return Checked { reply, authentic: true, ..Checked::default() };
        }
        let nominates = current && message.contains(ATTR_USE_CANDIDATE);
        let mut checked = Checked { reply, authentic: true, ..Checked::default() };
        let is_in_use = self.is_in_use(now);
        self.heard_at = Some(now);
        checked.forgotten = self.remember(from, now);
        if self.is_copy(message.transaction_id, from) {
            return checked;
        }
        if nominates {
            checked.retired = self.previous.take().map(|credentials| credentials.ufrag);
            self.pending = None;
            if self.selected == Some(from) {
                return checked;
            }
            // A peer that has restarted ICE states its address itself.
            if is_in_use && checked.retired.is_none() {
                let (transaction, due) = (message.transaction_id, now + COPY_WITHIN);
                self.pending = Some(Pending { address: from, transaction, due });
            } else {
                checked.selected = self.select(from);
            }
        } else {
            checked.selected = self.leave_silent(now);
        }
        checked
    }

    /// Whether this check came from another address before. If so, a nomination that waits because
    /// of this check is dropped.
    fn is_copy(&mut self, transaction: TransactionId, from: SocketAddr) -> bool {
        let first = self.recent.iter().find(|(known, _)| *known == transaction);
        match first.map(|(_, first)| *first) {
            Some(first) if first == from => false,
            Some(_) => {
                self.pending.take_if(|pending| pending.transaction == transaction);
                true
            }
            None => {
                if self.recent.len() >= RECENT_CHECKS_MAX {
                    self.recent.pop_front();
                }
                self.recent.push_back((transaction, from));
                false
            }
        }
    }

    /// Whether anything came from the selected address recently.
    fn is_in_use(&self, now: Instant) -> bool {
        let heard_at = self.selected.and_then(|address| self.heard_at_of(address));
        heard_at.is_some_and(|at| now < at + SILENT_AFTER)
    }

    fn select(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        if !self.knows(address) || self.selected == Some(address) {
            return None;
        }
        self.selected = Some(address);
        self.selected
    }

    /// Selects another address when the selected one is silent.
    fn leave_silent(&mut self, now: Instant) -> Option<SocketAddr> {
        let (silent_at, address) = self.successor()?;
        if now < silent_at { None } else { self.select(address) }
    }

    /// The address from which something came most recently after the selected one fell silent, and
    /// when to select it.
    fn successor(&self) -> Option<(Instant, SocketAddr)> {
        let selected_heard_at = self.heard_at_of(self.selected?)?;
        let later = self.paths.iter().filter(|path| path.heard_at > selected_heard_at);
        let latest = later.max_by_key(|path| path.heard_at)?;
        Some((selected_heard_at + SILENT_AFTER, latest.address))
    }

    fn heard_at_of(&self, address: SocketAddr) -> Option<Instant> {
        self.paths.iter().find(|path| path.address == address).map(|path| path.heard_at)
    }

    fn note_heard(&mut self, address: SocketAddr, now: Instant) -> bool {
        let path = self.paths.iter_mut().find(|path| path.address == address);
        path.map(|path| path.heard_at = now).is_some()
    }

    fn remember(&mut self, from: SocketAddr, now: Instant) -> Option<SocketAddr> {
        if self.note_heard(from, now) {
            return None;
        }
        let mut forgotten = None;
        if self.paths.len() >= PATHS_MAX {
            let stalest = (0..self.paths.len())
                .filter(|&index| Some(self.paths[index].address) != self.selected)
                .min_by_key(|&index| self.paths[index].heard_at)?;
            forgotten = Some(self.paths.swap_remove(stalest).address);
        }
        self.paths.push(Path { address: from, heard_at: now });
        forgotten
    }
}

/// Parses a well-formed check and its local and remote user fragments. Attributes after
/// MESSAGE-INTEGRITY are not protected by it, so only FINGERPRINT may follow it.
fn decode(bytes: &[u8]) -> Option<(Message, String, String)> {
    if bytes.len() > CHECK_BYTES_MAX {
        return None;
    }
    let mut message = Message::new();
    message.unmarshal_binary(bytes).ok()?;
    let attributes = &message.attributes.0;
    let whole = bytes.len() == MESSAGE_HEADER_SIZE + usize::try_from(message.length).ok()?;
    let mut ends = attributes.iter().rev();
    let closed = ends.next()?.typ == ATTR_FINGERPRINT
        && ends.next().is_some_and(|it| it.typ == ATTR_MESSAGE_INTEGRITY && it.length == 20)
        && ends.all(|it| it.typ != ATTR_FINGERPRINT && it.typ != ATTR_MESSAGE_INTEGRITY);
    if message.typ != BINDING_REQUEST || !whole || !closed || FINGERPRINT.check(&message).is_err() {
        return None;
    }
    let user = String::from_utf8(message.get(ATTR_USERNAME).ok()?).ok()?;
    let (local, remote) = user.split_once(':')?;
    Some((message, local.to_owned(), remote.to_owned()))
}

/// The answer to an authenticated check: the address that it came from, or error 487 when the peer
/// claims to be controlled, since this side always is (RFC 8445 §7.3.1.1).
fn answer(
    message: &Message,
    from: SocketAddr,
    pwd: &str,
    crypto: &dyn RTCCrypto,
) -> Option<Vec<u8>> {
    let conflict = message.contains(ATTR_ICE_CONTROLLED);
    let mapped = XorMappedAddress { ip: from.ip().to_canonical(), port: from.port() };
    let outcome: Box<dyn Setter> =
        if conflict { Box::new(CODE_ROLE_CONFLICT) } else { Box::new(mapped) };
    let mut reply = Message::new();
    reply
        .build(&[
            Box::new(if conflict { BINDING_ERROR } else { BINDING_SUCCESS }),
            Box::new(message.transaction_id),
            outcome,
            Box::new(MessageIntegrity::new_raw_integrity_with_provider(pwd.as_bytes(), crypto)),
            Box::new(FINGERPRINT),
        ])
        .ok()?;
    Some(reply.raw)
}
