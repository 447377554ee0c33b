#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The room as its members see it.

use crate::domain::id::{ConnectionId, TrackId, UserId};
use crate::domain::language::LanguageTag;
use crate::domain::participant::ParticipantKind;
use crate::domain::role::{Role, Roles};
use crate::domain::shown_text::{Looks, ShownText, notice_of};
use crate::domain::time::Timestamp;
use crate::floor::{Entry, Microphone, TurnView as FloorTurn};
use crate::room::action::MediaFlags;
use crate::room::engine::{RoomEngine, RoomInfo};
use crate::room::event::{
    ChairView, FloorView, ParticipantView, QuorumState, RecordingView, RequestView, TrackView,
    TranscriptionView, TurnView, VoteView,
};
use crate::room::listed::Listed;
use crate::sfu::plane::{Gate, Gates};

/// What a connection is shown when it enters or comes back.
#[derive(Debug, Clone, PartialEq)]
pub struct RoomView {
    /// What of its session the room knows.
    pub info: RoomInfo,
    /// The member the connection belongs to.
    pub you: ParticipantView,
    /// Everybody and everything in the room.
    pub crowd: Crowd,
    /// Who presides.
    pub chair: Option<ChairView>,
    /// The floor.
    pub floor: FloorView,
    /// The quorum.
    pub quorum: QuorumState,
    /// Votes of the assembly that are not over.
    pub votes: Vec<VoteView>,
    /// The recording.
    pub recording: RecordingView,
    /// `seq` of the last event before this state.
    pub seq: u64,
    /// The moment this state is of.
    pub at: Timestamp,
}

/// Who and what is in a room. It grows with the room and is the same for everybody, so those who
/// come together share it.
#[derive(Debug, Clone, PartialEq)]
pub struct Crowd {
    /// Everybody in the room, people or not.
    pub participants: Listed<ParticipantView>,
    /// Everything that can be subscribed to.
    pub tracks: Listed<TrackView>,
}

impl RoomView {
    /// Whether what is said becomes text, when the server can make text of these languages, or
    /// of none.
    #[must_use]
    pub fn transcription(&self, can_be: Option<&[LanguageTag]>) -> TranscriptionView {
        let policy = &self.info.transcription;
        let (state, languages) = match (policy.enabled, can_be) {
            (false, _) => ("off", None),
            (true, Some(languages)) => ("on", Some(languages)),
            (true, None) => ("unavailable", None),
        };
        TranscriptionView {
            state: state.to_owned(),
            language: policy.language.clone(),
            languages: languages.unwrap_or_default().iter().map(ToString::to_string).collect(),
        }
    }
}

impl RoomEngine {
    /// Who and what is in the room.
    #[must_use]
    pub fn crowd(&self) -> Crowd {
        Crowd {
            participants: self.members.keys().map(|user| self.participant_view(user)).collect(),
            tracks: self.tracks.keys().filter_map(|track| self.track_view(*track)).collect(),
        }
    }

    /// What a connection is shown, with the `crowd` as it is now; `None` when it is gone.
    #[must_use]
    pub fn view(
        &self,
        connection: ConnectionId,
        crowd: &Crowd,
        now: Timestamp,
    ) -> Option<RoomView> {
        let user = &self.connections.get(&connection)?.user;
        Some(RoomView {
            info: self.info.clone(),
            you: self.participant_view(user),
            crowd: crowd.clone(),
            chair: self.chair_view(),
            floor: self.floor_view(now),
            quorum: QuorumState::new(&self.attendance, &self.attendance.quorum()),
            votes: self.open_votes(now),
            recording: self.recording_view(user),
            seq: self.seq,
            at: now,
        })
    }

    /// What passes of a connection, as last decided.
    #[must_use]
    pub fn gates(&self, connection: ConnectionId) -> Gates {
        self.index.gates.get(&connection).copied().unwrap_or(Gates::CLOSED)
    }

