//! Stories of a room, in virtual time: who may do what, who is heard, what
//! everybody is told, and what a restart keeps.

mod cameras;
mod chair;
mod hostile;
mod language;
mod quality;
mod transcript;
mod undo;

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{
    AssemblyId, ConnectionId, RequestId, SessionId, TenantId, TrackId, UserId,
};
use cabildo::domain::media::{Codec, MediaKind, TrackSource};
use cabildo::domain::participant::Principal;
use cabildo::domain::recording::RecordingState;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::{
    MediaPolicy, Modality, ModerationMode, Provider, RecordingPolicy, Session, SessionStatus,
    SpeakingPolicy, TranscriptionPolicy,
};
use cabildo::domain::time::Timestamp;
use cabildo::floor::FloorPolicy;
use cabildo::room::action::{
    Action, ChatAction, FloorAction, FreshIds, Made, MediaFlags, PeopleAction, RecordingAction,
};
use cabildo::room::engine::{
    ACKNOWLEDGED_MAX, CONNECTIONS_PER_USER_MAX, ConnectionKind, GateChange, Goodbye,
    LOSS_TOLD_AFTER, MODERATOR_PLACES, NewTrack, Outputs, RECORDER_USER_ID, RESUME_GRACE,
    RETURN_EXPECTED, Recorder, RoomEngine, RoomInfo, RoomView, TrackChange,
};
use cabildo::room::error::RoomError;
use cabildo::room::event::{Event, ParticipantView};
use cabildo::room::ports::RoomTrack;
use cabildo::room::repository::{StoredChange, StoredRoom};
use cabildo::sfu::plane::{Gate, Gates};

/// A room under test, with a clock of its own.
struct Hall {
    engine: RoomEngine,
    info: RoomInfo,
    now: Timestamp,
    gates: BTreeMap<ConnectionId, Gates>,
    told: Vec<(u64, Event)>,
    goodbyes: Vec<(ConnectionId, Goodbye)>,
    /// What the recorder was told to do, in order.
    recorded: Vec<RecordingState>,
    /// What the recorder was told of tracks, in order.
    tracks: Vec<TrackChange>,
    /// What the store has of the room.
    stored: StoredRoom,
}

impl Hall {
    fn new(moderation: ModerationMode) -> Self {
        Self::with(moderation, RecordingPolicy { enabled: false, retention_days: 365 })
    }

    /// A room whose policy is to record.
    fn recorded() -> Self {
        let policy = RecordingPolicy { enabled: true, retention_days: 30 };
        Self::with(ModerationMode::Open, policy)
    }

    fn with(moderation: ModerationMode, recording: RecordingPolicy) -> Self {
        let info = RoomInfo {
            session: SessionId::generate(),
            title: "Annual assembly".to_owned(),
            modality: "mixed",
            provider: Provider::Webrtc,
            meeting_url: None,
            recording,
            transcription: TranscriptionPolicy {
                enabled: false,
                language: None,
                glossary: Vec::new(),
            },
            started_at: None,
            participants_max: 5,
            moderation,
            media_policy: None,
            live_viewing: false,
            policy: FloorPolicy {
                default_turn: Duration::from_mins(2),
                max_turn: Duration::from_mins(5),
                auto_start: false,
                points_of_order_pass_closed_list: true,
            },
            attendance: cabildo::domain::quorum::AttendanceRules::default(),
        };
        let now = Timestamp::from_unix_us(1_800_000_000_000_000);
        let mut hall = Self {
            engine: RoomEngine::new(info.clone(), Recorder::Present, now),
            info,
            now,
            gates: BTreeMap::new(),
            told: Vec::new(),
            goodbyes: Vec::new(),
            recorded: Vec::new(),
            tracks: Vec::new(),
            stored: StoredRoom::default(),
        };
        hall.drain();
        hall
    }

    fn principal(&self, name: &str, role: Role) -> Principal {
        Principal {
            tenant_id: TenantId::generate(),
            user_id: user(name),
            roles: Roles::of(&[role]),
            name: name.to_owned(),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: self.now.after(Duration::from_hours(1)),
            judged_at: self.now,
        }
    }

    fn try_enter(&mut self, name: &str, role: Role) -> Result<ConnectionId, RoomError> {
        let connection = ConnectionId::generate();
        let principal = self.principal(name, role);
        let kind = ConnectionKind::Channel;
        self.engine.handle_enter(connection, &principal, kind, secret(name), self.now)?;
        self.gates.insert(connection, Gates::CLOSED);
        self.drain();
        Ok(connection)
    }

    fn enter(&mut self, name: &str, role: Role) -> ConnectionId {
        self.try_enter(name, role).expect("let in")
    }

    fn act(
        &mut self,
        by: ConnectionId,
        action: impl Into<Action>,
    ) -> Result<Option<RequestId>, RoomError> {
        self.decide(by, action).map(|made| made.request)
    }

    fn decide(&mut self, by: ConnectionId, action: impl Into<Action>) -> Result<Made, RoomError> {
        let fresh = FreshIds::generate();
        let result = self.engine.handle_action(by, action.into(), None, fresh, self.now);
        self.drain();
        result
    }

    /// Decides as somebody who has seen the events up to `seen`.
    fn act_seen(
        &mut self,
        by: ConnectionId,
        action: impl Into<Action>,
        seen: u64,
    ) -> Result<Option<RequestId>, RoomError> {
        let fresh = FreshIds::generate();
        let result = self.engine.handle_action(by, action.into(), Some(seen), fresh, self.now);
        self.drain();
        result.map(|made| made.request)
    }

    fn ask(&mut self, by: ConnectionId) -> RequestId {
        let (stance, note) = (None, None);
        let action = FloorAction::RequestSpeech { kind: SpeechKind::Normal, stance, note };
        self.act(by, action).expect("may ask").expect("a request is made")
    }

    /// Approves and starts a request as the chair.
    fn give_floor(&mut self, chair: ConnectionId, request: RequestId) {
        self.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
        let start = FloorAction::StartTurn { request: Some(request), limit: None };
        self.act(chair, start).expect("started");
    }

    fn publish(&mut self, by: ConnectionId, source: TrackSource, codec: Codec) -> TrackId {
        let track = TrackId::generate();
        let new = NewTrack { track, source, codec, layers: 1 };
        self.engine.handle_tracks(by, vec![new], &[], self.now);
        self.drain();
        track
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.engine.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    /// Stores what has changed, as a driver does.
    fn store(&mut self) {
        let StoredChange { seq, state, parts, .. } = self.engine.to_store();
        self.stored.seq = seq;
        self.stored.state = state.unwrap_or_else(|| std::mem::take(&mut self.stored.state));
        for (part, value) in parts {
            match value {
                Some(value) => self.stored.parts.insert(part, value),
                None => self.stored.parts.remove(&part),
            };
        }
        self.engine.stored();
    }

    fn drain(&mut self) {
        self.store();
        let Outputs { gates, goodbyes, told, recording, tracks, .. } = self.engine.take_outputs();
        self.recorded.extend(recording);
        self.tracks.extend(tracks);
        let mut opened = false;
        for GateChange { connection, kind, gate } in gates {
            assert!(!(opened && gate == Gate::Closed), "a gate closed after another opened");
            opened |= gate == Gate::Open;
            let gates = self.gates.entry(connection).or_insert(Gates::CLOSED);
            match kind {
                MediaKind::Audio => gates.audio = gate,
                MediaKind::Video => gates.video = gate,
            }
        }
        for (connection, goodbye) in goodbyes {
            self.gates.remove(&connection);
            self.goodbyes.push((connection, goodbye));
        }
        for (event, _) in told {
            let last = self.told.last().map_or(0, |(seq, _)| *seq);
            assert_eq!(event.seq, last + 1, "a hole in seq");
            self.told.push((event.seq, event.event));
        }
    }

    /// The session is patched.
    fn patch(&mut self, change: impl FnOnce(&mut RoomInfo)) {
        change(&mut self.info);
        self.engine.handle_session(&session_of(&self.info), self.now);
        self.drain();
    }

    /// What the last `recording_state` said: the state and who decided it.
    fn last_recording(&self) -> Option<(String, Option<String>)> {
        self.told.iter().rev().find_map(|(_, event)| match event {
            Event::RecordingState { state, by, .. } => Some((state.clone(), by.clone())),
            _ => None,
        })
    }

    /// The recorder as a member sees it on entering.
    fn recorder(&self, seen_by: ConnectionId) -> Option<ParticipantView> {
        let view = self.view(seen_by).expect("in the room");
        view.crowd.participants.iter().find(|one| one.user_id == RECORDER_USER_ID).cloned()
    }

    fn view(&self, connection: ConnectionId) -> Option<RoomView> {
        self.engine.view(connection, &self.engine.crowd(), self.now)
    }

    fn heard(&self, connection: ConnectionId) -> bool {
        self.gates.get(&connection).is_some_and(|gates| gates.audio == Gate::Open)
    }

    fn seen(&self, connection: ConnectionId) -> bool {
        self.gates.get(&connection).is_some_and(|gates| gates.video == Gate::Open)
    }

    fn kinds_since(&self, seq: u64) -> Vec<&'static str> {
        self.told.iter().filter(|(at, _)| *at > seq).map(|(_, event)| event.kind()).collect()
    }

