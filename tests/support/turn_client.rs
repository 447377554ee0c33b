//! A client of TURN: writes requests and reads answers.

use std::net::SocketAddr;

use cabildo::sfu::turn::RelayServer;
use rtc_stun::attributes::{
    ATTR_CHANNEL_NUMBER, ATTR_DATA, ATTR_ERROR_CODE, ATTR_LIFETIME, ATTR_NONCE, ATTR_REALM,
    ATTR_REQUESTED_TRANSPORT, ATTR_USERNAME, ATTR_XOR_PEER_ADDRESS, AttrType,
};
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, METHOD_ALLOCATE, METHOD_CHANNEL_BIND,
    METHOD_CREATE_PERMISSION, METHOD_REFRESH, METHOD_SEND, Message, MessageType, Method,
    Setter as _, TransactionId,
};
use rtc_stun::xoraddr::XorMappedAddress;

/// A client with the credentials that it was told.
pub(crate) struct TurnClient {
    username: String,
    password: String,
    /// The realm and the nonce of the last answer that had them.
    challenge: Option<(Vec<u8>, Vec<u8>)>,
    sent: u64,
}

impl TurnClient {
    pub(crate) fn new(server: &RelayServer) -> Self {
        let password = server.credential.expose().clone();
        Self { username: server.username.clone(), password, challenge: None, sent: 0 }
    }

    pub(crate) fn allocate(&mut self) -> Vec<u8> {
        self.request(METHOD_ALLOCATE, &[(ATTR_REQUESTED_TRANSPORT, &[17, 0, 0, 0])], None)
    }

    pub(crate) fn refresh(&mut self, lifetime_s: u32) -> Vec<u8> {
        self.request(METHOD_REFRESH, &[(ATTR_LIFETIME, &lifetime_s.to_be_bytes())], None)
    }

    pub(crate) fn permit(&mut self, peer: SocketAddr) -> Vec<u8> {
        self.request(METHOD_CREATE_PERMISSION, &[], Some(peer))
    }

    pub(crate) fn bind(&mut self, channel: u16, peer: SocketAddr) -> Vec<u8> {
        let [high, low] = channel.to_be_bytes();
        self.request(METHOD_CHANNEL_BIND, &[(ATTR_CHANNEL_NUMBER, &[high, low, 0, 0])], Some(peer))
    }

    /// A Send indication.
    pub(crate) fn send(&mut self, peer: SocketAddr, packet: &[u8]) -> Vec<u8> {
        let mut message = self.message(MessageType::new(METHOD_SEND, CLASS_INDICATION));
        add_peer(&mut message, peer);
        message.add(ATTR_DATA, packet);
        message.raw
    }

    /// Takes an answer: returns its code, 0 for success.
    pub(crate) fn handle_answer(&mut self, bytes: &[u8]) -> u16 {
        let mut message = Message::new();
        message.unmarshal_binary(bytes).expect("an answer");
        if let (Ok(realm), Ok(nonce)) = (message.get(ATTR_REALM), message.get(ATTR_NONCE)) {
            self.challenge = Some((realm, nonce));
        }
        if message.typ.class == CLASS_SUCCESS_RESPONSE {
            return 0;
        }
        let code = message.get(ATTR_ERROR_CODE).expect("a code");
        u16::from(code[2]) * 100 + u16::from(code[3])
    }

    fn message(&mut self, kind: MessageType) -> Message {
        self.sent += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.sent.to_be_bytes());
        let mut message = Message::new();
        message.build(&[Box::new(kind), Box::new(TransactionId(id))]).expect("a header");
        message
    }

    fn request(
        &mut self,
        method: Method,
        attributes: &[(AttrType, &[u8])],
        peer: Option<SocketAddr>,
    ) -> Vec<u8> {
        let mut message = self.message(MessageType::new(method, CLASS_REQUEST));
        for (kind, value) in attributes {
            message.add(*kind, value);
        }
        if let Some(peer) = peer {
            add_peer(&mut message, peer);
        }
        let Some((realm, nonce)) = &self.challenge else { return message.raw };
        message.add(ATTR_USERNAME, self.username.as_bytes());
        message.add(ATTR_REALM, realm);
        message.add(ATTR_NONCE, nonce);
        let provider = rtc_crypto::default_provider().expect("a provider");
        let integrity = MessageIntegrity::new_long_term_integrity_with_provider(
            self.username.clone(),
            String::from_utf8(realm.clone()).expect("a realm"),
            self.password.clone(),
            provider.crypto(),
        );
        integrity.expect("a key").add_to(&mut message).expect("integrity");
        message.raw
    }
}

fn add_peer(message: &mut Message, peer: SocketAddr) {
    let address = XorMappedAddress { ip: peer.ip(), port: peer.port() };
    address.add_to_as(message, ATTR_XOR_PEER_ADDRESS).expect("an address");
}
