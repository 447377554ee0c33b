//! The addresses that session descriptions announce for the one media port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;

use crate::sfu::interface::SfuError;

/// Interface addresses that are announced at most. Each is a candidate in every session
/// description, and one more path that every client checks.
const ANNOUNCED_MAX: usize = 8;

/// The addresses to announce when the socket is bound to `bound`: the configured ones, or else the
/// bound address, or for a wildcard the addresses of this machine's interfaces.
pub(super) fn announced(
    bound: SocketAddr,
    configured: Vec<SocketAddr>,
) -> Result<Vec<SocketAddr>, SfuError> {
    let interfaces = if configured.is_empty() && bound.ip().is_unspecified() {
        let addresses = getifaddrs().map_err(|error| SfuError::Start(error.to_string()))?;
        addresses
            .filter(|it| it.flags.contains(InterfaceFlags::IFF_UP))
            .filter_map(|it| it.address)
            .filter_map(|it| {
                let v4 = it.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
                v4.or_else(|| it.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
            })
            .collect()
    } else {
        Vec::new()
    };
    choose(bound, configured, &interfaces)
}

fn choose(
    bound: SocketAddr,
    configured: Vec<SocketAddr>,
    interfaces: &[IpAddr],
) -> Result<Vec<SocketAddr>, SfuError> {
    let announced = if !configured.is_empty() {
        configured
    } else if bound.ip().is_unspecified() {
        let reachable = interfaces.iter().filter(|ip| {
            // A socket bound to 0.0.0.0 receives no IPv6.
            is_reachable(**ip) && (bound.is_ipv6() || ip.is_ipv4())
        });
        let mut found: Vec<IpAddr> = reachable.copied().collect();
        // IPv4 first: some networks announce IPv6 but do not carry it.
        found.sort_by_key(IpAddr::is_ipv6);
        found.dedup();
        found.truncate(ANNOUNCED_MAX);
        found.into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect()
    } else {
        vec![bound]
    };
    let is_local = bound.ip().to_canonical().is_loopback();
    let is_useless = |it: &SocketAddr| {
        it.ip().is_unspecified() || it.ip().to_canonical().is_loopback() && !is_local
    };
    if announced.iter().all(is_useless) {
        return Err(SfuError::Unreachable);
    }
    Ok(announced)
}

/// Whether another machine may be able to reach this address.
fn is_reachable(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(v4) => !(v4.is_loopback() || v4.is_link_local() || v4 == Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unicast_link_local() || v6 == Ipv6Addr::UNSPECIFIED)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn chosen(bound: &str, configured: &[&str]) -> Result<Vec<SocketAddr>, SfuError> {
        let machine = ["127.0.0.1", "::1", "fe80::1", "2001:db8::7", "169.254.3.3", "192.0.2.7"];
        let machine = machine.map(|text| text.parse().expect("an address"));
        choose(bound.parse().expect("an address"), addresses(configured), &machine)
    }

    #[test]
    fn a_wildcard_announces_what_others_can_reach() {
        let v4 = chosen("0.0.0.0:3478", &[]).expect("one address");
        assert_eq!(v4, addresses(&["192.0.2.7:3478"]));
        let both = chosen("[::]:3478", &[]).expect("two addresses");
        assert_eq!(both, addresses(&["192.0.2.7:3478", "[2001:db8::7]:3478"]));
    }

    #[test]
    fn what_is_configured_or_bound_to_is_announced_as_it_is() {
        let nat = chosen("0.0.0.0:3478", &["203.0.113.7:40000"]).expect("configured");
        assert_eq!(nat, addresses(&["203.0.113.7:40000"]));
        let bound = chosen("192.0.2.7:3478", &[]).expect("bound");
        assert_eq!(bound, addresses(&["192.0.2.7:3478"]));
        let local = chosen("127.0.0.1:3478", &[]).expect("of this machine");
        assert_eq!(local, addresses(&["127.0.0.1:3478"]));
        let local = chosen("127.0.0.1:3478", &["127.0.0.1:9"]).expect("of this machine");
        assert_eq!(local, addresses(&["127.0.0.1:9"]));
    }

    #[test]
    fn loopback_alone_is_refused_unless_it_is_bound_to() {
        for configured in
            [&["127.0.0.1:3478"][..], &["[::1]:3478"], &["0.0.0.0:3478", "127.9.9.9:1"]]
        {
            assert!(matches!(chosen("0.0.0.0:3478", configured), Err(SfuError::Unreachable)));
        }
        assert!(chosen("0.0.0.0:3478", &["127.0.0.1:3478", "192.0.2.7:3478"]).is_ok());
        let nothing = choose("0.0.0.0:3478".parse().expect("valid"), Vec::new(), &[]);
        assert!(matches!(nothing, Err(SfuError::Unreachable)));
    }

    #[test]
    fn no_more_than_the_limit_is_announced() {
        let machine: Vec<IpAddr> = (0..40).map(|host| IpAddr::from([192, 0, 2, host])).collect();
        let bound = "0.0.0.0:3478".parse().expect("valid");
        assert_eq!(choose(bound, Vec::new(), &machine).expect("some").len(), ANNOUNCED_MAX);
    }
}
