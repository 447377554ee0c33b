//! Which pictures are more important than others where a path can't carry all.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::{MediaKind, TrackSource};
use crate::sfu::control::{Control, Output, Owner};
use crate::sfu::interface::RoomMediaEvent;
use crate::sfu::plane::{Command, Priority, TransportId};

/// What makes tracks of a room important.
#[derive(Debug, Default)]
pub(super) struct Importance {
    speaking: BTreeSet<ConnectionId>,
    /// The tracks that are more important than the rest, as the worker was told.
    told: BTreeMap<TrackId, Priority>,
}

impl Control {
    /// Takes who speaks now.
    pub(super) fn note_speaking(&mut self, room: SessionId, speaking: BTreeSet<ConnectionId>) {
        let Some(opened) = self.rooms.get_mut(&room) else { return };
        if opened.importance.speaking != speaking {
            opened.importance.speaking = speaking;
            self.prioritise(room);
        }
    }

    /// Tells the worker of tracks whose importance has changed: those of whoever is featured, which
    /// is whoever has the floor if anybody has, come first, then screens, then whoever speaks.
    pub(super) fn prioritise(&mut self, room: SessionId) {
        let Some(opened) = self.rooms.get(&room) else { return };
        let owner = |track: Option<TrackId>| {
            track.and_then(|track| self.publishers.get(&track)).map(|(_, peer)| *peer)
        };
        let featured = [owner(opened.featured_audio), owner(opened.featured_video)];
        let mut important = BTreeMap::new();
        for (peer, member) in &opened.peers {
            for track in member.tracks().filter(|it| it.source.kind() == MediaKind::Video) {
                let priority = if featured.contains(&Some(*peer)) {
                    Priority::Floor
                } else if track.source == TrackSource::Screen {
                    Priority::Screen
                } else if opened.importance.speaking.contains(peer) {
                    Priority::Speaker
                } else {
                    continue;
                };
                important.insert(track.id, priority);
            }
        }
        let Some(opened) = self.rooms.get_mut(&room) else { return };
        let before = std::mem::replace(&mut opened.importance.told, important.clone());
        let worker = opened.worker;
        let rest = before.keys().filter(|track| !important.contains_key(track));
        let changed = important.iter().filter(|(track, it)| before.get(track) != Some(it));
        let commands: Vec<Command> = rest
            .map(|track| (*track, Priority::Rest))
            .chain(changed.map(|(track, priority)| (*track, *priority)))
            .map(|(track, priority)| Command::SetPriority { track, priority })
            .collect();
        let commands = commands.into_iter().map(|command| Output::Command { worker, command });
        self.outputs.extend(commands);
    }

    /// Tells a publisher which encodings of a track nobody wants.
    pub(super) fn handle_unseen(
        &mut self,
        transport: TransportId,
        track: TrackId,
        rids: Vec<String>,
    ) {
        // The transport may have ended since the worker reported it, and so may the track.
        let Some(association) = self.associations.get(&transport) else { return };
        let Owner { room, peer, .. } = association.owner;
        if self.publishers.get(&track) == Some(&(room, peer)) {
            let event = RoomMediaEvent::Unseen { peer, track, rids };
            self.outputs.push_back(Output::Event { room, event });
        }
    }

    /// Tells a receiver which tracks it gets no pictures of for want of room.
    pub(super) fn handle_left_out(&mut self, transport: TransportId, tracks: Vec<TrackId>) {
        // The transport may have ended since the worker reported it.
        let Some(association) = self.associations.get(&transport) else { return };
        let Owner { room, peer, .. } = association.owner;
        let event = RoomMediaEvent::LeftOut { peer, tracks };
        self.outputs.push_back(Output::Event { room, event });
    }
}
