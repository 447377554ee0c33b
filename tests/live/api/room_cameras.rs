//! Cameras in rooms: a small camera by RTSP, a real server, and a viewer by WHEP of which
//! ffmpeg decodes what came.

use std::io::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use cabildo::cameras::repository::BridgeRepository as _;
use cabildo::clock::Clock;
use cabildo::domain::media::Codec;
use cabildo::formats::codec::Depacketiser;
use cabildo::formats::order::{InOrder, Ordered};
use cabildo::formats::rtp::Header;
use reqwest::Method;
use rtc_srtp::context::Context;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::channel_client::{Channel, Heard};
use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};
use crate::media_peer::{Check, MediaPeer, PeerIdentity, Profiles};
use crate::package_root::package_root;
use crate::rtsp_camera::{Behaviour, RtspCamera};

const PATIENCE: Duration = Duration::from_secs(40);
const USER: &str = "cabildo:camera:hall";

async fn provision(server: &Server, camera: &str, url: &str) {
    let tenant = server.tenant.to_string();
    let body = json!({"tenantId": tenant, "cameraId": camera, "rtspUrl": url});
    let answer = send(server.govern(Method::POST, "/gateway/provision").json(&body)).await;
    assert!(answer.status < 300, "{answer:?}");
}

async fn add(server: &Server, chair: &Person, session: &str) -> Answer {
    add_one(server, chair, (session, "hall")).await
}

async fn add_one(server: &Server, chair: &Person, (session, camera): (&str, &str)) -> Answer {
    let path = format!("/api/v1/sessions/{session}/cameras");
    let body = json!({"camera_id": camera});
    chair.write(server, Method::POST, &path, |it| it.json(&body)).await
}

async fn remove(server: &Server, chair: &Person, session: &str) -> Answer {
    let path = format!("/api/v1/sessions/{session}/cameras/hall");
    chair.write(server, Method::DELETE, &path, |it| it).await
}

/// A viewer by WHEP that takes H.264, and what it got so far.
struct Viewer {
    socket: UdpSocket,
    /// What came. A thread reads it, since the socket keeps little.
    inbox: mpsc::UnboundedReceiver<Vec<u8>>,
    /// The number that the next packet is to have.
    expected: Option<u16>,
    server: SocketAddr,
    peer: MediaPeer,
    /// A connectivity check, which keeps the consent.
    check: Vec<u8>,
    checked_at: Instant,
    inbound: Context,
    depacketiser: Depacketiser,
    first_stamp: Option<u32>,
    /// Key pictures and all of them, as an elementary stream.
    pictures: (usize, usize),
    stream: Vec<u8>,
}

