//! The server in virtual time, against a client that is made of the same message library.

use proptest::prelude::*;
use rtc_stun::attributes::{
    ATTR_DONT_FRAGMENT, ATTR_ERROR_CODE, ATTR_MESSAGE_INTEGRITY, ATTR_USERNAME,
    ATTR_XORMAPPED_ADDRESS, AttrType,
};
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, METHOD_CONNECT, MessageType, Method, Setter as _,
    TransactionId,
};
use rtc_stun::xoraddr::XorMappedAddress;

use super::*;
use crate::domain::id::{TenantId, UserId};
use crate::domain::secret::Secret;
use crate::sfu::turn::is_relayed;
use crate::sfu::turn::message::relayed_of;
use crate::sfu::turn::message::{append_channel_data, append_data};

const MEDIA: &str = "203.0.113.7:3478";
const MEDIA_V6: &str = "[2001:db8::7]:3478";
const HOUR: Duration = Duration::from_hours(1);
const WALL_S: i64 = 1_700_000_000;

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn client(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, host], port))
}

/// What a client asks for: attributes, in the order in which they are sent.
type Attributes = Vec<(AttrType, Vec<u8>)>;

struct Credentials {
    username: String,
    password: Secret<String>,
}

struct Stage {
    server: TurnServer,
    table: Arc<RelayTable>,
    now: Instant,
    members: BTreeSet<(SessionId, ConnectionId)>,
    sent: u64,
}

impl Stage {
    fn new() -> Self {
        Self::with(Quotas { per_person: 3, per_network: 5, total: 8 })
    }

    fn with(quotas: Quotas) -> Self {
        let now = Instant::now();
        let table = Arc::new(RelayTable::default());
        table.announce(&[address(MEDIA), address(MEDIA_V6)]);
        let key = AccessKey::new(Secret::new(vec![7; 32]));
        let options = ServerOptions { key, quotas, lifetime_max: HOUR };
        let wall = (Timestamp::from_unix_us(WALL_S * 1_000_000), now);
        let server = TurnServer::new(options, Arc::clone(&table), [9; 32], wall);
        let server = server.expect("a server");
        Self { server, table, now, members: BTreeSet::new(), sent: 0 }
    }

    /// Somebody who is in a room, with credentials that last so many seconds.
    fn person(&mut self, name: &str, lasts_s: i64) -> Credentials {
        let (session, connection) = (SessionId::generate(), ConnectionId::generate());
        self.members.insert((session, connection));
        let user: UserId = name.parse().expect("a user");
        let tenant: TenantId = "00000000-0000-7000-8000-000000000001".parse().expect("a tenant");
        let holder = self.server.options.key.holder(session, connection, tenant, &user);
        let (username, password) = self.server.options.key.issue(&holder, WALL_S + lasts_s);
        Credentials { username, password }
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
    }

    fn send(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Message> {
        let members = &self.members;
        let is_member = |session, connection| members.contains(&(session, connection));
        let handled = self.server.handle_request(from, bytes, is_member, self.now);
        handled.reply.map(|bytes| {
            let mut message = Message::new();
            message.unmarshal_binary(&bytes).expect("an answer");
            message
        })
    }

    fn request(
        &mut self,
        method: Method,
        attributes: &Attributes,
        with: Option<(&Credentials, &str)>,
    ) -> Vec<u8> {
        self.sent += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.sent.to_be_bytes());
        let mut message = Message::new();
        let kind = MessageType::new(method, CLASS_REQUEST);
        message.build(&[Box::new(kind), Box::new(TransactionId(id))]).expect("a header");
        for (kind, value) in attributes {
            if matches!(*kind, ATTR_XOR_PEER_ADDRESS) {
                let peer = address(std::str::from_utf8(value).expect("a text"));
                let peer = XorMappedAddress { ip: peer.ip(), port: peer.port() };
                peer.add_to_as(&mut message, *kind).expect("an address");
            } else {
                message.add(*kind, value);
            }
        }
        if let Some((credentials, nonce)) = with {
            message.add(ATTR_USERNAME, credentials.username.as_bytes());
            message.add(ATTR_REALM, REALM.as_bytes());
            message.add(ATTR_NONCE, nonce.as_bytes());
            let crypto = rtc_crypto::default_provider().expect("a provider");
            let key = MessageIntegrity::long_term_integrity_key(
                credentials.username.clone(),
                REALM.to_owned(),
                credentials.password.expose().clone(),
                crypto.crypto(),
            )
            .expect("a key");
            MessageIntegrity::new_raw_integrity_with_provider(key, crypto.crypto())
                .add_to(&mut message)
                .expect("integrity");
        }
        message.raw
    }

