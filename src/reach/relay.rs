//! TURN (RFC 8656): an allocation, a permission, and a check through the relay.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rtc_shared::turn_framing::TurnStreamDecoder;
use rtc_shared::{TaggedBytesMut, TransportContext, TransportProtocol};
use rtc_turn::client::{Client, ClientConfig, Event};
use sansio::Protocol as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{sleep_until, timeout};

use super::binding::{Check, Credentials, Reply};
use super::report::Report;
use super::routes::{DATAGRAM_BYTES_MAX, REPEAT, any_address};
use super::sockets::{Connector, PATIENCE, Stream, connect, in_time, tls_words, words};

/// Time until a request over TCP would be repeated: longer than it is waited for.
const RESEND_NEVER: Duration = Duration::from_mins(1);

/// How a relay is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Udp,
    Tcp,
    Tls,
}

impl Way {
    const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    const fn what(self) -> &'static str {
        match self {
            Self::Udp => "TURN over UDP",
            Self::Tcp => "TURN over TCP",
            Self::Tls => "TURN over TLS",
        }
    }

    /// Why a server may offer none.
    const fn missing(self) -> &'static str {
        match self {
            Self::Udp => {
                "the server offers none (it does only at addresses of media.turn.udp: elsewhere \
                 media itself gets through where UDP does)"
            }
            Self::Tcp => "the server offers none (media.tcp or media.turn is off)",
            Self::Tls => {
                "the server offers none (media.turn.tls_bind is not set); networks that let only \
                 HTTPS through carry no media then"
            }
        }
    }
}

/// A relay and the credentials for it.
pub(super) struct Relay {
    way: Way,
    host: String,
    port: u16,
    username: String,
    password: String,
}

impl Relay {
    /// Reads a `Link` header (RFC 9725 §4.6); `None` when it names no relay.
    pub(super) fn parse(link: &str) -> Option<Self> {
        let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
        let parameter = |name: &str| {
            parameters.split(';').find_map(|part| {
                let (own, value) = part.trim().split_once('=')?;
                own.eq_ignore_ascii_case(name).then(|| value.trim_matches('"').to_owned())
            })
        };
        if parameter("rel")? != "ice-server" {
            return None;
        }
        let (scheme, rest) = address.split_once(':')?;
        let (host, query) = rest.split_once('?').unwrap_or((rest, ""));
        let way = match (scheme, query) {
            ("turn", "" | "transport=udp") => Way::Udp,
            ("turn", "transport=tcp") => Way::Tcp,
            ("turns", "" | "transport=tcp") => Way::Tls,
            _ => return None,
        };
        let default = if way == Way::Tls { 5349 } else { 3478 };
        let (host, port) = split_port(host, default)?;
        let (username, password) = (parameter("username")?, parameter("credential")?);
        Some(Self { way, host, port, username, password })
    }

    fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

fn split_port(text: &str, default: u16) -> Option<(String, u16)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = port.strip_prefix(':').map_or(Some(default), |port| port.parse().ok())?;
        return Some((host.to_owned(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, default),
    };
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

/// Why a relay does not carry, and what to do about it.
pub(super) struct Unrelayed {
    text: String,
    advice: String,
}

impl Unrelayed {
    fn new(text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { text: text.into(), advice: advice.into() }
    }
}

/// A connection to a relay.
enum Carrier {
    Datagrams(UdpSocket),
    Stream(Box<dyn Stream>, TurnStreamDecoder),
}

impl Carrier {
    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Datagrams(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream, _) => {
                stream.write_all(message).await?;
                stream.flush().await
            }
        }
    }

    /// The next message. What was read stays when this is not waited for to its end.
    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        match self {
            Self::Datagrams(socket) => {
                let length = socket.recv(&mut buffer).await?;
                Ok(buffer[..length].to_vec())
            }
            Self::Stream(stream, decoder) => loop {
                if let Some(message) = decoder.next_message().map_err(io::Error::other)? {
                    return Ok(message);
                }
                let length = stream.read(&mut buffer).await?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                decoder.extend_from_slice(&buffer[..length]);
            },
        }
    }
}

/// The client of TURN with its connection.
struct Session {
    client: Client,
    carrier: Carrier,
    transport: TransportContext,
}

