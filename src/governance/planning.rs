//! What of the outbox makes governance be called.

use crate::domain::store_error::StoreError;
use crate::events::{Beginning, EventSource, Outbox, OutboxError, OutboxEvent, READ_MAX, Scope};
use crate::governance::repository::{CallRepository, GovernanceCall, Step};
use crate::sessions::{SessionEvent, SessionEventKind};

/// The name of the reader in the outbox.
pub const READER: &str = "governance";

/// Why the outbox was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanningError {
    /// The outbox could not be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
    /// The calls could not be stored.
    #[error(transparent)]
    Calls(#[from] StoreError),
    /// The name of the reader is not one.
    #[error(transparent)]
    Reader(#[from] crate::events::InvalidReaderName),
}

/// Plans the calls of everything in the outbox that was not read yet. Several
/// instances may do this at once: a call is planned once.
pub(super) async fn plan(
    outbox: &dyn Outbox,
    calls: &dyn CallRepository,
) -> Result<(), PlanningError> {
    let reader = READER.parse()?;
    // What happened before governance was configured is not told.
    let mut position = outbox.register(&reader, Beginning::Newest).await?;
    loop {
        let batch = match outbox.after(Scope::Everyone, position, READ_MAX).await {
            Err(OutboxError::Expired { oldest }) => {
                tracing::error!("events that governance was to be told of were deleted");
                position = oldest;
                continue;
            }
            batch => batch?,
        };
        if batch.next == position {
            return Ok(());
        }
        let new: Vec<GovernanceCall> = batch.events.iter().flat_map(planned).collect();
        if !new.is_empty() {
            calls.plan(&new).await?;
        }
        outbox.confirm(&reader, batch.next).await?;
        position = batch.next;
    }
}

/// The calls that an event of the outbox leads to.
#[must_use]
pub fn planned(event: &OutboxEvent) -> Vec<GovernanceCall> {
    if event.source != EventSource::Session {
        return Vec::new();
    }
    let Some(SessionEvent { kind, session, .. }) =
        SessionEvent::read(&event.kind, event.at, &event.payload)
    else {
        let OutboxEvent { session, seq, .. } = event;
        tracing::error!(%session, seq, "an event can't be read, and governance is not told of it");
        return Vec::new();
    };
    let steps = match kind {
        SessionEventKind::Started => [Step::Started, Step::DataAtStart],
        SessionEventKind::Ended => [Step::Ended, Step::DataAtEnd],
        // A session that was called off while it ran is over as well.
        SessionEventKind::Cancelled if session.started_at.is_some() => {
            [Step::Ended, Step::DataAtEnd]
        }
        SessionEventKind::Created | SessionEventKind::Changed | SessionEventKind::Cancelled => {
            return Vec::new();
        }
    };
    let call = |step| GovernanceCall {
        tenant: session.tenant_id,
        session: session.id,
        assembly: session.assembly_id,
        step,
        at: event.at,
        tries: 0,
        refusals: 0,
    };
    steps.map(call).to_vec()
}
