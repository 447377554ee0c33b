//! Receivers to which this server makes the offers. At most one offer waits for an answer; changes
//! made meanwhile go into the next offer. Media sections are never removed: an empty one is marked
//! inactive, and is used again for the same codec after the receiver has answered that.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Bound;
use std::time::Instant;

use crate::domain::id::{ConnectionId, SessionId, TrackId};
use crate::sfu::control::{Control, Output, Owner, Peer, Receiver, SUBSCRIPTIONS_PER_PEER_MAX};
use crate::sfu::interface::{RoomMediaEvent, SfuError, TransportSide};
use crate::sfu::plane::{
    Command, Demand, ExtensionIds, Format, SubscriptionId, SubscriptionSpec, TransportId,
};
use crate::sfu::sdp::{
    self, ANSWER_LIMITS, CodecConfig, Description, OFFERED_EXTENSIONS, OfferSection, Section,
    Setup, Stream, TransportParameters,
};
use crate::sfu::transport::Fingerprint;

/// Offers made before datagrams are handled again; a track of a full room is offered to two
/// thousand receivers. Raising it makes handshakes wait longer.
const OFFERS_PER_TURN: usize = 32;

/// The tracks that one peer receives.
#[derive(Default)]
pub(super) struct Subscriber {
    /// `None` until the first offer.
    pub(super) transport: Option<TransportId>,
    fingerprints: Vec<Fingerprint>,
    wanted: BTreeMap<TrackId, Demand>,
    slots: Vec<Slot>,
    /// The offer that waits for an answer.
    open: Option<OpenOffer>,
    /// Number of sections of the last offer that was answered.
    answered: usize,
    /// Digest of the last answer. A client may send the same answer again after it lost its socket.
    last_answer: Option<u64>,
    /// Whether the next offer must restart ICE.
    restart_owed: bool,
}

/// An offer that waits for its answer.
struct OpenOffer {
    /// How many of the slots the offer contained.
    sections: usize,
    /// For an offer that restarts ICE: the receiver's user fragment before it.
    restarts: Option<String>,
}

/// One media section.
struct Slot {
    mid: String,
    config: CodecConfig,
    stream: Option<SlotStream>,
    /// The subscription that the last offer put in it.
    told: Option<SubscriptionId>,
    /// Whether the receiver has answered an offer in which it was empty.
    free: bool,
}

struct SlotStream {
    track: TrackId,
    publisher: ConnectionId,
    subscription: SubscriptionId,
    ssrc: u32,
    rtx_ssrc: u32,
    state: StreamState,
}

enum StreamState {
    /// No answered offer contains it yet.
    New,
    /// The receiver has refused it.
    Refused,
    /// The receiver has accepted it; it waits for the transport to connect.
    Waiting(Box<SubscriptionSpec>),
    /// The worker has been told of it.
    Flowing,
}

impl Subscriber {
    /// How many streams go to this receiver.
    pub(super) fn streams(&self) -> usize {
        self.slots.iter().filter(|slot| slot.stream.is_some()).count()
    }

    fn stream_of(&mut self, track: TrackId) -> Option<&mut SlotStream> {
        self.slots.iter_mut().filter_map(|slot| slot.stream.as_mut()).find(|it| it.track == track)
    }

    /// Empties the slot of a track. Returns the subscription that the worker has to remove.
    fn vacate(&mut self, track: TrackId) -> Option<SubscriptionId> {
        let slot = self
            .slots
            .iter_mut()
            .find(|slot| slot.stream.as_ref().is_some_and(|stream| stream.track == track))?;
        slot.free = false;
        let stream = slot.stream.take()?;
        matches!(stream.state, StreamState::Flowing).then_some(stream.subscription)
    }

    fn reusable_slot(&self, config: CodecConfig) -> Option<usize> {
        let reusable = |slot: &Slot| slot.free && slot.stream.is_none() && slot.config == config;
        self.slots.iter().position(reusable)
    }

    /// Whether there is a section for another stream of this codec. If not, the stream waits until
    /// one of the same codec has ended.
    fn has_space(&self, config: CodecConfig) -> bool {
        self.slots.len() < ANSWER_LIMITS.sections || self.reusable_slot(config).is_some()
    }

