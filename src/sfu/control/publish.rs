//! What peers publish: turns their offers into tracks.

use std::time::Instant;

use rand::RngCore;

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::domain::media::{MediaKind, TrackSource};
use crate::sfu::control::{Association, Control, Owner, Peer, TRACKS_PER_PEER_MAX};
use crate::sfu::interface::{PublishAnswer, PublishedTrack, SfuError, TransportSide};
use crate::sfu::plane::{Command, EncodingSpec, PublicationOrigin, PublicationSpec, TransportId};
use crate::sfu::sdp::{
    self, CodecConfig, Description, OFFER_LIMITS, Obstacle, OfferedFormat, Section, SectionAnswer,
};
use crate::sfu::transport::Fingerprint;

/// What one peer publishes.
pub(super) struct Publisher {
    pub(super) transport: TransportId,
    fingerprints: Vec<Fingerprint>,
    /// Number of media sections of its last offer; later offers may not have fewer.
    sections: usize,
    pub(super) tracks: Vec<Track>,
}

pub(super) struct Track {
    pub(super) id: TrackId,
    pub(super) mid: String,
    pub(super) source: TrackSource,
    /// The codec that receivers are offered.
    pub(super) config: CodecConfig,
    pub(super) formats: Vec<OfferedFormat>,
    pub(super) encodings: Vec<EncodingSpec>,
}

/// A section in which the peer sends, before a track is made from it.
struct Planned {
    section: usize,
    source: TrackSource,
    /// The existing track that the section continues, if any.
    kept: Option<TrackId>,
}

/// How an offer relates to the peer's existing publish transport.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Succession {
    /// It is the first offer, or another offer of the same transport.
    Follows,
    /// It is the first offer of a new peer connection.
    Replaces,
}

impl Control {
    pub(crate) fn publish(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        offer: &str,
        sources: &[(String, TrackSource)],
        now: Instant,
    ) -> Result<PublishAnswer, SfuError> {
        let member = self.peer(room, peer)?;
        let mut offer =
            sdp::parse(offer, OFFER_LIMITS).map_err(|error| SfuError::SdpInvalid(error.0))?;
        for section in &mut offer.sections {
            section.formats.retain(|it| it.config.is_published_by_peers());
            if section.formats.is_empty() && !section.rejected {
                section.rejected = true;
                section.obstacle = Some(Obstacle::Codec);
            }
        }
        if offer.sections.iter().all(|section| section.rejected) {
            offer.transport = None;
        }
        let succession = self.check_offer(&offer, member.publisher.as_ref())?;
        let tracks_before =
            member.publisher.as_ref().map_or(&[][..], |publisher| &publisher.tracks);
        let known = if succession == Succession::Replaces { &[][..] } else { tracks_before };
        let planned = plan(&mut offer, sources, known)?;
        let removed: Vec<TrackId> = tracks_before
            .iter()
            .map(|track| track.id)
            .filter(|id| !planned.iter().any(|plan| plan.kept == Some(*id)))
            .collect();
        for new in planned.iter().filter(|plan| plan.kept.is_none()) {
            self.check_budget(room, new.source.kind())?;
        }
        // Everything has been checked; nothing below can fail.
        if succession == Succession::Replaces {
            self.drop_publisher(room, peer, now);
        }
        let transport = self.publish_transport(room, peer, &offer, now)?;
        for track in &removed {
            self.remove_track(room, peer, *track);
        }
        for plan in planned {
            if plan.kept.is_none() {
                self.add_track(room, peer, transport, &offer.sections[plan.section], plan.source)?;
            }
        }
        let publisher =
            self.peer_mut(room, peer)?.publisher.as_mut().ok_or(SfuError::TransportNotFound)?;
        publisher.sections = offer.sections.len();
        let position = |track: &Track| offer.sections.iter().position(|it| it.mid == track.mid);
        publisher.tracks.sort_by_key(position);
        let tracks: Vec<PublishedTrack> = publisher.tracks.iter().map(Track::published).collect();
        let answers: Vec<SectionAnswer> = offer
            .sections
            .iter()
            .map(|section| match section {
                section if section.rejected => SectionAnswer::Rejected,
                section if tracks.iter().any(|it| it.mid == section.mid) => SectionAnswer::Receive,
                _ => SectionAnswer::Inactive,
            })
            .collect();
        let sdp = self.describe(transport, |local| sdp::answer(&offer, &answers, local))?;
        Ok(PublishAnswer { sdp, tracks, removed, refused: offer.refused() })
    }

