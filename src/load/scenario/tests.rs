//! A whole load test against a minimal server that follows the contract: it checks proofs, relays
//! media between fake peers and counts packets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::load::client::fake_peer::Peer;

struct Leg {
    socket: UdpSocket,
    peer: Peer,
    remote: Option<SocketAddr>,
}

impl Leg {
    fn flush(&mut self) {
        for datagram in self.peer.out.drain(..) {
            if let Some(remote) = self.remote {
                self.socket.send_to(&datagram, remote).unwrap();
            }
        }
    }
}

/// A server with one room for one publisher.
struct Fake {
    identity: Arc<Identity>,
    offer: Mutex<Option<String>>,
    publisher: Mutex<Option<Leg>>,
    subscribers: Mutex<Vec<Leg>>,
    forwarded: AtomicU64,
    steps: Mutex<Vec<String>>,
    stop: AtomicBool,
    answers_metrics: bool,
}

impl Fake {
    fn leg(&self) -> Leg {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let address = socket.local_addr().unwrap();
        let peer = Peer::new(&self.identity, Profile::AeadAes128Gcm, address, 5);
        Leg { socket, peer, remote: None }
    }

    fn relay(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let mut publisher = self.publisher.lock().unwrap();
            let mut subscribers = self.subscribers.lock().unwrap();
            let Some(publisher) = publisher.as_mut() else { continue };
            for plain in read(publisher) {
                for subscriber in subscribers.iter_mut().filter(|_| !plain.0) {
                    subscriber.peer.relay(false, &plain.1);
                    subscriber.flush();
                    self.forwarded.fetch_add(1, Ordering::Relaxed);
                }
            }
            for subscriber in subscribers.iter_mut() {
                for plain in read(subscriber).iter().filter(|plain| plain.0) {
                    publisher.peer.relay(true, &plain.1);
                    publisher.flush();
                }
            }
        }
    }
}

fn read(leg: &mut Leg) -> Vec<(bool, Vec<u8>)> {
    let mut media = Vec::new();
    let mut buffer = [0; 2048];
    while let Ok((length, from)) = leg.socket.recv_from(&mut buffer) {
        leg.remote = Some(from);
        media.extend(leg.peer.handle(&buffer[..length], Instant::now()));
        leg.flush();
    }
    media
}

async fn channel(State(fake): State<Arc<Fake>>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.protocols(["cabildo.v1"]).on_upgrade(|socket| talk(fake, socket))
}

async fn say(socket: &mut WebSocket, message: Value) {
    socket.send(Message::text(message.to_string())).await.unwrap();
}

async fn talk(fake: Arc<Fake>, mut socket: WebSocket) {
    assert_eq!(socket.protocol().unwrap(), "cabildo.v1");
    say(&mut socket, json!({"type": "hello", "nonce": "once", "version": "cabildo.v1"})).await;
    let mut asked = 0;
    while let Some(Ok(Message::Text(text))) = socket.recv().await {
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["type"].as_str().unwrap() {
            "authenticate" => {
                let claims = message["dpop"].as_str().unwrap().split('.').nth(1).unwrap();
                let claims: Value =
                    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
                assert_eq!((&claims["nonce"], &claims["htm"]), (&json!("once"), &json!("GET")));
                assert!(claims["htu"].as_str().unwrap().ends_with("/moderation"));
                let published = fake.offer.lock().unwrap().is_some();
                let tracks = ["a", "v"].map(|track| json!({"track": track, "user_id": "load"}));
                let tracks = if published { json!(tracks) } else { json!([]) };
                let you = json!({"user_id": message["token"]});
                say(&mut socket, json!({"type": "welcome", "you": you, "tracks": tracks})).await;
                continue;
            }
            "ping" => {
                say(&mut socket, json!({"type": "pong"})).await;
                continue;
            }
            "offer" => {
                assert_eq!(message["tracks"][1], json!({"mid": "1", "source": "camera"}));
                let leg = fake.leg();
                let sdp = leg.peer.answer(message["sdp"].as_str().unwrap());
                *fake.offer.lock().unwrap() = Some(message["sdp"].as_str().unwrap().to_owned());
                *fake.publisher.lock().unwrap() = Some(leg);
                let answer = json!({"type": "answer", "transport": "publish", "sdp": sdp,
                    "ref": message["id"], "tracks": []});
                say(&mut socket, answer).await;
            }
            "subscribe" => asked += 1,
            "answer" => assert!(message["sdp"].as_str().unwrap().contains("a=recvonly")),
            other => panic!("{other}"),
        }
        say(&mut socket, json!({"type": "ack", "ref": message["id"]})).await;
        if message["type"] == "subscribe" && asked == 2 {
            let leg = fake.leg();
            let sdp = leg.peer.offer(fake.offer.lock().unwrap().as_ref().unwrap());
            fake.subscribers.lock().unwrap().push(leg);
            let offer = json!({"type": "offer", "transport": "subscribe", "sdp": sdp});
            say(&mut socket, offer).await;
        }
    }
}

