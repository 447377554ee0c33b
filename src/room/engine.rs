#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Who is in the room, who is heard and what everybody is told: decided here,
//! carried out by the driver. Handed members' requests and time; yields events,
//! gates and goodbyes, to be drained after every call.

mod act;
mod attending;
mod budget;
mod chair;
mod changes;
mod entering;
mod index;
mod language;
mod media;
mod outputs;
mod queue;
mod recording;
mod seen;
mod spoken;
mod stored;
mod undo;
mod view;
mod votes;

use std::time::Duration;

use crate::attendance::Attendance;
use crate::domain::camera::StreamFault;
use crate::domain::id::{ActionId, ConnectionId, SessionId, TrackId, UserId};
use crate::domain::language::LanguageTag;
use crate::domain::media::{Codec, TrackSource};
use crate::domain::participant::ParticipantKind;
use crate::domain::quorum::AttendanceRules;
use crate::domain::role::{self, Roles};
use crate::domain::session::{
    MediaPolicy, ModerationMode, Provider, RecordingPolicy, Session, TranscriptionPolicy,
};
use crate::domain::shown_text::Looks;
use crate::domain::time::Timestamp;
use crate::floor::{Floor, FloorPolicy};
use crate::room::action::{Action, FreshIds, Made, MediaFlags, PeopleAction};
use crate::room::error::RoomError;
use crate::room::event::{Event, Told};
use crate::room::ports::AttendanceNote;
use crate::tracked::{Tracked, TrackedMap};

use attending::QuorumTold;
pub use attending::{Attendee, AttendeeAnswer, ProofCheck, QUORUM_INTERVAL};
use budget::Budget;
pub use budget::written_bytes_max;
use chair::Chair;
use index::Index;
pub use language::LANGUAGES_MAX;
use media::DecidedBy;
pub use outputs::{Featured, GateChange, Goodbye, NewTrack, Outputs, TrackChange};
use queue::QueueTold;
use recording::Recording;
pub use recording::{ACKNOWLEDGED_MAX, RECORDER_USER_ID, Recorder};
use seen::LastChanges;
use spoken::Voices;
pub use spoken::{LATE_MAX, SPEECH_MAX};
pub use stored::{StoredRoomInvalid, attendance_of};
pub use undo::UNDO_WINDOW;
use undo::Undoable;
pub use view::{Crowd, RoomView};
use votes::AnnouncedVote;

/// Most connections of one person. Raising it lets one person hold more
/// transports.
pub const CONNECTIONS_PER_USER_MAX: usize = 4;
/// Places of a full session that only moderators can take, so that strangers who
/// fill it do not keep out those who run it. Raising it lets more people in than
/// the session says.
pub const MODERATOR_PLACES: usize = 8;
/// How long a lost connection may come back before its member has left.
/// Raising it keeps people in the list who are gone.
pub const RESUME_GRACE: Duration = Duration::from_secs(30);
/// How long a connection has been lost before members are told. Whoever is back earlier was never
/// away for them, so a fault that cuts everybody off for a moment causes no events. Raising it shows
/// people longer who are gone.
pub const LOSS_TOLD_AFTER: Duration = Duration::from_secs(2);
/// The same for those who were connected when the process before this one ended: they first notice
/// that, and then try again after growing pauses of up to five seconds.
pub const RETURN_EXPECTED: Duration = Duration::from_secs(8);
/// Least time between two `active_speakers` events. Raising it makes the
/// picture follow speech later; lowering it writes the repository more often.
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
    /// Who carries its media.
    pub provider: Provider,
    /// Where people join its meeting, when another provider carries its media.
    pub meeting_url: Option<String>,
    /// Whether its policy is to record, and how long that is kept.
    pub recording: RecordingPolicy,
    /// Whether what is said in it becomes text, and in what language.
    pub transcription: TranscriptionPolicy,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// Most people at once.
    pub participants_max: u32,
    /// Who is heard unless a moderator says otherwise.
    pub moderation: ModerationMode,
    /// Whose cameras and screens are shown; `None` follows the moderation.
    pub media_policy: Option<MediaPolicy>,
    /// Whether people who are not in it may watch it live.
    pub live_viewing: bool,
    /// How turns are given.
    pub policy: FloorPolicy,
    /// What makes people present, and what a quorum needs.
    pub attendance: AttendanceRules,
}

