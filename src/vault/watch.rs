//! Tells operators and moderators that recordings can't be stored: by checking the vault regularly,
//! before a meeting needs it, and by every object that could not be stored.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::vault::{Contents, ObjectName, Put, Vault, VaultError};

const WORKING: &str = "cabildo_vault_working";
/// The times between checks of the product.
const TIMES: Times = Times {
    first_max: Duration::from_secs(5),
    working: Duration::from_mins(1),
    failing: Duration::from_secs(5),
};

/// How long it counts that an object could not be stored, when none was stored after it. The recorder
/// tries again more often than that.
const FAILURE_COUNTS_FOR: Duration = Duration::from_mins(2);

/// When the vault is checked.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// How long the start waits for the first check. Raising it delays the start when the vault
    /// does not answer.
    first_max: Duration,
    /// Time between two checks of a vault that works. Raising it saves requests to the bucket, and
    /// failures are known later.
    working: Duration,
    /// Time between two checks of a vault that failed the last time.
    failing: Duration,
}

/// The last result of checking the vault.
type Checked = Result<(), VaultError>;

/// The task that checks the vault.
#[derive(Debug)]
pub struct VaultWatch {
    state: VaultState,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Tells whether objects can be stored. Clones tell the same.
#[derive(Debug, Clone)]
pub struct VaultState {
    checked: watch::Receiver<Checked>,
    failures: PutFailures,
}

impl VaultState {
    /// Why objects can't be stored or read; `None` when the last check succeeded and the last object
    /// was stored.
    #[must_use]
    pub fn problem(&self) -> Option<VaultError> {
        self.failures.last().or_else(|| self.checked.borrow().clone().err())
    }
}

/// Why the last object could not be stored. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct PutFailures(Arc<Mutex<Option<(VaultError, Instant)>>>);

impl PutFailures {
    /// `None` when the last object was stored, or a failure is long ago.
    fn last(&self) -> Option<VaultError> {
        self.last_by(Instant::now())
    }

    fn last_by(&self, now: Instant) -> Option<VaultError> {
        let counts = |at: Instant| now.duration_since(at) < FAILURE_COUNTS_FOR;
        self.lock().as_ref().filter(|(_, at)| counts(*at)).map(|(error, _)| error.clone())
    }

    fn note(&self, outcome: &Result<Put, VaultError>) {
        let failure = match outcome {
            Ok(_) => None,
            // They are about one object.
            Err(VaultError::NotFound | VaultError::Conflict | VaultError::Locked) => return,
            Err(error) => Some(error.clone()),
        };
        let before = self.lock().take();
        if let Some(error) = &failure {
            metrics::gauge!(WORKING).set(0.0);
            if before.is_none() {
                tracing::error!(%error, "an object can't be stored; it stays in the spool until it can");
            }
        }
        *self.lock() = failure.map(|error| (error, Instant::now()));
    }

    /// No code that holds the lock panics.
    fn lock(&self) -> MutexGuard<'_, Option<(VaultError, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A vault whose failures to store are noted.
pub struct WatchedVault {
    vault: Arc<dyn Vault>,
    failures: PutFailures,
}

impl WatchedVault {
    /// Notes the failures of this vault.
    #[must_use]
    pub fn new(vault: Arc<dyn Vault>, failures: PutFailures) -> Self {
        Self { vault, failures }
    }
}

#[async_trait]
impl Vault for WatchedVault {
    async fn put(
        &self,
        name: &ObjectName,
        contents: Contents<'_>,
        sha256: [u8; 32],
    ) -> Result<Put, VaultError> {
        let outcome = self.vault.put(name, contents, sha256).await;
        self.failures.note(&outcome);
        outcome
    }

    async fn read(
        &self,
        name: &ObjectName,
        range: Option<Range<u64>>,
    ) -> Result<Bytes, VaultError> {
        self.vault.read(name, range).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), VaultError> {
        self.vault.delete(name).await
    }

    async fn check(&self) -> Result<(), VaultError> {
        self.vault.check().await
    }
}

impl VaultWatch {
    /// Checks the vault now, and again and again until [`Self::shutdown`]. Returns when the first
    /// check has ended or has taken five seconds; what it found is logged.
    ///
    /// `failures` are those of the same vault.
    pub async fn start(vault: Arc<dyn Vault>, failures: PutFailures) -> Self {
        Self::start_with(vault, failures, TIMES).await
    }

    async fn start_with(vault: Arc<dyn Vault>, failures: PutFailures, times: Times) -> Self {
        let unknown = VaultError::Unavailable("it has not answered yet".to_owned());
        let (sender, mut checked) = watch::channel(Err(unknown));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let noted = failures.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(check_for_ever(vault, noted, sender, times)).await;
        });
        // When it takes longer, the state stays that nothing has answered yet.
        tokio::time::timeout(times.first_max, checked.changed()).await.ok();
        Self { state: VaultState { checked, failures }, stop, task }
    }

    /// Whether objects can be stored.
    #[must_use]
    pub fn state(&self) -> VaultState {
        self.state.clone()
    }

    /// Stops the task.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that checks the vault has failed");
        }
    }
}

/// Describes the metric of the checks.
pub(super) fn describe_metrics() {
    metrics::describe_gauge!(
        WORKING,
        "1 when the last check stored and read an object and no object failed since, else 0."
    );
}

