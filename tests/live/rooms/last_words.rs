//! The end of a session whose last words have not become text yet.

use std::sync::Mutex;

use cabildo::domain::arrival::Arrival;
use cabildo::domain::id::{ActionId, SessionKey, TrackId};
use cabildo::domain::participant::ParticipantKind;
use cabildo::domain::recording::RecordingState;
use cabildo::domain::time::Timestamp;
use cabildo::domain::transcript::{Transcribed, TranscriptChunk};
use cabildo::room::MemberHandle;
use cabildo::room::action::{AttendanceAction, Vote};
use cabildo::room::ports::{RoomTrack, TrackListener};
use cabildo::sessions::Change;

use super::*;

/// Somebody who tells what was said only once the session ends.
#[derive(Default)]
struct Slow {
    rooms: Mutex<Option<Rooms>>,
    spoken: Mutex<Option<(Timestamp, Timestamp)>>,
    /// What came of the text, and of text of a later time.
    outcomes: Mutex<Vec<Result<(), RoomError>>>,
    /// What came of everything else that the room was asked for.
    asked: Mutex<Vec<(&'static str, Result<(), RoomError>)>>,
    late: Mutex<Option<Late>>,
}

/// Who asks for something while the session ends.
struct Late {
    newcomer: Principal,
    /// Somebody whose connection was lost.
    lost: ResumeRequest,
    member: MemberHandle,
}

impl Late {
    async fn ask(
        self,
        rooms: &Rooms,
        key: SessionKey,
    ) -> Vec<(&'static str, Result<(), RoomError>)> {
        let Self { newcomer, lost, member } = self;
        let (sink, _outbound) = mpsc::channel(8);
        let entered = rooms.enter(newcomer, key.session, [9; 32], sink.clone()).await.map(drop);
        let resumed = rooms.resume(key.session, key.tenant, lost, sink).await.map(drop);
        let acted = member.act(chat("one more thing")).await.map(drop);
        let user = || "ana".parse().expect("a user id");
        let left =
            AttendanceAction::MarkLeft { user: user(), decision: ActionId::generate(), by: user() };
        let attended = rooms.attend(key, left).await.map(drop);
        let (id, title) = ("vote-1".to_owned(), "The budget".to_owned());
        let vote = Vote { id, title, started_at: None, ends_at: None };
        let arrival = Arrival { source: "governance".to_owned(), id: "1".to_owned() };
        let voted = rooms.announce_vote(key, vote, arrival).await;
        vec![
            ("enter", entered),
            ("resume", resumed),
            ("act", acted),
            ("attend", attended),
            ("vote", voted),
        ]
    }
}

fn said(text: &str, (from, to): (Timestamp, Timestamp)) -> Transcribed {
    Transcribed::Chunk(TranscriptChunk {
        user: "ana".parse().expect("a user id"),
        track: TrackId::generate(),
        text: text.to_owned(),
        confidence: 1.0,
        from,
        to,
        is_final: true,
        engine: "slow".to_owned(),
        language: "es".to_owned(),
    })
}

#[async_trait]
impl TrackListener for Slow {
    fn kind(&self) -> Option<ParticipantKind> {
        Some(ParticipantKind::Transcriber)
    }

    async fn session_ending(&self, key: SessionKey) {
        let rooms = self.rooms.lock().expect("not poisoned").take().expect("the rooms");
        let (from, to) = self.spoken.lock().expect("not poisoned").take().expect("a time");
        let before = rooms.transcribed(key, said("last words", (from, to))).await;
        let length = Duration::from_secs(10);
        let unsaid = (to.after(length), to.after(2 * length));
        let after = rooms.transcribed(key, said("nobody said this", unsaid)).await;
        self.outcomes.lock().expect("not poisoned").extend([before, after]);
        let late = self.late.lock().expect("not poisoned").take().expect("somebody");
        let asked = Box::pin(late.ask(&rooms, key)).await;
        self.asked.lock().expect("not poisoned").extend(asked);
    }

    async fn recording_changed(&self, _key: SessionKey, _: RecordingState) {}

    async fn gates_decided(&self, _key: SessionKey, _: u64) {}

    async fn track_published(&self, _key: SessionKey, _: RoomTrack) {}

    async fn track_unpublished(&self, _key: SessionKey, _: TrackId) {}
}

#[tokio::test]
async fn the_end_of_a_session_waits_for_the_text_of_what_was_said_before_it() {
    let house = House::with(|session| session.transcription.enabled = Change::Set(true)).await;
    let slow = Arc::new(Slow::default());
    let ports = RoomPorts { listeners: vec![slow.clone()], ..RoomPorts::default() };
    let (rooms, _) = house.process_with(ports);
    let (ana, _unread) = house.enter(&rooms, "ana", 512).await;
    let (carla, _unread) = house.enter(&rooms, "carla", 512).await;
    carla.member.lost(LossReason::SocketClosed).await;
    let lost = ResumeRequest {
        connection: carla.member.connection,
        secret: [1; 32],
        next: [2; 32],
        last_seq: carla.view.seq,
        media: MediaAfterLoss::Dropped,
        at: Clock::system().now(),
    };
    let (_bea, mut outbound) = house.enter(&rooms, "bea", 512).await;
    let now = Clock::system().now();
    *slow.rooms.lock().expect("not poisoned") = Some(rooms.clone());
    *slow.spoken.lock().expect("not poisoned") = Some((now, now));
    let newcomer = house.principal("david");
    *slow.late.lock().expect("not poisoned") = Some(Late { newcomer, lost, member: ana.member });

    rooms.session_over(&house.ended().await).await.expect("ended");

    let outcomes = std::mem::take(&mut *slow.outcomes.lock().expect("not poisoned"));
    assert!(matches!(outcomes[0], Ok(())), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(RoomError::Unprocessable(_))), "{outcomes:?}");
    let asked = std::mem::take(&mut *slow.asked.lock().expect("not poisoned"));
    assert_eq!(asked.len(), 5);
    for (what, outcome) in asked {
        assert_eq!(outcome, Err(RoomError::SessionOver), "{what}: nothing is decided any more");
    }
    let mut kinds = Vec::new();
    while let Some(event) = told(&mut outbound).await {
        let kind = event["type"].as_str().expect("a type").to_owned();
        let is_last = kind == "session_ended";
        kinds.push(kind);
        if is_last {
            break;
        }
    }
    assert_eq!(kinds.last().map(String::as_str), Some("session_ended"), "{kinds:?}");
    assert!(kinds.contains(&"transcript_chunk".to_owned()), "{kinds:?}");
    for refused in ["chat", "attendance_changed", "vote_announced"] {
        assert!(!kinds.iter().any(|kind| kind == refused), "{refused}: {kinds:?}");
    }
    assert_eq!(rooms.count(), 0);
}