impl From<&Session> for RoomInfo {
    fn from(session: &Session) -> Self {
        Self {
            session: session.id,
            title: session.title.clone(),
            modality: session.modality.as_str(),
            provider: session.provider,
            meeting_url: session.meeting_url.clone(),
            recording: session.recording,
            transcription: session.transcription.clone(),
            started_at: session.started_at,
            participants_max: session.max_participants,
            moderation: session.moderation,
            media_policy: session.media_policy,
            live_viewing: session.live_viewing,
            policy: session.speaking.into(),
            attendance: session.attendance,
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
    /// How the name looks, by which look-alikes are found.
    pub(super) looks: Looks,
    pub(super) media: MediaFlags,
    pub(super) joined_at: Timestamp,
    /// Why nothing of it comes, when it is a camera. It lasts as long as the process.
    pub(super) fault: Option<StreamFault>,
}

impl Member {
    pub(super) fn new(kind: ParticipantKind, name: String, joined_at: Timestamp) -> Self {
        let looks = Looks::of(&name);
        Self { kind, name, looks, media: MediaFlags::default(), joined_at, fault: None }
    }

    /// Gives the member another name.
    fn rename(&mut self, name: &str) {
        if self.name != name {
            name.clone_into(&mut self.name);
            self.looks = Looks::of(name);
        }
    }
}

/// One of a member's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Connection {
    pub(super) user: UserId,
    pub(super) roles: Roles,
    pub(super) kind: ConnectionKind,
    /// When its token expires, by the clock of the machine.
    pub(super) expires_at: Timestamp,
    /// The same by the clock of meetings, which nobody sets; `None` after a restart, until it is resumed.
    pub(super) ends_at: Option<Timestamp>,
    /// When it was lost; `None` while it stands.
    pub(super) lost_at: Option<Timestamp>,
    /// When members are to be told that it is lost; `None` while it stands, and once they were.
    pub(super) loss_due: Option<Timestamp>,
    /// The newest resume secret and the one before, since an answer may be lost.
    pub(super) resume: [Option<ResumeHash>; 2],
}

impl Connection {
    /// Whether it stands, as far as members were told.
    const fn is_shown(&self) -> bool {
        self.lost_at.is_none() || self.loss_due.is_some()
    }
}

/// A track somebody publishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) connection: ConnectionId,
    pub(super) source: TrackSource,
    pub(super) codec: Codec,
    pub(super) layers: u8,
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
    decided_by: DecidedBy,
}

/// The room of one session. What it consists of is held so that a decision can
/// be undone and stored at the cost of what it touched.
#[derive(Debug)]
pub struct RoomEngine {
    pub(super) info: RoomInfo,
    pub(super) moderation: Tracked<ModerationMode>,
    /// Who presides; `None` until a moderator has entered.
    chair: Tracked<Option<Chair>>,
    /// By how much the machine's clock was ahead of the room's when the members were last told.
    clock_ahead_ms: Tracked<i64>,
    pub(super) floor: Floor,
    pub(super) members: TrackedMap<UserId, Member>,
    pub(super) connections: TrackedMap<ConnectionId, Connection>,
    pub(super) muted: TrackedMap<UserId, ()>,
    /// Whose cameras and screens a moderator stopped.
    pub(super) pictures_stopped: TrackedMap<UserId, ()>,
    pub(super) removed: TrackedMap<UserId, ()>,
    /// What those speak who do not speak the language of the session.
    pub(super) languages: TrackedMap<UserId, LanguageTag>,
    pub(super) tracks: TrackedMap<TrackId, Track>,
    /// What was announced of votes, by their names at the governance service.
    votes: TrackedMap<String, AnnouncedVote>,
    index: Index,
    pub(super) seq: u64,
    recording: Tracked<Recording>,
    /// Who knows of the recording.
    pub(super) acknowledged: TrackedMap<UserId, ()>,
    pub(super) passing: Tracked<Passing>,
    last_changes: Tracked<LastChanges>,
    /// The `seq` of the last mute or its end of each member.
    mutes_changed: TrackedMap<UserId, u64>,
    /// The same of their pictures.
    pictures_changed: TrackedMap<UserId, u64>,
    queue_told: Tracked<QueueTold>,
    undoable: Tracked<Vec<Undoable>>,
    /// Names the decision that is being carried out, when it can be taken back.
    acting: Option<ActionId>,
    budget: Budget,
    pub(super) told: Vec<(Told, Timestamp)>,
    /// How many of `told` stand, whether or not the decision being made does.
    pub(super) told_accepted: usize,
    pub(super) gates: Vec<GateChange>,
    pub(super) goodbyes: Vec<(ConnectionId, Goodbye)>,
    pub(super) track_changes: Vec<TrackChange>,
    attendance: Attendance,
    quorum_told: Tracked<QuorumTold>,
    /// Counts changes of the attendance, undone ones too.
    attendance_version: u64,
    notes: Vec<AttendanceNote>,
    /// How many of `notes` stand, whether or not the decision being made does.
    notes_accepted: usize,
    /// Who could be heard and who had the floor lately.
    voices: Voices,
    /// Whether the session ends.
    is_ending: bool,
    /// Whether the store has the room in this version of the format.
    pub(super) is_stored: bool,
}