impl Session {
    /// What the client tells next, as far as it tells something until then.
    async fn next(&mut self, until: tokio::time::Instant) -> io::Result<Option<Event>> {
        loop {
            self.flush().await?;
            if let Some(event) = self.client.poll_event() {
                return Ok(Some(event));
            }
            if tokio::time::Instant::now() >= until {
                return Ok(None);
            }
            let due = self.client.poll_timeout().map(tokio::time::Instant::from_std);
            tokio::select! {
                message = self.carrier.receive() => {
                    let message = BytesMut::from(&message?[..]);
                    let (now, transport) = (Instant::now(), self.transport);
                    let read = TaggedBytesMut { now, transport, message };
                    self.client.handle_read(read).map_err(io::Error::other)?;
                }
                () = sleep_until(due.map_or(until, |due| due.min(until))) => {
                    self.client.handle_timeout(Instant::now()).map_err(io::Error::other)?;
                }
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while let Some(transmit) = self.client.poll_write() {
            self.carrier.send(&transmit.message).await?;
        }
        Ok(())
    }
}

/// Allocates, and sends a check through the relay to `peer`.
pub(super) async fn examine(
    relay: &Relay,
    peer: SocketAddr,
    credentials: &Credentials,
    connector: &Connector,
) -> Result<Duration, Unrelayed> {
    let began = Instant::now();
    let mut session = open(relay, connector).await?;
    let broken = |error: io::Error| {
        let advice = "Check what is between this network and the port: a filter may end it.";
        Unrelayed::new(format!("the connection broke: {}", words(&error)), advice)
    };
    let relayed = timeout(PATIENCE, allocate(&mut session)).await;
    let relayed = relayed.unwrap_or(Ok(Err("the allocation is not answered".to_owned())));
    let relayed = relayed.map_err(broken)?.map_err(|text| {
        let advice = match relay.way {
            Way::Udp => format!("Let UDP port {} in to the server.", relay.port),
            Way::Tcp | Way::Tls => {
                "Check that the port leads to Cabildo, and media.turn's limits.".to_owned()
            }
        };
        Unrelayed::new(text, advice)
    })?;
    let checked = timeout(PATIENCE, check(&mut session, relayed, peer, credentials)).await;
    let checked = checked.unwrap_or(Ok(Err("nothing comes back through the relay".to_owned())));
    // The allocation ends by itself when this is lost.
    if let Ok(mut allocation) = session.client.relay(relayed)
        && allocation.close(Instant::now()).is_ok()
    {
        drop(session.flush().await);
    }
    let advice = "Check media.candidates: the relay carries to the announced addresses only.";
    checked.map_err(broken)?.map_err(|text| Unrelayed::new(text, advice))?;
    Ok(began.elapsed())
}

async fn open(relay: &Relay, connector: &Connector) -> Result<Session, Unrelayed> {
    let closed = |error: &io::Error| {
        let protocol = if relay.way == Way::Udp { "UDP" } else { "TCP" };
        let advice = format!("Let {protocol} port {} in to the server.", relay.port);
        Unrelayed::new(words(error), advice)
    };
    let server = resolve(relay).await?;
    let (carrier, protocol) = match relay.way {
        Way::Udp => {
            let socket = UdpSocket::bind(any_address(server)).await.map_err(|e| closed(&e))?;
            socket.connect(server).await.map_err(|e| closed(&e))?;
            (Carrier::Datagrams(socket), TransportProtocol::UDP)
        }
        Way::Tcp => {
            let stream = connect(server).await.map_err(|e| closed(&e))?;
            let carrier = Carrier::Stream(Box::new(stream), TurnStreamDecoder::new());
            (carrier, TransportProtocol::TCP)
        }
        Way::Tls => {
            let stream = connect(server).await.map_err(|e| closed(&e))?;
            let secured = connector.secure(stream, &relay.host, &[]).await.map_err(|error| {
                let (text, advice) = tls_words(&error);
                Unrelayed::new(text, advice)
            })?;
            let carrier = Carrier::Stream(Box::new(secured), TurnStreamDecoder::new());
            (carrier, TransportProtocol::TCP)
        }
    };
    let local_addr = any_address(server);
    let resend = if relay.way == Way::Udp { REPEAT } else { RESEND_NEVER };
    let config = ClientConfig {
        turn_serv_addr: server.to_string(),
        local_addr,
        transport_protocol: protocol,
        username: relay.username.clone(),
        password: relay.password.clone(),
        rto_in_ms: u64::try_from(resend.as_millis()).unwrap_or(u64::MAX),
        ..ClientConfig::default()
    };
    let unusable = |error: &dyn std::fmt::Display| {
        Unrelayed::new(error.to_string(), "Check the cryptography of this machine.")
    };
    let provider = rtc_crypto::default_provider().map_err(|error| unusable(&error))?;
    let client = Client::new(config, provider).map_err(|error| unusable(&error))?;
    let transport =
        TransportContext { local_addr, peer_addr: server, transport_protocol: protocol, ecn: None };
    Ok(Session { client, carrier, transport })
}

async fn resolve(relay: &Relay) -> Result<SocketAddr, Unrelayed> {
    if let Ok(ip) = relay.host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, relay.port));
    }
    let found = in_time(lookup_host((relay.host.as_str(), relay.port))).await;
    let found = found.map(|mut addresses| addresses.next());
    found.ok().flatten().ok_or_else(|| {
        let text = format!("{} has no address", relay.host);
        Unrelayed::new(text, "Check the DNS records of the name, and media.turn.tls_host.")
    })
}

