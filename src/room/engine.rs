#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Who is in the room, who is heard and what everybody is told: decided here,
//! carried out by the driver. Handed members' wishes and time; yields events,
//! gates and goodbyes, to be drained after every call.

mod act;
mod changes;
mod index;
mod media;
mod record;
mod recording;
mod view;

use std::time::Duration;

use crate::domain::id::{ConnectionId, RequestId, SessionId, TrackId, UserId};
use crate::domain::media::{Codec, TrackSource};
use crate::domain::participant::{ParticipantKind, Principal};
use crate::domain::recording::RecordingState;
use crate::domain::role::{self, Roles};
use crate::domain::session::{ModerationMode, RecordingPolicy, Session};
use crate::domain::time::Timestamp;
use crate::floor::{Floor, FloorPolicy};
use crate::room::action::{Action, FreshIds, MediaFlags};
use crate::room::error::RoomError;
use crate::room::event::{Event, Told};
use crate::room::ports::RoomTrack;
use crate::sfu::plane::Gate;
use crate::tracked::{Tracked, TrackedMap};

use index::Index;
use media::Settled;
pub use record::RecordInvalid;
use recording::Recording;
pub use recording::{ACKNOWLEDGED_MAX, RECORDER_USER_ID, RESERVED_PREFIX, Recorder, is_reserved};
pub use view::RoomView;

/// Most connections of one person. Raising it lets one person hold more
/// transports.
pub const CONNECTIONS_PER_USER_MAX: usize = 4;
/// How long a lost connection may come back before its member has left.
/// Raising it keeps ghosts in the list for longer.
pub const RESUME_GRACE: Duration = Duration::from_secs(30);
/// Least time between two `active_speakers` events. Raising it makes the
/// picture follow speech later; lowering it writes the journal more often.
pub const SPEAKERS_INTERVAL: Duration = Duration::from_secs(1);

/// What of its session a room needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomInfo {
    /// The session.
    pub session: SessionId,
    /// Its title.
    pub title: String,
    /// Its modality, as text.
    pub modality: &'static str,
    /// Whether its policy is to record, and how long that is kept.
    pub recording: RecordingPolicy,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Most people at once.
    pub participants_max: u32,
    /// Who is heard unless a moderator says otherwise.
    pub moderation: ModerationMode,
    /// How turns are given.
    pub policy: FloorPolicy,
}

impl From<&Session> for RoomInfo {
    fn from(session: &Session) -> Self {
        Self {
            session: session.id,
            title: session.title.clone(),
            modality: session.modality.as_str(),
            recording: session.recording,
            started_at: session.started_at,
            participants_max: session.max_participants,
            moderation: session.moderation,
            policy: session.speaking.into(),
        }
    }
}

/// How a connection reaches its member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionKind {
    /// By the moderation channel; it may be lost and resumed.
    Channel,
    /// By media alone (WHIP, WHEP); it ends with its transport.
    MediaOnly,
}

/// SHA-256 of the secret part of a resume token.
pub type ResumeHash = [u8; 32];

/// Anyone or anything in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) kind: ParticipantKind,
    pub(super) name: String,
    pub(super) media: MediaFlags,
    pub(super) joined_at: Timestamp,
}

impl Member {
    pub(super) fn new(kind: ParticipantKind, name: String, joined_at: Timestamp) -> Self {
        Self { kind, name, media: MediaFlags::default(), joined_at }
    }
}

/// One of a member's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) user: UserId,
    pub(super) roles: Roles,
    pub(super) kind: ConnectionKind,
    pub(super) expires_at: Timestamp,
    /// When it was lost; `None` while it stands.
    pub(super) lost_at: Option<Timestamp>,
    /// The newest resume secret and the one before, since an answer may be lost.
    pub(super) resume: [Option<ResumeHash>; 2],
}

/// A track somebody publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) connection: ConnectionId,
    pub(super) source: TrackSource,
    pub(super) codec: Codec,
    pub(super) layers: u8,
}

