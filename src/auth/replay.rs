//! Remembers used proofs, so that none is accepted twice (RFC 9449 §11.1).

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::time::Timestamp;

/// The replay cache does not answer, or is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the replay cache is unavailable")]
pub struct ReplayCacheUnavailable;

/// A store of used proofs, which remembers each until it is refused because of its age. In
/// production all instances share it.
#[async_trait]
pub trait ReplayCache: Send + Sync {
    /// Stores `key` until `expires_at`; returns `false` when it was stored already. Of simultaneous
    /// calls with one key, exactly one returns `true`.
    async fn insert_if_absent(
        &self,
        key: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ReplayCacheUnavailable>;
}

/// A replay cache in this process, for tests, development and installations of one instance. When
/// it is full of keys that have not expired, it returns an error instead of forgetting one.
#[derive(Debug)]
pub struct InMemoryReplayCache {
    capacity: NonZeroUsize,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    expiries: BTreeMap<[u8; 32], Timestamp>,
    by_expiry: BTreeSet<(Timestamp, [u8; 32])>,
}

impl InMemoryReplayCache {
    /// Default capacity: 1,800 proofs per second for 90 s, in about 20 MiB.
    pub const CAPACITY_DEFAULT: NonZeroUsize = NonZeroUsize::new(1 << 17).expect("not zero");

    /// Makes a cache of at most `capacity` keys.
    #[must_use]
    pub fn with_capacity(capacity: NonZeroUsize) -> Self {
        Self { capacity, entries: Mutex::default() }
    }
}

impl Default for InMemoryReplayCache {
    fn default() -> Self {
        Self::with_capacity(Self::CAPACITY_DEFAULT)
    }
}

impl Entries {
    fn insert_if_absent(
        &mut self,
        key: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
        capacity: NonZeroUsize,
    ) -> Result<bool, ReplayCacheUnavailable> {
        while let Some(&(expiry, expired)) = self.by_expiry.first().filter(|entry| entry.0 <= now) {
            self.by_expiry.remove(&(expiry, expired));
            self.expiries.remove(&expired);
        }
        if self.expiries.contains_key(&key) {
            return Ok(false);
        }
        if self.expiries.len() >= capacity.get() {
            return Err(ReplayCacheUnavailable);
        }
        self.expiries.insert(key, expires_at);
        self.by_expiry.insert((expires_at, key));
        Ok(true)
    }
}

#[async_trait]
impl ReplayCache for InMemoryReplayCache {
    async fn insert_if_absent(
        &self,
        key: [u8; 32],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, ReplayCacheUnavailable> {
        // No call panics while it holds the lock, so a poisoned lock can be used.
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.insert_if_absent(key, expires_at, now, self.capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_us(seconds * 1_000_000)
    }

    #[tokio::test]
    async fn a_key_is_taken_once_until_it_expires() {
        let cache = InMemoryReplayCache::default();
        assert_eq!(cache.insert_if_absent([1; 32], at(90), at(0)).await, Ok(true));
        assert_eq!(cache.insert_if_absent([1; 32], at(90), at(89)).await, Ok(false));
        assert_eq!(cache.insert_if_absent([2; 32], at(90), at(89)).await, Ok(true));
        assert_eq!(cache.insert_if_absent([1; 32], at(180), at(90)).await, Ok(true));
    }

    #[tokio::test]
    async fn a_full_cache_refuses_and_forgets_nothing() {
        let cache = InMemoryReplayCache::with_capacity(NonZeroUsize::new(2).expect("not zero"));
        assert_eq!(cache.insert_if_absent([1; 32], at(90), at(0)).await, Ok(true));
        assert_eq!(cache.insert_if_absent([2; 32], at(95), at(0)).await, Ok(true));
        assert_eq!(
            cache.insert_if_absent([3; 32], at(90), at(1)).await,
            Err(ReplayCacheUnavailable)
        );
        assert_eq!(cache.insert_if_absent([1; 32], at(90), at(1)).await, Ok(false));
        assert_eq!(cache.insert_if_absent([3; 32], at(180), at(90)).await, Ok(true));
    }
}
