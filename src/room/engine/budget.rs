#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! How much people may have written down: each message, request, change of state,
//! arrival and track stays in the repository and in the log until the recording is
//! deleted, because time line and report are read from there. So persons and
//! rooms have budgets of numbers and of bytes. What moderators do about the floor
//! and people is not counted.

use std::collections::BTreeMap;

use crate::domain::id::UserId;
use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::room::action::{Action, ChatAction, FloorAction, PeopleAction, TranscriptAction};
use crate::room::error::RoomError;

/// What may be used at once, and how much of it comes back in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    at_once: u32,
    per_minute: u32,
}

impl Allowance {
    /// Most that is used in so many minutes.
    const fn within(self, minutes: u64) -> u64 {
        self.at_once as u64 + minutes * self.per_minute as u64
    }
}

/// Chat messages of one person.
const PERSON_CHATS: Allowance = Allowance { at_once: 20, per_minute: 20 };
/// Requests to speak, withdrawals and statements of one person about what they
/// send.
const PERSON_CHANGES: Allowance = Allowance { at_once: 30, per_minute: 20 };
/// Bytes of text of one person.
const PERSON_BYTES: Allowance = Allowance { at_once: 16 * 1024, per_minute: 8 * 1024 };
/// How often one person enters or comes back. A page that is loaded anew and a
/// connection that is lost count once each.
const PERSON_ARRIVALS: Allowance = Allowance { at_once: 60, per_minute: 4 };
/// Tracks that one person publishes. An offer is taken while there is one left,
/// so one offer of many tracks may go beyond it.
const PERSON_TRACKS: Allowance = Allowance { at_once: 40, per_minute: 10 };
/// Chat messages of everybody in the room together.
const ROOM_CHATS: Allowance = Allowance { at_once: 200, per_minute: 300 };
/// As [`PERSON_CHANGES`], of everybody together: an assembly of a thousand may
/// ask for the floor at the same moment.
const ROOM_CHANGES: Allowance = Allowance { at_once: 2_000, per_minute: 600 };
/// Bytes of text of everybody together.
const ROOM_BYTES: Allowance = Allowance { at_once: 256 * 1024, per_minute: 128 * 1024 };
/// Pieces of speech of one microphone that become text, or of which there is none. Whoever speaks
/// without a break makes one every few seconds; the shortest pieces come three in two seconds.
const PERSON_PIECES: Allowance = Allowance { at_once: 120, per_minute: 90 };
/// Bytes of the text of one microphone. The quickest speakers say 2 KiB in a minute.
const PERSON_SPEECH_BYTES: Allowance = Allowance { at_once: 16 * 1024, per_minute: 4 * 1024 };
/// As [`PERSON_PIECES`], of everybody together.
const ROOM_PIECES: Allowance = Allowance { at_once: 600, per_minute: 600 };
/// As [`PERSON_SPEECH_BYTES`], of everybody together.
const ROOM_SPEECH_BYTES: Allowance = Allowance { at_once: 128 * 1024, per_minute: 64 * 1024 };
/// Nobody's arrivals and tracks are limited by those of others, who could
/// otherwise keep them out.
const ROOM_UNLIMITED: Allowance = Allowance { at_once: u32::MAX, per_minute: u32::MAX };
/// Most people whose use is remembered. At it, those who have their whole
/// allowance again are forgotten, and then those who used least recently.
const PEOPLE_MAX: usize = 4_096;
/// How many are forgotten together then, so that not everybody who comes afterwards makes the room
/// look for one.
const FORGOTTEN_AT_ONCE: usize = 512;

/// One allowance, used. Counted in millionths, so that it needs no fractions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bucket {
    used_millionths: u64,
    at: Timestamp,
}

impl Bucket {
    const fn full(now: Timestamp) -> Self {
        Self { used_millionths: 0, at: now }
    }

    /// What is used now.
    fn used(self, allowance: Allowance, now: Timestamp) -> u64 {
        let passed_us = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let returned = passed_us.saturating_mul(u64::from(allowance.per_minute)) / 60;
        self.used_millionths.saturating_sub(returned)
    }

    /// Whether `amount` more can be used.
    fn has(self, allowance: Allowance, amount: u64, now: Timestamp) -> bool {
        let wanted = amount.saturating_mul(1_000_000);
        self.used(allowance, now).saturating_add(wanted) <= u64::from(allowance.at_once) * 1_000_000
    }

