//! What the recorder and the log of a room are told and when, and
//! how members hear of signed heads.

use std::sync::Mutex;

use cabildo::domain::id::{SessionKey, TrackId, UserId};
use cabildo::domain::language::LanguageTag;
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::participant::ParticipantKind;
use cabildo::domain::quality::BadSpell;
use cabildo::domain::recording::RecordingState;
use cabildo::domain::session::Session;
use cabildo::room::Sink;
use cabildo::room::action::RecordingAction;
use cabildo::room::ports::{
    AttendanceNote, ConnectionPart, EvidenceHead, LostConnection, Refusal, RoomLog, RoomTrack,
    TrackListener, TranscriptionState,
};
use cabildo::sessions::{Change, SessionRepository as _};

use super::*;

/// What a port was told.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Opened,
    Kept,
    State(RecordingState),
    Published(UserId, TrackSource, Codec, Option<LanguageTag>),
    Language(Option<LanguageTag>),
    Unpublished,
    Refused(Refusal),
    Lost(LostConnection),
}

/// Recorder and log of a room that remember what they were told, in order,
/// and with it how many messages a member had been given by then.
#[derive(Default)]
struct Record {
    said: Mutex<Vec<(Said, usize)>>,
    /// A member's queue, which the test does not read meanwhile.
    watched: Mutex<Option<Sink>>,
}

impl Record {
    fn note(&self, said: Said) {
        let watched = self.watched.lock().expect("not poisoned");
        let given = watched.as_ref().map_or(0, |sink| sink.max_capacity() - sink.capacity());
        self.said.lock().expect("not poisoned").push((said, given));
    }

    fn take(&self) -> Vec<Said> {
        self.take_with_given().into_iter().map(|(said, _)| said).collect()
    }

    fn take_with_given(&self) -> Vec<(Said, usize)> {
        std::mem::take(&mut *self.said.lock().expect("not poisoned"))
    }

    fn states(&self) -> Vec<RecordingState> {
        let state = |said| match said {
            Said::State(state) => Some(state),
            _ => None,
        };
        self.take().into_iter().filter_map(state).collect()
    }

    fn ports(self: &Arc<Self>) -> RoomPorts {
        let spanish = ["es".parse().expect("a language tag")];
        RoomPorts {
            listeners: vec![self.clone()],
            log: Some(self.clone()),
            transcription: TranscriptionState::new(move |_| Some(spanish.clone().into())),
            ..RoomPorts::default()
        }
    }

    /// Enters and watches the queue of whoever entered.
    async fn watch(&self, house: &House, rooms: &Rooms, name: &str) -> (Entered, Inbox) {
        let (sink, outbound) = mpsc::channel(512);
        *self.watched.lock().expect("not poisoned") = Some(sink.clone());
        let principal = house.principal(name);
        let entered = rooms.enter(principal, house.session, [1; 32], sink).await.expect("let in");
        (entered, Inbox::new(outbound))
    }
}

#[async_trait]
impl TrackListener for Record {
    fn kind(&self) -> Option<ParticipantKind> {
        Some(ParticipantKind::Recorder)
    }

    async fn recording_changed(&self, _key: SessionKey, state: RecordingState) {
        self.note(Said::State(state));
    }

    async fn gates_decided(&self, _key: SessionKey, _: u64) {}

    async fn track_published(&self, _key: SessionKey, track: RoomTrack) {
        self.note(Said::Published(track.user, track.source, track.codec, track.language));
    }

    async fn language_changed(
        &self,
        _key: SessionKey,
        _track: TrackId,
        language: Option<LanguageTag>,
    ) {
        self.note(Said::Language(language));
    }

    async fn track_unpublished(&self, _key: SessionKey, _: TrackId) {
        self.note(Said::Unpublished);
    }
}

#[async_trait]
impl RoomLog for Record {
    async fn room_opened(&self, _: &Session) {
        self.note(Said::Opened);
    }

    fn events_kept(&self, _key: SessionKey) {
        self.note(Said::Kept);
    }

    async fn refused(&self, _key: SessionKey, refusal: Refusal) {
        self.note(Said::Refused(refusal));
    }

    async fn attendance(&self, _key: SessionKey, _: AttendanceNote) {}

    async fn bad_spells(&self, _key: SessionKey, _: Vec<BadSpell>) {}

    fn connection_lost(&self, _key: SessionKey, lost: LostConnection) {
        self.note(Said::Lost(lost));
    }
}

async fn recorded_house() -> House {
    House::with(|session| session.recording.enabled = Change::Set(true)).await
}

