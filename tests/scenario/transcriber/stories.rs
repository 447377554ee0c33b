//! The whole transcriber with a scripted engine: who is listened to, and what is told when the
//! engine fails.

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::clock::Clock;
use cabildo::domain::id::{SessionKey, TrackId};
use cabildo::domain::language::LanguageTag;
use cabildo::domain::media::Codec;
use cabildo::domain::session::TranscriptionPolicy;
use cabildo::domain::transcript::{GapCause, Transcribed, TranscriptChunk};
use cabildo::sfu::tap::{TapBatch, TapItem, TapKind, TapSink};
use cabildo::sfu::{SessionTaps, SfuError};
use cabildo::transcriber::engine::{HeardTrack, WORDS_BYTES_MAX};
use cabildo::transcriber::speech::fallback::Fallback;
use cabildo::transcriber::speech::{Heard, Recogniser, Speech, SpeechEngine, SpeechError};
use cabildo::transcriber::{Patience, Sink, Transcriber, TranscriberOptions, TranscriberParts};
use tokio::sync::mpsc;

use super::fixture::{key, microphone};
use crate::speech::{LEVEL_ID, PAYLOAD_TYPE, encode, rtp, samples, silence};

/// What these stories wait for at their ends. Engines that answer do so at once.
const PATIENCE: Patience =
    Patience { last_words: Duration::from_millis(300), shutdown: Duration::from_millis(300) };

/// Remembers who is tapped.
#[derive(Default)]
struct Taps {
    sink: Mutex<Option<TapSink>>,
    tapped: Mutex<Vec<TrackId>>,
    said: Mutex<Said>,
}

/// What has been said so far: the next phrase goes on with the numbers of its packets.
#[derive(Default)]
struct Said {
    packets: u16,
    until_us: u64,
}