    /// The process dies and another continues the room from what is stored.
    fn restart(&mut self) {
        self.restart_with(Recorder::Present);
    }

    fn restart_with(&mut self, recorder: Recorder) {
        self.drain();
        let (info, stored) = (self.info.clone(), self.stored.clone());
        self.engine = RoomEngine::from_stored(info, recorder, stored, self.now)
            .expect("the stored room is readable");
        self.drain();
    }
}

fn session_of(info: &RoomInfo) -> Session {
    Session {
        id: info.session,
        tenant_id: TenantId::generate(),
        assembly_id: AssemblyId::generate(),
        title: info.title.clone(),
        modality: Modality::parse(info.modality).expect("a modality"),
        provider: Provider::Webrtc,
        meeting_url: None,
        status: SessionStatus::Active,
        scheduled_start_at: None,
        scheduled_end_at: None,
        started_at: info.started_at,
        ended_at: None,
        max_participants: info.participants_max,
        moderation: info.moderation,
        media_policy: info.media_policy,
        start_with_assembly: false,
        live_viewing: info.live_viewing,
        recording: info.recording,
        transcription: info.transcription.clone(),
        speaking: SpeakingPolicy {
            default_turn_s: 120,
            max_turn_s: 300,
            auto_start: false,
            points_of_order_pass_closed_list: true,
        },
        attendance: cabildo::domain::quorum::AttendanceRules::default(),
        version: 1,
        created_at: Timestamp::from_unix_us(0),
    }
}

fn user(name: &str) -> UserId {
    name.parse().expect("a user id")
}

fn secret(name: &str) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[..name.len()].copy_from_slice(name.as_bytes());
    secret
}

#[test]
fn pictures_follow_the_media_policy_of_the_session() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, device) = (hall.enter("ana", Role::Participant), hall.enter("hall-1", Role::Hall));
    let observer = hall.enter("press", Role::Observer);
    let seen = |hall: &Hall| [chair, ana, device, observer].map(|it| hall.seen(it));
    assert_eq!(seen(&hall), [true, false, true, false], "the floor's by default");

    let request = hall.ask(ana);
    hall.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
    hall.act(chair, FloorAction::StartTurn { request: None, limit: None }).expect("started");
    assert_eq!(seen(&hall), [true, true, true, false]);
    hall.act(chair, PeopleAction::Mute(user("ana"))).expect("muted");
    assert_eq!((hall.heard(ana), hall.seen(ana)), (false, true), "a mute is of sound");
    hall.act(chair, FloorAction::StopTurn).expect("stopped");
    assert!(!hall.seen(ana));

    // Without a policy of its own the session's pictures follow its moderation.
    hall.act(chair, FloorAction::SetModeration(ModerationMode::Open)).expect("opened");
    assert_eq!(seen(&hall), [true, true, true, false]);
    hall.patch(|info| info.media_policy = Some(MediaPolicy::Floor));
    assert_eq!(seen(&hall), [true, false, true, false], "it says one now");
    hall.act(chair, FloorAction::SetModeration(ModerationMode::Moderated)).expect("moderated");
    hall.patch(|info| info.media_policy = Some(MediaPolicy::All));
    assert_eq!(seen(&hall), [true, true, true, false]);
    assert_eq!((hall.heard(chair), hall.heard(ana)), (true, false), "sound does not follow it");
    let view = hall.view(ana).expect("in the room");
    assert_eq!((view.floor.media_policy.as_str(), view.you.may_be_seen), ("all", true));
}

#[test]
fn pictures_that_were_stopped_stay_so_through_turns_rules_reconnects_and_restarts() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    assert!(hall.seen(ana) && hall.seen(bea), "an open session shows everybody");
    let stop = || PeopleAction::StopPictures(user("ana"));
    let allow = || PeopleAction::AllowPictures(user("ana"));
    for action in [stop(), allow()] {
        assert_eq!(hall.act(bea, action), Err(RoomError::Forbidden));
    }
    hall.act(chair, stop()).expect("stopped");
    let told = hall.told.iter().filter(|(_, it)| matches!(it, Event::PicturesStopped { .. }));
    assert_eq!(told.count(), 1);
    assert_eq!([hall.seen(ana), hall.heard(ana), hall.seen(bea)], [false, true, true]);
    let view = hall.view(ana).expect("in the room");
    assert!(view.you.pictures_stopped && !view.you.may_be_seen && !view.you.muted, "{view:?}");
    hall.act(chair, stop()).expect("nothing to do");

    let request = hall.ask(ana);
    hall.give_floor(chair, request);
    assert!(!hall.seen(ana), "a turn does not show them");
    hall.patch(|info| info.media_policy = Some(MediaPolicy::All));
    let second = hall.enter("ana", Role::Participant);
    assert!(!hall.seen(second), "another connection does not show them");
    hall.restart();
    assert!(!hall.seen(ana), "a restart does not show them");
    hall.act(chair, allow()).expect("allowed");
    assert!(hall.seen(ana));
    hall.act(chair, PeopleAction::StopPictures(user("chair"))).expect("moderators can be stopped");
    assert!(!hall.seen(chair));
    let nobody = hall.act(chair, PeopleAction::StopPictures(user("nobody")));
    assert_eq!(nobody, Err(RoomError::ParticipantNotFound));
}

#[test]
fn in_a_moderated_session_only_the_holder_of_a_running_turn_and_moderators_are_heard() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    assert_eq!((hall.heard(chair), hall.heard(ana), hall.heard(bea)), (true, false, false));

    let request = hall.ask(ana);
    assert!(!hall.heard(ana), "asking opens nothing");
    hall.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
    assert!(!hall.heard(ana), "waiting opens nothing");
    hall.act(chair, FloorAction::StartTurn { request: None, limit: None }).expect("started");
    assert_eq!((hall.heard(ana), hall.heard(bea)), (true, false));

    hall.act(chair, FloorAction::PauseTurn).expect("paused");
    assert!(!hall.heard(ana), "a paused turn is not heard");
    hall.act(chair, FloorAction::ResumeTurn).expect("resumed");
    assert!(hall.heard(ana));

    let request = hall.ask(bea);
    hall.give_floor(chair, request);
    assert_eq!((hall.heard(ana), hall.heard(bea)), (false, true), "the floor moved on");
    hall.act(bea, FloorAction::EndSpeech).expect("gave it back");
    assert!(!hall.heard(bea));
}

#[test]
fn what_a_client_claims_opens_nothing() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let ana = hall.enter("ana", Role::Participant);
    hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let on = MediaFlags { audio: true, video: true, screen: true };
    hall.act(ana, PeopleAction::SetMedia(on)).expect("may say so");
    assert!(!hall.heard(ana));
    let request = hall.ask(ana);
    for action in [
        Action::from(FloorAction::ApproveSpeech(request)),
        Action::from(FloorAction::StartTurn { request: Some(request), limit: None }),
        Action::from(FloorAction::SetModeration(ModerationMode::Open)),
        Action::from(PeopleAction::Unmute(user("ana"))),
        Action::from(PeopleAction::TakeChair),
    ] {
        assert_eq!(hall.act(ana, action), Err(RoomError::Forbidden));
    }
    assert!(!hall.heard(ana));
}

#[test]
fn a_mute_holds_through_turns_modes_reconnects_and_restarts() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    assert!(hall.heard(ana));
    hall.act(chair, PeopleAction::Mute(user("ana"))).expect("muted");
    assert!(!hall.heard(ana));
    let request = hall.ask(ana);
    hall.give_floor(chair, request);
    assert!(!hall.heard(ana), "a turn does not lift a mute");
    let second = hall.enter("ana", Role::Participant);
    assert!(!hall.heard(second), "another connection does not lift a mute");
    hall.restart();
    hall.engine
        .handle_resume(ana, secret("ana"), secret("next"), hall.now, hall.now)
        .expect("resumed");
    hall.engine
        .handle_resume(chair, secret("chair"), secret("n"), hall.now, hall.now)
        .expect("resumed");
    hall.drain();
    assert!(!hall.heard(ana), "a restart does not lift a mute");
    hall.act(chair, PeopleAction::Unmute(user("ana"))).expect("unmuted");
    assert!(hall.heard(ana));
}

