//! The engine of the transcriber. It turns the packets of taps into pieces of speech, and says
//! where sound was lost. Per track: packets are put in order, those that their sender calls silent
//! are not decoded, the others become samples, and a voice detector cuts these into pieces. Its
//! driver gives the pieces to the queue of the workers.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod decode;
mod gap;
mod media_clock;
mod order;
pub mod queue;
mod telephone;
mod track;
mod voice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::domain::id::{SessionKey, TrackId, UserId};
use crate::domain::language::LanguageTag;
use crate::domain::media::{Codec, MediaKind, TrackSource};
use crate::domain::session::TranscriptionPolicy;
use crate::domain::time::Timestamp;
use crate::domain::transcript::GapCause;
use crate::sfu::tap::{TapItem, TapKind};
use crate::transcriber::speech::Speech;
use decode::Ear;
use track::Track;

pub use voice::{PIECE_SAMPLES_MAX, SAMPLE_RATE_HZ};

/// Audio tracks at the same time, each with a decoder and a detector of together about 60 KiB.
/// Further ones are not transcribed, which is logged.
pub const TRACKS_MAX: usize = 4_096;
/// Sessions at the same time whose tracks are transcribed. Further ones are not, which is logged.
pub const SESSIONS_MAX: usize = 4_096;
/// Most bytes of the words that an engine is told with a piece: about 200 tokens, of which OpenAI's
/// models take 224. The rest of a glossary is left out. Raising it makes each piece dearer.
pub const WORDS_BYTES_MAX: usize = 600;
/// Outputs that wait for the driver, which takes them after every item. Further ones are dropped:
/// one item makes a few at most.
const OUTPUTS_MAX: usize = 1_024;
/// How long the last packets of a track are waited for after it was removed: its tap gives them in
/// batches. Raising it makes the last piece later when a tap never says that it has ended.
const ENDING_US: u64 = 500_000;

/// A track of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeardTrack {
    /// The track.
    pub track: TrackId,
    /// Whose it is.
    pub user: UserId,
    /// Its source.
    pub source: TrackSource,
    /// Its codec.
    pub codec: Codec,
    /// The language that its person speaks; `None` for that of the session.
    pub language: Option<LanguageTag>,
}

impl HeardTrack {
    /// Whether there can be speech in it that is understood here.
    #[must_use]
    pub fn is_transcribable(&self) -> bool {
        self.source.kind() == MediaKind::Audio && Ear::understands(self.codec)
    }
}

/// What is expected to be said in a session, or on one of its tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The language, a BCP 47 tag, when it is known.
    pub language: Option<String>,
    /// Words that are likely to be said, with commas between them.
    pub words: Option<Arc<str>>,
}

impl Expected {
    /// What the policy of a session says, and names of people who may speak. Of its glossary and
    /// then of the names it has as many as fit whole into [`WORDS_BYTES_MAX`].
    #[must_use]
    pub fn of(policy: &TranscriptionPolicy, names: &[String]) -> Self {
        let mut words = String::new();
        for term in policy.glossary.iter().chain(names) {
            let between = if words.is_empty() { "" } else { ", " };
            if words.len() + between.len() + term.len() > WORDS_BYTES_MAX {
                break;
            }
            words.push_str(between);
            words.push_str(term);
        }
        let words = (!words.is_empty()).then(|| words.into());
        Self { language: policy.language.clone(), words }
    }

    /// The same on a track whose person speaks this language; `None` for that of the session.
    fn in_language(&self, language: Option<&LanguageTag>) -> Self {
        let language = language.map(ToString::to_string).or_else(|| self.language.clone());
        Self { language, words: self.words.clone() }
    }
}

/// A piece of speech: a part of a sentence, a sentence or a few.
#[derive(Debug, Clone, PartialEq)]
pub struct Piece {
    /// Its session.
    pub key: SessionKey,
    /// Whose track it was heard on.
    pub user: UserId,
    /// The track.
    pub track: TrackId,
    /// The language of whoever spoke, or else of the session, a BCP 47 tag; `None` when it is to be
    /// recognised.
    pub language: Option<String>,
    /// Words that are likely to be said, with commas between them.
    pub words: Option<Arc<str>>,
    /// The sound, at [`SAMPLE_RATE_HZ`], from -1 to 1, with a little silence around the speech.
    pub samples: Vec<f32>,
    /// When the speech began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
}

