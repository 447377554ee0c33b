//! What holds for every sequence of commands, sensible or not.

use std::time::Duration;

use cabildo::domain::floor::{SpeechKind, TurnEnd};
use cabildo::domain::id::{RequestId, UserId};
use cabildo::domain::time::Timestamp;
use cabildo::floor::{
    Canceller, Entry, Floor, FloorError, FloorEvent, FloorPolicy, Microphone, QueueState,
    TURN_LIMIT_MAX,
};
use proptest::prelude::*;

use crate::floor::fixture::{POLICY, drain, request, request_id, turn_id, user};
use crate::floor::legality::assert_legal;
use crate::floor::model::{Model, told};

/// A command; numbers name requests, turns and people from small sets, so that
/// they hit, miss and collide.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Request { id: u8, who: u8, kind: SpeechKind },
    AddSpeaker { id: u8, who: u8, kind: SpeechKind },
    CancelOwn { id: u8, who: u8 },
    CancelAny { id: u8 },
    Approve { id: u8, turn: u8 },
    Deny { id: u8 },
    Rotate { by: u8 },
    Reorder { ids: Vec<u8> },
    Start { id: u8, turn: u8, limit_s: Option<u32> },
    StartNext { turn: u8 },
    Pause,
    Resume,
    Extend { by_s: u32 },
    Stop,
    EndSpeech { who: u8 },
    Remove { who: u8 },
    EndSession,
    SetQueue { state: QueueState },
    Timeout,
}

fn person(number: u8) -> UserId {
    user(&format!("u{number}"))
}

fn request_of(number: u8) -> RequestId {
    request_id(number.into())
}

impl Command {
    /// Gives the command; the answer is `Ok` for those that can't be refused.
    pub(crate) fn run(&self, floor: &mut Floor, now: Timestamp) -> Result<(), FloorError> {
        let wish = |id: u8, who: u8, kind| request(id.into(), &format!("u{who}"), kind);
        match self {
            Self::Request { id, who, kind } => {
                floor.handle_request_speech(wish(*id, *who, *kind), now)
            }
            Self::AddSpeaker { id, who, kind } => {
                floor.add_speaker(wish(*id, *who, *kind), Microphone::Hall, now)
            }
            Self::CancelOwn { id, who } => {
                floor.handle_cancel_speech(request_of(*id), Canceller::Speaker(&person(*who)))
            }
            Self::CancelAny { id } => {
                floor.handle_cancel_speech(request_of(*id), Canceller::Moderator)
            }
            Self::Approve { id, turn } => {
                floor.approve(request_of(*id), turn_id((*turn).into()), now)
            }
            Self::Deny { id } => floor.deny(request_of(*id), None),
            Self::Rotate { .. } | Self::Reorder { .. } => {
                let order = self.order(floor).unwrap_or_default();
                floor.handle_reorder(&order)
            }
            Self::Start { id, turn, limit_s } => {
                let limit = limit_s.map(|limit_s| Duration::from_secs(limit_s.into()));
                floor.start_turn(Some(request_of(*id)), turn_id((*turn).into()), limit, now)
            }
            Self::StartNext { turn } => floor.start_turn(None, turn_id((*turn).into()), None, now),
            Self::Pause => floor.pause_turn(now),
            Self::Resume => floor.resume_turn(now),
            Self::Extend { by_s } => floor.extend_turn(Duration::from_secs((*by_s).into()), now),
            Self::Stop => floor.stop_turn(now),
            Self::EndSpeech { who } => floor.end_speech(&person(*who), now),
            Self::Remove { who } => {
                floor.handle_removed(&person(*who), now);
                Ok(())
            }
            Self::EndSession => {
                floor.handle_session_end(now);
                Ok(())
            }
            Self::SetQueue { state } => {
                floor.set_queue(*state);
                Ok(())
            }
            Self::Timeout => {
                floor.handle_timeout(now);
                Ok(())
            }
        }
    }

    /// The order that the command gives, when it gives one.
    fn order(&self, floor: &Floor) -> Option<Vec<RequestId>> {
        match self {
            Self::Reorder { ids } => Some(ids.iter().map(|id| request_of(*id)).collect()),
            Self::Rotate { by } => {
                let mut order: Vec<_> = floor.waiting().map(|entry| entry.request_id).collect();
                let by = usize::from(*by).checked_rem(order.len()).unwrap_or(0);
                order.rotate_left(by);
                Some(order)
            }
            _ => None,
        }
    }

    /// Whether the command looks at the clock.
    fn takes_now(&self) -> bool {
        !matches!(
            self,
            Self::CancelOwn { .. }
                | Self::CancelAny { .. }
                | Self::Deny { .. }
                | Self::Rotate { .. }
                | Self::Reorder { .. }
                | Self::SetQueue { .. }
        )
    }
}

