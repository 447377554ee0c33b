//! The TCP listeners: how many connections, how slow they may be, and who a
//! client certificate says they are.

use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum_server::accept::Accept;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioTimer;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::Service;

use crate::api::CallerIdentities;
use crate::auth::client_cert::{ServiceIdentity, identities_of};

/// Most connections of one listener; further ones are closed at once. Raising
/// it raises what strangers can make the server hold.
const CONNECTIONS_MAX: usize = 20_000;
/// Time in which a client has to send the head of a request.
const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// Time in which a client has to complete the TLS handshake.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(10);

/// A listener that serves.
pub(super) struct Serving {
    handle: Handle<SocketAddr>,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl Serving {
    /// Takes no more connections and ends those there are within `grace`.
    pub(super) fn drain(&self, grace: Duration) {
        self.handle.graceful_shutdown(Some(grace));
    }

    /// Waits until the last connection has ended.
    pub(super) async fn finished(self) {
        match self.task.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "a listener failed"),
            Err(error) => tracing::error!(%error, "a listener ended badly"),
        }
    }
}

/// Serves without TLS.
pub(super) fn serve_plain(listener: TcpListener, routes: Router) -> io::Result<Serving> {
    serve(listener, routes, |connections| PlainDoor { connections })
}

/// Serves with TLS, telling the routes who the client certificate names.
pub(super) fn serve_tls(
    listener: TcpListener,
    routes: Router,
    tls: Arc<ServerConfig>,
) -> io::Result<Serving> {
    let tls = RustlsAcceptor::new(RustlsConfig::from_config(tls));
    let tls = tls.handshake_timeout(HANDSHAKE_TIME_MAX);
    serve(listener, routes, |connections| TlsDoor { tls, connections })
}

fn serve<A>(
    listener: TcpListener,
    routes: Router,
    door: impl FnOnce(Arc<Semaphore>) -> A,
) -> io::Result<Serving>
where
    A: Accept<TcpStream, Routes, Service = Known> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Future: Send,
{
    let handle = Handle::new();
    let mut server: Server<SocketAddr> = axum_server::from_tcp(listener)?;
    server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    let server =
        server.handle(handle.clone()).acceptor(door(Arc::new(Semaphore::new(CONNECTIONS_MAX))));
    let service = routes.into_make_service_with_connect_info::<SocketAddr>();
    let task = tokio::spawn(server.serve(service));
    Ok(Serving { handle, task })
}

/// What axum makes for one connection.
type Routes = axum::middleware::AddExtension<Router, axum::extract::ConnectInfo<SocketAddr>>;

/// The routes of one connection, with who it is; holds its place.
#[derive(Clone)]
struct Known {
    routes: Routes,
    identities: BTreeSet<ServiceIdentity>,
    _place: Arc<OwnedSemaphorePermit>,
}

impl<B> Service<Request<B>> for Known
where
    Routes: Service<Request<B>>,
{
    type Response = <Routes as Service<Request<B>>>::Response;
    type Error = <Routes as Service<Request<B>>>::Error;
    type Future = <Routes as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.routes.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.identities.is_empty() {
            request.extensions_mut().insert(CallerIdentities(self.identities.clone()));
        }
        self.routes.call(request)
    }
}

fn place(connections: &Arc<Semaphore>) -> io::Result<Arc<OwnedSemaphorePermit>> {
    let place = Arc::clone(connections).try_acquire_owned();
    place.map(Arc::new).map_err(|_| io::Error::other("too many connections"))
}

/// Takes connections as they are.
#[derive(Clone)]
struct PlainDoor {
    connections: Arc<Semaphore>,
}

impl Accept<TcpStream, Routes> for PlainDoor {
    type Stream = TcpStream;
    type Service = Known;
    type Future = std::future::Ready<io::Result<(TcpStream, Known)>>;

    fn accept(&self, stream: TcpStream, routes: Routes) -> Self::Future {
        let accepted = place(&self.connections).and_then(|place| {
            stream.set_nodelay(true)?;
            Ok((stream, Known { routes, identities: BTreeSet::new(), _place: place }))
        });
        std::future::ready(accepted)
    }
}

/// Takes connections with TLS.
#[derive(Clone)]
struct TlsDoor {
    tls: RustlsAcceptor,
    connections: Arc<Semaphore>,
}

impl Accept<TcpStream, Routes> for TlsDoor {
    type Stream = tokio_rustls::server::TlsStream<TcpStream>;
    type Service = Known;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Known)>>;

    fn accept(&self, stream: TcpStream, routes: Routes) -> Self::Future {
        let (tls, place) = (self.tls.clone(), place(&self.connections));
        async move {
            let place = place?;
            stream.set_nodelay(true)?;
            let (stream, routes) = tls.accept(stream, routes).await?;
            let (_, connection) = stream.get_ref();
            let identities = connection.peer_certificates().map(identities_of).unwrap_or_default();
            Ok((stream, Known { routes, identities, _place: place }))
        }
        .boxed()
    }
}
