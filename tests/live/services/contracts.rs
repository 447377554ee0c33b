//! Our clients ask, and the stand-in answers, as the contracts say.

use axum::http::StatusCode;
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::services::{BiometricKind, CodeChannel, SessionEnded, SessionStarted};
use serde_json::Value;

use super::fixture::{World, assembly, code, context, secret, session, tenant, token};
use super::providers::{Providers, wanted};
use super::schema::problems;
use crate::platform::Call;

const CONTRACTS: [&str; 6] = [
    include_str!("../../../contracts/identity.json"),
    include_str!("../../../contracts/governance.json"),
    include_str!("../../../contracts/tenancy.json"),
    include_str!("../../../contracts/user_profiles.json"),
    include_str!("../../../contracts/google_meet.json"),
    include_str!("../../../contracts/zoom.json"),
];

/// Every operation: method, path pattern, description.
fn operations() -> Vec<(String, String, Value)> {
    let mut operations = Vec::new();
    for contract in CONTRACTS {
        let contract: Value = serde_json::from_str(contract).expect("JSON");
        for (pattern, methods) in contract["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                operations.push((method.to_uppercase(), pattern.clone(), operation.clone()));
            }
        }
    }
    operations
}

fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    pattern.clone().count() == path.clone().count()
        && pattern.zip(path).all(|(rule, part)| rule.starts_with('{') || rule == part)
}

/// Everything in which a call and its answer differ from an operation.
fn differences(call: &Call, pattern: &str, operation: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let parameters = operation["parameters"].as_array().expect("parameters");
    let query: Vec<(&str, &str)> =
        call.query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    for parameter in parameters {
        let name = parameter["name"].as_str().expect("a name");
        let value = match parameter["in"].as_str() {
            Some("header") => call.headers.get(name).and_then(|value| value.to_str().ok()),
            Some("query") => query.iter().find(|(it, _)| *it == name).map(|(_, value)| *value),
            Some("path") => {
                let index = pattern.split('/').position(|part| part == format!("{{{name}}}"));
                index.and_then(|index| call.path.split('/').nth(index))
            }
            other => panic!("a parameter in {other:?}"),
        };
        match value {
            Some(value) => {
                let broken = problems(&parameter["schema"], &Value::String(value.to_owned()));
                found.extend(broken.into_iter().map(|it| format!("{name}: {it}")));
            }
            None if parameter["required"] == Value::Bool(true) => found.push(format!("no {name}")),
            None => {}
        }
    }
    for (name, _) in query {
        if !parameters.iter().any(|it| it["in"] == "query" && it["name"] == name) {
            found.push(format!("an unknown query parameter {name}"));
        }
    }
    let schema = |whole: &Value| whole["content"]["application/json"].get("schema").cloned();
    let form = &operation["requestBody"]["content"]["application/x-www-form-urlencoded"];
    if let Some(schema) = form.get("schema") {
        let pairs = url::form_urlencoded::parse(&call.body).into_owned();
        let body = pairs.map(|(name, value)| (name, Value::String(value))).collect();
        found.extend(problems(schema, &Value::Object(body)).iter().map(|it| format!("sent {it}")));
    }
    match schema(&operation["requestBody"]) {
        None if form.get("schema").is_some() => {}
        None if !call.body.is_empty() => found.push("a body".to_owned()),
        None => {}
        Some(schema) => {
            let body = serde_json::from_slice(&call.body).expect("JSON is sent");
            found.extend(problems(&schema, &body).into_iter().map(|it| format!("sent {it}")));
        }
    }
    match operation["responses"].get(call.status.as_str()) {
        None => found.push(format!("status {}", call.status)),
        Some(response) => {
            if let Some(schema) = schema(response) {
                let answer = serde_json::from_slice(&call.answer).expect("JSON is answered");
                let broken = problems(&schema, &answer);
                found.extend(broken.into_iter().map(|it| format!("answered {it}")));
            }
        }
    }
    found
}

