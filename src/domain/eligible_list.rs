//! Why an eligible list that a service gave is not taken.

use std::fmt;

use crate::domain::attendance::UnitId;
use crate::domain::id::UserId;
use crate::domain::named_values::named_values;

named_values!(
    /// What is wrong with a list.
    ListFault {
        /// A member is listed twice.
        MemberTwice => "member_twice",
        /// A unit is listed twice.
        UnitTwice => "unit_twice",
        /// The id of a member is not valid, or their name is too long.
        MemberInvalid => "member_invalid",
        /// The id of a unit is not valid.
        UnitInvalid => "unit_invalid",
        /// The weight of a unit is not valid.
        WeightInvalid => "weight_invalid",
        /// A member has an id of a part of the server.
        NotAPerson => "not_a_person",
        /// A delegation names no valid unit or person.
        DelegationInvalid => "delegation_invalid",
        /// The list is longer than is taken, or has no end.
        TooLong => "too_long",
        /// The answer is not a list of this assembly.
        Unreadable => "unreadable",
    }
);

impl ListFault {
    const fn problem(self) -> &'static str {
        match self {
            Self::MemberTwice => "a member is listed twice",
            Self::UnitTwice => "a unit is listed twice",
            Self::MemberInvalid => "a member is not valid",
            Self::UnitInvalid => "the id of a unit is not valid",
            Self::WeightInvalid => "the weight of a unit is not valid",
            Self::NotAPerson => "a member has an id of a part of the server",
            Self::DelegationInvalid => "a delegation is not valid",
            Self::TooLong => "the list is too long or has no end",
            Self::Unreadable => "the answer is not a list of this assembly",
        }
    }
}

/// A list that is not taken. Its text names nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRefused {
    /// What is wrong.
    pub fault: ListFault,
    /// Which member of the list, or which delegation, from 1.
    pub row: Option<usize>,
    /// The member or delegate of that row, when their id is valid.
    pub user: Option<UserId>,
    /// The unit that is wrong, when its id is valid.
    pub unit: Option<UnitId>,
}

impl ListRefused {
    /// A fault of the whole list.
    #[must_use]
    pub const fn whole(fault: ListFault) -> Self {
        Self { fault, row: None, user: None, unit: None }
    }

    /// A fault of one row.
    #[must_use]
    pub const fn row(
        fault: ListFault,
        row: usize,
        user: Option<UserId>,
        unit: Option<UnitId>,
    ) -> Self {
        Self { fault, row: Some(row), user, unit }
    }
}

impl fmt::Display for ListRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.fault.problem())?;
        match self.row {
            Some(row) => write!(f, " (row {row})"),
            None => Ok(()),
        }
    }
}