fn kinds() -> impl Strategy<Value = SpeechKind> {
    prop_oneof![
        2 => Just(SpeechKind::Normal),
        1 => Just(SpeechKind::PointOfOrder),
        1 => Just(SpeechKind::Intervention),
        3 => Just(SpeechKind::InterposedQuestion),
    ]
}

fn commands() -> impl Strategy<Value = Command> {
    const IDS: std::ops::Range<u8> = 0..10;
    const PEOPLE: std::ops::Range<u8> = 0..5;
    const TURNS: std::ops::Range<u8> = 0..24;
    let on_the_list = prop_oneof![
        6 => (IDS, PEOPLE, kinds()).prop_map(|(id, who, kind)| Command::Request { id, who, kind }),
        6 => (IDS, PEOPLE, kinds())
            .prop_map(|(id, who, kind)| Command::AddSpeaker { id, who, kind }),
        1 => (IDS, PEOPLE).prop_map(|(id, who)| Command::CancelOwn { id, who }),
        1 => IDS.prop_map(|id| Command::CancelAny { id }),
        6 => (IDS, TURNS).prop_map(|(id, turn)| Command::Approve { id, turn }),
        1 => IDS.prop_map(|id| Command::Deny { id }),
        1 => any::<u8>().prop_map(|by| Command::Rotate { by }),
        1 => prop::collection::vec(IDS, 0..4).prop_map(|ids| Command::Reorder { ids }),
        1 => prop_oneof![3 => Just(QueueState::Open), 1 => Just(QueueState::Closed)]
            .prop_map(|state| Command::SetQueue { state }),
    ];
    let on_turns = prop_oneof![
        4 => (IDS, TURNS, prop::option::of(0..400_u32))
            .prop_map(|(id, turn, limit_s)| Command::Start { id, turn, limit_s }),
        8 => TURNS.prop_map(|turn| Command::StartNext { turn }),
        2 => Just(Command::Pause),
        2 => Just(Command::Resume),
        2 => (0..90_u32).prop_map(|by_s| Command::Extend { by_s }),
        1 => Just(Command::Stop),
        2 => PEOPLE.prop_map(|who| Command::EndSpeech { who }),
        1 => PEOPLE.prop_map(|who| Command::Remove { who }),
        3 => Just(Command::Timeout),
    ];
    prop_oneof![
        60 => on_the_list,
        60 => on_turns,
        1 => Just(Command::EndSession),
    ]
}

/// Microseconds to the next command: mostly seconds, now and then hours, and
/// sometimes a clock that is set back.
fn steps_us() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 0..25_000_000_i64,
        1 => 0..3_i64,
        1 => 0..20_000_000_000_i64,
        1 => -60_000_000..0_i64,
    ]
}

/// A meeting: whether approved requests start at once, and what happens.
pub(crate) fn meetings() -> impl Strategy<Value = (FloorPolicy, Vec<(Command, i64)>)> {
    let policy = any::<bool>().prop_map(|auto_start| FloorPolicy { auto_start, ..POLICY });
    (policy, prop::collection::vec((commands(), steps_us()), 1..80))
}

/// Tells the model what a command that succeeded has done.
fn follow(model: &mut Model, command: &Command, events: &[FloorEvent], now: Timestamp) {
    if command.takes_now() {
        model.tick(now);
    }
    let started = events.iter().find_map(|event| match event {
        FloorEvent::TurnStarted(turn) => Some(turn),
        _ => None,
    });
    match command {
        Command::Start { .. } | Command::StartNext { .. } | Command::Approve { .. } => {
            if let Some(turn) = started {
                model.start(turn.turn_id, turn.user_id.clone(), turn.kind, turn.limit);
            }
        }
        Command::Pause => model.pause(),
        Command::Resume => model.resume(),
        Command::Extend { by_s } => model.extend(Duration::from_secs((*by_s).into())),
        Command::Stop => model.end(TurnEnd::Stopped),
        Command::EndSpeech { .. } => model.end(TurnEnd::EndedBySpeaker),
        Command::Remove { who } => model.remove(&person(*who)),
        Command::EndSession => model.end_all(TurnEnd::SessionEnded),
        _ => {}
    }
}

fn goes_before(one: &Entry, other: &Entry) -> bool {
    let rank = |kind| match kind {
        SpeechKind::InterposedQuestion => 0,
        SpeechKind::Intervention => 1,
        SpeechKind::PointOfOrder => 2,
        SpeechKind::Normal => 3,
    };
    (rank(one.kind), one.arrival) < (rank(other.kind), other.arrival)
}