/// Every message that a queue holds, as JSON.
fn held(inbox: &mut Inbox) -> Vec<Value> {
    while let Ok(message) = inbox.outbound.try_recv() {
        if let Outbound::Told(texts) = message {
            inbox.unread.extend(texts.iter().cloned());
        }
    }
    let texts = inbox.unread.drain(..);
    texts.map(|text| serde_json::from_str(&text).expect("JSON")).collect()
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}

#[tokio::test]
async fn a_recorded_room_is_opened_kept_told_and_recorded_in_this_order() {
    let house = recorded_house().await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (ana, _outbound) = house.enter(&rooms, "ana", 512).await;
    let recording = Said::State(RecordingState::Recording);
    assert_eq!(record.take(), [Said::Opened, Said::Kept, recording, Said::Kept]);
    assert_eq!(ana.view.recording.state, "recording");
    let recorder = ana.view.crowd.participants.iter().find(|one| one.user_id == "cabildo:recorder");
    assert!(recorder.is_some(), "everybody sees it");
    let repository =
        house.store.events_after(SessionKey::new(house.tenant, house.session), 0, 9).await;
    let kinds: Vec<String> =
        repository.expect("readable").into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds[..3], ["participant_joined", "recording_state", "participant_joined"]);
    rooms.shutdown().await;
}

#[tokio::test]
async fn nobody_is_recorded_before_they_are_told_or_told_before_it_ends() {
    let house = House::build().await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (chair, mut outbound) = record.watch(&house, &rooms, "chair").await;
    let given = |record: &Record| {
        let states = |(said, given)| matches!(said, Said::State(_)).then_some(given);
        record.take_with_given().into_iter().filter_map(states).collect::<Vec<usize>>()
    };
    held(&mut outbound);
    given(&record);
    for (action, given_before, told) in [
        // Both are one message of the queue.
        (RecordingAction::Start, 1, &["participant_joined", "recording_state"][..]),
        (RecordingAction::Pause, 0, &["recording_state"][..]),
        (RecordingAction::Start, 1, &["recording_state"][..]),
        (RecordingAction::Stop, 0, &["recording_state", "participant_left"][..]),
    ] {
        chair.member.act(action).await.expect("done");
        assert_eq!(given(&record), [given_before], "{action:?}");
        assert_eq!(kinds(&held(&mut outbound)), told, "{action:?}");
    }
    chair.member.act(RecordingAction::Start).await.expect("started");
    held(&mut outbound);
    given(&record);
    rooms.session_over(&house.ended().await).await.expect("ended");
    while told(&mut outbound).await.expect("still there")["type"] != "session_ended" {}
    assert_eq!(given(&record), [0], "stopped before anybody heard that it was");
}

#[tokio::test]
async fn a_recording_that_cannot_be_kept_does_not_begin_and_its_end_does_not_wait() {
    let house = House::build().await;
    let record = Arc::new(Record::default());
    let (rooms, repository) = house.process_with(record.ports());
    let (chair, mut outbound) = house.enter(&rooms, "chair", 512).await;
    record.take();
    held(&mut outbound);
    repository.broken.store(true, Ordering::SeqCst);
    let refused = chair.member.act(RecordingAction::Start).await.expect_err("not kept");
    assert_eq!(refused, RoomError::StoreUnavailable);
    assert_eq!(record.take(), []);

    // The policy wants it, and nobody can be told yet.
    let session = house.store.find(SessionKey::new(house.tenant, house.session)).await;
    let mut session = session.expect("readable").expect("there");
    session.recording.enabled = true;
    rooms.session_changed(&session).await;
    assert!(chair.member.act(chat("still broken")).await.is_err());
    assert_eq!(record.take(), []);
    assert_eq!(kinds(&held(&mut outbound)), [] as [&str; 0]);
    repository.broken.store(false, Ordering::SeqCst);
    while told(&mut outbound).await.expect("still there")["type"] != "recording_state" {}
    chair.member.act(chat("after")).await.expect("said");
    assert_eq!(record.states(), [RecordingState::Recording]);

    repository.broken.store(true, Ordering::SeqCst);
    session.recording.enabled = false;
    rooms.session_changed(&session).await;
    assert!(chair.member.act(chat("broken again")).await.is_err());
    assert_eq!(record.take(), [Said::State(RecordingState::Stopped)], "at once");
    repository.broken.store(false, Ordering::SeqCst);
    loop {
        let event = told(&mut outbound).await.expect("still there");
        if event["type"] == "recording_state" {
            assert_eq!((&event["state"], &event["by"]), (&"stopped".into(), &Value::Null));
            break;
        }
    }
    rooms.shutdown().await;
}

