//! The workers: threads of lower priority, each with a recogniser, that take the most important
//! piece of speech from the queue, and hand on what they understood.

mod so_far;

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::id::{SessionKey, TrackId};
use crate::domain::transcript::{GapCause, Transcribed, TranscriptChunk, TranscriptGap};
use crate::transcriber::engine::queue::Queue;
use crate::transcriber::engine::{Piece, SAMPLE_RATE_HZ, TRACKS_MAX, Unheard};
use crate::transcriber::metrics;
use crate::transcriber::ports::{Sink, TranscriberOptions};
use crate::transcriber::speech::{
    Heard, Hearing, Recogniser, Speech, SpeechEngine, SpeechError, without_inventions,
};

/// Tasks that hand texts to the sink. A session always has the same one, so its texts stay in
/// order; a session whose texts are taken slowly delays a part of the others only.
const LANES: usize = 16;
/// Texts and gaps that wait in a lane. At the limit workers wait, so that the queue fills and
/// sheds; gaps that do not come from a worker are counted and logged, and not told.
const LANE_MAX: usize = 1_024;
/// How long the sink may take for the last words of a session. Raising it makes the end of a
/// session later while nothing can be stored.
const HANDED_ON_MAX: Duration = Duration::from_secs(4);
/// How much lower the priority of a worker is: the media comes first (`nice`).
const NICENESS: i32 = 10;
/// Speech that is long enough to tell its language by, in samples: 3 s.
const LANGUAGE_SAMPLES_MIN: usize = 3 * SAMPLE_RATE_HZ as usize;

/// What a lane is given.
enum Laned {
    /// What was said, and where.
    Said(SessionKey, Transcribed),
    /// What somebody is still saying.
    SoFar(SessionKey, TranscriptChunk),
    /// Somebody waits until everything before this was handed on.
    Reached(oneshot::Sender<()>),
    /// Nothing follows.
    End,
}

#[derive(Debug, Default)]
pub(super) struct PoolCounters {
    pub(super) pieces: AtomicU64,
    pub(super) wordless: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) so_far: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) shed: AtomicU64,
}

#[derive(Default)]
struct State {
    queue: Queue,
    /// The language of tracks for which none was told, as it was recognised.
    languages: BTreeMap<TrackId, String>,
    /// Pieces that workers are at. A piece that is given up is none any more: what a worker still
    /// makes of it is dropped.
    in_hand: BTreeMap<TrackId, (SessionKey, TranscriptGap)>,
    /// Pieces of each session that have neither become text nor a gap.
    unfinished: BTreeMap<SessionKey, usize>,
    /// Workers that have nothing to do.
    idle: usize,
    /// What somebody is still saying, on its way to text.
    so_far: so_far::State,
    /// Who waits until a session has none.
    finishing: Vec<(SessionKey, oneshot::Sender<()>)>,
    stopping: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    wake_so_far: Condvar,
    lanes: Vec<mpsc::Sender<Laned>>,
    name: String,
    engine: Arc<dyn SpeechEngine>,
    /// What takes sound while it is spoken.
    hearing: Option<Arc<dyn Hearing>>,
    clock: Clock,
    counters: PoolCounters,
}

/// The workers. Clones are the same.
#[derive(Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    tasks: Arc<Mutex<Vec<tokio::task::JoinHandle<()>>>>,
}

