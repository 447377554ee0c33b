//! Bringing one recorded track to the vault and into the log, item after item.
//! Every step can be repeated: whoever begins again after a crash finds out how
//! far it came.

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng as _;

use crate::domain::time::Timestamp;
use crate::evidence::media::MediaEntry;
use crate::recorder::core::Core;
use crate::recorder::engine::{FIRST_EPOCH, GapReason, Opened};
use crate::recorder::repository::{RecordedGap, RecordedSegment, RecordedTrack};
use crate::recorder::retry::Backoff;
use crate::recorder::spool::{Item, ItemKind, Place, object};
use crate::recorder::sync::TrackShared;
use crate::vault::{Contents, KeyPurpose, ObjectName, VaultError};

/// Items of one track looked at together.
const ITEMS_MAX: usize = 256;
/// An upload that takes longer is begun again.
const PUT_MAX: Duration = Duration::from_mins(5);
/// Telling of a failure may not hold up what failed.
const TELL_MAX: Duration = Duration::from_secs(5);
/// Failures of one step before the log is told.
const TELL_AFTER: u32 = 5;
/// Failures between two times that it is told.
const TELL_EVERY: u32 = 64;
/// Reason of a gap: the object was lost before it was stored.
const REASON_LOST: u32 = 5;

/// Brings one track.
pub(super) struct Upload {
    core: Arc<Core>,
    shared: Arc<TrackShared>,
    origin: Origin,
    /// Index of the next segment to log.
    next_index: u64,
    tail: Option<[u8; 32]>,
    /// When what is logged ends.
    last_ms: u64,
    /// Whether the log may have the next entry already.
    unsure: bool,
}

enum Origin {
    Opened(Option<Box<Opened>>),
    Recovered(Box<RecordedTrack>),
}

enum Step {
    Done,
    /// Something that comes before it is not complete.
    Blocked,
    Over,
}

impl Upload {
    /// A track that begins.
    pub(super) fn opened(core: &Arc<Core>, shared: Arc<TrackShared>, opened: Box<Opened>) -> Self {
        Self::new(core, shared, Origin::Opened(Some(opened)))
    }

    /// A track of an earlier process.
    pub(super) fn recovered(core: &Arc<Core>, place: Place, track: RecordedTrack) -> Self {
        let shared = Arc::new(TrackShared::recovered(place));
        Self::new(core, shared, Origin::Recovered(Box::new(track)))
    }

    fn new(core: &Arc<Core>, shared: Arc<TrackShared>, origin: Origin) -> Self {
        let core = Arc::clone(core);
        Self { core, shared, origin, next_index: 0, tail: None, last_ms: 0, unsure: false }
    }

