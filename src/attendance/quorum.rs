//! What is needed for a quorum, and whether it is there.

use crate::domain::attendance::{QuorumCall, Weight};
use crate::domain::time::Timestamp;

/// Most changes between quorum and no quorum kept in memory. The oldest is
/// dropped beyond it; the evidence log has all.
pub const QUORUM_HISTORY_MAX: usize = 1_000;

/// A share of everybody: a fraction between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    numerator: u32,
    denominator: u32,
}

impl Share {
    /// One half.
    pub const HALF: Self = Self { numerator: 1, denominator: 2 };

    /// The fraction, unless it is no share.
    #[must_use]
    pub const fn new(numerator: u32, denominator: u32) -> Option<Self> {
        if denominator == 0 || numerator > denominator {
            return None;
        }
        Some(Self { numerator, denominator })
    }

    /// Numerator and denominator.
    #[must_use]
    pub const fn parts(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }
}

/// How a share is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The share itself suffices.
    AtLeast,
    /// It takes more than the share.
    MoreThan,
}

/// What one call needs. With neither share, one member suffices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumRule {
    /// Share of the members.
    pub heads: Option<Share>,
    /// Share of the weight of all units.
    pub weight: Option<Share>,
    /// How both are compared.
    pub comparison: Comparison,
}

impl QuorumRule {
    /// Whether `tally` is a quorum. Nobody never is.
    #[must_use]
    pub fn holds(&self, tally: &Tally) -> bool {
        let holds = |share: Option<Share>, present: u64, total: u64| {
            let Some(share) = share else { return true };
            let left = u128::from(present) * u128::from(share.denominator);
            let right = u128::from(total) * u128::from(share.numerator);
            match self.comparison {
                Comparison::AtLeast => left >= right,
                Comparison::MoreThan => left > right,
            }
        };
        let heads = holds(self.heads, tally.heads_present.into(), tally.heads_total.into());
        let weights = (tally.weight_present.millionths(), tally.weight_total.millionths());
        tally.heads_present > 0 && heads && holds(self.weight, weights.0, weights.1)
    }
}

/// What each call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumRules {
    /// On the first call.
    pub first: QuorumRule,
    /// On the second, when there may be one.
    pub second: Option<QuorumRule>,
}

impl Default for QuorumRules {
    /// More than half of the weight on the first call, any number on the second.
    fn default() -> Self {
        let first =
            QuorumRule { heads: None, weight: Some(Share::HALF), comparison: Comparison::MoreThan };
        Self { first, second: Some(QuorumRule { weight: None, ..first }) }
    }
}

impl QuorumRules {
    /// The rule of a call; `None` when there is no such call.
    #[must_use]
    pub const fn of(&self, call: QuorumCall) -> Option<&QuorumRule> {
        match call {
            QuorumCall::First => Some(&self.first),
            QuorumCall::Second => self.second.as_ref(),
        }
    }
}

/// How many are there, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Members who are present or of whose units one is represented.
    pub heads_present: u32,
    /// Members on the eligible list.
    pub heads_total: u32,
    /// Weight of the units that are represented.
    pub weight_present: Weight,
    /// Weight of all units.
    pub weight_total: Weight,
}

/// The quorum at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumView {
    /// The call that counts.
    pub call: QuorumCall,
    /// How many are there.
    pub tally: Tally,
    /// Whether they are enough. Never before the eligible list is known.
    pub reached: bool,
    /// Since when it is so; `None` when it never changed.
    pub since: Option<Timestamp>,
    /// Whether the eligible list is known.
    pub roll_known: bool,
}

/// A quorum was reached or lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuorumChange {
    /// When.
    pub at: Timestamp,
    /// Under which call.
    pub call: QuorumCall,
    /// Whether it was reached, else lost.
    pub reached: bool,
    /// How many were there.
    pub tally: Tally,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(heads: (u32, u32), weight: (u64, u64)) -> Tally {
        Tally {
            heads_present: heads.0,
            heads_total: heads.1,
            weight_present: Weight::from_millionths(weight.0),
            weight_total: Weight::from_millionths(weight.1),
        }
    }

    #[test]
    fn a_share_is_compared_exactly() {
        let third = Share::new(1, 3);
        let rule = |comparison| QuorumRule { heads: third, weight: None, comparison };
        assert!(rule(Comparison::AtLeast).holds(&tally((1, 3), (0, 0))));
        assert!(!rule(Comparison::MoreThan).holds(&tally((1, 3), (0, 0))));
        assert!(rule(Comparison::MoreThan).holds(&tally((2, 5), (0, 0))));
        let half = QuorumRules::default().first;
        let all = u64::MAX;
        assert!(half.holds(&tally((1, 2), (all / 2 + 1, all))), "sums do not overflow");
        assert!(!half.holds(&tally((1, 2), (all / 2, all))));
    }

    #[test]
    fn both_shares_are_needed_and_nobody_is_never_a_quorum() {
        let both = QuorumRule {
            heads: Some(Share::HALF),
            weight: Some(Share::HALF),
            comparison: Comparison::AtLeast,
        };
        assert!(both.holds(&tally((1, 2), (5, 10))));
        assert!(!both.holds(&tally((1, 3), (10, 10))));
        assert!(!both.holds(&tally((3, 3), (4, 10))));
        let any = QuorumRules::default().second.expect("a second call");
        assert!(any.holds(&tally((1, 300), (0, 0))));
        assert!(!any.holds(&tally((0, 0), (0, 0))));
    }

    #[test]
    fn a_share_is_at_most_everybody() {
        assert_eq!(Share::new(1, 0), None);
        assert_eq!(Share::new(3, 2), None);
        assert!(Share::new(2, 2).is_some());
    }
}
