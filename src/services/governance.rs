//! The governance service is told when sessions start and end, and holds what an
//! assembly decided. `contracts/governance.json` describes it.

use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::clock::Clock;
use crate::domain::id::{AssemblyId, SessionId, TenantId};
use crate::domain::time::Timestamp;
use crate::services::body::{invalid, read};
use crate::services::client::{
    Question, RemoteService, Repeat, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};

/// A session started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionStarted {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The assembly it belongs to.
    pub assembly_id: AssemblyId,
    /// The session.
    pub session_id: SessionId,
    /// When.
    pub at: Timestamp,
}

/// A session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionEnded {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The assembly it belongs to.
    pub assembly_id: AssemblyId,
    /// The session.
    pub session_id: SessionId,
    /// When.
    pub at: Timestamp,
}

/// What governance holds about an assembly, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventData {
    /// The answer as it came: JSON about the assembly asked for.
    pub json: Vec<u8>,
    /// Its SHA-256, to be bound into the log.
    pub sha256: [u8; 32],
}

/// A client of the governance service.
pub struct GovernanceClient(ServiceClient);

impl GovernanceClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: &ServiceOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        ServiceClient::new(RemoteService::Governance, options, clock).map(Self)
    }

    /// How the service is doing.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.0.state()
    }

    /// Tells that a session started. Telling it again changes nothing there.
    pub async fn session_started(&self, told: &SessionStarted) -> Result<(), ServiceError> {
        let body = json!({
            "tenant_id": told.tenant_id.to_string(),
            "session_id": told.session_id.to_string(),
            "started_at": told.at.to_string(),
        });
        self.tell(told.assembly_id, told.session_id, "session-started", &body).await
    }

    /// Tells that a session ended. Telling it again changes nothing there.
    pub async fn session_ended(&self, told: &SessionEnded) -> Result<(), ServiceError> {
        let body = json!({
            "tenant_id": told.tenant_id.to_string(),
            "session_id": told.session_id.to_string(),
            "ended_at": told.at.to_string(),
        });
        self.tell(told.assembly_id, told.session_id, "session-ended", &body).await
    }

    /// What governance holds about an assembly now.
    pub async fn event_data(
        &self,
        tenant: TenantId,
        assembly: AssemblyId,
    ) -> Result<EventData, ServiceError> {
        let (tenant, assembly) = (tenant.to_string(), assembly.to_string());
        let path = ["api", "v1", "assemblies", &assembly, "event-data"];
        let query = [("tenant_id", tenant.as_str())];
        self.0.ask(Question::get(&path, &query), |answer| data_of(&assembly, answer)).await
    }

    async fn tell(
        &self,
        assembly: AssemblyId,
        session: SessionId,
        what: &str,
        body: &Value,
    ) -> Result<(), ServiceError> {
        let assembly = assembly.to_string();
        // The same for every try, so that governance hears of it once.
        let key = format!("{what}:{session}");
        let question = Question {
            method: Method::POST,
            path: &["api", "v1", "assemblies", &assembly, what],
            query: &[],
            body: Some(body),
            form: None,
            authorization: None,
            idempotency_key: Some(&key),
            repeat: Repeat::Safe,
        };
        self.0.ask(question, taken).await
    }
}

/// Whether a call was taken: with an answer that is empty. A page of whatever
/// else listens there is none.
fn taken(answer: &[u8]) -> Result<(), ServiceError> {
    if answer.is_empty() {
        return Ok(());
    }
    let what = "it is not empty".to_owned();
    Err(ServiceError::NotByContract { service: RemoteService::Governance, what })
}

fn data_of(assembly: &str, answer: &[u8]) -> Result<EventData, ServiceError> {
    let service = RemoteService::Governance;
    let value: Value = read(service, answer)?;
    let named = value.get("assembly_id").and_then(Value::as_str);
    if named.ok_or_else(|| invalid(service, "assembly_id"))? != assembly {
        let what = "it is about another assembly";
        return Err(ServiceError::Contradicts { service, what });
    }
    Ok(EventData { json: answer.to_vec(), sha256: Sha256::digest(answer).into() })
}
