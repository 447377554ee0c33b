//! A client that was admitted: passes its commands to the room, and watches the expiry of its
//! token.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::auth::AuthError;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{TenantId, UserId};
use crate::domain::time::Timestamp;
use crate::moderation::connection::{Close, verify};
use crate::moderation::door::Channel;
use crate::moderation::parse::Command;
use crate::moderation::resume_token::ResumeSecret;
use crate::moderation::wire::{
    PersonQualityView, Reference, RefusedSectionView, SectionTrack, ServerMessage, TransportName,
};
use crate::room::action::{Action, Made};
use crate::room::error::RoomError;
use crate::room::event::{EligibleListView, TranscriptChunkView};
use crate::room::{Acted, MemberHandle, Outbound, Request};
use crate::sfu::TransportSide;

/// Most requests of one connection whose result is not known yet. Raising it lets one client queue
/// more requests in a room that stores slowly.
const PENDING_MAX: usize = 16;

/// The answer to a request: an `ack` for one that has an `id`, or an `error`.
fn answer(outcome: Result<Made, RoomError>, reference: Option<Reference>) -> Option<ServerMessage> {
    match outcome {
        Ok(made) => {
            let request_id = made.request.map(|request| request.to_string());
            let action_id = made.action.map(|action| action.to_string());
            let last_seq = Some(made.last_seq);
            reference.map(|r#ref| ServerMessage::Ack { r#ref, request_id, action_id, last_seq })
        }
        Err(error) => Some(Refusal::from(&error).message(reference)),
    }
}

/// Why a command was not carried out.
pub(super) struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn message(self, reference: Option<Reference>) -> ServerMessage {
        let code = self.code.as_str().to_owned();
        ServerMessage::Error { r#ref: reference, code, message: self.message }
    }
}

impl From<&RoomError> for Refusal {
    fn from(error: &RoomError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

impl From<&AuthError> for Refusal {
    fn from(error: &AuthError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// When its client is told that the token expires soon, and when it expires.
#[derive(Debug, Clone, Copy)]
struct Expiry {
    at: Timestamp,
    notice_at: Instant,
    end_at: Instant,
    told: bool,
}

/// A client that was admitted.
pub(super) struct Member {
    channel: Arc<Channel>,
    pub(super) handle: MemberHandle,
    user: UserId,
    tenant: TenantId,
    /// The nonce for the proof of the next renewal.
    nonce: String,
    expiry: Expiry,
    /// Requests whose result is not known yet.
    pending: JoinSet<Option<ServerMessage>>,
}

impl Member {
    pub(super) fn new(
        channel: Arc<Channel>,
        handle: MemberHandle,
        user: UserId,
        tenant: TenantId,
        nonce: String,
    ) -> Self {
        let now = Instant::now();
        let at = Timestamp::from_unix_us(0);
        let expiry = Expiry { at, notice_at: now, end_at: now, told: true };
        Self { channel, handle, user, tenant, nonce, expiry, pending: JoinSet::new() }
    }

    /// Sets the time at which the token expires, and what it has left: that counts, since the clock
    /// may have been set after the token was judged by it.
    pub(super) fn set_expiry(&mut self, at: Timestamp, left: Duration) {
        let now = Instant::now();
        let notice = left.saturating_sub(self.channel.options.limits.expiry_notice);
        self.expiry = Expiry { at, notice_at: now + notice, end_at: now + left, told: false };
    }

    /// When [`Self::poll_notice`] must be called next.
    pub(super) const fn next_notice(&self) -> Instant {
        if self.expiry.told { self.expiry.end_at } else { self.expiry.notice_at }
    }

    /// The message about its token that the client must be sent now.
    pub(super) fn poll_notice(&mut self) -> Option<Result<ServerMessage, Close>> {
        let now = Instant::now();
        if now >= self.expiry.end_at {
            return Some(Err(Close::Unauthenticated));
        }
        if self.expiry.told || now < self.expiry.notice_at {
            return None;
        }
        self.expiry.told = true;
        self.nonce = self.channel.options.authenticator.socket_nonce();
        let expires_at = self.expiry.at.to_string();
        Some(Ok(ServerMessage::TokenExpiring { expires_at, nonce: self.nonce.clone() }))
    }

    /// Carries out a command; returns the answer.
    pub(super) async fn handle_command(
        &mut self,
        command: Command,
        seen: Option<u64>,
        reference: Option<Reference>,
    ) -> Result<Vec<ServerMessage>, Close> {
        let mut answers = Vec::new();
        let carried_out = match command {
            Command::Renew { token, proof } => match self.renew(&token, &proof).await {
                Ok(renewed) => {
                    answers.push(renewed);
                    Ok(())
                }
                Err(refusal) => Err(refusal),
            },
            Command::Authenticate { .. } | Command::Resume { .. } => Err(Refusal::new(
                ErrorCode::SignallingStateConflict,
                "the connection is authenticated already",
            )),
            Command::Ping => {
                let server_time = self.channel.options.clock.now().to_string();
                answers.push(ServerMessage::Pong { server_time });
                Ok(())
            }
            Command::Act(action) => return Ok(self.act(action, seen, reference).await),
            media => self
                .handle_media_command(media, reference.as_ref(), &mut answers)
                .await
                .map_err(|error| Refusal::from(&error)),
        };
        match (carried_out, reference) {
            (Ok(()), Some(r#ref)) => {
                answers.push(ServerMessage::ack(r#ref));
            }
            (Ok(()), None) => {}
            (Err(refusal), reference) => answers.push(refusal.message(reference)),
        }
        Ok(answers)
    }

    /// Passes an action to the room; returns the answer if it is known now.
    async fn act(
        &mut self,
        action: Action,
        seen: Option<u64>,
        reference: Option<Reference>,
    ) -> Vec<ServerMessage> {
        if self.pending.len() >= PENDING_MAX {
            let refusal = Refusal::new(ErrorCode::RateLimited, "too many requests are pending");
            return vec![refusal.message(reference)];
        }
        let id = reference.as_ref().map(Reference::name);
        match self.handle.begin(Request { action, seen, id }).await {
            Acted::Done(outcome) => answer(outcome, reference).into_iter().collect(),
            Acted::Pending(pending) => {
                let answers = reference.clone().map(|r#ref| ServerMessage::Pending { r#ref });
                self.pending.spawn(async move { answer(pending.outcome().await, reference) });
                answers.into_iter().collect()
            }
        }
    }

    /// The answer to a pending request, once its result is known; `None` when nothing is pending.
    pub(super) async fn next_outcome(&mut self) -> Option<ServerMessage> {
        loop {
            // A request without an `id` gets no answer when it succeeds.
            if let Ok(Some(answer)) = self.pending.join_next().await? {
                return Some(answer);
            }
        }
    }

    async fn handle_media_command(
        &self,
        command: Command,
        reference: Option<&Reference>,
        answers: &mut Vec<ServerMessage>,
    ) -> Result<(), RoomError> {
        match command {
            Command::Offer { sdp, sources } => {
                let published = self.handle.publish(sdp, sources).await?;
                let tracks = published
                    .tracks
                    .into_iter()
                    .map(|track| SectionTrack { mid: track.mid, track: track.track.to_string() });
                answers.push(ServerMessage::Answer {
                    r#ref: reference.cloned(),
                    transport: TransportName::Publish,
                    sdp: published.sdp,
                    tracks: tracks.collect(),
                    refused: published.refused.iter().map(RefusedSectionView::from).collect(),
                });
                Ok(())
            }
            Command::Answer { sdp } => self.handle.answer(sdp).await,
            Command::RestartIce(TransportName::Subscribe) => self.handle.restart_subscriber().await,
            Command::Subscribe { track, demand } => self.handle.subscribe(track, demand).await,
            Command::Unsubscribe { track } => self.handle.unsubscribe(track).await,
            // The server is ICE-lite: it learns addresses from connectivity checks, and new
            // credentials of the publish transport come with the client's offer.
            _ => Ok(()),
        }
    }

    async fn renew(&mut self, token: &str, proof: &str) -> Result<ServerMessage, Refusal> {
        let verified = verify(&self.channel, token, proof, &self.nonce).await;
        let principal = verified.map_err(|error| Refusal::from(&error))?;
        let bound_elsewhere =
            principal.session_id.is_some_and(|bound| bound != self.handle.session);
        if principal.tenant_id != self.tenant || principal.user_id != self.user || bound_elsewhere {
            return Err(Refusal::new(ErrorCode::Forbidden, "the token belongs to another person"));
        }
        let expires_at = principal.expires_at;
        let left = expires_at.since(principal.judged_at);
        let secret = ResumeSecret::draw();
        let renewed = self.handle.renew(principal, secret.hash()).await;
        renewed.map_err(|error| Refusal::from(&error))?;
        self.set_expiry(expires_at, left);
        let resume_token = secret.token(self.tenant, self.handle.connection);
        let ice_servers = self.channel.ice_servers(&self.handle, self.tenant, &self.user);
        let expires_at = expires_at.to_string();
        Ok(ServerMessage::TokenRenewed { expires_at, resume_token, ice_servers })
    }

    /// The message for what has no `seq`: messages of the media plane, signed heads, text so far and how
    /// good connections are; `None` for anything else.
    pub(super) fn unnumbered_message(outbound: Outbound) -> Option<ServerMessage> {
        let side = |side| match side {
            TransportSide::Publish => TransportName::Publish,
            TransportSide::Subscribe => TransportName::Subscribe,
        };
        Some(match outbound {
            Outbound::SubscriberOffer { sdp, tracks } => ServerMessage::Offer {
                transport: TransportName::Subscribe,
                sdp,
                tracks: tracks
                    .into_iter()
                    .map(|(mid, track)| SectionTrack { mid, track: track.to_string() })
                    .collect(),
            },
            Outbound::TrackRefused(track, codec) => ServerMessage::TrackRefused {
                track: track.to_string(),
                codec: codec.as_str().to_owned(),
            },
            Outbound::LeftOut(tracks) => ServerMessage::VideoPaused {
                tracks: tracks.iter().map(ToString::to_string).collect(),
            },
            Outbound::Unseen(track, rids) => {
                ServerMessage::LayersUnseen { track: track.to_string(), rids }
            }
            Outbound::TransportConnected(which) => ServerMessage::TransportState {
                transport: side(which),
                state: "connected".to_owned(),
            },
            Outbound::TransportLost(which) => {
                ServerMessage::TransportState { transport: side(which), state: "lost".to_owned() }
            }
            Outbound::EvidenceHead(head) => ServerMessage::EvidenceHead {
                at: head.at.to_string(),
                tree_size: head.tree_size,
                root: head.root.clone(),
                cose: head.cose.clone(),
            },
            Outbound::SpokenSoFar(chunk) => {
                ServerMessage::TranscriptChunk(TranscriptChunkView::clone(&chunk))
            }
            Outbound::Quality(people) => ServerMessage::ConnectionQuality {
                people: people.iter().map(PersonQualityView::from).collect(),
            },
            Outbound::EligibleList(view) => {
                ServerMessage::EligibleList(EligibleListView::clone(&view))
            }
            Outbound::Told(_) | Outbound::Goodbye(_) | Outbound::Replaced | Outbound::Closing => {
                return None;
            }
        })
    }
}