impl RoomEngine {
    /// An empty room. When its policy is to record, it begins with that.
    #[must_use]
    pub fn new(info: RoomInfo, recorder: Recorder, now: Timestamp) -> Self {
        let mut room = Self::silent(info, recorder, now);
        room.follow_recording_policy(now);
        room
    }

    /// An empty room in which nothing has been decided.
    fn silent(info: RoomInfo, recorder: Recorder, now: Timestamp) -> Self {
        // A recorder learns the state of every room that opens.
        let passing = Passing { recording_changed: true, ..Passing::default() };
        let mut moderation = Tracked::new(info.moderation);
        moderation.store_all();
        let mut recording = Tracked::new(Recording::none(recorder));
        recording.store_all();
        Self {
            moderation,
            chair: Tracked::default(),
            clock_ahead_ms: Tracked::default(),
            floor: Floor::new(info.policy),
            attendance: Attendance::new(info.attendance, now),
            quorum_told: Tracked::default(),
            attendance_version: 0,
            notes: Vec::new(),
            notes_accepted: 0,
            info,
            members: TrackedMap::default(),
            connections: TrackedMap::default(),
            muted: TrackedMap::default(),
            pictures_stopped: TrackedMap::default(),
            removed: TrackedMap::default(),
            languages: TrackedMap::default(),
            tracks: TrackedMap::default(),
            votes: TrackedMap::default(),
            index: Index::default(),
            seq: 0,
            recording,
            acknowledged: TrackedMap::default(),
            passing: Tracked::new(passing),
            last_changes: Tracked::default(),
            mutes_changed: TrackedMap::default(),
            pictures_changed: TrackedMap::default(),
            queue_told: Tracked::default(),
            undoable: Tracked::default(),
            acting: None,
            budget: Budget::new(now),
            told: Vec::new(),
            told_accepted: 0,
            gates: Vec::new(),
            goodbyes: Vec::new(),
            track_changes: Vec::new(),
            voices: Voices::default(),
            is_ending: false,
            is_stored: false,
        }
    }

    /// A member asks for something. Yields what it made, if anything.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] by the table of roles, [`RoomError::DecisionStale`]
    /// when what it decides about changed after `seen`, [`RoomError::TooMuch`],
    /// and whatever the floor says.
    pub fn handle_action(
        &mut self,
        connection: ConnectionId,
        action: Action,
        seen: Option<u64>,
        fresh: FreshIds,
        now: Timestamp,
    ) -> Result<Made, RoomError> {
        let (user, roles) = self.check_permission(connection, &action)?;
        self.check_seen(&action, seen)?;
        let is_text = matches!(action, Action::Chat(_) | Action::Transcript(_));
        if !roles.may(role::Action::ModerateFloor) || is_text {
            let name_bytes = self.members.get(&user).map_or(0, |member| member.name.len());
            self.budget.spend(&user, &action, name_bytes, now)?;
        }
        let reversal = self.reversal_of(&user, &action);
        let before = self.seq;
        self.acting = reversal.is_some().then_some(fresh.action);
        let undoable = reversal.map(|reversal| (action.clone(), reversal));
        let made = self.act(&user, roles, action, fresh, now);
        if made.is_ok() {
            self.tell_floor(now);
            self.apply_decisions(now);
        }
        let named = self.acting.take().filter(|_| self.seq > before);
        let request = made.map_err(|refused| self.explain_stale(refused, seen))?;
        if let (Some(id), Some((action, how))) = (named, undoable) {
            self.remember((id, user), action, how, now);
        }
        Ok(Made { request, action: named, last_seq: self.seq })
    }

    /// Whether a connection may ask for something; whose it is, and their roles.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] by the table of roles.
    pub fn check_permission(
        &self,
        connection: ConnectionId,
        action: &Action,
    ) -> Result<(UserId, Roles), RoomError> {
        let caller = self.connections.get(&connection).ok_or(RoomError::ParticipantNotFound)?;
        let speaks_for_another = matches!(
            action,
            Action::People(PeopleAction::SetLanguage { user: Some(user), .. }) if *user != caller.user
        );
        let may_do_it = caller.roles.may(action.permission())
            && (!speaks_for_another || caller.roles.may(role::Action::ModeratePeople));
        if !may_do_it {
            return Err(RoomError::Forbidden);
        }
        Ok((caller.user.clone(), caller.roles))
    }

