//! Tracks the activity of a connection and decides when it is closed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::table::Place;

/// Time from accepting a connection to the complete head of its first request, including the TLS
/// handshake and the HTTP/2 preface.
pub(super) const HEAD_TIME_MAX: Duration = Duration::from_secs(15);
/// Time that a connection may be open without a request. Browsers and proxies open a new one when
/// they need it.
pub(super) const IDLE_TIME_MAX: Duration = Duration::from_mins(1);
/// Time without progress after which a connection with a request, or with a client that reads
/// nothing, is closed. Longer than answering any request takes.
pub(super) const STALL_TIME_MAX: Duration = Duration::from_mins(1);
/// Time without progress after which a connection with a request may be closed when the listener is
/// full.
const GIVE_WAY_AFTER: Duration = Duration::from_secs(5);
/// Bytes written that count as progress. With a lower number a client could keep a connection open
/// by HTTP/2 pings, which are answered, without reading anything.
const PROGRESS_BYTES: usize = 16 * 1024;
/// Time for which what a peer still sends is read and discarded after a WebSocket has ended. A
/// socket that is closed with unread bytes is reset, and the peer may lose the close code.
const LINGER_TIME_MAX: Duration = Duration::from_secs(1);
/// Most bytes that are read and discarded then. Raising it lets a peer that floods use more of the
/// server's time.
const LINGER_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes of a WebSocket that are read at once. Frames may be empty, so bytes take time that no limit
/// on messages counts. Enough for the longest message; raising it lets a peer that connects again
/// and again use more of the server's time.
const SOCKET_BYTES_AT_ONCE: i64 = 128 * 1024;
/// Bytes a second that are read of a WebSocket after that. Raising it lets a peer use more of the
/// server's time for as long as it likes.
const SOCKET_BYTES_PER_S: i64 = 128 * 1024;
/// Bytes of a WebSocket after which other connections get their turn: frames that make no message
/// are read without a pause. Raising it delays others, lowering it costs wakes.
const SOCKET_BYTES_A_TURN: usize = 16 * 1024;

/// The activity of one connection, shared by its stream, its requests and the table that may close
/// it.
#[derive(Debug)]
pub(super) struct Activity(Mutex<State>);

/// The state and the decisions; times are passed in.
#[derive(Debug)]
struct State {
    accepted_at: Instant,
    /// When a request last began, ended or made progress.
    progress_at: Instant,
    /// Bytes written since then.
    written: usize,
    had_request: bool,
    requests: usize,
    is_upgraded: bool,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No complete head of a request arrived in time.
    Head,
    /// It had no request for too long.
    Idle,
    /// Its request made no progress.
    Stalled,
}

impl Overdue {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
        }
    }
}

impl Activity {
    /// Makes the activity of a connection that is accepted now.
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::new(Instant::now())))
    }

    /// Whether it may be closed to make room for another connection: it is not a WebSocket, and has
    /// no request or one that made no progress for [`GIVE_WAY_AFTER`].
    pub(super) fn is_silent(&self) -> bool {
        self.lock().is_silent(Instant::now())
    }

    /// The head of a request is complete.
    pub(super) fn request_began(&self) {
        self.lock().request_began(Instant::now());
    }

    fn request_ended(&self) {
        self.lock().request_ended(Instant::now());
    }

    /// The connection became a WebSocket, which has limits of its own.
    pub(super) fn upgraded(&self) {
        self.lock().is_upgraded = true;
    }

    fn is_upgraded(&self) -> bool {
        self.lock().is_upgraded
    }

    fn progress(&self) {
        self.lock().progress(Instant::now());
    }

    fn wrote(&self, bytes: usize) {
        self.lock().wrote(bytes, Instant::now());
    }

    /// Completes when the connection must be closed.
    pub(super) async fn overdue(&self) -> Overdue {
        loop {
            let Some((at, reason)) = self.lock().deadline() else { break };
            if at <= Instant::now() {
                return reason;
            }
            tokio::time::sleep_until(at).await;
        }
        std::future::pending().await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            accepted_at: now,
            progress_at: now,
            written: 0,
            had_request: false,
            requests: 0,
            is_upgraded: false,
        }
    }

    fn is_silent(&self, now: Instant) -> bool {
        let is_stalled = now.duration_since(self.progress_at) >= GIVE_WAY_AFTER;
        !self.is_upgraded && (self.requests == 0 || is_stalled)
    }

    fn request_began(&mut self, now: Instant) {
        self.had_request = true;
        self.requests += 1;
        self.progress(now);
    }

    fn request_ended(&mut self, now: Instant) {
        self.requests = self.requests.saturating_sub(1);
        self.progress(now);
    }

    fn wrote(&mut self, bytes: usize, now: Instant) {
        self.written += bytes;
        if self.written >= PROGRESS_BYTES {
            self.progress(now);
        }
    }

    fn progress(&mut self, now: Instant) {
        self.progress_at = now;
        self.written = 0;
    }

    /// When it must be closed if nothing happens before; `None` for a WebSocket.
    fn deadline(&self) -> Option<(Instant, Overdue)> {
        if self.is_upgraded {
            None
        } else if !self.had_request {
            Some((self.accepted_at + HEAD_TIME_MAX, Overdue::Head))
        } else if self.requests == 0 {
            Some((self.progress_at + IDLE_TIME_MAX, Overdue::Idle))
        } else {
            Some((self.progress_at + STALL_TIME_MAX, Overdue::Stalled))
        }
    }
}