#[tokio::test]
async fn a_room_that_is_loaded_again_goes_on_as_it_was() {
    let house = recorded_house().await;
    let (first, second) = (Arc::new(Record::default()), Arc::new(Record::default()));
    let (rooms, _) = house.process_with(first.ports());
    let (chair, _outbound) = house.enter(&rooms, "chair", 512).await;
    chair.member.act(RecordingAction::Acknowledge).await.expect("acknowledged");
    chair.member.act(RecordingAction::Pause).await.expect("paused");
    rooms.shutdown().await;
    let (rooms, _) = house.process_with(second.ports());
    let (again, _outbound) = house.enter(&rooms, "chair", 512).await;
    let said = second.take();
    assert_eq!(said[0], Said::Opened);
    assert!(said.contains(&Said::State(RecordingState::Paused)), "{said:?}");
    let view = &again.view.recording;
    assert_eq!((view.state.as_str(), view.acknowledged), ("paused", true));
    rooms.shutdown().await;
}

#[tokio::test]
async fn tracks_reach_the_recorder_and_end_with_the_room() {
    let house = House::build().await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (ana, _outbound) = house.enter(&rooms, "ana", 512).await;
    record.take();
    let offer = include_str!("../../../src/sfu/sdp/fixtures/chromium.sdp").replace('\n', "\r\n");
    let answer = ana.member.publish(offer, Vec::new()).await.expect("published");
    assert_eq!(answer.tracks.len(), 2);
    let user: UserId = "ana".parse().expect("a user id");
    let mut published = Vec::new();
    for said in record.take() {
        match said {
            Said::Published(owner, source, _, language) => {
                published.push((owner, source, language));
            }
            other => assert_eq!(other, Said::Kept),
        }
    }
    let sources = [TrackSource::Microphone, TrackSource::Camera];
    assert_eq!(published, sources.map(|source| (user.clone(), source, None)));
    let set = |language| PeopleAction::SetLanguage { user: None, language };
    let unknown: LanguageTag = "fr".parse().expect("a language tag");
    let refused = ana.member.act(set(Some(unknown))).await;
    assert_eq!(refused, Err(RoomError::LanguageUnsupported));
    assert_eq!(record.take(), [], "nobody is told what is refused");
    let spanish: Option<LanguageTag> = Some("es-PY".parse().expect("a language tag"));
    ana.member.act(set(spanish.clone())).await.expect("it can be text");
    let each = Said::Language(spanish);
    assert_eq!(record.take(), [Said::Kept, each.clone(), each]);
    rooms.shutdown().await;
    assert_eq!(record.take(), [Said::Unpublished, Said::Unpublished]);
}

#[tokio::test]
async fn who_cannot_enter_an_active_session_is_written_down_once() {
    let house = House::build().await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (chair, _outbound) = house.enter(&rooms, "chair", 512).await;
    let (_ana, _ana_outbound) = house.enter(&rooms, "ana", 512).await;
    let remove = PeopleAction::Remove("ana".parse().expect("a user id"));
    chair.member.act(remove).await.expect("removed");
    record.take();
    let try_enter = async |principal: Principal, session| {
        let (sink, _outbound) = mpsc::channel(8);
        rooms.enter(principal, session, [1; 32], sink).await.map(|_| ()).expect_err("refused")
    };
    let refused = |name: &str| {
        let user = Some(name.parse().expect("a user id"));
        Said::Refused(Refusal { user, code: ErrorCode::Forbidden })
    };
    for (name, role) in [
        ("ana", Role::Participant),
        ("operator", Role::Operator),
        ("cabildo:recorder", Role::Moderator),
    ] {
        for _ in 0..3 {
            let error = try_enter(house.principal_as(name, role), house.session).await;
            assert_eq!(error, RoomError::Forbidden, "{name}");
        }
        assert_eq!(record.take(), [refused(name)]);
    }
    // By media alone it is the same door.
    let encoder = house.principal_as("encoder", Role::Auditor);
    let error = rooms.enter_by_media(encoder, house.session).await.expect_err("refused");
    assert_eq!(error, RoomError::Forbidden);
    assert_eq!(record.take(), [refused("encoder")]);

    // Whoever may not know of the session leaves no trace in its log.
    let stranger = Principal { tenant_id: TenantId::generate(), ..house.principal("stranger") };
    let elsewhere = SessionId::generate();
    let bound = Principal { session_id: Some(elsewhere), ..house.principal("bound") };
    for principal in [stranger, bound] {
        let error = try_enter(principal, house.session).await;
        assert_eq!(error, RoomError::SessionNotFound);
    }
    assert_eq!(try_enter(house.principal("ana"), elsewhere).await, RoomError::SessionNotFound);
    assert_eq!(record.take(), []);
    rooms.shutdown().await;
}

