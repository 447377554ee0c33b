#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Connections that come, are lost, come back and go.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::id::{ConnectionId, UserId};
use crate::domain::participant::{ParticipantKind, Principal};
use crate::domain::role;
use crate::domain::time::Timestamp;
use crate::room::engine::view::shown_name;
use crate::room::engine::{
    CONNECTIONS_PER_USER_MAX, Connection, ConnectionKind, Goodbye, LOSS_TOLD_AFTER,
    MODERATOR_PLACES, Member, ResumeHash, RoomEngine,
};
use crate::room::error::RoomError;
use crate::room::event::Event;
use crate::sfu::plane::Gate;

impl RoomEngine {
    /// Lets a connection in. A refusal changes nothing.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`], [`RoomError::ParticipantLimitReached`],
    /// [`RoomError::ConnectionLimitReached`] and [`RoomError::TooMuch`].
    pub fn handle_enter(
        &mut self,
        connection: ConnectionId,
        principal: &Principal,
        kind: ConnectionKind,
        resume: ResumeHash,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        self.admit(connection, ParticipantKind::Person, principal, (kind, resume), now)
    }

    /// Lets a camera in that this server calls. A refusal changes nothing.
    ///
    /// # Errors
    /// [`RoomError::Forbidden`], [`RoomError::ConnectionLimitReached`] and [`RoomError::TooMuch`].
    pub fn handle_camera(
        &mut self,
        connection: ConnectionId,
        camera: &Principal,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let (kind, resume) = (ConnectionKind::MediaOnly, ResumeHash::default());
        self.admit(connection, ParticipantKind::Camera, camera, (kind, resume), now)
    }

    fn admit(
        &mut self,
        connection: ConnectionId,
        participant: ParticipantKind,
        principal: &Principal,
        (kind, resume): (ConnectionKind, ResumeHash),
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let user = &principal.user_id;
        let may_join = principal.roles.may(role::Action::JoinRoom);
        let is_person = participant == ParticipantKind::Person;
        // A token that names a part of the server would pose as it.
        if !may_join || self.removed.contains_key(user) || user.is_reserved() == is_person {
            return Err(RoomError::Forbidden);
        }
        let new = !self.members.contains_key(user);
        let on_reserve = new && participant.takes_place() && !self.has_ordinary_place();
        if on_reserve && !self.has_reserved_place_for(principal) {
            return Err(RoomError::ParticipantLimitReached);
        }
        self.count_arrival(user, principal.roles, now)?;
        self.make_room_for_connection(user, kind, now)?;
        if let Some(member) = self.members.get_mut(user) {
            member.rename(&shown_name(&principal.name, user));
        } else {
            let name = shown_name(&principal.name, user);
            self.add_member(user.clone(), Member::new(participant, name, now));
            if on_reserve {
                self.index.on_reserve.insert(user.clone(), ());
            }
        }
        let entered = Connection {
            user: user.clone(),
            roles: principal.roles,
            kind,
            expires_at: principal.expires_at,
            ends_at: Some(end_of(principal, now)),
            lost_at: None,
            loss_due: None,
            resume: [Some(resume), None],
        };
        self.index.add_connection(connection, &entered);
        self.connections.insert(connection, entered);
        let view = self.participant_view(user);
        let event =
            if new { Event::ParticipantJoined(view) } else { Event::ParticipantUpdated(view) };
        self.tell(event, now);
        self.appoint_chair(now);
        self.follow_presence(connection, now);
        self.attendance.note_name(user, &principal.name);
        self.apply_decisions(now);
        Ok(())
    }

