//! Tests from any machine whether a server is reached as its participants reach it: name, TLS,
//! health, clock, moderation channel, and with a token media over UDP, over TCP and through TURN.
//! It knows the server by what it answers, and shares no media code with it.

mod binding;
mod front;
mod health;
mod place;
mod relay;
mod report;
mod routes;
mod session;
mod sockets;
mod tokens;

use std::path::PathBuf;

use futures_util::future::join_all;

pub use place::PlaceInvalid;
pub use report::{Line, State};

use binding::Credentials;
use front::Front;
use place::Place;
use report::Report;
use session::Opened;
use sockets::Connector;

/// Candidates and relays of one kind that are tested; a server announces a few.
const TESTED_MAX: usize = 8;

/// What is tested, and with what.
pub struct Asked {
    /// Address of the server, or of one of its WHIP or WHEP endpoints.
    pub from: String,
    /// A media token, or an access token that is bound to no key.
    pub token: Option<String>,
    /// The session, when neither the address nor the token names it.
    pub session: Option<String>,
    /// Authorities to trust beside those of this machine, PEM.
    pub authorities: Option<PathBuf>,
}

/// How many checks were made, and how many failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Checks made.
    pub tested: usize,
    /// Those that failed.
    pub failed: usize,
}

/// Why nothing could be tested.
#[derive(Debug, thiserror::Error)]
pub enum ReachError {
    /// The address can't be used.
    #[error(transparent)]
    Place(#[from] PlaceInvalid),
    /// The session is no UUID.
    #[error("the session is not a UUID")]
    Session,
    /// The file of authorities can't be used.
    #[error("the authorities can't be read: {0}")]
    Authorities(String),
    /// This machine's authorities or cryptography can't be used.
    #[error("TLS can't be used on this machine: {0}")]
    Tls(String),
}

/// Makes the checks one after the other and tells each as a line.
pub async fn examine(asked: &Asked, tell: &mut dyn FnMut(&Line)) -> Result<Outcome, ReachError> {
    let mut place = Place::parse(&asked.from)?;
    if let Some(session) = &asked.session {
        let id = uuid::Uuid::parse_str(session).map_err(|_| ReachError::Session)?;
        place.session = Some(id.hyphenated().to_string());
    }
    let connector = Connector::new(asked.authorities.as_deref())?;
    let mut report = Report::new(tell, asked.token.as_deref());
    let is_reached = match front::examine(&place, &connector, &mut report).await {
        Some(front) => examine_server(&place, &connector, &front, &mut report).await,
        None => false,
    };
    if is_reached {
        examine_media(&place, &connector, asked.token.as_deref(), &mut report).await;
    } else {
        report.skip("media", "the server was not reached");
    }
    Ok(report.outcome())
}

async fn examine_server(
    place: &Place,
    connector: &Connector,
    front: &Front,
    report: &mut Report<'_>,
) -> bool {
    let date = match health::examine(place, connector, report).await {
        Some(health) => health.date,
        None => return false,
    };
    let hello = health::examine_channel(place, connector, front, report).await;
    health::examine_clock(hello.or(date), report);
    true
}

async fn examine_media(
    place: &Place,
    connector: &Connector,
    token: Option<&str>,
    report: &mut Report<'_>,
) {
    let Some(token) = token else {
        report.skip("media", "it needs --token: a media token of a session that runs");
        return;
    };
    let Some(opened) = session::open(place, connector, token, report).await else { return };
    let credentials = opened.answer.credentials.clone();
    examine_candidates(&opened, &credentials, report).await;
    examine_relays(&opened, &credentials, connector, report).await;
    session::end(opened, connector, token, report).await;
}

async fn examine_candidates(opened: &Opened, credentials: &Credentials, report: &mut Report<'_>) {
    let udp = &opened.answer.udp;
    let tcp = &opened.answer.tcp;
    let by_udp = join_all(udp.iter().take(TESTED_MAX).map(|to| routes::by_udp(*to, credentials)));
    let by_tcp = join_all(tcp.iter().take(TESTED_MAX).map(|to| routes::by_tcp(*to, credentials)));
    let (by_udp, by_tcp) = tokio::join!(by_udp, by_tcp);
    routes::tell("media over UDP", udp, &by_udp, report);
    routes::tell("media over TCP", tcp, &by_tcp, report);
}

async fn examine_relays(
    opened: &Opened,
    credentials: &Credentials,
    connector: &Connector,
    report: &mut Report<'_>,
) {
    // Relays of this server carry to its media port; an allocation is for IPv4 unless asked
    // otherwise.
    let Some(&peer) = opened.answer.udp.iter().find(|candidate| candidate.is_ipv4()) else {
        report.skip("TURN", "the server announces no IPv4 address to which a relay could carry");
        return;
    };
    let relays: Vec<_> = opened.relays.iter().take(TESTED_MAX).collect();
    let results =
        join_all(relays.iter().map(|it| relay::examine(it, peer, credentials, connector))).await;
    for (relay, result) in relays.iter().zip(results) {
        relay::tell(relay, result, report);
    }
    relay::tell_missing(&relays, report);
}