    /// Checks whether an offer may follow what is known of its peer. Another certificate together
    /// with other ICE credentials means a new peer connection of the same peer, as after a page
    /// reload; the caller has authenticated the peer.
    fn check_offer(
        &self,
        offer: &Description,
        known: Option<&Publisher>,
    ) -> Result<Succession, SfuError> {
        let transport = offer.transport.as_ref();
        let Some(known) = known else {
            return match transport {
                Some(_) => Ok(Succession::Follows),
                None => Err(SfuError::SdpInvalid(offer.obstacle())),
            };
        };
        if let Some(transport) = transport
            && transport.fingerprints != known.fingerprints
        {
            let association = self.associations.get(&known.transport);
            let before = association.and_then(|it| it.transport.remote_ufrag());
            return if before == Some(transport.ufrag.as_str()) {
                Err(SfuError::SignallingState(
                    "the certificate has changed but the ICE credentials have not",
                ))
            } else {
                Ok(Succession::Replaces)
            };
        }
        let ours = self.associations.get(&known.transport).map(Association::setup);
        if transport.is_some_and(|it| ours == Some(it.setup)) {
            return Err(SfuError::SdpInvalid("the DTLS role of a transport can't change"));
        }
        if offer.sections.len() < known.sections {
            return Err(SfuError::SdpInvalid("the offer has fewer sections than the one before"));
        }
        Ok(Succession::Follows)
    }

    /// The transport of an offer: a new one, the existing one, or the existing one with an ICE
    /// restart.
    fn publish_transport(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        offer: &Description,
        now: Instant,
    ) -> Result<TransportId, SfuError> {
        let publisher = self.peer(room, peer)?.publisher.as_ref();
        let known = publisher.map(|publisher| publisher.transport);
        let Some(remote) = offer.transport.clone() else {
            return known.ok_or(SfuError::SdpInvalid(offer.obstacle()));
        };
        if let Some(id) = known {
            let before = self.associations.get(&id).and_then(|it| it.transport.remote_ufrag());
            if before != Some(remote.ufrag.as_str()) {
                self.restart_transport(id, Some(remote.ufrag), now);
            }
            return Ok(id);
        }
        let side = TransportSide::Publish;
        let id = self.add_transport(Owner { room, peer, side }, now);
        let fingerprints = remote.fingerprints.clone();
        if let Some(association) = self.associations.get_mut(&id) {
            association.set_remote(remote);
        }
        self.peer_mut(room, peer)?.publisher =
            Some(Publisher { transport: id, fingerprints, sections: 0, tracks: Vec::new() });
        Ok(id)
    }

    fn add_track(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        transport: TransportId,
        section: &Section,
        source: TrackSource,
    ) -> Result<(), SfuError> {
        let id = self.new_track();
        let member = self.peer_mut(room, peer)?;
        let gate = member.gates.of(source.kind());
        let publisher = member.publisher.as_mut().ok_or(SfuError::TransportNotFound)?;
        let config = section.formats.first().map(|format| format.config);
        let config = config.ok_or(SfuError::SdpInvalid("a section without formats"))?;
        let track = Track {
            id,
            mid: section.mid.clone(),
            source,
            config,
            formats: section.formats.clone(),
            encodings: encodings(section),
        };
        let spec = PublicationSpec {
            track: id,
            room,
            origin: PublicationOrigin::Transport(transport),
            kind: source.kind(),
            mid: track.mid.clone(),
            formats: track.formats.iter().map(|it| it.format.clone()).collect(),
            encodings: track.encodings.clone(),
            extensions: section.extensions,
            gate,
        };
        publisher.tracks.push(track);
        self.publishers.insert(id, (room, peer));
        self.command(room, Command::AddPublication(spec));
        self.prioritise(room);
        Ok(())
    }

    pub(super) fn new_track(&mut self) -> TrackId {
        let mut random = [0; 16];
        self.random.fill_bytes(&mut random);
        TrackId::from_uuid(uuid::Builder::from_random_bytes(random).into_uuid())
    }

    pub(super) fn remove_track(&mut self, room: SessionId, peer: ConnectionId, track: TrackId) {
        if let Ok(member) = self.peer_mut(room, peer) {
            member.feeds.retain(|it| it.id != track);
            if let Some(publisher) = &mut member.publisher {
                publisher.tracks.retain(|it| it.id != track);
            }
        }
        self.publishers.remove(&track);
        self.forget_featured(room, track);
        self.forget_wanted(room, track);
        self.note_silence(room);
        self.command(room, Command::RemovePublication { track });
    }

    /// Ends the publish transport of a peer and its tracks.
    pub(crate) fn unpublish(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        now: Instant,
    ) -> Result<(), SfuError> {
        self.peer(room, peer)?;
        self.drop_publisher(room, peer, now);
        Ok(())
    }