impl Viewer {
    async fn connect(server: &Server, person: &Person, session: &str) -> Self {
        let identity = PeerIdentity::generate(Profiles::CmThenGcm);
        let mut peer = MediaPeer::new(&identity, "viewer12");
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
             m=video 9 UDP/TLS/RTP/SAVPF 102 104\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\n\
             a=ice-ufrag:{}\r\na=ice-pwd:{}\r\na=fingerprint:sha-256 {}\r\n\
             a=setup:actpass\r\na=recvonly\r\na=rtcp-mux\r\n\
             a=rtpmap:102 H264/90000\r\na=rtcp-fb:102 nack pli\r\n\
             a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
             a=rtpmap:104 H264/90000\r\na=rtcp-fb:104 nack pli\r\n\
             a=fmtp:104 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n",
            peer.ufrag, peer.pwd, identity.fingerprint,
        );
        let path = format!("/api/v1/sessions/{session}/whep");
        let request = person.prove(server.request(Method::POST, &path));
        let answer = send(request.header("content-type", "application/sdp").body(offer)).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let value = |name: &str| {
            let found = answer.text.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name}: {}", answer.text)).to_owned()
        };
        let candidate = value("a=candidate:");
        let fields: Vec<&str> = candidate.split(' ').collect();
        let to: SocketAddr = format!("{}:{}", fields[4], fields[5]).parse().expect("an address");
        let (socket, mut inbox) = open_socket();
        let check = peer.check(&value("a=ice-ufrag:"), &value("a=ice-pwd:"), Check::Nominating);
        let shaken = async {
            socket.send_to(&check, to).expect("sent");
            peer.connect(Instant::now());
            while !peer.connected {
                while let Some(bytes) = peer.poll_transmit() {
                    socket.send_to(&bytes, to).expect("sent");
                }
                let wait = Duration::from_millis(50);
                if let Ok(came) = tokio::time::timeout(wait, inbox.recv()).await {
                    let bytes = came.expect("it is read");
                    if matches!(bytes[0], 20..=63) {
                        peer.handle(&bytes, Instant::now());
                    }
                } else {
                    peer.handle_timeout(Instant::now());
                    socket.send_to(&check, to).expect("sent");
                }
            }
            while let Some(bytes) = peer.poll_transmit() {
                socket.send_to(&bytes, to).expect("sent");
            }
        };
        tokio::time::timeout(PATIENCE, shaken).await.expect("a handshake");
        let (profile, keys) = peer.keys();
        let provider = rtc_crypto::default_provider().expect("ring is built in");
        let (key, salt) = (&keys.remote_master_key, &keys.remote_master_salt);
        let inbound = Context::new(key, salt, profile, None, None, provider.crypto());
        Self {
            socket,
            inbox,
            expected: None,
            server: to,
            peer,
            check,
            checked_at: Instant::now(),
            inbound: inbound.expect("keys fit"),
            depacketiser: Depacketiser::new(Codec::H264),
            first_stamp: None,
            pictures: (0, 0),
            stream: Vec::new(),
        }
    }

    /// Takes what comes until there are so many pictures, and fails after a while.
    async fn until(&mut self, pictures: usize) {
        let came = async {
            while self.pictures.1 < pictures {
                let datagram = self.inbox.recv().await.expect("it is read");
                if self.checked_at.elapsed() > Duration::from_secs(2) {
                    self.checked_at = Instant::now();
                    self.socket.send_to(&self.check, self.server).expect("sent");
                }
                self.take(&datagram);
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, came).await.is_ok();
        assert!(in_time, "only {:?} of {pictures} pictures", self.pictures);
    }

    fn take(&mut self, datagram: &[u8]) {
        let is_rtp = matches!(datagram[0], 128..=191) && !matches!(datagram[1], 192..=223);
        if !is_rtp {
            return;
        }
        let plain = self.inbound.decrypt_rtp(&BytesMut::from(datagram)).expect("authentic");
        let header = Header::parse(&plain).expect("a header");
        let payload = header.payload(&plain).expect("a payload");
        if self.expected.is_some_and(|expected| expected != header.sequence) {
            // What does not come in its turn is not waited for.
            self.depacketiser.handle(InOrder::Lost);
        }
        self.expected = Some(header.sequence.wrapping_add(1));
        let first = *self.first_stamp.get_or_insert(header.timestamp);
        let ticks = i64::from(header.timestamp.wrapping_sub(first));
        let (marker, payload) = (header.marker, Bytes::copy_from_slice(payload));
        self.depacketiser.handle(InOrder::Packet(Ordered { ticks, marker, payload }));
        for frame in self.depacketiser.poll() {
            self.pictures.0 += usize::from(frame.key);
            self.pictures.1 += 1;
            let mut rest = frame.data.as_slice();
            while let Some((length, after)) = rest.split_first_chunk::<4>() {
                let (unit, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                self.stream.extend([0, 0, 0, 1]);
                self.stream.extend_from_slice(unit);
                rest = after;
            }
        }
    }

    /// How many of the pictures ffmpeg decodes without a complaint.
    fn decoded(&self) -> usize {
        let mut child = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "h264", "-i", "pipe:0"])
            .args(["-fps_mode", "passthrough", "-f", "framemd5", "pipe:1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ffmpeg");
        let mut input = child.stdin.take().expect("its input");
        let stream = self.stream.clone();
        let writing = std::thread::spawn(move || input.write_all(&stream));
        let output = child.wait_with_output().expect("it ran");
        writing.join().expect("written").expect("taken");
        let complaints = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaints.is_empty(), "{complaints}");
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().filter(|line| !line.starts_with('#')).count()
    }

    fn leave(mut self) {
        self.peer.close(Instant::now());
        while let Some(bytes) = self.peer.poll_transmit() {
            // A server that has stopped need not be told.
            drop(self.socket.send_to(&bytes, self.server));
        }
    }
}

/// A socket, and what comes to it until nobody takes it any more.
fn open_socket() -> (UdpSocket, mpsc::UnboundedReceiver<Vec<u8>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let reading = socket.try_clone().expect("a socket");
    reading.set_read_timeout(Some(Duration::from_millis(200))).expect("set");
    let (came, inbox) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut datagram = [0; 2_048];
        while !came.is_closed() {
            if let Ok(length) = reading.recv(&mut datagram)
                && came.send(datagram[..length].to_vec()).is_err()
            {
                return;
            }
        }
    });
    (socket, inbox)
}

