//! The desk before real rooms: what an identity service says, how often it may be
//! asked, and what a restart keeps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::attendance::ports::{
    EligibleList, EligibleSource, EligibleUnavailable, PresenceVerifier, Presentation,
};
use cabildo::attendance::{Member, Roll};
use cabildo::clock::Clock;
use cabildo::domain::attendance::{AttendanceFailure, AttendanceMethod};
use cabildo::domain::eligible_list::{ListFault, ListRefused};
use cabildo::domain::error_code::ErrorCode;
use cabildo::domain::id::{ActionId, AssemblyId, SessionKey, TenantId, UserId};
use cabildo::domain::role::Role;
use cabildo::domain::secret::Secret;
use cabildo::room::action::AttendanceAction;
use cabildo::room::engine::Attendee;
use cabildo::room::ports::RoomPorts;
use cabildo::room::{Desk, DeskError, Outbound, Presented, Rooms};
use tokio::sync::mpsc;

use super::{House, in_time, outcomes};

/// An identity service that takes what says whose it is: `ok:ana`; anything else
/// is the word of a failure.
#[derive(Default)]
struct Identity {
    asked: AtomicU32,
}

#[async_trait]
impl PresenceVerifier for Identity {
    async fn verify(&self, presented: &Presentation) -> Result<UserId, AttendanceFailure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let said = presented.secret.expose();
        match said.strip_prefix("ok:") {
            Some(user) => Ok(user.split(' ').next().unwrap_or_default().parse().expect("an id")),
            None => Err(AttendanceFailure::parse(said).expect("a failure")),
        }
    }
}

/// A user-profiles service with two owners.
#[derive(Default)]
struct Owners {
    asked: AtomicU32,
    delegated: Vec<(&'static str, &'static str)>,
    /// Why its list is not taken.
    refused: Option<ListRefused>,
}

#[async_trait]
impl EligibleSource for Owners {
    async fn eligible(
        &self,
        _tenant: TenantId,
        _assembly: AssemblyId,
    ) -> Result<EligibleList, EligibleUnavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(refused) = &self.refused {
            return Err(EligibleUnavailable::Refused(refused.clone()));
        }
        let delegated = self.delegated.iter();
        let delegated = delegated
            .map(|(unit, who)| (unit.parse().expect("a unit"), who.parse().expect("an id")));
        Ok(EligibleList { delegated: delegated.collect(), ..owners() })
    }
}

fn owners() -> EligibleList {
    let owner = |name: &str, unit: &str, weight: &str| Member {
        user_id: name.parse().expect("an id"),
        name: name.to_owned(),
        units: [(unit.parse().expect("a unit"), weight.parse().expect("a weight"))].into(),
    };
    let roll = Roll::new([owner("ana", "101", "60"), owner("bea", "102", "40")]).expect("a list");
    EligibleList { roll, delegated: Vec::new() }
}

struct Door {
    house: House,
    rooms: Rooms,
    desk: Desk,
    identity: Arc<Identity>,
}

impl Door {
    async fn open() -> Self {
        Self::before(House::build().await, true).await
    }

    async fn before(house: House, has_list: bool) -> Self {
        let (rooms, _) = house.process();
        let identity = Arc::new(Identity::default());
        let verifier: Arc<dyn PresenceVerifier> = identity.clone();
        let desk = Desk::new(rooms.clone(), Some(verifier), Clock::system());
        let door = Self { house, rooms, desk, identity };
        if has_list {
            let action = AttendanceAction::TakeList(Box::new(owners()));
            let (tenant, session) = (door.house.tenant, door.house.session);
            in_time(door.rooms.attend(SessionKey::new(tenant, session), action))
                .await
                .expect("taken");
        }
        door
    }

    async fn present(
        &self,
        who: &str,
        method: AttendanceMethod,
        said: &str,
    ) -> Result<Attendee, DeskError> {
        let person = self.house.principal_as(who, Role::Participant);
        let secret = Secret::new(said.to_owned());
        let presented = Presented { method, secret, variant: None, place: None, location: None };
        let answer = self.desk.validate(&person, self.house.session, presented).await;
        answer.map(|answer| answer.attendee)
    }

    async fn code_of(&self, who: &str, said: &str) -> ErrorCode {
        let outcome = in_time(self.present(who, AttendanceMethod::Qr, said)).await;
        outcome.expect_err("refused").code()
    }
}