    pub(super) fn drop_publisher(&mut self, room: SessionId, peer: ConnectionId, now: Instant) {
        let Ok(Some(publisher)) = self.peer(room, peer).map(|it| it.publisher.as_ref()) else {
            return;
        };
        let transport = publisher.transport;
        let tracks: Vec<TrackId> = publisher.tracks.iter().map(|track| track.id).collect();
        for track in tracks {
            self.remove_track(room, peer, track);
        }
        if let Ok(member) = self.peer_mut(room, peer) {
            member.publisher = None;
        }
        self.remove_transport(transport, now);
    }

    /// A track of a room, and the peer that publishes it.
    pub(super) fn track(&self, room: SessionId, track: TrackId) -> Option<(ConnectionId, &Track)> {
        let (of, peer) = self.publishers.get(&track).filter(|(of, _)| *of == room)?;
        let member = self.peer(*of, *peer).ok()?;
        Some((*peer, member.tracks().find(|it| it.id == track)?))
    }
}

impl Peer {
    /// Every track of this peer, published over its transport or as a feed.
    pub(super) fn tracks(&self) -> impl Iterator<Item = &Track> {
        self.publisher.iter().flat_map(|publisher| &publisher.tracks).chain(&self.feeds)
    }
}

impl Track {
    fn published(&self) -> PublishedTrack {
        PublishedTrack {
            track: self.id,
            mid: self.mid.clone(),
            source: self.source,
            kind: self.source.kind(),
            codec: self.config.codec(),
            layers: u8::try_from(self.encodings.len()).unwrap_or(u8::MAX),
        }
    }
}

/// The encodings of a section, in the order in which it lists them.
fn encodings(section: &Section) -> Vec<EncodingSpec> {
    if section.rids.is_empty() {
        let (ssrc, rtx_ssrc) = (section.primary_ssrc, section.rtx_ssrc);
        return vec![EncodingSpec { rid: None, ssrc, rtx_ssrc }];
    }
    let named = |rid: &String| EncodingSpec { rid: Some(rid.clone()), ssrc: None, rtx_ssrc: None };
    section.rids.iter().map(named).collect()
}

/// Decides which section becomes which track. When a section continues an existing track, its
/// formats are reduced to those that the worker knows already.
fn plan(
    offer: &mut Description,
    sources: &[(String, TrackSource)],
    known: &[Track],
) -> Result<Vec<Planned>, SfuError> {
    for (mid, source) in sources {
        let section = offer.sections.iter().find(|section| section.mid == *mid);
        let kind = section
            .ok_or(SfuError::SdpInvalid("a source names a section that does not exist"))?
            .kind;
        if kind != Some(source.kind()) {
            return Err(SfuError::SdpInvalid(
                "a source and its section are not both audio or both video",
            ));
        }
    }
    let sends: Vec<usize> = (0..offer.sections.len())
        .filter(|&index| {
            let section = &offer.sections[index];
            !section.rejected && section.direction.sends()
        })
        .collect();
    if sends.len() > TRACKS_PER_PEER_MAX {
        return Err(SfuError::TrackLimit);
    }
    let stated = |mid: &str| sources.iter().find(|(of, _)| of == mid).map(|(_, source)| *source);
    let before = |mid: &str| known.iter().find(|track| track.mid == mid);
    let mut taken: Vec<TrackSource> = sends
        .iter()
        .map(|&index| offer.sections[index].mid.as_str())
        .filter_map(|mid| stated(mid).or_else(|| before(mid).map(|track| track.source)))
        .collect();
    let mut planned = Vec::with_capacity(sends.len());
    for index in sends {
        let section = &mut offer.sections[index];
        let Some(kind) = section.kind else { continue };
        let track = before(&section.mid).filter(|track| track.source.kind() == kind);
        let source =
            stated(&section.mid).or(track.map(|track| track.source)).unwrap_or_else(|| {
                let source = default_source(kind, &taken);
                taken.push(source);
                source
            });
        let goes_on = track.filter(|it| it.source == source && it.encodings == encodings(section));
        let kept = goes_on.and_then(|track| {
            let both: Vec<OfferedFormat> =
                section.formats.iter().filter(|it| track.knows(it)).cloned().collect();
            (!both.is_empty()).then(|| {
                section.formats = both;
                track.id
            })
        });
        planned.push(Planned { section: index, source, kept });
    }
    Ok(planned)
}

impl Track {
    fn knows(&self, offered: &OfferedFormat) -> bool {
        self.formats.iter().any(|it| it.format == offered.format && it.config == offered.config)
    }
}

fn default_source(kind: MediaKind, taken: &[TrackSource]) -> TrackSource {
    let (first, second) = match kind {
        MediaKind::Audio => (TrackSource::Microphone, TrackSource::ScreenAudio),
        MediaKind::Video => (TrackSource::Camera, TrackSource::Screen),
    };
    if taken.contains(&first) { second } else { first }
}
