//! Who a request comes from (RFC 8489 §9.2.4).

use std::net::SocketAddr;
use std::time::Instant;

use rtc_stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_EVEN_PORT, ATTR_FINGERPRINT, ATTR_LIFETIME,
    ATTR_MESSAGE_INTEGRITY, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_REQUESTED_TRANSPORT, ATTR_RESERVATION_TOKEN, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS,
    AttrType,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{CLASS_REQUEST, MESSAGE_HEADER_SIZE, Message};

use super::{REALM, TurnServer};
use crate::domain::id::{ConnectionId, SessionId};
use crate::sfu::turn::access::{self, Holder};

/// Largest request answered, in bytes. Those of browsers stay under 300.
const REQUEST_BYTES_MAX: usize = 1_024;

/// Attributes that must be understood and are.
const UNDERSTOOD: [AttrType; 11] = [
    ATTR_USERNAME,
    ATTR_MESSAGE_INTEGRITY,
    ATTR_REALM,
    ATTR_NONCE,
    ATTR_CHANNEL_NUMBER,
    ATTR_LIFETIME,
    ATTR_XOR_PEER_ADDRESS,
    ATTR_DATA,
    ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_EVEN_PORT,
    ATTR_REQUESTED_TRANSPORT,
];

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// The code of RFC 8489 §14.8 or RFC 8656 §19.
    pub(super) code: u16,
    /// Attributes that are not understood, as UNKNOWN-ATTRIBUTES lists them.
    pub(super) unknown: Vec<u8>,
}

impl Refused {
    pub(super) const BAD_REQUEST: u16 = 400;
    pub(super) const UNAUTHORIZED: u16 = 401;
    pub(super) const FORBIDDEN: u16 = 403;
    pub(super) const UNKNOWN_ATTRIBUTE: u16 = 420;
    pub(super) const MISMATCH: u16 = 437;
    pub(super) const STALE_NONCE: u16 = 438;
    pub(super) const FAMILY: u16 = 440;
    pub(super) const WRONG_CREDENTIALS: u16 = 441;
    pub(super) const TRANSPORT: u16 = 442;
    pub(super) const PEER_FAMILY: u16 = 443;
    pub(super) const QUOTA: u16 = 486;
    pub(super) const CAPACITY: u16 = 508;

    pub(super) const fn new(code: u16) -> Self {
        Self { code, unknown: Vec::new() }
    }
}

/// A client that has shown its credentials.
pub(super) struct Authenticated {
    pub(super) holder: Holder,
    pub(super) username: String,
    /// The key of its messages and of the answers to them.
    pub(super) key: Vec<u8>,
}

/// Parses a request. Attributes after MESSAGE-INTEGRITY are not protected by it, so only
/// FINGERPRINT may follow.
pub(super) fn decode(bytes: &[u8]) -> Option<Message> {
    if bytes.len() > REQUEST_BYTES_MAX {
        return None;
    }
    let mut message = Message::new();
    message.unmarshal_binary(bytes).ok()?;
    let whole = bytes.len() == MESSAGE_HEADER_SIZE + usize::try_from(message.length).ok()?;
    let attributes = &message.attributes.0;
    let fingerprint = attributes.iter().position(|it| it.typ == ATTR_FINGERPRINT);
    let last = attributes.len().checked_sub(1);
    let covered = fingerprint.or(Some(attributes.len()));
    let integrity = attributes.iter().position(|it| it.typ == ATTR_MESSAGE_INTEGRITY);
    let in_order = fingerprint.is_none_or(|at| Some(at) == last)
        && integrity.is_none_or(|at| {
            Some(at + 1) == covered && attributes.get(at).is_some_and(|it| it.length == 20)
        });
    let sound = fingerprint.is_none() || FINGERPRINT.check(&message).is_ok();
    (message.typ.class == CLASS_REQUEST && whole && in_order && sound).then_some(message)
}

/// The attributes of a request that must be understood and are not.
pub(super) fn unknown_attributes(request: &Message) -> Vec<u8> {
    let must = request.attributes.0.iter().filter(|it| it.typ.0 < 0x8000);
    must.filter(|it| !UNDERSTOOD.contains(&it.typ) && it.typ != ATTR_RESERVATION_TOKEN)
        .flat_map(|it| it.typ.0.to_be_bytes())
        .collect()
}

impl TurnServer {
    /// Checks the credentials of a request. Whoever is no longer in the room of the session has
    /// none; once their end has come they serve only for the allocation that was made with them.
    pub(super) fn authenticate(
        &self,
        client: SocketAddr,
        request: &Message,
        is_member: impl FnOnce(SessionId, ConnectionId) -> bool,
        now: Instant,
    ) -> Result<Authenticated, Refused> {
        let unauthorized = || Refused::new(Refused::UNAUTHORIZED);
        if !request.contains(ATTR_MESSAGE_INTEGRITY) {
            return Err(unauthorized());
        }
        let bad = |_| Refused::new(Refused::BAD_REQUEST);
        let username = request.get(ATTR_USERNAME).map_err(bad)?;
        let realm = request.get(ATTR_REALM).map_err(bad)?;
        let nonce = request.get(ATTR_NONCE).map_err(bad)?;
        if !self.nonces.is_fresh(&nonce, client, now) {
            return Err(Refused::new(Refused::STALE_NONCE));
        }
        let username = String::from_utf8(username).map_err(|_| unauthorized())?;
        let (holder, expires) = access::parse(&username).ok_or_else(unauthorized)?;
        if realm != REALM.as_bytes() {
            return Err(unauthorized());
        }
        let crypto = self.crypto.crypto();
        let password = self.options.key.password(&username);
        let key = MessageIntegrity::long_term_integrity_key(
            username.clone(),
            REALM.to_owned(),
            password.expose().clone(),
            crypto,
        )
        .map_err(|_| unauthorized())?;
        let mut checked = request.clone();
        MessageIntegrity::check(&mut checked, &key, crypto).map_err(|_| unauthorized())?;
        let (wall, read_at) = self.wall;
        let wall = wall.after(now.saturating_duration_since(read_at));
        let number = self.by_client.get(&client);
        let is_in_use = number
            .and_then(|number| self.allocations.get(number))
            .is_some_and(|it| it.username == username);
        if (expires <= wall.unix_s() && !is_in_use) || !is_member(holder.session, holder.connection)
        {
            return Err(unauthorized());
        }
        Ok(Authenticated { holder, username, key })
    }
}
