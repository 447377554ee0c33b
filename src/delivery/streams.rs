//! Event streams: whoever reads the events of one tenant while they happen.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::cursor::Cursor;
use super::feed::{Feed, FeedError, Placed};
use super::metrics;
use crate::domain::id::TenantId;
use crate::events::{OutboxError, Scope};

/// Most streams of one tenant at once; another one is refused. Each reads the
/// outbox by itself.
pub const STREAMS_PER_TENANT_MAX: usize = 16;
/// Most streams of all tenants at once. Raising it raises the memory that
/// streams may take, about 100 KiB each, and the queries of each event.
pub const STREAMS_MAX: usize = 256;
/// Items that wait for a reader. When they are as many, the outbox is not read on.
const QUEUED_MAX: usize = 32;

/// How long streams wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamTimes {
    /// How long what is there for a reader may wait. After that the reader is
    /// disconnected, and goes on from the last event it got.
    pub slow_after: Duration,
    /// Longest silence: without events a heartbeat comes instead. Below the time
    /// after which proxies close connections on which nothing is sent.
    pub heartbeat_interval: Duration,
}

impl Default for StreamTimes {
    fn default() -> Self {
        Self { slow_after: Duration::from_secs(30), heartbeat_interval: Duration::from_secs(15) }
    }
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With what comes from now on.
    Newest,
    /// After what was read.
    After(Cursor),
}

/// What a stream brings.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamItem {
    /// An event.
    Event(Box<Placed>),
    /// Nothing happened, up to here.
    Heartbeat(Cursor),
}

/// There are as many streams as there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there are as many event streams as there may be")]
pub struct StreamsFull;

/// Why a stream does not begin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// There are as many as there may be.
    #[error(transparent)]
    Full(#[from] StreamsFull),
    /// There is nothing to read from there, or now.
    #[error(transparent)]
    Feed(#[from] FeedError),
}

/// The reader did not take what was there for it in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the reader of an event stream was too slow")]
pub struct TooSlow;

/// All open streams. Clones are the same ones.
#[derive(Clone)]
pub struct EventStreams {
    feed: Feed,
    times: StreamTimes,
    places: Arc<Places>,
    stopping: CancellationToken,
}

impl EventStreams {
    /// Streams of this feed.
    #[must_use]
    pub fn new(feed: Feed, times: StreamTimes) -> Self {
        Self { feed, times, places: Arc::default(), stopping: CancellationToken::new() }
    }

    /// Opens a stream of the events of one tenant. It ends after `lasts`, if that
    /// is given.
    ///
    /// # Errors
    /// When there are too many, or the place where it is to begin can't be read
    /// from.
    pub async fn open(
        &self,
        tenant: TenantId,
        start: Start,
        lasts: Option<Duration>,
    ) -> Result<EventStream, StreamError> {
        let place = Places::take(&self.places, tenant)?;
        let cursor = match start {
            Start::Oldest => self.feed.oldest().await?,
            Start::Newest => self.feed.newest().await?,
            Start::After(cursor) => cursor,
        };
        self.feed.check(cursor).await?;
        let (sender, items) = mpsc::channel(QUEUED_MAX);
        let (slow, feed, times) = (CancellationToken::new(), self.feed.clone(), self.times);
        let (is_slow, stopping) = (slow.clone(), self.stopping.clone());
        let ends_at = lasts.map(|lasts| Instant::now() + lasts);
        tokio::spawn(async move {
            let reading = read(feed, times, (tenant, cursor), sender);
            let reason = tokio::select! {
                reason = reading => reason,
                () = stopping.cancelled() => Ended::Shutdown,
                () = wait_for(ends_at) => Ended::TokenExpired,
            };
            if matches!(reason, Ended::Slow) {
                is_slow.cancel();
            }
            metrics::stream_ended(reason.as_str());
        });
        Ok(EventStream { items, feed: self.feed.clone(), slow, _place: place })
    }

    /// Ends every stream.
    pub fn shutdown(&self) {
        self.stopping.cancel();
    }
}

impl fmt::Debug for EventStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventStreams")
    }
}

