//! The load client and the server's transports have no code in common; here
//! they talk to each other, over a network that loses datagrams.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use cabildo::load::client::{
    ClientEvent, ClientOptions, Identity, MediaClient, Profile, TrackOptions,
};
use cabildo::sfu::plane::SrtpProfile;
use cabildo::sfu::sdp::{self, ANSWER_LIMITS, LocalSide, OFFER_LIMITS, OfferSection, Stream};
use cabildo::sfu::sdp::{CodecConfig, SectionAnswer, Setup};
use cabildo::sfu::transport::{self, Credentials, RemoteParameters, Transport, TransportEvent};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SERVER: &str = "127.0.0.1:3478";
const CLIENT: &str = "127.0.0.1:40000";
const CM_FIRST: [Profile; 2] = [Profile::Aes128CmHmacSha1_80, Profile::AeadAes128Gcm];

struct Pair {
    now: Instant,
    client: MediaClient,
    server: Transport,
    identity: std::sync::Arc<transport::Identity>,
    credentials: Credentials,
    random: StdRng,
    loss_percent: u32,
    agreed: Option<SrtpProfile>,
}

impl Pair {
    fn new(profiles: &[Profile], tracks: &[TrackOptions], seed: u64) -> Self {
        let now = Instant::now();
        let mut random = StdRng::seed_from_u64(seed);
        let identity =
            std::sync::Arc::new(transport::Identity::generate().expect("made for the test"));
        let credentials = Credentials::from_random(random.random());
        let options = ClientOptions {
            identity: Identity::generate(profiles).expect("made for the test"),
            seed,
            epoch: now,
            epoch_unix: Duration::from_secs(1_700_000_000),
        };
        Self {
            now,
            client: MediaClient::publisher(options, tracks),
            server: Transport::new(identity.clone(), credentials.clone(), now),
            identity,
            credentials,
            random,
            loss_percent: 0,
            agreed: None,
        }
    }

    fn signal_publish(&mut self) -> sdp::Description {
        let offer = sdp::parse(&self.client.offer(), OFFER_LIMITS).expect("made for the test");
        let candidates = [SERVER.parse().expect("made for the test")];
        let answers = vec![SectionAnswer::Receive; offer.sections.len()];
        let answer = sdp::answer(&offer, &answers, self.local(&candidates));
        self.describe_remote(&offer);
        self.client.handle_answer(&answer, self.now).expect("made for the test");
        offer
    }

    fn local<'a>(&'a self, candidates: &'a [SocketAddr]) -> LocalSide<'a> {
        LocalSide {
            tcp: true,
            credentials: &self.credentials,
            fingerprint: self.identity.fingerprint(),
            candidates,
            setup: Setup::Passive,
            session_id: 1,
            version: 1,
        }
    }

    fn describe_remote(&mut self, description: &sdp::Description) {
        let remote = description.transport.clone().expect("made for the test");
        let remote = RemoteParameters { ufrag: remote.ufrag, fingerprints: remote.fingerprints };
        self.server.set_remote(remote);
    }

    fn run(&mut self, milliseconds: u64) {
        let client: SocketAddr = CLIENT.parse().expect("made for the test");
        for _ in 0..milliseconds {
            self.now += Duration::from_millis(1);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            while let Some(transmit) = self.client.poll_transmit() {
                if self.random.random_range(0..100) >= self.loss_percent {
                    self.server.handle_datagram(client, &transmit.payload, self.now);
                }
            }
            while let Some(transmit) = self.server.poll_transmit() {
                if self.random.random_range(0..100) >= self.loss_percent {
                    self.client.handle_datagram(&transmit.bytes, self.now);
                }
            }
            while let Some(event) = self.server.poll_event() {
                if let TransportEvent::Connected { keys, .. } = event {
                    self.agreed = Some(keys.profile);
                }
            }
        }
    }
}