    fn free_slot(&mut self, config: CodecConfig) -> Option<&mut Slot> {
        let index = match self.reusable_slot(config) {
            Some(index) => index,
            None if self.slots.len() >= ANSWER_LIMITS.sections => return None,
            None => {
                let mid = self.slots.len().to_string();
                self.slots.push(Slot { mid, config, stream: None, told: None, free: false });
                self.slots.len() - 1
            }
        };
        self.slots.get_mut(index)
    }

    fn sections(&self) -> Vec<OfferSection> {
        let stream = |stream: &SlotStream| Stream {
            group: stream.publisher.to_string(),
            track: stream.track.to_string(),
            ssrc: stream.ssrc,
            rtx_ssrc: stream.rtx_ssrc,
        };
        self.slots
            .iter()
            .map(|slot| OfferSection {
                mid: slot.mid.clone(),
                config: slot.config,
                stream: slot.stream.as_ref().map(stream),
            })
            .collect()
    }
}

impl Control {
    pub(crate) fn subscribe(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
        demand: Demand,
    ) -> Result<(), SfuError> {
        self.peer(room, peer)?;
        self.track(room, track).ok_or(SfuError::TrackNotFound)?;
        let member = self.peer_mut(room, peer)?;
        let receiver =
            member.receiver.get_or_insert_with(|| Receiver::Offered(Subscriber::default()));
        let Receiver::Offered(subscriber) = receiver else {
            return Err(SfuError::SignallingState("a WHEP receiver shows what is featured"));
        };
        if !subscriber.wanted.contains_key(&track) {
            if subscriber.wanted.len() >= SUBSCRIPTIONS_PER_PEER_MAX {
                return Err(SfuError::TrackLimit);
            }
            subscriber.wanted.insert(track, demand);
            self.owed.insert((room, peer));
            return Ok(());
        }
        subscriber.wanted.insert(track, demand);
        let mut flowing = None;
        if let Some(stream) = subscriber.stream_of(track) {
            match &mut stream.state {
                StreamState::Waiting(spec) => spec.demand = demand,
                StreamState::Flowing => flowing = Some(stream.subscription),
                StreamState::New | StreamState::Refused => {}
            }
        }
        if let Some(subscription) = flowing {
            self.command(room, Command::SetDemand { subscription, demand });
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        track: TrackId,
    ) -> Result<(), SfuError> {
        let subscriber = offered(self.peer_mut(room, peer)?).ok_or(SfuError::TrackNotFound)?;
        subscriber.wanted.remove(&track).ok_or(SfuError::TrackNotFound)?;
        self.clear_stream(room, peer, track);
        Ok(())
    }

    /// Stops sending a track to a receiver; the next offer marks its section inactive.
    fn clear_stream(&mut self, room: SessionId, peer: ConnectionId, track: TrackId) {
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        let flowing = subscriber.vacate(track);
        // Before the first offer there is nothing to stop.
        if subscriber.transport.is_some() {
            self.owed.insert((room, peer));
        }
        if let Some(subscription) = flowing {
            self.command(room, Command::RemoveSubscription { subscription });
        }
    }

    /// Removes a track that has ended from every subscription.
    pub(super) fn forget_wanted(&mut self, room: SessionId, track: TrackId) {
        for peer in self.subscribers_of(room, track) {
            if let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) {
                subscriber.wanted.remove(&track);
            }
            self.clear_stream(room, peer, track);
        }
    }

    /// Marks every receiver of a track as due for a new offer.
    pub(super) fn owe_offers(&mut self, room: SessionId, track: TrackId) {
        let peers = self.subscribers_of(room, track);
        self.owed.extend(peers.into_iter().map(|peer| (room, peer)));
    }

    fn subscribers_of(&self, room: SessionId, track: TrackId) -> Vec<ConnectionId> {
        let wants = |peer: &Peer| match &peer.receiver {
            Some(Receiver::Offered(subscriber)) => subscriber.wanted.contains_key(&track),
            _ => false,
        };
        let members = self.rooms.get(&room).into_iter().flat_map(|room| &room.peers);
        members.filter(|(_, peer)| wants(peer)).map(|(id, _)| *id).collect()
    }

