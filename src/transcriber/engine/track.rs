//! One track: from packets to pieces of speech.

use super::decode::{Ear, NotSound};
use super::gap::{Gap, Gaps};
use super::media_clock::MediaClock;
use super::order::{Arrived, Next, Order};
use super::voice::{Spoken, Voice, us_of};
use super::{Effects, Expected, HeardTrack, Output, Piece, Unheard, moment};
use crate::domain::id::SessionKey;
use crate::domain::language::LanguageTag;
use crate::domain::media::Codec;
use crate::domain::transcript::GapCause;
use crate::formats::rtp::Packet;
use crate::transcriber::speech::Speech;

/// Ticks per second in which timestamps are counted here, whatever the codec: those of Opus.
const TICKS_PER_S: u32 = 48_000;
/// Ticks for one sample: 48 kHz to 16 kHz.
const TICKS_PER_SAMPLE: i64 = 3;
/// From this level on, in decibels below overload (RFC 6464 §3), a packet is silent. Raising it
/// decodes the noise of more microphones for nothing; quiet speech is at about 50.
const QUIET_DBOV: u8 = 80;
/// Silent packets in a row before they are not decoded any more: 600 ms, which end every piece.
const QUIET_PACKETS: u32 = 30;
/// Of the packets that are called silent one in this many is decoded all the same, so that a
/// sender that always says so is found out.
const CHECKED_ONE_IN: u32 = 25;
/// Sound in a packet that is called silent: from this amplitude on it is none, -34 dB.
const LOUD: f32 = 0.02;
/// Packets in a row that are not in the track's codec before a track is left alone for a while.
const MALFORMED_MAX: u32 = 50;
/// How long, in microseconds. Raising it loses more of a source that has recovered; lowering it
/// spends more on one that has not.
const DEAF_US: u64 = 5_000_000;
/// When no packet comes for this long, in microseconds, a piece ends: the sender has stopped
/// sending silence.
const STALLED_US: u64 = 600_000;
/// How far a timestamp may lie before the end of the sound before it, in samples: a sender that
/// counts too slowly. A larger step back is another clock.
const BACK_SAMPLES_MIN: i64 = -16_000;
/// Silence that a timestamp may stand for, in samples: an hour. A larger step is another clock.
const SILENCE_SAMPLES_MAX: i64 = 3_600 * 16_000;

/// How far the levels that a sender states are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Levels {
    /// None are stated.
    Absent,
    /// They are in the header extension with this identifier.
    In(u8),
    /// They called sound silence.
    Distrusted,
}

/// Speech that must have come since its text so far was made last, in samples: a second. Raising it
/// shows words later while somebody speaks; lowering it spends more on text that does not stay.
const GROWN_MIN: usize = 16_000;

/// The state of a track.
pub(super) struct Track {
    key: SessionKey,
    room: HeardTrack,
    /// What is expected in the piece that is spoken, or else in the next one.
    expected: Expected,
    /// What is expected after the piece that is spoken, when that is something else.
    expected_next: Option<Expected>,
    ssrc: Option<u32>,
    /// Payload type of the codec that is decoded.
    payload_type: Option<u8>,
    levels: Levels,
    is_gate_closed: bool,
    order: Order,
    clock: MediaClock,
    ear: Ear,
    voice: Voice,
    gaps: Gaps,
    /// Timestamp behind the last sound.
    ticks: Option<i64>,
    /// Until when there is sound, in microseconds.
    heard_us: u64,
    /// When the last packet came.
    came_us: u64,
    /// Silent packets in a row.
    quiet: u32,
    /// Packets in a row that are not in the track's codec.
    malformed: u32,
    /// Until when the track is left alone.
    deaf_until_us: u64,
    /// How much of the piece that is spoken there was when its text so far was made last, in
    /// samples.
    shown: usize,
}

impl Track {
    /// `None` when its codec is not understood, or there is no memory for its decoder.
    pub(super) fn new(key: SessionKey, room: HeardTrack, expected: &Expected) -> Option<Self> {
        let ear = Ear::new(room.codec)?;
        let expected = expected.in_language(room.language.as_ref());
        Some(Self {
            key,
            room,
            expected,
            expected_next: None,
            ssrc: None,
            payload_type: None,
            levels: Levels::Absent,
            is_gate_closed: false,
            order: Order::default(),
            clock: MediaClock::default(),
            ear,
            voice: Voice::new(),
            gaps: Gaps::default(),
            ticks: None,
            heard_us: 0,
            came_us: 0,
            quiet: 0,
            malformed: 0,
            deaf_until_us: 0,
            shown: 0,
        })
    }

