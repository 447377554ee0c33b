//! Starts the scribes of logs.

use std::sync::{Arc, PoisonError};

use crate::domain::id::{SessionId, TenantId};
use crate::evidence::requests::ScribeHandle;
use crate::evidence::scribe::Scribe;
use crate::evidence::shared::Shared;

impl Shared {
    /// The scribe of a log, which is started if it does not run; `None` once the server stops.
    pub(super) fn scribe(
        self: &Arc<Self>,
        tenant: TenantId,
        session: SessionId,
    ) -> Option<ScribeHandle> {
        self.with_scribe(tenant, session, ScribeHandle::clone)
    }

    /// Tells a scribe that the room's journal has grown.
    pub(super) fn nudge(self: &Arc<Self>, tenant: TenantId, session: SessionId) {
        // Takes the same lock as `forget`, so that a scribe that is about to end does not miss the
        // signal.
        self.with_scribe(tenant, session, |scribe| scribe.signals.nudge());
    }

    fn with_scribe<T>(
        self: &Arc<Self>,
        tenant: TenantId,
        session: SessionId,
        use_it: impl FnOnce(&ScribeHandle) -> T,
    ) -> Option<T> {
        let mut scribes = self.scribes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.stopping.is_cancelled() {
            return None;
        }
        let key = (tenant, session);
        if scribes.get(&key).is_none_or(|scribe| scribe.commands.is_closed()) {
            let (scribe, handle) = Scribe::new(Arc::clone(self), tenant, session);
            self.tasks.spawn(scribe.run());
            scribes.insert(key, handle);
        }
        scribes.get(&key).map(use_it)
    }
}
