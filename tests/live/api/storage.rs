//! A vault or keys that are not those of the database: a disk that is not mounted, another bucket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::Request;
use axum::response::IntoResponse as _;
use cabildo::vault::MARKER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::server::{Server, Stopped, send};
use crate::vault::bucket::{Asked, BUCKET, Bucket, KEY_ID, serve};

/// The options of a bucket.
fn in_bucket<'a>(endpoint: &'a str, secret: &'a str, prefix: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("vault.kind", "s3"),
        ("vault.s3.endpoint", endpoint),
        ("vault.s3.bucket", BUCKET),
        ("vault.s3.prefix", prefix),
        ("vault.s3.region", "eu-test-1"),
        ("vault.s3.access_key_id", KEY_ID),
        ("vault.s3.secret_access_key", secret),
    ]
}

fn away(stopped: &Stopped, name: &str) {
    let path = stopped.path(name);
    std::fs::rename(&path, path.with_extension("away")).expect("moved");
}

fn back(stopped: &Stopped, name: &str) {
    let path = stopped.path(name);
    if path.exists() {
        std::fs::remove_dir_all(&path).expect("removed");
    }
    std::fs::rename(path.with_extension("away"), &path).expect("moved");
}

async fn health(server: &Server) -> Value {
    send(server.request(Method::GET, "/health/ready")).await.json()
}

/// Waits until health says something about the vault that has these words in it.
async fn until_said(server: &Server, words: &str) {
    let said = async {
        loop {
            let body = health(server).await;
            if body["problems"]["vault"].as_str().is_some_and(|told| told.contains(words)) {
                assert_eq!(body["dependencies"]["vault"], json!("degraded"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), said).await.expect(words);
}

#[tokio::test]
async fn keys_that_are_away_or_of_others_keep_the_server_from_starting() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let stopped = server.stop().await;
    away(&stopped, "keys");
    let refusal = stopped.refusal(&[]).await;
    assert!(refusal.contains("KEYS_UNMARKED") && refusal.contains("adopt --keys"), "{refusal}");
    assert!(!stopped.path("keys").exists(), "new keys were made");
    std::fs::create_dir(stopped.path("keys")).expect("made");
    let foreign = "cabildo installation 01890a5d-ac96-774b-bcce-b302099a8057\n";
    std::fs::write(stopped.path("keys").join(MARKER), foreign).expect("written");
    let refusal = stopped.refusal(&[]).await;
    assert!(refusal.contains("KEYS_FOREIGN"), "{refusal}");
    back(&stopped, "keys");
    let server = stopped.start_with(&[]).await;
    let proof = format!("/api/v1/sessions/{session}/audit-proof");
    assert_eq!(send(server.request(Method::GET, &proof)).await.status, 200);
    server.app.stop().await;
}

#[tokio::test]
async fn a_bucket_of_others_is_known_once_it_answers_and_gets_nothing() {
    let bucket = Bucket::new(Asked::BySigned);
    let secret = bucket.options(String::new()).secret_access_key;
    let is_away = Arc::new(AtomicBool::new(false));
    let endpoint = serve({
        let (bucket, is_away) = (bucket.clone(), is_away.clone());
        move |request: Request| {
            let (bucket, is_away) = (bucket.clone(), is_away.clone());
            async move {
                if is_away.load(Ordering::SeqCst) {
                    return StatusCode::SERVICE_UNAVAILABLE.into_response();
                }
                bucket.answer(request).await
            }
        }
    })
    .await;
    let of = |prefix: &'static str| in_bucket(&endpoint, secret.expose(), prefix);

    let server = Server::start_with(&of("one")).await;
    assert_eq!(health(&server).await["problems"], json!({}));
    let marker = std::fs::read_to_string(bucket.path_of("one/installation")).expect("a marker");
    assert!(marker.starts_with("cabildo installation "), "{marker}");
    server.app.stop().await;

    // Another installation, to which the same place is named.
    let server = Server::start().await;
    let stopped = server.stop().await;
    let refusal = stopped.refusal(&of("one")).await;
    assert!(refusal.contains("VAULT_FOREIGN") && refusal.contains("prefix one"), "{refusal}");
    std::fs::remove_file(bucket.path_of("one/check")).expect("there");
    is_away.store(true, Ordering::SeqCst);
    let server = stopped.start_with(&of("one")).await;
    until_said(&server, "the vault").await;
    is_away.store(false, Ordering::SeqCst);
    until_said(&server, "VAULT_FOREIGN").await;
    assert!(!bucket.path_of("one/check").exists(), "something was stored in it");
    let stopped = server.stop().await;

    // Nothing was stored yet, so a new place is taken; and so is one that did not answer at first.
    is_away.store(true, Ordering::SeqCst);
    let server = stopped.start_with(&of("two")).await;
    until_said(&server, "the vault").await;
    is_away.store(false, Ordering::SeqCst);
    let marked = async {
        while !bucket.path_of("two/installation").exists() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), marked).await.expect("a marker");
    server.app.stop().await;
}
