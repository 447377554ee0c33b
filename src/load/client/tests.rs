//! The client against a fake server peer made with the same libraries: virtual time, a seeded
//! network, and a relay from publisher to subscriber.

use std::collections::BTreeSet;

use super::fake_peer::Peer;
use super::ice::Credentials;
use super::*;

const SERVER: &str = "127.0.0.1:3478";

fn options(identity: &Arc<Identity>, seed: u64, epoch: Instant) -> ClientOptions {
    let epoch_unix = Duration::from_secs(1_700_000_000);
    ClientOptions { identity: identity.clone(), seed, epoch, epoch_unix }
}

/// A publisher, a subscriber, and the relay between them.
struct Link {
    now: Instant,
    publisher: MediaClient,
    subscriber: MediaClient,
    publisher_peer: Peer,
    subscriber_peer: Peer,
    random: StdRng,
    /// Loss of media towards the subscriber, in percent.
    loss_percent: u32,
    events: Vec<ClientEvent>,
}

impl Link {
    fn new(tracks: &[TrackOptions], profile: Profile) -> Self {
        let now = Instant::now();
        let order = [Profile::Aes128CmHmacSha1_80, Profile::AeadAes128Gcm];
        let identity = Identity::generate(&order).unwrap();
        let publisher_peer = Peer::new(&identity, profile, SERVER.parse().unwrap(), 11);
        let subscriber_peer = Peer::new(&identity, profile, SERVER.parse().unwrap(), 12);
        let mut publisher = MediaClient::publisher(options(&identity, 1, now), tracks);
        let mut subscriber = MediaClient::subscriber(options(&identity, 2, now));
        let offer = publisher.offer();
        publisher.handle_answer(&publisher_peer.answer(&offer), now).unwrap();
        let offered = subscriber_peer.offer(&offer);
        let answer = subscriber.handle_offer(&offered, now).unwrap();
        assert!(answer.contains("a=recvonly") && answer.contains("a=setup:active"));
        Self {
            now,
            publisher,
            subscriber,
            publisher_peer,
            subscriber_peer,
            random: StdRng::seed_from_u64(3),
            loss_percent: 0,
            events: Vec::new(),
        }
    }

