//! Making the calls.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::claims::{Claim, ClaimError, Claims};
use crate::clock::Clock;
use crate::domain::backoff::Backoff;
use crate::domain::claim::Work;
use crate::domain::hex::hex;
use crate::domain::id::{SessionId, SessionKey};
use crate::domain::store_error::StoreError;
use crate::events::Outbox;
use crate::evidence::{EventKind, Evidence, EvidenceError};
use crate::governance::metrics;
use crate::governance::planning::plan;
use crate::governance::repository::{CallRepository, Failure, GovernanceCall, Step};
use crate::services::{EventData, GovernanceClient, ServiceError, SessionEnded, SessionStarted};

/// How often the outbox is read and due calls are looked for. Raising it makes
/// governance hear later.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most calls that are read at once. Raising it raises the memory that a backlog
/// takes.
const READ_AT_ONCE: u32 = 64;
/// Most sessions that governance is called about at once. Raising it loads
/// governance more after an outage.
pub const CALLS_AT_ONCE: usize = 8;
/// Longest wait before a call is made the second time; it doubles from try to
/// try.
pub const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Longest wait between two tries of a call.
pub const RETRY_MAX: Duration = Duration::from_mins(5);
/// Refusals after which a call is given up that governance refuses, or that no log
/// can take: within about 20 minutes, in which an assembly may become known.
/// What fails for other reasons is never given up.
pub const REFUSALS_MAX: u32 = 12;
/// Events of a log that are read to find what is bound already; there is one for each of two steps.
const BOUND_MAX: u32 = 16;

/// What governance is called with.
pub struct GovernanceParts {
    /// What happens to sessions.
    pub outbox: Arc<dyn Outbox>,
    /// Where the calls to be made are kept.
    pub calls: Arc<dyn CallRepository>,
    /// Who is called.
    pub client: Arc<GovernanceClient>,
    /// Which instance calls about which session.
    pub claims: Claims,
    /// Where what governance holds is bound.
    pub evidence: Evidence,
    /// The time.
    pub clock: Clock,
}

/// The task that calls governance.
pub struct Governance {
    stopping: CancellationToken,
    task: JoinHandle<()>,
}

/// What became of a call.
enum Outcome {
    /// It was made.
    Done,
    /// It can't be made, for this reason, and is given up after some tries.
    Refused(String),
    /// It is made again later.
    Failed(String),
    /// Governance is left alone for now; nothing was tried.
    NotTried,
}

impl Governance {
    /// Starts it; to be called within a runtime.
    #[must_use]
    pub fn start(parts: GovernanceParts) -> Self {
        let stopping = CancellationToken::new();
        let stopped = stopping.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                if stopped.run_until_cancelled(parts.look()).await.is_none() {
                    return;
                }
            }
        });
        Self { stopping, task }
    }

    /// Ends it. A call that is being made is made again by the next process.
    pub async fn shutdown(self) {
        self.stopping.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the task that calls governance has failed");
        }
    }
}

impl GovernanceParts {
    /// Plans what is new, and makes what is due.
    async fn look(&self) {
        if let Err(error) = plan(&*self.outbox, &*self.calls).await {
            tracing::warn!(%error, "what governance is to be told can't be read");
        }
        let made = async {
            while self.make_due().await? {}
            metrics::waiting(self.calls.waiting().await?);
            Ok::<_, StoreError>(())
        };
        if let Err(error) = made.await {
            tracing::warn!(%error, "calls to governance can't be read");
        }
    }

    /// Makes calls that are due; whether there may be more.
    async fn make_due(&self) -> Result<bool, StoreError> {
        let due = self.calls.due(self.clock.now(), READ_AT_ONCE).await?;
        let full = due.len() >= usize::try_from(READ_AT_ONCE).unwrap_or(usize::MAX);
        let mut sessions: BTreeMap<SessionId, Vec<GovernanceCall>> = BTreeMap::new();
        for call in due {
            sessions.entry(call.session).or_default().push(call);
        }
        let made = futures_util::stream::iter(sessions.into_values())
            .map(|calls| self.make(calls))
            .buffer_unordered(CALLS_AT_ONCE)
            .fold(0, async |sum, made| sum + made)
            .await;
        Ok(full && made > 0)
    }

    /// Makes the calls about one session, if this instance may; of how many
    /// something became.
    async fn make(&self, mut calls: Vec<GovernanceCall>) -> usize {
        calls.sort_by_key(|call| call.step);
        let Some(first) = calls.first().copied() else { return 0 };
        let claim = match self
            .claims
            .take(SessionKey::new(first.tenant, first.session), Work::Governance)
            .await
        {
            Ok(claim) => claim,
            Err(ClaimError::Taken) => return 0,
            Err(error) => {
                tracing::warn!(session = %first.session, %error, "governance is called later");
                return 0;
            }
        };
        let mut made = 0;
        for call in &calls {
            let outcome = self.call(call).await;
            match self.note(&claim, call, outcome).await {
                Ok(true) => made += 1,
                Ok(false) => break,
                Err(error) => {
                    tracing::warn!(session = %call.session, %error, "a call is made again");
                    break;
                }
            }
        }
        claim.release().await;
        made
    }