impl Pool {
    /// Starts the workers, and the tasks that hand on what they understand.
    pub(super) fn start(
        (name, engine): (String, Arc<dyn SpeechEngine>),
        sink: &Arc<dyn Sink>,
        clock: Clock,
        options: TranscriberOptions,
    ) -> io::Result<Self> {
        let (lanes, tasks) = (0..LANES).map(|_| lane(Arc::clone(sink))).unzip();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            wake_so_far: Condvar::new(),
            lanes,
            name,
            hearing: engine.hearing(),
            engine,
            clock,
            counters: PoolCounters::default(),
        });
        let pool = Self { shared, threads: Arc::default(), tasks: Arc::new(Mutex::new(tasks)) };
        for number in 0..options.workers.get() {
            pool.spawn(format!("speech-{number}"), Worker::run)?;
        }
        if options.so_far && pool.shared.engine.is_free_of_charge() {
            pool.spawn("speech-so-far".to_owned(), Worker::run_so_far)?;
            pool.shared.state().so_far = so_far::State::Free;
        }
        Ok(pool)
    }

    fn spawn(&self, name: String, run: impl FnOnce(Worker) + Send + 'static) -> io::Result<()> {
        let worker = Worker { shared: Arc::clone(&self.shared), recogniser: None };
        let started = std::thread::Builder::new().name(name).spawn(move || run(worker));
        self.keep(started.inspect_err(|_| self.stop())?);
        Ok(())
    }

    /// Takes a piece of speech.
    pub(super) fn push(&self, piece: Piece) {
        self.shared.counters.pieces.fetch_add(1, Ordering::Relaxed);
        let let_go = {
            let mut state = self.shared.state();
            state.so_far.give_up(piece.track);
            *state.unfinished.entry(piece.key).or_default() += 1;
            if state.stopping { Some(piece) } else { state.queue.push(piece) }
        };
        self.shared.wake.notify_one();
        if let Some(piece) = let_go {
            self.shared.shed(&piece);
        }
    }

    /// There is no sound of a time.
    pub(super) fn unheard(&self, unheard: Unheard) {
        let Unheard { key, user, track, from, to, cause } = unheard;
        self.shared.tell_gap(key, TranscriptGap { user, track, from, to, cause });
    }

    /// Lets go of what can't be recognised in time any more.
    pub(super) fn shed_late(&self) {
        let late = {
            let now = self.shared.clock.now();
            self.shared.state().queue.take_late(now)
        };
        for piece in late {
            self.shared.shed(&piece);
        }
    }

    /// The track of whoever has the floor.
    pub(super) fn set_floor(&self, key: SessionKey, track: Option<TrackId>) {
        self.shared.state().queue.set_floor(key, track);
    }

    /// The tracks that are heard, loudest first.
    pub(super) fn set_loudest(&self, key: SessionKey, tracks: &[TrackId]) {
        self.shared.state().queue.set_loudest(key, tracks);
    }

    /// A track has ended, or another language is spoken on it.
    pub(super) fn forget_track(&self, track: TrackId) {
        self.shared.state().languages.remove(&track);
    }

    /// A session is over.
    pub(super) fn forget_session(&self, key: SessionKey) {
        self.shared.state().queue.forget(key);
    }

    pub(super) fn waiting(&self) -> u64 {
        self.shared.state().queue.len() as u64
    }

    pub(super) fn counters(&self) -> &PoolCounters {
        &self.shared.counters
    }

    pub(super) fn hearing(&self) -> Option<&Arc<dyn Hearing>> {
        self.shared.hearing.as_ref()
    }

    pub(super) fn name(&self) -> &str {
        &self.shared.name
    }

    pub(super) fn engine(&self) -> &Arc<dyn SpeechEngine> {
        &self.shared.engine
    }

    /// Has the workers end after the piece that they are at. What waits is told as gaps.
    pub(super) fn stop(&self) {
        let rest = {
            let mut state = self.shared.state();
            state.stopping = true;
            state.queue.take_of(|_| true)
        };
        self.shared.wake.notify_all();
        self.shared.wake_so_far.notify_all();
        for piece in rest {
            self.shared.shed(&piece);
        }
    }

    /// Has [`Self::wait`] wait for this thread too.
    pub(super) fn keep(&self, thread: JoinHandle<()>) {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// Waits until every piece of a session that was taken has become text or a gap, and the sink
    /// has been given it. After `longest` the rest is told as gaps.
    pub(super) async fn finish(&self, key: SessionKey, longest: Duration) {
        if tokio::time::timeout(longest, self.finished(key)).await.is_err() {
            tracing::warn!(session = %key.session, "the last words of a session did not become text");
            self.give_up(Some(key));
        }
        if tokio::time::timeout(HANDED_ON_MAX, self.handed_on(key)).await.is_err() {
            tracing::error!(session = %key.session, "the last words of a session can't be stored");
        }
    }

    /// Waits until the sink was given everything of a session that has become text or a gap.
    async fn handed_on(&self, key: SessionKey) {
        // A worker may be handing something on at this moment.
        self.finished(key).await;
        let (reached, handed_on) = oneshot::channel();
        if let Some(lane) = self.shared.lane(key)
            && lane.send(Laned::Reached(reached)).await.is_ok()
        {
            // It fails when the lane has ended.
            handed_on.await.ok();
        }
    }

    /// Waits until a session has no piece that is unfinished.
    async fn finished(&self, key: SessionKey) {
        let (done, finished) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if !state.unfinished.contains_key(&key) {
                return;
            }
            state.finishing.push((key, done));
        }
        // It fails when the pool is gone.
        finished.await.ok();
    }

    /// Gives up what is recognised or waits, of one session or of all: it becomes gaps.
    pub(super) fn give_up(&self, key: Option<SessionKey>) {
        let is_theirs = |of: &SessionKey| key.is_none_or(|key| key == *of);
        let (waiting, in_hand) = {
            let mut state = self.shared.state();
            let waiting = state.queue.take_of(is_theirs);
            let in_hand = state.in_hand.extract_if(.., |_, (of, _)| is_theirs(of));
            let in_hand: Vec<_> = in_hand.map(|(_, piece)| piece).collect();
            (waiting, in_hand)
        };
        // What is recognised was said before what waits.
        for (key, gap) in in_hand {
            self.shared.tell_gap(key, gap);
            self.shared.finished(key);
        }
        for piece in waiting {
            self.shared.shed(&piece);
        }
    }

    /// Waits until the workers have ended.
    pub(super) fn wait(&self) {
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has ended as well.
            thread.join().ok();
        }
    }

    /// Waits until everything was handed to the sink. Nothing is taken afterwards.
    pub(super) async fn drain(&self) {
        for lane in &self.shared.lanes {
            // It fails when the lane has ended.
            lane.send(Laned::End).await.ok();
        }
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A sink that panicked has ended as well.
            task.await.ok();
        }
    }
}