#[test]
fn the_hall_microphone_opens_for_a_speaker_without_a_device() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let device = hall.enter("hall-1", Role::Hall);
    let ana = hall.enter("ana", Role::Participant);
    assert!(!hall.heard(device));
    let name = Some("Don Julio, 3B".to_owned());
    let add = FloorAction::AddSpeaker { user: user("julio"), name, kind: SpeechKind::Normal };
    let request = hall.act(chair, add).expect("added").expect("a request is made");
    let start = FloorAction::StartTurn { request: Some(request), limit: None };
    hall.act(chair, start).expect("started");
    assert_eq!((hall.heard(device), hall.heard(ana)), (true, false));
    hall.act(chair, FloorAction::StopTurn).expect("stopped");
    assert!(!hall.heard(device));
    // For somebody who is connected it is their own microphone.
    let add = FloorAction::AddSpeaker { user: user("ana"), name: None, kind: SpeechKind::Normal };
    let request = hall.act(chair, add).expect("added").expect("a request is made");
    let start = FloorAction::StartTurn { request: Some(request), limit: None };
    hall.act(chair, start).expect("started");
    assert_eq!((hall.heard(device), hall.heard(ana)), (false, true));
}

#[test]
fn a_lost_connection_comes_back_within_its_grace_and_not_after() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    hall.engine.handle_lost(ana, hall.now);
    hall.drain();
    hall.pass(RESUME_GRACE.saturating_sub(Duration::from_secs(1)));
    assert!(hall.goodbyes.is_empty());
    assert!(hall.heard(ana), "its media goes on meanwhile");
    let (now, wrong) = (hall.now, [9; 32]);
    let refused = hall.engine.handle_resume(ana, wrong, secret("x"), now, now);
    assert_eq!(refused, Err(RoomError::NothingToResume));
    hall.engine.handle_resume(ana, secret("ana"), secret("second"), now, now).expect("resumed");
    // The answer with the new secret may be lost: the one before still works once.
    hall.engine.handle_resume(ana, secret("ana"), secret("third"), now, now).expect("resumed");
    let spent = hall.engine.handle_resume(ana, secret("second"), secret("x"), now, now);
    assert_eq!(spent, Err(RoomError::NothingToResume));
    hall.engine.handle_lost(ana, hall.now);
    let before = hall.engine.seq();
    hall.drain();
    hall.pass(RESUME_GRACE + Duration::from_secs(1));
    assert_eq!(hall.goodbyes, [(ana, Goodbye::Disconnected)]);
    let told =
        ["participant_updated", "track_unpublished", "participant_left", "attendance_changed"];
    assert_eq!(hall.kinds_since(before), told);
    let late = hall.engine.handle_resume(ana, secret("third"), secret("x"), hall.now, hall.now);
    assert_eq!(late, Err(RoomError::NothingToResume));
}

#[test]
fn whoever_is_back_at_once_was_never_away_for_others() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let shown = |hall: &Hall| {
        let view = hall.view(chair).expect("in the room");
        let ana = view.crowd.participants.iter().find(|one| one.user_id == "ana");
        ana.expect("listed").connections
    };
    // What their coming leads to is told.
    hall.pass(Duration::from_secs(2));
    let before = hall.engine.seq();
    hall.engine.handle_lost(ana, hall.now);
    hall.drain();
    hall.pass(LOSS_TOLD_AFTER.saturating_sub(Duration::from_millis(1)));
    let now = hall.now;
    hall.engine.handle_resume(ana, secret("ana"), secret("b"), now, now).expect("resumed");
    hall.pass(RESUME_GRACE);
    assert_eq!((hall.engine.seq(), shown(&hall)), (before, 1), "nobody was told anything");

    hall.engine.handle_lost(ana, hall.now);
    hall.drain();
    assert_eq!(hall.engine.poll_timeout(), Some(hall.now.after(LOSS_TOLD_AFTER)));
    hall.pass(LOSS_TOLD_AFTER);
    assert_eq!(hall.kinds_since(before), ["participant_updated"]);
    assert_eq!(shown(&hall), 0);
    let now = hall.now;
    hall.engine.handle_resume(ana, secret("b"), secret("c"), now, now).expect("resumed");
    hall.drain();
    assert_eq!(hall.kinds_since(before), ["participant_updated", "participant_updated"]);
    assert_eq!(shown(&hall), 1);
}

#[test]
fn a_return_after_a_restart_is_told_only_of_those_who_take_long() {
    let mut hall = Hall::new(ModerationMode::Open);
    let (chair, ana) = (hall.enter("chair", Role::Moderator), hall.enter("ana", Role::Participant));
    let bea = hall.enter("bea", Role::Participant);
    // Members were told that she is lost before the process ended.
    hall.engine.handle_lost(bea, hall.now);
    hall.drain();
    hall.pass(LOSS_TOLD_AFTER);
    hall.restart();
    let before = hall.engine.seq();
    let now = hall.now;
    hall.engine.handle_resume(chair, secret("chair"), secret("b"), now, now).expect("resumed");
    hall.drain();
    let connections = |hall: &Hall| {
        let view = hall.view(chair).expect("in the room");
        let people = view.crowd.participants.iter();
        people.map(|one| (one.user_id.clone(), one.connections)).collect::<Vec<_>>()
    };
    let shown =
        |ana: u32| [("ana", ana), ("bea", 0), ("chair", 1)].map(|(id, n)| (id.to_owned(), n));
    assert_eq!((connections(&hall), hall.engine.seq()), (shown(1).to_vec(), before));
    hall.pass(RETURN_EXPECTED);
    assert_eq!(connections(&hall), shown(0).to_vec());
    assert_eq!(hall.kinds_since(before), ["participant_updated"], "of Ana, who is still away");
    let now = hall.now;
    hall.engine.handle_resume(ana, secret("ana"), secret("b"), now, now).expect("resumed");
    hall.drain();
    assert_eq!(connections(&hall), shown(1).to_vec());
}

#[test]
fn those_who_moderate_and_whoever_has_the_floor_are_waited_for() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let (chair, ana) = (hall.enter("chair", Role::Moderator), hall.enter("ana", Role::Participant));
    let bea = hall.enter("bea", Role::Participant);
    let request = hall.ask(ana);
    hall.give_floor(chair, request);
    let waited_for = [chair, ana, bea].map(|it| hall.engine.is_waited_for(it));
    assert_eq!(waited_for, [true, true, false]);
    assert!(hall.engine.is_waited_for_as(&user("ana"), Roles::of(&[Role::Participant])));
    assert!(!hall.engine.is_waited_for(ConnectionId::generate()), "a connection that is not here");
}

#[test]
fn an_expired_token_resumes_nothing() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    let late = hall.now.after(Duration::from_hours(1));
    let refused = hall.engine.handle_resume(ana, secret("ana"), secret("x"), late, late);
    assert_eq!(refused, Err(RoomError::NothingToResume));
}

#[test]
fn a_clock_that_is_set_ends_no_token_and_prolongs_none() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    let (begin, day) = (hall.now, Duration::from_hours(24));
    // The clock of the machine, not that of the meeting, is set by a day and back.
    for (machine, next) in [(begin.after(day), "b"), (begin.before(day), "c")] {
        let held = if next == "b" { "ana" } else { "b" };
        let resumed = hall.engine.handle_resume(ana, secret(held), secret(next), machine, hall.now);
        assert_eq!(resumed, Ok(()), "{machine}");
        let left = hall.engine.token_left(ana, hall.now.after(Duration::from_mins(20)));
        assert_eq!(left, Duration::from_mins(40), "{machine}");
    }
    // A token that is judged by a clock that was set has the same time left.
    let judged_at = begin.after(day);
    let expires_at = judged_at.after(Duration::from_mins(30));
    let renewed = Principal { judged_at, expires_at, ..hall.principal("ana", Role::Participant) };
    hall.engine.handle_renewal(ana, &renewed, secret("d"), begin).expect("renewed");
    let over = begin.after(Duration::from_mins(30));
    for at in [begin, judged_at] {
        let late = hall.engine.handle_resume(ana, secret("d"), secret("x"), at, over);
        assert_eq!(late, Err(RoomError::NothingToResume), "{at}");
    }
    let just = over.before(Duration::from_secs(1));
    let resumed = hall.engine.handle_resume(ana, secret("d"), secret("e"), expires_at, just);
    assert_eq!(resumed, Ok(()));
    // Another process knows only the time of the machine.
    hall.store();
    let (info, stored) = (hall.info.clone(), hall.stored.clone());
    for (machine, is_over) in
        [(expires_at.before(Duration::from_secs(1)), false), (expires_at, true)]
    {
        let read =
            RoomEngine::from_stored(info.clone(), Recorder::Present, stored.clone(), machine);
        let mut engine = read.expect("the stored room is readable");
        let resumed = engine.handle_resume(ana, secret("e"), secret("f"), machine, machine);
        assert_eq!(resumed.is_err(), is_over, "{machine}");
        let left = Duration::from_secs(u64::from(!is_over));
        assert_eq!(engine.token_left(ana, machine), left, "{machine}");
    }
}

