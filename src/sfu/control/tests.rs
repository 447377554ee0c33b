//! What the control half decides, in virtual time, tested with clients that share no code with it.

use std::sync::LazyLock;
use std::time::Duration;

use super::*;
use crate::domain::media::TrackSource;
use crate::sfu::interface::{BitrateBudget, PublishAnswer};
use crate::sfu::plane::{Demand, Gate};
use crate::sfu::transport::{CONNECT_WITHIN, CONSENT};
use media_peer::{Check, MediaPeer, PeerIdentity, Profiles};

mod budget;
mod conditions;
mod feed;
#[expect(dead_code, reason = "each test uses a part of the client")]
#[path = "../../../tests/support/media_peer.rs"]
mod media_peer;
mod priorities;
mod refused;
mod strays;
mod turn;

static SERVER: LazyLock<Arc<Identity>> =
    LazyLock::new(|| Arc::new(Identity::generate().expect("identity")));
static PEERS: LazyLock<[PeerIdentity; 2]> =
    LazyLock::new(|| [0; 2].map(|_| PeerIdentity::generate(Profiles::CmThenGcm)));

struct Scene {
    control: Control,
    now: Instant,
    room: SessionId,
    commands: Vec<Command>,
    events: Vec<RoomMediaEvent>,
    bitrates: Vec<u32>,
    /// What was handed over, and to which worker.
    handed_over: Vec<(usize, Vec<u8>)>,
}

impl Scene {
    fn new() -> Self {
        Self::with_workers(1)
    }

    fn with_workers(workers: usize) -> Self {
        let now = Instant::now();
        let candidates = Arc::from([SocketAddr::from(([192, 0, 2, 1], 3478))]);
        let control = Control::new(Arc::clone(&SERVER), (candidates, true), workers, [5; 32], now);
        let room = SessionId::generate();
        let (commands, events, bitrates) = (Vec::new(), Vec::new(), Vec::new());
        let handed_over = Vec::new();
        let mut scene = Self { control, now, room, commands, events, bitrates, handed_over };
        let budget = BitrateBudget { tenant: TenantId::generate(), max_kbps: 1_000 };
        scene.control.open_room(room, budget).expect("opened");
        scene
    }

    fn join(&mut self) -> ConnectionId {
        let peer = ConnectionId::generate();
        self.control.join(self.room, peer, Gates::OPEN).expect("joined");
        peer
    }

    fn publish(&mut self, peer: ConnectionId, offer: &str) -> Result<PublishAnswer, SfuError> {
        let answer = self.control.publish(self.room, peer, offer, &[], self.now);
        self.poll_transport();
        answer
    }

    fn subscribe(&mut self, peer: ConnectionId, track: TrackId) {
        let demand = Demand::default();
        self.control.subscribe(self.room, peer, track, demand).expect("subscribed");
        self.poll_transport();
    }

    fn answer(&mut self, peer: ConnectionId, sdp: &str) -> Result<(), SfuError> {
        let answered = self.control.answer(self.room, peer, sdp, self.now);
        self.poll_transport();
        answered
    }

    /// Carries out the outputs as the driver does; returns what was sent and to whom.
    fn poll_transport(&mut self) -> Vec<Vec<u8>> {
        self.control.flush_offers(self.now);
        while self.control.owes_offers() {
            self.control.flush_offers(self.now);
        }
        let mut sent = Vec::new();
        while let Some(output) = self.control.poll_output() {
            match output {
                Output::Command { command, .. } => self.commands.push(command),
                Output::Transmit { bytes, .. } => sent.push(bytes),
                Output::Event { event, .. } => self.events.push(event),
                Output::TenantBitrate { kbps, .. } => self.bitrates.push(kbps),
                Output::Close { .. } => {}
                Output::HandOver { worker, bytes, .. } => self.handed_over.push((worker, bytes)),
            }
        }
        sent
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.control.handle_timeout(self.now);
        self.poll_transport();
    }

    fn send(&mut self, client: &Client, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        self.control.handle_datagram(0, client.from, bytes, self.now);
        self.poll_transport()
    }

    /// Sends checks, nominates and completes the handshake that a session description asks for.
    fn connect(&mut self, client: &mut Client, sdp: &str) {
        let said = |key: &str| attribute(sdp, key).expect("credentials");
        let check = client.peer.check(said("ice-ufrag"), said("ice-pwd"), Check::Nominating);
        assert_eq!(self.send(client, check).len(), 1, "the check is answered");
        client.peer.connect(self.now);
        self.exchange(client);
    }

