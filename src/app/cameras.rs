//! Cameras, who may watch them, and the captures of edge devices.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use rand::TryRngCore as _;
use rand::rngs::OsRng;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::base::Base;
use super::foundation::Foundation;
use super::media::Media;
use super::rooms::{Beside, LiveRooms};
use super::tenants;
use crate::bridges::{AacSound, Bridges};
use crate::cameras::engine::policy::Lifetimes;
use crate::cameras::{
    AddressPolicy, Archive, ArchiveOptions, ArchiveParts, CameraError, CaptureStore,
    CaptureStoreParts, DeviceParts, Devices, Gateway, GatewayOptions, GatewayParts, Intake,
    IntakeParts, Playback, PlaybackSecret, Probes, Publishers, Recordings, RecordingsOptions,
    RecordingsParts, Replay, StreamControl,
};
use crate::clock::UseClock;
use crate::config::CamerasConfig;
use crate::domain::secret::Secret;
use crate::recorder::SystemDisk;
use crate::uplinks::{UplinkParts, Uplinks};

/// How often sessions that have been over for long are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// The directory of cameras' segments in the recorder's spool.
const SPOOL: &str = "cameras";
/// Name of its file in the directory of keys.
const SECRET_FILE: &str = "playback.secret";
/// Bytes of a playback secret that is made here.
const SECRET_BYTES: usize = 32;

/// The parts that cameras and captures need.
pub(super) struct Around<'parts> {
    pub(super) beside: &'parts Beside<'parts>,
    pub(super) foundation: &'parts Foundation,
    pub(super) media: &'parts Media,
    pub(super) rooms: &'parts LiveRooms,
}