    /// Makes a request as a client does that knows its nonce; returns the code, or 0 for success.
    fn ask(
        &mut self,
        from: SocketAddr,
        credentials: &Credentials,
        method: Method,
        attributes: &Attributes,
    ) -> (u16, Message) {
        let nonce = self.server.nonces.issue(from, self.now);
        let bytes = self.request(method, attributes, Some((credentials, &nonce)));
        let reply = self.send(from, &bytes).expect("an answer");
        (code_of(&reply), reply)
    }

    fn allocate(&mut self, from: SocketAddr, credentials: &Credentials) -> (u16, Message) {
        self.ask(from, credentials, METHOD_ALLOCATE, &udp())
    }

    fn code(
        &mut self,
        from: SocketAddr,
        credentials: &Credentials,
        method: Method,
        attributes: &Attributes,
    ) -> u16 {
        self.ask(from, credentials, method, attributes).0
    }
}

fn code_of(reply: &Message) -> u16 {
    if reply.typ.class == CLASS_SUCCESS_RESPONSE {
        return 0;
    }
    let value = reply.get(ATTR_ERROR_CODE).expect("a code");
    u16::from(value[2]) * 100 + u16::from(value[3])
}

fn lifetime_in(reply: &Message) -> u32 {
    let value = reply.get(ATTR_LIFETIME).expect("a lifetime");
    u32::from_be_bytes(value.try_into().expect("four bytes"))
}

fn udp() -> Attributes {
    vec![(ATTR_REQUESTED_TRANSPORT, vec![17, 0, 0, 0])]
}

fn peer(address: &str) -> (AttrType, Vec<u8>) {
    (ATTR_XOR_PEER_ADDRESS, address.as_bytes().to_vec())
}

fn channel(number: u16, address: &str) -> Attributes {
    let [high, low] = number.to_be_bytes();
    vec![(ATTR_CHANNEL_NUMBER, vec![high, low, 0, 0]), peer(address)]
}

fn lasting(seconds: u32) -> Attributes {
    vec![(ATTR_LIFETIME, seconds.to_be_bytes().to_vec())]
}

#[test]
fn a_stranger_is_challenged_and_nothing_is_stored() {
    let mut stage = Stage::new();
    for port in 1..2_000 {
        let bytes = stage.request(METHOD_ALLOCATE, &udp(), None);
        let reply = stage.send(client(1, port), &bytes).expect("a challenge");
        assert_eq!(code_of(&reply), 401);
        assert!(reply.raw.len() <= 3 * bytes.len(), "{} bytes", reply.raw.len());
        assert!(reply.contains(ATTR_NONCE) && reply.contains(ATTR_REALM));
    }
    assert_eq!(stage.server.stats().allocations, 0);
    assert!(stage.server.networks.is_empty() && stage.server.deadlines.is_empty());
    assert_eq!(stage.server.stats().unauthenticated, 1_999);
}

#[test]
fn a_stranger_is_told_their_address_and_nothing_else() {
    let mut stage = Stage::new();
    let request = stage.request(METHOD_BINDING, &vec![], None);
    let reply = stage.send(client(1, 4_000), &request).expect("an answer");
    assert_eq!((request.len(), reply.raw.len()), (20, 32));
    let mut seen = XorMappedAddress::default();
    seen.get_from_as(&reply, ATTR_XORMAPPED_ADDRESS).expect("an address");
    assert_eq!(SocketAddr::new(seen.ip, seen.port), client(1, 4_000));
}

