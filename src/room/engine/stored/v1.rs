#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Records of version 1: the whole room as one JSON object, written anew by
//! every decision.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::room::engine::recording::RECORDER_NAME;
use crate::room::engine::{RECORDER_USER_ID, ResumeHash};

use super::floor::{
    LIST, REQUESTED, StoredEntry, StoredList, StoredTurn, StoredTurns, TURNS, TURNS_STARTED,
    WAITING,
};
use super::{
    ACKNOWLEDGED, CONNECTION, MEMBER, MODERATION, MUTED, RECORDING, REMOVED, StoredConnection,
    StoredMember, StoredRecording, StoredRoomInvalid, StoredTrack, TRACK, hex, json, read,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RoomV1 {
    #[serde(rename = "v")]
    _version: u32,
    moderation: String,
    muted: Vec<String>,
    removed: Vec<String>,
    members: Vec<MemberV1>,
    connections: Vec<ConnectionV1>,
    tracks: Vec<TrackV1>,
    floor: FloorV1,
    /// Absent from stored rooms of versions that recorded nothing.
    #[serde(default)]
    recording: Option<RecordingV1>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingV1 {
    state: String,
    by: Option<String>,
    since_us: i64,
    followed: bool,
    acknowledged: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberV1 {
    user: String,
    name: String,
    audio: bool,
    video: bool,
    screen: bool,
    joined_at_us: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConnectionV1 {
    id: String,
    user: String,
    roles: Vec<String>,
    media_only: bool,
    expires_at_us: i64,
    lost_at_us: Option<i64>,
    resume: [Option<ResumeHash>; 2],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TrackV1 {
    track: String,
    user: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FloorV1 {
    open: bool,
    requested: Vec<StoredEntry>,
    waiting: Vec<StoredEntry>,
    current: Option<StoredTurn>,
    stacked: Vec<StoredTurn>,
    next_arrival: u64,
    turns_started: BTreeMap<String, u32>,
}

/// The same room as parts of the present version.
pub(super) fn parts(state: &str) -> Result<BTreeMap<String, String>, StoredRoomInvalid> {
    let room: RoomV1 = read(state)?;
    let mut parts = BTreeMap::new();
    parts.insert(MODERATION.to_owned(), json(&room.moderation));
    let mut acknowledged = Vec::new();
    if let Some(recording) = room.recording {
        let RecordingV1 { state, by, since_us, followed, acknowledged: people } = recording;
        acknowledged = people;
        if state != RecordingState::Stopped.as_str() {
            let recorder = StoredMember {
                kind: ParticipantKind::Recorder.as_str().to_owned(),
                name: RECORDER_NAME.to_owned(),
                audio: false,
                video: false,
                screen: false,
                joined_at_us: since_us,
            };
            parts.insert(format!("{MEMBER}{RECORDER_USER_ID}"), json(&recorder));
        }
        parts.insert(RECORDING.to_owned(), json(&StoredRecording { state, by, followed }));
    }
    for (name, people) in
        [(MUTED, room.muted), (REMOVED, room.removed), (ACKNOWLEDGED, acknowledged)]
    {
        parts.extend(people.into_iter().map(|user| (format!("{name}{user}"), json(&true))));
    }
    for MemberV1 { user, name, audio, video, screen, joined_at_us } in room.members {
        let kind = ParticipantKind::Person.as_str().to_owned();
        let stored = StoredMember { kind, name, audio, video, screen, joined_at_us };
        parts.insert(format!("{MEMBER}{user}"), json(&stored));
    }
    for stored in room.connections {
        let ConnectionV1 { id, user, roles, media_only, expires_at_us, lost_at_us, resume } =
            stored;
        let resume = resume.map(|hash| hash.map(|hash| hex(&hash)));
        let stored =
            StoredConnection { user, roles, media_only, expires_at_us, lost_at_us, resume };
        parts.insert(format!("{CONNECTION}{id}"), json(&stored));
    }
    for TrackV1 { track, user } in room.tracks {
        parts.insert(format!("{TRACK}{track}"), json(&StoredTrack { user }));
    }
    let FloorV1 { open, requested, waiting, current, stacked, next_arrival, turns_started } =
        room.floor;
    parts.insert(LIST.to_owned(), json(&StoredList { open, next_arrival }));
    parts.insert(TURNS.to_owned(), json(&StoredTurns { current, stacked }));
    for (name, entries) in [(REQUESTED, requested), (WAITING, waiting)] {
        let numbered = entries.iter().enumerate();
        parts.extend(numbered.map(|(place, entry)| (format!("{name}{place:020}"), json(entry))));
    }
    for (user, count) in turns_started {
        parts.insert(format!("{TURNS_STARTED}{user}"), json(&count));
    }
    Ok(parts)
}
