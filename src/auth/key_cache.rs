//! Caches the issuer's keys and fetches them when [`KeySchedule`] says so. A fetch runs in a task
//! of its own, one at a time, so that a caller that stops waiting does not cancel it for others.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as Flight, OwnedMutexGuard};
use tokio::task::JoinHandle;

use crate::auth::error::AuthError;
use crate::auth::jwks::{Found, KeySet};
use crate::auth::jws::{CompactJws, PublicKey};
use crate::auth::key_schedule::{Decision, KeySchedule, Need};
use crate::auth::key_source::KeySource;
use crate::domain::time::Timestamp;

/// The cache of the issuer's keys.
pub(super) struct KeyCache {
    source: Arc<dyn KeySource>,
    state: Arc<Mutex<State>>,
    flight: Arc<Flight<()>>,
}

#[derive(Default)]
struct State {
    keys: Option<KeySet>,
    schedule: KeySchedule,
}

/// The result of looking up a token's key in the cache.
enum Lookup {
    Key(PublicKey),
    Missing,
    Ambiguous,
}

impl KeyCache {
    /// Makes an empty cache for the keys of `source`.
    pub(super) fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, state: Arc::default(), flight: Arc::default() }
    }

    /// The key that must have signed `jws`. Fetches keys from the issuer at most once.
    pub(super) async fn key_for(
        &self,
        jws: &CompactJws<'_>,
        now: Timestamp,
    ) -> Result<PublicKey, AuthError> {
        match self.look_up(jws) {
            Lookup::Ambiguous => Err(AuthError::TokenInvalid),
            Lookup::Key(key) => match self.decide(Need::Known, now) {
                Decision::Serve | Decision::Refuse => Ok(key),
                Decision::ServeAndFetch => {
                    if let Ok(flight) = Arc::clone(&self.flight).try_lock_owned() {
                        drop(self.start_fetch(flight, Need::Known, now));
                    }
                    Ok(key)
                }
                Decision::Fetch => match Arc::clone(&self.flight).try_lock_owned() {
                    Err(_) => Ok(key),
                    Ok(flight) => {
                        join(self.start_fetch(flight, Need::Known, now)).await;
                        self.key_after_fetch(jws, now)
                    }
                },
            },
            Lookup::Missing => {
                if self.decide(Need::Missing, now) == Decision::Fetch {
                    let flight = Arc::clone(&self.flight).lock_owned().await;
                    // The fetch that held the lock before may have brought the key.
                    if matches!(self.look_up(jws), Lookup::Missing) {
                        join(self.start_fetch(flight, Need::Missing, now)).await;
                    }
                } else {
                    // A fetch that has just started may bring the key.
                    drop(self.flight.lock().await);
                }
                self.key_after_fetch(jws, now)
            }
        }
    }

    /// The result after a fetch, by the keys in the cache, without another fetch.
    fn key_after_fetch(
        &self,
        jws: &CompactJws<'_>,
        now: Timestamp,
    ) -> Result<PublicKey, AuthError> {
        match self.look_up(jws) {
            Lookup::Key(key) => Ok(key),
            Lookup::Ambiguous => Err(AuthError::TokenInvalid),
            Lookup::Missing => {
                let state = locked(&self.state);
                if state.keys.is_some() && !state.schedule.is_failing() {
                    return Err(AuthError::TokenInvalid);
                }
                let wait_s = state.schedule.retry_in(now).as_secs() + 1;
                Err(AuthError::Unavailable {
                    retry_after_s: u32::try_from(wait_s).unwrap_or(u32::MAX),
                })
            }
        }
    }

    fn look_up(&self, jws: &CompactJws<'_>) -> Lookup {
        match locked(&self.state).keys.as_ref().map(|keys| keys.find(jws)) {
            None | Some(Found::Unknown) => Lookup::Missing,
            Some(Found::Ambiguous) => Lookup::Ambiguous,
            Some(Found::Key(key)) => Lookup::Key(key.clone()),
        }
    }

    fn decide(&self, need: Need, now: Timestamp) -> Decision {
        locked(&self.state).schedule.decide(need, now)
    }

    /// Starts a fetch, unless the one that held `flight` before has made it unnecessary.
    fn start_fetch(
        &self,
        flight: OwnedMutexGuard<()>,
        need: Need,
        now: Timestamp,
    ) -> Option<JoinHandle<()>> {
        {
            let mut state = locked(&self.state);
            let decision = state.schedule.decide(need, now);
            if !matches!(decision, Decision::Fetch | Decision::ServeAndFetch) {
                return None;
            }
            state.schedule.handle_attempt(now);
        }
        let (source, state) = (Arc::clone(&self.source), Arc::clone(&self.state));
        Some(tokio::spawn(async move {
            let outcome = source.fetch().await;
            let mut state = locked(&state);
            match outcome {
                Ok(keys) => {
                    state.keys = Some(keys);
                    state.schedule.handle_success(now);
                }
                Err(error) => {
                    // Inner errors may contain addresses; the outermost message does not.
                    tracing::warn!(%error, "the issuer's keys could not be refreshed");
                    state.schedule.handle_failure(rand::random());
                }
            }
            drop(state);
            drop(flight);
        }))
    }
}