#[test]
fn whoever_has_credentials_gets_an_allocation_that_reaches_the_media_port() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 600), client(1, 4_000));
    let (code, reply) = stage.allocate(from, &ana);
    assert_eq!((code, lifetime_in(&reply)), (0, 600));
    assert!(reply.contains(ATTR_MESSAGE_INTEGRITY), "answers are protected as well");
    let mut relayed = XorMappedAddress::default();
    relayed.get_from_as(&reply, ATTR_XOR_RELAYED_ADDRESS).expect("an address");
    assert_eq!(relayed.ip, address(MEDIA).ip());

    let mut sent = Vec::new();
    append_data(address(MEDIA), 1, b"a packet", &mut sent);
    sent[..2].copy_from_slice(&[0, 0x16]);
    assert!(stage.table.unwrap(from, &sent).is_none(), "there is no permission yet");
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(MEDIA)]), 0);
    let routed = stage.table.unwrap(from, &sent).expect("permitted");
    assert_eq!(&sent[routed.packet], b"a packet");
    assert!(is_relayed(routed.from));
    assert_eq!(stage.server.client_at(routed.from), Some(from));
    assert_eq!(stage.server.client_at(from), None, "nobody is behind an address of UDP");
    assert_eq!((routed.from.ip().to_canonical(), routed.from.port()), (from.ip(), relayed.port));

    let back = stage.table.wrap(routed.from, b"onetwothr", 3).expect("permitted");
    assert_eq!(back.to, from);
    assert_eq!(back.contents.len(), 3 * back.segment_bytes);

    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, MEDIA)), 0);
    let mut sent = Vec::new();
    append_channel_data(0x4000, b"a packet", &mut sent);
    assert_eq!(stage.table.unwrap(from, &sent).expect("bound").from, routed.from);
    let back = stage.table.wrap(routed.from, b"onetwoth", 3).expect("bound");
    assert_eq!((back.contents.len(), back.segment_bytes), (3 * 4 + 8, 7));
    assert_eq!(&back.contents[..7], b"\x40\x00\x00\x03one");
}

#[test]
fn nothing_but_the_media_port_is_ever_a_peer() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 600), client(1, 4_000));
    assert_eq!(stage.allocate(from, &ana).0, 0);
    for other in ["127.0.0.1:3478", "169.254.169.254:80", "203.0.113.8:3478", "0.0.0.0:3478"] {
        let code = stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(other)]);
        assert_eq!(code, 403, "{other}");
        let both = vec![peer(MEDIA), peer(other)];
        assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &both), 403);
        let code = stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, other));
        assert_eq!(code, 403, "{other}");
    }
    // The address is right, and the port is that of another service.
    for other in ["203.0.113.7:22", "203.0.113.7:3479"] {
        let code = stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, other));
        assert_eq!(code, 403, "{other}");
    }
    let mut sent = Vec::new();
    append_data(address("203.0.113.7:22"), 1, b"a packet", &mut sent);
    sent[..2].copy_from_slice(&[0, 0x16]);
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(MEDIA)]), 0);
    assert!(stage.table.unwrap(from, &sent).is_none());
    assert_eq!(stage.server.stats().peers_refused, 14);
    assert_eq!(stage.server.stats().packets_refused, 1);
    let v6 = vec![peer("[::1]:3478")];
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &v6), 443);
}