#[test]
fn whoever_is_removed_stays_out_until_admitted() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let request = hall.ask(ana);
    hall.give_floor(chair, request);
    let before = hall.engine.seq();
    hall.act(chair, PeopleAction::Remove(user("ana"))).expect("removed");
    assert_eq!(hall.goodbyes, [(ana, Goodbye::Removed)]);
    let told = ["turn_ended", "participant_left", "attendance_changed"];
    assert_eq!(hall.kinds_since(before), told);
    assert_eq!(hall.try_enter("ana", Role::Participant), Err(RoomError::Forbidden));
    assert_eq!(
        hall.act(chair, PeopleAction::Admit(user("bea"))),
        Err(RoomError::ParticipantNotFound)
    );
    hall.act(chair, PeopleAction::Admit(user("ana"))).expect("admitted");
    hall.enter("ana", Role::Participant);
}

#[test]
fn the_room_holds_as_many_people_as_its_session_allows() {
    let mut hall = Hall::new(ModerationMode::Open);
    for name in ["a", "b", "c", "d", "e"] {
        hall.enter(name, Role::Participant);
    }
    let sixth = hall.try_enter("f", Role::Participant);
    assert_eq!(sixth, Err(RoomError::ParticipantLimitReached));
    for _ in 0..CONNECTIONS_PER_USER_MAX {
        hall.enter("a", Role::Participant);
    }
    for role in [Role::Operator, Role::Auditor] {
        assert_eq!(hall.try_enter("a", role), Err(RoomError::Forbidden));
    }
}

#[test]
fn a_restart_continues_the_same_list_clock_and_seq() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let (first, second) = (hall.ask(ana), hall.ask(bea));
    hall.act(chair, FloorAction::ApproveSpeech(second)).expect("approved");
    hall.give_floor(chair, first);
    hall.pass(Duration::from_secs(20));
    let before = hall.engine.seq();
    hall.now = hall.now.after(Duration::from_secs(5));
    hall.restart();
    assert_eq!(hall.kinds_since(before), ["track_unpublished"], "its tracks died with the process");
    for (connection, name) in [(chair, "chair"), (ana, "ana")] {
        let next = secret("next");
        hall.engine
            .handle_resume(connection, secret(name), next, hall.now, hall.now)
            .expect("resumed");
    }
    hall.drain();
    let view = hall.view(ana).expect("in the room");
    let turn = view.floor.turn.expect("the turn goes on");
    assert_eq!((turn.user_id.as_str(), turn.used_ms, turn.running), ("ana", 25_000, true));
    assert_eq!(view.floor.queue.len(), 1);
    assert_eq!(view.floor.queue[0].request_id, second.to_string());
    assert!(hall.heard(ana), "the holder of the floor is heard as before");
    hall.pass(Duration::from_secs(65));
    assert!(hall.kinds_since(before).contains(&"turn_warning"), "the clock warns as before");
    hall.pass(RESUME_GRACE);
    assert_eq!(hall.goodbyes, [(bea, Goodbye::Disconnected)], "who did not come back has left");
}

