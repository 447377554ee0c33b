#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Tracks, gates and speakers of the room.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::camera::StreamFault;
use crate::domain::id::{ConnectionId, TrackId, UserId};
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::domain::role;
use crate::domain::session::{MediaPolicy, ModerationMode};
use crate::domain::time::Timestamp;
use crate::floor::Microphone;
use crate::room::engine::{
    Connection, ConnectionKind, Featured, GateChange, Goodbye, NewTrack, RoomEngine,
    SPEAKERS_INTERVAL, Track, TrackChange,
};
use crate::room::error::RoomError;
use crate::room::event::{Event, SpeakerView};
use crate::room::ports::RoomTrack;
use crate::sfu::TransportSide;
use crate::sfu::plane::{Gate, Gates};

/// What the gates of a room follow from, besides each connection itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct DecidedBy {
    pub(super) moderation: Option<ModerationMode>,
    pub(super) media_policy: Option<MediaPolicy>,
    pub(super) speaker: Option<(UserId, Microphone)>,
}

impl RoomEngine {
    /// Whether a connection may offer tracks.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`] by the table of roles, and [`RoomError::TooMuch`].
    pub fn check_offer(&self, connection: ConnectionId, now: Timestamp) -> Result<(), RoomError> {
        let caller = self.connections.get(&connection).ok_or(RoomError::Forbidden)?;
        if !caller.roles.may(role::Action::PublishMedia) {
            return Err(RoomError::Forbidden);
        }
        if caller.roles.may(role::Action::ModerateFloor) {
            return Ok(());
        }
        self.budget.check_offer(&caller.user, now)
    }

    /// The media plane took or dropped tracks of a connection.
    pub fn handle_tracks(
        &mut self,
        connection: ConnectionId,
        published: Vec<NewTrack>,
        removed: &[TrackId],
        now: Timestamp,
    ) {
        for track in removed {
            self.unpublish(*track, now);
        }
        if let Some(caller) = self.connections.get(&connection) {
            let counted = !caller.roles.may(role::Action::ModerateFloor);
            if counted && !published.is_empty() {
                self.budget.publish(&caller.user.clone(), published.len(), now);
            }
        }
        for new in published {
            if self.tracks.contains_key(&new.track) || !self.connections.contains_key(&connection) {
                continue;
            }
            let NewTrack { track, source, codec, layers } = new;
            self.index.add_track(connection, track);
            self.tracks.insert(track, Track { connection, source, codec, layers });
            self.tell_published(track, now);
        }
        self.apply_decisions(now);
    }

    /// A camera of this server publishes a track; it does not tell what it sends by itself.
    pub fn handle_feed(&mut self, connection: ConnectionId, track: NewTrack, now: Timestamp) {
        let user = self.connections.get(&connection).map(|found| found.user.clone());
        let Some(user) = user else { return };
        if let Some(member) = self.members.get_mut(&user) {
            match track.source.kind() {
                MediaKind::Audio => member.media.audio = true,
                MediaKind::Video => member.media.video = true,
            }
        }
        self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
        self.handle_tracks(connection, vec![track], &[], now);
    }

    /// A track of a camera of this server has ended.
    pub fn handle_feed_end(&mut self, connection: ConnectionId, track: TrackId, now: Timestamp) {
        let user = self.connections.get(&connection).map(|found| found.user.clone());
        let kind = self.tracks.get(&track).map(|found| found.source.kind());
        self.handle_tracks(connection, Vec::new(), &[track], now);
        let (Some(user), Some(kind)) = (user, kind) else { return };
        if let Some(member) = self.members.get_mut(&user) {
            match kind {
                MediaKind::Audio => member.media.audio = false,
                MediaKind::Video => member.media.video = false,
            }
        }
        self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
    }

    /// Nothing of a camera comes, or it comes again.
    pub fn handle_fault(
        &mut self,
        connection: ConnectionId,
        fault: Option<StreamFault>,
        now: Timestamp,
    ) {
        let user = self.connections.get(&connection).map(|found| found.user.clone());
        let Some(user) = user else { return };
        let changed = self.members.get(&user).is_some_and(|member| member.fault != fault);
        if changed && let Some(member) = self.members.get_mut(&user) {
            member.fault = fault;
            self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
        }
    }

    /// The media plane hears these tracks, loudest first.
    pub fn handle_speakers(&mut self, speakers: Vec<(TrackId, u8)>, now: Timestamp) {
        self.passing.edit().speakers = speakers;
        self.tell_speakers(now);
        self.apply_decisions(now);
    }

    /// A transport is gone, and with the publish transport all tracks it had. A
    /// media-only connection has nothing else and leaves.
    pub fn handle_transport_lost(
        &mut self,
        connection: ConnectionId,
        side: TransportSide,
        now: Timestamp,
    ) {
        let Some(found) = self.connections.get(&connection) else { return };
        if found.kind == ConnectionKind::MediaOnly {
            self.end_connection(connection, Goodbye::Disconnected, now);
        } else if side == TransportSide::Publish {
            for track in self.index.tracks_of(connection) {
                self.unpublish(track, now);
            }
        }
        self.apply_decisions(now);
    }

