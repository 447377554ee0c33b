//! Uploads one recorded track to the vault and appends it to the log, item after
//! item. Every step can be repeated: after a crash the next start finds out how
//! far the upload came.

mod recovering;

use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::domain::backoff::Backoff;
use crate::domain::time::Timestamp;
use crate::evidence::media::MediaEntry;
use crate::evidence::subject_text;
use crate::recorder::core::{Core, blocking};
use crate::recorder::engine::{FIRST_EPOCH, Opened};
use crate::recorder::log::RecorderLogError;
use crate::recorder::owner::{Owner, Write};
use crate::recorder::repository::{RecordedGap, RecordedSegment, RecordedTrack};
use crate::recorder::spool::{Item, ItemKind, Place};
use crate::recorder::sync::TrackShared;
use crate::vault::{Contents, KeyPurpose, ObjectName, VaultError};

/// Items of a track that are listed at once.
const ITEMS_MAX: usize = 256;
/// An upload that takes longer is started again.
const PUT_MAX: Duration = Duration::from_mins(5);
/// Longest time to write a failure into the log, so that it does not delay the
/// retry.
const TELL_MAX: Duration = Duration::from_secs(5);
/// Failures of one step before it is written into the log.
const TELL_AFTER: u32 = 5;
/// Failures between two such entries.
const TELL_EVERY: u32 = 64;
/// How often the log is asked to take an entry that it refuses, before the track is set aside.
/// Raising it delays the end of a session by a pause each.
const REFUSALS_MAX: u32 = 12;
/// Reason of a gap: the object was lost before it was stored.
const REASON_LOST: u32 = 5;

/// The log refuses an entry for good; the next start tries what is in the spool again.
#[derive(Debug)]
struct SetAside;

/// The upload of one track.
pub(super) struct Upload {
    core: Arc<Core>,
    shared: Arc<TrackShared>,
    origin: Origin,
    /// Index of the next segment to log.
    next_index: u64,
    tail: Option<[u8; 32]>,
    /// Until when everything is logged, as segment or gap.
    logged_ms: u64,
    /// Latest time that an item of the spool names.
    spooled_ms: u64,
    /// Number of the last item that this process has logged.
    logged_item: Option<u64>,
    /// Whether the log may already have the next entry.
    unsure: bool,
    /// The claim on the recording of its session.
    owner: Option<Owner>,
    /// Whether this process keeps its key, and items get their names as they are sealed.
    is_registered: bool,
}

enum Origin {
    /// This process records it.
    Opened(Option<Box<Opened>>),
    /// An earlier process recorded it.
    Recovered(Box<RecordedTrack>),
}

/// How far a look at the spool came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Something was logged.
    Done,
    /// The next item is not complete.
    Waiting,
    /// The next item is not there, and a later one is.
    Hole,
    /// All of the track is logged.
    Over,
}

impl Upload {
    /// A track that begins.
    pub(super) fn opened(core: &Arc<Core>, shared: Arc<TrackShared>, opened: Box<Opened>) -> Self {
        Self::new(core, shared, Origin::Opened(Some(opened)))
    }

    /// A track of an earlier process.
    pub(super) fn recovered(core: &Arc<Core>, place: Place, track: RecordedTrack) -> Self {
        let shared = Arc::new(TrackShared::new(place, Vec::new()));
        Self::new(core, shared, Origin::Recovered(Box::new(track)))
    }

    fn new(core: &Arc<Core>, shared: Arc<TrackShared>, origin: Origin) -> Self {
        let core = Arc::clone(core);
        Self {
            core,
            shared,
            origin,
            next_index: 0,
            tail: None,
            logged_ms: 0,
            spooled_ms: 0,
            logged_item: None,
            unsure: false,
            owner: None,
            is_registered: false,
        }
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
        let place = self.shared.place;
        if self.bring_all().await.is_err() {
            tracing::error!(track = %place.recorded, "a track is set aside: the log refuses it");
            self.core.set_aside(place);
            // A session is finished once the next start would find all that was sealed of it.
            while self.is_registered && !self.shared.is_closed() {
                self.shared.wake.notified().await;
            }
            self.core.leave_aside(place, self.owner.take());
            return;
        }
        self.core.end(place);
        if let Some(owner) = self.owner.take() {
            owner.release().await;
        }
    }

