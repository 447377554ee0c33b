//! What attendance costs in a room of 2,000 people: validations a second, registrations at the
//! desk a second, and how long after a decision the last of them has been told that the quorum is
//! lost or reached (numbers alone are told once a second). The store is SQLite as on a server; the
//! identity service is in this process and takes everything at once, and the limits of attempts are
//! counted anew for each hundred.
//!
//! `cargo bench --bench attendance`

#![expect(clippy::print_stdout, reason = "a bench reports on its output")]
#![expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cabildo::attendance::ports::{EligibleList, PresenceVerifier, Presentation};
use cabildo::attendance::{Member, Roll, VALIDATIONS_PER_TENANT_MAX};
use cabildo::clock::Clock;
use cabildo::domain::attendance::{AttendanceFailure, AttendanceMethod};
use cabildo::domain::id::{ActionId, AssemblyId, SessionId, SessionKey, TenantId, UserId};
use cabildo::domain::participant::Principal;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::secret::Secret;
use cabildo::domain::session::Modality;
use cabildo::room::action::AttendanceAction;
use cabildo::room::ports::RoomPorts;
use cabildo::room::{Desk, Entered, Outbound, Presented, Rooms};
use cabildo::sessions::{FixedLimits, NewSession, SessionService, TenantLimits};
use cabildo::sfu::{Sfu, SfuOptions};
use cabildo::store::{Store, StoreOptions};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// People of the list; all of them come.
const PEOPLE: usize = 2_000;
/// Validations that wait for each other's answers.
const AT_ONCE: usize = 16;
/// Turns of the quorum that are measured.
const TURNS: usize = 200;

/// Takes everything.
struct Identity;

#[async_trait]
impl PresenceVerifier for Identity {
    async fn verify(&self, presented: &Presentation) -> Result<UserId, AttendanceFailure> {
        Ok(presented.user.clone())
    }
}

struct Assembly {
    rooms: Rooms,
    key: SessionKey,
    _data: tempfile::TempDir,
}

