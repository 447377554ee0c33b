#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! A room as the journal keeps it: JSON with a version. Domain types do not
//! serialise, so each has its own form here; reading one back checks it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::floor::{SpeechKind, Stance};
use crate::domain::id::{ConnectionId, UserId};
use crate::domain::recording::RecordingState;
use crate::domain::role::{Role, Roles};
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;
use crate::floor::{Entry, Floor, FloorSnapshot, Microphone, QueueState, Turn, TurnClock};
use crate::room::action::MediaFlags;
use crate::room::engine::{
    Connection, ConnectionKind, Goodbye, Member, Recorder, Recording, RoomEngine, RoomInfo,
};
use crate::room::event::Event;
use crate::sfu::plane::Gate;

/// A stored room that this binary can't continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored room is unreadable: {0}")]
pub struct RecordInvalid(String);

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomRecordV1 {
    v: u32,
    moderation: String,
    muted: Vec<String>,
    removed: Vec<String>,
    members: Vec<MemberRecord>,
    connections: Vec<ConnectionRecord>,
    tracks: Vec<TrackRecord>,
    floor: FloorRecord,
    /// Absent from records of versions that recorded nothing.
    #[serde(default)]
    recording: Option<RecordingRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingRecord {
    state: String,
    by: Option<String>,
    since_us: i64,
    followed: bool,
    acknowledged: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberRecord {
    user: String,
    name: String,
    audio: bool,
    video: bool,
    screen: bool,
    joined_at_us: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionRecord {
    id: String,
    user: String,
    roles: Vec<String>,
    media_only: bool,
    expires_at_us: i64,
    lost_at_us: Option<i64>,
    resume: [Option<[u8; 32]>; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TrackRecord {
    track: String,
    user: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorRecord {
    open: bool,
    requested: Vec<EntryRecord>,
    waiting: Vec<EntryRecord>,
    current: Option<TurnRecord>,
    stacked: Vec<TurnRecord>,
    next_arrival: u64,
    turns_started: BTreeMap<String, u32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryRecord {
    request: String,
    user: String,
    name: String,
    kind: String,
    stance: Option<String>,
    note: Option<String>,
    in_hall: bool,
    arrival: u64,
    requested_at_us: i64,
    approved_at_us: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnRecord {
    turn: String,
    request: String,
    user: String,
    name: String,
    kind: String,
    stance: Option<String>,
    in_hall: bool,
    started_at_us: i64,
    limit_us: u64,
    used_us: u64,
    clock: ClockRecord,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ClockRecord {
    Running { counted_until_us: i64 },
    Paused,
    Interrupted,
}

impl RoomEngine {
    /// The room as the journal keeps it.
    #[must_use]
    pub fn to_record(&self) -> String {
        let record = RoomRecordV1 {
            v: VERSION,
            moderation: self.moderation.as_str().to_owned(),
            muted: self.muted.iter().map(text).collect(),
            removed: self.removed.iter().map(text).collect(),
            members: self.members.iter().map(member_record).collect(),
            connections: self.connections.iter().map(connection_record).collect(),
            tracks: self
                .tracks
                .iter()
                .filter_map(|(track, found)| {
                    let owner = self.connections.get(&found.connection)?;
                    Some(TrackRecord { track: track.to_string(), user: text(&owner.user) })
                })
                .collect(),
            floor: floor_record(self.floor.snapshot()),
            recording: Some(recording_record(&self.recording)),
        };
        serde_json::to_string(&record).unwrap_or_default()
    }

    /// The room that a record was made of, after the process that had it is
    /// gone: every connection is lost as of `now` and may come back, media-only
    /// ones and all tracks are gone, and turns have run on. The recording goes on
    /// as it was, unless its policy has changed meanwhile.
    ///
    /// # Errors
    /// When the record was not made by a version this one understands.
    pub fn from_record(
        info: RoomInfo,
        recorder: Recorder,
        seq: u64,
        state: &str,
        now: Timestamp,
    ) -> Result<Self, RecordInvalid> {
        let invalid = |error: &dyn std::fmt::Display| RecordInvalid(error.to_string());
        let record: RoomRecordV1 = serde_json::from_str(state).map_err(|error| invalid(&error))?;
        if record.v != VERSION {
            return Err(invalid(&format!("version {}", record.v)));
        }
        let mut room = Self::silent(info, recorder, now);
        room.seq = seq;
        if let Some(stored) = &record.recording {
            room.recording = recording(stored, recorder)?;
        }
        room.moderation = word(ModerationMode::parse, &record.moderation)?;
        room.muted = users(&record.muted)?;
        room.removed = users(&record.removed)?;
        for member in record.members {
            let media =
                MediaFlags { audio: member.audio, video: member.video, screen: member.screen };
            let joined_at = Timestamp::from_unix_us(member.joined_at_us);
            room.members.insert(id(&member.user)?, Member { name: member.name, media, joined_at });
        }
        let policy = room.info.policy;
        room.floor = Floor::restore(floor_snapshot(record.floor)?, policy)
            .map_err(|error| invalid(&error))?;
        let mut gone = Vec::new();
        for stored in record.connections {
            let (connection, found) = connection(&stored, now)?;
            if !room.members.contains_key(&found.user) {
                return Err(invalid(&"a connection without a member"));
            }
            if found.kind == ConnectionKind::MediaOnly {
                gone.push(connection);
            }
            room.connections.insert(connection, found);
        }
        // What was heard is heard again; the media plane learns it as they join.
        let gates: Vec<Gate> = room.connections.values().map(|found| room.gate_of(found)).collect();
        for (found, gate) in room.connections.values_mut().zip(gates) {
            found.gate = gate;
        }
        for TrackRecord { track, user } in record.tracks {
            room.tell(Event::TrackUnpublished { track, user_id: user }, now);
        }
        for connection in gone {
            room.handle_leave(connection, Goodbye::Disconnected, now);
        }
        let left: Vec<UserId> = room
            .members
            .keys()
            .filter(|user| !room.connections.values().any(|found| found.user == **user))
            .cloned()
            .collect();
        for user in left {
            room.members.remove(&user);
            let reason = "disconnected".to_owned();
            room.tell(Event::ParticipantLeft { user_id: text(&user), reason }, now);
        }
        room.handle_timeout(now);
        room.follow_recording_policy(now);
        Ok(room)
    }
}

fn recording_record(recording: &Recording) -> RecordingRecord {
    RecordingRecord {
        state: recording.state.as_str().to_owned(),
        by: recording.by.as_ref().map(text),
        since_us: recording.since.unix_us(),
        followed: recording.followed,
        acknowledged: recording.acknowledged.iter().map(text).collect(),
    }
}

fn recording(stored: &RecordingRecord, recorder: Recorder) -> Result<Recording, RecordInvalid> {
    Ok(Recording {
        recorder,
        state: word(RecordingState::parse, &stored.state)?,
        by: stored.by.as_deref().map(id).transpose()?,
        since: Timestamp::from_unix_us(stored.since_us),
        followed: stored.followed,
        acknowledged: users(&stored.acknowledged)?,
    })
}

fn text(user: &UserId) -> String {
    user.as_str().to_owned()
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, RecordInvalid> {
    text.parse().map_err(|_| RecordInvalid("an identifier".to_owned()))
}

fn word<T>(parse: impl Fn(&str) -> Option<T>, text: &str) -> Result<T, RecordInvalid> {
    parse(text).ok_or_else(|| RecordInvalid("an unknown word".to_owned()))
}

fn users(texts: &[String]) -> Result<BTreeSet<UserId>, RecordInvalid> {
    texts.iter().map(|text| id(text)).collect()
}

fn us(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn member_record((user, member): (&UserId, &Member)) -> MemberRecord {
    let MediaFlags { audio, video, screen } = member.media;
    let joined_at_us = member.joined_at.unix_us();
    MemberRecord { user: text(user), name: member.name.clone(), audio, video, screen, joined_at_us }
}

fn connection_record((id, found): (&ConnectionId, &Connection)) -> ConnectionRecord {
    ConnectionRecord {
        id: id.to_string(),
        user: text(&found.user),
        roles: found.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        media_only: found.kind == ConnectionKind::MediaOnly,
        expires_at_us: found.expires_at.unix_us(),
        lost_at_us: found.lost_at.map(Timestamp::unix_us),
        resume: found.resume,
    }
}

fn connection(
    stored: &ConnectionRecord,
    now: Timestamp,
) -> Result<(ConnectionId, Connection), RecordInvalid> {
    let roles: Vec<Role> =
        stored.roles.iter().map(|role| word(Role::parse, role)).collect::<Result<_, _>>()?;
    let kind = if stored.media_only { ConnectionKind::MediaOnly } else { ConnectionKind::Channel };
    let found = Connection {
        user: id(&stored.user)?,
        roles: Roles::of(&roles),
        kind,
        expires_at: Timestamp::from_unix_us(stored.expires_at_us),
        lost_at: Some(now),
        resume: stored.resume,
        gate: Gate::Closed,
    };
    Ok((id(&stored.id)?, found))
}

fn floor_record(snapshot: FloorSnapshot) -> FloorRecord {
    FloorRecord {
        open: snapshot.queue == QueueState::Open,
        requested: snapshot.requested.into_iter().map(entry_record).collect(),
        waiting: snapshot.waiting.into_iter().map(entry_record).collect(),
        current: snapshot.current.map(turn_record),
        stacked: snapshot.stacked.into_iter().map(turn_record).collect(),
        next_arrival: snapshot.next_arrival,
        turns_started: snapshot.turns_started.iter().map(|(user, n)| (text(user), *n)).collect(),
    }
}

fn floor_snapshot(record: FloorRecord) -> Result<FloorSnapshot, RecordInvalid> {
    let entries = |records: Vec<EntryRecord>| {
        records.into_iter().map(entry).collect::<Result<Vec<_>, RecordInvalid>>()
    };
    Ok(FloorSnapshot {
        queue: if record.open { QueueState::Open } else { QueueState::Closed },
        requested: entries(record.requested)?,
        waiting: entries(record.waiting)?,
        current: record.current.map(turn).transpose()?,
        stacked: record.stacked.into_iter().map(turn).collect::<Result<_, _>>()?,
        next_arrival: record.next_arrival,
        turns_started: record
            .turns_started
            .iter()
            .map(|(user, n)| Ok((id(user)?, *n)))
            .collect::<Result<_, RecordInvalid>>()?,
    })
}

fn microphone(in_hall: bool) -> Microphone {
    if in_hall { Microphone::Hall } else { Microphone::Own }
}

fn entry_record(entry: Entry) -> EntryRecord {
    EntryRecord {
        request: entry.request_id.to_string(),
        user: text(&entry.user_id),
        name: entry.name,
        kind: entry.kind.as_str().to_owned(),
        stance: entry.stance.map(|stance| stance.as_str().to_owned()),
        note: entry.note,
        in_hall: entry.microphone == Microphone::Hall,
        arrival: entry.arrival,
        requested_at_us: entry.requested_at.unix_us(),
        approved_at_us: entry.approved_at.map(Timestamp::unix_us),
    }
}

fn entry(record: EntryRecord) -> Result<Entry, RecordInvalid> {
    Ok(Entry {
        request_id: id(&record.request)?,
        user_id: id(&record.user)?,
        name: record.name,
        kind: word(SpeechKind::parse, &record.kind)?,
        stance: record.stance.map(|stance| word(Stance::parse, &stance)).transpose()?,
        note: record.note,
        microphone: microphone(record.in_hall),
        arrival: record.arrival,
        requested_at: Timestamp::from_unix_us(record.requested_at_us),
        approved_at: record.approved_at_us.map(Timestamp::from_unix_us),
    })
}

fn turn_record(turn: Turn) -> TurnRecord {
    TurnRecord {
        turn: turn.turn_id.to_string(),
        request: turn.request_id.to_string(),
        user: text(&turn.user_id),
        name: turn.name,
        kind: turn.kind.as_str().to_owned(),
        stance: turn.stance.map(|stance| stance.as_str().to_owned()),
        in_hall: turn.microphone == Microphone::Hall,
        started_at_us: turn.started_at.unix_us(),
        limit_us: us(turn.limit),
        used_us: us(turn.used),
        clock: match turn.clock {
            TurnClock::Running { counted_until } => {
                ClockRecord::Running { counted_until_us: counted_until.unix_us() }
            }
            TurnClock::Paused => ClockRecord::Paused,
            TurnClock::Interrupted => ClockRecord::Interrupted,
        },
    }
}

fn turn(record: TurnRecord) -> Result<Turn, RecordInvalid> {
    Ok(Turn {
        turn_id: id(&record.turn)?,
        request_id: id(&record.request)?,
        user_id: id(&record.user)?,
        name: record.name,
        kind: word(SpeechKind::parse, &record.kind)?,
        stance: record.stance.map(|stance| word(Stance::parse, &stance)).transpose()?,
        microphone: microphone(record.in_hall),
        started_at: Timestamp::from_unix_us(record.started_at_us),
        limit: Duration::from_micros(record.limit_us),
        used: Duration::from_micros(record.used_us),
        clock: match record.clock {
            ClockRecord::Running { counted_until_us } => {
                TurnClock::Running { counted_until: Timestamp::from_unix_us(counted_until_us) }
            }
            ClockRecord::Paused => TurnClock::Paused,
            ClockRecord::Interrupted => TurnClock::Interrupted,
        },
    })
}