/// The relayed address; the inner error is the server's.
async fn allocate(session: &mut Session) -> io::Result<Result<SocketAddr, String>> {
    session.client.allocate(Instant::now()).map_err(io::Error::other)?;
    let until = tokio::time::Instant::now() + PATIENCE;
    while let Some(event) = session.next(until).await? {
        match event {
            Event::AllocateResponse(_, relayed) => return Ok(Ok(relayed)),
            Event::AllocateError(_, error) => {
                return Ok(Err(format!("the relay refuses: {error}")));
            }
            _ => {}
        }
    }
    Ok(Err("the allocation is not answered".to_owned()))
}

/// Whether a check through the relay is answered.
async fn check(
    session: &mut Session,
    relayed: SocketAddr,
    peer: SocketAddr,
    credentials: &Credentials,
) -> io::Result<Result<(), String>> {
    let check = Check::new(credentials)
        .ok_or_else(|| io::Error::other("the cryptography can't be used"))?;
    let until = tokio::time::Instant::now() + PATIENCE;
    let mut relay = session.client.relay(relayed).map_err(io::Error::other)?;
    relay.create_permission(Instant::now(), peer).map_err(io::Error::other)?;
    let mut is_permitted = false;
    while tokio::time::Instant::now() < until {
        let mut wait = until;
        if is_permitted {
            let mut relay = session.client.relay(relayed).map_err(io::Error::other)?;
            let sent = relay.send_to(Instant::now(), &check.bytes, peer);
            sent.map_err(io::Error::other)?;
            wait = until.min(tokio::time::Instant::now() + REPEAT);
        }
        while let Some(event) = session.next(wait).await? {
            match event {
                Event::CreatePermissionResponse(..) if !is_permitted => {
                    is_permitted = true;
                    break;
                }
                Event::CreatePermissionError(_, error) => {
                    return Ok(Err(format!("the relay does not carry to {peer}: {error}")));
                }
                Event::DataIndicationOrChannelData(_, from, data) if from == peer => {
                    match check.read(&data) {
                        Reply::Answered => return Ok(Ok(())),
                        Reply::Refused(code) => {
                            return Ok(Err(format!("the server refuses the check with {code}")));
                        }
                        Reply::Other => {}
                    }
                }
                _ => {}
            }
        }
    }
    Ok(Err("nothing comes back through the relay".to_owned()))
}

/// Tells what came of a relay.
pub(super) fn tell(relay: &Relay, result: Result<Duration, Unrelayed>, report: &mut Report<'_>) {
    let what = relay.way.what();
    match result {
        Ok(after) => {
            let text = format!("{} carries, after {} ms", relay.shown(), after.as_millis());
            report.good(what, &text);
        }
        Err(Unrelayed { text, advice }) => {
            report.fail(what, &format!("{}: {text}", relay.shown()), &advice);
        }
    }
}

/// Tells of which ways there is no relay.
pub(super) fn tell_missing(relays: &[&Relay], report: &mut Report<'_>) {
    for way in Way::ALL {
        if relays.iter().all(|relay| relay.way != way) {
            report.skip(way.what(), way.missing());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(address: &str) -> Option<(Way, String, u16)> {
        let parameters = "rel=\"ice-server\"; username=\"1:a\"; credential=\"c=\"; \
                          credential-type=\"password\"";
        let relay = Relay::parse(&format!("<{address}>; {parameters}"))?;
        assert_eq!((&*relay.username, &*relay.password), ("1:a", "c="));
        Some((relay.way, relay.host, relay.port))
    }

    #[test]
    fn relays_are_read_from_links() {
        for (address, way, host, port) in [
            ("turn:192.0.2.7:443?transport=udp", Way::Udp, "192.0.2.7", 443),
            ("turn:[2001:db8::7]:3478?transport=tcp", Way::Tcp, "2001:db8::7", 3478),
            ("turns:turn.example:5350?transport=tcp", Way::Tls, "turn.example", 5350),
            ("turns:turn.example", Way::Tls, "turn.example", 5349),
            ("turn:turn.example", Way::Udp, "turn.example", 3478),
        ] {
            assert_eq!(link(address), Some((way, host.to_owned(), port)), "{address}");
        }
        for address in ["stun:a.example", "turn:", "turn:a:b", "turn:[::1", "turns:a?transport=udp"]
        {
            assert_eq!(link(address), None, "{address}");
        }
        assert!(Relay::parse("</next>; rel=\"next\"").is_none());
    }
}