#[test]
fn a_publisher_connects_and_the_cheaper_profile_is_agreed() {
    let mut pair = Pair::new(&CM_FIRST, &[TrackOptions::microphone(), TrackOptions::camera()], 1);
    let offer = pair.signal_publish();
    assert_eq!(offer.sections.len(), 2);
    assert!(offer.sections[1].primary_ssrc.is_some() && offer.sections[1].rtx_ssrc.is_some());
    pair.run(500);
    assert_eq!(pair.agreed, Some(SrtpProfile::AeadAes128Gcm));
    let event = pair.client.poll_event();
    assert_eq!(event, Some(ClientEvent::Connected { profile: Profile::AeadAes128Gcm }));
    pair.run(1_000);
    assert!(pair.client.counts().packets_sent > 50, "the answer accepts both sections");
}

#[test]
fn a_client_without_gcm_connects_with_the_older_profile() {
    let mut pair = Pair::new(&CM_FIRST[..1], &[TrackOptions::microphone()], 2);
    pair.signal_publish();
    pair.run(1_000);
    assert_eq!(pair.agreed, Some(SrtpProfile::Aes128CmHmacSha1_80));
    assert!(pair.client.is_connected());
}

#[test]
fn simulcast_is_read_by_its_names() {
    let camera = TrackOptions { encodings: 3, ..TrackOptions::camera() };
    let mut pair = Pair::new(&CM_FIRST, &[camera], 3);
    let offer = pair.signal_publish();
    assert_eq!(offer.sections[0].rids, ["q", "h", "f"]);
    assert_eq!(offer.sections[0].primary_ssrc, None);
}

#[test]
fn transports_connect_over_a_network_that_loses_a_quarter() {
    for seed in 0..40 {
        let mut pair = Pair::new(&CM_FIRST, &[TrackOptions::microphone()], seed);
        pair.signal_publish();
        pair.loss_percent = 25;
        pair.run(15_000);
        assert!(pair.client.is_connected() && pair.agreed.is_some(), "seed {seed}");
    }
}

#[test]
fn a_subscriber_answers_the_offer_of_the_server() {
    let mut pair = Pair::new(&CM_FIRST, &[], 4);
    let stream = |track: &str, ssrc| Stream {
        group: "somebody".to_owned(),
        track: track.to_owned(),
        ssrc,
        rtx_ssrc: ssrc + 1,
    };
    let section = |mid: &str, config, stream| OfferSection { mid: mid.to_owned(), config, stream };
    let sections = [
        section("0", CodecConfig::Opus, Some(stream("a", 10))),
        section("1", CodecConfig::Vp8, Some(stream("v", 20))),
        section("2", CodecConfig::Vp8, None),
    ];
    let candidates = [SERVER.parse().unwrap()];
    let offer = sdp::offer(&sections, pair.local(&candidates));
    let answer = pair.client.handle_offer(&offer, pair.now).unwrap();
    let answer = sdp::parse(&answer, ANSWER_LIMITS).unwrap();
    assert_eq!(answer.sections.len(), 3);
    assert!(answer.sections[0].direction.receives() && answer.sections[1].direction.receives());
    assert!(!answer.sections[2].direction.receives());
    assert_eq!(answer.transport.as_ref().unwrap().setup, Setup::Active);
    pair.describe_remote(&answer);
    pair.run(500);
    assert!(pair.client.is_connected());
}

#[test]
fn consent_and_an_ice_restart_keep_the_transport() {
    let mut pair = Pair::new(&CM_FIRST, &[TrackOptions::microphone()], 5);
    pair.signal_publish();
    pair.run(40_000);
    pair.client.restart_ice();
    let offer = sdp::parse(&pair.client.offer(), OFFER_LIMITS).unwrap();
    pair.credentials = Credentials::from_random(pair.random.random());
    let ufrag = offer.transport.clone().map(|remote| remote.ufrag);
    pair.server.restart_ice(pair.credentials.clone(), ufrag);
    let candidates = [SERVER.parse().unwrap()];
    let answer = sdp::answer(&offer, &[SectionAnswer::Receive], pair.local(&candidates));
    pair.client.handle_answer(&answer, pair.now).unwrap();
    pair.run(40_000);
    assert!(pair.client.is_connected() && pair.server.is_connected());
}