/// A track as the media plane announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTrack {
    /// Its id.
    pub track: TrackId,
    /// Where it comes from.
    pub source: TrackSource,
    /// What it carries.
    pub codec: Codec,
    /// How many encodings it has.
    pub layers: u8,
}

/// Why a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    /// Its member left or its access token expired.
    Left,
    /// It was lost and did not come back in time.
    Disconnected,
    /// A moderator sent its member out.
    Removed,
    /// The session is over.
    SessionOver,
}

impl Goodbye {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Disconnected => "disconnected",
            Self::Removed => "removed",
            Self::SessionOver => "session_over",
        }
    }
}

/// What WHEP receivers of the room are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Featured {
    /// Whose sound.
    pub audio: Option<TrackId>,
    /// Whose picture.
    pub video: Option<TrackId>,
}

/// What the recorder must learn of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackChange {
    /// It is there, or carries something else than before.
    Published(RoomTrack),
    /// It is gone.
    Unpublished(TrackId),
}

/// What follows from a call, in the order in which to carry it out: gates
/// first, so that nothing is told before it holds.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Gates that change.
    pub gates: Vec<(ConnectionId, Gate)>,
    /// Connections that end; their media ends with them.
    pub goodbyes: Vec<(ConnectionId, Goodbye)>,
    /// What WHEP receivers are shown, when it changes.
    pub featured: Option<Featured>,
    /// What the recorder does from here on. `paused` and `stopped` are applied
    /// before what follows, `recording` after everything.
    pub recording: Option<RecordingState>,
    /// Events for everybody and when they were decided, to be kept before they
    /// are told.
    pub told: Vec<(Told, Timestamp)>,
    /// Tracks that come and go, for the recorder.
    pub tracks: Vec<TrackChange>,
}

impl Outputs {
    /// Whether somebody would be recorded who has not been told yet.
    #[must_use]
    pub fn records_before_telling(&self) -> bool {
        let untold =
            |(told, _): &(Told, Timestamp)| matches!(told.event, Event::RecordingState { .. });
        self.recording == Some(RecordingState::Recording) && self.told.iter().any(untold)
    }
}

/// What only lasts as long as the process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Passing {
    /// Whom the media plane hears, loudest first.
    pub(super) speakers: Vec<(TrackId, u8)>,
    pub(super) speakers_told: Vec<TrackId>,
    pub(super) speakers_told_at: Option<Timestamp>,
    pub(super) featured: Featured,
    pub(super) featured_changed: bool,
    pub(super) recording_changed: bool,
    /// What the gates were last decided by.
    settled: Settled,
}

/// The room of one session. What it consists of is held so that a decision can
/// be undone and stored at the cost of what it touched.
#[derive(Debug)]
pub struct RoomEngine {
    pub(super) info: RoomInfo,
    pub(super) moderation: Tracked<ModerationMode>,
    pub(super) floor: Floor,
    pub(super) members: TrackedMap<UserId, Member>,
    pub(super) connections: TrackedMap<ConnectionId, Connection>,
    pub(super) muted: TrackedMap<UserId, ()>,
    pub(super) removed: TrackedMap<UserId, ()>,
    pub(super) tracks: TrackedMap<TrackId, Track>,
    index: Index,
    pub(super) seq: u64,
    recording: Tracked<Recording>,
    /// Who knows of the recording.
    pub(super) acknowledged: TrackedMap<UserId, ()>,
    pub(super) passing: Tracked<Passing>,
    pub(super) told: Vec<(Told, Timestamp)>,
    /// How many of `told` stand, whether or not the decision being made does.
    pub(super) told_accepted: usize,
    pub(super) gates: Vec<(ConnectionId, Gate)>,
    pub(super) goodbyes: Vec<(ConnectionId, Goodbye)>,
    pub(super) track_changes: Vec<TrackChange>,
    /// Whether the store has a record of this version of the format.
    pub(super) has_record: bool,
}