/// Hears until an event of this type that is as wanted; events that came with the answers
/// to requests count, too. What came before it is forgotten.
async fn event(channel: &mut Channel, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let found = channel.events.iter().position(|it| it["type"] == kind && wanted(it));
        if let Some(at) = found {
            return channel.events.drain(..=at).next_back().expect("found");
        }
        if let Heard::Closed(code) = channel.hear().await {
            panic!("closed with {code} before {kind}");
        }
    }
}

#[tokio::test]
async fn a_viewer_in_a_room_decodes_the_pictures_of_a_camera() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let camera = RtspCamera::start(Behaviour::default()).await;
    provision(&server, "hall", &camera.url()).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    let added = add(&server, &chair, &session).await;
    assert_eq!(added.status, 201, "{added:?}");
    // Its sound is G.711, which passes.
    assert_eq!(
        (&added.json()["user_id"], &added.json()["media_fault"]),
        (&json!(USER), &Value::Null)
    );
    let again = add(&server, &chair, &session).await;
    assert_eq!(again.status, 200, "{again:?}");
    let begun = Instant::now();
    let mut viewer = Viewer::connect(&server, &chair, &session).await;
    viewer.until(1).await;
    let first = begun.elapsed();
    viewer.until(40).await;
    assert_eq!(viewer.decoded(), viewer.pictures.1, "every picture is decoded");
    assert!(viewer.pictures.0 >= 2, "{:?}", viewer.pictures);
    assert!(first < Duration::from_secs(10), "the first picture came after {first:?}");
    // The camera breaks off, changes its size and comes again.
    camera.behave(|it| it.film = 1);
    camera.hang_up();
    let before = viewer.pictures.1;
    viewer.until(before + 20).await;
    assert_eq!(viewer.decoded(), viewer.pictures.1, "nor is anything torn by the break");
    viewer.leave();
    server.app.stop().await;
}

#[tokio::test]
async fn a_camera_in_a_room_is_a_participant_whom_moderators_rule() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let camera = RtspCamera::start(Behaviour::default()).await;
    provision(&server, "hall", &camera.url()).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    for role in ["participant", "observer", "operator", "hall"] {
        let person = Person::with_role(&server, role).await;
        let refused = add(&server, &person, &session).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{role}");
        let refused = remove(&server, &person, &session).await;
        assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"), "{role}");
    }
    let (mut channel, _) = Channel::enter(&server, &session, &chair).await;
    assert_eq!(add(&server, &chair, &session).await.status, 201);
    let joined = event(&mut channel, "participant_joined", |_| true).await;
    assert_eq!((&joined["user_id"], &joined["roles"]), (&json!(USER), &json!(["camera"])));
    for codec in ["h264", "pcmu"] {
        let track = event(&mut channel, "track_published", |it| it["codec"] == codec).await;
        assert_eq!(&track["user_id"], &json!(USER));
    }
    channel.done(json!({"type": "mute_user", "user_id": USER})).await;
    event(&mut channel, "user_muted", |it| it["user_id"] == USER).await;
    channel.done(json!({"type": "remove_participant", "user_id": USER})).await;
    let left = event(&mut channel, "participant_left", |_| true).await;
    assert_eq!((&left["user_id"], &left["reason"]), (&json!(USER), &json!("removed")));
    // It comes again, since it is not a person, and is taken out by call.
    loop {
        let added = add(&server, &chair, &session).await;
        if added.status == 201 {
            break;
        }
        assert_eq!(added.status, 200, "it is just leaving: {added:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    event(&mut channel, "participant_joined", |_| true).await;
    assert_eq!(remove(&server, &chair, &session).await.status, 204);
    let left = event(&mut channel, "participant_left", |_| true).await;
    assert_eq!((&left["user_id"], &left["reason"]), (&json!(USER), &json!("left")));
    let gone = remove(&server, &chair, &session).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "PARTICIPANT_NOT_FOUND"));
    // Deprovisioning takes it out of the room, too.
    assert_eq!(add(&server, &chair, &session).await.status, 201);
    event(&mut channel, "participant_joined", |_| true).await;
    let body = json!({"tenantId": server.tenant.to_string(), "cameraId": "hall"});
    let gone = send(server.govern(Method::POST, "/gateway/deprovision").json(&body)).await;
    assert_eq!(gone.status, 200, "{gone:?}");
    event(&mut channel, "participant_left", |_| true).await;
    let unknown = add(&server, &chair, &session).await;
    assert_eq!((unknown.status, unknown.code().as_str()), (404, "CAMERA_NOT_FOUND"));
    server.app.stop().await;
}