    /// Uploads and logs the track until it is done.
    async fn bring_all(&mut self) -> Result<(), SetAside> {
        let mut is_recovered = true;
        if let Origin::Opened(opened) = &mut self.origin {
            is_recovered = false;
            if let Some(opened) = opened.take() {
                self.register(*opened).await?;
            }
        } else {
            self.recover().await;
        }
        loop {
            // Before the spool is read: items get their names before this is so.
            let is_closed = is_recovered || self.shared.is_closed();
            match self.pass().await? {
                Step::Done => {}
                Step::Over => return Ok(()),
                Step::Waiting | Step::Hole if !is_closed => self.shared.wake.notified().await,
                Step::Waiting | Step::Hole => return self.give_up().await,
            }
        }
    }

    /// The claim on the recording. It is taken when this track has none or it was
    /// lost, which waits while another instance has it.
    async fn owner(&mut self) -> Owner {
        if let Some(owner) = self.owner.take() {
            if !owner.is_lost() {
                self.owner = Some(owner.clone());
                return owner;
            }
            // What was written last may have been refused.
            self.unsure = true;
        }
        let mut tries = self.tries();
        loop {
            match Owner::take(&self.core, self.shared.place).await {
                Ok(owner) => {
                    self.owner = Some(owner.clone());
                    return owner;
                }
                Err(error) => self.wait(&mut tries, "claiming a recording", &error).await,
            }
        }
    }

    /// Keeps something of the track in the repository; it is there when this
    /// returns.
    async fn keep(&mut self, write: Write<'_>) {
        let mut tries = self.tries();
        loop {
            let owner = self.owner().await;
            match owner.keep(self.shared.place, write).await {
                Ok(()) => return,
                Err(error) => self.wait(&mut tries, write.what(), &error).await,
            }
        }
    }

    /// Keeps the key of a track that begins, and logs it. Nothing of it is
    /// complete before.
    async fn register(&mut self, opened: Opened) -> Result<(), SetAside> {
        let Opened { tenant, track, codec, recorded, key, at_ms, .. } = opened;
        self.logged_ms = at_ms;
        let mut tries = self.tries();
        let wrapped = loop {
            let purpose = KeyPurpose::Track(recorded, FIRST_EPOCH);
            match self.core.parts.keys.wrap(tenant, purpose, key.secret()).await {
                Ok(wrapped) => break wrapped,
                Err(error) => self.wait(&mut tries, "wrapping a key", &error).await,
            }
        };
        drop(key);
        let subject = subject_text(&track.user, &track.name, track.source);
        let entry = MediaEntry::Track { track: recorded, codec, subject };
        let seq = self.append(entry).await?;
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
        self.keep(Write::Track(&recorded_track)).await;
        self.name_waiting().await;
        self.is_registered = true;
        Ok(())
    }

    /// Gives the items their names that wait for the key.
    async fn name_waiting(&self) {
        let mut tries = self.tries();
        loop {
            let shared = Arc::clone(&self.shared);
            match blocking(&self.core, move |core| shared.name_waiting(core)).await {
                Ok(()) => return,
                Err(error) => self.wait(&mut tries, "writing the spool", &error).await,
            }
        }
    }

    /// Uploads and logs the items that have their names.
    async fn pass(&mut self) -> Result<Step, SetAside> {
        let mut tries = self.tries();
        let items = loop {
            let place = self.shared.place;
            match blocking(&self.core, move |core| core.spool.items(&place, ITEMS_MAX)).await {
                Ok(items) => break items,
                Err(error) => self.wait(&mut tries, "reading the spool", &error).await,
            }
        };
        let named_ms = items.iter().map(Item::latest_ms).max().unwrap_or(0);
        self.spooled_ms = self.spooled_ms.max(named_ms);
        let mut step = Step::Waiting;
        for item in items {
            match self.bring(&item).await? {
                Step::Done => step = Step::Done,
                // What was logged may have made room for the next look.
                Step::Waiting | Step::Hole if step == Step::Done => return Ok(Step::Done),
                other => return Ok(other),
            }
        }
        match &self.origin {
            Origin::Recovered(track) if track.ended_at.is_some() => {
                self.remove_track().await;
                Ok(Step::Over)
            }
            _ => Ok(step),
        }
    }

