//! Tracks whose packets come from this process.

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::sfu::control::publish::Track;
use crate::sfu::control::{Control, Output, TRACKS_PER_PEER_MAX};
use crate::sfu::feed::KeyFrameSignal;
use crate::sfu::interface::{FeedSpec, LostReason, RoomMediaEvent, SfuError, TransportSide};
use crate::sfu::plane::{
    Command, EncodingSpec, ExtensionIds, Format, PublicationOrigin, PublicationSpec,
};
use crate::sfu::sdp::OfferedFormat;

impl Control {
    /// Makes a track whose packets come from this process; returns the track and the number of the
    /// worker that takes its packets.
    pub(crate) fn feed(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        spec: FeedSpec,
        wanted: KeyFrameSignal,
    ) -> Result<(TrackId, usize), SfuError> {
        let FeedSpec { source, config, payload_type } = spec;
        if source.kind() != config.kind() {
            return Err(SfuError::FeedInvalid(
                "the codec and the source are not both audio or both video",
            ));
        }
        if payload_type > 127 {
            return Err(SfuError::FeedInvalid("the payload type is larger than 127"));
        }
        let worker = self.rooms.get(&room).ok_or(SfuError::RoomNotFound)?.worker;
        if self.workers.get(worker).is_none_or(|load| load.gone) {
            return Err(SfuError::Stopped);
        }
        if self.peer(room, peer)?.feeds.len() >= TRACKS_PER_PEER_MAX {
            return Err(SfuError::TrackLimit);
        }
        self.check_budget(room, source.kind())?;
        let id = self.new_track();
        let member = self.peer_mut(room, peer)?;
        let gate = member.gates.of(source.kind());
        let format = Format { payload_type, codec: config.codec(), rtx_payload_type: None };
        let encodings = vec![EncodingSpec::default()];
        member.feeds.push(Track {
            id,
            mid: String::new(),
            source,
            config,
            formats: vec![OfferedFormat {
                format: format.clone(),
                config,
                level: None,
                transport_cc: false,
                nack: false,
            }],
            encodings: encodings.clone(),
        });
        self.publishers.insert(id, (room, peer));
        self.command(
            room,
            Command::AddPublication(PublicationSpec {
                track: id,
                room,
                origin: PublicationOrigin::Process(wanted),
                kind: source.kind(),
                mid: String::new(),
                formats: vec![format],
                encodings,
                extensions: ExtensionIds::default(),
                gate,
            }),
        );
        Ok((id, worker))
    }

    pub(crate) fn end_feed(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        if !self.peer(room, peer)?.feeds.iter().any(|it| it.id == track) {
            return Err(SfuError::TrackNotFound);
        }
        self.remove_track(room, peer, track);
        Ok(())
    }

    /// Ends all feeds of a peer; returns whether there were any.
    pub(super) fn drop_feeds(&mut self, room: SessionId, peer: ConnectionId) -> bool {
        let feeds = self.peer(room, peer).map(|it| it.feeds.iter().map(|it| it.id).collect());
        let feeds: Vec<TrackId> = feeds.unwrap_or_default();
        for track in &feeds {
            self.remove_track(room, peer, *track);
        }
        !feeds.is_empty()
    }

    /// Reports the feeds of a worker that has ended as lost.
    pub(super) fn lose_feeds(&mut self, rooms: &[SessionId]) {
        let fed: Vec<(SessionId, ConnectionId)> = rooms
            .iter()
            .filter_map(|id| Some((id, self.rooms.get(id)?)))
            .flat_map(|(id, room)| room.peers.keys().map(|peer| (*id, *peer)))
            .collect();
        for (room, peer) in fed {
            if self.drop_feeds(room, peer) {
                let (side, reason) = (TransportSide::Publish, LostReason::ServerFault);
                let event = RoomMediaEvent::TransportLost { peer, side, reason };
                self.outputs.push_back(Output::Event { room, event });
            }
        }
    }
}
