//! Rate limits of callers. Tables are bounded: when one is full of keys that are in use, new keys
//! share one limit.

use std::collections::BTreeSet;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::HeaderMap;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use super::Api;
use super::error::ApiError;
use super::metrics;
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{TenantId, UserId};
use crate::domain::network::ClientNetwork;

/// Most keys in each table; about 100 bytes each.
const KEYS_MAX: usize = 50_000;
/// Registrations a minute by one person at a desk. Raising it lets one person
/// fill a log faster.
const DESK_WRITES_PER_MIN: NonZeroU32 = NonZeroU32::new(300).expect("not zero");
/// Burst of requests from one address, in seconds' worth of its rate.
const ADDRESS_BURST_S: u32 = 10;

/// Rate limits by key.
struct Allowance<K: Hash + Eq + Clone> {
    keyed: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
    shared: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Allowance<K> {
    fn new(quota: Quota) -> Self {
        Self {
            keyed: RateLimiter::keyed(quota),
            shared: RateLimiter::direct(quota),
            clock: DefaultClock::default(),
        }
    }

    /// Takes one token, or returns after how many seconds there is one.
    fn take(&self, key: &K) -> Result<(), u32> {
        if self.keyed.len() >= KEYS_MAX {
            self.keyed.retain_recent();
        }
        let outcome = if self.keyed.len() >= KEYS_MAX {
            self.shared.check()
        } else {
            self.keyed.check_key(key)
        };
        outcome.map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
        })
    }
}

/// The rates of the limits.
#[derive(Debug, Clone, Copy)]
pub struct RateLimitOptions {
    /// Requests per second from one address.
    pub requests_per_address_per_s: NonZeroU32,
    /// Writes per minute by one person.
    pub writes_per_user_per_min: NonZeroU32,
    /// Writes per minute in one tenant.
    pub writes_per_tenant_per_min: NonZeroU32,
}

/// All rate limits of the interface.
pub(super) struct RateLimits {
    addresses: Allowance<ClientNetwork>,
    users: Allowance<(TenantId, UserId)>,
    tenants: Allowance<TenantId>,
    desks: Allowance<(TenantId, UserId)>,
}

impl RateLimits {
    pub(super) fn new(options: &RateLimitOptions) -> Self {
        let burst = options
            .requests_per_address_per_s
            .saturating_mul(NonZeroU32::new(ADDRESS_BURST_S).unwrap_or(NonZeroU32::MIN));
        let addresses = Quota::per_second(options.requests_per_address_per_s).allow_burst(burst);
        Self {
            addresses: Allowance::new(addresses),
            users: Allowance::new(Quota::per_minute(options.writes_per_user_per_min)),
            tenants: Allowance::new(Quota::per_minute(options.writes_per_tenant_per_min)),
            desks: Allowance::new(Quota::per_minute(DESK_WRITES_PER_MIN)),
        }
    }

    /// Takes one registration by a person at a desk.
    pub(super) fn register(&self, tenant: TenantId, user: &UserId) -> Result<(), ApiError> {
        self.desks.take(&(tenant, user.clone())).map_err(|wait_s| limited("user", wait_s))
    }

    /// Counts a write of a person.
    pub(super) fn write(&self, tenant: TenantId, user: &UserId) -> Result<(), ApiError> {
        self.users.take(&(tenant, user.clone())).map_err(|wait_s| limited("user", wait_s))?;
        self.tenants.take(&tenant).map_err(|wait_s| limited("tenant", wait_s))
    }
}

fn limited(scope: &'static str, wait_s: u32) -> ApiError {
    metrics::rate_limited(scope);
    ApiError::new(ErrorCode::RateLimited, format!("too many requests of this {scope}"))
        .retry_after_s(wait_s)
}

/// Refuses requests of addresses that exceed their rate, before any other work.
pub(super) async fn limit_address(
    State(api): State<Api>,
    mut request: Request,
    next: Next,
) -> Response {
    // Without a peer address there is no socket: a test calls the router directly.
    if let Some(ConnectInfo(peer)) = request.extensions().get::<ConnectInfo<SocketAddr>>() {
        let address = client_address(&api.options.trusted_proxies, peer.ip(), request.headers());
        let network = ClientNetwork::of(address);
        if let Err(wait_s) = api.rate_limits.addresses.take(&network) {
            return limited("address", wait_s).into_response();
        }
        // Other modules have limits of their own for this network.
        request.extensions_mut().insert(network);
    }
    next.run(request).await
}

/// The address of the client: the peer, or the last address in `X-Forwarded-For` that is not a
/// trusted proxy, if the peer is one. Elements to the left of something that is not an address were
/// not written by a trusted proxy and are ignored.
fn client_address(trusted: &BTreeSet<IpAddr>, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !trusted.contains(&peer.to_canonical()) {
        return peer;
    }
    let values: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let newest_first = values
        .iter()
        .rev()
        .flat_map(|value| value.to_str().unwrap_or_default().rsplit(','))
        .map(forwarded_address);
    for address in newest_first {
        match address {
            Some(address) if trusted.contains(&address) => {}
            Some(address) => return address,
            None => return peer,
        }
    }
    peer
}

/// Parses an element of `X-Forwarded-For`: an IPv4 address, or an IPv6 address with or without
/// brackets, optionally with a port. `None` for anything else, such as `unknown`.
fn forwarded_address(element: &str) -> Option<IpAddr> {
    let text = element.trim();
    let address = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| {
            let inner = text.strip_prefix('[')?.strip_suffix(']')?;
            inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        })?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_allowance() {
        let allowance: Allowance<u32> = Allowance::new(Quota::per_minute(NonZeroU32::MIN));
        assert_eq!(allowance.take(&1), Ok(()));
        assert_eq!(allowance.take(&2), Ok(()));
        let wait_s = allowance.take(&1).expect_err("used up");
        assert!((1..=61).contains(&wait_s), "{wait_s}");
    }

    #[test]
    fn a_proxy_names_whom_it_forwards_with_and_without_ports() {
        let proxy: IpAddr = "10.0.0.10".parse().expect("address");
        let second: IpAddr = "2001:db8::10".parse().expect("address");
        let trusted = BTreeSet::from([proxy, second]);
        let seen = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("x-forwarded-for", line.parse().expect("a header"));
            }
            client_address(&trusted, proxy, &headers).to_string()
        };
        for (lines, client) in [
            (&[][..], "10.0.0.10"),
            (&["192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1:4711"], "192.0.2.1"),
            (&["2001:db8::1"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["[2001:db8::1]:4711"], "2001:db8::1"),
            (&["::ffff:192.0.2.1"], "192.0.2.1"),
            (&["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
            (&["192.0.2.1, [2001:db8::10]:443, 10.0.0.10:80"], "192.0.2.1"),
            (&["203.0.113.9", "192.0.2.1 , 10.0.0.10"], "192.0.2.1"),
            // What a client writes itself is to the left of what a proxy adds.
            (&["203.0.113.9, unknown"], "10.0.0.10"),
            (&["203.0.113.9, "], "10.0.0.10"),
            (&["203.0.113.9, 192.0.2.1:port"], "10.0.0.10"),
        ] {
            assert_eq!(seen(lines), client, "{lines:?}");
        }
        let stranger: IpAddr = "198.51.100.1".parse().expect("address");
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "192.0.2.1".parse().expect("a header"));
        assert_eq!(client_address(&trusted, stranger, &headers), stranger);
    }
}
