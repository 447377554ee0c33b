#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The parts of a stored room that are the attendance's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attendance::{
    Attendance, AttendancePart, AttendanceSnapshot, Decided, DeskDecision, EarlierIntervals,
    Interval, LeftOut, LeftOutReason, Member, Person, PresentedHash, QuorumChange, Roll, Tally,
};
use crate::domain::attendance::{AttendanceMethod, LeaveCause, Place, QuorumCall, UnitId, Weight};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::quorum::AttendanceRules;
use crate::domain::time::Timestamp;

use super::{StoredRoomInvalid, hex, id, json, read, resume_hash, text, word};

const STAGE: &str = "attendance";
const HISTORY: &str = "quorum_history";
const QUORUM_TOLD: &str = "quorum_told";
const ELIGIBLE: &str = "eligible/";
const ATTENDEE: &str = "attendee/";
const DELEGATE: &str = "delegate/";
const LEFT_OUT: &str = "delegations_left_out";
/// Followed by the hash, and by a person when only they may not present it again.
const PRESENTED: &str = "presented/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredStage {
    call: String,
    over: bool,
    last_us: i64,
    tally: StoredTally,
    roll_known: bool,
}

/// The quorum as it was told last.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredQuorumTold {
    call: String,
    tally: StoredTally,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTally {
    heads: u32,
    of_heads: u32,
    weight_millionths: u64,
    of_weight_millionths: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredQuorumChange {
    at_us: i64,
    call: String,
    reached: bool,
    tally: StoredTally,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMember {
    name: String,
    /// Weights in millionths.
    units: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPerson {
    name: String,
    hall: Option<String>,
    remote: Option<String>,
    dismissed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    decision: Option<StoredDecision>,
    connections: Vec<String>,
    intervals: Vec<StoredInterval>,
    earlier_count: u32,
    earlier_us: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredDecision {
    id: String,
    what: StoredDecided,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StoredDecided {
    Registered { entered: bool, delegated: Vec<String> },
    MarkedLeft { hall: Option<String>, remote: Option<String> },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredLeftOut {
    unit: String,
    delegate: String,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredInterval {
    from_us: i64,
    method: String,
    place: String,
    /// Until when, and why.
    ended: Option<(i64, String)>,
}

/// The parts of an attendance, as they are read.
#[derive(Default)]
pub(super) struct AttendanceParts {
    stage: Option<StoredStage>,
    told: Option<StoredQuorumTold>,
    history: VecDeque<QuorumChange>,
    members: Vec<Member>,
    people: BTreeMap<UserId, Person>,
    delegates: BTreeMap<UnitId, UserId>,
    left_out: Vec<LeftOut>,
    presented: BTreeMap<(Option<UserId>, PresentedHash), UserId>,
}

impl AttendanceParts {
    /// The quorum that was told last; `None` in rooms that were stored by an earlier version.
    pub(super) fn quorum_told(&self) -> Result<Option<(QuorumCall, Tally)>, StoredRoomInvalid> {
        let Some(told) = &self.told else { return Ok(None) };
        Ok(Some((word(QuorumCall::parse, &told.call)?, tally(&told.tally))))
    }

    /// Takes a part in, if it is one of an attendance's.
    pub(super) fn take_in(&mut self, name: &str, value: &str) -> Result<bool, StoredRoomInvalid> {
        let of = |part: &str| name.strip_prefix(part);
        if name == STAGE {
            self.stage = Some(read(value)?);
        } else if name == QUORUM_TOLD {
            self.told = Some(read(value)?);
        } else if name == HISTORY {
            let changes: Vec<StoredQuorumChange> = read(value)?;
            self.history = changes.iter().map(change).collect::<Result<_, _>>()?;
        } else if name == LEFT_OUT {
            let stored: Vec<StoredLeftOut> = read(value)?;
            self.left_out = stored.iter().map(left_out).collect::<Result<_, _>>()?;
        } else if let Some(user) = of(ELIGIBLE) {
            self.members.push(member(id(user)?, read(value)?)?);
        } else if let Some(user) = of(ATTENDEE) {
            self.people.insert(id(user)?, person(read(value)?)?);
        } else if let Some(unit) = of(DELEGATE) {
            self.delegates.insert(id(unit)?, id(&read::<String>(value)?)?);
        } else if let Some(once) = of(PRESENTED) {
            let (hash, by) = match once.split_once('/') {
                Some((hash, by)) => (hash, Some(id(by)?)),
                None => (once, None),
            };
            let hash = PresentedHash::from_bytes(resume_hash(hash)?);
            self.presented.insert((by, hash), id(&read::<String>(value)?)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The attendance of these parts; `None` when there are none.
    pub(super) fn restore(
        self,
        rules: AttendanceRules,
    ) -> Result<Option<Attendance>, StoredRoomInvalid> {
        let invalid = |problem: &dyn std::fmt::Display| StoredRoomInvalid(problem.to_string());
        let Some(stage) = self.stage else { return Ok(None) };
        let roll = if stage.roll_known {
            Some(Arc::new(Roll::stored(self.members).map_err(|error| invalid(&error))?))
        } else {
            None
        };
        let snapshot = AttendanceSnapshot {
            roll,
            people: self.people,
            delegates: self.delegates,
            left_out: self.left_out,
            presented: self.presented,
            history: self.history,
            call: word(QuorumCall::parse, &stage.call)?,
            tally: tally(&stage.tally),
            over: stage.over,
            last: Timestamp::from_unix_us(stage.last_us),
        };
        Attendance::restore(snapshot, rules).map(Some).map_err(|error| invalid(&error))
    }
}

pub(super) fn told_part((call, tally): (QuorumCall, Tally)) -> (String, Option<String>) {
    let told = StoredQuorumTold { call: call.as_str().to_owned(), tally: stored_tally(&tally) };
    (QUORUM_TOLD.to_owned(), Some(json(&told)))
}

pub(super) fn attendance_part(part: AttendancePart<'_>) -> (String, Option<String>) {
    match part {
        AttendancePart::Stage { call, over, last, tally, roll_known } => {
            let (call, last_us) = (call.as_str().to_owned(), last.unix_us());
            let tally = stored_tally(&tally);
            let stage = StoredStage { call, over, last_us, tally, roll_known };
            (STAGE.to_owned(), Some(json(&stage)))
        }
        AttendancePart::History(history) => {
            let changes: Vec<StoredQuorumChange> = history.iter().map(stored_change).collect();
            (HISTORY.to_owned(), Some(json(&changes)))
        }
        AttendancePart::Member(user, found) => {
            (format!("{ELIGIBLE}{}", user.as_str()), found.map(|it| json(&stored_member(it))))
        }
        AttendancePart::Person(user, found) => {
            (format!("{ATTENDEE}{}", user.as_str()), found.map(|it| json(&stored_person(it))))
        }
        AttendancePart::Delegate(unit, user) => {
            (format!("{DELEGATE}{unit}"), user.map(|user| json(&text(user))))
        }
        AttendancePart::LeftOut(left_out) => {
            let stored: Vec<StoredLeftOut> = left_out.iter().map(stored_left_out).collect();
            (LEFT_OUT.to_owned(), (!stored.is_empty()).then(|| json(&stored)))
        }
        AttendancePart::Presented(by, hash, user) => {
            let mut name = format!("{PRESENTED}{}", hex(hash.as_bytes()));
            if let Some(by) = by {
                name.push('/');
                name.push_str(by.as_str());
            }
            (name, user.map(|user| json(&text(user))))
        }
    }
}

const fn stored_tally(tally: &Tally) -> StoredTally {
    StoredTally {
        heads: tally.heads_present,
        of_heads: tally.heads_total,
        weight_millionths: tally.weight_present.millionths(),
        of_weight_millionths: tally.weight_total.millionths(),
    }
}

const fn tally(stored: &StoredTally) -> Tally {
    Tally {
        heads_present: stored.heads,
        heads_total: stored.of_heads,
        weight_present: Weight::from_millionths(stored.weight_millionths),
        weight_total: Weight::from_millionths(stored.of_weight_millionths),
    }
}

fn stored_left_out(it: &LeftOut) -> StoredLeftOut {
    StoredLeftOut {
        unit: it.unit.to_string(),
        delegate: text(&it.delegate),
        reason: it.reason.as_str().to_owned(),
    }
}

fn left_out(stored: &StoredLeftOut) -> Result<LeftOut, StoredRoomInvalid> {
    Ok(LeftOut {
        unit: id(&stored.unit)?,
        delegate: id(&stored.delegate)?,
        reason: word(LeftOutReason::parse, &stored.reason)?,
    })
}

fn stored_change(change: &QuorumChange) -> StoredQuorumChange {
    StoredQuorumChange {
        at_us: change.at.unix_us(),
        call: change.call.as_str().to_owned(),
        reached: change.reached,
        tally: stored_tally(&change.tally),
    }
}

fn change(stored: &StoredQuorumChange) -> Result<QuorumChange, StoredRoomInvalid> {
    Ok(QuorumChange {
        at: Timestamp::from_unix_us(stored.at_us),
        call: word(QuorumCall::parse, &stored.call)?,
        reached: stored.reached,
        tally: tally(&stored.tally),
    })
}

fn stored_member(member: &Member) -> StoredMember {
    let units = member.units.iter().map(|(unit, weight)| (unit.to_string(), weight.millionths()));
    StoredMember { name: member.name.clone(), units: units.collect() }
}

fn member(user_id: UserId, stored: StoredMember) -> Result<Member, StoredRoomInvalid> {
    let unit =
        |(unit, millionths): (String, u64)| Ok((id(&unit)?, Weight::from_millionths(millionths)));
    let units = stored.units.into_iter().map(unit).collect::<Result<_, StoredRoomInvalid>>()?;
    Ok(Member { user_id, name: stored.name, units })
}

fn stored_method(method: Option<AttendanceMethod>) -> Option<String> {
    method.map(|method| method.as_str().to_owned())
}

fn method(stored: Option<String>) -> Result<Option<AttendanceMethod>, StoredRoomInvalid> {
    stored.map(|text| word(AttendanceMethod::parse, &text)).transpose()
}

fn stored_decision(decision: &DeskDecision) -> StoredDecision {
    let what = match &decision.what {
        Decided::Registered { entered, delegated } => StoredDecided::Registered {
            entered: *entered,
            delegated: delegated.iter().map(ToString::to_string).collect(),
        },
        Decided::MarkedLeft { hall, remote } => {
            StoredDecided::MarkedLeft { hall: stored_method(*hall), remote: stored_method(*remote) }
        }
    };
    StoredDecision { id: decision.id.to_string(), what }
}

fn decision(stored: StoredDecision) -> Result<DeskDecision, StoredRoomInvalid> {
    let what = match stored.what {
        StoredDecided::Registered { entered, delegated } => {
            let delegated = delegated.iter().map(|unit| id(unit));
            Decided::Registered { entered, delegated: delegated.collect::<Result<_, _>>()? }
        }
        StoredDecided::MarkedLeft { hall, remote } => {
            Decided::MarkedLeft { hall: method(hall)?, remote: method(remote)? }
        }
    };
    Ok(DeskDecision { id: id(&stored.id)?, what })
}

fn stored_person(person: &Person) -> StoredPerson {
    StoredPerson {
        name: person.name.clone(),
        hall: stored_method(person.hall),
        remote: stored_method(person.remote),
        dismissed: person.dismissed,
        decision: person.decision.as_ref().map(stored_decision),
        connections: person.connections.iter().map(ToString::to_string).collect(),
        intervals: person.intervals.iter().map(stored_interval).collect(),
        earlier_count: person.earlier.count,
        earlier_us: u64::try_from(person.earlier.total.as_micros()).unwrap_or(u64::MAX),
    }
}

fn person(stored: StoredPerson) -> Result<Person, StoredRoomInvalid> {
    let connections = stored.connections.iter().map(|connection| id(connection));
    Ok(Person {
        name: stored.name,
        hall: method(stored.hall)?,
        remote: method(stored.remote)?,
        dismissed: stored.dismissed,
        decision: stored.decision.map(decision).transpose()?,
        connections: connections.collect::<Result<BTreeSet<ConnectionId>, _>>()?,
        intervals: stored.intervals.iter().map(interval).collect::<Result<_, _>>()?,
        earlier: EarlierIntervals {
            count: stored.earlier_count,
            total: Duration::from_micros(stored.earlier_us),
        },
    })
}

fn stored_interval(interval: &Interval) -> StoredInterval {
    StoredInterval {
        from_us: interval.from.unix_us(),
        method: interval.method.as_str().to_owned(),
        place: interval.place.as_str().to_owned(),
        ended: interval.ended.map(|(until, cause)| (until.unix_us(), cause.as_str().to_owned())),
    }
}

fn interval(stored: &StoredInterval) -> Result<Interval, StoredRoomInvalid> {
    let ended = stored.ended.as_ref().map(|(until_us, cause)| {
        Ok((Timestamp::from_unix_us(*until_us), word(LeaveCause::parse, cause)?))
    });
    Ok(Interval {
        from: Timestamp::from_unix_us(stored.from_us),
        method: word(AttendanceMethod::parse, &stored.method)?,
        place: word(Place::parse, &stored.place)?,
        ended: ended.transpose()?,
    })
}