    fn exchange(&mut self, client: &mut Client) {
        while let Some(bytes) = client.peer.poll_transmit() {
            for reply in self.send(client, bytes) {
                client.peer.handle(&reply, self.now);
            }
        }
    }

    /// The offers made since the last call.
    fn offers(&mut self) -> Vec<(String, Vec<(String, TrackId)>)> {
        let is_offer =
            |it: &mut RoomMediaEvent| matches!(it, RoomMediaEvent::SubscriberOffer { .. });
        let offers = self.events.extract_if(.., is_offer);
        offers
            .filter_map(|event| match event {
                RoomMediaEvent::SubscriberOffer { sdp, tracks, .. } => Some((sdp, tracks)),
                _ => None,
            })
            .collect()
    }

    fn lost(&self) -> Vec<(TransportSide, LostReason)> {
        let lost = self.events.iter().filter_map(|event| match event {
            RoomMediaEvent::TransportLost { side, reason, .. } => Some((*side, *reason)),
            _ => None,
        });
        lost.collect()
    }

    /// Adds a peer that publishes audio and video; returns its tracks.
    fn publisher(&mut self) -> (ConnectionId, [TrackId; 2]) {
        let peer = self.join();
        let client = Client::new(0, 1);
        let sections = [audio("0", "sendonly"), video("1", "sendonly", "")];
        let answer = self.publish(peer, &client.offer(&sections)).expect("published");
        let [sound, picture] = &answer.tracks[..] else { panic!("{:?}", answer.tracks) };
        (peer, [sound.track, picture.track])
    }
}

/// One peer connection.
struct Client {
    peer: MediaPeer,
    fingerprint: &'static str,
    from: SocketAddr,
    descriptions: u32,
}

impl Client {
    fn new(identity: usize, host: u8) -> Self {
        let identity: &'static PeerIdentity = &PEERS[identity];
        Self {
            peer: MediaPeer::new(identity, &format!("peer{host}")),
            fingerprint: &identity.fingerprint,
            from: SocketAddr::from(([198, 51, 100, host], 40_000)),
            descriptions: 0,
        }
    }

    fn session(&self, version: u32, setup: &str) -> String {
        format!(
            "v=0\r\no=- 7 {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\na=setup:{setup}\r\n",
            self.peer.ufrag, self.peer.pwd, self.fingerprint
        )
    }

    fn offer(&self, sections: &[String]) -> String {
        let mids = sections.iter().filter_map(|section| attribute(section, "mid"));
        let group = mids.fold("a=group:BUNDLE".to_owned(), |group, mid| group + " " + mid);
        self.session(1, "actpass") + &group + "\r\n" + &sections.concat()
    }

    /// Accepts every section of an offer.
    fn answer(&mut self, offer: &str) -> String {
        self.descriptions += 1;
        let kept =
            ["m=", "c=", "a=group:", "a=mid:", "a=rtpmap:", "a=fmtp:", "a=rtcp-mux", "a=inactive"];
        let group = offer.lines().filter(|line| line.starts_with("a=group:"));
        let sections = offer.lines().skip_while(|line| !line.starts_with("m="));
        let lines = group.chain(sections).filter_map(|line| match line {
            "a=sendonly" => Some("a=recvonly"),
            line => kept.iter().any(|it| line.starts_with(it)).then_some(line),
        });
        lines.fold(self.session(self.descriptions, "active"), |text, line| text + line + "\r\n")
    }
}

fn attribute<'a>(sdp: &'a str, key: &str) -> Option<&'a str> {
    let prefix = format!("a={key}:");
    sdp.lines().find_map(|line| line.strip_prefix(prefix.as_str()))
}

fn audio(mid: &str, direction: &str) -> String {
    format!(
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\n\
         a=rtcp-mux\r\na=rtpmap:111 opus/48000/2\r\n"
    )
}

fn video(mid: &str, direction: &str, simulcast: &str) -> String {
    let text = format!(
        "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na={direction}\r\n\
         a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n\
         a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
         a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n"
    );
    if simulcast.is_empty() {
        return text;
    }
    let rids = simulcast.split(';').map(|rid| rid.trim_start_matches('~'));
    let text = rids.fold(text, |text, rid| text + "a=rid:" + rid + " send\r\n");
    text + "a=simulcast:send " + simulcast + "\r\n"
}

fn is_conflict<T>(result: &Result<T, SfuError>) -> bool {
    matches!(result, Err(SfuError::SignallingState(_)))
}

