//! One case on one server: clients join, send and receive for a while, and are counted.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use cabildo::load::LoadError;
use cabildo::load::client::{ClientOptions, Identity, Profile, Received, TrackOptions};
use cabildo::load::driver::Driver;
use futures_util::future::{join_all, try_join_all};
use hdrhistogram::Histogram;

use crate::joined::Joined;
use crate::process::Process;

/// Clients that join at once, so that the result does not measure a rush of joins.
const JOINS_MAX: usize = 4;
/// Time between the last join and the measurement.
const SETTLE: Duration = Duration::from_secs(2);
/// Threads that run the clients.
const CLIENT_THREADS: usize = 1;

/// The work to do. Every publisher sends one microphone and one camera; every subscriber receives
/// all of its room.
pub(crate) struct Case {
    pub(crate) rooms: u32,
    pub(crate) publishers: u32,
    pub(crate) subscribers: u32,
    pub(crate) video_bitrate_bps: u32,
}

impl Case {
    const fn new(
        (rooms, publishers, subscribers): (u32, u32, u32),
        video_bitrate_bps: u32,
    ) -> Self {
        Self { rooms, publishers, subscribers, video_bitrate_bps }
    }

    pub(crate) const ALL: &[Self] = &[
        Self::new((1, 1, 50), 2_500_000),
        Self::new((1, 1, 200), 1_000_000),
        Self::new((20, 2, 8), 300_000),
    ];
    pub(crate) const SHORT: &[Self] = &[
        Self::new((1, 1, 5), 2_500_000),
        Self::new((1, 1, 20), 1_000_000),
        Self::new((2, 2, 4), 300_000),
    ];
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kbit_s = self.video_bitrate_bps / 1_000;
        match self.rooms {
            1 => write!(f, "{} → {}", self.publishers, self.subscribers)?,
            rooms => write!(f, "{rooms} rooms × ({} → {})", self.publishers, self.subscribers)?,
        }
        write!(f, ", video of {kbit_s} kbit/s")
    }
}

/// A client that comes into a room.
pub(crate) struct Entry<'a> {
    pub(crate) driver: &'a Driver,
    pub(crate) room: usize,
    pub(crate) number: u64,
    pub(crate) options: ClientOptions,
}

/// A server under test, with its way of signalling.
#[async_trait]
pub(crate) trait MediaServer: Send + Sync {
    /// Its process.
    fn process(&self) -> &Process;

