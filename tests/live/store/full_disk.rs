//! A disk that is full for a while, again and again, under a store that goes on
//! working: nothing acknowledged is lost, and it heals by itself.
//!   `CABILDO_DISK_ROUNDS`  how often the disk is filled (8; 3 for PostgreSQL)
//! Mounting a small file system takes the rights of root; without them these
//! tests say so and end.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::recorder::repository::{RecordedGap, RecordingRepository as _};
use cabildo::sessions::{FixedLimits, SessionService};
use cabildo::store::{Store, StoreOptions};
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::small_disk::SmallDisk;
use crate::store::fixture::{Kind, NOW, new_session};
use crate::store::postgres::Cluster;

/// Bytes of the file system: the database with its write-ahead log stays well
/// below them.
const DISK_BYTES: u64 = 48 << 20;
/// Bytes of a page of SQLite: each check writes at least one to the log.
const PAGE_BYTES: u64 = 4_096;
/// As [`DISK_BYTES`], for PostgreSQL, whose empty cluster takes half of it.
const POSTGRES_DISK_BYTES: u64 = 128 << 20;
/// A server that ends and recovers each time takes longer than a file.
const POSTGRES_ROUNDS_MAX: u64 = 20;
/// Tasks that write at the same time.
const WRITERS: u64 = 4;
/// A deadline says "never", not "slow".
const PATIENCE: Duration = Duration::from_mins(1);

/// Writers on one store, and what was acknowledged to them.
struct Writing {
    acknowledged: Arc<Mutex<BTreeSet<u64>>>,
    /// How many writes succeeded and failed.
    counts: watch::Sender<(u64, u64)>,
    next: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Writing {
    fn new() -> Self {
        Self {
            acknowledged: Arc::default(),
            counts: watch::Sender::new((0, 0)),
            next: Arc::default(),
            stop: Arc::default(),
            tasks: JoinSet::new(),
        }
    }

    fn begin(&mut self, store: &Store, session: &Session, track: RecordedTrackId) {
        self.stop.store(false, Ordering::SeqCst);
        for _ in 0..WRITERS {
            let (store, session) = (store.clone(), session.clone());
            let (acknowledged, counts) = (Arc::clone(&self.acknowledged), self.counts.clone());
            let (next, stop) = (Arc::clone(&self.next), Arc::clone(&self.stop));
            self.tasks.spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let gap = RecordedGap { track, from_ms: number, to_ms: number, reason: 1 };
                    let written = store.add_gap(session.key(), &gap).await;
                    if written.is_ok() {
                        acknowledged.lock().expect("sound").insert(number);
                    }
                    counts.send_modify(|(succeeded, failed)| match written {
                        Ok(()) => *succeeded += 1,
                        Err(_) => *failed += 1,
                    });
                }
            });
        }
    }

    /// Waits for so many more writes that succeed and that fail.
    async fn more(&self, (succeeded, failed): (u64, u64)) {
        let mut counts = self.counts.subscribe();
        let before = *counts.borrow();
        let waited =
            counts.wait_for(|now| now.0 >= before.0 + succeeded && now.1 >= before.1 + failed);
        tokio::time::timeout(PATIENCE, waited)
            .await
            .unwrap_or_else(|_| panic!("{succeeded} writes and {failed} failures did not come"))
            .expect("the sender is here");
    }

    async fn end(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("no writer panics");
        }
    }
}

async fn session_of(store: &Store, tenant: TenantId) -> Session {
    let service =
        SessionService::new(Arc::new(store.clone()), Arc::new(FixedLimits::default()), Vec::new());
    service.create(new_session(tenant), NOW).await.expect("created")
}

/// What is in the database, as another process sees it.
async fn stored(options: &StoreOptions, session: &Session) -> BTreeSet<u64> {
    let store = Store::connect(options).await.expect("connected");
    let gaps = store.gaps(session.key()).await.expect("read");
    store.close().await.expect("closed");
    gaps.into_iter().map(|gap| gap.from_ms).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_the_disk_is_full_now_and_then() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let rounds: u64 = std::env::var("CABILDO_DISK_ROUNDS")
        .map_or(8, |rounds| rounds.parse().expect("a number of rounds"));
    let mut options = StoreOptions::sqlite_file(&disk.path().join("cabildo.db"));
    options.free_bytes_min = 0;
    let store = Store::connect(&options).await.expect("connected");
    let session = session_of(&store, TenantId::generate()).await;
    let track = RecordedTrackId::random();
    let mut writing = Writing::new();
    for round in 0..rounds {
        writing.begin(&store, &session, track);
        // Another moment each time: before anything, or among some writes.
        writing.more((round % 7, 0)).await;
        disk.fill();
        writing.more((0, 1 + round % 5)).await;
        disk.free();
        // Every connection of the pool comes to be used again, without a restart.
        writing.more((4 * WRITERS, 0)).await;
        writing.end().await;
        if round % 10 == 9 || round + 1 == rounds {
            let there = stored(&options, &session).await;
            let acknowledged = writing.acknowledged.lock().expect("sound").clone();
            let lost: Vec<_> = acknowledged.difference(&there).collect();
            assert!(lost.is_empty(), "round {round}: acknowledged and not there: {lost:?}");
        }
    }
    store.check_writable().await.expect("it can be written to");
    store.close().await.expect("closed");
    let database = Database::connect(options.url.expose()).await.expect("opened");
    let check = Statement::from_string(DbBackend::Sqlite, "PRAGMA integrity_check");
    let row = database.query_one_raw(check).await.expect("checked").expect("an answer");
    assert_eq!(row.try_get_by_index::<String>(0).expect("a text"), "ok");
}