    /// Runs beside everything else, until the track is done or the recorder
    /// ends. Its session is busy from here on.
    pub(super) fn spawn(self) {
        let core = Arc::clone(&self.core);
        core.begin(self.shared.place);
        let cancel = core.cancel.clone();
        core.uploads.spawn_on(
            async move {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = self.run() => {}
                }
            },
            &core.runtime,
        );
    }

    async fn run(mut self) {
        let recovered = match &mut self.origin {
            Origin::Opened(opened) => {
                if let Some(opened) = opened.take() {
                    self.register(*opened).await;
                }
                false
            }
            Origin::Recovered(track) => {
                let track = (**track).clone();
                self.recover(&track).await;
                true
            }
        };
        loop {
            match self.pass().await {
                Step::Done => {}
                Step::Over => break,
                Step::Blocked if recovered => {
                    self.give_up().await;
                    break;
                }
                Step::Blocked => self.shared.wake.notified().await,
            }
        }
        self.core.end(self.shared.place);
    }

    /// Keeps the key of a track that begins, and logs it. Nothing of it is
    /// complete before.
    async fn register(&mut self, opened: Opened) {
        let Opened { tenant, session, track, codec, recorded, key, at_ms } = opened;
        let mut tries = self.tries();
        let wrapped = loop {
            let purpose = KeyPurpose::Track(recorded, FIRST_EPOCH);
            match self.core.parts.keys.wrap(tenant, purpose, key.secret()).await {
                Ok(wrapped) => break wrapped,
                Err(error) => self.wait(&mut tries, "wrapping a key", &error).await,
            }
        };
        drop(key);
        let subject = serde_json::json!({
            "user_id": track.user.as_str(), "name": track.name, "source": track.source.as_str(),
        });
        let entry = MediaEntry::Track { track: recorded, codec, subject: subject.to_string() };
        let seq = self.append(entry).await;
        let recorded_track = RecordedTrack {
            id: recorded,
            track: track.track,
            user: track.user,
            name: track.name,
            source: track.source,
            codec,
            epoch: FIRST_EPOCH,
            wrapped_key: Some(wrapped),
            seq,
            started_at: timestamp(at_ms),
            ended_at: None,
        };
        let mut tries = self.tries();
        while let Err(error) =
            self.core.parts.repository.add_track(tenant, session, &recorded_track).await
        {
            self.wait(&mut tries, "keeping a track", &error).await;
        }
        let mut tries = self.tries();
        loop {
            let (core, shared) = (Arc::clone(&self.core), Arc::clone(&self.shared));
            match blocking(move || shared.register(&core)).await {
                Ok(()) => return,
                Err(error) => self.wait(&mut tries, "naming segments", &error).await,
            }
        }
    }

    /// Finds out how far an earlier process came, and ends its track.
    async fn recover(&mut self, track: &RecordedTrack) {
        self.unsure = true;
        let Place { tenant, session, recorded } = self.shared.place;
        let mut tries = self.tries();
        let last = loop {
            match self.core.parts.repository.last_segment(tenant, session, recorded).await {
                Ok(last) => break last,
                Err(error) => self.wait(&mut tries, "reading a track", &error).await,
            }
        };
        let gaps = loop {
            match self.core.parts.repository.gaps(tenant, session).await {
                Ok(gaps) => break gaps,
                Err(error) => self.wait(&mut tries, "reading gaps", &error).await,
            }
        };
        self.next_index = last.as_ref().map_or(0, |last| last.index + 1);
        self.tail = last.as_ref().map(|last| last.sha256);
        let gaps = gaps.iter().filter(|gap| gap.track == recorded).map(|gap| gap.to_ms);
        let started_ms = u64::try_from(track.started_at.unix_ms()).unwrap_or(0);
        let told = last.map(|last| last.to_ms).into_iter().chain(gaps).max();
        self.last_ms = told.map_or(started_ms, |told| told.max(started_ms));
        loop {
            let (core, place) = (Arc::clone(&self.core), self.shared.place);
            let (last_ms, next_index) = (self.last_ms, self.next_index);
            let ended = track.ended_at.is_some();
            let end = move || end_recovered(&core, &place, ended, last_ms, next_index);
            match blocking(end).await {
                Ok(()) => return,
                Err(error) => self.wait(&mut tries, "recovering the spool", &error).await,
            }
        }
    }

    /// Brings what is complete.
    async fn pass(&mut self) -> Step {
        let mut tries = self.tries();
        let items = loop {
            let (core, place) = (Arc::clone(&self.core), self.shared.place);
            match blocking(move || core.spool.items(&place, ITEMS_MAX)).await {
                Ok(items) => break items,
                Err(error) => self.wait(&mut tries, "reading the spool", &error).await,
            }
        };
        let mut step = Step::Blocked;
        for item in items {
            match self.bring(&item).await {
                Step::Done => step = Step::Done,
                Step::Blocked => return step,
                Step::Over => return Step::Over,
            }
        }
        // A track that has ended and has nothing left.
        match &self.origin {
            Origin::Recovered(track) if track.ended_at.is_some() => Step::Over,
            _ => step,
        }
    }

    async fn bring(&mut self, item: &Item) -> Step {
        match &item.kind {
            ItemKind::Segment { index, .. } if *index < self.next_index => {
                self.remove(item).await;
                Step::Done
            }
            ItemKind::Segment { index, .. } if *index > self.next_index => Step::Blocked,
            ItemKind::Segment { .. } => {
                self.core.work(self.shared.place, item);
                self.segment(item).await;
                Step::Done
            }
            ItemKind::Gap { ms, reason } => {
                self.gap(*ms, *reason).await;
                self.remove(item).await;
                Step::Done
            }
            ItemKind::End { segments, .. } if *segments != self.next_index => Step::Blocked,
            ItemKind::End { at_ms, .. } => {
                self.end(*at_ms).await;
                self.remove(item).await;
                let (core, place) = (Arc::clone(&self.core), self.shared.place);
                let removed = move || {
                    core.spool.remove_track(&place);
                    Ok(())
                };
                // What stays is an empty directory.
                blocking(removed).await.ok();
                Step::Over
            }
        }
    }

    async fn segment(&mut self, item: &Item) {
        let ItemKind::Segment { index, sha256, rtp, ms, flags, .. } = item.kind else { return };
        let Place { tenant, session, recorded } = self.shared.place;
        let (size, key_commitment) = self.put(item, index, sha256).await;
        let entry = MediaEntry::Segment {
            track: recorded,
            index,
            previous: self.tail,
            size,
            sha256,
            key_commitment,
            rtp,
            ms,
            flags,
        };
        let seq = self.append(entry).await;
        let (from_ms, to_ms) = ms;
        let segment =
            RecordedSegment { track: recorded, index, size, sha256, from_ms, to_ms, flags, seq };
        let mut tries = self.tries();
        while let Err(error) =
            self.core.parts.repository.add_segment(tenant, session, &segment).await
        {
            self.wait(&mut tries, "keeping a segment", &error).await;
        }
        self.next_index = index + 1;
        self.tail = Some(sha256);
        self.last_ms = to_ms;
        self.remove(item).await;
        self.core.counters.left(size);
    }

    /// Puts a segment into the vault; it is there when this returns.
    async fn put(&self, item: &Item, index: u64, sha256: [u8; 32]) -> (u64, [u8; 32]) {
        let Place { tenant, session, recorded } = self.shared.place;
        let name = ObjectName::segment(tenant, session, recorded, index);
        let path = self.core.spool.path(&self.shared.place, item);
        let mut tries = self.tries();
        loop {
            let file = path.clone();
            let header = match blocking(move || object(&file)).await {
                Ok(header) => header,
                Err(error) => {
                    self.wait(&mut tries, "reading a segment of the spool", &error).await;
                    continue;
                }
            };
            let permit = self.core.puts.acquire().await;
            let put = self.core.parts.vault.put(&name, Contents::File(&path), sha256);
            let put = tokio::time::timeout(PUT_MAX, put).await;
            drop(permit);
            match put {
                Ok(Ok(_)) => return header,
                Ok(Err(error)) => {
                    if matches!(error, VaultError::Conflict | VaultError::Refused(_)) {
                        self.tell(&format!("the vault does not take segment {name:?}: {error}"))
                            .await;
                    }
                    self.wait(&mut tries, "putting a segment into the vault", &error).await;
                }
                Err(late) => self.wait(&mut tries, "putting a segment into the vault", &late).await,
            }
        }
    }

    async fn gap(&mut self, (from_ms, to_ms): (u64, u64), reason: u32) {
        let Place { tenant, session, recorded: track } = self.shared.place;
        self.append(MediaEntry::Gap { track, from_ms, to_ms, reason }).await;
        let gap = RecordedGap { track, from_ms, to_ms, reason };
        let mut tries = self.tries();
        while let Err(error) = self.core.parts.repository.add_gap(tenant, session, &gap).await {
            self.wait(&mut tries, "keeping a gap", &error).await;
        }
    }

    async fn end(&self, at_ms: u64) {
        let Place { tenant, session, recorded } = self.shared.place;
        let mut tries = self.tries();
        while let Err(error) =
            self.core.parts.repository.end_track(tenant, session, recorded, timestamp(at_ms)).await
        {
            self.wait(&mut tries, "ending a track", &error).await;
        }
    }

    /// Something before what is left of a track is gone, and with it the chain.
    /// What is left is kept for whoever looks into it.
    async fn give_up(&mut self) {
        let text = format!("the spool lacks segment {} of a track", self.next_index);
        tracing::error!(track = %self.shared.place.recorded, "{text}");
        self.tell(&text).await;
        self.unsure = true;
        self.gap((self.last_ms, self.last_ms), REASON_LOST).await;
        self.end(self.last_ms).await;
    }

    async fn append(&mut self, entry: MediaEntry) -> u64 {
        let Place { tenant, session, .. } = self.shared.place;
        let mut tries = self.tries();
        loop {
            if self.unsure {
                match self.core.parts.log.find(tenant, session, &entry).await {
                    Ok(Some(seq)) => {
                        self.unsure = false;
                        return seq;
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.wait(&mut tries, "reading the log", &error).await;
                        continue;
                    }
                }
            }
            match self.core.parts.log.append(tenant, session, entry.clone()).await {
                Ok(seq) => {
                    self.unsure = false;
                    return seq;
                }
                Err(error) => {
                    self.unsure = true;
                    self.wait(&mut tries, "appending to the log", &error).await;
                }
            }
        }
    }

    async fn remove(&self, item: &Item) {
        let mut tries = self.tries();
        loop {
            let (core, place, done) = (Arc::clone(&self.core), self.shared.place, item.clone());
            match blocking(move || core.spool.remove(&place, &done)).await {
                Ok(()) => break,
                Err(error) => self.wait(&mut tries, "clearing the spool", &error).await,
            }
        }
        self.core.rest(self.shared.place);
    }

    fn tries(&self) -> Backoff {
        Backoff::new(self.core.options.retry_ms_min, self.core.options.retry_ms_max)
    }

    /// Something failed: says so now and then, and waits before the next try.
    async fn wait(&self, tries: &mut Backoff, what: &str, error: &(dyn Display + Sync)) {
        self.core.counters.failures.fetch_add(1, Ordering::Relaxed);
        let failed = tries.tries();
        if failed.is_multiple_of(TELL_EVERY) {
            tracing::warn!(%error, what, failed, "the recorder tries again");
        }
        if failed % TELL_EVERY == TELL_AFTER {
            self.tell(&format!("{what}: {error}")).await;
        }
        let drawn = rand::rng().random_range(0..=1_000);
        tokio::time::sleep(tries.next(drawn)).await;
    }

    async fn tell(&self, text: &str) {
        let Place { tenant, session, .. } = self.shared.place;
        let told = self.core.parts.log.failed(tenant, session, text.to_owned());
        if tokio::time::timeout(TELL_MAX, told).await.is_err() {
            tracing::error!(text, "the log can't be told");
        }
    }
}

