//! The box at work: one task takes what the camera makes, another brings it to the server, at once
//! while that can be, and later what could not be sent.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::buffer::{Buffer, Portion};
use crate::clock::{Anchor, EdgeClock, Reading};
use crate::files::{Directory, Files as _};
use crate::media::Made;
use crate::pool::Pool;
use crate::server::{CallError, Opening, Server, Shown};
use crate::source::{self, SourceError, SourceOptions};
use crate::whip::{PublishError, Publisher};

/// Waits before the server is tried again.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(20);
/// A group that ends so soon after what the server has may be there only in part.
const SAME_US: i64 = 1_000_000;
/// How long the end may take once the box is told to stop; then the rest stays for the next start.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How long the end of a publication may take.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
const STATE: &str = "capture.json";
/// Pictures and packets of sound between the camera and the one that takes them.
const MADE_MAX: usize = 1_024;

/// What is kept of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    session: String,
    device: String,
    began_us: i64,
    /// When it ended, once it has.
    ended_us: Option<i64>,
    clock: Anchor,
}

/// What the box is told.
pub(crate) struct Options {
    /// What it captures.
    pub(crate) source: SourceOptions,
    /// How it names itself.
    pub(crate) device: String,
    /// How long it captures; until it is told to stop without one.
    pub(crate) duration: Option<Duration>,
    /// How much longer it goes on then.
    pub(crate) post_roll: Duration,
    /// Bytes of the buffer.
    pub(crate) buffer_limit: u64,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The capture is at the server and closed.
    Closed(String),
    /// It was told to stop, and so many bytes wait for the next start.
    Waiting(String, u64),
}

/// Why the box does not capture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The directory.
    #[error("the directory of the box can't be used: {0}")]
    Directory(#[from] io::Error),
    /// The server refuses for good.
    #[error(transparent)]
    Refused(CallError),
    /// Somebody else has closed the capture.
    #[error("the capture {0} was closed by somebody else; what it had not sent is given up")]
    Closed(String),
}

type Shared = Arc<Mutex<Pool<Directory>>>;

/// The box.
struct Agent<'agent> {
    server: &'agent Server,
    pool: Shared,
    clock: EdgeClock,
    state: State,
    has_sound: bool,
    portion: Mutex<Portion>,
    /// The camera has ended for good.
    has_ended: watch::Receiver<bool>,
}

/// Captures until the time is over or `stop` ends, and closes the capture. What an earlier run has
/// left is brought to its end before.
///
/// # Errors
/// Why it can't go on.
pub(crate) async fn run(
    options: Options,
    server: &Server,
    directory: Directory,
    stop: impl Future<Output = ()>,
) -> Result<Outcome, AgentError> {
    let mut stop = std::pin::pin!(stop);
    let mut directory = directory;
    let mut before = load(&mut directory)?;
    let buffer = Buffer::open(directory, options.buffer_limit)?;
    let last_us = buffer.last_us().unwrap_or(0);
    if let Some(state) = &mut before
        && state.device != options.device
    {
        // A box with another name does not go on with it.
        state.ended_us.get_or_insert(last_us.max(state.began_us));
    }
    let mut pool = Pool::new(buffer);
    if let Some(state) = &before
        && state.ended_us.is_some()
    {
        tracing::info!(capture = %state.session, "an earlier capture is brought to its end");
        let clock = EdgeClock::resume(state.clock.clone(), last_us, Reading::now());
        let shared = Arc::new(Mutex::new(pool));
        let (_, has_ended) = watch::channel(true);
        let agent = Agent {
            server,
            pool: Arc::clone(&shared),
            clock,
            state: state.clone(),
            has_sound: false,
            portion: Mutex::default(),
            has_ended,
        };
        match finish_earlier(&agent, stop.as_mut()).await? {
            Outcome::Closed(_) => {}
            waiting @ Outcome::Waiting(..) => return Ok(waiting),
        }
        drop(agent);
        let shared = Arc::into_inner(shared).ok_or_else(|| io::Error::other("it is in use"))?;
        pool = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    }
    let going_on = before.filter(|it| it.ended_us.is_none());
    let (state, clock) = begin(going_on, &options.device, last_us);
    save(&mut pool, &state)?;
    capture(options, server, (Arc::new(Mutex::new(pool)), clock, state), stop).await
}

