//! What goes between the members of a room and its media plane.

use crate::domain::id::{ConnectionId, TrackId};
use crate::domain::media::TrackSource;
use crate::room::actor::{RoomActor, answer, answer_media, media_error};
use crate::room::engine::NewTrack;
use crate::room::error::RoomError;
use crate::room::member::{Outbound, Signal};
use crate::sfu::{Feed, FeedSpec, PublishAnswer, RoomMediaEvent, Sfu, TransportSide};

impl RoomActor {
    pub(super) async fn handle_signal(&mut self, connection: ConnectionId, signal: Signal) {
        let session = self.parts.key.session;
        let Some(media) = self.parts.media.clone() else {
            refuse(signal);
            return;
        };
        match signal {
            Signal::Publish { offer, sources, reply } => {
                let result = self.publish(&media, connection, offer, sources).await;
                answer(reply, result);
            }
            Signal::Feed { spec, reply } => {
                let result = self.feed(&media, connection, spec).await;
                answer(reply, result);
            }
            Signal::EndFeed { track, reply } => {
                let ended = media.end_feed(session, connection, track).await;
                self.decide_surely(|engine, now| engine.handle_feed_end(connection, track, now))
                    .await;
                answer_media(reply, ended);
            }
            Signal::Answer { sdp, reply } => {
                let answered = media.answer(session, connection, sdp).await;
                if answered.is_ok() {
                    self.unanswered.remove(&connection);
                }
                answer_media(reply, answered);
            }
            Signal::Subscribe { track, demand, reply } => {
                answer_media(reply, media.subscribe(session, connection, track, demand).await);
            }
            Signal::Unsubscribe { track, reply } => {
                answer_media(reply, media.unsubscribe(session, connection, track).await);
            }
            Signal::RestartSubscriber { reply } => {
                answer_media(reply, media.restart_subscriber_ice(session, connection).await);
            }
            Signal::Whep { offer, reply } => {
                answer_media(reply, media.whep(session, connection, offer).await);
            }
            Signal::RestartIce { side, ufrag, password, reply } => {
                let restarted = media.restart_ice(session, connection, side, ufrag, password);
                answer_media(reply, restarted.await);
            }
        }
    }

    async fn publish(
        &mut self,
        media: &Sfu,
        connection: ConnectionId,
        offer: String,
        sources: Vec<(String, TrackSource)>,
    ) -> Result<PublishAnswer, RoomError> {
        self.engine.check_offer(connection, self.parts.clock.now())?;
        let published = media
            .publish(self.parts.key.session, connection, offer, sources)
            .await
            .map_err(|error| media_error(&error))?;
        let tracks = published
            .tracks
            .iter()
            .map(|track| NewTrack {
                track: track.track,
                source: track.source,
                codec: track.codec,
                layers: track.layers,
            })
            .collect();
        let removed = published.removed.clone();
        if let Some(unseen) = self.unseen.get_mut(&connection) {
            unseen.retain(|track, _| !removed.contains(track));
        }
        self.decide_surely(|engine, now| engine.handle_tracks(connection, tracks, &removed, now))
            .await;
        Ok(published)
    }

    /// Publishes a track whose packets come from this process.
    async fn feed(
        &mut self,
        media: &Sfu,
        connection: ConnectionId,
        spec: FeedSpec,
    ) -> Result<Feed, RoomError> {
        self.engine.check_offer(connection, self.parts.clock.now())?;
        let feed = media.feed(self.parts.key.session, connection, spec).await;
        let feed = feed.map_err(|error| media_error(&error))?;
        let codec = spec.config.codec();
        let track = NewTrack { track: feed.track(), source: spec.source, codec, layers: 1 };
        self.decide_surely(|engine, now| engine.handle_feed(connection, track, now)).await;
        Ok(feed)
    }

    pub(super) async fn handle_media(&mut self, event: RoomMediaEvent) {
        match event {
            RoomMediaEvent::SubscriberOffer { peer, sdp, tracks } => {
                let offer = Outbound::SubscriberOffer { sdp, tracks };
                self.unanswered.insert(peer, offer.clone());
                self.offer(peer, offer);
            }
            RoomMediaEvent::TrackRefused { peer, track, codec } => {
                self.offer(peer, Outbound::TrackRefused(track, codec));
            }
            RoomMediaEvent::LeftOut { peer, tracks } => {
                if tracks.is_empty() {
                    self.left_out.remove(&peer);
                } else {
                    self.left_out.insert(peer, tracks.clone());
                }
                self.offer(peer, Outbound::LeftOut(tracks));
            }
            RoomMediaEvent::Unseen { peer, track, rids } => {
                self.unseen.entry(peer).or_default().insert(track, rids.clone());
                self.offer(peer, Outbound::Unseen(track, rids));
            }
            RoomMediaEvent::TransportConnected { peer, side } => {
                self.engine.handle_transport_connected(peer);
                self.engine.accept();
                self.offer(peer, Outbound::TransportConnected(side));
            }
            RoomMediaEvent::TransportLost { peer, side, reason } => {
                tracing::info!(connection = %peer, ?side, ?reason, "a transport is gone");
                match side {
                    TransportSide::Subscribe => {
                        self.unanswered.remove(&peer);
                        self.left_out.remove(&peer);
                    }
                    TransportSide::Publish => {
                        self.unseen.remove(&peer);
                    }
                }
                self.offer(peer, Outbound::TransportLost(side));
                self.connection_lost(peer, side.into(), reason.into());
                self.handle_path_lost(peer, side, reason);
                self.decide_surely(|engine, now| engine.handle_transport_lost(peer, side, now))
                    .await;
            }
            RoomMediaEvent::Conditions { paths } => self.handle_paths(&paths),
            RoomMediaEvent::TrackStarted { track, codec } => {
                self.decide_surely(|engine, now| engine.handle_codec(track, codec, now)).await;
            }
            RoomMediaEvent::ActiveSpeakers { speakers } => {
                let speakers: Vec<(TrackId, u8)> =
                    speakers.into_iter().map(|(_, track, level)| (track, level)).collect();
                let heard: Vec<TrackId> = speakers.iter().map(|(track, _)| *track).collect();
                self.tell_heard(&heard).await;
                self.decide_surely(|engine, now| engine.handle_speakers(speakers, now)).await;
            }
        }
    }
}

/// Refuses media where another provider carries it.
fn refuse(signal: Signal) {
    let error = RoomError::ProviderUnsupported;
    match signal {
        Signal::Publish { reply, .. } => answer(reply, Err(error)),
        Signal::Feed { reply, .. } => answer(reply, Err(error)),
        Signal::Subscribe { reply, .. }
        | Signal::Unsubscribe { reply, .. }
        | Signal::EndFeed { reply, .. }
        | Signal::Answer { reply, .. }
        | Signal::RestartSubscriber { reply } => answer(reply, Err(error)),
        Signal::Whep { reply, .. } => answer(reply, Err(error)),
        Signal::RestartIce { reply, .. } => answer(reply, Err(error)),
    }
}