    async fn bring(&mut self, item: &Item) -> Result<Step, SetAside> {
        Ok(match &item.kind {
            ItemKind::Segment { index, .. } if *index < self.next_index => {
                // It was logged, and the process ended before it removed it.
                let place = self.shared.place;
                let (read, of_it) = (item.clone(), place);
                let object = blocking(&self.core, move |core| core.spool.object(&of_it, &read));
                let bytes = object.await.map_or(0, |(bytes, _)| bytes);
                self.remove(item).await;
                self.core.counters.left(bytes);
                Step::Done
            }
            ItemKind::Segment { index, .. } if *index > self.next_index => Step::Hole,
            ItemKind::Segment { .. } => {
                self.core.work(self.shared.place, item);
                self.segment(item).await?
            }
            // Its file was made again after it was logged.
            ItemKind::Gap { .. } | ItemKind::Rest { .. }
                if self.logged_item.is_some_and(|logged| item.number <= logged) =>
            {
                self.remove(item).await;
                Step::Done
            }
            ItemKind::Gap { ms, reason } => {
                self.tell_hole(ms.0).await?;
                self.gap(*ms, *reason).await?;
                self.logged_item = Some(item.number);
                self.remove(item).await;
                Step::Done
            }
            ItemKind::Rest { ms: (from_ms, to_ms), rest } => {
                let (track, rest) = (self.shared.place.recorded, *rest);
                let (from_ms, to_ms) = (*from_ms, *to_ms);
                self.tell_hole(from_ms).await?;
                self.append(MediaEntry::Rest { track, from_ms, to_ms, rest }).await?;
                self.cover((from_ms, to_ms));
                self.logged_item = Some(item.number);
                self.remove(item).await;
                Step::Done
            }
            ItemKind::End { segments, .. } if *segments != self.next_index => Step::Hole,
            ItemKind::End { at_ms, .. } => {
                self.end(*at_ms).await;
                self.remove(item).await;
                self.remove_track().await;
                Step::Over
            }
        })
    }

    async fn remove_track(&self) {
        let place = self.shared.place;
        let removed = blocking(&self.core, move |core| {
            core.spool.remove_track(&place);
            Ok(())
        });
        // What stays is an empty directory, which the next start removes.
        removed.await.ok();
    }

    async fn segment(&mut self, item: &Item) -> Result<Step, SetAside> {
        let ItemKind::Segment { index, sha256, rtp, ms, flags, .. } = item.kind else {
            return Ok(Step::Done);
        };
        let recorded = self.shared.place.recorded;
        let Some((size, key_commitment)) = self.put(item, index, sha256).await else {
            self.core.rest(self.shared.place);
            self.shared.break_off();
            return Ok(Step::Hole);
        };
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
        let seq = self.append(entry).await?;
        let (from_ms, to_ms) = ms;
        let segment =
            RecordedSegment { track: recorded, index, size, sha256, from_ms, to_ms, flags, seq };
        self.keep(Write::Segment(&segment)).await;
        self.next_index = index + 1;
        self.tail = Some(sha256);
        self.logged_ms = self.logged_ms.max(to_ms);
        self.remove(item).await;
        self.core.counters.left(size);
        Ok(Step::Done)
    }

