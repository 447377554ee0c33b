//! Stories of a room and its attendance, in virtual time: who counts, what members
//! are told, and what a restart keeps.

use std::time::Duration;

use cabildo::attendance::ports::EligibleList;
use cabildo::attendance::{AttendanceError, Member, PresentedHash, Proof, Roll};
use cabildo::domain::attendance::{AttendanceMethod, LeaveCause, Place, UnitId};
use cabildo::domain::id::{ActionId, ConnectionId, SessionId, TenantId, UserId};
use cabildo::domain::participant::Principal;
use cabildo::domain::quorum::AttendanceRules;
use cabildo::domain::role::{Role, Roles};
use cabildo::domain::session::{
    MediaPolicy, ModerationMode, Provider, RecordingPolicy, TranscriptionPolicy,
};
use cabildo::domain::time::Timestamp;
use cabildo::floor::FloorPolicy;
use cabildo::room::action::{AttendanceAction, Vote};
use cabildo::room::engine::{
    ConnectionKind, Goodbye, ProofCheck, QUORUM_INTERVAL, RESUME_GRACE, Recorder, RoomEngine,
    RoomInfo, attendance_of,
};
use cabildo::room::error::RoomError;
use cabildo::room::event::{AttendanceView, Event, QuorumState};
use cabildo::room::ports::AttendanceNote;
use cabildo::room::repository::{StoredChange, StoredRoom};

const CHAIR: &str = "chair";

fn decision(number: u128) -> ActionId {
    ActionId::from_uuid(uuid::Uuid::from_u128(number))
}

fn registration(name: &str, represents: Vec<UnitId>) -> AttendanceAction {
    let (user, by) = (user(name), user(CHAIR));
    AttendanceAction::Register { user, represents, decision: decision(1), by }
}

fn user(name: &str) -> UserId {
    name.parse().expect("a user id")
}

fn qr(text: &str) -> Proof {
    Proof::Qr(PresentedHash::of(text.as_bytes()))
}

/// Ana weighs 40, Bea 35, Carl 25 in two units.
fn list() -> EligibleList {
    let member = |name: &str, units: &[(&str, &str)]| Member {
        user_id: user(name),
        name: format!("name of {name}"),
        units: units
            .iter()
            .map(|(id, weight)| (id.parse().expect("a unit"), weight.parse().expect("a weight")))
            .collect(),
    };
    let members = [
        member("ana", &[("101", "40")]),
        member("bea", &[("102", "35")]),
        member("carl", &[("103", "15"), ("104", "10")]),
    ];
    EligibleList { roll: Roll::new(members).expect("a list"), delegated: Vec::new() }
}

/// A room with a store of its own.
struct Assembly {
    engine: RoomEngine,
    info: RoomInfo,
    now: Timestamp,
    stored: StoredRoom,
    told: Vec<Event>,
    notes: Vec<AttendanceNote>,
}

impl Assembly {
    fn new() -> Self {
        let info = RoomInfo {
            session: SessionId::generate(),
            title: "Annual assembly".to_owned(),
            modality: "mixed",
            provider: Provider::Webrtc,
            meeting_url: None,
            recording: RecordingPolicy { enabled: false, retention_days: 365 },
            transcription: TranscriptionPolicy {
                enabled: false,
                language: None,
                glossary: Vec::new(),
            },
            started_at: None,
            participants_max: 5_000,
            moderation: ModerationMode::Open,
            policy: FloorPolicy {
                default_turn: Duration::from_mins(2),
                max_turn: Duration::from_mins(5),
                auto_start: false,
                points_of_order_pass_closed_list: true,
            },
            media_policy: Some(MediaPolicy::All),
            live_viewing: false,
            attendance: AttendanceRules::default(),
        };
        let now = Timestamp::from_unix_us(1_800_000_000_000_000);
        let mut assembly = Self {
            engine: RoomEngine::new(info.clone(), Recorder::Absent, now),
            info,
            now,
            stored: StoredRoom::default(),
            told: Vec::new(),
            notes: Vec::new(),
        };
        assembly.attend(AttendanceAction::TakeList(Box::new(list()))).expect("taken");
        assembly.pass(QUORUM_INTERVAL);
        assembly.heard();
        assembly
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now.after(span);
        self.engine.handle_timeout(self.now);
        self.keep();
    }

