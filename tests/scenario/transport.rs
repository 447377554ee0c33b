//! Transports against an independent client, over a virtual link and in
//! virtual time.

#[expect(dead_code, reason = "each test binary uses a part of the client")]
#[path = "../support/media_peer.rs"]
mod media_peer;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use cabildo::sfu::LostReason;
use cabildo::sfu::plane::{SrtpKeys, SrtpProfile};
use cabildo::sfu::transport::{
    CONNECT_WITHIN, CONSENT, COPY_WITHIN, Credentials, DATAGRAMS_MAX, Fingerprint, Identity,
    PATHS_MAX, RemoteParameters, SILENT_AFTER, Transport, TransportEvent, peek_ufrag,
};
use media_peer::{Check, MediaPeer, PeerIdentity, Profiles};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest as _, Sha384, Sha512};

static SERVER: LazyLock<Arc<Identity>> =
    LazyLock::new(|| Arc::new(Identity::generate().expect("identity")));
static PEER: LazyLock<PeerIdentity> = LazyLock::new(|| PeerIdentity::generate(Profiles::CmThenGcm));

const DELAY: Duration = Duration::from_millis(20);

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, last], 40_000))
}

/// A transport and its peer.
struct Pair {
    now: Instant,
    server: Transport,
    peer: MediaPeer,
    from: SocketAddr,
    keys: Option<SrtpKeys>,
    remote: Option<SocketAddr>,
    moved: Option<SocketAddr>,
    lost: Option<LostReason>,
    retired: Vec<String>,
}

impl Pair {
    fn new(identity: &PeerIdentity) -> Self {
        let now = Instant::now();
        let local = Credentials::from_random([9; 32]);
        Self {
            now,
            server: Transport::new(Arc::clone(&SERVER), local, now),
            peer: MediaPeer::new(identity, "peer"),
            from: address(1),
            keys: None,
            remote: None,
            moved: None,
            lost: None,
            retired: Vec::new(),
        }
    }

    fn answered(identity: &PeerIdentity) -> Self {
        let mut pair = Self::new(identity);
        pair.set_remote(&identity.fingerprint);
        pair
    }

    fn set_remote(&mut self, fingerprint: &str) {
        let fingerprint = format!("sha-256 {fingerprint}");
        let fingerprints = vec![Fingerprint::parse(&fingerprint).expect("fingerprint")];
        self.server.set_remote(RemoteParameters { ufrag: self.peer.ufrag.clone(), fingerprints });
        self.collect();
    }

    fn collect(&mut self) {
        while let Some(event) = self.server.poll_event() {
            match event {
                TransportEvent::Connected { keys, remote } => {
                    assert!(self.keys.replace(keys).is_none(), "keys twice");
                    self.remote = Some(remote);
                }
                TransportEvent::Moved { remote } => self.moved = Some(remote),
                TransportEvent::Lost(reason) => self.lost = Some(reason),
                TransportEvent::UfragRetired(ufrag) => self.retired.push(ufrag),
                TransportEvent::PathForgotten(_) => {}
            }
        }
    }

    /// Sends the server a datagram; what it sends back, and where.
    fn send(&mut self, from: SocketAddr, bytes: &[u8]) -> Vec<(SocketAddr, Vec<u8>)> {
        self.server.handle_datagram(from, bytes, self.now);
        self.collect();
        std::iter::from_fn(|| self.server.poll_transmit()).map(|it| (it.to, it.bytes)).collect()
    }

    fn check(&self, check: Check) -> Vec<u8> {
        let local = self.server.local();
        self.peer.check(&local.ufrag, local.pwd.expose(), check)
    }

