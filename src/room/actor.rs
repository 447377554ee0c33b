//! The driver of one room: it feeds the engine, keeps what was decided, carries
//! it out in the media plane and then tells everybody, in this order.

mod admitting;
mod eligible;
mod notices;
mod quality;
mod requests;
mod round;
mod signal;
mod storing;
mod telling;
mod transcript;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::attendance::Attendance;
use crate::claims::Claim;
use crate::clock::Clock;
use crate::domain::arrival::Arrival;
use crate::domain::eligible_list::ListRefused;
use crate::domain::id::{ConnectionId, SessionKey, TrackId};
use crate::domain::recording::RecordingState;
use crate::domain::session::Session;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::room::action::{Action, FreshIds, Made, PeopleAction, TranscriptAction};
use crate::room::actor::requests::Requests;
use crate::room::engine::{GateChange, Goodbye, Outputs, RoomEngine, TrackChange};
use crate::room::error::RoomError;
use crate::room::event::EligibleListView;
use crate::room::member::{Input, Outbound, Reply, Request, Sink};
use crate::room::metrics::{self, CountedQuality};
use crate::room::ports::{EvidenceHead, RoomPorts};
use crate::room::quality::Monitor;
use crate::room::repository::RoomRepository;
use crate::sfu::plane::Gate;
use crate::sfu::{RoomMediaEvent, Sfu, SfuError};

/// Most inputs that are taken together. Raising it lets more people be admitted by one decision, and
/// makes timers and media events wait longer.
const INPUTS_AT_ONCE: usize = 256;
/// How long a room without anybody stays loaded.
const IDLE: Duration = Duration::from_mins(5);
/// How long until a room tries again to keep what its clock decided.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// What a room works with.
#[derive(Clone)]
pub(super) struct RoomParts {
    pub(super) key: SessionKey,
    pub(super) repository: Arc<dyn RoomRepository>,
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
    /// Tracks that the network of a connection does not carry now; told again to whoever comes back.
    left_out: BTreeMap<ConnectionId, Vec<TrackId>>,
    /// Encodings of tracks that nobody wants; told again to whoever comes back.
    unseen: BTreeMap<ConnectionId, BTreeMap<TrackId, Vec<String>>>,
    /// How good the connections are.
    quality: Monitor,
    /// The people by that, as metrics have them.
    counted: CountedQuality,
    /// What was done lately, by the names that clients gave it.
    requests: Requests,
    sockets: u64,
    /// The newest head of the session's log.
    head: Option<Arc<EvidenceHead>>,
    retry_at: Option<Timestamp>,
    /// The attendance as it was last asked for, and its version.
    attendance: Option<(u64, Arc<Attendance>)>,
    /// What moderators were told of the eligible list.
    eligible_told: Arc<EligibleListView>,
    /// Why the newest eligible list is not taken, while none is known.
    list_refused: Option<ListRefused>,
    over: bool,
    /// The event from outside that leads to what is being decided.
    arrival: Option<Arrival>,
}

/// What woke the room.
enum Wake {
    /// Some inputs wait.
    Inputs,
    /// Nobody can send any more.
    NoInputs,
    Media(Option<RoomMediaEvent>),
    Timeout,
    Idle,
}

impl RoomActor {
    pub(super) fn new(parts: RoomParts, engine: RoomEngine) -> Self {
        let eligible_told = Arc::new(engine.eligible_list_view());
        Self {
            parts,
            engine,
            sinks: BTreeMap::new(),
            joined: BTreeSet::new(),
            unanswered: BTreeMap::new(),
            left_out: BTreeMap::new(),
            unseen: BTreeMap::new(),
            quality: Monitor::default(),
            counted: CountedQuality::default(),
            requests: Requests::default(),
            sockets: 0,
            head: None,
            retry_at: None,
            attendance: None,
            eligible_told,
            list_refused: None,
            over: false,
            arrival: None,
        }
    }

    /// Runs until the session is over, nobody has been here for a while, or the
    /// server stops. `claim` is released then.
    pub(super) async fn run(
        mut self,
        session: Box<Session>,
        claim: Option<Claim>,
        (inputs, media): (mpsc::Receiver<Input>, mpsc::Receiver<RoomMediaEvent>),
    ) {
        let stopped = self.run_open(session, inputs, media).await;
        if let Some(claim) = claim {
            claim.release().await;
        }
        if let Some(stopped) = stopped {
            // Whoever asked may have stopped waiting.
            let _gone = stopped.send(());
        }
    }

    /// Yields whom to tell that the room has stopped, if somebody asked for it.
    async fn run_open(
        &mut self,
        session: Box<Session>,
        mut inputs: mpsc::Receiver<Input>,
        mut media: mpsc::Receiver<RoomMediaEvent>,
    ) -> Option<oneshot::Sender<()>> {
        if let Some(log) = &self.parts.ports.log {
            log.room_opened(&session).await;
        }
        self.tell_session(&session).await;
        drop(session);
        self.keep_clock_decisions().await;
        let mut waiting = Vec::with_capacity(INPUTS_AT_ONCE);
        while !self.over {
            match self.wait(&mut inputs, &mut waiting, &mut media).await {
                Wake::Inputs => {
                    let stopped = self.handle_inputs(waiting.drain(..)).await;
                    if stopped.is_some() {
                        self.close().await;
                        return stopped;
                    }
                }
                Wake::Media(Some(event)) => self.handle_media(event).await,
                Wake::Timeout => self.keep_clock_decisions().await,
                Wake::NoInputs | Wake::Media(None) | Wake::Idle => break,
            }
        }
        // Whoever still waits in the queue is told to come again.
        inputs.close();
        self.close().await;
        None
    }