    /// Stores what was decided, and hears what is told.
    fn keep(&mut self) {
        let StoredChange { seq, state, parts, .. } = self.engine.to_store();
        self.stored.seq = seq;
        if let Some(state) = state {
            self.stored.state = state;
        }
        for (name, value) in parts {
            match value {
                Some(value) => self.stored.parts.insert(name, value),
                None => self.stored.parts.remove(&name),
            };
        }
        self.engine.stored();
        let outputs = self.engine.take_outputs();
        self.told.extend(outputs.told.into_iter().map(|(told, _)| told.event));
        self.notes.extend(outputs.notes);
    }

    /// The process dies and another takes over.
    fn restart(&mut self) {
        let record = self.stored.clone();
        let info = self.info.clone();
        self.engine = RoomEngine::from_stored(info, Recorder::Absent, record, self.now)
            .expect("the record is readable");
        self.keep();
    }

    fn attend(&mut self, action: AttendanceAction) -> Result<(), RoomError> {
        let outcome = self.engine.handle_attendance(action, self.now);
        if outcome.is_err() {
            self.engine.undo();
        }
        self.keep();
        outcome
    }

    fn enter_as(&mut self, name: &str, role: Role, kind: ConnectionKind) -> ConnectionId {
        let connection = ConnectionId::generate();
        let principal = Principal {
            tenant_id: TenantId::generate(),
            user_id: user(name),
            roles: Roles::of(&[role]),
            name: name.to_owned(),
            locale: None,
            session_id: None,
            key_thumbprint: None,
            expires_at: self.now.after(Duration::from_hours(1)),
            judged_at: self.now,
        };
        self.engine.handle_enter(connection, &principal, kind, [1; 32], self.now).expect("let in");
        self.keep();
        connection
    }

    fn enter(&mut self, name: &str) -> ConnectionId {
        self.enter_as(name, Role::Participant, ConnectionKind::Channel)
    }

    fn leave(&mut self, connection: ConnectionId) {
        self.engine.handle_leave(connection, Goodbye::Left, self.now);
        self.keep();
    }

    fn proves(&mut self, name: &str, proof: Proof) -> Result<(), RoomError> {
        let (user, name) = (user(name), name.to_owned());
        self.attend(AttendanceAction::Prove { user, name, proof, place: None, location: None })
    }

    fn registers(&mut self, name: &str, represents: &[&str]) -> Result<(), RoomError> {
        let represents = represents.iter().map(|unit| unit.parse().expect("a unit")).collect();
        self.attend(registration(name, represents))
    }

    fn marks_left(&mut self, name: &str) -> Result<(), RoomError> {
        let (user, by) = (user(name), user(CHAIR));
        self.attend(AttendanceAction::MarkLeft { user, decision: decision(2), by })
    }

    /// What was told of attendance since, in short.
    fn heard(&mut self) -> Vec<String> {
        std::mem::take(&mut self.told).iter().filter_map(in_short).collect()
    }

    fn counted(&self) -> String {
        let tally = self.engine.attendance().quorum().tally;
        format!("{} heads, {}", tally.heads_present, tally.weight_present)
    }
}

fn in_short(event: &Event) -> Option<String> {
    Some(match event {
        Event::AttendanceChanged(AttendanceView { change, user_id, method, present, .. }) => {
            format!("{user_id} {change} {method}{}", if *present { "" } else { ", absent" })
        }
        Event::QuorumChanged(QuorumState { reached, turned, weight_present, .. }) => {
            let word = match (turned, reached) {
                (true, true) => "reached",
                (true, false) => "lost",
                (false, _) => "counted",
            };
            format!("{word} {weight_present}")
        }
        Event::DelegationChanged { unit, delegate, represented, .. } => {
            let word = if *represented { "represents" } else { "no longer represents" };
            format!("{delegate} {word} {unit}")
        }
        _ => return None,
    })
}

