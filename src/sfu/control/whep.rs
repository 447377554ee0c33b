//! Receivers that make the offer themselves (WHEP). Their sections are slots that show the featured
//! tracks of the room; the stream of a slot stays the same when the featured track changes.

use std::time::Instant;

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::MediaKind;
use crate::sfu::control::{Control, Owner, Receiver};
use crate::sfu::interface::{SfuError, TransportSide, WhepAnswer};
use crate::sfu::plane::{Command, Demand, ExtensionIds, SubscriptionSpec, TransportId};
use crate::sfu::sdp::{self, OFFER_LIMITS, Section, SectionAnswer, Stream};

/// The media stream id (`msid`) shared by the two slots of a receiver.
const STREAM_GROUP: &str = "featured";

/// A receiver that has made an offer.
pub(super) struct WhepReceiver {
    pub(super) transport: TransportId,
    pub(super) slots: Vec<SubscriptionSpec>,
    /// Whether the worker has been told of the slots.
    announced: bool,
}

impl WhepReceiver {
    /// The commands for the worker once the transport is connected.
    pub(super) fn announce(&mut self) -> Vec<Command> {
        if std::mem::replace(&mut self.announced, true) {
            return Vec::new();
        }
        self.slots.iter().cloned().map(Command::AddSubscription).collect()
    }

    fn show(&mut self, kind: MediaKind, source: Option<TrackId>) -> Option<Command> {
        let slot = self.slots.iter_mut().find(|slot| slot.kind == kind)?;
        if slot.source == source {
            return None;
        }
        slot.source = source;
        let command = Command::SetSource { subscription: slot.subscription, source };
        self.announced.then_some(command)
    }
}

impl Control {
    pub(crate) fn whep(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        offer: &str,
        now: Instant,
    ) -> Result<WhepAnswer, SfuError> {
        if self.peer(room, peer)?.receiver.is_some() {
            return Err(SfuError::SignallingState("the peer receives already"));
        }
        let offer =
            sdp::parse(offer, OFFER_LIMITS).map_err(|error| SfuError::SdpInvalid(error.0))?;
        let receives = |section: &Section| !section.rejected && section.direction.receives();
        let first =
            |kind| offer.sections.iter().position(|it| receives(it) && it.kind == Some(kind));
        let chosen = [first(MediaKind::Audio), first(MediaKind::Video)];
        let remote = offer.transport.clone().filter(|_| chosen.iter().any(Option::is_some));
        let remote = remote.ok_or(SfuError::SdpInvalid(offer.obstacle()))?;
        let side = TransportSide::Subscribe;
        let transport = self.add_transport(Owner { room, peer, side }, now);
        let mut slots = Vec::new();
        let mut answers = Vec::with_capacity(offer.sections.len());
        for (index, section) in offer.sections.iter().enumerate() {
            answers.push(match section.kind {
                _ if section.rejected => SectionAnswer::Rejected,
                Some(kind) if chosen.contains(&Some(index)) => {
                    let slot = self.whep_slot(room, transport, section, kind);
                    let stream = Stream {
                        group: STREAM_GROUP.to_owned(),
                        track: kind.to_string(),
                        ssrc: slot.ssrc,
                        rtx_ssrc: slot.rtx_ssrc,
                    };
                    slots.push(slot);
                    SectionAnswer::Send(stream)
                }
                _ => SectionAnswer::Inactive,
            });
        }
        if let Some(association) = self.associations.get_mut(&transport) {
            association.set_remote(remote);
        }
        self.peer_mut(room, peer)?.receiver =
            Some(Receiver::Whep(WhepReceiver { transport, slots, announced: false }));
        let sdp = self.describe(transport, |local| sdp::answer(&offer, &answers, local))?;
        Ok(WhepAnswer { sdp, refused: offer.refused() })
    }

    fn whep_slot(
        &mut self,
        room: SessionId,
        transport: TransportId,
        section: &Section,
        kind: MediaKind,
    ) -> SubscriptionSpec {
        let (subscription, ssrc, rtx_ssrc) = self.new_subscription();
        let source = self.rooms.get(&room).and_then(|room| match kind {
            MediaKind::Audio => room.featured_audio,
            MediaKind::Video => room.featured_video,
        });
        SubscriptionSpec {
            subscription,
            transport,
            kind,
            source,
            mid: section.mid.clone(),
            formats: section.formats.iter().map(|it| it.format.clone()).collect(),
            ssrc,
            rtx_ssrc,
            // A receiver gets one encoding, so it needs no `rid`.
            extensions: ExtensionIds { rid: None, repaired_rid: None, ..section.extensions },
            demand: Demand::default(),
        }
    }

    pub(crate) fn feature(
        &mut self,
        room: SessionId,
        audio: Option<TrackId>,
        video: Option<TrackId>,
    ) -> Result<(), SfuError> {
        if !self.rooms.contains_key(&room) {
            return Err(SfuError::RoomNotFound);
        }
        for (track, kind) in [(audio, MediaKind::Audio), (video, MediaKind::Video)] {
            if let Some(track) = track {
                let known = self.track(room, track).map(|(_, it)| it.source.kind());
                if known != Some(kind) {
                    return Err(SfuError::TrackNotFound);
                }
            }
        }
        self.show(room, audio, video);
        Ok(())
    }

    /// Removes a track that has ended from every slot.
    pub(super) fn forget_featured(&mut self, room: SessionId, track: TrackId) {
        let Some(opened) = self.rooms.get(&room) else { return };
        let left = |featured: Option<TrackId>| featured.filter(|it| *it != track);
        let (audio, video) = (left(opened.featured_audio), left(opened.featured_video));
        self.show(room, audio, video);
    }

    fn show(&mut self, room: SessionId, audio: Option<TrackId>, video: Option<TrackId>) {
        let Some(opened) = self.rooms.get_mut(&room) else { return };
        if (opened.featured_audio, opened.featured_video) == (audio, video) {
            return;
        }
        opened.featured_audio = audio;
        opened.featured_video = video;
        let mut commands = Vec::new();
        for member in opened.peers.values_mut() {
            if let Some(Receiver::Whep(receiver)) = &mut member.receiver {
                commands.extend(receiver.show(MediaKind::Audio, audio));
                commands.extend(receiver.show(MediaKind::Video, video));
            }
        }
        for command in commands {
            self.command(room, command);
        }
        self.prioritise(room);
    }
}
