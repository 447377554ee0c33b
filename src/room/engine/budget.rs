#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! How much people may have written down: each message, request and change of
//! state stays in the journal and in the log, so persons and rooms have budgets
//! of numbers and of bytes. Moderators' decisions are not counted.

use std::collections::BTreeMap;

use crate::domain::id::UserId;
use crate::domain::time::Timestamp;
use crate::room::action::{Action, ChatAction, FloorAction, PeopleAction};
use crate::room::error::RoomError;

/// What may be used at once, and how much of it comes back in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Allowance {
    at_once: u32,
    per_minute: u32,
}

/// Chat messages of one person.
const PERSON_CHATS: Allowance = Allowance { at_once: 20, per_minute: 20 };
/// Requests to speak, withdrawals and statements of one person about what they
/// send.
const PERSON_CHANGES: Allowance = Allowance { at_once: 30, per_minute: 20 };
/// Bytes of text of one person.
const PERSON_BYTES: Allowance = Allowance { at_once: 16 * 1024, per_minute: 8 * 1024 };
/// Chat messages of everybody in the room together.
const ROOM_CHATS: Allowance = Allowance { at_once: 200, per_minute: 300 };
/// As [`PERSON_CHANGES`], of everybody together: an assembly of a thousand may
/// ask for the floor at the same moment.
const ROOM_CHANGES: Allowance = Allowance { at_once: 2_000, per_minute: 600 };
/// Bytes of text of everybody together.
const ROOM_BYTES: Allowance = Allowance { at_once: 256 * 1024, per_minute: 128 * 1024 };
/// Most people whose use is remembered. At it, those who have their whole
/// allowance again are forgotten, and then those who used least recently.
const PEOPLE_MAX: usize = 4_096;

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

/// Chats, changes and bytes.
type Use = [u64; 3];

#[derive(Debug, Clone, Copy)]
struct Account {
    buckets: [Bucket; 3],
}

impl Account {
    const fn new(now: Timestamp) -> Self {
        Self { buckets: [Bucket::full(now); 3] }
    }

    fn has(&self, allowances: [Allowance; 3], wanted: Use, now: Timestamp) -> bool {
        let each = self.buckets.iter().zip(allowances).zip(wanted);
        each.into_iter().all(|((bucket, allowance), amount)| bucket.has(allowance, amount, now))
    }

    fn take(&mut self, allowances: [Allowance; 3], wanted: Use, now: Timestamp) {
        for ((bucket, allowance), amount) in self.buckets.iter_mut().zip(allowances).zip(wanted) {
            bucket.take(allowance, amount, now);
        }
    }

    fn is_full(&self, now: Timestamp) -> bool {
        self.buckets.iter().zip(PERSON).all(|(bucket, allowance)| bucket.used(allowance, now) == 0)
    }
}

const PERSON: [Allowance; 3] = [PERSON_CHATS, PERSON_CHANGES, PERSON_BYTES];
const ROOM: [Allowance; 3] = [ROOM_CHATS, ROOM_CHANGES, ROOM_BYTES];

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

    /// Counts what `user` asks for.
    ///
    /// # Errors
    /// [`RoomError::TooMuch`] when the person or the room has used its allowance.
    pub(super) fn spend(
        &mut self,
        user: &UserId,
        action: &Action,
        now: Timestamp,
    ) -> Result<(), RoomError> {
        let Some(wanted) = cost(action) else { return Ok(()) };
        self.make_room(user, now);
        let person = self.people.entry(user.clone()).or_insert_with(|| Account::new(now));
        if !person.has(PERSON, wanted, now) || !self.room.has(ROOM, wanted, now) {
            return Err(RoomError::TooMuch);
        }
        person.take(PERSON, wanted, now);
        self.room.take(ROOM, wanted, now);
        Ok(())
    }

    fn make_room(&mut self, user: &UserId, now: Timestamp) {
        if self.people.len() < PEOPLE_MAX || self.people.contains_key(user) {
            return;
        }
        self.people.retain(|_, account| !account.is_full(now));
        if self.people.len() >= PEOPLE_MAX {
            let last_used = |account: &Account| account.buckets.iter().map(|it| it.at).max();
            let oldest = self.people.iter().min_by_key(|(_, account)| last_used(account));
            if let Some(oldest) = oldest.map(|(user, _)| user.clone()) {
                self.people.remove(&oldest);
            }
        }
    }
}

/// What an action costs; `None` when it is not counted.
fn cost(action: &Action) -> Option<Use> {
    let bytes = |text: &str| text.len() as u64;
    match action {
        Action::Chat(ChatAction::Say { text }) => Some([1, 0, bytes(text)]),
        Action::Floor(FloorAction::RequestSpeech { note, .. }) => {
            Some([0, 1, note.as_deref().map_or(0, bytes)])
        }
        Action::Floor(FloorAction::CancelSpeech { .. } | FloorAction::EndSpeech)
        | Action::People(PeopleAction::SetMedia(_))
        | Action::Undo(_) => Some([0, 1, 0]),
        // An acknowledgement is told once of each person.
        Action::Floor(_) | Action::People(_) | Action::Recording(_) => None,
    }
}
