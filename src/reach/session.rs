//! Enters a session by WHEP or WHIP, to learn where media is, and leaves it.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, LINK, LOCATION};
use serde_json::Value;
use url::Url;

use super::binding::Credentials;
use super::health::{body, client, http_words};
use super::place::{Direction, Place};
use super::relay::Relay;
use super::report::Report;
use super::sockets::Connector;
use super::tokens::Token;
use crate::domain::media::MediaKind;
use crate::load::client::{ClientOptions, Identity, MediaClient, Profile, TrackOptions};

/// What an answer says about where media is.
#[derive(PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) credentials: Credentials,
    pub(super) udp: Vec<SocketAddr>,
    pub(super) tcp: Vec<SocketAddr>,
}

/// A session that was entered.
pub(super) struct Opened {
    location: Url,
    pub(super) answer: Answer,
    pub(super) relays: Vec<Relay>,
}

/// Why the server did not take an offer.
enum Refusal {
    /// With this code and message.
    Server { code: String, text: String },
    /// Nothing usable came.
    Broken(String),
}

/// Enters the session of a token.
pub(super) async fn open(
    place: &Place,
    connector: &Connector,
    token: &str,
    report: &mut Report<'_>,
) -> Option<Opened> {
    let (session, directions) = ways(place, token, report)?;
    let mut last = None;
    for (index, direction) in directions.iter().enumerate() {
        match offer(place, connector, token, &session, *direction).await {
            Ok(opened) => {
                let done = match direction {
                    Direction::Play => "entered to play (WHEP)",
                    Direction::Publish => "entered to publish a silent microphone (WHIP)",
                };
                report.good("session", done);
                return Some(opened);
            }
            // A media token is for one direction and does not say which.
            Err(Refusal::Server { code, text })
                if code == "FORBIDDEN" && index + 1 < directions.len() =>
            {
                last = Some(Refusal::Server { code, text });
            }
            Err(refusal) => {
                last = Some(refusal);
                break;
            }
        }
    }
    let (text, advice) = match last {
        Some(Refusal::Server { code, text }) => (text, advice(&code)),
        Some(Refusal::Broken(text)) => (text, "Check the proxy's log."),
        None => return None,
    };
    report.fail("session", &text, advice);
    None
}

/// The session and the directions to try.
fn ways(place: &Place, token: &str, report: &mut Report<'_>) -> Option<(String, Vec<Direction>)> {
    let mut session = place.session.clone();
    let directions = match Token::of(token) {
        Token::Media => match place.direction {
            Some(direction) => vec![direction],
            None => vec![Direction::Play, Direction::Publish],
        },
        Token::Access { session: named } => {
            session = session.or(named);
            vec![Direction::Play]
        }
        Token::Bound => {
            let advice = "Make a media token (POST /api/v1/sessions/{id}/media-tokens, kind whep).";
            let text = "the token is bound to a key, so only the page that has the key can use it";
            report.fail("session", text, advice);
            return None;
        }
        Token::Unknown => {
            let advice = "Give a media token of the session, which begins with cbm_.";
            report.fail(
                "session",
                "the token is neither a media token nor an access token",
                advice,
            );
            return None;
        }
    };
    if !place.is_https && !place.is_loopback() {
        report.skip("media", "the token is not sent without TLS");
        return None;
    }
    let Some(session) = session else {
        let why = "the session is not known: give --session, or as the address the url that came \
                   with the media token";
        report.skip("media", why);
        return None;
    };
    Some((session, directions))
}

async fn offer(
    place: &Place,
    connector: &Connector,
    token: &str,
    session: &str,
    direction: Direction,
) -> Result<Opened, Refusal> {
    let offer = description(direction).map_err(Refusal::Broken)?;
    let own_ufrag = attribute(&offer, "ice-ufrag").unwrap_or_default().to_owned();
    let endpoint = format!("{}/api/v1/sessions/{session}/{}", place.origin, direction.as_str());
    let endpoint = Url::parse(&endpoint)
        .map_err(|_| Refusal::Broken("the session can't be part of an address".to_owned()))?;
    let asked = async {
        let request = client(connector)?.post(endpoint.clone());
        let request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        request.header(CONTENT_TYPE, "application/sdp").body(offer).send().await
    };
    let response = asked.await.map_err(|error| Refusal::Broken(http_words(error)))?;
    let status = response.status();
    if status != StatusCode::CREATED {
        return Err(refusal(status, &body(response).await));
    }
    let headers = response.headers();
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let location = location.and_then(|location| endpoint.join(location).ok());
    // The token is shown to no other server.
    let location = location.filter(|location| location.origin() == endpoint.origin());
    let location = location
        .ok_or_else(|| Refusal::Broken("the answer has no usable Location header".to_owned()))?;
    let links = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    let relays = links.filter_map(Relay::parse).collect();
    let answer = body(response).await;
    let answer = Answer::parse(&String::from_utf8_lossy(&answer), own_ufrag)
        .ok_or_else(|| Refusal::Broken("the answer has no credentials of ICE".to_owned()))?;
    Ok(Opened { location, answer, relays })
}

fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    match (error["code"].as_str(), error["message"].as_str()) {
        (Some(code), Some(message)) => {
            let text = format!("the server answers {} {code}: {message}", status.as_u16());
            Refusal::Server { code: code.to_owned(), text }
        }
        _ => Refusal::Broken(format!("the offer is answered with {status} and no code of Cabildo")),
    }
}

fn advice(code: &str) -> &'static str {
    match code {
        "TOKEN_INVALID" => {
            "Check that the token is of this session and was not revoked; make a new one."
        }
        "TOKEN_EXPIRED" => "Make a new token.",
        "SESSION_NOT_FOUND" => "Check the session, and that the token is of its tenant.",
        "SESSION_STATE_CONFLICT" => "Start the session first, or take one that runs.",
        "SESSION_OVER" => "Take a session that runs.",
        "PARTICIPANT_LIMIT_REACHED" => "Take a session in which there is room.",
        "FORBIDDEN" => "Take a token of this direction, of a person who may join the session.",
        _ => "Whoever runs the server finds the cause in its log.",
    }
}

/// An offer to play, or to publish a microphone, of which nothing is sent.
fn description(direction: Direction) -> Result<String, String> {
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).map_err(|e| e.to_string())?;
    let options = ClientOptions {
        identity,
        seed: rand::rng().random(),
        epoch: Instant::now(),
        epoch_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO),
    };
    let mut client = match direction {
        Direction::Play => MediaClient::viewer(options, &[MediaKind::Audio, MediaKind::Video]),
        Direction::Publish => MediaClient::publisher(options, &[TrackOptions::microphone()]),
    };
    Ok(client.offer())
}

/// The first value of an attribute.
fn attribute<'a>(description: &'a str, name: &str) -> Option<&'a str> {
    let values = description.lines().filter_map(|line| line.trim_end().strip_prefix("a="));
    values.filter_map(|line| line.split_once(':')).find(|(own, _)| *own == name).map(|(_, v)| v)
}

impl Answer {
    fn parse(text: &str, own_ufrag: String) -> Option<Self> {
        let ufrag = attribute(text, "ice-ufrag")?.to_owned();
        let password = attribute(text, "ice-pwd")?.to_owned();
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let Some(candidate) = line.trim_end().strip_prefix("a=candidate:") else { continue };
            let parts: Vec<&str> = candidate.split_whitespace().collect();
            let [_, "1", protocol, _, address, port, "typ", _, rest @ ..] = &parts[..] else {
                continue;
            };
            let (Ok(ip), Ok(port)) = (address.parse::<IpAddr>(), port.parse()) else { continue };
            let list = match protocol.to_ascii_lowercase().as_str() {
                "udp" => &mut udp,
                "tcp" if rest.contains(&"passive") => &mut tcp,
                _ => continue,
            };
            let address = SocketAddr::new(ip, port);
            if !list.contains(&address) {
                list.push(address);
            }
        }
        Some(Self { credentials: Credentials { own_ufrag, ufrag, password }, udp, tcp })
    }
}

/// Leaves the session.
pub(super) async fn end(
    opened: Opened,
    connector: &Connector,
    token: &str,
    report: &mut Report<'_>,
) {
    let asked = async {
        let request = client(connector)?.delete(opened.location);
        request.header(AUTHORIZATION, format!("Bearer {token}")).send().await
    };
    let advice = "The server removes the connection by itself within a minute.";
    match asked.await {
        Ok(response) if response.status().is_success() => {
            report.good("session", "left again (DELETE)");
        }
        Ok(response) => {
            let text = format!("leaving it is answered with {}", response.status());
            report.fail("session", &text, advice);
        }
        Err(error) => report.fail("session", &http_words(error), advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_read_from_every_section_once() {
        let section = "a=ice-ufrag:u\r\na=ice-pwd:p\r\n\
            a=candidate:1 1 udp 2130706431 203.0.113.7 3478 typ host\r\n\
            a=candidate:2 1 tcp 1 203.0.113.7 3478 typ host tcptype passive\r\n\
            a=candidate:3 1 tcp 1 203.0.113.8 9 typ host tcptype active\r\n\
            a=candidate:4 2 udp 1 203.0.113.9 9 typ host\r\na=candidate:nonsense\r\n";
        let text = format!("v=0\r\nm=audio 9 X 0\r\n{section}m=video 9 X 0\r\n{section}");
        let answer = Answer::parse(&text, "mine".to_owned()).unwrap();
        let address: SocketAddr = "203.0.113.7:3478".parse().unwrap();
        assert_eq!((&answer.udp[..], &answer.tcp[..]), (&[address][..], &[address][..]));
        let Credentials { own_ufrag, ufrag, password } = answer.credentials;
        assert_eq!((&*own_ufrag, &*ufrag, &*password), ("mine", "u", "p"));
        assert!(Answer::parse("v=0", String::new()).is_none());
    }

    #[test]
    fn an_offer_names_its_own_fragment() {
        for direction in [Direction::Play, Direction::Publish] {
            let offer = description(direction).unwrap();
            assert!(attribute(&offer, "ice-ufrag").is_some_and(|ufrag| ufrag.len() >= 4));
        }
    }
}
