//! The TCP listeners: limits the number of connections and the time that clients may take, and
//! reads the identities in client certificates.

mod activity;
mod descriptors;
mod table;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use self::activity::{Activity, RequestInProgress, WatchedBody, WatchedStream};
use self::table::{Place, Table};
use crate::api::CallerIdentities;
use crate::auth::client_cert::{ServiceIdentity, identities_of};
use crate::auth::served_tls::ServedTls;

pub use self::descriptors::{Shares, raise_limit};
pub use self::table::Limits;

/// Time in which a client has to complete the TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);
/// Most simultaneous requests on one HTTP/2 connection.
const STREAMS_MAX: u32 = 128;
/// Most bytes of the head of an HTTP/1 request, and of a response that waits to be written. Raising
/// it raises the memory that silent connections can use.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of the head of an HTTP/2 request.
const HEADER_LIST_BYTES_MAX: u32 = 24 * 1024;
/// Pause after the system has refused to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Least time between two log messages about such refusals.
const ACCEPT_WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// How often the files of certificates are checked for changes.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(10);

const OPEN: &str = "cabildo_connections";
const REFUSED: &str = "cabildo_connections_refused_total";
const CLOSED: &str = "cabildo_connections_closed_total";

/// A running listener.
#[derive(Debug)]
pub struct Serving {
    ending: Ending,
    accepting: tokio::task::JoinHandle<()>,
    connections: TaskTracker,
}

/// How a listener and its connections are told to end.
#[derive(Debug, Clone, Default)]
struct Ending {
    /// Accept nothing more, and finish the requests in progress.
    drain: CancellationToken,
    /// Close what is still open.
    abort: CancellationToken,
}

impl Serving {
    /// Accepts no more connections, and ends the existing ones within `grace`.
    pub fn drain(&self, grace: Duration) {
        self.ending.drain.cancel();
        let (abort, connections) = (self.ending.abort.clone(), self.connections.clone());
        tokio::spawn(async move {
            if tokio::time::timeout(grace, connections.wait()).await.is_err() {
                abort.cancel();
            }
        });
    }

    /// Waits until the last connection has ended.
    pub async fn finished(self) {
        if let Err(error) = self.accepting.await {
            tracing::error!(%error, "a listener panicked");
        }
        self.connections.wait().await;
    }
}

/// Serves without TLS. `name` is the listener's in metrics and logs.
pub fn serve_plain(
    name: &'static str,
    listener: TcpListener,
    routes: Router,
    limits: Limits,
) -> io::Result<Serving> {
    serve(Shared::new(name, routes, limits, None), listener)
}

/// Serves with TLS; adds the identities of the client certificate to requests. New certificates are
/// used for new connections without a restart.
pub fn serve_tls(
    name: &'static str,
    listener: TcpListener,
    routes: Router,
    limits: Limits,
    tls: Arc<ServedTls>,
) -> io::Result<Serving> {
    let serving = serve(Shared::new(name, routes, limits, Some(Arc::clone(&tls))), listener)?;
    tokio::spawn(renew_certificates(tls, serving.ending.drain.clone()));
    Ok(serving)
}

fn serve(shared: Shared, listener: TcpListener) -> io::Result<Serving> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let (ending, connections) = (shared.ending.clone(), TaskTracker::new());
    let accepting = tokio::spawn(accept(Arc::new(shared), listener, connections.clone()));
    Ok(Serving { ending, accepting, connections })
}

/// Checks the files for changes regularly, until the listener ends.
async fn renew_certificates(tls: Arc<ServedTls>, ending: CancellationToken) {
    let mut ticks = tokio::time::interval(CERTIFICATES_INTERVAL);
    while ending.run_until_cancelled(ticks.tick()).await.is_some() {
        let tls = Arc::clone(&tls);
        if let Err(error) = tokio::task::spawn_blocking(move || tls.refresh()).await {
            tracing::error!(%error, "the task that checks certificates panicked");
        }
    }
}

/// The state that all connections of a listener share.
struct Shared {
    name: &'static str,
    routes: Router,
    tls: Option<Arc<ServedTls>>,
    http: Builder<TokioExecutor>,
    table: Arc<Table>,
    ending: Ending,
}

