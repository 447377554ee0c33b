//! What is needed for a quorum, and whether it is there.

use crate::domain::attendance::{QuorumCall, Weight};
use crate::domain::quorum::{Comparison, QuorumRule, Share};
use crate::domain::time::Timestamp;

/// Most changes between quorum and no quorum kept in memory. The oldest is
/// dropped beyond it; the evidence log has all.
pub const QUORUM_HISTORY_MAX: usize = 1_000;

impl QuorumRule {
    /// Whether `tally` is a quorum. Nobody never is.
    #[must_use]
    pub fn holds(&self, tally: &Tally) -> bool {
        let holds = |share: Option<Share>, present: u64, total: u64| {
            let Some((numerator, denominator)) = share.map(Share::parts) else { return true };
            let left = u128::from(present) * u128::from(denominator);
            let right = u128::from(total) * u128::from(numerator);
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
    use crate::domain::quorum::QuorumRules;

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
}