    /// Takes a lost connection up again, or one whose old socket still stands. Members are told if
    /// they were told that it was lost. A refusal changes nothing.
    ///
    /// # Errors
    /// [`RoomError::NothingToResume`] when the secret is not one of the last two, or what the access
    /// token had left has passed by the clock of meetings; after a restart, when it has expired `at`
    /// the time of the machine. [`RoomError::TooMuch`].
    pub fn handle_resume(
        &mut self,
        connection: ConnectionId,
        secret: ResumeHash,
        next: ResumeHash,
        at: Timestamp,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let found = self.connections.get(&connection).ok_or(RoomError::NothingToResume)?;
        let is_over = found.ends_at.map_or(found.expires_at <= at, |ends_at| ends_at <= now);
        if is_over || !found.resume.contains(&Some(secret)) {
            return Err(RoomError::NothingToResume);
        }
        let (user, roles) = (found.user.clone(), found.roles);
        self.count_arrival(&user, roles, now)?;
        let found = self.connections.get_mut(&connection).ok_or(RoomError::NothingToResume)?;
        found.resume = [Some(next), Some(secret)];
        // What is left is counted by the clock of meetings from now on.
        found.ends_at.get_or_insert_with(|| now.after(found.expires_at.since(at)));
        if let Some(lost_at) = found.lost_at.take() {
            self.index.lost.remove(&(lost_at, connection));
            match found.loss_due.take() {
                Some(due) => {
                    self.index.untold.remove(&(due, connection));
                }
                None => self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now),
            }
        }
        self.apply_decisions(now);
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
        found.ends_at = Some(end_of(principal, now));
        found.resume = [Some(next), found.resume[0]];
        if found.roles != principal.roles {
            found.roles = principal.roles;
            self.index.set_roles(connection, principal.roles, &principal.user_id);
            let view = self.participant_view(&principal.user_id);
            self.tell(Event::ParticipantUpdated(view), now);
            self.appoint_chair(now);
            self.follow_presence(connection, now);
        }
        self.apply_decisions(now);
        Ok(())
    }

    /// Whose a connection is, and when its access token expires.
    #[must_use]
    pub fn holder(&self, connection: ConnectionId) -> Option<(UserId, Timestamp)> {
        self.connections.get(&connection).map(|found| (found.user.clone(), found.expires_at))
    }

    /// What the access token of a connection that was admitted or resumed has left.
    #[must_use]
    pub fn token_left(&self, connection: ConnectionId, now: Timestamp) -> Duration {
        let ends_at = self.connections.get(&connection).and_then(|found| found.ends_at);
        ends_at.map_or(Duration::ZERO, |ends_at| ends_at.since(now))
    }

    /// Whether whoever has a connection is told how good everybody's are.
    #[must_use]
    pub fn sees_connections(&self, connection: ConnectionId) -> bool {
        let found = self.connections.get(&connection);
        found.is_some_and(|found| found.roles.may(role::Action::ModeratePeople))
    }

    /// Whether a connection may register people, and so is told what of the eligible list does not
    /// hold.
    #[must_use]
    pub fn registers(&self, connection: ConnectionId) -> bool {
        let found = self.connections.get(&connection);
        found.is_some_and(|found| found.roles.may(role::Action::RegisterAttendance))
    }

    /// The connections of a person.
    #[must_use]
    pub fn connections_of(&self, user: &UserId) -> Vec<ConnectionId> {
        self.index.connections_of(user)
    }

    /// A connection was lost; it may come back within `RESUME_GRACE`. Members are told when it is
    /// not back after `LOSS_TOLD_AFTER`.
    pub fn handle_lost(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(found) = self.connections.get_mut(&connection) else { return };
        if found.lost_at.is_none() {
            let due = now.after(LOSS_TOLD_AFTER);
            (found.lost_at, found.loss_due) = (Some(now), Some(due));
            self.index.lost.insert((now, connection), ());
            self.index.untold.insert((due, connection), ());
        }
    }

    /// Tells of the connections that are lost and did not come back at once.
    pub(super) fn tell_losses(&mut self, now: Timestamp) {
        let is_due = |(due, _): &&(Timestamp, ConnectionId)| *due <= now;
        let due: Vec<(Timestamp, ConnectionId)> =
            self.index.untold.keys().take_while(is_due).copied().collect();
        for (due, connection) in due {
            self.index.untold.remove(&(due, connection));
            let Some(found) = self.connections.get_mut(&connection) else { continue };
            found.loss_due = None;
            let user = found.user.clone();
            self.tell(Event::ParticipantUpdated(self.participant_view(&user)), now);
        }
    }

    /// Whether whoever has this connection is let back before others: they moderate or have the
    /// floor, so others wait for them.
    #[must_use]
    pub fn is_waited_for(&self, connection: ConnectionId) -> bool {
        let found = self.connections.get(&connection);
        found.is_some_and(|found| self.is_waited_for_as(&found.user, found.roles))
    }

    /// As [`Self::is_waited_for`], for somebody who enters.
    #[must_use]
    pub fn is_waited_for_as(&self, user: &UserId, roles: role::Roles) -> bool {
        let has_floor = self.floor.speaker().is_some_and(|(speaker, _)| speaker == user);
        has_floor || roles.may(role::Action::ModerateFloor)
    }

    /// A connection ends for good.
    pub fn handle_leave(&mut self, connection: ConnectionId, goodbye: Goodbye, now: Timestamp) {
        self.end_connection(connection, goodbye, now);
        self.apply_decisions(now);
    }

    fn count_arrival(
        &mut self,
        user: &UserId,
        roles: role::Roles,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        if roles.may(role::Action::ModerateFloor) { Ok(()) } else { self.budget.arrive(user, now) }
    }

    /// Whether the session has a place for one more person that anybody may take.
    fn has_ordinary_place(&self) -> bool {
        let apart = self.index.without_place.len() + self.index.on_reserve.len();
        self.members.len() - apart < self.info.participants_max as usize
    }

    /// Whether somebody may have one of the places that nobody but moderators can take.
    fn has_reserved_place_for(&self, principal: &Principal) -> bool {
        let moderates = principal.roles.may(role::Action::ModeratePeople);
        moderates && self.index.on_reserve.len() < MODERATOR_PLACES
    }

    /// Gives moderators their places again in a room that was read: those who came last, as many as
    /// there are people beyond the ordinary places.
    pub(super) fn reserve_places(&mut self) {
        let people = self.members.len() - self.index.without_place.len();
        let beyond = people.saturating_sub(self.info.participants_max as usize);
        let of_moderators = self.index.moderators.values();
        let came = |user: &UserId| Some((self.members.get(user)?.joined_at, user.clone()));
        let came: BTreeSet<(Timestamp, UserId)> = of_moderators.filter_map(came).collect();
        for (_, user) in came.into_iter().rev().take(beyond.min(MODERATOR_PLACES)) {
            self.index.on_reserve.insert(user, ());
        }
    }

    /// A person who has as many connections as they may gets a new one for another: the one lost
    /// first, else one that never got media, else the oldest. The newest is the one that is wanted: an
    /// encoder or page that was killed, or lost its network, leaves connections that still look alive.
    /// Whoever comes by media alone replaces only such connections and lost ones, since a token for an
    /// encoder must not end its owner's page.
    fn make_room_for_connection(
        &mut self,
        user: &UserId,
        kind: ConnectionKind,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let held = self.index.connections_of(user);
        if held.len() < CONNECTIONS_PER_USER_MAX {
            return Ok(());
        }
        let by_media = |id: &&ConnectionId| {
            self.connections.get(id).is_some_and(|it| it.kind == ConnectionKind::MediaOnly)
        };
        let lost_at = |id: &ConnectionId| self.connections.get(id).and_then(|it| it.lost_at);
        let mut replaceable: Vec<&ConnectionId> = held.iter().collect();
        if kind == ConnectionKind::MediaOnly {
            replaceable.retain(|id| by_media(id) || lost_at(id).is_some());
        }
        let lost = replaceable.iter().filter_map(|id| Some((lost_at(id)?, **id))).min();
        let unconnected = replaceable.iter().find(|id| self.index.unconnected.contains_key(id));
        // Ids of connections are in the order of time. Pages are replaced before encoders, so that a new
        // page ends an old one and interrupts no stream.
        let oldest = replaceable.iter().min_by_key(|id| (by_media(id), **id));
        let other = lost.map(|(_, id)| id).or_else(|| unconnected.or(oldest).map(|id| **id));
        let other = other.ok_or(RoomError::ConnectionLimitReached)?;
        self.end_connection(other, Goodbye::Replaced, now);
        Ok(())
    }

    /// A transport of a connection works.
    pub fn handle_transport_connected(&mut self, connection: ConnectionId) {
        self.index.unconnected.remove(&connection);
    }

    pub(super) fn end_connection(
        &mut self,
        connection: ConnectionId,
        goodbye: Goodbye,
        now: Timestamp,
    ) {
        for track in self.index.tracks_of(connection) {
            self.unpublish(track, now);
        }
        self.follow_voice(connection, Gate::Closed, now);
        let Some(gone) = self.connections.remove(&connection) else { return };
        self.index.remove_connection(connection, &gone);
        self.attendance.handle_disconnected(&gone.user, connection, now);
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
        self.mutes_changed.remove(user);
        self.pictures_changed.remove(user);
        self.index.without_place.remove(user);
        self.index.on_reserve.remove(user);
        let (user_id, reason) = (user.as_str().to_owned(), goodbye.as_str().to_owned());
        self.tell(Event::ParticipantLeft { user_id, reason }, now);
    }
}

/// When the token ends by the clock of meetings, which nobody sets.
fn end_of(principal: &Principal, now: Timestamp) -> Timestamp {
    now.after(principal.expires_at.since(principal.judged_at))
}