impl RoomEngine {
    /// An empty room. When its policy is to record, it begins with that.
    #[must_use]
    pub fn new(info: RoomInfo, recorder: Recorder, now: Timestamp) -> Self {
        let mut room = Self::silent(info, recorder);
        room.follow_recording_policy(now);
        room
    }

    /// An empty room in which nothing has been decided.
    fn silent(info: RoomInfo, recorder: Recorder) -> Self {
        // A recorder learns the state of every room that opens.
        let passing = Passing { recording_changed: true, ..Passing::default() };
        let mut moderation = Tracked::new(info.moderation);
        moderation.store_all();
        let mut recording = Tracked::new(Recording::none(recorder));
        recording.store_all();
        Self {
            moderation,
            floor: Floor::new(info.policy),
            info,
            members: TrackedMap::default(),
            connections: TrackedMap::default(),
            muted: TrackedMap::default(),
            removed: TrackedMap::default(),
            tracks: TrackedMap::default(),
            index: Index::default(),
            seq: 0,
            recording,
            acknowledged: TrackedMap::default(),
            passing: Tracked::new(passing),
            told: Vec::new(),
            told_accepted: 0,
            gates: Vec::new(),
            goodbyes: Vec::new(),
            track_changes: Vec::new(),
            has_record: false,
        }
    }

    /// Lets a connection in.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`], [`RoomError::ParticipantLimitReached`] and
    /// [`RoomError::ConnectionLimitReached`].
    pub fn handle_enter(
        &mut self,
        connection: ConnectionId,
        principal: &Principal,
        kind: ConnectionKind,
        resume: ResumeHash,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let user = &principal.user_id;
        let may_join = principal.roles.may(role::Action::JoinRoom);
        // A token that names a part of the server would pose as it.
        if !may_join || self.removed.contains_key(user) || is_reserved(user) {
            return Err(RoomError::Forbidden);
        }
        let new = !self.members.contains_key(user);
        let places_taken = self.members.len() - self.index.without_place.len();
        if new && places_taken >= self.info.participants_max as usize {
            return Err(RoomError::ParticipantLimitReached);
        }
        if self.index.connections_of(user).len() >= CONNECTIONS_PER_USER_MAX {
            return Err(RoomError::ConnectionLimitReached);
        }
        if let Some(member) = self.members.get_mut(user) {
            member.name.clone_from(&principal.name);
        } else {
            let (kind, name) = (ParticipantKind::Person, principal.name.clone());
            self.add_member(user.clone(), Member::new(kind, name, now));
        }
        let entered = Connection {
            user: user.clone(),
            roles: principal.roles,
            kind,
            expires_at: principal.expires_at,
            lost_at: None,
            resume: [Some(resume), None],
        };
        self.index.add_connection(connection, &entered);
        self.connections.insert(connection, entered);
        let view = self.participant_view(user);
        let event =
            if new { Event::ParticipantJoined(view) } else { Event::ParticipantUpdated(view) };
        self.tell(event, now);
        self.settle(now);
        Ok(())
    }

    /// Takes a lost connection up again, or one whose old socket still stands.
    ///
    /// # Errors
    /// [`RoomError::NothingToResume`] when the secret is not one of the last two
    /// or the access token has expired.
    pub fn handle_resume(
        &mut self,
        connection: ConnectionId,
        secret: ResumeHash,
        next: ResumeHash,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let found = self.connections.get_mut(&connection).ok_or(RoomError::NothingToResume)?;
        if !found.resume.contains(&Some(secret)) || found.expires_at <= now {
            return Err(RoomError::NothingToResume);
        }
        found.resume = [Some(next), Some(secret)];
        if let Some(lost_at) = found.lost_at.take() {
            self.index.lost.remove(&(lost_at, connection));
            let user = found.user.clone();
            self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
        }
        self.settle(now);
        Ok(())
    }

