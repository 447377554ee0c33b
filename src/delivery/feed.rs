//! Public events, page by page.

use std::sync::Arc;

use super::cursor::Cursor;
use super::event::{Origin, PublicEvent};
use super::tail::{Tail, TailWaiter};
use crate::domain::id::SessionKey;
use crate::events::{Outbox, OutboxError, Scope};

/// Transactions read at once, with their events the memory of a reader.
const TRANSACTIONS_PER_READ: u32 = 100;

/// Public events, page by page. Clones read the same outbox.
#[derive(Clone)]
pub struct Feed {
    outbox: Arc<dyn Outbox>,
    origin: Origin,
    tail: Tail,
}

/// An event, and the cursor of a reader that has read it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Where to go on from after it.
    pub cursor: Cursor,
    /// The event.
    pub event: PublicEvent,
}

/// What a reading yields.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events, in order.
    pub events: Vec<Placed>,
    /// Where to go on from; also past what is not told outside.
    pub next: Cursor,
}

/// Why events can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The cursor is beyond the newest event: it comes from elsewhere.
    #[error("the cursor is beyond the newest event")]
    Ahead,
    /// The outbox could not be read.
    #[error(transparent)]
    Outbox(#[from] OutboxError),
}

impl Feed {
    /// Events of this outbox.
    #[must_use]
    pub fn new(outbox: Arc<dyn Outbox>, origin: Origin, tail: Tail) -> Self {
        Self { outbox, origin, tail }
    }

    /// Somebody who waits for more.
    #[must_use]
    pub fn waiter(&self) -> TailWaiter {
        self.tail.waiter()
    }

    /// Where a reader begins that has no cursor: with the oldest event there is.
    ///
    /// # Errors
    /// When the outbox can't be read.
    pub async fn oldest(&self) -> Result<Cursor, FeedError> {
        Ok(Cursor::after(self.outbox.extent().await?.oldest))
    }

    /// Where a reader begins that wants what comes from now on.
    ///
    /// # Errors
    /// When the outbox can't be read.
    pub async fn newest(&self) -> Result<Cursor, FeedError> {
        Ok(Cursor::after(self.outbox.extent().await?.newest))
    }

    /// Refuses a cursor that no reader of this outbox can have, or from which
    /// events were deleted.
    ///
    /// # Errors
    /// [`FeedError::Ahead`], [`OutboxError::Expired`], or when the outbox can't be
    /// read.
    pub async fn check(&self, cursor: Cursor) -> Result<(), FeedError> {
        let extent = self.outbox.extent().await?;
        if cursor.position() > extent.newest {
            return Err(FeedError::Ahead);
        }
        if cursor.read_from() < extent.oldest {
            return Err(OutboxError::Expired { oldest: extent.oldest }.into());
        }
        Ok(())
    }

    /// Whether an event that was read before may still be handed on: what a room told may not once
    /// the recording of its session was erased.
    ///
    /// # Errors
    /// When it can't be looked up.
    pub async fn is_still_told(&self, event: &PublicEvent) -> Result<bool, FeedError> {
        let key = SessionKey::new(event.tenant, event.session);
        Ok(event.payload.outlives_erasure() || !self.outbox.is_erased(key).await?)
    }

    /// What comes after a cursor; empty when there is nothing yet.
    ///
    /// # Errors
    /// When events after the cursor were deleted, or the outbox can't be read.
    pub async fn after(&self, scope: Scope, cursor: Cursor) -> Result<Page, FeedError> {
        let batch = self.outbox.after(scope, cursor.read_from(), TRANSACTIONS_PER_READ).await?;
        let mut events = Vec::new();
        let mut read = batch.events.iter().peekable();
        while let Some(event) = read.next() {
            if cursor.has_passed(event.position, event.seq) {
                continue;
            }
            let is_last = read.peek().is_none_or(|next| next.position != event.position);
            let place = if is_last {
                Cursor::after(event.position)
            } else {
                Cursor::within(event.position, event.seq)
            };
            if let Some(event) = PublicEvent::of(event, &self.origin) {
                events.push(Placed { cursor: place, event });
            }
        }
        let is_further = batch.next >= cursor.position();
        let next = if is_further { Cursor::after(batch.next) } else { cursor };
        Ok(Page { events, next })
    }
}
