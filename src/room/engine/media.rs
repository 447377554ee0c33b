#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Tracks, gates and speakers of the room.

use std::collections::BTreeSet;

use crate::domain::id::{ConnectionId, TrackId, UserId};
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::domain::role;
use crate::domain::session::ModerationMode;
use crate::domain::time::Timestamp;
use crate::floor::Microphone;
use crate::room::engine::{
    Connection, ConnectionKind, Featured, Goodbye, NewTrack, RoomEngine, SPEAKERS_INTERVAL, Track,
    TrackChange,
};
use crate::room::event::{Event, SpeakerView};
use crate::room::ports::RoomTrack;
use crate::sfu::TransportSide;
use crate::sfu::plane::Gate;

impl RoomEngine {
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
        for new in published {
            if self.tracks.contains_key(&new.track) || !self.connections.contains_key(&connection) {
                continue;
            }
            let NewTrack { track, source, codec, layers } = new;
            self.tracks.insert(track, Track { connection, source, codec, layers });
            self.tell_published(track, now);
        }
        self.settle(now);
    }

    /// The media plane hears these tracks, loudest first.
    pub fn handle_speakers(&mut self, speakers: Vec<(TrackId, u8)>, now: Timestamp) {
        self.speakers = speakers;
        self.tell_speakers(now);
        self.settle(now);
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
            let user = found.user.clone();
            for track in self.tracks_of(connection) {
                self.unpublish_of(track, &user, now);
            }
        }
        self.settle(now);
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
        Some(RoomTrack { track, user, name, source: *source, codec: *codec })
    }

    pub(super) fn tracks_of(&self, connection: ConnectionId) -> Vec<TrackId> {
        let theirs = self.tracks.iter().filter(|(_, track)| track.connection == connection);
        theirs.map(|(track, _)| *track).collect()
    }

    fn unpublish(&mut self, track: TrackId, now: Timestamp) {
        let Some(found) = self.tracks.get(&track) else { return };
        let Some(owner) = self.connections.get(&found.connection) else { return };
        let user = owner.user.clone();
        self.unpublish_of(track, &user, now);
    }

    pub(super) fn unpublish_of(&mut self, track: TrackId, user: &UserId, now: Timestamp) {
        self.tracks.remove(&track);
        self.track_changes.push(TrackChange::Unpublished(track));
        self.speakers.retain(|(speaker, _)| *speaker != track);
        let (track, user_id) = (track.to_string(), user.as_str().to_owned());
        self.tell(Event::TrackUnpublished { track, user_id }, now);
    }

    pub(super) fn speaker_order(&self) -> Vec<TrackId> {
        self.speakers.iter().map(|(track, _)| *track).collect()
    }

    pub(super) fn tell_speakers(&mut self, now: Timestamp) {
        let order = self.speaker_order();
        let due = self.speakers_told_at.is_none_or(|at| now.since(at) >= SPEAKERS_INTERVAL);
        if order == self.speakers_told || !due {
            return;
        }
        let speakers = self
            .speakers
            .iter()
            .filter_map(|(track, level)| {
                let owner = self.connections.get(&self.tracks.get(track)?.connection)?;
                let user_id = owner.user.as_str().to_owned();
                Some(SpeakerView { user_id, track: track.to_string(), level: *level })
            })
            .collect();
        self.speakers_told = order;
        self.speakers_told_at = Some(now);
        self.tell(Event::ActiveSpeakers { speakers }, now);
    }

    /// Brings gates and featured tracks in line with what was decided.
    pub(super) fn settle(&mut self, now: Timestamp) {
        let mut changed = BTreeSet::new();
        let wanted: Vec<(ConnectionId, Gate)> = self
            .connections
            .iter()
            .map(|(connection, found)| (*connection, self.gate_of(found)))
            .collect();
        for (connection, gate) in wanted {
            let Some(found) = self.connections.get_mut(&connection) else { continue };
            if found.gate != gate {
                found.gate = gate;
                self.gates.push((connection, gate));
                changed.insert(found.user.clone());
            }
        }
        // What closes, closes before anything opens.
        self.gates.sort_by_key(|(_, gate)| *gate == Gate::Open);
        for user in changed {
            if self.members.contains_key(&user) {
                self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
            }
        }
        let featured = self.choose_featured();
        if featured != self.featured {
            self.featured = featured;
            self.featured_changed = true;
        }
    }

    /// Whether the sound of a connection may pass.
    pub(super) fn gate_of(&self, connection: &Connection) -> Gate {
        let heard = connection.roles.may(role::Action::PublishMedia)
            && !self.muted.contains(&connection.user)
            && (self.moderation == ModerationMode::Open
                || connection.roles.may(role::Action::SpeakWithoutTurn)
                || self.holds_floor(connection));
        if heard { Gate::Open } else { Gate::Closed }
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

    /// The floor holder's tracks, else the loudest speaker's, else the first.
    fn choose_featured(&self) -> Featured {
        let holder = self.floor.speaker().map(|(user, _)| user.clone());
        let loudest = self
            .speakers
            .first()
            .and_then(|(track, _)| self.connections.get(&self.tracks.get(track)?.connection))
            .map(|owner| owner.user.clone());
        let choose = |kind: MediaKind| {
            let rank = |track: &Track| {
                let owner = self.connections.get(&track.connection).map(|owner| &owner.user);
                let closed = kind == MediaKind::Audio
                    && self
                        .connections
                        .get(&track.connection)
                        .is_none_or(|c| c.gate == Gate::Closed);
                let stranger = owner != holder.as_ref() || holder.is_none();
                let quiet = owner != loudest.as_ref() || loudest.is_none();
                (closed, stranger, quiet, track.source != TrackSource::Screen)
            };
            self.tracks
                .iter()
                .filter(|(_, track)| track.source.kind() == kind)
                .min_by_key(|(track, found)| (rank(found), **track))
                .map(|(track, _)| *track)
        };
        Featured { audio: choose(MediaKind::Audio), video: choose(MediaKind::Video) }
    }
}