/// A time of which there is no sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unheard {
    /// The session.
    pub key: SessionKey,
    /// Whose track.
    pub user: UserId,
    /// The track.
    pub track: TrackId,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// Why.
    pub cause: GapCause,
}

/// What the engine makes.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// A piece of speech.
    Piece(Piece),
    /// A time of which there is no sound.
    Unheard(Unheard),
}

/// What the engine has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that passed gates.
    pub packets: u64,
    /// Packets that were decoded.
    pub decoded: u64,
    /// Lost packets that were reconstructed or concealed.
    pub concealed: u64,
    /// Packets that came twice or too late.
    pub late: u64,
    /// Packets that are not RTP or not in the codec of their track.
    pub malformed: u64,
    /// Packets that taps lost.
    pub lost: u64,
    /// Tracks whose sender said that there was silence where there was sound.
    pub levels_distrusted: u64,
}

/// What all tracks share while one of them is handled.
#[derive(Debug, Default)]
struct Effects {
    outputs: VecDeque<Output>,
    counts: Counts,
}

impl Effects {
    fn give(&mut self, output: Output) {
        if self.outputs.len() < OUTPUTS_MAX {
            self.outputs.push_back(output);
        }
    }
}

/// The state of all tracks.
#[derive(Default)]
pub struct Engine {
    tracks: BTreeMap<TrackId, Track>,
    /// The sessions that are transcribed, with what is expected to be said.
    sessions: BTreeMap<SessionKey, Expected>,
    /// Tracks that have something to do when time passes.
    pending: BTreeSet<TrackId>,
    /// Tracks that were removed and whose last packets may still come, and until when these are
    /// waited for, once time has passed.
    ending: BTreeMap<TrackId, Option<u64>>,
    effects: Effects,
}

impl Engine {
    /// An engine without tracks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The session is transcribed, and this is expected to be said from the next piece of each
    /// track on. `false` at [`SESSIONS_MAX`].
    pub fn open_session(&mut self, key: SessionKey, expected: Expected) -> bool {
        if self.sessions.len() >= SESSIONS_MAX && !self.sessions.contains_key(&key) {
            return false;
        }
        for track in self.tracks.values_mut().filter(|track| track.is_of(key)) {
            track.expect(&expected);
        }
        self.sessions.insert(key, expected);
        true
    }

    /// The person of a track speaks this language from the next piece on; `None` for that of the
    /// session.
    pub fn set_language(&mut self, key: SessionKey, track: TrackId, language: Option<LanguageTag>) {
        let (Some(expected), Some(track)) = (self.sessions.get(&key), self.tracks.get_mut(&track))
        else {
            return;
        };
        track.set_language(language, expected);
    }

    /// The session is not transcribed any more. Its tracks are removed.
    pub fn close_session(&mut self, key: SessionKey) {
        self.sessions.remove(&key);
        let theirs = self.tracks.iter().filter(|(_, track)| track.is_of(key)).map(|(id, _)| *id);
        for track in theirs.collect::<Vec<TrackId>>() {
            self.remove_track(track);
        }
    }

    /// A track of a session that is transcribed. `false` when there are [`TRACKS_MAX`]. One that
    /// can't be understood changes nothing, and one that is known already nothing but its language.
    pub fn add_track(&mut self, key: SessionKey, track: HeardTrack) -> bool {
        let Some(expected) = self.sessions.get(&key) else { return true };
        self.ending.remove(&track.track);
        if !track.is_transcribable() {
            return true;
        }
        if let Some(known) = self.tracks.get_mut(&track.track) {
            known.set_language(track.language, expected);
            return true;
        }
        if self.tracks.len() >= TRACKS_MAX {
            return false;
        }
        let id = track.track;
        match Track::new(key, track, expected) {
            Some(track) => {
                self.tracks.insert(id, track);
                true
            }
            None => false,
        }
    }

