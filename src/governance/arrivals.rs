//! Where it is kept what of governance has led to changes.

use std::sync::Arc;

use async_trait::async_trait;

use crate::domain::arrival::Arrival;
use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::sessions::SessionRepository;

/// Which events from outside have led to changes of which sessions.
#[async_trait]
pub trait ArrivalRepository: Send + Sync {
    /// Whether an event has led to a change of a session.
    async fn has_arrived(&self, key: SessionKey, arrival: &Arrival) -> Result<bool, StoreError>;

    /// The sessions, to be changed because of an event: each change is stored in one
    /// transaction with that, and refused when the event has led to one before.
    fn sessions_for(&self, arrival: &Arrival) -> Arc<dyn SessionRepository>;

    /// Forgets events that led to changes before this moment.
    async fn forget_before(&self, before: Timestamp) -> Result<(), StoreError>;
}