fn item(track: TrackId, at_us: u64, kind: TapKind<'_>) -> TapItem<'_> {
    TapItem { track, at_us, kind }
}

impl Taps {
    fn tapped(&self) -> Vec<TrackId> {
        self.tapped.lock().expect("no panic").clone()
    }

    /// A person says a phrase, whose packets arrive in an instant.
    fn say(&self, clock: &Clock, track: TrackId) {
        self.send(clock, track, &[samples("es-hay-quorum.wav"), silence(1)].concat());
    }

    /// Sound of a person, whose packets arrive in an instant.
    fn send(&self, clock: &Clock, track: TrackId, sound: &[i16]) {
        let sink = self.sink.lock().expect("no panic").clone().expect("somebody listens");
        let sounds = encode(sound);
        // Its text is wanted two seconds after the last word, however fast the packets come.
        let now_us = clock.now().unix_us().cast_unsigned();
        let mut said = self.said.lock().expect("no panic");
        let begun_us = said.until_us.max(now_us);
        let first = [
            item(track, begun_us, TapKind::Source { ssrc: 9, layer: 0 }),
            item(
                track,
                begun_us,
                TapKind::Codec { payload_type: PAYLOAD_TYPE, codec: Codec::Opus },
            ),
            item(track, begun_us, TapKind::Levels { extension: LEVEL_ID }),
        ];
        sink.offer(TapBatch::of(&first)).expect("room");
        for (sent, sound) in (0_u64..).zip(&sounds) {
            let bytes = rtp(said.packets, u32::from(said.packets) * 960, 9, sound);
            let at_us = begun_us + sent * 20_000;
            said.packets += 1;
            said.until_us = at_us + 20_000;
            let mut batch = TapBatch::of(&[item(
                track,
                at_us,
                TapKind::Packet { bytes: &bytes, key_frame_start: false },
            )]);
            while let Err(refused) = sink.offer(batch) {
                batch = refused;
                std::thread::yield_now();
            }
        }
    }
}

#[async_trait]
impl SessionTaps for Taps {
    async fn tap(&self, _: SessionKey, track: TrackId, sink: TapSink) -> Result<(), SfuError> {
        self.tapped.lock().expect("no panic").push(track);
        *self.sink.lock().expect("no panic") = Some(sink);
        Ok(())
    }

    async fn untap(&self, _: SessionKey, track: TrackId, _: TapSink) -> Result<(), SfuError> {
        self.tapped.lock().expect("no panic").retain(|it| *it != track);
        Ok(())
    }
}

/// Passes on what is told, and what is still being said.
struct Told {
    said: mpsc::UnboundedSender<(SessionKey, Transcribed)>,
    so_far: mpsc::UnboundedSender<(SessionKey, TranscriptChunk)>,
}

#[async_trait]
impl Sink for Told {
    async fn transcribed(&self, key: SessionKey, said: Transcribed) {
        self.said.send((key, said)).expect("the story goes on");
    }

    fn so_far(&self, key: SessionKey, chunk: TranscriptChunk) {
        self.so_far.send((key, chunk)).expect("the story goes on");
    }
}

/// An engine that does what the story says.
#[derive(Debug, Clone, Copy)]
enum Scripted {
    Understands,
    Fails,
    Panics,
    IsAway,
    HearsNothing,
}

impl SpeechEngine for Scripted {
    fn name(&self) -> String {
        "scripted".to_owned()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        vec!["es".parse().expect("a language tag")]
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        match self {
            Self::IsAway => Err(SpeechError::Unavailable("it is away".to_owned())),
            _ => Ok(Box::new(*self)),
        }
    }
}

impl Recogniser for Scripted {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let words = speech.words.expect("the session has a glossary");
        assert!(words.starts_with("avenida 000, avenida 001, ") && words.len() <= WORDS_BYTES_MAX);
        assert!(words.split(", ").all(|word| word.len() == "avenida 000".len()), "whole words");
        let text = match self {
            Self::Understands => "hay quórum",
            Self::HearsNothing => "",
            Self::Panics => panic!("the story wants it"),
            Self::Fails | Self::IsAway => return Err(SpeechError::Failed("as told".to_owned())),
        };
        Ok(Heard {
            text: text.to_owned(),
            confidence: 0.9,
            language: speech.language.unwrap_or("und").to_owned(),
            engine: self.name(),
        })
    }
}

/// An engine that takes all speech for Guaraní when it is not told its language, and remembers what
/// it was told.
#[derive(Debug, Clone, Default)]
struct Recognising(Arc<Mutex<Vec<Option<String>>>>);

impl SpeechEngine for Recognising {
    fn name(&self) -> String {
        "recognising".to_owned()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        Scripted::Understands.languages()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(self.clone()))
    }
}

impl Recogniser for Recognising {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let told = speech.language.map(str::to_owned);
        self.0.lock().expect("no panic").push(told.clone());
        let language = told.unwrap_or_else(|| "gn".to_owned());
        Ok(Heard { text: "hay quórum".to_owned(), confidence: 0.9, language, engine: self.name() })
    }
}

/// Speech of so many seconds without a pause.
fn without_pauses(seconds: usize) -> Vec<i16> {
    let mut phrase = samples("es-pido-la-palabra-por-favor.wav");
    let is_loud = |sample: &i16| sample.abs() > 600;
    phrase.truncate(phrase.iter().rposition(is_loud).expect("a word"));
    let phrase = phrase.split_off(phrase.iter().position(is_loud).expect("a word"));
    phrase.iter().copied().cycle().take(seconds * 48_000).collect()
}

struct Story {
    taps: Arc<Taps>,
    transcriber: Transcriber,
    told: mpsc::UnboundedReceiver<(SessionKey, Transcribed)>,
    so_far: mpsc::UnboundedReceiver<(SessionKey, TranscriptChunk)>,
    clock: Clock,
    key: SessionKey,
}

impl Story {
    fn new(engine: Arc<dyn SpeechEngine>) -> Self {
        Self::at(Clock::system(), engine)
    }