#[test]
fn a_record_that_was_tampered_with_is_refused() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("chair", Role::Moderator);
    let request = hall.ask(chair);
    hall.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
    let connection = format!("connection/{chair}");
    for (part, from, to) in [
        ("moderation", "open", "wild"),
        ("recording", r#""state":"recording""#, r#""state":"secretly""#),
        ("recording", r#""by":null"#, r#""by":"ch\u0007air""#),
        ("recording", r#""followed":true"#, r#""followed":1"#),
        ("recording", r#""followed":true"#, r#""followed":true,"hidden":true"#),
        (connection.as_str(), r#""user":"chair""#, r#""user":"ch\u0007air""#),
        (connection.as_str(), r#""user":"chair""#, r#""user":"nobody""#),
        (connection.as_str(), r#""media_only":false"#, r#""media_only":0"#),
        (connection.as_str(), r#""resume":[""#, r#""resume":["é"#),
        ("list", r#""next_arrival":1"#, r#""next_arrival":0"#),
        ("member/chair", "{", "["),
    ] {
        let mut bad = hall.stored.clone();
        let value = bad.parts.get_mut(part).expect(part);
        assert!(value.contains(from), "{part}: {from} in {value}");
        *value = value.replacen(from, to, 1);
        let read = RoomEngine::from_stored(hall.info.clone(), Recorder::Present, bad, hall.now);
        assert!(read.is_err(), "{part}: {to} was taken");
    }
    for (part, value) in [
        ("cellar", "1"),
        ("muted/ch\u{7}air", "true"),
        ("muted/ana", "false"),
        ("waiting/first", "1"),
        ("turns", r#"{"current":null}"#),
    ] {
        let mut bad = hall.stored.clone();
        bad.parts.insert(part.to_owned(), value.to_owned());
        let read = RoomEngine::from_stored(hall.info.clone(), Recorder::Present, bad, hall.now);
        assert!(read.is_err(), "{part} was taken");
    }
    for state in ["", "{}", r#"{"v":3}"#, r#"{"v":2,"more":1}"#, r#"{"v":1}"#] {
        let bad = StoredRoom { state: state.to_owned(), ..hall.stored.clone() };
        let read = RoomEngine::from_stored(hall.info.clone(), Recorder::Present, bad, hall.now);
        assert!(read.is_err(), "{state} was taken");
    }
}

#[test]
fn a_decision_that_is_undone_has_never_been_made() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let device = hall.enter("hall-1", Role::Hall);
    hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let (first, second) = (hall.ask(ana), hall.ask(chair));
    hall.act(chair, FloorAction::ApproveSpeech(second)).expect("approved");
    hall.give_floor(chair, first);
    hall.act(chair, PeopleAction::Mute(user("hall-1"))).expect("muted");
    let name = Some("Don Julio, 3B".to_owned());
    for action in [
        Action::from(ChatAction::Say { text: "hello".to_owned() }),
        Action::from(FloorAction::StopTurn),
        Action::from(FloorAction::PauseTurn),
        Action::from(FloorAction::ExtendTurn(Duration::from_secs(30))),
        Action::from(FloorAction::StartTurn { request: None, limit: None }),
        Action::from(FloorAction::CancelSpeech { request: Some(second) }),
        Action::from(FloorAction::CloseQueue),
        Action::from(FloorAction::AddSpeaker {
            user: user("julio"),
            name,
            kind: SpeechKind::Intervention,
        }),
        Action::from(FloorAction::SetModeration(ModerationMode::Open)),
        Action::from(PeopleAction::Mute(user("ana"))),
        Action::from(PeopleAction::Unmute(user("hall-1"))),
        Action::from(PeopleAction::Remove(user("ana"))),
        Action::from(RecordingAction::Start),
        Action::from(RecordingAction::Acknowledge),
    ] {
        hall.now = hall.now.after(Duration::from_secs(1));
        let view =
            |hall: &Hall| [chair, ana, device].map(|it| (hall.view(it), hall.engine.gates(it)));
        let (before, deadline) = (view(&hall), hall.engine.poll_timeout());
        let fresh = FreshIds::generate();
        let decided = hall.engine.handle_action(chair, action.clone(), None, fresh, hall.now);
        decided.expect("may be done");
        assert!(!hall.engine.to_store().parts.is_empty() || !hall.engine.told().is_empty());
        hall.engine.undo();
        assert_eq!(view(&hall), before, "{action:?}");
        assert_eq!(hall.engine.poll_timeout(), deadline, "{action:?}");
        assert_eq!(hall.engine.to_store().parts, [], "{action:?}");
        let outputs = hall.engine.take_outputs();
        assert!(outputs.told.is_empty() && outputs.gates.is_empty(), "{action:?}");
        assert!(outputs.goodbyes.is_empty() && outputs.tracks.is_empty(), "{action:?}");
        assert_eq!((outputs.recording, outputs.featured), (None, None), "{action:?}");
    }
    // What follows is as if none of it had been asked for.
    hall.act(chair, FloorAction::StopTurn).expect("the turn still runs");
    assert!(!hall.heard(ana));
}

#[test]
fn what_happened_and_could_not_be_stored_is_stored_with_the_next_decision() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let before = hall.engine.seq();
    hall.engine.handle_lost(ana, hall.now);
    hall.now = hall.now.after(LOSS_TOLD_AFTER);
    hall.engine.handle_timeout(hall.now);
    hall.engine.accept();
    let urgent = hall.engine.take_urgent_outputs();
    assert!(urgent.told.is_empty(), "told once it is stored");
    let fresh = FreshIds::generate();
    let mute = PeopleAction::Mute(user("ana"));
    hall.engine.handle_action(chair, mute.into(), None, fresh, hall.now).expect("may be done");
    hall.engine.undo();
    assert_eq!(hall.engine.seq(), before + 1, "what happened stays");
    hall.act(chair, ChatAction::Say { text: "after".to_owned() }).expect("said");
    assert_eq!(hall.kinds_since(before), ["participant_updated", "chat"]);
    assert!(hall.stored.parts[&format!("connection/{ana}")].contains("\"lost_at_us\":18"));
    assert!(!hall.stored.parts.contains_key("muted/ana"));
}

#[test]
fn a_decision_stores_what_it_touched_however_many_people_there_are() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    hall.patch(|info| info.participants_max = 1_000);
    let chair = hall.enter("chair", Role::Moderator);
    let guests: Vec<ConnectionId> =
        (0..300).map(|number| hall.enter(&format!("guest-{number}"), Role::Participant)).collect();
    let requests: Vec<RequestId> = guests.iter().map(|guest| hall.ask(*guest)).collect();
    for request in &requests {
        hall.act(chair, FloorAction::ApproveSpeech(*request)).expect("approved");
    }
    for (action, parts) in [
        (Action::from(ChatAction::Say { text: "hello".to_owned() }), 0),
        (Action::from(PeopleAction::Mute(user("guest-7"))), 1),
        (Action::from(FloorAction::StartTurn { request: None, limit: None }), 3),
        (Action::from(FloorAction::PauseTurn), 1),
        (Action::from(FloorAction::CancelSpeech { request: Some(requests[200]) }), 1),
        (Action::from(FloorAction::SetModeration(ModerationMode::Open)), 1),
        (Action::from(PeopleAction::Remove(user("guest-9"))), 5),
    ] {
        let fresh = FreshIds::generate();
        hall.engine.handle_action(chair, action.clone(), None, fresh, hall.now).expect("done");
        let change = hall.engine.to_store();
        assert_eq!(change.parts.len(), parts, "{action:?}: {:?}", change.parts);
        hall.drain();
    }
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    let left = hall.stored.parts.keys().filter(|part| !part.starts_with("attend"));
    let left: Vec<&String> = left.collect();
    let expected = ["list", "moderation", "recording", "turns"];
    assert_eq!(left, expected, "nothing about people but their attendance");
}

#[test]
fn a_media_only_member_ends_with_its_transport() {
    let mut hall = Hall::new(ModerationMode::Open);
    let connection = ConnectionId::generate();
    let principal = hall.principal("encoder", Role::Hall);
    let kind = ConnectionKind::MediaOnly;
    let entered = hall.engine.handle_enter(connection, &principal, kind, [0; 32], hall.now);
    entered.expect("let in");
    let track = hall.publish(connection, TrackSource::Camera, Codec::H264);
    let before = hall.engine.seq();
    let side = cabildo::sfu::TransportSide::Publish;
    hall.engine.handle_transport_lost(connection, side, hall.now);
    hall.drain();
    assert_eq!(hall.goodbyes, [(connection, Goodbye::Disconnected)]);
    assert_eq!(hall.kinds_since(before), ["track_unpublished", "participant_left"]);
    hall.engine.handle_speakers(vec![(track, 10)], hall.now);
    hall.drain();
}

#[test]
fn speakers_are_told_at_most_once_a_second_and_never_forgotten() {
    let mut hall = Hall::new(ModerationMode::Open);
    let ana = hall.enter("ana", Role::Participant);
    let bea = hall.enter("bea", Role::Participant);
    let one = hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let two = hall.publish(bea, TrackSource::Microphone, Codec::Opus);
    let before = hall.engine.seq();
    for (first, second) in [(one, two), (two, one), (one, two), (two, one)] {
        hall.engine.handle_speakers(vec![(first, 20), (second, 30)], hall.now);
        hall.drain();
        hall.now = hall.now.after(Duration::from_millis(100));
    }
    assert_eq!(hall.kinds_since(before), ["active_speakers"]);
    hall.pass(Duration::from_secs(2));
    assert_eq!(hall.kinds_since(before), ["active_speakers", "active_speakers"]);
    let Some((_, Event::ActiveSpeakers { speakers })) = hall.told.last() else {
        panic!("not the speakers");
    };
    assert_eq!(speakers[0].user_id, "bea", "the last order is what everybody knows");
}

#[test]
fn the_end_of_the_session_ends_the_turn_and_everybodys_connection() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let ana = hall.enter("ana", Role::Participant);
    let request = hall.ask(ana);
    hall.give_floor(chair, request);
    let before = hall.engine.seq();
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    let kinds = hall.kinds_since(before);
    assert_eq!(kinds.first(), Some(&"turn_ended"));
    assert_eq!(kinds.last(), Some(&"session_ended"));
    assert_eq!(hall.goodbyes.len(), 2);
    assert!(hall.goodbyes.iter().all(|(_, goodbye)| *goodbye == Goodbye::SessionOver));
    assert!(hall.engine.is_empty());
}

#[test]
fn a_room_whose_policy_is_to_record_says_so_before_anybody_is_in_it() {
    let mut hall = Hall::recorded();
    assert_eq!(hall.kinds_since(0), ["participant_joined", "recording_state"]);
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), None)));
    assert_eq!(hall.recorded, [RecordingState::Recording]);
    let ana = hall.enter("ana", Role::Participant);
    let recorder = hall.recorder(ana).expect("everybody sees the recorder");
    assert_eq!((recorder.name.as_str(), recorder.roles), ("Recorder", vec!["recorder".to_owned()]));
    assert_eq!((recorder.connections, recorder.may_be_heard, recorder.audio), (1, false, false));
    let view = hall.view(ana).expect("in the room").recording;
    assert_eq!((view.state.as_str(), view.enabled, view.retention_days), ("recording", true, 30));
    assert!(!view.acknowledged);

    let mut silent = Hall::new(ModerationMode::Open);
    assert_eq!(silent.recorded, [RecordingState::Stopped], "a recorder learns of every room");
    let ana = silent.enter("ana", Role::Participant);
    assert_eq!(silent.recorder(ana), None);
    assert_eq!(silent.last_recording(), None);
}

#[test]
fn moderators_start_pause_and_stop_the_recording_in_order() {
    use RecordingState::{Paused, Recording, Stopped};
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    let conflict = Err(RoomError::RecordingStateConflict);
    assert_eq!(hall.act(chair, RecordingAction::Pause), conflict);
    assert_eq!(hall.act(chair, RecordingAction::Stop), conflict);
    let before = hall.engine.seq();
    hall.act(chair, RecordingAction::Start).expect("also where the policy is not to record");
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), Some("chair".to_owned()))));
    assert_eq!(hall.act(chair, RecordingAction::Start), conflict);
    hall.now = hall.now.after(Duration::from_secs(9));
    let since = hall.recorder(chair).expect("there").joined_at;
    hall.act(chair, RecordingAction::Pause).expect("paused");
    assert_eq!(hall.act(chair, RecordingAction::Pause), conflict);
    assert_eq!(hall.recorder(chair).expect("still there").joined_at, since);
    hall.act(chair, RecordingAction::Start).expect("goes on");
    hall.act(chair, RecordingAction::Pause).expect("paused");
    hall.act(chair, RecordingAction::Stop).expect("stopped");
    assert_eq!(hall.recorder(chair), None);
    assert_eq!(hall.recorded, [Stopped, Recording, Paused, Recording, Paused, Stopped]);
    assert_eq!(
        hall.kinds_since(before),
        [
            "participant_joined",
            "recording_state",
            "recording_state",
            "recording_state",
            "recording_state",
            "recording_state",
            "participant_left",
        ]
    );
}

#[test]
fn nobody_but_a_moderator_controls_the_recording() {
    let mut hall = Hall::recorded();
    for role in [Role::Participant, Role::Observer, Role::Hall] {
        let connection = hall.enter(role.as_str(), role);
        for action in [
            Action::from(RecordingAction::Start),
            Action::from(RecordingAction::Pause),
            Action::from(RecordingAction::Stop),
            Action::from(PeopleAction::Remove(user(RECORDER_USER_ID))),
        ] {
            assert_eq!(hall.act(connection, action), Err(RoomError::Forbidden), "{role}");
        }
    }
    assert_eq!(hall.recorded, [RecordingState::Recording]);
}

#[test]
fn sending_the_recorder_out_stops_the_recording() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("chair", Role::Moderator);
    let remove = || PeopleAction::Remove(user(RECORDER_USER_ID));
    let before = hall.engine.seq();
    hall.act(chair, remove()).expect("removed");
    assert_eq!(hall.recorded.last(), Some(&RecordingState::Stopped));
    assert_eq!(hall.kinds_since(before), ["recording_state", "participant_left"]);
    let Some((_, Event::ParticipantLeft { user_id, reason })) = hall.told.last() else {
        panic!("not told that it left");
    };
    assert_eq!((user_id.as_str(), reason.as_str()), (RECORDER_USER_ID, "removed"));
    assert_eq!(hall.act(chair, remove()), Err(RoomError::ParticipantNotFound));
    hall.act(chair, RecordingAction::Start).expect("it is not kept out");
    assert!(hall.recorder(chair).is_some());
}