/// Checks how one command changed the list: those who stay keep their order, and
/// a newcomer stands right behind the last one who goes before them.
fn assert_order_kept(before: &[Entry], after: &[Entry]) {
    let stayed: Vec<_> = after.iter().filter(|entry| before.contains(entry)).collect();
    let still: Vec<_> = before.iter().filter(|entry| after.contains(entry)).collect();
    assert_eq!(stayed, still, "those who wait changed places");
    let newcomers: Vec<_> =
        (0..after.len()).filter(|index| !before.contains(&after[*index])).collect();
    assert!(newcomers.len() <= 1);
    for index in newcomers {
        let newcomer = &after[index];
        assert!(!after[index + 1..].iter().any(|other| goes_before(other, newcomer)));
        assert!(index == 0 || goes_before(&after[index - 1], newcomer));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn every_meeting_is_legal_and_every_microsecond_accounted_for(
        (policy, commands) in meetings()
    ) {
        let mut floor = Floor::new(policy);
        let mut model = Model::default();
        let mut now = Timestamp::from_unix_us(1_700_000_000_000_000);
        for (command, step_us) in commands {
            now = Timestamp::from_unix_us(now.unix_us() + step_us);
            let before = floor.clone();
            let order = command.order(&floor);
            if command.run(&mut floor, now).is_err() {
                prop_assert_eq!(&floor, &before, "a refused command changed something");
                continue;
            }
            let events = drain(&mut floor);
            follow(&mut model, &command, &events, now);
            prop_assert_eq!(told(&events), std::mem::take(&mut model.told));
            assert_legal(&floor, policy.max_turn, now);

            let waited: Vec<_> = before.waiting().cloned().collect();
            let waiting: Vec<_> = floor.waiting().cloned().collect();
            if let Some(order) = order {
                let stands: Vec<_> = waiting.iter().map(|entry| entry.request_id).collect();
                prop_assert_eq!(stands, order);
            } else {
                assert_order_kept(&waited, &waiting);
            }
            let cleared = matches!(command, Command::EndSession) && before.requested().count() > 0;
            let changed = waited != waiting || before.is_queue_open() != floor.is_queue_open();
            prop_assert_eq!(events.contains(&FloorEvent::QueueUpdated), changed || cleared);
            if command.takes_now() {
                let later = now.after(Duration::from_micros(777));
                let shown: Vec<_> =
                    floor.stacked_turns(later).chain(floor.current_turn(later)).collect();
                model.assert_shows(&shown, later);
            }
        }
    }

    #[test]
    fn without_reordering_the_list_stands_by_kind_and_arrival((policy, commands) in meetings()) {
        let mut floor = Floor::new(policy);
        let mut now = Timestamp::from_unix_us(0);
        for (command, step_us) in commands {
            if command.order(&floor).is_some() {
                continue;
            }
            now = Timestamp::from_unix_us(now.unix_us() + step_us);
            let refused = command.run(&mut floor, now).is_err();
            prop_assert_eq!(refused && !drain(&mut floor).is_empty(), false);
            drain(&mut floor);
            let waiting: Vec<_> = floor.waiting().collect();
            prop_assert!(waiting.windows(2).all(|pair| goes_before(pair[0], pair[1])));
        }
    }

    #[test]
    fn a_driver_that_obeys_the_timeout_warns_on_time((policy, commands) in meetings()) {
        let mut floor = Floor::new(policy);
        let mut now = Timestamp::from_unix_us(0);
        for (command, step_us) in commands {
            let next = Timestamp::from_unix_us(now.unix_us() + step_us.max(0));
            while let Some(due) = floor.poll_timeout().filter(|due| *due <= next) {
                prop_assert!(due > now, "a timeout in the past makes a driver spin");
                now = due;
                floor.handle_timeout(due);
                let [FloorEvent::TurnWarning { turn, left }] = &drain(&mut floor)[..] else {
                    panic!("a timeout gives one warning")
                };
                prop_assert_eq!(turn.limit.checked_sub(turn.used), Some(*left));
            }
            now = next;
            if command.run(&mut floor, now).is_ok() {
                let late = drain(&mut floor)
                    .into_iter()
                    .any(|event| matches!(event, FloorEvent::TurnWarning { .. }));
                prop_assert!(!late, "a warning was left to a command");
            }
        }
    }

    #[test]
    fn no_time_on_the_clock_breaks_the_floor(
        (policy, commands) in meetings(),
        times in prop::collection::vec(
            prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)], 80
        ),
    ) {
        let mut floor = Floor::new(policy);
        for ((command, _), time) in commands.into_iter().zip(times) {
            let now = Timestamp::from_unix_us(time);
            if command.run(&mut floor, now).is_ok() {
                drain(&mut floor);
            }
            assert_legal(&floor, TURN_LIMIT_MAX, now);
        }
    }
}