    fn take(&mut self, allowance: Allowance, amount: u64, now: Timestamp) {
        let used = self.used(allowance, now);
        *self = Self { used_millionths: used + amount.saturating_mul(1_000_000), at: now };
    }
}

/// Most bytes of one event with the parts of the state that are stored for it,
/// without text and names.
const EVENT_BYTES_MAX: u64 = 1_024;
/// How often one text is written in the repository: in its event, and in the state
/// while it counts.
const TEXT_COPIES: u64 = 2;
/// Into how many bytes JSON writes one of a cleaned text.
const ESCAPED: u64 = 2;

/// Most bytes that so many people who are no moderators add to repository and state
/// of a room in so many minutes, as JSON. The log holds the events once more.
#[must_use]
pub const fn written_bytes_max(people: u64, minutes: u64) -> u64 {
    // Names are counted for each person only.
    let texts = people * PERSON_BYTES.within(minutes);
    let chats = smaller(people * PERSON_CHATS.within(minutes), ROOM_CHATS.within(minutes));
    let changes = smaller(people * PERSON_CHANGES.within(minutes), ROOM_CHANGES.within(minutes));
    let tracks = people * PERSON_TRACKS.within(minutes);
    let arrivals = people * PERSON_ARRIVALS.within(minutes);
    let pieces = smaller(people * PERSON_PIECES.within(minutes), ROOM_PIECES.within(minutes));
    let speech =
        smaller(people * PERSON_SPEECH_BYTES.within(minutes), ROOM_SPEECH_BYTES.within(minutes));
    TEXT_COPIES * ESCAPED * texts
        // What is said is in its event only.
        + EVENT_BYTES_MAX * pieces
        + ESCAPED * speech
        // A request or withdrawal changes the list too; a track that comes also goes.
        + EVENT_BYTES_MAX * (chats + 2 * changes + 2 * tracks)
        // Whoever comes is told of, and lost or gone again; the name is stored with the person.
        + (EVENT_BYTES_MAX + ESCAPED * ShownText::NAME_BYTES_MAX as u64) * 3 * arrivals
}

const fn smaller(left: u64, right: u64) -> u64 {
    if left < right { left } else { right }
}

/// Chats, changes, bytes, arrivals, tracks, pieces of speech and their bytes.
type Use = [u64; KINDS];
const KINDS: usize = 7;
/// One arrival.
const ARRIVAL: Use = [0, 0, 0, 1, 0, 0, 0];

#[derive(Debug, Clone, Copy)]
struct Account {
    buckets: [Bucket; KINDS],
}

impl Account {
    const fn new(now: Timestamp) -> Self {
        Self { buckets: [Bucket::full(now); KINDS] }
    }

    fn has(&self, allowances: [Allowance; KINDS], wanted: Use, now: Timestamp) -> bool {
        let each = self.buckets.iter().zip(allowances).zip(wanted);
        each.into_iter().all(|((bucket, allowance), amount)| bucket.has(allowance, amount, now))
    }

    fn take(&mut self, allowances: [Allowance; KINDS], wanted: Use, now: Timestamp) {
        for ((bucket, allowance), amount) in self.buckets.iter_mut().zip(allowances).zip(wanted) {
            bucket.take(allowance, amount, now);
        }
    }

    fn is_full(&self, now: Timestamp) -> bool {
        self.buckets.iter().zip(PERSON).all(|(bucket, allowance)| bucket.used(allowance, now) == 0)
    }
}

const PERSON: [Allowance; KINDS] = [
    PERSON_CHATS,
    PERSON_CHANGES,
    PERSON_BYTES,
    PERSON_ARRIVALS,
    PERSON_TRACKS,
    PERSON_PIECES,
    PERSON_SPEECH_BYTES,
];
const ROOM: [Allowance; KINDS] = [
    ROOM_CHATS,
    ROOM_CHANGES,
    ROOM_BYTES,
    ROOM_UNLIMITED,
    ROOM_UNLIMITED,
    ROOM_PIECES,
    ROOM_SPEECH_BYTES,
];

/// What people have used of late. A decision that is undone keeps what it used.
#[derive(Debug)]
pub(super) struct Budget {
    people: BTreeMap<UserId, Account>,
    room: Account,
}