#[test]
fn a_section_that_sends_again_is_published_again_in_all_its_encodings() {
    let mut scene = Scene::new();
    let peer = scene.join();
    let client = Client::new(0, 1);
    let offer = |direction: &str, simulcast| client.offer(&[video("0", direction, simulcast)]);
    let first = scene.publish(peer, &offer("sendonly", "q;h;f")).expect("published");
    let stopped = scene.publish(peer, &offer("inactive", "q;h;f")).expect("stopped");
    assert_eq!((stopped.tracks.len(), stopped.removed), (0, vec![first.tracks[0].track]));
    let again = scene.publish(peer, &offer("sendonly", "q;~h;~f")).expect("published again");
    assert!(again.removed.is_empty());
    assert_ne!(again.tracks[0].track, first.tracks[0].track);
    assert_eq!((again.tracks[0].mid.as_str(), again.tracks[0].layers), ("0", 3));
    assert_eq!(again.tracks[0].source, TrackSource::Camera);
    for answer in [&first.sdp, &stopped.sdp, &again.sdp] {
        assert_eq!(attribute(answer, "simulcast"), Some("recv q;h;f"), "nothing is paused");
    }
    let added = scene.commands.iter().filter_map(|command| match command {
        Command::AddPublication(spec) => {
            Some((spec.track, spec.mid.as_str(), spec.encodings.len()))
        }
        _ => None,
    });
    let expected = [&first, &again].map(|it| (it.tracks[0].track, "0", 3));
    assert_eq!(added.collect::<Vec<_>>(), expected);
}

#[test]
fn one_offer_is_open_at_a_time_and_an_answer_is_to_the_one_it_answers() {
    let mut scene = Scene::new();
    let (_, [sound, picture]) = scene.publisher();
    let peer = scene.join();
    let mut client = Client::new(1, 2);
    scene.subscribe(peer, sound);
    let [(first, _)] = &scene.offers()[..] else { panic!("one offer") };
    scene.subscribe(peer, picture);
    scene.control.restart_subscriber_ice(scene.room, peer).expect("noted");
    scene.poll_transport();
    assert!(scene.offers().is_empty(), "the first offer has no answer yet");
    let answer = client.answer(first);
    scene.answer(peer, &answer).expect("it answers the first offer");
    let [(second, tracks)] = &scene.offers()[..] else { panic!("one offer") };
    assert_eq!(tracks.len(), 2);
    assert_ne!(attribute(second, "ice-ufrag"), attribute(first, "ice-ufrag"), "ICE restarts");
    assert!(is_conflict(&scene.answer(peer, &answer)), "it answers an earlier offer");
    let from_before = client.answer(second);
    assert!(is_conflict(&scene.answer(peer, &from_before)), "without restarting");
    client.peer.ufrag = "restarted".to_owned();
    let answer = client.answer(second);
    scene.answer(peer, &answer).expect("the offer still waits for its answer");
    assert!(is_conflict(&scene.answer(peer, &answer)), "no offer waits for an answer");
    assert!(scene.offers().is_empty());
    scene.connect(&mut client, second);
    assert!(client.peer.connected, "the connection is still up");
}

#[test]
fn an_answer_that_comes_twice_is_not_taken_for_the_next_offer() {
    let mut scene = Scene::new();
    let (_, [sound, picture]) = scene.publisher();
    let peer = scene.join();
    let mut client = Client::new(1, 2);
    scene.subscribe(peer, sound);
    scene.subscribe(peer, picture);
    let first = scene.offers().remove(0).0;
    scene.control.unsubscribe(scene.room, peer, sound).expect("was subscribed");
    scene.poll_transport();
    assert!(scene.offers().is_empty(), "a removal waits too");
    let answers = [client.answer(&first), client.answer(&first)];
    scene.answer(peer, &answers[0]).expect("taken");
    let second = scene.offers().remove(0).0;
    assert_ne!(first, second);
    assert!(is_conflict(&scene.answer(peer, &answers[0])));
    let answer = client.answer(&second);
    scene.answer(peer, &answer).expect("the second offer still waits for its answer");
}

