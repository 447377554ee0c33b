//! How fast what waits in the outbox is handed on: events a second, to a destination
//! that takes everything at once and to Kafka, and the memory that it takes. The
//! brokers are in a process of their own, since they keep a part of what they get; the store
//! is SQLite as on a server.
//!
//! `cargo bench --bench outbox`, or with another number of events:
//! `cargo bench --bench outbox -- 1000000`.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "counts far below 2^32"
)]

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo::claims::{Claims, ClaimsParts, LeaseTimes};
use cabildo::clock::{BootClock, Clock};
use cabildo::delivery::{
    Destination, Feed, KafkaTopic, Origin, PublicEvent, Pump, PumpOptions, PumpParts, RetryTimes,
    Tail, Undelivered,
};
use cabildo::domain::id::{AssemblyId, InstanceId, SessionId, SessionKey, TenantId};
use cabildo::domain::kafka::Security;
use cabildo::domain::session::Modality;
use cabildo::events::{Beginning, Outbox as _, ReaderName, Scope};
use cabildo::kafka::{Connection, Producer, TlsFiles};
use cabildo::room::repository::{RoomRepository as _, StoredChange, ToldEvent};
use cabildo::sessions::{FixedLimits, NewSession, SessionService};
use cabildo::store::{Store, StoreOptions};
use rdkafka::mocking::MockCluster;
use tokio::sync::{Mutex, Notify};

const EVENTS_DEFAULT: usize = 100_000;
const SESSIONS: usize = 200;
/// Events that one decision of a room stores.
const PER_TRANSACTION: usize = 4;
/// Decisions whose delay is measured, and the pause between two of them.
const DECISIONS: usize = 1_000;
const PAUSE: Duration = Duration::from_millis(5);
const TOPIC: &str = "cabildo.events";
const PARTITIONS: i32 = 12;
/// Makes this program the brokers.
const AS_BROKERS: &str = "--brokers";
/// As `app::delivery` has it for Kafka.
const IN_FLIGHT_MAX: usize = 256;

/// Brokers in memory, which end with this.
struct Brokers {
    process: Child,
    servers: String,
}

impl Brokers {
    fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .arg(AS_BROKERS)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("started");
        let mut servers = String::new();
        let said = process.stdout.take().expect("piped");
        BufReader::new(said).read_line(&mut servers).expect("their address");
        Self { process, servers: servers.trim().to_owned() }
    }

    /// What the process of the brokers does, until its input ends.
    fn serve() {
        let cluster = MockCluster::new(1).expect("brokers in memory");
        cluster.create_topic(TOPIC, PARTITIONS, 1).expect("a topic");
        println!("{}", cluster.bootstrap_servers());
        std::io::stdin().read_to_end(&mut Vec::new()).expect("an end");
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ended = self.process.wait();
    }
}

/// Counts what arrives, and where it goes on to if anywhere.
struct Counted {
    kafka: Option<KafkaTopic>,
    left: AtomicUsize,
    done: Notify,
    /// How long after it happened each event has arrived, when that is measured.
    delays: Option<Mutex<Vec<Duration>>>,
}

#[async_trait]
impl Destination for Counted {
    async fn deliver(&self, event: &PublicEvent) -> Result<(), Undelivered> {
        if let Some(kafka) = &self.kafka {
            kafka.deliver(event).await?;
        }
        if let Some(delays) = &self.delays {
            delays.lock().await.push(Clock::system().now().since(event.at));
        }
        if self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.done.notify_one();
        }
        Ok(())
    }
}

async fn sessions(store: &Store, tenant: TenantId) -> Vec<SessionId> {
    let limits = Arc::new(FixedLimits::default());
    let service = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        let wanted = NewSession::new(tenant, AssemblyId::generate(), "Assembly", Modality::Mixed);
        sessions.push(service.create(wanted, Clock::system().now()).await.expect("created").id);
    }
    sessions
}

/// Stores events in the rooms of all sessions in turn; how many for each.
async fn fill(store: &Store, tenant: TenantId, sessions: &[SessionId], events: usize) -> usize {
    let per_session = (events / (SESSIONS * PER_TRANSACTION)).max(1);
    for round in 0..per_session {
        for session in sessions {
            decide(store, SessionKey::new(tenant, *session), round).await;
        }
    }
    per_session
}

/// Stores what a decision of a room leads to, as the one of this number in its session.
async fn decide(store: &Store, key: SessionKey, number: usize) {
    let now = Clock::system().now();
    let first = (number * PER_TRANSACTION + 1) as u64;
    let last = first + PER_TRANSACTION as u64 - 1;
    let event = |seq: u64| ToldEvent {
        seq,
        at: now,
        kind: "speech_approved".to_owned(),
        payload: format!(
            r#"{{"seq":{seq},"at":"{now}","type":"speech_approved","request_id":"r{seq}","user_id":"ana"}}"#
        ),
    };
    let events: Vec<ToldEvent> = (first..=last).map(event).collect();
    let change =
        StoredChange { seq: last, state: Some("{}".to_owned()), ..StoredChange::default() };
    store.append(key, &change, &events).await.expect("stored");
}

/// MiB of this process, as the kernel counts them.
fn memory_mib() -> f64 {
    let statistics = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statistics.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0.0);
    pages * 4_096.0 / 1_048_576.0
}