    fn at(clock: Clock, engine: Arc<dyn SpeechEngine>) -> Self {
        let taps = Arc::<Taps>::default();
        let (said, told) = mpsc::unbounded_channel();
        let (sender, so_far) = mpsc::unbounded_channel();
        let parts = TranscriberParts {
            name: "story".to_owned(),
            taps: taps.clone(),
            engine,
            sink: Arc::new(Told { said, so_far: sender }),
            clock: clock.clone(),
        };
        let workers = NonZeroUsize::MIN;
        let options = TranscriberOptions { workers, patience: PATIENCE, so_far: true };
        let transcriber = Transcriber::start(parts, options).expect("threads");
        Self { taps, transcriber, told, so_far, clock, key: key() }
    }

    async fn policy(&self, enabled: bool) {
        let glossary = (0..100).map(|it| format!("avenida {it:03}")).collect();
        let policy = TranscriptionPolicy { enabled, language: Some("es-PY".to_owned()), glossary };
        self.transcriber.set_policy(self.key, policy).await;
    }

    /// The language of the text of a phrase of a person.
    async fn language_of(&mut self, track: TrackId) -> String {
        self.taps.say(&self.clock, track);
        let Transcribed::Chunk(chunk) = self.next().await else { panic!("text") };
        assert_eq!(chunk.track, track);
        chunk.language
    }

