//! The driver of one log. One task per log takes requests, stores entries, and signs heads. Callers
//! are answered after their entries are stored.

mod recall;

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::domain::backoff::Backoff;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::evidence::cose::LogIdentity;
use crate::evidence::engine::{DueHead, LogEngine};
use crate::evidence::error::EvidenceError;
use crate::evidence::head::{Point, sign_head};
use crate::evidence::ports::{HeadNotice, SHUTDOWN_MAX};
use crate::evidence::repository::{Append, StoredHead};
use crate::evidence::requests::{Command, Request, ScribeHandle, Signals, WAITING_MAX};
use crate::evidence::shared::Shared;

/// Most entries written at once. Raising it makes transactions longer.
const APPEND_MAX: usize = 512;
/// Decisions read from the room's events at once.
const DECISIONS_MAX: u32 = 256;
/// Time after which an unanswered store or key vault counts as unavailable.
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the first failure; doubles up to `BACKOFF_MAX`.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How often the store is asked to take a write that it refuses, before the write is given up.
/// Raising it delays the requests behind it, by up to `BACKOFF_MAX` each time.
const REFUSALS_MAX: u32 = 3;
/// How long a log stays in memory after the last write.
const QUIET: Duration = Duration::from_mins(1);

/// Why a step failed.
#[derive(Debug)]
enum Trouble {
    /// Another process has continued the log, or this process's last write was stored although its
    /// answer was lost.
    Conflict,
    /// The work of a caller with a claim has another owner now.
    Fenced,
    /// The store refuses what it was given, and is expected to refuse it again.
    Refused(String),
    /// Temporarily unavailable; trying again later may succeed.
    Unavailable(String),
    /// Trying again can't succeed.
    Broken(EvidenceError),
}

