//! Devices that publish into captures by RTSP: the listener, a task for each connection, and what
//! becomes of what they send.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::call;
use super::keeping::{BEGIN_TIME_MAX, FINISH_MAX, Over, SILENT_MAX, TARGET_S, record};
use super::publishers::{Heard, Publishers, Refused};
use super::stream::Stream;
use crate::cameras::archive::Archive;
use crate::cameras::captures::CaptureStore;
use crate::cameras::engine::publishing::{Act, NotTaken, Publishing};
use crate::cameras::engine::rtsp::Reader;
use crate::cameras::metrics;
use crate::cameras::repository::FilmsOf;
use crate::clock::Clock;
use crate::domain::camera::StreamFault;
use crate::domain::id::{CaptureId, TenantId};
use crate::domain::network::{ClientNetwork, reached};

/// Connections at once, and of one network; more are closed at once. Raising them lets strangers
/// use more memory: up to 150 KiB each.
const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_PER_NETWORK_MAX: usize = 32;
/// Proofs whose captures are looked up at once; others wait. Raising it lets strangers keep the
/// database busier.
const LOOKUPS_MAX: usize = 8;
/// How long no connection is accepted after that failed, as there are no more file descriptors.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 16;

/// What devices need.
pub struct DeviceParts {
    /// Their captures.
    pub captures: CaptureStore,
    /// Where what they publish is kept.
    pub archive: Archive,
    /// Who publishes, also in other ways.
    pub publishers: Publishers,
    /// The time.
    pub clock: Clock,
}

struct Inner {
    parts: DeviceParts,
    connections: Mutex<BTreeMap<ClientNetwork, usize>>,
    lookups: Semaphore,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// The devices that publish. Cheap to clone.
#[derive(Clone)]
pub struct Devices(Arc<Inner>);

impl Devices {
    /// Takes what comes to a listener.
    ///
    /// # Errors
    /// When it can't be used.
    pub fn start(listener: std::net::TcpListener, parts: DeviceParts) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let devices = Self(Arc::new(Inner {
            parts,
            connections: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS_MAX),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }));
        devices.0.tasks.spawn(devices.clone().accept(listener));
        Ok(devices)
    }

    /// Ends all connections, and waits until what was sent is kept, or for a while.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    async fn accept(self, listener: TcpListener) {
        while let Some(accepted) = self.0.stop.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((socket, peer)) => {
                    match Place::take(&self, ClientNetwork::of(reached(peer.ip()))) {
                        Some(place) => {
                            let devices = self.clone();
                            self.0.tasks.spawn(async move {
                                Box::pin(devices.serve(socket)).await;
                                drop(place);
                            });
                        }
                        None => metrics::device_refused(),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection of a device can be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }

    /// One connection, until it is over and what came is kept.
    async fn serve(&self, socket: TcpStream) {
        let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await else { return };
        let Ok(SocketAddr::V4(own)) = listener.local_addr() else { return };
        let address = format!("rtsp://127.0.0.1:{}/{:032x}", own.port(), rand::random::<u128>());
        let Ok(url) = Url::parse(&address) else { return };
        let [nonce, session] = [(); 2].map(|()| format!("{:032x}", rand::random::<u128>()));
        let heard = Heard::new(Instant::now());
        let mut connection = Connection {
            devices: self,
            socket,
            publishing: Publishing::new(nonce, session, address),
            tenant: None,
            heard: heard.clone(),
        };
        let (begin, begun) = oneshot::channel();
        let mut take = Box::pin(async {
            match begun.await {
                Ok(of) => Some(self.take(of, &url, heard).await),
                Err(_) => None,
            }
        });
        let mut mediate = Box::pin(connection.mediate(listener, begin));
        let ended = tokio::select! {
            () = &mut mediate => None,
            taken = &mut take => Some(taken),
        };
        drop(mediate);
        let taken = match ended {
            // What came before the end is kept.
            None => timeout(FINISH_MAX * 2, take).await.ok().flatten(),
            Some(taken) => taken,
        };
        if let Some(why) = taken {
            connection.publishing.handle_not_taken(why);
            // A device that is gone hears nothing.
            drop(timeout(SILENT_MAX, connection.act(None, &mut None)).await);
        }
    }

    /// Takes what a device publishes through the client, until that ends; why.
    async fn take(
        &self,
        (tenant, capture): (TenantId, CaptureId),
        url: &Url,
        heard: Heard,
    ) -> NotTaken {
        let mut claimed = match self.0.parts.publishers.claim((tenant, capture.clone()), heard) {
            Ok(claimed) => claimed,
            Err(Refused::Busy) => return NotTaken::Busy,
            Err(Refused::NoRoom) => return NotTaken::NoRoom,
        };
        claimed.settled().await;
        let over = self.publish((tenant, capture), url, &claimed.stop).await;
        metrics::published(over.as_str());
        match over {
            Over::Replaced => NotTaken::Busy,
            Over::NotKept(reason) => {
                tracing::info!(%tenant, reason, "what a device publishes is not kept any more");
                NotTaken::NoRoom
            }
            Over::Fault(fault) => {
                if fault != StreamFault::ConnectionClosed {
                    tracing::info!(%tenant, %fault, "what a device publishes can't be used");
                }
                NotTaken::Unusable(fault)
            }
        }
    }

    async fn publish(
        &self,
        (tenant, capture): (TenantId, CaptureId),
        url: &Url,
        stop: &CancellationToken,
    ) -> Over {
        let parts = &self.0.parts;
        let now = Instant::now().into_std();
        let stream = Stream::of_device(now, TARGET_S);
        stream.handle_call(now);
        // The client has been seen to fail on what a camera sent; that is this device's fault.
        // Sound that is missing in a capture is missed when it is too late.
        let opened = call::open(url, &stream, call::Unusable::Refused);
        let opened = AssertUnwindSafe(opened).catch_unwind();
        let opened = match stop.run_until_cancelled(opened).await {
            Some(opened) => opened.unwrap_or(Err(StreamFault::ProtocolViolated)),
            None => return Over::Replaced,
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(fault) => return Over::Fault(fault),
        };
        let filing = match parts.archive.begin(tenant, FilmsOf::Capture(capture)).await {
            Ok(filing) => filing,
            Err(error) => {
                tracing::warn!(%tenant, %error, "what a device publishes can't be kept");
                return Over::NotKept("it could not begin");
            }
        };
        let play = AssertUnwindSafe(call::play(opened, &stream, &parts.clock)).catch_unwind();
        let played = async { play.await.unwrap_or(StreamFault::ProtocolViolated) };
        record(filing, &stream, played, stop).await
    }
}

