//! Brings a capture of the disk to the server: opens it, sends what waits, and closes it.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::agent::AgentError;
use crate::backoff::Backoff;
use crate::buffer::Portion;
use crate::captures::{Record, State, Store, Stored, forget, lock, named, set_aside};
use crate::clock::EdgeClock;
use crate::missing::Missing;
use crate::server::{CallError, Opening, Server, Shown};
use crate::whip::PublishError;

/// Waits before the server is tried again.
pub(crate) const AGAIN: (Duration, Duration) =
    (Duration::from_millis(500), Duration::from_secs(15));
/// How often it is asked whether a capture that is published is open. Raising it learns later that
/// somebody else has closed it.
const ASK_EVERY: Duration = Duration::from_secs(3);
/// A group that ends so soon after what the server has may be there only in part.
pub(crate) const SAME_US: i64 = 1_000_000;

/// A capture on its way to the server.
pub(crate) struct Delivery<'server> {
    pub(crate) server: &'server Server,
    pub(crate) store: Store,
    pub(crate) clock: EdgeClock,
    pub(crate) record: Arc<Record>,
    portion: Mutex<Portion>,
    /// It goes on after a cut, and the server has not said yet that it is open.
    is_resumed: AtomicBool,
    is_undeletable: AtomicBool,
}

/// Why nothing more is brought to the server.
pub(crate) enum Failed {
    /// For now.
    Now(String),
    /// Nothing live for a while, as the line carries too little.
    TooSlow(String),
    /// For good.
    Final(AgentError),
}

impl Failed {
    /// A publication that was cut off may be there for a few seconds, and whether the capture may be
    /// used at all is told when it is opened.
    pub(crate) fn for_now(error: &impl ToString) -> Self {
        Self::Now(error.to_string())
    }

    pub(crate) fn of_publishing(error: &PublishError) -> Self {
        match error {
            PublishError::TooSlow => Self::TooSlow(error.to_string()),
            PublishError::Call(_) | PublishError::Broken(_) => Self::for_now(error),
        }
    }

    fn of_call(error: CallError) -> Self {
        if error.is_for_now() {
            Self::for_now(&error)
        } else {
            Self::Final(AgentError::Refused(error))
        }
    }

    fn of_disk(error: &io::Error) -> Self {
        Self::Now(format!("what waits can't be read: {error}"))
    }
}

impl<'server> Delivery<'server> {
    pub(crate) fn new(server: &'server Server, stored: Stored) -> Self {
        let Stored { state, clock, store, is_resumed } = stored;
        Self {
            server,
            record: Arc::new(Record::new(state, Arc::clone(&store))),
            store,
            clock,
            portion: Mutex::default(),
            is_resumed: AtomicBool::new(is_resumed),
            is_undeletable: AtomicBool::new(false),
        }
    }

    /// What is kept of it.
    pub(crate) fn state(&self) -> State {
        self.record.state()
    }

