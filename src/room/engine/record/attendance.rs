#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The parts of a record that are the attendance's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::attendance::{
    Attendance, AttendancePart, AttendanceSnapshot, EarlierIntervals, Interval, Member, Person,
    PresentedHash, QuorumChange, Roll, Tally,
};
use crate::domain::attendance::{AttendanceMethod, LeaveCause, Place, QuorumCall, UnitId, Weight};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::quorum::AttendanceRules;
use crate::domain::time::Timestamp;

use super::{RecordInvalid, hex, id, json, read, resume_hash, text, word};

const STAGE: &str = "attendance";
const HISTORY: &str = "quorum_history";
const ELIGIBLE: &str = "eligible/";
const ATTENDEE: &str = "attendee/";
const DELEGATE: &str = "delegate/";
/// Followed by the hash, and by a person when only they may not present it again.
const PRESENTED: &str = "presented/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StageRecord {
    call: String,
    over: bool,
    last_us: i64,
    tally: TallyRecord,
    roll_known: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TallyRecord {
    heads: u32,
    of_heads: u32,
    weight_millionths: u64,
    of_weight_millionths: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeRecord {
    at_us: i64,
    call: String,
    reached: bool,
    tally: TallyRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberRecord {
    name: String,
    /// Weights in millionths.
    units: BTreeMap<String, u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonRecord {
    name: String,
    hall: Option<String>,
    remote: Option<String>,
    dismissed: bool,
    connections: Vec<String>,
    intervals: Vec<IntervalRecord>,
    earlier_count: u32,
    earlier_us: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IntervalRecord {
    from_us: i64,
    method: String,
    place: String,
    /// Until when, and why.
    ended: Option<(i64, String)>,
}

/// The parts of an attendance, as they are read.
#[derive(Default)]
pub(super) struct AttendanceParts {
    stage: Option<StageRecord>,
    history: VecDeque<QuorumChange>,
    members: Vec<Member>,
    people: BTreeMap<UserId, Person>,
    delegates: BTreeMap<UnitId, UserId>,
    presented: BTreeMap<(Option<UserId>, PresentedHash), UserId>,
}

impl AttendanceParts {
    /// Takes a part in, if it is one of an attendance's.
    pub(super) fn take_in(&mut self, name: &str, value: &str) -> Result<bool, RecordInvalid> {
        let of = |part: &str| name.strip_prefix(part);
        if name == STAGE {
            self.stage = Some(read(value)?);
        } else if name == HISTORY {
            let records: Vec<ChangeRecord> = read(value)?;
            self.history = records.iter().map(change).collect::<Result<_, _>>()?;
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
    ) -> Result<Option<Attendance>, RecordInvalid> {
        let invalid = |problem: &dyn std::fmt::Display| RecordInvalid(problem.to_string());
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

pub(super) fn attendance_part(part: AttendancePart<'_>) -> (String, Option<String>) {
    match part {
        AttendancePart::Stage { call, over, last, tally, roll_known } => {
            let (call, last_us) = (call.as_str().to_owned(), last.unix_us());
            let tally = tally_record(&tally);
            let stage = StageRecord { call, over, last_us, tally, roll_known };
            (STAGE.to_owned(), Some(json(&stage)))
        }
        AttendancePart::History(history) => {
            let records: Vec<ChangeRecord> = history.iter().map(change_record).collect();
            (HISTORY.to_owned(), Some(json(&records)))
        }
        AttendancePart::Member(user, found) => {
            (format!("{ELIGIBLE}{}", user.as_str()), found.map(|it| json(&member_record(it))))
        }
        AttendancePart::Person(user, found) => {
            (format!("{ATTENDEE}{}", user.as_str()), found.map(|it| json(&person_record(it))))
        }
        AttendancePart::Delegate(unit, user) => {
            (format!("{DELEGATE}{unit}"), user.map(|user| json(&text(user))))
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

const fn tally_record(tally: &Tally) -> TallyRecord {
    TallyRecord {
        heads: tally.heads_present,
        of_heads: tally.heads_total,
        weight_millionths: tally.weight_present.millionths(),
        of_weight_millionths: tally.weight_total.millionths(),
    }
}

const fn tally(record: &TallyRecord) -> Tally {
    Tally {
        heads_present: record.heads,
        heads_total: record.of_heads,
        weight_present: Weight::from_millionths(record.weight_millionths),
        weight_total: Weight::from_millionths(record.of_weight_millionths),
    }
}

fn change_record(change: &QuorumChange) -> ChangeRecord {
    ChangeRecord {
        at_us: change.at.unix_us(),
        call: change.call.as_str().to_owned(),
        reached: change.reached,
        tally: tally_record(&change.tally),
    }
}

fn change(record: &ChangeRecord) -> Result<QuorumChange, RecordInvalid> {
    Ok(QuorumChange {
        at: Timestamp::from_unix_us(record.at_us),
        call: word(QuorumCall::parse, &record.call)?,
        reached: record.reached,
        tally: tally(&record.tally),
    })
}

fn member_record(member: &Member) -> MemberRecord {
    let units = member.units.iter().map(|(unit, weight)| (unit.to_string(), weight.millionths()));
    MemberRecord { name: member.name.clone(), units: units.collect() }
}

fn member(user_id: UserId, record: MemberRecord) -> Result<Member, RecordInvalid> {
    let unit =
        |(unit, millionths): (String, u64)| Ok((id(&unit)?, Weight::from_millionths(millionths)));
    let units = record.units.into_iter().map(unit).collect::<Result<_, RecordInvalid>>()?;
    Ok(Member { user_id, name: record.name, units })
}

fn person_record(person: &Person) -> PersonRecord {
    let method = |method: Option<AttendanceMethod>| method.map(|it| it.as_str().to_owned());
    PersonRecord {
        name: person.name.clone(),
        hall: method(person.hall),
        remote: method(person.remote),
        dismissed: person.dismissed,
        connections: person.connections.iter().map(ToString::to_string).collect(),
        intervals: person.intervals.iter().map(interval_record).collect(),
        earlier_count: person.earlier.count,
        earlier_us: u64::try_from(person.earlier.total.as_micros()).unwrap_or(u64::MAX),
    }
}

fn person(record: PersonRecord) -> Result<Person, RecordInvalid> {
    let method =
        |text: Option<String>| text.map(|text| word(AttendanceMethod::parse, &text)).transpose();
    let connections = record.connections.iter().map(|connection| id(connection));
    Ok(Person {
        name: record.name,
        hall: method(record.hall)?,
        remote: method(record.remote)?,
        dismissed: record.dismissed,
        connections: connections.collect::<Result<BTreeSet<ConnectionId>, _>>()?,
        intervals: record.intervals.iter().map(interval).collect::<Result<_, _>>()?,
        earlier: EarlierIntervals {
            count: record.earlier_count,
            total: Duration::from_micros(record.earlier_us),
        },
    })
}

fn interval_record(interval: &Interval) -> IntervalRecord {
    IntervalRecord {
        from_us: interval.from.unix_us(),
        method: interval.method.as_str().to_owned(),
        place: interval.place.as_str().to_owned(),
        ended: interval.ended.map(|(until, cause)| (until.unix_us(), cause.as_str().to_owned())),
    }
}

fn interval(record: &IntervalRecord) -> Result<Interval, RecordInvalid> {
    let ended = record.ended.as_ref().map(|(until_us, cause)| {
        Ok((Timestamp::from_unix_us(*until_us), word(LeaveCause::parse, cause)?))
    });
    Ok(Interval {
        from: Timestamp::from_unix_us(record.from_us),
        method: word(AttendanceMethod::parse, &record.method)?,
        place: word(Place::parse, &record.place)?,
        ended: ended.transpose()?,
    })
}