#[test]
fn joining_counts_and_a_quorum_is_reached_and_lost_and_told_once() {
    let mut assembly = Assembly::new();
    let ana = assembly.enter("ana");
    assert_eq!(assembly.heard(), ["ana entered channel", "counted 40"]);
    assembly.pass(Duration::from_mins(1));
    let bea = assembly.enter("bea");
    assert_eq!(assembly.heard(), ["bea entered channel", "reached 75"]);
    assembly.enter("carl");
    assert_eq!(assembly.heard(), ["carl entered channel"], "numbers wait for a second");
    assembly.pass(QUORUM_INTERVAL);
    assert_eq!(assembly.heard(), ["counted 100"]);
    assembly.leave(ana);
    assembly.leave(bea);
    assert_eq!(
        assembly.heard(),
        ["ana left channel, absent", "bea left channel, absent", "lost 25"],
        "what is lost is told at once"
    );
    let history: Vec<bool> = assembly.engine.attendance().history().map(|it| it.reached).collect();
    assert_eq!(history, [true, false]);
}

#[test]
fn two_devices_and_a_reconnect_are_one_person() {
    let mut assembly = Assembly::new();
    let phone = assembly.enter("ana");
    let laptop = assembly.enter("ana");
    assembly.heard();
    assembly.leave(phone);
    assert_eq!(assembly.heard(), [""; 0], "the laptop is still there");
    assembly.engine.handle_lost(laptop, assembly.now);
    assembly.keep();
    assembly.pass(RESUME_GRACE.saturating_sub(Duration::from_secs(1)));
    assembly
        .engine
        .handle_resume(laptop, [1; 32], [2; 32], assembly.now, assembly.now)
        .expect("resumed");
    assembly.keep();
    assert_eq!(assembly.heard(), [""; 0], "who comes back in time was never away");
    assembly.engine.handle_lost(laptop, assembly.now);
    assembly.pass(RESUME_GRACE);
    assert_eq!(assembly.heard(), ["ana left channel, absent", "counted 0"]);
    let intervals = &assembly.engine.attendee(&user("ana")).attendee.person.intervals;
    assert_eq!(intervals.len(), 1);
    assert_eq!(intervals[0].ended.expect("ended").1, LeaveCause::Disconnected);
}

#[test]
fn who_only_watches_or_lends_a_microphone_does_not_attend() {
    let mut assembly = Assembly::new();
    assembly.enter_as("ana", Role::Observer, ConnectionKind::Channel);
    assembly.enter_as("bea", Role::Hall, ConnectionKind::Channel);
    assembly.enter_as("carl", Role::Participant, ConnectionKind::MediaOnly);
    assert_eq!(assembly.heard(), [""; 0]);
    assert_eq!(assembly.counted(), "0 heads, 0");
}

#[test]
fn what_was_presented_is_taken_once_and_again_from_the_same_person() {
    let mut assembly = Assembly::new();
    assembly.proves("ana", qr("one")).expect("taken");
    assert_eq!(assembly.heard(), ["ana validated qr", "counted 40"]);
    let check = assembly.engine.check_proof(&user("ana"), &qr("one")).expect("hers");
    assert!(matches!(check, ProofCheck::Holds(answer) if answer.attendee.person.is_present()));
    assembly.proves("ana", qr("one")).expect("again, which changes nothing");
    assert_eq!(assembly.heard(), [""; 0]);
    let refused = Err(RoomError::Attendance(AttendanceError::Replayed));
    assert_eq!(assembly.proves("bea", qr("one")), refused);
    assembly.marks_left("ana").expect("marked");
    assembly.pass(QUORUM_INTERVAL);
    assembly.heard();
    assert_eq!(assembly.proves("bea", qr("one")), refused, "it stays hers");
    assembly.restart();
    assert_eq!(assembly.proves("bea", qr("one")), refused, "after a restart too");
    let check = assembly.engine.check_proof(&user("ana"), &qr("one"));
    assert_eq!(check, Ok(ProofCheck::Repeats), "she was marked as left since");
    assembly.pass(QUORUM_INTERVAL);
    assembly.proves("ana", qr("one")).expect("she is back");
    assert_eq!(assembly.heard(), ["ana validated qr", "counted 40"]);
    assembly.restart();
    let hashes = assembly.notes.iter().filter(|note| {
        matches!(
            note,
            AttendanceNote::Validated { method: AttendanceMethod::Qr, hash: Some(_), .. }
        )
    });
    assert_eq!(hashes.count(), 2, "written down with its hash, whenever it was taken");
}

