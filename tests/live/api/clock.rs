//! The clock of the machine is set while a meeting runs.

use std::sync::atomic::Ordering;

use reqwest::Method;
use serde_json::json;

use super::channel_client::{Channel, ask, event};
use super::person::Person;
use super::server::{Server, send};

/// How far the clock is set forward, seconds.
const SET_S: i64 = 300;

#[tokio::test]
async fn a_clock_that_is_set_is_no_speaking_time_and_everybody_is_told() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let ana = Person::named(&server, "ana", "participant").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    let (mut ana, _) = Channel::enter(&server, &session, &ana).await;
    let wish = json!({"type": "request_speech", "kind": "normal"});
    let request = ask(&mut ana, wish, 1).await["request_id"].clone();
    let approve = json!({"type": "approve_speech", "request_id": request});
    assert_eq!(ask(&mut chair, approve, 1).await["type"], "ack");
    let start = json!({"type": "start_turn", "request_id": request});
    assert_eq!(ask(&mut chair, start, 2).await["type"], "ack");

    server.set_us.store(SET_S * 1_000_000, Ordering::SeqCst);
    let told = event(&mut ana, "clock_stepped").await;
    let by_ms = told["by_ms"].as_i64().expect("a number");
    assert!((by_ms - SET_S * 1_000).abs() < 1_000, "{told}");
    let health = send(server.request(Method::GET, "/health/ready")).await.json();
    assert_eq!(health["dependencies"]["clock"], "degraded", "{health}");

    assert_eq!(ask(&mut chair, json!({"type": "pause_turn"}), 3).await["type"], "ack");
    let paused = event(&mut ana, "turn_paused").await;
    let used_ms = paused["used_ms"].as_i64().expect("a number");
    assert!((0..SET_S * 1_000).contains(&used_ms), "{paused}");

    // Tokens are judged by the clock that the issuer has as well.
    let late = Person::with_role(&server, "observer").await;
    let (_late, welcome) = Channel::enter(&server, &session, &late).await;
    assert_eq!(welcome["floor"]["turn"]["used_ms"], paused["used_ms"]);

    // Once no session is open, the server takes on the time of the machine.
    server.step(&session, "end").await;
    loop {
        let health = send(server.request(Method::GET, "/health/ready")).await.json();
        if health["dependencies"]["clock"] == "ok" {
            break;
        }
        tokio::task::yield_now().await;
    }
    server.app.stop().await;
}