#[tokio::test]
async fn what_the_identity_service_takes_makes_somebody_present_once() {
    let door = Door::open().await;
    for method in [AttendanceMethod::Qr, AttendanceMethod::Code, AttendanceMethod::Biometric] {
        let attendee = in_time(door.present("ana", method, "ok:ana")).await.expect("taken");
        assert!(attendee.person.is_present(), "{method}");
    }
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), 3);
    in_time(door.present("ana", AttendanceMethod::Code, "ok:ana")).await.expect("again");
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), 3, "what holds is not asked about");
    let by = door.house.principal_as("chair", Role::Moderator).user_id;
    let user = "ana".parse().expect("an id");
    let left = AttendanceAction::MarkLeft { user, decision: ActionId::generate(), by };
    let (tenant, session) = (door.house.tenant, door.house.session);
    in_time(door.rooms.attend(SessionKey::new(tenant, session), left)).await.expect("left");
    assert_eq!(door.code_of("bea", "ok:ana").await, ErrorCode::ProofReplayed);
    let back = in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana")).await;
    assert!(back.expect("she is back").person.is_present());
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), 3, "it would say: used before");
    door.rooms.shutdown().await;
}

#[tokio::test]
async fn what_was_validated_and_not_stored_is_not_validated_again() {
    let house = House::build().await;
    let (rooms, repository) = outcomes::process(&house);
    let identity = Arc::new(Identity::default());
    let desk = Desk::new(rooms.clone(), Some(identity.clone()), Clock::system());
    let door = Door { house, rooms, desk, identity };
    let (tenant, session) = (door.house.tenant, door.house.session);
    let action = AttendanceAction::TakeList(Box::new(owners()));
    in_time(door.rooms.attend(SessionKey::new(tenant, session), action)).await.expect("taken");
    repository.next.store(outcomes::GOES, Ordering::SeqCst);
    let failed = in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana")).await;
    assert!(failed.is_err(), "the database went away");
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), 1);
    let attendee = in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana")).await;
    assert!(attendee.expect("taken").person.is_present());
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), 1, "it would say: used before");
    assert_eq!(door.code_of("bea", "ok:ana").await, ErrorCode::ProofReplayed);
    door.rooms.shutdown().await;
}

#[tokio::test]
async fn every_refusal_has_its_code() {
    let door = Door::open().await;
    for (said, code) in [
        ("invalid", ErrorCode::ProofInvalid),
        ("expired", ErrorCode::ProofExpired),
        ("wrong_context", ErrorCode::ProofWrongContext),
        ("replayed", ErrorCode::ProofReplayed),
        ("service_unavailable", ErrorCode::DependencyUnavailable),
        ("ok:bea", ErrorCode::ProofWrongContext),
    ] {
        assert_eq!(door.code_of("ana", said).await, code, "{said}");
    }
    assert_eq!(door.code_of("stranger", "ok:stranger").await, ErrorCode::NotEligible);
    let (rooms, clock) = (door.rooms.clone(), Clock::system());
    let alone = Door { desk: Desk::new(rooms, None, clock), ..door };
    assert_eq!(alone.code_of("ana", "ok:ana").await, ErrorCode::DependencyUnavailable);
    alone.rooms.shutdown().await;
}

#[tokio::test]
async fn ten_attempts_a_minute_and_what_was_presented_stays_so_after_a_restart() {
    let door = Door::open().await;
    in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana 1")).await.expect("taken");
    for _ in 0..9 {
        assert_eq!(door.code_of("ana", "invalid").await, ErrorCode::ProofInvalid);
    }
    let asked = door.identity.asked.load(Ordering::SeqCst);
    let outcome = in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana 2")).await;
    assert!(matches!(outcome, Err(DeskError::TooMany(wait)) if wait <= Duration::from_mins(1)));
    assert_eq!(door.identity.asked.load(Ordering::SeqCst), asked, "the service is not asked");
    door.rooms.shutdown().await;
    let door = Door::before(door.house, false).await;
    assert_eq!(door.code_of("bea", "ok:ana 1").await, ErrorCode::ProofReplayed);
    let attendance =
        in_time(door.rooms.attendance(SessionKey::new(door.house.tenant, door.house.session)))
            .await;
    let attendance = attendance.expect("readable");
    assert!(attendance.is_present(&"ana".parse().expect("an id")));
    assert!(attendance.quorum().reached);
    door.rooms.shutdown().await;
}

#[tokio::test]
async fn a_hall_that_nobody_is_connected_to_leaves_with_the_session() {
    let door = Door::open().await;
    in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana")).await.expect("taken");
    door.rooms.shutdown().await;
    let door = Door::before(door.house, false).await;
    in_time(door.rooms.session_over(&door.house.ended().await)).await.expect("ended");
    let attendance = stored_attendance(&door.house).await;
    assert!(attendance.is_over());
    assert!(!attendance.is_present(&"ana".parse().expect("an id")));
    door.rooms.shutdown().await;
}

