//! The wall clock. Drivers and interfaces read it and pass the time to engines.

use std::sync::Arc;
use std::time::SystemTime;

use crate::domain::time::Timestamp;

/// The source of the time for drivers and interfaces.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of the machine.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(|| {
            let span = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Timestamp::from_unix_us(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
        }))
    }

    /// A clock that calls `read`, for tests in virtual time.
    #[must_use]
    pub fn from_fn(read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}