/// The capture that goes on, or a new one.
fn begin(going_on: Option<State>, device: &str, last_us: i64) -> (State, EdgeClock) {
    if let Some(state) = going_on {
        tracing::info!(capture = %state.session, "a capture goes on");
        let clock = EdgeClock::resume(state.clock.clone(), last_us, Reading::now());
        return (State { clock: clock.anchor().clone(), ..state }, clock);
    }
    let clock = EdgeClock::begin(Reading::now());
    let began_us = clock.now_us();
    let session = format!("{device}-{}", uuid::Uuid::new_v4().simple());
    let (device, anchor) = (device.to_owned(), clock.anchor().clone());
    (State { session, device, began_us, ended_us: None, clock: anchor }, clock)
}

async fn finish_earlier(
    agent: &Agent<'_>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<Outcome, AgentError> {
    let session = agent.state.session.clone();
    tokio::select! {
        finished = agent.finish() => finished,
        () = stop => {
            let waiting = lock(&agent.pool).buffer().bytes();
            Ok(Outcome::Waiting(session, waiting))
        }
    }
}

async fn capture(
    options: Options,
    server: &Server,
    (pool, clock, state): (Shared, EdgeClock, State),
    mut stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<Outcome, AgentError> {
    let (made_to, made) = mpsc::channel(MADE_MAX);
    let (ended_to, has_ended) = watch::channel(false);
    let source = options.source.clone();
    let has_sound = source.has_sound();
    let camera = {
        let clock = clock.clone();
        tokio::spawn(async move { source::run(&source, &clock, &made_to).await })
    };
    let taking = tokio::spawn(take(made, Arc::clone(&pool), has_ended.clone()));
    let mut agent = Agent {
        server,
        pool: Arc::clone(&pool),
        clock: clock.clone(),
        state,
        has_sound,
        portion: Mutex::default(),
        has_ended,
    };
    tracing::info!(capture = %agent.state.session, "the capture begins");
    let over = {
        let mut bringing = std::pin::pin!(agent.bring());
        let mut camera = camera;
        let until = until(&options, &clock, agent.state.began_us);
        let over = tokio::select! {
            () = until => Ok(false),
            () = stop.as_mut() => Ok(true),
            failed = &mut camera => match failed {
                Ok(Err(error)) => Err(AgentError::Source(error)),
                _ => Err(AgentError::Directory(io::Error::other("the camera's task has ended"))),
            },
            error = &mut bringing => Err(error.err().unwrap_or_else(|| {
                AgentError::Directory(io::Error::other("nothing is brought to the server"))
            })),
        };
        // The camera ends, and what it made is grouped to the end; who publishes says goodbye.
        let is_bringing = !matches!(&over, Err(AgentError::Refused(_) | AgentError::Closed(_)));
        ended_to.send_replace(true);
        if is_bringing {
            drop(tokio::time::timeout(GOODBYE_MAX, bringing).await);
        }
        over
    };
    // A task that has failed took what it could.
    drop(taking.await);
    let ended_us = clock.now_us();
    agent.state.ended_us = Some(ended_us);
    {
        let mut pool = lock(&pool);
        // What is not known to have come is sent again; the server leaves out what it has.
        pool.cut();
        save(&mut pool, &agent.state)?;
    }
    conclude(&agent, over, stop).await
}

/// Brings what is left to the server and closes the capture, within the time that there is for it.
async fn conclude(
    agent: &Agent<'_>,
    over: Result<bool, AgentError>,
    stop: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Result<Outcome, AgentError> {
    let was_told = match over {
        Ok(was_told) => was_told,
        // A camera that never showed anything leaves an empty capture, which is closed.
        Err(AgentError::Source(error)) => {
            drop(tokio::time::timeout(STOP_MAX, agent.finish()).await);
            return Err(error.into());
        }
        Err(error) => return Err(error),
    };
    let patience = async {
        if was_told {
            tokio::time::sleep(STOP_MAX).await;
        } else {
            stop.await;
        }
    };
    tokio::select! {
        finished = agent.finish() => finished,
        () = patience => {
            let waiting = lock(&agent.pool).buffer().bytes();
            Ok(Outcome::Waiting(agent.state.session.clone(), waiting))
        }
    }
}

/// Until the time to capture is over.
async fn until(options: &Options, clock: &EdgeClock, began_us: i64) {
    let Some(duration) = options.duration else { return std::future::pending().await };
    let whole = i64::try_from((duration + options.post_roll).as_micros()).unwrap_or(i64::MAX);
    let left = began_us.saturating_add(whole).saturating_sub(clock.now_us());
    tokio::time::sleep(Duration::from_micros(u64::try_from(left).unwrap_or(0))).await;
}

/// Takes what the camera makes, until it has ended.
async fn take(
    mut made: mpsc::Receiver<Option<Made>>,
    pool: Shared,
    mut has_ended: watch::Receiver<bool>,
) {
    loop {
        let next = tokio::select! {
            next = made.recv() => next,
            _ = has_ended.wait_for(|it| *it) => None,
        };
        let Some(next) = next else { break };
        handle(&pool, next);
    }
    made.close();
    while let Ok(next) = made.try_recv() {
        handle(&pool, next);
    }
    handle(&pool, None);
}

fn handle(pool: &Shared, made: Option<Made>) {
    // A disk that is slow holds up nobody else.
    tokio::task::block_in_place(|| match made {
        Some(made) => lock(pool).handle(made),
        None => lock(pool).handle_end(),
    });
}

impl Agent<'_> {
    /// Brings what is made to the server, until the camera has ended for good.
    async fn bring(&self) -> Result<(), AgentError> {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        while !*self.has_ended.borrow() {
            let began = Instant::now();
            let failed = match self.connect().await {
                Ok(publisher) => Failed::Now(self.publish(publisher).await),
                Err(failed) => failed,
            };
            lock(&self.pool).cut();
            let text = match failed {
                Failed::Final(error) => return Err(error),
                Failed::Now(text) => text,
            };
            if began.elapsed() >= LASTED {
                backoff.reset();
            }
            let waits = lock(&self.pool).buffer().bytes();
            tracing::info!(waits, "what is captured is kept here for now: {text}");
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.ended() => {}
            }
        }
        Ok(())
    }

    /// Until the camera has ended for good.
    async fn ended(&self) {
        // Who would tell it is there as long as the box.
        drop(self.has_ended.clone().wait_for(|it| *it).await);
    }

    /// Sends what waits, and connects.
    async fn connect(&self) -> Result<Publisher, Failed> {
        tokio::select! {
            connected = self.connect_now() => connected,
            () = self.ended() => Err(Failed::Now("the camera has ended".to_owned())),
        }
    }

    async fn connect_now(&self) -> Result<Publisher, Failed> {
        loop {
            let shown = self.open().await?;
            self.send_waiting(&shown).await?;
            if lock(&self.pool).open() {
                break;
            }
            // Another group has ended meanwhile.
        }
        let connected = Publisher::connect(self.server, &self.state.session, self.has_sound);
        let publisher = Box::pin(connected).await.map_err(|error| Failed::of_publishing(&error))?;
        tracing::info!(capture = %self.state.session, "what is captured is published");
        Ok(publisher)
    }

    async fn open(&self) -> Result<Shown, Failed> {
        let State { session, device, began_us, .. } = &self.state;
        let opening = Opening { session, device, began_us: *began_us };
        let shown = self.server.open(opening, || self.clock.now_us()).await;
        let shown = shown.map_err(Failed::of_call)?;
        if !shown.is_open && self.state.ended_us.is_none() {
            return Err(Failed::Final(AgentError::Closed(session.clone())));
        }
        Ok(shown)
    }

    /// Sends what waits, the oldest first.
    async fn send_waiting(&self, shown: &Shown) -> Result<(), Failed> {
        if let Some(until_us) = shown.kept_until_us {
            let forgotten = lock(&self.pool).buffer().forget_until(until_us - SAME_US);
            forgotten.map_err(|error| Failed::of_disk(&error))?;
        }
        loop {
            let part = tokio::task::block_in_place(|| {
                lock(&self.pool).buffer().next(&lock_portion(&self.portion))
            });
            let Some(part) = part.map_err(|error| Failed::of_disk(&error))? else { return Ok(()) };
            let (bytes, ahead_us) = (part.bytes.clone(), shown.ahead_us);
            let sent = self.server.append(&self.state.session, bytes, ahead_us).await;
            let mut portion = lock_portion(&self.portion);
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
                    () if is_refused => tracing::warn!(%error, "two seconds are given up"),
                    () => return Err(Failed::of_sending(&error)),
                }
            }
            portion.went();
            drop(portion);
            lock(&self.pool).buffer().sent(&part).map_err(|error| Failed::of_disk(&error))?;
        }
    }

    /// Sends what is made, until the connection is cut or the camera has ended; why.
    async fn publish(&self, mut publisher: Publisher) -> String {
        let mut live = lock(&self.pool).live();
        let why = loop {
            let made = tokio::select! {
                made = live.recv() => made,
                state = publisher.broken() => break format!("the connection is {state}"),
                () = self.ended() => break "the camera has ended".to_owned(),
            };
            let Some(made) = made else { break "the connection is too slow".to_owned() };
            if let Err(error) = publisher.send(&made).await {
                break error.to_string();
            }
        };
        lock(&self.pool).cut();
        publisher.end(self.server).await;
        why
    }

    /// Sends the rest and closes the capture.
    async fn finish(&self) -> Result<Outcome, AgentError> {
        let ended_us = self.state.ended_us.unwrap_or_else(|| self.clock.now_us());
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        loop {
            let finished = async {
                let shown = self.open().await?;
                if shown.is_open {
                    self.send_waiting(&shown).await?;
                    let closed = self.server.close(&self.state.session, ended_us).await;
                    closed.map_err(Failed::of_call)?;
                }
                Ok::<(), Failed>(())
            };
            match finished.await {
                Ok(()) => break,
                Err(Failed::Final(error)) => return Err(error),
                Err(Failed::Now(text)) => tracing::info!("the capture can't be closed now: {text}"),
            }
            tokio::time::sleep(backoff.next()).await;
        }
        let mut pool = lock(&self.pool);
        pool.buffer().forget_until(i64::MAX)?;
        pool.buffer().files().remove(STATE)?;
        Ok(Outcome::Closed(self.state.session.clone()))
    }
}

