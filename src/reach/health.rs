//! The server itself: health, moderation channel, clock.

use std::time::SystemTime;

use futures_util::StreamExt as _;
use reqwest::header::{DATE, LOCATION};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};
use tokio::time::timeout;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};
use uuid::Uuid;

use super::front::Front;
use super::place::Place;
use super::report::Report;
use super::sockets::{Connector, PATIENCE, Stream, connect, words};

/// Most bytes of an answer that are read.
pub(super) const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How far ahead the clock here may be: what servers allow for proofs from the future.
const AHEAD_MAX_S: i64 = 30;
/// How far behind the clock here may be: the age that servers allow for proofs without a nonce.
const BEHIND_MAX_S: i64 = 60;
/// How far the clock may differ for proofs with a nonce.
const DIFFERENCE_MAX_S: i64 = 24 * 3600;

/// A client for requests to the server, which follows no redirects.
pub(super) fn client(connector: &Connector) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_backend_preconfigured(connector.config(&[b"h2", b"http/1.1"]))
        .redirect(reqwest::redirect::Policy::none())
        .timeout(2 * PATIENCE)
        .no_proxy()
        .build()
}

/// The body of an answer, as far as [`ANSWER_BYTES_MAX`].
pub(super) async fn body(mut response: reqwest::Response) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > ANSWER_BYTES_MAX {
            bytes.truncate(ANSWER_BYTES_MAX);
            break;
        }
    }
    bytes
}

/// An error of HTTP with its causes, without the address.
pub(super) fn http_words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What a healthy answer says beside.
pub(super) struct Health {
    /// How far the clock here is ahead of the server's, seconds.
    pub(super) date: Option<i64>,
}

/// Asks for the health; `None` when no Cabildo answers.
pub(super) async fn examine(
    place: &Place,
    connector: &Connector,
    report: &mut Report<'_>,
) -> Option<Health> {
    let asked =
        async { client(connector)?.get(format!("{}/health/ready", place.origin)).send().await };
    let response = match asked.await {
        Ok(response) => response,
        Err(error) => {
            let advice = "Check the proxy's log, and that it passes requests to Cabildo.";
            report.fail("server", &http_words(error), advice);
            return None;
        }
    };
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("?");
        let advice = "Give the address to which it redirects.";
        report.fail("server", &format!("the address redirects to {to}"), advice);
        return None;
    }
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()).map(ahead_by);
    let health: Value = serde_json::from_slice(&body(response).await).unwrap_or_default();
    let (Some(word), Some(version)) = (health["status"].as_str(), health["version"].as_str())
    else {
        let text = format!("no Cabildo answers there: /health/ready is answered with {status}");
        let advice = "Check the address, and that the proxy passes every path to Cabildo.";
        report.fail("server", &text, advice);
        return None;
    };
    tell_health(word, version, &health, report);
    Some(Health { date })
}

fn tell_health(word: &str, version: &str, health: &Value, report: &mut Report<'_>) {
    let text = format!("Cabildo {version} is {word}");
    let advice = "Whoever runs the server finds the cause in its log and at /health/ready.";
    if word == "ok" {
        report.good("server", &text);
        return;
    }
    let dependencies = health["dependencies"].as_object();
    let unwell: Vec<_> = dependencies
        .into_iter()
        .flatten()
        .filter(|(_, state)| *state != "ok")
        .map(|(name, _)| name.as_str())
        .collect();
    let text = format!("{text}: {}", unwell.join(", "));
    if word == "degraded" {
        report.doubt("server", &text, advice);
    } else {
        report.fail("server", &text, advice);
    }
}

/// Opens the moderation channel as far as its first message, which needs no token; returns how far
/// the clock here is ahead.
pub(super) async fn examine_channel(
    place: &Place,
    connector: &Connector,
    front: &Front,
    report: &mut Report<'_>,
) -> Option<i64> {
    match timeout(2 * PATIENCE, hello(place, connector, front)).await {
        Ok(Ok(ahead)) => {
            report.good("WebSocket", "the moderation channel opens");
            ahead
        }
        Ok(Err(text)) => {
            let advice = "Let the proxy pass WebSocket upgrades at /moderation (Upgrade and \
                          Connection headers, HTTP/1.1, a time-out of a minute or more).";
            report.fail("WebSocket", &text, advice);
            None
        }
        Err(_) => {
            let advice = "Check that the proxy passes WebSocket upgrades at /moderation.";
            report.fail("WebSocket", "the moderation channel did not open in time", advice);
            None
        }
    }
}