    /// A connection's access token was renewed, and its roles with it.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] when the token is somebody else's or no longer
    /// allows to be here.
    pub fn handle_renewal(
        &mut self,
        connection: ConnectionId,
        principal: &Principal,
        next: ResumeHash,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let found = self.connections.get_mut(&connection).ok_or(RoomError::ParticipantNotFound)?;
        if found.user != principal.user_id || !principal.roles.may(role::Action::JoinRoom) {
            return Err(RoomError::Forbidden);
        }
        found.expires_at = principal.expires_at;
        found.resume = [Some(next), found.resume[0]];
        if found.roles != principal.roles {
            found.roles = principal.roles;
            self.index.set_hall(connection, principal.roles);
            let view = self.participant_view(&principal.user_id);
            self.tell(Event::ParticipantUpdated(view), now);
        }
        self.settle(now);
        Ok(())
    }

    /// Whose a connection is, and when its access token expires.
    #[must_use]
    pub fn holder(&self, connection: ConnectionId) -> Option<(UserId, Timestamp)> {
        self.connections.get(&connection).map(|found| (found.user.clone(), found.expires_at))
    }

    /// A connection was lost; it may come back within [`RESUME_GRACE`].
    pub fn handle_lost(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        if found.lost_at.is_none() {
            found.lost_at = Some(now);
            self.index.lost.insert((now, connection), ());
            let user = found.user.clone();
            self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
        }
    }

    /// A connection ends for good.
    pub fn handle_leave(&mut self, connection: ConnectionId, goodbye: Goodbye, now: Timestamp) {
        self.end_connection(connection, goodbye, now);
        self.settle(now);
    }

    /// A member wishes something. Yields the speech request it made, if any.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] by the table of roles, and whatever the floor says.
    pub fn handle_action(
        &mut self,
        connection: ConnectionId,
        action: Action,
        fresh: FreshIds,
        now: Timestamp,
    ) -> Result<Option<RequestId>, RoomError> {
        let caller = self.connections.get(&connection).ok_or(RoomError::ParticipantNotFound)?;
        if !caller.roles.may(action.permission()) {
            return Err(RoomError::Forbidden);
        }
        let (user, roles) = (caller.user.clone(), caller.roles);
        let made = self.act(&user, roles, action, fresh, now)?;
        self.tell_floor(now);
        self.settle(now);
        Ok(made)
    }

    /// The session was patched while it runs. The moderation mode stays as a
    /// moderator set it last; the recording follows a change of its policy.
    pub fn handle_session(&mut self, session: &Session, now: Timestamp) {
        let kept_days = self.info.recording.retention_days;
        self.info = session.into();
        self.floor.set_policy(self.info.policy);
        self.follow_retention(kept_days, now);
        self.follow_recording_policy(now);
    }

    /// The session is over: everybody is told and every connection ends.
    pub fn handle_session_over(&mut self, reason: &'static str, now: Timestamp) {
        self.floor.handle_session_end(now);
        self.tell_floor(now);
        self.end_recording(now);
        self.tell(Event::SessionEnded { reason: reason.to_owned() }, now);
        self.goodbyes.extend(self.connections.keys().map(|gone| (*gone, Goodbye::SessionOver)));
        self.track_changes.extend(self.tracks.keys().map(|track| TrackChange::Unpublished(*track)));
        // Nobody comes back to this room, so nothing about people stays in its record.
        self.connections.clear();
        self.members.clear();
        self.tracks.clear();
        self.muted.clear();
        self.removed.clear();
        self.acknowledged.clear();
        self.floor.forget_counts();
        self.index.clear();
    }