async fn join(fetch: Option<JoinHandle<()>>) {
    // A fetch that panicked changed nothing and counts as an attempt.
    if let Some(fetch) = fetch
        && fetch.await.is_err()
    {
        tracing::error!("the fetch of the issuer's keys ended early");
    }
}

/// No holder of this lock panics, so a poisoned lock can be used.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;
    use serde_json::json;
    use tokio::sync::Semaphore;
    use tokio::task::yield_now;

    use super::*;
    use crate::auth::jws::encode;
    use crate::auth::key_source::KeySourceError;

    /// A source that answers only when the test allows it.
    struct Gated {
        gate: Semaphore,
        fetches: AtomicUsize,
    }

    impl Gated {
        async fn is_asked(&self, times: usize) {
            while self.fetches.load(Ordering::SeqCst) < times {
                yield_now().await;
            }
        }
    }

    #[async_trait]
    impl KeySource for Gated {
        async fn fetch(&self) -> Result<KeySet, KeySourceError> {
            self.fetches.fetch_add(1, Ordering::SeqCst);
            self.gate.acquire().await.expect("never closed").forget();
            // The public key of RFC 7515 appendix A.3.
            let jwk = json!({
                "kty": "EC", "crv": "P-256", "kid": "a",
                "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
            });
            Ok(KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes())?)
        }
    }

    fn scene(permits: usize) -> (Arc<Gated>, Arc<KeyCache>) {
        let source =
            Arc::new(Gated { gate: Semaphore::new(permits), fetches: AtomicUsize::new(0) });
        let cache = Arc::new(KeyCache::new(Arc::clone(&source) as Arc<dyn KeySource>));
        (source, cache)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_us(1_700_000_000_000_000).after(Duration::from_secs(seconds))
    }

    async fn key_at(cache: &KeyCache, now: Timestamp) -> Result<PublicKey, AuthError> {
        let header = encode(br#"{"alg":"ES256","kid":"a"}"#);
        let text = format!("{header}.{}.{}", encode(b"{}"), encode(b""));
        cache.key_for(&CompactJws::parse(&text, 500).expect("well formed"), now).await
    }

    #[tokio::test]
    async fn ageing_keys_serve_while_one_refresh_is_under_way() {
        let (source, cache) = scene(1);
        assert!(key_at(&cache, at(0)).await.is_ok());
        // From here on the source does not answer; callers still get an answer.
        for _ in 0..20 {
            assert!(key_at(&cache, at(400)).await.is_ok());
        }
        source.is_asked(2).await;
        assert!(key_at(&cache, at(4_000)).await.is_ok(), "old keys, and a fetch already runs");
        source.gate.add_permits(1);
        drop(cache.flight.lock().await);
        assert!(key_at(&cache, at(500)).await.is_ok());
        assert_eq!(source.fetches.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_caller_who_leaves_does_not_cancel_the_fetch() {
        let (source, cache) = scene(0);
        let first = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { key_at(&cache, at(0)).await.is_ok() }
        });
        source.is_asked(1).await;
        first.abort();
        assert!(first.await.is_err_and(|error| error.is_cancelled()));
        let second = tokio::spawn({
            let cache = Arc::clone(&cache);
            async move { key_at(&cache, at(1)).await.is_ok() }
        });
        yield_now().await;
        source.gate.add_permits(1);
        assert!(second.await.expect("ran"));
        assert_eq!(source.fetches.load(Ordering::SeqCst), 1);
    }
}