impl Budget {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self { people: BTreeMap::new(), room: Account::new(now) }
    }

    /// Counts what `user`, who is shown by a name of `name_bytes`, asks for.
    ///
    /// # Errors
    /// [`RoomError::TooMuch`] when the person or the room has used its allowance.
    pub(super) fn spend(
        &mut self,
        user: &UserId,
        action: &Action,
        name_bytes: usize,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        // The name counts for the person alone: chats must not use up what others need to ask for
        // the floor or to give it back.
        let costs = cost(action, name_bytes as u64).zip(cost(action, 0));
        costs.map_or(Ok(()), |(own, of_room)| self.take(user, own, of_room, now))
    }

    /// Counts that `user` enters or comes back.
    ///
    /// # Errors
    /// [`RoomError::TooMuch`] when they did so too often.
    pub(super) fn arrive(&mut self, user: &UserId, now: Timestamp) -> Result<(), RoomError> {
        self.take(user, ARRIVAL, ARRIVAL, now)
    }

    /// Whether `user` may offer tracks.
    ///
    /// # Errors
    /// [`RoomError::TooMuch`] when they published too many.
    pub(super) fn check_offer(&self, user: &UserId, now: Timestamp) -> Result<(), RoomError> {
        let has_one = |account: &Account| account.has(PERSON, [0, 0, 0, 0, 1, 0, 0], now);
        if self.people.get(user).is_none_or(has_one) { Ok(()) } else { Err(RoomError::TooMuch) }
    }

    /// Counts tracks that `user` has published.
    pub(super) fn publish(&mut self, user: &UserId, tracks: usize, now: Timestamp) {
        self.make_room(user, now);
        let person = self.people.entry(user.clone()).or_insert_with(|| Account::new(now));
        person.take(PERSON, [0, 0, 0, 0, tracks as u64, 0, 0], now);
    }

    /// Counts a piece of speech of the microphone of `user`, with its text.
    ///
    /// # Errors
    /// [`RoomError::TooMuch`] when the person or the room has used its allowance.
    pub(super) fn speak(
        &mut self,
        user: &UserId,
        text_bytes: usize,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let piece = [0, 0, 0, 0, 0, 1, text_bytes as u64];
        self.take(user, piece, piece, now)
    }

    fn take(
        &mut self,
        user: &UserId,
        own: Use,
        of_room: Use,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        self.make_room(user, now);
        let person = self.people.entry(user.clone()).or_insert_with(|| Account::new(now));
        if !person.has(PERSON, own, now) || !self.room.has(ROOM, of_room, now) {
            return Err(RoomError::TooMuch);
        }
        person.take(PERSON, own, now);
        self.room.take(ROOM, of_room, now);
        Ok(())
    }

    fn make_room(&mut self, user: &UserId, now: Timestamp) {
        if self.people.len() < PEOPLE_MAX || self.people.contains_key(user) {
            return;
        }
        self.people.retain(|_, account| !account.is_full(now));
        let too_many = self.people.len().saturating_sub(PEOPLE_MAX - FORGOTTEN_AT_ONCE);
        if too_many == 0 {
            return;
        }
        let last_used = |account: &Account| account.buckets.iter().map(|it| it.at).max();
        let uses = self.people.iter().map(|(user, account)| (last_used(account), user.clone()));
        let mut by_use: Vec<_> = uses.collect();
        by_use.sort_unstable();
        for (_, user) in by_use.into_iter().take(too_many) {
            self.people.remove(&user);
        }
    }
}

/// What an action costs; `None` when it is not counted. What it tells carries the name.
fn cost(action: &Action, name_bytes: u64) -> Option<Use> {
    let bytes = |text: &str| text.len() as u64 + name_bytes;
    match action {
        Action::Chat(ChatAction::Say { text }) => Some([1, 0, bytes(text), 0, 0, 0, 0]),
        Action::Transcript(TranscriptAction::Correct { text, .. }) => {
            Some([0, 1, bytes(text), 0, 0, 0, 0])
        }
        Action::Floor(FloorAction::RequestSpeech { note, .. }) => {
            Some([0, 1, bytes(note.as_deref().unwrap_or_default()), 0, 0, 0, 0])
        }
        Action::Floor(FloorAction::CancelSpeech { .. } | FloorAction::EndSpeech)
        | Action::People(PeopleAction::SetMedia(_) | PeopleAction::SetLanguage { .. })
        | Action::Undo(_) => Some([0, 1, name_bytes, 0, 0, 0, 0]),
        // An acknowledgement is told once of each person.
        Action::Floor(_) | Action::People(_) | Action::Recording(_) => None,
    }
}
