//! What the handle, the threads and the uploads of a recorder share.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::id::{RecordedTrackId, SessionKey};
use crate::recorder::engine::Counts;
use crate::recorder::owner::Owner;
use crate::recorder::ports::{RecorderOptions, RecorderParts};
use crate::recorder::spool::{Item, ItemKind, Place, Spool};

/// Counters that any thread may read.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) tracks: AtomicU64,
    pub(super) packets: AtomicU64,
    pub(super) segments: AtomicU64,
    pub(super) recorded_ms: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) packets_lost: AtomicU64,
    pub(super) spool_segments: AtomicU64,
    pub(super) spool_bytes: AtomicU64,
    pub(super) free_bytes: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) set_aside: AtomicU64,
}

impl Counters {
    pub(super) fn take(&self, counts: &Counts, tracks: usize) {
        self.tracks.store(tracks as u64, Ordering::Relaxed);
        self.packets.store(counts.packets, Ordering::Relaxed);
        self.segments.store(counts.segments, Ordering::Relaxed);
        self.recorded_ms.store(counts.recorded_ms, Ordering::Relaxed);
        self.gaps.store(counts.gaps, Ordering::Relaxed);
        self.packets_lost.store(counts.packets_lost, Ordering::Relaxed);
    }

    pub(super) fn spooled(&self, bytes: u64) {
        self.spool_segments.fetch_add(1, Ordering::Relaxed);
        self.spool_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn left(&self, bytes: u64) {
        let less = |by: u64| move |before: u64| Some(before.saturating_sub(by));
        for (counter, by) in [(&self.spool_segments, 1), (&self.spool_bytes, bytes)] {
            // The closure always yields a number.
            counter.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less(by)).ok();
        }
    }
}

/// What the parts of a recorder share.
pub(super) struct Core {
    pub(super) parts: RecorderParts,
    pub(super) options: RecorderOptions,
    pub(super) spool: Spool,
    pub(super) counters: Counters,
    pub(super) puts: Semaphore,
    pub(super) uploads: TaskTracker,
    pub(super) cancel: CancellationToken,
    pub(super) runtime: tokio::runtime::Handle,
    /// Number of tracks of each session that are not completely in the vault and
    /// the log yet.
    pub(super) busy: Mutex<BTreeMap<SessionKey, usize>>,
    /// Tracks that this process records or brings to the vault.
    pub(super) handled: Mutex<BTreeSet<RecordedTrackId>>,
    /// Claims of tracks that were set aside, so that no other instance ends what is in this spool.
    pub(super) aside: Mutex<Vec<Owner>>,
    /// When the segment began that each track is uploading now.
    pub(super) working: Mutex<BTreeMap<RecordedTrackId, u64>>,
    pub(super) changed: Notify,
    /// The disk has refused to sync a sealed segment since the recorder's thread
    /// looked last.
    pub(super) spool_full: AtomicBool,
}

impl Core {
    /// A track begins to be uploaded.
    pub(super) fn begin(&self, place: Place) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        *busy.entry(place.key).or_default() += 1;
        drop(busy);
        self.handled().insert(place.recorded);
    }

    /// All of a track is uploaded and logged.
    pub(super) fn end(&self, place: Place) {
        self.handled().remove(&place.recorded);
        self.leave(place);
    }

    /// Nothing more of a track is uploaded by this process.
    fn leave(&self, place: Place) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tracks) = busy.get_mut(&place.key) {
            *tracks -= 1;
            if *tracks == 0 {
                busy.remove(&place.key);
            }
        }
        drop(busy);
        self.changed.notify_waiters();
    }

    /// A track is not brought any further by this process.
    pub(super) fn set_aside(&self, place: Place) {
        self.counters.set_aside.fetch_add(1, Ordering::Relaxed);
        self.rest(place);
    }

    /// A track that was set aside gets nothing more into the spool. It stays handled, so that nobody
    /// takes its spool up again before the next start, and its claim is kept until
    /// [`Self::give_back_aside`].
    pub(super) fn leave_aside(&self, place: Place, owner: Option<Owner>) {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).extend(owner);
        self.leave(place);
    }

    /// Other instances may take the tracks that were set aside.
    pub(super) fn give_back_aside(&self) {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn work(&self, place: Place, item: &Item) {
        if let ItemKind::Segment { ms: (from_ms, _), .. } = item.kind {
            let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
            working.insert(place.recorded, from_ms);
        }
    }

    pub(super) fn rest(&self, place: Place) {
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        working.remove(&place.recorded);
    }

    pub(super) fn handled(&self) -> MutexGuard<'_, BTreeSet<RecordedTrackId>> {
        self.handled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_busy(&self, session: SessionKey) -> bool {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&session)
    }

    /// Tells the logs of all sessions that are being recorded.
    pub(super) fn tell_all(self: &Arc<Self>, text: &'static str) {
        let sessions: Vec<SessionKey> = {
            let busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.keys().copied().collect()
        };
        let core = Arc::clone(self);
        self.runtime.spawn(async move {
            for key in sessions {
                core.parts.log.failed(key, text.to_owned()).await;
            }
        });
    }
}

/// Waits for the disk on a thread beside the runtime. A shutdown waits until it
/// has ended, though whoever called it is cancelled.
pub(super) async fn blocking<T: Send + 'static>(
    core: &Arc<Core>,
    act: impl FnOnce(&Core) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let shared = Arc::clone(core);
    let acting = core.uploads.spawn_blocking_on(move || act(&shared), &core.runtime);
    acting.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