#[tokio::test]
async fn the_end_of_a_session_to_which_nobody_came_is_told_once() {
    use cabildo::room::repository::RoomRepository as _;

    let house = House::build().await;
    let (rooms, _) = outcomes::process(&house);
    let ended = house.ended().await;
    for _ in 0..2 {
        in_time(rooms.session_over(&ended)).await.expect("ended");
    }
    let key = SessionKey::new(house.tenant, house.session);
    let events = house.store.events_after(key, 0, 100).await.expect("readable");
    let ends = events.iter().filter(|event| event.kind == "session_ended");
    assert_eq!(ends.count(), 1, "{events:?}");
    rooms.shutdown().await;
}

async fn stored_attendance(house: &House) -> cabildo::attendance::Attendance {
    use cabildo::room::repository::RoomRepository as _;

    let record = house.store.load(SessionKey::new(house.tenant, house.session)).await;
    let record = record.expect("readable").expect("a record");
    let rules = cabildo::domain::quorum::AttendanceRules::default();
    let attendance = cabildo::room::engine::attendance_of(&record, rules).expect("readable");
    attendance.expect("somebody attended")
}

#[tokio::test]
async fn an_end_that_could_not_be_stored_is_told_of_and_stored_the_next_time() {
    for is_open in [true, false] {
        let door = Door::open().await;
        in_time(door.present("ana", AttendanceMethod::Qr, "ok:ana")).await.expect("taken");
        door.rooms.shutdown().await;
        let (rooms, repository) = outcomes::process(&door.house);
        if is_open {
            let key = SessionKey::new(door.house.tenant, door.house.session);
            let attendance = in_time(rooms.attendance(key)).await.expect("open");
            assert!(attendance.is_present(&"ana".parse().expect("an id")));
        }
        let ended = door.house.ended().await;
        repository.next.store(outcomes::GOES, Ordering::SeqCst);
        let first = in_time(rooms.session_over(&ended)).await;
        // What an open room could not store is tried once more at once.
        assert_eq!(first.is_ok(), is_open, "{first:?}");
        in_time(rooms.session_over(&ended)).await.expect("stored");
        let attendance = stored_attendance(&door.house).await;
        assert!(attendance.is_over());
        assert!(!attendance.is_present(&"ana".parse().expect("an id")));
        rooms.shutdown().await;
    }
}

#[tokio::test]
async fn a_room_that_opens_takes_the_list_of_the_service_once() {
    let house = House::build().await;
    let source = Arc::new(Owners::default());
    let eligible: Arc<dyn EligibleSource> = source.clone();
    let ports = RoomPorts { eligible: Some(eligible), ..RoomPorts::default() };
    let (rooms, _) = house.process_with(ports);
    let (_ana, mut outbound) = house.enter(&rooms, "ana", 512).await;
    loop {
        let told = super::told(&mut outbound).await.expect("told");
        if told["type"] == "quorum_changed" && told["reached"] == true {
            break;
        }
    }
    let (entered, _outbound) = house.enter(&rooms, "bea", 512).await;
    assert_eq!(source.asked.load(Ordering::SeqCst), 1);
    assert_eq!(entered.view.quorum.weight_present, "100");
    rooms.shutdown().await;
}

#[tokio::test]
async fn each_of_two_desks_is_answered_with_its_own_decision() {
    let door = Door::open().await;
    let key = SessionKey::new(door.house.tenant, door.house.session);
    let by = door.house.principal_as("chair", Role::Moderator).user_id;
    let ana: UserId = "ana".parse().expect("an id");
    for _ in 0..3 {
        let [first, second] = [ActionId::generate(), ActionId::generate()];
        let (user, represents) = (ana.clone(), Vec::new());
        let registered =
            AttendanceAction::Register { user, represents, decision: first, by: by.clone() };
        let left =
            AttendanceAction::MarkLeft { user: ana.clone(), decision: second, by: by.clone() };
        // The room has both before either desk hears of its own.
        let ask = |action| door.rooms.attend_person(key, ana.clone(), action);
        let (registered, left) = in_time(async { tokio::join!(ask(registered), ask(left)) }).await;
        let seen = [registered, left].map(|answer| {
            let person = answer.expect("decided").attendee.person;
            (person.decision.as_ref().map(|made| made.id), person.is_present())
        });
        assert_eq!(seen, [(Some(first), true), (Some(second), false)]);
    }
    door.rooms.shutdown().await;
}

