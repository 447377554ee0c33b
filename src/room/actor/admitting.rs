//! Connections that come and come back. Those that wait are admitted by one decision, which is stored
//! in one transaction; they share what they are shown and the events that they missed.

use std::sync::Arc;

use crate::domain::id::ConnectionId;
use crate::domain::participant::ParticipantKind;
use crate::domain::time::Timestamp;
use crate::room::actor::{RoomActor, RoomParts, answer};
use crate::room::engine::{Crowd, Goodbye};
use crate::room::error::RoomError;
use crate::room::member::{Admitted, Entering, MediaAfterLoss, Outbound, Reply, Resuming, Sink};
use crate::room::metrics;
use crate::sfu::TransportSide;

/// Most missed events that a resumed connection is told; with more it starts
/// from the state alone. Raising it makes resuming after long absence slower.
const MISSED_EVENTS_MAX: u32 = 2_000;

/// Somebody who asks to be admitted.
pub(super) enum Admission {
    Enter(Box<Entering>, Reply<Admitted>),
    Resume(Resuming, Reply<Admitted>),
}

/// A connection that the engine has let in, and that nobody was told of.
struct Accepted {
    connection: ConnectionId,
    sink: Option<Sink>,
    /// What it had before, if it was resumed.
    before: Option<Before>,
    reply: Reply<Admitted>,
}

#[derive(Clone, Copy)]
struct Before {
    last_seq: u64,
    media: MediaAfterLoss,
}

/// The events of which some were missed, with their numbers.
type Recent = Vec<(u64, Arc<str>)>;

impl RoomActor {
    /// Admits those who wait, whom others wait for first.
    pub(super) async fn admit(&mut self, mut waiting: Vec<Admission>) {
        waiting.sort_by_key(|one| !self.is_waited_for(one));
        let now = self.parts.clock.now();
        let seq = self.engine.seq();
        let accepted: Vec<Accepted> =
            waiting.into_iter().filter_map(|one| self.accept(one, seq, now)).collect();
        if accepted.is_empty() {
            return;
        }
        if let Err(error) = self.keep().await {
            self.engine.undo();
            let refused = self.storing_failed(&error);
            for one in accepted {
                answer(one.reply, Err(refused.clone()));
            }
            return;
        }
        let outputs = self.engine.take_outputs();
        self.carry_out(outputs).await;
        let recent = self.recent_events(&accepted).await;
        let crowd = self.engine.crowd();
        // The room stays as they are shown it until all are in.
        let mut gone = Vec::new();
        for one in accepted {
            let (connection, entered) = (one.connection, one.before.is_none());
            if !self.welcome(one, &crowd, &recent).await {
                gone.push((connection, entered));
            }
        }
        self.lose_unwelcomed(gone).await;
    }

    fn is_waited_for(&self, one: &Admission) -> bool {
        match one {
            Admission::Enter(entering, _) => {
                let principal = &entering.principal;
                self.engine.is_waited_for_as(&principal.user_id, principal.roles)
            }
            Admission::Resume(resuming, _) => self.engine.is_waited_for(resuming.connection),
        }
    }

    /// Lets the engine decide; answers whoever is refused. `seq` is that of the last event that
    /// anybody can have.
    fn accept(&mut self, one: Admission, seq: u64, now: Timestamp) -> Option<Accepted> {
        match one {
            Admission::Enter(entering, reply) => {
                let connection = ConnectionId::generate();
                let Entering { participant, principal, kind, sink, resume } = *entering;
                let decided = match participant {
                    ParticipantKind::Camera => {
                        self.engine.handle_camera(connection, &principal, now)
                    }
                    ParticipantKind::Person
                    | ParticipantKind::Recorder
                    | ParticipantKind::Transcriber => {
                        self.engine.handle_enter(connection, &principal, kind, resume, now)
                    }
                };
                match decided {
                    Ok(()) => Some(Accepted { connection, sink, before: None, reply }),
                    Err(refused) => {
                        answer(reply, Err(refused));
                        None
                    }
                }
            }
            Admission::Resume(resuming, reply) => {
                let Resuming { connection, secret, next, last_seq, media, at, sink } = resuming;
                let lost_for = self.engine.lost_for(connection, now);
                let decided = if last_seq > seq {
                    Err(RoomError::NothingToResume)
                } else {
                    self.engine.handle_resume(connection, secret, next, at, now)
                };
                if let Err(refused) = decided {
                    answer(reply, Err(refused));
                    return None;
                }
                if media == MediaAfterLoss::Dropped {
                    self.engine.handle_transport_lost(connection, TransportSide::Publish, now);
                }
                if let Some(lost_for) = lost_for {
                    metrics::reconnected(lost_for);
                }
                let before = Some(Before { last_seq, media });
                Some(Accepted { connection, sink: Some(sink), before, reply })
            }
        }
    }