    /// Lets time pass and does what is due then.
    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.server.handle_timeout(self.now);
        self.collect();
    }

    /// Nominates and shakes hands without loss.
    fn connect(&mut self) {
        let check = self.check(Check::Nominating);
        assert_eq!(self.send(self.from, &check).len(), 1);
        self.peer.connect(self.now);
        self.exchange();
    }

    fn exchange(&mut self) {
        for _ in 0..20 {
            while let Some(bytes) = self.peer.poll_transmit() {
                for (_, reply) in self.send(self.from, &bytes) {
                    self.peer.handle(&reply, self.now);
                }
            }
        }
    }

    /// Shakes hands over a link that loses, until both are done or time is up.
    fn connect_over(&mut self, loss_percent: u32, random: &mut StdRng) -> bool {
        let begun = self.now;
        let mut wire: BTreeMap<(Instant, u64), (bool, Vec<u8>)> = BTreeMap::new();
        let mut sent = 0;
        let mut next_check = self.now;
        if !self.server.is_dtls_client() {
            self.peer.connect(self.now);
        }
        while self.now < begun + CONNECT_WITHIN {
            let mut out: Vec<(bool, Vec<u8>)> = Vec::new();
            if next_check <= self.now {
                next_check = self.now + Duration::from_millis(500);
                out.push((true, self.check(Check::Nominating)));
            }
            while let Some(entry) = wire.first_entry()
                && entry.key().0 <= self.now
            {
                let (to_server, bytes) = entry.remove();
                if to_server {
                    let replies = self.send(self.from, &bytes);
                    out.extend(replies.into_iter().map(|(_, bytes)| (false, bytes)));
                } else if bytes.first().is_some_and(|first| (20..64).contains(first)) {
                    self.peer.handle(&bytes, self.now);
                }
            }
            self.server.handle_timeout(self.now);
            if self.peer.poll_timeout().is_some_and(|at| at <= self.now) {
                self.peer.handle_timeout(self.now);
            }
            self.collect();
            let transmits = std::iter::from_fn(|| self.server.poll_transmit());
            out.extend(transmits.map(|it| (false, it.bytes)));
            out.extend(std::iter::from_fn(|| self.peer.poll_transmit()).map(|it| (true, it)));
            for datagram in out {
                sent += 1;
                if random.random_range(0..100) >= loss_percent {
                    wire.insert((self.now + DELAY, sent), datagram);
                }
            }
            if self.peer.connected && self.keys.is_some() {
                return true;
            }
            self.now += Duration::from_millis(5);
        }
        false
    }
}

fn assert_same_keys(pair: &Pair, expected: SrtpProfile) {
    let ours = pair.keys.as_ref().expect("connected");
    let (_, theirs) = pair.peer.keys();
    assert_eq!(ours.profile, expected);
    assert_eq!(*ours.local.key.expose(), theirs.remote_master_key);
    assert_eq!(*ours.local.salt.expose(), theirs.remote_master_salt);
    assert_eq!(*ours.remote.key.expose(), theirs.local_master_key);
    assert_eq!(*ours.remote.salt.expose(), theirs.local_master_salt);
}

#[test]
fn both_ends_have_the_same_keys_and_gcm_wins_over_the_clients_order() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);
    assert_eq!(pair.remote, Some(address(1)));
}

#[test]
fn a_client_without_gcm_is_given_cm() {
    let identity = PeerIdentity::generate(Profiles::CmOnly);
    let mut pair = Pair::answered(&identity);
    pair.connect();
    assert_same_keys(&pair, SrtpProfile::Aes128CmHmacSha1_80);
}

/// A peer whose description says `a=setup:passive`, as that of `FFmpeg` does.
fn passive(identity: &PeerIdentity) -> Pair {
    let mut pair = Pair::new(identity);
    pair.peer = MediaPeer::passive(identity, "peer");
    pair.server.become_dtls_client();
    pair.set_remote(&identity.fingerprint);
    pair
}