async fn hello(place: &Place, connector: &Connector, front: &Front) -> Result<Option<i64>, String> {
    let stream = connect(front.address).await.map_err(|error| words(&error))?;
    let stream: Box<dyn Stream> = if place.is_https {
        let secured = connector.secure(stream, &place.name(), &[b"http/1.1"]).await;
        Box::new(secured.map_err(|error| words(&error))?)
    } else {
        Box::new(stream)
    };
    // No session has this id; the channel greets before it looks.
    let address = format!("{}/moderation?session_id={}", place.origin, Uuid::now_v7());
    let mut request =
        address.replacen("http", "ws", 1).into_client_request().map_err(|e| e.to_string())?;
    let protocol = HeaderValue::from_static("cabildo.v1");
    request.headers_mut().insert("sec-websocket-protocol", protocol);
    let (mut socket, _) = client_async(request, stream).await.map_err(|error| match error {
        Error::Http(response) => {
            format!("the upgrade is answered with {} instead of 101", response.status())
        }
        other => format!("the upgrade failed: {other}"),
    })?;
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                if message["type"] != "hello" {
                    return Err("the channel does not begin with hello".to_owned());
                }
                let told = message["server_time"].as_str();
                let told = told.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
                let ahead = told.map(ahead_by);
                // What was asked for is known; the server notices the end by itself.
                drop(socket.close(None).await);
                return Ok(ahead);
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(format!("the channel broke off: {error}")),
            None => return Err("the channel was closed before its first message".to_owned()),
        }
    }
}

/// How far the clock here is ahead of this time, which was told now.
fn ahead_by(told: OffsetDateTime) -> i64 {
    (OffsetDateTime::from(SystemTime::now()) - told).whole_seconds()
}

/// Tells how far the clocks differ: by so many seconds the one here is ahead.
pub(super) fn examine_clock(ahead: Option<i64>, report: &mut Report<'_>) {
    let Some(ahead) = ahead else {
        report.skip("clock", "the server does not tell its time");
        return;
    };
    let size = ahead.unsigned_abs();
    let side = if ahead < 0 { "behind" } else { "ahead of" };
    let text = format!("the clock here is {size} s {side} the server's");
    let advice = "Set the clock of this machine by NTP, and check the server's.";
    if (-BEHIND_MAX_S..=AHEAD_MAX_S).contains(&ahead) {
        report.good("clock", &text);
    } else if ahead.abs() <= DIFFERENCE_MAX_S {
        let text = format!("{text}, which is more than proofs without a nonce tolerate");
        report.doubt("clock", &text, advice);
    } else {
        let text = format!("{text}, which is more than any proof tolerates");
        report.fail("clock", &text, advice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::{Line, State};

    fn state_at(ahead: Option<i64>) -> (State, String) {
        let mut lines = Vec::new();
        let mut tell = |line: &Line| lines.push((line.state, line.text.clone()));
        examine_clock(ahead, &mut Report::new(&mut tell, None));
        lines.remove(0)
    }

    #[test]
    fn clocks_are_judged_by_what_proofs_tolerate() {
        for (ahead, state) in [
            (Some(0), State::Good),
            (Some(30), State::Good),
            (Some(31), State::Doubtful),
            (Some(-60), State::Good),
            (Some(-61), State::Doubtful),
            (Some(-86_401), State::Failed),
            (Some(86_401), State::Failed),
            (None, State::NotTested),
        ] {
            assert_eq!(state_at(ahead).0, state, "{ahead:?}");
        }
        assert!(state_at(Some(-90)).1.starts_with("the clock here is 90 s behind the server's"));
    }
}