    /// Lets a client publish these tracks.
    async fn publish(&self, entry: Entry<'_>, tracks: &[TrackOptions])
    -> Result<Joined, LoadError>;

    /// Lets a client receive everything of its room, which has this number of publishers.
    async fn subscribe(&self, entry: Entry<'_>, publishers: u32) -> Result<Joined, LoadError>;
}

/// What was measured.
pub(crate) struct Row {
    /// Processor time of the server by packets that reached subscribers.
    pub(crate) cpu_us_per_packet: f64,
    pub(crate) packets_per_s: f64,
    pub(crate) loss_ratio: f64,
    pub(crate) delays_us: Histogram<u64>,
    pub(crate) memory_kib_per_participant: f64,
    pub(crate) joins_us: Histogram<u64>,
    /// Subscribers who saw a key frame, and all that should have.
    pub(crate) joined: (u64, u64),
    /// Errors by description, with their number.
    pub(crate) errors: BTreeMap<String, u64>,
}

impl Row {
    pub(crate) fn is_complete(&self) -> bool {
        self.errors.is_empty() && self.joined.0 == self.joined.1
    }
}

struct Run<'a> {
    server: &'a dyn MediaServer,
    case: &'a Case,
    driver: Driver,
    options: ClientOptions,
    errors: BTreeMap<String, u64>,
}

/// Measures a case.
pub(crate) async fn run(
    server: &dyn MediaServer,
    case: &Case,
    duration: Duration,
) -> Result<Row, LoadError> {
    let options = ClientOptions {
        // The same cipher for every server.
        identity: Identity::generate(&[Profile::AeadAes128Gcm])?,
        seed: 1,
        epoch: Instant::now(),
        epoch_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
    };
    let driver = Driver::start(CLIENT_THREADS, None)?;
    let mut run = Run { server, case, driver, options, errors: BTreeMap::new() };
    let memory_before = server.process().memory_kib()?;
    let publishers = run.join_publishers().await?;
    let mut joins_us = histogram()?;
    let subscribers = run.join_subscribers(&mut joins_us).await;
    tokio::time::sleep(SETTLE).await;
    drop(run.driver.take_delays_us());
    let before = run.look(&subscribers).await?;
    tokio::time::sleep(duration).await;
    let after = run.look(&subscribers).await?;
    let delays_us = run.driver.take_delays_us();
    let received = after.received.since(&before.received);
    let packets = as_f64(received.packets);
    let participants = as_f64((publishers.len() + subscribers.len()) as u64);
    Ok(Row {
        cpu_us_per_packet: (after.cpu_s - before.cpu_s) * 1e6 / packets,
        packets_per_s: packets / after.at.duration_since(before.at).as_secs_f64(),
        loss_ratio: as_f64(received.lost) / as_f64(received.packets + received.lost),
        delays_us,
        memory_kib_per_participant: (server.process().memory_kib()? - memory_before) / participants,
        joined: (joins_us.len(), u64::from(case.rooms) * u64::from(case.subscribers)),
        joins_us,
        errors: run.errors,
    })
}

/// An empty histogram of microseconds; longer times count as the longest.
fn histogram() -> Result<Histogram<u64>, LoadError> {
    Histogram::new_with_bounds(1, 60_000_000, 3)
        .map_err(|_| LoadError::Contract("a histogram can't be made"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

/// All counters at one moment.
struct Look {
    at: Instant,
    cpu_s: f64,
    received: Received,
}

impl Run<'_> {
    fn entry(&self, room: usize, number: u64) -> Entry<'_> {
        let mut options = self.options.clone();
        options.seed = number * 2;
        Entry { driver: &self.driver, room, number, options }
    }

    /// Each room as often as it has clients of a kind, with numbers counted from `first`.
    fn numbered(&self, each: u32, first: u64) -> Vec<(usize, u64)> {
        let rooms = (0..self.case.rooms as usize).flat_map(|room| (0..each).map(move |_| room));
        rooms.zip(first..).collect()
    }

    fn note(&mut self, what: &str, error: &impl fmt::Display) {
        *self.errors.entry(format!("{what}: {error}")).or_default() += 1;
    }

    async fn join_publishers(&self) -> Result<Vec<Joined>, LoadError> {
        let camera =
            TrackOptions { bitrate_bps: self.case.video_bitrate_bps, ..TrackOptions::camera() };
        let tracks = [TrackOptions::microphone(), camera];
        let mut all = Vec::new();
        for batch in self.numbered(self.case.publishers, 1).chunks(JOINS_MAX) {
            let joining = batch
                .iter()
                .map(|&(room, number)| self.server.publish(self.entry(room, number), &tracks));
            all.extend(try_join_all(joining).await?);
        }
        Ok(all)
    }

    async fn join_subscribers(&mut self, joins_us: &mut Histogram<u64>) -> Vec<Joined> {
        let mut all = Vec::new();
        for batch in self.numbered(self.case.subscribers, 1_000_001).chunks(JOINS_MAX) {
            let run = &*self;
            let joining = batch.iter().map(|&(room, number)| async move {
                let entry = run.entry(room, number);
                let mut joined = run.server.subscribe(entry, run.case.publishers).await?;
                let took = joined.first_key_frame().await;
                Ok::<_, LoadError>((joined, took))
            });
            let results = join_all(joining).await;
            for result in results {
                match result {
                    Ok((joined, Some(took))) => {
                        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                        joins_us.saturating_record(us);
                        all.push(joined);
                    }
                    Ok((_, None)) => self.note("subscribing", &"no key frame"),
                    Err(error) => self.note("subscribing", &error),
                }
            }
        }
        all
    }

    async fn look(&self, subscribers: &[Joined]) -> Result<Look, LoadError> {
        let mut received = Received::default();
        let (at, cpu_s) = (Instant::now(), self.server.process().cpu_s()?);
        for handle in subscribers.iter().filter_map(Joined::handle) {
            let counts = handle.call(|client, _| client.counts()).await.unwrap_or_default();
            received.add(&counts.received);
        }
        Ok(Look { at, cpu_s, received })
    }
}