async fn metrics(State(fake): State<Arc<Fake>>) -> Response {
    if !fake.answers_metrics {
        return StatusCode::NOT_FOUND.into_response();
    }
    // A tenth of a millisecond per packet.
    let forwarded = fake.forwarded.load(Ordering::Relaxed);
    format!(
        "cabildo_sfu_forwarded_packets_total {forwarded}\n\
         cabildo_process_cpu_seconds_total {}\n",
        f64::from(u32::try_from(forwarded).unwrap()) * 1e-4
    )
    .into_response()
}

async fn token(body: String) -> String {
    let asked: Value = serde_json::from_str(&body).unwrap();
    assert!(asked["jkt"].as_str().is_some_and(|thumbprint| thumbprint.len() == 43));
    json!({"access_token": asked["user_id"], "token_type": "DPoP", "expires_in": 60}).to_string()
}

async fn run_against(answers_metrics: bool, plan: Plan) -> (Report, Vec<String>) {
    let fake = Arc::new(Fake {
        identity: Identity::generate(&[Profile::AeadAes128Gcm]).unwrap(),
        offer: Mutex::new(None),
        publisher: Mutex::new(None),
        subscribers: Mutex::new(Vec::new()),
        forwarded: AtomicU64::new(0),
        steps: Mutex::new(Vec::new()),
        stop: AtomicBool::new(false),
        answers_metrics,
    });
    let step = async |State(fake): State<Arc<Fake>>, Path((id, step)): Path<(String, String)>| {
        fake.steps.lock().unwrap().push(format!("{step} {id}"));
        "{}"
    };
    let app = Router::new()
        .route("/health/live", get(async || "{}"))
        .route("/dev/token", post(token))
        .route("/dev/sessions", post(async || r#"{"id":"s1"}"#))
        .route("/dev/sessions/{id}/{step}", post(step))
        .route("/metrics", get(metrics))
        .route("/moderation", get(channel))
        .with_state(fake.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let relaying = fake.clone();
    let relay = std::thread::spawn(move || relaying.relay());
    let server = Server::new(&url).unwrap();
    let report = run(server, Governance::Development, plan).await.unwrap();
    fake.stop.store(true, Ordering::Relaxed);
    relay.join().unwrap();
    let steps = fake.steps.lock().unwrap().clone();
    (report, steps)
}

fn plan(loss_ratio: f64) -> Plan {
    Plan {
        rooms: 1,
        publishers: 1,
        subscribers: 2,
        duration: Duration::from_secs(2),
        loss_ratio,
        video_bitrate_bps: 500_000,
        threads: 1,
        seed: 3,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_test_measures_and_leaves_nothing() {
    let (report, steps) = run_against(true, plan(0.0)).await;
    assert_eq!(steps, ["start s1", "end s1"]);
    assert_eq!(report.errors, BTreeMap::new());
    assert_eq!(report.joined_subscribers, 2);
    assert!(report.loss_ratio.abs() < f64::EPSILON, "{report}");
    let cpu_us = report.server_cpu_us_per_forwarded_packet.unwrap();
    assert!((cpu_us - 100.0).abs() < 1.0, "{cpu_us}");
    assert!(report.forwarded_packets_per_s.unwrap() > 100.0, "{report}");
    assert!(report.received_packets_per_s > 100.0, "{report}");
    // A handshake takes longer than a tenth of a millisecond.
    assert!(report.join_ms_p50.unwrap() > 0.1 && report.forward_delay_ms_p99.unwrap() > 0.0);
    let json = serde_json::to_value(&report).unwrap();
    for field in [
        "server_cpu_us_per_forwarded_packet",
        "forwarded_packets_per_s",
        "loss_ratio",
        "join_ms_p50",
        "join_ms_p95",
        "join_ms_p99",
        "forward_delay_ms_p50",
        "forward_delay_ms_p99",
    ] {
        assert!(json[field].is_number(), "{field}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_metrics_the_server_s_cost_is_unknown_and_loss_is_repaired() {
    let (report, _) = run_against(false, plan(0.05)).await;
    assert_eq!(report.server_cpu_us_per_forwarded_packet, None);
    assert!(report.errors.keys().any(|error| error.starts_with("reading metrics")));
    assert!(report.recovered_packets > 5, "{report}");
    assert!(report.video_loss_ratio < 0.02, "most of the lost video is retransmitted: {report}");
}