#[test]
fn the_recorder_is_no_person_and_nobody_can_pose_as_it() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("chair", Role::Moderator);
    let before = hall.engine.seq();
    for name in [RECORDER_USER_ID, "cabildo:", "cabildo:chair"] {
        for role in Role::ALL {
            assert_eq!(hall.try_enter(name, *role), Err(RoomError::Forbidden), "{name} {role}");
        }
        let (user, name, kind) = (user(name), None, SpeechKind::Normal);
        let add = FloorAction::AddSpeaker { user, name, kind };
        assert_eq!(hall.act(chair, add), Err(RoomError::NotAPerson));
    }
    for mute in [PeopleAction::Mute, PeopleAction::Unmute] {
        let refused = hall.act(chair, mute(user(RECORDER_USER_ID))).expect_err("refused");
        assert_eq!(refused, RoomError::NotAPerson);
        assert_eq!(refused.code(), ErrorCode::UnprocessableRequest);
        let nobody = hall.act(chair, mute(user("cabildo:chair")));
        assert_eq!(nobody, Err(RoomError::ParticipantNotFound));
    }
    let admit = PeopleAction::Admit(user(RECORDER_USER_ID));
    assert_eq!(hall.act(chair, admit), Err(RoomError::ParticipantNotFound));
    let others = PeopleAction::Remove(user("cabildo:chair"));
    assert_eq!(hall.act(chair, others), Err(RoomError::ParticipantNotFound));
    assert_eq!(hall.engine.seq(), before, "nothing has changed");
    for name in ["b", "c", "d", "e"] {
        hall.enter(name, Role::Participant);
    }
    let sixth = hall.try_enter("f", Role::Participant);
    assert_eq!(sixth, Err(RoomError::ParticipantLimitReached), "five people beside the recorder");
}

#[test]
fn a_restart_keeps_the_recording_as_a_moderator_left_it() {
    for (steps, state, is_there) in [
        (&[][..], RecordingState::Recording, true),
        (&[RecordingAction::Pause][..], RecordingState::Paused, true),
        (&[RecordingAction::Stop][..], RecordingState::Stopped, false),
    ] {
        let mut hall = Hall::recorded();
        let chair = hall.enter("chair", Role::Moderator);
        hall.act(chair, RecordingAction::Acknowledge).expect("acknowledged");
        for step in steps {
            hall.act(chair, *step).expect("done");
        }
        let seen = hall.recorder(chair);
        assert_eq!(seen.is_some(), is_there);
        let before = hall.engine.seq();
        hall.now = hall.now.after(Duration::from_secs(5));
        hall.recorded.clear();
        hall.restart();
        assert_eq!(hall.recorded, [state], "the recorder is told again");
        assert!(hall.kinds_since(before).is_empty(), "nobody else is");
        assert_eq!(hall.recorder(chair), seen, "since the same moment");
        assert!(hall.view(chair).expect("there").recording.acknowledged);
        hall.act(chair, RecordingAction::Acknowledge).expect("acknowledged before");
        assert!(!hall.kinds_since(before).contains(&"recording_acknowledged"));
    }
}

#[test]
fn everybody_is_told_when_the_session_may_be_watched_from_outside_and_when_no_longer() {
    let mut hall = Hall::recorded();
    let ana = hall.enter("ana", Role::Participant);
    hall.patch(|info| info.live_viewing = false);
    for live_viewing in [true, false] {
        let before = hall.engine.seq();
        hall.patch(|info| info.live_viewing = live_viewing);
        let told = hall.told.last().map(|(_, event)| event.clone());
        assert_eq!(told, Some(Event::LiveViewingChanged { live_viewing }));
        hall.patch(|info| info.title = format!("Assembly, {live_viewing}"));
        assert_eq!(hall.kinds_since(before), ["live_viewing_changed"], "told once");
        // Whoever is recorded goes on being recorded.
        assert_eq!(hall.recorded.last(), Some(&RecordingState::Recording));
        assert!(hall.view(ana).is_some());
    }
}

#[test]
fn a_clock_that_was_set_is_told_once_whatever_restarts() {
    let mut hall = Hall::new(ModerationMode::Open);
    // Set, read again, and set further back; then the room is opened where the clock was not set.
    for (ahead_ms, by_ms) in [(300_000, 300_000), (300_000, 0), (-20_000, -320_000), (0, 20_000)] {
        let before = hall.engine.seq();
        hall.engine.handle_clock_ahead(ahead_ms, hall.now);
        hall.drain();
        let steps: Vec<Event> =
            hall.told.iter().filter(|(at, _)| *at > before).map(|it| it.1.clone()).collect();
        let wanted: Vec<Event> =
            (by_ms != 0).then_some(Event::ClockStepped { by_ms }).into_iter().collect();
        assert_eq!(steps, wanted, "{ahead_ms}");
        hall.restart();
    }
    assert!(!hall.stored.parts.contains_key("clock_ahead_ms"), "{:?}", hall.stored.parts);
}

/// As a version wrote it that recorded nothing.
const OLD_RECORD: &str = r#"{"v":1,"moderation":"moderated","muted":["bea"],"removed":[],
    "members":[{"user":"chair","name":"The chair","audio":true,"video":false,"screen":false,
    "joined_at_us":1799999999000000}],"connections":[{"id":"01890a5d-ac96-774b-bcce-b302099a8057",
    "user":"chair","roles":["moderator"],"media_only":false,"expires_at_us":1800003600000000,
    "lost_at_us":null,"resume":[null,null]}],"tracks":[],"floor":{"open":true,"requested":[],
    "waiting":[],"current":null,"stacked":[],"next_arrival":0,"turns_started":{}}}"#;

#[test]
fn a_record_from_before_recordings_is_read_and_its_policy_followed() {
    for enabled in [false, true] {
        let mut hall = if enabled { Hall::recorded() } else { Hall::new(ModerationMode::Open) };
        let (info, recorder) = (hall.info.clone(), Recorder::Present);
        let state = OLD_RECORD.to_owned();
        let stored = StoredRoom { seq: 41, state, ..StoredRoom::default() };
        hall.engine = RoomEngine::from_stored(info, recorder, stored, hall.now)
            .expect("the stored room is readable");
        hall.store();
        let kinds: Vec<&str> =
            hall.engine.take_outputs().told.iter().map(|(told, _)| told.event.kind()).collect();
        // Its attendance begins with whoever is connected.
        let expected: &[&str] = if enabled {
            &["chair_changed", "attendance_changed", "participant_joined", "recording_state"]
        } else {
            &["chair_changed", "attendance_changed"]
        };
        assert_eq!(kinds, expected);
        let chair = "01890a5d-ac96-774b-bcce-b302099a8057".parse().expect("an id");
        assert_eq!(hall.recorder(chair).is_some(), enabled);
        assert!(hall.stored.parts.contains_key("muted/bea"));
        assert_eq!(hall.stored.state, r#"{"v":2}"#, "it is stored by parts from here on");
    }
}

#[test]
fn a_change_of_the_policy_is_followed_and_other_patches_are_not() {
    let mut hall = Hall::new(ModerationMode::Open);
    let chair = hall.enter("chair", Role::Moderator);
    hall.patch(|info| info.recording.enabled = true);
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), None)));
    hall.act(chair, RecordingAction::Stop).expect("stopped");
    hall.patch(|info| info.title = "Another".to_owned());
    assert_eq!(
        hall.last_recording(),
        Some(("stopped".to_owned(), Some("chair".to_owned()))),
        "it stays so"
    );
    hall.patch(|info| info.recording.enabled = false);
    hall.patch(|info| info.recording.enabled = true);
    assert_eq!(
        hall.last_recording(),
        Some(("stopped".to_owned(), Some("chair".to_owned()))),
        "it stays so"
    );
    hall.act(chair, RecordingAction::Start).expect("started");
    hall.act(chair, RecordingAction::Pause).expect("paused");
    hall.patch(|info| info.recording.enabled = false);
    assert_eq!(hall.last_recording(), Some(("stopped".to_owned(), None)));
    hall.act(chair, RecordingAction::Start).expect("a moderator decides otherwise");
    hall.patch(|info| info.title = "Again".to_owned());
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), Some("chair".to_owned()))));
    let before = hall.engine.seq();
    hall.patch(|info| info.recording.retention_days = 9);
    assert_eq!(hall.kinds_since(before), ["recording_state"], "who is recorded hears for how long");

    // Patched while nobody had the room open.
    hall.info.recording.enabled = true;
    hall.restart();
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), Some("chair".to_owned()))));
    hall.info.recording.enabled = false;
    hall.restart();
    assert_eq!(hall.last_recording(), Some(("stopped".to_owned(), None)));
    hall.info.recording.enabled = true;
    hall.restart();
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), None)));
}

#[test]
fn without_a_recorder_no_room_says_that_it_is_recorded() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("chair", Role::Moderator);
    let before = hall.engine.seq();
    hall.restart_with(Recorder::Absent);
    assert_eq!(hall.kinds_since(before), ["recording_state", "participant_left"]);
    assert_eq!(hall.last_recording(), Some(("stopped".to_owned(), None)));
    assert_eq!(hall.act(chair, RecordingAction::Start), Err(RoomError::RecorderAbsent));
    hall.patch(|info| info.recording.enabled = false);
    hall.patch(|info| info.recording.enabled = true);
    assert_eq!(hall.recorder(chair), None);
    hall.restart();
    assert_eq!(hall.last_recording(), Some(("recording".to_owned(), None)), "it is back");
    let engine = RoomEngine::new(hall.info.clone(), Recorder::Absent, hall.now);
    assert_eq!(engine.seq(), 0, "nothing is told");
}

