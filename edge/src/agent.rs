//! The box at work: one task takes what the camera makes, another brings it to the server, at once
//! while that can be, and later what could not be sent.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::captures::{self, Record, Store, Stored, Wanted, forget, lock};
use crate::clock::EdgeClock;
use crate::files::{Place, Root};
use crate::fit::{Act, Fit};
use crate::media::Made;
use crate::missing::{Gaps, Missing};
use crate::pool::Pool;
use crate::sending::{AGAIN, Delivery, Failed, SAME_US, finish_earlier};
use crate::server::{CallError, Server, Shown};
use crate::source::{self, SourceError, SourceOptions};
use crate::whip::{Moment, PublishError, Publisher, broken, is_over};

/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(20);
/// Waits before it is tried again to send live over a line that carried too little; and how often
/// what waits is sent meanwhile. A connection that lasted so long begins with the shortest again.
const LIVE_AGAIN: (Duration, Duration) = (Duration::from_secs(30), Duration::from_mins(15));
const SENT_EVERY: Duration = Duration::from_secs(5);
const FITTED: Duration = Duration::from_mins(5);
/// How often it is looked whether what is sent is late, while it is not sent.
const LOOKED_EVERY: Duration = Duration::from_secs(1);
/// How long the end may take once the box is told to stop; then the rest stays for the next start.
const STOP_MAX: Duration = Duration::from_secs(20);
/// How long the end of a publication may take.
const GOODBYE_MAX: Duration = Duration::from_secs(5);
/// How long the last of what was sent live is waited for.
const LAST_MAX: Duration = Duration::from_secs(2);
/// How often it is written down that the box captures. Raising it knows less well when a cut of
/// power was.
const SEEN_EVERY: Duration = Duration::from_secs(20);
/// Pictures and packets of sound between the camera and the one that takes them.
const MADE_MAX: usize = 1_024;

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
    /// The same, but not all that was to be captured is there.
    Incomplete(String, Missing),
    /// It was told to stop, and so many bytes wait for the next start.
    Waiting(String, u64),
}

/// Why the box does not capture.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AgentError {
    /// The camera.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A task of its own has ended.
    #[error("the box can't go on: {0}")]
    Task(&'static str),
    /// The server refuses for good.
    #[error(transparent)]
    Refused(CallError),
    /// Somebody else has closed the capture.
    #[error("the capture {0} was closed by somebody else; nothing was left to send")]
    Closed(String),
    /// The same, and not all of it was sent.
    #[error(
        "the capture {session} was closed by somebody else; {bytes} bytes that are not known to be \
         there are kept in {path}"
    )]
    SetAside {
        /// The capture.
        session: String,
        /// The directory.
        path: String,
        /// What is in it.
        bytes: u64,
    },
}

type Shared = Arc<Mutex<Pool<Place>>>;

/// The box.
struct Agent<'agent> {
    delivery: Delivery<'agent>,
    pool: Shared,
    has_sound: bool,
    fit: Mutex<Fit>,
    /// What the encoder is told to make, in kilobits a second.
    encode: watch::Sender<u32>,
    /// The camera has ended for good.
    has_ended: watch::Receiver<bool>,
}