/// A running pump to a destination that counts.
struct Pumping {
    pump: Pump,
    tail: Tail,
    destination: Arc<Counted>,
}

impl Pumping {
    fn start(
        store: &Store,
        claims: &Claims,
        name: &str,
        events: usize,
        kafka: Option<KafkaTopic>,
        delays: Option<Mutex<Vec<Duration>>>,
    ) -> Self {
        let outbox = Arc::new(store.clone());
        let tail = Tail::start(outbox.clone());
        let (left, done) = (AtomicUsize::new(events), Notify::new());
        let destination = Arc::new(Counted { kafka, left, done, delays });
        let parts = PumpParts {
            outbox: outbox.clone(),
            feed: Feed::new(outbox, Origin::new("https://cabildo.example"), tail.clone()),
            claims: claims.clone(),
            clock: Clock::system(),
            destination: destination.clone(),
        };
        let options = PumpOptions {
            name: name.parse().expect("a name"),
            scope: Scope::Everyone,
            kinds: BTreeSet::from(["speech.approved.v1".to_owned()]),
            given_up_after: None,
            in_flight_max: IN_FLIGHT_MAX,
            retry: RetryTimes::default(),
        };
        Self { pump: Pump::start(parts, options), tail, destination }
    }

    /// Ends it; the delays that were measured.
    async fn stop(self) -> Vec<Duration> {
        self.pump.shutdown().await;
        self.tail.shutdown();
        match &self.destination.delays {
            Some(delays) => std::mem::take(&mut *delays.lock().await),
            None => Vec::new(),
        }
    }
}

async fn drain(
    store: &Store,
    claims: &Claims,
    name: &str,
    events: usize,
    kafka: Option<KafkaTopic>,
) {
    let (before, began) = (memory_mib(), Instant::now());
    let pumping = Pumping::start(store, claims, name, events, kafka, None);
    let mut most = before;
    loop {
        tokio::select! {
            () = pumping.destination.done.notified() => break,
            () = tokio::time::sleep(Duration::from_millis(50)) => most = most.max(memory_mib()),
        }
    }
    let took = began.elapsed().as_secs_f64();
    pumping.stop().await;
    println!(
        "{name:>6}: {events} events in {took:.2} s, {:.0} events/s; memory {before:.0} MiB before, {most:.0} MiB at most",
        events as f64 / took
    );
}

/// Decisions go on at an even pace while everything is delivered.
async fn follow(
    store: &Store,
    claims: &Claims,
    (tenant, sessions, decided): (TenantId, &[SessionId], usize),
    kafka: KafkaTopic,
) {
    let name = "kafka";
    let events = DECISIONS * PER_TRANSACTION;
    let pumping = Pumping::start(store, claims, name, events, Some(kafka), Some(Mutex::default()));
    let began = Instant::now();
    for number in 0..DECISIONS {
        tokio::time::sleep_until((began + PAUSE * number as u32).into()).await;
        let key = SessionKey::new(tenant, sessions[number % SESSIONS]);
        decide(store, key, decided + number / SESSIONS).await;
    }
    pumping.destination.done.notified().await;
    let took = began.elapsed().as_secs_f64();
    let mut delays = pumping.stop().await;
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{name:>6}: {:.0} events/s followed; from deciding until they have arrived {:.1} ms median, {:.1} ms at 99 %, {:.1} ms at most",
        events as f64 / took,
        at(50),
        at(99),
        at(100),
    );
}

#[tokio::main]
async fn main() {
    if std::env::args().any(|argument| argument == AS_BROKERS) {
        return Brokers::serve();
    }
    // Cargo passes `--bench`.
    let events = std::env::args().find_map(|argument| argument.parse().ok());
    let events = events.unwrap_or(EVENTS_DEFAULT);
    let data = tempfile::tempdir().expect("a directory");
    let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
    let store = Store::connect(&options).await.expect("a store");
    let tenant = TenantId::generate();
    let sessions = sessions(&store, tenant).await;
    for name in ["nobody", "kafka"] {
        let name: ReaderName = name.parse().expect("a name");
        store.register(&name, Beginning::Oldest).await.expect("registered");
    }
    let began = Instant::now();
    let decided = fill(&store, tenant, &sessions, events).await;
    let events = decided * PER_TRANSACTION * SESSIONS;
    println!("stored: {events} events in {:.2} s", began.elapsed().as_secs_f64());

    let claims = Claims::start(ClaimsParts {
        repository: Arc::new(store.clone()),
        instance: InstanceId::generate(),
        clock: BootClock::system(),
        times: LeaseTimes::default(),
    });
    drain(&store, &claims, "nobody", events, None).await;
    let brokers = Brokers::start();
    let producer = Producer::new(Connection {
        brokers: vec![brokers.servers.clone()],
        security: Security::Plaintext,
        tls: TlsFiles::default(),
        login: None,
    });
    let producer = Arc::new(producer.expect("a producer"));
    let topic = || KafkaTopic::new(producer.clone(), TOPIC.to_owned());
    drain(&store, &claims, "kafka", events, Some(topic())).await;
    follow(&store, &claims, (tenant, &sessions, decided), topic()).await;
    claims.shutdown().await;
}
