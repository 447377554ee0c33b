//! What a decision of a room costs, for 50, 500 and 2,000 members: decisions a
//! second, bytes handed to the repository for each event, and memory. Joining is
//! measured by itself, and 500 people who come within ten seconds.
//!
//! `cargo bench --bench room` stores in SQLite as a server does; `-- --memory`
//! keeps the repository in memory, so that what is left is the room's own cost.

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts far below 2^52, and shares of them"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo::clock::Clock;
use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{AssemblyId, SessionId, SessionKey, TenantId};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::{Modality, ModerationMode};
use cabildo::domain::store_error::StoreError;
use cabildo::room::action::{Action, ChatAction, FloorAction, MediaFlags, PeopleAction};
use cabildo::room::ports::RoomPorts;
use cabildo::room::repository::{RoomRepository, StoredChange, StoredRoom, ToldEvent};
use cabildo::room::{Entered, MemberHandle, Rooms};
use cabildo::sessions::{FixedLimits, NewSession, SessionService, TenantLimits};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::{Store, StoreOptions};
use tokio::sync::mpsc;

const SIZES: [usize; 3] = [50, 500, 2_000];
/// Rounds of decisions measured for each size.
const ROUNDS: usize = 100;
const JOINS: usize = 500;
const JOINS_WITHIN: Duration = Duration::from_secs(10);

/// Counts what is handed to the repository.
struct Counting {
    store: Store,
    in_memory: AtomicBool,
    events: AtomicU64,
    event_bytes: AtomicU64,
    state_bytes: AtomicU64,
}

impl Counting {
    fn reset(&self) {
        for counter in [&self.events, &self.event_bytes, &self.state_bytes] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    fn read(&self) -> [f64; 3] {
        [&self.events, &self.event_bytes, &self.state_bytes]
            .map(|counter| counter.load(Ordering::Relaxed) as f64)
    }
}

fn bytes_of(change: &StoredChange) -> usize {
    let part = |(name, value): &(String, Option<String>)| {
        name.len() + value.as_ref().map_or(0, String::len)
    };
    change.state.as_ref().map_or(0, String::len) + change.parts.iter().map(part).sum::<usize>()
}

#[async_trait]
impl RoomRepository for Counting {
    async fn load(&self, key: SessionKey) -> Result<Option<StoredRoom>, StoreError> {
        self.store.load(key).await
    }

    async fn append(
        &self,
        key: SessionKey,
        change: &StoredChange,
        events: &[ToldEvent],
    ) -> Result<(), StoreError> {
        let texts: usize = events.iter().map(|event| event.payload.len()).sum();
        self.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.event_bytes.fetch_add(texts as u64, Ordering::Relaxed);
        self.state_bytes.fetch_add(bytes_of(change) as u64, Ordering::Relaxed);
        if self.in_memory.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.store.append(key, change, events).await
    }

    async fn events_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.store.events_after(key, after, limit).await
    }

    async fn committed_after(
        &self,
        key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ToldEvent>, StoreError> {
        self.store.committed_after(key, after, limit).await
    }
}

struct Meeting {
    rooms: Rooms,
    repository: Arc<Counting>,
    tenant: TenantId,
    session: SessionId,
    members: Vec<Entered>,
    _data: tempfile::TempDir,
}

impl Meeting {
    async fn begin(in_memory: bool) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
        let store = Store::connect(&options).await.expect("a store");
        let default =
            TenantLimits { max_participants_per_session: 5_000, ..TenantLimits::default() };
        let limits = Arc::new(FixedLimits { default, ..FixedLimits::default() });
        let sessions = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
        let tenant = TenantId::generate();
        let now = Clock::system().now();
        let wanted = NewSession {
            max_participants: Some(5_000),
            moderation: Some(ModerationMode::Moderated),
            ..NewSession::new(tenant, AssemblyId::generate(), "Assembly", Modality::Mixed)
        };
        let session = sessions.create(wanted, now).await.expect("created").id;
        sessions.start(SessionKey::new(tenant, session), None, now).await.expect("started");
        let repository = Arc::new(Counting {
            store: store.clone(),
            in_memory: AtomicBool::new(in_memory),
            events: AtomicU64::new(0),
            event_bytes: AtomicU64::new(0),
            state_bytes: AtomicU64::new(0),
        });
        let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
        let media = media.expect("a media plane");
        let sessions = Arc::new(store);
        let ports = RoomPorts::default();
        let rooms = Rooms::new(sessions, repository.clone(), media, Clock::system(), ports);
        Self { rooms, repository, tenant, session, members: Vec::new(), _data: data }
    }