/// Cameras and captures, served.
pub(super) struct Cameras {
    pub(super) gateway: Gateway,
    pub(super) captures: CaptureStore,
    pub(super) replay: Replay,
    devices: Option<Devices>,
    pub(super) intake: Intake,
    pub(super) uplinks: Uplinks,
    pub(super) probes: Probes,
    pub(super) streams: StreamControl,
    pub(super) playback: Playback,
    pub(super) recordings: Recordings,
    pub(super) bridges: Bridges,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Cameras {
    pub(super) fn start(
        base: &Base,
        around: &Around<'_>,
        listener: Option<TcpListener>,
    ) -> anyhow::Result<Self> {
        let Around { beside, foundation, media, rooms } = *around;
        let (config, store) = (&base.config.cameras, Arc::new(base.store.clone()));
        let secret = playback_secret(config, &base.config.recording.keys.directory)?;
        let gateway = gateway(base, around, secret.clone());
        let probes = Probes::new(gateway.clone(), store.clone(), config.probe_interval);
        let streams = StreamControl::new(gateway.clone(), store.clone());
        let (live, clock) = (rooms.rooms.clone(), base.clock.clone());
        let aac = if config.transcode_audio { AacSound::Transcoded } else { AacSound::LeftOut };
        let bridges = Bridges::new(gateway.clone(), live, store.clone(), clock, aac);
        let captures = captures(base, secret, listener.as_ref())?;
        let archive = archive(base, foundation);
        let recordings = recordings(base, foundation, (gateway.clone(), archive.clone()))?;
        let playback = Playback::new(gateway.clone(), archive.clone());
        let publishers = Publishers::default();
        let clock = base.wall.clone();
        let devices = listener.map(|listener| {
            let (captures, archive) = (captures.clone(), archive.clone());
            let (publishers, clock) = (publishers.clone(), clock.clone());
            Devices::start(listener, DeviceParts { captures, archive, publishers, clock })
        });
        let devices = devices.transpose().context("cameras.rtsp_bind")?;
        let (kept, known) = (archive.clone(), captures.clone());
        let intake = Intake::new(IntakeParts { captures: known, archive: kept, publishers, clock });
        let uplinks = Uplinks::new(UplinkParts {
            sfu: media.sfu.clone(),
            intake: intake.clone(),
            limits: tenants::limits(base, beside.services),
        });
        let replay = Replay::new(archive.clone(), captures.clone(), base.wall.clone());
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(forget_published(archive, stop.clone()));
        let swept = (gateway.clone(), streams.clone());
        tasks.spawn(sweep(swept, config.sweep_interval, stop.clone()));
        tasks.spawn(streams.clone().run());
        tasks.spawn(recordings.clone().run());
        tasks.spawn(bridges.clone().run());
        tasks.spawn(probes.clone().run(stop.clone()));
        tasks.close();
        Ok(Self {
            gateway,
            captures,
            replay,
            devices,
            intake,
            uplinks,
            probes,
            streams,
            playback,
            recordings,
            bridges,
            stop,
            tasks,
        })
    }

    pub(super) async fn shutdown(self) {
        self.stop.cancel();
        let devices = async {
            if let Some(devices) = &self.devices {
                devices.shutdown().await;
            }
        };
        tokio::join!(devices, self.uplinks.shutdown());
        self.bridges.shutdown().await;
        self.recordings.shutdown().await;
        self.streams.shutdown().await;
        self.gateway.ingest().shutdown().await;
        self.tasks.wait().await;
    }
}

fn gateway(base: &Base, around: &Around<'_>, secret: PlaybackSecret) -> Gateway {
    let Around { beside: Beside { services, live, .. }, foundation, .. } = *around;
    let (config, store) = (&base.config.cameras, Arc::new(base.store.clone()));
    let lifetimes =
        Lifetimes { token: config.token_ttl, idle: config.idle_ttl, absolute: config.session_ttl };
    let options = GatewayOptions {
        addresses: AddressPolicy::new(config.allowed_networks.clone()),
        cameras_max: config.max_per_tenant,
        lifetimes,
    };
    let parts = GatewayParts {
        cameras: store.clone(),
        captions: live.captions(),
        recordings: store.clone(),
        sessions: store.clone(),
        keys: foundation.keys.clone(),
        limits: tenants::stream_limits(base, services),
        watched: live.watched(),
        secret,
        // By the clock of the machine, one that is set would end what everybody watches.
        clock: base.clock.clone(),
        uses: UseClock::new(&base.steady, lifetimes.unused_max()),
    };
    Gateway::new(options, parts)
}

fn captures(
    base: &Base,
    secret: PlaybackSecret,
    listener: Option<&TcpListener>,
) -> anyhow::Result<CaptureStore> {
    let publish_at = listener.map(TcpListener::local_addr).transpose()?;
    Ok(CaptureStore::new(CaptureStoreParts {
        repository: Arc::new(base.store.clone()),
        secret,
        address_ttl: base.config.cameras.session_ttl,
        publish_port: publish_at.map(|it| it.port()),
        clock: base.wall.clone(),
    }))
}

fn archive(base: &Base, foundation: &Foundation) -> Archive {
    let config = &base.config.cameras;
    Archive::new(
        ArchiveOptions { kept_for: config.captures_kept, bytes_max: config.captures_max_bytes },
        ArchiveParts {
            publications: Arc::new(base.store.clone()),
            vault: foundation.vault.clone(),
            keys: foundation.keys.clone(),
            clock: base.wall.clone(),
            ages: base.ages.clock(),
        },
    )
}

fn recordings(
    base: &Base,
    foundation: &Foundation,
    (gateway, archive): (Gateway, Archive),
) -> anyhow::Result<Recordings> {
    let (config, recorder) = (&base.config.cameras, &base.config.recording.recorder);
    let options = RecordingsOptions {
        spool: recorder.spool.join(SPOOL),
        free_bytes_min: u64::from(recorder.spool_free_mib_min) << 20,
        age_max: config.recordings_kept,
        bytes_max: config.recordings_max_bytes,
    };
    let parts = RecordingsParts {
        gateway,
        archive,
        repository: Arc::new(base.store.clone()),
        claims: foundation.claims.clone(),
        disk: Arc::new(SystemDisk),
        ages: base.ages.clock(),
    };
    Recordings::open(options, parts).context("recorder.spool")
}

/// Ends sessions that have run out, for as long as the server runs.
async fn sweep(
    (gateway, streams): (Gateway, StreamControl),
    every: Duration,
    stop: CancellationToken,
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut forgotten_at: Option<Instant> = None;
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let swept = async {
            gateway.sweep(None).await?;
            if forgotten_at.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                gateway.forget_old().await?;
                streams.forget_old().await?;
                forgotten_at = Some(Instant::now());
            }
            Ok::<(), CameraError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "stream sessions could not be swept");
        }
    }
}

