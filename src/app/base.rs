//! The parts that every feature is started with.

use std::path::PathBuf;

use anyhow::Context as _;

use super::AppOptions;
use crate::clock::{AgeClock, Clock, Host, SteadyClock};
use crate::config::Config;
use crate::domain::store_error::StoreError;
use crate::store::{OnConnect, Store, StoreOptions};

/// The parts that every feature is started with.
pub(super) struct Base {
    /// The configuration.
    pub(super) config: Config,
    /// Directory of development's keys and certificates; `None` in production.
    pub(super) dev_data_dir: Option<PathBuf>,
    /// The clock of meetings, as parts take it.
    pub(super) clock: Clock,
    /// The clock of the machine, by which tokens and proofs are judged.
    pub(super) wall: Clock,
    /// Both.
    pub(super) steady: SteadyClock,
    /// The clock by which it is judged what was kept for long enough.
    pub(super) ages: AgeClock,
    /// The machine whose clocks these are.
    pub(super) host: Host,
    /// The database.
    pub(super) store: Store,
}

impl Base {
    /// Connects to the database.
    pub(super) async fn open(options: AppOptions) -> anyhow::Result<Self> {
        let AppOptions { config, dev_data_dir, clock: steady } = options;
        let (clock, wall) = (steady.clock(), steady.wall());
        let store = Store::connect(&store_options(&config)).await.context("the store")?;
        let known = store.known_time().await.context("the store")?;
        let ages = AgeClock::new(&steady, known);
        let host = Host::own();
        go_on(&steady, &host, &store).await.context("the store")?;
        Ok(Self { config, dev_data_dir, clock, wall, steady, ages, host, store })
    }

    /// Closes the database.
    pub(super) async fn close(self) {
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the database could not be closed");
        }
    }
}

/// Lets sessions that are open keep the time that they have had.
async fn go_on(steady: &SteadyClock, host: &Host, store: &Store) -> Result<(), StoreError> {
    let earlier = store.earlier_clock(host).await?;
    let newest = store.newest_of_open_sessions().await?;
    steady.go_on(earlier, newest);
    store.note_clock(host, &steady.noted()).await
}

/// The options of the database; also used by commands that run without a server.
#[must_use]
pub fn store_options(config: &Config) -> StoreOptions {
    let mut options = StoreOptions::new(config.store.url.clone());
    options.migration_url.clone_from(&config.store.migration_url);
    options.max_connections = config.store.max_connections;
    options.free_bytes_min = u64::from(config.store.free_mib_min) << 20;
    options.on_connect = OnConnect::Migrate;
    options
}
