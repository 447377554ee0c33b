//! The last answers, by tenant or assembly, for as long as they are safe to use.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Most answers kept; the oldest makes room beyond it.
const KEPT_MAX: usize = 10_000;

/// Answers by key, each with when it was given.
pub(super) struct Cache<K, V>(Mutex<BTreeMap<K, (Timestamp, V)>>);

impl<K: Ord + Clone, V: Clone> Cache<K, V> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// The answer, unless it is older than `fresh_for` or seems to lie ahead
    /// after the clock was set back.
    pub(super) fn fresh(&self, key: &K, fresh_for: Duration, now: Timestamp) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, value) = kept.get(key)?;
        (*at <= now && now.since(*at) < fresh_for).then(|| value.clone())
    }

    /// The answer, however old.
    pub(super) fn last(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).map(|(_, value)| value.clone())
    }

    pub(super) fn keep(&self, key: K, value: V, now: Timestamp) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
            let oldest = kept.iter().min_by_key(|(_, (at, _))| *at).map(|(key, _)| key.clone());
            oldest.map(|oldest| kept.remove(&oldest));
        }
        kept.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ages_and_the_oldest_makes_room() {
        let at = |s: u64| Timestamp::from_unix_us(0).after(Duration::from_secs(s));
        let cache = Cache::new();
        cache.keep(0, "zero", at(10));
        let fresh = |now| cache.fresh(&0, Duration::from_mins(1), now);
        assert_eq!(fresh(at(69)), Some("zero"));
        assert_eq!(fresh(at(70)), None);
        assert_eq!(fresh(at(9)), None, "the clock was set back");
        assert_eq!(cache.last(&0), Some("zero"));
        for key in 1..=KEPT_MAX {
            cache.keep(key, "later", at(20));
        }
        assert_eq!(cache.last(&0), None);
        assert_eq!(cache.last(&1), Some("later"));
    }
}
