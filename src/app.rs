//! The composition root: makes every part from its section of the
//! configuration, plugs them together, opens the doors, and takes it all
//! down again. Each feature has its file, where it is started, tells its
//! metrics and is shut down. Nothing else reads configuration.

mod base;
mod doors;
mod foundation;
mod identity;
mod media;
mod record;
mod rooms;
mod sessions;
mod telemetry;
mod tenants;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::config::Config;

use self::base::Base;
use self::doors::{Behind, Doors, Sockets};
use self::identity::Identity;
use self::media::Media;
use self::record::Record;
use self::rooms::LiveRooms;
use self::sessions::Sessions;
use self::telemetry::Telemetry;

pub use self::base::store_options;
pub use self::foundation::{Foundation, custody_of, open_foundation};

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
    telemetry: Telemetry,
    base: Base,
    media: Media,
    foundation: Foundation,
    record: Record,
    rooms: LiveRooms,
    sessions: Sessions,
    doors: Doors,
}

impl App {
    /// Starts an instance; when this returns every listener serves.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let telemetry = Telemetry::start(&options.config)?;
        let sockets = Sockets::bind(&options.config)?;
        let base = Base::open(options).await?;
        let media = Media::start(&base)?;
        let addresses = Addresses {
            http: sockets.http()?,
            internal: sockets.internal()?,
            media: media.sfu.local_addr(),
            metrics: sockets.metrics()?,
        };
        let identity = Identity::start(&base, addresses.http).await?;
        let foundation = open_foundation(&base.config, &base.store, &base.clock)?;
        let record = Record::start(&base, &foundation, &media).await?;
        let rooms = LiveRooms::start(&base, &foundation, &media, &record);
        let sessions = Sessions::start(&base, &rooms, &record);
        let behind = Behind {
            identity,
            foundation: &foundation,
            media: &media,
            rooms: &rooms,
            record: &record,
            sessions: &sessions,
        };
        let doors = Doors::start(&base, sockets, behind)?;
        Ok(Self { addresses, telemetry, base, media, foundation, record, rooms, sessions, doors })
    }

    /// Where it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The addresses that clients are told for media.
    #[must_use]
    pub fn announced(&self) -> &[SocketAddr] {
        self.media.sfu.candidates()
    }

    /// Stops: takes no more connections, lets requests finish and sockets
    /// close, stops media, closes the store. Takes no longer than twice the
    /// configured grace.
    pub async fn stop(self) {
        let Self { telemetry, base, media, foundation, record, rooms, sessions, doors, .. } = self;
        let grace = Duration::from_secs(base.config.limits.shutdown_grace_s.into());
        doors.drain();
        let rest = async {
            sessions.shutdown().await;
            rooms.shutdown().await;
            record.shutdown().await;
            foundation.shutdown().await;
            media.shutdown().await;
            doors.shutdown().await;
            base.close().await;
        };
        if tokio::time::timeout(grace * 2, rest).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
        telemetry.shutdown();
    }
}
