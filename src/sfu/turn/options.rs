//! With what TURN is started, and what clients are told about it.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::access::AccessKey;
use super::server::{Quotas, ServerOptions};
use crate::clock::Clock;
use crate::domain::id::{ConnectionId, SessionId, TenantId, UserId};
use crate::domain::secret::Secret;

/// The TLS configuration for a new connection.
pub type TlsSource = Arc<dyn Fn() -> Arc<rustls::ServerConfig> + Send + Sync>;

/// TURN over TLS.
#[derive(Clone)]
pub struct TurnTls {
    /// The address at which it listens. Port 0 takes any free port.
    pub bind: SocketAddr,
    /// The host that clients are told, as the certificate names it.
    pub host: String,
    /// The port that clients are told, if it is not the one that it listens at.
    pub port: Option<u16>,
    /// Its certificate and key, which may be renewed.
    pub config: TlsSource,
}

impl fmt::Debug for TurnTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnTls({} at {})", self.host, self.bind)
    }
}

impl TurnTls {
    /// The address that clients are told (RFC 7065) when it listens at `bound`.
    pub(in crate::sfu) fn url(&self, bound: SocketAddr) -> String {
        let port = self.port.unwrap_or_else(|| bound.port());
        format!("turns:{}:{port}?transport=tcp", self.host)
    }
}

/// The options of TURN.
#[derive(Debug, Clone)]
pub struct TurnOptions {
    /// What credentials are made with, 32 bytes or more.
    pub secret: Secret<Vec<u8>>,
    /// How long credentials can be used to make allocations.
    pub credentials_ttl: Duration,
    /// How long an allocation lasts at most without a refresh.
    pub lifetime_max: Duration,
    /// Most allocations at once.
    pub quotas: Quotas,
    /// Addresses beside the announced ones at which clients reach the media port over UDP.
    pub udp: Vec<SocketAddr>,
    /// Over TLS as well, if given.
    pub tls: Option<TurnTls>,
}

impl TurnOptions {
    pub(in crate::sfu) fn server(&self) -> ServerOptions {
        let key = AccessKey::new(self.secret.clone());
        ServerOptions { key, quotas: self.quotas, lifetime_max: self.lifetime_max }
    }
}

/// A TURN server and the credentials for it, as clients are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayServer {
    /// Its addresses (RFC 7065).
    pub urls: Vec<String>,
    /// Until when and for whom.
    pub username: String,
    /// The password.
    pub credential: Secret<String>,
}

/// Makes credentials of TURN.
#[derive(Debug, Clone)]
pub struct TurnAccess {
    key: AccessKey,
    ttl: Duration,
    clock: Clock,
    urls: Arc<[String]>,
}

impl TurnAccess {
    /// `None` when there is no address that clients could be told.
    pub(in crate::sfu) fn new(
        options: &TurnOptions,
        clock: Clock,
        (candidates, tcp): (&[SocketAddr], bool),
        tls: Option<SocketAddr>,
    ) -> Option<Self> {
        let key = AccessKey::new(options.secret.clone());
        let by_tls = options.tls.as_ref().zip(tls).map(|(tls, bound)| tls.url(bound));
        let others = urls(candidates, tcp, &options.udp);
        let urls: Vec<_> = others.into_iter().chain(by_tls).collect();
        let is_told = !urls.is_empty();
        is_told.then(|| Self { key, ttl: options.credentials_ttl, clock, urls: urls.into() })
    }

    /// Makes credentials for a connection of a person. They end with the connection.
    #[must_use]
    pub fn issue(
        &self,
        session: SessionId,
        connection: ConnectionId,
        tenant: TenantId,
        user: &UserId,
    ) -> RelayServer {
        let holder = self.key.holder(session, connection, tenant, user);
        let expires = self.clock.now().after(self.ttl).unix_s();
        let (username, credential) = self.key.issue(&holder, expires);
        RelayServer { urls: self.urls.to_vec(), username, credential }
    }
}

/// The addresses at which TURN is reached over TCP, the first announced one of each family, since a
/// client tries every one of them from each of its networks; and those over UDP that are not
/// announced for media. A server at an announced address is never told over UDP: where that gets
/// through, so does media itself; and browsers use one socket for both, and Chromium takes nothing
/// that comes from the address of a server for media.
fn urls(candidates: &[SocketAddr], tcp: bool, udp: &[SocketAddr]) -> Vec<String> {
    let first = |v4: bool| candidates.iter().find(|it| it.is_ipv4() == v4);
    let by_tcp = [true, false].into_iter().filter_map(first).filter(|_| tcp);
    let by_udp = udp.iter().filter(|it| !candidates.contains(it));
    by_udp
        .map(|server| format!("turn:{server}?transport=udp"))
        .chain(by_tcp.map(|server| format!("turn:{server}?transport=tcp")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_of_no_server_over_udp_at_an_address_of_media() {
        let candidates = ["192.0.2.7:3478", "10.0.0.1:3478", "[2001:db8::7]:3478"]
            .map(|text| text.parse().expect("an address"));
        let elsewhere = "192.0.2.7:443".parse().expect("an address");
        let told = urls(&candidates, true, &[elsewhere, candidates[0]]);
        let expected = [
            "turn:192.0.2.7:443?transport=udp",
            "turn:192.0.2.7:3478?transport=tcp",
            "turn:[2001:db8::7]:3478?transport=tcp",
        ];
        assert_eq!(told, expected);
        assert!(urls(&candidates, false, &[]).is_empty());
    }
}