    async fn next(&mut self) -> Transcribed {
        let told = tokio::time::timeout(Duration::from_mins(1), self.told.recv()).await;
        let (key, said) = told.expect("in time").expect("the transcriber runs");
        assert_eq!(key, self.key);
        said
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_in_a_transcribed_session_is_told_with_who_and_when() {
    let mut story = Story::new(Arc::new(Scripted::Understands));
    let ana = microphone("ana");
    let track = ana.track;
    story.policy(false).await;
    story.transcriber.add_track(story.key, ana).await;
    assert!(story.taps.tapped().is_empty(), "a session that is not transcribed");
    story.policy(true).await;
    assert_eq!(story.taps.tapped(), [track]);
    story.taps.say(&story.clock, track);
    let Transcribed::Chunk(chunk) = story.next().await else { panic!("text") };
    assert_eq!((chunk.text.as_str(), chunk.user.as_str()), ("hay quórum", "ana"));
    assert_eq!((chunk.language.as_str(), chunk.engine.as_str()), ("es-PY", "scripted"));
    assert!(chunk.is_final && chunk.track == track && chunk.from < chunk.to);
    story.policy(false).await;
    assert!(story.taps.tapped().is_empty());
    assert_eq!(story.transcriber.stats().chunks, 1);
    story.transcriber.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_in_the_language_of_whoever_spoke_and_that_outlasts_the_policy() {
    let mut story = Story::new(Arc::new(Scripted::Understands));
    let english: LanguageTag = "en".parse().expect("a language tag");
    let (ana, bea) = (microphone("ana"), microphone("bea"));
    let (first, second) = (ana.track, bea.track);
    story.policy(true).await;
    story.transcriber.add_track(story.key, ana).await;
    let bea = HeardTrack { language: Some(english.clone()), ..bea };
    story.transcriber.add_track(story.key, bea).await;
    assert_eq!(story.language_of(second).await, "en", "it came with it");
    assert_eq!(story.language_of(first).await, "es-PY", "that of the session");
    story.transcriber.set_language(story.key, first, Some(english.clone())).await;
    assert_eq!(story.language_of(first).await, "en");
    story.policy(false).await;
    story.transcriber.set_language(story.key, second, None).await;
    story.policy(true).await;
    assert_eq!(story.language_of(first).await, "en", "it was listened to anew");
    assert_eq!(story.language_of(second).await, "es-PY", "changed while nobody listened");
    // Neither of another session nor of nobody.
    story.transcriber.set_language(key(), first, None).await;
    story.transcriber.set_language(story.key, microphone("cleo").track, None).await;
    assert_eq!(story.language_of(first).await, "en");
    story.transcriber.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recognised_is_forgotten_once_a_language_is_told() {
    let engine = Recognising::default();
    let mut story = Story::new(Arc::new(engine.clone()));
    let ana = microphone("ana");
    let track = ana.track;
    let (language, glossary) = (None, Vec::new());
    let policy = TranscriptionPolicy { enabled: true, language, glossary };
    story.transcriber.set_policy(story.key, policy).await;
    story.transcriber.add_track(story.key, ana).await;
    // Long speech tells the language by itself.
    let long = [without_pauses(4), silence(1)].concat();
    for _ in 0..2 {
        story.taps.send(&story.clock, track, &long);
        story.next().await;
    }
    let portuguese = "pt".parse().expect("a language tag");
    story.transcriber.set_language(story.key, track, Some(portuguese)).await;
    story.taps.send(&story.clock, track, &long);
    story.next().await;
    story.transcriber.set_language(story.key, track, None).await;
    story.taps.send(&story.clock, track, &long);
    story.next().await;
    let asked = engine.0.lock().expect("no panic").clone();
    let expected = [None, Some("gn"), Some("pt"), None];
    assert_eq!(asked, expected.map(|language| language.map(str::to_owned)));
    story.transcriber.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_fails_at_is_told_as_a_gap() {
    for (engine, cause) in [
        (Scripted::Fails, GapCause::EngineFailed),
        (Scripted::Panics, GapCause::EngineFailed),
        (Scripted::IsAway, GapCause::EngineUnavailable),
    ] {
        let mut story = Story::new(Arc::new(engine));
        let ana = microphone("ana");
        let track = ana.track;
        story.policy(true).await;
        story.transcriber.add_track(story.key, ana).await;
        // The worker survives it, twice.
        for _ in 0..2 {
            story.taps.say(&story.clock, track);
            let Transcribed::Gap(gap) = story.next().await else { panic!("{engine:?}: a gap") };
            assert_eq!((gap.cause, gap.track), (cause, track), "{engine:?}");
            assert!(gap.from < gap.to);
        }
        story.transcriber.session_over(story.key).await;
        assert!(story.taps.tapped().is_empty());
        story.transcriber.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_engine_is_asked_when_the_first_fails() {
    for first in [Scripted::Fails, Scripted::IsAway] {
        let both = Fallback::new(Arc::new(first), Arc::new(Scripted::Understands));
        let mut story = Story::new(Arc::new(both));
        let ana = microphone("ana");
        let track = ana.track;
        story.policy(true).await;
        story.transcriber.add_track(story.key, ana).await;
        story.taps.say(&story.clock, track);
        assert!(matches!(story.next().await, Transcribed::Chunk(_)), "{first:?}");
        story.transcriber.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_without_words_is_not_told() {
    let mut story = Story::new(Arc::new(Scripted::HearsNothing));
    let ana = microphone("ana");
    let track = ana.track;
    story.policy(true).await;
    story.transcriber.add_track(story.key, ana).await;
    story.taps.say(&story.clock, track);
    while story.transcriber.stats().wordless == 0 {
        tokio::task::yield_now().await;
    }
    assert!(story.told.try_recv().is_err());
    story.transcriber.shutdown().await;
}

/// An engine that answers once the story lets it.
#[derive(Debug, Clone, Default)]
struct Held(Arc<(Mutex<Hold>, Condvar)>);

#[derive(Debug, Default)]
struct Hold {
    has_begun: bool,
    is_let_go: bool,
}

impl Held {
    fn has_begun(&self) -> bool {
        self.0.0.lock().expect("no panic").has_begun
    }

    fn let_go(&self) {
        self.0.0.lock().expect("no panic").is_let_go = true;
        self.0.1.notify_all();
    }
}

impl SpeechEngine for Held {
    fn name(&self) -> String {
        "held".to_owned()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        Scripted::Understands.languages()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(self.clone()))
    }
}

impl Recogniser for Held {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let mut held = self.0.0.lock().expect("no panic");
        held.has_begun = true;
        drop(self.0.1.wait_while(held, |held| !held.is_let_go).expect("no panic"));
        Scripted::Understands.recognise(speech)
    }
}

/// A story in which somebody has said a phrase that the engine is still at.
async fn held() -> (Story, Held, TrackId) {
    let engine = Held::default();
    let story = Story::new(Arc::new(engine.clone()));
    let ana = microphone("ana");
    let track = ana.track;
    story.policy(true).await;
    story.transcriber.add_track(story.key, ana).await;
    story.taps.say(&story.clock, track);
    // The worker is at the first phrase, and the second waits for it.
    while !engine.has_begun() {
        tokio::task::yield_now().await;
    }
    story.taps.say(&story.clock, track);
    while story.transcriber.stats().pieces_waiting < 1 {
        tokio::task::yield_now().await;
    }
    (story, engine, track)
}

/// The gaps that were told, which are of this track, in the order of their time.
fn gaps(story: &mut Story, track: TrackId) -> Vec<GapCause> {
    let mut gaps = Vec::new();
    while let Ok((key, said)) = story.told.try_recv() {
        let Transcribed::Gap(gap) = said else { panic!("text of what was given up: {said:?}") };
        assert_eq!((key, gap.track), (story.key, track));
        gaps.push(gap);
    }
    gaps.sort_by_key(|gap| gap.from);
    gaps.into_iter().map(|gap| gap.cause).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_is_still_at_when_a_session_ends_is_told_as_a_gap() {
    let (mut story, engine, track) = held().await;
    story.transcriber.session_over(story.key).await;
    let told = gaps(&mut story, track);
    assert_eq!(told, [GapCause::EngineFailed, GapCause::Overload], "told when it returns");
    // What the engine makes of it after all is told to nobody.
    engine.let_go();
    let transcriber = story.transcriber.clone();
    transcriber.shutdown().await;
    assert!(gaps(&mut story, track).is_empty());
    assert_eq!(story.transcriber.stats().chunks, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_engine_is_still_at_when_the_server_stops_is_told_as_a_gap() {
    let (mut story, engine, track) = held().await;
    let transcriber = story.transcriber.clone();
    transcriber.shutdown().await;
    let told = gaps(&mut story, track);
    assert_eq!(told, [GapCause::EngineFailed, GapCause::Overload], "told when it returns");
    engine.let_go();
}

/// An engine that may be asked as often as wanted, and says how often it was.
#[derive(Debug, Clone)]
struct Free<E>(E, Arc<Mutex<usize>>);

impl<E: SpeechEngine + Clone + Recogniser + 'static> SpeechEngine for Free<E> {
    fn name(&self) -> String {
        self.0.name()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        self.0.languages()
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        Ok(Box::new(self.clone()))
    }

    fn is_free_of_charge(&self) -> bool {
        true
    }
}

impl<E: Recogniser> Recogniser for Free<E> {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        *self.1.lock().expect("no panic") += 1;
        self.0.recognise(speech)
    }
}

/// A story that stands still in time, of somebody who has the floor.
async fn with_floor<E>(engine: E) -> (Story, Arc<Mutex<usize>>, TrackId)
where
    E: SpeechEngine + Clone + Recogniser + 'static,
{
    let now = Clock::system().now();
    let asked = Arc::<Mutex<usize>>::default();
    let engine = Arc::new(Free(engine, Arc::clone(&asked)));
    let story = Story::at(Clock::from_fn(move || now), engine);
    let ana = microphone("ana");
    let track = ana.track;
    story.policy(true).await;
    story.transcriber.add_track(story.key, ana).await;
    (story, asked, track)
}

/// The beginning of a phrase, in the middle of a word.
fn half_a_phrase() -> (Vec<i16>, Vec<i16>) {
    let mut sound = samples("es-pido-la-palabra-por-favor.wav");
    let loud = sound.iter().position(|sample| sample.abs() > 600).expect("a word");
    let rest = sound.split_off(loud + 48_000 * 3 / 2);
    (sound, [rest, silence(1)].concat())
}

impl Story {
    /// Waits until the thread of the taps has looked after all packets that were sent.
    async fn looked_after(&self) {
        let sent = u64::from(self.taps.said.lock().expect("no panic").packets);
        while self.transcriber.stats().packets < sent {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_so_far_are_told_of_whoever_has_the_floor_until_their_piece_is_complete() {
    let (mut story, asked, track) = with_floor(Scripted::Understands).await;
    let (begun, rest) = half_a_phrase();
    // Without the floor nothing is told before it stays.
    story.taps.send(&story.clock, track, &begun);
    story.looked_after().await;
    story.taps.send(&story.clock, track, &rest);
    assert!(matches!(story.next().await, Transcribed::Chunk(chunk) if chunk.is_final));
    assert_eq!(*asked.lock().expect("no panic"), 1);
    story.transcriber.set_floor(story.key, Some(track));
    story.taps.send(&story.clock, track, &begun);
    let told = tokio::time::timeout(Duration::from_mins(1), story.so_far.recv()).await;
    let (key, so_far) = told.expect("in time").expect("the transcriber runs");
    assert_eq!((key, so_far.track, so_far.is_final), (story.key, track, false));
    assert_eq!(so_far.text, "hay quórum");
    story.taps.send(&story.clock, track, &rest);
    let Transcribed::Chunk(chunk) = story.next().await else { panic!("text") };
    assert!(chunk.is_final && chunk.from == so_far.from && chunk.to > so_far.to);
    assert_eq!(story.transcriber.stats().so_far, 1);
    assert!(story.told.try_recv().is_err(), "it is told apart from what stays");
    story.transcriber.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_so_far_are_dropped_once_their_piece_is_complete() {
    let engine = Held::default();
    let (mut story, asked, track) = with_floor(engine.clone()).await;
    story.transcriber.set_floor(story.key, Some(track));
    let (begun, rest) = half_a_phrase();
    story.taps.send(&story.clock, track, &begun);
    while !engine.has_begun() {
        tokio::task::yield_now().await;
    }
    // The piece is complete, and its text does not wait for the words so far.
    story.taps.send(&story.clock, track, &rest);
    while *asked.lock().expect("no panic") < 2 {
        tokio::task::yield_now().await;
    }
    engine.let_go();
    assert!(matches!(story.next().await, Transcribed::Chunk(chunk) if chunk.is_final));
    let transcriber = story.transcriber.clone();
    transcriber.shutdown().await;
    assert!(story.so_far.try_recv().is_err(), "nobody is told what has become text");
    assert_eq!(story.transcriber.stats().so_far, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_so_far_are_not_made_while_all_workers_are_busy() {
    let engine = Held::default();
    let (mut story, asked, track) = with_floor(engine.clone()).await;
    story.taps.say(&story.clock, track);
    while !engine.has_begun() {
        tokio::task::yield_now().await;
    }
    // The only worker is at the first phrase.
    let bea = microphone("bea");
    let floor = bea.track;
    story.transcriber.add_track(story.key, bea).await;
    story.transcriber.set_floor(story.key, Some(floor));
    story.taps.send(&story.clock, floor, &half_a_phrase().0);
    story.looked_after().await;
    assert_eq!(*asked.lock().expect("no panic"), 1, "it would take the place of what stays");
    engine.let_go();
    assert!(matches!(story.next().await, Transcribed::Chunk(chunk) if chunk.track == track));
    let told = tokio::time::timeout(Duration::from_mins(1), story.so_far.recv()).await;
    let (_, so_far) = told.expect("in time").expect("the transcriber runs");
    assert_eq!(so_far.track, floor, "now there is room");
    story.transcriber.shutdown().await;
}
