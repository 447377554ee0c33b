//! Rooms, the peers in them, and the events that workers report.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::{Codec, MediaKind};
use crate::sfu::control::{
    Control, Importance, Output, PEERS_PER_ROOM_MAX, Peer, ROOMS_MAX, Receiver, Room,
};
use crate::sfu::interface::{BitrateBudget, RoomMediaEvent, SfuError, TransportSide};
use crate::sfu::plane::{Command, Gate, Gates, MediaEvent};
use crate::sfu::tap::TapSink;
use crate::sfu::transport::{is_pwd, is_ufrag};

impl Control {
    pub(crate) fn open_room(
        &mut self,
        room: SessionId,
        budget: BitrateBudget,
    ) -> Result<(), SfuError> {
        if self.rooms.contains_key(&room) {
            return Err(SfuError::RoomExists);
        }
        if self.rooms.len() >= ROOMS_MAX {
            return Err(SfuError::RoomLimit);
        }
        let worker = self.least_loaded();
        if self.workers.get(worker).is_none_or(|load| load.gone) {
            return Err(SfuError::Stopped);
        }
        self.workers[worker].rooms += 1;
        let (featured_audio, featured_video) = (None, None);
        let (tenant, peers) = (budget.tenant, BTreeMap::new());
        let importance = Importance::default();
        let opened = Room { tenant, worker, peers, featured_audio, featured_video, importance };
        self.rooms.insert(room, opened);
        self.open_budget(room, budget);
        Ok(())
    }

    pub(crate) fn close_room(&mut self, room: SessionId, now: Instant) -> Result<(), SfuError> {
        let opened = self.rooms.get(&room).ok_or(SfuError::RoomNotFound)?;
        let (worker, tenant) = (opened.worker, opened.tenant);
        for peer in opened.peers.keys().copied().collect::<Vec<_>>() {
            self.leave(room, peer, now)?;
        }
        self.rooms.remove(&room);
        self.workers[worker].rooms = self.workers[worker].rooms.saturating_sub(1);
        self.close_budget(room, worker, tenant);
        Ok(())
    }

    pub(crate) fn rooms(&self) -> Vec<SessionId> {
        self.rooms.keys().copied().collect()
    }

    pub(crate) fn join(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        gates: Gates,
    ) -> Result<(), SfuError> {
        let opened = self.rooms.get_mut(&room).ok_or(SfuError::RoomNotFound)?;
        if opened.peers.contains_key(&peer) {
            return Err(SfuError::PeerExists);
        }
        if opened.peers.len() >= PEERS_PER_ROOM_MAX {
            return Err(SfuError::PeerLimit);
        }
        opened
            .peers
            .insert(peer, Peer { gates, publisher: None, feeds: Vec::new(), receiver: None });
        Ok(())
    }

    pub(crate) fn leave(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        now: Instant,
    ) -> Result<(), SfuError> {
        self.peer(room, peer)?;
        self.drop_receiver(room, peer, now);
        self.drop_publisher(room, peer, now);
        self.drop_feeds(room, peer);
        if let Some(opened) = self.rooms.get_mut(&room) {
            opened.peers.remove(&peer);
        }
        if let Some(turn) = &mut self.turn {
            turn.handle_left(room, peer);
            self.poll_turn();
        }
        Ok(())
    }

    /// Copies the packets of a track that pass its gate to a sink in this process.
    pub(crate) fn tap(
        &mut self,
        room: SessionId,
        track: TrackId,
        sink: TapSink,
    ) -> Result<(), SfuError> {
        self.tappable(room, track)?;
        self.command(room, Command::AddTap { track, sink });
        Ok(())
    }

    pub(crate) fn untap(
        &mut self,
        room: SessionId,
        track: TrackId,
        sink: TapSink,
    ) -> Result<(), SfuError> {
        self.tappable(room, track)?;
        self.command(room, Command::RemoveTap { track, sink });
        Ok(())
    }

    fn tappable(&self, room: SessionId, track: TrackId) -> Result<(), SfuError> {
        let opened = self.rooms.get(&room).ok_or(SfuError::RoomNotFound)?;
        if self.workers.get(opened.worker).is_none_or(|load| load.gone) {
            return Err(SfuError::Stopped);
        }
        let known = self.publishers.get(&track).is_some_and(|(of, _)| *of == room);
        if known { Ok(()) } else { Err(SfuError::TrackNotFound) }
    }

