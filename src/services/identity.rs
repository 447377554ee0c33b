//! The identity service validates what people present. `contracts/identity.json`
//! describes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::domain::id::{AssemblyId, SessionId, TenantId, UserId};
use crate::domain::named_values::named_values;
use crate::domain::secret::Secret;
use crate::services::body::{invalid, read};
use crate::services::client::{
    Question, RemoteService, Repeat, ServiceClient, ServiceOptions, ServiceState,
};
use crate::services::error::{ServiceError, ServiceSetupError};

named_values!(
    /// What a biometric sample is of.
    BiometricKind {
        /// A face.
        Face => "face",
        /// A finger.
        Fingerprint => "fingerprint",
        /// A voice.
        Voice => "voice",
    }
);
named_values!(
    /// How a code was sent.
    CodeChannel {
        /// By SMS.
        Sms => "sms",
        /// By e-mail.
        Email => "email",
    }
);
named_values!(
    /// Why something presented is not valid.
    Refusal {
        /// It has expired.
        Expired => "expired",
        /// It was used before.
        Used => "used",
        /// It is for another session, assembly, tenant or person.
        WrongContext => "wrong_context",
        /// It is unknown, wrong or unreadable.
        Invalid => "invalid",
    }
);

/// For whom and what something is presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofContext {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The session.
    pub session_id: SessionId,
    /// The assembly of the session.
    pub assembly_id: AssemblyId,
    /// Who presents it; `None` when that is what is to be found out, as at a
    /// door where a code is shown to a scanner.
    pub user_id: Option<UserId>,
}

/// What the identity service says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Validation {
    /// It proves that this person is there, for this session.
    Valid(UserId),
    /// It does not.
    Refused(Refusal),
}

/// A client of the identity service. What is presented is sent once and never
/// again by itself: it may be used up by the first time. It is kept nowhere.
pub struct IdentityClient(ServiceClient);

#[derive(Deserialize)]
struct Answer {
    valid: bool,
    tenant_id: String,
    session_id: String,
    /// Whose it is; absent when it is not valid and nobody was named.
    user_id: Option<String>,
    reason: Option<String>,
}

impl IdentityClient {
    /// A client. A rustls provider must be installed for the process.
    pub fn new(options: &ServiceOptions, clock: Clock) -> Result<Self, ServiceSetupError> {
        ServiceClient::new(RemoteService::Identity, options, clock).map(Self)
    }

    /// How the service is doing.
    #[must_use]
    pub fn state(&self) -> ServiceState {
        self.0.state()
    }

    /// Whether the text of a contextual QR code proves presence.
    pub async fn validate_contextual_token(
        &self,
        context: &ProofContext,
        token: &Secret<String>,
    ) -> Result<Validation, ServiceError> {
        let path = ["v2", "contextual-tokens", "validate"];
        self.validate(&path, context, &json!({ "token": token.expose() })).await
    }

    /// Whether a biometric sample proves presence.
    pub async fn validate_biometric(
        &self,
        context: &ProofContext,
        kind: BiometricKind,
        sample: &Secret<Vec<u8>>,
    ) -> Result<Validation, ServiceError> {
        let sample = STANDARD.encode(sample.expose());
        let presented = json!({ "kind": kind.as_str(), "sample": sample });
        self.validate(&["v2", "biometric", "validate"], context, &presented).await
    }

    /// Whether a code that was sent to the person proves presence.
    pub async fn validate_code(
        &self,
        context: &ProofContext,
        channel: CodeChannel,
        code: &Secret<String>,
    ) -> Result<Validation, ServiceError> {
        let presented = json!({ "channel": channel.as_str(), "code": code.expose() });
        self.validate(&["v2", "codes", "validate"], context, &presented).await
    }

    async fn validate(
        &self,
        path: &[&str],
        context: &ProofContext,
        presented: &Value,
    ) -> Result<Validation, ServiceError> {
        let mut body = json!({
            "tenant_id": context.tenant_id.to_string(),
            "session_id": context.session_id.to_string(),
            "assembly_id": context.assembly_id.to_string(),
        });
        if let Some(user) = &context.user_id {
            body["user_id"] = user.as_str().into();
        }
        if let (Value::Object(body), Value::Object(presented)) = (&mut body, presented.clone()) {
            body.extend(presented);
        }
        let question = Question {
            method: Method::POST,
            path,
            query: &[],
            body: Some(&body),
            form: None,
            authorization: None,
            idempotency_key: None,
            repeat: Repeat::Unsafe,
        };
        self.0.ask(question, |answer| judged(context, answer)).await
    }
}

/// What an answer says about `context`.
fn judged(context: &ProofContext, answer: &[u8]) -> Result<Validation, ServiceError> {
    let service = RemoteService::Identity;
    let contradicts = |what| ServiceError::Contradicts { service, what };
    let answer: Answer = read(service, answer)?;
    if answer.tenant_id != context.tenant_id.to_string() {
        return Err(contradicts("it is about another tenant"));
    }
    if answer.session_id != context.session_id.to_string() {
        return Err(contradicts("it is about another session"));
    }
    let asked = context.user_id.as_ref();
    if asked.is_some_and(|asked| answer.user_id.as_deref() != Some(asked.as_str())) {
        return Err(contradicts("it is about another person"));
    }
    match (answer.valid, answer.reason) {
        (true, None) => {
            let user = answer.user_id.and_then(|user| user.parse().ok());
            user.map(Validation::Valid).ok_or_else(|| invalid(service, "user_id"))
        }
        (true, Some(_)) => Err(contradicts("it is valid and has a reason not to be")),
        // A reason that is not known yet is still a refusal.
        (false, reason) => Ok(Validation::Refused(
            reason.as_deref().and_then(Refusal::parse).unwrap_or(Refusal::Invalid),
        )),
    }
}
