#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! A room as the repository keeps it: parts with names, each JSON, so that a
//! decision writes the parts that it changed. Domain types do not serialise, so
//! each has its own form here; reading one back checks it.

mod attendance;
mod floor;
mod v1;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::attendance::Attendance;
use crate::domain::hex::hex;
use crate::domain::id::{ConnectionId, TrackId, UserId};
use crate::domain::participant::ParticipantKind;
use crate::domain::quorum::AttendanceRules;
use crate::domain::recording::RecordingState;
use crate::domain::role::{Role, Roles};
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;
use crate::floor::Floor;
use crate::room::action::MediaFlags;
use crate::room::engine::chair::Chair;
use crate::room::engine::{
    Connection, ConnectionKind, Goodbye, Member, RETURN_EXPECTED, Recorder, Recording, ResumeHash,
    RoomEngine, RoomInfo,
};
use crate::room::event::Event;
use crate::room::repository::{StoredChange, StoredRoom};
use crate::sfu::plane::Gates;
use crate::tracked::{Tracked, TrackedMap};

use attendance::{AttendanceParts, attendance_part, told_part};
use floor::{FloorParts, floor_part};

/// A stored room that this binary can't continue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stored room is unreadable: {0}")]
pub struct StoredRoomInvalid(String);

/// What `StoredRoom::state` holds: the version of the parts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    v: u32,
}

const VERSION: u32 = 2;
const HEADER: &str = r#"{"v":2}"#;

