//! Limits how often refusals are reported to the log of a room, so that repeated attempts to enter
//! do not fill the log.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, UserId};
use crate::domain::time::Timestamp;

/// Least time between two reports of the same refusal of the same person.
/// Lowering it lets one person fill a log faster.
pub const REFUSAL_INTERVAL: Duration = Duration::from_mins(1);
/// Most refusals remembered. At the limit every refusal is reported: a missing report of a person
/// who could not take part is worse than a longer log, and so many different people need as many
/// tokens.
const REFUSALS_MAX: usize = 4_096;

/// Refusals that were reported recently.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: BTreeMap<(SessionId, UserId, ErrorCode), Timestamp>,
}

impl Refusals {
    /// Whether this refusal must be reported now.
    pub(super) fn admit(
        &mut self,
        session: SessionId,
        user: &UserId,
        code: ErrorCode,
        now: Timestamp,
    ) -> bool {
        let is_recent = |at: Timestamp| at.after(REFUSAL_INTERVAL) > now;
        let key = (session, user.clone(), code);
        if self.told.get(&key).is_some_and(|at| is_recent(*at)) {
            return false;
        }
        if self.told.len() >= REFUSALS_MAX {
            self.told.retain(|_, at| is_recent(*at));
        }
        if self.told.len() < REFUSALS_MAX {
            self.told.insert(key, now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        name.parse().expect("a user id")
    }

    #[test]
    fn the_same_refusal_is_told_once_in_a_while_and_others_at_once() {
        let mut refusals = Refusals::default();
        let (session, code) = (SessionId::generate(), ErrorCode::Forbidden);
        let now = Timestamp::from_unix_us(1_800_000_000_000_000);
        assert!(refusals.admit(session, &user("ana"), code, now));
        let later = now.after(REFUSAL_INTERVAL.saturating_sub(Duration::from_secs(1)));
        assert!(!refusals.admit(session, &user("ana"), code, later));
        assert!(refusals.admit(session, &user("bea"), code, later));
        assert!(refusals.admit(SessionId::generate(), &user("ana"), code, later));
        let full = ErrorCode::ParticipantLimitReached;
        assert!(refusals.admit(session, &user("ana"), full, later));
        assert!(refusals.admit(session, &user("ana"), code, now.after(REFUSAL_INTERVAL)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_nobody_is_left_out() {
        let mut refusals = Refusals::default();
        let (session, code) = (SessionId::generate(), ErrorCode::Forbidden);
        let now = Timestamp::from_unix_us(1_800_000_000_000_000);
        for number in 0..REFUSALS_MAX + 10 {
            assert!(refusals.admit(session, &user(&format!("u{number}")), code, now));
            assert!(refusals.told.len() <= REFUSALS_MAX);
        }
        let later = now.after(REFUSAL_INTERVAL);
        assert!(refusals.admit(session, &user("late"), code, later));
        assert_eq!(refusals.told.len(), 1, "what is old makes room");
    }
}