/// One connection of a device.
struct Connection<'devices> {
    devices: &'devices Devices,
    socket: TcpStream,
    publishing: Publishing,
    /// Whose device it says it is.
    tenant: Option<TenantId>,
    /// When something was last taken.
    heard: Heard,
}

/// Tells that the client is to be started, and for which capture.
type Begin = oneshot::Sender<(TenantId, CaptureId)>;

impl Connection<'_> {
    /// Passes on what device and client send, until one of them ends or the device is silent.
    async fn mediate(&mut self, listener: TcpListener, begin: Begin) {
        let (mut sent, mut asked) = (Reader::default(), Reader::default());
        let (mut from_device, mut from_client) = (vec![0; READ_BYTES], vec![0; 4 << 10]);
        let mut client: Option<TcpStream> = None;
        let mut begin = Some(begin);
        let stop = self.devices.0.stop.clone();
        let mut until = Instant::now() + BEGIN_TIME_MAX;
        loop {
            let read = tokio::select! {
                read = self.socket.read(&mut from_device) => {
                    let Ok(length @ 1..) = read else { return };
                    sent.push(from_device.get(..length).unwrap_or_default());
                    self.handle_sent(&mut sent, &mut until)
                }
                accepted = listener.accept(), if client.is_none() => {
                    client = accepted.ok().map(|(socket, _)| socket);
                    Ok(())
                }
                read = read_from(client.as_mut(), &mut from_client) => {
                    let Ok(length @ 1..) = read else { return };
                    asked.push(from_client.get(..length).unwrap_or_default());
                    self.handle_asked(&mut asked)
                }
                () = tokio::time::sleep_until(until) => return,
                () = stop.cancelled() => return,
            };
            let acted = timeout(SILENT_MAX, self.act(client.as_mut(), &mut begin)).await;
            if read.is_err() || acted != Ok(true) {
                return;
            }
        }
    }

    fn handle_sent(&mut self, sent: &mut Reader, until: &mut Instant) -> Result<(), StreamFault> {
        let now = Instant::now();
        while let Some(item) = sent.poll()? {
            if self.publishing.handle_device(item) {
                self.heard.set(now);
                *until = now + SILENT_MAX;
            }
        }
        Ok(())
    }

    fn handle_asked(&mut self, asked: &mut Reader) -> Result<(), StreamFault> {
        while let Some(item) = asked.poll()? {
            self.publishing.handle_client(item)?;
        }
        Ok(())
    }

    /// Does what is to be done; `false` when the connection is over.
    async fn act(&mut self, mut client: Option<&mut TcpStream>, begin: &mut Option<Begin>) -> bool {
        loop {
            let acts = self.publishing.poll();
            if acts.is_empty() {
                return true;
            }
            for act in acts {
                let is_done = match act {
                    Act::ToDevice(bytes) => self.socket.write_all(&bytes).await.is_ok(),
                    Act::ToClient(bytes) => match client.as_deref_mut() {
                        Some(client) => client.write_all(&bytes).await.is_ok(),
                        None => true,
                    },
                    Act::FindKeys => self.find_keys().await,
                    Act::Begin => {
                        let of = self.tenant.zip(self.publishing.capture().cloned());
                        begin.take().zip(of).is_some_and(|(begin, of)| begin.send(of).is_ok())
                    }
                    Act::End => false,
                };
                if !is_done {
                    return false;
                }
            }
        }
    }

    async fn find_keys(&mut self) -> bool {
        let Some((user, captures)) = self.publishing.captures() else { return false };
        let tenant: Option<TenantId> = user.parse().ok();
        let Ok(_place) = self.devices.0.lookups.acquire().await else { return false };
        let keys = match tenant {
            Some(tenant) => self.devices.0.parts.captures.keys(tenant, &captures).await,
            None => Ok(Vec::new()),
        };
        let Ok(keys) = keys else { return false };
        self.tenant = tenant;
        self.publishing.handle_keys(&keys);
        true
    }
}

async fn read_from(client: Option<&mut TcpStream>, buffer: &mut [u8]) -> io::Result<usize> {
    match client {
        Some(client) => client.read(buffer).await,
        None => std::future::pending().await,
    }
}

/// The place of a connection, until it is dropped.
struct Place {
    devices: Devices,
    network: ClientNetwork,
}

impl Place {
    fn take(devices: &Devices, network: ClientNetwork) -> Option<Self> {
        let mut connections = lock(&devices.0.connections);
        let own = connections.get(&network).copied().unwrap_or(0);
        let all: usize = connections.values().sum();
        if own >= CONNECTIONS_PER_NETWORK_MAX || all >= CONNECTIONS_MAX {
            return None;
        }
        connections.insert(network, own + 1);
        drop(connections);
        Some(Self { devices: devices.clone(), network })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = lock(&self.devices.0.connections);
        if let Some(own) = connections.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                connections.remove(&self.network);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