    /// Makes the offers that are due, a bounded number per call and receivers in turn. Called once
    /// after a batch of requests, so that subscriptions made together are offered together, and
    /// again while [`Self::owes_offers`].
    pub(crate) fn flush_offers(&mut self, now: Instant) {
        for _ in 0..OFFERS_PER_TURN {
            let after = (Bound::Excluded(self.offered_last), Bound::Unbounded);
            let next = self.owed.range(after).next().or_else(|| self.owed.first()).copied();
            let Some((room, peer)) = next else { return };
            self.owed.remove(&(room, peer));
            self.offered_last = (room, peer);
            let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { continue };
            if subscriber.open.is_some() {
                // Handling the answer to the open offer marks it as due again.
                continue;
            }
            if subscriber.transport.is_none() && subscriber.wanted.is_empty() {
                continue;
            }
            self.offer(room, peer, now);
        }
    }

    /// Whether [`Self::flush_offers`] has more offers to make.
    pub(crate) fn owes_offers(&self) -> bool {
        !self.owed.is_empty()
    }

    fn offer(&mut self, room: SessionId, peer: ConnectionId, now: Instant) {
        self.fill_slots(room, peer);
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        let transport = subscriber.transport.unwrap_or_else(|| {
            let side = TransportSide::Subscribe;
            self.add_transport(Owner { room, peer, side }, now)
        });
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        subscriber.transport = Some(transport);
        subscriber.open = Some(OpenOffer { sections: subscriber.slots.len(), restarts: None });
        for slot in &mut subscriber.slots {
            slot.told = slot.stream.as_ref().map(|stream| stream.subscription);
        }
        let sections = subscriber.sections();
        let tracks = subscriber
            .slots
            .iter()
            .filter_map(|slot| Some((slot.mid.clone(), slot.stream.as_ref()?.track)))
            .collect();
        if std::mem::take(&mut subscriber.restart_owed) {
            let before =
                self.associations.get(&transport).and_then(|it| it.transport.remote_ufrag());
            let before = before.map(str::to_owned);
            if let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered)
                && let Some(open) = &mut subscriber.open
            {
                open.restarts = before;
            }
            self.restart_transport(transport, None, now);
        }
        if let Ok(sdp) = self.describe(transport, |local| sdp::offer(&sections, local)) {
            let event = RoomMediaEvent::SubscriberOffer { peer, sdp, tracks };
            self.outputs.push_back(Output::Event { room, event });
        }
    }

    /// Assigns every wanted track to a slot of its codec.
    fn fill_slots(&mut self, room: SessionId, peer: ConnectionId) {
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        let wanted: Vec<TrackId> = subscriber.wanted.keys().copied().collect();
        for track in wanted {
            let Some((publisher, track_of)) = self.track(room, track) else { continue };
            let config = track_of.config;
            let (subscription, ssrc, rtx_ssrc) = self.new_subscription();
            let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
            let current = subscriber
                .slots
                .iter()
                .find(|slot| slot.stream.as_ref().is_some_and(|stream| stream.track == track))
                .map(|slot| slot.config);
            if current == Some(config) {
                continue;
            }
            let flowing = subscriber.vacate(track);
            if let Some(slot) = subscriber.free_slot(config) {
                slot.stream = Some(SlotStream {
                    track,
                    publisher,
                    subscription,
                    ssrc,
                    rtx_ssrc,
                    state: StreamState::New,
                });
            }
            if let Some(subscription) = flowing {
                self.command(room, Command::RemoveSubscription { subscription });
            }
        }
    }

    pub(crate) fn answer(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        sdp: &str,
        now: Instant,
    ) -> Result<(), SfuError> {
        let no_offer = SfuError::SignallingState("no offer waits for an answer");
        let Some(subscriber) = offered(self.peer_mut(room, peer)?) else { return Err(no_offer) };
        let (Some(transport), Some(open)) = (subscriber.transport, &subscriber.open) else {
            return Err(no_offer);
        };
        let answer =
            sdp::parse(sdp, ANSWER_LIMITS).map_err(|error| SfuError::SdpInvalid(error.0))?;
        let remote = check_answer(&answer, subscriber, open)?;
        let digest = digest_of(sdp);
        // The `o=` line of a browser's answers has a version that increases, so an identical answer
        // is a repetition. A client without increasing versions is refused once and succeeds when it
        // sends the answer again.
        if subscriber.last_answer.take_if(|last| *last == digest).is_some() {
            return Err(SfuError::SignallingState("this answer has been accepted before"));
        }
        subscriber.last_answer = Some(digest);
        subscriber.answered = answer.sections.len();
        subscriber.open = None;
        if let Some(remote) = remote {
            if !subscriber.fingerprints.is_empty() && subscriber.fingerprints != remote.fingerprints
            {
                self.replace_receiver(room, peer, now);
                return Ok(());
            }
            subscriber.fingerprints.clone_from(&remote.fingerprints);
            if let Some(association) = self.associations.get_mut(&transport) {
                association.set_remote(remote);
            }
        }
        self.take_answer(room, peer, transport, &answer);
        // The subscriptions may have changed since the offer was made.
        self.owe_if_stale(room, peer);
        self.poll_transport(transport, now);
        if self.is_connected(transport) {
            self.announce_streams(room, peer);
        }
        Ok(())
    }

    fn take_answer(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
        transport: TransportId,
        answer: &Description,
    ) {
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        let Subscriber { slots, wanted, .. } = subscriber;
        let (mut removed, mut refused) = (Vec::new(), Vec::new());
        for (slot, section) in slots.iter_mut().zip(&answer.sections) {
            let Some(stream) = &mut slot.stream else {
                slot.free = slot.told.is_none();
                continue;
            };
            let format = taken(section, slot.config);
            match (&stream.state, format) {
                (StreamState::New | StreamState::Refused, Some(format)) => {
                    stream.state = StreamState::Waiting(Box::new(SubscriptionSpec {
                        subscription: stream.subscription,
                        transport,
                        kind: slot.config.kind(),
                        source: Some(stream.track),
                        mid: slot.mid.clone(),
                        formats: vec![format],
                        ssrc: stream.ssrc,
                        rtx_ssrc: stream.rtx_ssrc,
                        extensions: agreed(section.extensions),
                        demand: wanted.get(&stream.track).copied().unwrap_or_default(),
                    }));
                }
                (StreamState::Refused, None)
                | (StreamState::Waiting(_) | StreamState::Flowing, Some(_)) => {}
                (state, None) => {
                    if matches!(state, StreamState::Flowing) {
                        removed.push(stream.subscription);
                    }
                    refused.push((stream.track, slot.config.codec()));
                    stream.state = StreamState::Refused;
                }
            }
        }
        for subscription in removed {
            self.command(room, Command::RemoveSubscription { subscription });
        }
        for (track, codec) in refused {
            let event = RoomMediaEvent::TrackRefused { peer, track, codec };
            self.outputs.push_back(Output::Event { room, event });
        }
    }

    /// Marks a receiver as due for an offer when its slots differ from its subscriptions or from
    /// the last offer.
    fn owe_if_stale(&mut self, room: SessionId, peer: ConnectionId) {
        let Ok(Some(Receiver::Offered(subscriber))) =
            self.peer(room, peer).map(|member| member.receiver.as_ref())
        else {
            return;
        };
        let placed = |track: TrackId, config: CodecConfig| {
            subscriber.slots.iter().any(|slot| {
                slot.config == config
                    && slot.stream.as_ref().is_some_and(|stream| stream.track == track)
            })
        };
        let missing = subscriber.wanted.keys().any(|track| {
            self.track(room, *track).is_some_and(|(_, it)| {
                !placed(*track, it.config) && subscriber.has_space(it.config)
            })
        });
        let emptied = |slot: &Slot| slot.stream.is_none() && slot.told.is_some();
        if missing || subscriber.restart_owed || subscriber.slots.iter().any(emptied) {
            self.owed.insert((room, peer));
        }
    }

    /// Tells the worker of every stream that waited for the transport to connect.
    pub(super) fn announce_streams(&mut self, room: SessionId, peer: ConnectionId) {
        let mut commands = Vec::new();
        match self.peer_mut(room, peer).map(|member| member.receiver.as_mut()) {
            Ok(Some(Receiver::Offered(subscriber))) => {
                for stream in subscriber.slots.iter_mut().filter_map(|slot| slot.stream.as_mut()) {
                    if let StreamState::Waiting(_) = stream.state
                        && let StreamState::Waiting(spec) =
                            std::mem::replace(&mut stream.state, StreamState::Flowing)
                    {
                        commands.push(Command::AddSubscription(*spec));
                    }
                }
            }
            Ok(Some(Receiver::Whep(receiver))) => commands = receiver.announce(),
            _ => {}
        }
        for command in commands {
            self.command(room, command);
        }
    }

    /// Restarts ICE with the next offer. While an offer waits for its answer, the restart follows
    /// that answer; the room resends an offer that was lost with the network, so that two are never
    /// open.
    pub(crate) fn restart_subscriber_ice(
        &mut self,
        room: SessionId,
        peer: ConnectionId,
    ) -> Result<(), SfuError> {
        let subscriber = offered(self.peer_mut(room, peer)?).ok_or(SfuError::TransportNotFound)?;
        subscriber.transport.ok_or(SfuError::TransportNotFound)?;
        subscriber.restart_owed = true;
        self.owed.insert((room, peer));
        Ok(())
    }

    /// Handles an answer from another peer connection, as after a page reload: the old transport
    /// ends, and everything is offered again.
    fn replace_receiver(&mut self, room: SessionId, peer: ConnectionId, now: Instant) {
        let Ok(Some(subscriber)) = self.peer_mut(room, peer).map(offered) else { return };
        let wanted = std::mem::take(&mut subscriber.wanted);
        let last_answer = subscriber.last_answer;
        self.drop_receiver(room, peer, now);
        if let Ok(member) = self.peer_mut(room, peer) {
            let anew = Subscriber { wanted, last_answer, ..Subscriber::default() };
            member.receiver = Some(Receiver::Offered(anew));
            self.owed.insert((room, peer));
        }
    }

    pub(super) fn drop_receiver(&mut self, room: SessionId, peer: ConnectionId, now: Instant) {
        let Ok(member) = self.peer_mut(room, peer) else { return };
        let receiver = member.receiver.take();
        self.owed.remove(&(room, peer));
        // When the worker removes a transport it removes its streams too.
        if let Some(transport) = receiver.as_ref().and_then(Receiver::transport) {
            self.remove_transport(transport, now);
        }
    }
}

