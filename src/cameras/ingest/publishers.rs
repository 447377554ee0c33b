//! Which devices publish into which captures on this instance, in whatever way they do: at most one
//! into each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::keeping::FINISH_MAX;
use crate::cameras::metrics;
use crate::domain::id::{CaptureId, TenantId};

/// Devices that publish at once, and of one tenant; more are refused. Raising them uses more
/// memory: up to 24 MiB of segments for each while the vault is away.
const PUBLISHERS_MAX: usize = 64;
const PUBLISHERS_PER_TENANT_MAX: usize = 32;
/// After so long a silence a device that connects again takes the place of its connection before.
const REPLACED_AFTER: Duration = Duration::from_secs(3);

type Key = (TenantId, CaptureId);

/// Who publishes into a capture.
#[derive(Debug)]
struct Publisher {
    number: u64,
    heard: Heard,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// When a device was heard last. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Heard(Arc<Mutex<Instant>>);

impl Heard {
    pub(super) fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(now)))
    }

    pub(super) fn set(&self, now: Instant) {
        *lock(&self.0) = now;
    }

    fn elapsed(&self) -> Duration {
        lock(&self.0).elapsed()
    }
}

/// Why a device may not publish now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It publishes on another connection.
    Busy,
    /// As many publish as may.
    NoRoom,
}

/// The devices that publish on this instance. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Publishers(Arc<Mutex<BTreeMap<Key, Publisher>>>);

/// The right to publish into a capture, until it is dropped.
#[derive(Debug)]
pub(super) struct Claimed {
    publishers: Publishers,
    key: Key,
    number: u64,
    pub(super) heard: Heard,
    /// Another one takes its place.
    pub(super) stop: CancellationToken,
    ended: CancellationToken,
    /// The end of the one whose place it takes.
    before: Option<CancellationToken>,
}

impl Publishers {
    /// Lets a device publish into a capture. One that has been silent for a while is told to end.
    pub(super) fn claim(&self, key: Key, heard: Heard) -> Result<Claimed, Refused> {
        let mut publishers = lock(&self.0);
        let before = match publishers.get(&key) {
            Some(before) if before.heard.elapsed() < REPLACED_AFTER => return Err(Refused::Busy),
            Some(before) => {
                before.stop.cancel();
                Some(before.ended.clone())
            }
            None if !has_room(publishers.keys().map(|(tenant, _)| *tenant), key.0) => {
                return Err(Refused::NoRoom);
            }
            None => None,
        };
        heard.set(Instant::now());
        let claimed = Claimed {
            publishers: self.clone(),
            key: key.clone(),
            number: rand::random(),
            heard: heard.clone(),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            before,
        };
        let (stop, ended) = (claimed.stop.clone(), claimed.ended.clone());
        publishers.insert(key, Publisher { number: claimed.number, heard, stop, ended });
        metrics::publishers(publishers.len());
        Ok(claimed)
    }
}

impl Claimed {
    /// Waits until what the one before has sent is kept, or for a while. Nothing more of that is
    /// kept once this one begins.
    pub(super) async fn settled(&mut self) {
        if let Some(before) = self.before.take() {
            // One that takes longer waits for the vault, and has had its time.
            drop(timeout(FINISH_MAX, before.cancelled()).await);
            self.heard.set(Instant::now());
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        let mut publishers = lock(&self.publishers.0);
        if publishers.get(&self.key).is_some_and(|it| it.number == self.number) {
            publishers.remove(&self.key);
            metrics::publishers(publishers.len());
        }
        drop(publishers);
        self.ended.cancel();
    }
}

/// Whether one more device of a tenant may publish beside those of these tenants.
fn has_room(publishers: impl Iterator<Item = TenantId>, tenant: TenantId) -> bool {
    let (mut all, mut own) = (0, 0);
    for publisher in publishers {
        all += 1;
        own += usize::from(publisher == tenant);
    }
    all < PUBLISHERS_MAX && own < PUBLISHERS_PER_TENANT_MAX
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_does_not_take_the_places_of_all() {
        let (one, two, third) = (TenantId::generate(), TenantId::generate(), TenantId::generate());
        let own = vec![one; PUBLISHERS_PER_TENANT_MAX];
        assert!(has_room(own.iter().skip(1).copied(), one));
        assert!(!has_room(own.iter().copied(), one));
        assert!(has_room(own.iter().copied(), two));
        let others = vec![two; PUBLISHERS_MAX - own.len()];
        assert!(!has_room(own.into_iter().chain(others), third));
    }

    #[tokio::test]
    async fn who_takes_the_place_of_a_silent_device_waits_until_that_one_has_kept_all() {
        let publishers = Publishers::default();
        let key = (TenantId::generate(), "7".parse::<CaptureId>().expect("an id"));
        let claim = || publishers.claim(key.clone(), Heard::new(Instant::now()));
        let long_ago = Instant::now().checked_sub(REPLACED_AFTER).expect("the machine runs");
        let first = claim().expect("free");
        assert_eq!(claim().err(), Some(Refused::Busy));
        first.heard.set(long_ago);
        let mut second = claim().expect("the first is silent");
        assert!(first.stop.is_cancelled() && !second.stop.is_cancelled());
        let waits = timeout(Duration::from_millis(20), second.settled()).await;
        assert!(waits.is_err(), "the first has not ended");
        second.heard.set(long_ago);
        let mut third = claim().expect("the second says nothing");
        drop(first);
        assert_eq!(claim().err(), Some(Refused::Busy), "the first took the third's place away");
        drop(second);
        let settled = timeout(FINISH_MAX / 2, third.settled()).await;
        assert!(settled.is_ok(), "both have ended");
    }
}