    /// Stores the gate for what the peer will publish later, and returns the worker and the tracks
    /// to which it must be applied now.
    pub(crate) fn set_gate(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        kind: MediaKind,
        gate: Gate,
    ) -> Result<(usize, Vec<TrackId>), SfuError> {
        let member = self.peer_mut(room, peer)?;
        member.gates.set(kind, gate);
        let tracks = member
            .tracks()
            .filter(|track| track.source.kind() == kind)
            .map(|track| track.id)
            .collect();
        let worker = self.rooms.get(&room).map_or(0, |room| room.worker);
        Ok((worker, tracks))
    }

    pub(crate) fn restart_ice(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        side: TransportSide,
        remote: (String, &str),
        now: Instant,
    ) -> Result<(String, String), SfuError> {
        let (ufrag, pwd) = remote;
        let member = self.peer(room, peer)?;
        let id = match side {
            TransportSide::Publish => member.publisher.as_ref().map(|it| it.transport),
            TransportSide::Subscribe => member.receiver.as_ref().and_then(Receiver::transport),
        }
        .ok_or(SfuError::TransportNotFound)?;
        if !is_ufrag(&ufrag) || !is_pwd(pwd) {
            return Err(SfuError::SdpInvalid("the ICE credentials are malformed"));
        }
        let known = self.associations.get(&id).and_then(|it| it.transport.remote_ufrag());
        // The same user fragment again is not an ICE restart (RFC 9725 §4.3.2).
        if known != Some(ufrag.as_str()) {
            self.restart_transport(id, Some(ufrag), now);
        }
        let association = self.associations.get(&id).ok_or(SfuError::TransportNotFound)?;
        let local = association.transport.local();
        Ok((local.ufrag.clone(), local.pwd.expose().clone()))
    }

    /// Takes an event that a worker reports.
    pub(crate) fn handle_media_event(&mut self, event: MediaEvent, now: Instant) {
        match event {
            MediaEvent::Heard { transports } => self.handle_heard(&transports, now),
            MediaEvent::Silent { transports } => self.handle_silent(transports),
            MediaEvent::HeardFrom { transport, from } => {
                self.handle_heard_from(transport, from, now);
            }
            MediaEvent::TrackStarted { room, track, codec } => {
                // The track may have ended since the worker reported it.
                if self.publishers.get(&track).is_some_and(|(of, _)| *of == room) {
                    self.adopt_codec(track, codec);
                    let event = RoomMediaEvent::TrackStarted { track, codec };
                    self.outputs.push_back(Output::Event { room, event });
                }
            }
            MediaEvent::Conditions { transports } => self.handle_conditions(&transports, now),
            MediaEvent::Incoming { rooms } => self.handle_incoming(&rooms),
            MediaEvent::Unseen { transport, track, rids } => {
                self.handle_unseen(transport, track, rids);
            }
            MediaEvent::LeftOut { transport, tracks } => self.handle_left_out(transport, tracks),
            MediaEvent::ActiveSpeakers { room, speakers } => {
                let speakers: Vec<_> = speakers
                    .into_iter()
                    .filter_map(|loudness| {
                        let (_, peer) = self.publishers.get(&loudness.track)?;
                        Some((*peer, loudness.track, loudness.level_dbov))
                    })
                    .collect();
                let speaking: BTreeSet<_> = speakers.iter().map(|(peer, ..)| *peer).collect();
                self.note_speaking(room, speaking);
                let event = RoomMediaEvent::ActiveSpeakers { speakers };
                self.outputs.push_back(Output::Event { room, event });
            }
        }
    }

    /// A publisher may send any codec of its answer. When it sends another than the first one, its
    /// receivers have to be offered that codec instead.
    fn adopt_codec(&mut self, track: TrackId, codec: Codec) {
        let Some((room, peer)) = self.publishers.get(&track).copied() else { return };
        let Ok(member) = self.peer_mut(room, peer) else { return };
        let found = member
            .publisher
            .iter_mut()
            .flat_map(|publisher| &mut publisher.tracks)
            .find(|it| it.id == track && it.config.codec() != codec);
        let Some(published) = found else { return };
        let sent = published.formats.iter().find(|format| format.config.codec() == codec);
        if let Some(sent) = sent.map(|format| format.config) {
            published.config = sent;
            self.owe_offers(room, track);
        }
    }
}