#[test]
fn a_transport_that_was_connected_has_not_failed_when_it_ends() {
    let mut scene = Scene::new();
    let mut clients = [Client::new(0, 1), Client::new(1, 2), Client::new(1, 3)];
    for client in &mut clients {
        let peer = scene.join();
        let answer = scene.publish(peer, &client.offer(&[audio("0", "sendonly")]));
        let answer = answer.expect("published");
        if client.from.ip() != SocketAddr::from(([198, 51, 100, 3], 0)).ip() {
            scene.connect(client, &answer.sdp);
            assert!(client.peer.connected);
        }
    }
    assert_eq!(scene.control.stats().handshakes_completed, 2);
    clients[0].peer.close(scene.now);
    scene.exchange(&mut clients[0]);
    let closed = (TransportSide::Publish, LostReason::ClosedByPeer);
    assert_eq!(scene.lost(), [closed]);
    assert_eq!(scene.control.stats().handshakes_failed, 0);
    scene.pass(CONSENT.max(CONNECT_WITHIN));
    let mut lost = scene.lost();
    lost.sort_unstable();
    let expected =
        [LostReason::NeverConnected, LostReason::ConsentExpired, LostReason::ClosedByPeer];
    assert_eq!(lost, expected.map(|reason| (TransportSide::Publish, reason)));
    let stats = scene.control.stats();
    assert_eq!((stats.handshakes_failed, stats.transports, stats.tracks), (1, 0, 0));
}

#[test]
fn a_publisher_that_comes_with_another_peer_connection_starts_over() {
    let mut scene = Scene::new();
    let peer = scene.join();
    let mut old = Client::new(0, 1);
    let sections = [audio("0", "sendonly"), video("1", "sendonly", "")];
    let first = scene.publish(peer, &old.offer(&sections)).expect("published");
    scene.connect(&mut old, &first.sdp);
    let mut new = Client::new(1, 2);
    new.peer.ufrag.clone_from(&old.peer.ufrag);
    let odd = scene.publish(peer, &new.offer(&sections));
    assert!(is_conflict(&odd), "a certificate may not change without the ICE credentials");
    let mut new = Client::new(1, 2);
    let unusable = new.offer(&[audio("0", "sendonly"), audio("0", "sendonly")]);
    assert!(scene.publish(peer, &unusable).is_err());
    assert_eq!(scene.control.stats().tracks, 2, "a refused offer changes nothing");
    let second = scene.publish(peer, &new.offer(&sections[..1])).expect("replaced");
    let ids = |answer: &PublishAnswer| answer.tracks.iter().map(|it| it.track).collect::<Vec<_>>();
    assert_eq!(second.removed, ids(&first));
    assert!(second.tracks.len() == 1 && !ids(&first).contains(&second.tracks[0].track));
    assert!(scene.lost().is_empty(), "nothing was lost: it was replaced");
    scene.connect(&mut new, &second.sdp);
    assert!(new.peer.connected);
    let stats = scene.control.stats();
    assert_eq!((stats.transports, stats.tracks, stats.handshakes_completed), (1, 1, 2));
}

#[test]
fn a_receiver_that_answers_from_another_peer_connection_is_offered_everything_anew() {
    let mut scene = Scene::new();
    let (_, [sound, picture]) = scene.publisher();
    let peer = scene.join();
    let mut old = Client::new(0, 2);
    scene.subscribe(peer, sound);
    let first = scene.offers().remove(0).0;
    let answer = old.answer(&first);
    scene.answer(peer, &answer).expect("taken");
    scene.connect(&mut old, &first);
    scene.subscribe(peer, picture);
    let second = scene.offers().remove(0).0;
    let mut new = Client::new(1, 3);
    let answer = new.answer(&second);
    scene.answer(peer, &answer).expect("its transport is made anew");
    let [(third, tracks)] = &scene.offers()[..] else { panic!("one offer") };
    let mut offered: Vec<TrackId> = tracks.iter().map(|(_, track)| *track).collect();
    let mut wanted = [sound, picture];
    offered.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(offered, wanted);
    let origin = |sdp: &str| sdp.split(' ').nth(1).map(str::to_owned);
    assert_ne!(origin(third), origin(&second), "it names another transport");
    let answer = new.answer(third);
    scene.answer(peer, &answer).expect("taken");
    scene.commands.clear();
    scene.connect(&mut new, third);
    assert!(new.peer.connected);
    let added = scene.commands.iter().filter(|it| matches!(it, Command::AddSubscription(_)));
    assert_eq!(added.count(), 2);
}

