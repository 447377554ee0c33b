//! How a scribe begins a log, or reads and checks an existing one.

use std::sync::Arc;

use tokio::time::Instant;

use super::{Request, Scribe, Trouble, in_time};
use crate::evidence::engine::{Beginning, LogEngine, Recollection};
use crate::evidence::error::EvidenceError;
use crate::evidence::head::{NotOwn, OwnHead, read_own_head};
use crate::evidence::repository::{LogRecord, StoredHead};
use crate::evidence::shared::identity_of;
use crate::sealing::{EventsKey, random_key};
use crate::vault::KeyPurpose;

/// Entries read from the store at once.
const PAGE: u32 = 1_000;

impl Scribe {
    /// Loads the log from the store, or begins it when a request asks for that. Returns `false`
    /// when the session has no log.
    pub(super) async fn recall(&mut self) -> Result<bool, Trouble> {
        let record = in_time(self.shared.repository.log(self.key)).await??;
        let Some(record) = record else {
            return self.begin().await;
        };
        let log = self.read(&record).await?;
        if self.signed.size > 0
            && (log.head().size < self.signed.size
                || log.root(self.signed.size) != Some(self.signed.root))
        {
            return Err(EvidenceError::Integrity("a head that was stored is missing").into());
        }
        self.signed = log.head();
        self.log = Some(log);
        self.find_outcome().await?;
        self.note_uncovered();
        Ok(true)
    }

    async fn begin(&mut self) -> Result<bool, Trouble> {
        let policy = self.waiting.iter().find_map(|command| match &command.request {
            Request::Open { policy } => Some(policy.clone()),
            _ => None,
        });
        if self.signed.size > 0 {
            return Err(EvidenceError::Integrity("the log is missing").into());
        }
        let Some(policy) = policy else {
            self.room_grew = false;
            self.fail(&EvidenceError::NoLog);
            return Ok(false);
        };
        let key = random_key();
        let purpose = KeyPurpose::Events(self.key.session);
        let wrapping = self.shared.keys.wrap(self.key.tenant, purpose, &key);
        let wrapped = in_time(wrapping).await?.map_err(EvidenceError::from)?;
        let log_id = rand::random();
        let beginning = Beginning {
            log_id,
            kid: *self.shared.signing.active().kid(),
            build_hash: self.shared.options.build_hash,
            policy,
            events_key: EventsKey::new(key),
        };
        let mut log = LogEngine::begin(beginning, self.shared.clock.now())?;
        let Some(append) = log.poll_append().cloned() else { return Ok(false) };
        let repository = &self.shared.repository;
        in_time(repository.create(self.key, log_id, wrapped, append)).await??;
        if let Some(stored) = log.handle_stored(Instant::now().into_std()) {
            self.shared.counters.appended(&stored);
        }
        // Events of the room from before the log began are added to it.
        self.room_grew = true;
        self.log = Some(log);
        self.note_uncovered();
        Ok(true)
    }

    async fn read(&mut self, record: &LogRecord) -> Result<LogEngine, Trouble> {
        let repository = Arc::clone(&self.shared.repository);
        let mut recollection = Recollection::new(record, self.events_key(record).await?);
        while recollection.size() < record.size {
            let from = recollection.size();
            let page = in_time(repository.entries(self.key, from, PAGE)).await??;
            if page.is_empty() {
                break;
            }
            let wanted = usize::try_from(record.size - from).unwrap_or(usize::MAX);
            for entry in page.iter().take(wanted) {
                recollection.handle_entry(entry)?;
            }
        }
        let head = in_time(repository.latest_head(self.key)).await??;
        let head = head.as_ref().map(|head| self.check_head(head)).transpose()?;
        let point = head.as_ref().map(|head| head.point);
        if point.is_some_and(|point| point.size > record.size) {
            // Another process may have appended while this one was reading.
            let again = in_time(repository.log(self.key)).await??;
            if again.as_ref() != Some(record) {
                return Err(Trouble::Conflict);
            }
        }
        self.identity = head.map_or_else(
            || self.shared.identity(self.key.session),
            |head| identity_of(self.key.session, head.issuer),
        );
        Ok(recollection.finish(record, point, Instant::now().into_std())?)
    }

    async fn events_key(&self, record: &LogRecord) -> Result<Option<EventsKey>, Trouble> {
        let Some(wrapped) = &record.events_key else { return Ok(None) };
        let purpose = KeyPurpose::Events(self.key.session);
        match in_time(self.shared.keys.unwrap(self.key.tenant, purpose, wrapped)).await? {
            Ok(key) => Ok(Some(EventsKey::new(key))),
            // When the tenant key was destroyed, the salts can't be derived any more; the log
            // continues with entries that need none.
            Err(error) => match EvidenceError::from(error) {
                EvidenceError::Erased => Ok(None),
                other => Err(other.into()),
            },
        }
    }

    /// Checks that a stored head was signed by a key of this installation.
    pub(super) fn check_head(&self, head: &StoredHead) -> Result<OwnHead, EvidenceError> {
        let read = read_own_head(head, &self.shared.signing);
        let read = match read {
            Err(NotOwn::KeyMissing) if self.shared.refresh_keys() => {
                read_own_head(head, &self.shared.signing)
            }
            read => read,
        };
        read.map_err(|not_own| match not_own {
            NotOwn::KeyMissing => EvidenceError::KeyMissing,
            NotOwn::Malformed => EvidenceError::Integrity("the newest head is malformed"),
            NotOwn::Forged => EvidenceError::Integrity("the newest head's signature is wrong"),
        })
    }

    /// Finds out whether the last write was stored; requests whose entries were not are carried out
    /// again.
    async fn find_outcome(&mut self) -> Result<(), Trouble> {
        let Some(append) = &self.unheard else { return Ok(()) };
        let limit = u32::try_from(append.entries.len()).unwrap_or(u32::MAX);
        let reading = self.shared.repository.entries(self.key, append.expected_size, limit);
        let there = in_time(reading).await??;
        if there == append.entries {
            self.shared.counters.appended(append);
            self.unheard = None;
            self.answer_taken();
            return Ok(());
        }
        self.unheard = None;
        for (command, _) in self.taken.drain(..).rev() {
            self.waiting.push_front(command);
        }
        self.room_grew = true;
        Ok(())
    }
}
