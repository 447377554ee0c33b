//! The end of a session whose last words have not become text yet.

use std::sync::Mutex;

use cabildo::domain::id::{SessionKey, TrackId};
use cabildo::domain::participant::ParticipantKind;
use cabildo::domain::recording::RecordingState;
use cabildo::domain::time::Timestamp;
use cabildo::domain::transcript::{Transcribed, TranscriptChunk};
use cabildo::room::ports::{RoomTrack, TrackListener};
use cabildo::sessions::Change;

use super::*;

/// Somebody who tells what was said only once the session ends.
#[derive(Default)]
struct Slow {
    rooms: Mutex<Option<Rooms>>,
    spoken: Mutex<Option<(Timestamp, Timestamp)>>,
    /// What came of the text, of text of a later time, and of somebody who wanted to come in.
    outcomes: Mutex<Vec<Result<(), RoomError>>>,
    late: Mutex<Option<Principal>>,
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
    fn kind(&self) -> ParticipantKind {
        ParticipantKind::Transcriber
    }

    async fn session_ending(&self, key: SessionKey) {
        let rooms = self.rooms.lock().expect("not poisoned").take().expect("the rooms");
        let (from, to) = self.spoken.lock().expect("not poisoned").take().expect("a time");
        let before = rooms.transcribed(key, said("last words", (from, to))).await;
        let length = Duration::from_secs(10);
        let unsaid = (to.after(length), to.after(2 * length));
        let after = rooms.transcribed(key, said("nobody said this", unsaid)).await;
        let principal = self.late.lock().expect("not poisoned").take().expect("a person");
        let (sink, _outbound) = mpsc::channel(8);
        let entered = rooms.enter(principal, key.session, [9; 32], sink).await.map(drop);
        self.outcomes.lock().expect("not poisoned").extend([before, after, entered]);
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
    let (_ana, _unread) = house.enter(&rooms, "ana", 512).await;
    let (_bea, mut outbound) = house.enter(&rooms, "bea", 512).await;
    let now = Clock::system().now();
    *slow.rooms.lock().expect("not poisoned") = Some(rooms.clone());
    *slow.spoken.lock().expect("not poisoned") = Some((now, now));
    *slow.late.lock().expect("not poisoned") = Some(house.principal("carla"));

    rooms.session_over(&house.ended().await).await.expect("ended");

    let outcomes = std::mem::take(&mut *slow.outcomes.lock().expect("not poisoned"));
    assert!(matches!(outcomes[0], Ok(())), "{outcomes:?}");
    assert!(matches!(outcomes[1], Err(RoomError::Unprocessable(_))), "{outcomes:?}");
    assert_eq!(outcomes[2], Err(RoomError::SessionOver), "nobody comes in any more");
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
    assert_eq!(rooms.count(), 0);
}