#[test]
fn credentials_serve_only_whoever_is_in_the_room_and_until_their_end() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 600), client(1, 4_000));
    let forged =
        Credentials { username: ana.username.clone(), password: Secret::new("another".to_owned()) };
    assert_eq!(stage.allocate(from, &forged).0, 401);
    let longer = Credentials {
        username: ana.username.replacen('1', "9", 1),
        password: Secret::new(ana.password.expose().clone()),
    };
    assert_eq!(stage.allocate(from, &longer).0, 401);
    let over = stage.person("bea", 0);
    assert_eq!(stage.allocate(client(2, 4_000), &over).0, 401);
    assert_eq!(stage.allocate(from, &ana).0, 0);

    // What was made with credentials lasts beyond their end, as long as it is refreshed.
    for _ in 0..4 {
        stage.pass(Duration::from_mins(5));
        assert_eq!(stage.code(from, &ana, METHOD_REFRESH, &lasting(600)), 0);
    }
    assert_eq!(stage.allocate(client(1, 4_001), &ana).0, 401, "nothing new is made");

    let gone = std::mem::take(&mut stage.members);
    assert_eq!(stage.code(from, &ana, METHOD_REFRESH, &lasting(600)), 401);
    for (session, connection) in gone {
        stage.server.handle_left(session, connection);
    }
    assert_eq!(stage.server.stats().allocations, 0);
    assert_eq!(stage.server.poll_ended(), Some(from));
}

#[test]
fn nonces_are_of_one_client_and_of_a_short_time() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 6_000), client(1, 4_000));
    let nonce = stage.server.nonces.issue(from, stage.now);
    let bytes = stage.request(METHOD_ALLOCATE, &udp(), Some((&ana, &nonce)));
    let replayed = stage.send(client(2, 4_000), &bytes).expect("an answer");
    assert_eq!(code_of(&replayed), 438);
    assert!(replayed.contains(ATTR_NONCE));
    stage.pass(Duration::from_secs(601));
    assert_eq!(code_of(&stage.send(from, &bytes).expect("an answer")), 438);
    assert_eq!(stage.server.stats().allocations, 0);
    assert_eq!(stage.allocate(from, &ana).0, 0);
}

#[test]
fn the_same_request_again_is_answered_again_and_another_is_not() {
    let mut stage = Stage::new();
    let (ana, bea, from) = (stage.person("ana", 600), stage.person("bea", 600), client(1, 4_000));
    let nonce = stage.server.nonces.issue(from, stage.now);
    let bytes = stage.request(METHOD_ALLOCATE, &udp(), Some((&ana, &nonce)));
    let first = stage.send(from, &bytes).expect("an answer");
    let again = stage.send(from, &bytes).expect("an answer");
    assert_eq!((code_of(&first), &first.raw), (0, &again.raw));
    assert_eq!(stage.server.stats().allocations, 1);
    assert_eq!(stage.allocate(from, &ana).0, 437);
    assert_eq!(stage.allocate(from, &bea).0, 437);
    assert_eq!(stage.code(from, &bea, METHOD_REFRESH, &lasting(0)), 441);
    assert_eq!(stage.code(client(1, 4_001), &ana, METHOD_REFRESH, &lasting(0)), 437);
}

#[test]
fn an_allocation_lasts_as_long_as_asked_for_within_limits() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 60_000), client(1, 4_000));
    let huge: Attributes = [udp(), lasting(u32::MAX)].concat();
    let (_, reply) = stage.ask(from, &ana, METHOD_ALLOCATE, &huge);
    assert_eq!(lifetime_in(&reply), 3_600);
    let (_, reply) = stage.ask(from, &ana, METHOD_REFRESH, &lasting(5));
    assert_eq!(lifetime_in(&reply), 600);
    stage.pass(Duration::from_secs(599));
    assert_eq!(stage.server.stats().allocations, 1);
    stage.pass(Duration::from_secs(1));
    assert_eq!(stage.server.stats().allocations, 0);
    assert_eq!(stage.allocate(from, &ana).0, 0);
    let (code, reply) = stage.ask(from, &ana, METHOD_REFRESH, &lasting(0));
    assert_eq!((code, lifetime_in(&reply)), (0, 0));
    assert_eq!(stage.server.stats().allocations, 0);
    assert!(stage.server.persons.is_empty() && stage.server.networks.is_empty());
    assert!(stage.server.ports.is_empty() && stage.server.by_holder.is_empty());
    assert_eq!(stage.server.poll_timeout(), None);
}