    /// The session was patched while it runs. The moderation mode stays as a
    /// moderator set it last; the recording follows a change of its policy.
    pub fn handle_session(&mut self, session: &Session, now: Timestamp) {
        let kept_days = self.info.recording.retention_days;
        let was_watched = self.info.live_viewing;
        let meeting_was = self.info.meeting_url.take();
        self.info = session.into();
        self.floor.set_policy(self.info.policy);
        self.follow_attendance_rules(now);
        self.follow_retention(kept_days, now);
        self.follow_recording_policy(now);
        if self.info.live_viewing != was_watched {
            let live_viewing = self.info.live_viewing;
            self.tell(Event::LiveViewingChanged { live_viewing }, now);
        }
        if let Some(meeting_url) = self.info.meeting_url.clone()
            && meeting_was.as_ref() != Some(&meeting_url)
        {
            self.tell(Event::MeetingChanged { meeting_url }, now);
        }
        self.apply_decisions(now);
    }

    /// The clock of the machine is ahead of that of the room by `ms`. When that is new, the clock was set;
    /// `now` and later times do not show it.
    pub fn handle_clock_ahead(&mut self, ms: i64, now: Timestamp) {
        let by_ms = ms.saturating_sub(*self.clock_ahead_ms);
        if by_ms != 0 {
            *self.clock_ahead_ms.edit() = ms;
            self.tell(Event::ClockStepped { by_ms }, now);
        }
    }

    /// The session ends: nobody has the floor, is heard or is seen any more. Its end is told by
    /// [`Self::handle_session_over`], which follows; until then only text of what was said and its corrections are taken.
    pub fn handle_session_ending(&mut self, now: Timestamp) {
        self.is_ending = true;
        self.floor.handle_session_end(now);
        self.tell_floor(now);
        self.close_all_gates(now);
    }

    /// Whether [`Self::handle_session_ending`] was called.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// The session is over: everybody is told and every connection ends.
    pub fn handle_session_over(&mut self, reason: &'static str, now: Timestamp) {
        self.floor.handle_session_end(now);
        self.tell_floor(now);
        self.end_recording(now);
        self.end_attendance(now);
        self.tell(Event::SessionEnded { reason: reason.to_owned() }, now);
        self.goodbyes.extend(self.connections.keys().map(|gone| (*gone, Goodbye::SessionOver)));
        self.track_changes.extend(self.tracks.keys().map(|track| TrackChange::Unpublished(*track)));
        // Nobody comes back to this room, so nothing about people stays in what is stored of it
        // but the list of those who attended, until the session is erased.
        self.connections.clear();
        self.members.clear();
        self.tracks.clear();
        self.muted.clear();
        self.pictures_stopped.clear();
        self.removed.clear();
        self.languages.clear();
        self.acknowledged.clear();
        self.votes.clear();
        self.undoable.edit().clear();
        *self.chair.edit() = None;
        self.floor.forget_counts();
        self.index.clear();
        self.voices.clear();
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
        self.tell_losses(now);
        self.tell_speakers(now);
        self.apply_decisions(now);
        self.tell_quorum(now);
    }

    /// When [`Self::handle_timeout`] is wanted next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let grace = self.index.lost.first().map(|((lost_at, _), ())| lost_at.after(RESUME_GRACE));
        let loss = self.index.untold.first().map(|((due, _), ())| *due);
        let passing = &self.passing;
        let speakers = (self.speaker_order() != passing.speakers_told)
            .then(|| passing.speakers_told_at.map(|at| at.after(SPEAKERS_INTERVAL)))
            .flatten();
        let quorum = self.quorum_due();
        [self.floor.poll_timeout(), grace, loss, speakers, quorum].into_iter().flatten().min()
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
        self.notes_accepted = 0;
        Outputs {
            gates: std::mem::take(&mut self.gates),
            goodbyes: std::mem::take(&mut self.goodbyes),
            featured,
            recording,
            told: std::mem::take(&mut self.told),
            tracks: std::mem::take(&mut self.track_changes),
            notes: std::mem::take(&mut self.notes),
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
        self.notes = std::mem::take(&mut outputs.notes);
        self.told_accepted = self.told.len();
        self.notes_accepted = self.notes.len();
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

    pub(super) fn tell(&mut self, event: Event, now: Timestamp) {
        self.tell_of(self.acting, event, now);
    }

    /// Tells an event that follows from a decision, or is about one.
    pub(super) fn tell_of(&mut self, action: Option<ActionId>, event: Event, now: Timestamp) {
        self.seq += 1;
        self.note_change(&event, self.seq);
        let action_id = action.map(|id| id.to_string());
        self.told.push((Told { seq: self.seq, at: now.to_string(), action_id, event }, now));
    }
}
