//! The composition root: makes every part from its section of the
//! configuration, plugs them together, opens the listeners, and takes it all
//! down again. Nothing else reads configuration.

mod descriptors;
mod listener;
mod metrics;
mod parts;
mod record;
mod rooms;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::api::{Listener, router};
use crate::auth::client_cert::TlsFiles;
use crate::auth::internal_tls::InternalTls;
use crate::clock::Clock;
use crate::config::Config;
use crate::events::OutboxUpkeep;
use crate::evidence::Evidence;
use crate::room::Rooms;
use crate::sessions::SessionService;
use crate::sfu::Sfu;
use crate::store::Store;
use crate::telemetry;

use self::listener::{Limits, Serving};
use self::record::Record;

pub use self::parts::{public_origin, store_options};
pub use self::record::{Foundation, custody_of, open_foundation};

/// How often metrics forget old samples.
const METRICS_UPKEEP: Duration = Duration::from_secs(5);

/// What an instance is started with.
pub struct AppOptions {
    /// Everything an operator can set.
    pub config: Config,
    /// Where development keeps its keys and certificates; `None` in production.
    pub dev_data_dir: Option<PathBuf>,
    /// The time.
    pub clock: Clock,
}

/// Where an instance listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The public listener.
    pub http: SocketAddr,
    /// The listener for services.
    pub internal: SocketAddr,
    /// The media port.
    pub media: SocketAddr,
    /// The listener for metrics, when it has one of its own.
    pub metrics: Option<SocketAddr>,
}

/// A running instance.
pub struct App {
    addresses: Addresses,
    servings: Vec<Serving>,
    sessions: SessionService,
    outbox: OutboxUpkeep,
    rooms: Rooms,
    record: Record,
    evidence: Evidence,
    media: Sfu,
    store: Store,
    upkeep: tokio::task::JoinHandle<()>,
    grace: Duration,
}

impl App {
    /// Starts an instance; when this returns every listener serves.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let AppOptions { config, dev_data_dir, clock } = options;
        telemetry::metrics::start(parts::tenant_labels(&config))?;
        metrics::describe();
        // Bound first: in development the public URL follows from the port.
        let http = bind(config.http.bind, "http.bind")?;
        let internal = bind(config.internal.bind, "internal.bind")?;
        let metrics = config.http.metrics_bind.map(|addr| bind(addr, "http.metrics_bind"));
        let metrics = metrics.transpose()?;
        let media = Sfu::start(parts::media_options(&config)).context("media.bind")?;
        let addresses = Addresses {
            http: http.local_addr()?,
            internal: internal.local_addr()?,
            media: media.local_addr(),
            metrics: metrics.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        let tls = parts::tls_files(&config, dev_data_dir.as_deref(), &clock).await?;
        let store = Store::connect(&store_options(&config)).await.context("the store")?;
        let plan = parts::Plan { config: &config, addresses, dev_data_dir, clock };
        let built = parts::build(plan, &store, &media).await?;
        let servings = serve(&built, &config, tls, (http, internal, metrics))?;
        let upkeep = tokio::spawn(async {
            let mut ticks = tokio::time::interval(METRICS_UPKEEP);
            loop {
                ticks.tick().await;
                telemetry::metrics::maintain();
            }
        });
        let grace = Duration::from_secs(config.limits.shutdown_grace_s.into());
        let parts::Built { sessions, outbox, rooms, record, evidence, .. } = built;
        Ok(Self {
            addresses,
            servings,
            sessions,
            outbox,
            rooms,
            record,
            evidence,
            media,
            store,
            upkeep,
            grace,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The addresses that clients are told for media.
    #[must_use]
    pub fn announced(&self) -> &[SocketAddr] {
        self.media.candidates()
    }

    /// Stops: takes no more connections, lets requests finish and sockets
    /// close, stops media, closes the store. Takes no longer than twice the
    /// configured grace.
    pub async fn stop(self) {
        let Self {
            servings,
            sessions,
            outbox,
            rooms,
            record,
            evidence,
            media,
            store,
            upkeep,
            grace,
            ..
        } = self;
        for serving in &servings {
            serving.drain(grace);
        }
        let rest = async {
            sessions.shutdown().await;
            outbox.shutdown().await;
            rooms.shutdown().await;
            record.shutdown().await;
            evidence.shutdown().await;
            media.shutdown().await;
            for serving in servings {
                serving.finished().await;
            }
            if let Err(error) = store.close().await {
                tracing::warn!(%error, "the store did not close");
            }
        };
        if tokio::time::timeout(grace * 2, rest).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        upkeep.abort();
    }
}

fn bind(address: SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).with_context(|| format!("{key}: {address} can't be bound"))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

type Listeners = (TcpListener, TcpListener, Option<TcpListener>);

/// Opens the listeners on what was built.
fn serve(
    built: &parts::Built,
    config: &Config,
    tls: TlsFiles,
    (http, internal, metrics): Listeners,
) -> anyhow::Result<Vec<Serving>> {
    let api = &built.api;
    let tls = Arc::new(InternalTls::read(tls).context("internal")?);
    let shares = descriptors::raise_limit();
    let limits = |connections: usize, per_network: usize| Limits {
        connections,
        per_network: per_network.max(1),
        proxies: config.http.trusted_proxies.clone(),
    };
    let for_public = limits(shares.public, shares.public / 2);
    let for_services = limits(shares.internal, shares.internal);
    let for_metrics = limits(shares.metrics, shares.metrics);
    let public = router(api, Listener::Public, built.channel.clone());
    let services = router(api, Listener::Internal, built.channel.clone());
    let mut servings = vec![
        listener::serve_plain("public", http, public, for_public)?,
        listener::serve_tls("internal", internal, services, for_services, tls)?,
    ];
    if let Some(metrics) = metrics {
        let routes = router(api, Listener::Metrics, axum::Router::new());
        servings.push(listener::serve_plain("metrics", metrics, routes, for_metrics)?);
    }
    Ok(servings)
}