#[tokio::test]
async fn a_full_room_is_written_down() {
    let house = House::with(|session| session.max_participants = Some(1)).await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (_chair, _outbound) = house.enter(&rooms, "chair", 512).await;
    record.take();
    let (sink, _outbound) = mpsc::channel(8);
    let late = house.principal_as("late", Role::Participant);
    let late = rooms.enter(late, house.session, [1; 32], sink).await;
    assert_eq!(late.map(|_| ()).expect_err("full"), RoomError::ParticipantLimitReached);
    let user = Some("late".parse().expect("a user id"));
    let code = ErrorCode::ParticipantLimitReached;
    assert_eq!(record.take(), [Said::Refused(Refusal { user, code })]);
    rooms.shutdown().await;
}

#[tokio::test]
async fn a_socket_that_is_lost_is_written_down() {
    let house = House::build().await;
    let record = Arc::new(Record::default());
    let (rooms, _) = house.process_with(record.ports());
    let (ana, _outbound) = house.enter(&rooms, "ana", 512).await;
    record.take();
    ana.member.lost(LossReason::SlowOrSilent).await;
    // A socket is lost once.
    ana.member.lost(LossReason::SocketClosed).await;
    assert!(!ana.member.is_gone().await, "it may come back");
    let user = "ana".parse().expect("a user id");
    let (part, reason) = (ConnectionPart::Channel, LossReason::SlowOrSilent);
    assert_eq!(record.take(), [Said::Lost(LostConnection { user, part, reason })]);
    rooms.shutdown().await;
}

fn head(tree_size: u64) -> EvidenceHead {
    EvidenceHead {
        tree_size,
        root: format!("root-of-{tree_size}"),
        cose: "cose".to_owned(),
        at: Clock::system().now(),
    }
}

/// Sizes of the heads that a queue holds.
fn sizes(inbox: &mut Inbox) -> Vec<u64> {
    let mut sizes = Vec::new();
    while let Ok(message) = inbox.outbound.try_recv() {
        if let Outbound::EvidenceHead(head) = message {
            sizes.push(head.tree_size);
        }
    }
    sizes
}

#[tokio::test]
async fn every_member_hears_of_heads_and_the_newest_greets_whoever_comes() {
    let house = House::build().await;
    let (rooms, _) = house.process();
    let (ana, mut ana_outbound) = house.enter(&rooms, "ana", 512).await;
    let (bea, mut bea_outbound) = house.enter(&rooms, "bea", 512).await;
    assert_eq!(ana.evidence, None);
    let before = bea.view.seq;
    for size in [2, 5, 5, 4, 9] {
        rooms.evidence_head(house.session, head(size));
    }
    // A session without a room here has nobody to tell.
    rooms.evidence_head(SessionId::generate(), head(3));
    let (late, mut late_outbound) = house.enter(&rooms, "late", 512).await;
    for outbound in [&mut ana_outbound, &mut bea_outbound] {
        assert_eq!(sizes(outbound), [2, 5, 9], "an older one tells nothing new");
    }
    assert_eq!(late.evidence.as_deref().map(|head| head.tree_size), Some(9));
    // They came, count as present, and their microphone was opened.
    assert_eq!(late.view.seq, before + 3, "heads have no seq");
    assert_eq!(sizes(&mut late_outbound), [] as [u64; 0]);
    ana.member.lost(LossReason::SocketClosed).await;
    let request = ResumeRequest {
        connection: ana.member.connection,
        secret: [1; 32],
        next: [2; 32],
        last_seq: before,
        media: MediaAfterLoss::Kept,
        at: Clock::system().now(),
    };
    let (sink, _outbound) = mpsc::channel(512);
    let back = rooms.resume(house.session, house.tenant, request, sink).await.expect("resumed");
    assert_eq!(back.evidence.as_deref().map(|head| head.tree_size), Some(9));
    rooms.shutdown().await;
}

#[tokio::test]
async fn heads_are_left_out_for_slow_readers_and_let_nobody_go() {
    let house = House::build().await;
    let (rooms, _) = house.process();
    let (slow, mut unread) = house.enter(&rooms, "slow", 8).await;
    let (_quick, mut read) = house.enter(&rooms, "quick", 512).await;
    for size in 1..=100 {
        rooms.evidence_head(house.session, head(size));
    }
    assert!(!slow.member.is_gone().await);
    assert_eq!(sizes(&mut read).len(), 100, "others hear of all");
    // Their own joining, quick's, and heads up to just above half of the queue.
    let heard = sizes(&mut unread);
    assert_eq!(heard, (1..=heard.len() as u64).collect::<Vec<_>>());
    assert!((1..=5).contains(&heard.len()), "{heard:?}");
    rooms.evidence_head(house.session, head(101));
    assert!(!slow.member.is_gone().await);
    assert_eq!(sizes(&mut unread), [101], "who has caught up hears of the next");
    slow.member.act(chat("still here")).await.expect("said");
    assert_eq!(told_chat(&mut unread).await, "still here");
    rooms.shutdown().await;
}
