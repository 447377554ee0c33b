//! Requests of players that wait for something new. Each has a place, of which a viewer, what is
//! watched and the server have only so many.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cameras::metrics;
use crate::cameras::token::Grant;
use crate::domain::id::{StreamSessionId, TenantId};
use crate::domain::watched::Watched;

/// Requests of one viewer that wait at once. A player has two: for the playlist and for the
/// part that is announced. More are refused. Raising it lets one viewer take the places of others.
const PER_VIEWER_MAX: usize = 8;
/// Requests that wait for one camera or session at once; at the limit players are told to come
/// again. Raising it lets viewers of one take the places of others.
const PER_STREAM_MAX: usize = 4_096;
/// Requests that wait at once, as above. Raising it uses more memory.
const WAITING_MAX: usize = 8_192;

/// Who has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The viewer waits with as many requests as it may.
    Viewer,
    /// The stream or the server has as many as it may.
    Server,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_viewer: BTreeMap<StreamSessionId, usize>,
    by_stream: BTreeMap<(TenantId, Watched), usize>,
}

/// The requests that wait. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Waiting(Arc<Mutex<Counts>>);

/// The place of a request, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    waiting: Waiting,
    viewer: StreamSessionId,
    stream: (TenantId, Watched),
}

impl Waiting {
    /// A place for a request of the viewer whom a grant is for.
    pub(super) fn take(&self, grant: &Grant) -> Result<Place, Full> {
        let stream = (grant.tenant, grant.watched.clone());
        let mut counts = self.lock();
        let of = |count: Option<&usize>| count.copied().unwrap_or(0);
        if of(counts.by_viewer.get(&grant.session)) >= PER_VIEWER_MAX {
            return Err(Full::Viewer);
        }
        if of(counts.by_stream.get(&stream)) >= PER_STREAM_MAX || counts.all >= WAITING_MAX {
            return Err(Full::Server);
        }
        counts.all += 1;
        *counts.by_viewer.entry(grant.session).or_default() += 1;
        *counts.by_stream.entry(stream.clone()).or_default() += 1;
        metrics::waiting(counts.all);
        drop(counts);
        Ok(Place { waiting: self.clone(), viewer: grant.session, stream })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.waiting.lock();
        counts.all = counts.all.saturating_sub(1);
        leave(&mut counts.by_viewer, &self.viewer);
        leave(&mut counts.by_stream, &self.stream);
        metrics::waiting(counts.all);
    }
}

fn leave<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn grant(like: &Grant) -> Grant {
        Grant { session: StreamSessionId::generate(), ..like.clone() }
    }

    #[test]
    fn one_viewer_takes_few_places_and_leaves_no_trace() {
        let waiting = Waiting::default();
        let first = Grant {
            tenant: TenantId::generate(),
            watched: "hall-1".parse().expect("an id"),
            session: StreamSessionId::generate(),
            expires_at: Timestamp::from_unix_us(0),
        };
        let mut places: Vec<Place> =
            (0..PER_VIEWER_MAX).map(|_| waiting.take(&first).expect("a place")).collect();
        assert_eq!(waiting.take(&first).expect_err("one too many"), Full::Viewer);
        let other = grant(&first);
        places.push(waiting.take(&other).expect("others have theirs"));
        while waiting.lock().by_stream[&(first.tenant, first.watched.clone())] < PER_STREAM_MAX {
            places.push(waiting.take(&grant(&first)).expect("a place"));
        }
        assert_eq!(waiting.take(&grant(&first)).expect_err("a full camera"), Full::Server);
        let elsewhere = Grant { watched: "hall-2".parse().expect("an id"), ..grant(&first) };
        places.push(waiting.take(&elsewhere).expect("another camera has places"));
        places.remove(0);
        places.push(waiting.take(&first).expect("a place was left"));
        places.clear();
        let counts = waiting.lock();
        assert_eq!((counts.all, counts.by_viewer.len(), counts.by_stream.len()), (0, 0, 0));
    }
}
