//! The driver with real sockets on loopback, against a relay of two fake peers.

use std::net::UdpSocket as Socket;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::load::client::fake_peer::Peer;
use crate::load::client::{ClientCounts, ClientOptions, Identity, Profile, TrackOptions};

const WAIT: Duration = Duration::from_mins(1);

/// A relay that runs until it is dropped.
struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

struct Leg {
    socket: Socket,
    peer: Peer,
    remote: Option<SocketAddr>,
}

impl Leg {
    fn new(identity: &Arc<Identity>, seed: u64) -> Self {
        let socket = Socket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let address = socket.local_addr().unwrap();
        let peer = Peer::new(identity, Profile::AeadAes128Gcm, address, seed);
        Self { socket, peer, remote: None }
    }

    /// Takes one datagram; returns decrypted media.
    fn read(&mut self) -> Option<(bool, Vec<u8>)> {
        let mut buffer = [0; 2048];
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        self.remote = Some(from);
        let media = self.peer.handle(&buffer[..length], Instant::now());
        self.flush();
        media
    }

    fn flush(&mut self) {
        for datagram in self.peer.out.drain(..) {
            if let Some(remote) = self.remote {
                self.socket.send_to(&datagram, remote).unwrap();
            }
        }
    }
}

fn relay(mut publish: Leg, mut subscribe: Leg) -> Relay {
    let stop = Arc::new(AtomicBool::new(false));
    let seen = stop.clone();
    let thread = std::thread::spawn(move || {
        while !seen.load(Ordering::Relaxed) {
            if let Some((control, plain)) = publish.read()
                && !control
            {
                subscribe.peer.relay(false, &plain);
                subscribe.flush();
            }
            if let Some((true, plain)) = subscribe.read() {
                publish.peer.relay(true, &plain);
                publish.flush();
            }
        }
    });
    Relay { stop, thread: Some(thread) }
}

struct Run {
    sent: ClientCounts,
    received: ClientCounts,
    delays: Histogram<u64>,
}

/// Runs until `enough` packets have arrived.
async fn run(loss: Option<Loss>, enough: u64) -> Run {
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).unwrap();
    let options = |seed| ClientOptions {
        identity: identity.clone(),
        seed,
        epoch: Instant::now(),
        epoch_unix: Duration::ZERO,
    };
    let (publish, subscribe) = (Leg::new(&identity, 1), Leg::new(&identity, 2));
    let epoch = Instant::now();
    let tracks = [TrackOptions::microphone(), TrackOptions::camera()];
    let mut publisher = MediaClient::publisher(ClientOptions { epoch, ..options(1) }, &tracks);
    let mut subscriber = MediaClient::subscriber(ClientOptions { epoch, ..options(2) });
    let offer = publisher.offer();
    publisher.handle_answer(&publish.peer.answer(&offer), epoch).unwrap();
    subscriber.handle_offer(&subscribe.peer.offer(&offer), epoch).unwrap();
    let relay = relay(publish, subscribe);
    let driver = Driver::start(2, loss).unwrap();
    let (watching, mut events) = driver.add(subscriber);
    assert!(watching.call(|_, _| ()).await.is_some());
    let (sending, _sending_events) = driver.add(publisher);
    assert!(sending.call(|_, _| ()).await.is_some());
    tokio::time::timeout(WAIT, async {
        while let Some((_, event)) = events.recv().await {
            if matches!(event, ClientEvent::KeyFrame { .. }) {
                break;
            }
        }
        while watching.call(|client, _| client.counts().received.packets).await < Some(enough) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("media arrives");
    let sent = sending.call(|client, _| client.counts()).await.unwrap();
    let received = watching.call(|client, _| client.counts()).await.unwrap();
    drop(relay);
    Run { sent, received, delays: driver.take_delays_us() }
}

#[tokio::test]
async fn media_crosses_real_sockets() {
    let run = run(None, 200).await;
    assert_eq!(run.received.strange, 0);
    assert!(run.sent.packets_sent >= run.received.received.packets);
    assert!(run.delays.len() >= 150, "nearly every packet has a time stamp: {}", run.delays.len());
    assert!(run.delays.max() < 10_000_000, "both ends use the same clock: {}", run.delays.max());
}

#[tokio::test]
async fn injected_loss_is_mostly_recovered() {
    let run = run(Some(Loss { ratio: 0.1, seed: 7 }), 400).await;
    let received = run.received.received;
    assert!(received.recovered > 10, "{received:?}");
    assert!(run.sent.repeats_sent > 10);
}

#[tokio::test]
async fn a_dropped_handle_removes_its_client() {
    let driver = Driver::start(1, None).unwrap();
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).unwrap();
    let options =
        ClientOptions { identity, seed: 1, epoch: Instant::now(), epoch_unix: Duration::ZERO };
    let (handle, mut events) = driver.add(MediaClient::subscriber(options));
    assert_eq!(handle.call(|client, _| client.is_connected()).await, Some(false));
    drop(handle);
    let ended = tokio::time::timeout(WAIT, events.recv()).await.expect("the client is dropped");
    assert_eq!(ended, None);
}