    /// The first packet of a track tells what it really carries.
    pub fn handle_codec(&mut self, track: TrackId, codec: Codec, now: Timestamp) {
        let Some(found) = self.tracks.get_mut(&track) else { return };
        if found.codec != codec {
            found.codec = codec;
            self.tell_published(track, now);
        }
    }

    /// Tells everybody and the recorder what a track is.
    fn tell_published(&mut self, track: TrackId, now: Timestamp) {
        if let Some(view) = self.track_view(track) {
            self.tell(Event::TrackPublished(view), now);
        }
        if let Some(recordable) = self.room_track(track) {
            self.track_changes.push(TrackChange::Published(recordable));
        }
    }

    fn room_track(&self, track: TrackId) -> Option<RoomTrack> {
        let Track { connection, source, codec, .. } = self.tracks.get(&track)?;
        let user = self.connections.get(connection)?.user.clone();
        let name = self.members.get(&user)?.name.clone();
        let language = self.languages.get(&user).cloned();
        Some(RoomTrack { track, user, name, source: *source, codec: *codec, language })
    }

    pub(super) fn unpublish(&mut self, track: TrackId, now: Timestamp) {
        let Some(found) = self.tracks.get(&track) else { return };
        let connection = found.connection;
        let Some(owner) = self.connections.get(&connection) else { return };
        let user_id = owner.user.as_str().to_owned();
        self.tracks.remove(&track);
        self.index.remove_track(connection, track);
        self.track_changes.push(TrackChange::Unpublished(track));
        if self.passing.speakers.iter().any(|(speaker, _)| *speaker == track) {
            self.passing.edit().speakers.retain(|(speaker, _)| *speaker != track);
        }
        self.tell(Event::TrackUnpublished { track: track.to_string(), user_id }, now);
    }

    pub(super) fn speaker_order(&self) -> Vec<TrackId> {
        self.passing.speakers.iter().map(|(track, _)| *track).collect()
    }

    pub(super) fn tell_speakers(&mut self, now: Timestamp) {
        let order = self.speaker_order();
        let passing = &self.passing;
        let due = passing.speakers_told_at.is_none_or(|at| now.since(at) >= SPEAKERS_INTERVAL);
        if order == passing.speakers_told || !due {
            return;
        }
        let speakers = passing
            .speakers
            .iter()
            .filter_map(|(track, level)| {
                let owner = self.connections.get(&self.tracks.get(track)?.connection)?;
                let user_id = owner.user.as_str().to_owned();
                Some(SpeakerView { user_id, track: track.to_string(), level: *level })
            })
            .collect();
        let passing = self.passing.edit();
        passing.speakers_told = order;
        passing.speakers_told_at = Some(now);
        self.tell(Event::ActiveSpeakers { speakers }, now);
    }

    /// Brings gates and featured tracks in line with what was decided. Only what
    /// the decision can have changed is looked at.
    pub(super) fn apply_decisions(&mut self, now: Timestamp) {
        self.tell_attendance(now);
        let speaker = self.floor.speaker().map(|(user, microphone)| (user.clone(), microphone));
        let affected = self.affected(speaker.as_ref());
        let mut changed = BTreeMap::new();
        for connection in &affected {
            let Some(found) = self.connections.get(connection) else { continue };
            let gates = self.gates_of(found);
            if gates != self.gates(*connection) {
                changed.insert(*connection, (gates, found.user.clone()));
            }
        }
        for (connection, (gates, _)) in &changed {
            let before = self.gates(*connection);
            self.index.gates.insert(*connection, *gates);
            self.follow_voice(*connection, gates.audio, now);
            for kind in [MediaKind::Audio, MediaKind::Video] {
                if gates.of(kind) != before.of(kind) {
                    let gate = gates.of(kind);
                    self.gates.push(GateChange { connection: *connection, kind, gate });
                }
            }
        }
        // What closes, closes before anything opens.
        self.gates.sort_by_key(|change| change.gate == Gate::Open);
        let people: BTreeSet<&UserId> = changed.values().map(|(_, user)| user).collect();
        for user in people {
            if self.members.contains_key(user) {
                self.tell(Event::ParticipantUpdated(self.participant_view(user)), now);
            }
        }
        self.follow_turn(now);
        self.feature(&affected, &changed, speaker.as_ref());
        let decided_by = DecidedBy {
            moderation: Some(*self.moderation),
            media_policy: Some(self.media_policy()),
            speaker,
        };
        if decided_by != self.passing.decided_by {
            self.passing.edit().decided_by = decided_by;
        }
    }

    /// Closes every gate. Members are not told one by one, as they are told next that the session
    /// has ended.
    pub(super) fn close_all_gates(&mut self, now: Timestamp) {
        let connections: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for connection in connections {
            let before = self.gates(connection);
            self.index.gates.insert(connection, Gates::CLOSED);
            self.follow_voice(connection, Gate::Closed, now);
            for kind in [MediaKind::Audio, MediaKind::Video] {
                if before.of(kind) == Gate::Open {
                    self.gates.push(GateChange { connection, kind, gate: Gate::Closed });
                }
            }
        }
        self.follow_turn(now);
    }