impl Assembly {
    /// A session whose list everybody is on, and in which nobody is present.
    async fn begin() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let options = StoreOptions::sqlite_file(&data.path().join("cabildo.db"));
        let store = Store::connect(&options).await.expect("a store");
        let default =
            TenantLimits { max_participants_per_session: 5_000, ..TenantLimits::default() };
        let limits = Arc::new(FixedLimits { default, ..FixedLimits::default() });
        let sessions = SessionService::new(Arc::new(store.clone()), limits, Vec::new());
        let (tenant, now) = (TenantId::generate(), Clock::system().now());
        let wanted = NewSession {
            max_participants: Some(5_000),
            ..NewSession::new(tenant, AssemblyId::generate(), "Assembly", Modality::Mixed)
        };
        let session = sessions.create(wanted, now).await.expect("created").id;
        let key = SessionKey::new(tenant, session);
        sessions.start(key, None, now).await.expect("started");
        let media = Sfu::start(SfuOptions { workers: 1, ..SfuOptions::default() });
        let (sessions, repository) = (Arc::new(store.clone()), Arc::new(store));
        let media = media.expect("a media plane");
        let rooms = Rooms::new(sessions, repository, media, Clock::system(), RoomPorts::default());
        let members = (0..PEOPLE).map(|number| Member {
            user_id: user(number),
            name: format!("Member {number} of the assembly"),
            units: [(
                format!("Unit {number}").parse().expect("a unit"),
                "0.05".parse().expect("a weight"),
            )]
            .into(),
        });
        let roll = Roll::new(members).expect("a list");
        let list = EligibleList { roll, delegated: Vec::new() };
        rooms.attend(key, AttendanceAction::TakeList(Box::new(list))).await.expect("taken");
        Self { rooms, key, _data: data }
    }

    /// Everybody presents a QR code of their own.
    async fn validate(&self) {
        let began = Instant::now();
        let mut times = Vec::new();
        let mut running = JoinSet::new();
        let mut desk = self.desk();
        for number in 0..PEOPLE {
            if number.is_multiple_of(VALIDATIONS_PER_TENANT_MAX) {
                desk = self.desk();
            }
            if running.len() == AT_ONCE {
                times.extend(running.join_next().await.expect("one runs"));
            }
            running.spawn(validated(
                desk.clone(),
                principal(self.key.tenant, number),
                self.key.session,
            ));
        }
        while let Some(took) = running.join_next().await {
            times.extend(took);
        }
        report("validations", times, began.elapsed());
    }

    fn desk(&self) -> Desk {
        Desk::new(self.rooms.clone(), Some(Arc::new(Identity)), Clock::system())
    }

    /// Everybody is marked as left and then registered by a moderator, one after the other.
    async fn register(&self) {
        for number in 0..PEOPLE {
            self.mark(number, Mark::Left).await;
        }
        let began = Instant::now();
        let mut times = Vec::new();
        for number in 0..PEOPLE {
            let one = Instant::now();
            self.mark(number, Mark::Registered).await;
            times.push(one.elapsed());
        }
        report("registrations", times, began.elapsed());
    }

    async fn mark(&self, number: usize, mark: Mark) {
        let (user, by) = (user(number), "chair".parse().expect("an id"));
        let decision = ActionId::generate();
        let action = match mark {
            Mark::Left => AttendanceAction::MarkLeft { user, decision, by },
            Mark::Registered => {
                let represents = Vec::new();
                AttendanceAction::Register { user, represents, decision, by }
            }
        };
        self.rooms.attend(self.key, action).await.expect("done");
    }

    /// Everybody enters and reads, and so many are marked as left that one more loses the quorum;
    /// then one goes and comes back again and again.
    async fn turn_quorum(&self) {
        let (told, mut counted) = mpsc::unbounded_channel();
        let mut entered = Vec::new();
        for number in 0..PEOPLE {
            entered.push(self.enter(number, told.clone()).await);
        }
        let decisive = PEOPLE / 2 - 1;
        for number in 0..decisive {
            self.mark(number, Mark::Left).await;
        }
        assert!(counted.is_empty(), "the quorum was reached before they came");
        let began = Instant::now();
        let mut times = Vec::new();
        for turn in 0..TURNS {
            let mark = if turn.is_multiple_of(2) { Mark::Left } else { Mark::Registered };
            let one = Instant::now();
            self.mark(decisive, mark).await;
            for _ in 0..PEOPLE {
                counted.recv().await.expect("everybody is told");
            }
            times.push(one.elapsed());
        }
        report("turns of the quorum until the last person was told", times, began.elapsed());
    }

    /// Somebody who says each time that they were told of a quorum that turned.
    async fn enter(&self, number: usize, told: mpsc::UnboundedSender<()>) -> Entered {
        let (sink, mut outbound) = mpsc::channel(4_096);
        tokio::spawn(async move {
            while let Some(message) = outbound.recv().await {
                let is_turn = |text: &Arc<str>| text.contains("\"turned\":true");
                let Outbound::Told(texts) = message else { continue };
                if texts.iter().any(is_turn) && told.send(()).is_err() {
                    break;
                }
            }
        });
        let principal = principal(self.key.tenant, number);
        let entered = self.rooms.enter(principal, self.key.session, [1; 32], sink).await;
        entered.expect("let in")
    }
}

#[derive(Clone, Copy)]
enum Mark {
    Left,
    Registered,
}

async fn validated(desk: Desk, person: Principal, session: SessionId) -> Duration {
    let secret = Secret::new(format!("code of {}", person.user_id.as_str()));
    let method = AttendanceMethod::Qr;
    let presented = Presented { method, secret, variant: None, place: None, location: None };
    let began = Instant::now();
    let answer = desk.validate(&person, session, presented).await.expect("validated");
    assert!(answer.attendee.person.is_present());
    began.elapsed()
}

fn user(number: usize) -> UserId {
    format!("member-{number:05}").parse().expect("a user id")
}

fn principal(tenant: TenantId, number: usize) -> Principal {
    Principal {
        tenant_id: tenant,
        user_id: user(number),
        roles: Roles::of(&[Role::Participant]),
        name: format!("Member {number} of the assembly"),
        locale: None,
        session_id: None,
        key_thumbprint: None,
        expires_at: Clock::system().now().after(Duration::from_hours(1)),
        judged_at: Clock::system().now(),
    }
}

fn report(what: &str, mut times: Vec<Duration>, took: Duration) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "{} {what} in {:.2} s: {:.0}/s, {:.1} ms median, {:.1} ms at 95 %, {:.1} ms at most",
        times.len(),
        took.as_secs_f64(),
        times.len() as f64 / took.as_secs_f64(),
        at(50),
        at(95),
        at(100),
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let assembly = Assembly::begin().await;
    assembly.validate().await;
    assembly.register().await;
    assembly.turn_quorum().await;
    assembly.rooms.shutdown().await;
}
