//! The driver of one room: it feeds the engine, keeps what was decided, carries
//! it out in the media plane and then tells everybody, in this order.

mod notices;
mod requests;
mod signal;
mod storing;
mod telling;
mod transcript;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::attendance::Attendance;
use crate::clock::Clock;
use crate::domain::arrival::Arrival;
use crate::domain::id::{ConnectionId, SessionKey};
use crate::domain::participant::ParticipantKind;
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::room::action::{Action, FreshIds, Made, TranscriptAction};
use crate::room::actor::requests::Requests;
use crate::room::engine::{GateChange, Goodbye, Outputs, RoomEngine, TrackChange};
use crate::room::error::RoomError;
use crate::room::journal::RoomJournal;
use crate::room::member::{
    Admitted, Entering, Input, MediaAfterLoss, Outbound, Reply, Request, Resuming, Sink,
};
use crate::room::metrics;
use crate::room::ports::{ConnectionPart, EvidenceHead, RoomPorts};
use crate::sfu::plane::Gate;
use crate::sfu::{RoomMediaEvent, Sfu, SfuError, TransportSide};

/// Most missed events that a resumed connection is told; with more it starts
/// from the state alone. Raising it makes resuming after long absence slower.
const MISSED_EVENTS_MAX: u32 = 2_000;
/// How long a room without anybody stays loaded.
const IDLE: Duration = Duration::from_mins(5);
/// How long until a room tries again to keep what its clock decided.
const JOURNAL_RETRY: Duration = Duration::from_secs(1);

/// What a room works with.
#[derive(Clone)]
pub(super) struct RoomParts {
    pub(super) key: SessionKey,
    pub(super) journal: Arc<dyn RoomJournal>,
    /// `None` when another provider carries the session's media.
    pub(super) media: Option<Sfu>,
    pub(super) clock: Clock,
    pub(super) ports: RoomPorts,
}

pub(super) struct RoomActor {
    parts: RoomParts,
    engine: RoomEngine,
    sinks: BTreeMap<ConnectionId, (u64, Option<Sink>)>,
    /// Connections that the media plane knows.
    joined: BTreeSet<ConnectionId>,
    /// Offers that have not been answered: a socket that is lost may have taken
    /// one with it, so whoever comes back is given it again.
    unanswered: BTreeMap<ConnectionId, Outbound>,
    /// What was done lately, by the names that clients gave it.
    requests: Requests,
    sockets: u64,
    /// The newest head of the session's log.
    head: Option<Arc<EvidenceHead>>,
    retry_at: Option<Timestamp>,
    /// The attendance as it was last asked for, and its version.
    attendance: Option<(u64, Arc<Attendance>)>,
    /// By how much the machine's clock was ahead of the room's when the members were last told.
    clock_ahead_ms: i64,
    over: bool,
    /// The event from outside that leads to what is being decided.
    arrival: Option<Arrival>,
}

/// What woke the room.
enum Wake {
    Input(Option<Input>),
    Media(Option<RoomMediaEvent>),
    Timeout,
    Idle,
}

impl RoomActor {
    pub(super) fn new(parts: RoomParts, engine: RoomEngine) -> Self {
        Self {
            parts,
            engine,
            sinks: BTreeMap::new(),
            joined: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            requests: Requests::default(),
            sockets: 0,
            head: None,
            retry_at: None,
            attendance: None,
            clock_ahead_ms: 0,
            over: false,
            arrival: None,
        }
    }

    /// Runs until the session is over, nobody has been here for a while, or the
    /// server stops.
    pub(super) async fn run(
        mut self,
        session: Box<Session>,
        mut inputs: mpsc::Receiver<Input>,
        mut media: mpsc::Receiver<RoomMediaEvent>,
    ) {
        if let Some(log) = &self.parts.ports.log {
            log.room_opened(&session).await;
        }
        self.tell_session(&session).await;
        drop(session);
        self.keep_clock_decisions().await;
        while !self.over {
            match self.wait(&mut inputs, &mut media).await {
                Wake::Input(Some(Input::Stop(stopped))) => {
                    self.close().await;
                    // Whoever asked may have stopped waiting.
                    let _gone = stopped.send(());
                    return;
                }
                Wake::Input(Some(input)) => self.handle_input(input).await,
                Wake::Media(Some(event)) => self.handle_media(event).await,
                Wake::Timeout => self.keep_clock_decisions().await,
                Wake::Input(None) | Wake::Media(None) | Wake::Idle => break,
            }
        }
        // Whoever still waits in the queue is told to come again.
        inputs.close();
        self.close().await;
    }