/// A request, until the last byte of its response was written or its client has disconnected.
pub(super) struct RequestInProgress(Arc<Activity>);

impl RequestInProgress {
    pub(super) fn begin(activity: &Arc<Activity>) -> Self {
        activity.request_began();
        Self(Arc::clone(activity))
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.0.request_ended();
    }
}

/// The body of a response; it records the progress of its connection.
pub(super) struct WatchedBody {
    inner: Body,
    request: RequestInProgress,
}

impl WatchedBody {
    pub(super) fn new(inner: Body, request: RequestInProgress) -> Self {
        Self { inner, request }
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(context);
        if frame.is_ready() {
            self.request.0.progress();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What a connection is made of.
pub(super) trait Connected: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connected for S {}

/// The stream of a connection. It keeps its place in the table for as long as the stream is open,
/// also as a WebSocket, and fails when the peer reads nothing for [`STALL_TIME_MAX`].
pub(super) struct WatchedStream<S: Connected> {
    /// `None` only while it is dropped.
    inner: Option<S>,
    activity: Arc<Activity>,
    /// How long a write may wait.
    write_time_max: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
    pace: Pace,
    place: Option<Place>,
}

/// How fast a WebSocket is read.
#[derive(Debug)]
struct Pace {
    /// Bytes that may be read now; below zero after a read that took more.
    left: i64,
    filled_at: Instant,
    waiting: Option<Pin<Box<Sleep>>>,
    /// Bytes that were read since others had their turn.
    since_turn: usize,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self { left: SOCKET_BYTES_AT_ONCE, filled_at: now, waiting: None, since_turn: 0 }
    }

    fn refill(&mut self, now: Instant) {
        let passed_ms = now.duration_since(self.filled_at).as_millis();
        let passed_ms = i64::try_from(passed_ms).unwrap_or(i64::MAX);
        let more = passed_ms.saturating_mul(SOCKET_BYTES_PER_S) / 1_000;
        // Times too short to count are counted with the next.
        if more > 0 {
            self.left = self.left.saturating_add(more).min(SOCKET_BYTES_AT_ONCE);
            self.filled_at = now;
        }
    }

    /// Completes when something may be read.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.since_turn >= SOCKET_BYTES_A_TURN {
            self.since_turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        loop {
            if let Some(waiting) = &mut self.waiting {
                std::task::ready!(waiting.as_mut().poll(context));
                self.waiting = None;
            }
            let now = Instant::now();
            self.refill(now);
            if self.left > 0 {
                return Poll::Ready(());
            }
            let wait_ms = (1 - self.left).saturating_mul(1_000) / SOCKET_BYTES_PER_S + 1;
            let wait = Duration::from_millis(wait_ms.unsigned_abs());
            self.waiting = Some(Box::pin(tokio::time::sleep(wait)));
        }
    }

    fn read(&mut self, bytes: usize) {
        self.since_turn = self.since_turn.saturating_add(bytes);
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl<S: Connected> WatchedStream<S> {
    pub(super) fn new(inner: S, activity: Arc<Activity>, place: Place) -> Self {
        let write_time_max = STALL_TIME_MAX;
        let (inner, place) = (Some(inner), Some(place));
        let pace = Pace::new(Instant::now());
        Self { inner, activity, write_time_max, stalled: None, pace, place }
    }

    fn inner(&mut self) -> io::Result<Pin<&mut S>> {
        self.inner.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = outcome {
            self.stalled = None;
            if let Ok(bytes) = &outcome {
                self.activity.wrote(*bytes);
            }
            return Poll::Ready(outcome);
        }
        let limit = self.write_time_max;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        match stalled.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: Connected> Drop for WatchedStream<S> {
    /// A WebSocket that has ended is read for a moment longer, with its place in the table.
    fn drop(&mut self) {
        let (Some(inner), place) = (self.inner.take(), self.place.take()) else { return };
        if !self.activity.is_upgraded() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // A peer that stays is disconnected.
                drop(tokio::time::timeout(LINGER_TIME_MAX, linger(inner)).await);
                drop(place);
            });
        }
    }
}

/// Says that nothing more comes, and discards what the peer still sends until it closes.
async fn linger(mut stream: impl Connected) {
    if stream.shutdown().await.is_err() {
        return;
    }
    let mut rest = stream.take(LINGER_BYTES_MAX);
    // However it ends, nothing is done with it.
    drop(tokio::io::copy(&mut rest, &mut tokio::io::sink()).await);
}

impl<S: Connected> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.activity.is_upgraded() {
            return self.inner()?.poll_read(context, buffer);
        }
        std::task::ready!(self.pace.poll(context));
        let before = buffer.filled().len();
        let outcome = self.inner()?.poll_read(context, buffer);
        self.pace.read(buffer.filled().len() - before);
        outcome
    }
}