#[test]
fn a_delegate_represents_units_within_the_limit() {
    let mut assembly = Assembly::new();
    let refused = Err(RoomError::Attendance(AttendanceError::NotEligible));
    assert_eq!(assembly.registers("lawyer", &[]), refused);
    assembly.registers("lawyer", &["101", "103"]).expect("registered");
    assert_eq!(
        assembly.heard(),
        ["lawyer represents 101", "lawyer represents 103", "lawyer validated manual", "reached 55"]
    );
    assert_eq!(assembly.counted(), "2 heads, 55");
    assembly.registers("lawyer", &["101", "102"]).expect("one more");
    let limit = Err(RoomError::Attendance(AttendanceError::DelegationLimitReached));
    assert_eq!(assembly.registers("lawyer", &["104"]), limit);
    assembly.enter("ana");
    assert_eq!(assembly.counted(), "3 heads, 90", "her unit counts once");
    let (unit, by) = ("102".parse().expect("a unit"), user(CHAIR));
    assembly.attend(AttendanceAction::EndDelegation { unit, by }).expect("ended");
    assert_eq!(assembly.counted(), "2 heads, 55");
}

/// A list whose delegations can't all hold: the limit is three units, 101 is given away twice, and
/// two of them are of nobody's unit or of one's own.
fn crowded_list() -> EligibleList {
    let delegated = [
        ("101", "lawyer"),
        ("102", "lawyer"),
        ("103", "lawyer"),
        ("104", "lawyer"),
        ("101", "zoe"),
        ("999", "zoe"),
        ("102", "bea"),
        ("103", "cabildo:recorder"),
        ("101", "lawyer"),
    ];
    let delegated = delegated.map(|(unit, who)| (unit.parse().expect("a unit"), user(who)));
    EligibleList { delegated: delegated.into(), ..list() }
}

/// Which delegations moderators read as left out, and why.
fn left_out(assembly: &Assembly) -> Vec<String> {
    let view = assembly.engine.eligible_list_view();
    let left_out = &view.delegations_left_out;
    assert_eq!(view.delegations_left_out_total as usize, left_out.len());
    left_out.iter().map(|it| format!("{} {} {}", it.unit, it.user_id, it.reason)).collect()
}

#[test]
fn delegations_that_a_list_leaves_out_are_named_with_the_reason() {
    let mut assembly = Assembly::new();
    assert_eq!(left_out(&assembly), [""; 0]);
    assembly.attend(AttendanceAction::TakeList(Box::new(crowded_list()))).expect("taken");
    let expected = [
        "104 lawyer limit_reached",
        "101 zoe already_delegated",
        "999 zoe unit_not_found",
        "102 bea own_unit",
        "103 cabildo:recorder not_a_person",
    ];
    assert_eq!(left_out(&assembly), expected, "what is said twice and holds is not left out");
    let view = assembly.engine.eligible_list_view();
    assert_eq!(view.delegations_left_out[0].code, "DELEGATION_LIMIT_REACHED");
    assert_eq!(view.delegations_left_out[3].name, "name of bea");
    let written = assembly.notes.iter().rev().find_map(|note| match note {
        AttendanceNote::ListTaken { left_out, left_out_total, .. } => {
            Some((left_out.len(), *left_out_total))
        }
        _ => None,
    });
    assert_eq!(written, Some((5, 5)), "the log has them");

    assembly.restart();
    assert_eq!(left_out(&assembly), expected, "after a restart too");
    let (unit, by) = ("101".parse().expect("a unit"), user(CHAIR));
    assembly.attend(AttendanceAction::EndDelegation { unit, by }).expect("ended");
    assembly.registers("zoe", &["101"]).expect("registered");
    assert!(!left_out(&assembly).contains(&expected[1].to_owned()), "it holds now");
    assembly.attend(AttendanceAction::TakeList(Box::new(list()))).expect("taken");
    assert_eq!(left_out(&assembly), [""; 0], "the next list has none");
    assembly.restart();
    assert_eq!(left_out(&assembly), [""; 0]);
}

#[test]
fn of_many_delegations_left_out_the_first_are_named_and_all_are_counted() {
    let mut assembly = Assembly::new();
    let delegated = (0..200)
        .map(|number| (format!("nowhere {number}").parse().expect("a unit"), user("zoe")))
        .collect();
    let many = EligibleList { delegated, ..list() };
    assembly.attend(AttendanceAction::TakeList(Box::new(many))).expect("taken");
    let view = assembly.engine.eligible_list_view();
    assert_eq!(view.delegations_left_out.len(), 50);
    assert_eq!(view.delegations_left_out_total, 200);
    assert_eq!(assembly.engine.attendance().left_out().count(), 200, "the door lists all");
}

