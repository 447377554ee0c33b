//! Telling governance of sessions, and binding what it holds into their logs.

use std::sync::Arc;

use super::base::Base;
use super::foundation::Foundation;
use super::services::Services;
use crate::governance::{Governance, GovernanceParts};

/// The calls to governance; none without its address.
pub(super) struct GovernanceCalls(Option<Governance>);

impl GovernanceCalls {
    pub(super) fn start(base: &Base, foundation: &Foundation, services: &Services) -> Self {
        let store = Arc::new(base.store.clone());
        Self(services.governance.clone().map(|client| {
            Governance::start(GovernanceParts {
                outbox: store.clone(),
                calls: store,
                client,
                claims: foundation.claims.clone(),
                evidence: foundation.evidence.clone(),
                clock: base.clock.clone(),
            })
        }))
    }

    pub(super) async fn shutdown(self) {
        if let Some(governance) = self.0 {
            governance.shutdown().await;
        }
    }
}