/// Makes every call that our clients make, with every outcome.
async fn everything(world: &World) {
    let at = Timestamp::from_unix_us(1_700_000_000_000_000);
    for presented in [token(1), token(1), secret("expired"), secret("qr:a:b:c"), secret("?")] {
        world.identity.validate_contextual_token(&context(), &presented).await.expect("an answer");
    }
    for face in ["face of owner-1", "face of somebody"] {
        let face = Secret::new(face.as_bytes().to_vec());
        let kind = BiometricKind::Face;
        world.identity.validate_biometric(&context(), kind, &face).await.expect("an answer");
    }
    for (channel, code) in [(CodeChannel::Sms, code()), (CodeChannel::Email, secret("1"))] {
        world.identity.validate_code(&context(), channel, &code).await.expect("an answer");
    }
    let (tenant_id, assembly_id, session_id) = (tenant(), assembly(), session());
    let started = SessionStarted { tenant_id, assembly_id, session_id, at };
    world.governance.session_started(&started).await.expect("told");
    let ended = SessionEnded { tenant_id, assembly_id, session_id, at };
    world.governance.session_ended(&ended).await.expect("told");
    world.governance.event_data(tenant_id, assembly_id).await.expect("an answer");
    world.tenancy.limits(tenant_id).await;
    world.tenancy.status(tenant_id).await;
    world.profiles.eligible(tenant_id, assembly_id).await.expect("an answer");
}

/// The same for the clients of the providers.
async fn everything_of(providers: &Providers) {
    let space = providers.google_meet.create().await.expect("made").external_id;
    let meeting = providers.zoom.create(&wanted()).await.expect("made").external_id;
    providers.google_meet.find(&space).await.expect("an answer");
    providers.zoom.find_by_session(session()).await.expect("an answer");
    for external_id in [&space, &meeting] {
        providers.platform.set_call(external_id, true, None);
    }
    providers.google_meet.call_state(&space).await.expect("an answer");
    providers.zoom.call_state(&meeting).await.expect("an answer");
    providers.google_meet.restrict(&space).await.expect("restricted");
    providers.google_meet.end(&space).await.expect("ended");
    providers.google_meet.call_state(&space).await.expect("an answer");
    providers.zoom.close(&meeting).await.expect("closed");
}

#[tokio::test]
async fn clients_and_stand_in_keep_to_the_contracts() {
    let world = World::new().await;
    everything(&world).await;
    let providers = Providers::new().await;
    everything_of(&providers).await;
    let operations = operations();
    let mut seen = vec![false; operations.len()];
    for call in world.platform.calls().into_iter().chain(providers.platform.calls()) {
        let found = operations.iter().position(|(method, pattern, _)| {
            call.method.as_str() == method && matches(pattern, &call.path)
        });
        let index =
            found.unwrap_or_else(|| panic!("{} {} is in no contract", call.method, call.path));
        let (_, pattern, operation) = &operations[index];
        let differences = differences(&call, pattern, operation);
        assert!(differences.is_empty(), "{} {}: {differences:?}", call.method, call.path);
        assert_ne!(call.status, StatusCode::NOT_FOUND);
        seen[index] = true;
    }
    for ((method, pattern, _), seen) in operations.iter().zip(seen) {
        assert!(seen, "nobody calls {method} {pattern}");
    }
}

#[tokio::test]
async fn a_call_that_breaks_its_contract_is_noticed() {
    let world = World::new().await;
    everything(&world).await;
    let operations = operations();
    let calls = world.platform.calls();
    let call = calls.iter().find(|call| call.path == "/v2/codes/validate").expect("made");
    let (_, pattern, operation) =
        operations.iter().find(|(_, pattern, _)| *pattern == call.path).expect("described");
    let broken = |change: &dyn Fn(&mut Call)| {
        let mut call = call.clone();
        change(&mut call);
        differences(&call, pattern, operation)
    };
    assert!(broken(&|_| {}).is_empty());
    assert_eq!(broken(&|it| drop(it.headers.remove("x-service-id"))), ["no X-Service-ID"]);
    assert!(!broken(&|it| it.body = b"{}".to_vec()).is_empty());
    assert!(!broken(&|it| it.answer = b"{}".to_vec()).is_empty());
    assert!(!broken(&|it| it.status = StatusCode::CREATED).is_empty());
    assert!(!broken(&|it| it.query = "a=b".to_owned()).is_empty());
}