/// A task that hands texts to the sink one after the other.
fn lane(sink: Arc<dyn Sink>) -> (mpsc::Sender<Laned>, tokio::task::JoinHandle<()>) {
    let (sender, mut laned) = mpsc::channel(LANE_MAX);
    let task = tokio::spawn(async move {
        while let Some(next) = laned.recv().await {
            match next {
                Laned::Said(key, said) => sink.transcribed(key, said).await,
                Laned::SoFar(key, chunk) => sink.so_far(key, chunk),
                // Whoever asked may have stopped waiting.
                Laned::Reached(waiting) => drop(waiting.send(())),
                Laned::End => return,
            }
        }
    });
    (sender, task)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece, as soon as there is one; `None` when the workers end.
    fn next(&self) -> Option<Piece> {
        let mut state = self.state();
        loop {
            if state.stopping {
                return None;
            }
            let late = state.queue.take_late(self.clock.now());
            if !late.is_empty() {
                drop(state);
                for piece in late {
                    self.shed(&piece);
                }
                state = self.state();
                continue;
            }
            if let Some(mut piece) = state.queue.pop() {
                if piece.language.is_none() {
                    piece.language = state.languages.get(&piece.track).cloned();
                }
                let gap = gap_of(&piece, GapCause::EngineFailed);
                state.in_hand.insert(piece.track, (piece.key, gap));
                return Some(piece);
            }
            state.idle += 1;
            state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Whether a worker may tell what it made of its piece: nobody has given it up.
    fn claim(&self, piece: &Piece) -> bool {
        self.state().in_hand.remove(&piece.track).is_some()
    }

    /// The worker is done with its piece: the next one of its track may follow.
    fn done(&self, piece: &Piece) {
        self.state().queue.done(piece.track);
        self.wake.notify_one();
    }

    /// A piece of a session has become text or a gap.
    fn finished(&self, key: SessionKey) {
        let mut state = self.state();
        let Some(unfinished) = state.unfinished.get_mut(&key) else { return };
        *unfinished = unfinished.saturating_sub(1);
        if *unfinished > 0 {
            return;
        }
        state.unfinished.remove(&key);
        for (_, waiting) in state.finishing.extract_if(.., |(of, _)| *of == key) {
            // Whoever asked may have stopped waiting.
            waiting.send(()).ok();
        }
    }

    /// Whatever language was recognised in long speech is that of the track.
    fn pin_language(&self, piece: &Piece, heard: &Heard) {
        let is_sure = piece.language.is_none()
            && piece.samples.len() >= LANGUAGE_SAMPLES_MIN
            && heard.language != "und";
        if !is_sure {
            return;
        }
        let mut state = self.state();
        // A track may have ended before its last piece. At the limit the oldest makes room.
        if state.languages.len() >= TRACKS_MAX {
            state.languages.pop_first();
        }
        state.languages.insert(piece.track, heard.language.clone());
    }

    fn shed(&self, piece: &Piece) {
        self.counters.shed.fetch_add(1, Ordering::Relaxed);
        self.tell_gap(piece.key, gap_of(piece, GapCause::Overload));
        self.finished(piece.key);
    }

    /// Tells a gap without waiting: the thread of the taps tells some.
    fn tell_gap(&self, key: SessionKey, gap: TranscriptGap) {
        self.count_gap(gap.cause);
        let told = self
            .lane(key)
            .is_some_and(|lane| lane.try_send(Laned::Said(key, Transcribed::Gap(gap))).is_ok());
        if !told {
            tracing::error!(session = %key.session, "a gap in the transcript can't be told");
        }
    }

    /// Hands on what a worker has to tell. It waits while the sink is slow.
    fn hand_on(&self, key: SessionKey, said: Transcribed) {
        if let Some(lane) = self.lane(key) {
            // It fails when the runtime has ended.
            lane.blocking_send(Laned::Said(key, said)).ok();
        }
    }

    fn count_gap(&self, cause: GapCause) {
        self.counters.gaps.fetch_add(1, Ordering::Relaxed);
        metrics::gap_emitted(&self.name, cause);
    }

    fn lane(&self, key: SessionKey) -> Option<&mpsc::Sender<Laned>> {
        let place =
            key.session.as_uuid().as_bytes().iter().map(|byte| usize::from(*byte)).sum::<usize>();
        self.lanes.get(place % LANES)
    }
}

fn chunk_of(piece: &Piece, heard: Heard) -> TranscriptChunk {
    let Heard { text, confidence, language, engine } = heard;
    TranscriptChunk {
        user: piece.user.clone(),
        track: piece.track,
        text,
        confidence,
        from: piece.from,
        to: piece.to,
        is_final: true,
        engine,
        language,
    }
}

fn gap_of(piece: &Piece, cause: GapCause) -> TranscriptGap {
    let Piece { user, track, from, to, .. } = piece;
    TranscriptGap { user: user.clone(), track: *track, from: *from, to: *to, cause }
}

struct Worker {
    shared: Arc<Shared>,
    recogniser: Option<Box<dyn Recogniser>>,
}

impl Worker {
    fn run(mut self) {
        // On Linux the priority is that of this thread.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::warn!(%error, "a worker of the transcriber keeps the priority of the media");
        }
        // Before the first speech, since it takes a while.
        self.prepare().ok();
        while let Some(piece) = self.shared.next() {
            let begun = Instant::now();
            let heard = self.recognise(&piece);
            metrics::recognised(&self.shared.name, begun.elapsed());
            if self.shared.claim(&piece) {
                self.tell(&piece, heard);
                self.shared.finished(piece.key);
            }
            self.shared.done(&piece);
        }
    }

    fn prepare(&mut self) -> Result<&mut Box<dyn Recogniser>, SpeechError> {
        if self.recogniser.is_none() {
            let made = self.shared.engine.recogniser().inspect_err(|error| {
                tracing::error!(%error, "a worker of the transcriber has no recogniser");
            });
            self.recogniser = Some(made?);
        }
        self.recogniser.as_mut().ok_or_else(|| SpeechError::Unavailable("none".to_owned()))
    }

    fn recognise(&mut self, piece: &Piece) -> Result<Heard, SpeechError> {
        let recogniser = self.prepare()?;
        let speech = Speech {
            id: Some((piece.track, piece.from)),
            samples: &piece.samples,
            language: piece.language.as_deref(),
            words: piece.words.as_deref(),
        };
        let recognised = catch_unwind(AssertUnwindSafe(|| recogniser.recognise(speech)));
        let heard = recognised.unwrap_or_else(|_| {
            // Nobody knows what state it is in.
            self.recogniser = None;
            Err(SpeechError::Failed("the recogniser panicked".to_owned()))
        })?;
        without_inventions(heard, piece.words.as_deref())
    }

    fn tell(&self, piece: &Piece, heard: Result<Heard, SpeechError>) {
        let shared = &self.shared;
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) => {
                let cause = match error {
                    SpeechError::Unavailable(_) => GapCause::EngineUnavailable,
                    SpeechError::Failed(_) => GapCause::EngineFailed,
                };
                shared.count_gap(cause);
                shared.hand_on(piece.key, Transcribed::Gap(gap_of(piece, cause)));
                return;
            }
        };
        if heard.text.is_empty() {
            shared.counters.wordless.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shared.pin_language(piece, &heard);
        let chunk = chunk_of(piece, heard);
        shared.counters.chunks.fetch_add(1, Ordering::Relaxed);
        shared.hand_on(piece.key, Transcribed::Chunk(chunk));
    }
}