    async fn wait(
        &self,
        inputs: &mut mpsc::Receiver<Input>,
        media: &mut mpsc::Receiver<RoomMediaEvent>,
    ) -> Wake {
        let now = self.parts.clock.now();
        let deadline = match self.retry_at {
            Some(at) => Some(at),
            None => self.engine.poll_timeout(),
        };
        let until = deadline.map_or(IDLE, |at| at.since(now));
        tokio::select! {
            biased;
            input = inputs.recv() => Wake::Input(input),
            event = media.recv() => Wake::Media(event),
            () = tokio::time::sleep(until) => match deadline {
                None if self.engine.is_empty() => Wake::Idle,
                Some(_) | None => Wake::Timeout,
            },
        }
    }

    async fn handle_input(&mut self, input: Input) {
        let Some(input) = self.refuse_at_end(input) else { return };
        match input {
            Input::Enter(entering, reply) => {
                let result = self.enter(entering).await;
                self.answer_admitted(result, reply).await;
            }
            Input::Resume(resuming, reply) => {
                let result = self.resume(resuming).await;
                self.answer_admitted(result, reply).await;
            }
            Input::Act { connection, request, reply } => {
                let result = self.act(connection, request).await;
                answer(reply, result);
            }
            Input::Signal { connection, signal } => self.handle_signal(connection, signal).await,
            Input::Renew { connection, principal, next, reply } => {
                let result = self
                    .decide(|engine, now| engine.handle_renewal(connection, &principal, next, now))
                    .await;
                answer(reply, result);
            }
            Input::Presence { connection, reply } => {
                answer(reply, Ok(self.engine.holder(connection).is_some()));
            }
            Input::Attend { action, reply } => {
                let result = self.decide(|engine, now| engine.handle_attendance(action, now)).await;
                answer(reply, result);
            }
            Input::Vote { vote, arrival, reply } => {
                answer(reply, self.handle_vote(vote, arrival).await);
            }
            Input::Transcribed { said, reply } => {
                answer(reply, self.handle_transcribed(said).await);
            }
            Input::Correct { by, of, text, reply } => {
                answer(reply, self.handle_correction(by, of, text).await);
            }
            Input::Attendee { user, reply } => answer(reply, Ok(self.engine.attendee(&user))),
            Input::CheckProof { user, proof, reply } => {
                answer(reply, self.engine.check_proof(&user, &proof));
            }
            Input::Attendance { reply } => answer(reply, Ok(self.attendance())),
            Input::Fault { connection, fault } => {
                self.decide_surely(|engine, now| engine.handle_fault(connection, fault, now)).await;
            }
            Input::Lost { connection, socket, reason } => {
                if self.forget_sink(connection, socket) {
                    self.connection_lost(connection, ConnectionPart::Channel, reason);
                    self.decide_surely(|engine, now| engine.handle_lost(connection, now)).await;
                }
            }
            Input::Leave { connection, socket } => self.handle_left(connection, socket).await,
            Input::SessionChanged(session) => {
                self.tell_session(&session).await;
                self.decide_surely(|engine, now| engine.handle_session(&session, now)).await;
            }
            Input::ClockAhead { ms } => self.handle_clock_ahead(ms).await,
            Input::EvidenceHead(head) => self.handle_evidence_head(head),
            Input::SessionEnding { told } => {
                self.decide_surely(RoomEngine::handle_session_ending).await;
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
            Input::SessionOver { reason, told } => {
                self.handle_session_over(reason).await;
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
            Input::Stop(_) => {}
        }
    }

    async fn handle_left(&mut self, connection: ConnectionId, socket: u64) {
        if self.forget_sink(connection, socket) {
            let said = Goodbye::Left;
            self.decide_surely(|engine, now| engine.handle_leave(connection, said, now)).await;
        }
    }

    /// Carries a request out, unless it is one that was carried out before.
    async fn act(&mut self, connection: ConnectionId, request: Request) -> Result<Made, RoomError> {
        let Request { action, seen, id } = request;
        if let Some(done) = self.requests.find(connection, id.as_deref(), &action) {
            return Ok(done.made);
        }
        if let Action::Transcript(TranscriptAction::Correct { of, .. }) = &action {
            self.engine.check_permission(connection, &action)?;
            self.check_chunk(*of).await?;
        }
        let fresh = FreshIds::generate();
        let asked = id.map(|id| (id, action.clone()));
        let counted = action.is_moderation().then(|| action.name());
        let result = self
            .decide(|engine, now| engine.handle_action(connection, action, seen, fresh, now))
            .await;
        if let (Ok(made), Some((id, action))) = (&result, asked) {
            self.requests.remember(connection, id, action, *made);
        }
        if let (Ok(_), Some(name)) = (&result, counted) {
            metrics::moderation_action(name);
        }
        result
    }

    /// Forgets the socket that had a connection, unless another has it now.
    fn forget_sink(&mut self, connection: ConnectionId, socket: u64) -> bool {
        let current = self.sinks.get(&connection).is_some_and(|(held, _)| *held == socket);
        if current {
            self.sinks.remove(&connection);
        }
        current
    }

    async fn enter(&mut self, entering: Entering) -> Result<Admitted, RoomError> {
        let connection = ConnectionId::generate();
        let Entering { participant, principal, kind, sink, resume } = entering;
        self.decide(|engine, now| match participant {
            ParticipantKind::Camera => engine.handle_camera(connection, &principal, now),
            ParticipantKind::Person | ParticipantKind::Recorder | ParticipantKind::Transcriber => {
                engine.handle_enter(connection, &principal, kind, resume, now)
            }
        })
        .await?;
        let socket = self.attach(connection, sink);
        self.join_media(connection).await?;
        self.admitted(connection, socket, None, false)
    }

    async fn resume(&mut self, resuming: Resuming) -> Result<Admitted, RoomError> {
        let Resuming { connection, secret, next, last_seq, media, at, sink } = resuming;
        if last_seq > self.engine.seq() {
            return Err(RoomError::NothingToResume);
        }
        let lost_for = self.engine.lost_for(connection, self.parts.clock.now());
        self.decide(|engine, now| engine.handle_resume(connection, secret, next, at, now)).await?;
        if let Some(lost_for) = lost_for {
            metrics::reconnected(lost_for);
        }
        if let Some((_, Some(old))) = self.sinks.get(&connection) {
            // An old socket too slow to hear it will find its channel closed.
            let _full = old.try_send(Outbound::Replaced);
        }
        if media == MediaAfterLoss::Dropped {
            self.drop_media(connection).await;
        }
        let has_media = self.parts.media.is_some();
        let media_gone =
            has_media && media == MediaAfterLoss::Kept && !self.joined.contains(&connection);
        let missed = self.missed(last_seq).await?;
        let socket = self.attach(connection, Some(sink));
        if let Some(offer) = self.unanswered.get(&connection).cloned() {
            self.offer(connection, offer);
        }
        self.join_media(connection).await?;
        self.admitted(connection, socket, missed, media_gone)
    }

    /// Ends a connection's transports; it joins the media plane anew.
    async fn drop_media(&mut self, connection: ConnectionId) {
        self.unanswered.remove(&connection);
        self.leave_media(connection).await;
        let side = TransportSide::Publish;
        self.decide_surely(|engine, now| engine.handle_transport_lost(connection, side, now)).await;
    }

    fn admitted(
        &self,
        connection: ConnectionId,
        socket: u64,
        missed: Option<Vec<String>>,
        media_gone: bool,
    ) -> Result<Admitted, RoomError> {
        let gone = RoomError::ParticipantNotFound;
        let (user, expires_at) = self.engine.holder(connection).ok_or(gone.clone())?;
        let view = self.engine.view(connection, self.parts.clock.now()).ok_or(gone)?;
        let evidence = self.head.clone();
        let transcription = view.transcription(self.parts.ports.transcription.is_available());
        Ok(Admitted {
            connection,
            socket,
            user,
            expires_at,
            view,
            evidence,
            transcription,
            missed,
            media_gone,
        })
    }

    /// The events after `last_seq`, or `None` when there are too many.
    async fn missed(&mut self, last_seq: u64) -> Result<Option<Vec<String>>, RoomError> {
        if self.engine.seq() - last_seq > u64::from(MISSED_EVENTS_MAX) {
            return Ok(None);
        }
        let RoomParts { key, journal, .. } = &self.parts;
        let kept = journal.events_after(*key, last_seq, MISSED_EVENTS_MAX).await;
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => return Err(self.journal_failed(&error)),
        };
        Ok(Some(kept.into_iter().map(|event| event.payload).collect()))
    }

    fn attach(&mut self, connection: ConnectionId, sink: Option<Sink>) -> u64 {
        self.sockets += 1;
        self.sinks.insert(connection, (self.sockets, sink));
        self.sockets
    }

    async fn join_media(&mut self, connection: ConnectionId) -> Result<(), RoomError> {
        let Some(media) = &self.parts.media else { return Ok(()) };
        if self.joined.contains(&connection) {
            return Ok(());
        }
        let gates = self.engine.gates(connection);
        media
            .join(self.parts.key.session, connection, gates)
            .await
            .map_err(|error| media_error(&error))?;
        self.joined.insert(connection);
        Ok(())
    }

    /// Gives an admitted connection to whoever asked; one that nobody takes has
    /// left.
    async fn answer_admitted(
        &mut self,
        result: Result<Admitted, RoomError>,
        reply: Reply<Admitted>,
    ) {
        let Err(Ok(admitted)) = reply.send(result) else { return };
        let connection = admitted.connection;
        if self.forget_sink(connection, admitted.socket) {
            self.decide_surely(|engine, now| engine.handle_leave(connection, Goodbye::Left, now))
                .await;
        }
    }

    /// Lets the engine decide, stores what it decided, and only then carries it
    /// out and tells. What can't be stored is undone.
    async fn decide<T>(
        &mut self,
        decision: impl FnOnce(&mut RoomEngine, Timestamp) -> Result<T, RoomError>,
    ) -> Result<T, RoomError> {
        let now = self.parts.clock.now();
        let result = match decision(&mut self.engine, now) {
            Ok(result) => result,
            Err(refused) => {
                self.engine.undo();
                return Err(refused);
            }
        };
        if let Err(error) = self.keep().await {
            self.engine.undo();
            return Err(self.journal_failed(&error));
        }
        let outputs = self.engine.take_outputs();
        self.carry_out(outputs).await;
        Ok(result)
    }

    /// As [`Self::decide`] for what has happened whether it can be stored or not:
    /// it is carried out at once, and told once it is stored.
    async fn decide_surely(&mut self, happened: impl FnOnce(&mut RoomEngine, Timestamp)) {
        let now = self.parts.clock.now();
        happened(&mut self.engine, now);
        self.keep_clock_decisions().await;
    }

    /// Stores and tells what the engine decided by itself; tries again later
    /// when it can't be stored. Gates, goodbyes and the end of a recording do not
    /// wait for that; its beginning does, since nobody was told of it yet.
    async fn keep_clock_decisions(&mut self) {
        self.retry_at = None;
        let now = self.parts.clock.now();
        self.engine.handle_timeout(now);
        let outputs = match self.keep().await {
            Ok(()) => self.engine.take_outputs(),
            Err(error) => {
                self.journal_failed(&error);
                self.engine.accept();
                self.retry_at = Some(now.after(JOURNAL_RETRY));
                self.engine.take_urgent_outputs()
            }
        };
        self.carry_out(outputs).await;
    }

    async fn carry_out(&mut self, outputs: Outputs) {
        let (media, session) = (self.parts.media.clone(), self.parts.key.session);
        // Events that are not stored yet are still with the engine.
        let told = outputs.told.first().or_else(|| self.engine.told().last());
        let decision = told.filter(|_| !outputs.gates.is_empty()).map(|(told, _)| told.seq);
        if let Some(decision) = decision {
            self.gates_decided(decision).await;
        }
        for GateChange { connection, kind, gate } in outputs.gates {
            if let Some(media) = &media
                && self.joined.contains(&connection)
            {
                let applied = media.set_gate(session, connection, kind, gate).await;
                if let Err(error) = applied {
                    self.gate_failed(connection, gate, &error).await;
                }
            }
        }
        let starts = outputs.recording == Some(RecordingState::Recording);
        if let Some(state) = outputs.recording.filter(|_| !starts) {
            self.set_recording(state).await;
        }
        if let Some(featured) = outputs.featured {
            self.tell_floor(featured.audio).await;
        }
        if let (Some(featured), Some(media)) = (outputs.featured, &media) {
            let shown = media.feature(session, featured.audio, featured.video).await;
            log_media(shown);
        }
        for (told, _) in &outputs.told {
            let text: Arc<str> = told.to_json().into();
            let connections: Vec<ConnectionId> = self.sinks.keys().copied().collect();
            for connection in connections {
                self.offer(connection, Outbound::Told(text.clone()));
            }
        }
        for (connection, goodbye) in outputs.goodbyes {
            self.offer(connection, Outbound::Goodbye(goodbye));
            self.sinks.remove(&connection);
            self.requests.forget(connection);
            self.unanswered.remove(&connection);
            self.leave_media(connection).await;
        }
        self.change_tracks(outputs.tracks).await;
        self.note_attendance(outputs.notes).await;
        if starts {
            self.set_recording(RecordingState::Recording).await;
        }
    }

    /// A gate that the media plane did not apply. Media that should be closed must not
    /// pass, so such a peer loses all of it.
    async fn gate_failed(&mut self, connection: ConnectionId, gate: Gate, error: &SfuError) {
        tracing::error!(%connection, ?gate, %error, "a gate was not applied");
        if gate == Gate::Closed {
            self.leave_media(connection).await;
        }
    }

    /// Ends what the media plane has of a connection.
    async fn leave_media(&mut self, connection: ConnectionId) {
        if self.joined.remove(&connection)
            && let Some(media) = &self.parts.media
        {
            log_media(media.leave(self.parts.key.session, connection).await);
        }
    }

    /// Puts something into a connection's queue. A full queue means a reader too
    /// slow to follow: its socket is let go, its door notices the closed queue
    /// and reports the connection lost, and it may resume.
    fn offer(&mut self, connection: ConnectionId, outbound: Outbound) {
        let Some((_, slot)) = self.sinks.get_mut(&connection) else { return };
        if slot.as_ref().is_some_and(|sink| sink.try_send(outbound).is_err()) {
            *slot = None;
        }
    }

    /// A journal that another process has continued, or of which it is not known
    /// what it holds, ends this room: whoever comes next loads it anew.
    fn journal_failed(&mut self, error: &StoreError) -> RoomError {
        tracing::error!(session = %self.parts.key.session, %error, "the room's journal failed");
        self.over |= matches!(error, StoreError::Conflict | StoreError::Unknown(_));
        match error {
            StoreError::Unknown(_) => RoomError::OutcomeUnknown,
            StoreError::Conflict
            | StoreError::Fenced
            | StoreError::Refused(_)
            | StoreError::Corrupt(_)
            | StoreError::Unavailable(_) => RoomError::JournalUnavailable,
        }
    }

    async fn close(&mut self) {
        let ended = self.engine.tracks().map(TrackChange::Unpublished).collect();
        self.change_tracks(ended).await;
        if let Some(media) = &self.parts.media {
            log_media(media.close_room(self.parts.key.session).await);
        }
        let connections: Vec<ConnectionId> = self.sinks.keys().copied().collect();
        for connection in connections {
            self.offer(connection, Outbound::Closing);
        }
        self.sinks.clear();
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, RoomError>) {
    // Whoever asked may have stopped waiting; what was decided stands.
    drop(reply.send(result));
}

fn answer_media<T>(reply: Reply<T>, result: Result<T, SfuError>) {
    answer(reply, result.map_err(|error| media_error(&error)));
}

fn media_error(error: &SfuError) -> RoomError {
    RoomError::Media { code: error.code(), message: error.to_string() }
}

fn log_media(result: Result<(), SfuError>) {
    if let Err(error) = result {
        tracing::warn!(%error, "the media plane did not follow");
    }
}