    pub(super) fn is_of(&self, key: SessionKey) -> bool {
        self.key == key
    }

    /// This is expected in its session.
    pub(super) fn expect(&mut self, expected: &Expected) {
        // What is being said may be on its way to an engine that hears it as it is said.
        self.expected_next = Some(expected.in_language(self.room.language.as_ref()));
        self.follow_expected();
    }

    /// Its person speaks this language; `None` for that of the session, of which `expected` is.
    pub(super) fn set_language(&mut self, language: Option<LanguageTag>, expected: &Expected) {
        self.room.language = language;
        self.expect(expected);
    }

    /// Expects what was told last, once no piece of before is spoken.
    fn follow_expected(&mut self) {
        if self.expected_next.is_some() && !self.voice.is_speaking() {
            self.expected = self.expected_next.take().unwrap_or_default();
        }
    }

    /// Whether something is to be done when time passes.
    pub(super) fn is_pending(&self) -> bool {
        self.voice.is_speaking() || self.order.is_holding() || self.gaps.is_open()
    }

    /// By how many samples the piece that is spoken has grown since its text so far was made last;
    /// `None` when that is little.
    pub(super) fn grown(&self) -> Option<usize> {
        let now = self.voice.growing()?;
        // A piece that was too short to be given out was followed by another one.
        let grown = now.checked_sub(self.shown).unwrap_or(now);
        (grown >= GROWN_MIN).then_some(grown)
    }

    /// The piece that is spoken, as far as it goes.
    pub(super) fn so_far(&mut self) -> Option<Piece> {
        let spoken = self.voice.so_far()?;
        self.shown = self.voice.growing().unwrap_or(0);
        Some(self.piece_of(spoken))
    }