    /// Puts a segment into the vault; returns its size and key commitment. `None` if its file is gone.
    async fn put(&self, item: &Item, index: u64, sha256: [u8; 32]) -> Option<(u64, [u8; 32])> {
        let Place { key, recorded } = self.shared.place;
        let name = ObjectName::segment(key, recorded, index);
        let path = self.core.spool.path(&self.shared.place, item);
        let mut tries = self.tries();
        loop {
            let (place, file) = (self.shared.place, item.clone());
            let read = blocking(&self.core, move |core| core.spool.object(&place, &file));
            let header = match read.await {
                Ok(header) => header,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
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
                Ok(Ok(_)) => return Some(header),
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

    async fn gap(&mut self, (from_ms, to_ms): (u64, u64), reason: u32) -> Result<(), SetAside> {
        let track = self.shared.place.recorded;
        self.append(MediaEntry::Gap { track, from_ms, to_ms, reason }).await?;
        self.keep(Write::Gap(&RecordedGap { track, from_ms, to_ms, reason })).await;
        self.cover((from_ms, to_ms));
        Ok(())
    }

    /// Logs that a segment before this time is lost. A verifier reads entries in order, so
    /// this comes before the gap or rest behind it.
    async fn tell_hole(&mut self, until_ms: u64) -> Result<(), SetAside> {
        if self.shared.is_broken() && self.logged_ms < until_ms {
            self.gap((self.logged_ms, until_ms), REASON_LOST).await?;
        }
        Ok(())
    }

    /// A gap or rest is logged. One behind a segment that is missing covers nothing of
    /// the time before it.
    fn cover(&mut self, (from_ms, to_ms): (u64, u64)) {
        if from_ms <= self.logged_ms {
            self.logged_ms = self.logged_ms.max(to_ms);
        }
    }

    async fn end(&mut self, at_ms: u64) {
        self.keep(Write::End(timestamp(at_ms))).await;
    }

    /// An item is gone, and nothing behind it can be logged: the chain of the track's segments ends
    /// before it. What is left stays in the spool for whoever looks into it. A track that has an end
    /// was given up before, and its log may be closed.
    async fn give_up(&mut self) -> Result<(), SetAside> {
        let text = format!("the spool lacks segment {} of a track", self.next_index);
        tracing::error!(track = %self.shared.place.recorded, "{text}");
        if matches!(&self.origin, Origin::Recovered(track) if track.ended_at.is_some()) {
            return Ok(());
        }
        self.tell(&text).await;
        let end_ms = self.logged_ms;
        let until_ms = end_ms.max(self.spooled_ms).max(self.shared.lost_ms());
        self.unsure = true;
        self.gap((end_ms, until_ms), REASON_LOST).await?;
        self.end(end_ms).await;
        Ok(())
    }

    async fn append(&mut self, entry: MediaEntry) -> Result<u64, SetAside> {
        let mut refusals = 0;
        let Place { key, .. } = self.shared.place;
        let mut tries = self.tries();
        loop {
            let owner = self.owner().await;
            if self.unsure {
                match self.core.parts.log.find(key, &entry).await {
                    Ok(Some(seq)) => {
                        self.unsure = false;
                        return Ok(seq);
                    }
                    Ok(None) => {}
                    Err(error) => {
                        self.wait(&mut tries, "reading the log", &error).await;
                        continue;
                    }
                }
            }
            match owner.append(self.shared.place, entry.clone()).await {
                Ok(seq) => {
                    self.unsure = false;
                    return Ok(seq);
                }
                Err(error) => {
                    self.unsure = true;
                    refusals += u32::from(matches!(error, RecorderLogError::Refused(_)));
                    if refusals >= REFUSALS_MAX {
                        self.tell(&format!("a track is set aside: {error}")).await;
                        return Err(SetAside);
                    }
                    self.wait(&mut tries, "appending to the log", &error).await;
                }
            }
        }
    }

    async fn remove(&self, item: &Item) {
        let mut tries = self.tries();
        loop {
            let (place, done) = (self.shared.place, item.clone());
            match blocking(&self.core, move |core| core.spool.remove(&place, &done)).await {
                Ok(()) => break,
                Err(error) => self.wait(&mut tries, "clearing the spool", &error).await,
            }
        }
        self.core.rest(self.shared.place);
    }

    fn tries(&self) -> Backoff {
        let options = &self.core.options;
        let [first, max] = [options.retry_ms_min, options.retry_ms_max].map(Duration::from_millis);
        Backoff::new(first, max)
    }

    /// Something failed: says so now and then, and waits before the next try.
    async fn wait(&self, tries: &mut Backoff, what: &str, error: &(dyn Display + Sync)) {
        self.core.counters.failures.fetch_add(1, Ordering::Relaxed);
        let failed = tries.failures();
        if failed.is_multiple_of(TELL_EVERY) {
            tracing::warn!(%error, what, failed, "the recorder tries again");
        }
        if failed % TELL_EVERY == TELL_AFTER {
            self.tell(&format!("{what}: {error}")).await;
        }
        tokio::time::sleep(tries.next(rand::random())).await;
    }

    async fn tell(&self, text: &str) {
        let Place { key, .. } = self.shared.place;
        let told = self.core.parts.log.failed(key, text.to_owned());
        if tokio::time::timeout(TELL_MAX, told).await.is_err() {
            tracing::error!(text, "the log can't be told");
        }
    }
}

fn timestamp(ms: u64) -> Timestamp {
    Timestamp::from_unix_us(i64::try_from(ms.saturating_mul(1_000)).unwrap_or(i64::MAX))
}