/// Captures until the time is over or `stop` ends, and closes the capture. What earlier runs have
/// left is brought to its end beside it.
///
/// # Errors
/// Why it can't go on.
pub(crate) async fn run(
    options: Options,
    server: &Server,
    mut root: Root,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<Outcome, AgentError> {
    let whole = options.duration.map(|it| it.saturating_add(options.post_roll));
    let wanted = Wanted {
        device: options.device.clone(),
        whole_us: whole.map(|it| i64::try_from(it.as_micros()).unwrap_or(i64::MAX)),
        buffer_limit: options.buffer_limit,
    };
    let (stored, earlier) = captures::find(&mut root, &wanted);
    let (stop_to, stopped) = watch::channel(false);
    let (over_to, is_over) = watch::channel(false);
    let capturing = async {
        let outcome = capture(&options, server, (stored, root), stopped.clone()).await;
        over_to.send_replace(true);
        outcome
    };
    let bringing = async {
        tokio::select! {
            () = finish_earlier(server, earlier, is_over) => {}
            () = patience(stopped.clone()) => {}
        }
    };
    drop(tokio::spawn(async move {
        stop.await;
        stop_to.send_replace(true);
    }));
    tokio::join!(capturing, bringing).0
}

/// How long it may go on once it is told to stop.
async fn patience(mut stopped: watch::Receiver<bool>) {
    // Who would tell it is there as long as the box.
    drop(stopped.wait_for(|it| *it).await);
    tokio::time::sleep(STOP_MAX).await;
}

async fn capture(
    options: &Options,
    server: &Server,
    (stored, root): (Stored, Root),
    mut stopped: watch::Receiver<bool>,
) -> Result<Outcome, AgentError> {
    let (made_to, made) = mpsc::channel(MADE_MAX);
    let (ended_to, has_ended) = watch::channel(false);
    let source = options.source.clone();
    let fit = Mutex::new(Fit::new(source.kbps, Instant::now().into_std()));
    let (encode, kbps) = watch::channel(source.kbps);
    let has_sound = source.has_sound();
    let clock = stored.clock.clone();
    let pool = Arc::new(Mutex::new(Pool::new(Arc::clone(&stored.store))));
    let camera = {
        let clock = clock.clone();
        tokio::spawn(async move { source::run(source, &clock, &made_to, kbps).await })
    };
    tracing::info!(capture = %stored.state.session, "the capture begins");
    let since_us = stored.state.seen_us;
    let delivery = Delivery::new(server, stored);
    let (begun_to, begun) = watch::channel(false);
    let record = Arc::clone(&delivery.record);
    let taken = Taken { pool: Arc::clone(&pool), record, since_us, begun_to };
    let taking = tokio::spawn(take(made, taken, (clock.clone(), has_ended.clone())));
    let record = Arc::clone(&delivery.record);
    let store = Arc::clone(&delivery.store);
    let writing = tokio::spawn(write_down((record, store), clock.clone(), has_ended.clone()));
    let agent = Agent { delivery, pool: Arc::clone(&pool), has_sound, fit, encode, has_ended };
    let over = {
        let mut bringing = std::pin::pin!(agent.bring());
        let mut camera = camera;
        let over = tokio::select! {
            () = until(&agent.delivery.record, begun, &clock) => Ok(()),
            _ = stopped.wait_for(|it| *it) => Ok(()),
            failed = &mut camera => match failed {
                Ok(Err(error)) => Err(AgentError::Source(error)),
                _ => Err(AgentError::Task("the camera's task has ended")),
            },
            error = &mut bringing => Err(error),
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
    drop(writing.await);
    let ended_us = clock.now_us();
    // What is not known to have come is sent again; the server leaves out what it has.
    lock(&pool).cut();
    if let Err(error) = agent.delivery.record.change(|it| it.ended_us = Some(ended_us)) {
        tracing::warn!(%error, "when the capture ended can't be written down");
    }
    // Another process may capture while this one brings what it has to the server.
    drop(root);
    conclude(&agent.delivery, over, stopped).await
}

/// Brings what is left to the server and closes the capture, within the time that there is for it.
async fn conclude(
    delivery: &Delivery<'_>,
    over: Result<(), AgentError>,
    stopped: watch::Receiver<bool>,
) -> Result<Outcome, AgentError> {
    match over {
        Ok(()) => {}
        // A camera that never showed anything leaves an empty capture, which is closed.
        Err(AgentError::Source(error)) => {
            drop(tokio::time::timeout(STOP_MAX, delivery.finish()).await);
            return Err(error.into());
        }
        Err(AgentError::Closed(_)) if delivery.waits() > 0 => return Err(delivery.set_aside()),
        Err(error) => {
            if matches!(error, AgentError::Closed(_)) {
                drop(forget(&delivery.store));
            }
            return Err(error);
        }
    }
    let session = delivery.state().session;
    tokio::select! {
        finished = delivery.finish() => finished.map(|()| {
            let missing = delivery.missing();
            if missing == Missing::default() {
                Outcome::Closed(session)
            } else {
                Outcome::Incomplete(session, missing)
            }
        }),
        () = patience(stopped) => Ok(Outcome::Waiting(session, delivery.waits())),
    }
}

/// Until the time to capture is over, which begins with the first picture.
async fn until(record: &Record, mut begun: watch::Receiver<bool>, clock: &EdgeClock) {
    let has_begun = begun.wait_for(|it| *it).await.is_ok();
    let until_us = record.state().until_us.filter(|_| has_begun);
    let Some(until_us) = until_us else { return std::future::pending().await };
    let left_us = until_us.saturating_sub(clock.now_us());
    tokio::time::sleep(Duration::from_micros(u64::try_from(left_us).unwrap_or(0))).await;
}

/// Writes down again and again that the box captures, until the camera has ended. A disk that does
/// not take it stops nothing.
async fn write_down(
    (record, store): (Arc<Record>, Store),
    clock: EdgeClock,
    mut has_ended: watch::Receiver<bool>,
) {
    let mut is_told = false;
    loop {
        let given_up_us = lock(&store).given_up_us();
        let changed = record.change(|it| {
            it.seen_us = clock.now_us();
            it.given_up_us = it.given_up_before_us + given_up_us;
        });
        match changed {
            Ok(()) => is_told = false,
            Err(error) if !is_told => {
                is_told = true;
                tracing::warn!(%error, "that the box captures can't be written down");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = tokio::time::sleep(SEEN_EVERY) => {}
            _ = has_ended.wait_for(|it| *it) => return,
        }
    }
}

/// Where what the camera makes goes to.
struct Taken {
    pool: Shared,
    record: Arc<Record>,
    /// From when on the time to capture is counted, before there is a picture.
    since_us: i64,
    /// Tells that there was a picture.
    begun_to: watch::Sender<bool>,
}

/// Takes what the camera makes, until it has ended.
async fn take(
    mut made: mpsc::Receiver<Option<Made>>,
    taken: Taken,
    (clock, mut has_ended): (EdgeClock, watch::Receiver<bool>),
) {
    let mut gaps = Gaps::default();
    loop {
        let next = tokio::select! {
            next = made.recv() => next,
            _ = has_ended.wait_for(|it| *it) => None,
        };
        let Some(next) = next else { break };
        taken.handle(next, &mut gaps);
    }
    made.close();
    while let Ok(next) = made.try_recv() {
        taken.handle(next, &mut gaps);
    }
    handle(&taken.pool, None);
    if let Some(gap_us) = gaps.handle_end(clock.now_us()) {
        taken.handle_gap(gap_us);
    }
}

impl Taken {
    fn handle(&self, made: Option<Made>, gaps: &mut Gaps) {
        if let Some(next) = &made {
            let is_first = !gaps.has_begun();
            let gap_us = gaps.handle(next);
            if is_first && gaps.has_begun() {
                self.handle_first(next.at_us() - self.since_us);
            }
            if let Some(gap_us) = gap_us {
                self.handle_gap(gap_us);
                if next.is_key() {
                    // A publication has no gap: what comes now is another one.
                    tokio::task::block_in_place(|| lock(&self.pool).cut());
                }
            }
        }
        handle(&self.pool, made);
    }

    /// The time to capture begins with the first picture.
    fn handle_first(&self, after_us: i64) {
        let changed = self.record.change(|it| {
            it.until_us = it.until_us.map(|until| until.saturating_add(after_us.max(0)));
        });
        if let Err(error) = changed {
            tracing::warn!(%error, "until when it is captured can't be written down");
        }
        self.begun_to.send_replace(true);
    }

    fn handle_gap(&self, gap_us: i64) {
        let seconds = format!("{}.{}", gap_us / 1_000_000, gap_us / 100_000 % 10);
        tracing::warn!(seconds, "the camera gave no pictures for a while, which are missing");
        if let Err(error) = self.record.change(|it| it.camera_missing_us += gap_us) {
            tracing::warn!(%error, "that pictures are missing can't be written down");
        }
    }
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
    async fn bring(&self) -> AgentError {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
        let mut slow = Backoff::new(LIVE_AGAIN.0, LIVE_AGAIN.1);
        while !*self.has_ended.borrow() {
            let began = Instant::now();
            let failed = match self.connect().await {
                Ok(publisher) => self.publish(publisher).await,
                Err(failed) => failed,
            };
            lock(&self.pool).cut();
            if began.elapsed() >= LASTED {
                backoff.reset();
            }
            if began.elapsed() >= FITTED {
                slow.reset();
            }
            let text = match failed {
                Failed::Final(error) => return error,
                Failed::Now(text) => text,
                Failed::TooSlow(text) if self.goes_slower() => text,
                Failed::TooSlow(text) => {
                    let wait = slow.next();
                    tracing::warn!(again_s = wait.as_secs(), "nothing is sent live: {text}");
                    if let Some(error) = self.send_only(wait).await {
                        return error;
                    }
                    continue;
                }
            };
            let waits = self.delivery.waits();
            tracing::info!(waits, "what is captured is kept here for now: {text}");
            tokio::select! {
                () = tokio::time::sleep(backoff.next()) => {}
                () = self.ended() => {}
            }
        }
        AgentError::Task("the camera has ended")
    }

    /// Whether slower pictures are made from now on, as what was sent live did not come in time.
    fn goes_slower(&self) -> bool {
        let slower = lock(&self.fit).handle_too_slow(Instant::now().into_std());
        if let Some(kbps) = slower {
            let before = self.encode.send_replace(kbps);
            tracing::warn!(before, kbps, "pictures are made to fit the line");
        }
        slower.is_some()
    }

    /// Sends what waits, and nothing live, for so long; why nothing more is sent at all.
    async fn send_only(&self, wait: Duration) -> Option<AgentError> {
        let until = Instant::now() + wait;
        while Instant::now() < until && !*self.has_ended.borrow() {
            let sending = async {
                let shown = self.delivery.open().await?;
                self.delivery.send_waiting(&shown).await
            };
            let sent = tokio::select! {
                sent = sending => sent,
                () = self.ended() => return None,
            };
            match sent {
                Ok(()) => {}
                Err(Failed::Final(error)) => return Some(error),
                Err(Failed::Now(text) | Failed::TooSlow(text)) => {
                    let waits = self.delivery.waits();
                    tracing::info!(waits, "what is captured is kept here for now: {text}");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(SENT_EVERY) => {}
                () = self.ended() => {}
            }
        }
        None
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
        let Shown { ahead_us, .. } = loop {
            let shown = self.delivery.open().await?;
            self.delivery.send_waiting(&shown).await?;
            if lock(&self.pool).open() {
                break shown;
            }
            // Another group has ended meanwhile.
        };
        let session = self.delivery.state().session;
        let moment = Moment { now_us: self.delivery.clock.now_us(), ahead_us };
        let what = (self.has_sound, lock(&self.fit).wanted_bits());
        let connected = Publisher::connect(self.delivery.server, &session, what, moment);
        let publisher = Box::pin(connected).await.map_err(|error| Failed::for_now(&error))?;
        tracing::info!(capture = %session, "what is captured is published");
        Ok(publisher)
    }

    /// Sends what is made, until the connection is cut, the camera has ended or somebody else has
    /// closed the capture; why.
    async fn publish(&self, mut publisher: Publisher) -> Failed {
        let mut live = lock(&self.pool).live();
        lock(&self.fit).handle_begin(Instant::now().into_std());
        let mut state = publisher.state();
        let closed = self.delivery.closed(|shown| {
            let kept_until_us = shown.kept_until_us.unwrap_or(i64::MIN);
            lock(&self.pool).kept(kept_until_us.saturating_sub(SAME_US));
        });
        let why = tokio::select! {
            why = self.send_live(&mut publisher, &mut live) => why,
            state = broken(&mut state) => Failed::Now(format!("the connection is {state}")),
            error = closed => Failed::Final(error),
            () = self.ended() => Failed::Now("the camera has ended".to_owned()),
        };
        lock(&self.pool).cut();
        if !is_over(*state.borrow()) {
            let last = async {
                while let Ok(made) = live.try_recv() {
                    publisher.send(&made).await?;
                }
                publisher.finish().await
            };
            // What does not arrive now is sent again.
            drop(tokio::time::timeout(LAST_MAX, last).await);
        }
        publisher.end(self.delivery.server).await;
        why
    }

    /// Sends what is made, one group after the other: the next one once all of the one before has
    /// arrived, so that what the server keeps has no holes. Why it does not go on.
    async fn send_live(
        &self,
        publisher: &mut Publisher,
        live: &mut mpsc::Receiver<Made>,
    ) -> Failed {
        let carried = publisher.carried();
        while let Some(made) = live.recv().await {
            let sending = async {
                if made.is_key() {
                    publisher.settle().await?;
                    lock(&self.pool).arrived(made.at_us());
                }
                publisher.send(&made).await
            };
            let mut sending = std::pin::pin!(sending);
            loop {
                let sent = tokio::select! {
                    sent = &mut sending => Some(sent),
                    () = tokio::time::sleep(LOOKED_EVERY) => None,
                };
                if let Some(Err(error)) = &sent {
                    return Failed::of_publishing(error);
                }
                if !self.fits(made.at_us(), carried.bits()) {
                    return Failed::of_publishing(&PublishError::TooSlow);
                }
                if sent.is_some() {
                    break;
                }
            }
        }
        Failed::Now("what comes now does not go on from what was sent".to_owned())
    }

    /// Something is sent that was made then: whether it still may be sent live.
    fn fits(&self, made_us: i64, carries: Option<f64>) -> bool {
        let late_us = self.delivery.clock.now_us().saturating_sub(made_us);
        let late = Duration::from_micros(u64::try_from(late_us).unwrap_or(0));
        let act = lock(&self.fit).handle(late, carries, Instant::now().into_std());
        if let Some(Act::Encode(kbps)) = act {
            let before = self.encode.send_replace(kbps);
            let kbit_s = carries.map(|it| (it / 1_000.0).round());
            tracing::warn!(before, kbps, ?kbit_s, "pictures are made to fit the line");
        }
        act != Some(Act::EndLive)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::media::Kept;
    use crate::media::tests::pictures_us;
    use crate::server::us_of;
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
        let root = Root::open(place).expect("a directory");
        let (server, stop) = (server.server(), std::future::pending());
        let running = run(options, &server, root, stop);
        tokio::time::timeout(Duration::from_mins(1), running).await.expect("it ends")
    }

    /// What is told to be missing because the camera gave no pictures, which is just what the parts
    /// that the server has lack of the time that was asked for; nothing was given up. A machine
    /// that is too busy makes such gaps too.
    fn lacks_us(ended: &Result<Outcome, AgentError>, parts: &[Vec<u8>], seconds: u64) -> i64 {
        // As a gap, and as what rounding the times of pictures may change.
        const GAP_US: i64 = 1_000_100;
        const ROUNDING_US: i64 = 1_000;
        let told = match ended {
            Ok(Outcome::Closed(_)) => Missing::default(),
            Ok(Outcome::Incomplete(_, missing)) => *missing,
            _ => panic!("{ended:?}"),
        };
        assert_eq!(told.given_up_us, 0, "{told:?}");
        let mut pictures: Vec<i64> = parts.iter().flat_map(|it| pictures_us(it)).collect();
        pictures.sort_unstable();
        let apart = pictures.windows(2).map(|it| it[1] - it[0]);
        let between: i64 = apart.filter(|it| *it > GAP_US).sum();
        let at_end = told.camera_us - between;
        let (first, last) = (pictures[0], pictures[pictures.len() - 1]);
        let until = first + i64::try_from(seconds).expect("a few") * 1_000_000;
        let is_whole = at_end.abs() < ROUNDING_US && last + GAP_US > until;
        let ends_early = at_end > GAP_US && last + at_end + ROUNDING_US > until;
        assert!(is_whole || ends_early, "{told:?}, {between} between, {first}..{last} of {until}");
        told.camera_us
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
            let captures = server.captures();
            let [kept] = captures.values().collect::<Vec<_>>()[..] else { panic!("{captures:?}") };
            assert!(kept.is_closed && !kept.parts.is_empty(), "{:?}: {kept:?}", answer());
            lacks_us(&ended, &kept.parts, 5);
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
        let parts = server.captures().into_values().next().expect("a capture").parts;
        lacks_us(&ended, &parts, 11);
        let sent: usize = parts.iter().map(Vec::len).sum();
        assert!(parts.len() > 1 && sent > 100_000, "{} parts, {sent} bytes", parts.len());
        let tried = server.asked("/media");
        assert!(tried.iter().any(|it| it.body.len() > 60_000), "nothing was too large");
    }

    /// Captures until the power is cut.
    fn cut(place: &Path, server: &StandIn, options: Options, after: Duration) {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Runtime::new().expect("a runtime");
                let running = captured(place, server, options);
                runtime.block_on(async {
                    let ended = tokio::time::timeout(after, running).await;
                    assert!(ended.is_err(), "it has ended before: {ended:?}");
                });
            });
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_earlier_capture_that_waits_holds_up_none() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        server.set(|asked| asked.path.starts_with("/store").then(|| html(502)));
        cut(place.path(), &server, options(None), Duration::from_secs(5));
        let left = std::fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 1);
        // The next meeting of the box, which has another name now; the server is still away.
        let again = Options { device: "other".to_owned(), ..options(Some(8)) };
        let began_us = crate::clock::Reading::now().wall_us;
        server.set(at_first(Duration::from_secs(6), || html(502)));
        let ended = captured(place.path(), &server, again).await;
        let captures = server.captures();
        assert_eq!(captures.len(), 2, "{captures:?}");
        for (name, kept) in &captures {
            assert!(kept.is_closed && !kept.parts.is_empty(), "{name}: {kept:?}");
        }
        // All of the second one was captured, not only what came once the first one was sent.
        let second = &captures.iter().find(|(name, _)| name.starts_with("other-")).expect("it").1;
        lacks_us(&ended, &second.parts, 8);
        let begins = second.parts.iter().map(|it| Kept::read(it).expect("a container").base_us);
        let late_us = begins.min().expect("parts") - began_us;
        assert!(late_us < 6_000_000, "the first {late_us} us are missing");
        let left = std::fs::read_dir(place.path()).expect("a directory").count();
        assert_eq!(left, 0, "the box keeps what the server has");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_earlier_capture_that_is_never_taken_stays_and_ends_none() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        server.set(|asked| asked.path.starts_with("/store").then(|| html(502)));
        cut(place.path(), &server, options(None), Duration::from_secs(5));
        for answer in [|| html(413), || refusal(409, "CAPTURE_SESSION_CONFLICT")] {
            server.set(move |asked| {
                let is_first = String::from_utf8_lossy(&asked.body).contains("\"box-")
                    || asked.path.contains("/box-");
                is_first.then(answer)
            });
            let again = Options { device: "other".to_owned(), ..options(Some(3)) };
            let ended = captured(place.path(), &server, again).await;
            assert!(matches!(ended, Ok(Outcome::Closed(_))), "{:?}: {ended:?}", answer());
            let left = std::fs::read_dir(place.path()).expect("a directory").count();
            assert_eq!(left, 1, "{:?}: it is the only copy", answer());
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_capture_whose_time_is_over_is_closed_and_the_asked_time_is_captured() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        server.set(|asked| asked.path.starts_with("/store").then(|| html(502)));
        cut(place.path(), &server, options(Some(6)), Duration::from_secs(5));
        server.set(|_| None);
        // The time to capture began with the first picture.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let began = Instant::now();
        let ended = captured(place.path(), &server, options(Some(5))).await;
        assert!(matches!(ended, Ok(Outcome::Closed(_))), "{ended:?}");
        assert!(began.elapsed() >= Duration::from_secs(5), "{:?}", began.elapsed());
        let captures = server.captures();
        assert!(captures.len() == 2 && captures.values().all(|it| it.is_closed), "{captures:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_a_capture_that_was_closed_elsewhere_did_not_take_is_kept_and_can_be_sent() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        // It is opened, and closed by somebody else while the box can't reach the server any more.
        let (closing, began) = (server.clone(), Instant::now());
        server.set(move |asked| {
            let at = began.elapsed();
            if at >= Duration::from_secs(7) {
                closing.close_all();
            }
            let is_away = at < Duration::from_secs(7) && !closing.captures().is_empty();
            (asked.path.starts_with("/store") && is_away).then(|| html(502))
        });
        let ended = captured(place.path(), &server, options(Some(6))).await;
        let Err(AgentError::SetAside { path, bytes, .. }) = ended else { panic!("{ended:?}") };
        let groups = |path: &Path| {
            let files = std::fs::read_dir(path).expect("a directory").map(|it| it.expect("a file"));
            let groups = files.filter(|it| it.path().extension().is_some_and(|it| it == "group"));
            groups.map(|it| it.metadata().expect("a size").len()).sum::<u64>()
        };
        assert!(bytes > 0 && groups(path.as_ref()) == bytes, "{bytes} bytes in {path}");
        // The next start leaves it alone.
        server.set(|_| None);
        captured(place.path(), &server, options(Some(2))).await.expect("another capture");
        assert_eq!(groups(path.as_ref()), bytes);
        // As an operator sends it: under the name of another capture.
        let aside = Path::new(&path);
        let name = aside.file_name().and_then(|it| it.to_str()).expect("a name");
        let digits = name.strip_prefix("unsent-").and_then(|it| it.get(..20)).expect("a time");
        std::fs::remove_file(aside.join("capture.json")).expect("it is there");
        std::fs::rename(aside, place.path().join(format!("{digits}-late"))).expect("renamed");
        captured(place.path(), &server, options(Some(2))).await.expect("another capture");
        let late = server.captures().remove("late").expect("it was opened");
        assert!(late.is_closed && !late.parts.is_empty(), "{late:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_publishes_learns_that_the_capture_was_closed() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        let mut root = Root::open(place.path()).expect("a directory");
        let wanted = Wanted { device: "box".to_owned(), whole_us: None, buffer_limit: 1 << 30 };
        let (stored, _) = captures::find(&mut root, &wanted);
        let box_server = server.server();
        let delivery = Delivery::new(&box_server, stored);
        assert!(delivery.open().await.is_ok_and(|it| it.is_open));
        let mut closed = std::pin::pin!(delivery.closed(drop));
        let early = tokio::time::timeout(Duration::from_secs(4), &mut closed).await;
        assert!(early.is_err(), "it is open: {early:?}");
        server.close_all();
        let told = tokio::time::timeout(Duration::from_secs(5), closed).await.expect("it is told");
        assert!(matches!(told, AgentError::Closed(_)), "{told:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_disk_that_takes_nothing_stops_nothing() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        let path = place.path().join("edge");
        let root = Root::open(&path).expect("opened");
        // From now on nothing can be written there.
        std::fs::rename(&path, place.path().join("gone")).expect("moved");
        std::fs::write(&path, b"").expect("written");
        server.set(at_first(Duration::from_secs(4), || html(502)));
        let (box_server, stop) = (server.server(), std::future::pending());
        let ended = run(options(Some(6)), &box_server, root, stop).await;
        let captures = server.captures();
        let [kept] = captures.values().collect::<Vec<_>>()[..] else { panic!("{captures:?}") };
        assert!(kept.is_closed && !kept.parts.is_empty(), "{kept:?}");
        lacks_us(&ended, &kept.parts, 6);
        let begins = Kept::read(&kept.parts[0]).expect("a container").base_us;
        let late_us = begins - us_of(&kept.began).expect("a moment");
        assert!(late_us < 4_000_000, "the first {late_us} us are missing");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_capture_whose_end_could_not_be_written_down_is_followed_by_another() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        cut(place.path(), &server, options(None), Duration::from_secs(4));
        server.close_all();
        let ended = captured(place.path(), &server, options(Some(5))).await;
        assert!(matches!(ended, Ok(Outcome::Closed(_))), "{ended:?}");
        let captures = server.captures();
        assert_eq!(captures.len(), 2, "{captures:?}");
        assert!(captures.values().all(|it| it.is_closed), "{captures:?}");
    }

    /// A program in place of ffmpeg, which is told how often it was started in `$n`.
    fn fake(place: &Path, script: &str) -> std::path::PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = place.join("camera");
        let count = place.join("count");
        let count = count.display();
        let text = format!(
            "#!/bin/sh\nn=$(($(cat {count} 2>/dev/null || echo 0) + 1))\necho $n > {count}\n{script}\n"
        );
        std::fs::write(&path, text).expect("written");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("it can be run");
        path
    }

    /// Captures for so long with a program in place of ffmpeg: for how many microseconds it gave no
    /// pictures, and the parts that the server has.
    async fn filmed(script: &str, seconds: u64) -> (i64, Vec<Vec<u8>>) {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        let camera = fake(place.path(), script);
        let mut options = options(Some(seconds));
        options.source.ffmpeg = camera;
        let ended = captured(&place.path().join("edge"), &server, options).await;
        let captures = server.captures();
        let parts = captures.into_values().next().map(|it| it.parts).unwrap_or_default();
        (lacks_us(&ended, &parts, seconds), parts)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_camera_that_ends_is_started_again_and_what_is_missing_is_said() {
        let script = "[ $n = 1 ] && exec timeout 3 ffmpeg \"$@\"\n\
                      [ $n = 2 ] && { echo no such device >&2; exit 1; }\nexec ffmpeg \"$@\"";
        let (missing_us, parts) = filmed(script, 9).await;
        assert!(missing_us > 1_000_000, "{missing_us}");
        for part in parts.iter().map(|it| pictures_us(it)) {
            let is_whole = part.windows(2).all(|it| it[1] - it[0] <= 1_000_100);
            assert!(is_whole, "no part begins behind the gap: {part:?}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_camera_that_stands_still_is_started_again_and_what_is_missing_is_said() {
        let script =
            "[ $n = 1 ] && { timeout 2 ffmpeg \"$@\"; exec sleep 100; }\nexec ffmpeg \"$@\"";
        let (missing_us, _) = filmed(script, 9).await;
        assert!(missing_us > 3_000_000, "{missing_us}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_camera_that_is_away_at_the_end_is_missing_and_one_that_begins_late_is_not() {
        let script = "[ $n = 1 ] && exec timeout 3 ffmpeg \"$@\"\nexit 1";
        let (missing_us, _) = filmed(script, 8).await;
        assert!(missing_us > 3_500_000, "{missing_us}");
        let began = Instant::now();
        // Its account has no gap before the first picture.
        filmed("sleep 3\nexec ffmpeg \"$@\"", 4).await;
        assert!(began.elapsed() >= Duration::from_secs(7), "{:?}", began.elapsed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_the_server_refuses_for_good_is_missing() {
        let (place, server) = (tempfile::tempdir().expect("one"), StandIn::start().await);
        // The first group is refused, also in a part with others.
        let first = Mutex::new(None);
        server.set(move |asked| {
            if !asked.path.ends_with("/media") {
                return None;
            }
            let base_us = Kept::read(&asked.body).expect("a container").base_us;
            let is_first = *lock(&first).get_or_insert(base_us) == base_us;
            is_first.then(|| refusal(422, "UNPROCESSABLE_REQUEST"))
        });
        let ended = captured(place.path(), &server, options(Some(6))).await;
        let Ok(Outcome::Incomplete(_, missing)) = ended else { panic!("{ended:?}") };
        assert!(missing.camera_us == 0 && missing.given_up_us > 1_000_000, "{missing:?}");
    }
}
