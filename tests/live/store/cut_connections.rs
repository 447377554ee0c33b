//! Connections to PostgreSQL that are cut before a COMMIT reaches the server, and
//! after it did, COMMITs that the server refuses, and a server that is restarted:
//! what was acknowledged is there, what was refused is not, and the store goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, SessionKey, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::recorder::repository::{RecordedGap, RecordingRepository as _};
use cabildo::sessions::{FixedLimits, SessionService};
use cabildo::store::{OnConnect, Store, StoreOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::store::fixture::{Fixture, Kind, NOW, new_session};
use crate::store::postgres::{Cluster, Ending};

/// Rounds of each kind of cut.
const ROUNDS: u64 = 12;
/// A deadline says "never", not "slow".
const PATIENCE: Duration = Duration::from_mins(1);

/// What becomes of the next COMMIT.
const PASS: u8 = 0;
const CUT_BEFORE: u8 = 1;
const CUT_AFTER: u8 = 2;
/// The server answers with an error, and then takes the ROLLBACK.
const REFUSE: u8 = 3;
/// Restarts of the server.
const RESTARTS: u64 = 3;
/// Tasks that write meanwhile.
const WRITERS: u64 = 4;

/// Passes everything on, but cuts a connection at a COMMIT when it is told to.
struct Proxy {
    port: u16,
    next: Arc<AtomicU8>,
}

impl Proxy {
    async fn start(database_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let next = Arc::new(AtomicU8::new(PASS));
        let told = Arc::clone(&next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", database_port)).await;
                let server = server.expect("the database answers");
                tokio::spawn(pass_on(client, server, Arc::clone(&told)));
            }
        });
        Self { port, next }
    }
}

/// Ends when either side does, or with a cut. An error of a socket is its end.
async fn pass_on(client: TcpStream, server: TcpStream, next: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = async move { tokio::io::copy(&mut from_server, &mut to_client).await };
    let asked = async move {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = match from_client.read(&mut bytes).await {
                Ok(0) | Err(_) => return,
                Ok(read) => read,
            };
            let message = &mut bytes[..read];
            // A COMMIT is a message of its own (PostgreSQL's simple query).
            let commit = message.windows(6).position(|word| word == b"COMMIT");
            let fate = if commit.is_some() { next.swap(PASS, Ordering::SeqCst) } else { PASS };
            if let Some(at) = commit.filter(|_| fate == REFUSE) {
                // No word of SQL: an error, which ends the transaction.
                message[at..at + 6].copy_from_slice(b"COMMIX");
            }
            if fate == CUT_BEFORE {
                return;
            }
            if to_server.write_all(message).await.is_err() {
                return;
            }
            if fate == CUT_AFTER {
                return;
            }
        }
    };
    tokio::select! {
        biased;
        () = asked => {}
        _ = answers => {}
    }
}

/// A store that reaches the database of the fixture through a proxy.
async fn through_proxy(fixture: &Fixture) -> (Proxy, Store) {
    let url = fixture.options.url.expose();
    let (before, after) = url.rsplit_once(':').expect("a port");
    let (port, database) = after.split_once('/').expect("a database");
    let proxy = Proxy::start(port.parse().expect("a number")).await;
    let mut options = StoreOptions::new(Secret::new(format!("{before}:{}/{database}", proxy.port)));
    options.on_connect = OnConnect::Check;
    let store = Store::connect(&options).await.expect("connected");
    (proxy, store)
}