impl<S: Connected> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.inner()?.poll_write(context, bytes);
        self.after_write(context, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = self.inner()?.poll_write_vectored(context, bytes);
        self.after_write(context, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner()?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn a_connection_without_a_request_is_overdue() {
        let start = Instant::now();
        let mut state = State::new(start);
        // Bytes alone, such as a part of a preface or HTTP/2 frames, do not extend the time.
        state.wrote(10 * PROGRESS_BYTES, after(start, 10));
        assert_eq!(state.deadline(), Some((start + HEAD_TIME_MAX, Overdue::Head)));
        assert!(state.is_silent(start));
    }

    #[test]
    fn a_connection_is_idle_after_its_last_request() {
        let start = Instant::now();
        let mut state = State::new(start);
        state.request_began(after(start, 1));
        state.request_began(after(start, 2));
        state.request_ended(after(start, 3));
        assert!(!state.is_silent(after(start, 4)), "the other request goes on");
        state.request_ended(after(start, 5));
        assert!(state.is_silent(after(start, 5)));
        assert_eq!(state.deadline(), Some((after(start, 5) + IDLE_TIME_MAX, Overdue::Idle)));
    }

    #[test]
    fn a_request_may_take_long_while_its_answer_moves() {
        let start = Instant::now();
        let mut state = State::new(start);
        state.request_began(start);
        let mut now = start;
        for _ in 0..10 {
            now += STALL_TIME_MAX.saturating_sub(Duration::from_secs(1));
            assert!(state.deadline().is_some_and(|(at, _)| at > now));
            state.wrote(PROGRESS_BYTES, now);
        }
        assert!(!state.is_silent(now));
        // Answers to HTTP/2 pings are no progress.
        let moved_at = now;
        for _ in 0..50 {
            now += Duration::from_secs(1);
            state.wrote(17, now);
        }
        assert_eq!(state.deadline(), Some((moved_at + STALL_TIME_MAX, Overdue::Stalled)));
        assert!(state.is_silent(now), "it gives way when the listener is full");
    }

    #[test]
    fn a_websocket_is_left_to_its_own_limits() {
        let start = Instant::now();
        let mut state = State::new(start);
        state.request_began(start);
        state.is_upgraded = true;
        state.request_ended(start);
        assert_eq!(state.deadline(), None);
        assert!(!state.is_silent(after(start, 3_600)));
    }

    #[tokio::test]
    async fn a_socket_is_read_at_a_pace_whatever_it_sends() {
        use std::future::poll_fn;
        use std::pin::pin;

        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        use crate::api::listener::table::{Limits, Table};

        let limits =
            Limits { connections: 1, per_network: 1, per_surroundings: 1, proxies: [].into() };
        let table = Arc::new(Table::new(limits));
        let activity = Arc::new(Activity::new());
        let place = table.admit([192, 0, 2, 1].into(), &activity).expect("a place");
        let (near, mut far) = tokio::io::duplex(4 * 1024 * 1024);
        far.write_all(&vec![0; 3 * 1024 * 1024]).await.expect("room");
        let mut stream = WatchedStream::new(near, Arc::clone(&activity), place);
        let mut piece = vec![0; 64 * 1024];
        for _ in 0..16 {
            // As long as it is no WebSocket, other limits hold.
            stream.read_exact(&mut piece).await.expect("read");
        }
        activity.upgraded();
        let started = Instant::now();
        let mut read = 0;
        let mut polls = 0;
        while read < 384 * 1024 {
            let mut reading = pin!(stream.read(&mut piece));
            let counted = poll_fn(|context| {
                polls += 1;
                reading.as_mut().poll(context)
            });
            read += counted.await.expect("it goes on");
        }
        // A quarter of a mebibyte more than at once, less a last piece.
        assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
        // Six pieces, and others had their turn before each but the first.
        assert!(polls >= 11, "{polls}");
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_given_up() {
        use tokio::io::AsyncWriteExt as _;

        use crate::api::listener::table::{Limits, Table};

        let limits =
            Limits { connections: 1, per_network: 1, per_surroundings: 1, proxies: [].into() };
        let table = Arc::new(Table::new(limits));
        let activity = Arc::new(Activity::new());
        let place = table.admit([192, 0, 2, 1].into(), &activity).expect("a place");
        let (near, _far) = tokio::io::duplex(1_000);
        let mut stream = WatchedStream::new(near, activity, place);
        stream.write_time_max = Duration::from_millis(10);
        let outcome = stream.write_all(&[0; 2_000]).await;
        assert_eq!(outcome.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
        assert_eq!(table.len(), 1);
        drop(stream);
        assert_eq!(table.len(), 0);
    }
}