/// One stream. Dropped, it makes room for another.
pub struct EventStream {
    items: mpsc::Receiver<StreamItem>,
    feed: Feed,
    slow: CancellationToken,
    _place: Place,
}

impl EventStream {
    /// Ends when the reader was too slow.
    pub async fn given_up(&self) {
        self.slow.cancelled().await;
    }

    /// What comes next; nothing when the stream has ended.
    ///
    /// # Errors
    /// When the reader was too slow: it goes on with another stream.
    pub async fn next(&mut self) -> Option<Result<StreamItem, TooSlow>> {
        loop {
            let item = tokio::select! {
                biased;
                () = self.slow.cancelled() => return Some(Err(TooSlow)),
                item = self.items.recv() => item?,
            };
            let StreamItem::Event(placed) = &item else { return Some(Ok(item)) };
            // It may have waited for the reader while it was erased.
            let is_told = self.feed.is_still_told(&placed.event).await;
            match is_told {
                Ok(true) => return Some(Ok(item)),
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(%error, "an event stream ends, since events can't be read");
                    return None;
                }
            }
        }
    }
}

/// Why a stream ended.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Gone,
    Slow,
    Unavailable,
    Shutdown,
    TokenExpired,
}

impl Ended {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Slow => "slow",
            Self::Unavailable => "unavailable",
            Self::Shutdown => "shutdown",
            Self::TokenExpired => "token_expired",
        }
    }
}

async fn wait_for(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Reads for one stream until nobody takes it any more.
async fn read(
    feed: Feed,
    times: StreamTimes,
    (tenant, mut cursor): (TenantId, Cursor),
    sender: mpsc::Sender<StreamItem>,
) -> Ended {
    let send = async |item| match tokio::time::timeout(times.slow_after, sender.send(item)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Ended::Gone),
        Err(_) => Err(Ended::Slow),
    };
    let mut tail = feed.waiter();
    // Tells the reader where it stands before anything happens.
    if let Err(ended) = send(StreamItem::Heartbeat(cursor)).await {
        return ended;
    }
    loop {
        tail.mark();
        let page = match feed.after(Scope::Tenant(tenant), cursor).await {
            Ok(page) => page,
            Err(error @ FeedError::Outbox(OutboxError::Store(_))) => {
                tracing::warn!(%error, "an event stream ends, since events can't be read");
                return Ended::Unavailable;
            }
            // Its reader comes back with its cursor and is told.
            Err(_) => return Ended::Unavailable,
        };
        let has_more = page.next != cursor;
        cursor = page.next;
        for placed in page.events {
            if let Err(ended) = send(StreamItem::Event(Box::new(placed))).await {
                return ended;
            }
            metrics::streamed();
        }
        if has_more {
            continue;
        }
        tokio::select! {
            more = tail.more() => if more.is_err() { return Ended::Shutdown },
            () = sender.closed() => return Ended::Gone,
            () = tokio::time::sleep(times.heartbeat_interval) => {
                if let Err(ended) = send(StreamItem::Heartbeat(cursor)).await {
                    return ended;
                }
            }
        }
    }
}

/// How many streams are open, by tenant.
#[derive(Debug, Default)]
struct Places(Mutex<BTreeMap<TenantId, usize>>);

/// The place of one stream.
#[derive(Debug)]
struct Place {
    places: Arc<Places>,
    tenant: TenantId,
}

impl Places {
    fn take(places: &Arc<Self>, tenant: TenantId) -> Result<Place, StreamsFull> {
        let mut open = places.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = open.get(&tenant).copied().unwrap_or_default();
        if of_tenant >= STREAMS_PER_TENANT_MAX || open.values().sum::<usize>() >= STREAMS_MAX {
            return Err(StreamsFull);
        }
        open.insert(tenant, of_tenant + 1);
        metrics::stream_opened();
        Ok(Place { places: Arc::clone(places), tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_tenant) = open.get_mut(&self.tenant) {
            *of_tenant -= 1;
            if *of_tenant == 0 {
                open.remove(&self.tenant);
            }
        }
        metrics::stream_closed();
    }
}
