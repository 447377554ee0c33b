//! What happened in a session, read from its log: for the time line of a recording, for the
//! combined picture, and for reports.

mod attendance_list;
mod confirmed;
mod event;
mod minutes;
mod pictures;
mod report;
mod timeline;
mod transcript;

use std::sync::Arc;

use attendance_list::ListReader;
use confirmed::Versions;

use crate::domain::id::SessionKey;
use crate::domain::store_error::StoreError;
use crate::evidence::EventKind;
use crate::evidence::repository::EvidenceRepository;
use crate::recorder::repository::RecordingRepository;

pub use attendance_list::{AttendanceList, Attendances};
pub use confirmed::{ConfirmedMinutes, MINUTES_BYTES_MAX, MINUTES_VERSIONS_MAX, MinutesVersion};
pub use event::{
    AttendanceNoted, ConnectionBad, ConnectionLost, JoinRefused, LogEvent, SpokenText,
    TextCorrected, VoteAnnounced,
};
pub use minutes::{About, Fact, Language, Minutes, SignedHead, Timed};
pub use report::{PersonReport, Report, ReportEntry, ReportKind};
pub use timeline::{Heard, Item, ItemKind, Timeline};
pub use transcript::{Correction, Piece, Said, Transcript, TurnText};

/// Events read at once.
const EVENTS_PER_READ: u32 = 1_000;
/// Entries of confirmed minutes read at once; each is large.
const MINUTES_PER_READ: u32 = 64;
/// Most events of one history; of a session with more, the rest is left out. Raising it raises the
/// memory of one reading.
pub const EVENTS_MAX: usize = 200_000;

/// Why a history can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The session has no log.
    #[error("the session has no log")]
    NoLog,
    /// The texts of its events were erased.
    #[error("the events of the session were erased")]
    Erased,
    /// An event that is needed can't be parsed.
    #[error("entry {0} of the log can't be read")]
    Unreadable(u64),
    /// It is too long for one document.
    #[error("it is too long for one document")]
    TooLong,
    /// The log or the data about the recording can't be read now.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads what happened in sessions. Clones share its repositories.
#[derive(Clone)]
pub struct History {
    log: Arc<dyn EvidenceRepository>,
    recordings: Arc<dyn RecordingRepository>,
}

impl History {
    /// Makes a history that reads from these repositories.
    #[must_use]
    pub fn new(log: Arc<dyn EvidenceRepository>, recordings: Arc<dyn RecordingRepository>) -> Self {
        Self { log, recordings }
    }

    /// Events of these kinds, in the order of the log, at most [`EVENTS_MAX`]. An event that can't
    /// be parsed is left out and logged.
    pub async fn events(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
    ) -> Result<Vec<LogEvent>, HistoryError> {
        self.events_that(key, kinds, |_| true).await
    }

    /// As [`Self::events`], only those that are `wanted`.
    async fn events_that(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        wanted: impl Fn(&LogEvent) -> bool,
    ) -> Result<Vec<LogEvent>, HistoryError> {
        let entries = self.entries_that(key, kinds, wanted).await?;
        Ok(entries.into_iter().map(|(_, event)| event).collect())
    }

    /// As [`Self::events_that`], each with the number of its entry.
    async fn entries_that(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        wanted: impl Fn(&LogEvent) -> bool,
    ) -> Result<Vec<(u64, LogEvent)>, HistoryError> {
        let log = self.log.log(key).await?.ok_or(HistoryError::NoLog)?;
        if log.events_key.is_none() {
            return Err(HistoryError::Erased);
        }
        let mut events = Vec::new();
        let mut from = 0;
        while events.len() < EVENTS_MAX {
            let read = self.log.events(key, kinds, from, EVENTS_PER_READ).await?;
            let Some(last) = read.last() else { break };
            from = last.seq + 1;
            for stored in &read {
                match LogEvent::read(stored.kind, &stored.text) {
                    Some(event) if wanted(&event) => events.push((stored.seq, event)),
                    Some(_) => {}
                    None => {
                        tracing::warn!(session = %key.session, seq = stored.seq, "an event can't be read");
                    }
                }
            }
        }
        Ok(events)
    }