#[tokio::test]
async fn a_camera_in_a_room_comes_back_after_a_restart_unless_it_was_taken_out() {
    let keys = [("cameras.probe_interval_s", "0")];
    let server = Server::start_with(&keys).await;
    let (hall, door) = (
        RtspCamera::start(Behaviour::default()).await,
        RtspCamera::start(Behaviour::default()).await,
    );
    provision(&server, "hall", &hall.url()).await;
    provision(&server, "door", &door.url()).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    for camera in ["hall", "door"] {
        let added = add_one(&server, &chair, (&session, camera)).await;
        assert_eq!(added.status, 201, "{added:?}");
    }
    assert_eq!(remove(&server, &chair, &session).await.status, 204);
    let server = server.restart_with(&keys).await;
    // It comes back where its room is: at the instance to which people come back.
    let chair = Person::with_role(&server, "moderator").await;
    let (_channel, _) = Channel::enter(&server, &session, &chair).await;
    door.asked("PLAY", 2).await;
    // It is there already, by the same name.
    let again = add_one(&server, &chair, (&session, "door")).await;
    let user = &again.json()["user_id"];
    assert_eq!((again.status, user), (200, &json!("cabildo:camera:door")), "{again:?}");
    let played = hall.requests().iter().filter(|it| *it == "PLAY").count();
    assert_eq!(played, 1, "nobody called the one that was taken out");
    // When the session is over nothing is left that would bring it in again.
    server.step(&session, "end").await;
    nothing_is_noted(&server).await;
    server.app.stop().await;
}

/// Waits until no camera is to be in a room, and fails after a while.
async fn nothing_is_noted(server: &Server) {
    let store = server.store().await;
    let later = Clock::system().now().after(Duration::from_hours(1));
    let until = Instant::now() + PATIENCE;
    loop {
        let noted = store.unkept_bridges(later, 9).await.expect("read");
        if noted.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{noted:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_camera_that_is_taken_out_while_it_comes_in_is_not_in_the_room() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    // Its picture is waited for.
    let silent = RtspCamera::start(Behaviour { plays: false, ..Behaviour::default() }).await;
    provision(&server, "hall", &silent.url()).await;
    let taken_out = async {
        silent.asked("PLAY", 1).await;
        remove(&server, &chair, &session).await
    };
    let (added, removed) = tokio::join!(add(&server, &chair, &session), taken_out);
    assert_eq!(removed.status, 204, "{removed:?}");
    assert_eq!((added.status, added.code().as_str()), (404, "PARTICIPANT_NOT_FOUND"), "{added:?}");
    nothing_is_noted(&server).await;
    let (_channel, welcome) = Channel::enter(&server, &session, &chair).await;
    let people = welcome["participants"].as_array().expect("participants");
    assert!(people.iter().all(|it| it["user_id"] != USER), "{welcome}");
    server.app.stop().await;
}

#[tokio::test]
async fn whoever_brings_a_camera_in_while_the_server_stops_is_told_to_ask_again() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    // Its picture is waited for.
    let silent = RtspCamera::start(Behaviour { plays: false, ..Behaviour::default() }).await;
    provision(&server, "hall", &silent.url()).await;
    let nonce = chair.learn_nonce(&server).await;
    let path = format!("/api/v1/sessions/{session}/cameras");
    let proof = chair.proof(&Method::POST, &format!("{}{path}", server.http), Some(&nonce));
    let request = server
        .request(Method::POST, &path)
        .header("authorization", format!("DPoP {}", chair.token))
        .header("dpop", proof)
        .json(&json!({"camera_id": "hall"}));
    let stopped = async {
        silent.asked("PLAY", 1).await;
        server.app.stop().await;
    };
    let (added, ()) = tokio::join!(send(request), stopped);
    assert_eq!((added.status, added.code().as_str()), (503, "DEPENDENCY_UNAVAILABLE"), "{added:?}");
    assert_eq!(added.header("retry-after"), "1", "{added:?}");
}

#[tokio::test]
async fn a_camera_that_a_room_can_not_show_says_why() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let session = server.create_active().await;
    let chair = Person::with_role(&server, "moderator").await;
    let hevc = Behaviour { encoding: "H265/90000", ..Behaviour::default() };
    let hevc = RtspCamera::start(hevc).await;
    provision(&server, "hevc", &hevc.url()).await;
    let refused = add_one(&server, &chair, (&session, "hevc")).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "CAMERA_CODEC_UNSUPPORTED"));
    // B-frames show only after some pictures, when the camera is in the room.
    let reordering = RtspCamera::start(Behaviour { film: 2, ..Behaviour::default() }).await;
    provision(&server, "hall", &reordering.url()).await;
    let (mut channel, _) = Channel::enter(&server, &session, &chair).await;
    let added = add(&server, &chair, &session).await;
    if added.status == 201 {
        let has_fault = |it: &Value| it["media_fault"] == "unsupported_bframes";
        event(&mut channel, "participant_updated", has_fault).await;
        assert_eq!(remove(&server, &chair, &session).await.status, 204);
        let again = add(&server, &chair, &session).await;
        assert_eq!((again.status, again.code().as_str()), (422, "CAMERA_BFRAMES_UNSUPPORTED"));
    } else {
        assert_eq!((added.status, added.code().as_str()), (422, "CAMERA_BFRAMES_UNSUPPORTED"));
    }
    // One that is not there comes in, and says so.
    provision(&server, "gone", "rtsp://127.0.0.1:9/live").await;
    let added = add_one(&server, &chair, (&session, "gone")).await;
    assert_eq!((added.status, &added.json()["media_fault"]), (201, &json!("unreachable")));
    server.app.stop().await;
}