    async fn call(&self, call: &GovernanceCall) -> Outcome {
        let GovernanceCall { tenant, session, assembly, at, .. } = *call;
        let (tenant_id, session_id, assembly_id) = (tenant, session, assembly);
        let told = match call.step {
            Step::Started => {
                let told = SessionStarted { tenant_id, assembly_id, session_id, at };
                self.client.session_started(&told).await
            }
            Step::Ended => {
                let told = SessionEnded { tenant_id, assembly_id, session_id, at };
                self.client.session_ended(&told).await
            }
            Step::DataAtStart | Step::DataAtEnd => {
                match self.is_bound(call).await {
                    Ok(true) => return Outcome::Done,
                    Ok(false) => {}
                    Err(error) => return Outcome::Failed(error.to_string()),
                }
                match self.client.event_data(tenant, assembly).await {
                    Ok(data) => return self.bind(call, &data).await,
                    Err(error) => Err(error),
                }
            }
        };
        told.map_or_else(|error| outcome_of(&error), |()| Outcome::Done)
    }

    /// Whether an earlier try has bound it, and ended before that was noted.
    async fn is_bound(&self, call: &GovernanceCall) -> Result<bool, EvidenceError> {
        let kind = EventKind::GovernanceData;
        let texts = self
            .evidence
            .texts(SessionKey::new(call.tenant, call.session), kind, BOUND_MAX)
            .await?;
        let is_of_step = |text: &String| {
            let text: Value = serde_json::from_str(text).unwrap_or_default();
            text.get("type").and_then(Value::as_str) == Some(call.step.as_str())
        };
        Ok(texts.iter().any(is_of_step))
    }

    /// Binds what governance holds into the session's log, by its hash.
    async fn bind(&self, call: &GovernanceCall, data: &EventData) -> Outcome {
        let text = json!({
            "v": 1,
            "type": call.step.as_str(),
            "assembly_id": call.assembly.to_string(),
            "sha256": hex(&data.sha256),
            "bytes": data.json.len(),
            "received_at": self.clock.now().to_string(),
        });
        let kind = EventKind::GovernanceData;
        match self
            .evidence
            .note(SessionKey::new(call.tenant, call.session), kind, text.to_string())
            .await
        {
            Ok(_) => Outcome::Done,
            Err(
                error @ (EvidenceError::NoLog
                | EvidenceError::Closed
                | EvidenceError::Full
                | EvidenceError::Erased
                | EvidenceError::Integrity(_)),
            ) => Outcome::Refused(error.to_string()),
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// Notes what became of a call; whether anything did.
    async fn note(
        &self,
        claim: &Claim,
        call: &GovernanceCall,
        outcome: Outcome,
    ) -> Result<bool, StoreError> {
        let (session, step, now) = (call.session, call.step, self.clock.now());
        let (failure, reason) = match outcome {
            Outcome::NotTried => return Ok(false),
            Outcome::Done => {
                metrics::called(step, "done");
                self.calls.done(claim.fence(), call, now).await?;
                return Ok(true);
            }
            Outcome::Refused(reason) if call.refusals.saturating_add(1) >= REFUSALS_MAX => {
                tracing::error!(%session, %step, reason, "a call to governance is given up");
                metrics::called(step, "given_up");
                self.calls.done(claim.fence(), call, now).await?;
                return Ok(true);
            }
            Outcome::Refused(reason) => (Failure::Refused, reason),
            Outcome::Failed(reason) => (Failure::NoAnswer, reason),
        };
        let wait = wait_after(call.tries, rand::random());
        tracing::warn!(%session, %step, reason, ?wait, "governance is called again");
        metrics::called(step, failure.as_str());
        self.calls.postpone(claim.fence(), call, (failure, now.after(wait))).await?;
        Ok(true)
    }
}

/// What a failed call means for its repetition.
fn outcome_of(error: &ServiceError) -> Outcome {
    match error {
        ServiceError::LeftAlone { .. } => Outcome::NotTried,
        // Governance understood the call, and refuses it.
        ServiceError::Status { status: 400 | 404 | 405 | 409 | 410 | 413 | 415 | 422, .. } => {
            Outcome::Refused(error.to_string())
        }
        _ => Outcome::Failed(error.to_string()),
    }
}

/// How long a call waits that failed after so many earlier tries.
fn wait_after(tries: u32, drawn: u8) -> Duration {
    let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX);
    // Beyond ten doublings the wait is the longest.
    for _ in 0..tries.min(10) {
        backoff.next(0);
    }
    backoff.next(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::RemoteService;

    #[test]
    fn waits_double_up_to_five_minutes() {
        assert_eq!(wait_after(0, 0), Duration::from_secs(1));
        assert_eq!(wait_after(3, 0), Duration::from_secs(8));
        assert_eq!(wait_after(1_000_000, 0), RETRY_MAX);
        let until_given_up: Duration = (0..REFUSALS_MAX).map(|tries| wait_after(tries, 0)).sum();
        assert!(until_given_up >= Duration::from_mins(10));
    }

    #[test]
    fn only_what_governance_understands_and_refuses_is_ever_given_up() {
        let service = RemoteService::Governance;
        let status = |status| outcome_of(&ServiceError::Status { service, status });
        for refusal in [400, 404, 409, 422] {
            assert!(matches!(status(refusal), Outcome::Refused(_)), "{refusal}");
        }
        for failure in [301, 401, 403, 408, 429, 500, 503] {
            assert!(matches!(status(failure), Outcome::Failed(_)), "{failure}");
        }
        let failed = outcome_of(&ServiceError::TimedOut { service });
        assert!(matches!(failed, Outcome::Failed(_)));
    }
}
