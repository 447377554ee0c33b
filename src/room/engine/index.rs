#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What follows from the connections and tracks of a room, kept at hand so that
//! no decision has to look through all of them. Undone with them, and not
//! stored.

use crate::domain::id::{ConnectionId, TrackId, UserId};
use crate::domain::role::{Role, Roles};
use crate::domain::time::Timestamp;
use crate::room::engine::{Connection, ConnectionKind};
use crate::sfu::plane::Gates;
use crate::tracked::TrackedMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Index {
    connections: TrackedMap<UserId, Vec<ConnectionId>>,
    tracks: TrackedMap<ConnectionId, Vec<TrackId>>,
    /// Lost connections, the first lost first.
    pub(super) lost: TrackedMap<(Timestamp, ConnectionId), ()>,
    /// Lost connections of which members were not told yet, by when they are to be.
    pub(super) untold: TrackedMap<(Timestamp, ConnectionId), ()>,
    /// Members that take none of the session's places.
    pub(super) without_place: TrackedMap<UserId, ()>,
    /// Members on one of the places that only moderators may take.
    pub(super) on_reserve: TrackedMap<UserId, ()>,
    /// Connections by media alone whose media has never arrived.
    pub(super) unconnected: TrackedMap<ConnectionId, ()>,
    /// Connections of devices in the hall.
    pub(super) halls: TrackedMap<ConnectionId, ()>,
    /// Connections of moderators.
    pub(super) moderators: TrackedMap<ConnectionId, UserId>,
    /// What passes of connections, as the media plane was last told; nothing of
    /// one that is not here.
    pub(super) gates: TrackedMap<ConnectionId, Gates>,
}

impl Index {
    pub(super) fn connections_of(&self, user: &UserId) -> Vec<ConnectionId> {
        self.connections.get(user).cloned().unwrap_or_default()
    }

    pub(super) fn tracks_of(&self, connection: ConnectionId) -> Vec<TrackId> {
        self.tracks.get(&connection).cloned().unwrap_or_default()
    }

    pub(super) fn add_connection(&mut self, id: ConnectionId, connection: &Connection) {
        add(&mut self.connections, &connection.user, id);
        if let Some(lost_at) = connection.lost_at {
            self.lost.insert((lost_at, id), ());
        }
        if let Some(due) = connection.loss_due {
            self.untold.insert((due, id), ());
        }
        if connection.kind == ConnectionKind::MediaOnly {
            self.unconnected.insert(id, ());
        }
        self.set_roles(id, connection.roles, &connection.user);
    }

    pub(super) fn set_roles(&mut self, id: ConnectionId, roles: Roles, user: &UserId) {
        if roles.contains(Role::Moderator) {
            self.moderators.insert(id, user.clone());
        } else {
            self.moderators.remove(&id);
        }
        if roles.contains(Role::Hall) {
            self.halls.insert(id, ());
        } else {
            self.halls.remove(&id);
        }
    }

    pub(super) fn remove_connection(&mut self, id: ConnectionId, connection: &Connection) {
        take(&mut self.connections, &connection.user, &id);
        if let Some(lost_at) = connection.lost_at {
            self.lost.remove(&(lost_at, id));
        }
        if let Some(due) = connection.loss_due {
            self.untold.remove(&(due, id));
        }
        self.tracks.remove(&id);
        self.unconnected.remove(&id);
        self.halls.remove(&id);
        self.gates.remove(&id);
        self.moderators.remove(&id);
    }

    pub(super) fn add_track(&mut self, connection: ConnectionId, track: TrackId) {
        add(&mut self.tracks, &connection, track);
    }

    pub(super) fn remove_track(&mut self, connection: ConnectionId, track: TrackId) {
        take(&mut self.tracks, &connection, &track);
    }

    pub(super) fn clear(&mut self) {
        self.connections.clear();
        self.tracks.clear();
        self.lost.clear();
        self.untold.clear();
        self.without_place.clear();
        self.on_reserve.clear();
        self.unconnected.clear();
        self.halls.clear();
        self.gates.clear();
        self.moderators.clear();
    }

    pub(super) fn undo(&mut self) {
        self.connections.undo();
        self.tracks.undo();
        self.lost.undo();
        self.untold.undo();
        self.without_place.undo();
        self.on_reserve.undo();
        self.unconnected.undo();
        self.halls.undo();
        self.gates.undo();
        self.moderators.undo();
    }

    /// What is indexed stands. Nothing of it is stored.
    pub(super) fn stored(&mut self) {
        self.connections.stored();
        self.tracks.stored();
        self.lost.stored();
        self.untold.stored();
        self.without_place.stored();
        self.on_reserve.stored();
        self.unconnected.stored();
        self.halls.stored();
        self.gates.stored();
        self.moderators.stored();
    }
}

fn add<K: Ord + Clone, V: Clone>(map: &mut TrackedMap<K, Vec<V>>, key: &K, value: V) {
    if let Some(values) = map.get_mut(key) {
        values.push(value);
    } else {
        map.insert(key.clone(), vec![value]);
    }
}

/// Takes a value out; a key without values goes with it.
fn take<K: Ord + Clone, V: Clone + PartialEq>(map: &mut TrackedMap<K, Vec<V>>, key: &K, value: &V) {
    let Some(values) = map.get_mut(key) else { return };
    values.retain(|held| held != value);
    if values.is_empty() {
        map.remove(key);
    }
}
