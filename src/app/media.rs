//! Starts the media plane.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::base::Base;
use crate::api::MetricsSource;
use crate::auth::served_tls::ServedTls;
use crate::config::{TurnConfig, TurnTlsConfig};
use crate::domain::secret::Secret;
use crate::sfu::congestion::Limits;
use crate::sfu::turn::{Quotas, TlsSource, TurnAccess, TurnOptions, TurnTls};
use crate::sfu::{Sfu, SfuOptions};

/// How often the files of certificates are looked at.
const CERTIFICATES_INTERVAL: Duration = Duration::from_secs(10);

/// The running media plane.
pub(super) struct Media {
    pub(super) sfu: Sfu,
    /// Ends the task that reads renewed certificates of TURN.
    _renewing: Option<DropGuard>,
}

impl Media {
    pub(super) fn start(base: &Base) -> anyhow::Result<Self> {
        let media = &base.config.media;
        let tls = media.turn.as_ref().and_then(|turn| turn.tls.as_ref());
        let tls = tls.map(serve_tls).transpose().context("media.turn")?;
        let (tls, renewing) = tls.unzip();
        let bps = |kbps: u32| u64::from(kbps) * 1_000;
        let options = SfuOptions {
            bind: media.bind,
            candidates: media.candidates.clone(),
            tcp: media.tcp,
            turn: media.turn.as_ref().map(|config| turn(config, tls)),
            workers: media.workers,
            bitrate: Limits {
                start_bps: bps(media.bitrate.start),
                floor_bps: bps(media.bitrate.min),
                ceiling_bps: bps(media.bitrate.max),
            },
            clock: base.clock.clone(),
        };
        let sfu = Sfu::start(options).context("media.bind")?;
        Ok(Self { sfu, _renewing: renewing })
    }

    /// What makes credentials of TURN.
    pub(super) fn turn(&self) -> Option<TurnAccess> {
        self.sfu.turn().cloned()
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.sfu.clone())
    }

    pub(super) async fn shutdown(self) {
        self.sfu.shutdown().await;
    }
}

/// Reads the certificate of TURN over TLS, and again whenever its files change.
fn serve_tls(config: &TurnTlsConfig) -> anyhow::Result<(TurnTls, DropGuard)> {
    let TurnTlsConfig { bind, host, port, cert, key } = config.clone();
    let served = Arc::new(ServedTls::read_public("turn", cert, key)?);
    let ended = CancellationToken::new();
    let guard = ended.clone().drop_guard();
    tokio::spawn(renew(Arc::clone(&served), ended));
    let config: TlsSource = Arc::new(move || served.current());
    Ok((TurnTls { bind, host, port, config }, guard))
}

async fn renew(served: Arc<ServedTls>, ended: CancellationToken) {
    let mut ticks = tokio::time::interval(CERTIFICATES_INTERVAL);
    while ended.run_until_cancelled(ticks.tick()).await.is_some() {
        let served = Arc::clone(&served);
        if let Err(error) = tokio::task::spawn_blocking(move || served.refresh()).await {
            tracing::error!(%error, "the task that checks certificates panicked");
        }
    }
}

fn turn(config: &TurnConfig, tls: Option<TurnTls>) -> TurnOptions {
    let made = || Secret::new(rand::random::<[u8; 32]>().to_vec());
    TurnOptions {
        secret: config.secret.clone().unwrap_or_else(made),
        credentials_ttl: config.credentials_ttl,
        lifetime_max: config.lifetime_max,
        quotas: Quotas {
            per_person: config.max_per_person,
            per_network: config.max_per_address,
            total: config.max_total,
        },
        udp: config.udp.clone(),
        tls,
    }
}

#[async_trait]
impl MetricsSource for Sfu {
    async fn report(&self) {
        self.report_metrics().await;
    }
}
