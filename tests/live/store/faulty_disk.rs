//! Every operation by which SQLite changes its files fails in turn: once, three
//! times, and until the disk is mended. What was acknowledged is there afterwards,
//! also after a crash; what was refused is not; and the store goes on by itself.
//!   `CABILDO_ATTACK=long`  every single one instead of the first ones and samples

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use cabildo::domain::session::Session;
use cabildo::domain::store_error::StoreError;
use cabildo::recorder::repository::{RecordedGap, RecordingRepository as _};
use cabildo::room::repository::{RoomRepository as _, StoredChange, ToldEvent};
use cabildo::sessions::{FixedLimits, SessionFilter, SessionRepository as _, SessionService};
use cabildo::store::{OnConnect, Store, StoreOptions};
use tempfile::TempDir;

use crate::faulty_disk::{ERRORS, FOR_EVER, FaultyDisk};
use crate::store::fixture::{NOW, new_session};

const DATABASE: &str = "cabildo.db";
/// What is written while operations fail.
const WRITES: u64 = 4;
/// More operations than these writes can take.
const OPERATIONS_MAX: u64 = 1_000;
/// A deadline says "never", not "slow".
const PATIENCE: Duration = Duration::from_mins(1);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Acknowledged,
    /// It did not happen, and will not.
    Refused,
    /// It failed, and nothing more was said: it may be there later, and whoever wrote it writes it
    /// again.
    Failed,
}

/// A store on the disk, and what was written to it.
struct Work {
    store: Store,
    service: SessionService,
    session: Session,
    /// Those of the tenant that were acknowledged; no others may be there.
    sessions: BTreeSet<SessionId>,
    /// Whether sessions are created too: that waits until the disk works.
    creates: bool,
    track: RecordedTrackId,
    next_gap: u64,
    /// The `seq` of the room.
    seq: u64,
    /// Number of the next event, which is in its text.
    next_event: u64,
    gaps: BTreeSet<u64>,
    events: BTreeSet<u64>,
    refused_events: BTreeSet<u64>,
    /// It is not known whether the last event was stored.
    unsure: bool,
    /// Why the last write failed.
    why: String,
}

fn event(seq: u64, number: u64) -> ToldEvent {
    ToldEvent { seq, at: NOW, kind: "chat".to_owned(), payload: number.to_string() }
}

impl Work {
    async fn begin(options: &StoreOptions) -> Self {
        let store = Store::connect(options).await.expect("connected");
        let limits = FixedLimits::default();
        let service = SessionService::new(Arc::new(store.clone()), Arc::new(limits), Vec::new());
        let session = service.create(new_session(TenantId::generate()), NOW).await;
        let session = session.expect("created");
        Self {
            store,
            service,
            sessions: BTreeSet::from([session.id]),
            session,
            creates: true,
            track: RecordedTrackId::random(),
            next_gap: 0,
            seq: 0,
            next_event: 0,
            gaps: BTreeSet::new(),
            events: BTreeSet::new(),
            refused_events: BTreeSet::new(),
            unsure: false,
            why: String::new(),
        }
    }

    /// Creates a session, which is not told to have failed before it is known that it has.
    async fn create(&mut self) -> Outcome {
        match self.service.create(new_session(self.session.tenant_id), NOW).await {
            Ok(session) => {
                self.sessions.insert(session.id);
                Outcome::Acknowledged
            }
            Err(error) => {
                self.why = format!("a session: {error}");
                Outcome::Refused
            }
        }
    }

    async fn gap(&mut self) -> Outcome {
        let number = self.next_gap;
        self.next_gap += 1;
        let gap = RecordedGap { track: self.track, from_ms: number, to_ms: number, reason: 1 };
        let (tenant, id) = (self.session.tenant_id, self.session.id);
        match self.store.add_gap(SessionKey::new(tenant, id), &gap).await {
            Ok(()) => {
                self.gaps.insert(number);
                Outcome::Acknowledged
            }
            Err(error) => {
                self.why = format!("a gap: {error}");
                Outcome::Failed
            }
        }
    }