async fn check_for_ever(
    vault: Arc<dyn Vault>,
    failures: PutFailures,
    sender: watch::Sender<Checked>,
    times: Times,
) {
    let mut before = None;
    loop {
        let checked = vault.check().await;
        let works = checked.is_ok() && failures.last().is_none();
        metrics::gauge!(WORKING).set(if works { 1.0 } else { 0.0 });
        if before.as_ref() != Some(&checked) {
            match &checked {
                Ok(()) if before.is_some() => tracing::info!("recordings can be stored again"),
                Ok(()) => {}
                Err(error) => tracing::error!(
                    %error,
                    "recordings can't be stored; they are kept in the spool until they can"
                ),
            }
        }
        let interval = if checked.is_ok() { times.working } else { times.failing };
        before = Some(checked.clone());
        if sender.send(checked).is_err() {
            return;
        }
        tokio::time::sleep(interval).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};

    /// A vault whose checks have these results, the last one for ever; `None` never answers.
    struct Fake(Mutex<Vec<Option<Checked>>>);

    impl Fake {
        fn new(results: &[Option<Checked>]) -> Arc<Self> {
            Arc::new(Self(Mutex::new(results.iter().rev().cloned().collect())))
        }
    }

    #[async_trait]
    impl Vault for Fake {
        async fn put(
            &self,
            _: &ObjectName,
            _: Contents<'_>,
            _: [u8; 32],
        ) -> Result<Put, VaultError> {
            Err(VaultError::Full)
        }

        async fn read(&self, _: &ObjectName, _: Option<Range<u64>>) -> Result<Bytes, VaultError> {
            Err(VaultError::NotFound)
        }

        async fn delete(&self, _: &ObjectName) -> Result<(), VaultError> {
            Ok(())
        }

        async fn check(&self) -> Result<(), VaultError> {
            let next = {
                let mut left = self.0.lock().expect("no panic before");
                if left.len() > 1 { left.pop() } else { left.last().cloned() }
            };
            match next.expect("a result") {
                Some(result) => result,
                None => std::future::pending().await,
            }
        }
    }

    /// Checks follow each other at once, and the first one is waited for.
    const AT_ONCE: Times = Times {
        first_max: Duration::MAX,
        working: Duration::from_millis(1),
        failing: Duration::from_millis(1),
    };

    #[tokio::test]
    async fn a_failure_is_known_at_the_start_and_its_end_after_the_next_checks() {
        let no_bucket = VaultError::Refused("NoSuchBucket".to_owned());
        let vault = Fake::new(&[
            Some(Err(no_bucket.clone())),
            Some(Err(VaultError::Full)),
            Some(Ok(())),
            Some(Err(no_bucket.clone())),
        ]);
        let (sender, mut checked) = watch::channel(Ok(()));
        tokio::spawn(check_for_ever(vault, PutFailures::default(), sender, AT_ONCE));
        for expected in [Err(no_bucket.clone()), Err(VaultError::Full), Ok(()), Err(no_bucket)] {
            checked.wait_for(|found| *found == expected).await.expect("checked");
        }
    }

    #[tokio::test]
    async fn the_result_of_the_first_check_is_known_when_the_start_returns() {
        for expected in [Ok(()), Err(VaultError::Full)] {
            let vault = Fake::new(&[Some(expected.clone())]);
            let watch = VaultWatch::start_with(vault, PutFailures::default(), AT_ONCE).await;
            assert_eq!(watch.state().problem(), expected.err());
            watch.shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_vault_that_does_not_answer_does_not_prevent_the_start() {
        let times = Times { first_max: Duration::from_millis(1), ..TIMES };
        let (vault, failures) = (Fake::new(&[None]), PutFailures::default());
        let watch = VaultWatch::start_with(vault, failures, times).await;
        assert!(matches!(watch.state().problem(), Some(VaultError::Unavailable(_))));
        watch.shutdown().await;
    }

    #[tokio::test]
    async fn an_object_that_is_not_stored_is_a_problem_whatever_the_checks_find() {
        let failures = PutFailures::default();
        let vault = WatchedVault::new(Fake::new(&[Some(Ok(()))]), failures.clone());
        let vault: Arc<dyn Vault> = Arc::new(vault);
        let watch = VaultWatch::start_with(vault.clone(), failures.clone(), AT_ONCE).await;
        let state = watch.state();
        assert_eq!(state.problem(), None);
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let name = ObjectName::segment(key, RecordedTrackId::random(), 0);
        let put = vault.put(&name, Contents::Bytes(b"sealed"), [0; 32]).await;
        assert_eq!(put, Err(VaultError::Full));
        assert_eq!(state.problem(), Some(VaultError::Full), "though the checks succeed");
        failures.note(&Ok(Put::Stored));
        assert_eq!(state.problem(), None, "as soon as one is stored");
        // What concerns one object says nothing about the others.
        failures.note(&Err(VaultError::Conflict));
        assert_eq!(state.problem(), None);
        // When nothing has to be stored any more, the checks count again.
        failures.note(&Err(VaultError::Refused("AccessDenied".to_owned())));
        let now = Instant::now();
        assert!(failures.last_by(now).is_some());
        assert_eq!(failures.last_by(now + FAILURE_COUNTS_FOR), None);
        watch.shutdown().await;
    }
}