impl Shared {
    fn new(
        name: &'static str,
        routes: Router,
        limits: Limits,
        tls: Option<Arc<ServedTls>>,
    ) -> Self {
        metrics::describe_gauge!(OPEN, "Open TCP connections, by listener.");
        metrics::describe_counter!(
            REFUSED,
            "Connections refused because the table was full, by listener."
        );
        metrics::describe_counter!(CLOSED, "Connections closed by the server, by reason.");
        let mut http = Builder::new(TokioExecutor::new());
        // `Activity` limits times for both HTTP versions, from the first byte on.
        http.http1().max_buf_size(BUFFER_BYTES_MAX);
        http.http2()
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX);
        let (table, ending) = (Arc::new(Table::new(limits)), Ending::default());
        Self { name, routes, tls, http, table, ending }
    }

    fn closed(&self, reason: &'static str) {
        metrics::counter!(CLOSED, "listener" => self.name, "reason" => reason).increment(1);
    }
}

async fn accept(shared: Arc<Shared>, listener: tokio::net::TcpListener, tasks: TaskTracker) {
    let mut warned_at: Option<tokio::time::Instant> = None;
    while let Some(accepted) = shared.ending.drain.run_until_cancelled(listener.accept()).await {
        match accepted {
            Ok((stream, peer)) => begin(&shared, &tasks, stream, peer),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // The usual reason is that no file descriptor is left.
                if warned_at.is_none_or(|at| at.elapsed() >= ACCEPT_WARNING_INTERVAL) {
                    warned_at = Some(tokio::time::Instant::now());
                    let open = shared.table.len();
                    tracing::warn!(%error, listener = shared.name, open, "accepting failed");
                }
                shared.table.make_room();
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    tasks.close();
}

/// Whether the error concerns only the connection being accepted, such as a client that gave up.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves a connection in a task of its own, if the table has a place for it.
fn begin(shared: &Arc<Shared>, tasks: &TaskTracker, stream: TcpStream, peer: SocketAddr) {
    let activity = Arc::new(Activity::new());
    let Some(place) = shared.table.admit(peer.ip(), &activity) else {
        metrics::counter!(REFUSED, "listener" => shared.name).increment(1);
        return;
    };
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY can't be set");
    }
    let shared = Arc::clone(shared);
    tasks.spawn(async move {
        let open = metrics::gauge!(OPEN, "listener" => shared.name);
        open.increment(1);
        serve_until_closed(&shared, stream, peer, &activity, place).await;
        open.decrement(1);
    });
}

/// Serves a connection until its client, a time limit, a newer connection or the end of the
/// listener closes it.
async fn serve_until_closed(
    shared: &Shared,
    stream: TcpStream,
    peer: SocketAddr,
    activity: &Arc<Activity>,
    place: Place,
) {
    let close = place.close.clone();
    let stream = WatchedStream::new(stream, Arc::clone(activity), place);
    let known = Known {
        routes: shared.routes.clone(),
        peer,
        identities: BTreeSet::new(),
        activity: Arc::clone(activity),
    };
    tokio::select! {
        () = serve_connection(shared, stream, known) => {}
        overdue = activity.overdue() => shared.closed(overdue.as_str()),
        () = close.cancelled() => shared.closed("gave_way"),
        () = shared.ending.abort.cancelled() => shared.closed("shutdown"),
    }
}

async fn serve_connection(shared: &Shared, stream: WatchedStream<TcpStream>, mut known: Known) {
    let Some(tls) = &shared.tls else {
        return serve_http(shared, stream, known).await;
    };
    let handshake = TlsAcceptor::from(tls.current()).accept(stream);
    match tokio::time::timeout(HANDSHAKE_TIME_MAX, handshake).await {
        Ok(Ok(stream)) => {
            let (_, connection) = stream.get_ref();
            let chain: Option<&[CertificateDer<'_>]> = connection.peer_certificates();
            known.identities = chain.map(identities_of).unwrap_or_default();
            serve_http(shared, stream, known).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
        Err(_) => shared.closed("handshake"),
    }
}

async fn serve_http<S>(shared: &Shared, stream: S, known: Known)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = TowerToHyperService::new(known);
    let connection = shared.http.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = shared.ending.drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(error, "a connection ended with an error");
    }
}

/// The routes of one connection, and the identities of its client.
#[derive(Clone)]
struct Known {
    routes: Router,
    peer: SocketAddr,
    identities: BTreeSet<ServiceIdentity>,
    activity: Arc<Activity>,
}

impl<B> Service<Request<B>> for Known
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let in_progress = RequestInProgress::begin(&self.activity);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if !self.identities.is_empty() {
            request.extensions_mut().insert(CallerIdentities(self.identities.clone()));
        }
        let activity = Arc::clone(&self.activity);
        let response = self.routes.call(request);
        async move {
            let response = response.await?;
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                activity.upgraded();
            }
            Ok(response.map(|body| Body::new(WatchedBody::new(body, in_progress))))
        }
        .boxed()
    }
}
