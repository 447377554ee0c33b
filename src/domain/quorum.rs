//! The rules of attendance of a session: what makes somebody present, whom they
//! may represent, and what a quorum needs.

use std::fmt;
use std::str::FromStr;

use crate::domain::attendance::QuorumCall;
use crate::domain::named_values::named_values;

named_values!(
    /// What makes somebody present who is connected to the room.
    Admission {
        /// Being connected under their own access token.
        Channel => "channel",
        /// Being connected, and a proof that the identity service validated.
        Proof => "proof",
    }
);

/// The rules of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttendanceRules {
    /// What makes a connected person present.
    pub admission: Admission,
    /// Most units of others that one person may represent.
    pub delegated_units_max: u16,
    /// What a quorum needs.
    pub quorum: QuorumRules,
}

impl Default for AttendanceRules {
    fn default() -> Self {
        Self {
            admission: Admission::Channel,
            delegated_units_max: 3,
            quorum: QuorumRules::default(),
        }
    }
}

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

    /// Whether it is everybody.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        self.numerator == self.denominator
    }

    /// Numerator and denominator.
    #[must_use]
    pub const fn parts(self) -> (u32, u32) {
        (self.numerator, self.denominator)
    }
}

/// The fraction, such as `1/2`.
impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.numerator, self.denominator)
    }
}

/// A text that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a fraction of at most one whole, such as 1/2")]
pub struct InvalidShare;

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let (numerator, denominator) = text.split_once('/').ok_or(InvalidShare)?;
        let number = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            plain.then(|| digits.parse().ok()).flatten()
        };
        let parts = number(numerator).zip(number(denominator)).ok_or(InvalidShare)?;
        Self::new(parts.0, parts.1).ok_or(InvalidShare)
    }
}

named_values!(
    /// How a share is compared.
    Comparison {
        /// The share itself suffices.
        AtLeast => "at_least",
        /// It takes more than the share.
        MoreThan => "more_than",
    }
);

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
    /// Whether a share is everybody, and more than it can't be reached.
    #[must_use]
    pub fn has_whole(&self) -> bool {
        [self.heads, self.weight].into_iter().flatten().any(Share::is_whole)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_at_most_everybody() {
        assert_eq!(Share::new(1, 0), None);
        assert_eq!(Share::new(3, 2), None);
        assert!(Share::new(2, 2).is_some());
    }

    #[test]
    fn a_share_reads_back() {
        for text in ["1/2", "0/1", "2/3", "51/100"] {
            assert_eq!(text.parse::<Share>().expect("a share").to_string(), text);
        }
        for text in ["", "1", "1/", "/2", "3/2", "1/0", "-1/2", "+1/2", "1/2/3", "0.5", "50%"] {
            assert_eq!(text.parse::<Share>(), Err(InvalidShare), "{text:?} was taken");
        }
    }
}