    fn principal(&self, number: usize) -> Principal {
        let role = if number == 0 { Role::Moderator } else { Role::Participant };
        Principal {
            tenant_id: self.tenant,
            user_id: format!("member-{number:05}").parse().expect("a user id"),
            roles: Roles::of(&[role]),
            name: format!("Member {number} of the assembly"),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: Clock::system().now().after(Duration::from_hours(1)),
            judged_at: Clock::system().now(),
        }
    }

    /// One more member, who reads all that they are told.
    async fn join(&mut self) -> Duration {
        let (sink, mut outbound) = mpsc::channel(4_096);
        tokio::spawn(async move { while outbound.recv().await.is_some() {} });
        let principal = self.principal(self.members.len());
        let begun = Instant::now();
        let entered = self.rooms.enter(principal, self.session, [1; 32], sink).await;
        let took = begun.elapsed();
        self.members.push(entered.expect("let in"));
        took
    }

    /// What happens in a meeting; yields how many wishes it were.
    async fn round(&self, number: usize) -> usize {
        let chair = &self.members[0].member;
        let speaker = &self.members[1 + number % (self.members.len() - 1)];
        let muted = &self.members[1 + (number + 1) % (self.members.len() - 1)].user;
        let (kind, stance, note) = (SpeechKind::Normal, None, None);
        let ask = FloorAction::RequestSpeech { kind, stance, note };
        let made = speaker.member.act(ask).await.expect("asked");
        let request = made.request.expect("a request");
        let flags = |audio| MediaFlags { audio, video: false, screen: false };
        let remark = ChatAction::Say { text: "I agree with the last speaker.".to_owned() };
        let decisions: [(&MemberHandle, Action); 8] = [
            (chair, FloorAction::ApproveSpeech(request).into()),
            (chair, FloorAction::StartTurn { request: Some(request), limit: None }.into()),
            (&speaker.member, PeopleAction::SetMedia(flags(true)).into()),
            (chair, PeopleAction::Mute(muted.clone()).into()),
            (&speaker.member, remark.into()),
            (chair, PeopleAction::Unmute(muted.clone()).into()),
            (&speaker.member, PeopleAction::SetMedia(flags(false)).into()),
            (chair, FloorAction::StopTurn.into()),
        ];
        for (member, action) in decisions {
            member.act(action).await.expect("done");
        }
        9
    }
}

/// Resident memory of this process.
fn resident_mib() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or_default() * 4.0 / 1024.0
}

async fn measure(size: usize, in_memory: bool) {
    let before_mib = resident_mib();
    let mut meeting = Meeting::begin(in_memory).await;
    let begun = Instant::now();
    for _ in 0..size {
        meeting.join().await;
    }
    let join_ms = begun.elapsed().as_secs_f64() * 1e3 / size as f64;
    let [events, event_bytes, state_bytes] = meeting.repository.read();
    let join_bytes = (event_bytes + state_bytes) / events;
    meeting.repository.reset();
    let begun = Instant::now();
    let mut wishes = 0;
    for number in 0..ROUNDS {
        wishes += meeting.round(number).await;
    }
    let took = begun.elapsed().as_secs_f64();
    let [events, event_bytes, state_bytes] = meeting.repository.read();
    println!(
        "{size:>7} {:>11.0} {:>10.0} {:>12.0} {:>12.0} {join_ms:>9.2} {join_bytes:>11.0} {:>9.1}",
        wishes as f64 / took,
        events / took,
        event_bytes / events,
        state_bytes / events,
        resident_mib() - before_mib,
    );
    meeting.rooms.shutdown().await;
}

/// 500 people come at an even pace within ten seconds.
async fn rush(in_memory: bool) {
    let mut meeting = Meeting::begin(in_memory).await;
    let begun = Instant::now();
    let mut waits = Vec::new();
    for number in 0..JOINS {
        let due = begun + JOINS_WITHIN.mul_f64(number as f64 / JOINS as f64);
        tokio::time::sleep_until(due.into()).await;
        meeting.join().await;
        // From the moment they came, so that falling behind shows.
        waits.push(due.elapsed());
    }
    waits.sort();
    let at = |share: f64| waits[((JOINS - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!(
        "{JOINS} joins in {:.1} s, waited p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms",
        begun.elapsed().as_secs_f64(),
        at(0.5),
        at(0.95),
        at(0.99)
    );
    meeting.rooms.shutdown().await;
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let in_memory = std::env::args().any(|argument| argument == "--memory");
    println!("repository: {}", if in_memory { "in memory" } else { "SQLite" });
    println!(
        "{:>7} {:>11} {:>10} {:>12} {:>12} {:>9} {:>11} {:>9}",
        "members",
        "decisions/s",
        "events/s",
        "event B/ev",
        "state B/ev",
        "join ms",
        "join B/ev",
        "MiB"
    );
    for size in SIZES {
        measure(size, in_memory).await;
    }
    rush(in_memory).await;
}