    async fn wait(
        &self,
        inputs: &mut mpsc::Receiver<Input>,
        waiting: &mut Vec<Input>,
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
            found = inputs.recv_many(waiting, INPUTS_AT_ONCE) => {
                if found == 0 { Wake::NoInputs } else { Wake::Inputs }
            }
            event = media.recv() => Wake::Media(event),
            () = tokio::time::sleep(until) => match deadline {
                None if self.engine.is_empty() => Wake::Idle,
                Some(_) | None => Wake::Timeout,
            },
        }
    }

    async fn handle_input(&mut self, input: Input) {
        match input {
            Input::Act { connection, request, reply } => {
                let result = self.act(connection, request).await;
                answer(reply, result);
            }
            Input::Signal { connection, signal } => self.handle_signal(connection, signal).await,
            Input::Renew { connection, principal, next, reply } => {
                let saw_all = self.engine.sees_connections(connection);
                let registered = self.engine.registers(connection);
                let result = self
                    .decide(|engine, now| engine.handle_renewal(connection, &principal, next, now))
                    .await;
                answer(reply, result);
                self.show_what_is_new(connection, (saw_all, registered));
            }
            Input::Presence { connection, reply } => {
                answer(reply, Ok(self.engine.holder(connection).is_some()));
            }
            Input::Attend { action, reply } => {
                let result = self.handle_attendance(action).await;
                answer(reply, result.map(|()| self.attendance()));
            }
            Input::AttendPerson { user, action, reply } => {
                let result = self.handle_attendance(action).await;
                answer(reply, result.map(|()| self.engine.attendee(&user)));
            }
            Input::ListRefused(refused) => self.handle_list_refused(refused),
            Input::Vote { vote, arrival, reply } => {
                answer(reply, self.handle_vote(vote, arrival).await);
            }
            Input::Transcribed { said, reply } => {
                answer(reply, self.handle_transcribed(said).await);
            }
            Input::SpokenSoFar(chunk) => self.handle_so_far(&chunk),
            Input::Correct { by, of, text, reply } => {
                answer(reply, self.handle_correction(by, of, text).await);
            }
            Input::CheckProof { user, proof, reply } => {
                answer(reply, self.engine.check_proof(&user, &proof));
            }
            Input::Attendance { reply } => answer(reply, Ok(self.attendance())),
            Input::Fault { connection, fault } => {
                self.decide_surely(|engine, now| engine.handle_fault(connection, fault, now)).await;
            }
            Input::Leave { connection, socket } => self.handle_left(connection, socket).await,
            Input::SessionChanged(session) => {
                self.tell_session(&session).await;
                self.decide_surely(|engine, now| engine.handle_session(&session, now)).await;
            }
            Input::ClockAhead { ms } => {
                self.decide_surely(|engine, now| engine.handle_clock_ahead(ms, now)).await;
            }
            Input::SessionEnding { told } => {
                self.decide_surely(RoomEngine::handle_session_ending).await;
                self.end_spells().await;
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
            Input::SessionOver { reason, told } => {
                self.handle_session_over(reason).await;
                // Whoever asked may have stopped waiting.
                let _gone = told.send(());
            }
            // Rounds take these.
            Input::Enter(..)
            | Input::Resume(..)
            | Input::Lost { .. }
            | Input::EvidenceHead(_)
            | Input::Stop(_) => {}
        }
    }

    /// Shows a member what they may see since their access was renewed.
    fn show_what_is_new(&mut self, connection: ConnectionId, before: (bool, bool)) {
        let (saw_all, registered) = before;
        if !saw_all && self.engine.sees_connections(connection) {
            self.show_quality(connection);
        }
        if !registered {
            self.show_eligible_list(connection);
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
        if let Action::People(PeopleAction::SetLanguage { language: Some(language), .. }) = &action
        {
            self.engine.check_permission(connection, &action)?;
            self.check_language(language)?;
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
            return Err(self.storing_failed(&error));
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
                self.storing_failed(&error);
                self.engine.accept();
                self.retry_at = Some(now.after(STORE_RETRY));
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
            self.tell_featured(featured).await;
        }
        if let (Some(featured), Some(media)) = (outputs.featured, &media) {
            let shown = media.feature(session, featured.audio, featured.video).await;
            log_media(shown);
        }
        self.tell_texts(&outputs.told).await;
        if !outputs.told.is_empty() {
            let texts = outputs.told.iter().map(|(told, _)| told.to_json().into());
            let texts: Arc<[Arc<str>]> = texts.collect();
            let connections: Vec<ConnectionId> = self.sinks.keys().copied().collect();
            for connection in connections {
                self.offer(connection, Outbound::Told(texts.clone()));
            }
        }
        for (connection, goodbye) in outputs.goodbyes {
            self.offer(connection, Outbound::Goodbye(goodbye));
            self.sinks.remove(&connection);
            self.requests.forget(connection);
            self.unanswered.remove(&connection);
            self.left_out.remove(&connection);
            self.unseen.remove(&connection);
            self.forget_quality(connection);
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

    /// A repository that another process has continued, or of which it is not known
    /// what it holds, ends this room: whoever comes next loads it anew.
    fn storing_failed(&mut self, error: &StoreError) -> RoomError {
        tracing::error!(session = %self.parts.key.session, %error, "the room's repository failed");
        self.over |= matches!(error, StoreError::Conflict | StoreError::Unknown(_));
        match error {
            StoreError::Unknown(_) => RoomError::OutcomeUnknown,
            StoreError::Conflict
            | StoreError::Fenced
            | StoreError::Refused(_)
            | StoreError::Corrupt(_)
            | StoreError::Unavailable(_) => RoomError::StoreUnavailable,
        }
    }

    async fn close(&mut self) {
        self.end_spells().await;
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