    /// Appends an event as a room does: when the answer leaves it open whether it was
    /// stored, the store is asked.
    async fn event(&mut self) -> Outcome {
        let (seq, number) = (self.seq + 1, self.next_event);
        self.next_event += 1;
        let (tenant, id) = (self.session.tenant_id, self.session.id);
        let state = (seq == 1).then(|| "state".to_owned());
        let change = StoredChange { seq, state, parts: Vec::new(), arrival: None };
        let events = [event(seq, number)];
        let outcome = match self.store.append(SessionKey::new(tenant, id), &change, &events).await {
            Err(StoreError::Unknown(_)) => {
                match self.store.committed_after(SessionKey::new(tenant, id), self.seq, 2).await {
                    Ok(found) if found == events => Outcome::Acknowledged,
                    Ok(found) => {
                        assert_eq!(found, [], "somebody else's event");
                        Outcome::Refused
                    }
                    Err(_) => Outcome::Failed,
                }
            }
            Ok(()) => Outcome::Acknowledged,
            Err(StoreError::Unavailable(why)) => {
                self.why = format!("an event: {why}");
                Outcome::Refused
            }
            Err(other) => panic!("what a failing disk does not explain: {other}"),
        };
        match outcome {
            Outcome::Acknowledged => {
                self.seq = seq;
                self.events.insert(number);
            }
            Outcome::Refused => {
                self.refused_events.insert(number);
            }
            Outcome::Failed => self.unsure = true,
        }
        outcome
    }

    async fn writes(&mut self) -> bool {
        // Nothing is written after a refusal, which would be written over what it left.
        if self.creates && self.create().await != Outcome::Acknowledged {
            return false;
        }
        let mut all = true;
        for write in 0..WRITES {
            // A room of which it is not known what it holds is loaded anew before it goes on.
            let is_event = write % 2 == 1 && !self.unsure;
            let outcome = if is_event { self.event().await } else { self.gap().await };
            all &= outcome == Outcome::Acknowledged;
        }
        all
    }

    /// As a room does that is opened again.
    async fn load(&mut self) {
        let (tenant, id) = (self.session.tenant_id, self.session.id);
        let record = self.store.load(SessionKey::new(tenant, id)).await.expect("loaded");
        self.seq = record.map_or(0, |record| record.seq);
        let stored =
            self.store.events_after(SessionKey::new(tenant, id), 0, u32::MAX).await.expect("read");
        self.events.extend(stored.iter().map(number_of));
        self.unsure = false;
    }

    /// Holds what a store has against what was told.
    async fn check(&self, store: &Store, when: &str) {
        let (tenant, id) = (self.session.tenant_id, self.session.id);
        let gaps = store.gaps(SessionKey::new(tenant, id)).await.expect("read");
        let gaps: BTreeSet<u64> = gaps.into_iter().map(|gap| gap.from_ms).collect();
        let (filter, all) = (SessionFilter::default(), u32::MAX);
        let sessions = store.list(tenant, &filter, None, all).await.expect("read");
        let sessions: BTreeSet<_> = sessions.into_iter().map(|session| session.id).collect();
        assert_eq!(sessions, self.sessions, "{when}: sessions that were acknowledged");
        let lost: Vec<_> = self.gaps.difference(&gaps).collect();
        assert!(lost.is_empty(), "{when}: gaps were acknowledged and are not there: {lost:?}");
        let events =
            store.events_after(SessionKey::new(tenant, id), 0, u32::MAX).await.expect("read");
        let events: BTreeSet<u64> = events.iter().map(number_of).collect();
        let lost: Vec<_> = self.events.difference(&events).collect();
        assert!(lost.is_empty(), "{when}: events were acknowledged and are not there: {lost:?}");
        let happened: Vec<_> = self.refused_events.intersection(&events).collect();
        assert!(happened.is_empty(), "{when}: events were refused and are there: {happened:?}");
    }
}