    fn run(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds {
            self.now += Duration::from_millis(1);
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        self.publisher.handle_timeout(now);
        self.subscriber.handle_timeout(now);
        while let Some(transmit) = self.publisher.poll_transmit() {
            if let Some((false, plain)) = self.publisher_peer.handle(&transmit.payload, now) {
                self.subscriber_peer.relay(false, &plain);
            }
        }
        while let Some(transmit) = self.subscriber.poll_transmit() {
            if let Some((true, plain)) = self.subscriber_peer.handle(&transmit.payload, now) {
                self.publisher_peer.relay(true, &plain);
            }
        }
        for datagram in self.publisher_peer.out.drain(..) {
            self.publisher.handle_datagram(&datagram, now);
        }
        for datagram in self.subscriber_peer.out.drain(..) {
            let media = datagram[0] >= 128 && !(192..=223).contains(&datagram[1]);
            if !media || self.random.random_range(0..100) >= self.loss_percent {
                self.subscriber.handle_datagram(&datagram, now);
            }
        }
        while let Some(event) = self.subscriber.poll_event() {
            self.events.push(event);
        }
    }
}

#[test]
fn media_flows_from_publisher_to_subscriber() {
    for profile in [Profile::AeadAes128Gcm, Profile::Aes128CmHmacSha1_80] {
        let mut link = Link::new(&[TrackOptions::microphone(), TrackOptions::camera()], profile);
        link.run(3_000);
        let counts = link.subscriber.counts();
        let sent = link.publisher.counts();
        assert!(link.events.contains(&ClientEvent::Connected { profile }), "{:?}", link.events);
        assert!(link.events.contains(&ClientEvent::KeyFrame { mid: "1".to_owned() }));
        assert_eq!((counts.received.lost, counts.strange), (0, 0));
        assert!(sent.packets_sent > 3 * 50 + 3 * 100, "{sent:?}");
        assert!(counts.received.packets > sent.packets_sent * 9 / 10, "{counts:?} {sent:?}");
        assert!(counts.received.frames > 80, "{counts:?}");
        let delays = link.subscriber.take_delays_ns();
        assert!(delays.len() > 100 && delays.iter().all(|&delay| delay <= 1_000_000));
        let sections = link.subscriber.counts_by_section();
        assert_eq!(sections["0"].0, MediaKind::Audio);
        assert_eq!(sections["1"].0, MediaKind::Video);
    }
}

#[test]
fn lost_video_is_asked_for_again_and_recovered() {
    let mut link = Link::new(&[TrackOptions::camera()], Profile::AeadAes128Gcm);
    link.run(500);
    link.loss_percent = 10;
    link.run(5_000);
    link.loss_percent = 0;
    link.run(1_500);
    let received = link.subscriber.counts().received;
    assert!(received.recovered > 40, "{received:?}");
    assert_eq!(received.lost, 0, "repeated requests restore every packet: {received:?}");
    assert!(link.publisher.counts().repeats_sent >= received.recovered);
}

#[test]
fn lost_sound_is_counted_as_lost() {
    let mut link = Link::new(&[TrackOptions::microphone()], Profile::AeadAes128Gcm);
    link.run(500);
    link.loss_percent = 20;
    link.run(4_000);
    link.loss_percent = 0;
    link.run(1_500);
    let received = link.subscriber.counts().received;
    let sent = link.publisher.counts().packets_sent;
    assert!(received.lost > 20 && received.recovered == 0, "{received:?}");
    assert!(received.packets + received.lost + 5 > sent, "{received:?} of {sent}");
}

#[test]
fn a_request_for_a_key_frame_brings_one() {
    let mut link = Link::new(&[TrackOptions::camera()], Profile::AeadAes128Gcm);
    link.run(1_000);
    let before = link.subscriber.counts().received.key_frames;
    link.run(1_000);
    assert_eq!(
        link.subscriber.counts().received.key_frames,
        before,
        "no key frame comes without a request"
    );
    link.subscriber.request_key_frame("0");
    link.run(100);
    assert_eq!(link.subscriber.counts().received.key_frames, before + 1);
    assert_eq!(link.publisher.counts().key_frames_asked, 1);
}

#[test]
fn simulcast_sends_each_encoding_under_its_name() {
    let camera = TrackOptions { encodings: 3, ..TrackOptions::camera() };
    let mut link = Link::new(&[camera], Profile::AeadAes128Gcm);
    let offer = link.publisher.offer();
    assert!(offer.contains("a=simulcast:send q;h;f") && !offer.contains("a=ssrc:"));
    let mut names = BTreeSet::new();
    for _ in 0..500 {
        link.now += Duration::from_millis(1);
        link.publisher.handle_timeout(link.now);
        while let Some(transmit) = link.publisher.poll_transmit() {
            if let Some((false, plain)) = link.publisher_peer.handle(&transmit.payload, link.now) {
                let packet = rtp::Packet::parse(&plain).unwrap();
                assert_eq!(packet.extension(4), Some(&b"0"[..]));
                names.insert(packet.extension(10).unwrap().to_vec());
            }
        }
        for datagram in link.publisher_peer.out.drain(..) {
            link.publisher.handle_datagram(&datagram, link.now);
        }
    }
    assert_eq!(names, BTreeSet::from([b"f".to_vec(), b"h".to_vec(), b"q".to_vec()]));
}

#[test]
fn another_certificate_than_described_is_refused() {
    let mut link = Link::new(&[TrackOptions::microphone()], Profile::AeadAes128Gcm);
    let now = link.now;
    let answer = link.publisher_peer.answer(&link.publisher.offer());
    let mut victim = MediaClient::publisher(
        options(&link.publisher_peer.identity, 5, now),
        &[TrackOptions::microphone()],
    );
    victim.offer();
    let other = answer.replace("fingerprint:sha-256 ", "fingerprint:sha-256 00:");
    victim.handle_answer(&other, now).unwrap();
    link.publisher = victim;
    link.run(500);
    assert!(!link.publisher.is_connected());
    let event = link.publisher.poll_event();
    assert!(matches!(event, Some(ClientEvent::Failed { .. })), "{event:?}");
}

#[test]
fn lost_first_datagrams_only_delay_the_connection() {
    let mut link = Link::new(&[TrackOptions::microphone()], Profile::AeadAes128Gcm);
    let mut dropped = 0;
    for _ in 0..3_000 {
        link.now += Duration::from_millis(1);
        let now = link.now;
        link.publisher.handle_timeout(now);
        while let Some(transmit) = link.publisher.poll_transmit() {
            if dropped < 4 && transmit.payload[0] < 64 {
                dropped += 1;
            } else {
                link.publisher_peer.handle(&transmit.payload, now);
            }
        }
        for datagram in link.publisher_peer.out.drain(..) {
            link.publisher.handle_datagram(&datagram, now);
        }
    }
    assert!(dropped == 4 && link.publisher.is_connected());
}

#[test]
fn an_ice_restart_keeps_the_media_going() {
    let mut link = Link::new(&[TrackOptions::microphone()], Profile::AeadAes128Gcm);
    link.run(500);
    link.publisher.restart_ice();
    let offer = link.publisher.offer();
    link.publisher_peer.credentials = Credentials::random(&mut StdRng::seed_from_u64(99));
    link.publisher.handle_answer(&link.publisher_peer.answer(&offer), link.now).unwrap();
    let before = link.subscriber.counts().received.packets;
    link.run(40_000);
    assert!(link.publisher.is_connected(), "consent continues with the new credentials");
    assert!(link.subscriber.counts().received.packets > before + 1_900);
    assert_eq!(link.subscriber.counts().received.lost, 0);
}

#[test]
fn descriptions_that_can_not_be_used_are_refused() {
    let now = Instant::now();
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).unwrap();
    let peer = Peer::new(&identity, Profile::AeadAes128Gcm, SERVER.parse().unwrap(), 1);
    let mut client = MediaClient::publisher(options(&identity, 1, now), &[TrackOptions::camera()]);
    let answer = peer.answer(&client.offer());
    for missing in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint", "a=candidate", "v=0"] {
        let text = answer.replace(missing, "a=x-none");
        assert!(client.handle_answer(&text, now).is_err(), "{missing}");
    }
    assert!(client.handle_answer(&answer, now).is_ok());
}
