//! Carries out the commands of the control half: transports, publications and subscriptions are
//! added and removed in any order, and connected once both ends exist.

use std::net::SocketAddr;

use crate::domain::id::{SessionId, TrackId};
use crate::domain::media::MediaKind;
use crate::sfu::plane::{
    Demand, Gate, PublicationOrigin, PublicationSpec, SrtpKeys, SubscriptionId, SubscriptionSpec,
    TransportId,
};
use crate::sfu::srtp::Srtp;

use super::publication::Publication;
use super::subscription::Subscription;
use super::transport::Transport;
use super::{Forwarder, PUBLICATIONS_MAX, SUBSCRIPTIONS_MAX, TRANSPORTS_MAX};

impl Forwarder {
    pub(super) fn add_transport(
        &mut self,
        id: TransportId,
        room: SessionId,
        keys: &SrtpKeys,
        remote: SocketAddr,
        now_us: u64,
    ) {
        let full = self.transport_slots.len() >= TRANSPORTS_MAX;
        let srtp = Srtp::new(keys, self.crypto.crypto());
        let (Ok(srtp), false) = (srtp, full || self.transport_slots.contains_key(&id)) else {
            self.totals.commands_refused += 1;
            return;
        };
        let slot = self.transports.insert(Transport::new(id, room, remote, srtp, now_us));
        self.transport_slots.insert(id, slot);
        self.addresses.insert(remote, slot);
        let of_it = |(at, it): (usize, &Publication)| it.is_of(id).then_some(at);
        let publications: Vec<usize> = self.publications.iter().filter_map(of_it).collect();
        let of_it = |(at, it): (usize, &Subscription)| (it.transport_id == id).then_some(at);
        let subscriptions: Vec<usize> = self.subscriptions.iter().filter_map(of_it).collect();
        for at in publications {
            self.attach_publication(at, slot, now_us);
        }
        for at in subscriptions {
            self.attach_subscription(at, slot, now_us);
        }
    }

    pub(super) fn move_transport(&mut self, id: TransportId, remote: SocketAddr) {
        let Some(&slot) = self.transport_slots.get(&id) else { return };
        let Some(transport) = self.transports.at_mut(slot) else { return };
        let before = std::mem::replace(&mut transport.remote, remote);
        if self.addresses.get(&before) == Some(&slot) {
            self.addresses.remove(&before);
        }
        self.addresses.insert(remote, slot);
    }

    pub(super) fn remove_transport(&mut self, id: TransportId, now_us: u64) {
        // Its publications and subscriptions are removed too, attached or not.
        let of_it = |(_, it): (usize, &Publication)| it.is_of(id).then_some(it.track);
        let tracks: Vec<TrackId> = self.publications.iter().filter_map(of_it).collect();
        let of_it = |(_, it): (usize, &Subscription)| (it.transport_id == id).then_some(it.id);
        let subscriptions: Vec<SubscriptionId> =
            self.subscriptions.iter().filter_map(of_it).collect();
        for track in tracks {
            self.remove_publication(track, now_us);
        }
        for subscription in subscriptions {
            self.remove_subscription(subscription);
        }
        let Some(slot) = self.transport_slots.remove(&id) else { return };
        self.end_search(slot);
        if let Some(transport) = self.transports.remove(slot)
            && self.addresses.get(&transport.remote) == Some(&slot)
        {
            self.addresses.remove(&transport.remote);
        }
    }

    pub(super) fn add_publication(&mut self, spec: &PublicationSpec, now_us: u64) {
        let known = self.publication_slots.contains_key(&spec.track);
        let full = self.publication_slots.len() >= PUBLICATIONS_MAX;
        let fits = match spec.origin {
            PublicationOrigin::Transport(_) => !spec.encodings.is_empty(),
            PublicationOrigin::Process(_) => spec.encodings.len() == 1,
        };
        if known || full || !fits {
            self.totals.commands_refused += 1;
            return;
        }
        let generations = &mut self.generations;
        let mut publication = Publication::new(spec, || {
            *generations += 1;
            *generations
        });
        publication.layer_max = self.layers_max.get(&spec.room).copied().unwrap_or(u8::MAX);
        let at = self.publications.insert(publication);
        self.publication_slots.insert(spec.track, at);
        if spec.kind == MediaKind::Audio {
            self.rooms.entry(spec.room).or_default().tracks.push(at);
        }
        match spec.origin {
            PublicationOrigin::Transport(id) => {
                if let Some(&slot) = self.transport_slots.get(&id) {
                    self.attach_publication(at, slot, now_us);
                }
            }
            PublicationOrigin::Process(_) => self.connect_waiting(spec.track, now_us),
        }
    }