#[test]
fn towards_a_dtls_server_this_side_begins_once_an_address_is_nominated() {
    for (profiles, expected) in [
        (Profiles::CmThenGcm, SrtpProfile::AeadAes128Gcm),
        (Profiles::CmOnly, SrtpProfile::Aes128CmHmacSha1_80),
    ] {
        let identity = PeerIdentity::generate(profiles);
        let mut pair = passive(&identity);
        let check = pair.check(Check::Plain);
        assert_eq!(pair.send(pair.from, &check).len(), 1, "nothing but the answer");
        let check = pair.check(Check::Nominating);
        let sent = pair.send(pair.from, &check);
        let [_, (to, hello)] = &sent[..] else { panic!("an answer and a hello: {}", sent.len()) };
        assert_eq!(*to, pair.from);
        pair.peer.handle(hello, pair.now);
        pair.exchange();
        assert!(pair.peer.connected);
        assert_same_keys(&pair, expected);
    }
}

#[test]
fn towards_a_dtls_server_every_handshake_completes_over_a_link_that_loses() {
    for loss_percent in [0, 10, 25] {
        for seed in 0..6 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut pair = passive(&PEER);
            let connected = pair.connect_over(loss_percent, &mut random);
            let ends = (pair.keys.is_some(), pair.peer.connected, pair.lost);
            assert!(connected, "{loss_percent} % lost, seed {seed}: {ends:?}");
        }
    }
}

#[test]
fn towards_a_dtls_server_another_certificate_is_refused() {
    let mut pair = Pair::new(&PEER);
    pair.peer = MediaPeer::passive(&PEER, "peer");
    pair.server.become_dtls_client();
    pair.set_remote(&PeerIdentity::generate(Profiles::CmThenGcm).fingerprint);
    let check = pair.check(Check::Nominating);
    for (_, bytes) in pair.send(pair.from, &check).into_iter().skip(1) {
        pair.peer.handle(&bytes, pair.now);
    }
    pair.exchange();
    assert!(pair.keys.is_none());
    assert_eq!(pair.lost, Some(LostReason::HandshakeFailed));
}

#[test]
fn a_certificate_is_recognised_by_longer_hashes() {
    let der = &PEER.certificate;
    for (right, wrong) in [
        (Fingerprint::Sha384(Sha384::digest(der).into()), Fingerprint::Sha384([1; 48])),
        (Fingerprint::Sha512(Sha512::digest(der).into()), Fingerprint::Sha512([1; 64])),
    ] {
        for (fingerprint, connects) in [(right, true), (wrong, false)] {
            let mut pair = Pair::new(&PEER);
            let (ufrag, fingerprints) = (pair.peer.ufrag.clone(), vec![fingerprint]);
            pair.server.set_remote(RemoteParameters { ufrag, fingerprints });
            pair.connect();
            assert_eq!(pair.keys.is_some(), connects, "{fingerprint}");
        }
    }
}

#[test]
fn every_handshake_completes_over_a_link_that_loses() {
    for loss_percent in [0, 10, 25, 40] {
        for seed in 0..12 {
            let mut random = StdRng::seed_from_u64(seed);
            let mut pair = Pair::answered(&PEER);
            let connected = pair.connect_over(loss_percent, &mut random);
            let ends = (pair.keys.is_some(), pair.peer.connected, pair.lost);
            assert!(connected, "{loss_percent} % lost, seed {seed}: {ends:?}");
            assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);
        }
    }
}

#[test]
fn keys_wait_for_the_answer_and_are_given_to_nobody_else() {
    let mut pair = Pair::new(&PEER);
    pair.connect();
    assert!(pair.peer.connected && pair.keys.is_none());
    pair.set_remote(&PEER.fingerprint);
    assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);

    let mut pair = Pair::new(&PEER);
    pair.connect();
    pair.set_remote(&PeerIdentity::generate(Profiles::CmThenGcm).fingerprint);
    assert!(pair.keys.is_none());
    assert_eq!(pair.lost, Some(LostReason::HandshakeFailed));
}