#[test]
fn a_recording_is_acknowledged_once_by_each_person() {
    let mut hall = Hall::recorded();
    for role in [Role::Participant, Role::Moderator, Role::Observer, Role::Hall] {
        let connection = hall.enter(role.as_str(), role);
        let before = hall.engine.seq();
        for _ in 0..3 {
            hall.act(connection, RecordingAction::Acknowledge).expect("everybody may");
        }
        assert_eq!(hall.kinds_since(before), ["recording_acknowledged"], "{role}");
        let view = hall.view(connection).expect("there");
        assert!(view.recording.acknowledged);
    }
}

#[test]
fn acknowledgements_are_bounded_and_those_who_are_here_are_remembered() {
    let mut hall = Hall::recorded();
    let chair = hall.enter("a-chair", Role::Moderator);
    hall.act(chair, RecordingAction::Acknowledge).expect("acknowledged");
    for number in 0..ACKNOWLEDGED_MAX + 3 {
        let guest = hall.enter(&format!("guest-{number:05}"), Role::Participant);
        hall.act(guest, RecordingAction::Acknowledge).expect("acknowledged");
        hall.engine.handle_leave(guest, Goodbye::Left, hall.now);
        hall.drain();
    }
    let acknowledged =
        |hall: &Hall, connection| hall.view(connection).expect("there").recording.acknowledged;
    assert!(acknowledged(&hall, chair), "whoever is here is not forgotten");
    let stored = hall.stored.parts.keys().filter(|part| part.starts_with("acknowledged/guest-"));
    assert_eq!(stored.count(), ACKNOWLEDGED_MAX - 1);
    let first = hall.enter("guest-00000", Role::Participant);
    assert!(!acknowledged(&hall, first), "whoever left is asked again");
}

#[test]
fn the_recorder_hears_of_every_track_in_every_state() {
    let mut hall = Hall::new(ModerationMode::Open);
    let (chair, ana) = (hall.enter("chair", Role::Moderator), hall.enter("ana", Role::Participant));
    let track = hall.publish(ana, TrackSource::Microphone, Codec::Opus);
    let (source, codec) = (TrackSource::Microphone, Codec::Opus);
    let published = |track, name: &str, source, codec| {
        let (user, name) = (user(name), name.to_owned());
        TrackChange::Published(RoomTrack { track, user, name, source, codec, language: None })
    };
    assert_eq!(hall.tracks, [published(track, "ana", source, codec)]);
    hall.act(chair, RecordingAction::Start).expect("started");
    hall.tracks.clear();
    let camera = hall.publish(chair, TrackSource::Camera, Codec::Vp8);
    hall.engine.handle_codec(camera, Codec::H264, hall.now);
    hall.engine.handle_codec(camera, Codec::H264, hall.now);
    hall.act(chair, PeopleAction::Remove(user("ana"))).expect("removed");
    assert_eq!(
        hall.tracks,
        [
            published(camera, "chair", TrackSource::Camera, Codec::Vp8),
            published(camera, "chair", TrackSource::Camera, Codec::H264),
            TrackChange::Unpublished(track),
        ]
    );
    hall.tracks.clear();
    let before = hall.engine.seq();
    hall.engine.handle_session_over("completed", hall.now);
    hall.drain();
    assert_eq!(hall.tracks, [TrackChange::Unpublished(camera)]);
    assert_eq!(hall.recorded.last(), Some(&RecordingState::Stopped));
    let kinds = hall.kinds_since(before);
    assert_eq!(kinds, ["recording_state", "participant_left", "session_ended"]);
    assert_eq!(hall.last_recording(), Some(("stopped".to_owned(), None)));
}

#[test]
fn of_two_moderators_who_decide_at_once_one_is_told_that_things_have_changed() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let deputy = hall.enter("deputy", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    let requests = [hall.ask(ana), hall.ask(bea)];
    for request in requests {
        hall.act(chair, FloorAction::ApproveSpeech(request)).expect("approved");
    }
    let third = hall.ask(chair);
    hall.act(deputy, PeopleAction::TakeChair).expect("taken");
    let next = || FloorAction::StartTurn { request: None, limit: None };
    let named = |request| FloorAction::StartTurn { request: Some(request), limit: None };
    let more = || FloorAction::ExtendTurn(Duration::from_secs(10));
    let mute = |name| PeopleAction::Mute(user(name));
    // Both decide about the same; the second has not seen what the first did.
    let pairs: [(Action, Action); 13] = [
        (FloorAction::ApproveSpeech(third).into(), FloorAction::ApproveSpeech(third).into()),
        (next().into(), next().into()),
        (more().into(), more().into()),
        (FloorAction::PauseTurn.into(), FloorAction::StopTurn.into()),
        (FloorAction::ResumeTurn.into(), FloorAction::StopTurn.into()),
        (named(requests[1]).into(), next().into()),
        (FloorAction::StopTurn.into(), next().into()),
        (FloorAction::CloseQueue.into(), FloorAction::OpenQueue.into()),
        (mute("ana").into(), PeopleAction::Unmute(user("ana")).into()),
        (
            FloorAction::SetModeration(ModerationMode::Open).into(),
            FloorAction::SetModeration(ModerationMode::Open).into(),
        ),
        (PeopleAction::TakeChair.into(), PeopleAction::TakeChair.into()),
        (RecordingAction::Start.into(), RecordingAction::Stop.into()),
        (
            FloorAction::CancelSpeech { request: Some(third) }.into(),
            FloorAction::CancelSpeech { request: Some(third) }.into(),
        ),
    ];
    for (first, second) in pairs {
        let seen = hall.engine.seq();
        hall.act_seen(chair, first.clone(), seen).expect("the first is carried out");
        let decided = hall.engine.seq();
        let refused = hall.act_seen(deputy, second.clone(), seen).expect_err("the second is not");
        assert_eq!(refused, RoomError::DecisionStale, "{first:?} and {second:?}");
        assert_eq!(refused.code(), ErrorCode::DecisionStale);
        assert_eq!(hall.engine.seq(), decided, "nothing has happened");
    }
    // Things that have nothing to do with the decision make nothing stale.
    hall.act(chair, FloorAction::OpenQueue).expect("opened");
    let seen = hall.engine.seq();
    hall.act(ana, ChatAction::Say { text: "meanwhile".to_owned() }).expect("said");
    hall.ask(ana);
    hall.act(chair, mute("bea")).expect("muted");
    hall.act_seen(deputy, FloorAction::OpenQueue, seen).expect("not stale");
    hall.act_seen(deputy, PeopleAction::Unmute(user("ana")), seen).expect("not stale");
    let ahead = hall.engine.seq() + 1;
    let refused = hall.act_seen(deputy, FloorAction::CloseQueue, ahead).expect_err("refused");
    assert!(matches!(refused, RoomError::Unprocessable(_)), "{refused:?}");
}

#[test]
fn a_full_room_lets_its_moderators_in() {
    let mut hall = Hall::new(ModerationMode::Open);
    for name in ["a", "b", "c", "d", "e"] {
        hall.enter(name, Role::Participant);
    }
    for number in 0..MODERATOR_PLACES {
        hall.enter(&format!("moderator-{number}"), Role::Moderator);
    }
    let more = hall.try_enter("moderator", Role::Moderator);
    assert_eq!(more, Err(RoomError::ParticipantLimitReached), "these places are counted too");
    let stranger = hall.try_enter("f", Role::Participant);
    assert_eq!(stranger, Err(RoomError::ParticipantLimitReached));
}

#[test]
fn moderators_on_reserved_places_keep_nobody_out() {
    let mut hall = Hall::new(ModerationMode::Open);
    let mut people: Vec<ConnectionId> =
        ["a", "b", "c", "d"].iter().map(|name| hall.enter(name, Role::Participant)).collect();
    // This one takes the last place that anybody may take.
    let early = hall.enter("moderator-early", Role::Moderator);
    hall.pass(Duration::from_secs(1));
    for number in 0..3 {
        hall.enter(&format!("moderator-{number}"), Role::Moderator);
    }
    for round in 0..2 {
        assert_eq!(hall.try_enter("f", Role::Participant), Err(RoomError::ParticipantLimitReached));
        let (leaves, next) = (people.remove(0), format!("late-{round}"));
        hall.engine.handle_leave(leaves, Goodbye::Left, hall.now);
        people.push(hall.enter(&next, Role::Participant));
        hall.restart();
    }
    hall.engine.handle_leave(early, Goodbye::Left, hall.now);
    hall.enter("f", Role::Participant);
    let full = hall.try_enter("g", Role::Participant);
    assert_eq!(full, Err(RoomError::ParticipantLimitReached));
    for number in 3..MODERATOR_PLACES {
        hall.enter(&format!("moderator-{number}"), Role::Moderator);
    }
    let more = hall.try_enter("moderator", Role::Moderator);
    assert_eq!(more, Err(RoomError::ParticipantLimitReached));
}