    /// A track has ended. What was said until now becomes a piece, once its tap has given its last
    /// packets.
    pub fn remove_track(&mut self, track: TrackId) {
        if self.tracks.contains_key(&track) {
            self.ending.entry(track).or_insert(None);
        }
    }

    /// Whether a track of the session is listened to, or its last packets may still come.
    #[must_use]
    pub fn hears(&self, key: SessionKey) -> bool {
        self.tracks.values().any(|track| track.is_of(key))
    }

    /// Nothing more is transcribed. What was said until now becomes pieces.
    pub fn close(&mut self) {
        for track in self.tracks.keys().copied().collect::<Vec<TrackId>>() {
            self.end_track(track);
        }
    }

    fn end_track(&mut self, track: TrackId) {
        self.pending.remove(&track);
        self.ending.remove(&track);
        if let Some(mut track) = self.tracks.remove(&track) {
            track.end(&mut self.effects);
        }
    }

    /// An item of a tap.
    pub fn handle_item(&mut self, item: &TapItem<'_>) {
        if item.kind == TapKind::Ended && self.ending.contains_key(&item.track) {
            self.end_track(item.track);
            return;
        }
        let Some(track) = self.tracks.get_mut(&item.track) else { return };
        match item.kind {
            TapKind::Packet { bytes, .. } => track.packet(item.at_us, bytes, &mut self.effects),
            TapKind::Source { ssrc, .. } => track.source(ssrc, item.at_us, &mut self.effects),
            TapKind::Codec { payload_type, codec } => {
                track.codec(payload_type, codec, &mut self.effects);
            }
            TapKind::Levels { extension } => track.levels(extension),
            TapKind::GateClosed => track.close_gate(&mut self.effects),
            TapKind::GateOpened => track.open_gate(item.at_us),
            TapKind::Lost(packets) => track.lost(packets, item.at_us, &mut self.effects),
            // A pause of the tap: what was said until now stands by itself.
            TapKind::Ended => track.end(&mut self.effects),
            TapKind::SenderReport(_) | TapKind::KeyFrameRequested => {}
        }
        if track.is_pending() {
            self.pending.insert(item.track);
        } else {
            self.pending.remove(&item.track);
        }
    }

    /// Time has passed: `now_us` is counted as the times of items are.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let (tracks, effects) = (&mut self.tracks, &mut self.effects);
        self.pending.retain(|id| {
            tracks.get_mut(id).is_some_and(|track| {
                track.handle_timeout(now_us, effects);
                track.is_pending()
            })
        });
        let mut over = Vec::new();
        for (track, until_us) in &mut self.ending {
            if *until_us.get_or_insert(now_us.saturating_add(ENDING_US)) <= now_us {
                over.push(*track);
            }
        }
        for track in over {
            self.end_track(track);
        }
    }

    /// What is being said on one of these tracks, as a piece that will be longer: on that on which
    /// most was said since this was asked of it. `None` when little was said on any, and in pauses,
    /// which may end a piece.
    pub fn so_far(&mut self, tracks: &[TrackId]) -> Option<Piece> {
        let grown = |id: &TrackId| Some((self.tracks.get(id)?.grown()?, *id));
        let (_, most) = tracks.iter().filter_map(grown).max()?;
        self.tracks.get_mut(&most)?.so_far()
    }

    /// What is being said on every track, as far as it is certain to belong to its piece: the sound
    /// from its beginning, with the name that the piece will have.
    pub fn being_said(&self) -> impl Iterator<Item = Speech<'_>> {
        self.pending.iter().filter_map(|id| self.tracks.get(id)?.certain())
    }

    /// The next output.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.effects.outputs.pop_front()
    }

    /// What it has seen.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        self.effects.counts
    }

    /// Tracks that it listens to.
    #[must_use]
    pub fn tracks(&self) -> usize {
        self.tracks.len()
    }
}

/// A moment in microseconds since 1970 as taps count them.
fn moment(us: u64) -> Timestamp {
    Timestamp::from_unix_us(i64::try_from(us).unwrap_or(i64::MAX))
}
