//! A meeting in virtual time, and short words for what it tells.

use std::time::Duration;

use cabildo::domain::floor::SpeechKind;
use cabildo::domain::id::{RequestId, TurnId, UserId};
use cabildo::domain::time::Timestamp;
use cabildo::floor::{
    EVENTS_PER_COMMAND_MAX, Entry, Floor, FloorError, FloorEvent, FloorPolicy, Microphone,
    NewRequest, TurnView,
};
use uuid::Uuid;

pub(crate) const POLICY: FloorPolicy = FloorPolicy {
    default_turn: Duration::from_mins(1),
    max_turn: Duration::from_mins(5),
    auto_start: false,
    points_of_order_pass_closed_list: true,
};

pub(crate) fn user(name: &str) -> UserId {
    name.parse().expect("a valid user id")
}

pub(crate) fn request_id(number: u128) -> RequestId {
    RequestId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn turn_id(number: u128) -> TurnId {
    TurnId::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn request(number: u128, who: &str, kind: SpeechKind) -> NewRequest {
    NewRequest {
        id: request_id(number),
        user_id: user(who),
        name: format!("name of {who}"),
        kind,
        stance: None,
        note: None,
    }
}

/// The events of one command, which are never more than the limit says.
pub(crate) fn drain(floor: &mut Floor) -> Vec<FloorEvent> {
    let events = drain_all(floor);
    assert!(events.len() <= EVENTS_PER_COMMAND_MAX, "{} events at once", events.len());
    events
}

/// The events of any number of commands.
fn drain_all(floor: &mut Floor) -> Vec<FloorEvent> {
    std::iter::from_fn(|| floor.poll_event()).collect()
}

/// A floor, the time, and the next free identifier.
pub(crate) struct Meeting {
    pub(crate) floor: Floor,
    pub(crate) now: Timestamp,
    ids: u128,
}

impl Meeting {
    pub(crate) fn new(policy: FloorPolicy) -> Self {
        let now = Timestamp::from_unix_us(1_700_000_000_000_000);
        Self { floor: Floor::new(policy), now, ids: 0 }
    }

    /// Lets time pass without anybody looking at the clock.
    pub(crate) fn pass(&mut self, span_ms: u64) {
        self.now = self.now.after(Duration::from_millis(span_ms));
    }

    /// Lets time pass with a driver that obeys `poll_timeout`.
    pub(crate) fn run(&mut self, span_ms: u64) {
        let end = self.now.after(Duration::from_millis(span_ms));
        while let Some(due) = self.floor.poll_timeout().filter(|due| *due <= end) {
            self.floor.handle_timeout(due);
        }
        self.now = end;
    }

    pub(crate) fn new_request(&mut self, who: &str, kind: SpeechKind) -> NewRequest {
        self.ids += 1;
        request(self.ids, who, kind)
    }

    pub(crate) fn new_turn(&mut self) -> TurnId {
        self.ids += 1;
        turn_id(self.ids)
    }

    pub(crate) fn asks(&mut self, who: &str, kind: SpeechKind) -> RequestId {
        let request = self.new_request(who, kind);
        let id = request.id;
        self.floor.handle_request_speech(request, self.now).expect("the request is taken");
        id
    }

    pub(crate) fn approved(&mut self, id: RequestId) {
        let turn = self.new_turn();
        self.floor.approve(id, turn, self.now).expect("the request is approved");
    }

    /// Somebody asks and is approved.
    pub(crate) fn waits(&mut self, who: &str, kind: SpeechKind) -> RequestId {
        let id = self.asks(who, kind);
        self.approved(id);
        id
    }

    pub(crate) fn starts(&mut self, request: RequestId) -> TurnId {
        let turn = self.new_turn();
        self.floor.start_turn(Some(request), turn, None, self.now).expect("the turn starts");
        turn
    }

    /// Somebody asks, is approved and gets the floor.
    pub(crate) fn speaks(&mut self, who: &str, kind: SpeechKind) -> TurnId {
        let id = self.waits(who, kind);
        self.starts(id)
    }

    /// Runs a command that has to be refused, and to change nothing.
    pub(crate) fn refused(
        &mut self,
        command: impl FnOnce(&mut Floor, Timestamp) -> Result<(), FloorError>,
    ) -> FloorError {
        let before = self.floor.clone();
        let error = command(&mut self.floor, self.now).expect_err("the command is refused");
        assert_eq!(self.floor, before, "{error} changed something");
        error
    }

    /// Those who wait, in order.
    pub(crate) fn list(&self) -> String {
        let names: Vec<_> = self.floor.waiting().map(|entry| entry.user_id.as_str()).collect();
        names.join(" ")
    }

    /// Who is to be heard, `-` when nobody.
    pub(crate) fn heard(&self) -> String {
        match self.floor.speaker() {
            Some((user, Microphone::Own)) => user.as_str().to_owned(),
            Some((user, Microphone::Hall)) => format!("{} through the hall", user.as_str()),
            None => "-".to_owned(),
        }
    }

    pub(crate) fn turn(&self) -> TurnView {
        self.floor.current_turn(self.now).expect("somebody holds the floor")
    }

    /// What has been told since, in short.
    pub(crate) fn told(&mut self) -> Vec<String> {
        drain_all(&mut self.floor).iter().map(in_short).collect()
    }

    pub(crate) fn forget(&mut self) {
        drain_all(&mut self.floor);
    }
}

fn in_short(event: &FloorEvent) -> String {
    let entry = |word: &str, entry: &Entry| format!("{word} {}", entry.user_id.as_str());
    let turn = |word: &str, turn: &TurnView| format!("{word} {}", turn.user_id.as_str());
    match event {
        FloorEvent::RequestReceived(it) => entry("received", it),
        FloorEvent::SpeechApproved(it) => entry("approved", it),
        FloorEvent::SpeechDenied { entry: it, reason } => {
            format!("{}: {}", entry("denied", it), reason.as_deref().unwrap_or("-"))
        }
        FloorEvent::SpeechCancelled { entry: it, by } => {
            format!("{} by {by:?}", entry("cancelled", it))
        }
        FloorEvent::QueueUpdated => "queue".to_owned(),
        FloorEvent::TurnStarted(it) => turn("started", it),
        FloorEvent::TurnPaused { turn: it, cause } => format!("{} {cause:?}", turn("paused", it)),
        FloorEvent::TurnResumed(it) => turn("resumed", it),
        FloorEvent::TurnExtended(it) => {
            format!("{} to {} s", turn("extended", it), it.limit.as_secs())
        }
        FloorEvent::TurnWarning { turn: it, left } => {
            format!("{} {} s", turn("warned", it), left.as_secs())
        }
        FloorEvent::TurnEnded { turn: it, reason } => {
            format!("{} {reason} {} ms", turn("ended", it), it.used.as_millis())
        }
    }
}
