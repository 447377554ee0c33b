//! Starts the scribes of logs.

use std::sync::{Arc, PoisonError};

use crate::domain::id::SessionKey;
use crate::evidence::requests::ScribeHandle;
use crate::evidence::scribe::Scribe;
use crate::evidence::shared::Shared;

impl Shared {
    /// The scribe of a log, which is started if it does not run; `None` once the server stops.
    pub(super) fn scribe(self: &Arc<Self>, key: SessionKey) -> Option<ScribeHandle> {
        self.with_scribe(key, ScribeHandle::clone)
    }

    /// Tells a scribe that the room has stored new events.
    pub(super) fn nudge(self: &Arc<Self>, key: SessionKey) {
        // Takes the same lock as `forget`, so that a scribe that is about to end does not miss the
        // signal.
        self.with_scribe(key, |scribe| scribe.signals.nudge());
    }

    fn with_scribe<T>(
        self: &Arc<Self>,
        key: SessionKey,
        use_it: impl FnOnce(&ScribeHandle) -> T,
    ) -> Option<T> {
        let mut scribes = self.scribes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopping.is_cancelled() {
            return None;
        }
        if scribes.get(&key).is_none_or(|scribe| scribe.commands.is_closed()) {
            let (scribe, handle) = Scribe::new(Arc::clone(self), key);
            self.tasks.spawn(scribe.run());
            scribes.insert(key, handle);
        }
        scribes.get(&key).map(use_it)
    }
}