/// Puts the end behind what an earlier process left of a track, unless it is
/// there, and the time since then into a gap.
fn end_recovered(
    core: &Core,
    place: &Place,
    ended: bool,
    last_ms: u64,
    next_index: u64,
) -> io::Result<()> {
    let items = core.spool.items(place, usize::MAX)?;
    let (mut last_ms, mut segments, mut number) = (last_ms, next_index, 0);
    let mut is_ended = ended;
    for item in &items {
        number = item.number + 1;
        match item.kind {
            ItemKind::Segment { index, ms, .. } => {
                (last_ms, segments) = (last_ms.max(ms.1), segments.max(index + 1));
                core.counters.spooled(std::fs::metadata(core.spool.path(place, item))?.len());
            }
            ItemKind::Gap { ms, .. } => last_ms = last_ms.max(ms.1),
            ItemKind::End { .. } => is_ended = true,
        }
    }
    if is_ended {
        return Ok(());
    }
    let now_ms = u64::try_from(core.parts.clock.now().unix_ms()).unwrap_or(0);
    let ms = (last_ms, now_ms.max(last_ms));
    let gap = Item { number, kind: ItemKind::Gap { ms, reason: GapReason::Down.number() } };
    core.spool.note(place, &gap, &*core.options.disk)?;
    let kind = ItemKind::End { at_ms: last_ms, segments };
    core.spool.note(place, &Item { number: number + 1, kind }, &*core.options.disk)
}

fn timestamp(ms: u64) -> Timestamp {
    Timestamp::from_unix_us(i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX))
}

/// Does what waits for the disk, beside the runtime.
pub(super) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
