//! A load test of transcription: people say recorded phrases in rooms in which cameras are
//! forwarded too, first without transcription and then with it. A listener in each room notes when
//! the text of each phrase comes.

mod outcomes;
mod recordings;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::{Errors, Governance, Load, Look, Plan, Room, SETTLE, numbered};
use crate::domain::time::Timestamp;
use crate::load::LoadError;
use crate::load::driver::histogram;
use crate::load::report::{quantile_ms, rate, share};
use crate::load::signalling::{Participant, Server};
use crate::load::speech_report::{Cost, SpeechReport};
use outcomes::{Outcomes, Spoken, Told, outcomes};
use recordings::Phrase;

/// How long the text of the last phrases is waited for: a server sheds after two seconds.
const LAST_TEXT_MAX: Duration = Duration::from_secs(10);
/// Packets by which one speaker begins later than the one before, so that phrases do not all end at
/// the same time.
const STAGGER_PACKETS: u64 = 37;
/// After this many packets the delay begins again at 0: a phrase and its pause are about as long.
const STAGGER_PACKETS_MAX: u64 = 125;

/// Who speaks, and what.
#[derive(Debug, Clone)]
pub struct SpeechPlan {
    /// Speakers in each room.
    pub speakers: u32,
    /// The language of the sessions and of what is said.
    pub language: String,
    /// Directory of the recorded phrases.
    pub recordings: PathBuf,
}

/// What everybody notes.
#[derive(Debug, Default)]
struct Notes {
    spoken: Mutex<Vec<(Spoken, f64)>>,
    told: Mutex<Vec<Told>>,
    /// When texts came of what was still being said, and how long after the newest sample in them,
    /// in microseconds.
    so_far: Mutex<Vec<(i64, u64)>>,
    /// Something was told.
    heard: Notify,
}

