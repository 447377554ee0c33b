//! The composition root: starts every part with its section of the configuration and the parts that
//! it needs, opens the listeners, and shuts everything down. Each feature has a file of its own
//! with its start, its metrics and its shutdown. No other module except `cli` reads the
//! configuration.

mod attendance;
mod base;
mod cameras;
mod certificates;
mod clock;
mod delivery;
mod doors;
mod elsewhere;
mod foundation;
mod governance;
mod identity;
mod kafka;
mod live;
mod media;
mod meetings;
mod preconditions;
mod recording;
mod rooms;
mod services;
mod sessions;
mod speech_engines;
mod speech_names;
mod storage;
mod telemetry;
mod tenants;
mod transcriber;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::SteadyClock;
use crate::config::Config;
use crate::room::Rooms;

use self::base::Base;
use self::cameras::{Around, Cameras};
use self::clock::ClockWatch;
use self::delivery::Delivery;
use self::doors::{Behind, Doors, Sockets};
use self::elsewhere::Elsewhere;
use self::governance::GovernanceCalls;
use self::identity::Identity;
use self::kafka::Kafka;
use self::live::LiveViewing;
use self::media::Media;
use self::meetings::{Keeping, ProviderMeetings};
use self::recording::Recording;
use self::rooms::{Beside, LiveRooms};
use self::services::Services;
use self::sessions::Sessions;
use self::telemetry::Telemetry;
use self::transcriber::Transcription;

pub use self::base::store_options;
pub use self::foundation::{Foundation, custody_of, open_foundation};
pub(crate) use self::preconditions::{unfulfilled, unusable_database};
pub(crate) use self::speech_engines::{FoundEngine, engines_of};
pub(crate) use self::storage::{Adopted, Seen, adopt, examine};

/// The options with which an instance is started.
pub struct AppOptions {
    /// The configuration.
    pub config: Config,
    /// Directory of development's keys and certificates; `None` in production.
    pub dev_data_dir: Option<PathBuf>,
    /// The clock of meetings, which is not affected when the clock of the machine is set.
    pub clock: SteadyClock,
}

/// The addresses at which an instance listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The public listener.
    pub http: SocketAddr,
    /// The internal listener, for services.
    pub internal: SocketAddr,
    /// The media port.
    pub media: SocketAddr,
    /// The listener for metrics, if it is a separate one.
    pub metrics: Option<SocketAddr>,
    /// The listener for devices that publish by RTSP, if there is one.
    pub rtsp: Option<SocketAddr>,
}

/// A running instance.
pub struct App {
    addresses: Addresses,
    telemetry: Telemetry,
    base: Base,
    media: Media,
    foundation: Foundation,
    recording: Recording,
    transcription: Transcription,
    live: LiveViewing,
    rooms: LiveRooms,
    sessions: Sessions,
    governance: GovernanceCalls,
    keeping: Keeping,
    cameras: Cameras,
    kafka: Kafka,
    delivery: Delivery,
    elsewhere: Elsewhere,
    clock: ClockWatch,
    doors: Doors,
}

impl App {
    /// The rooms, for whoever runs an instance in their own process.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms.rooms
    }

    /// Starts an instance; when this returns, every listener is serving.
    pub async fn start(options: AppOptions) -> anyhow::Result<Self> {
        let telemetry = Telemetry::start(&options.config)?;
        let mut sockets = Sockets::bind(&options.config)?;
        let base = Base::open(options).await?;
        let media = Media::start(&base)?;
        let addresses = Addresses {
            http: sockets.http()?,
            internal: sockets.internal()?,
            media: media.sfu.local_addr(),
            metrics: sockets.metrics()?,
            rtsp: sockets.rtsp()?,
        };
        let identity = Identity::start(&base, addresses.http).await?;
        let services = Services::start(&base)?;
        let foundation = open_foundation(&base.config, &base.store, &base.clock).await?;
        let recording = Recording::start(&base, &foundation, &media).await?;
        let transcription = Transcription::start(&base, &media, &services)?;
        let live = LiveViewing::start(&base, &media);
        let beside = Beside::new(&recording, &transcription, &live, &services);
        let rooms = LiveRooms::start(&base, &foundation, &media, &beside);
        transcription.tell(rooms.rooms.clone());
        let providers = ProviderMeetings::start(&base, &foundation)?;
        let sessions = Sessions::start(&base, &foundation, &rooms, &beside, &providers);
        let keeping = providers.keep(&base, &sessions);
        let governance = GovernanceCalls::start(&base, &foundation, &services).await?;
        let around =
            Around { beside: &beside, foundation: &foundation, media: &media, rooms: &rooms };
        let cameras = Cameras::start(&base, &around, sockets.take_rtsp())?;
        let kafka = Kafka::start(&base, &rooms, &sessions)?;
        let delivery = Delivery::start(&base, &foundation, &kafka).await?;
        let elsewhere = Elsewhere::start(&base, &delivery, &sessions, &rooms, &live);
        let clock = ClockWatch::start(&base, rooms.rooms.clone());
        let behind = Behind {
            identity,
            foundation: &foundation,
            media: &media,
            rooms: &rooms,
            recording: &recording,
            transcription: &transcription,
            sessions: &sessions,
            services: &services,
            providers: &providers,
            cameras: &cameras,
            delivery: &delivery,
            clock: clock.state(),
        };
        let doors = Doors::start(&base, sockets, behind)?;
        Ok(Self {
            addresses,
            telemetry,
            base,
            media,
            foundation,
            recording,
            transcription,
            live,
            rooms,
            sessions,
            governance,
            keeping,
            cameras,
            kafka,
            delivery,
            elsewhere,
            clock,
            doors,
        })
    }

    /// The addresses at which it listens.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The addresses for media that clients are told.
    #[must_use]
    pub fn announced(&self) -> &[SocketAddr] {
        self.media.sfu.candidates()
    }

    /// Stops: accepts no more connections, lets requests finish and sockets close, stops media and
    /// closes the database. Takes no longer than twice the configured grace period.
    pub async fn stop(self) {
        let Self {
            telemetry,
            base,
            media,
            foundation,
            recording,
            transcription,
            live,
            rooms,
            sessions,
            governance,
            keeping,
            cameras,
            kafka,
            delivery,
            elsewhere,
            clock,
            doors,
            ..
        } = self;
        let grace = Duration::from_secs(base.config.limits.shutdown_grace_s.into());
        doors.drain();
        delivery.drain();
        // What follows would wait for a database that is away, and rooms and recordings would not be
        // closed.
        base.store.stop_waiting();
        // Boxed because the future is large.
        let rest = Box::pin(async move {
            clock.shutdown().await;
            elsewhere.shutdown().await;
            kafka.shutdown().await;
            cameras.shutdown().await;
            live.shutdown().await;
            keeping.shutdown().await;
            sessions.shutdown().await;
            governance.shutdown().await;
            // What waits for it is told to rooms as gaps.
            transcription.shutdown().await;
            rooms.shutdown().await;
            recording.shutdown().await;
            delivery.shutdown().await;
            foundation.shutdown().await;
            media.shutdown().await;
            doors.shutdown().await;
            base.close().await;
        });
        if tokio::time::timeout(grace * 2, rest).await.is_err() {
            tracing::warn!("some parts did not stop in time");
        }
        telemetry.shutdown();
    }
}
