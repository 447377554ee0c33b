//! Which stream sessions were found active lately, so that not each request of a player asks the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::id::StreamSessionId;

/// How long a stream session that was found active is believed to be. Raising it
/// lets who was ended by another instance watch on for longer.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Stream sessions that are remembered as active; at the limit others are looked
/// up each time. Raising it uses more memory.
const BELIEVED_MAX: usize = 20_000;

/// Which stream sessions were found active lately.
#[derive(Debug)]
pub(super) struct Believed {
    seen: Mutex<BTreeMap<StreamSessionId, Seen>>,
    /// For how long sessions live that are not used.
    idle: Duration,
}

/// An active session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When the session was looked up. This and the others are times since the start of the machine, which
    /// nobody sets.
    pub(super) at: Duration,
    /// When it was last noted that the session is used.
    pub(super) touched_at: Duration,
    /// When it ends, however much it is used.
    pub(super) ends_at: Duration,
}

impl Seen {
    /// Whether the session is still believed to be active.
    pub(super) fn holds(&self, now: Duration) -> bool {
        now.saturating_sub(self.at) < BELIEVED_FOR && now < self.ends_at
    }
}

impl Believed {
    /// Of sessions that live so long without being used.
    pub(super) fn new(idle: Duration) -> Self {
        Self { seen: Mutex::default(), idle }
    }

    pub(super) fn seen(&self, session: StreamSessionId) -> Option<Seen> {
        self.lock().get(&session).copied()
    }

    pub(super) fn forget(&self, session: StreamSessionId) {
        self.lock().remove(&session);
    }

    pub(super) fn insert(&self, session: StreamSessionId, seen: Seen) {
        let mut all = self.lock();
        if all.len() >= BELIEVED_MAX {
            all.retain(|_, other| seen.at.saturating_sub(other.at) < self.idle);
        }
        if all.len() < BELIEVED_MAX {
            all.insert(session, seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamSessionId, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