fn offered(member: &mut Peer) -> Option<&mut Subscriber> {
    match &mut member.receiver {
        Some(Receiver::Offered(subscriber)) => Some(subscriber),
        _ => None,
    }
}

/// Checks that an answer fits the open offer; returns what it says about the transport.
fn check_answer(
    answer: &Description,
    subscriber: &Subscriber,
    open: &OpenOffer,
) -> Result<Option<TransportParameters>, SfuError> {
    const EARLIER: SfuError = SfuError::SignallingState("the answer belongs to an earlier offer");
    let fits = |sections| {
        let mids = subscriber.slots.iter().take(sections).map(|slot| slot.mid.as_str());
        answer.sections.iter().map(|section| section.mid.as_str()).eq(mids)
    };
    if !fits(open.sections) {
        let earlier = subscriber.answered > 0 && fits(subscriber.answered);
        return Err(if earlier {
            EARLIER
        } else {
            SfuError::SdpInvalid("the answer has other sections than the offer")
        });
    }
    let Some(remote) = answer.transport.clone() else { return Ok(None) };
    if remote.setup == Setup::ActiveOrPassive {
        return Err(SfuError::SdpInvalid("an answer must choose the DTLS role"));
    }
    // A peer that answers an ICE restart must have restarted too (RFC 8839 §4.4.2).
    if open.restarts.as_ref() == Some(&remote.ufrag) {
        return Err(EARLIER);
    }
    Ok(Some(remote))
}