#[test]
fn checks_that_do_not_authenticate_meet_silence() {
    let mut pair = Pair::answered(&PEER);
    let local = pair.server.local().clone();
    let (ufrag, pwd) = (local.ufrag.as_str(), local.pwd.expose().as_str());
    let good = pair.check(Check::Nominating);
    let mut silent: Vec<(String, Vec<u8>)> = vec![
        ("a wrong password".into(), pair.peer.check(ufrag, "wrong password", Check::Nominating)),
        ("another local name".into(), pair.peer.check("nobody", pwd, Check::Nominating)),
        ("another peer".into(), pair.peer.check_as(&format!("{ufrag}:else"), pwd, Check::Plain)),
        ("no colon".into(), pair.peer.check_as(ufrag, pwd, Check::Plain)),
        ("trailing bytes".into(), [good.as_slice(), &[0; 4]].concat()),
        // Attributes after the integrity are the attacker's.
        ("an appended nomination".into(), {
            let mut check = pair.check(Check::Plain);
            let end = check.len() - 8;
            check.truncate(end);
            check.extend_from_slice(&[0x00, 0x25, 0, 0]);
            let length = u16::try_from(check.len() - 20 + 8).expect("short").to_be_bytes();
            check[2..4].copy_from_slice(&length);
            let mut message = rtc_stun::message::Message::new();
            message
                .unmarshal_binary(&{
                    let mut whole = check.clone();
                    whole[2..4].copy_from_slice(
                        &u16::try_from(check.len() - 20).expect("short").to_be_bytes(),
                    );
                    whole
                })
                .expect("well-formed");
            rtc_stun::message::Setter::add_to(&rtc_stun::fingerprint::FINGERPRINT, &mut message)
                .expect("fingerprint");
            message.raw
        }),
    ];
    silent.extend((0..good.len()).map(|end| (format!("cut at {end}"), good[..end].to_vec())));
    silent.extend((0..good.len()).map(|at| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        (format!("changed at {at}"), bytes)
    }));
    for (name, bytes) in silent {
        assert!(pair.send(pair.from, &bytes).is_empty(), "{name}");
        assert_eq!(pair.server.paths().count(), 0, "{name}");
    }
    assert_eq!(pair.send(pair.from, &good).len(), 1);
    assert_eq!(peek_ufrag(&good), Some(ufrag));
}

#[test]
fn a_peer_that_thinks_it_is_controlled_is_told() {
    let mut pair = Pair::answered(&PEER);
    let check = pair.check(Check::Controlled);
    let replies = pair.send(pair.from, &check);
    assert_eq!(&replies[0].1[..2], &[0x01, 0x11], "a binding error");
    assert_eq!(pair.server.paths().count(), 0);
}

#[test]
fn dtls_of_an_address_without_a_check_is_ignored() {
    let mut pair = Pair::answered(&PEER);
    pair.peer.connect(pair.now);
    let hello = pair.peer.poll_transmit().expect("a hello");
    assert!(pair.send(address(66), &hello).is_empty());
    assert!(!pair.server.has_begun());
}

#[test]
fn a_flood_of_fragments_is_cut_off_before_the_engine() {
    let mut pair = Pair::answered(&PEER);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    let fragment = |offset: u16| {
        let offset = offset.to_be_bytes();
        let body = [&[1, 0x0f, 0, 0, 0, 0, 0][..], &offset, &[0, 0, 1, 7]].concat();
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0], &offset[..], &length, &body].concat()
    };
    let mut replies = 0;
    for index in 0..20_000_u16 {
        let records: Vec<u8> =
            (0..40).flat_map(|at| fragment(index.wrapping_mul(40).wrapping_add(at))).collect();
        replies += pair.send(pair.from, &records).len();
        replies += pair.send(pair.from, &fragment(index)).len();
    }
    let limit = usize::try_from(DATAGRAMS_MAX).expect("small");
    assert!(replies <= limit, "{replies} replies");
    assert_eq!(pair.lost, None);
    // What was spent on strangers is spent: the handshake can't complete any
    // more, and the transport goes away as if nobody had come.
    pair.peer.connect(pair.now);
    pair.exchange();
    assert!(pair.keys.is_none());
    pair.now += CONNECT_WITHIN;
    pair.server.handle_timeout(pair.now);
    pair.collect();
    assert!(pair.lost.is_some());
}

