//! Which stream sessions were found active lately, so that not each request of a player asks the store.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::id::StreamSessionId;
use crate::domain::time::Timestamp;

/// How long a stream session that was found active is believed to be. Raising it
/// lets who was ended by another instance watch on for longer.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// Stream sessions that are remembered as active; at the limit others are looked
/// up each time. Raising it uses more memory.
const BELIEVED_MAX: usize = 20_000;

/// Which stream sessions were found active lately.
#[derive(Debug, Default)]
pub(super) struct Believed(Mutex<BTreeMap<StreamSessionId, Seen>>);

/// An active session.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    /// When the session was looked up.
    pub(super) at: Timestamp,
    /// When it was last noted that the session is used.
    pub(super) touched_at: Timestamp,
}

impl Seen {
    /// Whether the session is still believed to be active.
    pub(super) fn holds(&self, now: Timestamp) -> bool {
        now.since(self.at) < BELIEVED_FOR && self.at <= now
    }
}

impl Believed {
    pub(super) fn seen(&self, session: StreamSessionId) -> Option<Seen> {
        self.lock().get(&session).copied()
    }

    pub(super) fn forget(&self, session: StreamSessionId) {
        self.lock().remove(&session);
    }

    pub(super) fn insert(&self, session: StreamSessionId, seen: Seen) {
        let mut all = self.lock();
        if all.len() >= BELIEVED_MAX {
            all.retain(|_, other| seen.at.since(other.at) < BELIEVED_FOR);
        }
        if all.len() < BELIEVED_MAX {
            all.insert(session, seen);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamSessionId, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