impl From<EvidenceError> for Trouble {
    fn from(error: EvidenceError) -> Self {
        match error {
            EvidenceError::Unavailable(why) => Self::Unavailable(why),
            EvidenceError::Refused(why) => Self::Refused(why),
            other => Self::Broken(other),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict => Self::Conflict,
            StoreError::Fenced => Self::Fenced,
            StoreError::Refused(why) => Self::Refused(why),
            StoreError::Unavailable(why) => Self::Unavailable(why),
            error @ (StoreError::Corrupt(_) | StoreError::Unknown(_)) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

/// Whether a step left more to do.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    More,
    Done,
}

/// The events that wake a scribe.
enum Wake {
    Work,
    Quiet,
    Stop,
}

/// The task of one log.
pub(super) struct Scribe {
    shared: Arc<Shared>,
    key: SessionKey,
    /// Its issuer is that of the newest stored head, whatever is configured now, so that all heads
    /// of a log have the same one.
    identity: LogIdentity,
    commands: mpsc::Receiver<Command>,
    signals: Arc<Signals>,
    waiting: VecDeque<Command>,
    /// Requests whose entries are pending, with their `seq`.
    taken: Vec<(Command, u64)>,
    /// Requests whose entries are stored and that wait for a further step: the head of a closed
    /// log, or the destruction of a key.
    following: Vec<(Command, u64)>,
    log: Option<LogEngine>,
    /// The last write, when it is not known whether it was stored.
    unheard: Option<Append>,
    /// Whether the room may have stored events that the log does not have.
    room_grew: bool,
    /// How often the store has refused a write since the last one that it took.
    refusals: u32,
    /// How many entries are written one by one after a refusal, so that what is refused takes
    /// nothing else with it.
    singly: usize,
    /// Number of the decision that was given up, until it is in the log; 0 when none was.
    refused_decision: u64,
    /// The largest head that is known to be stored.
    signed: Point,
    /// When to give up, once the server was told to stop.
    deadline: Option<Instant>,
}

impl Scribe {
    /// Makes a scribe, whose task must then be spawned.
    pub(super) fn new(shared: Arc<Shared>, key: SessionKey) -> (Self, ScribeHandle) {
        let (sender, commands) = mpsc::channel(WAITING_MAX);
        let signals = Arc::new(Signals::default());
        let handle = ScribeHandle { commands: sender, signals: Arc::clone(&signals) };
        let identity = shared.identity(key.session);
        let scribe = Self {
            shared,
            key,
            identity,
            commands,
            signals,
            waiting: VecDeque::new(),
            taken: Vec::new(),
            following: Vec::new(),
            log: None,
            unheard: None,
            room_grew: false,
            refusals: 0,
            singly: 0,
            refused_decision: 0,
            signed: Point::none(),
            deadline: None,
        };
        (scribe, handle)
    }

    /// Runs until the log has not been written to for a while, or the server stops.
    pub(super) async fn run(mut self) {
        loop {
            match self.wait().await {
                Wake::Work => self.work().await,
                Wake::Quiet => {
                    if self.shared.forget(self.key, || self.is_quiet()) {
                        return;
                    }
                }
                Wake::Stop => {
                    self.stop().await;
                    return;
                }
            }
        }
    }

    async fn wait(&mut self) -> Wake {
        let due = self.log.as_ref().and_then(LogEngine::poll_timeout).map(Instant::from_std);
        let quiet_at = Instant::now() + QUIET;
        let stopping = pin!(self.shared.stopping.cancelled());
        tokio::select! {
            biased;
            () = stopping => Wake::Stop,
            command = self.commands.recv() => {
                self.waiting.extend(command);
                Wake::Work
            }
            () = self.signals.nudge.notified() => Wake::Work,
            () = tokio::time::sleep_until(due.unwrap_or(quiet_at)) => {
                if due.is_some() { Wake::Work } else { Wake::Quiet }
            }
        }
    }

    fn is_quiet(&self) -> bool {
        self.commands.is_empty() && !self.signals.is_nudged()
    }

    /// Carries out the accepted requests, signs a last head, and ends.
    async fn stop(&mut self) {
        self.deadline.get_or_insert(Instant::now() + SHUTDOWN_MAX);
        self.commands.close();
        if !self.is_quiet() || !self.waiting.is_empty() {
            self.work().await;
        }
        while self.log.as_ref().and_then(LogEngine::next_head).is_some() {
            let due = self.log.as_ref().and_then(LogEngine::next_head);
            let Some(due) = due else { break };
            if let Err(trouble) = self.sign(due).await {
                tracing::warn!(session = %self.key.session, ?trouble, "the last head could not be signed");
                break;
            }
        }
        self.fail(&EvidenceError::Stopping);
    }

    /// Makes steps until nothing is left to do now.
    async fn work(&mut self) {
        let mut backoff = Backoff::new(BACKOFF_MIN, BACKOFF_MAX);
        loop {
            match self.step().await {
                Ok(Step::Done) => return,
                Ok(Step::More) => {
                    backoff.reset();
                    continue;
                }
                Err(Trouble::Conflict) => {
                    tracing::info!(session = %self.key.session, "another process has changed the log; it is read again");
                    self.forget_log();
                }
                Err(Trouble::Fenced) => self.refuse_fenced(),
                Err(Trouble::Unavailable(why)) => {
                    tracing::warn!(session = %self.key.session, %why, "the log can't be written now");
                }
                Err(Trouble::Refused(why)) => {
                    tracing::warn!(session = %self.key.session, %why, "the store refuses a write to the log");
                    self.refusals += 1;
                    let pending = self.log.as_ref().map_or(0, LogEngine::pending_entries);
                    self.singly = self.singly.max(pending);
                    if self.refusals >= REFUSALS_MAX {
                        self.give_up(why);
                        self.forget_log();
                        // It is known that this write was not stored.
                        self.unheard = None;
                        if pending == 0 {
                            return;
                        }
                    }
                    self.forget_log();
                }
                Err(Trouble::Broken(error)) => {
                    tracing::error!(session = %self.key.session, %error, "the log can't be continued");
                    self.forget_log();
                    self.room_grew = false;
                    self.fail(&error);
                    return;
                }
            }
            if self.shared.stopping.is_cancelled() {
                self.deadline.get_or_insert(Instant::now() + SHUTDOWN_MAX);
            }
            let pause = backoff.next(rand::random());
            if self.deadline.is_some_and(|deadline| Instant::now() + pause > deadline) {
                self.fail(&EvidenceError::Stopping);
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// A write was refused as often as it may be. If it was a request's, that is answered with it,
    /// and the log goes on without it. A decision of the room can't be left out: it stays
    /// among the room's stored events and is tried again when the room decides again or a request needs it;
    /// those that need it now are refused, and the others go on.
    fn give_up(&mut self, why: String) {
        tracing::error!(session = %self.key.session, %why, "a write to the log is given up");
        self.shared.write_refused(self.key.session);
        self.refusals = 0;
        let error = EvidenceError::Refused(why);
        let append = self.log.as_mut().and_then(|log| log.poll_append());
        let Some(append) = append.filter(|_| self.taken.is_empty()) else {
            if self.taken.is_empty() {
                self.room_grew = false;
                self.fail(&error);
            }
            for (command, _) in self.taken.drain(..) {
                answer(command, Err(error.clone()));
            }
            return;
        };
        self.refused_decision = append.room_seq;
        self.room_grew = false;
        let known = append.room_seq.saturating_sub(1);
        for command in std::mem::take(&mut self.waiting) {
            if command.request.needs_decisions(known) {
                answer(command, Err(error.clone()));
            } else {
                self.waiting.push_back(command);
            }
        }
    }

    /// Most entries in one write.
    const fn append_max(&self) -> usize {
        if self.singly == 0 { APPEND_MAX } else { 1 }
    }

    async fn step(&mut self) -> Result<Step, Trouble> {
        self.receive();
        if self.log.is_none() && !self.recall().await? {
            return Ok(Step::Done);
        }
        self.answer_opened();
        self.store().await?;
        self.destroy_events_key().await?;
        let now = Instant::now().into_std();
        let Some(log) = &mut self.log else { return Ok(Step::Done) };
        if let Some(due) = log.poll_head(now) {
            self.sign(due).await?;
            return Ok(Step::More);
        }
        for (command, seq) in self.following.drain(..) {
            answer(command, Ok(seq));
        }
        if !self.room_grew && self.waiting.is_empty() {
            return Ok(Step::Done);
        }
        log.handle_active_key(*self.shared.signing.active().kid(), self.shared.clock.now());
        if log.poll_append().is_none() {
            self.take_decisions().await?;
            self.take_requests();
        }
        Ok(Step::More)
    }

    /// Moves waiting requests from the channel to the queue.
    fn receive(&mut self) {
        while self.waiting.len() < WAITING_MAX {
            let Ok(command) = self.commands.try_recv() else { break };
            self.waiting.push_back(command);
        }
        let known = self.log.as_ref().map_or(0, LogEngine::room_seq);
        let needs = |command: &Command| command.request.needs_decisions(known);
        if self.signals.nudged.swap(false, Ordering::AcqRel) || self.waiting.iter().any(needs) {
            self.room_grew = true;
        }
    }

    /// Answers requests to open the log, which is open now.
    fn answer_opened(&mut self) {
        let is_open = |command: &Command| matches!(command.request, Request::Open { .. });
        if self.waiting.iter().any(is_open) {
            for command in std::mem::take(&mut self.waiting) {
                if is_open(&command) {
                    answer(command, Ok(0));
                } else {
                    self.waiting.push_back(command);
                }
            }
        }
    }

    /// Adds decisions of the room that the log does not have, a bounded number at a time.
    async fn take_decisions(&mut self) -> Result<(), Trouble> {
        let limit = if self.singly == 0 { DECISIONS_MAX } else { 1 };
        let Some(log) = &mut self.log else { return Ok(()) };
        if log.is_closed() {
            self.room_grew = false;
        }
        if !self.room_grew {
            return Ok(());
        }
        let reading = self.shared.source.room_events(self.key, log.room_seq(), limit);
        let events = in_time(reading).await?.map_err(Trouble::Unavailable)?;
        self.room_grew = events.len() >= limit as usize;
        let at = self.shared.clock.now();
        for event in events {
            if let Err(error) = log.handle_decision(event.seq, event.text, at) {
                tracing::error!(session = %self.key.session, %error, "decisions of the room can't be added to the log");
                self.room_grew = false;
                break;
            }
        }
        Ok(())
    }

    fn take_requests(&mut self) {
        let at = self.shared.clock.now();
        let append_max = self.append_max();
        let Some(log) = &mut self.log else { return };
        // One write may name only one claim.
        let mut fence = None;
        while log.pending_entries() < append_max {
            let Some(command) = self.waiting.pop_front() else { return };
            if command.fence.is_some() && fence.is_some() && command.fence != fence {
                self.waiting.push_front(command);
                return;
            }
            fence = fence.or(command.fence);
            let closes = matches!(command.request, Request::Close { .. });
            let needs = command.request.needs_decisions(log.room_seq());
            if needs && self.room_grew {
                self.waiting.push_front(command);
                return;
            }
            let taken = match command.request.clone() {
                Request::Open { .. } => Ok(0),
                Request::Note { kind, text } => log.handle_event(kind, text, at),
                Request::Media(entry) => log.handle_media(entry, at),
                Request::Erase { target_seq, reason, wrapped_key_hash } => {
                    log.handle_erasure(target_seq, reason, wrapped_key_hash, at)
                }
                Request::Close { tails, reason } => {
                    log.handle_close(&tails, reason, at).map(|()| log.size() - 1)
                }
            };
            match taken {
                Ok(seq) => self.taken.push((command, seq)),
                Err(error) => answer(command, Err(error)),
            }
            if closes {
                return;
            }
        }
    }

    /// Stores pending entries, and answers the requests that need nothing further.
    async fn store(&mut self) -> Result<(), Trouble> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if let Some(append) = log.poll_append() {
            let fence = self.taken.iter().find_map(|(command, _)| command.fence);
            let repository = Arc::clone(&self.shared.repository);
            let repository = fence.map_or(repository.clone(), |fence| repository.fenced(fence));
            let room_seq = append.room_seq;
            let storing = repository.append(self.key, append.clone());
            let Ok(stored) = tokio::time::timeout(STORE_TIMEOUT, storing).await else {
                // The write may have succeeded all the same; the log must be read to find out.
                self.forget_log();
                return Err(Trouble::Unavailable("no answer in time".to_owned()));
            };
            stored?;
            self.refusals = 0;
            self.singly = self.singly.saturating_sub(1);
            if room_seq >= self.refused_decision {
                self.refused_decision = 0;
                self.shared.written(self.key.session);
            }
            if let Some(stored) = log.handle_stored(Instant::now().into_std()) {
                self.shared.counters.appended(&stored);
            }
            self.note_uncovered();
        }
        self.answer_taken();
        Ok(())
    }

    fn answer_taken(&mut self) {
        for (command, seq) in self.taken.drain(..) {
            let follows = matches!(
                command.request,
                Request::Close { .. } | Request::Erase { target_seq: 0, .. }
            );
            if follows {
                self.following.push((command, seq));
            } else {
                answer(command, Ok(seq));
            }
        }
    }

    /// Destroys `K_events` once its erasure is in the log, also when an earlier process ended
    /// between the two.
    async fn destroy_events_key(&mut self) -> Result<(), Trouble> {
        let Some(log) = &mut self.log else { return Ok(()) };
        if log.has_events_key_to_destroy() {
            let destroying = self.shared.repository.put_events_key(self.key, None);
            in_time(destroying).await??;
            log.handle_events_key_destroyed();
        }
        Ok(())
    }

    /// Signs a head, stores it, and reports it.
    async fn sign(&mut self, due: DueHead) -> Result<(), Trouble> {
        let key = self.shared.signing_key(&due.kid).ok_or(EvidenceError::KeyMissing)?;
        let at = self.shared.clock.now();
        let signed = sign_head(&self.identity, due.point, due.previous, at, &key);
        let repository = &self.shared.repository;
        in_time(repository.put_head(self.key, due.previous.size, &signed)).await??;
        // Another process may have stored its own head of this size; then that one is reported, and
        // its issuer is the log's.
        let mut stored = in_time(repository.heads(self.key, due.point.size, 1)).await??;
        let head = stored.pop().filter(|stored| stored.tree_size == due.point.size);
        let head = head.filter(|stored| stored.root == due.point.root);
        let head = head.ok_or(EvidenceError::Integrity("the head that was stored is missing"))?;
        if head.cose != signed.cose {
            self.identity.issuer = self.check_head(&head)?.issuer;
        }
        self.handle_signed(due.point, head);
        Ok(())
    }

    fn handle_signed(&mut self, point: Point, head: StoredHead) {
        self.signed = point;
        self.shared.counters.head_signed();
        self.shared.readers.head_signed(self.key);
        let closes = self.log.as_ref().is_some_and(LogEngine::is_closed);
        if let Some(log) = &mut self.log {
            log.handle_head_stored(point);
        }
        self.note_uncovered();
        self.shared.operator.offer(self.key.session, point.size, &head.cose, closes);
        let notice = HeadNotice { tenant: self.key.tenant, session: self.key.session, head };
        if self.shared.heads.send(notice).is_err() {
            tracing::trace!("no listener for heads");
        }
    }

    /// Drops the log in memory. Requests whose entries are not in the store are carried out again
    /// after it was read.
    fn forget_log(&mut self) {
        let append = self.log.as_mut().and_then(|log| log.poll_append().cloned());
        self.unheard = append.or(self.unheard.take());
        self.log = None;
        self.note_uncovered();
    }

    /// Answers the requests whose claim has another owner; the other requests of the same write are
    /// carried out again.
    fn refuse_fenced(&mut self) {
        let taken = std::mem::take(&mut self.taken);
        let (fenced, rest): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(|(command, _)| command.fence.is_some());
        self.taken = rest;
        for (command, _) in fenced {
            answer(command, Err(EvidenceError::Fenced));
        }
        self.forget_log();
    }

    /// Answers all waiting requests with `error`.
    fn fail(&mut self, error: &EvidenceError) {
        self.receive();
        self.unheard = None;
        let taken = self.taken.drain(..).chain(self.following.drain(..));
        for command in taken.map(|(command, _)| command).chain(self.waiting.drain(..)) {
            answer(command, Err(error.clone()));
        }
    }

    fn note_uncovered(&self) {
        let waits = self.log.as_ref().and_then(LogEngine::poll_timeout).is_some();
        let signal = &self.signals.uncovered_since_us;
        if !waits {
            signal.store(0, Ordering::Relaxed);
        } else if signal.load(Ordering::Relaxed) == 0 {
            signal.store(self.shared.clock.now().unix_us(), Ordering::Relaxed);
        }
    }
}

fn answer(command: Command, result: Result<u64, EvidenceError>) {
    if command.answer.send(result).is_err() {
        tracing::trace!("the caller no longer waits for its answer");
    }
}

/// Waits for the answer of a store or vault for a limited time.
async fn in_time<T>(asking: impl Future<Output = T>) -> Result<T, Trouble> {
    tokio::time::timeout(STORE_TIMEOUT, asking)
        .await
        .map_err(|_| Trouble::Unavailable("no answer in time".to_owned()))
}