/// Changes that somebody is told have failed, who then asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_failed_has_not_happened_wherever_the_connection_is_cut() {
    let kind = Kind::postgres(Cluster::start()).await;
    let fixture = kind.fixture("marked").await;
    let (proxy, store) = through_proxy(&fixture).await;
    let limits = Arc::new(FixedLimits::default());
    let service = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
    let tenant = TenantId::generate();
    let mut there = 0;
    for round in 0..4 * ROUNDS {
        let fates = [CUT_BEFORE, CUT_AFTER, REFUSE, PASS];
        let fate = fates[usize::try_from(round % 4).expect("small")];
        proxy.next.store(fate, Ordering::SeqCst);
        let created = service.create(new_session(tenant), NOW);
        let created = tokio::time::timeout(PATIENCE, created).await.expect("it is answered");
        // A COMMIT is lost when its connection is cut before the server has read it.
        if fate != CUT_AFTER {
            assert_eq!(created.is_ok(), fate == PASS, "round {round}: {created:?}");
        }
        there += i64::from(created.is_ok());
        assert_eq!(fixture.count("sessions").await, there, "round {round}");
    }
    // The probe has a row, and transactions that come one after the other share one.
    store.check_writable().await.expect("it can be written to");
    assert_eq!(fixture.count("write_probes").await, 2);
    store.close().await.expect("closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_connections_are_cut_at_a_commit() {
    let kind = Kind::postgres(Cluster::start()).await;
    let fixture = kind.fixture("cut").await;
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let (proxy, store) = through_proxy(&fixture).await;
    let track = RecordedTrackId::random();
    let mut acknowledged = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for round in 0..4 * ROUNDS {
        let fates = [CUT_BEFORE, CUT_AFTER, REFUSE, PASS];
        let fate = fates[usize::try_from(round % 4).expect("small")];
        proxy.next.store(fate, Ordering::SeqCst);
        let gap = RecordedGap { track, from_ms: round, to_ms: round, reason: 1 };
        let written =
            tokio::time::timeout(PATIENCE, store.add_gap(SessionKey::new(tenant, id), &gap)).await;
        #[expect(clippy::single_match_else, reason = "both outcomes are equally expected")]
        match written.expect("it is answered") {
            Ok(()) => {
                assert_eq!(fate, PASS, "round {round}: a commit nobody heard of was acknowledged");
                acknowledged.insert(round);
            }
            Err(_) => {
                assert_ne!(fate, PASS, "round {round}: the store did not recover");
                unknown.insert((round, fate));
            }
        }
    }
    let gaps = fixture.store().gaps(SessionKey::new(tenant, id)).await.expect("read");
    let there: BTreeSet<u64> = gaps.iter().map(|gap| gap.from_ms).collect();
    assert!(acknowledged.is_subset(&there), "acknowledged {acknowledged:?}, there {there:?}");
    for (round, fate) in unknown {
        if fate != CUT_AFTER {
            assert!(
                !there.contains(&round),
                "round {round}: nothing was committed, and it is there"
            );
        }
    }
    store.close().await.expect("closed");
}

/// Writes until it is told to stop; what was acknowledged, and how often it failed.
async fn write(
    store: Store,
    key: SessionKey,
    track: RecordedTrackId,
    (next, stop): (Arc<AtomicU64>, Arc<AtomicBool>),
    succeeded: watch::Sender<u64>,
) -> (BTreeSet<u64>, u64) {
    let (mut acknowledged, mut failed) = (BTreeSet::new(), 0);
    while !stop.load(Ordering::SeqCst) {
        let number = next.fetch_add(1, Ordering::SeqCst);
        let gap = RecordedGap { track, from_ms: number, to_ms: number, reason: 1 };
        if store.add_gap(key, &gap).await.is_ok() {
            acknowledged.insert(number);
            succeeded.send_modify(|count| *count += 1);
        } else {
            failed += 1;
        }
    }
    (acknowledged, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_restarted() {
    let kind = Kind::postgres(Cluster::start()).await;
    let fixture = kind.fixture("restarted").await;
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id, track) = (session.tenant_id, session.id, RecordedTrackId::random());
    let shared = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let succeeded = watch::Sender::new(0_u64);
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let store = fixture.store().clone();
        writers.spawn(write(
            store,
            SessionKey::new(tenant, id),
            track,
            shared.clone(),
            succeeded.clone(),
        ));
    }
    let Kind::Postgres { cluster, .. } = &kind else { panic!("a cluster was asked for") };
    for restart in 0..RESTARTS {
        // Every connection of the pool comes to be used, before and after.
        let goal = *succeeded.borrow() + 10 * WRITERS;
        let mut counted = succeeded.subscribe();
        let written = counted.wait_for(|count| *count >= goal);
        let written = tokio::time::timeout(PATIENCE, written).await;
        written.expect("the store goes on").expect("the sender is here");
        cluster.restart(if restart % 2 == 0 { Ending::InOrder } else { Ending::Crash });
    }
    let goal = *succeeded.borrow() + 10 * WRITERS;
    let mut counted = succeeded.subscribe();
    let written = tokio::time::timeout(PATIENCE, counted.wait_for(|count| *count >= goal)).await;
    written.expect("the store goes on").expect("the sender is here");
    shared.1.store(true, Ordering::SeqCst);
    let (mut acknowledged, mut failed) = (BTreeSet::new(), 0);
    while let Some(ended) = writers.join_next().await {
        let (theirs, times) = ended.expect("no writer panics");
        acknowledged.extend(theirs);
        failed += times;
    }
    let read = async || -> BTreeSet<u64> {
        // As another process sees it.
        let store = Store::connect(&fixture.options).await.expect("connected");
        let gaps = store.gaps(SessionKey::new(tenant, id)).await.expect("read");
        store.close().await.expect("closed");
        gaps.iter().map(|gap| gap.from_ms).collect()
    };
    let there = read().await;
    let lost: Vec<_> = acknowledged.difference(&there).collect();
    assert!(lost.is_empty(), "acknowledged and not there: {lost:?}");
    // A COMMIT whose answer was cut off may be there without having been acknowledged.
    let more = there.difference(&acknowledged).count() as u64;
    assert!(more <= failed, "{more} are there that nobody asked for, {failed} failed");
    cluster.restart(Ending::Crash);
    assert_eq!(read().await, there, "what was refused appeared later");
}
