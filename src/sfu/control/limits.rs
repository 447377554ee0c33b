//! Rate limits for peers that have not authenticated yet. A check that authenticates is not
//! counted. A check that fails, and every handshake that begins, counts against the network it came
//! from and against a total.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::domain::network::ClientNetwork;
use crate::domain::token_bucket::TokenBucket;

/// Failed connectivity checks per second from one address. Each costs one HMAC.
const FAILED_CHECKS_PER_S: u32 = 100;
/// Failed connectivity checks per second in total: 3 % of a processor.
const FAILED_CHECKS_PER_S_TOTAL: u32 = 10_000;
/// Handshakes begun per second from one address. A hall of two hundred people behind one address
/// can reconnect in eight seconds. Each handshake costs half a millisecond to a millisecond.
const HANDSHAKES_PER_S: u32 = 50;
/// Handshakes begun per second in total: under a third of a processor.
const HANDSHAKES_PER_S_TOTAL: u32 = 250;
/// Handshakes begun per second beyond that total, for networks that have begun few. Networks that
/// exhaust the total can't take these from others.
const HANDSHAKES_PER_S_RESERVED: u32 = 100;
/// A network has begun few handshakes when it tried at most this many in the last second: the two
/// transports of a page, twice.
const HANDSHAKES_FEW: u32 = 4;
/// Networks that are counted separately. When the table is full, further networks share one
/// account.
const SOURCES_MAX: usize = 4096;

/// A token bucket that is full again after one second.
fn bucket(per_s: u32, now: Instant) -> TokenBucket {
    TokenBucket::new(per_s, per_s, now)
}

#[derive(Debug, Clone, Copy)]
struct Account {
    checks: TokenBucket,
    handshakes: TokenBucket,
}

impl Account {
    fn new(now: Instant) -> Self {
        Self { checks: bucket(FAILED_CHECKS_PER_S, now), handshakes: bucket(HANDSHAKES_PER_S, now) }
    }
}

#[derive(Debug)]
pub(super) struct HandshakeLimits {
    sources: BTreeMap<ClientNetwork, Account>,
    /// The account shared by networks that found the table full.
    others: Account,
    checks: TokenBucket,
    handshakes: TokenBucket,
    /// For networks that have begun few handshakes, when `handshakes` is used up.
    reserved: TokenBucket,
}

impl HandshakeLimits {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            sources: BTreeMap::new(),
            others: Account::new(now),
            checks: bucket(FAILED_CHECKS_PER_S_TOTAL, now),
            handshakes: bucket(HANDSHAKES_PER_S_TOTAL, now),
            reserved: bucket(HANDSHAKES_PER_S_RESERVED, now),
        }
    }

    /// Whether a check from an address that has not authenticated may be processed.
    pub(super) fn admits_check(&mut self, from: IpAddr, now: Instant) -> bool {
        let known = self.sources.get_mut(&ClientNetwork::of(from));
        known.is_none_or(|account| account.checks.has_one(now)) && self.checks.has_one(now)
    }

    /// Counts a check that failed.
    pub(super) fn charge_check(&mut self, from: IpAddr, now: Instant) {
        self.account(from, now).checks.take();
        self.checks.take();
    }

    /// Whether a handshake may begin; counts the attempt.
    pub(super) fn admits_handshake(&mut self, from: IpAddr, now: Instant) -> bool {
        let has_room = self.handshakes.has_one(now);
        let has_reserve = self.reserved.has_one(now);
        let account = self.account(from, now);
        if !account.handshakes.has_one(now) {
            return false;
        }
        let began_few = account.handshakes.has_given_at_most(HANDSHAKES_FEW);
        // Refused attempts count too: a network that keeps trying has not begun few.
        account.handshakes.take();
        if !(has_room || (began_few && has_reserve)) {
            return false;
        }
        if has_room {
            self.handshakes.take();
        } else {
            self.reserved.take();
        }
        true
    }

    fn account(&mut self, from: IpAddr, now: Instant) -> &mut Account {
        let network = ClientNetwork::of(from);
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&network) {
            // An account that was not used for a second is full again, so it can be removed.
            self.sources.retain(|_, account| {
                let Account { checks, handshakes } = account;
                checks.unused_for(now).min(handshakes.unused_for(now)) < Duration::from_secs(1)
            });
            if self.sources.len() >= SOURCES_MAX {
                self.others.checks.has_one(now);
                return &mut self.others;
            }
        }
        let account = self.sources.entry(network).or_insert_with(|| Account::new(now));
        account.checks.has_one(now);
        account
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test picks the instant it starts from")]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_use_up_what_is_for_all() {
        let now = Instant::now();
        let mut limits = HandshakeLimits::new(now);
        let (loud, quiet) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let begun = (0..1000).filter(|_| limits.admits_handshake(loud, now)).count();
        assert_eq!(begun, usize::try_from(HANDSHAKES_PER_S).expect("small"));
        assert!(limits.admits_handshake(quiet, now));
        for _ in 0..FAILED_CHECKS_PER_S {
            assert!(limits.admits_check(loud, now));
            limits.charge_check(loud, now);
        }
        assert!(!limits.admits_check(loud, now));
        assert!(limits.admits_check(quiet, now));
        assert!(limits.admits_check(loud, now + Duration::from_millis(500)));
    }

    #[test]
    fn the_table_is_bounded_and_a_network_of_ipv6_is_one_source() {
        let now = Instant::now();
        let mut limits = HandshakeLimits::new(now);
        for index in 0..u32::try_from(2 * SOURCES_MAX).expect("small") {
            limits.charge_check(IpAddr::from(index.to_be_bytes()), now);
        }
        assert_eq!(limits.sources.len(), SOURCES_MAX);
        let later = now + Duration::from_secs(2);
        for index in 0..9_u16 {
            limits.charge_check(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, index]), later);
        }
        assert_eq!(limits.sources.len(), 1);
    }

    #[test]
    fn eight_networks_at_their_rate_leave_room_for_everybody_else() {
        let mut now = Instant::now();
        let mut limits = HandshakeLimits::new(now);
        let hostile: Vec<IpAddr> = (1..=8).map(|host| IpAddr::from([192, 0, 2, host])).collect();
        let (mut tried, mut admitted) = (0_u32, 0_u32);
        for step in 0..10_000_u32 {
            now += Duration::from_millis(1);
            for from in &hostile {
                limits.admits_handshake(*from, now);
            }
            // Fifty well-behaved transports per second, each pair from another address.
            if step.is_multiple_of(20) {
                let from = IpAddr::from((0x0A00_0000 + step / 40).to_be_bytes());
                tried += 1;
                admitted += u32::from(limits.admits_handshake(from, now));
            }
        }
        assert_eq!(admitted, tried);
    }
}