#[test]
fn permissions_and_channels_end_before_the_allocation() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 6_000), client(1, 4_000));
    let hour: Attributes = [udp(), lasting(3_600)].concat();
    assert_eq!(stage.code(from, &ana, METHOD_ALLOCATE, &hour), 0);
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4FFF, MEDIA)), 0);
    let mut sent = Vec::new();
    append_channel_data(0x4FFF, b"a packet", &mut sent);
    let routed = stage.table.unwrap(from, &sent).expect("bound");
    stage.pass(Duration::from_secs(299));
    assert!(stage.table.wrap(routed.from, b"a", 1).is_some());
    stage.pass(Duration::from_secs(1));
    assert!(stage.table.unwrap(from, &sent).is_none(), "without permission");
    assert!(stage.table.wrap(routed.from, b"a", 1).is_none());
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(MEDIA)]), 0);
    assert!(stage.table.unwrap(from, &sent).is_some());
    stage.pass(Duration::from_mins(5));
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(MEDIA)]), 0);
    assert!(stage.table.unwrap(from, &sent).is_none(), "without a channel");
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, MEDIA)), 0);
}

#[test]
fn channels_are_within_their_range_and_stay_with_their_peer() {
    let mut stage = Stage::with(Quotas { per_person: 9, per_network: 9, total: 9 });
    let (ana, from) = (stage.person("ana", 600), client(1, 4_000));
    let both = [address(MEDIA), address("203.0.113.7:443")];
    stage.table = Arc::new(RelayTable::default());
    stage.table.announce(&both);
    stage.server.table = Arc::clone(&stage.table);
    assert_eq!(stage.allocate(from, &ana).0, 0);
    for wrong in [0, 1, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
        assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(wrong, MEDIA)), 400);
    }
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, MEDIA)), 0);
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4000, MEDIA)), 0);
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &channel(0x4001, MEDIA)), 400);
    let other = channel(0x4000, "203.0.113.7:443");
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &other), 400);
    let other = channel(0x4001, "203.0.113.7:443");
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &other), 0);
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &vec![peer(MEDIA)]), 400);
    let without_peer = vec![(ATTR_CHANNEL_NUMBER, vec![0x40, 0, 0, 0])];
    assert_eq!(stage.code(from, &ana, METHOD_CHANNEL_BIND, &without_peer), 400);
}

#[test]
fn quotas_bound_a_person_a_network_and_all() {
    let mut stage = Stage::new();
    let ana = stage.person("ana", 600);
    // Another connection of hers counts with the first.
    let again = stage.person("ana", 600);
    for port in 1..=2 {
        assert_eq!(stage.allocate(client(1, port), &ana).0, 0);
    }
    assert_eq!(stage.allocate(client(2, 1), &again).0, 0);
    assert_eq!(stage.allocate(client(3, 1), &again).0, 486);
    let bea = stage.person("bea", 600);
    for port in 11..=13 {
        assert_eq!(stage.allocate(client(1, port), &bea).0, 0);
    }
    let cid = stage.person("cid", 600);
    assert_eq!(stage.allocate(client(1, 21), &cid).0, 486, "five of one address");
    for port in 1..=2 {
        assert_eq!(stage.allocate(client(4, port), &cid).0, 0);
    }
    assert_eq!(stage.allocate(client(5, 1), &cid).0, 508, "eight in all");
    assert_eq!(stage.server.stats().quota_refused, 3);
    assert_eq!(stage.code(client(4, 1), &cid, METHOD_REFRESH, &lasting(0)), 0);
    assert_eq!(stage.allocate(client(5, 1), &cid).0, 0);
}