#[test]
fn forged_alerts_end_nothing() {
    let alert = |sequence: u8| [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, sequence, 0, 2, 2, 40];
    let mut pair = Pair::answered(&PEER);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    for sequence in 0..100 {
        assert!(pair.send(pair.from, &alert(sequence)).is_empty());
    }
    pair.peer.connect(pair.now);
    pair.exchange();
    assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);
    assert!(pair.send(pair.from, &alert(200)).is_empty());
    assert_eq!(pair.lost, None);
}

#[test]
fn damaged_handshakes_never_connect_somebody_else() {
    let stranger = PeerIdentity::generate(Profiles::CmThenGcm);
    let mut completed = 0;
    for seed in 0..300_u64 {
        let mut random = StdRng::seed_from_u64(seed);
        let expected = if seed % 2 == 0 { &*PEER } else { &stranger };
        let mut pair = Pair::answered(expected);
        pair.peer = MediaPeer::new(&PEER, "peer");
        let check = pair.check(Check::Nominating);
        pair.send(pair.from, &check);
        pair.peer.connect(pair.now);
        let damaged = random.random_range(0..6);
        let mut count = 0;
        for _ in 0..8 {
            while let Some(mut bytes) = pair.peer.poll_transmit() {
                if count == damaged {
                    damage(&mut bytes, &mut random);
                }
                count += 1;
                for (_, reply) in pair.send(pair.from, &bytes) {
                    pair.peer.handle(&reply, pair.now);
                }
            }
        }
        if seed % 2 == 1 {
            assert!(pair.keys.is_none(), "seed {seed} connected a stranger");
        } else if pair.keys.is_some() {
            completed += 1;
            assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);
        }
    }
    assert!(completed > 0, "the undamaged among them connect");
}

fn damage(bytes: &mut Vec<u8>, random: &mut StdRng) {
    match random.random_range(0..4) {
        0 => bytes.truncate(random.random_range(0..=bytes.len())),
        1 => {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        2 => {
            for _ in 0..8 {
                let at = random.random_range(0..bytes.len());
                bytes[at] ^= 1 << random.random_range(0..8);
            }
        }
        _ => {
            for byte in bytes.iter_mut().skip(11) {
                if random.random_range(0..12) == 0 {
                    *byte = random.random();
                }
            }
        }
    }
}

#[test]
fn a_replayed_handshake_changes_nothing() {
    let mut pair = Pair::answered(&PEER);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    pair.peer.connect(pair.now);
    let mut heard = Vec::new();
    for _ in 0..20 {
        while let Some(bytes) = pair.peer.poll_transmit() {
            heard.push(bytes.clone());
            for (_, reply) in pair.send(pair.from, &bytes) {
                pair.peer.handle(&reply, pair.now);
            }
        }
    }
    assert_same_keys(&pair, SrtpProfile::AeadAes128Gcm);
    for bytes in heard.iter().cycle().take(200) {
        pair.send(pair.from, bytes);
    }
    assert!(pair.server.is_connected());
    assert_eq!(pair.lost, None);
}

#[test]
fn the_last_nomination_wins_and_paths_are_bounded() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    // The peer walks out of the house: its address changes, its keys do not.
    pair.from = address(2);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    pair.pass(COPY_WITHIN);
    assert_eq!(pair.moved, Some(address(2)));
    for last in 10..60 {
        let check = pair.check(Check::Plain);
        assert_eq!(pair.send(address(last), &check).len(), 1);
        assert!(pair.server.paths().count() <= PATHS_MAX);
    }
    assert!(pair.server.knows(address(2)), "the nominated address stays");
    assert_eq!(pair.moved, Some(address(2)));
}