#[test]
fn whoever_leaves_makes_place_at_once() {
    let mut hall = Hall::new(ModerationMode::Open);
    let all: Vec<ConnectionId> =
        ["a", "b", "c", "d", "e"].map(|name| hall.enter(name, Role::Participant)).to_vec();
    hall.engine.handle_leave(all[2], Goodbye::Left, hall.now);
    hall.drain();
    hall.enter("f", Role::Participant);
}

#[test]
fn a_new_connection_replaces_the_one_that_is_of_least_use() {
    let mut hall = Hall::new(ModerationMode::Open);
    let held: Vec<ConnectionId> =
        (0..CONNECTIONS_PER_USER_MAX).map(|_| hall.enter("ana", Role::Participant)).collect();
    for lost in [held[2], held[1]] {
        hall.engine.handle_lost(lost, hall.now);
        hall.drain();
        hall.now = hall.now.after(Duration::from_secs(1));
    }
    hall.enter("ana", Role::Participant);
    assert_eq!(hall.goodbyes, [(held[2], Goodbye::Replaced)], "the one that was lost first");
    let spent = hall.engine.handle_resume(held[2], secret("ana"), secret("x"), hall.now, hall.now);
    assert_eq!(spent, Err(RoomError::NothingToResume));
    hall.enter("ana", Role::Participant);
    assert_eq!(hall.goodbyes.last(), Some(&(held[1], Goodbye::Replaced)));
    let by_media_of = |hall: &mut Hall, name: &str| {
        let connection = ConnectionId::generate();
        let principal = hall.principal(name, Role::Hall);
        let kind = ConnectionKind::MediaOnly;
        let entered = hall.engine.handle_enter(connection, &principal, kind, [0; 32], hall.now);
        hall.drain();
        entered.map(|()| connection)
    };
    let by_media = |hall: &mut Hall| by_media_of(hall, "encoder");
    let encoders: Vec<ConnectionId> =
        (0..CONNECTIONS_PER_USER_MAX).map(|_| by_media(&mut hall).expect("let in")).collect();
    for connected in &encoders[..3] {
        hall.engine.handle_transport_connected(*connected);
    }
    let newest = by_media(&mut hall).expect("for the one whose media never came");
    assert_eq!(hall.goodbyes.last(), Some(&(encoders[3], Goodbye::Replaced)));
    hall.engine.handle_transport_connected(newest);
    // An encoder that was killed looks as if it still sent.
    for oldest in &encoders[..3] {
        let newest = by_media(&mut hall).expect("the newest wins");
        hall.engine.handle_transport_connected(newest);
        assert_eq!(hall.goodbyes.last(), Some(&(*oldest, Goodbye::Replaced)));
    }
    // An encoder does not end its owner's pages, however often it comes.
    let pages: Vec<ConnectionId> =
        (0..CONNECTIONS_PER_USER_MAX).map(|_| hall.enter("bea", Role::Hall)).collect();
    assert_eq!(by_media_of(&mut hall, "bea"), Err(RoomError::ConnectionLimitReached));
    hall.enter("bea", Role::Hall);
    assert_eq!(hall.goodbyes.last(), Some(&(pages[0], Goodbye::Replaced)), "the oldest page");
    // One that was lost is nobody's page.
    hall.engine.handle_lost(pages[2], hall.now);
    hall.drain();
    by_media_of(&mut hall, "bea").expect("for the lost page");
    assert_eq!(hall.goodbyes.last(), Some(&(pages[2], Goodbye::Replaced)));
}

#[test]
fn the_last_moderator_cannot_be_sent_out() {
    let mut hall = Hall::new(ModerationMode::Moderated);
    let chair = hall.enter("chair", Role::Moderator);
    let deputy = hall.enter("deputy", Role::Moderator);
    hall.enter("ana", Role::Participant);
    hall.act(chair, PeopleAction::Remove(user("deputy"))).expect("another is left");
    assert!(hall.goodbyes.contains(&(deputy, Goodbye::Removed)));
    let refused = hall.act(chair, PeopleAction::Remove(user("chair"))).expect_err("refused");
    assert_eq!(
        (refused.clone(), refused.code()),
        (RoomError::LastModerator, ErrorCode::LastModerator)
    );
    hall.act(chair, PeopleAction::Remove(user("ana"))).expect("others can be");
    hall.act(chair, PeopleAction::Admit(user("deputy"))).expect("admitted");
    hall.enter("deputy", Role::Moderator);
    hall.act(chair, PeopleAction::Remove(user("chair"))).expect("now somebody is left");
}

#[test]
fn people_and_rooms_have_budgets_of_messages_and_of_bytes() {
    let mut hall = Hall::new(ModerationMode::Open);
    hall.patch(|info| info.participants_max = 100);
    let chair = hall.enter("chair", Role::Moderator);
    let (ana, bea) = (hall.enter("ana", Role::Participant), hall.enter("bea", Role::Participant));
    let say = |length: usize| ChatAction::Say { text: "x".repeat(length) };
    let said = |hall: &mut Hall, by, length| {
        (0..100).take_while(|_| hall.act(by, say(length)).is_ok()).count()
    };
    assert_eq!(said(&mut hall, ana, 10), 20, "of one person at once");
    let refused = hall.act(ana, say(10)).expect_err("refused");
    assert_eq!((refused.clone(), refused.code()), (RoomError::TooMuch, ErrorCode::RateLimited));
    assert_eq!(said(&mut hall, bea, 2_000), 8, "16 KiB of one person at once");
    hall.now = hall.now.after(Duration::from_secs(30));
    assert_eq!(said(&mut hall, ana, 10), 10, "twenty a minute");
    assert_eq!(said(&mut hall, bea, 2_000), 2, "8 KiB a minute");
    let asks = |hall: &mut Hall| {
        let (kind, stance, note) = (SpeechKind::Normal, None, None);
        let ask = FloorAction::RequestSpeech { kind, stance, note };
        hall.act(bea, ask).is_ok()
            && hall.act(bea, FloorAction::CancelSpeech { request: None }).is_ok()
    };
    assert_eq!((0..100).take_while(|_| asks(&mut hall)).count(), 15);
    for _ in 0..100 {
        hall.act(chair, PeopleAction::Mute(user("ana"))).expect("deciding is not limited");
        hall.act(chair, PeopleAction::Unmute(user("ana"))).expect("deciding is not limited");
    }
    let mut all = 0;
    for number in 0..60 {
        let guest = hall.enter(&format!("guest-{number}"), Role::Participant);
        all += said(&mut hall, guest, 10);
    }
    assert!((150..=250).contains(&all), "{all} of everybody at once");
}

#[test]
fn the_list_is_told_as_a_difference_whatever_its_length() {
    let mut hall = Hall::new(ModerationMode::Open);
    hall.patch(|info| info.participants_max = 500);
    let chair = hall.enter("chair", Role::Moderator);
    let mut longest = 0;
    let mut requests = Vec::new();
    for number in 0..200 {
        let guest = hall.enter(&format!("guest-{number:03}"), Role::Participant);
        requests.push(hall.ask(guest));
        hall.act(chair, FloorAction::ApproveSpeech(requests[number])).expect("approved");
        let (_, event) = hall.told.last().expect("told");
        let Event::QueueUpdated { removed, placed, .. } = event else { panic!("{event:?}") };
        assert!(removed.is_empty());
        let after = number.checked_sub(1).map(|index| requests[index].to_string());
        assert_eq!((placed.len(), &placed[0].after), (1, &after));
        assert_eq!(placed[0].request.as_ref().expect("new").user_id, format!("guest-{number:03}"));
        longest = longest.max(serde_json::to_string(event).expect("JSON").len());
    }
    assert!(longest < 700, "{longest} bytes");
    let mut order = requests.clone();
    let moved = order.remove(150);
    order.insert(3, moved);
    hall.act(chair, FloorAction::ReorderQueue(order)).expect("reordered");
    let Some((_, Event::QueueUpdated { placed, .. })) = hall.told.last() else { panic!("told") };
    let expected = (moved.to_string(), Some(requests[2].to_string()), None);
    let found: Vec<_> = placed
        .iter()
        .map(|one| (one.request_id.clone(), one.after.clone(), one.request.clone()))
        .collect();
    assert_eq!(found, [expected]);
    hall.act(chair, FloorAction::StartTurn { request: None, limit: None }).expect("started");
    let told = hall.told.iter().rev().find_map(|(_, event)| match event {
        Event::QueueUpdated { removed, placed, .. } => Some((removed.clone(), placed.len())),
        _ => None,
    });
    assert_eq!(told, Some((vec![requests[0].to_string()], 0)));
}