    /// The events that those who were resumed may have missed.
    async fn recent_events(&mut self, accepted: &[Accepted]) -> Result<Recent, RoomError> {
        let seq = self.engine.seq();
        let befores = accepted.iter().filter_map(|one| one.before);
        let first =
            befores.map(|before| before.last_seq).filter(|last| is_recent(*last, seq)).min();
        let Some(first) = first.filter(|first| *first < seq) else { return Ok(Recent::new()) };
        let RoomParts { key, repository, .. } = &self.parts;
        let kept = repository.events_after(*key, first, MISSED_EVENTS_MAX).await;
        match kept {
            Ok(kept) => {
                Ok(kept.into_iter().map(|event| (event.seq, event.payload.into())).collect())
            }
            Err(error) => Err(self.storing_failed(&error)),
        }
    }

    /// Gives an accepted connection its socket and shows it the room. Returns whether somebody took
    /// it.
    async fn welcome(
        &mut self,
        one: Accepted,
        crowd: &Crowd,
        recent: &Result<Recent, RoomError>,
    ) -> bool {
        let Accepted { connection, sink, before, reply } = one;
        let result = self.attach(connection, sink, before, crowd, recent).await;
        let was_admitted = result.is_ok();
        let is_taken = reply.send(result).is_ok();
        was_admitted && is_taken
    }

    async fn attach(
        &mut self,
        connection: ConnectionId,
        sink: Option<Sink>,
        before: Option<Before>,
        crowd: &Crowd,
        recent: &Result<Recent, RoomError>,
    ) -> Result<Admitted, RoomError> {
        let mut media_gone = false;
        if let Some(before) = before {
            if let Some((_, Some(old))) = self.sinks.get(&connection) {
                // An old socket too slow to hear it will find its channel closed.
                let _full = old.try_send(Outbound::Replaced);
            }
            if before.media == MediaAfterLoss::Dropped {
                self.unanswered.remove(&connection);
                self.left_out.remove(&connection);
                self.unseen.remove(&connection);
                self.leave_media(connection).await;
            }
            media_gone = self.parts.media.is_some()
                && before.media == MediaAfterLoss::Kept
                && !self.joined.contains(&connection);
        }
        self.sockets += 1;
        let socket = self.sockets;
        self.sinks.insert(connection, (socket, sink));
        if let Some(offer) = self.unanswered.get(&connection).filter(|_| before.is_some()).cloned()
        {
            self.offer(connection, offer);
        }
        if let Some(tracks) = self.left_out.get(&connection).cloned() {
            self.offer(connection, Outbound::LeftOut(tracks));
        }
        for (track, rids) in self.unseen.get(&connection).cloned().unwrap_or_default() {
            self.offer(connection, Outbound::Unseen(track, rids));
        }
        self.show_quality(connection);
        self.show_eligible_list(connection);
        let missed = match before {
            Some(before) => missed(before.last_seq, self.engine.seq(), recent.as_ref())?,
            None => None,
        };
        self.join_media(connection).await?;
        let gone = RoomError::ParticipantNotFound;
        let (user, expires_at) = self.engine.holder(connection).ok_or(gone.clone())?;
        let now = self.parts.clock.now();
        let left = self.engine.token_left(connection, now);
        let view = self.engine.view(connection, crowd, now).ok_or(gone)?;
        let can_be = self.parts.ports.transcription.languages(self.parts.key.tenant);
        let transcription = view.transcription(can_be.as_deref());
        let evidence = self.head.clone();
        Ok(Admitted {
            connection,
            socket,
            user,
            expires_at,
            left,
            view,
            evidence,
            transcription,
            missed,
            media_gone,
        })
    }

    /// Connections that nobody took: a new one has left, and a resumed one is lost again.
    async fn lose_unwelcomed(&mut self, gone: Vec<(ConnectionId, bool)>) {
        if gone.is_empty() {
            return;
        }
        for (connection, _) in &gone {
            self.sinks.remove(connection);
        }
        self.decide_surely(|engine, now| {
            for (connection, entered) in gone {
                if entered {
                    engine.handle_leave(connection, Goodbye::Left, now);
                } else {
                    engine.handle_lost(connection, now);
                }
            }
        })
        .await;
    }
}

fn is_recent(last_seq: u64, seq: u64) -> bool {
    seq - last_seq <= u64::from(MISSED_EVENTS_MAX)
}

/// The events after `last_seq`, or `None` when there are too many.
fn missed(
    last_seq: u64,
    seq: u64,
    recent: Result<&Recent, &RoomError>,
) -> Result<Option<Vec<Arc<str>>>, RoomError> {
    if !is_recent(last_seq, seq) {
        return Ok(None);
    }
    let recent = recent.map_err(RoomError::clone)?;
    let first = recent.partition_point(|(seq, _)| *seq <= last_seq);
    Ok(Some(recent[first..].iter().map(|(_, text)| text.clone()).collect()))
}