    /// Connections whose gates may have changed since they were last decided.
    fn affected(&self, speaker: Option<&(UserId, Microphone)>) -> BTreeSet<ConnectionId> {
        let decided_by = &self.passing.decided_by;
        if decided_by.moderation != Some(*self.moderation)
            || decided_by.media_policy != Some(self.media_policy())
        {
            return self.connections.keys().copied().collect();
        }
        let mut affected: BTreeSet<ConnectionId> = self.connections.touched().copied().collect();
        for user in self.muted.touched().chain(self.pictures_stopped.touched()) {
            affected.extend(self.index.connections_of(user));
        }
        if decided_by.speaker.as_ref() != speaker {
            for (user, microphone) in decided_by.speaker.iter().chain(speaker) {
                affected.extend(self.index.connections_of(user));
                if *microphone == Microphone::Hall {
                    affected.extend(self.index.halls.keys().copied());
                }
            }
        }
        affected
    }

    /// Whose cameras and screens are shown.
    pub(super) fn media_policy(&self) -> MediaPolicy {
        self.info.media_policy.unwrap_or(MediaPolicy::default_of(*self.moderation))
    }

    /// What of a connection may pass.
    pub(super) fn gates_of(&self, connection: &Connection) -> Gates {
        if self.is_ending || !connection.roles.may(role::Action::PublishMedia) {
            return Gates::CLOSED;
        }
        let privileged = connection.roles.may(role::Action::SpeakWithoutTurn);
        let holds_floor = self.holds_floor(connection);
        let heard = !self.muted.contains_key(&connection.user)
            && (*self.moderation == ModerationMode::Open || privileged || holds_floor);
        let seen = !self.pictures_stopped.contains_key(&connection.user)
            && (self.media_policy() == MediaPolicy::All
                || privileged
                || holds_floor
                || connection.roles.contains(role::Role::Hall));
        Gates { audio: Gate::open_if(heard), video: Gate::open_if(seen) }
    }

    fn holds_floor(&self, connection: &Connection) -> bool {
        match self.floor.speaker() {
            Some((_, Microphone::Hall)) if connection.roles.may(role::Action::LendMicrophone) => {
                true
            }
            Some((user, _)) => *user == connection.user,
            None => false,
        }
    }

    /// Chooses what WHEP receivers are shown: the floor holder's tracks, else the
    /// loudest speaker's, else what was shown before.
    fn feature(
        &mut self,
        affected: &BTreeSet<ConnectionId>,
        changed: &BTreeMap<ConnectionId, (Gates, UserId)>,
        speaker: Option<&(UserId, Microphone)>,
    ) {
        let holder = speaker.map(|(user, _)| user);
        let loudest = self.passing.speakers.first().and_then(|(track, _)| self.owner_of(*track));
        let mut candidates: BTreeSet<TrackId> = self.tracks.touched().copied().collect();
        for user in holder.into_iter().chain(loudest) {
            for connection in self.index.connections_of(user) {
                candidates.extend(self.index.tracks_of(connection));
            }
        }
        for connection in affected {
            candidates.extend(self.index.tracks_of(*connection));
        }
        let choose = |kind: MediaKind, shown: Option<TrackId>| {
            let rank = |track: TrackId| {
                let found = self.tracks.get(&track).filter(|found| found.source.kind() == kind)?;
                let owner = self.owner_of(track);
                let closed = self.gates(found.connection).of(kind) == Gate::Closed;
                let stranger = holder.is_none() || owner != holder;
                let quiet = loudest.is_none() || owner != loudest;
                let screen = found.source == TrackSource::Screen;
                Some(((closed, stranger, quiet, !screen), track))
            };
            let best = |tracks: &mut dyn Iterator<Item = TrackId>| tracks.filter_map(rank).min();
            // What is shown was the best of all. While it is there and has not
            // become worse, only candidates can be better.
            let stands = shown.filter(|shown| {
                let found = self.tracks.get(shown);
                found.is_some_and(|found| !changed.contains_key(&found.connection))
            });
            let chosen = match stands {
                Some(shown) => best(&mut candidates.iter().copied().chain([shown])),
                None => best(&mut self.tracks.keys().copied()),
            };
            chosen.map(|(_, track)| track)
        };
        let Featured { audio, video } = self.passing.featured;
        let featured = Featured {
            audio: choose(MediaKind::Audio, audio),
            video: choose(MediaKind::Video, video),
        };
        if featured != self.passing.featured {
            let passing = self.passing.edit();
            passing.featured = featured;
            passing.featured_changed = true;
        }
    }

    fn owner_of(&self, track: TrackId) -> Option<&UserId> {
        let connection = self.tracks.get(&track)?.connection;
        self.connections.get(&connection).map(|owner| &owner.user)
    }
}