    /// What was sent stays on a disk that is read-only. That is said once.
    fn note(&self, deleted: io::Result<()>) {
        if let Err(error) = deleted
            && !self.is_undeletable.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "what was sent can't be deleted");
        }
    }

    /// What is missing of it.
    pub(crate) fn missing(&self) -> Missing {
        let state = self.state();
        let given_up_us = state.given_up_before_us + lock(&self.store).given_up_us();
        Missing { camera_us: state.camera_missing_us, given_up_us }
    }

    /// Bytes that wait.
    pub(crate) fn waits(&self) -> u64 {
        lock(&self.store).bytes()
    }

    /// Opens the capture, or finds it open.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn open(&self) -> Result<Shown, Failed> {
        loop {
            let state = self.state();
            let (session, device) = (state.session.as_str(), state.device.as_str());
            let opening = Opening { session, device, began_us: state.began_us };
            let shown = self.server.open(opening, || self.clock.now_us()).await;
            let shown = shown.map_err(Failed::of_call)?;
            let was_resumed = self.is_resumed.swap(false, Ordering::Relaxed);
            if shown.is_open || state.ended_us.is_some() {
                return Ok(shown);
            }
            if !was_resumed {
                return Err(Failed::Final(AgentError::Closed(state.session)));
            }
            // It was closed before the cut, which the disk did not take. What is captured is another.
            let renamed = self.record.change(|it| it.session = named(&it.device));
            tracing::info!(before = %state.session, now = %self.state().session, "it was closed");
            if let Err(error) = renamed {
                tracing::warn!(%error, "its new name can't be written down");
            }
        }
    }

    /// Sends what waits, the oldest first.
    ///
    /// # Errors
    /// Why the rest still waits.
    pub(crate) async fn send_waiting(&self, shown: &Shown) -> Result<(), Failed> {
        let store = &self.store;
        if let Some(until_us) = shown.kept_until_us {
            self.note(lock(store).forget_until(until_us - SAME_US));
        }
        let session = self.state().session;
        loop {
            let part = tokio::task::block_in_place(|| lock(store).next(&lock(&self.portion)));
            let Some(part) = part.map_err(|error| Failed::of_disk(&error))? else { return Ok(()) };
            let (bytes, ahead_us) = (part.bytes.clone(), shown.ahead_us);
            let began = Instant::now();
            let sent = self.server.append(&session, bytes, ahead_us).await;
            let mut portion = lock(&self.portion);
            if let Err(error) = sent {
                let is_unusable = error.has_code("UNPROCESSABLE_REQUEST");
                let is_too_large = error.is_too_large();
                if is_too_large {
                    portion.is_too_large(&part);
                } else {
                    portion.failed(&part);
                }
                let is_refused = is_unusable || error.has_code("PAYLOAD_TOO_LARGE");
                match () {
                    // Other groups of it may be taken.
                    () if (is_unusable || is_too_large) && !part.is_one_group() => continue,
                    // It will never be taken; the rest is.
                    () if is_refused => {
                        tracing::warn!(%error, "two seconds are given up");
                        portion.went(began.elapsed());
                        drop(portion);
                        self.note(tokio::task::block_in_place(|| lock(store).refused(&part)));
                        continue;
                    }
                    () => return Err(Failed::for_now(&error)),
                }
            }
            portion.went(began.elapsed());
            drop(portion);
            self.note(tokio::task::block_in_place(|| lock(store).sent(&part)));
        }
    }

    /// Until somebody else has closed the capture, or it is refused for good. Passes on what the
    /// server tells of it meanwhile.
    pub(crate) async fn closed(&self, told: impl Fn(Shown)) -> AgentError {
        loop {
            tokio::time::sleep(ASK_EVERY).await;
            match self.open().await {
                Ok(shown) => told(shown),
                Err(Failed::Final(error)) => return error,
                Err(Failed::Now(_) | Failed::TooSlow(_)) => {}
            }
        }
    }

    /// Keeps what waits where it is not deleted, as the capture was closed by somebody else.
    pub(crate) fn set_aside(&self) -> AgentError {
        let session = self.state().session;
        let (path, bytes) = tokio::task::block_in_place(|| set_aside(&self.store));
        let path = path.display().to_string();
        tracing::warn!(capture = %session, path, bytes, "it was closed elsewhere: the rest is kept");
        AgentError::SetAside { session, path, bytes }
    }

    /// Sends the rest and closes the capture.
    ///
    /// # Errors
    /// Why it is not closed.
    pub(crate) async fn finish_once(&self) -> Result<(), Failed> {
        let shown = self.open().await?;
        let state = self.state();
        if shown.is_open {
            self.send_waiting(&shown).await?;
            let ended_us = state.ended_us.unwrap_or_else(|| self.clock.now_us());
            let closed = self.server.close(&state.session, ended_us).await;
            closed.map_err(Failed::of_call)?;
        }
        if self.waits() > 0 {
            return Err(Failed::Final(self.set_aside()));
        }
        if let Err(error) = forget(&self.store) {
            tracing::warn!(capture = %state.session, %error, "it is closed, but stays on the disk");
        }
        Ok(())
    }

    /// The same, again until it is done.
    ///
    /// # Errors
    /// Why it never will be.
    pub(crate) async fn finish(&self) -> Result<(), AgentError> {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        loop {
            match self.finish_once().await {
                Ok(()) => return Ok(()),
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Now(text) | Failed::TooSlow(text)) => {
                    tracing::info!("the capture can't be closed now: {text}");
                }
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }
}

/// Brings earlier captures to their end, until all of them are there, or none gets on any more once
/// it `is_over`.
pub(crate) async fn finish_earlier(
    server: &Server,
    earlier: Vec<Stored>,
    mut is_over: watch::Receiver<bool>,
) {
    let mut left: Vec<Delivery<'_>> =
        earlier.into_iter().map(|stored| Delivery::new(server, stored)).collect();
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    while !left.is_empty() {
        let was_over = *is_over.borrow();
        let mut waiting = Vec::new();
        for delivery in left {
            let finished = delivery.finish_once().await;
            let session = delivery.state().session;
            match finished {
                Ok(()) => tracing::info!(capture = %session, "an earlier capture is closed"),
                Err(Failed::Final(AgentError::SetAside { .. })) => {}
                Err(Failed::Final(error)) => {
                    let waits = delivery.waits();
                    tracing::warn!(capture = %session, waits, "it stays on the disk: {error}");
                }
                Err(Failed::Now(text) | Failed::TooSlow(text)) => {
                    let waits = delivery.waits();
                    tracing::info!(capture = %session, waits, "an earlier capture waits: {text}");
                    waiting.push(delivery);
                }
            }
        }
        left = waiting;
        if was_over {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(backoff.next()) => {}
            _ = is_over.wait_for(|it| *it) => {}
        }
    }
}