/// Deletes what devices published too long ago, for as long as the server runs. It takes as long as the
/// vault needs for thousands of objects, so nothing waits for it.
async fn forget_published(archive: Archive, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(FORGET_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let forgetting = async {
        loop {
            ticks.tick().await;
            if let Err(error) = archive.forget_old().await {
                tracing::warn!(%error, "what devices published could not be deleted");
            }
        }
    };
    // It may end between any two objects: the rest is deleted the next time.
    stop.run_until_cancelled(forgetting).await;
}

/// The secret of the configuration, or one that is made once and kept.
fn playback_secret(config: &CamerasConfig, keys: &Path) -> anyhow::Result<PlaybackSecret> {
    if let Some(secret) = &config.playback_secret {
        return Ok(PlaybackSecret::new(secret.clone()));
    }
    let path = keys.join(SECRET_FILE);
    let bytes = keep_secret(keys, &path).with_context(|| path.display().to_string())?;
    Ok(PlaybackSecret::new(bytes))
}

/// Reads the secret, or makes it. Of processes that make one at once one wins.
fn keep_secret(directory: &Path, path: &Path) -> anyhow::Result<Secret<Vec<u8>>> {
    fs::create_dir_all(directory)?;
    if let Err(error) = fs::metadata(path) {
        ensure!(error.kind() == ErrorKind::NotFound, error);
        let mut secret = Secret::new(vec![0; SECRET_BYTES]);
        OsRng.try_fill_bytes(secret.expose_mut())?;
        let draft = directory.join(format!(".draft-{:032x}", rand::random::<u128>()));
        let linked = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .and_then(|mut file| {
                file.write_all(secret.expose())?;
                file.sync_all()
            })
            // A link never replaces a file, and what it shows is whole.
            .and_then(|()| fs::hard_link(&draft, path));
        fs::remove_file(&draft)?;
        if let Err(error) = linked {
            ensure!(error.kind() == ErrorKind::AlreadyExists, error);
        }
        fs::File::open(directory)?.sync_all()?;
    }
    read_secret(path)
}

/// The secret that is kept in a directory of keys, if one is.
pub(super) fn kept_secret(keys: &Path) -> Option<anyhow::Result<Secret<Vec<u8>>>> {
    let path = keys.join(SECRET_FILE);
    path.exists().then(|| read_secret(&path).with_context(|| path.display().to_string()))
}

fn read_secret(path: &Path) -> anyhow::Result<Secret<Vec<u8>>> {
    let secret = Secret::new(fs::read(path)?);
    ensure!(secret.expose().len() >= SECRET_BYTES, "it does not hold a secret of 32 bytes");
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_secret_is_made_once_for_its_owner_only() {
        let directory = tempfile::tempdir().expect("a directory");
        let (place, path) =
            (directory.path().join("keys"), directory.path().join("keys/playback.secret"));
        let first = keep_secret(&place, &path).expect("made");
        assert_eq!(first.expose().len(), SECRET_BYTES);
        assert_eq!(keep_secret(&place, &path).expect("read"), first);
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&place).expect("there").count(), 1, "a draft was left");
        fs::write(&path, b"short").expect("written");
        assert!(keep_secret(&place, &path).is_err());
    }
}
