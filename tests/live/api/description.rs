//! The description of the API is kept in the repository, and true.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::api::server::{Server, send};
use crate::package_root::package_root;

#[test]
fn the_description_in_the_repository_is_up_to_date() {
    let path = package_root().join("docs/openapi.json");
    let mut text = cabildo::api::document().to_pretty_json().expect("JSON");
    text.push('\n');
    if std::env::var_os("CABILDO_WRITE_OPENAPI").is_some() {
        std::fs::write(&path, &text).expect("written");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/openapi.json is out of date; rewrite it with CABILDO_WRITE_OPENAPI=1"
    );
}

#[test]
fn every_body_that_can_be_refused_is_described_so() {
    let document = serde_json::to_value(cabildo::api::document()).expect("JSON");
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("operations") {
            let refusals: &[&str] =
                if operation["requestBody"].is_object() { &["413", "415"] } else { &[] };
            for status in refusals {
                let described = operation["responses"][status].is_object();
                assert!(described, "{method} {path} does not say that it answers {status}");
            }
        }
    }
}

/// Writes that change nothing when they come twice, and those of WHIP and WHEP (RFC 9725), which know no
/// repetition.
const WITHOUT_KEY: [&str; 16] = [
    "appendCaptureMedia",
    "devToken",
    "endCapturePublication",
    "openCapture",
    "patchCapturePublication",
    "provisionCamera",
    "publishCapture",
    "setCameraRecording",
    "stopStream",
    "sweepStreamSessions",
    "syncCameraHealth",
    "whepPlay",
    "whipDelete",
    "whipPatch",
    "whipPublish",
    "zoomWebhook",
];

#[test]
fn every_write_takes_a_key_or_may_come_twice_by_itself() {
    let document = serde_json::to_value(cabildo::api::document()).expect("JSON");
    let mut without = BTreeSet::new();
    for item in document["paths"].as_object().expect("paths").values() {
        for (_, operation) in
            item.as_object().expect("operations").iter().filter(|it| it.0 != "get")
        {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let has_key = parameters.iter().any(|it| it["name"] == "Idempotency-Key");
            let id = operation["operationId"].as_str().expect("an id");
            let refuses = operation["responses"]["422"]["description"].as_str().unwrap_or_default();
            assert_eq!(refuses.contains("IDEMPOTENCY_KEY_REUSED"), has_key, "{id}");
            if !has_key {
                without.insert(id.to_owned());
            }
        }
    }
    assert_eq!(without, BTreeSet::from(WITHOUT_KEY.map(str::to_owned)));
}

#[tokio::test]
async fn every_operation_that_is_described_exists() {
    let server = Server::start().await;
    let document = serde_json::to_value(cabildo::api::document()).expect("JSON");
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for method in ["get", "post", "patch", "delete", "put"] {
            if item[method].is_null() {
                continue;
            }
            operations += 1;
            let method: Method = method.to_uppercase().parse().expect("a method");
            let concrete = path
                .replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057")
                .replace("{step}", "start")
                .replace("{kind}", "whip")
                .replace("{resource}", "none");
            let answer = send(server.request(method.clone(), &concrete)).await;
            let absent =
                ["ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"].contains(&answer.code().as_str());
            assert!(!absent, "{method} {path}: {answer:?}");
        }
    }
    assert!(operations >= 21, "only {operations} operations are described");
    server.app.stop().await;
}
