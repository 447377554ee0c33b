//! Devices that publish into captures by RTSP: the listener, a task for each connection, and what
//! becomes of what they send.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::call;
use super::stream::Stream;
use crate::cameras::archive::{Archive, Filing, NotKept, OfSegment, Sealed};
use crate::cameras::captures::CaptureStore;
use crate::cameras::engine::publishing::{Act, NotTaken, Publishing};
use crate::cameras::engine::rtsp::Reader;
use crate::cameras::metrics;
use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::camera::StreamFault;
use crate::domain::id::{CaptureId, TenantId};
use crate::domain::network::reached;

/// Connections at once, and of one address; more are closed at once. Raising them lets strangers
/// use more memory: up to 150 KiB each.
const CONNECTIONS_MAX: usize = 256;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 32;
/// Devices that publish at once, and of one tenant; more are refused. Raising them uses more
/// memory: up to 24 MiB of segments for each while the vault is away.
const PUBLISHERS_MAX: usize = 64;
const PUBLISHERS_PER_TENANT_MAX: usize = 32;
/// How long a connection may take until its device sends. Raising it lets strangers hold places.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(15);
/// How long a device may send nothing, or take nothing. Raising it keeps what a dead connection
/// holds for longer.
const SILENT_MAX: Duration = Duration::from_secs(10);
/// After so long a silence a device that connects again takes the place of its connection before.
const REPLACED_AFTER: Duration = Duration::from_secs(3);
/// How long a device may send without a picture that can be shown.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(30);
/// How long what was sent may take to be kept, once a device has ended. Raising it delays the end
/// of a server whose vault is away.
const FINISH_MAX: Duration = Duration::from_secs(10);
/// The target duration of what is kept, in seconds. Raising it makes fewer objects and more delay.
pub(in crate::cameras) const TARGET_S: u64 = 4;
/// Waits between two tries to keep a segment.
const KEEP_AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));
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
    /// The time.
    pub clock: Clock,
}

struct Inner {
    parts: DeviceParts,
    connections: Mutex<BTreeMap<IpAddr, usize>>,
    publishers: Mutex<BTreeMap<(TenantId, CaptureId), Publisher>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who publishes into a capture.
struct Publisher {
    number: u64,
    heard: Arc<Mutex<Instant>>,
    stop: CancellationToken,
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
            publishers: Mutex::default(),
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
                Ok((socket, peer)) => match Place::take(&self, reached(peer.ip())) {
                    Some(place) => {
                        let devices = self.clone();
                        self.0.tasks.spawn(async move {
                            Box::pin(devices.serve(socket)).await;
                            drop(place);
                        });
                    }
                    None => metrics::device_refused(),
                },
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
        let heard = Arc::new(Mutex::new(Instant::now()));
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
        heard: Arc<Mutex<Instant>>,
    ) -> NotTaken {
        let claimed = match Claimed::take(self, (tenant, capture.clone()), heard) {
            Ok(claimed) => claimed,
            Err(why) => return why,
        };
        let stop = claimed.stop.clone();
        let ended = stop.run_until_cancelled(self.publish((tenant, capture), url)).await;
        let (ended, why) = ended.unwrap_or(("replaced", NotTaken::Busy));
        metrics::published(ended);
        why
    }

    async fn publish(
        &self,
        (tenant, capture): (TenantId, CaptureId),
        url: &Url,
    ) -> (&'static str, NotTaken) {
        let parts = &self.0.parts;
        let now = Instant::now().into_std();
        let stream = Stream::of_device(now, TARGET_S);
        stream.handle_call(now);
        // The client has been seen to fail on what a camera sent; that is this device's fault.
        let opened = AssertUnwindSafe(call::open(url, &stream)).catch_unwind().await;
        let opened = match opened.unwrap_or(Err(StreamFault::ProtocolViolated)) {
            Ok(opened) => opened,
            Err(fault) => return ("not_usable", NotTaken::Unusable(fault)),
        };
        let filing = match parts.archive.begin(tenant, capture).await {
            Ok(filing) => filing,
            Err(error) => {
                tracing::warn!(%tenant, %error, "what a device publishes can't be kept");
                return ("not_kept", NotTaken::NoRoom);
            }
        };
        let mut keep = Box::pin(keep(filing, &stream));
        let played = async {
            let play = AssertUnwindSafe(call::play(opened, &stream, &parts.clock)).catch_unwind();
            tokio::select! {
                fault = play => fault.unwrap_or(StreamFault::ProtocolViolated),
                () = unseen(&stream) => StreamFault::PacketsStopped,
            }
        };
        let refused = tokio::select! {
            fault = played => Err(fault),
            refused = &mut keep => Ok(refused),
        };
        let fault = match refused {
            Ok(refused) => {
                let reason = refused.unwrap_or("the stream has ended");
                tracing::info!(%tenant, reason, "what a device publishes is not kept any more");
                return ("not_kept", NotTaken::NoRoom);
            }
            Err(fault) => fault,
        };
        stream.handle_break();
        stream.close();
        if timeout(FINISH_MAX, keep).await.is_err() {
            tracing::warn!(%tenant, "the end of what a device published could not be kept");
        }
        match fault {
            StreamFault::ConnectionClosed => ("closed", NotTaken::Unusable(fault)),
            fault => {
                tracing::info!(%tenant, %fault, "what a device publishes can't be used");
                ("not_usable", NotTaken::Unusable(fault))
            }
        }
    }
}

