//! `cabildo serve`.

use std::fs::Permissions;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, Place, output, runtime};
use crate::app::{Addresses, App, AppOptions, unfulfilled, unusable_database};
use crate::clock::SteadyClock;
use crate::config::{Config, Problem, Profile, Source};
use crate::telemetry;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// Development mode: no configuration needed, and everybody may act as any user.
    #[arg(long)]
    dev: bool,
    /// Lets --dev listen on addresses other than loopback. Needs --yes-dev-is-insecure as well.
    #[arg(long, requires_all = ["dev", "yes_dev_is_insecure"])]
    dev_allow_remote: bool,
    /// Confirms that whoever can reach a --dev server may act as any user.
    #[arg(long, requires = "dev_allow_remote")]
    yes_dev_is_insecure: bool,
    /// Address of the public listener, instead of the configured one.
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Address of the internal listener, instead of the configured one.
    #[arg(long, value_name = "ADDR")]
    internal: Option<SocketAddr>,
    /// Address of media, instead of the configured one.
    #[arg(long, value_name = "ADDR")]
    media: Option<SocketAddr>,
}

/// How long blocking calls of the background may go on once the server has stopped.
const BACKGROUND_WITHIN: Duration = Duration::from_secs(2);

const BANNER: &str = "\
############################################################
#  DEVELOPMENT MODE: NOT SECURE                            #
#  Anybody who reaches this server can become anybody.     #
#  Never use it for an assembly whose result matters.      #
############################################################";

pub(super) fn run(arguments: Arguments) -> Result<(), Failure> {
    let config = load(&arguments)?;
    telemetry::start_logs(&config.telemetry).map_err(anyhow::Error::from)?;
    if arguments.dev {
        output::complain(BANNER);
        if !arguments.dev_allow_remote {
            expect_loopback(&config)?;
        }
    }
    let runtime = runtime()?;
    let served = runtime.block_on(serve(config, arguments));
    // Everything is stored by now. A library that waits for a service that is away, such as that
    // of Kafka for its brokers, would otherwise keep the process.
    runtime.shutdown_timeout(BACKGROUND_WITHIN);
    served
}

fn load(arguments: &Arguments) -> Result<Config, Failure> {
    let profile = if arguments.dev {
        Profile::Dev { data_dir: arguments.place.data_dir.clone() }
    } else {
        Profile::Production
    };
    let mut source = source_of(&arguments.place)?;
    let addresses = [
        ("http.bind", arguments.http),
        ("internal.bind", arguments.internal),
        ("media.bind", arguments.media),
    ];
    for (key, address) in addresses {
        if let Some(address) = address {
            source.set(key, address.to_string());
        }
    }
    examined(source, &profile)
}

/// The profile of commands beside the server: without a configuration file they use the data of
/// development.
pub(super) fn profile_of(place: &Place) -> Profile {
    if place.config.is_some() {
        Profile::Production
    } else {
        Profile::Dev { data_dir: place.data_dir.clone() }
    }
}

/// The configuration, with everything wrong about it and what this machine doesn't fulfil of it.
pub(super) fn examined(source: Source, profile: &Profile) -> Result<Config, Failure> {
    examined_by(unfulfilled, source, profile)
}

/// The configuration for commands that use only the database, which can be written to.
pub(super) fn with_database(source: Source, profile: &Profile) -> Result<Config, Failure> {
    examined_by(unusable_database, source, profile)
}

fn examined_by(
    examine: impl FnOnce(&Config, Option<&Path>) -> Vec<Problem>,
    source: Source,
    profile: &Profile,
) -> Result<Config, Failure> {
    let dev_data_dir = match profile {
        Profile::Production => None,
        Profile::Dev { data_dir } => Some(data_dir.as_path()),
    };
    let examine = |config: &Config| examine(config, dev_data_dir);
    let config = Config::read_and_examine(source, profile, examine);
    config.map_err(|error| Failure::Usage(error.to_string()))
}

/// The configuration file, if there is one, and the environment.
pub(super) fn source_of(place: &Place) -> Result<Source, Failure> {
    let mut source = Source::default();
    if let Some(path) = &place.config {
        let yaml = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
        source.add_yaml(&yaml);
    }
    source.add_environment(std::env::vars_os());
    Ok(source)
}

fn expect_loopback(config: &Config) -> Result<(), Failure> {
    let binds = [
        ("http.bind", Some(config.http.bind)),
        ("http.metrics_bind", config.http.metrics_bind),
        ("internal.bind", Some(config.internal.bind)),
        ("media.bind", Some(config.media.bind)),
    ];
    for (key, address) in binds {
        if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
            return Err(Failure::Usage(format!(
                "{key}: --dev listens on loopback only, not on {address}; if everybody who can \
                 reach it may become anybody, say --dev-allow-remote --yes-dev-is-insecure"
            )));
        }
    }
    Ok(())
}

async fn serve(config: Config, arguments: Arguments) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).context("signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("signals")?;
    let dev_data_dir: Option<PathBuf> = arguments.dev.then_some(arguments.place.data_dir);
    if let Some(data_dir) = &dev_data_dir {
        make_private(data_dir)?;
    }
    let clock = SteadyClock::system();
    let app = App::start(AppOptions { config, dev_data_dir, clock }).await?;
    output::print(&ready_line(app.addresses(), app.announced()));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("the server was told to terminate"),
        _ = interrupt.recv() => tracing::info!("interrupted"),
    }
    app.stop().await;
    Ok(())
}

/// Creates a directory that only this user may access, or removes the access of others from an
/// existing one.
pub(super) fn make_private(directory: &Path) -> anyhow::Result<()> {
    let made = std::fs::create_dir_all(directory)
        .and_then(|()| std::fs::set_permissions(directory, Permissions::from_mode(0o700)));
    made.with_context(|| format!("{} can't be used", directory.display()))
}

/// The line that tells that every listener is ready, with their addresses and the addresses for
/// media that clients are told.
fn ready_line(addresses: Addresses, announced: &[SocketAddr]) -> String {
    let Addresses { http, internal, media, metrics, rtsp } = addresses;
    let announced: Vec<String> = announced.iter().map(ToString::to_string).collect();
    let metrics = metrics.map(|metrics| format!(" metrics={metrics}")).unwrap_or_default();
    let rtsp = rtsp.map(|rtsp| format!(" rtsp={rtsp}")).unwrap_or_default();
    let announced = announced.join(",");
    format!(
        "ready http={http} internal={internal} media={media}{metrics}{rtsp} announced={announced}"
    )
}