// Names of parts. Those that end in a slash are followed by what they are of.
const MODERATION: &str = "moderation";
const CHAIR: &str = "chair";
const CLOCK_AHEAD_MS: &str = "clock_ahead_ms";
const RECORDING: &str = "recording";
const ACKNOWLEDGED: &str = "acknowledged/";
const MUTED: &str = "muted/";
const PICTURES_STOPPED: &str = "pictures_stopped/";
const REMOVED: &str = "removed/";
const LANGUAGE: &str = "language/";
const MEMBER: &str = "member/";
const CONNECTION: &str = "connection/";
const TRACK: &str = "track/";
const VOTE: &str = "vote/";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredRecording {
    state: String,
    by: Option<String>,
    followed: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredChair {
    user: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredMember {
    kind: String,
    name: String,
    audio: bool,
    video: bool,
    screen: bool,
    joined_at_us: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredConnection {
    user: String,
    roles: Vec<String>,
    media_only: bool,
    expires_at_us: i64,
    lost_at_us: Option<i64>,
    /// Hexadecimal.
    resume: [Option<String>; 2],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredTrack {
    user: String,
}

impl RoomEngine {
    /// What of the room has to be stored: what changed since the last time.
    #[must_use]
    pub fn to_store(&self) -> StoredChange {
        let mut parts = Vec::new();
        if self.moderation.is_to_store() {
            parts.push((MODERATION.to_owned(), Some(json(&self.moderation.as_str()))));
        }
        if self.chair.is_to_store() {
            parts.push((CHAIR.to_owned(), self.chair.as_ref().map(stored_chair)));
        }
        if self.clock_ahead_ms.is_to_store() {
            let ahead_ms = *self.clock_ahead_ms;
            // As in a room of whose clock nothing was told.
            let value = (ahead_ms != 0).then(|| json(&ahead_ms));
            parts.push((CLOCK_AHEAD_MS.to_owned(), value));
        }
        if self.recording.is_to_store() {
            parts.push((RECORDING.to_owned(), Some(json(&stored_recording(&self.recording)))));
        }
        for (map, name) in [
            (&self.acknowledged, ACKNOWLEDGED),
            (&self.muted, MUTED),
            (&self.pictures_stopped, PICTURES_STOPPED),
            (&self.removed, REMOVED),
        ] {
            add(&mut parts, name, map, |()| json(&true));
        }
        add(&mut parts, LANGUAGE, &self.languages, |language| json(&language.as_str()));
        add(&mut parts, MEMBER, &self.members, |member| json(&stored_member(member)));
        add(&mut parts, CONNECTION, &self.connections, |found| json(&stored_connection(found)));
        for (vote, announced) in self.votes.to_store() {
            parts.push((format!("{VOTE}{vote}"), announced.map(json)));
        }
        for (track, found) in self.tracks.to_store() {
            let owner = found.and_then(|found| self.connections.get(&found.connection));
            let value = owner.map(|owner| json(&StoredTrack { user: text(&owner.user) }));
            parts.push((format!("{TRACK}{track}"), value));
        }
        parts.extend(self.floor.to_store().map(floor_part));
        parts.extend(self.attendance.to_store().map(attendance_part));
        parts.extend(self.quorum_to_store().map(told_part));
        let state = (!self.is_stored).then(|| HEADER.to_owned());
        StoredChange { seq: self.seq, state, parts, arrival: None }
    }

    /// The room that was stored, after the process that had it is
    /// gone: every connection is lost as of `now` and may come back, media-only
    /// ones and all tracks are gone, and turns have run on. The recording goes on
    /// as it was, unless its policy has changed meanwhile.
    ///
    /// # Errors
    /// When it was not stored by a version this one understands.
    pub fn from_stored(
        info: RoomInfo,
        recorder: Recorder,
        stored: StoredRoom,
        now: Timestamp,
    ) -> Result<Self, StoredRoomInvalid> {
        let header: serde_json::Value = read(&stored.state)?;
        let version = header.get("v").and_then(serde_json::Value::as_u64);
        let (parts, is_stored) = match version {
            Some(1) => (v1::parts(&stored.state)?, false),
            _ => (stored.parts, true),
        };
        if is_stored {
            let Header { v } = read(&stored.state)?;
            if v != VERSION {
                return Err(StoredRoomInvalid(format!("version {v}")));
            }
        }
        let mut room = Self::silent(info, recorder, now);
        room.seq = stored.seq;
        room.is_stored = is_stored;
        let tracks = room.read_parts(parts, now)?;
        if !is_stored {
            room.store_all();
        }
        room.continue_after_restart(tracks, now);
        Ok(room)
    }

    /// Takes the stored parts in. Yields the tracks that were published.
    fn read_parts(
        &mut self,
        parts: BTreeMap<String, String>,
        now: Timestamp,
    ) -> Result<Vec<(TrackId, UserId)>, StoredRoomInvalid> {
        let mut floor = FloorParts::default();
        let mut attendance = AttendanceParts::default();
        let mut tracks = Vec::new();
        let recorder = self.recording.recorder;
        for (name, value) in parts {
            let of = |part: &str| name.strip_prefix(part);
            if name == MODERATION {
                self.moderation =
                    Tracked::new(word(ModerationMode::parse, &read::<String>(&value)?)?);
            } else if name == CHAIR {
                let StoredChair { user, name } = read(&value)?;
                self.chair = Tracked::new(Some(Chair { user: id(&user)?, name }));
            } else if name == CLOCK_AHEAD_MS {
                self.clock_ahead_ms = Tracked::new(read(&value)?);
            } else if name == RECORDING {
                self.recording = Tracked::new(recording(&read(&value)?, recorder)?);
            } else if let Some(user) = of(ACKNOWLEDGED) {
                take_in(&mut self.acknowledged, user, &value)?;
            } else if let Some(user) = of(MUTED) {
                take_in(&mut self.muted, user, &value)?;
            } else if let Some(user) = of(PICTURES_STOPPED) {
                take_in(&mut self.pictures_stopped, user, &value)?;
            } else if let Some(user) = of(REMOVED) {
                take_in(&mut self.removed, user, &value)?;
            } else if let Some(user) = of(LANGUAGE) {
                self.languages.insert(id(user)?, id(&read::<String>(&value)?)?);
            } else if let Some(user) = of(MEMBER) {
                self.add_member(id(user)?, member(read(&value)?)?);
            } else if let Some(key) = of(CONNECTION) {
                let (key, found) = (id(key)?, connection(&read(&value)?, now)?);
                self.index.add_connection(key, &found);
                self.connections.insert(key, found);
            } else if let Some(vote) = of(VOTE) {
                self.votes.insert(vote.to_owned(), read(&value)?);
            } else if let Some(track) = of(TRACK) {
                let StoredTrack { user } = read(&value)?;
                tracks.push((id(track)?, id(&user)?));
            } else if !floor.take_in(&name, &value)? && !attendance.take_in(&name, &value)? {
                return Err(StoredRoomInvalid(format!("an unknown part {name:?}")));
            }
        }
        let is_strange = |found: &Connection| !self.members.contains_key(&found.user);
        if self.connections.values().any(is_strange) {
            return Err(StoredRoomInvalid("a connection without a member".to_owned()));
        }
        if self.recorder().is_some() != (self.recording.state != RecordingState::Stopped) {
            return Err(StoredRoomInvalid("a recording without its recorder".to_owned()));
        }
        let FloorParts { snapshot, places } = floor;
        self.floor = Floor::restore(snapshot, self.info.policy)
            .map_err(|error| StoredRoomInvalid(error.to_string()))?;
        self.read();
        let quorum_told = attendance.quorum_told()?;
        if let Some(attendance) = attendance.restore(self.info.attendance)? {
            self.attendance = attendance;
        } else {
            // A room stored by a version that knew no attendance.
            self.attendance = Attendance::new(self.info.attendance, now);
        }
        self.quorum_was_told(quorum_told);
        self.queue_is_told();
        self.note_next();
        self.queue_told.stored();
        // Nobody has seen this room yet, so no decision can be stale.
        self.last_changes.stored();
        // Places are numbered anew.
        self.floor.store_waiting(places);
        Ok(tracks)
    }

    /// What was read counts as stored.
    fn read(&mut self) {
        let is_stored = self.is_stored;
        self.stored();
        self.is_stored = is_stored;
    }

    /// Everything counts as not stored, for a room stored in another format.
    fn store_all(&mut self) {
        self.moderation.store_all();
        self.recording.store_all();
        self.acknowledged.store_all([]);
        self.muted.store_all([]);
        self.removed.store_all([]);
        self.members.store_all([]);
        self.connections.store_all([]);
        self.floor.store_all();
    }

    /// Ends what ended with the process before.
    fn continue_after_restart(&mut self, tracks: Vec<(TrackId, UserId)>, now: Timestamp) {
        // What passed passes again; the media plane is told when they join.
        let decided: Vec<(ConnectionId, Gates)> = self
            .connections
            .iter()
            .map(|(connection, found)| (*connection, self.gates_of(found)))
            .collect();
        for (connection, gates) in decided {
            self.index.gates.insert(connection, gates);
            self.follow_voice(connection, gates.audio, now);
        }
        for (track, user) in tracks {
            self.tracks.store_all([track]);
            let (track, user_id) = (track.to_string(), text(&user));
            self.tell(Event::TrackUnpublished { track, user_id }, now);
        }
        let is_media_only =
            |(_, found): &(&ConnectionId, &Connection)| found.kind == ConnectionKind::MediaOnly;
        let gone: Vec<ConnectionId> =
            self.connections.iter().filter(is_media_only).map(|(gone, _)| *gone).collect();
        for connection in gone {
            self.handle_leave(connection, Goodbye::Disconnected, now);
        }
        let is_absent = |(user, member): &(&UserId, &Member)| {
            member.kind == ParticipantKind::Person && self.index.connections_of(user).is_empty()
        };
        let left: Vec<UserId> =
            self.members.iter().filter(is_absent).map(|(user, _)| user.clone()).collect();
        for user in left {
            self.end_member(&user, Goodbye::Disconnected, now);
        }
        self.reserve_places();
        // A room stored by a version that knew no chair.
        self.appoint_chair(now);
        // They may have been patched while the room was closed.
        self.attendance.set_rules(self.info.attendance, now);
        self.follow_presences(now);
        self.handle_timeout(now);
        self.follow_recording_policy(now);
    }
}

/// Who attended, as it was stored; `None` when it knows of nobody.
///
/// # Errors
/// When it was not stored by a version this one understands.
pub fn attendance_of(
    stored: &StoredRoom,
    rules: AttendanceRules,
) -> Result<Option<Attendance>, StoredRoomInvalid> {
    let mut attendance = AttendanceParts::default();
    for (name, value) in &stored.parts {
        attendance.take_in(name, value)?;
    }
    attendance.restore(rules)
}

/// Adds what has changed in a map: a part for each key.
fn add<K: Ord + Clone + Name, V: Clone + PartialEq>(
    parts: &mut Vec<(String, Option<String>)>,
    name: &str,
    map: &TrackedMap<K, V>,
    value: impl Fn(&V) -> String,
) {
    let changed = map.to_store();
    parts.extend(changed.map(|(key, now)| (format!("{name}{}", key.name()), now.map(&value))));
}

/// What a part is of, as a part of its name.
trait Name {
    fn name(&self) -> String;
}

impl Name for UserId {
    fn name(&self) -> String {
        text(self)
    }
}

impl Name for ConnectionId {
    fn name(&self) -> String {
        self.to_string()
    }
}

/// Takes a person into a set of people.
fn take_in(
    set: &mut TrackedMap<UserId, ()>,
    user: &str,
    value: &str,
) -> Result<(), StoredRoomInvalid> {
    if !read::<bool>(value)? {
        return Err(StoredRoomInvalid("a person is listed as not being in a list".to_owned()));
    }
    set.insert(id(user)?, ());
    Ok(())
}

/// The form of a part. None of them has a map with keys that are not texts, so
/// serialising can't fail.
fn json(stored: &impl Serialize) -> String {
    serde_json::to_string(stored).unwrap_or_default()
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, StoredRoomInvalid> {
    serde_json::from_str(text).map_err(|error| StoredRoomInvalid(error.to_string()))
}

fn stored_chair(chair: &Chair) -> String {
    json(&StoredChair { user: text(&chair.user), name: chair.name.clone() })
}

fn stored_recording(recording: &Recording) -> StoredRecording {
    StoredRecording {
        state: recording.state.as_str().to_owned(),
        by: recording.by.as_ref().map(text),
        followed: recording.followed,
    }
}

fn recording(stored: &StoredRecording, recorder: Recorder) -> Result<Recording, StoredRoomInvalid> {
    Ok(Recording {
        recorder,
        state: word(RecordingState::parse, &stored.state)?,
        by: stored.by.as_deref().map(id).transpose()?,
        followed: stored.followed,
    })
}

fn text(user: &UserId) -> String {
    user.as_str().to_owned()
}

fn id<T: std::str::FromStr>(text: &str) -> Result<T, StoredRoomInvalid> {
    text.parse().map_err(|_| StoredRoomInvalid("an identifier".to_owned()))
}

fn word<T>(parse: impl Fn(&str) -> Option<T>, text: &str) -> Result<T, StoredRoomInvalid> {
    parse(text).ok_or_else(|| StoredRoomInvalid("an unknown word".to_owned()))
}

fn stored_member(member: &Member) -> StoredMember {
    let MediaFlags { audio, video, screen } = member.media;
    let joined_at_us = member.joined_at.unix_us();
    let kind = member.kind.as_str().to_owned();
    StoredMember { kind, name: member.name.clone(), audio, video, screen, joined_at_us }
}

fn member(stored: StoredMember) -> Result<Member, StoredRoomInvalid> {
    let StoredMember { kind, name, audio, video, screen, joined_at_us } = stored;
    let kind = word(ParticipantKind::parse, &kind)?;
    let joined_at = Timestamp::from_unix_us(joined_at_us);
    let media = MediaFlags { audio, video, screen };
    Ok(Member { media, ..Member::new(kind, name, joined_at) })
}

fn stored_connection(found: &Connection) -> StoredConnection {
    StoredConnection {
        user: text(&found.user),
        roles: found.roles.iter().map(|role| role.as_str().to_owned()).collect(),
        media_only: found.kind == ConnectionKind::MediaOnly,
        expires_at_us: found.expires_at.unix_us(),
        lost_at_us: found.lost_at.map(Timestamp::unix_us),
        resume: found.resume.map(|hash| hash.map(|hash| hex(&hash))),
    }
}

fn connection(stored: &StoredConnection, now: Timestamp) -> Result<Connection, StoredRoomInvalid> {
    let roles: Vec<Role> =
        stored.roles.iter().map(|role| word(Role::parse, role)).collect::<Result<_, _>>()?;
    let kind = if stored.media_only { ConnectionKind::MediaOnly } else { ConnectionKind::Channel };
    let [newest, before] = &stored.resume;
    let hash = |text: &Option<String>| text.as_deref().map(resume_hash).transpose();
    Ok(Connection {
        user: id(&stored.user)?,
        roles: Roles::of(&roles),
        kind,
        expires_at: Timestamp::from_unix_us(stored.expires_at_us),
        ends_at: None,
        lost_at: Some(now),
        // Whoever had been lost before was told of, or is shown as away to all who come back.
        loss_due: stored.lost_at_us.is_none().then(|| now.after(RETURN_EXPECTED)),
        resume: [hash(newest)?, hash(before)?],
    })
}

fn resume_hash(text: &str) -> Result<ResumeHash, StoredRoomInvalid> {
    let invalid = || StoredRoomInvalid("a resume hash".to_owned());
    let mut hash = ResumeHash::default();
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid());
    }
    for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| invalid())?;
    }
    Ok(hash)
}