fn digest_of(sdp: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    sdp.hash(&mut hasher);
    hasher.finish()
}

/// The format by which a receiver accepts a stream, if it does.
fn taken(section: &Section, config: CodecConfig) -> Option<Format> {
    if section.rejected || !section.direction.receives() {
        return None;
    }
    // Answers keep the offerer's payload types (RFC 3264 §6.1); packets with another payload type
    // would be decoded as something else.
    let answered = |offered: CodecConfig| {
        let (payload_type, rtx) = offered.payload_types();
        let formats = section.formats.iter().map(|it| &it.format);
        formats.into_iter().find(|it| {
            it.codec == offered.codec()
                && it.payload_type == payload_type
                && it.rtx_payload_type.is_none_or(|answered| Some(answered) == rtx)
        })
    };
    config.offered_as().into_iter().find_map(answered).cloned()
}

/// Extensions that offer and answer give the same number.
fn agreed(answered: ExtensionIds) -> ExtensionIds {
    let both = |ours: Option<u8>, theirs| ours.filter(|_| ours == theirs);
    ExtensionIds {
        mid: both(OFFERED_EXTENSIONS.mid, answered.mid),
        rid: None,
        repaired_rid: None,
        transport_cc: both(OFFERED_EXTENSIONS.transport_cc, answered.transport_cc),
        audio_level: both(OFFERED_EXTENSIONS.audio_level, answered.audio_level),
    }
}
