//! What a room tells its listeners and the log, and what it tells its members
//! of heads that were signed.

use std::sync::Arc;

use crate::attendance::Attendance;
use crate::domain::id::{ConnectionId, TrackId};
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::room::actor::RoomActor;
use crate::room::engine::{Featured, TrackChange};
use crate::room::error::RoomError;
use crate::room::event::{Event, Told};
use crate::room::member::{Outbound, Sink};
use crate::room::metrics;
use crate::room::ports::{
    AttendanceNote, ConnectionPart, EvidenceHead, LossReason, LostConnection,
};

impl RoomActor {
    pub(super) async fn tell_session(&self, session: &Session) {
        for listener in &self.parts.ports.listeners {
            listener.session_told(session).await;
        }
    }

    pub(super) async fn tell_floor(&self, track: Option<TrackId>) {
        for listener in &self.parts.ports.listeners {
            listener.floor_given(self.parts.key, track).await;
        }
    }

    pub(super) async fn tell_featured(&self, featured: Featured) {
        for listener in &self.parts.ports.listeners {
            listener.featured(self.parts.key, featured).await;
        }
    }

    /// Tells what of these events is text of what was said.
    pub(super) async fn tell_texts(&self, told: &[(Told, Timestamp)]) {
        let is_text = |event: &Event| {
            matches!(event, Event::TranscriptChunk(_) | Event::TranscriptCorrected { .. })
        };
        for (told, _) in told.iter().filter(|(told, _)| is_text(&told.event)) {
            for listener in &self.parts.ports.listeners {
                listener.text_told(self.parts.key, told.seq, &told.event).await;
            }
        }
    }

    pub(super) async fn tell_heard(&self, tracks: &[TrackId]) {
        for listener in &self.parts.ports.listeners {
            listener.heard(self.parts.key, tracks).await;
        }
    }

    pub(super) async fn set_recording(&self, state: RecordingState) {
        for listener in &self.parts.ports.listeners {
            listener.recording_changed(self.parts.key, state).await;
        }
    }

    pub(super) async fn gates_decided(&self, decision: u64) {
        for listener in &self.parts.ports.listeners {
            listener.gates_decided(self.parts.key, decision).await;
        }
    }

    pub(super) async fn change_tracks(&self, changes: Vec<TrackChange>) {
        for change in changes {
            for listener in &self.parts.ports.listeners {
                match &change {
                    TrackChange::Published(track) => {
                        listener.track_published(self.parts.key, track.clone()).await;
                    }
                    TrackChange::Language(track, language) => {
                        let key = self.parts.key;
                        listener.language_changed(key, *track, language.clone()).await;
                    }
                    TrackChange::Unpublished(track) => {
                        listener.track_unpublished(self.parts.key, *track).await;
                    }
                }
            }
        }
    }

    pub(super) fn events_kept(&self) {
        if let Some(log) = &self.parts.ports.log {
            log.events_kept(self.parts.key);
        }
    }

    pub(super) async fn note_attendance(&self, notes: Vec<AttendanceNote>) {
        for note in notes {
            if let AttendanceNote::Validated { method, .. } = &note {
                metrics::attendance_validated(*method);
            }
            if let Some(log) = &self.parts.ports.log {
                log.attendance(self.parts.key, note).await;
            }
        }
    }

    /// The attendance as it is stored. It is copied when it has changed since it
    /// was asked for last.
    pub(super) fn attendance(&mut self) -> Arc<Attendance> {
        let version = self.engine.attendance_version();
        match &self.attendance {
            Some((copied, attendance)) if *copied == version => attendance.clone(),
            _ => {
                let attendance = Arc::new(self.engine.attendance().clone());
                self.attendance = Some((version, attendance.clone()));
                attendance
            }
        }
    }

    /// Ends the room of a session that is over and whose room nobody has opened.
    ///
    /// # Errors
    /// When that could not be stored.
    pub(in crate::room) async fn end_unopened(
        mut self,
        reason: &'static str,
    ) -> Result<(), RoomError> {
        self.decide(|engine, now| {
            engine.handle_session_over(reason, now);
            Ok(())
        })
        .await
    }

    pub(super) fn connection_lost(
        &self,
        connection: ConnectionId,
        part: ConnectionPart,
        reason: LossReason,
    ) {
        let Some(log) = &self.parts.ports.log else { return };
        let Some((user, _)) = self.engine.holder(connection) else { return };
        let lost = LostConnection { user, part, reason };
        log.connection_lost(self.parts.key, lost);
    }

    /// Tells everybody of a signed head, unless a larger one was told.
    pub(super) fn handle_evidence_head(&mut self, head: Arc<EvidenceHead>) {
        if self.head.as_ref().is_some_and(|newest| newest.tree_size >= head.tree_size) {
            return;
        }
        self.offer_ready(&Outbound::EvidenceHead(head.clone()));
        self.head = Some(head);
    }

    /// Puts something that the next of its kind replaces into every queue. Nobody is let go for
    /// reading it slowly: whoever has more than half of their queue unread is not given it.
    pub(super) fn offer_ready(&mut self, outbound: &Outbound) {
        let is_keeping_up = |sink: &Sink| sink.capacity() * 2 >= sink.max_capacity();
        let ready: Vec<ConnectionId> = self
            .sinks
            .iter()
            .filter(|(_, (_, slot))| slot.as_ref().is_some_and(is_keeping_up))
            .map(|(connection, _)| *connection)
            .collect();
        for connection in ready {
            self.offer(connection, outbound.clone());
        }
    }
}