#[test]
fn what_is_not_served_is_refused_by_its_code() {
    let mut stage = Stage::new();
    let (ana, from) = (stage.person("ana", 600), client(1, 4_000));
    let table: Vec<(Attributes, u16)> = vec![
        (vec![], 400),
        (vec![(ATTR_REQUESTED_TRANSPORT, vec![17])], 400),
        (vec![(ATTR_REQUESTED_TRANSPORT, vec![6, 0, 0, 0])], 442),
        ([udp(), vec![(ATTR_EVEN_PORT, vec![0x80])]].concat(), 508),
        ([udp(), vec![(ATTR_RESERVATION_TOKEN, vec![1; 8])]].concat(), 508),
        ([udp(), vec![(ATTR_REQUESTED_ADDRESS_FAMILY, vec![3, 0, 0, 0])]].concat(), 440),
        ([udp(), vec![(ATTR_LIFETIME, vec![1])]].concat(), 400),
        ([udp(), vec![(ATTR_DONT_FRAGMENT, vec![])]].concat(), 420),
        ([udp(), vec![(AttrType(0x7FFF), vec![1, 2, 3])]].concat(), 420),
    ];
    for (attributes, expected) in table {
        let (code, reply) = stage.ask(from, &ana, METHOD_ALLOCATE, &attributes);
        assert_eq!(code, expected, "{attributes:?}");
        assert_eq!(reply.contains(ATTR_UNKNOWN_ATTRIBUTES), code == 420);
    }
    let v6 = [udp(), vec![(ATTR_REQUESTED_ADDRESS_FAMILY, vec![2, 0, 0, 0])]].concat();
    let (code, reply) = stage.ask(from, &ana, METHOD_ALLOCATE, &v6);
    let mut relayed = XorMappedAddress::default();
    relayed.get_from_as(&reply, ATTR_XOR_RELAYED_ADDRESS).expect("an address");
    assert_eq!((code, relayed.ip), (0, address(MEDIA_V6).ip()));
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![peer(MEDIA)]), 443);
    assert_eq!(stage.code(from, &ana, METHOD_CREATE_PERMISSION, &vec![]), 400);
    assert_eq!(stage.code(from, &ana, METHOD_CONNECT, &vec![]), 400, "no relaying to TCP");
}

#[test]
fn garbage_is_not_answered() {
    let mut stage = Stage::new();
    let from = client(1, 4_000);
    let bytes = stage.request(METHOD_ALLOCATE, &udp(), None);
    for end in 0..bytes.len() {
        assert!(stage.send(from, &bytes[..end]).is_none());
    }
    assert!(stage.send(from, &[&bytes[..], &[0; 4]].concat()).is_none());
    assert!(stage.send(from, &vec![0; 2_000]).is_none());
    assert!(relayed_of(&bytes).is_none());
}

proptest! {
    #[test]
    fn attributes_of_whoever_has_credentials_never_break_it(
        requests in prop::collection::vec(
            (
                prop::sample::select(vec![
                    METHOD_ALLOCATE,
                    METHOD_REFRESH,
                    METHOD_CREATE_PERMISSION,
                    METHOD_CHANNEL_BIND,
                ]),
                prop::collection::vec(
                    (
                        prop::sample::select(vec![0x00C_u16, 0x00D, 0x013, 0x017, 0x018, 0x019, 0x022]),
                        prop::collection::vec(any::<u8>(), 0..24),
                    ),
                    0..5,
                ),
                prop::option::of(any::<[u8; 8]>()),
                1_u16..6,
            ),
            1..40,
        ),
    ) {
        let mut stage = Stage::new();
        let ana = stage.person("ana", 600);
        for (method, attributes, raw_peer, port) in requests {
            let mut attributes: Attributes =
                attributes.into_iter().map(|(kind, value)| (AttrType(kind), value)).collect();
            if raw_peer.is_some() {
                attributes.extend(udp());
                attributes.push(peer(MEDIA));
            }
            stage.pass(Duration::from_secs(u64::from(port) * 40));
            stage.ask(client(1, port), &ana, method, &attributes);
            let TurnServer { allocations, by_client, ports, deadlines, .. } = &stage.server;
            prop_assert!(allocations.len() <= 3);
            prop_assert_eq!(allocations.len(), by_client.len());
            prop_assert_eq!(allocations.len(), ports.len());
            prop_assert_eq!(allocations.len(), deadlines.len());
        }
        stage.pass(HOUR);
        prop_assert_eq!(stage.server.stats().allocations, 0);
        prop_assert!(stage.server.deadlines.is_empty());
    }
}
