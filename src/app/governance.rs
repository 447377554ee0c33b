//! Telling governance of sessions, and binding what it holds into their logs.

use std::sync::Arc;

use super::base::Base;
use super::foundation::Foundation;
use super::services::Services;
use crate::events::{Beginning, Outbox as _};
use crate::governance::{Governance, GovernanceParts, READER};

/// The calls to governance; none without its address.
pub(super) struct GovernanceCalls(Option<Governance>);

impl GovernanceCalls {
    pub(super) async fn start(
        base: &Base,
        foundation: &Foundation,
        services: &Services,
    ) -> anyhow::Result<Self> {
        let store = Arc::new(base.store.clone());
        let Some(client) = services.governance.clone() else {
            // Nothing is kept for governance, and it is told nothing of this time later.
            store.forget_except(READER, &[]).await?;
            return Ok(Self(None));
        };
        // Before the first change that governance must be told of.
        store.register(&READER.parse()?, Beginning::Newest).await?;
        Ok(Self(Some(Governance::start(GovernanceParts {
            outbox: store.clone(),
            calls: store,
            client,
            claims: foundation.claims.clone(),
            evidence: foundation.evidence.clone(),
            clock: base.clock.clone(),
        }))))
    }

    pub(super) async fn shutdown(self) {
        if let Some(governance) = self.0 {
            governance.shutdown().await;
        }
    }
}
