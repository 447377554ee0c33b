//! Checks the vault regularly, so that operators and moderators know that recordings can't be stored
//! before a meeting needs them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::vault::{Vault, VaultError};

const WORKING: &str = "cabildo_vault_working";
/// The times between checks of the product.
const TIMES: Times = Times {
    first_max: Duration::from_secs(5),
    working: Duration::from_mins(1),
    failing: Duration::from_secs(5),
};

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
    checked: watch::Receiver<Checked>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Tells what the last check of the vault found. Clones tell the same.
#[derive(Debug, Clone)]
pub struct VaultState(watch::Receiver<Checked>);

impl VaultState {
    /// Why objects can't be stored or read; `None` when the last check succeeded.
    #[must_use]
    pub fn problem(&self) -> Option<VaultError> {
        self.0.borrow().clone().err()
    }
}

impl VaultWatch {
    /// Checks the vault now, and again and again until [`Self::shutdown`]. Returns when the first
    /// check has ended or has taken five seconds; what it found is logged.
    pub async fn start(vault: Arc<dyn Vault>) -> Self {
        Self::start_with(vault, TIMES).await
    }

    async fn start_with(vault: Arc<dyn Vault>, times: Times) -> Self {
        let unknown = VaultError::Unavailable("it has not answered yet".to_owned());
        let (sender, mut checked) = watch::channel(Err(unknown));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            stopped.run_until_cancelled(check_for_ever(vault, sender, times)).await;
        });
        // When it takes longer, the state stays that nothing has answered yet.
        tokio::time::timeout(times.first_max, checked.changed()).await.ok();
        Self { checked, stop, task }
    }

    /// What the checks find.
    #[must_use]
    pub fn state(&self) -> VaultState {
        VaultState(self.checked.clone())
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
    metrics::describe_gauge!(WORKING, "1 when the last check stored and read an object, else 0.");
}

async fn check_for_ever(vault: Arc<dyn Vault>, sender: watch::Sender<Checked>, times: Times) {
    let mut before = None;
    loop {
        let checked = vault.check().await;
        metrics::gauge!(WORKING).set(if checked.is_ok() { 1.0 } else { 0.0 });
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
    use std::ops::Range;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use bytes::Bytes;

    use super::*;
    use crate::vault::{Contents, ObjectName, Put};

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
        tokio::spawn(check_for_ever(vault, sender, AT_ONCE));
        for expected in [Err(no_bucket.clone()), Err(VaultError::Full), Ok(()), Err(no_bucket)] {
            checked.wait_for(|found| *found == expected).await.expect("checked");
        }
    }

    #[tokio::test]
    async fn the_result_of_the_first_check_is_known_when_the_start_returns() {
        for expected in [Ok(()), Err(VaultError::Full)] {
            let watch = VaultWatch::start_with(Fake::new(&[Some(expected.clone())]), AT_ONCE).await;
            assert_eq!(watch.state().problem(), expected.err());
            watch.shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_vault_that_does_not_answer_does_not_prevent_the_start() {
        let times = Times { first_max: Duration::from_millis(1), ..TIMES };
        let watch = VaultWatch::start_with(Fake::new(&[None]), times).await;
        assert!(matches!(watch.state().problem(), Some(VaultError::Unavailable(_))));
        watch.shutdown().await;
    }
}
