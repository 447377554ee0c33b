//! Which addresses cameras may have. A camera is called by this server, so its
//! address must not lead into the operator's own network unless that is wanted.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::cameras::engine::source::Source;
use crate::cameras::error::CameraError;
use crate::domain::network::{IpNetwork, is_public, reached};

/// How long a name may take to resolve. Raising it lets a slow name server hold
/// callers longer.
const RESOLVE_TIME_MAX: Duration = Duration::from_secs(5);
/// Addresses of one name that are looked at; more are ignored.
const ADDRESSES_MAX: usize = 32;

/// Which addresses may be called: public ones, and networks that the operator
/// has named.
#[derive(Debug, Clone, Default)]
pub struct AddressPolicy {
    allowed: Vec<IpNetwork>,
}

impl AddressPolicy {
    /// Public addresses, and those of `allowed`.
    #[must_use]
    pub const fn new(allowed: Vec<IpNetwork>) -> Self {
        Self { allowed }
    }

    /// Whether an address may be called.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = reached(address);
        if address.is_unspecified() || address.is_multicast() || is_broadcast(address) {
            return false;
        }
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }

    /// Where a camera is called: the first allowed one of its addresses. A name
    /// that has others beside allowed ones is refused: it may answer differently
    /// the next time, and nobody meant it to point into two networks.
    ///
    /// # Errors
    /// [`CameraError::SourceRefused`], and [`CameraError::HostNotFound`].
    pub async fn resolve(&self, source: &Source) -> Result<SocketAddr, CameraError> {
        let lookup = tokio::net::lookup_host((source.host(), source.port()));
        let found = tokio::time::timeout(RESOLVE_TIME_MAX, lookup).await;
        let Ok(Ok(found)) = found else { return Err(CameraError::HostNotFound) };
        let found: Vec<SocketAddr> = found.take(ADDRESSES_MAX).collect();
        if found.iter().any(|address| !self.allows(address.ip())) {
            return Err(CameraError::SourceRefused);
        }
        found.first().copied().ok_or(CameraError::HostNotFound)
    }
}

fn is_broadcast(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(v4) if v4.is_broadcast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn nothing_private_is_called_unless_the_operator_says_so() {
        let policy = AddressPolicy::default();
        for refused in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.20",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "2001:db8::1",
        ] {
            assert!(!policy.allows(address(refused)), "{refused}");
        }
        for public in ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822"] {
            assert!(policy.allows(address(public)), "{public}");
        }
    }

    #[test]
    fn a_named_network_is_allowed_and_nothing_beside_it() {
        let policy = AddressPolicy::new(vec![
            "10.20.0.0/16".parse().expect("a network"),
            "fd00:1::/32".parse().expect("a network"),
            "192.168.7.9".parse().expect("one address"),
        ]);
        for allowed in ["10.20.3.4", "::ffff:10.20.3.4", "fd00:1:2::3", "192.168.7.9"] {
            assert!(policy.allows(address(allowed)), "{allowed}");
        }
        for refused in ["10.21.0.1", "fd00:2::1", "192.168.7.8", "127.0.0.1"] {
            assert!(!policy.allows(address(refused)), "{refused}");
        }
        let everything = AddressPolicy::new(vec!["0.0.0.0/0".parse().expect("a network")]);
        assert!(everything.allows(address("127.0.0.1")));
        assert!(!everything.allows(address("224.0.0.1")), "nobody is called by multicast");
    }

    #[tokio::test]
    async fn a_name_is_judged_by_where_it_leads() {
        let source = Source::parse("rtsp://localhost:8554/live").expect("an address");
        let refused = AddressPolicy::default().resolve(&source).await;
        assert_eq!(refused, Err(CameraError::SourceRefused));
        let policy = AddressPolicy::new(IpNetwork::loopback().to_vec());
        let found = policy.resolve(&source).await.expect("allowed");
        assert!(found.ip().is_loopback() && found.port() == 8_554);
    }
}