    /// Connects a publication with its transport and with the subscriptions that wait for it. A
    /// publication of another room than its transport is never connected.
    fn attach_publication(&mut self, at: usize, slot: usize, now_us: u64) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        let Some(transport) = self.transports.at_mut(slot) else { return };
        if publication.room != transport.room {
            self.totals.commands_refused += 1;
            return;
        }
        publication.transport = Some(slot);
        transport.attach_publication(at, publication);
        let track = publication.track;
        self.connect_waiting(track, now_us);
    }

    /// Connects a publication whose transport is complete with the subscriptions that wait for it.
    fn connect_waiting(&mut self, track: TrackId, now_us: u64) {
        let waits = |(waiting, it): (usize, &Subscription)| {
            (it.wanted == Some(track) && it.source.is_none()).then_some(waiting)
        };
        let waiting: Vec<usize> = self.subscriptions.iter().filter_map(waits).collect();
        for subscription in waiting {
            self.connect(subscription, now_us);
        }
    }

    pub(super) fn remove_publication(&mut self, track: TrackId, now_us: u64) {
        let Some(at) = self.publication_slots.remove(&track) else { return };
        let Some(publication) = self.publications.remove(at) else { return };
        for tap in &publication.taps {
            self.end_tap(track, tap, now_us);
        }
        for &subscription in &publication.subscribers {
            if let Some(subscription) = self.subscriptions.at_mut(subscription) {
                subscription.source = None;
                subscription.end_segment();
            }
        }
        let transport = publication.transport.and_then(|slot| self.transports.at_mut(slot));
        if let Some(transport) = transport {
            transport.forget_publication(at, &publication);
        }
        if let Some(room) = self.rooms.get_mut(&publication.room) {
            room.tracks.retain(|&it| it != at);
            if room.is_quiet() {
                self.rooms.remove(&publication.room);
            }
        }
    }

    pub(super) fn set_gate(&mut self, track: TrackId, gate: Gate, now_us: u64) {
        let Some(&at) = self.publication_slots.get(&track) else { return };
        let Some(publication) = self.publications.at_mut(at) else { return };
        if std::mem::replace(&mut publication.gate, gate) == gate {
            return;
        }
        for encoding in &mut publication.encodings {
            match gate {
                Gate::Closed => encoding.close(),
                Gate::Open => {
                    self.generations += 1;
                    encoding.open(self.generations);
                }
            }
        }
        self.tap_gate(at, gate, now_us);
        let Some(publication) = self.publications.at_mut(at) else { return };
        match gate {
            Gate::Closed => {
                publication.level.silence();
                for at in publication.subscribers.clone() {
                    if let Some(subscription) = self.subscriptions.at_mut(at) {
                        subscription.end_segment();
                    }
                }
            }
            Gate::Open => self.retarget_all(at, now_us),
        }
    }

    pub(super) fn add_subscription(&mut self, spec: &SubscriptionSpec, now_us: u64) {
        let known = self.subscription_slots.contains_key(&spec.subscription);
        let full = self.subscription_slots.len() >= SUBSCRIPTIONS_MAX;
        if known || full {
            self.totals.commands_refused += 1;
            return;
        }
        let at = self.subscriptions.insert(Subscription::new(spec));
        self.subscription_slots.insert(spec.subscription, at);
        if let Some(&slot) = self.transport_slots.get(&spec.transport) {
            self.attach_subscription(at, slot, now_us);
        }
    }

    /// Connects a subscription with its transport. An SSRC that the transport has sent from before
    /// is refused: its sequence numbers, and with them the nonces of its packets, would begin again
    /// under the same key.
    fn attach_subscription(&mut self, at: usize, slot: usize, now_us: u64) {
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        let Some(transport) = self.transports.at_mut(slot) else { return };
        if !transport.claim_sources(subscription.sources()) {
            self.totals.commands_refused += 1;
            return;
        }
        subscription.transport = Some(slot);
        transport.subscriptions.push(at);
        transport.begin_estimate(subscription.kind, self.limits, now_us);
        self.connect(at, now_us);
    }

    /// Connects a subscription with the publication that it should show, once both exist, in one
    /// room and of one kind.
    fn connect(&mut self, at: usize, now_us: u64) {
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        let transport = subscription.transport;
        let room = transport.and_then(|it| self.transports.at(it)).map(|it| it.room);
        let wanted = subscription.wanted.and_then(|track| self.publication_slots.get(&track));
        let (Some(room), Some(&source)) = (room, wanted) else { return };
        let Some(publication) = self.publications.at_mut(source) else { return };
        let complete = publication.is_complete();
        let fits = publication.room == room && publication.kind == subscription.kind;
        if !complete || !fits || subscription.source.is_some() {
            return;
        }
        subscription.source = Some(source);
        subscription.target = 0;
        subscription.claim_nothing();
        let path = transport.and_then(|it| self.transports.at(it)?.path.as_ref());
        let is_limited = path.is_some_and(|path| path.congestion.was_limited());
        subscription.layer_allowed = if is_limited { 0 } else { u8::MAX };
        publication.subscribers.push(at);
        self.retarget(at, now_us);
    }

    fn disconnect(&mut self, at: usize) {
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        subscription.end_segment();
        let source = subscription.source.take();
        if let Some(publication) = source.and_then(|source| self.publications.at_mut(source)) {
            publication.subscribers.retain(|&it| it != at);
        }
    }

    pub(super) fn set_demand(&mut self, id: SubscriptionId, demand: Demand, now_us: u64) {
        let Some(&at) = self.subscription_slots.get(&id) else { return };
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        subscription.demand = demand;
        if demand.paused {
            subscription.end_segment();
        }
        self.retarget(at, now_us);
    }

    pub(super) fn set_source(&mut self, id: SubscriptionId, source: Option<TrackId>, now_us: u64) {
        let Some(&at) = self.subscription_slots.get(&id) else { return };
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        if subscription.wanted == source {
            return;
        }
        subscription.wanted = source;
        self.disconnect(at);
        self.connect(at, now_us);
    }

    pub(super) fn remove_subscription(&mut self, id: SubscriptionId) {
        let Some(at) = self.subscription_slots.remove(&id) else { return };
        self.disconnect(at);
        let Some(subscription) = self.subscriptions.remove(at) else { return };
        let transport = subscription.transport.and_then(|slot| self.transports.at_mut(slot));
        if let Some(transport) = transport {
            transport.subscriptions.retain(|&it| it != at);
        }
    }

    /// Chooses the encoding that a subscription gets, and requests the key frame at which it can
    /// start, unless it can start with the last one.
    pub(super) fn retarget(&mut self, at: usize, now_us: u64) {
        let Some(subscription) = self.subscriptions.at_mut(at) else { return };
        let Some(source) = subscription.source else { return };
        let Some(publication) = self.publications.at_mut(source) else { return };
        let wanted = subscription.demand.layer_max.min(subscription.layer_allowed);
        subscription.target = publication.best_layer(wanted, subscription.target);
        let target = publication.encodings.get_mut(usize::from(subscription.target));
        if let Some(target) = target
            && subscription.awaits_key_frame(target.generation)
        {
            if subscription.is_new() && target.recent(now_us).is_some() {
                publication.has_newcomers = true;
            } else {
                target.key_frames.want();
            }
        }
        self.send_key_frame_requests(source, now_us);
    }

    /// Does [`Self::retarget`] for every subscriber of a publication.
    pub(super) fn retarget_all(&mut self, source: usize, now_us: u64) {
        let mut next = 0;
        while let Some(&at) =
            self.publications.at(source).and_then(|publication| publication.subscribers.get(next))
        {
            self.retarget(at, now_us);
            next += 1;
        }
        self.retarget_taps(source, now_us);
    }
}