impl Notes {
    fn hear(&self, told: Told) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(told);
        self.heard.notify_one();
    }

    fn hear_so_far(&self, came_us: i64, until_us: i64) {
        let late_us = u64::try_from(came_us.saturating_sub(until_us)).unwrap_or(0);
        let mut so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        so_far.push((came_us, late_us.max(1)));
    }

    /// How late texts were that came within a time, of what was still being said.
    fn so_far(&self, from_us: i64, to_us: i64) -> Histogram<u64> {
        let mut late = histogram();
        let so_far = self.so_far.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = so_far.iter().filter(|(came_us, _)| (from_us..to_us).contains(came_us));
        counted.for_each(|(_, late_us)| late.saturating_record(*late_us));
        late
    }

    fn say(&self, spoken: Spoken, seconds: f64) {
        self.spoken.lock().unwrap_or_else(PoisonError::into_inner).push((spoken, seconds));
    }

    /// The phrases that ended within a time, and how long they are together.
    fn spoken(&self, from_us: i64, to_us: i64) -> (Vec<Spoken>, f64) {
        let spoken = self.spoken.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = || spoken.iter().filter(|(one, _)| (from_us..to_us).contains(&one.ended_us));
        (counted().map(|(one, _)| one.clone()).collect(), counted().map(|(_, s)| s).sum())
    }

    fn outcomes(&self, spoken: &[Spoken]) -> Outcomes {
        outcomes(spoken, &self.told.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was measured in one half of the test.
struct Half {
    cost: Cost,
    outcomes: Option<Outcomes>,
    so_far_us: Histogram<u64>,
    speech_s: f64,
    recognition_s: Option<f64>,
}

/// Runs a load test of transcription. The sessions that it created are ended in every case.
///
/// # Errors
/// [`LoadError::Unsuitable`] when the server does not transcribe, [`LoadError::Recording`], and
/// those of [`super::run`].
pub async fn run(
    server: Server,
    governance: Governance,
    plan: Plan,
    speech: SpeechPlan,
) -> Result<SpeechReport, LoadError> {
    server.text("/health/live").await?;
    let phrases = recordings::read(&speech.recordings, &speech.language)?;
    let talk = Talk { load: Load::new(server, governance, plan)?, speech, phrases };
    let mut errors = Errors::default();
    let mut rooms = Vec::new();
    let result = tokio::select! {
        report = talk.measure(&mut rooms, &mut errors) => report,
        // The sessions are ended also when the user interrupts the test.
        _ = tokio::signal::ctrl_c() => Err(LoadError::Interrupted),
    };
    talk.load.end_rooms(&rooms, &mut errors).await;
    result.map(|report| SpeechReport { errors: errors.0, ..report })
}

struct Talk {
    load: Arc<Load>,
    speech: SpeechPlan,
    phrases: Vec<Phrase>,
}

impl Talk {
    async fn measure(
        &self,
        rooms: &mut Vec<Room>,
        errors: &mut Errors,
    ) -> Result<SpeechReport, LoadError> {
        let without = Box::pin(self.half(rooms, false, errors)).await?;
        let with = Box::pin(self.half(rooms, true, errors)).await?;
        Ok(self.report(without, with))
    }

    /// Measures sessions of its own, which end with it.
    async fn half(
        &self,
        rooms: &mut Vec<Room>,
        transcribed: bool,
        errors: &mut Errors,
    ) -> Result<Half, LoadError> {
        let policy = json!({"enabled": transcribed, "language": self.speech.language});
        let with = json!({"transcription": policy, "speaking": {"auto_start": true}});
        self.load.make_rooms(rooms, &with).await?;
        let half = self.listen(rooms, transcribed, errors).await?;
        self.load.end_rooms(rooms, errors).await;
        rooms.clear();
        Ok(half)
    }

    async fn listen(
        &self,
        rooms: &[Room],
        transcribed: bool,
        errors: &mut Errors,
    ) -> Result<Half, LoadError> {
        let load = &self.load;
        let notes = Arc::new(Notes::default());
        let mut tasks = JoinSet::new();
        for (room, number) in numbered(rooms, 1, 3_000_001) {
            let listener = load.enter_as(room, "listener", number, "moderator").await?;
            if transcribed && listener.welcome["transcription"]["state"] != "on" {
                return Err(LoadError::Unsuitable("it does not transcribe"));
            }
            tasks.spawn(note_texts(listener, Arc::clone(&notes), self.clocks()));
        }
        let mut has_floor = BTreeSet::new();
        for (room, number) in numbered(rooms, self.speech.speakers, 2_000_001) {
            match self.start_speaker(room, number).await {
                Ok((speaker, lengths)) => {
                    // Of whoever has the floor there is text while they speak.
                    if has_floor.insert(room.session_id.clone()) {
                        let asked = speaker.request("request_speech", json!({"kind": "normal"}));
                        if let Err(error) = asked.await {
                            errors.note("asking for the floor", &error);
                        }
                    }
                    tasks.spawn(note_phrases(speaker, lengths, Arc::clone(&notes), self.clocks()));
                }
                Err(error) => errors.note("speaking", &error),
            }
        }
        let publishers = load.join_publishers(rooms, &[load.camera()], errors).await;
        let subscribers = load.join_subscribers(rooms, errors, &mut histogram()).await;
        tokio::time::sleep(SETTLE).await;
        drop(load.driver.take_delays_us());
        let before = load.look(&publishers, &subscribers, errors).await;
        tokio::time::sleep(load.plan.duration).await;
        let after = load.look(&publishers, &subscribers, errors).await;
        let delays = load.driver.take_delays_us();
        let clocks = self.clocks();
        let (from_us, to_us) = (clocks.unix_us(before.at), clocks.unix_us(after.at));
        let (spoken, speech_s) = notes.spoken(from_us, to_us);
        let outcomes = if transcribed { Some(last_texts(&notes, &spoken).await) } else { None };
        tasks.abort_all();
        Ok(Half {
            cost: cost(&before, &after, &delays),
            outcomes,
            so_far_us: notes.so_far(from_us, to_us),
            speech_s,
            recognition_s: after.server.since(&before.server).recognition_s,
        })
    }

    /// Somebody who says all phrases, beginning with another one than the speaker before. Returns
    /// how long the phrases are, in their order.
    async fn start_speaker(
        &self,
        room: &Room,
        number: u64,
    ) -> Result<(Participant, Vec<f64>), LoadError> {
        let count = self.phrases.len();
        let first = usize::try_from(number).unwrap_or(0) % count.max(1);
        let phrases = || self.phrases.iter().cycle().skip(first).take(count);
        let delay = number.wrapping_mul(STAGGER_PACKETS) % STAGGER_PACKETS_MAX;
        let packets = recordings::packets(phrases(), usize::try_from(delay).unwrap_or(0))?;
        let mut speaker = self.load.enter(room, "speaker", number).await?;
        speaker.speak(&self.load.driver, packets).await?;
        Ok((speaker, phrases().map(Phrase::seconds).collect()))
    }

    fn clocks(&self) -> Clocks {
        Clocks { epoch: self.load.epoch, epoch_unix: self.load.epoch_unix }
    }

    fn report(&self, without: Half, with: Half) -> SpeechReport {
        let plan = &self.load.plan;
        let told = with.outcomes;
        let latency = |quantile| {
            told.as_ref().and_then(|outcomes| quantile_ms(&outcomes.latency_us, quantile))
        };
        let count = |of: fn(&Outcomes) -> u64| told.as_ref().map_or(0, of);
        SpeechReport {
            rooms: plan.rooms,
            speakers_per_room: self.speech.speakers,
            publishers_per_room: plan.publishers,
            subscribers_per_room: plan.subscribers,
            duration_s: plan.duration.as_secs_f64(),
            injected_loss_ratio: plan.loss_ratio,
            phrases_with_text: count(|outcomes| outcomes.texts),
            phrases_with_gap: count(|outcomes| outcomes.gaps),
            phrases_lost: count(|outcomes| outcomes.lost),
            latency_ms_p50: latency(0.5),
            latency_ms_p95: latency(0.95),
            latency_ms_p99: latency(0.99),
            so_far_texts: with.so_far_us.len(),
            so_far_latency_ms_p50: quantile_ms(&with.so_far_us, 0.5),
            so_far_latency_ms_p95: quantile_ms(&with.so_far_us, 0.95),
            so_far_latency_ms_p99: quantile_ms(&with.so_far_us, 0.99),
            real_time_factor: with
                .recognition_s
                .filter(|_| with.speech_s > 0.0)
                .map(|seconds| seconds / with.speech_s),
            without: without.cost,
            with: with.cost,
            gaps_by_cause: told.map(|outcomes| outcomes.causes).unwrap_or_default(),
            errors: BTreeMap::new(),
        }
    }
}

/// Turns times of this process into times since 1970.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    epoch: Instant,
    epoch_unix: Duration,
}

impl Clocks {
    fn unix_us(&self, at: Instant) -> i64 {
        let since = self.epoch_unix + at.saturating_duration_since(self.epoch);
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// Waits until something was told of every phrase, and looks again only when more was told.
async fn last_texts(notes: &Notes, spoken: &[Spoken]) -> Outcomes {
    let told_all = async {
        while notes.outcomes(spoken).lost > 0 {
            notes.heard.notified().await;
        }
    };
    // What is still missing then is lost.
    tokio::time::timeout(LAST_TEXT_MAX, told_all).await.ok();
    notes.outcomes(spoken)
}

/// Notes every phrase that somebody has said.
async fn note_phrases(
    mut speaker: Participant,
    lengths: Vec<f64>,
    notes: Arc<Notes>,
    clocks: Clocks,
) {
    let user = speaker.welcome["you"]["user_id"].as_str().unwrap_or_default().to_owned();
    for seconds in lengths.into_iter().cycle() {
        let Some(at) = speaker.phrase_ended().await else { return };
        notes.say(Spoken { speaker: user.clone(), ended_us: clocks.unix_us(at) }, seconds);
    }
}

/// Notes every text and gap that a room tells, and gives the floor to whoever asks for it.
async fn note_texts(mut listener: Participant, notes: Arc<Notes>, clocks: Clocks) {
    let ahead_us = server_ahead_us(&listener.welcome);
    while let Some(event) = listener.next_event().await {
        let came_us = clocks.unix_us(Instant::now());
        let kind = event["type"].as_str().unwrap_or_default();
        if kind == "speech_request_received" {
            let wanted = json!({"request_id": event["request_id"]});
            // A speaker without the floor is heard all the same.
            listener.request("approve_speech", wanted).await.ok();
        }
        let gap = match kind {
            "transcript_chunk" => None,
            "transcript_gap" => Some(event["cause"].as_str().unwrap_or_default().to_owned()),
            _ => continue,
        };
        let until = event["to"].as_str().and_then(Timestamp::parse_rfc3339);
        let (Some(until), Some(speaker)) = (until, event["participant"].as_str()) else { continue };
        let until_us = until.unix_us().saturating_sub(ahead_us);
        if event["final"] == false {
            notes.hear_so_far(came_us, until_us);
            continue;
        }
        notes.hear(Told { speaker: speaker.to_owned(), until_us, came_us, gap });
    }
}

/// By how much the server's clock is ahead of this machine's, in microseconds. The welcome took a
/// little to come, which makes it seem less.
fn server_ahead_us(welcome: &Value) -> i64 {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let server = welcome["server_time"].as_str().and_then(Timestamp::parse_rfc3339);
    server.map_or(0, |server| {
        server.unix_us().saturating_sub(i64::try_from(here).unwrap_or(i64::MAX))
    })
}

/// What the server's process and its media cost.
fn cost(before: &Look, after: &Look, delays: &Histogram<u64>) -> Cost {
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let server = after.server.since(&before.server);
    let received = after.received.since(&before.received);
    Cost {
        forward_delay_ms_p50: quantile_ms(delays, 0.5),
        forward_delay_ms_p99: quantile_ms(delays, 0.99),
        received_packets_per_s: rate(received.packets, seconds),
        loss_ratio: share(received.lost, received.packets),
        server_cpu_cores: server.cpu_s.map(|cpu_s| cpu_s / seconds),
        server_memory_bytes: server.memory_bytes,
    }
}