/// What a moderator is told of the eligible list next.
async fn told_of_list(outbound: &mut mpsc::Receiver<Outbound>) -> Vec<String> {
    loop {
        if let Outbound::EligibleList(view) = in_time(outbound.recv()).await.expect("still there") {
            let refused = view
                .refused
                .iter()
                .map(|it| format!("{} {:?} {:?} {:?}", it.reason, it.row, it.user_id, it.unit));
            let left_out = view.delegations_left_out.iter();
            let left_out = left_out.map(|it| format!("{} {} {}", it.unit, it.user_id, it.reason));
            return refused.chain(left_out).collect();
        }
    }
}

#[tokio::test]
async fn moderators_are_told_which_delegations_of_the_services_list_were_left_out() {
    let house = House::build().await;
    let delegated = vec![("101", "bea"), ("101", "carl"), ("102", "bea")];
    let eligible: Arc<dyn EligibleSource> = Arc::new(Owners { delegated, ..Owners::default() });
    let ports = RoomPorts { eligible: Some(eligible), ..RoomPorts::default() };
    let (rooms, _) = house.process_with(ports);
    let enter = async |name: &str, role: Role| {
        let (sink, outbound) = mpsc::channel(512);
        let principal = house.principal_as(name, role);
        let entered = in_time(Box::pin(rooms.enter(principal, house.session, [1; 32], sink))).await;
        (entered.expect("let in"), outbound)
    };
    let (_guest, mut unaware) = enter("guest", Role::Participant).await;
    let (_chair, mut told) = enter("chair", Role::Moderator).await;
    let expected = ["101 carl already_delegated", "102 bea own_unit"];
    assert_eq!(told_of_list(&mut told).await, expected);
    let (_later, mut told_later) = enter("secretary", Role::Moderator).await;
    assert_eq!(told_of_list(&mut told_later).await, expected, "whoever comes later reads it too");

    let key = SessionKey::new(house.tenant, house.session);
    let by: UserId = "chair".parse().expect("an id");
    let unit = "101".parse().expect("a unit");
    let ended = AttendanceAction::EndDelegation { unit, by: by.clone() };
    in_time(rooms.attend(key, ended)).await.expect("ended");
    let action = AttendanceAction::Register {
        user: "carl".parse().expect("an id"),
        represents: vec!["101".parse().expect("a unit")],
        decision: ActionId::generate(),
        by,
    };
    in_time(rooms.attend(key, action)).await.expect("registered");
    for told in [&mut told, &mut told_later] {
        assert_eq!(told_of_list(told).await, expected[1..], "the other one holds now");
    }
    rooms.shutdown().await;
    while let Ok(message) = unaware.try_recv() {
        assert!(!matches!(message, Outbound::EligibleList(_)), "only moderators are told");
    }
}

#[tokio::test]
async fn moderators_are_told_that_the_services_list_is_refused_and_which_row_is_wrong() {
    let house = House::build().await;
    let (user, unit) = ("bea".parse().expect("an id"), "101".parse().expect("a unit"));
    let refused = ListRefused::row(ListFault::UnitTwice, 2, Some(user), Some(unit));
    let source = Owners { refused: Some(refused), ..Owners::default() };
    let eligible: Arc<dyn EligibleSource> = Arc::new(source);
    let ports = RoomPorts { eligible: Some(eligible), ..RoomPorts::default() };
    let (rooms, _) = house.process_with(ports);
    let (sink, mut told) = mpsc::channel(512);
    let chair = house.principal_as("chair", Role::Moderator);
    let entered = in_time(Box::pin(rooms.enter(chair, house.session, [1; 32], sink))).await;
    let _chair = entered.expect("let in");
    assert_eq!(told_of_list(&mut told).await, [r#"unit_twice Some(2) Some("bea") Some("101")"#]);

    let key = SessionKey::new(house.tenant, house.session);
    let register = || AttendanceAction::Register {
        user: "ana".parse().expect("an id"),
        represents: Vec::new(),
        decision: ActionId::generate(),
        by: "chair".parse().expect("an id"),
    };
    let answer = in_time(rooms.attend(key, register())).await.expect_err("no list is known");
    assert_eq!(answer.code(), ErrorCode::EligibleListRefused);
    assert!(answer.to_string().contains("a unit is listed twice (row 2)"), "{answer}");

    let taken = AttendanceAction::TakeList(Box::new(owners()));
    in_time(rooms.attend(key, taken)).await.expect("taken");
    assert_eq!(told_of_list(&mut told).await, [""; 0], "it is known now");
    in_time(rooms.attend(key, register())).await.expect("registered");
    rooms.shutdown().await;
}