/// The server may end when its disk is full, and is then started again by whoever runs it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_while_the_disk_of_postgresql_is_full() {
    let Some(disk) = SmallDisk::mount(POSTGRES_DISK_BYTES) else { return };
    let rounds: u64 = std::env::var("CABILDO_DISK_ROUNDS")
        .map_or(3, |rounds| rounds.parse().expect("a number of rounds"));
    let kind = Kind::postgres(Cluster::start_in(disk.path().to_owned())).await;
    let fixture = kind.fixture("disk_full").await;
    let Kind::Postgres { cluster, .. } = &kind else { panic!("a cluster was asked for") };
    let store = fixture.store().clone();
    let session = session_of(&store, TenantId::generate()).await;
    let mut writing = Writing::new();
    for round in 0..rounds.min(POSTGRES_ROUNDS_MAX) {
        writing.begin(&store, &session, RecordedTrackId::random());
        writing.more((round % 7, 0)).await;
        disk.fill();
        writing.more((0, 1 + round % 5)).await;
        disk.free();
        cluster.revive();
        // Every connection of the pool comes to be used again, without a restart of ours.
        writing.more((4 * WRITERS, 0)).await;
        writing.end().await;
        store.check_writable().await.expect("it can be written to");
        let there = stored(&fixture.options, &session).await;
        let acknowledged = writing.acknowledged.lock().expect("sound").clone();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged and not there: {lost:?}");
        // A commit whose answer was cut off may be there.
        let failed = writing.counts.borrow().1;
        let more = there.difference(&acknowledged).count() as u64;
        assert!(more <= failed, "{more} are there that nobody asked for, {failed} failed");
    }
    store.close().await.expect("closed");
}

#[tokio::test]
async fn a_full_disk_is_noticed_by_the_check_and_over_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let mut options = StoreOptions::sqlite_file(&disk.path().join("cabildo.db"));
    options.free_bytes_min = 0;
    let store = Store::connect(&options).await.expect("connected");
    store.check_writable().await.expect("there is room");
    disk.fill();
    // Writes need no room as long as they fit into what the write-ahead log has on disk.
    let mut full = Ok(());
    for _ in 0..DISK_BYTES / PAGE_BYTES {
        full = store.check_writable().await;
        if full.is_err() {
            break;
        }
    }
    assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
    disk.free();
    store.check_writable().await.expect("there is room again");
}

#[tokio::test]
async fn the_reserve_is_for_work_that_was_begun() {
    use cabildo::claims::repository::ClaimRepository as _;
    use cabildo::domain::claim::{Fence, Work};
    use cabildo::domain::id::InstanceId;

    let Some(disk) = SmallDisk::mount(DISK_BYTES) else { return };
    let mut options = StoreOptions::sqlite_file(&disk.path().join("cabildo.db"));
    options.free_bytes_min = 0;
    let store = Store::connect(&options).await.expect("connected");
    let session = session_of(&store, TenantId::generate()).await;
    let (tenant, id, work) = (session.tenant_id, session.id, Work::Recording);
    let lease = Duration::from_hours(1);
    let epoch = store.take(SessionKey::new(tenant, id), work, InstanceId::generate(), lease).await;
    let epoch = epoch.expect("answered").expect("free");
    store.close().await.expect("closed");
    // More than this disk has.
    options.free_bytes_min = 2 * DISK_BYTES;
    let store = Store::connect(&options).await.expect("reading needs no room");
    let gap = RecordedGap { track: RecordedTrackId::random(), from_ms: 1, to_ms: 2, reason: 1 };
    let refused = store.add_gap(SessionKey::new(tenant, id), &gap).await;
    assert!(refused.is_err(), "the reserve was used for new work");
    assert!(store.check_writable().await.is_err());
    let owner = store.with_fence(Fence { session: id, work, epoch });
    owner.add_gap(SessionKey::new(tenant, id), &gap).await.expect("what was begun goes on");
    assert_eq!(store.gaps(SessionKey::new(tenant, id)).await.expect("read"), [gap]);
}
