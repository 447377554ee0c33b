//! Name, connection and certificate of the public listener.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::net::{TcpStream, lookup_host};
use url::Host;
use x509_parser::parse_x509_certificate;

use super::TESTED_MAX;
use super::place::Place;
use super::report::Report;
use super::sockets::{Connector, connect, in_time, is_unroutable, tls_words, words};

const DAY_S: i64 = 86_400;
/// Days left of a certificate below which it should have been renewed: services that issue them
/// for 90 days renew them 30 days before.
const DAYS_LEFT_MIN: i64 = 14;

/// What was reached.
pub(super) struct Front {
    /// The first address that took a connection.
    pub(super) address: SocketAddr,
}

/// Checks everything below HTTP; `None` when nothing above it can be tested.
pub(super) async fn examine(
    place: &Place,
    connector: &Connector,
    report: &mut Report<'_>,
) -> Option<Front> {
    let addresses = resolve(place, report).await?;
    let (address, stream) = reach(&addresses, report).await?;
    if !place.is_https {
        tell_plain(place, report);
        return Some(Front { address });
    }
    secure(place, connector, stream, report).await.then_some(Front { address })
}

async fn resolve(place: &Place, report: &mut Report<'_>) -> Option<Vec<SocketAddr>> {
    let name = match &place.host {
        Host::Ipv4(ip) => return Some(vec![SocketAddr::new((*ip).into(), place.port)]),
        Host::Ipv6(ip) => return Some(vec![SocketAddr::new((*ip).into(), place.port)]),
        Host::Domain(name) => name,
    };
    let advice =
        "Check the spelling, the DNS records of the name (A, AAAA), and the resolver here.";
    match in_time(lookup_host((name.as_str(), place.port))).await {
        Err(error) => {
            let text = format!("{name} has no address: {}", words(&error));
            report.fail("DNS", &text, advice);
            None
        }
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.dedup();
            addresses.truncate(TESTED_MAX);
            if addresses.is_empty() {
                report.fail("DNS", &format!("{name} has no address"), advice);
                return None;
            }
            let list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
            report.good("DNS", &format!("{name} is {}", list.join(", ")));
            Some(addresses)
        }
    }
}

/// Connects to every address; the first connection is used.
async fn reach(
    addresses: &[SocketAddr],
    report: &mut Report<'_>,
) -> Option<(SocketAddr, TcpStream)> {
    let advice = "Check that the server runs, and that firewalls and the cloud's rules let this \
                  TCP port in.";
    let mut first = None;
    let mut refused = Vec::new();
    for &address in addresses {
        match connect(address).await {
            Ok(stream) => {
                report.good("TCP", &format!("{address} takes connections"));
                first.get_or_insert((address, stream));
            }
            Err(error) => refused.push((address, error)),
        }
    }
    for (address, error) in &refused {
        let text = format!("{address}: {}", words(error));
        if first.is_none() {
            report.fail("TCP", &text, advice);
        } else if is_unroutable(error) {
            report.skip("TCP", &text);
        } else {
            let advice = "Participants whose network prefers this address wait for the other one: \
                          let it in, or take it out of DNS.";
            report.doubt("TCP", &text, advice);
        }
    }
    first
}

fn tell_plain(place: &Place, report: &mut Report<'_>) {
    if place.is_loopback() {
        report.skip("TLS", "the address is http://, which browsers take on this machine only");
        return;
    }
    report.fail(
        "TLS",
        "the address is http://: browsers give pages without TLS no camera and no microphone",
        "Put a proxy with a certificate in front of the public listener and test its https:// \
         address.",
    );
}

async fn secure(
    place: &Place,
    connector: &Connector,
    stream: TcpStream,
    report: &mut Report<'_>,
) -> bool {
    let name = place.name();
    let stream = match connector.secure(stream, &name, &[b"h2", b"http/1.1"]).await {
        Ok(stream) => stream,
        Err(error) => {
            let (text, advice) = tls_words(&error);
            report.fail("TLS", &text, advice);
            return false;
        }
    };
    let (_, connection) = stream.get_ref();
    let version = connection.protocol_version().and_then(|version| version.as_str());
    let version = version.unwrap_or("TLS").replacen("TLSv", "TLS ", 1).replace('_', ".");
    let ends = connection.peer_certificates().and_then(|chain| {
        let (_, certificate) = parse_x509_certificate(chain.first()?).ok()?;
        Some(certificate.validity().not_after.timestamp())
    });
    let days = ends.map(|ends| (ends - now_s()).div_euclid(DAY_S));
    match days {
        Some(days) if days < DAYS_LEFT_MIN => report.doubt(
            "TLS",
            &format!("{version}, certificate for {name}, which ends in {days} days"),
            "Renew the certificate, and check that it is renewed by itself.",
        ),
        Some(days) => report
            .good("TLS", &format!("{version}, certificate for {name}, valid for {days} days more")),
        None => report.good("TLS", &format!("{version}, certificate for {name}")),
    }
    if connection.alpn_protocol() == Some(b"h2") {
        report.good("HTTP/2", "offered");
    } else {
        report.doubt(
            "HTTP/2",
            "not offered; HTTP/1.1 is used, which works and is slower for players of HLS",
            "Turn HTTP/2 on in the proxy.",
        );
    }
    true
}

fn now_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