#[test]
fn a_receiver_without_a_section_left_uses_the_old_ones_again_and_is_left_in_peace() {
    let mut scene = Scene::new();
    let many = |scene: &mut Scene, section: fn(&str, &str) -> String| {
        let sections: Vec<String> =
            (0..TRACKS_PER_PEER_MAX).map(|mid| section(&mid.to_string(), "sendonly")).collect();
        let mut tracks = Vec::new();
        while tracks.len() < SUBSCRIPTIONS_PER_PEER_MAX {
            let peer = scene.join();
            let offer = Client::new(0, 1).offer(&sections);
            let answer = scene.publish(peer, &offer).expect("published");
            tracks.extend(answer.tracks.iter().map(|it| it.track));
        }
        tracks.truncate(SUBSCRIPTIONS_PER_PEER_MAX);
        tracks
    };
    let sounds = many(&mut scene, audio);
    let pictures = many(&mut scene, |mid, direction| video(mid, direction, ""));
    let other = many(&mut scene, |mid, direction| {
        let format = "H264/90000\r\na=fmtp:96 profile-level-id=42e01f;packetization-mode=1";
        video(mid, direction, "").replace("VP8/90000", format)
    });
    let peer = scene.join();
    let mut client = Client::new(1, 2);
    let mut answer_all = |scene: &mut Scene| {
        let mut last = None;
        while let Some((offer, tracks)) = scene.offers().pop() {
            scene.answer(peer, &client.answer(&offer)).expect("taken");
            last = Some((offer.matches("m=").count(), tracks));
        }
        last.expect("an offer")
    };
    for tracks in [&sounds, &pictures] {
        for track in tracks {
            scene.subscribe(peer, *track);
        }
        assert_eq!(answer_all(&mut scene).1.len(), SUBSCRIPTIONS_PER_PEER_MAX);
        for track in tracks {
            scene.control.unsubscribe(scene.room, peer, *track).expect("was subscribed");
        }
        scene.poll_transport();
        answer_all(&mut scene);
    }
    scene.subscribe(peer, sounds[7]);
    scene.subscribe(peer, other[0]);
    let (sections, tracks) = answer_all(&mut scene);
    assert_eq!(sections, 2 * SUBSCRIPTIONS_PER_PEER_MAX);
    assert_eq!(tracks.iter().map(|(_, track)| *track).collect::<Vec<_>>(), [sounds[7]]);
    assert!(scene.offers().is_empty(), "a track without a section is not offered again and again");
}

#[test]
fn a_full_room_is_offered_a_track_in_turns_that_reach_everybody_once() {
    let mut scene = Scene::new();
    let (_, [sound, _]) = scene.publisher();
    let mut waiting: BTreeSet<ConnectionId> = (0..100).map(|_| scene.join()).collect();
    for peer in &waiting {
        let demand = Demand::default();
        scene.control.subscribe(scene.room, *peer, sound, demand).expect("subscribed");
    }
    let mut turns = 0;
    while scene.control.owes_offers() {
        scene.control.flush_offers(scene.now);
        turns += 1;
        while let Some(output) = scene.control.poll_output() {
            if let Output::Event { event: RoomMediaEvent::SubscriberOffer { peer, .. }, .. } =
                output
            {
                assert!(waiting.remove(&peer), "offered twice");
                // The receiver that comes first in the order asks again at once, and still waits
                // for the others.
                let _missing = scene.control.restart_subscriber_ice(scene.room, peer);
            }
        }
        assert!(turns < 20, "the offers never end");
    }
    assert!(waiting.is_empty() && turns > 1, "{turns} turns, {} left", waiting.len());
}

#[test]
fn a_worker_has_the_keys_before_the_peer_may_send_media() {
    let mut scene = Scene::new();
    let peer = scene.join();
    let mut client = Client::new(0, 1);
    let answer = scene.publish(peer, &client.offer(&[audio("0", "sendonly")])).expect("published");
    let said = |key: &str| attribute(&answer.sdp, key).expect("credentials");
    let check = client.peer.check(said("ice-ufrag"), said("ice-pwd"), Check::Nominating);
    scene.send(&client, check);
    client.peer.connect(scene.now);
    let mut has_keys = false;
    while let Some(bytes) = client.peer.poll_transmit() {
        scene.control.handle_datagram(0, client.from, bytes, scene.now);
        while let Some(output) = scene.control.poll_output() {
            match output {
                Output::Command { command: Command::AddTransport { .. }, .. } => has_keys = true,
                Output::Transmit { bytes, .. } => {
                    client.peer.handle(&bytes, scene.now);
                    assert_eq!(client.peer.connected, has_keys, "the peer is connected too early");
                }
                _ => {}
            }
        }
    }
    assert!(client.peer.connected);
}