#[test]
fn a_registration_that_was_a_mistake_is_taken_back() {
    let mut assembly = Assembly::new();
    assembly.registers("ana", &[]).expect("registered");
    assembly.registers("ana", &[]).expect("again, which changes nothing");
    let (ana, by) = (user("ana"), user(CHAIR));
    let undo = AttendanceAction::TakeBack { user: ana, decision: decision(1), by };
    assembly.attend(undo).expect("undone");
    assert_eq!(assembly.heard(), ["ana validated manual", "counted 40", "ana left manual, absent"]);
    let absent = Err(RoomError::Attendance(AttendanceError::NotPresent));
    assert_eq!(assembly.marks_left("ana"), absent);
}

#[test]
fn who_proves_it_is_in_the_hall_unless_they_are_connected() {
    let mut assembly = Assembly::new();
    assembly.proves("ana", qr("one")).expect("taken");
    let bea = assembly.enter("bea");
    assembly.proves("bea", qr("two")).expect("taken");
    let place = |assembly: &Assembly, name: &str| {
        let answer = assembly.engine.attendee(&user(name));
        answer.attendee.person.intervals.back().expect("present").place
    };
    assert_eq!(place(&assembly, "ana"), Place::Hall);
    assert_eq!(place(&assembly, "bea"), Place::Remote);
    assembly.leave(bea);
    assert_eq!(assembly.counted(), "1 heads, 40");
}

#[test]
fn a_restart_keeps_everything() {
    let mut assembly = Assembly::new();
    assembly.enter("ana");
    assembly.registers("lawyer", &["102"]).expect("registered");
    assembly.proves("carl", qr("one")).expect("taken");
    assembly.attend(AttendanceAction::BeginSecondCall).expect("begun");
    assembly.pass(Duration::from_mins(1));
    assembly.heard();
    let before = assembly.engine.attendance().clone();
    assembly.restart();
    assert_eq!(*assembly.engine.attendance(), before);
    assert_eq!(assembly.heard(), [""; 0], "nothing is told again");
    let read = attendance_of(&assembly.stored, AttendanceRules::default()).expect("readable");
    assert_eq!(read.expect("somebody attends"), before);
    assembly.pass(RESUME_GRACE);
    assert_eq!(assembly.counted(), "2 heads, 60", "who does not come back has left");
}

#[test]
fn what_cannot_be_stored_was_not_decided() {
    let mut assembly = Assembly::new();
    assembly.enter("ana");
    let before = assembly.engine.attendance().clone();
    let action = registration("bea", Vec::new());
    assembly.engine.handle_attendance(action, assembly.now).expect("decided");
    assert_ne!(*assembly.engine.attendance(), before);
    assembly.engine.undo();
    assert_eq!(*assembly.engine.attendance(), before);
    assert!(assembly.engine.take_outputs().notes.is_empty());
    assembly.registers("bea", &[]).expect("registered the second time");
    assert_eq!(assembly.counted(), "2 heads, 75");
}

#[test]
fn the_end_of_the_session_ends_every_presence_and_keeps_the_list() {
    let mut assembly = Assembly::new();
    assembly.enter("ana");
    assembly.registers("bea", &[]).expect("registered");
    assembly.pass(Duration::from_mins(1));
    assembly.heard();
    assembly.engine.handle_session_over("completed", assembly.now);
    assembly.keep();
    assert_eq!(assembly.heard(), [""; 0], "session_ended says it for everybody");
    let read = attendance_of(&assembly.stored, AttendanceRules::default()).expect("readable");
    let read = read.expect("somebody attended");
    assert!(read.is_over());
    assert!(read.people().all(|(_, person)| !person.is_present()));
    assert!(read.quorum().reached, "the quorum stays as it was");
    let over = Err(RoomError::Attendance(AttendanceError::Over));
    assert_eq!(assembly.registers("carl", &[]), over);
}

#[test]
fn a_decision_stores_what_it_touched() {
    let mut assembly = Assembly::new();
    for number in 0..200 {
        assembly.enter(&format!("guest{number}"));
    }
    let action = registration("ana", Vec::new());
    assembly.engine.handle_attendance(action, assembly.now).expect("registered");
    let parts: Vec<String> =
        assembly.engine.to_store().parts.into_iter().map(|(name, _)| name).collect();
    assert_eq!(parts, ["attendance", "attendee/ana", "quorum_told"]);
}

