//! Connections to PostgreSQL that are cut before a COMMIT reaches the server, and
//! after it did: what was acknowledged is there, and the store goes on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::recorder::repository::{RecordedGap, RecordingRepository as _};
use cabildo::store::{OnConnect, Store, StoreOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::store::fixture::Kind;
use crate::store::postgres::Cluster;

/// Rounds of each kind of cut.
const ROUNDS: u64 = 12;
/// A deadline says "never", not "slow".
const PATIENCE: Duration = Duration::from_mins(1);

/// What becomes of the next COMMIT.
const PASS: u8 = 0;
const CUT_BEFORE: u8 = 1;
const CUT_AFTER: u8 = 2;

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
            let message = &bytes[..read];
            // A COMMIT is a message of its own (PostgreSQL's simple query).
            let commits = message.windows(6).any(|word| word == b"COMMIT");
            let fate = if commits { next.swap(PASS, Ordering::SeqCst) } else { PASS };
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_connections_are_cut_at_a_commit() {
    let kind = Kind::postgres(Cluster::start()).await;
    let fixture = kind.fixture("cut").await;
    let session = fixture.session(TenantId::generate()).await;
    let (tenant, id) = (session.tenant_id, session.id);
    let url = fixture.options.url.expose();
    let (before, after) = url.rsplit_once(':').expect("a port");
    let (port, database) = after.split_once('/').expect("a database");
    let proxy = Proxy::start(port.parse().expect("a number")).await;
    let mut options = StoreOptions::new(Secret::new(format!("{before}:{}/{database}", proxy.port)));
    options.on_connect = OnConnect::Check;
    let store = Store::connect(&options).await.expect("connected");
    let track = RecordedTrackId::random();
    let mut acknowledged = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for round in 0..3 * ROUNDS {
        let fate = [CUT_BEFORE, CUT_AFTER, PASS][usize::try_from(round % 3).expect("small")];
        proxy.next.store(fate, Ordering::SeqCst);
        let gap = RecordedGap { track, from_ms: round, to_ms: round, reason: 1 };
        let written = tokio::time::timeout(PATIENCE, store.add_gap(tenant, id, &gap)).await;
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
    let gaps = fixture.store().gaps(tenant, id).await.expect("read");
    let there: BTreeSet<u64> = gaps.iter().map(|gap| gap.from_ms).collect();
    assert!(acknowledged.is_subset(&there), "acknowledged {acknowledged:?}, there {there:?}");
    for (round, fate) in unknown {
        if fate == CUT_BEFORE {
            assert!(!there.contains(&round), "round {round}: no COMMIT was sent, and it is there");
        }
    }
    store.close().await.expect("closed");
}
