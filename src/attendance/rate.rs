#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! How often presence may be proven: a pure sliding window per tenant and per
//! person.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::domain::id::{TenantId, UserId};
use crate::domain::time::Timestamp;

/// The span over which attempts are counted.
pub const RATE_WINDOW: Duration = Duration::from_mins(1);
/// Most attempts of one person within [`RATE_WINDOW`]. Raising it lets somebody
/// guess a code of six digits faster.
pub const VALIDATIONS_PER_PERSON_MAX: usize = 10;
/// Most attempts of one tenant within [`RATE_WINDOW`]. Raising it lets one
/// tenant take more of the identity service.
pub const VALIDATIONS_PER_TENANT_MAX: usize = 100;
/// Most tenants counted at once. While as many tenants have attempts within the
/// window, those of further tenants are refused.
pub const TENANTS_COUNTED_MAX: usize = 10_000;

/// Counts attempts. Only attempts that are let through count, so that somebody
/// who goes on trying is not locked out for longer.
#[derive(Debug, Clone, Default)]
pub struct ValidationLimiter {
    attempts: BTreeMap<TenantId, VecDeque<(Timestamp, UserId)>>,
}

impl ValidationLimiter {
    /// Counts an attempt.
    ///
    /// # Errors
    /// How long to wait, when there were too many.
    pub fn handle_attempt(
        &mut self,
        tenant: TenantId,
        user: &UserId,
        now: Timestamp,
    ) -> Result<(), Duration> {
        if !self.attempts.contains_key(&tenant) && self.attempts.len() >= TENANTS_COUNTED_MAX {
            self.attempts.retain(|_, attempts| {
                forget_old(attempts, now);
                !attempts.is_empty()
            });
            if self.attempts.len() >= TENANTS_COUNTED_MAX {
                return Err(RATE_WINDOW);
            }
        }
        let attempts = self.attempts.entry(tenant).or_default();
        forget_old(attempts, now);
        let own = || attempts.iter().filter(|(_, who)| who == user);
        let blocking = if own().count() >= VALIDATIONS_PER_PERSON_MAX {
            own().next()
        } else if attempts.len() >= VALIDATIONS_PER_TENANT_MAX {
            attempts.front()
        } else {
            None
        };
        if let Some((at, _)) = blocking {
            return Err(RATE_WINDOW.saturating_sub(now.since(*at)));
        }
        attempts.push_back((now, user.clone()));
        Ok(())
    }
}

/// Drops attempts outside the window; also those that seem to lie ahead, after
/// the clock was set back.
fn forget_old(attempts: &mut VecDeque<(Timestamp, UserId)>, now: Timestamp) {
    attempts.retain(|(at, _)| *at <= now && now.since(*at) < RATE_WINDOW);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_unix_us(1_700_000_000_000_000).after(Duration::from_millis(ms))
    }

    fn user(number: usize) -> UserId {
        format!("u{number}").parse().expect("a user id")
    }

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn a_person_has_ten_attempts_in_any_minute() {
        let mut limiter = ValidationLimiter::default();
        for second in 0..10 {
            assert_eq!(limiter.handle_attempt(tenant(1), &user(1), at(second * 1_000)), Ok(()));
        }
        let wait = limiter.handle_attempt(tenant(1), &user(1), at(10_000));
        assert_eq!(wait, Err(Duration::from_secs(50)));
        assert_eq!(limiter.handle_attempt(tenant(1), &user(2), at(10_000)), Ok(()), "others go on");
        assert_eq!(
            limiter.handle_attempt(tenant(2), &user(1), at(10_000)),
            Ok(()),
            "elsewhere too"
        );
        assert!(limiter.handle_attempt(tenant(1), &user(1), at(59_999)).is_err());
        assert_eq!(limiter.handle_attempt(tenant(1), &user(1), at(60_000)), Ok(()));
        assert_eq!(
            limiter.handle_attempt(tenant(1), &user(1), at(60_000)),
            Err(Duration::from_secs(1)),
            "one at a time becomes free"
        );
    }

    #[test]
    fn a_tenant_has_a_hundred_attempts_in_any_minute() {
        let mut limiter = ValidationLimiter::default();
        for number in 0..100 {
            assert_eq!(limiter.handle_attempt(tenant(1), &user(number), at(0)), Ok(()));
        }
        assert_eq!(limiter.handle_attempt(tenant(1), &user(100), at(0)), Err(RATE_WINDOW));
        assert_eq!(limiter.handle_attempt(tenant(2), &user(100), at(0)), Ok(()));
        assert_eq!(limiter.handle_attempt(tenant(1), &user(100), at(60_000)), Ok(()));
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let mut limiter = ValidationLimiter::default();
        for _ in 0..10 {
            assert_eq!(limiter.handle_attempt(tenant(1), &user(1), at(3_600_000)), Ok(()));
        }
        assert_eq!(limiter.handle_attempt(tenant(1), &user(1), at(0)), Ok(()));
    }

    #[test]
    fn the_table_of_tenants_is_bounded_and_empties() {
        let mut limiter = ValidationLimiter::default();
        for number in 0..10_000 {
            assert_eq!(limiter.handle_attempt(tenant(number), &user(1), at(0)), Ok(()));
        }
        assert_eq!(limiter.handle_attempt(tenant(10_000), &user(1), at(1)), Err(RATE_WINDOW));
        assert_eq!(limiter.handle_attempt(tenant(10_000), &user(1), at(60_000)), Ok(()));
        assert_eq!(limiter.attempts.len(), 1);
    }
}