/// Cameras that share no code with this project.
struct ForeignCameras {
    process: Child,
    port: u16,
}

impl ForeignCameras {
    fn start() -> Self {
        // Debian's own interpreter: it is the one that has the bindings.
        let mut process = Command::new("/usr/bin/python3")
            .arg(package_root().join("tests/support/gst_camera.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let port = line.trim().parse().expect("gst-rtsp-server; see scripts/install");
        Self { process, port }
    }

    fn url(&self, path: &str) -> String {
        format!("rtsp://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for ForeignCameras {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

#[tokio::test]
async fn who_comes_between_two_key_pictures_sees_a_foreign_camera_at_once() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let cameras = ForeignCameras::start();
    let chair = Person::with_role(&server, "moderator").await;
    // A key picture every thirty seconds, and sound.
    provision(&server, "hall", &cameras.url("opus")).await;
    let session = server.create_active().await;
    let (mut channel, _) = Channel::enter(&server, &session, &chair).await;
    assert_eq!(add(&server, &chair, &session).await.status, 201);
    for codec in ["h264", "opus"] {
        event(&mut channel, "track_published", |it| it["codec"] == codec).await;
    }
    let mut first = Viewer::connect(&server, &chair, &session).await;
    first.until(20).await;
    let late = Person::with_role(&server, "participant").await;
    let mut second = Viewer::connect(&server, &late, &session).await;
    let begun = Instant::now();
    second.until(1).await;
    let waited = begun.elapsed();
    // Long before the next key picture, however busy the machine is.
    assert!(waited < Duration::from_secs(15), "it saw nothing for {waited:?}");
    second.until(40).await;
    assert_eq!(second.decoded(), second.pictures.1);
    // What is sent once more for somebody else does not harm whoever was there.
    let seen = first.pictures.1;
    first.until(seen + 40).await;
    assert_eq!(first.decoded(), first.pictures.1);
    for viewer in [first, second] {
        viewer.leave();
    }
    // Several slices for each picture, in small packets.
    provision(&server, "slices", &cameras.url("slices")).await;
    let session = server.create_active().await;
    let added = add_one(&server, &chair, (&session, "slices")).await;
    assert_eq!(added.status, 201, "{added:?}");
    let mut viewer = Viewer::connect(&server, &chair, &session).await;
    viewer.until(30).await;
    assert_eq!(viewer.decoded(), viewer.pictures.1);
    viewer.leave();
    // B-frames of another encoder.
    provision(&server, "bframes", &cameras.url("bframes")).await;
    let (mut channel, _) = Channel::enter(&server, &session, &chair).await;
    let added = add_one(&server, &chair, (&session, "bframes")).await;
    if added.status == 201 {
        let has_fault = |it: &Value| it["media_fault"] == "unsupported_bframes";
        event(&mut channel, "participant_updated", has_fault).await;
    } else {
        assert_eq!(added.code(), "CAMERA_BFRAMES_UNSUPPORTED", "{added:?}");
    }
    server.app.stop().await;
}