    /// What is being said, as far as it is certain to belong to its piece.
    pub(super) fn certain(&self) -> Option<Speech<'_>> {
        let (samples, from_us) = self.voice.certain()?;
        Some(Speech {
            id: Some((self.room.track, moment(from_us))),
            samples,
            language: self.expected.language.as_deref(),
            words: self.expected.words.as_deref(),
        })
    }

    /// Packets come from another source.
    pub(super) fn source(&mut self, ssrc: u32, at_us: u64, effects: &mut Effects) {
        self.passed(at_us);
        if self.ssrc.replace(ssrc) != Some(ssrc) {
            self.begin_anew(effects);
            self.ear.reset();
            self.quiet = 0;
            if self.levels == Levels::Distrusted {
                self.levels = Levels::Absent;
            }
        }
    }

    /// What comes next does not go on where this ended, and is counted anew.
    fn begin_anew(&mut self, effects: &mut Effects) {
        self.let_out(effects);
        self.order = Order::default();
        self.clock = MediaClock::default();
        self.ticks = None;
    }

    /// Packets of this payload type, which come next, have this codec.
    pub(super) fn codec(&mut self, payload_type: u8, codec: Codec, effects: &mut Effects) {
        if codec != self.ear.codec()
            && let Some(ear) = Ear::new(codec)
        {
            self.begin_anew(effects);
            self.ear = ear;
        }
        if codec == self.ear.codec() {
            self.payload_type = Some(payload_type);
        } else if self.payload_type == Some(payload_type) {
            self.payload_type = None;
        }
    }

    /// The sender states the levels of its packets.
    pub(super) fn levels(&mut self, extension: u8) {
        if self.levels != Levels::Distrusted {
            self.levels = Levels::In(extension);
        }
    }

    /// The gate is closed. What passed it before was said to everybody and becomes a piece.
    pub(super) fn close_gate(&mut self, effects: &mut Effects) {
        self.let_out(effects);
        self.is_gate_closed = true;
    }

    /// The gate is open again. Nothing that is said now continues what was said before.
    pub(super) fn open_gate(&mut self, at_us: u64) {
        self.is_gate_closed = false;
        self.ticks = None;
        self.heard_us = self.heard_us.max(at_us);
    }

    /// A packet has passed the gate: it is open, although its opening may not have been told, as
    /// this machine is busy.
    fn passed(&mut self, at_us: u64) {
        if self.is_gate_closed {
            self.open_gate(at_us);
        }
    }

    /// Packets passed the gate and did not come here, as this machine is busy.
    pub(super) fn lost(&mut self, packets: u32, at_us: u64, effects: &mut Effects) {
        self.passed(at_us);
        effects.counts.lost += u64::from(packets);
        self.let_out(effects);
        let from_us = if self.heard_us == 0 { at_us } else { self.heard_us.min(at_us) };
        self.note(Gap { cause: GapCause::Overload, from_us, to_us: at_us }, effects);
        self.ticks = None;
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self, effects: &mut Effects) {
        self.let_out(effects);
        if let Some(gap) = self.gaps.flush() {
            self.give_gap(gap, effects);
        }
    }

    /// Time has passed.
    pub(super) fn handle_timeout(&mut self, now_us: u64, effects: &mut Effects) {
        self.order.handle_timeout(now_us);
        self.listen(effects);
        if self.voice.is_speaking() && now_us.saturating_sub(self.came_us) >= STALLED_US {
            self.voice.end();
            self.ticks = None;
            self.give_spoken(effects);
        }
        if let Some(gap) = self.gaps.handle_timeout(now_us) {
            self.give_gap(gap, effects);
        }
    }

    /// A packet that has passed the gate.
    pub(super) fn packet(&mut self, at_us: u64, bytes: &[u8], effects: &mut Effects) {
        effects.counts.packets += 1;
        // None comes while the gate is closed: this holds even if one did.
        if self.is_gate_closed {
            return;
        }
        let Some(packet) = Packet::parse(bytes) else {
            effects.counts.malformed += 1;
            return;
        };
        // Other payloads, such as tones of keys, are no speech.
        if self.payload_type != Some(packet.header.payload_type) {
            return;
        }
        let ticks = self.clock.extend(packet.header.timestamp);
        let rate_hz = self.ear.codec().clock_rate_hz();
        let ticks = ticks.saturating_mul(i64::from(TICKS_PER_S / rate_hz));
        let quiet = self.is_quiet(&packet, bytes);
        let arrived = Arrived { at_us, ticks, quiet, payload: packet.payload.to_vec() };
        if !self.order.take(packet.header.sequence, arrived) {
            effects.counts.late += 1;
        }
        self.order.handle_timeout(at_us);
        self.listen(effects);
    }

    fn is_quiet(&self, packet: &Packet<'_>, bytes: &[u8]) -> bool {
        let Levels::In(extension) = self.levels else { return false };
        let found = packet.header.extensions(bytes).find(|(id, _)| *id == extension);
        found
            .and_then(|(_, value)| value.first().copied())
            .is_some_and(|level| level & 0x7F >= QUIET_DBOV)
    }

    /// Handles the packets that are in order.
    fn listen(&mut self, effects: &mut Effects) {
        while let Some(next) = self.order.poll() {
            self.follow_expected();
            self.hear(&next, effects);
            self.give_spoken(effects);
        }
    }

    fn hear(&mut self, next: &Next, effects: &mut Effects) {
        let Next { lost, restarted, packet } = next;
        let waited_us = packet.at_us.saturating_sub(self.came_us);
        self.came_us = self.came_us.max(packet.at_us);
        if *restarted {
            self.voice.end();
            self.ear.reset();
            self.ticks = None;
        }
        let mut start_us = self.clock.time_us(packet.ticks, packet.at_us);
        if packet.at_us < self.deaf_until_us {
            effects.counts.malformed += 1;
            self.note_bad(start_us, start_us, effects);
            return;
        }
        if self.is_skipped(packet, effects) {
            self.heard_us = self.heard_us.max(start_us);
            self.ticks = None;
            return;
        }
        let missing =
            self.ticks.map_or(0, |ticks| packet.ticks.saturating_sub(ticks) / TICKS_PER_SAMPLE);
        if !(BACK_SAMPLES_MIN..=SILENCE_SAMPLES_MAX).contains(&missing) {
            self.ticks = None;
        } else if let Ok(missing) = usize::try_from(missing)
            && missing > 0
        {
            self.fill(missing, *lost, (start_us, waited_us), &packet.payload, effects);
        }
        if self.ticks.is_none() {
            // Nothing is known of the time before.
            self.voice.end();
        }
        match self.ear.decode(&packet.payload) {
            Ok(samples) => {
                effects.counts.decoded += 1;
                self.malformed = 0;
                self.voice.take(samples, start_us);
                let ticks = i64::try_from(samples.len()).unwrap_or(0) * TICKS_PER_SAMPLE;
                self.ticks = Some(packet.ticks.saturating_add(ticks));
                start_us += us_of(samples.len());
                self.heard_us = self.heard_us.max(start_us);
            }
            Err(NotSound) => self.not_sound(packet.at_us, start_us, effects),
        }
    }

    /// Fills the time before a packet: lost packets are reconstructed, and what is still missing
    /// was silent, as a sender that has nothing to say sends little or nothing (RFC 7587 §3.1.3).
    fn fill(
        &mut self,
        missing: usize,
        lost: u64,
        (start_us, waited_us): (u64, u64),
        behind: &[u8],
        effects: &mut Effects,
    ) {
        let (mut sound, count) = self.ear.reconstruct(lost, behind);
        effects.counts.concealed += count;
        sound.truncate(missing);
        // A sender that counts too fast does not make pauses in what it sends without any: there
        // was silence only while nothing came, beyond the sound that came before.
        let waited = usize::try_from(waited_us / 1_000 * 16).unwrap_or(usize::MAX);
        let came = sound.len() + self.ear.packet_samples();
        let silent = (missing - sound.len()).min(waited.saturating_sub(came));
        let at_us = start_us.saturating_sub(us_of(sound.len()));
        if silent > 0 {
            self.voice.take_silence(silent, at_us.saturating_sub(us_of(silent)));
        }
        if !sound.is_empty() {
            self.voice.take(&sound, at_us);
        }
    }

    /// Whether a packet is left out, since its sender says that it is silent, as the ones before.
    fn is_skipped(&mut self, packet: &Arrived, effects: &mut Effects) -> bool {
        if !packet.quiet || self.levels == Levels::Distrusted {
            self.quiet = 0;
            return false;
        }
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet <= QUIET_PACKETS {
            return false;
        }
        self.voice.end();
        if self.quiet.is_multiple_of(CHECKED_ONE_IN)
            && let Ok(samples) = self.ear.decode(&packet.payload)
            && samples.iter().any(|sample| sample.abs() >= LOUD)
        {
            self.levels = Levels::Distrusted;
            effects.counts.levels_distrusted += 1;
            return false;
        }
        true
    }

    fn not_sound(&mut self, at_us: u64, start_us: u64, effects: &mut Effects) {
        effects.counts.malformed += 1;
        self.malformed = self.malformed.saturating_add(1);
        let from_us = if self.heard_us == 0 { start_us } else { self.heard_us.min(start_us) };
        self.ticks = None;
        if self.malformed == MALFORMED_MAX {
            self.voice.end();
            self.note_bad(from_us, start_us, effects);
        }
        if self.malformed >= MALFORMED_MAX {
            self.deaf_until_us = at_us + DEAF_US;
        }
    }

    /// There is no sound in what comes.
    fn note_bad(&mut self, from_us: u64, to_us: u64, effects: &mut Effects) {
        self.note(Gap { cause: GapCause::BadAudio, from_us, to_us }, effects);
    }

    fn note(&mut self, gap: Gap, effects: &mut Effects) {
        if let Some(gap) = self.gaps.note(gap) {
            self.give_gap(gap, effects);
        }
    }

    /// Gives out everything that was said until now.
    fn let_out(&mut self, effects: &mut Effects) {
        self.order.flush();
        self.listen(effects);
        self.voice.end();
        self.give_spoken(effects);
    }

    fn give_spoken(&mut self, effects: &mut Effects) {
        while let Some(spoken) = self.voice.poll() {
            self.shown = 0;
            effects.give(Output::Piece(self.piece_of(spoken)));
            // Whoever speaks on is at another piece by now.
            if let Some(expected) = self.expected_next.take() {
                self.expected = expected;
            }
        }
    }

    fn piece_of(&self, Spoken { samples, from_us, to_us }: Spoken) -> Piece {
        Piece {
            key: self.key,
            user: self.room.user.clone(),
            track: self.room.track,
            language: self.expected.language.clone(),
            words: self.expected.words.clone(),
            samples,
            from: moment(from_us),
            to: moment(to_us),
        }
    }

    fn give_gap(&self, gap: Gap, effects: &mut Effects) {
        effects.give(Output::Unheard(Unheard {
            key: self.key,
            user: self.room.user.clone(),
            track: self.room.track,
            from: moment(gap.from_us),
            to: moment(gap.to_us),
            cause: gap.cause,
        }));
    }
}