/// As the moment before it comes, in the smallest steps that tests look at.
const MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_peer_whose_address_changed_is_followed_without_a_nomination() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    // A router gives the flow another port: the next check comes from there.
    pair.pass(Duration::from_secs(2));
    let check = pair.check(Check::Plain);
    assert_eq!(pair.send(address(2), &check).len(), 1);
    assert_eq!(pair.moved, None, "the old address may only be pausing");
    let due = pair.server.poll_timeout().expect("a deadline");
    let left = SILENT_AFTER.saturating_sub(Duration::from_secs(2));
    assert_eq!(due, pair.now + left);
    pair.pass(left.saturating_sub(MOMENT));
    assert_eq!(pair.moved, None);
    pair.pass(MOMENT);
    assert_eq!(pair.moved, Some(address(2)));
    // One that is silent for long is left at once.
    pair.pass(SILENT_AFTER);
    let check = pair.check(Check::Plain);
    pair.send(address(3), &check);
    assert_eq!(pair.moved, Some(address(3)));
}

#[test]
fn media_keeps_an_address_in_use_and_a_transport_alive() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    for second in 0..120 {
        pair.pass(Duration::from_secs(1));
        pair.server.handle_media(pair.now);
        if second % 5 == 0 {
            let check = pair.check(Check::Plain);
            pair.send(address(2), &check);
        }
    }
    assert_eq!((pair.moved, pair.lost), (None, None), "no flapping while media comes");
    pair.pass(CONSENT.saturating_sub(Duration::from_secs(1)));
    assert_eq!(pair.lost, None);
    pair.pass(Duration::from_secs(1));
    pair.pass(CONSENT);
    assert_eq!(pair.lost, Some(LostReason::ConsentExpired), "silence of everything ends it");
}

#[test]
fn media_alone_keeps_a_client_that_checks_no_more() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    for _ in 0..300 {
        pair.pass(Duration::from_secs(1));
        pair.server.handle_media(pair.now);
    }
    assert_eq!(pair.lost, None);
    pair.pass(CONSENT);
    assert_eq!(pair.lost, Some(LostReason::ConsentExpired));
}

#[test]
fn a_peer_whose_address_changed_is_followed_by_its_media_alone() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    pair.pass(SILENT_AFTER.saturating_sub(MOMENT));
    pair.server.handle_media_from(address(2), pair.now);
    pair.collect();
    assert_eq!(pair.moved, None, "the old address may only be pausing");
    pair.pass(MOMENT);
    assert_eq!(pair.moved, Some(address(2)));
    assert!(pair.server.knows(address(2)));
    // From now on it counts like any other, until the flow has yet another port.
    for _ in 0..60 {
        pair.pass(Duration::from_secs(1));
        pair.server.handle_media(pair.now);
    }
    pair.pass(SILENT_AFTER);
    pair.server.handle_media_from(address(3), pair.now);
    pair.collect();
    assert_eq!((pair.moved, pair.lost), (Some(address(3)), None));
    pair.pass(CONSENT);
    assert_eq!(pair.lost, Some(LostReason::ConsentExpired));
}

#[test]
fn media_from_elsewhere_moves_nothing_before_the_handshake_or_from_an_address_in_use() {
    let mut pair = Pair::answered(&PEER);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    pair.server.handle_media_from(address(9), pair.now);
    assert!(!pair.server.knows(address(9)));
    pair.connect();
    for second in 0..60 {
        pair.pass(Duration::from_secs(1));
        if second % 5 == 0 {
            pair.server.handle_media(pair.now);
        }
        // As many addresses as there are copies of what it sends.
        pair.server.handle_media_from(address(100 + second), pair.now);
        pair.collect();
        assert!(pair.server.paths().count() <= PATHS_MAX);
    }
    assert_eq!((pair.moved, pair.lost), (None, None));
    assert!(pair.server.knows(address(1)), "the selected address stays");
}

#[test]
fn two_live_paths_do_not_flap() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    let mut moves = 0;
    for second in 0..120 {
        pair.pass(Duration::from_secs(1));
        for (from, phase) in [(1, 0), (2, 2)] {
            if second % 5 == phase {
                let check = pair.check(Check::Plain);
                pair.send(address(from), &check);
            }
        }
        moves += usize::from(pair.moved.take().is_some());
    }
    assert_eq!(moves, 0);
}