/// Why nothing more is brought to the server.
enum Failed {
    /// For now.
    Now(String),
    /// For good.
    Final(AgentError),
}

impl Failed {
    fn of_call(error: CallError) -> Self {
        if error.is_for_now() {
            Self::Now(error.to_string())
        } else {
            Self::Final(AgentError::Refused(error))
        }
    }

    /// A publication that was cut off may be there for a few seconds, and whether the capture may be
    /// used at all is told when it is opened.
    fn of_sending(error: &CallError) -> Self {
        Self::Now(error.to_string())
    }

    fn of_publishing(error: &PublishError) -> Self {
        Self::Now(error.to_string())
    }

    fn of_disk(error: &io::Error) -> Self {
        Self::Now(format!("the buffer can't be read: {error}"))
    }
}

fn lock_portion(portion: &Mutex<Portion>) -> MutexGuard<'_, Portion> {
    portion.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(directory: &mut Directory) -> io::Result<Option<State>> {
    match directory.read(STATE) {
        // One that is damaged belongs to no capture that could go on.
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn save(pool: &mut Pool<Directory>, state: &State) -> io::Result<()> {
    let text = serde_json::to_vec(state).map_err(io::Error::other)?;
    pool.buffer().files().write(STATE, &text)
}

fn lock(pool: &Shared) -> MutexGuard<'_, Pool<Directory>> {
    pool.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::source::Camera;
    use crate::stand_in::{Answer, Asked, StandIn, html, refusal};

    fn options(duration_s: Option<u64>) -> Options {
        Options {
            source: SourceOptions {
                ffmpeg: "ffmpeg".into(),
                camera: Camera::Test,
                microphone: None,
                size: (160, 90),
                rate: 25,
                kbps: 100,
            },
            device: "box".to_owned(),
            duration: duration_s.map(Duration::from_secs),
            post_roll: Duration::ZERO,
            buffer_limit: 1 << 30,
        }
    }

    async fn captured(
        place: &Path,
        server: &StandIn,
        options: Options,
    ) -> Result<Outcome, AgentError> {
        let directory = Directory::open(place).expect("a directory");
        let (server, stop) = (server.server(), std::future::pending());
        let running = run(options, &server, directory, stop);
        tokio::time::timeout(Duration::from_mins(1), running).await.expect("it ends")
    }

    /// Answers so for a while from the first question for a capture on.
    fn at_first(
        lasts: Duration,
        answer: impl Fn() -> Answer + Send + 'static,
    ) -> impl Fn(&Asked) -> Option<Answer> + Send + 'static {
        let began = Instant::now();
        move |asked| (asked.path.starts_with("/store") && began.elapsed() < lasts).then(&answer)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn odd_answers_end_no_capture_and_refusals_that_pass_do_not_either() {
        for answer in [
            || html(302),
            || html(404),
            || html(405),
            || html(413),
            || refusal(401, "TOKEN_INVALID"),
            || refusal(404, "ROUTE_NOT_FOUND"),
        ] {
            let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
            server.set(at_first(Duration::from_secs(3), answer));
            let ended = captured(place.path(), &server, options(Some(5))).await;
            assert!(matches!(ended, Ok(Outcome::Closed(_))), "{:?}: {ended:?}", answer());
            let captures = server.captures();
            let [kept] = captures.values().collect::<Vec<_>>()[..] else { panic!("{captures:?}") };
            assert!(kept.is_closed && !kept.parts.is_empty(), "{:?}: {kept:?}", answer());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_capture_of_somebody_else_is_refused_for_good() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        server.set(|asked| {
            asked.path.starts_with("/store").then(|| refusal(409, "CAPTURE_SESSION_CONFLICT"))
        });
        let ended = captured(place.path(), &server, options(Some(30))).await;
        assert!(matches!(ended, Err(AgentError::Refused(_))), "{ended:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_proxy_that_takes_little_at_once_gets_little_at_once() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        let away = at_first(Duration::from_secs(9), || html(502));
        server.set(move |asked| {
            away(asked).or_else(|| (asked.body.len() > 60_000).then(|| html(413)))
        });
        let options = Options { duration: Some(Duration::from_secs(11)), ..options(None) };
        let ended = captured(place.path(), &server, options).await;
        assert!(matches!(ended, Ok(Outcome::Closed(_))), "{ended:?}");
        let parts = server.captures().into_values().next().expect("a capture").parts;
        let sent: usize = parts.iter().map(Vec::len).sum();
        assert!(parts.len() > 1 && sent > 100_000, "{} parts, {sent} bytes", parts.len());
        let tried = server.asked("/media");
        assert!(tried.iter().any(|it| it.body.len() > 60_000), "nothing was too large");
    }
}