#[test]
fn the_record_ends_with_the_quorum_as_it_was() {
    let mut assembly = Assembly::new();
    assembly.registers("ana", &[]).expect("registered");
    assembly.marks_left("ana").expect("left");
    assembly.heard();
    // Within the second in which other numbers wait.
    assembly.engine.handle_session_over("completed", assembly.now);
    assembly.keep();
    assert_eq!(assembly.heard(), ["counted 0"]);
}

#[test]
fn numbers_that_waited_when_the_process_ended_are_told_by_the_next() {
    let mut assembly = Assembly::new();
    for who in ["ana", "bea", "carl"] {
        assembly.registers(who, &[]).expect("registered");
    }
    let told = assembly.heard();
    assert_eq!(told.last().map(String::as_str), Some("carl validated manual"), "{told:?}");
    assembly.restart();
    assembly.pass(Duration::from_secs(2));
    assert_eq!(assembly.heard(), ["counted 100"]);
    assembly.restart();
    assembly.pass(Duration::from_secs(2));
    assert_eq!(assembly.heard(), [""; 0], "what was told is not told again");
}

#[test]
fn a_vote_that_was_announced_is_not_announced_again_after_a_restart() {
    let mut assembly = Assembly::new();
    let vote = |title: &str| Vote {
        id: "budget / 2027".to_owned(),
        title: title.to_owned(),
        started_at: None,
        ends_at: None,
    };
    let announce = |assembly: &mut Assembly, title: &str| {
        assembly.pass(Duration::from_secs(1));
        assembly.engine.handle_vote(vote(title), assembly.now).expect("announced");
        assembly.keep();
        let is_vote = |event: &Event| matches!(event, Event::VoteAnnounced(_));
        std::mem::take(&mut assembly.told).iter().filter(|event| is_vote(event)).count()
    };
    assert_eq!(announce(&mut assembly, "the budget"), 1);
    assembly.restart();
    assert_eq!(announce(&mut assembly, "the budget"), 0);
    assert_eq!(announce(&mut assembly, "the budget of 2027"), 1);
    assembly.engine.handle_vote(vote("undone"), assembly.now).expect("announced");
    assembly.engine.undo();
    assert_eq!(announce(&mut assembly, "undone"), 1, "nobody was told of it before");
}

#[test]
fn whoever_comes_late_is_told_of_the_votes_that_are_open() {
    let mut assembly = Assembly::new();
    let began = assembly.now;
    let minutes = |count: u64| Duration::from_secs(60 * count);
    // Told in another order than they started in.
    for (id, starts, ends) in [("a", 2, Some(5)), ("b", 1, None), ("c", 0, Some(10))] {
        let ends_at = ends.map(|ends| began.after(minutes(ends)));
        let started_at = Some(began.after(minutes(starts)));
        let (id, title) = (id.to_owned(), format!("Vote {id}"));
        let vote = Vote { id, title, started_at, ends_at };
        assembly.engine.handle_vote(vote, assembly.now).expect("announced");
    }
    assembly.keep();
    let open = |assembly: &mut Assembly, who: &str| -> Vec<String> {
        let connection = assembly.enter(who);
        let (engine, now) = (&assembly.engine, assembly.now);
        let view = engine.view(connection, &engine.crowd(), now).expect("entered");
        view.votes.into_iter().map(|vote| vote.vote_id).collect()
    };
    assert_eq!(open(&mut assembly, "ana"), ["c", "b", "a"]);
    assembly.pass(minutes(5));
    assembly.restart();
    assert_eq!(open(&mut assembly, "bea"), ["c", "b"]);
    assembly.pass(minutes(5));
    assert_eq!(open(&mut assembly, "carl"), ["b"]);
    for number in 0..60 {
        let (id, title) = (format!("more {number:02}"), "More".to_owned());
        let vote = Vote { id, title, started_at: None, ends_at: None };
        assembly.engine.handle_vote(vote, assembly.now).expect("announced");
    }
    let shown = open(&mut assembly, "dora");
    assert_eq!((shown.len(), shown.last().map(String::as_str)), (50, Some("more 59")));
}