#[test]
fn a_copied_nomination_moves_nothing_whichever_comes_first() {
    for original_first in [true, false] {
        let mut pair = Pair::answered(&PEER);
        pair.connect();
        for _ in 0..40 {
            pair.pass(Duration::from_secs(1));
            let check = pair.check(Check::Nominating);
            let order = if original_first { [1, 9] } else { [9, 1] };
            for from in order {
                pair.send(address(from), &check);
                pair.pass(MOMENT);
            }
        }
        pair.pass(COPY_WITHIN);
        assert_eq!(pair.moved, None, "original first: {original_first}");
    }
}

#[test]
fn a_handshake_that_came_through_decides_where_media_goes() {
    let mut pair = Pair::answered(&PEER);
    // A copy of the first nomination overtakes it; nobody is behind its address.
    let check = pair.check(Check::Nominating);
    pair.send(address(9), &check);
    pair.send(pair.from, &check);
    pair.peer.connect(pair.now);
    while let Some(bytes) = pair.peer.poll_transmit() {
        for (to, reply) in pair.send(pair.from, &bytes) {
            assert_eq!(to, pair.from, "answered the way it came");
            pair.peer.handle(&reply, pair.now);
        }
    }
    assert!(pair.peer.connected);
    assert_eq!(pair.remote, Some(address(1)));
}

#[test]
fn an_ice_restart_keeps_the_old_generation_until_the_new_one_nominates() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    let before = pair.server.local().clone();
    let old_check = pair.check(Check::Nominating);
    pair.peer.ufrag = "again".to_owned();
    pair.server.restart_ice(Credentials::from_random([33; 32]), Some("again".to_owned()));
    assert_eq!(pair.server.local_ufrags().count(), 2);
    assert_eq!(pair.send(pair.from, &old_check).len(), 1, "the old generation is answered");
    assert_eq!(pair.moved, None);
    pair.from = address(3);
    let check = pair.check(Check::Nominating);
    pair.send(pair.from, &check);
    assert_eq!(pair.moved, Some(address(3)));
    assert_eq!(pair.retired, [before.ufrag]);
    assert!(pair.send(pair.from, &old_check).is_empty());
    assert!(pair.server.is_connected());
}

#[test]
fn a_transport_nobody_comes_to_expires() {
    let mut pair = Pair::answered(&PEER);
    let due = pair.server.poll_timeout().expect("a deadline");
    assert_eq!(due, pair.now + CONNECT_WITHIN);
    let early = due.checked_sub(Duration::from_millis(1)).expect("after the start");
    pair.server.handle_timeout(early);
    pair.collect();
    assert_eq!(pair.lost, None);
    pair.server.handle_timeout(due);
    pair.collect();
    assert_eq!(pair.lost, Some(LostReason::NeverConnected));
    assert_eq!(pair.server.poll_timeout(), None);
}

#[test]
fn consent_ends_thirty_seconds_after_the_last_check() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    for _ in 0..20 {
        pair.now += Duration::from_secs(20);
        let check = pair.check(Check::Plain);
        pair.send(pair.from, &check);
        pair.server.handle_timeout(pair.now);
        pair.collect();
        assert_eq!(pair.lost, None);
    }
    pair.now += CONSENT;
    pair.server.handle_timeout(pair.now);
    pair.collect();
    assert_eq!(pair.lost, Some(LostReason::ConsentExpired));
    let check = pair.check(Check::Nominating);
    assert!(pair.send(pair.from, &check).is_empty(), "what is over is silent");
}

#[test]
fn either_side_may_close() {
    let mut pair = Pair::answered(&PEER);
    pair.connect();
    pair.server.close(pair.now);
    while let Some(transmit) = pair.server.poll_transmit() {
        pair.peer.handle(&transmit.bytes, pair.now);
    }
    assert!(pair.peer.closed);

    let mut pair = Pair::answered(&PEER);
    pair.connect();
    pair.peer.close(pair.now);
    while let Some(bytes) = pair.peer.poll_transmit() {
        pair.send(pair.from, &bytes);
    }
    assert_eq!(pair.lost, Some(LostReason::ClosedByPeer));
}