    /// Time has come to what [`Self::poll_timeout`] named.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        self.floor.handle_timeout(now);
        self.tell_floor(now);
        let is_overdue = |(at, _): &&(Timestamp, ConnectionId)| at.after(RESUME_GRACE) <= now;
        let overdue: Vec<ConnectionId> =
            self.index.lost.keys().take_while(is_overdue).map(|(_, lost)| *lost).collect();
        for connection in overdue {
            self.end_connection(connection, Goodbye::Disconnected, now);
        }
        self.tell_speakers(now);
        self.settle(now);
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let grace = self.index.lost.first().map(|((lost_at, _), ())| lost_at.after(RESUME_GRACE));
        let passing = &self.passing;
        let speakers = (self.speaker_order() != passing.speakers_told)
            .then(|| passing.speakers_told_at.map(|at| at.after(SPEAKERS_INTERVAL)))
            .flatten();
        [self.floor.poll_timeout(), grace, speakers].into_iter().flatten().min()
    }

    /// What followed from the calls since the last drain.
    #[must_use]
    pub fn take_outputs(&mut self) -> Outputs {
        let featured = self.passing.featured_changed.then_some(self.passing.featured);
        let recording = self.passing.recording_changed.then_some(self.recording.state);
        if featured.is_some() || recording.is_some() {
            let passing = self.passing.edit();
            passing.featured_changed = false;
            passing.recording_changed = false;
        }
        self.told_accepted = 0;
        Outputs {
            gates: std::mem::take(&mut self.gates),
            goodbyes: std::mem::take(&mut self.goodbyes),
            featured,
            recording,
            told: std::mem::take(&mut self.told),
            tracks: std::mem::take(&mut self.track_changes),
        }
    }

    /// What followed and does not wait for its events to be stored: everything
    /// but the events, and the beginning of a recording that nobody was told of.
    /// Those stay for the next drain.
    #[must_use]
    pub fn take_urgent_outputs(&mut self) -> Outputs {
        let mut outputs = self.take_outputs();
        if outputs.records_before_telling() {
            outputs.recording = None;
            self.passing.edit().recording_changed = true;
        }
        self.told = std::mem::take(&mut outputs.told);
        self.told_accepted = self.told.len();
        outputs
    }

    /// Events that were not drained yet, with the moments they were decided at.
    #[must_use]
    pub fn told(&self) -> &[(Told, Timestamp)] {
        &self.told
    }

    /// Tracks that are published.
    pub fn tracks(&self) -> impl Iterator<Item = TrackId> {
        self.tracks.keys().copied()
    }

    /// How long a connection has been lost; `None` while it stands.
    #[must_use]
    pub fn lost_for(&self, connection: ConnectionId, now: Timestamp) -> Option<Duration> {
        Some(now.since(self.connections.get(&connection)?.lost_at?))
    }

    /// Whether nobody is in the room, connected or expected back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// `seq` of the last event.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the connection's roles allow `action`; false when it is gone.
    #[must_use]
    pub fn may(&self, connection: ConnectionId, action: role::Action) -> bool {
        self.connections.get(&connection).is_some_and(|found| found.roles.may(action))
    }

    pub(super) fn tell(&mut self, event: Event, now: Timestamp) {
        self.seq += 1;
        self.told.push((Told { seq: self.seq, at: now.to_string(), event }, now));
    }

    fn end_connection(&mut self, connection: ConnectionId, goodbye: Goodbye, now: Timestamp) {
        for track in self.index.tracks_of(connection) {
            self.unpublish(track, now);
        }
        let Some(gone) = self.connections.remove(&connection) else { return };
        self.index.remove_connection(connection, &gone);
        self.goodbyes.push((connection, goodbye));
        if self.index.connections_of(&gone.user).is_empty() {
            self.end_member(&gone.user, goodbye, now);
        } else {
            self.tell(Event::ParticipantUpdated(self.participant_view(&gone.user)), now);
        }
    }

    pub(super) fn add_member(&mut self, user: UserId, member: Member) {
        if !member.kind.takes_place() {
            self.index.without_place.insert(user.clone(), ());
        }
        self.members.insert(user, member);
    }

    pub(super) fn end_member(&mut self, user: &UserId, goodbye: Goodbye, now: Timestamp) {
        self.members.remove(user);
        self.index.without_place.remove(user);
        let (user_id, reason) = (user.as_str().to_owned(), goodbye.as_str().to_owned());
        self.tell(Event::ParticipantLeft { user_id, reason }, now);
    }
}