    /// What each person could and could not do, moment by moment. Nobody could do
    /// anything in a session that has no log yet.
    pub async fn report(&self, key: SessionKey) -> Result<Report, HistoryError> {
        match self.events(key, report::KINDS).await {
            Ok(events) => Ok(Report::of(&events)),
            Err(HistoryError::NoLog) => Ok(Report::default()),
            Err(error) => Err(error),
        }
    }

    /// What was said in a session, with its corrections. Nothing was said in a session that has no
    /// log yet.
    pub async fn transcript(&self, key: SessionKey) -> Result<Transcript, HistoryError> {
        let kinds = transcript::KINDS;
        match self.events_that(key, kinds, Transcript::uses).await {
            Ok(events) => Ok(Transcript::of(&events)),
            Err(HistoryError::NoLog) => Ok(Transcript::default()),
            Err(error) => Err(error),
        }
    }

    /// The draft of the minutes of a session, which are empty while it has no log.
    pub async fn minutes(&self, key: SessionKey) -> Result<Minutes, HistoryError> {
        match self.events_that(key, minutes::KINDS, Minutes::uses).await {
            Ok(events) => Ok(Minutes::of(&events)),
            Err(HistoryError::NoLog) => Ok(Minutes::default()),
            Err(error) => Err(error),
        }
    }

    /// Who attended, as the first `tree_size` entries of the log say, and the id of the log.
    ///
    /// # Errors
    /// [`HistoryError::TooLong`] rather than a part of the list.
    pub async fn attendances(
        &self,
        key: SessionKey,
        tree_size: u64,
    ) -> Result<(Attendances, [u8; 16]), HistoryError> {
        let log = self.log.log(key).await?.ok_or(HistoryError::NoLog)?;
        if log.events_key.is_none() {
            return Err(HistoryError::Erased);
        }
        let mut reader = ListReader::default();
        let mut from = 0;
        while from < tree_size {
            let read = self.log.events(key, &[EventKind::RoomEvent], from, EVENTS_PER_READ).await?;
            let Some(last) = read.last() else { break };
            from = last.seq + 1;
            for stored in read.iter().filter(|it| it.seq < tree_size) {
                if let Some(told) = ListReader::read(&stored.text) {
                    // A list without somebody would be worse than none.
                    let told = told.map_err(|_| HistoryError::Unreadable(stored.seq))?;
                    reader.handle_event(told)?;
                }
            }
        }
        Ok((reader.end(), log.log_id))
    }

    /// The version of the minutes that was confirmed last, and how many there are.
    pub async fn confirmed_minutes(
        &self,
        key: SessionKey,
    ) -> Result<(Option<ConfirmedMinutes>, u32), HistoryError> {
        let versions = self.versions(key, u64::MAX).await?;
        Ok((versions.newest, versions.count))
    }

    /// The versions of the minutes that were confirmed, the oldest first.
    pub async fn minutes_versions(
        &self,
        key: SessionKey,
    ) -> Result<Vec<MinutesVersion>, HistoryError> {
        Ok(self.versions(key, u64::MAX).await?.all)
    }

    /// Which version of the minutes was confirmed by this entry of the log; `None` when another one
    /// came before it.
    pub async fn minutes_version(
        &self,
        key: SessionKey,
        seq: u64,
    ) -> Result<Option<u32>, HistoryError> {
        let versions = self.versions(key, seq).await?;
        Ok(versions.last_counts.then_some(versions.count))
    }

    /// The versions of the minutes up to an entry of the log.
    async fn versions(&self, key: SessionKey, until: u64) -> Result<Versions, HistoryError> {
        let mut versions = Versions::default();
        let Some(log) = self.log.log(key).await? else { return Ok(versions) };
        if log.events_key.is_none() {
            return Err(HistoryError::Erased);
        }
        let mut from = 0;
        while from <= until {
            let read = self.log.events(key, &[EventKind::Minutes], from, MINUTES_PER_READ).await?;
            let Some(last) = read.last() else { break };
            from = last.seq + 1;
            read.iter().filter(|it| it.seq <= until).for_each(|it| versions.add(&it.text));
        }
        Ok(versions)
    }

    /// The time line of a session, including gaps of the recording.
    pub async fn timeline(&self, key: SessionKey) -> Result<Timeline, HistoryError> {
        let events = self.entries_that(key, timeline::KINDS, |_| true).await?;
        let gaps = self.recordings.gaps(key).await?;
        Ok(Timeline::of(&events, &gaps))
    }
}