/// Until no picture came for so long that there may be none.
async fn unseen(stream: &Stream) {
    let first = stream.until(|segments| segments.next_from(0).map(drop));
    if timeout(FIRST_PICTURE_MAX, first).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Keeps the segments of a stream until it has ended; why not any longer. What can't be kept now
/// is tried again; segments that are gone meanwhile are a break.
async fn keep(mut filing: Filing, stream: &Stream) -> Option<&'static str> {
    let (mut next, mut header) = (0, None);
    while let Some((segment, contents)) = stream.until(|it| it.next_from(next)).await {
        let is_gap = segment.number > next;
        next = segment.number + 1;
        let needed = match header {
            Some((number, file)) if number == segment.header => file,
            _ => {
                let sealed = filing.seal(&contents, None);
                match keep_file(&mut filing, &sealed).await {
                    Ok(file) => header.insert((segment.header, file)).1,
                    Err(refused) => return Some(refused),
                }
            }
        };
        let is_break = segment.is_break || is_gap;
        let (ticks, at) = (segment.ticks, segment.at);
        let of = OfSegment { header: needed, is_break, ticks, at };
        let sealed = filing.seal(&segment.data, Some(of));
        if let Err(refused) = keep_file(&mut filing, &sealed).await {
            return Some(refused);
        }
    }
    None
}

async fn keep_file(filing: &mut Filing, sealed: &Sealed) -> Result<u64, &'static str> {
    let mut backoff = Backoff::new(KEEP_AGAIN.0, KEEP_AGAIN.1);
    loop {
        match filing.keep(sealed).await {
            Ok(number) => return Ok(number),
            Err(NotKept::Refused(reason)) => return Err(reason),
            Err(NotKept::Failed(error)) => {
                tracing::warn!(%error, "what a device publishes can't be kept now");
                tokio::time::sleep(backoff.next(rand::random())).await;
            }
        }
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
    heard: Arc<Mutex<Instant>>,
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
                *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = now;
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
    address: IpAddr,
}

impl Place {
    fn take(devices: &Devices, address: IpAddr) -> Option<Self> {
        let mut connections = lock(&devices.0.connections);
        let own = connections.get(&address).copied().unwrap_or(0);
        let all: usize = connections.values().sum();
        if own >= CONNECTIONS_PER_ADDRESS_MAX || all >= CONNECTIONS_MAX {
            return None;
        }
        connections.insert(address, own + 1);
        drop(connections);
        Some(Self { devices: devices.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut connections = lock(&self.devices.0.connections);
        if let Some(own) = connections.get_mut(&self.address) {
            *own -= 1;
            if *own == 0 {
                connections.remove(&self.address);
            }
        }
    }
}

/// The right to publish into a capture, until it is dropped.
struct Claimed {
    devices: Devices,
    key: (TenantId, CaptureId),
    number: u64,
    stop: CancellationToken,
}

impl Claimed {
    fn take(
        devices: &Devices,
        key: (TenantId, CaptureId),
        heard: Arc<Mutex<Instant>>,
    ) -> Result<Self, NotTaken> {
        let mut publishers = lock(&devices.0.publishers);
        match publishers.get(&key) {
            Some(before) if lock(&before.heard).elapsed() < REPLACED_AFTER => {
                return Err(NotTaken::Busy);
            }
            Some(before) => before.stop.cancel(),
            None if !has_room(publishers.keys().map(|(tenant, _)| *tenant), key.0) => {
                return Err(NotTaken::NoRoom);
            }
            None => {}
        }
        let (number, stop) = (rand::random(), CancellationToken::new());
        *lock(&heard) = Instant::now();
        publishers.insert(key.clone(), Publisher { number, heard, stop: stop.clone() });
        metrics::publishers(publishers.len());
        drop(publishers);
        Ok(Self { devices: devices.clone(), key, number, stop })
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut publishers = lock(&self.devices.0.publishers);
        if publishers.get(&self.key).is_some_and(|it| it.number == self.number) {
            publishers.remove(&self.key);
            metrics::publishers(publishers.len());
        }
    }
}

/// Whether one more device of a tenant may publish beside those of these tenants.
fn has_room(publishers: impl Iterator<Item = TenantId>, tenant: TenantId) -> bool {
    let (mut all, mut own) = (0, 0);
    for publisher in publishers {
        all += 1;
        own += usize::from(publisher == tenant);
    }
    all < PUBLISHERS_MAX && own < PUBLISHERS_PER_TENANT_MAX
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_does_not_take_the_places_of_all() {
        let (one, two, third) = (TenantId::generate(), TenantId::generate(), TenantId::generate());
        let own = vec![one; PUBLISHERS_PER_TENANT_MAX];
        assert!(has_room(own.iter().skip(1).copied(), one));
        assert!(!has_room(own.iter().copied(), one));
        assert!(has_room(own.iter().copied(), two));
        let others = vec![two; PUBLISHERS_MAX - own.len()];
        assert!(!has_room(own.into_iter().chain(others), third));
    }
}
