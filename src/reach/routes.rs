//! The ways of media that need no relay: UDP, and ICE over TCP.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use rtc_shared::tcp_framing::{TcpFrameDecoder, frame_packet};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UdpSocket;
use tokio::time::{sleep_until, timeout};

use super::binding::{Check, Credentials, Reply};
use super::report::{Report, State};
use super::sockets::{PATIENCE, connect, is_unroutable, words};

/// Time between two sendings of a request over UDP.
pub(super) const REPEAT: Duration = Duration::from_millis(400);
/// Longest datagram that is read.
pub(super) const DATAGRAM_BYTES_MAX: usize = 2_048;

/// What came of a way.
pub(super) type Result = std::result::Result<Duration, Unreached>;

/// Why a way does not carry.
#[derive(Debug)]
pub(super) enum Unreached {
    /// Nothing came back.
    Silent,
    /// The server answered with an error of STUN.
    Refused(u16),
    /// A socket failed.
    Socket(io::Error),
}

impl From<io::Error> for Unreached {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::TimedOut { Self::Silent } else { Self::Socket(error) }
    }
}

/// An address of this machine to send from to that one.
pub(super) fn any_address(to: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

fn check(credentials: &Credentials) -> io::Result<Check<'_>> {
    Check::new(credentials).ok_or_else(|| io::Error::other("the cryptography can't be used"))
}

/// Sends a check over UDP until it is answered.
pub(super) async fn by_udp(to: SocketAddr, credentials: &Credentials) -> Result {
    let check = check(credentials)?;
    let socket = UdpSocket::bind(any_address(to)).await?;
    socket.connect(to).await?;
    let began = Instant::now();
    let mut send_at = tokio::time::Instant::now();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    // A port where nothing listens is told by ICMP, which may also be a passing one.
    let mut refused = None;
    let exchange = async {
        loop {
            tokio::select! {
                () = sleep_until(send_at) => {
                    send_at += REPEAT;
                    match socket.send(&check.bytes).await {
                        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                            refused = Some(error);
                        }
                        Err(error) => return Err(Unreached::Socket(error)),
                        Ok(_) => {}
                    }
                }
                received = socket.recv(&mut buffer) => match received {
                    Ok(length) => match check.read(&buffer[..length]) {
                        Reply::Answered => return Ok(began.elapsed()),
                        Reply::Refused(code) => return Err(Unreached::Refused(code)),
                        Reply::Other => {}
                    },
                    Err(error) => refused = Some(error),
                },
            }
        }
    };
    let result = timeout(PATIENCE, exchange).await;
    result.unwrap_or_else(|_| Err(refused.map_or(Unreached::Silent, Unreached::Socket)))
}

/// Sends a check over TCP (RFC 6544, framed as RFC 4571 says).
pub(super) async fn by_tcp(to: SocketAddr, credentials: &Credentials) -> Result {
    let check = check(credentials)?;
    let began = Instant::now();
    let mut stream = connect(to).await?;
    let exchange = async {
        stream.write_all(&frame_packet(&check.bytes)).await?;
        let mut frames = TcpFrameDecoder::new();
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        loop {
            let length = stream.read(&mut buffer).await?;
            if length == 0 {
                return Err(Unreached::Socket(io::ErrorKind::UnexpectedEof.into()));
            }
            frames.extend_from_slice(&buffer[..length]);
            while let Some(packet) = frames.next_packet() {
                match check.read(&packet) {
                    Reply::Answered => return Ok(began.elapsed()),
                    Reply::Refused(code) => return Err(Unreached::Refused(code)),
                    Reply::Other => {}
                }
            }
        }
    };
    timeout(PATIENCE, exchange).await.unwrap_or(Err(Unreached::Silent))
}

/// Whether only machines of the same network reach this address.
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// Tells what came of the announced addresses of one kind.
pub(super) fn tell(what: &str, to: &[SocketAddr], results: &[Result], report: &mut Report<'_>) {
    if to.is_empty() {
        report.skip(what, "the server announces no address for it");
        return;
    }
    let is_any_reached = results.iter().any(Result::is_ok);
    for (to, result) in to.iter().zip(results) {
        let error = match result {
            Ok(after) => {
                report.good(what, &format!("{to} answers after {} ms", after.as_millis()));
                continue;
            }
            Err(error) => error,
        };
        let text = format!("{to}: {}", reason(error));
        let advice = advice(what, *to, error);
        let state = match error {
            Unreached::Socket(error) if is_unroutable(error) && !is_private(to.ip()) => {
                State::NotTested
            }
            _ if is_any_reached && is_private(to.ip()) => State::Doubtful,
            _ => State::Failed,
        };
        report.add(state, what, &text, (state != State::NotTested).then_some(&advice));
    }
}

fn reason(error: &Unreached) -> String {
    match error {
        Unreached::Silent => format!("no answer within {} s", PATIENCE.as_secs()),
        Unreached::Refused(code) => format!("the server refuses the check with {code}"),
        Unreached::Socket(error) => words(error),
    }
}

fn advice(what: &str, to: SocketAddr, error: &Unreached) -> String {
    if is_private(to.ip()) {
        return format!(
            "{} is an address of the server's own network, which nobody outside reaches: set \
             media.candidates to its public address.",
            to.ip()
        );
    }
    if matches!(error, Unreached::Refused(_)) {
        return "Check that the address leads to this instance and not to another one.".to_owned();
    }
    let protocol = if what.ends_with("UDP") { "UDP" } else { "TCP" };
    format!(
        "Let {protocol} port {} in at the server's firewall and at its cloud's, and check \
         media.candidates. If it fails only from here, this network blocks it.",
        to.port()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::Line;

    fn states(to: &[&str], results: &[Result]) -> Vec<State> {
        let to: Vec<SocketAddr> = to.iter().map(|text| text.parse().unwrap()).collect();
        let mut states = Vec::new();
        let mut note = |line: &Line| states.push(line.state);
        tell("media over UDP", &to, results, &mut Report::new(&mut note, None));
        states
    }

    #[test]
    fn a_private_address_is_a_failure_only_when_no_other_is_reached() {
        let (public, private) = ("203.0.113.7:3478", "10.0.0.7:3478");
        let reached = || Ok(Duration::from_millis(3));
        let silent = || Err(Unreached::Silent);
        let without_route =
            || Err(Unreached::Socket(io::Error::from(io::ErrorKind::NetworkUnreachable)));
        let (good, failed) = (State::Good, State::Failed);
        assert_eq!(states(&[public, private], &[reached(), silent()]), [good, State::Doubtful]);
        assert_eq!(states(&[private], &[silent()]), [failed]);
        assert_eq!(states(&[public, private], &[silent(), reached()]), [failed, good]);
        let both = states(&[public, "[2001:db8::7]:3478"], &[reached(), without_route()]);
        assert_eq!(both, [good, State::NotTested]);
        assert_eq!(states(&[], &[]), [State::NotTested]);
    }
}