    pub(super) fn participant_view(&self, user: &UserId) -> ParticipantView {
        let theirs = self.index.connections_of(user);
        let found = || theirs.iter().filter_map(|connection| self.connections.get(connection));
        let all: Vec<Role> = found().flat_map(|found| found.roles.iter()).collect();
        let member = self.members.get(user);
        let kind = member.map_or(ParticipantKind::Person, |member| member.kind);
        let standing = found().filter(|found| found.is_shown()).count();
        let media = member.map_or_else(MediaFlags::default, |member| member.media);
        ParticipantView {
            user_id: user.as_str().to_owned(),
            name: member.map(|member| member.name.clone()).unwrap_or_default(),
            // A part of the server has neither an access token nor a connection: it
            // is what it is, and it is there while it is listed.
            roles: match kind {
                ParticipantKind::Person => {
                    Roles::of(&all).iter().map(|role| role.as_str().to_owned()).collect()
                }
                service @ (ParticipantKind::Recorder
                | ParticipantKind::Transcriber
                | ParticipantKind::Camera) => {
                    vec![service.as_str().to_owned()]
                }
            },
            connections: if kind.has_connections() {
                u32::try_from(standing).unwrap_or(u32::MAX)
            } else {
                1
            },
            audio: media.audio,
            video: media.video,
            screen: media.screen,
            muted: self.muted.contains_key(user),
            pictures_stopped: self.pictures_stopped.contains_key(user),
            may_be_heard: theirs.iter().any(|theirs| self.gates(*theirs).audio == Gate::Open),
            may_be_seen: theirs.iter().any(|theirs| self.gates(*theirs).video == Gate::Open),
            joined_at: member.map(|member| member.joined_at.to_string()).unwrap_or_default(),
            language: self.languages.get(user).map(ToString::to_string),
            media_fault: member
                .and_then(|member| member.fault)
                .map(|fault| fault.as_str().to_owned()),
            name_notice: member
                .filter(|member| {
                    member.kind == ParticipantKind::Person && !all.contains(&Role::Moderator)
                })
                .and_then(|member| self.name_notice(&member.looks)),
        }
    }

    /// What is to be noticed about the name of somebody who is not a moderator.
    fn name_notice(&self, looks: &Looks) -> Option<String> {
        let moderators = self.index.moderators.values().filter_map(|user| self.members.get(user));
        let notice = notice_of(looks, moderators.map(|moderator| &moderator.looks));
        notice.map(|notice| notice.as_str().to_owned())
    }

    pub(super) fn track_view(&self, track: TrackId) -> Option<TrackView> {
        let found = self.tracks.get(&track)?;
        let owner = self.connections.get(&found.connection)?;
        Some(TrackView {
            track: track.to_string(),
            user_id: owner.user.as_str().to_owned(),
            kind: found.source.kind().as_str().to_owned(),
            source: found.source.as_str().to_owned(),
            codec: found.codec.as_str().to_owned(),
            layers: found.layers,
        })
    }

    pub(super) fn list_view(&self) -> (Vec<RequestView>, Vec<RequestView>, bool) {
        let requested = self.floor.requested().map(|entry| self.request_view(entry)).collect();
        let queue = self.floor.waiting().map(|entry| self.request_view(entry)).collect();
        (requested, queue, self.floor.is_queue_open())
    }

    pub(super) fn request_view(&self, entry: &Entry) -> RequestView {
        RequestView {
            request_id: entry.request_id.to_string(),
            user_id: entry.user_id.as_str().to_owned(),
            name: entry.name.clone(),
            kind: entry.kind.as_str().to_owned(),
            stance: entry.stance.map(|stance| stance.as_str().to_owned()),
            note: entry.note.clone(),
            requested_at: entry.requested_at.to_string(),
            in_hall: entry.microphone == Microphone::Hall,
            // Those who are in the room have theirs as participants.
            name_notice: (entry.microphone == Microphone::Hall)
                .then(|| self.name_notice(&Looks::of(&entry.name)))
                .flatten(),
            previous_turns: self.floor.turns_started(&entry.user_id),
        }
    }

    fn floor_view(&self, now: Timestamp) -> FloorView {
        let (requested, queue, open) = self.list_view();
        let policy = self.info.policy;
        let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
        FloorView {
            moderation: self.moderation.as_str().to_owned(),
            open,
            requested,
            queue,
            turn: self.floor.current_turn(now).as_ref().map(TurnView::from),
            interrupted: self.floor.stacked_turns(now).map(|turn| TurnView::from(&turn)).collect(),
            default_turn_s: seconds(policy.default_turn),
            max_turn_s: seconds(policy.max_turn),
            auto_start: policy.auto_start,
            points_of_order_pass_closed_list: policy.points_of_order_pass_closed_list,
            media_policy: self.media_policy().as_str().to_owned(),
        }
    }
}

/// A name as others are shown it: cleaned and cut, or the user id when nothing
/// visible is left.
pub(super) fn shown_name(name: &str, user: &UserId) -> String {
    let cleaned = |text| ShownText::Name.cleaned(text);
    cleaned(name).or_else(|| cleaned(user.as_str())).unwrap_or_else(|| user.as_str().to_owned())
}

impl From<&FloorTurn> for TurnView {
    fn from(turn: &FloorTurn) -> Self {
        Self {
            turn_id: turn.turn_id.to_string(),
            request_id: turn.request_id.to_string(),
            user_id: turn.user_id.as_str().to_owned(),
            name: turn.name.clone(),
            kind: turn.kind.as_str().to_owned(),
            limit_s: u32::try_from(turn.limit.as_secs()).unwrap_or(u32::MAX),
            used_ms: u64::try_from(turn.used.as_millis()).unwrap_or(u64::MAX),
            running: turn.running,
            in_hall: turn.microphone == Microphone::Hall,
        }
    }
}