fn number_of(event: &ToldEvent) -> u64 {
    event.payload.parse().expect("a number")
}

/// What a process finds that starts after this one has died now.
async fn after_a_crash(options: &StoreOptions, directory: &Path) -> (Store, TempDir) {
    let copy = TempDir::new().expect("a directory");
    // The write-ahead log first: a connection that is closed meanwhile moves what is in it to the
    // database and removes it, and what is moved twice is the same.
    for name in [format!("{DATABASE}-wal"), DATABASE.to_owned()] {
        match std::fs::copy(directory.join(&name), copy.path().join(&name)) {
            Err(error) if error.kind() == ErrorKind::NotFound && name != DATABASE => {}
            copied => drop(copied.expect("copied")),
        }
    }
    let mut copied = StoreOptions::sqlite_file(&copy.path().join(DATABASE));
    copied.free_bytes_min = options.free_bytes_min;
    copied.on_connect = OnConnect::Check;
    (Store::connect(&copied).await.expect("it starts"), copy)
}

/// Writes while operations from the `first` on fail; whether the writes got as far.
async fn attack(
    work: &mut Work,
    disk: &FaultyDisk,
    options: &StoreOptions,
    (error, first, times): ((&str, u64), u64, u64),
) -> bool {
    let when = format!("{} at operation {first} and {times} in all", error.0);
    work.creates = times != FOR_EVER;
    disk.fail(error.1, first, times);
    let all = tokio::time::timeout(PATIENCE, work.writes()).await;
    let all = all.unwrap_or_else(|_| panic!("{when}: the store hangs"));
    if times == FOR_EVER && !all {
        work.store.check_writable().await.expect_err("nothing can be written");
    }
    let reached = disk.mend() > 0;
    assert!(all || reached, "{when}: a write failed and no operation had");
    if !all {
        let (store, _copy) = after_a_crash(options, disk.path()).await;
        work.check(&store, &format!("{when}, after a crash")).await;
        store.close().await.expect("closed");
    }
    work.creates = true;
    work.store.check_writable().await.unwrap_or_else(|error| panic!("{when}: {error}"));
    if work.unsure {
        work.load().await;
    }
    let healed = tokio::time::timeout(PATIENCE, work.writes()).await;
    assert_eq!(
        healed,
        Ok(true),
        "{when}: the disk works again and the store does not: {}",
        work.why
    );
    work.check(&work.store.clone(), &when).await;
    reached
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_whichever_operation_of_the_disk_fails() {
    let name = "store::faulty_disk::\
                nothing_acknowledged_is_lost_whichever_operation_of_the_disk_fails";
    let Some(disk) = FaultyDisk::of_test(name) else { return };
    let long = std::env::var("CABILDO_ATTACK").is_ok_and(|form| form == "long");
    let mut options = StoreOptions::sqlite_file(&disk.path().join(DATABASE));
    options.free_bytes_min = 0;
    // While a disk can't be written to, no connection can be opened.
    options.acquire_timeout = Duration::from_millis(500);
    let mut work = Work::begin(&options).await;
    assert!(work.writes().await, "the disk works");
    let mut failed = 0;
    for error in ERRORS {
        for times in [1, 3, FOR_EVER] {
            let mut first = 1;
            while attack(&mut work, &disk, &options, (error, first, times)).await {
                failed += 1;
                // The first ones one by one, later ones are of the same kind; a disk that fails for
                // good is waited for again and again.
                first += match times {
                    _ if long => 1,
                    FOR_EVER => 4,
                    _ if first < 8 => 1,
                    _ => 3,
                };
                assert!(first < OPERATIONS_MAX, "{WRITES} writes never end");
            }
        }
    }
    // A failed write and a failed sync of each write at least.
    assert!(failed > 9 * WRITES, "{failed} operations were made to fail");
    work.store.close().await.expect("closed");
}
