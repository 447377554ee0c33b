//! Networks: that of a caller, for limits that apply before authentication, and
//! those that an operator names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: one IPv4 address, or the first 64 bits of an IPv6 address, which is the smallest
/// network that a customer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientNetwork(IpAddr);

impl ClientNetwork {
    /// The network of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !(u64::MAX as u128))),
        })
    }

    /// The networks beside it that one customer may well have too: the first 24 bits of an IPv4
    /// address, or 48 of an IPv6 address.
    #[must_use]
    pub const fn surroundings(self) -> Surroundings {
        Surroundings(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
        })
    }
}

/// Networks that lie together: 256 IPv4 addresses, or 65,536 IPv6 networks of 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Surroundings(IpAddr);

/// A network, such as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNetwork {
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// Every address of this machine's loopback, of both kinds.
    #[must_use]
    pub fn loopback() -> [Self; 2] {
        [
            Self { address: Ipv4Addr::LOCALHOST.into(), prefix: 8 },
            Self { address: Ipv6Addr::LOCALHOST.into(), prefix: 128 },
        ]
    }

    /// Whether an address is of this network.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }
}

/// A text that is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a network, like 10.0.0.0/8")]
pub struct NoNetwork;

impl FromStr for IpNetwork {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => widest,
            Some(prefix) => prefix.parse().map_err(|_| NoNetwork)?,
        };
        if prefix > widest { Err(NoNetwork) } else { Ok(Self { address, prefix }) }
    }
}

/// The address that is reached in the end: IPv4 inside of IPv6 (RFC 4291 §2.5.5,
/// RFC 6052 §2.1, RFC 3056 §2) is what it holds.
#[must_use]
pub fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let embedded = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, low] if (high, low) != (0, 0) && (high, low) != (0, 1) => {
            embedded(high, low)
        }
        [0x64, 0xFF9B, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        _ => IpAddr::V6(v6),
    }
}

/// Whether an address is one of the internet: not of this machine, of a private
/// network, or of those that are set aside (IANA's special-purpose registries).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match reached(address) {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// Whether the host of a URL is this machine.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

const fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_set_aside = matches!(
        (a, b, c),
        // This network, shared by providers, of protocols, 6to4 relays, of tests of
        // networks; multicast, reserved and broadcast.
        (0 | 224..=255, ..) | (100, 64..=127, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _)
    );
    !(is_set_aside
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation())
}

/// Of IPv6 only `2000::/3` is in use, and in it some networks are set aside.
const fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    match (a, b) {
        // Protocols, Teredo among them; documentation.
        (0x2001, 0..=0x01ff | 0x0db8) | (0x3fff, 0..=0x0fff) => false,
        _ => a & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_counts_as_one_and_a_mapped_address_as_what_it_maps() {
        let of = |text: &str| ClientNetwork::of(text.parse().expect("address"));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"));
        assert_ne!(of("2001:db8:1:2::"), of("2001:db8:1:3::"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        let around = |text: &str| of(text).surroundings();
        assert_eq!(around("192.0.2.1"), around("192.0.2.255"));
        assert_ne!(around("192.0.2.1"), around("192.0.3.1"));
        assert_eq!(around("2001:db8:1:2::"), around("2001:db8:1:ffff::1"));
        assert_ne!(around("2001:db8:1:2::"), around("2001:db8:2:2::"));
    }

    #[test]
    fn a_network_is_an_address_and_how_much_of_it_counts() {
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "a/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<IpNetwork>().is_err(), "{bad}");
        }
        let inside = |network: &str, address: &str| {
            let network: IpNetwork = network.parse().expect("a network");
            network.contains(address.parse().expect("an address"))
        };
        assert!(inside("10.20.0.0/16", "10.20.255.1") && !inside("10.20.0.0/16", "10.21.0.1"));
        assert!(inside("0.0.0.0/0", "255.1.2.3") && inside("::/0", "fe80::1"));
        assert!(inside("192.0.2.7", "192.0.2.7") && !inside("192.0.2.7", "192.0.2.6"));
        assert!(!inside("::/0", "10.0.0.1"));
    }

    #[test]
    fn addresses_that_are_set_aside_are_not_of_the_internet() {
        let public = |text: &str| is_public(text.parse().expect("an address"));
        for inside in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:a00:1::1",
        ] {
            assert!(!public(inside), "{inside}");
        }
        for outside in
            ["93.184.216.34", "100.63.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            assert!(public(outside), "{outside}");
        }
    }

    #[test]
    fn a_host_of_this_machine_is_known_by_name_and_by_address() {
        for here in ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "::1"] {
            assert!(is_loopback_host(here), "{here}");
        }
        for elsewhere in ["", "localhost.example", "128.0.0.1", "[::2]", "127.0.0.1.example"] {
            assert!(!is_loopback_host(elsewhere), "{elsewhere}");
        }
    }
}
